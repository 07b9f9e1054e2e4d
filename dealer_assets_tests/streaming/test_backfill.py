"""After a gap the log holds the exchange's tape, every print exactly once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import SecretStr

from dealer_assets.domain.sessions import session_open
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import polygon_ws_events as venue
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import KEY, World
from streaming.core.book import Book
from streaming.core.events import Frame
from streaming.core.listing import Listing
from streaming.feeds.backfill import CANCELS, Filled, Prints, are_new, asked_from, lacking
from streaming.feeds.base import Gap
from streaming.feeds.polygon.decode import PolygonDecoder
from streaming.feeds.polygon.fill import PolygonFiller

NOW = datetime(2026, 9, 15, 16, 4, 2, tzinfo=UTC)
LATELY = NOW - timedelta(seconds=2)  # the exchange's chains are of whole minutes
DAY = date(2026, 9, 15)
LANE = underlying("XSP")
DENSITY = 0.01
BRIEF = Patience(attempts=1)


def us(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)


@cache
def messages() -> tuple[list[int], list[dict[str, Any]]]:
    """The session's trades as the venue's socket sends them, and when [us]."""
    rows = SimulatorProvider(seed=7, density=DENSITY).trades(LANE, session_date=DAY).rows
    stream = venue.trades(venue.tape_of(rows))
    return stream.at_us.tolist(), [stream.event(i) for i in range(len(stream.at_us))]


def tape(until: datetime = NOW) -> list[dict[str, Any]]:
    at, events = messages()
    return [event for when, event in zip(at, events, strict=True) if when <= us(until)]


def listing() -> Listing:
    rows = SimulatorProvider(seed=7, density=DENSITY).listing(LANE, session_date=DAY).rows
    return Listing.of([LANE], rows)


@dataclass
class Desk:
    """A book that has heard some of the tape, and whoever can fetch the rest."""

    world: World
    provider: PolygonProvider
    listing: Listing
    book: Book
    filler: PolygonFiller
    lag_us: int = 0  # of the socket

    def hear(self, events: list[dict[str, Any]]) -> None:
        frame = Frame("polygon", "options", us(NOW), json.dumps(events).encode())
        found = PolygonDecoder(self.listing).decode([frame])
        assert not found.rejects
        self.book.apply(found.events)
        self.book.log.hear(found.events.event_us + self.lag_us, found.events.event_us)

    def miss(self, first: datetime, last: datetime) -> Gap:
        """Hear the tape but for a stretch of the venue's time."""
        low, high = us(first) // 1000, us(last) // 1000
        self.hear([event for event in tape() if not low <= event["t"] < high])
        return Gap("polygon", "options", us(first), us(last), "closed")

    def fill(self, gap: Gap) -> Filled:
        found = self.filler.fill(gap, self.book)
        self.book.apply(found.events)
        return found

    def log(self) -> Counter[tuple[Any, ...]]:
        log = self.book.log
        names = np.array(self.listing.symbols)[log.contract]
        columns = (log.event_us // 1000, log.price, log.size_contracts, log.exchange)
        return Counter(zip(names.tolist(), *(c.tolist() for c in columns), strict=True))


def printed() -> Counter[tuple[Any, ...]]:
    """The tape as `Desk.log` writes it."""
    return Counter(
        (event["sym"].removeprefix("O:"), event["t"], event["p"], float(event["s"]), event["x"])
        for event in tape()
    )


@pytest.fixture(scope="module")
def exchange() -> Iterator[tuple[World, str]]:
    world = World(VirtualClock(NOW, speed=0.0), density=DENSITY)
    with running(world) as url:
        yield world, url


@pytest.fixture
def desk(exchange: tuple[World, str]) -> Iterator[Desk]:
    world, url = exchange
    world.faults.clear()
    world.clock.set(NOW)
    clock = world.clock.now
    provider = PolygonProvider(SecretStr(KEY), base_url=url, patience=BRIEF, clock=clock)
    made = listing()
    filler = PolygonFiller(provider, made, now_us=lambda: us(NOW), margin_us=1_000_000)
    yield Desk(world, provider, made, Book(made), filler)
    provider.close()


@pytest.mark.parametrize("seconds", [0.4, 65.0])
def test_after_a_gap_the_log_is_the_tape(desk: Desk, seconds: float) -> None:
    gap = desk.miss(LATELY - timedelta(seconds=seconds), LATELY)
    missed = (printed() - desk.log()).total()
    found = desk.fill(gap)
    assert (found.complete, found.detail) == (True, "")
    assert len(found.events) == missed
    assert desk.log() == printed()
    assert bool((found.events.conditions & CANCELS).any()) == (seconds > 1)
    again = desk.fill(gap)
    assert len(again.events) == 0
    assert again.known == found.known + missed
    assert desk.log() == printed()


def test_what_a_slow_socket_had_not_sent_before_it_ended_is_fetched_too(desk: Desk) -> None:
    lag = timedelta(seconds=40)
    desk.lag_us = us(LATELY) - us(LATELY - lag)
    ended = LATELY - timedelta(seconds=10)
    low, high = us(ended - lag) // 1000, us(LATELY) // 1000
    desk.hear([event for event in tape() if not low < event["t"] < high])
    missed = printed() - desk.log()
    assert any(row[1] * 1000 < us(ended) - 10_000_000 for row in missed)
    found = desk.fill(Gap("polygon", "options", us(ended), us(LATELY), "slow_consumer"))
    assert (found.complete, len(found.events)) == (True, missed.total())
    assert desk.log() == printed()


def test_a_gap_before_anything_was_received_is_asked_from_the_open() -> None:
    made, from_us = listing(), us(NOW)
    opened = us(session_open("XNYS", DAY))
    book, gap = Book(made), Gap("polygon", "options", from_us, from_us + 1, "closed")
    assert asked_from(gap, book, margin_us=1_000_000) == opened - 1_000_000
    book.log.hear(np.array([from_us - 1_000_000]), np.array([from_us - 30_000_001]))
    assert asked_from(gap, book, margin_us=0) == from_us - 30_001_000
    delayed = asked_from(gap, book, margin_us=0, behind=timedelta(minutes=15))
    assert delayed == from_us - 900_000_000
    book.log.hear(np.array([from_us + 2]), np.array([from_us - 1]))  # after the gap's begin
    assert asked_from(gap, book, margin_us=0) == from_us - 30_001_000
    early = Gap("polygon", "options", opened - 1_000_000, opened, "start")
    assert asked_from(early, book, margin_us=0) == opened - 1_000_000


def test_a_gap_that_missed_nothing_adds_nothing(desk: Desk) -> None:
    desk.hear(tape())
    found = desk.fill(Gap("polygon", "options", us(LATELY) - 3_000_000, us(LATELY), "closed"))
    assert len(found.events) == 0
    assert found.known > 0
    assert desk.log() == printed()


def test_a_chain_that_is_older_than_the_end_of_the_gap_is_told(desk: Desk) -> None:
    gap = desk.miss(LATELY - timedelta(seconds=2), LATELY + timedelta(seconds=1))
    early = desk.fill(gap)
    assert not early.complete
    assert "ask later" in early.detail


def test_prints_that_are_alike_to_the_last_digit_are_all_fetched(desk: Desk) -> None:
    alike = [event for event, count in printed().items() if count > 1]
    first = datetime.fromtimestamp(max(event[1] for event in alike) / 1000, UTC)
    gap = desk.miss(first, first + timedelta(milliseconds=1))
    assert (printed() - desk.log()).total() > 1
    desk.fill(gap)
    assert desk.log() == printed()


def test_prints_received_within_the_gap_are_not_fetched_twice(desk: Desk) -> None:
    events = tape()
    low = us(LATELY) // 1000 - 20_000
    until = us(LATELY) // 1000
    missed = [i for i, event in enumerate(events) if low <= event["t"] < until and i % 3]
    desk.hear([event for i, event in enumerate(events) if i not in set(missed)])
    found = desk.fill(Gap("polygon", "options", low * 1000, us(LATELY), "slow_consumer"))
    assert len(found.events) == len(missed)
    assert desk.log() == printed()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("polygon_403_message", "not entitled"),
        ("polygon_503", "503"),
        ("polygon_truncated", "JSON"),
    ],
)
def test_what_the_venue_cannot_tell_is_said(desk: Desk, fault: str, words: str) -> None:
    desk.world.faults.arm(fault, times=None)
    found = desk.filler.fill(
        Gap("polygon", "options", us(LATELY), us(LATELY) + 1, "closed"), desk.book
    )
    assert (found.complete, len(found.events)) == (False, 0)
    assert words in found.detail
    assert KEY not in found.detail


