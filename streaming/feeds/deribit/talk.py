"""One connection's conversation: what each message is to the feed, and what the feed asks for.

Belongs here: the session together with the choice of tickers, channels that have fallen silent,
trades left out, maintenance. Does not belong here: connecting again (`deribit`), ids and errors
(`session`), what messages say to the book (`decode`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from streaming.core.events import Frame
from streaming.feeds.deribit.choice import Choice, TradeNumbers
from streaming.feeds.deribit.messages import (
    UNREADABLE,
    Life,
    Notification,
    PlatformState,
)
from streaming.feeds.deribit.session import DeribitSession
from streaming.feeds.deribit.wishes import Market, TalkOptions

__all__ = ["Talk", "TalkOptions"]

SUMMARY = "public/get_book_summary_by_currency"
_CHANNEL = b'"channel":"'
_NEAR = 200
"""Where in a notification its channel stands, at most."""


class _Print(msgspec.Struct, gc=False):
    instrument_name: str
    trade_seq: float | None = None


_prints = msgspec.json.Decoder(Notification[list[_Print]])
_life = msgspec.json.Decoder(Notification[Life])
_state = msgspec.json.Decoder(Notification[PlatformState])


class Talk:
    """One connection's conversation.

    Parameters
    ----------
    session : DeribitSession
        Fresh.
    choice : Choice
        Which tickers.
    market : Market
        What is traded.
    options : TalkOptions
        How closely.
    deliver : callable
        Takes the frames that are data.
    report : callable
        Told of trades left out: from when to when, microseconds since 1970.
    numbers : TradeNumbers, optional
        Of the connections before: one left out at the end of those is told by the next print.
    """

    def __init__(
        self,
        session: DeribitSession,
        choice: Choice,
        market: Market,
        options: TalkOptions,
        *,
        deliver: Callable[[Frame], None],
        report: Callable[[int, int], None],
        numbers: TradeNumbers | None = None,
    ) -> None:
        self.session = session
        self.is_in_maintenance = False
        self._choice, self._market, self._options = choice, market, options
        self._deliver, self._report = deliver, report
        self._numbers = numbers or TradeNumbers()
        self._hole: tuple[int, int] | None = None
        self._reported_at = float("-inf")
        self._summary_at = float("-inf")
        self._has_data = False
        self._heard: dict[str, float] = {}
        self._renewed: dict[str, float] = {}
        self._silent: set[str] = set()
        self._readers: dict[bytes, Callable[[Frame, float], None]] = {
            b"trades.": self._read_trades,
            b"platfor": self._read_platform,
            b"instrum": self._read_life,
            b"deribit": self._read_pulse,
            b"markpri": self._read_pulse,
        }

    def take(self, frame: Frame, now: float) -> None:
        """Take a message; `now` in seconds, as of the session."""
        at = frame.payload.find(_CHANNEL, 0, _NEAR)
        if at < 0 and self._is_own(frame.payload, now):
            return
        if at >= 0:
            at += len(_CHANNEL)
            reader = self._readers.get(frame.payload[at : at + 7])
            if reader is not None:
                reader(frame, now)
        self._deliver(frame)

    def step(self, now: float) -> None:
        """Let time pass: what is due to be asked for, and what should have come."""
        self.session.step(now)
        if not self.session.is_live:
            return
        if now >= self._summary_at:
            self._summary_at = now + self._options.summary_seconds
            for currency in self._market.currencies:
                self._ask_summary(currency, now)
        self._feel_pulses(now)
        if now - self._reported_at >= self._options.gap_seconds:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Report trades that were left out."""
        if self._hole is not None:
            self._reported_at = now
            first, last = self._hole
            self._hole = None
            self._report(first, last)

    def excuse(self, now: float) -> None:
        """Blame nobody for a silence of our own making."""
        self._heard = dict.fromkeys(self._heard, now)

    def troubles(self) -> list[str]:
        """Return what is not as it should be, in words."""
        found = ["the venue is in maintenance"] if self.is_in_maintenance else []
        found += [f"{name} is acknowledged and silent" for name in sorted(self._silent)]
        found += [self.session.trouble] if self.session.trouble else []
        return found + [f"our mistake: {alarm}" for alarm in self.session.alarms[-1:]]

    def _is_own(self, payload: bytes, now: float) -> bool:
        """Give a message to the session; False when it is data all the same, or garbled."""
        self._has_data = False
        return self.session.receive(payload, now) and not self._has_data

    # what notifications mean to the feed

    def _read_trades(self, frame: Frame, now: float) -> None:
        try:
            prints = _prints.decode(frame.payload).params.data
        except UNREADABLE:
            return  # the decoder counts it
        numbers = [(one.instrument_name, one.trade_seq) for one in prints]
        since = self._numbers.hole(numbers, frame.received_us)
        if since is not None:
            first = since if self._hole is None else min(since, self._hole[0])
            self._hole = first, frame.received_us

    def _read_platform(self, frame: Frame, now: float) -> None:
        try:
            told = _state.decode(frame.payload).params.data.maintenance
        except UNREADABLE:
            return
        if told is not None:
            self.is_in_maintenance = told

    def _read_life(self, frame: Frame, now: float) -> None:
        try:
            life = _life.decode(frame.payload).params.data
        except UNREADABLE:
            return
        if self._choice.live_or_die(life.instrument_name, life.state):
            self.session.want(self._choice.channels(), now)

    def _read_pulse(self, frame: Frame, now: float) -> None:
        at = frame.payload.find(_CHANNEL) + len(_CHANNEL)
        end = frame.payload.find(b'"', at)
        self._heard[frame.payload[at:end].decode("utf-8", "replace")] = now

    # what is asked for

    def _ask_summary(self, currency: str, now: float) -> None:
        def done(result: bytes) -> None:
            self._has_data = True
            if self._choice.learn(currency, result, now):
                self.session.want(self._choice.channels(), now)

        self.session.ask(SUMMARY, {"currency": currency, "kind": "option"}, now, done)

    def _feel_pulses(self, now: float) -> None:
        """Subscribe again what should send every second and does not; all else goes on."""
        patience = self._options.pulse_seconds
        for name in self._market.pulses:
            if name not in self.session.channels.confirmed:
                continue
            heard = self._heard.setdefault(name, now)
            if now - heard < patience:
                self._silent.discard(name)
                continue
            self._silent.add(name)
            if now - self._renewed.get(name, heard) >= patience:
                self._renewed[name] = now
                self.session.renew(name, now)
