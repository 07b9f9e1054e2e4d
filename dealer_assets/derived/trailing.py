"""What earlier sessions say: the volume usually traded, and the metrics they closed with.

Belongs here: reading the lake backwards from a session, never forwards. Does not belong here: what
is made of it (`domain/exposure`), fetching bars (`traded`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.exposure.adv import (
    ADV_LOOK_BACK,
    ADV_SESSIONS,
    ADV_STALE_SESSIONS,
    NO_ADV,
    Adv,
    adv_of,
)
from dealer_assets.domain.exposure.metrics import ALL
from dealer_assets.domain.exposure.thresholds import MOST_SESSIONS
from dealer_assets.lake.reader import list_parts, read_part, scan
from dealer_assets.lake.storage import Lake
from dealer_assets.sources import SIMULATOR
from dealer_assets.tables import Table
from dealer_assets.underlyings import Underlying

CLOSINGS_LOOK_BACK = 90
"""Sessions of the calendar that are looked through: some may not be held."""

_READERS = 8


def adv_known(lake: Lake, asset: Underlying, session_date: date, *, simulated: bool) -> Adv:
    """Return what an underlying usually trades, as known when a session opened.

    Parameters
    ----------
    lake : Lake
        Storage.
    asset : Underlying
        Registry entry.
    session_date : datetime.date
        Session; only earlier ones count.
    simulated : bool
        For a simulated chain; simulated and real bars never serve each other.

    Returns
    -------
    Adv
        Of one instrument of one provider: of those that are not stale the one with most sessions.
    """
    days = list(sessions.sessions_before(asset.calendar, session_date, most=ADV_LOOK_BACK))
    rows = scan(
        lake,
        tables.UNDERLYING_BARS,
        underlyings=[asset.symbol],
        first=days[-1],
        last=days[0],
        as_of=sessions.session_open(asset.calendar, session_date),
    )
    is_simulated = pc.equal(rows["provider"], SIMULATOR)
    rows = rows.filter(is_simulated if simulated else pc.invert(is_simulated))
    if not rows.num_rows:
        return NO_ADV
    bars = _one_instrument(rows, recent=days[ADV_STALE_SESSIONS - 1])
    newest = pc.max(bars["session_date"]).as_py()
    return adv_of(bars, age_sessions=1 + days.index(newest))


def _one_instrument(bars: pa.Table, *, recent: date) -> pa.Table:
    """Keep one instrument of one provider, one bar a session.

    Those with a bar since `recent` come first, then those with most sessions, then the first name.
    """
    names = ["instrument", "provider"]
    held = bars.group_by(names).aggregate(
        [("session_date", "count_distinct"), ("session_date", "max")]
    )

    def order(c: dict[str, Any]) -> tuple[Any, ...]:
        sessions_told = min(c["session_date_count_distinct"], ADV_SESSIONS)
        return (c["session_date_max"] < recent, -sessions_told, *(c[name] for name in names))

    best = min(held.to_pylist(), key=order)
    same = pc.and_(*(pc.equal(bars[name], best[name]) for name in names))
    kept = bars.filter(same).sort_by([("session_date", "ascending"), ("known_at", "ascending")])
    place = kept.append_column("_place", pa.array(range(kept.num_rows)))
    newest = place.group_by("session_date", use_threads=False).aggregate([("_place", "max")])
    return kept.take(newest["_place_max"])


def closings(
    lake: Lake,
    asset: Underlying,
    session_date: date,
    *,
    table: Table = tables.EXPOSURE_METRICS,
    columns: Sequence[str] | None = None,
    most: int = MOST_SESSIONS,
) -> pa.Table:
    """Return the last snapshot's rows of each session before one.

    Parameters
    ----------
    lake : Lake
        Storage.
    asset : Underlying
        Registry entry.
    session_date : datetime.date
        Session; only earlier ones count.
    table : Table
        A snapshot table; of metrics only bucket `all`.
    columns : sequence of str, optional
        Columns wanted; all when absent.
    most : int
        Sessions at most, among the last `CLOSINGS_LOOK_BACK` of the calendar.

    Returns
    -------
    pyarrow.Table
        Oldest first.

    Notes
    -----
    Sessions are looked through several at once: in an object store each costs two round trips.
    """
    days = list(sessions.sessions_before(asset.calendar, session_date, most=CLOSINGS_LOOK_BACK))
    found: list[pa.Table] = []

    def closing(day: date) -> pa.Table:
        return closing_of(lake, asset, day, table=table, columns=columns)

    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(days), most):
            found += [
                rows for rows in pool.map(closing, days[start : start + most]) if rows.num_rows
            ]
            if len(found) >= most:
                break
    wanted = table.schema.empty_table().select(columns or table.schema.names)
    return pa.concat_tables([wanted, *found[:most][::-1]])


def closing_of(
    lake: Lake,
    asset: Underlying,
    session_date: date,
    *,
    table: Table,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Return the rows of a session's last snapshot that has any, whenever in it that was."""
    wanted = list(columns or table.schema.names)
    is_cut = "dte_bucket" in table.schema.names
    read = [*wanted, "dte_bucket"] if is_cut and "dte_bucket" not in wanted else wanted
    for part in reversed(list_parts(lake, table, asset.symbol, session_date)):
        rows = read_part(lake, table, part, columns=read)
        if rows.num_rows:
            rows = rows.filter(pc.equal(rows["dte_bucket"], ALL)) if is_cut else rows
            return rows.select(wanted)
    return table.schema.empty_table().select(wanted)


def is_simulated(lake: Lake, asset: Underlying, session_date: date) -> bool:
    """Tell whether a session's chain is simulated."""
    table = tables.CHAIN_SNAPSHOTS
    parts = list_parts(lake, table, asset.symbol, session_date)[-1:]
    told = [read_part(lake, table, part, columns=["provider"])["provider"] for part in parts]
    return any(names[0].as_py() == SIMULATOR for names in told if len(names))


def identity(rows: pa.Table) -> str:
    """Return a hash of rows, for the provenance of what is derived from them."""
    text = repr([(name, rows[name].to_pylist()) for name in rows.column_names])
    return hashlib.sha256(text.encode()).hexdigest()
