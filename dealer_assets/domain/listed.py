"""The contracts of a session as its listing has them, brought to the registry's terms.

Belongs here: which listed contracts are ours, when they expire, what they are worth. Does not
belong here: what was quoted for them (`tape`), snapshots (`reconstruct`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Ints, integers
from dealer_assets.domain.remarks import Remark
from dealer_assets.underlyings import Root, Underlying

_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class ListedChain:
    """The contracts of a session that are ours, sorted by the key of a snapshot.

    Parameters
    ----------
    columns : pyarrow.Table, shape (n,)
        Columns of a snapshot that do not change in a session.
    symbols : pyarrow.StringArray, length n
        Canonical symbols.
    expires_us, listed_us, known_us : int64 array, shape (n,)
        When each expires, was listed (the smallest number where that is not told), and could be
        known; microseconds since 1970.
    remarks : tuple of Remark
        What was left out.
    """

    columns: pa.Table
    symbols: pa.Array
    expires_us: Ints
    listed_us: Ints
    known_us: Ints
    remarks: tuple[Remark, ...]


def listed_chain(underlying: Underlying, listing: pa.Table) -> ListedChain:
    """Read a listing; roots that the registry does not have and adjusted contracts are left out.

    Parameters
    ----------
    underlying : Underlying
        Registry entry: settlement, exercise and multiplier come from its roots.
    listing : pyarrow.Table
        `tables.LISTED_CONTRACTS` of one session.
    """
    names = listing["root"].unique().to_pylist()
    roots = {name: root for name in names if (root := underlying.root(name)) is not None}
    ours = pc.is_in(listing["root"], value_set=pa.array(list(roots), pa.string()))
    usual = pa.array([roots[r].multiplier if r in roots else None for r in names], pa.float64())
    place = pc.index_in(listing["root"], value_set=pa.array(names, pa.string()))
    standard = pc.equal(listing["multiplier"], usual.take(place.combine_chunks()))
    remarks = []
    if left_out := listing.num_rows - int(pc.sum(pc.and_kleene(ours, standard)).as_py() or 0):
        text = (
            f"{left_out:,} of {listing.num_rows:,} listed contracts are of other roots or adjusted "
            f"({', '.join(sorted(set(names) - set(roots))[:5]) or 'by multiplier'}): left out"
        )
        remarks.append(Remark("contracts_left_out", text))
    rows = listing.filter(pc.and_kleene(ours, standard))
    rows = rows.sort_by([(name, "ascending") for name in tables.LISTED_CONTRACTS.key])
    columns = {name: rows[name].combine_chunks() for name in ("symbol", "root", "expiry_date")}
    columns["expires_at"] = _expiries(rows, roots, underlying)
    columns |= {name: rows[name].combine_chunks() for name in ("strike", "right")}
    for name in ("exercise", "settlement", "multiplier"):
        values = pa.array([getattr(root, name) for root in roots.values()])
        columns[name] = values.take(pc.index_in(columns["root"], value_set=pa.array(list(roots))))
    listed = rows["listed_at"].combine_chunks().cast(pa.int64()).fill_null(_ALWAYS)
    return ListedChain(
        columns=pa.table(columns),
        symbols=columns["symbol"],
        expires_us=np.array(columns["expires_at"].cast(pa.int64())),
        listed_us=np.array(listed),
        known_us=integers(rows, "known_at"),
        remarks=tuple(remarks),
    )


def _expiries(rows: pa.Table, roots: dict[str, Root], underlying: Underlying) -> pa.Array:
    """Return expiry instants by the roots' own rules, one calculation per root and date."""
    slices = rows.group_by(["root", "expiry_date"]).aggregate([])
    ends = [
        sessions.expiry_instant(roots[s["root"]].settlement, underlying.calendar, s["expiry_date"])
        for s in slices.to_pylist()
    ]
    instants = slices.append_column("ends", pa.array(ends, tables.INSTANT))
    place = pa.array(np.arange(rows.num_rows))
    joined = rows.select(["root", "expiry_date"]).append_column("place", place)
    joined = joined.join(instants, keys=["root", "expiry_date"]).sort_by("place")
    return joined["ends"].combine_chunks()
