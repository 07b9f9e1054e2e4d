"""What became of one source, in words and counts.

Belongs here: the result that commands print and sensors act on. Does not belong here: storing
(`ingest`, `records`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from dealer_assets.providers.base import Finding

Status = Literal["stored", "merged", "held", "superseded", "refused"]


@dataclass(frozen=True)
class Outcome:
    """What became of one source.

    Parameters
    ----------
    source : str
        File name or request.
    status : str
        ``stored``: new rows; ``merged``: added to held ones; ``held``: everything was already
        there; ``superseded``: differs from what was known first, which stays; ``refused``: not
        believed, nothing written.
    reason : str
        Why it was refused or superseded; empty otherwise.
    table : str
        Table the rows went into.
    underlying, session_date, event_at : optional
        Of the rows, when they were believed; `event_at` of a snapshot only.
    contracts, rejected : int
        Rows accepted and quarantined.
    impossible : int
        Quarantined rows that are errors; adjusted series are real, only not ours.
    is_partial : bool
        The source does not hold the whole of what it stands for.
    findings : tuple of Finding
        What was odd.
    """

    source: str
    status: Status
    reason: str = ""
    table: str = "chain_snapshots"
    underlying: str | None = None
    session_date: date | None = None
    event_at: datetime | None = None
    contracts: int = 0
    rejected: int = 0
    impossible: int = 0
    is_partial: bool = False
    findings: tuple[Finding, ...] = ()
