"""Alerts over the live API: list, look, acknowledge, resolve.

Belongs here: their routes. Does not belong here: what an alert is, or its states
(`dealer_assets.alerts`), the page (`alert_page`).

The only routes that write, and they write to the alerts' own store: the stream is not touched, and
a request that waits for the store waits on a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Body, FastAPI, HTTPException, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from dealer_assets.alerts.documents import document_of
from dealer_assets.alerts.model import Queued
from dealer_assets.alerts.store import AlertStore
from dealer_assets.errors import BadInputError, LakeError
from streaming.api.alert_page import HEADERS, PAGE

Answer = TypeVar("Answer")

Wanted = Annotated[
    Literal["open", "all", "new", "delivered", "acknowledged", "resolved"],
    Query(description="Which; open: all but resolved."),
]

PAGE_PATH = "/alerts/page"
"""Holds no data, only the script that asks for it: served without a token."""


class Remark(BaseModel):
    """Who acknowledges or resolves, and why; both stay in the alert's history.

    Parameters
    ----------
    by : str
        Name.
    note : str
        Words.
    """

    by: Annotated[str, Field(max_length=80)] = "live API"
    note: Annotated[str, Field(max_length=1000)] = ""


GivenRemark = Annotated[Remark | None, Body(description="Who and why; may be left out.")]


@dataclass(frozen=True)
class _Desk:
    """Asks the store on a thread; a file that is not there is not made by asking."""

    path: Path | None

    async def all(self, question: Callable[[AlertStore], list[Queued]]) -> list[Queued]:
        return await asyncio.to_thread(self._asked, question) or []

    async def one(self, question: Callable[[AlertStore], dict[str, Any]]) -> dict[str, Any]:
        found = await asyncio.to_thread(self._asked, question)
        if found is None:
            raise HTTPException(404, "no alert was raised yet")
        return found

    def _asked(self, question: Callable[[AlertStore], Answer]) -> Answer | None:
        if self.path is None or not self.path.exists():
            return None
        try:
            with AlertStore(self.path) as store:
                return question(store)
        except LakeError as error:  # held by another process, damaged, no room
            raise HTTPException(503, str(error), {"Retry-After": "5"}) from error


def serve_alerts(app: FastAPI, path: Path | None) -> None:
    """Serve the alerts of a store; without one, or before any alert, there are none.

    Parameters
    ----------
    app : FastAPI
        Gets the routes.
    path : pathlib.Path, optional
        The store.
    """
    desk = _Desk(path)

    @app.get(PAGE_PATH, include_in_schema=False)  # before /alerts/{alert_id}, which would take it
    async def page() -> Response:
        """Return the page of open alerts."""
        return HTMLResponse(PAGE, headers=HEADERS)

    _serve_state(app, desk)
    _serve_changes(app, desk)


def _serve_state(app: FastAPI, desk: _Desk) -> None:
    """Serve what is read."""

    @app.get("/alerts", summary="Alerts, the newest first")
    async def listed(
        state: Wanted = "open",
        limit: Annotated[int, Query(ge=1, le=1000, description="The newest so many.")] = 100,
    ) -> dict[str, Any]:
        """Return alerts with their states; the history of one is under its id."""
        wanted = None if state == "all" else state
        found = await desk.all(lambda store: store.listing(wanted, limit))
        return {"state": state, "alerts": [document_of(queued) for queued in found]}

    @app.get("/alerts/{alert_id}", summary="One alert and its history")
    async def shown(alert_id: str) -> dict[str, Any]:
        """Return an alert with every step of its history."""
        return await desk.one(lambda store: _document(store, alert_id))


def _serve_changes(app: FastAPI, desk: _Desk) -> None:
    """Serve what writes."""

    @app.post("/alerts/{alert_id}/acknowledge", summary="Somebody has seen it")
    async def acknowledged(alert_id: str, remark: GivenRemark = None) -> dict[str, Any]:
        """Acknowledge an alert; repeating it changes nothing. 409 where it is resolved."""
        return await desk.one(partial(_changed, AlertStore.acknowledge, alert_id, remark))

    @app.post("/alerts/{alert_id}/resolve", summary="It is over")
    async def resolved(alert_id: str, remark: GivenRemark = None) -> dict[str, Any]:
        """Resolve an alert; repeating it changes nothing."""
        return await desk.one(partial(_changed, AlertStore.resolve, alert_id, remark))


def _document(store: AlertStore, alert_id: str) -> dict[str, Any]:
    try:
        return document_of(store.get(alert_id), store.history(alert_id))
    except BadInputError as error:
        raise HTTPException(404, str(error)) from error


def _changed(
    change: Callable[[AlertStore, str, str, datetime, str], object],
    alert_id: str,
    remark: Remark | None,
    store: AlertStore,
) -> dict[str, Any]:
    said = remark or Remark()
    _document(store, alert_id)
    try:
        change(store, alert_id, said.by, datetime.now(UTC), said.note)
    except BadInputError as error:
        raise HTTPException(409, str(error)) from error
    return _document(store, alert_id)
