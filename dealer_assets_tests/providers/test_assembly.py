"""Assembly: which rows are believed, what the snapshot says, and what it finds odd."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, strategies as st

from dealer_assets import tables
from dealer_assets.domain.coverage import chain_coverage
from dealer_assets.domain.instruments import Contract, parse_osi
from dealer_assets.errors import BadInputError, UndatedChainError, UnknownUnderlyingError
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.symbol_columns import read_symbols
from dealer_assets.underlyings import underlying

SPOT = 100.0
SESSION = date(2023, 5, 10)
EVENING = datetime(2023, 5, 10, 22, 0, tzinfo=UTC)
STRIKES = range(60, 145, 5)


def raw_chain(root="SPY", *, first=SESSION, expiries=14, step_days=14, **changes):
    """A made-up sound chain: intrinsic value plus one, both sides quoted 0.1 apart."""
    contracts = [
        Contract(root, first + timedelta(days=step_days * i), right, float(strike))
        for i in range(expiries)
        for strike in STRIKES
        for right in ("call", "put")
    ]
    worth = np.array(
        [1 + max(0.0, (SPOT - c.strike) * (1 if c.right == "call" else -1)) for c in contracts]
    )
    count = len(contracts)
    floats = {
        "bid": worth - 0.05,
        "ask": worth + 0.05,
        "last_price": worth,
        "volume_contracts": np.full(count, 3.0),
        "open_interest_contracts": np.full(count, 7.0),
        "vendor_implied_vol": np.full(count, 0.2),
    }
    raw = RawChain(
        provider="made_up",
        source_name=f"{root}_quotes.csv",
        source_sha256="0" * 64,
        symbols=[c.osi for c in contracts],
        floats=floats,
        row_numbers=np.arange(1, count + 1, dtype=np.int64),
        raw_texts=[c.osi for c in contracts],
        downloaded_at=EVENING,
        spot=SPOT,
    )
    return replace(raw, **changes)


def with_cell(raw, column, value, *, row=5):
    values = raw.floats[column].copy()
    values[row] = value
    return replace(raw, floats={**raw.floats, column: values})


def with_symbol(raw, symbol, *, row=5):
    symbols = list(raw.symbols)
    symbols[row] = symbol
    return replace(raw, symbols=symbols)


def codes(snapshot):
    return [finding.code for finding in snapshot.findings]


def test_a_sound_chain_becomes_a_typed_sorted_snapshot_without_findings():
    raw = raw_chain()
    snapshot = assemble(raw)
    key = [(name, "ascending") for name in tables.CHAIN_SNAPSHOTS.key]

    assert snapshot.underlying == "SPY"
    assert snapshot.session_date == SESSION
    assert snapshot.event_at == datetime(2023, 5, 10, 20, 15, tzinfo=UTC)
    assert snapshot.known_at == EVENING
    assert not snapshot.is_partial
    assert codes(snapshot) == []
    assert snapshot.rows.schema.equals(tables.CHAIN_SNAPSHOTS.schema)
    assert snapshot.rejected.schema.equals(tables.REJECTED_ROWS.schema)
    assert snapshot.rows.equals(snapshot.rows.sort_by(key))
    assert sorted(snapshot.rows["symbol"].to_pylist()) == sorted(raw.symbols)


def test_every_row_keeps_its_own_quotes():
    raw = raw_chain()
    rows = assemble(raw).rows
    bids = dict(zip(rows["symbol"].to_pylist(), rows["bid"].to_pylist(), strict=True))

    assert bids == dict(zip(raw.symbols, raw.floats["bid"].tolist(), strict=True))


def test_contract_columns_come_from_symbol_and_root():
    rows = assemble(raw_chain()).rows
    first = rows.slice(0, 1).to_pylist()[0]

    assert first["symbol"] == "SPY230510C00060000"
    assert (first["root"], first["right"], first["strike"]) == ("SPY", "call", 60.0)
    assert first["expiry_date"] == SESSION
    assert first["expires_at"] == datetime(2023, 5, 10, 20, 0, tzinfo=UTC)
    assert (first["exercise"], first["settlement"]) == ("american", "pm")
    assert first["multiplier"] == 100.0
    assert (first["spot"], first["spot_source"]) == (SPOT, "last_trade")


def test_what_the_vendor_left_out_is_null_and_what_it_printed_as_zero_stays_zero():
    raw = with_cell(with_cell(raw_chain(), "bid", 0.0), "open_interest_contracts", np.nan)
    row = next(row for row in assemble(raw).rows.to_pylist() if row["symbol"] == raw.symbols[5])

    assert row["bid"] == 0.0
    assert row["open_interest_contracts"] is None
    assert row["vendor_gamma"] is None
    assert row["bid_size_contracts"] is None
    assert row["last_trade_at"] is None


def test_trade_instants_are_utc_and_null_where_unknown():
    raw = raw_chain()
    instants = np.full(len(raw.symbols), np.datetime64("NaT"), "datetime64[us]")
    instants[0] = np.datetime64("2023-05-10T18:30:00")
    rows = assemble(replace(raw, last_trade_at=instants)).rows
    known = rows.filter(pc.is_valid(rows["last_trade_at"]))

    assert known["symbol"].to_pylist() == [raw.symbols[0]]
    assert known["last_trade_at"].to_pylist() == [datetime(2023, 5, 10, 18, 30, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("bad_symbol", lambda raw: with_symbol(raw, "")),
        ("bad_symbol", lambda raw: with_symbol(raw, "SPY230231C00060000")),
        ("bad_strike", lambda raw: with_symbol(raw, "SPY230510C00000000")),
        ("unknown_root", lambda raw: with_symbol(raw, "QQQX230510C00060000")),
        ("not_a_number", lambda raw: with_cell(raw, "bid", np.inf)),
        ("not_a_number", lambda raw: with_cell(raw, "open_interest_contracts", np.inf)),
        ("negative_open_interest", lambda raw: with_cell(raw, "open_interest_contracts", -1.0)),
        ("negative_price", lambda raw: with_cell(raw, "ask", -0.01)),
        ("negative_price", lambda raw: with_cell(raw, "last_price", -0.01)),
        ("negative_volume", lambda raw: with_cell(raw, "volume_contracts", -1.0)),
        ("crossed_quote", lambda raw: with_cell(raw, "bid", 1000.0)),
        ("duplicate_contract", lambda raw: with_symbol(raw, raw.symbols[4])),
        ("adjusted_root", lambda raw: with_symbol(raw, "SPY1230510C00060000")),
        ("adjusted_root", lambda raw: with_symbol(raw, "4SPY230510C00060000")),
    ],
)
def test_a_row_that_cannot_be_believed_is_quarantined_with_its_reason(reason, spoil):
    raw = spoil(raw_chain())
    snapshot = assemble(raw)

    assert snapshot.rejected["reason"].to_pylist() == [reason]
    assert snapshot.rejected["row_number"].to_pylist() == [6]
    assert snapshot.rejected["symbol"].to_pylist() == [raw.symbols[5] or None]
    assert snapshot.rejected["raw_text"].to_pylist() == [raw.raw_texts[5]]
    assert snapshot.rows.num_rows == len(raw.symbols) - 1


def test_a_declared_expiry_that_differs_from_the_symbol_is_quarantined():
    raw = raw_chain()
    declared = [parse_osi(symbol).expiry_date for symbol in raw.symbols]
    declared[5] = date(2030, 1, 1)
    declared[6] = None
    snapshot = assemble(replace(raw, declared_expiries=declared))

    assert snapshot.rejected["reason"].to_pylist() == ["expiry_mismatch"]
    assert snapshot.rejected["row_number"].to_pylist() == [6]


def test_the_first_row_of_a_repeated_contract_is_kept():
    raw = with_symbol(raw_chain(), raw_chain().symbols[4])
    rows = assemble(raw).rows
    kept = rows.filter(pc.equal(rows["symbol"], raw.symbols[4]))

    assert kept["bid"].to_pylist() == [raw.floats["bid"][4]]


def test_a_no_bid_quote_and_a_locked_market_are_no_crossed_quotes():
    raw = with_cell(raw_chain(), "bid", raw_chain().floats["ask"][5])
    raw = with_cell(with_cell(raw, "ask", 0.0, row=8), "bid", 0.0, row=8)

    assert assemble(raw).rejected.num_rows == 0


def test_long_raw_text_is_shortened():
    raw = with_symbol(raw_chain(), "?")
    texts = list(raw.raw_texts)
    texts[5] = "x" * 900

    assert assemble(replace(raw, raw_texts=texts)).rejected["raw_text"].to_pylist() == ["x" * 500]


def test_one_per_cent_of_bad_rows_is_tolerated_and_more_refuses_the_file():
    raw = raw_chain()
    allowed = len(raw.symbols) // 100
    bids = raw.floats["bid"].copy()
    bids[:allowed] = np.inf
    tolerated = assemble(replace(raw, floats={**raw.floats, "bid": bids}))
    bids = bids.copy()
    bids[allowed] = np.inf
    open_interest = raw.floats["open_interest_contracts"].copy()
    open_interest[-1] = -2.0
    floats = {**raw.floats, "bid": bids, "open_interest_contracts": open_interest}

    assert tolerated.rejected.num_rows == allowed
    with pytest.raises(BadInputError, match=r"not_a_number 5, negative_open_interest 1.*row 1,"):
        assemble(replace(raw, floats=floats))


def test_adjusted_roots_do_not_count_against_the_file():
    raw = raw_chain()
    symbols = [s.replace("SPY", "SPY1") if i % 4 == 0 else s for i, s in enumerate(raw.symbols)]
    snapshot = assemble(replace(raw, symbols=symbols))

    assert set(snapshot.rejected["reason"].to_pylist()) == {"adjusted_root"}
    assert snapshot.rejected.num_rows == len(symbols) / 4


def test_no_rows_are_refused():
    empty = replace(raw_chain(expiries=0), symbols=[], raw_texts=[])

    with pytest.raises(BadInputError, match="expected option rows, found none"):
        assemble(empty)


def test_only_unreadable_symbols_are_refused():
    raw = raw_chain()

    with pytest.raises(BadInputError, match="found none that can be read"):
        assemble(replace(raw, symbols=["?"] * len(raw.symbols)))


def test_unlisted_roots_are_refused_with_what_to_do():
    with pytest.raises(UnknownUnderlyingError, match=r"ZZZ.*Add it to an entry"):
        assemble(raw_chain("ZZZ"))


def test_rows_of_two_underlyings_are_refused():
    with pytest.raises(BadInputError, match="options on QQQ, SPY: split the file"):
        assemble(with_symbol(raw_chain(), "QQQ230510C00060000"))


def test_padded_and_prefixed_symbols_are_written_in_the_canonical_form():
    raw = raw_chain()
    symbols = [f"O:{s}" if i % 2 else s.replace("SPY", "SPY   ") for i, s in enumerate(raw.symbols)]

    assert assemble(replace(raw, symbols=symbols)).rows.equals(assemble(raw).rows)


def test_deribit_names_are_read_and_settle_at_eight_utc():
    names = [
        f"BTC-{day}-{strike}-{letter}"
        for day in ("14APR26", "15APR26", "24APR26", "29MAY26", "25DEC26")
        for strike in (60000, 70000, 80000)
        for letter in "CP"
    ]
    count = len(names)
    now = datetime(2026, 4, 13, 5, 31, tzinfo=UTC)
    raw = RawChain(
        provider="made_up",
        source_name="btc.csv",
        source_sha256="0" * 64,
        symbols=names,
        floats={
            "bid": np.full(count, 9.0),
            "ask": np.full(count, 9.5),
            "open_interest_contracts": np.full(count, 2.5),
        },
        row_numbers=np.arange(1, count + 1, dtype=np.int64),
        raw_texts=names,
        quoted_at=now,
        downloaded_at=now,
        spot=70000.0,
    )
    snapshot = assemble(raw)
    first = snapshot.rows.slice(0, 1).to_pylist()[0]

    assert snapshot.underlying == "BTC"
    assert snapshot.event_at == now
    assert first["symbol"] == "BTC-14APR26-60000-C"
    assert first["expires_at"] == datetime(2026, 4, 14, 8, 0, tzinfo=UTC)
    assert (first["settlement"], first["multiplier"]) == ("twap", 1.0)
    assert first["spot_source"] == "index"
    assert not snapshot.is_partial


def test_options_on_a_fund_called_btc_are_not_taken_for_deribit_options():
    with pytest.raises(BadInputError, match="unknown_root"):
        assemble(raw_chain("BTC"))


def test_morning_and_afternoon_roots_of_an_index_stay_apart():
    afternoon, morning = raw_chain("SPXW"), raw_chain("SPX", first=date(2023, 5, 19), expiries=1)
    raw = replace(
        afternoon,
        symbols=[*afternoon.symbols, *morning.symbols],
        raw_texts=[*afternoon.symbols, *morning.symbols],
        floats={
            name: np.concatenate([values, morning.floats[name]])
            for name, values in afternoon.floats.items()
        },
        row_numbers=np.arange(1, len(afternoon.symbols) + len(morning.symbols) + 1),
    )
    rows = assemble(raw).rows
    settlements = {(row["root"], row["settlement"], row["exercise"]) for row in rows.to_pylist()}

    assert settlements == {("SPX", "am", "european"), ("SPXW", "pm", "european")}
    assert rows["root"][0].as_py() == "SPX"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"claimed_underlying": "QQQ"}, "header_underlying_mismatch"),
        ({"header_name": "Standard & Poors 500 Index"}, "header_underlying_mismatch"),
        ({"source_name": "spx_quotedata.csv"}, "file_name_underlying_mismatch"),
    ],
)
def test_roots_win_over_header_and_name_and_the_contradiction_is_found(changes, code):
    snapshot = assemble(raw_chain(**changes))

    assert snapshot.underlying == "SPY"
    assert codes(snapshot) == [code]


@pytest.mark.parametrize(
    "changes",
    [
        {"claimed_underlying": "SPY"},
        {"header_name": "SPDR S&P 500 ETF Trust"},
        {"header_name": "A name nobody knows"},
        {"source_name": "download (3).csv"},
    ],
)
def test_silent_or_agreeing_witnesses_are_no_finding(changes):
    assert codes(assemble(raw_chain(**changes))) == []


def test_an_ambiguous_header_name_does_not_contradict_either_meaning():
    raw = raw_chain("IWM", header_name="iShares Russell 2000 ETF")

    assert codes(assemble(raw)) == []


def test_notes_of_the_parser_come_first():
    raw = raw_chain(notes=(("odd_line", "why"),), claimed_underlying="QQQ")

    assert codes(assemble(raw)) == ["odd_line", "header_underlying_mismatch"]


@pytest.mark.parametrize("spot", [None, float("nan"), 0.0, -1.0, float("inf")])
def test_an_unusable_spot_is_null_and_left_to_parity(spot):
    snapshot = assemble(raw_chain(spot=spot))

    assert codes(snapshot) == ["spot_missing"]
    assert snapshot.rows["spot"].null_count == snapshot.rows.num_rows
    assert snapshot.rows["spot_source"].unique().to_pylist() == ["parity"]


@pytest.mark.parametrize(("spot", "found"), [(100.4, []), (101.0, ["spot_disagrees_with_chain"])])
def test_a_spot_off_the_parity_forward_by_more_than_half_a_per_cent_is_found(spot, found):
    assert codes(assemble(raw_chain(spot=spot))) == found


def test_interest_to_a_distant_first_expiry_is_no_disagreement():
    raw = raw_chain(first=date(2024, 5, 10), expiries=1, spot=97.0)

    assert codes(assemble(raw)) == ["partial_chain"]


def test_a_chain_without_bids_is_found():
    raw = raw_chain()
    bids = np.where(np.arange(len(raw.symbols)) % 2, 0.0, raw.floats["bid"])
    (finding,) = assemble(replace(raw, floats={**raw.floats, "bid": bids})).findings

    assert finding.code == "zero_bids"
    assert finding.text.startswith("50%")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_chain_without_open_interest_is_found(value):
    raw = raw_chain()
    floats = {**raw.floats, "open_interest_contracts": np.full(len(raw.symbols), value)}

    assert codes(assemble(replace(raw, floats=floats))) == ["wiped_open_interest"]


def test_vendor_values_that_are_no_numbers_are_left_out_and_found():
    raw = with_cell(raw_chain(), "vendor_implied_vol", np.inf)
    snapshot = assemble(raw)

    assert codes(snapshot) == ["vendor_value_unusable"]
    assert snapshot.rows["vendor_implied_vol"].null_count == 1
    assert snapshot.rejected.num_rows == 0


def test_a_piece_of_a_chain_is_marked_partial_with_the_reason():
    snapshot = assemble(raw_chain(expiries=3))

    assert snapshot.is_partial
    assert codes(snapshot) == ["partial_chain"]
    assert "3 expiries, expected at least 12" in snapshot.findings[0].text


def test_a_chain_without_any_date_is_refused():
    with pytest.raises(UndatedChainError):
        assemble(raw_chain(expiries=3, downloaded_at=None))


def test_a_hand_edited_header_is_refuted_by_series_that_look_expired():
    raw = raw_chain(downloaded_at=datetime(2023, 4, 20, 22, 0, tzinfo=UTC))
    is_first = np.array([parse_osi(symbol).expiry_date == SESSION for symbol in raw.symbols])
    is_call = np.array([parse_osi(symbol).right == "call" for symbol in raw.symbols])
    strikes = np.array([parse_osi(symbol).strike for symbol in raw.symbols])
    out_of_the_money = is_call == (strikes > SPOT)
    floats = {
        **raw.floats,
        "bid": np.where(is_first & out_of_the_money, 0.0, raw.floats["bid"]),
        "vendor_implied_vol": np.where(is_first, 0.0, 0.2),
    }
    expired, living = assemble(replace(raw, floats=floats)), assemble(raw)

    assert codes(expired) == codes(living) == ["header_date_before_first_expiry"]
    assert expired.session_date == SESSION
    assert living.session_date == SESSION - timedelta(days=1)


def test_the_same_payload_twice_gives_the_same_snapshot():
    raw = with_symbol(raw_chain(spot=101.0), "?")
    first, second = assemble(raw), assemble(raw)

    assert first.rows.equals(second.rows)
    assert first.rejected.equals(second.rejected)
    assert first.findings == second.findings


@pytest.mark.parametrize(
    ("symbol", "roots", "days", "share", "missing"),
    [
        ("SPX", ("SPX", "SPXW"), range(0, 360, 20), (0.7, 1.2), None),
        ("SPX", ("SPXW",), range(0, 360, 20), (0.7, 1.2), "root SPX"),
        ("SPX", ("SPX", "SPXW"), range(0, 100, 5), (0.7, 1.2), "span 95 days"),
        ("SPX", ("SPX", "SPXW"), range(0, 360, 20), (0.97, 1.03), "of spot"),
        ("VIX", ("VIX", "VIXW"), range(0, 140, 20), (0.99, 1.01), None),
        ("AMD", ("AMD",), range(0, 180, 30), (0.97, 1.03), None),
        ("AMD", ("AMD",), range(0, 150, 30), (0.5, 2.0), "5 expiries"),
        ("BTC", ("BTC",), range(5), (0.9, 1.1), None),
        ("BTC", ("BTC",), range(4), (0.5, 2.0), "4 expiries"),
    ],
)
def test_completeness_depends_on_the_kind_of_underlying(symbol, roots, days, share, missing):
    expiries = np.repeat(np.datetime64("2023-05-10") + np.array(days), 2)
    strikes = np.tile(SPOT * np.array(share), len(days))
    coverage = chain_coverage(underlying(symbol), expiries, strikes=strikes, roots=roots, spot=SPOT)

    assert coverage.is_partial == (missing is not None)
    assert (missing or "") in "; ".join(coverage.reasons)


@given(
    root=st.from_regex(r"[A-Z][A-Z0-9]{0,5}", fullmatch=True),
    day=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    right=st.sampled_from(["call", "put"]),
    mills=st.integers(0, 10**8 - 1),
    prefix=st.sampled_from(["", "O:", " "]),
)
def test_symbols_are_read_as_the_one_by_one_parser_reads_them(root, day, right, mills, prefix):
    symbol = prefix + Contract(root, day, right, mills / 1000).osi
    columns = read_symbols([symbol, "nonsense"])
    expected = parse_osi(symbol)

    assert columns.readable.tolist() == [True, False]
    assert columns.root_names == (expected.root,)
    assert columns.expiries[0].item() == expected.expiry_date
    assert columns.is_call.tolist() == [expected.right == "call", False]
    assert columns.strikes[0] == expected.strike
    assert columns.canonical.to_pylist() == [expected.osi, None]


@given(st.lists(st.text(max_size=24), min_size=1, max_size=5))
def test_unreadable_symbols_never_raise(symbols):
    assert len(read_symbols(symbols).strikes) == len(symbols)
