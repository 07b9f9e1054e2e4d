"""The band of a level: what conventions alone move, and what remains once the chain has spoken.

Belongs here: which conventions are settled by the chain, the two bands and the status that follows.
Does not belong here: the conventions (`variants`), the draws (`bootstrap`), tables.

- *convention band*: least and greatest flip over every declared convention, published ones too.
- *inferred band*: forwards, discounts and the clock come from the chain's own two-sided quotes;
  their axes drop out and their standard errors come in, with those of vols and open interest.
  A model that estimates its positions also brings their own error.
- *open-interest age*: draws of the change that one session brings to open interest, which is that
  of the prior close. It is an error of what is known about positions, not of the inference, and far
  larger: hence a band of its own.

Definitions, sources and measured widths: `docs/methods/bands.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.conventions import FLIP_ERROR_SHARE, FLIP_OI_ERROR
from dealer_assets.domain.exposure.aggregate import Book
from dealer_assets.domain.exposure.bootstrap import (
    RESAMPLES,
    Resampler,
    Resamples,
    one_day_old,
    quote_errors,
)
from dealer_assets.domain.exposure.market import Market, market_of
from dealer_assets.domain.exposure.repricing import Terms, smile_of
from dealer_assets.domain.exposure.variants import (
    BASE,
    CONVENTIONS,
    Convention,
    Outcome,
    outcome_under,
    strike_gamma,
    terms_under,
)

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.5, 0.95)
"""Quantiles of the resamples that a band publishes as lo, median and hi."""

SETTLED_SHARE = 0.9
"""Share of the book whose forward, or vol, the chain must tell before that axis is inferred."""

NEAR_MONEY = 0.15
"""Open interest is counted for that share within this of spot: the span of the profile."""

MOST_WITHOUT_FLIP = 0.1
"""With more resamples than this without a zero in range, the flip is `ill_conditioned`."""


@dataclass(frozen=True)
class Interval:
    """Quantiles or extremes of a level [its unit]; NaN where there is nothing to say."""

    lo: float
    median: float
    hi: float

    @property
    def width(self) -> float:
        """``hi - lo``."""
        return self.hi - self.lo


@dataclass(frozen=True)
class Member:
    """One convention's outcome and the bands it belongs to.

    Parameters
    ----------
    outcome : Outcome
        Levels under the convention.
    in_convention_band : bool
        Always, unless the convention could not be applied to this chain.
    in_inferred_band : bool
        The chain does not settle what this convention varies.
    """

    outcome: Outcome
    in_convention_band: bool
    in_inferred_band: bool


@dataclass(frozen=True)
class Band:
    """Levels of one snapshot with their uncertainty.

    Parameters
    ----------
    spot : float
        Underlying price [USD].
    members : tuple of Member
        Every declared convention; ours alone where no others were asked for.
    flip : Interval
        Inferred band of the zero nearest to spot, sticky strike [USD].
    flip_convention : Interval
        Least, median and greatest over all conventions [USD].
    flip_oi_age : Interval
        With open interest one session old [USD].
    flip_sticky_moneyness : Interval
        Inferred band of the zero under sticky moneyness, another question [USD]; NaN without a
        fitted surface.
    sticky_moneyness_price : float
        The book's own zero under sticky moneyness [USD]; NaN where there is none.
    net_gamma : Interval
        Inferred band of net gamma [USD per 1 %].
    call_wall_stability, put_wall_stability : float
        Share of draws in which the wall stays: with open interest one session old, or within the
        positions' own error where the model tells one; NaN for none.
    forwards_settled_share, vols_settled_share : float
        Share of the book whose forward, or vol, the chain tells.
    without_flip_share : float
        Draws without a zero in range.
    resamples : int
        Draws of each kind.
    """

    spot: float
    members: tuple[Member, ...]
    flip: Interval
    flip_convention: Interval
    flip_oi_age: Interval
    flip_sticky_moneyness: Interval
    sticky_moneyness_price: float
    net_gamma: Interval
    call_wall_stability: float
    put_wall_stability: float
    forwards_settled_share: float
    vols_settled_share: float
    without_flip_share: float
    resamples: int

    @property
    def is_ill_conditioned(self) -> bool:
        """The flip is not told within 2 % of spot by some band, or often is not there at all."""
        if self.without_flip_share > MOST_WITHOUT_FLIP:
            return True
        limit = FLIP_ERROR_SHARE * self.spot
        return any(b.width > limit for b in (self.flip, self.flip_convention, self.flip_oi_age))

    def status(self, flip_status: str) -> str:
        """Extend a flip's status: `ill_conditioned` where the bands say so.

        Parameters
        ----------
        flip_status : str
            Status by the curve alone; ``none_in_range`` and ``ill_conditioned`` stay.
        """
        if flip_status in ("none_in_range", "ill_conditioned"):
            return flip_status
        return "ill_conditioned" if self.is_ill_conditioned else flip_status


def level_band(
    book: Book,
    chain: pa.Table,
    priced: pa.Table,
    *,
    surface: Floats | None = None,
    forward_error: Floats | None = None,
    resamples: int = RESAMPLES,
    conventions: bool = True,
) -> Band:
    """Put a band around a snapshot's levels.

    Parameters
    ----------
    book : Book
        Contracts that count; may be empty, then every level is NaN.
    chain : pyarrow.Table
        The snapshot as quoted, `tables.CHAIN_SNAPSHOTS` schema.
    priced : pyarrow.Table
        Its live contracts, `tables.CONTRACT_GREEKS` schema, same order.
    surface : float64 array, shape (m, 5) or (m, COLUMNS), optional
        Smile of each expiry slice in the order of the rows, as in `repricing.Smile`; NaN for a
        slice without a fit. Without it there is no sticky-moneyness level.
    forward_error : float64 array, shape (m,), optional
        Standard error of each slice's forward [USD].
    resamples : int
        Draws of each kind.
    conventions : bool
        Also the levels under other conventions, under sticky moneyness and with older open
        interest; without them those are NaN, and it takes a third of the time.

    Returns
    -------
    Band

    Raises
    ------
    BadInputError
        When chain and priced rows are not of the same live contracts.
    """
    market = market_of(book, chain, priced)
    smile = None if surface is None or not conventions else smile_of(surface, market.slice_id)
    terms, index = terms_under(market, BASE, None)
    forwards, vols = _settled_shares(market, terms, index)
    members = tuple(
        _member(market, outcome_under(market, convention, smile), (forwards, vols), surface)
        for convention in (CONVENTIONS if conventions else (BASE,))
    )
    varied = [m.outcome.flip for m in members if m.in_convention_band] if conventions else []
    if index.size == 0:
        return _nothing(market.spot, members, varied, (forwards, vols), resamples)
    resampler = Resampler(market, terms, index, smile)
    quotes = quote_errors(market, forward_error)
    declared = np.full(market.strike.size, FLIP_OI_ERROR)
    position = market.position_error if book.has_error else None
    drawn = resampler.draw(replace(quotes, oi=declared, position=position), count=resamples)
    older = None
    if conventions:
        older = resampler.draw(one_day_old(market), count=resamples, with_moneyness=False)
    stays = drawn if book.has_error else older
    base = members[0].outcome
    inferred = [m.outcome for m in members if m.in_inferred_band]
    return Band(
        spot=market.spot,
        members=members,
        flip=_around(drawn.flip, [o.flip for o in inferred]),
        flip_convention=_extremes(varied),
        flip_oi_age=_around(older.flip, []) if older else _extremes([]),
        flip_sticky_moneyness=_around(drawn.flip_sticky_moneyness, []),
        sticky_moneyness_price=market.spot * float(np.exp(resampler.home)),
        net_gamma=_around(drawn.net_gamma_usd_per_pct, [o.net_gamma_usd_per_pct for o in inferred]),
        call_wall_stability=_stability(stays, "call", base.call_wall),
        put_wall_stability=_stability(stays, "put", base.put_wall),
        forwards_settled_share=forwards,
        vols_settled_share=vols,
        without_flip_share=float(np.mean(np.isnan(drawn.flip))),
        resamples=resamples,
    )


def _settled_shares(market: Market, terms: Terms, index: NDArray[np.intp]) -> tuple[float, float]:
    """Share of the book whose forward, and whose vol, quotes tell.

    Open interest near the money that has any vol, times the share of its gamma that is told: what
    has no vol has no gamma to count by, and far strikes without a bid have none worth counting.
    """
    near = np.abs(market.strike / market.spot - 1.0) < NEAR_MONEY
    size = np.where(near, np.nan_to_num(market.open_interest), 0.0)
    gamma = np.abs(strike_gamma(terms))
    total, gross = float(size.sum()), float(gamma.sum())
    if total <= 0.0 or gross <= 0.0:
        return 0.0, 0.0
    known = float(size[np.isfinite(market.total_vol)].sum()) / total
    told = market.slice_is_parity[market.slice_id[index]]
    forwards = float(gamma[told].sum()) / gross
    vols = float(gamma[told & market.is_determined[index]].sum()) / gross
    return known * forwards, known * vols


def _member(
    market: Market, outcome: Outcome, settled: tuple[float, float], surface: Floats | None
) -> Member:
    convention = outcome.convention
    applies = np.isfinite(outcome.flip)
    if convention.vol == "surface":
        applies = applies and surface is not None
    elif convention.vol in ("vendor", "vendor_only"):
        applies = applies and bool(np.isfinite(market.vendor_vol).any())
    return Member(outcome, bool(applies), bool(applies) and _remains(convention, settled))


def _remains(convention: Convention, settled: tuple[float, float]) -> bool:
    """Tell whether the chain leaves this convention open.

    Our own ones that vary only what no quote tells always remain; the rest only while the chain
    tells too few forwards or vols.
    """
    if convention.name in ("base", "vol_surface") or convention.axis == "unquoted":
        return True
    forwards, vols = settled
    if convention.axis in ("forward", "published"):
        return forwards < SETTLED_SHARE
    if convention.axis in ("vol", "clock", "settlement"):
        return vols < SETTLED_SHARE
    return False  # filters leave out positions that exist


def _around(draws: Floats, others: list[float]) -> Interval:
    """Quantiles of draws, widened to hold `others`; NaN where nothing is known."""
    known = draws[np.isfinite(draws)]
    if known.size == 0:
        return _extremes(others)
    lo, median, hi = np.quantile(known, QUANTILES)
    held = [x for x in others if np.isfinite(x)]
    return Interval(float(min([lo, *held])), float(median), float(max([hi, *held])))


def _extremes(values: list[float]) -> Interval:
    known = np.array([x for x in values if np.isfinite(x)])
    if known.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    return Interval(float(known.min()), float(np.median(known)), float(known.max()))


def _stability(draws: Resamples | None, side: str, wall: float) -> float:
    if draws is None:
        return float("nan")
    strikes = draws.call_wall if side == "call" else draws.put_wall
    return float(np.mean(strikes == wall)) if np.isfinite(wall) else float("nan")


def _nothing(
    spot: float,
    members: tuple[Member, ...],
    varied: list[float],
    settled: tuple[float, float],
    resamples: int,
) -> Band:
    empty = _extremes([])
    return Band(
        spot=spot,
        members=members,
        flip=empty,
        flip_convention=_extremes(varied),
        flip_oi_age=empty,
        flip_sticky_moneyness=empty,
        sticky_moneyness_price=float("nan"),
        net_gamma=empty,
        call_wall_stability=float("nan"),
        put_wall_stability=float("nan"),
        forwards_settled_share=settled[0],
        vols_settled_share=settled[1],
        without_flip_share=1.0,
        resamples=resamples,
    )


def level_columns(band: Band) -> dict[str, float | int | None]:
    """Lay a band out as columns beside a snapshot's levels; None where there is nothing to say."""
    values: dict[str, float] = {
        "flip_median": band.flip.median,
        "flip_lo": band.flip.lo,
        "flip_hi": band.flip.hi,
        "flip_band_pct": band.flip.width / band.spot,
        "flip_convention_lo": band.flip_convention.lo,
        "flip_convention_hi": band.flip_convention.hi,
        "flip_oi_age_lo": band.flip_oi_age.lo,
        "flip_oi_age_hi": band.flip_oi_age.hi,
        "flip_sticky_moneyness": band.sticky_moneyness_price,
        "flip_sticky_moneyness_lo": band.flip_sticky_moneyness.lo,
        "flip_sticky_moneyness_hi": band.flip_sticky_moneyness.hi,
        "net_gamma_lo_usd_per_pct": band.net_gamma.lo,
        "net_gamma_hi_usd_per_pct": band.net_gamma.hi,
        "call_wall_stability": band.call_wall_stability,
        "put_wall_stability": band.put_wall_stability,
        "forwards_settled_share": band.forwards_settled_share,
        "vols_settled_share": band.vols_settled_share,
    }
    columns: dict[str, float | int | None] = {
        name: value if np.isfinite(value) else None for name, value in values.items()
    }
    columns["band_resamples"] = band.resamples
    return columns


def variant_columns(band: Band) -> dict[str, list[object]]:
    """Lay the conventions' outcomes out as columns, one row per convention."""
    rows = [_variant_row(member) for member in band.members]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _variant_row(member: Member) -> dict[str, object]:
    outcome = member.outcome

    def known(value: float) -> float | None:
        return value if np.isfinite(value) else None

    return {
        "variant": outcome.convention.name,
        "axis": outcome.convention.axis,
        "in_convention_band": member.in_convention_band,
        "in_inferred_band": member.in_inferred_band,
        "contracts": outcome.contracts,
        "flip_price": known(outcome.flip),
        "flip_status": outcome.status,
        "net_gamma_exposure_usd_per_pct": outcome.net_gamma_usd_per_pct,
        "gross_gamma_exposure_usd_per_pct": outcome.gross_gamma_usd_per_pct,
        "call_wall": known(outcome.call_wall),
        "put_wall": known(outcome.put_wall),
    }
