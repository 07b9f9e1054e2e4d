"""Rows that are no chain, in the lake: stored by batch, read back as one table without doubles.

Belongs here: where `Records` meet the lake. Does not belong here: parsing (`providers`), chains
(`ingest`), what the rows mean (`domain`).

A file's rows are one batch for each partition, named by the payload's hash: importing it again
changes nothing, and two versions of a record stay side by side with their own `known_at`. What was
requested for a session is one batch for each provider: asked again for the same contracts it
replaces them, asked for others it adds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.intake.outcome import Outcome, Status
from dealer_assets.lake.layout import SESSION_PART, batch_part, part_name
from dealer_assets.lake.locks import exclusive
from dealer_assets.lake.reader import list_parts, read_part, read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.providers.base import ADJUSTED_ROOT, Records
from dealer_assets.sources import SIMULATOR

NO_ERRORS = frozenset({ADJUSTED_ROOT, "expired_series", "root_not_told", "nonstandard_series"})
"""Quarantine reasons of rows that are right, only not ours."""


TAPES = (
    tables.OPTION_TRADES,
    tables.OPTION_QUOTES,
    tables.OPTION_BARS,
    tables.INDEX_VALUES,
    tables.UNDERLYING_BARS,
)
"""Tables of which several providers tell the same: they are never added up."""


def store_file(lake: Lake, records: Records) -> list[Outcome]:
    """Store the rows of a file, one part for each partition they fall into.

    Returns
    -------
    list of Outcome
        One per partition; one refusal when the file held nothing that could be believed.
    """
    outcomes = [
        _store(lake, records, rows, underlying=symbol, session_date=day, sha256=_identity(records))
        for symbol, day, rows in _partitions(records.rows)
    ]
    _store_rejected(lake, records)
    if outcomes:
        return outcomes
    reasons = sorted(set(records.rejected["reason"].to_pylist()))
    return [
        Outcome(
            source=records.source_name,
            status="refused",
            reason=(
                f"{records.source_name}: expected rows of {records.table.name}, found none that "
                f"could be believed ({', '.join(reasons) or 'the file has none'})"
            ),
            table=records.table.name,
            rejected=records.rejected.num_rows,
            findings=records.findings,
        )
    ]


def store_request(
    lake: Lake,
    records: Records,
    *,
    underlying: str,
    session_date: date,
    asked: int | None = None,
) -> Outcome:
    """Store what a provider answered for a session; asking again never doubles a row.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    records : Records
        All rows of one underlying and session; possibly none.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Session.
    asked : int, optional
        How many contracts were asked for; None: all, and a whole answer replaces what is held.
    """
    table = records.table
    identity = hashlib.sha256(
        f"{records.provider} {table.name} {underlying} {session_date}".encode()
    ).hexdigest()
    with exclusive(lake, table, underlying=underlying, session_date=session_date):
        rows = records.rows
        if "symbol" in table.schema.names and (asked is not None or not records.is_complete):
            name = _name(table, records.provider, identity)
            for part in list_parts(lake, table, underlying, session_date):
                if part.name == name:
                    former = read_part(lake, table, part)
                    # a listing has one part for all providers
                    ours = former.filter(pc.equal(former["provider"], records.provider))
                    rows = _with_others(ours, rows)
        outcome = _store(
            lake,
            records,
            rows,
            underlying=underlying,
            session_date=session_date,
            sha256=identity,
            asked=asked,
            is_request=True,
        )
    _store_rejected(lake, records)
    return outcome


def _with_others(held: pa.Table, new: pa.Table) -> pa.Table:
    """Rows of the new answer, and held rows of contracts and intervals it says nothing about."""
    names = ["symbol", *(["interval"] if "interval" in new.column_names else [])]
    fresh = new.select(names).group_by(names).aggregate([])
    return pa.concat_tables(
        [new, held.join(fresh, keys=names, join_type="left anti").cast(new.schema)]
    )


def held(
    lake: Lake,
    table: tables.Table,
    underlying: str,
    session_date: date,
    *,
    as_of: datetime | None = None,
) -> pa.Table:
    """Return a session's rows, each record once.

    Of several versions of a record the last known stays. Of several providers of the same tape,
    whose prints would double, one is taken whole: a real one before the simulator, then the one
    with most rows.

    Parameters
    ----------
    lake : Lake
        Storage.
    table : tables.Table
        A table cut by batch.
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Session.
    as_of : datetime.datetime, optional
        Only what was known at this instant.

    Returns
    -------
    pyarrow.Table
        Sorted by the table's key.
    """
    return once(table, read_partition(lake, table, underlying, session_date, as_of=as_of))


def once(table: tables.Table, rows: pa.Table) -> pa.Table:
    """Return rows of a partition's batches, each record once, as `held` does.

    Parameters
    ----------
    table : tables.Table
        A table cut by batch.
    rows : pyarrow.Table
        All batches of one underlying and session.
    """
    if rows.num_rows and table in TAPES:
        rows = rows.filter(pc.equal(rows["provider"], preferred_provider(rows)))
    return _latest(table, rows)


def preferred_provider(rows: pa.Table) -> str:
    """Return the provider to take whole: a real one first, then the one with most rows."""
    counts = rows.group_by("provider").aggregate([("provider", "count")]).to_pylist()
    best = min(
        counts, key=lambda c: (c["provider"] == SIMULATOR, -c["provider_count"], c["provider"])
    )
    return str(best["provider"])


def _latest(table: tables.Table, rows: pa.Table) -> pa.Table:
    """One row per key, the last known of each."""
    if rows.num_rows < 2:
        return rows
    place = pa.array(range(rows.num_rows), pa.int64())
    ordered = rows.append_column("_place", place).sort_by(
        [("known_at", "ascending"), ("source_name", "ascending")]
    )
    ordered = ordered.set_column(ordered.num_columns - 1, "_place", place)
    last = ordered.group_by(list(table.key)).aggregate([("_place", "max")])["_place_max"]
    kept = ordered.take(last).drop_columns(["_place"])
    return kept.sort_by([(name, "ascending") for name in table.key])


def _partitions(rows: pa.Table) -> Iterator[tuple[str, date, pa.Table]]:
    keys = rows.group_by(["underlying", "session_date"]).aggregate([])
    for key in keys.sort_by(
        [("session_date", "ascending"), ("underlying", "ascending")]
    ).to_pylist():
        symbol, day = key["underlying"], key["session_date"]
        same = pc.and_(
            pc.equal(rows["underlying"], symbol),
            pc.equal(rows["session_date"], pa.scalar(day, pa.date32())),
        )
        yield symbol, day, rows.filter(same)


def _identity(records: Records) -> str:
    return hashlib.sha256(f"{records.table.name} {records.source_sha256}".encode()).hexdigest()


def _name(table: tables.Table, provider: str, sha256: str) -> str:
    return SESSION_PART if table.part == "session" else batch_part(provider, sha256)


def _store(
    lake: Lake,
    records: Records,
    rows: pa.Table,
    *,
    underlying: str,
    session_date: date,
    sha256: str,
    asked: int | None = None,
    is_request: bool = False,
) -> Outcome:
    """Write the batch, then what it covers: killed in between, a repeat finishes the work."""
    table = records.table
    where = {"underlying": underlying, "session_date": session_date}
    status: Status = "held"
    if rows.num_rows:
        name = _name(table, records.provider, sha256)
        part = write_part(lake, table, rows, name=name, **where)  # type: ignore[arg-type]
        status = "stored" if part.changed else "held"
    _store_coverage(
        lake,
        records,
        rows,
        underlying=underlying,
        session_date=session_date,
        asked=asked,
        is_request=is_request,
    )
    return Outcome(
        source=records.source_name,
        status=status,
        table=table.name,
        underlying=underlying,
        session_date=session_date,
        contracts=rows.num_rows,
        rejected=records.rejected.num_rows,
        impossible=sum(r not in NO_ERRORS for r in records.rejected["reason"].to_pylist()),
        is_partial=not records.is_complete,
        findings=records.findings,
    )


def _store_coverage(
    lake: Lake,
    records: Records,
    rows: pa.Table,
    *,
    underlying: str,
    session_date: date,
    asked: int | None,
    is_request: bool,
) -> None:
    midnight = datetime.combine(session_date, datetime.min.time(), tzinfo=UTC)
    known_at = pc.max(rows["known_at"]).as_py() if rows.num_rows else midnight
    table = tables.FEED_COVERAGE
    row = {
        "underlying": underlying,
        "session_date": session_date,
        "event_at": pc.max(rows["event_at"]).as_py() if rows.num_rows else midnight,
        "known_at": known_at,
        "provider": records.provider,
        "source_name": records.source_name,
        "dataset": records.table.name,
        "rows": rows.num_rows,
        "rejected": records.rejected.num_rows,
        "contracts": len(rows["symbol"].unique()) if "symbol" in rows.column_names else 0,
        "contracts_asked": asked,
        "is_complete": records.is_complete,
        "findings": [finding.code for finding in records.findings],
        "findings_text": "; ".join(finding.text for finding in records.findings),
    }
    # a request has one row, whatever was asked; each file has its own
    source = "" if is_request else records.source_name
    sha256 = hashlib.sha256(
        f"{records.table.name} {records.provider} {source}".encode()
    ).hexdigest()
    write_part(
        lake,
        table,
        pa.Table.from_pylist([row], schema=table.schema),
        underlying=underlying,
        session_date=session_date,
        name=batch_part(records.provider, sha256),
    )


def _store_rejected(lake: Lake, records: Records) -> None:
    """Quarantine, one part for each partition and instant, as `rejected_rows` is cut."""
    table = tables.REJECTED_ROWS
    for symbol, day, rows in _partitions(records.rejected):
        rows = _dated_within(rows, day)
        for instant in rows["event_at"].unique().to_pylist():
            same = rows.filter(pc.equal(rows["event_at"], pa.scalar(instant, tables.INSTANT)))
            sha256 = same["source_sha256"][0].as_py()
            name = part_name(table, event_at=instant, sha256=sha256)
            write_part(lake, table, same, underlying=symbol, session_date=day, name=name)


def _dated_within(rows: pa.Table, day: date) -> pa.Table:
    """Date rows by their session where their own instant lies in the one before.

    Open interest is counted at the close before the session it is given for, but a part of the
    quarantine is named after an instant of its session.
    """
    midnight = pa.scalar(datetime.combine(day, datetime.min.time(), tzinfo=UTC), tables.INSTANT)
    event_at = rows["event_at"]
    is_within = pc.equal(event_at.cast(pa.date32()), pa.scalar(day, pa.date32()))
    place = rows.schema.get_field_index("event_at")
    dated = pc.if_else(is_within, event_at, midnight)
    return rows.set_column(place, rows.schema.field(place), dated)
