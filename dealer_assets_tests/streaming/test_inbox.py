"""The inbox keeps order, bounds what waits by its declared policy, and leaves others their turn."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from streaming.core.events import Frame
from streaming.desk.control import CONFLATE, CONTROL
from streaming.desk.inbox import Inbox

KB = 1024


class FakeFeed:
    """Notes when it is paused and resumed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


def frames(count: int, *, size: int = KB, start_us: int = 0) -> list[Frame]:
    return [
        Frame("polygon", "options", start_us + i, bytes([i % 256]) * size) for i in range(count)
    ]


def emptied(inbox: Inbox) -> None:
    while inbox.frames_waiting:
        inbox.take_slice()


def test_frames_come_out_in_order_and_each_once() -> None:
    taken: list[Frame] = []
    inbox = Inbox(taken.extend, limit_bytes=10**9)
    sent = frames(5000)
    for frame in sent:
        inbox.deliver(frame)
    assert inbox.bytes_waiting == 5000 * KB
    emptied(inbox)
    assert taken == sent
    assert (inbox.frames_taken, inbox.bytes_taken, inbox.bytes_waiting) == (5000, 5000 * KB, 0)


def test_slices_are_bounded_so_that_others_have_their_turn() -> None:
    sizes: list[int] = []
    inbox = Inbox(lambda taken: sizes.append(len(taken)), limit_bytes=10**9)
    for frame in frames(3000):
        inbox.deliver(frame)
    emptied(inbox)
    assert max(sizes) == 1024
    assert sum(sizes) == 3000


def test_a_clock_set_back_does_not_turn_time_round() -> None:
    taken: list[Frame] = []
    inbox = Inbox(taken.extend, limit_bytes=10**9)
    for at in (100, 90, 110):
        inbox.deliver(Frame("polygon", "options", at, b"x"))
    emptied(inbox)
    assert [frame.received_us for frame in taken] == [100, 100, 110]
    assert inbox.clock_steps == 1


def test_above_the_limit_slices_are_marked_for_conflation_until_half_of_it() -> None:
    taken: list[Sequence[Frame]] = []
    inbox = Inbox(taken.append, limit_bytes=8 << 20)
    for frame in frames(10, size=1 << 20):
        inbox.deliver(frame)
    emptied(inbox)
    marks = [f"{one[0].feed}/{one[0].channel}" == f"{CONTROL}/{CONFLATE}" for one in taken]
    assert marks[:2] == [True, True]  # 10 MiB and 6 MiB wait: above half the limit
    assert not any(marks[2:])  # 2 MiB
    assert [one[0].payload for one in taken[:2]] == [b"4", b"4"]
    data = [frame for one in taken for frame in one if frame.feed != CONTROL]
    assert [frame.received_us for frame in data] == list(range(10))
    assert inbox.conflations == 2


def test_far_above_the_limit_reading_is_paused_and_later_resumed() -> None:
    feed = FakeFeed()
    inbox = Inbox(lambda taken: None, limit_bytes=1 << 20, feeds=[feed, object()])
    for frame in frames(20, size=128 * KB):
        inbox.deliver(frame)
    assert feed.calls == ["pause"]
    assert inbox.is_paused
    emptied(inbox)
    assert feed.calls == ["pause", "resume"]
    assert inbox.pauses == 1


def test_a_replay_waits_instead_of_conflating() -> None:
    taken: list[Frame] = []
    feed = FakeFeed()
    inbox = Inbox(taken.extend, limit_bytes=1 << 20, feeds=[feed], conflates=False)
    for frame in frames(20, size=128 * KB):
        inbox.deliver(frame)
    emptied(inbox)
    assert feed.calls == ["pause", "resume"]
    assert all(frame.feed != CONTROL for frame in taken)


def run_beside(consume: Callable[[Sequence[Frame]], None], sent: list[Frame]) -> tuple[Inbox, int]:
    """Let the consumer run beside another task; return how often the other had its turn."""

    async def main() -> tuple[Inbox, int]:
        inbox = Inbox(consume, limit_bytes=10**9, gather_seconds=0.0)
        task = asyncio.create_task(inbox.run())
        for frame in sent:
            inbox.deliver(frame)
        turns = 0
        while inbox.frames_waiting and not task.done():
            await asyncio.sleep(0)
            turns += 1
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and task.exception():
            raise task.exception() or AssertionError
        return inbox, turns

    return asyncio.run(main())


def test_the_consumer_lets_other_tasks_run_between_slices() -> None:
    inbox, turns = run_beside(lambda taken: None, frames(10_240))
    assert inbox.frames_taken == 10_240
    assert turns >= 10


def test_a_failing_desk_is_not_hidden() -> None:
    def consume(taken: Sequence[Frame]) -> None:
        raise ValueError("impossible")

    with pytest.raises(ValueError, match="impossible"):
        run_beside(consume, frames(1))


def test_draining_takes_what_still_waits() -> None:
    taken: list[Frame] = []

    async def main() -> None:
        inbox = Inbox(taken.extend, limit_bytes=10**9)
        for frame in frames(700):
            inbox.deliver(frame)
        await inbox.drain()

    asyncio.run(main())
    assert len(taken) == 700
