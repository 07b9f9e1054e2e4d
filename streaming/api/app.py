"""Routes of the live API.

Belongs here: paths, parameters and statuses. Does not belong here: what documents hold
(`documents`), who may ask (`access`), the WebSocket's pace (`stream`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Query, Request, Response, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from dealer_assets.errors import (
    BadInputError,
    DealerError,
    NoDataError,
    UnknownUnderlyingError,
)
from streaming.api import documents
from streaming.api.access import Access
from streaming.api.alerts import PAGE_PATH, serve_alerts
from streaming.api.hub import Hub
from streaming.api.metrics import HealthCollector
from streaming.api.page import page_of
from streaming.api.stream import Pace, serve_stream
from streaming.core.view import LaneView

Answer = TypeVar("Answer")

Symbol = Annotated[str, Query(description="Registry symbol, e.g. SPX.", max_length=12)]
Model = Annotated[
    Literal["naive", "session_flow", "live_reconciled"], Query(description="Whose positions.")
]
Measure = Annotated[
    Literal["gamma", "vanna", "charm", "delta", "position", "volume"],
    Query(description="What the cells hold."),
]

_HEAVY_AT_ONCE = 2
"""Scenarios and levels are whole re-pricings: more at once would slow the stream."""

DESCRIPTION = """
Intraday dealer positioning of the running `dealer live` process.

Models stand side by side: `naive` is settled open interest, `session_flow` today's classified
trades alone, `live_reconciled` the estimated positions of the morning, moved by today's trades.
Every number says its unit in its name; times are UTC, ISO 8601.
The WebSocket `/ws/stream` is described in docs/streaming.md.
"""


def build_app(
    hub: Hub, access: Access, *, pace: Pace | None = None, alerts: Path | None = None
) -> FastAPI:
    """Return the live API over a hub.

    Parameters
    ----------
    hub : Hub
        What the process knows.
    access : Access
        Who may ask.
    pace : Pace, optional
        Defaults of the WebSocket stream.
    alerts : pathlib.Path, optional
        Store of alerts.
    """
    # no page of the framework's: they load scripts from elsewhere, beside a trader's positions
    app = FastAPI(
        title="Dealer positioning, live",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    _guard(app, access)
    _answer_errors(app)
    _serve_state(app, hub)
    _serve_computed(app, hub)
    _serve_process(app, hub)
    serve_alerts(app, alerts)
    chosen = pace or Pace()

    @app.websocket("/ws/stream")
    async def stream(socket: WebSocket) -> None:
        await serve_stream(socket, hub, access, chosen)

    return app


def _guard(app: FastAPI, access: Access) -> None:
    """Let nothing through that may not ask."""

    @app.middleware("http")
    async def guard(
        request: Request, following: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        refusal = access.refusal(
            request.headers,
            request.client.host if request.client else "",
            holds_data=request.url.path != PAGE_PATH,
        )
        if refusal is None:
            return await following(request)
        headers = {}
        if refusal.retry_after_seconds:
            headers["Retry-After"] = str(math.ceil(refusal.retry_after_seconds))
        if refusal.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"detail": refusal.reason}, refusal.status, headers)


def _answer_errors(app: FastAPI) -> None:
    """Answer deliberate refusals with their words."""
    answers: tuple[tuple[type[DealerError], int, dict[str, str]], ...] = (
        (UnknownUnderlyingError, 404, {}),
        (NoDataError, 503, {"Retry-After": "5"}),
        (BadInputError, 422, {}),
    )
    for kind, status, headers in answers:

        async def answer(
            request: Request,
            error: Exception,
            status: int = status,
            headers: dict[str, str] = headers,
        ) -> Response:
            return JSONResponse({"detail": str(error)}, status, headers)

        app.add_exception_handler(kind, answer)


def _serve_state(app: FastAPI, hub: Hub) -> None:
    """Serve what is read straight from the engine's view."""

    @app.get("/snapshot", summary="Where an underlying stands now")
    async def snapshot(underlying: Symbol = "SPX") -> dict[str, Any]:
        """Return spot, exposures by model, cumulative hedging flow, and the age of each."""
        return documents.snapshot(hub.view(underlying))

    @app.get("/history", summary="Exposures of the last hour, by second")
    async def history(
        underlying: Symbol = "SPX",
        model: Model = "naive",
        seconds: Annotated[int, Query(ge=1, le=3600, description="How far back.")] = 900,
        every: Annotated[int, Query(ge=1, le=60, description="Every so many seconds.")] = 1,
    ) -> dict[str, Any]:
        """Return one column an exposure; older seconds are in `live_gamma` of the lake."""
        view = hub.view(underlying)
        return documents.history(view, model=model, seconds=seconds, every=every)

    @app.get("/flow", summary="Hedging flow of the session")
    async def flow(underlying: Symbol = "SPX") -> dict[str, Any]:
        """Return cumulative flow by right, tenor and size, signed and absolute, and the window."""
        return documents.flow(hub.view(underlying))


def _serve_computed(app: FastAPI, hub: Hub) -> None:
    """Serve what takes longer than the loop may stand still: on threads, a few at a time."""
    heavy = asyncio.Semaphore(_HEAVY_AT_ONCE)

    async def computed(compute: Callable[[LaneView], Answer], underlying: str) -> Answer:
        view = hub.view(underlying)
        async with heavy:
            return await asyncio.to_thread(compute, view)

    @app.get("/heatmap", summary="Exposure by strike and expiry")
    async def heatmap(
        underlying: Symbol = "SPX",
        model: Model = "naive",
        measure: Measure = "gamma",
        within_pct: Annotated[float, Query(gt=0, le=100, description="Around spot [%].")] = 10.0,
        expiries: Annotated[int, Query(ge=1, le=100, description="Nearest expiries.")] = 12,
    ) -> dict[str, Any]:
        """Return cells of the chain near the money; null where nothing is listed or priced."""

        def compute(view: LaneView) -> dict[str, Any]:
            return documents.heatmap(
                view, model=model, measure=measure, within_pct=within_pct, expiries=expiries
            )

        return await computed(compute, underlying)

    @app.get("/levels", summary="Flip, walls and pins")
    async def levels(underlying: Symbol = "SPX", model: Model = "naive") -> dict[str, Any]:
        """Return levels of the last full pricing; one that is not determined says so."""
        return await computed(lambda view: documents.levels(view, model=model), underlying)

    @app.get("/scenario", summary="What dealers would have to trade")
    async def scenario(underlying: Symbol = "SPX", model: Model = "naive") -> dict[str, Any]:
        """Return forced flow over moves of spot, vols and time, by full re-pricing."""
        return await computed(lambda view: documents.scenario(view, model=model), underlying)


def _serve_process(app: FastAPI, hub: Hub) -> None:
    """Serve how the process is doing."""
    registry = CollectorRegistry()
    registry.register(HealthCollector(hub))

    @app.get("/health", summary="Is the process fresh, moving and written?")
    async def health() -> Response:
        """Return 200 when healthy, else 503; `problems` says what is wrong."""
        state = dict(hub.health())
        return JSONResponse(state, 200 if state.get("is_healthy") else 503)

    @app.get("/docs", include_in_schema=False)
    async def described() -> Response:
        """Return the routes as a page that needs nothing from elsewhere."""
        return HTMLResponse(page_of(app.openapi()))

    @app.get("/metrics", summary="Metrics for Prometheus")
    async def metrics() -> Response:
        """Return counters and gauges in the text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
