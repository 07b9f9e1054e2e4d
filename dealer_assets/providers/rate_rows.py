"""Published values of rates into rows of `tables.REFERENCE_RATES`.

Belongs here: what the publishers' formats share: cells, judgement, rows. Does not belong here: any
publisher's field name (`nyfed`, `fred`), when a value can first be read (`rate_calendar`).

Rates become decimals and are not converted otherwise: SOFR and EFFR stay simple interest on
actual/360.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.rates import published_at
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.record_quarantine import quarantine
from dealer_assets.providers.record_rows import Place, Source, build

CURRENCY = "USD"
PER_CENT = 100.0

_HIGHEST_PER_CENT = 50.0
_DIGITS = 12
"""Publishers give four decimals of a per cent at most; what is beyond is binary dust."""


@dataclass(frozen=True)
class Value:
    """One published value.

    Parameters
    ----------
    row : int
        1-based number in the payload.
    series : str
        Name of the series.
    day : datetime.date
        Date it is effective for.
    known_at : datetime.datetime
        UTC instant from which it could be known.
    per_cent : float or None
        As published; None when it is no number.
    raw_text : str
        As received.
    volume_usd : float or None
        Volume behind it.
    is_revised : bool
        The publisher corrected it.
    """

    row: int
    series: str
    day: date
    known_at: datetime
    per_cent: float | None
    raw_text: str
    volume_usd: float | None = None
    is_revised: bool = False


def date_of(text: str, name: str) -> date:
    """Return an ISO date.

    Raises
    ------
    BadInputError
        When the text is none.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        refuse(name, f"expected every date as YYYY-MM-DD, found {text!r:.40}")


def number_of(value: Any) -> float | None:
    """Return a finite number, or None."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if abs(found) < float("inf") else None


def records_of(
    values: Sequence[Value], source: Source, findings: tuple[Finding, ...] = ()
) -> Records:
    """Return believed values as rows, the others in quarantine.

    Parameters
    ----------
    values : sequence of Value
        Any order; of two of one series and date the first counts.
    source : Source
        Where they are from.
    findings : tuple of Finding
        What was odd.
    """
    seen: set[tuple[str, date]] = set()
    good: list[Value] = []
    bad: list[Value] = []
    reasons: list[str] = []
    for value in values:
        key = (value.series, value.day)
        reason = _reason(value) or ("duplicate_value" if key in seen else "")
        if reason:
            bad.append(value)
            reasons.append(reason)
        else:
            seen.add(key)
            good.append(value)
    return Records(
        table=tables.REFERENCE_RATES,
        rows=_rows(good, source),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=quarantine(
            source,
            reasons=np.array(reasons, dtype=object),
            places=_place(bad),
            underlyings=[CURRENCY] * len(bad),
            row_numbers=np.array([value.row for value in bad], np.int64),
            raw_texts=[value.raw_text for value in bad],
            symbols=[value.series for value in bad],
        ),
        findings=findings,
    )


def _reason(value: Value) -> str:
    if value.per_cent is None:
        return "not_a_number"
    return "" if abs(value.per_cent) <= _HIGHEST_PER_CENT else "impossible_rate"


def _rows(values: Sequence[Value], source: Source) -> pa.Table:
    columns = {
        "underlying": pa.array([CURRENCY] * len(values), pa.string()),
        **_place(values).columns(),
        "series": pa.array([value.series for value in values], pa.string()),
        "rate": pa.array([_decimal(value.per_cent) for value in values], pa.float64()),
        "is_revised": pa.array([value.is_revised for value in values], pa.bool_()),
        "volume_usd": pa.array([value.volume_usd for value in values], pa.float64()),
    }
    return build(tables.REFERENCE_RATES, columns, source)


def _decimal(per_cent: float | None) -> float:
    return round((per_cent or 0.0) / PER_CENT, _DIGITS)


def _place(values: Sequence[Value]) -> Place:
    def naive(instant: datetime) -> datetime:
        return instant.astimezone(UTC).replace(tzinfo=None)

    return Place(
        days=np.array([value.day for value in values], "datetime64[D]"),
        event_at=np.array([naive(published_at(v.day)) for v in values], "datetime64[us]"),
        known_at=np.array([naive(value.known_at) for value in values], "datetime64[us]"),
    )
