"""CME's settlements of options on futures: text, DataMine CSV, saved tables. All made up."""

import io
import json
import zipfile
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.errors import BadInputError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.archives import Member
from dealer_assets.providers.cme import datamine_csv, settlement_text, website_json
from dealer_assets.providers.cme.products import expiry_of, product_of
from dealer_assets.providers.cme.rows import read_cells

TABLE = tables.FUTURES_OPTION_SETTLEMENTS

WIDE = (22, 35, 48, 61, 74, 87, 99, 114, 126, 138)
NARROW = (15, 25, 34, 45, 55, 63, 75, 86, 98, 110)
LABELS = ("OPEN", "HIGH", "LOW", "LAST", "SETT", "CHGE", "EST.VOL", "SETT", "VOL", "INT")
NO_PRICES = ("----", "----", "----", "----")


def under(edges, label, cells):
    """A line with each cell's right edge under its label's; a mark stands one place behind."""
    line = list(label.ljust(edges[-1] + 2))
    for edge, cell in zip(edges, cells, strict=False):
        behind = 1 if cell[-1:] in ("A", "B") and cell != "CAB" else 0
        line[edge - len(cell) + behind : edge + behind] = cell
    return "".join(line).rstrip() + "\n"


def text_file(body, *, edges=WIDE, as_of="08/21/2026 10:35 PM (CDT)", labels=LABELS):
    title = f"        FINAL POST-CLEARING PRICES AS OF {as_of}\n"
    banner = "MTH/         -------  DAILY  ------        PT       -------  PRIOR  DAY  -------\n"
    return title + banner + under(edges, "STRIKE", labels) + body


def row(strike, settle, change="+3.25", volume="120", held="4210", *, edges=WIDE):
    return under(edges, strike, (*NO_PRICES, settle, change, volume, "145.25", "310", held))


def parse_text(content, name="STLEQT.txt"):
    (records,) = settlement_text.parse(content.encode(), name=name, sha256="0" * 64)
    return records


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


def codes(records):
    return [finding.code for finding in records.findings]


# --- settlement text --------------------------------------------------------------------------

BODY = (
    "0CJ TEST PLATINUM FUTURE\n"
    + under(WIDE, "SEP26", (*NO_PRICES, "1821.0", "-7.4", "", "1828.4"))
    + "ES SEP26 E-MINI S&P 500 OPTIONS CALL\n"
    + under(WIDE, "6400", ("----", "152.00B", "140.25A", "149.00B", "148.50", "+3.25", "120",
                           "145.25", "310", "4210"))
    + under(WIDE, "9000", ("", "", "", "", "CAB", "UNCH", "", "CAB", "", ""))
    + "TOTAL                                       120            310        4210\n"
    + "E4A AUG26 WEEKLY MONDAY OPTIONS PUT\n"
    + row("6300", "1.25", "-.50", "1,200", "105,650")
)  # fmt: skip


def test_text_gives_exact_rows():
    records = parse_text(text_file(BODY))
    known = {
        "underlying": "SPX",
        "session_date": date(2026, 8, 21),
        "event_at": datetime(2026, 8, 21, 20, 0, tzinfo=UTC),
        "known_at": datetime(2026, 8, 22, 3, 35, tzinfo=UTC),
        "provider": "cme_text",
        "source_name": "STLEQT.txt",
        "multiplier": 50.0,
        "open_interest_of": "previous_session",
        "open_interest_change_contracts": None,
        "sign_rule": "unsigned",
    }
    weekly = {
        "product": "E4A", "contract_month": "2026-08", "expiry_date": date(2026, 8, 24),
        "strike": 6300.0, "right": "put", "settlement_price": 1.25, "is_cabinet": False,
        "volume_contracts": 1200.0, "open_interest_contracts": 105650.0,
    }  # fmt: skip
    quarterly = {
        "product": "ES", "contract_month": "2026-09", "expiry_date": date(2026, 9, 18),
        "strike": 6400.0, "right": "call", "settlement_price": 148.5, "is_cabinet": False,
        "volume_contracts": 120.0, "open_interest_contracts": 4210.0,
    }  # fmt: skip
    cabinet = quarterly | {
        "strike": 9000.0, "settlement_price": 0.0, "is_cabinet": True,
        "volume_contracts": 0.0, "open_interest_contracts": 0.0,
    }  # fmt: skip
    assert records.rows.to_pylist() == [known | weekly, known | quarterly, known | cabinet]
    assert conform(TABLE, records.rows).equals(records.rows)
    assert records.table is TABLE
    assert records.rejected.num_rows == 0
    assert codes(records) == []


