"""Anomalies of known kind and size, put into copies of a session's features.

Belongs here: which contracts are chosen and what follows for their features. Does not belong here:
scoring (`scores`), what was found of them (`evaluation`).
Source: `docs/methods/evaluation.md`.

What is put in stays consistent: more volume is more premium, more vega traded and more volume over
open interest; another mid price moves premium, spread and vol with it. Contracts are drawn without
regard to what they show, but for what the kind needs (a contract that trades, one with a vol), and
each at one poll only: a later poll of it stays as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dealer_assets.domain.columns import Bools, Floats, floats, integers, nullable
from dealer_assets.errors import BadInputError

INJECTED_SHARE = 0.02
"""Of a poll's contracts; at least one. Few, as real ones are: many would make each easier to find,
because the false discovery rate is shared among all that are found."""

TRADES_CONTRACTS = 10.0
"""A contract that trades has at least this volume in the interval, before anything is put in."""

HELD_CONTRACTS = 100.0
"""A jump of open interest is put where there is some."""

_SWEPT = 0.9
"""Share of an interval's prints that a sweep put in makes up."""

Columns = dict[str, Floats]


@dataclass(frozen=True)
class Injection:
    """What is put in.

    Parameters
    ----------
    kind : str
        One of `tables.INJECTED_KINDS` but ``none``.
    size : float
        Factor of volume, premium, spread; half-spreads for ``iv``; share of open interest for
        ``open_interest``.
    """

    kind: str
    size: float


INJECTIONS = (
    Injection("volume", 3.0),
    Injection("volume", 10.0),
    Injection("volume", 30.0),
    Injection("iv", 1.0),
    Injection("iv", 2.0),
    Injection("iv", 3.0),
    Injection("iv", 5.0),
    Injection("spread", 5.0),
    Injection("premium", 10.0),
    Injection("open_interest", 0.5),
    Injection("sweep", 10.0),
)
"""What every evaluation puts in, one kind and size to a copy of the session."""


@dataclass(frozen=True)
class Injected:
    """A session's features with anomalies in them.

    Parameters
    ----------
    rows : pyarrow.Table
        As given, but for the rows chosen.
    chosen : bool array, shape (n,)
        Rows that were changed.
    """

    rows: pa.Table
    chosen: Bools


def inject(rows: pa.Table, injection: Injection, *, seed: int) -> Injected:
    """Put one kind of anomaly into some contracts of every poll of a session.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.CONTRACT_FEATURES` of one session, any number of polls.
    injection : Injection
        What is put in.
    seed : int
        Of the choice; the same seed, rows and injection choose the same contracts.

    Returns
    -------
    Injected
        No row is chosen where the kind cannot be shown: a sweep without a tape, an expired
        contract.

    Raises
    ------
    BadInputError
        When the kind is not known or the size is not above 0.
    """
    if injection.kind not in _KINDS or not injection.size > 0.0:
        raise BadInputError(
            f"expected an injection of {', '.join(_KINDS)} with a size above 0, found "
            f"{injection.kind!r} of {injection.size:g}"
        )
    kind = _KINDS[injection.kind]
    columns = {name: floats(rows, name) for name in _CHANGED}
    can_show = np.array(rows["unscored_reason"].is_null().to_numpy())
    can_show &= kind.shows_in(columns, injection.size)
    chosen = _chosen(rows, can_show, _generator(injection, seed))
    changed = kind.change({name: column[chosen] for name, column in columns.items()}, injection)
    return Injected(_replaced(rows, columns, changed, chosen), chosen)


def _generator(injection: Injection, seed: int) -> np.random.Generator:
    text = f"{seed} {injection.kind} {injection.size:g}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def _chosen(rows: pa.Table, can_show: Bools, draw: np.random.Generator) -> Bools:
    """Draw rows of every poll, no contract twice in the session."""
    at = integers(rows, "event_at")
    names = np.array(rows["symbol"].to_pylist(), object)
    chosen = np.zeros(rows.num_rows, np.bool_)
    taken: set[str] = set()
    for instant in np.unique(at):
        poll = at == instant
        free = np.flatnonzero(poll & can_show & np.array([n not in taken for n in names], np.bool_))
        wanted = max(1, round(INJECTED_SHARE * int(poll.sum())))
        drawn = draw.permutation(free)[:wanted]
        chosen[drawn] = True
        taken.update(names[drawn])
    return chosen


def _replaced(rows: pa.Table, before: Columns, changed: Columns, chosen: Bools) -> pa.Table:
    for name, values in changed.items():
        column = before[name].copy()
        column[chosen] = values
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(name), nullable(column))
    return rows


@dataclass(frozen=True)
class _Kind:
    """Where an anomaly can show, and what it changes there."""

    shows_in: Callable[[Columns, float], Bools]
    change: Callable[[Columns, Injection], Columns]


