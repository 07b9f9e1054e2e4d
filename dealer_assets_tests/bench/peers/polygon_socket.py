"""The vendor's own client on the same frames, in a process and on a core of its own.

Belongs here: counting what it delivers, parsed or raw. Does not belong here: anything done with it;
a real program would only begin there.

``python -m dealer_assets_tests.bench.peers.polygon_socket '<wishes as JSON>'`` prints a line when
it has the first part, and one when it has all.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from dealer_assets_tests.bench.child import Child, running


@dataclass(frozen=True)
class Wishes:
    """What the process is to do.

    Parameters
    ----------
    port : int
        Where the messages come from.
    before, main : int
        Trades and quotes of both parts; of an index value among them it would complain.
    mode : {"parsed", "raw"}
        ``parsed``: the client makes objects; ``raw``: it hands on text, which is read with `json`.
    core : int
        To run on; -1: any.
    """

    port: int
    before: int
    main: int
    mode: str
    core: int = -1


@dataclass(frozen=True)
class Found:
    """What came of it: when it had everything [ns, monotonic], CPU seconds of the main part."""

    ended_ns: int
    cpu_seconds: float


class Peer(Child):
    """The process, seen from outside."""

    who = "the client"

    def ready(self) -> None:
        """Wait until it has the first part."""
        self.line()

    def found(self) -> Found:
        """Wait for the end."""
        return Found(**json.loads(self.line()))


@contextmanager
def peer_process(wishes: Wishes) -> Iterator[Peer]:
    """Start the vendor's client."""
    with running(__name__, wishes) as process:
        yield Peer(process)


# --- the process ----------------------------------------------------------------------------------


async def _run(wishes: Wishes) -> Found:
    from polygon import WebSocketClient

    client = WebSocketClient(
        api_key="bench",
        feed=f"127.0.0.1:{wishes.port}",
        market="options",
        secure=False,
        raw=wishes.mode == "raw",
        subscriptions=["T.*"],
    )
    all_seen = asyncio.get_running_loop().create_future()
    seen, cpu = 0, 0.0

    async def take(messages: Any) -> None:
        nonlocal seen, cpu
        if wishes.mode == "raw":
            messages = [one for one in json.loads(messages) if one["ev"] in ("T", "Q")]
        was = seen
        seen += len(messages)
        if was < wishes.before <= seen:
            cpu = time.process_time()
            sys.stdout.write("ready\n")
            sys.stdout.flush()
        if seen >= wishes.before + wishes.main and not all_seen.done():
            all_seen.set_result(Found(time.monotonic_ns(), time.process_time() - cpu))

    listening = asyncio.ensure_future(client.connect(take))
    try:
        await asyncio.wait({listening, all_seen}, return_when=asyncio.FIRST_COMPLETED)
        return await all_seen if all_seen.done() else listening.result()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def _main() -> None:
    wishes = Wishes(**json.loads(sys.argv[1]))
    if wishes.core >= 0:
        os.sched_setaffinity(0, {wishes.core})
    found = asyncio.run(_run(wishes))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
