"""A small market whose dealers' positions are known: mornings for the tests of settled positions.

Belongs here: contracts, counts, flow and the truth of made-up sessions. Does not belong here:
expectations.

Dealers hold a share of each contract's open interest: about its right's share, each contract its
own. Trades tell customers' net with a stated reliability, as a classifier would.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.positions.gathered import Morning
from dealer_assets.domain.positions.settled import settled_positions
from dealer_assets_tests.live_rows import row

Floats = NDArray[np.float64]
FIRST = date(2026, 3, 2)
EXPIRY = "270115"


def symbols_of(n: int) -> list[str]:
    """Return n contracts of one far expiry, calls and puts in turn."""
    return [f"SPXW{EXPIRY}{'CP'[i % 2]}{(4000 + 10 * (i // 2)) * 1000:08d}" for i in range(n)]


def counts(day: date, symbols: list[str], open_interest: Floats | list[float]) -> pa.Table:
    """Return what a session opens with, of one publisher."""
    at = sessions.session_open("XNYS", day)
    rows = [
        row(
            tables.OPEN_INTEREST,
            session_date=day,
            provider="made_up",
            symbol=symbol,
            expires_at=_expires(symbol),
            open_interest_contracts=float(count),
            at=at,
        )
        for symbol, count in zip(symbols, open_interest, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=tables.OPEN_INTEREST.schema)


def flow(
    day: date,
    symbols: list[str],
    *,
    volume: Floats | list[float],
    net: Floats | list[float],
    sd: Floats | list[float],
    squared: Floats | list[float],
    source: str = "tape",
) -> pa.Table:
    """Return a session's signed flow."""
    at = sessions.session_close("XNYS", day)
    rows = [
        row(
            tables.SIGNED_FLOW,
            session_date=day,
            source=source,
            symbol=symbol,
            expires_at=_expires(symbol),
            volume_contracts=float(v),
            signed_volume_contracts=float(v),
            apart_volume_contracts=0.0,
            customer_net_contracts=float(n),
            customer_net_sd_contracts=float(s),
            squared_size_contracts2=float(q),
            mean_confidence=0.7,
            at=at,
        )
        for symbol, v, n, s, q in zip(symbols, volume, net, sd, squared, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=tables.SIGNED_FLOW.schema)


def nothing(table: tables.Table) -> pa.Table:
    """Return no row of a table."""
    return table.schema.empty_table()


def morning(day: date, **held: pa.Table) -> Morning:
    """Return a morning at which some of positions, flow and counts are held."""
    return Morning(
        underlying="SPX",
        session_date=day,
        opened_at=sessions.session_open("XNYS", day),
        previous=held.get("previous", nothing(tables.DEALER_POSITIONS)),
        flow=held.get("flow", nothing(tables.SIGNED_FLOW)),
        counts=held.get("counts", nothing(tables.OPEN_INTEREST)),
    )


def _expires(symbol: str) -> object:
    text = symbol[-15:-9]
    day = date(2000 + int(text[:2]), int(text[2:4]), int(text[4:6]))
    return sessions.expiry_instant("pm", "XNYS", day)


@dataclass(frozen=True)
class Played:
    """Settled rows of each session, and dealers' true positions along its symbols."""

    rows: list[pa.Table]
    truths: list[Floats]
    counts: list[pa.Table]
    flows: list[pa.Table]
    symbols: list[str]


def play(*, contracts: int, days: int, reliability: float, seed: int, call_share: float) -> Played:
    """Play sessions of a market whose dealers hold `call_share` of calls, and puts the other way.

    Parameters
    ----------
    contracts, days : int
        How many.
    reliability : float
        Of classified trades: (2 p - 1)^2 where every side is right with probability p.
    seed : int
        Of everything random.
    call_share : float
        Mean share of open interest that dealers hold of calls; of puts the opposite.
    """
    rng = np.random.default_rng(seed)
    symbols = symbols_of(contracts)
    is_call = np.arange(contracts) % 2 == 0
    share = np.where(is_call, call_share, -call_share) + 0.15 * rng.standard_normal(contracts)
    share = np.clip(share, -0.95, 0.95)
    oi = np.round(rng.lognormal(7.0, 1.0, contracts))
    previous, evidence = nothing(tables.DEALER_POSITIONS), nothing(tables.SIGNED_FLOW)
    day, played = FIRST, Played([], [], [], [], symbols)
    for _ in range(days):
        position = np.round(share * oi)
        told = counts(day, symbols, oi)
        rows = settled_positions(morning(day, previous=previous, flow=evidence, counts=told))
        following = np.maximum(np.round(oi * np.exp(0.06 * rng.standard_normal(contracts))), 1.0)
        net = position - np.round(share * following)
        volume = np.abs(following - oi) + np.round(0.1 * oi * rng.random(contracts)) + 1.0
        squared = 10.0 * volume
        noise = np.sqrt(reliability * (1.0 - reliability) * squared)
        expected = reliability * net + noise * rng.standard_normal(contracts)
        sd = np.sqrt((1.0 - reliability) * squared)
        evidence = flow(day, symbols, volume=volume, net=expected, sd=sd, squared=squared)
        for held, new in zip(
            (played.rows, played.truths, played.counts, played.flows),
            (rows, position, told, evidence),
            strict=True,
        ):
            held.append(new)
        previous, oi, day = rows, following, sessions.next_session("XNYS", day)
    return played
