"""Pins and changes by strike: by hand, as properties, and on seeded causes."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.exposure.changes import CHANGE_Z, robust_z, strike_changes
from dealer_assets.domain.exposure.pins import (
    DECLARED_REACH,
    MAX_PINS,
    move_column,
    pin_levels,
    proximity,
    reach_of,
    time_weight,
)
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.reports.pin_pictures import (
    alert_words,
    change_picture,
    pin_picture,
    pin_words,
)
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.strike_rows import (
    MOVE,
    SPOT,
    by_strike,
    exposure,
    held,
    levels,
    no_rows,
)
from dealer_assets_tests.domain.synthetic import EVENT_AT

SPX = underlying("SPX")
LATER = EVENT_AT + timedelta(hours=1)
STRIKES = np.arange(4900.0, 5101.0, 10.0)


def pinned(*rows, **levels_of):
    return pin_levels(exposure(*rows), levels(**levels_of))


def test_force_is_the_kernel_times_gamma_weighted_by_time_to_expiry():
    rows = pinned(held(5050, 3.0), held(5050, 2.0, days=1.0), held(5000, 1.0, days=3.0))
    kernel = np.exp(-0.5 * (np.log(5050 / SPOT) / (MOVE / SPOT)) ** 2)
    force = by_strike(rows, "pin_force_usd_per_pct")
    assert force[5050.0] == pytest.approx(kernel * (3e6 + 0.5 * 2e6), rel=1e-12)
    assert force[5000.0] == pytest.approx(0.25 * 1e6, rel=1e-12)
    assert by_strike(rows, "gamma_exposure_usd_per_pct") == {5000.0: 1e6, 5050.0: 5e6}
    assert by_strike(rows, "position_contracts") == {5000.0: 1.0, 5050.0: 5.0}
    assert by_strike(rows, "time_weight")[5050.0] == pytest.approx((3 + 0.5 * 2) / 5)
    assert by_strike(rows, "pin_strength")[5050.0] == pytest.approx(
        force[5050.0] / (force[5050.0] + force[5000.0])
    )
    assert by_strike(rows, "strength_rank") == {5000.0: 2, 5050.0: 1}


def test_kernels_are_one_at_spot_and_at_expiry_and_fall_from_there():
    assert proximity(np.array([SPOT]), SPOT, 0.01)[0] == 1.0
    assert proximity(np.array([SPOT * np.exp(0.01)]), SPOT, 0.01)[0] == pytest.approx(np.exp(-0.5))
    np.testing.assert_allclose(time_weight(np.array([0.0, 1.0, 3.0, -1.0])), [1.0, 0.5, 0.25, 1.0])


def test_direction_says_where_hedging_pushes_spot():
    rows = pinned(
        held(4990, 1.0),
        held(5000, 1.0),
        held(5010, 1.0),
        held(5020, -1.0),
        held(5030, 1.0, unit=0.0),
    )
    assert list(by_strike(rows, "pin_direction").values()) == [
        "pulls_up" if strike > SPOT else "pulls_down" if strike < SPOT else "holds"
        for strike in (4990, 5000, 5010)
    ] + ["repels", "none"]


def test_a_strike_that_stands_out_is_a_pin_and_even_ones_are_none():
    even = [held(strike, 1.0) for strike in STRIKES]
    assert not any(pinned(*even)["is_pin"].to_pylist())
    heavy = [held(k, 30.0 if k in (4990, 5010, 5030, 5050) else 1.0) for k in STRIKES]
    rows = pinned(*heavy).filter(pc.field("is_pin"))
    assert sorted(rows["pin_rank"].to_pylist()) == list(range(1, MAX_PINS + 1))
    assert 5050.0 not in rows["strike"].to_pylist()  # the fourth by force
    pushed = [held(k, -30.0 if k == 5010 else 1.0) for k in STRIKES]
    assert not any(pinned(*pushed)["is_pin"].to_pylist())  # what repels pins nothing


def test_models_are_never_mixed_and_the_name_changes_no_number():
    two = exposure(
        *(held(k, 1.0 + k % 30, model=m) for k in STRIKES for m in ("naive", "reconciled"))
    )
    rows = pin_levels(two, levels())
    parts = [
        rows.filter(pc.equal(rows["model"], m)).drop(["model"]) for m in ("naive", "reconciled")
    ]
    assert parts[0].equals(parts[1])
    alone = pinned(*(held(k, 1.0 + k % 30) for k in STRIKES))
    assert parts[0].equals(alone.drop(["model"]))
    assert {m: float(np.sum(p["pin_strength"].to_numpy())) for m, p in enumerate(parts)} == {
        0: pytest.approx(1.0),
        1: pytest.approx(1.0),
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-500, 500).filter(lambda x: abs(x) > 1e-3), min_size=2, max_size=12),
    st.floats(-20, 20).filter(lambda x: abs(x) > 1e-3),
)
def test_force_is_linear_in_positions_and_gamma_sums_to_the_books(positions, scale):
    strikes = [4950.0 + 10 * i for i in range(len(positions))]
    rows = pinned(*map(held, strikes, positions))
    scaled = pinned(*(held(k, q * scale) for k, q in zip(strikes, positions, strict=True)))
    force = np.array(rows["pin_force_usd_per_pct"].to_pylist())
    np.testing.assert_allclose(scaled["pin_force_usd_per_pct"].to_numpy(), force * scale, rtol=1e-9)
    total = float(np.sum(rows["gamma_exposure_usd_per_pct"].to_numpy()))
    assert total == pytest.approx(sum(positions) * 1e6, rel=1e-9, abs=1e-3)
    assert INVARIANTS["pin_levels"][0].judge(rows, SPX).holds


def test_reach_is_a_sessions_expected_move_or_declared_and_says_which():
    assert reach_of(levels(move=40.0)).share == 40.0 / SPOT
    assert (reach_of(levels(move=None)).share, reach_of(levels(move=None)).source) == (
        DECLARED_REACH,
        "declared",
    )
    assert reach_of(no_rows(tables.EXPOSURE_LEVELS)).source == "declared"
    assert move_column("BTC") == "expected_move_vol_365_usd"
    assert move_column("SPX") == "expected_move_vol_252_usd"
    rows = pinned(held(5000, 1.0), move=None)
    assert set(rows["reach_source"].to_pylist()) == {"declared"}


def test_without_contracts_there_are_no_pins_and_no_force_has_no_strength():
    assert pin_levels(no_rows(tables.DEALER_EXPOSURE), levels()).num_rows == 0
    flat = pinned(held(5000, 1.0, unit=0.0))
    assert flat["pin_strength"].to_pylist() == [None]
    assert INVARIANTS["pin_levels"][0].judge(flat, SPX).holds


# --- changes -------------------------------------------------------------------------------------


def compared(first, second, *, spot=SPOT, move=MOVE):
    """Changes of a session's first and second snapshot."""
    one, two = exposure(*first), exposure(*second)
    opening = strike_changes(
        one,
        pin_levels(one, levels()),
        before=no_rows(tables.DEALER_EXPOSURE),
        previous=no_rows(tables.STRIKE_CHANGES),
    )
    now = levels(at=LATER, spot=spot, move=move)
    return opening, strike_changes(two, pin_levels(two, now), before=one, previous=opening)


