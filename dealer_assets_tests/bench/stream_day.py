"""Measure a whole session replayed, and minutes or hours of load: ``make bench-stream``.

``python -m dealer_assets_tests.bench.stream_day`` records a simulated session of 10 million quotes
and 1.5 million trades, replays it, and prints seconds and peak memory; ``--profile MINUTES`` says
where the first minutes' time goes. ``--soak MINUTES`` sends 20,000 messages a second through a
socket instead and looks at the memory. It judges nothing; the bars are 60 s and 1.5 GB for the day,
and for the soak that memory does not grow but for the session's own log of trades.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dealer_assets_tests.bench.frame_source import Kinds, Market, burst, day
from dealer_assets_tests.bench.stream_desk import peak_mb
from dealer_assets_tests.bench.stream_sockets import Ours, take_in
from dealer_assets_tests.bench.stream_stages import Cell

_SOAK_RATE = 20_000.0
_SOAK_MESSAGES = 400_000
"""Sent again and again: 20 s of load."""

_SAMPLE_SECONDS = 10.0
_FUNCTIONS = 30


def record(folder: Path, kinds: Kinds) -> str:
    """Make a recording of a session."""
    from streaming.recordings.recording import Recorder

    market = Market()
    recorder = Recorder(folder, market.start, started_us=market.open_us)
    for frames in day(market, kinds):
        recorder.append(frames)
    recorder.close()
    return (
        f"{kinds.quotes + kinds.trades:,} messages of {market.contracts:,} contracts in "
        f"{recorder.frames:,} frames, {recorder.bytes_written / 1e6:,.0f} MB"
    )


def replayed(folder: Path, *, minutes: float | None = None) -> str:
    """Replay it, or its first minutes, into a lake of its own."""
    from streaming.process.replaying import replay
    from streaming.recordings.recording import Recording, recordings_in

    recording = Recording(recordings_in(folder)[-1])
    until_us = None if minutes is None else recording.span_us[0] + round(minutes * 60e6)
    began = time.process_time()
    done = asyncio.run(replay(recording, folder / "replay", until_us=until_us))
    rows = ", ".join(f"{count:,} {table}" for table, count in sorted(done.rows.items()) if count)
    return (
        f"{done.quotes:,} quotes and {done.trades:,} trades in {done.seconds:.1f} s "
        f"({time.process_time() - began:.1f} s of CPU), {done.events_per_second:,.0f}/s, "
        f"{done.rejected:,} rejected; {done.parts:,} parts: {rows}"
    )


def profiled(folder: Path, minutes: float) -> str:
    """Replay the first minutes under a profiler."""
    profile = cProfile.Profile()
    profile.enable()
    told = replayed(folder, minutes=minutes)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(_FUNCTIONS)
    return told


def soak(minutes: float) -> str:
    """Send for so long at a steady pace, and compare the memory of the halves."""
    market = Market()
    repeats = max(round(minutes * 60 * _SOAK_RATE / _SOAK_MESSAGES), 1)
    found = take_in(
        market,
        Cell(burst(market, _SOAK_MESSAGES, quotes=0.9), 20),
        events_per_second=_SOAK_RATE,
        repeats=repeats,
        sample_seconds=_SAMPLE_SECONDS,
    )
    return _told_of(found)


def _told_of(ours: Ours) -> str:
    found, memory = ours.found, ours.found.memory_mb
    sent = (ours.sent.ended_ns - ours.sent.began_ns) / 1e9
    samples = " ".join(f"{mb:.0f}" for mb in memory[:: max(len(memory) // 18, 1)])
    half = memory[len(memory) // 2 :]
    growth = (half[-1] - half[0]) / max(len(half) - 1, 1) * 60.0 / _SAMPLE_SECONDS if half else 0.0
    return (
        f"{ours.events:,} messages in {sent:.0f} s, {found.cpu_seconds / sent:.0%} of a core; "
        f"{ours.trades:,} trades sent, {ours.lost:,} lost, {found.conflated:,} quotes conflated\n"
        f"memory {found.ready_mb:,.0f} MB before, peak {found.peak_mb:,.0f} MB, in the second half "
        f"{growth:+.1f} MB a minute; samples: {samples}\n"
        f"longest slice {found.slowest_slice_ms:.0f} ms, sender late by at most "
        f"{ours.sent.late_seconds:.2f} s"
    )


def run(step: str, folder: Path, wishes: argparse.Namespace) -> None:
    """Do one step in this process and print what it took."""
    began = time.perf_counter()
    if step == "record":
        told = record(folder, Kinds(wishes.quotes, wishes.trades))
    elif step == "replay":
        told = replayed(folder)
    else:
        told = profiled(folder, wishes.profile)
    seconds = time.perf_counter() - began
    sys.stdout.write(f"{step:8} {seconds:6.1f} s  peak {peak_mb():6,.0f} MB  {told}\n")


def main() -> None:
    """Run every step in a process of its own, so that each has its own peak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quotes", type=int, default=10_000_000)
    parser.add_argument("--trades", type=int, default=1_500_000)
    parser.add_argument("--profile", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep recording and lake here")
    wishes = parser.parse_args()
    if wishes.soak:
        sys.stdout.write(soak(wishes.soak) + "\n")
    elif wishes.step:
        run(wishes.step, wishes.folder, wishes)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder = str(wishes.folder or scratch)
            for step in ("record", "replay", *(["profile"] if wishes.profile else [])):
                command = [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--step", step]
                subprocess.run([*command, "--folder", folder], check=True)


if __name__ == "__main__":
    main()
