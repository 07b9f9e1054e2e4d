"""Quotes to a surface, with a fallback for every slice that cannot be fitted.

Belongs here: which slices are fitted, what stands in for the others and in which order. Does not
belong here: the fit itself (`svi`), judging a finished surface (`quality`).

Per slice, the first that applies:

1. ``fit``: at least `svi.MIN_QUOTES` quotes at different strikes, and a fit not worse than
   `WORST_IN_SPREAD` and `WORST_CHI` together.
2. ``aged``: the previous surface has a fitted or aged smile of the same root and expiry. Its vol is
   kept as a function of k / sqrt(T); its age is the time that expiry has come nearer.
3. ``interpolated``: any quotes. A spline through their vols, without conditions.
4. ``rule``: between two expiries, total variance linear in time at constant k; before the first
   or after the last one, its vol kept as a function of k / sqrt(T).
5. ``none``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.surface.arbitrage import Slacks, slacks
from dealer_assets.domain.surface.model import Surface
from dealer_assets.domain.surface.quotes import Quotes, clean
from dealer_assets.domain.surface.smiles import (
    COLUMNS,
    FIRST_KNOT,
    KNOTS,
    at_quotes,
    flat,
    rescaled,
    total_variance,
)
from dealer_assets.domain.surface.svi import MARGIN, MIN_QUOTES, Fitted, fit_slices

WORST_IN_SPREAD = 0.5
WORST_CHI = 3.0
"""A fit with a smaller share inside bid-ask and larger residuals (in half-spreads) is refused."""

_LOOSE = 1e-6
"""Stiffness of the interpolating spline: it only keeps the gaps between quotes smooth."""

_FAR = 1e6
"""Distance in half-spreads of a quote whose slice has no vol there."""

_PSEUDO = 120
"""Points at which a smile between two expiries is taken."""


@dataclass
class _Draft:
    """Slices as they are filled in; arrays as in `Surface`."""

    params: Floats
    method: NDArray[np.str_]
    age_seconds: Floats
    low: Floats
    high: Floats

    def take(
        self, rows: Ints, params: Floats, *, method: str, domain: tuple[Floats, Floats]
    ) -> None:
        """Fill in slices by one method."""
        self.params[rows] = params
        self.method[rows] = method
        self.low[rows], self.high[rows] = domain


def fit_surface(quotes: Quotes, *, previous: Surface | None = None) -> Surface:
    """Fit all slices of a snapshot together.

    Parameters
    ----------
    quotes : Quotes
        Any order, any garbage; see `quotes.clean`. Slices by ascending expiry.
    previous : Surface, optional
        An earlier surface, the source of ``aged`` slices. Nothing else is taken from it: a slice
        that is fitted does not depend on what was fitted before.

    Returns
    -------
    Surface
        Every slice of `quotes`, with its method. A slice without usable quotes is no error. Same
        input, same bytes.
    """
    kept, half_spread = clean(quotes)
    m = kept.years.size
    draft = _Draft(
        params=np.full((m, COLUMNS), np.nan),
        method=np.full(m, "none", "<U12"),
        age_seconds=np.full(m, np.nan),
        low=np.full(m, np.nan),
        high=np.full(m, np.nan),
    )
    before = _nothing(m)
    match, age = _matches(kept, previous)
    fitted, rows = _fit(kept, half_spread)
    if fitted is not None:
        sound = _believable(kept, half_spread, fitted=fitted, rows=rows)
        good = rows[sound]
        domain = fitted.low[sound], fitted.high[sound]
        draft.take(good, fitted.params[sound], method="fit", domain=domain)
        draft.age_seconds[good] = 0.0
        before = _spread_out(fitted.before, rows, m)
    if previous is not None:
        _age(draft, kept.years, previous=previous, match=match, age=age)
    _interpolate(draft, kept, half_spread)
    _by_rule(draft, kept.years)
    return Surface(
        root=kept.root,
        expires_at=kept.expires_at,
        years=kept.years,
        forward=kept.forward,
        discount=kept.discount,
        params=draft.params,
        method=draft.method,
        age_seconds=draft.age_seconds,
        quote_count=np.diff(kept.first),
        low=draft.low,
        high=draft.high,
        before=before,
        after=_after(draft, fitted, rows),
        spot=kept.spot,
    )


def _nothing(m: int) -> Slacks:
    return Slacks(*(np.full(m, np.nan) for _ in range(5)))


def _spread_out(part: Slacks, rows: Ints, m: int) -> Slacks:
    out = _nothing(m)
    for name in ("butterfly", "butterfly_at", "calendar", "calendar_at", "lee"):
        getattr(out, name)[rows] = getattr(part, name)
    return out


def _after(draft: _Draft, fitted: Fitted | None, rows: Ints) -> Slacks:
    """Slacks of the whole surface; those of the fit where it is all of it.

    Slices are held against fitted ones only: what stands in for a slice promises nothing.
    """
    usable = np.flatnonzero(draft.method != "none")
    all_fitted = np.array_equal(usable, rows) and bool((draft.method[rows] == "fit").all())
    if fitted is not None and all_fitted:
        return _spread_out(fitted.after, rows, draft.method.size)
    return slacks(draft.params, draft.low, draft.high, counts=draft.method == "fit")


def _matches(quotes: Quotes, previous: Surface | None) -> tuple[Ints, Floats]:
    """Row of `previous` with the same root and expiry, -1 where none, and the time since it."""
    m = quotes.years.size
    match, age = np.full(m, -1, np.int64), np.full(m, np.nan)
    if previous is None:
        return match, age
    keys = zip(previous.root.tolist(), previous.expires_at.tolist(), strict=True)
    known = {key: i for i, key in enumerate(keys) if previous.method[i] in ("fit", "aged")}
    for i, key in enumerate(zip(quotes.root.tolist(), quotes.expires_at.tolist(), strict=True)):
        match[i] = known.get(key, -1)
    found = match >= 0
    age[found] = (previous.years[match[found]] - quotes.years[found]) * SECONDS_PER_YEAR
    return match, age


def _fit(quotes: Quotes, half_spread: Floats) -> tuple[Fitted | None, Ints]:
    """Fit the slices that have enough quotes; return their rows too."""
    first = quotes.first
    k = quotes.log_moneyness
    enough = np.diff(first) >= MIN_QUOTES
    for i in np.flatnonzero(enough & (np.diff(first) < 2 * MIN_QUOTES)):
        enough[i] = np.unique(k[first[i] : first[i + 1]]).size >= MIN_QUOTES
    for i in np.flatnonzero(enough):
        enough[i] = k[first[i + 1] - 1] - k[first[i]] > 1e-9
    rows = np.flatnonzero(enough)
    if rows.size == 0:
        return None, rows
    keep = enough[quotes.slice_id]
    fitted = fit_slices(
        k[keep],
        quotes.vol[keep],
        half_spread=half_spread[keep],
        first=np.concatenate([[0], np.cumsum(np.diff(first)[rows])]).astype(np.int64),
        years=quotes.years[rows],
    )
    return fitted, rows


def _believable(quotes: Quotes, half_spread: Floats, *, fitted: Fitted, rows: Ints) -> Bools:
    """Tell which fits are good enough to stand, shape of `rows`."""
    params = np.full((quotes.years.size, COLUMNS), np.nan)
    params[rows] = fitted.params
    first = quotes.first
    w = at_quotes(quotes.log_moneyness, first, params)
    with np.errstate(invalid="ignore"):
        vol = np.sqrt(w / np.repeat(quotes.years, np.diff(first)))
        error = np.abs(vol - quotes.vol) / half_spread
    error = np.where(np.isfinite(error), np.minimum(error, _FAR), _FAR)
    m, home = quotes.years.size, quotes.slice_id
    size = np.diff(first)[rows]
    close = np.bincount(home, error <= 1.0, minlength=m)[rows] / size
    chi = np.sqrt(np.bincount(home, error**2, minlength=m)[rows] / size)
    finite = np.isfinite(fitted.params).all(axis=1)
    return np.asarray(finite & ~((close < WORST_IN_SPREAD) & (chi > WORST_CHI)))


def _age(draft: _Draft, years: Floats, *, previous: Surface, match: Ints, age: Floats) -> None:
    rows = np.flatnonzero((draft.method == "none") & (match >= 0) & (years > 0.0) & (age >= 0.0))
    old = match[rows]
    ratio = years[rows] / previous.years[old]
    domain = previous.low[old] * np.sqrt(ratio), previous.high[old] * np.sqrt(ratio)
    draft.take(rows, rescaled(previous.params[old], ratio), method="aged", domain=domain)
    draft.age_seconds[rows] = age[rows] + np.nan_to_num(previous.age_seconds[old])


def _interpolate(draft: _Draft, quotes: Quotes, half_spread: Floats) -> None:
    """Put splines through the quotes of slices that have nothing better."""
    first = quotes.first
    rows = np.flatnonzero((draft.method == "none") & (np.diff(first) > 0))
    for row in rows:
        part = slice(first[row], first[row + 1])
        k, vol = quotes.log_moneyness[part], quotes.vol[part]
        w = vol * vol * quotes.years[row]
        level = float(np.interp(0.0, k, w))
        reach = MARGIN * np.sqrt(level)
        domain = k[:1] - reach, k[-1:] + reach
        weight = 1.0 / (2.0 * vol * quotes.years[row] * half_spread[part])
        params = flat(np.array([level]))
        params[0, 5] = np.sqrt(level)
        params = _splined(params, k, w, weight=weight, domain=domain)
        draft.take(np.array([row]), params, method="interpolated", domain=domain)


def _splined(
    params: Floats, k: Floats, w: Floats, *, weight: Floats, domain: tuple[Floats, Floats]
) -> Floats:
    """Add to one smile, shape (1, COLUMNS), the spline that leads it through total variances."""
    from dealer_assets.domain.kernels.svi_spline import normal_equations

    out = params.copy()
    scale = out[0, 5]
    ends = np.arcsinh(domain[0][0] / scale), np.arcsinh(domain[1][0] / scale)
    out[0, 6:8] = ends[0], (KNOTS - 3) / (ends[1] - ends[0])
    out[0, FIRST_KNOT:] = 0.0
    level = scale * scale
    inverse, plain = np.empty((1, KNOTS, KNOTS)), np.empty((1, KNOTS))
    normal_equations(
        k,
        (w - total_variance(k, np.zeros(k.size, np.int64), out)[0]) / level,
        weight * level,
        np.array([0, k.size], np.int64),
        np.ascontiguousarray(out[:, 5:8]),
        np.ones((1, KNOTS)),
        _LOOSE,
        1e-3 * _LOOSE,
        0,
        np.empty(k.size),
        inverse,
        plain,
    )
    out[:, FIRST_KNOT:] = plain * level
    return out


def _by_rule(draft: _Draft, years: Floats) -> None:
    """Give the rest a smile from their neighbours in time."""
    sources = np.flatnonzero(draft.method != "none")
    rows = np.flatnonzero((draft.method == "none") & (years > 0.0))
    if sources.size == 0:
        return
    for row in rows.tolist():
        place = int(np.searchsorted(sources, row))
        if 0 < place < sources.size:
            params, domain = _between(draft, years, row, sources[place - 1 : place + 1])
        else:
            nearest = sources[[min(place, sources.size - 1)]]
            ratio = years[[row]] / years[nearest]
            params = rescaled(draft.params[nearest], ratio)
            domain = draft.low[nearest] * np.sqrt(ratio), draft.high[nearest] * np.sqrt(ratio)
        draft.take(np.array([row]), params, method="rule", domain=domain)


def _between(
    draft: _Draft, years: Floats, row: int, sides: Ints
) -> tuple[Floats, tuple[Floats, Floats]]:
    """Smile whose total variance is linear in time between two expiries, where both have a domain.

    Its continuation is that of the nearer one, carried over at the same k / sqrt(T).
    """
    low, high = draft.low[sides].max(), draft.high[sides].min()
    gap = years[sides[1]] - years[sides[0]]
    share = (years[row] - years[sides[0]]) / gap if gap > 0.0 else 0.0
    nearer = sides[[int(share > 0.5)]]
    params = rescaled(draft.params[nearer], years[[row]] / years[nearer])
    k = params[0, 5] * np.sinh(
        np.linspace(np.arcsinh(low / params[0, 5]), np.arcsinh(high / params[0, 5]), _PSEUDO)
    )
    w = [total_variance(k, np.full(k.size, side), draft.params)[0] for side in sides]
    target = (1.0 - share) * w[0] + share * w[1]
    domain = np.array([low]), np.array([high])
    if not (low < high and (target > 0.0).all()):
        return params, (draft.low[nearer], draft.high[nearer])
    return _splined(params, k, target, weight=1e4 / target, domain=domain), domain
