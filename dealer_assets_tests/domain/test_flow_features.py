"""What a tape tells of an interval, by hand."""

from datetime import timedelta

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.anomaly.flow_features import interval_flow
from dealer_assets_tests.live_rows import CALL, PUT, clock, row

SYMBOLS = pa.array([CALL, PUT])
SINCE, UNTIL = clock("15:00:00"), clock("16:00:00")


def tape(*prints):
    """Prints of the published tape: clock, symbol, size and what else matters."""
    rows = [
        row(
            tables.OPTION_TRADES,
            at=clock(at),
            symbol=symbol,
            size_contracts=float(size),
            **({"conditions": "209", "price": 1.0, "ordinal": i, "exchange": "C"} | more),
        )
        for i, (at, symbol, size, more) in enumerate(prints)
    ]
    return pa.Table.from_pylist(rows, schema=tables.OPTION_TRADES.schema)


def live(*prints):
    rows = [
        row(
            tables.LIVE_TRADES,
            at=clock(at),
            symbol=symbol,
            size_contracts=float(size),
            stream_sequence=i,
            **({"conditions": "209", "trade_class": "regular"} | more),
        )
        for i, (at, symbol, size, more) in enumerate(prints)
    ]
    return pa.Table.from_pylist(rows, schema=tables.LIVE_TRADES.schema)


def flow(prints, *, known_by=UNTIL):
    return interval_flow(prints, SYMBOLS, since=SINCE, until=UNTIL, known_by=known_by)


@pytest.mark.parametrize("made", [tape, live])
def test_interval_takes_what_follows_its_beginning_up_to_its_end(made):
    found = flow(
        made(("15:00:00", CALL, 5, {}), ("15:00:01", CALL, 7, {}),
             ("16:00:00", CALL, 3, {}), ("16:00:01", CALL, 9, {}))
    )  # fmt: skip
    assert found.total.tolist() == [10.0, 0.0]
    assert found.package.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("made", [tape, live])
def test_no_print_of_the_interval_is_no_tape(made):
    assert flow(made(("14:00:00", CALL, 5, {}))) is None
    late = {"known_at": UNTIL + timedelta(seconds=1)}
    assert flow(made(("15:30:00", CALL, 5, late))) is None


def test_legs_of_packages_are_counted_apart_by_condition_and_by_combination():
    found = flow(
        tape(("15:10:00", CALL, 5, {"conditions": "232"}), ("15:11:00", CALL, 2, {}),
             ("15:12:00", CALL, 4, {"combo_id": "BTC-CS"}))
    )  # fmt: skip
    assert (found.total[0], found.package[0]) == (11.0, 9.0)
    assert flow(live(("15:10:00", CALL, 5, {"trade_class": "multi_leg"}))).package[0] == 5.0


def test_cancelled_prints_are_out_with_their_cancels():
    taken = {"conditions": "201"}
    found = flow(tape(("15:10:00", CALL, 5, {}), ("15:11:00", CALL, 5, taken),
                      ("15:12:00", CALL, 3, {})))  # fmt: skip
    assert found.total[0] == 3.0
    cancel = {"trade_class": "cancel", "cancels_sequence": 0}
    assert flow(live(("15:10:00", CALL, 5, {}), ("15:11:00", CALL, 5, cancel),
                     ("15:12:00", CALL, 3, {}))).total[0] == 3.0  # fmt: skip


@pytest.mark.parametrize(("made", "side"), [(tape, "taker_side"), (live, "side")])
def test_imbalance_is_bought_less_sold_over_everything_printed(made, side):
    found = flow(made(("15:10:00", CALL, 6, {side: "buy"}), ("15:11:00", CALL, 2, {side: "sell"}),
                      ("15:12:00", CALL, 2, {}), ("15:13:00", PUT, 4, {})))  # fmt: skip
    assert found.imbalance[0] == pytest.approx(0.4)
    assert found.imbalance[1] != found.imbalance[1], "no side is told: not determined"


@pytest.mark.parametrize("code", ["219", "228", "230"])
def test_sweeps_are_a_share_of_what_is_no_package(code):
    found = flow(tape(("15:10:00", CALL, 3, {"conditions": code}), ("15:11:00", CALL, 1, {}),
                      ("15:12:00", CALL, 90, {"conditions": "232"})))  # fmt: skip
    assert found.sweep_share[0] == 0.75
    assert found.sweep_share[1] != found.sweep_share[1], "nothing printed: not determined"


def test_burst_is_the_largest_minutes_share():
    found = flow(tape(("15:10:01", CALL, 3, {}), ("15:10:59", CALL, 3, {}),
                      ("15:11:00", CALL, 4, {}), ("15:30:00", PUT, 2, {})))  # fmt: skip
    assert found.burst_share.tolist() == [0.6, 1.0]


def test_prints_of_other_contracts_are_passed_over():
    other = "SPXW261120C05100000"
    found = flow(tape(("15:10:00", other, 50, {}), ("15:11:00", PUT, 2, {})))
    assert found.total.tolist() == [0.0, 2.0]
    assert found.known_us > 0
