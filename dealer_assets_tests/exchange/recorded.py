"""A market made of recorded chains: each stands still through the session it was recorded in.

Belongs here: chain files as something `world.World` can ask like the simulator. Does not belong
here: reading formats (`dealer_assets.providers.files`), or the vendors that serve it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.providers.base import ChainSnapshot, Provider
from dealer_assets.providers.files import read_chain_file
from dealer_assets.underlyings import Underlying, underlying as registry_entry


class RecordedMarket(Provider):
    """Recorded chains, quoted unchanged at every minute of their sessions.

    Prices, sizes, volume, open interest and spot are the file's at every minute: nothing moves the
    underlying. Only the instants follow the clock, and a last trade that lies ahead of it is
    brought back to it.

    Parameters
    ----------
    snapshots : iterable of ChainSnapshot
        One per underlying.

    Raises
    ------
    BadInputError
        When there is none, or two of one underlying.
    """

    name = "recorded"
    capabilities = frozenset({"chain"})
    can_replay = True

    def __init__(self, snapshots: Iterable[ChainSnapshot]) -> None:
        self._held: dict[str, ChainSnapshot] = {}
        for snapshot in snapshots:
            if snapshot.underlying in self._held:
                raise BadInputError(
                    f"expected one chain of {snapshot.underlying}, found "
                    f"{self._held[snapshot.underlying].source_name} and {snapshot.source_name}: "
                    "serve one of them"
                )
            self._held[snapshot.underlying] = snapshot
        if not self._held:
            raise BadInputError("expected recorded chains, found none: name a chain file")

    @classmethod
    def read(cls, *paths: Path) -> RecordedMarket:
        """Return the market of chain files of any known format."""
        return cls(snapshot for path in paths for snapshot in read_chain_file(path))

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Symbols that were recorded, sorted."""
        return tuple(sorted(self._held))

    def serves(self, underlying: Underlying) -> bool:
        """Only what was recorded has a market."""
        return underlying.symbol in self._held

    def session_date(self, symbol: str) -> date:
        """Return the session an underlying was recorded in.

        Raises
        ------
        NoDataError
            When it was not recorded.
        """
        return self._chain(symbol).session_date

    def nearest_minute(self, symbol: str, instant: datetime) -> datetime:
        """Return the minute of the recorded session that lies nearest to an instant [UTC]."""
        first, last = self._span(symbol)
        return min(max(instant.replace(second=0, microsecond=0), first), last)

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the recorded chain as of a minute of its session; see `Provider.snapshot`.

        Raises
        ------
        NoDataError
            When the underlying was not recorded, or the instant lies outside the session.
        """
        held = self._chain(underlying.symbol)
        instant = at.astimezone(UTC).replace(second=0, microsecond=0)
        first, last = self._span(underlying.symbol)
        if not first <= instant <= last:
            raise NoDataError(
                f"{underlying.symbol} was recorded in the session {held.session_date}, from "
                f"{first:%Y-%m-%d %H:%M} to {last:%H:%M} UTC; found {instant:%Y-%m-%d %H:%M}: set "
                "the exchange's clock to that session"
            )
        return replace(
            held,
            event_at=instant,
            known_at=instant,
            provider=self.name,
            rows=_restamped(held.rows, instant),
        )

    def _chain(self, symbol: str) -> ChainSnapshot:
        held = self._held.get(symbol)
        if held is None:
            raise NoDataError(
                f"{symbol} was not recorded: the recorded market has {', '.join(self.underlyings)}"
            )
        return held

    def _span(self, symbol: str) -> tuple[datetime, datetime]:
        """First and last whole minute in which the recorded session's options quote."""
        day, calendar = self._chain(symbol).session_date, registry_entry(symbol).calendar
        last = sessions.quotes_end(calendar, day)
        return sessions.session_open(calendar, day), last - timedelta(
            seconds=last.second, microseconds=last.microsecond
        )


def _restamped(rows: pa.Table, instant: datetime) -> pa.Table:
    """Rows as if quoted at an instant."""
    stamps: dict[str, str | datetime] = {
        "event_at": instant,
        "known_at": instant,
        "provider": RecordedMarket.name,
    }
    for name, value in stamps.items():
        kind = rows.schema.field(name).type
        column = pa.repeat(pa.scalar(value, kind), rows.num_rows)
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    name = "last_trade_at"
    field, traded = rows.schema.field(name), rows[name]
    latest = pa.scalar(instant, field.type)
    known = pc.if_else(pc.greater(traded, latest), latest, traded)  # null stays null
    return rows.set_column(rows.schema.get_field_index(name), field, known)
