"""Every recorded sample is parsed exactly, or refused with its reason: one table of all of them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest

from dealer_assets.errors import BadInputError, DealerError
from dealer_assets.providers.files import format_names, sniff_chain_file
from dealer_assets.providers.record_files import (
    is_record_file,
    read_record_file,
    record_format_names,
    sniff_record_file,
)
from dealer_assets_tests.providers.sample_readers import CONTRACT, READERS, frames_of, kind_of

DROPPED = {*format_names(), *record_format_names()}
"""Formats that users drop as files, told by their content; all others answer a question of ours."""


@dataclass(frozen=True)
class Parsed:
    """Read by the named format: number of rows, values of the first, rows rejected by reason."""

    format_name: str
    rows: int
    first: dict[str, Any] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    findings: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refused:
    """Refused as a whole by the named format, for the reason that the pattern names."""

    format_name: str
    pattern: str


@dataclass(frozen=True)
class Document:
    """Words about payloads, and no payload."""

    what: str


@dataclass(frozen=True)
class LaterClient:
    """What a client that is not there yet will read or send: number of frames by their kind."""

    reason: str
    kinds: dict[str, int]


STREAMING, NOTIFICATIONS = "client of the streaming issue", "client of the notifications issue"
VENDORS, OURS = "the vendor's documentation (OpenAPI)", "a note on the samples beside it"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def streamed(**kinds: int) -> LaterClient:
    return LaterClient(STREAMING, kinds)


NO_CONTRACTS = "expected options of an underlying in the registry, found roots "
PACKAGE = Parsed("deribit_trades", 0, findings=frozenset({"packages_left_out"}))
"""A combination's print: its legs are printed once more by themselves, and count there."""
OF_2024 = {"name": "BTC-27DEC24-100000-C", "size": 1.0, "expires_at": utc(2024, 12, 27, 12)}
DAY_BAR = {"ticker": "O:A260618C00100000", "open": 16.2, "close": 16.2, "volume": 3.0}

