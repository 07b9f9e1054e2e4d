"""dbt build as a gate, and the mart rows it leaves.

What has to pass passes, a seeded violation fails by its test's name; rows equal values computed by
hand from `small_lake`. One file: the tests of a file share one build.
"""

from datetime import UTC, date, datetime

import pytest

from dealer_assets_tests.dbt.violations import VIOLATED_RULES, violated

pytestmark = [pytest.mark.dbt, pytest.mark.slow]

MARTS = (
    "agg_anomaly_precision",
    "fct_alerts",
    "fct_anomalies",
    "fct_exposure_levels",
    "fct_flip_conventions",
    "fct_forced_flow",
    "fct_pin_levels",
    "fct_strike_changes",
    "fct_level_scores",
    "fct_dealer_positions",
    "fct_position_scores",
    "fct_combined_exposure",
    "fct_exposure_metrics",
    "fct_regimes",
    "fct_vol_surface",
    "fct_volume_profile",
    "fct_surface_quality",
    "fct_underlying_scores",
    "fct_dealer_exposure_daily",
    "fct_exposure_by_strike",
    "fct_contract_daily",
    "fct_intraday_gamma_1m",
    "fct_flow_0dte_1m",
    "dim_contracts",
    "dim_models",
    "dim_sessions",
)
VIEWS = (
    "stg_lake__alerts",
    "stg_lake__anomaly_evaluation",
    "stg_lake__anomaly_scores",
    "stg_lake__chain_snapshots",
    "stg_lake__chain_sources",
    "stg_lake__combined_levels",
    "stg_lake__contract_features",
    "stg_lake__contract_greeks",
    "stg_lake__daily_history",
    "stg_lake__data_anomalies",
    "stg_lake__dealer_exposure",
    "stg_lake__dealer_positions",
    "stg_lake__dealer_regimes",
    "stg_lake__exposure_levels",
    "stg_lake__exposure_metrics",
    "stg_lake__feed_gaps",
    "stg_lake__forwards",
    "stg_lake__level_band",
    "stg_lake__level_scores",
    "stg_lake__pin_levels",
    "stg_lake__position_scores",
    "stg_lake__strike_changes",
    "stg_lake__live_flow",
    "stg_lake__live_gamma",
    "stg_lake__live_trades",
    "stg_lake__scenario_grid",
    "stg_lake__surface_quality",
    "stg_lake__underlying_scores",
    "stg_lake__vol_surface",
    "int_session_last_snapshots__selected",
    "int_session_last_surfaces__selected",
)


# they bring rows of their own: one build of them is enough
WITHOUT_UNIT_TESTS = ("build", "--exclude-resource-type", "unit_test")


def test_each_seeded_violation_fails_the_build_by_its_own_tests_name(
    dbt_build, local_lake, hand_made_rows
):
    lake = local_lake(violated(hand_made_rows()))
    done = dbt_build(lake, "violated", WITHOUT_UNIT_TESTS)
    assert done.exit_code != 0
    assert done.failed == VIOLATED_RULES, done.output


def test_hand_made_lake_builds_every_model_and_runs_every_unit_test(built):
    assert set(MARTS + VIEWS) <= {n for n, status in built.statuses.items() if status == "success"}
    unit_tests = [
        "last_snapshot_is_the_latest_with_levels_per_session_and_model",
        "last_surface_is_the_latest_measured_one_of_the_session_sound_or_not",
        "strike_exposures_add_up_over_roots_expiries_and_rights_of_the_last_snapshot",
        "strikes_of_two_models_are_never_added_up",
        "buckets_of_two_models_are_never_added_up",
        "open_interest_change_is_against_the_contracts_previous_held_session",
        "convention_differences_are_against_the_base_of_the_same_snapshot_and_model",
        "forced_flow_states_the_spot_of_each_cell_of_the_last_snapshot",
        "surface_slices_take_the_forward_of_their_own_root_and_snapshot",
        "surface_quality_flags_the_last_measured_snapshot_of_each_session",
        "intraday_gamma_takes_first_and_last_by_row_number_and_flow_to_the_minute",
        "intraday_gamma_puts_a_total_into_the_minute_whose_second_it_ends",
        "flow_0dte_sums_buckets_and_runs_on_through_the_session",
    ]
    assert built.unit_tests == dict.fromkeys(unit_tests, "pass")


