"""Pin force by strike: how strongly hedging pulls spot to a strike, or pushes it away.

Belongs here: the kernels, the force, its direction, rank and what counts as a pin. Does not belong
here: what changed since before (`changes`), whether pins mean anything (`domain/scorecard`).
Source: `docs/methods/pins.md`. The force is linear in positions, whatever model told them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, floats, integers, nullable, words
from dealer_assets.tables.pins import PIN_DIRECTIONS
from dealer_assets.underlyings import underlying

PIN_HALF_LIFE_DAYS = 1.0
"""A contract this many calendar days from expiry weighs half of one that expires now."""

PIN_PROMINENCE = 2.0
"""A pin's force is at least this many times the median absolute force around spot."""

PIN_LEAST_STRENGTH = 0.05
"""A pin has at least this part of the sum of absolute forces."""

DECLARED_REACH = 0.01
"""Width of the proximity kernel over spot, where the chain tells no expected move."""

MAX_PINS = 3
"""Pins told of a snapshot and model."""

_US_PER_DAY = 86_400e6


@dataclass(frozen=True)
class Reach:
    """Width of the proximity kernel.

    Parameters
    ----------
    share : float
        One standard deviation of one session's move, over spot.
    source : str
        One of `tables.pins.REACH_SOURCES`.
    """

    share: float
    source: str


def move_column(symbol: str) -> str:
    """Name the expected move that one session of an underlying is measured by."""
    days = 365 if underlying(symbol).calendar == "24/7" else 252
    return f"expected_move_vol_{days}_usd"


def reach_of(levels: pa.Table) -> Reach:
    """Return the kernel's width of one snapshot: a session's expected move, whatever the model.

    Parameters
    ----------
    levels : pyarrow.Table
        The snapshot's `tables.EXPOSURE_LEVELS` rows.
    """
    if levels.num_rows:
        move = floats(levels, move_column(levels["underlying"][0].as_py()))
        share = move / floats(levels, "spot")
        told = share[np.isfinite(share) & (share > 0.0)]
        if told.size:
            return Reach(float(told[0]), "expected_move")
    return Reach(DECLARED_REACH, "declared")


def proximity(strike: Floats, spot: Floats | float, reach: float) -> Floats:
    """Kernel of nearness: ``exp(-(ln(K/S) / reach)^2 / 2)``, shape (n,)."""
    return np.asarray(np.exp(-0.5 * (np.log(strike / spot) / reach) ** 2))


def time_weight(days: Floats) -> Floats:
    """Weight of a contract by calendar days to its expiry: ``1 / (1 + days / half-life)``."""
    return np.asarray(1.0 / (1.0 + np.maximum(days, 0.0) / PIN_HALF_LIFE_DAYS))


def unit_weights(exposure: pa.Table, reach: float) -> Floats:
    """Weight that turns each contract's gamma exposure into pin force, shape (n,).

    Parameters
    ----------
    exposure : pyarrow.Table, shape (n,)
        One snapshot, `tables.DEALER_EXPOSURE` schema.
    reach : float
        Width of the kernel over spot.
    """
    days = (integers(exposure, "expires_at") - integers(exposure, "event_at")) / _US_PER_DAY
    near = proximity(floats(exposure, "strike"), floats(exposure, "spot"), reach)
    return near * time_weight(days)


def pin_levels(exposure: pa.Table, levels: pa.Table) -> pa.Table:
    """Lay out the pin force of every strike of one snapshot, model by model.

    Parameters
    ----------
    exposure : pyarrow.Table
        One snapshot, `tables.DEALER_EXPOSURE` schema, of any number of models.
    levels : pyarrow.Table
        Its `tables.EXPOSURE_LEVELS` rows: what tells the expected move.

    Returns
    -------
    pyarrow.Table
        `tables.PIN_LEVELS` schema, sorted by its key; empty without contracts.
    """
    empty = tables.PIN_LEVELS.schema.empty_table()
    if exposure.num_rows == 0:
        return empty
    reach = reach_of(levels)
    models = sorted(set(exposure["model"].to_pylist()))
    made = [_of_model(exposure.filter(pc.equal(exposure["model"], m)), reach) for m in models]
    return pa.concat_tables([empty, *made])


