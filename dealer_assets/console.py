"""The terminal: two consoles, a progress bar, and what people type as dates and instants.

Belongs here: what every command shares. Does not belong here: a command.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dealer_assets.errors import BadInputError

REFUSED, QUARANTINED = 1, 3
"""Exit codes beside 0 (done) and 2 (wrong usage): refused or failed; done, but look at it."""

out = Console()
err = Console(stderr=True)


def progress_bar() -> Progress:
    """Return a bar with a description, a count and the time taken."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    )


def day_of(text: str) -> date:
    """Read a date.

    Raises
    ------
    BadInputError
        When it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInputError(f"expected a date like 2023-05-19, found {text!r}") from error


def instant_of(text: str) -> datetime:
    """Read an instant with its offset, as UTC.

    Raises
    ------
    BadInputError
        When it is none, or has no offset.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInputError(
            f"expected an instant like 2023-05-19T20:15:00+00:00, found {text!r}"
        ) from error
    if instant.tzinfo is None:
        whole = instant.isoformat()
        raise BadInputError(
            f"instant {text!r} has no UTC offset: write {whole}+00:00 for UTC, or {whole}-04:00 "
            "for New York in summer"
        )
    return instant.astimezone(UTC)
