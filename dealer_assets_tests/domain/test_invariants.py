"""Invariants: each holds on a clean snapshot and fails, alone, on its own seeded fault."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.fitted import fitted_of
from dealer_assets.domain.exposure.pins import pin_levels
from dealer_assets.domain.exposure.snapshot import band_of, expose, scenarios_of
from dealer_assets.domain.history import daily_history, volume_deltas
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.surface.rows import grid_of, quality_of, surface_of
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.anomaly_rows import quality_faults, quality_tables
from dealer_assets_tests.domain.evaluation_rows import evaluation_faults, evaluation_tables
from dealer_assets_tests.domain.metric_rows import regime_faults, regime_tables
from dealer_assets_tests.domain.scored_rows import scored_faults, scored_tables
from dealer_assets_tests.domain.synthetic import EVENT_AT, chain, whole_chain
from dealer_assets_tests.live_rows import row as live_row

SPX = underlying("SPX")


def traded_chain(event_at=EVENT_AT, **fields):
    contracts = [item | {"volume_contracts": 3.0} | fields for item in whole_chain()]
    return chain(contracts, event_at=event_at)


def tables_of(rows):
    """Every table of one snapshot, by name."""
    forwards = forwards_of(rows, curve=None)
    priced = price_chain(rows, forwards)
    surface = surface_of(rows, priced, tables.VOL_SURFACE.schema.empty_table())
    quality = quality_of(rows, priced, surface)
    fitted = fitted_of(forwards, surface, quality)
    exposure = expose(rows, priced, model="naive", market=fitted)
    deltas = volume_deltas(rows)
    return {
        tables.CHAIN_SNAPSHOTS.name: rows,
        tables.FORWARDS.name: forwards,
        tables.CONTRACT_GREEKS.name: priced,
        tables.VOL_SURFACE.name: surface,
        tables.SURFACE_QUALITY.name: quality,
        tables.GREEK_SURFACE.name: grid_of(surface),
        tables.LEVEL_BAND.name: band_of(rows, priced, model="naive", market=fitted),
        tables.SCENARIO_GRID.name: scenarios_of(priced, model="naive"),
        tables.DEALER_EXPOSURE.name: exposure.exposure_table,
        tables.EXPOSURE_LEVELS.name: exposure.levels,
        tables.GAMMA_PROFILE.name: exposure.profile_table,
        tables.VOLUME_DELTAS.name: deltas,
        tables.DAILY_HISTORY.name: daily_history(rows, deltas, priced=priced),
        tables.LIVE_RECONCILIATION.name: reconciled(),
        **regime_tables(),
        **quality_tables(),
        **evaluation_tables(),
        **scored_tables(),
        tables.PIN_LEVELS.name: pin_levels(exposure.exposure_table, exposure.levels),
        tables.STRIKE_CHANGES.name: changed(),
        tables.LEVEL_SCORES.name: scored(),
        tables.SIGNED_FLOW.name: signed(),
        tables.DEALER_POSITIONS.name: settled(),
        tables.POSITION_SCORES.name: usual(),
    }


def changed():
    """A strike whose force positions and prices changed."""
    row = live_row(
        tables.STRIKE_CHANGES,
        force_change_usd_per_pct=3.0,
        force_by_position_usd_per_pct=5.0,
        force_by_book_usd_per_pct=0.0,
        force_by_price_usd_per_pct=-2.0,
    )
    return pa.Table.from_pylist([row], schema=tables.STRIKE_CHANGES.schema)


def scored():
    """A level that was touched and held."""
    row = live_row(
        tables.LEVEL_SCORES,
        level_price=5050.0,
        low_price=5000.0,
        high_price=5051.0,
        is_scored=True,
        is_touched=True,
        is_held=True,
        is_closed_beyond=False,
    )
    return pa.Table.from_pylist([row], schema=tables.LEVEL_SCORES.schema)


def reconciled():
    """A contract of which live and published tape agree."""
    row = live_row(tables.LIVE_RECONCILIATION, missing_prints=0, is_change_within_volume=True)
    return pa.Table.from_pylist([row], schema=tables.LIVE_RECONCILIATION.schema)


def signed():
    """A contract of which seven were traded, four of them with a side."""
    row = live_row(
        tables.SIGNED_FLOW,
        volume_contracts=7.0,
        signed_volume_contracts=4.0,
        apart_volume_contracts=3.0,
        customer_net_contracts=2.0,
        customer_net_sd_contracts=5.0,
        squared_size_contracts2=25.0,
        mean_confidence=0.75,
    )
    return pa.Table.from_pylist([row], schema=tables.SIGNED_FLOW.schema)


def settled():
    """A contract of whose open interest dealers are short a third."""
    row = live_row(
        tables.DEALER_POSITIONS,
        model="reconciled",
        open_interest_contracts=30.0,
        open_interest_state="ok",
        position_contracts=-10.0,
        position_lo_contracts=-16.0,
        position_hi_contracts=-4.0,
    )
    return pa.Table.from_pylist([row], schema=tables.DEALER_POSITIONS.schema)


def usual():
    """A session that was foretold as well as those before it."""
    row = live_row(
        tables.POSITION_SCORES,
        model="reconciled",
        change_skill=0.5,
        usual_skill=0.5,
        change_coverage=0.9,
        usual_change_coverage=0.9,
        net_coverage=0.9,
        truth_coverage=0.9,
        sign_ece=0.01,
        usual_ece=0.01,
        sessions_before=20,
    )
    return pa.Table.from_pylist([row], schema=tables.POSITION_SCORES.schema)


@pytest.fixture(scope="module")
def clean():
    return tables_of(traded_chain())


def replaced(rows, column, values):
    """Rows with one column's values changed."""
    place = rows.schema.get_field_index(column)
    field = rows.schema.field(column)
    return rows.set_column(place, field, pa.array(values, field.type))


