"""The table of what is wrong with the data of a snapshot, before anything is scored.

Belongs here: the kinds, what each does and which readings it spoils. Does not belong here: finding
them (`domain/anomaly/data`), market anomalies (`scores`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import ID, Column, Table

ACTIONS = ("block", "flag")
SCOPES = ("snapshot", "contracts")
READINGS = ("quotes", "volume", "open_interest", "spot", "vendor_greeks")

ANOMALY_ACTIONS: dict[str, str] = {
    "wiped_open_interest": "block",
    "open_interest_missing": "flag",
    "shifted_open_interest": "flag",
    "open_interest_unit_jump": "flag",
    "open_interest_left_of_expired": "flag",
    "zero_bids": "block",
    "no_quotes": "flag",
    "stale_quotes": "flag",
    "frozen_quotes": "block",
    "frozen_contracts": "flag",
    "duplicate_snapshot": "block",
    "partial_chain": "flag",
    "wrong_underlying": "block",
    "underlying_corrected": "flag",
    "spot_disagrees": "flag",
    "stale_greeks": "flag",
    "volume_carry_over": "flag",
    "volume_wiped": "flag",
    "date_corrected": "flag",
    "holiday_repeat": "block",
    "weekend_run": "flag",
}
"""Kind to action. A blocked snapshot has no features and is never scored; of a flagged one the
spoilt readings are not used, of all contracts or of those listed."""

ANOMALY_SPOILS: dict[str, tuple[str, ...]] = {
    "wiped_open_interest": ("open_interest",),
    "open_interest_missing": ("open_interest",),
    "shifted_open_interest": ("open_interest",),
    "open_interest_unit_jump": ("open_interest",),
    "open_interest_left_of_expired": ("open_interest",),
    "zero_bids": ("quotes",),
    "no_quotes": ("quotes",),
    "stale_quotes": ("quotes", "volume"),
    "frozen_quotes": ("quotes",),
    "frozen_contracts": ("quotes",),
    "duplicate_snapshot": READINGS,
    "partial_chain": (),
    "wrong_underlying": READINGS,
    "underlying_corrected": (),
    "spot_disagrees": ("spot",),
    "stale_greeks": ("vendor_greeks",),
    "volume_carry_over": ("volume",),
    "volume_wiped": ("volume",),
    "date_corrected": (),
    "holiday_repeat": READINGS,
    "weekend_run": ("open_interest",),
}
"""Kind to the readings of the affected contracts that cannot be used."""

DATA_ANOMALIES = Table(
    name="data_anomalies",
    doc="What is wrong with a snapshot's data; a snapshot without a row has nothing wrong.",
    grain="underlying x snapshot x kind",
    key=("event_at", "kind"),
    part="snapshot",
    columns=(
        *ID,
        Column("kind", pa.string(), "-", "What is wrong.", allowed=tuple(ANOMALY_ACTIONS)),
        Column(
            "action",
            pa.string(),
            "-",
            "block: nothing of the snapshot is scored; flag: the spoilt readings are not.",
            allowed=ACTIONS,
        ),
        Column(
            "scope",
            pa.string(),
            "-",
            "Whether the whole snapshot is affected or the contracts in `symbols`.",
            allowed=SCOPES,
        ),
        Column("contracts", pa.int64(), "contracts", "Contracts affected.", lower=0),
        Column("share", pa.float64(), "1", "Of the snapshot's contracts.", lower=0.0, upper=1.0),
        Column(
            "symbols",
            pa.list_(pa.string()),
            "-",
            "Contracts affected, sorted; empty when the whole snapshot is.",
        ),
        Column(
            "spoils",
            pa.list_(pa.string()),
            "-",
            f"Readings of them that cannot be used: {', '.join(READINGS)}.",
        ),
        Column(
            "source",
            pa.string(),
            "-",
            "rows: found in the snapshot; import: a finding of the file or request it came from.",
            allowed=("rows", "import"),
        ),
        Column("found", pa.string(), "-", "What was found."),
        Column("expected", pa.string(), "-", "What was expected."),
        Column("words", pa.string(), "-", "One sentence for a reader."),
    ),
)
