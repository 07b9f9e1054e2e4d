"""Rates: the New York Fed, FRED and the Treasury, as files and live, and who stands in for whom."""

import json
import logging
from datetime import UTC, date, datetime
from hashlib import sha256

import httpx
import numpy as np
import pyarrow.compute as pc
import pytest
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.errors import BadInputError, ProviderError, ProviderUnavailableError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers import reference_rates
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.rate_sources import RateSources
from dealer_assets.providers.rates_live import RatesProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import KEY, World

SPX = underlying("SPX")


def parse_all(payload, name="rates"):
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert reference_rates.sniff(payload[:4096], name)
    found = reference_rates.parse(payload, name=name, sha256=sha256(payload).hexdigest())
    for records in found:
        for day in pc.unique(records.rows["session_date"]):
            same = records.rows.filter(pc.equal(records.rows["session_date"], day))
            conform(tables.REFERENCE_RATES, same, underlying="USD", session_date=day.as_py())
        conform(tables.REJECTED_ROWS, records.rejected)
    return found


def parse(payload, name="rates"):
    (records,) = parse_all(payload, name)
    return records


def codes(found):
    return [finding.code for finding in found]


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


# --- the New York Fed --------------------------------------------------------------------------


def fixing(day="2025-01-03", **changes):
    row = {
        "effectiveDate": day,
        "type": "SOFR",
        "percentRate": 4.31,
        "volumeInBillions": 2295,
        "revisionIndicator": "",
    }
    return row | changes


def fixings(*rows):
    return {"refRates": list(rows)}


def test_recorded_fixing_is_a_decimal_with_its_volume_and_publication(shared_samples):
    payload = (shared_samples / "rates" / "nyfed_effr_search_shape.json").read_bytes()
    records = parse(payload, "effr.json")
    assert records.rows.to_pylist() == [
        {
            "underlying": "USD",
            "session_date": date(2025, 1, 3),
            "event_at": utc(2025, 1, 3, 23, 0),
            "known_at": utc(2025, 1, 6, 14, 0),  # Monday, 09:00 New York
            "provider": "nyfed_json",
            "source_name": "effr.json",
            "series": "EFFR",
            "rate": 0.0433,
            "is_revised": False,
            "volume_usd": 2015e9,
        }
    ]


@pytest.mark.parametrize(
    ("day", "series", "revision", "known_at"),
    [
        ("2025-01-03", "SOFR", "", utc(2025, 1, 6, 13, 0)),
        ("2025-01-03", "EFFR", "", utc(2025, 1, 6, 14, 0)),
        ("2025-01-03", "SOFR", "[r]", utc(2025, 1, 6, 19, 30)),
        ("2025-07-03", "SOFR", "", utc(2025, 7, 7, 12, 0)),  # over Independence Day
        ("2025-10-10", "SOFR", "", utc(2025, 10, 14, 12, 0)),  # banks rest on Columbus Day
        ("2025-11-10", "SOFR", "", utc(2025, 11, 12, 13, 0)),  # and on Veterans Day
    ],
)
def test_a_fixing_is_known_on_the_next_business_day(day, series, revision, known_at):
    row = fixing(day, type=series, revisionIndicator=revision)
    (found,) = parse(fixings(row)).rows.to_pylist()
    assert found["known_at"] == known_at
    assert found["is_revised"] == bool(revision)


def test_averages_among_fixings_are_left_out_and_counted():
    average = {"effectiveDate": "2025-01-03", "type": "SOFRAI", "average30day": 4.4, "index": 1.2}
    records = parse(fixings(fixing(), average, fixing(type="BGCR")))
    assert records.rows["series"].to_pylist() == ["BGCR", "SOFR"]
    assert codes(records.findings) == ["not_a_fixing"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"percentRate": "NA"}, "not_a_number"),
        ({"percentRate": 431.0}, "impossible_rate"),
        ({}, "duplicate_value"),
    ],
)
def test_fixings_that_cannot_be_believed_are_quarantined(changes, reason):
    records = parse(fixings(fixing(), fixing(**changes) if changes else fixing(percentRate=9.9)))
    assert records.rows.num_rows == 1
    assert records.rejected["reason"].to_pylist() == [reason]
    assert records.rejected["row_number"].to_pylist() == [2]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"refRates": 5}, "expected list"),
        ({"refRates": [5]}, "expected objects"),
        (fixings({"percentRate": 4.0}), "'type'"),
        (fixings(fixing("3 January")), "YYYY-MM-DD"),
        (b'{"refRates": [', "cut-off"),
    ],
)
def test_broken_fixings_are_refused(payload, words):
    with pytest.raises(BadInputError, match=words):
        parse(payload)


