"""Patience with vendors: pauses between attempts, a pace of requests, what an HTTP status means.

Belongs here: what all vendors share, whatever client carries the request. Does not belong here: a
vendor's own error bodies, or parsing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from dealer_assets.errors import (
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)

Answer = TypeVar("Answer")

_TEXT_SHOWN = 200


@dataclass(frozen=True)
class Patience:
    """How often and how long to try again after a failure that may pass.

    Parameters
    ----------
    attempts : int
        Attempts in all.
    first_pause_seconds : float
        Pause after the first failure; it doubles each time.
    longest_pause_seconds : float
        A vendor that asks for a longer pause is given up at once.
    sleep : callable
        Waits; tests bring their own.
    """

    attempts: int = 4
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, attempt: Callable[[], Answer]) -> Answer:
        """Call until it succeeds, fails for good, or the attempts are used up.

        Parameters
        ----------
        attempt : callable
            Raises `ProviderUnavailableError` for what may pass; any other error ends it.

        Raises
        ------
        ProviderError
            The last attempt's.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._pause,
            retry=retry_if_exception_type(ProviderUnavailableError) & self._is_bearable,
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(attempt)

    def _pause(self, state: RetryCallState) -> float:
        usual = self.first_pause_seconds * 2.0 ** (state.attempt_number - 1)
        return min(max(usual, _wanted(state)), self.longest_pause_seconds)

    def _is_bearable(self, state: RetryCallState) -> bool:
        return _wanted(state) <= self.longest_pause_seconds


def _wanted(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after_seconds if isinstance(error, ProviderUnavailableError) else 0.0


class Pace:
    """At most so many requests a second, over all threads: evenly spaced, no burst.

    Threads wait one behind the other, and each turn is counted from when the one before really
    went: after a stall, or a sleep that lasted too long, nothing is made up for.

    Parameters
    ----------
    per_second : float
        Limit.
    sleep : callable
        Waits.
    """

    def __init__(self, per_second: float, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._gap = 1.0 / per_second
        self._sleep = sleep
        self._turn = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when the next request may go out."""
        with self._turn:  # held while asleep: whoever comes next waits for this one's request
            left = self._next - time.monotonic()
            if left > 0.0:
                self._sleep(left)
            self._next = max(time.monotonic(), self._next) + self._gap


def raise_for_status(
    status: int,
    *,
    vendor: str,
    asked: str,
    said: str = "",
    headers: Mapping[str, str] | None = None,
    advice: Mapping[int, str] | None = None,
) -> NoReturn:
    """Raise the error that an HTTP status other than 200 means.

    Parameters
    ----------
    status : int
        HTTP status.
    vendor, asked : str
        Who was asked for what, without key or token.
    said : str
        The vendor's own words, shortened here.
    headers : mapping of str to str, optional
        Answer headers; ``Retry-After`` is honoured.
    advice : mapping of int to str, optional
        What to do, by status, where the vendor has something special.

    Raises
    ------
    NotEntitledError
        401 and 403.
    NoDataError
        404 and 410.
    RateLimitedError
        429.
    ProviderUnavailableError
        408, 425 and 5xx.
    ProviderError
        Any other status.
    """
    words = " ".join(said.split())[:_TEXT_SHOWN]
    problem = f"{vendor} answered HTTP {status} for {asked}" + (f": {words}" if words else "")
    todo = (advice or {}).get(status, _USUAL_ADVICE.get(status, "check the base URL"))
    wanted = retry_after_seconds(headers or {})
    if status in (401, 403):
        raise NotEntitledError(f"{problem}. {todo}")
    if status in (404, 410):
        raise NoDataError(f"{problem}. {todo}")
    if status == 429:
        raise RateLimitedError(f"{problem}. {todo}", retry_after_seconds=wanted)
    if status in (408, 425) or status >= 500:
        raise ProviderUnavailableError(f"{problem}; try again later", retry_after_seconds=wanted)
    raise ProviderError(f"{problem}; expected 200: {todo}")


_USUAL_ADVICE = {
    401: "The key is unknown to it: check the key's setting",
    403: "The plan of these credentials does not cover it, or it refuses this network",
    404: "It has nothing under this name: check symbol and date",
    410: "It has nothing under this name any more",
    429: "Ask less often",
}


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Return the pause that ``Retry-After`` wants, in seconds or as a date; 0 when it is absent."""
    text = next((v for k, v in headers.items() if k.lower() == "retry-after"), "").strip()
    if text.isdecimal() and text.isascii():
        return float(text)
    if not text:
        return 0.0
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
