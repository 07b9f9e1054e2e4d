"""dbt build as a gate: what has to pass passes, a seeded violation fails by its test's name."""

from datetime import UTC, datetime

import pytest

pytestmark = [pytest.mark.dbt, pytest.mark.slow]

MARTS = (
    "fct_exposure_levels",
    "fct_flip_conventions",
    "fct_forced_flow",
    "fct_vol_surface",
    "fct_surface_quality",
    "fct_dealer_exposure_daily",
    "fct_exposure_by_strike",
    "fct_contract_daily",
    "dim_contracts",
    "dim_sessions",
)
VIEWS = (
    "stg_lake__chain_snapshots",
    "stg_lake__chain_sources",
    "stg_lake__contract_greeks",
    "stg_lake__daily_history",
    "stg_lake__dealer_exposure",
    "stg_lake__exposure_levels",
    "stg_lake__forwards",
    "stg_lake__level_band",
    "stg_lake__scenario_grid",
    "stg_lake__surface_quality",
    "stg_lake__vol_surface",
    "int_session_last_snapshots__selected",
    "int_session_last_surfaces__selected",
)


def at(day, hour, minute=0):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def found(rows, table, underlying, instant, **wanted):
    """Return the first row of a table with this snapshot and these values."""
    wanted |= {"underlying": underlying, "event_at": instant}
    return next(row for row in rows[table] if wanted.items() <= row.items())


def level(rows, underlying, instant):
    return found(rows, "exposure_levels", underlying, instant)


def violated(rows):
    """Seed one violation per rule, each where no other rule looks."""
    # the levels agree with themselves, but not with their strikes and buckets
    last = level(rows, "SPX", at(20, 20, 45))
    for column in ("net", "call", "gross"):
        last[f"{column}_gamma_exposure_usd_per_pct"] += 1.0
    level(rows, "SPX", at(18, 15))["put_gamma_exposure_usd_per_pct"] -= 1.0
    level(rows, "SPX", at(19, 15))["gross_gamma_exposure_usd_per_pct"] = 1.0
    level(rows, "SPY", at(18, 15))["flip_status"] = "ok"
    level(rows, "SPX", at(20, 15))["flip_price"] = 4950.0
    level(rows, "SPY", at(19, 15))["is_publishable"] = False
    rows["daily_history"][0]["volume_contracts"] = -1.0
    rows["daily_history"][1]["open_interest_contracts"] = -1.0
    violate_bands(rows)
    violate_scenarios(rows)
    violate_surfaces(rows)
    # derived rows of a session that the lake holds no chain of
    lost = {"session_date": at(23, 15).date(), "event_at": at(23, 15)}
    orphan = {column: 0.0 for column in last if "_exposure_" in column}
    rows["exposure_levels"].append(last | lost | orphan)
    for table in ("level_band", "scenario_grid", "forwards", "vol_surface", "surface_quality"):
        whole = [r for r in rows[table] if r["underlying"] == "SPX" and r["event_at"] == at(20, 15)]
        rows[table] += [row | lost for row in whole]
    # after the copies: a convention outside the band of its levels
    open_one = found(rows, "level_band", "SPX", at(20, 15), variant="unquoted_at_ask")
    open_one["flip_price"] = 5013.0
    return rows


def violate_bands(rows):
    level(rows, "SPX", at(18, 15))["flip_oi_age_lo"] = 5030.0
    level(rows, "SPX", at(18, 20, 45))["flip_sticky_moneyness_lo"] = None
    level(rows, "SPX", at(19, 15))["flip_band_pct"] = 0.5
    level(rows, "SPX", at(19, 20, 45))["band_resamples"] = 0
    level(rows, "SPX", at(20, 15))["call_wall_stability"] = 1.5
    level(rows, "SPY", at(18, 15))["expected_move_vol_365_usd"] = 70.0
    found(rows, "level_band", "SPX", at(18, 15), variant="filter_volume")["axis"] = "base"
    unflipped = found(rows, "level_band", "SPX", at(18, 20, 45), variant="filter_volume")
    unflipped["flip_status"] = "ok"
    found(rows, "level_band", "SPY", at(18, 15))["in_convention_band"] = True
    settled = found(rows, "level_band", "SPX", at(19, 15), variant="forward_zero")
    settled["gross_gamma_exposure_usd_per_pct"] = 0.0
    rows["level_band"].remove(found(rows, "level_band", "SPY", at(19, 15), variant="base"))


def violate_scenarios(rows):
    found(rows, "scenario_grid", "SPX", at(18, 20, 45), spot_shift_pct=2.0)["forced_flow_usd"] += (
        1.0
    )
    unmoved = found(rows, "scenario_grid", "SPX", at(19, 20, 45), spot_shift_pct=0.0)
    unmoved |= {"vanna_flow_usd": 5.0, "residual_flow_usd": -5.0}
    traded = found(rows, "scenario_grid", "SPX", at(20, 20, 45), spot_shift_pct=0.0)
    traded |= {"forced_flow_usd": 9.0, "residual_flow_usd": 9.0}
    found(rows, "scenario_grid", "SPY", at(18, 20, 45))["expired_flow_usd"] = 1.0


