"""OCC: volume by account, open interest by series, collected histories, and the live provider."""

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    UndatedChainError,
    UnknownUnderlyingError,
)
from dealer_assets.lake.conformity import conform
from dealer_assets.providers import occ
from dealer_assets.providers.occ_live import OccProvider
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World

SPX = underlying("SPX")
WEDNESDAY = date(2026, 9, 16)
HEADER = "quantity,underlying,symbol,actype,porc,exchange,actdate"


def volume_csv(*rows, header=HEADER):
    return "\n".join([header, *rows, ""]).encode()


def parse(payload, name="occ.txt"):
    (records,) = occ.parse(payload, name=name, sha256=sha256(payload).hexdigest())
    return records


def codes(found):
    return [finding.code for finding in found.findings]


def storable(records):
    """The records, when the lake would store them as they are, session by session."""
    for day in pc.unique(records.rows["session_date"]):
        same = records.rows.filter(pc.equal(records.rows["session_date"], day))
        assert conform(records.table, same, session_date=day.as_py()).equals(same.combine_chunks())
    conform(tables.REJECTED_ROWS, records.rejected)
    return records


def believed(records):
    return storable(records).rows.to_pylist()


# --- volume by account -------------------------------------------------------------------------


def test_recorded_volume_report_names_the_underlying_the_registry_lacks(shared_samples):
    payload = (shared_samples / "occ" / "volume_query_sample.csv").read_bytes()
    assert occ.sniff(payload[:4096], "x")
    with pytest.raises(UnknownUnderlyingError, match="2XLK, XLK"):
        parse(payload)


def test_recorded_volume_report_keeps_sides_by_account_in_spite_of_its_trailing_commas(
    shared_samples,
):
    payload = (shared_samples / "occ" / "volume_query_sample.csv").read_bytes()
    records = parse(payload.replace(b"XLK", b"SPX"))
    found = [
        (row["root"], row["right"], row["exchange"], row["account_type"], row["sides_contracts"])
        for row in believed(records)
    ]
    assert found == [
        ("SPX", "call", "CBOE", "customer", 10.0),
        ("SPX", "call", "CBOE", "firm", 4.0),
        ("SPX", "call", "CBOE", "market_maker", 6.0),
        ("SPX", "put", "CBOE", "customer", 12.0),
        ("SPX", "put", "CBOE", "market_maker", 8.0),
    ]
    first = records.rows.to_pylist()[0]
    assert first["session_date"] == date(2026, 7, 10)
    assert first["event_at"] == datetime(2026, 7, 10, 20, 0, tzinfo=UTC)
    assert first["known_at"] == datetime(2026, 7, 13, 12, 0, tzinfo=UTC)  # Monday morning
    assert first["sign_rule"] == "account_type_share"
    assert records.rejected["reason"].to_pylist() == ["adjusted_root"] * 2
    assert records.rejected["symbol"].to_pylist() == ["2SPX"] * 2
    assert records.rejected["row_number"].to_pylist() == [7, 8]
    assert records.rejected["raw_text"].to_pylist()[0] == "8,SPX,2SPX,C,C,CBOE,07/10/2026"


def test_volume_of_all_underlyings_goes_to_those_of_the_registry_by_root():
    records = parse(
        volume_csv(
            "10,SPX,SPXW,C,C,CBOE,07/10/2026,",
            "20,SPX,SPX,C,C,CBOE,07/10/2026,",
            "30,SPY,SPY,M,P,ARCA,07/10/2026,",
            "40,XLK,XLK,M,P,ARCA,07/10/2026,",
            "50,BTC,BTC,M,P,ARCA,07/10/2026,",  # a fund's options, not the coin's
        )
    )
    found = [(r["underlying"], r["root"], r["sides_contracts"]) for r in believed(records)]
    assert found == [("SPX", "SPX", 20.0), ("SPX", "SPXW", 10.0), ("SPY", "SPY", 30.0)]
    assert codes(records) == ["unlisted_roots"]
    assert "2 rows" in records.findings[0].text
    assert records.rejected.num_rows == 0