def scaled(rows, column, factor, share=1.0):
    """Rows with the first share of a column multiplied."""
    values = np.array(rows[column].to_pylist(), np.float64)
    values[: int(np.ceil(share * values.size))] *= factor
    return replaced(rows, column, values)


def without_bids(rows):
    count = rows.num_rows
    return replaced(rows, "bid", [0.0] * (count * 2 // 3) + [9.0] * (count - count * 2 // 3))


def nan_exposure(rows):
    values = rows["charm_exposure_usd_per_day"].to_pylist()
    return replaced(rows, "charm_exposure_usd_per_day", [float("nan"), *values[1:]])


def spot_moved(rows):
    return scaled(rows, "spot", 1.0003)


FAULTS = {
    ("chain_snapshots", "quotes_two_sided"): without_bids,
    ("chain_snapshots", "open_interest_present"): lambda rows: scaled(
        rows, "open_interest_contracts", 0.0
    ),
    ("chain_snapshots", "chain_complete"): lambda rows: rows.filter(
        pc.greater(rows["strike"], 5500.0)
    ),
    ("contract_greeks", "vols_determined"): lambda rows: replaced(
        rows, "iv_source", ["interpolated"] * rows.num_rows
    ),
    ("contract_greeks", "vols_in_range"): lambda rows: scaled(rows, "implied_vol", 200.0, 1e-3),
    ("contract_greeks", "parity_holds"): lambda rows: replaced(
        rows, "forward_residual", [1.5] * rows.num_rows
    ),
    ("contract_greeks", "gamma_not_negative"): lambda rows: scaled(rows, "gamma", -1.0, 1e-3),
    ("forwards", "forwards_told"): lambda rows: replaced(
        rows, "quality", ["parity_broken"] * rows.num_rows
    ),
    ("vol_surface", "no_butterfly_arbitrage"): lambda rows: scaled(
        rows, "butterfly_slack", -1.0, 0.1
    ),
    ("vol_surface", "no_calendar_arbitrage"): lambda rows: replaced(
        rows, "calendar_slack", [-1e-3] * rows.num_rows
    ),
    ("surface_quality", "surface_sound"): lambda rows: replaced(rows, "is_sound", [False]),
    ("greek_surface", "gamma_not_negative"): lambda rows: scaled(rows, "gamma", -1.0, 1e-3),
    ("level_band", "base_is_ours"): lambda rows: rows.filter(pc.not_equal(rows["axis"], "base")),
    ("scenario_grid", "flow_adds_up"): lambda rows: scaled(rows, "gamma_flow_usd", 1.001),
    ("dealer_exposure", "exposures_finite"): nan_exposure,
    ("exposure_levels", "band_ordered"): lambda rows: scaled(rows, "net_gamma_lo_usd_per_pct", 2.0),
    ("exposure_levels", "net_is_sum"): lambda rows: scaled(
        rows, "net_gamma_exposure_usd_per_pct", 1.001
    ),
    ("exposure_levels", "publishable"): lambda rows: replaced(
        rows, "quality_reasons", [["partial_chain"]]
    ),
    ("gamma_profile", "holds_spot"): spot_moved,
    ("volume_deltas", "volumes_not_negative"): lambda rows: scaled(
        rows, "volume_delta_contracts", -1.0, 1e-3
    ),
    ("daily_history", "session_not_interrupted"): lambda rows: replaced(
        rows, "is_interrupted", [True] * rows.num_rows
    ),
    ("daily_history", "volumes_not_negative"): lambda rows: scaled(
        rows, "volume_contracts", -1.0, 1e-3
    ),
    ("signed_flow", "flow_within_volume"): lambda rows: scaled(
        rows, "signed_volume_contracts", 2.0
    ),
    ("pin_levels", "strengths_add_up"): lambda rows: scaled(rows, "pin_strength", 1.1),
    ("strike_changes", "changes_add_up"): lambda rows: scaled(
        rows, "force_by_price_usd_per_pct", 2.0
    ),
    ("level_scores", "outcomes_fit_prices"): lambda rows: replaced(rows, "is_touched", [False]),
    ("dealer_positions", "within_open_interest"): lambda rows: scaled(
        rows, "open_interest_contracts", 0.1
    ),
    ("dealer_positions", "quantiles_in_order"): lambda rows: scaled(
        rows, "position_hi_contracts", 5.0
    ),
    ("dealer_positions", "counts_compared"): lambda rows: replaced(
        rows, "open_interest_state", ["wiped"]
    ),
    ("position_scores", "score_is_usual"): lambda rows: scaled(rows, "change_skill", 0.2),
    ("live_reconciliation", "every_print_live"): lambda rows: replaced(rows, "missing_prints", [3]),
    ("live_reconciliation", "change_within_volume"): lambda rows: replaced(
        rows, "is_change_within_volume", [False]
    ),
}


FAULTS |= regime_faults(replaced, scaled)
FAULTS |= quality_faults()
FAULTS |= evaluation_faults()
FAULTS |= scored_faults(replaced)


def invariants():
    return [(name, invariant) for name, many in INVARIANTS.items() for invariant in many]


def test_every_invariant_has_a_seeded_fault_here():
    assert set(FAULTS) == {(name, invariant.name) for name, invariant in invariants()}
    known = {table.name for table in tables.TABLES}
    assert set(INVARIANTS) <= known


@pytest.mark.parametrize(
    ("name", "invariant"), invariants(), ids=lambda item: getattr(item, "name", item)
)
def test_invariant_holds_on_a_clean_snapshot(clean, name, invariant):
    verdict = invariant.judge(clean[name], SPX)
    assert verdict.holds, verdict.text
    assert clean[name].num_rows > 0


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_seeded_fault_fails_its_invariant_and_no_other(clean, name, fault):
    rows = FAULTS[name, fault](clean[name])
    failed = [i.name for i in INVARIANTS[name] if not i.judge(rows, SPX).holds]
    assert failed == [fault]


@pytest.mark.parametrize(
    ("name", "invariant"), invariants(), ids=lambda item: getattr(item, "name", item)
)
def test_invariant_of_no_rows_gives_a_verdict(name, invariant):
    verdict = invariant.judge(tables.table(name).schema.empty_table(), SPX)
    assert verdict.text
    assert all(np.isfinite(value) for value in verdict.numbers.values())


def test_verdict_says_what_was_expected_and_found(clean):
    rows = FAULTS["chain_snapshots", "quotes_two_sided"](clean["chain_snapshots"])
    (invariant,) = (i for i in INVARIANTS["chain_snapshots"] if i.name == "quotes_two_sided")
    verdict = invariant.judge(rows, SPX)
    assert "expected at least 50%" in verdict.text
    assert verdict.numbers["two_sided_share"] == pytest.approx(1 / 3, abs=0.02)
    assert verdict.numbers["live_contracts"] == rows.num_rows


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("chain_snapshots", "quotes_two_sided"),
        ("chain_snapshots", "open_interest_present"),
        ("gamma_profile", "holds_spot"),
    ],
)
def test_faulty_snapshot_is_not_hidden_by_good_ones(clean, name, fault):
    """Rows are one or more snapshots: a rebuild judges a session's 390 together."""
    (invariant,) = (i for i in INVARIANTS[name] if i.name == fault)
    bad = FAULTS[name, fault](clean[name])
    later = pa.array([EVENT_AT + timedelta(minutes=1)] * bad.num_rows, tables.INSTANT)
    bad = bad.set_column(
        bad.schema.get_field_index("event_at"), bad.schema.field("event_at"), later
    )
    assert not invariant.judge(pa.concat_tables([clean[name], bad]), SPX).holds
