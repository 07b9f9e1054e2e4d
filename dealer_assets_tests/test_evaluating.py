"""The evaluation of a session through the lake and the asset graph, and its picture."""

from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.defs.evaluation import anomaly_evaluation
from dealer_assets.defs.resources import Platform
from dealer_assets.derived.anomalies import refresh_baseline
from dealer_assets.derived.evaluating import evaluate_session, plain_rule_of
from dealer_assets.domain import sessions
from dealer_assets.lake.layout import snapshot_part
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.reports.evaluation_pictures import (
    evaluation_picture,
    evaluation_words,
    totals,
)
from dealer_assets.underlyings import underlying
from dealer_assets_tests.live_rows import row

SPX = underlying("SPX")
DAY = date(2026, 11, 19)
HISTORY = 21
CONTRACTS = 60


class Rehearsal(Platform):
    """A platform whose clock a test sets."""

    at: str

    def now(self) -> datetime:
        return datetime.fromisoformat(self.at)


OVER = Rehearsal(at="2026-11-21T06:00:00+00:00")
NEXT_MORNING = OVER.now()


@pytest.fixture
def lake(data_dir: Path) -> Lake:
    """A lake with features of a quiet market: every contract trades about 100 an hour."""
    assert not data_dir.exists()
    made = OVER.lake()
    draw = np.random.default_rng(5)
    day = DAY
    for _ in range(HISTORY + 1):
        store(made, day, draw)
        day = sessions.previous_session("XNYS", day)
    return made


def store(lake: Lake, day: date, draw: np.random.Generator, *, simulated: bool = True) -> None:
    for hour in (10, 11):
        at = sessions.session_open("XNYS", day) + timedelta(hours=hour - 9)
        rows = [quiet(i, at, hour, draw, simulated) for i in range(CONTRACTS)]
        write_part(
            lake,
            tables.CONTRACT_FEATURES,
            pa.Table.from_pylist(rows, schema=tables.CONTRACT_FEATURES.schema),
            underlying="SPX",
            session_date=day,
            name=snapshot_part(at),
        )


def quiet(i: int, at: datetime, slot: int, draw: np.random.Generator, simulated: bool) -> dict:
    volume = float(draw.poisson(100.0))
    nothing = dict.fromkeys(
        ("open_probability", "flow_imbalance", "sweep_share", "burst_share", "withheld_reason")
    )
    return row(
        tables.CONTRACT_FEATURES,
        at=at,
        symbol=f"SPXW261218C{(5000 + 5 * i) * 1000:08d}",
    ) | {
        "underlying": "SPX",
        "session_date": at.date(),
        "is_simulated": simulated,
        "slot": slot,
        "moneyness_bucket": "0.850",
        "dte_bucket": "20-32",
        "mid": 10.0,
        "spread_usd": 0.4,
        "open_interest_contracts": 1000.0,
        "volume_delta_contracts": volume,
        "volume_contracts_netted": volume,
        "premium_usd": 1000.0 * volume,
        "vega_traded_usd_per_vol_point": 5.0 * volume,
        "premium_over_vega": 2.0 * volume,
        "volume_over_open_interest": volume / 1000.0,
        "session_volume_contracts": volume,
        "open_interest_change_contracts": float(draw.normal(0.0, 10.0)),
        "iv_residual_half_spreads": float(draw.normal(0.0, 0.3)),
        "spread_relative": float(0.04 * np.exp(draw.normal(0.0, 0.1))),
        "unscored_reason": None,
        **nothing,
    }


def tell_counts(lake: Lake, *, more: float) -> datetime:
    """Tell the next morning's open interest: every contract has this many more."""
    following = sessions.next_session("XNYS", DAY)
    at = sessions.session_open("XNYS", following)
    features = read_partition(lake, tables.CONTRACT_FEATURES, "SPX", DAY)
    first = features.filter(pc.equal(features["slot"], 10)).to_pylist()
    rows = [
        row(tables.OPEN_INTEREST, at=at, symbol=r["symbol"])
        | {
            "underlying": "SPX",
            "session_date": following,
            "provider": "simulator",
            "open_interest_contracts": r["open_interest_contracts"] + more,
        }
        for r in first
    ]
    write_part(
        lake,
        tables.OPEN_INTEREST,
        pa.Table.from_pylist(rows, schema=tables.OPEN_INTEREST.schema),
        underlying="SPX",
        session_date=following,
        name="simulator-000000000000.parquet",
    )
    return at


