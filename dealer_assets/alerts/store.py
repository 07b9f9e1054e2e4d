"""Where alerts are kept while they live: one SQLite file, written by several processes at once.

Belongs here: every change of an alert, each in one transaction together with its step of history.
Does not belong here: which alerts there are (`derived/alerting.py`), sending (`delivery.py`),
transactions and reading back (`ledger.py`). A change that returned survives SIGKILL and power loss
(WAL, ``synchronous=FULL``). Nothing here asks a clock: `now` is an argument.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal

from dealer_assets.alerts import database as db
from dealer_assets.alerts.ledger import BY_DELIVERY, Ledger
from dealer_assets.alerts.lifecycle import LAPSE_AFTER
from dealer_assets.alerts.model import (
    STATES,
    Alert,
    Attempt,
    ChannelState,
    Ending,
    Outcome,
    Queued,
    Raised,
    State,
    Step,
)
from dealer_assets.domain.alerting.cooling import decide, is_historical
from dealer_assets.errors import BadInputError

LONGEST_HOLD = timedelta(hours=25)
"""A day with the hour that autumn adds; what is held for longer was held by a clock gone wrong."""

_MOMENT = timedelta(microseconds=1)


class AlertStore(Ledger):
    """The alerts, and everything that can happen to one; made as `Ledger` says."""

    def raise_alerts(
        self, alerts: Sequence[Alert], now: datetime, *, endings: Sequence[Ending] = ()
    ) -> Raised:
        """Take what is new, once; then resolve what has ended.

        Parameters
        ----------
        alerts : sequence of Alert
            In any order; they are taken in that of `event_at`.
        now : datetime.datetime
            Aware instant that counts as now.
        endings : sequence of Ending
            Conditions that have ended; also alerts taken by this call.

        Returns
        -------
        Raised
        """
        told: dict[str, list[str]] = {"taken": [], "duplicate": [], "cooled": []}
        with self.together():
            for alert in sorted(alerts, key=lambda a: (a.event_at, a.alert_id)):
                told[self._take(alert, now)].append(alert.alert_id)
            ended = [alert_id for ending in endings for alert_id in self._end(ending, now)]
        taken, duplicates, cooled = (tuple(told[k]) for k in ("taken", "duplicate", "cooled"))
        return Raised(taken, duplicates, cooled, tuple(ended))

    def _take(self, alert: Alert, now: datetime) -> Literal["taken", "duplicate", "cooled"]:
        near = self._near(alert)
        is_known = any(row["alert_id"] == alert.alert_id for row in near)
        earlier = [(db.certain(row["event_at"]), row["severity"]) for row in near]
        decision = decide(alert, is_known=is_known, earlier=earlier)
        if decision == "taken":
            self._insert(alert, now)
        elif decision == "duplicate" and alert.last_seen_at is not None:
            self._execute(
                "UPDATE alerts SET last_seen_at = MAX(last_seen_at, ?) WHERE alert_id = ?",
                *(db.stored_instant(alert.last_seen_at), alert.alert_id),
            )
        elif decision == "cooled":
            self._execute(
                "INSERT OR REPLACE INTO cooled VALUES (?, ?)", alert.alert_id, near[0]["alert_id"]
            )
        return decision

    def _near(self, alert: Alert) -> list[sqlite3.Row]:
        """Alerts of the same key within the cool-down, the nearest first; itself if it is held."""
        at, reach = db.stored_instant(alert.event_at), alert.cool_down // timedelta(microseconds=1)
        return self._execute(
            "SELECT alert_id, event_at, severity FROM alerts WHERE rule = ? AND underlying = ? "
            "AND dedupe_key = ? AND event_at BETWEEN ? - ? AND ? + ? ORDER BY ABS(event_at - ?)",
            *(alert.rule, alert.underlying, alert.dedupe_key, at, reach, at, reach, at),
        ).fetchall()

    def _insert(self, alert: Alert, now: datetime) -> None:
        old = is_historical(alert, now, within=self.deliver_within)
        row = db.row_of(alert) | {
            "state": "new",
            "raised_at": db.stored_instant(now),
            "not_before": None,
            "is_historical": old,
        }
        names = ", ".join(row)
        marks = ", ".join("?" * len(row))
        self._execute(f"INSERT INTO alerts ({names}) VALUES ({marks})", *row.values())
        self._execute("DELETE FROM cooled WHERE alert_id = ?", alert.alert_id)
        self._step(alert.alert_id, now, "raised", "new")
        if old:
            hours = self.deliver_within / timedelta(hours=1)
            said = f"historical: of {alert.event_at:%Y-%m-%d %H:%M} UTC, more than {hours:g} h ago"
            self._move(alert.alert_id, "new", "resolved", now, detail=said)

    def _end(self, ending: Ending, now: datetime) -> list[str]:
        rows = self._execute(
            "SELECT alert_id, state FROM alerts WHERE rule = ? AND underlying = ? "
            "AND dedupe_key = ? AND event_at < ? AND state != 'resolved' ORDER BY sequence",
            *(ending.rule, ending.underlying, ending.dedupe_key, db.stored_instant(ending.at)),
        ).fetchall()
        said = f"the condition had ended at {ending.at:%Y-%m-%d %H:%M:%S} UTC"
        for row in rows:
            self._move(row["alert_id"], row["state"], "resolved", now, detail=said)
        return [row["alert_id"] for row in rows]

    def due(self, now: datetime, limit: int = 100) -> list[Queued]:
        """Return alerts that wait to be sent, in the order in which they were raised.

        Held ones (`hold`) are left out until their instant, and no longer than `LONGEST_HOLD`. A
        channel's `retry_at` is not looked at: whoever sends keeps to it, so that a channel's alerts
        stay in order.
        """
        return self._queued(
            "WHERE state = 'new' AND (not_before IS NULL OR not_before NOT BETWEEN ? AND ?) "
            "ORDER BY sequence LIMIT ?",
            *(db.stored_instant(now + _MOMENT), db.stored_instant(now + LONGEST_HOLD), limit),
        )

    def waiting(self) -> int:
        """Return how many alerts are new, held ones among them."""
        return int(self._execute("SELECT COUNT(*) FROM alerts WHERE state = 'new'").fetchone()[0])

    def hold(self, alert_id: str, until: datetime, now: datetime, *, why: str) -> None:
        """Keep a new alert from being sent before an instant; repeating it changes nothing."""
        with self.together():
            held = self.get(alert_id)
            if held.state != "new" or held.not_before == until:
                return
            self._execute(
                "UPDATE alerts SET not_before = ? WHERE alert_id = ?",
                *(db.stored_instant(until), alert_id),
            )
            said = f"{why}; until {until:%Y-%m-%d %H:%M} UTC"
            self._step(alert_id, now, "held", "new", detail=said)

    def begin_attempt(self, alert_id: str, channel: str, now: datetime) -> Attempt:
        """Write down that a channel is about to be sent to; only then may anything be sent.

        Returns
        -------
        Attempt
            It tells whether an attempt before it never ended, so that the message can say so.
        """
        with self.together():
            state = self._state(alert_id)
            last = self._channel(alert_id, channel)
            doubtful = last is not None and last.status in ("attempted", "doubtful")
            if doubtful:
                said = "an attempt before it was cut off between sending and its confirmation"
                self._step(alert_id, now, "doubtful", state, channel=channel, detail=said)
            number = 1 + (last.attempts if last else 0)
            self._put_channel(alert_id, ChannelState(channel, "attempted", number, None, now, ""))
            said = f"attempt {number}"
            self._step(alert_id, now, "attempted", state, channel=channel, detail=said)
        return Attempt(number, doubtful)

    def record(
        self,
        alert_id: str,
        channel: str,
        outcome: Outcome,
        now: datetime,
        *,
        is_complete: bool = True,
    ) -> None:
        """Write down how an attempt ended.

        Parameters
        ----------
        alert_id, channel
            Of the attempt.
        outcome : Outcome
            Delivered or failed.
        now : datetime.datetime
            Aware instant.
        is_complete : bool
            No other channel has still to get it: a new alert then becomes delivered.

        Raises
        ------
        BadInputError
            When no attempt of that channel is under way, nor ended this way already.
        """
        with self.together():
            state = self._state(alert_id)
            last = self._channel(alert_id, channel)
            if last is None or last.status not in ("attempted", outcome.status):
                raise BadInputError(
                    f"alert {alert_id} has no attempt under way on channel {channel}: expected "
                    f"begin_attempt first; found {last.status if last else 'none'}"
                )
            if last.status == "attempted":
                ended = ChannelState(
                    channel, outcome.status, last.attempts, outcome.retry_at, now, outcome.detail
                )
                self._put_channel(alert_id, ended)
                self._step(
                    alert_id,
                    now,
                    outcome.status,
                    "delivered" if self._finishes(state, outcome, is_complete) else state,
                    channel=channel,
                    detail=outcome.detail,
                )
            if self._finishes(state, outcome, is_complete):
                self._set_state(alert_id, "delivered")

    @staticmethod
    def _finishes(state: State, outcome: Outcome, is_complete: bool) -> bool:
        return state == "new" and outcome.status == "delivered" and is_complete

    def complete(self, alert_id: str, now: datetime, *, detail: str) -> None:
        """Make a new alert delivered without another attempt: no channel is left to be tried."""
        with self.together():
            self._move(alert_id, self._state(alert_id), "delivered", now, BY_DELIVERY, detail)

    def acknowledge(self, alert_id: str, by: str, now: datetime, note: str = "") -> Queued:
        """Write down that somebody has seen it; repeating it changes nothing.

        Raises
        ------
        BadInputError
            When there is no such alert, or it is resolved.
        """
        with self.together():
            self._move(alert_id, self._state(alert_id), "acknowledged", now, by, note)
            return self.get(alert_id)

    def resolve(self, alert_id: str, by: str, now: datetime, note: str = "") -> Queued:
        """Close it for good; one that was not sent will not be. Repeating it changes nothing.

        Raises
        ------
        BadInputError
            When there is no such alert.
        """
        with self.together():
            self._move(alert_id, self._state(alert_id), "resolved", now, by, note)
            return self.get(alert_id)

    def lapse(self, now: datetime, *, after: timedelta = LAPSE_AFTER) -> int:
        """Resolve what was sent and neither seen nor touched for days; return how many."""
        said = f"lapsed: nobody resolved it within {after / timedelta(days=1):g} days"
        with self.together():
            rows = self._execute(
                "SELECT alert_id, state FROM alerts WHERE state IN ('delivered', 'acknowledged') "
                "AND COALESCE(last_seen_at, raised_at) < ?",
                db.stored_instant(now - after),
            ).fetchall()
            for row in rows:
                self._move(row["alert_id"], row["state"], "resolved", now, detail=said)
        return len(rows)

    def match(self, prefix: str) -> str:
        """Return the one id that begins with a prefix.

        Raises
        ------
        BadInputError
            When none does, or several do.
        """
        rows = self._execute(
            "SELECT alert_id FROM alerts WHERE substr(alert_id, 1, ?) = ? LIMIT 3",
            *(len(prefix), prefix),
        ).fetchall()
        if len(rows) == 1 and prefix:
            return str(rows[0]["alert_id"])
        found = "no alert begins" if not rows else "several alerts begin"
        raise BadInputError(f"{found} with {prefix!r}: `dealer alerts list` shows the ids")

    def listing(
        self, state: State | Literal["open"] | None = None, limit: int | None = None
    ) -> list[Queued]:
        """Return alerts, the newest first; ``open`` is every state but resolved."""
        if state not in (None, "open", *STATES):
            raise BadInputError(f"no state {state!r}: expected open, {', '.join(STATES)}")
        wanted = {None: STATES, "open": STATES[:-1]}.get(state, (state,))
        marks = ", ".join("?" * len(wanted))
        bound = -1 if limit is None else limit
        return self._queued(
            f"WHERE state IN ({marks}) ORDER BY sequence DESC LIMIT ?", *wanted, bound
        )

    def of_session(self, underlying: str, day: date) -> list[tuple[Queued, tuple[Step, ...]]]:
        """Return a session's alerts with their history, by id: the same for the same store."""
        with self.together():
            found = self._queued(
                "WHERE underlying = ? AND session_date = ? ORDER BY alert_id",
                *(underlying, day.isoformat()),
            )
            return [(queued, self.history(queued.alert.alert_id)) for queued in found]

    def sessions_changed(self, since: datetime) -> list[tuple[str, date]]:
        """Return the (underlying, session) whose alerts have a step since an instant, sorted."""
        rows = self._execute(
            "SELECT DISTINCT underlying, session_date FROM alerts JOIN steps USING (alert_id) "
            "WHERE at >= ? ORDER BY 1, 2",
            db.stored_instant(since),
        )
        return [(r["underlying"], date.fromisoformat(r["session_date"])) for r in rows]
