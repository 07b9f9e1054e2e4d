"""Race for anomaly scores: 60 sessions of 7 polls of 5,000 contracts, every feature.

Belongs here: inputs, the plain rule beside ours, judging, table. Does not belong here: the market
(`dealer_assets_tests.anomaly_market`).
"""

import resource

import numpy as np

from dealer_assets_tests.anomaly_market import between, made_up
from dealer_assets_tests.bench import report
from dealer_assets_tests.bench.measure import race
from dealer_assets_tests.bench.works.field import Field, Size

SESSIONS = 60
_CONTRACTS = 5_000
_MAD = 1.4826

_ABOUT = """\
{rows:,} rows of {contracts:,} contracts, {sessions} sessions, all twelve features told. *History*
fits cells, contracts' own effects and ranks, and scores every row of it; *one poll* scores the next
one against it; the *plain rule* is |log volume - median| over MAD > 3 of the whole history, no
cells, no ranks, no control. Peak memory of the process, market included: {memory:.2f} GB."""

_COLUMNS = ("", "ms", "ns a row and measure", "× ours")


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Race and judge."""
    from dealer_assets.domain.anomaly.baselines import fit
    from dealer_assets.domain.anomaly.scores import score, score_history
    from dealer_assets.domain.anomaly.standard import MEASURES

    is_whole = size.contracts >= _CONTRACTS
    grid = {"strikes": 380, "expiries": 20} if is_whole else {"strikes": 20, "expiries": 3}
    sessions = SESSIONS if is_whole else 22
    market = made_up(sessions + 1, **grid)
    market.values[8:] = np.random.default_rng(3).random(market.values[8:].shape)
    history, after = between(market, 0, sessions), between(market, sessions, sessions + 1)
    poll = after.take(np.arange(after.starts[1]))
    del market
    baseline = fit(history)
    volume = history.values[0]
    field = Field()
    field.enter("**ours, history**", lambda: lambda: score_history(history))
    field.enter("**ours, one poll**", lambda: lambda: score(baseline, poll))
    field.enter("*plain rule, history*", lambda: lambda: _plain(volume))
    timings = race(field.contenders, rounds=min(size.rounds, 3))
    found = {c.name: t for c, t in zip(field.contenders, timings, strict=True)}
    sizes = (history.size, poll.size, history.size)
    rows = [
        [
            report.name_of(c),
            report.milliseconds(t.least),
            f"{t.least / n / len(MEASURES) * 1e9:.2g}",
            report.ratio(t),
        ]
        for c, t, n in zip(field.contenders, timings, sizes, strict=True)
    ]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    bars = [
        report.time_at_most(3_000.0, found["**ours, history**"], what="history"),
        report.time_at_most(300.0, found["**ours, one poll**"], what="one poll"),
    ]
    about = _ABOUT.format(
        rows=history.size,
        contracts=history.size // (history.starts.size - 1),
        sessions=sessions,
        memory=memory,
    )
    return report.Section("Anomaly scores", about, _COLUMNS, rows, bars), field.absent


def _plain(volume: np.ndarray) -> np.ndarray:
    y = np.log1p(volume)
    middle = np.median(y)
    return np.abs(y - middle) > 3.0 * _MAD * np.median(np.abs(y - middle))
