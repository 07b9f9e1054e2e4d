"""The vendor's reference data: contracts listed, conditions, exchanges.

Belongs here: what exists, at a date. Does not belong here: quotes of it (`polygon_book`).

An index goes by its bare name here: ``SPX`` has the contracts of both roots, while ``I:SPX`` and
``SPXW`` have none, which is no error. Expired contracts can be asked for within forty days.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.errors import NotOfferedError
from dealer_assets.providers.simulator.prints import CANCELS, EXCHANGES
from dealer_assets.underlyings import REGISTRY, Underlying, underlying
from dealer_assets_tests.exchange.polygon_answers import Reply, not_found
from dealer_assets_tests.exchange.polygon_columns import plain
from dealer_assets_tests.exchange.polygon_pages import (
    Query,
    Shelf,
    read_date,
    read_query,
    write_cursor,
)
from dealer_assets_tests.exchange.polygon_question import Moment
from dealer_assets_tests.exchange.polygon_tape import owner_of
from dealer_assets_tests.exchange.world import World

_EPOCH = date(1970, 1, 1)
_EXPIRED_DAYS = 40
_DAY = timedelta(days=1)

_CONDITIONS = {
    201: "Canceled",
    202: "Late and Out Of Sequence",
    203: "Last and Canceled",
    204: "Late",
    205: "Opening Trade and Canceled",
    206: "Opening Trade, Late, and Out Of Sequence",
    207: "Only Trade and Canceled",
    208: "Opening Trade and Late",
    209: "Automatic Execution",
    210: "Reopening Trade",
    219: "Intermarket Sweep Order",
    227: "Single Leg Auction Non ISO",
    228: "Single Leg Auction ISO",
    229: "Single Leg Cross Non ISO",
    230: "Single Leg Cross ISO",
    231: "Single Leg Floor Trade",
    232: "Multi Leg auto-electronic trade",
    233: "Multi Leg Auction",
    234: "Multi Leg Cross",
    235: "Multi Leg floor trade",
    236: "Multi Leg auto-electronic trade against single leg(s)",
    237: "Stock Options Auction",
    238: "Multi Leg Auction against single leg(s)",
    239: "Multi Leg floor trade against single leg(s)",
    240: "Stock Options auto-electronic trade",
    241: "Stock Options Cross",
    242: "Stock Options floor trade",
    243: "Stock Options auto-electronic trade against single leg(s)",
    244: "Stock Options Auction against single leg(s)",
    245: "Stock Options floor trade against single leg(s)",
    246: "Multi Leg Floor Trade of Proprietary Products",
    247: "Multilateral Compression Trade of Proprietary Products",
    248: "Extended Hours Trade",
}
_LATE = (202, 204, 206, 208)


class Reference:
    """The reference of a market.

    Parameters
    ----------
    world : World
        The market.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._listed = lru_cache(maxsize=128)(self._make_listed)
        self._live = lru_cache(maxsize=16)(self._make_live)
        self._expired = lru_cache(maxsize=16)(self._make_expired)

    def contracts(self, asked: Query, *, path: str, moment: Moment) -> Reply:
        """Answer with a page of contracts."""
        query = read_query(asked)
        rows: list[dict[str, Any]] = []
        place = None
        entry = _entry(query)
        if entry is not None:
            day = self._as_of(query, moment)
            wants_expired = query.get("expired", "false") == "true"
            found = self._expired if wants_expired else self._live
            shelf, table = found(entry.symbol, day, self._session(entry, day, moment))
            index, place = shelf.page(query, most=1000)
            rows = [_row(entry, shelf, table, i) for i in index]
        body = json.dumps(rows, separators=(",", ":")).encode()
        cursor = None if place is None else write_cursor(query, place)
        return Reply({"status": "OK"}, body, cursor, path)

    def contract(self, ticker: str, asked: Query, *, moment: Moment) -> Reply:
        """Answer with one contract."""
        entry = owner_of(ticker) if ticker.startswith("O:") else None
        day = self._as_of(asked, moment)
        for found in (self._live, self._expired) if entry is not None else ():
            shelf, table = found(entry.symbol, day, self._session(entry, day, moment))
            if ticker in shelf.tickers:
                row = _row(entry, shelf, table, list(shelf.tickers).index(ticker))
                return Reply({"status": "OK"}, json.dumps(row).encode())
        raise not_found("Options contract not found.")

    def _as_of(self, query: Query, moment: Moment) -> date:
        day = read_date(query, "as_of") if "as_of" in query else moment.today
        return min(day, moment.today)

    def _make_listed(self, symbol: str, session: date) -> pa.Table:
        entry = underlying(symbol)
        try:
            return self._world.market.listing(entry, session_date=session).rows
        except NotOfferedError:  # a recorded chain lists what it holds
            return self._world.chain(entry.symbol)

    def _session(self, entry: Underlying, day: date, moment: Moment) -> date:
        """Return the session whose listing a date has: a new one is listed at the open."""
        if day == moment.today:
            return sessions.session_of(entry.calendar, moment.seen_at)
        return sessions.session_on_or_before(entry.calendar, day)

    def _make_live(self, symbol: str, day: date, session: date) -> tuple[Shelf, pa.Table]:
        rows = self._listed(symbol, session)
        rows = rows.filter(pc.greater_equal(rows["expiry_date"], pa.scalar(day)))
        return _shelved(rows)

    def _make_expired(self, symbol: str, day: date, _: date) -> tuple[Shelf, pa.Table]:
        """Contracts whose last session was one of the last forty days'."""
        entry = underlying(symbol)
        days = sessions.sessions_between(
            entry.calendar, day - timedelta(days=_EXPIRED_DAYS), day - _DAY
        )
        parts = []
        for session in days:
            rows = self._listed(symbol, session)
            after = sessions.next_session(entry.calendar, session)
            expiry = rows["expiry_date"]
            is_last = pc.equal(expiry, pa.scalar(session))
            am = pc.and_(
                pc.equal(rows["settlement"], "am"),
                pc.and_(
                    pc.greater(expiry, pa.scalar(session)),
                    pc.less_equal(expiry, pa.scalar(min(after, day - _DAY))),
                ),
            )
            parts.append(rows.filter(pc.or_(is_last, am)).select(_COLUMNS))
        return _shelved(pa.concat_tables(parts))


