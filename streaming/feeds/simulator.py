"""The embedded market as a feed: every print, chosen contracts' quotes, spot every second.

Belongs here: rows of the simulated tape as frames in time. Does not belong here: the market
(`dealer_assets.providers.simulator`).

Frames come every 100 ms of the session and depend on nothing but session, market and choice of
contracts: not on when the process started, and not on the speed they are played at. A process that
starts within a session gets the quotes that stand, and fetches the prints before as a backfill.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final, TypeVar, cast

import numpy as np

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Ints, floats, integers
from dealer_assets.domain.selection import nearest_the_money
from dealer_assets.providers.simulator.market_day import MarketDay, market_day
from dealer_assets.providers.simulator.prints import Prints
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.simulator.tape import contract_prints
from dealer_assets.providers.simulator.tape_blocks import block_names
from dealer_assets.underlyings import Underlying
from streaming.clock import Clock, us_of
from streaming.core.events import (
    BLOCK,
    COMBO,
    FIRST_CONDITION,
    QUOTE,
    SPOT,
    TRADE,
    Events,
    Frame,
    concatenated,
    no_events,
)
from streaming.feeds.base import Deliver
from streaming.feeds.packed import pack
from streaming.feeds.pausing import PlayedFeed

NAME: Final = "simulator"
CHANNEL: Final = "tape"
Made = TypeVar("Made")

SLOT_US = 100_000
"""Events of a slot arrive together, at its end."""

REQUOTED_SECONDS = 10
"""How often each standing quote is told again, as venues do: an unchanged one would go stale."""

_SECOND_US = 1_000_000
_ORDER = {SPOT: 0, QUOTE: 1, TRADE: 2}


@dataclass(frozen=True)
class SessionTape:
    """Everything that changes in a session, in order of the venue's time.

    Parameters
    ----------
    events : Events
        `contract` counts `symbols`, of a `SPOT` `lanes`; `received_us` is the end of the slot.
    symbols, lanes : sequence of str
        Names.
    expires_us : int64 array, shape (symbols,)
        When each contract ends; its quote is not told again afterwards.
    open_us, end_us : int
        The session's first instant, and the one after its last frame; microseconds since 1970.
    """

    events: Events
    symbols: Sequence[str]
    lanes: Sequence[str]
    expires_us: Ints
    open_us: int
    end_us: int

    def frames(self, from_us: int, *, stretch: int = 256) -> Iterator[list[Frame]]:
        """Yield frames from an instant on, some at a time; the first holds what stands then.

        There is one at least every second: it says that time passed, and begins with the quotes
        whose turn it is to be told again.

        Parameters
        ----------
        from_us : int
            Microseconds since 1970.
        stretch : int
            Frames at a time.
        """
        first_us = max(from_us, self.open_us) // SLOT_US * SLOT_US
        begin = int(np.searchsorted(self.events.received_us, first_us, "right"))
        frames = [self._frame(first_us, self._standing(begin))] if begin else []
        ends = np.unique(self.events.received_us[begin:])
        seconds = np.arange(first_us // _SECOND_US + 1, self.end_us // _SECOND_US + 1) * _SECOND_US
        ends = np.union1d(ends, seconds)
        cuts = np.searchsorted(self.events.received_us, ends, "right")
        last = self._followed(np.full(len(self.symbols), -1, np.int64), 0, begin)
        known = begin
        for at_us, end in zip(ends.tolist(), cuts.tolist(), strict=True):
            events = self.events.take(slice(begin, end))
            if at_us % _SECOND_US == 0:
                last = self._followed(last, known, begin)
                known = begin
                events = concatenated([self._requoted(last, at_us), events])
            frames.append(self._frame(at_us, events))
            begin = end
            if len(frames) >= stretch:
                yield frames
                frames = []
        if frames:
            yield frames

    def _frame(self, at_us: int, events: Events) -> Frame:
        payload = pack(events, self.symbols, self.lanes) if len(events) else b""
        return Frame(NAME, CHANNEL, at_us, payload)

    def _followed(self, last: Ints, begin: int, end: int) -> Ints:
        """Enter some rows' quotes into the row of each contract's last one, -1 before the first."""
        rows = begin + np.flatnonzero(self.events.kind[begin:end] == QUOTE)
        last[self.events.contract[rows]] = rows
        return last

    def _requoted(self, last: Ints, at_us: int) -> Events:
        """Return the standing quotes that are told again in the slot that ends at a full second."""
        rows = last[at_us // _SECOND_US % REQUOTED_SECONDS :: REQUOTED_SECONDS]
        rows = rows[rows >= 0]
        event_us = at_us - SLOT_US
        events = self.events.take(rows[self.expires_us[self.events.contract[rows]] > event_us])
        events.event_us[:], events.received_us[:] = event_us, at_us
        return events

    def _standing(self, end: int) -> Events:
        """Return the last quote of every contract and the last spot of every lane before a row."""
        kind, contract = self.events.kind[:end], self.events.contract[:end]
        rows = np.flatnonzero(kind != TRADE)[::-1]
        key = contract[rows] * np.int64(2) + (kind[rows] == SPOT)
        _, last = np.unique(key, return_index=True)
        return self.events.take(np.sort(rows[last]))


def session_tape(
    provider: SimulatorProvider,
    lanes: Sequence[Underlying],
    sessions_of: dict[str, date],
    *,
    quoted: int,
) -> SessionTape:
    """Put a session's tape together; takes some seconds for SPX and SPY.

    Parameters
    ----------
    provider : SimulatorProvider
        The market.
    lanes : sequence of Underlying
        Underlyings of one calendar.
    sessions_of : dict of str to datetime.date
        Session by underlying symbol.
    quoted : int
        Contracts with quotes, shared evenly by the lanes; those whose gamma counts most at the
        open. All contracts' prints are there.
    """
    parts: list[Events] = []
    symbols: list[str] = []
    expires_us: list[Ints] = []
    for number, lane in enumerate(lanes):
        day = _market(provider, lane, sessions_of[lane.symbol])
        names = day.session.listing.columns["symbol"].to_pylist()
        made = [
            _spots(day, number),
            _quotes(provider, lane, day, names=names, count=quoted // len(lanes)),
            _trades(day, contract_prints(day, np.arange(len(names)))),
        ]
        for one in made[1:]:
            one.contract[:] += len(symbols)
        parts += made
        symbols += names
        listed = day.session.listing
        expires_us.append(listed.expires_us[listed.slice_id])
    events = concatenated(parts)
    rank = np.array([_ORDER.get(kind, 3) for kind in range(5)], np.int8)[events.kind]
    events = events.take(np.lexsort((rank, events.event_us)))
    calendar, last = lanes[0].calendar, sessions_of[lanes[0].symbol]
    return SessionTape(
        events=events,
        symbols=symbols,
        lanes=[lane.symbol for lane in lanes],
        expires_us=np.concatenate(expires_us),
        open_us=us_of(sessions.session_open(calendar, last)),
        end_us=us_of(sessions.quotes_end(calendar, last)) + SLOT_US,
    )


def _market(provider: SimulatorProvider, lane: Underlying, day: date) -> MarketDay:
    return market_day(provider.seed, lane.symbol, day=day, density=provider.density)


def _slot_end(event_us: Ints) -> Ints:
    return (event_us // SLOT_US + 1) * SLOT_US


def _blank(kind: int, event_us: Ints) -> Events:
    events = no_events(event_us.size)
    events.kind[:] = kind
    events.event_us[:] = event_us
    events.received_us[:] = _slot_end(event_us)
    return events


def _spots(day: MarketDay, lane: int) -> Events:
    """Spot of every second: the value of its minute, which quotes and prints are made with."""
    minutes = day.session.path.minutes
    spot = np.repeat(day.session.path.spot[:minutes], 60)
    events = _blank(SPOT, day.session.open_us + np.arange(spot.size) * _SECOND_US)
    events.contract[:] = lane
    events.a[:] = spot
    return events


def _quotes(
    provider: SimulatorProvider,
    lane: Underlying,
    day: MarketDay,
    *,
    names: Sequence[str],
    count: int,
) -> Events:
    columns = day.session.listing.columns
    chosen = nearest_the_money(
        columns, spot=float(day.session.path.spot[0]), at=day.opened, count=count
    )
    rows = provider.quotes(lane, session_date=day.day, symbols=chosen).rows
    place = {name: i for i, name in enumerate(names)}
    encoded = rows["symbol"].combine_chunks().dictionary_encode()
    found = np.array([place[name] for name in encoded.dictionary.to_pylist()], np.int32)
    events = _blank(QUOTE, integers(rows, "event_at"))
    events.contract[:] = found[encoded.indices.to_numpy()] if len(found) else 0
    events.a[:], events.b[:] = floats(rows, "bid"), floats(rows, "ask")
    events.size_a[:] = floats(rows, "bid_size_contracts")
    events.size_b[:] = floats(rows, "ask_size_contracts")
    events.sequence[:] = integers(rows, "sequence")
    return events


def _trades(day: MarketDay, prints: Prints) -> Events:
    events = _blank(TRADE, prints.event_us)
    events.contract[:] = prints.contract
    events.a[:] = prints.price_usd
    events.size_a[:] = prints.size
    events.number[:] = np.arange(prints.size.size)
    if day.entry.calendar == "24/7":
        events.taker[:] = np.where(prints.is_buy, 1, -1)
        combos = np.array([name is not None for name in block_names(day, prints)[1]], np.bool_)
        events.conditions[:] = BLOCK * (prints.block > 0) + COMBO * combos
    else:
        events.exchange[:] = prints.exchange
        events.conditions[:] = np.int64(1) << np.maximum(prints.condition - FIRST_CONDITION, 0)
        offset = prints.event_us - day.session.open_us
        events.sequence[:] = offset * 8 + np.minimum(prints.ordinal, 7)
    return events


class SimulatorFeed(PlayedFeed):
    """Delivers a simulated session at the pace of a clock.

    Parameters
    ----------
    provider : SimulatorProvider
        The market.
    lanes : sequence of Underlying
        Underlyings of one calendar.
    sessions_of : dict of str to datetime.date
        Session by underlying symbol.
    clock : Clock
        Where in the session it starts, and its pace.
    quoted : int
        Contracts with quotes.
    """

    name = NAME

    def __init__(
        self,
        provider: SimulatorProvider,
        *,
        lanes: Sequence[Underlying],
        sessions_of: dict[str, date],
        clock: Clock,
        quoted: int,
    ) -> None:
        super().__init__(clock)
        self._make = partial(session_tape, provider, tuple(lanes), sessions_of, quoted=quoted)
        self._quoted = quoted

    async def run(self, deliver: Deliver) -> None:
        """Deliver what is left of the session and return."""
        self.state.phase = "connecting"
        # a thread: the loop has an API to serve meanwhile
        tape = await _made(self._make)
        self.state.wanted = self.state.confirmed = self._quoted
        await self._play(tape.frames(self._clock.now_us()), deliver)


async def _made(make: Callable[[], Made]) -> Made:
    """Make something in a thread that the process does not wait for when it ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Made] = loop.create_future()

    def tell(result: Made | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(cast(Made, result))

    def work() -> None:
        result, error = None, None
        try:
            result = make()
        except Exception as raised:  # noqa: BLE001 - it is raised where the result is awaited
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=work, name="simulator", daemon=True).start()
    return await future


def prints_between(
    provider: SimulatorProvider, lane: Underlying, day: date, *, from_us: int, until_us: int
) -> tuple[list[str], Events]:
    """Return the prints of a stretch of time, as the venue would tell them afterwards.

    Parameters
    ----------
    provider : SimulatorProvider
        The market.
    lane : Underlying
        Underlying.
    day : datetime.date
        Session.
    from_us, until_us : int
        Of receipt, microseconds since 1970; the end is included, as the feed's first frame is of
        what comes after it.

    Returns
    -------
    symbols, events
        Names that `Events.contract` counts; the prints, numbered as on the feed.
    """
    market = _market(provider, lane, day)
    names = market.session.listing.columns["symbol"].to_pylist()
    events = _trades(market, contract_prints(market, np.arange(len(names))))
    inside = (events.received_us > from_us) & (events.received_us <= until_us)
    return names, events.take(inside)
