"""Headline numbers of a snapshot: sums, the flip and its status, walls, max pain, quality.

Belongs here: what is read off a book and its profile, and whether it may be published. Does not
belong here: re-pricing (`profile`), text or JSON. Source: `docs/methods/levels.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import equals, floats
from dealer_assets.domain.conventions import (
    FLIP_ERROR_SHARE,
    FLIP_FAR_SHARE,
    FLIP_OI_ERROR,
    SPOT_OFF_PER_YEAR,
    SPOT_OFF_SHARE,
)
from dealer_assets.domain.exposure.aggregate import Book, days_to_expiry
from dealer_assets.domain.exposure.band import Band, level_columns
from dealer_assets.domain.exposure.moves import ExpectedMove
from dealer_assets.domain.exposure.position_error import NORMAL_95
from dealer_assets.domain.exposure.profile import Profile

Floats = NDArray[np.float64]

MIN_TWO_SIDED_SHARE = 0.5
"""Below this share of two-sided quotes a chain is no market picture (real chains: 0.89-0.96)."""

MIN_POSITIONED_OI_SHARE = 0.5
"""Below this share of open interest with a position, a model does not speak of the whole book."""

MIN_DETERMINED_OI_SHARE = 0.5
"""Below this share of open interest with a vol from a quote, sums rest on guesses."""


@dataclass(frozen=True)
class Flip:
    """The zero-gamma level.

    Parameters
    ----------
    price : float or None
        Crossing nearest to spot [USD]; None when there is none in range.
    status : str
        ``ok``, ``none_in_range``, ``far`` (over 10 % from spot) or ``ill_conditioned`` (an error
        of 1 % of gross gamma would move it by over 2 % of spot).
    prices, slopes : tuple of float
        Every crossing, ascending, with its slope per +1 % spot.
    """

    price: float | None
    status: str
    prices: tuple[float, ...]
    slopes: tuple[float, ...]


@dataclass(frozen=True)
class Walls:
    """Strikes that stand out; None where nothing has the sign asked for.

    Parameters
    ----------
    call, put : float or None
        Largest and most negative *net* gamma exposure by strike, all expiries.
    call_side, put_side : float or None
        Largest call, and largest put, gamma exposure by strike.
    absolute_gamma : float or None
        Largest sum of absolute gamma exposures by strike.
    max_pain : float or None
        Strike of least payout of the nearest live expiry's open interest.
    """

    call: float | None
    put: float | None
    call_side: float | None
    put_side: float | None
    absolute_gamma: float | None
    max_pain: float | None


@dataclass(frozen=True)
class Quality:
    """Whether a snapshot's levels may be published.

    Parameters
    ----------
    two_sided_share : float
        Live contracts with a bid and an ask.
    determined_oi_share : float
        Open interest of live contracts whose vol comes from its own or the other side's quote.
    is_partial : bool
        The chain is known to be incomplete.
    reasons : tuple of str
        Thresholds that do not hold; empty when publishable.
    """

    two_sided_share: float
    determined_oi_share: float
    is_partial: bool
    reasons: tuple[str, ...]

    @property
    def is_publishable(self) -> bool:
        """All thresholds hold."""
        return not self.reasons


def find_flip(profile: Profile, gross_gamma: float) -> Flip:
    """Choose the headline crossing and say what it is worth.

    Parameters
    ----------
    profile : Profile
        Re-priced book.
    gross_gamma : float
        |calls| + |puts| at spot [USD per 1 %]: the scale of the conditioning.

    Returns
    -------
    Flip
    """
    prices, slopes = tuple(map(float, profile.crossings)), tuple(map(float, profile.slopes))
    if not prices:
        return Flip(None, "none_in_range", (), ())
    nearest = int(np.argmin(np.abs(profile.crossings - profile.spot)))
    away = abs(prices[nearest] / profile.spot - 1.0)
    error_pct = FLIP_OI_ERROR * gross_gamma / max(abs(slopes[nearest]), 1e-300)
    if error_pct / 100.0 > FLIP_ERROR_SHARE:
        status = "ill_conditioned"
    else:
        status = "far" if away > FLIP_FAR_SHARE else "ok"
    return Flip(prices[nearest], status, prices, slopes)


def find_walls(book: Book) -> Walls:
    """Find the strikes that stand out in a book, all roots and expiries together."""
    gamma = book.gamma_usd_per_pct
    strikes, where = np.unique(book.strike, return_inverse=True)

    def by_strike(values: Floats) -> Floats:
        return np.bincount(where, weights=values, minlength=strikes.size).astype(np.float64)

    net = by_strike(gamma)
    call = by_strike(np.where(book.is_call, np.abs(gamma), 0.0))
    put = by_strike(np.where(book.is_call, 0.0, np.abs(gamma)))
    return Walls(
        call=_peak(strikes, net),
        put=_peak(strikes, -net),
        call_side=_peak(strikes, call),
        put_side=_peak(strikes, put),
        absolute_gamma=_peak(strikes, call + put),
        max_pain=_max_pain(book),
    )


def _peak(strikes: Floats, height: Floats) -> float | None:
    """Strike of the largest positive height; None when nothing is positive."""
    if strikes.size == 0 or not height.max() > 0.0:
        return None
    return float(strikes[np.argmax(height)])


def _max_pain(book: Book) -> float | None:
    """Strike at which holders of the nearest expiry receive least; ties go to the lowest.

    Holders are those of the open interest, whatever the model says of dealers.
    """
    if book.strike.size == 0:
        return None
    nearest = book.years == book.years.min()
    strike, is_call = book.strike[nearest], book.is_call[nearest]
    open_interest = np.nan_to_num(floats(book.rows, "open_interest_contracts")[nearest])
    if not open_interest.any():
        return None
    size = open_interest * book.multiplier[nearest]
    settle = np.unique(strike)
    gap = settle[:, None] - strike[None, :]
    payout = np.maximum(np.where(is_call[None, :], gap, -gap), 0.0) @ size
    return float(settle[np.argmin(payout)])


def two_sided_share(chain: pa.Table) -> float:
    """Share of a chain's rows that have a bid and an ask not below it; 0 for no rows."""
    bid, ask = floats(chain, "bid"), floats(chain, "ask")
    return float(np.mean((bid > 0.0) & (ask >= bid))) if bid.size else 0.0


