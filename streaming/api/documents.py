"""What the API answers: documents made of a `LaneView`.

Belongs here: keys, units and nulls of every document. Does not belong here: routes (`app`), numbers
that are not in the view or the domain.

Unknown is null, never 0. Exposures carry their unit in the key, instants are ISO 8601 in UTC.
`docs/streaming.md` describes every key; a test holds the two together.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import numpy as np

from dealer_assets.domain.columns import Floats
from dealer_assets.domain.flow.bars import MEASURES
from dealer_assets.domain.flow.totals import DELTA, GAMMA, PICKED
from dealer_assets.errors import NoDataError
from dealer_assets.tables.live import LIVE_MODELS, LIVE_RECONCILED, NAIVE, SIZE_BUCKETS, TENORS
from streaming.core.view import ContractView, LaneView, ModelTotals, Pricing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = 1e6

_EXPOSURE_KEYS = (
    "delta_exposure_usd",
    "gamma_exposure_usd_per_pct",
    "vanna_exposure_usd_per_vol_pt",
    "charm_exposure_usd_per_day",
    "volga_exposure_usd_per_vol_pt2",
)
"""In the order of `domain.flow.totals.PICKED`."""

_LEVEL_KEYS = (
    "event_at",
    "known_at",
    "spot",
    "spot_source",
    "contracts",
    "contracts_used",
    *(f"net_{key}" for key in _EXPOSURE_KEYS),
    "call_gamma_exposure_usd_per_pct",
    "put_gamma_exposure_usd_per_pct",
    "gross_gamma_exposure_usd_per_pct",
    "flip_price",
    "flip_status",
    "flip_pct",
    "flip_prices",
    "flip_slopes",
    "call_wall",
    "put_wall",
    "call_side_wall",
    "put_side_wall",
    "absolute_gamma_strike",
    "max_pain",
    "zero_dte_share",
    "expiries",
    "is_partial",
    "two_sided_share",
    "determined_oi_share",
    "is_publishable",
    "quality_reasons",
    "expected_move_straddle_usd",
    "expected_move_vol_365_usd",
    "expected_move_vol_252_usd",
)
"""Columns of `tables.EXPOSURE_LEVELS`; bands take longer than a request may, batch has them."""

_SPLIT_KEYS = ("call_gamma", "put_gamma", "zero_dte_gamma", "gross_gamma")


def snapshot(view: LaneView) -> dict[str, Any]:
    """Return where an underlying stands now."""
    return {
        **_head(view),
        "contracts_listed": view.contracts_listed,
        "watched": list(view.watched),
        "models": _models(view),
        "flow": _flow_totals(view),
    }


def tick(view: LaneView) -> dict[str, Any]:
    """Return the stream's message: what changes from moment to moment, and nothing large."""
    return {**_head(view), "models": _models(view), "flow": _flow_totals(view)}


def history(view: LaneView, *, model: str, seconds: int, every: int) -> dict[str, Any]:
    """Return the last hour's exposures of a model as columns, oldest first."""
    since = view.now_us - seconds * _US
    rows = [
        row
        for row in view.history
        if row.at_us >= since and row.at_us // 1_000_000 % every == 0 and model in row.models
    ]
    sums = [row.models[model].sums for row in rows]
    columns: dict[str, Any] = {
        "at": [_instant(row.at_us) for row in rows],
        "spot": [_known(row.spot) for row in rows],
    }
    for place, key in enumerate(_EXPOSURE_KEYS):
        columns[f"net_{key}"] = [_known(s.net[place]) for s in sums]
    for name in _SPLIT_KEYS:
        columns[f"{name}_exposure_usd_per_pct"] = [_known(getattr(s, name)) for s in sums]
    columns["net_gamma_sd_usd_per_pct"] = [_known(row.models[model].net_gamma_sd) for row in rows]
    return {**_head(view), "model": model, "columns": columns}


def flow(view: LaneView) -> dict[str, Any]:
    """Return the session's cumulative flow by bucket, and what is watched around the money."""
    places = product(("call", "put"), TENORS, SIZE_BUCKETS)
    buckets = [
        {
            "right": right,
            "tenor": tenor,
            "size_bucket": size,
            **_measures(sums),
        }
        for (right, tenor, size), sums in zip(places, view.flow.T.tolist(), strict=True)
    ]
    return {
        **_head(view),
        "total": _flow_totals(view),
        "buckets": buckets,
        "watched": _watched(view),
    }


