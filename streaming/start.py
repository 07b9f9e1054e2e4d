"""What a desk starts a session with; recordings keep it, so that a replay starts the same way.

Belongs here: the shape. Does not belong here: where it comes from (`bootstrap`), how it is stored
(`recording`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import pyarrow as pa

from dealer_assets.domain.rates import RateCurve
from dealer_assets.underlyings import Underlying

DeskName = Literal["us", "crypto"]


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Settings that rows and parts depend on; a replay takes those of the recording.

    Parameters
    ----------
    price_seconds : int
        How often the whole chain is priced.
    strike_seconds : int
        How often positions by contract are stored.
    zero_dte_strikes : int
        0DTE strikes watched on each side of the money.
    rows_per_part, seconds_per_part : int
        When a part is closed.
    """

    price_seconds: int = 60
    strike_seconds: int = 300
    zero_dte_strikes: int = 3
    rows_per_part: int = 5000
    seconds_per_part: int = 60


@dataclass(frozen=True)
class Start:
    """One desk and session before its first frame.

    Parameters
    ----------
    desk : {"us", "crypto"}
        Which desk.
    feed : str
        Feed it listens to; also the stream that its parts are named after.
    lanes : tuple of Underlying
        Underlyings, in the order of the listing's lanes.
    sessions : mapping of str to datetime.date
        Session by underlying symbol.
    listed : pyarrow.Table
        Rows of `tables.LISTED_CONTRACTS` of all lanes.
    open_interest : pyarrow.Table or None
        Rows of `tables.OPEN_INTEREST`; None: unknown.
    settled : pyarrow.Table or None
        Rows of `tables.DEALER_POSITIONS` of model ``reconciled``: what the sessions opened with;
        None: unknown.
    curve : RateCurve or None
        Rate curve known when it started.
    options : StreamOptions
        Settings that rows depend on.
    taken : mapping of (str, str) to int
        Rows of the session that exist already, by (table, underlying).
    restored : mapping of str to pyarrow.Table
        Rows of `tables.LIVE_TRADES` of the session so far, by underlying.
    missing : tuple of str
        What was looked for and not found, in words.
    """

    desk: DeskName
    feed: str
    lanes: tuple[Underlying, ...]
    sessions: Mapping[str, date]
    listed: pa.Table
    open_interest: pa.Table | None = None
    settled: pa.Table | None = None
    curve: RateCurve | None = None
    options: StreamOptions = field(default_factory=StreamOptions)
    taken: Mapping[tuple[str, str], int] = field(default_factory=dict)
    restored: Mapping[str, pa.Table] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the lanes."""
        return tuple(lane.symbol for lane in self.lanes)
