"""OCC's free data: cleared volume by type of account, open interest by strike, daily totals.

Belongs here: paths, texts and faults. Does not belong here: the market.

Refusals are sentences with HTTP 200. Volumes count both sides of each trade, come the morning after
and reach back two years. Header and rows of the volume file disagree on the last comma. Open
interest by strike is today's only, and lists roots that begin with a digit, which are no standard
series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from aiohttp import web

from dealer_assets.domain import sessions
from dealer_assets.errors import NoDataError
from dealer_assets.providers.simulator.noise import combine, counters, stream_key, uniform
from dealer_assets.underlyings import REGISTRY, Underlying
from dealer_assets_tests.exchange.cboe_rows import floats
from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.misbehaviour import answer, declare_bad_answers, due
from dealer_assets_tests.exchange.world import World

PUBLISHED = time(6, 30)
"""New York time of the next calendar day from which a day's figures are out; OCC states none."""

HISTORY_DAYS = 730
FORMAT_REQUIRED = "Report Format is Required"
TYPE_INVALID = "Report Type is invalid"
QUERY_REQUIRED = "Volume query type is required"
DATE_INVALID = "Report Date is invalid"
"""Assumed; the three above are recorded."""

declare_bad_answers("occ", "403", "429", "503", "html", "empty", "cut", "slow", "stall", "refused")
ERROR_TEXT = declare("occ_error_text", f"HTTP 200 with a sentence: `text` ({TYPE_INVALID!r})")
SHIFTED = declare("occ_shifted_day", "figures of the session before the one that was asked for")
EARLY = declare("occ_early_open_interest", "tonight's update is there: the next session's figures")

_ACCOUNTS = "CFM"
_ACCOUNT_SHARES = (0.46, 0.10, 0.44)
_INDEX_EXCHANGES = ("CBOE",)
_EXCHANGES = ("CBOE", "ARCA", "ISE", "MIAX", "PHLX")
_HEADER = "quantity,underlying,symbol,actype,porc,exchange,actdate"
_CLEARED = tuple(u for u in REGISTRY if u.calendar == "XNYS")
_POSITION_LIMIT = {"index": 25_000_000, "etf": 3_600_000, "equity": 250_000}
_PRODUCT_KIND = {"index": "OIND", "etf": "OSTK", "equity": "OSTK"}


def routes(world: World) -> list[web.RouteDef]:
    """Return OCC's paths."""

    async def volume(request: web.Request) -> web.StreamResponse:
        body = partial(_volume, request, world)
        return await answer(request, world, "occ", body, content_type="text/csv")

    async def series(request: web.Request) -> web.StreamResponse:
        body = partial(_series, request, world)
        return await answer(request, world, "occ", body, content_type="text/plain")

    async def totals(request: web.Request) -> web.StreamResponse:
        body = partial(_totals, request, world)
        return await answer(request, world, "occ", body, content_type="text/csv")

    return [
        web.get("/volume-query", volume),
        web.get("/series-search", series),
        web.get("/daily-open-interest", totals),
    ]


def _sentence(request: web.Request, world: World) -> str | None:
    options = due(request, world, ERROR_TEXT)
    return None if options is None else str(options.get("text", TYPE_INVALID))


def _volume(request: web.Request, world: World) -> bytes:
    asked = request.query
    day = _day(asked.get("reportDate", ""), "%Y%m%d")
    refusal = _sentence(request, world) or _refusal(asked) or (None if day else DATE_INVALID)
    if day is None or refusal is not None:
        return str(refusal).encode()
    if not _is_out(world, day):
        return b""  # a holiday, too early or too old: not even the header
    if due(request, world, SHIFTED) is not None:
        day = sessions.previous_session("XNYS", day)
    lines = [
        line for entry in _asked(request) for line in _volume_lines(request, world, entry, day)
    ]
    return ("\n".join([_HEADER, *lines]) + "\n").encode()


def _refusal(asked: Mapping[str, str]) -> str | None:
    if not asked.get("format"):
        return FORMAT_REQUIRED
    if asked.get("reportType") != "D":
        return TYPE_INVALID
    return None if asked.get("volumeQueryType") == "O" else QUERY_REQUIRED


