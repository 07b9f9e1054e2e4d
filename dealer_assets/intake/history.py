"""History of past sessions: fetched once into cache and lake, and put together to chains.

Belongs here: what is asked of whom, what is held already, and reconstructing snapshots. Does not
belong here: how a vendor is asked (`providers`), the arithmetic (`domain/reconstruct.py`).

Every step can be killed and repeated: payloads lie in the cache under their names, a session is
marked complete only when all of them do, and the lake's parts are named by what they answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.coverage import coverage_of
from dealer_assets.domain.open_interest import open_interest_of
from dealer_assets.domain.selection import nearest_the_money
from dealer_assets.errors import NoDataError, NotEntitledError, NotOfferedError, ProviderError
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.intake.outcome import Outcome
from dealer_assets.intake.records import held, preferred_provider, store_request
from dealer_assets.lake.cache import HistoryCache
from dealer_assets.lake.layout import event_at_of
from dealer_assets.lake.reader import Part, list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import delete_part
from dealer_assets.providers.base import Capability, ChainSnapshot, Finding, Keep, Provider, Records
from dealer_assets.sources import SIMULATOR
from dealer_assets.tables import Table
from dealer_assets.underlyings import Underlying

CAPABILITY: dict[str, Capability] = {
    tables.LISTED_CONTRACTS.name: "listing",
    tables.INDEX_VALUES.name: "index_values",
    tables.OPTION_BARS.name: "bars",
    tables.OPTION_TRADES.name: "trades",
    tables.OPTION_QUOTES.name: "quotes",
    tables.BLOCK_TRADES.name: "blocks",
}
"""What a provider has to offer to fill a table, in the order in which they build on each other."""

RECONSTRUCTED = "reconstructed"

WHOLE_TAPES = frozenset({SIMULATOR, "flatfiles", "deribit"})
"""Providers whose trades are those of all contracts: no print means that nothing traded."""


@dataclass(frozen=True)
class HistorySource:
    """Whom to ask for the past, and where payloads are kept.

    Parameters
    ----------
    providers : sequence of Provider
        The preferred first.
    cache : HistoryCache
        Fetched payloads.
    quoted_contracts : int
        Contracts, nearest the money, whose quotes are fetched.
    """

    providers: Sequence[Provider]
    cache: HistoryCache
    quoted_contracts: int = 400

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for provider in self.providers:
            provider.close()


def fetch(
    lake: Lake,
    source: HistorySource,
    asset: Underlying,
    *,
    table: Table,
    session_date: date,
    now: datetime,
    rebuild: bool = False,
) -> Outcome:
    """Bring one table of a session up to date from the first provider that has it.

    Parameters
    ----------
    lake : Lake
        Storage.
    source : HistorySource
        Providers and cache.
    asset : Underlying
        Registry entry.
    table : Table
        One of `CAPABILITY`.
    session_date : datetime.date
        Session.
    now : datetime.datetime
        UTC now: a session that runs is never complete.
    rebuild : bool
        Build the rows anew from the cache even when they are held whole.

    Returns
    -------
    Outcome
        ``held`` when the session is held whole; nothing is asked then.

    Raises
    ------
    NotOfferedError
        When no provider offers it.
    ProviderError
        The last refusal, when all that offer it refuse.
    """
    capability = CAPABILITY[table.name]
    able = [p for p in source.providers if capability in p.capabilities]
    if not able:
        named = ", ".join(f"{p.name} has none" for p in source.providers) or "none configured"
        raise NotOfferedError(
            f"{asset.symbol} {session_date}: expected a provider of {table.name}, found: {named}; "
            "set DEALER_HISTORY_PROVIDER, or import files"
        )
    refusals: list[ProviderError] = []
    for provider in able:
        asked = _asked_of(lake, source, provider, asset, table=table, day=session_date)
        covered = _coverage(lake, table, asset.symbol, session_date, provider=provider.name)
        if covered is not None and _is_held_whole(covered, asked) and not rebuild:
            return _held(covered, table, asset, session_date)
        try:
            return _ask(
                lake,
                source,
                provider,
                asset,
                table=table,
                day=session_date,
                now=now,
                asked=asked,
                refusals=refusals,
            )
        except (NoDataError, NotEntitledError, NotOfferedError) as error:
            refusals.append(error)
    raise refusals[-1]


def _ask(
    lake: Lake,
    source: HistorySource,
    provider: Provider,
    asset: Underlying,
    *,
    table: Table,
    day: date,
    now: datetime,
    asked: Sequence[str] | None,
    refusals: Sequence[ProviderError],
) -> Outcome:
    keep = source.cache.day(provider.name, table.name, asset.symbol, day)
    records = _request(provider, asset, table=table, day=day, keep=keep, asked=asked)
    if refusals:  # the preferred provider is asked again until it has it
        text = "; ".join(str(refusal) for refusal in refusals)
        records = replace(
            records,
            findings=(*records.findings, Finding("provider_fallback", text)),
            is_complete=records.is_complete and isinstance(refusals[-1], NotEntitledError),
        )
    is_over = now >= sessions.quotes_end(asset.calendar, day) + provider.delay
    if records.is_complete and not is_over:
        finding = Finding("session_runs", f"session {day} has not ended: asked again later")
        records = _incomplete(records, finding)
    outcome = store_request(
        lake,
        records,
        underlying=asset.symbol,
        session_date=day,
        asked=None if asked is None else len(asked),
    )
    if records.is_complete:
        keep.mark_complete()
    return outcome


def _asked_of(
    lake: Lake,
    source: HistorySource,
    provider: Provider,
    asset: Underlying,
    *,
    table: Table,
    day: date,
) -> list[str] | None:
    """Contracts that a provider is asked for; None where the answer is the whole session's."""
    by_contract = table.name == tables.OPTION_QUOTES.name or (
        # a provider of single contracts is asked for the same choice; one of whole files gives all
        table.name in (tables.OPTION_BARS.name, tables.OPTION_TRADES.name)
        and not provider.gives_whole_sessions
    )
    if not by_contract:
        return None
    return chosen_contracts(lake, asset, day, count=source.quoted_contracts)


