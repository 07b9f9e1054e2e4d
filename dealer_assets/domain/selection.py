"""Which contracts are worth the effort: those that gamma depends on.

Belongs here: choosing contracts of a listing. Does not belong here: fetching or subscribing.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from dealer_assets.domain.conventions import SECONDS_PER_YEAR

_USUAL_VOL = 0.2
_SHORTEST_YEARS = 1.0 / 365.0


def nearest_the_money(
    listing: pa.Table, *, spot: float | None, at: datetime, count: int
) -> list[str]:
    """Return contracts in the order in which their gamma is likely to count.

    Ranked by ``z**2 / 2 + ln(T) / 2``, where z is the log-moneyness over a 20 % vol's standard
    deviation and T the years left: minus the logarithm of gamma, up to a constant.

    Parameters
    ----------
    listing : pyarrow.Table, shape (n,)
        Columns symbol, strike, expires_at.
    spot : float or None
        Underlying price [USD]; None: the median strike stands for it.
    at : datetime.datetime
        UTC instant; contracts expired by then are left out.
    count : int
        How many at most.

    Returns
    -------
    list of str
        Symbols, the most important first; ties by symbol.
    """
    strike = np.asarray(listing["strike"].to_numpy(), np.float64)
    expires = listing["expires_at"].to_numpy().astype("datetime64[us]")
    now = np.datetime64(at.replace(tzinfo=None), "us")
    years = (expires - now).astype(np.float64) / 1e6 / SECONDS_PER_YEAR
    alive = np.flatnonzero(years > 0.0)
    if not alive.size:
        return []
    centre = float(np.median(strike[alive])) if spot is None else spot
    years = np.maximum(years[alive], _SHORTEST_YEARS)
    z = np.log(strike[alive] / centre) / (_USUAL_VOL * np.sqrt(years))
    rank = 0.5 * z * z + 0.5 * np.log(years)
    symbols = np.array(listing["symbol"].to_pylist())[alive]
    return [str(symbol) for symbol in symbols[np.lexsort((symbols, rank))][:count]]
