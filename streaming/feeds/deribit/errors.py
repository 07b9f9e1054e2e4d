"""What Deribit's errors lead to.

Belongs here: the table of codes, and the end of a session. Does not belong here: acting on them
(`session`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["retry", "reconnect", "maintenance", "alarm", "refuse", "gone", "raw"]

ACTIONS: dict[int, Action] = {
    10040: "retry",  # retry
    10041: "retry",  # settlement_in_progress
    10047: "retry",  # matching_engine_queue_full
    10066: "retry",  # too_many_concurrent_requests
    13028: "retry",  # temporarily_unavailable
    13888: "retry",  # timed_out
    10028: "reconnect",  # too_many_requests: the session is over
    -32000: "reconnect",  # connection_too_slow: likewise
    11051: "maintenance",  # system_maintenance
    13503: "maintenance",  # unavailable
    11029: "alarm",  # invalid_arguments
    11050: "alarm",  # bad_request
    -32600: "alarm",  # Invalid request
    -32601: "alarm",  # Method not found
    -32602: "alarm",  # Invalid params
    -32700: "alarm",  # Parse error
    13004: "refuse",  # invalid_credentials
    13009: "refuse",  # unauthorized, invalid_token
    13021: "refuse",  # forbidden
    13019: "gone",  # orderbook_closed
    13020: "gone",  # not_found
    13778: "raw",  # raw_subscriptions_not_available_for_unauthorized
}
"""What each error leads to: ask again later; connect again; connect again once it is over; our own
mistake, not to be repeated; the credentials are refused, for good; the instrument is no more; the
slower interval instead. Codes that are not here are tried again."""

REASONS = {10028: "too_many_requests", -32000: "slow_consumer"}
"""Reason of the gap after errors that end the session."""


@dataclass(frozen=True)
class Ending:
    """Why the session must end.

    Parameters
    ----------
    reason : str
        Code, see `Gap.reason`.
    detail : str
        In words.
    is_final : bool
        Trying again will not help.
    """

    reason: str
    detail: str
    is_final: bool = False
