"""What a desk starts a session with: listing, open interest, positions, curve, the newest chain.

Belongs here: which session it is, and where its start comes from: the lake where it holds it, else
the provider. Does not belong here: feeds, or what a recording holds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.curves import curve_known
from dealer_assets.domain import sessions
from dealer_assets.domain.columns import floats, integers
from dealer_assets.domain.flow.settled import MODEL
from dealer_assets.errors import DealerError, NoDataError
from dealer_assets.intake.records import held
from dealer_assets.lake.reader import list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import Provider
from dealer_assets.tables.live import LIVE_RECONCILED
from dealer_assets.underlyings import Underlying
from streaming.core.events import QUOTE, SPOT, Events, concatenated, no_events
from streaming.core.listing import Listing
from streaming.hours import desk_of
from streaming.start import Start, StreamOptions

if TYPE_CHECKING:
    from dealer_assets.domain.rates import RateCurve

_log = logging.getLogger(__name__)

OLD = timedelta(minutes=10)
"""A chain in the lake that is older is replaced by asking the provider."""


@dataclass(frozen=True)
class Seed:
    """Quotes and spots of the newest chain, dated as they are, for the book to start with.

    Parameters
    ----------
    events : Events
        `QUOTE` and `SPOT`; `event_us` is the chain's instant.
    told : tuple of str
        What was found and how old it is, in words.
    """

    events: Events
    told: tuple[str, ...]


def gather(
    lake: Lake,
    lanes: Sequence[Underlying],
    sessions_of: Mapping[str, date],
    *,
    feed: str,
    now: datetime,
    provider_of: Mapping[str, Provider],
    chains: Mapping[str, pa.Table],
    options: StreamOptions,
) -> Start:
    """Put the start of a desk and session together; blocking.

    Parameters
    ----------
    lake : Lake
        Looked into first.
    lanes : sequence of Underlying
        Underlyings of one desk.
    sessions_of : mapping of str to datetime.date
        Session by underlying symbol.
    feed : str
        Feed it will listen to.
    now : datetime.datetime
        Decides which rate curve is known.
    provider_of : mapping of str to Provider
        Asked for what the lake lacks, by underlying symbol.
    chains : mapping of str to pyarrow.Table
        From `newest_chains`; open interest comes from them where nobody publishes it apart.
    options : StreamOptions
        Settings that rows depend on.

    Returns
    -------
    Start
        Without what an earlier process of the session left; `missing` says what was not found.

    Raises
    ------
    NoDataError
        When nothing is listed in any of them: there would be nothing to listen to.
    """
    simulated = feed == "simulator"
    listed, interest, positions, missing = [], [], [], []
    for lane in lanes:
        day, provider = sessions_of[lane.symbol], provider_of[lane.symbol]
        found = _rows(lake, tables.LISTED_CONTRACTS, lane, day, provider, simulated=simulated)
        if isinstance(found, str):
            missing.append(
                f"{lane.symbol} {day}: no listing ({found}); contracts join as they come"
            )
        else:
            listed.append(found)
        counted = _rows(lake, tables.OPEN_INTEREST, lane, day, provider, simulated=simulated)
        if isinstance(counted, str) and lane.symbol in chains:
            counted = _interest_of(chains[lane.symbol])
        if isinstance(counted, str):
            missing.append(f"{lane.symbol} {day}: no open interest ({counted}); no naive exposures")
        else:
            interest.append(counted)
        settled = _settled(lake, lane, day, now)
        if isinstance(settled, str):
            missing.append(f"{lane.symbol} {day}: {settled}; no {LIVE_RECONCILED} exposures")
        else:
            positions.append(settled)
    curve: RateCurve | None = None
    if desk_of(lanes[0]) == "us":
        curve = _curve(lake, lanes[0], sessions_of[lanes[0].symbol], provider_of, now, simulated)
        if curve is None:
            missing.append("no rate curve of the last 30 days; rates come from parity or are 0")
    if not listed:
        raise NoDataError(
            f"expected contracts listed for {', '.join(sessions_of)}, found none in the lake and "
            f"none at the provider: {'; '.join(missing)}"
        )
    return Start(
        desk=desk_of(lanes[0]),
        feed=feed,
        lanes=tuple(lanes),
        sessions=dict(sessions_of),
        listed=pa.concat_tables(listed),
        open_interest=_concatenated(interest),
        settled=pa.concat_tables(positions) if positions else None,
        curve=curve,
        options=options,
        missing=tuple(missing),
    )


def _concatenated(counts: Sequence[pa.Table]) -> pa.Table | None:
    """Put counts of several sources together; only the columns that a listing reads are shared."""
    names = ["symbol", "event_at", "known_at", "open_interest_contracts"]
    return pa.concat_tables([rows.select(names) for rows in counts]) if counts else None


def _settled(lake: Lake, lane: Underlying, day: date, now: datetime) -> pa.Table | str:
    """Return the positions a session opened with, as known by now; in words why there are none."""
    rows = read_partition(lake, tables.DEALER_POSITIONS, lane.symbol, day)
    rows = rows.filter(pc.equal(rows["model"], MODEL))
    if not rows.num_rows:
        return f"no settled positions in the lake (asset {tables.DEALER_POSITIONS.name})"
    known = rows.filter(pc.less_equal(rows["known_at"], now))
    return known if known.num_rows else f"settled positions were not known by {now:%H:%M} UTC"


def _rows(
    lake: Lake,
    table: tables.Table,
    lane: Underlying,
    day: date,
    provider: Provider,
    *,
    simulated: bool,
) -> pa.Table | str:
    """Return a session's rows from the lake or the provider; in words why there are none."""
    rows = held(lake, table, lane.symbol, day)
    if rows.num_rows:
        # the simulated market is none of a real venue's, and the other way round
        own = [(name == "simulator") == simulated for name in rows["provider"].to_pylist()]
        rows = rows.filter(pa.array(own, pa.bool_()))
    if rows.num_rows:
        return rows
    try:
        if table is tables.LISTED_CONTRACTS:
            rows = provider.listing(lane, session_date=day).rows
        else:
            rows = provider.open_interest(lane, session_date=day).rows
    except DealerError as error:
        return str(error)
    return rows if rows.num_rows else "the provider has none"


