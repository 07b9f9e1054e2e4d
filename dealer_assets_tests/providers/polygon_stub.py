"""A server that says what a test scripts, for the parts of Polygon's client below the protocol."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager

from pydantic import SecretStr

from dealer_assets.providers.patience import Pace, Patience
from dealer_assets.providers.polygon.client import PolygonClient

KEY = "planted-key-that-nobody-may-see"


def answer(body: bytes, status: int = 200, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Script = Callable[[socket.socket, bytes], None]


def say(*answers: bytes) -> Script:
    """Answers in turn, the last for ever."""
    left = list(answers)

    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return script


class Stub:
    """A server that does what a script says, byte by byte."""

    def __init__(self, script: Script) -> None:
        self.script, self.requests = script, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self.connections: list[socket.socket] = []

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while request := self._read(connection):
                    self.requests.append(request)
                    self.script(connection, request)
            except OSError:
                return

    def _read(self, connection: socket.socket) -> bytes:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            received = connection.recv(65536)
            if not received:
                return b""
            request += received
        return request

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(timeout=60)


@contextmanager
def serving(script: Script):
    stub = Stub(script)
    try:
        yield stub
    finally:
        stub.close()


@contextmanager
def asking(script: Script, *, attempts: int = 1, sleeps: list[float] | None = None, **limits):
    sleep = (lambda _: None) if sleeps is None else sleeps.append
    with serving(script) as stub:
        client = PolygonClient(
            SecretStr(KEY),
            base_url=stub.url,
            pace=Pace(10_000.0),
            patience=Patience(attempts=attempts, sleep=sleep),
            **limits,
        )
        try:
            yield client, stub
        finally:
            client.close()


def page(*rows: dict, **more: object) -> bytes:
    return json.dumps({"status": "OK", "results": list(rows), **more}).encode()


def route(bodies: dict[str, bytes | list[bytes]], default: bytes | None = None) -> Script:
    """Answers by the first route whose words are all in path and query; lists in turn."""

    def script(connection: socket.socket, request: bytes) -> None:
        target = request.split(b" ")[1].decode()
        held = (body for words, body in bodies.items() if all(w in target for w in words.split()))
        found = next(held, default)
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        missing = answer(b'{"status":"NOT_FOUND","message":"no route"}', 404)
        connection.sendall(missing if found is None else answer(found))

    return script
