"""The SQLite file of alerts: its tables, how it is opened, how its rows become dataclasses.

Belongs here: DDL, pragmas, conversions. Does not belong here: what is written when (`store.py`).
Instants are whole microseconds since 1970 in UTC, so that they compare and come back exactly.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from dealer_assets.alerts.model import Alert, ChannelState, Queued, Step
from dealer_assets.errors import LakeError

VERSION = 1
BUSY_SECONDS = 30.0
"""How long a process waits for another's transaction; the longest is a raise of thousands."""

_USABLE = "expected a SQLite file in a folder that this user may write"
_DAMAGED = (
    "it is damaged: stop the platform and move it away with its -wal and -shm; a new one is made, "
    "the history stays in the lake's table alerts, and alerts that were open are lost"
)
_REMEDIES = (
    ("locked", f"another process has held it for {BUSY_SECONDS:.0f} s: look for one that hangs"),
    ("full", "free space on the disk: nothing of this change was kept, and it can be repeated"),
    ("malformed", _DAMAGED),
    ("not a database", _DAMAGED),
    ("disk I/O error", f"{_USABLE}, on a local disk with room; look into the system's log"),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_TABLES = """
CREATE TABLE alerts (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    alert_id TEXT NOT NULL UNIQUE,
    rule TEXT NOT NULL,
    underlying TEXT NOT NULL,
    session_date TEXT NOT NULL,
    event_at INTEGER NOT NULL,
    known_at INTEGER NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    dedupe_key TEXT NOT NULL,
    facts TEXT NOT NULL,
    cool_down INTEGER NOT NULL,
    last_seen_at INTEGER,
    state TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    not_before INTEGER,
    is_historical INTEGER NOT NULL
);
CREATE INDEX alerts_by_state ON alerts (state, sequence);
CREATE INDEX alerts_by_key ON alerts (rule, underlying, dedupe_key, event_at);
CREATE INDEX alerts_by_session ON alerts (underlying, session_date);
CREATE TABLE steps (
    alert_id TEXT NOT NULL REFERENCES alerts (alert_id),
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    happening TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    channel TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (alert_id, step)
) WITHOUT ROWID;
CREATE TABLE channels (
    alert_id TEXT NOT NULL REFERENCES alerts (alert_id),
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    retry_at INTEGER,
    at INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (alert_id, channel)
) WITHOUT ROWID;
CREATE TABLE cooled (
    alert_id TEXT PRIMARY KEY,
    because_of TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX cooled_by_cause ON cooled (because_of);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, and make it when it is not there.

    Raises
    ------
    LakeError
        When it cannot be opened, is no such file, or is of a newer version of the platform.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        _bring_up(connection, path)
    except (OSError, sqlite3.Error) as error:
        raise refusal(path, error) from error
    return connection


def refusal(path: Path, error: Exception) -> LakeError:
    """Return what to tell of a file that cannot be used: what to do differs by what is wrong."""
    said = str(error)
    remedy = next((words for piece, words in _REMEDIES if piece in said), _USABLE)
    return LakeError(f"the alert store {path} cannot be used: {said}; {remedy}")


def _bring_up(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")  # of two processes that come first, one makes the tables
    try:
        found = _version(connection)
        if found > VERSION:
            raise LakeError(
                f"the alert store {path} has version {found}, this platform knows {VERSION}: "
                "update the platform, or move the file away"
            )
        if found == 0:
            for statement in filter(str.strip, _TABLES.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        connection.close()
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def stored_instant(at: datetime | None) -> int | None:
    """Return an aware instant as stored; None stays None."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def instant(stored: int | None) -> datetime | None:
    """Return a stored instant; None stays None."""
    return None if stored is None else _EPOCH + stored * _MICROSECOND


def certain(stored: int) -> datetime:
    """Return a stored instant that is never null."""
    return _EPOCH + stored * _MICROSECOND


def row_of(alert: Alert) -> dict[str, Any]:
    """Return an alert's own columns."""
    return {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "underlying": alert.underlying,
        "session_date": alert.session_date.isoformat(),
        "event_at": stored_instant(alert.event_at),
        "known_at": stored_instant(alert.known_at),
        "severity": alert.severity,
        "title": alert.title,
        "body": alert.body,
        "dedupe_key": alert.dedupe_key,
        "facts": json.dumps(dict(alert.facts), sort_keys=True, allow_nan=False),
        "cool_down": alert.cool_down // _MICROSECOND,
        "last_seen_at": stored_instant(alert.last_seen_at),
    }


def alert_of(row: sqlite3.Row) -> Alert:
    """Return the alert of a row of `alerts`."""
    return Alert(
        alert_id=row["alert_id"],
        rule=row["rule"],
        underlying=row["underlying"],
        session_date=date.fromisoformat(row["session_date"]),
        event_at=certain(row["event_at"]),
        known_at=certain(row["known_at"]),
        severity=row["severity"],
        title=row["title"],
        body=row["body"],
        dedupe_key=row["dedupe_key"],
        facts=json.loads(row["facts"]),
        cool_down=row["cool_down"] * _MICROSECOND,
        last_seen_at=instant(row["last_seen_at"]),
    )


def queued_of(row: sqlite3.Row, channels: tuple[ChannelState, ...]) -> Queued:
    """Return a row of `alerts` with its channels, as the store's users see it."""
    return Queued(
        alert=alert_of(row),
        sequence=row["sequence"],
        state=row["state"],
        raised_at=certain(row["raised_at"]),
        not_before=instant(row["not_before"]),
        is_historical=bool(row["is_historical"]),
        cooled=row["cooled"],
        channels=channels,
    )


def channel_of(row: sqlite3.Row) -> ChannelState:
    """Return a row of `channels`."""
    return ChannelState(
        channel=row["channel"],
        status=row["status"],
        attempts=row["attempts"],
        retry_at=instant(row["retry_at"]),
        at=certain(row["at"]),
        detail=row["detail"],
    )


def step_of(row: sqlite3.Row) -> Step:
    """Return a row of `steps`."""
    return Step(
        alert_id=row["alert_id"],
        step=row["step"],
        at=certain(row["at"]),
        happening=row["happening"],
        state=row["state"],
        by=row["actor"],
        channel=row["channel"],
        detail=row["detail"],
    )