def determined_oi_share(priced: pa.Table) -> float:
    """Share of open interest whose vol comes from its own or the other side's quote.

    Open interest that is not known counts as none; 0 when there is none at all.
    """
    open_interest = np.nan_to_num(floats(priced, "open_interest_contracts"))
    quoted = np.array(
        pc.is_in(priced["iv_source"], pa.array(["own", "other_side"])).to_numpy(), np.bool_
    )
    total = float(open_interest.sum())
    return float(open_interest[quoted].sum()) / total if total > 0.0 else 0.0


def spot_is_off(priced: pa.Table) -> bool:
    """Whether spot cannot be that of the quotes: too far from the nearest slice's parity forward.

    A level is spot times a ratio, so that all of spot's error is in it.
    """
    forward, years = floats(priced, "forward"), floats(priced, "year_fraction")
    told = equals(priced, "forward_method", "parity") & np.isfinite(forward)
    if not told.any():
        return False
    nearest = int(np.flatnonzero(told)[np.argmin(years[told])])
    off = abs(float(np.log(forward[nearest] / floats(priced, "spot")[nearest])))
    return off > SPOT_OFF_SHARE + SPOT_OFF_PER_YEAR * float(years[nearest])


def judge(
    chain: pa.Table,
    priced: pa.Table,
    *,
    is_partial: bool,
    surface_reasons: Sequence[str] = (),
    unpositioned_share: float = 0.0,
) -> Quality:
    """Judge whether levels of this snapshot may be published.

    Parameters
    ----------
    chain : pyarrow.Table
        The snapshot's live rows, `tables.CHAIN_SNAPSHOTS` schema.
    priced : pyarrow.Table
        The same contracts, `tables.CONTRACT_GREEKS` schema.
    is_partial : bool
        The chain is known to be incomplete.
    surface_reasons : sequence of str
        Thresholds that the fitted surface does not meet.
    unpositioned_share : float
        Share of open interest without a position; NaN counts as none.

    Returns
    -------
    Quality
    """
    two_sided, determined = two_sided_share(chain), determined_oi_share(priced)
    reasons = []
    if two_sided < MIN_TWO_SIDED_SHARE:
        reasons.append("few_two_sided_quotes")
    if not np.nan_to_num(floats(priced, "open_interest_contracts")).sum() > 0.0:
        reasons.append("no_open_interest")
    elif determined < MIN_DETERMINED_OI_SHARE:
        reasons.append("few_determined_vols")
    if is_partial:
        reasons.append("partial_chain")
    if spot_is_off(priced):
        reasons.append("spot_disagrees_with_chain")
    if unpositioned_share > 1.0 - MIN_POSITIONED_OI_SHARE:
        reasons.append("few_positions")
    reasons += surface_reasons
    return Quality(two_sided, determined, is_partial, tuple(reasons))


