"""Detectors of data problems: each finds its seeded fault alone, and nothing in a sound market."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.anomaly.data.holdings import Counts
from dealer_assets.domain.anomaly.data.judgement import anomalies_of, anomalies_of_counts
from dealer_assets.domain.anomaly.data.scene import WORDS, Scene
from dealer_assets.domain.columns import floats
from dealer_assets.domain.sessions import instants_of
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying

SPX, BTC = underlying("SPX"), underlying("BTC")
SIMULATOR = SimulatorProvider(density=0.1)
MONDAY, TUESDAY = date(2026, 6, 1), date(2026, 6, 2)
TEN, ELEVEN = datetime(2026, 6, 2, 14, tzinfo=UTC), datetime(2026, 6, 2, 15, tzinfo=UTC)
CLOSE = instants_of("XNYS", MONDAY, count=1)[0]


@cache
def chain(at: datetime, symbol: str = "SPX") -> pa.Table:
    return SIMULATOR.snapshot(underlying(symbol), at=at).rows


def scene(now: pa.Table | None = None, **others: pa.Table) -> Scene:
    """Eleven o'clock beside ten, and the close before."""
    held = {"before": chain(TEN), "earlier": chain(TEN), "closing": chain(CLOSE)}
    return Scene(SPX, chain(ELEVEN) if now is None else now, **(held | others))


def with_column(rows: pa.Table, name: str, values: object) -> pa.Table:
    field = rows.schema.field(name)
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return rows.set_column(rows.schema.get_field_index(name), field, array.cast(field.type))


def at(rows: pa.Table, instant: datetime, day: date | None = None) -> pa.Table:
    """The same rows under another clock."""
    for name in ("event_at", "known_at"):
        rows = with_column(rows, name, pa.repeat(pa.scalar(instant, tables.INSTANT), len(rows)))
    if day is not None:
        rows = with_column(rows, "session_date", pa.repeat(pa.scalar(day), len(rows)))
    return rows


def aligned(now: pa.Table, then: pa.Table, names: Sequence[str], chosen: pa.Array) -> pa.Table:
    """Columns of chosen contracts as they were then."""
    place = pc.index_in(now["symbol"].combine_chunks(), then["symbol"].combine_chunks())
    for name in names:
        old = then[name].combine_chunks().take(place)
        use = pc.and_(chosen, pc.is_valid(place))
        now = with_column(now, name, pc.if_else(use, old, now[name].combine_chunks()))
    return now


def kinds(found: pa.Table) -> set[str]:
    return set(found["kind"].to_pylist())


def everything(rows: pa.Table) -> pa.Array:
    return pa.repeat(True, rows.num_rows)


def wiped() -> Scene:
    rows = chain(ELEVEN)
    return scene(with_column(rows, "open_interest_contracts", np.zeros(len(rows))))


def untold() -> Scene:
    rows = chain(ELEVEN)
    counts = pa.array([None, *rows["open_interest_contracts"].to_pylist()[1:]], pa.float64())
    return scene(with_column(rows, "open_interest_contracts", counts))


def shifted() -> Scene:
    rows, then = chain(ELEVEN), chain(CLOSE)
    return scene(aligned(rows, then, ["open_interest_contracts"], everything(rows)))


def doubled() -> Scene:
    rows = chain(ELEVEN)
    twice = pc.multiply(rows["open_interest_contracts"], 2.0)
    return scene(with_column(rows, "open_interest_contracts", twice))


def over() -> Scene:
    rows = chain(ELEVEN)
    days = rows["expiry_date"].to_pylist()
    held = np.flatnonzero(floats(rows, "open_interest_contracts") > 0.0)[0]
    days[held] = MONDAY
    return scene(with_column(rows, "expiry_date", pa.array(days)))


def reset() -> Scene:
    rows = chain(ELEVEN)
    return scene(with_column(rows, "bid", np.zeros(len(rows))))


def unquoted() -> Scene:
    rows = chain(ELEVEN)
    for name in ("bid", "ask"):
        rows = with_column(rows, name, pa.nulls(len(rows), pa.float64()))
    return scene(rows)


_QUOTES = ["bid", "ask", "bid_size_contracts", "ask_size_contracts"]


def frozen() -> Scene:
    rows = chain(ELEVEN)
    return scene(aligned(rows, chain(TEN), _QUOTES, everything(rows)))


def near_the_money(rows: pa.Table) -> np.ndarray:
    """One liquid series' twenty strikes around the money, every third of them."""
    month = floats(rows, "strike") / rows["spot"][0].as_py()
    expiry = rows["expiry_date"].to_numpy()
    days = (expiry - np.datetime64(TUESDAY)).astype(int)
    is_call = np.array(pc.equal(rows["right"], "call"))
    one = is_call & (days == days[days >= 7].min()) & (np.abs(month - 1.0) < 0.02)
    chosen = np.zeros(len(rows), np.bool_)
    chosen[np.flatnonzero(one)[::3]] = True
    return chosen


