"""The generic blotter of OTC and block trades, as docs/blotter.md describes it."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.domain.instruments import Contract
from dealer_assets.errors import BadInputError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers import blotter

TABLE = tables.BLOCK_TRADES
GUIDE = Path(__file__).parents[2] / "docs" / "blotter.md"
SYMBOL = "SPXW261218C06400000"
COIN = "BTC-25DEC26-150000-C"

LINE = {
    "trade_id": "A-17",
    "traded_at": "2026-10-01T10:32:05-04:00",
    "symbol": SYMBOL,
    "size_contracts": "500",
}
TERMS = {"underlying": "SPX", "root": "SPXW", "expiry": "2026-12-18", "strike": "6400",
         "right": "call", "symbol": ""}  # fmt: skip


def line(**changes):
    return LINE | changes


def parse(*lines, name="desk.csv"):
    columns = list(dict.fromkeys(column for cells in lines for column in cells))
    rows = [columns, *([cells.get(column, "") for column in columns] for cells in lines)]
    return parse_text("".join(",".join(row) + "\n" for row in rows), name)


def parse_text(text, name="desk.csv"):
    (records,) = blotter.parse(text.encode(), name=name, sha256="0" * 64)
    assert conform(TABLE, records.rows).equals(records.rows)
    return records.rows.to_pylist()


def only(*lines):
    (row,) = parse(*lines)
    return row


# --- rows -------------------------------------------------------------------------------------


def test_a_line_gives_an_exact_row():
    assert only(line(side="sell", side_of="dealer", price="148.5", price_currency="USD")) == {
        "underlying": "SPX",
        "session_date": date(2026, 10, 1),
        "event_at": datetime(2026, 10, 1, 14, 32, 5, tzinfo=UTC),
        "known_at": datetime(2026, 10, 1, 14, 32, 5, tzinfo=UTC),
        "provider": "blotter",
        "source_name": "desk.csv",
        "symbol": SYMBOL,
        "root": "SPXW",
        "expiry_date": date(2026, 12, 18),
        "expires_at": datetime(2026, 12, 18, 21, tzinfo=UTC),
        "strike": 6400.0,
        "right": "call",
        "block_id": "A-17",
        "leg": 0,
        "legs": 1,
        "size_contracts": 500.0,
        "price": 148.5,
        "price_currency": "USD",
        "underlying_price": None,
        "venue_implied_vol": None,
        "taker_side": None,
        "dealer_side": "sell",
        "rfq_id": None,
        "venue": "",
        "reported_at": None,
        "sign_rule": "reporter_side",
    }


def test_the_guides_example_is_what_the_guide_says():
    (example,) = re.findall(r"```csv\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    calls, puts, coin, otc = parse_text(example)
    assert [(row["block_id"], row["leg"], row["legs"]) for row in (calls, puts)] == [
        ("A-17", 0, 2), ("A-17", 1, 2),
    ]  # fmt: skip
    assert (calls["dealer_side"], puts["dealer_side"]) == ("sell", "buy")
    assert calls["known_at"] == datetime(2026, 10, 1, 14, 45, tzinfo=UTC)
    assert (coin["size_contracts"], coin["taker_side"], coin["dealer_side"]) == (250.0, "buy", None)
    assert (coin["sign_rule"], coin["price_currency"], coin["venue"]) == (
        "taker_side", "BTC", "Paradigm",
    )  # fmt: skip
    assert (otc["symbol"], otc["sign_rule"]) == ("SPX270319P05500000", "unsigned")
    assert otc["size_contracts"] == pytest.approx(100_000_000 / (100 * 6420))
    assert otc["expires_at"] == datetime(2027, 3, 19, 13, 30, tzinfo=UTC)  # a morning settlement


def test_the_guide_lists_every_column_and_no_other():
    listed = re.findall(r"^\| `([a-z_]+)` \|", GUIDE.read_text(), re.MULTILINE)
    columns = set(listed) - {"dealer", "customer", "taker"}
    assert columns == {*blotter.REQUIRED, *blotter.OPTIONAL}


@pytest.mark.parametrize(
    ("side", "side_of", "taker", "dealer", "rule"),
    [
        ("buy", "dealer", None, "buy", "reporter_side"),
        ("sold", "dealer", None, "sell", "reporter_side"),
        ("buy", "customer", None, "sell", "reporter_side"),
        ("S", "Customer", None, "buy", "reporter_side"),
        ("buy", "taker", "buy", None, "taker_side"),
        ("SELL", "TAKER", "sell", None, "taker_side"),
        ("", "", None, None, "unsigned"),
    ],
)
def test_whose_side_decides_what_is_known(side, side_of, taker, dealer, rule):
    found = only(line(side=side, side_of=side_of))
    assert (found["taker_side"], found["dealer_side"], found["sign_rule"]) == (taker, dealer, rule)


def test_terms_instead_of_a_symbol_mean_the_same_contract():
    assert only(line(**TERMS)) == only(line())
    assert only(line(**TERMS | {"underlying": ""})) == only(line())


def test_an_underlying_with_one_root_needs_none():
    found = only(line(**TERMS | {"underlying": "SPY", "root": "", "strike": "640.5"}))
    assert (found["symbol"], found["root"]) == ("SPY261218C00640500", "SPY")


def test_a_coin_has_its_venues_name_and_clock():
    found = only(line(symbol=COIN, price="0.03", price_currency="BTC"))
    assert (found["underlying"], found["root"], found["symbol"]) == ("BTC", "BTC", COIN)
    assert found["expires_at"] == datetime(2026, 12, 25, 8, tzinfo=UTC)
    linear = only(line(symbol="BTC_USDC-25DEC26-150000-C", price="1300", price_currency="USDC"))
    assert (linear["underlying"], linear["root"]) == ("BTC", "BTC_USDC")


@pytest.mark.parametrize(
    ("cells", "contracts"),
    [
        ({"notional": "64000000", "notional_currency": "USD", "underlying_price": "6400"}, 100.0),
        ({"notional": "2.5", "notional_currency": "btc", "symbol": COIN}, 2.5),
        ({"notional": "200000", "notional_currency": "USD", "underlying_price": "100000",
          "symbol": COIN}, 2.0),
    ],
)  # fmt: skip
def test_a_notional_becomes_contracts(cells, contracts):
    assert only(line(size_contracts="", **cells))["size_contracts"] == pytest.approx(contracts)


@pytest.mark.parametrize(
    ("traded_at", "session"),
    [
        ("2026-10-01T22:30:00-04:00", date(2026, 10, 1)),  # the next day in UTC
        ("2026-10-04T12:00:00-04:00", date(2026, 10, 5)),  # a Sunday
        ("2026-11-26T12:00:00-05:00", date(2026, 11, 27)),  # Thanksgiving
    ],
)
def test_a_trade_belongs_to_its_local_day_or_the_next_session(traded_at, session):
    assert only(line(traded_at=traded_at))["session_date"] == session


def test_a_coins_trade_belongs_to_its_utc_day():
    found = only(line(symbol=COIN, traded_at="2026-10-01T22:30:00-04:00"))
    assert found["session_date"] == date(2026, 10, 2)


def test_it_is_known_when_it_was_reported():
    found = only(line(reported_at="2026-10-02T09:00:00Z"))
    assert found["known_at"] == found["reported_at"] == datetime(2026, 10, 2, 9, tzinfo=UTC)


def test_legs_are_grouped_by_trade_whatever_the_order_of_lines():
    rows = parse(
        line(trade_id="X", leg="1"), line(trade_id="Y"), line(trade_id="X", leg="0", side="buy",
                                                               side_of="taker"),
    )  # fmt: skip
    assert [(row["block_id"], row["leg"], row["legs"]) for row in rows] == [
        ("X", 0, 2), ("X", 1, 2), ("Y", 0, 1),
    ]  # fmt: skip
    assert [row["sign_rule"] for row in rows] == ["taker_side", "unsigned", "unsigned"]


# --- refusals ---------------------------------------------------------------------------------

WRONG = {
    "no zone": ({"traded_at": "2026-10-01 14:30"}, "line 2, 'traded_at': .* with its zone"),
    "no time": ({"traded_at": ""}, "line 2, 'traded_at'"),
    "no id": ({"trade_id": ""}, "line 2, 'trade_id'"),
    "no symbol": ({"symbol": "SPXW CALL"}, "line 2: 'symbol'"),
    "unknown root": ({"symbol": "ZZZ261218C00100000"}, "line 2: .*'ZZZ'"),
    "fund's root": ({"symbol": "BTC261218C00100000"}, "venue's name"),
    "no terms": ({"symbol": ""}, "line 2: 'symbol'"),
    "no strike": (TERMS | {"strike": ""}, "line 2: 'strike'"),
    "strike is text": (TERMS | {"strike": "atm"}, "line 2, 'strike'"),
    "strike beyond symbols": (TERMS | {"strike": "6400.0001"}, "steps of 0.001"),
    "no right": (TERMS | {"right": ""}, "line 2: 'right'"),
    "no expiry": (TERMS | {"expiry": "18 Dec 26"}, "line 2: 'expiry'"),
    "two roots": (TERMS | {"root": ""}, "line 2: 'root': expected one of SPX, SPXW"),
    "foreign root": (TERMS | {"root": "NDX"}, "line 2: 'root'"),
    "unknown underlying": (TERMS | {"underlying": "ZZZ"}, "line 2: 'underlying'"),
    "terms disagree": ({"strike": "6500"}, "'strike': expected 6400 as in symbol"),
    "right disagrees": ({"right": "put"}, "'right': expected call as in symbol"),
    "expired": ({"traded_at": "2026-12-19T10:00:00Z"}, "'symbol': expected an option alive"),
    "no size": ({"size_contracts": ""}, "'size_contracts': expected either"),
    "two sizes": ({"notional": "1", "notional_currency": "USD"}, "expected either"),
    "size is text": ({"size_contracts": "1k"}, "line 2, 'size_contracts'"),
    "size is zero": ({"size_contracts": "0"}, "above 0"),
    "size is infinite": ({"size_contracts": "inf"}, "'size_contracts'"),
    "notional without currency": ({"size_contracts": "", "notional": "5"}, "'notional_currency'"),
    "notional without price": (
        {"size_contracts": "", "notional": "5", "notional_currency": "USD"},
        "'underlying_price'",
    ),
    "index in coin": (
        {"size_contracts": "", "notional": "5", "notional_currency": "BTC"},
        "'notional_currency': expected USD beside",
    ),
    "price without currency": ({"price": "1.5"}, "'price_currency': expected USD beside"),
    "price in euro": ({"price": "1.5", "price_currency": "EUR"}, "found 'EUR'"),
    "side without whose": ({"side": "buy"}, "'side_of': expected dealer, customer, taker"),
    "whose without side": ({"side_of": "dealer"}, "'side': expected buy or sell"),
    "odd side": ({"side": "long", "side_of": "dealer"}, "found 'long'"),
    "vol in percent": ({"implied_vol": "65"}, "at most 10"),
    "reported before": ({"reported_at": "2026-09-30T00:00:00Z"}, "not before 'traded_at'"),
    "odd leg": ({"leg": "first"}, "line 2, 'leg'"),
}


@pytest.mark.parametrize(("cells", "named"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_cell_refuses_the_file_naming_line_and_column(cells, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        parse(line(**cells), line(trade_id="good"))
    assert "desk.csv" in str(refusal.value)
    assert "nothing of the file was taken" in str(refusal.value)


def test_every_wrong_cell_is_named_up_to_a_limit():
    with pytest.raises(BadInputError) as refusal:
        parse(*(line(trade_id=f"T{i}", size_contracts="x") for i in range(12)))
    text = str(refusal.value)
    assert [f"line {i}," in text for i in (2, 9, 10)] == [True, True, False]
    assert "and 4 more" in text


def test_the_same_leg_twice_is_refused():
    with pytest.raises(BadInputError, match="line 3, 'leg': expected leg 0 of trade 'A-17' once"):
        parse(line(leg="0"), line(leg="0"))


def test_a_misspelt_column_is_refused_not_lost():
    with pytest.raises(BadInputError, match="found 'sideof'"):
        parse(line(sideof="dealer"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "trade_id|empty"),
        ("trade_id,traded_at\n", "found none"),
        ("trade_id,traded_at,symbol\nA,2026-10-01T00:00:00Z\n", "a cell for each of 3 columns"),
        ("trade_id,traded_at,leg,leg\nA,2026-10-01T00:00:00Z,1,2\n", "each of 4 columns"),
        ("trade_id,symbol\nA,B\n", "'traded_at'"),
    ],
)
def test_a_file_without_lines_or_columns_is_refused(text, named):
    with pytest.raises(BadInputError, match=named):
        parse_text(text)


def test_sniff_goes_by_the_two_columns_that_every_blotter_has():
    assert blotter.sniff(b"\xef\xbb\xbftraded_at,price,trade_id\n", "x")
    assert not blotter.sniff(b"exchange,symbol,timestamp,trade_id\n", "x")


# --- properties -------------------------------------------------------------------------------

CONTRACTS = st.builds(
    Contract,
    root=st.just("SPXW"),
    expiry_date=st.dates(date(2026, 10, 2), date(2030, 1, 1)),
    right=st.sampled_from(["call", "put"]),
    strike=st.integers(1, 99_999_999).map(lambda thousandths: thousandths / 1000.0),
)


@settings(max_examples=100, deadline=None)
@given(CONTRACTS)
def test_symbol_and_terms_of_any_contract_give_the_same_row(contract):
    terms = {
        "symbol": "", "underlying": "SPX", "root": "SPXW", "right": contract.right,
        "expiry": contract.expiry_date.isoformat(), "strike": f"{contract.strike!r}",
    }  # fmt: skip
    assert only(line(**terms)) == only(line(symbol=contract.osi))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from((*blotter.REQUIRED, *blotter.OPTIONAL)), st.text(max_size=20))
def test_any_cell_is_read_or_refused_and_nothing_else(column, cell):
    cell = cell.replace('"', "").replace(",", "")
    with suppress(BadInputError):
        parse(line(**{column: cell}), line(trade_id="good"))