# --- FRED --------------------------------------------------------------------------------------


def test_recorded_graph_has_a_row_for_each_value_and_none_for_a_dot(shared_samples):
    payload = (shared_samples / "rates" / "fred_graph_multi.csv").read_bytes()
    found = [
        (row["series"], row["session_date"], row["rate"], row["known_at"])
        for row in parse(payload, "fred.csv").rows.to_pylist()
    ]
    friday, tuesday = date(2026, 8, 21), date(2026, 8, 25)
    on_monday, on_wednesday = utc(2026, 8, 24, 22, 0), utc(2026, 8, 26, 22, 0)
    assert found == [
        ("DGS10", friday, 0.046, on_monday),
        ("DGS10", tuesday, 0.0464, on_wednesday),
        ("DGS2", friday, 0.0419, on_monday),
        ("DGS2", tuesday, 0.0417, on_wednesday),
        ("DGS30", friday, 0.0513, on_monday),
        ("DGS30", tuesday, 0.0517, on_wednesday),
    ]


def test_older_downloads_and_blanks_and_other_series_are_read():
    records = parse(b"DATE,DGS1MO,VIXCLS\n2020-01-02,1.53,12.47\n2020-01-03,,14.02\n")
    assert records.rows["rate"].to_pylist() == [0.0153]
    assert codes(records.findings) == ["not_a_rate"]
    assert "VIXCLS" in records.findings[0].text


def test_recorded_policy_rate_of_a_public_sample_is_read(shared_data):
    path = shared_data / "reference" / "rates" / "lean_usa_primary_credit_rate.csv"
    records = parse(path.read_bytes(), path.name)
    assert records.rows["rate"][0].as_py() == 0.0225
    assert records.rows["session_date"][0].as_py() == date(2003, 1, 9)


def test_sniff_leaves_other_files_alone(shared_samples):
    treasury = (shared_samples / "rates" / "treasury_par_yield_2026.csv").read_bytes()
    for head in (treasury, b"DATE,OPEN,HIGH\n", b"DATE,VIXCLS\n", b'{"data": 1}', b""):
        assert not reference_rates.sniff(head[:4096], "x")


def observations(*values, first="2026-08-24", last="2026-08-24"):
    rows = [
        {"realtime_start": start, "realtime_end": last, "date": day, "value": value}
        for start, day, value in values
    ]
    return {"realtime_start": first, "realtime_end": last, "observations": rows}


def test_values_as_of_a_day_are_known_at_the_usual_hour_not_at_that_day():
    content = observations(("2026-08-24", "2020-01-02", "1.53"), ("2026-08-24", "2020-01-03", "."))
    records = parse(content, "DGS1MO_observations.json")
    (row,) = records.rows.to_pylist()
    assert (row["series"], row["rate"]) == ("DGS1MO", 0.0153)
    assert row["known_at"] == utc(2020, 1, 3, 23, 0)


def test_each_vintage_has_its_own_instant_and_its_own_batch():
    content = observations(
        ("2026-08-27", "2026-08-20", "4.20"),  # not in order
        ("2026-08-21", "2026-08-20", "4.19"),
        ("2026-08-24", "2026-08-21", "4.30"),
        first="2026-08-20",
        last="9999-12-31",
    )
    first, second = parse_all(content, "fred DGS2.json")
    assert first.rows["rate"].to_pylist() == [0.0419, 0.043]
    assert first.rows["known_at"].to_pylist() == [utc(2026, 8, 21, 22), utc(2026, 8, 24, 22)]
    assert first.rows["is_revised"].to_pylist() == [False, False]
    (revised,) = second.rows.to_pylist()
    assert (revised["rate"], revised["known_at"]) == (0.042, utc(2026, 8, 27, 22))
    assert revised["is_revised"]
    assert first.source_sha256 != second.source_sha256


