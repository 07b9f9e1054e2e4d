"""Rate curves: bonds price at par, interpolation keeps its rule, no curve comes from the future."""

import gzip
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from dealer_assets.domain.rates import (
    REFUSED_AFTER_DAYS,
    STALE_AFTER_DAYS,
    RateCurve,
    curve_as_of,
    curve_columns,
    curve_from_par,
    curves_from_columns,
    published_at,
    zero_rates,
)
from dealer_assets.errors import BadInputError
from dealer_assets.providers.treasury import parse_par_yields

DAY = date(2023, 9, 14)
TENORS = np.array([1 / 12, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0])
YIELDS = np.array([5.5, 5.55, 5.52, 5.42, 5.0, 4.42, 4.29, 4.39]) / 100.0


def curve(day=DAY, tenors=TENORS, yields=YIELDS):
    return curve_from_par(day, np.asarray(tenors, float), np.asarray(yields, float))


def test_bill_earns_simple_interest():
    assert curve().discount_at(0.25) == pytest.approx(1.0 / (1.0 + 0.0555 * 0.25), rel=1e-14)


def test_both_rules_agree_at_half_a_year():
    half, either = np.array([0.5]), np.array([0.05])
    assert zero_rates(half, either)[0] == pytest.approx(2.0 * np.log(1.025), rel=1e-14)


@pytest.mark.parametrize("years", [1.0, 2.0, 5.0, 10.0, 30.0])
def test_bond_with_the_par_coupon_is_worth_par(years):
    """Independent of the bootstrap but for the yields between tenors, which are linear."""
    ours = curve()
    dates = np.arange(0.5, years + 0.1, 0.5)
    every = curve(tenors=dates, yields=np.interp(dates, TENORS, YIELDS))
    coupon = YIELDS[years == TENORS][0]
    value = (0.5 * coupon * every.discount_at(dates)).sum() + every.discount_at(years)
    assert value == pytest.approx(1.0, rel=1e-12)
    assert ours.discount_at(years) == pytest.approx(every.discount_at(years), rel=1e-12)


def test_flat_par_curve_is_a_flat_zero_curve():
    flat = curve(yields=np.full(TENORS.size, 0.04))
    assert flat.zero_rate[TENORS >= 0.5] == pytest.approx(2.0 * np.log(1.02), rel=1e-12)


def test_between_tenors_rate_times_tenor_is_linear():
    ours = curve()
    middle = ours.rate_at(1.5) * 1.5
    assert middle == pytest.approx(0.5 * (ours.rate_at(1.0) + 2.0 * ours.rate_at(2.0)), rel=1e-13)


def test_outside_the_tenors_the_rate_is_flat():
    ours = curve()
    assert ours.rate_at(np.array([-1.0, 0.0, 0.01])) == pytest.approx(ours.zero_rate[0])
    assert ours.rate_at(60.0) == pytest.approx(ours.zero_rate[-1])
    assert np.isnan(ours.rate_at(np.nan))


def test_missing_tenors_are_skipped():
    yields = YIELDS.copy()
    yields[[1, 4]] = np.nan
    ours = curve(yields=yields)
    assert ours.tenor_years.size == TENORS.size - 2
    assert ours.rate_at(0.5) == pytest.approx(curve().rate_at(0.5))


@pytest.mark.parametrize(
    ("tenors", "yields", "words"),
    [
        ([1.0], [np.nan], "at least one yield"),
        ([1.0, 1.0], [0.05, 0.05], "different"),
        ([0.0, 1.0], [0.05, 0.05], "positive tenors"),
        ([0.5, 10.0], [5.0, 5.0], "per cent"),
    ],
)
def test_curve_that_cannot_be_is_refused(tenors, yields, words):
    with pytest.raises(BadInputError, match=words):
        curve(tenors=tenors, yields=yields)


@given(st.lists(st.floats(0.0, 0.09), min_size=TENORS.size, max_size=TENORS.size))
def test_discounts_of_any_plausible_curve_are_believable(yields):
    """Steep inversions may give negative forwards and even discounts that rise, never below 0."""
    try:
        ours = curve(yields=yields)
    except BadInputError:
        return  # yields that leave nothing for the principal
    assert np.all(ours.discount_at(np.linspace(0.0, 30.0, 61)) > 0.0)
    short = ours.tenor_years <= 0.5
    assert np.all(ours.zero_rate[short] <= ours.par_yield[short] + 1e-15)


