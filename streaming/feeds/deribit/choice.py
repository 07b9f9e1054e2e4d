"""Which options' tickers are followed: those with most open interest, as it is now.

Belongs here: reading open interest from a book summary, choosing, and trades that were left out.
Does not belong here: asking for the summary, subscribing (`talk`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from streaming.feeds.deribit.messages import UNREADABLE, is_option
from streaming.feeds.deribit.wishes import Market, TalkOptions


class _Row(msgspec.Struct, gc=False):
    instrument_name: str
    open_interest: float | None = None


_rows = msgspec.json.Decoder(list[_Row])


def read_open_interest(result: bytes, roots: Collection[str]) -> dict[str, float]:
    """Return open interest by option of a book summary.

    Parameters
    ----------
    result : bytes
        JSON: the member ``result`` of the reply.
    roots : collection of str
        Roots wanted; the summary of a stable coin has other coins' options too.

    Returns
    -------
    dict of str to float
        Coin; empty when the result cannot be read.
    """
    try:
        rows = _rows.decode(result)
    except UNREADABLE:
        return {}
    return {
        row.instrument_name: row.open_interest
        for row in rows
        if row.open_interest is not None
        and row.open_interest >= 0.0
        and row.instrument_name.partition("-")[0] in roots
        and is_option(row.instrument_name)
    }


def most_open(
    open_interest: Mapping[str, float], count: int, *, gone: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the options with most open interest, most first; of equals the first by name.

    Parameters
    ----------
    open_interest : mapping of str to float
        By instrument.
    count : int
        How many at most.
    gone : collection of str
        Instruments that do not trade any more.
    """
    left = [(-size, name) for name, size in open_interest.items() if name not in gone]
    return tuple(name for _, name in sorted(left)[:count])


GONE = frozenset({"delivered", "archivized", "closed", "terminated", "expired"})
"""States of instruments that will not trade again; settlement passes, every day."""


class Choice:
    """Which options are followed; outlives connections.

    Parameters
    ----------
    market : Market
        What is traded.
    options : TalkOptions
        How many, how often.
    """

    def __init__(self, market: Market, options: TalkOptions) -> None:
        self._market, self._options = market, options
        self._interest: dict[str, dict[str, float]] = {}
        self._gone: set[str] = set()
        self._due = 0.0
        self.chosen: tuple[str, ...] = ()

    def channels(self) -> list[str]:
        """Return all channels to follow."""
        tickers = [f"ticker.{name}.{self._options.interval}" for name in self.chosen]
        return self._market.channels(self._options) + tickers

    def learn(self, currency: str, result: bytes, now: float) -> bool:
        """Take note of a book summary; returns whether the choice was made anew."""
        found = read_open_interest(result, self._market.roots)
        if found:
            self._interest[currency] = found
        is_due = bool(found) and now >= self._due
        if is_due:
            if len(self._interest) == len(self._market.currencies):
                self._due = now + self._options.choose_seconds
            self._choose()
        return is_due

    def live_or_die(self, name: str, state: str) -> bool:
        """Take note of an instrument's state; returns whether the choice was made anew."""
        if state not in GONE:
            self._gone.discard(name)
            return False
        self._gone.add(name)
        is_chosen = name in self.chosen
        if is_chosen:
            self._choose()
        return is_chosen

    def _choose(self) -> None:
        every = {name: size for one in self._interest.values() for name, size in one.items()}
        self._gone &= every.keys()  # the rest is in no summary any more
        self.chosen = most_open(every, self._options.tickers, gone=self._gone)


class TradeNumbers:
    """Numbers of trades by instrument: tells that one was left out.

    The venue numbers the trades of each instrument without holes, so a hole is a trade that was not
    sent: nothing else would show it while the connection stands.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def hole(self, trades: Iterable[tuple[str, float | None]], now_us: int) -> int | None:
        """Take note of trades; when a number was skipped, return since when one is missing.

        Parameters
        ----------
        trades : iterable of (str, float or None)
            Instrument and number, in order of arrival.
        now_us : int
            When they were received, microseconds since 1970.

        Returns
        -------
        int or None
            When the trade before the hole was received; of several holes the earliest.
        """
        found = None
        for name, number in trades:
            if number is None:
                continue
            last = self._last.get(name)
            if last is not None and number > last[0] + 1:
                found = last[1] if found is None else min(found, last[1])
            if last is None or number > last[0]:
                self._last[name] = number, now_us
        return found