def test_observations_need_the_series_in_the_name():
    with pytest.raises(BadInputError, match="series in the file's name"):
        parse(observations(), "observations.json")


# --- the provider ------------------------------------------------------------------------------

CURVES_2026 = b'Date,"1 Mo","3 Mo","10 Yr"\n01/05/2026,4.10,4.20,5.10\n01/02/2026,4.00,4.10,5.00\n'
CURVES_2025 = b"Date,1 Mo,3 Mo,10 Yr\n12/31/2025,3.90,4.00,4.90\n12/30/2025,3.80,3.90,4.80\n"
FEED = b"""<?xml version="1.0"?><feed xmlns:m="m" xmlns:d="d"><entry><title></title><content>
<m:properties><d:NEW_DATE>2026-01-02T00:00:00</d:NEW_DATE><d:BC_1MONTH>4.00</d:BC_1MONTH>
<d:BC_10YEAR>5.00</d:BC_10YEAR></m:properties></content></entry></feed>"""
GRAPH = (
    b"observation_date,DGS1MO,DGS10\n2026-01-01,.,.\n2026-01-02,4.00,5.00\n2019-01-02,2.40,2.66\n"
)
SECRET = "abcdefghijklmnopqrstuvwxyz123456"


class Publishers:
    """Answers by a part of the address; a function gets the request."""

    def __init__(self, answers, *, key=None, fred_series=()):
        self.answers, self.requests, self.pauses = answers, [], []
        sources = RateSources(
            patience=Patience(attempts=2, sleep=self.pauses.append),
            fred_api_key=key and SecretStr(key),
            transport=httpx.MockTransport(self),
        )
        self.provider = RatesProvider(sources, fred_series=fred_series)

    def __call__(self, request):
        self.requests.append(request)
        url = str(request.url)
        answer = next((a for part, a in self.answers.items() if part in url), httpx.Response(503))
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):
            return httpx.Response(200, json=answer)
        return httpx.Response(200, content=answer) if isinstance(answer, bytes) else answer


def test_curves_over_new_year_take_two_files():
    publishers = Publishers({"csv/2025": CURVES_2025, "csv/2026": CURVES_2026})
    curves, findings = publishers.provider.treasury_curves(date(2025, 12, 31), date(2026, 1, 2))
    assert [curve.date for curve in curves] == [date(2025, 12, 31), date(2026, 1, 2)]
    np.testing.assert_allclose(curves[1].par_yield, [0.04, 0.041, 0.05])
    np.testing.assert_allclose(curves[1].tenor_years, [1 / 12, 0.25, 10.0])
    assert findings == ()
    assert [request.url.path.split("/")[-2] for request in publishers.requests] == ["2025", "2026"]
    assert publishers.requests[0].url.params["field_tdr_date_value"] == "2025"


def test_a_year_without_curves_yet_is_empty_not_a_failure():
    publishers = Publishers({"csv/2026": b'Date,"1 Mo"\n', "csv/2025": CURVES_2025})
    curves, findings = publishers.provider.treasury_curves(date(2025, 12, 31), date(2026, 1, 1))
    assert [curve.date for curve in curves] == [date(2025, 12, 31)]
    assert findings == ()


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(503),
        httpx.Response(200, text="<!DOCTYPE html><html></html>"),
        CURVES_2026[:-30],
        b"",
        httpx.ReadTimeout("slow"),
    ],
    ids=["503", "page", "cut", "empty", "timeout"],
)
def test_the_feed_stands_in_for_the_treasurys_csv_and_it_is_said(failure):
    publishers = Publishers({".csv/2026": failure, "pages/xml": FEED})
    curves, (finding,) = publishers.provider.treasury_curves(date(2026, 1, 1), date(2026, 1, 9))
    assert [curve.date for curve in curves] == [date(2026, 1, 2)]
    assert finding.code == "treasury_fallback"
    assert "curves of 2026 come from the Treasury's XML feed: Treasury" in finding.text
    assert len(publishers.pauses) == 1  # the CSV was asked for twice


