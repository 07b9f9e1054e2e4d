"""Pricing of a whole snapshot: whose quote a vol rests on, and what stands in where none is."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from dealer_assets import tables
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets_tests.domain.synthetic import EVENT_AT, chain, contract, quoted

STRIKES = range(5600, 6401, 100)
VOL_ERROR = 1e-6
"""Quotes are symmetric about the model price, so the vol is the planted one but for the forward,
which comes from the quotes' own parity."""

FLOAT32 = 1.2e-7
"""Stored Greeks are float32."""


def rows_by(table, *names):
    """Rows of a table as dictionaries, by the values of some columns."""
    return {tuple(row[name] for name in names): row for row in table.to_pylist()}


def smile(strike):
    return 0.2 - 0.1 * (strike / 6000.0 - 1.0)


@pytest.fixture(scope="module")
def clean():
    return price_chain(chain(quoted(STRIKES, vol=smile)))


def without_bid(contracts, strike, right):
    """The same contracts, one of them quoted at the ask only."""
    return [
        item | {"bid": 0.0} if (item["strike"], item["right"]) == (strike, right) else item
        for item in contracts
    ]


def test_priced_rows_have_the_tables_schema_and_the_chains_order(clean):
    rows = chain(quoted(STRIKES, vol=smile))
    assert clean.schema == tables.CONTRACT_GREEKS.schema
    assert clean["symbol"].to_pylist() == rows["symbol"].to_pylist()


def test_out_of_the_money_side_serves_both_rights(clean):
    for (strike, right), row in rows_by(clean, "strike", "right").items():
        is_out = strike >= row["forward"] if right == "call" else strike < row["forward"]
        assert row["iv_source"] == ("own" if is_out else "other_side")
        assert row["iv_reason"] == "ok"
        assert row["implied_vol"] == pytest.approx(smile(strike), rel=VOL_ERROR)
    vols = {}
    for (strike, _), row in rows_by(clean, "strike", "right").items():
        assert vols.setdefault(strike, row["implied_vol"]) == row["implied_vol"]


def test_vol_of_a_mispriced_in_the_money_quote_is_not_used():
    contracts = [
        item | {"bid": item["bid"] + 4.0, "ask": item["ask"] + 4.0}
        if (item["strike"], item["right"]) == (5600.0, "call")
        else item
        for item in quoted(STRIKES, vol=smile)
    ]
    row = rows_by(price_chain(chain(contracts)), "strike", "right")[5600.0, "call"]
    assert row["iv_source"] == "other_side"
    assert row["implied_vol"] == pytest.approx(smile(5600.0), rel=1e-3)


def test_stored_greeks_are_those_of_the_stored_vol(clean):
    columns = {name: np.array(clean[name].to_pylist()) for name in ("forward", "strike", "spot")}
    found = black_greeks(
        columns["forward"],
        columns["strike"],
        S=columns["spot"],
        T=np.array(clean["year_fraction"].to_pylist()),
        sigma=np.array(clean["implied_vol"].to_pylist()),
        D=np.array(clean["discount"].to_pylist()),
        is_call=np.array(clean["right"].to_pylist()) == "call",
    )
    for name in ("delta", "gamma", "vega", "theta", "rho", "vanna", "charm", "volga"):
        stored = np.array(clean[name].to_pylist())
        np.testing.assert_allclose(stored, getattr(found, name), rtol=FLOAT32, atol=1e-30)


def test_strike_without_a_bid_is_interpolated_and_says_why():
    contracts = without_bid(quoted(STRIKES, vol=smile), 6300.0, "call")
    rows = rows_by(price_chain(chain(contracts)), "strike", "right")
    call, put = rows[6300.0, "call"], rows[6300.0, "put"]
    assert (call["iv_source"], call["iv_reason"]) == ("interpolated", "no_bid")
    assert call["mid"] is None
    assert (put["iv_source"], put["iv_reason"]) == ("interpolated", "ok")
    low, high = rows[6200.0, "call"]["implied_vol"], rows[6400.0, "call"]["implied_vol"]
    share = np.log(6300 / 6200) / np.log(6400 / 6200)
    assert call["implied_vol"] == pytest.approx(low + share * (high - low), rel=1e-9)
    assert call["implied_vol"] == put["implied_vol"]
    assert call["gamma"] > 0.0