def test_volume_by_contract_date_is_added_up():
    records = parse(
        volume_csv(
            "10,SPX,SPX,C,C,CBOE,07/10/2026,07/17/2026",
            "5,SPX,SPX,C,C,CBOE,07/10/2026,08/21/2026",
            header=f"{HEADER},contractDate",
        )
    )
    assert [row["sides_contracts"] for row in believed(records)] == [15.0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,SPX,SPX,C,C,CBOE,07/10/2026,", "not_a_number"),
        (",SPX,SPX,C,C,CBOE,07/10/2026,", "not_a_number"),
        ("-1,SPX,SPX,C,C,CBOE,07/10/2026,", "negative_quantity"),
        ("1,SPX,SPX,Q,C,CBOE,07/10/2026,", "unknown_account_type"),
        ("1,SPX,SPX,C,X,CBOE,07/10/2026,", "bad_right"),
        ("1,SPX,SPX,M,P,E0,07/10/2026,", "duplicate_row"),
    ],
)
def test_volume_rows_that_cannot_be_believed_are_quarantined(row, reason):
    good = [f"1,SPX,SPX,M,P,E{i},07/10/2026," for i in range(150)]
    records = parse(volume_csv(*good, row))
    assert len(believed(records)) == 150
    assert records.rejected.to_pylist() == [
        records.rejected.to_pylist()[0]
        | {"reason": reason, "row_number": 152, "underlying": "SPX", "raw_text": row[:-1]}
    ]


def test_volume_report_with_too_much_damage_is_not_taken():
    with pytest.raises(BadInputError, match="negative_quantity 1"):
        parse(volume_csv("-1,SPX,SPX,C,C,CBOE,07/10/2026,", "1,SPX,SPX,C,P,CBOE,07/10/2026,"))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (volume_csv("1,SPX,SPX,C,C,CBOE,07/11/2026,"), "expected a session .* found '07/11/2026'"),
        (volume_csv("1,SPX,SPX,C,C,CBOE,20260710,"), "expected a session"),
        (volume_csv("1,SPX,SPX,C,C,CBOE,07/10/2026,", "2,SPX,SP"), "expected 7 values on line 3"),
        (volume_csv("1,SPX,SPX,C,C,CBOE,07/10/2026,")[:-3], "the last one cut"),
        (b"quantity,symbol\n1,SPX\n", "expected the column 'actype'"),
        (volume_csv(), "found none"),
        (b"Report Type is invalid", "found the text b'Report Type is invalid'"),
    ],
)
def test_volume_file_that_is_no_report_is_refused(payload, words):
    with pytest.raises(BadInputError, match=words):
        parse(payload)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["SPX", "SPXW", "SPY"]),
            st.sampled_from("CFM"),
            st.sampled_from("CP"),
            st.sampled_from(["CBOE", "ISE"]),
        ),
        st.integers(0, 10**7),
        min_size=1,
    )
)
def test_no_side_is_lost_whatever_is_traded(sides):
    payload = volume_csv(
        *(f"{n},U,{root},{a},{r},{e},07/10/2026," for (root, a, r, e), n in sides.items())
    )
    records = parse(payload)
    assert pc.sum(records.rows["sides_contracts"]).as_py() == sum(sides.values())
    assert records.rows.num_rows == len(sides)


# --- open interest by series -------------------------------------------------------------------

SERIES_HEADER = (
    "Series Search Results for SPX\r\n"
    "Products for this underlying symbol are traded on: CBOE\r\n"
    "\t\tSeries/contract\t\tStrike\t\t\tOpen Interest\r\n"
    "ProductSymbol\tyear\tMonth\tDay\tInteger\tDec\tC/P\tCall\tPut\tPosition Limit\t\r\n"
)


def series(*lines, header=SERIES_HEADER):
    return (header + "".join(f"{line}\r\n" for line in lines)).encode()


LINES = (
    "SPXW  \t\t2026\t09\t16\t6500\t000\tC P \t3\t113\t25000000",
    "SPX   \t\t2026\t09\t18\t574\t700\t  P \t0\t53\t25000000",
    "SPX   \t2026\t09\t18\t5900\t5\tC   \t7\t0\t25000000",
    "2SPX  \t\t2026\t09\t18\t5900\t000\tC P \t9\t9\t25000000",
)


