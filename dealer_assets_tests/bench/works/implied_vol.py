"""Race for implied vols: speed on the whole chain, exactness, and behaviour on what has none.

Belongs here: inputs, judging, table. Does not belong here: calling libraries (`peers.implied_vol`).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dealer_assets_tests.bench import chain, ours, report, truth
from dealer_assets_tests.bench.chain import Contracts, Floats
from dealer_assets_tests.bench.measure import race
from dealer_assets_tests.bench.peers import implied_vol as peers
from dealer_assets_tests.bench.works.field import Field, Size

WRONG = 1e-6
"""Relative error from which a vol that is given as good counts as wrong."""

LOOP_SHARE = 0.1

_ABOUT = """\
Black-76 vols of 25,000 exact prices, each rounded once. *worst* is the greatest relative error of
out-of-the-money vols (in the money the price's own rounding decides). *none* counts prices with a
vol for which none was found, *wrong* vols given as good that are off by more than a millionth.
*tails*: the same two counts over a ladder of prices down to 1e-286. *bad rows*: numbers returned
for 2,000 rows that have no vol (price zero, NaN, negative, infinite, above its bound, below
intrinsic; time zero, negative). Ours gives a reason code with every row."""

_COLUMNS = (
    *("", "ms", "× ours", "worst", "none", "wrong"),
    *("tails: none", "tails: wrong", "bad rows: numbers"),
)

_Factory = Callable[[Contracts], Callable[[], Floats]]

_PEERS: tuple[tuple[str, str, _Factory, bool], ...] = (
    ("lbriv", "lbriv", peers.lbriv, False),
    ("iv-engine", "iv-engine", peers.iv_engine, False),
    ("vanilla-option-pricers", "vanilla-option-pricers", peers.vanilla_option_pricers, False),
    ("pyvolr", "pyvolr", peers.pyvolr, False),
    ("fast-vollib, jackel", "fast-vollib", peers.fast_vollib_jackel, False),
    ("fast-vollib, numba", "fast-vollib", peers.fast_vollib_default, False),
    ("polars-vol", "polars-vol", peers.polars_vol, False),
    ("*numpy, Halley × 12*", "", peers.numpy_newton, False),
    ("QuantLib loop", "quantlib", peers.quantlib_loop, False),
    ("quantkit-rs", "quantkit-rs", peers.quantkit, False),
    ("py-lets-be-rational loop", "py-lets-be-rational", peers.py_lets_be_rational_loop, True),
    ("vollib loop", "vollib", peers.vollib_loop, True),
)


@dataclass(frozen=True)
class _Sets:
    whole: Contracts
    tails: Contracts
    bad: Contracts


@dataclass(frozen=True)
class _Verdict:
    worst: float
    none: int
    wrong: int
    tails_none: int
    tails_wrong: int
    bad: str

    @property
    def cells(self) -> list[str]:
        counts = (self.none, self.wrong, self.tails_none, self.tails_wrong)
        return [report.error(self.worst), *(f"{n:,}" for n in counts), self.bad]


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Race and judge."""
    whole = truth.priced(chain.synthetic_chain(size.contracts, expiries=size.expiries))
    part = whole.take(np.arange(0, len(whole), round(1 / LOOP_SHARE)))
    bad, _ = chain.bad_rows(whole, size.contracts // 100)
    sets = _Sets(whole, truth.priced(chain.tail_ladder(size.tails // 2, size.tails)), bad)
    field = Field()
    verdicts = []
    entries = [("**ours**", "", ours.implied_vol, False), *_PEERS]
    for name, package, factory, is_loop in entries:
        chosen = part if is_loop else whole
        share = len(chosen) / len(whole)
        if field.enter(name, lambda f=factory, c=chosen: f(c), package=package, share=share):
            verdicts.append(_judge(factory, sets))
    timings = race(field.contenders, rounds=size.rounds)
    rows = [
        [report.name_of(c), report.milliseconds(t.least), report.ratio(t), *v.cells]
        for c, t, v in zip(field.contenders, timings, verdicts, strict=True)
    ]
    found = dict(zip((c.name for c in field.contenders), timings, strict=True))
    mine = verdicts[0]
    bars = [
        report.at_most("greatest error, out of the money", 1e-11, mine.worst, hoped=2e-12),
        report.at_most("none or wrong, chain and tails", 0, _lost(mine)),
        report.at_most("numbers for bad rows", 0, float(mine.bad.split()[0])),
        report.time_at_most(1.2, timings[0]),
    ]
    targets = (("lbriv", 10.0, 20.0), ("iv-engine", 10.0, 20.0), ("vollib loop", 300.0, 800.0))
    for name, target, hoped in targets:
        if name in found:
            times = found[name].ratio
            bars.append(report.at_least(f"speed over {name}", target, times, hoped=hoped))
    notes = _notes([report.name_of(c) for c in field.contenders], verdicts)
    return report.Section("Implied vol", _ABOUT, _COLUMNS, rows, bars, notes), field.absent


def _notes(names: list[str], verdicts: list[_Verdict]) -> list[str]:
    """Say in words who is not exact."""
    wrong = [n for n, v in zip(names, verdicts, strict=True) if v.wrong + v.tails_wrong]
    none = [n for n, v in zip(names, verdicts, strict=True) if v.none + v.tails_none]
    notes = []
    if wrong:
        notes.append(f"Wrong without saying so: {', '.join(wrong)}.")
    if none:
        notes.append(f"No vol for prices that have one: {', '.join(none)}.")
    return notes


def _lost(verdict: _Verdict) -> int:
    return verdict.none + verdict.wrong + verdict.tails_none + verdict.tails_wrong


def _judge(factory: _Factory, sets: _Sets) -> _Verdict:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        off = np.abs(factory(sets.whole)() / sets.whole.sigma - 1.0)[sets.whole.otm]
        tails_off = np.abs(factory(sets.tails)() / sets.tails.sigma - 1.0)
        try:
            bad = factory(sets.bad)()
            numbers = int(np.isfinite(bad).sum())
            zeros = int((bad == 0.0).sum())
            said = f"{numbers:,}" + (f" ({zeros:,} of them 0)" if zeros else "")
        except Exception as reason:  # noqa: BLE001 - the row reports it
            said = f"raises {type(reason).__name__}"
    return _Verdict(
        worst=float(np.nanmax(off)),
        none=int((~np.isfinite(off)).sum()),
        wrong=int((off > WRONG).sum()),
        tails_none=int((~np.isfinite(tails_off)).sum()),
        tails_wrong=int((tails_off > WRONG).sum()),
        bad=said,
    )
