"""The exposures of an index group as one: SPX, SPY and XSP in the same dollars.

Belongs here: mapping strikes to points of the index, adding members up, the flip of the sum. Does
not belong here: a member's own exposures (`aggregate`), finding snapshots that belong together
(`combining`). Source: `docs/methods/metrics.md`.

Dollars of delta per 1 % are the same thing whatever they are hedged with, so members add up. Points
do not: a member's strikes are scaled by the ratio of spots and put on a grid of five points. Never
two models in one sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Floats, floats
from dealer_assets.domain.conventions import (
    FLIP_ERROR_SHARE,
    FLIP_FAR_SHARE,
    FLIP_OI_ERROR,
    PER_PCT,
)

REFERENCE = "SPX"
"""The member whose snapshots and points the group has."""

TOTAL = "total"
STRIKE_STEP_POINTS = 5.0
"""SPX's own strikes lie on it and stay; others go to the nearest."""

BLURRED_SHARE = 0.5
"""Beyond this part of gross gamma in members whose own flip is ill-conditioned, the total's is so
too: their positions' and quotes' errors are its errors."""

_NETS = tuple(c.name for c in tables.base.exposures())
_GAMMA = "gamma_exposure_usd_per_pct"
_GROSS = "gross_gamma_exposure_usd_per_pct"


@dataclass(frozen=True)
class Member:
    """One member's snapshot, all models.

    Parameters
    ----------
    exposures, levels, profile : pyarrow.Table
        `tables.DEALER_EXPOSURE`, `EXPOSURE_LEVELS` and `GAMMA_PROFILE` rows of one snapshot.
    """

    exposures: pa.Table
    levels: pa.Table
    profile: pa.Table


@dataclass(frozen=True)
class _Held:
    """One member under one model."""

    symbol: str
    known_at: datetime
    level: Mapping[str, Any]
    exposures: pa.Table
    moves: Floats
    gamma: Floats
    points: float


def combined_exposure(members: Mapping[str, Member], *, group: str) -> pa.Table:
    """Sum every member's exposures by strike in points.

    Parameters
    ----------
    members : mapping of str to Member
        By symbol, none later than `REFERENCE`'s snapshot; without that one there are no rows.
    group : str
        Name of the group.

    Returns
    -------
    pyarrow.Table
        `tables.COMBINED_EXPOSURE` schema; totals are sums over members, and are not stored.
    """
    table = tables.COMBINED_EXPOSURE
    rows: list[pa.Table] = []
    for shared, held in _models(members, group):
        for member in held:
            strike = floats(member.exposures, "strike") * member.points
            points, where = np.unique(
                STRIKE_STEP_POINTS * np.round(strike / STRIKE_STEP_POINTS), return_inverse=True
            )
            columns: dict[str, Any] = {
                name: np.bincount(
                    where, weights=floats(member.exposures, name), minlength=points.size
                )
                for name in _NETS
            }
            columns["contracts"] = np.bincount(where, minlength=points.size)
            columns["strike_points"] = points
            rows.append(_table(table, shared | {"member": member.symbol}, columns))
    return _sorted(table, rows)


def combined_profile(members: Mapping[str, Member], *, group: str) -> pa.Table:
    """Add the members' profiles up over moves of spot.

    Returns
    -------
    pyarrow.Table
        `tables.COMBINED_PROFILE` schema: every member, and the total where all of them reach.
    """
    table = tables.COMBINED_PROFILE
    rows: list[pa.Table] = []
    for shared, held in _models(members, group):
        moves, total = _total_profile(held)
        spot = _reference(held).level["spot"]
        each = [(m.symbol, m.moves, m.gamma) for m in held] + [(TOTAL, moves, total)]
        for name, at, gamma in each:
            columns = {
                "spot_move_pct": at,
                "spot_points": spot * (1.0 + PER_PCT * at),
                _GAMMA: gamma,
            }
            rows.append(_table(table, shared | {"member": name}, columns))
    return _sorted(table, rows)


def combined_levels(
    members: Mapping[str, Member], *, group: str, wanted: tuple[str, ...] = ()
) -> pa.Table:
    """Sum net exposures up and find the flip of the sum.

    Parameters
    ----------
    members, group
        As in `combined_exposure`.
    wanted : tuple of str
        Members the group would have; those without a snapshot are named in every row.

    Returns
    -------
    pyarrow.Table
        `tables.COMBINED_LEVELS` schema: one row per member, and the total.
    """
    table = tables.COMBINED_LEVELS
    rows: list[dict[str, Any]] = []
    for shared, held in _models(members, group):
        missing = [name for name in wanted if name not in {m.symbol for m in held}]
        reference = _reference(held).level
        for member in held:
            at = member.level["event_at"]
            rows.append(
                shared
                | _nets([member.level])
                | _own_levels(member)
                | _age(at, reference["event_at"])
                | {
                    "member": member.symbol,
                    "members": [member.symbol],
                    "members_missing": missing,
                    "spot": member.level["spot"],
                    "points_per_unit": member.points,
                }
            )
        oldest = min(m.level["event_at"] for m in held)
        rows.append(
            shared
            | _nets([m.level for m in held])
            | _total_levels(held)
            | _age(oldest, reference["event_at"])
            | {
                "member": TOTAL,
                "members": [m.symbol for m in held],
                "members_missing": missing,
                "spot": reference["spot"],
                "points_per_unit": 1.0,
            }
        )
    return _sorted(table, [pa.Table.from_pylist(rows, schema=table.schema)])


