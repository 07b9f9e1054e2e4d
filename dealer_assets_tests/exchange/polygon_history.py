"""Trades, quotes and aggregates of the past, as the vendor pages them.

Belongs here: ranges of time, order, limits, cursors, the shape of bars. Does not belong here: rows
of a session (`polygon_tape`), paths (`polygon_rest`).

Trades and quotes know nanoseconds and dates of New York, newest first unless asked otherwise.
Aggregates know milliseconds; `limit` counts base aggregates: minutes, or days. An average price is
that of open, high, low and close. A bar that is not over yet is not served. Without a range the
last sessions are looked through, not the whole past.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dealer_assets.domain import sessions
from dealer_assets.underlyings import Underlying
from dealer_assets_tests.exchange.polygon_answers import Reply, not_found
from dealer_assets_tests.exchange.polygon_columns import nanoseconds, plain
from dealer_assets_tests.exchange.polygon_pages import (
    BadQueryError,
    Query,
    is_desc,
    read_limit,
    read_query,
    write_cursor,
)
from dealer_assets_tests.exchange.polygon_question import Moment
from dealer_assets_tests.exchange.polygon_tape import Bars, Row, Tape, complete_by, owner_of

_DAY = timedelta(days=1)
_LOOK_BACK = timedelta(days=7)
_NS = 1_000_000_000
_DATE_LENGTH = 10
_TIMESPANS_US = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 0}


def events(
    tape: Callable[[str, date], list[tuple[int, Row]]],
    ticker: str,
    asked: Query,
    *,
    path: str,
    moment: Moment,
) -> Reply:
    """Answer with trades or quotes of a contract.

    Parameters
    ----------
    tape : callable
        Rows of a ticker in a session, with their nanoseconds, ascending.
    ticker : str
        Contract with ``O:``.
    asked : mapping of str to str
        The question or a cursor.
    path : str
        For the next page.
    moment : Moment
        Who asks, when.
    """
    query = read_query(asked)
    limit = read_limit(query, default=1000, most=50_000)
    now = int(query.get("as", nanoseconds(moment.seen_at)))
    low, high = _range(query, now)
    rows: list[Row] = []
    for day in _days(low, high):
        rows += [row for ns, row in tape(ticker, day) if low <= ns < high]
    if is_desc(query, default=True):
        rows.reverse()
    begin = int(query.get("ap", "0"))
    cursor = None
    if len(rows) > begin + limit:
        cursor = write_cursor(query, {"ap": str(begin + limit), "as": str(now)})
    page = json.dumps(rows[begin : begin + limit], separators=(",", ":")).encode()
    return Reply({"status": moment.account.status}, page, cursor, path)


def _range(query: Query, now: int) -> tuple[int, int]:
    """Return the first nanosecond wanted, and the first not wanted."""
    low, high = nanoseconds(_instant(now) - _LOOK_BACK), now + 1
    if any(name in query for name in ("timestamp", "timestamp.gt", "timestamp.gte")):
        low = 0
    for name in ("timestamp", "timestamp.gt", "timestamp.gte", "timestamp.lt", "timestamp.lte"):
        if name not in query:
            continue
        first, after = _span(query[name], name)
        low = {"timestamp": first, "timestamp.gte": first, "timestamp.gt": after}.get(name, low)
        if name in ("timestamp", "timestamp.lte", "timestamp.lt"):
            end = first if name == "timestamp.lt" else after
            high = min(high, end)
            low = low if low else nanoseconds(_instant(end) - _LOOK_BACK)
    return low, high


def _span(text: str, name: str) -> tuple[int, int]:
    """Return the nanoseconds that a date or a nanosecond covers, the end left out."""
    if text.isdecimal() and len(text) > _DATE_LENGTH:
        return int(text), int(text) + 1
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadQueryError(f"{name}: {text} is neither a date nor nanoseconds") from None
    return _midnight(day), _midnight(day + _DAY)


def _midnight(day: date) -> int:
    return nanoseconds(datetime.combine(day, time(0), sessions.NEW_YORK))


def _instant(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // _NS, UTC)


def _days(low: int, high: int) -> list[date]:
    first, last = (_instant(ns).astimezone(sessions.NEW_YORK).date() for ns in (low, high - 1))
    return sessions.sessions_between("XNYS", max(first, last - timedelta(days=31)), last)


def aggregates(
    tape: Tape, ticker: str, *, cut: tuple[str, str, str, str], asked: Query, moment: Moment
) -> Reply:
    """Answer with bars of a range.

    Parameters
    ----------
    tape : Tape
        The market's.
    ticker : str
        Contract, index or share.
    cut : tuple of str
        Multiplier, timespan, from and to, as in the path.
    asked : mapping of str to str
        The question or a cursor.
    moment : Moment
        Who asks, when.
    """
    query = read_query(asked)
    multiplier, timespan, begin, end = cut
    if timespan not in _TIMESPANS_US or not multiplier.isdecimal() or int(multiplier) < 1:
        raise BadQueryError(f"the test exchange has no bars of {multiplier} {timespan}")
    low, high = _milliseconds(begin)[0], _milliseconds(end)[1]
    low = max(low, int(query.get("ap", "0")))
    limit = read_limit(query, default=5000, most=50_000)
    base, following = _base(tape, ticker, timespan, (low, high), limit, moment)
    rows = _grouped(base, _TIMESPANS_US[timespan] * int(multiplier), timespan)
    if query.get("sort", "asc") == "desc":
        rows.reverse()
    fields: dict[str, Any] = {
        "ticker": ticker,
        "queryCount": len(base.rows),
        "resultsCount": len(rows),
        "adjusted": query.get("adjusted", "true") != "false",
        "status": moment.account.status,
    }
    path = f"/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{begin}/{end}"
    cursor = None if following is None else write_cursor(query, {"ap": str(following)})
    if not rows:
        return Reply(fields)
    fields["count"] = len(rows)
    return Reply(fields, json.dumps(rows, separators=(",", ":")).encode(), cursor, path)


def _milliseconds(text: str) -> tuple[int, int]:
    """Return the milliseconds that a date or a millisecond covers, the end left out."""
    if text.isdecimal() and len(text) > _DATE_LENGTH:
        return int(text), int(text) + 1
    first, after = _span(text, "from or to")
    return first // 1_000_000, after // 1_000_000


def _base(
    tape: Tape, ticker: str, timespan: str, span: tuple[int, int], limit: int, moment: Moment
) -> tuple[Bars, int | None]:
    """Return base bars of a range of milliseconds, and where the rest begins, if there is one."""
    low, high = span
    starts: list[int] = []
    rows: list[Row] = []
    for day in _days(low * 1_000_000, min(high * 1_000_000, nanoseconds(moment.seen_at) + 1)):
        bars = complete_by(tape.bars(ticker, day), moment.seen_at)
        if timespan == "day" and bars.rows:
            bars = Bars([_midnight(day) // 1000], [_merged(bars.rows)])
        chosen = [i for i, us in enumerate(bars.start_us) if low * 1000 <= us < high * 1000]
        starts += [bars.start_us[i] for i in chosen]
        rows += [bars.rows[i] for i in chosen]
    if len(rows) <= limit:
        return Bars(starts, rows), None
    return Bars(starts[:limit], rows[:limit]), starts[limit] // 1000


def _grouped(base: Bars, length_us: int, timespan: str) -> list[Row]:
    groups: dict[int, list[Row]] = {}
    for start, row in zip(base.start_us, base.rows, strict=True):
        begin = start if timespan == "day" else start // length_us * length_us
        groups.setdefault(begin, []).append(row)
    return [_shaped(_merged(rows), begin // 1000) for begin, rows in groups.items()]


def _merged(rows: list[Row]) -> Row:
    merged: Row = {
        "o": rows[0]["o"],
        "h": max(row["h"] for row in rows),
        "l": min(row["l"] for row in rows),
        "c": rows[-1]["c"],
    }
    if "v" in rows[0]:
        volume = sum(row["v"] for row in rows)
        merged |= {"v": plain(volume), "n": sum(row["n"] for row in rows)}
    return merged


def _shaped(bar: Row, t: int) -> Row:
    if "v" not in bar:
        return {key: bar[key] for key in ("o", "c", "h", "l")} | {"t": t}
    average = round((bar["o"] + bar["h"] + bar["l"] + bar["c"]) / 4.0, 4)
    prices = {key: bar[key] for key in ("o", "c", "h", "l")}
    return {"v": bar["v"], "vw": average, **prices, "t": t, "n": bar["n"]}


def previous_day(tape: Tape, ticker: str, moment: Moment) -> Reply:
    """Answer with the bar of the session before today's, stamped with its close."""
    day = sessions.previous_session("XNYS", moment.today)
    bars = tape.bars(ticker, day).rows
    count = int(bool(bars))
    fields: dict[str, Any] = {
        "ticker": ticker,
        "queryCount": count,
        "resultsCount": count,
        "adjusted": True,
        "status": moment.account.status,
    }
    if not bars:
        return Reply(fields)
    closed = nanoseconds(sessions.session_close("XNYS", day)) // 1_000_000
    row = {"T": ticker, **_shaped(_merged(bars), closed)}
    return Reply(fields | {"count": 1}, json.dumps([row]).encode())


