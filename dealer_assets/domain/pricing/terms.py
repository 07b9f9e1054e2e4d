"""What contracts are priced on, and the one place that chooses the model for them.

Belongs here: the choice between European, American and average-settled pricing, so that vols,
Greeks and exposures of a contract always come from the same model. Does not belong here: the models
(`black`, `american`, `inverse`), or where vols are taken from (`chain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints, equals, floats
from dealer_assets.domain.pricing.black import Greeks, black_greeks
from dealer_assets.domain.pricing.implied_vol import implied_vol
from dealer_assets.domain.pricing.inverse import (
    TwapTerms,
    average_so_far,
    twap_adjust,
    twap_greeks,
)

PricingModel = Literal["black", "american", "average"]


@dataclass(frozen=True)
class Terms:
    """What n contracts of one snapshot are priced on; arrays of shape (n,).

    Parameters
    ----------
    is_call : bool array
        True for calls.
    strike, spot, forward, discount : float64 array
        USD, USD, USD and 1; NaN where not known.
    years : float64 array
        Calendar years to expiry.
    is_venue_forward : bool array
        The forward is the venue's own: inside the averaging window, its expected settlement price.
    model : {"black", "american", "average"}
        European exercise, American exercise, or European settled on the average of the last half
        hour, of which the part that is past is taken to equal spot.
    """

    is_call: Bools
    strike: Floats
    spot: Floats
    forward: Floats
    discount: Floats
    years: Floats
    is_venue_forward: Bools
    model: PricingModel

    @cached_property
    def average(self) -> TwapTerms:
        """The ordinary options that options on an average are equivalent to.

        Inside the window the venue's forward is the expected settlement price, which tells the
        average so far; where it does not, the average is taken to equal spot.
        """
        spot = float(self.spot[0]) if self.spot.size else float("nan")
        expected = np.where(self.is_venue_forward, self.forward, np.nan)
        so_far = average_so_far(expected, self.spot, self.years)
        return twap_adjust(self.strike, self.years, average=so_far, assumed_average=spot)

    @property
    def future(self) -> Floats:
        """What the part of the settlement price still to come is worth [USD]."""
        if self.model != "average":
            return self.forward
        return np.where(self.average.scale < 1.0, self.spot, self.forward)

    @property
    def variance_years(self) -> Floats:
        """Years that carry variance."""
        return self.average.years if self.model == "average" else self.years

    @property
    def is_average_assumed(self) -> Bools:
        """Contracts inside the averaging window, whose average so far is taken to be spot."""
        if self.model != "average":
            return np.zeros(self.strike.size, np.bool_)
        return np.asarray(self.average.status == "average_assumed")

    def vols_of(self, price: Floats) -> tuple[Floats, NDArray[np.int8]]:
        """Invert prices [USD]: vols and reasons as `implied_vol` gives them."""
        if self.model == "american":
            from dealer_assets.domain.pricing.american import american_implied_vol, escrowed_spot

            return american_implied_vol(
                price,
                self.forward,
                K=self.strike,
                S=escrowed_spot(self.forward, D=self.discount),
                T=self.years,
                D=self.discount,
                is_call=self.is_call,
            )
        strike = self.strike
        if self.model == "average":
            with np.errstate(invalid="ignore"):
                price, strike = price / self.average.scale, self.average.strike
        return implied_vol(
            price,
            self.future,
            K=strike,
            T=self.variance_years,
            D=self.discount,
            is_call=self.is_call,
        )

    def greeks(self, vol: Floats) -> Greeks:
        """Price and Greeks at a vol; NaN where it is not known."""
        if self.model == "average":
            return twap_greeks(
                self.future,
                self.average,
                S=self.spot,
                T=self.years,
                sigma=vol,
                is_call=self.is_call,
            )
        if self.model == "american":
            from dealer_assets.domain.pricing.american import american_greeks, escrowed_spot

            return american_greeks(
                self.forward,
                self.strike,
                S=escrowed_spot(self.forward, D=self.discount),
                T=self.years,
                sigma=vol,
                D=self.discount,
                is_call=self.is_call,
            )
        return black_greeks(
            self.forward,
            self.strike,
            S=self.spot,
            T=self.years,
            sigma=vol,
            D=self.discount,
            is_call=self.is_call,
        )

    def gamma_ratio(self, vol: Floats, gamma: Floats) -> Floats:
        """Gamma over Black's at the same vol and forward: 1 throughout for European exercise.

        Re-pricing at other spots multiplies Black's gamma by it, so that a profile at spot is the
        sum of the contracts' own gammas. 1 where Black's gamma is nothing.
        """
        if self.model == "black":
            return np.ones(self.strike.size)
        european = black_greeks(
            self.forward,
            self.strike,
            S=self.spot,
            T=self.variance_years,
            sigma=vol,
            D=self.discount,
            is_call=self.is_call,
        ).gamma
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = gamma / european
        return np.where(np.isfinite(ratio), ratio, 1.0)

    def take(self, index: Ints) -> Terms:
        """Return the terms of chosen contracts."""
        return Terms(
            is_call=self.is_call[index],
            strike=self.strike[index],
            spot=self.spot[index],
            forward=self.forward[index],
            discount=self.discount[index],
            years=self.years[index],
            is_venue_forward=self.is_venue_forward[index],
            model=self.model,
        )


def terms_of(priced: pa.Table) -> Terms:
    """Read the terms of one snapshot back from its rows of `tables.CONTRACT_GREEKS`."""
    return Terms(
        is_call=equals(priced, "right", "call"),
        strike=floats(priced, "strike"),
        spot=floats(priced, "spot"),
        forward=floats(priced, "forward"),
        discount=floats(priced, "discount"),
        years=floats(priced, "year_fraction"),
        is_venue_forward=equals(priced, "forward_method", "venue"),
        model=priced["pricing_model"][0].as_py() if priced.num_rows else "black",
    )
