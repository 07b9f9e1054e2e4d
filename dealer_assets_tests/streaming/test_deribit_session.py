"""Deribit's JSON-RPC session, told messages and seconds, without a socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from streaming.feeds.deribit.calls import SessionRules
from streaming.feeds.deribit.session import Credentials, DeribitSession

CHANNELS = ("trades.option.BTC.100ms", "deribit_price_index.btc_usd")
KEY = Credentials(SecretStr("the-id"), SecretStr("the-secret"))


class Peer:
    """The venue's side of a session."""

    def __init__(self, *channels: str, credentials: Credentials | None = None, **rules: Any):
        self.now = 100.0
        self.session = DeribitSession(
            channels or CHANNELS,
            now=self.now,
            rules=SessionRules(**rules),
            credentials=credentials,
        )

    def sent(self) -> list[dict[str, Any]]:
        """Take the requests out."""
        texts, self.session.outbox[:] = list(self.session.outbox), []
        return [json.loads(text) for text in texts]

    def methods(self) -> list[str]:
        return [request["method"] for request in self.sent()]

    def say(self, **message: Any) -> bool:
        payload = json.dumps({"jsonrpc": "2.0", **message}).encode()
        return self.session.receive(payload, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.session.step(self.now)

    def greet(self) -> None:
        """Answer everything asked so far."""
        for request in self.sent():
            self.answer(request)

    def answer(self, request: dict[str, Any], *, without: tuple[str, ...] = ()) -> None:
        asked = request["params"].get("channels")
        result = "ok" if asked is None else [c for c in reversed(asked) if c not in without]
        self.say(id=request["id"], result=result)

    def fail(self, request: dict[str, Any], code: int, message: str = "no") -> None:
        self.say(id=request["id"], error={"code": code, "message": message})


def test_it_asks_for_heartbeats_and_channels_and_is_live_when_they_are_acknowledged() -> None:
    peer = Peer()
    heartbeat, subscribe = peer.sent()
    assert heartbeat["method"] == "public/set_heartbeat"
    assert heartbeat["params"] == {"interval": 10}
    assert subscribe["params"] == {"channels": list(CHANNELS)}
    assert len({heartbeat["id"], subscribe["id"]}) == 2
    peer.answer(subscribe)  # out of order
    assert peer.session.is_live
    peer.answer(heartbeat)
    assert peer.session.channels.confirmed == set(CHANNELS)
    assert (peer.session.trouble, peer.session.ending, peer.sent()) == ("", None, [])


def test_recorded_frames_are_understood(shared_samples: Path) -> None:
    path = shared_samples / "deribit" / "recorded" / "ws_frames_probe_2026-09-23.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    by_note = {line.get("note", ""): line["frame"] for line in lines}
    peer = Peer(*lines[0]["frame"]["params"]["channels"])
    _, subscribe = peer.sent()
    ack = next(f for note, f in by_note.items() if note.startswith("ack order"))
    assert peer.session.receive(json.dumps(ack | {"id": subscribe["id"]}).encode(), peer.now)
    assert len(peer.session.channels.confirmed) == 3
    bad_json = next(f for note, f in by_note.items() if "11050" in json.dumps(f))
    assert peer.session.receive(json.dumps(bad_json).encode(), peer.now)
    assert "11050" in peer.session.alarms[0]
    assert peer.session.ending is None  # the socket stays open
    test_request = next(
        line["frame"] for line in lines if "test_request" in json.dumps(line["frame"])
    )
    assert peer.session.receive(json.dumps(test_request).encode(), peer.now)
    assert peer.methods() == ["public/test"]


def test_notifications_and_garbage_are_not_the_sessions() -> None:
    peer = Peer()
    assert not peer.say(method="subscription", params={"channel": "x", "data": []})
    assert not peer.session.receive(b"<html>", peer.now)
    assert not peer.session.receive(b"[1]", peer.now)
    assert not peer.say(hello=1)


def test_heartbeats_are_counted_and_test_requests_answered() -> None:
    peer = Peer()
    peer.greet()
    assert peer.say(method="heartbeat", params={"type": "heartbeat"})
    assert peer.sent() == []
    assert peer.say(method="heartbeat", params={"type": "test_request"})
    assert peer.methods() == ["public/test"]


def test_credentials_come_first_and_are_shown_nowhere() -> None:
    peer = Peer(credentials=KEY)
    (auth,) = peer.sent()
    assert auth["method"] == "public/auth"
    assert auth["params"]["client_secret"] == "the-secret"
    assert "the-secret" not in repr(KEY)
    peer.say(id=auth["id"], result={"access_token": "t", "expires_in": 900})
    assert peer.methods() == ["public/set_heartbeat", "public/subscribe"]
    peer.wait(900 * 0.8)
    assert "public/auth" in peer.methods()  # renewed in time


def test_wrong_credentials_are_final_and_struck_out() -> None:
    peer = Peer(credentials=KEY)
    (auth,) = peer.sent()
    peer.fail(auth, 13004, "invalid_credentials the-secret")
    ending = peer.session.ending
    assert ending is not None
    assert (ending.reason, ending.is_final) == ("refused", True)
    assert "13004" in ending.detail
    assert "the-secret" not in ending.detail + peer.session.trouble


def test_a_token_that_ran_out_is_renewed_once() -> None:
    peer = Peer(credentials=KEY)
    peer.greet()
    _, subscribe = peer.sent()
    peer.fail(subscribe, 13009, "unauthorized")
    (auth,) = peer.sent()
    assert auth["method"] == "public/auth"
    peer.answer(auth)
    peer.wait(1.0)
    again = [r for r in peer.sent() if r["method"] == "public/subscribe"]
    assert len(again) == 1
    peer.fail(again[0], 13009, "unauthorized")
    assert peer.session.ending is not None
    assert peer.session.ending.is_final


def test_channels_missing_from_the_ack_are_asked_for_once_more_and_then_named() -> None:
    peer = Peer(*CHANNELS, "book_summary.option.btc.all")
    heartbeat, subscribe = peer.sent()
    peer.answer(heartbeat)
    peer.answer(subscribe, without=("book_summary.option.btc.all",))
    assert not peer.session.is_live
    (again,) = peer.sent()
    assert again["params"] == {"channels": ["book_summary.option.btc.all"]}
    peer.answer(again, without=("book_summary.option.btc.all",))
    assert peer.session.is_live
    assert list(peer.session.channels.refused) == ["book_summary.option.btc.all"]
    peer.wait(60.0)
    assert peer.sent() == []


def test_many_channels_go_in_chunks_at_the_pace_of_the_credits() -> None:
    channels = [f"ticker.{i}.100ms" for i in range(45)]
    peer = Peer(*channels, channels_per_call=5, calls=3.0, calls_per_second=2.0)
    first = [r for r in peer.sent() if r["method"] == "public/subscribe"]
    assert [len(r["params"]["channels"]) for r in first] == [5, 5, 5]
    peer.wait(0.4)
    assert peer.sent() == []
    counts = []
    for _ in range(12):
        peer.wait(0.5)
        requests = peer.sent()
        counts.append(len(requests))
        for request in (*first, *requests):
            peer.answer(request)
        first = []
    assert sum(counts) == 6
    assert max(counts) == 1
    assert peer.session.is_live
    assert len(peer.session.channels.confirmed) == 45


def test_a_thousand_channels_take_no_more_than_ten_calls() -> None:
    peer = Peer(*(f"ticker.{i}.100ms" for i in range(1_000)))
    assert peer.methods().count("public/subscribe") == 2


def test_other_wishes_lead_to_the_difference_alone() -> None:
    peer = Peer("a", "b", "c")
    peer.greet()
    peer.session.want(("a", "c", "d"), peer.now)
    requests = {r["method"]: r["params"]["channels"] for r in peer.sent()}
    assert requests == {"public/subscribe": ["d"], "public/unsubscribe": ["b"]}
    peer.session.want(("a", "c", "d"), peer.now)
    assert peer.sent() == []  # asked for already


def test_a_wish_taken_back_while_it_was_asked_for_is_undone() -> None:
    peer = Peer("a", "b")
    _, subscribe = peer.sent()
    peer.session.want(("a",), peer.now)
    peer.answer(subscribe)
    (unsubscribe,) = peer.sent()
    assert (unsubscribe["method"], unsubscribe["params"]["channels"]) == (
        "public/unsubscribe",
        ["b"],
    )
    peer.answer(unsubscribe)
    assert peer.session.channels.confirmed == {"a"}


def test_a_silent_channel_is_unsubscribed_and_subscribed_again() -> None:
    peer = Peer()
    peer.greet()
    peer.session.renew(CHANNELS[1], peer.now)
    peer.session.renew(CHANNELS[1], peer.now)
    (unsubscribe,) = peer.sent()
    peer.answer(unsubscribe)
    (subscribe,) = peer.sent()
    assert subscribe["params"] == {"channels": [CHANNELS[1]]}


def test_a_reply_without_id_is_nobodys_and_the_request_is_sent_again() -> None:
    peer = Peer(answer_seconds=5.0)
    heartbeat, _ = peer.sent()
    peer.answer(heartbeat)
    assert peer.say(result=list(CHANNELS))
    assert (peer.session.strays, peer.session.is_live) == (1, False)
    peer.wait(5.0)
    (again,) = peer.sent()
    assert again["method"] == "public/subscribe"
    peer.answer(again)
    assert peer.session.is_live
    assert peer.session.trouble == ""


def test_late_replies_are_ignored_once_the_request_was_repeated() -> None:
    peer = Peer(answer_seconds=5.0)
    heartbeat, subscribe = peer.sent()
    peer.wait(5.0)
    peer.answer(subscribe)
    peer.answer(heartbeat)
    assert peer.session.strays == 2
    peer.greet()
    assert peer.session.is_live


def test_a_venue_that_answers_nothing_ends_the_session() -> None:
    peer = Peer(answer_seconds=1.0, attempts=3)
    for _ in range(3):
        assert peer.session.ending is None
        peer.wait(1.0)
    assert peer.session.ending is not None
    assert peer.session.ending.reason == "silent"
    assert not peer.session.ending.is_final


@pytest.mark.parametrize("code", [10040, 10041, 10047, 10066, 13028, 13888, 99999])
def test_passing_errors_are_tried_again_with_growing_pauses(code: int) -> None:
    peer = Peer(retry_seconds=1.0, attempts=3)
    heartbeat, subscribe = peer.sent()
    peer.answer(heartbeat)
    for pause in (1.0, 2.0):
        peer.fail(subscribe, code)
        assert str(code) in peer.session.trouble
        peer.wait(0.9 * pause)
        assert peer.sent() == []
        peer.wait(0.1 * pause + 0.001)
        (subscribe,) = peer.sent()
    peer.fail(subscribe, code)
    assert peer.session.ending is not None
    assert (peer.session.ending.reason, peer.session.ending.is_final) == ("refused", False)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (10028, "too_many_requests"),
        (-32000, "slow_consumer"),
        (11051, "maintenance"),
        (13503, "maintenance"),
    ],
)
@pytest.mark.parametrize("has_id", [True, False])
def test_errors_that_end_a_session(code: int, reason: str, has_id: bool) -> None:
    peer = Peer()
    _, subscribe = peer.sent()
    identity = {"id": subscribe["id"]} if has_id else {}
    peer.say(error={"code": code, "message": "m"}, **identity)
    ending = peer.session.ending
    assert ending is not None
    assert (ending.reason, ending.is_final) == (reason, False)
    peer.say(method="heartbeat", params={"type": "test_request"})
    assert peer.sent() == []  # nothing is said any more