def test_fred_stands_in_for_both_within_the_range_even_if_it_ignores_it():
    publishers = Publishers({"fredgraph": GRAPH})
    curves, (finding,) = publishers.provider.treasury_curves(date(2026, 1, 1), date(2026, 1, 9))
    assert [curve.date for curve in curves] == [date(2026, 1, 2)]
    np.testing.assert_allclose(curves[0].par_yield, [0.04, 0.05])
    assert "from FRED's copy" in finding.text
    asked = publishers.requests[-1].url.params
    assert (asked["cosd"], asked["coed"]) == ("2026-01-01", "2026-01-09")
    assert asked["id"].startswith("DGS1MO,DGS3MO,DGS6MO,DGS1,DGS2")


def test_when_nobody_has_the_curves_all_three_are_named():
    with pytest.raises(ProviderUnavailableError, match=r"Treasury answered.*pages/xml.*FRED answ"):
        Publishers({}).provider.treasury_curves(date(2026, 1, 1), date(2026, 1, 9))
    refusing = Publishers({"": httpx.Response(403)})
    with pytest.raises(ProviderError) as raised:
        refusing.provider.treasury_curves(date(2026, 1, 1), date(2026, 1, 9))
    assert not isinstance(raised.value, ProviderUnavailableError)  # waiting will not help


def test_a_range_must_not_end_before_it_begins():
    with pytest.raises(BadInputError, match="after"):
        Publishers({}).provider.treasury_curves(date(2026, 1, 2), date(2026, 1, 1))


def dgs(value):
    return b"observation_date,DGS1MO\n2025-01-03,%s\n" % value


FIXINGS = {
    "/sofr/": fixings(fixing()),
    "/effr/": fixings(fixing(type="EFFR", percentRate=4.33)),
}
FRIDAY = date(2025, 1, 3)


def rates(answers, *, key=None, fred_series=("DGS1MO",), last=FRIDAY):
    publishers = Publishers(answers, key=key, fred_series=fred_series)
    return publishers, publishers.provider.rates(FRIDAY, last)


def test_rates_are_one_answer_of_several_publishers():
    publishers, records = rates(FIXINGS | {"fredgraph": dgs(b"4.44")})
    found = {row["series"]: row["rate"] for row in records.rows.to_pylist()}
    assert found == {"SOFR": 0.0431, "EFFR": 0.0433, "DGS1MO": 0.0444}
    assert set(records.rows["provider"].to_pylist()) == {"rates"}
    assert records.is_complete
    assert records.findings == ()
    assert dict(publishers.requests[0].url.params) == {
        "startDate": "2025-01-03",
        "endDate": "2025-01-03",
    }
    conform(tables.REFERENCE_RATES, records.rows, session_date=FRIDAY)


def test_fred_stands_in_for_the_new_york_fed():
    answers = {"id=SOFR": b"observation_date,SOFR\n2025-01-03,4.31\n"} | FIXINGS
    answers["/sofr/"] = httpx.Response(500)
    _, records = rates(answers | {"fredgraph": dgs(b"4.44")})
    assert codes(records.findings) == ["rates_fallback"]
    assert "SOFR come from FRED's copy" in records.findings[0].text
    assert records.is_complete


def test_what_nobody_has_is_missing_and_said():
    _, records = rates(dict(FIXINGS))
    assert codes(records.findings) == ["rates_unavailable"]
    assert not records.is_complete
    assert records.rows["series"].to_pylist() == ["EFFR", "SOFR"]
    with pytest.raises(ProviderUnavailableError, match="nobody answers for rates"):
        rates({})


