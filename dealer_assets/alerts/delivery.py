"""Delivers alerts: in order on each channel, again until confirmed, each confirmation stored.

Belongs here: the queue's rules: order, pauses, quiet hours, digests, giving up. Does not belong
here: services (`channels`, `sender`), wording (`messages`), storage (`store`).

**Exactly once, and where it ends.** An attempt is written before anything is sent and its answer
after. What a service has confirmed is never sent again, and what it refused is. Between the two
lies a gap that nobody can close: a process killed after sending and before storing the answer, or
an answer that never comes, may have delivered or not. Such an alert is sent *again*, with
`messages.REPEAT` before its title: one seen twice, and saying so, is better than one never seen.

**Order.** An alert that fails keeps those behind it on its channel waiting; other channels go on.
Severe alerts pass those that quiet hours hold. One deliverer works at a time (a lock that the
kernel drops with its holder).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dealer_assets.alerts.channels import Channel, Sends
from dealer_assets.alerts.ledger import BY_DELIVERY
from dealer_assets.alerts.messages import (
    REPEAT,
    Message,
    digest_of,
    message_of,
    parts_of,
    plain_message_of,
)
from dealer_assets.alerts.model import Outcome, Queued
from dealer_assets.alerts.order import (
    LONGEST_REST,
    Delivered,
    alone,
    batches,
    failures_of,
    is_open,
    is_paused,
    status_of,
)
from dealer_assets.alerts.policy import PASSES_QUIET, Policy, pause_after, policy_of, sender_of
from dealer_assets.alerts.sender import Answer
from dealer_assets.alerts.store import AlertStore
from dealer_assets.settings import Settings

MAY_HAVE_ARRIVED = "may have arrived: "
"""Begins what is stored of a failure that leaves it open; later failures keep it."""

_REFUSED_TEXT = ("HTTP 400", "HTTP 413", "HTTP 422")
_PLAIN_AFTER = 5
"""Refusals of a text after which its identity alone is tried: one text must not block the rest."""

_MOST_AT_ONCE = 50_000
_SECONDS_OF_A_PASS = 25.0
"""With a last message that takes its whole time: a sensor's tick may last sixty."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def deliver_due(settings: Settings, *, seconds: float = _SECONDS_OF_A_PASS) -> Delivered:
    """Deliver what is due by the settings; nothing where no alert was ever raised."""
    policy = policy_of(settings)
    if not settings.alert_store.exists():
        return Delivered()
    with AlertStore(settings.alert_store) as store, sender_of(settings) as sender:
        return Deliverer(store, policy, sender).run(seconds=seconds)


