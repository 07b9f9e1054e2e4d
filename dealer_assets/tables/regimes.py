"""Tables of headline metrics scaled by what the market trades, of regimes, and of index groups.

Belongs here: what snapshots sum up to once the size of the market is known. Does not belong here:
exposures by contract and levels (`exposure`), positions (`dealers`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import FLIP_STATUSES, ID, INSTANT, MODEL, Column, Table, exposures

DTE_BUCKETS = ("all", "0dte", "1-7", "8-45", "46+")
ADV_STATUSES = ("ok", "short", "stale", "none")
"""Twenty sessions held; fewer; the newest is more than five sessions old; no bar at all."""

DRIFT_STATUSES = ("ok", "thin", "coarse", "none")
"""Three snapshots or more; two; over more than four hours; only one: no drift."""

REGIMES = (
    "short_gamma_chase",
    "vanna_squeeze",
    "dealer_buy_material",
    "dealer_sell_material",
    "charm_drift",
    "gamma_pin",
    "neutral",
)
"""In the order in which the rules are asked; the first that holds decides."""

THRESHOLD_SOURCES = ("history", "mixed", "static")
REGIME_SCALES = ("adv", "usd")
NOTIONAL_RULES = ("told", "average_price", "close")
COMBINED_MEMBERS = ("SPX", "SPY", "XSP", "ES")


def _float(name: str, unit: str, doc: str, *, nullable: bool = True) -> Column:
    return Column(name, pa.float64(), unit, doc, nullable)


def _price(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), "USD", doc, lower=0.0)


UNDERLYING_BARS = Table(
    name="underlying_bars",
    doc="A session's prices and traded volume of what is traded for an underlying.",
    grain="underlying x session x instrument x provider",
    key=("instrument", "event_at"),
    part="batch",
    columns=(
        *ID,  # event_at: the session's open; known_at: not before its close
        Column("provider", pa.string(), "-", "Provider or file format."),
        Column("source_name", pa.string(), "-", "File name or request, without folder or secret."),
        Column("instrument", pa.string(), "-", "What was traded: SPY for SPX, BTC-PERPETUAL."),
        Column("is_proxy", pa.bool_(), "-", "It stands for an underlying that is not traded."),
        _price("open", "First price."),
        _price("high", "Highest price."),
        _price("low", "Lowest price."),
        _price("close", "Last price."),
        Column("volume_units", pa.float64(), "shares or coins", "Traded volume.", lower=0.0),
        Column("notional_usd", pa.float64(), "USD", "Traded volume times price.", lower=0.0),
        Column(
            "notional_rule",
            pa.string(),
            "-",
            "How it was found: told by the venue; by the average price; by the close.",
            allowed=NOTIONAL_RULES,
        ),
        Column("trades", pa.int64(), "trades", "Prints.", True, lower=0),
    ),
)

_ADV = (
    Column("adv_usd", pa.float64(), "USD per session", "Median traded notional.", True, lower=0.0),
    Column("adv_status", pa.string(), "-", "What it rests on.", allowed=ADV_STATUSES),
    Column("adv_sessions", pa.int32(), "sessions", "Sessions in the median.", lower=0),
    Column("adv_instrument", pa.string(), "-", "What was traded; blank: none.", True),
)

_DRIFT = (
    Column("drift_status", pa.string(), "-", "What it rests on.", allowed=DRIFT_STATUSES),
    Column("drift_snapshots", pa.int32(), "snapshots", "Snapshots in the window.", lower=1),
    Column("drift_hours", pa.float64(), "hours", "Time they span.", lower=0.0),
    _float("spot_drift_pct_per_hour", "% per hour", "Drift of spot."),
    _float("vol_drift_points_per_hour", "vol points per hour", "Drift of the 30-day vol."),
)

_FLOWS = (
    Column("horizon_hours", pa.float64(), "hours", "How far HPP looks ahead.", lower=0.0),
    _float("hpp_usd", "USD", "HPP: expected dealer hedging over the horizon; > 0 is buying."),
    _float("hpp_gamma_usd", "USD", "Its part by gamma."),
    _float("hpp_vanna_usd", "USD", "Its part by vanna."),
    _float("hpp_charm_usd", "USD", "Its part by charm."),
)

_SCALED = tuple(
    _float(f"{name}_over_adv", unit, f"{what} over adv_usd.")
    for name, unit, what in (
        ("ngi", "1 per 1 % spot", "NGI"),
        ("vss", "1 per vol point", "VSS"),
        ("chl_24h", "1 per day", "CHL_24h"),
        ("volg", "1 per vol point squared", "VOLG"),
        ("hpp", "1", "HPP"),
        ("hpp_vanna", "1", "Vanna's part of HPP"),
        ("hpp_charm", "1", "Charm's part of HPP"),
    )
)

EXPOSURE_METRICS = Table(
    name="exposure_metrics",
    doc="NGI, VSS, CHL_24h, VOLG and hedge pressure of a snapshot, in USD and over traded volume.",
    grain="underlying x snapshot x model x expiry bucket",
    key=("event_at", "model", "dte_bucket"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        Column("dte_bucket", pa.string(), "-", "Bucket, or all of them.", allowed=DTE_BUCKETS),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("is_simulated", pa.bool_(), "-", "The chain is simulated."),
        Column("contracts", pa.int64(), "contracts", "Contracts in the sums.", lower=0),
        *exposures("net_")[1:],  # NGI, VSS, CHL_24h, VOLG in this order
        Column(
            "gross_gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Sum of absolute contract gammas.",
            lower=0.0,
        ),
        *_ADV,
        *_SCALED,
        _float("flip_pct", "1", "flip / spot - 1; all only."),
        Column("flip_status", pa.string(), "-", "Its worth; all only.", True, FLIP_STATUSES),
        _float("atm_vol_30d", "1/sqrt(year)", "Vol at the money in 30 days; all only."),
        _float("first_spot", "USD", "Spot of the session's first snapshot.", nullable=False),
        _float("spot_change_pct", "%", "Change of spot since then.", nullable=False),
        *_DRIFT,
        *_FLOWS,
        Column("window_at", pa.list_(INSTANT), "UTC", "Snapshots behind the drift; all only."),
        Column("window_spot", pa.list_(pa.float64()), "USD", "Their spot."),
        Column(
            "window_vol", pa.list_(pa.float64()), "1/sqrt(year)", "Their 30-day vol; null: none."
        ),
    ),
)

_INPUTS = (
    _float("gamma", "scale per 1 % spot", "NGI."),
    _float("vanna_flow", "scale", "Vanna's part of HPP."),
    _float("charm_flow", "scale", "Charm's part of HPP."),
    _float("hedge_flow", "scale", "HPP."),
    _float("vanna_lead", "scale", "|vanna's part| less the larger of the other two."),
    _float("charm_lead", "scale", "|charm's part| less the larger of the other two."),
    _float("flip_distance", "1", "Distance of the flip from spot over spot."),
    _float("move_pct", "%", "|Change of spot| since the last closing snapshot, or the first."),
)
_THRESHOLDS = tuple(
    _float(f"threshold_{name}", unit, f"Entry threshold of {doc}.", nullable=False)
    for name, unit, doc in (
        ("gamma_high", "scale per 1 % spot", "gamma, at or above"),
        ("gamma_low", "scale per 1 % spot", "gamma, at or below"),
        ("vanna_flow", "scale", "vanna_flow"),
        ("charm_flow", "scale", "|charm_flow|"),
        ("hedge_flow", "scale", "|hedge_flow|"),
        ("move", "%", "move_pct, at or above"),
        ("quiet", "%", "move_pct, at or below"),
    )
)

DEALER_REGIMES = Table(
    name="dealer_regimes",
    doc="The regime of a snapshot with the rule, inputs, thresholds and margins that decided it.",
    grain="underlying x snapshot x model",
    key=("event_at", "model"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("regime", pa.string(), "-", "Label; null: no rule could be judged.", True, REGIMES),
        Column("rule", pa.string(), "-", "The rule that decided, with its numbers."),
        _float("margin", "1", "Least margin of its conditions, over the threshold or the input."),
        Column("deciding_input", pa.string(), "-", "The input of that condition.", True),
        Column(
            "nearest_regime",
            pa.string(),
            "-",
            "The label that came next to holding.",
            True,
            REGIMES,
        ),
        _float("nearest_margin", "1", "Its margin; below 0 unless an earlier rule held."),
        Column("rules_not_judged", pa.list_(pa.string()), "-", "Rules that lack an input."),
        Column("is_held", pa.bool_(), "-", "Held by its exit thresholds only: hysteresis."),
        Column("scale", pa.string(), "-", "What inputs are over.", allowed=REGIME_SCALES),
        Column("adv_status", pa.string(), "-", "What the volume rests on.", allowed=ADV_STATUSES),
        Column(
            "thresholds_from", pa.string(), "-", "Where they come from.", allowed=THRESHOLD_SOURCES
        ),
        Column("static_thresholds", pa.list_(pa.string()), "-", "Those with too little history."),
        Column("history_sessions", pa.int32(), "sessions", "Closings behind them.", lower=0),
        *_INPUTS,
        *_THRESHOLDS,
    ),
)

_GROUP = (
    *ID,  # underlying is the group's name; event_at is that of SPX's snapshot
    MODEL,
    Column(
        "member", pa.string(), "-", "Member of the group.", allowed=(*COMBINED_MEMBERS, "total")
    ),
)

COMBINED_EXPOSURE = Table(
    name="combined_exposure",
    doc="Dealer exposures of an index group in USD, by member and strike in points of SPX.",
    grain="group x snapshot x model x member x strike in points",
    key=("event_at", "model", "member", "strike_points"),
    part="snapshot",
    columns=(
        *_GROUP,
        Column("strike_points", pa.float64(), "points", "Strike in points of SPX.", lower=0.0),
        Column("contracts", pa.int64(), "contracts", "Contracts in the sums.", lower=1),
        *exposures(),
    ),
)

COMBINED_LEVELS = Table(
    name="combined_levels",
    doc="Net exposures and flip of an index group, by member and in total.",
    grain="group x snapshot x model x member or total",
    key=("event_at", "model", "member"),
    part="snapshot",
    columns=(
        *_GROUP,
        Column("members", pa.list_(pa.string()), "-", "Members in the row."),
        Column("members_missing", pa.list_(pa.string()), "-", "Members without a usable snapshot."),
        Column("member_at", INSTANT, "UTC", "The member's snapshot; of a total the oldest."),
        Column("age_seconds", pa.float64(), "s", "How much older than event_at.", lower=0.0),
        Column("spot", pa.float64(), "USD", "SPX's spot; of a member its own.", lower=1e-9),
        Column("points_per_unit", pa.float64(), "1", "SPX's spot over the member's.", lower=1e-9),
        *exposures("net_"),
        Column(
            "gross_gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Sum of absolute contract gammas.",
            lower=0.0,
        ),
        _float("flip_pct", "1", "Zero of the profile nearest to spot, over spot, less 1."),
        _float("flip_points", "points", "The same in points of SPX."),
        Column("flip_status", pa.string(), "-", "What it is worth.", allowed=FLIP_STATUSES),
        _float("call_wall_points", "points", "Strike of the largest net gamma."),
        _float("put_wall_points", "points", "Strike of the most negative net gamma."),
    ),
)

COMBINED_PROFILE = Table(
    name="combined_profile",
    doc="Net dealer gamma of an index group over moves of spot, by member and in total.",
    grain="group x snapshot x model x member or total x move",
    key=("event_at", "model", "member", "spot_move_pct"),
    part="snapshot",
    columns=(
        *_GROUP,
        Column("spot_move_pct", pa.float64(), "%", "Move of spot, the same for every member."),
        Column("spot_points", pa.float64(), "points", "SPX at that move.", lower=1e-9),
        Column(
            "gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Net dealer gamma if spot stood there.",
        ),
    ),
)