def book(at=EVENT_AT, extra=None, spot=SPOT, unit=1e6):
    """Ten contracts at every strike, some more or less where a test wants it."""
    more = extra or {}
    return [
        held(k, 10.0 + more.get(k, 0.0), at=at, spot=spot, unit=unit, days=0.5) for k in STRIKES
    ]


def test_the_sessions_first_snapshot_has_no_change_and_says_so():
    opening, _ = compared(book(), book(at=LATER))
    assert opening["previous_at"].null_count == opening.num_rows
    assert opening["force_change_usd_per_pct"].null_count == opening.num_rows
    assert opening["position_z"].null_count == opening.num_rows
    assert set(opening["position_change_since_first_contracts"].to_pylist()) == {0.0}
    assert set(opening["change_kind"].to_pylist()) == {"none"}
    assert "first snapshot" in alert_words(opening)


def test_changes_are_known_when_the_later_known_of_both_snapshots_is():
    late = LATER + timedelta(hours=3)
    once_more = [row | {"known_at": late} for row in book()]
    opening, changed = compared(once_more, book(at=LATER))
    assert set(opening["known_at"].to_pylist()) == {late}
    assert set(changed["known_at"].to_pylist()) == {late}


def test_a_changed_position_is_told_in_contracts_and_raises_a_candidate():
    _, changed = compared(book(), book(at=LATER, extra={5010: 40.0}))
    row = changed.filter(pc.equal(changed["strike"], 5010.0)).to_pylist()[0]
    assert row["position_change_contracts"] == 40.0
    assert row["position_change_since_first_contracts"] == 40.0
    assert row["book_change_contracts"] == 0.0
    assert row["gamma_by_position_usd_per_pct"] == pytest.approx(40e6)
    assert (row["change_kind"], row["is_changed"], row["is_alert_candidate"]) == (
        "position",
        True,
        True,
    )
    assert "5,010: dealers' position +40 contracts to 50" in row["alert_text"]
    others = changed.filter(pc.not_equal(changed["strike"], 5010.0))
    assert not any(others["is_changed"].to_pylist())
    assert row["previous_at"] == row["first_at"] == EVENT_AT