@pytest.mark.parametrize("edges", [WIDE, NARROW], ids=["138 characters", "110 characters"])
def test_text_of_either_width_is_read_by_the_labels(edges):
    body = "ES SEP26 E-MINI S&P CALL\n" + row("6400", "148.50", edges=edges)
    (found,) = parse_text(text_file(body, edges=edges)).rows.to_pylist()
    assert (found["settlement_price"], found["volume_contracts"]) == (148.5, 120.0)
    assert found["open_interest_contracts"] == 4210.0


def test_text_with_labels_in_one_line_is_read_too():
    labels = ("OPEN", "HIGH", "LOW", "LAST", "SETT", "PT_CHGE", "EST.VOL", "PRIOR_SETT",
              "PRIOR_VOL", "PRIOR_INT")  # fmt: skip
    content = text_file("ES SEP26 CALL\n" + row("6400", "148.50"), labels=labels)
    content = content.replace("STRIKE    ", "MTH/STRIKE")
    assert parse_text(content).rows["open_interest_contracts"].to_pylist() == [4210.0]


def test_text_tells_no_value_from_no_contracts():
    cells = (*NO_PRICES, "----", "----", "", "----", "", "----")
    body = "ES SEP26 CALL\n" + under(WIDE, "6400", cells)
    (found,) = parse_text(text_file(body)).rows.to_pylist()
    assert found["settlement_price"] is None
    assert found["volume_contracts"] == 0.0  # a blank says that nothing traded
    assert found["open_interest_contracts"] is None


@pytest.mark.parametrize(
    ("as_of", "session", "known_at"),
    [
        ("08/21/2026 10:35 PM (CDT)", date(2026, 8, 21), at(2026, 8, 22, 3, 35)),
        ("01/15/2026 06:00 PM (CST)", date(2026, 1, 15), at(2026, 1, 16, 0, 0)),
        ("12/15/10 06:00 PM", date(2010, 12, 15), at(2010, 12, 16, 0, 0)),
        ("08/22/2026 12:20 AM (CDT)", date(2026, 8, 21), at(2026, 8, 22, 5, 20)),
        ("08/24/2026 12:20 AM (CDT)", date(2026, 8, 21), at(2026, 8, 24, 5, 20)),
    ],
)
def test_text_is_of_the_session_in_its_title_and_known_from_its_clock(as_of, session, known_at):
    (found,) = parse_text(
        text_file("ES SEP26 CALL\n" + row("6400", "1.5"), as_of=as_of)
    ).rows.to_pylist()
    assert found["session_date"] == session
    assert found["known_at"] == known_at


def test_text_of_another_day_than_its_name_says_so():
    content = text_file("ES SEP26 CALL\n" + row("6400", "1.5"))
    records = parse_text(content, name="STLEQT_20260820.txt")
    assert codes(records) == ["file_name_date_mismatch"]
    assert records.rows["session_date"].to_pylist() == [date(2026, 8, 21)]


def test_text_leaves_other_products_out_and_names_them():
    body = (
        "06 Soybean Meal Futures\n"
        + row("SEP26", "300.1")
        + "PY SEP26 CORN OPTION PUT\n"
        + row("491", "491'4")
        + "ECES SEP26 EVENT CONTRACT CALL\n"
        + row("6400", "0.55")
        + "MES JLY26 MICRO E-MINI S&P CALL\n"
        + row("6400", "12.25")
        + "07 Soybean Oil Futures\n"
        + row("12", "99.0")
    )
    records = parse_text(text_file(body))
    (found,) = records.rows.to_pylist()
    assert (found["product"], found["contract_month"]) == ("MES", "2026-07")
    assert found["multiplier"] == 5.0
    assert [f.text for f in records.findings] == [
        "options of 2 products hedge nothing of the registry: left out (ECES, PY)"
    ]


def test_text_row_not_under_its_labels_is_quarantined_with_its_text():
    good = "".join(row(str(5000 + i), "1.5") for i in range(150))
    shifted = " " * 3 + row("9000", "148.50")
    records = parse_text(text_file("ES SEP26 CALL\n" + good + "9100" + shifted[4:]))
    assert records.rows.num_rows == 150
    (bad,) = records.rejected.to_pylist()
    assert bad["reason"] == "misaligned_columns"
    assert bad["underlying"] == "SPX"
    assert bad["raw_text"].startswith("9100")
    assert bad["row_number"] == 155