def _request(
    provider: Provider,
    asset: Underlying,
    *,
    table: Table,
    day: date,
    keep: Keep,
    asked: Sequence[str] | None,
) -> Records:
    where = {"session_date": day, "keep": keep}
    if table.name == tables.LISTED_CONTRACTS.name:
        return provider.listing(asset, **where)  # type: ignore[arg-type]
    if table.name == tables.INDEX_VALUES.name:
        return provider.index_values(asset, **where)  # type: ignore[arg-type]
    if table.name == tables.BLOCK_TRADES.name:
        return provider.blocks(asset, **where)  # type: ignore[arg-type]
    if table.name == tables.OPTION_QUOTES.name:
        return provider.quotes(asset, symbols=asked or (), **where)  # type: ignore[arg-type]
    if table.name == tables.OPTION_BARS.name:
        return provider.bars(asset, symbols=asked, **where)  # type: ignore[arg-type]
    return provider.trades(asset, symbols=asked, **where)  # type: ignore[arg-type]


def chosen_contracts(lake: Lake, asset: Underlying, session_date: date, *, count: int) -> list[str]:
    """Return the contracts whose quotes are worth fetching: those that gamma depends on.

    Raises
    ------
    NoDataError
        When no contract of the session is listed in the lake.
    """
    listing = read_partition(lake, tables.LISTED_CONTRACTS, asset.symbol, session_date)
    if not listing.num_rows:
        raise NoDataError(
            f"{asset.symbol} {session_date}: expected the session's listing in the lake, found "
            "none: materialize listed_contracts first"
        )
    opened = sessions.session_open(asset.calendar, session_date)
    spot = _first_spot(lake, asset, session_date)
    return nearest_the_money(listing, spot=spot, at=opened, count=count)


def _first_spot(lake: Lake, asset: Underlying, session_date: date) -> float | None:
    values = held(lake, tables.INDEX_VALUES, asset.symbol, session_date)
    spots = values.filter(pc.equal(values["kind"], "spot")).sort_by("event_at")
    if spots.num_rows:
        return float(spots["value"][0].as_py())
    before = sessions.previous_session(asset.calendar, session_date)
    closes = read_partition(lake, tables.DAILY_HISTORY, asset.symbol, before, columns=["spot"])
    known = pc.max(closes["spot"]).as_py() if closes.num_rows else None
    return None if known is None else float(known)


