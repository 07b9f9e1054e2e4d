"""The streaming process: stage by stage, through a socket, in a burst, and to a subscriber.

Belongs here: sizes, bars, table. Does not belong here: how each is measured (`stream_stages`,
`stream_sockets`, `stream_latency`); a whole day and hours of load (`stream_day`).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dealer_assets_tests.bench import report, stream_stages as stages
from dealer_assets_tests.bench.frame_source import Market, burst
from dealer_assets_tests.bench.stream_latency import Latency, latency
from dealer_assets_tests.bench.stream_sockets import Ours, cores, take_in, take_in_with_client
from dealer_assets_tests.bench.stream_stages import Cell
from dealer_assets_tests.bench.works.field import Size

_TITLE = "Streaming"
_ABOUT = """\
Frames of a simulated market in Polygon's words: {contracts:,} contracts of SPX listed, {quoted:,}
quoted; 1, 20 or 200 messages a frame. *M/s* are millions of messages a second. The upper rows run
in memory, by CPU time: each stage alone, then all of them to acknowledged rows (*journal*) and to
written parts (*lake*). The lower rows are whole processes that read from a server on loopback, the
measured process on one core and the server on the other: *wall* from the first byte sent to the
last message used, *CPU* of all threads of the process. The vendor's client only hands messages on,
parsed or as text for `json`; ours has looked them up, judged every trade, totalled every second and
journaled the rows."""

_MIXES = (("9 quotes a trade", 0.9, 500_000.0), ("trades only", 0.0, 200_000.0))
_WALL, _CPU = "**socket to journal**, wall", "**socket to journal**, CPU"
_LAKE_CPU = "**socket to lake**, CPU"
_CLIENT = "polygon-api-client"
_MODES = {"parsed": f"{_CLIENT}, CPU", "raw": f"{_CLIENT}, raw, with json, CPU"}
_BURST_PER_FRAME = 20


@dataclass(frozen=True)
class _Load:
    """How much is sent.

    Parameters
    ----------
    density : float
        Of the listing.
    rounds : int
        Of the stages.
    per_frame, socket_per_frame : tuple of int
        Messages of a frame, in memory and through sockets.
    messages : tuple of int
        Of each mix.
    client_messages : int
        For the vendor's client.
    burst_seconds, burst_rate : float
        Length and pace [1/s] of the burst.
    latency_seconds, latency_rate : float
        The same of the load beside a subscriber.
    """

    density: float = 1.0
    rounds: int = 2
    per_frame: tuple[int, ...] = (1, 20, 200)
    socket_per_frame: tuple[int, ...] = (1, 20, 200)
    messages: tuple[int, int] = (200_000, 100_000)
    client_messages: int = 20_000
    burst_seconds: float = 2.0
    burst_rate: float = 1_000_000.0
    latency_seconds: float = 6.0
    latency_rate: float = 20_000.0


_QUICK = _Load(
    density=0.02,
    rounds=1,
    per_frame=(20,),
    socket_per_frame=(),
    messages=(4000, 2000),
    client_messages=2000,
    burst_seconds=0.0,
    latency_seconds=0.5,
    latency_rate=2000.0,
)

_Row = dict[tuple[str, int], float]


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Measure all of it."""
    load = _QUICK if size.rounds < 5 else _Load()
    market, absent = Market(density=load.density), _absent()
    table: dict[str, _Row] = {}
    for (mix, quotes, _), count in zip(_MIXES, load.messages, strict=True):
        messages = burst(market, count, quotes=quotes)
        for per_frame in load.per_frame:
            cell, place = Cell(messages, per_frame), (mix, per_frame)
            for stage, rate in stages.rates(market, cell, rounds=load.rounds).items():
                table.setdefault(stage, {})[place] = rate
            if per_frame in load.socket_per_frame:
                ours = take_in(market, cell)
                table.setdefault(_WALL, {})[place] = ours.per_second
                table.setdefault(_CPU, {})[place] = ours.per_cpu_second
                table.setdefault(_LAKE_CPU, {})[place] = ours.per_lake_cpu_second
                if not absent:
                    few = Cell(messages[: load.client_messages], per_frame)
                    for mode, name in _MODES.items():
                        theirs = take_in_with_client(market, few, mode=mode)
                        table.setdefault(name, {})[place] = theirs.per_cpu_second
    bars, notes = _rate_bars(table), []
    if load.burst_seconds:
        bars, notes = _and_burst(bars, notes, market, load)
    with tempfile.TemporaryDirectory() as folder:
        seen = latency(
            Path(folder),
            market,
            seconds=load.latency_seconds,
            events_per_second=load.latency_rate,
            cores=cores(),
        )
    bars += _latency_bars(seen, load)
    notes.append(_latency_note(seen))
    about = _ABOUT.format(contracts=market.contracts, quoted=market.quoted)
    return report.Section(_TITLE, about, *_laid_out(table, load), bars, notes), absent


