"""The simulator's tape of a session's first hour, as batch tables and as events of the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import equals, floats, integers
from dealer_assets.domain.flow.conditions import bits_of_text
from dealer_assets.domain.rates import RateCurve
from dealer_assets.domain.selection import nearest_the_money
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from streaming.core.engine import Engine, EngineOptions
from streaming.core.events import QUOTE, SPOT, TRADE, Events, concatenated, no_events
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences

DAY = date(2025, 12, 18)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Tape:
    """One underlying's hour."""

    symbol: str
    listed: pa.Table
    interest: pa.Table
    quotes: pa.Table
    trades: pa.Table
    values: pa.Table
    curve: RateCurve | None
    opens: datetime

    def until(self, instant: datetime) -> dict[str, pa.Table]:
        """What `reconstruct` takes, of everything before an instant."""
        tapes = {"quotes": self.quotes, "trades": self.trades, "index_values": self.values}
        return {
            name: rows.filter(pc.less(rows["event_at"], instant)) for name, rows in tapes.items()
        }

    def at(self, minutes: float) -> datetime:
        return self.opens + timedelta(minutes=minutes)


@cache
def tape(symbol: str, contracts: int = 160) -> Tape:
    asset, market = underlying(symbol), SimulatorProvider(density=0.05)
    opens = sessions.session_open(asset.calendar, DAY)
    listed = market.listing(asset, session_date=DAY).rows
    values = market.index_values(asset, session_date=DAY).rows
    spot = float(values.filter(pc.equal(values["kind"], "spot"))["value"][0].as_py())
    names = nearest_the_money(listed, spot=spot, at=opens, count=contracts)
    ours = pa.array(names)
    interest = market.open_interest(asset, session_date=DAY).rows

    def of_ours(rows: pa.Table) -> pa.Table:
        kept = rows.filter(pc.less(rows["event_at"], opens + HOUR))
        if "symbol" not in kept.column_names:
            return kept
        return kept.filter(pc.is_in(kept["symbol"], value_set=ours))

    return Tape(
        symbol=symbol,
        listed=listed.filter(pc.is_in(listed["symbol"], value_set=ours)),
        interest=of_ours(interest),
        quotes=of_ours(market.quotes(asset, session_date=DAY, symbols=names).rows),
        trades=of_ours(market.trades(asset, session_date=DAY, symbols=names).rows),
        values=of_ours(values),
        curve=market.rate_curve(DAY) if asset.calendar != "24/7" else None,
        opens=opens,
    )


def listing_of(*tapes: Tape) -> Listing:
    return Listing.of(
        [underlying(one.symbol) for one in tapes],
        pa.concat_tables([one.listed for one in tapes]),
        pa.concat_tables([one.interest for one in tapes]),
    )


def events_of(listing: Listing, *tapes: Tape) -> Events:
    """All of the tapes' rows, received when they happened."""
    lanes = [lane.symbol for lane in listing.lanes]
    parts = []
    for one in tapes:
        values = one.values.filter(
            pc.is_in(one.values["kind"], value_set=pa.array(["spot", "close"]))
        )
        spots = _blank(SPOT, values)
        spots.contract[:] = lanes.index(one.symbol)
        spots.a[:] = floats(values, "value")
        parts += [spots, _quotes(listing, one.quotes), _trades(listing, one.trades)]
    events = concatenated(parts)
    return events.take(np.argsort(events.received_us, kind="stable"))


def _blank(kind: int, rows: pa.Table) -> Events:
    events = no_events(rows.num_rows)
    events.kind[:] = kind
    events.event_us[:] = events.received_us[:] = integers(rows, "event_at")
    return events


def _place(listing: Listing, rows: pa.Table) -> np.ndarray:
    return pc.index_in(
        rows["symbol"].combine_chunks(), value_set=pa.array(listing.symbols)
    ).to_numpy()


def _quotes(listing: Listing, rows: pa.Table) -> Events:
    rows = rows.sort_by([("event_at", "ascending"), ("ordinal", "ascending")])
    events = _blank(QUOTE, rows)
    events.contract[:] = _place(listing, rows)
    for name, column in (
        ("a", "bid"),
        ("b", "ask"),
        ("size_a", "bid_size_contracts"),
        ("size_b", "ask_size_contracts"),
    ):
        getattr(events, name)[:] = floats(rows, column)
    return events


def _trades(listing: Listing, rows: pa.Table) -> Events:
    rows = rows.sort_by([("event_at", "ascending"), ("ordinal", "ascending")])
    events = _blank(TRADE, rows)
    events.contract[:] = _place(listing, rows)
    price = floats(rows, "price")
    in_coin = ~np.isin(rows["price_currency"].to_numpy(), ("USD", "USDC"))
    events.a[:] = np.where(in_coin, price * floats(rows, "underlying_price"), price)
    events.size_a[:] = floats(rows, "size_contracts")
    events.conditions[:] = bits_of_text(rows["conditions"])
    taker = pc.fill_null(rows["taker_side"], "")
    rows = rows.set_column(rows.schema.get_field_index("taker_side"), "taker_side", taker)
    events.taker[:] = equals(rows, "taker_side", "buy").astype(np.int8)
    events.taker[equals(rows, "taker_side", "sell")] = -1
    events.sequence[:] = pc.fill_null(rows["sequence"], -1).to_numpy()
    return events


def engine_of(
    listing: Listing, *tapes: Tape, sequences: Sequences | None = None, **options
) -> Engine:
    return Engine(
        listing,
        feed="simulator",
        sequences=sequences or Sequences(),
        options=EngineOptions(**options),
        curve=tapes[0].curve,
    )


def us(instant: datetime) -> int:
    return int(instant.timestamp() * 1e6)


def taken(engine: Engine, into: dict[tuple[str, str], list[pa.Table]]) -> None:
    """Move the rows an engine has made to where they are collected."""
    for table, symbol, rows in engine.take():
        into.setdefault((table.name, symbol), []).append(rows)


def whole(collected: dict[tuple[str, str], list[pa.Table]]) -> dict[tuple[str, str], pa.Table]:
    return {key: pa.concat_tables(parts).combine_chunks() for key, parts in collected.items()}


def run(engine: Engine, events: Events, until: datetime) -> dict[tuple[str, str], pa.Table]:
    """Feed events at once and return all rows."""
    collected: dict[tuple[str, str], list[pa.Table]] = {}
    engine.apply(events.take(events.received_us < us(until)))
    engine.advance(us(until))
    taken(engine, collected)
    return whole(collected)