def reconstruct_session(
    lake: Lake, asset: Underlying, *, session_date: date, instants: Sequence[datetime]
) -> list[Outcome]:
    """Put chains of a past session together from its tape, and store them.

    Parameters
    ----------
    lake : Lake
        Holds the session's listing, index values, and quotes, trades or bars.
    asset : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    instants : sequence of datetime.datetime
        UTC, ascending.

    Returns
    -------
    list of Outcome
        Empty when the lake holds no tape of the session.

    Raises
    ------
    NoDataError
        When the tape is not whole: chains of half a tape would stay.
    """
    from dealer_assets.domain.reconstruct import reconstruct

    symbol = asset.symbol
    listing = read_partition(lake, tables.LISTED_CONTRACTS, symbol, session_date)
    tape = {
        table.name: held(lake, table, symbol, session_date)
        for table in (tables.OPTION_QUOTES, tables.OPTION_TRADES, tables.OPTION_BARS)
    }
    if not listing.num_rows or not any(rows.num_rows for rows in tape.values()):
        return []
    _require_whole_tape(lake, asset, session_date)
    told = {name for rows in tape.values() for name in rows["provider"].unique().to_pylist()}
    asked, gap = _asked_for(listing, tape, is_whole=told <= WHOLE_TAPES)
    built = reconstruct(
        instants,
        underlying=asset,
        listing=asked,
        quotes=tape[tables.OPTION_QUOTES.name],
        trades=tape[tables.OPTION_TRADES.name],
        bars=tape[tables.OPTION_BARS.name],
        index_values=held(lake, tables.INDEX_VALUES, symbol, session_date),
        open_interest=_one_publisher(held(lake, tables.OPEN_INTEREST, symbol, session_date)),
    )
    # a simulated tape makes simulated chains, which never stand beside real ones
    provider = SIMULATOR if SIMULATOR in told else RECONSTRUCTED
    outcomes = []
    for at, (rows, remarks) in zip(instants, built, strict=True):
        if not rows.num_rows:
            continue
        findings = [*gap, *(Finding(remark.code, remark.text) for remark in remarks)]
        marked = _with_constants(rows, provider=provider, is_partial=True if gap else None)
        snapshot = _snapshot(asset, session_date, at, marked, findings)
        outcomes.append(store_snapshot(lake, snapshot))
    return outcomes


def _require_whole_tape(lake: Lake, asset: Underlying, session_date: date) -> None:
    rows = read_partition(lake, tables.FEED_COVERAGE, asset.symbol, session_date)
    wanted = pc.is_in(rows["dataset"], value_set=pa.array(list(CAPABILITY)))
    found = rows.filter(wanted).to_pylist()
    whole = {row["dataset"] for row in found if row["is_complete"]}
    short = sorted({row["dataset"] for row in found} - whole)
    if short:
        raise NoDataError(
            f"{asset.symbol} {session_date}: expected the session's whole tape to put chains "
            f"together, found {', '.join(short)} incomplete: run `dealer history` again"
        )


def is_reconstructed(lake: Lake, part: Part) -> bool:
    """Tell whether a held chain was put together from a tape."""
    rows = read_part(lake, tables.CHAIN_SNAPSHOTS, part, columns=["provider"])
    return bool(rows.num_rows > 0 and rows["provider"][0].as_py() == RECONSTRUCTED)


def forget_reconstructed(lake: Lake, asset: Underlying, *, session_date: date) -> None:
    """Delete the chains of a session that were put together; the chain itself last."""
    symbol = asset.symbol
    for part in list_parts(lake, tables.CHAIN_SNAPSHOTS, symbol, session_date):
        if not is_reconstructed(lake, part):
            continue
        instant = event_at_of(part.name, session_date)
        for table in (tables.REJECTED_ROWS, tables.CHAIN_SOURCES):
            for other in list_parts(lake, table, symbol, session_date):
                if event_at_of(other.name, session_date) == instant:
                    delete_part(
                        lake,
                        table,
                        underlying=symbol,
                        session_date=session_date,
                        name=other.name,
                    )
        delete_part(
            lake,
            tables.CHAIN_SNAPSHOTS,
            underlying=symbol,
            session_date=session_date,
            name=part.name,
        )


