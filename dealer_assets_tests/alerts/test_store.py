"""The alert store: taken once, changed only as declared, whole after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from dealer_assets.alerts import database
from dealer_assets.alerts.lifecycle import LAPSE_AFTER, changes
from dealer_assets.alerts.model import (
    STATES,
    TRANSITIONS,
    Alert,
    Ending,
    Outcome,
    State,
)
from dealer_assets.alerts.store import AlertStore
from dealer_assets.errors import BadInputError, LakeError
from dealer_assets_tests.alerts.made_alerts import AT, DAY, NOW, alert, minutes, queue

DELIVERED = Outcome("delivered", "200")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    with AlertStore(tmp_path / "alerts" / "alerts.sqlite") as opened:
        yield opened


def states(store: AlertStore) -> dict[str, str]:
    return {q.alert.dedupe_key: q.state for q in store.listing()}


def happenings(store: AlertStore, alert_id: str) -> list[str]:
    return [step.happening for step in store.history(alert_id)]


def test_an_alert_comes_back_as_it_was_raised(store: AlertStore) -> None:
    raised = alert(cool_down=minutes(30), last_seen_at=AT + minutes(2))
    assert store.raise_alerts([raised], NOW).taken == (raised.alert_id,)
    held = store.get(raised.alert_id)
    assert held.alert == raised
    assert (held.state, held.raised_at, held.sequence) == ("new", NOW, 1)
    assert store.match(raised.alert_id[:6]) == raised.alert_id


def test_the_same_alert_raised_again_is_a_duplicate_and_changes_nothing(store: AlertStore) -> None:
    store.raise_alerts([alert()], NOW)
    before = store.of_session("SPX", DAY)
    again = store.raise_alerts([alert(), alert()], NOW + minutes(1))
    assert (again.taken, again.duplicates) == ((), (alert().alert_id,) * 2)
    assert store.of_session("SPX", DAY) == before


def test_alerts_are_due_in_the_order_of_what_happened(store: AlertStore) -> None:
    made = queue(5)
    store.raise_alerts([made[i] for i in (3, 0, 4, 1, 2)], NOW)
    assert [q.alert.alert_id for q in store.due(NOW, 10)] == [a.alert_id for a in made]
    assert [q.sequence for q in store.due(NOW, 2)] == [1, 2]


def test_a_held_alert_is_due_again_at_its_instant_and_keeps_its_place(store: AlertStore) -> None:
    first, second = queue(2)
    store.raise_alerts([first, second], NOW)
    store.hold(first.alert_id, NOW + minutes(30), NOW, why="quiet hours")
    store.hold(first.alert_id, NOW + minutes(30), NOW, why="quiet hours")
    assert [q.alert for q in store.due(NOW, 9)] == [second]
    assert [q.alert for q in store.due(NOW + minutes(30), 9)] == [first, second]
    assert happenings(store, first.alert_id) == ["raised", "held"]
    assert store.waiting() == 2


def test_an_alert_of_long_ago_is_stored_as_resolved_and_never_due(store: AlertStore) -> None:
    old = alert("old", at=AT - timedelta(days=365))
    raised = store.raise_alerts([old, alert()], NOW)
    assert set(raised.taken) == {old.alert_id, alert().alert_id}
    assert [q.alert.dedupe_key for q in store.due(NOW, 9)] == ["above"]
    held = store.get(old.alert_id)
    assert (held.state, held.is_historical) == ("resolved", True)
    assert "historical" in store.history(old.alert_id)[-1].detail


def test_a_condition_that_lasts_is_as_old_as_it_was_last_seen(store: AlertStore) -> None:
    lasting = alert("lasting", at=NOW - timedelta(hours=9), last_seen_at=NOW)
    store.raise_alerts([lasting], NOW)
    assert [q.alert for q in store.due(NOW, 9)] == [lasting]


def test_a_second_alert_within_the_cool_down_is_kept_quiet_and_counted(store: AlertStore) -> None:
    first = alert(cool_down=minutes(30))
    second = alert(at=AT + minutes(29), cool_down=minutes(30))
    other = alert("below", at=AT + minutes(1), cool_down=minutes(30))
    third = alert(at=AT + minutes(30), cool_down=minutes(30))
    raised = store.raise_alerts([first, second, other, third], NOW)
    assert raised.taken == (first.alert_id, other.alert_id, third.alert_id)
    assert raised.cooled == (second.alert_id,)
    assert store.get(third.alert_id).cooled + store.get(first.alert_id).cooled == 1
    again = store.raise_alerts([first, second, other, third], NOW + minutes(1))
    assert (again.taken, again.cooled) == ((), (second.alert_id,))


def test_the_same_instant_found_no_worse_is_a_duplicate_and_found_worse_is_told(
    store: AlertStore,
) -> None:
    def poll(severity: str, at: datetime = AT) -> Alert:
        made = alert("contracts", at=at, severity=severity, cool_down=minutes(55))
        return replace(made, alert_id=f"{severity} {at:%H%M}")

    assert store.raise_alerts([poll("warning")], NOW).taken
    assert store.raise_alerts([poll("notice")], NOW).duplicates == ("notice 1500",)
    assert store.raise_alerts([poll("notice", AT + minutes(30))], NOW).cooled
    assert store.raise_alerts([poll("severe", AT + minutes(30))], NOW).taken
    assert store.raise_alerts([poll("severe")], NOW).cooled, "30 minutes before as bad a one"
    assert len(store.listing()) == 2


def test_a_late_alert_before_another_of_its_key_is_kept_quiet_too(store: AlertStore) -> None:
    store.raise_alerts([alert(at=AT, cool_down=minutes(30))], NOW)
    late = alert(at=AT - minutes(10), cool_down=minutes(30))
    assert store.raise_alerts([late], NOW).cooled == (late.alert_id,)


def test_a_condition_that_outlasts_the_cool_down_is_said_after_all(store: AlertStore) -> None:
    store.raise_alerts([alert(cool_down=minutes(30), last_seen_at=AT + minutes(5))], NOW)
    again = alert(at=AT + minutes(10), cool_down=minutes(30), last_seen_at=AT + minutes(29))
    assert store.raise_alerts([again], NOW).cooled == (again.alert_id,)
    lasting = replace(again, last_seen_at=AT + minutes(30))
    assert store.raise_alerts([lasting], NOW).taken == (again.alert_id,)
    assert store.get(alert().alert_id).cooled == 0


def test_a_condition_that_ended_resolves_only_what_began_before(store: AlertStore) -> None:
    before, after = (
        alert(last_seen_at=AT),
        alert(at=AT + minutes(20), last_seen_at=AT + minutes(20)),
    )
    ending = Ending("flip_crossed", "SPX", "above", AT + minutes(10))
    raised = store.raise_alerts([before, after, alert("below")], NOW, endings=[ending])
    assert raised.ended == (before.alert_id,)
    assert store.get(before.alert_id).state == "resolved"
    assert [q.alert for q in store.due(NOW, 9)] == [alert("below"), after]
    assert store.raise_alerts([before, after], NOW, endings=[ending]).ended == ()


def test_an_alert_goes_from_new_to_resolved_with_every_step_told(store: AlertStore) -> None:
    made = alert()
    store.raise_alerts([made], NOW)
    assert not store.begin_attempt(made.alert_id, "log", NOW).is_repeat_of_doubtful
    store.record(made.alert_id, "log", DELIVERED, NOW + minutes(1))
    store.acknowledge(made.alert_id, "ann", NOW + minutes(2), "seen")
    store.resolve(made.alert_id, "ann", NOW + minutes(3))
    told = store.history(made.alert_id)
    assert [(s.step, s.happening, s.state, s.by) for s in told] == [
        (1, "raised", "new", "platform"),
        (2, "attempted", "new", "delivery"),
        (3, "delivered", "delivered", "delivery"),
        (4, "acknowledged", "acknowledged", "ann"),
        (5, "resolved", "resolved", "ann"),
    ]
    assert store.due(NOW + minutes(9), 9) == []


def test_repeating_a_step_changes_nothing(store: AlertStore) -> None:
    made = alert()
    store.raise_alerts([made], NOW)
    store.begin_attempt(made.alert_id, "log", NOW)
    for _ in range(2):
        store.record(made.alert_id, "log", DELIVERED, NOW)
    for _ in range(2):
        store.acknowledge(made.alert_id, "ann", NOW)
    for _ in range(2):
        store.resolve(made.alert_id, "ann", NOW)
    assert len(store.history(made.alert_id)) == 5


def test_an_illegal_step_is_refused_with_what_is_legal(store: AlertStore) -> None:
    made = alert()
    store.raise_alerts([made], NOW)
    store.resolve(made.alert_id, "ann", NOW)
    with pytest.raises(BadInputError, match="is resolved and cannot become acknowledged"):
        store.acknowledge(made.alert_id, "ann", NOW)
    with pytest.raises(BadInputError, match="no attempt under way on channel log"):
        store.record(made.alert_id, "log", DELIVERED, NOW)
    with pytest.raises(BadInputError, match="no alert nothing"):
        store.resolve("nothing", "ann", NOW)
    with pytest.raises(BadInputError, match="no state 'lost'"):
        store.listing("lost")  # type: ignore[arg-type]
    assert len(store.history(made.alert_id)) == 2


@given(st.lists(st.sampled_from(STATES), max_size=6))
def test_states_move_along_the_declared_transitions_only(wanted: list[State]) -> None:
    state: State = "new"
    for to in wanted:
        if to == state or to in TRANSITIONS[state]:
            assert changes("x", state, to) == (to != state)
            state = to
        else:
            with pytest.raises(BadInputError):
                changes("x", state, to)
    assert TRANSITIONS["resolved"] == ()


def test_a_failed_channel_keeps_the_alert_due_and_tells_when_to_retry(store: AlertStore) -> None:
    made = alert()
    store.raise_alerts([made], NOW)
    store.begin_attempt(made.alert_id, "hook", NOW)
    store.record(made.alert_id, "hook", Outcome("failed", "500", NOW + minutes(2)), NOW)
    (queued,) = store.due(NOW, 9)
    channel = queued.channel("hook")
    assert channel is not None
    assert (channel.status, channel.attempts, channel.retry_at) == ("failed", 1, NOW + minutes(2))
    assert store.begin_attempt(made.alert_id, "hook", NOW + minutes(2)).number == 2


def test_an_alert_is_delivered_only_when_no_channel_is_left(store: AlertStore) -> None:
    made = alert()
    store.raise_alerts([made], NOW)
    for channel, last in (("one", False), ("two", True)):
        store.begin_attempt(made.alert_id, channel, NOW)
        store.record(made.alert_id, channel, DELIVERED, NOW, is_complete=last)
        assert store.get(made.alert_id).state == ("delivered" if last else "new")


def test_an_attempt_nobody_saw_the_end_of_is_known_as_doubtful(store: AlertStore) -> None:
    made = alert()
    store.raise_alerts([made], NOW)
    store.begin_attempt(made.alert_id, "hook", NOW)
    again = store.begin_attempt(made.alert_id, "hook", NOW + minutes(5))
    assert (again.number, again.is_repeat_of_doubtful) == (2, True)
    assert happenings(store, made.alert_id) == ["raised", "attempted", "doubtful", "attempted"]


def test_a_delivery_that_crossed_with_an_acknowledgement_is_told_and_moves_nothing(
    store: AlertStore,
) -> None:
    made = alert()
    store.raise_alerts([made], NOW)
    store.begin_attempt(made.alert_id, "hook", NOW)
    store.acknowledge(made.alert_id, "ann", NOW)
    store.record(made.alert_id, "hook", DELIVERED, NOW)
    assert store.get(made.alert_id).state == "acknowledged"
    assert store.history(made.alert_id)[-1].happening == "delivered"


def test_what_was_left_alone_for_days_lapses_and_what_waits_does_not(store: AlertStore) -> None:
    sent, waits, seen = alert("sent"), alert("waits"), alert("seen", last_seen_at=AT)
    store.raise_alerts([sent, waits, seen], NOW)
    for made in (sent, seen):
        store.begin_attempt(made.alert_id, "log", NOW)
        store.record(made.alert_id, "log", DELIVERED, NOW)
    later = NOW + LAPSE_AFTER + minutes(1)
    store.raise_alerts([replace(seen, last_seen_at=later)], later)
    assert store.lapse(later) == 1
    assert states(store) == {"sent": "resolved", "waits": "new", "seen": "delivered"}


def test_a_transaction_that_fails_leaves_nothing_behind(store: AlertStore) -> None:
    def failing() -> None:
        with store.together():
            store.raise_alerts(queue(3), NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert store.listing() == []
    assert store.raise_alerts(queue(3), NOW).taken


def test_a_file_that_is_no_store_or_of_a_newer_platform_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LakeError, match="it is damaged: stop the platform and move it away"):
        AlertStore(path)
    newer = tmp_path / "newer.sqlite"
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LakeError, match="version 99"):
        AlertStore(newer)


def test_a_store_that_is_held_full_or_damaged_says_which_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    path = tmp_path / "alerts.sqlite"
    with AlertStore(path) as store, AlertStore(path) as other:
        store.raise_alerts(queue(50), NOW)
        with store.together(), pytest.raises(LakeError, match="another process has held it"):
            other.raise_alerts(queue(60), NOW)
        pages = store._execute("PRAGMA page_count").fetchone()[0]
        store._execute(f"PRAGMA max_page_count = {pages}")  # as a full disk: no page more
        with pytest.raises(LakeError, match="free space on the disk"):
            store.raise_alerts(queue(1500), NOW)
        assert len(other.listing()) == 50
        assert len(other.raise_alerts(queue(1500), NOW).taken) == 1450
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\x5a" * (len(whole) - 4096))
    with pytest.raises(LakeError, match="it is damaged"), AlertStore(path) as store:
        store.listing()


def test_threads_and_stores_on_one_file_raise_each_alert_once(tmp_path: Path) -> None:
    path, made = tmp_path / "alerts.sqlite", queue(60)

    def raising(start: int) -> int:
        with AlertStore(path) as own:
            parts = [made[start:], made[:start]]
            return sum(len(own.raise_alerts(part, NOW).taken) for part in parts)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(raising, (0, 15, 30, 45))) == 60
    with AlertStore(path) as own:
        assert [len(own.history(q.alert.alert_id)) for q in own.listing()] == [1] * 60


KILLED = """
    import os, sys
    from pathlib import Path
    from dealer_assets.alerts.model import Outcome
    from dealer_assets.alerts.store import AlertStore
    from dealer_assets_tests.alerts.made_alerts import NOW, queue

    store = AlertStore(Path(sys.argv[1]))
    made = queue(10_000)
    for start in range(0, 10_000, 1000):
        store.raise_alerts(made[start : start + 1000], NOW)
        print("raised", start + 1000, flush=True)
    for queued in store.due(NOW, 50):
        store.begin_attempt(queued.alert.alert_id, "log", NOW)
        store.record(queued.alert.alert_id, "log", Outcome("delivered", "ok"), NOW)
        print("sent", queued.sequence, flush=True)
