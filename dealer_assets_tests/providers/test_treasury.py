"""Treasury files: every recorded spelling is read, every damage refused by name."""

import gzip
from datetime import date

import numpy as np
import pytest

from dealer_assets.errors import BadInputError
from dealer_assets.providers.treasury import parse_par_yields

CSV = """Date,"1 Mo","1.5 Month","6 Mo","1 Yr","10 Yr","30 Yr"
10/02/2026,4.04,4.09,4.27,4.46,5.28,5.63
10/01/2026,4.06,,4.27,4.44,5.24,5.61
"""

XML = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"
      xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"
      xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
  <entry><content type="application/xml"><m:properties>
    <d:Id m:type="Edm.Int32">1</d:Id>
    <d:NEW_DATE m:type="Edm.DateTime">2026-10-01T00:00:00</d:NEW_DATE>
    <d:BC_1MONTH m:type="Edm.Double">4.06</d:BC_1MONTH>
    <d:BC_1_5MONTH m:null="true" />
    <d:BC_6MONTH m:type="Edm.Double">4.27</d:BC_6MONTH>
    <d:BC_1YEAR m:type="Edm.Double">4.44</d:BC_1YEAR>
    <d:BC_10YEAR m:type="Edm.Double">5.24</d:BC_10YEAR>
    <d:BC_30YEAR m:type="Edm.Double">5.61</d:BC_30YEAR>
    <d:BC_30YEARDISPLAY m:type="Edm.Double">5.61</d:BC_30YEARDISPLAY>
  </m:properties></content></entry>
  <entry><content type="application/xml"><m:properties>
    <d:NEW_DATE m:type="Edm.DateTime">2026-10-02T00:00:00</d:NEW_DATE>
    <d:BC_1MONTH m:type="Edm.Double">4.04</d:BC_1MONTH>
    <d:BC_1_5MONTH m:type="Edm.Double">4.09</d:BC_1_5MONTH>
    <d:BC_6MONTH m:type="Edm.Double">4.27</d:BC_6MONTH>
    <d:BC_1YEAR m:type="Edm.Double">4.46</d:BC_1YEAR>
    <d:BC_10YEAR m:type="Edm.Double">5.28</d:BC_10YEAR>
    <d:BC_30YEAR m:type="Edm.Double">5.63</d:BC_30YEAR>
  </m:properties></content></entry>
