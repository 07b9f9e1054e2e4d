"""Chosen contracts now: the unified snapshot, for contracts that a stream follows.

Belongs here: asking for up to 250 at once, rows, and who was refused. Does not belong here: whole
chains (`snapshots`).

A name that does not exist, or is not in the plan, is refused within an answer of status 200, in the
place of its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.errors import ProviderError
from dealer_assets.providers.polygon.chain import FLOAT_FIELDS, PRICE_BLOCKS
from dealer_assets.providers.polygon.client import Ask, PolygonClient
from dealer_assets.providers.polygon.fields import (
    NUMBER,
    TEXT,
    bare_symbols,
    instants,
    joined,
    numbers,
    texts,
)
from dealer_assets.providers.polygon.pages import Page, fetch_listing

BATCH = 250
CHOSEN_ROW = pa.struct(
    [
        ("ticker", TEXT),
        ("error", TEXT),
        ("message", TEXT),
        ("session", pa.struct([("volume", NUMBER)])),
        *PRICE_BLOCKS,
    ]
)
_CLOCKS = {
    "quoted_at": ("last_quote", "last_updated"),
    "last_trade_at": ("last_trade", "sip_timestamp"),
    "spot_at": ("underlying_asset", "last_updated"),
}


@dataclass(frozen=True)
class Chosen:
    """What the vendor says of chosen contracts.

    Parameters
    ----------
    rows : pyarrow.Table, shape (n,)
        ``symbol``; `raw_chain.FLOAT_COLUMNS` but the venue's forward, and ``spot``, as float64;
        ``quoted_at``, ``last_trade_at``, ``spot_at`` as instants; null where untold.
    not_found, not_entitled : tuple of str
        Symbols that the vendor refuses by name.
    unanswered : tuple of str
        Symbols of which it said nothing, or whose request failed.
    failure : ProviderError or None
        The first failed request.
    """

    rows: pa.Table
    not_found: tuple[str, ...] = ()
    not_entitled: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    failure: ProviderError | None = None


def fetch_chosen(client: PolygonClient, symbols: Sequence[str]) -> Chosen:
    """Ask for chosen contracts, `BATCH` in a request.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    symbols : sequence of str
        Canonical option symbols.

    Raises
    ------
    NotEntitledError
        When the plan has no snapshots at all.
    """
    asked = list(dict.fromkeys(symbol.removeprefix("O:") for symbol in symbols))
    batches = [asked[i : i + BATCH] for i in range(0, len(asked), BATCH)]
    results = client.run([partial(_batch, client, batch) for batch in batches])
    pages: list[Page] = []
    failure: ProviderError | None = None
    for result in results:
        if isinstance(result, ProviderError):
            failure = failure or result
        elif result is not None:
            pages += result[0]
            failure = failure or result[1]
    rows, damaged = joined(pages, CHOSEN_ROW)
    names = bare_symbols(texts(rows, "ticker"))
    error = texts(rows, "error").to_numpy(zero_copy_only=False)
    found = np.array(names.to_pylist(), dtype=object)
    good = np.flatnonzero((error == "") & ~damaged & (found != ""))
    return Chosen(
        rows=_table(rows.take(pa.array(good)), names.take(pa.array(good))),
        not_found=tuple(found[error == "NOT_FOUND"]),
        not_entitled=tuple(found[error == "NOT_ENTITLED"]),
        unanswered=tuple(s for s in asked if s not in set(found[(error != "") | ~damaged])),
        failure=failure,
    )


def _batch(
    client: PolygonClient, symbols: Sequence[str]
) -> tuple[tuple[Page, ...], ProviderError | None]:
    question = Ask(
        f"snapshots of {len(symbols)} contracts",
        "list_universal_snapshots",
        kwargs={"ticker_any_of": [f"O:{symbol}" for symbol in symbols], "limit": BATCH},
    )
    found = fetch_listing(client, question, CHOSEN_ROW)
    return found.pages, found.failure


def _table(rows: pa.StructArray, symbols: pa.StringArray) -> pa.Table:
    floats = {name: numbers(rows, *path) for name, path in FLOAT_FIELDS.items()}
    floats["volume_contracts"] = numbers(rows, "session", "volume")
    value = numbers(rows, "underlying_asset", "value")
    floats["spot"] = np.where(value > 0, value, numbers(rows, "underlying_asset", "price"))
    clocks = {name: instants(rows, *path) for name, path in _CLOCKS.items()}
    return pa.table(
        {
            "symbol": pc.cast(symbols, pa.string()),
            **{n: pa.array(v, mask=~np.isfinite(v)) for n, v in floats.items()},
            **{n: pa.array(v).cast(tables.INSTANT) for n, v in clocks.items()},
        }
    )
