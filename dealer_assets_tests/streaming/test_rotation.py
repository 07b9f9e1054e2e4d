"""The choice of quoted contracts over a whole simulated desk: SPX and SPY together."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.columns import Ints
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from streaming.core.listing import Listing
from streaming.feeds.rotation import Rotation

DAY = date(2026, 9, 15)
NOON_US = int(datetime(2026, 9, 15, 16, tzinfo=UTC).timestamp()) * 1_000_000
EVENING_US = NOON_US + 6 * 3_600_000_000
SPOTS = {"SPX": 6540.0, "SPY": 653.0}
CAP = 1000


@cache
def desk(*, with_open_interest: bool = True) -> Listing:
    provider = SimulatorProvider(seed=7, density=0.3)
    lanes = [underlying("SPX"), underlying("SPY")]
    listed = [provider.listing(lane, session_date=DAY).rows for lane in lanes]
    held = [provider.open_interest(lane, session_date=DAY).rows for lane in lanes]
    interest = pa.concat_tables(held) if with_open_interest else None
    return Listing.of(lanes, pa.concat_tables(listed), interest)


@cache
def chosen(turn: int, spx: float = SPOTS["SPX"], now_us: int = NOON_US) -> frozenset[int]:
    return frozenset(choose(desk(), turn, spx, now_us).tolist())


def choose(listing: Listing, turn: int, spx: float = SPOTS["SPX"], now_us: int = NOON_US) -> Ints:
    rotation = Rotation(listing, cap=CAP, window_strikes=3)
    return rotation.choose(SPOTS | {"SPX": spx}, now_us=now_us, turn=turn)


def todays(listing: Listing, lane: int) -> Ints:
    is_today = listing.expiry_day == np.datetime64(DAY, "D").astype(int)
    return np.flatnonzero(is_today & (listing.lane == lane))


@settings(max_examples=30, deadline=None)
@given(
    turn=st.integers(0, 10**7),
    cap=st.integers(0, 1500),
    share=st.floats(0.0, 1.0),
    spx=st.floats(1.0, 1e6),
    hours=st.floats(-4.0, 24 * 400.0),
)
def test_it_fills_the_cap_with_live_contracts_each_once(
    turn: int, cap: int, share: float, spx: float, hours: float
) -> None:
    rotation = Rotation(desk(), cap=cap, rotating_share=share)
    now_us = NOON_US + int(hours * 3.6e9)
    rows = rotation.choose(SPOTS | {"SPX": spx}, now_us=now_us, turn=turn)
    alive = int((desk().expires_us > now_us).sum())
    assert rows.size == min(cap, alive)
    assert np.unique(rows).size == rows.size
    assert (desk().expires_us[rows] > now_us).all()
    again = rotation.choose(SPOTS | {"SPX": spx}, now_us=now_us, turn=turn)
    assert rows.tolist() == again.tolist()


def test_the_watched_window_of_each_lane_is_always_quoted_with_room_to_move() -> None:
    for lane, (symbol, spot) in enumerate(SPOTS.items()):
        rows = todays(desk(), lane)
        assert rows.size > 0, symbol
        strikes = np.unique(desk().strike[rows])
        near = strikes[np.argsort(np.abs(strikes - spot))[:11]]  # 3 and 2 to spare, each side
        window = rows[np.isin(desk().strike[rows], near)]
        for turn in (0, 1, 77):
            assert set(window.tolist()) <= chosen(turn)


def test_the_window_comes_first() -> None:
    first = choose(desk(), 0)[:44]  # two rights at eleven strikes of two lanes
    assert set(desk().expiry_day[first].tolist()) == {int(np.datetime64(DAY, "D").astype(int))}


def test_every_expiry_has_both_rights_at_the_money() -> None:
    listing, rows = desk(), chosen(0)
    spot = np.array(list(SPOTS.values()))[listing.lane]
    for number in range(len(listing.slices)):
        mine = np.flatnonzero((listing.slice_id == number) & (listing.expires_us > NOON_US))
        if mine.size:
            away = np.abs(np.log(listing.strike[mine] / spot[mine]))
            assert set(mine[away == away.min()].tolist()) <= rows


def test_what_carries_more_gamma_goes_before_what_carries_less() -> None:
    listing, rows = desk(), chosen(0)
    one = np.flatnonzero((listing.lane == 0) & (listing.expires_us > NOON_US))
    away = np.abs(np.log(listing.strike[one] / SPOTS["SPX"]))
    is_soon = listing.expires_us[one] < NOON_US + 5 * 86.4e9
    near, far = set(one[(away < 0.002) & is_soon].tolist()), set(one[away > 0.5].tolist())
    assert len(near & rows) > 0.8 * len(near)
    assert len(far & rows) < 0.05 * len(far)


def test_all_others_have_their_turn_and_none_is_passed_over() -> None:
    seen: set[int] = set()
    turns = -(-desk().size // 200) + 1
    for turn in range(turns):
        seen |= chosen(turn)
    assert seen == set(np.flatnonzero(desk().expires_us > NOON_US).tolist())


def test_a_turn_changes_the_rotating_share_alone_and_a_small_move_hardly_anything() -> None:
    before = chosen(5)
    assert len(before - chosen(6)) <= 200
    assert len(before - chosen(5, spx=SPOTS["SPX"] * 1.0005)) <= 40
    assert len(before - chosen(5, spx=SPOTS["SPX"] * 1.00005)) <= 10
    assert len(before - chosen(5, now_us=NOON_US + 10_000_000)) <= 10


def test_the_choice_follows_a_large_move() -> None:
    moved = np.array(sorted(chosen(5, spx=6000.0)))
    near = todays(desk(), 0)
    near = near[np.abs(desk().strike[near] - 6000.0) <= 15.0]
    assert set(near.tolist()) <= set(moved.tolist())


def test_without_spot_the_open_interest_tells_roughly_where_the_money_is() -> None:
    rows = Rotation(desk(), cap=CAP).choose({}, now_us=NOON_US, turn=0)[:600]
    for lane, spot in enumerate(SPOTS.values()):
        strikes = desk().strike[rows][desk().lane[rows] == lane]
        assert abs(np.log(np.median(strikes) / spot)) < 0.05


@pytest.mark.parametrize("spot", [float("nan"), 0.0, -1.0, float("inf")])
def test_an_impossible_spot_counts_as_none(spot: float) -> None:
    rotation = Rotation(desk(), cap=CAP)
    without = rotation.choose({"SPY": 653.0}, now_us=NOON_US, turn=0)
    rows = rotation.choose({"SPX": spot, "SPY": 653.0}, now_us=NOON_US, turn=0)
    assert rows.tolist() == without.tolist()


def test_without_open_interest_nearness_decides() -> None:
    listing = desk(with_open_interest=False)
    rows = choose(listing, 0)
    assert rows.size == CAP
    assert set(todays(listing, 0).tolist()) & set(rows.tolist())


def test_after_the_close_what_has_expired_is_no_longer_quoted() -> None:
    rows = np.array(sorted(chosen(0, now_us=EVENING_US)))
    assert rows.size == CAP
    assert (desk().expires_us[rows] > EVENING_US).all()


def test_a_small_listing_is_quoted_whole_and_a_new_contract_is_chosen_at_once() -> None:
    listing = Listing.of(
        [underlying("SPX")],
        SimulatorProvider(seed=7).listing(underlying("SPX"), session_date=DAY).rows.slice(0, 50),
    )
    rotation = Rotation(listing, cap=60)
    assert rotation.choose({}, now_us=NOON_US, turn=0).size <= 50
    before = rotation.choose({}, now_us=NOON_US, turn=0).size
    assert listing.add(["SPXW261218C06123000"]) == ()
    after = rotation.choose({}, now_us=NOON_US, turn=0)
    assert (after.size, int(after.max())) == (before + 1, listing.size - 1)
