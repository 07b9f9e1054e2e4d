"""The rows of the hand-made lake.

Belongs here: what every table holds. Does not belong here: writing it, running dbt, expectations.

The book: SPX has a call and a put of root SPXW at strike 5000 (December) and a call of root SPX at
5100 that expires on the last session; SPY has one call. Two snapshots a session. A gamma is a
weight times the snapshot's scale, the other exposures are multiples of gamma, so that every sum can
be done in the head. SPY's very last snapshot has an unsound surface and so no levels. SPX has
a flip and bands around it, SPY has none. `live_lake` has the live rows.
"""

import math
from datetime import UTC, date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.dbt.alert_lake import alert_rows
from dealer_assets_tests.dbt.anomaly_lake import anomaly_rows
from dealer_assets_tests.dbt.evaluation_lake import evaluation_rows
from dealer_assets_tests.dbt.feature_lake import feature_rows
from dealer_assets_tests.dbt.live_lake import live_rows
from dealer_assets_tests.dbt.measure_lake import measure_rows
from dealer_assets_tests.dbt.pin_lake import pin_rows
from dealer_assets_tests.dbt.position_lake import position_rows
from dealer_assets_tests.dbt.quality_lake import quality_rows
from dealer_assets_tests.dbt.regime_lake import regime_rows

DAYS = (date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20))
EARLY, LATE = time(15, 0), time(20, 45)
SCALES = {EARLY: 1.0, LATE: 2.0}

DECEMBER, NOVEMBER = date(2026, 12, 18), date(2026, 11, 20)
CALL, PUT = "SPXW261218C05000000", "SPXW261218P05000000"
MORNING, SPY_CALL = "SPX261120C05100000", "SPY261218C00500000"

# symbol: root, expiry, strike, right, gamma per scale, exercise, settlement
CONTRACTS: dict[str, dict[str, tuple[str, date, float, str, float, str, str]]] = {
    "SPX": {
        CALL: ("SPXW", DECEMBER, 5000.0, "call", 100.0, "european", "pm"),
        PUT: ("SPXW", DECEMBER, 5000.0, "put", -60.0, "european", "pm"),
        MORNING: ("SPX", NOVEMBER, 5100.0, "call", 5.0, "european", "am"),
    },
    "SPY": {SPY_CALL: ("SPY", DECEMBER, 500.0, "call", 8.0, "american", "pm")},
}
SPOTS = {"SPX": 5000.0, "SPY": 500.0}

# open interest by session; a contract without an entry is not held that day
OPEN_INTEREST: dict[str, dict[date, float | None]] = {
    CALL: dict(zip(DAYS, (100.0, 130.0, 125.0), strict=True)),
    PUT: {DAYS[0]: 50.0, DAYS[2]: 45.0},
    MORNING: dict(zip(DAYS, (7.0, None, 9.0), strict=True)),
    SPY_CALL: dict(zip(DAYS, (1000.0, 1000.0, 1100.0), strict=True)),
}

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def lake_rows() -> Rows:
    """Return the rows of every table that the marts read."""
    rows: Rows = {table.name: [] for table in tables.TABLES}
    for underlying in CONTRACTS:
        for day in DAYS:
            for clock in SCALES:
                _add_snapshot(rows, underlying, datetime.combine(day, clock, tzinfo=UTC))
            _add_history(rows, underlying, day)
    rows |= position_rows(DAYS, LATE, UTC)
    rows |= regime_rows(DAYS, (EARLY, LATE), UTC)
    rows |= feature_rows(DAYS, EARLY, UTC)
    rows |= anomaly_rows(DAYS, (EARLY, LATE), UTC)
    rows |= quality_rows(DAYS, LATE, UTC)
    rows |= evaluation_rows(DAYS, LATE, UTC)
    rows |= alert_rows(DAYS, LATE, UTC)
    rows |= measure_rows(DAYS, (EARLY, LATE), UTC)
    return rows | live_rows() | pin_rows(DAYS, (EARLY, LATE), UTC)