</feed>
"""


def parse(text, name="rates.csv"):
    return parse_par_yields(text if isinstance(text, bytes) else text.encode(), name=name)


def test_csv_becomes_curves_ascending_by_date():
    first, second = parse(CSV)
    assert (first.date, second.date) == (date(2026, 10, 1), date(2026, 10, 2))
    assert second.tenor_years.tolist() == [1 / 12, 0.125, 0.5, 1.0, 10.0, 30.0]
    assert second.par_yield.tolist() == pytest.approx(
        [0.0404, 0.0409, 0.0427, 0.0446, 0.0528, 0.0563]
    )
    assert second.zero_rate[2] == pytest.approx(2.0 * np.log1p(0.0427 / 2.0))
    assert first.tenor_years.tolist() == [1 / 12, 0.5, 1.0, 10.0, 30.0]


def test_xml_feed_says_the_same_as_the_csv():
    for a, b in zip(parse(CSV), parse(XML, "feed.xml"), strict=True):
        assert a.date == b.date
        np.testing.assert_array_equal(a.tenor_years, b.tenor_years)
        np.testing.assert_allclose(a.zero_rate, b.zero_rate, rtol=1e-14)


@pytest.mark.parametrize("day", ["2026-10-02", "10/2/2026", "10/02/2026"])
@pytest.mark.parametrize("tenor", ["1 Yr", "1_YR", "1 yr", "1 Year", "12 Mo"])
def test_spellings_of_dates_and_tenors(day, tenor):
    (curve,) = parse(f"date,{tenor},10 Yr,Remark\n{day},4.46,5.28,final\n")
    assert curve.date == date(2026, 10, 2)
    assert curve.tenor_years.tolist() == [1.0, 10.0]


def test_gaps_are_no_yields():
    (curve,) = parse("Date,1 Mo,2 Mo,1 Yr,10 Yr,30 Yr\n5/2/2005,N/A,.,3.3,4.2,0\n5/30/2005,,,,,\n")
    assert curve.date == date(2005, 5, 2)
    assert curve.tenor_years.tolist() == [1.0, 10.0]


def test_zero_yield_of_a_bill_is_a_yield():
    (curve,) = parse("Date,1 Mo,10 Yr\n6/3/2021,0,1.63\n")
    assert curve.zero_rate[0] == 0.0


def test_byte_order_mark_and_windows_line_ends_are_tolerated():
    assert len(parse(b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode())) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "header and rows"),
        ("Date,1 Mo\n", "header and rows"),
        ("observation_date,DGS2\n2026-08-21,4.19\n", "found observation_date, DGS2"),
        ("Date,PCREDIT8\n2003-01-09,2.25\n", "found Date, PCREDIT8"),
        ("Date,1 Mo,1_MO\n1/2/2026,4,4\n", "every tenor once"),
        ("Date,1 Mo,1 Yr\n1/2/2026,4,4\n1/3/2026,4\n", "3 cells in every row"),
        ("Date,1 Mo\n1/2/2026,four\n", "number in 1 Mo"),
        ("Date,1 Mo\n1/2/2026,inf\n", "found inf"),
        ("Date,1 Mo\n1/2/2026,400\n", "found 400"),
        ("Date,1 Mo\n13/2/2026,4\n", "month/day/year"),
        ("Date,1 Mo\nyesterday,4\n", "YYYY-MM-DD"),
        ("Date,1 Mo\n1/2/2026,4\n1/2/2026,4\n", "2026-01-02 twice"),
        ("Date,1 Mo\n1/2/2026,\n", "at least one day"),
        ("Date,1 Mo,10 Yr\n1/2/2026,0.04,0.05\n", "decimals"),
        (b"\xff\xfe\x00", "CSV text"),
        (gzip.compress(CSV.encode(), mtime=0), "gzip"),
        ("<html><body>no</body></html>", "header and rows"),
        (XML[:-200], "damage"),
        (XML.replace("NEW_DATE", "DAY"), "NEW_DATE"),
        (XML.replace("BC_", "TC_"), "BC_10YEAR"),
        (XML.replace("4.44", "much"), "BC_1YEAR"),
        (XML.replace("2026-10-01T00:00:00", "soon"), "NEW_DATE as"),
        (XML.replace("<feed", '<!DOCTYPE x [<!ENTITY a "b">]><feed'), "document type"),
    ],
)
def test_damage_is_refused_and_named(text, words):
    with pytest.raises(BadInputError, match=words) as caught:
        parse(text, "given.csv")
    assert str(caught.value).startswith("given.csv: ")


RECORDED = {
    "us_treasury_par_yields_1990-2023-10-20.csv.gz": (8458, "1990-01-02", "2023-10-20", 13),
    "us_treasury_par_yields_2024-01-02_2024-09-30.csv": (188, "2024-01-02", "2024-09-30", 13),
    "us_treasury_par_yields_2025-01-02_2026-02-27.csv": (288, "2025-01-02", "2026-02-27", 12),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_files_are_read_whole(name, shared_data):
    payload = (shared_data / "reference" / "rates" / name).read_bytes()
    payload = gzip.decompress(payload) if name.endswith("gz") else payload
    curves = parse(payload, name)
    count, first, last, tenors = RECORDED[name]
    assert len(curves) == count
    assert (str(curves[0].date), str(curves[-1].date)) == (first, last)
    assert curves[-1].tenor_years.size == tenors
    worst = max(np.abs(curve.zero_rate - curve.par_yield).max() for curve in curves)
    assert worst < 0.02


def test_recorded_sample_of_this_year_has_all_tenors(shared_samples):
    payload = (shared_samples / "rates" / "treasury_par_yield_2026.csv").read_bytes()
    curves = parse(payload)
    assert len(curves) == 3
    assert curves[-1].tenor_years.size == 14


@pytest.mark.parametrize("name", ["fred_graph_multi.csv", "nyfed_effr_search_shape.json"])
def test_samples_of_others_are_refused(name, shared_samples):
    with pytest.raises(BadInputError, match=name):
        parse((shared_samples / "rates" / name).read_bytes(), name)
