"""The rules of alerts: what speaks, what says nothing, what ends, in hand-made rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.alerting import feeds, quality, scored, snapshots, strikes
from dealer_assets.domain.alerting.alert import Found, identity
from dealer_assets.domain.alerting.table import RULES, rules_of
from dealer_assets.errors import BadInputError

DAY, BEFORE = date(2026, 11, 20), date(2026, 11, 19)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
RULE = rules_of("")


def at(minute: float) -> datetime:
    return OPEN + timedelta(minutes=minute)


def rows(table: tables.Table, columns: tuple[str, ...], given: list[dict[str, Any]]) -> pa.Table:
    """Rows with the columns a rule reads; they have to be the table's."""
    schema = pa.schema([table.schema.field(name) for name in columns])
    return pa.Table.from_pylist(given, schema=schema)


def levels(*given: dict[str, Any]) -> pa.Table:
    usual = {
        "session_date": DAY,
        "model": "naive",
        "spot": 6500.0,
        "flip_price": 6500.0,
        "flip_status": "ok",
        "flip_lo": 6490.0,
        "flip_hi": 6510.0,
        "call_wall": 6600.0,
        "put_wall": 6400.0,
        "call_wall_stability": 1.0,
        "put_wall_stability": 1.0,
        "is_publishable": True,
    }
    made = [usual | {"event_at": at(i), "known_at": at(i)} | row for i, row in enumerate(given)]
    return rows(tables.EXPOSURE_LEVELS, snapshots.LEVEL_COLUMNS, made)


def crossed(*spots: float, **others: Any) -> Found:
    made = levels(*({"spot": spot} | others for spot in spots))
    return snapshots.flip_crossed(RULE["flip_crossed"], "SPX", DAY, made)


def told(found: Found) -> list[tuple[str, float]]:
    return [(a.dedupe_key, (a.event_at - OPEN) / timedelta(minutes=1)) for a in found.alerts]


def test_spot_going_through_the_whole_band_of_the_flip_is_one_crossing() -> None:
    found = crossed(6520.0, 6505.0, 6495.0, 6485.0, 6480.0)
    (alert,) = found.alerts
    assert told(found) == [("below", 3)]
    assert alert.title == "SPX spot 6,485.00 went below the flip 6,500.00"
    assert alert.facts["flip_lo"] == 6490.0
    assert alert.last_seen_at == at(4)
    assert alert.alert_id == identity("flip_crossed", "SPX", "below", at(3))
    assert [(e.dedupe_key, e.at) for e in found.endings] == [("above", at(3))]


def test_spot_within_the_band_of_the_flip_crosses_nothing() -> None:
    assert crossed(6520.0, 6495.0, 6505.0, 6491.0, 6509.0, 6515.0) == Found()


def test_a_band_narrower_than_what_spot_moves_in_a_minute_is_not_all_the_hysteresis() -> None:
    narrow = {"flip_lo": 6499.0, "flip_hi": 6501.0}
    assert crossed(6520.0, 6495.0, 6505.0, 6491.0, 6509.0, **narrow) == Found()
    assert told(crossed(6520.0, 6490.0, **narrow)) == [("below", 1)]


def test_each_crossing_ends_the_one_before() -> None:
    found = crossed(6520.0, 6480.0, 6520.0)
    assert told(found) == [("below", 1), ("above", 2)]
    assert [e.dedupe_key for e in found.endings] == ["above", "below"]
    assert found.alerts[0].last_seen_at == at(1)


@pytest.mark.parametrize(
    "unsure",
    [
        {"flip_status": "ill_conditioned"},
        {"flip_status": "far"},
        {"flip_status": "none_in_range", "flip_price": None},
        {"flip_lo": None, "flip_hi": None},
        {"is_publishable": False},
    ],
)
def test_a_flip_that_is_not_determined_says_nothing(unsure: dict[str, Any]) -> None:
    assert crossed(6520.0, 6480.0, 6520.0, **unsure) == Found()
    one = levels({"spot": 6520.0}, {"spot": 6400.0} | unsure, {"spot": 6521.0})
    assert snapshots.flip_crossed(RULE["flip_crossed"], "SPX", DAY, one) == Found()