def test_empty_lake_builds_empty_marts(dbt_build, local_lake):
    done = dbt_build(local_lake({}), "empty", WITHOUT_UNIT_TESTS)
    assert done.exit_code == 0, done.output
    counts = {mart: done.rows(f"select count(*) from {mart}")[0][0] for mart in MARTS}
    # the models are rules, not rows of a lake
    assert counts == dict.fromkeys(MARTS, 0) | {"dim_models": 7}


def test_same_lake_builds_the_same_rows_on_s3_and_twice(built, dbt_build, hand_made_rows, s3_lake):
    uri, environment = s3_lake(hand_made_rows())
    done = dbt_build(uri, "s3", ["run"], **environment)
    assert done.exit_code == 0, done.output
    for mart in MARTS:
        query = f"select * from {mart}"  # no order: the build's own has to be the same
        assert done.rows(query) == built.rows(query), mart
    assert environment["AWS_SECRET_ACCESS_KEY"] not in done.log


def test_every_mart_has_one_row_per_grain(built):
    counts = {
        "fct_exposure_levels": 11,  # 2 underlyings x 3 sessions x 2 snapshots, one not derived
        "fct_flip_conventions": 44,  # four conventions for each of those
        "fct_forced_flow": 18,  # 6 sessions x 3 cells
        "fct_pin_levels": 9,  # of 3 sessions: both strikes of the last snapshot, the pin before
        "fct_strike_changes": 3,  # one of two strikes changed
        "fct_level_scores": 4,  # two levels of the second and third session
        "fct_dealer_positions": 6,  # two models x 3 sessions
        "fct_position_scores": 6,
        "fct_combined_exposure": 9,  # two members and the total of 3 sessions
        "fct_exposure_metrics": 9,  # two buckets and all of SPX
        "fct_regimes": 3,
        "fct_vol_surface": 9,  # SPX: 2 slices x 3 sessions; SPY: 1 x 3
        "fct_surface_quality": 12,
        "fct_alerts": 3,  # one of the last session, one of the first, one failed run
        "fct_anomalies": 3,  # of the second session, and both polls of the third
        "fct_volume_profile": 4,  # a cell of 3 sessions, another of the first
        "fct_underlying_scores": 18,  # 3 measures x 2 polls x 3 sessions
        "fct_dealer_exposure_daily": 11,  # SPX: 3 + 2 (put not held) + 3; SPY: 3
        "fct_exposure_by_strike": 9,  # SPX: 2 strikes x 3 sessions; SPY: 1 x 3
        "fct_contract_daily": 11,  # SPX: 3 + 2 + 3; SPY: 3
        "fct_intraday_gamma_1m": 6,  # SPX: 2 minutes x 3 models; rows in two parts count once
        "fct_flow_0dte_1m": 2,  # calls of 2 minutes; the put expires later
        "dim_contracts": 4,
        "dim_models": 7,
        "dim_sessions": 6,
    }
    found = {mart: built.rows(f"select count(*) from {mart}")[0][0] for mart in counts}
    assert found == counts


def test_volume_profile_is_beside_the_median_of_the_sessions_before(built):
    found = built.rows(
        "select session_date, volume_contracts, volume_compared_contracts, contracts_compared, "
        "trailing_sessions, trailing_median_contracts, volume_over_median "
        "from fct_volume_profile where \"right\" = 'put' order by 1"
    )
    # two contracts of packages are netted out of each; the second put has no volume in between
    assert found == [
        (date(2026, 11, 18), 40.0, 36.0, 2, 0, None, None),
        (date(2026, 11, 19), 50.0, 48.0, 1, 1, 36.0, 48.0 / 36.0),
        (date(2026, 11, 20), 180.0, 176.0, 2, 2, 42.0, 176.0 / 42.0),
    ]


