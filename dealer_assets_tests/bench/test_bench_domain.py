"""Speed of the numeric domain: whole recorded chain, and against QuantLib in the same run.

``make bench`` runs it. Nothing here asserts a time: machines differ; the ratio is printed and kept
with the results.
"""

import sys
from time import perf_counter

import numpy as np
import pytest
import QuantLib

from dealer_assets.domain.exposure.snapshot import expose
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.providers.files import read_chain_file

CONTRACTS = 25_000
"""A full SPX chain with both roots."""

SUBSET = 2_000
"""A QuantLib loop costs ten microseconds a contract; its time is linear."""

AGREE = 1e-9


@pytest.fixture(scope="module")
def recorded_rows(shared_data):
    (snapshot,) = read_chain_file(shared_data / "cboe_csv" / "SPX_2023-09-14_full.csv.gz")
    return snapshot.rows


@pytest.fixture(scope="module")
def market():
    rng = np.random.default_rng(7)
    years = rng.uniform(1 / 365, 2.0, CONTRACTS)
    forward = 5000.0 * np.exp(0.03 * years)
    sigma = rng.uniform(0.08, 0.6, CONTRACTS)
    deviations = rng.uniform(-3.0, 3.0, CONTRACTS)
    return {
        "F": forward,
        "K": forward * np.exp(deviations * sigma * np.sqrt(years)),
        "S": np.full(CONTRACTS, 5000.0),
        "T": years,
        "sigma": sigma,
        "D": np.exp(-0.045 * years),
        "is_call": rng.uniform(size=CONTRACTS) < 0.5,
    }


def ours(market, count=CONTRACTS):
    part = {name: values[:count] for name, values in market.items()}
    return black_greeks(part.pop("F"), part.pop("K"), **part)


def quantlib_loop(market, count):
    """Delta, gamma, vega, theta and rho of each contract in turn, shape (count, 5)."""
    found = np.empty((count, 5))
    deviation = market["sigma"] * np.sqrt(market["T"])
    for i in range(count):
        right = QuantLib.Option.Call if market["is_call"][i] else QuantLib.Option.Put
        payoff = QuantLib.PlainVanillaPayoff(right, float(market["K"][i]))
        terms = float(market["F"][i]), float(deviation[i]), float(market["D"][i])
        spot, years = float(market["S"][i]), float(market["T"][i])
        one = QuantLib.BlackCalculator(payoff, *terms)
        found[i] = (
            one.delta(spot),
            one.gamma(spot),
            one.vega(years),
            one.theta(spot, years),
            one.rho(years),
        )
    return found


def test_bench_price_chain(benchmark, recorded_rows):
    priced = benchmark(price_chain, recorded_rows)
    assert priced.num_rows > 15_000


def test_bench_expose(benchmark, recorded_rows):
    priced = price_chain(recorded_rows)
    exposure = benchmark(expose, recorded_rows, priced, model="naive")
    assert exposure.levels.num_rows == 1


def test_bench_black_greeks(benchmark, market):
    greeks = benchmark(ours, market)
    assert np.isfinite(greeks.charm).all()


def test_bench_black_greeks_against_quantlib(benchmark, market, capsys):
    ours(market)  # imports scipy and warms the caches outside the timing
    start = perf_counter()
    theirs = quantlib_loop(market, SUBSET)
    per_contract = (perf_counter() - start) / SUBSET
    found = benchmark(ours, market)
    units = (("delta", 1.0), ("gamma", 1.0), ("vega", 0.01), ("theta", 1 / 365), ("rho", 0.01))
    for column, (name, unit) in enumerate(units):
        close = getattr(found, name)[:SUBSET] / unit
        np.testing.assert_allclose(close, theirs[:, column], rtol=AGREE, atol=AGREE, err_msg=name)
    if benchmark.enabled:
        ratio = per_contract * CONTRACTS / benchmark.stats["median"]
        benchmark.extra_info["quantlib_loop_over_ours"] = ratio
        with capsys.disabled():
            sys.stdout.write(f"\nQuantLib loop (5 Greeks) / black_greeks (8): {ratio:.0f}x\n")
