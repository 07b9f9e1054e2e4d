"""What changed at each strike between two snapshots, and whether positions or prices did it.

Belongs here: the split of a change into its causes, and which changes stand out. Does not belong
here: the force itself (`pins`), reading the snapshot before, sending alerts. Source:
`docs/methods/pins.md`.

A contract's force is position times what one contract exerts. Of a contract held both times the
change splits exactly at the midpoint: ``d(q f) = dq mean(f) + mean(q) df``. The first part is
positions', the second is spot's, vol's and time's. What entered or left the book is neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, floats, nullable, words
from dealer_assets.domain.exposure.pins import proximity, summed, unit_weights
from dealer_assets.tables.pins import CHANGE_KINDS

CHANGE_Z = 5.0
"""A change stands out beyond this many robust deviations of the snapshot's own."""

CHANGE_FLOOR = 0.002
"""Least deviation, as a part of the snapshot's sum of absolute values: where hardly any strike
changes, the median deviation is nothing."""

ALERT_REACH = 3.0
"""Changes further from spot than this many kernel widths are kept and raise nothing."""

_MAD = 1.4826
_BOOK_SHARE = 0.5
"""Part of a force's change from which contracts in and out are what moved it."""

_SUMS = (
    ("position_change_since_first_contracts", "position_change_contracts"),
    ("book_change_since_first_contracts", "book_change_contracts"),
    ("force_change_since_first_usd_per_pct", "force_change_usd_per_pct"),
    ("force_by_position_since_first_usd_per_pct", "force_by_position_usd_per_pct"),
)
_NOW = ("position_contracts", "gamma_exposure_usd_per_pct", "pin_force_usd_per_pct")


@dataclass(frozen=True)
class Split:
    """Changes by strike and cause; arrays of shape (k,), along `strike`.

    Parameters
    ----------
    position_contracts, book_contracts : float64 array
        Of contracts held both times; of those that entered or left [contracts].
    force_by_position, force_by_book, force_by_price : float64 array
        Parts of the change of pin force; their sum is all of it [USD per 1 %].
    gamma_by_position : float64 array
        Change of gamma exposure by changed positions [USD per 1 %].
    """

    position_contracts: Floats
    book_contracts: Floats
    force_by_position: Floats
    force_by_book: Floats
    force_by_price: Floats
    gamma_by_position: Floats

    @property
    def force(self) -> Floats:
        """Whole change of pin force [USD per 1 %]."""
        return self.force_by_position + self.force_by_book + self.force_by_price


def strike_changes(
    exposure: pa.Table, pins: pa.Table, *, before: pa.Table, previous: pa.Table
) -> pa.Table:
    """Compare one snapshot with the one before, strike by strike and model by model.

    Parameters
    ----------
    exposure, pins : pyarrow.Table
        The snapshot's `tables.DEALER_EXPOSURE` and `tables.PIN_LEVELS` rows.
    before : pyarrow.Table
        `tables.DEALER_EXPOSURE` rows of the snapshot before; of none at the session's first.
    previous : pyarrow.Table
        That snapshot's `tables.STRIKE_CHANGES` rows.

    Returns
    -------
    pyarrow.Table
        `tables.STRIKE_CHANGES` schema: every strike that either snapshot holds. Changes are null
        at a model's first snapshot.
    """
    made = [tables.STRIKE_CHANGES.schema.empty_table()]
    for model in sorted(set(pins["model"].to_pylist())):
        now, held, old, was = (
            rows.filter(pc.equal(rows["model"], model))
            for rows in (pins, exposure, before, previous)
        )
        made.append(_of_model(now, held, old, was))
    return pa.concat_tables(made)