def _absent() -> list[tuple[str, str]]:
    if report.version(_CLIENT):
        return []
    return [(_CLIENT, "not installed")]


def _laid_out(table: dict[str, _Row], load: _Load) -> tuple[tuple[str, ...], list[list[str]]]:
    places = [(mix, n) for mix, *_ in _MIXES for n in load.per_frame]
    columns = ("M/s", *(f"{mix}, {n} a frame" for mix, n in places))
    rows = []
    for name, row in table.items():
        shown = name.replace(_CLIENT, f"{_CLIENT} {report.version(_CLIENT)}")
        rows.append([shown, *(_millions(row.get(place)) for place in places)])
    for mode, name in _MODES.items():
        if name in table:
            times = _over(table[_CPU], table[name])
            cells = [f"{times[place]:.2g}×" if place in times else "" for place in places]
            rows.append([f"ours over {_CLIENT}, {mode}, CPU", *cells])
    return columns, rows


def _over(ours: _Row, theirs: _Row) -> _Row:
    return {place: ours[place] / rate for place, rate in theirs.items()}


def _millions(rate: float | None) -> str:
    return "" if rate is None else f"{rate / 1e6:.2g}" if rate < 1e6 else f"{rate / 1e6:.1f}"


def _rate_bars(table: dict[str, _Row]) -> list[report.Bar]:
    targets = {mix: target for mix, _, target in _MIXES}
    bars = [
        report.rate_at_least(f"socket to journal, {mix}, {n} a frame", targets[mix], rate)
        for (mix, n), rate in table.get(_WALL, {}).items()
    ]
    parsed = table.get(_MODES["parsed"], {})
    if parsed:
        times = _over(table[_CPU], parsed)
        worst = min(times, key=lambda place: times[place])
        what = f"CPU over {_CLIENT}, parsed, at worst ({worst[0]}, {worst[1]} a frame)"
        bars.append(report.at_least(what, 2.0, times[worst]))
    return bars


_Lists = tuple[list[report.Bar], list[str]]


def _and_burst(bars: list[report.Bar], notes: list[str], market: Market, load: _Load) -> _Lists:
    """Send a few messages over and over: each is a trade or quote of its own all the same."""
    wanted, few = round(load.burst_rate * load.burst_seconds), load.messages[0]
    repeats = max(round(wanted / few), 1)
    cell = Cell(burst(market, wanted // repeats, quotes=0.9), _BURST_PER_FRAME)
    found = take_in(market, cell, events_per_second=load.burst_rate, repeats=repeats)
    bars = [*bars, report.at_most("burst, trades lost", 0, abs(found.lost))]
    return bars, [*notes, _burst_note(found)]


def _burst_note(ours: Ours) -> str:
    sent = (ours.sent.ended_ns - ours.sent.began_ns) / 1e9
    return (
        f"Burst: {ours.events:,} messages in {sent:.1f} s, {_BURST_PER_FRAME} a frame; "
        f"used {ours.seconds:.1f} s after the first byte; {ours.trades:,} trades sent, "
        f"{ours.found.trade_rows:,} in the lake; {ours.found.conflated:,} quotes conflated; "
        f"peak memory {ours.found.peak_mb:,.0f} MB ({ours.found.ready_mb:,.0f} before)."
    )


def _latency_bars(seen: Latency, load: _Load) -> list[report.Bar]:
    beside = f"tick to subscriber beside {load.latency_rate:,.0f}/s"
    found = seen.delays_ms if seen.delays_ms.size else np.array([np.nan])
    return [
        report.at_most(f"{beside}, median", 3.0, float(np.percentile(found, 50)), unit=" ms"),
        report.at_most(f"{beside}, 95 %", 10.0, float(np.percentile(found, 95)), unit=" ms"),
    ]


def _latency_note(seen: Latency) -> str:
    if not seen.delays_ms.size:
        return "Latency: no tick reached the subscriber."
    shares = (5, 50, 95, 99)
    delays = np.percentile(seen.delays_ms, shares)
    told = ", ".join(f"{share} % {ms:.1f}" for share, ms in zip(shares, delays, strict=True))
    return (
        f"Latency, from the server's send to the subscriber's hands, {seen.delays_ms.size} marks: "
        f"{told} ms; {seen.ticks:,} ticks; longest slice {seen.found.slowest_slice_ms:.0f} ms."
    )
