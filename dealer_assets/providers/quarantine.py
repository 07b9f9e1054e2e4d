"""Which rows of a chain are believed, and why the others are not.

Belongs here: the reasons of rejection, their order, and the share above which a whole file is
refused. Does not belong here: doubts about a chain as a whole (`doubts`), storage.

Parsers put NaN where a cell is blank and infinity where it holds something that is no number, so
that "missing" and "garbled" stay apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.errors import BadInputError, UnknownUnderlyingError
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.symbol_columns import SymbolColumns
from dealer_assets.underlyings import Underlying, underlying_of_root

MAX_REJECTED_SHARE = 0.01
"""A file with more rejected rows than this is not believed at all. Recorded files have none but
adjusted roots, which are good rows of other contracts and do not count."""

RAW_TEXT_LENGTH = 500

_QUOTE_COLUMNS = (
    "bid",
    "ask",
    "bid_size_contracts",
    "ask_size_contracts",
    "last_price",
    "volume_contracts",
    "open_interest_contracts",
)
_NEGATIVE = {
    "negative_open_interest": ("open_interest_contracts",),
    "negative_price": ("bid", "ask", "last_price"),
    "negative_volume": ("volume_contracts",),
    "negative_size": ("bid_size_contracts", "ask_size_contracts"),
}
_NOT_COUNTED = "adjusted_root"


@dataclass(frozen=True)
class Judgement:
    """The reason of each row.

    Parameters
    ----------
    reasons : object array of str, shape (n,)
        Reason code; empty where the row is believed.
    """

    reasons: NDArray[np.object_]

    @property
    def accepted(self) -> NDArray[np.int64]:
        """Indices of the believed rows, ascending."""
        return np.flatnonzero(self.reasons == "").astype(np.int64)

    @property
    def rejected(self) -> NDArray[np.int64]:
        """Indices of the other rows, ascending."""
        return np.flatnonzero(self.reasons != "").astype(np.int64)


def underlying_of_chain(columns: SymbolColumns, source_name: str) -> Underlying:
    """Return the one underlying whose roots a chain holds.

    Parameters
    ----------
    columns : SymbolColumns
        The chain's symbols.
    source_name : str
        Named in messages.

    Returns
    -------
    Underlying

    Raises
    ------
    UnknownUnderlyingError
        When the registry lists none of the roots.
    BadInputError
        When no symbol is readable, or the roots belong to several underlyings.
    """
    if not columns.root_names:
        raise BadInputError(
            f"{source_name}: expected option symbols (OSI or Deribit), found none that can be read"
        )
    found: dict[str, Underlying] = {}
    first_error: UnknownUnderlyingError | None = None
    for root in columns.root_names:
        try:
            entry = underlying_of_root(root)
        except UnknownUnderlyingError as error:
            first_error = first_error or error
            continue
        found[entry.symbol] = entry
    if not found:
        raise UnknownUnderlyingError(f"{source_name}: {first_error}")
    if len(found) > 1:
        raise BadInputError(
            f"{source_name}: expected the chain of one underlying, found options on "
            f"{', '.join(sorted(found))}: split the file"
        )
    return next(iter(found.values()))


def judge(raw: RawChain, columns: SymbolColumns, *, underlying: Underlying) -> Judgement:
    """Give every row its reason; the first that applies wins.

    Parameters
    ----------
    raw : RawChain
        The parsed payload.
    columns : SymbolColumns
        Its symbols.
    underlying : Underlying
        Whose roots are believed.

    Returns
    -------
    Judgement
    """
    reasons = np.full(len(columns.strikes), "", dtype=object)

    def reject(where: NDArray[np.bool_], reason: str) -> None:
        reasons[where & (reasons == "")] = reason

    reject(~columns.readable, "bad_symbol")
    if underlying.kind == "crypto":  # BTC is also the OSI root of a fund's options
        is_venue_name = pc.fill_null(pc.match_substring(columns.canonical, "-"), fill_value=False)
        reject(~is_venue_name.to_numpy(zero_copy_only=False), "unknown_root")
    for code, root in enumerate(columns.root_names):
        if underlying.root(root) is None:
            reject(columns.root_codes == code, _foreign_reason(root, underlying))
    reject(~(columns.strikes > 0), "bad_strike")
    for name in _QUOTE_COLUMNS:
        reject(np.isinf(_column(raw, name, len(reasons))), "not_a_number")
    for reason, names in _NEGATIVE.items():
        for name in names:
            reject(_column(raw, name, len(reasons)) < 0, reason)
    bid, ask = _column(raw, "bid", len(reasons)), _column(raw, "ask", len(reasons))
    reject((bid > ask) & (ask > 0), "crossed_quote")
    if raw.declared_expiries is not None:
        declared = np.array(raw.declared_expiries, "datetime64[D]")
        reject(~np.isnat(declared) & (declared != columns.expiries), "expiry_mismatch")
    if raw.declared_multipliers is not None:
        reject(_has_other_units(raw.declared_multipliers, columns, underlying), _NOT_COUNTED)
    reject(_is_repeat(columns, reasons == ""), "duplicate_contract")
    return Judgement(reasons)


def _column(raw: RawChain, name: str, rows: int) -> NDArray[np.float64]:
    return raw.floats.get(name, np.full(rows, np.nan))


def _has_other_units(
    declared: NDArray[np.float64], columns: SymbolColumns, underlying: Underlying
) -> NDArray[np.bool_]:
    """Mark rows whose contract stands for another number of units than its root's do."""
    roots = [underlying.root(name) for name in columns.root_names]
    units = np.array([root.multiplier if root else np.nan for root in roots] + [np.nan])
    usual = units[columns.root_codes]  # unreadable symbols have code -1: the last
    differs: NDArray[np.bool_] = np.isfinite(declared) & np.isfinite(usual) & (declared != usual)
    return differs


