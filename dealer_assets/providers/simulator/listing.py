"""The contracts of a session: strike ladders, symbols, and the columns that never move.

Belongs here: what is listed. Does not belong here: prices or positions. Everything is fixed by
closes before the session, so that a contract listed at one minute is listed at every minute; bands
of strikes reach from the lowest to the highest close since they were opened, so that a strike once
listed stays until its series expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.instruments import Contract
from dealer_assets.providers.simulator.expiries import Series, listed_series
from dealer_assets.providers.simulator.market import FIRST, closes, day_number
from dealer_assets.providers.simulator.noise import Words, combine, stream_key
from dealer_assets.providers.simulator.profiles import Profile, profile_of
from dealer_assets.underlyings import Underlying, underlying

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DEFAULT_DENSITY = 0.5
"""Reach of the fine strike bands: 0.5 gives SPX about 10,000 contracts, 1.0 about 18,000."""

_DENSITY_POWER = 1.5
"""Reach over density: bands overlap, so contracts grow slower than the reach does."""

_CLASS_REACH = {"daily": 0.75, "weekly": 0.9, "monthly": 1.0, "quarter": 1.0, "leaps": 1.1}
"""Exchanges list fewer wings for series that live shortly."""

_RIGHTS = ("call", "put")


@dataclass(frozen=True)
class Listing:
    """All contracts of a session, sorted by the key of `tables.CHAIN_SNAPSHOTS`.

    Parameters
    ----------
    series : tuple of Series
        The m listed series.
    expires_us : int64 array, shape (m,)
        Expiry instants, microseconds since 1970.
    slice_id : int64 array, shape (n,)
        Series of each contract, 0..m-1.
    strike : float64 array, shape (n,)
        Strike [USD].
    is_call : bool array, shape (n,)
        True for calls.
    contract_id : uint64 array, shape (n,)
        Random-number address of each contract, the same in every session.
    listed_on : int64 array, shape (n,)
        Ordinal of the first session that listed each contract; the same in every session.
    columns : dict of str to pyarrow.Array
        Columns of the snapshot table that do not change within the session.
    """

    series: tuple[Series, ...]
    expires_us: Ints
    slice_id: Ints
    strike: Floats
    is_call: Bools
    contract_id: Words
    listed_on: Ints
    columns: dict[str, pa.Array]


@lru_cache(maxsize=24)
def session_listing(seed: int, symbol: str, *, day: date, density: float) -> Listing:
    """Return the contracts of a session.

    Parameters
    ----------
    seed : int
        Seed of the market; ladders follow its closes.
    symbol : str
        Registry symbol.
    day : datetime.date
        A session of the simulated market.
    density : float
        See `DEFAULT_DENSITY`.

    Returns
    -------
    Listing
    """
    entry = underlying(symbol)
    profile = profile_of(entry)
    series = tuple(listed_series(entry, profile, day=day))
    history = closes(seed, symbol)
    found = [_ladder(s, profile, history=history, day=day, density=density) for s in series]
    ladders = [strikes for strikes, _ in found]
    listed = np.concatenate([np.repeat(first, 2) for _, first in found])
    counts = [2 * ladder.size for ladder in ladders]
    slice_id = np.repeat(np.arange(len(series)), counts)
    strike = np.concatenate([np.repeat(ladder, 2) for ladder in ladders])
    is_call = np.arange(strike.size) % 2 == 0
    expires = [
        sessions.expiry_instant(s.root.settlement, entry.calendar, s.expiry_date) for s in series
    ]
    return Listing(
        series=series,
        expires_us=np.array([_microseconds(instant) for instant in expires], np.int64),
        slice_id=slice_id,
        strike=strike,
        is_call=is_call,
        contract_id=_contract_ids(series, slice_id, strike=strike, is_call=is_call),
        listed_on=_session_ordinals(entry, listed),
        columns=_columns(entry, series, ladders=ladders, expires=expires, slice_id=slice_id),
    )


def _microseconds(instant: datetime) -> int:
    return round(instant.timestamp()) * 1_000_000


def _session_ordinals(entry: Underlying, days: Ints) -> Ints:
    """Return the ordinals of the sessions on or after calendar days, given as day numbers."""
    unique, place = np.unique(days, return_inverse=True)
    first_ordinal = FIRST.toordinal() - day_number(FIRST)
    before = [date.fromordinal(number + first_ordinal - 1) for number in unique.tolist()]
    first = [sessions.next_session(entry.calendar, day).toordinal() for day in before]
    return np.array(first, np.int64)[place]


def _ladder(
    series: Series, profile: Profile, *, history: Floats, day: date, density: float
) -> tuple[Floats, Ints]:
    """Strikes of one series, ascending, and the day number each was first listed on."""
    reach = profile.wing_scale * _CLASS_REACH[series.expiry_class]
    fine = (density / DEFAULT_DENSITY) ** _DENSITY_POWER
    wing = profile.bands[-1]
    multiples: list[Ints] = []
    listed: list[Ints] = []
    for band in profile.bands:
        opened = max(series.listed_on, series.expiry_date - timedelta(days=band.active_days))
        if opened > day:
            continue
        begin = max(day_number(opened), 1)
        past = history[begin - 1 : day_number(day)]
        # the wings stay where they are: density is about how far out strikes are fine
        share = 1.0 if band is wing else fine
        below = min(reach * min(share * band.below, wing.below), 0.9)
        above = reach * min(share * band.above, wing.above)
        step = band.multiple * profile.strike_step
        lows = np.minimum.accumulate(past) * (1.0 - below) / step
        highs = np.maximum.accumulate(past) * (1.0 + above) / step
        # last before first: the band is empty
        rungs = np.arange(max(int(np.ceil(lows[-1])), 1), int(highs[-1]) + 1, dtype=np.int64)
        reached = np.maximum(np.searchsorted(-lows, -rungs), np.searchsorted(highs, rungs))
        multiples.append(rungs * band.multiple)
        listed.append(begin + reached)
    multiple, first = np.concatenate(multiples), np.concatenate(listed)
    order = np.lexsort((first, multiple))
    strikes, earliest = np.unique(multiple[order], return_index=True)
    return np.asarray(strikes * profile.strike_step, np.float64), first[order][earliest]


def _contract_ids(
    series: tuple[Series, ...], slice_id: Ints, *, strike: Floats, is_call: Bools
) -> Words:
    words = [stream_key(s.root.symbol, s.expiry_date.isoformat()) for s in series]
    own = np.round(strike * 1_000.0).astype(np.int64) * 2 + is_call
    return combine(np.array(words, np.uint64)[slice_id], own)


def _columns(
    entry: Underlying,
    series: tuple[Series, ...],
    *,
    ladders: list[Floats],
    expires: list[datetime],
    slice_id: Ints,
) -> dict[str, pa.Array]:
    """Build the constant columns by repeating each series' value over its contracts."""
    schema = tables.CHAIN_SNAPSHOTS.schema
    symbols: list[str] = []
    for one, ladder in zip(series, ladders, strict=True):
        symbols += _deribit(one, ladder) if entry.calendar == "24/7" else _osi(one, ladder)
    by_series = {
        "root": [s.root.symbol for s in series],
        "expiry_date": [s.expiry_date for s in series],
        "expires_at": expires,
        "exercise": [s.root.exercise for s in series],
        "settlement": [s.root.settlement for s in series],
        "multiplier": [s.root.multiplier for s in series],
    }
    taken = pa.array(slice_id)
    columns = {
        name: pa.array(values, schema.field(name).type).take(taken)
        for name, values in by_series.items()
    }
    n = slice_id.size
    columns["symbol"] = pa.array(symbols, pa.string())
    columns["strike"] = pa.array(np.concatenate([np.repeat(ladder, 2) for ladder in ladders]))
    columns["right"] = pa.array(_RIGHTS).take(pa.array(np.arange(n) % 2))
    columns["underlying"] = pa.repeat(pa.scalar(entry.symbol), n)
    return columns


def _osi(series: Series, ladder: Floats) -> list[str]:
    # Contract.osi per contract would cost 20 ms a session; a test holds the two against each other
    prefix = f"{series.root.symbol}{series.expiry_date:%y%m%d}"
    thousandths = np.round(ladder * 1_000.0).astype(np.int64).tolist()
    return [f"{prefix}{letter}{value:08d}" for value in thousandths for letter in "CP"]


def _deribit(series: Series, ladder: Floats) -> list[str]:
    root, expiry = series.root.symbol, series.expiry_date
    return [
        Contract(root, expiry, right, strike).deribit
        for strike in ladder.tolist()
        for right in _RIGHTS
    ]
