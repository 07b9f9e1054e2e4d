"""Race for the sides of trades: how often right, and how fast, where sides are known.

Belongs here: tapes, judging, table. Does not belong here: calling others (`peers.sides`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.flow.classify import BatchOptions, Classified, classify
from dealer_assets.domain.flow.conditions import COMPARABLE
from dealer_assets.tables.live import TRADE_CLASSES
from dealer_assets_tests.bench import report
from dealer_assets_tests.bench.measure import race
from dealer_assets_tests.bench.peers import sides as peers
from dealer_assets_tests.bench.works.field import RECORDED, Field, Size
from dealer_assets_tests.labelled_tapes import LabelledTape, perpetual, simulated

DAY = date(2026, 11, 20)
STACK = "tclf, Grauer's stack"

_WHOLE = (("SPX", 0.002, 300), ("SPY", 0.01, 300))
_SMALL = (("XSP", 0.02, 60),)
"""Underlying, density of the listing, contracts with quotes."""

_ABOUT = """\
The customer's side of every print: {tapes}. *right* counts a print without a side as half right, as
a coin would have it; *of signed* leaves those out. *order book* are prints that can be compared
with a quote at all, without packages' legs and late reports. Ours goes from tables to sides: it
puts the tape in order, finds the quote that stood, nets cancels, and knows nothing of later prints.
tclf starts from a matrix with quotes and the next price in place, prepared outside the timing;
*from tables* our own functions prepare it inside. Its stack uses that next price (`rev_tick`).
Single rules are code of the bench."""

_COLUMNS = ("tape", "", "ms", "× ours", "right", "order book", "of signed", "signed")


@dataclass(frozen=True)
class _Judged:
    whole: float
    book: float
    of_signed: float
    signed: float

    @property
    def cells(self) -> list[str]:
        return [f"{v:.1%}" for v in (self.whole, self.book, self.of_signed, self.signed)]


@dataclass(frozen=True)
class _Run:
    """A tape with ours found once, for truth and quotes in the order of prints."""

    name: str
    tape: LabelledTape
    options: BatchOptions
    found: Classified

    def judge(self, sign: NDArray[np.float64]) -> _Judged:
        assert self.tape.is_buy is not None
        truth = np.where(self.tape.is_buy[self.found.tape.row], 1.0, -1.0)
        stands = self.found.stands
        comparable = np.array([name in COMPARABLE for name in TRADE_CLASSES])
        book = stands & comparable[self.found.trade_class]
        score = 0.5 + 0.5 * sign * truth
        signed = stands & (sign != 0.0)
        return _Judged(
            whole=float(score[stands].mean()),
            book=float(score[book].mean()),
            of_signed=float(score[signed].mean()) if signed.any() else float("nan"),
            signed=float(signed[stands].mean()),
        )


def _tapes(size: Size) -> list[_Run]:
    """Index and share, simulated; a day of a perpetual where recorded data are."""
    chosen = _SMALL if size.contracts < Size.contracts else _WHOLE
    runs = []
    for symbol, density, quoted in chosen:
        tape = simulated(symbol, DAY, density=density, quoted=quoted)
        runs.append(_run(f"{symbol}, simulated", tape, BatchOptions()))
    data = RECORDED.parents[1]
    if (data / "trade_side").exists():
        options = BatchOptions(uses_taker=False, uses_deltas=False, tick_floor_usd=1e-6)
        runs.append(_run("perpetual, recorded", perpetual(data), options))
    return runs


def _run(name: str, tape: LabelledTape, options: BatchOptions) -> _Run:
    return _Run(name, tape, options, classify(*tape.rows.values(), options=options))


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Race and judge on every tape."""
    rows, bars, absent, said = [], [], [], []
    for one in _tapes(size):
        said.append(f"{one.name} ({len(one.found.tape):,} prints)")
        field, signs = Field(), []
        trades = peers.prepared(one.found)
        for name, package, make in _entries(one, trades):
            if field.enter(name, lambda m=make: m, package=package):
                signs.append(np.asarray(make(), np.float64))
        timings = race(field.contenders, rounds=max(1, size.rounds // 3))
        judged = [one.judge(sign) for sign in signs]
        rows += [
            [one.name, report.name_of(c), report.milliseconds(t.least), report.ratio(t), *j.cells]
            for c, t, j in zip(field.contenders, timings, judged, strict=True)
        ]
        found = dict(zip((c.name for c in field.contenders), judged, strict=True))
        absent += field.absent
        stack = found.get(STACK)
        if stack is not None:
            bars.append(_at_least_theirs(f"right of the order book, {one.name}", judged[0], stack))
    about = _ABOUT.format(tapes="; ".join(said))
    return report.Section("Sides of trades", about, _COLUMNS, rows, bars), list(
        dict.fromkeys(absent)
    )


def _at_least_theirs(what: str, ours: _Judged, theirs: _Judged) -> report.Bar:
    verdict = "met" if ours.book >= theirs.book else "missed"
    return report.Bar(what, f"≥ {theirs.book:.1%} (tclf)", "", f"{ours.book:.1%}", verdict)


def _entries(
    one: _Run, trades: peers.Trades
) -> list[tuple[str, str, Callable[[], NDArray[np.floating] | NDArray[np.int8]]]]:
    tables = tuple(one.tape.rows.values())
    entries: list[tuple[str, str, Callable[[], NDArray[np.floating] | NDArray[np.int8]]]] = [
        ("**ours, tables to sides**", "", lambda: classify(*tables, options=one.options).sign)
    ]
    try:
        theirs = peers.tclf_stack(trades)
    except Exception as reason:  # noqa: BLE001 - the field notes who is absent
        failed = reason

        def theirs() -> NDArray[np.float64]:
            raise failed

    entries.append((STACK, "tclf", theirs))
    entries.append((f"{STACK}, from tables", "tclf", lambda: peers.tclf_from_tables(*tables)))
    entries += [(name, "", lambda r=rule: r(trades)) for name, rule in peers.ALONE.items()]
    return entries
