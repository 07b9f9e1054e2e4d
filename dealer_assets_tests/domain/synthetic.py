"""Hand-made snapshots: tables of the dictionary's schemas from a few lines of numbers.

Belongs here: builders that several test modules share. Does not belong here: assertions, or
recorded data.
"""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.exposure.aggregate import open_book
from dealer_assets.domain.instruments import Contract
from dealer_assets.domain.pricing.black import black_price
from dealer_assets.domain.sessions import expiry_instant, session_of, year_fraction
from dealer_assets.underlyings import underlying as registry_entry

EVENT_AT = datetime(2025, 6, 10, 15, 0, tzinfo=UTC)
"""A Tuesday, 11:00 in New York."""

SESSION = date(2025, 6, 10)


def table_of(rows, table):
    """Rows as a table of a dictionary entry, sorted by its key; absent columns are null."""
    made = pa.Table.from_pylist(rows, schema=table.schema)
    return made.sort_by([(name, "ascending") for name in table.key])


def contract(strike, right, *, root="SPXW", expiry=date(2025, 7, 15), **quote):
    """One row of a chain, as far as a test cares."""
    defaults = {"bid": None, "ask": None, "volume_contracts": 0.0, "open_interest_contracts": 100.0}
    return {
        "strike": float(strike),
        "right": right,
        "root": root,
        "expiry_date": expiry,
        **(defaults | quote),
    }


def chain(contracts, *, symbol="SPX", event_at=EVENT_AT, spot=6000.0, spot_source="index"):
    """A `chain_snapshots` table of one snapshot."""
    entry = registry_entry(symbol)
    rows = []
    for item in contracts:
        root = entry.root(item["root"])
        named = Contract(root.symbol, item["expiry_date"], item["right"], item["strike"])
        rows.append(
            {
                "underlying": symbol,
                "session_date": session_of(entry.calendar, event_at),
                "event_at": event_at,
                "known_at": event_at,
                "provider": "synthetic",
                "symbol": named.deribit if entry.kind == "crypto" else named.osi,
                "expires_at": expiry_instant(root.settlement, entry.calendar, item["expiry_date"]),
                "exercise": root.exercise,
                "settlement": root.settlement,
                "multiplier": root.multiplier,
                "spot": spot,
                "spot_source": spot_source,
                "is_partial": False,
                **item,
            }
        )
    return table_of(rows, tables.CHAIN_SNAPSHOTS)


def years_to(expiry, *, root="SPXW", symbol="SPX", event_at=EVENT_AT):
    """Year fraction of a series at an instant."""
    entry = registry_entry(symbol)
    settlement = entry.root(root).settlement
    return year_fraction(event_at, expiry_instant(settlement, entry.calendar, expiry))


def quoted(
    strikes,
    *,
    vol,
    expiry=date(2025, 7, 15),
    root="SPXW",
    spot=6000.0,
    rate=0.0,
    carry=0.03,
    half_spread=0.05,
    rights=("call", "put"),
    event_at=EVENT_AT,
    **fields,
):
    """Contracts quoted at their Black price plus and minus a half-spread.

    `vol` is a number or a function of strike. Prices under the half-spread get no bid. The rate is
    0 unless given, because that is what a chain of short slices is discounted at.
    """
    years = years_to(expiry, root=root, event_at=event_at)
    forward, discount = spot * np.exp(carry * years), np.exp(-rate * years)
    made = []
    for strike in strikes:
        for right in rights:
            mid = float(
                black_price(
                    np.array([forward]),
                    np.array([float(strike)]),
                    T=np.array([years]),
                    sigma=np.array([vol(strike) if callable(vol) else vol]),
                    D=np.array([discount]),
                    is_call=np.array([right == "call"]),
                )[0]
            )
            quote = {"bid": max(mid - half_spread, 0.0), "ask": mid + half_spread}
            made.append(contract(strike, right, root=root, expiry=expiry, **(quote | fields)))
    return made