def test_series_become_one_row_for_each_listed_right_and_digits_are_adjusted():
    payload = series(*LINES)
    assert occ.sniff(payload[:4096], "x")
    records = parse(payload, "SPX_series_2026-09-16.txt")
    found = [
        (row["symbol"], row["strike"], row["right"], row["open_interest_contracts"])
        for row in believed(records)
    ]
    assert found == [
        ("SPX260918P00574700", 574.7, "put", 53.0),
        ("SPX260918C05900500", 5900.5, "call", 7.0),
        ("SPXW260916C06500000", 6500.0, "call", 3.0),
        ("SPXW260916P06500000", 6500.0, "put", 113.0),
    ]
    first, last = records.rows.to_pylist()[0], records.rows.to_pylist()[-1]
    assert first["expires_at"] == datetime(2026, 9, 18, 13, 30, tzinfo=UTC)  # at the open
    assert last["expires_at"] == datetime(2026, 9, 16, 20, 0, tzinfo=UTC)
    assert records.rejected["reason"].to_pylist() == ["adjusted_root"]
    assert records.rejected["row_number"].to_pylist() == [8]
    assert codes(records) == ["partial_open_interest"]
    assert not records.is_complete


def test_open_interest_is_counted_at_the_close_before_and_known_in_the_morning():
    row = believed(parse(series(*LINES), "SPX 2026-09-14.txt"))[0]
    assert row["session_date"] == date(2026, 9, 14)
    assert row["event_at"] == datetime(2026, 9, 11, 20, 0, tzinfo=UTC)
    assert row["known_at"] == datetime(2026, 9, 14, 10, 30, tzinfo=UTC)


def test_a_week_ends_file_opens_the_next_session():
    row = believed(parse(series(*LINES), "SPX 2026-09-12.txt"))[0]
    assert row["session_date"] == date(2026, 9, 14)


def test_series_file_without_a_date_in_its_name_is_refused():
    with pytest.raises(UndatedChainError, match="session that opens with it"):
        parse(series(*LINES), "SPX.txt")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("SPX\t\t2026\t13\t18\t5900\t000\tC P \t1\t1\t1", "bad_expiry"),
        ("SPX\t\t2026\t09\t18\t0\t000\tC P \t1\t1\t1", "bad_strike"),
        ("SPX\t\t2026\t09\t18\t5900\t1000\tC P \t1\t1\t1", "bad_strike"),
        ("SPX\t\t2026\t09\t18\t5900\t000\t  \t1\t1\t1", "bad_right"),
        ("SPX\t\t2026\t09\t18\t5900\t000\tC P \t-1\t1\t1", "not_a_number"),
        ("SPX\t\t2026\t09\t18\t5000\t000\tC P \t1\t1\t1", "duplicate_contract"),
        ("SPXW\t\t2026\t09\t15\t5900\t000\tC P \t1\t1\t1", "expired_series"),
    ],
)
def test_series_that_cannot_be_believed_are_quarantined(line, reason):
    good = [f"SPX\t\t2026\t09\t18\t{5000 + i}\t000\tC P \t1\t2\t1" for i in range(150)]
    records = parse(series(*good, line), "SPX 2026-09-16.txt")
    assert len(believed(records)) == 300
    assert records.rejected["reason"].to_pylist() == [reason]
    assert records.rejected["raw_text"].to_pylist() == [line]


def test_series_that_are_cut_off_are_refused():
    with pytest.raises(BadInputError, match="the last one cut"):
        parse(series(*LINES)[:-2], "SPX 2026-09-16.txt")


def test_totals_of_the_market_hold_no_contracts():
    with pytest.raises(BadInputError, match="totals of the whole market"):
        parse(daily(date(2026, 9, 15)), "occ 2026-09-16.csv")


