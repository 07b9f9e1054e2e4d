"""Contracts held against the registry: which are believed, and their columns.

Belongs here: from symbols to the columns of `tables.base.CONTRACT`, worked out once per contract.
Does not belong here: reading symbols (`symbol_columns`), the vendor's fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.providers.polygon.fields import Bools, Floats
from dealer_assets.providers.record_rows import (
    UNKNOWN_ROOT,
    Roots,
    Source,
    contract_columns,
    read_roots,
)
from dealer_assets.providers.symbol_columns import SymbolColumns, read_symbols
from dealer_assets.underlyings import Root, Underlying


@dataclass(frozen=True)
class Contracts:
    """Contracts of one underlying; arrays of length n.

    Parameters
    ----------
    found : SymbolColumns
        What the symbols say.
    roots : Roots
        Their roots.
    reasons : object array of str
        Why a contract is not believed; blank when it is.
    """

    found: SymbolColumns
    roots: Roots
    reasons: NDArray[np.object_]

    @property
    def _listed(self) -> list[Root | None]:
        """Registry entry of each distinct root."""
        owners = zip(self.roots.names, self.roots.underlyings, strict=True)
        return [owner.root(name) if owner else None for name, owner in owners]

    @property
    def multipliers(self) -> Floats:
        """Units a contract; NaN where the root is not listed."""
        units = [root.multiplier if root else np.nan for root in self._listed]
        return np.array(units, np.float64)[self.roots.codes]

    @property
    def settlements(self) -> pa.StringArray:
        """Settlement rules; null where the root is not listed."""
        rules = [root.settlement if root else None for root in self._listed]
        return pa.array(rules, pa.string()).take(pa.array(self.roots.codes))

    @property
    def is_repeated(self) -> Bools:
        """True for a contract that stands further up already."""
        codes = self.found.canonical.dictionary_encode().indices.to_numpy(zero_copy_only=False)
        again = np.ones(len(codes), np.bool_)
        again[np.unique(codes, return_index=True)[1]] = False
        return again & self.found.readable

    def columns(self, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Return the columns that name chosen, believed contracts, ``underlying`` included."""
        return contract_columns(
            self.roots.take(rows),
            expiries=self.found.expiries[rows],
            is_call=self.found.is_call[rows],
            strikes=self.found.strikes[rows],
        )


def read_contracts(
    symbols: Sequence[str] | pa.StringArray, underlying: Underlying, source: Source
) -> Contracts:
    """Read symbols and hold their roots against the registry.

    Parameters
    ----------
    symbols : sequence of str or pyarrow.StringArray, length n
        With or without ``O:``.
    underlying : Underlying
        Whose roots are believed.
    source : Source
        Named in messages.

    Returns
    -------
    Contracts
        Reasons: ``bad_symbol``, ``adjusted_root``, ``unknown_root``, ``bad_strike``.

    Raises
    ------
    UnknownUnderlyingError
        When the registry lists none of the roots.
    """
    found = read_symbols(symbols)
    names = np.array([*found.root_names, ""], dtype=object)[found.root_codes]
    roots = read_roots(pa.array(names, pa.string()), source)
    reasons = np.where(found.readable, roots.reasons, "bad_symbol")
    owner = roots.symbols()
    reasons[(reasons == "") & (owner != underlying.symbol)] = UNKNOWN_ROOT
    reasons[(reasons == "") & ~(found.strikes > 0)] = "bad_strike"
    return Contracts(found, roots, reasons)
