"""The WebSocket connection and its back-off: against a raw server that can break every rule."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streaming.feeds.backoff import Backoff
from streaming.feeds.socket import (
    NO_CLOSE_FRAME,
    ConnectError,
    Connection,
    HandshakeRefusedError,
    open_connection,
)

TEXT, BINARY, MORE, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
PATIENT: dict[str, float] = {"connect_seconds": 5.0, "linger_seconds": 0.2}


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def frame(kind: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame as a server sends it."""
    first = kind | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


def goodbye(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


@dataclass
class Peer:
    """The server's side of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: bytes

    async def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """The client's next frame: kind and payload."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        mask = await self.reader.readexactly(4)
        masked = await self.reader.readexactly(size)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(masked))

    async def until_gone(self) -> None:
        while await self.reader.read(1 << 16):
            pass


Handler = Callable[[Peer], Awaitable[None]]


async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Peer:
    request = await reader.readuntil(b"\r\n\r\n")
    key = next(
        line.split(b":")[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
    return Peer(reader, writer, request)


@asynccontextmanager
async def server(
    handle: Handler, *, answer: bytes | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server; `answer` is sent instead of a handshake, an empty one never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if answer is None:
                await handle(await accepted(reader, writer))
            else:
                await reader.readuntil(b"\r\n\r\n")
                if answer:
                    writer.write(answer)
                    await writer.drain()
                else:
                    await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    found = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with found:
        yield f"ws://127.0.0.1:{found.sockets[0].getsockname()[1]}/options"


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not happened():  # noqa: ASYNC110  # what happens is not ours to set an event
            await asyncio.sleep(0.002)


async def talk(handle: Handler, **options: Any) -> tuple[list[bytes], Any]:
    """Listen to a server until it ends the connection; returns the messages, and how it ended."""
    heard: list[bytes] = []
    async with (
        server(handle) as url,
        open_connection(url, on_message=heard.append, **(PATIENT | options)) as connection,
    ):
        ended = await connection.closed()
    return heard, ended


# messages


def test_text_and_binary_messages_of_any_size_arrive_whole_and_in_order() -> None:
    big = bytes(range(256)) * 12_000  # 3 MB

    async def speak(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"one"), frame(BINARY, big), frame(TEXT, b""), goodbye(1000))
        await peer.until_gone()

    heard, ended = asyncio.run(talk(speak))
    assert heard == [b"one", big, b""]
    assert (ended.code, ended.was_clean, ended.cause) == (1000, True, "closed")


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_fragments_are_put_together_around_pings_that_are_answered(kind: int) -> None:
    answers: list[tuple[int, bytes]] = []

    async def speak(peer: Peer) -> None:
        await peer.send(frame(kind, b"[1,", fin=False), frame(PING, b"are you there"))
        answers.append(await peer.receive())
        await peer.send(frame(MORE, b"2,", fin=False), frame(MORE, b"3]"), frame(TEXT, b"next"))
        await peer.send(goodbye(1001, "restart"))
        await peer.until_gone()

    heard, ended = asyncio.run(talk(speak))
    assert heard == [b"[1,2,3]", b"next"]
    assert answers == [(PONG, b"are you there")]
    assert (ended.code, ended.reason) == (1001, "restart")


def test_messages_that_come_with_the_handshake_are_not_lost() -> None:
    async def speak(peer: Peer) -> None:
        # in one segment with the answer to the handshake
        peer.writer.write(frame(TEXT, b"connected"))
        await peer.send(goodbye(1000))
        await peer.until_gone()

    heard, _ = asyncio.run(talk(speak))
    assert heard == [b"connected"]


def test_what_is_sent_arrives_and_headers_go_with_the_handshake_without_compression() -> None:
    got: list[Any] = []

    async def speak(peer: Peer) -> None:
        got.append(await peer.receive())
        got.append(peer.request.lower())
        await peer.send(goodbye(1000))
        await peer.until_gone()

    async def test() -> None:
        async with (
            server(speak) as url,
            open_connection(url, on_message=got.append, headers={"X-One": "two"}) as connection,
        ):
            connection.send('{"action":"auth"}')
            await connection.closed()
            connection.send("into the void")  # does nothing

    run(test())
    assert got[0] == (TEXT, b'{"action":"auth"}')
    assert b"x-one: two" in got[1]
    assert b"permessage-deflate" not in got[1]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(MORE, b"out of turn")],
        [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")],
        [frame(TEXT, b"compressed", rsv1=True)],
        [frame(3, b"no such opcode")],
        [frame(TEXT, b"x" * 2_000, fin=False), frame(MORE, b"x" * 2_000)],
        [frame(TEXT, b"x" * 5_000)],
        [goodbye(1005)],
    ],
)
def test_a_peer_that_breaks_the_rules_is_left_with_a_reason(frames: list[bytes]) -> None:
    async def speak(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"sound"), *frames)
        await peer.until_gone()

    heard, ended = asyncio.run(talk(speak, most_bytes=3_000))
    assert b"".join(heard) in (b"sound", b"")  # a frame before a broken one may go with it
    assert (ended.was_clean, ended.cause) == (False, "protocol")
    assert ended.reason


