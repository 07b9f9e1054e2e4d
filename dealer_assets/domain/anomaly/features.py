"""What every monitored contract did since the poll before, and where its vol and spread stand.

Belongs here: the features of one poll. Does not belong here: which contracts (`universe`) and when
(`polls`), what is normal (`baselines`), reading the lake. Source: `docs/methods/features.md`.

Nothing enters a row that describes a later instant than its poll. A row is dated by the latest of
what it was read from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.anomaly.flow_features import IntervalFlow, interval_flow
from dealer_assets.domain.anomaly.polls import Poll
from dealer_assets.domain.anomaly.reasons import Reasons, withheld
from dealer_assets.domain.anomaly.universe import (
    DTE_NAMES,
    MONEYNESS_NAMES,
    Universe,
    dte_codes,
    moneyness_codes,
)
from dealer_assets.domain.anomaly.vol_residuals import vol_residuals
from dealer_assets.domain.columns import (
    Bools,
    Floats,
    Ints,
    equals,
    floats,
    integers,
    nullable,
    words,
)
from dealer_assets.domain.tape import places

LEAST_VEGA_USD = 1e-4
"""Vega per vol point below which a premium is not divided by it: an option without time value."""

_CONTRACT = tuple(c.name for c in tables.CONTRACT)


@dataclass(frozen=True)
class PollRows:
    """What one poll is read from.

    Parameters
    ----------
    chain, priced, surface, anomalies : pyarrow.Table
        The snapshot's rows of `tables.CHAIN_SNAPSHOTS`, `tables.CONTRACT_GREEKS`,
        `tables.VOL_SURFACE` and `tables.DATA_ANOMALIES`.
    deltas : pyarrow.Table
        The session's `tables.VOLUME_DELTAS`, or by interval (`intervals.by_interval`); later ones
        than the poll are not looked at.
    prints : pyarrow.Table or None
        Tape of the interval, see `flow_features.interval_flow`; None: none is held.
    interest_before : pyarrow.Table or None
        Columns symbol, open_interest_contracts, known_at, as the session before had them; None:
        not held.
    is_simulated : bool
        Of the simulated market.
    """

    chain: pa.Table
    priced: pa.Table
    surface: pa.Table
    anomalies: pa.Table
    deltas: pa.Table
    prints: pa.Table | None = None
    interest_before: pa.Table | None = None
    is_simulated: bool = False


@dataclass(frozen=True)
class _Traded:
    """Volume by contract, shape (n,); NaN where the snapshot tells none."""

    interval: Floats
    session: Floats
    is_reset: Bools
    known_us: int


def contract_features(rows: PollRows, *, poll: Poll, universe: Universe) -> pa.Table:
    """Measure every monitored contract of one poll.

    Parameters
    ----------
    rows : PollRows
        What was quoted, priced and traded.
    poll : Poll
        When, and since when.
    universe : Universe
        What is monitored of the underlying, see `Universe.of`.

    Returns
    -------
    pyarrow.Table
        `tables.CONTRACT_FEATURES`, sorted by its key; no rows when a data anomaly blocks the
        snapshot, or when it holds no monitored contract.
    """
    schema = tables.CONTRACT_FEATURES.schema
    chain = _monitored(rows.chain, universe)
    if chain.num_rows == 0 or equals(rows.anomalies, "action", "block").any():
        return schema.empty_table()
    known_us = int(integers(rows.chain, "known_at").max())
    symbols = chain["symbol"].combine_chunks()
    traded = _traded(chain, rows.deltas, poll)
    flow = _flow(rows.prints, symbols, poll, known_us)
    before = _interest_before(rows.interest_before, symbols, known_us)
    quoted = _quoted(chain, rows)
    measured = _measured(chain, quoted, traded, flow, before)
    reasons = Reasons.of(
        chain,
        rows.anomalies,
        no_quote=~np.isfinite(quoted["mid"]),
        is_reset=traded.is_reset,
        is_long=poll.is_long,
    )
    known = [known_us, traded.known_us, *([flow.known_us] if flow else [])]
    known += [int(integers(t, "known_at").max()) for t in _dated(rows)]
    columns = {
        **_told(chain, rows, poll, known_us=max(known)),
        **{name: nullable(values) for name, values in quoted.items()},
        "volume_delta_contracts": nullable(traded.interval),
        "session_volume_contracts": nullable(traded.session),
        "package_contracts": nullable(flow.package if flow else np.full(len(symbols), np.nan)),
        **{name: nullable(withheld(name, v, reasons)) for name, v in measured.items()},
        **reasons.columns(),
    }
    found = pa.table([columns[name] for name in schema.names], schema=schema)
    return found.sort_by([(name, "ascending") for name in tables.CONTRACT_FEATURES.key])


def _dated(rows: PollRows) -> Iterator[pa.Table]:
    """Yield the snapshot's own tables that have rows."""
    return (t for t in (rows.priced, rows.surface, rows.anomalies) if t.num_rows)


