"""Surfaces as rows of the lake's tables, and back.

Belongs here: the order of columns between `Surface` and `VOL_SURFACE`, `GREEK_SURFACE`,
`SURFACE_QUALITY`. Does not belong here: a number that is not in a surface or its measures.

Tables are sorted by root and expiry date, surfaces by expiry instant and root.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Floats, floats, integers, nullable
from dealer_assets.domain.surface.arbitrage import Slacks
from dealer_assets.domain.surface.fit import fit_surface
from dealer_assets.domain.surface.grid import Grid, GridPart, surface_grid
from dealer_assets.domain.surface.metrics import smile_metrics
from dealer_assets.domain.surface.model import VOL_RULES, Surface
from dealer_assets.domain.surface.quality import surface_quality
from dealer_assets.domain.surface.quotes import Quotes, chain_quotes
from dealer_assets.domain.surface.smiles import COLUMNS, FIRST_KNOT

NO_VARIANCE = -1e9
"""Stored slack of a smile whose total variance is not positive somewhere on its domain."""

_SHARED = ("underlying", "session_date", "event_at", "known_at")
_SMILE = (
    "svi_a",
    "svi_b",
    "svi_rho",
    "svi_m",
    "svi_sigma",
    "svi_scale",
    "svi_origin",
    "svi_inverse_spacing",
)
_METRICS = (
    "atm_vol",
    "skew",
    "curvature",
    "risk_reversal_25",
    "butterfly_25",
    "risk_reversal_10",
    "butterfly_10",
    "forward_vol",
)


def surface_of(chain: pa.Table, priced: pa.Table, previous: pa.Table) -> pa.Table:
    """Fit one snapshot's surface.

    Parameters
    ----------
    chain : pyarrow.Table
        The snapshot as quoted, `tables.CHAIN_SNAPSHOTS` schema.
    priced : pyarrow.Table
        Its live contracts, `tables.CONTRACT_GREEKS` schema.
    previous : pyarrow.Table
        The surface of the snapshot before in the session, `tables.VOL_SURFACE` schema; no rows when
        there is none.

    Returns
    -------
    pyarrow.Table
        `tables.VOL_SURFACE` schema, one row per live slice; empty when nothing is priced.
    """
    if priced.num_rows == 0:
        return tables.VOL_SURFACE.schema.empty_table()
    quotes = chain_quotes(chain, priced)
    before = surface_from(previous) if previous.num_rows else None
    surface = fit_surface(quotes, previous=before)
    rows = _slice_rows(surface, quotes, priced)
    if "aged" not in surface.method:
        return rows
    # an earlier snapshot can have been downloaded later: its smile was not known before that
    latest = pc.max(pa.chunked_array([*rows["known_at"].chunks, *previous["known_at"].chunks]))
    place = rows.schema.get_field_index("known_at")
    known_at = pa.repeat(latest, rows.num_rows)
    return rows.set_column(place, rows.schema.field(place), known_at)


def quality_of(chain: pa.Table, priced: pa.Table, surface: pa.Table) -> pa.Table:
    """Measure a stored surface against the quotes it was fitted to.

    Returns
    -------
    pyarrow.Table
        `tables.SURFACE_QUALITY` schema, one row; empty when there is no surface.
    """
    if surface.num_rows == 0:
        return tables.SURFACE_QUALITY.schema.empty_table()
    fitted = surface_from(surface)
    measured = surface_quality(fitted, chain_quotes(chain, priced))
    methods = fitted.method.tolist()
    ages = fitted.age_seconds[fitted.method == "aged"]
    row = {
        **_shared(surface),
        "expiries": len(methods),
        "fitted": methods.count("fit"),
        "aged": methods.count("aged"),
        "interpolated": methods.count("interpolated"),
        "ruled": methods.count("rule"),
        "without_smile": methods.count("none"),
        "fitted_share": measured.fitted_share,
        "oldest_age_seconds": float(ages.max()) if ages.size else None,
        "quotes": int(fitted.quote_count.sum()),
        "in_spread_share": _known(measured.in_spread),
        "rms_half_spreads": _known(measured.chi),
        "atm_error_bp": _known(measured.atm_error_bp),
        "butterfly_violations": measured.butterfly_violations,
        "calendar_violations": measured.calendar_violations,
        "butterfly_slack": _least(fitted.after.butterfly),
        "calendar_slack": _least(fitted.after.calendar),
        "parity_residual": _known(measured.parity_residual),
        "is_sound": measured.is_sound,
        "reasons": list(measured.reasons),
    }
    return pa.Table.from_pylist([row], schema=tables.SURFACE_QUALITY.schema)


def grid_of(surface: pa.Table) -> pa.Table:
    """Evaluate a stored surface and its Greeks at constant maturities.

    Returns
    -------
    pyarrow.Table
        `tables.GREEK_SURFACE` schema; points without a vol are left out.
    """
    if surface.num_rows == 0:
        return tables.GREEK_SURFACE.schema.empty_table()
    fitted = surface_from(surface)
    grid = surface_grid(fitted)
    parts = [
        _grid_rows(surface, fitted, grid, part, axis=axis)
        for axis, part in (("log_moneyness", grid.by_moneyness), ("put_delta", grid.by_delta))
    ]
    rows = pa.concat_tables(parts)
    return rows.sort_by([(name, "ascending") for name in tables.GREEK_SURFACE.key])


def surface_from(rows: pa.Table) -> Surface:
    """Rebuild a surface from its rows, `tables.VOL_SURFACE` schema."""
    rows = rows.sort_by([("expires_at", "ascending"), ("root", "ascending")])

    def column(name: str) -> Floats:
        return floats(rows, name)

    return Surface(
        root=np.array(rows["root"].to_pylist(), np.str_),
        expires_at=integers(rows, "expires_at"),
        years=column("year_fraction"),
        forward=column("forward"),
        discount=column("discount"),
        params=parameters_from(rows),
        method=np.array(rows["method"].to_pylist(), "<U12"),
        age_seconds=column("age_seconds"),
        quote_count=integers(rows, "quotes"),
        low=column("domain_low"),
        high=column("domain_high"),
        before=_slacks(column, "free_"),
        after=_slacks(column, ""),
        spot=float(column("spot")[0]) if rows.num_rows else float("nan"),
    )


def parameters_from(rows: pa.Table) -> Floats:
    """Read the smiles of rows of `tables.VOL_SURFACE`, shape (m, COLUMNS), in the rows' order."""
    params = np.full((rows.num_rows, COLUMNS), np.nan)
    for i, name in enumerate(_SMILE):
        params[:, i] = floats(rows, name)
    for i, knots in enumerate(rows["svi_spline"].to_pylist()):
        if knots:
            params[i, FIRST_KNOT:] = knots
    return params


