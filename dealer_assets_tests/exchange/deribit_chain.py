"""Deribit's options at one second, and the states an instrument passes through.

Belongs here: numbers in Deribit's units as arrays, Greeks and vols of quotes. Does not belong here:
where they come from (`deribit_market`), JSON (`deribit_bodies`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.pricing.implied_vol import implied_vol

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STATES = ((0.0, "open"), (5.0, "settlement"), (20.0, "delivered"), (300.0, "archivized"))
"""Seconds after 08:00 UTC of the expiry date from which each state holds."""

_EXPIRED_ASK_VOL = 5.0


@dataclass(frozen=True)
class Chain:
    """Options of one settlement currency at one second; arrays of shape (n,).

    Parameters
    ----------
    currency : {"BTC", "USDC"}
        Of prices: coin, or USDC.
    at : datetime.datetime
        The second.
    index : float
        Price of the index in USD (USDC).
    name : list of str
        Instrument names.
    expires_us : int64 array
        Microseconds since 1970.
    strike, forward, vol, years : float64 array
        Strike, price of the underlying of the expiry, vol as printed (decimal), years left.
    is_call, is_synthetic : bool array
        Right; whether no future of the expiry is listed.
    mark, bid, ask : float64 array
        In `currency`; 0 where no order stands.
    bid_amount, ask_amount, open_interest, volume, last : float64 array
        In coin; `last` in `currency`, NaN without a trade.
    """

    currency: str
    at: datetime
    index: float
    name: list[str]
    expires_us: Ints
    strike: Floats
    forward: Floats
    vol: Floats
    years: Floats
    is_call: Bools
    is_synthetic: Bools
    mark: Floats
    bid: Floats
    ask: Floats
    bid_amount: Floats
    ask_amount: Floats
    open_interest: Floats
    volume: Floats
    last: Floats

    @property
    def is_coin(self) -> bool:
        """Whether prices are in coin."""
        return self.currency == "BTC"

    @cached_property
    def row(self) -> dict[str, int]:
        """Row of each instrument."""
        return {name: i for i, name in enumerate(self.name)}

    @cached_property
    def state(self) -> list[str]:
        """State of each instrument's book."""
        return [state_of(us, self.at) for us in self.expires_us.tolist()]

    @cached_property
    def greeks(self) -> dict[str, Floats]:
        """Greeks in USD by the forward, five decimals; 0 at expiry."""
        found = black_greeks(
            self.forward,
            self.strike,
            S=self.forward,
            T=self.years,
            sigma=self.vol,
            D=np.ones_like(self.forward),
            is_call=self.is_call,
        )
        names = ("delta", "gamma", "vega", "theta", "rho")
        return {n: np.round(np.nan_to_num(getattr(found, n)), 5) + 0.0 for n in names}

    @cached_property
    def bid_vol(self) -> Floats:
        """Vol of the bid in percent: 0 below intrinsic value and without a bid."""
        return np.where(self.years > 0.0, self._percent(self.bid, 0.0), 0.0)

    @cached_property
    def ask_vol(self) -> Floats:
        """Vol of the ask in percent: 500 at expiry, 0 without an ask or below intrinsic value."""
        return np.where(self.years > 0.0, self._percent(self.ask, 0.0), 100.0 * _EXPIRED_ASK_VOL)

    def _percent(self, price: Floats, missing: float) -> Floats:
        value = price * self.forward if self.is_coin else price
        vol, _ = implied_vol(
            value,
            self.forward,
            K=self.strike,
            T=np.maximum(self.years, 0.0),
            D=np.ones_like(value),
            is_call=self.is_call,
        )
        return np.asarray(np.round(np.nan_to_num(vol * 100.0, nan=missing), 2), np.float64)


def state_of(expires_us: int, at: datetime) -> str:
    """Return the state of an instrument's book at an instant."""
    age = (int(at.timestamp() * 1e6) - expires_us) / 1e6
    return next((name for since, name in reversed(STATES) if age >= since), "open")


def is_listed(state: str) -> bool:
    """Whether `get_instruments` shows an instrument that is not asked for as expired."""
    return state in ("open", "settlement")


def day_start(day: date) -> datetime:
    """Return midnight UTC of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
