"""What scores are worth: what they find of anomalies put in, what they find where nothing is.

Belongs here: counting, for any method that judges rows. Does not belong here: what is put in
(`injection`), the methods themselves (`scores`, `plain_rule`), reading the lake
(`derived/evaluating.py`). Source: `docs/methods/evaluation.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.anomaly.confirmation import confirmed
from dealer_assets.domain.anomaly.injection import INJECTIONS, Injection, inject
from dealer_assets.domain.columns import Bools, Floats, integers
from dealer_assets.tables.evaluation import EVALUATION_SEVERITIES

FIXED_ALERT_RATE = 0.002
"""Share of a session's rows, as they stand, on which each method alerts when methods are compared
at one alert rate: two in a thousand."""

EVALUATION_SEED = 20_260
"""Of the choice of contracts, together with the session's date."""


@dataclass(frozen=True)
class Judged:
    """What a method says of rows.

    Parameters
    ----------
    is_alert : bool array, shape (n,)
        Rows that it alerts on.
    strength : float64 array, shape (n,)
        More is rarer; NaN where it says nothing.
    severity : tuple of str, optional
        Of each row; ``none`` where there is no alert. Empty when the method knows none.
    """

    is_alert: Bools
    strength: Floats
    severity: tuple[str, ...] = ()


Judge = Callable[[pa.Table], Judged]


@dataclass(frozen=True)
class Evaluated:
    """What is evaluated.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.CONTRACT_FEATURES` of one session, as they stand.
    methods : mapping of str to callable
        Name (`tables.EVALUATION_METHODS`) to judge; all see the same rows.
    history_sessions : int
        Behind them.
    seed : int
        Of the choice of contracts.
    interest_after : mapping of str to float
        Open interest of the next morning by symbol; empty where none is held.
    known_at : datetime.datetime, optional
        When the latest of what else was read could be known: the next morning's counts.
    """

    rows: pa.Table
    methods: Mapping[str, Judge]
    history_sessions: int
    seed: int
    interest_after: Mapping[str, float] = field(default_factory=dict)
    known_at: datetime | None = None


def evaluate(what: Evaluated, *, injections: Sequence[Injection] = INJECTIONS) -> pa.Table:
    """Measure every method on a session, as it stands and with anomalies put into copies of it.

    Parameters
    ----------
    what : Evaluated
        Session and methods.
    injections : sequence of Injection
        What is put in, one to a copy.

    Returns
    -------
    pyarrow.Table
        `tables.ANOMALY_EVALUATION`; no rows without features.
    """
    if not what.rows.num_rows:
        return tables.ANOMALY_EVALUATION.schema.empty_table()
    poll = np.unique(integers(what.rows, "event_at"), return_inverse=True)[1]
    standing = {name: judge(what.rows) for name, judge in what.methods.items()}
    found: list[dict[str, Any]] = []
    for name, judged in standing.items():
        found += _as_it_stands(what.rows, name, judged, poll)
        found += _next_morning(what, name, judged)
    limits = {name: _limit(judged.strength) for name, judged in standing.items()}
    for injection in injections:
        put = inject(what.rows, injection, seed=what.seed)
        if not put.chosen.any():
            continue
        for name, judge in what.methods.items():
            counted = _found(judge(put.rows), put.chosen, poll, limit=limits[name])
            found += [_row(name, m, *n, injection=injection) for m, n in counted]
    return _stamped(found, what)


def _as_it_stands(
    rows: pa.Table, name: str, judged: Judged, poll: np.ndarray[Any, Any]
) -> Iterator[dict[str, Any]]:
    """Alert rates, and how often there is any discovery: false where nothing is to be found."""
    told = np.isfinite(judged.strength)
    slots = integers(rows, "slot")
    for slot in (tables.ALL_SLOTS, *np.unique(slots).tolist()):
        at = told & ((slots == slot) | (slot == tables.ALL_SLOTS))
        yield _row(name, "alert_rate", (judged.is_alert & at).sum(), at.sum(), slot=slot)
    for severity in EVALUATION_SEVERITIES[1:] if judged.severity else ():
        hits = judged.severity.count(severity)
        yield _row(name, "alert_rate", hits, told.sum(), severity=severity)
    false = _false_share(judged.is_alert, np.zeros(rows.num_rows, np.bool_), poll)
    yield _row(name, "any_false_discovery", (false > 0.0).sum(), false.size)


def _next_morning(what: Evaluated, name: str, judged: Judged) -> Iterator[dict[str, Any]]:
    if what.interest_after:
        pairs = confirmed(what.rows, judged.is_alert, what.interest_after)
        yield _row(name, "confirmation", pairs.flagged, pairs.pairs)
        yield _row(name, "confirmation_base", pairs.matched, pairs.pairs)


def _found(
    judged: Judged, chosen: Bools, poll: np.ndarray[Any, Any], *, limit: float
) -> list[tuple[str, tuple[float, float]]]:
    """Measures of one copy, each with hits and trials."""
    hits = judged.is_alert & chosen
    false = _false_share(judged.is_alert, chosen, poll)
    strong = chosen & (judged.strength > limit)
    return [
        ("recall", (hits.sum(), chosen.sum())),
        ("recall_at_alert_rate", (strong.sum(), chosen.sum())),
        ("precision", (hits.sum(), judged.is_alert.sum())),
        ("false_discovery", (false.sum(), false.size)),
    ]


def _false_share(is_alert: Bools, is_true: Bools, poll: np.ndarray[Any, Any]) -> Floats:
    """Share of each snapshot's discoveries that are false; 0 where it has none."""
    count = int(poll.max()) + 1
    found = np.bincount(poll[is_alert], minlength=count)
    false = np.bincount(poll[is_alert & ~is_true], minlength=count)
    return np.asarray(false / np.maximum(found, 1))


def _limit(strength: Floats) -> float:
    """Strength that the declared share of rows exceeds, as they stand."""
    told = np.sort(strength[np.isfinite(strength)])
    if not told.size:
        return float("inf")
    above = int(FIXED_ALERT_RATE * told.size)
    return float(told[told.size - 1 - above])


def _row(
    method: str,
    measure: str,
    hits: float,
    trials: float,
    *,
    injection: Injection | None = None,
    slot: int = tables.ALL_SLOTS,
    severity: str = EVALUATION_SEVERITIES[0],
) -> dict[str, Any]:
    return {
        "method": method,
        "measure": measure,
        "injected_kind": injection.kind if injection else "none",
        "injected_size": injection.size if injection else 0.0,
        "slot": slot,
        "severity": severity,
        "hits": float(hits),
        "trials": float(trials),
        "value": float(hits) / float(trials) if trials else None,
    }


def _stamped(found: Sequence[Mapping[str, Any]], what: Evaluated) -> pa.Table:
    """Put the session's own columns before what was counted, in the order of the table's key."""
    last = what.rows.slice(0, 1).to_pylist()[0]
    known = max(what.rows["known_at"].to_pylist())
    shared = {
        "underlying": last["underlying"],
        "session_date": last["session_date"],
        "event_at": max(what.rows["event_at"].to_pylist()),
        "known_at": max(known, what.known_at or known),
        "is_null_known": all(what.rows["is_simulated"].to_pylist()),
        "history_sessions": what.history_sessions,
        "seed": what.seed,
    }
    table = tables.ANOMALY_EVALUATION
    rows = pa.Table.from_pylist([{**shared, **row} for row in found], schema=table.schema)
    return rows.sort_by([(name, "ascending") for name in table.key])
