"""Which partitions are due to change tier, and the change itself, one partition at a time.

Belongs here: windows, the plan, carrying out one step of it. Does not belong here: how parts are
moved (`lake/tiers.py`) or folded (`lake/compaction.py`), when it is done (`defs/retention.py`).

Three tiers, by age in sessions of the underlying's own calendar: *hot*, parts singly as they were
written; *warm*, a session's parts in one file; *cold*, that file in another place. Nothing is ever
deleted: a part goes when a copy of it has been read back equal. Tables of one part a session stay
at hand whatever their age; they are small, and long histories read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from dealer_assets.domain.sessions import previous_session, session_of
from dealer_assets.errors import BadInputError, DealerError
from dealer_assets.lake import layout
from dealer_assets.lake.compaction import compact_session
from dealer_assets.lake.locks import retaining_alone
from dealer_assets.lake.packing import PACKED_KINDS
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.tiers import pack_session, partitions_of, send_to_cold, tidy
from dealer_assets.tables import TABLES, Table
from dealer_assets.underlyings import Calendar, underlying as registered

Action = Literal["fold", "pack", "send"]
Tier = Literal["hot", "warm", "cold"]

ACTIONS: dict[Action, str] = {
    "fold": "stream parts into one (as after the close)",
    "pack": "single parts into one file",
    "send": "files to cold storage",
}


@dataclass(frozen=True)
class Windows:
    """How many sessions each tier holds.

    Parameters
    ----------
    hot : int
        Newest sessions, the running one among them, whose parts stay single; at least 1.
    warm : int
        Sessions before those that stay in the lake's own place when there is cold storage.
    """

    hot: int = 3
    warm: int = 60

    def __post_init__(self) -> None:
        """Refuse windows that would touch a running session."""
        if self.hot < 1 or self.warm < 0:
            raise BadInputError(
                f"retention windows of {self.hot} hot and {self.warm} warm sessions: expected at "
                "least 1 hot (the running one is written to) and 0 warm"
            )


@dataclass(frozen=True)
class Step:
    """One partition that is due.

    Parameters
    ----------
    action : str
        One of `ACTIONS`.
    table : Table
        Dictionary entry.
    underlying : str
        Partition.
    session_date : datetime.date
        Partition.
    files : int
        Files concerned.
    bytes : int
        Their size.
    """

    action: Action
    table: Table
    underlying: str
    session_date: date
    files: int
    bytes: int


@dataclass(frozen=True)
class Done:
    """What became of a step.

    Parameters
    ----------
    step : Step
        As planned.
    moved : int
        Parts or files moved.
    bytes_after : int
        Size of what they became.
    problem : str
        Why it was left as it was; blank when it was not.
    """

    step: Step
    moved: int
    bytes_after: int
    problem: str = ""


def calendar_of(symbol: str) -> Calendar:
    """Return a partition's calendar; groups and currencies follow New York."""
    try:
        return registered(symbol).calendar
    except DealerError:
        return "XNYS"


def first_session_of(windows: Windows, tier: Tier, calendar: Calendar, now: datetime) -> date:
    """Return the oldest session of the hot or warm tier.

    Parameters
    ----------
    windows : Windows
        How many sessions each tier holds.
    tier : {"hot", "warm"}
        Which one.
    calendar : Calendar
        Whose sessions are counted.
    now : datetime.datetime
        Aware instant.
    """
    day = session_of(calendar, now)
    for _ in range(windows.hot - 1 + (windows.warm if tier == "warm" else 0)):
        day = previous_session(calendar, day)
    return day


def plan(
    lake: Lake, now: datetime, windows: Windows, *, tables: Sequence[Table] = TABLES
) -> list[Step]:
    """Say what is due: per partition one step, oldest first. Nothing is read but listings.

    Parameters
    ----------
    lake : Lake
        Storage; old partitions are sent to cold storage only when it has one.
    now : datetime.datetime
        Aware instant; decides which sessions are old.
    windows : Windows
        How many sessions each tier holds.
    tables : sequence of Table
        Tables looked at.
    """
    oldest: dict[tuple[Tier, Calendar], date] = {}

    def begins(tier: Tier, calendar: Calendar) -> date:
        if (tier, calendar) not in oldest:
            oldest[tier, calendar] = first_session_of(windows, tier, calendar, now)
        return oldest[tier, calendar]

    steps = []
    for table in tables:
        if table.part == "session":
            continue
        for folder, names in partitions_of(lake, table).items():
            place = layout.parse_partition(folder)
            calendar = calendar_of(place.underlying)
            if place.session_date >= begins("hot", calendar):
                continue
            own = {name: size for name, size in names.items() if layout.is_part_name(name)}
            is_cold = lake.cold is not None and place.session_date < begins("warm", calendar)
            where = (table, place.underlying, place.session_date, len(own), sum(own.values()))
            steps += [Step(action, *where) for action in _due(table, own, is_cold=is_cold)]
    return sorted(steps, key=lambda s: (s.session_date, s.underlying))


def _due(table: Table, own: Mapping[str, int], *, is_cold: bool) -> Iterator[Action]:
    if not own:
        return
    if table.part in PACKED_KINDS and len(own) > 1:
        yield "pack"
    elif table.part == "stream" and any(layout.stream_of(name) for name in own):
        yield "fold"
    if is_cold:
        yield "send"


def carry_out(lake: Lake, step: Step, now: datetime) -> Done:
    """Do one step; a partition that cannot be moved stays as it is, and the reason is told.

    Parameters
    ----------
    lake : Lake
        Storage.
    step : Step
        From `plan`.
    now : datetime.datetime
        Aware instant.
    """
    where = {"underlying": step.underlying, "session_date": step.session_date}
    try:
        if step.action == "fold":
            folded = compact_session(lake, step.table, now=now, **where)  # type: ignore[arg-type]
            return Done(step, folded.folded, step.bytes)
        move = pack_session if step.action == "pack" else send_to_cold
        moved = move(lake, step.table, **where)  # type: ignore[arg-type]
    except DealerError as error:
        return Done(step, 0, step.bytes, str(error))
    return Done(step, moved.parts, moved.bytes_after)


def retain(
    lake: Lake, now: datetime, windows: Windows, *, tables: Sequence[Table] = TABLES
) -> Iterator[Done]:
    """Finish what a killed run left, then do every step that is due.

    Parameters
    ----------
    lake, now, windows, tables
        As in `plan`.

    Yields
    ------
    Done
        After each step. What could not be packed or folded is not sent away either.

    Raises
    ------
    LakeError
        When another process moves this lake's sessions.
    """
    with retaining_alone(lake):
        stayed: set[tuple[str, str, date]] = set()
        for table, folder, problem in tidy(lake, tables):
            place = layout.parse_partition(folder)
            stayed.add((table.name, place.underlying, place.session_date))
            step = Step("pack", table, place.underlying, place.session_date, 0, 0)
            yield Done(step, 0, 0, problem)
        for step in plan(lake, now, windows, tables=tables):
            key = (step.table.name, step.underlying, step.session_date)
            if key in stayed:
                continue
            done = carry_out(lake, step, now)
            if done.problem:
                stayed.add(key)
            yield done
