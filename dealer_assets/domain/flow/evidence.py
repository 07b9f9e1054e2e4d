"""What a session's trades say of customers' net buying, contract by contract, with its error.

Belongs here: sums of `tables.SIGNED_FLOW` from a classified tape, from live trades, and from
exchanges' own counts. Does not belong here: sides (`classify`), positions (`domain.positions`).

Of print i, of size s_i, whose side is right with probability p_i, the customer's net is ±s_i:

    expected   sign_i × s_i × (2 p_i - 1)
    variance   s_i² × 4 p_i (1 - p_i)
    no side    expected 0, variance s_i² × `UNSIGNED_SHARE`

and prints are taken to err independently; whoever uses the sums widens them for errors that prints
share (`docs/methods/trade_sides.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, Ints, equals, floats, nullable
from dealer_assets.domain.flow.classify import Classified
from dealer_assets.tables.base import CONTRACT
from dealer_assets.tables.live import TRADE_CLASSES

UNSIGNED_SHARE = 1.0
"""Part of a print without a side that counts as one customer's, bought or sold with equal odds; a
smaller share would claim that customers trade with each other that often."""

APART = ("late", "multi_leg", "block", "combo")
"""Kinds of print whose price is not one of the order book at that moment."""

_CONTRACT = [column.name for column in CONTRACT]
_DECIMALS = 9
"""Sums of tenths of a contract are rounded to as many."""


@dataclass(frozen=True)
class Session:
    """Whose flow it is.

    Parameters
    ----------
    underlying : str
        Registry symbol.
    session_date : datetime.date
        Session.
    closed_at : datetime.datetime
        Its close: `event_at` of the rows.
    """

    underlying: str
    session_date: date
    closed_at: datetime


@dataclass(frozen=True)
class SidedPrints:
    """Prints that stand, with the odds of their sides; arrays of shape (n,).

    Parameters
    ----------
    contracts : pyarrow.Table, shape (m,)
        Columns of ``tables.base.CONTRACT``, each contract once.
    contract : int64 array
        Row of `contracts`.
    size : float64 array
        Contracts.
    sign : int8 array
        Customer's side; 0 unknown.
    probability : float64 array
        That it is right; NaN where there is no side.
    is_apart : bool array
        Of the kinds `APART`.
    """

    contracts: pa.Table
    contract: Ints
    size: Floats
    sign: Ints
    probability: Floats
    is_apart: Bools


def sided_of_tape(classified: Classified, probability: Floats | None = None) -> SidedPrints:
    """Return the prints of a classified tape that stand.

    Parameters
    ----------
    classified : Classified
        A session's prints.
    probability : float64 array, shape (n,), optional
        That each side is right, as a calibration has it; the declared confidence without.
    """
    stands = classified.stands
    odds = classified.confidence if probability is None else probability
    apart = np.array([name in APART for name in TRADE_CLASSES])
    return SidedPrints(
        contracts=classified.tape.contracts,
        contract=classified.tape.contract[stands],
        size=np.nan_to_num(classified.tape.size[stands]),
        sign=classified.sign[stands].astype(np.int64),
        probability=odds[stands],
        is_apart=apart[classified.trade_class[stands]],
    )


def sided_of_live(live: pa.Table) -> SidedPrints:
    """Return the live trades that stand, with the sides they were given then.

    Parameters
    ----------
    live : pyarrow.Table
        `tables.LIVE_TRADES` of one session, every row once.
    """
    taken = live["cancels_sequence"].drop_null()
    is_taken = pc.is_in(live["stream_sequence"], value_set=taken.combine_chunks())
    is_cancel = equals(live, "trade_class", "cancel")
    rows = live.filter(pa.array(~is_cancel & ~np.array(is_taken.to_numpy())))
    contracts, contract = _numbered(rows)
    bought, sold = (pc.fill_null(pc.equal(rows["side"], word), False) for word in ("buy", "sell"))
    return SidedPrints(
        contracts=contracts,
        contract=contract,
        size=floats(rows, "size_contracts"),
        sign=np.array(bought.to_numpy(), np.int64) - np.array(sold.to_numpy(), np.int64),
        probability=floats(rows, "side_confidence"),
        is_apart=np.array(pc.is_in(rows["trade_class"], value_set=pa.array(APART)).to_numpy()),
    )


def flow_of_prints(
    prints: SidedPrints, session: Session, *, source: str, known_at: datetime
) -> pa.Table:
    """Add up prints by contract.

    Parameters
    ----------
    prints : SidedPrints
        Of one session.
    session : Session
        Whose flow it is.
    source : str
        ``tape`` or ``live``.
    known_at : datetime.datetime
        When the last of what it was read from was known.

    Returns
    -------
    pyarrow.Table
        `tables.SIGNED_FLOW`, one row for each contract with a print that stands.
    """
    n, size = prints.contracts.num_rows, prints.size
    is_signed = (prints.sign != 0) & np.isfinite(prints.probability)
    p = np.where(is_signed, prints.probability, 0.5)
    squared = size * size
    variance = squared * np.where(is_signed, 4.0 * p * (1.0 - p), UNSIGNED_SHARE)

    def total(values: Floats) -> Floats:
        sums = np.bincount(prints.contract, weights=values, minlength=n)
        return np.asarray(np.round(sums, _DECIMALS), np.float64)

    signed = total(size * is_signed)
    with np.errstate(invalid="ignore", divide="ignore"):
        sure = total(size * is_signed * p) / signed
    columns = {
        "trades": np.bincount(prints.contract, minlength=n).astype(np.int64),
        "volume_contracts": total(size),
        "signed_volume_contracts": signed,
        "apart_volume_contracts": total(size * prints.is_apart),
        "customer_net_contracts": total(prints.sign * size * (2.0 * p - 1.0)) + 0.0,
        "customer_net_sd_contracts": np.sqrt(total(variance)),
        "squared_size_contracts2": total(squared),
        "mean_confidence": np.minimum(sure, 1.0),
    }
    return _rows(prints.contracts, columns, session, source=source, known_at=known_at)


def flow_of_open_close(counts: pa.Table, session: Session) -> pa.Table:
    """Read customers' net buying off the market makers' own counts, which are exact.

    Of each exchange the file of the whole day counts; without one the last stamp, if it is not
    before the close. Sizes of single prints are not told: `squared_size_contracts2` is that of as
    many prints of one contract, the least it can be.

    Parameters
    ----------
    counts : pyarrow.Table
        `tables.OPEN_CLOSE` of the session, each record once.
    session : Session
        Whose flow it is.

    Returns
    -------
    pyarrow.Table
        `tables.SIGNED_FLOW`, one row for each contract that traded, of the exchanges that are held;
        none when no file reaches the close.
    """
    counts = _whole_days(counts, session)
    if not counts.num_rows:
        return tables.SIGNED_FLOW.schema.empty_table()
    contracts, contract = _numbered(counts)
    n = contracts.num_rows
    is_maker = equals(counts, "origin", "market_maker")
    buys, sells = floats(counts, "buy_contracts"), floats(counts, "sell_contracts")

    def total(values: Floats) -> Floats:
        return np.bincount(contract, weights=values, minlength=n).astype(np.float64)

    # every contract bought was sold by somebody; a file that lacks a side lacks no trade
    volume = np.maximum(total(buys), total(sells))
    columns = {
        "trades": np.zeros(n, np.int64),
        "volume_contracts": volume,
        "signed_volume_contracts": volume,
        "apart_volume_contracts": np.zeros(n),
        "customer_net_contracts": total((sells - buys) * is_maker) + 0.0,
        "customer_net_sd_contracts": np.zeros(n),
        "squared_size_contracts2": volume,
        "mean_confidence": np.ones(n),
    }
    rows = _rows(
        contracts,
        columns,
        session,
        source="open_close",
        known_at=pc.max(counts["known_at"]).as_py(),
    )
    return rows.filter(pc.greater(rows["volume_contracts"], 0.0))


def no_flow() -> pa.Table:
    """Return no row of `tables.SIGNED_FLOW`."""
    return tables.SIGNED_FLOW.schema.empty_table()


def joined(parts: Sequence[pa.Table]) -> pa.Table:
    """Return rows of several sources as one table, sorted by the table's key."""
    table = tables.SIGNED_FLOW
    whole = pa.concat_tables([no_flow(), *parts])
    return whole.sort_by([(name, "ascending") for name in table.key])


