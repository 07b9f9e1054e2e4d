"""A whole chain: asked for in pieces at once, held against the reference, priced, handed over.

Belongs here: which pieces, which contracts did not come. Does not belong here: reading rows
(`chain`), the underlying's price (`spot`), paging (`pages`).

Cursors cannot be followed two at a time, so the chain is cut by expiry date, at the dates that the
reference lists; the pieces touch, so that an expiry that the reference does not know is found too.
The vendor gives no atomicity over pages, nor a count: a chain is whole when every contract of the
reference has come.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from dealer_assets.domain.sessions import expiry_instant
from dealer_assets.errors import BadInputError, NoDataError, ProviderError
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.base import ChainSnapshot
from dealer_assets.providers.polygon.chain import CHAIN_ROW, read_chain
from dealer_assets.providers.polygon.client import VENDOR, Ask, PolygonClient
from dealer_assets.providers.polygon.clocks import ChainClock, Note
from dealer_assets.providers.polygon.fields import naive
from dealer_assets.providers.polygon.market import ask_previous_close
from dealer_assets.providers.polygon.pages import Listing, Page, fetch_listing
from dealer_assets.providers.polygon.reference import Reference, vendor_ticker
from dealer_assets.providers.polygon.spot import Ladder, SpotQuote
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.symbol_columns import read_symbols
from dealer_assets.underlyings import Underlying

PAGE_ROWS = 250
PAGES_MISSING = "pages_missing"
LONG_SPAN = timedelta(seconds=15)
_NAMED = 5


@dataclass(frozen=True)
class Fetched:
    """What came of a chain.

    Parameters
    ----------
    pages : tuple of Page
        By expiry date.
    notes : tuple of (str, str)
        Findings on pages.
    """

    pages: tuple[Page, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Request:
    """A chain that is wanted.

    Parameters
    ----------
    underlying : Underlying
        Registry entry.
    at : datetime.datetime
        UTC now of the caller.
    delay : datetime.timedelta
        How far behind the market the plan is declared to be.
    reference : Reference
        What is listed.
    ask_value : callable
        Asks for the value of the index; may raise `ProviderError`.
    """

    underlying: Underlying
    at: datetime
    delay: timedelta
    reference: Reference
    ask_value: Callable[[], SpotQuote]


def take_chain(client: PolygonClient, request: Request) -> ChainSnapshot:
    """Fetch a chain, hold it against the reference, find spot, and put it through the gate.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    request : Request
        Which chain.

    Raises
    ------
    ProviderError
        When nothing came, or the plan does not cover it.
    BadInputError
        When more of it cannot be believed than `assembly` allows, or it is of another underlying.
    """
    asset = request.underlying
    fetched = fetch_chain(client, asset, request.reference)
    read = read_chain(fetched.pages, underlying=asset, at=request.at, delay=request.delay)
    raw = replace(
        read.raw,
        is_partial=any(code == PAGES_MISSING for code, _ in fetched.notes),
        notes=fetched.notes + read.raw.notes,
    )
    raw = compared(raw, request.reference, read.clock, asset)
    ladder = Ladder(
        asset,
        read.clock,
        ask_value=request.ask_value,
        ask_close=lambda: ask_previous_close(client, vendor_ticker(asset)),
    )
    found = assemble(ladder.climb(raw, read.spot))
    if found.underlying != asset.symbol:
        raise BadInputError(
            f"{raw.source_name}: expected options of {asset.symbol}, found {found.underlying}; "
            "check vendor_symbols['polygon'] in the registry"
        )
    return found


def fetch_chain(client: PolygonClient, underlying: Underlying, reference: Reference) -> Fetched:
    """Fetch every page of a chain, many at once.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    underlying : Underlying
        Registry entry.
    reference : Reference
        What is listed.

    Raises
    ------
    ProviderError
        When nothing came; the first failure.
    NoDataError
        When the vendor answered with no row at all.
    """
    pieces = _pieces(vendor_ticker(underlying), reference)
    longest_first = sorted(pieces, key=lambda day: -reference.expiries.get(day, 0))
    began = time.monotonic()
    results = client.run([_job(client, pieces[day]) for day in longest_first])
    lasted = timedelta(seconds=time.monotonic() - began)
    by_day = dict(zip(longest_first, results, strict=True))
    pages: list[Page] = []
    failed: dict[date, ProviderError | None] = {}
    for day in pieces:
        found = by_day[day]
        if not isinstance(found, Listing):
            failed[day] = found
            continue
        pages += found.pages
        if found.failure is not None:
            failed[day] = found.failure
    if not any(len(page.rows) for page in pages):
        for failure in failed.values():
            if failure is not None:
                raise failure
        raise NoDataError(f"{VENDOR} has no snapshot of {underlying.symbol}'s options")
    notes = _failures(failed) + _span(lasted)
    return Fetched(tuple(pages), notes)


def _job(client: PolygonClient, question: Ask) -> Callable[[], Listing]:
    return lambda: fetch_listing(client, question, CHAIN_ROW)


def _pieces(ticker: str, reference: Reference) -> dict[date, Ask]:
    """Return one question per expiry date, reaching to the next; the outer ones are open."""
    days = list(reference.expiries) or [reference.day]
    pieces: dict[date, Ask] = {}
    for i, day in enumerate(days):
        params: dict[str, str | int] = {"limit": PAGE_ROWS, "sort": "ticker", "order": "asc"}
        if i:
            params["expiration_date.gte"] = day.isoformat()
        if i + 1 < len(days):
            params["expiration_date.lt"] = days[i + 1].isoformat()
        what = f"the chain of {ticker}, expiry {day}"
        pieces[day] = Ask(what, "list_snapshot_options_chain", (ticker,), {"params": params})
    return pieces


def _failures(failed: dict[date, ProviderError | None]) -> tuple[Note, ...]:
    if not failed:
        return ()
    error = next((e for e in failed.values() if e is not None), None)
    days = ", ".join(f"{day}" for day in list(failed)[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    text = f"pages of {len(failed)} expiries are missing ({days}{more}): {error or 'not asked for'}"
    return ((PAGES_MISSING, text),)


def _span(lasted: timedelta) -> tuple[Note, ...]:
    if lasted <= LONG_SPAN:
        return ()
    text = f"the pages were read over {lasted.total_seconds():.0f} s: they are not of one instant"
    return (("pages_span", text),)


def compared(
    raw: RawChain, reference: Reference, clock: ChainClock, underlying: Underlying
) -> RawChain:
    """Hold a chain against the reference; a missing contract makes it partial.

    Parameters
    ----------
    raw : RawChain
        As it came.
    reference : Reference
        What is listed.
    clock : ChainClock
        When it is of: contracts that have expired since are not missing.
    underlying : Underlying
        Whose settlement rules tell when they expire.
    """
    came = frozenset(raw.symbols)
    missing = _alive(sorted(reference.symbols - came), clock, underlying)
    extra = sorted(came - reference.symbols - {""})
    notes: tuple[Note, ...] = ()
    if missing:
        of = f"of {len(reference.symbols):,} contracts that the reference lists did not come"
        notes += (("contracts_missing", f"{len(missing):,} {of}: {_named(missing)}"),)
    if extra:
        text = f"{len(extra):,} contracts came that the reference does not list: {_named(extra)}"
        notes += (("contracts_unlisted", text),)
    is_partial = raw.is_partial or bool(missing)
    return replace(raw, is_partial=is_partial, notes=raw.notes + notes)


def _named(symbols: Sequence[str]) -> str:
    """Name where they are, by expiry, and a few of them."""
    columns = read_symbols(symbols)
    days = Counter(str(day) for day in columns.expiries.tolist())
    where = ", ".join(f"{day} {count}" for day, count in days.most_common(_NAMED))
    return f"{where}; e.g. {', '.join(symbols[:_NAMED])}"


def _alive(symbols: list[str], clock: ChainClock, underlying: Underlying) -> list[str]:
    if not symbols:
        return []
    columns = read_symbols(symbols)
    now = naive(clock.quoted_at)
    ends: dict[tuple[str, date], np.datetime64] = {}
    alive = []
    days = columns.expiries.tolist()
    for symbol, code, day in zip(symbols, columns.root_codes.tolist(), days, strict=True):
        root = underlying.root(columns.root_names[code]) if code >= 0 else None
        if root is not None:
            key = (root.symbol, day)
            if key not in ends:
                ends[key] = naive(expiry_instant(root.settlement, underlying.calendar, day))
            if ends[key] <= now:
                continue
        alive.append(symbol)
    return alive
