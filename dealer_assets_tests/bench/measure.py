"""Times contenders against each other in one process.

Belongs here: interleaved rounds, the clock, ratios. Does not belong here: what is timed.

A round runs every contender once, in rotated order; its figure is the least CPU time of a few calls
in a row. A ratio is the median over rounds of (contender / ours *of the same round*): drift of the
machine then hits both alike. CPU time of the whole process counts, so that a library with threads
of its own has no advantage; the environment allows one thread each (`__main__`).
"""

import gc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np

_CALLS_SECONDS = 0.03
_MOST_CALLS = 40
_SLOW_SECONDS = 0.4
"""A contender over this joins a third of the rounds."""

_VERY_SLOW_SECONDS = 3.0
"""A first call over this is no compilation worth a second one (`Field.enter` has called it too)."""


@dataclass(frozen=True)
class Contender:
    """Something that does the work.

    Parameters
    ----------
    name : str
        As printed.
    run : callable
        Does the work once and returns its result; inputs are prepared beforehand.
    share : float
        Part of the work one call does: a slow loop runs on a subset, and its time is divided by it.
    package : str
        Distribution whose version is printed; empty for code of the bench itself.
    note : str
        What a reader must know to judge the line.
    """

    name: str
    run: Callable[[], Any]
    share: float = 1.0
    package: str = ""
    note: str = ""


@dataclass(frozen=True)
class Timing:
    """CPU seconds for the whole work, and how many times ours that is."""

    least: float
    median: float
    ratio: float
    rounds: int


def race(contenders: Sequence[Contender], *, rounds: int) -> list[Timing]:
    """Time all of them; the first is ours, the one that ratios are over.

    Returns
    -------
    list of Timing
        In the given order; the first has ratio 1.
    """
    seconds: list[list[float]] = [[] for _ in contenders]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        calls = [_warm(each) for each in contenders]
        gc.collect()
        gc.disable()
        try:
            for turn in range(rounds):
                for place in range(len(contenders)):
                    i = (place + turn) % len(contenders)
                    slow = calls[i] == 1
                    if slow and turn >= max(1, rounds // 3):
                        continue
                    seconds[i].append(_least(contenders[i], calls[i]))
        finally:
            gc.enable()
    ours = seconds[0]
    return [
        Timing(
            least=min(theirs),
            median=float(np.median(theirs)),
            ratio=float(np.median([t / o for t, o in zip(theirs, ours, strict=False)])),
            rounds=len(theirs),
        )
        for theirs in seconds
    ]


def _warm(contender: Contender) -> int:
    """Run twice (the first call may compile) and tell how many calls make one figure."""
    start = process_time()
    contender.run()
    if process_time() - start < _VERY_SLOW_SECONDS:
        start = process_time()
        contender.run()
    took = process_time() - start
    if took > _SLOW_SECONDS:
        return 1
    return int(np.clip(_CALLS_SECONDS / max(took, 1e-6), 2, _MOST_CALLS))


def _least(contender: Contender, calls: int) -> float:
    best = np.inf
    for _ in range(calls):
        start = process_time()
        contender.run()
        best = min(best, process_time() - start)
    return float(best / contender.share)