def test_a_crossing_over_night_counts_to_the_session_it_was_seen_in() -> None:
    night = {"session_date": BEFORE, "event_at": at(-1000), "known_at": at(-1000)}
    made = levels({"spot": 6520.0} | night, {"spot": 6480.0})
    found = snapshots.flip_crossed(RULE["flip_crossed"], "SPX", DAY, made)
    assert told(found) == [("below", 1)]
    of_before = snapshots.flip_crossed(RULE["flip_crossed"], "SPX", BEFORE, made)
    assert of_before.alerts == ()


def test_rows_are_known_with_the_latest_of_what_was_compared() -> None:
    made = levels({"spot": 6520.0, "known_at": at(90)}, {"spot": 6480.0})
    (alert,) = snapshots.flip_crossed(RULE["flip_crossed"], "SPX", DAY, made).alerts
    assert alert.known_at == at(90)


def test_later_snapshots_change_no_alert_of_earlier_ones() -> None:
    spots = [6520.0, 6480.0, 6505.0, 6530.0, 6470.0, 6520.0]
    whole = crossed(*spots).alerts
    for count in range(1, len(spots) + 1):
        part = crossed(*spots[:count]).alerts
        assert [a.alert_id for a in part] == [a.alert_id for a in whole][: len(part)]


def walls(*given: dict[str, Any]) -> Found:
    return snapshots.wall_shifted(RULE["wall_shifted"], "SPX", DAY, levels(*given))


def test_a_stable_wall_that_moves_far_enough_is_a_shift() -> None:
    found = walls({}, {"call_wall": 6625.0}, {"call_wall": 6650.0, "put_wall": 6390.0}, {})
    assert told(found) == [("call", 2), ("call", 3)]
    first = found.alerts[0]
    assert first.title == "SPX call wall at 6,650, was 6,600"
    assert first.facts["step_pct"] == pytest.approx(100 * 50 / 6500)
    assert (found.endings, first.last_seen_at) == ((), None)


def test_walls_that_take_turns_within_their_band_are_no_shift() -> None:
    unsure = {"call_wall": 6700.0, "call_wall_stability": 0.5}
    assert walls({}, unsure, {}, unsure | {"call_wall_stability": None}, {}) == Found()
    assert walls({"call_wall": None}, {}, {"call_wall": 6800.0, "is_publishable": False}) == Found()


def regimes(*labels: str | None, step: float = 30.0) -> Found:
    made = [
        {
            "session_date": DAY,
            "event_at": at(step * i),
            "known_at": at(step * i + 1),
            "model": "naive",
            "spot": 6500.0,
            "regime": label,
            "rule": "gamma <= -0.2",
            "margin": 0.1,
            "nearest_regime": None,
        }
        for i, label in enumerate(labels)
    ]
    made_rows = rows(tables.DEALER_REGIMES, snapshots.REGIME_COLUMNS, made)
    return snapshots.regime_changed(RULE["regime_changed"], "SPX", DAY, made_rows)


def test_another_regime_is_told_and_neutral_only_ends_one() -> None:
    chase = "short_gamma_chase"
    found = regimes("neutral", "gamma_pin", None, "gamma_pin", "neutral", chase, chase)
    assert told(found) == [("gamma_pin", 30), (chase, 150)]
    assert (found.alerts[0].last_seen_at, found.alerts[0].known_at) == (at(90), at(91))
    assert ("gamma_pin", at(120)) in [(e.dedupe_key, e.at) for e in found.endings]
    assert regimes("gamma_pin", "gamma_pin", None) == Found()


def test_a_fact_that_is_no_number_is_stored_as_unknown() -> None:
    made = contracts({"q_value": float("nan")})
    (alert,) = scored.score_at_least(RULE["score_at_least"], "SPX", DAY, made).alerts
    assert (alert.facts["q_value"], alert.facts["score"]) == (None, 90.0)


def test_a_label_that_comes_and_goes_within_minutes_says_nothing_and_ends_what_was() -> None:
    labels = ["neutral", "gamma_pin", "neutral", "gamma_pin", "gamma_pin", "neutral"]
    found = regimes(*labels, step=15.0)
    assert found.alerts == ()
    assert ("gamma_pin", at(30)) in [(e.dedupe_key, e.at) for e in found.endings]
    lasting = regimes("neutral", *["gamma_pin"] * 4, step=15.0)
    assert [(a.event_at, a.known_at) for a in lasting.alerts] == [(at(15), at(46))]