def test_a_day_that_is_not_published_leaves_the_answer_open():
    _, records = rates(FIXINGS | {"fredgraph": dgs(b".")})
    assert codes(records.findings) == ["not_yet_published"]
    assert "no value of 2025-01-03 is out of DGS1MO" in records.findings[0].text
    assert not records.is_complete
    _, weekend = rates(FIXINGS | {"fredgraph": dgs(b"4.44")}, last=date(2025, 1, 5))
    assert weekend.is_complete


def test_asking_again_replaces_the_batch_but_keeps_what_was_before_a_revision():
    answers = FIXINGS | {"fredgraph": dgs(b"4.44")}
    _, first = rates(answers)
    _, again = rates(answers, last=date(2025, 1, 6))
    _, without_fred = rates(dict(FIXINGS))
    revised = fixings(fixing(percentRate=4.35, revisionIndicator="r"))
    _, corrected = rates(answers | {"/sofr/": revised})
    assert again.source_sha256 == first.source_sha256
    assert len({r.source_sha256 for r in (first, without_fred, corrected)}) == 3
    (row,) = corrected.rows.filter(pc.equal(corrected.rows["series"], "SOFR")).to_pylist()
    assert (row["is_revised"], row["known_at"]) == (True, utc(2025, 1, 6, 19, 30))


def test_a_key_is_sent_to_freds_api_and_shown_nowhere(caplog):
    caplog.set_level(logging.DEBUG)
    content = observations(("2026-08-24", "2025-01-03", "4.44"))
    publishers, records = rates(FIXINGS | {"/fred/series": content}, key=SECRET)
    (asked,) = (r for r in publishers.requests if r.url.path.startswith("/fred/"))
    assert asked.url.params["api_key"] == SECRET
    assert asked.url.params["series_id"] == "DGS1MO"
    assert records.rows["series"].to_pylist() == ["DGS1MO", "EFFR", "SOFR"]
    shown = caplog.text + repr(records) + repr(vars(publishers.provider))
    assert SECRET not in shown
    assert "series/observations" in caplog.text  # the request is logged, without it


@pytest.mark.parametrize(
    "failure",
    [
        lambda request: httpx.Response(400, text=f"bad key in {request.url}"),
        lambda request: httpx.ConnectError(f"cannot reach {request.url}", request=request),
        lambda request: httpx.Response(200, text=f"<html>{request.url}</html>"),
    ],
    ids=["refused", "down", "page"],
)
def test_no_message_shows_the_key_and_the_graph_stands_in(failure, caplog):
    caplog.set_level(logging.DEBUG)
    answers = FIXINGS | {"/fred/series": failure, "fredgraph": dgs(b"4.44")}
    _, records = rates(answers, key=SECRET)
    assert codes(records.findings) == ["rates_fallback"]
    assert SECRET not in caplog.text + repr(records)
    with pytest.raises(ProviderError) as raised:
        rates({"/fred/series": failure}, key=SECRET)
    assert SECRET not in str(raised.value)


def test_a_wrong_address_is_told_at_once():
    with pytest.raises(BadInputError, match="base URL of New York Fed"):
        RatesProvider(nyfed_url="localhost")


# --- against the exchange ----------------------------------------------------------------------

WEDNESDAY = utc(2026, 9, 16, 15, 0)


@pytest.fixture(scope="module")
def exchange():
    world = World(VirtualClock(WEDNESDAY))
    with running(world) as url:
        yield world, url


@pytest.fixture
def world(exchange):
    exchange[0].faults.clear()
    exchange[0].clock.set(WEDNESDAY)
    return exchange[0]


@pytest.fixture
def provider(exchange):
    return RatesProvider(sources_of(exchange[1]))


def sources_of(url, **settings):
    return RateSources(
        treasury_url=url,
        nyfed_url=url,
        fred_url=url,
        fred_api_url=url,
        patience=Patience(attempts=2, sleep=lambda _: None),
        **settings,
    )