def _monitored(chain: pa.Table, universe: Universe) -> pa.Table:
    moneyness, days = _moneyness(chain), _days(chain)
    return chain.filter(pa.array(universe.holds(moneyness, days, equals(chain, "right", "put"))))


def _moneyness(chain: pa.Table) -> Floats:
    with np.errstate(invalid="ignore"):
        return floats(chain, "strike") / floats(chain, "spot")


def _days(chain: pa.Table) -> Ints:
    return integers(chain, "expiry_date") - integers(chain, "session_date")


def _told(chain: pa.Table, rows: PollRows, poll: Poll, *, known_us: int) -> dict[str, pa.Array]:
    """Lay out what is known of each row without measuring: names, clocks, buckets."""
    n = chain.num_rows
    moneyness, days = _moneyness(chain), _days(chain)
    instant = tables.INSTANT
    same = ("underlying", "session_date", "event_at", "spot", "multiplier", *_CONTRACT)
    return {
        **{name: chain[name].combine_chunks() for name in same},
        "open_interest_contracts": chain["open_interest_contracts"].combine_chunks(),
        "known_at": pa.repeat(pa.scalar(known_us, pa.int64()).cast(instant), n),
        "is_simulated": pa.repeat(rows.is_simulated, n),
        "slot": pa.repeat(pa.scalar(poll.slot, pa.int32()), n),
        "previous_at": pa.repeat(pa.scalar(poll.previous_at, instant), n),
        "interval_minutes": pa.repeat(poll.interval_minutes, n),
        "moneyness": pa.array(moneyness),
        "days_to_expiry": pa.array(days.astype(np.int32)),
        "moneyness_bucket": words(MONEYNESS_NAMES, moneyness_codes(moneyness)),
        "dte_bucket": words(DTE_NAMES, dte_codes(days)),
    }