def daily(*days, figures='"339,544,371"'):
    lines = [
        "Daily Open Interest - September 2026",
        "Date,Equity,,,Index/Other,,,Debt,,,Futures,OCC Total",
        ",Calls,Puts,Total,Calls,Puts,Total,Calls,Puts,Total,Total,",
        *(f"{day:%m/%d/%Y},{figures},{figures}," for day in sorted(days, reverse=True)),
    ]
    return "\r\n".join([*lines, ""]).encode()


# --- collected histories -----------------------------------------------------------------------


GRID_ROW = {"strike": 5.0, "calls": [1], "puts": [2]}


@cache
def history(shared_data, name):
    payload = gzip.decompress((shared_data / "occ_oi" / f"{name}.json.gz").read_bytes())
    assert occ.sniff(payload[:4096], name)
    return parse(payload, f"{name}.json")


def by_session(records):
    summed = records.rows.group_by("session_date").aggregate([("open_interest_contracts", "sum")])
    return dict(
        zip(
            summed["session_date"].to_pylist(),
            summed["open_interest_contracts_sum"].to_pylist(),
            strict=True,
        )
    )


def cell(records, day, symbol):
    same = pc.and_(
        pc.equal(records.rows["session_date"], pa.scalar(day, pa.date32())),
        pc.equal(records.rows["symbol"], symbol),
    )
    return records.rows.filter(same).to_pylist()


def test_recorded_share_history_is_read_cell_by_cell(shared_data):
    records = history(shared_data, "TSLA_oi_2026-08-10_to_2026-08-24")
    assert storable(records).rows.num_rows == 53_594
    totals = by_session(records)
    assert list(totals) == [
        *(date(2026, 8, day) for day in (12, 13, 14)),
        *(date(2026, 8, day) for day in (17, 18, 19, 20, 21)),
        date(2026, 8, 24),
    ]
    assert totals[date(2026, 8, 12)] == 5_792_159  # all that the file gives for its first session
    (last,) = cell(records, date(2026, 8, 20), "TSLA260821C00005000")
    assert last["open_interest_contracts"] == 11_742
    assert last["event_at"] == datetime(2026, 8, 19, 20, 0, tzinfo=UTC)
    (nobody,) = cell(records, date(2026, 8, 12), "TSLA260814P00050000")
    assert nobody["open_interest_contracts"] == 0.0
    assert records.is_complete


def test_recorded_history_quarantines_series_that_expired_the_evening_before(shared_data):
    records = history(shared_data, "TSLA_oi_2026-08-10_to_2026-08-24")
    assert codes(records) == ["expired_rows_present"]
    assert set(records.rejected["reason"].to_pylist()) == {"expired_series"}
    over = pc.less(records.rows["expiry_date"], records.rows["session_date"])
    assert not pc.any(over).as_py()
    # after the expiry of 21 August calls in the money are wiped, those out of it are not
    monday = pc.equal(records.rejected["session_date"], pa.scalar(date(2026, 8, 24), pa.date32()))
    texts = records.rejected.filter(monday)["raw_text"].to_pylist()
    assert "2026-08-21 5: calls 0, puts 5297" in texts
    assert "2026-08-21 980: calls 4015, puts 0" in texts


def test_both_layouts_of_a_history_say_the_same(shared_data):
    grid = history(shared_data, "NVDA_oi_2026-08-10_to_2026-08-24")
    days = history(shared_data, "NVDA_history")
    assert grid.rows.drop_columns(["source_name"]).equals(days.rows.drop_columns(["source_name"]))


