"""The data dictionary: every lake table's grain, key, columns, types and units, once.

Belongs here: what a table *is*. The Arrow schema, the blocking schema checks, the dbt sources and
`docs/tables.md` are derived from these entries. Does not belong here: how rows are made (`domain`,
`providers`) or where they lie (`lake/layout.py`).

Two clocks are on every row: `event_at`, the venue's instant the row describes, and `known_at`, the
instant it could first be read. `known_at` of a derived row is the latest `known_at` of its inputs,
never the time of computation, so that a rerun writes the same bytes.
"""

from __future__ import annotations

from dealer_assets.tables.alerts import (
    ALERT_RULES as ALERT_RULES,
    ALERTS as ALERTS,
)
from dealer_assets.tables.base import (
    CONTRACT as CONTRACT,
    EXERCISES as EXERCISES,
    FLIP_STATUSES as FLIP_STATUSES,
    FORWARD_METHODS as FORWARD_METHODS,
    FORWARD_QUALITIES as FORWARD_QUALITIES,
    ID as ID,
    INSTANT as INSTANT,
    IV_REASONS as IV_REASONS,
    IV_SOURCES as IV_SOURCES,
    MODELS as MODELS,
    PRICING_MODELS as PRICING_MODELS,
    RATE_SOURCES as RATE_SOURCES,
    RIGHTS as RIGHTS,
    SETTLEMENTS as SETTLEMENTS,
    SPOT_SOURCES as SPOT_SOURCES,
    Column as Column,
    PartKind as PartKind,
    Table as Table,
)
from dealer_assets.tables.chains import (
    CHAIN_SNAPSHOTS as CHAIN_SNAPSHOTS,
    CHAIN_SOURCES as CHAIN_SOURCES,
    REJECTED_ROWS as REJECTED_ROWS,
)
from dealer_assets.tables.data_anomalies import (
    ANOMALY_ACTIONS as ANOMALY_ACTIONS,
    ANOMALY_SPOILS as ANOMALY_SPOILS,
    DATA_ANOMALIES as DATA_ANOMALIES,
)
from dealer_assets.tables.dealers import (
    DEALER_POSITIONS as DEALER_POSITIONS,
    FLOW_SOURCES as FLOW_SOURCES,
    OPEN_INTEREST_STATES as OPEN_INTEREST_STATES,
    POSITION_SCORES as POSITION_SCORES,
    SIGNED_FLOW as SIGNED_FLOW,
)
from dealer_assets.tables.evaluation import (
    ALL_SLOTS as ALL_SLOTS,
    ANOMALY_EVALUATION as ANOMALY_EVALUATION,
    EVALUATION_MEASURES as EVALUATION_MEASURES,
    EVALUATION_METHODS as EVALUATION_METHODS,
    INJECTED_KINDS as INJECTED_KINDS,
)
from dealer_assets.tables.events import (
    FEED_COVERAGE as FEED_COVERAGE,
    INDEX_VALUES as INDEX_VALUES,
    LISTED_CONTRACTS as LISTED_CONTRACTS,
    OPTION_BARS as OPTION_BARS,
    OPTION_QUOTES as OPTION_QUOTES,
    OPTION_TRADES as OPTION_TRADES,
    SIGN_RULES as SIGN_RULES,
)
from dealer_assets.tables.exposure import (
    DEALER_EXPOSURE as DEALER_EXPOSURE,
    EXPOSURE_LEVELS as EXPOSURE_LEVELS,
    GAMMA_PROFILE as GAMMA_PROFILE,
    LEVEL_BAND as LEVEL_BAND,
    SCENARIO_GRID as SCENARIO_GRID,
)
from dealer_assets.tables.features import (
    CONTRACT_FEATURES as CONTRACT_FEATURES,
    FEATURE_KINDS as FEATURE_KINDS,
    INTERVAL_FEATURES as INTERVAL_FEATURES,
    UNSCORED_REASONS as UNSCORED_REASONS,
    WITHHELD_REASONS as WITHHELD_REASONS,
    FeatureKind as FeatureKind,
    feature_names as feature_names,
)
from dealer_assets.tables.history import (
    DAILY_HISTORY as DAILY_HISTORY,
    VOLUME_DELTAS as VOLUME_DELTAS,
)
from dealer_assets.tables.live import (
    FEED_GAPS as FEED_GAPS,
    FEED_REJECTS as FEED_REJECTS,
    LIVE_CONTRACT_FLOW as LIVE_CONTRACT_FLOW,
    LIVE_FLOW as LIVE_FLOW,
    LIVE_GAMMA as LIVE_GAMMA,
    LIVE_RECONCILIATION as LIVE_RECONCILIATION,
    LIVE_STRIKES as LIVE_STRIKES,
    LIVE_TABLES as LIVE_TABLES,
    LIVE_TRADES as LIVE_TRADES,
    STREAM_HEARTBEATS as STREAM_HEARTBEATS,
)
from dealer_assets.tables.measures import UNDERLYING_SCORES as UNDERLYING_SCORES
from dealer_assets.tables.pins import (
    LEVEL_SCORES as LEVEL_SCORES,
    PIN_LEVELS as PIN_LEVELS,
    STRIKE_CHANGES as STRIKE_CHANGES,
)
from dealer_assets.tables.positions import (
    ACCOUNT_VOLUME as ACCOUNT_VOLUME,
    BLOCK_TRADES as BLOCK_TRADES,
    FUTURES_OPTION_SETTLEMENTS as FUTURES_OPTION_SETTLEMENTS,
    OPEN_CLOSE as OPEN_CLOSE,
    OPEN_INTEREST as OPEN_INTEREST,
    SWAP_OPTION_REPORTS as SWAP_OPTION_REPORTS,
)
from dealer_assets.tables.pricing import (
    CONTRACT_GREEKS as CONTRACT_GREEKS,
    FORWARDS as FORWARDS,
)
from dealer_assets.tables.rates import (
    REFERENCE_RATES as REFERENCE_RATES,
    TREASURY_CURVE as TREASURY_CURVE,
)
from dealer_assets.tables.regimes import (
    COMBINED_EXPOSURE as COMBINED_EXPOSURE,
    COMBINED_LEVELS as COMBINED_LEVELS,
    COMBINED_PROFILE as COMBINED_PROFILE,
    DEALER_REGIMES as DEALER_REGIMES,
    EXPOSURE_METRICS as EXPOSURE_METRICS,
    UNDERLYING_BARS as UNDERLYING_BARS,
)
from dealer_assets.tables.scores import (
    ANOMALY_SCORES as ANOMALY_SCORES,
    FEATURE_BASELINES as FEATURE_BASELINES,
)
from dealer_assets.tables.surface import (
    GREEK_SURFACE as GREEK_SURFACE,
    SURFACE_QUALITY as SURFACE_QUALITY,
    VOL_SURFACE as VOL_SURFACE,
)

