"""The Polygon provider against the test exchange: whole chains, and what it makes of each fault."""

import logging
import time
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.errors import (
    BadInputError,
    NoDataError,
    NotEntitledError,
    ProviderUnavailableError,
    RateLimitedError,
)
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import DELAYED_KEY, KEY, World

SPX, AAPL, BTC = underlying("SPX"), underlying("AAPL"), underlying("BTC")
NOON = datetime(2026, 8, 27, 16, 0, 30, tzinfo=UTC)
MINUTE = NOON.replace(second=0)
TODAY, YESTERDAY = date(2026, 8, 27), date(2026, 8, 26)
LATE = timedelta(minutes=15)
CHAIN, REFERENCE = "/v3/snapshot/options/", "/v3/reference/options/contracts"


@pytest.fixture(scope="module")
def exchange():
    world = World(VirtualClock(NOON), density=0.01)
    with running(world) as url:
        yield world, url


@pytest.fixture
def world(exchange):
    world, _ = exchange
    world.clock.set(NOON)
    world.faults.clear()
    world.requests.clear()
    return world


class Waits(list):
    """Pauses that were wanted and not taken."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def make(exchange, world, waits, monkeypatch):
    monkeypatch.setattr("dealer_assets.providers.polygon.provider.MOST_PER_SECOND", 1e4)
    monkeypatch.setattr("dealer_assets.providers.polygon.reference._WINDOW_DAYS", (0, 30))
    made = []

    def maker(key: str = KEY, *, attempts: int = 3, **options) -> PolygonProvider:
        options = {"clock": world.clock.now, "per_second": 1e4} | options
        patience = Patience(attempts=attempts, sleep=waits)
        provider = PolygonProvider(
            SecretStr(key), base_url=exchange[1], patience=patience, **options
        )
        made.append(provider)
        return provider

    yield maker
    for provider in made:
        provider.close()


def codes(found) -> list[str]:
    return [finding.code for finding in found.findings]


def text_of(found, code: str) -> str:
    return next(finding.text for finding in found.findings if finding.code == code)


# --- whole chains --------------------------------------------------------------------------------


def test_a_chain_is_whole_and_has_the_markets_numbers(world, make):
    found = make().snapshot(SPX, at=NOON)
    truth = world.chain("SPX")
    assert not found.is_partial
    assert found.findings == ()
    assert found.rejected.num_rows == 0
    assert (found.event_at, found.known_at, found.session_date) == (MINUTE, NOON, TODAY)
    assert found.provider == "polygon"
    assert found.source_name == "polygon SPX 2026-08-27T16:00Z"
    where = {"underlying": "SPX", "session_date": TODAY}
    assert conform(tables.CHAIN_SNAPSHOTS, found.rows, **where).num_rows == truth.num_rows
    same = ["symbol", "root", "expires_at", "strike", "right", "settlement", "multiplier"]
    same += ["bid_size_contracts", "ask_size_contracts", "open_interest_contracts", "exercise"]
    for name in same:
        assert found.rows[name].equals(truth[name].cast(found.rows[name].type)), name
    for name in ("bid", "ask", "last_price"):
        known = pc.is_valid(truth[name])  # the vendor shows last trades of days before too
        ours, theirs = (t[name].filter(known).to_numpy() for t in (found.rows, truth))
        np.testing.assert_allclose(ours, theirs, atol=1e-9, err_msg=name)
    assert found.rows["bid"].is_valid().equals(truth["bid"].is_valid())
    volume = found.rows["volume_contracts"].fill_null(0.0)
    assert volume.equals(truth["volume_contracts"].fill_null(0.0))
    assert set(found.rows["spot"].to_pylist()) == {world.spot("SPX")}
    assert set(found.rows["spot_source"].to_pylist()) == {"index"}


def test_a_tenth_of_the_contracts_has_no_greeks_and_the_others_the_markets(world, make):
    found, truth = make().snapshot(SPX, at=NOON).rows, world.chain("SPX")
    for name in ("vendor_implied_vol", "vendor_delta", "vendor_gamma"):
        known = pc.is_valid(found[name])
        assert found[name].filter(known).equals(truth[name].filter(known)), name
        assert 0.0 < 1.0 - pc.mean(known.cast(pa.float64())).as_py() < 0.5


def test_it_is_asked_in_pieces_that_touch_and_never_too_fast(world, make):
    world.rate_peaks.clear()
    world._recent.clear()  # what other tests asked for within this second
    make(per_second=90.0).snapshot(SPX, at=NOON)
    asked = [line for line in world.requests if CHAIN in line]
    first = [line for line in asked if "cursor=" not in line]
    expiries = world.chain("SPX")["expiry_date"].unique()
    assert len(first) == len(expiries)
    assert all(line.startswith(f"GET {CHAIN}I:SPX?") and "limit=250" in line for line in first)
    begins = {part[20:] for line in first for part in line.split("&") if "gte=" in part}
    ends = {part[19:] for line in first for part in line.split("&") if "date.lt=" in part}
    assert begins == ends
    assert len(begins) == len(expiries) - 1
    asked_bare = [line for line in world.requests if REFERENCE in line]
    assert all("underlying_ticker=SPX&" in line or "cursor=" in line for line in asked_bare)
    assert world.rate_peaks["polygon"] < 100


def test_todays_reference_is_asked_for_once_a_day(world, make):
    provider = make()
    for instant, is_asked in ((NOON, True), (NOON + timedelta(minutes=1), False)):
        world.requests.clear()
        world.clock.set(instant)
        provider.snapshot(AAPL, at=instant)
        assert any(REFERENCE in line for line in world.requests) is is_asked
    world.requests.clear()
    world.clock.set(NOON + timedelta(days=1))
    provider.snapshot(AAPL, at=NOON + timedelta(days=1))
    assert any(REFERENCE in line for line in world.requests)


def test_it_serves_what_the_registry_has_a_symbol_for(make):
    provider = make()
    assert provider.serves(SPX)
    assert not provider.serves(BTC)
    with pytest.raises(NoDataError, match="vendor_symbols"):
        provider.snapshot(BTC, at=NOON)


def test_a_share_is_priced_at_its_own_price(world, make):
    found = make().snapshot(AAPL, at=NOON)
    assert set(found.rows["spot"].to_pylist()) == {world.spot("AAPL")}
    assert set(found.rows["spot_source"].to_pylist()) == {"last_trade"}
    assert not found.is_partial


# --- pieces that do not come ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["truncated", "empty", "cut", "no_results", "503", "500", "429_empty", "refused"]
)
def test_a_fault_that_passes_leaves_a_whole_chain(world, make, fault):
    world.faults.arm(f"polygon_{fault}", where=CHAIN, times=2)
    found = make().snapshot(AAPL, at=NOON)
    assert [name for name, _ in world.faults.taken] == [f"polygon_{fault}"] * 2
    assert not found.is_partial
    assert found.rows.num_rows == world.chain("AAPL").num_rows


def test_a_429_is_waited_for_as_long_as_it_wants(world, make, waits):
    world.faults.arm("polygon_429", where=CHAIN, retry_after=7)
    assert not make().snapshot(AAPL, at=NOON).is_partial
    assert waits == [7.0]


def test_a_vendor_that_goes_on_refusing_is_rate_limited(world, make):
    world.faults.arm("polygon_429", times=None, retry_after=1)
    with pytest.raises(RateLimitedError, match="exceeded the maximum requests"):
        make(attempts=2).snapshot(AAPL, at=NOON)


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr("dealer_assets.providers.polygon.snapshots.PAGE_ROWS", 40)


def test_a_listing_that_ends_early_is_partial_and_names_what_is_missing(world, make, small_pages):
    world.faults.arm("polygon_chain_ends", where=CHAIN)
    found = make().snapshot(AAPL, at=NOON)
    truth = world.chain("AAPL")
    missing = truth.num_rows - found.rows.num_rows
    assert missing > 0
    assert found.is_partial
    assert codes(found)[0] == "contracts_missing"
    days = set(truth["expiry_date"].to_pylist())
    words = text_of(found, "contracts_missing")
    assert words.startswith(f"{missing:,} of {truth.num_rows:,} contracts")
    assert any(f"{day} {missing}" in words for day in days)
    assert set(found.rows["is_partial"].to_pylist()) == {True}


def test_a_piece_that_fails_for_good_leaves_the_others(world, make):
    day = world.chain("SPX")["expiry_date"].unique()[3].as_py()
    world.faults.arm("polygon_no_results", where=f"date.gte={day}", times=None)
    found = make(attempts=2).snapshot(SPX, at=NOON)
    assert found.is_partial
    assert f"1 expiries are missing ({day})" in text_of(found, "pages_missing")
    lost = sum(d == day for d in world.chain("SPX")["expiry_date"].to_pylist())
    assert found.rows.num_rows == world.chain("SPX").num_rows - lost
    assert f"{lost} of" in text_of(found, "contracts_missing")


@pytest.mark.parametrize("fault", ["stall", "drip", "silent"])
def test_a_piece_that_stalls_holds_nobody_up(world, make, fault):
    world.faults.arm(f"polygon_{fault}", where=f"{CHAIN}SPY", times=1, skip=1, seconds=20)
    provider = make(attempts=1, timeout_seconds=0.3, total_seconds=0.6)
    provider.snapshot(AAPL, at=NOON)  # the exchange has made its market
    world.faults.clear()
    world.faults.arm(f"polygon_{fault}", where=f"{CHAIN}AAPL", seconds=20)
    began = time.monotonic()
    found = provider.snapshot(AAPL, at=NOON)
    assert time.monotonic() - began < 15.0
    assert found.is_partial
    assert "pages_missing" in codes(found)


def test_a_reference_that_is_not_whole_fails_the_chain(world, make):
    world.faults.arm("polygon_no_results", where=REFERENCE, times=None)
    with pytest.raises(ProviderUnavailableError, match="contracts of SPX"):
        make(attempts=2).snapshot(SPX, at=NOON)


def test_pages_read_over_a_long_time_are_found(make, monkeypatch):
    monkeypatch.setattr("dealer_assets.providers.polygon.snapshots.LONG_SPAN", timedelta(0))
    assert codes(make().snapshot(AAPL, at=NOON)) == ["pages_span"]


def test_contracts_that_the_reference_does_not_list_are_found_all_the_same(
    world, make, monkeypatch
):
    monkeypatch.setattr("dealer_assets.providers.polygon.reference.PAGE_ROWS", 40)
    world.faults.arm("polygon_chain_ends", where=REFERENCE, times=None)
    found = make().snapshot(AAPL, at=NOON)
    assert found.rows.num_rows == world.chain("AAPL").num_rows
    assert codes(found) == ["contracts_unlisted"]
    assert not found.is_partial


def test_a_vendor_that_is_down_is_left_alone(world, make):
    provider = make(attempts=2)
    provider.snapshot(SPX, at=NOON)
    world.requests.clear()
    world.faults.arm("polygon_503", times=None)
    with pytest.raises(ProviderUnavailableError, match="HTTP 503"):
        provider.snapshot(SPX, at=NOON)
    assert len(world.requests) < 80


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "Unknown API Key"),
        ("403_message", "not entitled to this data"),
        ("403_error", "not entitled to this data"),
    ],
)
def test_a_refusal_is_told_in_the_vendors_words_at_once(world, make, fault, words):
    world.faults.arm(f"polygon_{fault}", times=None)
    with pytest.raises(NotEntitledError, match=words):
        make(attempts=4).snapshot(AAPL, at=NOON)
    assert len(world.requests) <= 32


def test_an_unknown_key_is_refused_and_never_shown(make, world, caplog):
    caplog.set_level(logging.DEBUG)
    provider = make("another-key-nobody-knows")
    with pytest.raises(NotEntitledError, match="Unknown API Key") as caught:
        provider.snapshot(AAPL, at=NOON)
    shown = str(caught.value) + caplog.text + repr(provider) + "".join(world.requests)
    assert "another-key" not in shown
    assert "polygon" not in {record.name.split(".")[0] for record in caplog.records}


def test_pages_stay_on_our_host_whatever_the_vendor_writes(world, make):
    world.faults.arm("polygon_next_host", times=None, host="https://elsewhere.invalid")
    assert not make().snapshot(SPX, at=NOON).is_partial


# --- time ----------------------------------------------------------------------------------------


def test_a_delayed_plan_without_quotes_is_dated_by_what_it_has(world, make):
    found = make(DELAYED_KEY, delay=LATE).snapshot(SPX, at=NOON)
    assert MINUTE - timedelta(minutes=20) <= found.event_at <= MINUTE - LATE
    assert found.known_at == NOON
    assert "quotes_missing" in codes(found)
    assert "plan_downgraded" not in codes(found)
    assert found.rows["bid"].null_count == found.rows.num_rows
    assert found.rows["open_interest_contracts"].null_count == 0
    assert not found.is_partial


def test_a_plan_downgraded_in_silence_is_found(world, make):
    world.faults.arm("polygon_delayed", times=None)
    found = make().snapshot(AAPL, at=NOON)
    assert "plan_downgraded" in codes(found)
    assert (found.event_at, found.known_at) == (MINUTE - LATE, NOON)


@pytest.mark.parametrize(
    ("now", "session", "event"),
    [
        (datetime(2026, 8, 27, 20, 20, tzinfo=UTC), TODAY, (27, 20, 15)),
        (datetime(2026, 8, 28, 2, 0, tzinfo=UTC), TODAY, (27, 20, 15)),
        (datetime(2026, 8, 29, 12, 0, tzinfo=UTC), date(2026, 8, 28), (28, 20, 15)),
    ],
)
def test_when_the_market_is_closed_the_chain_is_the_closes(world, make, now, session, event):
    world.clock.set(now)
    found = make().snapshot(AAPL, at=now)
    assert found.session_date == session
    assert found.event_at == datetime(2026, 8, *event, tzinfo=UTC)
    assert found.known_at == now
    assert not found.is_partial


def test_contracts_that_expire_while_it_is_read_are_not_missing(world, make):
    provider = make()
    before = datetime(2026, 8, 28, 3, 59, 59, tzinfo=UTC)  # midnight is a second away
    world.clock.set(before)
    provider._reference(SPX, before)
    world.clock.set(before + timedelta(seconds=2))
    found = provider.snapshot(SPX, at=before)
    assert not found.is_partial
    assert TODAY not in found.rows["expiry_date"].to_pylist()


def test_at_the_bell_there_are_no_quotes_and_no_volume(world, make):
    bell = datetime(2026, 8, 27, 13, 30, 2, tzinfo=UTC)
    world.clock.set(bell)
    found = make().snapshot(AAPL, at=bell)
    assert found.event_at == bell.replace(second=0)
    assert found.rows["bid"].null_count == found.rows.num_rows
    assert not pc.any(pc.greater(found.rows["volume_contracts"], 0.0)).as_py()
    assert "volume_carried_over" in codes(found)
    assert not found.is_partial


def test_a_bar_of_yesterday_is_never_booked_as_todays_volume(world, make):
    world.faults.arm("polygon_carried_volume", times=None)
    found = make().snapshot(AAPL, at=NOON)
    assert "volume_carried_over" in codes(found)
    assert pc.max(found.rows["volume_contracts"].fill_null(0.0)).as_py() == 0.0


def test_quotes_that_stand_still_are_found_and_dated_by_themselves(world, make):
    world.faults.arm("polygon_frozen_quotes", times=None, minutes=30)
    found = make().snapshot(SPX, at=NOON)
    assert codes(found)[:1] == ["frozen_quotes"]
    assert found.event_at == MINUTE - timedelta(minutes=30)
    assert "30:00 newer than the quotes" in text_of(found, "spot_stale")
    assert found.rows["spot_source"][0].as_py() == "parity"


def test_only_now_can_be_asked_for(make):
    with pytest.raises(BadInputError, match="time zone"):
        make().snapshot(SPX, at=NOON.replace(tzinfo=None))
    with pytest.raises(NoDataError, match="current chain only"):
        make().snapshot(SPX, at=NOON - timedelta(days=1))


# --- spot ----------------------------------------------------------------------------------------


def no_value(world, *others: str) -> None:
    world.faults.arm("polygon_no_underlying_value", times=None)
    for path in others:
        world.faults.arm("polygon_403_message", where=path, times=None)


def test_without_a_value_beside_the_rows_the_index_is_asked_for(world, make):
    no_value(world)
    found = make().snapshot(SPX, at=NOON)
    assert sum("/v3/snapshot/indices" in line for line in world.requests) == 1
    assert found.rows["spot"][0].as_py() == pytest.approx(world.spot("SPX"))
    assert found.rows["spot_source"][0].as_py() == "index"
    assert found.findings == ()


def test_without_index_data_the_quotes_imply_spot_and_it_is_refused_once(world, make):
    no_value(world, "/v3/snapshot/indices")
    provider = make()
    found = [provider.snapshot(SPX, at=NOON) for _ in range(2)][1]
    assert sum("/v3/snapshot/indices" in line for line in world.requests) == 1
    assert found.rows["spot_source"][0].as_py() == "parity"
    assert found.rows["spot"][0].as_py() == pytest.approx(world.spot("SPX"), rel=1e-3)
    assert codes(found) == ["spot_refused"]
    assert not found.is_partial


def test_without_quotes_either_the_previous_close_stands_in(world, make):
    no_value(world, "/v3/snapshot/indices")
    world.faults.arm("polygon_no_quotes", times=None)
    found = make().snapshot(SPX, at=NOON)
    end = sessions.session_close("XNYS", YESTERDAY)
    assert found.rows["spot_source"][0].as_py() == "previous_close"
    assert found.rows["spot"][0].as_py() == pytest.approx(world.spot("SPX", end), rel=1e-9)


def test_without_anything_spot_is_left_open(world, make):
    no_value(world, "/v3/snapshot/indices", "/prev")
    world.faults.arm("polygon_no_quotes", times=None)
    found = make().snapshot(SPX, at=NOON)
    assert found.rows["spot"].null_count == found.rows.num_rows
    assert {"quotes_missing", "spot_refused", "spot_missing"} <= set(codes(found))


# --- open interest, listings, chosen contracts ---------------------------------------------------


def test_open_interest_is_that_of_the_running_session_alone(world, make):
    provider = make()
    found = provider.open_interest(AAPL, session_date=TODAY)
    truth = world.chain("AAPL")
    assert found.rows["symbol"].equals(truth["symbol"])
    assert found.rows["open_interest_contracts"].equals(truth["open_interest_contracts"])
    close = sessions.session_close("XNYS", YESTERDAY)
    assert set(found.rows["event_at"].to_pylist()) == {close}
    assert set(found.rows["session_date"].to_pylist()) == {TODAY}
    assert found.is_complete
    for now, day in (
        (NOON, YESTERDAY),
        (datetime(2026, 8, 27, 13, 0, tzinfo=UTC), TODAY),
        (datetime(2026, 8, 29, 16, 0, tzinfo=UTC), date(2026, 8, 28)),
    ):
        world.clock.set(now)
        with pytest.raises(NoDataError, match="no history"):
            provider.open_interest(AAPL, session_date=day)


def test_open_interest_of_half_a_chain_is_not_complete(world, make, small_pages):
    world.faults.arm("polygon_chain_ends", where=CHAIN)
    found = make().open_interest(AAPL, session_date=TODAY)
    assert not found.is_complete
    assert "contracts_missing" in codes(found)


@pytest.mark.parametrize("day", [TODAY, YESTERDAY])
def test_a_listing_is_that_of_its_day_with_what_expired_since(world, make, day):
    found = make().listing(AAPL, session_date=day)
    truth = world.market.listing(AAPL, session_date=day).rows
    assert set(found.rows["symbol"].to_pylist()) == set(truth["symbol"].to_pylist())
    where = {"underlying": "AAPL", "session_date": day}
    conform(tables.LISTED_CONTRACTS, found.rows, **where)


def test_chosen_contracts_come_in_batches_with_refusals_by_name(world, make):
    truth = world.chain("SPX").slice(0, 300)
    wanted = truth["symbol"].to_pylist()
    found = make().chosen([*wanted, "SPXW200101C01000000"])
    assert len(world.requests) == 2
    assert found.not_found == ("SPXW200101C01000000",)
    assert found.not_entitled == found.unanswered == ()
    assert sorted(found.rows["symbol"].to_pylist()) == sorted(wanted)
    ours = found.rows.sort_by("symbol")
    theirs = truth.sort_by("symbol")
    assert ours["open_interest_contracts"].equals(theirs["open_interest_contracts"])
    assert set(ours["spot"].drop_null().to_pylist()) == {world.spot("SPX")}


def test_a_batch_that_fails_names_its_contracts(world, make):
    wanted = world.chain("SPX")["symbol"].to_pylist()[:300]
    world.faults.arm("polygon_500", where="/v3/snapshot?", times=1)
    found = make(attempts=1).chosen(wanted)
    assert isinstance(found.failure, ProviderUnavailableError)
    assert len(found.unanswered) + found.rows.num_rows == 300
    assert len(found.unanswered) in (250, 50)


# --- the tape ------------------------------------------------------------------------------------


class Memory:
    """Keeps payloads in memory."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}

    def get(self, piece: str) -> bytes | None:
        return self.pieces.get(piece)

    def put(self, piece: str, payload: bytes) -> None:
        self.pieces[piece] = payload


