"""A WebSocket server on loopback that sends prepared messages as fast as they are taken, or slower.

Belongs here: what goes over the wire, when, and just enough of Polygon's conversation for a client
to subscribe. Does not belong here: what the messages say (`frame_source`).

It runs in a process and on a core of its own (``python -m dealer_assets_tests.bench.blaster``).
Made of blocking sockets and bytes prepared beforehand, it costs the measured process nothing. The
one who measures talks to it in lines: it prints its port, sends the first part to whoever
subscribes, waits for ``go`` on its standard input, sends the main part, and prints when it began
and ended.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

_ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_CHUNK = 1 << 18
_LOOK_SECONDS = 0.001
MARK_USD, FIRST_MARK_USD = 0.01, 6000.0
"""Marks are index values: the k-th is worth the first plus k times this."""


@dataclass(frozen=True)
class Plan:
    """How the main part is sent.

    Parameters
    ----------
    per_frame : int
        Messages of a frame.
    events_per_second : float
        Pace; 0: as fast as it is taken.
    repeats : int
        How often the prepared frames are sent.
    marks_per_second : float
        Index values in between, each another one, whose sending times are told.
    venue_ms : int
        The venue's time of all marks, milliseconds since 1970.
    core : int
        To run on; -1: any.
    """

    per_frame: int
    events_per_second: float = 0.0
    repeats: int = 1
    marks_per_second: float = 0.0
    venue_ms: int = 0
    core: int = -1


@dataclass(frozen=True)
class Sent:
    """When the main part was sent, in nanoseconds of the monotonic clock.

    Parameters
    ----------
    began_ns, ended_ns : int
        First byte handed to the kernel, last byte taken by it.
    marks_ns : list of int
        Of each mark.
    late_seconds : float
        Longest time that sending was behind its pace.
    """

    began_ns: int
    ended_ns: int
    marks_ns: list[int]
    late_seconds: float


def wire(payload: bytes, kind: int = _TEXT) -> bytes:
    """Put a payload into a frame of the protocol."""
    size = len(payload)
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 1 << 16:
        return bytes((kind, 126)) + size.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload


class Blaster:
    """A blaster in a process of its own.

    Parameters
    ----------
    process : subprocess.Popen
        It.
    port : int
        Where it listens, on loopback.
    """

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process, self.port = process, port

    def go(self) -> None:
        """Have the main part sent."""
        self._say("go")

    def sent(self) -> Sent:
        """Wait until the main part was sent."""
        assert self._process.stdout is not None
        return Sent(**json.loads(self._process.stdout.readline()))

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()


@contextmanager
def blasting(
    folder: Path, before: Sequence[bytes], main: Sequence[bytes], plan: Plan
) -> Iterator[Blaster]:
    """Start a blaster.

    Parameters
    ----------
    folder : pathlib.Path
        Scratch folder for what it is to send.
    before, main : sequence of bytes
        Payloads of both parts.
    plan : Plan
        How the main part is sent.
    """
    frames = [wire(payload) for payload in main]
    (folder / "before").write_bytes(b"".join(map(wire, before)))
    (folder / "main").write_bytes(b"".join(frames))
    np.save(folder / "ends.npy", np.cumsum([len(frame) for frame in frames]))
    command = [sys.executable, "-m", __name__, str(folder), json.dumps(asdict(plan))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Blaster(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


# --- the process ----------------------------------------------------------------------------------


class _Server:
    """Answers clients; the first that subscribes to trades gets the messages."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._plan = plan
        self._before = (folder / "before").read_bytes()
        self._main = memoryview((folder / "main").read_bytes())
        self._ends = np.load(folder / "ends.npy")
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        sending = threading.Lock()
        with client, client.makefile("rb") as heard:
            if not _shake_hands(client, heard):
                return
            _send(client, sending, _status("connected", "Connected Successfully"))
            is_served = False
            while (message := _hear(heard)) is not None:
                kind, payload = message
                if kind == _PING:
                    _send(client, sending, wire(payload, _PONG))
                elif kind == _CLOSE:
                    _send(client, sending, wire(payload, _CLOSE))
                    return
                elif kind == _TEXT:
                    asked = json.loads(payload)
                    _send(client, sending, _answer(asked))
                    if asked["action"] == "subscribe" and "T." in asked["params"] and not is_served:
                        is_served = True
                        threading.Thread(
                            target=self._serve, args=(client, sending), daemon=True
                        ).start()

    def _serve(self, client: socket.socket, sending: threading.Lock) -> None:
        _send(client, sending, self._before)
        if sys.stdin.readline().strip() != "go":
            return
        paced = self._plan.events_per_second > 0
        sent = (self._paced if paced else self._as_fast)(client, sending)
        sys.stdout.write(json.dumps(asdict(sent)) + "\n")
        sys.stdout.flush()

    def _as_fast(self, client: socket.socket, sending: threading.Lock) -> Sent:
        began = time.monotonic_ns()
        for _ in range(self._plan.repeats):
            for at in range(0, len(self._main), _CHUNK):
                # whole chunks may end within a frame: nobody else speaks meanwhile
                with sending:
                    client.sendall(self._main[at : at + _CHUNK])
        return Sent(began, time.monotonic_ns(), [], 0.0)

    def _paced(self, client: socket.socket, sending: threading.Lock) -> Sent:
        plan, ends = self._plan, self._ends
        frames_per_second = plan.events_per_second / plan.per_frame
        total, per_round = ends.size * plan.repeats, ends.size
        began, done, late = time.monotonic_ns(), 0, 0.0
        marks: list[int] = []
        while done < total:
            seconds = (time.monotonic_ns() - began) / 1e9
            due = min(int(seconds * frames_per_second) + 1, total)
            late = max(late, (due - done) / frames_per_second)
            while done < due:
                at = done % per_round
                stop = min(at + due - done, per_round)
                first = int(ends[at - 1]) if at else 0
                with sending:
                    client.sendall(self._main[first : int(ends[stop - 1])])
                done += stop - at
            if plan.marks_per_second and len(marks) < seconds * plan.marks_per_second:
                mark = _mark(len(marks), plan.venue_ms)
                marks.append(time.monotonic_ns())
                _send(client, sending, mark)
            time.sleep(_LOOK_SECONDS)
        return Sent(began, time.monotonic_ns(), marks, late)


