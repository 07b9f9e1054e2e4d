"""Measure the minute schedule: from the minute boundary to SPX and SPY levels readable in the lake.

``make bench-ticks`` runs it: real daemon, real schedule, real runs, a session rehearsed on the
simulator. It prints one line per tick and the percentiles; it judges nothing.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SESSION = date(2026, 11, 20)
OPENED = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
LEVELS = "lake/exposure_levels/underlying={}/date=2026-11-20/*.parquet"


def ticks_seen(data: Path, offset: timedelta) -> dict[datetime, float]:
    """Seconds from each minute boundary until both underlyings' levels were visible."""
    visible: dict[datetime, list[float]] = {}
    for symbol in ("SPX", "SPY"):
        for part in data.glob(LEVELS.format(symbol)):
            clock = datetime.strptime(part.name[:6], "%H%M%S").time()  # noqa: DTZ007 a clock time
            minute = datetime.combine(SESSION, clock, UTC) - offset
            visible.setdefault(minute, []).append(part.stat().st_mtime - minute.timestamp())
    return {m: max(lags) for m, lags in sorted(visible.items()) if len(lags) == 2}


def main() -> None:
    """Run the daemon for as many minutes as asked (default 30), then report."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    start = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    offset = OPENED - start
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        environment = {
            **os.environ,
            "DEALER_DATA_DIR": folder,
            "DAGSTER_HOME": folder + "/dagster",
            "DEALER_UNDERLYINGS": "SPX,SPY",
            "DEALER_PROVIDER": "simulator",
            "BENCH_CLOCK_OFFSET_SECONDS": str(int(offset.total_seconds())),
        }
        run = [sys.executable, "-m", "dealer_assets.runner"]
        subprocess.run(run, env=environment, cwd=PROJECT, check=True)
        command = [str(Path(sys.executable).with_name("dagster")), "dev", "--port", "3977", "-f"]
        command.append("dealer_assets_tests/bench/minute_ticks_definitions.py")
        daemon = subprocess.Popen(
            command,
            env=environment,
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline = time.time() + 60 * (wanted + 3)
            while time.time() < deadline and len(ticks_seen(data, offset)) < wanted:
                time.sleep(2)
            lags = ticks_seen(data, offset)
        finally:
            # `dagster dev` may outlive a SIGTERM, and nothing of the rehearsal is kept anyway
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait(timeout=30)
    for minute, lag in lags.items():
        print(f"{minute:%H:%M}  {lag:5.1f} s")  # noqa: T201 a report
    minutes = list(lags)
    gaps = [b - a for a, b in pairwise(minutes)]
    skipped = sum(gap > timedelta(minutes=1) for gap in gaps)
    values = sorted(lags.values())
    p95 = values[max(0, round(0.95 * len(values)) - 1)]
    print(  # noqa: T201
        f"{len(values)} ticks, {skipped} skipped, boundary to visible: "
        f"p50 {statistics.median(values):.1f} s, p95 {p95:.1f} s, worst {values[-1]:.1f} s"
    )


if __name__ == "__main__":
    main()
