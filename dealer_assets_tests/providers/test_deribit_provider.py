"""The Deribit provider: errors, paging, what may be missing, and the test exchange."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import httpx
import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.deribit import DeribitProvider, tape
from dealer_assets.providers.deribit.columns import number, numbers
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.deribit_rules import Limits
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World
from dealer_assets_tests.providers.deribit_answers import (
    BTC,
    HISTORY,
    MAIN,
    Deribit,
    by_currency,
    error,
    instrument,
    milliseconds,
    result,
    trade,
    utc,
)

NOW = utc(2026, 6, 10, 14, 30, 20)
TODAY, YESTERDAY = date(2026, 6, 10), date(2026, 6, 9)
EXPIRIES = ("11JUN26", "12JUN26", "19JUN26", "26JUN26", "31JUL26", "25SEP26")
NAMES = [
    f"BTC-{expiry}-{strike}-{right}"
    for expiry in EXPIRIES
    for strike in (80_000, 86_000, 90_000)
    for right in "CP"
]
LINEAR = ["BTC_USDC-26JUN26-86000-C", "BTC_USDC-26JUN26-86000-P"]


class Memory(dict):
    """A `Keep` in memory."""

    def put(self, piece, payload):
        self[piece] = payload


def row(name, made_at=NOW, **changes):
    """A row of the book summary; puts struck at 80,000 have no bid."""
    is_linear = name.startswith("BTC_USDC")
    unit = 86_000.0 if is_linear else 1.0
    return {
        "instrument_name": name,
        "bid_price": None if name.endswith("-80000-P") else 0.02 * unit,
        "ask_price": 0.025 * unit,
        "last": None,
        "open_interest": 10.0,
        "volume": 3.0,
        "mark_iv": 45.0,
        "underlying_price": 86_100.0,
        "underlying_index": "SYN.BTC-26JUN26",
        "estimated_delivery_price": 86_000.0,
        "creation_timestamp": milliseconds(made_at),
    } | changes


def market(**changes):
    """Answers of a sound market; a change replaces a method's answer."""
    listed = {"BTC": [instrument(n) for n in NAMES], "USDC": [instrument(n) for n in LINEAR]}
    return Deribit(
        {
            "get_instruments": lambda _, p: (
                listed[p["currency"]] if p["expired"] == "false" else []
            ),
            "get_book_summary_by_currency": by_currency(
                BTC=[row(n) for n in NAMES], USDC=[row(n) for n in LINEAR]
            ),
            "get_index_price": {"index_price": 86_000.0},
        }
        | changes
    )


def snapshot(deribit, now=NOW, **given_settings):
    with deribit.provider(now, **given_settings) as provider:
        return provider.snapshot(BTC, at=now)


def codes(taken):
    return [finding.code for finding in taken.findings]


