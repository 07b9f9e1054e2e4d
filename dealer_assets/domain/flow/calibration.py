"""What a side is worth on a market where sides are known: fitted odds.

Belongs here: fitting and applying odds of sides. Does not belong here: the rules and their declared
confidence (`sides`), how well odds hold (`side_scores`).

Prints fall into cells: what told the side, where the price lay in the quote, how many prints of the
contract that quote had seen already, and how wide it was. The odds of a cell are its share of right
sides, drawn towards the declared confidence as if `PRIOR_ORDERS` orders had been seen with it; a
print of a cell that was never met has the odds of the coarser cell around it. What counts as
evidence are orders, not prints: a burst of prints is one order's, and right or wrong together. Odds
below one half are left as they are: on such a market the rule tells the opposite.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.flow.classify import Classified
from dealer_assets.domain.flow.side_scores import brier as brier, ece as ece
from dealer_assets.errors import BadInputError
from dealer_assets.tables.live import SIGN_BASES

PRIOR_ORDERS = 10.0
"""Orders that the declared confidence counts for."""

ORDER_GAP_US = 100_000
"""Prints of a contract that follow each other sooner than this are taken for one order's."""

DISTANCES = (-1.0001, -0.9999, -0.5, -1e-6, 0.5, 0.9999, 1.0001)
"""Borders between places of a price in the quote, in half-spreads from the midpoint towards the
side that was told: beyond and at the wrong quote, inside it, the midpoint and up to half way to the
right one, inside, at and beyond that."""

SPREADS = (0.005, 0.02, 0.05, 0.15)
"""Borders between widths of the quote, ask minus bid relative to the midpoint."""

PRINTS_SINCE = (0.5, 7.5, 15.5)
"""Borders between counts of prints since the quote was told: each may have used up what it showed,
so that the quote traded on was another. In a burst of prints this tells far more than its age."""

_NO_QUOTE = -1


@dataclass(frozen=True)
class Cells:
    """Cell of each print; arrays of shape (n,).

    Parameters
    ----------
    basis : int64 array
        Place in ``SIGN_BASES``.
    distance, since, spread : int64 array
        Place of the price among `DISTANCES`, of the prints since the quote among `PRINTS_SINCE`,
        of its width among `SPREADS`; -1 without a quote.
    order : int64 array
        Number of the order that the print is taken to be of.
    declared : float64 array
        Declared confidence; NaN where there is no side.
    """

    basis: Ints
    distance: Ints
    since: Ints
    spread: Ints
    order: Ints
    declared: Floats

    def numbers(self) -> tuple[Ints, ...]:
        """Return numbers of the cells, coarsest first."""
        numbers = [self.basis]
        for finer in (self.distance, self.since, self.spread):
            numbers.append(numbers[-1] * 16 + finer + 1)
        return tuple(numbers)

    def take(self, rows: NDArray[np.integer] | Bools | slice) -> Cells:
        """Return chosen prints' cells."""
        return Cells(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True)
class Calibration:
    """Odds of sides as plain numbers.

    Parameters
    ----------
    prints : int
        Labelled prints it was fitted on.
    odds : tuple of dict of int to float
        By number of the cell, coarsest first; see `Cells.numbers`. Not of cells that were not met.
    """

    prints: int = 0
    odds: tuple[dict[int, float], ...] = field(default_factory=tuple)

    def probability(self, of: Classified | Cells) -> Floats:
        """Return the probability that each side is right; NaN where there is none.

        Parameters
        ----------
        of : Classified or Cells
            Prints, of any market; what the venue itself told, and what a calibration never met,
            keeps its declared confidence.
        """
        cells = of if isinstance(of, Cells) else cells_of(of)
        found = cells.declared.copy()
        for level, keys in zip(self.odds, cells.numbers(), strict=False):
            numbers = np.array(sorted(level), np.int64)
            values = np.array([level[number] for number in numbers.tolist()])
            place = np.searchsorted(numbers, keys)
            known = np.isin(keys, numbers) & np.isfinite(cells.declared)
            found[known] = values[place[known]]
        return found


