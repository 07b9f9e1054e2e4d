"""A measure's earlier polls: which of them a poll may be compared with.

Belongs here: choosing from rows of earlier sessions. Does not belong here: reading them
(`derived/measuring`), the comparison (`standing`).

One poll a session: at the same slot; where too few sessions have one, that nearest to it within two
hours; where those are too few as well, the session's last. What grows over a session is compared at
the same slot only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.anomaly.underlying.measures import MEASURES, Measure
from dealer_assets.domain.columns import Bools, Floats, Ints, floats, integers

HISTORY_SESSIONS = 60
"""Sessions of the calendar that are looked back."""

LEAST_SESSIONS = 20
"""Under this many a history is thin: it shows, but makes no anomaly."""

NEAR_HOURS = 2
COLUMNS = (
    "session_date",
    "event_at",
    "known_at",
    "slot",
    "spot",
    "measure",
    "value",
    "model",
    "is_simulated",
)
"""Columns of `underlying_scores` that a history is made of."""


@dataclass(frozen=True)
class Past:
    """What one measure of a poll is compared with.

    Parameters
    ----------
    values : numpy.ndarray
        One a session, ascending in time, shape (n,).
    source : str
        ``slot``, ``near``, ``closings`` or ``none``.
    """

    values: Floats
    source: str


@dataclass(frozen=True)
class _Series:
    days: Ints
    slots: Ints
    known: Ints
    values: Floats


class History:
    """Measures of earlier sessions, all from one kind of chain and under one model.

    Parameters
    ----------
    rows : pyarrow.Table
        `COLUMNS` of `tables.UNDERLYING_SCORES` of earlier sessions, any order.
    model : str
        Position model; rows of another are left out.
    is_simulated : bool
        Simulated and real rows never serve each other.
    """

    def __init__(self, rows: pa.Table, *, model: str, is_simulated: bool) -> None:
        same = pc.and_(pc.equal(rows["model"], model), pc.equal(rows["is_simulated"], is_simulated))
        self._rows = rows.filter(same).sort_by([("event_at", "ascending")])
        self._by_measure = {measure.name: self._series(measure) for measure in MEASURES}

    def _series(self, measure: Measure) -> _Series:
        rows = self._rows.filter(pc.equal(self._rows["measure"], measure.name))
        rows = rows.filter(pc.is_valid(rows["value"]))
        return _Series(
            days=integers(rows, "session_date"),
            slots=integers(rows, "slot"),
            known=integers(rows, "known_at"),
            values=floats(rows, "value"),
        )

    def past(self, measure: Measure, slot: int, *, known_at: datetime) -> Past:
        """Return what a measure of a poll at a slot is compared with.

        Rows known only after the poll are not there. The first choice with `LEAST_SESSIONS` is
        taken; where none has as many, the one with most.
        """
        series = self._by_measure[measure.name]
        usable = series.known <= _microseconds(known_at)
        choices = [("slot", usable & (series.slots == slot))]
        if not measure.is_running:
            choices.append(("near", usable & (np.abs(series.slots - slot) <= NEAR_HOURS)))
            choices.append(("closings", usable))
        best = Past(np.empty(0), "none")
        for source, chosen in choices:
            place = _one_a_session(series, chosen, slot if source != "closings" else None)
            if place.size > best.values.size:
                best = Past(series.values[place], source)
            if best.values.size >= LEAST_SESSIONS:
                break
        return best

    def closes(self, days: Ints, *, known_at: datetime) -> Floats:
        """Return the spot of the last poll of sessions, NaN where not held, shape of `days`.

        Parameters
        ----------
        days : numpy.ndarray
            Session dates as days since 1970.
        known_at : datetime.datetime
            Rows known later are not there.
        """
        known = integers(self._rows, "known_at") <= _microseconds(known_at)
        held, spot = integers(self._rows, "session_date")[known], floats(self._rows, "spot")[known]
        last = dict(zip(held.tolist(), spot.tolist(), strict=True))  # ascending: the last stays
        return np.array([last.get(day, np.nan) for day in days.tolist()])


def _one_a_session(series: _Series, chosen: Bools, slot: int | None) -> Ints:
    """Return places of one poll a session: the nearest to a slot, or the last."""
    place = np.flatnonzero(chosen)
    away = -series.slots[place] if slot is None else np.abs(series.slots[place] - slot)
    order = np.lexsort((away, series.days[place]))
    place = place[order]
    first = np.diff(series.days[place], prepend=-1) != 0
    return np.asarray(place[first], np.int64)


def _microseconds(instant: datetime) -> int:
    return pa.scalar(instant, pa.timestamp("us", tz="UTC")).cast(pa.int64()).as_py()  # type: ignore[no-any-return]