def _day(text: str, form: str) -> date | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _is_out(world: World, day: date) -> bool:
    """Whether a day is a session whose figures are published and still kept."""
    now = world.clock.now()
    out = datetime.combine(day + timedelta(days=1), PUBLISHED, sessions.NEW_YORK)
    return sessions.is_session("XNYS", day) and out <= now <= out + timedelta(days=HISTORY_DAYS)


def _asked(request: web.Request) -> list[Underlying]:
    """Underlyings that a request names: by underlying (U), by root (O), or all."""
    symbol, kind = request.query.get("symbol", "").upper(), request.query.get("symbolType", "ALL")
    product = request.query.get("productKind", "ALL")
    found = [u for u in _CLEARED if product in ("ALL", _PRODUCT_KIND[u.kind])]
    if not symbol or kind == "ALL":
        return found
    if kind == "O":
        return [u for u in found if symbol in _roots(u)]
    return [u for u in found if u.symbol == symbol]


def _roots(entry: Underlying) -> tuple[str, ...]:
    """The listed roots, and one that begins with a digit: adjusted or FLEX series."""
    return (*(root.symbol for root in entry.roots), f"2{entry.roots[0].symbol}")


def _volume_lines(
    request: web.Request, world: World, entry: Underlying, day: date
) -> Iterator[str]:
    rows = _rows_of(world, entry, sessions.quotes_end("XNYS", day))
    if rows is None:
        return
    asked = request.query
    if "contractDt" in asked:
        expiry = pa.scalar(_day(asked["contractDt"], "%Y%m%d"), pa.date32())
        rows = rows.filter(pc.equal(rows["expiry_date"], expiry))
    rights = {"C": "call", "P": "put"}
    wanted = asked.get("porc", "BOTH")
    symbol = asked.get("symbol", "").upper() if asked.get("symbolType") == "O" else ""
    accounts = asked.get("accountType", "ALL")
    for root in _roots(entry):
        if symbol and root != symbol:
            continue
        for letter, right in rights.items():
            if wanted not in ("BOTH", letter):
                continue
            contracts = _traded(rows, root, right)
            split = _split(world, entry, root=root, letter=letter, day=day, contracts=contracts)
            for quantity, account, exchange in split:
                if quantity and accounts in ("ALL", account):
                    yield (
                        f"{quantity},{entry.symbol},{root},{account},{letter},{exchange},"
                        f"{day:%m/%d/%Y},"
                    )


def _traded(rows: pa.Table, root: str, right: str) -> int:
    """Contracts of a root and right that traded in the session; a few of a digit-prefixed root."""
    if root[0].isdigit():
        return 8
    mask = pc.and_(pc.equal(rows["root"], root), pc.equal(rows["right"], right))
    return round(pc.sum(rows.filter(mask)["volume_contracts"]).as_py() or 0)


def _split(
    world: World, entry: Underlying, *, root: str, letter: str, day: date, contracts: int
) -> list[tuple[int, str, str]]:
    """Both sides of all trades over accounts and exchanges: (quantity, account, exchange).

    Every exchange has an even sum: each of its trades has two sides.
    """
    exchanges = _INDEX_EXCHANGES if entry.kind == "index" else _EXCHANGES
    key = stream_key(world.seed, "occ", root, letter, day.isoformat())
    weights = 0.5 + uniform(key, combine(counters(0, len(exchanges)), 1))
    found: list[tuple[int, str, str]] = []
    for i, part in enumerate(_portions(contracts, weights)):
        shares = np.array(_ACCOUNT_SHARES) * (
            0.8 + 0.4 * uniform(key, combine(counters(0, len(_ACCOUNTS)), 10 + i))
        )
        sides = _portions(2 * part, shares)
        found += [(n, account, exchanges[i]) for n, account in zip(sides, _ACCOUNTS, strict=True)]
    return found


def _portions(total: int, weights: np.ndarray) -> list[int]:
    """Whole parts of a total, near the weights, that sum to it."""
    edges = np.round(np.cumsum(weights) / weights.sum() * total).astype(int)
    portions: list[int] = np.diff(edges, prepend=0).tolist()
    return portions


def _counted_session(request: web.Request, world: World) -> date:
    """The session whose opening figures are shown now: those of the last close that is out."""
    local = world.clock.now().astimezone(sessions.NEW_YORK)
    closed = local.date() - timedelta(days=1 if local.time() >= PUBLISHED else 2)
    session = sessions.next_session("XNYS", sessions.session_on_or_before("XNYS", closed))
    if due(request, world, SHIFTED) is not None:
        session = sessions.previous_session("XNYS", session)
    if due(request, world, EARLY) is not None:
        session = sessions.next_session("XNYS", session)
    return session


