"""Public swap reports: reading, lifecycles by hand-made chains of reports, rows, memory."""

import io
import itertools
import zipfile
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.errors import BadInputError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.archives import Member, members
from dealer_assets.providers.dtcc import records as dtcc, terms

TABLE = tables.SWAP_OPTION_REPORTS
MEMORY_BYTES = 64 * 1024**2
DAY = "CFTC_CUMULATIVE_EQUITIES_2026_10_01.csv"

COLUMNS = [
    "Dissemination Identifier", "Original Dissemination Identifier", "Action type", "Event type",
    "Event timestamp", "Execution Timestamp", "Effective Date", "Expiration Date",
    "Notional amount-Leg 1", "Notional amount-Leg 2", "Notional currency-Leg 1",
    "Option Premium Amount", "Option Premium Currency", "Strike Price", "Strike price notation",
    "Platform identifier", "Package indicator", "Asset Class", "UPI FISN", "UPI Underlier Name",
]  # fmt: skip
BLANK = dict.fromkeys(COLUMNS, "")
SHORT = {
    "id": COLUMNS[0], "original": COLUMNS[1], "action": COLUMNS[2], "at": COLUMNS[4],
    "executed": COLUMNS[5], "notional": COLUMNS[8], "premium": COLUMNS[11], "strike": COLUMNS[13],
    "notation": COLUMNS[14], "package": COLUMNS[16], "fisn": COLUMNS[18], "name": COLUMNS[19],
    "expiry": COLUMNS[7],
}  # fmt: skip
FIRST = 5574291761000000801
"""Identifiers of 19 digits: a float holds 16."""


def ident(number):
    return str(FIRST + number)


def clock(hour, minute=0, day=1):
    return f"2026-10-{day:02d}T{hour:02d}:{minute:02d}:00Z"


def report(number, action="NEWT", original=None, **changes):
    cells = BLANK | {
        COLUMNS[0]: ident(number),
        COLUMNS[1]: "" if original is None else ident(original),
        COLUMNS[2]: action,
        COLUMNS[4]: clock(14, number % 60),
        COLUMNS[5]: clock(14),
        "Effective Date": "2026-10-01",
        "Expiration Date": "2026-12-18",
        "Notional amount-Leg 1": "10,000,000",
        "Notional currency-Leg 1": "USD",
        "Option Premium Amount": "1,500.50",
        "Option Premium Currency": "USD",
        "Strike Price": "6400",
        "Strike price notation": "1",
        "Platform identifier": "BILT",
        "Package indicator": "FALSE",
        "Asset Class": "EQ",
        "UPI FISN": "NA/O Call Epn S&P 500",
        "UPI Underlier Name": "S&P 500 INDEX",
    }
    return cells | {SHORT.get(name, name): value for name, value in changes.items()}


def csv_text(*rows, columns=COLUMNS):
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines)


def read(*rows, name=DAY, columns=COLUMNS):
    payload = csv_text(*rows, columns=columns).encode()
    assert dtcc.sniff(payload[:4096], name)
    (found,) = dtcc.read(Member(name, lambda: io.BytesIO(payload)))
    assert conform(TABLE, found.rows).equals(found.rows)
    return found


def codes(found):
    return [finding.code for finding in found.findings]


def only(found):
    (row,) = found.rows.to_pylist()
    return row


# --- the recorded file ------------------------------------------------------------------------

RECORDED = "cftc_forex_options_rows_2026-10-01.csv"


@pytest.fixture
def recorded(shared_samples):
    path = shared_samples / "dtcc" / RECORDED
    (found,) = (
        records for member in members(path, name=path.name) for records in dtcc.read(member)
    )
    return found


def test_recorded_reports_become_records(recorded):
    rows = {row["original_id"]: row for row in recorded.rows.to_pylist()}
    assert conform(TABLE, recorded.rows).equals(recorded.rows)
    assert list(rows) == [
        "5077719980000001201", "5574291761000000801", "5579994313000000401", "5586783298000000201",
    ]  # fmt: skip
    assert rows["5574291761000000801"] == {
        "underlying": "EURUSD",
        "session_date": date(2026, 10, 1),
        "event_at": datetime(2026, 10, 1, 8, 15, 22, tzinfo=UTC),
        "known_at": datetime(2026, 10, 2, tzinfo=UTC),  # the change has no instant of its own
        "provider": "dtcc",
        "source_name": RECORDED,
        "original_id": "5574291761000000801",
        "latest_id": "5574295990000000401",
        "status": "live",
        "reports": 2,
        "asset_class": "forex",
        "underlier_name": "EUR USD",
        "option_type": "put",
        "style": "Van",
        "strike": 1.1365,
        "strike_notation": "monetary",
        "effective_date": date(2026, 10, 1),
        "expiry_date": date(2027, 2, 3),
        "notional": 9_678_800.0,
        "notional_currency": "EUR",
        "is_notional_capped": False,
        "premium": 170_588.85,
        "premium_currency": "USD",
        "is_package": True,
        "platform": "TSEF",
        "sign_rule": "unsigned",
    }


