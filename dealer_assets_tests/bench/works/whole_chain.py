"""One recorded chain through the whole of the domain, step by step.

Belongs here: timing the product on real quotes. Does not belong here: peers, which have no such
line; the recorded file, which is never committed.
"""

from dealer_assets_tests.bench import ours, report
from dealer_assets_tests.bench.measure import race
from dealer_assets_tests.bench.works.field import RECORDED, Field, Size

_ABOUT = """\
A recorded SPX chain of {count:,} contracts, all expiries, from rows in memory to rows in memory:
what one minute of the schedule computes. No peer has this line. The band comes on top where it is
asked for."""

_COLUMNS = ("step", "ms")


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Time the steps, unless the recorded data is not there."""
    title = "A whole recorded chain"
    if not RECORDED.exists():
        reason = f"Recorded data not found: expected ../shared/data/cboe_csv/{RECORDED.name}."
        return report.Section(title, reason), [(title, reason)]
    count, steps = ours.whole_chain(RECORDED)
    field = Field()
    for name, step in steps.items():
        field.enter(name, lambda s=step: s)
    timings = race(field.contenders, rounds=size.rounds)
    rows = [
        [c.name, report.milliseconds(t.least)]
        for c, t in zip(field.contenders, timings, strict=True)
    ]
    least = {c.name: t for c, t in zip(field.contenders, timings, strict=True)}
    bars = [
        report.time_at_most(60.0, least[ours.TO_LEVELS], what="rows to levels, no band"),
        report.time_at_most(1000.0, least[ours.BAND], what="band of 200 draws each"),
    ]
    return report.Section(title, _ABOUT.format(count=count), _COLUMNS, rows, bars), field.absent
