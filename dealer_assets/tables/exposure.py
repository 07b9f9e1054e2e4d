"""Tables of what dealers hold and the levels that follow from it."""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import (
    BAND_AXES,
    CONTRACT,
    FLIP_STATUSES,
    ID,
    MODEL,
    SPOT_SOURCES,
    Column,
    Table,
    exposures,
)


def _usd(name: str, doc: str, *, nullable: bool = True) -> Column:
    return Column(name, pa.float64(), "USD", doc, nullable)


def _share(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), "1", doc, True)


def _gamma(name: str, doc: str, *, nullable: bool = True) -> Column:
    return Column(name, pa.float64(), "USD per 1 % spot", doc, nullable)


def _ends(quantity: str, unit_suffix: str, unit: str) -> tuple[Column, ...]:
    """Both ends of a net exposure's interval by the positions' own error."""
    doc = "{} end of net {}, 5 to 95 %, by the positions' error; null: the model tells none."
    return tuple(
        Column(f"net_{quantity}_{end}_{unit_suffix}", pa.float64(), unit, text, True)
        for end, text in (
            ("lo", doc.format("Lower", quantity)),
            ("hi", doc.format("Upper", quantity)),
        )
    )


_BAND = (
    _usd("flip_median", "Median of the inferred band of the flip."),
    _usd("flip_lo", "Lower end of the inferred band: 5 % quantile and open conventions."),
    _usd("flip_hi", "Upper end of the inferred band."),
    _share("flip_band_pct", "Width of the inferred band over spot."),
    _usd("flip_convention_lo", "Least flip over every declared convention."),
    _usd("flip_convention_hi", "Greatest flip over every declared convention."),
    _usd("flip_oi_age_lo", "5 % quantile if open interest were a session old."),
    _usd("flip_oi_age_hi", "95 % quantile if open interest were a session old."),
    _usd("flip_sticky_moneyness", "Zero gamma where the smile moves with spot."),
    _usd("flip_sticky_moneyness_lo", "Lower end of its band."),
    _usd("flip_sticky_moneyness_hi", "Upper end of its band."),
    _gamma("net_gamma_lo_usd_per_pct", "Lower end of the band of net gamma."),
    _gamma("net_gamma_hi_usd_per_pct", "Upper end of the band of net gamma."),
    *_ends("delta", "usd", "USD"),
    *_ends("vanna", "usd_per_vol_pt", "USD per vol point"),
    *_ends("charm", "usd_per_day", "USD per day"),
    *_ends("volga", "usd_per_vol_pt2", "USD per vol point squared"),
    _share("call_wall_stability", "Draws in which the call wall stays."),
    _share("put_wall_stability", "Draws in which the put wall stays."),
    _share("forwards_settled_share", "Near open interest whose forward quotes tell."),
    _share("vols_settled_share", "Near open interest whose vol quotes tell."),
    Column("band_resamples", pa.int32(), "draws", "Draws behind the bands; 0: none.", lower=0),
    _usd("expected_move_straddle_usd", "One day's mean absolute move by the straddle."),
    _usd("expected_move_vol_365_usd", "One calendar day's standard deviation by ATM vol."),
    _usd("expected_move_vol_252_usd", "One business day's standard deviation by ATM vol."),
)

DEALER_EXPOSURE = Table(
    name="dealer_exposure",
    doc="Dealer exposures by strike, expiry and right under one position model.",
    grain="underlying x snapshot x model x contract",
    key=("event_at", "model", "root", "expiry_date", "strike", "right"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        *CONTRACT,
        Column("dte_bucket", pa.string(), "-", "0dte, 1-7, 8-45 or 46+ calendar days."),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("position_contracts", pa.float64(), "contracts", "Dealer position; > 0 is long."),
        Column(
            "position_sd_contracts",
            pa.float64(),
            "contracts",
            "Its standard deviation; 0: declared or exact; null: the model tells none.",
            True,
            lower=0.0,
        ),
        *exposures(),
    ),
    version=2,
)