def _series(request: web.Request, world: World) -> bytes:
    sentence = _sentence(request, world)
    if sentence is not None:
        return sentence.encode()
    symbol = request.query.get("symbol", "").upper()
    entries = _asked(request) if symbol else []
    lines = [
        f"Series Search Results for {symbol}",
        "",
        "Products for this underlying symbol are traded on: CBOE",
        "",
        "\t\tSeries/contract\t\tStrike\t\t\tOpen Interest",
        "",
        "ProductSymbol\tyear\tMonth\tDay\tInteger\tDec\tC/P\tCall\tPut\tPosition Limit\t",
    ]
    session = _counted_session(request, world)
    for entry in entries:
        rows = _rows_of(world, entry, sessions.session_open("XNYS", session))
        if rows is not None:
            lines += _series_lines(entry, rows, request.query.get("symbolType", "U"), symbol)
    return ("\r\n".join(lines) + "\r\n").encode()


def _series_lines(entry: Underlying, rows: pa.Table, kind: str, symbol: str) -> Iterator[str]:
    adjusted = _roots(entry)[-1]
    pairs: dict[tuple[str, date, float], dict[str, int]] = {}
    if kind != "O" or symbol == adjusted:
        key = (adjusted, rows["expiry_date"][0].as_py(), rows["strike"][0].as_py())
        pairs[key] = {"call": 3, "put": 0}
    if kind == "O":
        rows = rows.filter(pc.equal(rows["root"], symbol))
    limit = _POSITION_LIMIT[entry.kind]
    keys = zip(
        rows["root"].to_pylist(),
        rows["expiry_date"].to_pylist(),
        rows["strike"].to_pylist(),
        rows["right"].to_pylist(),
        floats(rows, "open_interest_contracts").astype(int).tolist(),
        strict=True,
    )
    for root, expiry, strike, right, interest in keys:
        pairs.setdefault((root, expiry, strike), {})[right] = interest
    for (root, expiry, strike), sides in pairs.items():
        whole, thousandths = divmod(round(strike * 1_000), 1_000)
        flags = f"{'C' if 'call' in sides else ' '} {'P' if 'put' in sides else ' '} "
        yield (
            f"{root:<6}\t\t{expiry:%Y\t%m\t%d}\t{whole}\t{thousandths:03d}\t{flags}\t"
            f"{sides.get('call', 0)}\t{sides.get('put', 0)}\t{limit}"
        )


def _totals(request: web.Request, world: World) -> bytes:
    """Open interest at the close of a date, by class; OCC's file has the month so far."""
    sentence = _sentence(request, world)
    if sentence is not None:
        return sentence.encode()
    day = _day(request.query.get("reportDate", ""), "%m/%d/%Y")
    if day is None:
        return DATE_INVALID.encode()
    lines = [
        f"Daily Open Interest - {day:%B %Y},,,,,,,,,,,",
        "Date,Equity,,,Index/Other,,,Debt,,,Futures,OCC Total",
        ",Calls,Puts,Total,Calls,Puts,Total,Calls,Puts,Total,Total,",
    ]
    if _is_out(world, day):
        opened = sessions.session_open("XNYS", sessions.next_session("XNYS", day))
        counts = {kind: [0, 0] for kind in ("equity", "index")}
        for entry in _CLEARED:
            rows = _rows_of(world, entry, opened)
            if rows is None:
                continue
            kind = "index" if entry.kind == "index" else "equity"
            for i, right in enumerate(("call", "put")):
                part = rows.filter(pc.equal(rows["right"], right))
                counts[kind][i] += round(pc.sum(part["open_interest_contracts"]).as_py() or 0)
        cells = [n for calls, puts in counts.values() for n in (calls, puts, calls + puts)]
        cells += [0, 0, 0, 0, cells[2] + cells[5]]
        lines.append(",".join([f"{day:%m/%d/%Y}", *(f'"{n:,}"' for n in cells)]))
    return ("\n".join(lines) + "\n").encode()


def _rows_of(world: World, entry: Underlying, at: datetime) -> pa.Table | None:
    try:
        return world.chain(entry.symbol, at)
    except NoDataError:  # a recorded market has one session of one underlying
        return None
