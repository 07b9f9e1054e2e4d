"""Volume counters that hold another session's trades, or lost their own.

Belongs here: verdicts on cumulative volume. Does not belong here: its deltas (`domain/history.py`,
which carries a restarted counter on and flags it).

Venues around the clock publish the volume of the last 24 hours: it falls and carries over by
nature, and nothing here is said of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.data.scene import Found, Scene
from dealer_assets.domain.columns import Bools, floats, integers

CARRIED_SHARE = 0.9
CARRIED_LEAST = 50
"""Traded contracts of the close before that show the same volume again; by chance single ones do.
"""

WIPED_SHARE = 0.5
WIPED_LEAST = 1_000.0


def volumes_found(scene: Scene) -> Iterator[Found]:
    """Yield what is wrong with a snapshot's volume."""
    if scene.is_continuous or scene.now["volume_contracts"].null_count == scene.contracts:
        return
    old = _traded_before_the_session(scene)
    if old.any():
        rows = scene.now["symbol"].to_pylist()
        yield Found(
            "volume_carry_over",
            f"{int(old.sum()):,} contracts show volume, and their last trade is of an earlier "
            "session",
            "0 until a contract trades",
            int(old.sum()),
            tuple(sorted(rows[i] for i in np.flatnonzero(old))),
        )
    else:
        yield from _carried(scene)
    yield from _wiped(scene)


def _traded_before_the_session(scene: Scene) -> Bools:
    """Mark contracts with volume whose last trade is told, and older than the session."""
    opened = sessions.session_open(scene.underlying.calendar, scene.now["session_date"][0].as_py())
    # night trading of index options begins the evening before and counts for the session
    evening = sessions.quotes_end(
        scene.underlying.calendar,
        sessions.previous_session(scene.underlying.calendar, opened.date()),
    )
    told = np.array(pc.is_valid(scene.now["last_trade_at"]).to_numpy())
    filled = scene.now.set_column(
        scene.now.schema.get_field_index("last_trade_at"),
        "last_trade_at",
        pc.fill_null(scene.now["last_trade_at"], opened),
    )
    last = integers(filled, "last_trade_at")
    limit = int(evening.timestamp() * 1_000_000)
    return np.asarray(told & (floats(scene.now, "volume_contracts") > 0.0) & (last < limit))


def _carried(scene: Scene) -> Iterator[Found]:
    pair = scene.with_closing
    then, now = pair.both("volume_contracts")
    traded = then > 0.0
    same = traded & (then == now)
    if traded.sum() < CARRIED_LEAST or same.sum() < CARRIED_SHARE * traded.sum():
        return
    yield Found(
        "volume_carry_over",
        f"{same.sum() / traded.sum():.0%} of the {int(traded.sum()):,} contracts that traded in "
        "the session before show the same volume again",
        f"under {CARRIED_SHARE:.0%}",
        int(same.sum()),
        pair.symbols(same),
    )


def _wiped(scene: Scene) -> Iterator[Found]:
    then, now = scene.with_before.both("volume_contracts")
    known = np.isfinite(then) & np.isfinite(now)
    before, after = float(then[known].sum()), float(now[known].sum())
    if before < WIPED_LEAST or after >= WIPED_SHARE * before:
        return
    yield Found(
        "volume_wiped",
        f"volume went from {before:,.0f} to {after:,.0f} contracts within the session",
        "a count that grows",
        scene.contracts,
    )
