"""Standing of a value among earlier ones, the history it is given, and the rows of a poll."""

import math
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.anomaly.discovery import q_values
from dealer_assets.domain.anomaly.grades import points_of, severity_of
from dealer_assets.domain.anomaly.underlying.history import COLUMNS, History
from dealer_assets.domain.anomaly.underlying.measures import MEASURES
from dealer_assets.domain.anomaly.underlying.scoring import score_poll
from dealer_assets.domain.anomaly.underlying.standing import scale_of, standing
from dealer_assets.domain.anomaly.underlying.values import values_of
from dealer_assets.domain.anomaly.underlying.verdicts import (
    anomalies_follow_control,
    history_is_held,
    statuses_fit,
)
from dealer_assets.domain.invariants import INVARIANTS, is_sound
from dealer_assets.tables.scores import SEVERITIES
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain import measure_rows as made
from dealer_assets_tests.domain.measure_rows import AT, POLL
from dealer_assets_tests.domain.test_measures import facts

ATM = next(measure for measure in MEASURES if measure.name == "atm_vol_30d")
VOLUME = next(measure for measure in MEASURES if measure.name == "volume_session")
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=61)


def history(rows=None, *, model="naive", is_simulated=False):
    rows = made.past([1.0]) if rows is None else rows
    return History(rows.select(COLUMNS), model=model, is_simulated=is_simulated)


def scored(past, now=None, before=None):
    now = now or facts()
    return score_poll(
        now,
        values_of(now, before, realised=math.nan),
        past,
        before=before,
        slot=POLL.slot,
        shared={
            "underlying": "SPX",
            "session_date": AT.date(),
            "model": "naive",
            "is_simulated": False,
        },
    )


def of(rows, name):
    (row,) = rows.filter(pc.equal(rows["measure"], name)).to_pylist()
    return row


