"""CME DataMine's settlement CSV: every future and option of an exchange, one contract a line.

Belongs here: this layout. Does not belong here: the other layouts, judging rows (`rows`).

``PutCall`` is 1 for calls and 0 for puts. ``PrevDayOI`` and ``PrevDayVol`` are those of the session
before, so volume is left unknown. ``MMY`` is the contract month, with a day or week behind it for
dailies; ``MatDt`` is the expiry. A price of 9999999 stands for none. A file of the whole exchange
has hundreds of thousands of lines and is read as a stream.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.providers.archives import HashingReader, Member
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.cme.products import Product, expiry_of, product_of
from dealer_assets.providers.cme.rows import Cells, Lines, place, read_cells, settled, to_records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.csv_stream import CsvStream
from dealer_assets.providers.record_rows import Source

PROVIDER = "cme_csv"

BLOCK_BYTES = 8 * 1024**2

_REQUIRED = ("BizDt", "Sym", "StrkPx", "SecTyp", "MMY", "PutCall", "SettlePrice", "PrevDayOI")
_OPTIONAL = ("ID", "MatDt", "UndlyID")
_OPTION_TYPES = pa.array(["OOF", "OPT"])
_RIGHTS = {"1": "call", "C": "call", "0": "put", "P": "put"}
_NO_PRICE = 9_999_999.0
_MONTH_LENGTH = 6


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like a settlement CSV.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    first = head.partition(b"\n")[0]
    return all(word in first for word in (b"BizDt", b"StrkPx", b"PutCall"))


def read(member: Member) -> list[Records]:
    """Read one settlement CSV.

    Parameters
    ----------
    member : Member
        CSV text.

    Returns
    -------
    list of Records
        One: `tables.FUTURES_OPTION_SETTLEMENTS`. Futures, and options on other futures, are left
        out, these with a finding.

    Raises
    ------
    BadInputError
        When a column, a date or options of the registry are missing, or rows cannot be believed.
    """
    strangers: Counter[str] = Counter()
    with member.open() as file:
        reader = HashingReader(file)
        stream = CsvStream(reader, member.name)
        columns = [name for name in (*_REQUIRED, *_OPTIONAL) if name in stream.header]
        wanted = tuple(dict.fromkeys((*_REQUIRED, *columns)))
        kept = [
            _ours(batch, strangers)
            for batch in stream.batches(texts=wanted, block_bytes=BLOCK_BYTES)
        ]
        digest = reader.hexdigest()
    found = [part for part in kept if part.rows.num_rows]
    if not found:
        names = ", ".join(name for name, _ in strangers.most_common(8)) or "none"
        refuse(
            member.name,
            f"expected options on ES, MES, BTC or MBT, found options of the products {names}",
            remedy="import the file of the exchange CME",
        )
    rows = pa.concat_tables([part.rows for part in found])
    lines = _lines(rows, [product for part in found for product in part.products])
    findings = []
    if strangers:
        words = f"options of {len(strangers)} products hedge nothing of the registry: left out"
        named = ", ".join(sorted(strangers)[:12])
        findings.append(Finding("other_products_excluded", f"{words} ({named})"))
    places = place(_days(rows, member.name))
    return [to_records(lines, places, Source(PROVIDER, member.name, digest), findings=findings)]


@dataclass(frozen=True)
class _Part:
    rows: pa.Table
    products: list[Product]


def _ours(batch: pa.Table, strangers: Counter[str]) -> _Part:
    """Rows of options of the registry, and the product of each."""
    options = batch.filter(pc.is_in(batch["SecTyp"], value_set=_OPTION_TYPES))
    codes = options["ID"] if "ID" in options.column_names else options["Sym"]
    futures = options["UndlyID"].to_pylist() if "UndlyID" in options.column_names else None
    pairs = list(zip(codes.to_pylist(), futures or [""] * len(codes), strict=True))
    known = {pair: product_of(pair[0], future=pair[1]) for pair in set(pairs)}
    kept = [row for row, pair in enumerate(pairs) if known[pair] is not None]
    strangers.update(pair[0] for pair in pairs if known[pair] is None)
    products = [product for row in kept if (product := known[pairs[row]]) is not None]
    return _Part(options.take(pa.array(kept, pa.int64())), products)


def _lines(rows: pa.Table, products: list[Product]) -> Lines:
    rights = [_RIGHTS.get(text) for text in rows["PutCall"].to_pylist()]
    prices = read_cells(rows["SettlePrice"].combine_chunks())
    values = np.where(prices.values == _NO_PRICE, np.nan, prices.values)
    count = len(products)
    reasons = np.array(["" if right else "bad_right" for right in rights], dtype=object)
    return Lines(
        products=products,
        months=[_month(text) for text in rows["MMY"].to_pylist()],
        expiries=_expiries(rows, products),
        is_call=np.array([right == "call" for right in rights], dtype=np.bool_),
        strikes=read_cells(rows["StrkPx"].combine_chunks()).values,
        settlement=Cells(values, prices.is_cabinet),
        volume=np.full(count, np.nan),
        open_interest=read_cells(rows["PrevDayOI"].combine_chunks()).values,
        change=np.full(count, np.nan),
        open_interest_of="previous_session",
        row_numbers=rows["row_number"].to_numpy(),
        raw_texts=_texts(rows),
        reasons=reasons,
    )


def _month(text: str) -> str:
    is_month = len(text) == _MONTH_LENGTH and text.isdigit()
    return f"{text[:4]}-{text[4:]}" if is_month else text


def _expiries(rows: pa.Table, products: list[Product]) -> NDArray[np.datetime64]:
    """Expiry as printed, else by the product's rule."""
    months = rows["MMY"].to_pylist()
    printed = rows["MatDt"].to_pylist() if "MatDt" in rows.column_names else [""] * len(months)
    known: dict[tuple[str, str, str], date | None] = {}
    for text, month, product in zip(printed, months, products, strict=True):
        key = (text, month, product.code)
        if key not in known:
            known[key] = _date(text) or _by_rule(product, month)
    keys = zip(printed, months, (product.code for product in products), strict=True)
    return np.array([known[key] for key in keys], "datetime64[D]")


def _by_rule(product: Product, month: str) -> date | None:
    if len(month) != _MONTH_LENGTH or not month.isdigit() or not 1 <= int(month[4:]) <= 12:
        return None
    return expiry_of(product, int(month[:4]), int(month[4:]))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _days(rows: pa.Table, name: str) -> NDArray[np.datetime64]:
    texts = rows["BizDt"].to_pylist()
    known = {}
    for text in set(texts):
        day = _date(text)
        if day is None:
            refuse(name, f"expected YYYY-MM-DD in 'BizDt', found {text!r:.80}")
        known[text] = settled(day, name)
    return np.array([known[text] for text in texts], "datetime64[D]")


def _texts(rows: pa.Table) -> list[str]:
    names = [name for name in rows.column_names if name != "row_number"]
    cells = [rows[name].combine_chunks() for name in names]
    joined: list[str] = pc.binary_join_element_wise(*cells, ",").to_pylist()
    return joined