@pytest.fixture(scope="module")
def busy(exchange) -> list[str]:
    """Contracts that trade a lot, of yesterday."""
    close = datetime(2026, 8, 26, 20, 0, tzinfo=UTC)
    rows = exchange[0].chain("AAPL", close).sort_by([("volume_contracts", "descending")])
    return rows["symbol"].to_pylist()[:4]


def test_trades_are_exactly_those_of_the_tape(world, make, busy):
    found = make().trades(AAPL, session_date=YESTERDAY, symbols=busy)
    truth = world.market.trades(AAPL, session_date=YESTERDAY, symbols=busy).rows
    assert found.is_complete
    assert found.rejected.num_rows == 0
    names = ["symbol", "event_at", "ordinal", "price", "size_contracts", "conditions", "exchange"]
    assert found.rows.num_rows > 10
    ours, theirs = (
        t.select(names).sort_by([(n, "ascending") for n in names[:3]]) for t in (found.rows, truth)
    )
    assert ours.equals(theirs.cast(ours.schema))
    conform(tables.OPTION_TRADES, found.rows, underlying="AAPL", session_date=YESTERDAY)


def test_quotes_are_exactly_those_of_the_tape(world, make, busy):
    found = make().quotes(AAPL, session_date=YESTERDAY, symbols=busy[:2])
    truth = world.market.quotes(AAPL, session_date=YESTERDAY, symbols=busy[:2]).rows
    names = ["symbol", "event_at", "bid", "ask", "bid_size_contracts", "ask_size_contracts"]
    ours, theirs = (
        t.select(names).sort_by([(n, "ascending") for n in names[:2]]) for t in (found.rows, truth)
    )
    assert ours.num_rows > 10
    assert ours.equals(theirs.cast(ours.schema))
    conform(tables.OPTION_QUOTES, found.rows, underlying="AAPL", session_date=YESTERDAY)


