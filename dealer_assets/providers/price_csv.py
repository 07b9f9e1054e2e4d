"""Daily prices with volume as CSV, in the layouts that free downloads come in.

Belongs here: recognising them, which instrument a row is of, what its volume counts. Does not
belong here: prices without volume, rates (`reference_rates`), chains.

===========  ===================================================  ==========================
layout       header                                               instrument
===========  ===================================================  ==========================
plain        ``Date,Open,High,Low,Close[,Adj Close],Volume``      first word of the file name
several      the same, and ``root``, ``symbol`` or ``ticker``     that column
two-line     ``Price,Close,...``, then ``Ticker,BTC-USD,...``     second line
===========  ===================================================  ==========================

A share's volume is in shares, a coin's (``BTC-USD``) in USD. A bar of a fund stands for itself and
for every index that names it (`Underlying.traded_as`). An index has no traded volume of its own:
its rows are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import CsvTable, read_table, refuse
from dealer_assets.providers.record_rows import Source
from dealer_assets.providers.underlying_bar_rows import Bars, bar_rows
from dealer_assets.underlyings import REGISTRY, Underlying

FORMAT = "price_csv"
_PRICES = ("Open", "High", "Low", "Close", "Volume")
_NAMES = ("root", "symbol", "ticker")
_COIN = re.compile(r"([A-Z]{3,5})-?USD")


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like one of the layouts.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed to recognise it.
    """
    first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("ascii", "replace")
    cells = [cell.strip() for cell in first.split(",")]
    return cells[0] in ("Date", "Price") and set(_PRICES) <= set(cells)


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse a file of daily prices.

    Parameters
    ----------
    payload : bytes
        CSV text.
    name : str
        File name; of the plain layout its first word is the instrument.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        One, `tables.UNDERLYING_BARS`.

    Raises
    ------
    BadInputError
        When it is none of the layouts, or no row is of anything that the registry's underlyings are
        traded as.
    """
    payload, told = _one_header(payload)
    table = read_table(payload, name, required=("Date", *_PRICES))
    instruments = _instruments(table, told, name)
    source = Source(FORMAT, name, sha256)
    rows: list[pa.Table] = []
    left = Counter(instruments)
    odd = 0
    for instrument in sorted(set(instruments)):
        places = np.flatnonzero(np.array(instruments) == instrument)
        for asset in _served(instrument):
            del left[instrument]
            bars, dropped = _bars(table.take(places), instrument, asset)
            odd += dropped
            rows.append(bar_rows(bars, asset, source))
    if not rows:
        found = ", ".join(sorted(left)) or "nothing"
        refuse(
            name,
            f"expected prices of something the registry's underlyings are traded as, found {found}",
            remedy="add traded_as to an entry of dealer_assets/underlyings.py",
        )
    whole = pa.concat_tables(rows)
    return [
        Records(
            table=tables.UNDERLYING_BARS,
            rows=whole.sort_by(
                [(key, "ascending") for key in (*tables.UNDERLYING_BARS.key, "underlying")]
            ),
            provider=FORMAT,
            source_name=name,
            source_sha256=sha256,
            findings=tuple(_findings(left, odd)),
        )
    ]


def _findings(left: Counter[str], odd: int) -> list[Finding]:
    findings = []
    if left:
        named = ", ".join(f"{count} of {word}" for word, count in sorted(left.items()))
        text = f"rows of what nothing here is traded as were left out: {named}"
        findings.append(Finding("other_instruments_left_out", text))
    if odd:
        text = f"{odd} rows were left out: no session, volume or prices that cannot be"
        findings.append(Finding("impossible_bars", text))
    return findings


def _one_header(payload: bytes) -> tuple[bytes, str]:
    """Fold a two-line header into one; returns the payload and the instrument it names."""
    text = payload.removeprefix(b"\xef\xbb\xbf")
    lines = text.split(b"\n", 3)
    if not lines[0].startswith(b"Price,") or len(lines) < 4:
        return text, ""
    header = b"Date," + lines[0].partition(b",")[2]
    tickers = [cell.strip() for cell in lines[1].decode("ascii", "replace").split(",")[1:]]
    return header + b"\n" + lines[3], tickers[0] if tickers else ""


def _instruments(table: CsvTable, told: str, name: str) -> list[str]:
    column = next((column for column in _NAMES if column in table.columns), None)
    if column is not None:
        return [cell.strip().upper() for cell in table.columns[column]]
    word = told or re.split(r"[_. ]", name.rpartition(":")[2])[0]
    return [word.upper()] * len(table.columns["Date"])


def _served(instrument: str) -> list[Underlying]:
    """Return the underlyings that an instrument's bars stand for; itself first."""
    coin = _COIN.fullmatch(instrument)
    if coin:
        return [u for u in REGISTRY if u.kind == "crypto" and u.symbol == coin.group(1)]
    itself = [u for u in REGISTRY if u.symbol == instrument and u.kind in ("etf", "equity")]
    return itself + [u for u in REGISTRY if u.traded_as == instrument]


def _bars(table: CsvTable, instrument: str, asset: Underlying) -> tuple[Bars, int]:
    """Return the bars that can be, and how many rows were left out."""
    days = [_day(table, i) for i in range(len(table.columns["Date"]))]
    close, volume = table.numbers("Close"), table.numbers("Volume")
    is_coin = asset.kind == "crypto"
    with np.errstate(divide="ignore", invalid="ignore"):
        units = volume / close if is_coin else volume
    bars = Bars(
        instrument=instrument,
        days=days,
        open=table.numbers("Open"),
        high=table.numbers("High"),
        low=table.numbers("Low"),
        close=close,
        volume=units,
        notional=volume if is_coin else volume * close,
        notional_rule="told" if is_coin else "close",
    )
    in_session = np.array([sessions.is_session(asset.calendar, day) for day in days], np.bool_)
    good = np.flatnonzero(bars.possible & in_session & (bars.volume > 0.0))
    return bars.take(good), len(days) - good.size


def _day(table: CsvTable, row: int) -> date:
    cell = table.columns["Date"][row].strip()
    try:
        return date.fromisoformat(cell[:10])
    except ValueError:
        line = table.row_numbers[row]
        refuse(table.name, f"expected a date YYYY-MM-DD on line {line}, found {cell!r:.40}")
