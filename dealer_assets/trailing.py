"""What earlier sessions say: the volume usually traded, and the metrics they closed with.

Belongs here: reading the lake backwards from a session, never forwards. Does not belong here: what
is made of it (`domain/exposure`), fetching bars (`traded`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.exposure.adv import ADV_SESSIONS, NO_ADV, Adv, adv_of
from dealer_assets.domain.exposure.metrics import ALL
from dealer_assets.domain.exposure.thresholds import MOST_SESSIONS
from dealer_assets.lake.reader import list_parts, part_rows, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.sources import SIMULATOR
from dealer_assets.tables import Table
from dealer_assets.underlyings import Underlying

ADV_LOOK_BACK, CLOSINGS_LOOK_BACK = 30, 90
"""Sessions of the calendar that are looked through: some may not be held."""


def sessions_before(asset: Underlying, session_date: date, *, most: int) -> Iterator[date]:
    """Return the sessions before one, the newest first."""
    day = session_date
    for _ in range(most):
        day = sessions.previous_session(asset.calendar, day)
        yield day


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
        Of the preferred instrument: with several, the one with most bars.
    """
    opened = sessions.session_open(asset.calendar, session_date)
    found: list[pa.Table] = []
    age = 0
    for steps, day in enumerate(sessions_before(asset, session_date, most=ADV_LOOK_BACK), start=1):
        rows = read_partition(lake, tables.UNDERLYING_BARS, asset.symbol, day, as_of=opened)
        is_simulated = pc.equal(rows["provider"], SIMULATOR)
        rows = rows.filter(is_simulated if simulated else pc.invert(is_simulated))
        if rows.num_rows:
            found.append(rows)
            age = age or steps
        if len(found) == ADV_SESSIONS:
            break
    if not found:
        return NO_ADV
    return adv_of(_one_instrument(pa.concat_tables(found)), age_sessions=age)


def _one_instrument(bars: pa.Table) -> pa.Table:
    """Keep the instrument and provider with most bars, one bar a session; ties go by name."""
    names = ["instrument", "provider"]
    counts = bars.group_by(names).aggregate([("event_at", "count")]).to_pylist()
    best = min(counts, key=lambda c: (-c["event_at_count"], c["instrument"], c["provider"]))
    same = pc.and_(*(pc.equal(bars[name], best[name]) for name in names))
    kept = bars.filter(same).sort_by([("session_date", "ascending"), ("known_at", "ascending")])
    last = kept.group_by("session_date", use_threads=False).aggregate([])
    if last.num_rows == kept.num_rows:
        return kept
    place = kept.append_column("_place", pa.array(range(kept.num_rows)))
    newest = place.group_by("session_date", use_threads=False).aggregate([("_place", "max")])
    return kept.take(newest["_place_max"])


def closings(
    lake: Lake,
    asset: Underlying,
    session_date: date,
    *,
    table: Table = tables.EXPOSURE_METRICS,
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
    most : int
        Sessions at most, among the last `CLOSINGS_LOOK_BACK` of the calendar.

    Returns
    -------
    pyarrow.Table
        Oldest first.
    """
    found: list[pa.Table] = []
    for day in sessions_before(asset, session_date, most=CLOSINGS_LOOK_BACK):
        rows = closing_of(lake, asset, day, table=table)
        if rows.num_rows:
            found.append(rows)
        if len(found) == most:
            break
    return pa.concat_tables(found[::-1]) if found else table.schema.empty_table()


def closing_of(lake: Lake, asset: Underlying, session_date: date, *, table: Table) -> pa.Table:
    """Return the rows of a session's last snapshot that has any."""
    for part in reversed(list_parts(lake, table, asset.symbol, session_date)):
        if part_rows(lake, part):
            rows = read_part(lake, table, part)
            is_cut = "dte_bucket" in rows.column_names
            return rows.filter(pc.equal(rows["dte_bucket"], ALL)) if is_cut else rows
    return table.schema.empty_table()


def identity(rows: pa.Table) -> str:
    """Return a hash of rows, for the provenance of what is derived from them."""
    text = repr([(name, rows[name].to_pylist()) for name in rows.column_names])
    return hashlib.sha256(text.encode()).hexdigest()
