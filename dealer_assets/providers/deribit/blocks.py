"""Block trades: legs from the tape, and requests for quotes that the tape does not show.

Belongs here: putting legs together, the fields of ``get_block_rfq_trades`` and ``get_combos``. Does
not belong here: requests (`provider`), single trades (`trades`).

The tape marks a block's legs with ``block_trade_id``; those that came from a request for quotes
(RFQ) carry its ``block_rfq_id`` too. The list of RFQs has each with its legs once more: only RFQs
that the tape lacks add rows, as ``RFQ-<id>``. A leg's own direction is its direction in the
package; the taker's side is that when the taker bought the package, the opposite when he sold it.
Sizes are the package's amount times the leg's ratio. Legs in futures, and hedges, are no options:
they count in ``legs`` and have no row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.sessions import session_open
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.deribit.columns import (
    Object,
    constants,
    ids,
    instant_column,
    number,
    quarantine,
    table_of,
)
from dealer_assets.providers.deribit.families import Family
from dealer_assets.providers.deribit.trades import PROVIDER, Print, nullable, read_trades
from dealer_assets.underlyings import Underlying

_OTHER = {"buy": "sell", "sell": "buy"}
Ratios = Mapping[str, float]


@dataclass(frozen=True)
class _Legs:
    """Legs as rows that `read_trades` reads, with what the block says about them."""

    rows: list[Object]
    blocks: list[str]
    legs: list[int]
    quoted: list[str | None]

    def __add__(self, other: _Legs) -> _Legs:
        return _Legs(
            self.rows + other.rows,
            self.blocks + other.blocks,
            self.legs + other.legs,
            self.quoted + other.quoted,
        )


def parse_combos(rows: Iterable[Object]) -> dict[str, dict[str, float]]:
    """Return the legs of each combination: id to instrument to signed ratio.

    Parameters
    ----------
    rows : iterable of object
        Result of ``get_combos``, active combinations only.
    """
    found = {}
    for row in rows:
        name = row.get("id")
        if isinstance(name, str):
            found[name] = {
                str(leg.get("instrument_name")): number(leg.get("amount"))
                for leg in _members(row, "legs")
            }
    return found


def block_records(
    tape: Sequence[Object],
    requests: Sequence[Object],
    combos: Mapping[str, Ratios],
    underlying: Underlying,
    families: Sequence[Family],
    *,
    session_date: date,
    source_name: str,
    source_sha256: str,
    is_complete: bool,
    findings: Sequence[Finding],
) -> Records:
    """Return block legs of a session as rows of `tables.BLOCK_TRADES`.

    Parameters
    ----------
    tape : sequence of object
        Trades of the session, each id once; those without ``block_trade_id`` are passed over.
    requests : sequence of object
        RFQs of the session.
    combos : mapping of str to mapping
        Of `parse_combos`; RFQs are held against them.
    underlying : Underlying
        Registry entry.
    families : sequence of Family
        Its families.
    session_date : datetime.date
        Session.
    source_name, source_sha256 : str
        Provenance.
    is_complete : bool
        Whether tape and RFQs were read to their end.
    findings : sequence of Finding
        Of reading them.
    """
    printed = _tape_legs(tape)
    shown = {key for key in printed.quoted if key is not None}
    found = list(findings) + _disagreements(tape, requests, combos)
    unseen = [r for r in requests if str(r.get("id")) not in shown]
    legs, elsewhere = _options(printed + _request_legs(unseen), families)
    if elsewhere:
        text = f"{elsewhere} legs in other instruments than options of {underlying.symbol}: no rows"
        found.append(Finding("other_legs_left_out", text))
    prints = read_trades(legs.rows, underlying, families)
    reasons = prints.reasons(of_tape=False)
    batch = {
        "underlying": underlying.symbol,
        "session_date": session_date,
        "provider": PROVIDER,
        "source_name": source_name,
    }
    opening = session_open(underlying.calendar, session_date)
    accepted = np.flatnonzero(reasons == "")
    return Records(
        table=tables.BLOCK_TRADES,
        rows=table_of(tables.BLOCK_TRADES, _columns(legs, prints, accepted, batch)),
        provider=PROVIDER,
        source_name=source_name,
        source_sha256=source_sha256,
        rejected=quarantine(
            legs.rows,
            reasons,
            symbols=prints.names,
            event_at=prints.event_at,
            constants_of_batch={**batch, "source_sha256": source_sha256, "event_at": opening},
        ),
        is_complete=is_complete,
        findings=tuple(found),
    )


def _tape_legs(tape: Sequence[Object]) -> _Legs:
    rows = [row for row in tape if row.get("block_trade_id")]
    rows.sort(key=lambda row: (str(row["block_trade_id"]), str(row.get("trade_id")).zfill(24)))
    blocks = [str(row["block_trade_id"]) for row in rows]
    seen = Counter(blocks)
    told = [number(row.get("block_trade_leg_count")) for row in rows]
    legs = [
        max(int(count) if np.isfinite(count) else 1, seen[block])
        for block, count in zip(blocks, told, strict=True)
    ]
    return _Legs(rows, blocks, legs, ids(rows, "block_rfq_id"))


def _request_legs(requests: Iterable[Object]) -> _Legs:
    """Spread requests over their legs, in the fields of a trade."""
    found = _Legs([], [], [], [])
    for request in requests:
        legs = _members(request, "legs")
        hedged = isinstance(request.get("hedge"), dict)
        for leg in legs:
            found.rows.append(_as_trade(request, leg))
            found.blocks.append(f"RFQ-{request.get('id')}")
            found.legs.append(len(legs) + hedged)
            found.quoted.append(str(request.get("id")))
    return found


def _members(holder: Object, field: str) -> list[Object]:
    value = holder.get(field)
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _as_trade(request: Object, leg: Object) -> Object:
    return {
        "instrument_name": leg.get("instrument_name"),
        "timestamp": request.get("timestamp"),
        "price": leg.get("price"),
        "amount": _product(request.get("amount"), leg.get("ratio")),
        "direction": taker_side(request.get("direction"), leg.get("direction")),
        "index_price": _index_of(request, str(leg.get("instrument_name"))),
    }


def _product(amount: Any, ratio: Any) -> float | None:
    size = number(amount) * abs(number(ratio))
    return float(size) if np.isfinite(size) else None


def taker_side(package: Any, leg: Any) -> str:
    """Return what the taker did in a leg: blank when either direction is no direction."""
    if leg not in _OTHER or package not in _OTHER:
        return ""
    return str(leg) if package == "buy" else _OTHER[leg]


def _index_of(request: Object, name: str) -> Any:
    prices = request.get("index_prices")
    base, _, quote = name.partition("-")[0].partition("_")
    return prices.get(f"{base}_{quote or 'usd'}".lower()) if isinstance(prices, dict) else None


def _options(legs: _Legs, families: Sequence[Family]) -> tuple[_Legs, int]:
    """Return the legs in options of the underlying, and how many of its other legs there are."""
    bases = {family.root.symbol.partition("_")[0] for family in families}
    kept, elsewhere = [], 0
    for i, row in enumerate(legs.rows):
        name = str(row.get("instrument_name"))
        if any(family.has(name) for family in families):
            kept.append(i)
        else:
            elsewhere += name.partition("-")[0].partition("_")[0] in bases
    return _Legs(
        [legs.rows[i] for i in kept],
        [legs.blocks[i] for i in kept],
        [legs.legs[i] for i in kept],
        [legs.quoted[i] for i in kept],
    ), elsewhere


def _disagreements(
    tape: Sequence[Object], requests: Sequence[Object], combos: Mapping[str, Ratios]
) -> list[Finding]:
    """Hold each request against the tape's legs and against its combination."""
    sides = {
        (str(row["block_rfq_id"]), row.get("instrument_name")): row.get("direction")
        for row in tape
        if row.get("block_rfq_id") is not None
    }
    turned, unlike = [], []
    for request in requests:
        key, legs = str(request.get("id")), _members(request, "legs")
        for leg in legs:
            printed = sides.get((key, leg.get("instrument_name")))
            side = taker_side(request.get("direction"), leg.get("direction"))
            if printed is not None and printed != side:
                turned.append(key)
        ratios = combos.get(str(request.get("combo_id")))
        if ratios is not None and ratios != _signed(legs):
            unlike.append(key)
    findings = []
    if turned:
        text = f"RFQs whose legs have another side on the tape, e.g. {turned[0]}: the tape is used"
        findings.append(Finding("rfq_side_disagrees", f"{len(turned)} {text}"))
    if unlike:
        text = f"RFQs whose legs are not those of their combination, e.g. {unlike[0]}"
        findings.append(Finding("rfq_legs_disagree", f"{len(unlike)} {text}; kept as printed"))
    return findings


