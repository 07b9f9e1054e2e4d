"""Whether rows hold the whole chain of an underlying or a piece of it.

Belongs here: thresholds of completeness, tuned on recorded files, and the rule that applies them.
Does not belong here: what to do about a partial chain (`ingest` merges, checks warn).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.underlyings import Underlying

SPAN_DAYS = 150
"""A whole US chain reaches this many days from its first to its last expiry. Recorded whole chains
reach 520 or more, monthly extracts 29 or fewer."""

EXPIRIES = {"index": 12, "etf": 12, "equity": 6, "crypto": 5}
"""A whole chain lists this many expiries. Recorded whole chains: index 25 or more, ETF 28, equity
18."""

VIX_SPAN_DAYS = 100
VIX_EXPIRIES = 6
"""VIX lists fewer and nearer expiries than other indices (recorded: 13)."""

LOWEST_STRIKE, HIGHEST_STRIKE = 0.8, 1.1
"""The median expiry of a whole index or ETF chain has strikes below and above these shares of spot
(recorded: below 0.71, above 1.20); extracts around the money have not (0.99, 1.01)."""

FORWARD_SETTLED = frozenset({"VIX"})
"""Underlyings whose options hang on a forward that is far from spot: comparing their strikes or
parity forwards with spot says nothing."""


@dataclass(frozen=True)
class Coverage:
    """How much of the chain a source holds.

    Parameters
    ----------
    is_partial : bool
        The source does not hold the whole chain.
    reasons : tuple of str
        What is missing, in words; empty for a whole chain.
    """

    is_partial: bool
    reasons: tuple[str, ...]


def chain_coverage(
    underlying: Underlying,
    expiries: NDArray[np.datetime64],
    *,
    strikes: NDArray[np.float64],
    roots: Collection[str],
    spot: float | None,
) -> Coverage:
    """Judge whether contracts make a whole chain.

    Parameters
    ----------
    underlying : Underlying
        Registry entry; its kind sets the thresholds.
    expiries : datetime64[D] array, shape (n,)
        Expiry date of each contract.
    strikes : float64 array, shape (n,)
        Strike price of each contract.
    roots : collection of str
        Distinct option roots. An index lists two, and a file of one of them (the morning-settled
        monthlies, say) has other expiries than the chain.
    spot : float or None
        Underlying price; None skips the rule on strikes.

    Returns
    -------
    Coverage
        The session is not asked for: it is worked out with the help of this judgement.
    """
    if not expiries.size:
        return Coverage(is_partial=True, reasons=("no contract",))
    is_vix = underlying.symbol in FORWARD_SETTLED
    least_expiries = VIX_EXPIRIES if is_vix else EXPIRIES[underlying.kind]
    least_span = VIX_SPAN_DAYS if is_vix else 0 if underlying.kind == "crypto" else SPAN_DAYS
    count = np.unique(expiries).size
    span = int((expiries.max() - expiries.min()).astype(np.int64))
    missing = [root.symbol for root in underlying.roots if root.symbol not in roots]
    reasons = [f"no contract of root {symbol}" for symbol in missing]
    if count < least_expiries:
        reasons.append(f"{count} expiries, expected at least {least_expiries}")
    if span < least_span:
        reasons.append(f"expiries span {span} days, expected at least {least_span}")
    if spot is not None and underlying.kind in ("index", "etf") and not is_vix:
        low, high = _strike_reach(expiries, strikes)
        if low > LOWEST_STRIKE * spot or high < HIGHEST_STRIKE * spot:
            reasons.append(
                f"the median expiry's strikes span {low / spot:.2f} to {high / spot:.2f} of spot, "
                f"expected {LOWEST_STRIKE} to {HIGHEST_STRIKE} at least"
            )
    return Coverage(is_partial=bool(reasons), reasons=tuple(reasons))


def _strike_reach(
    expiries: NDArray[np.datetime64], strikes: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the median over expiries of the lowest and of the highest strike."""
    days, place = np.unique(expiries, return_inverse=True)
    lowest, highest = np.full(days.size, np.inf), np.full(days.size, -np.inf)
    np.minimum.at(lowest, place, strikes)
    np.maximum.at(highest, place, strikes)
    return float(np.median(lowest)), float(np.median(highest))


def coverage_of(underlying: Underlying, rows: pa.Table) -> Coverage:
    """Judge whether the rows of a snapshot make a whole chain.

    Parameters
    ----------
    underlying : Underlying
        Registry entry.
    rows : pyarrow.Table
        One or more snapshots, `tables.CHAIN_SNAPSHOTS` schema.

    Returns
    -------
    Coverage
    """
    seen = chain_coverage(
        underlying,
        rows["expiry_date"].to_numpy().astype("datetime64[D]"),
        strikes=rows["strike"].to_numpy(),
        roots=rows["root"].unique().to_pylist(),
        spot=pc.max(rows["spot"]).as_py(),
    )
    if not pc.any(rows["is_partial"]).as_py():
        return seen
    told = "the source told that a part of the chain is missing"
    return Coverage(is_partial=True, reasons=(told, *seen.reasons))