def test_preliminary_figures_are_said_to_be_so():
    content = text_file("ES SEP26 CALL\n" + row("6400", "1.5")).replace("FINAL", "PRELIMINARY")
    assert codes(parse_text(content)) == ["preliminary_settlements"]
    assert codes(parse_json(volume(at_close(), reportType="Preliminary"))) == [
        "preliminary_settlements"
    ]


def test_text_row_with_words_in_it_does_not_end_its_section():
    good = [row(str(5000 + i), "1.5") for i in range(150)]
    body = "ES SEP26 CALL\n" + "".join([*good[:9], row("4000", "n/a"), *good[9:]])
    records = parse_text(text_file(body))
    assert records.rows.num_rows == 150
    assert records.rejected["reason"].to_pylist() == ["garbled_row"]


def test_text_contract_listed_twice_counts_once():
    good = "".join(row(str(5000 + i), "1.5") for i in range(150))
    records = parse_text(text_file("ES SEP26 CALL\n" + good + row("5000", "9.9")))
    assert records.rows["settlement_price"].to_pylist() == [1.5] * 150
    assert records.rejected["reason"].to_pylist() == ["duplicate_contract"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "PRICES AS OF"),
        (text_file(BODY, as_of="13/45/2026 10:35 PM"), "PRICES AS OF"),
        (text_file(BODY).replace("SETT", "STLM"), "labels OPEN HIGH LOW LAST SETT"),
        (text_file("06 Soybean Meal Futures\n" + row("SEP26", "300.1")), "found none"),
        (text_file("ES SEP26 CALL\n" + row("6400", "abc")), "garbled_row"),
        (text_file("ES SEP26 CALL\n" + row("6400", "1.2.3")), "not_a_number"),
        (text_file("ES SEP26 CALL\n" + row("-6400", "1.5")), "bad_strike"),
        (text_file("ES SEP26 CALL\n" + row("6400", "-1.5")), "negative_price"),
    ],
)
def test_text_that_cannot_be_believed_is_refused_with_its_name(content, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        parse_text(content)
    assert "STLEQT.txt" in str(refusal.value)


def test_text_of_a_whole_day_is_read_whole():
    sections = []
    for product in ("ES", "EW", "EW1", "EW2", "E1A", "E2B", "MES", "EX1"):
        for right in ("CALL", "PUT"):
            rows = "".join(row(str(1000 + 5 * i), "148.50") for i in range(3000))
            sections.append(f"{product} SEP26 OPTIONS {right}\n{rows}")
    content = text_file("".join(sections))
    assert parse_text(content).rows.num_rows == 48_000


# --- cells, products --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", 1234.5), ("+.25", 0.25), ("-.50", -0.5), ("140.25A", 140.25), ("152B", 152.0),
        ("CAB", 0.0), ("UNCH", np.nan), ("----", np.nan), ("-", np.nan), ("", np.nan),
        ("491'4", np.inf), ("n/a", np.inf), ("AB", np.inf), ("12C", np.inf),
    ],
)  # fmt: skip
def test_a_cell_is_a_number_nothing_or_garbled(text, value):
    cells = read_cells([text])
    np.testing.assert_array_equal(cells.values, [value])
    assert cells.is_cabinet.tolist() == [text == "CAB"]


@settings(max_examples=200, deadline=None)
@given(
    value=st.decimals(min_value=0, max_value=10**9, places=2),
    mark=st.sampled_from(["", "A", "B"]),
    style=st.sampled_from(["{:,}", "{}"]),
)
def test_a_number_is_read_whatever_its_separators_and_mark(value, mark, style):
    assert read_cells([style.format(value) + mark]).values.tolist() == [float(value)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=5))
def test_any_text_is_a_cell(texts):
    assert read_cells(texts).values.shape == (len(texts),)


@pytest.mark.parametrize(
    ("code", "future", "underlying", "multiplier"),
    [
        ("ES", "ES", "SPX", 50.0), ("EW", "ES", "SPX", 50.0), ("EW3", "ES", "SPX", 50.0),
        ("E4A", "ES", "SPX", 50.0), ("E5D", "ES", "SPX", 50.0), ("MES", "MES", "SPX", 5.0),
        ("EX2", "MES", "SPX", 5.0), ("X1C", "MES", "SPX", 5.0), ("BTC", "BTC", "BTC", 5.0),
        ("MBT", "MBT", "BTC", 0.1),
    ],
)  # fmt: skip
def test_products_map_to_underlying_and_multiplier(code, future, underlying, multiplier):
    product = product_of(code)
    assert (product.future, product.underlying, product.multiplier) == (
        future,
        underlying,
        multiplier,
    )