def test_standing_by_hand():
    found = standing(5.0, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (found.centre, found.scale) == (3.0, pytest.approx(1.4826))
    assert found.z == pytest.approx(2.0 / 1.4826)
    assert found.percentile == pytest.approx(0.9)
    # the median of all six is 3.5: distances 2.5, 1.5, .5, .5, 1.5 against 1.5
    assert found.p_value == pytest.approx(4 / 6)


def test_a_history_that_half_stands_still_has_a_scale_by_its_mean_distance():
    values = np.array([0.0] * 8 + [3.0, -1.0])
    assert scale_of(values, 0.0) == pytest.approx(1.2533 * 0.4)
    still = standing(1.0, np.zeros(30))
    assert math.isnan(still.z)
    assert still.p_value == pytest.approx(1 / 31)
    assert standing(0.0, np.zeros(30)).p_value == 1.0


def test_beyond_the_tail_p_values_fall_by_the_third_power_of_the_distance():
    values = np.arange(-30.0, 31.0)[:60]  # -30 to 29; with a far value above, the median is 0
    near, far = standing(200.0, values).p_value, standing(400.0, values).p_value
    begins = 29.0  # third largest of 30, 29, 29, ...: distances from -0 to 30
    assert near == pytest.approx(3 / 61 * (begins / 200.0) ** 3, rel=0.05)
    assert far / near == pytest.approx(1 / 8, rel=0.02)


@given(VALUES, st.floats(-1e6, 1e6))
@hypothesis_settings(max_examples=60, deadline=None)
def test_p_values_are_shares_and_the_same_upside_down(values, value):
    held = np.array(values)
    found, mirrored = standing(value, held), standing(-value, -held)
    assert 0.0 < found.p_value <= 1.0
    assert found.p_value == pytest.approx(mirrored.p_value)
    assert found.percentile == pytest.approx(1.0 - mirrored.percentile)


@given(VALUES, st.floats(0.0, 1e6), st.floats(0.0, 1e6))
@hypothesis_settings(max_examples=60, deadline=None)
def test_further_out_is_never_less_unusual(values, one, other):
    held = np.array(values)
    top = held.max()
    near, far = sorted((one, other))
    assert standing(top + far, held).p_value <= standing(top + near, held).p_value + 1e-12


def test_false_alarms_among_measures_without_news_stay_under_the_target():
    """Twenty measures, sixty sessions; 20,000 polls of Student-4 values have 4.3 %."""
    draw = np.random.default_rng(5)
    values = draw.standard_t(4, size=(250, 20, 61))
    p = [[standing(m[-1], m[:-1]).p_value for m in poll] for poll in values]
    alarms = np.mean([(q_values(np.array(poll)) <= 0.05).any() for poll in p])
    assert alarms <= 0.07
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_one_jump_among_twenty_measures_is_found():
    draw = np.random.default_rng(6)
    values = draw.normal(size=(100, 20, 61))
    values[:, 0, -1] += 9.0
    p = [[standing(m[-1], m[:-1]).p_value for m in poll] for poll in values]
    found = np.mean([q_values(np.array(poll))[0] <= 0.05 for poll in p])
    assert found >= 0.9


def test_scores_and_severities_are_on_one_declared_scale():
    told = points_of(np.array([1.0, 1e-3, 1e-9, np.nan]))
    np.testing.assert_allclose(told, [0.0, 60.0, 100.0, np.nan])
    assert not np.signbit(told[0])
    codes = severity_of(np.array([0.06, 0.05, 0.02, 0.005, np.nan]))
    assert [SEVERITIES[code] for code in codes] == ["none", "notice", "warning", "severe", "none"]
    assert severity_of(np.array([0.06]), target=0.1).tolist() == [1]


def test_history_is_one_value_a_session_of_the_same_slot():
    rows = pa.concat_tables([made.past(range(30)), made.past([99.0] * 30, slot=14)])
    past = history(rows).past(ATM, 11, known_at=AT)
    assert past.source == "slot"
    assert past.values.tolist() == list(range(30))


def test_thin_slots_take_the_nearest_poll_and_then_the_last_of_each_session():
    near = pa.concat_tables([made.past([1.0] * 22, slot=9), made.past([2.0] * 22, slot=12)])
    past = history(near).past(ATM, 11, known_at=AT)
    assert (past.source, set(past.values)) == ("near", {2.0})
    far = pa.concat_tables([made.past([1.0] * 22, slot=3), made.past([2.0] * 22, slot=5)])
    past = history(far).past(ATM, 11, known_at=AT)
    assert (past.source, set(past.values), past.values.size) == ("closings", {2.0}, 22)
    assert history(far).past(ATM, 4, known_at=AT).source == "near"


def test_what_grows_over_a_session_is_compared_at_the_same_slot_only():
    rows = made.past([5.0] * 30, measure="volume_session", slot=10)
    assert history(rows).past(VOLUME, 11, known_at=AT).source == "none"
    assert history(rows).past(VOLUME, 10, known_at=AT).source == "slot"


def test_history_of_another_model_of_simulated_chains_or_known_later_is_none():
    rows = made.past([5.0] * 30)
    assert history(rows, model="taker_flow").past(ATM, 11, known_at=AT).source == "none"
    assert history(rows, is_simulated=True).past(ATM, 11, known_at=AT).source == "none"
    early = AT - timedelta(days=10)
    assert history(rows).past(ATM, 11, known_at=early).values.size < 30


def test_closes_are_the_last_spot_of_each_session():
    rows = pa.concat_tables([made.past([1.0], slot=14, spot=5100.0), made.past([1.0], spot=5000.0)])
    day = (date(2026, 11, 19) - date(1970, 1, 1)).days
    found = history(rows).closes(np.array([day - 1, day]), known_at=AT)
    assert np.isnan(found[0])
    assert found[1] == 5100.0


def test_rows_of_a_poll_say_what_stands_out_in_words():
    calm = [20.0 + 0.1 * (i % 5) for i in range(60)]
    rows = scored(
        history(made.past(calm)), facts(vol_surface=made.surface(slices=((5, 0.6), (40, 0.6))))
    )
    row = of(rows, "atm_vol_30d")
    assert row["is_anomaly"]
    assert (row["status"], row["history_from"], row["history_sessions"]) == ("ok", "slot", 60)
    assert row["severity"] == "severe"
    assert row["words"] == (
        "30-day vol at the money 60.00 vol points: usually 20.20 vol points, 268.4 robust "
        "deviations above, higher than 100% of 60 sessions at this hour"
    )
    others = [r for r in rows.to_pylist() if r["measure"] != "atm_vol_30d"]
    assert {r["status"] for r in others} == {"no_history", "not_determined"}
    assert not any(r["is_anomaly"] or r["score"] is not None for r in others)


def test_thin_history_shows_and_makes_no_anomaly():
    rows = scored(
        history(made.past([20.0] * 18 + [20.1])),
        facts(vol_surface=made.surface(slices=((5, 0.6), (40, 0.6)))),
    )
    row = of(rows, "atm_vol_30d")
    assert (row["status"], row["is_anomaly"], row["score"], row["q_value"]) == (
        "thin",
        False,
        None,
        None,
    )
    assert row["p_value"] == pytest.approx(1 / 20)


def test_rows_without_a_value_say_why():
    rows = scored(history())
    told = {row["measure"]: row["words"] for row in rows.to_pylist()}
    assert told["spot_return"].endswith("no closing of the session before is held")
    assert told["vol_index"].endswith("no value of a volatility index of this hour is held")
    spoilt = made.anomalies(("no_quotes", "snapshot", 1.0, ["quotes"]))
    told = {
        r["measure"]: r["words"]
        for r in scored(history(), facts(data_anomalies=spoilt)).to_pylist()
    }
    assert told["atm_vol_30d"] == "30-day vol at the money not determined: no quotes in the data"
    told = {
        r["measure"]: r["words"]
        for r in scored(history(), before=facts(data_anomalies=spoilt)).to_pylist()
    }
    assert told["atm_vol_30d_change"].endswith("at the closing before, no quotes in the data")


def _spoilt(rows, name, values):
    place = rows.schema.get_field_index(name)
    return rows.set_column(
        place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type)
    )


def test_seeded_faults_are_caught_by_the_tables_checks():
    past = pa.concat_tables(
        [made.past([20.0 + i % 7 for i in range(40)], measure=n) for n in made.NAMES]
    )
    rows = scored(history(past))
    spx = underlying("SPX")
    assert is_sound(tables.UNDERLYING_SCORES.name, rows, spx)
    assert history_is_held(rows)[0]
    marked = _spoilt(rows, "is_anomaly", [True] * rows.num_rows)
    assert not anomalies_follow_control(marked)[0]
    lower = _spoilt(rows, "q_value", [0.5 * q if q else q for q in rows["q_value"].to_pylist()])
    assert not anomalies_follow_control(lower)[0]
    silent = _spoilt(rows, "value", [None] * rows.num_rows)
    assert not statuses_fit(silent)[0]
    thin = scored(history())
    assert statuses_fit(thin)[0]
    assert not history_is_held(thin)[0]
    blocking = {i.name for i in INVARIANTS[tables.UNDERLYING_SCORES.name] if i.blocking}
    assert blocking == {"anomalies_follow_control", "statuses_fit"}
