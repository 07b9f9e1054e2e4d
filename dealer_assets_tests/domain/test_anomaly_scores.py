"""Scores on a made-up market whose truth is known, and step-up control by hand.

What is promised: few false discoveries on days when nothing is wrong, shocks found, ranks that are
valid p-values, a baseline that reads back to the last bit.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.anomaly.baselines import Baseline, fit
from dealer_assets.domain.anomaly.discovery import q_values, q_values_by_snapshot
from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.pvalues import composite, curves_of
from dealer_assets.domain.anomaly.score_verdicts import marks_follow_control
from dealer_assets.domain.anomaly.scores import SEVERITIES, score, score_history
from dealer_assets.domain.anomaly.standard import FEATURES, MEASURES, NAMES
from dealer_assets.domain.anomaly.words import score_rows
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.lake.conformity import conform
from dealer_assets.tables import scores as score_tables
from dealer_assets.tables.features import FEATURE_KINDS
from dealer_assets.underlyings import underlying
from dealer_assets_tests.anomaly_market import (
    as_rows,
    between,
    day_of,
    made_up,
    with_residual,
    with_volume,
)

OPENED = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def market():
    return made_up(76, seed=11)


@pytest.fixture(scope="module")
def baseline(market):
    return fit(between(market, 0, 60))


@pytest.fixture(scope="module")
def null(market):
    return between(market, 60, 76)


def stored(baseline, day=date(2026, 1, 5)):
    return baseline.to_table(underlying="SPX", session_date=day, event_at=OPENED, known_at=OPENED)


def shocked(features, *, slot, share=0.02, least=0.0, seed=5):
    """Pick a few rows of every snapshot of an hour, of contracts that trade so much."""
    rng = np.random.default_rng(seed)
    picked = []
    for first, last in zip(features.starts[:-1], features.starts[1:], strict=True):
        if features.slot[first] == slot:
            fit_for_it = first + np.flatnonzero(features.values[0, first:last] >= least)
            picked.append(rng.choice(fit_for_it, max(1, int(share * (last - first))), False))
    return np.concatenate(picked)


def test_quiet_sessions_have_few_polls_with_any_discovery(baseline, null):
    found = score(baseline, null)
    polls = np.unique(null.snapshot[found.is_anomaly]).size
    # 5 % of 112 polls are 6; a seed that is too lucky proves nothing, hence a range
    assert 0 <= polls <= 12
    known = found.p_value[~np.isnan(found.p_value)]
    assert np.mean(known <= 0.05) == pytest.approx(0.05, abs=0.025)


def test_plain_z_above_three_cries_wolf_on_the_same_sessions(baseline, null):
    found = score(baseline, null)
    plain = np.abs(np.nan_to_num(found.z[[0, 6]])).max(axis=0) > 3.0
    assert plain.sum() > 3 * found.is_anomaly.sum()


@pytest.mark.parametrize("slot", [10, 13, 15])
def test_ten_times_the_volume_of_a_contract_that_trades_is_found(baseline, null, slot):
    rows = shocked(null, slot=slot, least=10.0)
    found = score(baseline, with_volume(null, rows, 10.0))
    assert found.is_anomaly[rows].mean() >= 0.8


def test_vol_three_half_spreads_off_is_found(baseline, null):
    """One of 87 contracts at a time; noise here is thrice the simulator's, whose bar is 80 %."""
    hits = []
    for slot in (9, 11, 14):
        for seed in range(4):
            rows = shocked(null, slot=slot, seed=seed)
            hits += score(baseline, with_residual(null, rows, 3.0)).is_anomaly[rows].tolist()
    assert np.mean(hits) >= 0.7


def test_a_vol_that_returns_to_usual_is_not_marked_for_returning(baseline, null):
    session = null.take(null.session == null.sessions[0])
    rows = shocked(session, slot=11)
    later = np.isin(session.contract, session.contract[rows]) & (session.slot == 12)
    quiet, found = score(baseline, session), score(baseline, with_residual(session, rows, 6.0))
    assert found.is_anomaly[rows].all()
    assert not found.is_anomaly[later & ~quiet.is_anomaly].any()
    burst = NAMES.index("iv_residual_burst")
    assert np.abs(found.z[burst, later]).max() < 0.5 * np.abs(found.z[burst, rows]).min()


