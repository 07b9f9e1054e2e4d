"""Alerts as texts that a service takes: titles, bodies, numbered parts, digests.

Belongs here: wording and length. Does not belong here: who sends (`delivery`), or what a service's
limits are (`sender` asks the service's own description).

Lengths are counted as the strictest service counts them: UTF-16 units, and ``& < >`` by the length
of the entity that they are sent as. A part is never cut inside a character, and at a line's or
word's end where one is near. Titles of parts are numbered ``(2/5)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dealer_assets.alerts.model import SEVERITIES, Alert

REPEAT = "[perhaps a repeat] "
"""Before the title of a message that may have arrived before: its answer was never seen."""

_LARGEST_TITLE = 120
_ROOM_OF_A_TITLE = 16
"""Line break, bold marks and the like that services put around a title."""
_LEAST_BODY = 64
_ENTITIES = {"&": 5, "<": 4, ">": 4, '"': 6, "'": 6}
_MOST_DIGEST_LINES = 100
_LARGEST_DIGEST_LINE = 90


@dataclass(frozen=True)
class Message:
    """One text to send.

    Parameters
    ----------
    title, body : str
        Plain text.
    severity : str
        notice, warning or severe; decides the service's colour or icon.
    alerts : tuple of Alert
        What it tells of.
    """

    title: str
    body: str
    severity: str
    alerts: tuple[Alert, ...] = ()


def weight(text: str) -> int:
    """Return the length of a text as the strictest service counts it."""
    return sum(_ENTITIES.get(letter, 2 if ord(letter) > 0xFFFF else 1) for letter in text)


def message_of(alert: Alert) -> Message:
    """Return an alert as one message of any length: words, then instant, rule and identity."""
    when = f"{alert.event_at:%Y-%m-%d %H:%M:%S} UTC"
    foot = f"{alert.underlying} · {when} · {alert.rule} · {alert.severity} · {alert.alert_id}"
    body = f"{alert.body.rstrip()}\n\n{foot}".lstrip()
    return Message(alert.title, body, alert.severity, (alert,))


def plain_message_of(alert: Alert) -> Message:
    """Return what is sent instead of a text that a service refuses again and again."""
    body = (
        f"The service refused the text of this alert ({alert.severity}). "
        f"Read it with: dealer alerts show {alert.alert_id}"
    )
    return Message(f"Alert {alert.alert_id}", body, alert.severity, (alert,))


def digest_of(alerts: Sequence[Alert], why: str, largest: int) -> Message:
    """Return several alerts as one message: one line each, the severe ones first.

    Parameters
    ----------
    alerts : sequence of Alert
        At least one, in the order raised.
    why : str
        Why they come together, e.g. ``held by quiet hours``.
    largest : int
        Most characters of title and body together; those that do not fit are counted in the last
        line.
    """
    ranked = sorted(alerts, key=lambda alert: -SEVERITIES.index(alert.severity))
    title = f"{len(alerts)} alerts, {why}"
    room = largest - weight(title) - weight(REPEAT) - _ROOM_OF_A_TITLE
    rest = "and {:,} more: dealer alerts list"
    room -= len(rest.format(len(ranked))) + 1
    lines: list[str] = []
    for alert in ranked[:_MOST_DIGEST_LINES]:
        line = _digest_line(alert)
        room -= weight(line) + 1
        if room < 0:
            break
        lines.append(line)
    if len(lines) < len(ranked):
        lines.append(rest.format(len(ranked) - len(lines)))
    return Message(title, "\n".join(lines), ranked[0].severity, tuple(alerts))


def _digest_line(alert: Alert) -> str:
    text = _cut(alert.title, _LARGEST_DIGEST_LINE)
    when = f"{alert.event_at:%d %b %H:%M}"
    return f"{when}Z {alert.severity}: {text} [{alert.alert_id[:8]}]"


def parts_of(message: Message, largest: int) -> tuple[Message, ...]:
    """Split a message into numbered parts that a service takes.

    Parameters
    ----------
    message : Message
        Of any length.
    largest : int
        Most characters of title and body together; from the service.

    Returns
    -------
    tuple of Message
        One part, unnumbered, where all of it fits. The same message and limit give the same parts,
        so that parts confirmed before a restart need not be sent again.
    """
    title = _cut(message.title, min(_LARGEST_TITLE, max(largest // 4, 1)))
    room = largest - weight(title) - weight(REPEAT) - _ROOM_OF_A_TITLE
    if weight(message.body) <= room:
        return (replace(message, title=title),)
    room = max(room - len(" (999/999)"), min(_LEAST_BODY, largest))
    bodies = _split(message.body, room)
    return tuple(
        replace(message, title=f"{title} ({number}/{len(bodies)})", body=body)
        for number, body in enumerate(bodies, start=1)
    )


def _split(text: str, room: int) -> list[str]:
    pieces = []
    while weight(text) > room:
        end = _fitting(text, room)
        kept = text[:end]
        for mark in ("\n", " "):
            near = kept.rfind(mark)
            if near > end // 2:  # an end further away would waste half a message
                end = near + 1
                break
        pieces.append(text[:end].rstrip())
        text = text[end:]
    pieces.append(text.rstrip())
    return [piece for piece in pieces if piece]


def _fitting(text: str, room: int) -> int:
    """Return how many letters weigh no more than `room`; at least one."""
    total = 0
    for count, letter in enumerate(text):
        total += weight(letter)
        if total > room:
            return max(count, 1)
    return len(text)


def _cut(text: str, room: int) -> str:
    line = " ".join(text.split())
    return line if weight(line) <= room else line[: max(_fitting(line, room) - 1, 1)] + "…"