@pytest.mark.parametrize("interval", ["minute", "day"])
def test_bars_are_exactly_those_of_the_tape(world, make, busy, interval):
    where = {"session_date": YESTERDAY, "symbols": busy, "interval": interval}
    found = make().bars(AAPL, **where)
    truth = world.market.bars(AAPL, **where).rows
    names = ["symbol", "open", "high", "low", "close", "volume_contracts", "trades"]
    names += ["event_at"] if interval == "minute" else []
    assert found.rows.num_rows == truth.num_rows > 0
    ours, theirs = (
        t.sort_by([("event_at", "ascending"), ("symbol", "ascending")]).select(names)
        for t in (found.rows, truth)
    )
    assert ours.equals(theirs.cast(ours.schema))
    conform(tables.OPTION_BARS, found.rows, underlying="AAPL", session_date=YESTERDAY)


def test_index_values_are_those_of_the_market(world, make):
    found = make().index_values(SPX, session_date=YESTERDAY)
    truth = world.market.index_values(SPX, session_date=YESTERDAY).rows
    spots = found.rows.filter(pc.equal(found.rows["kind"], "spot"))
    assert spots.num_rows >= 390
    known = dict(zip(truth["event_at"].to_pylist(), truth["value"].to_pylist(), strict=True))
    for row in spots.slice(0, 390).to_pylist():
        assert row["value"] == pytest.approx(known[row["event_at"]], abs=0.011)
    assert {"close", "previous_close"} <= set(found.rows["kind"].to_pylist())
    assert found.is_complete