def level_row(
    book: Book,
    profile: Profile | None,
    *,
    quality: Quality,
    contracts: int,
    band: Band | None,
    move: ExpectedMove,
) -> pa.Table:
    """Lay the headline numbers out as one row of `tables.EXPOSURE_LEVELS`.

    Parameters
    ----------
    book : Book
        Contracts that count.
    profile : Profile or None
        Re-priced book; None when no contract counts, then the flip is ``none_in_range``.
    quality : Quality
        Verdict of `judge`.
    contracts : int
        Contracts in the snapshot before anything was dropped.
    band : Band or None
        Uncertainty of the levels; None where it was not asked for: its columns are null then.
    move : ExpectedMove
        One day's expected move.

    Returns
    -------
    pyarrow.Table
        One row.
    """
    gamma = book.gamma_usd_per_pct
    call, put = float(gamma[book.is_call].sum()), float(gamma[~book.is_call].sum())
    gross = float(np.abs(gamma).sum())
    flip = find_flip(profile, gross) if profile else Flip(None, "none_in_range", (), ())
    walls = find_walls(book)
    today = days_to_expiry(book.rows) == 0
    row = {
        **book.snapshot,
        "model": book.model,
        "contracts": contracts,
        "contracts_used": book.strike.size,
        "unpositioned_oi_share": _known(book.told.unpositioned_share),
        "net_delta_exposure_usd": float(book.delta_usd.sum()),
        "net_gamma_exposure_usd_per_pct": float(gamma.sum()),
        "net_vanna_exposure_usd_per_vol_pt": float(book.vanna_usd_per_vol_pt.sum()),
        "net_charm_exposure_usd_per_day": float(book.charm_usd_per_day.sum()),
        "net_volga_exposure_usd_per_vol_pt2": float(book.volga_usd_per_vol_pt2.sum()),
        "call_gamma_exposure_usd_per_pct": call,
        "put_gamma_exposure_usd_per_pct": put,
        "gross_gamma_exposure_usd_per_pct": gross,
        "net_gamma_sd_usd_per_pct": _known(book.sd_of("gamma_usd_per_pct")),
        "flip_price": flip.price,
        "flip_status": band.status(flip.status) if band else flip.status,
        "flip_pct": None if flip.price is None else flip.price / book.spot - 1.0,
        "flip_prices": list(flip.prices),
        "flip_slopes": list(flip.slopes),
        "call_wall": walls.call,
        "put_wall": walls.put,
        "call_side_wall": walls.call_side,
        "put_side_wall": walls.put_side,
        "absolute_gamma_strike": walls.absolute_gamma,
        "max_pain": walls.max_pain,
        "zero_dte_share": float(np.abs(gamma[today]).sum()) / gross if gross > 0.0 else None,
        "expiries": np.unique(book.years).size,
        "is_partial": quality.is_partial,
        "two_sided_share": quality.two_sided_share,
        "determined_oi_share": quality.determined_oi_share,
        "is_publishable": quality.is_publishable,
        "quality_reasons": list(quality.reasons),
        **_band_columns(band, flip),
        **_position_columns(book, band),
        "expected_move_straddle_usd": _known(move.straddle_move_usd),
        "expected_move_vol_365_usd": _known(move.vol_move_365_usd),
        "expected_move_vol_252_usd": _known(move.vol_move_252_usd),
    }
    return pa.Table.from_pylist([row], schema=tables.EXPOSURE_LEVELS.schema)


def _band_columns(band: Band | None, flip: Flip) -> dict[str, float | int | None]:
    """Lay the band out; without a flip there is nothing for its band to surround."""
    if band is None:
        return {"band_resamples": 0}
    columns = level_columns(band)
    if flip.price is None:
        columns |= dict.fromkeys(("flip_lo", "flip_median", "flip_hi", "flip_band_pct"))
    return columns


_OTHER_THAN_GAMMA = (
    ("delta", "usd"),
    ("vanna", "usd_per_vol_pt"),
    ("charm", "usd_per_day"),
    ("volga", "usd_per_vol_pt2"),
)


def _position_columns(book: Book, band: Band | None) -> dict[str, float | None]:
    """Lay out what the positions' error leaves of the other exposures; gamma's is in the band."""
    columns: dict[str, float | None] = {}
    for name, unit in _OTHER_THAN_GAMMA if band else ():
        exposure = f"{name}_{unit}"
        net, sd = float(getattr(book, exposure).sum()), book.sd_of(exposure)
        columns[f"net_{name}_lo_{unit}"] = _known(net - NORMAL_95 * sd)
        columns[f"net_{name}_hi_{unit}"] = _known(net + NORMAL_95 * sd)
    return columns


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def snapshot_rows(table: tables.Table, book: Book, columns: Mapping[str, Any]) -> pa.Table:
    """Lay columns out as rows of a table, beside what all rows of a snapshot and model share.

    Parameters
    ----------
    table : Table
        With the columns of `tables.ID`, and model and spot where it has them.
    book : Book
        The snapshot's.
    columns : mapping of str to array
        Its other columns, one length; more than the table has are left out.
    """
    n = len(next(iter(columns.values())))
    known = {**book.snapshot, "model": book.model, "spot": book.spot}
    made = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.repeat(pa.scalar(known[field.name], field.type), n)
        for field in table.schema
    ]
    rows = pa.table(made, schema=table.schema)
    return rows.sort_by([(name, "ascending") for name in table.key])


def profile_rows(book: Book, profile: Profile, moving: Profile | None = None) -> pa.Table:
    """Lay a profile out as rows of `tables.GAMMA_PROFILE`.

    Parameters
    ----------
    book : Book
        What was re-priced.
    profile : Profile
        Under sticky strike.
    moving : Profile, optional
        Under sticky moneyness, on the same levels.
    """
    n = profile.levels.size
    columns = {
        "spot_level": profile.levels,
        "gamma_exposure_usd_per_pct": profile.gamma_usd_per_pct,
        "gamma_exposure_sticky_moneyness_usd_per_pct": (
            moving.gamma_usd_per_pct if moving else [None] * n
        ),
    }
    return snapshot_rows(tables.GAMMA_PROFILE, book, columns)
