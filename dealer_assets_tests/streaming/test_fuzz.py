"""Damaged frames, ten thousand of them: nothing is raised, nothing is lost, no reader disagrees."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange import polygon_ws_events as venue
from dealer_assets_tests.streaming.polygon_frames import quote, trade, value
from streaming.core.events import TYPES, Frame
from streaming.core.listing import Listing
from streaming.feeds.deribit.decode import DeribitDecoder
from streaming.feeds.polygon import exact
from streaming.feeds.polygon.decode import PolygonDecoder

DAY = date(2026, 9, 15)
PER_SEED = 100
TYPE_SWAPS = (
    (b'"', b""),
    (b":", b":-"),
    (b"0", b"e5"),
    (b"1", b"null"),
    (b"2", b'"2"'),
    (b"{", b"[{"),
    (b"[", b"{"),
    (b",", b",,"),
    (b"}", b"}}"),
    (b"ev", b"\\u0065v"),
    (b".", b"00000000000000000000."),
    (b"T", b"\xff"),
    (b"[{", b"{"),
    (b"t", b"\xc3\xa9"),
    (b"3", b"[3]"),
)


def bits(rng: random.Random, payload: bytes, _: bytes) -> bytes:
    found = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def cut(rng: random.Random, payload: bytes, _: bytes) -> bytes:
    begin = rng.choice([0, 0, rng.randrange(len(payload))])
    return payload[begin : rng.randrange(begin, len(payload) + 1)]


def splice(rng: random.Random, payload: bytes, other: bytes) -> bytes:
    at, there = rng.randrange(len(payload)), rng.randrange(len(other))
    return payload[:at] + other[there : there + rng.randint(1, 60)] + payload[at:]


def swap(rng: random.Random, payload: bytes, _: bytes) -> bytes:
    old, new = rng.choice(TYPE_SWAPS)
    pieces = payload.split(old)
    at = rng.randrange(len(pieces))
    return (
        old.join(pieces[: at + 1])
        + (new if at + 1 < len(pieces) else b"")
        + old.join(pieces[at + 1 :])
    )


def noise(rng: random.Random, payload: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(payload))
    return payload[:at] + rng.randbytes(rng.randint(1, 20)) + payload[at:]


MUTATIONS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    *(bits, cut, splice, swap, noise),
)


def mutated(originals: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield damaged frames, some of them damaged twice."""
    rng = random.Random(seed)
    for _ in range(count):
        payload = rng.choice(originals)
        for _ in range(rng.choice([1, 1, 2])):
            payload = rng.choice(MUTATIONS)(rng, payload, rng.choice(originals)) or b"["
        yield payload


@pytest.fixture(scope="module")
def polygon_frames(shared_samples: Path) -> tuple[Listing, list[bytes], int]:
    """A listing, frames as the test exchange and the venue send them, their time."""
    provider, lane = SimulatorProvider(seed=7, density=0.05), underlying("XSP")
    tape = venue.trades(venue.tape_of(provider.trades(lane, session_date=DAY).rows.slice(0, 400)))
    events = [tape.event(i) for i in range(len(tape.at_us))]
    contract = events[0]["sym"].removeprefix("O:")
    events += [quote(contract, t=e["t"]) for e in events[:40]]
    events += [value(T="I:XSP", t=e["t"]) for e in events[:20]]
    events += [trade("AAPL261219C00150000", t=events[0]["t"]) for _ in range(5)]
    random.Random(1).shuffle(events)
    frames = [
        json.dumps(events[i : i + 4], separators=(",", ":")).encode()
        for i in range(0, len(events), 4)
    ]
    recorded = shared_samples / "polygon" / "recorded" / "ws_status_frames_recorded.jsonl"
    for line in recorded.read_text().splitlines():
        frames.append(json.dumps(json.loads(line)["frame"]).encode())
    made = Listing((lane,), {lane.symbol: DAY})
    made.add([symbol.removeprefix("O:") for symbol in tape.symbols[::2]])
    return made, frames, int(tape.at_us[0])