@pytest.mark.parametrize("code", [11029, 11050, -32602, -32601, -32700, 13019, 13020])
def test_our_own_mistakes_and_dead_instruments_are_not_repeated(code: int) -> None:
    peer = Peer()
    heartbeat, subscribe = peer.sent()
    peer.answer(heartbeat)
    peer.fail(subscribe, code)
    assert peer.session.ending is None
    assert set(peer.session.channels.refused) == set(CHANNELS)
    assert bool(peer.session.alarms) is (code not in (13019, 13020))
    peer.wait(60.0)
    assert peer.sent() == []


@pytest.mark.parametrize("code", [13004, 13021])
def test_refusals_without_a_key_say_that_one_is_needed(code: int) -> None:
    peer = Peer()
    _, subscribe = peer.sent()
    peer.fail(subscribe, code)
    assert peer.session.ending is not None
    assert peer.session.ending.is_final
    assert "needs an API key" in peer.session.ending.detail


def test_raw_channels_fall_back_to_100_ms() -> None:
    peer = Peer("ticker.X.raw", "platform_state", "ticker.Y.raw")
    _, subscribe = peer.sent()
    peer.fail(subscribe, 13778, "raw_subscriptions_not_available_for_unauthorized")
    (again,) = peer.sent()
    assert again["params"]["channels"] == ["ticker.X.100ms", "platform_state", "ticker.Y.100ms"]
    peer.answer(again)
    assert peer.session.is_live
    assert set(peer.session.channels.refused) == {"ticker.X.raw", "ticker.Y.raw"}


