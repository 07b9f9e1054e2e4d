"""The vendor "L3" end-of-day CSV."""

import gzip
from contextlib import suppress
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets.errors import BadInputError
from dealer_assets.providers import csv_fields, eod_l3
from dealer_assets.providers.assembly import assemble

"""15,924 rows take 0.15 s on a quiet core; the rest is room for a busy machine."""

HEADER = (
    "underlying,underlying_last, exchange,optionroot,optionext,type,expiration,quotedate,strike,"
    "last,bid,ask,volume,openinterest,impliedvol,delta,gamma,theta,vega,optionalias,IVBid,IVAsk"
)


def row(symbol="SPXW240430C05000000", **changes):
    cells = {
        "underlying": "SPXW",
        "underlying_last": "5070.5",
        "exchange": "W",
        "optionroot": symbol,
        "optionext": "",
        "type": "call",
        "expiration": "04/30/2024",
        "quotedate": "4/23/2024 04:00:00 PM",
        "strike": "5000",
        "last": "90.5",
        "bid": "90.1",
        "ask": "91.2",
        "volume": "7",
        "openinterest": "120",
        "impliedvol": "0.15",
        "delta": "0.7",
        "gamma": "0.002",
        "theta": "-1",
        "vega": "2",
    }
    return ",".join((cells | changes).values())


def parse(*rows, header=HEADER, end="\n"):
    payload = end.join([header, *(rows or [row()])]) + end
    return eod_l3.parse(payload.encode(), name="day.csv", sha256="0" * 64)


def test_parse_reads_quotedate_as_new_york_time_of_the_quotes():
    (raw,) = parse()
    assert raw.quoted_at == datetime(2024, 4, 23, 20, 0, tzinfo=UTC)
    assert raw.downloaded_at is None


def test_parse_reads_a_winter_stamp_without_seconds():
    (raw,) = parse(row(quotedate="1/9/2024 4:15 PM"))
    assert raw.quoted_at == datetime(2024, 1, 9, 21, 15, tzinfo=UTC)


def test_parse_keeps_every_value_of_a_row_shorter_than_the_header():
    (raw,) = parse(row(), row("SPXW240430P05000000", type="put", bid="0", last="0", volume=""))
    assert list(raw.symbols) == ["SPXW240430C05000000", "SPXW240430P05000000"]
    np.testing.assert_array_equal(raw.floats["bid"], [90.1, 0.0])
    np.testing.assert_array_equal(raw.floats["ask"], [91.2, 91.2])
    np.testing.assert_array_equal(raw.floats["last_price"], [90.5, np.nan])
    np.testing.assert_array_equal(raw.floats["volume_contracts"], [7.0, np.nan])
    np.testing.assert_array_equal(raw.floats["open_interest_contracts"], [120.0, 120.0])
    np.testing.assert_array_equal(raw.floats["vendor_implied_vol"], [0.15, 0.15])
    assert raw.spot == 5070.5
    assert raw.declared_expiries == [date(2024, 4, 30)] * 2
    assert raw.row_numbers.tolist() == [2, 3]
    assert raw.raw_texts[0] == row()


def test_parse_counts_lines_over_blank_ones_and_survives_windows_line_ends():
    (raw,) = parse(row(), "", row("SPXW240430C05005000"), end="\r\n")
    assert raw.row_numbers.tolist() == [2, 4]
    assert raw.raw_texts[1] == row("SPXW240430C05005000")


@pytest.mark.parametrize(
    ("printed", "claimed"), [("SPXW", "SPX"), ("SPX", "SPX"), ("spy", "SPY"), ("GOOG", "GOOG")]
)
def test_parse_takes_a_root_in_the_underlying_column_for_its_underlying(printed, claimed):
    (raw,) = parse(row(underlying=printed))
    assert raw.claimed_underlying == claimed


def test_parse_accepts_two_roots_of_one_underlying():
    (raw,) = parse(row(underlying="SPX"), row(underlying="SPXW"))
    assert raw.claimed_underlying == "SPX"


def test_parse_leaves_an_impossible_spot_unknown():
    (raw,) = parse(row(underlying_last="0"))
    assert raw.spot is None


def test_parse_tolerates_an_unknown_column_and_full_rows():
    (raw,) = parse(row() + ",,,,new", header=HEADER + ",surprise")
    assert len(raw.symbols) == 1


@pytest.mark.parametrize("column", ["optionroot", "bid", "openinterest", "quotedate"])
def test_parse_refuses_a_missing_column_by_name(column):
    with pytest.raises(BadInputError, match=f"day.csv.*'{column}'"):
        parse(header=HEADER.replace(column, "other"))