def _identity(underlying: str, at: datetime) -> Row:
    return {
        "underlying": underlying,
        "session_date": at.date(),
        "event_at": at,
        "known_at": at,
        "spot": SPOTS[underlying],
        "spot_source": "simulated",
        "is_partial": False,
        "model": "naive",
        "provider": "simulator",
    }


def _contract(underlying: str, symbol: str, at: datetime) -> Row:
    root, expiry, strike, right, gamma, exercise, settlement = CONTRACTS[underlying][symbol]
    return {
        "symbol": symbol,
        "root": root,
        "expiry_date": expiry,
        "expires_at": datetime.combine(expiry, time(21, 0), tzinfo=UTC),
        "strike": strike,
        "right": right,
        "exercise": exercise,
        "settlement": settlement,
        "multiplier": 100.0,
        "dte_bucket": "0dte" if expiry == at.date() else "1-7" if expiry == NOVEMBER else "8-45",
        "open_interest_contracts": OPEN_INTEREST[symbol].get(at.date()),
        "position_contracts": 10.0 if right == "call" else -10.0,
        "gamma": gamma,
    }


def _exposures(gamma: float, prefix: str = "") -> Row:
    return {
        f"{prefix}delta_exposure_usd": 2 * gamma,
        f"{prefix}gamma_exposure_usd_per_pct": gamma,
        f"{prefix}vanna_exposure_usd_per_vol_pt": 3 * gamma,
        f"{prefix}charm_exposure_usd_per_day": 4 * gamma,
        f"{prefix}volga_exposure_usd_per_vol_pt2": 5 * gamma,
    }


def _add_snapshot(rows: Rows, underlying: str, at: datetime) -> None:
    identity, scale = _identity(underlying, at), SCALES[at.time()]
    held = [s for s in CONTRACTS[underlying] if at.date() in OPEN_INTEREST[s]]
    for symbol in held:
        row = identity | _contract(underlying, symbol, at)
        rows["chain_snapshots"].append(row)
        rows["contract_greeks"].append(row | GREEKS)
    rows["chain_sources"].append(identity | _source("a", is_partial=underlying == "SPY"))
    if underlying == "SPX" and at.date() == DAYS[2]:
        rows["chain_sources"].append(identity | _source("b", is_partial=True, found=["thin"]))
    is_sound = not (underlying == "SPY" and at == datetime.combine(DAYS[2], LATE, tzinfo=UTC))
    _add_surface(rows, underlying, at, is_sound=is_sound)
    if not is_sound:
        return
    for symbol in held:
        contract = _contract(underlying, symbol, at)
        exposures = _exposures(contract["gamma"] * scale)
        rows["dealer_exposure"].append(identity | contract | exposures)
    gammas = [CONTRACTS[underlying][symbol][4] * scale for symbol in held]
    rows["exposure_levels"].append(identity | _levels(gammas, underlying))
    rows["level_band"] += [
        identity | {"contracts": len(gammas)} | row for row in _conventions(gammas, underlying)
    ]
    rows["scenario_grid"] += [identity | _cell(sum(gammas), *shifts) for shifts in SHIFTS]


