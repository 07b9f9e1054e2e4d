"""The flow of one underlying: which bar a print falls in, what the session's flow comes to so far.

Belongs here: prints waiting for their bar to end, cumulative sums, picking up after a restart. Does
not belong here: the sums themselves (`domain/flow/bars.py`), the clock (`engine`), rows (`rows`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.flow.bars import (
    ABSOLUTE_HEDGE,
    BUCKETS,
    HEDGE,
    MEASURES,
    Bars,
    additions,
    bars_of,
    bucket_of,
)

SECOND_US, MINUTE_US = 1_000_000, 60_000_000
SECOND, MINUTE = 0, 1
"""Places in `tables.live.FLOW_INTERVALS`."""

LENGTHS = (SECOND_US, MINUTE_US)

_NO_BARS = Bars(np.empty(0, np.int64), np.empty((len(MEASURES), 0)))


@dataclass(frozen=True, slots=True)
class Prints:
    """Prints of one underlying in order of receipt, as far as flow needs them; shape (n,).

    Parameters
    ----------
    contract : int64 array
        Row of the `Listing`.
    received_us : int64 array
        Microseconds since 1970.
    bucket : int64 array
        Of `bucket_of`.
    added : float64 array, shape (9, n)
        Of `additions`.
    """

    contract: Ints
    received_us: Ints
    bucket: Ints
    added: Floats

    @classmethod
    def of(
        cls,
        contract: Ints,
        received_us: Ints,
        *,
        is_call: Bools,
        is_zero_dte: Bools,
        size: Floats,
        volume: Floats,
        dealer: Floats,
        premium: Floats,
        hedge_flow: Floats,
        gamma_flow: Floats,
    ) -> Prints:
        """Sort prints into buckets and work out what each adds; arrays as in `LIVE_TRADES`."""
        added = additions(
            volume, dealer=dealer, premium=premium, hedge_flow=hedge_flow, gamma_flow=gamma_flow
        )
        return cls(contract, received_us, bucket_of(is_call, is_zero_dte, size), added)

    def take(self, index: slice | NDArray[np.bool_]) -> Prints:
        """Return chosen prints."""
        return Prints(
            self.contract[index], self.received_us[index], self.bucket[index], self.added[:, index]
        )


@dataclass(frozen=True, slots=True)
class FlowBars:
    """Bars by bucket of one interval that ended, with what the session comes to by then.

    Parameters
    ----------
    interval : int
        `SECOND` or `MINUTE`.
    end_us : int
        End, microseconds since 1970.
    bars : Bars
        By bucket.
    cumulative : float64 array, shape (2, m)
        Hedging flow of those buckets since the open, and its absolute.
    """

    interval: int
    end_us: int
    bars: Bars
    cumulative: Floats

    @property
    def start_us(self) -> int:
        """Start, microseconds since 1970."""
        return self.end_us - LENGTHS[self.interval]


class LaneFlow:
    """Open bars and cumulative flow of one underlying and session.

    Attributes
    ----------
    cumulative : float64 array, shape (9, 16)
        Sums of all closed seconds of the session, measures by bucket.
    """

    def __init__(self) -> None:
        self.cumulative: Floats = np.zeros((len(MEASURES), BUCKETS))
        self._open: tuple[list[Prints], list[Prints]] = ([], [])

    def add(self, prints: Prints) -> None:
        """Take in prints of the second that runs."""
        for waiting in self._open:
            waiting.append(prints)

    def open_end_us(self, interval: int) -> int:
        """Return when the open bar of an interval ends; -1 when nothing waits."""
        waiting = self._open[interval]
        if not waiting:
            return -1
        length = LENGTHS[interval]
        return (int(waiting[0].received_us[0]) // length + 1) * length

    def close(
        self, interval: int, end_us: int, watched: Ints | None = None
    ) -> tuple[FlowBars | None, Bars]:
        """End a bar.

        Parameters
        ----------
        interval : int
            `SECOND` or `MINUTE`; the second that ends with a minute must be closed first.
        end_us : int
            Its end, microseconds since 1970.
        watched : int64 array, optional
            Contracts that get bars of their own; all when absent.

        Returns
        -------
        tuple of FlowBars or None, and Bars
            By bucket, None when nothing traded; by contract.
        """
        waiting = self._open[interval]
        if not waiting:
            return None, _NO_BARS
        prints = _joined(waiting)
        waiting.clear()
        bars = bars_of(prints.bucket, prints.added, groups=BUCKETS)
        if interval == SECOND:
            self.cumulative[:, bars.key] += bars.sums
        cumulative = self.cumulative[[[HEDGE], [ABSOLUTE_HEDGE]], bars.key]
        if watched is not None:
            prints = prints.take((prints.contract[:, None] == watched).any(axis=1))
        by_contract = bars_of(prints.contract, prints.added) if prints.contract.size else _NO_BARS
        return FlowBars(interval, end_us, bars, cumulative), by_contract

    def restore(self, prints: Prints, *, emitted: int) -> list[FlowBars]:
        """Take over the session so far.

        Parameters
        ----------
        prints : Prints
            Everything received before.
        emitted : int
            Rows of bars by bucket that exist already. Bars follow from prints alone, so their
            number tells which they are.

        Returns
        -------
        list of FlowBars
            Ended bars whose rows did not come to exist; the bars of the last prints stay open
            unless they have ended already.
        """
        found: list[FlowBars] = []
        second = prints.received_us // SECOND_US
        first = np.flatnonzero(np.diff(second, prepend=-1))
        for start, stop in zip(first, np.append(first[1:], second.size), strict=True):
            now_us = int(second[start]) * SECOND_US
            found += self.close_until(now_us)
            self.add(prints.take(slice(int(start), int(stop))))
        for interval in (SECOND, MINUTE):
            rows = sum(block.bars.key.size for block in found)
            if rows < emitted and (end_us := self.open_end_us(interval)) >= 0:
                found += self.close_until(end_us)
        return _after(found, emitted)

    def close_until(self, now_us: int) -> list[FlowBars]:
        """End the open bars that are over by an instant, by bucket alone."""
        ended = []
        for interval in (SECOND, MINUTE):
            end_us = self.open_end_us(interval)
            if 0 <= end_us <= now_us and (block := self.close(interval, end_us)[0]) is not None:
                ended.append(block)
        return ended


def _joined(parts: list[Prints]) -> Prints:
    if len(parts) == 1:
        return parts[0]
    return Prints(
        np.concatenate([part.contract for part in parts]),
        np.concatenate([part.received_us for part in parts]),
        np.concatenate([part.bucket for part in parts]),
        np.concatenate([part.added for part in parts], axis=1),
    )


def _after(blocks: list[FlowBars], rows: int) -> list[FlowBars]:
    """Leave out the first rows of several blocks."""
    kept = []
    for block in blocks:
        size = block.bars.key.size
        if rows < size:
            bars = Bars(block.bars.key[rows:], block.bars.sums[:, rows:])
            kept.append(FlowBars(block.interval, block.end_us, bars, block.cumulative[:, rows:]))
        rows = max(0, rows - size)
    return kept
