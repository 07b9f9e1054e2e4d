"""10,000 alerts and a deliverer killed again and again: none lost, none twice unmarked."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dealer_assets.alerts.delivery import Deliverer
from dealer_assets.alerts.policy import Policy
from dealer_assets.alerts.store import AlertStore
from dealer_assets_tests import forked
from dealer_assets_tests.alerts.alert_desk import Clock, FakeSender, alert
from dealer_assets_tests.alerts.deliver_child import FileReceiver, deliver_all
from dealer_assets_tests.alerts.test_delivery import ONE

QUEUED, KILLS = 10_000, 2


def received(folder: Path) -> list[tuple[str, str]]:
    path = folder / "received"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], line.split()[1]) for line in lines]


@pytest.mark.slow
def test_ten_thousand_queued_alerts_survive_kills_of_the_deliverer(tmp_path):
    now = datetime.now(UTC)
    alerts = [alert(n, event_at=now - timedelta(seconds=QUEUED - n)) for n in range(QUEUED)]
    ids = [one.alert_id for one in alerts]
    with AlertStore(tmp_path / "alerts.sqlite") as store:
        assert len(store.raise_alerts(alerts, now).taken) == QUEUED
    for kill in range(KILLS):
        before = len(received(tmp_path))
        process = forked.start(
            deliver_all, str(tmp_path), environment={}, output=tmp_path / f"said{kill}"
        )
        waited = time.monotonic()
        while len(received(tmp_path)) < before + 40 and time.monotonic() - waited < 120:
            time.sleep(0.005)
        forked.kill(process)
    killed = received(tmp_path)
    assert len(killed) >= 40 * KILLS
    policy = Policy(ONE, tmp_path / "lock", digest_over=10)
    with AlertStore(tmp_path / "alerts.sqlite") as store:
        assert 0 < store.waiting() < QUEUED
        done = Deliverer(store, policy, FileReceiver(tmp_path / "received")).run(seconds=600)
        assert not done.is_busy, "the kernel dropped the killed one's lock"
        assert store.waiting() == 0
    got = received(tmp_path)
    assert {one for _, one in got} == set(ids)
    counts = Counter(one for mark, one in got if mark == "once")
    assert max(counts.values()) == 1, "a second time only with the mark of a repeat"
    order = list(dict.fromkeys(one for _, one in got))
    assert order == ids
    assert len(got) - QUEUED <= KILLS, "at most the one in flight at each kill comes twice"


def test_a_kill_between_sending_and_recording_is_repeated_with_a_mark(tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    clock, sender = Clock(), FakeSender()
    with AlertStore(tmp_path / "alerts.sqlite", deliver_within=timedelta(days=9)) as store:
        store.raise_alerts([alert(n) for n in range(3)], clock.at)
        deliverer = Deliverer(store, Policy(ONE, tmp_path / "lock"), sender, clock=clock)

        def dies(*_: object, **__: object) -> None:
            raise KilledError

        with monkeypatch.context() as patched:
            patched.setattr(store, "record", dies)
            with pytest.raises(KilledError):
                deliverer.run()
        deliverer.run()
    titles = sender.titles("phone")
    assert titles == ["Alert 0", "[perhaps a repeat] Alert 0", "Alert 1", "Alert 2"]
