"""Files of the swap data repository: reports of OTC index options and what became of them.

Belongs here: the columns, identifiers and lifecycles. Does not belong here: where the files go
(`files_out`).

Each file is a zip of one quoted CSV. Reports are in order of publication; some repeat word for
word, in the same file and in the next day's. Sizes above the cap are printed as the cap and a plus
sign.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator.noise import combine, counters, stream_key, uniform

CAP = 250_000_000
"""Largest notional that is printed [USD]."""

COLUMNS = (
    "Dissemination Identifier",
    "Original Dissemination Identifier",
    "Action type",
    "Event type",
    "Event timestamp",
    "Execution Timestamp",
    "Effective Date",
    "Expiration Date",
    "Maturity date of the underlier",
    "Cleared",
    "Notional amount-Leg 1",
    "Notional amount-Leg 2",
    "Notional currency-Leg 1",
    "Notional currency-Leg 2",
    "Call amount",
    "Call currency",
    "Put amount",
    "Put currency",
    "Option Premium Amount",
    "Option Premium Currency",
    "Strike Price",
    "Strike price currency/currency pair",
    "Strike price notation",
    "Option Type",
    "Platform identifier",
    "Package indicator",
    "Unique Product Identifier",
    "UPI FISN",
    "UPI Underlier Name",
)

_TRADES = 24
_INDEX_NAME = "S&P 500 INDEX"


@dataclass(frozen=True)
class Report:
    """One report; fields as printed but for the numbers.

    Parameters
    ----------
    number : int
        Dissemination identifier.
    original : int or None
        Identifier of the report it acts on.
    action, event : str
        E.g. ``NEWT`` and ``TRAD``.
    reported_at, executed_at : datetime.datetime
        UTC.
    effective, expiry : datetime.date
        Dates of the option.
    is_call : bool
        Right.
    strike, notional, premium : float
        USD.
    is_package : bool
        Part of a package.
    """

    number: int
    original: int | None
    action: str
    event: str
    reported_at: datetime
    executed_at: datetime
    effective: date
    expiry: date
    is_call: bool
    strike: float
    notional: float
    premium: float
    is_package: bool


def day_reports(rows: pa.Table, session_date: date, *, seed: int) -> list[Report]:
    """Return the reports of a session's own trades, in order of publication.

    Of every 24 trades one is corrected, two are modified (one of them twice) and one is withdrawn
    as an error.
    """
    live = rows.filter(pc.greater(rows["open_interest_contracts"], 0.0))
    live = live.filter(pc.greater(live["expiry_date"], pa.scalar(session_date, pa.date32())))
    draws = uniform(
        stream_key(seed, "dtcc", session_date.isoformat()), combine(counters(0, 4 * _TRADES), 0)
    ).reshape(4, _TRADES)
    opened = sessions.session_open("XNYS", session_date)
    minutes = np.sort(draws[0]) * 380.0
    first = int(f"{session_date:%y%m%d}") * 10_000_000_000
    reports: list[Report] = []
    for i in range(_TRADES):
        row = live.slice(int(draws[1, i] * live.num_rows), 1).to_pylist()[0]
        executed = opened + timedelta(seconds=round(60.0 * float(minutes[i])))
        contracts = round(20.0 * 10.0 ** (2.0 * float(draws[2, i])))
        mid = 0.5 * ((row["bid"] or 0.0) + (row["ask"] or 0.0))
        reports.append(
            Report(
                number=first + 1_000 * i + 1,
                original=None,
                action="NEWT",
                event="TRAD",
                reported_at=executed + timedelta(minutes=15),
                executed_at=executed,
                effective=session_date,
                expiry=row["expiry_date"],
                is_call=row["right"] == "call",
                strike=row["strike"],
                notional=round(contracts * 100.0 * row["spot"], 0),
                premium=round(contracts * 100.0 * mid, 2),
                is_package=bool(draws[3, i] < 0.4),
            )
        )
    reports += _later(reports)
    return sorted(reports, key=lambda report: (report.reported_at, report.number))


def _later(trades: Sequence[Report]) -> Iterable[Report]:
    modified = _act(trades[2], "MODI", "TRAD", 1, notional=0.5 * trades[2].notional)
    yield modified
    yield _act(trades[2], "MODI", "TRAD", 2, notional=0.25 * trades[2].notional)
    yield _act(trades[7], "MODI", "NOVA", 1)
    yield _act(trades[11], "CORR", "", 1, strike=trades[11].strike + 25.0)
    yield _act(trades[17], "EROR", "", 1)


def _act(report: Report, action: str, event: str, step: int, **changes: float) -> Report:
    """A later report on a trade; a modification keeps the time of execution."""
    return replace(
        report,
        number=report.number + 100 * step,
        original=report.number,
        action=action,
        event=event,
        reported_at=report.reported_at + timedelta(minutes=20 * step),
        **changes,  # type: ignore[arg-type]
    )


def terminations(before: Sequence[Report], session_date: date) -> list[Report]:
    """Return the reports of a session that end two of the session before's trades."""
    trades = [report for report in before if report.action == "NEWT"]
    opened = sessions.session_open("XNYS", session_date)
    return [
        replace(
            trades[i],
            number=trades[i].number + 900,
            original=trades[i].number,
            action="TERM",
            event=event,
            reported_at=opened + timedelta(minutes=5 + i),
        )
        for i, event in ((4, "ETRM"), (9, "EXER"))
    ]


def repository_zip(reports: Sequence[Report], name: str, *, repeated: Sequence[Report]) -> bytes:
    """Return the zip of a file.

    Parameters
    ----------
    reports : sequence of Report
        In order.
    name : str
        Of the file, without ending.
    repeated : sequence of Report
        Printed once more at the end, word for word.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(report) for report in (*reports, *repeated))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        # a fixed time keeps the bytes the same in every run
        archive.writestr(zipfile.ZipInfo(f"{name}.csv", (2020, 1, 1, 0, 0, 0)), text.getvalue())
    return packed.getvalue()


def _cells(report: Report) -> list[str]:
    right = "Call" if report.is_call else "Put"
    is_capped = report.notional > CAP
    notional = f"{CAP:,}+" if is_capped else f"{report.notional:,.0f}"
    known = {
        "Dissemination Identifier": str(report.number),
        "Original Dissemination Identifier": str(report.original or ""),
        "Action type": report.action,
        "Event type": report.event,
        "Event timestamp": f"{report.reported_at:%Y-%m-%dT%H:%M:%SZ}",
        "Execution Timestamp": f"{report.executed_at:%Y-%m-%dT%H:%M:%SZ}",
        "Effective Date": report.effective.isoformat(),
        "Expiration Date": report.expiry.isoformat(),
        "Cleared": "N",
        "Notional amount-Leg 1": notional,
        "Notional currency-Leg 1": "USD",
        f"{right} amount": notional.replace(",", ""),
        f"{right} currency": "USD",
        "Option Premium Amount": f"{report.premium:,.2f}",
        "Option Premium Currency": "USD",
        "Strike Price": f"{report.strike:g}",
        "Strike price currency/currency pair": "USD",
        "Strike price notation": "1",
        "Platform identifier": "BILT",
        "Package indicator": "TRUE" if report.is_package else "FALSE",
        "Unique Product Identifier": "QZ0SIMULATED",
        "UPI FISN": f"NA/O Van {right} {_INDEX_NAME}",
        "UPI Underlier Name": _INDEX_NAME,
    }
    return [known.get(column, "") for column in COLUMNS]