EXPOSURE_LEVELS = Table(
    name="exposure_levels",
    doc="Headline exposures and levels of a snapshot under one position model.",
    grain="underlying x snapshot x model",
    key=("event_at", "model"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("spot_source", pa.string(), "-", "Where spot came from.", allowed=SPOT_SOURCES),
        Column("contracts", pa.int64(), "contracts", "Contracts in the snapshot.", lower=0),
        Column("contracts_used", pa.int64(), "contracts", "Contracts in the sums.", lower=0),
        Column(
            "unpositioned_oi_share",
            pa.float64(),
            "1",
            "Live open interest of which the model tells no position; null: there is none.",
            True,
            lower=0.0,
        ),
        *exposures("net_"),
        Column("call_gamma_exposure_usd_per_pct", pa.float64(), "USD per 1 % spot", "Calls' part."),
        Column("put_gamma_exposure_usd_per_pct", pa.float64(), "USD per 1 % spot", "Puts' part."),
        Column(
            "gross_gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Sum of absolute contract gammas: what the net is judged against.",
            lower=0.0,
        ),
        Column(
            "net_gamma_sd_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Standard deviation of the net by the positions' error; null: the model tells none.",
            True,
            lower=0.0,
        ),
        Column("flip_price", pa.float64(), "USD", "Zero-gamma crossing nearest to spot.", True),
        Column("flip_status", pa.string(), "-", "What the flip is worth.", allowed=FLIP_STATUSES),
        Column("flip_pct", pa.float64(), "1", "flip / spot - 1.", True),
        Column("flip_prices", pa.list_(pa.float64()), "USD", "Every crossing, ascending."),
        Column(
            "flip_slopes",
            pa.list_(pa.float64()),
            "USD per 1 % spot, per 1 % spot",
            "Slope of the profile at each crossing.",
        ),
        *_BAND,
        Column("call_wall", pa.float64(), "USD", "Strike of the largest net gamma.", True),
        Column("put_wall", pa.float64(), "USD", "Strike of the most negative net gamma.", True),
        Column("call_side_wall", pa.float64(), "USD", "Strike of the largest call gamma.", True),
        Column("put_side_wall", pa.float64(), "USD", "Strike of the largest put gamma.", True),
        Column(
            "absolute_gamma_strike", pa.float64(), "USD", "Strike of the largest |gamma|.", True
        ),
        Column("max_pain", pa.float64(), "USD", "Least payout strike, nearest expiry.", True),
        Column("zero_dte_share", pa.float64(), "1", "0DTE share of gross gamma.", True),
        Column("expiries", pa.int32(), "expiries", "Live expiries in the sums.", lower=0),
        Column("is_partial", pa.bool_(), "-", "The chain is known to be incomplete."),
        Column("two_sided_share", pa.float64(), "1", "Live contracts with bid and ask.", lower=0.0),
        Column(
            "determined_oi_share",
            pa.float64(),
            "1",
            "Share of open interest with a vol from its own or the other side's price.",
            lower=0.0,
        ),
        Column("is_publishable", pa.bool_(), "-", "All quality thresholds hold."),
        Column("quality_reasons", pa.list_(pa.string()), "-", "Thresholds that do not hold."),
    ),
    version=3,
)

GAMMA_PROFILE = Table(
    name="gamma_profile",
    doc="Net dealer gamma re-priced on a grid of spot levels, vols sticky by strike.",
    grain="underlying x snapshot x model x spot level",
    key=("event_at", "model", "spot_level"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        Column("spot", pa.float64(), "USD", "Underlying price at event_at.", lower=1e-9),
        Column("spot_level", pa.float64(), "USD", "Hypothetical spot.", lower=1e-9),
        Column(
            "gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Net dealer gamma exposure if spot stood at spot_level.",
        ),
        _gamma(
            "gamma_exposure_sticky_moneyness_usd_per_pct",
            "The same if the smile moved with spot; null without a fitted surface.",
        ),
    ),
    version=2,
)

LEVEL_BAND = Table(
    name="level_band",
    doc="The levels of a snapshot under every declared convention, ours and published ones.",
    grain="underlying x snapshot x model x convention",
    key=("event_at", "model", "variant"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        Column("variant", pa.string(), "-", "Name of the convention; base is ours."),
        Column("axis", pa.string(), "-", "What it varies against ours.", allowed=BAND_AXES),
        Column("in_convention_band", pa.bool_(), "-", "It applies and has a flip in range."),
        Column("in_inferred_band", pa.bool_(), "-", "The chain does not settle what it varies."),
        Column("contracts", pa.int64(), "contracts", "Contracts in the sums.", lower=0),
        _usd("flip_price", "Zero nearest to spot."),
        Column("flip_status", pa.string(), "-", "What it is worth.", allowed=FLIP_STATUSES),
        _gamma("net_gamma_exposure_usd_per_pct", "Net dealer gamma.", nullable=False),
        _gamma("gross_gamma_exposure_usd_per_pct", "Sum of absolute gammas.", nullable=False),
        _usd("call_wall", "Strike of the largest net gamma."),
        _usd("put_wall", "Strike of the most negative net gamma."),
    ),
)

SCENARIO_GRID = Table(
    name="scenario_grid",
    doc="What dealers would have to trade if spot, vols and time moved: full re-prices.",
    grain="underlying x snapshot x model x spot shift x vol shift x hours",
    key=("event_at", "model", "hours_ahead", "vol_shift_points", "spot_shift_pct"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        Column("spot", pa.float64(), "USD", "Underlying price now.", lower=1e-9),
        Column("hours_ahead", pa.float64(), "hours", "Time passed.", lower=0.0),
        Column("vol_shift_points", pa.float64(), "vol points", "Added to every vol."),
        Column("spot_shift_pct", pa.float64(), "%", "Move of spot."),
        _usd("delta_exposure_usd", "Dealer delta at today's spot.", nullable=False),
        _gamma("gamma_exposure_usd_per_pct", "Dealer gamma at the cell's spot.", nullable=False),
        _usd("forced_flow_usd", "Minus the change of delta; > 0 is buying.", nullable=False),
        _usd("gamma_flow_usd", "First-order part by gamma.", nullable=False),
        _usd("vanna_flow_usd", "First-order part by vanna.", nullable=False),
        _usd("charm_flow_usd", "First-order part by charm.", nullable=False),
        _usd("residual_flow_usd", "The flow less the three.", nullable=False),
        _usd("expired_flow_usd", "Part that unwinds expired contracts.", nullable=False),
        Column("expired_contracts", pa.int64(), "contracts", "Expired by then.", lower=0),
        Column("floored_contracts", pa.int64(), "contracts", "Vols held at the floor.", lower=0),
    ),
)
