"""The alerts' file as its store writes it: transactions, states, steps, reading back.

Belongs here: what every change of an alert is made of. Does not belong here: the changes themselves
(`store.py`), DDL (`database.py`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

from dealer_assets.alerts import database as db
from dealer_assets.alerts.lifecycle import changes
from dealer_assets.alerts.model import ChannelState, Happening, Queued, State, Step
from dealer_assets.domain.alerting.cooling import DELIVER_WITHIN
from dealer_assets.errors import BadInputError

BY_PLATFORM = "platform"
BY_DELIVERY = "delivery"

_SELECT = (
    "SELECT alerts.*, (SELECT COUNT(*) FROM cooled WHERE because_of = alerts.alert_id) AS cooled "
    "FROM alerts"
)
_CHANNELS_AT_ONCE = 500  # ids in one statement; SQLite takes 32,766, older builds 999


class Ledger:
    """An open file of alerts.

    Parameters
    ----------
    path : pathlib.Path
        SQLite file; made, with its folder, when it is not there.
    deliver_within : datetime.timedelta
        Alerts of something longer ago are stored as resolved, and never sent.

    Notes
    -----
    One object may be used by several threads; each process opens its own.
    """

    def __init__(self, path: Path, *, deliver_within: timedelta = DELIVER_WITHIN) -> None:
        self.path = path
        self.deliver_within = deliver_within
        self._connection = db.connect(path)
        self._lock = threading.RLock()
        self._depth = 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of the calls within: all of them stand, or none.

        Other processes cannot write meanwhile, so nothing slow belongs inside.
        """
        with self._lock:
            if self._depth:
                yield
                return
            self._execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def get(self, alert_id: str) -> Queued:
        """Return one alert.

        Raises
        ------
        BadInputError
            When there is none.
        """
        found = self._queued("WHERE alert_id = ?", alert_id)
        if not found:
            raise BadInputError(
                f"no alert {alert_id}: expected an id as `dealer alerts list` shows it"
            )
        return found[0]

    def history(self, alert_id: str) -> tuple[Step, ...]:
        """Return what happened to an alert, in order; errors as `get`."""
        self._state(alert_id)
        rows = self._execute("SELECT * FROM steps WHERE alert_id = ? ORDER BY step", alert_id)
        return tuple(map(db.step_of, rows))

    def _queued(self, clause: str, *values: Any) -> list[Queued]:
        with self._lock:
            rows = self._execute(f"{_SELECT} {clause}", *values).fetchall()
            channels = self._channels([row["alert_id"] for row in rows])
        return [db.queued_of(row, tuple(channels.get(row["alert_id"], ()))) for row in rows]

    def _channels(self, ids: Sequence[str]) -> dict[str, list[ChannelState]]:
        found: dict[str, list[ChannelState]] = {}
        for start in range(0, len(ids), _CHANNELS_AT_ONCE):
            some = ids[start : start + _CHANNELS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            for row in self._execute(
                f"SELECT * FROM channels WHERE alert_id IN ({marks}) ORDER BY alert_id, channel",
                *some,
            ):
                found.setdefault(row["alert_id"], []).append(db.channel_of(row))
        return found

    def _channel(self, alert_id: str, channel: str) -> ChannelState | None:
        row = self._execute(
            "SELECT * FROM channels WHERE alert_id = ? AND channel = ?", alert_id, channel
        ).fetchone()
        return None if row is None else db.channel_of(row)

    def _put_channel(self, alert_id: str, state: ChannelState) -> None:
        self._execute(
            "INSERT OR REPLACE INTO channels VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(alert_id, state.channel, state.status, state.attempts),
            *(db.stored_instant(state.retry_at), db.stored_instant(state.at), state.detail),
        )

    def _state(self, alert_id: str) -> State:
        row = self._execute("SELECT state FROM alerts WHERE alert_id = ?", alert_id).fetchone()
        return row["state"] if row else self.get(alert_id).state  # the latter tells what is wrong

    def _move(
        self,
        alert_id: str,
        state: State,
        to: Literal["delivered", "acknowledged", "resolved"],
        now: datetime,
        by: str = BY_PLATFORM,
        detail: str = "",
    ) -> None:
        if changes(alert_id, state, to):
            self._set_state(alert_id, to)
            self._step(alert_id, now, to, to, by=by, detail=detail)

    def _set_state(self, alert_id: str, state: State) -> None:
        self._execute("UPDATE alerts SET state = ? WHERE alert_id = ?", state, alert_id)

    def _step(
        self,
        alert_id: str,
        now: datetime,
        happening: Happening,
        state: State,
        *,
        by: str = "",
        channel: str = "",
        detail: str = "",
    ) -> None:
        who = by or (BY_DELIVERY if channel else BY_PLATFORM)
        self._execute(
            "INSERT INTO steps SELECT ?, 1 + COALESCE(MAX(step), 0), ?, ?, ?, ?, ?, ? "
            "FROM steps WHERE alert_id = ?",
            *(alert_id, db.stored_instant(now), happening, state, who, channel, detail, alert_id),
        )

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._lock:
            try:
                return self._connection.execute(statement, values)
            except sqlite3.Error as error:
                raise db.refusal(self.path, error) from error
