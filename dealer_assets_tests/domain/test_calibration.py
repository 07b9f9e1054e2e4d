"""Odds of sides: fitted where sides are known, and judged on other prints than those."""

from collections import Counter
from datetime import date

import numpy as np
import pytest

from dealer_assets.domain.flow.calibration import (
    PRIOR_ORDERS,
    Calibration,
    cells_of,
    fit,
    make_cells,
    prints_since_quote,
)
from dealer_assets.domain.flow.classify import BatchOptions, classify
from dealer_assets.domain.flow.side_scores import (
    accuracy_by_basis,
    accuracy_by_bucket,
    brier,
    ece,
    reliability,
)
from dealer_assets.errors import BadInputError
from dealer_assets.tables.live import SIGN_BASES, TRADE_CLASSES
from dealer_assets_tests.domain.test_classify import NO_SPOTS, quotes, trades
from dealer_assets_tests.labelled_tapes import CALL, PUT, perpetual, recorded_option

QUOTE, TICK, TAKER = (SIGN_BASES.index(name) for name in ("quote", "tick", "taker_side"))
DAY = date(2026, 11, 20)


def cells(basis, toward, since, width=0.1, declared=0.6, **more):
    n = np.size(toward)
    return make_cells(
        np.full(n, basis),
        np.asarray(toward, float),
        np.full(n, width),
        np.broadcast_to(np.asarray(since), n),
        declared=np.full(n, declared),
        **more,
    )


def test_scores_of_four_prints_by_hand():
    odds, right = np.array([0.9, 0.9, 0.6, np.nan]), np.array([True, False, True, True])
    assert brier(odds, right) == pytest.approx((0.01 + 0.81 + 0.16) / 3)
    # two bins: of 0.6 all were right, of 0.9 one half
    assert ece(odds, right) == pytest.approx((0.4 + 2 * 0.4) / 3)
    rows = reliability(odds, right).to_pydict()
    assert rows["prints"] == [1, 2]
    assert rows["mean_probability"] == pytest.approx([0.6, 0.9])
    assert rows["share_right"] == [1.0, 0.5]


def test_bins_hold_equal_counts_and_equal_odds_stay_together():
    odds = np.repeat([0.5, 0.6, 0.7], [500, 300, 200])
    assert reliability(odds, odds > 0, bins=10)["prints"].to_pylist() == [500, 300, 200]
    spread = np.linspace(0.5, 1.0, 1000)
    assert reliability(spread, spread > 0, bins=10)["prints"].to_pylist() == [100] * 10


def test_scores_without_any_side_are_none():
    nothing = np.array([np.nan]), np.array([True])
    assert np.isnan(brier(*nothing))
    assert np.isnan(ece(*nothing))
    assert reliability(*nothing).num_rows == 0


def test_odds_of_a_cell_are_its_share_drawn_to_the_declared_confidence():
    made = cells(QUOTE, np.full(30, 1.0), 0)
    right = np.arange(30) < 24
    found = fit(made, right).probability(made)
    assert found == pytest.approx((24 + PRIOR_ORDERS * 0.6) / (30 + PRIOR_ORDERS))


def test_prints_of_one_order_are_one_piece_of_evidence():
    made = cells(QUOTE, np.full(30, 1.0), 0, order=np.repeat(0, 30))
    found = fit(made, np.ones(30, bool)).probability(made)
    assert found == pytest.approx((1 + PRIOR_ORDERS * 0.6) / (1 + PRIOR_ORDERS))


def test_cell_that_was_not_met_has_the_odds_of_the_coarser_one():
    seen = cells(QUOTE, np.full(90, 1.0), 0)
    fitted = fit(seen, np.ones(90, bool))
    other_place = cells(QUOTE, np.array([0.7]), 0)
    assert fitted.probability(other_place) == pytest.approx((90 + 6.0) / 100)
    other_rule = cells(TICK, np.array([0.7]), 0, declared=0.57)
    assert fitted.probability(other_rule) == pytest.approx(0.57)
    assert Calibration().probability(other_rule) == pytest.approx(0.57)


def test_rule_that_is_mostly_wrong_gets_odds_below_one_half():
    made = cells(QUOTE, np.full(500, 1.0), 0)
    assert fit(made, np.arange(500) < 100).probability(made)[0] < 0.25


def test_sides_that_the_venue_told_cannot_be_fitted_on():
    with pytest.raises(BadInputError, match="uses_taker=False"):
        fit(cells(TAKER, np.array([1.0]), 0), np.array([True]))


def test_prints_without_a_side_have_no_odds():
    made = cells(SIGN_BASES.index("none"), np.array([np.nan]), 0, declared=np.nan)
    assert np.isnan(fit(made, np.array([False])).probability(made)[0])


