"""A session's settled positions from what the lake holds of it and of the session before.

Belongs here: which counts and flow are read, and storing what follows. Does not belong here: what
they tell (`domain/positions`), the score (`scoring`), when it is done (`defs/positions.py`).

Sessions are settled in order: each reads the positions of the one before. Nothing of the session
itself is read but the open interest that it opens with. Simulated and real sessions never join:
where one follows the other, memory begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.open_interest import open_interest_of
from dealer_assets.domain.positions.gathered import Morning
from dealer_assets.domain.positions.legs import with_legs
from dealer_assets.domain.positions.settled import settled_positions
from dealer_assets.intake.records import held
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.sources import SIMULATOR
from dealer_assets.underlyings import Underlying

COUNT_AGE = timedelta(hours=1)
"""Oldest count, of a venue around the clock, that is the open interest a day began with."""

PRINTS_BLOCKS = ("deribit", SIMULATOR)
"""Venues whose tape has their blocks too, whoever else reports them."""

MOST_PUBLISHED = 0.9
"""The session's first chain is taken before the archive unless it tells fewer contracts than so."""


@dataclass(frozen=True)
class Settled:
    """What became of a session's positions.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.DEALER_POSITIONS`; none where nothing is known of who holds what.
    status : str
        ``stored``, ``current``, or ``no_counts``.
    started_from : str
        What the session before left, in words.
    """

    rows: pa.Table
    status: str
    started_from: str


def settle_session(lake: Lake, asset: Underlying, day: date) -> Settled:
    """Settle the positions a session opens with, and store them; nothing is fetched.

    Where the session before has no positions, it is begun from its own counts, so that its flow
    counts; without those, from this session's counts. Asked again when more is held, the rows are
    replaced.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    """
    table = tables.DEALER_POSITIONS
    counts = counts_of(lake, asset, day)
    previous, flow, started = _carried(lake, asset, day, counts)
    rows = settled_positions(_morning(asset, day, previous=previous, flow=flow, counts=counts))
    if not rows.num_rows:
        return Settled(rows, "no_counts", started)
    written = write_part(
        lake, table, rows, underlying=asset.symbol, session_date=day, name=SESSION_PART
    )
    return Settled(rows, "stored" if written.changed else "current", started)


def _carried(
    lake: Lake, asset: Underlying, day: date, counts: pa.Table
) -> tuple[pa.Table, pa.Table, str]:
    """Positions and flow of the session before, and in words what they are."""
    before = sessions.previous_session(asset.calendar, day)
    nothing = tables.SIGNED_FLOW.schema.empty_table()
    nobody = tables.DEALER_POSITIONS.schema.empty_table()
    earlier = counts_of(lake, asset, before)
    if {_is_simulated(earlier), _is_simulated(counts)} == {True, False}:
        started = f"the prior: of {before} and {day} one is simulated, and they never join"
        return nobody, nothing, started
    flow = session_flow(lake, asset, before)
    started = f"positions of {before}"
    if flow.num_rows and {_has_simulated_flow(lake, asset, before), _is_simulated(counts)} == {
        True,
        False,
    }:
        flow = nothing
        started += "; its flow is left out: of trades and open interest one is simulated"
    previous = read_partition(lake, tables.DEALER_POSITIONS, asset.symbol, before)
    if previous.num_rows:
        return previous, flow, started
    previous = settled_positions(
        _morning(asset, before, previous=nobody, flow=nothing, counts=earlier)
    )
    if previous.num_rows:
        why = "it has no positions, settle it first for a longer memory"
        return previous, flow, f"the prior of {before}: {why}"
    return previous, flow, f"the prior: neither positions nor open interest of {before} are held"


def _is_simulated(counts: pa.Table) -> bool | None:
    """Tell whether counts are a simulated market's; None where there are none."""
    return bool(counts["provider"][0].as_py() == SIMULATOR) if counts.num_rows else None


def _has_simulated_flow(lake: Lake, asset: Underlying, day: date) -> bool | None:
    """Tell whether a session's trades are simulated, as `evidence` chose them; None without any."""
    names = [p.name for p in list_parts(lake, tables.OPTION_TRADES, asset.symbol, day)]
    live = list_parts(lake, tables.LIVE_TRADES, asset.symbol, day)
    told = [name.startswith(f"{SIMULATOR}-") for name in names]
    for part in live:
        feeds = read_part(lake, tables.LIVE_TRADES, part, columns=["feed"])["feed"]
        told += [feed == SIMULATOR for feed in feeds.unique().to_pylist()]
    return all(told) if told else None