class Deliverer:
    """Delivers one store's alerts.

    Parameters
    ----------
    store : AlertStore
        The queue, and where confirmations go.
    policy : Policy
        Where to, and how.
    sender : Sends
        Who sends.
    clock : callable
        The time; tests bring their own.
    """

    def __init__(
        self, store: AlertStore, policy: Policy, sender: Sends, *, clock: Clock = utc_now
    ) -> None:
        self._store, self._policy, self._sender, self._clock = store, policy, sender, clock

    def run(self, *, seconds: float = _SECONDS_OF_A_PASS) -> Delivered:
        """Deliver what is due, on each channel until it is empty, fails, or its time is over.

        Parameters
        ----------
        seconds : float
            Time of the pass, shared evenly by the channels; a message that has begun is ended.
        """
        done = Delivered()
        with alone(self._policy.lock) as is_mine:
            if not is_mine:
                return Delivered(is_busy=True)
            queue = self._loud(done)
            # those that failed last time come last: a stall must not take the others' time
            channels = sorted(self._policy.channels, key=lambda c: failures_of(queue, c.name))
            for place, channel in enumerate(channels):
                share = seconds / (len(channels) - place)
                begun = self._clock()
                self._work(channel, queue, begun + timedelta(seconds=share), done)
                seconds = max(seconds - (self._clock() - begun).total_seconds(), 0.0)
        done.waiting = self._store.waiting()
        return done

    def _loud(self, done: Delivered) -> list[Queued]:
        """Return what may be sent now; hold what quiet hours keep back, end what is done."""
        now = self._clock()
        quiet = (
            self._policy.quiet if self._policy.quiet and self._policy.quiet.covers(now) else None
        )
        until = quiet.end_after(now) if quiet else now
        queue = []
        with self._store.together():
            for queued in self._store.due(now, _MOST_AT_ONCE):
                alert = queued.alert
                if not any(is_open(queued, c.name) for c in self._policy.channels):
                    self._end(queued, now)
                elif quiet and alert.severity != PASSES_QUIET:
                    self._store.hold(alert.alert_id, until, now, why="quiet hours")
                    done.held += 1
                else:
                    queue.append(queued)
        return queue

    def _work(
        self, channel: Channel, queue: Sequence[Queued], until: datetime, done: Delivered
    ) -> None:
        """Send a channel's alerts, in order, until one fails or the time is over."""
        pending = [queued for queued in queue if is_open(queued, channel.name)]
        if not pending:
            return
        done.confirmed[channel.name] = done.messages[channel.name] = 0
        description = self._sender.describe(channel)
        if description.problem:
            done.failures[channel.name] = description.problem
        for batch, why in batches(pending, self._policy.digest_over):
            head = batch[0].channel(channel.name)
            now = self._clock()
            if now >= until or (head and is_paused(head, now)):
                return
            batch = self._still_wanted(batch, channel, now, done)
            if not batch:
                continue
            if description.problem:
                self._fail_unsent(batch, channel, description.problem)
                return
            message = self._worded(batch, channel, why, description.largest)
            if not self._sent(batch, channel, message, description.largest, done):
                return

    def _still_wanted(
        self, batch: Sequence[Queued], channel: Channel, now: datetime, done: Delivered
    ) -> list[Queued]:
        """Leave out what was acknowledged or resolved meanwhile, and give up what is too old."""
        wanted = []
        with self._store.together():
            for queued in batch:
                fresh = self._store.get(queued.alert.alert_id)
                if fresh.state != "new":
                    continue
                if now - fresh.raised_at > self._policy.give_up_after:
                    self._give_up(fresh, channel, now)
                    done.given_up += 1
                else:
                    wanted.append(fresh)
        return wanted

    def _give_up(self, queued: Queued, channel: Channel, now: datetime) -> None:
        alert_id = queued.alert.alert_id
        days = self._policy.give_up_after / timedelta(days=1)
        last = queued.channel(channel.name)
        why = f"given up after {days:g} days" + (f"; last: {last.detail}" if last else "")
        self._store.begin_attempt(alert_id, channel.name, now)
        self._store.record(alert_id, channel.name, Outcome("failed", why), now)
        fresh = self._store.get(alert_id)
        if not any(is_open(fresh, c.name) for c in self._policy.channels):
            self._end(fresh, now)

    def _end(self, queued: Queued, now: datetime) -> None:
        """End an alert that no channel is to get any more: delivered if any has it."""
        names = {channel.name for channel in self._policy.channels}
        has = [c.channel for c in queued.channels if c.channel in names and c.status == "delivered"]
        alert_id = queued.alert.alert_id
        if has:
            self._store.complete(alert_id, now, detail=f"confirmed by {', '.join(has)}")
        else:
            self._store.resolve(alert_id, BY_DELIVERY, now, "undelivered: given up everywhere")

    def _fail_unsent(self, batch: Sequence[Queued], channel: Channel, why: str) -> None:
        """Store that a channel cannot be used at all: nothing was sent."""
        self._begin(batch, channel.name)
        self._fail(batch, channel.name, Answer(False, detail=why))

    def _worded(self, batch: Sequence[Queued], channel: Channel, why: str, largest: int) -> Message:
        alerts = [queued.alert for queued in batch]
        if why and len(alerts) > 1:
            return digest_of(alerts, why, largest)
        last = batch[0].channel(channel.name)
        is_refused = last is not None and last.attempts >= _PLAIN_AFTER
        if is_refused and last is not None and last.detail.startswith(_REFUSED_TEXT):
            return plain_message_of(alerts[0])
        return message_of(alerts[0])

    def _sent(
        self,
        batch: Sequence[Queued],
        channel: Channel,
        message: Message,
        largest: int,
        done: Delivered,
    ) -> bool:
        """Send one message, in parts where it is long; tell whether all of it was confirmed."""
        parts = parts_of(message, largest)
        for number, part in enumerate(parts, start=1):
            name = channel.name if len(parts) == 1 else f"{channel.name} {number}/{len(parts)}"
            if len(parts) > 1 and status_of(batch[0], name) == "delivered":
                continue  # confirmed before: only what is missing is sent again
            answer = self._attempt(batch, channel, name, part)
            if not answer.is_accepted:
                self._fail(batch, name, answer)
                if len(parts) > 1:
                    words = replace(answer, detail=f"{answer.detail} (part {number}/{len(parts)})")
                    self._begin(batch, channel.name)
                    self._fail(batch, channel.name, replace(words, is_doubtful=False))
                done.failures[channel.name] = answer.detail
                return False
            done.messages[channel.name] += 1
            self._confirm(batch, name, answer.detail, is_whole=len(parts) == 1)
        if len(parts) > 1:
            self._begin(batch, channel.name)
            self._confirm(batch, channel.name, f"{len(parts)} parts", is_whole=True)
        done.confirmed[channel.name] += len(batch)
        return True

    def _attempt(
        self, batch: Sequence[Queued], channel: Channel, name: str, part: Message
    ) -> Answer:
        """Write the attempt down, then send; the answer says whether an earlier one is in doubt."""
        is_repeat = self._begin(batch, name)
        if is_repeat:
            part = replace(part, title=REPEAT + part.title)
        answer = self._sender.send(channel, part)
        return (
            answer
            if answer.is_accepted
            else replace(answer, is_doubtful=answer.is_doubtful or is_repeat)
        )

    def _begin(self, batch: Sequence[Queued], name: str) -> bool:
        """Begin an attempt of each alert in one transaction; tell whether any may have arrived."""
        now, in_doubt = self._clock(), False
        with self._store.together():
            for queued in batch:
                last = queued.channel(name)
                attempt = self._store.begin_attempt(queued.alert.alert_id, name, now)
                in_doubt |= attempt.is_repeat_of_doubtful
                in_doubt |= last is not None and last.detail.startswith(MAY_HAVE_ARRIVED)
        return in_doubt

    def _fail(self, batch: Sequence[Queued], name: str, answer: Answer) -> None:
        now = self._clock()
        detail = (MAY_HAVE_ARRIVED if answer.is_doubtful else "") + answer.detail
        asked = min(timedelta(seconds=answer.retry_after_seconds), LONGEST_REST)
        with self._store.together():
            for queued in batch:
                alert_id = queued.alert.alert_id
                held = self._store.get(alert_id).channel(name)
                head = batch[0].alert.alert_id  # one pause for all of a digest
                retry_at = now + max(pause_after(head, held.attempts if held else 1), asked)
                self._store.record(alert_id, name, Outcome("failed", detail, retry_at), now)

    def _confirm(self, batch: Sequence[Queued], name: str, detail: str, *, is_whole: bool) -> None:
        now = self._clock()
        others = [c.name for c in self._policy.channels if c.name != name]
        with self._store.together():
            for queued in batch:
                alert_id = queued.alert.alert_id
                is_last = is_whole and not (others and self._is_open_elsewhere(alert_id, others))
                outcome = Outcome("delivered", detail)
                self._store.record(alert_id, name, outcome, now, is_complete=is_last)

    def _is_open_elsewhere(self, alert_id: str, others: Sequence[str]) -> bool:
        fresh = self._store.get(alert_id)
        return any(is_open(fresh, other) for other in others)
