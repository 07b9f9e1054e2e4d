"""Live trades against the tape published afterwards, and against the change of open interest.

Belongs here: the comparison, contract by contract. Does not belong here: which rows are held, and
where (`live_sessions`), or drawing it (`reports`).

Prints are compared as multisets: two equal prints are two trades, so a print is missing as often as
the published tape has it oftener than the live one. Prints carry the venue's own number where both
tapes tell it. Otherwise a print is its contract, millisecond, price and size: a feed's clock is no
finer, and vendors spell exchanges and conditions in their own ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.cancels import cancels_of, match_cancels
from dealer_assets.domain.columns import Bools, Floats, Ints, equals, floats, integers, words

_CONTRACT = [column.name for column in tables.CONTRACT]
_MICROS = 1e6
"""Prices and sizes are compared in millionths, as whole numbers."""

_SLACK = 1e-9


@dataclass(frozen=True)
class Summary:
    """What a session's reconciliation comes to.

    Parameters
    ----------
    contracts : int
        Contracts compared.
    live_prints, published_prints, missing_prints, surplus_prints : int
        Prints; the last three None where no published tape is held.
    live_volume_contracts, published_volume_contracts, missing_volume_contracts : float
        Contracts; the last two None where no published tape is held.
    open_interest_change_contracts : float or None
        Sum of absolute changes of open interest; None where it is not known.
    explained_share : float or None
        Part of that sum which the volumes could make: each contract's change counts up to its
        volume.
    least_opening_share : float or None
        That explained part by the volume of the contracts whose change is known: the least share
        of it that opened or closed positions for good.
    """

    contracts: int
    live_prints: int
    published_prints: int | None
    missing_prints: int | None
    surplus_prints: int | None
    live_volume_contracts: float
    published_volume_contracts: float | None
    missing_volume_contracts: float | None
    open_interest_change_contracts: float | None
    explained_share: float | None
    least_opening_share: float | None


def reconcile(
    live: pa.Table,
    published: pa.Table | None,
    *,
    before: pa.Table | None,
    after: pa.Table | None,
    closed_at: datetime,
) -> pa.Table:
    """Hold a session's live trades against what was published afterwards.

    Parameters
    ----------
    live : pyarrow.Table, shape (r,)
        `tables.LIVE_TRADES` of one underlying and session, every row once; at least one row.
    published : pyarrow.Table or None
        `tables.OPTION_TRADES` of it in the tape's order; None where none is held.
    before, after : pyarrow.Table or None
        `tables.OPEN_INTEREST` that the session, and the next one, opened with, from one provider;
        None where it is not held or cannot be compared. It is set beside live numbers, never
        added to them.
    closed_at : datetime.datetime
        When the session closed: `event_at` of the rows.

    Returns
    -------
    pyarrow.Table, shape (n,)
        `tables.LIVE_RECONCILIATION`, one row for each contract that traded or whose open interest
        changed, by root, expiry, strike and right.
    """
    sources = [rows for rows in (live, published, before, after) if rows is not None]
    contracts, places = _numbered(sources)
    n = contracts.num_rows
    where = dict(zip(map(id, sources), places, strict=True))

    size = floats(live, "size_contracts")
    is_cancel = equals(live, "trade_class", "cancel")
    columns = {
        "live_prints": _count(where[id(live)], n),
        "live_volume_contracts": _sum(where[id(live)], size * _live_signs(live, is_cancel), n),
        **_sides(live, where[id(live)], is_cancel, n),
    }
    prints = _not_compared(n)
    if published is not None:
        prints = _compared(live, where[id(live)], published, where[id(published)], n)
    oi_before = _counted(before, where.get(id(before)), n)
    oi_after = _counted(after, where.get(id(after)), n)
    volume = columns["live_volume_contracts"]
    if published is not None:
        volume = prints["published_volume_contracts"]
    change = np.abs(oi_after - oi_before)
    missing, surplus = prints["missing_prints"], prints["surplus_prints"]
    code = np.where(np.isnan(missing), 4, (missing > 0) + 2 * (surplus > 0)).astype(np.int64)

    status = words(tables.live.PRINT_STATUSES, code)
    within = pa.array(change <= volume + _SLACK, mask=np.isnan(change))
    known = max(pc.max(rows["known_at"]).as_py() for rows in sources if rows.num_rows)
    whole = pa.table(
        {
            "underlying": pa.repeat(live["underlying"][0], n),
            "session_date": pa.repeat(live["session_date"][0], n),
            "event_at": pa.repeat(pa.scalar(closed_at, tables.INSTANT), n),
            "known_at": pa.repeat(pa.scalar(known, tables.INSTANT), n),
            **{name: contracts[name] for name in _CONTRACT},
            "status": status,
            **{name: pa.array(values) for name, values in columns.items()},
            **{name: pa.array(values, mask=np.isnan(values)) for name, values in prints.items()},
            "open_interest_before_contracts": pa.array(oi_before, mask=np.isnan(oi_before)),
            "open_interest_after_contracts": pa.array(oi_after, mask=np.isnan(oi_after)),
            "is_change_within_volume": within,
        }
    )
    traded = (columns["live_prints"] > 0) | (np.nan_to_num(prints["published_prints"]) > 0)
    kept = whole.filter(pa.array(traded | (np.nan_to_num(change) > 0)))
    table = tables.LIVE_RECONCILIATION
    return (
        kept.sort_by([(name, "ascending") for name in table.key])
        .select(table.schema.names)
        .cast(table.schema)
    )


def summary(rows: pa.Table) -> Summary:
    """Sum up the rows of a reconciliation.

    Parameters
    ----------
    rows : pyarrow.Table
        Of one session, `tables.LIVE_RECONCILIATION`.
    """
    change = np.abs(
        floats(rows, "open_interest_after_contracts")
        - floats(rows, "open_interest_before_contracts")
    )
    live, published = (
        floats(rows, "live_volume_contracts"),
        floats(rows, "published_volume_contracts"),
    )
    volume = np.where(np.isnan(published), live, published)
    known = ~np.isnan(change)
    changed, traded = float(change[known].sum()), float(volume[known].sum())
    explained = float(np.minimum(change, np.maximum(volume, 0.0))[known].sum())
    return Summary(
        contracts=rows.num_rows,
        live_prints=int(pc.sum(rows["live_prints"]).as_py() or 0),
        published_prints=pc.sum(rows["published_prints"]).as_py(),
        missing_prints=pc.sum(rows["missing_prints"]).as_py(),
        surplus_prints=pc.sum(rows["surplus_prints"]).as_py(),
        live_volume_contracts=float(live.sum()),
        published_volume_contracts=pc.sum(rows["published_volume_contracts"]).as_py(),
        missing_volume_contracts=pc.sum(rows["missing_volume_contracts"]).as_py(),
        open_interest_change_contracts=changed if known.any() else None,
        explained_share=explained / changed if changed > 0.0 else None,
        least_opening_share=explained / traded if traded > 0.0 else None,
    )


def _numbered(sources: list[pa.Table]) -> tuple[pa.Table, list[Ints]]:
    """Contracts of all tables, each once, and each table's rows as places in them."""
    every = pa.concat_tables([rows.select(_CONTRACT) for rows in sources]).combine_chunks()
    coded = every["symbol"].combine_chunks().dictionary_encode()
    place = np.array(coded.indices.to_numpy(), np.int64)
    _, first = np.unique(place, return_index=True)
    bounds = np.cumsum([rows.num_rows for rows in sources])[:-1]
    return every.take(pa.array(first)), np.split(place, bounds)