@pytest.mark.parametrize("seed", range(4))
def test_damaged_polygon_frames_never_raise_and_every_message_is_accounted_for(
    polygon_frames: tuple[Listing, list[bytes], int], seed: int
) -> None:
    made, originals, now_us = polygon_frames
    decoder = PolygonDecoder(made)
    judge = exact.Judge(made.index_of, ["XSP"], ["I:XSP"])
    for start in range(0, 2000, PER_SEED):
        payloads = list(mutated(originals, PER_SEED, seed * 10_000 + start))
        frames = [Frame("polygon", "options", now_us, payload) for payload in payloads]
        found = decoder.decode(frames)
        refused = sum(reject.messages for reject in found.rejects)
        assert found.messages == len(found.events) + refused + found.passed_over
        rows, passed_over = exactly(payloads, judge, now_us)
        assert found.passed_over == passed_over
        expected = exact.events_of(rows, [now_us] * len(rows))
        for name in TYPES:
            ours, theirs = getattr(found.events, name), getattr(expected, name)
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def exactly(payloads: list[bytes], judge: exact.Judge, now_us: int) -> tuple[list[exact.Row], int]:
    """Return what the slow reader alone makes of frames."""
    rows, passed_over = [], 0
    for payload in payloads:
        messages = exact.read_frame(payload)
        if isinstance(messages, exact.Refused):
            continue
        for message in messages:
            verdict = judge.judge(message, now_us)
            passed_over += verdict is None
            if isinstance(verdict, exact.Row):
                rows.append(verdict)
    return rows, passed_over


def test_a_damaged_frame_costs_its_neighbours_nothing(
    polygon_frames: tuple[Listing, list[bytes], int],
) -> None:
    made, originals, now_us = polygon_frames
    decoder = PolygonDecoder(made)
    good = Frame("polygon", "options", now_us, originals[0])
    alone = len(decoder.decode([good]).events)
    for payload in mutated(originals, 300, seed=99):
        bad = Frame("polygon", "options", now_us, payload)
        both = decoder.decode([good, bad, good])
        assert len(both.events) == 2 * alone + len(decoder.decode([bad]).events)


@pytest.fixture(scope="module")
def deribit_frames(shared_samples: Path) -> list[bytes]:
    folder = shared_samples / "deribit"
    frames = [path.read_bytes() for path in sorted((folder / "nautilus").glob("ws_*.json"))]
    for path in sorted((folder / "recorded").glob("ws_*.jsonl")):
        lines = map(json.loads, path.read_text().splitlines())
        frames += [json.dumps(line.get("frame", line)).encode() for line in lines]
    price = {"timestamp": 1626993722933, "price": 32201.67, "index_name": "btc_usd"}
    params = {"channel": "deribit_price_index.btc_usd", "data": price}
    frames.append(json.dumps({"method": "subscription", "params": params}).encode())
    return frames


@pytest.mark.parametrize("seed", range(4))
def test_damaged_deribit_frames_never_raise(deribit_frames: list[bytes], seed: int) -> None:
    lane = underlying("BTC")
    made = Listing((lane,), {lane.symbol: date(2021, 7, 22)})
    made.add(["BTC-31DEC21-34000-P", "BTC-31DEC21-36000-C"])
    decoder = DeribitDecoder(made, cross_check=True)
    now_us = 1_626_993_722_933_000
    for start in range(0, 500, PER_SEED):
        payloads = list(mutated(deribit_frames, PER_SEED, seed * 10_000 + start))
        frames = [Frame("deribit", "public", now_us, payload) for payload in payloads]
        found = decoder.decode(frames)
        assert found.messages == len(payloads)
        assert all(reject.messages > 0 for reject in found.rejects)
        assert np.isfinite(found.events.event_us).all()
        assert (found.events.contract >= 0).all()