def standing() -> Scene:
    rows = chain(ELEVEN)
    then = scene().earlier
    # the market of ten o'clock one per cent lower, so that every middle near the money moved
    rows = aligned(rows, then, ["bid", "ask"], everything(rows))
    moved = pa.array(np.where(near_the_money(rows), 0.0, 8.0))
    for name in ("bid", "ask"):
        up = pc.if_else(pc.greater(rows["bid"], 8.0), moved, 0.0)
        rows = with_column(rows, name, pc.add(rows[name], up))
    return scene(rows)


def duplicate() -> Scene:
    return scene(at(chain(TEN), ELEVEN))


def short() -> Scene:
    rows = chain(ELEVEN)
    return scene(rows.filter(pa.array(np.arange(len(rows)) % 10 < 6)))


def foreign() -> Scene:
    rows = at(chain(ELEVEN, "TSLA"), ELEVEN)
    return scene(rows, before=rows[:0], earlier=rows[:0])


def untold_greeks() -> Scene:
    """Vols and deltas of ten o'clock, spot half a per cent away."""
    rows = chain(ELEVEN)
    rows = aligned(rows, chain(TEN), ["vendor_delta", "vendor_implied_vol"], everything(rows))
    return scene(
        with_column(
            rows, "spot", pc.multiply(chain(TEN)["spot"][0], 1.005).as_py() + np.zeros(len(rows))
        )
    )


def carried() -> Scene:
    rows = chain(ELEVEN)
    return scene(aligned(rows, chain(CLOSE), ["volume_contracts"], everything(rows)))


def of_yesterday() -> Scene:
    rows = chain(ELEVEN)
    told = [None] * len(rows)
    told[int(np.flatnonzero(floats(rows, "volume_contracts") > 0.0)[0])] = CLOSE - timedelta(
        hours=1
    )
    return scene(with_column(rows, "last_trade_at", pa.array(told, tables.INSTANT)))


def lost() -> Scene:
    rows = chain(ELEVEN)
    fewer = pc.multiply(chain(ELEVEN)["volume_contracts"], 0.1)
    return scene(with_column(rows, "volume_contracts", fewer))


def holiday() -> Scene:
    return scene(at(chain(CLOSE), ELEVEN, TUESDAY), before=chain(TEN)[:0], earlier=chain(TEN)[:0])


def told(code: str, text: str) -> Callable[[], Scene]:
    def made() -> Scene:
        row = {
            "underlying": "SPX",
            "session_date": TUESDAY,
            "event_at": ELEVEN,
            "known_at": ELEVEN,
            "provider": "cboe_csv",
            "source_name": "spx.csv",
            "source_sha256": "0" * 64,
            "contracts": 10,
            "rejected": 0,
            "is_partial": False,
            "findings": ["unexpected_header_line", code],
            "findings_text": f"a line that is neither; {text}",
        }
        rows = pa.Table.from_pylist([row], schema=tables.CHAIN_SOURCES.schema)
        return scene(sources=rows)

    return made


def on_sunday() -> Scene:
    rows = chain(ELEVEN)
    sunday = pa.repeat(pa.scalar(datetime(2026, 6, 7, 15, tzinfo=UTC), tables.INSTANT), len(rows))
    return scene(with_column(rows, "known_at", sunday))


FAULTS: dict[str, Callable[[], Scene]] = {
    "wiped_open_interest": wiped,
    "open_interest_missing": untold,
    "shifted_open_interest": shifted,
    "open_interest_unit_jump": doubled,
    "open_interest_left_of_expired": over,
    "zero_bids": reset,
    "no_quotes": unquoted,
    "stale_quotes": told("stale_quotes", "20 minutes behind"),
    "frozen_quotes": frozen,
    "frozen_contracts": standing,
    "duplicate_snapshot": duplicate,
    "partial_chain": short,
    "wrong_underlying": foreign,
    "underlying_corrected": told("file_name_underlying_mismatch", "taken as SPX"),
    "spot_disagrees": told("spot_disagrees_with_chain", "spot is printed as 1"),
    "stale_greeks": untold_greeks,
    "volume_carry_over": of_yesterday,
    "volume_wiped": lost,
    "date_corrected": told("header_date_unreadable", "no date"),
    "holiday_repeat": holiday,
    "weekend_run": on_sunday,
}