def _slacks(column: Any, prefix: str) -> Slacks:
    butterfly, calendar = column(f"{prefix}butterfly_slack"), column(f"{prefix}calendar_slack")
    unknown = np.full(butterfly.size, np.nan)
    b, rho = column("svi_b"), column("svi_rho")
    return Slacks(
        butterfly=butterfly,
        butterfly_at=unknown if prefix else column("butterfly_slack_at"),
        calendar=calendar,
        calendar_at=unknown if prefix else column("calendar_slack_at"),
        lee=unknown if prefix else 2.0 - b * (1.0 + np.abs(rho)),
    )


def _slice_rows(surface: Surface, quotes: Quotes, priced: pa.Table) -> pa.Table:
    quality, metrics = surface_quality(surface, quotes).slices, smile_metrics(surface)
    m = surface.years.size
    known = surface.usable
    computed: dict[str, Any] = {
        "root": pa.array(surface.root.tolist(), pa.string()),
        "expires_at": pa.array(surface.expires_at, pa.int64()),
        "expiry_date": _expiry_dates(surface, priced),
        "year_fraction": pa.array(surface.years),
        "spot": pa.array(np.full(m, surface.spot)),
        "forward": nullable(surface.forward),
        "discount": nullable(surface.discount),
        "method": pa.array(surface.method.tolist(), pa.string()),
        "age_seconds": nullable(np.where(surface.method == "aged", surface.age_seconds, np.nan)),
        "quotes": pa.array(surface.quote_count),
        "svi_spline": pa.array(
            [
                row.tolist() if ok else []
                for row, ok in zip(surface.params[:, FIRST_KNOT:], known, strict=True)
            ],
            pa.list_(pa.float64()),
        ),
        "domain_low": nullable(surface.low),
        "domain_high": nullable(surface.high),
        "in_spread_share": nullable(quality.in_spread),
        "rms_half_spreads": nullable(quality.chi),
        "atm_error_bp": nullable(quality.atm_error_bp),
        "butterfly_slack": _slack(surface.after.butterfly),
        "butterfly_slack_at": nullable(surface.after.butterfly_at),
        "calendar_slack": _slack(surface.after.calendar),
        "calendar_slack_at": nullable(surface.after.calendar_at),
        "free_butterfly_slack": _slack(surface.before.butterfly),
        "free_calendar_slack": _slack(surface.before.calendar),
        "parity_residual": nullable(quality.parity_residual),
    }
    for i, name in enumerate(_SMILE):
        computed[name] = nullable(surface.params[:, i])
    for name in _METRICS:
        computed[name] = nullable(getattr(metrics, name))
    return _laid_out(tables.VOL_SURFACE, priced, computed, count=m)


