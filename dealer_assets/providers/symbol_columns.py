"""Option symbols of a whole chain, read at once.

Belongs here: the array form of `domain.instruments` (one regular expression over 20,000 symbols
takes 10 ms, one call each takes 80). Does not belong here: which roots are believed
(`quarantine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain.instruments import parse_deribit
from dealer_assets.errors import BadInputError

# The grammar of `instruments.parse_osi` as named groups; a test holds the two against each other.
_OSI = r"^(?:O:)?(?P<root>[A-Z0-9]{1,6}?) *(?P<day>[0-9]{6})(?P<right>[CP])(?P<strike>[0-9]{8})$"


@dataclass(frozen=True)
class SymbolColumns:
    """What the symbols of a chain say, one element per row.

    Parameters
    ----------
    canonical : pyarrow.StringArray, length n
        OSI unpadded or the venue's own name; null where unreadable.
    root_names : tuple of str
        Distinct roots, ascending.
    root_codes : int64 array, shape (n,)
        Index into `root_names`; -1 where unreadable. Ordered like the names.
    expiries : datetime64[D] array, shape (n,)
        Listed expiry dates; NaT where unreadable.
    is_call : bool array, shape (n,)
        True for calls; False where unreadable.
    strikes : float64 array, shape (n,)
        Strike prices; NaN where unreadable.
    """

    canonical: pa.StringArray
    root_names: tuple[str, ...]
    root_codes: NDArray[np.int64]
    expiries: NDArray[np.datetime64]
    is_call: NDArray[np.bool_]
    strikes: NDArray[np.float64]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """True where root, expiry, right and strike could be read."""
        return self.root_codes >= 0

    def take(self, rows: NDArray[np.int64]) -> SymbolColumns:
        """Return the same columns for chosen rows, in the order given."""
        return SymbolColumns(
            canonical=self.canonical.take(pa.array(rows)),
            root_names=self.root_names,
            root_codes=self.root_codes[rows],
            expiries=self.expiries[rows],
            is_call=self.is_call[rows],
            strikes=self.strikes[rows],
        )


def read_symbols(symbols: Sequence[str]) -> SymbolColumns:
    """Read OSI and Deribit symbols.

    Parameters
    ----------
    symbols : sequence of str, length n
        As found: padded or not, with or without ``O:``, blank where a row has none.

    Returns
    -------
    SymbolColumns
        Unreadable symbols are marked, never raised: whether they matter is the caller's question.
    """
    found = pc.utf8_trim_whitespace(pa.array(symbols, pa.string()))
    parts = pc.extract_regex(found, pattern=_OSI)
    root, day, right, strike = (
        pc.struct_field(parts, [name]) for name in ("root", "day", "right", "strike")
    )
    expiries = _expiries(day)
    strikes = pc.cast(strike, pa.float64()).to_numpy(zero_copy_only=False) / 1000.0
    is_call = pc.fill_null(pc.equal(right, "C"), fill_value=False).to_numpy(zero_copy_only=False)
    canonical = pc.binary_join_element_wise(root, day, right, strike, "")
    roots = np.array(root.to_pylist(), dtype=object)
    roots[np.isnat(expiries)] = None  # an expiry date that does not exist spoils the symbol
    names = np.array(canonical.to_pylist(), dtype=object)
    is_call = is_call.copy()  # arrow's buffers are read-only
    for row in np.flatnonzero(pc.is_null(root).to_numpy(zero_copy_only=False)):
        try:
            contract = parse_deribit(found[row].as_py() or "")
        except BadInputError:
            continue
        roots[row], names[row] = contract.root, found[row].as_py()
        expiries[row], strikes[row] = contract.expiry_date, contract.strike
        is_call[row] = contract.right == "call"
    unreadable = np.array([root is None for root in roots], dtype=np.bool_)
    names[unreadable] = None
    root_names = tuple(sorted({root for root in roots if root is not None}))
    code = {name: index for index, name in enumerate(root_names)}
    return SymbolColumns(
        canonical=pa.array(names, pa.string()),
        root_names=root_names,
        root_codes=np.array([code.get(root, -1) for root in roots], dtype=np.int64),
        expiries=np.where(unreadable, np.datetime64("NaT"), expiries),
        is_call=is_call,
        strikes=np.where(unreadable, np.nan, strikes),
    )


def _expiries(days: pa.StringArray) -> NDArray[np.datetime64]:
    encoded = days.dictionary_encode()
    dates = np.array([_date(day) for day in encoded.dictionary.to_pylist()], "datetime64[D]")
    if not dates.size:
        return np.full(len(days), np.datetime64("NaT"), "datetime64[D]")
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return np.where(codes < 0, np.datetime64("NaT"), dates[codes])


def _date(day: str) -> date | None:
    try:
        return date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
