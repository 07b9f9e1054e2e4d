"""What is listed: the contract reference, read whole, today's or a past day's.

Belongs here: the reference's field names, cutting it into pieces that are asked at once, the rows
of `tables.LISTED_CONTRACTS`. Does not belong here: what a chain makes of it (`snapshots`).

The reference wants the bare name of an index (``SPX``): for ``I:SPX`` it answers, with nothing. It
is read in windows of expiry dates, because a page tells where the next one begins and nothing else
does: thirty pages one after another would take thirty round trips.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.errors import NoDataError, ProviderError, ProviderUnavailableError
from dealer_assets.providers.base import ADJUSTED_ROOT, Keep, Records
from dealer_assets.providers.polygon.client import Ask, PolygonClient
from dealer_assets.providers.polygon.contracts import read_contracts
from dealer_assets.providers.polygon.fields import (
    NUMBER,
    TEXT,
    Bools,
    bare_symbols,
    joined,
    naive,
    numbers,
    texts,
)
from dealer_assets.providers.polygon.pages import Page, PageTexts, fetch_listing
from dealer_assets.providers.record_quarantine import quarantine
from dealer_assets.providers.record_rows import Place, Source, build
from dealer_assets.underlyings import Underlying

CONTRACT_ROW = pa.struct(
    [
        ("ticker", TEXT),
        ("expiration_date", TEXT),
        ("exercise_style", TEXT),
        ("shares_per_contract", NUMBER),
    ]
)
PAGE_ROWS = 1000

_WINDOW_DAYS = (0, 4, 8, 12, 16, 21, 28, 35, 50, 70, 100, 150, 220, 330, 500, 800)
"""Where windows of expiry dates begin, in days: an SPX listing has two or three pages in each."""


@dataclass(frozen=True)
class Reference:
    """The contracts listed on a day.

    Parameters
    ----------
    day : datetime.date
        New York date.
    symbols : frozenset of str
        Without ``O:``.
    expiries : mapping of datetime.date to int
        Contracts of each expiry date, ascending by date.
    """

    day: date
    symbols: frozenset[str]
    expiries: dict[date, int]


def reference_ticker(underlying: Underlying) -> str:
    """Return the name that the reference knows an underlying by.

    Raises
    ------
    NoDataError
        When the registry has no symbol of this vendor.
    """
    return vendor_ticker(underlying).removeprefix("I:")


def vendor_ticker(underlying: Underlying) -> str:
    """Return the name that all but the reference know an underlying by, e.g. ``I:SPX``.

    Raises
    ------
    NoDataError
        When the registry has no symbol of this vendor.
    """
    found = underlying.vendor_symbols.get("polygon")
    if found is None:
        raise NoDataError(
            f"{underlying.symbol} has no Polygon symbol: give its registry entry "
            "vendor_symbols['polygon'], or ask another provider"
        )
    return found


def fetch_reference(client: PolygonClient, underlying: Underlying, *, day: date) -> Reference:
    """Fetch what is listed now.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    underlying : Underlying
        Registry entry.
    day : datetime.date
        New York date of now; contracts that expire on it are listed.

    Raises
    ------
    ProviderError
        When any page fails: half a reference would make half a chain look whole.
    NoDataError
        When nothing is listed.
    """
    questions = _questions(underlying, day, {})
    rows, _ = joined(_all_pages(client, questions), CONTRACT_ROW)
    symbols = bare_symbols(texts(rows, "ticker")).to_pylist()
    by_day = Counter(texts(rows, "expiration_date").to_pylist())
    if not symbols:
        raise _nothing(underlying, day)
    return Reference(day, frozenset(symbols), _by_date(by_day))


def _by_date(counts: Counter[str]) -> dict[date, int]:
    found: dict[date, int] = {}
    for text, count in sorted(counts.items()):
        try:
            found[date.fromisoformat(text)] = count
        except ValueError:  # its contracts are still looked for, in the window they fall into
            continue
    return found


def _nothing(underlying: Underlying, day: date) -> NoDataError:
    return NoDataError(
        f"Polygon lists no contract of {reference_ticker(underlying)} on {day}: check "
        f"vendor_symbols['polygon'] of {underlying.symbol} and the date"
    )


def fetch_listed(
    client: PolygonClient,
    underlying: Underlying,
    *,
    session_date: date,
    is_past: bool,
    keep: Keep | None,
) -> Records:
    """Fetch the contracts listed in a session as rows of `tables.LISTED_CONTRACTS`.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    is_past : bool
        The New York date of the session is over. The vendor then counts contracts as of that day
        among the expired ones or not, depending on today: both are asked for.
    keep : Keep or None
        Where pages are kept, once the session is past.

    Raises
    ------
    ProviderError
        When any page fails.
    NoDataError
        When nothing was listed.
    """
    as_of: dict[str, Any] = {"as_of": session_date.isoformat()}
    questions = _questions(underlying, session_date, as_of | {"expired": False})
    if is_past:
        questions |= _questions(underlying, session_date, as_of | {"expired": True})
    pages = _all_pages(client, questions, keep=keep if is_past else None)
    rows, damaged = joined(pages, CONTRACT_ROW)
    if not len(rows):
        raise _nothing(underlying, session_date)
    name = f"polygon listing {underlying.symbol} {session_date}"
    source = Source("polygon", name, hashlib.sha256(name.encode()).hexdigest())
    return _listed(rows, damaged, pages, underlying=underlying, day=session_date, source=source)


def _listed(
    rows: pa.StructArray,
    damaged: Bools,
    pages: list[Page],
    *,
    underlying: Underlying,
    day: date,
    source: Source,
) -> Records:
    symbols = bare_symbols(texts(rows, "ticker"))
    contracts = read_contracts(symbols, underlying, source)
    styles = np.array(texts(rows, "exercise_style").to_pylist(), dtype=object)
    units = numbers(rows, "shares_per_contract")
    reasons = contracts.reasons.copy()

    def reject(where: Bools, reason: str) -> None:
        reasons[where & (reasons == "")] = reason

    reject(damaged | np.isinf(units) | (units <= 0), "not_a_number")
    reject(np.isfinite(units) & (units != contracts.multipliers), ADJUSTED_ROOT)
    reject(~np.isin(styles, tables.LISTED_CONTRACTS.column("exercise").allowed), "bad_exercise")
    believed = (reasons == "") & ~contracts.is_repeated
    good = np.flatnonzero(believed).astype(np.int64)
    bad = np.flatnonzero(reasons != "")
    opened = naive(sessions.session_open(underlying.calendar, day))
    columns = contracts.columns(good) | _place(day, opened, good.size).columns()
    taken = pa.array(good)
    columns |= {
        "exercise": texts(rows, "exercise_style").take(taken),
        "settlement": contracts.settlements.take(taken),
        "multiplier": pa.array(contracts.multipliers[good]),
        "listed_at": pa.nulls(good.size, tables.INSTANT),
    }
    raw_texts = PageTexts(pages)
    rejected = quarantine(
        source,
        reasons=reasons[bad],
        places=_place(day, opened, bad.size),
        underlyings=[underlying.symbol] * bad.size,
        row_numbers=bad + 1,
        raw_texts=[raw_texts[row] for row in bad.tolist()],
        symbols=[text or None for text in symbols.take(pa.array(bad)).to_pylist()],
    )
    return Records(
        table=tables.LISTED_CONTRACTS,
        rows=build(tables.LISTED_CONTRACTS, columns, source),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=rejected,
    )


def _place(day: date, opened: np.datetime64, count: int) -> Place:
    """Place a listing at the session's open, known by then."""
    at = np.full(count, opened)
    return Place(np.full(count, np.datetime64(day, "D")), at, at)