def test_what_is_kept_is_not_asked_for_again_and_the_rest_is(world, make, busy):
    keep = Memory()
    world.faults.arm("polygon_no_results", where=f"/v3/trades/O:{busy[1]}", times=None)
    provider = make(attempts=2)
    first = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy, keep=keep)
    assert not first.is_complete
    assert codes(first) == ["contracts_failed"]
    assert f"1 of 4 contracts failed ({busy[1]})" in text_of(first, "contracts_failed")
    assert set(first.rows["symbol"].to_pylist()) == set(busy) - {busy[1]}
    assert sorted(keep.pieces) == sorted(f"{s}-0000" for s in busy if s != busy[1])
    world.faults.clear()
    world.requests.clear()
    second = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy, keep=keep)
    assert len(world.requests) == 1
    assert busy[1] in world.requests[0]
    assert second.is_complete
    assert set(second.rows["symbol"].to_pylist()) == set(busy)
    assert second.source_sha256 == first.source_sha256
    world.requests.clear()
    third = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy, keep=keep)
    assert world.requests == []
    assert third.rows.equals(second.rows)


def test_a_page_damaged_on_disk_is_fetched_again(world, make, busy):
    keep = Memory()
    provider = make()
    first = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy[:1], keep=keep)
    keep.pieces[f"{busy[0]}-0000"] = b'{"results":[{"pri'
    second = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy[:1], keep=keep)
    assert second.rows.equals(first.rows)


