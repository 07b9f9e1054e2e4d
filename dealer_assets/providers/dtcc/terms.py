"""What the cells of a report mean: product names, amounts, underliers.

Belongs here: reading texts column by column. Does not belong here: files (`reports`), the order of
reports (`lifecycle`).

A product name (FISN) reads ``NA/O`` for an option of no issuer, then kind and right in either
order, then the underlier: ``NA/O Van Put EUR USD``, ``NA/O Call Epn OIS USD``, ``NA/O P Epn OIS
USD``. The right is a whole word; of currencies it is about the first named. Amounts have thousands
separators; a plus behind one says that the repository cut it there: the number is a floor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.providers.csv_fields import LARGEST_NUMBER

UNKNOWN = "UNKNOWN"
"""Stands where the underlier is nothing of the registry and no pair of currencies."""

_RIGHTS = {"CALL": "call", "C": "call", "PUT": "put", "P": "put"}
_KINDS = frozenset(
    {"VAN", "BAR", "DIGI", "DIG", "NDO", "EPN", "AMN", "AMER", "BMN", "BERM", "ASN", "NSTD", "EXO"}
)
_NOTATIONS = {"1": "monetary", "2": "percentage", "3": "decimal", "4": "basis_points"}
_CLASSES = {
    "CR": "credits",
    "EQ": "equities",
    "FX": "forex",
    "IR": "rates",
    "CO": "commodities",
}
_CLASS_NAMES = ("credits", "equities", "forex", "rates", "commodities")

_AMOUNT = r"^-?\d+(\.\d*)?$"
_PAIR = re.compile(r"([A-Z]{3})[ /-]([A-Z]{3})")
_SP500 = re.compile(
    r"\.?SPX( INDEX)?|US78378X1072|(S ?& ?P|STANDARD (AND|&) POOR'?S?|SP) ?500( ?(®|\(R\)))?"
    r"( (STOCK )?INDEX)?( \(?(PRICE( RETURN)?|PR|USD|SPX)\)?)*"
)
_BITCOIN = re.compile(r"\b(BTC|XBT|BITCOIN)\b")
_FUND = re.compile(r"\b(ETF|ETP|ETN|TRUST|FUND|SHARES?)\b")


@dataclass(frozen=True)
class Amounts:
    """Amounts of one column, shape (n,).

    Parameters
    ----------
    values : float64 array
        NaN where blank or unreadable.
    is_capped : bool array
        The value is a floor.
    unreadable : int
        Cells that hold something that is no amount, e.g. two of them.
    """

    values: NDArray[np.float64]
    is_capped: NDArray[np.bool_]
    unreadable: int


def read_amounts(cells: pa.Array | pa.ChunkedArray) -> Amounts:
    """Read amounts like ``132,405,004+``."""
    bare = pc.replace_substring(pc.utf8_trim_whitespace(cells), ",", "")
    is_capped = pc.ends_with(bare, "+")
    bare = pc.utf8_rtrim(bare, "+")
    is_number = pc.match_substring_regex(bare, _AMOUNT)
    values = pc.if_else(is_number, bare, "nan").cast(pa.float64()).to_numpy()
    values = np.where(np.abs(values) <= LARGEST_NUMBER, values, np.nan)
    filled = pc.not_equal(bare, "").to_numpy(zero_copy_only=False)
    capped = is_capped.to_numpy(zero_copy_only=False)
    is_known = ~np.isnan(values)
    return Amounts(values, capped & is_known, int(np.count_nonzero(filled & ~is_known)))


def read_dates(cells: pa.Array | pa.ChunkedArray) -> NDArray[np.datetime64]:
    """Read dates written YYYY-MM-DD, shape (n,); NaT for anything else."""
    found = _encoded(cells)
    dates = np.array([_date(text) for text in found.dictionary.to_pylist()], "datetime64[D]")
    codes = found.indices.to_numpy()
    return dates[codes] if dates.size else np.full(codes.size, np.datetime64("NaT", "D"))


def _date(text: str) -> np.datetime64:
    try:
        return np.datetime64(text if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else "NaT", "D")
    except ValueError:
        return np.datetime64("NaT", "D")


def _encoded(cells: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    array = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    return array.dictionary_encode()


def by_value(cells: pa.Array | pa.ChunkedArray, meaning: dict[str, str]) -> pa.Array:
    """Replace each distinct text by its meaning."""
    found = _encoded(cells)
    texts = pa.array([meaning[text] for text in found.dictionary.to_pylist()], pa.string())
    return texts.take(found.indices)


def distinct(cells: pa.Array | pa.ChunkedArray) -> list[str]:
    """Return the distinct texts of a column."""
    texts: list[str] = pc.unique(cells).to_pylist()
    return texts


def option_type(fisn: str, stated: str) -> str:
    """Return call, put or other: by the product's name, else by the option type stated."""
    words = _leading_words(fisn) if fisn else stated.split()
    found = [_RIGHTS[word.upper()] for word in words if word.upper() in _RIGHTS]
    return found[0] if found else "other"


def style(fisn: str) -> str:
    """Return the words of a product's name that say what kind of option it is, as printed."""
    return " ".join(word for word in _leading_words(fisn) if word.upper() in _KINDS)


def _leading_words(fisn: str) -> list[str]:
    """Words before the underlier, which may hold a lone C or P itself."""
    return fisn.partition("/O")[2].split()[:2]


def notation(text: str) -> str:
    """Return how a strike is written: by the repository's codes, else as printed."""
    bare = text.strip().removesuffix(".0")
    return _NOTATIONS.get(bare, bare)


def asset_class(stated: str, file_name: str) -> str:
    """Return the class of assets, from the report or the file's name; blank when neither says."""
    known = _CLASSES.get(stated.strip().upper(), stated.strip().lower())
    named = (name for name in _CLASS_NAMES if name in file_name.lower())
    return known or next(named, "")


def symbol_of(name: str) -> str:
    """Return the registry symbol of an underlier, a pair like EURUSD, or `UNKNOWN`."""
    bare = " ".join(name.upper().split())
    if _SP500.fullmatch(bare):
        return "SPX"
    if _BITCOIN.search(bare) and not _FUND.search(bare):
        return "BTC"
    pair = _PAIR.fullmatch(bare)
    return pair[1] + pair[2] if pair else UNKNOWN
