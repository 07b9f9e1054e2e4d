"""Log-only mode: alerts as JSON lines in a file, for a first week without a phone that rings.

Belongs here: the file and its lines. Does not belong here: when (`delivery`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dealer_assets.alerts.channels import Channel
from dealer_assets.alerts.messages import REPEAT, Message
from dealer_assets.alerts.model import Alert
from dealer_assets.alerts.sender import Answer, Description

_UNLIMITED = 1 << 30


@dataclass(frozen=True)
class LogFile:
    """A file that alerts are appended to, one JSON object a line.

    Parameters
    ----------
    path : pathlib.Path
        Made when it is not there.
    """

    path: Path

    def describe(self, channel: Channel) -> Description:
        """Return that lines may have any length."""
        return Description("log", _UNLIMITED)

    def send(self, channel: Channel, message: Message) -> Answer:
        """Append as a channel does."""
        return self.append(message)

    def append(self, message: Message) -> Answer:
        """Append a line an alert, and see it on the disk."""
        is_repeat = message.title.startswith(REPEAT)
        text = "".join(_line(alert, is_repeat=is_repeat) for alert in message.alerts)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as log:
                log.write((self._break(log) + text).encode())
                log.flush()
                os.fsync(log.fileno())
        except OSError as error:
            return Answer(False, is_doubtful=True, detail=f"{self.path.name}: {error.strerror}")
        return Answer(True, detail=f"written to {self.path.name}")

    @staticmethod
    def _break(log: BinaryIO) -> str:
        """Return a line's end where a line before was cut off, by a full disk or a kill."""
        if not log.seek(0, os.SEEK_END):
            return ""
        log.seek(-1, os.SEEK_END)
        return "" if log.read(1) == b"\n" else "\n"


def _line(alert: Alert, *, is_repeat: bool) -> str:
    document: dict[str, Any] = {
        "at": alert.event_at.isoformat(),
        "known_at": alert.known_at.isoformat(),
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "severity": alert.severity,
        "underlying": alert.underlying,
        "session_date": alert.session_date.isoformat(),
        "title": alert.title,
        "body": alert.body,
        "facts": dict(alert.facts),
    }
    if is_repeat:
        document["is_repeat"] = True
    return json.dumps(document, ensure_ascii=False) + "\n"
