"""SVI slices as the peers fit them.

Belongs here: calling a fitter by its documented interface; a scipy fitter written here as an expert
would. Does not belong here: judging the fits. A factory takes slices and returns a call that fits
them all, and a reader that turns its result into total variance by slice and log-moneyness; the
reader is not timed. Most give raw SVI parameters (a, b, rho, m, sigma), shape (slices, 5), NaN
where the fitter gave up:

    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dealer_assets_tests.bench.chain import Floats

Fit = Callable[[], Any]
Variance = Callable[[int, Floats], Floats]
"""Total variance of a slice at log-moneynesses."""

Made = tuple[Fit, Callable[[Any], Variance]]

_NONE = np.full(5, np.nan)


@dataclass(frozen=True)
class Slice:
    """Out-of-the-money quotes of one expiry, ascending in strike, arrays of shape (n,).

    Parameters
    ----------
    years, forward : float
        Time to expiry and forward.
    k : float64 array
        Log-moneyness ``ln(K/F)``.
    vol : float64 array
        Vol of the mid.
    half_spread : float64 array
        Half the bid-ask spread in vol.
    """

    years: float
    forward: float
    k: Floats
    vol: Floats
    half_spread: Floats

    @property
    def variance(self) -> Floats:
        """Return total variance of the mid, shape (n,)."""
        return self.vol**2 * self.years

    @property
    def weight(self) -> Floats:
        """Return one over the half-spread in total variance, the greatest 1, shape (n,)."""
        weight = 1.0 / (2.0 * self.vol * self.years * self.half_spread)
        return weight / weight.max()


def raw_svi(p: Floats, k: Floats) -> Floats:
    """Total variance at log-moneyness `k`."""
    a, b, rho, m, sigma = p
    x = k - m
    return np.asarray(a + b * (rho * x + np.sqrt(x * x + sigma * sigma)))


def by_parameters(found: Floats) -> Variance:
    """Read raw SVI parameters, shape (slices, 5)."""
    return lambda i, k: raw_svi(found[i], k)


def _guess(one: Slice) -> Floats:
    """Wings' slopes give b and rho, the lowest quote a and m."""
    w, k = one.variance, one.k
    low = int(np.argmin(w))
    left = (w[0] - w[low]) / max(k[low] - k[0], 1e-9)
    right = (w[-1] - w[low]) / max(k[-1] - k[low], 1e-9)
    b = max(0.5 * (left + right), 1e-6)
    rho = float(np.clip((right - left) / max(right + left, 1e-12), -0.95, 0.95))
    return np.array([0.5 * w[low], b, rho, k[low], max(0.1 * (k[-1] - k[0]), 1e-5)])


def scipy_least_squares(slices: Sequence[Slice], method: str) -> Made:
    """Weighted least squares with the analytic Jacobian; trf keeps bounds, lm has none."""
    from scipy.optimize import least_squares

    bounds = ([-np.inf, 0.0, -0.999, -np.inf, 1e-7], [np.inf, np.inf, 0.999, np.inf, np.inf])
    more = {"bounds": bounds} if method == "trf" else {}

    def residual(p: Floats, k: Floats, w: Floats, weight: Floats) -> Floats:
        return weight * (raw_svi(p, k) - w)

    def jacobian(p: Floats, k: Floats, w: Floats, weight: Floats) -> Floats:
        _, b, rho, m, sigma = p
        x = k - m
        root = np.sqrt(x * x + sigma * sigma)
        columns = (
            np.ones_like(k),
            rho * x + root,
            b * x,
            -b * (rho + x / root),
            b * sigma / root,
        )
        return np.asarray(weight[:, None] * np.stack(columns, axis=1))

    def fit() -> Floats:
        found = []
        for one in slices:
            start = _guess(one)
            size = np.array([one.variance.max(), start[1], 1.0, start[4], start[4]])
            answer = least_squares(
                residual,
                start,
                jac=jacobian,
                method=method,
                x_scale=size,
                args=(one.k, one.variance, one.weight),
                **more,
            )
            found.append(answer.x)
        return np.array(found)

    return fit, by_parameters


def quantlib(slices: Sequence[Slice]) -> Made:
    """SviInterpolatedSmileSection, started where the scipy fits start; whole days only."""
    import QuantLib

    today = QuantLib.Date(21, 11, 2025)
    QuantLib.Settings.instance().evaluationDate = today
    fixed = (False, False, False, False, False)

    def one_fit(one: Slice) -> Floats:
        days = max(1, round(one.years * 365))
        vol = np.sqrt(one.variance / (days / 365))
        a, b, rho, m, sigma = (float(x) for x in _guess(one))
        section = QuantLib.SviInterpolatedSmileSection(
            today + days,
            one.forward,
            (one.forward * np.exp(one.k)).tolist(),
            False,
            float(vol[np.argmin(np.abs(one.k))]),
            vol.tolist(),
            *(a, b, sigma, rho, m),
            *fixed,
        )
        section.rmsError()  # it fits when it is asked
        return np.array([section.a(), section.b(), section.rho(), section.m(), section.sigma()])

    return _each(slices, one_fit), by_parameters


def quantkit(slices: Sequence[Slice]) -> Made:
    from quantkit import svi_fit

    def one_fit(one: Slice) -> Floats:
        found = svi_fit(one.k, one.variance)
        return np.array([found[name] for name in ("a", "b", "rho", "m", "sigma")])

    return _each(slices, one_fit), by_parameters


def volsurface(slices: Sequence[Slice]) -> Made:
    from volsurface import MarketSlice
    from volsurface.models import RawSVI

    def one_fit(one: Slice) -> Floats:
        strikes = one.forward * np.exp(one.k)
        market = MarketSlice(
            strikes=strikes,
            ivs=one.vol,
            expiry_years=one.years,
            forward=one.forward,
            spot=one.forward,
        )
        found = RawSVI().fit(market).params
        return np.array([found[name] for name in ("a", "b", "rho", "m", "sigma")])

    return _each(slices, one_fit), by_parameters


def fast_vollib(slices: Sequence[Slice]) -> Made:
    """Its slice-by-slice SVI calibrator with one call for all expiries, weighted."""
    from fast_vollib.surface import SurfaceObservations, SurfacePoints, build_algorithm

    k, vol = (np.concatenate([getattr(one, name) for one in slices]) for name in ("k", "vol"))
    years = np.concatenate([np.full(one.k.size, one.years) for one in slices])
    weight = np.concatenate([one.weight for one in slices])
    calibrator = build_algorithm("svi")
    quotes = SurfaceObservations(k=k, T=years, iv=vol, weight=weight)

    def read(surface: Any) -> Variance:
        def variance(i: int, at: Floats) -> Floats:
            T = np.full(at.size, slices[i].years)
            found = surface.evaluate(SurfacePoints(k=at, T=T))
            return np.asarray(found.iv, np.float64) ** 2 * slices[i].years

        return variance

    return lambda: calibrator.fit(quotes), read


def _each(slices: Sequence[Slice], one_fit: Callable[[Slice], Floats]) -> Fit:
    def fit() -> Floats:
        found = []
        for one in slices:
            try:
                found.append(one_fit(one))
            except Exception:  # noqa: BLE001 - whatever it raises, it has no fit
                found.append(_NONE)
        return np.array(found)

    return fit
