"""Settling and scoring from the lake: what is read and stored; a rerun changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.derived.scoring import Market, recent_scores, score_session
from dealer_assets.derived.settling import counts_of, described, settle_session
from dealer_assets.domain import sessions
from dealer_assets.domain.positions.legs import with_legs
from dealer_assets.lake.layout import SESSION_PART, batch_part
from dealer_assets.lake.reader import list_parts, read_partition
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.writer import write_part
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.reports.position_pictures import positions_picture, scores_picture
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.position_world import FIRST, Played, counts, flow, play, symbols_of
from dealer_assets_tests.live_rows import row

SPX = underlying("SPX")
SECOND = sessions.next_session("XNYS", FIRST)
THIRD = sessions.next_session("XNYS", SECOND)
NO_MARKET = Market(seed=7, density=0.1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


@pytest.fixture(scope="module")
def played() -> Played:
    return play(contracts=80, days=3, reliability=0.3, seed=6, call_share=0.3)


def store(lake: Lake, table: tables.Table, rows: pa.Table, *, sha: str = "a") -> None:
    name = SESSION_PART if table.part == "session" else batch_part("made_up", sha * 64)
    symbol, day = rows["underlying"][0].as_py(), rows["session_date"][0].as_py()
    write_part(lake, table, rows, underlying=symbol, session_date=day, name=name)


def filled(lake: Lake, played: Played, days: int = 3) -> Lake:
    for told, evidence in zip(played.counts[:days], played.flows[:days], strict=True):
        store(lake, tables.OPEN_INTEREST, told)
        store(lake, tables.SIGNED_FLOW, evidence)
    return lake


def parts(lake: Lake, table: tables.Table, day: date) -> list[str]:
    return [part.path for part in list_parts(lake, table, "SPX", day)]


def stored_bytes(lake: Lake) -> list[bytes]:
    folder = Path(lake.uri)
    return [(folder / p).read_bytes() for p in parts(lake, tables.DEALER_POSITIONS, FIRST)]


def test_sessions_settled_in_order_are_those_of_the_domain(lake: Lake, played: Played) -> None:
    filled(lake, played)
    for day, expected in zip((FIRST, SECOND, THIRD), played.rows, strict=True):
        done = settle_session(lake, SPX, day)
        assert done.status == "stored"
        held = read_partition(lake, tables.DEALER_POSITIONS, "SPX", day)
        assert held.equals(expected.cast(held.schema))
    assert "positions of" in done.started_from


def test_settling_again_changes_nothing(lake: Lake, played: Played) -> None:
    filled(lake, played)
    settle_session(lake, SPX, FIRST)
    before = stored_bytes(lake)
    assert settle_session(lake, SPX, FIRST).status == "current"
    assert stored_bytes(lake) == before


def test_a_gap_starts_again_from_the_prior_and_says_so(lake: Lake, played: Played) -> None:
    filled(lake, played)
    done = settle_session(lake, SPX, THIRD)
    assert "prior" in done.started_from
    own = done.rows.filter(pc.equal(done.rows["model"], "reconciled"))
    assert set(own["sessions_of_flow"].to_pylist()) == {1}
    assert described(done)["sessions_of_flow"] == 1


def test_nothing_of_the_session_itself_but_its_counts_is_read(lake: Lake, played: Played) -> None:
    filled(lake, played, days=2)
    settle_session(lake, SPX, FIRST)
    first = settle_session(lake, SPX, SECOND).rows
    later = flow(
        SECOND,
        played.symbols,
        **dict.fromkeys(("volume", "net", "sd"), [9.0] * 80),
        squared=[99.0] * 80,
    )
    store(lake, tables.SIGNED_FLOW, later)
    store(lake, tables.OPEN_INTEREST, played.counts[2])
    assert settle_session(lake, SPX, SECOND).rows.equals(first)


def test_without_counts_or_positions_nothing_is_stored(lake: Lake) -> None:
    done = settle_session(lake, SPX, FIRST)
    assert done.status == "no_counts"
    assert parts(lake, tables.DEALER_POSITIONS, FIRST) == []
    assert described(done)["status"] == "no_counts"


def test_counts_are_the_first_chains_whatever_is_read_later(lake: Lake) -> None:
    opened = sessions.session_open("XNYS", FIRST)
    for minutes, count in ((5, 0.0), (10, 70.0), (60, 90.0)):
        at = opened + timedelta(minutes=minutes)
        chain = pa.Table.from_pylist(
            [
                row(
                    tables.CHAIN_SNAPSHOTS,
                    session_date=FIRST,
                    at=at,
                    symbol=symbol,
                    open_interest_contracts=count,
                )
                for symbol in sorted(symbols_of(4))
            ],
            schema=tables.CHAIN_SNAPSHOTS.schema,
        )
        name = _chain_name(at)
        write_part(
            lake,
            tables.CHAIN_SNAPSHOTS,
            chain,
            underlying="SPX",
            session_date=FIRST,
            name=name,
        )
    found = counts_of(lake, SPX, FIRST)
    assert set(found["open_interest_contracts"].to_pylist()) == {70.0}
    store(lake, tables.OPEN_INTEREST, counts(FIRST, symbols_of(10), [5.0] * 10))
    assert counts_of(lake, SPX, FIRST).num_rows == 10


def _chain_name(at: datetime) -> str:
    from dealer_assets.lake.layout import part_name

    return part_name(tables.CHAIN_SNAPSHOTS, event_at=at, sha256="c" * 64)


def test_a_venue_around_the_clock_is_asked_for_its_last_count_of_the_day_before(
    lake: Lake,
) -> None:
    btc, day = underlying("BTC"), date(2026, 3, 3)
    symbol = "BTC-27MAR26-60000-C"
    contract = {
        "symbol": symbol,
        "root": "BTC",
        "expiry_date": date(2026, 3, 27),
        "expires_at": datetime(2026, 3, 27, 8, tzinfo=UTC),
        "strike": 60000.0,
        "right": "call",
    }
    for hours, sha in ((23.5, "a"), (12.0, "b")):
        at = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=hours)
        made = row(tables.OPEN_INTEREST, session_date=date(2026, 3, 2), at=at, provider="deribit")
        made |= contract | {"underlying": "BTC", "open_interest_contracts": hours}
        rows = pa.Table.from_pylist([made], schema=tables.OPEN_INTEREST.schema)
        target = open_lake(f"{lake.uri}-{sha}") if sha == "b" else lake
        store(target, tables.OPEN_INTEREST, rows, sha=sha)
        found = counts_of(target, btc, day)
        assert found["open_interest_contracts"].to_pylist() == ([23.5] if sha == "a" else [])


def legs(**told: object) -> pa.Table:
    base = {"session_date": FIRST, "provider": "blotter", "venue": "", "size_contracts": 10.0}
    made = row(tables.BLOCK_TRADES, symbol=symbols_of(1)[0], **(base | told))
    made |= {"taker_side": told.get("taker_side"), "dealer_side": told.get("dealer_side")}
    return pa.Table.from_pylist([made], schema=tables.BLOCK_TRADES.schema)


@pytest.mark.parametrize(
    ("sides", "net", "variance"),
    [
        ({"dealer_side": "sell", "taker_side": "sell"}, 10.0, 0.0),
        ({"taker_side": "sell"}, -10.0 * 0.2, 100.0 * 0.96),
        ({}, 0.0, 100.0),
    ],
)
def test_legs_of_blocks_count_by_what_their_record_tells(
    sides: dict[str, str], net: float, variance: float
) -> None:
    one = symbols_of(1)
    before = flow(FIRST, one, volume=[20.0], net=[3.0], sd=[4.0], squared=[50.0])
    (after,) = with_legs(before, legs(**sides)).to_pylist()
    assert after["customer_net_contracts"] == pytest.approx(3.0 + net)
    assert after["customer_net_sd_contracts"] == pytest.approx(np.sqrt(16.0 + variance))
    assert after["volume_contracts"] == 30.0
    assert after["squared_size_contracts2"] == 150.0


def test_blocks_that_are_on_the_tape_are_not_counted_again(lake: Lake, played: Played) -> None:
    filled(lake, played)
    settle_session(lake, SPX, FIRST)
    bare = settle_session(lake, SPX, SECOND).rows
    store(lake, tables.BLOCK_TRADES, legs(venue="Deribit", dealer_side="buy"))
    assert settle_session(lake, SPX, SECOND).rows.equals(bare)
    store(lake, tables.BLOCK_TRADES, legs(dealer_side="buy"), sha="d")
    assert not settle_session(lake, SPX, SECOND).rows.equals(bare)


def test_session_is_scored_once_the_next_mornings_counts_are_held(
    lake: Lake, played: Played
) -> None:
    filled(lake, played, days=2)
    settle_session(lake, SPX, FIRST)
    settle_session(lake, SPX, SECOND)
    early = score_session(lake, SPX, SECOND, market=NO_MARKET)
    assert early.rows.num_rows == 0
    assert "not scored" in early.status
    store(lake, tables.OPEN_INTEREST, played.counts[2])
    assert score_session(lake, SPX, FIRST, market=NO_MARKET).status == "stored"
    done = score_session(lake, SPX, SECOND, market=NO_MARKET)
    assert done.status == "stored"
    before = dict(
        zip(done.rows["model"].to_pylist(), done.rows["sessions_before"].to_pylist(), strict=True)
    )
    assert before == {"naive": 1, "reconciled": 1, "taker_flow": 0}  # no flow before the first
    assert score_session(lake, SPX, SECOND, market=NO_MARKET).status == "current"
    recent = recent_scores(lake, SPX, SECOND)
    assert recent["session_date"].unique().to_pylist() == [FIRST, SECOND]
    assert scores_picture(recent).startswith(b"\x89PNG")
    assert positions_picture(played.rows[1]).startswith(b"\x89PNG")


def test_simulated_positions_are_held_against_their_truth(lake: Lake) -> None:
    spy, market = underlying("SPY"), Market(seed=3, density=0.05)
    provider = SimulatorProvider(seed=market.seed, density=market.density)
    for day in (FIRST, SECOND):
        store(lake, tables.OPEN_INTEREST, provider.open_interest(spy, session_date=day).rows)
    settle_session(lake, spy, FIRST)
    rows = score_session(lake, spy, FIRST, market=market).rows
    ours = rows.filter(pc.equal(rows["model"], "reconciled")).to_pylist()[0]
    assert ours["truth_contracts"] > 500
    assert ours["truth_error_contracts"] < ours["naive_error_contracts"]


def test_pictures_of_nothing_are_sentences() -> None:
    for table, draw in (
        (tables.DEALER_POSITIONS, positions_picture),
        (tables.POSITION_SCORES, scores_picture),
    ):
        assert draw(table.schema.empty_table()).startswith(b"\x89PNG")