def _expiry_dates(surface: Surface, priced: pa.Table) -> pa.Array:
    """Return listed expiry dates, which instants do not tell (weekends, AM series)."""
    roots, instants = priced["root"].to_pylist(), integers(priced, "expires_at").tolist()
    listed = dict(
        zip(zip(roots, instants, strict=True), priced["expiry_date"].to_pylist(), strict=True)
    )
    wanted = zip(surface.root.tolist(), surface.expires_at.tolist(), strict=True)
    return pa.array([listed[key] for key in wanted], pa.date32())


def _grid_rows(
    surface: pa.Table, fitted: Surface, grid: Grid, part: GridPart, *, axis: str
) -> pa.Table:
    shape = part.vol.shape
    keep = np.flatnonzero(np.isfinite(part.vol) & np.isfinite(part.greeks.price))

    def flat(values: Floats) -> pa.Array:
        return pa.array(np.broadcast_to(values, shape).reshape(-1)[keep])

    computed = {
        "axis": pa.repeat(axis, keep.size),
        "tenor_days": flat(grid.tenor_days[:, None]),
        "coordinate": flat(part.coordinate[None, :]),
        "spot": pa.repeat(fitted.spot, keep.size),
        "forward": flat(grid.forward[:, None]),
        "strike": flat(part.strike),
        "implied_vol": flat(part.vol),
        "vol_rule": pa.array(VOL_RULES, pa.string()).take(pa.array(part.rule.reshape(-1)[keep])),
    }
    computed |= {name: flat(values) for name, values in vars(part.greeks).items()}
    return _laid_out(tables.GREEK_SURFACE, surface, computed, count=int(keep.size))


def _laid_out(
    table: tables.Table, source: pa.Table, computed: dict[str, Any], *, count: int
) -> pa.Table:
    columns = [
        computed[field.name].cast(field.type)
        if field.name in computed
        else pa.repeat(source[field.name][0], count)
        for field in table.schema
    ]
    rows = pa.table(columns, schema=table.schema)
    return rows.sort_by([(name, "ascending") for name in table.key])


def _shared(rows: pa.Table) -> dict[str, Any]:
    return {name: rows[name][0].as_py() for name in _SHARED}


def _slack(values: Floats) -> pa.Array:
    """Store slacks with a number for minus infinity: null would look like a slice without smile."""
    return nullable(np.where(np.isneginf(values), NO_VARIANCE, values))


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _least(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.min()) if known.size else None