def _add_surface(rows: Rows, underlying: str, at: datetime, *, is_sound: bool) -> None:
    identity, spot = _identity(underlying, at), SPOTS[underlying]
    held = [s for s in CONTRACTS[underlying] if at.date() in OPEN_INTEREST[s]]
    slices = sorted({CONTRACTS[underlying][symbol][:2] for symbol in held})
    for root, expiry in slices:
        expires_at = datetime.combine(expiry, time(21, 0), tzinfo=UTC)
        years = (expires_at - at).total_seconds() / 86400.0 / 365.0
        forward, discount = spot * math.exp(CARRY * years), math.exp(-RATE * years)
        shared = identity | {
            "root": root,
            "expiry_date": expiry,
            "expires_at": expires_at,
            "year_fraction": years,
            "forward": forward,
            "discount": discount,
        }
        is_aged = expiry == NOVEMBER and at.time() == LATE
        rows["forwards"].append(
            shared | FORWARD | {"carry": CARRY, "dividend_value": spot - forward * discount}
        )
        rows["vol_surface"].append(
            shared
            | SMILE
            | {"method": "aged" if is_aged else "fit", "age_seconds": 60.0 if is_aged else None}
        )
    aged = sum(row["method"] == "aged" for row in rows["vol_surface"][-len(slices) :])
    rows["surface_quality"].append(
        identity
        | {
            "expiries": len(slices),
            "fitted": len(slices) - aged,
            "aged": aged,
            "interpolated": 0,
            "ruled": 0,
            "without_smile": 0,
            "fitted_share": 1.0 - aged / len(slices),
            "oldest_age_seconds": 60.0 if aged else None,
            "quotes": 10 * len(slices),
            "in_spread_share": 0.98 if is_sound else 0.5,
            "butterfly_violations": 0,
            "calendar_violations": 0,
            "butterfly_slack": 0.25,
            "calendar_slack": 0.125,
            "is_sound": is_sound,
            "reasons": [] if is_sound else ["few_in_spread"],
        }
    )


CARRY, RATE = 0.03, 0.04

FORWARD: Row = {
    "forward_error": 0.1,
    "rate": RATE,
    "rate_error": 0.004,
    "rate_source": "curve",
    "curve_date": DAYS[0],
    "method": "parity",
    "pairs": 10,
    "residual": 0.2,
    "quality": "ok",
    "is_deamericanised": False,
}

SMILE: Row = {
    "quotes": 10,
    "svi_spline": [0.0],
    "domain_low": -0.2,
    "domain_high": 0.1,
    "atm_vol": 0.2,
    "skew": -0.5,
    "curvature": 1.5,
    "risk_reversal_25": -0.04,
    "butterfly_25": 0.01,
    "risk_reversal_10": -0.08,
    "butterfly_10": 0.02,
    "forward_vol": 0.21,
    "in_spread_share": 0.98,
    "rms_half_spreads": 0.5,
    "atm_error_bp": 3.0,
    "butterfly_slack": 0.25,
    "calendar_slack": 0.125,
    "parity_residual": 0.2,
}

# hours ahead, vol points, per cent of spot
SHIFTS = ((0.0, 0.0, 0.0), (0.0, 0.0, 2.0), (24.0, -5.0, -1.0))


def _cell(gamma: float, hours: float, points: float, percent: float) -> Row:
    """Flow by the book's own exposures (`_exposures`), and 7 USD more where something moves."""
    parts = {
        "gamma_flow_usd": -gamma * percent,
        "vanna_flow_usd": -3 * gamma * points,
        "charm_flow_usd": -4 * gamma * hours / 24.0,
        "residual_flow_usd": 7.0 if percent else 0.0,
    }
    flow = sum(parts.values())
    return parts | {
        "hours_ahead": hours,
        "vol_shift_points": points,
        "spot_shift_pct": percent,
        "delta_exposure_usd": 2 * gamma - flow,
        "gamma_exposure_usd_per_pct": gamma,
        "forced_flow_usd": flow,
        "expired_flow_usd": 2.0 if hours else 0.0,
        "expired_contracts": 1 if hours else 0,
        "floored_contracts": 0,
    }


def _conventions(gammas: list[float], underlying: str) -> list[Row]:
    """Ours, one that the chain settles, one that it leaves open, one without a zero in range."""
    flips = {"base": 5010.0, "forward_zero": 4990.0, "unquoted_at_ask": 5012.0}
    axes = {
        "base": "base",
        "forward_zero": "forward",
        "unquoted_at_ask": "unquoted",
        "filter_volume": "filter",
    }
    rows = []
    for variant, axis in axes.items():
        flip = flips.get(variant) if underlying == "SPX" else None
        gross = sum(map(abs, gammas))
        rows.append(
            {
                "variant": variant,
                "axis": axis,
                "in_convention_band": flip is not None,
                "in_inferred_band": flip is not None and axis in ("base", "unquoted"),
                "flip_price": flip,
                "flip_status": "none_in_range" if flip is None else "ok",
                "net_gamma_exposure_usd_per_pct": sum(gammas) * (1.0 if axis == "base" else 0.75),
                "gross_gamma_exposure_usd_per_pct": gross,
                "call_wall": 5100.0 if underlying == "SPX" else None,
            }
        )
    return rows