def _curve(
    lake: Lake,
    lane: Underlying,
    day: date,
    provider_of: Mapping[str, Provider],
    now: datetime,
    simulated: bool,
) -> RateCurve | None:
    opened = sessions.session_open(lane.calendar, day)
    found = curve_known(lake, min(opened, now), simulated=simulated).curve
    if found is None and simulated:
        before = sessions.previous_session(lane.calendar, day)
        return provider_of[lane.symbol].rate_curve(before)
    return found


def newest_chains(
    lake: Lake,
    lanes: Sequence[Underlying],
    sessions_of: Mapping[str, date],
    *,
    now: datetime,
    provider_of: Mapping[str, Provider],
) -> dict[str, pa.Table]:
    """Return the newest chain of each underlying's session that was known by now; blocking.

    Parameters
    ----------
    lake : Lake
        Looked into first.
    lanes : sequence of Underlying
        Underlyings.
    sessions_of : mapping of str to datetime.date
        Session by underlying symbol.
    now : datetime.datetime
        Nothing known later is used.
    provider_of : mapping of str to Provider
        Asked, within the session, where the lake's is older than `OLD`; may lack underlyings.
    """
    found = {}
    for lane in lanes:
        chain = _newest_chain(lake, lane.symbol, sessions_of[lane.symbol], now)
        provider = provider_of.get(lane.symbol)
        if provider is not None and (chain is None or now - chain["event_at"][0].as_py() > OLD):
            chain = _asked_chain(provider, lane, sessions_of[lane.symbol], now) or chain
        if chain is not None:
            found[lane.symbol] = chain
    return found


def _asked_chain(provider: Provider, lane: Underlying, day: date, now: datetime) -> pa.Table | None:
    try:
        taken = provider.snapshot(lane, at=now)
    except DealerError as error:
        _log.warning("%s: no chain from %s: %s", lane.symbol, provider.name, error)
        return None
    return taken.rows if taken.session_date == day else None


def _interest_of(chain: pa.Table) -> pa.Table:
    """Return a chain's open interest in the columns that a listing reads."""
    return chain.filter(chain["open_interest_contracts"].is_valid())


def seed_of(start: Start, listing: Listing, chains: Mapping[str, pa.Table], now: datetime) -> Seed:
    """Return quotes and spots of the newest chains.

    A venue quotes few of very many contracts at a time: without these, those it does not would have
    no vol until their turn comes. Their age stays visible in every row they are used for.

    Parameters
    ----------
    start : Start
        Desk and session.
    listing : Listing
        Its contracts.
    chains : mapping of str to pyarrow.Table
        From `newest_chains`.
    now : datetime.datetime
        For their age.
    """
    parts, told = [no_events()], []
    for number, lane in enumerate(start.lanes):
        chain = chains.get(lane.symbol)
        if chain is None:
            told.append(f"{lane.symbol}: no chain of the session to start with")
            continue
        parts += _quotes_of(chain, number, listing)
        seconds = (now - chain["event_at"][0].as_py()).total_seconds()
        told.append(f"{lane.symbol}: {chain.num_rows:,} contracts of a chain {seconds:,.0f} s old")
    return Seed(concatenated(parts), tuple(told))


def _newest_chain(lake: Lake, symbol: str, day: date, now: datetime) -> pa.Table | None:
    for part in reversed(list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, day)):
        rows = read_part(lake, tables.CHAIN_SNAPSHOTS, part)
        if rows.num_rows and rows["known_at"][0].as_py() <= now:
            return rows
    return None


def _quotes_of(chain: pa.Table, lane: int, listing: Listing) -> Iterable[Events]:
    numbers = np.array([listing.index_of(s) for s in chain["symbol"].to_pylist()], np.int64)
    bid, ask = floats(chain, "bid"), floats(chain, "ask")
    usable = (numbers >= 0) & (ask > 0.0)
    event_us = integers(chain, "event_at")
    quotes = no_events(int(usable.sum()))
    quotes.kind[:] = QUOTE
    quotes.contract[:] = numbers[usable]
    quotes.event_us[:] = event_us[usable]
    quotes.a[:] = np.nan_to_num(bid[usable], nan=0.0)
    quotes.b[:] = ask[usable]
    for field, column in (("size_a", "bid_size_contracts"), ("size_b", "ask_size_contracts")):
        if column in chain.column_names:
            getattr(quotes, field)[:] = np.nan_to_num(floats(chain, column)[usable], nan=0.0)
    spot = floats(chain, "spot")
    known = np.flatnonzero(spot > 0.0)[:1]
    value = no_events(known.size)
    value.kind[:] = SPOT
    value.contract[:] = lane
    value.event_us[:] = event_us[known]
    value.a[:] = spot[known]
    return value, quotes
