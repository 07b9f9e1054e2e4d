"""Cboe Open-Close: end of day and ten-minute files to rows by origin and size."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from hashlib import sha256

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.errors import BadInputError, UnknownUnderlyingError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers import open_close
from dealer_assets.providers.archives import MAX_BYTES, members

SIDES = ("open_buy", "close_buy", "open_sell", "close_sell")
SIZES = ("lt_100", "100_199", "gt_199")
PREFIXES = ("firm", "bd", *(f"{who}_{size}" for who in ("cust", "procust") for size in SIZES))
COUNTS = ("mm_buy_vol", "mm_sell_vol", *(f"{p}_{side}_vol" for p in PREFIXES for side in SIDES))
SERIES = {
    "option_symbol": "SPXW",
    "call_put_flag": "C",
    "expiration_date": "2025-04-17",
    "strike_price": "5600",
    "security_type": "3",
    "series_type": "S",
}
DAY = {
    "underlying_symbol": "^SPX",
    "quote_date": "2025-03-28",
    **SERIES,
    "high_trade_price": "10.5",
    "total_industry_vol": "99",
    "open_interest": "1234",
    "mm_buy_qty": "3",  # trades, not contracts
}
INTERVAL = {
    "ticker": "SPX",
    "trade_datetime": "2024-07-30 15:10:00",
    **SERIES,
    "expiration_date": "20240816",
    "open_interest": "",
}


def series(base=DAY, **changes):
    """One line: a market maker sold 7 to a customer's and 3 to a firm's opening buys."""
    counts = dict.fromkeys(COUNTS, "0") | {
        "mm_sell_vol": "10",
        "cust_lt_100_open_buy_vol": "7",
        "firm_open_buy_vol": "3",
    }
    return base | counts | changes


def file_of(*rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parse(payload, name="C1OpenClose_2025-03-28.csv"):
    assert open_close.sniff(payload[:4096], name)
    (records,) = open_close.parse(payload, name=name, sha256=sha256(payload).hexdigest())
    for day in pc.unique(records.rows["session_date"]):
        same = records.rows.filter(pc.equal(records.rows["session_date"], day))
        assert conform(tables.OPEN_CLOSE, same, session_date=day.as_py()).equals(
            same.combine_chunks()
        )
    conform(tables.REJECTED_ROWS, records.rejected)
    return records


def codes(records):
    return [finding.code for finding in records.findings]


def test_a_series_becomes_a_row_for_each_origin_and_size_that_traded():
    records = parse(file_of(series()))
    names = ("origin", "size_bucket", "open_buy_contracts", "buy_contracts", "sell_contracts")
    assert [tuple(row[n] for n in names) for row in records.rows.to_pylist()] == [
        ("customer", "lt_100", 7.0, 7.0, 0.0),
        ("firm", "all", 3.0, 3.0, 0.0),
        ("market_maker", "all", None, 0.0, 10.0),
    ]
    maker = records.rows.to_pylist()[-1]
    assert {name: maker[name] for name in maker if name.endswith("_contracts")} == {
        "open_buy_contracts": None,  # market makers have no split
        "close_buy_contracts": None,
        "open_sell_contracts": None,
        "close_sell_contracts": None,
        "buy_contracts": 0.0,
        "sell_contracts": 10.0,
    }
    assert records.is_complete
    assert records.findings == ()


def test_only_the_market_makers_side_is_signed_as_the_dealers():
    rules = {row["origin"]: row["sign_rule"] for row in parse(file_of(series())).rows.to_pylist()}
    assert rules == {
        "market_maker": "market_maker_exact",
        "customer": "reporter_side",
        "firm": "reporter_side",
    }


def test_a_days_file_is_of_the_close_and_known_the_next_morning():
    row = parse(file_of(series())).rows.to_pylist()[0]
    assert (row["underlying"], row["root"], row["interval"]) == ("SPX", "SPXW", "day")
    assert row["session_date"] == date(2025, 3, 28)
    assert row["event_at"] == datetime(2025, 3, 28, 20, 0, tzinfo=UTC)
    assert row["known_at"] == datetime(2025, 3, 31, 12, 0, tzinfo=UTC)
    assert row["symbol"] == "SPXW250417C05600000"
    assert row["expires_at"] == datetime(2025, 4, 17, 20, 0, tzinfo=UTC)
    assert row["exchange"] == "C1"


def test_a_ten_minute_file_is_of_its_stamp_in_new_york():
    records = parse(file_of(series(INTERVAL)), "Cboe_OpenClose_2024-07-30_15_10_1.csv")
    row = records.rows.to_pylist()[0]
    assert row["interval"] == "ten_minute_cumulative"
    assert row["session_date"] == date(2024, 7, 30)
    assert row["event_at"] == datetime(2024, 7, 30, 19, 10, tzinfo=UTC)
    assert row["known_at"] == datetime(2024, 7, 30, 19, 20, tzinfo=UTC)
    assert row["symbol"] == "SPXW240816C05600000"
    assert row["exchange"] == "C1"


@pytest.mark.parametrize(
    ("stamp", "session"),
    [
        ("2024-07-29 20:20:00", date(2024, 7, 30)),  # overnight
        ("2024-07-28 20:20:00", date(2024, 7, 29)),  # Sunday night
        ("2024-07-30 18:00", date(2024, 7, 30)),
    ],
)
def test_overnight_stamps_are_of_the_session_that_follows(stamp, session):
    records = parse(file_of(series(INTERVAL, trade_datetime=stamp)), "Cboe_OpenClose_x.csv")
    assert set(records.rows["session_date"].to_pylist()) == {session}


def test_stamps_of_a_day_stay_apart_in_one_file():
    first = series(INTERVAL)
    later = series(
        INTERVAL,
        trade_datetime="2024-07-30 15:20:00",
        mm_sell_vol="12",
        cust_lt_100_open_buy_vol="9",
    )
    rows = parse(file_of(first, later), "Cboe_OpenClose_x.csv").rows
    makers = rows.filter(pc.equal(rows["origin"], "market_maker"))
    assert makers["sell_contracts"].to_pylist() == [10.0, 12.0]  # cumulative
    assert [at.minute for at in makers["event_at"].to_pylist()] == [10, 20]


def test_where_no_column_tells_the_stamp_the_name_does():
    bare = {name: cell for name, cell in series().items() if name != "quote_date"}
    (day,) = {r["event_at"] for r in parse(file_of(bare)).rows.to_pylist()}
    assert day == datetime(2025, 3, 28, 20, 0, tzinfo=UTC)
    named = parse(file_of(bare), "Cboe_OpenClose_2025-03-28_15_10_1.csv")
    (stamp,) = {r["event_at"] for r in named.rows.to_pylist()}
    assert stamp == datetime(2025, 3, 28, 19, 10, tzinfo=UTC)
    with pytest.raises(BadInputError, match="trade_datetime or quote_datetime or quote_date"):
        parse(file_of(bare), "C1OpenClose.csv")


def test_columns_are_matched_by_name_in_any_order_and_case():
    row = series()
    shuffled = {name.upper(): row[name] for name in sorted(row, reverse=True)}
    shuffled["CALL_OR_PUT"] = shuffled.pop("CALL_PUT_FLAG")
    expected, found = parse(file_of(row)), parse(file_of(shuffled))
    assert found.rows.equals(expected.rows)


def test_missing_columns_are_named():
    row = {k: v for k, v in series().items() if k not in ("mm_sell_vol", "series_type")}
    payload = file_of(row)
    with pytest.raises(BadInputError, match="expected the columns series_type, mm_sell_vol"):
        open_close.parse(payload, name="x.csv", sha256="")


def test_sides_that_do_not_balance_are_kept_and_counted():
    records = parse(file_of(series(), series(strike_price="5700", mm_sell_vol="9")))
    assert codes(records) == ["sides_do_not_balance"]
    assert "1 of 2 series" in records.findings[0].text
    assert "SPXW 2025-04-17 5700 C: bought 10, sold 9" in records.findings[0].text
    assert records.rows.num_rows == 6
    assert not records.is_complete


def test_nonstandard_and_adjusted_series_are_quarantined_and_others_left_out():
    records = parse(
        file_of(
            series(),
            series(series_type="N"),
            series(option_symbol="2SPXW"),
            series(option_symbol="XLK"),
        )
    )
    assert records.rows.num_rows == 3
    assert records.rejected["reason"].to_pylist() == ["nonstandard_series", "adjusted_root"]
    assert records.rejected["row_number"].to_pylist() == [3, 4]
    assert records.rejected["raw_text"].to_pylist()[0].startswith("^SPX,2025-03-28,SPXW,C,")
    assert codes(records) == ["unlisted_roots"]
    assert records.is_complete


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"series_type": "X"}, "bad_series_type"),
        ({"call_put_flag": "X"}, "bad_right"),
        ({"expiration_date": "17 April"}, "bad_expiry"),
        ({"expiration_date": "2025-02-30"}, "bad_expiry"),
        ({"strike_price": "0"}, "bad_strike"),
        ({"strike_price": "high"}, "bad_strike"),
        ({"mm_buy_vol": "x"}, "not_a_number"),
        ({"bd_close_sell_vol": ""}, "missing_volume"),
        ({"bd_close_sell_vol": "-1"}, "negative_volume"),
        ({"strike_price": "5000.0"}, "duplicate_contract"),
    ],
)
def test_series_that_cannot_be_believed_are_quarantined(changes, reason):
    good = [series(strike_price=str(5000 + i)) for i in range(150)]
    records = parse(file_of(*good, series(**changes)))
    assert records.rows.num_rows == 450
    assert records.rejected["reason"].to_pylist() == [reason]
    assert records.rejected["row_number"].to_pylist() == [152]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (file_of(series())[:-20], "damage"),
        (file_of(series()).split(b"\n")[0] + b"\n", "found 0 in 0 lines"),
        (file_of(series(quote_date="2025-03-29")), "expected a session, found 2025-03-29"),
        (file_of(series(quote_date="yesterday")), "YYYY-MM-DD"),
        (file_of(series(INTERVAL, trade_datetime="now")), "New York time"),
        (file_of(series(mm_buy_vol="-1")), "negative_volume 1"),
    ],
)
def test_files_that_are_damaged_are_refused(payload, words):
    with pytest.raises(BadInputError, match=words):
        open_close.parse(payload, name="C1OpenClose.csv", sha256="")


def test_a_file_without_any_listed_root_names_what_it_has():
    with pytest.raises(UnknownUnderlyingError, match="XLK"):
        open_close.parse(file_of(series(option_symbol="XLK")), name="x.csv", sha256="")


def test_an_unknown_exchange_is_said_so():
    records = parse(file_of(series()), "download.csv")
    assert codes(records) == ["exchange_unknown"]
    assert set(records.rows["exchange"].to_pylist()) == {"unknown"}
    assert set(parse(file_of(series()), "BZX_OpenClose_x.csv").rows["exchange"].to_pylist()) == {
        "BZX"
    }


def test_a_zip_of_stamps_is_read_member_by_member(tmp_path):
    path = tmp_path / "Cboe_OpenClose_2024-07-30.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for minute in (10, 20):
            row = series(INTERVAL, trade_datetime=f"2024-07-30 15:{minute}:00")
            archive.writestr(f"Cboe_OpenClose_2024-07-30_15_{minute}_1.csv", file_of(row))
    found = [
        parse(member.read(limit=MAX_BYTES), member.name) for member in members(path, name=path.name)
    ]
    assert [records.rows["event_at"][0].as_py().minute for records in found] == [10, 20]


counts = st.integers(0, 10_000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(COUNTS, counts)), min_size=1, max_size=4))
def test_every_contract_of_the_file_is_in_the_rows_once(found):
    rows = [
        series(strike_price=str(5000 + i), **{name: str(n) for name, n in one.items()})
        for i, one in enumerate(found)
    ]
    records = parse(file_of(*rows))
    bought = sum(n for one in found for name, n in one.items() if "buy" in name)
    sold = sum(n for one in found for name, n in one.items() if "sell" in name)
    assert pc.sum(records.rows["buy_contracts"]).as_py() == bought
    assert pc.sum(records.rows["sell_contracts"]).as_py() == sold
    unbalanced = [
        one
        for one in found
        if sum(n for k, n in one.items() if "buy" in k)
        != sum(n for k, n in one.items() if "sell" in k)
    ]
    assert ("sides_do_not_balance" in codes(records)) == bool(unbalanced)


def test_a_whole_index_file_is_read_whole():
    line = file_of(series()).split(b"\r\n")
    body = [line[1].replace(b",5600,", b",%d," % strike) for strike in range(1, 20_001)]
    payload = b"\r\n".join([line[0], *body, b""])
    (records,) = open_close.parse(payload, name="C1OpenClose_2025-03-28.csv", sha256="0" * 64)
    assert records.rows.num_rows == 60_000
