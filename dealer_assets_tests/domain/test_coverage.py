"""Whether rows are a whole chain: one thing missing at a time."""

from datetime import date, timedelta

import pytest

from dealer_assets import tables
from dealer_assets.domain.coverage import EXPIRIES, SPAN_DAYS, coverage_of
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.synthetic import chain, contract, whole_chain

SPX = underlying("SPX")


def test_whole_chain_is_whole():
    coverage = coverage_of(SPX, chain(whole_chain()))
    assert not coverage.is_partial
    assert coverage.reasons == ()


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (lambda c: c["root"] == "SPXW", "no contract of root SPX"),
        (lambda c: c["expiry_date"] < date(2025, 8, 1), f"expected at least {EXPIRIES['index']}"),
        (lambda c: c["strike"] > 5000, "of spot"),
        (lambda c: c["strike"] < 6500, "of spot"),
    ],
)
def test_piece_of_a_chain_is_partial_with_what_is_missing(keep, reason):
    coverage = coverage_of(SPX, chain([c for c in whole_chain() if keep(c)]))
    assert coverage.is_partial
    assert any(reason in text for text in coverage.reasons)


def test_many_near_expiries_do_not_make_a_whole_chain():
    days = [date(2025, 6, 11) + timedelta(days=number) for number in range(20)]
    contracts = [
        contract(strike, "call", expiry=day, root=root)
        for day in days
        for strike in (4200, 6000, 7800)
        for root in ("SPX", "SPXW")
    ]
    coverage = coverage_of(SPX, chain(contracts))
    assert coverage.reasons == (f"expiries span 19 days, expected at least {SPAN_DAYS}",)


def test_chain_without_spot_is_not_judged_by_its_strikes():
    narrow = [c for c in whole_chain() if 5900 <= c["strike"] <= 6100]
    assert coverage_of(SPX, chain(narrow)).is_partial
    assert not coverage_of(SPX, chain(narrow, spot=None)).is_partial


def test_crypto_chain_is_judged_by_its_expiries_alone():
    days = [date(2025, 6, 11) + timedelta(days=number) for number in range(EXPIRIES["crypto"])]
    contracts = [contract(100_000, "call", expiry=day, root="BTC") for day in days]
    coin = underlying("BTC")
    assert not coverage_of(coin, chain(contracts, symbol="BTC", spot=105_000.0)).is_partial
    assert coverage_of(coin, chain(contracts[1:], symbol="BTC", spot=105_000.0)).is_partial


def test_no_contract_at_all_is_partial():
    coverage = coverage_of(SPX, tables.CHAIN_SNAPSHOTS.schema.empty_table())
    assert coverage.reasons == ("no contract",)
