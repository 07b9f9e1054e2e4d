"""Race for Greeks: twelve of ours against however many a peer has.

Belongs here: inputs, judging, table. Does not belong here: calling libraries (`peers.greeks`).
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dealer_assets_tests.bench import chain, ours, report, truth
from dealer_assets_tests.bench.chain import Contracts, Floats
from dealer_assets_tests.bench.measure import race
from dealer_assets_tests.bench.peers import greeks as peers
from dealer_assets_tests.bench.works.field import Field, Size

JUDGED = 100
LOOP_SHARE = 0.02
INEXACT = 1e-6

_ABOUT = """\
Vols, forwards and discount factors of 25,000 contracts in, Greeks out. *worst* is the greatest
error of any Greek the contender has, over 100 contracts spread over the chain, relative to the
exact one or, near its zeros, to its change for one per cent more vol or a hundredth of a deviation
more spot; the Greek is named. Exact Greeks are differences of the exact price, no closed form."""

_COLUMNS = ("", "outputs", "ms", "× ours", "worst")

_Made = tuple[Callable[[], Any], Callable[[Any], dict[str, Floats]]]
_Factory = Callable[[Contracts], _Made]

_PEERS: tuple[tuple[str, str, _Factory, bool], ...] = (
    ("*numpy with scipy's ndtr*", "", peers.numpy_formulas, False),
    ("fast-vollib, numba", "fast-vollib", peers.fast_vollib, False),
    ("polars-greeks", "polars-greeks", peers.polars_greeks, False),
    ("pyvolr", "pyvolr", peers.pyvolr, False),
    ("iv-engine", "iv-engine", peers.iv_engine, False),
    ("polars-vol", "polars-vol", peers.polars_vol, False),
    ("QuantLib loop", "quantlib", peers.quantlib_loop, True),
    ("vollib loop", "vollib", peers.vollib_loop, True),
)


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Race and judge."""
    whole = chain.synthetic_chain(size.contracts, expiries=size.expiries)
    part = whole.take(np.arange(0, len(whole), round(1 / LOOP_SHARE)))
    sample = whole.take(np.linspace(0, len(whole) - 1, JUDGED).astype(int))
    exact = truth.greeks(sample)
    scale = truth.size_of_greeks(sample, exact)
    field, judged = Field(), []
    for name, package, factory, is_loop in (("**ours**", "", ours.greeks, False), *_PEERS):
        chosen = part if is_loop else whole
        share = len(chosen) / len(whole)
        if field.enter(name, lambda f=factory, c=chosen: f(c)[0], package=package, share=share):
            judged.append(_judge(factory(sample), exact, scale))
    timings = race(field.contenders, rounds=size.rounds)
    rows = [
        [report.name_of(c), str(count), report.milliseconds(t.least), report.ratio(t), worst]
        for c, t, (count, _, worst) in zip(field.contenders, timings, judged, strict=True)
    ]
    found = dict(zip((c.name for c in field.contenders), timings, strict=True))
    bars = [
        report.at_most("greatest relative error", 1e-9, judged[0][1], hoped=1e-11),
        report.time_at_most(0.6, timings[0]),
    ]
    if _PEERS[0][0] in found:
        times = found[_PEERS[0][0]].ratio
        bars.append(report.at_least("speed over numpy", 3.0, times, hoped=5.0))
    notes = [
        f"Not exact: {report.name_of(c)}, {worst}."
        for c, (_, size_of_worst, worst) in zip(field.contenders, judged, strict=True)
        if size_of_worst > INEXACT
    ]
    return report.Section("Greeks", _ABOUT, _COLUMNS, rows, bars, notes), field.absent


def _judge(
    made: _Made, exact: dict[str, Floats], scale: dict[str, Floats]
) -> tuple[int, float, str]:
    run_once, read = made
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = read(run_once())
        worst, name = 0.0, ""
        for greek in exact:
            if greek in found:
                off = np.abs(found[greek] - exact[greek]) / scale[greek]
                off[~np.isfinite(off)] = np.inf
                if off.max() > worst:
                    worst, name = float(off.max()), greek
    return len(found), worst, f"{report.error(worst)} ({name})"
