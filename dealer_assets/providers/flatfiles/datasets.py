"""What the vendor's bucket holds: keys, columns, the first day, and when a day can be read.

Belongs here: facts of the flat files. Does not belong here: fetching them (`store`), reading them
(`sorting`), our tables (`rows`). Every file is a gzip of CSV for all symbols, sorted by symbol and
not by time; prices of a missing side are 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from dealer_assets.domain.sessions import NEW_YORK, next_session

Cell = Literal["text", "number", "whole"]

_PUBLISHED = time(11, 0)
"""New York time of the next session by which a file is complete, as the vendor documents."""


@dataclass(frozen=True)
class Dataset:
    """One kind of flat file.

    Parameters
    ----------
    prefix : str
        Folder in the bucket, e.g. ``us_options_opra/trades_v1``.
    instant : str
        Column of the row's time, nanoseconds since 1970.
    numbers : tuple of str
        Columns that every row has to fill with a number.
    optional : mapping of str to {"text", "number", "whole"}
        Other columns that are read; null where the file has none.
    prices, sizes : tuple of str
        Numbers that must not be negative.
    is_options : bool
        Symbols are options; otherwise indices or shares.
    first : datetime.date
        First day the vendor has.
    """

    prefix: str
    instant: str
    numbers: tuple[str, ...]
    prices: tuple[str, ...]
    first: date
    optional: Mapping[str, Cell]
    sizes: tuple[str, ...] = ()
    is_options: bool = True

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which a file is not what was asked for."""
        return ("ticker", self.instant, *self.numbers)

    @property
    def word(self) -> str:
        """Name without slash, for pieces and messages."""
        return self.prefix.replace("/", "-")

    def key(self, session_date: date) -> str:
        """Return the object's key within the bucket."""
        return f"{self.prefix}/{session_date:%Y/%m/%Y-%m-%d}.csv.gz"

    def source_name(self, session_date: date) -> str:
        """Return the name that rows of the file carry."""
        return f"{self.word}-{session_date}.csv.gz"


_BARS = ("open", "close", "high", "low")
_OPTIONS_SINCE = date(2014, 6, 2)
_INDICES_SINCE = date(2023, 2, 14)

OPTION_TRADES = Dataset(
    prefix="us_options_opra/trades_v1",
    instant="sip_timestamp",
    numbers=("price", "size"),
    optional={"conditions": "text", "correction": "whole", "exchange": "text"},
    prices=("price",),
    sizes=("size",),
    first=_OPTIONS_SINCE,
)
OPTION_QUOTES = Dataset(
    prefix="us_options_opra/quotes_v1",
    instant="sip_timestamp",
    numbers=("ask_price", "ask_size", "bid_price", "bid_size"),
    optional={"ask_exchange": "text", "bid_exchange": "text", "sequence_number": "whole"},
    prices=("ask_price", "bid_price"),
    sizes=("ask_size", "bid_size"),
    first=date(2022, 3, 7),
)
OPTION_MINUTES, OPTION_DAYS = (
    Dataset(
        prefix=f"us_options_opra/{interval}_aggs_v1",
        instant="window_start",
        numbers=(*_BARS, "volume"),
        optional={"transactions": "whole"},
        prices=_BARS,
        sizes=("volume",),
        first=_OPTIONS_SINCE,
    )
    for interval in ("minute", "day")
)
INDEX_MINUTES = Dataset(
    prefix="us_indices/minute_aggs_v1",
    instant="window_start",
    numbers=_BARS,
    optional={},
    prices=_BARS,
    first=_INDICES_SINCE,
    is_options=False,
)
INDEX_VALUES = Dataset(
    prefix="us_indices/values_v1",
    instant="timestamp",
    numbers=("value",),
    optional={},
    prices=("value",),
    first=_INDICES_SINCE,
    is_options=False,
)
SHARE_MINUTES = Dataset(
    prefix="us_stocks_sip/minute_aggs_v1",
    instant="window_start",
    numbers=_BARS,
    optional={"volume": "number"},
    prices=_BARS,
    first=date(2003, 9, 10),
    is_options=False,
)


def readable_at(session_date: date) -> datetime:
    """Return the UTC instant from which a session's files can be counted on."""
    day = next_session("XNYS", session_date)
    return datetime.combine(day, _PUBLISHED, NEW_YORK).astimezone(UTC)