def text_of(taken, code):
    return next(finding.text for finding in taken.findings if finding.code == code)


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "attempts", "words"),
    [
        (10028, RateLimitedError, 3, "too often"),
        (10066, RateLimitedError, 3, "too often"),
        (10040, ProviderUnavailableError, 3, "passes"),
        (10041, ProviderUnavailableError, 3, "passes"),
        (10047, ProviderUnavailableError, 3, "passes"),
        (13028, ProviderUnavailableError, 3, "passes"),
        (13888, ProviderUnavailableError, 3, "passes"),
        (11051, ProviderUnavailableError, 3, "maintenance"),
        (13503, ProviderUnavailableError, 3, "maintenance"),
        (11029, ProviderError, 1, "request was wrong"),
        (11050, ProviderError, 1, "request was wrong"),
        (-32602, ProviderError, 1, "request was wrong"),
        (-32601, ProviderError, 1, "request was wrong"),
        (-32700, ProviderError, 1, "request was wrong"),
        (13004, NotEntitledError, 1, "public"),
        (13009, NotEntitledError, 1, "public"),
        (13021, NotEntitledError, 1, "public"),
        (13019, NoDataError, 1, "no such instrument"),
        (13020, NoDataError, 1, "no such instrument"),
        (99999, ProviderError, 1, "unknown error code"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_an_error_code_decides_and_not_the_status_it_comes_with(
    code, kind, attempts, words, status
):
    refusal = error(code, "what_it_says", status=status, data={"reason": "why"})
    deribit = market(get_book_summary_by_currency=lambda *_: refusal)
    with pytest.raises(kind, match=words) as raised:
        snapshot(deribit)
    assert type(raised.value) is kind
    assert all(part in str(raised.value) for part in (str(code), "what_it_says", "why"))
    assert deribit.methods().count("get_book_summary_by_currency") == attempts


@pytest.mark.parametrize(
    ("answer", "kind", "attempts"),
    [
        (httpx.Response(503, text="<html>down</html>"), ProviderUnavailableError, 3),
        (httpx.Response(503, json={"oops": 1}), ProviderUnavailableError, 3),
        (httpx.Response(200, text="<!DOCTYPE html><html>"), GarbledAnswerError, 3),
        (httpx.Response(200, text='{"jsonrpc":"2.0","resu'), GarbledAnswerError, 3),
        (httpx.Response(200, text=""), GarbledAnswerError, 3),
        (httpx.Response(200, json={"jsonrpc": "2.0"}), GarbledAnswerError, 3),
        (
            httpx.Response(200, json={"jsonrpc": "2.0", "result": {"rows": 1}}),
            GarbledAnswerError,
            1,
        ),
        (httpx.Response(200, json={"jsonrpc": "2.0", "result": []}), NoDataError, 1),
        (httpx.Response(403, text="<html>robots</html>"), NotEntitledError, 1),
    ],
)
def test_an_answer_that_is_no_json_rpc_is_never_believed(answer, kind, attempts):
    deribit = market(get_book_summary_by_currency=lambda *_: answer)
    with pytest.raises(kind):
        snapshot(deribit)
    assert deribit.methods().count("get_book_summary_by_currency") == attempts


def test_what_passes_is_tried_again_and_the_wanted_pause_is_kept():
    answers = iter([httpx.Response(429, headers={"Retry-After": "7"}), error(10040, "retry")])
    rows = result([row(n) for n in NAMES])
    pauses = []
    deribit = market(
        get_book_summary_by_currency=lambda _, p: (
            next(answers, rows) if p["currency"] == "BTC" else [row(n) for n in LINEAR]
        )
    )
    taken = snapshot(
        deribit,
        per_second=1e6,
        patience=Patience(attempts=3, sleep=pauses.append),
    )
    assert taken.rows.num_rows == len(NAMES) + len(LINEAR)
    assert [pause for pause in pauses if pause > 0.9] == [pytest.approx(1.0, abs=0.05), 7.0, 1.0]


def test_requests_are_paced_and_instrument_lists_to_one_a_second():
    pauses = []
    deribit = market()
    snapshot(deribit, per_second=10.0, patience=Patience(sleep=pauses.append))
    assert sum(pause > 0.85 for pause in pauses) == 1  # the second of two lists
    assert len(pauses) >= len(deribit.asked) - 1


@pytest.mark.parametrize(
    "wrong", [{"per_second": 0.0}, {"history_per_second": -1.0}, {"tickers": -1}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(BadInputError):
        market().provider(NOW, **wrong)
    with pytest.raises(BadInputError, match="base URL"):
        DeribitProvider(base_url="www.deribit.com")


def test_an_underlying_without_a_deribit_currency_is_not_served():
    with market().provider(NOW) as provider:
        assert provider.serves(BTC)
        assert not provider.serves(underlying("SPX"))
        with pytest.raises(NoDataError, match="vendor_symbols"):
            provider.snapshot(underlying("SPX"), at=NOW)


# --- chain ------------------------------------------------------------------------------------


def test_a_sound_market_is_a_whole_chain_of_both_families_without_findings():
    deribit = market()
    taken = snapshot(deribit)
    assert taken.findings == ()
    assert not taken.is_partial
    assert Counter(taken.rows["root"].to_pylist()) == {"BTC": len(NAMES), "BTC_USDC": 2}
    assert (taken.event_at, taken.known_at) == (utc(2026, 6, 10, 14, 30), NOW)
    found = {r["symbol"]: r for r in taken.rows.to_pylist()}
    coin, usdc = found["BTC-26JUN26-86000-C"], found["BTC_USDC-26JUN26-86000-C"]
    assert coin["bid"] == pytest.approx(0.02 * 86_100.0)  # by the forward, not the index
    assert usdc["bid"] == pytest.approx(0.02 * 86_000.0)  # as printed
    assert found["BTC-26JUN26-80000-P"]["bid"] == 0.0  # null: no order
    assert coin["vendor_implied_vol"] == 0.45
    assert set(taken.rows["spot"].to_pylist()) == {86_000.0}
    assert deribit.methods().count("ticker") == 0
    assert set(deribit.methods(HISTORY)) == set()


def test_a_chain_for_a_past_instant_is_refused():
    with market().provider(NOW) as provider, pytest.raises(ProviderError, match="current chain"):
        provider.snapshot(BTC, at=NOW - timedelta(days=2))


def test_listed_contracts_without_a_row_make_the_chain_partial():
    rows = [row(n) for n in NAMES[3:]]
    taken = snapshot(
        market(get_book_summary_by_currency=by_currency(BTC=rows, USDC=[row(LINEAR[0])]))
    )
    assert taken.is_partial
    assert set(taken.rows["is_partial"].to_pylist()) == {True}
    assert codes(taken) == ["summary_lacks_contracts", "summary_lacks_contracts"]
    assert f"3 of {len(NAMES)}" in text_of(taken, "summary_lacks_contracts")


def test_a_contract_that_is_not_listed_yet_is_kept_and_told():
    fresh = "BTC-26JUN26-95000-C"
    taken = snapshot(
        market(
            get_book_summary_by_currency=by_currency(
                BTC=[row(n) for n in [*NAMES, fresh]], USDC=[row(n) for n in LINEAR]
            )
        )
    )
    assert codes(taken) == ["unlisted_contracts"]
    assert fresh in taken.rows["symbol"].to_pylist()
    assert not taken.is_partial


@pytest.mark.parametrize("state", ["settlement", "locked", "halted", "inactive"])
def test_contracts_whose_book_is_closed_keep_their_open_interest(state):
    lists = by_currency(
        BTC=[instrument(n, state=state if n == NAMES[0] else "open") for n in NAMES],
        USDC=[instrument(n) for n in LINEAR],
    )
    taken = snapshot(market(get_instruments=lists))
    assert codes(taken) == ["books_not_open"]
    assert state in text_of(taken, "books_not_open")
    assert sum(taken.rows["open_interest_contracts"].to_pylist()) == 10.0 * (len(NAMES) + 2)


@pytest.mark.parametrize("state", ["delivered", "archivized"])
def test_delivered_contracts_have_no_open_interest_and_are_left_out(state):
    lists = by_currency(
        BTC=[instrument(n, state=state if n == NAMES[0] else "open") for n in NAMES],
        USDC=[instrument(n) for n in LINEAR],
    )
    taken = snapshot(market(get_instruments=lists))
    assert codes(taken) == ["expired_left_out"]
    assert NAMES[0] not in taken.rows["symbol"].to_pylist()
    assert not taken.is_partial


def test_an_instrument_that_contradicts_its_name_is_told():
    lists = by_currency(
        BTC=[instrument(n, strike=1.0) if n == NAMES[0] else instrument(n) for n in NAMES],
        USDC=[instrument(n) for n in LINEAR],
    )
    assert codes(snapshot(market(get_instruments=lists))) == ["terms_disagree_with_name"]


def test_rows_of_other_roots_of_the_stable_coin_neither_enter_nor_date_the_chain():
    other = row("ETH_USDC-26JUN26-3000-C", NOW + timedelta(days=3))
    taken = snapshot(
        market(
            get_book_summary_by_currency=by_currency(
                BTC=[row(n) for n in NAMES], USDC=[*(row(n) for n in LINEAR), other]
            )
        )
    )
    assert taken.findings == ()
    assert taken.known_at == NOW


def test_rows_made_far_apart_and_an_index_of_another_instant_are_told():
    late = row(NAMES[0], NOW + timedelta(seconds=31))
    taken = snapshot(
        market(
            get_book_summary_by_currency=by_currency(
                BTC=[late, *(row(n) for n in NAMES[1:])], USDC=[row(n) for n in LINEAR]
            ),
            get_index_price={"index_price": 86_600.0},
        )
    )
    assert codes(taken)[:2] == ["summary_spread", "index_disagrees_with_summary"]
    assert "31 seconds" in text_of(taken, "summary_spread")
    assert taken.known_at == NOW + timedelta(seconds=31)


@pytest.mark.parametrize("answer", [error(13028, "busy"), {"index_price": None}, {}, []])
def test_without_an_index_price_the_summary_tells_the_spot(answer):
    taken = snapshot(market(get_index_price=lambda *_: answer))
    assert codes(taken) == ["index_missing", "index_from_summary"]
    assert set(taken.rows["spot"].to_pylist()) == {86_000.0}


def test_an_index_that_nothing_confirms_is_told():
    rows = [row(n, estimated_delivery_price="expired") for n in NAMES]
    linear = [row(n, estimated_delivery_price=None) for n in LINEAR]
    taken = snapshot(market(get_book_summary_by_currency=by_currency(BTC=rows, USDC=linear)))
    assert codes(taken) == ["index_not_checked"]


def test_a_coin_price_without_a_forward_is_not_known_in_dollars():
    rows = [row(n, underlying_price=None) if n == NAMES[0] else row(n) for n in NAMES]
    linear = [row(n, underlying_price="?") for n in LINEAR]
    taken = snapshot(market(get_book_summary_by_currency=by_currency(BTC=rows, USDC=linear)))
    assert codes(taken) == ["forward_missing"]
    found = {r["symbol"]: r for r in taken.rows.to_pylist()}
    assert (found[NAMES[0]]["bid"], found[NAMES[0]]["ask"]) == (None, None)
    assert found[LINEAR[0]]["bid"] == pytest.approx(1_720.0)


def test_a_price_that_is_no_number_is_quarantined_as_received():
    many = [f"BTC-25DEC26-{strike}-C" for strike in range(50_000, 200_000, 1_000)]
    rows = [row(n) for n in [*NAMES, *many]]
    rows[0]["ask_price"] = "0.025 BTC"
    taken = snapshot(
        market(get_book_summary_by_currency=by_currency(BTC=rows, USDC=[row(n) for n in LINEAR]))
    )
    assert taken.rejected["reason"].to_pylist() == ["not_a_number"]
    assert "0.025 BTC" in taken.rejected["raw_text"][0].as_py()


def test_without_the_linear_summary_the_chain_is_partial():
    answer = by_currency(BTC=[row(n) for n in NAMES], USDC=error(13028, "busy"))
    taken = snapshot(market(get_book_summary_by_currency=answer))
    assert taken.is_partial
    assert codes(taken) == ["linear_chain_missing"]


def test_without_the_instrument_lists_whether_the_chain_is_whole_is_not_known():
    taken = snapshot(market(get_instruments=lambda *_: error(10028, "too_many_requests")))
    assert taken.is_partial
    assert codes(taken) == ["instruments_missing", "instruments_missing"]
    assert taken.rows.num_rows == len(NAMES) + len(LINEAR)


def test_data_of_the_test_market_are_told():
    rows = result([row(n) for n in NAMES], testnet=True)
    linear = result([row(n) for n in LINEAR], testnet=True)
    taken = snapshot(market(get_book_summary_by_currency=by_currency(BTC=rows, USDC=linear)))
    assert codes(taken) == ["testnet"]


def test_tickers_are_asked_for_nearest_to_the_money_and_may_fail():
    def ticker(_, params):
        name = params["instrument_name"]
        if name.endswith("P"):
            return error(13020, "not_found")
        return row(name) | {
            "best_bid_price": 0.02,
            "best_ask_price": 0.03,
            "best_bid_amount": 4.5,
            "best_ask_amount": 2.0,
            "greeks": {"delta": 0.51234, "gamma": 0.00002},
        }

    deribit = market(ticker=ticker)
    taken = snapshot(deribit, tickers=4)
    asked = [p["instrument_name"] for _, method, p in deribit.asked if method == "ticker"]
    assert len(asked) == 4
    assert {name.split("-")[2] for name in asked} == {"86000"}
    assert codes(taken) == ["tickers_missing"]
    (got,) = [
        r
        for r in taken.rows.to_pylist()
        if r["symbol"] == next(n for n in asked if n.startswith("BTC-") and n.endswith("C"))
    ]
    assert (got["vendor_delta"], got["vendor_gamma"]) == (0.51234, 0.00002)
    assert (got["bid_size_contracts"], got["ask_size_contracts"]) == (4.5, None)


# --- tape -------------------------------------------------------------------------------------


def day_tape(trades, *, main_forgets=timedelta(hours=24), now=NOW, silent=()):
    """Both hosts' answers of the tape; the main host forgets without a word, as Deribit's does."""

    def answer(host, params):
        first, last = int(params["start_timestamp"]), int(params["end_timestamp"])
        if params["currency"] != "BTC" or host in silent:
            return {"trades": [], "has_more": False}
        if host == MAIN and first < milliseconds(now - main_forgets):
            return {"trades": [], "has_more": False}
        if host == HISTORY:
            assert params["include_old"] == "true"
        assert params["kind"] == "option"
        mine = sorted(
            (t for t in trades if first <= t["timestamp"] <= last),
            key=lambda t: (t["timestamp"], int(t["trade_id"])),
            reverse=params["sorting"] == "desc",
        )
        count = int(params["count"])
        return {"trades": mine[:count], "has_more": len(mine) > count}

    return Deribit({tape.METHOD: answer})


def trades_of(deribit, session=YESTERDAY, now=NOW, **more):
    with deribit.provider(now, per_second=1e6, history_per_second=1e6) as provider:
        return provider.trades(BTC, session_date=session, **more)


START = milliseconds(utc(2026, 6, 9))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.sampled_from([0, 0, 0, 1, 7, 3_000_000, 20_000_000]), max_size=60),
    page=st.integers(3, 8),
)
def test_every_trade_is_taken_once_however_pages_fall(monkeypatch, steps, page):
    monkeypatch.setattr(tape, "PAGE", page)
    stamps = [START + int(s) for s in np.cumsum(steps) if s < 86_400_000]
    busiest = max(Counter(stamps).values(), default=0)
    printed = [trade(i + 1, at) for i, at in enumerate(stamps)]
    records = trades_of(day_tape(printed))
    found = records.rows["trade_id"].to_pylist()
    assert len(found) == len(set(found))
    if busiest < 2 * page:
        assert set(found) == {t["trade_id"] for t in printed}
        assert records.is_complete == bool(printed)
    elif set(found) != {t["trade_id"] for t in printed}:
        assert not records.is_complete
        assert "millisecond_overflow" in codes(records)


def test_equal_prints_are_numbered_and_rows_conform():
    printed = [trade(i, START + 5) for i in (3, 1, 2)] + [trade(4, START + 6)]
    records = trades_of(day_tape(printed))
    assert conform(tables.OPTION_TRADES, records.rows).equals(records.rows.combine_chunks())
    found = [(r["ordinal"], r["trade_id"]) for r in records.rows.to_pylist()]
    assert found == [(0, "1"), (1, "2"), (2, "3"), (0, "4")]


def test_the_main_host_is_never_asked_for_what_it_forgets():
    every_hour = [trade(i + 1, START + i * 3_600_000) for i in range(24)]
    deribit = day_tape(every_hour)
    records = trades_of(deribit)
    assert records.rows.num_rows == 24
    assert records.is_complete
    assert records.findings == ()
    asked = {
        (host, int(p["start_timestamp"])) for host, _, p in deribit.asked if p["currency"] == "BTC"
    }
    assert {host for host, _ in asked} == {MAIN, HISTORY}
    oldest = milliseconds(NOW - timedelta(hours=24))
    assert all(stamp >= oldest for host, stamp in asked if host == MAIN)


def test_an_old_session_is_read_from_the_history_host_alone():
    session = date(2024, 3, 1)
    printed = [trade(1, milliseconds(utc(2024, 3, 1, 5)), "BTC-29MAR24-60000-C")]
    deribit = day_tape(printed)
    records = trades_of(deribit, session)
    assert (records.rows.num_rows, records.is_complete) == (1, True)
    assert set(deribit.methods(MAIN)) == set()


def test_an_empty_answer_of_the_main_host_is_not_believed_when_history_has_trades():
    printed = [trade(1, milliseconds(utc(2026, 6, 10, 1)))]
    records = trades_of(day_tape(printed, silent=(MAIN,)), TODAY)
    assert records.rows.num_rows == 1
    assert "empty_answer_refuted" in codes(records)
    assert not records.is_complete  # the day goes on


def test_an_empty_answer_without_a_second_opinion_is_not_proven():
    last_hours = [trade(1, milliseconds(utc(2026, 6, 9, 23)))]
    silent = day_tape(last_hours)
    answer = silent.answers[tape.METHOD]
    silent.answers[tape.METHOD] = lambda host, p: (
        error(13028, "busy") if host == HISTORY and p["currency"] == "USDC" else answer(host, p)
    )
    with silent.provider(NOW) as provider, pytest.raises(ProviderUnavailableError):
        provider.trades(BTC, session_date=YESTERDAY)  # history is the only source of the morning
    records = trades_of(silent, TODAY)
    assert "empty_answer_unproven" in codes(records)
    assert not records.is_complete


def test_no_trade_at_all_is_not_a_whole_session():
    records = trades_of(day_tape([]))
    assert (records.rows.num_rows, records.is_complete) == (0, False)
    assert codes(records) == ["no_trades"]


def test_a_page_that_does_not_repeat_the_last_trade_is_a_gap(monkeypatch):
    monkeypatch.setattr(tape, "PAGE", 3)
    printed = [trade(i + 1, START + i) for i in range(6)]
    deribit = day_tape(printed)
    whole = deribit.answers[tape.METHOD]

    def without_third(host, params):
        answer = whole(host, params)
        if int(params["start_timestamp"]) == START + 2:
            answer["trades"] = [t for t in answer["trades"] if t["trade_id"] != "3"]
        return answer

    deribit.answers[tape.METHOD] = without_third
    records = trades_of(deribit)
    assert "page_gap" in codes(records)
    assert not records.is_complete


def test_a_page_that_promises_more_and_is_empty_is_a_gap():
    def answer(host, params):
        return {"trades": [], "has_more": host == HISTORY and params["currency"] == "BTC"}

    records = trades_of(Deribit({tape.METHOD: answer}), date(2026, 6, 5))
    assert set(codes(records)) == {"page_gap", "no_trades"}


def test_pages_newest_first_are_refused(monkeypatch):
    monkeypatch.setattr(tape, "PAGE", 2)
    printed = [trade(i + 1, START + i) for i in range(6)]
    deribit = day_tape(printed)
    whole = deribit.answers[tape.METHOD]
    deribit.answers[tape.METHOD] = lambda host, p: whole(host, p | {"sorting": "desc"})
    with pytest.raises(GarbledAnswerError, match="newest first"):
        trades_of(deribit)


def test_missing_numbers_of_an_instrument_are_counted():
    other = "BTC-26JUN26-80000-P"
    printed = [
        trade(1, START, trade_seq=10),
        trade(2, START + 1, trade_seq=11),
        trade(3, START + 2, trade_seq=15),
        trade(4, START + 3, other, trade_seq=100),
        trade(5, START + 4, other, trade_seq=102),
        trade(6, START + 5, other, trade_seq=None),
    ]
    records = trades_of(day_tape(printed))
    assert codes(records) == ["trade_sequence_gap"]
    assert "2 gaps of 4 trades" in text_of(records, "trade_sequence_gap")
    assert records.is_complete  # every page was received
    assert records.rows["sequence"].null_count == 1


def test_bad_trades_are_quarantined_with_their_reason_and_the_rest_is_kept():
    bad = {
        "bad_symbol": trade(2, START, "BTC-31FEB26-90000-C"),
        "not_a_number": trade(3, START, price="0.01"),
        "negative_size": trade(4, START, amount=-1.0),
        "bad_direction": trade(5, START, direction="up"),
        "no_trade_id": trade(6, START, trade_id=None),
        "bad_instant": trade(7, START, timestamp="soon"),
        "other_session": trade(8, milliseconds(utc(2026, 6, 4))),
    }
    nothing = {"trades": [], "has_more": False}
    answer = {"trades": [trade(1, START), *bad.values()], "has_more": False}
    records = trades_of(
        Deribit(
            {
                tape.METHOD: lambda _, p: (
                    answer
                    if p["currency"] == "BTC" and int(p["start_timestamp"]) == START
                    else nothing
                )
            }
        )
    )
    assert records.rows["trade_id"].to_pylist() == ["1"]
    assert set(records.rejected["reason"].to_pylist()) == set(bad)
    assert conform(tables.REJECTED_ROWS, records.rejected).num_rows == len(bad)


def test_units_currencies_and_marks_of_trades():
    printed = [
        trade(1, START, iv=0.0, index_price=None, liquidation="MT"),
        trade(2, START + 1, block_trade_id="BLOCK-1", combo_id="BTC-CS-26JUN26-1_2"),
        trade(3, START + 2, block_trade_id="BLOCK-2", block_rfq_id=77),
    ]
    linear = trade("USDC-9", START + 3, LINEAR[0], price=1_250.0, amount=0.25, trade_seq=1)
    other = trade("USDC-8", START + 3, "ETH_USDC-26JUN26-3000-C", trade_seq=2)
    pages = by_currency(
        BTC={"trades": printed, "has_more": False},
        USDC={"trades": [linear, other], "has_more": False},
    )
    records = trades_of(Deribit({tape.METHOD: pages}))
    one, two, three, usdc = records.rows.to_pylist()
    assert (one["venue_implied_vol"], one["underlying_price"], one["is_liquidation"]) == (
        None,
        None,
        True,
    )
    assert (two["sign_rule"], two["block_id"], two["combo_id"]) == (
        "unsigned",
        "BLOCK-1",
        "BTC-CS-26JUN26-1_2",
    )
    assert (three["sign_rule"], three["venue_implied_vol"]) == ("taker_side", 0.455)
    assert (usdc["price_currency"], usdc["price"], usdc["size_contracts"]) == (
        "USDC",
        1_250.0,
        0.25,
    )
    assert (one["price_currency"], one["price"]) == ("BTC", 0.0125)


def test_chosen_symbols_are_another_request_with_only_their_trades():
    name = "BTC-26JUN26-80000-P"
    deribit = day_tape([trade(1, START), trade(2, START, name)])
    chosen, whole = trades_of(deribit, symbols=[name]), trades_of(deribit)
    assert chosen.rows["symbol"].to_pylist() == [name]
    assert chosen.source_sha256 != whole.source_sha256


def test_pages_of_a_past_session_are_kept_and_not_asked_for_again():
    keep = Memory()
    deribit = day_tape([trade(1, START)])
    first = trades_of(deribit, date(2026, 6, 9), NOW + timedelta(days=2), keep=keep)
    asked = len(deribit.asked)
    again = trades_of(deribit, date(2026, 6, 9), NOW + timedelta(days=2), keep=keep)
    assert len(deribit.asked) == asked
    assert again.rows.equals(first.rows)
    piece = next(name for name in keep if name.startswith("trades-BTC"))
    keep[piece] = b'{"cut off'
    mended = trades_of(deribit, date(2026, 6, 9), NOW + timedelta(days=2), keep=keep)
    assert len(deribit.asked) == asked + 1
    assert mended.rows.equals(first.rows)


def test_of_the_running_session_only_windows_that_are_over_are_kept():
    keep = Memory()
    hours = [trade(i + 1, milliseconds(utc(2026, 6, 10, i))) for i in range(14)]
    trades_of(day_tape(hours), TODAY, keep=keep)
    starts = {int(piece.split("-")[2]) for piece in keep if piece.startswith("trades-BTC")}
    assert starts == {milliseconds(utc(2026, 6, 10, h)) for h in (0, 4, 8)}


# --- blocks and values ------------------------------------------------------------------------


def request_for_quote(number, at_ms, **changes):
    return {
        "id": number,
        "timestamp": at_ms,
        "amount": 10.0,
        "direction": "buy",
        "legs": [
            {"instrument_name": name, "direction": side, "ratio": 1, "price": 0.01}
            for name, side in (("BTC-26JUN26-86000-C", "buy"), ("BTC-26JUN26-90000-C", "sell"))
        ],
        "combo_id": "BTC-CS-26JUN26-86000_90000",
        "index_prices": {"btc_usd": 86_000.0},
    } | changes


def block_market(requests, *, page=2, now=NOW, combos=(), trades=()):
    """Requests for quotes in pages newest first, continued by ``timestamp:id``."""
    deribit = day_tape(list(trades), now=now)

    def answer(_, params):
        if params["currency"] != "BTC":
            return {"block_rfqs": [], "continuation": None}
        mine = sorted(requests, key=lambda r: (-r["timestamp"], -r["id"]))
        token = params.get("continuation")
        marks = [f"{r['timestamp']}:{r['id']}" for r in mine]
        begin = marks.index(token) + 1 if token else 0
        shown = mine[begin : begin + page]
        more = begin + page < len(mine)
        return {"block_rfqs": shown, "continuation": marks[begin + page - 1] if more else None}

    deribit.answers |= {
        "get_block_rfq_trades": answer,
        "get_combos": by_currency(BTC=list(combos)),
    }
    return deribit


def blocks_of(deribit, now=NOW, **more):
    with deribit.provider(now) as provider:
        return provider.blocks(BTC, session_date=YESTERDAY, **more)


def test_requests_are_followed_back_to_the_session_and_no_further():
    hours = [request_for_quote(100 + i, START + (i - 12) * 3_600_000) for i in range(60)]
    deribit = block_market(hours, page=5)
    records = blocks_of(deribit)
    found = set(records.rows["rfq_id"].to_pylist())
    assert found == {str(r["id"]) for r in hours if START <= r["timestamp"] < START + 86_400_000}
    asked = [p for _, method, p in deribit.asked if method == "get_block_rfq_trades"]
    assert len([p for p in asked if p["currency"] == "BTC"]) == 10  # of 12


def test_requests_that_cannot_be_followed_back_leave_the_session_incomplete():
    stuck = {"block_rfqs": [request_for_quote(1, START + 86_000_000)], "continuation": "9:9"}
    deribit = block_market([], trades=[trade(1, START)])
    deribit.answers["get_block_rfq_trades"] = by_currency(
        BTC=stuck, USDC={"block_rfqs": [], "continuation": None}
    )
    records = blocks_of(deribit)
    assert codes(records) == ["rfqs_out_of_reach"]
    assert not records.is_complete


def test_what_is_kept_of_a_past_session_is_fetched_again_only_when_damaged():
    keep, later = Memory(), NOW + timedelta(days=2)
    requests = block_market([request_for_quote(1, START)], trades=[trade(1, START)])
    values = value_market(NOW)
    for deribit, ask in ((requests, blocks_of), (values, values_of)):
        first = ask(deribit, now=later, keep=keep)
        asked = len(deribit.asked)
        assert ask(deribit, now=later, keep=keep).rows.equals(first.rows)
        assert len(deribit.asked) == asked
    for piece in keep:
        keep[piece] = b"damaged"
    again = blocks_of(requests, now=later, keep=keep)
    assert again.rows["rfq_id"].to_pylist() == ["1", "1"]
    assert values_of(values, now=later, keep=keep).rows.num_rows == first.rows.num_rows


def test_a_request_that_contradicts_tape_or_combination_is_told():
    request = request_for_quote(7, START)
    leg = trade(
        1,
        START,
        "BTC-26JUN26-86000-C",
        direction="sell",
        block_trade_id="BLOCK-1",
        block_rfq_id=7,
        block_trade_leg_count=2,
    )
    unlike = {"id": request["combo_id"], "legs": [{"instrument_name": "BTC-X", "amount": 1}]}
    records = blocks_of(block_market([request], trades=[leg], combos=[unlike]))
    assert codes(records) == ["rfq_side_disagrees", "rfq_legs_disagree"]
    (got,) = records.rows.to_pylist()
    assert (got["taker_side"], got["rfq_id"], got["legs"]) == ("sell", "7", 2)


def test_blocks_agreed_elsewhere_are_unsigned_and_odd_legs_quarantined():
    legs = [
        trade(1, START, block_trade_id="BLOCK-5", block_trade_leg_count=1),
        trade(2, START, price="?", block_trade_id="BLOCK-6"),
    ]
    priceless = request_for_quote(8, START)
    priceless["legs"][0]["price"] = None
    priceless["legs"][1]["direction"] = "sideways"
    records = blocks_of(block_market([priceless], trades=legs))
    assert conform(tables.BLOCK_TRADES, records.rows).num_rows == 2
    found = {r["block_id"]: r for r in records.rows.to_pylist()}
    assert (found["BLOCK-5"]["sign_rule"], found["BLOCK-5"]["dealer_side"]) == ("unsigned", None)
    assert (found["RFQ-8"]["price"], found["RFQ-8"]["taker_side"]) == (None, "buy")
    assert sorted(records.rejected["reason"].to_pylist()) == ["bad_direction", "not_a_number"]


def candle_pages(first, last, now):
    """DVOL minutes as Deribit pages them: the newest thousand, ascending, and where to go on."""
    begins = [ms for ms in range(first, last + 1, 60_000) if ms <= milliseconds(now)]
    shown = begins[-1000:]
    more = len(begins) > 1000
    rows = [[ms, 40.0, 41.0, 39.0, 40.5] for ms in shown]
    return {"data": rows, "continuation": shown[0] - 60_000 if more else None}


def value_market(now, **changes):
    chart = [[START + i * 300_000, 86_000.0 + i] for i in range(12 * 60)]
    prices = [
        {"date": f"{date(2026, 6, 10) - timedelta(days=i)}", "delivery_price": 85_000.0 + i}
        for i in range(2_500)
    ]
    return Deribit(
        {
            "get_index_chart_data": chart,
            "get_delivery_prices": lambda _, p: {
                "data": prices[int(p["offset"]) : int(p["offset"]) + int(p["count"])],
                "records_total": len(prices),
            },
            "get_volatility_index_data": lambda _, p: candle_pages(
                int(p["start_timestamp"]), int(p["end_timestamp"]), now
            ),
        }
        | changes
    )


def values_of(deribit, session=YESTERDAY, now=NOW, **more):
    with deribit.provider(now) as provider:
        return provider.index_values(BTC, session_date=session, **more)


def test_a_past_session_has_all_its_values_in_decimals():
    deribit = value_market(NOW)
    records = values_of(deribit)
    assert records.is_complete
    assert records.findings == ()
    assert conform(tables.INDEX_VALUES, records.rows).equals(records.rows.combine_chunks())
    assert Counter(records.rows["kind"].to_pylist()) == {
        "spot": 288,
        "settlement": 1,
        "vol_index": 1440,
    }
    vols = records.rows.filter(pc.equal(records.rows["kind"], "vol_index"))
    assert set(vols["value"].to_pylist()) == {0.405}
    assert (pc.min(vols["event_at"]).as_py(), pc.max(vols["event_at"]).as_py()) == (
        utc(2026, 6, 9),
        utc(2026, 6, 9, 23, 59),
    )
    assert ("main.test", "get_volatility_index_data") in {(h, m) for h, m, _ in deribit.asked}
    assert deribit.methods(HISTORY) == []


def test_a_candle_that_is_still_open_is_left_out():
    now = utc(2026, 6, 9, 10, 0, 30)
    records = values_of(value_market(now), now=now)
    vols = records.rows.filter(pc.equal(records.rows["kind"], "vol_index"))
    assert pc.max(vols["event_at"]).as_py() == utc(2026, 6, 9, 10)
    assert not records.is_complete


def test_a_delivery_price_is_found_pages_back():
    session = date(2021, 9, 1)
    deribit = value_market(NOW, get_index_chart_data=[])
    records = values_of(deribit, session)
    (settled,) = [r for r in records.rows.to_pylist() if r["kind"] == "settlement"]
    assert settled["value"] == 85_000.0 + (date(2026, 6, 10) - session).days
    assert settled["event_at"] == utc(2021, 9, 1, 8)
    assert codes(records) == ["index_history_short"]
    (chart,) = [p for _, method, p in deribit.asked if method == "get_index_chart_data"]
    assert chart["range"] == "all"


@pytest.mark.parametrize(
    ("back", "name"),
    [(0, "1d"), (1, "2d"), (9, "1m"), (100, "1y"), (900, "all")],
)
def test_the_shortest_chart_that_reaches_is_asked_for(back, name):
    deribit = value_market(NOW)
    values_of(deribit, TODAY - timedelta(days=back))
    (chart,) = [p for _, method, p in deribit.asked if method == "get_index_chart_data"]
    assert (chart["range"], chart["index_name"]) == (name, "btc_usd")


def test_one_method_that_fails_costs_its_values_only():
    records = values_of(value_market(NOW, get_index_chart_data=lambda *_: error(13028, "busy")))
    assert codes(records) == ["values_missing", "index_history_short"]
    assert not records.is_complete
    assert set(records.rows["kind"].to_pylist()) == {"settlement", "vol_index"}
    with pytest.raises(ProviderError):
        values_of(Deribit())


def test_coarse_missing_and_garbled_values_are_told():
    hourly = [[START + i * 3_600_000, 86_000.0] for i in range(24)] + [[None, 1.0], [START, "?"]]
    deribit = value_market(
        NOW,
        get_index_chart_data=hourly,
        get_delivery_prices={"data": [], "records_total": 0},
        get_volatility_index_data={"data": [], "continuation": None},
    )
    records = values_of(deribit)
    assert codes(records) == [
        "index_history_coarse",
        "delivery_price_missing",
        "vol_index_missing",
    ]
    assert records.rows.num_rows == 24
    garbled = values_of(value_market(NOW, get_volatility_index_data={"data": [[1, 2]]}))
    assert "expected a list of lists" in text_of(garbled, "values_missing")


# --- listing and open interest ----------------------------------------------------------------


def listing_of(current, expired, session, now=NOW):
    deribit = Deribit(
        {
            "get_instruments": lambda _, p: (
                []
                if p["currency"] == "USDC"
                else [
                    instrument(*one) if isinstance(one, tuple) else one
                    for one in (expired if p["expired"] == "true" else current)
                ]
            )
        }
    )
    with deribit.provider(now) as provider:
        return provider.listing(BTC, session_date=session)


def test_a_session_lists_the_contracts_whose_life_covers_it():
    born = milliseconds(utc(2026, 6, 10, 8))
    early = milliseconds(utc(2026, 6, 9, 8, 0, 30))
    current = [
        instrument("BTC-26JUN26-90000-C"),
        instrument("BTC-12JUN26-90000-C", creation_timestamp=early),
        instrument("BTC-13JUN26-90000-C", creation_timestamp=born),
        instrument("BTC-10JUN26-90000-C"),  # on both lists
    ]
    expired = [
        instrument("BTC-10JUN26-90000-C", state="archivized"),
        instrument("BTC-9JUN26-90000-C", state="archivized"),
        instrument("BTC-8JUN26-90000-C", state="archivized"),
    ]
    records = listing_of(current, expired, YESTERDAY)
    assert records.is_complete
    assert records.findings == ()
    found = {r["symbol"]: r for r in records.rows.to_pylist()}
    assert set(found) == {
        "BTC-26JUN26-90000-C",
        "BTC-12JUN26-90000-C",
        "BTC-10JUN26-90000-C",
        "BTC-9JUN26-90000-C",
    }
    assert found["BTC-12JUN26-90000-C"]["known_at"] == utc(2026, 6, 9, 8, 0, 30)
    assert found["BTC-26JUN26-90000-C"]["known_at"] == utc(2026, 6, 9)


@pytest.mark.parametrize("expired", [[], [instrument("BTC-9JUN26-90000-C")]])
def test_an_old_session_tells_that_expired_contracts_are_forgotten(expired):
    records = listing_of([instrument("BTC-26JUN26-90000-C")], expired, date(2026, 6, 1))
    assert codes(records) == ["expired_listing_out_of_reach"]
    assert not records.is_complete


def test_open_interest_of_another_day_is_refused():
    with market().provider(NOW) as provider:
        assert provider.open_interest(BTC, session_date=TODAY).is_complete
        with pytest.raises(NoDataError, match="of now"):
            provider.open_interest(BTC, session_date=YESTERDAY)


# --- probe ------------------------------------------------------------------------------------


def test_a_probe_tells_what_each_source_has():
    deribit = market(
        get_time=milliseconds(NOW - timedelta(seconds=2)),
        get_volatility_index_data={"data": [[milliseconds(NOW) - 90_000, 40, 41, 39, 40.0]]},
    )
    deribit.answers[tape.METHOD] = {"trades": [], "has_more": False}
    with deribit.provider(NOW) as provider:
        clock, chain, dvol, history = provider.probe(BTC, now=NOW)
    assert "2.0 s behind" in clock.detail
    assert (chain.data_at, chain.server_time) == (NOW, NOW - timedelta(seconds=2))
    assert "0.4000" in dvol.detail
    assert "no trade" in history.detail
    assert all(one.is_reachable and one.is_entitled for one in (clock, chain, dvol, history))


def test_a_probe_of_a_dead_host_asks_once_and_raises_nothing():
    def dead(request):
        asked.append(request.url.path)
        raise httpx.ConnectError("no route")

    asked = []
    provider = DeribitProvider(
        transport=httpx.MockTransport(dead), patience=Patience(sleep=lambda _: None)
    )
    found = provider.probe(BTC, now=NOW)
    provider.close()
    assert [one.is_reachable for one in found] == [False] * 4
    assert len(asked) == 4
    assert all("no route" in one.detail for one in found)


# --- reading forgives -------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.none(), max_size=2)
)
def test_any_json_value_reads_as_a_number_nan_or_infinity(value):
    one = number(value)
    many = numbers([{"x": value}, {}, {"x": 1}], "x")
    assert isinstance(one, float)
    np.testing.assert_array_equal(many, [one, np.nan, 1.0])


# --- the test exchange ------------------------------------------------------------------------

MORNING = utc(2026, 6, 10, 2, 10, 20)
FREE = Limits(instruments_burst=1e6, history_burst=1e6, credits=1e9)


@pytest.fixture(scope="module")
def world():
    return World(VirtualClock(MORNING), density=0.1, options=(FREE,))


@pytest.fixture(scope="module")
def exchange(world):
    with running(world) as url:
        yield url


@pytest.fixture
def provider(world, exchange):
    world.clock.set(MORNING)
    made = DeribitProvider(
        base_url=exchange,
        history_url=f"{exchange}/history",
        per_second=1e6,
        history_per_second=1e6,
        patience=Patience(attempts=2, first_pause_seconds=0.0, sleep=lambda _: None),
        clock=world.clock.now,
    )
    yield made
    made.close()
    world.faults.clear()


def test_the_exchange_gives_a_whole_chain_of_both_families(world, provider):
    taken = provider.snapshot(BTC, at=MORNING)
    assert taken.findings == ()
    assert not taken.is_partial
    assert conform(tables.CHAIN_SNAPSHOTS, taken.rows).num_rows == taken.rows.num_rows
    assert set(taken.rows["root"].to_pylist()) == {"BTC", "BTC_USDC"}
    ours = taken.rows.filter(pc.equal(taken.rows["root"], "BTC"))
    theirs = world.chain("BTC")
    assert ours["symbol"].to_pylist() == theirs["symbol"].to_pylist()
    np.testing.assert_allclose(
        ours["open_interest_contracts"].to_numpy(), theirs["open_interest_contracts"].to_numpy()
    )
    forward = ours["venue_forward"].to_numpy() / theirs["venue_forward"].to_numpy()
    np.testing.assert_allclose(forward, 1.0, atol=2e-3)


def test_at_the_expiry_hour_the_expiring_series_leaves_the_chain(world, provider):
    world.clock.set(utc(2026, 6, 10, 7, 59, 50))
    before = provider.snapshot(BTC, at=world.clock.now())
    world.clock.set(utc(2026, 6, 10, 8, 0, 10))
    after = provider.snapshot(BTC, at=world.clock.now())
    gone = set(before.rows["symbol"].to_pylist()) - set(after.rows["symbol"].to_pylist())
    assert gone
    assert all("-10JUN26-" in name for name in gone)
    assert before.event_at == utc(2026, 6, 10, 7, 59)
    assert "expired_left_out" in codes(after)
    assert not after.is_partial


@pytest.mark.parametrize(
    "fault",
    [
        "deribit_too_many_requests",
        "deribit_error",
        "deribit_truncated",
        "deribit_cut",
        "deribit_503",
        "deribit_html",
        "deribit_empty",
        "deribit_429",
    ],
)
def test_a_fault_of_the_exchange_that_passes_is_outlived(world, provider, fault):
    world.faults.arm(fault, where="get_book_summary_by_currency")
    taken = provider.snapshot(BTC, at=MORNING)
    assert world.faults.taken
    assert taken.findings == ()


def test_maintenance_of_the_exchange_is_called_so(world, provider):
    world.faults.arm("deribit_maintenance", times=None)
    with pytest.raises(ProviderUnavailableError, match="maintenance"):
        provider.snapshot(BTC, at=MORNING)
    probes = provider.probe(BTC, now=MORNING)
    assert probes[0].is_reachable
    assert any("maintenance" in probe.detail for probe in probes)


def test_trades_of_the_running_day_are_the_markets_own(world, provider):
    records = provider.trades(BTC, session_date=TODAY)
    assert not records.is_complete
    assert records.rejected.num_rows == 0
    assert conform(tables.OPTION_TRADES, records.rows).num_rows == records.rows.num_rows
    coin = records.rows.filter(pc.equal(records.rows["root"], "BTC"))
    theirs = world.market.trades(BTC, session_date=TODAY).rows
    until = pc.less_equal(theirs["event_at"], pc.cast(MORNING, theirs["event_at"].type))
    wanted = theirs.filter(until).sort_by("trade_id")
    got = coin.sort_by("trade_id")
    for name in ("trade_id", "symbol", "price", "size_contracts", "taker_side", "block_id"):
        assert got[name].to_pylist() == wanted[name].to_pylist(), name
    np.testing.assert_allclose(
        got["venue_implied_vol"].to_numpy(), wanted["venue_implied_vol"].to_numpy(), atol=1e-4
    )
    assert set(records.rows["root"].to_pylist()) == {"BTC", "BTC_USDC"}


def test_values_of_the_exchange_agree_with_its_market(world, provider):
    records = provider.index_values(BTC, session_date=YESTERDAY)
    rows = [r for r in records.rows.to_pylist() if r["kind"] == "vol_index"]
    assert len(rows) == 1440
    assert all(0.05 < r["value"] < 3.0 for r in rows)
    assert all(a["event_at"] < b["event_at"] for a, b in pairwise(rows))
    (settled,) = [r["value"] for r in records.rows.to_pylist() if r["kind"] == "settlement"]
    assert settled == pytest.approx(world.spot("BTC", utc(2026, 6, 9, 8)), rel=0.01)


def test_what_the_exchange_lists_is_what_its_chain_has(provider):
    listed = provider.listing(BTC, session_date=TODAY)
    chain = provider.snapshot(BTC, at=MORNING)
    assert set(chain.rows["symbol"].to_pylist()) <= set(listed.rows["symbol"].to_pylist())
    held = provider.open_interest(BTC, session_date=TODAY)
    assert held.is_complete
    assert pc.sum(held.rows["open_interest_contracts"]).as_py() == pytest.approx(
        pc.sum(chain.rows["open_interest_contracts"]).as_py()
    )
