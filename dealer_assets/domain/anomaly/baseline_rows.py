"""A baseline as rows of `tables.FEATURE_BASELINES`, and back to the last bit.

Belongs here: which row tells what. Does not belong here: estimates (`baselines.py`), reading and
writing the lake (`derived/anomalies.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.anomaly.cells import LEVELS, Cells
from dealer_assets.domain.anomaly.pvalues import Curves
from dealer_assets.domain.anomaly.residuals import Habit
from dealer_assets.domain.anomaly.standard import CLASSES, FEATURES, MEASURES
from dealer_assets.domain.columns import Ints, floats, integers, nullable

if TYPE_CHECKING:
    from dealer_assets.domain.anomaly.baselines import Baseline

_TEXTS = ("kind", "measure", "right", "moneyness_bucket", "dte_bucket", "symbol")
_NUMBERS = {"level": 0, "slot": -1, "place": 0, "rows": 0, "sessions": 0}
_VALUES = ("location", "scale")


@dataclass
class _Blocks:
    """Columns of rows of the same kind, block by block."""

    blocks: list[dict[str, Any]] = field(default_factory=list)

    def add(self, count: int, **columns: Any) -> None:
        block: dict[str, Any] = {}
        for name in _TEXTS:
            given = columns.get(name, "")
            repeated = pa.repeat(given, count) if isinstance(given, str) else pa.array(given)
            block[name] = repeated.cast(pa.string())
        for name, usual in _NUMBERS.items():
            block[name] = np.broadcast_to(np.asarray(columns.get(name, usual), np.int64), count)
        for name in _VALUES:
            block[name] = np.broadcast_to(np.asarray(columns.get(name, np.nan), np.float64), count)
        self.blocks.append(block)

    def columns(self) -> dict[str, Any]:
        whole: dict[str, Any] = {}
        for name in _TEXTS:
            whole[name] = pa.chunked_array([b[name] for b in self.blocks], pa.string())
        for name in _NUMBERS:
            whole[name] = pa.array(np.concatenate([b[name] for b in self.blocks]))
        for name in _VALUES:
            whole[name] = nullable(np.concatenate([b[name] for b in self.blocks]))
        return whole


def to_table(
    baseline: Baseline, *, underlying: str, session_date: date, event_at: datetime, known_at: Any
) -> pa.Table:
    """Return a baseline's rows; none for one without history."""
    table = tables.FEATURE_BASELINES
    if not baseline.sessions:
        return table.schema.empty_table()
    blocks = _Blocks()
    days = len(baseline.sessions)
    blocks.add(days, kind="session", place=baseline.sessions)
    _add_cells(blocks, baseline.cells)
    for j, feature in enumerate(FEATURES):
        held = np.flatnonzero(baseline.counts[j] > 0)
        blocks.add(
            held.size,
            kind="contract",
            measure=feature.name,
            symbol=[baseline.symbols[i] for i in held],
            location=baseline.totals[j, held],
            rows=baseline.counts[j, held].astype(np.int64),
        )
        habit = baseline.habits[j]
        blocks.add(
            1, kind="habit", measure=feature.name, location=habit.within, scale=habit.between
        )
    for i, measure in enumerate(MEASURES):
        blocks.add(1, kind="typical", measure=measure.name, scale=baseline.typical[i])
        _add_curves(blocks, "curve", measure.name, baseline.curves[i])
    _add_curves(blocks, "composite", "", baseline.composite)
    columns = blocks.columns()
    n = len(columns["kind"])
    shared = {
        "underlying": underlying,
        "session_date": session_date,
        "event_at": event_at,
        "known_at": known_at,
    }
    columns |= {
        name: pa.repeat(pa.scalar(value, table.schema.field(name).type), n)
        for name, value in shared.items()
    }
    arrays = [_as_type(columns[item.name], item.type) for item in table.schema]
    rows = pa.Table.from_arrays(arrays, schema=table.schema)
    return rows.sort_by([(name, "ascending") for name in table.key])


