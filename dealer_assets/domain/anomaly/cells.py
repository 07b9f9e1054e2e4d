"""Cells of like contracts at the same hour, and their parents where a cell is thin.

Belongs here: which cell a row is in at each level, and which level a feature takes. Does not belong
here: the edges of the buckets (`universe.py`), what is done with location and scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.columns import Floats, Ints

Key = tuple[int, str, str, str, int]
"""Level, right, bucket of moneyness, bucket of days to expiry, slot; blank and -1: any."""

LEVELS = ("right, moneyness, days, hour", "right, days, hour", "right, hour", "hour", "all")
"""From the cell itself to its last parent: the hour is given up last, a day's shape is steep."""

LEAST_ROWS = 30
LEAST_SESSIONS = 10
"""A cell with fewer rows or sessions leaves a feature to its parent."""

_MOST_ROWS = 4_096
"""Of a cell with more, every so many-th row goes into the median: it is off by 2 % of a
standard deviation at most."""


def parent(cell: tuple[str, str, str, int], level: int) -> Key:
    """Return the key of a row's cell at a level."""
    right, moneyness, days, slot = cell
    return (
        level,
        right if level <= 2 else "",
        moneyness if level == 0 else "",
        days if level <= 1 else "",
        slot if level <= 3 else -1,
    )


@dataclass(frozen=True)
class Cells:
    """Location and scale of every feature in every cell of every level.

    Parameters
    ----------
    keys : tuple of Key
        Cells.
    location, scale : float64 array, shape (features, cells)
        On the scale of comparison; NaN where nothing is held.
    rows, sessions : int64 array, shape (features, cells)
        Behind each; of a parent the sessions of its best child, which is never too many.
    """

    keys: tuple[Key, ...]
    location: Floats
    scale: Floats
    rows: Ints
    sessions: Ints

    def resolve(
        self, feature: int, cells: Sequence[tuple[str, str, str, int]]
    ) -> tuple[Floats, Floats, Ints]:
        """Return location, scale and level for each cell, each of shape (cells,).

        The first level with enough rows and sessions; where none has, the last that has any.
        """
        place = {key: i for i, key in enumerate(self.keys)}
        found = np.full(len(cells), -1)
        level = np.full(len(cells), len(LEVELS) - 1)
        enough = (self.rows[feature] >= LEAST_ROWS) & (self.sessions[feature] >= LEAST_SESSIONS)
        for number, cell in enumerate(cells):
            for depth in range(len(LEVELS)):
                at = place.get(parent(cell, depth), -1)
                if at >= 0 and self.rows[feature, at]:
                    found[number], level[number] = at, depth
                    if enough[at]:
                        break
        if not place:
            return np.full(len(cells), np.nan), np.full(len(cells), np.nan), level
        location = np.where(found >= 0, self.location[feature, found], np.nan)
        scale = np.where(found >= 0, self.scale[feature, found], np.nan)
        return location, scale, level


@dataclass(frozen=True)
class Layout:
    """Rows of a history listed cell by cell, at every level: the same for every feature."""

    keys: tuple[Key, ...]
    order: Ints
    starts: Ints
    parents: Ints
    own: int
    """So many of `keys` are cells of level 0."""

    @classmethod
    def of(cls, features: Features) -> Layout:
        """Lay out a history."""
        keys = [parent(cell, 0) for cell in features.cells]
        own = len(keys)
        place: dict[Key, int] = {}
        parents = np.zeros((len(LEVELS) - 1, own), np.int64)
        for depth in range(1, len(LEVELS)):
            for number, cell in enumerate(features.cells):
                key = parent(cell, depth)
                if key not in place:
                    place[key] = len(keys)
                    keys.append(key)
                parents[depth - 1, number] = place[key]
        codes = [features.cell, *(of_level[features.cell] for of_level in parents)]
        lists, sizes = [], np.zeros(len(keys), np.int64)
        for depth, code in enumerate(codes):
            order, counts = _listed(code, len(keys), thinned=depth > 0)
            lists.append(order)
            sizes += counts
        # keys of a level follow those of the level before, so the lists join in order of keys
        return cls(
            tuple(keys),
            np.concatenate(lists),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            parents,
            own,
        )

    def statistics(self, y: Floats, session: Ints) -> tuple[Floats, Floats, Ints, Ints]:
        """Return location, scale, rows, sessions of each cell for one feature."""
        from dealer_assets.domain.kernels.anomaly import cell_statistics

        count = len(self.keys)
        location, scale = np.empty(count), np.empty(count)
        rows, sessions = np.empty(count, np.int64), np.empty(count, np.int64)
        cell_statistics(
            y, self.order, self.starts, session, _MOST_ROWS, location, scale, rows, sessions
        )
        for of_level in self.parents:
            for values, ufunc in ((rows, np.add), (sessions, np.maximum)):
                values[np.unique(of_level)] = 0
                ufunc.at(values, of_level, values[: self.own])
        return location, scale, rows, sessions


def _listed(code: Ints, count: int, *, thinned: bool) -> tuple[Ints, Ints]:
    """Return rows listed by code, in time order within each, and how many of each code."""
    small = code.astype(np.int16) if count < 2**15 else code
    order = np.argsort(small, kind="stable").astype(np.int64)
    sizes = np.bincount(code, minlength=count)
    if not thinned or not code.size:
        return order, sizes
    begins = np.cumsum(sizes) - sizes
    sorted_code = code[order]
    step = 1 + (np.maximum(sizes, 1) - 1) // _MOST_ROWS
    kept = (np.arange(code.size) - begins[sorted_code]) % step[sorted_code] == 0
    order = order[kept]
    return order, np.bincount(code[order], minlength=count)
