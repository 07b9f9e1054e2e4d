"""One process, one loopback port, every vendor.

Belongs here: the application, the admin endpoint, the request log, starting and stopping. Does not
belong here: what a vendor answers (one module per vendor), or the market (`world`).

Admin, all JSON: ``GET /admin`` shows clock, faults and requests; ``POST /admin/faults`` arms one
(``{"name": "...", "times": 1, "skip": 0, "where": "", "options": {}}``), ``DELETE /admin/faults``
disarms all; ``POST /admin/clock`` takes ``{"now": "<ISO 8601>", "speed": 60}``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from importlib import import_module
from typing import Any

from aiohttp import web

from dealer_assets.errors import NoDataError, NotOfferedError
from dealer_assets_tests.exchange.faults import KNOWN
from dealer_assets_tests.exchange.world import World, without_secrets

VENDORS = (
    "polygon_rest",
    "polygon_ws",
    "flatfiles",
    "deribit",
    "cboe",
    "occ",
    "rates",
    "notifications",
)
"""Modules of this package with a function ``routes(world) -> list of web.RouteDef``."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(world: World) -> web.Application:
    """Return the application of a world."""

    @web.middleware
    async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/admin"):
            line = f"{request.method} {request.path_qs}"
            world.requests.append(without_secrets(line))
            if world.latency_seconds and "Upgrade" not in request.headers:
                await asyncio.sleep(world.latency_seconds)
        try:
            return await handler(request)
        except (NoDataError, NotOfferedError) as error:  # a recorded market has one session
            return web.json_response({"status": "NOT_FOUND", "error": str(error)}, status=404)

    async def date(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(world.clock.now(), usegmt=True)

    app = web.Application(middlewares=[logged], client_max_size=64 * 1024**2)
    app.on_response_prepare.append(date)
    for name in VENDORS:
        module = import_module(f"dealer_assets_tests.exchange.{name}")
        app.add_routes(module.routes(world))
    app.add_routes(_admin(world))
    return app


def _admin(world: World) -> list[web.RouteDef]:
    async def show(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "now": world.clock.now().isoformat(),
                "speed": world.clock.speed,
                "known_faults": KNOWN,
                "armed": [
                    vars(fault) | {"options": {**fault.options}} for fault in world.faults.armed()
                ],
                "taken": world.faults.taken,
                "requests": world.requests[-1000:],
                "rate_peaks": world.rate_peaks,
            }
        )

    async def arm(request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        try:
            world.faults.arm(
                asked["name"],
                times=asked.get("times", 1),
                skip=asked.get("skip", 0),
                where=asked.get("where", ""),
                **asked.get("options", {}),
            )
        except KeyError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"armed": asked["name"]})

    async def clear(_: web.Request) -> web.Response:
        world.faults.clear()
        return web.json_response({"armed": []})

    async def clock(request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        now = datetime.fromisoformat(asked["now"]) if "now" in asked else None
        world.clock.set(now, speed=asked.get("speed"))
        return web.json_response({"now": world.clock.now().isoformat()})

    return [
        web.get("/admin", show),
        web.post("/admin/faults", arm),
        web.delete("/admin/faults", clear),
        web.post("/admin/clock", clock),
    ]


@contextmanager
def running(world: World, *, port: int = 0) -> Iterator[str]:
    """Run the exchange in a thread of its own; yields its URL, e.g. ``http://127.0.0.1:40123``.

    Raises
    ------
    OSError
        When the port is in use.
    """
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(build(world), access_log=None, shutdown_timeout=0.1)
    started: list[int] = []
    failed: list[OSError] = []
    ready = threading.Event()
    stopping = asyncio.Event()

    async def live() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        started.append(runner.addresses[0][1])
        ready.set()
        await stopping.wait()  # stopping the loop itself could come before it runs, and be lost

    def serve() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(live())
        except OSError as error:
            failed.append(error)
            ready.set()
        loop.run_until_complete(runner.cleanup())
        late = asyncio.all_tasks(loop)  # answers that were to stall for longer
        for task in late:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*late, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=serve, name="test-exchange", daemon=True)
    thread.start()
    if not ready.wait(timeout=60):
        raise RuntimeError("the test exchange did not start within 20 seconds")
    if failed:
        thread.join(timeout=10)
        raise failed[0]
    try:
        yield f"http://127.0.0.1:{started[0]}"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(timeout=10)
