"""The daily score: errors against the constant fraction, coverage, and drift that is told."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.domain.positions.score import (
    BASELINE,
    PRIOR_OPENING,
    Foretold,
    against_truth,
    judge,
    net_coverage,
    opening_share,
)
from dealer_assets.domain.positions.scored import Evening, Labels, scored_session
from dealer_assets.domain.positions.trades import Flow
from dealer_assets.domain.positions.verdicts import drifts
from dealer_assets.lake.conformity import conform
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.position_world import FIRST, morning, nothing, play
from dealer_assets_tests.live_rows import row

SECOND = sessions.next_session("XNYS", FIRST)


@pytest.fixture(scope="module")
def played():
    return play(contracts=120, days=3, reliability=0.3, seed=9, call_share=0.3)


def evening(played, earlier=None, **told):
    """Score the second session of a played market."""
    third = sessions.next_session("XNYS", SECOND)
    held = morning(third, previous=played.rows[1], flow=played.flows[1], counts=played.counts[2])
    return Evening(
        session_date=SECOND,
        closed_at=sessions.session_close("XNYS", SECOND),
        morning=held,
        earlier=nothing(tables.POSITION_SCORES) if earlier is None else earlier,
        **told,
    )


def of(rows, model):
    return rows.filter(pc.equal(rows["model"], model)).to_pylist()[0]


def test_errors_are_root_mean_squares_of_contracts_that_traded():
    foretold = Foretold(np.array([3.0, 0.0, 9.0]), np.ones(3), np.array([4.0, 8.0, 0.0]))
    found = judge(foretold, np.array([0.0, 4.0, np.nan]), np.array([10.0, 20.0, 5.0]))
    assert found.contracts == 2
    assert found.error == pytest.approx(np.sqrt((9.0 + 16.0) / 2.0))
    assert found.baseline_error == pytest.approx(4.0)
    assert found.skill == pytest.approx(1.0 - np.sqrt(12.5) / 4.0)
    assert found.opening_share == pytest.approx(4.0 / 30.0)
    assert found.coverage == 0.0


def test_without_trades_there_is_nothing_to_judge():
    found = judge(Foretold(*[np.zeros(2)] * 3), np.zeros(2), np.full(2, np.nan))
    assert found.contracts == 0
    assert np.isnan(found.skill)


def test_opening_share_is_drawn_to_the_declared_one_while_sessions_are_few():
    assert opening_share([]) == PRIOR_OPENING
    few, many = opening_share([(0.3, 100.0)]), opening_share([(0.3, 100.0)] * 20)
    assert PRIOR_OPENING < few < many < 0.3
    assert few == pytest.approx((0.3 + 5.0 * PRIOR_OPENING) / 6.0)


def test_counted_nets_within_the_classifiers_interval_are_its_coverage():
    n = 4
    trades = Flow(
        np.full(n, 100.0), np.zeros(n), np.full(n, 6.0), np.full(n, 100.0), np.zeros(n, np.bool_)
    )
    counted = Flow(
        np.full(n, 100.0),
        np.array([0.0, 5.0, -12.0, 60.0]),
        np.zeros(n),
        np.full(n, 100.0),
        np.ones(n, np.bool_),
    )
    assert net_coverage(trades, counted) == (4, 0.75)


def test_truth_covers_contracts_with_open_interest():
    oi = np.array([10.0, 10.0, 0.0])
    found = against_truth(
        np.array([2.0, -3.0, 0.0]),
        np.array([0.0, -9.0, 0.0]),
        np.array([5.0, 1.0, 0.0]),
        truth=np.array([6.0, -3.0, 0.0]),
        open_interest=oi,
        is_call=np.array([True, False, True]),
    )
    assert found.contracts == 2
    assert found.coverage == 0.5
    assert found.error == pytest.approx(np.sqrt(8.0))
    assert found.naive_error == pytest.approx(np.sqrt((16.0 + 49.0) / 2.0))
    assert found.shrunk_naive_error == pytest.approx(np.sqrt((4.0 + 1.0) / 2.0))


def test_session_is_scored_for_every_model_and_the_naive_rule(played):
    truth = dict(zip(played.symbols, played.truths[1].tolist(), strict=True))
    rows = scored_session(evening(played, truth=truth))
    conform(tables.POSITION_SCORES, rows, underlying="SPX", session_date=SECOND)
    assert rows["model"].to_pylist() == ["naive", "reconciled", "taker_flow"]
    ours, naive = of(rows, "reconciled"), of(rows, "naive")
    assert ours["contracts"] == 120
    assert ours["signed_share"] == pytest.approx(1.0)
    assert ours["change_skill"] > 0.0
    assert ours["expected_opening_share"] == PRIOR_OPENING
    assert ours["truth_error_contracts"] < naive["truth_error_contracts"]
    assert naive["truth_error_contracts"] == pytest.approx(naive["naive_error_contracts"])
    assert naive["truth_coverage"] is None
    assert 0.6 < ours["truth_coverage"] <= 1.0
    assert ours["sign_ece"] is None


def test_labels_give_brier_and_calibration_error(played):
    odds = np.array([0.7] * 10 + [np.nan])
    right = np.array([True] * 7 + [False] * 4)
    row = of(scored_session(evening(played, labels=Labels(odds, right))), "reconciled")
    assert row["labelled_prints"] == 10
    assert row["sign_accuracy"] == pytest.approx(0.7)
    assert row["sign_brier"] == pytest.approx(0.7 * 0.09 + 0.3 * 0.49)
    assert row["sign_ece"] == pytest.approx(0.0, abs=1e-9)


def test_earlier_sessions_tell_what_is_usual_and_what_opens(played):
    earlier = pa.Table.from_pylist(
        [
            row(
                tables.POSITION_SCORES,
                session_date=FIRST,
                model="reconciled",
                opening_share=0.2,
                volume_contracts=50.0,
                change_skill=skill,
                change_coverage=0.9,
                sign_ece=None,
            )
            for skill in (0.2, 0.4, 0.6)
        ],
        schema=tables.POSITION_SCORES.schema,
    )
    found = of(scored_session(evening(played, earlier)), "reconciled")
    assert found["sessions_before"] == 3
    assert found["usual_skill"] == pytest.approx(0.4)
    assert found["usual_ece"] is None
    assert found["expected_opening_share"] == pytest.approx((3 * 0.2 + 5 * PRIOR_OPENING) / 8)


def test_without_the_next_mornings_counts_nothing_is_scored(played):
    told = evening(played)
    blind = morning(
        told.morning.session_date, previous=told.morning.previous, flow=told.morning.flow
    )
    rows = scored_session(Evening(SECOND, told.closed_at, blind, told.earlier))
    assert rows.num_rows == 0


USUAL = {
    "model": "reconciled",
    "sessions_before": 20,
    "change_skill": 0.5,
    "usual_skill": 0.5,
    "change_coverage": 0.9,
    "usual_change_coverage": 0.9,
    "net_coverage": None,
    "truth_coverage": None,
    "sign_ece": 0.01,
    "usual_ece": 0.01,
}


def drift_of(**told):
    rows = [row(tables.POSITION_SCORES, **(USUAL | told))]
    return drifts(pa.Table.from_pylist(rows, schema=tables.POSITION_SCORES.schema))[0]


def test_a_usual_session_does_not_drift():
    assert drift_of() == []


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"change_skill": 0.3}, "skill"),
        ({"change_coverage": 0.7}, "change coverage"),
        ({"net_coverage": 0.5}, "net coverage"),
        ({"truth_coverage": 0.6}, "truth coverage"),
        ({"sign_ece": 0.06}, "odds of sides"),
    ],
)
def test_calibration_that_drifts_is_told_in_words(told, word):
    (reason,) = drift_of(**told)
    assert word in reason


def test_a_hard_session_that_is_hard_for_the_naive_rule_too_is_no_drift():
    def with_naive(skill):
        ours = row(tables.POSITION_SCORES, **(USUAL | {"change_skill": 0.2}))
        ruled = {"model": "naive", "change_skill": skill, "usual_skill": 0.45}
        rows = [ours, row(tables.POSITION_SCORES, **(USUAL | ruled))]
        return drifts(pa.Table.from_pylist(rows, schema=tables.POSITION_SCORES.schema))[0]

    assert with_naive(0.15) == []
    (reason,) = with_naive(0.45)
    assert "skill" in reason


def turned(rows):
    """The same flow, each side told as the opposite."""
    place = rows.schema.get_field_index("customer_net_contracts")
    return rows.set_column(place, rows.schema.field(place), pc.negate(rows.column(place)))


def test_check_warns_when_sides_are_turned_and_is_quiet_before_and_without_history():
    world = play(contracts=600, days=12, reliability=0.3, seed=4, call_share=0.4)
    scores = tables.POSITION_SCORES.schema.empty_table()
    found = []
    for n, (rows, told, evidence) in enumerate(
        zip(world.rows[:-1], world.counts[1:], world.flows[:-1], strict=True)
    ):
        day, following = (world.counts[i]["session_date"][0].as_py() for i in (n, n + 1))
        evidence = turned(evidence) if n == 10 else evidence
        opened = morning(following, previous=rows, flow=evidence, counts=told)
        closed = sessions.session_close("XNYS", day)
        scored = scored_session(Evening(day, closed, opened, scores))
        (check,) = INVARIANTS["position_scores"]
        verdict = check.judge(scored, underlying("SPX"))
        found.append(verdict.holds)
        scores = pa.concat_tables([scores, scored])
    assert found == [True] * 10 + [False]


def test_a_short_history_is_no_usual():
    assert drift_of(sessions_before=2, change_skill=0.1, change_coverage=0.5) == []


def test_the_constant_fraction_is_the_fields():
    assert BASELINE == 0.4
