"""Trades of option contracts, as printed.

Belongs here: a trade's fields and units, what is counted once, gaps in the numbering. Does not
belong here: fetching pages (`tape`), block legs (`blocks`).

``direction`` is the taker's side; of a block it is a side that the parties agreed on and says
nothing about who the dealer is, unless the block came from a request for quotes, whose taker is who
asked. ``iv`` is percent, ``amount`` coin, ``price`` coin or USDC: it stays as printed, with its
currency beside it. A combination is published as a package and as legs; legs only are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import session_open
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.csv_fields import positive
from dealer_assets.providers.deribit.columns import (
    PER_CENT,
    Contracts,
    Floats,
    Instants,
    Object,
    constants,
    ids,
    instant_column,
    instants,
    numbers,
    quarantine,
    read_contracts,
    table_of,
    texts,
)
from dealer_assets.providers.deribit.families import Family
from dealer_assets.tables.events import TAKER_SIDES
from dealer_assets.underlyings import Underlying

PROVIDER = "deribit"


@dataclass(frozen=True)
class Print:
    """Trades as columns; n rows, nothing left out yet.

    Parameters
    ----------
    rows : sequence of object
        As received.
    names : list of str
        Instruments.
    contracts : Contracts
        What the names say.
    event_at : datetime64[us] array, shape (n,)
        UTC instants, NaT where not told.
    price, size : float64 array, shape (n,)
        In the venue's currency, and in contracts.
    implied_vol, index : float64 array, shape (n,)
        Decimal, and USD; NaN where not printed.
    direction : array of str, shape (n,)
        Taker's side.
    currency : array of str, shape (n,)
        What the price is in.
    sequence : float64 array, shape (n,)
        Number of the trade in its instrument; NaN where not printed.
    """

    rows: Sequence[Object]
    names: list[str]
    contracts: Contracts
    event_at: Instants
    price: Floats
    size: Floats
    implied_vol: Floats
    index: Floats
    direction: NDArray[np.str_]
    currency: NDArray[np.str_]
    sequence: Floats

    def reasons(self, *, of_tape: bool = True) -> NDArray[np.object_]:
        """Return why each row is not believed, blank where it is; the first reason wins.

        Parameters
        ----------
        of_tape : bool
            Whether rows need an id and a price of their own, as prints of the tape do.
        """
        found = np.full(len(self.rows), "", dtype=object)
        judgements = (
            ("bad_symbol", ~self.contracts.columns.readable),
            ("unknown_root", ~self.contracts.known),
            ("bad_instant", np.isnat(self.event_at)),
            ("no_trade_id", of_tape & self._without("trade_id")),
            ("not_a_number", ~np.isfinite(self.price) & (of_tape | ~self._without("price"))),
            ("not_a_number", ~np.isfinite(self.size)),
            ("negative_size", self.size < 0),
            ("bad_direction", ~np.isin(self.direction, TAKER_SIDES)),
        )
        for reason, where in judgements:
            found[where & (found == "")] = reason
        return found

    def _without(self, field: str) -> NDArray[np.bool_]:
        return np.array([row.get(field) is None for row in self.rows], np.bool_)


def read_trades(
    rows: Sequence[Object], underlying: Underlying, families: Sequence[Family]
) -> Print:
    """Read trades; nothing is judged.

    Parameters
    ----------
    rows : sequence of object
        As received.
    underlying : Underlying
        Registry entry.
    families : sequence of Family
        Its families.
    """
    names = texts(rows, "instrument_name")
    contracts = read_contracts(names, underlying)
    by_root = {family.root.symbol: family for family in families}
    mine = [by_root.get(root) for root in contracts.columns.root_names] + [None]
    multipliers = np.array([f.root.multiplier if f else np.nan for f in mine])
    currencies = np.array([f.price_currency if f else "" for f in mine], np.str_)
    codes = contracts.columns.root_codes
    return Print(
        rows=rows,
        names=names,
        contracts=contracts,
        event_at=instants(numbers(rows, "timestamp")),
        price=numbers(rows, "price"),
        size=numbers(rows, "amount") / multipliers[codes],
        implied_vol=finite(positive(numbers(rows, "iv") / PER_CENT)),
        index=finite(positive(numbers(rows, "index_price"))),
        direction=np.array(texts(rows, "direction"), np.str_),
        currency=currencies[codes],
        sequence=finite(numbers(rows, "trade_seq")),
    )


def finite(values: Floats) -> Floats:
    """Return NaN for infinity: text where a number that may be missing belongs."""
    return np.where(np.isfinite(values), values, np.nan)


def only_options(rows: Sequence[Object], families: Sequence[Family]) -> tuple[list[Object], int]:
    """Return the trades in options of the underlying, and how many packages there were beside."""
    packages = sum(isinstance(row.get("legs"), list) for row in rows)
    mine = [row for row in rows if any(f.has(row.get("instrument_name")) for f in families)]
    return [row for row in mine if not isinstance(row.get("legs"), list)], packages


def trade_records(
    rows: Sequence[Object],
    underlying: Underlying,
    families: Sequence[Family],
    *,
    session_date: date,
    source_name: str,
    source_sha256: str,
    is_complete: bool,
    findings: Sequence[Finding],
    symbols: Sequence[str] | None = None,
) -> Records:
    """Return trades of a session as rows of `tables.OPTION_TRADES`.

    Parameters
    ----------
    rows : sequence of object
        Trades, each id once.
    underlying : Underlying
        Registry entry.
    families : sequence of Family
        Its families; other instruments are left out.
    session_date : datetime.date
        Session; trades of others are quarantined.
    source_name, source_sha256 : str
        Provenance.
    is_complete : bool
        Whether the tape was read to its end without a gap.
    findings : sequence of Finding
        Of the tape.
    symbols : sequence of str, optional
        Contracts wanted; None: all.
    """
    legs, packages = only_options(rows, families)
    found = list(findings)
    if packages:
        text = f"{packages} packages left out: their legs are on the tape already"
        found.append(Finding("packages_left_out", text))
    if symbols is not None:
        wanted = frozenset(symbols)
        legs = [row for row in legs if row.get("instrument_name") in wanted]
    prints = read_trades(legs, underlying, families)
    reasons = prints.reasons()
    day = prints.event_at.astype("datetime64[D]")
    reasons[(reasons == "") & (day != np.datetime64(session_date))] = "other_session"
    batch = {
        "underlying": underlying.symbol,
        "session_date": session_date,
        "provider": PROVIDER,
        "source_name": source_name,
    }
    accepted = np.flatnonzero(reasons == "")
    found += sequence_gaps(prints, accepted)
    return Records(
        table=tables.OPTION_TRADES,
        rows=table_of(tables.OPTION_TRADES, _columns(prints, accepted, batch)),
        provider=PROVIDER,
        source_name=source_name,
        source_sha256=source_sha256,
        rejected=quarantine(
            legs,
            reasons,
            symbols=prints.names,
            event_at=prints.event_at,
            constants_of_batch={
                **batch,
                "source_sha256": source_sha256,
                "event_at": session_open(underlying.calendar, session_date),
            },
        ),
        is_complete=is_complete,
        findings=tuple(found),
    )


def _columns(
    prints: Print, rows: NDArray[np.int64], batch: dict[str, object]
) -> dict[str, pa.Array]:
    raw = [prints.rows[i] for i in rows.tolist()]
    blocks, quoted = ids(raw, "block_trade_id"), ids(raw, "block_rfq_id")
    unsigned = np.array(
        [b is not None and q is None for b, q in zip(blocks, quoted, strict=True)], np.bool_
    )
    event_at = instant_column(prints.event_at[rows])
    return {
        **constants(rows.size, **batch),
        **prints.contracts.arrow(rows),
        "event_at": event_at,
        "known_at": event_at,  # the tape has no delay
        "ordinal": pa.array(ordinals(prints, rows), pa.int32()),
        "price": pa.array(prints.price[rows]),
        "price_currency": pa.array(prints.currency[rows].tolist(), pa.string()),
        "size_contracts": pa.array(prints.size[rows]),
        "conditions": pa.repeat("", rows.size),
        "exchange": pa.repeat(PROVIDER, rows.size),
        "correction": pa.nulls(rows.size, pa.int32()),
        "sequence": nullable(prints.sequence[rows]).cast(pa.int64()),
        "trade_id": pa.array(ids(raw, "trade_id"), pa.string()),
        "taker_side": pa.array(prints.direction[rows].tolist(), pa.string()),
        "sign_rule": pa.array(np.where(unsigned, "unsigned", "taker_side").tolist(), pa.string()),
        "venue_implied_vol": nullable(prints.implied_vol[rows]),
        "underlying_price": nullable(prints.index[rows]),
        "block_id": pa.array(blocks, pa.string()),
        "combo_id": pa.array(ids(raw, "combo_id"), pa.string()),
        "is_liquidation": pa.array([bool(row.get("liquidation")) for row in raw], pa.bool_()),
    }


def nullable(values: Floats) -> pa.Array:
    """Return float64 for storage; NaN is null."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def ordinals(prints: Print, rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return each print's number, from 0, among those of its contract and instant."""
    names = np.array([prints.names[i] for i in rows.tolist()], np.str_)
    stamps = prints.event_at[rows].astype(np.int64)
    _, codes = np.unique(names, return_inverse=True)
    numbering = np.where(np.isnan(prints.sequence[rows]), np.inf, prints.sequence[rows])
    order = np.lexsort((np.arange(rows.size), numbering, stamps, codes))
    begins = np.ones(rows.size, np.bool_)
    begins[1:] = (np.diff(codes[order]) != 0) | (np.diff(stamps[order]) != 0)
    place = np.arange(rows.size)
    since = place - np.maximum.accumulate(np.where(begins, place, 0))
    found = np.empty(rows.size, np.int32)
    found[order] = since
    return found


def sequence_gaps(prints: Print, rows: NDArray[np.int64]) -> list[Finding]:
    """Return the finding that trades are missing between two of one instrument, if any are."""
    numbered = rows[~np.isnan(prints.sequence[rows])]
    _, codes = np.unique(
        np.array([prints.names[i] for i in numbered.tolist()], np.str_), return_inverse=True
    )
    numbering = prints.sequence[numbered].astype(np.int64)
    order = np.lexsort((numbering, codes))
    steps = np.where(np.diff(codes[order]) == 0, np.diff(numbering[order]), 1)
    missing = steps[steps > 1] - 1
    if not missing.size:
        return []
    first = int(numbered[order[:-1][steps > 1][0]])
    text = (
        f"the numbering of trades has {missing.size} gaps of {int(missing.sum())} trades in all, "
        f"the first after number {int(prints.sequence[first])} of {prints.names[first]}"
    )
    return [Finding("trade_sequence_gap", text)]
