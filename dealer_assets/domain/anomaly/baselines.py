"""What is usual: fitted to the features of the sessions before, stored, and read back exactly.

Belongs here: estimating cells, habits and the curves that values are ranked in. Does not belong
here: scoring what is new (`scores.py`), storing (`baseline_rows.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar

import numpy as np
import pyarrow as pa

from dealer_assets.domain.anomaly import baseline_rows
from dealer_assets.domain.anomaly.cells import Cells, Layout
from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.pvalues import Curves, composite, curves_of
from dealer_assets.domain.anomaly.residuals import (
    Centred,
    Habit,
    against_own,
    centred,
    count_burst,
    habit_of,
    level_burst,
    scaled_of,
    temper,
)
from dealer_assets.domain.anomaly.standard import (
    BURSTS,
    CLASSES,
    FEATURES,
    MEASURES,
    Measure,
    classes_of,
)
from dealer_assets.domain.columns import Floats, Ints

WINDOW_SESSIONS = 60
"""Sessions of history."""

LEAST_SESSIONS = 20
"""With fewer nothing is marked: `thin`."""

_WORKERS = 2
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Baseline:
    """What is usual for an underlying's monitored contracts.

    Parameters
    ----------
    cells : Cells
        Location and scale by cell.
    habits : tuple of Habit
        One a feature.
    typical : float64 array, shape (measures,)
        Spread of a measure within a usual snapshot.
    symbols : tuple of str
        Contracts of history.
    totals, counts : float64 array, shape (features, symbols)
        Sum of session means of each contract's residual, and sessions.
    curves : tuple of Curves
        One a measure, in classes of liquidity.
    composite : Curves
        Of the history's own composites, all classes in one.
    sessions : tuple of int
        Sessions of history, days since 1970.
    """

    cells: Cells
    habits: tuple[Habit, ...]
    typical: Floats
    symbols: tuple[str, ...]
    totals: Floats
    counts: Floats
    curves: tuple[Curves, ...]
    composite: Curves
    sessions: tuple[int, ...]

    @property
    def history_status(self) -> str:
        """``none``, ``thin`` (nothing is marked) or ``ok``."""
        if not self.sessions:
            return "none"
        return "ok" if len(self.sessions) >= LEAST_SESSIONS else "thin"

    def to_table(
        self, *, underlying: str, session_date: date, event_at: datetime, known_at: datetime
    ) -> pa.Table:
        """Return it as rows of `tables.FEATURE_BASELINES`; see `baseline_rows`."""
        return baseline_rows.to_table(
            self,
            underlying=underlying,
            session_date=session_date,
            event_at=event_at,
            known_at=known_at,
        )

    @classmethod
    def from_table(cls, rows: pa.Table) -> Baseline:
        """Return the baseline that rows were made of: it scores to the same last bit."""
        return baseline_rows.from_table(rows)


@dataclass
class Standardised:
    """Every measure of some rows; filled feature by feature.

    Parameters
    ----------
    z : float64 array, shape (measures, n)
        One-sided measures as they are, two-sided ones with their sign.
    usual : float64 array, shape (features, n)
        What was usual, on the scale of comparison.
    level : int64 array, shape (features, cells)
        Level of back-off of each cell.
    shift : float64 array, shape (features, snapshots)
        What was taken out of a whole snapshot, in cell scales.
    classes : int64 array, shape (n,)
        Class of liquidity of each row.
    bases : dict of int to (Centred, float64 array)
        Features that bursts are made of, with contracts' own effects.
    """

    z: Floats
    usual: Floats
    level: Ints
    shift: Floats
    classes: Ints
    bases: dict[int, tuple[Centred, Floats]] = field(default_factory=dict)

    @classmethod
    def empty(cls, features: Features, *, usual: int = len(FEATURES)) -> Standardised:
        """Make room; of a long history what was usual is kept of the first features alone."""
        n, count = features.size, len(FEATURES)
        return cls(
            np.full((len(MEASURES), n), np.nan),
            np.full((usual, n), np.nan),
            np.zeros((count, len(features.cells)), np.int64),
            np.zeros((count, features.starts.size - 1)),
            np.zeros(n, np.int64),
        )


def in_parallel(work: Callable[[_Item], _Made], items: Iterable[_Item]) -> list[_Made]:
    """Work through items on both cores: kernels and numpy release the lock."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(work, items))


def magnitude(measure: Measure, z: Floats) -> Floats:
    """Return what is ranked: the size where low values are unusual too."""
    return np.abs(z) if measure.side == "both" else z


def fit(history: Features) -> Baseline:
    """Fit what is usual to the sessions before.

    Parameters
    ----------
    history : Features
        Sessions before the one that will be scored, up to `WINDOW_SESSIONS`.

    Returns
    -------
    Baseline
        Without rows: one with status ``none``.

    Notes
    -----
    A contract's own effect on a session is that of the sessions before it, in history as later on,
    so that the curves hold what scoring will meet. Cells are those of all sessions.
    """
    return fit_and_rank(history)[0]