def cells_of(classified: Classified) -> Cells:
    """Return the cells of classified prints; a cancel is in its print's."""
    tape, stood = classified.tape, classified.stood
    place = np.where(classified.cancels >= 0, classified.cancels, np.arange(len(tape)))
    mid, half = stood.mid[place], stood.half_spread[place]
    with np.errstate(invalid="ignore", divide="ignore"):
        toward = (tape.price[place] - mid) * classified.sign / half
        width = 2.0 * half / mid
    return make_cells(
        classified.basis[place],
        toward,
        width,
        prints_since_quote(classified)[place],
        declared=classified.confidence,
        order=_orders(classified)[place],
    )


def prints_since_quote(classified: Classified) -> Ints:
    """Count each print's predecessors of the same contract that met the same quote, shape (n,)."""
    tape, quote_us = classified.tape, classified.stood.quote_us
    order = np.lexsort((np.arange(len(tape)), quote_us, tape.contract))
    contract, quote = tape.contract[order], quote_us[order]
    is_new = np.concatenate([[True], (np.diff(contract) != 0) | (np.diff(quote) != 0)])
    places = np.arange(len(tape))
    first = np.maximum.accumulate(np.where(is_new[: len(tape)], places, 0))
    since = np.empty(len(tape), np.int64)
    since[order] = places - first
    return since


def _orders(classified: Classified) -> Ints:
    """Return the order of each print: those of a contract without a pause between are one's."""
    tape = classified.tape
    rows = np.lexsort((np.arange(len(tape)), tape.contract))
    pause = np.diff(tape.event_us[rows]) > ORDER_GAP_US
    is_new = np.concatenate([[1], (np.diff(tape.contract[rows]) != 0) | pause])
    order = np.empty(len(tape), np.int64)
    order[rows] = np.cumsum(is_new)[: len(tape)]
    return order


def make_cells(
    basis: NDArray[np.integer],
    toward: Floats,
    width: Floats,
    since: Ints,
    *,
    declared: Floats,
    order: Ints | None = None,
) -> Cells:
    """Return cells of prints given as arrays of shape (n,).

    Parameters
    ----------
    basis : int array
        Place in ``SIGN_BASES``.
    toward : float64 array
        Price minus midpoint in half-spreads, > 0 towards the side that was told; NaN without quote.
    width : float64 array
        Ask minus bid relative to the midpoint; NaN without a quote.
    since : int64 array
        Prints of the contract since the quote was told.
    declared : float64 array
        Declared confidence; NaN where there is no side.
    order : int64 array, optional
        Number of the order; without it every print is one.
    """
    known = np.isfinite(toward) & np.isfinite(width)

    def among(borders: tuple[float, ...], values: Floats) -> Ints:
        return np.where(known, np.searchsorted(borders, values), _NO_QUOTE).astype(np.int64)

    return Cells(
        basis=np.asarray(basis, np.int64),
        distance=among(DISTANCES, toward),
        since=among(PRINTS_SINCE, since.astype(np.float64)),
        spread=among(SPREADS, width),
        order=np.arange(known.size) if order is None else order,
        declared=np.asarray(declared, np.float64),
    )


def fit(cells: Cells, is_right: Bools) -> Calibration:
    """Fit odds on prints whose sides are known; those without a guessed side are left out.

    Parameters
    ----------
    cells : Cells
        Prints, classified without what the venue tells of their sides.
    is_right : bool array, shape (n,)
        Whether the side is the true one.

    Raises
    ------
    BadInputError
        When a side was told by the venue: such prints say nothing of the rules.
    """
    use = np.isfinite(cells.declared)
    if np.any(cells.basis[use] == SIGN_BASES.index("taker_side")):
        raise BadInputError(
            "expected sides that rules have told, found some of the venue; classify with "
            "BatchOptions(uses_taker=False) before fitting"
        )
    right, declared = is_right[use].astype(np.float64), cells.declared[use]
    odds = []
    for keys in cells.numbers():
        numbers, place, count = np.unique(keys[use], return_inverse=True, return_counts=True)
        place = place.reshape(-1)
        share = np.bincount(place, weights=right, minlength=numbers.size) / count
        before = np.bincount(place, weights=declared, minlength=numbers.size) / count
        pairs = np.unique(np.stack([place, cells.order[use]]), axis=1)[0]
        orders = np.bincount(pairs, minlength=numbers.size)
        values = (orders * share + PRIOR_ORDERS * before) / (orders + PRIOR_ORDERS)
        odds.append(dict(zip(numbers.tolist(), values.tolist(), strict=True)))
    return Calibration(int(np.count_nonzero(use)), tuple(odds))
