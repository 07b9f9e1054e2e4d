"""Interest rates as a provider: the Treasury's curve, the New York Fed's fixings, FRED.

Belongs here: who stands in for whom, and one answer out of several. Does not belong here: requests
(`rate_sources`), payloads (`treasury`, `nyfed`, `fred`), which curve serves an instant
(`domain/rates.py`).

What fails is told by a finding, never passed over: the Treasury's CSV is replaced by its XML feed,
both by FRED's copy (``treasury_fallback``); the New York Fed by FRED's copy of its fixings, FRED's
API by its graph (``rates_fallback``); what nobody has is missing (``rates_unavailable``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.rates import RateCurve, published_at
from dealer_assets.errors import BadInputError, ProviderError, ProviderUnavailableError
from dealer_assets.providers.asking import ONE_ATTEMPT, failed_probe
from dealer_assets.providers.base import Capability, Finding, Probe, Provider, Records
from dealer_assets.providers.rate_calendar import business_day_on_or_before
from dealer_assets.providers.rate_sources import FIXINGS, PROVIDER, RateSources
from dealer_assets.underlyings import Underlying

Answer = TypeVar("Answer")
Tries = Sequence[tuple[str, Callable[[], Answer]]]


class RatesProvider(Provider):
    """Publishers of US interest rates; no key needed.

    Parameters
    ----------
    sources : RateSources, optional
        Where they are asked for; None: the publishers' own hosts.
    fred_series : sequence of str
        FRED's series beside the fixings.
    **changes
        Fields of `RateSources` that differ, e.g. ``treasury_url``, ``patience``.

    Raises
    ------
    BadInputError
        When an address has no scheme or host.
    """

    name = PROVIDER
    capabilities: frozenset[Capability] = frozenset({"rates"})

    def __init__(
        self,
        sources: RateSources | None = None,
        *,
        fred_series: Sequence[str] = ("DGS1MO", "DGS3MO"),
        **changes: Any,
    ) -> None:
        self._sources = replace(sources or RateSources(), **changes)
        self._fred_series = tuple(word for word in fred_series if word not in FIXINGS)

    def serves(self, underlying: Underlying) -> bool:
        """Tell whether the underlying's options are discounted with these rates."""
        return underlying.calendar == "XNYS"

    def treasury_curves(
        self, first: date, last: date
    ) -> tuple[list[RateCurve], tuple[Finding, ...]]:
        """Return the Treasury's curves of a range of dates.

        Parameters
        ----------
        first, last : datetime.date
            Both included; a year comes in one file, so a range over New Year takes two.

        Returns
        -------
        curves : list of RateCurve
            Ascending by date; empty when none of the range is published yet.
        findings : tuple of Finding
            ``treasury_fallback`` for each year that another source stood in for.

        Raises
        ------
        ProviderError
            When nobody answers for a year (`ProviderUnavailableError` when that may pass).
        """
        _require_range(first, last)
        curves: list[RateCurve] = []
        findings: list[Finding] = []
        for year in range(first.year, last.year + 1):
            start, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
            found, finding = _first_answer(
                f"curves of {year}",
                (
                    ("the Treasury's CSV", partial(self._sources.treasury_csv, year)),
                    ("the Treasury's XML feed", partial(self._sources.treasury_xml, year)),
                    ("FRED's copy", partial(self._sources.fred_curves, start, end)),
                ),
                code="treasury_fallback",
            )
            curves += [curve for curve in found if start <= curve.date <= end]
            findings += finding
        return curves, tuple(findings)

    def rates(self, first: date, last: date) -> Records:
        """Return SOFR, EFFR and FRED's series of a range of dates; see `Provider.rates`.

        The batch is named by which sources answered and what they revised, not by the range:
        asking again replaces the same rows, and the version before a revision stays.

        Returns
        -------
        Records
            Not complete when something is missing, or not published yet (``not_yet_published``).

        Raises
        ------
        ProviderError
            When nobody answers (`ProviderUnavailableError` when that may pass).
        """
        _require_range(first, last)
        answers: dict[str, Records] = {}
        findings: list[Finding] = []
        problems: list[ProviderError] = []
        for word, tries in self._questions(first, last).items():
            try:
                answers[word], told = _first_answer(word, tries, code="rates_fallback")
                findings += told
            except ProviderError as error:
                problems.append(error)
                findings.append(Finding("rates_unavailable", str(error)))
        if not answers:
            raise _joined_error("rates", problems)
        return _joined(answers, findings, first, last)

    def probe(self, underlying: Underlying, *, now: datetime) -> Sequence[Probe]:
        """Look at each publisher once."""
        once, today = replace(self._sources, patience=ONE_ATTEMPT), now.date()
        recent = (today - timedelta(days=7), today)
        looks: dict[str, Callable[[], list[date]]] = {
            "treasury curve": lambda: [curve.date for curve in once.treasury_csv(today.year)],
            "nyfed SOFR": lambda: _days(once.fixings("SOFR", *recent)),
            "fred DGS1MO": lambda: _days(once.fred_graph(["DGS1MO"], *recent)),
        }
        return [_probe(f"rates {name}", look) for name, look in looks.items()]

    def _questions(self, first: date, last: date) -> dict[str, Tries[Records]]:
        """Return what is asked for, and of whom in turn."""
        sources = self._sources
        asked: dict[str, Tries[Records]] = {
            word: (
                ("the New York Fed", partial(sources.fixings, word, first, last)),
                ("FRED's copy", partial(sources.fred_graph, [word], first, last)),
            )
            for word in FIXINGS
        }
        for word in self._fred_series:
            graph = ("FRED's graph", partial(sources.fred_graph, [word], first, last))
            api = ("FRED's API", partial(sources.fred_api, word, first, last))
            asked[word] = (graph,) if sources.fred_api_key is None else (api, graph)
        return asked