def violate_surfaces(rows):
    found(rows, "vol_surface", "SPX", at(18, 20, 45), method="fit")["age_seconds"] = 5.0
    found(rows, "vol_surface", "SPX", at(19, 20, 45), method="fit")["method"] = "none"
    found(rows, "forwards", "SPX", at(20, 20, 45))["dividend_value"] += 1.0
    found(rows, "forwards", "SPY", at(18, 20, 45))["carry"] = 0.5
    found(rows, "vol_surface", "SPY", at(19, 20, 45))["in_spread_share"] = 1.5
    rows["forwards"].remove(found(rows, "forwards", "SPY", at(20, 20, 45)))
    found(rows, "surface_quality", "SPX", at(18, 15))["ruled"] = 5
    found(rows, "surface_quality", "SPX", at(19, 15))["calendar_violations"] = 9
    found(rows, "surface_quality", "SPX", at(19, 20, 45))["butterfly_slack"] = -1.0
    found(rows, "surface_quality", "SPY", at(18, 15))["is_sound"] = False
    found(rows, "surface_quality", "SPY", at(19, 15))["in_spread_share"] = 2.0


VIOLATED_RULES = {
    "strikes_gamma_sums_to_session_net",
    "buckets_gamma_sums_to_session_net",
    "levels_net_is_calls_plus_puts",
    "levels_gross_covers_net",
    "levels_flip_status_fits_flip_price",
    "levels_flip_price_is_a_crossing",
    "levels_publishable_has_no_reasons",
    "levels_bands_are_ordered",
    "levels_bands_have_both_ends_or_none",
    "levels_band_pct_is_width_over_spot",
    "levels_without_resamples_have_no_band",
    "levels_band_shares_are_shares",
    "levels_expected_moves_are_not_negative",
    "conventions_base_is_the_base_axis",
    "conventions_flip_status_fits_flip_price",
    "conventions_inferred_members_are_members_with_a_flip",
    "conventions_gross_covers_net",
    "conventions_are_held_by_the_bands_of_the_levels",
    "conventions_have_a_base_row",
    "forced_flow_is_the_sum_of_its_parts",
    "forced_flow_first_order_terms_vanish_without_their_shift",
    "forced_flow_is_nothing_where_nothing_moves",
    "forced_flow_of_expiries_needs_expiries",
    "vol_surface_age_is_of_aged_slices",
    "vol_surface_without_a_method_has_no_vol",
    "vol_surface_dividend_value_is_spot_less_discounted_forward",
    "vol_surface_carry_brings_spot_to_forward",
    "vol_surface_in_spread_share_is_a_share",
    "vol_surface_slices_have_a_forwards_row",
    "surface_slices_are_the_expiries",
    "surface_violations_are_at_most_the_expiries",
    "surface_negative_slack_is_counted",
    "surface_sound_has_no_reasons",
    "surface_in_spread_share_is_a_share",
    "contract_volume_is_not_negative",
    "contract_open_interest_is_not_negative",
    *(
        f"fct_{mart}_session_id_is_in_dim_sessions"
        for mart in (
            "exposure_levels",
            "flip_conventions",
            "forced_flow",
            "vol_surface",
            "surface_quality",
        )
    ),
}


def test_each_seeded_violation_fails_the_build_by_its_own_tests_name(
    dbt_build, local_lake, hand_made_rows
):
    done = dbt_build(local_lake(violated(hand_made_rows())), "violated")
    assert done.exit_code != 0
    assert done.failed == VIOLATED_RULES, done.output


def test_hand_made_lake_builds_every_model_and_runs_every_unit_test(built):
    assert set(MARTS + VIEWS) <= {n for n, status in built.statuses.items() if status == "success"}
    unit_tests = [
        "last_snapshot_is_the_latest_with_levels_per_session_and_model",
        "last_surface_is_the_latest_measured_one_of_the_session_sound_or_not",
        "strike_exposures_add_up_over_roots_expiries_and_rights_of_the_last_snapshot",
        "open_interest_change_is_against_the_contracts_previous_held_session",
        "convention_differences_are_against_the_base_of_the_same_snapshot_and_model",
        "forced_flow_states_the_spot_of_each_cell_of_the_last_snapshot",
        "surface_slices_take_the_forward_of_their_own_root_and_snapshot",
        "surface_quality_flags_the_last_measured_snapshot_of_each_session",
    ]
    assert built.unit_tests == dict.fromkeys(unit_tests, "pass")


def test_empty_lake_builds_empty_marts(dbt_build, local_lake):
    done = dbt_build(local_lake({}), "empty")
    assert done.exit_code == 0, done.output
    counts = {mart: done.rows(f"select count(*) from {mart}")[0][0] for mart in MARTS}
    assert counts == dict.fromkeys(MARTS, 0)


def test_same_lake_builds_the_same_rows_on_s3_and_twice(built, dbt_build, hand_made_rows, s3_lake):
    uri, environment = s3_lake(hand_made_rows())
    done = dbt_build(uri, "s3", **environment)
    assert done.exit_code == 0, done.output
    for mart in MARTS:
        query = f"select * from {mart}"  # no order: the build's own has to be the same
        assert done.rows(query) == built.rows(query), mart
    assert environment["AWS_SECRET_ACCESS_KEY"] not in done.log
