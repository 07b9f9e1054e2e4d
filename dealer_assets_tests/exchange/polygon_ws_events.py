"""Events of Polygon's WebSocket clusters, in order of time, as Polygon writes them.

Belongs here: the shared market's prints, quotes, bars and index values as streams of events. Does
not belong here: when a stream is made (`polygon_ws_streams`), or who gets it (`polygon_ws`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import paths
from dealer_assets_tests.exchange.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Event = dict[str, Any]

CANCELS = (201, 203, 205, 207)
_SECONDS = {"A": 1, "AM": 60}
_US = 1_000_000


@dataclass(frozen=True)
class Stream:
    """Events of one kind in order of time; arrays of shape (n,).

    Parameters
    ----------
    at_us : int64 array
        When each is sent, microseconds since 1970.
    code : int64 array
        Which of `symbols` each is about.
    symbols : list of str
        As Polygon writes them.
    event : callable
        Makes the event of a row.
    """

    at_us: Ints
    code: Ints
    symbols: list[str]
    event: Callable[[int], Event]

    def due(self, since_us: int, now_us: int, wanted: set[str] | None) -> Ints:
        """Return the rows in (since, now], of some symbols or (None) of all."""
        first, last = np.searchsorted(self.at_us, [since_us, now_us], side="right")
        rows = np.arange(first, last)
        if wanted is None or not rows.size:
            return rows
        chosen = np.array([symbol in wanted for symbol in self.symbols], np.bool_)
        return rows[chosen[self.code[first:last]]]


def _numbers(table: pa.Table, column: str) -> Any:
    return table[column].combine_chunks().to_numpy(zero_copy_only=False)


def _codes(table: pa.Table, column: str) -> tuple[Ints, list[str]]:
    encoded = table[column].combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _at_us(table: pa.Table) -> Ints:
    return np.asarray(table["event_at"].cast(pa.int64()).combine_chunks().to_numpy(), np.int64)


@dataclass(frozen=True)
class Tape:
    """Prints of a session in order of time; arrays of shape (n,), codes into the lists."""

    at_us: Ints
    code: Ints
    symbols: list[str]
    price: Floats
    size: Floats
    sequence: Ints
    condition: Ints
    conditions: list[list[int]]
    exchange: Ints
    exchanges: list[int]


def tape_of(table: pa.Table) -> Tape:
    """Return rows of `tables.OPTION_TRADES` as arrays."""
    code, names = _codes(table, "symbol")
    condition, conditions = _codes(table, "conditions")
    exchange, exchanges = _codes(table, "exchange")
    return Tape(
        at_us=_at_us(table),
        code=code,
        symbols=[f"O:{name}" for name in names],
        price=_numbers(table, "price"),
        size=_numbers(table, "size_contracts"),
        sequence=table["sequence"].fill_null(0).combine_chunks().to_numpy(),
        condition=condition,
        conditions=[[int(word) for word in text.split(",") if word] for text in conditions],
        exchange=exchange,
        exchanges=[int(text or 0) for text in exchanges],
    )


def trades(tape: Tape) -> Stream:
    """Return channel ``T`` of options."""

    def event(i: int) -> Event:
        body = {
            "ev": "T",
            "sym": tape.symbols[tape.code[i]],
            "x": tape.exchanges[tape.exchange[i]],
            "p": float(tape.price[i]),
            "s": int(tape.size[i]),
            "c": tape.conditions[tape.condition[i]],
            "t": int(tape.at_us[i]) // 1000,
            "q": int(tape.sequence[i]),
        }
        if not body["c"] or (body["c"] == [209] and body["q"] % 4 == 0):
            del body["c"]  # absent now and then
        return body

    return Stream(tape.at_us, tape.code, tape.symbols, event)


def quotes(table: pa.Table) -> Stream:
    """Return channel ``Q`` of options, from rows of `tables.OPTION_QUOTES`."""
    at_us, (code, names) = _at_us(table), _codes(table, "symbol")
    columns = {
        short: np.nan_to_num(_numbers(table, name).astype(np.float64))
        for short, name in (
            ("bp", "bid"),
            ("ap", "ask"),
            ("bs", "bid_size_contracts"),
            ("as", "ask_size_contracts"),
        )
    }
    exchanges = {
        short: np.array([int(text or 0) for text in table[name].to_pylist()], np.int64)
        for short, name in (("bx", "bid_exchange"), ("ax", "ask_exchange"))
    }
    sequence = table["sequence"].fill_null(0).combine_chunks().to_numpy()
    symbols = [f"O:{name}" for name in names]

    def event(i: int) -> Event:
        return {
            "ev": "Q",
            "sym": symbols[code[i]],
            "bx": int(exchanges["bx"][i]),
            "ax": int(exchanges["ax"][i]),
            "bp": float(columns["bp"][i]),
            "ap": float(columns["ap"][i]),
            "bs": int(columns["bs"][i]),
            "as": int(columns["as"][i]),
            "t": int(at_us[i]) // 1000,
            "q": int(sequence[i]),
        }

    return Stream(at_us, code, symbols, event)


def bars(tape: Tape, channel: str) -> Stream:
    """Bars of the prints that are no cancels; none where nothing traded; sent when they end."""
    length = _SECONDS[channel] * _US
    is_cancel = np.array([bool(set(words) & set(CANCELS)) for words in tape.conditions], np.bool_)
    kept = np.flatnonzero(~is_cancel[tape.condition])
    order = kept[np.argsort(tape.code[kept], kind="stable")]
    code, price, size = tape.code[order], tape.price[order], tape.size[order]
    start = tape.at_us[order] // length * length
    n = code.size
    is_first = np.concatenate([[True], np.diff(code) != 0])[:n]
    first = np.flatnonzero(is_first)
    begin = np.flatnonzero(is_first | np.concatenate([[True], np.diff(start) != 0])[:n])
    last = np.concatenate([begin[1:], [n]])[: begin.size] - 1
    sizes, paid = np.cumsum(size), np.cumsum(price * size)
    opened = first[np.searchsorted(first, begin, side="right") - 1] if n else first
    so_far = sizes[last] - sizes[opened] + size[opened]
    paid_so_far = paid[last] - paid[opened] + (price * size)[opened]
    volume = sizes[last] - sizes[begin] + size[begin]
    turnover = paid[last] - paid[begin] + (price * size)[begin]
    columns = {
        "v": volume,
        "av": so_far,
        "op": price[opened],
        "vw": np.round(turnover / volume, 4),
        "o": price[begin],
        "c": price[last],
        "h": np.maximum.reduceat(price, begin) if n else price,
        "l": np.minimum.reduceat(price, begin) if n else price,
        "a": np.round(paid_so_far / so_far, 4),
        "z": np.maximum(np.round(volume / (last - begin + 1)), 1.0),
    }
    bar_start, bar_code = start[begin], code[begin]
    by_time = np.argsort(bar_start, kind="stable")
    columns = {name: values[by_time] for name, values in columns.items()}
    bar_start, bar_code = bar_start[by_time], bar_code[by_time]
    whole = ("v", "av", "z")

    def event(i: int) -> Event:
        values = {
            name: int(column[i]) if name in whole else float(column[i])
            for name, column in columns.items()
        }
        ends = {"s": int(bar_start[i]) // 1000, "e": int(bar_start[i] + length) // 1000}
        return {"ev": channel, "sym": tape.symbols[bar_code[i]]} | values | ends

    return Stream(bar_start + length, bar_code, tape.symbols, event)


def _index_seconds(world: World, symbol: str, day: date) -> tuple[Ints, Floats]:
    calendar = underlying(symbol).calendar
    first = int(sessions.session_open(calendar, day).timestamp())
    last = int(sessions.session_close(calendar, day).timestamp())
    seconds = np.arange(first, last + 1, dtype=np.int64)
    return seconds, paths.prices(world, symbol, seconds)


def index_values(world: World, symbol: str, day: date) -> Stream:
    """Return channel ``V`` of an index: one value a second."""
    seconds, value = _index_seconds(world, symbol, day)
    ticker = f"I:{symbol}"

    def event(i: int) -> Event:
        return {"ev": "V", "val": float(value[i]), "T": ticker, "t": int(seconds[i]) * 1000}

    return Stream(seconds * _US, np.zeros_like(seconds), [ticker], event)


def index_bars(world: World, symbol: str, day: date, channel: str) -> Stream:
    """Return channel ``A`` or ``AM`` of an index: no volume."""
    seconds, value = _index_seconds(world, symbol, day)
    length = _SECONDS[channel]
    begin = np.arange(0, seconds.size - 1, length)
    ends = np.minimum(begin + length, seconds.size - 1)
    high, low = np.maximum.reduceat(value, begin), np.minimum.reduceat(value, begin)
    ticker = f"I:{symbol}"

    def event(i: int) -> Event:
        first, last = int(begin[i]), int(ends[i]) - 1
        return {
            "ev": channel,
            "sym": ticker,
            "op": float(value[0]),
            "o": float(value[first]),
            "c": float(value[last]),
            "h": float(high[i]),
            "l": float(low[i]),
            "s": int(seconds[first]) * 1000,
            "e": int(seconds[ends[i]]) * 1000,
        }

    return Stream(seconds[ends] * _US, np.zeros_like(begin), [ticker], event)