TABLES: tuple[Table, ...] = (
    CHAIN_SNAPSHOTS,
    CHAIN_SOURCES,
    REJECTED_ROWS,
    LISTED_CONTRACTS,
    OPTION_TRADES,
    OPTION_QUOTES,
    OPTION_BARS,
    INDEX_VALUES,
    FEED_COVERAGE,
    OPEN_INTEREST,
    ACCOUNT_VOLUME,
    OPEN_CLOSE,
    FUTURES_OPTION_SETTLEMENTS,
    SWAP_OPTION_REPORTS,
    BLOCK_TRADES,
    TREASURY_CURVE,
    REFERENCE_RATES,
    SIGNED_FLOW,
    DEALER_POSITIONS,
    POSITION_SCORES,
    FORWARDS,
    CONTRACT_GREEKS,
    VOL_SURFACE,
    GREEK_SURFACE,
    SURFACE_QUALITY,
    DEALER_EXPOSURE,
    EXPOSURE_LEVELS,
    GAMMA_PROFILE,
    LEVEL_BAND,
    SCENARIO_GRID,
    UNDERLYING_BARS,
    EXPOSURE_METRICS,
    DEALER_REGIMES,
    COMBINED_EXPOSURE,
    COMBINED_LEVELS,
    COMBINED_PROFILE,
    PIN_LEVELS,
    STRIKE_CHANGES,
    LEVEL_SCORES,
    VOLUME_DELTAS,
    DAILY_HISTORY,
    DATA_ANOMALIES,
    CONTRACT_FEATURES,
    FEATURE_BASELINES,
    ANOMALY_SCORES,
    UNDERLYING_SCORES,
    ANOMALY_EVALUATION,
    *LIVE_TABLES,
    LIVE_RECONCILIATION,
    ALERTS,
)


def table(name: str) -> Table:
    """Return the dictionary entry of a table by name.

    Raises
    ------
    KeyError
        When no table has this name; the message lists those that exist.
    """
    for entry in TABLES:
        if entry.name == name:
            return entry
    raise KeyError(f"no table {name!r}; the dictionary has {[t.name for t in TABLES]}")
