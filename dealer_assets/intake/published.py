"""What others publish once a day, into the lake: OCC's counts, and interest rates.

Belongs here: asking, storing, and saying why there is nothing. Does not belong here: reading
answers (`providers`), or when it is asked (`defs`).

OCC's open interest stands beside the chain's: when OCC does not answer, the session's next run asks
again, and the result says so. What nothing stands beside fails instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from dealer_assets import tables
from dealer_assets.curves import CURRENCY, StoredCurves, store_curves
from dealer_assets.domain import sessions
from dealer_assets.errors import NoDataError, ProviderError, ProviderUnavailableError
from dealer_assets.intake.outcome import Outcome
from dealer_assets.intake.records import store_file, store_request
from dealer_assets.lake.reader import sessions_held
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import Finding, Records
from dealer_assets.underlyings import Underlying

if TYPE_CHECKING:
    from dealer_assets.providers.occ_live import OccProvider
    from dealer_assets.providers.rates_live import RatesProvider

NOT_ASKED = "not asked: simulated chains have no publisher"


@dataclass(frozen=True)
class Published:
    """What a publisher told.

    Parameters
    ----------
    outcomes : tuple of Outcome
        What was stored; empty when it told nothing.
    detail : str
        In words, for the asset's page.
    """

    outcomes: tuple[Outcome, ...]
    detail: str


def collect_open_interest(
    lake: Lake, occ: OccProvider | None, asset: Underlying, day: date, *, now: datetime
) -> Published:
    """Store OCC's open interest by strike; it shows the current day only.

    Parameters
    ----------
    lake : Lake
        Storage.
    occ : OccProvider or None
        None where chains are simulated.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    now : datetime.datetime
        UTC now.
    """
    if occ is None or asset.calendar == "24/7":
        return Published((), NOT_ASKED)
    if sessions.session_of(asset.calendar, now) != day:
        return Published((), f"not asked: OCC shows the current day only, this is {day}")
    return _asked(lake, asset, day, lambda: occ.open_interest(asset, session_date=day))


def collect_account_volume(
    lake: Lake, occ: OccProvider | None, asset: Underlying, day: date, *, now: datetime
) -> Published:
    """Store OCC's cleared volume by type of account; parameters as `collect_open_interest`.

    Raises
    ------
    ProviderError
        When OCC does not tell: the partition stays red until it is asked again.
    """
    if occ is None or asset.calendar == "24/7":
        return Published((), NOT_ASKED)
    if now < sessions.session_close(asset.calendar, day):
        return Published((), f"not asked: session {day} has not ended")
    records = occ.account_volume(asset, session_date=day)  # nothing else is at stake: it may fail
    outcome = store_request(lake, records, underlying=asset.symbol, session_date=day)
    return Published((outcome,), f"{outcome.status}: {outcome.contracts:,} rows")


def _asked(lake: Lake, asset: Underlying, day: date, ask: Callable[[], Records]) -> Published:
    try:
        records = ask()
    except NoDataError as error:
        return Published((), f"nothing yet: {error}")
    except ProviderUnavailableError as error:
        return Published((), f"no answer, asked again with the session's next run: {error}")
    except ProviderError as error:
        return Published((), f"refused: {error}")
    outcome = store_request(lake, records, underlying=asset.symbol, session_date=day)
    return Published((outcome,), f"{outcome.status}: {outcome.contracts:,} rows")


def collect_curves(
    lake: Lake, rates: RatesProvider, first: date, last: date
) -> tuple[StoredCurves, tuple[Finding, ...]]:
    """Store the Treasury's curves of a range of dates.

    Raises
    ------
    ProviderError
        When no source of them answers.
    """
    curves, findings = rates.treasury_curves(first, last)
    if not findings:
        return store_curves(lake, curves, source="treasury"), findings
    # a stand-in fills gaps; it never takes the place of what the Treasury told
    held = set(sessions_held(lake, tables.TREASURY_CURVE, CURRENCY))
    new = [curve for curve in curves if curve.date not in held]
    stored = store_curves(lake, new, source=findings[0].code)
    return replace(stored, held=stored.held + len(curves) - len(new)), findings


def collect_fixings(lake: Lake, rates: RatesProvider, first: date, last: date) -> list[Outcome]:
    """Store SOFR, EFFR and FRED's series of a range of dates; raises as `collect_curves`."""
    return store_file(lake, rates.rates(first, last))