def test_anomalies_are_the_marked_contracts_in_the_company_of_their_poll(built):
    found = built.rows(
        "select session_date, contracts_scored, anomalies_of_poll, mark_of_session, is_repeat "
        "from fct_anomalies order by event_at"
    )
    assert found == [
        (date(2026, 11, 19), 2, 1, 1, False),
        (date(2026, 11, 20), 2, 1, 1, False),
        (date(2026, 11, 20), 2, 1, 2, True),
    ]


def test_last_flag_marks_the_last_snapshot_with_levels_not_the_last_chain(built):
    found = built.rows(
        "select underlying, event_at from fct_exposure_levels "
        "where is_session_last and session_date = '2026-11-20' order by 1"
    )
    assert found == [
        ("SPX", datetime(2026, 11, 20, 20, 45, tzinfo=UTC)),
        ("SPY", datetime(2026, 11, 20, 15, 0, tzinfo=UTC)),
    ]


def test_levels_keep_their_lists_and_nulls(built):
    found = built.rows(
        "select underlying, flip_price, flip_status, flip_prices, quality_reasons, "
        "exposure_level_id from fct_exposure_levels "
        "where is_session_last and session_date = '2026-11-18' order by 1"
    )
    instant = "2026-11-18T20:45:00.000000Z"
    assert found == [
        ("SPX", 5010.0, "ok", [4900.0, 5010.0], [], f"SPX|{instant}|naive"),
        ("SPY", None, "none_in_range", [], [], f"SPY|{instant}|naive"),
    ]


def test_levels_carry_their_bands_and_expected_moves(built):
    found = built.rows(
        "select underlying, flip_lo, flip_median, flip_hi, flip_convention_lo, flip_convention_hi, "
        "flip_sticky_moneyness, net_gamma_lo_usd_per_pct, net_gamma_hi_usd_per_pct, "
        "call_wall_stability, put_wall_stability, band_resamples, expected_move_straddle_usd "
        "from fct_exposure_levels where is_session_last and session_date = '2026-11-19' order by 1"
    )
    spx = (5005.0, 5009.0, 5015.0, 4990.0, 5012.0, 5003.0, 209.0, 211.0)
    spy = (*[None] * 6, 15.0, 17.0)
    draws = (0.9, None, 200, 40.0)
    assert found == [("SPX", *spx, *draws), ("SPY", *spy, *draws)]


def test_conventions_state_their_distance_from_ours(built):
    found = built.rows(
        "select variant, in_inferred_band, flip_difference_usd, flip_difference_pct, "
        "net_gamma_difference_usd_per_pct from fct_flip_conventions "
        "where is_session_last and session_id = 'SPX|2026-11-19' order by 1"
    )
    assert found == [
        ("base", True, 0.0, 0.0, 0.0),
        ("filter_volume", False, None, None, -52.5),
        ("forward_zero", False, -20.0, pytest.approx(-20 / 5010), -52.5),
        ("unquoted_at_ask", True, 2.0, pytest.approx(2 / 5010), -52.5),
    ]


def test_conventions_of_an_earlier_snapshot_are_kept_and_not_flagged(built):
    found = built.rows(
        "select event_at, is_session_last, count(*) from fct_flip_conventions "
        "where session_id = 'SPX|2026-11-20' group by all order by 1"
    )
    assert found == [
        (datetime(2026, 11, 20, 15, 0, tzinfo=UTC), False, 4),
        (datetime(2026, 11, 20, 20, 45, tzinfo=UTC), True, 4),
    ]


