"""Metrics: sums by bucket, traded volume, the drift and the hedging that follows from it."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from dealer_assets import tables
from dealer_assets.domain.exposure.adv import ADV_SESSIONS, NO_ADV, adv_of
from dealer_assets.domain.exposure.drift import Point, drift_of, extended, vol_at_30_days
from dealer_assets.domain.exposure.metrics import METRICS, hedge_pressure, metrics_of
from dealer_assets.lake.conformity import conform
from dealer_assets_tests.domain import metric_rows as made
from dealer_assets_tests.live_rows import row


def of(rows, bucket="all", model="naive"):
    return next(r for r in rows.to_pylist() if (r["dte_bucket"], r["model"]) == (bucket, model))


def bars(notionals, *, instrument="SPY"):
    rows = [
        row(tables.UNDERLYING_BARS, at=made.AT - timedelta(days=len(notionals) - i))
        | {"notional_usd": value, "instrument": instrument}
        for i, value in enumerate(notionals)
    ]
    return pa.Table.from_pylist(rows, schema=tables.UNDERLYING_BARS.schema)


def test_metrics_are_the_sums_of_their_bucket_and_all_is_their_sum():
    rows = made.metrics()
    assert of(rows)["net_gamma_exposure_usd_per_pct"] == 5e6
    assert of(rows)["gross_gamma_exposure_usd_per_pct"] == 7e6
    assert of(rows, "0dte")["net_vanna_exposure_usd_per_vol_pt"] == 8e6
    assert of(rows, "8-45")["net_charm_exposure_usd_per_day"] == 0.0
    assert of(rows, "8-45")["contracts"] == 0
    for column in METRICS.values():
        parts = [of(rows, bucket)[column] for bucket in ("0dte", "1-7", "8-45", "46+")]
        assert sum(parts) == of(rows)[column]


def test_metrics_of_all_are_the_net_of_the_levels():
    rows, net = made.metrics(), made.levels().to_pylist()[0]
    for column in METRICS.values():
        assert of(rows)[column] == net[column]


def test_rows_conform_to_the_dictionary():
    rows = pa.concat_tables(made.session([5000.0, 5010.0]))
    stored = conform(tables.EXPOSURE_METRICS, rows, underlying="SPX", session_date=made.DAY)
    assert stored.num_rows == rows.num_rows > 0


def test_metrics_over_volume_are_shares_of_a_usual_session():
    rows = made.metrics()
    assert of(rows)["ngi_over_adv"] == 5e6 / 1e9
    assert of(rows, "46+")["volg_over_adv"] == 8e6 / 1e9


def test_without_volume_nothing_is_scaled_and_the_row_says_so():
    found = of(made.metrics(adv=NO_ADV))
    assert found["adv_status"] == "none"
    assert found["adv_usd"] is found["ngi_over_adv"] is found["adv_instrument"] is None
    assert found["net_gamma_exposure_usd_per_pct"] == 5e6


def test_models_are_never_added_up():
    both = [pa.concat_tables([f(), f(model="inverted")]) for f in (made.exposures, made.levels)]
    none = made.nothing(tables.EXPOSURE_METRICS)
    rows = metrics_of(*both, made.surface(), none, adv=made.ADV)
    assert rows.num_rows == 10
    for model in ("naive", "inverted"):
        assert of(rows, model=model)["net_gamma_exposure_usd_per_pct"] == 5e6


def test_no_levels_no_metrics():
    empty = (made.nothing(t) for t in (tables.DEALER_EXPOSURE, tables.EXPOSURE_LEVELS))
    none = made.nothing(tables.EXPOSURE_METRICS)
    assert metrics_of(*empty, made.surface(), none, adv=made.ADV).num_rows == 0


def test_volume_is_the_median_of_the_newest_sessions():
    found = adv_of(bars([1e15] * 3 + [1e9] * 9 + [2e9] * 2 + [3e9] * 9))
    assert (found.usd, found.sessions, found.status) == (2e9, ADV_SESSIONS, "ok")
    assert found.instrument == "SPY"


@pytest.mark.parametrize(
    ("count", "age", "status"), [(20, 1, "ok"), (19, 1, "short"), (1, 1, "short"), (20, 6, "stale")]
)
def test_volume_says_what_it_rests_on(count, age, status):
    found = adv_of(bars([1e9] * count), age_sessions=age)
    assert (found.status, found.sessions, found.usd) == (status, count, 1e9)


@pytest.mark.parametrize("notionals", [[], [0.0], [0.0] * 20])
def test_no_volume_is_no_number(notionals):
    found = adv_of(bars(notionals))
    assert found.status == "none"
    assert np.isnan(found.usd)


def test_first_snapshot_has_no_drift_and_no_pressure_but_its_charm():
    found = of(made.metrics())
    assert found["drift_status"] == "none"
    assert found["hpp_usd"] is found["hpp_gamma_usd"] is found["hpp_vanna_usd"] is None
    assert found["hpp_charm_usd"] == -15e6 / 24.0
    assert found["spot_change_pct"] == 0.0


def test_pressure_is_minus_exposure_times_drift_and_the_parts_add_up():
    first = made.metrics()
    at = made.AT + timedelta(minutes=30)
    found = of(made.metrics(at=at, spot=5050.0, vol=0.19, previous=first))
    assert found["drift_status"] == "thin"
    assert found["spot_drift_pct_per_hour"] == pytest.approx(200.0 * np.log(1.01))
    assert found["vol_drift_points_per_hour"] == pytest.approx(-2.0)
    assert found["hpp_gamma_usd"] == pytest.approx(
        -5e6 * 200.0 * np.log(1.01)
    )  # long: sells a rise
    assert found["hpp_vanna_usd"] == pytest.approx(+1e7 * 2.0)  # vol falls: buys
    assert found["hpp_charm_usd"] == pytest.approx(-15e6 / 24.0)
    parts = sum(found[f"hpp_{part}_usd"] for part in ("gamma", "vanna", "charm"))
    assert found["hpp_usd"] == pytest.approx(parts)
    assert found["hpp_over_adv"] == pytest.approx(found["hpp_usd"] / 1e9)
    assert found["spot_change_pct"] == pytest.approx(1.0)


@given(st.floats(-1e9, 1e9), st.floats(0.5, 2.0))
def test_pressure_is_linear_in_the_positions(net, factor):
    drift = drift_of([Point(made.AT, 100.0, 0.2), Point(made.AT + timedelta(hours=1), 101.0, 0.3)])
    sums = dict.fromkeys(METRICS.values(), net)
    more = dict.fromkeys(METRICS.values(), net * factor)
    for name, value in hedge_pressure(sums, drift).items():
        assert hedge_pressure(more, drift)[name] == pytest.approx(factor * value, abs=1e-3)


def test_nothing_later_enters_a_row():
    """A snapshot's row is the same whatever the session goes on to do."""
    calm, wild = made.session([5000.0, 5005.0, 5010.0]), made.session([5000.0, 5005.0, 6000.0])
    assert calm[0].equals(wild[0])
    assert calm[1].equals(wild[1])
    assert not calm[2].equals(wild[2])


