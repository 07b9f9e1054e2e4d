"""Rules over scores: many anomalies of one poll are one alert that lists them.

Belongs here: which scored rows speak, and in which words. Does not belong here: scoring
(`domain/anomaly`), data problems, which are never scored (`quality`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.alerting.alert import SEVERITIES, Alert, Found
from dealer_assets.domain.alerting.table import Rule

Row = Mapping[str, Any]

CONTRACT_COLUMNS = (
    "event_at",
    "known_at",
    "symbol",
    "score",
    "q_value",
    "severity",
    "is_anomaly",
    "words",
)
"""Columns of `anomaly_scores` that are read."""

MEASURE_COLUMNS = (
    "event_at",
    "known_at",
    "measure",
    "score",
    "q_value",
    "severity",
    "is_anomaly",
    "words",
)
"""Columns of `underlying_scores` that are read."""

MOST_LISTED = 10
"""Anomalies that a body spells out; of more it tells how many."""


def score_at_least(rule: Rule, underlying: str, day: date, scores: pa.Table) -> Found:
    """Return one alert for each poll with contracts that are anomalies and score enough.

    Parameters
    ----------
    rule : Rule
        From the table of rules.
    underlying : str
        Registry symbol.
    day : datetime.date
        Session.
    scores : pyarrow.Table
        `CONTRACT_COLUMNS` of `anomaly_scores`.
    """
    return _by_poll(rule, underlying, day, scores, name=lambda row: row["symbol"], what="contract")


def underlying_score_at_least(rule: Rule, underlying: str, day: date, scores: pa.Table) -> Found:
    """Return one alert for each poll with measures that are anomalies and score enough.

    Parameters as `score_at_least`; `scores` has `MEASURE_COLUMNS` of `underlying_scores`.
    """

    def name(row: Row) -> str:
        return str(row["measure"]).replace("_", " ")

    return _by_poll(rule, underlying, day, scores, name=name, what="measure")


def _by_poll(
    rule: Rule,
    underlying: str,
    day: date,
    scores: pa.Table,
    *,
    name: Callable[[Row], str],
    what: str,
) -> Found:
    enough = pc.fill_null(pc.greater_equal(scores["score"], rule.threshold), False)
    loud = scores.filter(pc.and_(pc.fill_null(scores["is_anomaly"], False), enough))
    polls: dict[Any, list[Row]] = {}
    for row in loud.to_pylist():
        if row["severity"] in SEVERITIES:
            polls.setdefault(row["event_at"], []).append(row)
    return Found(
        tuple(_alert(rule, underlying, day, polls[at], name, what) for at in sorted(polls))
    )


def _alert(
    rule: Rule,
    underlying: str,
    day: date,
    rows: list[Row],
    name: Callable[[Row], str],
    what: str,
) -> Alert:
    ordered = sorted(rows, key=lambda row: (-row["score"], name(row)))
    top = ordered[0]
    severity = max((row["severity"] for row in rows), key=SEVERITIES.index)
    many = f"{len(rows)} unusual {what}s" if len(rows) > 1 else f"1 unusual {what}"
    lines = [f"{name(row)}: {row['words']} (score {row['score']:.0f})" for row in ordered]
    if len(lines) > MOST_LISTED:
        lines[MOST_LISTED:] = [f"and {len(lines) - MOST_LISTED} more"]
    return rule.alert(
        underlying,
        day,
        event_at=top["event_at"],
        known_at=max(row["known_at"] for row in rows),
        dedupe_key=f"{what}s",
        title=f"{many}, first {name(top)} with score {top['score']:.0f}",
        body="\n".join(lines),
        facts={
            f"{what}s": len(rows),
            "first": name(top),
            "score": top["score"],
            "q_value": top["q_value"],
        },
        severity=severity,
    )
