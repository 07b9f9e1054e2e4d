"""Tables of what the snapshots of a session sum up to."""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import CONTRACT, ID, INSTANT, Column, Table

VOLUME_DELTAS = Table(
    name="volume_deltas",
    doc="Contracts traded between consecutive snapshots; the first of a session is cumulative.",
    grain="underlying x snapshot x contract that traded",
    key=("event_at", "root", "expiry_date", "strike", "right"),
    part="session",
    columns=(
        *ID,
        *CONTRACT,
        Column(
            "volume_delta_contracts", pa.float64(), "contracts", "Volume since the last snapshot."
        ),
        Column(
            "is_reset",
            pa.bool_(),
            "-",
            "The vendor's counter began anew; what it counted before was another day's.",
        ),
    ),
)

DAILY_HISTORY = Table(
    name="daily_history",
    doc="The last snapshot of every contract of a session, with the session's traded volume.",
    grain="underlying x session x contract",
    key=("root", "expiry_date", "strike", "right"),
    part="session",
    version=2,
    columns=(
        *ID,
        *CONTRACT,
        Column("snapshots", pa.int32(), "snapshots", "Snapshots that held the contract.", lower=1),
        Column(
            "session_snapshots",
            pa.int32(),
            "snapshots",
            "Snapshots of the session.",
            lower=1,
        ),
        Column("last_poll_at", INSTANT, "UTC", "Last snapshot of the session, of any contract."),
        Column(
            "minutes_before_close",
            pa.float64(),
            "minutes",
            "From the row's snapshot to the close, or to an expiry before it; negative after.",
        ),
        Column(
            "is_before_close",
            pa.bool_(),
            "-",
            "The row's snapshot came too long before close or expiry to stand for the day's end.",
        ),
        Column(
            "longest_gap_minutes",
            pa.float64(),
            "minutes",
            "Longest stretch of the open session before a snapshot without another.",
            lower=0.0,
        ),
        Column(
            "is_interrupted",
            pa.bool_(),
            "-",
            "That stretch is long, and long against the others: a halt, or a failure here.",
        ),
        Column("bid", pa.float64(), "USD", "Last bid.", True, lower=0.0),
        Column("ask", pa.float64(), "USD", "Last ask.", True, lower=0.0),
        Column("last_price", pa.float64(), "USD", "Last trade price.", True, lower=0.0),
        Column("volume_contracts", pa.float64(), "contracts", "Sum of volume deltas.", lower=0.0),
        Column(
            "open_interest_contracts", pa.float64(), "contracts", "Open interest.", True, lower=0.0
        ),
        Column("spot", pa.float64(), "USD", "Underlying price at the last snapshot.", True),
        Column("implied_vol", pa.float64(), "1/sqrt(year)", "Our implied vol.", True, lower=0.0),
    ),
)
