"""The queue: order, pauses, quiet hours, digests, giving up; with a faked service and clock."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from dealer_assets.alerts.channels import LOG, Channel, channels_of
from dealer_assets.alerts.delivery import Deliverer
from dealer_assets.alerts.logfile import LogFile
from dealer_assets.alerts.messages import REPEAT, Message
from dealer_assets.alerts.order import alone
from dealer_assets.alerts.policy import FIRST_PAUSE, LONGEST_PAUSE, Policy, pause_after, policy_of
from dealer_assets.alerts.quiet import quiet_hours
from dealer_assets.alerts.sender import Answer
from dealer_assets.alerts.store import AlertStore
from dealer_assets.errors import BadInputError
from dealer_assets.settings import Settings
from dealer_assets_tests.alerts.alert_desk import LATE, NOW, REFUSED, Clock, FakeSender, alert

ONE = channels_of(SecretStr("phone=json://localhost/a"))
TWO = channels_of(SecretStr("phone=json://localhost/a desk=json://localhost/b"))

Make = Callable[..., Deliverer]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    with AlertStore(tmp_path / "alerts.sqlite", deliver_within=timedelta(days=30)) as made:
        yield made


@pytest.fixture
def make(store: AlertStore, tmp_path: Path) -> Make:
    def made(sender: FakeSender | LogFile, clock: Clock, channels=ONE, **policy) -> Deliverer:
        chosen = Policy(channels, tmp_path / "lock", **policy)
        return Deliverer(store, chosen, sender, clock=clock)

    return made


def states(store: AlertStore) -> Counter[str]:
    return Counter(queued.state for queued in store.listing())


def test_alerts_arrive_once_in_the_order_raised_and_are_then_delivered(store, make):
    sender, clock = FakeSender(), Clock()
    store.raise_alerts([alert(n) for n in (3, 1, 2)], NOW)
    done = make(sender, clock).run()
    assert sender.titles("phone") == ["Alert 1", "Alert 2", "Alert 3"]
    assert (done.confirmed, done.waiting) == ({"phone": 3}, 0)
    assert states(store) == {"delivered": 3}
    make(sender, clock).run()
    assert len(sender.asked) == 3


def test_a_failure_keeps_later_alerts_of_its_channel_waiting_and_no_other_channel(store, make):
    down = True
    sender = FakeSender(lambda name, _: REFUSED if name == "phone" and down else Answer(True))
    clock = Clock()
    store.raise_alerts([alert(n) for n in range(3)], NOW)
    done = make(sender, clock, TWO).run()
    assert done.failures == {"phone": "HTTP 500"}
    assert sender.titles("desk") == ["Alert 0", "Alert 1", "Alert 2"]
    assert [title for name, title in sender.asked if name == "phone"] == ["Alert 0"]
    assert states(store) == {"new": 3}
    down = False
    make(sender, clock, TWO).run()  # still in its pause
    assert sender.titles("phone") == []
    clock.forward(seconds=5)
    make(sender, clock, TWO).run()
    assert sender.titles("phone") == ["Alert 0", "Alert 1", "Alert 2"]
    assert len(sender.titles("desk")) == 3
    assert states(store) == {"delivered": 3}


@pytest.mark.parametrize("digest_over", [3, 10_000])
def test_an_hour_of_outage_ends_with_every_alert_confirmed_once_in_order(store, make, digest_over):
    clock = Clock()
    sender = FakeSender(
        lambda _, m: REFUSED if clock.at < NOW + timedelta(hours=1) else Answer(True)
    )
    deliverer = make(sender, clock, digest_over=digest_over)
    for minute in range(120):
        if minute < 60:
            store.raise_alerts([alert(minute)], clock.at)
        deliverer.run()
        clock.forward(minutes=1)
    told = [one.alert_id for _, message in sender.arrived for one in message.alerts]
    assert told == [alert(n).alert_id for n in range(60)]
    assert states(store) == {"delivered": 60}
    tries = len(sender.asked) - len(sender.arrived)
    assert 6 <= tries <= 20, "pauses grow: an hour is not sixty tries"
    assert len(sender.arrived) == (1 if digest_over == 3 else 60)


def test_pauses_double_to_a_cap_with_a_jitter_that_is_the_same_every_time():
    for attempt in range(1, 40):
        most = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
        pauses = {pause_after(f"{n}", attempt) for n in range(20)}
        assert len(pauses) == 20
        assert all(most / 2 <= pause <= most for pause in pauses)
        assert pause_after("0", attempt) in pauses


def test_chaos_on_two_channels_still_gives_each_alert_once_in_order(store, make):
    dice, clock = random.Random(7), Clock()
    sender = FakeSender(lambda *_: dice.choice([REFUSED, REFUSED, Answer(True)]))
    deliverer = make(sender, clock, TWO, digest_over=1000)
    store.raise_alerts([alert(n) for n in range(25)], NOW)
    for _ in range(2000):
        deliverer.run()
        clock.forward(minutes=15)
        if not store.waiting():
            break
    for name in ("phone", "desk"):
        assert sender.titles(name) == [f"Alert {n}" for n in range(25)]


def test_what_may_have_arrived_is_sent_again_and_says_so(store, make):
    answers = iter([LATE, REFUSED, Answer(True), Answer(True)])
    sender, clock = FakeSender(lambda *_: next(answers)), Clock()
    store.raise_alerts([alert(0), alert(1)], NOW)
    deliverer = make(sender, clock)
    for _ in range(3):
        deliverer.run()
        clock.forward(minutes=1)
    assert sender.titles("phone") == [REPEAT + "Alert 0", "Alert 1"]
    details = [s.detail for s in store.history(alert(0).alert_id) if s.happening == "failed"]
    assert all(detail.startswith("may have arrived: ") for detail in details)


def test_an_attempt_that_was_killed_is_known_as_doubtful(store, make):
    store.raise_alerts([alert(0)], NOW)
    store.begin_attempt(alert(0).alert_id, "phone", NOW)  # ... and the process is gone
    sender = FakeSender()
    make(sender, Clock()).run()
    assert sender.titles("phone") == [REPEAT + "Alert 0"]
    steps = [step.happening for step in store.history(alert(0).alert_id)]
    assert steps == ["raised", "attempted", "doubtful", "attempted", "delivered"]


def test_a_long_alert_goes_in_numbered_parts_and_confirmed_parts_are_not_repeated(store, make):
    text = " ".join(f"word{n:03d}" for n in range(300))
    fails = {"Long (2/3)"}
    sender = FakeSender(lambda _, m: REFUSED if m.title in fails else Answer(True), largest=1024)
    clock = Clock()
    store.raise_alerts([alert(0, title="Long", body=text), alert(1)], NOW)
    deliverer = make(sender, clock)
    deliverer.run()
    assert sender.titles("phone") == ["Long (1/3)"]
    assert store.get(alert(0).alert_id).state == "new"
    fails.clear()
    clock.forward(minutes=1)
    deliverer.run()
    assert sender.titles("phone") == ["Long (1/3)", "Long (2/3)", "Long (3/3)", "Alert 1"]
    whole = " ".join(" ".join(m.body.split()) for _, m in sender.arrived[:3])
    assert whole.startswith(text)
    assert states(store) == {"delivered": 2}


def test_a_text_that_is_refused_again_and_again_gives_way_to_its_identity(store, make):
    bad = Answer(False, status=400, detail="HTTP 400; can't parse entities")
    sender = FakeSender(lambda _, m: bad if m.title == "Odd" else Answer(True))
    clock = Clock()
    store.raise_alerts([alert(0, title="Odd"), alert(1)], NOW)
    for _ in range(10):
        make(sender, clock).run()
        clock.forward(minutes=15)
    assert sender.titles("phone") == [f"Alert {alert(0).alert_id}", "Alert 1"]
    assert len(sender.asked) == 7


def test_quiet_hours_hold_all_but_severe_alerts_and_end_with_one_digest(store, make):
    quiet = quiet_hours("14:00-16:00 UTC")
    sender, clock = FakeSender(), Clock()
    kinds = ["notice", "warning", "severe", "warning"]
    store.raise_alerts([alert(n, severity=kind) for n, kind in enumerate(kinds)], NOW)
    deliverer = make(sender, clock, quiet=quiet)
    assert deliverer.run().held == 3
    assert deliverer.run().held == 0
    assert sender.titles("phone") == ["Alert 2"]
    clock.forward(minutes=59)
    deliverer.run()
    assert len(sender.arrived) == 1
    clock.forward(minutes=1)
    deliverer.run()
    digest = sender.arrived[1][1]
    assert digest.title == "3 alerts, held by quiet hours"
    assert [line[-10:] for line in digest.body.splitlines()] == [
        f"[{alert(n).alert_id[:8]}]" for n in (1, 3, 0)
    ]
    assert states(store) == {"delivered": 4}


def test_more_than_a_declared_number_become_one_message_with_each_marked(store, make):
    sender = FakeSender(largest=1024)
    store.raise_alerts([alert(n) for n in range(500)], NOW)
    make(sender, Clock(), digest_over=10).run()
    ((_, digest),) = sender.arrived
    assert digest.title == "500 alerts, together: many wait"
    assert digest.body.splitlines()[-1].endswith("more: dealer alerts list")
    assert states(store) == {"delivered": 500}
    steps = store.history(alert(499).alert_id)
    assert [step.happening for step in steps] == ["raised", "attempted", "delivered"]


def test_an_alert_is_given_up_at_the_declared_age_and_says_so(store, make):
    clock = Clock()
    sender = FakeSender(lambda _, m: REFUSED if m.title == "Alert 0" else Answer(True))
    deliverer = make(sender, clock, give_up_after=timedelta(hours=2))
    store.raise_alerts([alert(0)], clock.at)
    deliverer.run()
    clock.forward(hours=1)
    store.raise_alerts([alert(1)], clock.at)
    deliverer.run()
    assert store.waiting() == 2
    clock.forward(hours=1, minutes=1)
    assert deliverer.run().given_up == 1
    assert sender.titles("phone") == ["Alert 1"]
    last = store.history(alert(0).alert_id)[-1]
    assert (last.state, last.detail) == ("resolved", "undelivered: given up everywhere")


def test_what_was_acknowledged_or_resolved_meanwhile_is_not_sent(store, make):
    def answers(name: str, message: Message) -> Answer:
        if message.title == "Alert 0":
            store.acknowledge(alert(1).alert_id, "ana", NOW)
            store.resolve(alert(2).alert_id, "ana", NOW)
        return Answer(True)

    sender = FakeSender(answers)
    store.raise_alerts([alert(n) for n in range(4)], NOW)
    make(sender, Clock()).run()
    assert sender.titles("phone") == ["Alert 0", "Alert 3"]


def test_a_channel_that_was_taken_out_of_the_settings_holds_nothing_up(store, make):
    sender = FakeSender(lambda name, _: REFUSED if name == "phone" else Answer(True))
    clock = Clock()
    store.raise_alerts([alert(0)], NOW)
    make(sender, clock, TWO).run()
    assert states(store) == {"new": 1}
    make(sender, clock, TWO[1:]).run()
    assert states(store) == {"delivered": 1}
    assert store.history(alert(0).alert_id)[-1].detail == "confirmed by desk"


def test_a_url_that_cannot_be_used_is_told_and_tried_again_later(store, make):
    sender, clock = FakeSender(problem="An invalid key was specified"), Clock()
    store.raise_alerts([alert(0)], NOW)
    assert make(sender, clock).run().failures == {"phone": "An invalid key was specified"}
    assert sender.asked == []
    sender.problem = ""
    clock.forward(minutes=1)
    make(sender, clock).run()
    assert sender.titles("phone") == ["Alert 0"], "nothing was sent before: no repeat"


def test_one_deliverer_works_at_a_time(store, make, tmp_path):
    store.raise_alerts([alert(0)], NOW)
    sender = FakeSender()
    with alone(tmp_path / "lock") as is_mine:
        assert is_mine
        assert make(sender, Clock()).run().is_busy
    assert sender.asked == []
    make(sender, Clock()).run()
    assert sender.titles("phone") == ["Alert 0"]


def test_the_time_of_a_pass_is_shared_by_the_channels(store, make):
    clock = Clock()

    def slow(*_: object) -> Answer:
        clock.forward(seconds=4)
        return Answer(True)

    sender = FakeSender(slow)
    store.raise_alerts([alert(n) for n in range(20)], NOW)
    make(sender, clock, TWO, digest_over=100).run(seconds=20)
    assert (len(sender.titles("phone")), len(sender.titles("desk"))) == (3, 2)


def test_a_channel_that_stalls_takes_no_other_channels_time_the_next_pass(store, make):
    clock = Clock()

    def answers(name: str, _: Message) -> Answer:
        if name == "phone":
            clock.forward(seconds=30)
            return LATE
        return Answer(True)

    sender = FakeSender(answers)
    store.raise_alerts([alert(n) for n in range(3)], NOW)
    deliverer = make(sender, clock, TWO)
    deliverer.run(seconds=25)
    assert sender.titles("desk") == []
    clock.forward(seconds=30)
    deliverer.run(seconds=25)
    assert sender.titles("desk") == ["Alert 0", "Alert 1", "Alert 2"]


def test_log_mode_writes_one_json_line_an_alert_and_marks_it_delivered(store, make, tmp_path):
    path = tmp_path / "alerts.log"
    log = (Channel(LOG, SecretStr("")),)
    store.raise_alerts([alert(0, facts={"score": 97.0}), alert(1)], NOW)
    deliverer = make(LogFile(path), Clock(), log, digest_over=1000)
    deliverer.run()
    deliverer.run()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["title"] for line in lines] == ["Alert 0", "Alert 1"]
    assert lines[0]["facts"] == {"score": 97.0}
    assert states(store) == {"delivered": 2}
    assert store.get(alert(0).alert_id).channels[0].channel == "log"


def test_a_line_that_was_cut_off_spoils_no_line_after_it(store, make, tmp_path):
    log = tmp_path / "alerts.log"
    log.write_text('{"whole": 1}\n{"at": "2026-11-2')
    store.raise_alerts([alert(1), alert(2)], NOW)
    make(LogFile(log), Clock()).run()
    first, cut, *lines = log.read_text().splitlines()
    assert (json.loads(first), cut) == ({"whole": 1}, '{"at": "2026-11-2')
    assert [json.loads(line)["title"] for line in lines] == ["Alert 1", "Alert 2"]


def test_the_policy_of_the_settings(data_dir, monkeypatch):
    policy = policy_of(Settings())
    assert [c.name for c in policy.channels] == ["log"]
    monkeypatch.setenv("DEALER_ALERT_MODE", "send")
    with pytest.raises(BadInputError, match="DEALER_ALERT_URLS is empty"):
        policy_of(Settings())
    monkeypatch.setenv("DEALER_ALERT_URLS", "json://localhost/x")
    monkeypatch.setenv("DEALER_ALERT_QUIET", "22:00-07:00 America/New_York")
    policy = policy_of(Settings())
    assert policy.quiet is not None
    assert policy.quiet.covers(datetime(2026, 11, 20, 3, 0, tzinfo=UTC))
    assert (policy.digest_over, policy.give_up_after) == (10, timedelta(days=3))


def test_a_service_that_asks_to_be_left_alone_is_for_an_hour_at_most(store, make):
    asked = iter((120.0, 9e9))

    def busy(name, message):
        return Answer(False, status=429, detail="HTTP 429", retry_after_seconds=next(asked))

    sender, clock = FakeSender(busy), Clock()
    store.raise_alerts([alert(1)], NOW)
    deliverer = make(sender, clock)
    deliverer.run()
    clock.forward(seconds=119)
    deliverer.run()
    assert len(sender.asked) == 1, "its pause of 5 s is over, the service's is not"
    clock.forward(seconds=1)
    deliverer.run()
    assert len(sender.asked) == 2
    sender.answers = FakeSender.answers
    clock.forward(hours=1)
    deliverer.run()
    assert sender.titles("phone") == ["Alert 1"]


def test_a_clock_that_goes_back_holds_nothing_up(store, make):
    """A pause or quiet hours of a clock that was days ahead are not waited for."""
    sender, clock = FakeSender(lambda name, message: REFUSED), Clock()
    store.raise_alerts([alert(n) for n in (1, 2)], NOW)
    store.hold(alert(2).alert_id, NOW + timedelta(days=9), NOW + timedelta(days=8), why="quiet")
    clock.forward(days=2)
    make(sender, clock).run()
    assert sender.asked == [("phone", "Alert 1")]
    clock.at, sender.answers = NOW, FakeSender.answers
    make(sender, clock).run()
    assert sender.titles("phone") == ["Alert 1", "Alert 2"]
    assert states(store) == {"delivered": 2}


def test_a_digest_that_one_of_two_channels_took_is_completed_on_the_other_alone(store, make):
    """What arrives meanwhile comes with it, and what may have arrived says so."""
    sender, clock = FakeSender(lambda name, _: LATE if name == "desk" else Answer(True)), Clock()
    store.raise_alerts([alert(n) for n in range(4)], NOW)
    deliverer = make(sender, clock, TWO, digest_over=3)
    deliverer.run()
    assert states(store) == {"new": 4}
    store.raise_alerts([alert(n) for n in (4, 5)], NOW)
    clock.forward(minutes=1)
    sender.answers = FakeSender.answers
    deliverer.run()
    assert sender.titles("phone") == ["4 alerts, together: many wait", "Alert 4", "Alert 5"]
    assert sender.titles("desk") == [f"{REPEAT}6 alerts, together: many wait"]
    assert states(store) == {"delivered": 6}
