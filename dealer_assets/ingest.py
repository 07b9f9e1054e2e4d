"""The one place where a provider's snapshot meets the lake.

Belongs here: storing snapshots from files and providers, and what happens when two sources describe
the same instant. Does not belong here: parsing (`providers`), file layout (`lake`), schedules.

Two sources of one instant are merged contract by contract, and the row that could be known first
stays: importing parts of a chain in any order, twice, or at once gives the same. A source whose
spot differs is another state of the market under the same clock; of two, the one known first stays,
unless it was only an extract of a chain that is more than twice as full. A session is
real or simulated, never both: the first real chain clears simulated ones away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.curves import (
    is_curve_file,
    read_curve_file,
    store_curves,
)
from dealer_assets.domain import sessions
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.lake.layout import part_name
from dealer_assets.lake.locks import exclusive
from dealer_assets.lake.reader import Part, list_parts, read_part
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.providers.base import ChainProvider, ChainSnapshot, Finding
from dealer_assets.settings import Settings
from dealer_assets.underlyings import Underlying, underlying

Status = Literal["stored", "merged", "held", "superseded", "refused"]
_SPOT_TOLERANCE = 1e-9
_FULLER = 2
SIMULATOR = "simulator"


@dataclass(frozen=True)
class Outcome:
    """What became of one source.

    Parameters
    ----------
    source : str
        File name or request.
    status : str
        ``stored``: new snapshot; ``merged``: added contracts to a held one; ``held``: everything
        was already there; ``superseded``: differs from what was known first, which stays;
        ``refused``: not believed, nothing written.
    reason : str
        Why it was refused or superseded; empty otherwise.
    underlying, session_date, event_at : optional
        Of the snapshot, when it was believed.
    contracts, rejected : int
        Rows accepted and quarantined.
    impossible : int
        Quarantined rows that are errors; adjusted series are real, only not ours.
    is_partial : bool
        The source does not hold the whole chain.
    findings : tuple of Finding
        What was odd.
    """

    source: str
    status: Status
    reason: str = ""
    underlying: str | None = None
    session_date: date | None = None
    event_at: datetime | None = None
    contracts: int = 0
    rejected: int = 0
    impossible: int = 0
    is_partial: bool = False
    findings: tuple[Finding, ...] = ()


def lake_of(settings: Settings) -> Lake:
    """Open the configured lake."""
    return open_lake(
        settings.lake_root, s3_endpoint=settings.s3_endpoint, s3_region=settings.s3_region
    )


def provider_of(settings: Settings) -> ChainProvider:
    """Build the configured provider; a live one is imported only when it is asked for."""
    if settings.provider == "cboe":
        from dealer_assets.providers.cboe_json import CboeProvider

        return CboeProvider(base_url=settings.cboe_base_url)
    from dealer_assets.providers.simulator.provider import SimulatorProvider

    return SimulatorProvider(seed=settings.simulator_seed, density=settings.simulator_density)


def import_files(
    lake: Lake, paths: Iterable[Path], *, curves_since: date = date.min
) -> Iterator[Outcome]:
    """Read files of chains or Treasury curves and store what can be believed.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    paths : iterable of Path
        Files or archives.
    curves_since : datetime.date
        Earlier Treasury curves are left out, and counted in the outcome's reason.

    Yields
    ------
    Outcome
        One per chain, one per file of curves. A refused file has status ``refused`` and a reason;
        it does not stop the others.

    Raises
    ------
    LakeUnavailableError
        When the lake cannot be written; raised before anything is read.
    """
    from dealer_assets.providers.files import read_chain_file

    lake.require_writable()
    for path in paths:
        if is_curve_file(path):
            yield _import_curves(lake, path, since=curves_since)
            continue
        try:
            snapshots = read_chain_file(path)
        except BadInputError as error:
            yield Outcome(source=path.name, status="refused", reason=str(error))
            continue
        for snapshot in snapshots:  # a storage error is no verdict on the file: it propagates
            yield store_snapshot(lake, snapshot)


def _import_curves(lake: Lake, path: Path, *, since: date) -> Outcome:
    try:
        curves = read_curve_file(path)
    except BadInputError as error:
        return Outcome(source=path.name, status="refused", reason=str(error))
    done = store_curves(lake, curves, source=path.name, since=since)
    text = f"{done.written:,} curves stored, {done.held:,} held"
    if done.earlier:
        text += f", {done.earlier:,} before {since} left out"
    return Outcome(source=path.name, status="stored" if done.written else "held", reason=text)


def store_snapshot(lake: Lake, snapshot: ChainSnapshot) -> Outcome:
    """Store one snapshot: quarantine and source record first, the chain itself last.

    A crash in between leaves no chain without its record; repeating the call finishes the work.

    Parameters
    ----------
    lake : Lake
        Storage.
    snapshot : ChainSnapshot
        As a provider delivered it.

    Returns
    -------
    Outcome
    """
    symbol, day = snapshot.underlying, snapshot.session_date

    def put(table: tables.Table, rows: pa.Table) -> None:
        name = part_name(table, event_at=snapshot.event_at, sha256=snapshot.source_sha256)
        write_part(lake, table, rows, underlying=symbol, session_date=day, name=name)

    with exclusive(lake, tables.CHAIN_SNAPSHOTS, underlying=symbol, session_date=day):
        if not _may_enter(lake, snapshot):
            return _outcome(snapshot, "superseded", reason=_REAL_SESSION)
        part = _part_at(lake, symbol, day, snapshot.event_at)
        held = None if part is None else read_part(lake, tables.CHAIN_SNAPSHOTS, part)
        rows, status = _merge(held, snapshot.rows)
        if snapshot.rejected.num_rows:
            put(tables.REJECTED_ROWS, snapshot.rejected)
        put(tables.CHAIN_SOURCES, _source_row(snapshot))
        if status in {"stored", "merged"}:
            put(tables.CHAIN_SNAPSHOTS, rows)
    return _outcome(snapshot, status, reason=_SUPERSEDED if status == "superseded" else "")


def _outcome(snapshot: ChainSnapshot, status: Status, *, reason: str) -> Outcome:
    return Outcome(
        source=snapshot.source_name,
        status=status,
        reason=reason,
        underlying=snapshot.underlying,
        session_date=snapshot.session_date,
        event_at=snapshot.event_at,
        contracts=snapshot.rows.num_rows,
        rejected=snapshot.rejected.num_rows,
        impossible=snapshot.impossible,
        is_partial=snapshot.is_partial,
        findings=snapshot.findings,
    )


_SUPERSEDED = (
    "another source of the same instant was known earlier and differs; it stays as it was known"
)


_REAL_SESSION = "the session holds real chains, and simulated ones never join them"


def _may_enter(lake: Lake, snapshot: ChainSnapshot) -> bool:
    """Keep a session real or simulated, never both; a real chain clears simulated ones away."""
    symbol, day = snapshot.underlying, snapshot.session_date
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, day)
    if not parts:
        return True
    held = read_part(lake, tables.CHAIN_SNAPSHOTS, parts[-1], columns=["provider"])
    was_simulated = bool(held["provider"][0].as_py() == SIMULATOR)
    if snapshot.provider == SIMULATOR:
        return was_simulated
    if was_simulated:
        # the chain last: killed in between, a repeat still finds it and clears the rest
        for table in (tables.REJECTED_ROWS, tables.CHAIN_SOURCES, tables.CHAIN_SNAPSHOTS):
            for part in list_parts(lake, table, symbol, day):
                delete_part(lake, table, underlying=symbol, session_date=day, name=part.name)
    return True


def _part_at(lake: Lake, symbol: str, session_date: date, instant: datetime) -> Part | None:
    """Return the held snapshot of one instant, or None."""
    name = part_name(tables.CHAIN_SNAPSHOTS, event_at=instant)
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, session_date)
    return next((part for part in parts if part.name == name), None)


def _merge(held: pa.Table | None, new: pa.Table) -> tuple[pa.Table, Status]:
    """Union by contract; of two rows of one contract the one known first stays."""
    if held is None:
        return new, "stored"
    versions = _one_market(pa.concat_tables([held, new]).sort_by("known_at"))
    symbols = np.array(versions["symbol"].to_pylist())
    keep = np.sort(np.unique(symbols, return_index=True)[1])
    merged = versions.take(pa.array(keep)).sort_by(
        [(column, "ascending") for column in tables.CHAIN_SNAPSHOTS.key]
    )
    if not _same_rows(merged, held):
        return merged, "merged"
    return held, "held" if _same_quotes(held, new) else "superseded"


def _one_market(versions: pa.Table) -> pa.Table:
    """Keep the rows of one state of the market, told apart by spot; rows without a spot take it.

    The state known first, unless another holds more than `_FULLER` times its contracts: then the
    first was an extract, and a whole chain is not given up for it.
    """
    spot = np.array(versions["spot"].to_numpy(), np.float64)
    told, first, counts = np.unique(spot[np.isfinite(spot)], return_index=True, return_counts=True)
    if told.size == 0:
        return versions
    earliest, fullest = int(np.argmin(first)), int(np.argmax(counts))
    chosen = fullest if counts[fullest] > _FULLER * counts[earliest] else earliest
    market = np.isnan(spot) | (np.abs(spot - told[chosen]) <= _SPOT_TOLERANCE)
    kept = versions.filter(pa.array(market))
    source = kept.filter(pc.is_valid(kept["spot"]))["spot_source"][0]
    missing = pc.is_null(kept["spot"])
    filled = {
        "spot": pc.fill_null(kept["spot"], float(told[chosen])),
        "spot_source": pc.if_else(missing, source, kept["spot_source"]),
    }
    for name, column in filled.items():
        place = kept.schema.get_field_index(name)
        kept = kept.set_column(place, kept.schema.field(place), column)
    return kept


def _same_rows(left: pa.Table, right: pa.Table) -> bool:
    return bool(left.combine_chunks().equals(right.combine_chunks()))


def _same_quotes(held: pa.Table, new: pa.Table) -> bool:
    """Whether every new row stands in the held snapshot, its source and known_at aside."""
    inside = held.filter(pc.is_in(held["symbol"], new["symbol"].combine_chunks()))
    ignored = ("known_at", "provider")
    return _same_rows(inside.drop_columns(ignored), new.drop_columns(ignored))


def _source_row(snapshot: ChainSnapshot) -> pa.Table:
    row = {
        "underlying": snapshot.underlying,
        "session_date": snapshot.session_date,
        "event_at": snapshot.event_at,
        "known_at": snapshot.known_at,
        "provider": snapshot.provider,
        "source_name": snapshot.source_name,
        "source_sha256": snapshot.source_sha256,
        "contracts": snapshot.rows.num_rows,
        "rejected": snapshot.rejected.num_rows,
        "is_partial": snapshot.is_partial,
        "findings": [finding.code for finding in snapshot.findings],
        "findings_text": "; ".join(finding.text for finding in snapshot.findings),
    }
    return pa.Table.from_pylist([row], schema=tables.CHAIN_SOURCES.schema)


def collect(
    lake: Lake,
    provider: ChainProvider,
    *,
    symbol: str,
    session_date: date,
    now: datetime,
    per_session: int,
) -> list[Outcome]:
    """Bring one partition's chains up to date from the provider.

    The running session gets the newest snapshot; a past one is left as it is held, or built whole
    when nothing is held and the provider can replay.

    Parameters
    ----------
    lake : Lake
        Storage.
    provider : ChainProvider
        Where new snapshots come from.
    symbol : str
        Registry symbol.
    session_date : datetime.date
        Partition.
    now : datetime.datetime
        UTC now: decides which of the two cases it is.
    per_session : int
        Snapshots a replayed session gets.

    Returns
    -------
    list of Outcome
        Empty when nothing was due.

    Raises
    ------
    NoDataError
        When nothing is held and the provider cannot replay a past session.
    """
    asset = underlying(symbol)
    due = _due(lake, provider, asset, session_date=session_date, now=now, per_session=per_session)
    outcomes = []
    if due:
        store_own_curve(lake, provider, asset, session_date=session_date)
    for instant in due:
        snapshot = provider.snapshot(asset, at=instant)
        if snapshot.session_date != session_date:
            raise NoDataError(
                f"asked {provider.name} for {symbol} {session_date}, but its quotes are of "
                f"session {snapshot.session_date}: nothing was stored; ask for that partition"
            )
        outcomes.append(store_snapshot(lake, snapshot))
    return outcomes


def store_own_curve(
    lake: Lake, provider: ChainProvider, asset: Underlying, *, session_date: date
) -> None:
    """Store the curve of the session before, when the provider's market has rates of its own."""
    if asset.kind == "crypto":
        return
    curve = provider.rate_curve(sessions.previous_session(asset.calendar, session_date))
    if curve is not None:
        store_curves(lake, [curve], source=provider.name, simulated=True)


