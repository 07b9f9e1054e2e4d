"""The side rules as the kernel takes them: codes, bits and declared probabilities as arrays.

Belongs here: laying out what `sides` and `conditions` declare. Does not belong here: the rules
themselves (`sides`), running them (`classify`, the streaming book).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dealer_assets.domain.flow import conditions, sides
from dealer_assets.tables.live import SIGN_BASES, TRADE_CLASSES

if TYPE_CHECKING:
    from dealer_assets.domain.kernels.book import Rules


def kernel_rules(
    kinds: Sequence[str], *, uses_rules: bool, tick_floor_usd: float, tick_fresh_seconds: float
) -> Rules:
    """Return the rules of a desk.

    Parameters
    ----------
    kinds : sequence of str
        Kind of each lane's underlying, as the registry has it.
    uses_rules : bool
        False: only what the venue tells.
    tick_floor_usd, tick_fresh_seconds : float
        See `sides.side_of`.
    """
    from dealer_assets.domain.kernels import book as kernels

    place = {name: code for code, name in enumerate(SIGN_BASES)}
    place |= {"at_quote": kernels.AT_QUOTE, "block_taker": kernels.BLOCK_TAKER}
    confidence = np.full((len(kinds), len(SIGN_BASES) + 2), np.nan)
    for lane, kind in enumerate(kinds):
        for name, value in sides.confidence_of(kind).items():
            confidence[lane, place[name]] = value
    names, masks = zip(*conditions.CLASS_OF_BITS, strict=True)
    return kernels.Rules(
        masks=np.array(masks, np.int64),
        classes=np.array([TRADE_CLASSES.index(name) for name in names], np.int8),
        is_comparable=np.array([name in conditions.COMPARABLE for name in TRADE_CLASSES], np.int8),
        confidence=confidence,
        uses_rules=uses_rules,
        tick_floor=tick_floor_usd,
        tick_fresh_us=round(tick_fresh_seconds * 1e6),
    )
