"""Tables of the streaming process: trades with their side, live gamma, flow, its own health.

Belongs here: what the tape becomes within the session, and how that compares with the tape as
published afterwards. Does not belong here: tables of snapshots (`exposure`), or the tape as vendors
keep it (`events`).

Every row of the process is numbered by it (`stream_sequence`, per table, underlying and session,
from 0, without holes): whoever reads can tell whether a row is missing or double. A part never
changes; a correction is a row of its own.
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import CONTRACT, ID, INSTANT, Column, Table, exposures
from dealer_assets.tables.events import TAKER_SIDES

LIVE_MODELS = ("naive", "session_flow", "live_reconciled")
"""Settled open interest by the naive rule; today's flow alone, dealers opposite to customers; the
estimated positions that the session opened with, moved by what today's trades are expected to have
changed. Settled and live are in one number in the last alone, whose name says so."""
NAIVE, SESSION_FLOW, LIVE_RECONCILED = LIVE_MODELS

TRADE_CLASSES = ("regular", "late", "multi_leg", "cancel", "outside_hours", "block", "combo")
SIGN_BASES = (
    "taker_side",
    "trade_size",
    "quote",
    "depth",
    "midpoint_tick",
    "tick",
    "reverse_tick",
    "cancelled_print",
    "none",
)
"""What told the side: the venue; the size that equals one side's quoted size; the price beyond or
nearer one side of the quote; the deeper side at the midpoint; the last differing price; the next
one; the print that a cancel takes back; nothing did."""
QUOTE_STATES = ("ok", "locked", "crossed", "one_sided", "stale", "none")
LIVE_VOL_SOURCES = ("quote", "other_side", "surface", "venue", "none")
FLOW_INTERVALS = ("second", "minute")
TENORS = ("0dte", "other")
SIZE_BUCKETS = ("1", "2-9", "10-99", "100+")
GAP_STATUSES = ("open", "backfilled", "partial", "not_backfilled")
PRINT_STATUSES = ("equal", "missing", "surplus", "both", "not_compared")
"""Of a contract's prints: live and published ones are the same; live lacks some; live has some that
were not published; both; no published tape is held."""

_SEQUENCE = Column(
    "stream_sequence",
    pa.int64(),
    "1",
    "Number of the row among those of its table, underlying and session.",
    lower=0,
)
_FEED = Column("feed", pa.string(), "-", "Feed it came through: polygon, deribit, simulator.")


def _contracts(name: str, doc: str) -> Column:
    return Column(name, pa.float64(), "contracts", doc)


def _usd(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, pa.float64(), "USD", doc, nullable)


def _count(name: str, doc: str) -> Column:
    return Column(name, pa.int64(), "1", doc, lower=0)


LIVE_TRADES = Table(
    name="live_trades",
    doc="Trades as received, each with its side, what told it, and its Greeks at that moment.",
    grain="underlying x session x received print",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,
        _SEQUENCE,
        _FEED,
        *CONTRACT,
        Column("multiplier", pa.float64(), "units/contract", "Units a contract.", lower=1e-9),
        _usd("price_usd", "Price per unit of the underlying."),
        Column("size_contracts", pa.float64(), "contracts", "Size.", lower=0.0),
        Column("exchange", pa.string(), "-", "Venue's code; blank: unknown."),
        Column("conditions", pa.string(), "-", "Condition codes, comma-separated; blank: none."),
        Column("venue_sequence", pa.int64(), "1", "Venue's sequence of the contract.", True),
        Column("trade_number", pa.int64(), "1", "Venue's own number of the trade.", True),
        Column("trade_class", pa.string(), "-", "Kind of print.", allowed=TRADE_CLASSES),
        Column("cancels_sequence", pa.int64(), "1", "Row that a cancel takes back.", True),
        Column("is_backfilled", pa.bool_(), "-", "Fetched after a gap."),
        Column("bid", pa.float64(), "USD", "Best bid when it was received.", True, lower=0.0),
        Column("ask", pa.float64(), "USD", "Best ask when it was received.", True, lower=0.0),
        Column("quote_age_seconds", pa.float64(), "s", "Age of that quote.", True),
        Column("quote_state", pa.string(), "-", "What it is worth.", allowed=QUOTE_STATES),
        Column(
            "side", pa.string(), "-", "Customer's side; null: unknown.", True, allowed=TAKER_SIDES
        ),
        Column("side_basis", pa.string(), "-", "What told the side.", allowed=SIGN_BASES),
        Column(
            "side_confidence", pa.float64(), "1", "Probability that it is right.", True, lower=0
        ),
        _contracts("dealer_contracts", "Change of dealers' position: minus the customers'."),
        Column("implied_vol", pa.float64(), "1/sqrt(year)", "Vol of its Greeks.", True),
        Column("vol_source", pa.string(), "-", "Where it came from.", allowed=LIVE_VOL_SOURCES),
        Column("vol_age_seconds", pa.float64(), "s", "Age of what it came from.", True),
        Column("spot", pa.float64(), "USD", "Underlying price used.", True),
        Column("spot_age_seconds", pa.float64(), "s", "Age of spot.", True),
        Column("delta", pa.float64(), "1", "Per 1.0 of spot.", True),
        Column("gamma", pa.float64(), "1/USD", "Per 1.0 of spot.", True),
        Column("vanna", pa.float64(), "1/vol point", "Delta per vol point.", True),
        Column("charm", pa.float64(), "1/day", "Delta per calendar day.", True),
        _usd("premium_usd", "Price x size x multiplier; negative of a cancel."),
        _usd(
            "hedge_flow_usd",
            "What dealers must trade to hedge it, > 0 buying; 0 where side or Greeks are unknown.",
        ),
        Column(
            "gamma_flow_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Change of dealers' gamma by it; 0 where side or Greeks are unknown.",
        ),
    ),
)

LIVE_GAMMA = Table(
    name="live_gamma",
    doc="Dealer exposures every second: of settled positions, of the session's flow, of both.",
    grain="underlying x second x model",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,
        _SEQUENCE,
        _FEED,
        Column("model", pa.string(), "-", "Whose positions.", allowed=LIVE_MODELS),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("spot_source", pa.string(), "-", "Where it came from."),
        Column("spot_age_seconds", pa.float64(), "s", "Its age.", lower=0.0),
        *exposures("net_"),
        Column(
            "net_gamma_sd_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Standard deviation of net gamma by the positions' own error; null: the model tells "
            "none.",
            True,
            lower=0.0,
        ),
        Column("call_gamma_exposure_usd_per_pct", pa.float64(), "USD per 1 % spot", "Calls' part."),
        Column("put_gamma_exposure_usd_per_pct", pa.float64(), "USD per 1 % spot", "Puts' part."),
        Column(
            "zero_dte_gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Part of contracts that expire today.",
        ),
        Column(
            "gross_gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Sum of absolute gammas.",
            lower=0.0,
        ),
        _count("contracts", "Contracts with a position."),
        _count("contracts_priced", "Those of them with a vol."),
        Column(
            "settled_open_interest_share",
            pa.float64(),
            "1",
            "Open interest of contracts whose settled position is known; null: not asked for.",
            True,
            lower=0.0,
            upper=1.0,
        ),
        Column("priced_at", INSTANT, "UTC", "When the whole chain was last priced."),
        _count("trades", "Prints of the session so far."),
        Column("signed_share", pa.float64(), "1", "Share of volume with a side.", True, lower=0.0),
        Column("quoted_share", pa.float64(), "1", "Live contracts with a fresh quote.", lower=0.0),
    ),
    version=2,
)

LIVE_STRIKES = Table(
    name="live_strikes",
    doc="Session flow by contract every few minutes: positions, volumes and exposures.",
    grain="underlying x instant x contract that traded",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,
        _SEQUENCE,
        _FEED,
        *CONTRACT,
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        _contracts("volume_contracts", "Volume of the session, net of cancels."),
        _contracts("position_contracts", "Dealers' position of the session's flow."),
        Column("open_interest_contracts", pa.float64(), "contracts", "Settled.", True),
        *exposures(),
    ),
)

_FLOW = (
    _count("trades", "Prints."),
    _contracts("volume_contracts", "Volume, net of cancels."),
    _contracts("bought_contracts", "Customers bought."),
    _contracts("sold_contracts", "Customers sold."),
    _usd("premium_usd", "Premium of all."),
    _usd("signed_premium_usd", "Premium bought less premium sold."),
    _usd("hedge_flow_usd", "What dealers must trade to hedge it; > 0 is buying."),
    _usd("absolute_hedge_flow_usd", "Sum of absolute hedges, trade by trade."),
    Column("gamma_flow_usd_per_pct", pa.float64(), "USD per 1 % spot", "Change of dealers' gamma."),
)

LIVE_FLOW = Table(
    name="live_flow",
    doc="Flow by second and minute in buckets, with the session's cumulative hedging flow.",
    grain="underlying x interval x start x right x tenor x size bucket",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,  # event_at is the start of the bar, known_at its end
        _SEQUENCE,
        _FEED,
        Column("interval", pa.string(), "-", "Length of the bar.", allowed=FLOW_INTERVALS),
        Column("right", pa.string(), "-", "Call or put.", allowed=("call", "put")),
        Column("tenor", pa.string(), "-", "Expires today, or later.", allowed=TENORS),
        Column("size_bucket", pa.string(), "-", "Contracts a print.", allowed=SIZE_BUCKETS),
        *_FLOW,
        _usd("cumulative_hedge_flow_usd", "Of the bucket since the open."),
        _usd("cumulative_absolute_hedge_flow_usd", "Of the bucket since the open."),
    ),
)

LIVE_CONTRACT_FLOW = Table(
    name="live_contract_flow",
    doc="Flow by contract: minutes of all that trade, seconds of the 0DTE strikes being watched.",
    grain="underlying x interval x start x contract",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,
        _SEQUENCE,
        _FEED,
        Column("interval", pa.string(), "-", "Length of the bar.", allowed=FLOW_INTERVALS),
        *CONTRACT,
        Column("is_watched", pa.bool_(), "-", "One of the 0DTE strikes around the money."),
        *_FLOW,
        Column("last_price_usd", pa.float64(), "USD", "Last print; null: none.", True),
        Column("spot", pa.float64(), "USD", "At the bar's end.", True),
        Column("implied_vol", pa.float64(), "1/sqrt(year)", "At the bar's end.", True),
        Column("delta", pa.float64(), "1", "At the bar's end.", True),
        Column("gamma", pa.float64(), "1/USD", "At the bar's end.", True),
    ),
)

FEED_GAPS = Table(
    name="feed_gaps",
    doc="Stretches of time a feed missed, and what was fetched of them afterwards.",
    grain="underlying x feed x channel x gap x status",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,  # event_at is the last message before, known_at when the row was written
        _SEQUENCE,
        _FEED,
        Column("channel", pa.string(), "-", "Connection of the feed."),
        Column("until", INSTANT, "UTC", "When it was live again."),
        Column("reason", pa.string(), "-", "What happened."),
        Column("status", pa.string(), "-", "What became of it.", allowed=GAP_STATUSES),
        _count("backfilled_trades", "Trades fetched that had not been received."),
        _count("known_trades", "Trades fetched that had been received."),
        Column("detail", pa.string(), "-", "In words; blank: nothing to say."),
    ),
)

FEED_REJECTS = Table(
    name="feed_rejects",
    doc="Messages that could not be used, by reason and minute.",
    grain="underlying x minute x feed x reason",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,
        _SEQUENCE,
        _FEED,
        Column("reason", pa.string(), "-", "Code."),
        _count("messages", "How many."),
        Column("sample", pa.string(), "-", "Beginning of one of them."),
    ),
)

STREAM_HEARTBEATS = Table(
    name="stream_heartbeats",
    doc="How the streaming process is doing, every ten seconds.",
    grain="underlying x instant",
    key=("stream_sequence",),
    part="stream",
    columns=(
        *ID,
        _SEQUENCE,
        _FEED,
        Column("phase", pa.string(), "-", "Where the feed's connection is."),
        Column("is_healthy", pa.bool_(), "-", "Fresh, moving and written."),
        Column("problems", pa.list_(pa.string()), "-", "What is not."),
        _count("messages", "Messages since the start."),
        _count("quotes", "Quotes since the start."),
        _count("trades", "Trades since the start."),
        _count("conflated_quotes", "Quotes skipped for newer ones under load."),
        _count("rejected_messages", "Messages that could not be used."),
        _count("acknowledged_trades", "Trades that stand in the journal."),
        Column("queue_bytes", pa.int64(), "bytes", "Frames waiting.", lower=0),
        Column("lag_p50_ms", pa.float64(), "ms", "Receipt to journal, median.", True),
        Column("lag_p99_ms", pa.float64(), "ms", "Receipt to journal, 99 % quantile.", True),
        Column("venue_lag_p50_ms", pa.float64(), "ms", "Venue to receipt, median.", True),
        Column("rss_mb", pa.float64(), "MB", "Memory of the process.", True),
        Column("drops", pa.int64(), "1", "Connections lost since the start.", lower=0),
    ),
)

LIVE_TABLES = (
    LIVE_TRADES,
    LIVE_GAMMA,
    LIVE_STRIKES,
    LIVE_FLOW,
    LIVE_CONTRACT_FLOW,
    FEED_GAPS,
    FEED_REJECTS,
    STREAM_HEARTBEATS,
)
"""All tables of the streaming process."""

LIVE_RECONCILIATION = Table(
    name="live_reconciliation",
    doc=(
        "Live trades held against the tape published afterwards, and against the change of open "
        "interest by the next morning."
    ),
    grain="underlying x session x contract that traded or whose open interest changed",
    key=("root", "expiry_date", "strike", "right"),
    part="session",
    columns=(
        *ID,  # event_at is the close
        *CONTRACT,
        Column("status", pa.string(), "-", "What differs.", allowed=PRINT_STATUSES),
        _count("live_prints", "Prints received, fetched after a gap included."),
        Column("published_prints", pa.int64(), "1", "Prints of the published tape.", True, lower=0),
        Column("missing_prints", pa.int64(), "1", "Published, not live.", True, lower=0),
        Column("surplus_prints", pa.int64(), "1", "Live, not published.", True, lower=0),
        _contracts("live_volume_contracts", "Live volume, net of cancels."),
        Column(
            "published_volume_contracts",
            pa.float64(),
            "contracts",
            "Volume of the published tape, net of cancels.",
            True,
        ),
        Column(
            "missing_volume_contracts",
            pa.float64(),
            "contracts",
            "Sizes of prints that live lacks.",
            True,
            lower=0.0,
        ),
        Column(
            "surplus_volume_contracts",
            pa.float64(),
            "contracts",
            "Sizes of prints that only live has.",
            True,
            lower=0.0,
        ),
        _contracts("bought_contracts", "Customers bought, by the live sides."),
        _contracts("sold_contracts", "Customers sold, by the live sides."),
        Column(
            "open_interest_before_contracts",
            pa.float64(),
            "contracts",
            "Settled, that the session opened with.",
            True,
            lower=0.0,
        ),
        Column(
            "open_interest_after_contracts",
            pa.float64(),
            "contracts",
            "Settled, that the next session opened with.",
            True,
            lower=0.0,
        ),
        Column(
            "is_change_within_volume",
            pa.bool_(),
            "-",
            "The change of open interest is no larger than the volume; null: not known.",
            True,
        ),
    ),
)
