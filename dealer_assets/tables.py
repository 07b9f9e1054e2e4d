"""The data dictionary: every lake table's grain, key, columns, types and units, once.

Belongs here: what a table *is*. The Arrow schema, the blocking schema checks, the dbt sources and
`docs/tables.md` are derived from these entries. Does not belong here: how rows are made (`domain`,
`providers`) or where they lie (`lake/layout.py`).

Two clocks are on every row: `event_at`, the venue's instant the row describes, and `known_at`, the
instant it could first be read. `known_at` of a derived row is the latest `known_at` of its inputs,
never the time of computation, so that a rerun writes the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from dealer_assets.light_arrow import settle_pandas_lookup

settle_pandas_lookup()  # every user of tables is about to make arrays

PartKind = Literal["snapshot", "session", "source"]
"""How a partition is cut into parts: one per snapshot instant, one per session, one per source."""

INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column of a lake table.

    Parameters
    ----------
    name : str
        Column name; the unit is its suffix where it has one.
    type : pyarrow.DataType
        Arrow type as stored.
    unit : str
        Unit in words; ``"1"`` for dimensionless, ``"-"`` for text, flags and dates.
    doc : str
        What the value means.
    nullable : bool
        Whether null is a legal value ("not known"); NaN never is.
    allowed : tuple of str
        The closed vocabulary of a text column; empty when open.
    lower, upper : float or None
        Inclusive bounds of a legal value.
    """

    name: str
    type: pa.DataType
    unit: str
    doc: str
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Table:
    """One lake table.

    Parameters
    ----------
    name : str
        Table, asset, folder and dbt source name: the same word in all five places.
    doc : str
        One sentence for a reader.
    grain : str
        What one row is.
    key : tuple of str
        Columns that identify a row; parts are sorted by them.
    part : {"snapshot", "session", "source"}
        How a partition is cut into files.
    columns : tuple of Column
        In stored order.
    version : int
        Schema version, written into every part.
    """

    name: str
    doc: str
    grain: str
    key: tuple[str, ...]
    part: PartKind
    columns: tuple[Column, ...]
    version: int = 1

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema in stored order."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def column(self, name: str) -> Column:
        """Return the dictionary entry of one column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name}")


RIGHTS = ("call", "put")
EXERCISES = ("european", "american")
SETTLEMENTS = ("am", "pm", "twap")
SPOT_SOURCES = ("index", "last_trade", "parity", "previous_close", "simulated")
FORWARD_METHODS = ("parity", "curve", "carry", "venue", "none")
IV_REASONS = (
    "ok",
    "below_intrinsic",
    "above_bound",
    "no_bid",
    "no_quote",
    "crossed",
    "zero_time",
    "bad_input",
)
IV_SOURCES = ("own", "other_side", "interpolated", "extrapolated", "none")
FLIP_STATUSES = ("ok", "none_in_range", "ill_conditioned", "far")
MODELS = ("naive",)

_ID = (
    Column("underlying", pa.string(), "-", "Registry symbol of the underlying."),
    Column("session_date", pa.date32(), "-", "Exchange-local trading date; the partition."),
    Column("event_at", INSTANT, "UTC", "Venue instant the row describes; names the snapshot."),
    Column("known_at", INSTANT, "UTC", "Instant from which the row could be known."),
)
_CONTRACT = (
    Column("symbol", pa.string(), "-", "Canonical symbol: OSI unpadded, or the venue's own."),
    Column("root", pa.string(), "-", "Option root; SPX and SPXW are different contracts."),
    Column("expiry_date", pa.date32(), "-", "Listed expiry date, exchange-local."),
    Column("expires_at", INSTANT, "UTC", "Exact expiry instant by the root's settlement rule."),
    Column("strike", pa.float64(), "price", "Strike price.", lower=1e-9),
    Column("right", pa.string(), "-", "Call or put.", allowed=RIGHTS),
)
_MODEL = Column("model", pa.string(), "-", "Dealer position model.", allowed=MODELS)


def _exposures(prefix: str = "") -> tuple[Column, ...]:
    return (
        Column(f"{prefix}delta_exposure_usd", pa.float64(), "USD", "Dealer delta."),
        Column(
            f"{prefix}gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Change of dealer delta for +1 % spot.",
        ),
        Column(
            f"{prefix}vanna_exposure_usd_per_vol_pt",
            pa.float64(),
            "USD per vol point",
            "Change of dealer delta for +1 vol point.",
        ),
        Column(
            f"{prefix}charm_exposure_usd_per_day",
            pa.float64(),
            "USD per day",
            "Change of dealer delta over the next calendar day.",
        ),
        Column(
            f"{prefix}volga_exposure_usd_per_vol_pt2",
            pa.float64(),
            "USD per vol point squared",
            "Change of dealer vega for +1 vol point.",
        ),
    )


CHAIN_SNAPSHOTS = Table(
    name="chain_snapshots",
    doc="Option chains as quoted at one instant, provider-neutral, one row per listed contract.",
    grain="underlying x snapshot x contract",
    key=("event_at", "root", "expiry_date", "strike", "right"),
    part="snapshot",
    columns=(
        *_ID,
        Column("provider", pa.string(), "-", "Provider that delivered the snapshot."),
        *_CONTRACT,
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
        Column("vendor_implied_vol", pa.float64(), "1/sqrt(year)", "Vendor's vol, decimal.", True),
        Column("vendor_delta", pa.float64(), "1", "Vendor's delta as printed.", True),
        Column("vendor_gamma", pa.float64(), "1/USD", "Vendor's gamma as printed.", True),
    ),
)

CHAIN_SOURCES = Table(
    name="chain_sources",
    doc="What each imported or collected snapshot came from, and what was found odd about it.",
    grain="underlying x snapshot x source",
    key=("event_at", "source_sha256"),
    part="source",
    columns=(
        *_ID,
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
        *_ID,
        Column("provider", pa.string(), "-", "Provider or file format."),
        Column("source_name", pa.string(), "-", "File name or request, without its folder."),
        Column("source_sha256", pa.string(), "-", "SHA-256 of the payload as received."),
        Column("row_number", pa.int64(), "1", "1-based row in the source.", lower=0),
        Column("symbol", pa.string(), "-", "Symbol as far as it was readable.", True),
        Column("reason", pa.string(), "-", "Reason code, e.g. negative_open_interest."),
        Column("raw_text", pa.string(), "-", "The row as received, shortened to 500 characters."),
    ),
)

CONTRACT_GREEKS = Table(
    name="contract_greeks",
    doc="Our own implied vols and Greeks of every live contract of a snapshot.",
    grain="underlying x snapshot x contract",
    key=("event_at", "root", "expiry_date", "strike", "right"),
    part="snapshot",
    columns=(
        *_ID,
        *_CONTRACT,
        Column("multiplier", pa.float64(), "units/contract", "Units a contract.", lower=1e-9),
        Column(
            "open_interest_contracts", pa.float64(), "contracts", "Open interest.", True, lower=0.0
        ),
        Column("volume_contracts", pa.float64(), "contracts", "Volume so far.", True, lower=0.0),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("spot_source", pa.string(), "-", "Where spot came from.", allowed=SPOT_SOURCES),
        Column("year_fraction", pa.float64(), "years", "ACT/365 to expires_at."),
        Column("forward", pa.float64(), "USD", "Forward of the slice.", True, lower=1e-9),
        Column("discount", pa.float64(), "1", "Discount factor of the slice.", True, lower=0.0),
        Column(
            "forward_method",
            pa.string(),
            "-",
            "How the forward was found.",
            allowed=FORWARD_METHODS,
        ),
        Column("forward_pairs", pa.int32(), "pairs", "Call-put pairs behind the forward.", lower=0),
        Column(
            "forward_residual",
            pa.float64(),
            "half-spreads",
            "Median absolute parity residual of the slice in half-spreads.",
            True,
            lower=0.0,
        ),
        Column("mid", pa.float64(), "USD", "Mid price of the contract.", True, lower=0.0),
        Column("implied_vol", pa.float64(), "1/sqrt(year)", "Implied vol used.", True, lower=0.0),
        Column("iv_source", pa.string(), "-", "What the vol rests on.", allowed=IV_SOURCES),
        Column(
            "iv_reason",
            pa.string(),
            "-",
            "Why the contract's own price gave no vol, or ok.",
            allowed=IV_REASONS,
        ),
        Column("delta", pa.float32(), "1", "d price / d spot.", True),
        Column("gamma", pa.float32(), "1/USD", "d delta / d spot.", True, lower=0.0),
        Column("vega", pa.float32(), "USD per vol point", "Price for +1 vol point.", True),
        Column("theta", pa.float32(), "USD per day", "Price for one day passing.", True),
        Column("rho", pa.float32(), "USD per rate point", "Price for +1 % rate.", True),
        Column("vanna", pa.float32(), "1 per vol point", "Delta for +1 vol point.", True),
        Column("charm", pa.float32(), "1 per day", "Delta for one day passing.", True),
        Column("volga", pa.float32(), "USD per vol point squared", "Vega for +1 vol point.", True),
    ),
)

DEALER_EXPOSURE = Table(
    name="dealer_exposure",
    doc="Dealer exposures by strike, expiry and right under one position model.",
    grain="underlying x snapshot x model x contract",
    key=("event_at", "model", "root", "expiry_date", "strike", "right"),
    part="snapshot",
    columns=(
        *_ID,
        _MODEL,
        *_CONTRACT,
        Column("dte_bucket", pa.string(), "-", "0dte, 1-7, 8-45 or 46+ calendar days."),
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("position_contracts", pa.float64(), "contracts", "Dealer position; > 0 is long."),
        *_exposures(),
    ),
)

EXPOSURE_LEVELS = Table(
    name="exposure_levels",
    doc="Headline exposures and levels of a snapshot under one position model.",
    grain="underlying x snapshot x model",
    key=("event_at", "model"),
    part="snapshot",
    columns=(
        *_ID,
        _MODEL,
        Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
        Column("spot_source", pa.string(), "-", "Where spot came from.", allowed=SPOT_SOURCES),
        Column("contracts", pa.int64(), "contracts", "Contracts in the snapshot.", lower=0),
        Column("contracts_used", pa.int64(), "contracts", "Contracts in the sums.", lower=0),
        *_exposures("net_"),
        Column("call_gamma_exposure_usd_per_pct", pa.float64(), "USD per 1 % spot", "Calls' part."),
        Column("put_gamma_exposure_usd_per_pct", pa.float64(), "USD per 1 % spot", "Puts' part."),
        Column(
            "gross_gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Sum of absolute contract gammas: what the net is judged against.",
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
)

GAMMA_PROFILE = Table(
    name="gamma_profile",
    doc="Net dealer gamma re-priced on a grid of spot levels, vols sticky by strike.",
    grain="underlying x snapshot x model x spot level",
    key=("event_at", "model", "spot_level"),
    part="snapshot",
    columns=(
        *_ID,
        _MODEL,
        Column("spot", pa.float64(), "USD", "Underlying price at event_at.", lower=1e-9),
        Column("spot_level", pa.float64(), "USD", "Hypothetical spot.", lower=1e-9),
        Column(
            "gamma_exposure_usd_per_pct",
            pa.float64(),
            "USD per 1 % spot",
            "Net dealer gamma exposure if spot stood at spot_level.",
        ),
    ),
)

VOLUME_DELTAS = Table(
    name="volume_deltas",
    doc="Contracts traded between consecutive snapshots; the first of a session is cumulative.",
    grain="underlying x snapshot x contract that traded",
    key=("event_at", "root", "expiry_date", "strike", "right"),
    part="session",
    columns=(
        *_ID,
        *_CONTRACT,
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
    columns=(
        *_ID,
        *_CONTRACT,
        Column("snapshots", pa.int32(), "snapshots", "Snapshots that held the contract.", lower=1),
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

TABLES: tuple[Table, ...] = (
    CHAIN_SNAPSHOTS,
    CHAIN_SOURCES,
    REJECTED_ROWS,
    CONTRACT_GREEKS,
    DEALER_EXPOSURE,
    EXPOSURE_LEVELS,
    GAMMA_PROFILE,
    VOLUME_DELTAS,
    DAILY_HISTORY,
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