@pytest.mark.parametrize(("strike", "right", "nearest"), [(6400.0, "call", 6300.0)])
def test_strike_beyond_the_last_quote_takes_the_nearest_vol(strike, right, nearest):
    contracts = without_bid(quoted(STRIKES, vol=smile), strike, right)
    rows = rows_by(price_chain(chain(contracts)), "strike", "right")
    assert rows[strike, right]["iv_source"] == "extrapolated"
    assert rows[strike, right]["implied_vol"] == rows[nearest, right]["implied_vol"]


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        ({"bid": 0.0, "ask": 1.0}, "no_bid"),
        ({"bid": None, "ask": 1.0}, "no_bid"),
        ({"bid": 9.0, "ask": 8.0}, "crossed"),
        ({"bid": 0.0, "ask": 0.0}, "no_quote"),
        ({"bid": None, "ask": None}, "no_quote"),
        ({"bid": 1.0, "ask": None}, "no_quote"),
        ({"bid": 6500.0, "ask": 6600.0}, "above_bound"),
    ],
)
def test_unusable_quote_is_named(quote, reason):
    contracts = [
        item | quote if (item["strike"], item["right"]) == (6200.0, "call") else item
        for item in quoted(STRIKES, vol=smile)
    ]
    row = rows_by(price_chain(chain(contracts)), "strike", "right")[6200.0, "call"]
    assert row["iv_reason"] == reason
    assert row["iv_source"] == "interpolated"


def test_quote_below_intrinsic_is_named_and_the_other_side_serves():
    contracts = [
        item | {"bid": 300.0, "ask": 310.0}
        if (item["strike"], item["right"]) == (5600.0, "call")
        else item
        for item in quoted(STRIKES, vol=smile)
    ]
    row = rows_by(price_chain(chain(contracts)), "strike", "right")[5600.0, "call"]
    assert (row["iv_reason"], row["iv_source"]) == ("below_intrinsic", "other_side")


def test_strike_listed_on_its_in_the_money_side_only_is_interpolated():
    contracts = [
        c for c in quoted(STRIKES, vol=smile) if (c["strike"], c["right"]) != (5800, "put")
    ]
    row = rows_by(price_chain(chain(contracts)), "strike", "right")[5800.0, "call"]
    assert (row["iv_source"], row["iv_reason"]) == ("interpolated", "ok")
    assert row["implied_vol"] == pytest.approx(smile(5800), rel=1e-3)


def test_slice_without_any_usable_quote_has_no_vol_and_no_greeks():
    empty = [
        contract(strike, right, expiry=date(2025, 8, 15), bid=0.0, ask=0.05)
        for strike in STRIKES
        for right in ("call", "put")
    ]
    table = price_chain(chain(quoted(STRIKES, vol=smile) + empty))
    rows = [row for row in table.to_pylist() if row["expiry_date"] == date(2025, 8, 15)]
    assert len(rows) == len(empty)
    for row in rows:
        assert (row["iv_source"], row["iv_reason"]) == ("none", "no_bid")
        assert row["implied_vol"] is None
        assert row["gamma"] is None
        assert row["forward_method"] == "carry"


def test_one_sided_quotes_do_not_count_as_pairs():
    contracts = quoted(STRIKES, vol=smile)
    for strike in (5600.0, 5700.0):
        contracts = without_bid(contracts, strike, "put")
    for strike in (6300.0, 6400.0):
        contracts = without_bid(contracts, strike, "call")
    table = price_chain(chain(contracts))
    assert set(table["forward_pairs"].to_pylist()) == {5}
    assert set(table["forward_method"].to_pylist()) == {"parity"}


def test_expired_contracts_are_dropped():
    after_close = datetime(2025, 6, 10, 20, 0, tzinfo=UTC)
    table = chain(
        [item | {"expiry_date": date(2025, 6, 10)} for item in quoted(STRIKES, vol=smile)]
        + quoted(STRIKES, vol=smile),
        event_at=after_close,
    )
    priced = price_chain(table)
    assert table.num_rows == 2 * priced.num_rows
    assert set(priced["expiry_date"].to_pylist()) == {date(2025, 7, 15)}


