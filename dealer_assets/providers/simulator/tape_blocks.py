"""Blocks on the simulated coin tape: two legs at one instant, some of them a combination.

Belongs here: which prints are legs of one block, and what the combination is called. Does not
belong here: prints themselves (`tape`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dealer_assets.providers.simulator.market_day import MarketDay
from dealer_assets.providers.simulator.noise import combine, stream_key, uniform
from dealer_assets.providers.simulator.prints import Prints

_LEG_SHARE = 0.08


def with_blocks(market: MarketDay, prints: Prints) -> Prints:
    """Make some pairs of prints of the same minute legs of one block, at the first one's instant.

    Parameters
    ----------
    market : MarketDay
        The session.
    prints : Prints
        All prints of it, in any order.
    """
    session = market.session
    draw = uniform(
        stream_key(session.seed, "block", session.symbol),
        combine(session.listing.contract_id[prints.contract], prints.event_us),
    )
    chosen = np.flatnonzero((draw < _LEG_SHARE) & ~prints.is_last)
    chosen = chosen[np.lexsort((prints.contract[chosen], prints.event_us[chosen]))]
    chosen = chosen[: chosen.size // 2 * 2]
    first, second = chosen[::2], chosen[1::2]
    fits = (prints.minute[first] == prints.minute[second]) & (
        prints.contract[first] != prints.contract[second]
    )
    first, second = first[fits], second[fits]
    block, event_us = prints.block.copy(), prints.event_us.copy()
    block[first] = block[second] = np.arange(1, first.size + 1)
    event_us[second] = event_us[first]
    return replace(prints, block=block, event_us=event_us)


def block_names(market: MarketDay, prints: Prints) -> tuple[list[str | None], list[str | None]]:
    """Return each print's block id and combination id, None where it has none.

    Parameters
    ----------
    market : MarketDay
        The session.
    prints : Prints
        In their order, both legs of each block among them.
    """
    block_id: list[str | None] = [None] * prints.size.size
    combo_id: list[str | None] = [None] * prints.size.size
    names = market.session.listing.columns["symbol"]
    legs = np.flatnonzero(prints.block)
    legs = legs[np.argsort(prints.block[legs], kind="stable")]
    base = market.day.toordinal() * 10_000
    for one, other in legs.reshape(-1, 2).tolist():
        pair = (names[int(prints.contract[row])].as_py() for row in (one, other))
        block_id[one] = block_id[other] = f"BLOCK-{base + int(prints.block[one])}"
        combo_id[one] = combo_id[other] = _combination(*pair)
    return block_id, combo_id


def _combination(one: str, other: str) -> str | None:
    """Name the combination of two options of one expiry; two expiries make none here."""
    legs = sorted((name.split("-") for name in (one, other)), key=lambda leg: float(leg[2]))
    (coin, expiry, low, low_right), (_, other_expiry, high, high_right) = legs
    if expiry != other_expiry:
        return None
    if low_right == high_right:
        return f"{coin}-{low_right}S-{expiry}-{low}_{high}"
    if low == high:
        return f"{coin}-STRD-{expiry}-{low}"
    return f"{coin}-STRG-{expiry}-{low}_{high}" if low_right == "P" else None
