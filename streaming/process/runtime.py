"""The process: desks, their sessions one after the other, API, reports, heartbeats, the end.

Belongs here: what runs beside what, and when sessions change. Does not belong here: a session's
work (`session`), restarts and signals (`supervisor`), the command line (`dealer_assets.cli`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from dealer_assets.settings import Settings
from streaming.api.hub import Hub
from streaming.clock import WallClock
from streaming.desk.opening import desks_of
from streaming.desk.session import PATIENT_SECONDS
from streaming.process.desk_life import Choice, DeskLife
from streaming.process.health import desk_health
from streaming.process.supervisor import Part, Patience, Supervisor

__all__ = ["Choice", "Runtime"]

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0


class Runtime:
    """The streaming process.

    Parameters
    ----------
    settings : Settings
        Configuration.
    choice : Choice
        What is to be streamed.
    serve : callable, optional
        Serves the API over the hub until cancelled.
    report : callable, optional
        Reports to Dagster over the runtime until cancelled.
    patience : Patience, optional
        When a crashing part is given up.
    heartbeat_seconds : float
        Between heartbeats.

    Raises
    ------
    BadInputError
        When the choice cannot be: an underlying without a feed, a session that is not one.
    """

    def __init__(
        self,
        settings: Settings,
        choice: Choice,
        *,
        serve: Callable[[Hub], Awaitable[None]] | None = None,
        report: Callable[[Runtime], Awaitable[None]] | None = None,
        patience: Patience | None = None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.settings, self.choice = settings, choice
        self.heartbeat_seconds = heartbeat_seconds
        self.wall = WallClock()
        self.hub = Hub(self.health)
        self.hub.expect(lane.symbol for lane in choice.lanes)
        self.supervisor = Supervisor(patience=patience)
        self.desks = [DeskLife(name, lanes, self) for name, lanes in desks_of(choice.lanes).items()]
        self._serve, self._report = serve, report

    def now(self) -> datetime:
        """Return the wall's time, UTC."""
        return datetime.fromtimestamp(self.wall.now_us() / 1e6, UTC)

    async def run(self) -> int:
        """Run until a signal, the end of what was chosen, or a part that is given up.

        Returns
        -------
        int
            Exit code, see `supervisor`.
        """
        for part in self._parts():
            self.supervisor.add(part)
        undo = self.supervisor.listen()
        try:
            await self.supervisor.run()
            _log.info("ending: %s; draining, a second signal ends at once", self.supervisor.reason)
            return await self.supervisor.drained(self._finish())
        finally:
            undo()

    def _parts(self) -> Sequence[Part]:
        parts = [Part(f"{desk.name} desk", desk.run) for desk in self.desks]
        if self.choice.session is not None:
            parts.append(Part("the chosen session", self._all_done, ends_run=True))
        if self.choice.seconds is not None:
            parts.append(Part("the time of --seconds", self._time_over, ends_run=True))
        if self._serve is not None:
            serve = self._serve
            parts.append(Part("api", lambda: serve(self.hub)))
        if self._report is not None:
            report = self._report
            parts.append(Part("report", lambda: report(self), sees_drain=True))
        return parts

    async def _all_done(self) -> None:
        for desk in self.desks:
            await desk.done.wait()

    async def _time_over(self) -> None:
        for desk in self.desks:
            await desk.is_open.wait()
            if desk.session is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(desk.session.begun.wait(), PATIENT_SECONDS)
        await asyncio.sleep(self.choice.seconds or 0.0)

    async def _finish(self) -> None:
        for desk in self.desks:
            await desk.finish()

    def health(self) -> dict[str, Any]:
        """Return the process's health as a document: ``is_healthy``, ``problems``, ``desks``."""
        desks: dict[str, dict[str, Any]] = {}
        for desk in self.desks:
            if desk.sleeps_until is not None:
                until = desk.sleeps_until.isoformat()
                desks[desk.name] = {"is_healthy": True, "problems": [], "sleeps_until": until}
            elif desk.session is None:
                problems = ["the session is being opened"]
                desks[desk.name] = {"is_healthy": False, "problems": problems}
            else:
                desks[desk.name] = desk_health(desk.session, self.supervisor.states)
        problems = [f"{name}: {text}" for name, d in desks.items() for text in d["problems"]]
        return {
            "is_healthy": all(d["is_healthy"] for d in desks.values()),
            "problems": problems,
            "desks": desks,
            "parts": {name: state.phase for name, state in self.supervisor.states.items()},
        }
