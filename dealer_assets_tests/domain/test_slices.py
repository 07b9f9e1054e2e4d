"""Forwards as a table, the model that prices a chain, and settlement on an average."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.aggregate import open_book
from dealer_assets.domain.exposure.profile import gamma_profile
from dealer_assets.domain.exposure.scenario import scenario_grid
from dealer_assets.domain.forward import fit_slices
from dealer_assets.domain.pricing.american import early_exercise_premium, escrowed_spot
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.inverse import TWAP_WINDOW_YEARS
from dealer_assets.domain.pricing.slices import forwards_of, live_chain, pairs_of
from dealer_assets.domain.pricing.terms import terms_of
from dealer_assets.domain.rates import curve_from_par
from dealer_assets.errors import BadInputError
from dealer_assets_tests.domain.synthetic import (
    EVENT_AT,
    chain,
    contract,
    quoted,
    years_to,
)

STRIKES = range(5500, 6501, 50)
CURVE = curve_from_par(date(2025, 6, 9), np.array([0.25, 1.0, 10.0]), np.array([0.05, 0.05, 0.05]))


def smile(strike):
    return 0.2


def near(expiry=date(2025, 7, 15)):
    return quoted(STRIKES, vol=smile, expiry=expiry)


def test_forwards_have_one_row_per_live_slice_with_the_tables_schema():
    rows = chain(
        [*near(), *near(date(2025, 8, 15)), contract(6000, "call", expiry=EVENT_AT.date())]
    )
    found = forwards_of(rows, curve=None)
    assert found.schema == tables.FORWARDS.schema
    assert found["expiry_date"].to_pylist()[-2:] == [date(2025, 7, 15), date(2025, 8, 15)]
    assert found["method"].to_pylist()[-2:] == ["parity", "parity"]


def test_a_curve_replaces_the_unknown_rate_of_a_short_chain_and_is_named():
    rows = chain(near())
    alone, with_curve = forwards_of(rows, curve=None), forwards_of(rows, curve=CURVE)
    assert alone["rate_source"].to_pylist() == ["zero"]
    assert alone["curve_date"].to_pylist() == [None]
    assert with_curve["rate_source"].to_pylist() == ["curve"]
    assert with_curve["curve_date"].to_pylist() == [CURVE.date]
    np.testing.assert_allclose(with_curve["rate"].to_numpy(), CURVE.rate_at(35 / 365), atol=1e-3)


def test_prices_rest_on_the_forwards_they_are_given():
    rows = chain(near())
    with_curve = price_chain(rows, forwards_of(rows, curve=CURVE))
    assert with_curve["discount"][0].as_py() < price_chain(rows)["discount"][0].as_py()


def test_forwards_of_another_snapshot_are_refused():
    other = chain(near(), event_at=EVENT_AT + timedelta(minutes=1))
    with pytest.raises(BadInputError, match="forwards of the snapshot"):
        price_chain(chain(near()), forwards_of(other, curve=None))


def test_an_expired_chain_has_no_forwards_and_no_prices():
    rows = chain([contract(6000, "call", expiry=date(2025, 6, 9), bid=1.0, ask=2.0)])
    assert forwards_of(rows, curve=None).num_rows == 0
    assert price_chain(rows).num_rows == 0


def test_partners_are_the_two_rights_of_a_strike():
    live = live_chain(chain([contract(6000, "call"), contract(6000, "put"), contract(6100, "put")]))
    assert live.partner.tolist() == [1, 0, -1]
    assert live.slice_start.tolist() == [0, 3]


def coin_chain(minutes_left, *, forward=60_000.0):
    event_at = datetime(2025, 6, 20, 8, 0, tzinfo=UTC) - timedelta(minutes=minutes_left)
    quotes = [
        contract(
            strike,
            right,
            root="BTC",
            expiry=date(2025, 6, 20),
            bid=price * 0.99,
            ask=price * 1.01,
            venue_forward=forward,
        )
        for strike, right, price in (
            (59_900.0, "put", 40.0),
            (60_000.0, "call", 80.0),
            (60_100.0, "call", 40.0),
        )
    ]
    return chain(quotes, symbol="BTC", event_at=event_at, spot=60_000.0)


def test_options_on_an_average_carry_less_variance_than_their_time():
    priced = price_chain(coin_chain(24 * 60))
    assert set(priced["pricing_model"].to_pylist()) == {"average"}
    years = priced["year_fraction"].to_numpy() - priced["variance_years"].to_numpy()
    np.testing.assert_allclose(years, TWAP_WINDOW_YEARS * 2.0 / 3.0)
    assert not any(priced["is_average_assumed"].to_pylist())
    assert all(d is not None for d in priced["premium_adjusted_delta"].to_pylist())


def without_venue_forward(rows):
    place = rows.schema.get_field_index("venue_forward")
    return rows.set_column(place, rows.schema.field(place), pa.nulls(rows.num_rows, pa.float64()))


def test_an_average_that_nobody_tells_is_assumed_and_flagged():
    told, untold = coin_chain(10), without_venue_forward(coin_chain(10))
    assert price_chain(told)["is_average_assumed"].to_pylist() == [False] * 3
    assert price_chain(untold)["is_average_assumed"].to_pylist() == [True] * 3
    assert all(v is not None for v in price_chain(untold)["implied_vol"].to_pylist())


def test_greeks_come_back_from_stored_rows_by_the_same_model():
    for rows in (chain(near()), coin_chain(600)):
        priced = price_chain(rows)
        greeks = terms_of(priced).greeks(priced["implied_vol"].to_numpy())
        np.testing.assert_allclose(greeks.gamma, priced["gamma"].to_numpy(), rtol=1e-6)
        np.testing.assert_allclose(greeks.charm, priced["charm"].to_numpy(), rtol=1e-5, atol=1e-12)


def american_chain():
    """SPY quotes that hold an early-exercise premium at 5 %."""
    quotes = []
    for item in quoted(range(440, 661, 5), vol=0.2, spot=550.0, rate=0.05, carry=0.05):
        years = np.array([years_to(item["expiry_date"])])
        forward, discount = 550.0 * np.exp(0.05 * years), np.exp(-0.05 * years)
        premium = early_exercise_premium(
            forward,
            np.array([item["strike"]]),
            S=escrowed_spot(forward, D=discount),
            T=years,
            sigma=np.array([0.2]),
            D=discount,
            is_call=np.array([item["right"] == "call"]),
        )[0]
        shown = {"bid": item["bid"] + premium, "ask": item["ask"] + premium, "root": "SPY"}
        quotes.append(item | shown)
    return chain(quotes, symbol="SPY", spot=550.0)


def test_early_exercise_is_taken_off_before_parity_and_priced():
    rows = american_chain()
    forwards = forwards_of(rows, curve=CURVE)
    assert forwards["is_deamericanised"].to_pylist() == [True]
    true = 550.0 * np.exp(0.05 * forwards["year_fraction"][0].as_py())
    raw = fit_slices(pairs_of(live_chain(rows)), np.array([35.2 / 365]), spot=550.0, curve=CURVE)
    error = abs(forwards["forward"][0].as_py() - true)
    assert error < 0.2 * abs(raw.forward[0] - true)
    priced = price_chain(rows, forwards)
    assert set(priced["pricing_model"].to_pylist()) == {"american"}
    near = np.abs(priced["strike"].to_numpy() / 550.0 - 1.0) < 0.1
    np.testing.assert_allclose(priced["implied_vol"].to_numpy()[near], 0.2, atol=2e-3)


def test_without_a_rate_curve_american_options_are_priced_as_european_and_say_so():
    rows = american_chain()
    forwards = forwards_of(rows, curve=None)
    assert forwards["is_deamericanised"].to_pylist() == [False]
    assert set(price_chain(rows, forwards)["pricing_model"].to_pylist()) == {"black"}


def test_the_profile_at_spot_is_the_sum_of_american_gammas():
    rows = american_chain()
    book = open_book(price_chain(rows, forwards_of(rows, curve=CURVE)), "naive")
    assert np.abs(book.gamma_ratio - 1.0).max() > 0.01
    profile = gamma_profile(book)
    at_spot = profile.gamma_usd_per_pct[np.argmin(np.abs(profile.levels - book.spot))]
    assert at_spot == pytest.approx(book.gamma_usd_per_pct.sum(), rel=1e-9)


def test_scenarios_start_from_the_american_book_and_flow_nothing_where_nothing_moves():
    book = open_book(
        price_chain(american_chain(), forwards_of(american_chain(), curve=CURVE)), "naive"
    )
    cells = scenario_grid(book)
    home = (cells.spot_shift_pct == 0) & (cells.vol_shift_points == 0) & (cells.hours_ahead == 0)
    assert cells.delta_exposure_usd[home] == pytest.approx(book.delta_usd.sum(), rel=1e-9)
    assert cells.gamma_exposure_usd_per_pct[home] == pytest.approx(
        book.gamma_usd_per_pct.sum(), rel=1e-9
    )
    gross = np.abs(book.delta_usd).sum()
    assert abs(cells.forced_flow_usd[home][0]) < 1e-9 * gross
    assert abs(cells.residual_flow_usd[home][0]) < 1e-9 * gross
