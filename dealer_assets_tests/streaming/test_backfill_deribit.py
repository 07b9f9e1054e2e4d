"""After a gap at Deribit the log holds the venue's tape, every trade number once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from dealer_assets.providers.deribit.client import DeribitApi
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World
from streaming.core.book import Book
from streaming.core.events import Events
from streaming.core.listing import Listing
from streaming.feeds.backfill import Filled
from streaming.feeds.base import Gap
from streaming.feeds.deribit.fill import DeribitFiller

NOW = datetime(2026, 9, 15, 16, 0, tzinfo=UTC)
LANE = underlying("BTC")


def us(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)


@dataclass
class Desk:
    world: World
    api: DeribitApi
    listing: Listing
    book: Book
    lag_us: int = 0  # of the socket

    def fill(self, first: datetime, last: datetime, margin_us: int = 0) -> Filled:
        """Fill a gap, listing what has to be listed, and take the trades in."""
        filler = DeribitFiller(self.api, self.listing, now_us=lambda: us(NOW), margin_us=margin_us)
        gap = Gap("deribit", "public", us(first), us(last), "closed")
        heard = np.array([us(first) - 1_000_000])
        self.book.log.hear(heard, np.array([us(first) - self.lag_us]))
        found = filler.fill(gap, self.book)
        if found.unlisted:
            assert not found.complete
            self.listing.add(found.unlisted)
            found = filler.fill(gap, self.book)
        return found


@pytest.fixture(scope="module")
def exchange() -> Iterator[tuple[World, str]]:
    world = World(VirtualClock(NOW, speed=0.0), density=0.05)
    with running(world) as url:
        yield world, url


@pytest.fixture
def desk(exchange: tuple[World, str]) -> Iterator[Desk]:
    world, url = exchange
    world.faults.clear()
    api = DeribitApi(
        base_url=url,
        history_url=f"{url}/history",
        per_second=500.0,
        history_per_second=4.0,  # the host grants five, in real time
        patience=Patience(attempts=1),
    )
    made = Listing((LANE,), {LANE.symbol: date(2026, 9, 14)})
    yield Desk(world, api, made, Book(made))
    api.close()


def numbers(events: Events) -> list[tuple[int, int]]:
    return sorted(zip(events.contract.tolist(), events.number.tolist(), strict=True))


def test_a_gap_is_filled_once_whatever_was_known(desk: Desk) -> None:
    first, last = NOW - timedelta(minutes=6), NOW - timedelta(minutes=1)
    whole = desk.fill(first, last)
    assert (whole.complete, whole.detail, whole.known) == (True, "", 0)
    assert len(whole.events) > 5
    assert len(set(numbers(whole.events))) == len(whole.events)
    assert whole.events.is_backfill.all()
    assert (np.diff(whole.events.event_us) >= 0).all()
    desk.book.apply(whole.events.take(slice(0, None, 2)))
    rest = desk.fill(first, last)
    assert numbers(rest.events) == numbers(whole.events.take(slice(1, None, 2)))
    desk.book.apply(rest.events)
    again = desk.fill(first, last, margin_us=1_000)
    assert again.known >= len(whole.events)
    assert not set(numbers(again.events)) & set(numbers(whole.events))


def test_what_a_slow_socket_had_not_sent_before_it_ended_is_fetched_too(desk: Desk) -> None:
    first, last = NOW - timedelta(minutes=3), NOW - timedelta(minutes=1)
    prompt = desk.fill(first, last).events
    slow = Desk(desk.world, desk.api, desk.listing, Book(desk.listing), lag_us=40_000_000)
    late = slow.fill(first, last).events
    earlier = desk.fill(first - timedelta(seconds=40), first).events
    assert len(earlier) > 0
    assert numbers(late) == sorted(numbers(earlier) + numbers(prompt))


def test_a_gap_older_than_a_day_is_read_from_the_history_host(desk: Desk) -> None:
    first = NOW - timedelta(hours=25)
    found = desk.fill(first, first + timedelta(minutes=5))
    assert found.complete
    assert len(found.events) > 0


def test_what_the_venue_cannot_tell_is_said(desk: Desk) -> None:
    desk.world.faults.arm("deribit_503", times=None)
    found = desk.fill(NOW - timedelta(minutes=2), NOW)
    assert (found.complete, len(found.events)) == (False, 0)
    assert "503" in found.detail
