"""Whether rows hold the whole chain of an underlying or a piece of it.

Belongs here: thresholds of completeness, tuned on recorded files, and the rule that applies them.
Does not belong here: what to do about a partial chain (`ingest` merges, checks warn).
"""

from __future__ import annotations

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
"""A whole index or ETF chain has a strike below and one above these shares of spot; extracts
around the money do not."""

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
    spot: float | None,
) -> Coverage:
    """Judge whether contracts make a whole chain.

    Parameters
    ----------
    underlying : Underlying
        Registry entry; its kind sets the thresholds.
    expiries : datetime64[D] array
        Expiry dates, repeated or not; at least one.
    strikes : float64 array
        Strike prices, repeated or not.
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
    reasons: list[str] = []
    if count < least_expiries:
        reasons.append(f"{count} expiries, expected at least {least_expiries}")
    if span < least_span:
        reasons.append(f"expiries span {span} days, expected at least {least_span}")
    if spot is not None and underlying.kind in ("index", "etf") and not is_vix:
        low, high = float(strikes.min()) / spot, float(strikes.max()) / spot
        if low > LOWEST_STRIKE or high < HIGHEST_STRIKE:
            reasons.append(
                f"strikes span {low:.2f} to {high:.2f} of spot, "
                f"expected {LOWEST_STRIKE} to {HIGHEST_STRIKE} at least"
            )
    return Coverage(is_partial=bool(reasons), reasons=tuple(reasons))


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
    spot = pc.max(rows["spot"]).as_py()
    expiries = rows["expiry_date"].to_numpy().astype("datetime64[D]")
    return chain_coverage(underlying, expiries, strikes=rows["strike"].to_numpy(), spot=spot)
