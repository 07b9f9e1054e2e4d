"""Where the process stands, in lines for a terminal.

Belongs here: wording. Does not belong here: when they are said (`running`), numbers (`view`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dealer_assets.domain import sessions
from dealer_assets.domain.flow.totals import GAMMA
from dealer_assets.tables.live import LIVE_MODELS, LIVE_RECONCILED
from streaming.core.view import LaneView
from streaming.desk.sourcing import SIMULATOR

if TYPE_CHECKING:
    from streaming.process.desk_life import DeskLife
    from streaming.process.runtime import Runtime

Say = Callable[[str], None]

FIRST_SECONDS = 5.0
LIVE_SECONDS, PLAYED_SECONDS = 60.0, 10.0
"""How often it is said; a played session goes by faster."""


async def tell(runtime: Runtime, say: Say) -> None:
    """Say where every desk stands, until cancelled."""
    is_played = runtime.choice.session is not None
    pause = FIRST_SECONDS
    said: dict[str, str] = {}
    while True:
        await asyncio.sleep(pause)
        pause = PLAYED_SECONDS if is_played else LIVE_SECONDS
        for desk in runtime.desks:
            line = line_of(runtime, desk)
            if line != said.get(desk.name):  # what does not change is said once
                say(line)
            said[desk.name] = line


def line_of(runtime: Runtime, desk: DeskLife) -> str:
    """Return where one desk stands."""
    if desk.sleeps_until is not None:
        line = f"{desk.name} desk: closed until {desk.sleeps_until:%Y-%m-%d %H:%M} UTC"
        if desk.feed_name != SIMULATOR:
            return line
        day = sessions.previous_session(desk.lanes[0].calendar, desk.sleeps_until.date())
        return f"{line}; `--session {day}` plays a simulated session now"
    if desk.session is None:
        return f"{desk.name} desk: opening the session"
    state = desk.session.feed.state
    views = [runtime.hub.view(lane.symbol) for lane in desk.lanes]
    if state.last_us < 0:
        return f"{desk.name} desk: {desk.feed_name} is {state.phase}, nothing received yet"
    problems = runtime.health()["desks"][desk.name]["problems"]
    return numbers_of(views, problems=problems)


def numbers_of(views: Sequence[LaneView], *, problems: Sequence[str] = ()) -> str:
    """Return spot, gamma by model and hedging flow of underlyings of one desk.

    Parameters
    ----------
    views : sequence of LaneView
        One at least.
    problems : sequence of str
        What is wrong, in words.
    """
    at = datetime.fromtimestamp(max(view.now_us for view in views) / 1e6, UTC)
    parts = [_lane(view) for view in views]
    trades = sum(view.totals.trades for view in views if view.totals)
    line = f"{at:%H:%M:%S} UTC  {' | '.join(parts)}  {trades:,} trades"
    return line + "".join(f"; {problem}" for problem in problems)


def _lane(view: LaneView) -> str:
    if view.totals is None or not math.isfinite(view.spot):
        return f"{view.underlying} not priced yet"
    words = [f"{view.underlying} {view.spot:,.2f}"]
    for model in LIVE_MODELS:
        totals = view.totals.models.get(model)
        if totals is None and model == LIVE_RECONCILED:
            continue  # said at the start, and of most sessions of most lakes
        name = model.removeprefix("session_").removeprefix("live_")
        gamma = f"{totals.sums.net[GAMMA] / 1e9:+,.2f}" if totals else "?"
        error = totals.net_gamma_sd / 1e9 if totals else math.nan
        words.append(f"{name} {gamma}" + (f"±{error:,.2f}" if math.isfinite(error) else ""))
    return f"{' '.join(words)} bn"
