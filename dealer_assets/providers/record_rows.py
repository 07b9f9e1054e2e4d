"""From columns to rows of tables that hold published holdings and flows.

Belongs here: what OCC's and Cboe's files share: which roots are believed, the columns of a contract
known by root, expiry, right and strike, places in time. Does not belong here: rows that are not
believed (`record_quarantine`), any vendor's field name, or chains of quotes (`assembly`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import expiry_instant
from dealer_assets.errors import BadInputError, UnknownUnderlyingError
from dealer_assets.providers.base import ADJUSTED_ROOT
from dealer_assets.underlyings import Root, Underlying, underlying_of_root

UNKNOWN_ROOT = "unknown_root"
"""Verdict on a root of an underlying that the registry does not have."""


@dataclass(frozen=True)
class Source:
    """Where rows came from; the three words that every row and every refusal carries.

    Parameters
    ----------
    provider : str
        Provider or file format.
    name : str
        File name or request, without folder, key or token.
    sha256 : str
        Hash of the payload.
    """

    provider: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Roots:
    """The roots of a source's rows, held against the registry.

    Parameters
    ----------
    names : tuple of str
        Distinct roots, ascending.
    underlyings : tuple of Underlying or None
        Who lists each; None where the registry does not.
    verdicts : tuple of str
        Per root: blank when believed, else a reason code.
    codes : int64 array, shape (n,)
        Index into the three, per row; ordered like the names.
    """

    names: tuple[str, ...]
    underlyings: tuple[Underlying | None, ...]
    verdicts: tuple[str, ...]
    codes: NDArray[np.int64]

    @property
    def reasons(self) -> NDArray[np.object_]:
        """Reason of each row, shape (n,); blank where its root is believed."""
        found: NDArray[np.object_] = np.array(self.verdicts, dtype=object)[self.codes]
        return found

    def take(self, rows: NDArray[np.int64]) -> Roots:
        """Return the same roots for chosen rows, in the order given."""
        return Roots(self.names, self.underlyings, self.verdicts, self.codes[rows])

    def symbols(self) -> NDArray[np.object_]:
        """Registry symbol of each row, shape (n,); None where the registry has none."""
        listed = [entry.symbol if entry else None for entry in self.underlyings]
        found: NDArray[np.object_] = np.array(listed, dtype=object)[self.codes]
        return found


def read_roots(texts: Sequence[str] | pa.Array | pa.ChunkedArray, source: Source) -> Roots:
    """Hold the roots of a source's rows against the registry.

    Parameters
    ----------
    texts : sequence of str or pyarrow array, length n
        Root of each row, padded or not.
    source : Source
        Named in messages.

    Returns
    -------
    Roots
        A listed root with one digit before or behind (``2SPX``, ``AMD1``) is ``adjusted_root``, any
        other ``unknown_root``; so is one that only a 24/7 market lists, whose names are no roots of
        US options.

    Raises
    ------
    UnknownUnderlyingError
        When the registry lists none of them.
    """
    array = texts
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not isinstance(array, pa.Array):
        array = pa.array(array, pa.string())
    trimmed = pc.utf8_upper(pc.utf8_trim_whitespace(pc.fill_null(array, ""))).dictionary_encode()
    found = trimmed.dictionary.to_pylist()
    names = sorted(found)
    place = {name: i for i, name in enumerate(names)}
    codes = np.array([place[name] for name in found], np.int64)[trimmed.indices.to_numpy()]
    judged = [_judge(name) for name in names]
    if not any(verdict in ("", ADJUSTED_ROOT) for _, verdict in judged):
        raise UnknownUnderlyingError(
            f"{source.name}: expected options of an underlying in the registry, found roots "
            f"{', '.join(names[:8])}; add an entry to dealer_assets/underlyings.py"
        )
    return Roots(
        names=tuple(names),
        underlyings=tuple(entry for entry, _ in judged),
        verdicts=tuple(verdict for _, verdict in judged),
        codes=codes,
    )


def _judge(name: str) -> tuple[Underlying | None, str]:
    listed = _listed(name)
    if listed is not None:
        return listed, ""
    stems = [s for s in (name[1:] if name[:1].isdigit() else "", _without_last_digit(name)) if s]
    for stem in stems:
        listed = _listed(stem)
        if listed is not None:
            return listed, ADJUSTED_ROOT
    return None, UNKNOWN_ROOT


def _without_last_digit(name: str) -> str:
    return name[:-1] if name[-1:].isdigit() else ""


def _listed(name: str) -> Underlying | None:
    try:
        entry = underlying_of_root(name)
    except UnknownUnderlyingError:
        return None
    return entry if entry.calendar == "XNYS" else None


def contract_columns(
    roots: Roots,
    *,
    expiries: NDArray[np.datetime64],
    is_call: NDArray[np.bool_],
    strikes: NDArray[np.float64],
) -> dict[str, pa.Array]:
    """Return the columns of contracts: `tables.base.CONTRACT`, and ``underlying``.

    Parameters
    ----------
    roots : Roots
        Of n rows, every one believed.
    expiries : datetime64[D] array, shape (n,)
        Listed expiry dates.
    is_call : bool array, shape (n,)
        True for calls.
    strikes : float64 array, shape (n,)
        Strike prices, positive, in steps of a thousandth.
    """
    names = pa.array(roots.names, pa.string()).take(pa.array(roots.codes))
    days = pa.array(expiries.astype("datetime64[D]")).cast(pa.date32())
    thousandths = pa.array(np.rint(strikes * 1000.0).astype(np.int64)).cast(pa.string())
    symbol = pc.binary_join_element_wise(
        names,
        pc.strftime(days, format="%y%m%d"),
        pc.if_else(pa.array(is_call), "C", "P"),
        pc.utf8_lpad(thousandths, width=8, padding="0"),
        "",
    )
    return {
        "underlying": pa.array(roots.symbols(), pa.string()),
        "symbol": symbol,
        "root": names,
        "expiry_date": days,
        "expires_at": instants(_expiry_instants(roots, expiries)),
        "strike": pa.array(strikes, pa.float64()),
        "right": pc.if_else(pa.array(is_call), "call", "put"),
    }


def _expiry_instants(roots: Roots, expiries: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    found = np.full(expiries.size, np.datetime64("NaT"), "datetime64[us]")
    for code in np.unique(roots.codes).tolist():
        entry = roots.underlyings[code]
        root = entry.root(roots.names[code]) if entry else None
        if entry is None or root is None:
            raise BadInputError(f"root {roots.names[code]} is not in the registry: not a contract")
        of_root = np.flatnonzero(roots.codes == code)
        found[of_root] = by_day(expiries[of_root], _expiry_of(root, entry))
    return found


def _expiry_of(root: Root, entry: Underlying) -> Callable[[date], datetime]:
    return lambda day: expiry_instant(root.settlement, entry.calendar, day)


def by_day(
    days: NDArray[np.datetime64], instant_of: Callable[[date], datetime]
) -> NDArray[np.datetime64]:
    """Return an instant of each row's date, worked out once per date; datetime64[us] in UTC."""
    unique, place = np.unique(days.astype("datetime64[D]"), return_inverse=True)
    found = [instant_of(day).replace(tzinfo=None) for day in unique.tolist()]
    answer: NDArray[np.datetime64] = np.array(found, "datetime64[us]")[place]
    return answer


