"""Made-up quotes of a known surface, for the surface's tests."""

import numpy as np

from dealer_assets.domain.pricing.black import black_price
from dealer_assets.domain.pricing.implied_vol import implied_vol
from dealer_assets.domain.surface.arbitrage import durrleman
from dealer_assets.domain.surface.quotes import Quotes
from dealer_assets.domain.surface.smiles import KNOTS, total_variance

SPOT = 5000.0
MICROSECOND = 1e6


def true_vol(k, years):
    """An equity-index smile, free of arbitrage for the tests' strikes and times."""
    level = 0.14 + 0.04 * (1.0 - np.exp(-years))
    z = k / (level * np.sqrt(years))
    return level * (1.0 + 0.05 * (np.sqrt((z - 0.4) ** 2 + 1.0) - 0.85 * z))


def quotes_of(slice_id, k, vol, *, years, bid=None, ask=None, roots=None, now=0):
    """`Quotes` with forwards at 2 % carry and no parity residual."""
    years = np.asarray(years, np.float64)
    nothing = np.full(np.asarray(k).size, np.nan)
    return Quotes(
        slice_id=np.asarray(slice_id, np.int64),
        log_moneyness=np.asarray(k, np.float64),
        vol=np.asarray(vol, np.float64),
        vol_bid=nothing if bid is None else np.asarray(bid, np.float64),
        vol_ask=nothing if ask is None else np.asarray(ask, np.float64),
        root=np.array(roots if roots is not None else ["SPXW"] * years.size, np.str_),
        expires_at=now + np.round(years * 365.0 * 86_400.0 * MICROSECOND).astype(np.int64),
        years=years,
        forward=SPOT * np.exp(0.02 * years),
        discount=np.exp(-0.04 * years),
        parity_residual=np.full(years.size, 0.1),
        spot=SPOT,
    )


def market(days, *, count=60, tick=0.05, seed=None, vol_of=true_vol):
    """Quotes in ticks around the true price, and noise of a fraction of the spread if seeded."""
    rng = np.random.default_rng(seed)
    years = np.asarray(days, np.float64) / 365.0
    parts = []
    for i, t in enumerate(years):
        forward = SPOT * np.exp(0.02 * t)
        width = max(0.02, 0.16 * np.sqrt(t))
        strike = np.unique(
            np.round(forward * np.exp(np.linspace(-3.5, 2.0, count) * width) / 5) * 5
        )
        k = np.log(strike / forward)
        terms = {"T": np.full(k.size, t), "D": np.full(k.size, np.exp(-0.04 * t))}
        f, is_call = np.full(k.size, forward), strike >= forward
        price = black_price(f, strike, sigma=vol_of(k, t), is_call=is_call, **terms)
        half = tick * (1.0 + 0.004 * price / tick)
        if seed is not None:
            price = price + rng.uniform(-0.3, 0.3, k.size) * half
        bid, ask = np.floor((price - half) / tick) * tick, np.ceil((price + half) / tick) * tick
        vols = [
            implied_vol(p, f, K=strike, is_call=is_call, **terms)[0]
            for p in (np.maximum(bid, 0.0), 0.5 * (bid + ask), ask)
        ]
        use = bid > 0.0
        parts.append((np.full(use.sum(), i), k[use], *(v[use] for v in vols)))
    row, k, low, mid, high = (np.concatenate(column) for column in zip(*parts, strict=True))
    return quotes_of(row, k, mid, years=years, bid=low, ask=high)


def closest_look(surface, points=5000):
    """Least g and least relative rise of each fitted slice on dense points, ends and knots.

    Independent of the check in the product: values by the plain evaluation, every slice held
    against the highest of all earlier ones at each k.
    """
    rows = np.flatnonzero(surface.method == "fit")
    least_g, least_rise = np.full(surface.years.size, np.nan), np.full(surface.years.size, np.nan)
    own = {}
    for i in rows:
        scale, origin, inverse = surface.params[i, 5:8]
        low, high = surface.low[i], surface.high[i]
        u = np.linspace(np.arcsinh(low / scale), np.arcsinh(high / scale), points)
        knots = scale * np.sinh(origin + np.arange(-3, KNOTS + 4) / inverse)
        k = np.concatenate([scale * np.sinh(u), knots, [low, high, 0.0]])
        own[i] = k[(k >= low) & (k <= high)]
        w, slope, bend = total_variance(own[i], np.full(own[i].size, i), surface.params)
        assert (w > 0.0).all()
        least_g[i] = durrleman(own[i], w, slope, bend).min()
    shared = np.unique(np.concatenate([k[:: points // 400] for k in own.values()] + [[0.0]]))
    ends = np.concatenate([surface.low[rows], surface.high[rows]])
    shared = np.unique(np.concatenate([shared, ends]))
    highest = np.zeros(shared.size)
    for i in rows:
        inside = (shared >= surface.low[i]) & (shared <= surface.high[i])
        w = total_variance(shared[inside], np.full(inside.sum(), i), surface.params)[0]
        before = highest[inside]
        if (before > 0.0).any():
            least_rise[i] = (w / np.where(before > 0.0, before, np.nan) - 1.0)[before > 0.0].min()
        highest[inside] = np.maximum(before, w)
    return least_g, least_rise
