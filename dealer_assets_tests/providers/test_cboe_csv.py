"""Cboe's CSV: layouts, header dates in many locales, refusals. All quotes are made up."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from dealer_assets.errors import BadInputError
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.cboe_csv import parse, sniff
from dealer_assets.providers.cboe_header import read_header, read_header_instant

HALF = "Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
HEADING = f"Expiration Date,Calls,{HALF},Strike,Puts,{HALF}"
NAME_LINE = "SPDR S&P 500 ETF Trust,Last: 100.5,Change:  -1.25"
DATE_LINE = '"Date: May 10, 2023 at 5:39 PM EDT",Bid: 100.4,Ask: 100.6,Size: 1*1,"Volume: 1,234"'
CALL_CELLS = "2.5,0.1,2.4,2.6,11,0.21,0.51,0.05,21"
PUT_CELLS = "1.5,0.2,1.4,1.6,12,0.22,-0.49,0.06,22"


def line(day=date(2023, 5, 12), strike=100, *, root="SPY", shown=None):
    mills = f"{round(strike * 1000):08d}"
    shown = shown or f"{day:%a %b %d %Y}"
    call, put = (f"{root}{day:%y%m%d}{letter}{mills}" for letter in "CP")
    return f"{shown},{call},{CALL_CELLS},{strike:.2f},{put},{PUT_CELLS}"


def csv_bytes(*lines, above=("", NAME_LINE, DATE_LINE), heading=HEADING, end="\n"):
    return end.join([*above, heading, *(lines or (line(),)), ""]).encode()


def parsed(payload, name="SPY_quotes.csv"):
    (raw,) = parse(payload, name=name, sha256="f" * 64)
    return raw


def notes(raw):
    return [code for code, _ in raw.notes]


def test_a_line_gives_a_call_and_a_put_with_their_own_cells():
    raw = parsed(csv_bytes(line(strike=100), line(strike=105)))

    assert list(raw.symbols) == [
        "SPY230512C00100000",
        "SPY230512P00100000",
        "SPY230512C00105000",
        "SPY230512P00105000",
    ]
    assert {name: values[:2].tolist() for name, values in raw.floats.items()} == {
        "last_price": [2.5, 1.5],
        "bid": [2.4, 1.4],
        "ask": [2.6, 1.6],
        "volume_contracts": [11, 12],
        "vendor_implied_vol": [0.21, 0.22],
        "vendor_delta": [0.51, -0.49],
        "vendor_gamma": [0.05, 0.06],
        "open_interest_contracts": [21, 22],
    }
    assert raw.row_numbers.tolist() == [1, 2, 3, 4]
    assert raw.raw_texts[2] == raw.raw_texts[3] == line(strike=105)
    assert list(raw.declared_expiries) == [date(2023, 5, 12)] * 4
    assert notes(raw) == []


def test_the_lines_above_give_name_spot_and_instant():
    raw = parsed(csv_bytes(), name="SPY_2023-05-10.csv")

    assert raw.header_name == "SPDR S&P 500 ETF Trust"
    assert raw.spot == 100.5
    assert raw.downloaded_at == datetime(2023, 5, 10, 21, 39, tzinfo=UTC)
    assert raw.named_date == date(2023, 5, 10)
    assert (raw.provider, raw.source_name, raw.source_sha256) == (
        "cboe_csv",
        "SPY_2023-05-10.csv",
        "f" * 64,
    )


@pytest.mark.parametrize(
    ("name_line", "name"),
    [
        (
            '"PowerShares QQQ Trust, Series 1 (ETF)",Last: 100.5',
            "PowerShares QQQ Trust, Series 1 (ETF)",
        ),
        ("Plain Fund, Series 1,Last: 100.5,Change: 0", "Plain Fund, Series 1"),
        ('"Stray quote Fund,Last: 100.5,Change: 0', "Stray quote Fund"),
        ("Index,Last: 100.5,Change: 1,,,,,,,,", "Index"),
        ('"Big Index","Last: 1,100.5",Change: 0', "Big Index"),
    ],
)
def test_the_name_survives_commas_and_stray_quotes(name_line, name):
    raw = parsed(csv_bytes(above=("", name_line, DATE_LINE)))

    assert raw.header_name == name
    assert raw.spot in (100.5, 1100.5)


@pytest.mark.parametrize(
    "payload",
    [
        csv_bytes(end="\r\n"),
        csv_bytes(end="\r"),
        b"\xef\xbb\xbf" + csv_bytes(),
        csv_bytes(above=(",,,,,,", NAME_LINE + ",,,", DATE_LINE + ",,,,,,")),
        csv_bytes(above=(NAME_LINE, DATE_LINE)),
        csv_bytes(line() + ",,,", ",,,,,", ""),
        csv_bytes(line().replace(",100.00,", ",100,")),
        csv_bytes(line().replace("2.4,2.6", " 2.4 ,2.6")),
        csv_bytes(line().replace(",11,", ',"11",')),
    ],
    ids=[
        "windows ends",
        "old mac ends",
        "byte order mark",
        "commas to the right",
        "no blank first line",
        "blank lines and trailing commas",
        "strike without decimals",
        "spaces in cells",
        "quoted cells",
    ],
)
def test_what_a_spreadsheet_does_to_the_form_changes_nothing(payload):
    raw, expected = parsed(payload), parsed(csv_bytes())

    assert list(raw.symbols) == list(expected.symbols)
    for name, values in expected.floats.items():
        assert raw.floats[name].tolist() == values.tolist()
    assert (raw.spot, raw.downloaded_at) == (expected.spot, expected.downloaded_at)
    assert notes(raw) == []


def test_columns_are_found_by_name_when_the_greeks_were_removed():
    half = "Last Sale,Net,Bid,Ask,Volume,Open Interest"
    heading = f"Expiration Date,Calls,{half},Strike,Puts,{half}"
    row = "Fri May 12 2023,SPY230512C00100000,1,0,2,3,4,5,100,SPY230512P00100000,6,0,7,8,9,10"
    raw = parsed(csv_bytes(row, heading=heading))

    assert raw.floats["bid"].tolist() == [2, 7]
    assert raw.floats["open_interest_contracts"].tolist() == [5, 10]
    assert "vendor_implied_vol" not in raw.floats


def test_a_lost_header_leaves_date_and_spot_open():
    raw = parsed(csv_bytes(above=()))

    assert (raw.header_name, raw.spot, raw.downloaded_at) == (None, None, None)
    assert len(raw.symbols) == 2


def test_a_banner_above_the_table_is_noted():
    raw = parsed(csv_bytes(above=("---Example Data---", NAME_LINE, DATE_LINE)))

    assert notes(raw) == ["unexpected_header_line"]
    assert "Example Data" in raw.notes[0][1]


@pytest.mark.parametrize("form", ["%d-%m-%y", "%m/%d/%Y", "%Y.%m.%d", "%d/%m/%Y"])
def test_dates_rewritten_by_a_spreadsheet_are_read_in_the_order_of_the_symbols(form):
    days = (date(2023, 5, 12), date(2023, 6, 7))
    raw = parsed(csv_bytes(*(line(day, shown=day.strftime(form)) for day in days)))

    assert list(raw.declared_expiries)[::2] == list(days)
    assert notes(raw) == ["expiry_dates_rewritten"]


def test_an_unreadable_expiry_cell_is_noted_and_not_guessed():
    raw = parsed(csv_bytes(line(shown="next Friday")))

    assert list(raw.declared_expiries) == [None, None]
    assert notes(raw) == ["expiry_dates_unreadable"]


def test_a_strike_column_that_contradicts_the_symbol_is_noted():
    raw = parsed(csv_bytes(line(), line(strike=105).replace(",105.00,", ",110.00,")))

    assert notes(raw) == ["strike_column_mismatch"]
    assert raw.symbols[2].endswith("00105000")


def test_blank_is_missing_text_is_garbled_and_grouped_digits_are_a_number():
    row = line().replace("2.4,2.6,11", ',n/a,"1,234"')
    raw = parsed(csv_bytes(row))

    assert np.isnan(raw.floats["bid"][0])
    assert np.isinf(raw.floats["ask"][0])
    assert raw.floats["volume_contracts"][0] == 1234


def test_a_line_cut_short_keeps_its_readable_half():
    raw = parsed(csv_bytes(line(), line(strike=105)[:60]))

    assert raw.symbols[2] == "SPY230512C00105000"
    assert raw.symbols[3] == ""


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "found nothing in it"),
        (b" \r\n\n", "found nothing in it"),
        (b"<!DOCTYPE html><html><body>Access denied</body></html>", "found a web page"),
        (b"\x00\x01\x02" * 50, "found binary data"),
        (bytes(range(1, 32)) * 9, "found binary data"),
        (f"{NAME_LINE}\n{DATE_LINE}\n{line()}\n".encode(), "expected a line of column names"),
        (HEADING.encode(), "expected option rows below the column names, found none"),
        (csv_bytes(",,,,"), "expected option rows below the column names, found none"),
        (csv_bytes(heading=HEADING.replace("Puts", "Other")), "expected a column 'Puts'"),
        (csv_bytes(heading=HEADING.replace("Bid", "Bud")), "found no bid right of 'calls'"),
        (csv_bytes(line(), '"' + line(), line()), "a stray quote joins lines"),
    ],
)
def test_a_defective_file_is_refused_with_its_name_and_the_defect(payload, message):
    with pytest.raises(BadInputError, match=message) as refusal:
        parse(payload, name="bad_quotes.csv", sha256="")

    assert "bad_quotes.csv" in str(refusal.value)


def test_two_underlyings_in_one_file_are_refused():
    with pytest.raises(BadInputError, match="options on QQQ, SPY"):
        assemble(parsed(csv_bytes(line(), line(root="QQQ"))))


@given(payload=st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_random_bytes_are_refused_and_nothing_else(payload):
    with pytest.raises(BadInputError):
        parse(payload, name="x.csv", sha256="")


@example(position=134, cut=1, inserted=b"")  # "xpiration Date": the column was looked up unseen
@given(
    position=st.integers(0, 900),
    cut=st.integers(0, 60),
    inserted=st.text(max_size=5).map(str.encode),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(position, cut, inserted):
    payload = csv_bytes(line(), line(strike=105), line(strike=110))
    damaged = payload[:position] + inserted + payload[position + cut :]
    refusal, rows = "", 0
    try:
        (raw,) = parse(damaged, name="SPY_2023-05-10.csv", sha256="")
        rows = assemble(raw).rows.num_rows
    except BadInputError as error:
        refusal = str(error)

    assert rows > 0 or refusal.startswith("SPY_2023-05-10.csv: ")


@pytest.mark.parametrize(
    ("head", "is_cboe"),
    [
        (csv_bytes(), True),
        (csv_bytes(above=()), True),
        (LONG_HEAD := b"Expiration Date,Bid,Ask,Open Interest,Strike,Type\n", True),
        (f"{NAME_LINE}\n{DATE_LINE}\n".encode(), True),
        (b"<html>Last: Date: </html", True),
        (b'{"timestamp": "2026-07-24", "data": {}}', False),
        (b"underlying,exchange,optionroot,strike,bid,ask\n", False),
        (b"", False),
    ],
)
def test_a_cboe_file_is_recognised_by_its_lines(head, is_cboe):
    assert sniff(head, "any.csv") is is_cboe


# ------------------------------------------------------------------ the long layout

LONG_HEADING = (
    "Expiration Date,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,Type,"
    "Index Spot"
)
STANDARD, ORDINARY = date(2025, 2, 21), date(2025, 2, 20)


def long_line(day, strike, right, *, middle=5.0, spot="100.0"):
    return f"{day},5,0,{middle - 0.1},{middle + 0.1},3,0.2,0.5,0.01,7,{strike},{right},{spot}"


def long_chain(*lines, name="SPX_2025-01-22.csv"):
    payload = "\n".join([LONG_HEADING, *lines]).encode()
    return parsed(payload, name=name)


def test_off_the_standard_expiries_rows_are_of_the_afternoon_root():
    raw = long_chain(long_line(ORDINARY, 100, "Call"), long_line(ORDINARY, 100, "Put"))

    assert list(raw.symbols) == ["SPXW250220C00100000", "SPXW250220P00100000"]
    assert raw.spot == 100.0
    assert notes(raw) == ["root_inferred"]


def test_on_a_standard_expiry_the_cheaper_first_of_two_is_of_the_morning_root():
    raw = long_chain(
        long_line(STANDARD, 100, "Call", middle=5.0),
        long_line(STANDARD, 100, "Call", middle=5.2),
        long_line(STANDARD, 100, "Put", middle=5.0),
        long_line(STANDARD, 100, "Put", middle=5.1),
        long_line(STANDARD, 140, "Put"),
    )

    assert [symbol[:4] for symbol in raw.symbols] == ["SPX2", "SPXW", "SPX2", "SPXW", "SPX2"]
    assert "dearer in 100%" in raw.notes[0][1]


def test_a_file_sorted_the_other_way_is_noticed_by_its_prices():
    raw = long_chain(
        long_line(STANDARD, 100, "Call", middle=5.2),
        long_line(STANDARD, 100, "Call", middle=5.0),
        long_line(STANDARD, 100, "Put", middle=5.1),
        long_line(STANDARD, 100, "Put", middle=5.0),
    )

    assert [symbol[:4] for symbol in raw.symbols] == ["SPXW", "SPX2", "SPXW", "SPX2"]
    assert "second taken as SPX" in raw.notes[0][1]


def test_a_standard_expiry_before_good_friday_is_the_thursday():
    raw = long_chain(long_line(date(2025, 4, 17), 100, "Call"))

    assert raw.symbols[0].startswith("SPX2504")


def test_an_underlying_with_one_root_needs_no_inference():
    raw = long_chain(long_line(STANDARD, 100, "C"), name="SPY_2025-01-22.csv")

    assert list(raw.symbols) == ["SPY250221C00100000"]
    assert notes(raw) == []


def test_unreadable_cells_of_the_long_layout_lose_their_symbol():
    raw = long_chain(
        long_line("soon", 100, "Call"),
        long_line(ORDINARY, "high", "Call"),
        long_line(ORDINARY, 100, "Both"),
        long_line(ORDINARY, 100, "Call"),
    )

    assert [bool(symbol) for symbol in raw.symbols] == [False, False, False, True]
    assert "expiry_dates_unreadable" in notes(raw)


def test_a_spot_that_varies_is_noted():
    raw = long_chain(*(long_line(ORDINARY, k, "Call", spot=f"{k}") for k in (99, 100, 102)))

    assert raw.spot == 100.0
    assert "spot_varies" in notes(raw)


@pytest.mark.parametrize(
    ("name", "heading", "message"),
    [
        ("quotes.csv", LONG_HEADING, "must be the first word of the file's name"),
        ("VIX_2025-01-22.csv", LONG_HEADING, "share a settlement rule"),
        ("SPX.csv", LONG_HEADING.replace("Bid", "Bud"), "missing:.*bid"),
    ],
)
def test_a_long_file_whose_roots_cannot_be_told_is_refused(name, heading, message):
    payload = f"{heading}\n{long_line(ORDINARY, 100, 'Call')}\n".encode()

    with pytest.raises(BadInputError, match=message):
        parse(payload, name=name, sha256="")


# ------------------------------------------------------------------ header dates

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre "
    "noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
    "dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
    "dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
}
FORMS = (
    "{month} {day}, {year} at {clock12} {zone}",
    "{day} {month} {year}, {clock24} {zone}",
    "{day} de {month} de {year}, {clock24} {zone}",
    "{day} {month}, {year} à {clock24} {zone}",
    "{day} {month} {year} г. в {clock24} {zone}",
    "{day}. {month} {year} um {clock24} {zone}",
    "{day} {month} {year},{clock12} {zone}",
    "{month} {day} {year},  {clock12} {zone}",
    "{clock24} {zone}, {day} {month} {year}",
)
ZONES = {"EST": -5, "EDT": -4, "UTC\u22124": -4, "GMT-4": -4, "GMT-5": -5, "UTC": 0, "PDT": -7}
ZONES |= {"GMT+2": 2, "UTC+5:30": 5.5}


@given(
    locale=st.sampled_from(sorted(MONTHS)),
    form=st.sampled_from(FORMS),
    zone=st.sampled_from(sorted(ZONES)),
    minutes=st.integers(0, 60 * 24 * 365 * 30),
    is_capital=st.booleans(),
)
def test_a_date_written_in_any_locale_is_read_back(locale, form, zone, minutes, is_capital):
    local = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    text = form.format(
        month=MONTHS[locale].split()[local.month - 1],
        day=local.day,
        year=local.year,
        clock12=f"{local.hour % 12 or 12}:{local:%M} {'PM' if local.hour >= 12 else 'AM'}",
        clock24=f"{local.hour}:{local:%M}",
        zone=zone,
    )
    found = read_header_instant(text.upper() if is_capital else text)

    assert found is not None
    assert found.astimezone(UTC) == local - timedelta(hours=ZONES[zone])


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("23 de marzo de 2022, 10:11 GMT-4", datetime(2022, 3, 23, 14, 11, tzinfo=UTC)),
        ("11 April, 2023 à 22:23 UTC−4", datetime(2023, 4, 12, 2, 23, tzinfo=UTC)),
        ("10 May 2023, at 3:10 PM EDT", datetime(2023, 5, 10, 19, 10, tzinfo=UTC)),
        ("24 September 2023,1:46 PM EDT", datetime(2023, 9, 24, 17, 46, tzinfo=UTC)),
        ("June 8, 2023 at 12:05 AM EDT", datetime(2023, 6, 8, 4, 5, tzinfo=UTC)),
        ("8 de junio de 2023, 7:56 p. m. GMT-4", datetime(2023, 6, 8, 23, 56, tzinfo=UTC)),
        ("2023-05-10 17:39:12 UTC", datetime(2023, 5, 10, 17, 39, 12, tzinfo=UTC)),
        ("25/12/2023, 10:00 GMT-5", datetime(2023, 12, 25, 15, 0, tzinfo=UTC)),
        ("12/25/2023, 10:00 AM EST", datetime(2023, 12, 25, 15, 0, tzinfo=UTC)),
    ],
)
def test_dates_as_found_in_files_are_read(text, instant):
    found = read_header_instant(text)

    assert found is not None
    assert found.astimezone(UTC) == instant


@pytest.mark.parametrize(
    "text",
    [
        "4 June 4, 3:15 PM EDT",
        "June 4, 3:15 PM EDT",
        "June 2023, 3:15 PM EDT",
        "4 June 2023",
        "04/06/2023, 10:00 AM EDT",
        "31 February 2023, 10:00 AM EDT",
        "4 June 2023, 25:00 EDT",
        "4 June 2023, 13:30 PM EDT",
        "4 June May 2023, 10:00 AM EDT",
        "4 June 2022 2023, 10:00 AM EDT",
        "yesterday",
        "",
    ],
)
def test_a_date_with_a_part_missing_or_ambiguous_is_unreadable_and_noted(text):
    header = read_header([NAME_LINE, f'"Date: {text}",Bid: 0,Ask: 0'])

    assert read_header_instant(text) is None
    assert header.downloaded_at is None
    assert [code for code, _ in header.notes] == ["header_date_unreadable"]


def test_a_date_without_a_known_zone_is_taken_as_new_york_and_noted():
    header = read_header(["Date: 4 June 2023, 3:15 PM,Bid: 0"])

    assert header.downloaded_at == datetime(2023, 6, 4, 19, 15, tzinfo=UTC)
    assert [code for code, _ in header.notes] == ["header_timezone_assumed"]


@given(st.text(max_size=60))
def test_any_text_in_place_of_a_date_is_read_or_unreadable(text):
    found = read_header_instant(text)

    assert found is None or found.year >= 2000


# ------------------------------------------------------------------ size


def test_twenty_thousand_contracts_parse_to_as_many_rows():
    first = date(2023, 5, 12)
    rows = [line(first + timedelta(days=7 * i), k) for i in range(50) for k in range(100, 300)]
    payload = csv_bytes(*rows)
    raw = parsed(payload)
    assert len(raw.symbols) == 20_000