def _asked_for(
    listing: pa.Table, tape: Mapping[str, pa.Table], *, is_whole: bool
) -> tuple[pa.Table, list[Finding]]:
    """Contracts that the tape tells about, and a finding where that is not the whole listing.

    Of a provider of single contracts nothing is known of those it was not asked for: neither that
    they had no quote nor that they did not trade. They are no rows of the chain.
    """
    if is_whole:
        return listing, []
    told = pa.concat_arrays([rows["symbol"].unique() for rows in tape.values()]).unique()
    asked = listing.filter(pc.is_in(listing["symbol"], told))
    text = (
        f"{asked.num_rows:,} of {listing.num_rows:,} listed contracts were asked for, those whose "
        "gamma counts most: a part of the chain (DEALER_QUOTED_CONTRACTS sets how many)"
    )
    is_short = asked.num_rows < listing.num_rows
    return asked, [Finding("chain_of_chosen_contracts", text)] if is_short else []


def _with_constants(rows: pa.Table, *, provider: str, is_partial: bool | None) -> pa.Table:
    constants: dict[str, object] = {"provider": provider}
    if is_partial is not None:
        constants["is_partial"] = is_partial
    for name, value in constants.items():
        place = rows.schema.get_field_index(name)
        column = pa.repeat(pa.scalar(value), rows.num_rows)
        rows = rows.set_column(place, rows.schema.field(place), column)
    return rows


def _snapshot(
    asset: Underlying, day: date, at: datetime, rows: pa.Table, findings: Sequence[Finding]
) -> ChainSnapshot:
    name = f"{RECONSTRUCTED} {asset.symbol} {at:%Y-%m-%dT%H:%M:%SZ}"
    return ChainSnapshot(
        underlying=asset.symbol,
        session_date=day,
        event_at=at,
        known_at=pc.max(rows["known_at"]).as_py(),
        provider=rows["provider"][0].as_py(),
        source_name=name,
        source_sha256=hashlib.sha256(name.encode()).hexdigest(),
        rows=rows,
        is_partial=bool(pc.any(rows["is_partial"]).as_py()),
        findings=tuple(findings),
    )


def _one_publisher(rows: pa.Table) -> pa.Table:
    """Open interest of one publisher: the one that tells most contracts."""
    if not rows.num_rows:
        return rows
    return rows.filter(pc.equal(rows["provider"], preferred_provider(rows)))


def archive_open_interest(lake: Lake, asset: Underlying, *, session_date: date) -> Outcome | None:
    """Keep the open interest that the session's newest chain shows; None without a chain.

    Not complete when the chain is partial or its open interest wiped: nobody sells it afterwards.
    """
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, asset.symbol, session_date)
    if not parts:
        return None
    chain = read_part(lake, tables.CHAIN_SNAPSHOTS, parts[-1])
    rows = open_interest_of(chain, asset)
    provider = chain["provider"][0].as_py()
    name = f"chain of {asset.symbol} {session_date}"
    records = Records(
        table=tables.OPEN_INTEREST,
        rows=rows,
        provider=provider,
        source_name=name,
        source_sha256=hashlib.sha256(f"{provider} {name}".encode()).hexdigest(),
        is_complete=rows.num_rows == chain.num_rows
        and not coverage_of(asset, chain).is_partial
        and bool(pc.any(pc.greater(rows["open_interest_contracts"], 0.0)).as_py()),
    )
    return store_request(lake, records, underlying=asset.symbol, session_date=session_date)


def _incomplete(records: Records, finding: Finding) -> Records:
    return replace(records, is_complete=False, findings=(*records.findings, finding))


def _coverage(
    lake: Lake, table: Table, symbol: str, session_date: date, *, provider: str
) -> dict[str, object] | None:
    """Return what a provider's request for a table's session covered, or None."""
    rows = read_partition(lake, tables.FEED_COVERAGE, symbol, session_date)
    same = pc.and_(pc.equal(rows["dataset"], table.name), pc.equal(rows["provider"], provider))
    found: list[dict[str, object]] = rows.filter(same).to_pylist()
    return found[0] if found else None


def _is_held_whole(covered: Mapping[str, object], asked: Sequence[str] | None) -> bool:
    """Tell whether everything that would be asked was asked, and came."""
    reach = covered["contracts_asked"]
    is_enough = asked is None or (isinstance(reach, int) and reach >= len(asked))
    return bool(covered["is_complete"]) and is_enough


def _held(
    covered: dict[str, object], table: Table, asset: Underlying, session_date: date
) -> Outcome:
    return Outcome(
        source=str(covered["source_name"]),
        status="held",
        table=table.name,
        underlying=asset.symbol,
        session_date=session_date,
        contracts=int(str(covered["rows"])),
    )
