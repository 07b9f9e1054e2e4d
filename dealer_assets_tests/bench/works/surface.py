"""Race for the surface: 45 expiries of quotes with ticks, spreads and noise, fitted from nothing.

Belongs here: quotes, judging, table. Does not belong here: calling fitters (`peers.surface`).
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dealer_assets_tests.bench import chain, ours, report, truth
from dealer_assets_tests.bench.chain import Contracts
from dealer_assets_tests.bench.measure import Contender, Timing, race
from dealer_assets_tests.bench.peers import surface as peers
from dealer_assets_tests.bench.peers.surface import Made, Slice, Variance
from dealer_assets_tests.bench.works.field import RECORDED, Field, Size

FEWEST, WIDEST = 12, 0.25
"""Quotes a slice needs, and the greatest half-spread relative to the vol."""

GRID = 801
TOLERANCE = 1e-6

_ABOUT = """\
Out-of-the-money quotes fitted from nothing, slice by slice or together: {made}. *inside* is the
share of quotes whose bid and ask enclose the fit, *rms* its distance from mid in half-spreads.
*butterfly* counts slices with a negative density somewhere between their outermost quotes,
*calendar* neighbouring expiries whose total variances cross there. The smile of the made-up chain
is no SVI: none of the peers can fit it exactly. Ours adds a spline to SVI and excludes both
violations; its time is that of `fit_surface`, raw quotes in, surface out. Fitters that take longer
than the least squares written here are left out on the recorded quotes. quantkit-rs and volsurface
take no weights, QuantLib weighs by vega; the others weigh by the spread."""

_COLUMNS = ("quotes", "", "ms", "× ours", "inside", "rms", "butterfly", "calendar", "not fitted")

_Factory = Callable[[Sequence[Slice]], Made]

_PEERS: tuple[tuple[str, str, _Factory], ...] = (
    ("*scipy least_squares, trf*", "scipy", lambda s: peers.scipy_least_squares(s, "trf")),
    ("*scipy least_squares, lm*", "scipy", lambda s: peers.scipy_least_squares(s, "lm")),
    ("fast-vollib, svi", "fast-vollib", peers.fast_vollib),
    ("quantkit-rs", "quantkit-rs", peers.quantkit),
    ("volsurface", "volsurface", peers.volsurface),
    ("QuantLib", "quantlib", peers.quantlib),
)

_LONG = ("fast-vollib, svi", "volsurface")


@dataclass(frozen=True)
class _Verdict:
    inside: float
    rms: float
    butterfly: int
    calendar: int
    lost: int

    @property
    def cells(self) -> list[str]:
        counts = (self.butterfly, self.calendar, self.lost)
        return [f"{self.inside:.1%}", f"{self.rms:.2f}", *(str(n) for n in counts)]


def quoted_slices(priced: Contracts) -> list[Slice]:
    """Put ticks and spreads on exact prices and keep what a fit would be given."""
    rng = np.random.default_rng(5)
    tick = np.where(priced.price < 3.0, 0.05, 0.10)
    half = np.maximum(0.5 * tick, 0.5 * tick * rng.integers(1, 5, len(priced)))
    bid = np.maximum(np.floor((priced.price - half) / tick) * tick, 0.0)
    ask = np.ceil((priced.price + half) / tick) * tick
    quoted = Contracts(**{**vars(priced), "price": 0.5 * (bid + ask)})
    with np.errstate(all="ignore"):
        vol = ours.implied_vol(quoted)()
        total = vol * np.sqrt(priced.T)
        d1 = np.log(priced.F / priced.K) / total + 0.5 * total
        density = np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
        half_vol = 0.5 * (ask - bid) / (priced.D * priced.F * density * np.sqrt(priced.T))
        good = priced.otm & (bid > 0.04) & (half_vol < WIDEST * vol)
    slices = []
    for years in np.unique(priced.T):
        members = np.flatnonzero(good & (years == priced.T))
        members = members[np.argsort(priced.K[members])]
        if members.size >= FEWEST:
            forward = float(priced.F[members[0]])
            k = np.log(priced.K[members] / forward)
            slices.append(Slice(float(years), forward, k, vol[members], half_vol[members]))
    return slices


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Race and judge, on made-up quotes and on recorded ones where they are."""
    priced = truth.priced(chain.synthetic_chain(size.contracts, expiries=size.expiries))
    sets = {"made up": quoted_slices(priced)}
    if RECORDED.exists():
        recorded = ours.recorded_slices(RECORDED)
        sets["recorded"] = [one for one in recorded if one.k.size >= FEWEST]
    said, rows, bars, absent = [], [], [], []
    for what, slices in sets.items():
        said.append(f"{len(slices)} expiries with {sum(s.k.size for s in slices):,} quotes, {what}")
        field, verdicts = Field(), []
        entries = [(name, "", f) for name, f in ours.SURFACES.items()]
        peers_here = [p for p in _PEERS if what == "made up" or p[0] not in _LONG]
        for name, package, factory in (*entries, *peers_here):
            if field.enter(name, _bound(factory, slices), package=package):
                verdicts.append(_judge(factory(slices), slices))
        rounds = size.rounds if what == "made up" else max(1, size.rounds // 3)
        timings = race(field.contenders, rounds=rounds)
        rows += [
            [what, report.name_of(c), report.milliseconds(t.least), report.ratio(t), *v.cells]
            for c, t, v in zip(field.contenders, timings, verdicts, strict=True)
        ]
        bars += _bars(what, field.contenders, timings, verdicts)
        absent += field.absent if what == "made up" else []
    about = _ABOUT.format(made="; ".join(said))
    return report.Section("Surface", about, _COLUMNS, rows, bars), absent


def _bound(factory: _Factory, slices: Sequence[Slice]) -> Callable[[], Callable[[], object]]:
    return lambda: factory(slices)[0]


def _bars(
    what: str, contenders: list[Contender], timings: list[Timing], verdicts: list[_Verdict]
) -> list[report.Bar]:
    mine = verdicts[0]
    bars = [
        report.share_at_least(f"quotes inside bid–ask, {what}", 0.95, mine.inside),
        report.at_most(f"arbitrage violations, {what}", 0, mine.butterfly + mine.calendar),
        report.at_most(f"expiries not fitted, {what}", 0, mine.lost),
        report.time_at_most(10.0, timings[0], what=what),
    ]
    for contender, timing in zip(contenders, timings, strict=True):
        if contender.name == _PEERS[0][0]:
            times = timing.ratio
            bars.append(report.at_least(f"speed over scipy trf, {what}", 20.0, times, hoped=60.0))
    return bars


def _judge(made: Made, slices: Sequence[Slice]) -> _Verdict:
    fit, read = made
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        variance = read(fit())
        distance, lost, butterfly = [], [], 0
        for i, one in enumerate(slices):
            found = np.sqrt(variance(i, one.k) / one.years)
            if not np.isfinite(found).all():
                lost.append(i)
                distance.append(np.full(one.k.size, np.nan))
                continue
            distance.append((found - one.vol) / one.half_spread)
            butterfly += bool(_least_density(variance, i, one) < -TOLERANCE)
    off = np.abs(np.concatenate(distance))
    return _Verdict(
        inside=float((off <= 1.0001).mean()),
        rms=float(np.sqrt(np.nanmean(off * off))),
        butterfly=butterfly,
        calendar=_crossings(variance, slices),
        lost=len(lost),
    )


def _least_density(variance: Variance, i: int, one: Slice) -> float:
    """Least of Durrleman's g between the outermost quotes, by differences."""
    k = np.linspace(one.k[0], one.k[-1], GRID)
    w = variance(i, k)
    slope, step = np.gradient(w, k), k[1] - k[0]
    curvature = (w[2:] - 2.0 * w[1:-1] + w[:-2]) / step**2
    k, w, slope = k[1:-1], w[1:-1], slope[1:-1]
    g = (1.0 - 0.5 * k * slope / w) ** 2 - 0.25 * slope**2 * (1.0 / w + 0.25) + 0.5 * curvature
    return float(g.min())


def _crossings(variance: Variance, slices: Sequence[Slice]) -> int:
    """Pairs of neighbouring expiries of which the later has less total variance somewhere."""
    count = 0
    for i in range(len(slices) - 1):
        near, far = slices[i].k, slices[i + 1].k
        k = np.linspace(max(near[0], far[0]), min(near[-1], far[-1]), GRID)
        with np.errstate(all="ignore"):
            gap = variance(i + 1, k) - variance(i, k)
        count += bool((gap < -TOLERANCE * variance(i, k)).any())
    return count
