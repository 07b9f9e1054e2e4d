"""A trade that was fetched and comes live afterwards is one row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dealer_assets_tests.streaming.small_market import OPEN_US, start
from dealer_assets_tests.streaming.test_pipeline import at_once, opened, parts, run, singly
from streaming.core.events import TRADE, Events, Frame, no_events
from streaming.desk import control
from streaming.desk.pipeline import Desk
from streaming.feeds.doubles import KEPT_SECONDS
from streaming.feeds.packed import pack

SECOND = 1_000_000
AT = OPEN_US + 60 * SECOND
AUCTION, CANCEL, NONE = 1 << 28, 1 << 1, 0


def trades(*rows: dict[str, Any], fetched: bool = False) -> Events:
    """Prints of the first contract; each row says what is special about it."""
    plain = {"kind": TRADE, "contract": 0, "event_us": AT, "a": 1.25, "size_a": 2.0}
    plain |= {"exchange": 302, "conditions": 1 << 27, "is_backfill": fetched}
    events = no_events(len(rows))
    for i, row in enumerate(rows):
        for name, value in (plain | row).items():
            getattr(events, name)[i] = value
    return events


def frame(events: Events, after_us: int, *, fill: bool = False) -> Frame:
    desk = start()
    symbols = desk.listed["symbol"].to_pylist()[:1]
    payload = pack(events, symbols, [lane.symbol for lane in desk.lanes])
    feed = (control.CONTROL, control.FILL) if fill else ("simulator", "tape")
    return Frame(*feed, AT + after_us, payload)


def logged(folder: Path, *frames: Frame) -> tuple[int, int]:
    """Return how many rows the log has, and how many doubles were left out."""
    with opened(folder, start()) as sink:
        desk = Desk.open(start(), sink)
        for one in frames:
            desk.feed([one])
        found = desk.engine.book.log.size, desk.counts.doubles
        assert desk.counts.trades == found[0]
        desk.close()
    return found


@pytest.mark.parametrize(
    ("fetched", "live", "rows"),
    [
        ([{"number": 4711}], [{"number": 4711}], 1),
        ([{"number": 4711}], [{"number": 4711}, {"number": 4712}], 2),
        ([{}], [{}], 1),
        ([{}], [{}, {}], 2),
        ([{}, {}], [{}], 2),
        ([{"event_us": AT + 999}], [{"event_us": AT}], 1),
        ([{"event_us": AT + 5_000}], [{"event_us": AT}], 2),
        ([{}], [{"a": 1.5}], 2),
        ([{}], [{"conditions": AUCTION}], 2),
        ([{}], [{"conditions": NONE}], 1),
        ([{"conditions": NONE}], [{}], 1),
        ([{"conditions": CANCEL}], [{"conditions": NONE}], 2),
        ([{"conditions": NONE}], [{"conditions": CANCEL}], 2),
        ([{}, {"conditions": NONE}], [{"conditions": NONE}, {}], 2),
    ],
)
def test_each_fetched_trade_stands_for_one_live_one(
    tmp_path: Path, fetched: list[dict[str, Any]], live: list[dict[str, Any]], rows: int
) -> None:
    fill = frame(trades(*fetched, fetched=True), 30_000, fill=True)
    found = logged(tmp_path, fill, frame(trades(*live), 110_000))
    assert found == (rows, len(fetched) + len(live) - rows)


def test_what_came_before_the_fill_does_not_stand_for_what_comes_after(tmp_path: Path) -> None:
    two = trades({}, {}, fetched=True)
    frames = [frame(trades({}), 0), frame(two, 1, fill=True), frame(trades({}, {}), 2)]
    assert logged(tmp_path, *frames) == (3, 1)


def test_a_trade_after_the_fetched_stretch_or_long_after_the_fill_is_a_trade(
    tmp_path: Path,
) -> None:
    fill = frame(trades({}, fetched=True), 0, fill=True)
    later = frame(trades({"event_us": AT + SECOND}), SECOND)
    assert logged(tmp_path / "later", fill, later) == (2, 0)
    last = frame(trades({}), (KEPT_SECONDS - 1) * SECOND)
    assert logged(tmp_path / "last", fill, last) == (1, 1)
    over = frame(trades({}), KEPT_SECONDS * SECOND)
    assert logged(tmp_path / "over", fill, over) == (2, 0)


def test_doubles_do_not_depend_on_how_frames_are_handed_over(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)

    def some(count: int, *, fetched: bool) -> Events:
        return trades(
            *(
                {
                    "event_us": AT + int(rng.integers(0, 3)) * 1000,
                    "conditions": int(rng.choice([AUCTION, NONE, 1 << 27])),
                    "number": int(rng.integers(-1, 4)),
                }
                for _ in range(count)
            ),
            fetched=fetched,
        )

    frames = [
        frame(some(8, fetched=True), i * 50_000, fill=True)
        if i % 5 == 1
        else frame(some(2, fetched=False), i * 50_000)
        for i in range(40)
    ]
    held = [*frames[:3], control.conflate_mark(20, frames[3].received_us), *frames[3:]]
    for name, given in (("plain", frames), ("held", held)):
        one = run(tmp_path / name / "one", given, slices=singly)
        all_ = run(tmp_path / name / "all", given, slices=at_once)
        assert one.counts == all_.counts
        assert one.counts.doubles >= 5
        assert parts(tmp_path / name / "one") == parts(tmp_path / name / "all")
