"""Does the live process's memory stay where it is? Hours of load on loopback, a look every second.

Belongs here: the load, and the line through the samples. Does not belong here: who sends
(`blaster`), what is measured (`stream_desk`).

``python -m dealer_assets_tests.bench.soak --minutes 30`` ends with code 1 when memory grows by more
than the book of the session's trades, which has to grow: a row of `TradeLog` for each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dealer_assets_tests.bench.blaster import Plan, blasting
from dealer_assets_tests.bench.frame_source import Market, burst, payloads_of
from dealer_assets_tests.bench.stream_desk import Found, Wishes, desk_process

EVENTS_PER_SECOND = 20_000.0
QUOTES = 0.99
_PER_FRAME = 20
_WARM = 2000
_ROUND_SECONDS = 10
_TOLERANCE_MB_PER_HOUR = 60.0
"""What allocators and caches may seem to grow by in half an hour without growing."""


@dataclass(frozen=True)
class Soak:
    """What came of it.

    Parameters
    ----------
    found : Found
        What the desk says.
    seconds : float
        How long the load lasted.
    slope_mb_per_hour : float
        Of a line through the samples of the second half.
    log_mb_per_hour : float
        What the trades' log grows by in that time: that much is no leak.
    """

    found: Found
    seconds: float
    slope_mb_per_hour: float
    log_mb_per_hour: float

    @property
    def is_stable(self) -> bool:
        """Whether nothing but the log grows."""
        return self.slope_mb_per_hour - self.log_mb_per_hour <= _TOLERANCE_MB_PER_HOUR

    def __str__(self) -> str:
        memory, found = np.array(self.found.memory_mb), self.found
        events = found.quotes + found.trades + found.conflated
        return (
            f"{events:,} events in {self.seconds:,.0f} s ({events / self.seconds:,.0f}/s, "
            f"{found.trades:,} trades, {found.conflated:,} quotes conflated, {found.trade_rows:,} "
            f"rows): memory {found.ready_mb:.0f} MB ready, {memory.min():.0f} to "
            f"{memory.max():.0f} MB, last {memory[-1]:.0f} MB; slope of the second half "
            f"{self.slope_mb_per_hour:+.1f} MB/h, of which the trades' log "
            f"{self.log_mb_per_hour:.1f}; {'stable' if self.is_stable else 'GROWING'}"
        )


def soak(
    folder: Path,
    market: Market,
    *,
    minutes: float,
    events_per_second: float = EVENTS_PER_SECOND,
    quotes: float = QUOTES,
) -> Soak:
    """Run the load and look at memory every second.

    Parameters
    ----------
    folder : pathlib.Path
        Scratch folder.
    market : Market
        Source of messages; ten seconds of it are sent over and over.
    minutes : float
        How long.
    events_per_second : float
        Load.
    quotes : float
        Share of quotes.
    """
    size = int(_ROUND_SECONDS * events_per_second)
    messages = burst(market, _WARM + size, quotes=quotes)
    before = payloads_of(market.standing(), 100) + payloads_of(messages[:_WARM], _PER_FRAME)
    main = payloads_of(messages[_WARM:], _PER_FRAME)
    repeats = max(round(minutes * 60.0 / _ROUND_SECONDS), 1)
    plan = Plan(_PER_FRAME, events_per_second=events_per_second, repeats=repeats)
    with blasting(folder, before, main, plan) as sender:
        wishes = Wishes(
            str(folder),
            sender.port,
            before=market.quoted + _WARM,
            main=size * repeats,
            density=market.density,
            sample_seconds=1.0,
            at_most_seconds=60.0 * minutes + 300.0,
        )
        with desk_process(wishes) as desk:
            desk.ready()
            sender.go()
            sent = sender.sent()
            found = desk.found()
    seconds = (sent.ended_ns - sent.began_ns) / 1e9
    half = np.array(found.memory_mb[len(found.memory_mb) // 2 :])
    slope = float(np.polyfit(np.arange(half.size), half, 1)[0]) * 3600.0
    return Soak(found, seconds, slope, found.trades / seconds * 3600.0 * _log_bytes() / 2**20)


def _log_bytes() -> int:
    """Return the bytes of a trade in the book's log."""
    from dealer_assets.domain.flow.records import LOG

    return int(LOG.itemsize)


def main() -> int:
    """Soak; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--events", type=float, default=EVENTS_PER_SECOND, help="a second")
    parser.add_argument("--quotes", type=float, default=QUOTES, help="share")
    parser.add_argument("--density", type=float, default=1.0, help="of the listing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = soak(
            Path(folder),
            Market(density=given.density),
            minutes=given.minutes,
            events_per_second=given.events,
            quotes=given.quotes,
        )
    sys.stdout.write(f"{done}\n")
    return 0 if done.is_stable else 1


if __name__ == "__main__":
    sys.exit(main())
