"""Trades that were fetched before they were received: the later copy is known and left out.

Belongs here: which fetched trades may still come, and which live ones are these. Does not belong
here: the comparison of what was fetched with what had come before (`backfill`).

One live trade after the other is compared, in order of arrival: the answer must not depend on how
many of them are handed over at once, as `backfill.are_new`'s does where conditions are missing.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from dealer_assets.domain.columns import Bools, Ints
from streaming.core.events import TRADE, Events
from streaming.feeds.backfill import CANCELS

KEPT_SECONDS = 600
"""How long after a fill a trade of it may come: what waits in buffers comes within minutes."""

_MS_US = 1000


class Fetched:
    """What fills have brought and no feed has delivered since."""

    def __init__(self) -> None:
        self._end_us = -1  # of the venue's time: what is later was not fetched
        self._forget_second = -1
        self._numbers: set[tuple[int, int]] = set()
        self._alike: defaultdict[tuple[float, ...], list[int]] = defaultdict(list)  # conditions

    def add(self, events: Events, second: int) -> None:
        """Remember the trades of a fill that was taken in within a second of the frames' clock."""
        trades = events.take(events.kind == TRADE)
        if not len(trades):
            return
        self._end_us = max(self._end_us, int(trades.event_us.max()))
        self._forget_second = second + KEPT_SECONDS
        rows = zip(_keys(trades), trades.number.tolist(), trades.conditions.tolist(), strict=True)
        for key, number, conditions in rows:
            if number >= 0:
                self._numbers.add((int(key[0]), number))
            else:
                self._alike[key].append(conditions)

    def forget(self, second: int) -> None:
        """Give up waiting when it has been long enough; at the beginning of a second."""
        if 0 <= self._forget_second <= second:
            self._forget()

    def _forget(self) -> None:
        self._end_us = self._forget_second = -1
        self._numbers.clear()
        self._alike.clear()

    def are_doubles(self, events: Events) -> Bools | None:
        """Tell which live events are trades that were fetched, each of which counts once.

        Parameters
        ----------
        events : Events, shape (n,)
            As they came.

        Returns
        -------
        bool array, shape (n,), or None
            None: none is.
        """
        if self._end_us < 0:
            return None
        is_meant = (events.kind == TRADE) & (events.event_us // _MS_US <= self._end_us // _MS_US)
        rows = np.flatnonzero(is_meant)
        if not rows.size:
            return None
        trades = events.take(rows)
        found = [
            self._take((int(key[0]), number)) if number >= 0 else self._take_alike(key, conditions)
            for key, number, conditions in zip(
                _keys(trades), trades.number.tolist(), trades.conditions.tolist(), strict=True
            )
        ]
        doubles = np.zeros(len(events), np.bool_)
        doubles[rows] = found
        if not (self._numbers or self._alike):
            self._forget()
        return doubles

    def _take(self, number: tuple[int, int]) -> bool:
        """Strike out a numbered trade; tell whether it was there."""
        if number not in self._numbers:
            return False
        self._numbers.remove(number)
        return True

    def _take_alike(self, key: tuple[float, ...], conditions: int) -> bool:
        """Strike out a trade that looks the same; tell whether there was one.

        With the same conditions, else where one side was told none and the other is no cancel.
        """
        waiting = self._alike.get(key)
        if waiting is None:
            return False
        if conditions not in waiting:
            if conditions:
                others = [0] if 0 in waiting and not conditions & CANCELS else []
            else:
                others = [bits for bits in waiting if not bits & CANCELS]
            if not others:
                return False
            conditions = others[0]
        waiting.remove(conditions)
        if not waiting:
            del self._alike[key]
        return True


def _keys(trades: Events) -> list[tuple[float, ...]]:
    """Return what makes trades the same: contract, millisecond, price, size, exchange."""
    at_ms: Ints = trades.event_us // _MS_US
    columns = (trades.contract, at_ms, trades.a, trades.size_a, trades.exchange)
    return list(zip(*(column.tolist() for column in columns), strict=True))