def test_days_on_which_everything_trades_are_shifted_not_marked(null, baseline):
    busy = between(made_up(76, seed=11, busy=dict.fromkeys(range(60, 76), 6.0)), 60, 76)
    usual, found = score(baseline, null), score(baseline, busy)
    polls = np.unique(busy.snapshot[found.is_anomaly]).size
    assert polls <= 12  # of 112, as on quiet days
    assert found.shift[0].mean() > usual.shift[0].mean() + 1.0


def test_low_volume_is_no_anomaly(baseline, null):
    rows = shocked(null, slot=12, least=50.0)
    found = score(baseline, with_volume(null, rows, 0.0))
    alone = [
        NAMES[j] for row in rows[found.is_anomaly[rows]] for j in [np.nanargmin(found.p[:, row])]
    ]
    assert not any(name.startswith("volume") for name in alone)


def test_later_polls_change_no_earlier_score(baseline, null):
    session = null.take(null.session == null.sessions[2])
    first = session.take(session.slot <= 11)
    whole, part = score(baseline, session), score(baseline, first)
    np.testing.assert_array_equal(whole.p_value[: first.size], part.p_value)
    np.testing.assert_array_equal(whole.q_value[: first.size], part.q_value)


@pytest.mark.parametrize(("sessions", "status"), [(0, "none"), (12, "thin"), (20, "ok")])
def test_short_history_says_so_and_marks_nothing(market, sessions, status):
    short = fit(between(market, 60 - sessions, 60))
    now = between(market, 60, 61)
    rows = shocked(now, slot=12, least=20.0)
    found = score(short, with_volume(now, rows, 1000.0))
    assert (found.history_status, found.history_sessions) == (status, sessions)
    assert found.is_anomaly.any() == (status == "ok")
    assert np.isnan(found.p_value).all() == (status == "none")


def test_rows_that_may_not_be_scored_have_no_p_value_and_no_say(baseline, null):
    session = null.take(null.session == null.sessions[3])
    rows = as_rows(session)
    reasons = ["no_quote" if i % 10 == 0 else None for i in range(rows.num_rows)]
    place = rows.schema.get_field_index("unscored_reason")
    withheld = rows.set_column(place, rows.schema.field(place), pa.array(reasons, pa.string()))
    features = Features.from_table(withheld)
    found = score(baseline, features)
    assert np.isnan(found.p_value[::10]).all()
    kept = features.take(features.is_scored)
    np.testing.assert_allclose(score(baseline, kept).p_value, found.p_value[features.is_scored])


def test_a_stored_baseline_scores_to_the_last_bit(baseline, null):
    rows = conform(
        tables.FEATURE_BASELINES, stored(baseline), underlying="SPX", session_date=date(2026, 1, 5)
    )
    assert rows.equals(stored(baseline))
    again = Baseline.from_table(rows)
    assert stored(again).equals(rows)
    mine, its = score(baseline, null), score(again, null)
    for name in ("p_value", "q_value", "z", "p", "usual", "shift"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(its, name))


def test_no_history_is_a_baseline_without_rows(market):
    empty = fit(between(market, 0, 0))
    assert stored(empty).num_rows == 0
    assert Baseline.from_table(stored(empty)).history_status == "none"


def test_order_of_rows_does_not_matter(baseline, null):
    session = null.take(null.session == null.sessions[4])
    rows = as_rows(session)
    mixed = np.random.default_rng(2).permutation(rows.num_rows)
    a = score(baseline, Features.from_table(rows))
    b = score(baseline, Features.from_table(rows.take(mixed)))
    np.testing.assert_allclose(b.p_value, a.p_value[mixed])
    np.testing.assert_allclose(b.z[0], a.z[0][mixed])


def test_history_scored_by_itself_is_uniform(market):
    found = score_history(between(market, 0, 40))
    known = found.p_value[~np.isnan(found.p_value)]
    grid = np.linspace(0.01, 1.0, 50)
    assert np.abs(np.searchsorted(np.sort(known), grid, side="right") / known.size - grid).max() < (
        0.021
    )


