"""Measures of an underlying, by hand: what a snapshot tells, what changed since the closing."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from dealer_assets.domain.anomaly.polls import Poll
from dealer_assets.domain.anomaly.underlying.facts import Facts, facts_of, spoilt_readings
from dealer_assets.domain.anomaly.underlying.measures import MEASURES, shown
from dealer_assets.domain.anomaly.underlying.tenors import atm_vol, smile_term
from dealer_assets.domain.anomaly.underlying.values import flip_gap, realised_vol, values_of
from dealer_assets.tables.measures import MEASURE_UNITS
from dealer_assets_tests.domain import measure_rows as made
from dealer_assets_tests.domain.measure_rows import AT, HOUR, POLL
from dealer_assets_tests.live_rows import CALL, PUT

DAY = timedelta(days=1)
NEAR = pytest.approx


def facts(poll=POLL, *, is_daily=False, **changes):
    return facts_of(made.snapshot(poll.at, **changes), poll, model="naive", is_daily=is_daily)


def values(now=None, before=None, realised=math.nan):
    return values_of(now or facts(), before, realised=realised)


def test_every_measure_has_a_unit_a_value_and_words():
    assert [m.name for m in MEASURES] == list(MEASURE_UNITS)
    assert set(values()) == set(MEASURE_UNITS)
    assert all(shown(measure, 0.5) for measure in MEASURES)


def test_constant_maturities_lie_between_slices_in_total_variance():
    rows = made.surface()
    days7 = np.interp(7.0, [5.0, 10.0], [5 * 0.18**2, 10 * 0.20**2])
    assert atm_vol(rows, 7) == NEAR(100 * math.sqrt(days7 / 7))
    assert atm_vol(rows, 40) == NEAR(22.0)
    assert smile_term(rows, "risk_reversal_25", 30) == NEAR(-2.3)
    assert smile_term(rows, "butterfly_25", 30) == NEAR(0.5)


def test_maturities_outside_the_fitted_slices_are_not_determined():
    rows = made.surface(slices=((10, 0.2), (40, 0.2)))
    assert math.isnan(atm_vol(rows, 7))
    assert math.isnan(atm_vol(rows, 90))
    assert math.isnan(atm_vol(made.surface(method="rule"), 30)), "a rule is no quote"
    assert math.isnan(atm_vol(rows.slice(0, 0), 30))


def test_measures_of_one_snapshot_by_hand():
    told = values(realised=15.0)
    assert told["flip_distance"] == NEAR(1.0)  # 50 USD of 50
    assert told["net_gamma_share"] == NEAR(-0.25)
    assert told["put_call_gamma"] == NEAR(math.log(5 / 3))
    assert told["put_call_open_interest"] == NEAR(math.log(2.0)), "the expired call does not count"
    assert told["max_pain_distance"] == NEAR(-0.5)
    assert told["skew_25d_30d"] == NEAR(2.3)
    assert told["implied_less_realised"] == NEAR(told["atm_vol_30d"] - 15.0)
    assert math.isnan(told["volume_session"])
    assert math.isnan(told["vol_index"])
    assert math.isnan(told["spot_return"]), "no closing before"


def test_a_market_that_trades_every_day_has_calendar_day_moves():
    assert facts(is_daily=True).expected_move_usd == 40.0
    assert facts().expected_move_usd == 50.0


def test_changes_are_measured_from_the_closing_in_moves_expected_then():
    then = AT - DAY
    poll = Poll(then, 11, then - HOUR, then - HOUR)
    before = facts(
        poll, exposure_levels=made.levels(then, spot=4900.0, expected_move_vol_252_usd=80.0)
    )
    now = facts(
        exposure_levels=made.levels(
            net_gamma_exposure_usd_per_pct=2e9, gross_gamma_exposure_usd_per_pct=4e9
        )
    )
    told = values(now, before)
    assert told["spot_return"] == NEAR(100 / 80)
    assert told["net_gamma_change"] == NEAR(0.5)
    assert told["gross_gamma_change"] == NEAR(math.log(0.5))
    assert told["atm_vol_30d_change"] == NEAR(0.0)
    assert told["open_interest_change"] == NEAR(0.0)


def test_open_interest_that_expired_since_the_closing_is_no_change():
    then = AT - 10 * DAY  # the chain of that day has all its contracts expire in 9 days
    poll = Poll(then, 11, then - HOUR, then - HOUR)
    told = values(facts(), facts(poll))
    assert math.isnan(told["open_interest_change"])
    half = facts(Poll(AT - DAY, 11, None, AT - DAY))
    doubled = {at + 2 * DAY: 2 * n for at, n in half.open_interest_by_expiry.items()}
    before = replace(half, open_interest_by_expiry=half.open_interest_by_expiry | doubled)
    assert values(facts(), before)["open_interest_change"] == NEAR(math.log(900 / 2700))
    gone = {AT - HOUR: 10_000.0}
    before = replace(half, open_interest_by_expiry=half.open_interest_by_expiry | gone)
    assert values(facts(), before)["open_interest_change"] == NEAR(0.0)


@pytest.mark.parametrize(
    ("lo", "hi", "gap"),
    [(5040.0, 5060.0, 0.0), (5055.0, 5080.0, 0.0), (5070.0, 5090.0, 10.0), (5000.0, 5030.0, -10.0)],
)
def test_a_flip_jumps_only_as_far_as_its_bands_lie_apart(lo, hi, gap):
    before = facts()
    now = facts(exposure_levels=made.levels(flip_lo=lo, flip_hi=hi, flip_price=(lo + hi) / 2))
    assert flip_gap(now, before) == NEAR(gap)
    assert values(now, before)["flip_jump"] == NEAR(gap / 50.0)


def test_a_flip_that_is_not_determined_says_nothing():
    for status in ("ill_conditioned", "far", "none_in_range"):
        shaky = facts(exposure_levels=made.levels(flip_status=status))
        assert math.isnan(values(shaky)["flip_distance"])
        assert math.isnan(values(shaky, facts())["flip_jump"])
        assert math.isnan(values(facts(), shaky)["flip_jump"])


def test_levels_not_fit_to_publish_or_of_a_part_of_the_chain_make_no_gamma_measure():
    for change in ({"is_publishable": False}, {"is_partial": True}):
        told = values(facts(exposure_levels=made.levels(**change)), facts())
        for name in ("net_gamma_share", "net_gamma_change", "gross_gamma_change", "flip_jump"):
            assert math.isnan(told[name]), (change, name)
        assert math.isfinite(told["spot_return"])
    part = facts(chain_snapshots=made.chain(is_partial=True))
    assert math.isnan(values(part)["put_call_open_interest"])


def test_volume_is_that_up_to_the_poll_and_of_the_hour_before_it():
    rows = made.deltas(
        (CALL, AT - 2 * HOUR, 900.0, False),
        (CALL, AT - HOUR, 100.0, False),
        (PUT, AT, 300.0, False),
        (PUT, AT + HOUR, 7000.0, False),  # later than the poll
    )
    told = values(facts(volume_deltas=rows))
    assert told["put_call_volume"] == NEAR(math.log(0.3))
    assert told["volume_session"] == NEAR(math.log(1300.0))
    assert told["volume_hour"] == NEAR(math.log(300.0))


def test_what_a_counter_held_before_it_began_anew_is_another_days():
    rows = made.deltas(
        (CALL, AT - 2 * HOUR, 9000.0, False),
        (CALL, AT - HOUR, 50.0, True),
        (CALL, AT, 70.0, False),
        (PUT, AT - HOUR, 60.0, False),
    )
    told = values(facts(volume_deltas=rows))
    assert told["volume_session"] == NEAR(math.log(180.0))
    assert told["put_call_volume"] == NEAR(math.log(0.5))


def test_an_interval_that_misses_a_poll_is_no_hour():
    rows = made.deltas((CALL, AT, 70.0, False))
    poll = Poll(AT, 11, AT - 2 * HOUR, AT - 3 * HOUR, slots_spanned=2)
    told = values(facts(poll, volume_deltas=rows))
    assert math.isnan(told["volume_hour"])
    assert told["volume_session"] == NEAR(math.log(70.0))


def test_a_volatility_index_is_the_newest_known_at_the_poll_and_not_too_old():
    old, half = AT - 2 * HOUR, HOUR / 2
    rows = made.index_values(
        ("vol_index", AT - half, 0.21, 0),
        ("spot", AT, 5000.0, 0),
        ("vol_index", AT - half / 2, 0.25, 7200),  # known only after the poll
        ("vol_index", AT + half, 0.30, 0),  # later
    )
    told = values(facts(index_values=rows))
    assert told["vol_index"] == NEAR(21.0)
    assert told["vol_index_less_atm"] == NEAR(21.0 - told["atm_vol_30d"])
    stale = made.index_values(("vol_index", old, 0.21, 0))
    assert math.isnan(values(facts(index_values=stale))["vol_index"])


def test_what_a_data_anomaly_spoils_is_not_determined_now_nor_as_a_closing():
    wiped = made.anomalies(("shifted_open_interest", "snapshot", 1.0, ["open_interest"]))
    now = facts(data_anomalies=wiped)
    told = values(now, facts())
    for name in ("put_call_open_interest", "open_interest_change", "net_gamma_share", "flip_jump"):
        assert math.isnan(told[name]), name
    assert math.isfinite(told["atm_vol_30d"])
    assert math.isnan(values(facts(), now)["open_interest_change"])
    quotes = facts(data_anomalies=made.anomalies(("no_quotes", "contracts", 0.5, ["quotes"])))
    assert math.isnan(values(quotes)["atm_vol_30d"])


def test_an_anomaly_of_a_few_contracts_spoils_no_sum_over_the_chain():
    few = made.anomalies(("frozen_contracts", "contracts", 0.01, ["quotes"]))
    assert spoilt_readings(few) == {}
    assert math.isfinite(values(facts(data_anomalies=few))["atm_vol_30d"])


def test_facts_are_known_when_the_last_of_what_they_read_was():
    late = made.deltas((CALL, AT - HOUR, 5.0, False))
    column = late.schema.get_field_index("known_at")
    moved = [AT + 3 * HOUR]
    late = late.set_column(column, late.schema.field("known_at"), [moved])
    assert facts(volume_deltas=late).known_at == AT + 3 * HOUR
    assert facts().known_at == AT


def test_realised_vol_is_that_of_neighbouring_closings_and_needs_fifteen():
    closes = [100.0 * 1.01**i for i in range(21)]
    assert realised_vol(closes, sessions_per_year=252.0) == NEAR(
        100 * math.log(1.01) * math.sqrt(252)
    )
    gaps = [math.nan if i in (5, 10) else close for i, close in enumerate(closes)]
    assert math.isfinite(realised_vol(gaps, sessions_per_year=365.0))
    gaps[15] = math.nan
    assert math.isnan(realised_vol(gaps, sessions_per_year=365.0)), "14 returns are left"


def test_facts_tell_themselves_apart():
    assert facts().identity == facts().identity
    assert facts().identity != replace(facts(), spot=1.0).identity
    assert math.isnan(Facts(event_at=AT, known_at=AT).spot)