def _lookup(symbols: pa.Array, rows: pa.Table) -> Ints:
    """Return the row of each symbol, -1 where there is none."""
    found = pc.index_in(symbols, value_set=rows["symbol"].combine_chunks())
    return np.array(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def _at(values: Floats, place: Ints) -> Floats:
    if not values.size:
        return np.full(place.shape, np.nan)
    return np.where(place >= 0, values[place], np.nan)


def _traded(chain: pa.Table, deltas: pa.Table, poll: Poll) -> _Traded:
    """Add up deltas up to the poll; of a counter that began anew, what it has counted since."""
    n = chain.num_rows
    deltas = deltas.filter(pc.less_equal(deltas["event_at"], poll.at))
    event, place = integers(deltas, "event_at"), _places(deltas, chain)
    volume = floats(deltas, "volume_delta_contracts")
    reset = np.array(deltas["is_reset"].to_numpy(), np.bool_)
    began = np.full(n + 1, np.iinfo(np.int64).min)  # one more takes the contracts not monitored
    np.maximum.at(began, place[reset], event[reset])
    counts = (event >= began[place]) & (place < n)
    since = poll.previous_at or datetime.fromtimestamp(0, poll.at.tzinfo)
    since_us = int(pa.scalar(since, tables.INSTANT).cast(pa.int64()).as_py())
    inside = counts & (event > since_us)
    is_told = np.array(pc.is_valid(chain["volume_contracts"]).to_numpy())

    def total(use: Bools) -> Floats:
        sums = np.bincount(place[use], weights=volume[use], minlength=n)
        return np.where(is_told, sums, np.nan)

    known = integers(deltas, "known_at")[counts]
    return _Traded(total(inside), total(counts), began[:n] > since_us, int(known.max(initial=0)))


def _places(deltas: pa.Table, chain: pa.Table) -> Ints:
    """Return each delta's contract, or the number of contracts where it is not among them."""
    found = places(deltas, chain["symbol"].combine_chunks())
    return np.where(found >= 0, found, chain.num_rows)


def _flow(
    prints: pa.Table | None, symbols: pa.Array, poll: Poll, known_us: int
) -> IntervalFlow | None:
    if prints is None:
        return None
    known_by = pa.scalar(known_us, pa.int64()).cast(tables.INSTANT).as_py()
    return interval_flow(prints, symbols, since=poll.since, until=poll.at, known_by=known_by)


def _interest_before(before: pa.Table | None, symbols: pa.Array, known_us: int) -> Floats:
    """Open interest of the session before, NaN where it was not known by then."""
    if before is None or not before.num_rows:
        return np.full(len(symbols), np.nan)
    before = before.filter(pa.array(integers(before, "known_at") <= known_us))
    return _at(floats(before, "open_interest_contracts"), _lookup(symbols, before))


def _quoted(chain: pa.Table, rows: PollRows) -> dict[str, Floats]:
    """Prices, vols and the residual of the monitored contracts.

    Neighbours are looked for among all that are priced: a contract at the edge of what is
    monitored has them too.
    """
    priced, quotes = rows.priced, _lookup(rows.priced["symbol"].combine_chunks(), rows.chain)
    bid, ask = _at(floats(rows.chain, "bid"), quotes), _at(floats(rows.chain, "ask"), quotes)
    vega = floats(priced, "vega")
    with np.errstate(invalid="ignore"):
        is_two_sided = (bid > 0.0) & (ask >= bid) & equals(priced, "iv_source", "own")
        vol = np.where(is_two_sided, floats(priced, "implied_vol"), np.nan)
        found = vol_residuals(
            priced, rows.surface, vol=vol, half_spread_usd=0.5 * (ask - bid), vega=vega
        )
        own_bid, own_ask = floats(chain, "bid"), floats(chain, "ask")
        is_offered = (own_ask > 0.0) & (own_ask >= np.nan_to_num(own_bid))
    place = _lookup(chain["symbol"].combine_chunks(), priced)
    return {
        "mid": np.where(is_offered, 0.5 * (np.nan_to_num(own_bid) + own_ask), np.nan),
        "spread_usd": own_ask - own_bid,
        "implied_vol": _at(vol, place),
        "surface_vol": _at(found.surface_vol, place),
        "vega_usd_per_vol_point": _at(vega, place),
        "iv_residual_half_spreads": _at(found.half_spreads, place),
    }


def _measured(
    chain: pa.Table,
    quoted: dict[str, Floats],
    traded: _Traded,
    flow: IntervalFlow | None,
    before: Floats,
) -> dict[str, Floats]:
    """Every feature of `tables.FEATURE_KINDS`, before anything is withheld."""
    mid, vega, size = quoted["mid"], quoted["vega_usd_per_vol_point"], floats(chain, "multiplier")
    interest = floats(chain, "open_interest_contracts")
    nothing = np.full(mid.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        netted = np.maximum(traded.interval - (flow.package if flow else 0.0), 0.0)
        spread = quoted["spread_usd"] / mid
        unclosed = np.where(traded.session > 0.0, 1.0 - interest / traded.session, np.nan)
        return {
            "volume_contracts_netted": netted,
            "premium_usd": netted * mid * size,
            "vega_traded_usd_per_vol_point": netted * vega * size,
            "premium_over_vega": np.where(vega >= LEAST_VEGA_USD, netted * mid / vega, np.nan),
            "volume_over_open_interest": netted / np.maximum(interest, 1.0),
            "open_interest_change_contracts": interest - before,
            "iv_residual_half_spreads": quoted.pop("iv_residual_half_spreads"),
            "spread_relative": np.where(spread >= 0.0, spread, np.nan),
            "open_probability": np.where(np.isfinite(unclosed), np.maximum(unclosed, 0.0), np.nan),
            "flow_imbalance": flow.imbalance if flow else nothing,
            "sweep_share": flow.sweep_share if flow else nothing,
            "burst_share": flow.burst_share if flow else nothing,
        }