def test_a_move_of_spot_alone_changes_no_position_and_raises_nothing():
    _, changed = compared(book(), book(at=LATER, spot=SPOT * 1.01, unit=2e6), spot=SPOT * 1.01)
    assert set(changed["position_change_contracts"].to_pylist()) == {0.0}
    assert set(changed["force_by_position_usd_per_pct"].to_pylist()) == {0.0}
    assert max(map(abs, changed["force_change_usd_per_pct"].to_pylist())) > 1e6
    assert set(changed["change_kind"].to_pylist()) <= {"none", "price"}
    assert not any(changed["is_alert_candidate"].to_pylist())


def test_a_jump_of_one_strikes_gamma_without_a_trade_is_the_prices_doing():
    second = [
        row | {"gamma_exposure_usd_per_pct": 60e6} if row["strike"] == 5000.0 else row
        for row in book(at=LATER)
    ]
    _, changed = compared(book(), second)
    kinds = by_strike(changed, "change_kind")
    assert kinds.pop(5000.0) == "price"
    assert set(kinds.values()) == {"none"}


def test_a_contract_that_enters_or_expires_is_the_books_doing():
    gone = [row for row in book(at=LATER) if row["strike"] != 5000.0]
    _, left = compared(book(), gone)
    row = left.filter(pc.equal(left["strike"], 5000.0)).to_pylist()[0]  # told once more, at zero
    assert (row["position_contracts"], row["book_change_contracts"]) == (0.0, -10.0)
    assert (row["change_kind"], row["position_change_contracts"]) == ("book", 0.0)
    _, entered = compared(gone_now(book()), book(at=LATER))
    assert by_strike(entered, "book_change_contracts")[5000.0] == 10.0
    assert by_strike(entered, "change_kind")[5000.0] == "book"


