"""Reference rates of the New York Fed, as its markets API gives them.

Belongs here: this JSON. Does not belong here: fetching it (`rate_sources`), rows (`rate_rows`).

``refRates[{effectiveDate, type, percentRate, volumeInBillions, revisionIndicator}]``. A value is
published on the next business day; one that is corrected, on that same day, has a revision
indicator. Where all types come together, averages and indices have no ``percentRate``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.json_fields import read_field, read_object
from dealer_assets.providers.rate_calendar import nyfed_known_at
from dealer_assets.providers.rate_rows import Value, date_of, number_of, records_of
from dealer_assets.providers.record_rows import Source

_BILLION = 1e9


def parse_nyfed(payload: bytes, source: Source) -> Records:
    """Parse reference rates.

    Parameters
    ----------
    payload : bytes
        JSON text.
    source : Source
        Where it is from.

    Returns
    -------
    Records
        `tables.REFERENCE_RATES`, of any type that has a rate; the others are counted in the finding
        ``not_a_fixing``. A revised value is known from the afternoon of its publication, any other
        from the morning.

    Raises
    ------
    BadInputError
        When it is no such JSON.
    """
    entries = read_field(read_object(payload, source.name), "refRates", list, name=source.name)
    if any(not isinstance(entry, dict) for entry in entries):
        refuse(source.name, "expected objects in 'refRates', found others")
    values = [
        _value(row, entry, source.name)
        for row, entry in enumerate(entries, 1)
        if entry.get("percentRate") is not None
    ]
    left = len(entries) - len(values)
    text = f"{left} entries are averages or indices without a rate: left out"
    return records_of(values, source, (Finding("not_a_fixing", text),) if left else ())


def _value(row: int, entry: Mapping[str, Any], name: str) -> Value:
    series = read_field(entry, "type", str, name=name)
    day = date_of(read_field(entry, "effectiveDate", str, name=name), name)
    is_revised = bool(str(entry.get("revisionIndicator") or "").strip())
    volume = number_of(entry.get("volumeInBillions"))
    return Value(
        row=row,
        series=series,
        day=day,
        known_at=nyfed_known_at(series, day, is_revised=is_revised),
        per_cent=number_of(entry["percentRate"]),
        raw_text=json.dumps(entry),
        volume_usd=None if volume is None else volume * _BILLION,
        is_revised=is_revised,
    )
