"""Deribit's JSON-RPC as a state machine: told what came and what time it is, says what to send.

Belongs here: ids, time-outs, heartbeats, authentication, subscriptions, and what each error means.
Does not belong here: sockets, waiting (`deribit`), or what notifications say (`decode`).

Requests are correlated by id alone, because replies come in any order. A reply without id belongs
to nobody: its request times out and is sent again, which is harmless for every request made here.
Unknown channels are dropped by the venue without a word, so each acknowledgement is held against
its request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import SecretStr

from streaming.feeds.deribit.calls import Call, Calls, SessionRules
from streaming.feeds.deribit.errors import ACTIONS, REASONS, Ending
from streaming.feeds.deribit.messages import UNREADABLE, Envelope, RpcError
from streaming.feeds.deribit.subscriptions import Credits, Subscriptions

_WORDS = 120


@dataclass(frozen=True)
class Credentials:
    """Of an API key."""

    client_id: SecretStr
    client_secret: SecretStr


class DeribitSession:
    """One session, from the first request to its end.

    Parameters
    ----------
    channels : iterable of str
        To be subscribed at once, in order.
    now : float
        Seconds of any clock that never goes back; so is every `now` below.
    rules : SessionRules
        How it is held.
    credentials : Credentials, optional
        Sent in a message of their own, never repeated anywhere.

    Attributes
    ----------
    ending : Ending or None
        Set when the session must end.
    is_live : bool
        Everything wanted at first has been answered for.
    channels : Subscriptions
        What is wanted, acknowledged and refused.
    alarms : list of str
        Our own mistakes, as the venue calls them.
    trouble : str
        What is not as it should be now; blank when nothing is.
    strays : int
        Replies that belong to no request.
    """

    def __init__(
        self,
        channels: Iterable[str],
        *,
        now: float,
        rules: SessionRules | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._rules, self._credentials = rules or SessionRules(), credentials
        self.ending: Ending | None = None
        self.is_live = False
        self.channels = Subscriptions(channels, self._rules.channels_per_call)
        self.alarms: list[str] = []
        self.trouble = ""
        self.strays = 0
        self._calls = Calls(self._rules)
        self._now, self._troubled = now, ""
        self._credits = Credits(self._rules.calls, self._rules.calls_per_second, now=now)
        self._may_subscribe = False
        self._has_renewed = False
        self._renew_at: float | None = None
        if credentials is None:
            self._greet()
        else:
            self._authenticate()

    @property
    def outbox(self) -> list[str]:
        """Messages to send, in order; the caller takes them out."""
        return self._calls.outbox

    # what the caller does

    def want(self, channels: Iterable[str], now: float) -> None:
        """Have exactly these channels subscribed; the difference is asked for."""
        self._now = now
        self.channels.wanted = dict.fromkeys(channels)
        self._settle()

    def renew(self, channel: str, now: float) -> None:
        """Subscribe a channel again that was acknowledged and stays silent."""
        self._now = now
        if channel in self.channels.confirmed and channel not in self._calls.channels:
            self._unsubscribe((channel,))  # the reply makes it missing, and so subscribed again

    def ask(
        self, method: str, params: dict[str, Any], now: float, done: Callable[[bytes], None]
    ) -> None:
        """Ask for something the session does not depend on; without a reply `done` is not called.

        Parameters
        ----------
        method : str
            Of JSON-RPC.
        params : dict
            Its parameters.
        now : float
            Seconds.
        done : callable
            Takes the member ``result``, JSON.
        """
        self._now = now
        self._send(Call(method, params, done, may_fail=True))

    def receive(self, payload: bytes, now: float) -> bool:
        """Take a message.

        Parameters
        ----------
        payload : bytes
            Of any kind; notifications are passed over.
        now : float
            Seconds.

        Returns
        -------
        bool
            Whether it was the session's: a reply, an error, a heartbeat.
        """
        self._now = now
        try:
            message = _envelope.decode(payload)
        except UNREADABLE:
            return False
        if message.method == "heartbeat":
            if b"test_request" in bytes(message.params):
                self._send(Call("public/test", {}, _nothing, may_fail=True))
            return True
        result = bytes(message.result)
        if message.method is not None or (not result and message.error is None):
            return False
        call = self._calls.answered(message.id)
        if message.error is not None:
            self._fail(call, message.error)
        elif call is None:
            self.strays += 1
        else:
            self._succeed(call, result)
        return True

    def step(self, now: float) -> None:
        """Let time pass: late replies, requests to repeat, subscriptions that had to wait."""
        self._now = now
        for call in self._calls.late(now):
            self._again(call, "silent", f"no reply to {call.method}", pause=False)
        for call in self._calls.rested(now):
            self._send(call)
        if self._renew_at is not None and now >= self._renew_at:
            self._renew_at = None
            self._authenticate()
        self._settle()

    # requests

    def _send(self, call: Call) -> None:
        if self.ending is None:
            self._calls.send(call, self._now)

    def _authenticate(self) -> None:
        if self._credentials is None:
            return
        params = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id.get_secret_value(),
            "client_secret": self._credentials.client_secret.get_secret_value(),
        }
        self._send(Call("public/auth", params, self._authenticated))

    def _authenticated(self, result: bytes) -> None:
        try:
            life = _grant.decode(result).expires_in
        except UNREADABLE:
            life = None
        if life is not None and life > 0:
            self._renew_at = self._now + self._rules.renew_share * life
        if not self._may_subscribe:
            self._greet()

    def _greet(self) -> None:
        """Ask for heartbeats, then subscribe."""
        interval = {"interval": self._rules.heartbeat_seconds}
        self._send(Call("public/set_heartbeat", interval, _nothing))
        self._may_subscribe = True
        self._settle()

    # subscriptions

    def _settle(self) -> None:
        """Ask for what is wanted and not there, give up what is there and not wanted."""
        if not self._may_subscribe:
            return
        busy = self._calls.channels
        while (chunk := self.channels.missing(busy)) and self._credits.pay(self._now):
            self._subscribe(chunk)
            busy |= set(chunk)
        while (chunk := self.channels.surplus(busy)) and self._credits.pay(self._now):
            self._unsubscribe(chunk)
            busy |= set(chunk)
        self.is_live = self.is_live or not (busy or self.channels.missing(busy))

    def _subscribe(self, chunk: tuple[str, ...]) -> None:
        def done(result: bytes) -> None:
            self.channels.acknowledge(chunk, _names(result))

        params = {"channels": list(chunk)}
        self._send(Call("public/subscribe", params, done, channels=chunk))

    def _unsubscribe(self, chunk: tuple[str, ...]) -> None:
        def done(_: bytes) -> None:
            self.channels.confirmed.difference_update(chunk)

        params = {"channels": list(chunk)}
        self._send(Call("public/unsubscribe", params, done, channels=chunk))

    # replies

    def _succeed(self, call: Call, result: bytes) -> None:
        if call.method == self._troubled:
            self.trouble = self._troubled = ""
        call.done(result)
        self._settle()

    def _fail(self, call: Call | None, error: RpcError) -> None:
        said = f"error {error.code} {self._without_secrets(error.message)}"
        what = call.method if call is not None else "a request without id"
        detail = f"{what} was answered with {said}"
        action = ACTIONS.get(error.code, "retry")
        if action == "reconnect":
            self._end(REASONS.get(error.code, "refused"), detail)
        elif action == "maintenance" and (call is None or not (call.may_fail or self.is_live)):
            self._end("maintenance", f"the venue is in maintenance: {detail}")
        elif call is None:
            self.alarms.append(detail)  # whose it was shows by its time-out
        elif action == "refuse" and not call.may_fail:
            self._refuse(call, error.code, detail)
        elif action == "raw":
            self.channels.slow_down(call.channels)
            self._settle()
        elif action in ("alarm", "gone"):
            self._drop(call, detail, is_alarm=action == "alarm")
        else:
            self._again(call, "refused", detail, pause=True)

    def _again(self, call: Call, reason: str, detail: str, *, pause: bool) -> None:
        """Send a request again, now or later, or give up."""
        self.trouble, self._troubled = detail, call.method
        if call.may_fail:
            return
        may_wait = pause and self.is_live  # data come all the same
        if call.attempts >= self._rules.attempts and not may_wait:
            self._end(reason, f"{detail}, {call.attempts} times in a row")
        elif pause:
            self._calls.send_later(call, self._now)
        else:
            self._send(call)

    def _refuse(self, call: Call, code: int, detail: str) -> None:
        """Renew a token that has run out, once; otherwise the credentials are no good."""
        is_stale = code == 13009 and call.method != "public/auth" and self._credentials is not None
        if is_stale and not self._has_renewed:
            self._has_renewed = True
            self._authenticate()
            self._again(call, "refused", detail, pause=True)
        else:
            what = "check the API key" if self._credentials else "this needs an API key"
            self._end("refused", f"{detail}: {what}", is_final=True)

    def _drop(self, call: Call, detail: str, *, is_alarm: bool) -> None:
        if is_alarm:
            self.alarms.append(detail)
        if call.method == "public/auth":
            self._end("refused", f"{detail}: authentication is not understood", is_final=True)
        self.trouble, self._troubled = detail, call.method
        self.channels.drop(call.channels, detail)
        self._settle()

    def _end(self, reason: str, detail: str, *, is_final: bool = False) -> None:
        self.trouble = detail
        self.ending = self.ending or Ending(reason, detail, is_final)

    def _without_secrets(self, text: str) -> str:
        """Strike out what the venue may repeat of the credentials."""
        if self._credentials is not None:
            for secret in (self._credentials.client_secret, self._credentials.client_id):
                text = text.replace(secret.get_secret_value(), "***")
        return text[:_WORDS]


class _Grant(msgspec.Struct):
    expires_in: float | None = None


_envelope = msgspec.json.Decoder(Envelope)
_grant = msgspec.json.Decoder(_Grant)
_list = msgspec.json.Decoder(list[Any])


def _names(result: bytes) -> set[str]:
    try:
        return {name for name in _list.decode(result) if isinstance(name, str)}
    except UNREADABLE:
        return set()


def _nothing(_: bytes) -> None:
    """Ignore a result."""