_BY_VOLUME = (
    "volume_contracts_netted",
    "premium_usd",
    "vega_traded_usd_per_vol_point",
    "premium_over_vega",
    "volume_over_open_interest",
)
_CHANGED = (
    *_BY_VOLUME,
    "volume_delta_contracts",
    "session_volume_contracts",
    "open_interest_contracts",
    "open_interest_change_contracts",
    "open_probability",
    "mid",
    "spread_usd",
    "spread_relative",
    "implied_vol",
    "vega_usd_per_vol_point",
    "iv_residual_half_spreads",
    "sweep_share",
    "burst_share",
    "flow_imbalance",
)


def _trades(columns: Columns, _: float) -> Bools:
    return np.asarray(columns["volume_contracts_netted"] >= TRADES_CONTRACTS)


def _has_residual(columns: Columns, size: float) -> Bools:
    return np.isfinite(columns["iv_residual_half_spreads"]) & (columns["spread_usd"] > 0.0)


def _can_widen(columns: Columns, size: float) -> Bools:
    """Tell where the quotes can widen so far: a bid cannot fall below zero."""
    return np.asarray(
        (columns["spread_relative"] > 0.0) & (columns["spread_relative"] * size < 2.0)
    )


def _is_held(columns: Columns, _: float) -> Bools:
    known = np.isfinite(columns["open_interest_change_contracts"])
    return known & (columns["open_interest_contracts"] >= HELD_CONTRACTS)


def _is_on_tape(columns: Columns, size: float) -> Bools:
    return _trades(columns, size) & np.isfinite(columns["sweep_share"])


def _open_probability(open_interest: Floats, volume: Floats, before: Floats) -> Floats:
    """Return the feature anew, where it was determined."""
    share = np.maximum(0.0, 1.0 - open_interest / np.maximum(volume, 1e-9))
    return np.where(np.isfinite(before), share, np.nan)


def _more_volume(columns: Columns, injection: Injection) -> Columns:
    more = {name: injection.size * columns[name] for name in _BY_VOLUME}
    added = (injection.size - 1.0) * columns["volume_contracts_netted"]
    volume = columns["session_volume_contracts"] + added
    return {
        **more,
        "volume_delta_contracts": columns["volume_delta_contracts"] + added,
        "session_volume_contracts": volume,
        "open_probability": _open_probability(
            columns["open_interest_contracts"], volume, columns["open_probability"]
        ),
    }


def _more_premium(columns: Columns, injection: Injection) -> Columns:
    """Pay more for the same contracts than the quotes say: only money tells of it."""
    return {name: injection.size * columns[name] for name in ("premium_usd", "premium_over_vega")}


def _swept(columns: Columns, injection: Injection) -> Columns:
    share = np.full(columns["sweep_share"].size, _SWEPT)
    return {
        **_more_volume(columns, injection),
        "sweep_share": np.maximum(share, columns["sweep_share"]),
        "burst_share": np.maximum(share, columns["burst_share"]),
        "flow_imbalance": share,
    }


def _moved_vol(columns: Columns, injection: Injection) -> Columns:
    """Move the quotes; every second one down, where its price allows it."""
    half = 0.5 * columns["spread_usd"]
    step = injection.size * half
    down = (np.arange(half.size) % 2 == 1) & (columns["mid"] > step + half)
    moved = np.where(down, -step, step)
    ratio = (columns["mid"] + moved) / columns["mid"]
    sign = np.where(down, -1.0, 1.0)
    vol_points = moved / columns["vega_usd_per_vol_point"]
    return {
        "mid": columns["mid"] + moved,
        "implied_vol": np.maximum(columns["implied_vol"] + 0.01 * vol_points, 0.0),
        "iv_residual_half_spreads": columns["iv_residual_half_spreads"] + sign * injection.size,
        "premium_usd": columns["premium_usd"] * ratio,
        "premium_over_vega": columns["premium_over_vega"] * ratio,
        "spread_relative": columns["spread_relative"] / ratio,
    }


def _wider(columns: Columns, injection: Injection) -> Columns:
    return {
        "spread_usd": injection.size * columns["spread_usd"],
        "spread_relative": injection.size * columns["spread_relative"],
        "iv_residual_half_spreads": columns["iv_residual_half_spreads"] / injection.size,
    }


def _more_open_interest(columns: Columns, injection: Injection) -> Columns:
    added = np.floor(injection.size * columns["open_interest_contracts"])
    held = columns["open_interest_contracts"] + added
    return {
        "open_interest_contracts": held,
        "open_interest_change_contracts": columns["open_interest_change_contracts"] + added,
        "volume_over_open_interest": columns["volume_contracts_netted"] / np.maximum(held, 1.0),
        "open_probability": _open_probability(
            held, columns["session_volume_contracts"], columns["open_probability"]
        ),
    }


_KINDS: Mapping[str, _Kind] = {
    "volume": _Kind(_trades, _more_volume),
    "iv": _Kind(_has_residual, _moved_vol),
    "spread": _Kind(_can_widen, _wider),
    "premium": _Kind(_trades, _more_premium),
    "open_interest": _Kind(_is_held, _more_open_interest),
    "sweep": _Kind(_is_on_tape, _swept),
}