def test_recorded_exercise_without_its_trade_is_kept_as_terminated(recorded):
    exercise = recorded.rows.to_pylist()[0]
    assert (exercise["status"], exercise["reports"]) == ("terminated", 1)
    assert exercise["latest_id"] == "5579222555000000101"
    assert exercise["event_at"] == datetime(2026, 9, 2, 4, 5, 50, tzinfo=UTC)
    assert exercise["session_date"] == date(2026, 9, 2)
    assert codes(recorded) == ["original_not_in_file"]
    assert "2 records" in recorded.findings[0].text


def test_recorded_cap_is_a_floor_and_a_late_report_is_known_late(recorded):
    capped = recorded.rows.to_pylist()[3]
    assert (capped["notional"], capped["is_notional_capped"]) == (132_405_004.0, True)
    assert capped["premium"] == 1_088_796.31529
    # executed in March, published on the file's day: known from that day's end
    assert capped["event_at"] == datetime(2026, 3, 9, 8, 5, 55, tzinfo=UTC)
    assert capped["known_at"] == datetime(2026, 10, 2, tzinfo=UTC)


# --- lifecycle --------------------------------------------------------------------------------


def test_a_change_applies_to_the_original_and_keeps_its_execution():
    found = only(read(report(1), report(2, "MODI", 1, notional="7,000,000", at=clock(18))))
    assert (found["original_id"], found["latest_id"]) == (ident(1), ident(2))
    assert (found["notional"], found["reports"], found["status"]) == (7e6, 2, "live")
    assert found["event_at"] == datetime(2026, 10, 1, 14, tzinfo=UTC)
    assert found["known_at"] == datetime(2026, 10, 1, 18, 15, tzinfo=UTC)


def test_a_cell_left_empty_by_a_later_report_keeps_what_was_said():
    found = only(read(report(1), report(2, "MODI", 1, premium="", strike="6500")))
    assert (found["premium"], found["strike"]) == (1500.5, 6500.0)


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        ("NEWT", "live"),
        ("NEWT TERM", "terminated"),
        ("NEWT EROR", "cancelled"),
        ("NEWT EROR REVI", "live"),
        ("NEWT TERM REVI", "live"),
        ("NEWT TERM CORR", "terminated"),
        ("NEWT MODI CORR MODI", "live"),
        ("NEWT EROR MODI", "cancelled"),
        ("NEWT TERM EROR", "cancelled"),
        ("MODI", "live"),
        ("TERM", "terminated"),
        ("EROR", "cancelled"),
        ("MODI TERM", "terminated"),
    ],
)
def test_status_after_a_chain_of_reports(actions, status):
    first = 0 if actions.startswith("NEWT") else 99
    chain = [
        report(i, action, None if action == "NEWT" else first, at=clock(14 + i))
        for i, action in enumerate(actions.split())
    ]
    found = read(*chain)
    assert only(found)["status"] == status
    assert only(found)["original_id"] == ident(first)
    assert ("original_not_in_file" in codes(found)) == (first == 99)


def test_reports_that_name_the_one_before_lead_to_the_first():
    chain = [report(1), *(report(i, "MODI", i - 1, notional=f"{i}") for i in range(2, 40))]
    found = only(read(*chain[::-1]))
    assert (found["original_id"], found["latest_id"]) == (ident(1), ident(39))
    assert (found["reports"], found["notional"]) == (39, 39.0)


def test_reports_are_applied_in_the_order_of_their_events_not_of_the_file():
    late = report(2, "MODI", 1, notional="2", at=clock(20))
    early = report(3, "MODI", 1, notional="3", at=clock(16))
    assert only(read(late, early, report(1)))["notional"] == 2.0


def test_reports_of_one_instant_are_applied_in_the_order_of_identifiers():
    same = {"at": clock(16)}
    rows = [report(i, "MODI", 1, notional=f"{i}", **same) for i in (11, 3, 9)]
    assert only(read(report(1), *rows))["notional"] == 11.0


def test_the_first_report_comes_first_whatever_its_clock():
    found = only(read(report(1, at=clock(20), notional="1"), report(2, "MODI", 1, notional="2")))
    assert found["notional"] == 2.0


