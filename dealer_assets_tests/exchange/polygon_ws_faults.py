"""Faults of Polygon's WebSocket: their names, and what they do to events and frames.

Belongs here: what an armed fault makes of data. Does not belong here: how a connection ends
(`polygon_ws`).
"""

from __future__ import annotations

from dealer_assets_tests.exchange.faults import Faults, declare
from dealer_assets_tests.exchange.polygon_ws_events import Event

HANDSHAKE = declare(
    "polygon_ws_handshake_status", "the handshake is answered with HTTP `status` (403)"
)
AUTH_FAILED = declare("polygon_ws_auth_failed", "a good key is refused, then close")
AUTH_TIMEOUT = declare("polygon_ws_auth_timeout", "a good key is answered auth_timeout, then close")
NOT_AUTHORIZED = declare(
    "polygon_ws_not_authorized", "while armed, params with `where` are answered 'not authorized'"
)
MAX_CONNECTIONS = declare(
    "polygon_ws_max_connections", "after its first ack: max_connections, then close 1008"
)
NEWEST_GOES = declare(
    "polygon_ws_newest_goes", "of too many connections the newest is sent away, not the oldest"
)
CLOSE = declare("polygon_ws_close", "clean close with `code` (1000; 1001 when going away)")
ABORT = declare("polygon_ws_abort", "TCP reset without close frame")
FREEZE = declare(
    "polygon_ws_freeze", "the socket stays open; nothing is sent, pings stay unanswered"
)
SLOW_CONSUMER = declare(
    "polygon_ws_slow_consumer", "as for a reader that fell behind: slow_consumer, then close 1008"
)
BIG_FRAME = declare("polygon_ws_big_frame", "one frame of data of `bytes` (1200000)")
SEQUENCE_GAP = declare(
    "polygon_ws_sequence_gap", "`count` (5) trades of a frame are not sent; REST has them"
)
CANCEL = declare(
    "polygon_ws_cancel",
    "a trade whose symbol has `where` is cancelled behind it, `condition` (201)",
)
OBJECT_FRAME = declare("polygon_ws_object_frame", "one event comes as an object, not an array")
NOT_JSON = declare("polygon_ws_not_json", "a frame that is no JSON")
UNKNOWN_EVENT = declare("polygon_ws_unknown_event", "an event of an unknown kind among the data")
SILENT = declare(
    "polygon_ws_silent", "while armed, events of symbols with `where` are confirmed and not sent"
)


def name_of(event: Event) -> str:
    """Return the ticker an event is about: values of indices have it in ``T``."""
    return str(event.get("sym") or event.get("T") or "")


def spoilt(faults: Faults, path: str, events: list[Event]) -> list[Event]:
    """Return events with what armed faults leave out or add.

    Parameters
    ----------
    faults : Faults
        Armed ones.
    path : str
        Of the cluster.
    events : list of dict
        In order.
    """
    if any(armed.name == SILENT for armed in faults.armed()):
        events = [event for event in events if faults.active(SILENT, name_of(event)) is None]
    trades = [event for event in events if event["ev"] == "T"]
    options = faults.take(SEQUENCE_GAP, path) if trades else None
    if options is not None:
        lost = {id(trade) for trade in trades[: int(options.get("count", 5))]}
        events = [event for event in events if id(event) not in lost]
    for trade in trades:
        options = faults.take(CANCEL, trade["sym"])
        if options is not None:
            behind = {"c": [int(options.get("condition", 201))], "q": trade["q"] + 1}
            events.append(trade | behind | {"t": events[-1].get("t", trade["t"])})
    if events and faults.take(UNKNOWN_EVENT, path) is not None:
        events.append({"ev": "ZZ", "sym": name_of(events[0])})
    return events


def padded(faults: Faults, path: str, frame: str) -> str:
    """Return a frame of data, or a very large one: white space, so that nothing is said twice."""
    options = faults.take(BIG_FRAME, path)
    if options is None:
        return frame
    return frame[:-1] + " " * (int(options.get("bytes", 1_200_000)) - len(frame)) + "]"