def test_every_kind_has_a_seeded_fault_words_and_readings() -> None:
    assert set(FAULTS) == set(tables.ANOMALY_ACTIONS) == set(WORDS) == set(tables.ANOMALY_SPOILS)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_seeded_fault_is_found_as_its_kind(kind: str) -> None:
    found = anomalies_of(FAULTS[kind]())
    assert kind in kinds(found)
    blocked = {k for k in kinds(found) if tables.ANOMALY_ACTIONS[k] == "block"}
    assert blocked <= {kind}, "a fault blocks under one name"
    (row,) = (r for r in found.to_pylist() if r["kind"] == kind)
    assert row["action"] == tables.ANOMALY_ACTIONS[kind]
    assert (row["scope"] == "contracts") == bool(row["symbols"])
    assert row["symbols"] == sorted(row["symbols"])
    assert 0.0 <= row["share"] <= 1.0
    assert row["known_at"] == pc.max(FAULTS[kind]().now["known_at"]).as_py()


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (kind, fault)
        for kind, fault in FAULTS.items()
        if kind not in {"wrong_underlying", "holiday_repeat", "duplicate_snapshot"}
    ],
)
def test_a_seeded_fault_is_found_alone(kind: str, fault: Callable[[], Scene]) -> None:
    assert kinds(anomalies_of(fault())) == {kind}


def test_a_market_that_moves_has_nothing_wrong() -> None:
    assert anomalies_of(scene()).num_rows == 0


@pytest.mark.parametrize("symbol", ["SPX", "SPY", "BTC"])
def test_simulated_sessions_have_nothing_wrong_but_a_resting_quote(symbol: str) -> None:
    asset = underlying(symbol)
    closing, quotes, resting = chain(CLOSE, symbol)[:0], 0, 0
    for day in (MONDAY, TUESDAY):
        before = closing[:0]
        for instant in instants_of(asset.calendar, day, count=5):
            now = chain(instant, symbol)
            found = anomalies_of(Scene(asset, now, before, before, closing))
            assert kinds(found) <= {"frozen_contracts"}
            quotes, resting = quotes + now.num_rows, resting + sum(found["contracts"].to_pylist())
            before = now
        closing = before
    assert resting <= 1e-4 * quotes


def test_volume_of_the_session_before_is_told_where_no_trade_is_dated() -> None:
    found = anomalies_of(carried())
    assert kinds(found) >= {"volume_carry_over"}
    (row,) = (r for r in found.to_pylist() if r["kind"] == "volume_carry_over")
    assert row["contracts"] == len(row["symbols"]) > 50


def test_the_clock_of_yesterdays_evening_is_no_carry_over() -> None:
    """Index options trade from the evening before, and it counts for the session."""
    rows = with_column(
        chain(ELEVEN),
        "last_trade_at",
        pa.repeat(pa.scalar(CLOSE + timedelta(hours=5), tables.INSTANT), chain(ELEVEN).num_rows),
    )
    assert anomalies_of(scene(rows)).num_rows == 0


def test_counters_that_roll_around_the_clock_are_no_carry_over() -> None:
    noon = datetime(2026, 6, 2, 12, tzinfo=UTC)
    now, then = chain(noon, "BTC"), chain(noon - timedelta(hours=1), "BTC")
    fewer = with_column(now, "volume_contracts", np.zeros(len(now)))
    assert anomalies_of(Scene(BTC, fewer, then, then)).num_rows == 0


def test_what_stands_is_named_and_its_neighbours_are_not() -> None:
    (row,) = anomalies_of(standing()).to_pylist()
    rows = standing().now
    stands = {
        s for s, yes in zip(rows["symbol"].to_pylist(), near_the_money(rows), strict=True) if yes
    }
    assert set(row["symbols"]) <= stands
    assert len(row["symbols"]) >= 0.8 * len(stands)


def test_open_interest_that_comes_back_after_a_wipe_is_no_jump() -> None:
    closing = with_column(chain(CLOSE), "open_interest_contracts", np.zeros(len(chain(CLOSE))))
    assert anomalies_of(scene(closing=closing)).num_rows == 0


def test_of_a_kind_found_twice_the_first_is_told() -> None:
    found = anomalies_of(told("pre_open_download", "open interest may already be newer")())
    assert found["kind"].to_pylist() == ["shifted_open_interest"]
    assert "pre_open_download" in found["found"][0].as_py()
    assert "neither" not in found["found"][0].as_py(), "only its own sentence"


def counts(rows: pa.Table, factor: float = 1.0) -> pa.Table:
    """A chain's open interest as published rows."""
    names = set(tables.OPEN_INTEREST.schema.names)
    made = {name: rows[name] for name in rows.column_names if name in names}
    made["open_interest_contracts"] = pc.multiply(rows["open_interest_contracts"], factor)
    made["source_name"] = pa.repeat("counts.json", rows.num_rows)
    schema = tables.OPEN_INTEREST.schema
    return pa.table([made[name] for name in schema.names], schema=schema)


@pytest.mark.parametrize(("factor", "expected"), [(1.0, set()), (1.9, {"open_interest_unit_jump"})])
def test_published_counts_of_the_same_contracts_jump(factor: float, expected: set[str]) -> None:
    told = Counts(
        TUESDAY,
        counts(chain(ELEVEN), factor),
        counts(chain(CLOSE)),
        tables.REJECTED_ROWS.schema.empty_table(),
        tables.FEED_COVERAGE.schema.empty_table(),
    )
    assert kinds(anomalies_of_counts(told, underlying="SPX")) == expected
