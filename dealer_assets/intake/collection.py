"""Chains of a partition, from the provider: the running session's newest, or a past one's.

Belongs here: which instants are due, and whom to ask. Does not belong here: storing (`ingest`), or
when this is called (`defs`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from dealer_assets import tables
from dealer_assets.curves import store_curves
from dealer_assets.domain import sessions
from dealer_assets.domain.open_interest import repeats_open_interest
from dealer_assets.domain.standstill import FROZEN_AFTER, stands_still
from dealer_assets.errors import NoDataError
from dealer_assets.intake.history import forget_reconstructed, is_reconstructed, reconstruct_session
from dealer_assets.intake.ingest import part_at, store_snapshot
from dealer_assets.intake.outcome import Outcome
from dealer_assets.lake.layout import event_at_of
from dealer_assets.lake.reader import list_parts, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import ChainSnapshot, Finding, Provider
from dealer_assets.underlyings import Underlying, underlying

REPEATED_COUNT = "open_interest_repeated"


def collect(
    lake: Lake,
    provider: Provider,
    *,
    symbol: str,
    session_date: date,
    now: datetime,
    per_session: int,
    rebuild: bool = False,
) -> list[Outcome]:
    """Bring one partition's chains up to date from the provider.

    The running session gets the newest snapshot; a past one is left as it is held, or built whole
    when nothing is held and the provider can replay or the lake holds the session's tape.

    Parameters
    ----------
    lake : Lake
        Storage.
    provider : Provider
        Where new snapshots come from.
    symbol : str
        Registry symbol.
    session_date : datetime.date
        Partition.
    now : datetime.datetime
        UTC now: decides which of the two cases it is.
    per_session : int
        Snapshots that a replayed or reconstructed session gets.
    rebuild : bool
        Put a session that came from its tape together anew; quoted chains are never given up.

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
    if _may_be_put_together(lake, provider, asset, session_date=session_date, now=now):
        times = sessions.instants_of(asset.calendar, session_date, count=per_session)
        if rebuild:
            forget_reconstructed(lake, asset, session_date=session_date)
        held = {
            event_at_of(part.name, session_date)
            for part in list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, session_date)
        }
        missing = [at for at in times if at not in held]
        if not missing:
            return []
        built = reconstruct_session(lake, asset, session_date=session_date, instants=missing)
        if built or held:
            return built
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
        judged = _with_repeated_count(lake, asset, _with_standstill(lake, asset, snapshot))
        outcomes.append(store_snapshot(lake, judged))
    return outcomes


def _with_standstill(lake: Lake, asset: Underlying, snapshot: ChainSnapshot) -> ChainSnapshot:
    """Say so when a live feed repeats the quotes of minutes ago; each run is another process."""
    limit = snapshot.event_at - FROZEN_AFTER
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, snapshot.session_date)
    earlier = [part for part in parts if event_at_of(part.name, snapshot.session_date) <= limit]
    if not earlier:
        return snapshot
    before = read_part(lake, tables.CHAIN_SNAPSHOTS, earlier[-1])
    if not stands_still(before, snapshot.rows, asset):
        return snapshot
    text = (
        f"all {snapshot.rows.num_rows:,} quotes are those of "
        f"{before['event_at'][0].as_py():%H:%M} UTC, expected some to move: the source repeats them"
    )
    return replace(snapshot, findings=(*snapshot.findings, Finding("quotes_frozen", text)))


def _with_repeated_count(lake: Lake, asset: Underlying, snapshot: ChainSnapshot) -> ChainSnapshot:
    """Say so when open interest is still that of the session before: one answer cannot tell."""
    if asset.calendar == "24/7":
        return snapshot
    day = sessions.previous_session(asset.calendar, snapshot.session_date)
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, day)
    if not parts:
        return snapshot
    columns = ["symbol", "open_interest_contracts", "volume_contracts"]
    before = read_part(lake, tables.CHAIN_SNAPSHOTS, parts[-1], columns=columns)
    if not repeats_open_interest(before, snapshot.rows):
        return snapshot
    text = (
        f"open interest is that of session {day} in every contract that traded then, expected the "
        f"count of its close: the source has not taken it in, or shows {day} again"
    )
    return replace(snapshot, findings=(*snapshot.findings, Finding(REPEATED_COUNT, text)))


def store_own_curve(
    lake: Lake, provider: Provider, asset: Underlying, *, session_date: date
) -> None:
    """Store the curve of the session before, when the provider's market has rates of its own."""
    if asset.kind == "crypto":
        return
    curve = provider.rate_curve(sessions.previous_session(asset.calendar, session_date))
    if curve is not None:
        store_curves(lake, [curve], source=provider.name, simulated=True)


def _due(
    lake: Lake,
    provider: Provider,
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
            return [] if part_at(lake, asset.symbol, session_date, last) else [now]
        if _is_live(asset, seen):
            return [min(now, last).replace(second=0, microsecond=0)]
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, session_date)
    if parts and not provider.can_replay:
        return []
    if sessions.session_open(asset.calendar, session_date) > now:
        raise NoDataError(f"session {session_date} of {asset.symbol} has not opened yet")
    if not provider.can_replay:
        raise NoDataError(
            f"no chain of {asset.symbol} is held for {session_date}, and provider "
            f"{provider.name!r} cannot answer for the past: import a file of that day "
            "(dealer import FILE), fetch its tape (dealer history), or choose a partition that "
            "`dealer status` lists"
        )
    times = sessions.instants_of(asset.calendar, session_date, count=per_session)
    held = {event_at_of(part.name, session_date) for part in parts}
    if held - set(times):
        return []  # it was collected while it ran, or imported
    return [at for at in times if at <= now and at not in held]


def _may_be_put_together(
    lake: Lake, provider: Provider, asset: Underlying, *, session_date: date, now: datetime
) -> bool:
    """Tell whether a session can only come from its tape.

    It is not the day that the provider shows, and nobody collected its chains.
    """
    seen = now - provider.delay
    if provider.can_replay or sessions.session_of(asset.calendar, seen) == session_date:
        return False
    if sessions.quotes_end(asset.calendar, session_date) > seen:
        return False
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, session_date)
    return all(is_reconstructed(lake, part) for part in parts)


def _is_live(asset: Underlying, now: datetime) -> bool:
    """Quotes move, or stood still less than a tick's lag ago."""
    return sessions.is_open(asset.calendar, now) or sessions.is_open(
        asset.calendar, now - timedelta(minutes=2)
    )
