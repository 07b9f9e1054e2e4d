"""Tells waiting clients that something changed, and answers what the process knows.

Belongs here: the one object that the API reads from. Does not belong here: documents (`documents`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dealer_assets.errors import NoDataError, UnknownUnderlyingError
from streaming.core.view import LaneView

Health = Mapping[str, Any]


class Hub:
    """Where the stream's side and the API's side meet.

    Parameters
    ----------
    health : callable
        Returns the process's health as a document: ``is_healthy``, ``problems``, ``feeds``, ...
    """

    def __init__(self, health: Callable[[], Health]) -> None:
        self.health = health
        self._views: dict[str, Callable[[], LaneView]] = {}
        self._expected: tuple[str, ...] = ()
        self._revision = 0
        self._changed = asyncio.Event()

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Underlyings that have a view."""
        return tuple(self._views)

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return self._revision

    def expect(self, underlyings: Iterable[str]) -> None:
        """Name underlyings whose session may take a while to open."""
        self._expected = tuple(underlyings)

    def serve(self, underlying: str, view: Callable[[], LaneView]) -> None:
        """Offer an underlying; a new session's engine replaces the one before."""
        self._views[underlying] = view

    def notify(self) -> None:
        """Wake everybody who waits; called on the event loop after each slice of work."""
        self._revision += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, after: int) -> int:
        """Wait until the revision is above `after` and return it."""
        while self._revision <= after:
            await self._changed.wait()
        return self._revision

    def view(self, underlying: str) -> LaneView:
        """Return what is known of an underlying now.

        Raises
        ------
        UnknownUnderlyingError
            When this process does not stream it.
        NoDataError
            When its session is not open yet.
        """
        found = self._views.get(underlying.upper())
        if found is None and underlying.upper() in self._expected:
            raise NoDataError(f"{underlying.upper()}: its session is not open yet; see /health")
        if found is None:
            raise UnknownUnderlyingError(
                f"expected one of {', '.join(self._views or self._expected)}, "
                f"found {underlying!r}: start `dealer live` with it"
            )
        return found()
