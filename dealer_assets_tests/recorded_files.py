"""Recorded files as their makers wrote them, where the collection keeps them in another container.

Belongs here: turning a recorded parquet back into the files it was made of. Does not belong here:
what is expected of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

TSLA = "yfinance_daily/TSLA_2026-04-15_2026-08-21.parquet"
YFINANCE = (
    "yfinance_daily/NVDA_2025-11-25_2025-12-05.parquet",
    "yfinance_daily/AAPL_2025-11-25_2025-12-05.parquet",
    "yfinance_daily/NFLX_2025-11-25_2025-12-05.parquet",
)


def tsla_files(shared: Path, folder: Path, *, days: tuple[str, ...] = ()) -> list[Path]:
    """Write the daily snapshots of TSLA as the JSON files they were, or those of some days."""
    written = []
    for day, rows in _by_day(shared / TSLA, days):
        first = rows.slice(0, 1).to_pylist()[0]
        chains: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in rows.drop_columns(["file_date", "timestamp", "spot"]).to_pylist():
            sides = chains.setdefault(row.pop("expiry"), {"calls": [], "puts": []})
            side = "calls" if row.pop("cp") == "C" else "puts"
            sides[side].append({name: _json_number(value) for name, value in row.items()})
        top = {
            "ticker": "TSLA",
            "timestamp": first["timestamp"],
            "date": day,
            "spot": first["spot"],
            "term": [],
            "chains": chains,
        }
        path = folder / f"{day}-TSLA.json"
        path.write_text(json.dumps(top))
        written.append(path)
    return written


def yfinance_files(path: Path, folder: Path, *, days: tuple[str, ...] = ()) -> list[Path]:
    """Write the daily chains of one of `YFINANCE` as the CSV files they were."""
    symbol = path.name.partition("_")[0]
    written = []
    for day, rows in _by_day(path, days):
        out, rows = folder / f"{symbol}_{day}.csv", rows.drop_columns(["file_date"])
        plain = pacsv.WriteOptions(include_header=False, quoting_style="needed")
        with out.open("wb") as file:  # Arrow quotes every name in a header, the makers did not
            file.write((",".join(rows.column_names) + "\n").encode())
            pacsv.write_csv(rows, file, plain)
        written.append(out)
    return written


def _by_day(path: Path, days: tuple[str, ...]) -> Iterator[tuple[str, pa.Table]]:
    rows = pq.read_table(path)
    for day in sorted(set(rows["file_date"].to_pylist())):
        if not days or day in days:
            yield day, rows.filter(pc.equal(rows["file_date"], day))


def _json_number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
