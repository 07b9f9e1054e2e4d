"""A session's polls to features: what has to be read for each, and which are due.

Belongs here: reading the session, its tape and the session before. Does not belong here: what a
poll is and what is measured (`domain/anomaly`), when it is done (`defs`).

Every poll is a part of its own, current while what it was read from is unchanged: later snapshots,
deltas and prints of the session do not touch it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.derived.interval_tape import IntervalTape, between, content, hashed
from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.features import PollRows, contract_features
from dealer_assets.domain.anomaly.intervals import DELTA_COLUMNS, by_interval
from dealer_assets.domain.anomaly.polls import Poll, polls_of, usual_spans
from dealer_assets.domain.anomaly.reasons import without_spoilt_interest
from dealer_assets.domain.anomaly.universe import Universe
from dealer_assets.domain.invariants import is_sound
from dealer_assets.lake.layout import event_at_of, snapshot_part
from dealer_assets.lake.reader import Part, list_parts, part_metadata, read_partition
from dealer_assets.lake.refresh import Refreshed, refresh_part
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part
from dealer_assets.sources import SIMULATOR
from dealer_assets.tables import Table
from dealer_assets.underlyings import Underlying

SNAPSHOT_SOURCES = (
    tables.CHAIN_SNAPSHOTS,
    tables.CONTRACT_GREEKS,
    tables.VOL_SURFACE,
    tables.DATA_ANOMALIES,
)
"""Tables of which a poll reads its own snapshot's part; without any of them it has to wait."""

USUAL_SESSIONS, USUAL_LOOK_BACK = 5, 20
"""How many held sessions before tell what interval is usual, and among how many of the calendar."""


def refresh_features(
    lake: Lake, asset: Underlying, day: date, *, universe: Universe, rebuild: bool = False
) -> Refreshed:
    """Bring the features of a session's polls up to date.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    universe : Universe
        What is monitored, of all underlyings.
    rebuild : bool
        Compute every poll anew.

    Returns
    -------
    Refreshed
        ``stopped`` counts the polls computed without a row: blocked, or nothing monitored listed.
    """
    table, own = tables.CONTRACT_FEATURES, universe.of(asset.symbol)
    held = {s.name: _by_name(lake, s, asset, day) for s in SNAPSHOT_SOURCES}
    polls = session_polls(lake, asset, day)
    existing = _by_name(lake, table, asset, day)
    settled = {} if rebuild else dict(list(existing.items())[:-1])
    session = _Session(lake, asset, day, tuple(polls))
    written: list[str] = []
    rows = kept = stopped = 0
    counted = ""
    for poll in polls:
        name = snapshot_part(poll.at)
        counted = session.volume_identity(poll, before=counted)
        if not all(name in parts for parts in held.values()):
            continue
        options = {
            "monitor": str(own),
            "interval": f"{poll.since.isoformat()} {poll.is_long}",
            "volume": counted,
            "tape": session.tape_identity(poll, settled.get(name)),
        }
        found = refresh_part(
            lake,
            table,
            inputs={
                **{s.name: (s, held[s.name][name]) for s in SNAPSHOT_SOURCES},
                **session.inputs_before,
            },
            underlying=asset.symbol,
            session_date=day,
            name=name,
            derive=lambda read, poll=poll: session.features(read, poll, own),  # type: ignore[misc]
            options=options,
            rebuild=rebuild,
        )
        written += [] if found is None else [name]
        kept += found is None
        rows += found or 0
        stopped += found == 0
    gone = set(existing) - {snapshot_part(poll.at) for poll in polls}
    for name in sorted(gone):
        delete_part(lake, table, underlying=asset.symbol, session_date=day, name=name)
    return Refreshed(tuple(written), kept, len(gone), rows, stopped)


def session_polls(lake: Lake, asset: Underlying, day: date) -> list[Poll]:
    """Return a session's polls, by its snapshots and by what interval was usual before it."""
    usual = usual_spans(_polls_before(lake, asset, day))
    return held_polls(lake, tables.CHAIN_SNAPSHOTS, asset, day, usual=usual)


def _polls_before(lake: Lake, asset: Underlying, day: date) -> list[list[Poll]]:
    found: list[list[Poll]] = []
    for before in sessions.sessions_before(asset.calendar, day, most=USUAL_LOOK_BACK):
        polls = held_polls(lake, tables.CONTRACT_FEATURES, asset, before)
        found += [polls] if polls else []
        if len(found) == USUAL_SESSIONS:
            break
    return found


