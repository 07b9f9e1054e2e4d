"""The options vendor's REST interface: every path the platform uses, over the exchange's market.

Belongs here: paths, who may ask for what, putting an answer together. Does not belong here: rows
(`polygon_book`, `polygon_tape`), listings (`polygon_pages`), accounts and faults
(`polygon_answers`, `polygon_look`).

Answers are computed in another thread, so that a long one stops no feed.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from aiohttp import web

from dealer_assets.underlyings import REGISTRY, Underlying
from dealer_assets_tests.exchange.polygon_answers import (
    UPGRADE,
    VENDOR,
    RefusalError,
    Reply,
    account_of,
    deliver,
    not_found,
    refusal_due,
    refused,
    seen_at,
    written,
)
from dealer_assets_tests.exchange.polygon_book import Book
from dealer_assets_tests.exchange.polygon_history import (
    aggregates,
    events,
    index_of,
    last_trade,
    open_close,
    previous_day,
)
from dealer_assets_tests.exchange.polygon_hours import status_now, upcoming
from dealer_assets_tests.exchange.polygon_look import look_of
from dealer_assets_tests.exchange.polygon_pages import (
    BadQueryError,
    read_query,
    write_cursor,
)
from dealer_assets_tests.exchange.polygon_question import Moment, Question
from dealer_assets_tests.exchange.polygon_reference import Reference, conditions, exchanges
from dealer_assets_tests.exchange.polygon_tape import Tape
from dealer_assets_tests.exchange.polygon_unified import AnyTickers
from dealer_assets_tests.exchange.world import World, without_secrets

_BOOKS_KEPT = 8


class PolygonRest:
    """Everything the interface answers.

    Parameters
    ----------
    world : World
        The market, accounts and faults.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._tape = Tape(world.market)
        self._reference = Reference(world)
        self._lock = threading.Lock()
        self._books: OrderedDict[object, Book] = OrderedDict()
        self._any = AnyTickers(world, self._tape, self._book)

    def chain(self, question: Question) -> Reply:
        """Answer with a page of a chain; an unknown underlying has no rows."""
        moment = question.moment
        query = read_query(question.query)
        entry = _underlying(question.parts["underlying"])
        fields = {"status": moment.account.status}
        if entry is None:
            return Reply(fields, b"[]")
        book = self._book(entry, question)
        index, place = book.shelf.page(query, most=250)
        cursor = None if place is None else write_cursor(query, place)
        return Reply(fields, book.written(index), cursor, question.path)

    def contract(self, question: Question) -> Reply:
        """Answer with one contract; an expired one does not exist."""
        entry, ticker = _underlying(question.parts["underlying"]), question.parts["contract"]
        book = None if entry is None else self._book(entry, question)
        if book is None or ticker not in book.place:
            raise not_found("Options contract not found.")
        fields = {"status": question.moment.account.status}
        return Reply(fields, book.written([book.place[ticker]])[1:-1])

    def unified(self, question: Question) -> Reply:
        """Answer with any tickers; what cannot be shown is a row that says so."""
        return self._any.page(question, ("options", "indices", "stocks"))

    def indices(self, question: Question) -> Reply:
        """Answer with values of indices."""
        return self._any.page(question, ("indices",))

    def trades(self, question: Question) -> Reply:
        """Answer with trades of a contract."""
        return events(
            self._tape.trades,
            question.parts["ticker"],
            question.query,
            path=question.path,
            moment=question.moment,
        )

    def quotes(self, question: Question) -> Reply:
        """Answer with quotes of a contract, where the plan has them."""
        if not question.moment.account.has_quotes:
            raise RefusalError(403, status="NOT_AUTHORIZED", message=UPGRADE)
        return events(
            self._tape.quotes,
            question.parts["ticker"],
            question.query,
            path=question.path,
            moment=question.moment,
        )

    def last_trade(self, question: Question) -> Reply:
        """Answer with the newest trade of a contract."""
        return last_trade(self._tape, question.parts["ticker"], question.moment)

    def aggregates(self, question: Question) -> Reply:
        """Answer with bars of a range."""
        parts = question.parts
        cut = (parts["multiplier"], parts["timespan"], parts["begin"], parts["end"])
        return aggregates(
            self._tape,
            self._allowed(question),
            cut=cut,
            asked=question.query,
            moment=question.moment,
        )

    def previous_day(self, question: Question) -> Reply:
        """Answer with the bar of the session before."""
        return previous_day(self._tape, self._allowed(question), question.moment)

    def open_close(self, question: Question) -> Reply:
        """Answer with open and close of a day."""
        ticker = self._allowed(question)
        return open_close(self._tape, ticker, question.parts["date"], question.moment)

    def contracts(self, question: Question) -> Reply:
        """Answer with listed contracts."""
        return self._reference.contracts(question.query, path=question.path, moment=question.moment)

    def listed_contract(self, question: Question) -> Reply:
        """Answer with one listed contract."""
        ticker = question.parts["ticker"]
        return self._reference.contract(ticker, question.query, moment=question.moment)

    def conditions(self, question: Question) -> Reply:
        """Answer with trade conditions."""
        return conditions(question.query)

    def exchanges(self, question: Question) -> Reply:
        """Answer with exchanges."""
        return exchanges(question.query)

    def status(self, question: Question) -> Reply:
        """Answer with the market's status; its clock is the exchange's, whatever the plan."""
        return Reply({}, bare=json.dumps(status_now(self._world.clock.now())).encode())

    def upcoming(self, question: Question) -> Reply:
        """Answer with holidays to come: a bare array."""
        return Reply({}, bare=json.dumps(upcoming(self._world.clock.now())).encode())

    def _allowed(self, question: Question) -> str:
        ticker = question.parts["ticker"]
        if index_of(ticker) is not None and not question.moment.account.has_indices:
            raise RefusalError(403, status="NOT_AUTHORIZED", message=UPGRADE)
        return ticker

    def _book(self, entry: Underlying, question: Question) -> Book:
        """Return the chain as the account sees it now, prepared once."""
        moment, world = question.moment, self._world
        look = look_of(
            world,
            entry.symbol,
            where=question.where,
            account=moment.account,
            seen_at=moment.seen_at,
            calls=len(world.requests),
        )
        at = world.quoted_at(entry.symbol, moment.seen_at)
        key = (entry.symbol, at, moment.today, look)
        with self._lock:
            if key not in self._books:
                self._books[key] = Book(world, entry.symbol, at=at, today=moment.today, look=look)
                while len(self._books) > _BOOKS_KEPT:
                    self._books.popitem(last=False)
            return self._books[key]


