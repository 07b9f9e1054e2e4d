"""Seeded violations of the marts' rules in the hand-made lake, each where no other rule looks.

Belongs here: how rows are spoilt, and the names of the rules that have to notice. Does not belong
here: the rows themselves (`small_lake`, `live_lake`), running dbt.
"""

from __future__ import annotations

from datetime import UTC, datetime

from dealer_assets_tests.dbt.alert_lake import ALERT_RULES, violate_alerts
from dealer_assets_tests.dbt.anomaly_lake import ANOMALY_RULES, violate_anomalies
from dealer_assets_tests.dbt.evaluation_lake import EVALUATION_RULES, violate_evaluation
from dealer_assets_tests.dbt.feature_lake import FEATURE_RULES, violate_features
from dealer_assets_tests.dbt.measure_lake import MEASURE_RULES, violate_measures
from dealer_assets_tests.dbt.pin_lake import PIN_RULES, violate_pins
from dealer_assets_tests.dbt.position_lake import POSITION_RULES, violate_positions
from dealer_assets_tests.dbt.quality_lake import QUALITY_RULES, violate_quality
from dealer_assets_tests.dbt.regime_lake import REGIME_RULES, violate_regimes


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
    violate_live(rows)
    violate_measures(rows)
    violate_pins(rows)
    violate_positions(rows)
    violate_regimes(rows)
    violate_features(rows)
    violate_anomalies(rows)
    violate_quality(rows)
    violate_evaluation(rows)
    violate_alerts(rows)
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
    level(rows, "SPX", at(18, 20, 45))["unpositioned_oi_share"] = 1.5
    level(rows, "SPX", at(19, 15)).update(net_delta_lo_usd=1e9, net_delta_hi_usd=2e9)
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


def violate_live(rows):
    def second(clock, model):
        instant = at(20, 15, int(clock[3:5])).replace(second=int(clock[6:]))
        wanted = {"event_at": instant, "model": model}
        return [r for r in rows["live_gamma"] if wanted.items() <= r.items()]

    for row in second("15:01:01", "naive"):
        row["put_gamma_exposure_usd_per_pct"] = 0.0
        row["quoted_share"] = 2.0
    for row in second("15:01:01", "session_flow"):
        row["gross_gamma_exposure_usd_per_pct"] = 1.0
    for row in second("15:01:01", "live_reconciled"):
        row["net_gamma_sd_usd_per_pct"] = None
    late = found(rows, "live_flow", "SPX", at(20, 15, 1))
    late["absolute_hedge_flow_usd"] = -200.0
    late["size_bucket"] = "many"
    seconds = [r for r in rows["live_gamma"] if "part" not in r]
    double = seconds[0] | {"stream_sequence": 99}
    rows["live_gamma"] += [double | {"stream_sequence": 99 + i} for i in range(60)]
    off = found(rows, "live_flow", "SPX", at(20, 15), interval="minute")
    rows["live_flow"].append(
        off | {"event_at": at(20, 15, 2).replace(second=30), "stream_sequence": 99}
    )


VIOLATED_RULES = {
    *ANOMALY_RULES,
    *ALERT_RULES,
    *EVALUATION_RULES,
    *FEATURE_RULES,
    *MEASURE_RULES,
    *PIN_RULES,
    *POSITION_RULES,
    *QUALITY_RULES,
    *REGIME_RULES,
    "intraday_net_gamma_is_calls_plus_puts",
    "intraday_gross_gamma_covers_net",
    "intraday_seconds_are_of_one_minute",
    "intraday_shares_are_shares",
    "intraday_error_is_of_the_estimate_alone",
    "flow_0dte_is_no_larger_than_without_sign",
    "flow_0dte_volume_is_the_sum_of_its_sizes",
    "flow_0dte_starts_on_the_minute",
    "strikes_gamma_sums_to_session_net",
    "buckets_gamma_sums_to_session_net",
    "levels_net_is_calls_plus_puts",
    "levels_gross_covers_net",
    "levels_flip_status_fits_flip_price",
    "levels_flip_price_is_a_crossing",
    "levels_publishable_has_no_reasons",
    "levels_bands_are_ordered",
    "levels_positions_intervals_hold_their_nets",
    "levels_unpositioned_share_is_a_share",
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
