"""One request to the options vendor, understood.

Belongs here: who asks, when, what. Does not belong here: answering.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from dealer_assets.domain import sessions
from dealer_assets_tests.exchange.polygon_answers import Account
from dealer_assets_tests.exchange.polygon_pages import Query


@dataclass(frozen=True)
class Moment:
    """Who asks, and which instant's market they see."""

    account: Account
    seen_at: datetime

    @property
    def today(self) -> date:
        """New York date."""
        return self.seen_at.astimezone(sessions.NEW_YORK).date()


@dataclass(frozen=True)
class Question:
    """One request, understood.

    Parameters
    ----------
    path, where : str
        Path; path and query without secrets.
    parts : mapping of str to str
        Named parts of the path.
    query : mapping of str to str
        As asked.
    moment : Moment
        Who asks, when.
    """

    path: str
    where: str
    parts: Mapping[str, str]
    query: Query
    moment: Moment
