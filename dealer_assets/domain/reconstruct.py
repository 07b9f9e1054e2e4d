"""Chains of a past session, put together from its listing and its tape.

Belongs here: which contracts stand at an instant, what is known of each, where spot comes from, how
much of the chain the quotes cover. Does not belong here: the tape's state (`tape`), storing
(`history`), pricing.

A snapshot at an instant uses only what had happened by then. It could not be known then: its
`known_at` is that of the latest thing it is made of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Bools, Floats, Ints, floats, integers, nullable
from dealer_assets.domain.listed import ListedChain, listed_chain
from dealer_assets.domain.quote_cover import has_pair, of_unlisted, quote_cover
from dealer_assets.domain.remarks import Remark
from dealer_assets.domain.session_spot import spot_at
from dealer_assets.domain.tape import (
    LastPrints,
    Prints,
    Quotes,
    places,
    prints_of_bars,
    prints_of_trades,
)
from dealer_assets.errors import BadInputError
from dealer_assets.underlyings import Underlying

PROVIDER = "reconstructed"
STALE_AFTER = timedelta(minutes=15)
"""A quote or a value that is older says little: it is counted, and used all the same."""

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def reconstruct(
    at: Sequence[datetime],
    *,
    underlying: Underlying,
    listing: pa.Table,
    quotes: pa.Table | None = None,
    trades: pa.Table | None = None,
    bars: pa.Table | None = None,
    index_values: pa.Table | None = None,
    open_interest: pa.Table | None = None,
    asked_for: Collection[str] | None = None,
    stale_after: timedelta = STALE_AFTER,
) -> list[tuple[pa.Table, tuple[Remark, ...]]]:
    """Put together the chain at each of several instants of one session.

    Parameters
    ----------
    at : sequence of datetime.datetime
        UTC instants at which the session's options quote.
    underlying : Underlying
        Registry entry: roots, settlement, multipliers.
    listing : pyarrow.Table, shape (n,)
        `tables.LISTED_CONTRACTS` of the session.
    quotes : pyarrow.Table, optional
        `tables.OPTION_QUOTES`; a contract without any has neither bid nor ask.
    trades : pyarrow.Table, optional
        `tables.OPTION_TRADES`; a contract without a trade has volume 0.
    bars : pyarrow.Table, optional
        `tables.OPTION_BARS`; minute bars stand in for trades.
    index_values : pyarrow.Table, optional
        `tables.INDEX_VALUES`.
    open_interest : pyarrow.Table, optional
        `tables.OPEN_INTEREST` that the session opened with, of one publisher.
    asked_for : collection of str, optional
        Contracts that the vendor was asked for trades and bars of; all when absent. The volume of
        others is unknown unless they have a row.
    stale_after : datetime.timedelta
        Older quotes and values are remarked upon.

    Returns
    -------
    list of (pyarrow.Table, tuple of Remark)
        Per instant, in the order given: rows of `tables.CHAIN_SNAPSHOTS`, sorted by its key, and
        what there is to say about them. Without rows when nothing listed is alive. An absent or
        empty table means "not held": the columns it would fill are null.

    Raises
    ------
    BadInputError
        When a table is of another underlying or session, or an instant is.
    """
    held = {
        "quotes": quotes,
        "trades": trades,
        "bars": bars,
        "index_values": index_values,
        "open_interest": open_interest,
    }
    tape = {name: rows for name, rows in held.items() if rows is not None and rows.num_rows}
    day = _session_date(listing)
    for name, rows in {"listing": listing, **tape}.items():
        _require_same(name, rows, underlying, day)
    chain = listed_chain(underlying, listing)
    session = _Session(
        underlying=underlying,
        day=day,
        chain=chain,
        quotes=Quotes(tape["quotes"], chain.symbols) if "quotes" in tape else None,
        prints=_prints(tape, chain.symbols),
        is_bars="trades" not in tape,
        is_asked=_is_asked(chain, asked_for),
        values=tape.get("index_values"),
        open_interest=tape.get("open_interest"),
        stale_us=stale_after // _MICROSECOND,
    )
    return [_snapshot(session, _instant_us(underlying, day, instant)) for instant in at]


@dataclass(frozen=True)
class _Session:
    """Everything that the snapshots of one session share."""

    underlying: Underlying
    day: date
    chain: ListedChain
    quotes: Quotes | None
    prints: Prints | None
    is_bars: bool
    is_asked: Bools
    values: pa.Table | None
    open_interest: pa.Table | None
    stale_us: int


def _session_date(listing: pa.Table) -> date:
    days = listing["session_date"].unique().to_pylist()
    if len(days) != 1:
        raise BadInputError(f"expected the listing of one session, found those of {days}")
    found: date = days[0]
    return found


def _require_same(name: str, rows: pa.Table, underlying: Underlying, day: date) -> None:
    symbols = rows["underlying"].unique().to_pylist()
    days = rows["session_date"].unique().to_pylist()
    if symbols != [underlying.symbol] or days != [day]:
        raise BadInputError(
            f"{name}: expected rows of {underlying.symbol} {day}, found {symbols} {days}"
        )


def _instant_us(underlying: Underlying, day: date, instant: datetime) -> int:
    calendar = underlying.calendar
    first, last = sessions.session_open(calendar, day), sessions.quotes_end(calendar, day)
    if instant.tzinfo is None or not first <= instant <= last:
        raise BadInputError(
            f"expected an instant with a time zone from {first:%Y-%m-%d %H:%M} to {last:%H:%M} "
            f"UTC, when options of session {day} quote, found {instant.isoformat()}"
        )
    return (instant - _EPOCH) // _MICROSECOND


def _is_asked(chain: ListedChain, asked_for: Collection[str] | None) -> Bools:
    if asked_for is None:
        return np.ones(len(chain.symbols), np.bool_)
    wanted = pa.array(sorted(set(asked_for)), pa.string())
    return np.array(pc.is_in(chain.symbols, value_set=wanted).to_numpy(zero_copy_only=False))


def _prints(tape: dict[str, pa.Table], symbols: pa.Array) -> Prints | None:
    if "trades" in tape:
        return prints_of_trades(tape["trades"], symbols)
    return prints_of_bars(tape["bars"], symbols) if "bars" in tape else None


def _snapshot(session: _Session, now_us: int) -> tuple[pa.Table, tuple[Remark, ...]]:
    chain = session.chain
    alive = np.flatnonzero((chain.expires_us > now_us) & (chain.listed_us <= now_us))
    if not alive.size:
        return tables.CHAIN_SNAPSHOTS.schema.empty_table(), (
            *chain.remarks,
            Remark("nothing_alive", "no listed contract is alive at this instant"),
        )
    quotes = session.quotes.at(now_us) if session.quotes else None
    prints = session.prints.at(now_us) if session.prints else None
    interest, interest_known_us, remarks = _open_interest(session, now_us, alive)
    spot = spot_at(
        session.underlying,
        session.values,
        now_us,
        has_pair=quotes is not None and has_pair(chain, quotes, alive),
        stale_us=session.stale_us,
    )
    is_partial, quote_remarks = quote_cover(chain, quotes, now_us, alive, stale_us=session.stale_us)
    known_us = max(
        now_us,
        int(chain.known_us[alive].max()),
        quotes.known_us if quotes else -1,
        prints.known_us if prints else -1,
        interest_known_us,
        spot.known_us,
    )
    nothing = np.full(chain.expires_us.size, np.nan)
    values: dict[str, Floats] = {
        "bid": quotes.bid if quotes else nothing,
        "ask": quotes.ask if quotes else nothing,
        "bid_size_contracts": quotes.bid_size if quotes else nothing,
        "ask_size_contracts": quotes.ask_size if quotes else nothing,
        "last_price": prints.price if prints else nothing,
        "volume_contracts": _volume(session, prints) if prints else nothing,
        "open_interest_contracts": interest,
    }
    columns = {name: nullable(array[alive]) for name, array in values.items()}
    traded = prints.event_us[alive] if prints else np.full(alive.size, -1)
    columns["last_trade_at"] = pa.array(traded, mask=traded < 0).cast(tables.INSTANT)
    constants = {
        "underlying": session.underlying.symbol,
        "session_date": session.day,
        "event_at": _EPOCH + now_us * _MICROSECOND,
        "known_at": _EPOCH + known_us * _MICROSECOND,
        "provider": PROVIDER,
        "spot": spot.value,
        "spot_source": spot.source,
        "is_partial": is_partial,
    }
    rows = _table(chain.columns.take(pa.array(alive)), columns, constants)
    told = (
        *chain.remarks,
        *quote_remarks,
        *_print_remarks(prints, is_bars=session.is_bars),
        *remarks,
        *spot.remarks,
    )
    return rows, told


def _table(
    contracts: pa.Table, columns: dict[str, pa.Array], constants: dict[str, object]
) -> pa.Table:
    arrays = []
    for field in tables.CHAIN_SNAPSHOTS.schema:
        if field.name in contracts.column_names:
            arrays.append(contracts[field.name].cast(field.type))
        elif field.name in columns:
            arrays.append(columns[field.name].cast(field.type))
        else:
            value = pa.scalar(constants.get(field.name), field.type)
            arrays.append(pa.repeat(value, contracts.num_rows))
    return pa.table(arrays, schema=tables.CHAIN_SNAPSHOTS.schema)


def _open_interest(
    session: _Session, now_us: int, alive: Ints
) -> tuple[Floats, int, tuple[Remark, ...]]:
    """Return open interest of all contracts, when it could be known, and what is missing."""
    found = np.full(session.chain.expires_us.size, np.nan)
    known_us = -1
    rows = session.open_interest
    if rows is not None:
        rows = rows.sort_by("event_at")
        place, event = places(rows, session.chain.symbols), integers(rows, "event_at")
        usable = (place >= 0) & (event <= now_us)
        found[place[usable]] = floats(rows, "open_interest_contracts")[usable]
        known_us = int(integers(rows, "known_at")[usable].max(initial=-1))
    missing = int(np.isnan(found[alive]).sum())
    if not missing:
        return found, known_us, ()
    text = (
        f"open interest of {missing:,} of {alive.size:,} contracts is not in the archive: left "
        "unknown. No vendor sells it back; what is collected from now on is kept"
    )
    return found, known_us, (Remark("open_interest_not_archived", text),)


def _volume(session: _Session, prints: LastPrints) -> Floats:
    """Return volumes; nothing is known of a contract that was not asked for and has no print."""
    return np.where(session.is_asked | (prints.volume > 0.0), prints.volume, np.nan)


def _print_remarks(prints: LastPrints | None, *, is_bars: bool) -> tuple[Remark, ...]:
    if prints is None:
        text = "neither trades nor bars of the session are held: volume is unknown"
        return (Remark("no_prints", text),)
    remarks = list(of_unlisted("bars" if is_bars else "trades", prints.unlisted))
    if is_bars:
        text = "volume and last price come from minute bars; trades are dated by their minute"
        remarks.append(Remark("volume_from_bars", text))
    if prints.unmatched:
        text = f"{prints.unmatched:,} cancels take back no print of the tape: left out"
        remarks.append(Remark("cancel_without_print", text))
    return tuple(remarks)