def whole_chain(*, vol=0.18, event_at=EVENT_AT):
    """Contracts enough to pass for a whole SPX chain: both roots, 14 expiries, 0.7-1.3 of spot.

    Calls have half as much open interest again as puts, so that the book is not zero throughout.
    """
    expiries = [date(2025, 6, 13) + timedelta(days=28 * number) for number in range(13)]
    listed = [("SPXW", expiry) for expiry in expiries] + [("SPX", date(2025, 7, 18))]
    strikes = range(4200, 7900, 100)
    made = []
    for root, expiry in listed:
        made += quoted(strikes, vol=vol, expiry=expiry, root=root, event_at=event_at)
    size = {"call": 150.0, "put": 100.0}
    return [item | {"open_interest_contracts": size[item["right"]]} for item in made]


def priced(contracts, *, spot=100.0, event_at=EVENT_AT, symbol="SPX"):
    """A `contract_greeks` table straight from vols: what `price_chain` would hand on.

    Every contract needs strike, right, years, vol and open interest; forward is spot and discount
    is 1 unless given. The stored Greeks stay null: exposures are derived from the vol.
    """
    rows = []
    for item in contracts:
        years = item["years"]
        days = item.get("days", max(round(years * 365), 0))
        expiry = SESSION + timedelta(days=days)
        root = item.get("root", "SPXW")
        rows.append(
            {
                "underlying": symbol,
                "session_date": SESSION,
                "event_at": event_at,
                "known_at": event_at,
                "symbol": Contract(root, expiry, item["right"], item["strike"]).osi,
                "root": root,
                "expiry_date": expiry,
                "expires_at": event_at + timedelta(days=365 * years),
                "strike": float(item["strike"]),
                "right": item["right"],
                "multiplier": item.get("multiplier", 100.0),
                "open_interest_contracts": item["open_interest"],
                "volume_contracts": 0.0,
                "spot": spot,
                "spot_source": "index",
                "year_fraction": years,
                "variance_years": years,
                "is_average_assumed": False,
                "pricing_model": "black",
                "forward": item.get("forward", spot),
                "discount": item.get("discount", 1.0),
                "forward_method": "parity",
                "forward_pairs": 5,
                "forward_residual": 0.1,
                "mid": 1.0,
                "implied_vol": item["vol"],
                "iv_source": item.get("iv_source", "own"),
                "iv_reason": "ok",
            }
        )
    return table_of(rows, tables.CONTRACT_GREEKS)


def position(strike, right, open_interest, *, years=1.0, vol=0.2, **more):
    """One contract of `priced`."""
    base = {"strike": strike, "right": right, "open_interest": open_interest}
    return {**base, "years": years, "vol": vol, **more}


def book_of(contracts, *, spot=100.0):
    """A naive book straight from vols."""
    return open_book(priced(contracts, spot=spot), "naive")


def settled(rows, positions, *, sd=0.0, common=0.0, kind=None, model="reconciled", known_at=None):
    """A `dealer_positions` table of a chain's or priced rows' contracts, in their order.

    `positions` has a number per contract, None for one that is not settled; `sd` and `common`, the
    part of it that the contract's kind shares, are one number for all or one each.
    """
    count = len(positions)
    sds = np.broadcast_to(np.asarray(sd, np.float64), count)
    shared = np.broadcast_to(np.asarray(common, np.float64), count)
    contract_columns = ("symbol", "root", "expiry_date", "expires_at", "strike", "right")
    made = []
    for at, (row, position) in enumerate(zip(rows.to_pylist(), positions, strict=True)):
        if position is None:
            continue
        own = float(sds[at])
        made.append(
            {name: row[name] for name in ("underlying", "session_date", *contract_columns)}
            | {
                "event_at": row["event_at"],
                "known_at": known_at or row["known_at"],
                "model": model,
                "open_interest_contracts": row["open_interest_contracts"],
                "open_interest_state": "ok",
                "position_contracts": float(position),
                "position_sd_contracts": own,
                "position_lo_contracts": position - 1.645 * own,
                "position_hi_contracts": position + 1.645 * own,
                "evidence_share": 0.5,
                "effective_contracts": 10.0,
                "sessions_of_flow": 3,
                "is_since_listing": False,
                "kind": kind[at] if kind else f"{row['right']} near week",
                "kind_share": 0.4,
                "kind_share_sd": 0.1,
                "kind_loading_contracts": float(shared[at]) / 0.1,
                "filter_mean_contracts": float(position),
                "filter_sd_contracts": float(np.sqrt(max(own**2 - shared[at] ** 2, 0.0))),
            }
        )
    return table_of(made, tables.DEALER_POSITIONS)