def _models(
    members: Mapping[str, Member], group: str
) -> Iterator[tuple[dict[str, Any], list[_Held]]]:
    """Return, for every model that the reference has, what its rows share and who has it too."""
    if REFERENCE not in members:
        return
    for level in members[REFERENCE].levels.to_pylist():
        model, spot = level["model"], level["spot"]
        held = [
            found
            for symbol, member in members.items()
            if (found := _held(symbol, member, model, spot)) is not None
        ]
        if not any(m.symbol == REFERENCE for m in held):
            continue
        shared = {
            "underlying": group,
            "session_date": level["session_date"],
            "event_at": level["event_at"],
            "known_at": max(m.known_at for m in held),
            "model": model,
        }
        yield shared, held


def _held(symbol: str, member: Member, model: str, reference_spot: float) -> _Held | None:
    levels, exposures, profile = (
        rows.filter(pc.equal(rows["model"], model))
        for rows in (member.levels, member.exposures, member.profile)
    )
    if not (levels.num_rows and exposures.num_rows and profile.num_rows):
        return None
    level = levels.to_pylist()[0]
    profile = profile.sort_by("spot_level")
    moves = (floats(profile, "spot_level") / level["spot"] - 1.0) / PER_PCT
    return _Held(
        symbol=symbol,
        known_at=max(pc.max(t["known_at"]).as_py() for t in (levels, exposures, profile)),
        level=level,
        exposures=exposures,
        moves=moves,
        gamma=floats(profile, _GAMMA),
        points=reference_spot / level["spot"],
    )


def _reference(held: list[_Held]) -> _Held:
    return next(member for member in held if member.symbol == REFERENCE)


def _total_profile(held: list[_Held]) -> tuple[Floats, Floats]:
    """Return moves [%] and the sum of the members there, on the reference's moves."""
    moves = _reference(held).moves
    # profiles share one grid of ratios; a hundredth of a step is rounding
    low = max(member.moves[0] for member in held) - 1e-3
    high = min(member.moves[-1] for member in held) + 1e-3
    moves = moves[(moves >= low) & (moves <= high)]
    return moves, np.sum([np.interp(moves, m.moves, m.gamma) for m in held], axis=0)


def _total_levels(held: list[_Held]) -> dict[str, Any]:
    spot = _reference(held).level["spot"]
    gross = sum(float(m.level[_GROSS]) for m in held)
    flip, status = _flip(*_total_profile(held), gross)
    if flip is not None and _blurred(held) > BLURRED_SHARE * gross:
        status = "ill_conditioned"
    strikes = np.concatenate(
        [
            STRIKE_STEP_POINTS
            * np.round(floats(m.exposures, "strike") * m.points / STRIKE_STEP_POINTS)
            for m in held
        ]
    )
    points, where = np.unique(strikes, return_inverse=True)
    gamma = np.concatenate([floats(m.exposures, _GAMMA) for m in held])
    net = np.bincount(where, weights=gamma, minlength=points.size)
    return {
        "flip_pct": flip,
        "flip_points": None if flip is None else spot * (1.0 + flip),
        "flip_status": status,
        "call_wall_points": float(points[np.argmax(net)]) if net.max() > 0.0 else None,
        "put_wall_points": float(points[np.argmin(net)]) if net.min() < 0.0 else None,
    }


def _flip(moves: Floats, gamma: Floats, gross: float) -> tuple[float | None, str]:
    """Return the zero nearest to spot as a share of it, and what it is worth."""
    crossing = np.flatnonzero(np.signbit(gamma[1:]) != np.signbit(gamma[:-1]))
    if not crossing.size:
        return None, "none_in_range"
    slope = (gamma[crossing + 1] - gamma[crossing]) / (moves[crossing + 1] - moves[crossing])
    zeros = moves[crossing] - gamma[crossing] / slope
    nearest = int(np.argmin(np.abs(zeros)))
    zero = PER_PCT * float(zeros[nearest])
    error = PER_PCT * FLIP_OI_ERROR * gross / max(abs(float(slope[nearest])), 1e-300)
    if error > FLIP_ERROR_SHARE:
        return zero, "ill_conditioned"
    return zero, "far" if abs(zero) > FLIP_FAR_SHARE else "ok"


def _blurred(held: list[_Held]) -> float:
    """Return the gross gamma of members whose own flip is ill-conditioned, by any of its bands."""
    return sum(float(m.level[_GROSS]) for m in held if m.level["flip_status"] == "ill_conditioned")


def _own_levels(member: _Held) -> dict[str, Any]:
    level = member.level
    return {
        "flip_pct": level["flip_pct"],
        "flip_points": None if level["flip_price"] is None else level["flip_price"] * member.points,
        "flip_status": level["flip_status"],
        "call_wall_points": _scaled(level["call_wall"], member.points),
        "put_wall_points": _scaled(level["put_wall"], member.points),
    }


def _scaled(price: float | None, points: float) -> float | None:
    return None if price is None else price * points


def _nets(levels: list[Mapping[str, Any]]) -> dict[str, float]:
    names = (*(f"net_{name}" for name in _NETS), _GROSS)
    return {name: float(sum(level[name] for level in levels)) for name in names}


def _age(at: datetime, reference: datetime) -> dict[str, Any]:
    return {"member_at": at, "age_seconds": (reference - at).total_seconds()}


def _table(table: tables.Table, shared: Mapping[str, Any], columns: Mapping[str, Any]) -> pa.Table:
    count = len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.repeat(pa.scalar(shared[field.name], field.type), count)
        for field in table.schema
    ]
    return pa.Table.from_arrays(arrays, schema=table.schema)


def _sorted(table: tables.Table, rows: list[pa.Table]) -> pa.Table:
    if not rows:
        return table.schema.empty_table()
    return pa.concat_tables(rows).sort_by([(name, "ascending") for name in table.key])
