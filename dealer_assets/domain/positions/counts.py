"""What a morning's counts of open interest are worth: whether a change may be read from them.

Belongs here: telling wiped, shifted and broken counts from sound ones. Does not belong here: which
publisher's counts are taken (`settling`), what a change tells of positions (`posterior`).

A wrong change of open interest would be believed by every contract at once, so that counts have to
earn it: compared with the session before, and with what was traded.
"""

from __future__ import annotations

import numpy as np

from dealer_assets.domain.columns import Bools, Floats
from dealer_assets.domain.open_interest import LEAST_TRADED

KEPT_SHARE = 0.1
"""Of the open interest of living contracts: with less left it was wiped, not closed. Recorded
sessions keep at least 0.9."""

BREAK_RATIO = 1.4
"""Growth, or fall by as much, of the open interest of contracts counted on both mornings. Recorded
sessions change by up to 1.1; OCC's SPX counts took in a second root in August 2026, and grew 1.8
times."""

UNTRADED_SHARE = 0.25
"""Of open interest: changes beyond volume that sum to more are no session's. Exercise, assignment
and transfers do without volume, and are a few per cent."""


LEAST_EMPTIED = 20.0
EMPTIED_SHARE = 0.005
"""Contracts with so much open interest seldom lose all of it at once while they live: on recorded
sessions those that did held 0.02 % of open interest, but for one day on which part of SPX's counts
was blank: 4 %. More than this share of it together is blanks, not closing."""


def session_state(before: Floats, after: Floats, volume: Floats) -> str:
    """Return what a morning's counts are worth as a whole, one of `tables.OPEN_INTEREST_STATES`.

    Parameters
    ----------
    before, after : float64 array, shape (n,)
        Counts of the mornings before and after, of contracts that live on both [contracts]; NaN
        where one is not told.
    volume : float64 array, shape (n,)
        Traded between them [contracts]; NaN where no trades are held.

    Returns
    -------
    str
        ``ok`` also where there is nothing to compare with.
    """
    if not np.isfinite(after).any():
        return "missing"
    if not np.nansum(after) > 0.0:
        return "wiped"
    both = np.isfinite(before) & np.isfinite(after)
    held = float(before[both].sum())
    if not held > 0.0:
        return "ok"
    kept = float(after[both].sum())
    if kept < KEPT_SHARE * held:
        return "wiped"
    if _repeats(before[both], after[both], volume[both]):
        return "shifted"
    beyond = np.abs(after - before)[both] - np.where(np.isnan(volume), np.inf, volume)[both]
    untraded = float(np.maximum(beyond, 0.0).sum())
    is_break = not 1.0 / BREAK_RATIO <= kept / held <= BREAK_RATIO
    return "broken" if is_break or untraded > UNTRADED_SHARE * held else "ok"


def is_emptied(before: Floats, after: Floats, volume: Floats) -> Bools:
    """Tell whose counts were wiped in part of a file that is else sound, shape (n,).

    Parameters
    ----------
    before, after, volume : float64 array, shape (n,)
        As in `session_state`. Trades as many as the open interest before explain its end.

    Returns
    -------
    bool array, shape (n,)
        None where it is so little that contracts may have been exercised, or closed unseen.
    """
    empty = (before >= LEAST_EMPTIED) & (after == 0.0) & ~(volume >= before)
    held = float(np.sum(before[np.isfinite(before) & np.isfinite(after)]))
    is_much = float(np.sum(before[empty])) > EMPTIED_SHARE * held
    return np.asarray(empty & is_much)


def is_untraded(change: Floats, volume: Floats) -> Bools:
    """Tell where a contract's open interest changed by more than it traded, shape (n,).

    Positions were exercised, transferred or corrected, or trades are missing: the change tells
    nothing of who bought.
    """
    return np.asarray(np.abs(change) > volume + 0.5)


def _repeats(before: Floats, after: Floats, volume: Floats) -> bool:
    """Tell whether nothing changed, though enough traded, or would have."""
    lively = volume > 0.0 if np.isfinite(volume).any() else before > 0.0
    return int(lively.sum()) >= LEAST_TRADED and bool(np.all(after[lively] == before[lively]))
