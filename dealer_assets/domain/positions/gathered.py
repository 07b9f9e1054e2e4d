"""Evidence of a morning, brought together contract by contract.

Belongs here: which contracts live, and their positions, trades and counts as arrays side by side.
Does not belong here: what follows from them (`settled`, `posterior`), storage (`settling`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, Ints, equals, floats, integers
from dealer_assets.domain.positions import counts as worth
from dealer_assets.domain.positions.trades import Flow
from dealer_assets.errors import BadInputError

CONTRACT = [column.name for column in tables.CONTRACT]
OF_TRADES = ("tape", "live")
"""Sources of flow whose sides are a classifier's or the venue's; the tape goes before."""

COUNTED_SHARE = 0.9
"""Of a contract's printed volume, the least that exchanges' counts must hold to be its own."""

LEVELS = ("ok", "broken")
"""States of counts that the next morning's may be compared with."""


@dataclass(frozen=True)
class Morning:
    """What is held when a session opens.

    Parameters
    ----------
    underlying : str
        Registry symbol.
    session_date : datetime.date
        The session that opens.
    opened_at : datetime.datetime
        When it does: `event_at` of the rows.
    previous : pyarrow.Table
        `tables.DEALER_POSITIONS` of the session before; no rows where none are held.
    flow : pyarrow.Table
        `tables.SIGNED_FLOW` of the session before, of every source; no rows where none is held.
    counts : pyarrow.Table
        `tables.OPEN_INTEREST` that the session opens with, of one publisher.
    """

    underlying: str
    session_date: date
    opened_at: datetime
    previous: pa.Table
    flow: pa.Table
    counts: pa.Table


@dataclass(frozen=True)
class Gathered:
    """A morning's evidence; arrays of shape (n,) along `contracts`, NaN where nothing is told.

    Parameters
    ----------
    contracts : pyarrow.Table, shape (n,)
        Columns of ``tables.CONTRACT``, each living contract once.
    is_call : bool array
        True for calls.
    days : float64 array
        Calendar days to expiry.
    before : pyarrow.Table, shape (n,)
        The contract's row of the model `reconciled` the session before; null where it has none.
    has_before : bool array
        Whether it has one.
    oi_before : float64 array
        The morning before's count where it was of this market's level, whole contracts.
    oi_after : float64 array
        This morning's, where it is worth comparing with that.
    oi_told : float64 array
        This morning's count as told, also where its change means nothing; NaN when wiped.
    state : object array of str
        What this morning's count is worth, one of `tables.OPEN_INTEREST_STATES`.
    flow : Flow
        The best evidence of trades for each contract.
    trades_net, exact_net : float64 array
        Customers' net of classified trades, and of market makers' counts; 0 without any.
    """

    contracts: pa.Table
    is_call: Bools
    days: Floats
    before: pa.Table
    has_before: Bools
    oi_before: Floats
    oi_after: Floats
    oi_told: Floats
    state: np.ndarray
    flow: Flow
    trades_net: Floats
    exact_net: Floats


def gather(morning: Morning) -> Gathered:
    """Bring a morning's evidence together; contracts that have expired are left out.

    Raises
    ------
    BadInputError
        When the counts are of more than one publisher.
    """
    publishers = set(morning.counts["provider"].to_pylist())
    if len(publishers) > 1:
        raise BadInputError(
            f"{morning.underlying} {morning.session_date}: expected open interest of one "
            f"publisher, found {sorted(publishers)}: choose one before comparing mornings"
        )
    previous = morning.previous.filter(pc.equal(morning.previous["model"], "reconciled"))
    sources = [_living(rows, morning.opened_at) for rows in (previous, morning.counts)]
    contracts, (of_previous, of_counts) = _numbered(sources)
    n = contracts.num_rows
    before = sources[0].take(_rows_of(of_previous, n))
    oi_told = _along(floats(sources[1], "open_interest_contracts"), of_counts, n)
    oi_before = floats(before, "open_interest_contracts")
    level = pc.fill_null(pc.is_in(before["open_interest_state"], value_set=pa.array(LEVELS)), False)
    oi_before = np.where(np.array(level.to_numpy()), oi_before, np.nan)
    flows = flows_of(morning.flow, contracts)
    volume = _volume(flows, oi_before, oi_told)
    state = worth.session_state(oi_before, oi_told, volume)
    return _judged(
        morning, contracts, before, oi_before, oi_told, state=state, flows=flows, volume=volume
    )


def _judged(
    morning: Morning,
    contracts: pa.Table,
    before: pa.Table,
    oi_before: Floats,
    oi_told: Floats,
    *,
    state: str,
    flows: dict[str, Flow],
    volume: Floats,
) -> Gathered:
    """Keep what the counts are worth, and the contracts something is known of."""
    has_before = np.array(pc.is_valid(before["symbol"]).to_numpy())
    if state in ("wiped", "missing"):
        oi_told = np.full(oi_told.shape, np.nan)
    states = np.full(oi_told.shape, state, object)
    if state == "ok":
        change = np.where(has_before, oi_told - oi_before, np.nan)
        states[worth.is_untraded(change, volume)] = "broken"
        states[np.isnan(oi_told)] = "missing"
        wiped = worth.is_emptied(oi_before, oi_told, volume) | _still_wiped(before, oi_told, volume)
        states[wiped] = "wiped"
        oi_told = np.where(wiped, np.nan, oi_told)
    is_ok = states == "ok"
    kept = has_before | np.isfinite(oi_told)
    best = _best(flows, volume)
    whole = Gathered(
        contracts=contracts,
        is_call=equals(contracts, "right", "call"),
        days=_days(contracts, morning.session_date),
        before=before,
        has_before=has_before,
        oi_before=oi_before,
        oi_after=np.where(is_ok, oi_told, np.nan),
        oi_told=oi_told,
        state=states,
        flow=best,
        trades_net=flows["trades"].net,
        exact_net=flows["exact"].net,
    )
    return whole if kept.all() else _chosen(whole, kept)


