"""Coin-settled options against finite differences, simulation, mpmath and Deribit's own numbers."""

from dataclasses import fields

import mpmath
import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from dealer_assets.domain.pricing.black import Greeks, black_greeks, black_price
from dealer_assets.domain.pricing.inverse import (
    TWAP_WINDOW_YEARS,
    average_so_far,
    coin_greeks,
    twap_adjust,
    twap_greeks,
    twap_years,
)

YEAR = 365.0
HOUR = 1.0 / (YEAR * 24.0)
W = TWAP_WINDOW_YEARS
SIGMA = 0.8
F0 = 60_000.0
STRIKES = np.array([52_000.0, 58_000.0, 60_000.0, 62_000.0, 70_000.0])


def usd_value(S, *, K=STRIKES, T=0.1, sigma=SIGMA, growth=1.0, is_call=True):
    S = np.broadcast_to(np.asarray(S, np.float64), K.shape)
    return black_price(
        S * growth, K, T=np.full(K.shape, T), sigma=np.full(K.shape, sigma),
        D=np.ones(K.shape), is_call=np.full(K.shape, is_call),
    )  # fmt: skip


def usd_greeks(S, *, K=STRIKES, T=0.1, sigma=SIGMA, growth=1.0, is_call=True):
    S = np.full(K.shape, float(S))
    return black_greeks(
        S * growth, K, S=S, T=np.full(K.shape, T), sigma=np.full(K.shape, sigma),
        D=np.ones(K.shape), is_call=np.full(K.shape, is_call),
    )  # fmt: skip


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("growth", [1.0, 1.02])
class TestCoin:
    """Finite differences of V(S)/S."""

    def differences(self, is_call, growth, h=1.0):
        def v(S):
            return usd_value(S, growth=growth, is_call=is_call) / S

        up, middle, down = v(F0 + h), v(F0), v(F0 - h)
        return middle, (up - down) / (2 * h), (up - 2 * middle + down) / h**2

    def test_price_delta_and_gamma_are_the_derivatives_of_the_coin_value(self, is_call, growth):
        coin = coin_greeks(usd_greeks(F0, growth=growth, is_call=is_call), np.full(5, F0))
        value, slope, _ = self.differences(is_call, growth)
        _, _, bend = self.differences(is_call, growth, h=60.0)
        np.testing.assert_allclose(coin.price, value, rtol=1e-12)
        np.testing.assert_allclose(coin.premium_adjusted_delta, F0 * slope, atol=1e-7)
        np.testing.assert_allclose(coin.gamma, bend, rtol=1e-3, atol=1e-15)

    def test_gamma_vanna_and_charm_are_changes_of_the_adjusted_delta(self, is_call, growth):
        def delta(S=F0, T=0.1, sigma=SIGMA):
            carried = growth ** (T / 0.1)  # constant carry
            usd = usd_greeks(S, T=T, sigma=sigma, growth=carried, is_call=is_call)
            return coin_greeks(usd, np.full(5, S)).premium_adjusted_delta

        coin = coin_greeks(usd_greeks(F0, growth=growth, is_call=is_call), np.full(5, F0))
        h, day = 1e-4, 1e-3 / YEAR
        by_spot = (delta(S=F0 + 1.0) - delta(S=F0 - 1.0)) / 2.0
        by_vol = (delta(sigma=SIGMA + h) - delta(sigma=SIGMA - h)) / (2 * h) * 0.01
        by_day = (delta(T=0.1 - day) - delta(T=0.1 + day)) / (2 * day) / YEAR
        np.testing.assert_allclose(coin.premium_adjusted_gamma, by_spot, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(coin.premium_adjusted_vanna, by_vol, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(coin.premium_adjusted_charm, by_day, rtol=1e-5, atol=1e-9)

    def test_coin_profit_is_explained_by_coin_greeks(self, is_call, growth):
        coin = coin_greeks(usd_greeks(F0, growth=growth, is_call=is_call), np.full(5, F0))
        move = 0.001 * F0
        before = usd_value(F0, growth=growth, is_call=is_call) / F0
        after = usd_value(F0 + move, growth=growth, is_call=is_call) / (F0 + move)
        explained = coin.premium_adjusted_delta / F0 * move + 0.5 * coin.gamma * move**2
        np.testing.assert_allclose(after - before, explained, atol=2e-8)

    def test_inverse_futures_of_the_adjusted_delta_hedge_the_coin_value(self, is_call, growth):
        """A short future of N USD earns N (1/S - 1/S0) coin when the price goes from S0 to S."""
        coin = coin_greeks(usd_greeks(F0, growth=growth, is_call=is_call), np.full(5, F0))
        notional = coin.premium_adjusted_delta * F0
        move = 1e-4 * F0
        option = usd_value(F0 + move, growth=growth, is_call=is_call) / (F0 + move) - coin.price
        hedge = notional * (1.0 / (F0 + move) - 1.0 / F0)
        assert np.abs(option + hedge).max() < 2e-3 * np.abs(option).max()


def test_coin_value_at_no_spot_is_unknown():
    coin = coin_greeks(usd_greeks(F0), np.array([F0, 0.0, -1.0, np.nan, F0]))
    assert np.isfinite(coin.price).tolist() == [True, False, False, False, True]
    assert np.isfinite(coin.premium_adjusted_delta).tolist() == [True, False, False, False, True]


def test_variance_years_are_a_third_of_the_window_less_and_continuous():
    T = np.array([np.nan, -1.0, 0.0, 0.3 * W, W, 2.0 * W, 1.0])
    expected = [np.nan, 0.0, 0.0, 0.1 * W, W / 3.0, 4.0 / 3.0 * W, 1.0 - 2.0 / 3.0 * W]
    np.testing.assert_allclose(twap_years(T), expected, rtol=1e-14)


@pytest.mark.parametrize(("sigma", "most"), [(0.5, 2e-6), (1.0, 6e-6), (3.0, 5e-5)])
def test_variance_years_match_the_exact_second_moment(sigma, most):
    """E[A^2] = (2/w^2) int_0^w (w - s) exp(sigma^2 (T - w + s)) ds, with F = 1."""
    with mpmath.workdps(40):
        T, w, s2 = mpmath.mpf(3 * W), mpmath.mpf(W), mpmath.mpf(sigma) ** 2
        moment = mpmath.quad(lambda s: (w - s) * mpmath.exp(s2 * (T - w + s)), [0, w]) * 2 / w**2
        exact = float(mpmath.log(moment) / s2)
    approximate = float(twap_years(np.array([3 * W]))[0])
    assert abs(approximate - exact) < most * W / 3.0


def simulated(T, *, sigma, average, elapsed, strikes, is_call, paths=40_000, steps=60):
    """Price of the payoff on the average, with the plain payoff on the end as control variate.

    Antithetic normals; the average is the trapezoid of `steps` points over the window's rest.
    """
    rng = np.random.default_rng(7)
    left = min(T, W)
    wait = T - left
    half = rng.standard_normal((paths // 2, steps + 1))
    normal = np.concatenate([half, -half])
    start = np.log(F0) - 0.5 * sigma**2 * wait + sigma * np.sqrt(wait) * normal[:, 0]
    dt = left / steps
    steps_log = -0.5 * sigma**2 * dt + sigma * np.sqrt(dt) * normal[:, 1:]
    path = np.exp(np.column_stack([start, start[:, None] + np.cumsum(steps_log, axis=1)]))
    mean = (path[:, 1:-1].sum(axis=1) + 0.5 * (path[:, 0] + path[:, -1])) / steps
    settled = elapsed * average + (1.0 - elapsed) * mean
    out = []
    for K in strikes:
        sign = 1.0 if is_call else -1.0
        payoff = np.maximum(sign * (settled - K), 0.0)
        control = np.maximum(sign * (path[:, -1] - K), 0.0)
        true = black_price(
            np.array([F0]), np.array([K]), T=np.array([T]), sigma=np.array([sigma]),
            D=np.ones(1), is_call=np.array([is_call]),
        )[0]  # fmt: skip
        both = [0.5 * (x[: paths // 2] + x[paths // 2 :]) for x in (payoff, control)]
        spread = np.cov(both[0], both[1])
        beta = spread[0, 1] / spread[1, 1] if spread[1, 1] > 0.0 else 0.0
        adjusted = both[0] - beta * (both[1] - true)
        out.append((adjusted.mean(), adjusted.std(ddof=1) / np.sqrt(adjusted.size)))
    return np.array(out).T


def priced(T, *, sigma=SIGMA, average=np.nan, strikes=STRIKES, is_call=True, F=F0, S=None):
    n = np.asarray(strikes).size
    K, T = np.asarray(strikes, np.float64), np.full(n, T)
    terms = twap_adjust(K, T, average=average)
    return twap_greeks(
        np.full(n, F), terms, S=np.full(n, F if S is None else S), T=T,
        sigma=np.full(n, sigma), is_call=np.full(n, is_call),
    )  # fmt: skip


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("sigma", [0.5, 1.5])
@pytest.mark.parametrize("hours", [0.6, 1.0, 6.0])
def test_price_before_the_window_is_the_simulated_one(hours, sigma, is_call):
    strikes = F0 * np.exp(sigma * np.sqrt(hours * HOUR) * np.array([-1.5, -0.5, 0.0, 0.5, 1.5]))
    T = hours * HOUR
    mean, error = simulated(
        T, sigma=sigma, average=0.0, elapsed=0.0, strikes=strikes, is_call=is_call
    )
    ours = priced(T, sigma=sigma, strikes=strikes, is_call=is_call).price
    assert np.all(np.abs(ours - mean) < 3.0 * error + 1e-6 * F0 * sigma * np.sqrt(T))
    if hours < 2.0:  # the correction is far larger than the simulation's error
        plain = usd_value(F0, K=strikes, T=T, sigma=sigma, is_call=is_call)
        assert abs(plain[2] - mean[2]) > 50.0 * error[2]


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("elapsed", [0.1, 0.5, 0.9])
def test_price_inside_the_window_is_the_simulated_one(elapsed, is_call):
    sigma, average = 1.0, F0 * 1.001
    T = (1.0 - elapsed) * W
    centre = elapsed * average + (1.0 - elapsed) * F0
    width = (1.0 - elapsed) * sigma * np.sqrt(T / 3.0) * F0
    strikes = centre + width * np.array([-1.5, -0.5, 0.0, 0.5, 1.5])
    mean, error = simulated(
        T, sigma=sigma, average=average, elapsed=elapsed, strikes=strikes, is_call=is_call
    )
    ours = priced(T, sigma=sigma, average=average, strikes=strikes, is_call=is_call).price
    assert np.all(np.abs(ours - mean) < 3.0 * error + 2e-4 * width)  # 60 steps: 1.4e-4 of it


def path_moved(T, h, average, F):
    """Window state `h` years later when the price stays: the average accumulates it."""
    elapsed = max(1.0 - T / W, 0.0) * W
    if T >= W:
        return T - h, np.nan
    return T - h, (elapsed * average + F * h) / (elapsed + h)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(("T", "average"), [(2.5 * HOUR, np.nan), (0.4 * W, F0 * 1.0005)])
@pytest.mark.parametrize("b", [0.0, 0.1])
def test_greeks_are_the_derivatives_of_the_price(T, average, is_call, b):
    """Carry stays: the future follows the spot by exp(b T)."""
    strikes = F0 * np.array([0.9992, 1.0, 1.0007])

    def at(S=F0, later=0.0, sigma=SIGMA):
        F = S * np.exp(b * (T - later))
        moved, mean = path_moved(T, later, average, S) if later else (T, average)
        return priced(moved, sigma=sigma, average=mean, strikes=strikes, is_call=is_call, F=F, S=S)

    g = at()
    dS, dv, dt = 2.0, 1e-4, 1e-4 * W
    up, down, later = at(S=F0 + dS), at(S=F0 - dS), at(later=dt)
    high, low = at(sigma=SIGMA + dv), at(sigma=SIGMA - dv)
    near = {"rtol": 2e-3, "atol": 1e-9}
    np.testing.assert_allclose(g.delta, (up.price - down.price) / (2 * dS), **near)
    np.testing.assert_allclose(g.gamma, (up.delta - down.delta) / (2 * dS), **near)
    np.testing.assert_allclose(g.vega, (high.price - low.price) / (2 * dv) * 0.01, **near)
    np.testing.assert_allclose(g.vanna, (high.delta - low.delta) / (2 * dv) * 0.01, **near)
    np.testing.assert_allclose(g.volga, (high.vega - low.vega) / (2 * dv) * 0.01, **near)
    np.testing.assert_allclose(g.theta, (later.price - g.price) / dt / YEAR, rtol=5e-3, atol=1e-3)
    np.testing.assert_allclose(g.charm, (later.delta - g.delta) / dt / YEAR, rtol=5e-3, atol=5e-2)
    if "color" in {field.name for field in fields(Greeks)}:
        color = (later.gamma - g.gamma) / dt / YEAR
        np.testing.assert_allclose(g.color, color, rtol=1e-2, atol=1e-5)
        np.testing.assert_allclose(g.speed, (up.gamma - down.gamma) / (2 * dS), rtol=5e-3)


def test_far_from_expiry_nothing_changes():
    T = 0.5
    ours, plain = priced(T), usd_greeks(F0, T=T)
    for field in fields(Greeks):
        np.testing.assert_allclose(
            getattr(ours, field.name), getattr(plain, field.name), rtol=5e-3, err_msg=field.name
        )


def test_average_that_has_decided_leaves_a_linear_claim():
    elapsed, average = 0.95, F0
    T = (1.0 - elapsed) * W
    strikes = [0.5 * F0]  # even if the index went to 0, the average would be above
    terms = twap_adjust(np.array(strikes), np.array([T]), average=average)
    assert terms.certain.tolist() == [True]
    assert terms.strike[0] < 0.0
    call = priced(T, average=average, strikes=strikes, sigma=np.nan)
    put = priced(T, average=average, strikes=strikes, is_call=False)
    assert call.price[0] == pytest.approx(0.5 * F0, rel=1e-12)
    assert call.delta[0] == pytest.approx(1.0 - elapsed, rel=1e-12)
    assert call.gamma[0] == 0.0
    assert (put.price[0], put.delta[0], put.vega[0]) == (0.0, 0.0, 0.0)


def test_unknown_average_is_never_silent():
    K, T = np.full(4, F0), np.array([W, 0.5 * W, 0.5 * W, 0.0])
    average = np.array([np.nan, np.nan, F0, F0])
    refused = twap_adjust(K, T, average=average)
    assert refused.status.tolist() == ["before", "no_average", "inside", "expired"]
    assert np.isnan(refused.strike).tolist() == [False, True, False, True]
    assumed = twap_adjust(K, T, average=average, assumed_average=F0 + 100.0)
    assert assumed.status.tolist() == ["before", "average_assumed", "inside", "expired"]
    assert assumed.strike[1] == pytest.approx(F0 - 100.0)
    price = twap_greeks(
        np.full(4, F0), refused, S=np.full(4, F0), T=T, sigma=np.full(4, 0.8),
        is_call=np.full(4, True),
    ).price  # fmt: skip
    assert np.isfinite(price).tolist() == [True, False, True, False]


def test_expected_settlement_price_contains_the_average():
    T, S = np.array([0.2 * W, 0.999 * W]), np.array([60_000.0, 60_000.0])
    average = np.array([60_300.0, 59_000.0])
    expected = (1.0 - T / W) * average + T / W * S
    found = average_so_far(expected, S, T)
    np.testing.assert_allclose(found, average, rtol=1e-9)
    terms = twap_adjust(np.full(2, 100.0), T, average=found)  # far in the money: a future
    call = twap_greeks(S, terms, S=S, T=T, sigma=np.full(2, 0.5), is_call=np.full(2, True))
    np.testing.assert_allclose(call.price, expected - 100.0, rtol=1e-12)
    outside = average_so_far(S, np.array([6e4, 0.0]), np.array([2.0 * W, 0.5 * W]))
    assert np.isnan(outside).all()


def test_bad_input_gives_no_number():
    K = np.array([np.nan, -1.0, 0.0, np.inf, F0])
    T = np.array([1.0, 1.0, 1.0, 1.0, np.nan])
    terms = twap_adjust(K, T, average=F0)
    assert terms.status.tolist() == ["bad_input"] * 5
    assert np.isnan(terms.years).all()
    assert not terms.certain.any()


@pytest.fixture(scope="module")
def ticks(shared_data):
    """One day of Deribit's inverse options with its own vols, deltas and coin prices."""
    path = shared_data / "deribit" / "tardis_atm_quotes_2023-12.csv.gz"
    rows = pa_csv.read_csv(path).to_pandas()
    rows = rows[rows.symbol.str.startswith("BTC-")]
    rows = rows.dropna(subset=["mark_iv", "delta", "underlying_price", "mark_price"])
    rows["T"] = (rows.expiration - rows.timestamp).dt.total_seconds() / (86_400 * YEAR)
    F, K = rows.underlying_price.to_numpy(), rows.strike_price.to_numpy(np.float64)
    usd = black_greeks(
        F, K, S=F, T=rows["T"].to_numpy(), sigma=rows.mark_iv.to_numpy() / 100.0,
        D=np.ones(F.size), is_call=(rows.type == "call").to_numpy(),
    )  # fmt: skip
    return rows, usd, F


def test_deribit_publishes_the_plain_delta(ticks):
    rows, usd, F = ticks
    early = (rows["T"] > W).to_numpy()
    published = rows.delta.to_numpy()[early]
    plain = np.abs(published - usd.delta[early])
    adjusted = np.abs(published - coin_greeks(usd, F).premium_adjusted_delta[early])
    assert plain.max() < 3e-4
    assert np.median(plain) < 5e-6
    assert np.median(adjusted) > 0.02


def test_deribit_scales_delta_by_the_rest_of_the_window(ticks):
    """18 minutes before the end a certain call has the published delta 0.6."""
    rows, usd, _ = ticks
    inside = (rows["T"] < W).to_numpy()
    share = rows["T"].to_numpy()[inside] / W
    assert inside.sum() > 50
    published = rows.delta.to_numpy()[inside]
    assert np.abs(published - usd.delta[inside] * share).max() < 5e-3


def test_deribit_quotes_coin_in_the_future_of_the_expiry(shared_data):
    rows = pq.read_table(shared_data / "deribit" / "chain_BTC" / "BTC_2025-12.parquet").to_pandas()
    expiry = rows.instrument_name.str.split("-").str[1]
    apart = np.abs(rows.underlying / rows.index_price - 1.0) > 0.01
    rows, expiry = rows[apart], expiry[apart]
    both = rows.assign(expiry=expiry, strike=rows.instrument_name.str.split("-").str[2])
    both["right"] = both.instrument_name.str[-1]
    pairs = both.pivot_table(
        index=["timestamp", "expiry", "strike"],
        columns="right",
        values=["mark_price", "underlying"],
    ).dropna()
    difference = pairs["mark_price"]["C"] - pairs["mark_price"]["P"]
    F = pairs["underlying"]["C"]
    strike = pairs.index.get_level_values("strike").astype(float)
    assert len(pairs) > 50
    assert np.abs(difference - (1.0 - strike / F)).median() < 1e-4  # C - P = (F - K) / F
