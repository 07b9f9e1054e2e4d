"""Combined exposure: members in one currency, strikes in one scale, one flip."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.combined import (
    Member,
    combined_exposure,
    combined_levels,
    combined_profile,
)
from dealer_assets.lake.conformity import conform
from dealer_assets_tests.domain import metric_rows as made
from dealer_assets_tests.live_rows import row

GROUP = "US_INDEX"
MOVES = np.exp(np.linspace(-0.15, 0.15, 241)) - 1.0


def profile(spot, zero, slope, *, at=made.AT, model="naive"):
    """Return a straight profile: zero gamma at a move [%], a slope per 1 % of spot."""
    rows = [
        row(
            tables.GAMMA_PROFILE,
            at=at,
            model=model,
            spot=spot,
            spot_level=spot * (1.0 + move),
            gamma_exposure_usd_per_pct=slope * (100.0 * move - zero),
        )
        for move in MOVES
    ]
    return pa.Table.from_pylist(rows, schema=tables.GAMMA_PROFILE.schema)


def member(spot, book, *, zero=-2.0, slope=1e6, strikes=None, at=made.AT, model="naive"):
    exposures = made.exposures(book, at=at, model=model)
    if strikes:
        place = exposures.schema.get_field_index("strike")
        exposures = exposures.set_column(place, exposures.schema.field(place), pa.array(strikes))
    levels = made.levels(book, at=at, model=model, spot=spot)
    return Member(exposures, levels, profile(spot, zero, slope, at=at, model=model))


@pytest.fixture
def both():
    spx = member(5000.0, (("0dte", 4e6), ("1-7", -1e6)), strikes=[5000.0, 5010.0])
    spy = member(500.0, (("0dte", 2e6), ("1-7", 3e6)), strikes=[500.0, 503.3], slope=3e6, zero=2.0)
    return {"SPX": spx, "SPY": spy}


def of(rows, **where):
    for name, value in where.items():
        rows = rows.filter(pc.equal(rows[name], value))
    return rows.to_pylist()


def test_strikes_of_members_are_mapped_to_points_and_dollars_add_up(both):
    rows = combined_exposure(both, group=GROUP)
    conform(tables.COMBINED_EXPOSURE, rows, underlying=GROUP, session_date=made.DAY)
    found = {
        (r["member"], r["strike_points"]): r["gamma_exposure_usd_per_pct"] for r in rows.to_pylist()
    }
    assert found == {
        ("SPX", 5000.0): 4e6,
        ("SPX", 5010.0): -1e6,
        ("SPY", 5000.0): 2e6,
        ("SPY", 5035.0): 3e6,  # 503.3 is 5033: the nearest of five points
    }


def test_strikes_that_meet_are_one_row_of_their_member(both):
    spy = member(500.0, (("0dte", 2e6), ("1-7", 3e6)), strikes=[500.0, 500.1])
    rows = of(combined_exposure({**both, "SPY": spy}, group=GROUP), member="SPY")
    assert [(r["contracts"], r["gamma_exposure_usd_per_pct"]) for r in rows] == [(2, 5e6)]


def test_total_of_every_exposure_is_the_sum_of_the_members(both):
    rows = combined_levels(both, group=GROUP)
    conform(tables.COMBINED_LEVELS, rows, underlying=GROUP, session_date=made.DAY)
    (total,) = of(rows, member="total")
    assert total["members"] == ["SPX", "SPY"]
    by_strike = combined_exposure(both, group=GROUP)
    for column in made.NETS:
        members = [r[f"net_{column}"] for r in rows.to_pylist() if r["member"] != "total"]
        assert total[f"net_{column}"] == sum(members) == pc.sum(by_strike[column]).as_py()
    assert total["gross_gamma_exposure_usd_per_pct"] == 10e6


def test_flip_of_the_total_is_the_zero_of_the_summed_profiles(both):
    # 1e6 (x + 2) + 3e6 (x - 2) = 0 at x = 1 %
    (total,) = of(combined_levels(both, group=GROUP), member="total")
    assert total["flip_pct"] == pytest.approx(0.01, abs=1e-6)
    assert total["flip_points"] == pytest.approx(5050.0, abs=0.01)
    assert total["flip_status"] == "ok"
    rows = combined_profile(both, group=GROUP)
    conform(tables.COMBINED_PROFILE, rows, underlying=GROUP, session_date=made.DAY)
    for move in (-10.0, 0.0, 5.0):
        at = rows.filter(pc.less(pc.abs(pc.subtract(rows["spot_move_pct"], move)), 0.08))
        told = {r["member"]: r for r in at.to_pylist()}
        summed = sum(told[m]["gamma_exposure_usd_per_pct"] for m in ("SPX", "SPY"))
        assert told["total"]["gamma_exposure_usd_per_pct"] == pytest.approx(summed)


def test_one_member_alone_is_its_own_total(both):
    rows = combined_levels({"SPX": both["SPX"]}, group=GROUP, wanted=("SPX", "SPY"))
    (own,), (total,) = (of(rows, member=m) for m in ("SPX", "total"))
    assert own["net_gamma_exposure_usd_per_pct"] == total["net_gamma_exposure_usd_per_pct"]
    assert total["flip_pct"] == pytest.approx(own["flip_pct"], abs=1e-6)
    assert own["members_missing"] == total["members_missing"] == ["SPY"]


@pytest.mark.parametrize(
    ("zero", "slope", "status"),
    [(99.0, 1e6, "none_in_range"), (-12.0, 1e6, "far"), (-2.0, 1e4, "ill_conditioned")],
)
def test_flip_of_the_total_says_what_it_is_worth(zero, slope, status):
    spx = member(5000.0, (("0dte", 4e6),), zero=zero, slope=slope)
    (total,) = of(combined_levels({"SPX": spx}, group=GROUP), member="total")
    assert total["flip_status"] == status
    assert (total["flip_pct"] is None) == (status == "none_in_range")


@pytest.mark.parametrize(("gamma", "status"), [(9e6, "ill_conditioned"), (1e6, "ok")])
def test_flip_of_the_total_is_no_better_than_those_of_most_of_it(gamma, status):
    levels = made.levels((("0dte", gamma),), flip_status="ill_conditioned")
    blurred = replace(member(5000.0, (("0dte", gamma),), slope=1e7), levels=levels)
    spy = member(500.0, (("0dte", 4e6),))
    (total,) = of(combined_levels({"SPX": blurred, "SPY": spy}, group=GROUP), member="total")
    assert total["flip_status"] == status


def test_models_are_never_mixed_and_a_total_names_the_members_that_have_its_model(both):
    naive, inverted = both["SPX"], member(5000.0, (("0dte", -9e6),), model="inverted")
    spx = Member(
        *(pa.concat_tables([getattr(naive, n), getattr(inverted, n)]) for n in vars(naive))
    )
    rows = combined_levels({**both, "SPX": spx}, group=GROUP, wanted=("SPX", "SPY"))
    (first,), (second,) = (of(rows, member="total", model=m) for m in ("naive", "inverted"))
    assert first["net_gamma_exposure_usd_per_pct"] == 8e6
    assert second["net_gamma_exposure_usd_per_pct"] == -9e6
    assert (second["members"], second["members_missing"]) == (["SPX"], ["SPY"])


def test_age_and_knowledge_are_those_of_the_oldest_and_the_latest(both):
    early = made.AT - timedelta(minutes=15)
    spy = member(500.0, (("0dte", 2e6),), at=early)
    (total,) = of(combined_levels({**both, "SPY": spy}, group=GROUP), member="total")
    assert (total["member_at"], total["age_seconds"]) == (early, 900.0)
    assert total["known_at"] == total["event_at"] == made.AT
    late = made.AT + timedelta(days=1)
    held = made.exposures((("0dte", 2e6),), at=early, known_at=late)
    rows = combined_levels({**both, "SPY": replace(spy, exposures=held)}, group=GROUP)
    assert set(rows["known_at"].to_pylist()) == {late}


def test_walls_are_those_of_the_sum():
    spx = member(5000.0, (("0dte", 4e6), ("1-7", -3e6)), strikes=[5000.0, 4900.0])
    spy = member(500.0, (("0dte", 5e6), ("1-7", 3e6)), strikes=[510.0, 490.0])
    (total,) = of(combined_levels({"SPX": spx, "SPY": spy}, group=GROUP), member="total")
    assert (total["call_wall_points"], total["put_wall_points"]) == (5100.0, None)