def changes(*given: dict[str, Any]) -> pa.Table:
    usual = {
        "event_at": at(30),
        "known_at": at(31),
        "model": "naive",
        "strike": 6500.0,
        "spot": 6510.0,
        "position_z": 12.0,
        "is_alert_candidate": True,
    }
    made = [usual | row for row in given]
    texts = [{"alert_text": f"{row['strike']:,.6g}: dealers' position"} for row in made]
    both = [row | text for row, text in zip(made, texts, strict=True)]
    return rows(tables.STRIKE_CHANGES, strikes.CHANGE_COLUMNS, both)


def test_strikes_whose_positions_changed_much_are_one_alert_a_snapshot() -> None:
    made = changes(
        {"strike": 6450.0},
        {"position_z": -25.0, "known_at": at(32)},
        {"strike": 6600.0, "position_z": 9.9},
        {"strike": 6700.0, "position_z": 50.0, "is_alert_candidate": False},
        {"strike": 6800.0, "position_z": None, "is_alert_candidate": False},
    )
    (alert,) = strikes.strike_changed(RULE["strike_changed"], "SPX", DAY, made).alerts
    assert alert.title == "SPX positions changed at 2 strikes, most at 6,500"
    assert alert.body.splitlines()[:2] == [
        "6,500: dealers' position",
        "6,450: dealers' position",
    ]
    assert (alert.known_at, alert.dedupe_key, alert.severity) == (at(32), "strikes", "notice")
    many = strikes.strike_changed(RULE["strike_changed"], "SPX", DAY, changes(*[{}] * 25)).alerts
    assert "and 15 more" in many[0].body


def contracts(*given: dict[str, Any]) -> pa.Table:
    usual = {
        "event_at": at(30),
        "known_at": at(31),
        "score": 90.0,
        "q_value": 0.01,
        "severity": "warning",
        "is_anomaly": True,
        "words": "volume 14x its bucket's median for this hour",
    }
    made = [usual | {"symbol": f"SPXW261218P0{i:04d}000"} | row for i, row in enumerate(given)]
    return rows(tables.ANOMALY_SCORES, scored.CONTRACT_COLUMNS, made)


def test_many_anomalies_of_a_poll_are_one_alert_that_lists_them() -> None:
    made = contracts(
        {},
        {"score": 99.0, "severity": "severe", "known_at": at(33)},
        {"score": 59.0},
        {"is_anomaly": False},
        {"score": None, "is_anomaly": False, "severity": "none"},
        {"event_at": at(90)},
    )
    found = scored.score_at_least(RULE["score_at_least"], "SPX", DAY, made)
    assert told(found) == [("contracts", 30), ("contracts", 90)]
    assert [a.severity for a in found.alerts] == ["severe", "warning"]
    first = found.alerts[0]
    assert first.title == "SPX 2 unusual contracts, first SPXW261218P00001000 with score 99"
    assert first.body.splitlines()[0].startswith("SPXW261218P00001000: volume 14x")
    assert (first.severity, first.known_at, first.facts["contracts"]) == ("severe", at(33), 2)


def test_a_long_list_of_anomalies_is_cut_and_says_how_many_more() -> None:
    found = scored.score_at_least(RULE["score_at_least"], "SPX", DAY, contracts(*[{}] * 25))
    lines = found.alerts[0].body.splitlines()
    assert (len(lines), lines[-1]) == (scored.MOST_LISTED + 1, "and 15 more")


def test_unusual_measures_of_a_poll_are_one_alert() -> None:
    usual = {"event_at": at(30), "known_at": at(30), "q_value": 0.01, "severity": "notice"}
    made = [
        usual | {"measure": "skew_25d_30d", "score": 70.0, "is_anomaly": True, "words": "skew"},
        usual | {"measure": "flip_jump", "score": 65.0, "is_anomaly": True, "words": "flip"},
        usual | {"measure": "spot_return", "score": None, "is_anomaly": False, "words": "none"},
    ]
    scores = rows(tables.UNDERLYING_SCORES, scored.MEASURE_COLUMNS, made)
    rule = RULE["underlying_score_at_least"]
    (alert,) = scored.underlying_score_at_least(rule, "SPX", DAY, scores).alerts
    assert alert.title == "SPX 2 unusual measures, first skew 25d 30d with score 70"
    assert alert.body == "skew 25d 30d: skew (score 70)\nflip jump: flip (score 65)"


