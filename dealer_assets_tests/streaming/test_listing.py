"""Listing: numbers stay, what appears within the session is added, what is none is refused."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.instruments import parse_deribit, parse_osi
from dealer_assets.errors import BadInputError
from dealer_assets.tables.base import SETTLEMENTS
from dealer_assets.underlyings import underlying
from dealer_assets_tests.streaming.tape import CALL, PUT, SESSION, TODAY, listing
from streaming.core.listing import Listing

AT = datetime(2025, 12, 15, 14, 30, tzinfo=UTC)
SPX, SPY, BTC = (underlying(name) for name in ("SPX", "SPY", "BTC"))


def row_of(lane, symbol, **more):
    contract = parse_deribit(symbol) if "-" in symbol else parse_osi(symbol)
    root = lane.root(contract.root)
    settlement = root.settlement if root else "pm"
    return {
        "underlying": lane.symbol,
        "session_date": SESSION,
        "event_at": AT,
        "known_at": AT,
        "provider": "simulator",
        "source_name": "test",
        "symbol": symbol,
        "root": contract.root,
        "expiry_date": contract.expiry_date,
        "expires_at": sessions.expiry_instant(settlement, lane.calendar, contract.expiry_date),
        "strike": contract.strike,
        "right": contract.right,
        "exercise": root.exercise if root else "european",
        "settlement": settlement,
        "multiplier": root.multiplier if root else 100.0,
        "open_interest_contracts": 0.0,
        "listed_at": None,
    } | more


def rows_of(*rows, table=tables.LISTED_CONTRACTS):
    names = table.schema.names
    return pa.Table.from_pylist([{name: row[name] for name in names} for row in rows], table.schema)


def us_listing(**more):
    rows = [row_of(SPX, s) for s in (PUT, CALL, TODAY, "SPX251219C06000000")]
    rows += [row_of(SPY, "SPY251219C00600000")]
    return Listing.of((SPX, SPY), rows_of(*rows), **more)


def test_contracts_are_numbered_by_lane_then_by_the_key_of_a_chain():
    made = us_listing()
    assert made.symbols == [
        "SPX251219C06000000",
        TODAY,
        CALL,
        PUT,
        "SPY251219C00600000",
    ]
    assert [made.index_of(symbol) for symbol in made.symbols] == [0, 1, 2, 3, 4]
    assert made.index_of("SPXW251219C06000001") == -1
    assert made.sessions == {"SPX": SESSION, "SPY": SESSION}
    assert made.lane.tolist() == [0, 0, 0, 0, 1]


def test_partners_share_root_expiry_and_strike():
    made = us_listing()
    assert made.partner.tolist() == [-1, -1, 3, 2, -1]
    assert made.slice_id.tolist() == [0, 1, 2, 2, 3]
    assert [(s.root, s.lane) for s in made.slices] == [
        ("SPX", 0),
        ("SPXW", 0),
        ("SPXW", 0),
        ("SPY", 1),
    ]


def test_expiry_settlement_and_multiplier_follow_the_root():
    made = us_listing()
    morning, close = (
        datetime(2025, 12, 19, hour, 30 * (hour == 14), tzinfo=UTC) for hour in (14, 21)
    )
    assert made.expires_us[0] == morning.timestamp() * 1e6
    assert made.expires_us[2] == close.timestamp() * 1e6
    assert [SETTLEMENTS[code] for code in made.settles[[0, 2]]] == ["am", "pm"]
    assert made.expiry_day[2] == (date(2025, 12, 19) - date(1970, 1, 1)).days
    assert made.multiplier.tolist() == [100.0] * 5
    assert made.is_call.tolist() == [True, True, True, False, True]


def test_columns_repeat_the_contracts_in_order_also_after_growth():
    made = us_listing()
    made.add(["SPXW251222C06000000"])
    assert made.columns["symbol"].to_pylist() == made.symbols
    assert made.columns["strike"].to_pylist() == made.strike.tolist()
    assert made.columns["settlement"].to_pylist()[0] == "am"
    assert made.columns.num_rows == made.size == 6


def test_added_contracts_leave_numbers_and_complete_partners():
    made = listing(CALL)
    version, slices = made.version, len(made.slices)
    assert made.add(["O:" + PUT, CALL, "SPY   251219P00600000", PUT]) == ()
    assert made.symbols == [CALL, PUT, "SPY251219P00600000"]
    assert made.partner.tolist() == [1, 0, -1]
    assert made.slice_id.tolist() == [0, 0, slices]
    assert made.version > version


def test_nothing_new_is_no_new_version():
    made = listing(CALL)
    version = made.version
    assert made.add([CALL]) == ()
    assert made.version == version


@pytest.mark.parametrize(
    "symbol",
    [
        "QQQ251219C00600000",
        "SPXW251212C06000000",
        "SPXW991219C06000000",
        "SPXW251219C00000000",
        "SPXW251340C06000000",
        "BTC-27DEC25-100000-C",
        "",
        "I:SPX",
    ],
)
def test_symbols_of_other_roots_times_and_shapes_are_refused(symbol):
    made = listing(CALL)
    assert made.add([symbol, PUT]) == (symbol,)
    assert made.symbols == [CALL, PUT]


def test_deribit_names_of_both_roots_are_taken():
    made = Listing((BTC,), {"BTC": SESSION})
    assert made.add(["BTC-26DEC25-100000-C", "BTC_USDC-26DEC25-100000-P"]) == ()
    assert made.symbols == ["BTC-26DEC25-100000-C", "BTC_USDC-26DEC25-100000-P"]
    assert made.partner.tolist() == [-1, -1]  # other roots, other slices
    assert {SETTLEMENTS[code] for code in made.settles} == {"twap"}


def test_many_additions_keep_every_number():
    made = listing(CALL)
    symbols = [
        f"SPXW251219{right}{strike:05d}000" for strike in range(4000, 4200) for right in "CP"
    ]
    for symbol in symbols:
        made.add([symbol])
    assert made.symbols == [CALL, *symbols]
    assert np.array_equal(
        made.partner[1:].reshape(-1, 2), np.arange(1, 401).reshape(-1, 2)[:, ::-1]
    )


def test_open_interest_is_the_latest_count_and_nan_where_unknown():
    later = AT.replace(hour=20)
    counts = rows_of(
        row_of(SPX, CALL, event_at=later, open_interest_contracts=7.0),
        row_of(SPX, CALL, open_interest_contracts=5.0),
        row_of(SPX, PUT, open_interest_contracts=3.0),
        row_of(SPX, "SPXW251231C06000000", open_interest_contracts=9.0),
        table=tables.OPEN_INTEREST,
    )
    made = us_listing(open_interest=counts)
    assert np.array_equal(made.open_interest[2:], [7.0, 3.0, np.nan], equal_nan=True)


def test_adjusted_contracts_and_foreign_roots_are_left_out():
    rows = rows_of(
        row_of(SPX, CALL), row_of(SPX, PUT, multiplier=10.0), row_of(SPX, "2SPX251219C06000000")
    )
    assert Listing.of((SPX,), rows).symbols == [CALL]


def test_lane_without_contracts_needs_its_session_named():
    rows = rows_of(row_of(SPX, CALL))
    with pytest.raises(BadInputError, match="SPY"):
        Listing.of((SPX, SPY), rows)
    assert Listing.of((SPX, SPY), rows, sessions_of={"SPY": SESSION}).sessions["SPY"] == SESSION


def test_contracts_of_two_sessions_are_refused():
    rows = rows_of(row_of(SPX, CALL), row_of(SPX, PUT, session_date=date(2025, 12, 16)))
    with pytest.raises(BadInputError, match="2 sessions"):
        Listing.of((SPX,), rows)
