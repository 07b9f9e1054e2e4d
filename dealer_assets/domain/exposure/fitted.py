"""What the levels' uncertainty needs to know of a snapshot's forwards and surface.

Belongs here: from rows of the forwards and surface tables to arrays by expiry slice. Does not
belong here: fitting either, or what is made of them (`band`, `snapshot`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Floats, Ints, floats
from dealer_assets.domain.surface.rows import parameters_from
from dealer_assets.domain.surface.smiles import COLUMNS

Slice = tuple[str, date]


@dataclass(frozen=True)
class Fitted:
    """Forwards and smiles of one snapshot's m expiry slices, in order of root and expiry date.

    Parameters
    ----------
    place : mapping
        Root and expiry date of each slice to its number.
    forward_error : float64 array, shape (m,)
        Standard error of each forward [USD]; NaN where it has none.
    smiles : float64 array, shape (m, COLUMNS)
        Parameters as in `domain/surface/smiles.py`; NaN for a slice without a smile.
    reasons : tuple of str
        Thresholds of quality that the surface does not meet.
    """

    place: Mapping[Slice, int]
    forward_error: Floats
    smiles: Floats
    reasons: tuple[str, ...]

    def slice_id(self, rows: pa.Table) -> Ints:
        """Slice of each contract, shape (n,); -1 for one of a slice that is not here."""
        root = rows["root"].combine_chunks().dictionary_encode()
        day = rows["expiry_date"].combine_chunks().dictionary_encode()
        pair = root.indices.to_numpy().astype(np.int64) * len(day.dictionary)
        pair += day.indices.to_numpy()
        seen, where = np.unique(pair, return_inverse=True)
        roots, days = root.dictionary.to_pylist(), day.dictionary.to_pylist()
        own = [self.place.get((roots[p // len(days)], days[p % len(days)]), -1) for p in seen]
        return np.array(own, np.int64)[where.reshape(-1)]


def _keys(rows: pa.Table) -> list[Slice]:
    return list(zip(rows["root"].to_pylist(), rows["expiry_date"].to_pylist(), strict=True))


def fitted_of(forwards: pa.Table, surface: pa.Table, quality: pa.Table) -> Fitted:
    """Read one snapshot's rows of `FORWARDS`, `VOL_SURFACE` and `SURFACE_QUALITY`.

    Slices that the surface does not have keep NaN smiles.
    """
    place = {key: i for i, key in enumerate(_keys(forwards))}
    known = [(place[key], row) for row, key in enumerate(_keys(surface)) if key in place]
    smiles = np.full((len(place), COLUMNS), np.nan)
    if known:
        to, rows = np.array(known, np.int64).T
        smiles[to] = parameters_from(surface)[rows]
    reasons = quality["reasons"].to_pylist()
    return Fitted(
        place=place,
        forward_error=floats(forwards, "forward_error"),
        smiles=smiles,
        reasons=tuple(reasons[0]) if reasons else (),
    )
