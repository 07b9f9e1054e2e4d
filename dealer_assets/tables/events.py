"""Tables of the tape: trades, quotes, bars, index values, and what was listed.

Belongs here: what happened between snapshots, as venues print it. Does not belong here: who was
the dealer in it (`positions` derive that), or chains.
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import CONTRACT, EXERCISES, ID, INSTANT, SETTLEMENTS, Column, Table

SIGN_RULES = (
    "taker_side",
    "market_maker_exact",
    "account_type_share",
    "reporter_side",
    "unsigned",
)
"""How a row tells who bought: the venue names the taker; the exchange counts the market makers'
own buys and sells; only shares by type of account; whoever wrote the record says so; not at all."""

INTERVALS = ("minute", "day")
TAKER_SIDES = ("buy", "sell")

_SOURCE = (
    Column("provider", pa.string(), "-", "Provider or file format."),
    Column("source_name", pa.string(), "-", "File name or request, without folder or secret."),
)
_ORDINAL = Column(
    "ordinal",
    pa.int32(),
    "1",
    "Number among the prints of its contract and instant: equal prints are separate trades.",
    lower=0,
)

OPTION_TRADES = Table(
    name="option_trades",
    doc="Option trades as printed, one row per print; cancelled ones stay, marked by condition.",
    grain="underlying x print",
    key=("event_at", "symbol", "ordinal"),
    part="batch",
    columns=(
        *ID,
        *_SOURCE,
        *CONTRACT,
        _ORDINAL,
        Column("price", pa.float64(), "USD or coin", "Price; negative for package legs only."),
        Column("price_currency", pa.string(), "-", "USD, USDC or the coin the price is in."),
        Column("size_contracts", pa.float64(), "contracts", "Size.", lower=0.0),
        Column("conditions", pa.string(), "-", "Condition codes, comma-separated; blank: none."),
        Column("exchange", pa.string(), "-", "Venue's code of the exchange; blank: unknown."),
        Column("correction", pa.int32(), "1", "Correction indicator of the tape.", True),
        Column("sequence", pa.int64(), "1", "Venue's sequence number; not on every channel.", True),
        Column("trade_id", pa.string(), "-", "Venue's id of the trade, where it has one.", True),
        Column("taker_side", pa.string(), "-", "Aggressor, where told.", True, allowed=TAKER_SIDES),
        Column("sign_rule", pa.string(), "-", "How the row tells sides.", allowed=SIGN_RULES),
        Column("venue_implied_vol", pa.float64(), "1/sqrt(year)", "Vol printed with it.", True),
        Column("underlying_price", pa.float64(), "USD", "Index printed with it.", True),
        Column("block_id", pa.string(), "-", "Block it belongs to.", True),
        Column("combo_id", pa.string(), "-", "Combination it is a leg of.", True),
        Column("is_liquidation", pa.bool_(), "-", "A side was liquidated.", True),
    ),
)

OPTION_QUOTES = Table(
    name="option_quotes",
    doc="Best bid and offer of chosen option contracts, one row per change.",
    grain="underlying x contract x change",
    key=("event_at", "symbol", "ordinal"),
    part="batch",
    columns=(
        *ID,
        *_SOURCE,
        *CONTRACT,
        _ORDINAL,
        Column("bid", pa.float64(), "USD", "Best bid; 0 when there is none.", lower=0.0),
        Column("ask", pa.float64(), "USD", "Best ask; 0 when there is none.", lower=0.0),
        Column("bid_size_contracts", pa.float64(), "contracts", "Size at bid.", True, lower=0.0),
        Column("ask_size_contracts", pa.float64(), "contracts", "Size at ask.", True, lower=0.0),
        Column("bid_exchange", pa.string(), "-", "Venue's code; blank: none."),
        Column("ask_exchange", pa.string(), "-", "Venue's code; blank: none."),
        Column("sequence", pa.int64(), "1", "Venue's sequence number.", True),
    ),
)

OPTION_BARS = Table(
    name="option_bars",
    doc="Minute and day bars of option contracts; no row where nothing traded.",
    grain="underlying x contract x interval x start",
    key=("interval", "event_at", "symbol"),
    part="batch",
    columns=(
        *ID,  # event_at is the start of the bar, known_at not before its end
        *_SOURCE,
        *CONTRACT,
        Column("interval", pa.string(), "-", "Length of the bar.", allowed=INTERVALS),
        Column("open", pa.float64(), "USD", "First price.", lower=0.0),
        Column("high", pa.float64(), "USD", "Highest price.", lower=0.0),
        Column("low", pa.float64(), "USD", "Lowest price.", lower=0.0),
        Column("close", pa.float64(), "USD", "Last price.", lower=0.0),
        Column("volume_contracts", pa.float64(), "contracts", "Volume.", lower=0.0),
        Column("trades", pa.int64(), "trades", "Prints.", True, lower=0),
    ),
)

INDEX_VALUES = Table(
    name="index_values",
    doc="Values of an underlying, of its settlement and of its volatility index, by instant.",
    grain="underlying x kind x instant",
    key=("kind", "event_at"),
    part="batch",
    columns=(
        *ID,
        *_SOURCE,
        Column(
            "kind",
            pa.string(),
            "-",
            "What is quoted; vol_index is in decimals like every vol here.",
            allowed=("spot", "close", "previous_close", "settlement", "vol_index"),
        ),
        Column("value", pa.float64(), "USD or 1/sqrt(year)", "The value.", lower=0.0),
    ),
)

LISTED_CONTRACTS = Table(
    name="listed_contracts",
    doc="Contracts listed in a session, as the vendor's reference has them.",
    grain="underlying x session x contract",
    key=("root", "expiry_date", "strike", "right"),
    part="session",
    columns=(
        *ID,
        *_SOURCE,
        *CONTRACT,
        Column("exercise", pa.string(), "-", "Exercise style.", allowed=EXERCISES),
        Column("settlement", pa.string(), "-", "Settlement rule.", allowed=SETTLEMENTS),
        Column("multiplier", pa.float64(), "units/contract", "Units a contract.", lower=1e-9),
        Column("listed_at", INSTANT, "UTC", "When it was created, where told.", True),
    ),
)

FEED_COVERAGE = Table(
    name="feed_coverage",
    doc="What a batch of history covers: asked for, received, and why it is not whole.",
    grain="underlying x session x dataset x provider",
    key=("dataset", "provider"),
    part="batch",
    columns=(
        *ID,
        *_SOURCE,
        Column("dataset", pa.string(), "-", "Table the batch went into."),
        Column("rows", pa.int64(), "rows", "Rows stored.", lower=0),
        Column("rejected", pa.int64(), "rows", "Rows quarantined.", lower=0),
        Column("contracts", pa.int64(), "contracts", "Contracts that have a row.", lower=0),
        Column(
            "contracts_asked",
            pa.int64(),
            "contracts",
            "Contracts that were asked for; null: all of them.",
            True,
            lower=0,
        ),
        Column("is_complete", pa.bool_(), "-", "Everything asked for was received."),
        Column("findings", pa.list_(pa.string()), "-", "Finding codes."),
        Column("findings_text", pa.string(), "-", "The findings in words."),
    ),
)
