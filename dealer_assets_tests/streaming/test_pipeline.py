"""The same frames give the same rows and parts: live or replayed, one by one or all at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets_tests.streaming.small_market import OPEN_US, start, tape
from streaming.core.events import QUOTE, SPOT, TRADE, Events, Frame, no_events
from streaming.core.listing import Listing
from streaming.desk import control
from streaming.desk.conflation import conflated
from streaming.desk.inbox import Inbox
from streaming.desk.pipeline import Desk
from streaming.feeds.base import Gap
from streaming.feeds.packed import PackedDecoder, pack
from streaming.feeds.simulator import SLOT_US
from streaming.keeping.heartbeat import GapNote
from streaming.keeping.sink import Sink
from streaming.recordings.recorded import RecordedFeed
from streaming.recordings.recording import Recorder, Recording
from streaming.start import Start

SECOND = 1_000_000
MINUTE = 60 * SECOND


def a_minute_or_so(seconds: float = 15.0, *, from_us: int = OPEN_US) -> list[Frame]:
    """Frames of the small market, with a gap, rejects, an unlisted contract, a silent minute."""
    frames: list[Frame] = []
    for stretch in tape().frames(from_us):
        frames += [f for f in stretch if f.received_us < from_us + seconds * SECOND]
        if stretch[-1].received_us >= from_us + seconds * SECOND:
            break
    at = len(frames) // 3
    now_us = frames[at].received_us
    gap = Gap("simulator", "tape", now_us - 3 * SECOND, now_us, "aborted")
    odd = [
        control.gap_frame(GapNote(gap, "open"), now_us),
        Frame("simulator", "tape", now_us, b"garbled"),
        Frame("simulator", "tape", now_us, newcomer("SPXW260618C09999000")),
        Frame("simulator", "tape", now_us, newcomer("TSLA260618C00999000")),
        control.gap_frame(GapNote(gap, "backfilled", {"SPX": 1}, 2, "all of it"), now_us),
    ]
    last = control.tick(frames[-1].received_us + MINUTE)
    return [*frames[: at + 1], *odd, *frames[at + 1 :], last]


def newcomer(symbol: str) -> bytes:
    events = no_events(1)
    events.kind[:], events.contract[:], events.a[:], events.size_a[:] = TRADE, 0, 1.5, 3.0
    events.event_us[:] = OPEN_US
    events.conditions[:] = 1 << 9
    return pack(events, [symbol], [])


def singly(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    for frame in frames:
        yield [frame]


def at_once(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    yield frames


def at_random(seed: int) -> Callable[[Sequence[Frame]], Iterator[Sequence[Frame]]]:
    def slices(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
        rng, at = np.random.default_rng(seed), 0
        while at < len(frames):
            end = at + int(rng.integers(1, 200))
            yield frames[at:end]
            at = end

    return slices


def run(
    folder: Path,
    frames: Sequence[Frame],
    *,
    slices: Callable[[Sequence[Frame]], Iterator[Sequence[Frame]]] = at_once,
    chosen: Start | None = None,
    recorder: Recorder | None = None,
) -> Desk:
    chosen = chosen or start()
    with opened(folder, chosen) as sink:
        desk = Desk.open(chosen, sink, recorder=recorder)
        for some in slices(frames):
            desk.feed(some)
        desk.close()
    return desk


class opened:  # noqa: N801  # reads like a function
    """A sink over a lake of its own, closed at the end."""

    def __init__(self, folder: Path, chosen: Start) -> None:
        self.sink = Sink(
            lake_in(folder),
            folder / "journal",
            stream=chosen.feed,
            sessions=chosen.sessions,
            rows_per_part=chosen.options.rows_per_part,
            seconds_per_part=chosen.options.seconds_per_part,
        )

    def __enter__(self) -> Sink:
        return self.sink

    def __exit__(self, *problem: object) -> None:
        self.sink.close()


def lake_in(folder: Path) -> Lake:
    return open_lake(str(folder / "lake"))


def parts(folder: Path) -> dict[str, bytes]:
    """Every part of a lake, by path."""
    root = folder / "lake"
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))
    }


def rows(folder: Path, table: str, underlying: str = "SPX") -> pa.Table:
    found = sorted((folder / "lake" / table / f"underlying={underlying}").rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in found])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that all frames went into at once."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, a_minute_or_so())
    return folder


def test_rows_of_every_table_come_out(whole: Path) -> None:
    names = {path.split("/")[0] for path in parts(whole)}
    assert names >= {
        "live_trades",
        "live_gamma",
        "live_strikes",
        "live_flow",
        "live_contract_flow",
        "feed_gaps",
        "feed_rejects",
    }
    assert len([p for p in parts(whole) if p.startswith("live_gamma/underlying=SPX")]) >= 4


@pytest.mark.parametrize("slices", [singly, at_random(1), at_random(2)])
def test_parts_do_not_depend_on_how_frames_are_handed_over(
    whole: Path,
    tmp_path: Path,
    slices: Callable[[Sequence[Frame]], Iterator[Sequence[Frame]]],
) -> None:
    run(tmp_path, a_minute_or_so(), slices=slices)
    assert parts(tmp_path) == parts(whole)


def test_a_replay_gives_what_live_gave_at_any_speed(whole: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recordings", start(), started_us=OPEN_US)
    run(tmp_path / "live", a_minute_or_so(), slices=at_random(3), recorder=recorder)
    recorder.close()
    assert parts(tmp_path / "live") == parts(whole)
    recording = Recording(recorder.folder)

    async def replay(folder: Path, speed: float) -> None:
        with opened(folder, recording.start()) as sink:
            desk = Desk.open(recording.start(), sink)
            feed = RecordedFeed(recording, speed=speed)
            inbox = Inbox(desk.feed, limit_bytes=20_000, feeds=[feed], conflates=False)
            consumer = asyncio.create_task(inbox.run())
            await feed.run(inbox.deliver)
            consumer.cancel()
            await asyncio.wait({consumer})
            await inbox.drain()
            desk.close()

    for speed in (0.0, 200.0):
        asyncio.run(replay(tmp_path / f"at-{speed}", speed))
        assert parts(tmp_path / f"at-{speed}") == parts(whole)


def test_a_tick_closes_seconds_that_nothing_came_in(tmp_path: Path) -> None:
    frames = a_minute_or_so(5.0)
    run(tmp_path / "short", frames)
    before = rows(tmp_path / "short", "live_gamma").num_rows
    run(tmp_path / "long", [*frames, control.tick(frames[-1].received_us + 10 * SECOND)])
    assert rows(tmp_path / "long", "live_gamma").num_rows == before + 10 * 2


def test_ticks_within_a_second_are_not_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recordings", start(), started_us=OPEN_US)
    with opened(tmp_path, start()) as sink:
        desk = Desk.open(start(), sink, recorder=recorder)
        for tenth in range(40):
            desk.tick(OPEN_US + tenth * SECOND // 10)
    recorder.close()
    assert recorder.frames == 4


def test_rejects_are_counted_by_minute_and_reason(whole: Path) -> None:
    found = rows(whole, "feed_rejects").to_pylist()
    assert [(r["reason"], r["messages"]) for r in found] == [
        ("bad_packed", 1),
        ("unlisted_symbol", 1),
    ]
    assert [r["sample"] for r in found][1] == "TSLA260618C00999000"
    assert all((r["known_at"] - r["event_at"]).total_seconds() == 60.0 for r in found)


def test_a_gap_and_what_became_of_it_are_rows_of_every_lane(whole: Path) -> None:
    spx, spy = (rows(whole, "feed_gaps", name).to_pylist() for name in ("SPX", "SPY"))
    assert [r["status"] for r in spx] == [r["status"] for r in spy] == ["open", "backfilled"]
    assert [r["stream_sequence"] for r in spx] == [0, 1]
    last = spx[1]
    assert (last["backfilled_trades"], last["known_trades"], last["detail"]) == (1, 2, "all of it")
    assert (last["until"] - last["event_at"]).total_seconds() == 3.0
    assert spy[1]["backfilled_trades"] == 0


def test_a_contract_that_is_new_in_the_session_loses_no_trade(whole: Path) -> None:
    trades = rows(whole, "live_trades")
    assert trades["symbol"].to_pylist().count("SPXW260618C09999000") == 1


def test_no_trade_is_dropped_or_doubled(tmp_path: Path) -> None:
    frames = a_minute_or_so(10.0)
    desk = run(tmp_path, frames)
    events = tape().events
    until = OPEN_US + 10 * SECOND
    sent = int(((events.kind == TRADE) & (events.received_us < until)).sum())
    kept = sum(rows(tmp_path, "live_trades", name).num_rows for name in ("SPX", "SPY"))
    assert kept == desk.counts.trades == sent + 1


def test_a_process_that_starts_within_the_session_knows_what_stands(tmp_path: Path) -> None:
    frames = a_minute_or_so(3.0, from_us=OPEN_US + 30 * MINUTE)
    desk = run(tmp_path, frames)
    assert all(desk.engine.spots[name] > 0.0 for name in ("SPX", "SPY"))
    assert int((desk.engine.book.bid > 0.0).sum()) >= 50


def test_a_standing_quote_is_told_again_every_ten_seconds() -> None:
    early, late = (a_stretch(OPEN_US + begin * SECOND, 95.0) for begin in (1_770, 1_800))
    same = [f for f in early if OPEN_US + 1_800 * SECOND < f.received_us <= early[-1].received_us]
    assert same == late[1 : 1 + len(same)]  # whenever the process started
    quotes = PackedDecoder(Listing.of(start().lanes, start().listed)).decode(late).events
    quotes = quotes.take(quotes.kind == QUOTE)
    assert (quotes.received_us - quotes.event_us)[60:].max() <= SLOT_US
    for contract in np.unique(quotes.contract):
        told = quotes.take(quotes.contract == contract)
        assert np.diff(told.received_us).max() <= 10 * SECOND


def a_stretch(from_us: int, seconds: float) -> list[Frame]:
    frames: list[Frame] = []
    for stretch in tape().frames(from_us):
        frames += [f for f in stretch if f.received_us <= from_us + seconds * SECOND]
        if stretch[-1].received_us > from_us + seconds * SECOND:
            break
    return frames


def test_a_contract_that_has_ended_is_told_no_more() -> None:
    market = tape()
    ends = market.expires_us == market.expires_us.min()
    chosen = np.unique(market.events.contract[market.events.kind == QUOTE])
    assert ends[chosen].any()
    after = int(market.expires_us.min()) + MINUTE  # the last change comes within one
    frames = [f for f in a_stretch(after, 30.0)[1:] if f.payload]
    names = Listing.of(start().lanes, start().listed)
    quotes = PackedDecoder(names).decode(frames).events
    told = {names.symbols[c] for c in quotes.contract[quotes.kind == QUOTE].tolist()}
    assert told
    assert not told & {market.symbols[c] for c in np.flatnonzero(ends).tolist()}


def test_a_restart_goes_on_with_the_numbers(whole: Path, tmp_path: Path) -> None:
    frames = a_minute_or_so()
    half = len(frames) // 2
    run(tmp_path, frames[:half])
    with opened(tmp_path, start()) as sink:
        found = sink.recover()
        desk = Desk.open(replace(start(), taken=found.taken, restored=found.trades), sink)
        desk.feed(frames[half:])
        desk.close()
    ours, theirs = rows(tmp_path, "live_trades"), rows(whole, "live_trades")
    names = ["stream_sequence", "symbol", "price_usd", "size_contracts", "side"]
    assert ours.select(names[:4]).equals(theirs.select(names[:4]))


def conflating(frames: Sequence[Frame], at: int, count: int) -> list[Frame]:
    mark = control.conflate_mark(count, frames[at].received_us)
    return [*frames[:at], mark, *frames[at:]]


def test_conflation_is_replayed_as_it_was(tmp_path: Path) -> None:
    frames = conflating(a_minute_or_so(10.0), 40, 50)
    recorder = Recorder(tmp_path / "recordings", start(), started_us=OPEN_US)
    live = run(tmp_path / "live", frames, recorder=recorder)
    recorder.close()
    recorded = [f for some in Recording(recorder.folder).read() for f in some]
    assert recorded == frames
    for number, slices in enumerate((singly, at_random(5))):
        again = run(tmp_path / str(number), recorded, slices=slices)
        assert parts(tmp_path / str(number)) == parts(tmp_path / "live")
        assert again.counts.conflated == live.counts.conflated


def test_conflation_loses_no_trade_and_no_quote_that_a_trade_meets() -> None:
    rng = np.random.default_rng(9)
    events = no_events(4000)
    events.kind[:] = rng.choice([QUOTE, QUOTE, QUOTE, TRADE, SPOT], 4000)
    events.contract[:] = rng.integers(0, 12, 4000)
    events.received_us[:] = np.sort(rng.integers(0, 5 * SECOND, 4000))
    events.a[:] = rng.normal(size=4000)
    kept, dropped = conflated(events)
    assert dropped > 500
    assert len(kept) == 4000 - dropped
    assert met(kept) == met(events)
    for kind in (TRADE, SPOT):
        assert np.array_equal(kept.a[kept.kind == kind], events.a[events.kind == kind])
    assert last_of_seconds(kept) == last_of_seconds(events)


def met(events: Events) -> list[tuple[float, float]]:
    """Each trade with the quote it meets."""
    quotes: dict[int, float] = {}
    found = []
    for kind, contract, a in zip(events.kind, events.contract, events.a, strict=True):
        if kind == QUOTE:
            quotes[int(contract)] = float(a)
        elif kind == TRADE:
            found.append((float(a), quotes.get(int(contract), 0.0)))
    return found


def last_of_seconds(events: Events) -> dict[tuple[int, int], float]:
    return {
        (int(c), int(at // SECOND)): float(a)
        for kind, c, at, a in zip(
            events.kind, events.contract, events.received_us, events.a, strict=True
        )
        if kind == QUOTE
    }


def test_a_snapshot_s_quotes_stand_until_newer_ones_come_and_keep_their_age(
    tmp_path: Path,
) -> None:
    seed = no_events(3)
    seed.kind[:] = [SPOT, QUOTE, QUOTE]
    seed.contract[:] = [0, 5, 6]
    seed.event_us[:] = OPEN_US - 40 * SECOND
    seed.a[:], seed.b[:] = [4000.0, 1.0, 2.0], [np.nan, 1.1, 2.1]
    with opened(tmp_path, start()) as sink:
        desk = Desk.open(start(), sink)
        live = no_events(1)
        live.kind[:], live.contract[:], live.a[:], live.b[:] = QUOTE, 6, 3.0, 3.1
        for channel, events, at_us in (
            (control.FILL, live, OPEN_US),
            (control.SEED, seed, OPEN_US + SECOND),
        ):
            desk.feed([control.packed_frame(channel, events, desk.listing, at_us)])
        book = desk.engine.book
        assert book.quote_us[[5, 6]].tolist() == [OPEN_US - 40 * SECOND, OPEN_US]
        assert book.bid[[5, 6]].tolist() == [1.0, 3.0]
        assert book.spot[0] == 4000.0
        desk.close()