def problems(*given: tuple[float, str, str, float, list[str]]) -> pa.Table:
    made = [
        {
            "event_at": at(minute),
            "known_at": at(minute),
            "kind": kind,
            "action": action,
            "contracts": 100,
            "share": share,
            "spoils": spoils,
            "words": f"{kind} in words",
        }
        for minute, kind, action, share, spoils in given
    ]
    return rows(tables.DATA_ANOMALIES, quality.PROBLEM_COLUMNS, made)


def test_problems_of_the_data_are_told_while_they_last_and_never_as_an_anomaly() -> None:
    wiped = ("wiped_open_interest", "block", 1.0, ["open_interest"])
    zero = ("zero_bids", "block", 0.9, ["quotes"])
    made = problems((1, *wiped), (2, *wiped), (2, *zero), (3, *wiped))
    instants = [at(i) for i in range(5)]
    found = quality.data_problem(RULE["data_problem"], "SPX", DAY, made, instants)
    assert told(found) == [
        ("wiped_open_interest", 1),
        ("wiped_open_interest+zero_bids", 2),
        ("wiped_open_interest", 3),
    ]
    assert [e.at for e in found.endings] == [at(2), at(3), at(4)]
    assert {a.rule for a in found.alerts} == {"data_problem"}
    assert "anomal" not in found.alerts[1].title


def test_a_flag_speaks_only_when_it_spoils_much() -> None:
    small = (1.0, "frozen_contracts", "flag", 0.1, ["quotes"])
    harmless: tuple[float, str, str, float, list[str]] = (1.0, "date_corrected", "flag", 1.0, [])
    rule = RULE["data_problem"]
    assert not quality.data_problem(rule, "SPX", DAY, problems(small, harmless), [at(1)]).alerts
    much = (1.0, "spot_disagrees", "flag", 0.5, ["spot"])
    found = quality.data_problem(rule, "SPX", DAY, problems(much), [at(1)])
    assert told(found) == [("spot_disagrees", 1)]
    assert found.alerts[0].title == "SPX part of the data cannot be used: spot disagrees"


def stale(minutes: list[float], now: float) -> Found:
    return quality.stale_data(
        RULE["stale_data"],
        "SPX",
        DAY,
        instants=[at(m) for m in minutes],
        opened=OPEN,
        quotes_end=at(405),
        now=at(now),
    )


@pytest.mark.parametrize(
    ("held", "now", "is_late"),
    [
        ([0, 1, 2, 3], 12, False),  # ten minutes are allowed at least
        ([0, 1, 2, 3], 13.5, True),
        ([0, 60, 120], 299, False),  # hourly snapshots: three hours
        ([0, 60, 120], 301, True),
        ([0, 1], 300, False),  # two do not tell what is usual, and may be somebody's look by hand
        ([], 300, False),  # nobody may have meant to follow it
        ([0, 1, 2, 3], 406, False),  # options quote no more
    ],
)
def test_snapshots_are_late_by_what_is_usual_in_the_session(
    held: list[float], now: float, is_late: bool
) -> None:
    assert bool(stale(held, now).alerts) == is_late


def test_stale_data_asked_every_minute_is_the_same_alert_until_it_ends() -> None:
    first, second = stale([0, 1, 2], 20).alerts[0], stale([0, 1, 2], 21).alerts[0]
    assert first.alert_id == second.alert_id
    assert (first.event_at, second.last_seen_at) == (at(2), at(21))
    back = stale([0, 1, 2, 22], 23)
    assert back.alerts == ()
    assert [(e.dedupe_key, e.at) for e in back.endings] == [("snapshots", at(22))]


def beats(*phases: str, seconds: float = 30.0) -> pa.Table:
    made = [
        {
            "event_at": at(i * seconds / 60),
            "known_at": at(i * seconds / 60),
            "feed": "deribit",
            "phase": phase,
            "problems": ["feed is waiting"] if phase != "live" else [],
        }
        for i, phase in enumerate(phases)
    ]
    return rows(tables.STREAM_HEARTBEATS, feeds.BEAT_COLUMNS, made)


