"""The inventory filter: by hand where that can be, against known truth where it cannot."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dealer_assets.domain.columns import equals, floats
from dealer_assets.domain.positions.assumptions import Assumptions
from dealer_assets.domain.positions.interval import bounded
from dealer_assets.domain.positions.posterior import State, first_sight, settle
from dealer_assets.domain.positions.trades import Flow, net_told, reliability
from dealer_assets_tests.domain.position_world import play

ONE = np.zeros(1, np.int64)
NO_KIND = {"kind": ONE, "share": np.zeros(1), "share_sd": np.zeros(1)}


def flow(volume, net=0.0, sd=0.0, squared=None, *, exact=False):
    one = np.array([float(volume)])
    size = np.array([volume if squared is None else squared], np.float64)
    return Flow(one, np.array([float(net)]), np.array([float(sd)]), size, np.array([exact]))


def state(mean, sd=0.0, loading=0.0, **kinds):
    return State(
        np.array([float(mean)]),
        np.array([float(sd) ** 2]),
        np.array([float(loading)]),
        **(NO_KIND | kinds),
    )


def counts(before, after):
    return np.array([float(before)]), np.array([float(after)])


def test_counted_trades_are_taken_off_exactly():
    after = settle(state(0.0), flow(100, net=30.0, exact=True), *counts(0, 80))
    assert after.mean[0] == pytest.approx(-30.0)
    assert after.sd[0] == pytest.approx(0.0, abs=1e-6)


def test_nothing_traded_changes_nothing():
    before = state(40.0, sd=15.0)
    after = settle(before, flow(0), *counts(200, 200))
    assert after.mean[0] == 40.0
    assert after.sd[0] == pytest.approx(15.0)


def test_trades_that_tell_nothing_widen_and_do_not_move():
    before = state(40.0, sd=15.0)
    unsigned = flow(100, net=0.0, sd=50.0, squared=2500.0)
    assert reliability(unsigned)[0] == 0.0
    after = settle(before, unsigned, *counts(np.nan, np.nan))
    assert after.mean[0] == 40.0
    assert after.sd[0] == pytest.approx(np.hypot(15.0, 0.2 * 100))


def test_sides_right_seven_times_of_ten_tell_a_net_undone_of_their_doubt():
    # of ten prints of one contract seven and a half called buys at p = 0.7: E = 2, variance 8.4
    net, variance = net_told(flow(10, net=2.0, sd=np.sqrt(8.4)), Assumptions(bias=0.0))
    assert net[0] == pytest.approx(2.0 / 0.16)
    assert variance[0] == pytest.approx(8.4 / 0.16)


def test_sides_told_by_ticks_alone_tell_nothing():
    # right 55 times of 100: reliability 0.01
    net, variance = net_told(flow(100, net=3.0, sd=np.sqrt(0.99 * 400), squared=400.0))
    assert net[0] == 0.0
    assert np.isinf(variance[0])


def test_options_without_a_bid_whose_prints_all_look_bought_move_nothing():
    # 400 prints of 25 at p = 0.64, all called buys: more than the whole volume could be
    volume, squared = 10_000.0, 250_000.0
    alike = flow(volume, net=0.28 * volume, sd=np.sqrt(0.9216 * squared), squared=squared)
    mixed = flow(volume, net=0.05 * volume, sd=np.sqrt(0.9216 * squared), squared=squared)
    before = state(0.0, sd=200.0)
    moved = [abs(settle(before, f, *counts(5000, 5000)).mean[0]) for f in (alike, mixed)]
    assert moved[0] < 0.2 * moved[1]  # though they say more than five times as much


def test_a_kind_whose_trades_surprise_is_believed_less():
    n = 60
    oi = np.full(n, 1000.0)
    kinds = {"kind": np.zeros(n, np.int64), "share": np.array([0.2]), "share_sd": np.array([0.3])}
    change = np.where(np.arange(n) % 2 == 0, 50.0, -50.0)
    scatter = np.where(np.arange(n) % 4 < 2, 1.0, -1.0)

    def learned(size):
        net = -0.6 * change + size * scatter
        seen = Flow(np.full(n, 400.0), net, np.full(n, 20.0), np.full(n, 1e12), oi < 0.0)
        return settle(first_sight(oi, **kinds), seen, oi, oi + change)

    as_told, wild = learned(20.0), learned(200.0)
    assert wild.share_sd[0] > 1.3 * as_told.share_sd[0]
    assert abs(wild.share[0] - 0.2) < abs(as_told.share[0] - 0.2)


def test_update_is_the_textbooks_by_hand():
    # D ~ N(50, 20^2) of 100; open interest grows by 20, N is seen as -16 with sd 8
    assumed = Assumptions(mix=0.5, turnover=0.1, bias=0.0)
    seen = flow(40, net=-16.0, sd=8.0, squared=1e12)  # reliability 1
    after = settle(state(50.0, sd=20.0), seen, *counts(100, 120), assumed=assumed)
    process = (0.5 * 20) ** 2 + (0.1 * 20) ** 2
    total = 0.2**2 * 400 + process + 64
    joint = 1.2 * 0.2 * 400 + process
    assert after.mean[0] == pytest.approx(60.0 + joint / total * (16.0 - 10.0), rel=1e-6)
    assert after.variance[0] == pytest.approx(1.44 * 400 + process - joint**2 / total, rel=1e-6)


def test_trades_against_the_change_of_open_interest_say_that_dealers_are_long():
    # customers sell on balance while open interest grows: what is opened is sold to dealers
    seen = flow(200, net=-90.0, sd=1.0, squared=1e12)
    after = settle(state(0.0, sd=500.0), seen, *counts(1000, 1100))
    assert after.mean[0] > 300.0
    mirrored = settle(
        state(0.0, sd=500.0), flow(200, net=90.0, sd=1.0, squared=1e12), *counts(1000, 1100)
    )
    assert mirrored.mean[0] == pytest.approx(-after.mean[0])


def test_a_kind_is_learned_from_all_of_its_contracts():
    n = 200
    rng = np.random.default_rng(3)
    oi = np.full(n, 1000.0)
    kinds = {"kind": np.zeros(n, np.int64), "share": np.array([0.4]), "share_sd": np.array([0.35])}
    before = first_sight(oi, **kinds)
    change = rng.normal(0.0, 60.0, n)
    net = 0.3 * change  # dealers are short 0.3 of what is opened, not long 0.4
    noise = np.full(n, 40.0)
    seen = Flow(np.full(n, 150.0), net, noise, np.full(n, 1e12), np.zeros(n, np.bool_))
    after = settle(before, seen, oi, oi + change)
    assert after.share[0] == pytest.approx(-0.3, abs=0.08)
    assert after.share_sd[0] < 0.12
    assert np.median(after.mean / (oi + change)) == pytest.approx(-0.3, abs=0.1)


def test_bounded_moments_are_those_of_the_cut_off_normal():
    told = bounded(np.array([80.0]), np.array([60.0]), np.array([100.0]))
    draws = np.random.default_rng(1).normal(80.0, 60.0, 400_000)
    draws = draws[np.abs(draws) <= 100.0]
    assert told.mean[0] == pytest.approx(draws.mean(), abs=0.3)
    assert told.sd[0] == pytest.approx(draws.std(), abs=0.3)
    assert told.lo[0] == pytest.approx(np.quantile(draws, 0.05), abs=0.6)
    assert told.hi[0] == pytest.approx(np.quantile(draws, 0.95), abs=0.6)


def test_unbounded_where_open_interest_is_not_known():
    told = bounded(np.array([80.0]), np.array([10.0]), np.array([np.nan]))
    assert told.mean[0] == 80.0
    assert told.hi[0] == pytest.approx(80.0 + 1.6448536 * 10.0)


@given(
    mean=st.floats(-1e6, 1e6),
    sd=st.floats(0.0, 1e5),
    oi=st.one_of(st.just(0.0), st.floats(1.0, 1e5)),
)
def test_interval_is_ordered_and_within_open_interest(mean, sd, oi):
    told = bounded(np.array([mean]), np.array([sd]), np.array([oi]))
    slack = 1e-6 * (1.0 + oi)
    assert -oi - slack <= told.lo[0] <= told.hi[0] <= oi + slack
    assert told.lo[0] - slack <= told.mean[0] + 0.2 * oi + slack
    assert abs(told.mean[0]) <= oi + slack
    assert 0.0 <= told.sd[0] <= sd + slack


@given(
    mean=st.floats(-1e4, 1e4),
    sd=st.floats(0.0, 1e4),
    net=st.floats(-500.0, 500.0),
    noise=st.floats(0.0, 400.0),
    before=st.floats(1.0, 1e4),
    after=st.floats(0.0, 2e4),
)
def test_customers_on_the_other_side_give_the_opposite_position(
    mean, sd, net, noise, before, after
):
    arguments = (sd, flow(600, net=net, sd=noise, squared=2e5), counts(before, after))
    one = settle(state(mean, arguments[0]), arguments[1], *arguments[2])
    other = settle(
        state(-mean, sd), flow(600, net=-net, sd=noise, squared=2e5), *counts(before, after)
    )
    assert other.mean[0] == pytest.approx(-one.mean[0], rel=1e-6, abs=1e-6)
    assert other.variance[0] == pytest.approx(one.variance[0], rel=1e-9)
    assert one.variance[0] >= 0.0


@given(scale=st.floats(0.1, 10.0), net=st.floats(-300.0, 300.0))
def test_twice_the_contracts_are_twice_the_position(scale, net):
    one = settle(state(100.0, 50.0), flow(400, net, 60.0, 9e4), *counts(500, 560))
    many = settle(
        state(100.0 * scale, 50.0 * scale),
        flow(400 * scale, net * scale, 60.0 * scale, 9e4 * scale**2),
        *counts(500 * scale, 560 * scale),
    )
    assert many.mean[0] == pytest.approx(scale * one.mean[0], rel=1e-6, abs=1e-6)
    assert many.sd[0] == pytest.approx(scale * one.sd[0], rel=1e-6)


@pytest.mark.parametrize("call_share", [0.35, -0.3])
def test_known_truth_is_found_also_where_the_naive_rule_has_the_wrong_sign(call_share):
    played = play(contracts=160, days=12, reliability=0.16, seed=5, call_share=call_share)
    errors, covered = [], []
    for rows, truth in zip(played.rows[4:], played.truths[4:], strict=True):
        own = rows.filter(equals(rows, "model", "reconciled"))
        place = {symbol: i for i, symbol in enumerate(played.symbols)}
        true = truth[[place[s] for s in own["symbol"].to_pylist()]]
        oi = floats(own, "open_interest_contracts")
        naive = np.where(equals(own, "right", "call"), oi, -oi)
        position = floats(own, "position_contracts")
        errors.append([position - true, naive - true, 0.4 * naive - true])
        lo, hi = floats(own, "position_lo_contracts"), floats(own, "position_hi_contracts")
        covered.append((true >= lo - 0.5) & (true <= hi + 0.5))
    ours, naive, shrunk = np.sqrt(np.mean(np.concatenate(errors, axis=1) ** 2, axis=1))
    assert ours < 0.7 * naive
    assert ours < (1.1 if call_share > 0.0 else 0.5) * shrunk  # nearly the truth of the first
    assert 0.82 < np.mean(covered) < 0.99
