"""How levels fared, as far as it needs more than one session of the lake.

Belongs here: reading the session before and the scores before, and storing a session's scores. Does
not belong here: outcomes and chance themselves (`domain`), when it is done (`defs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.scorecard.paths import (
    SessionPath,
    fuller,
    path_of_snapshots,
    path_of_values,
)
from dealer_assets.domain.scorecard.scores import SCORE_WINDOW, last_of_each_model, level_scores
from dealer_assets.intake.records import held
from dealer_assets.lake.layout import SESSION_PART, snapshot_part
from dealer_assets.lake.reader import list_parts, read_part, read_partition, scan
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.underlyings import Underlying

_DAYS_PER_SESSION = 2
"""Calendar days looked back per session of the window: weekends and holidays, and to spare."""


@dataclass(frozen=True)
class Scored:
    """What became of a session's scores.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.LEVEL_SCORES`; none where nothing can be scored.
    status : str
        ``stored``, ``current``, ``running`` (the session is not over), ``no_levels`` (none held of
        the session before) or ``no_path`` (no price held of the session).
    """

    rows: pa.Table
    status: str


def score_session(lake: Lake, asset: Underlying, day: date, *, now: datetime) -> Scored:
    """Score the levels settled the session before, beside chance, and store the rows.

    Asked again when more of the session is held, the rows are replaced; the same inputs give the
    same bytes. A session that is not over is not scored.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    now : datetime.datetime
        Instant of the question.
    """
    table = tables.LEVEL_SCORES
    if now < sessions.session_close(asset.calendar, day):
        return Scored(table.schema.empty_table(), "running")
    before = sessions.previous_session(asset.calendar, day)
    levels = read_partition(lake, tables.EXPOSURE_LEVELS, asset.symbol, before)
    path = session_path(lake, asset, day)
    if not levels.num_rows or path is None:
        delete_part(lake, table, underlying=asset.symbol, session_date=day, name=SESSION_PART)
        return Scored(table.schema.empty_table(), "no_path" if levels.num_rows else "no_levels")
    rows = level_scores(
        levels,
        _pins(lake, asset, before, levels),
        path,
        earlier=_earlier(lake, asset, day),
        day=day,
    )
    written = write_part(
        lake, table, rows, underlying=asset.symbol, session_date=day, name=SESSION_PART
    )
    return Scored(rows, "stored" if written.changed else "current")


def session_path(lake: Lake, asset: Underlying, day: date) -> SessionPath | None:
    """Return a session's prices: values of the underlying, or its snapshots' spots if more."""
    values = held(lake, tables.INDEX_VALUES, asset.symbol, day)
    columns = ["event_at", "known_at", "spot"]
    spots = read_partition(lake, tables.EXPOSURE_LEVELS, asset.symbol, day, columns=columns)
    return fuller(
        path_of_values(values, asset.calendar, day),
        path_of_snapshots(spots, asset.calendar, day),
    )


def _pins(lake: Lake, asset: Underlying, before: date, levels: pa.Table) -> pa.Table:
    """Pins of the snapshots whose levels count: one for each model, mostly the same."""
    names = {snapshot_part(row["event_at"]) for row in last_of_each_model(levels)}
    table = tables.PIN_LEVELS
    made = [
        read_part(lake, table, part)
        for part in list_parts(lake, table, asset.symbol, before)
        if part.name in names
    ]
    return pa.concat_tables([table.schema.empty_table(), *made])


def _earlier(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    first = day - timedelta(days=_DAYS_PER_SESSION * SCORE_WINDOW)
    return scan(
        lake,
        tables.LEVEL_SCORES,
        underlyings=[asset.symbol],
        first=first,
        last=day - timedelta(days=1),
    )
