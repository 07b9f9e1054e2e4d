"""Race for the gamma profile: 25,000 contracts at 121 spots, 3 million pairs.

Belongs here: inputs, judging, table. Does not belong here: calling libraries (`peers.profile`).
"""

import math
from collections.abc import Callable

import numpy as np

from dealer_assets_tests.bench import chain, ours, report
from dealer_assets_tests.bench.chain import Floats
from dealer_assets_tests.bench.measure import race
from dealer_assets_tests.bench.peers import profile as peers
from dealer_assets_tests.bench.peers.profile import Book
from dealer_assets_tests.bench.works.field import Field, Size

LEVELS = 121

_ABOUT = """\
Net gamma of a book re-priced at 121 spots over ± 15 %, evenly spaced in log spot; sticky strike.
*worst* is the greatest difference from the 80-bit sum, relative to the profile's peak. The notebook
line stands for a style (`DataFrame.apply` over the chain at each spot), written for this bench."""

_COLUMNS = ("", "ms", "ns a pair", "× ours", "worst")

_Factory = Callable[[Book], Callable[[], Floats]]

_ENTRIES: tuple[tuple[str, str, _Factory], ...] = (
    ("**ours, recurrence**", "", ours.profile_recurrence),
    ("**ours, direct**", "", ours.profile_direct),
    ("*numpy, in place*", "", peers.numpy_in_place),
    ("*numpy, formula at each level*", "", peers.numpy_plain),
    ("*numpy, one broadcast*", "", peers.numpy_broadcast),
    ("*numexpr*", "numexpr", peers.numexpr_rows),
    ("*polars expressions*", "polars", peers.polars_columns),
    ("*DuckDB cross join*", "duckdb", peers.duckdb_cross_join),
)
_NOTEBOOK = "*notebook style, rows × levels*"


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Race and judge."""
    contracts = chain.synthetic_chain(size.contracts, expiries=size.expiries)
    rng = np.random.default_rng(11)
    interest = rng.integers(0, 5000, len(contracts)) * 100.0
    levels = chain.SPOT * np.exp(np.linspace(math.log(0.85), math.log(1.15), LEVELS))
    book = Book(contracts, np.where(contracts.is_call, interest, -interest), levels)
    field, judged = Field(), []
    for name, package, factory in _ENTRIES:
        if field.enter(name, lambda f=factory: f(book), package=package):
            judged.append(_worst(factory, book))
    few = slice(None, None, max(1, len(contracts) // 250))
    small = Book(contracts.take(few), book.position[few], levels[::60])
    share = len(small.contracts) * small.levels.size / (len(contracts) * levels.size)
    if field.enter(_NOTEBOOK, lambda: peers.notebook_loop(small), share=share):
        judged.append(_worst(peers.notebook_loop, small))
    timings = race(field.contenders, rounds=size.rounds)
    pairs = len(contracts) * levels.size
    rows = [
        [
            report.name_of(c),
            report.milliseconds(t.least),
            f"{t.least / pairs * 1e9:.2g}",
            report.ratio(t),
            report.error(worst),
        ]
        for c, t, worst in zip(field.contenders, timings, judged, strict=True)
    ]
    bars = _bars(dict(zip((c.name for c in field.contenders), timings, strict=True)), judged)
    return report.Section("Gamma profile", _ABOUT, _COLUMNS, rows, bars), field.absent


def _bars(found: dict[str, report.Timing], judged: list[float]) -> list[report.Bar]:
    bars = [report.at_most("greatest difference over peak", 1e-12, max(judged[:2]))]
    targets = (
        ("*numpy, in place*", 1.2, 6.0),
        ("*numpy, formula at each level*", 4.0, 25.0),
        ("*DuckDB cross join*", 4.0, 25.0),
    )
    for name, target, hoped in targets:
        if name in found:
            what, times = f"recurrence over {name.strip('*')}", found[name].ratio
            bars.append(report.at_least(what, target, times, hoped=hoped))
    bars.append(report.time_at_most(1.0, found["**ours, recurrence**"], what="recurrence"))
    direct = found.get("**ours, direct**")
    in_place = found.get("*numpy, in place*")
    if direct and in_place:
        over = in_place.ratio / direct.ratio
        bars.append(report.at_least("direct over numpy, in place", 1.2, over, hoped=1.6))
    return bars


def _worst(factory: _Factory, book: Book) -> float:
    exact = peers.exact(book)
    return float(np.abs(factory(book)() - exact).max() / np.abs(exact).max())
