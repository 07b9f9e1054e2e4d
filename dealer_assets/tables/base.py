"""What a table and a column are, and the words and columns that several tables share.

Belongs here: the two dataclasses, closed vocabularies, shared columns. Does not belong here: any
table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

from dealer_assets.light_arrow import settle_pandas_lookup

settle_pandas_lookup()  # every user of tables is about to make arrays

PartKind = Literal["snapshot", "session", "source", "batch", "stream"]
"""How a partition is cut into parts: one per snapshot instant, one per session, one per source of
a snapshot, one per batch (a file's or a request's rows of many instants), one per run of rows of
the streaming process."""

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
    part : {"snapshot", "session", "source", "batch", "stream"}
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

    @cached_property
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
RATE_SOURCES = ("fitted", "pooled", "curve", "zero", "venue", "none")
PRICING_MODELS = ("black", "american", "average")
FORWARD_QUALITIES = ("ok", "parity_broken", "thin", "no_pairs", "venue", "none")
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
BAND_AXES = (
    "base",
    "forward",
    "clock",
    "vol",
    "filter",
    "settlement",
    "unquoted",
    "published",
)
MODELS = (
    "naive",
    "inverted",
    "long_gamma",
    "short_gamma",
    "taker_flow",
    "open_close",
    "reconciled",
)
"""Dealer position models; `domain/positions/models.py` says what each assumes."""

ID = (
    Column("underlying", pa.string(), "-", "Registry symbol of the underlying."),
    Column("session_date", pa.date32(), "-", "Exchange-local trading date; the partition."),
    Column("event_at", INSTANT, "UTC", "Venue instant the row describes; names the snapshot."),
    Column("known_at", INSTANT, "UTC", "Instant from which the row could be known."),
)
CONTRACT = (
    Column("symbol", pa.string(), "-", "Canonical symbol: OSI unpadded, or the venue's own."),
    Column("root", pa.string(), "-", "Option root; SPX and SPXW are different contracts."),
    Column("expiry_date", pa.date32(), "-", "Listed expiry date, exchange-local."),
    Column("expires_at", INSTANT, "UTC", "Exact expiry instant by the root's settlement rule."),
    Column("strike", pa.float64(), "price", "Strike price.", lower=1e-9),
    Column("right", pa.string(), "-", "Call or put.", allowed=RIGHTS),
)
MODEL = Column("model", pa.string(), "-", "Dealer position model.", allowed=MODELS)


def exposures(prefix: str = "") -> tuple[Column, ...]:
    """Return the five exposure columns, with a prefix such as ``net_``."""
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