def from_table(rows: pa.Table) -> Baseline:
    """Return the baseline that rows were made of; one without history of no rows."""
    from dealer_assets.domain.anomaly.baselines import Baseline

    def of(kind: str) -> pa.Table:
        return rows.filter(pc.equal(rows["kind"], kind))

    names = [feature.name for feature in FEATURES]
    measures = [measure.name for measure in MEASURES]
    contracts = of("contract")
    symbols = sorted(set(contracts["symbol"].to_pylist()))
    at = _places(contracts, "measure", names), _places(contracts, "symbol", symbols)
    totals = np.zeros((len(names), len(symbols)))
    counts = np.zeros_like(totals)
    totals[at] = floats(contracts, "location")
    counts[at] = integers(contracts, "rows")
    habits = {
        row["measure"]: Habit(row["location"], row["scale"]) for row in of("habit").to_pylist()
    }
    typical = {row["measure"]: row["scale"] for row in of("typical").to_pylist()}
    points = of("curve")
    return Baseline(
        cells=_cells(of("cell"), names),
        habits=tuple(habits.get(name, Habit(1.0, 0.0)) for name in names),
        typical=np.array([typical.get(name, 0.0) for name in measures]),
        symbols=tuple(symbols),
        totals=totals,
        counts=counts,
        curves=tuple(
            _curves(points.filter(pc.equal(points["measure"], name)), CLASSES) for name in measures
        ),
        composite=_curves(of("composite"), 1),
        sessions=tuple(sorted(of("session")["place"].to_pylist())),
    )


def _as_type(column: Any, kind: pa.DataType) -> pa.ChunkedArray:
    whole = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    return whole.cast(kind)


def _add_cells(blocks: _Blocks, cells: Cells) -> None:
    level, right, moneyness, days, slot = (
        zip(*cells.keys, strict=True) if cells.keys else [()] * len(LEVELS)
    )
    for j, feature in enumerate(FEATURES):
        blocks.add(
            len(cells.keys),
            kind="cell",
            measure=feature.name,
            level=level,
            right=list(right),
            moneyness_bucket=list(moneyness),
            dte_bucket=list(days),
            slot=slot,
            location=cells.location[j],
            scale=cells.scale[j],
            rows=cells.rows[j],
            sessions=cells.sessions[j],
        )


def _add_curves(blocks: _Blocks, kind: str, measure: str, curves: Curves) -> None:
    for group, n in enumerate(curves.sizes.tolist()):
        first, last = int(curves.starts[group]), int(curves.starts[group + 1])
        if first == last:
            continue
        scale = np.full(last - first, np.nan)
        scale[-1] = curves.tails[group]
        above = curves.above[first:last]
        if int(above[-1]) != n:
            raise AssertionError(f"curve of {measure!r} does not end at its least value")
        blocks.add(
            last - first,
            kind=kind,
            measure=measure,
            level=group,
            place=np.arange(last - first),
            location=curves.points[first:last],
            scale=scale,
            rows=above,
        )


def _curves(rows: pa.Table, groups: int) -> Curves:
    rows = rows.sort_by([("level", "ascending"), ("place", "ascending")])
    group, above = integers(rows, "level"), integers(rows, "rows")
    counts = np.bincount(group, minlength=groups)
    ends = np.cumsum(counts)
    scale = floats(rows, "scale")

    def last(values: Any, none: float) -> Any:
        return [values[end - 1] if count else none for end, count in zip(ends, counts, strict=True)]

    return Curves(
        points=floats(rows, "location"),
        above=above,
        starts=np.concatenate([[0], ends]).astype(np.int64),
        sizes=np.array(last(above, 0), np.int64),
        tails=np.array(last(scale, 0.0), np.float64),
    )


def _cells(rows: pa.Table, names: list[str]) -> Cells:
    words = [
        rows[name].to_pylist()
        for name in ("level", "right", "moneyness_bucket", "dte_bucket", "slot")
    ]
    keys = list(zip(*words, strict=True))
    place = {key: i for i, key in enumerate(sorted(set(keys)))}
    column = np.array([place[key] for key in keys], np.int64)
    at = _places(rows, "measure", names), column
    shape = (len(names), len(place))

    def filled(read: Callable[[pa.Table, str], Any], name: str, none: Any) -> Any:
        out = none
        out[at] = read(rows, name)
        return out

    return Cells(
        tuple(place),
        filled(floats, "location", np.full(shape, np.nan)),
        filled(floats, "scale", np.full(shape, np.nan)),
        filled(integers, "rows", np.zeros(shape, np.int64)),
        filled(integers, "sessions", np.zeros(shape, np.int64)),
    )


def _places(rows: pa.Table, name: str, values: list[str]) -> Ints:
    found = pc.index_in(rows[name], value_set=pa.array(values, pa.string()))
    return np.array(found.combine_chunks().to_numpy(zero_copy_only=False)).astype(np.int64)
