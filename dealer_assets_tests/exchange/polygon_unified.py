"""The vendor's snapshot of any tickers: options, indices and shares side by side.

Belongs here: its rows, refusals of single tickers among them. Does not belong here: an option's
blocks (`polygon_book`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dealer_assets.domain import sessions
from dealer_assets.errors import NotOfferedError
from dealer_assets.underlyings import Underlying
from dealer_assets_tests.exchange.polygon_answers import Reply
from dealer_assets_tests.exchange.polygon_book import Book
from dealer_assets_tests.exchange.polygon_columns import nanoseconds
from dealer_assets_tests.exchange.polygon_hours import index_phase, phase
from dealer_assets_tests.exchange.polygon_pages import (
    BadQueryError,
    read_limit,
    read_query,
    write_cursor,
)
from dealer_assets_tests.exchange.polygon_question import Moment, Question
from dealer_assets_tests.exchange.polygon_tape import Tape, owner_of
from dealer_assets_tests.exchange.world import World

_MOST_TICKERS = 250


class AnyTickers:
    """Rows of whatever tickers are asked for.

    Parameters
    ----------
    world : World
        The market.
    tape : Tape
        Its values.
    book_of : callable
        The chain of an underlying as the account of a question sees it.
    """

    def __init__(
        self, world: World, tape: Tape, book_of: Callable[[Underlying, Question], Book]
    ) -> None:
        self._world, self._tape, self._book_of = world, tape, book_of

    def page(self, question: Question, kinds: tuple[str, ...]) -> Reply:
        """Return a page of the tickers asked for.

        Parameters
        ----------
        question : Question
            The request.
        kinds : tuple of str
            What its path shows: ``options``, ``indices``, ``stocks``.
        """
        query = read_query(question.query)
        if "ticker.any_of" not in query and "ticker" not in query:
            raise BadQueryError("the test exchange wants ticker.any_of")
        tickers = sorted(set(query.get("ticker.any_of", query.get("ticker", "")).split(",")))
        if len(tickers) > _MOST_TICKERS:
            raise BadQueryError(f"ticker.any_of: more than {_MOST_TICKERS} tickers")
        if query.get("order", "asc") == "desc":
            tickers.reverse()
        wanted = (query["type"],) if "type" in query else kinds
        limit, begin = read_limit(query, default=10, most=250), int(query.get("ap", "0"))
        page = tickers[begin : begin + limit]
        more = begin + limit < len(tickers)
        cursor = write_cursor(query, {"ap": str(begin + limit)}) if more else None
        rows = [self._row(ticker, wanted, question) for ticker in page]
        body = json.dumps(rows, separators=(",", ":")).encode()
        return Reply({"status": question.moment.account.status}, body, cursor, question.path)

    def _row(self, ticker: str, kinds: tuple[str, ...], question: Question) -> dict[str, Any]:
        entry, moment = owner_of(ticker), question.moment
        missing = {"error": "NOT_FOUND", "message": "Ticker not found.", "ticker": ticker}
        kind = "options" if ticker.startswith("O:") else "stocks"
        kind = "indices" if ticker.startswith("I:") else kind
        if entry is None or kind not in kinds:
            return missing
        if kind == "options":
            book = self._book_of(entry, question)
            place = book.place.get(ticker)
            if place is None:
                return missing
            return book.unified(place, market_status=phase(moment.seen_at))
        if kind == "indices" and not moment.account.has_indices:
            return {
                "error": "NOT_ENTITLED",
                "message": "Not entitled to this ticker.",
                "ticker": ticker,
            }
        return self._value(entry, ticker, kind, moment)

    def _value(self, entry: Underlying, ticker: str, kind: str, moment: Moment) -> dict[str, Any]:
        """Return the row of an index, or of a share."""
        at = self._world.quoted_at(entry.symbol, moment.seen_at)
        seen, before = self._values(entry, at)
        last = seen[-1]
        session = {
            "change": last - before,
            "change_percent": 100.0 * (last - before) / before,
            "close": last,
            "high": max(seen),
            "low": min(seen),
            "open": seen[0],
            "previous_close": before,
        }
        row: dict[str, Any] = {"name": entry.name, "ticker": ticker, "type": kind}
        if kind == "indices":
            return row | {
                "last_updated": nanoseconds(at),
                "market_status": index_phase(moment.seen_at),
                "session": session,
                "timeframe": moment.account.timeframe,
                "value": last,
            }
        trade = {
            "last_updated": nanoseconds(at),
            "price": last,
            "size": 100,
            "timeframe": moment.account.timeframe,
        }
        session["volume"] = 1_000_000
        return row | {
            "market_status": phase(moment.seen_at),
            "session": session,
            "last_trade": trade,
        }

    def _values(self, entry: Underlying, at: datetime) -> tuple[list[float], float]:
        """Return an underlying's values in its session so far, and the close before."""
        day = sessions.session_of(entry.calendar, at)
        previous = sessions.previous_session(entry.calendar, day)
        try:
            at_us, values = self._tape.values(entry.symbol, day)
            _, before = self._tape.values(entry.symbol, previous)
        except NotOfferedError:  # a recorded chain knows one value
            spot = self._world.spot(entry.symbol, at)
            return [spot], spot
        limit_us = at.timestamp() * 1e6
        return [v for us, v in zip(at_us, values, strict=True) if us <= limit_us], before[-1]