def _foreign_reason(root: str, underlying: Underlying) -> str:
    """Tell adjusted (AMD1) and FLEX (4SPX) roots, a listed root with a digit, from strangers."""
    for listed in underlying.roots:
        digit = root.removeprefix(listed.symbol) if root.startswith(listed.symbol) else ""
        digit = digit or (root.removesuffix(listed.symbol) if root.endswith(listed.symbol) else "")
        if len(digit) == 1 and digit.isdigit():
            return _NOT_COUNTED
    return "unknown_root"


def _is_repeat(columns: SymbolColumns, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark second and later rows of a contract among the candidates."""
    rows = np.flatnonzero(candidates)
    keys = np.empty(rows.size, dtype=[("r", "i8"), ("e", "i8"), ("c", "i1"), ("k", "f8")])
    keys["r"] = columns.root_codes[rows]
    keys["e"] = columns.expiries[rows].astype(np.int64)
    keys["c"] = columns.is_call[rows]
    keys["k"] = columns.strikes[rows]
    order = np.lexsort((rows, keys["k"], keys["c"], keys["e"], keys["r"]))
    repeats = np.zeros(candidates.size, dtype=np.bool_)
    if rows.size > 1:
        same_as_before = keys[order][1:] == keys[order][:-1]
        repeats[rows[order[1:][same_as_before]]] = True
    return repeats


def refuse_if_hopeless(raw: RawChain, judgement: Judgement) -> None:
    """Refuse a file too much of which was rejected.

    Raises
    ------
    BadInputError
        When more than `MAX_REJECTED_SHARE` of the rows are rejected for other reasons than an
        adjusted root, or no row is left.
    """
    rejected = judgement.rejected
    counted = rejected[judgement.reasons[rejected] != _NOT_COUNTED]
    if counted.size <= MAX_REJECTED_SHARE * len(judgement.reasons) and judgement.accepted.size:
        return
    counts = Counter(judgement.reasons[counted]).most_common()
    example = int(counted[0]) if counted.size else int(rejected[0])
    raise BadInputError(
        f"{raw.source_name}: {counted.size} of {len(judgement.reasons)} rows cannot be believed "
        f"({', '.join(f'{reason} {count}' for reason, count in counts)}), at most "
        f"{MAX_REJECTED_SHARE:.0%} may be; first: row {int(raw.row_numbers[example])}, "
        f"{judgement.reasons[example]}: {raw.raw_texts[example][:120]!r}. Nothing of the file was "
        "taken: get it again, or mend the named rows"
    )


def rejected_rows(
    raw: RawChain, judgement: Judgement, *, identity: Sequence[pa.Scalar]
) -> pa.Table:
    """Return the quarantine of a chain.

    Parameters
    ----------
    raw : RawChain
        The parsed payload.
    judgement : Judgement
        Its verdict.
    identity : sequence of pyarrow.Scalar
        Underlying, session date, event and known instants, provider: the table's first columns.

    Returns
    -------
    pyarrow.Table
        Schema of `tables.REJECTED_ROWS`, ascending by row number.
    """
    rows = judgement.rejected[np.argsort(raw.row_numbers[judgement.rejected], kind="stable")]
    count = rows.size
    constants = [*identity, pa.scalar(raw.source_name), pa.scalar(raw.source_sha256)]
    columns = [
        *(pa.repeat(value, count) for value in constants),
        pa.array(raw.row_numbers[rows], pa.int64()),
        pa.array([raw.symbols[row] or None for row in rows], pa.string()),
        pa.array(judgement.reasons[rows], pa.string()),
        pa.array([raw.raw_texts[row][:RAW_TEXT_LENGTH] for row in rows], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=tables.REJECTED_ROWS.schema)