def test_forced_flow_is_of_the_last_snapshot_with_levels(built):
    found = built.rows(
        "select event_at, hours_ahead, vol_shift_points, spot_level, forced_flow_usd, "
        "gamma_flow_usd, vanna_flow_usd, charm_flow_usd, residual_flow_usd, expired_flow_usd "
        "from fct_forced_flow where session_id = 'SPY|2026-11-20' order by hours_ahead, spot_level"
    )
    # gamma 8 at the session's first snapshot; the second has an unsound surface
    instant = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    assert found == [
        (instant, 0.0, 0.0, 500.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (instant, 0.0, 0.0, 510.0, -9.0, -16.0, 0.0, 0.0, 7.0, 0.0),
        (instant, 24.0, -5.0, 495.0, 103.0, 8.0, 120.0, -32.0, 7.0, 2.0),
    ]


def test_surface_slices_carry_method_age_and_where_their_forward_comes_from(built):
    found = built.rows(
        "select root, method, age_seconds, atm_vol, rate, rate_source, carry, forward_method, "
        "forward_quality, abs(forward - spot * exp(carry * year_fraction)) < 1e-9 "
        "from fct_vol_surface where session_id = 'SPX|2026-11-20' order by root"
    )
    forward = (0.04, "curve", 0.03, "parity", "ok", True)
    assert found == [("SPX", "aged", 60.0, 0.2, *forward), ("SPXW", "fit", None, 0.2, *forward)]


def test_surface_quality_flags_the_last_surface_even_where_it_is_not_sound(built):
    found = built.rows(
        "select event_at, is_session_last, is_sound, reasons, fitted_share "
        "from fct_surface_quality where session_id = 'SPY|2026-11-20' order by 1"
    )
    assert found == [
        (datetime(2026, 11, 20, 15, 0, tzinfo=UTC), False, True, [], 1.0),
        (datetime(2026, 11, 20, 20, 45, tzinfo=UTC), True, False, ["few_in_spread"], 1.0),
    ]


def test_exposure_by_strike_adds_calls_and_puts_of_the_last_snapshot(built):
    found = built.rows(
        "select strike, contracts, call_gamma_exposure_usd_per_pct, "
        "put_gamma_exposure_usd_per_pct, net_gamma_exposure_usd_per_pct, "
        "gross_gamma_exposure_usd_per_pct, net_delta_exposure_usd, "
        "net_vanna_exposure_usd_per_vol_pt, net_charm_exposure_usd_per_day, "
        "net_volga_exposure_usd_per_vol_pt2 "
        "from fct_exposure_by_strike where session_id = 'SPX|2026-11-20' order by strike"
    )
    assert found == [
        (5000.0, 2, 200.0, -120.0, 80.0, 320.0, 160.0, 240.0, 320.0, 400.0),
        (5100.0, 1, 10.0, 0.0, 10.0, 10.0, 20.0, 30.0, 40.0, 50.0),
    ]


def test_daily_exposure_is_split_by_expiry_bucket_and_right(built):
    found = built.rows(
        'select dte_bucket, "right", contracts, position_contracts, delta_exposure_usd, '
        "gamma_exposure_usd_per_pct, volga_exposure_usd_per_vol_pt2 "
        "from fct_dealer_exposure_daily where session_id = 'SPX|2026-11-20' order by 1, 2"
    )
    assert found == [
        ("0dte", "call", 1, 10.0, 20.0, 10.0, 50.0),
        ("8-45", "call", 1, 10.0, 400.0, 200.0, 1000.0),
        ("8-45", "put", 1, -10.0, -240.0, -120.0, -600.0),
    ]


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        (
            "SPXW261218C05000000",
            [
                (100.0, None, None),
                (130.0, date(2026, 11, 18), 30.0),
                (125.0, date(2026, 11, 19), -5.0),
            ],
        ),
        # not held on the 19th: compared with the 18th, and the row says so
        ("SPXW261218P05000000", [(50.0, None, None), (45.0, date(2026, 11, 18), -5.0)]),
        # open interest not known on the 19th: neither that change nor the next one is
        (
            "SPX261120C05100000",
            [(7.0, None, None), (None, date(2026, 11, 18), None), (9.0, date(2026, 11, 19), None)],
        ),
    ],
    ids=["held every session", "gap", "unknown open interest"],
)
def test_open_interest_change_is_against_the_previous_held_session(built, symbol, expected):
    found = built.rows(
        "select open_interest_contracts, previous_session_date, open_interest_change_contracts "
        f"from fct_contract_daily where symbol = '{symbol}' order by session_date"
    )
    assert found == expected