def instants(values: NDArray[np.datetime64]) -> pa.Array:
    """Return UTC instants, datetime64[us] without a zone, as the lake's type."""
    return pa.array(values.astype("datetime64[us]")).cast(tables.INSTANT)


@dataclass(frozen=True)
class Place:
    """Where each row of a source belongs in time; arrays of shape (n,).

    Parameters
    ----------
    days : datetime64[D] array
        Session.
    event_at, known_at : datetime64[us] array
        UTC instants.
    """

    days: NDArray[np.datetime64]
    event_at: NDArray[np.datetime64]
    known_at: NDArray[np.datetime64]

    def take(self, rows: NDArray[np.int64]) -> Place:
        """Return the places of chosen rows, in the order given."""
        return Place(self.days[rows], self.event_at[rows], self.known_at[rows])

    def columns(self) -> dict[str, pa.Array]:
        """Return ``session_date``, ``event_at`` and ``known_at``."""
        return {
            "session_date": pa.array(self.days.astype("datetime64[D]")).cast(pa.date32()),
            "event_at": instants(self.event_at),
            "known_at": instants(self.known_at),
        }


def build(table: tables.Table, columns: dict[str, pa.Array], source: Source) -> pa.Table:
    """Return rows of a table, by key and then session; provider and source name are filled in."""
    count = len(columns["event_at"])
    filled = {
        "provider": pa.repeat(pa.scalar(source.provider), count),
        "source_name": pa.repeat(pa.scalar(source.name), count),
        **columns,
    }
    rows = pa.Table.from_arrays([filled[name] for name in table.schema.names], schema=table.schema)
    return rows.sort_by([(name, "ascending") for name in (*table.key, "session_date")])
