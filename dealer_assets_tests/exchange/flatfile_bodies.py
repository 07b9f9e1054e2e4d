"""Contents of the vendor's flat files, made from the shared tape.

Belongs here: columns and order of rows of every kind of file. Does not belong here: the bucket
(`flatfiles`), files without a market (`flatfile_big`).

Rows are sorted by ticker, and within a ticker by time; a missing side of a quote has price 0 and
exchange 0. Equal inputs give equal bytes.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from dealer_assets.domain import sessions
from dealer_assets.providers.base import Provider
from dealer_assets.underlyings import Underlying, underlying
from dealer_assets_tests.exchange.polygon_columns import nanoseconds
from dealer_assets_tests.exchange.polygon_tape import nanoseconds_of


@dataclass(frozen=True)
class Published:
    """What the files hold; tests publish less.

    Parameters
    ----------
    symbols : tuple of str
        Underlyings whose options are in the options' files, and that the others are about.
    quoted_contracts : int
        Contracts of each underlying in the file of quotes: those traded most.
    level : int
        Level of compression.
    """

    symbols: tuple[str, ...] = ("SPX", "SPY")
    quoted_contracts: int = 200
    level: int = 1


@dataclass(frozen=True)
class Edition:
    """One file: whose market, which day, how much, and which version.

    Parameters
    ----------
    market : Provider
        Whose tape it is.
    day : datetime.date
        Session.
    published : Published
        What it holds.
    version : int
        From 2 on it lacks its first rows: the vendor took them back.
    """

    market: Provider
    day: date
    published: Published
    version: int = 1

    @property
    def entries(self) -> tuple[Underlying, ...]:
        """Registry entries of the symbols."""
        return tuple(underlying(symbol) for symbol in self.published.symbols)


def made(folder: str, edition: Edition) -> bytes:
    """Return a file.

    Parameters
    ----------
    folder : str
        Of `FOLDERS`.
    edition : Edition
        Which file.
    """
    rows = FOLDERS[folder](edition)
    keys = [(name, "ascending") for name in (rows.column_names[0], _instant_of(rows))]
    rows = rows.sort_by(keys).slice(edition.version - 1)
    return zipped(rows, level=edition.published.level)


def zipped(rows: pa.Table, *, level: int) -> bytes:
    """Return rows as a gzip of CSV with a header, without quotes."""
    header = ",".join(rows.column_names) + "\n"
    text = io.BytesIO()
    text.write(header.encode())
    options = pacsv.WriteOptions(include_header=False, quoting_style="none")
    pacsv.write_csv(rows, text, write_options=options)
    return gzip.compress(text.getbuffer(), compresslevel=level, mtime=0)


def _instant_of(rows: pa.Table) -> str:
    names = ("sip_timestamp", "window_start", "timestamp")
    return next(name for name in names if name in rows.column_names)


def _trades(edition: Edition) -> pa.Table:
    parts = []
    for entry in edition.entries:
        rows = edition.market.trades(entry, session_date=edition.day).rows
        parts.append(
            pa.table(
                {
                    "ticker": _tickers(rows),
                    "conditions": rows["conditions"].cast(pa.int64()),
                    "correction": rows["correction"],
                    "exchange": rows["exchange"].cast(pa.int64()),
                    "price": rows["price"],
                    "sip_timestamp": _nanoseconds(rows),
                    "size": rows["size_contracts"].cast(pa.int64()),
                }
            )
        )
    return pa.concat_tables(parts)


def _quotes(edition: Edition) -> pa.Table:
    parts = []
    for entry in edition.entries:
        closed = sessions.session_close(entry.calendar, edition.day)
        chain = edition.market.snapshot(entry, at=closed).rows
        most = chain.sort_by([("volume_contracts", "descending"), ("symbol", "ascending")])
        symbols = most["symbol"].slice(0, edition.published.quoted_contracts).to_pylist()
        rows = edition.market.quotes(entry, session_date=edition.day, symbols=symbols).rows
        sides = {}
        for side in ("ask", "bid"):
            blank = pc.equal(rows[f"{side}_exchange"], "")
            code = pc.if_else(blank, "0", rows[f"{side}_exchange"]).cast(pa.int64())
            sides[f"{side}_exchange"] = code
            sides[f"{side}_price"] = rows[side]
            sides[f"{side}_size"] = rows[f"{side}_size_contracts"].cast(pa.int64())
        parts.append(
            pa.table(
                {
                    "ticker": _tickers(rows),
                    **sides,
                    "sequence_number": rows["sequence"],
                    "sip_timestamp": _nanoseconds(rows),
                }
            )
        )
    return pa.concat_tables(parts)


def _minutes(edition: Edition) -> pa.Table:
    return _option_bars(edition, is_day=False)


def _days(edition: Edition) -> pa.Table:
    return _option_bars(edition, is_day=True)


def _option_bars(edition: Edition, *, is_day: bool) -> pa.Table:
    midnight = datetime.combine(edition.day, time(0), sessions.NEW_YORK)
    parts = []
    for entry in edition.entries:
        interval = "day" if is_day else "minute"
        rows = edition.market.bars(entry, session_date=edition.day, interval=interval).rows
        start = pa.array(np.full(rows.num_rows, nanoseconds(midnight)))
        if not is_day:
            start = pc.multiply(rows["event_at"].cast(pa.int64()), 1000)
        parts.append(
            pa.table(
                {
                    "ticker": _tickers(rows),
                    "volume": rows["volume_contracts"].cast(pa.int64()),
                    "open": rows["open"],
                    "close": rows["close"],
                    "high": rows["high"],
                    "low": rows["low"],
                    "window_start": start,
                    "transactions": rows["trades"],
                }
            )
        )
    return pa.concat_tables(parts)


def _index_values(edition: Edition) -> pa.Table:
    parts = []
    for entry in (e for e in edition.entries if e.kind == "index"):
        rows = edition.market.index_values(entry, session_date=edition.day).rows
        ticker = pa.repeat(pa.scalar(entry.vendor_symbols["polygon"]), rows.num_rows)
        parts.append(
            pa.table({"ticker": ticker, "value": rows["value"], "timestamp": _nanoseconds(rows)})
        )
    return pa.concat_tables(parts)


def _index_minutes(edition: Edition) -> pa.Table:
    return _value_bars(edition, is_index=True)


def _share_minutes(edition: Edition) -> pa.Table:
    rows = _value_bars(edition, is_index=False)
    made_up = pa.array(np.full(rows.num_rows, 10_000)), pa.array(np.full(rows.num_rows, 100))
    return rows.add_column(1, "volume", made_up[0]).append_column("transactions", made_up[1])


def _value_bars(edition: Edition, *, is_index: bool) -> pa.Table:
    parts = []
    for entry in (e for e in edition.entries if (e.kind == "index") == is_index):
        rows = edition.market.index_values(entry, session_date=edition.day).rows
        values = rows["value"].to_numpy()
        first, last = values[:-1], values[1:]
        parts.append(
            pa.table(
                {
                    "ticker": [entry.vendor_symbols["polygon"]] * first.size,
                    "open": first,
                    "close": last,
                    "high": np.maximum(first, last),
                    "low": np.minimum(first, last),
                    "window_start": rows["event_at"].cast(pa.int64()).to_numpy()[:-1] * 1000,
                }
            )
        )
    return pa.concat_tables(parts)


def _tickers(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise("O:", rows["symbol"], "")


def _nanoseconds(rows: pa.Table) -> pa.Array:
    return pa.array(nanoseconds_of(rows["event_at"].cast(pa.int64()).to_numpy()))


FOLDERS: dict[str, Callable[[Edition], pa.Table]] = {
    "us_options_opra/trades_v1": _trades,
    "us_options_opra/quotes_v1": _quotes,
    "us_options_opra/minute_aggs_v1": _minutes,
    "us_options_opra/day_aggs_v1": _days,
    "us_indices/values_v1": _index_values,
    "us_indices/minute_aggs_v1": _index_minutes,
    "us_stocks_sip/minute_aggs_v1": _share_minutes,
}
"""Every folder of the bucket and what makes its files."""
