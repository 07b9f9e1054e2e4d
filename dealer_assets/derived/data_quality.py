"""Data anomalies in the lake: each snapshot beside those it is compared with, judged and stored.

Belongs here: which parts a snapshot is held against, and storing the verdicts. Does not belong
here: the verdicts (`domain/anomaly/data`), what a blocked snapshot stops (`domain/invariants.py`).

Of what is compared nothing was known later than the snapshot itself; a download of the same
instant that came afterwards changes no verdict. A session of which published open interest is held
and no chain gets one part, of the instant at which the counts were known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.data.holdings import Counts
from dealer_assets.domain.anomaly.data.judgement import anomalies_of, anomalies_of_counts
from dealer_assets.domain.anomaly.data.scene import Scene
from dealer_assets.domain.standstill import FROZEN_AFTER
from dealer_assets.lake.layout import event_at_of, snapshot_part
from dealer_assets.lake.reader import Part, list_parts, read_part
from dealer_assets.lake.refresh import Inputs, Refreshed, refresh_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part
from dealer_assets.tables import Table
from dealer_assets.underlyings import Underlying

_CHAIN = tables.CHAIN_SNAPSHOTS
_NOW, _BEFORE, _EARLIER, _CLOSING = "now", "before", "earlier", "closing"
_COUNTED: Mapping[str, Table] = {
    "counts": tables.OPEN_INTEREST,
    "counts_before": tables.OPEN_INTEREST,
    "rejected": tables.REJECTED_ROWS,
    "coverage": tables.FEED_COVERAGE,
}


@dataclass(frozen=True)
class _Session:
    """The parts of a session, and of the one before, that snapshots are judged by."""

    asset: Underlying
    day: date
    chains: list[Part]
    closing: Part | None
    sources: list[Part]
    counted: dict[str, list[Part]]


def judge_session(
    lake: Lake,
    asset: Underlying,
    session_date: date,
    *,
    only: Collection[str] | None = None,
    rebuild: bool = False,
) -> Refreshed:
    """Bring `data_anomalies` of a session up to date.

    A snapshot that other tables' blocking checks stop is judged too: that is what is to be told.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    only : collection of str, optional
        Names of the chains to be judged, so that a minute costs one; all of the session when
        absent, and only then are parts removed whose chain is gone.
    rebuild : bool
        Judge every snapshot anew.
    """
    table = tables.DATA_ANOMALIES
    where = {"underlying": asset.symbol, "session_date": session_date}
    held = _session(lake, asset, session_date)
    written: list[str] = []
    rows = kept = 0
    names = set()
    for name, inputs in _judged(lake, held):
        names.add(name)
        if only is not None and name not in only:
            continue
        count = refresh_part(
            lake,
            table,
            inputs=inputs,
            name=name,
            derive=lambda read: _judge(read, asset, session_date),
            rebuild=rebuild,
            **where,  # type: ignore[arg-type]
        )
        if count is None:
            kept += 1
            continue
        written.append(name)
        rows += count
    if only is not None:
        return Refreshed(tuple(written), kept, 0, rows)
    gone = {p.name for p in list_parts(lake, table, asset.symbol, session_date)} - names
    for name in gone:
        delete_part(lake, table, name=name, **where)  # type: ignore[arg-type]
    return Refreshed(tuple(written), kept, len(gone), rows)


def _session(lake: Lake, asset: Underlying, day: date) -> _Session:
    def parts(table: Table, of: date) -> list[Part]:
        return list_parts(lake, table, asset.symbol, of)

    before = sessions.previous_session(asset.calendar, day)
    days = {"counts_before": before}
    return _Session(
        asset,
        day,
        chains=parts(_CHAIN, day),
        closing=next(reversed(parts(_CHAIN, before)), None),
        sources=parts(tables.CHAIN_SOURCES, day),
        counted={name: parts(table, days.get(name, day)) for name, table in _COUNTED.items()},
    )


_Inputs = dict[str, tuple[Table, Part]]


def _judged(lake: Lake, held: _Session) -> Iterator[tuple[str, _Inputs]]:
    """Yield each part to be made, and what it is made of."""
    counted = {
        f"{name}.{part.name}": (_COUNTED[name], part)
        for name, parts in held.counted.items()
        for part in parts
    }
    for i, part in enumerate(held.chains):
        yield part.name, _of_snapshot(held, i) | counted
    if not held.chains and held.counted["counts"]:
        parts = [read_part(lake, tables.OPEN_INTEREST, p) for p in held.counted["counts"]]
        yield snapshot_part(max(pc.max(rows["known_at"]).as_py() for rows in parts)), counted


def _of_snapshot(held: _Session, place: int) -> _Inputs:
    part = held.chains[place]
    at = event_at_of(part.name, held.day)
    inputs = {_NOW: (_CHAIN, part)}
    if held.closing is not None:
        inputs[_CLOSING] = (_CHAIN, held.closing)
    if place:
        inputs[_BEFORE] = (_CHAIN, held.chains[place - 1])
    old = [p for p in held.chains[:place] if at - event_at_of(p.name, held.day) >= FROZEN_AFTER]
    if old:
        inputs[_EARLIER] = (_CHAIN, old[-1])
    ours = [p for p in held.sources if event_at_of(p.name, held.day) == at]
    return inputs | {f"sources.{p.name}": (tables.CHAIN_SOURCES, p) for p in ours}


def _judge(read: Inputs, asset: Underlying, day: date) -> pa.Table:
    if _NOW not in read:
        counts = _counts(read, day, until=None)
        return anomalies_of_counts(counts, underlying=asset.symbol)
    now = read[_NOW]
    known = pc.max(now["known_at"]).as_py()

    def seen(name: str) -> pa.Table:
        """Rows of another snapshot, if all of it was known when this one was."""
        rows = read.get(name, _CHAIN.schema.empty_table())
        return rows if rows.num_rows and pc.max(rows["known_at"]).as_py() <= known else rows[:0]

    sources = _all(read, "sources", tables.CHAIN_SOURCES, until=known)
    scene = Scene(asset, now, seen(_BEFORE), seen(_EARLIER), seen(_CLOSING), sources)
    return anomalies_of(scene, _counts(read, day, until=known))


def _counts(read: Inputs, day: date, *, until: datetime | None) -> Counts:
    held = {name: _all(read, name, table, until=until) for name, table in _COUNTED.items()}
    return Counts(day, held["counts"], held["counts_before"], held["rejected"], held["coverage"])


def _all(read: Inputs, name: str, table: Table, *, until: datetime | None) -> pa.Table:
    """Rows of all parts read under a name, known by an instant."""
    parts = [rows for key, rows in read.items() if key.startswith(f"{name}.")]
    rows = pa.concat_tables([table.schema.empty_table(), *parts])
    return rows if until is None else rows.filter(pc.less_equal(rows["known_at"], until))