def test_recorded_index_history_tells_its_break_and_leaves_out_what_has_two_roots(shared_data):
    records = history(shared_data, "SPX_oi_2026-08-10_to_2026-08-24")
    assert codes(records) == [
        "open_interest_jump",
        "expired_rows_present",
        "expiry_vanished",
        "root_not_told",
    ]
    jump, _, vanished, _ = (finding.text for finding in records.findings)
    assert "13,304,363 to 24,471,525 contracts in session 2026-08-17" in jump
    assert (
        "2027-06-17 has 970,716 contracts in session 2026-08-18 and none in 2026-08-19" in vanished
    )
    assert not records.is_complete
    assert set(records.rows["root"].to_pylist()) == {"SPXW"}
    expiries = {day for day in records.rows["expiry_date"].to_pylist() if day.year == 2026}
    assert date(2026, 9, 18) not in expiries  # a monthly: SPX and SPXW both list
    assert date(2026, 9, 16) in expiries
    totals = by_session(records)
    assert max(totals.values()) / min(totals.values()) < 1.2  # the break is not in the rows


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ticker": "XLK"}, "XLK"),
        ({"ticker": "VIX"}, "whose expiries tell the root"),
        ({"pull_dates": ["16-8"]}, "expected a session as D-M"),  # a Sunday
        ({"pull_dates": ["31-2"]}, "expected a session as D-M"),
        ({"pull_dates": ["17-8", "17-8"]}, "expected different sessions"),
        ({"pull_dates": ["17-8", "18-8"]}, "expected 2 values"),
        ({"pull_dates": []}, "expected different sessions"),
        ({"updated_at": "noon"}, "updated_at"),
        ({"by_expiration": {"2026-08-21": {"rows": []}}}, "found none"),
        ({"by_expiration": {"21 August": {"rows": [GRID_ROW]}}}, "YYYY-MM-DD"),
        ({"by_expiration": {"2026-08-21": {"rows": [{"strike": 1}]}}}, "'calls' and 'puts'"),
        ({"by_expiration": {"2026-08-21": {"rows": [GRID_ROW | {"calls": [-1]}]}}}, "from 0 up"),
        ({"by_expiration": {"2026-08-21": {"rows": [GRID_ROW | {"puts": ["x"]}]}}}, "numbers"),
    ],
)
def test_history_that_is_no_history_is_refused(change, words):
    content = {
        "ticker": "TSLA",
        "pull_dates": ["17-8"],
        "by_expiration": {"2026-08-21": {"rows": [GRID_ROW]}},
        "updated_at": "2026-08-22T04:28:16Z",
    }
    assert len(believed(parse(json.dumps(content).encode()))) == 2
    with pytest.raises(BadInputError, match=words):
        parse(json.dumps(content | change).encode())


def test_history_over_new_year_takes_the_nearest_year():
    content = {
        "ticker": "TSLA",
        "pull_dates": ["31-12", "4-1"],
        "by_expiration": {"2027-01-15": {"rows": [{"strike": 5, "calls": [1, 2], "puts": [3, 4]}]}},
        "updated_at": "2027-01-04T04:28:16Z",
    }
    totals = by_session(parse(json.dumps(content).encode()))
    assert totals == {date(2026, 12, 31): 4.0, date(2027, 1, 4): 6.0}


def test_sniff_leaves_other_files_alone():
    for head in (
        b"",
        b"{}",
        b'{"data": {"options": []}}',
        b"Date,1 Mo\n",
        b"SPX\n",
        b"hello world",
    ):
        assert not occ.sniff(head, "x")


# --- the provider ------------------------------------------------------------------------------


class Server:
    """Answers by path, in turn; the last answer of a path repeats."""

    def __init__(self, **answers):
        self.answers = {path: list(found) for path, found in answers.items()}
        self.requests, self.pauses = [], []
        self.provider = OccProvider(
            transport=httpx.MockTransport(self), patience=Patience(sleep=self.pauses.append)
        )

    def __call__(self, request):
        self.requests.append(request)
        answers = self.answers[request.url.path.strip("/").replace("-", "_")]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, content=answer)


def test_one_request_brings_all_accounts_and_exchanges_of_a_session():
    server = Server(volume_query=[volume_csv("7,SPX,SPX,C,C,CBOE,09/15/2026,")])
    records = server.provider.account_volume(SPX, session_date=date(2026, 9, 15))
    assert records.rows["sides_contracts"].to_pylist() == [7.0]
    assert (records.provider, records.source_name) == ("occ", "volume-query SPX 2026-09-15")
    assert [dict(request.url.params) for request in server.requests] == [
        {
            "reportDate": "20260915",
            "format": "csv",
            "volumeQueryType": "O",
            "symbolType": "U",
            "symbol": "SPX",
            "reportType": "D",
            "accountType": "ALL",
            "productKind": "ALL",
            "porc": "BOTH",
        }
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Report Format is Required", ProviderError),
        ("Report Type is invalid", ProviderError),
        ("Volume query type is required", ProviderError),
        ("", NoDataError),
        ("No data found for the date", NoDataError),
    ],
)
def test_plain_text_with_status_200_is_the_error_it_says(text, error):
    server = Server(volume_query=[text.encode()])
    with pytest.raises(ProviderError, match=text or "no session") as raised:
        server.provider.account_volume(SPX, session_date=WEDNESDAY)
    assert type(raised.value) is error
    assert len(server.requests) == 1  # asking again would not help