_COLUMNS = ["symbol", "strike", "expiry_date", "right", "exercise", "multiplier"]


def _entry(query: Query) -> Underlying | None:
    """Return the underlying that a question is about; None: there is none."""
    if "ticker" in query and "underlying_ticker" not in query:
        return owner_of(query["ticker"]) if query["ticker"].startswith("O:") else None
    name = query.get("underlying_ticker", "SPX")
    return next((u for u in REGISTRY if u.symbol == name and "polygon" in u.vendor_symbols), None)


def _shelved(rows: pa.Table) -> tuple[Shelf, pa.Table]:
    days = rows["expiry_date"].cast(pa.int32()).to_numpy() + _EPOCH.toordinal()
    shelf = Shelf(
        tickers=[f"O:{name}" for name in rows["symbol"].to_pylist()],
        strikes=rows["strike"].to_numpy(),
        days=days.astype(np.int64),
        is_call=np.array(rows["right"].to_pylist()) == "call",
    )
    return shelf, rows.select(_COLUMNS)


def _row(entry: Underlying, shelf: Shelf, rows: pa.Table, i: int) -> dict[str, Any]:
    is_call, is_index = bool(shelf.is_call[i]), entry.kind == "index"
    exercise = rows["exercise"][i].as_py()
    code = f"O{'C' if is_call else 'P'}{exercise[0].upper()}{'ICS' if is_index else 'SPS'}"
    return {
        "cfi": code,
        "contract_type": "call" if is_call else "put",
        "exercise_style": exercise,
        "expiration_date": date.fromordinal(int(shelf.days[i])).isoformat(),
        "primary_exchange": "XCBO" if is_index else "BATO",
        "shares_per_contract": int(rows["multiplier"][i].as_py()),
        "strike_price": plain(float(shelf.strikes[i])),
        "ticker": shelf.tickers[i],
        "underlying_ticker": entry.symbol,
    }


def conditions(asked: Query) -> Reply:
    """Answer with the trade conditions of options."""
    rows = [_condition(code, name) for code, name in _CONDITIONS.items()]
    return _listing(rows, asked)


def _condition(code: int, name: str) -> dict[str, Any]:
    moves = {
        "updates_high_low": code not in (*CANCELS, *_LATE),
        "updates_open_close": code not in (*CANCELS, *_LATE),
        "updates_volume": code not in CANCELS,
    }
    return {
        "id": code,
        "type": "sale_condition",
        "name": name,
        "asset_class": "options",
        "sip_mapping": {"OPRA": chr(ord("A") + code % 26)},
        "update_rules": {"consolidated": moves, "market_center": moves},
        "data_types": ["trade"],
    }


def exchanges(asked: Query) -> Reply:
    """Answer with the options exchanges."""
    rows = [
        {
            "id": code,
            "type": "exchange",
            "asset_class": "options",
            "locale": "us",
            "name": f"Options Exchange {code}",
            "mic": f"X{code}",
            "operating_mic": f"X{code}",
            "participant_id": chr(ord("A") + i),
            "url": "https://example.com",
        }
        for i, code in enumerate(EXCHANGES.tolist())
    ]
    body = json.dumps(rows, separators=(",", ":")).encode()
    return Reply({"status": "OK", "count": len(rows)}, body)


def _listing(rows: Sequence[dict[str, Any]], asked: Query) -> Reply:
    query = read_query(asked)
    limit, begin = int(query.get("limit", "10")), int(query.get("ap", "0"))
    page = rows[begin : begin + limit]
    more = begin + limit < len(rows)
    cursor = write_cursor(query, {"ap": str(begin + limit)}) if more else None
    body = json.dumps(page, separators=(",", ":")).encode()
    return Reply({"status": "OK", "count": len(page)}, body, cursor, "/v3/reference/conditions")
