"""Scenario cells against a brute-force reprice, expected moves and pin inputs by hand."""

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets.domain.exposure.moves import expected_move, pin_inputs
from dealer_assets.domain.exposure.scenario import HOURS, LEAST_VOL, scenario_grid
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets_tests.domain.synthetic import book_of, position, priced

EXACT = 1e-12
"""Relative to gross delta: sums of the same terms in another order."""

DAY = 1 / 365


@pytest.fixture(scope="module")
def book():
    """Four expiries with carry and skew; the nearest is gone within the day."""
    contracts = []
    for years, carry in ((5 / 24 * DAY, 0.0), (0.02, 0.03), (0.2, 0.03), (1.5, 0.025)):
        for strike in range(80, 121, 2):
            terms = {
                "years": years,
                "vol": 0.16 - 0.25 * np.log(strike / 100),
                "forward": 100 * np.exp(carry * years),
                "discount": np.exp(-0.045 * years),
            }
            contracts.append(position(strike, "call", 80.0 + strike, **terms))
            contracts.append(position(strike, "put", 300.0 - strike, **terms))
    return book_of(contracts)


def brute_force(book, spot_pct, vol_points, hours):
    """Delta at today's spot and gamma at the cell's, by `black_greeks` on what is still alive."""
    left = book.years - hours / (24 * 365)
    live = left > 0
    ratio = 1 + spot_pct / 100
    share = left[live] / book.years[live]
    forward = book.spot * ratio * (book.forward[live] / book.spot) ** share
    shifted = book.vol[live] + vol_points / 100
    greeks = black_greeks(
        forward,
        book.strike[live],
        S=np.full(int(live.sum()), book.spot * ratio),
        T=left[live],
        sigma=np.maximum(shifted, np.minimum(book.vol[live], LEAST_VOL)),
        D=book.discount[live] ** share,
        is_call=book.is_call[live],
    )
    size = book.position[live] * book.multiplier[live]
    delta = (size * greeks.delta).sum() * book.spot
    gamma = (size * greeks.gamma).sum() * (book.spot * ratio) ** 2 * 0.01
    return delta, gamma, int((~live).sum())


def test_every_cell_is_a_full_reprice(book):
    grid = scenario_grid(book)
    gross = np.abs(book.delta_usd).sum()
    assert grid.hours_ahead.size == 11 * 11 * len(HOURS)
    for i in range(0, grid.hours_ahead.size, 17):
        cell = (grid.spot_shift_pct[i], grid.vol_shift_points[i], grid.hours_ahead[i])
        delta, gamma, expired = brute_force(book, *cell)
        assert abs(grid.delta_exposure_usd[i] - delta) <= EXACT * gross, cell
        assert abs(grid.gamma_exposure_usd_per_pct[i] - gamma) <= EXACT * gross, cell
        assert grid.expired_contracts[i] == expired


def cell_of(grid, spot_pct, vol_points, hours):
    (index,) = np.flatnonzero(
        (grid.spot_shift_pct == spot_pct)
        & (grid.vol_shift_points == vol_points)
        & (grid.hours_ahead == hours)
    )
    return index


def test_cell_of_no_move_has_no_flow_and_the_book_s_own_numbers(book):
    grid = scenario_grid(book)
    i = cell_of(grid, 0, 0, 0)
    gross = np.abs(book.delta_usd).sum()
    assert grid.forced_flow_usd[i] == 0.0
    assert grid.residual_flow_usd[i] == 0.0
    assert abs(grid.delta_exposure_usd[i] - book.delta_usd.sum()) <= EXACT * gross
    net = book.gamma_usd_per_pct.sum()
    assert abs(grid.gamma_exposure_usd_per_pct[i] - net) <= EXACT * gross


@pytest.mark.parametrize(
    ("spot", "vol", "hours", "term"),
    [
        (0.001, 0.0, 0.0, "gamma_flow_usd"),
        (0.0, 0.001, 0.0, "vanna_flow_usd"),
        (0.0, 0.0, 0.001, "charm_flow_usd"),
    ],
)
def test_small_moves_are_the_first_order_terms(book, spot, vol, hours, term):
    grid = scenario_grid(book, spot_shifts_pct=(spot,), vol_shifts_points=(vol,), hours=(hours,))
    flow = grid.forced_flow_usd[0]
    assert flow == pytest.approx(getattr(grid, term)[0], rel=2e-3)
    assert abs(grid.residual_flow_usd[0]) <= 2e-3 * abs(flow)
    assert flow != 0.0


def test_terms_and_residual_add_up_to_the_flow(book):
    grid = scenario_grid(book)
    parts = grid.gamma_flow_usd + grid.vanna_flow_usd + grid.charm_flow_usd
    total = parts + grid.residual_flow_usd
    scale = np.abs(grid.forced_flow_usd).max()
    np.testing.assert_allclose(total, grid.forced_flow_usd, atol=1e-12 * scale)


def test_long_gamma_dealers_sell_into_a_rise_and_buy_a_fall():
    grid = scenario_grid(book_of([position(100, "call", 100, years=0.1, vol=0.2)]))
    assert grid.forced_flow_usd[cell_of(grid, 2, 0, 0)] < 0.0
    assert grid.forced_flow_usd[cell_of(grid, -2, 0, 0)] > 0.0