CHAIN = [
    report(1, at=clock(10), notional="1"),
    report(2, "MODI", 1, at=clock(11), notional="2"),
    report(3, "EROR", 2, at=clock(12), notional=""),
    report(4, "REVI", 3, at=clock(12), notional="", premium="7"),
    report(5, "CORR", 1, at=clock(13), strike="6500"),
    report(6, at=clock(9), notional="6"),
    report(7, "TERM", 6, at=clock(15)),
]


def test_the_order_of_the_file_does_not_matter():
    expected = read(*CHAIN).rows
    assert expected["status"].to_pylist() == ["live", "terminated"]
    assert expected["reports"].to_pylist() == [5, 2]
    assert expected["premium"].to_pylist() == [1500.5, 1500.5]
    for order in itertools.islice(itertools.permutations(CHAIN), 0, None, 331):
        assert read(*order).rows.equals(expected)


def test_nineteen_digits_are_not_merged():
    rows = read(*(report(i, notional=f"{i}") for i in range(6))).rows
    assert rows["original_id"].to_pylist() == [ident(i) for i in range(6)]
    assert rows["notional"].to_pylist() == [float(i) for i in range(6)]


def test_a_report_that_occurs_again_counts_once():
    found = read(report(1), report(2, "MODI", 1), report(1), report(2, "MODI", 1))
    assert only(found)["reports"] == 2
    assert codes(found) == ["report_repeated"]


def test_of_a_repeated_report_with_other_contents_the_last_counts():
    found = read(report(1, notional="1"), report(1, notional="2"))
    assert only(found)["notional"] == 2.0
    assert codes(found) == ["report_repeated", "repeated_report_differs"]


def test_reports_about_each_other_in_a_circle_stay_apart():
    found = read(report(1, "MODI", 2), report(2, "MODI", 1), report(3))
    assert found.rows["original_id"].to_pylist() == [ident(i) for i in (1, 2, 3)]
    assert codes(found) == ["circular_reports"]


def test_an_unknown_action_is_applied_and_told():
    found = read(report(1), report(2, "PRTO", 1, notional="3"))
    assert (only(found)["notional"], only(found)["status"]) == (3.0, "live")
    assert codes(found) == ["unknown_action"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_chain_ends_with_its_last_word(data):
    length = data.draw(st.integers(1, 8))
    actions = data.draw(
        st.lists(st.sampled_from(["MODI", "CORR", "TERM", "EROR", "REVI"]), max_size=length)
    )
    chain = [report(0)]
    chain += [
        report(i, action, data.draw(st.integers(0, i - 1)), notional=f"{i}")
        for i, action in enumerate(actions, start=1)
    ]
    found = only(read(*data.draw(st.permutations(chain))))
    meaning = {"TERM": "terminated", "EROR": "cancelled", "REVI": "live", "NEWT": "live"}
    said = [meaning[action] for action in ["NEWT", *actions] if action in meaning]
    assert found["status"] == said[-1]
    assert found["notional"] == (len(actions) or 10_000_000.0)
    assert found["reports"] == len(chain)


# --- clocks and sessions ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known_at"),
    [
        (DAY, datetime(2026, 10, 2, tzinfo=UTC)),
        ("CFTC_SLICE_EQUITIES_2026_10_01_17.csv", datetime(2026, 10, 2, tzinfo=UTC)),
        ("SEC_CUMULATIVE_EQUITIES_2026_10_01.csv", datetime(2026, 9, 28, 14, 15, tzinfo=UTC)),
        ("options.csv", datetime(2026, 9, 28, 14, 15, tzinfo=UTC)),
    ],
)
def test_an_old_event_is_known_from_the_end_of_its_day_of_publication(name, known_at):
    late = "2026-09-28T14:00:00Z"
    found = read(report(1, at=late, executed=late), name=name)
    assert only(found)["known_at"] == known_at
    assert ("dissemination_day_unknown" in codes(found)) == (known_at.day == 28)


def test_an_event_of_the_day_is_known_a_quarter_of_an_hour_later():
    assert only(read(report(1)))["known_at"] == datetime(2026, 10, 1, 14, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("executed", "name", "session"),
    [
        ("2026-10-01T14:00:00Z", "S&P 500", date(2026, 10, 1)),
        ("2026-10-02T01:00:00Z", "S&P 500", date(2026, 10, 1)),  # 21:00 in New York
        ("2026-10-04T15:00:00Z", "S&P 500", date(2026, 10, 5)),  # a Sunday
        ("2026-10-02T01:00:00Z", "BITCOIN", date(2026, 10, 2)),
        ("2026-10-04T15:00:00Z", "EUR USD", date(2026, 10, 4)),
    ],
)
def test_a_trade_belongs_to_its_underliers_local_day(executed, name, session):
    assert only(read(report(1, executed=executed, name=name)))["session_date"] == session