def test_volume_of_another_day_is_not_taken():
    server = Server(volume_query=[volume_csv("7,SPX,SPX,C,C,CBOE,09/14/2026,")])
    with pytest.raises(GarbledAnswerError, match="expected volume of 2026-09-15"):
        server.provider.account_volume(SPX, session_date=date(2026, 9, 15))


def test_series_are_taken_for_the_session_that_opens_with_the_latest_count():
    server = Server(
        daily_open_interest=[daily(date(2026, 9, 14), date(2026, 9, 15))],
        series_search=[series(*LINES)],
    )
    records = server.provider.open_interest(SPX, session_date=WEDNESDAY)
    assert set(records.rows["session_date"].to_pylist()) == {WEDNESDAY}
    assert records.rows.num_rows == 4
    assert codes(records) == ["partial_open_interest"]


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ([date(2026, 9, 14)], "2026-09-14.*opened with that of 2026-09-15: ask again later"),
        ([date(2026, 9, 15), WEDNESDAY], "which is gone"),
        ([], "unknown"),
    ],
)
def test_series_of_another_day_are_not_taken(counted, words):
    server = Server(daily_open_interest=[daily(*counted)], series_search=[series(*LINES)])
    with pytest.raises(NoDataError, match=words):
        server.provider.open_interest(SPX, session_date=WEDNESDAY)


def test_a_day_of_zeros_is_not_counted_yet():
    payload = daily(date(2026, 9, 15)) + daily(WEDNESDAY, figures='"0"').split(b"\r\n")[3] + b"\r\n"
    server = Server(daily_open_interest=[payload], series_search=[series(*LINES)])
    assert server.provider.open_interest(SPX, session_date=WEDNESDAY).rows.num_rows == 4


def test_the_first_session_of_a_month_is_judged_by_both_months():
    lines = [line.replace("09\t16", "10\t01").replace("09\t18", "10\t16") for line in LINES]
    september = daily(date(2026, 9, 30))
    server = Server(daily_open_interest=[september, daily()], series_search=[series(*lines)])
    assert server.provider.open_interest(SPX, session_date=date(2026, 10, 1)).rows.num_rows == 4
    asked = [r.url.params["reportDate"] for r in server.requests if "reportDate" in r.url.params]
    assert asked == ["09/30/2026", "10/01/2026"]


def test_without_the_report_the_day_is_assumed_and_said_so():
    server = Server(daily_open_interest=[httpx.Response(503)], series_search=[series(*LINES)])
    records = server.provider.open_interest(SPX, session_date=WEDNESDAY)
    assert "open_interest_day_assumed" in codes(records)


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (date(2026, 9, 18), "series that expired on 2026-09-16 still has open interest"),
        (date(2026, 9, 15), "no series expires on 2026-09-15"),
    ],
)
def test_expiries_that_do_not_fit_the_session_are_believed_more_than_the_report(session, words):
    server = Server(
        daily_open_interest=[daily(session - timedelta(days=1))], series_search=[series(*LINES)]
    )
    with pytest.raises(NoDataError, match=words):
        server.provider.open_interest(SPX, session_date=session)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (series(), NoDataError),
        (b"Symbol is required", ProviderError),
        (b"", GarbledAnswerError),
        (series(*LINES)[:-30], GarbledAnswerError),
    ],
)
def test_series_answers_that_list_nothing_are_the_right_error(answer, error):
    server = Server(daily_open_interest=[daily(date(2026, 9, 15))], series_search=[answer])
    with pytest.raises(ProviderError) as raised:
        server.provider.open_interest(SPX, session_date=WEDNESDAY)
    assert type(raised.value) is error


