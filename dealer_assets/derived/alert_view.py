"""What the rules of alerts are shown of one underlying's session.

Belongs here: which parts are read, and how far back. Does not belong here: the rules
(`domain/alerting`), what becomes of what they find (`derived/alerting.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.derived import trailing
from dealer_assets.derived.alert_rows import KeptRows
from dealer_assets.domain import sessions
from dealer_assets.domain.alerting import feeds, quality
from dealer_assets.domain.columns import of_word
from dealer_assets.lake.layout import event_at_of
from dealer_assets.lake.reader import Part, list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import Table
from dealer_assets.underlyings import Underlying

_LIVE_PARTS = 60
"""Parts of the live tables that are looked at in a running session: the process closes one each
minute."""


@dataclass(frozen=True)
class Pick:
    """Which rows of a part the rules are shown.

    Parameters
    ----------
    what : str
        Names what it picks.
    rows : callable
        Rows of a part -> those that are shown.
    """

    what: str
    rows: Callable[[pa.Table], pa.Table]


ALL_ROWS = Pick("all", lambda rows: rows)
ANOMALIES = Pick("anomalies", lambda rows: rows.filter(pc.fill_null(rows["is_anomaly"], False)))


def of_model(model: str) -> Pick:
    """Pick the rows of one position model."""
    return Pick(f"model {model}", lambda rows: of_word(rows, "model", model))


def candidates_of(model: str) -> Pick:
    """Pick the changes of one position model that may become alerts."""
    return Pick(
        f"candidates of {model}",
        lambda rows: of_word(rows.filter(rows["is_alert_candidate"]), "model", model),
    )


@dataclass(frozen=True)
class View:
    """What the rules are shown of one underlying's session.

    Parameters
    ----------
    lake : Lake
        Storage.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    now : datetime.datetime
        Aware instant that counts as now.
    delay : datetime.timedelta
        How far behind the market the provider is.
    kept : pathlib.Path, optional
        Folder for rows of a running session that were read before; absent: all are read anew.

    Notes
    -----
    A session is always looked at whole: what a rule finds must not depend on when it is asked.
    """

    lake: Lake
    asset: Underlying
    day: date
    now: datetime
    delay: timedelta = timedelta(0)
    kept: Path | None = None

    @property
    def is_running(self) -> bool:
        """Whether options of this session quote now, as the provider shows it."""
        calendar, seen = self.asset.calendar, self.now - self.delay
        return sessions.session_of(calendar, seen) == self.day and sessions.is_open(calendar, seen)

    def instants(self, table: Table) -> list[datetime]:
        """Return the instants of a table's snapshots, ascending, from the names of its parts."""
        parts = list_parts(self.lake, table, self.asset.symbol, self.day)
        return [event_at_of(part.name, self.day) for part in parts]

    def rows(
        self,
        table: Table,
        columns: Sequence[str],
        pick: Pick = ALL_ROWS,
        *,
        and_before: bool = False,
    ) -> pa.Table:
        """Return rows of a snapshot table, oldest first.

        With `and_before` also those of the last snapshot of the session before.
        """
        parts = list_parts(self.lake, table, self.asset.symbol, self.day)
        read = [self._read(table, parts, columns, pick)]
        if and_before:
            read.insert(0, pick.rows(self._closing(table, columns)))
        return pa.concat_tables(read)

    def problems(self) -> tuple[pa.Table, list[datetime]]:
        """Return data anomalies, and the instants that were judged, oldest first."""
        table = tables.DATA_ANOMALIES
        return self.rows(table, quality.PROBLEM_COLUMNS), self.instants(table)

    def gaps(self) -> pa.Table:
        """Return gaps of feeds: of a running session those of the newest parts."""
        table, columns = tables.FEED_GAPS, feeds.GAP_COLUMNS
        return self._newest(table, columns, _LIVE_PARTS if self.is_running else None)[0]

    def beats(self) -> pa.Table:
        """Return heartbeats: of a running session the newest, back to one of a feed that is live.

        What is away now has to begin when it began.
        """
        table, columns = tables.STREAM_HEARTBEATS, feeds.BEAT_COLUMNS
        most = _LIVE_PARTS if self.is_running else None
        while True:
            rows, is_all = self._newest(table, columns, most)
            if is_all or most is None or rows["phase"][0].as_py() == feeds.LIVE:
                return rows
            most *= 2

    def _newest(
        self, table: Table, columns: Sequence[str], most: int | None
    ) -> tuple[pa.Table, bool]:
        if most is None:
            args = (self.lake, table, self.asset.symbol, self.day)
            return read_partition(*args, columns=list(columns)), True
        parts = list_parts(self.lake, table, self.asset.symbol, self.day)
        rows = self._read(table, parts[-most:], columns, ALL_ROWS)
        return rows, len(parts) <= most or not rows.num_rows

    def _read(
        self, table: Table, parts: Sequence[Part], columns: Sequence[str], pick: Pick
    ) -> pa.Table:
        if self.kept is None or not self.is_running:
            read = [read_part(self.lake, table, part, columns=columns) for part in parts]
            empty = table.schema.empty_table().select(list(columns))
            return pa.concat_tables([empty, *map(pick.rows, read)])
        return KeptRows(self.kept).read(
            *(self.lake, table, self.asset.symbol, self.day, parts),
            columns=columns,
            wanted=pick.rows,
            what=pick.what,
        )

    def _closing(self, table: Table, columns: Sequence[str]) -> pa.Table:
        before = sessions.previous_session(self.asset.calendar, self.day)
        return trailing.closing_of(self.lake, self.asset, before, table=table, columns=columns)