# ends


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1008, "max_connections"), (4321, "ä")])
def test_a_close_frame_is_answered_and_told(code: int, reason: str) -> None:
    answers: list[tuple[int, bytes]] = []

    async def speak(peer: Peer) -> None:
        await peer.send(goodbye(code, reason))
        answers.append(await peer.receive())
        await peer.until_gone()

    _, ended = asyncio.run(talk(speak))
    assert (ended.code, ended.reason, ended.was_clean, ended.cause) == (
        code,
        reason,
        True,
        "closed",
    )
    assert [kind for kind, _ in answers] == [CLOSE]


def test_a_close_frame_without_a_code_is_clean() -> None:
    async def speak(peer: Peer) -> None:
        await peer.send(frame(CLOSE))
        await peer.until_gone()

    _, ended = asyncio.run(talk(speak))
    assert (ended.code, ended.was_clean) == (1005, True)


@pytest.mark.parametrize("abort", [True, False])
def test_an_end_without_a_close_frame_is_an_abort(abort: bool) -> None:
    async def speak(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"last"))
        if abort:
            await asyncio.sleep(0.02)
            peer.writer.transport.abort()

    heard, ended = asyncio.run(talk(speak))
    assert heard == [b"last"]
    assert (ended.code, ended.was_clean, ended.cause) == (NO_CLOSE_FRAME, False, "aborted")


def test_leaving_says_goodbye_and_ends_even_when_the_peer_does_not_answer() -> None:
    got: list[tuple[int, bytes]] = []

    async def speak(peer: Peer) -> None:
        got.append(await peer.receive())
        await peer.until_gone()

    async def test() -> None:
        async with server(speak) as url:
            began = time.monotonic()
            async with open_connection(url, on_message=print, linger_seconds=0.05) as connection:
                pass
            assert time.monotonic() - began < 30.0
            assert (await connection.closed()).cause == "local"
            await until(lambda: bool(got))

    run(test())
    assert got == [(CLOSE, b"\x03\xe8")]


# life


def test_pings_keep_a_quiet_connection_alive_and_their_lack_of_answer_ends_it() -> None:
    pings: list[int] = []

    async def speak(peer: Peer) -> None:
        for _ in range(6):  # longer than the patience
            kind, payload = await peer.receive()
            pings.append(kind)
            await peer.send(frame(PONG, payload))
        await peer.until_gone()  # reads, and never answers again

    began = time.monotonic()
    _, ended = asyncio.run(talk(speak, ping_every=0.05, silent_after=0.2))
    assert pings == [PING] * 6
    assert time.monotonic() - began > 0.45
    assert (ended.code, ended.was_clean, ended.cause) == (NO_CLOSE_FRAME, False, "silent")
    assert "pong" in ended.reason