"""


def killed_at(stop_at: str, path: Path) -> list[str]:
    """Run `KILLED`, kill it as soon as it says so, and return all that it had said."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert child.stdout is not None
    said: list[str] = []
    for line in child.stdout:
        said.append(line.strip())
        if said[-1] == stop_at:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    return said


def test_ten_thousand_alerts_survive_kills_while_they_are_raised_and_while_sent(
    tmp_path: Path,
) -> None:
    path = tmp_path / "alerts.sqlite"
    for stop_at in ("raised 4000", "sent 25"):  # the second raises all of them again
        said = killed_at(stop_at, path)
        promised = max(int(line.split()[1]) for line in said if line.startswith("raised"))
        with AlertStore(path) as store:
            assert store._execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            held = store._execute("SELECT COUNT(*) FROM alerts").fetchone()[0]
            assert promised <= held <= 10_000
    with AlertStore(path) as store:
        sent = len(store.listing("delivered"))
        assert sent >= sum(line.startswith("sent") for line in said) > 0
        due = store.due(NOW, 10_000)
        assert len(due) + sent == held == 10_000
        assert [q.sequence for q in due] == sorted(q.sequence for q in due)
        assert [q.alert.title for q in due] == [f"SPX number {q.sequence - 1}" for q in due]


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 240), min_size=1, max_size=25),
    st.integers(1, 60),
)
def test_reruns_over_more_and_more_of_a_session_raise_nothing_twice(
    starts: list[int], cool_down: int
) -> None:
    made = [alert(at=AT + minutes(m), cool_down=minutes(cool_down)) for m in sorted(set(starts))]
    with TemporaryDirectory() as folder, AlertStore(Path(folder) / "a.sqlite") as store:
        taken: list[str] = []
        for end in range(1, len(made) + 1):
            taken += store.raise_alerts(made[:end], NOW).taken
        assert len(taken) == len(set(taken)) == len(store.listing())
        at = sorted(q.alert.event_at for q in store.listing())
        assert all(b - a >= minutes(cool_down) for a, b in pairwise(at))
        assert store.raise_alerts(made, NOW + minutes(9)).taken == ()
