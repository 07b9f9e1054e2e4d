"""Treasury curves in the lake: stored by their date, found by what was known at an instant.

Belongs here: where curves meet the lake. Does not belong here: reading Treasury's files
(`providers/treasury.py`), or what a curve says (`domain/rates.py`).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.columns import floats
from dealer_assets.domain.rates import (
    REFUSED_AFTER_DAYS,
    CurveChoice,
    RateCurve,
    curve_as_of,
    published_at,
)
from dealer_assets.errors import BadInputError
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import list_parts, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.providers.treasury import parse_par_yields

CURRENCY, SIMULATED_CURRENCY = "USD", "USD-SIMULATED"
"""Stand where other tables have the underlying; simulated curves serve simulated chains only."""

_NAMES = ("yield", "treasury", "par_")
_DAMAGE = (EOFError, OSError, zlib.error)


@dataclass(frozen=True)
class StoredCurves:
    """What became of a file of curves.

    Parameters
    ----------
    written, held, earlier : int
        Curves stored, already there with the same yields, and older than asked for.
    """

    written: int
    held: int
    earlier: int


def is_curve_file(path: Path) -> bool:
    """Tell by its name whether a file holds Treasury curves rather than a chain."""
    name = path.name.lower()
    return (any(word in name for word in _NAMES) and ".csv" in name) or name.endswith(".xml")


def read_curve_file(path: Path) -> list[RateCurve]:
    """Read a Treasury file, plain or gzip.

    Raises
    ------
    BadInputError
        When it cannot be read, or is refused by `parse_par_yields`.
    """
    try:
        payload = path.read_bytes()
        if payload.startswith(b"\x1f\x8b"):
            payload = gzip.decompress(payload)
    except _DAMAGE as error:
        raise BadInputError(
            f"{path.name}: expected a readable file of Treasury yields, found: {error}"
        ) from error
    return parse_par_yields(payload, name=path.name)


def store_curves(
    lake: Lake,
    curves: Iterable[RateCurve],
    *,
    source: str,
    since: date = date.min,
    simulated: bool = False,
) -> StoredCurves:
    """Store curves, one part per date; storing them again changes nothing.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    curves : iterable of RateCurve
        Any order.
    source : str
        File or request they came from.
    since : datetime.date
        Earlier curves are counted and left out: no partition could use them.
    simulated : bool
        They are of a simulated market.
    """
    currency = SIMULATED_CURRENCY if simulated else CURRENCY
    written = held = earlier = 0
    for curve in curves:
        if curve.date < since:
            earlier += 1
            continue
        part = write_part(
            lake,
            tables.TREASURY_CURVE,
            _rows(curve, source, currency),
            underlying=currency,
            session_date=curve.date,
            name=SESSION_PART,
        )
        written += part.changed
        held += not part.changed
    return StoredCurves(written, held, earlier)


def _rows(curve: RateCurve, source: str, currency: str) -> pa.Table:
    n, instant = curve.tenor_years.size, published_at(curve.date)
    return pa.table(
        {
            "underlying": [currency] * n,
            "session_date": [curve.date] * n,
            "event_at": [instant] * n,
            "known_at": [instant] * n,
            "tenor_years": curve.tenor_years,
            "par_yield": curve.par_yield,
            "zero_rate": curve.zero_rate,
            "source_name": [source] * n,
        },
        schema=tables.TREASURY_CURVE.schema,
    )


def curve_known(lake: Lake, instant: datetime, *, simulated: bool = False) -> CurveChoice:
    """Return the latest curve that was published by an instant, as the lake knows it.

    Parameters
    ----------
    lake : Lake
        Storage.
    instant : datetime.datetime
        With time zone.
    simulated : bool
        Whether it is for a simulated chain; the two kinds never serve each other.
    """
    currency = SIMULATED_CURRENCY if simulated else CURRENCY
    for age in range(REFUSED_AFTER_DAYS + 2):
        day = instant.date() - timedelta(days=age)
        if published_at(day) > instant:
            continue
        parts = list_parts(lake, tables.TREASURY_CURVE, currency, day)
        if parts:
            rows = read_part(lake, tables.TREASURY_CURVE, parts[0])
            return curve_as_of([_curve(day, rows)], instant)
    return CurveChoice(None, "none", None)


def _curve(day: date, rows: pa.Table) -> RateCurve:
    tenor = floats(rows, "tenor_years")
    order = np.argsort(tenor)
    return RateCurve(
        day, tenor[order], floats(rows, "par_yield")[order], floats(rows, "zero_rate")[order]
    )


def identity(curve: RateCurve | None) -> str:
    """Say which curve a derivation stands on, for its provenance."""
    if curve is None:
        return "none"
    points = zip(curve.tenor_years, curve.zero_rate, strict=True)
    return f"{curve.date.isoformat()}:" + ",".join(f"{t:.4g}={float(r)!r}" for t, r in points)
