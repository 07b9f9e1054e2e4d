"""Which contracts a session lists, and the open interest of the running one.

Belongs here: the two tables' rows. Does not belong here: the fields of the instrument list and of
the summary (`instruments`, `chain`).

Deribit tells about contracts that exist and about those that expired of late. A past session's
contracts are those whose life covers it, as far as they are still told of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import session_close, session_open
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.deribit.chain import Summary
from dealer_assets.providers.deribit.columns import (
    constants,
    instant_column,
    naive,
    quarantine,
    read_contracts,
    table_of,
)
from dealer_assets.providers.deribit.families import Family
from dealer_assets.providers.deribit.instruments import Instruments
from dealer_assets.underlyings import Underlying

_EXPIRY = time(8, 0)


@dataclass(frozen=True)
class Listed:
    """Instrument lists of one family.

    Parameters
    ----------
    family : Family
        Which one.
    current, expired : Instruments
        Existing contracts, and those that expired of late.
    """

    family: Family
    current: Instruments
    expired: Instruments

    @property
    def names(self) -> list[str]:
        """Names of both lists."""
        return [*self.current.names.tolist(), *self.expired.names.tolist()]

    def column(self, name: str) -> NDArray[np.generic]:
        """Return a column of both lists."""
        return np.concatenate([getattr(self.current, name), getattr(self.expired, name)])


def listed_records(
    lists: Sequence[Listed],
    underlying: Underlying,
    *,
    session_date: date,
    now: datetime,
    source_name: str,
    source_sha256: str,
) -> Records:
    """Return the contracts of a session as rows of `tables.LISTED_CONTRACTS`.

    Parameters
    ----------
    lists : sequence of Listed
        One per family.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    now : datetime.datetime
        UTC now, which decides whether the session is over.
    source_name, source_sha256 : str
        Provenance.
    """
    opens = session_open(underlying.calendar, session_date)
    closes = session_close(underlying.calendar, session_date)
    names = [name for one in lists for name in one.names]
    created = np.concatenate([one.column("created_at") for one in lists])
    ends = np.concatenate([one.column("expires_at") for one in lists])
    contracts = read_contracts(names, underlying)
    _, once = np.unique(np.array(names, np.str_), return_index=True)
    first = np.zeros(len(names), np.bool_)
    first[once] = True  # a contract that expires between two requests is on both lists
    lives = ~(created >= naive(closes)) & ~(ends <= naive(opens))
    rows = np.flatnonzero(first & lives & contracts.known)
    out_of_reach = _out_of_reach(lists, session_date, now=now)
    findings = out_of_reach + _size_findings(lists)
    unread = int(np.count_nonzero(lives & ~contracts.known))
    if unread:
        text = f"{unread} listed contracts have names that cannot be read: left out"
        findings.append(Finding("bad_symbols", text))
    return Records(
        table=tables.LISTED_CONTRACTS,
        rows=table_of(
            tables.LISTED_CONTRACTS,
            {
                **constants(
                    rows.size,
                    underlying=underlying.symbol,
                    session_date=session_date,
                    event_at=opens,
                    provider="deribit",
                    source_name=source_name,
                ),
                **contracts.arrow(rows),
                **contracts.terms(rows, underlying),
                "known_at": instant_column(np.fmax(created[rows], naive(opens))),
                "listed_at": instant_column(created[rows]),
            },
        ),
        provider="deribit",
        source_name=source_name,
        source_sha256=source_sha256,
        is_complete=now >= closes and not out_of_reach,
        findings=tuple(findings),
    )


def _out_of_reach(lists: Sequence[Listed], session_date: date, *, now: datetime) -> list[Finding]:
    """Tell when contracts that expired since the session may have been forgotten.

    A series expires every day, so the list reaches a session when it holds one of its morning.
    """
    first_end = np.datetime64(datetime.combine(session_date, _EXPIRY), "us")
    if naive(now) < first_end:
        return []
    ends = np.concatenate([one.expired.expires_at for one in lists])
    known = ends[~np.isnat(ends)]
    if known.size and known.min() <= first_end:
        return []
    reach = f"the oldest expired on {known.min().astype('datetime64[D]')}" if known.size else "none"
    text = (
        f"Deribit no longer tells of all contracts that expired since {session_date} ({reach}): "
        "those are missing"
    )
    return [Finding("expired_listing_out_of_reach", text)]


def _size_findings(lists: Sequence[Listed]) -> list[Finding]:
    findings = []
    for one in lists:
        ours = one.family.root.multiplier
        theirs = {float(size) for size in one.current.contract_size if np.isfinite(size)} - {ours}
        if theirs:
            text = (
                f"Deribit counts {one.family.root.symbol} contracts of {min(theirs):g} coin, the "
                f"registry of {ours:g}: amounts are in coin, and are counted by the registry"
            )
            findings.append(Finding("contract_size_differs", text))
    return findings


def open_interest_records(
    summary: Summary,
    underlying: Underlying,
    *,
    session_date: date,
    source_name: str,
    source_sha256: str,
) -> Records:
    """Return the open interest of a summary as rows of `tables.OPEN_INTEREST`.

    Parameters
    ----------
    summary : Summary
        Of both families, contracts that are over left out.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        The running session.
    source_name, source_sha256 : str
        Provenance.
    """
    contracts = read_contracts(summary.names, underlying)
    held = summary.floats["open_interest_contracts"]
    reasons = np.full(len(summary.names), "", dtype=object)
    for reason, where in (
        ("bad_symbol", ~contracts.known),
        ("not_a_number", ~np.isfinite(held)),
        ("negative_open_interest", held < 0),
    ):
        reasons[where & (reasons == "")] = reason
    rows = np.flatnonzero(reasons == "")
    batch = {
        "underlying": underlying.symbol,
        "session_date": session_date,
        "event_at": summary.made_at,
        "provider": "deribit",
        "source_name": source_name,
    }
    columns = {
        **constants(rows.size, **batch, known_at=summary.made_at),
        **contracts.arrow(rows),
        "open_interest_contracts": pa.array(held[rows]),
    }
    return Records(
        table=tables.OPEN_INTEREST,
        rows=table_of(tables.OPEN_INTEREST, columns),
        provider="deribit",
        source_name=source_name,
        source_sha256=source_sha256,
        rejected=quarantine(
            summary.rows,
            reasons,
            symbols=summary.names,
            event_at=np.full(len(summary.names), naive(summary.made_at)),
            constants_of_batch={**batch, "source_sha256": source_sha256},
        ),
        is_complete=not summary.is_partial,
        findings=tuple(Finding(code, text) for code, text in summary.notes),
    )