def test_a_product_outside_the_table_is_known_by_its_future_alone():
    assert product_of("WM1") is None
    assert product_of("WM1", future="MBT").multiplier == 0.1
    assert product_of("ECES", future="ES") is None  # pays a fixed sum
    assert product_of("ES", future="NQ") is None
    assert product_of("OZC", future="ZC") is None


@pytest.mark.parametrize(
    ("code", "year", "month", "day"),
    [
        ("ES", 2024, 6, date(2024, 6, 21)),  # as CME's own definition of ESM4 says
        ("ES", 2026, 9, date(2026, 9, 18)),
        ("E4A", 2026, 8, date(2026, 8, 24)),  # 192,119 open on the Friday before
        ("E1D", 2026, 10, date(2026, 10, 1)),
        ("EW2", 2026, 10, date(2026, 10, 9)),
        ("EW", 2026, 10, date(2026, 10, 30)),
        ("EX", 2026, 5, date(2026, 5, 29)),
        ("BTC", 2026, 10, date(2026, 10, 30)),
        ("MBT", 2026, 8, date(2026, 8, 28)),
        ("E3A", 2026, 1, None),  # Martin Luther King day: a notice decides
        ("E5D", 2026, 9, None),  # September has four Thursdays
        ("WM1", 2026, 9, None),
    ],
)
def test_expiry_follows_from_the_products_name_where_it_is_certain(code, year, month, day):
    product = product_of(code, future="" if code != "WM1" else "MBT")
    assert expiry_of(product, year, month) == day


# --- DataMine CSV -----------------------------------------------------------------------------

HEADER = (
    "BizDt,Sym,ID,StrkPx,SecTyp,MMY,MatDt,PutCall,Exch,Desc,LastTrdDt,BidPrice,OpeningPrice,"
    "SettlePrice,SettleDelta,HighLimit,LowLimit,DHighPrice,DLowPrice,HighBid,LowBid,PrevDayVol,"
    "PrevDayOI,FixingPrice,UndlyExch,UndlyID,UndlySecTyp,UndlyMMY,BankBusDay"
)


def csv_row(**changes):
    cells = dict.fromkeys(HEADER.split(","), "") | {
        "BizDt": "2026-08-21", "Sym": "E4A", "ID": "E4A", "StrkPx": "6400.0", "SecTyp": "OOF",
        "MMY": "202608", "MatDt": "2026-08-24", "PutCall": "1", "Exch": "CME",
        "SettlePrice": "48.5", "PrevDayVol": "58", "PrevDayOI": "105650", "UndlyID": "ES",
        "UndlySecTyp": "FUT", "UndlyMMY": "202609",
    }  # fmt: skip
    return ",".join(f'"{cell}"' for cell in (cells | changes).values())


def read_csv(*rows, name="cme.settle.20260821.s.csv"):
    payload = "\n".join([HEADER, *rows, ""]).encode()
    assert datamine_csv.sniff(payload[:4096], name)
    (records,) = datamine_csv.read(Member(name, lambda: io.BytesIO(payload)))
    return records


def test_csv_gives_exact_rows():
    (found,) = read_csv(csv_row()).rows.to_pylist()
    assert found == {
        "underlying": "SPX",
        "session_date": date(2026, 8, 21),
        "event_at": datetime(2026, 8, 21, 20, 0, tzinfo=UTC),
        "known_at": datetime(2026, 8, 22, 5, 0, tzinfo=UTC),  # free from midnight Chicago
        "provider": "cme_csv",
        "source_name": "cme.settle.20260821.s.csv",
        "product": "E4A",
        "contract_month": "2026-08",
        "expiry_date": date(2026, 8, 24),
        "strike": 6400.0,
        "right": "call",
        "multiplier": 50.0,
        "settlement_price": 48.5,
        "is_cabinet": False,
        "volume_contracts": None,  # the file's volume is that of the day before
        "open_interest_contracts": 105650.0,
        "open_interest_of": "previous_session",
        "open_interest_change_contracts": None,
        "sign_rule": "unsigned",
    }


