"""An underlying's measures, as far as they need more of the lake than one snapshot.

Belongs here: reading earlier sessions, deriving the polls of one. Does not belong here: measures
and their scores (`domain/anomaly/underlying`), when it is done (`defs`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.derived import trailing
from dealer_assets.derived.featuring import held_polls
from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.polls import Poll
from dealer_assets.domain.anomaly.underlying.facts import Facts, facts_of
from dealer_assets.domain.anomaly.underlying.history import COLUMNS, HISTORY_SESSIONS, History
from dealer_assets.domain.anomaly.underlying.scoring import score_poll
from dealer_assets.domain.anomaly.underlying.values import (
    REALISED_RETURNS,
    realised_vol,
    values_of,
)
from dealer_assets.domain.columns import Ints
from dealer_assets.lake.layout import snapshot_part
from dealer_assets.lake.reader import list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.underlyings import Underlying

SOURCES = (
    tables.CHAIN_SNAPSHOTS,
    tables.EXPOSURE_LEVELS,
    tables.VOL_SURFACE,
    tables.DATA_ANOMALIES,
)
SESSION_SOURCES = (tables.VOLUME_DELTAS, tables.INDEX_VALUES)

_READERS = 8
_SESSIONS_PER_YEAR = {"24/7": 365.0}
_BUSINESS_DAYS = 252.0
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Measuring:
    """What the polls of a session are measured with.

    Parameters
    ----------
    derive : callable
        ``{table name: rows of one snapshot} -> rows of UNDERLYING_SCORES``; no rows where the
        snapshot is no poll or has no levels under the model.
    options : dict of str to str
        What else the rows depend on, for `lake.refresh`.
    """

    derive: Callable[[Mapping[str, pa.Table]], pa.Table]
    options: dict[str, str]


def measuring(lake: Lake, asset: Underlying, session_date: date, *, model: str) -> Measuring:
    """Read what is held of the sessions before, and return how a session's polls are measured.

    Parameters
    ----------
    lake : Lake
        Storage.
    asset : Underlying
        Registry entry.
    session_date : datetime.date
        Session; of others only earlier ones are read.
    model : str
        Position model whose levels are measured.

    Returns
    -------
    Measuring
    """
    simulated = trailing.is_simulated(lake, asset, session_date)
    past = past_rows(lake, asset, session_date)
    history = History(past, model=model, is_simulated=simulated)
    before = closing_before(lake, asset, session_date, past, model=model)
    polls = {
        poll.at: poll for poll in held_polls(lake, tables.CHAIN_SNAPSHOTS, asset, session_date)
    }
    days = _days_since_epoch(asset, session_date)
    shared = {
        "underlying": asset.symbol,
        "session_date": session_date,
        "model": model,
        "is_simulated": simulated,
    }

    def derive(rows: Mapping[str, pa.Table]) -> pa.Table:
        poll = _poll_of(rows, polls, model)
        if poll is None:
            return tables.UNDERLYING_SCORES.schema.empty_table()
        now = facts_of(rows, poll, model=model, is_daily=asset.calendar == "24/7")
        closed = before if before is not None and before.known_at <= now.known_at else None
        closes = history.closes(days, known_at=now.known_at)
        realised = realised_vol(closes, sessions_per_year=_sessions_per_year(asset))
        return score_poll(
            now,
            values_of(now, closed, realised=realised),
            history,
            before=closed,
            slot=poll.slot,
            shared=shared,
        )

    told = {"at": repr(sorted(polls.values(), key=lambda p: p.at)), "model": model}
    told |= {"history": _identity(past), "before": before.identity if before else ""}
    return Measuring(derive, told)


def session_rows(lake: Lake, asset: Underlying, session_date: date) -> pa.Table:
    """Return the scores of every poll of a session, ascending."""
    return read_partition(lake, tables.UNDERLYING_SCORES, asset.symbol, session_date)


def past_rows(lake: Lake, asset: Underlying, session_date: date) -> pa.Table:
    """Return the measures of the 60 sessions before one, as far as they are held."""
    table = tables.UNDERLYING_SCORES
    days = list(sessions.sessions_before(asset.calendar, session_date, most=HISTORY_SESSIONS))

    def of_day(day: date) -> pa.Table:
        return read_partition(lake, table, asset.symbol, day, columns=COLUMNS)

    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(of_day, days))
    return pa.concat_tables([table.schema.empty_table().select(COLUMNS), *found[::-1]])


def closing_before(
    lake: Lake, asset: Underlying, session_date: date, past: pa.Table, *, model: str
) -> Facts | None:
    """Return the facts of the last poll that was scored in the session before; None: not held.

    Read from its own sources, so that a level that was not unusual then is there too.
    """
    day = sessions.previous_session(asset.calendar, session_date)
    of_day = pc.and_(pc.equal(past["session_date"], day), pc.equal(past["model"], model))
    last = pc.max(past.filter(of_day)["event_at"]).as_py()
    held = held_polls(lake, tables.CHAIN_SNAPSHOTS, asset, day) if last else []
    poll = next((poll for poll in held if poll.at == last), None)
    if poll is None:
        return None
    name = snapshot_part(poll.at)
    rows = {
        table.name: _part_of(lake, table, asset.symbol, session_date=day, name=name)
        for table in SOURCES
    }
    for table in SESSION_SOURCES:
        rows[table.name] = read_partition(lake, table, asset.symbol, day)
    return facts_of(rows, poll, model=model, is_daily=asset.calendar == "24/7")


def _identity(rows: pa.Table) -> str:
    """Return a hash of many rows: of their bytes, as spelling them out takes half a second."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _part_of(
    lake: Lake, table: tables.Table, symbol: str, *, session_date: date, name: str
) -> pa.Table:
    parts = list_parts(lake, table, symbol, session_date)
    found = [part for part in parts if part.name == name]
    return read_part(lake, table, found[0]) if found else table.schema.empty_table()


def _poll_of(
    rows: Mapping[str, pa.Table], polls: Mapping[datetime, Poll], model: str
) -> Poll | None:
    chain, levels = rows["chain_snapshots"], rows["exposure_levels"]
    if not chain.num_rows or model not in levels["model"].to_pylist():
        return None
    return polls.get(chain["event_at"][0].as_py())


def _days_since_epoch(asset: Underlying, session_date: date) -> Ints:
    """Return the sessions whose closings make realised vol, ascending, as days since 1970."""
    before = sessions.sessions_before(asset.calendar, session_date, most=REALISED_RETURNS + 1)
    return np.array([(day - _EPOCH) // timedelta(days=1) for day in before], np.int64)[::-1]


def _sessions_per_year(asset: Underlying) -> float:
    return _SESSIONS_PER_YEAR.get(asset.calendar, _BUSINESS_DAYS)
