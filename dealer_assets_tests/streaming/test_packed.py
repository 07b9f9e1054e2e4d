"""Packed frames say exactly what was packed, against any listing, and damage is counted."""

from dataclasses import replace

import numpy as np
import pytest

from dealer_assets_tests.streaming.small_market import random_events, same_events, start
from streaming.core.events import SPOT, Decoded, Frame, concatenated, no_events
from streaming.core.listing import Listing
from streaming.feeds.packed import PackedDecoder, pack

LANES = ["SPX", "SPY"]


@pytest.fixture
def listing() -> Listing:
    return Listing.of(start().lanes, start().listed)


def frame(payload: bytes, at_us: int = 7) -> Frame:
    return Frame("simulator", "tape", at_us, payload)


def decoded(listing: Listing, *payloads: bytes) -> Decoded:
    frames = [frame(payload, at) for at, payload in enumerate(payloads)]
    return PackedDecoder(listing).decode(frames)


@pytest.mark.parametrize("seed", range(5))
def test_events_come_back_exactly(listing: Listing, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = [random_events(rng, n, listing.size, 2) for n in (0, 1, 40, 300)]
    found = decoded(listing, *(pack(one, listing.symbols, LANES) for one in batches))
    for at, one in enumerate(batches):
        one.received_us[:] = at
    assert same_events(found.events, concatenated(batches))
    assert (found.messages, found.rejects, found.unlisted) == (4, (), ())


def test_names_are_read_against_another_numbering(listing: Listing) -> None:
    events = random_events(np.random.default_rng(1), 200, listing.size, 2)
    turned = Listing.of(start().lanes[::-1], start().listed)
    found = decoded(turned, pack(events, listing.symbols, LANES)).events
    is_spot = events.kind == SPOT
    assert [turned.symbols[i] for i in found.contract[~is_spot]] == [
        listing.symbols[i] for i in events.contract[~is_spot]
    ]
    assert np.array_equal(found.contract[is_spot], 1 - events.contract[is_spot])


def test_contracts_that_are_not_listed_are_named_and_their_events_left_to_a_second_pass(
    listing: Listing,
) -> None:
    events = random_events(np.random.default_rng(2), 50, 2, 2)
    symbols = [listing.symbols[0], "SPXW260618C09999000"]
    payload = pack(events, symbols, LANES)
    first = decoded(listing, payload)
    assert first.unlisted == ("SPXW260618C09999000",)
    strange = (events.kind != SPOT) & (events.contract == 1)
    assert len(first.events) == 50 - strange.sum()
    assert listing.add(first.unlisted) == ()
    assert len(decoded(listing, payload).events) == 50


def test_values_of_a_lane_the_desk_lacks_are_rejects(listing: Listing) -> None:
    events = random_events(np.random.default_rng(3), 50, listing.size, 2)
    found = decoded(listing, pack(events, listing.symbols, ["SPX", "BTC"]))
    strange = int(((events.kind == SPOT) & (events.contract == 1)).sum())
    assert [(r.reason, r.messages) for r in found.rejects] == [("unknown_lane", strange)]
    assert len(found.events) == 50 - strange


def test_a_frame_without_payload_is_a_tick(listing: Listing) -> None:
    found = decoded(listing, b"", b"")
    assert (len(found.events), found.messages, found.rejects) == (0, 2, ())


def test_a_damaged_frame_is_a_reject_and_the_others_are_read(listing: Listing) -> None:
    events = random_events(np.random.default_rng(4), 20, listing.size, 2)
    good = pack(events, listing.symbols, LANES)
    wild = no_events(1)
    wild.contract[:] = 0
    unnamed = bytearray(pack(wild, listing.symbols, []))
    damaged = [good[:-1], good[:9], b"{}", good + b"x", bytes(len(good)), good[:4] + b"\xff" * 30]
    found = decoded(listing, good, *damaged, bytes(unnamed), good)
    assert len(found.events) == 41
    assert {r.reason for r in found.rejects} == {"bad_packed"}
    assert len(found.rejects) == len(damaged)
    assert all(len(r.sample) <= 200 for r in found.rejects)


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_raises(listing: Listing, seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = pack(random_events(rng, 12, listing.size, 2), listing.symbols, LANES)
    for _ in range(300):
        broken = bytearray(good)
        for place in rng.integers(0, len(broken), 3):
            broken[place] = rng.integers(0, 256)
        decoded(listing, bytes(broken[: rng.integers(1, len(broken) + 1)]))


def test_the_clock_of_events_is_their_frame_s(listing: Listing) -> None:
    events = random_events(np.random.default_rng(5), 3, listing.size, 2)
    payload = pack(replace(events, received_us=events.event_us), listing.symbols, LANES)
    assert decoded(listing, b"", payload).events.received_us.tolist() == [1, 1, 1]
