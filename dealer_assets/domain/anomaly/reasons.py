"""Why a contract's row is not scored, or some of its features are null.

Belongs here: from data anomalies and circumstances to reasons. Does not belong here: finding data
anomalies (`data`), features (`features`). Source: `docs/methods/features.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, expired
from dealer_assets.tables import INTERVAL_FEATURES, UNSCORED_REASONS, WITHHELD_REASONS

SPOILT_BY: dict[str, tuple[str, ...]] = {
    "volume": INTERVAL_FEATURES,
    "open_interest": (
        "volume_over_open_interest",
        "open_interest_change_contracts",
        "open_probability",
    ),
    "quotes": (
        "premium_usd",
        "vega_traded_usd_per_vol_point",
        "premium_over_vega",
        "iv_residual_half_spreads",
        "spread_relative",
    ),
}
"""Reading to the features that rest on it."""

_WHOLE_ROW = "spot"
"""A wrong spot puts a contract into a wrong bucket: nothing of the row can be compared."""


@dataclass(frozen=True)
class Reasons:
    """Reasons by contract, arrays of shape (n,).

    Parameters
    ----------
    unscored, withheld : int64 array
        Place in `tables.UNSCORED_REASONS`, `tables.WITHHELD_REASONS`; -1: none.
    spoilt : dict of str to bool array
        Reading of `SPOILT_BY` to the contracts of which it cannot be used.
    """

    unscored: NDArray[np.int64]
    withheld: NDArray[np.int64]
    spoilt: dict[str, Bools]

    @classmethod
    def of(
        cls,
        chain: pa.Table,
        anomalies: pa.Table,
        *,
        no_quote: Bools,
        is_reset: Bools,
        is_long: bool,
    ) -> Reasons:
        """Collect the reasons of a snapshot's contracts.

        Parameters
        ----------
        chain : pyarrow.Table, shape (n,)
            Monitored contracts, `tables.CHAIN_SNAPSHOTS`.
        anomalies : pyarrow.Table
            The snapshot's `tables.DATA_ANOMALIES`.
        no_quote, is_reset : bool array, shape (n,)
            Contracts that nobody offers; whose volume counter began anew in the interval.
        is_long : bool
            The interval is longer than usual.
        """
        n = chain.num_rows
        unscored, less = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        spoilt = {reading: np.zeros(n, np.bool_) for reading in SPOILT_BY}
        for row in anomalies.to_pylist():
            affected = _affected(chain, row)
            if _WHOLE_ROW in row["spoils"]:
                _name(unscored, affected, UNSCORED_REASONS.index(row["kind"]))
            for reading in SPOILT_BY.keys() & set(row["spoils"]):
                spoilt[reading] |= affected
                _name(less, affected, WITHHELD_REASONS.index(row["kind"]))
        _name(unscored, expired(chain), UNSCORED_REASONS.index("expired"))
        _name(unscored, no_quote, UNSCORED_REASONS.index("no_quote"))
        _name(less, is_reset, WITHHELD_REASONS.index("reset"))
        _name(less, np.full(n, is_long), WITHHELD_REASONS.index("long_interval"))
        spoilt["volume"] = spoilt["volume"] | is_reset | is_long
        return cls(unscored, less, spoilt)

    def columns(self) -> dict[str, pa.Array]:
        """Spell the reasons out for storage."""
        return {
            "unscored_reason": _spelt(UNSCORED_REASONS, self.unscored),
            "withheld_reason": _spelt(WITHHELD_REASONS, self.withheld),
        }


def withheld(name: str, values: Floats, reasons: Reasons) -> Floats:
    """Return a feature's values, NaN where a reading that it rests on cannot be used."""
    spoilt = [reasons.spoilt[reading] for reading, names in SPOILT_BY.items() if name in names]
    return np.where(np.logical_or.reduce(spoilt), np.nan, values) if spoilt else values


def _name(codes: NDArray[np.int64], where: Bools, code: int) -> None:
    """Name a reason where none is named yet."""
    codes[where & (codes < 0)] = code


def _affected(chain: pa.Table, row: dict[str, Any]) -> Bools:
    if row["scope"] == "snapshot":
        return np.ones(chain.num_rows, np.bool_)
    return np.array(pc.is_in(chain["symbol"], value_set=pa.array(row["symbols"], pa.string())))


def _spelt(vocabulary: tuple[str, ...], codes: NDArray[np.int64]) -> pa.Array:
    return pa.array(vocabulary).take(pa.array(codes, mask=codes < 0))


def without_spoilt_interest(chain: pa.Table, anomalies: pa.Table) -> pa.Table:
    """Return a snapshot's open interest without what its data anomalies spoil.

    Parameters
    ----------
    chain : pyarrow.Table
        `tables.CHAIN_SNAPSHOTS` of one snapshot.
    anomalies : pyarrow.Table
        Its `tables.DATA_ANOMALIES`.

    Returns
    -------
    pyarrow.Table
        Columns symbol, open_interest_contracts, known_at.
    """
    keep = np.ones(chain.num_rows, np.bool_)
    for row in anomalies.to_pylist():
        if "open_interest" in row["spoils"]:
            keep &= ~_affected(chain, row)
    told = chain.select(["symbol", "open_interest_contracts", "known_at"])
    return told.filter(pa.array(keep))
