"""Puts the process together and runs it: what `dealer live` and ``python -m streaming`` share.

Belongs here: API and reports beside the runtime, its log, its exit code. Does not belong here:
arguments (`dealer_assets.cli_streaming`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dealer_assets.errors import BadInputError
from dealer_assets.settings import Settings
from streaming.api.hub import Hub
from streaming.feeds.base import FeedRefusedError
from streaming.process.desk_life import Choice
from streaming.process.runtime import Runtime
from streaming.process.standing import tell as tell_standing

Say = Callable[[str], None]


def run_live(settings: Settings, choice: Choice, *, serves: bool, say: Say) -> int:
    """Run until the end and return the exit code, see `streaming.process.supervisor`.

    Parameters
    ----------
    settings : Settings
        Configuration.
    choice : Choice
        What is to be streamed.
    serves : bool
        Whether the live API is served.
    say : callable
        Told in a line what a person should know: where the API listens, why it ends.

    Raises
    ------
    DealerError
        When settings and choice do not fit together.
    """
    report: Callable[[Runtime], Awaitable[None]] | None = None
    if settings.dagster_url:
        from streaming.process.reporting import report as tell

        report = tell
    serve = serving(settings, say) if serves else None

    async def main() -> int:
        runtime = Runtime(settings, choice, serve=serve, report=report)
        for desk in runtime.desks:
            symbols = ", ".join(lane.symbol for lane in desk.lanes)
            say(f"{desk.name} desk: {symbols} through {desk.feed_name}")
        telling = asyncio.ensure_future(tell_standing(runtime, say))
        try:
            code = await runtime.run()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        say(f"ended: {runtime.supervisor.reason}")
        return code

    return asyncio.run(main())


def serving(settings: Settings, say: Say) -> Callable[[Hub], Awaitable[None]]:
    """Return what serves the live API over a hub until cancelled.

    Raises
    ------
    BadInputError
        When it would be open to everybody.
    """
    from streaming.api.access import Access
    from streaming.api.app import build_app
    from streaming.api.server import serve
    from streaming.api.stream import Pace

    origins = tuple(part.strip() for part in settings.stream_origins.split(",") if part.strip())
    access = Access(host=settings.stream_host, token=settings.stream_token, origins=origins)

    async def start(hub: Hub) -> None:
        def ready(port: int) -> None:
            say(f"API on http://{settings.stream_host}:{port} (/snapshot, /health, /docs)")

        pace = Pace(interval_ms=settings.stream_interval_ms)
        app = build_app(hub, access, pace=pace, alerts=settings.alert_store)
        try:
            await serve(app, host=settings.stream_host, port=settings.stream_port, on_ready=ready)
        except BadInputError as error:  # a taken port stays taken: said once, not tried again
            raise FeedRefusedError(str(error)) from error

    return start


def log_to_terminal(level: int = logging.INFO) -> None:
    """Write the process's log to standard error, with times."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses
    logging.getLogger("picows").setLevel(logging.WARNING)  # two lines a connection
