"""What the lake holds, told from listings and footers: files, bytes, sessions, tiers.

Belongs here: counting. Does not belong here: reading rows, or printing (`cli_store`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

from dealer_assets.errors import BadInputError, LakeError
from dealer_assets.lake import layout
from dealer_assets.lake.packing import PACKED_KINDS
from dealer_assets.lake.reader import list_parts, part_rows
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import TABLES, Table

_READERS = 8


@dataclass(frozen=True)
class Held:
    """What the lake holds of one table and underlying.

    Parameters
    ----------
    table, underlying : str
        Which.
    sessions : int
        Sessions with rows or parts.
    first, last : datetime.date
        Oldest and newest of them.
    newest : datetime.datetime or None
        Instant of the newest part where parts are named after one.
    single, packed, cold : int
        Sessions that lie in single parts, in a day's part, in cold storage.
    files : int
        Parquet files, cold ones included.
    bytes : int
        Their size.
    cold_bytes : int
        Share of it in cold storage.
    rows : int or None
        Rows, when they were to be counted.
    """

    table: str
    underlying: str
    sessions: int
    first: date
    last: date
    newest: datetime | None
    single: int
    packed: int
    cold: int
    files: int
    bytes: int
    cold_bytes: int
    rows: int | None


def held(lake: Lake, *, count_rows: bool = False, tables: Sequence[Table] = TABLES) -> list[Held]:
    """Say what the lake holds, by table and underlying.

    Parameters
    ----------
    lake : Lake
        Storage.
    count_rows : bool
        Also open the footer of every file that lies here or in cold storage: 0.2 ms a file.
    tables : sequence of Table
        Tables looked at.
    """
    found = []
    for table in tables:
        symbols: dict[str, dict[date, dict[str, int]]] = {}
        for path, size in lake.own_sizes_below(layout.table_dir(table)).items():
            folder, _, name = path.rpartition("/")
            if "/date=" not in folder:
                continue
            place = layout.parse_partition(folder)
            days = symbols.setdefault(place.underlying, {})
            if layout.is_part_name(name) or name == layout.COLD_MARK:
                days.setdefault(place.session_date, {})[name] = size
        for symbol, days in symbols.items():
            if days:
                found.append(_held(lake, table, symbol, days, count_rows=count_rows))
    return found


def _held(
    lake: Lake,
    table: Table,
    symbol: str,
    days: Mapping[date, Mapping[str, int]],
    *,
    count_rows: bool,
) -> Held:
    last = max(days)
    marked = [day for day, names in days.items() if layout.COLD_MARK in names]
    with ThreadPoolExecutor(_READERS) as pool:
        folders = [layout.partition_dir(table, symbol, day) for day in marked]
        marks = [files for _, files in pool.map(lake.cold_mark, folders)]
    away = {
        day: {name: size for name, size in files.items() if name not in days[day]}
        for day, files in zip(marked, marks, strict=True)
    }
    own = [
        (day, name, size)
        for day, names in days.items()
        for name, size in names.items()
        if name != layout.COLD_MARK
    ]
    packed = {day for day, name, _ in own if name == layout.DAY_PART and table.part in PACKED_KINDS}
    cold = {day for day, files in away.items() if files} - {day for day, _, _ in own}
    cold_sizes = [size for files in away.values() for size in files.values()]
    return Held(
        table=table.name,
        underlying=symbol,
        sessions=len(days),
        first=min(days),
        last=last,
        newest=_newest(lake, table, symbol, last),
        single=len(days) - len(packed) - len(cold),
        packed=len(packed),
        cold=len(cold),
        files=len(own) + len(cold_sizes),
        bytes=sum(size for _, _, size in own) + sum(cold_sizes),
        cold_bytes=sum(cold_sizes),
        rows=_rows(lake, table, symbol, days) if count_rows else None,
    )


def _newest(lake: Lake, table: Table, symbol: str, last: date) -> datetime | None:
    try:
        parts = list_parts(lake, table, symbol, last)
        return layout.event_at_of(parts[-1].name, last) if parts else None
    except (BadInputError, LakeError):  # named after no instant; or not to be read now
        return None


def _rows(lake: Lake, table: Table, symbol: str, days: Mapping[date, object]) -> int:
    def of_day(day: date) -> int:
        return sum(part_rows(lake, part) for part in list_parts(lake, table, symbol, day))

    with ThreadPoolExecutor(_READERS) as pool:
        return sum(pool.map(of_day, days))