def test_a_session_that_runs_keeps_no_page_that_will_grow(world, make, busy):
    keep = Memory()
    world.clock.set(datetime(2026, 8, 26, 17, 0, tzinfo=UTC))
    provider = make()
    first = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy, keep=keep)
    assert not first.is_complete
    assert keep.pieces == {}
    world.clock.set(NOON)
    second = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy, keep=keep)
    assert second.is_complete
    assert second.rows.num_rows > first.rows.num_rows > 0


def test_pages_of_one_contract_are_kept_one_by_one(world, make, busy, monkeypatch):
    monkeypatch.setattr("dealer_assets.providers.polygon.history.PAGE_ROWS", 5)
    keep = Memory()
    provider = make(attempts=1)
    world.faults.arm("polygon_500", where="cursor=", skip=1, times=1)
    first = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy[:1], keep=keep)
    assert not first.is_complete
    assert first.rows.num_rows == 10
    assert sorted(keep.pieces) == [f"{busy[0]}-0000", f"{busy[0]}-0001"]
    world.requests.clear()
    second = provider.trades(AAPL, session_date=YESTERDAY, symbols=busy[:1], keep=keep)
    assert second.is_complete
    assert len(world.requests) == len(keep.pieces) - 2
    truth = world.market.trades(AAPL, session_date=YESTERDAY, symbols=busy[:1]).rows
    assert second.rows.num_rows == truth.num_rows


