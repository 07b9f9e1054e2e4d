"""Tables of what was quoted: snapshots, their sources, what was refused."""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import (
    CONTRACT,
    EXERCISES,
    ID,
    INSTANT,
    SETTLEMENTS,
    SPOT_SOURCES,
    Column,
    Table,
)

CHAIN_SNAPSHOTS = Table(
    name="chain_snapshots",
    doc="Option chains as quoted at one instant, provider-neutral, one row per listed contract.",
    grain="underlying x snapshot x contract",
    key=("event_at", "root", "expiry_date", "strike", "right"),
    part="snapshot",
    columns=(
        *ID,
        Column("provider", pa.string(), "-", "Provider that delivered the snapshot."),
        *CONTRACT,
        Column("exercise", pa.string(), "-", "Exercise style.", allowed=EXERCISES),
        Column("settlement", pa.string(), "-", "Settlement rule.", allowed=SETTLEMENTS),
        Column(
            "multiplier", pa.float64(), "units/contract", "Underlying units a contract.", lower=1e-9
        ),
        Column("bid", pa.float64(), "USD", "Best bid; 0 when there is none.", True, lower=0.0),
        Column("ask", pa.float64(), "USD", "Best ask; 0 when there is none.", True, lower=0.0),
        Column("bid_size_contracts", pa.float64(), "contracts", "Size at bid.", True, lower=0.0),
        Column("ask_size_contracts", pa.float64(), "contracts", "Size at ask.", True, lower=0.0),
        Column("last_price", pa.float64(), "USD", "Last trade price.", True, lower=0.0),
        Column("last_trade_at", INSTANT, "UTC", "Instant of the last trade.", True),
        Column(
            "volume_contracts", pa.float64(), "contracts", "Session volume so far.", True, lower=0.0
        ),
        Column(
            "open_interest_contracts",
            pa.float64(),
            "contracts",
            "Open interest as published for the session (prior close for US options).",
            True,
            lower=0.0,
        ),
        Column("spot", pa.float64(), "USD", "Underlying price at event_at.", True, lower=1e-9),
        Column("spot_source", pa.string(), "-", "Where spot came from.", allowed=SPOT_SOURCES),
        Column(
            "venue_forward",
            pa.float64(),
            "USD",
            "Forward for the expiry published by the venue.",
            True,
            lower=1e-9,
        ),
        Column(
            "is_partial",
            pa.bool_(),
            "-",
            "The source told that a part of the chain is missing: a page failed or ended early.",
        ),
        Column("vendor_implied_vol", pa.float64(), "1/sqrt(year)", "Vendor's vol, decimal.", True),
        Column("vendor_delta", pa.float64(), "1", "Vendor's delta as printed.", True),
        Column("vendor_gamma", pa.float64(), "1/USD", "Vendor's gamma as printed.", True),
    ),
    version=2,
)

CHAIN_SOURCES = Table(
    name="chain_sources",
    doc="What each imported or collected snapshot came from, and what was found odd about it.",
    grain="underlying x snapshot x source",
    key=("event_at", "source_sha256"),
    part="source",
    columns=(
        *ID,
        Column("provider", pa.string(), "-", "Provider or file format."),
        Column("source_name", pa.string(), "-", "File name or request, without its folder."),
        Column("source_sha256", pa.string(), "-", "SHA-256 of the payload as received."),
        Column("contracts", pa.int64(), "contracts", "Rows accepted.", lower=0),
        Column("rejected", pa.int64(), "rows", "Rows quarantined.", lower=0),
        Column("is_partial", pa.bool_(), "-", "The source does not hold the whole chain."),
        Column("findings", pa.list_(pa.string()), "-", "Finding codes, in order of discovery."),
        Column("findings_text", pa.string(), "-", "The findings in words."),
    ),
)

REJECTED_ROWS = Table(
    name="rejected_rows",
    doc="Quarantine: rows that could not be believed, with the reason and the text as received.",
    grain="underlying x snapshot x source x row",
    key=("event_at", "source_sha256", "row_number"),
    part="source",
    columns=(
        *ID,
        Column("provider", pa.string(), "-", "Provider or file format."),
        Column("source_name", pa.string(), "-", "File name or request, without its folder."),
        Column("source_sha256", pa.string(), "-", "SHA-256 of the payload as received."),
        Column("row_number", pa.int64(), "1", "1-based row in the source.", lower=0),
        Column("symbol", pa.string(), "-", "Symbol as far as it was readable.", True),
        Column("reason", pa.string(), "-", "Reason code, e.g. negative_open_interest."),
        Column("raw_text", pa.string(), "-", "The row as received, shortened to 500 characters."),
    ),
)
