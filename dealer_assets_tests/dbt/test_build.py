"""dbt build as a gate: what has to pass passes, a seeded violation fails by its test's name."""

from datetime import UTC, datetime

import pytest

pytestmark = [pytest.mark.dbt, pytest.mark.slow]

MARTS = (
    "fct_exposure_levels",
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
    "int_session_last_snapshots__selected",
)


def at(day, hour, minute=0):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def level(rows, underlying, instant):
    return next(
        row
        for row in rows["exposure_levels"]
        if (row["underlying"], row["event_at"]) == (underlying, instant)
    )


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
    # levels of a session that the lake holds no chain of
    orphan = {column: 0.0 for column in last if "_exposure_" in column}
    lost = {"session_date": at(23, 15).date(), "event_at": at(23, 15), **orphan}
    rows["exposure_levels"].append(last | lost)
    return rows


VIOLATED_RULES = {
    "strikes_gamma_sums_to_session_net",
    "buckets_gamma_sums_to_session_net",
    "levels_net_is_calls_plus_puts",
    "levels_gross_covers_net",
    "levels_flip_status_fits_flip_price",
    "levels_flip_price_is_a_crossing",
    "levels_publishable_has_no_reasons",
    "contract_volume_is_not_negative",
    "contract_open_interest_is_not_negative",
    "fct_exposure_levels_session_id_is_in_dim_sessions",
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
        "strike_exposures_add_up_over_roots_expiries_and_rights_of_the_last_snapshot",
        "open_interest_change_is_against_the_contracts_previous_held_session",
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