def test_contract_daily_carries_our_vol_and_greeks(built):
    found = built.rows(
        "select volume_contracts, implied_vol, delta, gamma, snapshots from fct_contract_daily "
        "where contract_daily_id = '2026-11-20|SPY261218C00500000'"
    )
    assert found == [(3.0, 0.2, 0.5, 8.0, 2)]


def test_contract_dimension_states_terms_and_first_and_last_session(built):
    found = built.rows(
        'select root, expiry_date, strike, "right", exercise, settlement, multiplier, '
        "first_session_date, last_session_date from dim_contracts order by symbol"
    )
    first, last = date(2026, 11, 18), date(2026, 11, 20)
    december = date(2026, 12, 18)
    assert found == [
        ("SPX", last, 5100.0, "call", "european", "am", 100.0, first, last),
        ("SPXW", december, 5000.0, "call", "european", "pm", 100.0, first, last),
        ("SPXW", december, 5000.0, "put", "european", "pm", 100.0, first, last),
        ("SPY", december, 500.0, "call", "american", "pm", 100.0, first, last),
    ]


def test_session_is_partial_only_when_no_source_of_its_last_snapshot_is_whole(built):
    found = built.rows(
        "select session_id, snapshots, contracts, providers, is_partial, findings "
        "from dim_sessions where session_date >= '2026-11-19' order by session_date, underlying"
    )
    assert found == [
        ("SPX|2026-11-19", 2, 2, ["simulator"], False, ["delayed"]),
        ("SPY|2026-11-19", 2, 1, ["simulator"], True, ["delayed"]),
        ("SPX|2026-11-20", 2, 3, ["import", "simulator"], False, ["delayed", "thin"]),
        ("SPY|2026-11-20", 2, 1, ["simulator"], True, ["delayed"]),
    ]


def test_measures_say_where_an_anomaly_begins(built):
    marked = built.rows(
        "select is_session_last, is_new_anomaly, severity, history_sessions "
        "from fct_underlying_scores where is_anomaly order by event_at"
    )
    assert marked == [(True, True, "severe", 60)] * 3
    others = built.rows(
        "select distinct is_new_anomaly, status from fct_underlying_scores "
        "where not is_anomaly order by status"
    )
    assert others == [(False, "not_determined"), (False, "ok"), (False, "thin")]


def test_regimes_stand_beside_their_base_rate_and_what_followed(built):
    found = built.rows(
        "select regime, previous_regime, is_same_regime, previous_regime_share, earlier_sessions, "
        "is_same_gamma_sign, round(next_move_pct, 3) from fct_regimes order by session_date"
    )
    assert found == [
        ("gamma_pin", None, None, None, None, None, 0.995),
        ("gamma_pin", "gamma_pin", True, 1.0, 1, True, 0.0),
        ("neutral", "gamma_pin", False, 1.0, 2, False, None),
    ]


def test_metrics_and_the_index_group_are_of_the_last_snapshot(built):
    buckets = built.rows(
        "select dte_bucket, net_gamma_exposure_usd_per_pct, hour(event_at) "
        "from fct_exposure_metrics where session_date = '2026-11-20' order by 1"
    )
    assert buckets == [("0dte", 4e6, 20), ("46+", 2e6, 20), ("all", 6e6, 20)]
    total = built.rows(
        "select sum(net_gamma_exposure_usd_per_pct) filter (where not is_total), "
        "sum(net_gamma_exposure_usd_per_pct) filter (where is_total), min(session_id) "
        "from fct_combined_exposure where session_date = '2026-11-20'"
    )
    assert total == [(4e6, 4e6, "SPX|2026-11-20")]