def test_expired_contracts_leave_no_delta_and_their_unwinding_is_told_apart():
    near = position(95, "call", 10, years=3 / 24 * DAY, vol=0.2, days=0)
    book = book_of([near, position(100, "put", 10, years=0.5)])
    grid = scenario_grid(book)
    i, j = cell_of(grid, 0, 0, 4.0), cell_of(grid, 0, 0, 1.0)
    called = float(book.delta_usd[book.strike == 95].sum())
    assert (grid.expired_contracts[i], grid.expired_contracts[j]) == (1, 0)
    assert grid.expired_flow_usd[i] == pytest.approx(called)
    assert grid.forced_flow_usd[i] == pytest.approx(called, rel=0.02)
    assert grid.expired_flow_usd[j] == 0.0


def test_vols_are_held_at_one_point_and_counted():
    grid = scenario_grid(book_of([position(100, "call", 10, vol=0.035, years=0.1)]))
    floored = grid.floored_contracts
    np.testing.assert_array_equal(floored, np.where(grid.vol_shift_points < -2, 1, 0))
    below = grid.delta_exposure_usd[cell_of(grid, 1, -3, 0)]
    assert below == grid.delta_exposure_usd[cell_of(grid, 1, -5, 0)]


def test_book_of_nothing_has_zeros_everywhere():
    grid = scenario_grid(book_of([position(100, "call", None)]))
    np.testing.assert_array_equal(grid.delta_exposure_usd, 0.0)
    np.testing.assert_array_equal(grid.forced_flow_usd, 0.0)


def with_mids(contracts, mids):
    """Priced rows with each contract's mid by (strike, right); null where none is given."""
    rows = priced(contracts)
    keys = zip(rows["strike"].to_pylist(), rows["right"].to_pylist(), strict=True)
    place = rows.schema.get_field_index("mid")
    field = rows.schema.field(place)
    return rows.set_column(place, field, pa.array([mids.get(key) for key in keys], pa.float64()))


def test_expected_move_is_the_straddle_and_the_vol_of_the_nearest_whole_day():
    years = 2 * DAY
    terms = {"years": years, "vol": 0.2, "forward": 100.2, "discount": 0.999}
    today = [
        position(100, right, 10, years=0.3 * DAY, vol=0.9, days=0) for right in ("call", "put")
    ]
    later = [position(k, right, 10, **terms) for k in (99, 100, 101) for right in ("call", "put")]
    rows = with_mids(
        today + later, {(100.0, "call"): 0.7, (100.0, "put"): 0.5, (101.0, "put"): 1.1}
    )
    move = expected_move(rows)
    assert (move.root, move.strike) == ("SPXW", 100.0)
    assert move.years == pytest.approx(years, rel=1e-6)
    assert move.straddle_price == pytest.approx(1.2 / 0.999)
    assert move.straddle_move_usd == pytest.approx(1.2 / 0.999 / np.sqrt(2), rel=1e-6)
    assert move.atm_vol == pytest.approx(0.2)
    assert move.vol_move_365_usd == pytest.approx(100.2 * 0.2 / np.sqrt(365))
    assert move.vol_move_252_usd == pytest.approx(100.2 * 0.2 / np.sqrt(252))


def test_expected_move_without_a_quoted_pair_still_has_the_vol():
    move = expected_move(with_mids([position(100, "call", 10, years=0.1)], {}))
    assert np.isnan(move.straddle_move_usd)
    assert move.vol_move_365_usd > 0.0


def test_expected_move_of_a_chain_that_ends_today_is_not_told():
    move = expected_move(priced([position(100, "call", 10, years=0.2 * DAY, days=0)]))
    assert np.isnan(move.vol_move_365_usd)
    assert move.root == ""


def test_pin_inputs_are_gamma_distance_and_time_by_expiry_and_strike():
    near, far = {"years": 0.01, "vol": 0.1}, {"years": 0.1, "vol": 0.2}
    book = book_of(
        [
            position(101, "call", 30, **near),
            position(101, "put", 10, **near),
            position(99, "put", 20, **far),
            position(104, "call", 99, **far),
        ]
    )
    pins = pin_inputs(book)
    np.testing.assert_array_equal(pins.strike, [101.0, 99.0])
    np.testing.assert_allclose(pins.hours, [87.6, 876.0])
    np.testing.assert_allclose(pins.distance_share, [0.01, -0.01])
    np.testing.assert_allclose(pins.distance_sd, np.log([1.01, 0.99]) / [0.01, 0.2 * np.sqrt(0.1)])
    gamma = book.gamma_usd_per_pct[book.strike == 101]
    assert pins.net_gamma_usd_per_pct[0] == pytest.approx(gamma.sum())
    assert pins.gross_gamma_usd_per_pct[0] == pytest.approx(np.abs(gamma).sum())
    assert pins.net_gamma_usd_per_pct[0] < pins.gross_gamma_usd_per_pct[0]


def test_pin_inputs_of_an_empty_book_are_empty():
    assert pin_inputs(book_of([position(100, "call", None)])).strike.size == 0