def test_crypto_is_not_cleared_by_occ():
    server = Server()
    assert not server.provider.serves(underlying("BTC"))
    with pytest.raises(NoDataError, match="own venue"):
        server.provider.open_interest(underlying("BTC"), session_date=WEDNESDAY)


def test_robots_are_told_to_ask_from_elsewhere():
    server = Server(volume_query=[httpx.Response(403, text="<html>")])
    with pytest.raises(NotEntitledError, match="another network"):
        server.provider.account_volume(SPX, session_date=WEDNESDAY)
    assert server.requests[0].headers["User-Agent"].startswith("Mozilla")


# --- against the exchange ----------------------------------------------------------------------

MORNING = datetime(2026, 9, 16, 15, 0, tzinfo=UTC)
NVDA = underlying("NVDA")


@pytest.fixture(scope="module")
def exchange():
    world = World(VirtualClock(MORNING))
    with running(world) as url:
        yield world, url


@pytest.fixture
def world(exchange):
    exchange[0].faults.clear()
    return exchange[0]


@pytest.fixture
def provider(exchange):
    return OccProvider(exchange[1], patience=Patience(attempts=3, sleep=lambda _: None))


def test_exchange_volume_is_twice_what_was_traded(world, provider):
    day = date(2026, 9, 15)
    records = provider.account_volume(NVDA, session_date=day)
    believed(records)
    traded = pc.sum(
        world.chain("NVDA", datetime(2026, 9, 15, 20, 15, tzinfo=UTC))["volume_contracts"]
    )
    assert pc.sum(records.rows["sides_contracts"]).as_py() == 2 * traded.as_py()
    assert set(records.rejected["reason"].to_pylist()) == {"adjusted_root"}


def test_exchange_open_interest_is_the_markets(world, provider):
    records = provider.open_interest(NVDA, session_date=WEDNESDAY)
    believed(records)
    truth = world.chain("NVDA", datetime(2026, 9, 16, 13, 30, tzinfo=UTC))
    total = pc.sum(truth["open_interest_contracts"]).as_py()
    assert pc.sum(records.rows["open_interest_contracts"]).as_py() == total
    assert records.is_complete
    assert records.findings == ()


@pytest.mark.parametrize("day", [WEDNESDAY, date(2026, 9, 12), date(2026, 9, 7), date(2024, 9, 3)])
def test_exchange_has_no_volume_today_on_holidays_and_beyond_two_years(world, provider, day):
    with pytest.raises(NoDataError, match="two years"):
        provider.account_volume(NVDA, session_date=day)


@pytest.mark.parametrize("fault", ["503", "429", "html", "cut", "refused"])
def test_exchange_bad_answers_are_asked_for_again(world, provider, fault):
    world.faults.arm(f"occ_{fault}")
    assert provider.account_volume(NVDA, session_date=date(2026, 9, 15)).rows.num_rows > 0
    assert len(world.faults.taken) == 1


def test_exchange_volume_of_another_day_is_not_taken(world, provider):
    world.faults.arm("occ_shifted_day", times=None)
    with pytest.raises(GarbledAnswerError, match="found that of"):
        provider.account_volume(NVDA, session_date=date(2026, 9, 15))


def test_exchange_figures_of_tomorrow_are_not_taken_for_today(world, provider):
    world.faults.arm("occ_early_open_interest", times=None)
    with pytest.raises(NoDataError, match="a session after it"):
        provider.open_interest(underlying("SPY"), session_date=WEDNESDAY)


def test_probe_tells_the_latest_count_without_raising(world, provider):
    (probe,) = provider.probe(NVDA, now=MORNING)
    assert probe.is_entitled
    assert probe.data_at == datetime(2026, 9, 15, 20, 0, tzinfo=UTC)
    world.faults.arm("occ_403")
    (refused,) = provider.probe(NVDA, now=MORNING)
    assert (refused.is_reachable, refused.is_entitled) == (True, False)
