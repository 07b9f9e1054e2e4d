"""Block and over-the-counter legs as flow: each with the sign rule its record allows.

Belongs here: what a leg of a blotter says of customers' net buying. Does not belong here: blocks
that a venue prints on its tape (`domain.flow`), options on other underlyings (CME, swap reports),
which are no contract of the chain.

Of a leg of size s the customer's net is ±s: exact where the record names the dealer's side, right
with `BLOCK_TAKER` where it names the taker's, and of expected value 0 with variance s² where it
names none: an unsigned block widens the error and moves nothing.
"""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Floats, equals, floats
from dealer_assets.domain.flow.sides import BLOCK_TAKER

_CONTRACT = [column.name for column in tables.CONTRACT]
_SUMS = (
    "trades",
    "volume_contracts",
    "signed_volume_contracts",
    "apart_volume_contracts",
    "customer_net_contracts",
    "squared_size_contracts2",
)
_LATEST = ("event_at", "known_at", "symbol", "expires_at")


def with_legs(flow: pa.Table, legs: pa.Table) -> pa.Table:
    """Add legs that no tape holds to a session's flow.

    Parameters
    ----------
    flow : pyarrow.Table
        `tables.SIGNED_FLOW` of a session; the rows of its tape, or of live trades, take the legs.
    legs : pyarrow.Table
        `tables.BLOCK_TRADES` of it that are not on that tape, each leg once.

    Returns
    -------
    pyarrow.Table
        `tables.SIGNED_FLOW`; exact counts are left as they are.
    """
    if not legs.num_rows:
        return flow
    held = set(flow["source"].to_pylist())
    source = "live" if "live" in held and "tape" not in held else "tape"
    is_theirs = pc.equal(flow["source"], source)
    both = pa.concat_tables([flow.filter(is_theirs), _as_flow(legs, source)])
    added = _summed(both)
    whole = pa.concat_tables([flow.filter(pc.invert(is_theirs)), added])
    return whole.sort_by([(name, "ascending") for name in tables.SIGNED_FLOW.key])


def _as_flow(legs: pa.Table, source: str) -> pa.Table:
    """One row of flow for each leg."""
    size = floats(legs, "size_contracts")
    dealer, taker = _sign(legs, "dealer_side"), _sign(legs, "taker_side")
    sure = np.where(dealer != 0.0, 1.0, np.where(taker != 0.0, BLOCK_TAKER, 0.5))
    sign = np.where(dealer != 0.0, -dealer, taker)
    signed = size * (sign != 0.0)
    day: date = legs["session_date"][0].as_py()
    closed: datetime = pc.max(legs["event_at"]).as_py()
    told = {
        "underlying": legs["underlying"],
        "session_date": pa.repeat(pa.scalar(day, pa.date32()), legs.num_rows),
        "event_at": pa.repeat(pa.scalar(closed, tables.INSTANT), legs.num_rows),
        "known_at": legs["known_at"],
        "source": pa.repeat(source, legs.num_rows),
        **{name: legs[name] for name in _CONTRACT},
        "trades": pa.array(np.ones(legs.num_rows, np.int64)),
        "volume_contracts": pa.array(size),
        "signed_volume_contracts": pa.array(signed),
        "apart_volume_contracts": pa.array(size),
        "customer_net_contracts": pa.array(sign * size * (2.0 * sure - 1.0)),
        "customer_net_sd_contracts": pa.array(size * np.sqrt(4.0 * sure * (1.0 - sure))),
        "squared_size_contracts2": pa.array(size**2),
        "mean_confidence": pa.array(sure, mask=sign == 0.0),
    }
    schema = tables.SIGNED_FLOW.schema
    return pa.table([told[name] for name in schema.names], names=schema.names).cast(schema)


def _sign(legs: pa.Table, name: str) -> Floats:
    told = legs.set_column(
        legs.schema.get_field_index(name), name, pc.fill_null(legs[name], "none")
    )
    return equals(told, name, "buy").astype(np.float64) - equals(told, name, "sell")


def _summed(rows: pa.Table) -> pa.Table:
    """Add up the rows of each contract: sums add, variances add, confidence weighs by size."""
    schema = rows.schema
    rows = rows.append_column("_var", pc.power(rows["customer_net_sd_contracts"], 2.0))
    sure = pc.multiply(pc.fill_null(rows["mean_confidence"], 0.0), rows["signed_volume_contracts"])
    rows = rows.append_column("_sure", sure)
    keys = ["underlying", "session_date", *tables.SIGNED_FLOW.key]
    # one thread: sums are taken in one order, bit for bit
    grouped = rows.group_by(keys, use_threads=False).aggregate(
        [
            *((name, "max") for name in _LATEST),
            *((name, "sum") for name in (*_SUMS, "_var", "_sure")),
        ]
    )
    names = {f"{name}_sum": name for name in _SUMS} | {f"{name}_max": name for name in _LATEST}
    grouped = grouped.rename_columns([names.get(n, n) for n in grouped.column_names])
    signed = floats(grouped, "signed_volume_contracts")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.minimum(floats(grouped, "_sure_sum") / signed, 1.0)
    grouped = grouped.append_column("customer_net_sd_contracts", pc.sqrt(grouped["_var_sum"]))
    grouped = grouped.append_column("mean_confidence", pa.array(mean, mask=~(signed > 0.0)))
    return grouped.select(schema.names).cast(schema)
