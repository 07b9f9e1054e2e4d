"""Fields of the vendor's rows as our columns: numbers, instants, texts.

Belongs here: nulls, units of time, values no market has. Does not belong here: field names (each
kind's module), reading bodies (`pages`).

Clocks of the vendor count nanoseconds in snapshots, trades and quotes, and milliseconds in bars. A
count read in the wrong unit lies a thousand years off, so what is not of this age is no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.providers.csv_fields import LARGEST_NUMBER
from dealer_assets.providers.polygon.pages import Page

Floats = NDArray[np.float64]
Instants = NDArray[np.datetime64]
Bools = NDArray[np.bool_]

NUMBER, COUNT, TEXT = pa.float64(), pa.int64(), pa.string()

_FIRST_US = 946_684_800_000_000  # 2000-01-01
_LAST_US = 4_102_444_800_000_000  # 2100-01-01
_NO_INSTANT = np.datetime64("NaT", "us")


def joined(pages: Sequence[Page], row_type: pa.StructType) -> tuple[pa.StructArray, Bools]:
    """Return the rows of pages as one array, and which of them are damaged."""
    rows = pa.concat_arrays([page.rows for page in pages] or [pa.array([], row_type)])
    damaged = np.concatenate([page.damaged for page in pages] or [np.zeros(0, np.bool_)])
    return rows, damaged


def numbers(rows: pa.StructArray, *path: str) -> Floats:
    """Return a field as float64, shape (n,): NaN where null, infinity where no market is so."""
    values = pc.fill_null(pc.struct_field(rows, list(path)).cast(NUMBER), np.nan)
    found: Floats = values.to_numpy(zero_copy_only=False)
    return np.where(np.abs(found) > LARGEST_NUMBER, np.inf, found)


def instants(rows: pa.StructArray, *path: str, unit: Literal["ns", "ms"] = "ns") -> Instants:
    """Return a clock as datetime64[us] in UTC, shape (n,): NaT where null or of another age."""
    counts = pc.struct_field(rows, list(path))
    known = counts.is_valid().to_numpy(zero_copy_only=False)
    raw = pc.fill_null(counts, 0).to_numpy(zero_copy_only=False)
    micro = raw // 1_000 if unit == "ns" else np.clip(raw, -(10**14), 10**14) * 1_000
    known = known & (micro >= _FIRST_US) & (micro < _LAST_US)
    return np.where(known, micro.astype("datetime64[us]"), _NO_INSTANT)


def texts(rows: pa.StructArray, *path: str) -> pa.StringArray:
    """Return a text field; blank where null."""
    return pc.fill_null(pc.struct_field(rows, list(path)), "")


def bare_symbols(tickers: pa.StringArray) -> pa.StringArray:
    """Return tickers without the ``O:`` that the vendor puts before options."""
    return pc.replace_substring_regex(tickers, pattern="^O:", replacement="")


def utc(instant: np.datetime64) -> datetime:
    """Return a datetime64 in UTC as a datetime with its zone."""
    found: datetime = instant.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)


def naive(instant: datetime) -> np.datetime64:
    """Return an instant as datetime64[us] in UTC; numpy has no zones."""
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")