def gone_now(rows):
    return [row for row in rows if row["strike"] != 5000.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_parts_are_the_whole_and_sums_over_the_session_are_last_less_first(seed):
    draw = np.random.default_rng(seed)
    before = no_rows(tables.DEALER_EXPOSURE)
    previous = no_rows(tables.STRIKE_CHANGES)
    forces, held_now = [], []
    for step in range(4):
        at, spot = EVENT_AT + timedelta(minutes=step), SPOT * float(np.exp(draw.normal(0, 0.01)))
        some = draw.permutation(STRIKES)[: draw.integers(3, 20)]
        rows = exposure(
            *(held(k, draw.normal(0, 50), unit=draw.uniform(0.1, 2) * 1e6, at=at, spot=spot,
                   days=1.0 - step / 100, name=f"{k}") for k in some)
        )  # fmt: skip
        pins = pin_levels(rows, levels(at=at, spot=spot, move=float(draw.uniform(20, 90))))
        changes = strike_changes(rows, pins, before=before, previous=previous)
        assert INVARIANTS["strike_changes"][0].judge(changes, SPX).holds
        before, previous = rows, changes
        forces.append(by_strike(changes, "pin_force_usd_per_pct"))
        held_now.append(by_strike(changes, "position_contracts"))
    since = by_strike(previous, "force_change_since_first_usd_per_pct")
    counted = [
        by_strike(previous, f"{what}_change_since_first_contracts") for what in ("position", "book")
    ]
    for strike, change in since.items():
        first = forces[0].get(strike, 0.0)
        assert change == pytest.approx(forces[-1][strike] - first, abs=1e-3)
        moved = counted[0][strike] + counted[1][strike]
        assert moved == pytest.approx(held_now[-1][strike] - held_now[0].get(strike, 0.0), abs=1e-9)


def test_changes_of_a_model_that_appears_later_begin_with_it():
    one = exposure(*book())
    opening = strike_changes(
        one,
        pin_levels(one, levels()),
        before=no_rows(tables.DEALER_EXPOSURE),
        previous=no_rows(tables.STRIKE_CHANGES),
    )
    two = pa.concat_tables(
        [
            exposure(*book(at=LATER)),
            exposure(*(r | {"model": "reconciled"} for r in book(at=LATER))),
        ]
    )
    both = strike_changes(two, pin_levels(two, levels(at=LATER)), before=one, previous=opening)
    new = both.filter(pc.equal(both["model"], "reconciled"))
    assert new["previous_at"].null_count == new.num_rows == STRIKES.size
    assert set(new["first_at"].to_pylist()) == {LATER}


def test_robust_z_needs_a_floor_where_hardly_anything_changes():
    change = np.zeros(50)
    change[7] = 1.0
    near = np.ones(50, bool)
    assert robust_z(change, np.full(50, 1.0), near)[7] == pytest.approx(1.0 / (0.002 * 50))
    assert abs(robust_z(np.ones(50), np.ones(50), near)).max() == 0.0
    noise = np.random.default_rng(1).normal(0, 1, 2001)
    z = robust_z(noise, np.zeros(2001), np.ones(2001, bool))
    assert np.std(z) == pytest.approx(1.0, abs=0.05)
    assert np.mean(np.abs(z) >= CHANGE_Z) == 0.0


@pytest.mark.parametrize(
    ("name", "column"),
    [("pin_levels", "pin_strength"), ("strike_changes", "force_by_price_usd_per_pct")],
)
def test_seeded_fault_fails_its_invariant(name, column):
    _, changed = compared(book(), book(at=LATER, extra={5010: 40.0}))
    rows = changed if name == "strike_changes" else pinned(*book())
    (invariant,) = INVARIANTS[name]
    assert invariant.judge(rows, SPX).holds
    for spoil in (1.5, float("nan"), None):
        values = rows[column].to_pylist()
        values[len(values) // 2] = (
            spoil if spoil is None else values[len(values) // 2] * spoil + 1.0
        )
        place = rows.schema.get_field_index(column)
        bad = rows.set_column(place, rows.schema.field(column), pa.array(values, pa.float64()))
        assert not invariant.judge(bad, SPX).holds
    assert invariant.judge(rows.slice(0, 0), SPX).holds


def test_pictures_and_words_come_of_any_rows_there_may_be():
    opening, changed = compared(book(), book(at=LATER, extra={5010: 40.0}))
    pins = pinned(*book(extra={5010: 300.0}))
    assert "naive: 5,010" in pin_words(pins)
    assert "+40 contracts" in alert_words(changed)
    for picture, rows in (
        (pin_picture, pins),
        (pin_picture, pins.slice(0, 0)),
        (change_picture, changed),
        (change_picture, opening),
        (change_picture, opening.slice(0, 0)),
    ):
        assert picture(rows).startswith(b"\x89PNG")
    assert pin_words(pins.slice(0, 0)) == alert_words(changed.slice(0, 0))
