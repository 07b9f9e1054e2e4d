"""Baselines and scores of a lane: which sessions they look back on, which polls are due.

Belongs here: reading features of sessions before, deriving parts from chosen parts. Does not belong
here: the statistics (`domain/anomaly`), when it is done (`defs/anomalies.py`).

A baseline is of the session that it serves: made once when the session opens, from sessions before
it alone and from what was known then. A poll's scores rest on it and on the session's polls up to
that one, so that a later poll changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.baselines import WINDOW_SESSIONS, Baseline, fit
from dealer_assets.domain.anomaly.observed import COLUMNS, Features
from dealer_assets.domain.anomaly.scores import score
from dealer_assets.domain.anomaly.words import score_rows
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import Part, list_parts, read_partition
from dealer_assets.lake.refresh import Refreshed, refresh_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part
from dealer_assets.underlyings import Underlying

LOOK_BACK = 90
"""Sessions of the calendar that are looked through: some may not be held."""

_BASELINE = "baseline"
_OF_HISTORY = (*COLUMNS, "known_at", "is_simulated")
"""Columns of other polls that are read: history is long."""


def refresh_baseline(
    lake: Lake, asset: Underlying, day: date, *, simulated: bool, rebuild: bool = False
) -> Refreshed:
    """Bring a session's baseline up to date.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session; only earlier ones count, and of their rows those known when it opened.
    simulated : bool
        Which market: simulated and real sessions never serve each other.
    rebuild : bool
        Compute it anew.

    Returns
    -------
    Refreshed
        ``stopped`` counts a baseline without history.
    """
    polls = {part.path: part for part in history_parts(lake, asset, day)}
    written = refresh_part(
        lake,
        tables.FEATURE_BASELINES,
        inputs={name: (tables.CONTRACT_FEATURES, part) for name, part in polls.items()},
        underlying=asset.symbol,
        session_date=day,
        name=SESSION_PART,
        derive=lambda rows: baseline_rows(rows, asset, day, simulated=simulated),
        options={"simulated": str(simulated)},
        rebuild=rebuild,
        columns=dict.fromkeys(polls, _OF_HISTORY),
    )
    if written is None:
        return Refreshed((), 1, 0, 0)
    return Refreshed((SESSION_PART,), 0, 0, written, int(written == 0))


def history_parts(lake: Lake, asset: Underlying, day: date) -> list[Part]:
    """Return the polls of the last sessions before one that hold any, oldest first."""
    found: list[list[Part]] = []
    for before in sessions.sessions_before(asset.calendar, day, most=LOOK_BACK):
        parts = list_parts(lake, tables.CONTRACT_FEATURES, asset.symbol, before)
        found += [parts] if parts else []
        if len(found) == WINDOW_SESSIONS:
            break
    return [part for parts in reversed(found) for part in parts]


def baseline_rows(
    rows: Mapping[str, pa.Table], asset: Underlying, day: date, *, simulated: bool
) -> pa.Table:
    """Fit the baseline of a session to rows of the sessions before."""
    opened = sessions.session_open(asset.calendar, day)
    if not rows:
        return tables.FEATURE_BASELINES.schema.empty_table()
    whole = pa.concat_tables(rows.values())
    is_usable = pc.and_(
        pc.equal(whole["is_simulated"], simulated),
        pc.less_equal(whole["known_at"], pa.scalar(opened, whole.schema.field("known_at").type)),
    )
    history = whole if pc.all(is_usable).as_py() else whole.filter(is_usable)
    if not history.num_rows:
        return tables.FEATURE_BASELINES.schema.empty_table()
    return fit(Features.from_table(history)).to_table(
        underlying=asset.symbol,
        session_date=day,
        event_at=opened,
        known_at=max(opened, pc.max(history["known_at"]).as_py()),
    )


def refresh_scores(lake: Lake, asset: Underlying, day: date, *, rebuild: bool = False) -> Refreshed:
    """Bring the scores of a session's polls up to date; a poll without a baseline is unscored."""
    table = tables.ANOMALY_SCORES
    polls = list_parts(lake, tables.CONTRACT_FEATURES, asset.symbol, day)
    parts = list_parts(lake, tables.FEATURE_BASELINES, asset.symbol, day)
    baselines = {_BASELINE: (tables.FEATURE_BASELINES, parts[-1])} if parts else {}
    written: list[str] = []
    rows = kept = stopped = 0
    for number, poll in enumerate(polls):
        so_far = polls[: number + 1]
        done = refresh_part(
            lake,
            table,
            inputs={
                **{part.name: (tables.CONTRACT_FEATURES, part) for part in so_far},
                **baselines,
            },
            underlying=asset.symbol,
            session_date=day,
            name=poll.name,
            derive=lambda read, name=poll.name: poll_scores(read, name),  # type: ignore[misc]
            rebuild=rebuild,
            columns=dict.fromkeys([part.name for part in polls[:number]], _OF_HISTORY),
        )
        written += [] if done is None else [poll.name]
        kept += done is None
        rows += done or 0
        stopped += done == 0
    existing = {part.name for part in list_parts(lake, table, asset.symbol, day)}
    gone = sorted(existing - {poll.name for poll in polls})
    for name in gone:
        delete_part(lake, table, underlying=asset.symbol, session_date=day, name=name)
    return Refreshed(tuple(written), kept, len(gone), rows, stopped)


def poll_scores(read: Mapping[str, pa.Table], name: str) -> pa.Table:
    """Score one poll out of its session so far and the baseline, as `refresh_part` hands them."""
    own = read[name]
    if not own.num_rows:
        return tables.ANOMALY_SCORES.schema.empty_table()
    told = read.get(_BASELINE, tables.FEATURE_BASELINES.schema.empty_table())
    earlier = [rows for part, rows in read.items() if part not in {name, _BASELINE}]
    session = pa.concat_tables([rows.select(list(_OF_HISTORY)) for rows in (own, *earlier)])
    found = score(Baseline.from_table(told), Features.from_table(session))
    known = [pc.max(rows["known_at"]).as_py() for rows in (told, *earlier) if rows.num_rows]
    return score_rows(own, found.first(own.num_rows), known_at=max(known, default=None))


def session_scores(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    """Return the scores of a session's polls, in time order."""
    return read_partition(lake, tables.ANOMALY_SCORES, asset.symbol, day)
