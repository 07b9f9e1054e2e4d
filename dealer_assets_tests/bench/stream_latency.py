"""From a tick on the wire to a subscriber of the live API: index values as marks among others.

Belongs here: the subscriber, and matching what it saw with when it was sent. Does not belong here:
sender (`blaster`) and desk (`stream_desk`).

Every mark is another value of the index, so the first tick of the stream that shows it, or a later
one, tells how long it took: kernel, decoding, book, rows, journal, view, encoding, kernel again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dealer_assets_tests.bench.blaster import FIRST_MARK_USD, MARK_USD, Plan, Sent, blasting
from dealer_assets_tests.bench.frame_source import Market, burst, payloads_of
from dealer_assets_tests.bench.stream_desk import Found, Wishes, desk_process

_PER_FRAME = 20
_WARM = 2000
_MARKS_PER_SECOND = 47.0  # in step with no whole number of milliseconds


@dataclass(frozen=True)
class Latency:
    """What the subscriber saw.

    Parameters
    ----------
    delays_ms : float64 array
        One a mark.
    ticks : int
        Messages received.
    found : Found
        What the desk says.
    """

    delays_ms: NDArray[np.float64]
    ticks: int
    found: Found


def latency(
    folder: Path,
    market: Market,
    *,
    seconds: float,
    events_per_second: float,
    cores: tuple[int, int],
) -> Latency:
    """Measure it.

    Parameters
    ----------
    folder : pathlib.Path
        Scratch folder.
    market : Market
        Source of messages.
    seconds : float
        How long.
    events_per_second : float
        Load beside the marks.
    cores : tuple of int
        The desk's, and the sender's; -1: any.
    """
    messages = burst(market, int(seconds * events_per_second) + _WARM, quotes=0.9)
    before = payloads_of(market.standing(), 100) + payloads_of(messages[:_WARM], _PER_FRAME)
    main = payloads_of(messages[_WARM:], _PER_FRAME)
    plan = Plan(
        _PER_FRAME,
        events_per_second=events_per_second,
        marks_per_second=_MARKS_PER_SECOND,
        venue_ms=market.open_us // 1000,
        core=cores[1],
    )
    with blasting(folder, before, main, plan) as sender:
        wishes = Wishes(
            str(folder),
            sender.port,
            before=market.quoted + _WARM,
            main=len(messages) - _WARM,
            density=market.density,
            core=cores[0],
            serves=True,
        )
        with desk_process(wishes) as desk, _subscribed(desk.ready()) as seen:
            sender.go()
            found, sent = desk.found(), sender.sent()
    return Latency(_delays(sent, seen), len(seen.at_ns), found)


@dataclass(frozen=True)
class _Seen:
    """When each tick came [ns, monotonic], and what spot it showed [USD]."""

    at_ns: list[int] = field(default_factory=list)
    spots: list[float] = field(default_factory=list)


@contextmanager
def _subscribed(port: int) -> Iterator[_Seen]:
    """Listen in a thread."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    seen = _Seen()
    url = f"ws://127.0.0.1:{port}/ws/stream?underlying=SPX&interval_ms=0"
    with connect(url, compression=None) as socket:

        def listen() -> None:
            with suppress(ConnectionClosed):  # the desk ends before its subscriber
                while True:
                    message, at_ns = socket.recv(), time.monotonic_ns()
                    spot = json.loads(message).get("spot")
                    if spot is not None:
                        seen.at_ns.append(at_ns)
                        seen.spots.append(spot)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield seen
        socket.close()
        thread.join()


def _delays(sent: Sent, seen: _Seen) -> NDArray[np.float64]:
    """Return how long each mark took [ms]; those that no tick showed are left out."""
    shown = np.round((np.array(seen.spots) - FIRST_MARK_USD) / MARK_USD).astype(np.int64)
    newest = np.maximum.accumulate(np.where(shown < len(sent.marks_ns), shown, -1))
    first = np.searchsorted(newest, np.arange(len(sent.marks_ns)))
    marks = np.flatnonzero(first < newest.size)
    return np.asarray((np.array(seen.at_ns)[first[marks]] - np.array(sent.marks_ns)[marks]) / 1e6)