def _of_model(pins: pa.Table, held: pa.Table, old: pa.Table, was: pa.Table) -> pa.Table:
    strike = np.union1d(floats(pins, "strike"), floats(was, "strike"))
    n, is_first = strike.size, was.num_rows == 0
    current = {name: _along(strike, pins, name) for name in _NOW}
    reach, spot = (float(pins[name][0].as_py()) for name in ("reach_share", "spot"))
    split = None
    if not is_first:
        widths = (reach, float(was["reach_share"][0].as_py()))
        split = split_of(held, old, strike=strike, reach=widths)
    made = _changes(split, n)
    near = proximity(strike, spot, reach) >= np.exp(-0.5 * ALERT_REACH**2)
    judged = _judged(split, current, near=near)
    since = {total: _along(strike, was, total) + np.nan_to_num(made[part]) for total, part in _SUMS}
    texts = [
        _words(strike[i], current, made, judged.position_z[i], i)
        if judged.is_candidate[i]
        else None
        for i in range(n)
    ]
    first_at = pins["event_at"][0] if is_first else was["first_at"][0]
    previous_at = pa.nulls(n, first_at.type) if is_first else pa.repeat(was["event_at"][0], n)
    known = pa.concat_tables([rows.select(["known_at"]) for rows in (pins, held, old, was)])
    computed = {
        "known_at": pa.repeat(pc.max(known["known_at"]), n),
        "strike": pa.array(strike),
        "previous_at": previous_at,
        "first_at": pa.repeat(first_at, n),
        **{name: pa.array(values) for name, values in {**current, **since}.items()},
        **{name: nullable(values) for name, values in made.items()},
        "position_z": nullable(judged.position_z),
        "force_z": nullable(judged.force_z),
        "threshold_z": pa.repeat(CHANGE_Z, n),
        "change_kind": words(CHANGE_KINDS, judged.kind),
        "is_changed": pa.array(judged.kind == CHANGE_KINDS.index("position")),
        "is_alert_candidate": pa.array(judged.is_candidate),
        "alert_text": pa.array(texts, pa.string()),
    }
    schema = tables.STRIKE_CHANGES.schema
    columns = [
        computed[f.name] if f.name in computed else pa.repeat(pins[f.name][0], n) for f in schema
    ]
    return pa.table(columns, schema=schema)


def split_of(
    now: pa.Table, before: pa.Table, *, strike: Floats, reach: tuple[float, float]
) -> Split:
    """Split what changed at each strike into positions, contracts in and out, and prices.

    Parameters
    ----------
    now, before : pyarrow.Table
        Two snapshots of one model, `tables.DEALER_EXPOSURE` schema.
    strike : float64 array, shape (k,)
        Ascending; holds every strike of both.
    reach : tuple of float
        Kernel widths over spot, now and before.
    """
    q1, u1, f1 = _units(now, reach[0])
    q0, u0, f0 = _units(before, reach[1])
    place = pc.index_in(now["symbol"].combine_chunks(), before["symbol"].combine_chunks())
    match = np.array(pc.fill_null(place, -1).to_numpy(zero_copy_only=False), np.int64)
    both = match >= 0
    mine, theirs = np.flatnonzero(both), match[both]
    gone = np.setdiff1d(np.arange(before.num_rows), theirs)
    at_now = np.searchsorted(strike, floats(now, "strike"))
    at_gone = np.searchsorted(strike, floats(before, "strike")[gone])
    dq, n = q1[mine] - q0[theirs], strike.size

    def kept(values: Floats) -> Floats:
        return summed(at_now[mine], values, n)

    def in_and_out(entered: Floats, left: Floats) -> Floats:
        return summed(at_now[~both], entered[~both], n) - summed(at_gone, left[gone], n)

    return Split(
        position_contracts=kept(dq),
        book_contracts=in_and_out(q1, q0),
        force_by_position=kept(dq * 0.5 * (f1[mine] + f0[theirs])),
        force_by_book=in_and_out(q1 * f1, q0 * f0),
        force_by_price=kept(0.5 * (q1[mine] + q0[theirs]) * (f1[mine] - f0[theirs])),
        gamma_by_position=kept(dq * 0.5 * (u1[mine] + u0[theirs])),
    )