def _signed(legs: Sequence[Object]) -> dict[str, float]:
    return {
        str(leg.get("instrument_name")): number(leg.get("ratio"))
        * (1.0 if leg.get("direction") == "buy" else -1.0)
        for leg in legs
    }


def _columns(
    legs: _Legs, prints: Print, rows: np.ndarray, batch: dict[str, object]
) -> dict[str, pa.Array]:
    picked: list[int] = rows.tolist()
    quoted = [legs.quoted[i] for i in picked]
    event_at = instant_column(prints.event_at[rows])
    rules = ["unsigned" if key is None else "taker_side" for key in quoted]
    sides = pa.array(prints.direction[rows].tolist(), pa.string())
    return {
        **constants(rows.size, **batch),
        **prints.contracts.arrow(rows),
        "event_at": event_at,
        "known_at": event_at,  # published with the trade
        "block_id": pa.array([legs.blocks[i] for i in picked], pa.string()),
        "leg": pa.array(_numbered([legs.blocks[i] for i in picked]), pa.int32()),
        "legs": pa.array([legs.legs[i] for i in picked], pa.int32()),
        "size_contracts": pa.array(prints.size[rows]),
        "price": nullable(prints.price[rows]),
        "price_currency": pa.array(prints.currency[rows].tolist(), pa.string()),
        "underlying_price": nullable(prints.index[rows]),
        "venue_implied_vol": nullable(prints.implied_vol[rows]),
        "taker_side": sides,
        "dealer_side": pa.nulls(rows.size, pa.string()),  # the venue never says who is a dealer
        "rfq_id": pa.array(quoted, pa.string()),
        "venue": pa.repeat(PROVIDER, rows.size),
        "reported_at": pa.nulls(rows.size, tables.INSTANT),
        "sign_rule": pa.array(rules, pa.string()),
    }


def _numbered(blocks: Sequence[str]) -> list[int]:
    """Return the number of each row in its block, from 0."""
    seen: Counter[str] = Counter()
    found = []
    for block in blocks:
        found.append(seen[block])
        seen[block] += 1
    return found
