"""Collected histories of OCC's open interest, read into a grid of strikes by session.

Belongs here: the two layouts. Does not belong here: what the figures mean (`occ_history`).

=======  ===============================================================================
layout   shape
=======  ===============================================================================
grid     ``pull_dates: ["10-8", ...]``, ``by_expiration: {"2026-08-21": {"rows": [{"strike",
         "calls": [...], "puts": [...]}]}}``; the lists run along ``pull_dates``
days     ``days: {"10-8": {"2026-08-21": {"7000.0": {"call_oi", "put_oi"}}}}``
=======  ===============================================================================

``D-M`` is the session that opens with the figures, its year the one nearest to ``updated_at``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.sessions import is_session
from dealer_assets.providers.csv_fields import LARGEST_NUMBER, refuse
from dealer_assets.providers.json_fields import read_field

_DAY_MONTH = re.compile(r"(\d{1,2})-(\d{1,2})")


@dataclass(frozen=True)
class Grid:
    """Open interest of R series lines in S sessions.

    Parameters
    ----------
    days : list of date
        Sessions, ascending.
    expiries : datetime64[D] array, shape (R,)
        Expiry of each line.
    strikes : float64 array, shape (R,)
        Strike of each line.
    calls, puts : float64 array, shape (R, S)
        Open interest in contracts.
    """

    days: list[date]
    expiries: NDArray[np.datetime64]
    strikes: NDArray[np.float64]
    calls: NDArray[np.float64]
    puts: NDArray[np.float64]


def read_grid(top: Mapping[str, Any], name: str) -> Grid:
    """Read a history of either layout.

    Raises
    ------
    BadInputError
        When it is neither, names a day that is no session, or an expiry or number that is none.
    """
    return _days(top, name) if "days" in top else _grid(top, name)


def _grid(top: Mapping[str, Any], name: str) -> Grid:
    labels = read_field(top, "pull_dates", list, name=name)
    blocks = read_field(top, "by_expiration", dict, name=name)
    lines = [
        (expiry, row)
        for expiry, block in blocks.items()
        for row in read_field(block, "rows", list, name=name)
    ]
    return _ordered(
        Grid(
            days=_sessions(labels, top, name),
            expiries=_expiries([expiry for expiry, _ in lines], name),
            strikes=_numbers([row.get("strike") for _, row in lines], name=name),
            calls=_matrix([row.get("calls") for _, row in lines], len(labels), name),
            puts=_matrix([row.get("puts") for _, row in lines], len(labels), name),
        )
    )


def _days(top: Mapping[str, Any], name: str) -> Grid:
    blocks = read_field(top, "days", dict, name=name)
    place: dict[tuple[str, str], int] = {}
    cells = []
    for column, expiries in enumerate(blocks.values()):
        for expiry, strikes in expiries.items():
            for strike, found in strikes.items():
                line = place.setdefault((expiry, strike), len(place))
                cells.append((line, column, found.get("call_oi"), found.get("put_oi")))
    calls, puts = np.zeros((2, len(place), len(blocks)))
    where = tuple(np.array([cell[i] for cell in cells], np.int64) for i in (0, 1))
    calls[where] = _numbers([cell[2] for cell in cells], name=name)
    puts[where] = _numbers([cell[3] for cell in cells], name=name)
    return _ordered(
        Grid(
            days=_sessions(list(blocks), top, name),
            expiries=_expiries([expiry for expiry, _ in place], name),
            strikes=_numbers([strike for _, strike in place], name=name),
            calls=calls,
            puts=puts,
        )
    )


def _ordered(grid: Grid) -> Grid:
    order = np.argsort(np.array(grid.days, "datetime64[D]"))
    days = [grid.days[i] for i in order.tolist()]
    return replace(grid, days=days, calls=grid.calls[:, order], puts=grid.puts[:, order])


def _sessions(labels: Sequence[Any], top: Mapping[str, Any], name: str) -> list[date]:
    text = read_field(top, "updated_at", str, name=name)
    try:
        updated = datetime.fromisoformat(text).date()
    except ValueError:
        refuse(name, f"expected an instant in field 'updated_at', found {text!r:.80}")
    found = [_session(label, updated, name) for label in labels]
    if not found or len(set(found)) != len(found):
        refuse(name, f"expected different sessions as D-M, found {labels!r:.200}")
    return found


def _session(label: Any, updated: date, name: str) -> date:
    match = _DAY_MONTH.fullmatch(label) if isinstance(label, str) else None
    candidates = []
    for year in (updated.year - 1, updated.year, updated.year + 1):
        try:
            candidates.append(date(year, int(match[2]), int(match[1])) if match else date.min)
        except ValueError:
            continue
    nearest = min(candidates, key=lambda day: abs(day - updated), default=date.min)
    if abs(nearest - updated) > timedelta(days=366) or not is_session("XNYS", nearest):
        refuse(name, f"expected a session as D-M before {updated}, found {label!r:.40}")
    return nearest


def _expiries(texts: Sequence[str], name: str) -> NDArray[np.datetime64]:
    try:
        return np.array([date.fromisoformat(text) for text in texts], "datetime64[D]")
    except ValueError as error:
        refuse(name, f"expected every expiry as YYYY-MM-DD ({error})")


def _numbers(values: Sequence[Any], *, name: str) -> NDArray[np.float64]:
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        refuse(name, f"expected numbers for strikes and open interest ({error})")
    if found.ndim != 1 or not ((found >= 0.0) & (found < LARGEST_NUMBER)).all():
        refuse(name, "expected strikes and open interest from 0 up, found others")
    return found


def _matrix(rows: Sequence[Any], sessions: int, name: str) -> NDArray[np.float64]:
    if any(not isinstance(row, list) or len(row) != sessions for row in rows):
        refuse(name, f"expected {sessions} values of 'calls' and 'puts' for every strike")
    flat = _numbers([value for row in rows for value in row], name=name)
    return flat.reshape(len(rows), sessions)
