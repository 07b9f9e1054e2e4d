"""Whole processes on real sockets: our desk and the vendor's client, same server, same frames.

Belongs here: starting the processes of one measurement and putting their figures together. Does not
belong here: what each process does (`blaster`, `stream_desk`, `peers.polygon_socket`), tables.

The measured process has one core, the server the other one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dealer_assets_tests.bench.blaster import Plan, Sent, blasting
from dealer_assets_tests.bench.frame_source import Market, payloads_of
from dealer_assets_tests.bench.peers import polygon_socket as peer
from dealer_assets_tests.bench.stream_desk import Found, Wishes, desk_process
from dealer_assets_tests.bench.stream_stages import Cell

WARM = 2000
"""Messages of the first part, sent before the timing: code is loaded then."""

_PATIENCE_SECONDS = 120.0


def cores() -> tuple[int, int]:
    """Return a core for the measured process and one for the server; -1 where there is only one."""
    free = sorted(os.sched_getaffinity(0))
    return (free[0], free[1]) if len(free) > 1 else (-1, -1)


@dataclass(frozen=True)
class Taken:
    """What one process made of the main part.

    Parameters
    ----------
    events : int
        Quotes and trades of it.
    seconds, cpu_seconds : float
        Of the wall, from the first byte sent; of the process, all its threads.
    """

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Events a second of the wall."""
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Events a second of CPU."""
        return self.events / self.cpu_seconds


@dataclass(frozen=True)
class Ours(Taken):
    """The same of a desk.

    Parameters
    ----------
    trades : int
        Trades sent, both parts.
    sent : Sent
        When it was sent.
    found : Found
        What the desk says.
    """

    trades: int
    sent: Sent
    found: Found

    @property
    def lost(self) -> int:
        """Trades that were sent and are not in the lake; negative: there are more."""
        return self.trades - self.found.trade_rows

    @property
    def per_lake_cpu_second(self) -> float:
        """Events a second of CPU until the last part is written."""
        return self.events / self.found.lake_cpu_seconds


def take_in(
    market: Market,
    cell: Cell,
    *,
    events_per_second: float = 0.0,
    repeats: int = 1,
    sample_seconds: float = 0.0,
) -> Ours:
    """Have a desk take in a cell's messages.

    Parameters
    ----------
    market : Market
        Where they are from.
    cell : Cell
        Messages.
    events_per_second, repeats : float, int
        See `Plan`.
    sample_seconds : float
        See `Wishes`.
    """
    desk_core, server_core = cores()
    warm = cell.messages[:WARM]
    before = payloads_of(market.standing(), 100) + payloads_of(warm, 20)
    count = len(cell.messages) * repeats
    plan = Plan(cell.per_frame, events_per_second, repeats, core=server_core)
    pace_seconds = count / events_per_second if events_per_second else 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with blasting(folder, before, cell.payloads, plan) as server:
            wishes = Wishes(
                folder=name,
                port=server.port,
                before=market.quoted + len(warm),
                main=count,
                density=market.density,
                core=desk_core,
                sample_seconds=sample_seconds,
                at_most_seconds=_PATIENCE_SECONDS + 2.0 * pace_seconds,
            )
            with desk_process(wishes) as desk:
                desk.ready()
                server.go()
                found, sent = desk.found(), server.sent()
    return Ours(
        events=count,
        seconds=(found.ended_ns - sent.began_ns) / 1e9,
        cpu_seconds=found.cpu_seconds,
        trades=_trades(cell.messages) * repeats + _trades(warm),
        sent=sent,
        found=found,
    )


def take_in_with_client(market: Market, cell: Cell, *, mode: str) -> Taken:
    """Have the vendor's client take in a cell's messages, ``parsed`` or ``raw``."""
    own_core, server_core = cores()
    before = payloads_of(market.standing()[1:], 100)
    plan = Plan(cell.per_frame, core=server_core)
    count = len(cell.messages)
    with (
        tempfile.TemporaryDirectory() as name,
        blasting(Path(name), before, cell.payloads, plan) as server,
        peer.peer_process(
            peer.Wishes(server.port, market.quoted, count, mode, core=own_core)
        ) as client,
    ):
        client.ready()
        server.go()
        found, sent = client.found(), server.sent()
    return Taken(count, (found.ended_ns - sent.began_ns) / 1e9, found.cpu_seconds)


def _trades(messages: Sequence[str]) -> int:
    return sum(message.startswith('{"ev":"T"') for message in messages)
