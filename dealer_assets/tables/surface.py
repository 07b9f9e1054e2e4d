"""Tables of the volatility surface: slices, grids with Greeks, and its quality."""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import ID, INSTANT, Column, Table

SLICE_METHODS = ("fit", "aged", "interpolated", "rule", "none")
VOL_RULES = ("inside", "wing", "before_first", "after_last", "none")
GRID_AXES = ("log_moneyness", "put_delta")


def _vol(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), "1/sqrt(year)", doc, True)


def _svi(name: str, unit: str, doc: str) -> Column:
    return Column(f"svi_{name}", pa.float64(), unit, doc, True)


def _slack(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), "1", doc, True)


VOL_SURFACE = Table(
    name="vol_surface",
    doc="The fitted smile of every expiry slice: parameters, what it says at the money, quality.",
    grain="underlying x snapshot x root x expiry",
    key=("event_at", "root", "expiry_date"),
    part="snapshot",
    columns=(
        *ID,
        Column("root", pa.string(), "-", "Option root."),
        Column("expiry_date", pa.date32(), "-", "Listed expiry date, exchange-local."),
        Column("expires_at", INSTANT, "UTC", "Exact expiry instant."),
        Column("year_fraction", pa.float64(), "years", "Years that carry the slice's variance."),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("forward", pa.float64(), "USD", "Forward of the slice.", True, lower=1e-9),
        Column("discount", pa.float64(), "1", "Discount factor of the slice.", True, lower=0.0),
        Column("method", pa.string(), "-", "What the smile rests on.", allowed=SLICE_METHODS),
        Column("age_seconds", pa.float64(), "s", "Age of an aged fit's quotes.", True, lower=0.0),
        Column("quotes", pa.int32(), "quotes", "Out-of-the-money quotes used.", lower=0),
        _svi("a", "1", "Level of total variance."),
        _svi("b", "1", "Wing slope of total variance."),
        _svi("rho", "1", "Tilt."),
        _svi("m", "1", "Log-moneyness of the vertex."),
        _svi("sigma", "1", "Roundness of the vertex."),
        _svi("scale", "1", "Log-moneyness where the knots turn logarithmic."),
        _svi("origin", "1", "First knot, in asinh(k / scale)."),
        _svi("inverse_spacing", "1", "Knots per unit of asinh(k / scale)."),
        Column(
            "svi_spline",
            pa.list_(pa.float64()),
            "total variance",
            "Spline coefficients added to raw SVI; all zero: raw SVI alone; empty: no fit.",
        ),
        _slack("domain_low", "Log-moneyness from which the smile rests on quotes."),
        _slack("domain_high", "Log-moneyness up to which it does."),
        _vol("atm_vol", "Vol at the forward."),
        Column("skew", pa.float64(), "vol per log-moneyness", "Slope of vol at the forward.", True),
        Column(
            "curvature",
            pa.float64(),
            "vol per log-moneyness squared",
            "Second derivative of vol at the forward.",
            True,
        ),
        _vol("risk_reversal_25", "25-delta call vol minus 25-delta put vol, forward deltas."),
        _vol("butterfly_25", "Mean of both 25-delta vols minus atm_vol."),
        _vol("risk_reversal_10", "10-delta call vol minus 10-delta put vol, forward deltas."),
        _vol("butterfly_10", "Mean of both 10-delta vols minus atm_vol."),
        _vol("forward_vol", "Vol between the earlier expiry and this one, at the forward."),
        Column("in_spread_share", pa.float64(), "1", "Quotes fitted within bid-ask.", True),
        Column("rms_half_spreads", pa.float64(), "half-spreads", "Weighted fit error.", True),
        Column("atm_error_bp", pa.float64(), "0.0001 vol", "Mean error of the 5 nearest.", True),
        _slack("butterfly_slack", "Least g on the domain: < 0 is arbitrage; -1e9: no variance."),
        _slack("butterfly_slack_at", "Its log-moneyness."),
        _slack("calendar_slack", "Least share above the earlier expiry: below 0 is arbitrage."),
        _slack("calendar_slack_at", "Its log-moneyness."),
        _slack("free_butterfly_slack", "Least g of the fit before conditions."),
        _slack("free_calendar_slack", "Least share above the earlier expiry before conditions."),
        Column("parity_residual", pa.float64(), "half-spreads", "Call-put parity residual.", True),
    ),
)

