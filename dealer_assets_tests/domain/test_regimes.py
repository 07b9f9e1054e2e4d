"""Regimes: rules, thresholds from the past, hysteresis, and whether labels mean anything."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.exposure.adv import NO_ADV
from dealer_assets.domain.exposure.persistence import (
    following,
    persistence_of,
    persistence_texts,
)
from dealer_assets.domain.exposure.regime_rules import INPUTS, RULES, judge_rules
from dealer_assets.domain.exposure.regimes import PAST_COLUMNS, regimes_of
from dealer_assets.domain.exposure.thresholds import DECLARED, thresholds_of
from dealer_assets.lake.conformity import conform
from dealer_assets.tables.regimes import REGIMES
from dealer_assets_tests.domain import metric_rows as made

STATIC = thresholds_of({})
QUIET = dict.fromkeys(INPUTS, 0.0) | {"flip_distance": 0.02, "vanna_lead": -1.0, "charm_lead": -1.0}


def label(held="", thresholds=STATIC, **inputs):
    judged = judge_rules(QUIET | inputs, thresholds, held=held)
    return next((j.rule.regime for j in judged if j.holds), "neutral")


def labelled(metrics, history=None, previous=None):
    history = made.nothing(tables.EXPOSURE_METRICS) if history is None else history
    previous = made.nothing(tables.DEALER_REGIMES) if previous is None else previous
    return regimes_of(metrics, history, previous)


@pytest.mark.parametrize(
    ("inputs", "regime"),
    [
        ({}, "neutral"),
        ({"gamma": -0.15, "move_pct": 1.0}, "short_gamma_chase"),
        ({"gamma": -0.15, "move_pct": 0.1}, "neutral"),
        ({"gamma": 0.15, "move_pct": 1.0}, "neutral"),
        ({"gamma": 0.15, "move_pct": 0.1}, "gamma_pin"),
        ({"gamma": 0.15, "move_pct": 0.1, "flip_distance": 0.001}, "neutral"),
        ({"vanna_flow": 0.06, "vanna_lead": 0.001}, "vanna_squeeze"),
        ({"vanna_flow": 0.06, "vanna_lead": -0.001}, "neutral"),
        ({"vanna_flow": -0.06, "vanna_lead": 0.001}, "neutral"),
        ({"charm_flow": -0.012, "charm_lead": 0.001}, "charm_drift"),
        ({"hedge_flow": 0.06}, "dealer_buy_material"),
        ({"hedge_flow": -0.06}, "dealer_sell_material"),
        ({"gamma": -0.15, "move_pct": 1.0, "hedge_flow": -0.06}, "short_gamma_chase"),
        ({"hedge_flow": 0.06, "gamma": 0.15, "move_pct": 0.1}, "dealer_buy_material"),
    ],
)
def test_rules_give_the_label_by_their_conditions_in_order(inputs, regime):
    assert label(**inputs) == regime


def test_every_label_but_neutral_has_one_rule_in_the_tables_order():
    assert (*(rule.regime for rule in RULES), "neutral") == REGIMES


def test_label_is_held_down_to_its_exit_threshold_and_not_entered_there():
    between = {"gamma": -0.085, "move_pct": 0.65}
    assert label(**between) == "neutral"
    assert label(held="short_gamma_chase", **between) == "short_gamma_chase"
    assert label(held="short_gamma_chase", gamma=-0.07, move_pct=0.65) == "neutral"
    assert label(held="gamma_pin", **between) == "neutral"


def test_held_label_gives_way_to_an_earlier_rule_that_enters():
    pinned = {"gamma": 0.085, "move_pct": 0.55}
    assert label(held="gamma_pin", **pinned) == "gamma_pin"
    assert label(held="gamma_pin", **pinned, hedge_flow=0.06) == "dealer_buy_material"


@settings(max_examples=60)
@given(st.lists(st.floats(-0.25, 0.25), min_size=2, max_size=60))
def test_hysteresis_never_changes_labels_more_often_than_thresholds_alone(gammas):
    def path(remembers):
        held, found = "", []
        for gamma in gammas:
            held = label(held=held if remembers else "", gamma=gamma, move_pct=0.1)
            found.append(held)
        return sum(a != b for a, b in pairwise(found))

    assert path(True) <= path(False)


def test_a_rule_that_lacks_an_input_is_not_judged():
    nan = float("nan")
    judged = judge_rules(QUIET | {"hedge_flow": nan, "vanna_flow": nan}, STATIC)
    unknown = [j.rule.regime for j in judged if not np.isfinite(j.margin)]
    assert unknown == ["vanna_squeeze", "dealer_buy_material", "dealer_sell_material"]


def test_thresholds_are_declared_until_twenty_sessions_exist():
    short = thresholds_of({"gamma": np.linspace(0.0, 1.0, 19)})
    assert short.source == "static"
    assert short.enter["gamma_high"] == DECLARED["gamma_high"].static_enter
    enough = thresholds_of({"gamma": np.linspace(0.0, 1.0, 21)})
    assert (enough.source, enough.sessions) == ("mixed", 21)
    assert enough.enter["gamma_high"] == pytest.approx(0.7)
    assert enough.leave["gamma_high"] == pytest.approx(0.6)
    assert "gamma_high" not in enough.static


def test_threshold_of_short_gamma_stays_below_zero_in_a_book_that_is_always_long():
    enter = thresholds_of({"gamma": np.linspace(1.0, 2.0, 30)}).enter
    assert enter["gamma_low"] == 0.0
    assert enter["gamma_high"] == pytest.approx(1.7)


def test_thresholds_of_flows_are_of_their_size():
    flows = np.array([-1.0, 1.0] * 15) * np.linspace(0.1, 3.0, 30)
    enter = thresholds_of({"hedge_flow": flows}).enter
    assert enter["hedge_flow"] == pytest.approx(np.percentile(np.abs(flows), 90.0))


def test_thresholds_use_the_last_sixty_closings_and_pass_over_what_is_not_told():
    old = np.concatenate([np.full(40, 1e6), np.linspace(0.0, 1.0, 60)])
    assert thresholds_of({"gamma": old}).enter["gamma_high"] == pytest.approx(0.7)
    holes = np.where(np.arange(60) % 2 == 0, np.nan, 5.0)
    assert thresholds_of({"gamma": holes}).enter["gamma_high"] == 5.0


def test_row_stores_the_rule_its_inputs_thresholds_and_margins():
    rows = labelled(made.session([5000.0, 5005.0], book=(("0dte", 15e7),))[-1])
    conform(tables.DEALER_REGIMES, rows, underlying="SPX", session_date=made.DAY)
    (found,) = rows.to_pylist()
    assert found["regime"] == "dealer_sell_material"  # long gamma sells into the rise
    assert found["rule"].startswith("dealer_sell_material: hedge_flow -0.06")
    assert found["deciding_input"] == "hedge_flow"
    assert found["threshold_hedge_flow"] == 0.05
    assert found["margin"] == pytest.approx(1.0 - 0.05 / abs(found["hedge_flow"]))
    assert found["nearest_regime"] == "gamma_pin"  # holds too, but later in the order
    assert found["nearest_margin"] > 0.0
    assert (found["scale"], found["thresholds_from"], found["is_held"]) == ("adv", "static", False)
    assert found["move_pct"] == pytest.approx(0.1)


def test_first_snapshot_without_a_past_says_which_rules_were_not_judged():
    (found,) = labelled(made.metrics(book=(("0dte", 15e7),))).to_pylist()
    assert found["regime"] is None
    assert found["rule"].startswith("undetermined")
    assert len(found["rules_not_judged"]) == len(RULES)


def test_with_a_closing_before_it_a_lone_snapshot_can_be_a_pin():
    history = made.closings([1e6])
    spot = history["spot"][0].as_py()
    (found,) = labelled(
        made.metrics(book=(("0dte", 15e7),), spot=spot * 1.001), history
    ).to_pylist()
    assert found["regime"] == "gamma_pin"
    assert found["move_pct"] == pytest.approx(0.1)
    assert "short_gamma_chase" not in found["rules_not_judged"]
    assert "dealer_buy_material" in found["rules_not_judged"]


def test_thresholds_come_from_closings_of_the_same_model_and_kind():
    history = made.closings([1e6 * (i + 1) for i in range(30)])
    (own,) = labelled(made.metrics(), history).to_pylist()
    assert (own["history_sessions"], own["static_thresholds"]) == (30, [])
    assert own["threshold_gamma_high"] == pytest.approx(0.0213, abs=1e-4)
    place = history.schema.get_field_index("model")
    other = pa.array(["inverted"] * history.num_rows)
    foreign = history.set_column(place, history.schema.field(place), other)
    (found,) = labelled(made.metrics(), foreign).to_pylist()
    assert (found["history_sessions"], found["thresholds_from"]) == (0, "static")
    place = history.schema.get_field_index("is_simulated")
    simulated = pa.array([True] * history.num_rows)
    pretended = history.set_column(place, history.schema.field(place), simulated)
    (found,) = labelled(made.metrics(), pretended).to_pylist()
    assert found["history_sessions"] == 0


def test_shares_of_another_instruments_volume_are_no_past():
    history = made.closings([1e6 * (i + 1) for i in range(30)])
    place = history.schema.get_field_index("adv_instrument")
    other = pa.array(["BTC-USD"] * 29 + ["SPY"])
    mixed = history.set_column(place, history.schema.field(place), other)
    (found,) = labelled(made.metrics(), mixed).to_pylist()
    assert "gamma_high" in found["static_thresholds"]
    assert "move" not in found["static_thresholds"]  # spot is spot
    (alone,) = labelled(made.metrics(adv=NO_ADV), mixed).to_pylist()
    assert alone["static_thresholds"] == []  # dollars are dollars


def test_closings_need_only_the_columns_that_are_named():
    history = made.closings([1e6 * (i + 1) for i in range(30)])
    whole, some = labelled(made.metrics(), history), history.select(list(PAST_COLUMNS))
    assert labelled(made.metrics(), some).equals(whole)


def test_without_volume_labels_need_a_past_in_dollars():
    (found,) = labelled(made.metrics(adv=NO_ADV)).to_pylist()
    assert (found["scale"], found["regime"]) == ("usd", None)
    history = made.closings([1e6 * (i + 1) for i in range(30)])
    spot = history["spot"][-1].as_py()
    latest = made.metrics(adv=NO_ADV, book=(("0dte", 9e7),), spot=spot)
    (found,) = labelled(latest, history).to_pylist()
    assert found["scale"] == "usd"
    assert found["threshold_gamma_high"] == pytest.approx(21.3e6, rel=1e-2)
    assert found["regime"] == "gamma_pin"


def test_blurred_flip_is_no_clear_one_and_none_in_range_is_far():
    history = made.closings([1e6])
    spot = history["spot"][0].as_py() * 1.001
    for fields, regime in (
        ({"flip_status": "ill_conditioned"}, "neutral"),
        ({"flip_status": "none_in_range", "flip_pct": None}, "gamma_pin"),
    ):
        metrics = made.metrics(book=(("0dte", 15e7),), spot=spot, **fields)
        (found,) = labelled(metrics, history).to_pylist()
        assert found["regime"] == regime


def test_snapshot_remembers_the_label_before_it():
    first, second = made.session([5000.0, 5060.0], book=(("0dte", -15e7),))
    before = labelled(second)
    assert before["regime"].to_pylist() == ["short_gamma_chase"]
    # smaller by half: between exit and entry of gamma
    third = made.metrics(
        at=made.AT + timedelta(minutes=40), spot=5060.0, book=(("0dte", -8.5e7),), previous=second
    )
    (held,) = labelled(third, previous=before).to_pylist()
    (fresh,) = labelled(third).to_pylist()
    assert (held["regime"], held["is_held"]) == ("short_gamma_chase", True)
    assert fresh["regime"] != "short_gamma_chase"
    assert first.num_rows


def test_row_is_known_when_the_last_of_its_closings_was():
    history = made.closings([1e6] * 3)
    late = made.AT + timedelta(days=2)
    place = history.schema.get_field_index("known_at")
    known = pa.array([late] * 3, tables.INSTANT)
    history = history.set_column(place, history.schema.field(place), known)
    assert labelled(made.metrics(), history)["known_at"].to_pylist() == [late]


def test_later_closings_never_change_a_label():
    """The past is cut off by the caller; here: its order does not matter."""
    history = made.closings([1e6 * (i + 1) for i in range(25)])
    turned = history.take(list(range(24, -1, -1)))
    metrics = made.metrics()
    assert labelled(metrics, history).equals(labelled(metrics, turned))


def test_persistence_of_a_lasting_label_beats_its_base_rate():
    lasting = (["a"] * 10 + ["b"] * 10) * 4
    found = persistence_of(lasting)
    assert found.pairs == 79
    assert found.stays == pytest.approx(72 / 79)
    assert found.base == pytest.approx(39 / 79)
    assert found.most_common == 0.5
    assert found.p_value < 0.001


def test_persistence_of_noise_does_not():
    noise = np.random.default_rng(1).choice(["a", "b", "c"], 200).tolist()
    found = persistence_of(noise)
    assert found.stays == pytest.approx(found.base, abs=0.08)
    assert found.p_value > 0.05


def test_a_label_that_is_always_there_persists_by_chance_alone():
    found = persistence_of(["neutral"] * 30)
    assert (found.stays, found.base, found.p_value) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("labels", [[], ["a"]])
def test_persistence_needs_two_sessions(labels):
    found = persistence_of(labels)
    assert found.pairs == 0
    assert np.isnan(found.stays)


def test_what_follows_a_label_is_held_against_what_follows_any():
    labels = ["calm", "wild"] * 50
    moves = np.array([1.0, 3.0] * 50) + np.linspace(0.0, 0.1, 100)
    calm, wild = following(labels, moves)
    assert (calm.label, calm.count) == ("calm", 50)
    assert calm.median < calm.base < wild.median
    assert calm.p_value < 0.001
    (any_,) = following(["x"] * 100, moves)
    assert any_.p_value == 1.0


def test_following_passes_over_what_is_not_known():
    (found,) = following(["a", "a", "a"], np.array([1.0, 2.0, np.nan]))
    assert (found.count, found.median) == (2, 1.5)


def test_persistence_in_words_is_told_by_model():
    rows = pa.concat_tables(
        [labelled(r) for r in made.session([5000.0, 5060.0, 5100.0], book=(("0dte", -15e7),))]
    )
    (name, text), *rest = persistence_texts(rows).items()
    assert (name, rest) == ("persistence_naive", [])
    assert "label: stays 100% of 1 sessions" in text
    assert "sign of gamma: stays 100% of 2 sessions" in text
    assert pc.sum(pc.is_null(rows["regime"])).as_py() == 1
