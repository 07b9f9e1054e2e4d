"""The vendor's view of a chain at one minute: rows of its snapshots, written once.

Belongs here: the fields of one contract, what the vendor leaves out, and data that is wrong on
purpose. Does not belong here: which rows an answer has (`polygon_pages`), HTTP.

Faithful to the vendor: fields are left out rather than null, save bid and ask in the half minute of
the opening bell; greeks are missing for a tenth of the contracts; before that half minute is over
the day's bar is still the last session's; a contract without a trade has an empty bar. Open
interest is the prior close's. Simplified: of the day's bar only close and volume are the market's,
and size, exchange and condition of the last trade are drawn, since the tape of a dense chain takes
seconds; trades and aggregates are exact (`polygon_history`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.cboe_rows import floats
from dealer_assets_tests.exchange.polygon_columns import (
    Columns,
    Source,
    columns_of,
    nanoseconds,
    plain,
)
from dealer_assets_tests.exchange.polygon_look import Look
from dealer_assets_tests.exchange.polygon_pages import Shelf
from dealer_assets_tests.exchange.world import World

_EPOCH = date(1970, 1, 1)
_NS = 1_000_000_000
_GREEKS = ("delta", "gamma", "theta", "vega")
_CHANGES = ("change", "change_percent", "previous_close")
_BAR = ("close", "high", "low", "open", "volume", "vwap", *_CHANGES)
_AT_THE_BELL = {"ask": None, "bid": None, "midpoint": None, "ask_size": 0, "bid_size": 0}
_SIZES, _CODES = (1, 1, 2, 5, 10), (209, 209, 227, 219, 232)


class Book:
    """One chain as one account sees it, for a minute; rows are written when first asked for.

    Parameters
    ----------
    world : World
        The market.
    symbol : str
        Registry symbol.
    at : datetime.datetime
        A minute in which it quoted.
    today : datetime.date
        New York date: what expired before it has vanished.
    look : Look
        How it is shown.
    """

    def __init__(self, world: World, symbol: str, *, at: datetime, today: date, look: Look) -> None:
        self.entry, self.at, self.look = underlying(symbol), at, look
        rows = world.chain(symbol, at)
        expiry = rows["expiry_date"].cast(pa.int32()).to_numpy()
        rows = rows.filter(pa.array(expiry >= (today - _EPOCH).days))
        days = rows["expiry_date"].cast(pa.int32()).to_numpy() + _EPOCH.toordinal()
        self.shelf = Shelf(
            tickers=[f"O:{name}" for name in rows["symbol"].to_pylist()],
            strikes=floats(rows, "strike"),
            days=days.astype(np.int64),
            is_call=np.array(rows["right"].to_pylist()) == "call",
        )
        self.place = {name: i for i, name in enumerate(self.shelf.tickers)}
        self.spot: float = rows["spot"][0].as_py() or float("nan")
        self._source = Source(world, self.entry, rows, at, look)
        self._at_ns = nanoseconds(at)
        self._pages: dict[tuple[int, ...], bytes] = {}

    @cached_property
    def _all(self) -> Columns:
        return columns_of(self._source)

    @cached_property
    def _details(self) -> list[dict[str, Any]]:
        rows = self._source.rows
        return [
            {
                "contract_type": right,
                "exercise_style": exercise,
                "expiration_date": expiry,
                "shares_per_contract": int(multiplier),
                "strike_price": plain(strike),
                "ticker": ticker,
            }
            for right, exercise, expiry, multiplier, strike, ticker in zip(
                rows["right"].to_pylist(),
                rows["exercise"].to_pylist(),
                rows["expiry_date"].cast(pa.string()).to_pylist(),
                rows["multiplier"].to_pylist(),
                rows["strike"].to_pylist(),
                self.shelf.tickers,
                strict=True,
            )
        ]

    def written(self, index: Sequence[int]) -> bytes:
        """Return chosen rows as a JSON array; the same page again is not written again."""
        page = tuple(index)
        if page not in self._pages:
            self._pages[page] = json.dumps(
                [self.row(i) for i in page], separators=(",", ":"), allow_nan=False
            ).encode()
        return self._pages[page]

    def row(self, i: int) -> dict[str, Any]:
        """Return one row of the chain."""
        return {"day": self.bar(i), "details": self._details[i], **self.shared(i)}

    def unified(self, i: int, *, market_status: str) -> dict[str, Any]:
        """Return one row of the unified snapshot."""
        details = self._details[i] | {"underlying_ticker": self.entry.symbol}
        ticker = details.pop("ticker")
        session = {k: v for k, v in self.bar(i).items() if k not in ("vwap", "last_updated")}
        right = "Call" if self.shelf.is_call[i] else "Put"
        strike = f"{self.shelf.strikes[i]:g}"
        return {
            "ticker": ticker,
            "type": "options",
            "name": f"{self.entry.symbol} ${strike} {right}",
            "market_status": market_status,
            "session": session,
            "details": details,
            **self.shared(i),
        }

    def bar(self, i: int) -> dict[str, Any]:
        """Return the day's bar, empty where nothing traded."""
        columns = self._all.values
        if columns["volume"][i] <= 0:
            return {}
        names = _BAR if columns["previous_close"][i] > 0.0 else _BAR[: -len(_CHANGES)]
        bar = {name: columns[name][i] for name in names}
        bar["last_updated"] = self._all.midnight_ns
        return bar

    def shared(self, i: int) -> dict[str, Any]:
        """Return the blocks that both snapshots have, as far as there are any."""
        columns = self._all.values
        blocks: dict[str, Any] = {}
        even = columns["break_even"][i]
        if even == even:
            blocks["break_even_price"] = even
        if self.look.has_greeks and columns["shows_greeks"][i]:
            blocks["greeks"] = {name: columns[name][i] for name in _GREEKS}
            blocks["implied_volatility"] = columns["vol"][i]
        if self.look.has_quotes and columns["mid"][i] == columns["mid"][i]:
            blocks["last_quote"] = self._quote(i)
        if columns["traded_ns"][i] > 0:
            blocks["last_trade"] = self._trade(i)
        if self._all.open_interest[i] is not None:
            blocks["open_interest"] = self._all.open_interest[i]
        blocks["underlying_asset"] = self._underlying(even)
        return blocks

    def _quote(self, i: int) -> dict[str, Any]:
        columns = self._all.values
        quote = {
            "ask": columns["ask"][i],
            "ask_size": columns["ask_size"][i],
            "bid": columns["bid"][i],
            "bid_size": columns["bid_size"][i],
            "last_updated": columns["quoted_ns"][i],
            "midpoint": columns["mid"][i],
            "timeframe": self.look.timeframe,
        }
        return quote | _AT_THE_BELL if self.look.is_bell else quote

    def _trade(self, i: int) -> dict[str, Any]:
        columns = self._all.values
        draw = columns["draw"][i]
        return {
            "price": columns["last_price"][i],
            "sip_timestamp": columns["traded_ns"][i] + draw * 104_729 % _NS // 1000 * 1000,
            "size": _SIZES[draw % 5],
            "conditions": [_CODES[draw // 5 % 5]],
            "exchange": 300 + draw // 25 % 25,
            "timeframe": self.look.timeframe,
        }

    def _underlying(self, even: float) -> dict[str, Any]:
        asset: dict[str, Any] = {
            "ticker": self.entry.vendor_symbols["polygon"],
            "timeframe": self.look.timeframe,
        }
        if not self.look.has_value or self.spot != self.spot:
            return asset
        asset["value" if self.entry.kind == "index" else "price"] = self.spot
        asset["last_updated"] = self._at_ns
        if even == even:
            asset["change_to_break_even"] = even - self.spot
        return asset
