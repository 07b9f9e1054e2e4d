"""Is the process fresh, moving and written? One document for API, heartbeats and people.

Belongs here: what counts as a problem. Does not belong here: measuring it (`session`, `sink`,
`supervisor`), who is told (`api`, `report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streaming.desk.session import Session
from streaming.process.supervisor import PartState

SILENT_SECONDS = 30.0
"""A live feed that delivers nothing for so long is a problem; spot alone comes every second."""

SLOW_MS = 5_000.0
"""Receipt to journal; more is a problem."""


def desk_health(session: Session, parts: Mapping[str, PartState]) -> dict[str, Any]:
    """Return a desk's health as a document.

    Parameters
    ----------
    session : Session
        The desk at work.
    parts : mapping of str to PartState
        The process's parts.
    """
    desk, feed, inbox = session.desk, session.feed, session.inbox
    counts, sink = desk.counts, session.sink.state
    now_us = session.clock.now_us()
    # a played session has no clock that its messages could be late against
    is_timed = session.pace.ticks and counts.messages > 0
    silent = (now_us - counts.last_us) / 1e6 if is_timed else None
    return {
        "feed": desk.start.feed,
        "phase": feed.state.phase,
        "is_healthy": not (problems := problems_of(session, parts)),
        "problems": problems,
        "messages": counts.messages,
        "quotes": counts.quotes,
        "trades": counts.trades,
        "conflated_quotes": counts.conflated,
        "rejected_messages": desk.rejects.total,
        "acknowledged_trades": session.acknowledged_trades,
        "queue_bytes": inbox.bytes_waiting,
        "is_paused": inbox.is_paused,
        "seconds_since_message": silent,
        **session.figures,
        "drops": feed.state.drops,
        "restarts": sum(state.crashes for state in parts.values()),
        "sink": {"status": sink.status, "reason": sink.reason, "waiting_rows": sink.waiting_rows},
        "subscriptions": {
            "wanted": feed.state.wanted,
            "confirmed": feed.state.confirmed,
            "refused": list(feed.state.refused[:20]),
        },
        "missing": list(desk.start.missing),
        "sessions": {symbol: day.isoformat() for symbol, day in desk.start.sessions.items()},
    }


def problems_of(session: Session, parts: Mapping[str, PartState]) -> list[str]:
    """Return what is wrong with a desk, in words; nothing when it is healthy."""
    feed, sink, inbox = session.feed.state, session.sink.state, session.inbox
    found = [
        f"part {name} {state.phase}: {state.problem}"
        for name, state in parts.items()
        if state.phase in ("waiting", "failed")
    ]
    if feed.phase not in ("live", "stopped"):
        found.append(f"feed is {feed.phase}" + (f": {feed.problem}" if feed.problem else ""))
    elif feed.trouble:
        found.append(feed.trouble)
    denied = [text for text in feed.refused if text not in feed.notes]
    found += [f"subscription refused: {text}" for text in denied[:3]]
    last_us = session.desk.counts.last_us
    silent = (session.clock.now_us() - feed.last_us) / 1e6 if feed.last_us >= 0 else 0.0
    if feed.phase == "live" and session.pace.ticks and silent > SILENT_SECONDS:
        found.append(f"nothing received for {silent:.0f} s")
    found += session.desk.remarks
    ahead = (inbox.last_us - session.clock.now_us()) / 1e6 if session.pace.ticks else 0.0
    if ahead > 1.0:
        found.append(f"the clock went back by {ahead:.0f} s: time stands still until it catches up")
    if not sink.is_ok:
        found.append(f"{sink.status}: {sink.reason}")
    if inbox.is_paused:
        found.append("reading is paused: more comes than can be used")
    if session.pace.ticks and last_us >= 0 and inbox.last_us - last_us > SLOW_MS * 1e3:
        found.append(f"{(inbox.last_us - last_us) / 1e6:.0f} s behind")
    return found


def heartbeat_of(session: Session, parts: Mapping[str, PartState]) -> dict[str, Any]:
    """Return the columns of a heartbeat; delays are of the time since the one before."""
    import psutil  # a process of no long life needs none

    lag = session.lags.take()
    venue = session.desk.venue_lags.take()
    session.figures = {
        "lag_p50_ms": lag[0],
        "lag_p99_ms": lag[1],
        "venue_lag_p50_ms": venue[0],
        "rss_mb": psutil.Process().memory_info().rss / 2**20,
    }
    document = desk_health(session, parts)
    names = (
        "feed",
        "phase",
        "is_healthy",
        "problems",
        "messages",
        "quotes",
        "trades",
        "conflated_quotes",
        "rejected_messages",
        "acknowledged_trades",
        "queue_bytes",
        "drops",
    )
    return {name: document[name] for name in names} | session.figures
