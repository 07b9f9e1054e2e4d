"""Kinds of contracts: those whose holders are taken to be alike.

Belongs here: which kind a contract is of. Does not belong here: what is learned of kinds
(`posterior`).

A kind is a right, a distance from the money and a tenor. The money is where the session traded:
the strike below which half of its volume lies, so that no price has to be known. A session without
trades is centred where its open interest is.
"""

from __future__ import annotations

import numpy as np

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.conventions import DAYS_PER_YEAR

ZONES = ("far_below", "below", "near", "above", "far_above")
TENORS = ("week", "month", "later")
RIGHTS = ("call", "put")
KINDS = tuple(f"{r} {z} {t}" for r in RIGHTS for z in ZONES for t in TENORS)
"""Every kind, in the order of its number."""

_EDGES = (-1.5, -0.4, 0.4, 1.5)
"""Between zones, in deviations of the underlying's own move to expiry."""

_USUAL_VOL = 0.16
"""Per square root of a year; zones are wide, so that a usual figure serves every underlying."""

_LEANING = np.array([0.25, 0.25, 0.5, 1.0, 1.0])
"""How far the naive rule's reason reaches, by zone for calls: customers overwrite calls above the
money and hedge with puts below it; of options in the money it knows little."""

_LEAST_DAYS = 1.5
_TENOR_DAYS = (7.0, 45.0)
"""Last day of a week's and of a month's tenor."""


def kinds_of(is_call: Bools, strike: Floats, days: Floats, *, money: float) -> Ints:
    """Return the number of each contract's kind, a place in `KINDS`, shape (n,).

    Parameters
    ----------
    is_call : bool array, shape (n,)
        True for calls.
    strike : float64 array, shape (n,)
        Strikes [price].
    days : float64 array, shape (n,)
        Calendar days to expiry.
    money : float
        Strike at the money [price]; above 0.
    """
    width = _USUAL_VOL * np.sqrt((np.maximum(days, 0.0) + _LEAST_DAYS) / DAYS_PER_YEAR)
    zone = np.digitize(np.log(strike / money) / width, _EDGES)
    tenor = np.digitize(days, _TENOR_DAYS, right=True)
    right = np.where(is_call, 0, 1)
    return np.asarray((right * len(ZONES) + zone) * len(TENORS) + tenor, np.int64)


def money_of(strike: Floats, weight: Floats) -> float | None:
    """Return the strike below which half of the weight lies; None where nothing has weight."""
    heavy = np.where(np.isfinite(weight), np.maximum(weight, 0.0), 0.0)
    if not heavy.sum() > 0.0:
        return None
    order = np.argsort(strike, kind="stable")
    reached = np.cumsum(heavy[order])
    return float(strike[order][np.searchsorted(reached, 0.5 * reached[-1])])


def expected_shares(shrink: float) -> Floats:
    """Return dealers' expected share of each kind's open interest before any flow, shape (k,).

    Parameters
    ----------
    shrink : float
        Share of options out of the money, > 0; of calls long, of puts short.
    """
    calls = np.repeat(_LEANING, len(TENORS))
    puts = np.repeat(_LEANING[::-1], len(TENORS))
    return shrink * np.concatenate([calls, -puts])