def described(settled: Settled) -> dict[str, Any]:
    """Sum up settled positions for the asset's page."""
    rows = settled.rows.filter(pc.equal(settled.rows["model"], "reconciled"))
    if not rows.num_rows:
        return {"status": settled.status, "started_from": settled.started_from}
    states = rows["open_interest_state"].value_counts().to_pylist()
    return {
        "status": settled.status,
        "started_from": settled.started_from,
        "models": ", ".join(sorted(settled.rows["model"].unique().to_pylist())),
        "contracts": rows.num_rows,
        "open_interest_states": ", ".join(
            f"{s['values']} {s['counts']:,}" for s in sorted(states, key=lambda s: -s["counts"])
        ),
        "sessions_of_flow": int(pc.max(rows["sessions_of_flow"]).as_py()),
        "followed_since_listing": int(pc.sum(rows["is_since_listing"]).as_py()),
        "evidence_share": float(pc.mean(rows["evidence_share"]).as_py() or 0.0),
        "effective_contracts": float(pc.sum(rows["effective_contracts"]).as_py() or 0.0),
    }


def session_flow(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    """Return a session's signed flow, with the block legs that no tape of the lake holds.

    Without any flow there is nothing to add them to: legs alone are no session's trades.
    """
    flow = read_partition(lake, tables.SIGNED_FLOW, asset.symbol, day)
    legs = held(lake, tables.BLOCK_TRADES, asset.symbol, day)
    if not flow.num_rows or not legs.num_rows:
        return flow
    is_printed = pc.or_(
        pc.is_in(legs["provider"], value_set=pa.array(PRINTS_BLOCKS)),
        pc.is_in(pc.utf8_lower(legs["venue"]), value_set=pa.array(PRINTS_BLOCKS)),
    )
    return with_legs(flow, legs.filter(pc.invert(is_printed)))


def counts_of(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    """Return the open interest a session opens with, of one publisher.

    Of the session's first chain that tells it, so that chains read later change nothing; of the
    archive where that has many more contracts. Venues around the clock are asked for their last
    count before the day, if it is no older than `COUNT_AGE`; a simulated one shows all day what the
    day began with, and is asked as exchanges are.

    Returns
    -------
    pyarrow.Table
        `tables.OPEN_INTEREST`; no rows where none is held.
    """
    chain = _first_told(lake, asset, day)
    if asset.calendar == "24/7" and not _is_simulated(chain):
        return _last_count(lake, asset, day)
    archived = _largest(held(lake, tables.OPEN_INTEREST, asset.symbol, day))
    if chain.num_rows and chain.num_rows >= MOST_PUBLISHED * archived.num_rows:
        return chain
    return archived


def _morning(
    asset: Underlying, day: date, *, previous: pa.Table, flow: pa.Table, counts: pa.Table
) -> Morning:
    return Morning(
        underlying=asset.symbol,
        session_date=day,
        opened_at=sessions.session_open(asset.calendar, day),
        previous=previous,
        flow=flow,
        counts=counts,
    )


def _first_told(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    for part in list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, day):
        counts = open_interest_of(read_part(lake, tables.CHAIN_SNAPSHOTS, part), asset)
        if counts.num_rows and pc.max(counts["open_interest_contracts"]).as_py() > 0.0:
            return counts
    return tables.OPEN_INTEREST.schema.empty_table()


def _last_count(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    opened = sessions.session_open(asset.calendar, day)
    archived = held(lake, tables.OPEN_INTEREST, asset.symbol, day)
    # what is told of the day itself may be of any hour of it
    archived = archived.filter(pc.less_equal(archived["event_at"], opened))
    if _is_timely(archived, opened - COUNT_AGE):
        return _largest(archived)
    before = sessions.previous_session(asset.calendar, day)
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, before)
    if parts:
        counts = open_interest_of(read_part(lake, tables.CHAIN_SNAPSHOTS, parts[-1]), asset)
        if _is_timely(counts, opened - COUNT_AGE):
            return _of_session(counts, day)
    archived = _largest(held(lake, tables.OPEN_INTEREST, asset.symbol, before))
    if _is_timely(archived, opened - COUNT_AGE):
        return _of_session(archived, day)
    return tables.OPEN_INTEREST.schema.empty_table()


def _is_timely(counts: pa.Table, earliest: Any) -> bool:
    return bool(counts.num_rows and pc.max(counts["event_at"]).as_py() >= earliest)


def _of_session(counts: pa.Table, day: date) -> pa.Table:
    place = counts.schema.get_field_index("session_date")
    days = pa.repeat(pa.scalar(day, pa.date32()), counts.num_rows)
    return counts.set_column(place, counts.schema.field(place), days)


def _largest(counts: pa.Table) -> pa.Table:
    """Keep the counts of a real publisher before simulated ones, then of the one with most."""
    if not counts.num_rows:
        return counts
    sizes = counts["provider"].value_counts().to_pylist()
    best = min(sizes, key=lambda s: (s["values"] == SIMULATOR, -s["counts"], s["values"]))["values"]
    return counts.filter(pc.equal(counts["provider"], best))
