"""Re-valuing a priced chain between full pricings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets.domain.columns import floats
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.exposure.aggregate import open_book
from dealer_assets.domain.flow.totals import PICKED, Revaluation
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying

AT = datetime(2025, 12, 18, 18, 0, tzinfo=UTC)
INSIDE_THE_AVERAGE = datetime(2025, 12, 18, 7, 45, tzinfo=UTC)
CASES = [("XSP", AT), ("SPY", AT), ("BTC", AT), ("BTC", INSIDE_THE_AVERAGE)]


def us(instant: datetime) -> int:
    return int(instant.timestamp() * 1e6)


@cache
def priced(symbol: str, at: datetime) -> pa.Table:
    """Contracts with a vol."""
    market, asset = SimulatorProvider(density=0.05), underlying(symbol)
    chain = market.snapshot(asset, at=at).rows
    curve = market.rate_curve(at.date()) if symbol != "BTC" else None
    rows = price_chain(chain, forwards_of(chain, curve=curve))
    return rows.filter(pa.array(np.isfinite(floats(rows, "implied_vol"))))


@cache
def revaluation(symbol: str, at: datetime) -> Revaluation:
    rows = priced(symbol, at)
    return Revaluation.of(rows, np.arange(rows.num_rows))


def sums_of_the_batch(rows: pa.Table) -> list[float]:
    book = open_book(rows, "naive")
    return [
        book.delta_usd.sum(),
        book.gamma_usd_per_pct.sum(),
        book.vanna_usd_per_vol_pt.sum(),
        book.charm_usd_per_day.sum(),
        book.volga_usd_per_vol_pt2.sum(),
    ]


@pytest.mark.parametrize(("symbol", "at"), CASES)
def test_exact_sums_are_those_of_the_batch_side(symbol, at):
    rows, chain = priced(symbol, at), revaluation(symbol, at)
    interest = floats(rows, "open_interest_contracts")
    valued = chain.exactly()
    naive, flow = valued.sums(open_interest=interest, customer=-interest)
    gross = np.nansum(np.abs(valued.unit * interest), axis=1)
    np.testing.assert_allclose(
        np.array(naive.net) / gross, sums_of_the_batch(rows) / gross, atol=1e-12
    )
    book = open_book(rows, "naive")
    gamma = book.gamma_usd_per_pct
    assert naive.call_gamma == pytest.approx(gamma[book.is_call].sum(), rel=1e-10)
    assert naive.put_gamma == pytest.approx(gamma[~book.is_call].sum(), rel=1e-10)
    assert naive.gross_gamma == pytest.approx(np.abs(gamma).sum(), rel=1e-10)
    assert naive.positions == (interest > 0.0).sum()
    long_all = valued.unit @ np.nan_to_num(interest)
    np.testing.assert_allclose(np.array(flow.net) / gross, long_all / gross, atol=1e-12)


@pytest.mark.parametrize(("symbol", "at"), CASES)
def test_nothing_jumps_from_the_exact_model_to_the_live_one(symbol, at):
    chain = revaluation(symbol, at)
    exact, live = chain.exactly(), chain.at(chain.spot, us(at))
    scale = np.abs(exact.unit).max(axis=1, keepdims=True)
    np.testing.assert_allclose(live.unit / scale, exact.unit / scale, atol=1e-9)


def test_european_contracts_are_blacks_at_the_live_spot_and_time():
    rows, chain = priced("XSP", AT), revaluation("XSP", AT)
    later, spot = AT + timedelta(seconds=37), chain.spot * 1.004
    years_before = floats(rows, "year_fraction")
    years = years_before - 37.0 / SECONDS_PER_YEAR
    carry = np.log(floats(rows, "forward") / chain.spot) / years_before
    greeks = black_greeks(
        spot * np.exp(carry * years),
        floats(rows, "strike"),
        S=np.full(years.size, spot),
        T=years,
        sigma=floats(rows, "implied_vol"),
        D=floats(rows, "discount") ** (years / years_before),
        is_call=chain.is_call.astype(bool),
    )
    live = chain.at(spot, us(later))
    np.testing.assert_allclose(live.delta, greeks.delta, atol=1e-11)
    np.testing.assert_allclose(live.gamma, greeks.gamma, rtol=1e-8, atol=1e-16)
    per_unit = [spot, spot**2 * 0.01, spot, spot, 1.0]
    for row, name, factor in zip(live.unit, PICKED, per_unit, strict=True):
        expected = getattr(greeks, name) * chain.multiplier * factor
        np.testing.assert_allclose(row, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(("symbol", "at"), CASES[1:])
def test_a_minute_later_the_correction_is_still_good(symbol, at):
    """Against the exact model at the same vols a minute and 0.1 % of spot later."""
    rows, chain = priced(symbol, at), revaluation(symbol, at)
    later, spot = at + timedelta(seconds=60), chain.spot * 1.001
    moved = _moved(rows, spot=spot, seconds=60.0)
    exact = Revaluation.of(moved, chain.contract).exactly()
    live = chain.at(spot, us(later))
    interest = np.nan_to_num(floats(rows, "open_interest_contracts"))
    gross = (np.abs(exact.unit) * interest).sum(axis=1)
    error = np.abs((live.unit - exact.unit) @ interest) / gross
    assert error[:2].max() < (0.02 if at == INSIDE_THE_AVERAGE else 1e-3)


def _moved(rows: pa.Table, *, spot: float, seconds: float) -> pa.Table:
    before = floats(rows, "year_fraction")
    years = before - seconds / SECONDS_PER_YEAR
    ratio = floats(rows, "forward") / floats(rows, "spot")
    values = {
        "spot": np.full(years.size, spot),
        "year_fraction": years,
        "forward": spot * ratio ** (years / before),
        "discount": floats(rows, "discount") ** (years / before),
    }
    for name, array in values.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(array))
    return rows


def test_chosen_contracts_are_worth_what_they_are_among_all():
    chain = revaluation("SPY", AT)
    chosen = np.arange(5, chain.vol.size, 3)
    now_us = us(AT + timedelta(seconds=5))
    all_of_them, some = chain.at(chain.spot, now_us), chain.take(chosen).at(chain.spot, now_us)
    np.testing.assert_array_equal(some.unit, all_of_them.unit[:, chosen])
    assert some.contract.tolist() == chosen.tolist()


def test_unknown_open_interest_adds_nothing_and_is_not_counted():
    chain = revaluation("XSP", AT)
    interest = np.full(chain.vol.size, np.nan)
    naive, flow = chain.exactly().sums(open_interest=interest, customer=np.zeros(chain.vol.size))
    assert naive.positions == flow.positions == 0
    assert naive.gross_gamma == flow.gross_gamma == 0.0