def _whole_days(counts: pa.Table, session: Session) -> pa.Table:
    """Keep of each exchange the rows that are of the whole session."""
    kept = []
    for exchange in sorted(set(counts["exchange"].to_pylist())):
        own = counts.filter(pc.equal(counts["exchange"], exchange))
        days = own.filter(pc.equal(own["interval"], "day"))
        if days.num_rows:
            kept.append(days)
            continue
        last = pc.max(own["event_at"])
        if last.as_py() >= session.closed_at:
            kept.append(own.filter(pc.equal(own["event_at"], last)))
    return pa.concat_tables(kept) if kept else counts.slice(0, 0)


def _numbered(rows: pa.Table) -> tuple[pa.Table, Ints]:
    """Contracts of some rows, each once, and each row's place in them."""
    coded = rows["symbol"].combine_chunks().dictionary_encode()
    place = np.array(coded.indices.to_numpy(), np.int64)
    first = np.unique(place, return_index=True)[1]
    return rows.select(_CONTRACT).take(pa.array(first)), place


def _rows(
    contracts: pa.Table,
    columns: dict[str, Floats | Ints],
    session: Session,
    *,
    source: str,
    known_at: datetime,
) -> pa.Table:
    """Lay out sums of contracts that have a print, sorted by the table's key."""
    table, n = tables.SIGNED_FLOW, contracts.num_rows
    told = {
        "underlying": pa.repeat(pa.scalar(session.underlying), n),
        "session_date": pa.repeat(pa.scalar(session.session_date, pa.date32()), n),
        "event_at": pa.repeat(pa.scalar(session.closed_at, tables.INSTANT), n),
        "known_at": pa.repeat(pa.scalar(known_at, tables.INSTANT), n),
        "source": pa.repeat(pa.scalar(source), n),
        **{name: contracts[name] for name in _CONTRACT},
        **{name: pa.array(values) for name, values in columns.items()},
        "mean_confidence": nullable(np.asarray(columns["mean_confidence"], np.float64)),
    }
    whole = pa.table({name: told[name] for name in table.schema.names}).cast(table.schema)
    kept = whole.filter(
        pc.or_(pc.greater(whole["trades"], 0), pc.greater(whole["volume_contracts"], 0.0))
    )
    return kept.sort_by([(name, "ascending") for name in table.key])