def test_score_rows_say_what_drove_them(baseline, null):
    session = null.take(null.session == null.sessions[5])
    row = shocked(session, slot=14, least=30.0)[0]
    features = as_rows(with_volume(session, np.array([row]), 14.0))
    rows = score_rows(features, score(baseline, Features.from_table(features)), known_at=OPENED)
    conform(tables.ANOMALY_SCORES, rows, underlying="SPX", session_date=day_of(65))
    told = rows.slice(int(row), 1).to_pylist()[0]
    assert told["is_anomaly"]
    assert told["severity"] in SEVERITIES[1:]
    assert "volume_burst" in told["drivers"]
    assert "above the pace of its earlier polls today" in told["words"]
    assert len(told["drivers"]) == len(told["driver_p_values"]) <= 3
    assert told["score"] == pytest.approx(min(100.0, -20.0 * np.log10(told["p_value"])))
    assert min(rows["known_at"].to_pylist()) >= OPENED


def test_every_feature_has_one_rule_and_the_tables_know_the_bursts():
    assert tuple(feature.name for feature in FEATURES) == tuple(FEATURE_KINDS)
    assert NAMES == score_tables.MEASURES
    assert SEVERITIES == score_tables.SEVERITIES
    assert sum(measure.weight for measure in MEASURES) == pytest.approx(1.0)
    sides = {f.name: f.side for f in FEATURES}
    kinds = {"skewed": "high", "two_sided": "both"}
    assert sides == {name: kinds[kind] for name, kind in FEATURE_KINDS.items()}


def test_a_mark_that_does_not_follow_from_its_q_value_fails_the_check(baseline, null):
    features = as_rows(null.take(null.session == null.sessions[6]))
    rows = score_rows(features, score(baseline, Features.from_table(features)))
    assert marks_follow_control(rows)[0]
    assert marks_follow_control(rows.slice(0, 0))[0]
    place = rows.schema.get_field_index("is_anomaly")
    wrong = pa.array([not mark for mark in rows["is_anomaly"].to_pylist()])
    holds, text, numbers = marks_follow_control(
        rows.set_column(place, rows.schema.field(place), wrong)
    )
    assert not holds
    assert numbers["wrong"] > 0
    assert "5 %" in text
    (check,) = INVARIANTS["anomaly_scores"]
    assert check.blocking
    assert check.judge(rows, underlying("SPX")).holds


def test_step_up_control_by_hand():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    # sorted: 0.01 x 4/1, 0.03 x 4/2, 0.04 x 4/3, 0.5 x 4/4, then the least from the right
    expected = [0.04, np.nan, 0.16 / 3, 0.16 / 3, 0.5]
    np.testing.assert_allclose(q_values(p), expected)
    twice = q_values_by_snapshot(np.concatenate([p, p]), np.array([0, 5, 10]))
    np.testing.assert_allclose(twice, expected * 2)


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_q_values_keep_the_order_and_are_no_less_than_p(p):
    p = np.array(p)
    q = q_values(p)
    assert (q >= p - 1e-15).all()
    assert (q <= 1.0).all()
    assert (np.diff(q[np.argsort(p)]) >= -1e-15).all()


def test_ranks_by_hand():
    curve = curves_of(np.array([1.0, 2.0, 2.0, 3.0, np.nan]), np.zeros(5, np.int64), count=1)
    values = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 9.0, np.nan])
    found = curve.p_values(values, np.zeros(7, np.int64))
    np.testing.assert_allclose(found, [1.0, 1.0, 0.8, 0.8, 0.4, 0.2, np.nan])


@given(st.integers(2, 3000), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_rank_is_never_below_its_exact_value_nor_far_above(n, seed):
    rng = np.random.default_rng(seed)
    history, now = rng.standard_t(3, n), rng.standard_t(3, 50)
    curve = curves_of(history, np.zeros(n, np.int64), count=1)
    found = curve.p_values(now, np.zeros(50, np.int64))
    exact = (1 + (history[None, :] >= now[:, None]).sum(axis=1)) / (n + 1)
    assert (found >= exact - 1e-12).all()
    assert (found <= np.maximum(1.05 * exact, exact + 1.1 / (n + 1))).all()


def test_a_thin_class_takes_the_ranks_of_all():
    values = np.arange(5000.0)
    classes = (values < 10).astype(np.int64)
    curves = curves_of(values, classes, count=2)
    assert curves.sizes.tolist() == [4990, 5000]


def test_composite_is_the_weighted_mean_of_inverse_p():
    p = np.array([[0.1, 0.1, np.nan], [0.01, np.nan, np.nan]])
    found = composite(p, np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [(30.0 + 100.0) / 4.0, 10.0, np.nan])
