"""Rows of the daily score: a session's positions and flow against the next morning.

Belongs here: `tables.POSITION_SCORES` from rows and labels. Does not belong here: the measures
(`score`), what the lake holds (`scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, equals, floats
from dealer_assets.domain.flow.calibration import brier, ece
from dealer_assets.domain.positions import score
from dealer_assets.domain.positions.assumptions import DECLARED, Assumptions
from dealer_assets.domain.positions.gathered import Gathered, Morning, flows_of, gather
from dealer_assets.domain.positions.models import MODELS, Holdings


@dataclass(frozen=True)
class Labels:
    """Sides the rules told of prints whose true side the venue tells; arrays of shape (n,).

    Parameters
    ----------
    probability : float64 array
        Odds of the side told; NaN where none was.
    is_right : bool array
        Whether it is the venue's.
    """

    probability: Floats
    is_right: Bools


@dataclass(frozen=True)
class Evening:
    """What a session is scored by.

    Parameters
    ----------
    session_date : datetime.date
        The session.
    closed_at : datetime.datetime
        Its close: `event_at` of the rows.
    morning : Morning
        The next session's, whose `previous` and `flow` are the scored session's own.
    earlier : pyarrow.Table
        `tables.POSITION_SCORES` of sessions before, in order of time.
    labels : Labels, optional
        Of the session's prints.
    truth : mapping of str to float, optional
        True dealers' positions the session opened with, by symbol; simulated markets have one.
    """

    session_date: date
    closed_at: datetime
    morning: Morning
    earlier: pa.Table
    labels: Labels | None = None
    truth: Mapping[str, float] | None = None


Row = dict[str, Any]


def scored_session(evening: Evening, *, assumed: Assumptions = DECLARED) -> pa.Table:
    """Score a session, one row for each model with positions, and one for the naive rule.

    Parameters
    ----------
    evening : Evening
        What is held.
    assumed : Assumptions
        Declared constants.

    Returns
    -------
    pyarrow.Table
        `tables.POSITION_SCORES`; no rows without positions of the session, or without the next
        morning's counts.
    """
    table = tables.POSITION_SCORES
    morning = evening.morning
    if not morning.previous.num_rows or not morning.counts.num_rows:
        return table.schema.empty_table()
    found = gather(morning)
    shared = _of_session(evening, found)
    held = morning.previous["model"].unique().to_pylist()
    rows = [
        shared | _of_model(evening, found, name, assumed) for name in sorted({score.NAIVE, *held})
    ]
    return pa.Table.from_pylist([_told(row) for row in rows], schema=table.schema)


def _of_session(evening: Evening, found: Gathered) -> Row:
    """Return what all models of a session share."""
    morning = evening.morning
    known = [morning.previous, morning.flow, morning.counts, evening.earlier]
    flows = flows_of(morning.flow, found.contracts)
    counted, coverage = score.net_coverage(flows["trades"], flows["exact"])
    main = morning.flow.filter(pc.not_equal(morning.flow["source"], "open_close"))
    signed, volume = (
        float(floats(main, f"{name}volume_contracts").sum()) for name in ("signed_", "")
    )
    return {
        "underlying": morning.underlying,
        "session_date": evening.session_date,
        "event_at": evening.closed_at,
        "known_at": max(pc.max(rows["known_at"]).as_py() for rows in known if rows.num_rows),
        "volume_contracts": float(np.nansum(found.flow.volume)),
        "signed_share": signed / volume if volume else None,
        "counted_contracts": counted,
        "net_coverage": coverage,
        **_labelled(evening.labels),
    }


def _labelled(labels: Labels | None) -> Row:
    if labels is None:
        return {"labelled_prints": 0}
    told = np.isfinite(labels.probability)
    return {
        "labelled_prints": int(told.sum()),
        "sign_accuracy": float(labels.is_right[told].mean()) if told.any() else None,
        "sign_brier": brier(labels.probability, labels.is_right),
        "sign_ece": ece(labels.probability, labels.is_right),
    }


def _of_model(evening: Evening, found: Gathered, model: str, assumed: Assumptions) -> Row:
    rows = evening.morning.previous
    every = rows.filter(pc.equal(rows["model"], score.LEADING if model == score.NAIVE else model))
    place = pc.index_in(found.contracts["symbol"], value_set=every["symbol"].combine_chunks())
    own = every.take(place.combine_chunks())
    position, oi = _position(own, model), floats(own, "open_interest_contracts")
    before = evening.earlier.filter(pc.equal(evening.earlier["model"], model))
    opening = _opening(before)
    foretold = score.foretell(
        found.flow, np.nan_to_num(position), np.nan_to_num(oi), opening=opening, assumed=assumed
    )
    errors = score.judge(foretold, found.oi_after - found.oi_before, found.flow.volume)
    return {
        "model": model,
        "contracts": errors.contracts,
        "change_error_contracts": errors.error,
        "baseline_error_contracts": errors.baseline_error,
        "change_skill": errors.skill,
        "change_coverage": errors.coverage,
        "expected_opening_share": opening,
        "opening_share": errors.opening_share,
        **_against_truth(evening.truth, every, model),
        **_usual(before),
    }


def _opening(before: pa.Table) -> float:
    shares, volumes = floats(before, "opening_share"), floats(before, "volume_contracts")
    known = np.isfinite(shares)
    return score.opening_share(
        list(zip(shares[known].tolist(), volumes[known].tolist(), strict=True))
    )


def _position(rows: pa.Table, model: str) -> Floats:
    if model != score.NAIVE:
        return floats(rows, "position_contracts")
    oi = floats(rows, "open_interest_contracts")
    return MODELS[score.NAIVE](Holdings(equals(rows, "right", "call"), oi)).contracts


def _against_truth(truth: Mapping[str, float] | None, rows: pa.Table, model: str) -> Row:
    """Score every contract the session opened with, those that it ended too."""
    if truth is None:
        return {"truth_contracts": 0}
    lo, hi = (floats(rows, f"position_{end}_contracts") for end in ("lo", "hi"))
    held = score.against_truth(
        _position(rows, model),
        np.full(lo.shape, np.nan) if model == score.NAIVE else lo,
        np.full(hi.shape, np.nan) if model == score.NAIVE else hi,
        truth=np.array([truth.get(s, np.nan) for s in rows["symbol"].to_pylist()], np.float64),
        open_interest=floats(rows, "open_interest_contracts"),
        is_call=equals(rows, "right", "call"),
    )
    return {
        "truth_contracts": held.contracts,
        "truth_coverage": held.coverage,
        "truth_error_contracts": held.error,
        "naive_error_contracts": held.naive_error,
        "shrunk_naive_error_contracts": held.shrunk_naive_error,
    }


def _usual(before: pa.Table) -> Row:
    latest = before.slice(max(before.num_rows - score.HISTORY, 0))

    def median(name: str) -> float | None:
        values = floats(latest, name)
        values = values[np.isfinite(values)]
        return float(np.median(values)) if values.size else None

    return {
        "sessions_before": latest.num_rows,
        "usual_skill": median("change_skill"),
        "usual_change_coverage": median("change_coverage"),
        "usual_ece": median("sign_ece"),
    }


def _told(row: Row) -> Row:
    """Leave out what is not a number."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}