NO_GAPS = rows(tables.FEED_GAPS, feeds.GAP_COLUMNS, [])


def test_a_feed_that_stays_away_is_told_and_its_return_ends_it() -> None:
    made = beats("live", "waiting", "waiting", "waiting", "live", "live")
    found = feeds.feed_gap(RULE["feed_gap"], "BTC", DAY, NO_GAPS, made)
    assert told(found) == [("deribit", 0.5)]
    assert found.alerts[0].body.endswith("it is waiting: feed is waiting.")
    assert [e.at for e in found.endings] == [at(0), at(2)]


def test_a_feed_that_is_back_at_once_or_was_stopped_says_nothing() -> None:
    made = beats("live", "waiting", "live", "stopped", "stopped", "stopped", "stopped")
    assert feeds.feed_gap(RULE["feed_gap"], "BTC", DAY, NO_GAPS, made).alerts == ()


def test_a_gap_whose_trades_could_not_be_fetched_is_told_by_its_last_status() -> None:
    def gap(sequence: int, channel: str, status: str, until: float) -> dict[str, Any]:
        return {
            "event_at": at(0),
            "known_at": at(until),
            "stream_sequence": sequence,
            "feed": "polygon",
            "channel": channel,
            "until": at(until),
            "reason": "cut",
            "status": status,
            "detail": "",
        }

    made = [
        gap(0, "filled", "open", 5),
        gap(1, "lost", "open", 5),
        gap(2, "short", "not_backfilled", 0.5),
        gap(3, "filled", "backfilled", 5),
        gap(4, "lost", "not_backfilled", 5),
        gap(5, "open", "open", 5),
    ]
    gaps = rows(tables.FEED_GAPS, feeds.GAP_COLUMNS, made)
    found = feeds.feed_gap(RULE["feed_gap"], "SPX", DAY, gaps, beats())
    assert told(found) == [("polygon lost", 0)]
    assert found.alerts[0].title == "SPX feed polygon lacks trades of 300 s"


def test_a_failed_run_ends_with_the_next_success_of_its_job_and_partition() -> None:
    rule = RULE["failed_run"]
    found = quality.failed_run(
        rule,
        job="session_xnys",
        partition="2026-11-20",
        run_id="abc",
        message="Steps failed",
        steps=["SPX__forwards"],
        at=at(5),
    )
    (alert,) = found.alerts
    assert (alert.underlying, alert.session_date) == ("PLATFORM", DAY)
    assert alert.title == "PLATFORM run of session_xnys of 2026-11-20 failed"
    done = quality.run_succeeded(rule, job="session_xnys", partition="2026-11-20", at=at(9))
    assert done.endings[0].dedupe_key == alert.dedupe_key


def test_every_rule_of_the_dictionary_is_declared_once_with_what_it_needs() -> None:
    assert {rule.name for rule in RULES} | {"test"} == set(tables.ALERT_RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.doc.endswith("."), rule.name
        assert (rule.at_least is None) == (not rule.unit), rule.name


def test_a_setting_changes_rules_and_leaves_the_others() -> None:
    found = rules_of(
        " wall_shifted off; score_at_least at_least=95 cool_down_minutes=0 severity=severe;"
    )
    assert not found["wall_shifted"].is_on
    changed = found["score_at_least"]
    assert (changed.at_least, changed.cool_down_minutes, changed.severity) == (95.0, 0.0, "severe")
    assert found["flip_crossed"] == RULE["flip_crossed"]
    assert rules_of("wall_shifted off; wall_shifted on")["wall_shifted"].is_on


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("walls off", "'walls off' is none of the rules"),
        ("wall_shifted", "with a change"),
        ("wall_shifted maybe", "cannot be given 'maybe'"),
        ("wall_shifted at_least=far", "cannot be given 'at_least=far'"),
        ("wall_shifted at_least=nan", "cannot be given"),
        ("failed_run at_least=3", "failed_run has no threshold"),
        ("flip_crossed cool_down_minutes=-1", "cannot be given"),
        ("flip_crossed severity=none", "severities are notice, warning, severe"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_with_the_grammar(text: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why) as refused:
        rules_of(text)
    assert "expected rules separated by" in str(refused.value)