def _still_wiped(before: pa.Table, oi_told: Floats, volume: Floats) -> Bools:
    """Tell which counts were wiped the morning before and are still blank, though held then."""
    was = np.array(pc.fill_null(pc.equal(before["open_interest_state"], "wiped"), False).to_numpy())
    held = floats(before, "filter_sd_contracts") > 0.0
    return np.asarray(was & held & (oi_told == 0.0) & ~(volume > 0.0))


def _living(rows: pa.Table, opened_at: datetime) -> pa.Table:
    return rows.filter(pc.greater(rows["expires_at"], pa.scalar(opened_at, tables.INSTANT)))


def _days(contracts: pa.Table, day: date) -> Floats:
    today = np.datetime64(day, "D").astype(np.int64)
    return (integers(contracts, "expiry_date") - today).astype(np.float64)


def _numbered(sources: list[pa.Table]) -> tuple[pa.Table, list[Ints]]:
    """Contracts of all tables, each once, and each table's rows as places in them."""
    every = pa.concat_tables([rows.select(CONTRACT) for rows in sources]).combine_chunks()
    coded = every["symbol"].combine_chunks().dictionary_encode()
    place = np.array(coded.indices.to_numpy(), np.int64)
    first = np.unique(place, return_index=True)[1]
    bounds = np.cumsum([rows.num_rows for rows in sources])[:-1]
    return every.take(pa.array(first)), np.split(place, bounds)


def _rows_of(place: Ints, n: int) -> pa.Array:
    """Row of a table for each contract; null where it has none."""
    row = np.full(n, -1, np.int64)
    row[place] = np.arange(place.size)
    return pa.array(row, mask=row < 0)


def _along(values: Floats, place: Ints, n: int, *, otherwise: float = np.nan) -> Floats:
    laid = np.full(n, otherwise)
    laid[place] = values
    return laid


def flows_of(rows: pa.Table, contracts: pa.Table) -> dict[str, Flow]:
    """Trades by contract: classified ones, and market makers' counts where those are of them all.

    Counts of one exchange say nothing exact of contracts that trade on others too.
    """
    held = set(rows["source"].to_pylist())
    source = next((name for name in OF_TRADES if name in held), "")
    trades = _flow(rows.filter(pc.equal(rows["source"], source)), contracts, exact=False)
    exact = _flow(rows.filter(pc.equal(rows["source"], "open_close")), contracts, exact=True)
    is_part = exact.volume < COUNTED_SHARE * trades.volume
    volume = np.where(is_part, np.nan, exact.volume)
    whole = replace(exact, volume=volume, is_exact=exact.is_exact & ~is_part)
    return {"trades": trades, "exact": whole}


def _flow(rows: pa.Table, contracts: pa.Table, *, exact: bool) -> Flow:
    n = contracts.num_rows
    found = pc.index_in(rows["symbol"], value_set=contracts["symbol"].combine_chunks())
    place = np.array(pc.fill_null(found, -1).to_numpy())
    known = place >= 0

    def laid(name: str, otherwise: float) -> Floats:
        return _along(floats(rows, name)[known], place[known], n, otherwise=otherwise)

    volume = laid("volume_contracts", np.nan)
    return Flow(
        volume=volume,
        net=laid("customer_net_contracts", 0.0),
        net_sd=laid("customer_net_sd_contracts", 0.0),
        squared_size=laid("squared_size_contracts2", 0.0),
        is_exact=np.isfinite(volume) & exact,
    )


def _volume(flows: dict[str, Flow], oi_before: Floats, oi_told: Floats) -> Floats:
    """Traded contracts; of one without a print 0, unless its open interest changed all the same."""
    told = np.fmax(flows["trades"].volume, flows["exact"].volume)
    if not np.isfinite(told).any():
        return told
    changed = np.abs(oi_told - oi_before) > 0.0
    return np.where(np.isnan(told) & ~changed, 0.0, told)


def _best(flows: dict[str, Flow], volume: Floats) -> Flow:
    """Take counts where they are held, classified trades elsewhere."""
    trades, exact = flows["trades"], flows["exact"]
    counted = exact.is_exact
    return Flow(
        volume=np.where(counted, exact.volume, volume),
        net=np.where(counted, exact.net, trades.net),
        net_sd=np.where(counted, exact.net_sd, trades.net_sd),
        squared_size=np.where(counted, exact.squared_size, trades.squared_size),
        is_exact=counted,
    )


def _chosen(whole: Gathered, kept: Bools) -> Gathered:
    chosen = {
        name: value.filter(pa.array(kept)) if isinstance(value, pa.Table) else value[kept]
        for name, value in vars(whole).items()
        if name != "flow"
    }
    flow = Flow(**{name: value[kept] for name, value in vars(whole.flow).items()})
    return Gathered(flow=flow, **chosen)
