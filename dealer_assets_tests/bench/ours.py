"""Our side of every race: the public functions, called as the assets call them.

Belongs here: how the project's own numerics are called on the bench's chain. Does not belong here:
peers. Preparation that a peer may do outside the timing, ours does too; validation, reason codes
and units are inside.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dealer_assets_tests.bench.chain import Contracts, Floats
from dealer_assets_tests.bench.peers.profile import Book
from dealer_assets_tests.bench.peers.surface import Made, Slice, Variance, by_parameters

if TYPE_CHECKING:
    from dealer_assets.domain.exposure.profile import StickyStrike
    from dealer_assets.domain.surface.model import Surface
    from dealer_assets.domain.surface.quotes import Quotes


def implied_vol(c: Contracts) -> Callable[[], Floats]:
    from dealer_assets.domain.pricing.implied_vol import implied_vol as find

    return lambda: find(c.price, c.F, K=c.K, T=c.T, D=c.D, is_call=c.is_call)[0]


def greeks(c: Contracts) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Floats]]]:
    from dealer_assets.domain.pricing.black import black_greeks

    def run() -> Any:
        return black_greeks(c.F, c.K, S=c.S, T=c.T, sigma=c.sigma, D=c.D, is_call=c.is_call)

    return run, lambda found: dict(vars(found))


def _sticky_strike(book: Book) -> "StickyStrike":
    from dealer_assets.domain.exposure.profile import StickyStrike, Terms

    c, (total, _, _) = book.contracts, book.parts()
    return StickyStrike(Terms(np.log(c.K / c.F), total, book.position * 0.01 * c.D * c.F))


def profile_direct(book: Book) -> Callable[[], Floats]:
    """One exponential for each contract and level."""
    repricing, shifts = _sticky_strike(book), book.shifts()
    return lambda: repricing.values(shifts) * np.exp(shifts)


def profile_recurrence(book: Book) -> Callable[[], Floats]:
    """Neighbouring levels from each other, contracts too sharp for that directly."""
    repricing, shifts = _sticky_strike(book), book.shifts()
    first, step = float(shifts[0]), float(shifts[-1] - shifts[0]) / (shifts.size - 1)
    return lambda: repricing.on_grid(first, step, shifts.size) * np.exp(shifts)


def american_prices(c: Contracts) -> Callable[[], Floats]:
    from dealer_assets.domain.pricing.american import american_price

    return lambda: american_price(c.F, c.K, S=c.S, T=c.T, sigma=c.sigma, D=c.D, is_call=c.is_call)


def american_vols(c: Contracts) -> Callable[[], Floats]:
    from dealer_assets.domain.pricing.american import american_implied_vol

    return lambda: american_implied_vol(
        c.price, c.F, K=c.K, S=c.S, T=c.T, D=c.D, is_call=c.is_call
    )[0]


_RAW_STEPS = 30
"""Steps that the raw fit may take in the product."""

_MOVED = 1.01
"""Vols of the snapshot before, relative to these."""


def _quotes(slices: Sequence[Slice], *, moved: float = 1.0) -> "Quotes":
    from dealer_assets.domain.surface.quotes import Quotes

    k, vol, half = (
        np.concatenate([getattr(one, name) for one in slices])
        for name in ("k", "vol", "half_spread")
    )
    years = np.array([one.years for one in slices])
    return Quotes(
        slice_id=np.repeat(np.arange(len(slices)), [one.k.size for one in slices]),
        log_moneyness=k,
        vol=moved * vol,
        vol_bid=moved * (vol - half),
        vol_ask=moved * (vol + half),
        root=np.full(years.size, "SPX"),
        expires_at=(years * 365.0 * 86_400e6).astype(np.int64),
        years=years,
        forward=np.array([one.forward for one in slices]),
        discount=np.ones(years.size),
        parity_residual=np.full(years.size, np.nan),
        spot=slices[0].forward,
    )


def _read_surface(found: "Surface") -> Variance:
    return lambda i, k: found.total_variance(k, np.full(k.size, i))


def surface(slices: Sequence[Slice]) -> Made:
    """All slices together, free of arbitrage, from nothing."""
    from dealer_assets.domain.surface.fit import fit_surface

    quotes = _quotes(slices)
    return lambda: fit_surface(quotes), _read_surface


def surface_from_last(slices: Sequence[Slice]) -> Made:
    """The same, started from the surface of quotes that have moved since."""
    from dealer_assets.domain.surface.fit import fit_surface

    quotes, last = _quotes(slices), fit_surface(_quotes(slices, moved=_MOVED))
    return lambda: fit_surface(quotes, previous=last), _read_surface


def surface_raw(slices: Sequence[Slice]) -> Made:
    """Raw SVI slice by slice, which is what most peers fit."""
    from dealer_assets.domain.kernels import svi

    k, variance, weight = (
        np.concatenate([getattr(one, name) for one in slices])
        for name in ("k", "variance", "weight")
    )
    first = np.concatenate([[0], np.cumsum([one.k.size for one in slices])]).astype(np.int64)
    nothing = np.full((len(slices), 5), np.nan)

    def fit() -> Floats:
        raw, cost = np.empty((len(slices), 5)), np.empty(len(slices))
        svi.fit_raw(k, variance, weight, first, nothing, _RAW_STEPS, raw, cost)
        return raw

    return fit, by_parameters


SURFACES: dict[str, Callable[[Sequence[Slice]], Made]] = {
    "**ours**": surface,
    "**ours, from the last fit**": surface_from_last,
    "**ours, raw SVI by slice**": surface_raw,
}


def recorded_slices(path: Path) -> list[Slice]:
    """Quotes of a recorded chain as the product would fit them."""
    from dealer_assets.domain.pricing.chain import price_chain
    from dealer_assets.domain.surface.quotes import chain_quotes, clean
    from dealer_assets.providers.files import read_chain_file

    (snapshot,) = read_chain_file(path)
    quotes, half = clean(chain_quotes(snapshot.rows, price_chain(snapshot.rows)))
    slices = []
    for i, (start, stop) in enumerate(pairwise(quotes.first)):
        years, forward = float(quotes.years[i]), float(quotes.forward[i])
        part = slice(start, stop)
        slices.append(
            Slice(years, forward, quotes.log_moneyness[part], quotes.vol[part], half[part])
        )
    return slices


TO_LEVELS = "**rows to levels, no band**"
BAND = "band on top: every convention, 2 × 200 resamples"


def whole_chain(path: Path) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Contracts of a recorded snapshot, and its steps; the first is all but the band."""
    from dealer_assets.domain.exposure.aggregate import open_book
    from dealer_assets.domain.exposure.band import level_band
    from dealer_assets.domain.exposure.profile import gamma_profile
    from dealer_assets.domain.exposure.snapshot import expose
    from dealer_assets.domain.pricing.chain import price_chain
    from dealer_assets.domain.surface.rows import quality_of, surface_of
    from dealer_assets.providers.files import read_chain_file
    from dealer_assets.tables import VOL_SURFACE

    (snapshot,) = read_chain_file(path)
    rows = snapshot.rows
    priced = price_chain(rows)
    book = open_book(priced, "naive")

    steps: dict[str, Callable[[], Any]] = {
        TO_LEVELS: lambda: expose(rows, price_chain(rows), model="naive", resamples=0),
        "forwards, vols, Greeks": lambda: price_chain(rows),
        "exposure, profile, levels": lambda: expose(rows, priced, model="naive", resamples=0),
        "of that the profile and its zeros": lambda: gamma_profile(book),
        "surface: fit, metrics, quality": lambda: quality_of(
            rows, priced, surface_of(rows, priced, VOL_SURFACE.schema.empty_table())
        ),
        BAND: lambda: level_band(book, rows, priced),
    }
    return rows.num_rows, steps
