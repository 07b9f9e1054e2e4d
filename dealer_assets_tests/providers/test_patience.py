"""The pace of requests: evenly spaced over all threads, whatever stalls."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from dealer_assets.providers import patience
from dealer_assets.providers.patience import Pace

GAP_SECONDS = 0.05


class Clock:
    """A clock that moves by sleeping only; a sleep lasts longer by what `late` holds for it."""

    def __init__(self, *late: float) -> None:
        self.now, self.late, self.pauses = 1000.0, list(late), []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 9))
        self.now += seconds + (self.late.pop(0) if self.late else 0.0)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def test_requests_that_come_slower_than_the_pace_never_wait(clock):
    pace = Pace(20.0, sleep=clock.sleep)
    for _ in range(3):
        pace.wait()
        clock.now += GAP_SECONDS + 1e-6
    assert clock.pauses == []


def test_requests_that_come_faster_go_a_gap_apart(clock):
    pace = Pace(20.0, sleep=clock.sleep)
    for _ in range(4):
        pace.wait()
    assert clock.pauses == [GAP_SECONDS] * 3
    clock.now += 10.0
    for _ in range(2):  # a long rest is no credit
        pace.wait()
    assert clock.pauses == [GAP_SECONDS] * 4


def test_after_a_sleep_that_lasted_too_long_the_next_turn_is_a_whole_gap_later(clock):
    clock.late = [3.3, 0.02]
    pace = Pace(20.0, sleep=clock.sleep)
    for _ in range(4):
        pace.wait()
    assert clock.pauses == [GAP_SECONDS] * 3


def test_threads_that_wait_do_not_go_at_once_after_a_stall():
    woken = []
    stalled_until = time.monotonic() + 5 * GAP_SECONDS

    def sleep(seconds):
        """Wake nobody before the stall is over, as a machine that stood still."""
        time.sleep(max(seconds, stalled_until - time.monotonic()))
        woken.append(time.monotonic())

    pace = Pace(1.0 / GAP_SECONDS, sleep=sleep)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: pace.wait(), range(6)))
    assert len(woken) > 1
    assert min(later - earlier for earlier, later in pairwise(sorted(woken))) >= GAP_SECONDS


def test_a_sleep_that_is_broken_off_leaves_the_turn_to_others(clock):
    def broken(_):
        raise RuntimeError

    pace = Pace(20.0, sleep=broken)
    pace.wait()
    with pytest.raises(RuntimeError):
        pace.wait()
    clock.now += GAP_SECONDS + 1e-6
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pace.wait).result(timeout=60)