def test_data_without_pongs_are_life_enough() -> None:
    async def speak(peer: Peer) -> None:
        for _ in range(15):
            await peer.send(frame(TEXT, b"tick"))
            await asyncio.sleep(0.02)
        await peer.send(goodbye(1000))
        await peer.until_gone()

    heard, ended = asyncio.run(talk(speak, ping_every=10.0, silent_after=0.15))
    assert (len(heard), ended.cause) == (15, "closed")


def test_a_paused_connection_reads_nothing_is_not_silent_and_goes_on_where_it_stopped() -> None:
    heard: list[bytes] = []
    chunk = b"x" * 100_000
    sent = 0

    async def speak(peer: Peer) -> None:
        nonlocal sent
        for _ in range(300):
            await peer.send(frame(BINARY, chunk))
            sent += 1
        await peer.send(goodbye(1000))
        await peer.until_gone()

    async def test() -> None:
        async with (
            server(speak) as url,
            open_connection(
                url, on_message=heard.append, ping_every=0.02, silent_after=0.1
            ) as connection,
        ):
            await until(lambda: len(heard) > 2)
            connection.pause()
            connection.pause()  # once is enough
            before = len(heard)
            await asyncio.sleep(0.2)
            assert len(heard) - before < 10
            assert sent < 300  # the peer waits
            connection.resume()
            assert (await connection.closed()).cause == "closed"

    run(test())
    assert heard == [chunk] * 300


def test_a_mistake_of_the_listener_ends_the_connection_and_is_raised() -> None:
    def fail(payload: bytes) -> None:
        raise ValueError(f"cannot use {payload!r}")

    async def speak(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"this"), frame(TEXT, b"that"))
        await peer.until_gone()

    async def test() -> None:
        async with server(speak) as url:
            with pytest.raises(ValueError, match="this"):
                async with open_connection(url, on_message=fail) as connection:
                    await connection.closed()

    run(test())


# coming about


def refused(answer: bytes) -> ConnectError:
    async def nobody(peer: Peer) -> None:
        raise AssertionError

    async def test() -> ConnectError:
        async with server(nobody, answer=answer) as url:
            with pytest.raises(ConnectError) as found:
                async with open_connection(url, on_message=print, connect_seconds=0.2):
                    pass
        return found.value

    return asyncio.run(test())


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 503, 520])
def test_a_refused_handshake_tells_its_status(status: int) -> None:
    head = f"HTTP/1.1 {status} Some Reason\r\nContent-Length: 2\r\n"
    error = refused(f"{head}Location: ws://elsewhere/\r\nRetry-After: 7\r\n\r\nno".encode())
    assert isinstance(error, HandshakeRefusedError)
    assert error.status == status
    assert error.retry_after_seconds == (0.0 if status == 520 else 7.0)
    assert str(status) in str(error)


def test_other_answers_to_the_handshake_have_their_reason_too() -> None:
    assert refused(b"HTTP/1.1 101 Fine\r\nUpgrade: h2c\r\n\r\n").reason == "garbled"
    assert refused(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").reason == "garbled"
    assert refused(b"\r\n").reason == "unreachable"  # hung up in the middle
    assert refused(b"").reason == "timeout"


def test_refused_tcp_unknown_names_and_plain_servers_are_told_apart() -> None:
    async def attempt(url: str) -> str:
        with pytest.raises(ConnectError) as found:
            async with open_connection(url, on_message=print, connect_seconds=5.0):
                pass
        assert not isinstance(found.value, HandshakeRefusedError)
        return found.value.reason

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def test() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as found:
            port = found.sockets[0].getsockname()[1]
            assert await attempt(f"wss://127.0.0.1:{port}/") == "tls"
        assert await attempt(f"ws://127.0.0.1:{port}/") == "refused"
        assert await attempt("ws://does-not-exist.invalid/") == "dns"
        assert await attempt("http://127.0.0.1/") == "garbled"

    run(test())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine's loopback, with its key, that nobody but the test trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now, day = datetime.now(UTC), timedelta(days=1)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    signed = builder.add_extension(here, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    form, no_word = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / "loopback.pem"
    path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, form, no_word))
    return path


