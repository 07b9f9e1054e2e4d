"""Cboe Open-Close files: columns by name.

Belongs here: the spellings of the two layouts. Does not belong here: what is believed of the rows
(`open_close`), stamps and exchange (`open_close_stamps`).

==============  ============================  =====================================================
layout          stamp                         also
==============  ============================  =====================================================
end of day      ``quote_date``                prices, totals and open interest, which are not read
ten minutes     ``trade_datetime``, New York  counts are cumulative through the day
==============  ============================  =====================================================

Names are matched without regard to case, in any order; other columns are ignored (``_qty`` columns
count trades, not contracts).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.providers.base import Finding
from dealer_assets.providers.csv_fields import (
    LARGEST_NUMBER,
    RAW_TEXT_LENGTH,
    refuse,
)
from dealer_assets.providers.open_close_stamps import STAMPS, exchange_of, place_rows
from dealer_assets.providers.record_rows import Place

_SPELLINGS = {
    "option_symbol": ("option_symbol", "root"),
    "call_put_flag": ("call_put_flag", "call_or_put"),
    "expiration_date": ("expiration_date", "expiration"),
    "strike_price": ("strike_price", "strike"),
    "series_type": ("series_type",),
}
_SIDES = ("open_buy", "close_buy", "open_sell", "close_sell")


@dataclass(frozen=True)
class Group:
    """One origin and size bucket, and the columns that count it; None where there is none."""

    origin: str
    size_bucket: str
    buys: tuple[str, ...]
    sells: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All its columns."""
        return (*self.buys, *self.sells)

    @property
    def open_buy(self) -> str | None:
        """Column of what was bought to open."""
        return self.buys[0] if len(self.buys) == 2 else None

    @property
    def close_buy(self) -> str | None:
        """Column of what was bought to close."""
        return self.buys[1] if len(self.buys) == 2 else None

    @property
    def open_sell(self) -> str | None:
        """Column of what was sold to open."""
        return self.sells[0] if len(self.sells) == 2 else None

    @property
    def close_sell(self) -> str | None:
        """Column of what was sold to close."""
        return self.sells[1] if len(self.sells) == 2 else None


def _group(origin: str, size_bucket: str, prefix: str) -> Group:
    names = [f"{prefix}_{side}_vol" for side in _SIDES]
    return Group(origin, size_bucket, (names[0], names[1]), (names[2], names[3]))


GROUPS = (
    Group("market_maker", "all", ("mm_buy_vol",), ("mm_sell_vol",)),
    _group("firm", "all", "firm"),
    _group("broker_dealer", "all", "bd"),
    *(_group("customer", size, f"cust_{size}") for size in ("lt_100", "100_199", "gt_199")),
    *(_group("professional", size, f"procust_{size}") for size in ("lt_100", "100_199", "gt_199")),
)


@dataclass(frozen=True)
class Layout:
    """A file as columns of text under our names, and where its rows belong in time.

    Parameters
    ----------
    name : str
        File name, for messages.
    columns : pyarrow.Table
        n rows; only the columns that are read.
    lines : sequence of bytes
        The n rows as received.
    row_numbers : int64 array, shape (n,)
        1-based line of each.
    place : Place
        Session and instants.
    interval, exchange : str
        As `tables.OPEN_CLOSE` has them.
    findings : tuple of Finding
        What was odd.
    """

    name: str
    columns: pa.Table
    lines: Sequence[bytes]
    row_numbers: NDArray[np.int64]
    place: Place
    interval: str
    exchange: str
    findings: tuple[Finding, ...]

    def texts(self, column: str) -> pa.Array:
        """Return a column's texts, trimmed; blank where empty."""
        return pc.utf8_trim_whitespace(_texts(self.columns, column))

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column's numbers: NaN where blank, infinity where a text is none."""
        texts = self.texts(column)
        try:
            cast = pc.cast(pc.replace_with_mask(texts, pc.equal(texts, ""), "nan"), pa.float64())
            found = cast.to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            found = np.array([_number(text) for text in texts.to_pylist()], np.float64)
        return np.where(np.abs(found) > LARGEST_NUMBER, np.inf, found)

    def raw_texts(self, rows: NDArray[np.int64]) -> list[str]:
        """Return rows as received, shortened."""
        return [
            self.lines[i].rstrip(b"\r").decode("utf-8", "replace")[:RAW_TEXT_LENGTH]
            for i in rows.tolist()
        ]


def _texts(columns: pa.Table, column: str) -> pa.Array:
    return pc.fill_null(columns[column].combine_chunks(), "")


def _number(text: str) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("inf")


def sniff_header(head: bytes) -> bool:
    """Tell whether a payload starts with the header of an Open-Close file."""
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].lower()
    return b"mm_buy_vol" in first and b"cust_lt_100_open_buy_vol" in first


def read_layout(payload: bytes, name: str) -> Layout:
    """Read a file's columns and stamps.

    Raises
    ------
    BadInputError
        When a column is missing (all missing ones are named), a row is cut off, there is no row, or
        neither a column nor the name tells the stamp.
    """
    lines = payload.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    names = _matched(lines[0], name)
    columns = _columns(payload, names, name)
    filled = [i for i, line in enumerate(lines) if i and line.strip()]
    if not filled or len(filled) != columns.num_rows:
        refuse(name, f"expected one series a line, found {columns.num_rows} in {len(filled)} lines")
    stamps = {word: _texts(columns, word) for word in STAMPS if word in columns.schema.names}
    interval, place = place_rows(stamps, columns.num_rows, name)
    exchange, findings = exchange_of(name)
    return Layout(
        name=name,
        columns=columns,
        lines=[lines[i] for i in filled],
        row_numbers=np.array(filled, np.int64) + 1,
        place=place,
        interval=interval,
        exchange=exchange,
        findings=findings,
    )


def _matched(header: bytes, name: str) -> dict[str, str]:
    """Return our name of each column that is read, by the file's own spelling."""
    row = next(csv.reader([header.decode("utf-8", "replace")]), [])
    found = {cell.strip().lower(): cell for cell in row}
    names: dict[str, str] = {}
    missing = []
    wanted = {**_SPELLINGS, **{c: (c,) for group in GROUPS for c in group.columns}}
    for ours, spellings in wanted.items():
        theirs = next((found[word] for word in spellings if word in found), None)
        if theirs is None:
            missing.append(ours)
        else:
            names[theirs] = ours
    if missing:
        refuse(
            name,
            f"expected the columns {', '.join(missing)}, found {', '.join(row)[:400]!r}",
            remedy="order the file with all origins and sizes",
        )
    return names | {found[word]: word for word in STAMPS if word in found}


def _columns(payload: bytes, names: dict[str, str], name: str) -> pa.Table:
    from pyarrow import csv as arrow_csv

    try:
        found = arrow_csv.read_csv(
            pa.BufferReader(payload),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        refuse(name, f"expected CSV with rows as long as the header, found damage ({error})")
    return found.rename_columns([names[column] for column in found.column_names])
