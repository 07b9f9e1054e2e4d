"""Reading the repository's files: reports of options as columns of text.

Belongs here: column names through the years, which reports are of options, streaming. Does not
belong here: what reports do to each other (`lifecycle`), or what cells mean (`terms`).

A file has 110 to 150 columns, matched by name whatever their case. SEC's equities file holds every
report since the beginning, 2 million rows in 1.15 GB; of each block only the reports of options are
kept. Products are named by FISN (``NA/O Van Put EUR USD``: behind the slash ``O`` for an option);
reports from before those names have an option type instead.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.providers.archives import HashingReader, Member
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.csv_stream import CsvStream

BLOCK_BYTES = 8 * 1024**2
"""Bytes of text held at once, beside the options found so far."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("dissemination identifier", "dissemintation id"),
    "original": ("original dissemination identifier", "original dissemintation id"),
    "action": ("action type",),
    "event": ("event type",),
    "event_at": ("event timestamp",),
    "executed_at": ("execution timestamp",),
    "effective": ("effective date",),
    "expiry": ("expiration date",),
    "asset_class": ("asset class", "primary asset class"),
    "notional": ("notional amount-leg 1",),
    "notional_currency": ("notional currency-leg 1",),
    "premium": ("option premium amount",),
    "premium_currency": ("option premium currency",),
    "strike": ("strike price",),
    "strike_notation": ("strike price notation",),
    "platform": ("platform identifier",),
    "package": ("package indicator",),
    "option_type": ("option type",),
    "fisn": ("upi fisn",),
    "underlier": ("upi underlier name",),
    "underlier_id": ("underlier id-leg 1",),
}
"""Our name of each column, and theirs in lower case."""

_NEEDED = ("id", "original", "action", "executed_at", "notional", "strike")
_IS_OPTION = r"/O( |$)"


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like a file of reports.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed; the header may be longer.
    name : str
        File name; not needed for this format.
    """
    first = head.partition(b"\n")[0].lower()
    return b"dissemination identifier" in first or b"dissemintation id" in first


def read_options(member: Member) -> tuple[pa.Table, int, str]:
    """Return the reports of options in a file.

    Parameters
    ----------
    member : Member
        CSV text.

    Returns
    -------
    reports : pyarrow.Table
        Columns of text named as in `COLUMNS`, blank where empty or absent, and ``row_number``.
    total : int
        Reports of all products.
    sha256 : str
        Hash of the file.

    Raises
    ------
    BadInputError
        When a needed column is missing, or a row is cut off.
    """
    kept: list[pa.Table] = []
    total = 0
    with member.open() as file:
        reader = HashingReader(file)
        stream = CsvStream(reader, member.name)
        found = _found(stream)
        for batch in stream.batches(texts=list(found), block_bytes=BLOCK_BYTES):
            total += batch.num_rows
            options = _options(batch.rename_columns([*found.values(), "row_number"]))
            if options.num_rows:
                kept.append(options.combine_chunks())  # a filtered copy, not a view of the block
        digest = reader.hexdigest()
    names = [*COLUMNS, "row_number"]
    empty = pa.table(
        {name: pa.array([], pa.int64() if name == "row_number" else pa.string()) for name in names}
    )
    return pa.concat_tables([empty, *(part.select(names) for part in kept)]), total, digest


def _found(stream: CsvStream) -> dict[str, str]:
    """Their name to ours, for the columns that the file has."""
    theirs = {name.lower(): name for name in reversed(stream.header)}
    found = {
        theirs[alias]: ours for ours, known in COLUMNS.items() for alias in known if alias in theirs
    }
    missing = [COLUMNS[ours][0] for ours in _NEEDED if ours not in found.values()]
    if not {"fisn", "option_type"} & set(found.values()):
        missing.append("UPI FISN")
    if missing:
        refuse(stream.name, f"expected the columns {', '.join(missing)} (any case), found none")
    return found


def _options(batch: pa.Table) -> pa.Table:
    blank = pa.repeat(pa.scalar(""), batch.num_rows)
    for name in COLUMNS:
        if name not in batch.column_names:
            batch = batch.append_column(name, blank)
    is_named = pc.not_equal(batch["fisn"], "")
    by_name = pc.match_substring_regex(batch["fisn"], _IS_OPTION)
    by_type = pc.and_(pc.invert(is_named), pc.not_equal(batch["option_type"], ""))
    return batch.filter(pc.or_(by_name, by_type))
