"""The live process, killed at any moment, loses no trade and doubles none."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dealer_assets_tests.streaming.chaos_kills import Killer, killer
from dealer_assets_tests.streaming.chaos_market import OPEN, Outcome, market

OPEN_US = int(OPEN.timestamp() * 1e6)


def kill_at(moment: int, killed: Killer, draw: random.Random) -> None:
    """Start the process and kill it: while it opens, fills gaps, or is at work."""
    killed.start()
    stage: tuple[Callable[[], object], float] = (
        (lambda: True, 0.6),  # while it opens the session
        (lambda: killed.statuses, 0.4),  # while it connects and asks for what was missed
        (lambda: killed.trades, 0.8),  # while it is at work
    )[moment % 3]
    killed.until(stage[0])
    time.sleep(draw.uniform(0.0, stage[1]))
    killed.kill()


@pytest.mark.parametrize(
    ("kills", "seed"), [(3, 20261121), pytest.param(50, 20261122, marks=pytest.mark.chaos)]
)
def test_killed_at_random_moments_the_lake_holds_every_trade_once(
    tmp_path: Path, kills: int, seed: int
) -> None:
    draw, data = random.Random(seed), tmp_path / "data"
    with market(after=5.0) as venue, killer(venue, data, tmp_path / "log") as killed:
        for moment in range(kills):
            kill_at(moment + 1, killed, draw)
        killed.start()
        killed.until(lambda: killed.is_whole and killed.trades > 3, seconds=60.0)
        assert killed.end(signal.SIGTERM) == 0, killed.tail()
        found = Outcome.of(data, venue.symbol)
        found.assert_numbered(killed.acknowledged)
        found.assert_clock_never_back()
        assert found.assert_whole(venue, OPEN_US) > 10 * kills
    last = {}
    for gap in found.gaps:
        last[gap["event_at"], gap["until"], gap["reason"]] = gap["status"]
    assert set(last.values()) == {"backfilled"}
    starts = [key for key in last if key[2] == "start"]
    assert len(starts) >= kills - kills // 3  # whoever lived to begin noted what it had missed
    assert not list((data / "stream" / "journal").rglob("*.journal"))