def test_fitted_odds_are_calibrated_on_other_prints_of_the_same_market():
    random = np.random.default_rng(3)
    n = 20_000
    toward, since = random.choice([0.3, 0.7, 1.0, 1.5], n), random.integers(0, 30, n)
    true = 0.55 + 0.12 * (toward == 1.0) + 0.2 * (since < 8)
    right = random.random(n) < true
    made, half = cells(QUOTE, toward, since), n // 2
    fitted = fit(made.take(slice(0, half)), right[:half])
    rest = slice(half, None)
    odds = fitted.probability(made.take(rest))
    assert ece(odds, right[rest]) < 0.02
    assert ece(np.full(half, 0.7), right[rest]) > 0.03
    assert brier(odds, right[rest]) < brier(np.full(half, 0.6), right[rest])
    assert fitted.prints == half


def test_prints_since_the_quote_count_those_of_the_contract_that_met_it():
    quoted = quotes((0, 4.0, 6.0, 10, 20), (5, 4.5, 6.0, 10, 20))
    made = trades((1, 6.0), (2, 6.0), (3, 6.0, {"symbol": PUT}), (4, 6.0), (5, 6.0), (6, 6.0))
    found = prints_since_quote(classify(made, quoted, NO_SPOTS))
    assert found.tolist() == [0, 1, 0, 2, 0, 1]


def test_cancel_is_in_the_cell_of_its_print():
    quoted = quotes((0, 4.0, 6.0, 10, 20), (5, 4.5, 7.0, 10, 20))
    made = trades((1, 6.0), (2, 5.5), (6, 6.0, {"codes": "201"}), (7, 6.0))
    found = cells_of(classify(made, quoted, NO_SPOTS))
    for name in ("basis", "distance", "since", "spread"):
        values = getattr(found, name)
        assert values[2] == values[0], name
    assert found.distance[3] != found.distance[0]


def test_accuracy_is_by_rule_and_of_those_that_stand():
    quoted = quotes((0, 4.0, 6.0, 10, 20))
    made = trades((1, 6.0), (2, 4.0), (3, 6.0), (4, 6.0, {"codes": "201"}), (5, 5.0, {"size": 7.0}))
    found = classify(made, quoted, NO_SPOTS)
    rows = accuracy_by_basis(found, np.array([True, True, False, False, True])).to_pylist()
    assert [(one["basis"], one["prints"]) for one in rows] == [
        ("quote", 2),
        ("depth", 1),
        ("all", 3),
    ]
    assert rows[0]["share_right"] == rows[0]["share_right_of_volume"] == 0.5
    assert rows[2]["share_right"] == pytest.approx(2 / 3)


def test_accuracy_by_bucket_is_of_the_signed_and_keeps_prints_without_a_value_apart():
    made = trades((1, 6.0), (2, 4.0), (3, 5.5), (4, 6.0, {"codes": "232"}))
    found = classify(made, quotes((0, 4.0, 6.0, 10, 20)), NO_SPOTS)
    values = np.array([0.1, 0.3, np.nan, 0.3])
    truth = np.array([True, True, True, True])
    rows = accuracy_by_bucket(found, truth, values=values, borders=(0.2,)).to_pylist()
    assert [(one["from"], one["to"], one["prints"]) for one in rows] == [
        (None, 0.2, 1),
        (0.2, None, 2),
        (None, None, 1),
    ]
    assert [one["share_right"] for one in rows] == [1.0, 0.0, 1.0]
    assert rows[1]["share_signed"] == 0.5


def test_odds_fitted_on_half_a_recorded_day_hold_on_the_rest(shared_data):
    tape = perpetual(shared_data)
    options = BatchOptions(uses_taker=False, uses_deltas=False, tick_floor_usd=1e-6)
    found = classify(tape.trades, tape.quotes, tape.values, options=options)
    right = (found.sign > 0) == tape.is_buy[found.tape.row]
    (quote, _) = accuracy_by_basis(found, tape.is_buy[found.tape.row]).to_pylist()
    assert (quote["basis"], quote["share_of_prints"]) == ("quote", 1.0)
    assert quote["share_right"] == pytest.approx(0.951, abs=0.001)
    made, half = cells_of(found), len(found.tape) // 2
    odds = fit(made.take(slice(0, half)), right[:half]).probability(made.take(slice(half, None)))
    assert ece(odds, right[half:]) < 0.03
    # what it all rests on: the first print after a quote is signed rightly, the end of a burst not
    since = prints_since_quote(found)
    assert right[since == 0].mean() == 1.0
    assert right[since >= 32].mean() < 0.75


def test_most_prints_of_a_recorded_option_are_legs_of_packages(shared_data):
    tape = recorded_option(shared_data)
    found = classify(tape.trades, tape.quotes, tape.values)
    kinds = Counter(
        (TRADE_CLASSES[kind], SIGN_BASES[basis])
        for kind, basis in zip(found.trade_class, found.basis, strict=True)
    )
    legs = kinds["multi_leg", "none"]
    assert legs == 77
    assert kinds["regular", "quote"] + kinds["regular", "trade_size"] == len(found.tape) - legs
    assert found.tape.contracts["strike"].to_pylist() == [500.0]
    assert CALL not in found.tape.contracts["symbol"].to_pylist()