def _mark(number: int, venue_ms: int) -> bytes:
    value = round(FIRST_MARK_USD + MARK_USD * number, 2)
    return wire(json.dumps([{"ev": "V", "val": value, "T": "I:SPX", "t": venue_ms}]).encode())


def _send(client: socket.socket, sending: threading.Lock, data: bytes) -> None:
    with sending:
        client.sendall(data)


def _status(status: str, *messages: str) -> bytes:
    events = [{"ev": "status", "status": status, "message": message} for message in messages]
    return wire(json.dumps(events).encode())


def _answer(asked: dict[str, str]) -> bytes:
    if asked["action"] == "auth":
        return _status("auth_success", "authenticated")
    verb = "subscribed to" if asked["action"] == "subscribe" else "unsubscribed to"
    return _status("success", *(f"{verb}: {param}" for param in asked["params"].split(",")))


def _shake_hands(client: socket.socket, heard: IO[bytes]) -> bool:
    headers = {}
    while (line := heard.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    key = headers.get("sec-websocket-key", "")
    accept = base64.b64encode(hashlib.sha1((key + _ACCEPT).encode()).digest()).decode()
    client.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    return bool(key)


def _hear(heard: IO[bytes]) -> tuple[int, bytes] | None:
    """Read one frame of a client, which masks it; None at the end."""
    head = heard.read(2)
    if len(head) < 2:
        return None
    size = head[1] & 0x7F
    if size >= 126:
        size = int.from_bytes(heard.read(2 if size == 126 else 8), "big")
    mask = heard.read(4)
    masked = np.frombuffer(heard.read(size), np.uint8)
    return head[0], (masked ^ np.resize(np.frombuffer(mask, np.uint8), size)).tobytes()


def _main(given: Any = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("plan", type=json.loads)
    told = parser.parse_args(given)
    plan = Plan(**told.plan)
    if plan.core >= 0:
        os.sched_setaffinity(0, {plan.core})
    server = _Server(told.folder, plan)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.run()


if __name__ == "__main__":
    _main()
