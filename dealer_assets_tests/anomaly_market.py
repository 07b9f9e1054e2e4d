"""A made-up market of features with known dependence: what scores are judged on.

Belongs here: features as arrays and as rows, and shocks put into them. Does not belong here: any
assertion.

Volume is a count about a mean that depends on moneyness, days to expiry, the hour (the same shares
every day), the contract (exp of 0.8 normal), the day of all contracts (exp of 0.4 normal) and the
contract's day (exp of 0.7 normal, as the simulated exchange has it). Expiries roll: a contract is
monitored for about 25 sessions. Vol residuals have a bias of the contract's own and noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.standard import FEATURES

SLOTS = (9, 10, 11, 12, 13, 14, 15)
SHARES = np.array([0.05, 0.22, 0.16, 0.12, 0.11, 0.13, 0.21])
NAMES = [feature.name for feature in FEATURES]
FIRST_DAY = 20_000
_EDGES = np.arange(0.80, 0.951, 0.025)


def made_up(
    sessions: int = 80,
    *,
    strikes: int = 30,
    expiries: int = 5,
    seed: int = 1,
    scale: float = 60.0,
    contract_day: float = 0.7,
    slots: tuple[int, ...] = SLOTS,
    busy: Mapping[int, float] = MappingProxyType({}),
) -> Features:
    """Return features of so many sessions; `strikes` x `expiries` contracts at a time.

    `busy` names sessions on which everything trades so many times as much.
    """
    rng = np.random.default_rng(seed)
    spacing = 45 // expiries
    spot = np.exp(np.cumsum(rng.normal(0.0, 0.008, sessions)))
    grid = np.geomspace(0.6, 1.4, strikes * 5)
    series = sessions // spacing + expiries + 2
    own = np.exp(0.8 * rng.normal(size=(series, grid.size)))
    bias = 0.5 * rng.normal(size=(series, grid.size))
    whole = np.exp(0.4 * rng.normal(size=sessions))
    for number, factor in busy.items():
        whole[number] *= factor
    parts: list[tuple[np.ndarray, ...]] = []
    for day in range(sessions):
        for one in range(series):
            days = 45 + one * spacing - (expiries - 1) * spacing - day
            if not 20 <= days <= 45:
                continue
            inside = np.flatnonzero((grid / spot[day] >= 0.80) & (grid / spot[day] < 0.95))
            parts.append((np.full(inside.size, day), np.full(inside.size, one), inside,
                          np.full(inside.size, days)))  # fmt: skip
    day, one, strike, days = (np.concatenate(column) for column in zip(*parts, strict=True))
    moneyness = grid[strike] / spot[day]
    mean = scale * np.exp(-0.5 * ((0.95 - moneyness) / 0.06) ** 2) * own[one, strike]
    mean *= whole[day] * np.exp(contract_day * rng.normal(size=day.size)) * (40.0 / days)
    drift = 0.3 * rng.normal(size=day.size)
    change = np.round(mean * rng.normal(size=day.size))
    count, n = len(slots), day.size
    share = np.resize(SHARES, count) / np.resize(SHARES, count).sum() * 7.0
    volume = rng.poisson(mean[:, None] * share).astype(np.float64)
    values = np.full((len(FEATURES), n, count), np.nan)
    price = np.maximum(0.3, 60.0 * np.exp(-30.0 * (0.95 - moneyness)))[:, None]
    interest = np.maximum(20.0 * mean, 1.0)[:, None]
    values[0] = volume
    values[1] = volume * price * 100.0
    values[2] = volume * 40.0
    values[3] = volume * price / 0.4
    values[4] = volume / interest
    values[5] = change[:, None]
    noise = rng.normal(size=(n, count))
    values[6] = bias[one, strike][:, None] + drift[:, None] + 0.5 * noise
    values[7] = 0.03 * np.exp(0.3 * rng.normal(size=(n, count)))
    return _features(values, (day, one, strike, days, moneyness), slots)


def _features(
    values: np.ndarray, columns: tuple[np.ndarray, ...], slots: tuple[int, ...]
) -> Features:
    day, one, strike, days, moneyness = columns
    count, n = len(slots), day.size
    hour = np.tile(np.array(slots), n)
    day, one, strike, days, moneyness = (np.repeat(c, count) for c in columns)
    order = np.lexsort((strike, one, hour, day))
    pairs, contract = np.unique(one * 10_000 + strike, return_inverse=True)
    bucket = np.clip(np.searchsorted(_EDGES, moneyness, side="right") - 1, 0, _EDGES.size - 2)
    term = (days > 32).astype(np.int64)
    code, cell = np.unique((bucket * 2 + term) * 24 + hour, return_inverse=True)
    cells = tuple(
        ("put", f"{_EDGES[c // 48]:.3f}", ("20-32", "33-45")[c // 24 % 2], c % 24)
        for c in code.tolist()
    )
    flat = values.reshape(len(FEATURES), n * count)[:, order]
    stamp = (FIRST_DAY + day) * 86_400 + (hour + 5) * 3_600
    return Features(
        flat, (FIRST_DAY + day)[order], stamp[order] * 1_000_000, hour[order],
        contract[order].astype(np.int64), tuple(f"P{pair}" for pair in pairs.tolist()),
        cell[order].astype(np.int64), cells, np.ones(n * count, np.bool_), np.arange(n * count),
    )  # fmt: skip


def between(features: Features, first: int, last: int) -> Features:
    """Return sessions number `first` up to `last`, without it; places begin at 0."""
    day = features.session - FIRST_DAY
    taken = features.take((day >= first) & (day < last))
    return replace(taken, place=np.arange(taken.size))


def with_volume(features: Features, rows: np.ndarray, factor: float) -> Features:
    """Multiply volume and what follows from it."""
    values = features.values.copy()
    values[np.ix_(range(5), rows)] *= factor
    return replace(features, values=values)


def with_residual(features: Features, rows: np.ndarray, half_spreads: float) -> Features:
    """Move the vol residual."""
    values = features.values.copy()
    values[6, rows] += half_spreads
    return replace(features, values=values)


def as_rows(features: Features, *, underlying: str = "SPX") -> pa.Table:
    """Return the same as rows of `tables.CONTRACT_FEATURES`, in their order."""
    from dealer_assets import tables

    table = tables.CONTRACT_FEATURES
    n = features.size
    stamp = pa.array(features.event_at).cast(pa.timestamp("us", tz="UTC"))
    words = [np.array([c[k] for c in features.cells])[features.cell] for k in range(3)]
    given: dict[str, pa.Array] = {
        "session_date": pa.array(features.session.astype(np.int32)).cast(pa.date32()),
        "event_at": stamp,
        "known_at": stamp,
        "symbol": pa.array(np.array(features.symbols)[features.contract]),
        "expires_at": pa.array([datetime(2031, 1, 1, tzinfo=UTC)] * n),
        "expiry_date": pa.array([date(2031, 1, 1)] * n),
        "strike": pa.array(100.0 + features.contract),
        "right": pa.array(words[0]),
        "moneyness_bucket": pa.array(words[1]),
        "dte_bucket": pa.array(words[2]),
        "moneyness": pa.array(words[1].astype(np.float64) + 0.0125),
        "slot": pa.array(features.slot),
        "underlying": pa.array([underlying] * n),
        "root": pa.array(["SPXW"] * n),
        "is_simulated": pa.array([True] * n),
        "spot": pa.array(np.full(n, 5000.0)),
        "interval_minutes": pa.array(np.full(n, 60.0)),
        "days_to_expiry": pa.array(np.full(n, 30)),
        "multiplier": pa.array(np.full(n, 100.0)),
        "volume_delta_contracts": pa.array(features.values[0]),
    }
    given |= {
        name: pa.array(column, mask=np.isnan(column))
        for name, column in zip(NAMES, features.values, strict=True)
    }
    columns = [
        given[field.name].cast(field.type) if field.name in given else pa.nulls(n, field.type)
        for field in table.schema
    ]
    return pa.Table.from_arrays(columns, schema=table.schema)


def day_of(number: int) -> date:
    """Return the date of a session number."""
    return date(1970, 1, 1) + timedelta(days=FIRST_DAY + number)
