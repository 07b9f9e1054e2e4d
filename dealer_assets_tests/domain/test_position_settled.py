"""A morning's settled positions: listings, expiries, gaps, counts that cannot be trusted."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.domain.positions.settled import settled_positions
from dealer_assets.errors import BadInputError
from dealer_assets.lake.conformity import conform
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.position_world import (
    FIRST,
    counts,
    flow,
    morning,
    play,
    symbols_of,
)

SECOND = sessions.next_session("XNYS", FIRST)
SYMBOLS = symbols_of(200)
OI = np.round(np.random.default_rng(2).lognormal(6.0, 1.0, 200)) + 10.0
LATER = OI + np.where(np.arange(200) % 3 == 0, 4.0, -3.0)
CALL, PUT = SYMBOLS[0], SYMBOLS[1]


def traded(day=FIRST, symbols=SYMBOLS, **kinds):
    n = len(symbols)
    told = {"volume": [20.0] * n, "net": [1.0] * n, "sd": [8.0] * n, "squared": [80.0] * n}
    return flow(day, symbols, **(told | kinds))


def begun():
    return settled_positions(morning(FIRST, counts=counts(FIRST, SYMBOLS, OI)))


def followed(oi=LATER, symbols=SYMBOLS, evidence=None, previous=None):
    evidence = traded() if evidence is None else evidence
    return settled_positions(
        morning(
            SECOND,
            previous=begun() if previous is None else previous,
            flow=evidence,
            counts=counts(SECOND, symbols, oi),
        )
    )


def of(rows, symbol, model="reconciled"):
    found = rows.filter(pc.and_(pc.equal(rows["symbol"], symbol), pc.equal(rows["model"], model)))
    assert found.num_rows == 1
    return found.to_pylist()[0]


def total(rows, column="position_contracts", model="reconciled"):
    return pc.sum(rows.filter(pc.equal(rows["model"], model))[column]).as_py()


def test_first_sight_is_a_part_of_the_naive_rule_with_a_wide_interval():
    rows = begun()
    conform(tables.DEALER_POSITIONS, rows, underlying="SPX", session_date=FIRST)
    call, put = of(rows, CALL), of(rows, PUT)
    assert 0.0 < call["position_contracts"] < 0.5 * OI[0]
    assert -0.5 * OI[1] < put["position_contracts"] < 0.0
    assert call["position_lo_contracts"] < 0.0 < call["position_hi_contracts"] <= OI[0]
    assert call["evidence_share"] == pytest.approx(0.0, abs=1e-9)
    assert call["sessions_of_flow"] == 0
    assert not call["is_since_listing"]
    assert rows["model"].unique().to_pylist() == ["reconciled"]


def test_row_is_known_when_the_last_of_its_inputs_was():
    late = sessions.session_close("XNYS", SECOND)
    told = counts(SECOND, SYMBOLS, LATER)
    place = told.schema.get_field_index("known_at")
    stamps = pa.array([late] * told.num_rows, tables.INSTANT)
    told = told.set_column(place, told.schema.field(place), stamps)
    rows = settled_positions(morning(SECOND, previous=begun(), flow=traded(), counts=told))
    assert set(rows["known_at"].to_pylist()) == {late}
    assert set(rows["event_at"].to_pylist()) == {sessions.session_open("XNYS", SECOND)}


def test_flow_makes_every_model_that_reads_it():
    exact = traded(net=[5.0] * 200, sd=[0.0] * 200, source="open_close")
    rows = followed(evidence=pa.concat_tables([traded(), exact]))
    assert sorted(rows["model"].unique().to_pylist()) == ["open_close", "reconciled", "taker_flow"]
    assert of(rows, CALL, "taker_flow")["position_contracts"] == -1.0
    assert of(rows, CALL, "open_close")["position_contracts"] == -5.0
    assert of(rows, CALL, "open_close")["position_sd_contracts"] == 0.0
    assert of(rows, CALL, "taker_flow")["position_lo_contracts"] is None


def test_models_that_add_up_go_on_where_they_stopped():
    day = sessions.next_session("XNYS", SECOND)
    rows = settled_positions(
        morning(
            day,
            previous=followed(),
            flow=traded(SECOND, net=[2.0] * 200),
            counts=counts(day, SYMBOLS, LATER + np.resize([1.0, -2.0], 200)),
        )
    )
    assert of(rows, CALL, "taker_flow")["position_contracts"] == -3.0
    assert of(rows, CALL)["sessions_of_flow"] == 2


def test_exact_counts_go_before_the_classifier():
    exact = traded(net=[15.0] * 200, sd=[0.0] * 200, source="open_close")
    with_counts = followed(evidence=pa.concat_tables([traded(net=[-15.0] * 200), exact]))
    alone = followed(evidence=exact)
    assert of(with_counts, CALL)["position_contracts"] == pytest.approx(
        of(alone, CALL)["position_contracts"]
    )


def test_contract_listed_since_is_followed_from_zero():
    new = [*SYMBOLS, "SPXW270115C09000000"]
    grown = np.append(LATER, 12.0)
    exact = traded(symbols=new, net=[7.0] * 201, sd=[0.0] * 201, source="open_close")
    row = of(followed(grown, new, exact), new[-1])
    assert row["is_since_listing"]
    assert row["position_contracts"] == pytest.approx(-7.0)
    assert row["position_sd_contracts"] == pytest.approx(0.0, abs=1e-6)


def test_contract_with_more_open_interest_than_it_traded_is_not_taken_for_new():
    new = [*SYMBOLS, "SPXW270115C09000000"]
    row = of(followed(np.append(LATER, 5000.0), new, traded(symbols=new)), new[-1])
    assert not row["is_since_listing"]
    assert row["position_sd_contracts"] > 500.0


def test_expired_contracts_leave():
    friday = date(2026, 3, 6)
    ending, staying = "SPXW260306C05000000", "SPXW260309C05000000"
    earlier = settled_positions(
        morning(friday, counts=counts(friday, [ending, staying], [50.0, 60.0]))
    )
    assert set(earlier["symbol"].to_pylist()) == {ending, staying}
    monday = date(2026, 3, 9)
    rows = settled_positions(
        morning(monday, previous=earlier, counts=counts(monday, [ending, staying], [50.0, 60.0]))
    )
    assert rows["symbol"].to_pylist() == [staying]


def test_session_without_flow_widens_and_keeps_the_count_of_sessions():
    before = begun()
    rows = settled_positions(
        morning(SECOND, previous=before, counts=counts(SECOND, SYMBOLS, LATER))
    )
    assert of(rows, CALL)["sessions_of_flow"] == 0
    assert total(rows, "filter_sd_contracts") > total(before, "filter_sd_contracts")


WIPED = np.where(np.arange(200) < 5, LATER, 0.0)


@pytest.mark.parametrize(
    ("told", "state"),
    [(WIPED, "wiped"), (OI, "shifted"), (2.0 * OI, "broken")],
)
def test_counts_that_cannot_be_trusted_constrain_nothing_and_are_told(told, state):
    rows = followed(told)
    assert set(rows["open_interest_state"].to_pylist()) == {state}
    unconstrained = settled_positions(morning(SECOND, previous=begun(), flow=traded()))
    assert set(unconstrained["open_interest_state"].to_pylist()) == {"missing"}
    place = rows["symbol"].to_pylist()
    assert place == unconstrained["symbol"].to_pylist()
    for column in ("filter_mean_contracts", "filter_sd_contracts"):
        assert rows[column].to_pylist() == unconstrained[column].to_pylist()


def test_wiped_counts_leave_open_interest_unknown_and_the_next_change_too():
    wiped = followed(WIPED)
    assert wiped["open_interest_contracts"].null_count == wiped.num_rows
    day = sessions.next_session("XNYS", SECOND)
    back = settled_positions(
        morning(day, previous=wiped, flow=traded(SECOND), counts=counts(day, SYMBOLS, LATER))
    )
    assert set(back["open_interest_state"].to_pylist()) == {"ok"}
    assert back["open_interest_contracts"].null_count == 0
    assert of(back, CALL)["sessions_of_flow"] == 2


def test_a_contract_that_changed_beyond_its_volume_is_broken_alone():
    moved = LATER.copy()
    moved[0] = OI[0] + 500.0
    rows = followed(moved)
    assert of(rows, CALL)["open_interest_state"] == "broken"
    assert of(rows, PUT)["open_interest_state"] == "ok"


def test_counts_of_two_publishers_are_refused():
    told = counts(FIRST, SYMBOLS[:2], [5.0, 6.0])
    place = told.schema.get_field_index("provider")
    told = told.set_column(place, told.schema.field(place), pa.array(["occ", "cboe"]))
    with pytest.raises(BadInputError, match="one publisher"):
        settled_positions(morning(FIRST, counts=told))


def test_nothing_held_gives_no_rows():
    assert settled_positions(morning(FIRST)).num_rows == 0


def test_evidence_grows_with_sessions_and_the_interval_narrows():
    played = play(contracts=120, days=8, reliability=0.3, seed=1, call_share=0.3)
    shares = [pc.mean(rows["evidence_share"]).as_py() for rows in played.rows]
    assert shares[0] < 0.02
    assert shares[-1] > shares[1]
    assert total(played.rows[-1], "effective_contracts") > total(
        played.rows[1], "effective_contracts"
    )


def test_nothing_of_a_later_session_is_in_a_row():
    """Played again with another future, the past stays as it was."""
    whole = play(contracts=60, days=6, reliability=0.3, seed=4, call_share=0.3)
    short = play(contracts=60, days=3, reliability=0.3, seed=4, call_share=0.3)
    assert [rows.equals(other) for rows, other in zip(whole.rows, short.rows, strict=False)] == [
        True
    ] * 3


BLANK = np.where((np.arange(200) % 8 == 0) & (OI > 20.0), 0.0, LATER)


@pytest.mark.parametrize("evidence", [traded(), traded().slice(0, 0)])
def test_counts_that_are_blank_in_part_of_a_file_change_no_position_of_theirs(evidence):
    rows = followed(BLANK, evidence=evidence)
    unconstrained = settled_positions(morning(SECOND, previous=begun(), flow=evidence))
    for symbol, count, before in zip(SYMBOLS, BLANK, OI, strict=True):
        told = of(rows, symbol)
        assert told["open_interest_state"] == ("wiped" if count == 0.0 else "ok")
        if count == 0.0:
            assert told["open_interest_contracts"] is None
            free = of(unconstrained, symbol)
            # what the others tell of the kind may still move it
            assert abs(told["filter_mean_contracts"] - free["filter_mean_contracts"]) < 0.1 * before
            assert told["position_sd_contracts"] > 0.1 * before
    (check,) = [c for c in INVARIANTS["dealer_positions"] if c.name == "counts_compared"]
    assert not check.judge(rows, underlying("SPX")).holds


def test_counts_still_blank_the_next_morning_are_still_wiped_until_they_are_told_or_traded():
    wiped = followed(BLANK, evidence=traded().slice(0, 0))
    day = sessions.next_session("XNYS", SECOND)

    def next_state(told, **held):
        rows = settled_positions(
            morning(day, previous=wiped, counts=counts(day, SYMBOLS, told), **held)
        )
        return of(rows, CALL)["open_interest_state"]

    assert next_state(BLANK + (BLANK > 0.0)) == "wiped"
    assert next_state(LATER + 1.0) == "ok"
    assert next_state(BLANK + (BLANK > 0.0), flow=traded(SECOND)) == "ok"


def test_few_contracts_that_end_while_they_live_are_believed():
    ended = LATER.copy()
    ended[np.argsort(OI)[1]] = 0.0
    rows = followed(ended, evidence=traded().slice(0, 0))
    assert set(rows["open_interest_state"].to_pylist()) == {"ok"}


def test_without_counts_and_trades_positions_become_less_certain():
    rows = settled_positions(morning(SECOND, previous=begun()))
    for symbol in (CALL, PUT):
        before, after = of(begun(), symbol), of(rows, symbol)
        assert after["filter_sd_contracts"] > before["filter_sd_contracts"]
    later = sessions.next_session("XNYS", SECOND)
    again = settled_positions(morning(later, previous=rows))
    assert of(again, CALL)["filter_sd_contracts"] > of(rows, CALL)["filter_sd_contracts"]


def test_counts_of_one_exchange_among_several_are_no_exact_flow():
    tape = traded(volume=[1000.0] * 200, squared=[5000.0] * 200, sd=[60.0] * 200)
    part = flow(
        FIRST,
        SYMBOLS,
        volume=[100.0] * 200,
        net=[40.0] * 200,
        sd=[0.0] * 200,
        squared=[100.0] * 200,
        source="open_close",
    )
    both = followed(OI + 1.0, evidence=pa.concat_tables([tape, part]))
    alone = followed(OI + 1.0, evidence=tape)
    for column in ("position_contracts", "position_sd_contracts"):
        assert of(both, CALL)[column] == of(alone, CALL)[column]
    assert of(both, CALL, "open_close")["position_contracts"] == -40.0
