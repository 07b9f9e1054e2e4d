"""Tells Dagster's web server which live tables have grown.

Belongs here: what is reported when, and patience with a web server that is down. Does not belong
here: anything of Dagster (a POST is all it takes), or where no web server is configured: there a
sensor looks into the lake (`dealer_assets.defs.live`).

The stream never waits for a report. Noting is an assignment; only the newest state of a table is
kept, so that nothing piles up while the web server is away, and what it missed it learns at once
when it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from dealer_assets.errors import BadInputError

if TYPE_CHECKING:
    import httpx

EVERY_SECONDS = 300.0
"""How often a table is reported: each report is a row in Dagster's database, and parts close every
minute. A change between well and not does not wait; health's words alone are no news."""

TIMEOUT_SECONDS = 5.0
RETRY_SECONDS = 15.0
"""Pause after a failure, for all tables; doubled up to `EVERY_SECONDS`."""

_TICK_SECONDS = 0.5

Key = tuple[str, str, date]


@dataclass(frozen=True, slots=True)
class Note:
    """The newest state of one table of a session.

    Parameters
    ----------
    rows, parts : int
        Of the session so far, in the lake.
    last_known_at : datetime.datetime
        `known_at` of the newest row.
    health : str
        ``ok``, or what is wrong.
    """

    rows: int
    parts: int
    last_known_at: datetime
    health: str

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong; the words of what is change at every look."""
        return self.health == "ok"

    def repeats(self, told: Note) -> bool:
        """Tell whether a report of it would be no news after another."""
        return self._news == told._news

    @property
    def _news(self) -> tuple[int, int, datetime, bool]:
        return self.rows, self.parts, self.last_known_at, self.is_well


@dataclass
class ReportState:
    """What became of the reports; for the process's own health.

    Parameters
    ----------
    sent, failed : int
        Reports that the web server took, and attempts that it did not.
    waiting : int
        Tables whose newest state it does not know.
    last_error : str
        Kind of the last failure; blank: the last attempt was taken.
    """

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class _Sent:
    note: Note
    at: float


class Reporter:
    """Reports live tables as materializations, at most every so often for each.

    Parameters
    ----------
    url : str
        Root of the web server, ``http://127.0.0.1:3000``; credentials in it are refused.
    every_seconds : float
        Least time between two reports of a table that was well and is, or was not and is not.
    timeout_seconds : float
        For one report, from connecting to the answer.
    retry_seconds : float
        Pause after the first failure.
    now : callable
        UTC wall clock, for the lag that is reported.
    clock : callable
        Monotonic seconds, for the pauses.
    transport : httpx.AsyncBaseTransport, optional
        Stands in for the network in tests.

    Raises
    ------
    BadInputError
        When the address is none of a web server.
    """

    def __init__(
        self,
        url: str,
        *,
        every_seconds: float = EVERY_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        if scheme not in ("http", "https") or not host or "@" in host:
            raise BadInputError(
                "DEALER_DAGSTER_URL: expected the web server's address without credentials, such "
                "as http://127.0.0.1:3000, or nothing to let a sensor find the parts"
            )
        self._url = url.rstrip("/")
        self._every, self._timeout, self._retry = every_seconds, timeout_seconds, retry_seconds
        self._now, self._clock, self._transport = now, clock, transport
        self._notes: dict[Key, Note] = {}
        self._sent: dict[Key, _Sent] = {}
        self._failures = 0
        self._not_before = float("-inf")
        self._stopping = False
        self.state = ReportState()

    def note(
        self,
        table: str,
        underlying: str,
        session_date: date,
        *,
        rows: int,
        parts: int,
        last_known_at: datetime,
        health: str = "ok",
    ) -> None:
        """Remember a table's newest state; from any thread, and at no cost.

        Parameters
        ----------
        table, underlying : str
            Whose.
        session_date : datetime.date
            Partition.
        rows, parts : int
            Of the session so far, in the lake; rows are numbered from 0, without holes.
        last_known_at : datetime.datetime
            `known_at` of the newest of them.
        health : str
            ``ok``, or what is wrong, as the heartbeat has it.
        """
        self._notes[underlying, table, session_date] = Note(rows, parts, last_known_at, health)

    def stop(self) -> None:
        """Let `run` report what waits, once, and return."""
        self._stopping = True

    async def run(self) -> None:
        """Report until stopped or cancelled; a web server that is away is no error."""
        import httpx  # 0.1 s to import, and replays report nothing

        async with httpx.AsyncClient(
            timeout=self._timeout, transport=self._transport, trust_env=False
        ) as client:
            while not self._stopping:
                await self._report(client, self._due())
                await asyncio.sleep(_TICK_SECONDS)
            await self._report(client, self._unsent())

    def _unsent(self) -> list[Key]:
        """Tables whose newest state is not reported, longest waiting first."""
        told = self._sent
        keys = [key for key in list(self._notes) if not self._is_told(key)]
        self.state.waiting = len(keys)
        return sorted(keys, key=lambda key: told[key].at if key in told else float("-inf"))

    def _is_told(self, key: Key) -> bool:
        sent = self._sent.get(key)
        return sent is not None and self._notes[key].repeats(sent.note)

    def _due(self) -> list[Key]:
        now = self._clock()
        if now < self._not_before:
            return []
        return [key for key in self._unsent() if self._is_due(key, now)]

    def _is_due(self, key: Key, now: float) -> bool:
        sent = self._sent.get(key)
        if sent is None or sent.note.is_well != self._notes[key].is_well:
            return True
        return now - sent.at >= self._every

    async def _report(self, client: httpx.AsyncClient, keys: list[Key]) -> None:
        for key in keys:
            note = self._notes[key]
            error = await self._post(client, key, note)
            if error:
                self._fail(error)
                return  # the web server is away for the others too
            self._failures = 0
            self.state.sent += 1
            self.state.last_error = ""
            self._sent[key] = _Sent(note, self._clock())
            self._forget_older(key)
        self._unsent()

    def _fail(self, error: str) -> None:
        pause = min(self._retry * 2**self._failures, self._every)
        self._failures = min(self._failures + 1, 16)
        self._not_before = self._clock() + pause
        self.state.failed += 1
        self.state.last_error = error

    def _forget_older(self, key: Key) -> None:
        """Drop sessions that have passed: a process runs for weeks."""
        underlying, table, day = key
        for other in [k for k in list(self._sent) if k[:2] == (underlying, table) and k[2] < day]:
            if self._is_told(other):
                del self._sent[other], self._notes[other]

    async def _post(self, client: httpx.AsyncClient, key: Key, note: Note) -> str:
        """Report one table; return what went wrong, without address, or nothing."""
        import httpx

        underlying, table, day = key
        try:
            async with asyncio.timeout(self._timeout):
                answer = await client.post(
                    f"{self._url}/report_asset_materialization/{underlying}/{table}",
                    json={"partition": day.isoformat(), "metadata": self._metadata(key, note)},
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return type(error).__name__
        return "" if answer.is_success else f"HTTP {answer.status_code}"

    def _metadata(self, key: Key, note: Note) -> dict[str, str | int | float]:
        """Figures of the session so far; rows are numbered from 0, so these are the new ones."""
        before = self._sent.get(key)
        return {
            "dagster/row_count": note.rows,
            "parts": note.parts,
            "first_new_row": before.note.rows if before else 0,
            "last_row": note.rows - 1,
            "last_known_at": note.last_known_at.isoformat(),
            "lag_seconds": round((self._now() - note.last_known_at).total_seconds(), 3),
            "health": note.health,
        }