def _questions(underlying: Underlying, first: date, extra: dict[str, Any]) -> dict[str, Ask]:
    """Return a question for each window of expiry dates, by a name for its pages."""
    ticker = reference_ticker(underlying)
    questions: dict[str, Ask] = {}
    ends = (*_WINDOW_DAYS[1:], None)
    for begin, end in zip(_WINDOW_DAYS, ends, strict=True):
        window = {"expiration_date_gte": (first + timedelta(days=begin)).isoformat()}
        if end is not None:
            window["expiration_date_lt"] = (first + timedelta(days=end)).isoformat()
        kwargs = {
            "underlying_ticker": ticker,
            "limit": PAGE_ROWS,
            "sort": "ticker",
            **window,
            **extra,
        }
        name = f"{'expired' if extra.get('expired') else 'listed'}-{begin:03d}"
        what = f"contracts of {ticker} from {window['expiration_date_gte']} on"
        questions[name] = Ask(what, "list_options_contracts", kwargs=kwargs)
    return questions


def _all_pages(
    client: PolygonClient, questions: dict[str, Ask], *, keep: Keep | None = None
) -> list[Page]:
    def job(name: str, question: Ask) -> list[Page]:
        found = fetch_listing(
            client, question, CONTRACT_ROW, keep=keep, piece=name, is_final=keep is not None
        )
        if found.failure is not None:
            raise found.failure
        return list(found.pages)

    results = client.run([partial(job, name, asked) for name, asked in questions.items()])
    return [page for pages in _or_raise(results) for page in pages]


def _or_raise(results: Iterable[list[Page] | ProviderError | None]) -> list[list[Page]]:
    found: list[list[Page]] = []
    for result in results:
        if isinstance(result, ProviderError):
            raise result
        if result is None:
            raise ProviderUnavailableError("Polygon did not answer for its reference: try later")
        found.append(result)
    return found