def _underlying(name: str) -> Underlying | None:
    """Return the underlying that chains are asked for by, with or without the index' prefix."""
    for entry in REGISTRY:
        known = entry.vendor_symbols.get("polygon")
        if known is not None and name in (known, known.removeprefix("I:")):
            return entry
    return None


def routes(world: World) -> list[web.RouteDef]:
    """Return the routes of the interface."""
    rest = PolygonRest(world)
    paths: dict[str, Callable[[Question], Reply]] = {
        "/v3/snapshot/options/{underlying}": rest.chain,
        "/v3/snapshot/options/{underlying}/{contract}": rest.contract,
        "/v3/snapshot/indices": rest.indices,
        "/v3/snapshot": rest.unified,
        "/v3/reference/options/contracts": rest.contracts,
        "/v3/reference/options/contracts/{ticker}": rest.listed_contract,
        "/v3/reference/conditions": rest.conditions,
        "/v3/reference/exchanges": rest.exchanges,
        "/v3/trades/{ticker}": rest.trades,
        "/v3/quotes/{ticker}": rest.quotes,
        "/v2/last/trade/{ticker}": rest.last_trade,
        "/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{begin}/{end}": rest.aggregates,
        "/v2/aggs/ticker/{ticker}/prev": rest.previous_day,
        "/v1/open-close/{ticker}/{date}": rest.open_close,
        "/v1/marketstatus/now": rest.status,
        "/v1/marketstatus/upcoming": rest.upcoming,
    }
    return [web.get(path, _handler(world, answer)) for path, answer in paths.items()]


def _handler(
    world: World, answer: Callable[[Question], Reply]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        world.count(VENDOR)
        refusal = refusal_due(request, world)
        if isinstance(refusal, web.Response):
            return refusal
        try:
            if refusal is not None:
                raise refusal
            account = account_of(request, world)
            question = Question(
                path=request.path,
                where=without_secrets(request.path_qs),
                parts=request.match_info,
                query=dict(request.query),
                moment=Moment(account, seen_at(world, account)),
            )
            reply = await asyncio.to_thread(answer, question)
        except RefusalError as error:
            return refused(error, world)
        except BadQueryError as error:
            return refused(RefusalError(400, status="ERROR", error=str(error)), world)
        return await deliver(request, world, written(reply, request, world))

    return handle
