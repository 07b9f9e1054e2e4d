"""A file of trades as big as the vendor's, without a market behind it.

Belongs here: size and shape for measuring readers. Does not belong here: trades that agree with
anything (`flatfile_bodies`).
"""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.prints import CANCELS, EXCHANGES

_ROOTS = ("SPXW", "SPX", "SPY", "QQQ", "AAPL", "NVDA", "TSLA", "AMD", "IWM")
_OTHER_ROOTS = 400
_CONDITIONS = np.array([209, 209, 209, 227, 219, 232, 233, 202, *CANCELS])
_WEIGHTS = np.array([0.2, 0.2, 0.2, 0.15, 0.1, 0.1, 0.04, 0.006, 0.001, 0.001, 0.001, 0.001])
_TRADES_PER_TICKER = 20


def write_trades_file(
    path: Path, *, rows: int = 2_000_000, seed: int = 7, day: date = date(2026, 11, 18)
) -> None:
    """Write a file like ``us_options_opra/trades_v1/.../YYYY-MM-DD.csv.gz``.

    A third of the rows are of roots that the registry lists. Rows are sorted by ticker, within a
    ticker by time.

    Parameters
    ----------
    path : pathlib.Path
        Where to.
    rows : int
        Prints.
    seed : int
        Equal seeds give equal bytes.
    day : datetime.date
        A session.
    """
    draw = np.random.default_rng(seed)
    tickers = _tickers(draw, max(rows // _TRADES_PER_TICKER, 1), day)
    popularity = draw.pareto(1.1, tickers.size) + 0.05
    of = np.sort(draw.choice(tickers.size, rows, p=popularity / popularity.sum()))
    opened = int(sessions.session_open("XNYS", day).timestamp()) * 1_000_000_000
    closed = int(sessions.session_close("XNYS", day).timestamp()) * 1_000_000_000
    instant = draw.integers(opened, closed, rows)
    instant = instant[np.lexsort((instant, of))]
    level = np.exp(draw.normal(0.5, 1.8, tickers.size))
    cents = np.maximum(np.round(100.0 * level[of] * np.exp(draw.normal(0.0, 0.2, rows))), 1.0)
    table = pa.table(
        {
            "ticker": pa.array(tickers).take(pa.array(of)),
            "conditions": draw.choice(_CONDITIONS, rows, p=_WEIGHTS / _WEIGHTS.sum()),
            "correction": np.zeros(rows, np.int64),
            "exchange": EXCHANGES[draw.integers(0, EXCHANGES.size, rows)],
            "price": cents / 100.0,
            "sip_timestamp": instant,
            "size": np.maximum(draw.geometric(0.25, rows), 1),
        }
    )
    options = pacsv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed:
        packed.write((",".join(table.column_names) + "\n").encode())
        pacsv.write_csv(table, packed, write_options=options)


def _tickers(draw: np.random.Generator, count: int, day: date) -> NDArray[np.object_]:
    """Return distinct tickers, sorted."""
    others = [f"{chr(65 + i % 26)}{chr(65 + i // 26 % 26)}ZZ" for i in range(_OTHER_ROOTS)]
    which = np.where(
        draw.random(count) < 1.0 / 3.0,
        draw.integers(0, len(_ROOTS), count),
        len(_ROOTS) + draw.integers(0, len(others), count),
    )
    roots = [*_ROOTS, *others]
    ahead = draw.integers(0, 120, count)
    strikes = draw.integers(20, 1500, count) * 5_000
    rights = draw.integers(0, 2, count)
    names = {
        f"O:{roots[w]}{date.fromordinal(day.toordinal() + a):%y%m%d}{'CP'[r]}{k:08d}"
        for w, a, r, k in zip(
            which.tolist(), ahead.tolist(), rights.tolist(), strikes.tolist(), strict=True
        )
    }
    return np.array(sorted(names), dtype=object)
