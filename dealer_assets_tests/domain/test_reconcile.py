"""Live trades against the published tape: multisets of prints, and what stands beside them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from dealer_assets import tables
from dealer_assets.domain.flow.reconcile import reconcile, summary
from dealer_assets.lake.conformity import conform
from dealer_assets_tests.live_rows import CALL, DAY, PUT, clock, numbered, row

AT = clock("15:00:00")
CLOSE = clock("21:00:00")
CANCELLED = "201"


def live(*prints: dict[str, Any]) -> pa.Table:
    return numbered(tables.LIVE_TRADES, [row(tables.LIVE_TRADES, **p) for p in prints])


def trade(price: float = 2.0, size: float = 1.0, **values: Any) -> dict[str, Any]:
    return {"price_usd": price, "size_contracts": size, "at": AT} | values


def tape(*prints: dict[str, Any]) -> pa.Table:
    rows = [row(tables.OPTION_TRADES, price_currency="USD", **p) for p in prints]
    return pa.Table.from_pylist(rows, schema=tables.OPTION_TRADES.schema)


def printed(price: float = 2.0, size: float = 1.0, **values: Any) -> dict[str, Any]:
    return {"price": price, "size_contracts": size, "at": AT, "conditions": ""} | values


def counts(**contracts: float) -> pa.Table:
    rows = [
        row(tables.OPEN_INTEREST, symbol=symbol, open_interest_contracts=value)
        for symbol, value in contracts.items()
    ]
    return pa.Table.from_pylist(rows, schema=tables.OPEN_INTEREST.schema)


def compared(
    ours: pa.Table,
    theirs: pa.Table | None,
    *,
    before: pa.Table | None = None,
    after: pa.Table | None = None,
) -> dict[str, dict[str, Any]]:
    rows = reconcile(ours, theirs, before=before, after=after, closed_at=CLOSE)
    conform(tables.LIVE_RECONCILIATION, rows, underlying="SPX", session_date=DAY)
    return {entry["symbol"]: entry for entry in rows.to_pylist()}


def test_the_same_prints_are_equal_whatever_their_order() -> None:
    ours = live(trade(2.0), trade(2.1, symbol=PUT), trade(2.2))
    theirs = tape(printed(2.2), printed(2.0), printed(2.1, symbol=PUT))
    found = compared(ours, theirs)
    assert {symbol: entry["status"] for symbol, entry in found.items()} == {
        CALL: "equal",
        PUT: "equal",
    }
    assert (found[CALL]["live_prints"], found[CALL]["published_prints"]) == (2, 2)
    assert (found[CALL]["missing_prints"], found[CALL]["surplus_prints"]) == (0, 0)
    assert found[CALL]["event_at"] == CLOSE


def test_equal_prints_count_each_for_themselves() -> None:
    """A sweep prints the same line many times; dropping doubles would hide what is missing."""
    found = compared(live(trade(size=5.0)), tape(*[printed(size=5.0)] * 3))[CALL]
    assert found["status"] == "missing"
    assert (found["missing_prints"], found["missing_volume_contracts"]) == (2, 10.0)
    found = compared(live(*[trade(size=5.0)] * 3), tape(printed(size=5.0)))[CALL]
    assert found["status"] == "surplus"
    assert (found["surplus_prints"], found["surplus_volume_contracts"]) == (2, 10.0)


def test_a_print_at_another_price_is_missing_and_surplus() -> None:
    found = compared(live(trade(2.0)), tape(printed(2.05)))[CALL]
    assert found["status"] == "both"


def test_published_instants_are_finer_than_a_millisecond() -> None:
    late = AT + timedelta(microseconds=999)
    assert compared(live(trade()), tape(printed(at=late)))[CALL]["status"] == "equal"
    later = AT + timedelta(microseconds=1000)
    assert compared(live(trade()), tape(printed(at=later)))[CALL]["status"] == "both"


def test_the_venues_own_numbers_decide_where_both_tapes_have_them() -> None:
    """Coin prices cannot be compared with USD, and need not be."""
    ours = live(trade(4000.0, trade_number=11), trade(4100.0, trade_number=12))
    theirs = tape(printed(0.04, trade_id="ETH-11"), printed(0.05, trade_id="ETH-13"))
    found = compared(ours, theirs)[CALL]
    assert (found["missing_prints"], found["surplus_prints"]) == (1, 1)


def test_prices_in_coin_are_left_out_where_there_are_no_numbers() -> None:
    theirs = tape(printed(0.04) | {"price": 0.04})
    theirs = theirs.set_column(
        theirs.schema.get_field_index("price_currency"), "price_currency", pa.array(["BTC"])
    )
    assert compared(live(trade(4000.0)), theirs)[CALL]["status"] == "equal"


def test_cancels_are_prints_and_take_volume_and_side_off() -> None:
    ours = live(
        trade(size=10.0, dealer_contracts=-10.0),
        trade(size=10.0, dealer_contracts=10.0, trade_class="cancel", cancels_sequence=0),
        trade(size=4.0, dealer_contracts=4.0),
    )
    theirs = tape(printed(size=10.0), printed(size=10.0, conditions=CANCELLED), printed(size=4.0))
    found = compared(ours, theirs)[CALL]
    assert found["status"] == "equal"
    assert (found["live_volume_contracts"], found["published_volume_contracts"]) == (4.0, 4.0)
    assert (found["bought_contracts"], found["sold_contracts"]) == (0.0, 4.0)


def test_a_cancel_of_an_unknown_print_takes_nothing_off_on_either_side() -> None:
    ours = live(trade(size=4.0), trade(size=9.0, trade_class="cancel"))
    theirs = tape(printed(size=4.0), printed(size=9.0, conditions=CANCELLED))
    found = compared(ours, theirs)[CALL]
    assert (found["live_volume_contracts"], found["published_volume_contracts"]) == (4.0, 4.0)


def test_without_a_published_tape_nothing_is_called_missing() -> None:
    found = compared(live(trade()), None)[CALL]
    assert found["status"] == "not_compared"
    assert found["published_prints"] is found["missing_prints"] is None
    assert found["live_prints"] == 1


def test_a_contract_that_only_the_tape_has_is_missing_whole() -> None:
    found = compared(live(trade()), tape(printed(), printed(symbol=PUT, size=7.0)))[PUT]
    assert (found["status"], found["live_prints"], found["missing_prints"]) == ("missing", 0, 1)
    assert found["missing_volume_contracts"] == 7.0


def test_open_interest_stands_beside_and_is_bounded_by_volume() -> None:
    other = "SPXW261218C05100000"
    gone = "SPXW261120P04900000"
    found = compared(
        live(trade(size=5.0), trade(size=5.0, symbol=PUT)),
        None,
        before=counts(**{CALL: 100.0, PUT: 100.0, other: 7.0, gone: 3.0}),
        after=counts(**{CALL: 105.0, PUT: 94.0, other: 9.0}),
    )
    within = {symbol: entry["is_change_within_volume"] for symbol, entry in found.items()}
    assert within == {CALL: True, PUT: False, other: False}  # an expired one did not change
    assert found[other]["live_prints"] == 0
    assert found[CALL]["live_volume_contracts"] == 5.0


def test_unchanged_open_interest_of_a_contract_that_did_not_trade_has_no_row() -> None:
    quiet = "SPXW261218C05100000"
    found = compared(
        live(trade()), None, before=counts(**{quiet: 7.0}), after=counts(**{quiet: 7.0})
    )
    assert set(found) == {CALL}


def test_summary_explains_changes_up_to_each_contracts_volume() -> None:
    rows = reconcile(
        live(trade(size=10.0), trade(size=2.0, symbol=PUT)),
        tape(printed(size=10.0), printed(size=2.0, symbol=PUT), printed(2.5, symbol=PUT)),
        before=counts(**{CALL: 100.0, PUT: 50.0}),
        after=counts(**{CALL: 104.0, PUT: 44.0}),
        closed_at=CLOSE,
    )
    totals = summary(rows)
    assert (totals.contracts, totals.live_prints, totals.published_prints) == (2, 2, 3)
    assert (totals.missing_prints, totals.missing_volume_contracts) == (1, 1.0)
    assert totals.open_interest_change_contracts == 10.0
    assert totals.explained_share == pytest.approx((4.0 + 3.0) / 10.0)
    assert totals.least_opening_share == pytest.approx(7.0 / 13.0)


def test_summary_without_anything_to_compare_knows_nothing() -> None:
    totals = summary(reconcile(live(trade()), None, before=None, after=None, closed_at=CLOSE))
    assert totals.published_prints is totals.explained_share is totals.least_opening_share is None
    assert totals.live_volume_contracts == 1.0


def test_known_at_is_the_latest_of_everything_compared() -> None:
    published = CLOSE + timedelta(hours=20)
    rows = reconcile(
        live(trade()),
        tape(printed(known_at=published)),
        before=None,
        after=None,
        closed_at=CLOSE,
    )
    assert rows["known_at"].to_pylist() == [published]


@given(
    ours=st.lists(st.tuples(st.sampled_from([CALL, PUT]), st.integers(1, 3)), min_size=1),
    theirs=st.lists(st.tuples(st.sampled_from([CALL, PUT]), st.integers(1, 3))),
)
def test_what_is_missing_and_surplus_makes_one_tape_of_the_other(
    ours: list[tuple[str, int]], theirs: list[tuple[str, int]]
) -> None:
    found = compared(
        live(*[trade(size=float(size), symbol=symbol) for symbol, size in ours]),
        tape(*[printed(size=float(size), symbol=symbol) for symbol, size in theirs]),
    )
    for symbol, entry in found.items():
        balance = entry["live_prints"] + entry["missing_prints"] - entry["surplus_prints"]
        assert balance == entry["published_prints"] == sum(s == symbol for s, _ in theirs)
        volume = entry["live_volume_contracts"] + entry["missing_volume_contracts"]
        assert volume - entry["surplus_volume_contracts"] == entry["published_volume_contracts"]
