"""Tape assets: listing, index values, bars, trades and quotes of a session.

Belongs here: asset shells. Does not belong here: what is asked of whom (`history`).
"""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.defs.lanes import Lane, Result, lane_assets
from dealer_assets.errors import NoDataError, NotEntitledError, NotOfferedError, ProviderError
from dealer_assets.intake.history import fetch
from dealer_assets.intake.records import held
from dealer_assets.lake.refresh import Refreshed
from dealer_assets.reports.tape_pictures import volume_picture

DISPENSABLE: dict[str, tuple[type[ProviderError], ...]] = {
    # spot has a ladder: what quotes imply, and the close before
    tables.INDEX_VALUES.name: (NoDataError, NotEntitledError, NotOfferedError),
}
"""What may be missing without stopping the tape; elsewhere only what no provider offers at all."""


def _bring(lane: Lane, draw: Callable[[pa.Table], bytes] | None = None) -> Result:
    """Fetch what is not held, say how whole it is, and draw it."""
    try:
        with lane.platform.history(lane.underlying) as source:
            outcome = fetch(
                lane.lake,
                source,
                lane.underlying,
                table=lane.table,
                session_date=lane.session_date,
                now=lane.platform.now(),
                rebuild=lane.rebuild,
            )
    except DISPENSABLE.get(lane.table.name, (NotOfferedError,)) as error:
        return lane.result(Refreshed((), 0, 0, 0), {"missing": str(error), "is_complete": False})
    is_held = outcome.status == "held"
    done = Refreshed(() if is_held else (outcome.source,), int(is_held), 0, outcome.contracts)
    picture = {}
    if draw is not None:
        rows = held(lane.lake, lane.table, lane.underlying.symbol, lane.session_date)
        picture = {"picture": lane.picture(lambda: draw(rows))}
    return lane.result(
        done,
        {
            **picture,
            "source": outcome.source,
            "rows_in_batch": outcome.contracts,
            "rejected_rows": outcome.rejected,
            "is_complete": not outcome.is_partial,
            "findings": ", ".join(f.code for f in outcome.findings) or "none",
        },
    )


@lane_assets(tables.LISTED_CONTRACTS, group="tape")
def listed_contracts(lane: Lane) -> Result:
    """Contracts that were listed in the session."""
    return _bring(lane)


@lane_assets(tables.INDEX_VALUES, group="tape")
def index_values(lane: Lane) -> Result:
    """Values of the underlying through the session."""
    return _bring(lane)


@lane_assets(tables.OPTION_BARS, sources=[tables.LISTED_CONTRACTS], group="tape")
def option_bars(lane: Lane) -> Result:
    """Minute bars of the contracts that traded."""
    return _bring(lane)


@lane_assets(
    tables.OPTION_TRADES, sources=[tables.LISTED_CONTRACTS, tables.INDEX_VALUES], group="tape"
)
def option_trades(lane: Lane) -> Result:
    """Every print of the session."""
    return _bring(lane, volume_picture)


@lane_assets(
    tables.OPTION_QUOTES, sources=[tables.LISTED_CONTRACTS, tables.INDEX_VALUES], group="tape"
)
def option_quotes(lane: Lane) -> Result:
    """Quotes of the contracts nearest the money; all of them are a hundred gigabytes a day."""
    return _bring(lane)


@lane_assets(tables.BLOCK_TRADES, only=lambda lane: lane.kind == "crypto", group="tape")
def block_trades(lane: Lane) -> Result:
    """Block legs of the session; the venue publishes them, elsewhere they come from blotters."""
    return _bring(lane)


@dg.definitions
def defs() -> dg.Definitions:
    """Assets of this module, one per lane."""
    return dg.Definitions(
        assets=[
            *listed_contracts,
            *index_values,
            *option_bars,
            *option_trades,
            *option_quotes,
            *block_trades,
        ]
    )
