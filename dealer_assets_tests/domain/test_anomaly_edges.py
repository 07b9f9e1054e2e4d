"""Scores at the edges: thin, constant, empty and discrete features make no discovery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dealer_assets.domain.anomaly.baselines import fit
from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.pvalues import MOST_BEYOND_RANK, curves_of
from dealer_assets.domain.anomaly.scores import score
from dealer_assets.domain.anomaly.standard import NAMES, VOLUME_BURST, WEIGHTS
from dealer_assets.domain.anomaly.words import score_rows
from dealer_assets_tests.anomaly_market import as_rows, between, made_up

HISTORY = 24


@pytest.fixture(scope="module")
def market():
    return made_up(HISTORY + 1, strikes=12, expiries=3, seed=8)


def with_values(market, values):
    return replace(market, values=values)


def only(market, contracts):
    return market.take(np.isin(market.contract, contracts))


def judged(market):
    """Score the last session against those before it."""
    history = between(market, 0, HISTORY)
    now = between(market, HISTORY, HISTORY + 1)
    return score(fit(history), now), now


def test_weights_are_shares():
    assert WEIGHTS.sum() == pytest.approx(1.0)
    assert WEIGHTS.min() > 0.0


@pytest.mark.parametrize("value", [0.0, 1.0, 250.0])
def test_features_that_never_change_mark_nothing(market, value):
    found, _ = judged(with_values(market, np.full_like(market.values, value)))
    assert not found.is_anomaly.any()
    assert found.p_value.min() > 0.5


def test_features_that_are_never_determined_are_not_scored(market):
    found, now = judged(with_values(market, np.full_like(market.values, np.nan)))
    assert np.isnan(found.p_value).all()
    assert not found.is_anomaly.any()
    rows = score_rows(as_rows(now), found)
    assert set(rows["unscored_reason"].to_pylist()) == {"no_feature"}
    assert set(rows["history_status"].to_pylist()) == {"ok"}


def test_one_contract_alone_is_scored_by_its_own_past(market):
    last = between(market, HISTORY, HISTORY + 1)
    everyday = [c for c in np.unique(last.contract) if (market.contract == c).sum() > 100]
    found, now = judged(only(market, everyday[:1]))
    assert found.p_value.size == now.size == 7
    assert not found.is_anomaly.any()


def test_one_session_of_history_marks_nothing_and_says_so(market):
    now = between(market, HISTORY, HISTORY + 1)
    values = now.values.copy()
    values[0] *= 1000.0
    found = score(fit(between(market, 0, 1)), with_values(now, values))
    assert (found.history_status, found.history_sessions) == ("thin", 1)
    assert not found.is_anomaly.any()


def test_a_bucket_never_seen_takes_a_parent_and_says_which(market):
    now = between(market, HISTORY, HISTORY + 1)
    moved = replace(now, cells=tuple((r, "0.500", d, s) for r, _, d, s in now.cells))
    found = score(fit(between(market, 0, HISTORY)), moved)
    assert found.level[0].min() >= 1
    assert np.isfinite(found.p_value).all()


def test_a_session_without_rows_is_no_session(market):
    found = score(fit(between(market, 0, HISTORY)), between(market, 0, 0))
    assert found.p_value.size == 0


def test_a_feature_told_for_the_first_time_today_is_left_out(market):
    values = market.values.copy()
    sweep = NAMES.index("sweep_share")
    last = market.session == market.sessions[-1]
    values[sweep, last] = 0.9
    with_it, _ = judged(with_values(market, values))
    without, _ = judged(market)
    assert np.isnan(with_it.p[sweep]).all()
    np.testing.assert_array_equal(with_it.p_value, without.p_value)


def test_a_value_that_history_holds_often_is_not_made_rare_by_the_tail():
    """One row in twenty at the greatest value: its neighbours are no rarer than one in twenty."""
    rng = np.random.default_rng(4)
    history = np.concatenate([rng.random(9_500), 8.0 + 1e-3 * rng.random(500)])
    one = np.zeros(3, np.int64)
    curve = curves_of(history, np.zeros(history.size, np.int64), count=1)
    now = np.array([8.0005, 8.0011, 8.1])
    rank, extended = curve.p_values(now, one), curve.p_values(now, one, extended=True)
    assert rank[0] == pytest.approx(0.025, rel=0.1)
    assert (extended >= rank / MOST_BEYOND_RANK * (1 - 1e-12)).all()


def test_the_tail_orders_what_lies_beyond_history_and_goes_no_further_than_declared():
    rng = np.random.default_rng(5)
    history = np.abs(rng.standard_t(4, 20_000))
    curve = curves_of(history, np.zeros(history.size, np.int64), count=1)
    now = np.sort(history.max() * np.array([0.5, 0.7, 0.9, 1.0, 1.1, 2.0, 50.0]))
    found = curve.p_values(now, np.zeros(7, np.int64), extended=True)
    assert (np.diff(found) <= 0.0).all()
    assert found[-1] == pytest.approx(1.0 / (20_001 * MOST_BEYOND_RANK))


def test_volume_has_no_pace_before_anything_was_counted_or_expected(market):
    """A first poll right at the open counts nothing: the second one has no pace to be above."""
    values = market.values.copy()
    values[:5, market.slot == 9] = 0.0
    found, now = judged(with_values(market, values))
    burst = found.z[NAMES.index(VOLUME_BURST)]
    assert np.isnan(burst[now.slot == 9]).all()
    assert np.isnan(burst[now.slot == 10]).mean() > 0.9  # but where a very busy one is expected
    busy = (now.slot == 12) & (now.values[0] > 5.0)
    assert np.isfinite(burst[busy]).all()


def test_what_was_usual_of_an_amount_is_never_less_than_nothing(market):
    values = market.values.copy()
    values[0, market.slot == 9] = np.where(market.contract[market.slot == 9] % 9, 0.0, 1.0)
    found, now = judged(with_values(market, values))
    usual = score_rows(as_rows(now), found)["usual_volume_contracts"].to_numpy()
    assert np.nanmin(usual) >= 0.0
    assert np.nanmin(found.usual[0]) < 0.0


def test_nothing_usual_is_told_without_a_sign(market):
    values = market.values.copy()
    residual = NAMES.index("iv_residual_half_spreads")
    values[residual] = 0.02 * np.random.default_rng(1).normal(size=market.size)
    last = np.flatnonzero(market.session == market.sessions[-1])
    values[residual, last[20]] = 4.0
    found, now = judged(with_values(market, values))
    told = score_rows(as_rows(now), found)["words"][20].as_py()
    assert "IV +4.0 half-spreads (usual 0.0)" in told


def test_later_sessions_and_later_polls_enter_no_baseline_and_no_score(market):
    """Whatever comes after a poll: its numbers are the same to the last bit."""
    rows = as_rows(between(market, 0, HISTORY + 1))
    days = rows["session_date"].to_numpy()
    history = Features.from_table(rows.filter(days < days[-1]))
    whole = Features.from_table(rows)
    before = whole.take(whole.session < whole.session[-1])
    last = whole.take(whole.session == whole.session[-1])
    a, b = fit(history), fit(before)
    early = last.take(last.slot <= 12)
    one, two = score(a, early), score(b, last)
    for name in ("p_value", "q_value", "score"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name)[: early.size])
    np.testing.assert_array_equal(one.z, two.z[:, : early.size])