SAMPLES: dict[str, Parsed | Refused | Document | LaterClient] = {
    "README.md": Document(OURS),
    **{f"{of}/README.txt": Document(OURS) for of in ("dtcc", "flatfiles", "occ", "rates")},
    "deribit/openapi_public.json": Document(VENDORS),
    "polygon/spec_rest_openapi.json": Document(VENDORS),
    "polygon/spec_websocket_openapi.json": Document(VENDORS),
    "apprise/captured_requests.json": LaterClient(
        NOTIFICATIONS,
        dict.fromkeys(("pushover", "telegram", "slack", "discord", "json", "jsonauth", "form"), 1),
    ),
    # --- Cboe, OCC, DTCC, rates
    "cboe/_RUT_delayed_quotes_trimmed_real.json": Refused("cboe_json", "duplicate_contract 5"),
    "cboe/spx_quotedata_csv_head_real.csv": Parsed(
        "cboe_csv", 72, {"symbol": "SPXW221212C01000000", "last_price": 2943.2, "spot": 3990.5601}
    ),
    "occ/volume_query_sample.csv": Refused("occ", NO_CONTRACTS + "2XLK, XLK"),
    "dtcc/cftc_forex_options_rows_2026-10-01.csv": Parsed(
        "dtcc", 4, {"underlying": "AUDJPY", "notional": 3.4e9, "premium": 251271.4125}
    ),
    "rates/fred_graph_multi.csv": Parsed(
        "reference_rates", 6, {"series": "DGS10", "rate": 0.046, "known_at": utc(2026, 8, 24, 22)}
    ),
    "rates/nyfed_effr_search_shape.json": Parsed(
        "reference_rates", 1, {"series": "EFFR", "rate": 0.0433, "volume_usd": 2015e9}
    ),
    "rates/treasury_par_yield_2026.csv": Parsed(
        "par_yields", 3, {"date": date(2026, 9, 30), "tenors": 14, "one_month": 0.0402}
    ),
    # --- Deribit over REST
    "deribit/nautilus/http_get_combos.json": Parsed(
        "deribit_combos",
        6,
        {
            "combo": "BTC-BOX-25DEC26-58000_60000",
            "legs": {
                "BTC-25DEC26-58000-C": 1.0, "BTC-25DEC26-58000-P": -1.0,
                "BTC-25DEC26-60000-C": -1.0, "BTC-25DEC26-60000-P": 1.0,
            },
        },
    ),
    "deribit/nautilus/http_get_instrument.json": Parsed("deribit_instruments", 0),  # perpetual
    "deribit/nautilus/http_get_instrument_option.json": Parsed("deribit_instruments", 1, OF_2024),
    "deribit/nautilus/http_get_instruments.json": Parsed("deribit_instruments", 1, OF_2024),
    "deribit/nautilus/http_get_instruments_option_combo.json": Parsed("deribit_instruments", 0),
    "deribit/nautilus/http_get_last_trades.json": Parsed("deribit_trades", 0),  # ETH perpetual
    "deribit/nautilus/http_get_last_trades_historical_combo.json": PACKAGE,
    "deribit/nautilus/http_get_last_trades_option_combo.json": PACKAGE,
    "deribit/nautilus/http_get_order_book.json": Parsed(
        "deribit_reply", 1, {"instrument_name": "BTC-PERPETUAL", "best_bid_price": 87002.5}
    ),
    "deribit/nautilus/http_get_expirations_btc_option.json": Parsed("deribit_reply", 1),
    "deribit/nautilus/http_get_time.json": Parsed("deribit_reply", 1, {"result": 1733338800000}),
    "deribit/nautilus/http_test.json": Parsed("deribit_reply", 1, {"version": "1.2.26"}),
    "deribit/recorded/block_trade_option_recorded.json": Parsed(
        "deribit_trades", 1, {"symbol": "BTC-1AUG26-63000-C", "price": 0.0008, "taker_side": "buy"}
    ),
    "deribit/recorded/rest_book_summary_option_rows_2025-01-17.json": Parsed(
        "deribit_chain", 2, {"symbol": "BTC-31JAN25-92000-P", "bid": 0.018 * 99_067.37}
    ),
    # --- Deribit's frames: replies and trades are those of REST, channels are not
    "deribit/nautilus/ws_error.json": Refused("deribit_reply", "10028 too_many_requests"),
    "deribit/nautilus/ws_subscribe_response.json": Parsed(
        "deribit_reply", 2, {"result": "trades.BTC-PERPETUAL.100ms"}
    ),
    "deribit/nautilus/ws_trades.json": Parsed("deribit_trades", 0),  # perpetual
    "deribit/nautilus/ws_trades_option_combo.json": PACKAGE,
    "deribit/nautilus/ws_book_delta.json": streamed(book=1),
    "deribit/nautilus/ws_book_grouped_snapshot.json": streamed(book=1),
    "deribit/nautilus/ws_book_snapshot.json": streamed(book=1),
    "deribit/nautilus/ws_quote.json": streamed(quote=1),
    "deribit/nautilus/ws_test_request.json": streamed(heartbeat=1),
    "deribit/nautilus/ws_ticker.json": streamed(ticker=1),
    "deribit/nautilus/ws_volatility_index.json": streamed(deribit_volatility_index=1),
    "deribit/recorded/ws_option_tickers_recorded.jsonl": streamed(ticker=3, data=2),
    "deribit/recorded/ws_frames_probe_2026-09-23.jsonl": LaterClient(
        STREAMING,
        {
            "public/subscribe": 1, "public/set_heartbeat": 1, "public/test": 1, "heartbeat": 1,
            "result": 2, "error": 2, "book": 2, "markprice": 1, "data": 1,
        },
    ),
    "deribit/cryptofeed/ws_session_2021-07-22_trimmed.txt": LaterClient(
        STREAMING, {"public/subscribe": 1, "result": 1, "ticker": 34, "book": 24}
    ),
    # --- flat files; two of them hold rows of an older day too
    "flatfiles/us_options_opra_day_aggs_v1_rows.csv": Parsed(
        "flatfiles", 1, DAY_BAR | {"instant_ns": 1779422400000000000}, {"other_day": 1}
    ),
    "flatfiles/us_options_opra_minute_aggs_v1_row.csv": Parsed(
        "flatfiles", 1, DAY_BAR | {"instant_ns": 1779458460000000000}
    ),
    "flatfiles/us_options_opra_quotes_v1_rows.csv": Parsed(
        "flatfiles",
        1,
        {"bid_price": 45.3, "ask_price": 0.0, "bid_exchange": "320"},
        {"other_day": 3},
    ),
    "flatfiles/us_options_opra_trades_v1_row_2026-05-22.csv": Parsed(
        "flatfiles", 1, {"price": 16.2, "size": 3.0, "conditions": "227", "correction": 0}
    ),
    # --- Polygon: pages name no ticker, so a share's are read like those of an option of it
    "polygon/v1_marketstatus_now.json": Parsed(
        "polygon_status",
        1,
        {"market": "extended-hours", "server_time": utc(2022, 4, 28, 20, 48, 8)},
    ),
    "polygon/v1_marketstatus_upcoming.json": Parsed(
        "polygon_holidays", 14, {"exchange": "NYSE", "day": date(2022, 5, 30), "is_closed": True}
    ),
    "polygon/v2_aggs_AAPL_prev.json": Parsed(
        "polygon_close", 1, {"value": 156.8, "at": utc(2022, 4, 26, 20)}
    ),
    "polygon/v2_aggs_AAPL_range.json": Parsed("polygon_bars", 0, {}, {"other_session": 2}),
    "polygon/v3_quotes_AAPL_page1.json": Parsed(
        "polygon_quotes",
        10,
        {"symbol": CONTRACT, "bid": 155.86, "ask": 155.87, "sequence": 19288166},
    ),
    "polygon/v3_trades_AAPL.json": Parsed("polygon_trades", 0, {}, {"other_session": 2}),
    "polygon/v3_reference_conditions_stocks.json": Refused("polygon_listing", NO_CONTRACTS),
    "polygon/v3_reference_exchanges.json": Refused("polygon_listing", NO_CONTRACTS),
    "polygon/v3_reference_options_contract_single.json": Refused(
        "polygon_listing", "an answer without results"
    ),
    "polygon/v3_reference_options_contracts_page1.json": Refused(
        "polygon_listing", NO_CONTRACTS + "A;"
    ),
    "polygon/v3_reference_options_contracts_page2.json": Refused(
        "polygon_listing", NO_CONTRACTS + "A;"
    ),
    "polygon/v3_snapshot_indices_NOT_FOUND_NOT_ENTITLED.json": Parsed(
        "polygon_index",
        1,
        {"ticker": "SPX", "value": 3822.39},
        {"NoDataError": 1, "NotEntitledError": 1},
    ),
    "polygon/v3_snapshot_options_AAPL.json": Parsed(
        "polygon_chain", 1, {"symbol": CONTRACT, "bid": 28.9, "open_interest_contracts": 8133.0}
    ),
    "polygon/v3_snapshot_options_AAPL_contract.json": Refused(
        "polygon_chain", "an answer without results"
    ),
    "polygon/v3_snapshot_unified.json": Parsed(
        "polygon_chosen", 2, {"symbol": "NCLH221014C00005000", "bid": 20.9}, {"not_found": 1}
    ),
    "polygon/recorded/rest_recorded_bodies.json": Parsed(
        "polygon_recorded",
        3,
        {"symbol": "SPXW260828C07735000", "close": 0.03, "volume_contracts": 76997.0},
        {"GarbledAnswerError": 1, "NoDataError": 1, "NotEntitledError": 1},
    ),
    "polygon/recorded/ws_status_frames_recorded.jsonl": streamed(
        connected=1, auth_success=1, success=2, max_connections=1, error=1
    ),
    # --- tardis
    "tardis/options_chain.csv": Parsed(
        "tardis", 3, {"symbol": "BTC-9JUN20-9875-P", "bid": 0.0207 * 9758.37}
    ),
    **{
        f"tardis/{name}": Refused("tardis_trades", pattern)
        for name, pattern in {
            "derivative_ticker_1.csv": "expected trades with a side",
            "disconnect.json": "single disconnect message of deribit .*marks a gap",
            "instrument_combo.json": "combo message .* no listing of a session",
            "instrument_option.json": "option message .* no listing of a session",
            "option_book_snapshot.json": "book_snapshot message .* forward",
            "option_summary.json": "option_summary message .* one contract is no chain",
            "replay_options.json": "replay request .* holds none",
            "trade.json": "single trade message of bitmex XBTUSD",
            "trades_1.csv": "expected the exchange 'deribit', found 'bitmex'",
        }.items()
    },
}  # fmt: skip