def _of_model(rows: pa.Table, reach: Reach) -> pa.Table:
    strike, where = np.unique(floats(rows, "strike"), return_inverse=True)
    spot = float(rows["spot"][0].as_py())
    gamma = floats(rows, "gamma_exposure_usd_per_pct")
    near = proximity(strike, spot, reach.share)
    days = (integers(rows, "expires_at") - integers(rows, "event_at")) / _US_PER_DAY
    weight = time_weight(days)
    force = near * summed(where, weight * gamma, strike.size)
    gross = summed(where, np.abs(gamma), strike.size)
    weighted = summed(where, weight * np.abs(gamma), strike.size)
    strength = _strength(force)
    rank = _ranks(np.abs(force), np.abs(np.log(strike / spot)))
    is_pin, pin_rank = _pins(force, strength, near)
    n = strike.size
    computed = {
        "strike": pa.array(strike),
        "position_contracts": pa.array(summed(where, floats(rows, "position_contracts"), n)),
        "gamma_exposure_usd_per_pct": pa.array(summed(where, gamma, n)),
        "reach_share": pa.repeat(reach.share, n),
        "reach_source": pa.repeat(reach.source, n),
        "proximity": pa.array(near),
        "time_weight": pa.array(np.clip(weighted / np.maximum(gross, 1e-300), 0.0, 1.0)),
        "pin_force_usd_per_pct": pa.array(force),
        "pin_direction": words(PIN_DIRECTIONS, _directions(force, strike, spot)),
        "pin_strength": nullable(strength),
        "strength_rank": pa.array(rank, pa.int32()),
        "is_pin": pa.array(is_pin),
        "pin_rank": pa.array(pin_rank, pa.int32(), mask=~is_pin),
    }
    schema = tables.PIN_LEVELS.schema
    columns = [
        computed[f.name] if f.name in computed else pa.repeat(rows[f.name][0], n) for f in schema
    ]
    return pa.table(columns, schema=schema)


def summed(where: NDArray[np.intp], values: Floats, size: int) -> Floats:
    """Sum values by group, shape (size,)."""
    return np.bincount(where, weights=values, minlength=size).astype(np.float64)


def _strength(force: Floats) -> Floats:
    total = float(np.abs(force).sum())
    return np.abs(force) / total if total > 0.0 else np.full(force.size, np.nan)


def _ranks(height: Floats, away: Floats) -> NDArray[np.int32]:
    """Rank from 1, the greatest height first; of equals the nearer to spot, then the lower."""
    order = np.lexsort((np.arange(height.size), away, -height))
    ranks = np.empty(height.size, np.int32)
    ranks[order] = np.arange(1, height.size + 1)
    return ranks


def _directions(force: Floats, strike: Floats, spot: float) -> NDArray[np.int64]:
    pulls = np.select([strike > spot, strike < spot], [0, 1], default=2)
    return np.asarray(np.where(force > 0.0, pulls, np.where(force < 0.0, 3, 4)))


def _pins(force: Floats, strength: Floats, near: Floats) -> tuple[Bools, NDArray[np.int32]]:
    """Tell which strikes are pins, and their ranks (0 where none)."""
    around = near >= np.exp(-0.5)  # within one kernel width
    typical = float(np.median(np.abs(force[around if around.sum() >= 3 else ...])))
    candidate = (force > 0.0) & (np.nan_to_num(strength) >= PIN_LEAST_STRENGTH)
    candidate &= force >= PIN_PROMINENCE * typical
    ranks = np.where(candidate, _ranks(np.where(candidate, force, -1.0), -near), 0)
    is_pin = candidate & (ranks <= MAX_PINS)
    return is_pin, np.where(is_pin, ranks, 0).astype(np.int32)
