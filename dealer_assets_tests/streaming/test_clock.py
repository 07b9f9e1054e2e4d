"""The wall clock without its jumps."""

from __future__ import annotations

from streaming.clock import BELIEVED_AFTER_US, WallClock


class Clocks:
    def __init__(self) -> None:
        self.wall = 1_000_000_000_000_000_000
        self.steady = 5_000_000_000

    def run(self, seconds: float, *, step_seconds: float = 0.0) -> None:
        self.steady += int(seconds * 1e9)
        self.wall += int((seconds + step_seconds) * 1e9)


def clock_of(clocks: Clocks) -> WallClock:
    return WallClock(lambda: clocks.wall, lambda: clocks.steady)


def test_an_hour_forward_and_back_is_not_seen():
    clocks = Clocks()
    clock = clock_of(clocks)
    start = clock.now_us()
    clocks.run(1.0, step_seconds=3600.0)
    assert clock.now_us() == start + 1_000_000
    clocks.run(5.0, step_seconds=-3600.0)
    assert clock.now_us() == start + 6_000_000


def test_a_clock_that_was_set_for_good_is_followed_after_a_minute():
    clocks = Clocks()
    clock = clock_of(clocks)
    start = clock.now_us()
    clocks.run(1.0, step_seconds=120.0)
    assert clock.now_us() == start + 1_000_000
    clocks.run(BELIEVED_AFTER_US / 1e6)
    assert clock.now_us() == start + 1_000_000 + BELIEVED_AFTER_US + 120_000_000


def test_a_clock_that_is_slewed_keeps_within_a_second_of_the_wall():
    clocks = Clocks()
    clock = clock_of(clocks)
    for _ in range(1000):
        clocks.run(60.0, step_seconds=0.002)
        clock.now_us()
    clocks.run(BELIEVED_AFTER_US / 1e6)
    assert abs(clock.now_us() - clocks.wall // 1000) < 1_100_000
