"""Numbers rows: per table, underlying and session from 0, without holes.

Belongs here: the counters. Does not belong here: rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


class Sequences:
    """The next `stream_sequence` of every table and underlying of one session.

    Parameters
    ----------
    taken : mapping, optional
        Rows that exist already, by (table, underlying); what a recovery found.
    """

    def __init__(self, taken: Mapping[tuple[str, str], int] | None = None) -> None:
        self._taken: defaultdict[tuple[str, str], int] = defaultdict(int, taken or {})

    def take(self, table: str, underlying: str, rows: int) -> int:
        """Take the numbers of so many rows and return the first."""
        first = self._taken[table, underlying]
        self._taken[table, underlying] = first + rows
        return first

    def peek(self, table: str, underlying: str) -> int:
        """Return the next number without taking it."""
        return self._taken[table, underlying]
