"""The tape of an interval of a session: published prints or live ones, no more than is needed.

Belongs here: reading prints between two instants. Does not belong here: what they tell
(`domain/anomaly/flow_features`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.anomaly.flow_features import LIVE_COLUMNS, TAPE_COLUMNS
from dealer_assets.domain.columns import integers
from dealer_assets.intake.records import once
from dealer_assets.lake.layout import stream_of
from dealer_assets.lake.reader import Part, list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.sources import SIMULATOR
from dealer_assets.underlyings import Underlying


def between(rows: pa.Table, since: datetime | None, until: datetime) -> pa.Table:
    """Return the rows after one instant, or from the beginning, up to another."""
    early = pc.less_equal(rows["event_at"], until)
    if since is None:
        return rows.filter(early)
    return rows.filter(pc.and_(early, pc.greater(rows["event_at"], since)))


def content(rows: pa.Table) -> list[bytes]:
    """Return the content of columns, each as bytes: instants, numbers, flags and symbols."""
    found = []
    for name in rows.column_names:
        column = rows[name].combine_chunks()
        if pa.types.is_string(column.type):
            found.append("\n".join(column.to_pylist()).encode())
        elif pa.types.is_timestamp(column.type):
            found.append(integers(rows, name).tobytes())
        else:
            found.append(column.to_numpy(zero_copy_only=False).tobytes())
    return found


def hashed(*parts: bytes) -> str:
    """Return a hash of contents that tells apart where one ends."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class IntervalTape:
    """Prints of a session, read as far as they are asked for.

    Parameters
    ----------
    lake : Lake
        Storage.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    """

    lake: Lake
    asset: Underlying
    day: date
    _read: dict[str, pa.Table] = field(default_factory=dict)

    @cached_property
    def _batches(self) -> list[Part]:
        return list_parts(self.lake, tables.OPTION_TRADES, self.asset.symbol, self.day)

    @cached_property
    def published_names(self) -> str:
        """Hash of the published batches' names, which name their content; blank without any."""
        names = " ".join(part.name for part in self._batches)
        return hashed(names.encode()) if names else ""

    @cached_property
    def _published(self) -> pa.Table:
        """Published prints of the session, each once: batches are not in order of time."""
        table = tables.OPTION_TRADES
        rows = read_partition(self.lake, table, self.asset.symbol, self.day, columns=TAPE_COLUMNS)
        is_alone = len(self._batches) == 1  # in which each print is once, and sorting takes seconds
        return rows if is_alone else once(table, rows)

    @cached_property
    def _live_parts(self) -> list[Part]:
        return list_parts(self.lake, tables.LIVE_TRADES, self.asset.symbol, self.day)

    def live(self, since: datetime | None, until: datetime) -> pa.Table:
        """Return the live prints of an interval; parts are read backwards until they are older."""
        done: set[str] = set()
        found = [tables.LIVE_TRADES.schema.empty_table().select(LIVE_COLUMNS)]
        for part in reversed(self._live_parts):
            stream = stream_of(part.name)
            if stream in done:
                continue
            rows = self._part(part)
            found.append(between(rows, since, until))
            if since is not None and rows.num_rows and pc.max(rows["event_at"]).as_py() <= since:
                done.add(stream)
        return pa.concat_tables(found)

    def _part(self, part: Part) -> pa.Table:
        if part.name not in self._read:
            rows = read_part(self.lake, tables.LIVE_TRADES, part, columns=LIVE_COLUMNS)
            self._read[part.name] = rows
        return self._read[part.name]

    def identity(self, since: datetime | None, until: datetime) -> str:
        """Return what tells whether the prints of an interval are still the same."""
        rows = self.live(since, until)
        columns = ["event_at", "known_at", "stream_sequence", "size_contracts"]
        order = rows.select(columns).sort_by([(name, "ascending") for name in columns])
        told = hashed(*content(order)) if rows.num_rows else ""
        return " ".join(word for word in (self.published_names, told) if word)

    def prints(
        self, since: datetime | None, until: datetime, *, known_by: datetime, simulated: bool
    ) -> pa.Table | None:
        """Return the prints of a market that were known by then: the published tape, else live.

        None where neither has any.
        """
        if self.published_names:
            published = between(self._published, since, until)
            found = _of_market(published, "provider", simulated=simulated)
            if _any_known(found, known_by):
                return found
        found = _of_market(self.live(since, until), "feed", simulated=simulated)
        return found if _any_known(found, known_by) else None


def _of_market(rows: pa.Table, told_by: str, *, simulated: bool) -> pa.Table:
    is_simulated = pc.equal(rows[told_by], SIMULATOR)
    return rows.filter(is_simulated if simulated else pc.invert(is_simulated))


def _any_known(rows: pa.Table, known_by: datetime) -> bool:
    return bool(rows.num_rows and pc.any(pc.less_equal(rows["known_at"], known_by)).as_py())