def test_window_holds_the_last_hour_or_the_last_three():
    minutes = made.session([5000.0] * 9, minutes=10.0)[-1]
    assert len(of(minutes)["window_at"]) == 7
    sparse = made.session([5000.0] * 9, minutes=300.0)[-1]
    found = of(sparse)
    assert len(found["window_at"]) == 3
    assert (found["drift_status"], found["drift_hours"]) == ("coarse", 10.0)
    assert of(sparse, "0dte")["window_at"] == []


def test_drift_is_not_moved_by_one_wild_point():
    at = [made.AT + timedelta(minutes=10 * i) for i in range(7)]
    spots = [100.0, 100.1, 100.2, 140.0, 100.4, 100.5, 100.6]
    drift = drift_of([Point(t, s, 0.2) for t, s in zip(at, spots, strict=True)])
    assert drift.status == "ok"
    assert drift.spot_pct_per_hour == pytest.approx(0.6, rel=0.02)
    assert drift.vol_points_per_hour == 0.0


def test_drift_of_vol_is_not_told_where_vols_are_missing():
    nan = float("nan")
    drift = drift_of([Point(made.AT, 100.0, nan), Point(made.AT + timedelta(hours=1), 101.0, 0.2)])
    assert np.isnan(drift.vol_points_per_hour)
    assert drift.status == "thin"
    rows = hedge_pressure(dict.fromkeys(METRICS.values(), 1.0), drift)
    assert np.isnan(rows["hpp_usd"])
    assert np.isfinite(rows["hpp_gamma_usd"])


def test_extending_a_window_keeps_its_order():
    window = [Point(made.AT + timedelta(minutes=25 * i), 1.0, 0.1) for i in range(3)]
    newest = Point(made.AT + timedelta(minutes=75), 1.0, 0.1)
    assert extended(window, newest) == [*window[1:], newest]


def test_30_day_vol_is_interpolated_in_total_variance():
    rows = made.surface().to_pylist()
    rows[0]["atm_vol"], rows[1]["atm_vol"] = 0.2, 0.3
    found = vol_at_30_days(pa.Table.from_pylist(rows, schema=tables.VOL_SURFACE.schema))
    variance = 0.2**2 * 20 + (0.3**2 * 50 - 0.2**2 * 20) / 3.0
    assert found == pytest.approx(np.sqrt(variance / 30.0))


def test_30_day_vol_beyond_the_slices_is_the_nearest_and_without_smiles_none():
    rows = made.surface(0.25).slice(1)
    assert vol_at_30_days(rows) == 0.25
    assert np.isnan(vol_at_30_days(made.nothing(tables.VOL_SURFACE)))


def test_a_row_is_known_no_earlier_than_what_it_rests_on():
    rows = made.session([5000.0, 5001.0])
    late = made.AT + timedelta(days=3)
    known = pa.array([late] * 5, tables.INSTANT)
    delayed = rows[0].set_column(3, rows[0].schema.field(3), known)
    second = made.metrics(at=made.AT + timedelta(minutes=20), previous=delayed)
    assert of(second)["known_at"] == late