def _count(place: Ints, n: int) -> Ints:
    return np.bincount(place, minlength=n).astype(np.int64)


def _sum(place: Ints, values: Floats, n: int) -> Floats:
    return np.bincount(place, weights=values, minlength=n).astype(np.float64)


def _live_signs(live: pa.Table, is_cancel: Bools) -> Floats:
    """Tell what a row adds to volume: a cancel takes its print off, and none if it is of none."""
    is_known = np.array(pc.is_valid(live["cancels_sequence"]).to_numpy())
    return np.where(is_cancel, np.where(is_known, -1.0, 0.0), 1.0)


def _published_signs(published: pa.Table) -> Floats:
    cancels = np.flatnonzero(cancels_of(published))
    signs = np.ones(published.num_rows)
    signs[cancels] = 0.0
    signs[match_cancels(published, cancels)[0]] = -1.0
    return signs


def _sides(live: pa.Table, place: Ints, is_cancel: Bools, n: int) -> dict[str, Floats]:
    """Add up what customers bought and sold; a cancel takes off the side it was added to."""
    customer = -floats(live, "dealer_contracts")
    bought = np.where(is_cancel, np.minimum(customer, 0.0), np.maximum(customer, 0.0))
    sold = np.where(is_cancel, -np.maximum(customer, 0.0), np.maximum(-customer, 0.0))
    return {
        "bought_contracts": _sum(place, bought, n),
        "sold_contracts": _sum(place, sold, n),
    }