def _require_range(first: date, last: date) -> None:
    if first > last:
        raise BadInputError(f"expected a range of dates, found {first} after {last}")


def _first_answer(
    what: str, tries: Tries[Answer], *, code: str
) -> tuple[Answer, tuple[Finding, ...]]:
    """Return the first answer, with a finding when it is not that of the first who was asked."""
    problems: list[ProviderError] = []
    for name, attempt in tries:
        try:
            answer = attempt()
        except ProviderError as error:
            problems.append(error)
            continue
        if not problems:
            return answer, ()
        text = f"{what} come from {name}: {'; '.join(map(str, problems))}"
        return answer, (Finding(code, text),)
    raise _joined_error(what, problems)


def _joined_error(what: str, problems: Sequence[ProviderError]) -> ProviderError:
    text = f"nobody answers for {what}: {'; '.join(map(str, problems))}"
    if any(isinstance(problem, ProviderUnavailableError) for problem in problems):
        return ProviderUnavailableError(text)
    return ProviderError(text)


def _joined(
    answers: dict[str, Records], findings: list[Finding], first: date, last: date
) -> Records:
    rows = pa.concat_tables([answer.rows for answer in answers.values()])
    day = rows["session_date"]
    inside = pc.and_(
        pc.greater_equal(day, pa.scalar(first, pa.date32())),
        pc.less_equal(day, pa.scalar(last, pa.date32())),
    )
    rows = rows.filter(inside).sort_by(
        [(name, "ascending") for name in (*tables.REFERENCE_RATES.key, "session_date")]
    )
    is_whole = not any(finding.code == "rates_unavailable" for finding in findings)
    told = (finding for answer in answers.values() for finding in answer.findings)
    late = _not_published(answers, rows, first, last)
    return Records(
        table=tables.REFERENCE_RATES,
        rows=rows,
        provider=PROVIDER,
        source_name=f"rates {' '.join(sorted(answers))}",
        source_sha256=_identity(answers, rows),
        rejected=pa.concat_tables([answer.rejected for answer in answers.values()]),
        is_complete=is_whole and not late,
        findings=(*findings, *told, *late),
    )


def _not_published(
    answers: dict[str, Records], rows: pa.Table, first: date, last: date
) -> tuple[Finding, ...]:
    """Return a finding when a series lacks the last business day that was asked for."""
    due = business_day_on_or_before(last)
    if due < first:
        return ()
    there = rows.filter(pc.equal(rows["session_date"], pa.scalar(due, pa.date32())))
    late = sorted(set(answers) - set(there["series"].to_pylist()))
    if not late:
        return ()
    text = f"no value of {due} is out of {', '.join(late)}: ask again"
    return (Finding("not_yet_published", text),)


def _identity(answers: dict[str, Records], rows: pa.Table) -> str:
    revised = rows.filter(rows["is_revised"])
    told = {
        "answered": sorted(answers),
        "revised": sorted(
            f"{word} {day}"
            for word, day in zip(
                revised["series"].to_pylist(), revised["session_date"].to_pylist(), strict=True
            )
        ),
    }
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _days(records: Records) -> list[date]:
    days: list[date] = sorted(set(records.rows["session_date"].to_pylist()))
    return days


def _probe(source: str, look: Callable[[], list[date]]) -> Probe:
    try:
        days = look()
    except ProviderError as error:
        return failed_probe(source, error)
    newest = max(days, default=None)
    return Probe(
        source=source,
        is_reachable=True,
        is_entitled=True,
        data_at=published_at(newest) if newest else None,
        detail=f"newest value of {newest or 'no day'}",
    )