BROKEN = {
    "no rows": ([""], "found none"),
    "text for a number": ([row(), row(bid="n/a")], "'bid' on line 3"),
    "infinite": ([row(ask="inf")], "'ask' on line 2"),
    "two quote dates": ([row(), row(quotedate="4/24/2024 04:00:00 PM")], "'quotedate'"),
    "two underlyings": ([row(), row(underlying="NDX")], "'underlying'"),
    "unreadable quote date": ([row(quotedate="yesterday")], "'quotedate'"),
    "31 April": ([row(quotedate="4/31/2024 04:00:00 PM")], "'quotedate'"),
    "unreadable expiry": ([row(expiration="30/04/2024")], "'expiration'"),
    "cut-off row": ([row(), row()[:70]], "on line 3"),
    "all rows cut off": ([row()[:70]], "values a row"),
    "open quotation mark": ([row(), '"' + row(), row()], "quotation mark"),
}


@pytest.mark.parametrize(("rows", "named"), BROKEN.values(), ids=BROKEN.keys())
def test_parse_refuses_broken_rows_naming_file_and_column(rows, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        parse(*rows)
    assert "day.csv" in str(refusal.value)


@pytest.mark.parametrize(
    ("payload", "named"),
    [(b"", "empty"), (b"\n\n", "empty"), (b" <html>", "HTML"), (b"a\xff", "UTF-8")],
)
def test_parse_refuses_what_is_no_csv(payload, named):
    with pytest.raises(BadInputError, match=named):
        eod_l3.parse(payload, name="day.csv", sha256="")


def test_sniff_goes_by_the_header_line_only():
    assert eod_l3.sniff(HEADER.encode() + b"\nSPX", "x")
    assert not eod_l3.sniff(b"a,b\n" + HEADER.encode(), "x")


def test_new_york_to_utc_takes_the_repeated_autumn_hour_as_the_first():
    local = np.array(["2026-11-01T01:30:00", "2026-11-01T03:00:00", "NaT"], dtype="datetime64[us]")
    expected = np.array(
        ["2026-11-01T05:30:00", "2026-11-01T08:00:00", "NaT"], dtype="datetime64[us]"
    )
    np.testing.assert_array_equal(csv_fields.new_york_to_utc(local), expected)


@pytest.mark.parametrize(("root", "rows"), [("SPX", 7080), ("SPXW", 15_924)])
def test_parse_reads_the_recorded_chains(shared_data, root, rows):
    payload = gzip.decompress((shared_data / "eod_l3" / f"L3_{root}_20240423.csv.gz").read_bytes())
    assert eod_l3.sniff(payload[:4096], "")
    (raw,) = eod_l3.parse(payload, name=f"L3_{root}.csv", sha256="")
    assert len(raw.symbols) == rows
    assert raw.claimed_underlying == "SPX"
    assert raw.spot == pytest.approx(5070.47, abs=0.01)
    assert raw.quoted_at == datetime(2024, 4, 23, 20, 0, tzinfo=UTC)
    assert np.isfinite(raw.floats["open_interest_contracts"]).all()


def test_recorded_daily_chain_assembles_to_its_quote_date(shared_data):
    payload = gzip.decompress((shared_data / "eod_l3" / "L3_SPXW_20240423.csv.gz").read_bytes())
    (raw,) = eod_l3.parse(payload, name="L3_SPXW_20240423.csv.gz", sha256="")
    snapshot = assemble(raw)
    assert (snapshot.underlying, snapshot.session_date) == ("SPX", date(2024, 4, 23))
    assert snapshot.event_at == datetime(2024, 4, 23, 20, 0, tzinfo=UTC)
    assert (snapshot.rows.num_rows, snapshot.rejected.num_rows) == (15_924, 0)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_parse_of_random_bytes_raises_nothing_but_bad_input(payload):
    with pytest.raises(BadInputError):
        eod_l3.parse(payload, name="day.csv", sha256="")


@settings(max_examples=300, deadline=None)
@given(
    column=st.sampled_from(HEADER.replace(" ", "").split(",")[:19]),
    cell=st.text(max_size=12) | st.floats().map(str) | st.integers().map(str),
)
def test_parse_of_a_mutated_cell_raises_nothing_but_bad_input(column, cell):
    found = []
    with suppress(BadInputError):
        found = parse(row(), row(**{column: cell}))
    assert all(len(raw.symbols) == 2 for raw in found)
