"""Tables of who holds what: open interest, account types, market makers, OTC and block legs.

Belongs here: published holdings and flows, each with its sign rule. Does not belong here: estimates
of dealers' positions.
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import CONTRACT, ID, INSTANT, RIGHTS, Column, Table
from dealer_assets.tables.events import SIGN_RULES, TAKER_SIDES

_SOURCE = (
    Column("provider", pa.string(), "-", "Provider or file format."),
    Column("source_name", pa.string(), "-", "File name or request, without folder or secret."),
)
_SIGN_RULE = Column("sign_rule", pa.string(), "-", "How the row tells sides.", allowed=SIGN_RULES)

OPEN_INTEREST = Table(
    name="open_interest",
    doc="Daily archive of open interest: no vendor sells it back, so every day is kept.",
    grain="underlying x session x provider x contract",
    key=("provider", "root", "expiry_date", "strike", "right"),
    part="batch",
    columns=(
        *ID,  # session_date: the session that opens with it; event_at: the close it was counted at
        *_SOURCE,
        *CONTRACT,
        Column("open_interest_contracts", pa.float64(), "contracts", "Open interest.", lower=0.0),
    ),
)

ACCOUNT_VOLUME = Table(
    name="account_volume",
    doc="OCC's cleared volume by type of account; quantities count each side of a trade.",
    grain="underlying x session x root x right x exchange x type of account",
    key=("root", "right", "exchange", "account_type"),
    part="batch",
    columns=(
        *ID,
        *_SOURCE,
        Column("root", pa.string(), "-", "Option root."),
        Column("right", pa.string(), "-", "Call or put.", allowed=RIGHTS),
        Column("exchange", pa.string(), "-", "Exchange as OCC names it."),
        Column(
            "account_type",
            pa.string(),
            "-",
            "Whose account.",
            allowed=("customer", "firm", "market_maker"),
        ),
        Column("sides_contracts", pa.float64(), "contracts", "Bought plus sold.", lower=0.0),
        _SIGN_RULE,
    ),
)

_ORIGINS = ("market_maker", "firm", "broker_dealer", "customer", "professional")

OPEN_CLOSE = Table(
    name="open_close",
    doc="Cboe Open-Close: bought and sold by origin; the market makers' side is exact.",
    grain="underlying x session x stamp x exchange x contract x origin x size bucket",
    key=("event_at", "exchange", "root", "expiry_date", "strike", "right", "origin", "size_bucket"),
    part="batch",
    columns=(
        *ID,
        *_SOURCE,
        *CONTRACT,
        Column("exchange", pa.string(), "-", "Exchange of the file, e.g. C1."),
        Column(
            "interval",
            pa.string(),
            "-",
            "Cumulative stamp or whole day.",
            allowed=("ten_minute_cumulative", "day"),
        ),
        Column("origin", pa.string(), "-", "Whose orders.", allowed=_ORIGINS),
        Column(
            "size_bucket",
            pa.string(),
            "-",
            "Size of the orders.",
            allowed=("all", "lt_100", "100_199", "gt_199"),
        ),
        Column("open_buy_contracts", pa.float64(), "contracts", "Bought to open.", True, lower=0.0),
        Column(
            "close_buy_contracts", pa.float64(), "contracts", "Bought to close.", True, lower=0.0
        ),
        Column("open_sell_contracts", pa.float64(), "contracts", "Sold to open.", True, lower=0.0),
        Column(
            "close_sell_contracts", pa.float64(), "contracts", "Sold to close.", True, lower=0.0
        ),
        Column("buy_contracts", pa.float64(), "contracts", "Bought in all.", lower=0.0),
        Column("sell_contracts", pa.float64(), "contracts", "Sold in all.", lower=0.0),
        _SIGN_RULE,
    ),
)

FUTURES_OPTION_SETTLEMENTS = Table(
    name="futures_option_settlements",
    doc="CME options on futures: settlement, volume and open interest by strike.",
    grain="product x session x expiry x strike x right x file",
    key=("provider", "product", "contract_month", "strike", "right"),
    part="batch",
    columns=(
        *ID,  # underlying: the registry symbol the product hedges; other products are left out
        *_SOURCE,
        Column("product", pa.string(), "-", "Option product as CME names it, e.g. ES or E4A."),
        Column("contract_month", pa.string(), "-", "Month as YYYY-MM, or the code as printed."),
        Column("expiry_date", pa.date32(), "-", "Expiry where the file tells it.", True),
        Column("strike", pa.float64(), "price", "Strike.", lower=1e-9),
        Column("right", pa.string(), "-", "Call or put.", allowed=RIGHTS),
        Column("multiplier", pa.float64(), "units/contract", "Units a contract.", True),
        Column("settlement_price", pa.float64(), "price", "Settlement; 0 for cabinet.", True),
        Column("is_cabinet", pa.bool_(), "-", "Settled at the cabinet price."),
        Column("volume_contracts", pa.float64(), "contracts", "Volume.", True, lower=0.0),
        Column(
            "open_interest_contracts", pa.float64(), "contracts", "At the close.", True, lower=0.0
        ),
        Column(
            "open_interest_of",
            pa.string(),
            "-",
            "Which close it is: the settlements page shows the one before.",
            allowed=("same_session", "previous_session", "unknown"),
        ),
        Column("open_interest_change_contracts", pa.float64(), "contracts", "Change.", True),
        _SIGN_RULE,
    ),
)

SWAP_OPTION_REPORTS = Table(
    name="swap_option_reports",
    doc="OTC option records of the swap data repository, after their lifecycle.",
    grain="record: the first report's id with everything later applied",
    key=("original_id", "event_at"),
    part="batch",
    columns=(
        *ID,  # underlying: registry symbol, pair like EURUSD, or UNKNOWN; event_at: execution
        *_SOURCE,
        Column("original_id", pa.string(), "-", "Dissemination id of the first report."),
        Column("latest_id", pa.string(), "-", "Id of the last report applied."),
        Column(
            "status",
            pa.string(),
            "-",
            "After the last report.",
            allowed=("live", "terminated", "cancelled"),
        ),
        Column("reports", pa.int32(), "reports", "Reports applied.", lower=1),
        Column("asset_class", pa.string(), "-", "Class of the file, lower case."),
        Column("underlier_name", pa.string(), "-", "As printed."),
        Column(
            "option_type",
            pa.string(),
            "-",
            "From the product name.",
            allowed=("call", "put", "other"),
        ),
        Column("style", pa.string(), "-", "As the product name says; blank: unknown."),
        Column("strike", pa.float64(), "price", "Strike price.", True),
        Column("strike_notation", pa.string(), "-", "How the strike is written; blank: unknown."),
        Column("effective_date", pa.date32(), "-", "Effective date.", True),
        Column("expiry_date", pa.date32(), "-", "Expiration date.", True),
        Column(
            "notional", pa.float64(), "currency", "Notional of leg 1, a floor where capped.", True
        ),
        Column("notional_currency", pa.string(), "-", "Its currency; blank: unknown."),
        Column("is_notional_capped", pa.bool_(), "-", "The repository cut the size."),
        Column("premium", pa.float64(), "currency", "Option premium.", True),
        Column("premium_currency", pa.string(), "-", "Its currency; blank: unknown."),
        Column("is_package", pa.bool_(), "-", "Part of a package.", True),
        Column("platform", pa.string(), "-", "Where it was executed; blank: unknown."),
        _SIGN_RULE,
    ),
)

BLOCK_TRADES = Table(
    name="block_trades",
    doc="Block and OTC legs from blotters and from the venue's block tape, one row per leg.",
    grain="underlying x block x leg",
    key=("block_id", "leg"),
    part="batch",
    columns=(
        *ID,
        *_SOURCE,
        *CONTRACT,
        Column("block_id", pa.string(), "-", "Id of the block."),
        Column("leg", pa.int32(), "1", "Number of the leg in the block, from 0.", lower=0),
        Column("legs", pa.int32(), "legs", "Legs of the block.", lower=1),
        Column("size_contracts", pa.float64(), "contracts", "Size of the leg.", lower=0.0),
        Column("price", pa.float64(), "USD or coin", "Price of the leg.", True),
        Column("price_currency", pa.string(), "-", "USD, USDC or the coin; blank: unknown."),
        Column("underlying_price", pa.float64(), "USD", "Index at the trade.", True),
        Column("venue_implied_vol", pa.float64(), "1/sqrt(year)", "Vol of the leg.", True),
        Column("taker_side", pa.string(), "-", "Side of the taker.", True, allowed=TAKER_SIDES),
        Column(
            "dealer_side",
            pa.string(),
            "-",
            "Side of the dealer, where the record says so.",
            True,
            allowed=TAKER_SIDES,
        ),
        Column("rfq_id", pa.string(), "-", "Request for quotes it came from.", True),
        Column("venue", pa.string(), "-", "Where it was dealt; blank: unknown."),
        Column("reported_at", INSTANT, "UTC", "When it was reported.", True),
        _SIGN_RULE,
    ),
)