@pytest.mark.parametrize("code", [10040, 11051])
def test_once_live_a_refused_change_is_tried_for_as_long_as_it_takes(code: int) -> None:
    peer = Peer(attempts=2)
    peer.greet()
    peer.session.want((*CHANNELS, "ticker.X.100ms"), peer.now)
    for _ in range(10):
        (subscribe,) = peer.sent()
        peer.fail(subscribe, code)
        assert str(code) in peer.session.trouble
        peer.wait(64.0)
    peer.greet()
    assert (peer.session.ending, peer.session.trouble) == (None, "")
    assert "ticker.X.100ms" in peer.session.channels.confirmed


@pytest.mark.parametrize("code", [10040, 11051, 13009, 13020, -32602])
def test_questions_the_session_does_not_depend_on_may_fail(code: int) -> None:
    peer = Peer()
    peer.greet()
    heard: list[bytes] = []
    for _ in range(2):
        peer.session.ask("public/get_book_summary_by_currency", {}, peer.now, heard.append)
    first, second = peer.sent()
    peer.fail(first, code)
    assert peer.session.ending is None
    assert str(code) in peer.session.trouble
    peer.say(id=second["id"], result=[{"a": 1}])
    assert [json.loads(one) for one in heard] == [[{"a": 1}]]
    assert peer.session.trouble == ""
    peer.wait(60.0)
    assert peer.sent() == []
