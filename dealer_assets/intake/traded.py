"""Bars of what is traded for an underlying: fetched for a session and for those missing before it.

Belongs here: which sessions are asked for, and storing them. Does not belong here: how a vendor is
asked (`providers`), what volume they add up to (`trailing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.exposure.adv import ADV_LOOK_BACK
from dealer_assets.errors import NoDataError, NotEntitledError, NotOfferedError
from dealer_assets.intake.records import store_request
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import Finding, Provider, Records
from dealer_assets.sources import SIMULATOR
from dealer_assets.underlyings import Underlying


@dataclass(frozen=True)
class Collected:
    """What became of asking for bars.

    Parameters
    ----------
    sessions_written, sessions_held : int
        Sessions whose bar was stored now, or lay there.
    missing : tuple of datetime.date
        Sessions that are over and have no bar.
    refusals : str
        Why; blank when nothing was refused.
    findings : tuple of Finding
        What was odd.
    """

    sessions_written: int
    sessions_held: int
    missing: tuple[date, ...]
    refusals: str
    findings: tuple[Finding, ...] = ()


def collect_bars(
    lake: Lake,
    providers: Sequence[Provider],
    asset: Underlying,
    *,
    session_date: date,
    now: datetime,
    rebuild: bool = False,
) -> Collected:
    """Bring the bars of a session, and of the sessions that scale it, up to date.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    providers : sequence of Provider
        The preferred first; those without bars are passed over.
    asset : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    now : datetime.datetime
        UTC now: sessions that are not over are not asked for.
    rebuild : bool
        Ask also for what is held.

    Returns
    -------
    Collected
        Nothing that is missing raises: scaling says so by itself (`Adv.status`).
    """
    days = sorted(
        [session_date, *sessions.sessions_before(asset.calendar, session_date, most=ADV_LOOK_BACK)]
    )
    over = [day for day in days if sessions.session_close(asset.calendar, day) <= now]
    able = [p for p in providers if "underlying_bars" in p.capabilities]
    simulated = bool(able) and able[0].name == SIMULATOR
    wanted = [day for day in over if rebuild or not _is_held(lake, asset, day, simulated)]
    written: list[date] = []
    refusals: list[str] = [] if able else [_no_provider(providers)]
    findings: tuple[Finding, ...] = ()
    for provider in able if wanted else ():
        try:
            records = provider.underlying_bars(asset, first=wanted[0], last=wanted[-1])
        except (NoDataError, NotEntitledError, NotOfferedError) as error:
            refusals.append(str(error))
            continue
        written = _store(lake, asset, records, set(wanted))
        findings = records.findings
        break
    missing = tuple(day for day in wanted if day not in written)
    return Collected(len(written), len(over) - len(wanted), missing, "; ".join(refusals), findings)


def _no_provider(providers: Sequence[Provider]) -> str:
    named = ", ".join(provider.name for provider in providers) or "none configured"
    return (
        f"expected a provider of underlying_bars, found: {named}; set DEALER_HISTORY_PROVIDER, or "
        "import a file of daily prices"
    )


def _is_held(lake: Lake, asset: Underlying, day: date, simulated: bool) -> bool:
    rows = read_partition(lake, tables.UNDERLYING_BARS, asset.symbol, day, columns=["provider"])
    return any((name == SIMULATOR) == simulated for name in rows["provider"].to_pylist())


def _store(lake: Lake, asset: Underlying, records: Records, wanted: set[date]) -> list[date]:
    """Store one part for each session that was wanted; others stay as they were known."""
    found = sorted(set(records.rows["session_date"].to_pylist()) & wanted)
    for day in found:
        same = pc.equal(records.rows["session_date"], pa.scalar(day, pa.date32()))
        of_day = replace(records, rows=records.rows.filter(same), is_complete=True, findings=())
        store_request(lake, of_day, underlying=asset.symbol, session_date=day)
    return found