def heatmap(
    view: LaneView, *, model: str, measure: str, within_pct: float, expiries: int
) -> dict[str, Any]:
    """Return one measure by strike and expiry near the money.

    Raises
    ------
    NoDataError
        Before the first full pricing.
    """
    contracts = _contracts(view)
    values = _measured(contracts, model, measure)
    near = np.abs(contracts.strike / contracts.spot - 1.0) * 100.0 <= within_pct
    days = np.unique(contracts.expiry_day[near])[:expiries]
    near &= np.isin(contracts.expiry_day, days)
    strikes = np.unique(contracts.strike[near])
    cells = np.full((days.size, strikes.size), np.nan)
    at = (
        np.searchsorted(days, contracts.expiry_day[near]),
        np.searchsorted(strikes, contracts.strike[near]),
    )
    known = np.isfinite(values[near])
    cells[at[0][known], at[1][known]] = 0.0
    np.add.at(cells, (at[0][known], at[1][known]), values[near][known])
    return {
        **_head(view),
        "model": model,
        "measure": measure,
        "unit": _unit(measure),
        "expiry_dates": [str(np.datetime64(int(day), "D")) for day in days],
        "strikes": strikes.tolist(),
        "cells": [[_known(value) for value in row] for row in cells.tolist()],
    }


def levels(view: LaneView, *, model: str) -> dict[str, Any]:
    """Return the levels of the last full pricing, under the positions of now.

    Raises
    ------
    NoDataError
        Before the first full pricing.
    """
    pricing = _pricing(view)
    row = _level_row(pricing) if model == NAIVE else _live_levels(view, pricing, model)
    kept = {key: row[key] for key in _LEVEL_KEYS}
    for name in ("event_at", "known_at"):
        kept[name] = kept[name].isoformat()
    return {**_head(view), "model": model, "levels": kept}


def scenario(view: LaneView, *, model: str) -> dict[str, Any]:
    """Return forced flow over moves of spot and vols and over time, as columns.

    Raises
    ------
    NoDataError
        Before the first full pricing, or when nothing has a position.
    """
    pricing = _pricing(view)
    if model == NAIVE:
        rows = pricing.scenarios
    else:
        from dealer_assets.domain.exposure.levels import snapshot_rows
        from dealer_assets.domain.exposure.scenario import scenario_grid
        from dealer_assets.tables import SCENARIO_GRID

        book = _live_book(view, pricing, model)
        rows = snapshot_rows(SCENARIO_GRID, book, vars(scenario_grid(book)))
    shared = ("underlying", "session_date", "event_at", "known_at", "model")
    columns = {
        name: [_known(v) for v in rows[name].to_pylist()]
        for name in rows.column_names
        if name not in shared
    }
    return {**_head(view), "model": model, "columns": columns}


def _head(view: LaneView) -> dict[str, Any]:
    totals = view.totals
    age = view.spot_age_us
    return {
        "underlying": view.underlying,
        "session_date": view.session_date.isoformat(),
        "feed": view.feed,
        "at": _instant(view.now_us),
        "is_open": view.is_open,
        "spot": _known(view.spot),
        "spot_source": view.spot_source if age is not None else None,
        "spot_age_seconds": None if age is None else age / _US,
        "priced_at": _instant(totals.priced_us) if totals else None,
        "trades": totals.trades if totals else 0,
        "signed_share": _known(totals.signed_share) if totals else None,
        "quoted_share": _known(totals.quoted_share) if totals else None,
    }


def _models(view: LaneView) -> dict[str, Any]:
    """Exposures by model; a model that cannot be told is null."""
    found = view.totals.models if view.totals else {}
    return {name: _exposures(found[name]) if name in found else None for name in LIVE_MODELS}


def _exposures(totals: ModelTotals) -> dict[str, Any]:
    sums = totals.sums
    keyed = zip(_EXPOSURE_KEYS, sums.net, strict=True)
    return {
        **{f"net_{key}": _known(value) for key, value in keyed},
        **{f"{k}_exposure_usd_per_pct": _known(getattr(sums, k)) for k in _SPLIT_KEYS},
        "net_gamma_sd_usd_per_pct": _known(totals.net_gamma_sd),
        "settled_open_interest_share": _known(totals.settled_share),
        "contracts": totals.contracts,
        "contracts_priced": totals.contracts_priced,
    }