def test_a_gap_of_index_values_is_not_filled(desk: Desk) -> None:
    found = desk.filler.fill(Gap("polygon", "indices", us(LATELY), us(NOW), "closed"), desk.book)
    assert (found.complete, len(found.events)) == (True, 0)


def prints(*rows: tuple[Any, ...]) -> Prints:
    """Rows of contract, time [us], price, size, exchange, conditions, number."""
    columns = list(zip(*rows, strict=True)) or [()] * 7
    kinds = (np.int64, np.int64, np.float64, np.float64, np.int64, np.int64, np.int64)
    return Prints(*(np.array(c, k) for c, k in zip(columns, kinds, strict=True)))


PLAIN = (3, 1_500, 1.25, 2.0, 302, 1 << 27, -1)


def test_of_equal_prints_only_the_surplus_is_new() -> None:
    new = are_new(prints(PLAIN, PLAIN, PLAIN, PLAIN, PLAIN), prints(PLAIN, PLAIN, PLAIN))
    assert new.tolist() == [False, False, False, True, True]


def test_prints_of_one_millisecond_are_the_same_and_of_the_next_are_not() -> None:
    nano, later = (3, 1_999, *PLAIN[2:]), (3, 2_000, *PLAIN[2:])
    assert are_new(prints(nano, later), prints(PLAIN)).tolist() == [False, True]