def _due(
    lake: Lake,
    provider: ChainProvider,
    asset: Underlying,
    *,
    session_date: date,
    now: datetime,
    per_session: int,
) -> list[datetime]:
    """Instants to ask the provider for."""
    now = now.astimezone(UTC)
    seen = now - provider.delay  # what the provider shows now
    last = sessions.quotes_end(asset.calendar, session_date)
    if sessions.session_of(asset.calendar, seen) == session_date:
        if not provider.can_replay:
            return [] if _part_at(lake, asset.symbol, session_date, last) else [now]
        if _is_live(asset, seen):
            return [min(now, last).replace(second=0, microsecond=0)]
    if list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, session_date):
        return []
    if sessions.session_open(asset.calendar, session_date) > now:
        raise NoDataError(f"session {session_date} of {asset.symbol} has not opened yet")
    if not provider.can_replay:
        raise NoDataError(
            f"no chain of {asset.symbol} is held for {session_date}, and provider "
            f"{provider.name!r} cannot answer for the past: import a file of that day "
            "(dealer import FILE), or choose a partition that `dealer status` lists"
        )
    from dealer_assets.providers.simulator.provider import snapshot_times

    times = snapshot_times(asset, session_date, per_session=per_session)
    return [at for at in times if at <= now]


def _is_live(asset: Underlying, now: datetime) -> bool:
    """Quotes move, or stood still less than a tick's lag ago."""
    return sessions.is_open(asset.calendar, now) or sessions.is_open(
        asset.calendar, now - timedelta(minutes=2)
    )
