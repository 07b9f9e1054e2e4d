"""Signed flow: sums by contract with their error, from tape, live trades and exchanges' counts."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings, strategies as st

from dealer_assets import tables
from dealer_assets.derived.evidence import described, session_flow
from dealer_assets.domain.flow.calibration import Calibration
from dealer_assets.domain.flow.classify import classify
from dealer_assets.domain.flow.evidence import (
    Session,
    flow_of_open_close,
    flow_of_prints,
    sided_of_live,
    sided_of_tape,
)
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.domain.sessions import session_close
from dealer_assets.lake.conformity import conform
from dealer_assets.tables.live import SIGN_BASES
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.test_classify import NO_SPOTS, quotes, trades
from dealer_assets_tests.labelled_tapes import CALL, PUT, SESSION, simulated
from dealer_assets_tests.live_rows import clock, row

SPX = underlying("SPX")
CLOSE = session_close("XNYS", SESSION)
OF = Session("SPX", SESSION, CLOSE)
QUOTED = quotes((0, 4.0, 6.0, 10, 20))
DAY = date(2026, 11, 20)


def flow_of(made, quoted=QUOTED, probability=None):
    prints = sided_of_tape(classify(made, quoted, NO_SPOTS), probability)
    return flow_of_prints(prints, OF, source="tape", known_at=CLOSE)


def sums(rows, symbol=CALL):
    (found,) = rows.filter(pc.equal(rows["symbol"], symbol)).to_pylist()
    return found


def test_net_is_what_the_odds_of_each_side_expect_with_its_variance():
    # at the ask 0.68, inside below the midpoint 0.62
    found = sums(flow_of(trades((1, 6.0, {"size": 5.0}), (2, 4.5, {"size": 2.0}))))
    assert found["trades"] == 2
    assert found["volume_contracts"] == found["signed_volume_contracts"] == 7.0
    assert found["apart_volume_contracts"] == 0.0
    assert found["customer_net_contracts"] == pytest.approx(5.0 * 0.36 - 2.0 * 0.24)
    variance = 25.0 * 4 * 0.68 * 0.32 + 4.0 * 4 * 0.62 * 0.38
    assert found["customer_net_sd_contracts"] == pytest.approx(variance**0.5)
    assert found["squared_size_contracts2"] == 29.0
    assert found["mean_confidence"] == pytest.approx((5 * 0.68 + 2 * 0.62) / 7)


def test_print_without_a_side_moves_no_mean_and_widens_by_its_whole_size():
    found = sums(flow_of(trades((1, 6.0, {"codes": "232", "size": 4.0}))))
    assert found["signed_volume_contracts"] == found["customer_net_contracts"] == 0.0
    assert found["apart_volume_contracts"] == 4.0
    assert found["customer_net_sd_contracts"] == 4.0
    assert found["mean_confidence"] is None


def test_side_that_the_venue_tells_has_no_variance():
    found = sums(flow_of(trades((1, 6.0, {"taker": "sell"}))))
    assert found["customer_net_contracts"] == -3.0
    assert found["customer_net_sd_contracts"] == 0.0


def test_cancel_and_its_print_leave_nothing():
    made = trades((1, 6.0), (2, 6.0, {"codes": "205"}), (3, 4.0, {"symbol": PUT, "codes": "201"}))
    assert flow_of(made).num_rows == 0


def test_odds_below_one_half_turn_the_side():
    made = trades((1, 6.0))
    found = sums(flow_of(made, probability=np.array([0.25])))
    assert found["customer_net_contracts"] == -1.5


SIDED = st.lists(
    st.tuples(
        st.sampled_from([3.9, 4.0, 4.6, 5.0, 6.0]), st.integers(1, 500),
        st.sampled_from(["", "", "202", "201", "233"]), st.sampled_from([None, None, "buy"]),
    ),
    max_size=15,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(SIDED)
def test_flow_keeps_its_invariants_and_its_schema(many):
    made = trades(
        *(
            (i, price, {"size": float(size), "codes": codes, "taker": taker})
            for i, (price, size, codes, taker) in enumerate(many)
        )
    )
    flow = flow_of(made)
    conform(tables.SIGNED_FLOW, flow, underlying="SPX", session_date=SESSION)
    for invariant in INVARIANTS["signed_flow"]:
        assert invariant.judge(flow, SPX).holds


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("signed_volume_contracts", 8.0),
        ("apart_volume_contracts", 8.0),
        ("customer_net_contracts", -7.5),
        ("customer_net_sd_contracts", 5.5),
        ("mean_confidence", 1.1),
    ],
)
def test_flow_beyond_what_was_traded_is_found(column, value):
    flow = flow_of(trades((1, 6.0, {"size": 5.0}), (2, 4.5, {"size": 2.0})))
    place = flow.schema.get_field_index(column)
    wrong = flow.set_column(place, flow.schema.field(column), pa.array([value]))
    (invariant,) = INVARIANTS["signed_flow"]
    assert invariant.judge(flow, SPX).holds
    assert not invariant.judge(wrong, SPX).holds


def live(*rows):
    made = []
    for number, values in enumerate(rows):
        values = {"symbol": "SPXW261120C05000000", "size_contracts": 3.0} | values
        made.append(
            row(
                tables.LIVE_TRADES,
                stream_sequence=number,
                at=clock(f"15:00:{number:02d}"),
                **values,
            )
        )
    return pa.Table.from_pylist(made, schema=tables.LIVE_TRADES.schema)


def test_live_trades_give_their_own_sides_and_cancelled_ones_are_out():
    rows = live(
        {"trade_class": "regular", "side": "buy", "side_confidence": 0.7, "side_basis": "quote"},
        {"trade_class": "regular", "side": "sell", "side_confidence": 0.9, "side_basis": "quote"},
        {"trade_class": "cancel", "side": "sell", "side_confidence": 0.9, "cancels_sequence": 1},
        {"trade_class": "multi_leg", "side": None, "side_confidence": None},
        {"trade_class": "cancel", "side": None, "side_confidence": None, "cancels_sequence": None},
    )
    found = session_flow({"live_trades": rows}, SPX, DAY).to_pylist()
    assert [one["source"] for one in found] == ["live"]
    assert found[0]["trades"] == 2
    assert found[0]["volume_contracts"] == 6.0
    assert found[0]["apart_volume_contracts"] == 3.0
    assert found[0]["customer_net_contracts"] == pytest.approx(3.0 * 0.4)
    assert found[0]["known_at"] == clock("15:00:04")
    assert found[0]["event_at"] == session_close("XNYS", DAY)
    assert sided_of_live(rows).sign.tolist() == [1, 0]


def counts(*rows):
    """Rows of an Open-Close file: (symbol, origin, buys, sells, more)."""
    made = [
        row(
            tables.OPEN_CLOSE,
            symbol=r[0],
            at=session_close("XNYS", DAY),
            **(
                {"interval": "day", "exchange": "C1", "size_bucket": "all"}
                | (r[4] if r[4:] else {})
            ),
            origin=r[1],
            buy_contracts=r[2],
            sell_contracts=r[3],
        )
        for r in rows
    ]
    return pa.Table.from_pylist(made, schema=tables.OPEN_CLOSE.schema)


LISTED = "SPXW261120C05000000"
COUNTED = Session("SPX", DAY, session_close("XNYS", DAY))


def test_market_makers_counts_are_exact_and_customers_are_on_the_other_side():
    made = counts(
        (LISTED, "market_maker", 30.0, 50.0),
        (LISTED, "customer", 60.0, 40.0),
        (LISTED, "firm", 10.0, 10.0),
    )
    (found,) = flow_of_open_close(made, COUNTED).to_pylist()
    assert found["source"] == "open_close"
    assert found["customer_net_contracts"] == 20.0
    assert found["customer_net_sd_contracts"] == 0.0
    assert found["volume_contracts"] == 100.0
    assert found["mean_confidence"] == 1.0


def test_exchanges_add_up_and_stamps_before_the_close_do_not_count():
    early = {"interval": "ten_minute_cumulative", "exchange": "C2"}
    late = early | {"exchange": "B1"}
    made = counts(
        (LISTED, "market_maker", 0.0, 5.0),
        (LISTED, "market_maker", 0.0, 7.0, late),
        (LISTED, "market_maker", 0.0, 9.0, early),
    )
    place = made.schema.get_field_index("event_at")
    times = made["event_at"].to_pylist()
    times[2] -= timedelta(minutes=10)
    made = made.set_column(place, made.schema.field("event_at"), pa.array(times, tables.INSTANT))
    (found,) = flow_of_open_close(made, COUNTED).to_pylist()
    assert found["customer_net_contracts"] == 12.0
    only_early = made.filter(pc.equal(made["exchange"], "C2"))
    assert flow_of_open_close(only_early, COUNTED).num_rows == 0


def test_tape_goes_before_live_trades_and_counts_stand_beside_either():
    tape = simulated("XSP", DAY, density=0.02, quoted=0)
    xsp = underlying("XSP")
    other = live(
        {"trade_class": "regular", "side": "buy", "side_confidence": 0.7, "feed": "simulator"}
    )
    made = counts((LISTED, "market_maker", 0.0, 5.0))
    flow = session_flow({**tape.rows, "live_trades": other, "open_close": made}, xsp, DAY)
    assert set(flow["source"].to_pylist()) == {"tape", "open_close"}
    assert session_flow({}, xsp, DAY).num_rows == 0
    assert "none" in described(session_flow({}, xsp, DAY))["sources"]


def test_flow_of_a_simulated_session_is_known_with_its_inputs_and_the_same_again():
    tape = simulated("XSP", DAY, density=0.02, quoted=40)
    xsp = underlying("XSP")
    flow = session_flow(tape.rows, xsp, DAY)
    conform(tables.SIGNED_FLOW, flow, underlying="XSP", session_date=DAY)
    known = max(pc.max(rows["known_at"]).as_py() for rows in tape.rows.values())
    assert set(flow["known_at"].to_pylist()) == {known}
    shuffled = {name: rows.take(np.arange(rows.num_rows)[::-1]) for name, rows in tape.rows.items()}
    assert session_flow(shuffled, xsp, DAY).equals(flow)
    assert flow.equals(session_flow(tape.rows, xsp, DAY, calibration=Calibration()))
    told = described(flow)
    assert 0.0 < told["signed_share"] <= 1.0
    assert told["volume_contracts"] == pc.sum(flow["volume_contracts"]).as_py()


def test_calibrated_odds_replace_the_declared_ones():
    tape = simulated("XSP", DAY, density=0.02, quoted=40)
    quote = SIGN_BASES.index("quote")
    exact = Calibration(prints=1, odds=({quote: 1.0},))
    flow = session_flow(tape.rows, underlying("XSP"), DAY, calibration=exact)
    whole = pc.sum(flow["customer_net_sd_contracts"]).as_py()
    declared = session_flow(tape.rows, underlying("XSP"), DAY)
    assert whole < pc.sum(declared["customer_net_sd_contracts"]).as_py()


def test_known_at_of_live_flow_is_never_the_clock():
    rows = live({"trade_class": "regular", "side": "buy", "side_confidence": 0.7})
    later = replace(OF, closed_at=datetime.fromisoformat("2026-11-20T21:00:00+00:00"))
    flow = flow_of_prints(
        sided_of_live(rows), later, source="live", known_at=rows["known_at"][0].as_py()
    )
    assert flow["known_at"].to_pylist() == [clock("15:00:00")]