def open_close(tape: Tape, ticker: str, day_text: str, moment: Moment) -> Reply:
    """Answer with open and close of a day: an answer without `results`."""
    day = date.fromordinal(_day_of(day_text))
    bars: list[Row] = []
    if sessions.is_session("XNYS", day) and day <= moment.today:
        bars = complete_by(tape.bars(ticker, day), moment.seen_at).rows
    if not bars:
        raise not_found("Data not found.")
    bar = _merged(bars)
    fields: dict[str, Any] = {
        "status": moment.account.status,
        "from": day_text,
        "symbol": ticker,
        "open": bar["o"],
        "high": bar["h"],
        "low": bar["l"],
        "close": bar["c"],
    }
    if "v" in bar:
        fields["volume"] = bar["v"]
    body = fields | {"afterHours": bar["c"], "preMarket": bar["o"]}
    return Reply({}, bare=json.dumps(body).encode())


def _day_of(text: str) -> int:
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        raise BadQueryError(f"date: {text} is not a date") from None


def last_trade(tape: Tape, ticker: str, moment: Moment) -> Reply:
    """Answer with the newest trade of a contract."""
    now = nanoseconds(moment.seen_at)
    for day in reversed(_days(now - 7 * 86_400 * _NS, now + 1)):
        seen = [pair for pair in tape.trades(ticker, day) if pair[0] <= now]
        if not seen:
            continue
        ns, row = seen[-1]
        result = {
            "T": ticker,
            "c": row["conditions"],
            "f": ns,
            "i": "",
            "p": row["price"],
            "q": len(seen),
            "r": 202,
            "s": row["size"],
            "t": ns,
            "x": row["exchange"],
            "y": row["participant_timestamp"],
        }
        return Reply({"status": moment.account.status}, json.dumps(result).encode())
    raise not_found("Data not found.")


def index_of(ticker: str) -> Underlying | None:
    """Return the registry's index of a ticker, or None."""
    entry = owner_of(ticker)
    return entry if entry is not None and ticker.startswith("I:") else None