def test_curve_counts_as_known_from_six_in_the_evening_of_new_york():
    assert published_at(date(2023, 9, 14)) == datetime(2023, 9, 14, 22, 0, tzinfo=UTC)
    assert published_at(date(2023, 1, 17)) == datetime(2023, 1, 17, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (datetime(2023, 9, 14, 20, 15, tzinfo=UTC), date(2023, 9, 13)),
        (datetime(2023, 9, 14, 21, 59, 59, tzinfo=UTC), date(2023, 9, 13)),
        (datetime(2023, 9, 14, 22, 0, tzinfo=UTC), date(2023, 9, 14)),
        (datetime(2023, 9, 15, 3, 0, tzinfo=UTC), date(2023, 9, 14)),
    ],
)
def test_latest_published_curve_serves(instant, expected):
    curves = [curve(date(2023, 9, day)) for day in (15, 12, 14, 13)]
    chosen = curve_as_of(curves, instant)
    assert chosen.curve.date == expected
    assert published_at(chosen.curve.date) <= instant
    assert chosen.status == "ok"


@pytest.mark.parametrize(
    ("days", "status"),
    [
        (STALE_AFTER_DAYS, "ok"),
        (STALE_AFTER_DAYS + 1, "stale"),
        (REFUSED_AFTER_DAYS, "stale"),
        (REFUSED_AFTER_DAYS + 1, "too_old"),
    ],
)
def test_old_curve_is_flagged_and_then_refused(days, status):
    instant = datetime(2023, 9, 14, 15, 0, tzinfo=UTC) + timedelta(days=days)
    chosen = curve_as_of([curve()], instant)
    assert (chosen.status, chosen.age_days) == (status, days)
    assert (chosen.curve is None) == (status == "too_old")


def test_nothing_published_yet_is_said():
    chosen = curve_as_of([curve()], datetime(2023, 9, 14, 15, 0, tzinfo=UTC))
    assert (chosen.curve, chosen.status, chosen.age_days) == (None, "none", None)


def test_instant_without_zone_is_refused():
    with pytest.raises(BadInputError, match="time zone"):
        curve_as_of([curve()], datetime(2023, 9, 14, 15, 0))  # noqa: DTZ001


def test_columns_make_the_same_curves_again():
    curves = [curve(date(2023, 9, 13)), curve(DAY, yields=np.where(TENORS > 9, np.nan, YIELDS))]
    table = pa.table(curve_columns(curves))
    assert table.num_rows == 2 * TENORS.size - 2
    assert table.column_names == ["date", "tenor_years", "par_yield", "zero_rate"]
    shuffled = {k: v[::-1] for k, v in curve_columns(curves).items()}
    for before, after in zip(curves, curves_from_columns(shuffled), strict=True):
        assert before.date == after.date
        for name in ("tenor_years", "par_yield", "zero_rate"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_no_curves_make_no_rows():
    columns = curve_columns([])
    assert all(values.size == 0 for values in columns.values())
    assert curves_from_columns(columns) == []


@pytest.fixture(scope="module")
def recorded(shared_data) -> list[RateCurve]:
    path = shared_data / "reference" / "rates" / "us_treasury_par_yields_1990-2023-10-20.csv.gz"
    return parse_par_yields(gzip.decompress(path.read_bytes()), name=path.name)


def test_bootstrap_differs_from_the_plain_conversion_by_little_up_to_five_years(recorded):
    """33 years of curves; further out the plain conversion is 0.3 % (10 y) to 1.6 % (30 y) off."""
    worst = {2.0: 0.0, 5.0: 0.0, 10.0: 0.0}
    for each in recorded:
        plain = 2.0 * np.log1p(0.5 * each.par_yield)
        for tenor in worst:
            at = each.tenor_years == tenor
            worst[tenor] = max(worst[tenor], np.abs(each.zero_rate - plain)[at].max(initial=0.0))
    assert worst[2.0] < 5e-4
    assert 1e-3 < worst[5.0] < 1.6e-3
    assert 3e-3 < worst[10.0] < 3.5e-3


def test_curve_of_a_recorded_chain(recorded):
    """2023-09-14 16:15 New York: the curve of the 13th, about 5.5 % at three months."""
    chosen = curve_as_of(recorded, datetime(2023, 9, 14, 20, 15, tzinfo=UTC))
    assert (chosen.curve.date, chosen.status, chosen.age_days) == (date(2023, 9, 13), "ok", 1)
    assert chosen.curve.rate_at(0.25) == pytest.approx(0.0551, abs=2e-4)
    assert chosen.curve.rate_at(1.0) == pytest.approx(0.0533, abs=3e-4)