def test_an_answer_larger_than_there_is_room_for_is_cut_by_contract(world, make, busy, monkeypatch):
    monkeypatch.setattr("dealer_assets.providers.polygon.history.MOST_ROWS", 1)
    found = make(threads=1).trades(AAPL, session_date=YESTERDAY, symbols=busy)
    assert codes(found) == ["too_many_rows"]
    assert "3 of 4 contracts were left out" in text_of(found, "too_many_rows")
    assert set(found.rows["symbol"].to_pylist()) == {busy[0]}
    assert not found.is_complete


def test_a_plan_without_quotes_says_so(make, busy):
    with pytest.raises(NotEntitledError, match="quotes of AAPL"):
        make(DELAYED_KEY, delay=LATE).quotes(AAPL, session_date=YESTERDAY, symbols=busy)


def test_without_symbols_every_listed_contract_is_asked_for(world, make, monkeypatch):
    listed = make().listing(AAPL, session_date=YESTERDAY).rows["symbol"].to_pylist()
    world.requests.clear()
    world.faults.arm("polygon_404", where="/v3/trades/", times=None)
    provider = make(attempts=1, threads=4, per_second=100.0)
    monkeypatch.setattr(provider.client, "run", lambda jobs: [len(jobs)] * len(jobs))
    monkeypatch.setattr(type(provider), "listing", lambda *_, **__: _Listed(listed))
    found = provider.trades(AAPL, session_date=YESTERDAY)
    assert f"of {len(listed)}" in found.source_name


