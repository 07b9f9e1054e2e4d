"""Simulated rows beside real ones in one lake: neither enters the other's evidence or positions."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.derived.evidence import session_flow
from dealer_assets.derived.scoring import Market, score_session
from dealer_assets.derived.settling import counts_of, settle_session
from dealer_assets.domain import sessions
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.lake.layout import SESSION_PART, batch_part
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.writer import write_part
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.position_world import FIRST, Played, play
from dealer_assets_tests.labelled_tapes import simulated
from dealer_assets_tests.live_rows import row

SPX, XSP = underlying("SPX"), underlying("XSP")
SECOND = sessions.next_session("XNYS", FIRST)
DAY = date(2026, 11, 20)
LISTED = "XSP261120C00500000"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


@pytest.fixture(scope="module")
def played() -> Played:
    return play(contracts=80, days=2, reliability=0.3, seed=6, call_share=0.3)


def of(rows: pa.Table, provider: str) -> pa.Table:
    place = rows.schema.get_field_index("provider")
    return rows.set_column(place, rows.schema.field(place), pa.repeat(provider, rows.num_rows))


def store(lake: Lake, table: tables.Table, rows: pa.Table, *, provider: str = "made_up") -> None:
    name = SESSION_PART if table.part == "session" else batch_part(provider, "a" * 64)
    symbol, day = rows["underlying"][0].as_py(), rows["session_date"][0].as_py()
    write_part(lake, table, rows, underlying=symbol, session_date=day, name=name)


def print_of(provider: str) -> pa.Table:
    made = row(tables.OPTION_TRADES, session_date=FIRST, provider=provider)
    return pa.Table.from_pylist([made], schema=tables.OPTION_TRADES.schema)


def test_real_prints_meet_no_simulated_quote_and_no_simulated_spot() -> None:
    tape = simulated("XSP", DAY, density=0.02, quoted=40)
    real = {"option_trades": of(tape.trades, "polygon")}
    alone = session_flow(real, XSP, DAY)
    beside = {"option_quotes": tape.quotes, "index_values": tape.values}
    assert session_flow(real | beside, XSP, DAY).equals(alone)


def test_a_real_stream_goes_before_a_simulated_tape() -> None:
    tape = simulated("XSP", DAY, density=0.02, quoted=0)
    told = {"side": "buy", "side_confidence": 0.7, "symbol": LISTED, "session_date": DAY}
    rows = [
        row(tables.LIVE_TRADES, stream_sequence=n, feed=feed, trade_class="regular", **told)
        for n, feed in enumerate(("polygon", "simulator"))
    ]
    live = pa.Table.from_pylist(rows, schema=tables.LIVE_TRADES.schema)
    flow = session_flow({**tape.rows, "live_trades": live}, XSP, DAY)
    assert flow["source"].to_pylist() == ["live"]
    assert flow["trades"].to_pylist() == [1]


def test_a_real_session_starts_anew_after_a_simulated_one(lake: Lake, played: Played) -> None:
    store(lake, tables.OPEN_INTEREST, of(played.counts[0], "simulator"))
    store(lake, tables.SIGNED_FLOW, played.flows[0])
    settle_session(lake, SPX, FIRST)
    store(lake, tables.OPEN_INTEREST, played.counts[1])
    done = settle_session(lake, SPX, SECOND)
    assert "simulated" in done.started_from
    own = done.rows.filter(pc.equal(done.rows["model"], "reconciled"))
    assert set(own["sessions_of_flow"].to_pylist()) == {0}
    assert done.rows["model"].unique().to_pylist() == ["reconciled"]


def test_simulated_trades_move_no_real_position(lake: Lake, played: Played) -> None:
    for counts in played.counts:
        store(lake, tables.OPEN_INTEREST, counts)
    settle_session(lake, SPX, FIRST)
    bare = settle_session(lake, SPX, SECOND).rows
    store(lake, tables.SIGNED_FLOW, played.flows[0])
    store(lake, tables.OPTION_TRADES, print_of("simulator"), provider="simulator")
    done = settle_session(lake, SPX, SECOND)
    assert "simulated" in done.started_from
    assert done.rows.equals(bare)
    store(lake, tables.OPTION_TRADES, print_of("polygon"), provider="polygon")
    assert not settle_session(lake, SPX, SECOND).rows.equals(bare)


def test_real_counts_go_before_simulated_ones_of_more_contracts(lake: Lake, played: Played) -> None:
    store(lake, tables.OPEN_INTEREST, of(played.counts[0], "simulator"), provider="simulator")
    store(lake, tables.OPEN_INTEREST, played.counts[0].slice(0, 60))
    assert counts_of(lake, SPX, FIRST)["provider"].unique().to_pylist() == ["made_up"]


def test_truth_is_of_the_market_the_session_came_from_and_of_every_contract(lake: Lake) -> None:
    spy, market = underlying("SPY"), Market(seed=3, density=0.05)
    provider = SimulatorProvider(seed=market.seed, density=market.density)
    for day in (FIRST, SECOND):
        store(lake, tables.OPEN_INTEREST, provider.open_interest(spy, session_date=day).rows)
    rows = settle_session(lake, spy, FIRST).rows
    open_interest = rows["open_interest_contracts"].to_numpy()
    last_day = np.array(rows["expiry_date"].to_pylist()) == FIRST
    assert np.sum(open_interest[last_day] > 0.0) > 0

    def truths(of: Market) -> set[int]:
        return set(score_session(lake, spy, FIRST, market=of).rows["truth_contracts"].to_pylist())

    assert truths(market) == {int(np.sum(open_interest > 0.0))}
    assert truths(Market(seed=4, density=0.05)) == {0}


def test_a_simulated_venue_around_the_clock_is_settled_by_the_days_own_counts(lake: Lake) -> None:
    btc, market = underlying("BTC"), Market(seed=5, density=0.02)
    provider = SimulatorProvider(seed=market.seed, density=market.density)
    days = [date(2026, 5, 4) + timedelta(days=n) for n in range(3)]
    for day in days:
        late = sessions.session_open("24/7", day) + timedelta(hours=23, minutes=50)
        store_snapshot(lake, provider.snapshot(btc, at=late))
        told = provider.open_interest(btc, session_date=day).rows
        found = {one["symbol"]: one for one in counts_of(lake, btc, day).to_pylist()}
        for own in told.to_pylist():
            count = found[own["symbol"]]["open_interest_contracts"]
            assert count == own["open_interest_contracts"]
    first = settle_session(lake, btc, days[0]).rows
    assert set(first["effective_contracts"].to_pylist()) == {0.0}
    settle_session(lake, btc, days[1])
    rows = score_session(lake, btc, days[1], market=market).rows
    assert min(rows["truth_contracts"].to_pylist()) > 100


def test_what_a_venue_around_the_clock_is_said_to_begin_with_is_taken_and_nothing_later(
    lake: Lake,
) -> None:
    btc, day = underlying("BTC"), date(2026, 5, 5)
    provider = SimulatorProvider(seed=5, density=0.02)
    rows = of(provider.open_interest(btc, session_date=day).rows, "deribit")
    later = provider.open_interest(btc, session_date=day + timedelta(days=1)).rows
    store(lake, tables.OPEN_INTEREST, rows, provider="deribit")
    assert counts_of(lake, btc, day).num_rows == rows.num_rows
    place = later.schema.get_field_index("session_date")
    moved = pa.repeat(pa.scalar(day, pa.date32()), later.num_rows)
    later = of(later.set_column(place, later.schema.field(place), moved), "paradigm")
    store(lake, tables.OPEN_INTEREST, later, provider="paradigm")
    assert counts_of(lake, btc, day)["provider"].unique().to_pylist() == ["deribit"]
