"""The conversation on a Polygon connection, without a socket and in virtual time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from pydantic import SecretStr

from streaming.feeds.polygon.session import PolygonSession, SessionTimes, read


class Venue:
    """Plays the server: remembers what is subscribed, and never more than `cap` quotes."""

    def __init__(self, times: SessionTimes, *, cap: int = 1_000) -> None:
        self.now, self.cap = 0.0, cap
        self.session = PolygonSession(SecretStr("key"), ("T.*",), 0.0, times)
        self.subscribed: set[str] = set()
        self.requests: list[tuple[float, str, list[str]]] = []
        self.most = 0

    def status(self, status: str, message: str = "") -> None:
        self.session.hear([{"ev": "status", "status": status, "message": message}], self.now)

    def log_in(self) -> None:
        self.status("connected", "Connected Successfully")
        assert self.step() == ["auth"]
        self.status("auth_success", "authenticated")

    def step(self) -> list[str]:
        """Let the session speak; returns the actions asked for."""
        sent = [json.loads(text) for text in self.session.step(self.now)]
        for request in sent:
            if request["action"] != "auth":
                params = request["params"].split(",")
                self.requests.append((self.now, request["action"], params))
        return [request["action"] for request in sent]

    def run(self, seconds: float, answers: Callable[[str], bool] = lambda _: True) -> None:
        """Let time pass as the session wants it; requests are answered at once."""
        end = self.now + seconds
        while self.now < end:
            done = len(self.requests)
            self.step()
            for _, action, params in self.requests[done:]:
                for param in params:
                    self.answer(action, param, answers)
            self.now = min(end, self.now + max(self.session.due(self.now), 1e-3))
        self.step()

    def answer(self, action: str, param: str, answers: Callable[[str], bool]) -> None:
        if action == "unsubscribe":
            if param in self.subscribed:
                self.subscribed.discard(param)
                self.status("success", f"unsubscribed to: {param}")
            return
        assert param not in self.subscribed, f"{param} twice"
        if answers(param):
            self.subscribed.add(param)
            self.status("success", f"subscribed to: {param}")
        else:
            self.status("error", "not authorized")
        self.most = max(self.most, sum(p.startswith("Q.") for p in self.subscribed))


def quotes(first: int, count: int) -> list[str]:
    return [f"Q.{number}" for number in range(first, first + count)]


def test_subscriptions_go_in_paced_batches_the_essential_first() -> None:
    venue = Venue(SessionTimes(pace_seconds=0.05, batch=50))
    venue.session.want(quotes(0, 120))
    venue.log_in()
    venue.run(1.0)
    assert [len(params) for _, _, params in venue.requests] == [50, 50, 21]
    assert venue.requests[0][2][:2] == ["T.*", "Q.0"]
    starts = [at for at, _, _ in venue.requests]
    assert min(b - a for a, b in pairwise(starts)) >= 0.05 - 1e-9
    assert venue.session.stage == "live"
    assert venue.session.confirmed == {"T.*", *quotes(0, 120)}


def test_only_differences_are_sent_nothing_twice_and_never_more_than_the_cap() -> None:
    venue = Venue(SessionTimes())
    venue.session.want(quotes(0, 1_000))
    venue.log_in()
    venue.run(5.0)
    for turn in range(1, 8):
        before = len(venue.requests)
        venue.session.want(quotes(turn * 30, 1_000))
        if turn % 2:
            venue.run(0.01)  # changed again before all was sent
        else:
            venue.run(3.0)
            asked = Counter(a for _, a, params in venue.requests[before:] for _ in params)
            assert max(asked.values()) <= 60
    venue.run(3.0)
    assert venue.most == 1_000
    assert venue.subscribed == {"T.*", *quotes(210, 1_000)} == venue.session.confirmed
    assert venue.session.refused(venue.now) == []


def test_a_channel_of_which_nothing_is_confirmed_is_not_asked_for_again() -> None:
    venue = Venue(SessionTimes(ack_seconds=1.0))
    venue.session.want(quotes(0, 100))
    venue.log_in()
    venue.run(2.0, lambda param: param == "T.*")
    assert "100 of 100" in venue.session.refused(venue.now)[0]
    for turn in range(1, 10):
        venue.session.want(quotes(turn * 100, 100))
        venue.run(2.0, lambda param: param == "T.*")
    assert sum(action == "subscribe" for _, action, _ in venue.requests) <= 5
    assert venue.session.refused(venue.now)[0].startswith("Q: none was confirmed")
    assert venue.session.stage == "live"


def test_what_is_answered_late_counts_and_what_never_is_has_a_deadline() -> None:
    venue = Venue(SessionTimes(ack_seconds=10.0))
    venue.session.want(["Q.A", "Q.B"])
    venue.log_in()
    venue.step()
    venue.status("success", "subscribed to: Q.A")
    assert venue.session.stage == "subscribing"  # trades are what makes it live
    venue.now = 9.9
    assert venue.session.refused(venue.now) == []
    venue.now = 10.5
    assert "T: 1 of 1 refused or unknown, e.g. T.*" in venue.session.refused(venue.now)[1]
    venue.step()
    assert venue.session.stage == "live"  # quotes alone are better than nothing
    venue.status("success", "subscribed to: T.*")
    assert [words[:9] for words in venue.session.refused(venue.now)] == ["Q: 1 of 2"]


def test_without_a_greeting_the_key_is_sent_after_a_while_and_an_answer_has_a_deadline() -> None:
    venue = Venue(SessionTimes(greeting_seconds=2.0, auth_seconds=10.0))
    assert venue.step() == []
    assert venue.session.due(venue.now) == 2.0
    venue.now = 2.0
    assert venue.step() == ["auth"]
    venue.now = 11.9
    assert (venue.step(), venue.session.verdict) == ([], None)
    venue.now = 12.0
    venue.step()
    verdict = venue.session.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.is_final) == ("auth_timeout", False)


@pytest.mark.parametrize("word", ["max_connections", "slow_consumer", "force_disconnect"])
def test_a_farewell_gives_the_connection_up_without_waiting_for_its_end(word: str) -> None:
    venue = Venue(SessionTimes())
    venue.log_in()
    venue.run(1.0)
    venue.status(word, "because of key")
    verdict = venue.session.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.is_final) == (word, False)
    assert "because of [hidden]" in verdict.words
    assert venue.step() == []


def test_odd_statuses_change_nothing() -> None:
    venue = Venue(SessionTimes())
    venue.log_in()
    venue.run(1.0)
    odd: list[dict[str, Any]] = [{}, {"status": None}, {"status": 5, "message": []}]
    odd += [{"status": "success", "message": "subscribed to: Q.unasked"}, {"status": "new_word"}]
    venue.session.hear(odd, venue.now)
    assert venue.session.stage == "live"
    assert venue.session.confirmed == {"T.*"}
    assert venue.session.verdict is None


@pytest.mark.parametrize(
    ("payload", "words", "has_data"),
    [
        (b'[{"ev":"T","p":1}]', [], True),
        (b'[{"ev":"status","status":"connected"}]', ["connected"], False),
        (b'{"ev":"status","status":"connected"}', ["connected"], False),
        (b'[{"ev": "status", "status": "success"},{"ev":"T"}]', ["success"], True),
        (
            b'[{"ev":"Q"},{"ev":"status","status":"a"},{"ev":"status","status":"b"}]',
            ["a", "b"],
            True,
        ),
        (b'[1,null,"status",{"ev":"status","status":"a"}]', ["a"], True),
        (b'[{"ev":"status","status":"cut o', [], True),
        (b'"status"', [], True),
        (b"[" * 100_000 + b'"status"', [], True),
        (b'\xff\xfe"status"', [], True),
        (b"", [], True),
    ],
)
def test_statuses_are_found_among_data_and_what_cannot_be_read_is_data(
    payload: bytes, words: list[str], has_data: bool
) -> None:
    statuses, found = read(payload)
    assert ([status["status"] for status in statuses], found) == (words, has_data)
