"""What dealers would have to trade if spot, vols and time moved: a grid of full re-prices.

Belongs here: the cells, their forced flow and its attribution. Does not belong here: how likely a
cell is, position models, storage. Definitions and limits: `docs/methods/scenarios.md`.

Positions are frozen. Forwards keep their carry and discounts their rate; every vol keeps its strike
and moves by the cell's vol points. A contract that has expired by the cell's hour has no delta
left: what its hedge unwinds is part of the flow and told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import floats
from dealer_assets.domain.conventions import DAYS_PER_YEAR, PER_PCT, VOL_POINT
from dealer_assets.domain.exposure.aggregate import Book
from dealer_assets.domain.pricing.black import black_greeks

Floats = NDArray[np.float64]

SPOT_SHIFTS_PCT = tuple(range(-5, 6))
VOL_SHIFTS_POINTS = tuple(range(-5, 6))
HOURS = (0.0, 1.0, 4.0, 24.0)
"""The declared grid: per cent of spot, vol points, hours from the snapshot."""

LEAST_VOL = 0.01
"""A shifted vol does not fall below one point, or below the contract's own where that is less;
contracts held there are counted."""

HOURS_PER_YEAR = 24.0 * DAYS_PER_YEAR


@dataclass(frozen=True)
class Scenarios:
    """Cells in order of hours, vol shift, spot shift; every array has shape (k,).

    Dollars are deltas times *today's* spot, so that flows of different cells are numbers of shares
    on one scale and the first-order terms are those of the book's own exposures.

    Parameters
    ----------
    spot_shift_pct, vol_shift_points, hours_ahead : float64 array
        The cell.
    delta_exposure_usd : float64 array
        Dealer delta [USD at today's spot].
    gamma_exposure_usd_per_pct : float64 array
        Dealer gamma at the cell's own spot [USD per 1 %].
    forced_flow_usd : float64 array
        What dealers trade to be as hedged as now: minus the change of delta; > 0 is buying.
    gamma_flow_usd, vanna_flow_usd, charm_flow_usd : float64 array
        First-order terms of the flow, from the book's exposures.
    residual_flow_usd : float64 array
        The flow less the three: everything of higher order, and expiries.
    expired_flow_usd : float64 array
        The part of the flow that unwinds hedges of contracts expired by then.
    expired_contracts : int64 array
        Their number of rows.
    floored_contracts : int64 array
        Live rows whose vol is held at its floor.
    """

    spot_shift_pct: Floats
    vol_shift_points: Floats
    hours_ahead: Floats
    delta_exposure_usd: Floats
    gamma_exposure_usd_per_pct: Floats
    forced_flow_usd: Floats
    gamma_flow_usd: Floats
    vanna_flow_usd: Floats
    charm_flow_usd: Floats
    residual_flow_usd: Floats
    expired_flow_usd: Floats
    expired_contracts: NDArray[np.int64]
    floored_contracts: NDArray[np.int64]


def scenario_grid(
    book: Book,
    *,
    spot_shifts_pct: tuple[float, ...] = SPOT_SHIFTS_PCT,
    vol_shifts_points: tuple[float, ...] = VOL_SHIFTS_POINTS,
    hours: tuple[float, ...] = HOURS,
) -> Scenarios:
    """Re-price a book's delta in every cell of spot, vol and time.

    Parameters
    ----------
    book : Book
        Contracts that count; an empty book has zeros everywhere.
    spot_shifts_pct, vol_shifts_points, hours : tuple of float
        The grid [%, vol points, hours]; spot shifts over -100, hours not negative.

    Returns
    -------
    Scenarios
        Each cell a full re-price; no Greek enters but those of the attribution.

    Notes
    -----
    The charm term is the book's charm per calendar day times hours / 24. Delta and gamma
    start from the book's own; what changes between cells is European for every contract.
    """
    european = european_twin(book)
    shape = (len(hours), len(vol_shifts_points), len(spot_shifts_pct))
    delta, gamma, gone_flow = np.empty(shape), np.empty(shape), np.empty(shape)
    expired = np.empty(shape, np.int64)
    floored = np.empty(shape, np.int64)
    shifts = np.array(spot_shifts_pct, np.float64)
    for i, hour in enumerate(hours):
        at = _At(european, hour)
        expired[i], gone_flow[i] = at.expired, at.expired_delta_usd
        for j, points in enumerate(vol_shifts_points):
            delta[i, j], gamma[i, j], floored[i, j] = at.cells(shifts, points * VOL_POINT)
    hour_grid, vol_grid, spot_grid = np.meshgrid(
        np.array(hours, np.float64), np.array(vol_shifts_points, np.float64), shifts, indexing="ij"
    )
    flow = -(delta - float(european.delta_usd.sum()))
    gamma_flow = -float(european.gamma_usd_per_pct.sum()) * spot_grid
    vanna_flow = -float(european.vanna_usd_per_vol_pt.sum()) * vol_grid
    charm_flow = -float(european.charm_usd_per_day.sum()) * hour_grid / 24.0
    # the columns start from the book's own delta and gamma; differences between cells are European
    delta += float(book.delta_usd.sum() - european.delta_usd.sum())
    gamma += float(book.gamma_usd_per_pct.sum() - european.gamma_usd_per_pct.sum())
    return Scenarios(
        spot_shift_pct=spot_grid.reshape(-1),
        vol_shift_points=vol_grid.reshape(-1),
        hours_ahead=hour_grid.reshape(-1),
        delta_exposure_usd=delta.reshape(-1),
        gamma_exposure_usd_per_pct=gamma.reshape(-1),
        forced_flow_usd=flow.reshape(-1),
        gamma_flow_usd=gamma_flow.reshape(-1),
        vanna_flow_usd=vanna_flow.reshape(-1),
        charm_flow_usd=charm_flow.reshape(-1),
        residual_flow_usd=(flow - gamma_flow - vanna_flow - charm_flow).reshape(-1),
        expired_flow_usd=gone_flow.reshape(-1),
        expired_contracts=expired.reshape(-1),
        floored_contracts=floored.reshape(-1),
    )


def european_twin(book: Book) -> Book:
    """Return the same book with Black's Greeks, so that a flow and its parts are of one model."""
    if np.all(book.gamma_ratio == 1.0):
        return book
    greeks = black_greeks(
        book.forward,
        book.strike,
        S=np.full(book.strike.size, book.spot),
        T=book.years,
        sigma=book.vol,
        D=book.discount,
        is_call=book.is_call,
    )
    return replace(book, greeks=greeks)


class _At:
    """A book some hours ahead: what is still alive, with its carry and rate run down."""

    def __init__(self, book: Book, hours: float) -> None:
        passed = hours / HOURS_PER_YEAR
        years = floats(book.rows, "year_fraction")
        left = years - passed
        live = left > 0.0
        self.expired = int(np.count_nonzero(~live))
        self.expired_delta_usd = float(book.delta_usd[~live].sum())
        share = left[live] / years[live]
        # Log carry and log discount run down in proportion to time
        carry = np.log(book.forward[live] / book.spot) * share
        growth = np.exp(np.log(book.discount[live]) * share + carry)
        self._spot = book.spot
        self._k = np.log(book.strike[live] / book.spot) - carry
        self._vol = book.vol[live]
        # Where an average settles, less time carries variance; inside its window, all that is left
        carries = book.years[live] - passed
        self._root_t = np.sqrt(np.where(carries > 0.0, carries, left[live]))
        self._weight = book.position[live] * book.multiplier[live] * growth * book.spot
        self._puts = float(self._weight[~book.is_call[live]].sum())

    def cells(self, shifts_pct: Floats, vol_shift: float) -> tuple[Floats, Floats, int]:
        """Delta and gamma exposure at each spot shift, and how many vols are held at the floor."""
        from dealer_assets.domain.kernels import profile as kernels

        floor = np.minimum(self._vol, LEAST_VOL)
        moved = self._vol + vol_shift
        vol = np.maximum(moved, floor)
        ratio = 1.0 + shifts_pct / 100.0
        delta, gamma = np.empty(shifts_pct.size), np.empty(shifts_pct.size)
        kernels.delta_gamma_at(
            np.log(ratio), self._k, vol * self._root_t, self._weight, delta, gamma
        )
        # A put's delta is the call's less the growth factor; gamma per 1 % is q m growth S' phi / s
        return delta - self._puts, gamma * ratio * PER_PCT, int(np.count_nonzero(moved < floor))
