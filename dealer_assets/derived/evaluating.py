"""What a session's anomaly scores were worth, from what the lake holds a morning later.

Belongs here: which rows a session is evaluated by, the judges that are compared, storing the
result. Does not belong here: what is put in and counted (`domain/anomaly`), when it is done
(`defs/evaluation.py`).

The session is judged with its own baseline, which knows only sessions before it. Nothing is
fetched; the next morning's open interest is used if it is held.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.derived.settling import counts_of
from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.baselines import Baseline
from dealer_assets.domain.anomaly.evaluation import EVALUATION_SEED, Evaluated, evaluate
from dealer_assets.domain.anomaly.methods import methods_of
from dealer_assets.domain.anomaly.plain_rule import PLAIN_COLUMNS, PlainRule, fit_plain
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.underlyings import Underlying

PLAIN_SESSIONS = 60
"""The plain rule looks back as far as the baseline does."""

_READERS = 8


@dataclass(frozen=True)
class Evaluation:
    """What became of a session's evaluation.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.ANOMALY_EVALUATION`; none where it cannot be made.
    status : str
        ``stored``, ``current``, or what is missing, in words.
    """

    rows: pa.Table
    status: str


def evaluate_session(lake: Lake, asset: Underlying, day: date, *, now: datetime) -> Evaluation:
    """Evaluate a session's scores and store the rows; a repeat gives the same bytes.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    now : datetime.datetime
        Instant of the question: a session that is not over is not evaluated.
    """
    table = tables.ANOMALY_EVALUATION
    nothing = table.schema.empty_table()
    if now < sessions.session_close(asset.calendar, day):
        return Evaluation(nothing, f"not evaluated: the session of {day} is not over")
    features = read_partition(lake, tables.CONTRACT_FEATURES, asset.symbol, day)
    baseline = read_partition(lake, tables.FEATURE_BASELINES, asset.symbol, day)
    for rows, what in ((features, "features"), (baseline, "baseline")):
        if not rows.num_rows:
            delete_part(lake, table, underlying=asset.symbol, session_date=day, name=SESSION_PART)
            return Evaluation(nothing, f"not evaluated: no {what} of {day} are held")
    rows = evaluate(_gathered(lake, asset, day, features, Baseline.from_table(baseline)))
    written = write_part(
        lake, table, rows, underlying=asset.symbol, session_date=day, name=SESSION_PART
    )
    return Evaluation(rows, "stored" if written.changed else "current")


def _gathered(
    lake: Lake, asset: Underlying, day: date, features: pa.Table, baseline: Baseline
) -> Evaluated:
    simulated = bool(features["is_simulated"][0].as_py())
    rule, held = plain_rule_of(lake, asset, day, simulated=simulated)
    following = sessions.next_session(asset.calendar, day)
    counts = counts_of(lake, asset, following)
    after = dict(
        zip(
            counts["symbol"].to_pylist(), counts["open_interest_contracts"].to_pylist(), strict=True
        )
    )
    return Evaluated(
        rows=features,
        methods=methods_of(baseline, rule),
        history_sessions=held,
        seed=EVALUATION_SEED + day.toordinal(),
        interest_after={symbol: count for symbol, count in after.items() if count is not None},
        known_at=pc.max(counts["known_at"]).as_py() if counts.num_rows else None,
    )


def plain_rule_of(
    lake: Lake, asset: Underlying, day: date, *, simulated: bool
) -> tuple[PlainRule, int]:
    """Fit the plain rule to the sessions before, and tell how many of them are held.

    Simulated and real sessions never serve each other.
    """
    columns = [*PLAIN_COLUMNS, "is_simulated"]

    def read(before: date) -> pa.Table:
        rows = read_partition(lake, tables.CONTRACT_FEATURES, asset.symbol, before, columns=columns)
        return rows.filter(pc.equal(rows["is_simulated"], simulated))

    days = list(sessions.sessions_before(asset.calendar, day, most=PLAIN_SESSIONS))
    with ThreadPoolExecutor(_READERS) as pool:
        history = [rows for rows in pool.map(read, days) if rows.num_rows]
    empty = tables.CONTRACT_FEATURES.schema.empty_table().select(columns)
    return fit_plain(pa.concat_tables([empty, *history])), len(history)


def recent_evaluations(lake: Lake, asset: Underlying, day: date, *, most: int = 20) -> pa.Table:
    """Return the evaluations of a session and of those before it, in order of time."""
    days = [day, *sessions.sessions_before(asset.calendar, day, most=most)]
    parts = [
        read_partition(lake, tables.ANOMALY_EVALUATION, asset.symbol, d) for d in reversed(days)
    ]
    return pa.concat_tables(parts)