def test_a_session_is_evaluated_with_its_own_baseline_and_a_repeat_changes_nothing(lake):
    refresh_baseline(lake, SPX, DAY, simulated=True)
    first = evaluate_session(lake, SPX, DAY, now=NEXT_MORNING)
    assert first.status == "stored"
    recall = totals(first.rows, "recall", "injected_kind", "injected_size")
    assert recall[("own", "volume", 30.0)] == 1.0
    assert totals(first.rows, "any_false_discovery")[("own",)] <= 0.5
    assert set(first.rows["history_sessions"].to_pylist()) == {HISTORY}
    assert all(first.rows["is_null_known"].to_pylist())
    assert evaluate_session(lake, SPX, DAY, now=NEXT_MORNING).status == "current"
    held = read_partition(lake, tables.ANOMALY_EVALUATION, "SPX", DAY)
    assert held.equals(first.rows)


def test_what_is_missing_is_told_and_nothing_is_stored(lake):
    told = evaluate_session(lake, SPX, DAY, now=NEXT_MORNING)
    assert told.status == f"not evaluated: no baseline of {DAY} are held"
    early = date(2026, 1, 5)
    told = evaluate_session(lake, SPX, early, now=NEXT_MORNING)
    assert told.status == f"not evaluated: no features of {early} are held"
    running = sessions.session_open("XNYS", DAY) + timedelta(hours=2)
    told = evaluate_session(lake, SPX, DAY, now=running)
    assert told.status == f"not evaluated: the session of {DAY} is not over"
    assert not read_partition(lake, tables.ANOMALY_EVALUATION, "SPX", DAY).num_rows


def test_the_next_mornings_counts_confirm_and_date_the_evaluation(lake):
    refresh_baseline(lake, SPX, DAY, simulated=True)
    at = tell_counts(lake, more=200.0)
    rows = evaluate_session(lake, SPX, DAY, now=NEXT_MORNING).rows
    assert set(rows["known_at"].to_pylist()) == {at}
    # everything rose by 200, more than a quarter of any volume: so did the likes
    told = totals(rows, "confirmation"), totals(rows, "confirmation_base")
    assert told[0][("p_without_bh",)] == told[1][("p_without_bh",)] == 1.0


def test_later_sessions_do_not_enter_the_plain_rule(lake):
    before, held = plain_rule_of(lake, SPX, DAY, simulated=True)
    store(lake, sessions.next_session("XNYS", DAY), np.random.default_rng(9))
    after, same = plain_rule_of(lake, SPX, DAY, simulated=True)
    assert held == same == HISTORY
    assert np.array_equal(before.mean, after.mean, equal_nan=True)


def test_real_and_simulated_sessions_do_not_serve_each_other(lake):
    assert plain_rule_of(lake, SPX, DAY, simulated=False)[1] == 0


def materialize(day: date):
    of_lane = [asset for asset in anomaly_evaluation if asset.key.path[0] == "SPX"]
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            of_lane,
            partition_key=day.isoformat(),
            instance=instance,
            resources={"platform": OVER},
        )
    assert done.success
    event = done.get_asset_materialization_events()[0]
    checks = {c.check_name: c.passed for c in done.get_asset_check_evaluations()}
    return {k: v.value for k, v in event.materialization.metadata.items()}, checks


def test_the_asset_reports_what_was_found_and_its_checks_pass(lake):
    refresh_baseline(lake, SPX, DAY, simulated=True)
    told, checks = materialize(DAY)
    assert told["status"] == "stored"
    assert "scores, FDR 5 %: finds volume 10x" in told["report"]
    assert told["picture"].startswith("![](data:image/png;base64,")
    assert checks == {
        "schema": True,
        "shares_add_up": True,
        "false_discovery_within_target": True,
    }


def test_words_and_picture_of_nothing_say_so():
    nothing = tables.ANOMALY_EVALUATION.schema.empty_table()
    assert evaluation_words(nothing) == "nothing evaluated"
    assert evaluation_picture(nothing)[1:4] == b"PNG"


def test_words_call_discoveries_false_only_where_the_null_is_known():
    def told(known: bool) -> pa.Table:
        counted = {
            "method": "own", "measure": "any_false_discovery", "injected_kind": "none",
            "injected_size": 0.0, "slot": -1, "severity": "any", "hits": 1.0, "trials": 8.0,
            "value": 0.125, "is_null_known": known,
        }  # fmt: skip
        rows = [row(tables.ANOMALY_EVALUATION, **counted)]
        return pa.Table.from_pylist(rows, schema=tables.ANOMALY_EVALUATION.schema)

    assert "a false one in 12.5% of snapshots" in evaluation_words(told(True))
    assert "any discovery in 12.5% of snapshots" in evaluation_words(told(False))