def fit_and_rank(history: Features) -> tuple[Baseline, Standardised, Floats, Floats]:
    """Return the baseline with its history's measures, p-values and composites."""
    layout = Layout.of(history)
    count, keys = len(FEATURES), len(layout.keys)
    cells = Cells(
        layout.keys,
        np.full((count, keys), np.nan),
        np.full((count, keys), np.nan),
        np.zeros((count, keys), np.int64),
        np.zeros((count, keys), np.int64),
    )
    made = Standardised.empty(history, usual=1)
    totals = np.zeros((count, len(history.symbols)))
    counts = np.zeros_like(totals)
    habits = [Habit(1.0, 0.0)] * count
    typical = np.zeros(len(MEASURES))
    p = np.empty_like(made.z)
    curves: list[Curves | None] = [None] * len(MEASURES)

    def rank(i: int) -> None:
        values = magnitude(MEASURES[i], made.z[i])
        curves[i] = found = curves_of(values, made.classes, count=CLASSES)
        found.p_values(values, made.classes, extended=True, out=p[i])

    def one(j: int) -> None:
        measure = FEATURES[j]
        y = scaled_of(history, j, measure)
        if not np.isnan(y).all():
            (
                cells.location[j],
                cells.scale[j],
                cells.rows[j],
                cells.sessions[j],
            ) = layout.statistics(y, history.session)
            location, scale, made.level[j] = cells.resolve(j, history.cells)
            found = centred(history, y, measure, location, scale)
            habits[j] = habit_of(history, found.u)
            _standardise(made, history, j, found, habits[j], totals[j], counts[j])
            typical[j] = temper(history, made.z[j], found.tells)

    def finish(i: int) -> None:
        found = _burst(made, history, i, MEASURES[i]) if i >= count else None
        if found is not None:
            typical[i] = temper(history, made.z[i], found.tells)
        rank(i)

    in_parallel(one, range(count))
    made.classes[:] = classes_of(np.expm1(made.usual[0]))
    in_parallel(finish, range(len(MEASURES)))
    overall = composite(p)
    baseline = Baseline(
        cells,
        tuple(habits),
        typical,
        history.symbols,
        totals,
        counts,
        tuple(found for found in curves if found is not None),
        curves_of(overall, np.zeros(history.size, np.int64), count=1),
        tuple(int(day) for day in history.sessions),
    )
    return baseline, made, p, overall


def standardise(baseline: Baseline, now: Features) -> Standardised:
    """Standardise new rows as history's were; rows of several sessions go on from one another."""
    made = Standardised.empty(now)
    if not baseline.sessions or not baseline.symbols:
        return made
    known = {symbol: i for i, symbol in enumerate(baseline.symbols)}
    place = np.array([known.get(symbol, -1) for symbol in now.symbols], np.int64)

    def one(j: int) -> None:
        measure = FEATURES[j]
        y = scaled_of(now, j, measure)
        if np.isnan(y).all():
            return
        location, scale, made.level[j] = baseline.cells.resolve(j, now.cells)
        found = centred(now, y, measure, location, scale)
        totals = np.where(place >= 0, baseline.totals[j, place], 0.0)
        counts = np.where(place >= 0, baseline.counts[j, place], 0.0)
        _standardise(made, now, j, found, baseline.habits[j], totals, counts)
        temper(now, made.z[j], found.tells, baseline.typical[j])

    for j in range(len(FEATURES)):
        one(j)
    made.classes[:] = classes_of(np.expm1(made.usual[0]))
    for i, measure in enumerate(BURSTS, start=len(FEATURES)):
        if (found := _burst(made, now, i, measure)) is not None:
            temper(now, made.z[i], found.tells, baseline.typical[i])
    return made


def _standardise(
    made: Standardised,
    features: Features,
    j: int,
    found: Centred,
    habit: Habit,
    totals: Floats,
    counts: Floats,
) -> None:
    done = against_own(features, FEATURES[j], found, habit, totals, counts)
    made.z[j], made.shift[j] = done.z, found.shift
    if j < len(made.usual):
        made.usual[j] = done.usual
    if any(burst.burst_of == FEATURES[j].name for burst in BURSTS):
        made.bases[j] = found, done.own


def _burst(made: Standardised, features: Features, i: int, measure: Measure) -> Centred | None:
    j = next(k for k, feature in enumerate(FEATURES) if feature.name == measure.burst_of)
    if j not in made.bases:
        return None
    found, own = made.bases[j]
    made.z[i] = (
        count_burst(features, j, made.usual[j])
        if measure.is_count
        else level_burst(features, found, own)
    )
    return found