def held_polls(
    lake: Lake,
    table: Table,
    asset: Underlying,
    day: date,
    *,
    usual: Sequence[tuple[int, int]] = (),
) -> list[Poll]:
    """Return a session's polls by the instants that a table's parts are named after."""
    parts = list_parts(lake, table, asset.symbol, day)
    instants = [event_at_of(part.name, day) for part in parts]
    return polls_of(asset.calendar, day, instants, usual=usual)


def _by_name(lake: Lake, table: Table, asset: Underlying, day: date) -> dict[str, Part]:
    return {part.name: part for part in list_parts(lake, table, asset.symbol, day)}


@dataclass(frozen=True)
class _Session:
    """What the polls of a session share; read when the first of them is due."""

    lake: Lake
    asset: Underlying
    day: date
    polls: tuple[Poll, ...]

    @cached_property
    def deltas(self) -> pa.Table:
        """Volume of the session by poll and contract."""
        rows = read_partition(
            self.lake, tables.VOLUME_DELTAS, self.asset.symbol, self.day, columns=DELTA_COLUMNS
        )
        return by_interval(rows, self.polls)

    @cached_property
    def tape(self) -> IntervalTape:
        """Prints of the session."""
        return IntervalTape(self.lake, self.asset, self.day)

    @cached_property
    def inputs_before(self) -> Mapping[str, tuple[Table, Part]]:
        """The session before's last chain, and what is wrong with it."""
        before = sessions.previous_session(self.asset.calendar, self.day)
        parts = list_parts(self.lake, tables.CHAIN_SNAPSHOTS, self.asset.symbol, before)[-1:]
        wrong = _by_name(self.lake, tables.DATA_ANOMALIES, self.asset, before)
        if not parts:
            return {}
        [last] = parts
        found = {"before.chain": (tables.CHAIN_SNAPSHOTS, last)}
        if last.name in wrong:
            found["before.anomalies"] = (tables.DATA_ANOMALIES, wrong[last.name])
        return found

    def volume_identity(self, poll: Poll, *, before: str) -> str:
        """Hash the deltas up to a poll, given the hash up to the poll before."""
        own = between(self.deltas, poll.previous_at, poll.at)
        return hashed(before.encode(), *content(own))

    def tape_identity(self, poll: Poll, settled: Part | None) -> str:
        """Tell whether the prints of a poll's interval are the same.

        Of a settled poll, one that a later one follows, what it was made of is taken for granted:
        prints reach the lake within a minute, and those known later than the poll are not used.
        """
        if settled is not None:
            told = part_metadata(self.lake, settled).get("option.tape", "")
            if told.startswith(self.tape.published_names):
                return told
        return self.tape.identity(poll.previous_at, poll.at)

    def features(self, read: Mapping[str, pa.Table], poll: Poll, universe: Universe) -> pa.Table:
        """Measure one poll, unless a blocking check stops its snapshot."""
        sound = (is_sound(s.name, read[s.name], self.asset) for s in SNAPSHOT_SOURCES)
        if not all(sound):
            return tables.CONTRACT_FEATURES.schema.empty_table()
        chain, priced, surface, anomalies = (read[s.name] for s in SNAPSHOT_SOURCES)
        simulated = _is_simulated(chain)
        return contract_features(
            PollRows(
                chain=chain,
                priced=priced,
                surface=surface,
                anomalies=anomalies,
                deltas=self.deltas,
                prints=self._prints(poll, chain, simulated=simulated),
                interest_before=_interest(read, simulated=simulated),
                is_simulated=simulated,
            ),
            poll=poll,
            universe=universe,
        )

    def _prints(self, poll: Poll, chain: pa.Table, *, simulated: bool) -> pa.Table | None:
        if not chain.num_rows:
            return None
        known_by = pc.max(chain["known_at"]).as_py()
        return self.tape.prints(poll.previous_at, poll.at, known_by=known_by, simulated=simulated)


def _is_simulated(chain: pa.Table) -> bool:
    return bool(chain.num_rows and chain["provider"][0].as_py() == SIMULATOR)


def _interest(read: Mapping[str, pa.Table], *, simulated: bool) -> pa.Table | None:
    """Open interest of the session before, of the same market, as far as it can be believed."""
    chain = read.get("before.chain")
    if chain is None or not chain.num_rows or _is_simulated(chain) != simulated:
        return None
    wrong = read.get("before.anomalies", tables.DATA_ANOMALIES.schema.empty_table())
    return without_spoilt_interest(chain, wrong)
