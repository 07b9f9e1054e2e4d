"""Which session a chain belongs to, from witnesses that may contradict each other.

Belongs here: the rules that weigh header, file name and contents. Does not belong here: reading
the witnesses (parsers, `source_names`), calendars (`domain.sessions`).

The rules, in order of trust: a listed series cannot have expired before the session; a whole chain
of an underlying with daily expiries starts at the session or the one after; then the header; then
the file's name. A header's date is when the file was made, often after the close, on a week-end or
typed by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dealer_assets.domain.conventions import VENDOR_DELAY
from dealer_assets.domain.sessions import (
    NEW_YORK,
    is_session,
    previous_session,
    quotes_end,
    session_of,
    session_on_or_before,
    session_open,
    sessions_between,
)
from dealer_assets.errors import UndatedChainError
from dealer_assets.providers.base import Finding
from dealer_assets.underlyings import Calendar

SLACK_SESSIONS = 2
"""How many sessions a whole daily chain may lie before its first expiry's eve: SPX listed Monday,
Wednesday and Friday expiries only until spring 2022, XSP and RUT longer."""


@dataclass(frozen=True)
class Evidence:
    """Everything that speaks about a chain's date.

    Parameters
    ----------
    calendar : {"XNYS", "24/7"}
        Calendar of the underlying.
    has_daily_expiries : bool
        A series expires every session.
    is_complete : bool
        The chain is whole (`coverage`), so its first expiry means something.
    first_expiry : datetime.date
        Earliest expiry among the believed rows.
    first_expiry_looks_expired : bool
        Its series have no vols and no bids: the file was made after they expired.
    downloaded_at, quoted_at : datetime.datetime or None
        UTC instants stated by the payload; see `RawChain`.
    named_date : datetime.date or None
        Date in the file's name.
    delay : datetime.timedelta
        How far behind the market the quotes were when the payload was made.
    """

    calendar: Calendar
    has_daily_expiries: bool
    is_complete: bool
    first_expiry: date
    first_expiry_looks_expired: bool = False
    downloaded_at: datetime | None = None
    quoted_at: datetime | None = None
    named_date: date | None = None
    delay: timedelta = VENDOR_DELAY


@dataclass(frozen=True)
class Dating:
    """A chain's place in time.

    Parameters
    ----------
    session_date : datetime.date
        Session of the quotes.
    event_at, known_at : datetime.datetime
        UTC instants; `known_at` is never before `event_at`.
    findings : tuple of Finding
        Contradictions and guesses, in order of discovery.
    """

    session_date: date
    event_at: datetime
    known_at: datetime
    findings: tuple[Finding, ...]


def date_chain(evidence: Evidence) -> Dating:
    """Work out the session, the instant of the quotes and the instant they could be known.

    Parameters
    ----------
    evidence : Evidence
        The witnesses.

    Returns
    -------
    Dating

    Raises
    ------
    UndatedChainError
        When no witness can be believed.
    """
    stated = _stated_instant(evidence)
    if stated is None:
        session, findings = _without_header(evidence)
        event_at = quotes_end(evidence.calendar, session)
    else:
        session, findings = _with_header(evidence, stated)
        event_at = quotes_end(evidence.calendar, session)
        if not findings:
            event_at = min(stated, event_at)
            findings += _pre_open(evidence, session)
    findings += _name_mismatch(evidence, session)
    return Dating(session, event_at, _known_at(evidence, event_at), tuple(findings))


def _stated_instant(evidence: Evidence) -> datetime | None:
    if evidence.quoted_at is not None:
        return evidence.quoted_at
    return evidence.downloaded_at and evidence.downloaded_at - evidence.delay


def _with_header(evidence: Evidence, stated: datetime) -> tuple[date, list[Finding]]:
    """Return the header's session, or the contents' with a finding when they refute it."""
    calendar, first = evidence.calendar, evidence.first_expiry
    session = session_of(calendar, stated)
    if first < session:
        corrected = session_on_or_before(calendar, first)
        text = (
            f"the header's instant {stated:%Y-%m-%d %H:%M} UTC means session {session}, but a "
            f"series that expired on {first} is still listed: dated {corrected}"
        )
        return corrected, [Finding("header_date_after_expired_series", text)]
    if _is_too_early(evidence, session):
        corrected = _session_near_first_expiry(evidence)
        text = (
            f"the header's instant {stated:%Y-%m-%d %H:%M} UTC means session {session}, but the "
            f"whole chain starts with the expiry of {first}: dated {corrected}"
        )
        return corrected, [Finding("header_date_before_first_expiry", text)]
    return session, []


def _is_too_early(evidence: Evidence, session: date) -> bool:
    if not (evidence.is_complete and evidence.has_daily_expiries):
        return False
    eve = previous_session(evidence.calendar, evidence.first_expiry)
    return len(sessions_between(evidence.calendar, session, eve)) - 1 > SLACK_SESSIONS


def _session_near_first_expiry(evidence: Evidence) -> date:
    first = evidence.first_expiry
    eve = previous_session(evidence.calendar, first)
    if evidence.named_date is not None and eve <= evidence.named_date <= first:
        return session_on_or_before(evidence.calendar, evidence.named_date)
    if evidence.first_expiry_looks_expired:
        return session_on_or_before(evidence.calendar, first)
    return eve


def _without_header(evidence: Evidence) -> tuple[date, list[Finding]]:
    """Date by the name when the contents allow it, else by the contents when they can tell."""
    if evidence.named_date is not None:
        session = session_on_or_before(evidence.calendar, evidence.named_date)
        if session <= evidence.first_expiry and not _is_too_early(evidence, session):
            text = f"no readable date in the payload: dated {session} by the file's name"
            return session, [Finding("date_from_file_name", text)]
    if evidence.is_complete and evidence.has_daily_expiries:
        session = session_on_or_before(evidence.calendar, evidence.first_expiry)
        text = (
            f"no date in payload or name that can be believed: dated {session} by the first expiry"
        )
        return session, [Finding("date_inferred_from_expiries", text)]
    raise UndatedChainError(
        "expected a date in the header or the file's name, found none that the chain allows "
        f"(name: {evidence.named_date}, first expiry: {evidence.first_expiry}, whole chain: "
        f"{evidence.is_complete}): put the session's date into the name, as in SPX_2023-04-14.csv"
    )


def _pre_open(evidence: Evidence, session: date) -> list[Finding]:
    """Find a download on a trading day that still shows the session before."""
    downloaded = evidence.downloaded_at
    if downloaded is None or evidence.calendar == "24/7":
        return []
    local_day = downloaded.astimezone(NEW_YORK).date()
    if not is_session(evidence.calendar, local_day):
        return []
    if downloaded - evidence.delay >= session_open(evidence.calendar, local_day):
        return []
    text = (
        f"downloaded {downloaded:%Y-%m-%d %H:%M} UTC, before the open of {local_day}: quotes are "
        f"those of {session}, open interest may already be that of {local_day}"
    )
    return [Finding("pre_open_download", text)]


def _name_mismatch(evidence: Evidence, session: date) -> list[Finding]:
    named = evidence.named_date
    if named is None or session_on_or_before(evidence.calendar, named) == session:
        return []
    text = f"the file's name says {named}, header and contents say session {session}: name ignored"
    return [Finding("file_name_date_mismatch", text)]


def _known_at(evidence: Evidence, event_at: datetime) -> datetime:
    known_at = evidence.downloaded_at
    if known_at is None:
        known_at = (evidence.quoted_at or event_at) + evidence.delay
    # A header from before the session it turned out to describe cannot say when it was read.
    return known_at if known_at >= event_at else event_at + evidence.delay
