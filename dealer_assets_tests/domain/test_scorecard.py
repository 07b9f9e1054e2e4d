"""The scorecard: outcomes by hand, chance on known truths, rows of a session."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.pins import pin_levels
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.domain.scorecard.chance import LEAST_SESSIONS, score_card
from dealer_assets.domain.scorecard.outcomes import Paths, outcomes
from dealer_assets.domain.scorecard.paths import (
    fuller,
    path_of_bar,
    path_of_snapshots,
    path_of_values,
)
from dealer_assets.domain.scorecard.scores import (
    SCORE_WINDOW,
    level_scores,
    round_number,
    scaled,
    settled_levels,
)
from dealer_assets.reports.pin_pictures import score_picture, score_words
from dealer_assets.tables.pins import LEVEL_KINDS
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.strike_rows import (
    MOVE,
    SPOT,
    exposure,
    held,
    levels,
    no_rows,
    session,
)
from dealer_assets_tests.live_rows import row

NO_SCORES = no_rows(tables.LEVEL_SCORES)
NO_PINS = no_rows(tables.PIN_LEVELS)


def bars(opened, high, low, close):
    return Paths(*(np.atleast_1d(np.asarray(x, float)) for x in (opened, high, low, close)))


@pytest.mark.parametrize(
    ("level", "path", "expected"),
    [
        # open, high, low, close; touched, held, closed beyond
        (1.0, (0.0, 1.1, -0.2, 0.5), (True, True, False)),  # turned from below
        (1.0, (0.0, 1.3, -0.2, 0.5), (True, False, False)),  # passed too far first
        (1.0, (0.0, 1.1, -0.2, 0.9), (True, False, False)),  # not far enough back
        (1.0, (0.0, 1.5, -0.2, 1.4), (True, False, True)),  # broke
        (1.0, (0.0, 0.9, -0.2, 0.5), (False, False, False)),  # never there
        (-1.0, (0.0, 0.3, -1.2, -0.6), (True, True, False)),  # support
        (-1.0, (0.0, 0.3, -1.2, -1.1), (True, False, True)),
        (1.0, (1.5, 1.6, 0.9, 1.4), (True, True, False)),  # a gap over it: approached from above
        (1.0, (1.5, 1.6, 1.2, 1.4), (False, False, False)),  # a gap alone touches nothing
        (0.0, (0.0, 0.5, -0.5, 0.3), (True, False, False)),  # the open has no side
    ],
)
def test_outcomes_are_told_by_the_bar(level, path, expected):
    found = outcomes(np.array([level]), bars(*path))
    assert (found.touched[0], found.held[0], found.closed_beyond[0]) == expected
    assert found.distance[0] == pytest.approx(abs(path[3] - level))


def walks(n, seed, *, steps=200, vol=1.0):
    """Sessions of a driftless walk from the reference, in expected moves."""
    draw = np.random.default_rng(seed)
    step = draw.normal(0.0, vol / np.sqrt(steps), (n, steps))
    return np.cumsum(step, axis=1)


def bar_of(path):
    return Paths(path[:, 0], path.max(axis=1), path.min(axis=1), path[:, -1])


def test_random_levels_score_as_chance_does_and_p_values_are_uniform():
    p_values = []
    for seed in range(200):
        draw = np.random.default_rng(1000 + seed)
        card = score_card(
            draw.normal(0, 1, 40), bar_of(walks(40, seed, steps=40)), seed=1, draws=200
        )
        p_values.append(
            [card.touched_share.p_value, card.held_share.p_value, card.mean_distance.p_value]
        )
    share = (np.array(p_values) <= 0.10).mean(axis=0)
    assert np.all(share <= 0.16)  # 10 % and three standard errors
    assert share[2] >= 0.04  # continuous, so not conservative either


def test_levels_that_turn_prices_are_found():
    path, draw = walks(120, 3), np.random.default_rng(4)
    level = draw.uniform(0.3, 1.2, 120) * draw.choice([-1.0, 1.0], 120)
    side = np.sign(level)[:, None]
    over = side * (path - level[:, None])
    path = np.where(over > 0.1, level[:, None] - side * (over - 0.2), path)  # turned just beyond
    card = score_card(level, bar_of(path), seed=1)
    assert card.held_share.found > card.held_share.base + 0.2
    assert card.held_share.p_value < 0.01
    assert card.closed_beyond_share.found < card.closed_beyond_share.base - 0.2
    assert card.closed_beyond_share.p_value < 0.01


def test_closes_that_are_drawn_to_levels_are_found_by_their_distance():
    draw = np.random.default_rng(5)
    level, path = draw.normal(0, 0.7, 80), walks(80, 6)
    pulled = path + (level[:, None] - path) * np.linspace(0.0, 0.6, path.shape[1]) ** 2
    card = score_card(level, bar_of(pulled), seed=1)
    assert card.mean_distance.found < card.mean_distance.base
    assert card.mean_distance.p_value < 0.01


def test_base_rates_have_the_levels_own_distances_so_far_ones_are_no_better_for_being_far():
    path = walks(300, 7)
    near, far = (score_card(np.full(300, z), bar_of(path), seed=1, draws=50) for z in (0.2, 2.0))
    for card in (near, far):  # all shuffles are alike
        assert card.touched_share.found == pytest.approx(card.touched_share.base)
    assert far.touched_share.base < near.touched_share.base - 0.5
    assert near.touched_share.p_value == far.touched_share.p_value == 1.0


def test_a_card_is_the_same_for_the_same_seed_and_tells_nothing_of_too_few_sessions():
    draw = np.random.default_rng(8)
    level, path = draw.normal(0, 1, 30), bar_of(walks(30, 9))
    assert score_card(level, path, seed=3, draws=100) == score_card(level, path, seed=3, draws=100)
    few = Paths(*(x[: LEAST_SESSIONS - 1] for x in vars(path).values()))
    card = score_card(level[: LEAST_SESSIONS - 1], few, seed=3, draws=100)
    assert np.isfinite(card.touched_share.found)
    assert np.isnan([card.touched_share.base, card.touched_share.p_value]).all()
    none = score_card(np.empty(0), Paths(*[np.empty(0)] * 4), seed=3, draws=100)
    assert (none.sessions, none.touched) == (0, 0)
    assert np.isnan(none.touched_share.found)


# --- paths ---------------------------------------------------------------------------------------


def values(*pairs, kind="spot"):
    made = [
        row(tables.INDEX_VALUES, at=at, kind=kind, value=value, known_at=at + timedelta(seconds=5))
        for at, value in pairs
    ]
    return pa.Table.from_pylist(made, schema=tables.INDEX_VALUES.schema)


def test_a_path_is_the_sessions_own_prices_in_time_order():
    day = date(2026, 11, 20)  # New York is open from 14:30 to 21:00 UTC, quotes end at 21:15
    opened = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    inside = [(opened + timedelta(hours=h), p) for h, p in ((3, 99.0), (0, 100.0), (6, 104.0))]
    outside = [(opened - timedelta(minutes=1), 1.0), (opened + timedelta(hours=7), 999.0)]
    path = path_of_values(values(*inside, *outside), "XNYS", day)
    assert path is not None
    assert (path.opened, path.high, path.low, path.close) == (100.0, 104.0, 99.0, 104.0)
    assert (path.points, path.source) == (3, "index_values")
    assert path.share == pytest.approx(6.0 / 6.5)
    assert path.last_at == opened + timedelta(hours=6)
    assert path.known_at == path.last_at + timedelta(seconds=5)
    assert path_of_values(values(*outside), "XNYS", day) is None
    assert path_of_values(values(*inside, kind="vol_index"), "XNYS", day) is None
    whole = path_of_bar(1.0, 2.0, 0.5, 1.5, calendar="XNYS", day=day)
    assert fuller(path, whole) is whole  # four prices against three
    assert fuller(path, None) is path


def test_models_of_one_snapshot_are_one_price_of_the_path():
    day, at = session(3)
    rows = [levels(at=at, day=day, spot=90.0, model=m) for m in ("naive", "reconciled")]
    path = path_of_snapshots(pa.concat_tables(rows), "24/7", day)
    assert path is not None
    assert (path.points, path.share, path.high) == (1, 0.0, 90.0)


# --- rows ----------------------------------------------------------------------------------------


def scores_of(path, *, earlier=NO_SCORES, day=None, pins=NO_PINS, **settled):
    before, at = session(9)
    day = day or session(10)[0]
    return level_scores(levels(at=at, day=before, **settled), pins, path, earlier=earlier, day=day)


def bar(opened=SPOT, high=SPOT + 60, low=SPOT - 60, close=SPOT, index=10):
    return path_of_bar(opened, high, low, close, calendar="24/7", day=session(index)[0])


def row_of(scores, kind):
    return scores.filter(pc.equal(scores["level_kind"], kind)).to_pylist()[0]


def test_every_kind_has_a_row_and_what_there_is_none_of_says_so():
    scores = scores_of(bar(), call_wall=5050.0, flip_price=4900.0)
    assert sorted(scores["level_kind"].to_pylist()) == sorted(LEVEL_KINDS)
    wall, flip, pin = (row_of(scores, k) for k in ("call_wall", "flip", "pin_1"))
    assert (wall["level_state"], wall["level_price"], wall["is_scored"]) == ("ok", 5050.0, True)
    assert wall["distance_moves"] == pytest.approx(np.log(5050 / SPOT) / (MOVE / SPOT))
    assert (wall["is_touched"], wall["is_held"], wall["is_closed_beyond"]) == (True, True, False)
    assert (flip["is_touched"], flip["is_held"]) == (False, None)
    assert (pin["level_state"], pin["is_scored"], pin["is_touched"]) == ("not_held", False, None)
    assert wall["set_at"] < wall["event_at"] <= wall["known_at"]
    assert row_of(scores, "round_number")["level_price"] == SPOT


def test_scores_are_known_when_the_last_of_levels_pins_prices_and_scores_before_is():
    before, at = session(9)
    late = at + timedelta(days=30)
    book = exposure(*(held(k, 1.0, at=at, known_at=late) for k in (4990.0, 5000.0, 5010.0)))
    settled = levels(at=at, day=before, call_wall=5050.0)
    pins = pin_levels(book, settled)
    assert set(scores_of(bar(), pins=pins, call_wall=5050.0)["known_at"].to_pylist()) == {late}
    after = scores_of(bar(), call_wall=5050.0)
    assert set(after["known_at"].to_pylist()) == {bar().known_at}


def test_doubtful_levels_and_short_paths_are_told_and_not_scored():
    doubtful = scores_of(bar(), call_wall=5050.0, flip_price=5010.0, flip_status="far")
    assert row_of(doubtful, "flip")["level_state"] == "doubtful"
    assert not row_of(doubtful, "flip")["is_scored"]
    assert row_of(doubtful, "call_wall")["is_scored"]
    unpublishable = scores_of(bar(), call_wall=5050.0, is_publishable=False)
    assert row_of(unpublishable, "call_wall")["level_state"] == "doubtful"
    assert not row_of(scores_of(bar(), call_wall=5050.0, move=None), "call_wall")["is_scored"]
    day, at = session(10)
    short = path_of_values(values((at, 1.0), (at + timedelta(hours=1), 2.0)), "24/7", day)
    assert not row_of(scores_of(short, call_wall=5050.0), "call_wall")["is_scored"]


def test_pins_and_the_last_snapshot_of_each_model_are_what_is_scored():
    before, at = session(9)
    strikes = np.arange(4900.0, 5101.0, 10.0)
    book = exposure(*(held(k, 60.0 if k == 5030 else 1.0, at=at) for k in strikes))
    settled = levels(at=at, day=before, call_wall=5080.0)
    pins = pin_levels(book, settled)
    stale = levels(at=at - timedelta(hours=3), day=before, call_wall=1.0)
    scores = level_scores(
        pa.concat_tables([settled, stale]), pins, bar(), earlier=NO_SCORES, day=session(10)[0]
    )
    assert row_of(scores, "pin_1")["level_price"] == 5030.0
    assert row_of(scores, "call_wall")["level_price"] == 5080.0
    two = pa.concat_tables(
        [settled, levels(at=at, day=before, model="reconciled", call_wall=5090.0)]
    )
    both = level_scores(two, pins, bar(), earlier=NO_SCORES, day=session(10)[0])
    named = both.filter(pc.equal(both["level_kind"], "call_wall"))
    assert dict(zip(named["model"].to_pylist(), named["level_price"].to_pylist(), strict=True)) == {
        "naive": 5080.0,
        "reconciled": 5090.0,
    }
    reconciled = both.filter(pc.equal(both["model"], "reconciled"))
    # pins of naive are none of another model's, and that none are held is not that there are none
    assert row_of(reconciled, "pin_1")["level_state"] == "not_held"
    assert row_of(scores, "pin_3")["level_state"] == "none"


def test_a_session_whose_high_or_low_is_the_level_touches_it():
    draw = np.random.default_rng(5)
    (invariant,) = INVARIANTS["level_scores"]
    for _ in range(40):
        spot, move = float(np.round(draw.uniform(4000, 6500), 2)), float(draw.uniform(30, 80))
        level = 5.0 * np.round(spot * np.exp(draw.normal(0.0, 0.01)) / 5.0)
        ends = (spot, max(level, spot), min(level, spot), spot)
        made = scores_of(bar(*ends), spot=spot, move=move, call_wall=level)
        assert row_of(made, "call_wall")["is_touched"]
        assert invariant.judge(made, underlying("SPX")).holds


def run(count, seed=1):
    """Scores of sessions one after the other, each seeing those before."""
    draw = np.random.default_rng(seed)
    path, scores = walks(count + 1, seed), NO_SCORES
    for index in range(count):
        before, at = session(index)
        day = session(index + 1)[0]
        price = SPOT * np.exp(path[index] * MOVE / SPOT)
        settled = levels(at=at, day=before, call_wall=SPOT + draw.uniform(5, 90))
        ends = (price[0], price.max(), price.min(), price[-1])
        made = level_scores(
            settled, NO_PINS, path_of_bar(*ends, calendar="24/7", day=day), earlier=scores, day=day
        )
        scores = pa.concat_tables([scores, made])
    return scores


def test_trailing_columns_are_the_card_of_the_sessions_so_far():
    some, count = run(6), SCORE_WINDOW + 6
    place = some.schema.get_field_index("session_date")
    shifted = [
        some.set_column(
            place,
            some.schema.field(place),
            pa.array([d + timedelta(days=shift) for d in some["session_date"].to_pylist()]),
        )
        for shift in range(0, count, 6)
    ]
    made = scores_of(
        bar(index=count + 1),
        earlier=pa.concat_tables(shifted[::-1]),
        day=session(count + 1)[0],
        call_wall=5050.0,
    )
    walls = pa.concat_tables([*shifted, made]).sort_by("session_date")
    walls = walls.filter(pc.equal(walls["level_kind"], "call_wall"))
    window = walls.slice(walls.num_rows - SCORE_WINDOW)
    last, card = row_of(made, "call_wall"), score_card(*scaled(window), seed=1)
    assert last["trailing_sessions"] == SCORE_WINDOW < walls.num_rows
    assert last["trailing_touched"] == sum(window["is_touched"].to_pylist())
    assert last["touched_share"] == pytest.approx(np.mean(window["is_touched"].to_pylist()))
    assert last["touched_share_base"] == pytest.approx(card.touched_share.base, abs=0.01)
    assert last["mean_close_distance"] == pytest.approx(card.mean_distance.found)
    counts = some.filter(pc.equal(some["level_kind"], "call_wall")).sort_by("session_date")
    assert counts["trailing_sessions"].to_pylist() == [1, 2, 3, 4, 5, 6]
    told = [value is not None for value in counts["touched_share_p"].to_pylist()]
    assert told == [i + 1 >= LEAST_SESSIONS for i in range(6)]


def test_later_sessions_change_nothing_and_a_rerun_gives_the_same_rows():
    scores = run(8)
    whole = scores_of(bar(), earlier=scores, day=session(5)[0], call_wall=5050.0)
    past = scores.filter(pc.less(scores["session_date"], pa.scalar(session(5)[0])))
    assert past.num_rows < scores.num_rows
    assert whole.equals(scores_of(bar(), earlier=past, day=session(5)[0], call_wall=5050.0))


def test_seeded_faults_fail_the_invariant_of_scores():
    (invariant,) = INVARIANTS["level_scores"]
    scores, spx = scores_of(bar(), call_wall=5050.0), underlying("SPX")
    assert invariant.judge(scores, spx).holds
    assert invariant.judge(scores.slice(0, 0), spx).holds
    place = scores["level_kind"].to_pylist().index("call_wall")
    for column, value in (
        ("is_touched", False),
        ("high_price", SPOT),
        ("is_closed_beyond", True),
        ("low_price", SPOT + 500),
    ):
        spoiled = scores.to_pylist()
        spoiled[place][column] = value
        bad = pa.Table.from_pylist(spoiled, schema=scores.schema)
        assert not invariant.judge(bad, spx).holds, column


def test_settled_levels_come_in_the_dictionarys_order():
    settled = levels(call_wall=5050.0).to_pylist()[0]
    assert [level.kind for level in settled_levels(settled, NO_PINS)] == list(LEVEL_KINDS)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (4512.3, 4500.0),
        (5026.0, 5050.0),
        (503.2, 505.0),
        (87_640.0, 88_000.0),
        (63_400.0, 63_500.0),
    ],
)
def test_round_number_is_the_nearest_of_a_round_step(price, expected):
    assert round_number(price) == expected


def test_words_and_pictures_come_of_any_rows_there_may_be():
    scores = run(6)
    last = scores.filter(pc.equal(scores["session_date"], pa.scalar(session(6)[0])))
    assert "naive call_wall: touched" in score_words(last)
    assert "nothing scored" in score_words(scores.slice(0, 0))
    for rows in (last, scores.slice(0, 0)):
        assert score_picture(rows).startswith(b"\x89PNG")