def test_units_travel_with_the_warehouse(built):
    found = built.rows(
        "select comment from duckdb_columns() where table_name = 'fct_exposure_by_strike' "
        "and column_name = 'net_gamma_exposure_usd_per_pct'"
    )
    assert "USD of dealer delta per +1 % of spot" in found[0][0]


def test_published_file_answers_views_under_its_final_name(built, tmp_path):
    import duckdb

    published = tmp_path / "warehouse.duckdb"
    published.write_bytes(built.warehouse.read_bytes())
    with duckdb.connect(str(published), read_only=True) as connection:
        query = "select count(*) from int_session_last_snapshots__selected"
        assert connection.execute(query).fetchall() == [(6,)]


def test_minutes_of_live_gamma_have_their_range_flow_and_gap(built):
    found = built.rows(
        "select minute_at, known_at, seconds, spot, net_gamma_open_usd_per_pct, "
        "net_gamma_high_usd_per_pct, net_gamma_low_usd_per_pct, net_gamma_close_usd_per_pct, "
        "cumulative_hedge_flow_usd, cumulative_absolute_hedge_flow_usd, has_feed_gap, session_id "
        "from fct_intraday_gamma_1m where model = 'naive' order by 1"
    )
    first, second, third = (datetime(2026, 11, 20, 15, minute, tzinfo=UTC) for minute in (0, 1, 2))
    session = "SPX|2026-11-20"
    assert found == [
        (first, second, 2, 5005.0, 100.0, 120.0, 100.0, 120.0, -13.0, 87.0, False, session),
        (second, third, 1, 4995.0, 110.0, 110.0, 110.0, 110.0, -3.0, 97.0, True, session),
    ]


def test_the_live_estimate_stands_beside_the_others_with_its_error(built):
    found = built.rows(
        "select model, net_gamma_close_usd_per_pct, net_gamma_sd_usd_per_pct, "
        "settled_open_interest_share from fct_intraday_gamma_1m "
        "where minute_at = (select min(minute_at) from fct_intraday_gamma_1m) order by 1"
    )
    assert found == [
        ("live_reconciled", 60.0, 12.0, 0.95),
        ("naive", 120.0, None, None),
        ("session_flow", 12.0, None, None),
    ]


def test_minutes_of_0dte_flow_leave_out_other_expiries_and_seconds(built):
    found = built.rows(
        'select minute_at, "right", trades, volume_contracts, volume_of_1, volume_of_10_to_99, '
        "hedge_flow_usd, cumulative_hedge_flow_usd, cumulative_absolute_hedge_flow_usd "
        "from fct_flow_0dte_1m order by 1"
    )
    first, second = (datetime(2026, 11, 20, 15, minute, tzinfo=UTC) for minute in (0, 1))
    assert found == [
        (first, "call", 2, 43.0, 3.0, 40.0, -20.0, -20.0, 80.0),
        (second, "call", 1, 1.0, 1.0, 0.0, 10.0, -10.0, 90.0),
    ]


def test_a_row_that_lies_in_two_parts_is_read_once(built):
    assert built.rows("select count(*) from stg_lake__live_gamma") == [(9,)]


def test_precision_adds_up_hits_and_trials_of_the_trailing_sessions(built):
    found = built.rows(
        "select session_date, recall, trailing_recall, trailing_sessions, precision_share, "
        "false_discovery_share from agg_anomaly_precision "
        "where method = 'own' and injected_kind = 'volume' order by 1"
    )
    days = [date(2026, 11, day) for day in (18, 19, 20)]
    assert found == [
        (days[0], 0.8, 0.8, 1, 1.0, 0.0625),
        (days[1], 0.9, 0.85, 2, 1.0, 0.0625),
        (days[2], 1.0, 0.9, 3, 1.0, 0.0625),
    ]
    standing = built.rows(
        "select method, snapshots_with_discoveries, trailing_any_discovery_share, alerted_rows "
        "from agg_anomaly_precision where injected_kind = 'none' and session_date = '2026-11-20' "
        "order by 1"
    )
    assert standing == [("own", 0.0, 0.0, 1.0), ("plain_z3", 1.0, 0.125, 1.0)]
