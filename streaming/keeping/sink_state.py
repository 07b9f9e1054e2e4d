"""What a sink tells of itself, and what it refuses.

Belongs here: state, what a recovery found, errors. Does not belong here: what makes them (`sink`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from dealer_assets.errors import DealerError, LakeError
from streaming.feeds.base import Gap
from streaming.keeping.journal_file import Lane


class SequenceBrokenError(LakeError):
    """Rows that are not numbered on from those before."""


class SinkStalledError(LakeError):
    """The journal cannot be written, and no more rows can be kept in memory; none was taken."""


class ExhaustedError(DealerError):
    """Disk full and memory's bound reached: going on would lose rows."""


@dataclass(frozen=True)
class SinkState:
    """How the sink is doing.

    Parameters
    ----------
    status : {"ok", "waiting", "stalled"}
        ``waiting``: rows stand in the journal, but the lake refuses parts. ``stalled``: the journal
        refuses rows.
    reason : str
        Why it is not ok; blank when it is.
    waiting_rows : int
        Acknowledged rows that are in no part yet.
    waiting_parts : int
        Parts cut and not in the lake yet.
    unacknowledged_rows : int
        Rows in memory that the journal has refused so far.
    """

    status: Literal["ok", "waiting", "stalled"]
    reason: str
    waiting_rows: int
    waiting_parts: int
    unacknowledged_rows: int

    @property
    def is_ok(self) -> bool:
        """Whether rows reach journal and lake."""
        return self.status == "ok"


@dataclass(frozen=True)
class Recovered:
    """What the session holds so far, in parts and journal.

    Parameters
    ----------
    taken : mapping of (str, str) to int
        Rows by table and underlying; where `Sequences` goes on.
    trades : mapping of str to pyarrow.Table
        `LIVE_TRADES` rows of the session by underlying, numbered 0 to n - 1.
    unfilled : tuple of Gap
        Gaps of the session of which nothing became yet: their process ended before.
    notes : tuple of str
        What an earlier process left, in words: a record cut short, rows of former sessions.
    """

    taken: Mapping[Lane, int]
    trades: Mapping[str, pa.Table]
    unfilled: tuple[Gap, ...]
    notes: tuple[str, ...]