GREEK_SURFACE = Table(
    name="greek_surface",
    doc="Vol and Greeks of the fitted surface at constant maturities, by moneyness and by delta.",
    grain="underlying x snapshot x axis x tenor x coordinate",
    key=("event_at", "axis", "tenor_days", "coordinate"),
    part="snapshot",
    columns=(
        *ID,
        Column("axis", pa.string(), "-", "What coordinate means.", allowed=GRID_AXES),
        Column("tenor_days", pa.float64(), "days", "Constant maturity.", lower=1e-9),
        Column("coordinate", pa.float64(), "1", "ln(K/F), or the put's forward delta (0.25)."),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("forward", pa.float64(), "USD", "Forward interpolated in carry.", lower=1e-9),
        Column("strike", pa.float64(), "USD", "Strike at the coordinate.", lower=1e-9),
        Column("implied_vol", pa.float64(), "1/sqrt(year)", "Vol of the surface.", lower=0.0),
        Column("vol_rule", pa.string(), "-", "Where the vol comes from.", allowed=VOL_RULES),
        Column("price", pa.float64(), "USD", "Price of the out-of-the-money option."),
        Column("delta", pa.float64(), "1", "d price / d spot of that option."),
        Column("gamma", pa.float64(), "1/USD", "d delta / d spot."),
        Column("vega", pa.float64(), "USD per vol point", "Price for +1 vol point."),
        Column("theta", pa.float64(), "USD per day", "Price for one day passing."),
        Column("rho", pa.float64(), "USD per rate point", "Price for +1 % rate."),
        Column("vanna", pa.float64(), "1 per vol point", "Delta for +1 vol point."),
        Column("charm", pa.float64(), "1 per day", "Delta for one day passing."),
        Column("volga", pa.float64(), "USD per vol point squared", "Vega for +1 vol point."),
        Column("speed", pa.float64(), "1/USD^2", "d gamma / d spot."),
        Column("zomma", pa.float64(), "1/USD per vol point", "Gamma for +1 vol point."),
        Column("color", pa.float64(), "1/USD per day", "Gamma for one day passing."),
    ),
)

SURFACE_QUALITY = Table(
    name="surface_quality",
    doc="How well the surface of a snapshot describes its quotes, and whether to build on it.",
    grain="underlying x snapshot",
    key=("event_at",),
    part="snapshot",
    columns=(
        *ID,
        Column("expiries", pa.int32(), "slices", "Live expiry slices.", lower=0),
        Column("fitted", pa.int32(), "slices", "Slices fitted to their own quotes.", lower=0),
        Column("aged", pa.int32(), "slices", "Slices standing on an earlier fit.", lower=0),
        Column("interpolated", pa.int32(), "slices", "Slices between their own vols.", lower=0),
        Column("ruled", pa.int32(), "slices", "Slices by a rule from neighbours.", lower=0),
        Column("without_smile", pa.int32(), "slices", "Slices with no smile at all.", lower=0),
        Column("fitted_share", pa.float64(), "1", "Share of slices fitted.", lower=0.0),
        Column("oldest_age_seconds", pa.float64(), "s", "Age of the oldest aged fit.", True),
        Column("quotes", pa.int64(), "quotes", "Out-of-the-money quotes used.", lower=0),
        Column("in_spread_share", pa.float64(), "1", "Mids fitted within bid-ask.", True),
        Column("rms_half_spreads", pa.float64(), "half-spreads", "Weighted fit error.", True),
        Column("atm_error_bp", pa.float64(), "0.0001 vol", "Median ATM error over slices.", True),
        Column(
            "butterfly_violations",
            pa.int32(),
            "slices",
            "Slices with g(k) < 0 or too steep wings.",
            lower=0,
        ),
        Column("calendar_violations", pa.int32(), "slices", "Slices under the previous.", lower=0),
        Column("butterfly_slack", pa.float64(), "1", "Smallest g(k) of all slices.", True),
        Column("calendar_slack", pa.float64(), "1", "Smallest calendar slack.", True),
        Column("parity_residual", pa.float64(), "half-spreads", "Median over slices.", True),
        Column("is_sound", pa.bool_(), "-", "Every declared threshold holds."),
        Column("reasons", pa.list_(pa.string()), "-", "Thresholds that do not hold."),
    ),
)