class _Listed:
    def __init__(self, symbols: list[str]) -> None:
        self.rows = pa.table({"symbol": symbols})


# --- looking -------------------------------------------------------------------------------------


def test_a_probe_tells_what_the_key_is_entitled_to(world, make):
    found = {p.source: p for p in make().probe(SPX, now=NOON)}
    assert list(found) == [
        "polygon clock",
        "polygon reference SPX",
        "polygon chain SPX",
        "polygon quotes SPX",
        "polygon index value SPX",
    ]
    assert all(p.is_reachable and p.is_entitled for p in found.values())
    assert {p.server_time for p in found.values()} == {NOON}
    assert found["polygon chain SPX"].data_at == MINUTE
    assert found["polygon quotes SPX"].data_at >= MINUTE - timedelta(hours=1)
    assert found["polygon index value SPX"].data_at == MINUTE
    less = {p.source: p for p in make(DELAYED_KEY, delay=LATE).probe(SPX, now=NOON)}
    assert [p.is_entitled for p in less.values()] == [True, True, True, False, False]
    assert "without bid and ask" in less["polygon chain SPX"].detail


@pytest.mark.parametrize("fault", ["401", "403_error", "404", "500", "503", "429", "empty", "cut"])
def test_a_probe_never_raises_for_the_vendors_faults(world, make, fault):
    world.faults.arm(f"polygon_{fault}", times=None)
    found = make(attempts=4).probe(AAPL, now=NOON)
    assert len(found) == 4
    assert all(p.detail for p in found)
    assert all(p.is_reachable is (fault in ("401", "403_error", "404")) for p in found)
    if fault != "404":
        assert not any(p.is_entitled for p in found)


def test_a_probe_finds_a_clock_that_is_wrong_and_a_plan_that_is_late(world, make):
    world.faults.arm("polygon_delayed", times=None)
    clock, _, chain, *_ = make().probe(SPX, now=NOON + timedelta(hours=1))
    assert "differs by 3600 s" in clock.detail
    assert "marked DELAYED" in chain.detail


def test_a_key_is_needed(exchange):
    with pytest.raises(BadInputError):
        PolygonProvider(SecretStr(""), base_url=exchange[1])
