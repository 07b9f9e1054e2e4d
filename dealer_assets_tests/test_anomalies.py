"""Baselines and scores in a lake: what is read, what is due, what stays as it was."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.derived.anomalies import refresh_baseline, refresh_scores, session_scores
from dealer_assets.domain import sessions
from dealer_assets.lake.layout import snapshot_part
from dealer_assets.lake.reader import list_parts, read_partition
from dealer_assets.lake.storage import open_lake
from dealer_assets.lake.tiers import pack_session
from dealer_assets.lake.writer import write_part
from dealer_assets.reports.anomaly_pictures import heat_map, rank_picture, score_metadata
from dealer_assets.underlyings import underlying
from dealer_assets_tests.anomaly_market import as_rows, between, made_up

SPX = underlying("SPX")
HELD = 23
PNG = b"\x89PNG"


def days():
    last = date(2026, 11, 20)
    return [*reversed(list(sessions.sessions_before("XNYS", last, most=HELD))), last]


def rows_of(market, number, day, *, simulated=True, known_later=False):
    """Move a made-up session to a calendar day, its polls to that day's clock."""
    rows = as_rows(between(market, number, number + 1))
    opened = sessions.session_open("XNYS", day)
    at = [opened.replace(hour=14 + slot - 9, minute=45) for slot in rows["slot"].to_pylist()]
    known = [datetime(2026, 12, 31, tzinfo=UTC)] * len(at) if known_later else at
    given = {
        "session_date": [day] * len(at),
        "event_at": at,
        "known_at": known,
        "is_simulated": [simulated] * len(at),
    }
    for name, values in given.items():
        place = rows.schema.get_field_index(name)
        field = rows.schema.field(place)
        rows = rows.set_column(place, field, pa.array(values, field.type))
    return rows


def write(lake, rows, day):
    for at in sorted(set(rows["event_at"].to_pylist())):
        mask = pc.equal(rows["event_at"], pa.scalar(at, rows.schema.field("event_at").type))
        write_part(
            lake,
            tables.CONTRACT_FEATURES,
            rows.filter(mask),
            underlying="SPX",
            session_date=day,
            name=snapshot_part(at),
        )


@pytest.fixture(scope="module")
def market():
    return made_up(HELD + 1, strikes=10, expiries=3, seed=4)


@pytest.fixture(scope="module")
def written(tmp_path_factory, market):
    folder = tmp_path_factory.mktemp("written") / "lake"
    made = open_lake(str(folder))
    for number, day in enumerate(days()):
        write(made, rows_of(market, number, day), day)
    return folder


@pytest.fixture
def lake(tmp_path, written):
    shutil.copytree(written, tmp_path / "lake")
    return open_lake(str(tmp_path / "lake"))


def test_scores_of_a_session_rest_on_the_sessions_before_and_are_made_once(lake):
    today = days()[-1]
    assert refresh_baseline(lake, SPX, today, simulated=True).rows > 100
    baseline = read_partition(lake, tables.FEATURE_BASELINES, "SPX", today)
    told = baseline.filter(pc.equal(baseline["kind"], "session"))["place"].to_pylist()
    assert [date.fromordinal(719_163 + number) for number in sorted(told)] == days()[:-1]
    assert max(baseline["known_at"].to_pylist()) <= sessions.session_open("XNYS", today)
    first = refresh_scores(lake, SPX, today)
    assert (len(first.written), first.kept) == (7, 0)
    again = refresh_scores(lake, SPX, today), refresh_baseline(lake, SPX, today, simulated=True)
    assert [(done.written, done.kept) for done in again] == [((), 7), ((), 1)]
    rows = session_scores(lake, SPX, today)
    assert set(rows["history_status"].to_pylist()) == {"ok"}
    assert rows["known_at"].to_pylist() == rows["event_at"].to_pylist()


def test_a_later_poll_leaves_earlier_scores_alone(lake, market):
    today = days()[-1]
    features = list_parts(lake, tables.CONTRACT_FEATURES, "SPX", today)
    refresh_baseline(lake, SPX, today, simulated=True)
    refresh_scores(lake, SPX, today)
    whole = session_scores(lake, SPX, today)
    lake.remove(features[-1].path)
    done = refresh_scores(lake, SPX, today)
    assert (done.written, done.kept, done.removed) == ((), 6, 1)
    left = session_scores(lake, SPX, today)
    assert left.equals(whole.slice(0, left.num_rows))