def test_csv_keeps_options_of_the_registry_only():
    records = read_csv(
        csv_row(SecTyp="FUT", ID="ES", StrkPx="", PutCall=""),
        csv_row(ID="OZC", UndlyID="ZC", MMY="202609"),
        csv_row(ID="ECES", UndlyID="ES"),
        csv_row(ID="BTC", UndlyID="BTC", StrkPx="115000", PutCall="0"),
        csv_row(ID="VM1", UndlyID="MBT", MMY="20260824", MatDt=""),
    )
    found = records.rows.select(["product", "underlying", "multiplier", "right", "contract_month"])
    assert found.to_pylist() == [
        {"product": "BTC", "underlying": "BTC", "multiplier": 5.0, "right": "put",
         "contract_month": "2026-08"},
        {"product": "VM1", "underlying": "BTC", "multiplier": 0.1, "right": "call",
         "contract_month": "20260824"},
    ]  # fmt: skip
    assert records.rows["expiry_date"].to_pylist() == [date(2026, 8, 24), None]
    assert codes(records) == ["other_products_excluded"]


def test_csv_price_of_all_nines_is_none():
    rows = read_csv(csv_row(SettlePrice="9999999"), csv_row(StrkPx="7000", SettlePrice="CAB")).rows
    assert rows["settlement_price"].to_pylist() == [None, 0.0]
    assert rows["is_cabinet"].to_pylist() == [False, True]


def test_csv_of_two_days_has_two_sessions():
    rows = read_csv(csv_row(), csv_row(BizDt="2026-08-24")).rows
    assert rows["session_date"].to_pylist() == [date(2026, 8, 21), date(2026, 8, 24)]


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([csv_row(BizDt="21.08.2026")], "'BizDt'"),
        ([csv_row(PutCall="2")], "bad_right"),
        ([csv_row(StrkPx="abc")], "bad_strike"),
        ([csv_row(PrevDayOI="-1")], "negative_open_interest"),
        ([csv_row(SecTyp="FUT")], "options of the products none"),
        ([csv_row(ID="OZC", UndlyID="ZC")], "options of the products OZC"),
        ([csv_row(), csv_row()[:40]], "columns"),
    ],
)
def test_csv_that_cannot_be_believed_is_refused(rows, named):
    with pytest.raises(BadInputError, match=named):
        read_csv(*rows)


def test_csv_without_a_column_is_refused_naming_it():
    payload = (HEADER.replace("PrevDayOI", "OI") + "\n" + csv_row() + "\n").encode()
    with pytest.raises(BadInputError, match="'PrevDayOI'"):
        datamine_csv.read(Member("x.csv", lambda: io.BytesIO(payload)))


# --- saved website tables ---------------------------------------------------------------------


def settled(strike="6,400", **changes):
    row = {
        "strike": strike, "type": "Call", "open": "-", "high": "-", "low": "-", "last": "-",
        "change": "+1.00", "settle": "48.50", "volume": "1,204", "openInterest": "105,650",
    }  # fmt: skip
    return row | changes


def settlements(*rows, **changes):
    total = {"strike": "Total", "type": "", "settle": "", "volume": "9", "openInterest": "9"}
    top = {"settlements": [*rows, total], "dsHeader": "Final", "tradeDate": "08/21/2026"}
    return top | changes


def volume(*rows, month="AUG 26", **changes):
    part = {"month": month, "monthID": f"{month.replace(' ', '-')}-Calls", "strikeData": list(rows)}
    return {"tradeDate": "20260821", "monthData": [part]} | changes


def at_close(strike="6400", **changes):
    return {"strike": strike, "totalVolume": "99,000", "atClose": "192,119", "change": "86,469"} | (
        changes
    )


def parse_json(top, name="E4AQ26.json"):
    payload = json.dumps(top).encode()
    (records,) = website_json.parse(payload, name=name, sha256="0" * 64)
    return records


def test_settlements_page_has_the_open_interest_of_the_session_before():
    records = parse_json(settlements(settled(), settled("9,000", settle="CAB", openInterest="-")))
    first, second = records.rows.to_pylist()
    assert (first["product"], first["contract_month"], first["strike"]) == ("E4A", "2026-08", 6400)
    assert (first["settlement_price"], first["volume_contracts"]) == (48.5, 1204.0)
    assert first["open_interest_contracts"] == 105650.0
    assert first["open_interest_of"] == "previous_session"
    assert first["expiry_date"] == date(2026, 8, 24)
    assert first["session_date"] == date(2026, 8, 21)
    assert first["known_at"] == datetime(2026, 8, 22, 5, 0, tzinfo=UTC)
    assert (second["settlement_price"], second["is_cabinet"]) == (0.0, True)
    assert second["open_interest_contracts"] is None
    assert records.provider == "cme_settlements"