def _not_compared(n: int) -> dict[str, Floats]:
    unknown = np.full(n, np.nan)
    return dict.fromkeys(
        (
            "published_prints",
            "missing_prints",
            "surplus_prints",
            "published_volume_contracts",
            "missing_volume_contracts",
            "surplus_volume_contracts",
        ),
        unknown,
    )


def _compared(
    live: pa.Table, live_place: Ints, published: pa.Table, published_place: Ints, n: int
) -> dict[str, Floats]:
    """Count the prints that only one of the tapes has."""
    size = floats(published, "size_contracts")
    signed = size * _published_signs(published)
    looks = _numbers(live, published) or _looks(live, published)
    prints = pa.table(
        {
            "place": np.concatenate([live_place, published_place]),
            **{f"look_{i}": np.concatenate(look) for i, look in enumerate(looks)},
            "size": np.concatenate([floats(live, "size_contracts"), size]),
            "is_live": np.repeat([1, 0], [live.num_rows, published.num_rows]),
        }
    )
    keys = ["place", *(f"look_{i}" for i in range(len(looks)))]
    groups = prints.group_by(keys).aggregate(
        [("is_live", "sum"), ("is_live", "count"), ("size", "max")]
    )
    place, each = integers(groups, "place"), floats(groups, "size_max")
    ours = integers(groups, "is_live_sum")
    theirs = integers(groups, "is_live_count") - ours
    missing = np.maximum(theirs - ours, 0).astype(np.float64)
    surplus = np.maximum(ours - theirs, 0).astype(np.float64)
    return {
        "published_prints": _count(published_place, n).astype(np.float64),
        "missing_prints": _sum(place, missing, n),
        "surplus_prints": _sum(place, surplus, n),
        "published_volume_contracts": _sum(published_place, signed, n),
        "missing_volume_contracts": _sum(place, missing * each, n),
        "surplus_volume_contracts": _sum(place, surplus * each, n),
    }


def _numbers(live: pa.Table, published: pa.Table) -> list[tuple[Ints, Ints]]:
    """Venue's own numbers of both tapes; nothing where a print of either has none."""
    digits = pc.extract_regex(published["trade_id"], r"(?P<n>\d{1,18})$")
    if live["trade_number"].null_count or digits.null_count:
        return []
    told = pc.struct_field(digits, "n").cast(pa.int64())
    return [(integers(live, "trade_number"), np.array(told.to_numpy(), np.int64))]


def _looks(live: pa.Table, published: pa.Table) -> list[tuple[Ints, Ints]]:
    """Millisecond, size and price; prices in coin are left out, live ones are in USD."""
    pairs = [
        (integers(live, "event_at") // 1000, integers(published, "event_at") // 1000),
        (_micros(live, "size_contracts"), _micros(published, "size_contracts")),
    ]
    if pc.all(pc.equal(published["price_currency"], "USD")).as_py():
        pairs.append((_micros(live, "price_usd"), _micros(published, "price")))
    return pairs


def _micros(rows: pa.Table, name: str) -> Ints:
    return np.rint(floats(rows, name) * _MICROS).astype(np.int64)


def _counted(rows: pa.Table | None, place: Ints | None, n: int) -> Floats:
    counts = np.full(n, np.nan)
    if rows is not None and place is not None:
        counts[place] = floats(rows, "open_interest_contracts")
    return counts