@pytest.mark.parametrize("place", range(5))
def test_whatever_differs_makes_another_print(place: int) -> None:
    other = list(PLAIN)
    other[place] += 1_000
    assert are_new(prints(tuple(other)), prints(PLAIN)).tolist() == [True]


def test_conditions_count_unless_one_side_was_told_none() -> None:
    auction, cancel, none = ((*PLAIN[:5], bits, -1) for bits in (1 << 28, 1 << 1, 0))
    assert are_new(prints(auction), prints(PLAIN)).tolist() == [True]
    assert are_new(prints(auction, PLAIN), prints(none)).tolist() == [False, True]
    assert are_new(prints(none, none), prints(PLAIN)).tolist() == [False, True]
    assert are_new(prints(none), prints(cancel)).tolist() == [True]
    assert are_new(prints(cancel), prints(none)).tolist() == [True]
    assert are_new(prints(PLAIN, none), prints(none, PLAIN)).tolist() == [False, False]


def test_numbered_prints_are_told_apart_by_number_alone() -> None:
    one, two = ((*PLAIN[:6], number) for number in (7, 8))
    moved = (3, 9_000_000, 2.0, *PLAIN[3:6], 7)
    other = (4, *PLAIN[1:6], 7)
    found = are_new(prints(one, moved, two, two, other), prints(one))
    assert found.tolist() == [False, False, True, False, True]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_log_and_what_is_new_are_together_the_larger_of_both_multisets(
    data: st.DataObject,
) -> None:
    some = st.tuples(
        *(st.integers(0, 1), st.sampled_from([1_000, 1_400, 2_000]), st.sampled_from([0.5, 1.0])),
        *(st.just(1.0), st.just(302), st.just(1 << 9), st.just(-1)),
    )
    found, known = (data.draw(st.lists(some, max_size=12)) for _ in range(2))
    new = are_new(prints(*found), prints(*known))
    kept = [row for row, is_new in zip(found, new.tolist(), strict=True) if is_new]

    def counted(rows: list[Any]) -> Counter[Any]:
        return Counter((row[0], row[1] // 1000, *row[2:]) for row in rows)

    assert counted(known) + counted(kept) == counted(known) | counted(found)


def test_trades_that_arrived_while_the_venue_was_asked_are_left_out_again(desk: Desk) -> None:
    events = tape()[-20:]
    desk.hear(events[:15])
    frame = Frame("polygon", "options", us(NOW), json.dumps(events).encode())
    fetched = PolygonDecoder(desk.listing).decode([frame]).events
    assert len(lacking(fetched, desk.book.log)) == 5
    desk.hear(events[15:])
    assert len(lacking(fetched, desk.book.log)) == 0
    assert len(lacking(fetched.take(slice(0, 0)), desk.book.log)) == 0
