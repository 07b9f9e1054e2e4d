"""The table of what is measured of every monitored contract at every poll, and is scored.

Belongs here: columns, the features with their kinds, the reasons why one is not scored. Does not
belong here: how they are computed (`domain/anomaly/features`), scores (`scores`).
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from dealer_assets.tables.base import CONTRACT, ID, INSTANT, Column, Table
from dealer_assets.tables.data_anomalies import ANOMALY_ACTIONS

FeatureKind = Literal["skewed", "two_sided"]
"""``skewed``: never negative, compared on a log scale, high values stand out; ``two_sided``: either
end does, compared as it is."""

FEATURE_KINDS: dict[str, FeatureKind] = {
    "volume_contracts_netted": "skewed",
    "premium_usd": "skewed",
    "vega_traded_usd_per_vol_point": "skewed",
    "premium_over_vega": "skewed",
    "volume_over_open_interest": "skewed",
    "open_interest_change_contracts": "two_sided",
    "iv_residual_half_spreads": "two_sided",
    "spread_relative": "skewed",
    "open_probability": "skewed",
    "flow_imbalance": "two_sided",
    "sweep_share": "skewed",
    "burst_share": "skewed",
}
"""Every feature that can be scored, in stored order, with the scale on which it is compared."""

feature_names: tuple[str, ...] = tuple(FEATURE_KINDS)

INTERVAL_FEATURES = (
    "volume_contracts_netted",
    "premium_usd",
    "vega_traded_usd_per_vol_point",
    "premium_over_vega",
    "volume_over_open_interest",
    "open_probability",
    "flow_imbalance",
    "sweep_share",
    "burst_share",
)
"""Features that sum up an interval; the others describe its end."""

UNSCORED_REASONS = ("expired", "no_quote", *ANOMALY_ACTIONS)
"""Why nothing of a row is scored: it has expired; nobody offers it; a data anomaly."""

WITHHELD_REASONS = ("long_interval", "reset", *ANOMALY_ACTIONS)
"""Why some features of a row are null: the poll before is missing, so that the interval is longer
than usual; the volume counter began anew; a data anomaly spoils what they rest on."""


def _number(name: str, unit: str, doc: str, lower: float | None = None) -> Column:
    return Column(name, pa.float64(), unit, doc, True, lower=lower)


_FEATURES = (
    _number(
        "volume_contracts_netted",
        "contracts",
        "Volume of the interval less packages, where a tape tells them; never negative.",
        0.0,
    ),
    _number("premium_usd", "USD", "volume_contracts_netted x mid x multiplier.", 0.0),
    _number(
        "vega_traded_usd_per_vol_point",
        "USD per vol point",
        "volume_contracts_netted x vega x multiplier.",
        0.0,
    ),
    _number(
        "premium_over_vega",
        "contracts x vol points",
        "volume_contracts_netted x mid / vega: premium in vol points of its own vega.",
        0.0,
    ),
    _number(
        "volume_over_open_interest",
        "1",
        "volume_contracts_netted / max(open interest, 1).",
        0.0,
    ),
    _number(
        "open_interest_change_contracts",
        "contracts",
        "Open interest published for this session less that for the session before.",
    ),
    _number(
        "iv_residual_half_spreads",
        "half-spreads",
        "Vol of the own mid less the surface, less the median of the same at the neighbouring "
        "strikes, over half the bid-ask in vol.",
    ),
    _number("spread_relative", "1", "(ask - bid) / mid.", 0.0),
    _number(
        "open_probability",
        "1",
        "Least share of the session's volume so far that cannot have closed positions held in the "
        "morning: max(0, 1 - open interest / volume).",
        0.0,
    ),
    _number("flow_imbalance", "1", "(bought - sold) / all prints of the interval, by size."),
    _number("sweep_share", "1", "Of the interval's prints by size: intermarket sweeps.", 0.0),
    _number("burst_share", "1", "Of the interval's prints by size: its largest minute.", 0.0),
)

CONTRACT_FEATURES = Table(
    name="contract_features",
    doc="What monitored contracts did since the poll before: volume, premium, vol, spread, flow.",
    grain="underlying x poll x monitored contract",
    key=("event_at", "root", "expiry_date", "strike", "right"),
    part="snapshot",
    columns=(
        *ID,
        *CONTRACT,
        Column("is_simulated", pa.bool_(), "-", "Of the simulated market."),
        Column(
            "slot",
            pa.int32(),
            "hour",
            "Local hour whose first snapshot this is: New York, or UTC for a 24/7 calendar.",
            lower=0,
            upper=23,
        ),
        Column("previous_at", INSTANT, "UTC", "Poll before; null: the session's first.", True),
        Column(
            "interval_minutes",
            pa.float64(),
            "minutes",
            "Since the poll before, of the first since the session's open.",
            lower=0.0,
        ),
        Column("spot", pa.float64(), "USD", "Underlying price.", lower=1e-9),
        Column("moneyness", pa.float64(), "1", "strike / spot.", lower=0.0),
        Column("days_to_expiry", pa.int32(), "days", "Calendar days from session to expiry date."),
        Column("moneyness_bucket", pa.string(), "-", "Its bucket, by lower edge: 0.875."),
        Column("dte_bucket", pa.string(), "-", "Bucket of days_to_expiry: 20-32."),
        Column("multiplier", pa.float64(), "units/contract", "Units a contract.", lower=1e-9),
        _number("mid", "USD", "Mid price; null: no ask.", 0.0),
        _number("spread_usd", "USD", "ask - bid."),
        _number("implied_vol", "1/sqrt(year)", "Vol of the contract's own mid.", 0.0),
        _number("surface_vol", "1/sqrt(year)", "Vol of the snapshot's surface there.", 0.0),
        _number("vega_usd_per_vol_point", "USD per vol point", "Of one unit."),
        _number("open_interest_contracts", "contracts", "Published for this session.", 0.0),
        _number(
            "volume_delta_contracts",
            "contracts",
            "Sum of volume deltas since the poll before; null: no volume is told.",
            0.0,
        ),
        _number(
            "session_volume_contracts",
            "contracts",
            "The same since the session began, or the counter did.",
            0.0,
        ),
        _number(
            "package_contracts",
            "contracts",
            "Of the interval's prints: legs of packages; null: no tape of the interval is held.",
            0.0,
        ),
        *_FEATURES,
        Column(
            "unscored_reason",
            pa.string(),
            "-",
            "Why nothing of the row is scored; null: it is.",
            True,
            allowed=UNSCORED_REASONS,
        ),
        Column(
            "withheld_reason",
            pa.string(),
            "-",
            "First reason why some features are null though they could be computed.",
            True,
            allowed=WITHHELD_REASONS,
        ),
    ),
)