def of_kind(*kinds):
    return [name for name, expected in SAMPLES.items() if isinstance(expected, kinds)]


def test_every_sample_is_listed(shared_samples):
    paths = (path for path in shared_samples.rglob("*") if path.is_file())
    assert {path.relative_to(shared_samples).as_posix() for path in paths} == set(SAMPLES)


@pytest.mark.parametrize("name", of_kind(Parsed))
def test_a_sample_is_parsed_exactly(shared_samples, name):
    expected = SAMPLES[name]
    found = READERS[expected.format_name](shared_samples / name)
    assert len(found.rows) == expected.rows
    first = found.rows[0] if found.rows else {}
    assert {column: first.get(column) for column in expected.first} == {
        column: pytest.approx(value) if isinstance(value, float) else value
        for column, value in expected.first.items()
    }
    assert found.rejected == expected.rejected
    assert expected.findings <= found.findings


@pytest.mark.parametrize("name", of_kind(Refused))
def test_a_sample_is_refused_with_its_reason(shared_samples, name):
    expected, path = SAMPLES[name], shared_samples / name
    with pytest.raises(DealerError, match=expected.pattern) as refusal:
        READERS[expected.format_name](path)
    assert expected.format_name not in DROPPED or path.name in str(refusal.value)


@pytest.mark.parametrize("name", of_kind(Parsed, Refused))
def test_a_sample_is_told_by_its_content_when_users_drop_it_and_else_taken_for_nothing(
    shared_samples, name
):
    path, format_name = shared_samples / name, SAMPLES[name].format_name
    head = path.read_bytes()[:4096]
    chain, records = sniff_chain_file(head, path.name), sniff_record_file(head, path.name)
    assert (chain or records) == (format_name if format_name in DROPPED else None)
    assert is_record_file(path) == (chain is None)


@pytest.mark.parametrize("name", of_kind(Document, LaterClient))
def test_a_sample_that_is_no_data_is_refused_when_it_is_dropped(shared_samples, name):
    with pytest.raises(BadInputError, match="found none of these formats"):
        read_record_file(shared_samples / name)


@pytest.mark.parametrize("name", [name for name in of_kind(Document) if name.endswith(".json")])
def test_a_vendors_document_describes_paths_and_holds_no_payload(shared_samples, name):
    assert SAMPLES[name].what == VENDORS
    assert "paths" in json.loads((shared_samples / name).read_text())


@pytest.mark.parametrize("name", of_kind(LaterClient))
def test_a_sample_for_a_later_client_has_its_frames(shared_samples, name):
    frames = frames_of(shared_samples / name)
    kinds = [kind_of(frame) for frame in frames]
    if SAMPLES[name].reason == NOTIFICATIONS:
        kinds = [service for service, requests in frames[0].items() for _ in requests]
    assert {kind: kinds.count(kind) for kind in kinds} == SAMPLES[name].kinds
