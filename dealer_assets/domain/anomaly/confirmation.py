"""Whether the next morning's open interest says that flagged volume opened positions.

Belongs here: pairs of flagged and like contracts, and what became of them. Does not belong here:
what flags (`scores`), reading counts. Source: `docs/methods/evaluation.md`.

Volume may open or close; open interest that rises by a good part of it says that it opened. Some
of it rises anyway: so every flagged contract stands beside one like it that was not flagged, and
both are held to the same number of contracts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dealer_assets.domain.anomaly.injection import TRADES_CONTRACTS
from dealer_assets.domain.columns import Bools, Floats, floats, integers

CONFIRMING_SHARE = 0.25
"""Open interest confirms when it rises by this share of the flagged volume."""

_ALIKE = ("moneyness_bucket", "dte_bucket", "right")


@dataclass(frozen=True)
class Confirmation:
    """Flagged contracts and their likes.

    Parameters
    ----------
    pairs : int
        Flagged contracts that trade, have a like and are counted the next morning.
    flagged : int
        Of them, those whose open interest rose enough.
    matched : int
        Of their likes, those whose open interest rose by the same number of contracts.
    """

    pairs: int
    flagged: int
    matched: int


def confirmed(
    rows: pa.Table, is_flagged: Bools, interest_after: Mapping[str, float]
) -> Confirmation:
    """Count the flagged contracts that the next morning confirms, beside contracts like them.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.CONTRACT_FEATURES` of one session.
    is_flagged : bool array, shape (n,)
        Rows alerted on; a contract counts once, with its flagged poll of most volume, and where
        that traded `TRADES_CONTRACTS`.
    interest_after : mapping of str to float
        Open interest published for the next session, by symbol.

    Returns
    -------
    Confirmation
        Contracts that no longer exist the next morning are left out: their positions ended.
    """
    symbols = rows["symbol"].to_pylist()
    volume = np.nan_to_num(floats(rows, "volume_contracts_netted"))
    held = floats(rows, "open_interest_contracts")
    change = np.array([interest_after.get(s, np.nan) for s in symbols], np.float64) - held
    counted = np.isfinite(change)
    chosen = _once(symbols, is_flagged & counted & (volume >= TRADES_CONTRACTS), volume)
    ever = {symbols[i] for i in np.flatnonzero(is_flagged)}
    free = counted & np.array([name not in ever for name in symbols], np.bool_)
    like = _Likes(rows, free, held)
    pairs = [(i, match) for i in chosen if (match := like.of(i)) is not None]
    enough = [CONFIRMING_SHARE * volume[i] for i, _ in pairs]
    return Confirmation(
        len(pairs),
        sum(change[i] >= limit for (i, _), limit in zip(pairs, enough, strict=True)),
        sum(change[j] >= limit for (_, j), limit in zip(pairs, enough, strict=True)),
    )


def _once(symbols: list[str], use: Bools, volume: Floats) -> list[int]:
    best: dict[str, int] = {}
    for i in np.flatnonzero(use).tolist():
        if symbols[i] not in best or volume[i] > volume[best[symbols[i]]]:
            best[symbols[i]] = i
    return sorted(best.values())


class _Likes:
    """Contracts of the same poll and buckets; the nearest in open interest is taken."""

    def __init__(self, rows: pa.Table, free: Bools, held: Floats) -> None:
        at = integers(rows, "event_at").tolist()
        columns = [rows[name].to_pylist() for name in _ALIKE]
        self._groups = list(zip(at, *columns, strict=True))
        self._held = np.log1p(np.nan_to_num(held))
        self._free: dict[tuple[object, ...], list[int]] = {}
        for i in np.flatnonzero(free).tolist():
            self._free.setdefault(self._groups[i], []).append(i)

    def of(self, i: int) -> int | None:
        others = self._free.get(self._groups[i], ())
        return min(others, key=lambda j: (abs(self._held[j] - self._held[i]), j), default=None)