def _flow_totals(view: LaneView) -> dict[str, Any]:
    """Session sums of all buckets, and the hedging flow of its parts."""
    sums = view.flow.sum(axis=1)
    split = view.flow.reshape(len(MEASURES), 2, len(TENORS), len(SIZE_BUCKETS))
    hedge = split[MEASURES.index("hedge_flow_usd")]
    return {
        **_measures(sums.tolist()),
        "call_hedge_flow_usd": float(hedge[0].sum()),
        "put_hedge_flow_usd": float(hedge[1].sum()),
        "zero_dte_hedge_flow_usd": float(hedge[:, 0].sum()),
    }


def _measures(sums: list[float]) -> dict[str, Any]:
    found = {name: _known(value) for name, value in zip(MEASURES, sums, strict=True)}
    return found | {"trades": int(sums[0])}


def _watched(view: LaneView) -> list[dict[str, Any]]:
    if view.contracts is None or not view.watched:
        return []
    contracts = view.contracts
    wanted = set(view.watched)
    rows = [i for i, c in enumerate(contracts.contract.tolist()) if view.symbols[c] in wanted]
    return [
        {
            "symbol": view.symbols[int(contracts.contract[i])],
            "strike": float(contracts.strike[i]),
            "right": "call" if contracts.is_call[i] else "put",
            "bid": _known(contracts.bid[i]),
            "ask": _known(contracts.ask[i]),
            "last_price_usd": _known(contracts.last_price[i]),
            "implied_vol": _known(contracts.vol[i]),
            "delta": _known(contracts.delta[i]),
            "gamma": _known(contracts.gamma[i]),
            "volume_contracts": _known(contracts.volume[i]),
            "position_contracts": _known(-contracts.customer[i] + 0.0),
        }
        for i in rows
    ]


def _contracts(view: LaneView) -> ContractView:
    if view.contracts is None:
        raise NoDataError(_not_priced(view))
    return view.contracts


def _pricing(view: LaneView) -> Pricing:
    if view.pricing is None:
        raise NoDataError(_not_priced(view))
    return view.pricing


def _not_priced(view: LaneView) -> str:
    return (
        f"{view.underlying} has not been priced in this session yet: expected quotes with two "
        "sides and a spot first; /health says what the feed is doing"
    )


def _measured(contracts: ContractView, model: str, measure: str) -> Floats:
    if measure == "position":
        return contracts.position(model)
    if measure == "volume":
        return contracts.volume
    place = {"delta": DELTA, "gamma": GAMMA}.get(measure, PICKED.index(measure))
    return np.asarray(contracts.exposures(model)[place])


def _unit(measure: str) -> str:
    if measure in ("position", "volume"):
        return "contracts"
    return _EXPOSURE_KEYS[PICKED.index(measure)].partition("_exposure_")[2]


def _level_row(pricing: Pricing) -> dict[str, Any]:
    row: dict[str, Any] = pricing.exposure.levels.to_pylist()[0]
    return row


def _live_levels(view: LaneView, pricing: Pricing, model: str) -> dict[str, Any]:
    from dealer_assets.domain.exposure.levels import level_row
    from dealer_assets.domain.exposure.moves import expected_move
    from dealer_assets.domain.exposure.profile import gamma_profile

    book = _live_book(view, pricing, model)
    rows = level_row(
        book,
        gamma_profile(book),
        quality=pricing.exposure.quality,
        contracts=pricing.chain.num_rows,
        band=None,
        move=expected_move(pricing.priced),
    )
    row: dict[str, Any] = rows.to_pylist()[0]
    return row


def _live_book(view: LaneView, pricing: Pricing, model: str) -> Any:
    """Return the book of positions of now on the last pricing."""
    from dealer_assets.domain.exposure.aggregate import book_of

    contracts = _contracts(view)
    position = np.zeros(1 + max(int(pricing.contract.max()), int(contracts.contract.max())))
    position[contracts.contract] = contracts.position(model)
    book = book_of(pricing.priced, position[pricing.contract], model=model)
    if not book.strike.size:
        why = "no trade of the session has a side yet"
        if model == LIVE_RECONCILED:
            why = (
                "no settled positions of the session are held; materialize dealer_positions "
                "before the open and start the process again"
            )
        raise NoDataError(f"{view.underlying}: {why}")
    return book


def _instant(us: int) -> str | None:
    if us < 0:
        return None
    return (_EPOCH + timedelta(microseconds=int(us))).isoformat()


def _known(value: Any) -> Any:
    """Return a number JSON can hold: null for NaN and infinities."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