def test_a_record_without_execution_takes_its_event_and_without_both_is_quarantined():
    rows = [report(i) for i in range(200)]
    rows[1][SHORT["executed"]] = ""
    rows[2] |= {SHORT["executed"]: "", SHORT["at"]: ""}
    found = read(*rows)
    assert found.rows.num_rows == 199
    event = found.rows.to_pylist()[1]
    assert event["event_at"] == datetime(2026, 10, 1, 14, 1, tzinfo=UTC)
    (bad,) = found.rejected.to_pylist()
    assert (bad["reason"], bad["raw_text"], bad["row_number"]) == (
        "no_execution_time",
        ident(2),
        4,
    )


# --- cells ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fisn", "option_type", "style"),
    [
        ("NA/O Van Put EUR USD", "put", "Van"),
        ("NA/O Van Call JPY USD", "call", "Van"),
        ("NA/O Call Epn OIS USD", "call", "Epn"),
        ("NA/O P Epn Fxd Flt USD", "put", "Epn"),
        ("NA/O Opt Epn OIS USD", "other", "Epn"),
        ("NA/O NDO Put CLP USD", "put", "NDO"),
        ("NA/O Bar Call MXN USD", "call", "Bar"),
        ("NA/O Nstd Oth USD", "other", "Nstd"),
        ("NA/O Opt Epn C P OUTPUT", "other", "Epn"),
    ],
)
def test_the_products_name_says_type_and_style(fisn, option_type, style):
    found = only(read(report(1, fisn=fisn)))
    assert (found["option_type"], found["style"]) == (option_type, style)


def test_products_that_are_no_options_are_left_out():
    swaps = ["NA/Swap OIS USD", "NA/Fwd EUR USD", "NA/Opt-like", "OTC/Outright"]
    rows = [report(i, fisn=fisn) for i, fisn in enumerate(swaps)]
    assert read(*rows, report(9)).rows["original_id"].to_pylist() == [ident(9)]
    with pytest.raises(BadInputError, match="found none among 4"):
        read(*rows)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("S&P 500", "SPX"), ("S&P 500 INDEX", "SPX"), ("s&p 500 index", "SPX"), (".SPX", "SPX"),
        ("STANDARD & POOR'S 500 INDEX", "SPX"), ("S&P 500 Index (Price Return)", "SPX"),
        ("US78378X1072", "SPX"), ("S&P 500 LOW VOLATILITY INDEX", "UNKNOWN"),
        ("S&P 500 TOTAL RETURN INDEX", "UNKNOWN"), ("S&P 500 ESG INDEX", "UNKNOWN"),
        ("Bitcoin", "BTC"), ("BTC USD", "BTC"), ("XBT/USD", "BTC"),
        ("ISHARES BITCOIN TRUST", "UNKNOWN"), ("EUR USD", "EURUSD"), ("EUR/USD", "EURUSD"),
        ("JPY USD", "JPYUSD"), ("NA/Swap OIS USD", "UNKNOWN"), ("", "UNKNOWN"),
        ("../../etc", "UNKNOWN"), ("APPLE INC", "UNKNOWN"),
    ],
)  # fmt: skip
def test_the_underlier_is_the_registrys_a_pair_or_unknown(name, symbol):
    assert terms.symbol_of(name) == symbol


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_underlier_names_a_folder_safely(name):
    assert terms.symbol_of(name).isalnum()


@pytest.mark.parametrize(
    ("cell", "value", "is_capped"),
    [
        ("9,678,800", 9_678_800.0, False), ("132,405,004+", 132_405_004.0, True),
        ("1,088,796.31529", 1_088_796.31529, False), ("0", 0.0, False), ("", None, False),
        ("1000000;2000000", None, False), ("n/a", None, False), ("1e30", None, False),
        ("+", None, False),
    ],
)  # fmt: skip
def test_amounts_are_read_and_what_is_none_is_told(cell, value, is_capped):
    found = read(report(1, notional=cell))
    assert (only(found)["notional"], only(found)["is_notional_capped"]) == (value, is_capped)
    is_odd = value is None and cell not in ("", "+")
    assert ("amount_unreadable" in codes(found)) == is_odd


def test_strikes_keep_their_notation_and_odd_dates_are_unknown():
    found = only(read(report(1, strike="0.0544", notation="3", expiry="31/12/2026")))
    assert (found["strike"], found["strike_notation"]) == (0.0544, "decimal")
    assert found["expiry_date"] is None


