"""Records of OTC options as rows: `read` of one file of the repository.

Belongs here: sessions, the two clocks, judging rows, the table. Does not belong here: reading
files (`reports`), the fold (`lifecycle`), cells (`terms`).

`event_at` is the execution. `known_at` is when the record could first be read as it stands: the
last event plus `DISSEMINATION_DELAY`, for which blocks are held back. A file of one day holds what
the repository published on that day (UTC); a report in it whose event is older, or a later report
without event timestamp, was published at an unknown time of that day: it counts as known from the
day's end. SEC's file since inception
does not tell when a report was published: the event alone is to go by, which a finding says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.errors import UnknownUnderlyingError
from dealer_assets.providers.archives import Member
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.dtcc import terms
from dealer_assets.providers.dtcc.lifecycle import Folded, fold, instants_of
from dealer_assets.providers.dtcc.reports import read_options, sniff
from dealer_assets.providers.otc_sessions import session_of_trade
from dealer_assets.providers.record_quarantine import quarantine, refuse_if_hopeless
from dealer_assets.providers.record_rows import Place, Source, build
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import underlying

__all__ = ["DISSEMINATION_DELAY", "read", "sniff"]

PROVIDER = "dtcc"

DISSEMINATION_DELAY = np.timedelta64(15, "m")
"""How long blocks on a facility are held back; ordinary trades come sooner."""

_DAY = np.timedelta64(1, "D")
_FLAGS = {"TRUE": True, "FALSE": False, "Y": True, "N": False}

Instants = NDArray[np.datetime64]
Meaning = Callable[[str], str]


def read(member: Member) -> list[Records]:
    """Read one file of reports, slice or cumulative.

    Parameters
    ----------
    member : Member
        CSV text; its name has the day, as the repository names it.

    Returns
    -------
    list of Records
        One: `tables.SWAP_OPTION_REPORTS`, a row per record after its lifecycle.

    Raises
    ------
    BadInputError
        When the file is cut off, lacks a column or holds no reports of options.
    """
    reports, total, digest = read_options(member)
    source = Source(PROVIDER, member.name, digest)
    named = np.array([text != "" for text in reports["id"].to_pylist()], dtype=np.bool_)
    if not named.any():
        refuse(
            member.name,
            f"expected reports of options, found none among {total:,}",
            remedy="import a file of EQUITIES, FOREX, RATES, CREDITS or COMMODITIES with options",
        )
    folded = fold(reports.filter(pa.array(named)))
    symbols = terms.by_value(
        _underliers(folded), {n: terms.symbol_of(n) for n in terms.distinct(_underliers(folded))}
    )
    places, reasons, findings = _places(folded, symbols, member.name)
    refuse_if_hopeless(source, reasons, row_numbers=folded.row_numbers, raw_texts=folded.latest_ids)
    columns, more = _columns(folded, symbols, member.name)
    good, bad = np.flatnonzero(reasons == ""), np.flatnonzero(reasons != "")
    rows = {name: column.take(pa.array(good)) for name, column in columns.items()}
    if not named.all():
        text = f"{np.count_nonzero(~named)} reports have no identifier: left out"
        findings.append(Finding("report_without_identifier", text))
    return [
        Records(
            table=tables.SWAP_OPTION_REPORTS,
            rows=build(tables.SWAP_OPTION_REPORTS, {**rows, **places.take(good).columns()}, source),
            provider=PROVIDER,
            source_name=source.name,
            source_sha256=source.sha256,
            rejected=quarantine(
                source,
                reasons=reasons[bad],
                places=places.take(bad),
                underlyings=symbols.take(pa.array(bad)).to_pylist(),
                row_numbers=folded.row_numbers[bad],
                raw_texts=[folded.latest_ids[row] for row in bad.tolist()],
            ),
            findings=(*folded.findings, *findings, *more),
        )
    ]


def _underliers(folded: Folded) -> pa.ChunkedArray:
    """Names of the underliers; their identifiers where the reports have no names."""
    names, ids = folded.terms["underlier"], folded.terms["underlier_id"]
    filled = pc.not_equal(names, "")
    return pc.if_else(filled, names, ids)


def _places(
    folded: Folded, symbols: pa.Array, name: str
) -> tuple[Place, NDArray[np.object_], list[Finding]]:
    """Session and clocks of each record; and those that have none."""
    executed = instants_of(folded.terms, "executed_at")
    event_at = np.where(np.isnat(executed), folded.last_event_at, executed)
    reasons = np.where(np.isnat(event_at), "no_execution_time", "").astype(object)
    if np.isnat(event_at).all():
        refuse(name, "expected execution timestamps like 2026-10-01T08:15:22Z, found none")
    event_at = np.where(np.isnat(event_at), np.nanmax(event_at), event_at)
    last: Instants = np.fmax(event_at, folded.last_event_at)  # fmax passes over NaT
    known_at = last + DISSEMINATION_DELAY
    findings = []
    day = named_date(name)
    if day is None or "SEC_CUMULATIVE" in name.upper():
        text = (
            "the file does not tell the day of publication: expected that of one day; records "
            "count as known soon after their last event, though some were published later"
        )
        findings.append(Finding("dissemination_day_unknown", text))
    else:
        start = np.datetime64(day, "us")
        is_late = (last < start) | ~folded.is_timed
        known_at = np.where(is_late, np.maximum(known_at, start + _DAY), known_at)
    return Place(_days(event_at, symbols), event_at, known_at), reasons, findings


def _days(event_at: Instants, symbols: pa.Array) -> NDArray[np.datetime64]:
    """Session of each execution: the local date, or the next session where that is none."""
    days = event_at.astype("datetime64[D]")
    listed = symbols.to_numpy(zero_copy_only=False)
    for symbol in terms.distinct(symbols):
        try:
            calendar = underlying(symbol).calendar
        except UnknownUnderlyingError:
            continue
        if calendar == "XNYS":
            rows = np.flatnonzero(listed == symbol)
            days[rows] = _new_york_sessions(event_at[rows])
    return days


def _new_york_sessions(event_at: Instants) -> NDArray[np.datetime64]:
    hours, place = np.unique(event_at.astype("datetime64[h]"), return_inverse=True)
    found = [session_of_trade("XNYS", hour.replace(tzinfo=UTC)) for hour in hours.tolist()]
    sessions: NDArray[np.datetime64] = np.array(found, "datetime64[D]")[place]
    return sessions


def _columns(
    folded: Folded, symbols: pa.Array, name: str
) -> tuple[dict[str, pa.Array], list[Finding]]:
    cells = folded.terms
    count = len(folded.original_ids)
    notional = terms.read_amounts(cells["notional"])
    premium = terms.read_amounts(cells["premium"])
    strike = terms.read_amounts(cells["strike"])
    findings = []
    unreadable = notional.unreadable + premium.unreadable + strike.unreadable
    if unreadable:
        text = f"{unreadable} notionals, premiums or strikes are no single amount: left unknown"
        findings.append(Finding("amount_unreadable", text))

    def mapped(column: str, meaning: Meaning) -> pa.Array:
        return terms.by_value(cells[column], {t: meaning(t) for t in terms.distinct(cells[column])})

    def known(amounts: terms.Amounts) -> pa.Array:
        return pa.array(amounts.values, mask=np.isnan(amounts.values))

    def day(column: str) -> pa.Array:
        return pa.array(terms.read_dates(cells[column])).cast(pa.date32())

    return {
        "underlying": symbols,
        "original_id": pa.array(folded.original_ids, pa.string()),
        "latest_id": pa.array(folded.latest_ids, pa.string()),
        "status": pa.array(folded.status, pa.string()),
        "reports": pa.array(folded.reports.astype(np.int32)),
        "asset_class": mapped("asset_class", lambda text: terms.asset_class(text, name)),
        "underlier_name": _plain(_underliers(folded)),
        "option_type": pa.array(_option_types(cells), pa.string()),
        "style": mapped("fisn", terms.style),
        "strike": known(strike),
        "strike_notation": mapped("strike_notation", terms.notation),
        "effective_date": day("effective"),
        "expiry_date": day("expiry"),
        "notional": known(notional),
        "notional_currency": _plain(cells["notional_currency"]),
        "is_notional_capped": pa.array(notional.is_capped),
        "premium": known(premium),
        "premium_currency": _plain(cells["premium_currency"]),
        "is_package": pa.array(_flags(cells["package"]), pa.bool_()),
        "platform": _plain(cells["platform"]),
        "sign_rule": pa.repeat(pa.scalar("unsigned"), count),
    }, findings


def _plain(cells: pa.ChunkedArray) -> pa.Array:
    return cells.combine_chunks()


def _option_types(cells: pa.Table) -> list[str]:
    pairs = list(zip(cells["fisn"].to_pylist(), cells["option_type"].to_pylist(), strict=True))
    known = {pair: terms.option_type(*pair) for pair in set(pairs)}
    return [known[pair] for pair in pairs]


def _flags(cells: pa.ChunkedArray) -> list[bool | None]:
    return [_FLAGS.get(text.upper()) for text in cells.to_pylist()]
