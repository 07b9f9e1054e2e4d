"""tardis.dev's trades of Deribit options, and why its single messages are no records.

Belongs here: the columns of `trades` files, and a refusal for each kind of message that tardis'
tools save. Does not belong here: `options_chain` files (`tardis`), Deribit's own trades.

``side`` is the taker's; ``unknown`` stays unsigned. ``amount`` is coin. The price stays as printed,
in coin, or in USDC for ``BTC_USDC-`` options. Instants are microseconds, UTC; `local_timestamp` is
when the recorder had the trade, so it is when it could be known. Blocks are not marked.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.errors import BadInputError
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import CsvTable, read_table, refuse
from dealer_assets.providers.deribit.columns import read_contracts
from dealer_assets.providers.json_fields import read_object
from dealer_assets.providers.record_quarantine import quarantine, refuse_if_hopeless
from dealer_assets.providers.record_rows import Place, Source, build
from dealer_assets.underlyings import REGISTRY, Underlying

PROVIDER = "tardis"

_REQUIRED = ("exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount")
_SIDES = ("buy", "sell")
_MICROSECOND_DIGITS = 16

_MESSAGES = {
    "trade": "one trade is no tape: import the day's trades CSV",
    "option_summary": "one contract is no chain: import the day's options_chain CSV",
    "book_snapshot": (
        "a book in coin says nothing in dollars without the forward of its expiry: import the "
        "day's options_chain CSV, which has both"
    ),
    "disconnect": "it marks a gap in a recording, and has no row",
    "combo": "a description of a combination is no listing of a session",
    "option": "a description of one contract is no listing of a session",
}


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like a trades CSV, or like anything else that tardis writes.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        marks = (b'"localTimestamp"', b'"datasetId"', b'"data_types"')
        return b'"exchange"' in start and any(mark in start for mark in marks)
    first = start.partition(b"\n")[0]
    return first.startswith(b"exchange,symbol,timestamp,") and b"underlying_price" not in first


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse one trades file.

    Parameters
    ----------
    payload : bytes
        CSV text.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        One per underlying with Deribit options in the registry: `tables.OPTION_TRADES`. Trades in
        other instruments are left out, with a finding.

    Raises
    ------
    BadInputError
        When the payload is another file or message of tardis, of another exchange, lacks a column,
        or its rows cannot be believed; the message says which, and what to import instead.
    """
    if payload[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        raise _message_refused(payload, name)
    table = read_table(payload, name, required=("exchange", "symbol", "timestamp"))
    if "side" not in table.columns:
        found = ", ".join(table.columns)
        refuse(name, f"expected trades with a side, found {found!r:.300}", remedy=_OTHER_FILES)
    table = read_table(payload, name, required=_REQUIRED)
    exchange = Counter(table.columns["exchange"]).most_common(1)[0][0]
    if set(table.columns["exchange"]) != {"deribit"}:
        refuse(name, f"expected the exchange 'deribit', found {exchange!r}", remedy=_OTHER_FILES)
    source = Source(PROVIDER, name, sha256)
    found_in = [(entry, _rows_of(table, entry)) for entry in REGISTRY if _is_served(entry)]
    records = [
        _records(table.take(rows), entry, source, others=len(table.lines) - rows.size)
        for entry, rows in found_in
        if rows.size
    ]
    if not records:
        example = table.columns["symbol"][0]
        served = ", ".join(entry.symbol for entry, _ in found_in)
        refuse(name, f"expected options of {served}, found trades in {example!r} and the like")
    return records


_OTHER_FILES = "of tardis, trades and options_chain of the exchange deribit can be imported"


def _message_refused(payload: bytes, name: str) -> BadInputError:
    message = read_object(payload, name)
    kind = str(message.get("type", "replay request"))
    exchange, symbol = message.get("exchange"), message.get("symbol") or message.get("id") or ""
    why = _MESSAGES.get(kind, "it asks for data and holds none")
    return BadInputError(
        f"{name}: expected trades or a chain, found a single {kind} message of {exchange} "
        f"{symbol}: {why}"
    )


def _is_served(entry: Underlying) -> bool:
    return "deribit" in entry.vendor_symbols


def _rows_of(table: CsvTable, entry: Underlying) -> NDArray[np.int64]:
    """Rows of options: a future or a perpetual has a name of fewer parts."""
    roots = {root.symbol for root in (*entry.roots, *entry.side_roots)}
    parts = [symbol.split("-") for symbol in table.columns["symbol"]]
    is_option = [len(part) == 4 and part[0] in roots for part in parts]
    return np.flatnonzero(np.array(is_option, dtype=np.bool_)).astype(np.int64)


def _records(table: CsvTable, entry: Underlying, source: Source, *, others: int) -> Records:
    contracts = read_contracts(table.columns["symbol"], entry)
    event_at, local = _instants(table, "timestamp"), _instants(table, "local_timestamp")
    place = Place(event_at.astype("datetime64[D]"), event_at, np.maximum(event_at, local))
    price, amount = table.numbers("price"), table.numbers("amount")
    sides = np.array(table.columns["side"])
    reasons = np.full(price.size, "", dtype=object)
    judgements = (
        ("bad_symbol", ~contracts.known),
        ("not_a_number", ~(np.isfinite(price) & np.isfinite(amount))),
        ("negative_size", amount < 0),
        ("bad_direction", ~np.isin(sides, (*_SIDES, "unknown"))),
    )
    for reason, where in judgements:
        reasons[where & (reasons == "")] = reason
    numbers = {"row_numbers": table.row_numbers, "raw_texts": table.lines}
    refuse_if_hopeless(source, reasons, **numbers)  # type: ignore[arg-type]
    good, bad = np.flatnonzero(reasons == ""), np.flatnonzero(reasons != "")
    symbols = contracts.arrow(good)
    roots = [contracts.columns.root_names[code] for code in contracts.columns.root_codes[good]]
    terms = {root: _terms(entry, root) for root in set(roots)}
    is_signed = np.isin(sides[good], _SIDES)
    columns = {
        **symbols,
        **place.take(good).columns(),
        **_blank(good.size),
        "underlying": pa.repeat(pa.scalar(entry.symbol), good.size),
        "ordinal": pa.array(_ordinals(symbols["symbol"], event_at[good]), pa.int32()),
        "price": pa.array(price[good]),
        "price_currency": pa.array([terms[root][1] for root in roots], pa.string()),
        "size_contracts": pa.array(amount[good] / [terms[root][0] for root in roots]),
        "exchange": pa.repeat(pa.scalar("deribit"), good.size),
        "trade_id": pa.array(np.array(table.columns["id"], object)[good], pa.string()),
        "taker_side": pa.array(sides[good], pa.string(), mask=~is_signed),
        "sign_rule": pa.array(np.where(is_signed, "taker_side", "unsigned")),
    }
    return Records(
        table=tables.OPTION_TRADES,
        rows=build(tables.OPTION_TRADES, columns, source),
        provider=PROVIDER,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=quarantine(
            source,
            reasons=reasons[bad],
            places=place.take(bad),
            underlyings=[entry.symbol] * bad.size,
            row_numbers=table.row_numbers[bad],
            raw_texts=[table.lines[row] for row in bad.tolist()],
            symbols=[table.columns["symbol"][row] for row in bad.tolist()],
        ),
        findings=_findings(entry, others),
    )


def _findings(entry: Underlying, others: int) -> tuple[Finding, ...]:
    if not others:
        return ()
    text = f"{others} trades in other instruments than options of {entry.symbol}: left out"
    return (Finding("other_instruments_excluded", text),)


def _terms(entry: Underlying, root: str) -> tuple[float, str]:
    """Coin per contract, and the currency of the price: the stable coin in the root, else coin."""
    listed = entry.root(root)
    coin, _, stable = root.partition("_")
    return (listed.multiplier if listed else float("nan")), stable or coin


def _blank(count: int) -> dict[str, pa.Array]:
    """Columns that tardis does not fill."""
    missing = {
        column.name: pa.nulls(count, column.type)
        for column in tables.OPTION_TRADES.columns
        if column.nullable
    }
    return {**missing, "conditions": pa.repeat(pa.scalar(""), count)}


def _instants(table: CsvTable, column: str) -> NDArray[np.datetime64]:
    cells = table.columns[column]
    for row, cell in enumerate(cells):
        if not (len(cell) == _MICROSECOND_DIGITS and cell.isdecimal() and cell.isascii()):
            where = f"{column!r} on line {table.row_numbers[row]}"
            complaint = (
                f"expected microseconds since 1970 (16 digits) in {where}, found {cell!r:.60}"
            )
            refuse(table.name, complaint)
    return np.array([int(cell) for cell in cells], dtype=np.int64).astype("datetime64[us]")


def _ordinals(symbols: pa.Array, event_at: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return each print's number among those of its contract and instant, by place in the file."""
    codes = symbols.dictionary_encode().indices.to_numpy().astype(np.int64)
    stamps = event_at.astype(np.int64)
    order = np.lexsort((np.arange(codes.size), stamps, codes))
    is_new = np.r_[True, (np.diff(codes[order]) != 0) | (np.diff(stamps[order]) != 0)]
    starts = np.flatnonzero(is_new)
    run = np.cumsum(is_new) - 1
    ordinals = np.empty(codes.size, np.int64)
    ordinals[order] = np.arange(codes.size) - starts[run]
    return ordinals
