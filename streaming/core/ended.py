"""What the end of a second brings, and the options that decide what is due then.

Belongs here: shapes between a lane and its rows. Does not belong here: how they come about
(`lane`), rows (`rows`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.domain.flow.bars import Bars
from streaming.core.book import BookOptions
from streaming.core.flow import FlowBars
from streaming.core.view import SecondTotals


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the engine does when.

    Parameters
    ----------
    price_seconds : int
        How often the whole chain is priced; on the clock, so that minutes are minutes.
    strike_seconds : int
        How often positions by contract are stored.
    zero_dte_strikes : int
        0DTE strikes watched on each side of the money.
    history_seconds : int
        Seconds of totals kept for the API.
    book : BookOptions
        What the book believes.
    """

    price_seconds: int = 60
    strike_seconds: int = 300
    zero_dte_strikes: int = 3
    history_seconds: int = 3600
    book: BookOptions = field(default_factory=BookOptions)


@dataclass(frozen=True, slots=True)
class ContractBars:
    """Bars by contract that ended, and the contracts' state at their end; arrays of shape (m,).

    Parameters
    ----------
    interval : int
        `SECOND` or `MINUTE`.
    end_us : int
        End, microseconds since 1970.
    bars : Bars
        By contract.
    is_watched : bool array
        In the 0DTE window.
    last_price, vol, delta, gamma : float64 array
        USD; decimal; per 1.0 of spot; NaN where not known.
    spot : float
        USD; NaN where not known.
    """

    interval: int
    end_us: int
    bars: Bars
    is_watched: Bools
    last_price: Floats
    vol: Floats
    delta: Floats
    gamma: Floats
    spot: float


@dataclass(frozen=True, slots=True)
class Strikes:
    """Session flow by contract at an instant; arrays of shape (m,).

    Parameters
    ----------
    at_us : int
        Instant, microseconds since 1970.
    spot : float
        USD.
    contract : int64 array
        Row of the listing.
    volume, position, open_interest : float64 array
        Contracts; dealers' position; NaN where open interest is not known.
    exposures : float64 array, shape (5, m)
        Of the position.
    """

    at_us: int
    spot: float
    contract: Ints
    volume: Floats
    position: Floats
    open_interest: Floats
    exposures: Floats


@dataclass(slots=True)
class Ended:
    """What the end of a second brought; every part may be missing."""

    totals: SecondTotals | None = None
    flow: list[FlowBars] = field(default_factory=list)
    contract_flow: list[ContractBars] = field(default_factory=list)
    strikes: Strikes | None = None
