"""Models side by side: the same arithmetic for all, positions read or left out, errors carried."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.columns import equals, floats
from dealer_assets.domain.exposure.aggregate import exposure_rows, open_book
from dealer_assets.domain.exposure.position_error import NORMAL_95, PositionError
from dealer_assets.domain.exposure.side_by_side import (
    chosen_models,
    left_out,
    side_by_side,
    told_by,
)
from dealer_assets.domain.exposure.snapshot import (
    band_of,
    expose,
    exposures_of,
    levels_of,
    profile_of,
    scenarios_of,
)
from dealer_assets.domain.positions.models import MODELS, OF_OPEN_INTEREST
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.errors import BadInputError
from dealer_assets_tests.domain.synthetic import chain, position, priced, quoted, settled

EXPOSURES = (
    "delta_usd",
    "gamma_usd_per_pct",
    "vanna_usd_per_vol_pt",
    "charm_usd_per_day",
    "volga_usd_per_vol_pt2",
)
ROUNDING = 1e-12
CONTRACTS = [
    position(strike, right, 40.0 + strike, years=years)
    for strike in (90, 100, 110)
    for right in ("call", "put")
    for years in (0.05, 0.5)
]
ROWS = priced(CONTRACTS)


def sums(rows):
    """The five exposures of rows, summed."""
    names = tables.DEALER_EXPOSURE.schema.names[-5:]
    return np.array([floats(rows, name).sum() for name in names])


def reconciled(positions, **more):
    return exposures_of(ROWS, model="reconciled", settled=settled(ROWS, positions, **more))


@settings(max_examples=30, deadline=None)
@given(st.floats(-100.0, 100.0).filter(lambda x: abs(x) > 1e-3), st.integers(0, 1000))
def test_every_exposure_is_linear_in_settled_positions(factor, seed):
    held = np.random.default_rng(seed).normal(0.0, 50.0, ROWS.num_rows)
    gross = np.abs(sums(reconciled(np.abs(held)))) + 1.0
    scaled, once = sums(reconciled(factor * held)), sums(reconciled(held))
    assert (np.abs(scaled - factor * once) <= 1e-9 * abs(factor) * gross + 1e-9).all()


def test_exposures_of_two_settlements_add_up():
    first, second = np.arange(12.0) - 4.5, 7.0 - 3.0 * np.arange(12.0)
    together = sums(reconciled(first + second))
    np.testing.assert_allclose(sums(reconciled(first)) + sums(reconciled(second)), together)


@pytest.mark.parametrize("model", ["naive", "inverted", "short_gamma", "reconciled"])
def test_sums_over_strikes_and_expiries_are_the_total_under_every_model(model):
    held = settled(ROWS, np.arange(12.0) - 4.5)
    rows = exposures_of(ROWS, model=model, settled=held)
    book = open_book(ROWS, model, held)
    for by in ("strike", "expiry_date", "right", "dte_bucket"):
        parts = rows.group_by(by).aggregate([("gamma_exposure_usd_per_pct", "sum")])
        assert sum(parts["gamma_exposure_usd_per_pct_sum"].to_pylist()) == pytest.approx(
            book.gamma_usd_per_pct.sum(), rel=ROUNDING
        )


def test_inverted_is_minus_naive_in_everything():
    for derive in (exposures_of, profile_of, scenarios_of):
        naive, inverted = (derive(ROWS, model=model) for model in ("naive", "inverted"))
        for name in naive.column_names:
            if "_usd" in name:
                np.testing.assert_allclose(
                    floats(inverted, name), -floats(naive, name), rtol=1e-9, atol=1e-6
                )


def test_same_positions_give_the_same_numbers_whatever_the_model_is_called():
    declared = floats(exposures_of(ROWS, model="naive"), "position_contracts")
    for model in ("reconciled", "taker_flow", "open_close"):
        held = settled(ROWS, declared, model=model)
        for derive in (exposures_of, profile_of, scenarios_of):
            own, naive = derive(ROWS, model=model, settled=held), derive(ROWS, model="naive")
            assert own.drop_columns(["model"]).equals(naive.drop_columns(["model"]))


def test_same_positions_agree_in_coin_and_in_usd():
    """Deltas in coin times spot are those in USD; ten contracts of a tenth are one of one."""
    coins = [item | {"multiplier": 1.0} for item in CONTRACTS]
    tenths = [
        item | {"multiplier": 0.1, "open_interest": 10 * item["open_interest"]} for item in coins
    ]
    whole, parts = (open_book(priced(held, symbol="BTC"), "naive") for held in (coins, tenths))
    for name in EXPOSURES:
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), rtol=ROUNDING)
    coin = whole.position * whole.greeks.delta * whole.multiplier
    np.testing.assert_allclose(whole.delta_usd, coin * whole.spot, rtol=ROUNDING)
    # the same book in another money: strikes and spot in hundredths, a hundred times the number
    hundredths = [item | {"strike": 100.0 * item["strike"]} for item in coins]
    other = open_book(priced(hundredths, spot=100.0 * 100.0, symbol="BTC"), "naive")
    np.testing.assert_allclose(other.delta_usd.sum(), 100.0 * whole.delta_usd.sum(), rtol=1e-9)
    np.testing.assert_allclose(
        other.gamma_usd_per_pct.sum(), 100.0 * whole.gamma_usd_per_pct.sum(), rtol=1e-9
    )


def test_models_lie_side_by_side_sorted_and_none_is_mixed_with_another():
    held = settled(ROWS, np.arange(12.0) - 4.5)
    both = side_by_side(
        ("reconciled", "naive"), lambda model: exposures_of(ROWS, model=model, settled=held)
    )
    assert both["model"].to_pylist() == ["naive"] * 12 + ["reconciled"] * 12
    for model in ("naive", "reconciled"):
        alone = exposures_of(ROWS, model=model, settled=held)
        assert both.filter(pa.array(equals(both, "model", model))).equals(alone)


def test_contract_that_was_not_settled_is_left_out_and_counted():
    held = [None if at < 3 else 1.0 for at in range(12)]
    told = told_by("reconciled", ROWS, settled(ROWS, held))
    size = floats(ROWS, "open_interest_contracts")
    assert np.isnan(told.contracts).tolist() == [True] * 3 + [False] * 9
    assert told.unpositioned_share == pytest.approx(size[:3].sum() / size.sum())
    rows = exposures_of(ROWS, model="reconciled", settled=settled(ROWS, held))
    assert set(rows["symbol"].to_pylist()) == set(ROWS["symbol"].to_pylist()[3:])


def test_declared_models_position_all_open_interest():
    assert all(told_by(model, ROWS).unpositioned_share == 0.0 for model in OF_OPEN_INTEREST)


def test_positions_of_another_session_are_refused():
    tomorrow = settled(ROWS, [1.0] * 12)
    place = tomorrow.schema.get_field_index("session_date")
    later = pa.array([d + timedelta(days=1) for d in tomorrow["session_date"].to_pylist()])
    tomorrow = tomorrow.set_column(place, tomorrow.schema.field(place), later)
    with pytest.raises(BadInputError, match="own session"):
        told_by("reconciled", ROWS, tomorrow)


def test_estimated_rows_are_known_when_their_positions_are_and_declared_ones_no_later():
    later = ROWS["known_at"][0].as_py() + timedelta(hours=2)
    held = settled(ROWS, [1.0] * 12, known_at=later)
    for derive in (exposures_of, profile_of, scenarios_of):
        estimated = derive(ROWS, model="reconciled", settled=held)
        declared = derive(ROWS, model="naive", settled=held)
        assert set(estimated["known_at"].to_pylist()) == {later}
        assert set(declared["known_at"].to_pylist()) == {ROWS["known_at"][0].as_py()}


def test_names_of_models_are_read_once_each_with_the_headline_first():
    assert chosen_models("naive", "reconciled, naive") == ("naive", "reconciled")
    assert chosen_models("reconciled", "all") == (
        "reconciled",
        *(model for model in MODELS if model != "reconciled"),
    )


@pytest.mark.parametrize("names", ["naive,guess", "", " , "])
def test_unknown_or_missing_model_names_are_refused(names):
    with pytest.raises(BadInputError, match="expected"):
        chosen_models(names)


def test_model_without_settled_positions_is_left_out_with_the_reason():
    held = settled(ROWS, [1.0] * 12, model="taker_flow")
    assert left_out(("naive", "taker_flow", "reconciled"), held) == {
        "reconciled": "it reads settled positions (dealer_positions), and none of it are at hand"
    }
    assert set(left_out(MODELS)) == set(MODELS) - set(OF_OPEN_INTEREST)
    for derive in (exposures_of, profile_of, scenarios_of):
        assert derive(ROWS, model="reconciled", settled=held).num_rows == 0
    with pytest.raises(BadInputError, match="dealer_positions"):
        open_book(ROWS, "reconciled")


def test_error_of_a_sum_adds_own_parts_in_squares_and_common_ones_straight():
    error = PositionError(np.array([3.0, 4.0, 0.0]), np.zeros(3), np.zeros(3, np.int64))
    assert error.sd_of_sum(np.ones(3)) == pytest.approx(5.0)
    shared = PositionError(np.zeros(4), np.array([1.0, 2.0, -3.0, 4.0]), np.array([0, 0, 0, 1]))
    assert shared.sd_of_sum(np.ones(4)) == pytest.approx(4.0)  # 1 + 2 - 3 = 0, and 4
    assert shared.sd_of_sum(np.array([1.0, 1.0, -1.0, 0.0])) == pytest.approx(6.0)


def test_draws_have_the_deviation_that_the_sum_is_told_to_have():
    rng = np.random.default_rng(2)
    error = PositionError(rng.uniform(0, 5, 60), rng.normal(0, 2, 60), rng.integers(0, 4, 60))
    worth = rng.normal(0, 1, 60)
    drawn = [float(error.draw(rng) @ worth) for _ in range(4000)]
    assert np.std(drawn) == pytest.approx(error.sd_of_sum(worth), rel=0.05)
    assert np.mean(drawn) == pytest.approx(0.0, abs=0.06 * error.sd_of_sum(worth))


def test_kinds_part_of_an_error_keeps_its_share_of_the_variance():
    held = settled(ROWS, [10.0] * 12, sd=5.0, common=3.0)
    error = told_by("reconciled", ROWS, held).error
    np.testing.assert_allclose(error.common, 3.0)
    np.testing.assert_allclose(error.own, 4.0)
    is_call = equals(ROWS, "right", "call")
    assert len(set(error.group[is_call])) == len(set(error.group[~is_call])) == 1
    assert set(error.group[is_call]) != set(error.group[~is_call])
    # 12 own parts of 4, and two kinds of six contracts that move by 3 together
    assert error.sd_of_sum(np.ones(12)) == pytest.approx(np.sqrt(12 * 16 + 2 * 18**2))


def test_intervals_of_net_exposures_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(11)
    mean, sd = rng.normal(0.0, 60.0, 12), rng.uniform(10.0, 40.0, 12)
    common = 0.6 * sd
    book = open_book(ROWS, "reconciled", settled(ROWS, mean, sd=sd, common=common))
    worth = book.gamma_usd_per_pct / book.position
    is_call = equals(ROWS, "right", "call")
    inside = 0
    for _ in range(2000):
        kinds = rng.standard_normal(2)[is_call.astype(int)]
        truth = mean + common * kinds + 0.8 * sd * rng.standard_normal(12)
        off = abs(float((truth - mean) @ worth))
        inside += off <= NORMAL_95 * book.sd_of("gamma_usd_per_pct")
    assert 0.88 <= inside / 2000 <= 0.92


@pytest.fixture(scope="module")
def snapshot():
    """A chain, its priced rows, and positions of half the naive size with an error."""
    made = quoted(range(5400, 6601, 50), vol=0.18)
    rng = np.random.default_rng(8)
    rows = chain(
        [item | {"open_interest_contracts": float(rng.integers(50, 900))} for item in made]
    )
    of_rows = price_chain(rows)
    size = floats(of_rows, "open_interest_contracts")
    sign = np.where(equals(of_rows, "right", "call"), 1.0, -1.0)
    held = settled(of_rows, 0.5 * sign * size, sd=0.3 * size, common=0.2 * size)
    return rows, of_rows, held


def test_model_beside_the_headline_has_the_positions_band_and_no_conventions(snapshot):
    rows, of_rows, held = snapshot
    (level,) = levels_of(
        rows, of_rows, model="reconciled", settled=held, conventions=False
    ).to_pylist()
    net, sd = level["net_gamma_exposure_usd_per_pct"], level["net_gamma_sd_usd_per_pct"]
    lo, hi = level["net_gamma_lo_usd_per_pct"], level["net_gamma_hi_usd_per_pct"]
    assert lo < net < hi
    assert hi - lo == pytest.approx(2 * NORMAL_95 * sd, rel=0.25)  # ends of a hundred draws
    assert level["flip_lo"] < level["flip_price"] < level["flip_hi"]
    assert level["net_vanna_lo_usd_per_vol_pt"] < level["net_vanna_exposure_usd_per_vol_pt"]
    assert level["flip_convention_lo"] is None
    assert level["flip_oi_age_lo"] is None
    assert level["band_resamples"] == 100
    assert 0.0 <= level["call_wall_stability"] < 1.0


def test_declared_model_beside_the_headline_has_no_band_at_all(snapshot):
    rows, of_rows, _ = snapshot
    (level,) = levels_of(rows, of_rows, model="inverted", conventions=False).to_pylist()
    assert level["band_resamples"] == 0
    assert level["net_gamma_lo_usd_per_pct"] is None
    assert level["net_gamma_sd_usd_per_pct"] is None
    assert level["net_delta_lo_usd"] is None


def test_estimated_headline_has_conventions_and_a_band_that_its_error_widens(snapshot):
    rows, of_rows, held = snapshot
    (wide,) = levels_of(rows, of_rows, model="reconciled", settled=held).to_pylist()
    (narrow,) = levels_of(rows, of_rows, model="naive").to_pylist()
    assert wide["flip_convention_lo"] is not None
    assert wide["band_resamples"] == narrow["band_resamples"] == 200

    def width(level):
        return level["net_gamma_hi_usd_per_pct"] - level["net_gamma_lo_usd_per_pct"]

    assert width(wide) > 3 * width(narrow)
    base = band_of(rows, of_rows, model="reconciled", settled=held).to_pylist()[0]
    assert base["net_gamma_exposure_usd_per_pct"] == pytest.approx(
        wide["net_gamma_exposure_usd_per_pct"]
    )


def test_settled_positions_without_error_have_the_declared_models_band(snapshot):
    rows, of_rows, _ = snapshot
    declared = told_by("naive", of_rows).contracts
    exact = settled(of_rows, declared, model="open_close")
    (own,) = levels_of(rows, of_rows, model="open_close", settled=exact).to_pylist()
    (naive,) = levels_of(rows, of_rows, model="naive").to_pylist()
    assert own | {"model": "naive"} == naive


def test_max_pain_is_of_the_open_interest_whatever_the_model(snapshot):
    rows, of_rows, held = snapshot
    found = {
        expose(rows, of_rows, model=model, settled=held, resamples=0).levels["max_pain"][0].as_py()
        for model in ("naive", "long_gamma", "reconciled")
    }
    assert len(found) == 1


def test_levels_that_rest_on_few_positions_are_not_publishable(snapshot):
    rows, of_rows, _ = snapshot
    sparse = [1.0 if at % 4 == 0 else None for at in range(of_rows.num_rows)]
    whole = expose(rows, of_rows, model="reconciled", settled=settled(of_rows, sparse), resamples=0)
    assert "few_positions" in whole.quality.reasons
    assert whole.levels["unpositioned_oi_share"][0].as_py() == pytest.approx(0.75, abs=0.05)
    assert "few_positions" not in expose(rows, of_rows, model="naive", resamples=0).quality.reasons


def test_exposure_rows_carry_the_positions_deviation(snapshot):
    _, of_rows, held = snapshot
    estimated = exposure_rows(open_book(of_rows, "reconciled", held))
    assert floats(estimated, "position_sd_contracts").tolist() == pytest.approx(
        (0.6 * np.abs(floats(estimated, "position_contracts"))).tolist()
    )
    assert set(exposures_of(of_rows, model="naive")["position_sd_contracts"].to_pylist()) == {0.0}