def test_volume_page_has_the_open_interest_at_the_close_and_its_change():
    (found,) = parse_json(volume(at_close())).rows.to_pylist()
    assert found["provider"] == "cme_volume"
    assert found["open_interest_contracts"] == 192119.0
    assert found["open_interest_change_contracts"] == 86469.0
    assert found["open_interest_of"] == "same_session"
    assert found["settlement_price"] is None
    assert found["volume_contracts"] == 99000.0


def test_before_plus_change_is_the_close():
    before = parse_json(settlements(settled()))
    after = parse_json(volume(at_close()))
    first, second = website_json.reconcile([before, after])
    assert (codes(first), codes(second)) == ([], [])


def test_tables_of_different_states_are_told():
    before = parse_json(settlements(settled(openInterest="105,651"), settled("7000")))
    after = parse_json(volume(at_close(), at_close("7000", atClose="5", change="5")))
    _, second = website_json.reconcile([before, after])
    assert codes(second) == ["open_interest_mismatch"]
    assert "2 of 2 contracts" in second.findings[0].text


def test_tables_of_different_sessions_are_not_compared():
    before = parse_json(settlements(settled(), tradeDate="08/20/2026"))
    after = parse_json(volume(at_close()))
    assert [codes(r) for r in website_json.reconcile([before, after])] == [[], []]


def test_the_date_comes_from_the_name_where_the_page_has_none():
    top = settlements(settled(), tradeDate=None)
    (found,) = parse_json(top, name="E4AQ26_2026-08-21.json").rows.to_pylist()
    assert found["session_date"] == date(2026, 8, 21)


@pytest.mark.parametrize(
    ("top", "name", "named"),
    [
        (settlements(settled()), "OOF.json", "ESU26 or E4AQ26"),
        (settlements(settled(), tradeDate=None), "E4AQ26.json", "trade date"),
        (settlements(settled(), tradeDate="soon"), "E4AQ26.json", "'tradeDate'"),
        (settlements() | {"settlements": []}, "E4AQ26.json", "empty table"),
        ({"settlements": [{"month": "SEP 26", "settle": "6,400"}], "dsHeader": "",
          "tradeDate": "08/21/2026"}, "ESU26.json", "settlements of futures"),
        (settlements(settled(type="")), "E4AQ26.json", "bad_right"),
        (volume(at_close(), month="SEP 26"), "E4AQ26.json", "month 2026-08 .* found 2026-09"),
        (volume() | {"monthData": []}, "E4AQ26.json", "'monthData'"),
        (volume(at_close(atClose="many")), "E4AQ26.json", "not_a_number"),
        (volume(at_close()) | {"monthData": [{"month": "AUG 26", "monthID": "AUG-26",
                                              "strikeData": [at_close()]}]},
         "E4AQ26.json", "'monthID'"),
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_believed_is_refused(top, name, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        parse_json(top, name=name)
    assert name in str(refusal.value)


@pytest.mark.parametrize("top", [settlements(settled()), volume(at_close())])
def test_pages_are_recognised_and_others_left_alone(top):
    assert website_json.sniff(json.dumps(top).encode()[:4096], "x")
    assert not website_json.sniff(b'{"quotes": []}', "x")
    assert not website_json.sniff(b"[1, 2]", "x")


def test_formats_do_not_claim_each_others_files():
    text = text_file(BODY).encode()[:4096]
    assert settlement_text.sniff(text, "x")
    assert not settlement_text.sniff(HEADER.encode(), "x")
    assert not datamine_csv.sniff(text, "x")


def test_two_tables_in_one_zip_are_held_against_each_other(tmp_path):
    from dealer_assets.providers.record_files import read_record_file

    path = tmp_path / "cme_2026-08-21.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("E4AQ26_settlements.json", json.dumps(settlements(settled("6,500"))))
        archive.writestr("E4AQ26_volume.json", json.dumps(volume(at_close("6500", atClose="1"))))
    first, second = read_record_file(path)
    assert first.source_name == "cme_2026-08-21.zip:E4AQ26_settlements.json"
    assert codes(second) == ["open_interest_mismatch"]
