"""What a morning's open interest is worth: wiped, shifted, broken and sound counts."""

import gzip
import json
from itertools import pairwise

import numpy as np
import pytest

from dealer_assets.domain.positions.counts import is_untraded, session_state
from dealer_assets.domain.positions.kinds import KINDS, kinds_of, money_of

RNG = np.random.default_rng(11)
BEFORE = np.round(RNG.lognormal(5.0, 1.0, 400))
AFTER = np.maximum(np.round(BEFORE * np.exp(0.05 * RNG.standard_normal(400))), 0.0)
VOLUME = np.abs(AFTER - BEFORE) + 5.0
UNKNOWN = np.full(400, np.nan)


def test_usual_changes_are_ok_with_and_without_volume():
    assert session_state(BEFORE, AFTER, VOLUME) == "ok"
    assert session_state(BEFORE, AFTER, UNKNOWN) == "ok"


def test_first_morning_has_nothing_to_compare_with_and_is_ok():
    assert session_state(UNKNOWN, AFTER, UNKNOWN) == "ok"


def test_no_counts_are_missing():
    assert session_state(BEFORE, UNKNOWN, VOLUME) == "missing"


@pytest.mark.parametrize("kept", [0.0, 0.05])
def test_counts_that_are_nearly_all_zero_are_wiped(kept):
    after = np.where(np.arange(400) < 400 * kept, AFTER, 0.0)
    assert session_state(BEFORE, after, VOLUME) == "wiped"


def test_yesterdays_counts_again_are_shifted():
    assert session_state(BEFORE, BEFORE.copy(), VOLUME) == "shifted"
    assert session_state(BEFORE, BEFORE.copy(), UNKNOWN) == "shifted"


def test_few_contracts_that_did_not_change_are_no_sign_of_a_shift():
    few = slice(0, 20)
    assert session_state(BEFORE[few], BEFORE[few], VOLUME[few]) == "ok"


def test_contracts_that_did_not_trade_may_all_stay_as_they_were():
    quiet = np.zeros(400)
    assert session_state(BEFORE, BEFORE.copy(), quiet) == "ok"


def test_counts_that_double_are_a_structural_break():
    assert session_state(BEFORE, 2.0 * AFTER, UNKNOWN) == "broken"


def test_changes_far_beyond_volume_are_a_structural_break():
    shuffled = RNG.permutation(AFTER)
    assert session_state(BEFORE, shuffled, VOLUME) == "broken"


def test_a_contract_that_changed_by_more_than_it_traded_is_told():
    change, volume = np.array([10.0, -11.0, 4.0, 3.0]), np.array([10.0, 10.0, np.nan, 0.0])
    assert is_untraded(change, volume).tolist() == [False, True, False, True]


def test_occ_history_is_ok_but_for_the_day_it_took_in_a_second_root(shared_data):
    path = shared_data / "occ_oi" / "SPX_oi_2026-08-10_to_2026-08-24.json.gz"
    told = json.loads(gzip.decompress(path.read_bytes()))
    days = len(told["pull_dates"])
    rows = [row for expiry in told["by_expiration"].values() for row in expiry["rows"]]
    counted = np.array(
        [
            [*side, *[np.nan] * (days - len(side))]
            for row in rows
            for side in (row["calls"], row["puts"])
        ],
        np.float64,
    )
    found = {
        day: session_state(before, after, np.full(before.size, np.nan))
        for day, (before, after) in zip(told["pull_dates"][1:], pairwise(counted.T), strict=True)
    }
    assert {day for day, state in found.items() if state != "ok"} == {"17-8"}
    assert found["17-8"] == "broken"


def test_money_is_the_strike_below_which_half_of_the_volume_lies():
    strikes = np.array([90.0, 100.0, 110.0, 120.0])
    assert money_of(strikes, np.array([1.0, 3.0, 5.0, np.nan])) == 110.0
    assert money_of(strikes, np.zeros(4)) is None


def test_kinds_tell_right_distance_and_tenor():
    strike = np.array([100.0, 100.0, 80.0, 130.0])
    days = np.array([5.0, 5.0, 30.0, 90.0])
    found = kinds_of(np.array([True, False, False, True]), strike, days, money=100.0)
    assert [KINDS[i] for i in found] == [
        "call near week",
        "put near week",
        "put far_below month",
        "call far_above later",
    ]
