"""Measure a day of flat-file trades: verified, sorted by time, one underlying's rows.

``python -m dealer_assets_tests.bench.flat_file_day [rows]`` makes a file as big as the vendor's and
prints seconds, peak memory of the process that did it, rows and size for each step. It judges
nothing; the bar is 40 s and 2 GB for two million trades, sorted whole.
"""

import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from dealer_assets.providers.flatfiles.datasets import OPTION_TRADES, readable_at
from dealer_assets.providers.flatfiles.sorting import day_to_parquet
from dealer_assets.underlyings import underlying

SESSION = date(2026, 11, 18)
STEPS = ("make", "verify", "sort", "underlying", "rows")


def make(source: Path, rows: int) -> str:
    """Write a day like the vendor's."""
    from dealer_assets_tests.exchange.flatfile_big import write_trades_file

    write_trades_file(source, rows=rows, day=SESSION)
    return f"{rows:,} trades, {source.stat().st_size / 1e6:,.0f} MB of gzip"


def verify(source: Path, target: Path) -> str:
    """Decompress to the end, as every fetched file is."""
    import gzip

    with gzip.open(source) as text:
        size = sum(len(block) for block in iter(lambda: text.read(1 << 20), b""))
    return f"{size / 1e6:,.0f} MB of text"


def sort(source: Path, target: Path) -> str:
    """Sort the whole market."""
    done = day_to_parquet(source, target, OPTION_TRADES, session_date=SESSION)
    return f"{done.rows:,} rows, {done.bytes / 1e6:,.0f} MB of Parquet, rejected {done.rejected}"


def underlying_only(source: Path, target: Path) -> str:
    """Sort one underlying out of it."""
    roots = [root.symbol for root in underlying("SPX").roots]
    done = day_to_parquet(source, target, OPTION_TRADES, session_date=SESSION, roots=roots)
    return f"{done.rows:,} rows of SPX, {done.bytes / 1e6:,.1f} MB of Parquet"


def rows(source: Path, target: Path) -> str:
    """Turn one underlying's sorted rows into the table's."""
    import pyarrow.parquet as pq

    from dealer_assets.providers.flatfiles.rows import Origin, option_day, trade_rows

    asset = underlying("SPX")
    origin = Origin(asset, SESSION, readable_at(SESSION), "flatfiles", "bench", "0" * 64)
    found = trade_rows(option_day(pq.read_table(target), origin), origin)
    return f"{found.num_rows:,} rows, {found.nbytes / 1e6:,.0f} MB in memory"


def run(step: str, source: Path, rows_wanted: int) -> None:
    """Do one step and print what it took."""
    target = source.with_name("day.parquet")
    begun = time.perf_counter()
    if step == "make":
        told = make(source, rows_wanted)
    else:
        steps = {"verify": verify, "sort": sort, "underlying": underlying_only, "rows": rows}
        told = steps[step](source, target)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{step:10} {seconds:6.1f} s  {peak:6,.0f} MB  {told}\n")


def main() -> None:
    """Run every step in a process of its own, so that each has its own peak."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    if len(sys.argv) == 4:
        run(sys.argv[2], Path(sys.argv[3]), wanted)
        return
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            command = [sys.executable, "-m", __spec__.name, str(wanted), step]
            subprocess.run([*command, str(Path(folder) / "day.csv.gz")], check=True)


if __name__ == "__main__":
    main()
