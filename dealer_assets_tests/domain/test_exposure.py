"""Positions and the five exposures: a book computed by hand, linearity, sums, signs, buckets."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.exposure.aggregate import (
    days_to_expiry,
    dte_bucket,
    exposure_rows,
    open_book,
)
from dealer_assets.domain.exposure.snapshot import exposures_of
from dealer_assets.domain.positions.models import Holdings, naive, position_model
from dealer_assets.errors import BadInputError
from dealer_assets_tests.domain.synthetic import book_of, position, priced

EXPOSURES = (
    "delta_usd",
    "gamma_usd_per_pct",
    "vanna_usd_per_vol_pt",
    "charm_usd_per_day",
    "volga_usd_per_vol_pt2",
)

BY_HAND = 1e-6
"""The book below is worked out with seven digits of the normal table."""

ROUNDING = 1e-12

# S = F = 100, D = 1, T = 1, sigma = 0.2, so s = 0.2; multiplier 100; no carry.
# K = 100:        d1 =  0.1, d2 = -0.1; phi(0.1) = 0.3969525, N(0.1) = 0.5398278
# K = 100 e^-.02: d1 =  0.2, d2 =  0.0; phi(0.2) = 0.3910427, N(0.2) = 0.5792597
LOW_STRIKE = 98.0198673306755
HAND_BOOK = [
    position(100, "call", 10),
    position(100, "put", 20),
    position(LOW_STRIKE, "call", 30),
]
# phi and N carry seven digits; each line is position x Greek x multiplier x unit, sorted by strike:
# the low call (+30), then the call (+10) and the put (-20) at 100.
HAND = {
    # delta: N(d1), N(d1), N(d1) - 1; times q m S
    "delta_usd": [30 * 0.5792597 * 1e4, 10 * 0.5398278 * 1e4, -20 * -0.4601722 * 1e4],
    # gamma: phi(d1) / (S s); times q m S^2 / 100
    "gamma_usd_per_pct": [
        30 * 0.3910427 / 20 * 1e4,
        10 * 0.3969525 / 20 * 1e4,
        -20 * 0.3969525 / 20 * 1e4,
    ],
    # vanna: -phi(d1) d2 / sigma / 100; times q m S
    "vanna_usd_per_vol_pt": [
        0.0,
        10 * 0.3969525 * 0.1 / 0.2 / 100 * 1e4,
        -20 * 0.3969525 * 0.1 / 0.2 / 100 * 1e4,
    ],
    # charm without carry: phi(d1) d2 / (2 T) / 365; times q m S
    "charm_usd_per_day": [
        0.0,
        10 * 0.3969525 * -0.1 / 2 / 365 * 1e4,
        -20 * 0.3969525 * -0.1 / 2 / 365 * 1e4,
    ],
    # volga: S phi(d1) sqrt(T) d1 d2 / sigma / 100^2; times q m
    "volga_usd_per_vol_pt2": [
        0.0,
        10 * 100 * 0.3969525 * 0.1 * -0.1 / 0.2 / 1e4 * 100,
        -20 * 100 * 0.3969525 * 0.1 * -0.1 / 0.2 / 1e4 * 100,
    ],
}


@pytest.mark.parametrize("name", EXPOSURES)
def test_three_contract_book_is_what_it_is_by_hand(name):
    found = getattr(book_of(HAND_BOOK), name)
    # d2 of the low strike is 0 to rounding of the strike only: hence the absolute floor of a cent
    np.testing.assert_allclose(found, HAND[name], rtol=BY_HAND, atol=1e-2)


def test_exposure_rows_carry_the_same_numbers_with_their_contract():
    book = book_of(HAND_BOOK)
    rows = exposure_rows(book)
    assert rows.schema == tables.DEALER_EXPOSURE.schema
    assert rows["position_contracts"].to_pylist() == [30.0, 10.0, -20.0]
    assert rows["right"].to_pylist() == ["call", "call", "put"]
    assert rows["model"].to_pylist() == ["naive"] * 3
    for column, name in zip(rows.column_names[-5:], EXPOSURES, strict=True):
        np.testing.assert_array_equal(rows[column].to_numpy(), getattr(book, name))


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 1e4))
def test_every_exposure_is_linear_in_open_interest(factor):
    once = book_of(HAND_BOOK)
    scaled = book_of(
        [item | {"open_interest": item["open_interest"] * factor} for item in HAND_BOOK]
    )
    for name in EXPOSURES:
        np.testing.assert_allclose(
            getattr(scaled, name), factor * getattr(once, name), rtol=ROUNDING
        )


@pytest.mark.parametrize("name", EXPOSURES)
def test_every_exposure_is_linear_in_the_multiplier(name):
    tenth = book_of([item | {"multiplier": 10.0} for item in HAND_BOOK])
    np.testing.assert_allclose(
        10 * getattr(tenth, name), getattr(book_of(HAND_BOOK), name), rtol=ROUNDING
    )


def test_sum_of_two_books_is_the_book_of_both():
    parts = [book_of(HAND_BOOK[i : i + 1]).charm_usd_per_day.sum() for i in range(3)]
    assert sum(parts) == pytest.approx(book_of(HAND_BOOK).charm_usd_per_day.sum(), rel=ROUNDING)


def test_sum_over_strikes_is_the_total():
    rng = np.random.default_rng(5)
    book = book_of(
        [
            position(strike, right, float(rng.integers(1, 500)), years=years)
            for strike in range(80, 121, 5)
            for right in ("call", "put")
            for years in (0.1, 0.5)
        ]
    )
    rows = exposure_rows(book)
    by_strike = rows.group_by("strike").aggregate([("gamma_exposure_usd_per_pct", "sum")])
    assert by_strike.num_rows == 9
    assert sum(by_strike["gamma_exposure_usd_per_pct_sum"].to_pylist()) == pytest.approx(
        book.gamma_usd_per_pct.sum(), rel=ROUNDING
    )


def test_naive_dealers_are_long_calls_and_short_puts():
    is_call = np.array([True, False, True, False])
    found = naive(Holdings(is_call, np.array([5.0, 5.0, np.nan, np.nan]))).contracts
    np.testing.assert_array_equal(found, [5.0, -5.0, np.nan, np.nan])


def test_unknown_position_model_is_refused_with_the_known_ones():
    assert position_model("naive") is naive
    with pytest.raises(BadInputError, match=r"expected one of .*'naive'.*'reconciled'"):
        open_book(priced(HAND_BOOK), "guess")


@pytest.mark.parametrize("change", [{"vol": None}, {"open_interest": None}, {"open_interest": 0.0}])
def test_contract_without_vol_or_open_interest_does_not_count(change):
    book = book_of([*HAND_BOOK, position(105, "call", 40) | change])
    assert book.strike.tolist() == [LOW_STRIKE, 100.0, 100.0]
    np.testing.assert_array_equal(book.gamma_usd_per_pct, book_of(HAND_BOOK).gamma_usd_per_pct)


def test_book_without_a_contract_that_counts_is_empty_but_whole():
    book = book_of([position(100, "call", None)])
    assert book.spot == 100.0
    assert book.snapshot["underlying"] == "SPX"
    rows = exposure_rows(book)
    assert rows.num_rows == 0
    assert rows.schema == tables.DEALER_EXPOSURE.schema


def test_exposures_of_nothing_priced_are_empty_and_typed():
    rows = exposures_of(tables.CONTRACT_GREEKS.schema.empty_table(), model="naive")
    assert rows.num_rows == 0
    assert rows.schema == tables.DEALER_EXPOSURE.schema


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (0, "0dte"),
        (1, "1-7"),
        (7, "1-7"),
        (8, "8-45"),
        (45, "8-45"),
        (46, "46+"),
        (2000, "46+"),
    ],
)
def test_bucket_boundaries(days, bucket):
    assert dte_bucket(np.array([days])).tolist() == [bucket]


def test_bucket_counts_calendar_days_from_the_session():
    contracts = [position(100, "call", 1, days=days) for days in (0, 7, 8, 46)]
    book = book_of(contracts)
    assert days_to_expiry(book.rows).tolist() == [0, 7, 8, 46]
    assert exposure_rows(book)["dte_bucket"].to_pylist() == ["0dte", "1-7", "8-45", "46+"]