def test_the_other_market_and_what_was_not_known_yet_are_no_history(lake, market):
    today, before = days()[-1], days()[-2]
    assert refresh_baseline(lake, SPX, today, simulated=False).stopped == 1
    write(lake, rows_of(market, HELD - 1, before, known_later=True), before)
    refresh_baseline(lake, SPX, today, simulated=True)
    rows = read_partition(lake, tables.FEATURE_BASELINES, "SPX", today)
    assert rows["kind"].to_pylist().count("session") == HELD - 1


def test_later_sessions_and_later_known_rows_renew_no_baseline_and_no_score(lake, market):
    today, after = days()[-2], days()[-1]
    for part in list_parts(lake, tables.CONTRACT_FEATURES, "SPX", after):
        lake.remove(part.path)
    refresh_baseline(lake, SPX, today, simulated=True)
    refresh_scores(lake, SPX, today)
    before = read_partition(lake, tables.FEATURE_BASELINES, "SPX", today)
    scores = session_scores(lake, SPX, today)
    write(lake, rows_of(market, HELD, after), after)
    assert refresh_baseline(lake, SPX, today, simulated=True).kept == 1
    assert refresh_scores(lake, SPX, today).kept == 7
    # and a real session in between, as a rebuild meets it: of another market, not of this one
    write(lake, rows_of(market, 3, days()[3], simulated=False), days()[3])
    refresh_baseline(lake, SPX, today, simulated=True)
    told = read_partition(lake, tables.FEATURE_BASELINES, "SPX", today)
    assert told["kind"].to_pylist().count("session") == HELD - 2
    write(lake, rows_of(market, 3, days()[3]), days()[3])
    refresh_baseline(lake, SPX, today, simulated=True, rebuild=True)
    refresh_scores(lake, SPX, today, rebuild=True)
    assert read_partition(lake, tables.FEATURE_BASELINES, "SPX", today).equals(before)
    assert session_scores(lake, SPX, today).equals(scores)


def test_every_poll_of_a_packed_session_is_history_still(lake):
    """Polls of a session that retention packed lie in one file: none of them may be lost."""
    today = days()[-1]
    refresh_baseline(lake, SPX, today, simulated=True)
    before = read_partition(lake, tables.FEATURE_BASELINES, "SPX", today)
    for day in days()[:4]:
        pack_session(lake, tables.CONTRACT_FEATURES, underlying="SPX", session_date=day)
    assert refresh_baseline(lake, SPX, today, simulated=True).kept == 1
    refresh_baseline(lake, SPX, today, simulated=True, rebuild=True)
    assert read_partition(lake, tables.FEATURE_BASELINES, "SPX", today).equals(before)


def test_without_history_every_row_says_so(lake):
    first = days()[0]
    assert refresh_baseline(lake, SPX, first, simulated=True).stopped == 1
    assert refresh_scores(lake, SPX, first).rows > 0
    rows = session_scores(lake, SPX, first)
    assert set(rows["unscored_reason"].to_pylist()) == {"no_history"}
    assert rows["p_value"].null_count == rows.num_rows
    assert not any(rows["is_anomaly"].to_pylist())


def test_pages_show_scores_and_say_when_there_are_none(lake):
    today = days()[-1]
    refresh_baseline(lake, SPX, today, simulated=True)
    refresh_scores(lake, SPX, today)
    rows = session_scores(lake, SPX, today)
    assert heat_map(rows).startswith(PNG)
    assert rank_picture(rows).startswith(PNG)
    told = score_metadata(rows)
    assert told["contracts"] == rows.num_rows
    assert told["history"] == f"ok, {HELD} sessions"
    none = rows.slice(0, 0)
    assert heat_map(none).startswith(PNG)
    assert rank_picture(none).startswith(PNG)
    assert score_metadata(none) == {"contracts": 0}
