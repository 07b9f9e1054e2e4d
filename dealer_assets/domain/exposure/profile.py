"""The gamma profile: the whole book re-priced on a grid of spots, and every zero of it.

Belongs here: profile values, crossings and slopes of a book, under sticky strike and sticky
moneyness. Does not belong here: the functions and the search for zeros (`repricing`), which
crossing is the headline or whether it can be trusted (`levels`, `band`).

Forwards move in proportion to spot: with ``u = ln(S'/S)`` the log-moneyness of a contract is
``k - u`` and net gamma is ``e**u sum w_i phi(d_i) / s_i``, an exact full re-pricing. Sticky strike:
each contract keeps its total vol s, so d is linear in u. Sticky moneyness: s follows the slice's
fitted smile to ``k - u`` and keeps its own distance from it. Source: `docs/methods/levels.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.conventions import PER_PCT, PROFILE_LEVELS
from dealer_assets.domain.exposure.aggregate import Book
from dealer_assets.domain.exposure.repricing import (
    Repricing,
    Smile,
    StickyMoneyness,
    StickyStrike,
    Terms,
    fold,
    fold_starts,
    grid,
    points,
    zeros_between,
)

Floats = NDArray[np.float64]

_SEARCH = 2
"""Points searched for zeros per published step."""


@dataclass(frozen=True)
class Profile:
    """A book's re-pricing function.

    Parameters
    ----------
    spot : float
        Spot the book stands at [USD].
    levels : float64 array, shape (k,)
        Ascending spot levels, equal ratios, spot among them [USD].
    gamma_usd_per_pct : float64 array, shape (k,)
        Net dealer gamma exposure at each level.
    crossings : float64 array, shape (c,)
        Every zero found, ascending [USD].
    slopes : float64 array, shape (c,)
        Change of the profile per +1 % spot at each crossing [USD per 1 %, per 1 %].
    sticky : str
        ``strike`` or ``moneyness``.
    unfitted_contracts : int
        Sticky moneyness only: contracts that kept their vol because their slice has no usable fit.
    floored_contracts : int
        Sticky moneyness only: contracts whose vol is held at a tenth of their own somewhere.
    """

    spot: float
    levels: Floats
    gamma_usd_per_pct: Floats
    crossings: Floats
    slopes: Floats
    sticky: str = "strike"
    unfitted_contracts: int = 0
    floored_contracts: int = 0


def book_terms(book: Book) -> Terms:
    """Return the terms of a book's contracts, in the book's order."""
    return Terms(
        log_moneyness=np.log(book.strike / book.forward),
        total_vol=book.vol * np.sqrt(book.years),
        amount=book.position
        * book.gamma_ratio
        * book.multiplier
        * book.discount
        * book.forward
        * PER_PCT,
    )


def gamma_profile(book: Book) -> Profile:
    """Re-price a book over spot +- 15 %, vols sticky by strike, and find every zero of its gamma.

    Parameters
    ----------
    book : Book
        Contracts that count, not empty.

    Returns
    -------
    Profile
        Levels have equal ratios from -15 % to +15 %; spot is one of them. Zeros are searched on a
        grid twice as fine, which also holds the strikes (and their midpoints) of contracts too
        short-dated for the regular step, then refined to the last digit.
    """
    return _profile(StickyStrike(fold(book_terms(book))), book.spot, search=_SEARCH)


def sticky_moneyness_profile(book: Book, smile: Smile) -> Profile:
    """Re-price a book over spot +- 15 % with the smile moving along with spot.

    Gamma is still Black's at the moved vol: the second derivative at a fixed smile, not the change
    of a smile-adjusted delta. It equals `gamma_profile` at spot.

    Parameters
    ----------
    book : Book
        Contracts that count, not empty.
    smile : Smile
        One entry per contract of the book; NaN where its slice has no fit.

    Returns
    -------
    Profile
        As `gamma_profile`, zeros searched on the levels themselves (and short-dated strikes).
    """
    terms = book_terms(book)
    starts = fold_starts(terms)
    amount = np.add.reduceat(terms.amount, starts)
    folded = Terms(terms.log_moneyness[starts], terms.total_vol[starts], amount)
    repricing = StickyMoneyness(folded, smile.take(starts))
    counts = (repricing.unfitted, repricing.floored)
    return _profile(repricing, book.spot, search=1, sticky="moneyness", counts=counts)


def _profile(
    repricing: Repricing,
    spot: float,
    *,
    search: int,
    sticky: str = "strike",
    counts: tuple[int, int] = (0, 0),
) -> Profile:
    start, step = grid()
    fine = step / search
    values = repricing.on_grid(start, fine, search * (PROFILE_LEVELS - 1) + 1)
    zeros = zeros_between(repricing, points(start, fine, values.size), values)
    u = points(start, step, PROFILE_LEVELS)
    slopes = repricing.with_slopes(zeros)[1] if zeros.size else np.empty(0)
    return Profile(
        spot=spot,
        levels=spot * np.exp(u),
        gamma_usd_per_pct=np.exp(u) * values[::search],
        crossings=spot * np.exp(zeros),
        slopes=np.exp(zeros) * slopes * PER_PCT,  # the value itself is zero there
        sticky=sticky,
        unfitted_contracts=counts[0],
        floored_contracts=counts[1],
    )