GREEKS: Row = {
    "year_fraction": 0.1,
    "pricing_model": "black",
    "is_average_assumed": False,
    "forward_method": "parity",
    "forward_pairs": 3,
    "iv_source": "own",
    "iv_reason": "ok",
    "delta": 0.5,
}


def _source(name: str, *, is_partial: bool, found: list[str] | None = None) -> Row:
    return {
        "source_name": f"{name}.csv",
        "source_sha256": name * 64,
        "provider": "simulator" if name == "a" else "import",
        "contracts": 1,
        "rejected": 0,
        "is_partial": is_partial,
        "findings": ["delayed", *(found or [])],
        "findings_text": "",
    }


def _levels(gammas: list[float], underlying: str) -> Row:
    crossings = [4900.0, 5010.0] if underlying == "SPX" else []
    return _exposures(sum(gammas), "net_") | {
        "call_gamma_exposure_usd_per_pct": sum(g for g in gammas if g > 0),
        "put_gamma_exposure_usd_per_pct": sum(g for g in gammas if g < 0),
        "gross_gamma_exposure_usd_per_pct": sum(map(abs, gammas)),
        "contracts": len(gammas),
        "contracts_used": len(gammas),
        "expiries": 1,
        "flip_price": crossings[-1] if crossings else None,
        "flip_status": "ok" if crossings else "none_in_range",
        "flip_pct": 0.002 if crossings else None,
        "flip_prices": crossings,
        "flip_slopes": [1.0 for _ in crossings],
        **_bands(sum(gammas), has_flip=bool(crossings)),
        "is_partial": False,
        "two_sided_share": 1.0,
        "determined_oi_share": 1.0,
        "is_publishable": True,
        "quality_reasons": [],
    }


def _bands(net: float, *, has_flip: bool) -> Row:
    shares = {
        "call_wall_stability": 0.9,
        "forwards_settled_share": 0.95,
        "vols_settled_share": 0.92,
        "band_resamples": 200,
        "net_gamma_lo_usd_per_pct": net - 1.0,
        "net_gamma_hi_usd_per_pct": net + 1.0,
        "expected_move_straddle_usd": 40.0,
        "expected_move_vol_365_usd": 50.0,
        "expected_move_vol_252_usd": 60.0,
    }
    if not has_flip:
        return shares
    return shares | {
        "flip_lo": 5005.0,
        "flip_median": 5009.0,
        "flip_hi": 5015.0,
        "flip_band_pct": 0.002,
        "flip_convention_lo": 4990.0,
        "flip_convention_hi": 5012.0,
        "flip_oi_age_lo": 5000.0,
        "flip_oi_age_hi": 5020.0,
        "flip_sticky_moneyness": 5003.0,
        "flip_sticky_moneyness_lo": 5001.0,
        "flip_sticky_moneyness_hi": 5004.0,
    }


def _add_history(rows: Rows, underlying: str, day: date) -> None:
    at = datetime.combine(day, LATE, tzinfo=UTC)
    for symbol in CONTRACTS[underlying]:
        if day in OPEN_INTEREST[symbol]:
            row = _identity(underlying, at) | _contract(underlying, symbol, at)
            history = {"snapshots": 2, "volume_contracts": 3.0, "implied_vol": 0.2}
            history |= {"session_snapshots": 2, "last_poll_at": at, "minutes_before_close": 0.0}
            history |= {"is_before_close": False, "longest_gap_minutes": 60.0}
            history |= {"is_interrupted": False}
            rows["daily_history"].append(row | history)
