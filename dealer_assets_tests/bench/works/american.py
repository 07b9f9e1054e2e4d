"""Race for American options: 5,000 like SPY's, prices and vols.

Belongs here: inputs, judging, tables. Does not belong here: calling libraries (`peers.american`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dealer_assets_tests.bench import ours, report
from dealer_assets_tests.bench.chain import Contracts, Floats
from dealer_assets_tests.bench.measure import Contender, Timing, race
from dealer_assets_tests.bench.peers import american as peers
from dealer_assets_tests.bench.works.field import Field, Size

SPOT, RATE, DIVIDEND = 600.0, 0.04, 0.013
DAYS = (1, 2, 3, 4, 7, 9, 11, 14, 16, 21, 28, 35, 45, 63, 91, 119, 182, 273, 364)
JUDGED = 200
SOLVABLE = 0.02
"""Time value over exercise value from which a vol is judged [USD]."""

_ABOUT = """\
{count:,} calls and puts like SPY's on an underlying at 600 USD, 1 to 364 days, rate 4 %, dividend
yield 1.3 % (continuous: no engine here knows cash dividends). *worst* and *rms* are errors in USD
against QuantLib's QdFp in its high-precision scheme, over 200 options; for vols, errors in vol
points where the price is over its exercise value by 2 cents. Ours solves the exercise boundary once
for an expiry, QuantLib for each option anew; QuantLib's vols are Brent's method over its fast
scheme, to 1e-6. pybaw is the approximation of Barone-Adesi and Whaley."""

_COLUMNS = ("of", "", "ms", "µs each", "× ours", "worst", "rms")

_Factory = Callable[[Contracts], Callable[[], Floats]]


@dataclass(frozen=True)
class _Entry:
    name: str
    package: str
    factory: _Factory
    count: int


_PRICES = (
    _Entry("**ours**", "", ours.american_prices, 5_000),
    _Entry("QuantLib QdFp, fast", "quantlib", lambda c: peers.quantlib_prices(c, "fast"), 1_000),
    _Entry(
        "QuantLib QdFp, accurate", "quantlib", lambda c: peers.quantlib_prices(c, "accurate"), 500
    ),
    _Entry("pybaw loop", "pybaw", peers.pybaw_prices, 5_000),
)
_VOLS = (
    _Entry("**ours**", "", ours.american_vols, 5_000),
    _Entry(
        "QuantLib QdFp fast in Brent's method",
        "quantlib",
        lambda c: peers.quantlib_vols(c, "fast"),
        200,
    ),
    _Entry("pybaw", "pybaw", peers.pybaw_vols, 5_000),
)


def spy_like(count: int) -> Contracts:
    """Options of `DAYS`, strikes within three deviations, vols with skew; unpriced."""
    rng = np.random.default_rng(3)
    years = np.sort(rng.choice(DAYS, count)) / 365.0
    z = rng.uniform(-2.5, 2.5, count)
    sigma = 0.14 * (1.0 - 0.08 * z + 0.03 * z * z)
    F = SPOT * np.exp((RATE - DIVIDEND) * years)
    K = np.round(F * np.exp(z * sigma * np.sqrt(years)))
    is_call = rng.uniform(size=count) < 0.5
    order = np.lexsort((K, is_call, years))
    nothing = np.full(count, np.nan)
    S, D = np.full(count, SPOT), np.exp(-RATE * years)
    return Contracts(S, F, K, years, D, sigma, is_call, nothing).take(order)


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Race twice, and judge."""
    whole = spy_like(size.contracts // 5)
    sample = whole.take(np.linspace(0, len(whole) - 1, JUDGED).astype(int))
    try:
        sample = replace(sample, price=peers.quantlib_prices(sample, "exact")())
    except ImportError as reason:
        return report.Section("American options", _ABOUT), [("QuantLib", str(reason))]
    accurate = _with_prices(whole)
    value = sample.price - np.maximum(
        np.where(sample.is_call, sample.S - sample.K, sample.K - sample.S), 0.0
    )
    solvable = value > SOLVABLE
    rows, bars, absent = [], [], []
    for what, entries, chain, exact, unit in (
        ("price", _PRICES, whole, sample.price, 1.0),
        ("vol", _VOLS, accurate, np.where(solvable, sample.sigma, np.nan), 100.0),
    ):
        field, errors = Field(), []
        for entry in entries:
            part = chain.take(
                np.linspace(0, len(chain) - 1, min(entry.count, len(chain))).astype(int)
            )
            share = len(part) / len(chain)
            make = _bound(entry.factory, part)
            if field.enter(entry.name, make, package=entry.package, share=share):
                errors.append((entry.factory(sample)() - exact) * unit)
        absent += field.absent
        if field.contenders:
            timings = race(field.contenders, rounds=size.rounds)
            rows += _rows(what, field.contenders, timings, errors, len(chain))
            bars += _bars(what, field.contenders, timings, errors)
    about = _ABOUT.format(count=len(whole))
    return report.Section("American options", about, _COLUMNS, rows, bars), absent


def _bound(factory: _Factory, part: Contracts) -> Callable[[], Callable[[], Floats]]:
    return lambda: factory(part)


def _with_prices(whole: Contracts) -> Contracts:
    """Prices to invert, from the accurate scheme (4e-5 USD); the same for everybody."""
    return replace(whole, price=peers.quantlib_prices(whole, "accurate")())


def _rows(
    what: str,
    contenders: list[Contender],
    timings: list[Timing],
    errors: list[Floats],
    count: int,
) -> list[list[str]]:
    rows = []
    for contender, timing, off in zip(contenders, timings, errors, strict=True):
        none = int(np.isnan(off).sum() - min(np.isnan(e).sum() for e in errors))
        worst = report.error(float(np.nanmax(np.abs(off)))) + (f", {none} none" if none else "")
        rows.append(
            [
                what,
                report.name_of(contender),
                report.milliseconds(timing.least),
                f"{timing.least / count * 1e6:.3g}",
                report.ratio(timing),
                worst,
                report.error(float(np.sqrt(np.nanmean(off * off)))),
            ]
        )
    return rows


def _bars(
    what: str, contenders: list[Contender], timings: list[Timing], errors: list[Floats]
) -> list[report.Bar]:
    if len(contenders) < 2:
        return []
    mine, theirs = (float(np.nanmax(np.abs(off))) for off in errors[:2])
    unit = " USD" if what == "price" else " vol points"
    times = timings[1].ratio
    return [
        report.at_least(f"{what}: speed over QdFp fast", 10.0, times, hoped=20.0),
        report.at_most(f"{what}: greatest error, that of QdFp fast", theirs, mine, unit=unit),
    ]
