"""Option symbols: vectors, refusals, and round trips."""

import contextlib
from datetime import date

import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.domain.instruments import Contract, parse_deribit, parse_osi
from dealer_assets.errors import BadInputError


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("O:SPXW251219C05900000", Contract("SPXW", date(2025, 12, 19), "call", 5900.0)),
        ("O:SPX251219C05900000", Contract("SPX", date(2025, 12, 19), "call", 5900.0)),
        ("O:SPXW251128P06000000", Contract("SPXW", date(2025, 11, 28), "put", 6000.0)),
        ("O:SPXW260717C06000500", Contract("SPXW", date(2026, 7, 17), "call", 6000.5)),
        ("SPY240621P00500000", Contract("SPY", date(2024, 6, 21), "put", 500.0)),
        ("SPY   240621P00500000", Contract("SPY", date(2024, 6, 21), "put", 500.0)),
        (" SPY240621P00500000\n", Contract("SPY", date(2024, 6, 21), "put", 500.0)),
        ("BRKB240621P00500125", Contract("BRKB", date(2024, 6, 21), "put", 500.125)),
        ("AAPL7210115C00012500", Contract("AAPL7", date(2021, 1, 15), "call", 12.5)),
        ("2SPX240621P00500000", Contract("2SPX", date(2024, 6, 21), "put", 500.0)),
        ("A240229C00000005", Contract("A", date(2024, 2, 29), "call", 0.005)),
    ],
)
def test_osi_vectors(symbol, expected):
    assert parse_osi(symbol) == expected


@pytest.mark.parametrize(
    "symbol",
    [
        "O:AAPL211022C000150000",  # the vendor's own example: nine digits of strike
        "AAPL211022C0015000",
        "AAPL211022X00150000",
        "TOOLONG211022C00150000",
        "211022C00150000",
        "aapl211022C00150000",
        "O:O:AAPL211022C00150000",
        "AAPL211022C00150000 junk",
        "BTC-27DEC24-100000-C",
        "",
    ],
)
def test_text_that_is_no_osi_symbol_is_refused(symbol):
    with pytest.raises(BadInputError, match="expected an OSI option symbol"):
        parse_osi(symbol)


@pytest.mark.parametrize("symbol", ["SPX250229C05000000", "SPX251319C05000000"])
def test_osi_date_that_does_not_exist_is_refused(symbol):
    with pytest.raises(BadInputError, match="does not exist"):
        parse_osi(symbol)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTC-27DEC24-100000-C", Contract("BTC", date(2024, 12, 27), "call", 100_000.0)),
        ("BTC-5JUN26-100000-P", Contract("BTC", date(2026, 6, 5), "put", 100_000.0)),
        ("BTC_USDC-27JUN25-90000-P", Contract("BTC_USDC", date(2025, 6, 27), "put", 90_000.0)),
        ("XRP_USDC-30JUN23-0d625-C", Contract("XRP_USDC", date(2023, 6, 30), "call", 0.625)),
    ],
)
def test_deribit_vectors_both_ways(name, expected):
    assert parse_deribit(name) == expected
    assert expected.deribit == name


@pytest.mark.parametrize(
    "name",
    [
        "BTC-CS-19MAY26-70000_75000",
        "BTC-PERPETUAL",
        "BTC-27DEC24",
        "BTC-27DEC24-100000-X",
        "BTC-27dec24-100000-C",
        "BTC-27DEC24-1d-C",
        "SPXW251219C05900000",
        "",
    ],
)
def test_text_that_is_no_deribit_option_is_refused(name):
    with pytest.raises(BadInputError, match="expected a Deribit option name"):
        parse_deribit(name)


@pytest.mark.parametrize("name", ["BTC-31FEB24-100000-C", "BTC-27DEX24-100000-C"])
def test_deribit_date_that_does_not_exist_is_refused(name):
    with pytest.raises(BadInputError, match="does not exist"):
        parse_deribit(name)


DATES = st.dates(date(2000, 1, 1), date(2099, 12, 31))
RIGHTS = st.sampled_from(["call", "put"])
ROOTS = st.from_regex(r"[A-Z0-9]{1,6}", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(ROOTS, DATES, RIGHTS, st.integers(1, 99_999_999))
def test_osi_round_trip(root, expiry, right, thousandths):
    contract = Contract(root, expiry, right, thousandths / 1000)
    assert parse_osi(contract.osi) == contract
    assert parse_osi(f"O:{contract.osi}") == contract
    assert parse_osi(contract.osi).osi == contract.osi


@settings(max_examples=100, deadline=None)
@given(ROOTS, DATES, RIGHTS, st.integers(1, 99_999_999))
def test_osi_padding_makes_no_difference(root, expiry, right, thousandths):
    contract = Contract(root, expiry, right, thousandths / 1000)
    padded = root.ljust(6) + contract.osi[len(root) :]
    assert parse_osi(padded) == contract


@settings(max_examples=200, deadline=None)
@given(
    st.from_regex(r"[A-Z]{2,5}(_USDC)?", fullmatch=True),
    DATES,
    RIGHTS,
    st.one_of(
        st.integers(1, 10_000_000).map(float),
        st.integers(1, 9_999_999).map(lambda thousandths: thousandths / 1000),
    ),
)
def test_deribit_round_trip(root, expiry, right, strike):
    contract = Contract(root, expiry, right, strike)
    assert parse_deribit(contract.deribit) == contract


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_parses_or_is_refused_and_nothing_else_is_raised(text):
    for parse in (parse_osi, parse_deribit):
        with contextlib.suppress(BadInputError):
            assert parse(text).strike >= 0.0