def test_chain_of_expired_contracts_gives_an_empty_typed_table():
    contracts = [
        contract(6000, right, expiry=date(2025, 6, 9), bid=1.0, ask=1.1)
        for right in ("call", "put")
    ]
    priced = price_chain(chain(contracts))
    assert priced.num_rows == 0
    assert priced.schema == tables.CONTRACT_GREEKS.schema


def test_chain_without_rows_gives_an_empty_typed_table():
    assert price_chain(tables.CHAIN_SNAPSHOTS.schema.empty_table()).schema == (
        tables.CONTRACT_GREEKS.schema
    )


def test_roots_of_one_date_are_priced_apart_and_six_and_a_half_hours_apart():
    third_friday = date(2025, 7, 18)
    am = quoted(STRIKES, vol=0.20, root="SPX", expiry=third_friday)
    pm = quoted(STRIKES, vol=0.15, root="SPXW", expiry=third_friday)
    rows = rows_by(price_chain(chain(am + pm)), "root", "strike", "right")
    assert len(rows) == 4 * len(STRIKES)
    for (root, _, _), row in rows.items():
        assert row["implied_vol"] == pytest.approx(0.20 if root == "SPX" else 0.15, rel=VOL_ERROR)
    early = rows["SPX", 6000.0, "call"]["year_fraction"]
    late = rows["SPXW", 6000.0, "call"]["year_fraction"]
    assert (late - early) * SECONDS_PER_YEAR == pytest.approx(6.5 * 3600, abs=1e-3)


def test_missing_spot_is_taken_from_the_nearest_forward_and_flagged():
    contracts = quoted(STRIKES, vol=smile, expiry=date(2025, 6, 13)) + quoted(STRIKES, vol=smile)
    priced = price_chain(chain(contracts, spot=None, spot_source="index"))
    assert set(priced["spot_source"].to_pylist()) == {"parity"}
    (spot,) = set(priced["spot"].to_pylist())
    assert spot == rows_by(priced, "expiry_date")[date(2025, 6, 13),]["forward"]
    assert spot == pytest.approx(6000.0, abs=3.0)


def test_chain_without_spot_or_pairs_gives_an_empty_typed_table():
    calls = quoted(STRIKES, vol=smile, rights=("call",))
    priced = price_chain(chain(calls, spot=None))
    assert priced.num_rows == 0
    assert priced.schema == tables.CONTRACT_GREEKS.schema


def coin(strike, right, forward, expiry=date(2025, 6, 27)):
    quote = {"bid": 900.0, "ask": 1000.0, "venue_forward": forward}
    return contract(strike, right, root="BTC", expiry=expiry, **quote)


def test_venue_forward_replaces_parity():
    contracts = [coin(k, r, 105_500.0) for k in (100_000, 110_000) for r in ("call", "put")]
    priced = price_chain(chain(contracts, symbol="BTC", spot=105_000.0))
    assert set(priced["forward_method"].to_pylist()) == {"venue"}
    assert set(priced["forward"].to_pylist()) == {105_500.0}
    assert set(priced["discount"].to_pylist()) == {1.0}
    assert set(priced["multiplier"].to_pylist()) == {1.0}


def test_vol_of_a_strike_at_the_forward_is_the_calls():
    contracts = [coin(105_500, right, 105_500.0) for right in ("call", "put")]
    rows = rows_by(price_chain(chain(contracts, symbol="BTC", spot=105_000.0)), "right")
    assert rows["call",]["iv_source"] == "own"
    assert rows["put",]["iv_source"] == "other_side"


def test_expiry_that_the_venue_gives_no_forward_for_is_named():
    later = date(2025, 7, 25)
    contracts = [coin(110_000, "call", 105_500.0), coin(110_000, "call", None, later)]
    rows = rows_by(price_chain(chain(contracts, symbol="BTC", spot=105_000.0)), "expiry_date")
    assert rows[date(2025, 6, 27),]["iv_source"] == "own"
    lost = rows[later,]
    assert (lost["forward_method"], lost["iv_source"]) == ("none", "none")
    assert lost["iv_reason"] == "bad_input"
    assert lost["forward"] is None
    assert lost["delta"] is None


def test_pricing_twice_gives_the_same_bytes():
    rows = chain(quoted(STRIKES, vol=smile))
    assert price_chain(rows).equals(price_chain(rows))
    assert rows["event_at"][0].as_py() == EVENT_AT