def _units(rows: pa.Table, reach: float) -> tuple[Floats, Floats, Floats]:
    """Positions, and gamma and force of one contract of each; no position is 0 in the table."""
    held = floats(rows, "position_contracts")
    unit = floats(rows, "gamma_exposure_usd_per_pct") / held
    return held, unit, unit * unit_weights(rows, reach)


def robust_z(change: Floats, scale: Floats, near: Bools) -> Floats:
    """Deviations of changes from their median, in median absolute deviations, shape (n,).

    Parameters
    ----------
    change : float64 array, shape (n,)
        By strike.
    scale : float64 array, shape (n,)
        What changed, in the same unit: the floor is a part of its absolute sum.
    near : bool array, shape (n,)
        Strikes that tell what is ordinary; all, when fewer than five.
    """
    told = change[near] if near.sum() >= 5 else change
    middle = float(np.median(told))
    spread = _MAD * float(np.median(np.abs(told - middle)))
    floor = CHANGE_FLOOR * float(np.abs(scale).sum())
    return np.asarray((change - middle) / max(spread, floor, 1e-300))


@dataclass(frozen=True)
class _Judged:
    position_z: Floats
    force_z: Floats
    kind: NDArray[np.int64]
    is_candidate: Bools


def _judged(split: Split | None, current: dict[str, Floats], *, near: Bools) -> _Judged:
    n = near.size
    if split is None:
        none = np.zeros(n, np.int64)
        return _Judged(np.full(n, np.nan), np.full(n, np.nan), none, np.zeros(n, np.bool_))
    position_z = robust_z(split.gamma_by_position, current["gamma_exposure_usd_per_pct"], near)
    force_z = robust_z(split.force, current["pin_force_usd_per_pct"], near)
    by_position, moved = np.abs(position_z) >= CHANGE_Z, np.abs(force_z) >= CHANGE_Z
    by_book = moved & (np.abs(split.force_by_book) >= _BOOK_SHARE * np.abs(split.force))
    kind = np.select([by_position, by_book, moved], [1, 2, 3], default=0)
    return _Judged(position_z, force_z, kind.astype(np.int64), by_position & near)


def _changes(split: Split | None, n: int) -> dict[str, Floats]:
    unknown = np.full(n, np.nan)
    names = {
        "position_change_contracts": "position_contracts",
        "book_change_contracts": "book_contracts",
        "force_change_usd_per_pct": "force",
        "force_by_position_usd_per_pct": "force_by_position",
        "force_by_book_usd_per_pct": "force_by_book",
        "force_by_price_usd_per_pct": "force_by_price",
        "gamma_by_position_usd_per_pct": "gamma_by_position",
    }
    return {name: getattr(split, part) if split else unknown for name, part in names.items()}


def _along(strike: Floats, rows: pa.Table, column: str) -> Floats:
    """Values of a column along strikes; 0 where the rows hold no such strike."""
    values = np.zeros(strike.size)
    values[np.searchsorted(strike, floats(rows, "strike"))] = floats(rows, column)
    return values


def _words(
    strike: float, current: dict[str, Floats], made: dict[str, Floats], z: float, i: int
) -> str:
    change = made["position_change_contracts"][i]
    force = current["pin_force_usd_per_pct"][i]
    does = "pulls" if force > 0.0 else "repels" if force < 0.0 else "exerts nothing"
    return (
        f"{strike:,.6g}: dealers' position {change:+,.0f} contracts to "
        f"{current['position_contracts'][i]:,.0f}, gamma "
        f"{made['gamma_by_position_usd_per_pct'][i] / 1e6:+,.1f} m USD per 1 % by it "
        f"({abs(z):.1f} robust deviations); the strike {does} with {abs(force) / 1e6:,.1f} m"
    )