def test_the_class_comes_from_the_report_else_from_the_name():
    assert only(read(report(1)))["asset_class"] == "equities"
    blank = report(1) | {"Asset Class": ""}
    assert only(read(blank, name="CFTC_SLICE_COMMODITIES_2026_10_01_3.csv"))["asset_class"] == (
        "commodities"
    )
    assert only(read(blank, name="x_2026_10_01.csv"))["asset_class"] == ""


# --- files ------------------------------------------------------------------------------------


def test_columns_are_found_by_name_in_any_case_and_any_number():
    wide = [f"Some Other Column {i}" for i in range(130)]
    columns = [*wide[:70], *(name.upper() for name in COLUMNS), *wide[70:]]
    row = {name.upper(): cell for name, cell in report(1).items()}
    assert len(",".join(columns)) > 3000
    found = read(row, columns=columns)
    assert only(found)["strike"] == 6400.0


def test_older_files_have_an_option_type_instead_of_a_product_name():
    columns = [*COLUMNS[:-2], "Option Type", "Underlier ID-Leg 1"]
    rows = [
        report(1) | {"Option Type": "PUT", "Underlier ID-Leg 1": ".SPX"},
        report(2) | {"Option Type": "", "Underlier ID-Leg 1": ".SPX"},
    ]
    found = only(read(*rows, columns=columns))
    assert (found["option_type"], found["style"], found["underlying"]) == ("put", "", "SPX")
    assert found["underlier_name"] == ".SPX"


def test_a_zip_is_read_member_by_member(tmp_path):
    path = tmp_path / "CFTC_CUMULATIVE_EQUITIES_2026_10_01.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("CFTC_CUMULATIVE_EQUITIES_2026_10_01.csv", "﻿" + csv_text(report(1)))
    (found,) = (
        records for member in members(path, name=path.name) for records in dtcc.read(member)
    )
    assert found.source_name == f"{path.name}:CFTC_CUMULATIVE_EQUITIES_2026_10_01.csv"
    assert len(found.source_sha256) == 64
    assert only(found)["original_id"] == ident(1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Dissemination Identifier", "header line"),
        (csv_text(report(1), columns=COLUMNS[:5]), "execution timestamp"),
        (csv_text(report(1), columns=COLUMNS[:-2]), "UPI FISN"),
        (csv_text(report(1)) + csv_text(report(2)).splitlines()[1][:80], "Expected 20 columns"),
        (csv_text(), "found none among 0"),
        (csv_text(report(1) | {COLUMNS[0]: ""}), "found none among 1"),
        (csv_text(report(1, executed="soon", at="")), "execution timestamps"),
    ],
)
def test_a_file_that_cannot_be_believed_is_refused_with_its_name(text, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        dtcc.read(Member(DAY, lambda: io.BytesIO(text.encode())))
    assert DAY in str(refusal.value)


def test_a_report_without_identifier_is_left_out_and_told():
    found = read(report(1), report(2) | {COLUMNS[0]: ""})
    assert codes(found) == ["report_without_identifier"]
    assert found.rows.num_rows == 1


def test_reading_twice_gives_the_same_bytes():
    first, second = read(*CHAIN), read(*CHAIN)
    assert first.rows.equals(second.rows)
    assert first.source_sha256 == second.source_sha256


class Endless(io.RawIOBase):
    """A file of 100 MB that is made while it is read; notes how much Arrow holds meanwhile."""

    def __init__(self, blocks):
        option = csv_text(report(1, notional="1")).splitlines()[1]
        swap = csv_text(report(2, fisn="NA/Swap Ptf Bas")).splitlines()[1]
        self.left = blocks
        self.rest = csv_text().encode()
        self.block = ("\n".join([option, *[swap] * 2999]) + "\n").encode()
        self.most = 0

    def read(self, size=-1):
        self.most = max(self.most, pa.total_allocated_bytes())
        while self.left and len(self.rest) < size:
            number = str(FIRST + self.left).encode()
            self.rest += self.block.replace(ident(1).encode(), number)
            self.left -= 1
        content, self.rest = self.rest[:size], self.rest[size:]
        return content


def test_a_file_larger_than_its_memory_is_read_as_a_stream():
    stream = Endless(blocks=160)
    before = pa.total_allocated_bytes()
    (found,) = dtcc.read(Member(DAY, lambda: stream))
    assert stream.left == 0
    assert 160 * len(stream.block) > MEMORY_BYTES * 3 / 2
    assert found.rows.num_rows == 160
    assert stream.most - before < MEMORY_BYTES