def test_exchange_gives_the_same_curve_by_csv_feed_and_fred(world, provider):
    first, last = date(2026, 9, 8), date(2026, 9, 14)
    by_csv, none = provider.treasury_curves(first, last)
    world.faults.arm("rates_503", times=2, where="daily-treasury-rates.csv")
    by_feed, (feed,) = provider.treasury_curves(first, last)
    world.faults.arm("rates_503", times=None, where="interest-rates")
    by_fred, (fred,) = provider.treasury_curves(first, last)
    assert none == ()
    assert "XML" in feed.text
    assert "FRED" in fred.text
    assert len(by_csv) == len(by_feed) == len(by_fred) == 5
    for csv_curve, feed_curve, fred_curve in zip(by_csv, by_feed, by_fred, strict=True):
        np.testing.assert_array_equal(feed_curve.zero_rate, csv_curve.zero_rate)
        shared = np.isin(csv_curve.tenor_years, fred_curve.tenor_years)
        np.testing.assert_allclose(csv_curve.par_yield[shared], fred_curve.par_yield)


@pytest.mark.parametrize("fault", ["html", "empty", "truncated", "cut", "429", "500"])
def test_exchange_bad_answers_are_asked_for_again(world, provider, fault):
    world.faults.arm(f"rates_{fault}", where="daily-treasury-rates.csv")
    curves, findings = provider.treasury_curves(date(2026, 9, 14), date(2026, 9, 14))
    assert len(curves) == 1
    assert findings == ()
    assert len(world.faults.taken) == 1


def test_exchange_fixings_of_a_week_are_complete_once_published(world, provider):
    records = provider.rates(date(2026, 9, 8), date(2026, 9, 14))
    assert records.is_complete
    assert records.rows.num_rows == 4 * 5
    today = provider.rates(date(2026, 9, 8), date(2026, 9, 15))
    assert codes(today.findings) == ["not_yet_published"]  # FRED has the 15th in the afternoon
    assert all(
        row["known_at"] <= WEDNESDAY for row in today.rows.to_pylist() if "FR" in row["series"]
    )


def test_exchange_revision_is_marked_and_known_later(world, provider):
    world.faults.arm("rates_revised", times=None, where="sofr", date="2026-09-14")
    rows = provider.rates(date(2026, 9, 14), date(2026, 9, 14)).rows
    (sofr,) = rows.filter(pc.equal(rows["series"], "SOFR")).to_pylist()
    assert sofr["is_revised"]
    assert sofr["known_at"] == utc(2026, 9, 15, 18, 30)


def test_exchange_that_ignores_the_range_gives_the_range(world, provider):
    world.faults.arm("rates_fred_ignores_range", times=None)
    rows = provider.rates(date(2026, 9, 8), date(2026, 9, 9)).rows
    assert set(rows["session_date"].to_pylist()) == {date(2026, 9, 8), date(2026, 9, 9)}


def test_exchange_that_never_answers_is_given_up(world, exchange):
    provider = RatesProvider(sources_of(exchange[1], fred_seconds=0.1))
    world.faults.arm("rates_silent", times=None, where="/graph/", seconds=1)
    records = provider.rates(date(2026, 9, 14), date(2026, 9, 14))
    assert codes(records.findings) == ["rates_unavailable", "rates_unavailable"]
    assert records.rows["series"].to_pylist() == ["EFFR", "SOFR"]


def test_exchange_takes_the_key_and_logs_none(world, exchange):
    world.requests.clear()
    sources = sources_of(exchange[1], fred_api_key=SecretStr(KEY))
    records = RatesProvider(sources).rates(date(2026, 9, 14), date(2026, 9, 14))
    assert records.findings == ()
    assert records.rows["series"].to_pylist() == ["DGS1MO", "DGS3MO", "EFFR", "SOFR"]
    assert any(line.startswith("GET /fred/series/observations") for line in world.requests)


def test_probe_looks_at_each_publisher_without_raising(world, provider):
    world.faults.arm("rates_403", times=None, where="/api/rates/")
    treasury, nyfed, fred = provider.probe(SPX, now=WEDNESDAY)
    assert treasury.data_at == utc(2026, 9, 15, 22, 0)
    assert (nyfed.is_reachable, nyfed.is_entitled) == (True, False)
    assert fred.detail == "newest value of 2026-09-14"