def test_over_tls_only_a_trusted_certificate_is_spoken_to(certificate: Path) -> None:
    heard: list[bytes] = []
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def speak(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"secret"), goodbye(1000))
        await peer.until_gone()

    async def test() -> None:
        async with server(speak, tls=ours) as url:
            url = url.replace("ws:", "wss:")
            async with open_connection(url, on_message=heard.append, tls=trusting) as connection:
                assert (await connection.closed()).cause == "closed"
            with pytest.raises(ConnectError) as found:
                async with open_connection(url, on_message=heard.append):
                    pass
            assert found.value.reason == "tls"

    run(test())
    assert heard == [b"secret"]


def test_no_error_repeats_what_a_url_has_behind_its_path() -> None:
    async def test() -> None:
        with pytest.raises(ConnectError) as found:
            async with open_connection("ws://user:word@127.0.0.1:1/a?b=c", on_message=print):
                pass
        assert "127.0.0.1:1/a" in str(found.value)
        assert "word" not in str(found.value)
        assert "b=c" not in str(found.value)

    run(test())


@pytest.mark.parametrize("answer", [b"", None])
def test_cancelling_leaves_nothing_open(answer: bytes | None) -> None:
    gone = asyncio.Event()

    async def speak(peer: Peer) -> None:
        await peer.until_gone()
        gone.set()

    async def hold(url: str) -> None:
        async with open_connection(url, on_message=print, **PATIENT) as connection:
            await connection.closed()

    async def test() -> None:
        async with server(speak, answer=answer) as url:
            task = asyncio.create_task(hold(url))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if answer is None:
                async with asyncio.timeout(60.0):
                    await gone.wait()

    run(test())


def test_a_connection_can_be_ended_at_once() -> None:
    async def speak(peer: Peer) -> None:
        await peer.until_gone()

    async def end(connection: Connection) -> None:
        connection.abort()
        assert (await connection.closed()).cause == "local"

    async def test() -> None:
        async with server(speak) as url, open_connection(url, on_message=print) as connection:
            await end(connection)

    run(test())


# back-off


class Most(random.Random):
    """Draws the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_delays_double_up_to_a_bound() -> None:
    backoff = Backoff(first_seconds=0.5, most_seconds=10.0, draw=Most())
    assert [backoff.next_delay("closed") for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_jitter_takes_any_part_of_the_bound() -> None:
    backoff = Backoff(first_seconds=8.0, most_seconds=8.0, draw=random.Random(3))
    delays = [backoff.next_delay() for _ in range(2_000)]
    assert 0.0 <= min(delays) < 0.1
    assert 7.9 < max(delays) <= 8.0
    assert 3.8 < sum(delays) / len(delays) < 4.2


def test_only_a_connection_that_lasted_is_forgiven() -> None:
    backoff = Backoff(first_seconds=1.0, stable_seconds=10.0, draw=Most())
    backoff.next_delay()
    backoff.lived(9.9)
    assert backoff.next_delay() == 2.0
    backoff.lived(10.0)
    assert (backoff.failures, backoff.next_delay()) == (0, 1.0)


def test_too_many_connections_need_the_long_pause_and_the_venue_may_ask_for_more() -> None:
    backoff = Backoff(first_seconds=0.1, cooldown_seconds=60.0)
    assert 60.0 <= backoff.next_delay("max_connections") <= 75.0
    assert backoff.next_delay("closed") <= 0.2
    assert backoff.next_delay("refused", at_least=30.0) == 30.0


def test_thousands_of_failures_do_not_overflow() -> None:
    backoff = Backoff(most_seconds=60.0, draw=Most())
    assert [backoff.next_delay() for _ in range(5_000)][-1] == 60.0
