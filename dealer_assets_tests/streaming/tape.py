"""For the book's tests: small tapes, a listing and events in one line each, and comparing."""

from dataclasses import fields
from datetime import UTC, date, datetime

import numpy as np

from dealer_assets.domain.flow.conditions import bits_of
from dealer_assets.underlyings import underlying
from streaming.core.book import Book, BookOptions, Trades
from streaming.core.events import MARK, OPEN_INTEREST, QUOTE, SPOT, TRADE, concatenated, no_events
from streaming.core.listing import Listing

SESSION = date(2025, 12, 15)
OPEN_US = int(datetime(2025, 12, 15, 14, 30, tzinfo=UTC).timestamp()) * 1_000_000
NOON_US = OPEN_US + 5_400 * 1_000_000
CALL, PUT = "SPXW251219C06000000", "SPXW251219P06000000"
TODAY = "SPXW251215C06000000"


def listing(*symbols, lanes=("SPX", "SPY")):
    """Return a listing of the session with some contracts."""
    made = Listing([underlying(name) for name in lanes], dict.fromkeys(lanes, SESSION))
    assert made.add(symbols or (CALL, PUT, TODAY)) == ()
    return made


def event(kind, contract, at_us, a, b=np.nan, **more):
    """Return one event, received when it happened unless told otherwise."""
    made = no_events(1)
    fields = {"kind": kind, "contract": contract, "event_us": at_us, "received_us": at_us}
    for name, value in (fields | {"a": a, "b": b} | more).items():
        getattr(made, name)[0] = value
    return made


def quote(contract, at_us, bid, ask, bid_size=10.0, ask_size=20.0):
    return event(QUOTE, contract, at_us, bid, ask, size_a=bid_size, size_b=ask_size)


def trade(contract, at_us, price, size=3.0, codes=(), **more):
    more.setdefault("exchange", 302)
    return event(TRADE, contract, at_us, price, size_a=size, conditions=bits_of(codes), **more)


def spot(at_us, value, lane=0):
    return event(SPOT, lane, at_us, value)


def mark(contract, at_us, price, vol):
    return event(MARK, contract, at_us, price, vol)


def interest(contract, at_us, contracts):
    return event(OPEN_INTEREST, contract, at_us, contracts)


def tape(*events):
    return concatenated(list(events))


def book_of(*symbols, **options):
    return Book(listing(*symbols), options=BookOptions(**{"log_room": 16} | options))


def bytes_of(values):
    """Return the bytes of an array; every NaN is the same, as it is null in a row."""
    values = np.array(values)
    if values.dtype.kind == "f":
        values[np.isnan(values)] = np.nan
    return values.view(np.uint8)


def same(left, right):
    """Whether two sets of arrays are equal bit for bit."""
    pairs = zip(left, right, strict=True)
    return all(np.array_equal(bytes_of(a), bytes_of(b)) for a, b in pairs)


def arrays_of(trades):
    found = [getattr(trades, f.name) for f in fields(Trades) if f.name != "first_row"]
    return [np.ascontiguousarray(values) for values in found]


def random_tape(seed, count=400):
    """Return a tape with everything in it: cancels, backfills, junk, crossed and stale quotes."""
    random = np.random.default_rng(seed)
    events = no_events(count)
    events.kind[:] = random.choice([0, 0, 1, 1, 2, 3, 4], count)
    events.contract[:] = random.integers(0, 3, count)
    events.contract[random.random(count) < 0.02] = -1
    events.received_us[:] = NOON_US + np.cumsum(random.integers(0, 1_000_000, count))
    events.event_us[:] = events.received_us - random.integers(0, 1_000, count)
    price = np.round(random.uniform(19.0, 22.0, count) * 4) / 4
    is_spot = events.kind == 2
    events.a[:] = np.where(is_spot, random.uniform(5_990.0, 6_020.0, count), price)
    events.b[:] = np.where(events.kind == 3, 0.2, price + random.choice([-0.25, 0.0, 0.5], count))
    events.size_a[:] = random.integers(0, 4, count)
    events.size_b[:] = random.integers(0, 4, count)
    events.a[random.random(count) < 0.02] = np.nan
    events.exchange[:] = 302
    events.taker[:] = random.choice([0, 0, 0, 1, -1], count)
    events.is_backfill[:] = random.random(count) < 0.05
    events.event_us[events.is_backfill] -= 20 * 1_000_000
    codes = [0, 0, 0, 1 << 1, 1 << 4, 1 << 33, 1 << 50]
    events.conditions[:] = random.choice(codes, count)
    return events


def state_of(book):
    log = book.log
    of_log = [
        np.ascontiguousarray(log.records[name][: log.size]) for name in log.records.dtype.names
    ]
    names = ("bid", "ask", "quote_us", "mark_vol", "last_price", "last_us", "volume", "customer")
    names += ("customer_mean", "customer_variance")
    of_book = [getattr(book, name) for name in (*names, "open_interest", "traded")]
    return [*of_book, book.spot.copy(), book.trades_seen.copy(), *of_log]
