"""A simulated market in Polygon's words, as many messages as a bench wants.

Belongs here: one session's listing, and trades, quotes and index values of it as JSON. Does not
belong here: sockets (`blaster`), what reads the frames.

Prices are Black's on a smile around a walking spot, so that forwards, vols and sides come out as
they would of a real market; a price depends on the minute, not on the message before. Contracts
near the money and of the session's own expiry are quoted and traded most. Same seed, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import floats
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from streaming.core.events import Frame
from streaming.core.listing import Listing
from streaming.start import Start, StreamOptions

DAY = date(2025, 12, 18)
QUOTED = 1000
"""Contracts that are quoted: the most that a connection to Polygon may have."""

_SECOND_US = 1_000_000
_RATE = 0.04
_TICK_USD = 0.05
_TRADE = '{"ev":"T","sym":"O:%s","x":%d,"p":%.2f,"s":%d,"c":[%d],"t":%d,"q":%d}'
_QUOTE = (
    '{"ev":"Q","sym":"O:%s","bx":302,"ax":301,"bp":%.2f,"ap":%.2f,"bs":%d,"as":%d,"t":%d,"q":%d}'
)
_VALUE = '{"ev":"V","val":%.2f,"T":"I:SPX","t":%d}'
_CONDITIONS = np.array([227, 232, 233, 209, 219])
_CONDITION_SHARES = (0.62, 0.2, 0.12, 0.05, 0.01)


@dataclass(frozen=True)
class Kinds:
    """How many messages of each kind."""

    quotes: int
    trades: int


class Market:
    """One session of SPX.

    Parameters
    ----------
    density : float
        Of the listing; 1 is 17,000 contracts.
    seed : int
        Of everything random.
    options : StreamOptions, optional
        What the desk does when.
    """

    def __init__(
        self, *, density: float = 1.0, seed: int = 7, options: StreamOptions | None = None
    ) -> None:
        lane, provider = underlying("SPX"), SimulatorProvider(seed=seed, density=density)
        interest = provider.open_interest(lane, session_date=DAY).rows
        self.start = Start(
            desk="us",
            feed="polygon",
            lanes=(lane,),
            sessions={lane.symbol: DAY},
            listed=provider.listing(lane, session_date=DAY).rows,
            open_interest=interest,
            curve=provider.rate_curve(DAY),
            options=options or StreamOptions(),
        )
        self.open_us = _us(sessions.session_open(lane.calendar, DAY))
        self.close_us = _us(sessions.session_close(lane.calendar, DAY))
        values = provider.index_values(lane, session_date=DAY).rows
        self._spot_at_open = float(np.nanmedian(floats(values, "value")[:1]))
        self._rng = np.random.default_rng(seed)
        self._listing = Listing.of((lane,), self.start.listed, interest)
        self._number = 0
        self.density = density

    @property
    def quoted(self) -> int:
        """Contracts that are quoted."""
        return int(self._quoted.size)

    @property
    def contracts(self) -> int:
        """Contracts listed."""
        return self._listing.size

    @cached_property
    def spot(self) -> NDArray[np.float64]:
        """Spot of every second of the session [USD]."""
        seconds = (self.close_us - self.open_us) // _SECOND_US + 2
        steps = np.random.default_rng(3).normal(0.0, 0.16 / np.sqrt(252 * 23_400), seconds)
        return self._spot_at_open * np.exp(np.cumsum(steps))

    @cached_property
    def _weight(self) -> NDArray[np.float64]:
        """How often a contract trades; sums to 1."""
        listing = self._listing
        days = np.maximum((listing.expires_us - self.open_us) / 86_400e6, 0.2)
        distance = np.log(listing.strike / self._spot_at_open) / (0.01 * np.sqrt(days + 0.5))
        weight = np.exp(-0.5 * (distance / 1.3) ** 2) / days + 1e-7
        weight[listing.expires_us <= self.open_us] = 0.0
        return np.asarray(weight / weight.sum())

    @cached_property
    def _quoted(self) -> NDArray[np.int64]:
        """Contracts that are quoted: near the money of all expiries, both rights of a strike."""
        listing = self._listing
        order = np.argsort(-(self._weight**0.3), kind="stable")
        both = np.stack([order, listing.partner[order]], axis=1).ravel()
        _, first = np.unique(both, return_index=True)
        chosen = both[np.sort(first)]
        return np.asarray(chosen[chosen >= 0][:QUOTED])

    def _fair(self, at_us: int) -> NDArray[np.float64]:
        """Fair price of every contract at an instant [USD]."""
        listing = self._listing
        spot = self.spot[(at_us - self.open_us) // _SECOND_US]
        years = np.maximum(listing.expires_us - at_us, 60 * _SECOND_US) / (365.25 * 86_400e6)
        forward, discount = spot * np.exp(0.01 * years), np.exp(-_RATE * years)
        moneyness = np.log(listing.strike / forward)
        scaled = np.clip(moneyness / (0.16 * np.sqrt(years)), -4.0, 4.0)
        vol = 0.15 * (1.0 - 0.08 * scaled + 0.03 * scaled**2)
        deviation = vol * np.sqrt(years)
        d1 = -moneyness / deviation + 0.5 * deviation
        sign = np.where(listing.is_call, 1.0, -1.0)
        value = sign * (forward * ndtr(sign * d1) - listing.strike * ndtr(sign * (d1 - deviation)))
        return np.asarray(np.maximum(discount * value, 0.0))

    def messages(self, at_us: NDArray[np.int64], *, quotes: float) -> list[str]:
        """Make a message for each instant, all of one minute's prices.

        Parameters
        ----------
        at_us : int64 array, shape (n,)
            Venue's instants, ascending, microseconds since 1970.
        quotes : float
            Share of quotes; the rest are trades.
        """
        n, rng = at_us.size, self._rng
        is_quote = rng.random(n) < quotes
        contract = np.where(
            is_quote,
            rng.choice(self._quoted, n),
            rng.choice(self._listing.size, n, p=self._weight),
        )
        mid = self._fair(int(at_us[0]))[contract]
        half = np.maximum(np.round(0.01 * mid / _TICK_USD), 1.0) * _TICK_USD / 2.0
        bid = np.maximum(np.floor((mid - half + rng.normal(0, half / 4)) / _TICK_USD), 0.0)
        bid *= _TICK_USD
        ask = bid + np.maximum(np.round(2.0 * half / _TICK_USD), 1.0) * _TICK_USD
        price = np.where(rng.random(n) < 0.5, np.maximum(bid, _TICK_USD), ask)
        size = 1 + rng.geometric(0.15, n)
        other = 1 + rng.geometric(0.05, n)
        exchange = rng.integers(300, 320, n)
        condition = rng.choice(_CONDITIONS, n, p=_CONDITION_SHARES)
        number = np.arange(self._number, self._number + n)
        self._number += n
        symbols = self._listing.symbols
        columns = (is_quote, contract, bid, ask, price, size, other, exchange, condition)
        return [
            _QUOTE % (symbols[c], b, a, s, o, t, q)
            if quoted
            else _TRADE % (symbols[c], x, p, s, k, t, q)
            for quoted, c, b, a, p, s, o, x, k, t, q in zip(
                *(column.tolist() for column in (*columns, at_us // 1000, number)), strict=True
            )
        ]

    def standing(self) -> list[str]:
        """Make what a desk needs before it can price: spot, and a quote of all quoted contracts."""
        fair = self._fair(self.open_us)[self._quoted]
        bid = np.floor(fair * 0.99 / _TICK_USD) * _TICK_USD
        ask = bid + np.maximum(np.round(0.02 * fair / _TICK_USD), 1.0) * _TICK_USD
        at = self.open_us // 1000
        rows = zip(self._quoted.tolist(), bid.tolist(), ask.tolist(), strict=True)
        symbols = self._listing.symbols
        quotes = [_QUOTE % (symbols[c], b, a, 10, 20, at, i) for i, (c, b, a) in enumerate(rows)]
        return [_VALUE % (self.spot[0], at), *quotes]

    def value(self, at_us: int) -> str:
        """Make the index's value of a second."""
        second = (at_us - self.open_us) // _SECOND_US
        return _VALUE % (self.spot[second], at_us // 1000)


def payloads_of(messages: Sequence[str], per_frame: int) -> list[bytes]:
    """Put messages into frames as the vendor does."""
    return [
        f"[{','.join(messages[i : i + per_frame])}]".encode()
        for i in range(0, len(messages), per_frame)
    ]


def burst(market: Market, events: int, *, quotes: float) -> list[str]:
    """Make many messages of the session's first minute."""
    at_us = market.open_us + _SECOND_US + np.arange(events) * (50 * _SECOND_US) // max(events, 1)
    return market.messages(at_us, quotes=quotes)


def day(market: Market, kinds: Kinds, *, slot_us: int = 40_000) -> Iterator[list[Frame]]:
    """Yield a whole session minute by minute: busy at both ends, an index value every second.

    Messages of a slot of time are one frame, received 5 ms after the slot's end.
    """
    rng = np.random.default_rng(11)
    minutes = (market.close_us - market.open_us) // (60 * _SECOND_US)
    x = np.linspace(-1.0, 1.0, minutes)
    busy = (0.6 + 1.4 * x**4) / (0.6 + 1.4 * x**4).sum()
    total, share = kinds.quotes + kinds.trades, kinds.quotes / (kinds.quotes + kinds.trades)
    yield [
        Frame("polygon", "options", market.open_us + 1000, payload)
        for payload in payloads_of(market.standing(), 100)
    ]
    done = 0
    for minute in range(minutes):
        begin = market.open_us + minute * 60 * _SECOND_US
        until = round(total * busy[: minute + 1].sum())
        at_us = np.sort(begin + rng.integers(2000, 60 * _SECOND_US - 100_000, until - done))
        done = until
        messages = market.messages(at_us, quotes=share)
        slots = at_us // slot_us
        cuts = np.flatnonzero(np.diff(slots, prepend=-1)).tolist()
        frames = [
            Frame(
                "polygon",
                "options",
                (int(slots[first]) + 1) * slot_us + 5000,
                f"[{','.join(messages[first:end])}]".encode(),
            )
            for first, end in zip(cuts, [*cuts[1:], len(messages)], strict=True)
        ]
        for second in range(60):
            at = begin + second * _SECOND_US
            text = f"[{market.value(at)}]".encode()
            frames.append(Frame("polygon", "indices", at + 20_000, text))
        yield sorted(frames, key=lambda frame: frame.received_us)


def _us(instant: datetime) -> int:
    return int(instant.astimezone(UTC).timestamp()) * _SECOND_US
