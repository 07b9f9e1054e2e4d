"""Which change of an alert's state is allowed, and what a step says of it.

Belongs here: decisions over a state, pure. Does not belong here: storing them (`store.py`).
"""

from __future__ import annotations

from datetime import timedelta

from dealer_assets.alerts.model import TRANSITIONS, State
from dealer_assets.errors import BadInputError

LAPSE_AFTER = timedelta(days=7)
"""A delivered alert that nobody resolved, and whose condition was not seen since, is resolved."""


def changes(alert_id: str, state: State, to: State) -> bool:
    """Tell whether a state changes: repeating one changes nothing.

    Raises
    ------
    BadInputError
        When the transition is not in `TRANSITIONS`.
    """
    if to == state:
        return False
    if to not in TRANSITIONS[state]:
        ways = ", ".join(TRANSITIONS[state]) or "nothing more"
        raise BadInputError(
            f"alert {alert_id} is {state} and cannot become {to}: expected {ways}; "
            f"`dealer alerts show {alert_id}` tells what happened to it"
        )
    return True
