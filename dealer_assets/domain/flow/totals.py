"""Dealer exposures of a whole chain at the spot and time of a second, between full pricings.

Belongs here: re-valuing priced contracts at another spot and instant, and their sums. Does not
belong here: vols and forwards (`pricing`), positions, when it is done (the streaming engine).

Vols stay with their strikes until the next full pricing; carry and rate of a slice stay as they
are, so that forward and discount follow from spot and the time left. Contracts whose exact model is
not Black's are valued by Black's on their equivalent terms plus what the two differed by when they
were last priced exactly: nothing changes at that instant, and between two of them a minute apart
the difference changes by less than the exposure itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import Floats, Ints, floats, integers
from dealer_assets.domain.conventions import PER_PCT, SECONDS_PER_YEAR
from dealer_assets.domain.flow.settled import Settled
from dealer_assets.domain.pricing.inverse import twap_years
from dealer_assets.domain.pricing.terms import PricingModel, terms_of

PICKED = ("delta", "gamma", "vanna", "charm", "volga")
"""Greeks behind the five exposures, in the order of the tables."""

_BY_CONTRACT = (
    "contract",
    "expires_us",
    "vol",
    "multiplier",
    "is_call",
    "is_zero_dte",
    "strike",
    "scale",
    "slice_id",
)
"""Arrays of a `Revaluation` with one value a contract."""

DELTA, GAMMA = PICKED.index("delta"), PICKED.index("gamma")


@dataclass(frozen=True)
class Sums:
    """Exposures of one set of positions.

    Parameters
    ----------
    net : tuple of float, length 5
        Delta [USD], gamma [USD per 1 %], vanna [USD per vol point], charm [USD per day], volga
        [USD per vol point squared].
    call_gamma, put_gamma, zero_dte_gamma, gross_gamma : float
        USD per 1 %; the last of absolute values.
    positions : int
        Contracts with a position.
    """

    net: tuple[float, ...]
    call_gamma: float
    put_gamma: float
    zero_dte_gamma: float
    gross_gamma: float
    positions: int


@dataclass(frozen=True)
class Valued:
    """Exposures of one contract held by dealers, at one spot and instant.

    Parameters
    ----------
    contract : int64 array, shape (n,)
        Contracts, by the caller's numbers.
    unit : float64 array, shape (5, n)
        Exposures in the order of `PICKED`, multiplier included.
    multiplier : float64 array, shape (n,)
        Units a contract.
    is_call, is_zero_dte : uint8 array, shape (n,)
        1 for calls; 1 for contracts that expire today.
    spot : float
        USD.
    """

    contract: Ints
    unit: Floats
    multiplier: Floats
    is_call: NDArray[np.uint8]
    is_zero_dte: NDArray[np.uint8]
    spot: float

    @property
    def delta(self) -> Floats:
        """Per 1.0 of spot, shape (n,)."""
        return np.asarray(self.unit[DELTA] / (self.multiplier * self.spot))

    @property
    def gamma(self) -> Floats:
        """Per 1.0 of spot [1/USD], shape (n,)."""
        return np.asarray(self.unit[GAMMA] / (self.multiplier * self.spot**2 * PER_PCT))

    def sums(self, *, open_interest: Floats, customer: Floats) -> tuple[Sums, Sums]:
        """Sum exposures of settled positions by the naive rule, and of the session's flow.

        Parameters
        ----------
        open_interest, customer : float64 array
            Of all the caller's contracts: open interest, unknown as NaN, which adds nothing;
            contracts that customers bought less those they sold.
        """
        from dealer_assets.domain.kernels.exposure_sums import SUMS, exposure_sums

        out = np.empty((2, SUMS))
        exposure_sums(
            self.unit,
            self.contract,
            self.is_call,
            self.is_zero_dte,
            open_interest,
            customer,
            out,
        )
        naive, flow = (_sums(row) for row in out.tolist())
        return naive, flow

    def moved(self, settled: Settled, *, mean: Floats, variance: Floats) -> tuple[Sums, float]:
        """Sum exposures of settled positions that the session's trades have moved.

        Parameters
        ----------
        settled : Settled
            Of all the caller's contracts; one without a position adds nothing.
        mean, variance : float64 array
            Of what customers bought less what they sold in the session [contracts, and squared],
            of all the caller's contracts.

        Returns
        -------
        tuple of Sums and float
            Exposures, and the standard deviation of net gamma [USD per 1 %]: errors are the
            contracts' own, but for what the settled ones of a kind have in common.
        """
        from dealer_assets.domain.kernels.exposure_sums import SUMS, moved_sums

        out = np.empty(SUMS + 1)
        together = np.empty(int(settled.kind.max(initial=0)) + 1)
        moved_sums(
            self.unit, self.contract, self.is_call, self.is_zero_dte,
            *settled, mean, variance, together, out,
        )  # fmt: skip
        *sums, squared = out.tolist()
        return _sums(sums), squared**0.5


@dataclass(frozen=True)
class Revaluation:
    """Priced contracts of one snapshot, ready to be valued again at any later second.

    Parameters
    ----------
    contract : int64 array, shape (n,)
        Contracts, by the caller's numbers.
    expires_us : int64 array, shape (n,)
        Microseconds since 1970.
    vol, multiplier : float64 array, shape (n,)
        As priced.
    is_call, is_zero_dte : uint8 array, shape (n,)
        1 for calls; 1 for contracts that expire today.
    strike, scale : float64 array, shape (n,)
        Of the equivalent European option, and how many of them one contract is.
    exact, correction : float64 array, shape (5, n)
        `PICKED` Greeks by the contract's own model, and what they exceed Black's by.
    slice_id : int64 array, shape (n,)
        Place of each in the slices.
    slice_expires_us : int64 array, shape (m,)
        Expiry of each slice.
    carry, rate : float64 array, shape (m,)
        Per year, as the forward and the discount factor imply them.
    model : {"black", "american", "average"}
        How they were priced.
    priced_us : int
        When, microseconds since 1970.
    spot : float
        At what [USD].
    """

    contract: Ints
    expires_us: Ints
    vol: Floats
    multiplier: Floats
    is_call: NDArray[np.uint8]
    is_zero_dte: NDArray[np.uint8]
    strike: Floats
    scale: Floats
    exact: Floats
    correction: Floats
    slice_id: Ints
    slice_expires_us: Ints
    carry: Floats
    rate: Floats
    model: PricingModel
    priced_us: int
    spot: float

    @classmethod
    def of(cls, priced: pa.Table, contract: Ints) -> Revaluation:
        """Prepare the contracts that have a vol.

        Parameters
        ----------
        priced : pyarrow.Table, shape (n,)
            Rows of `tables.CONTRACT_GREEKS` of one snapshot, at least one, all with a vol.
        contract : int64 array, shape (n,)
            Their numbers at the caller's.
        """
        terms, vol = terms_of(priced), floats(priced, "implied_vol")
        days = integers(priced, "expiry_date") - integers(priced, "session_date")
        exact = terms.greeks(vol)
        is_average = terms.model == "average"
        discount = np.ones(vol.size) if is_average else terms.discount
        expires_us, future = integers(priced, "expires_at"), np.asarray(terms.future)
        slice_id, first = _slices(expires_us, future, discount)
        years = terms.years[first]
        uncorrected = cls(
            contract=contract,
            expires_us=expires_us,
            vol=vol,
            multiplier=floats(priced, "multiplier"),
            is_call=terms.is_call.astype(np.uint8),
            is_zero_dte=(days == 0).astype(np.uint8),
            strike=terms.average.strike if is_average else terms.strike,
            scale=terms.average.scale if is_average else np.ones(vol.size),
            exact=np.stack([getattr(exact, name) for name in PICKED]),
            correction=np.zeros((len(PICKED), vol.size)),
            slice_id=slice_id,
            slice_expires_us=expires_us[first],
            carry=np.log(future[first] / terms.spot[first]) / years,
            rate=-np.log(discount[first]) / years,
            model=terms.model,
            priced_us=int(integers(priced, "event_at")[0]),
            spot=float(terms.spot[0]),
        )
        return uncorrected._corrected()

    def _corrected(self) -> Revaluation:
        if self.model == "black":
            return self
        rows = self._black(self.spot, self.priced_us)[_places()] * self.scale
        return replace(self, correction=self.exact - np.where(np.isnan(rows), 0.0, rows))

    def take(self, which: Ints) -> Revaluation:
        """Return chosen contracts, by place."""
        taken = {name: getattr(self, name)[which] for name in _BY_CONTRACT}
        for name in ("exact", "correction"):
            taken[name] = np.ascontiguousarray(getattr(self, name)[:, which])
        return replace(self, **taken)

    def exactly(self) -> Valued:
        """Value the contracts as they were priced, by their own model."""
        nothing = np.zeros_like(self.exact)
        ones = np.ones(self.vol.size)
        return self._valued(self.spot, self.exact, np.arange(len(PICKED)), ones, nothing)

    def at(self, spot: float, now_us: int) -> Valued:
        """Value the contracts at a spot [USD] and instant [microseconds since 1970].

        Contracts that have expired by then are worth what their correction is: leave them out.
        """
        rows = self._black(spot, now_us)
        return self._valued(spot, rows, _places(), self.scale, self.correction)

    def _black(self, spot: float, now_us: int) -> Floats:
        from dealer_assets.domain.kernels.greeks import ROWS, all_greeks

        years = np.maximum(self.slice_expires_us - now_us, 0) / 1e6 / SECONDS_PER_YEAR
        future = spot * np.exp(self.carry * years)
        discount = np.exp(-self.rate * years)
        carrying = twap_years(years) if self.model == "average" else years
        own, n = self.slice_id, self.vol.size
        rows = np.empty((len(ROWS), n))
        all_greeks(
            future[own],
            self.strike,
            np.full(n, spot),
            carrying[own],
            self.vol,
            discount[own],
            self.is_call,
            rows,
        )
        return rows

    def _valued(
        self, spot: float, rows: Floats, places: Ints, scale: Floats, correction: Floats
    ) -> Valued:
        from dealer_assets.domain.kernels.exposure_sums import unit_exposures

        unit = np.empty((len(PICKED), self.vol.size))
        per_unit = np.array([spot, spot * spot * PER_PCT, spot, spot, 1.0])
        unit_exposures(rows, places, scale, correction, self.multiplier, per_unit, unit)
        return Valued(
            contract=self.contract,
            unit=unit,
            multiplier=self.multiplier,
            is_call=self.is_call,
            is_zero_dte=self.is_zero_dte,
            spot=spot,
        )


def _sums(row: list[float]) -> Sums:
    """Read a row of the kernel's sums."""
    delta, gamma, vanna, charm, volga, calls, puts, today, gross, positions = row
    net = (delta, gamma, vanna, charm, volga)
    return Sums(net, calls, puts, today, gross, int(positions))


def _slices(expires_us: Ints, future: Floats, discount: Floats) -> tuple[Ints, Ints]:
    """Return the slice of each contract, which lie together by slice, and each slice's first."""
    begins = np.ones(expires_us.size, np.bool_)
    begins[1:] = expires_us[1:] != expires_us[:-1]
    begins[1:] |= (future[1:] != future[:-1]) | (discount[1:] != discount[:-1])
    return np.cumsum(begins) - 1, np.flatnonzero(begins)


@cache
def _places() -> Ints:
    """Rows of `PICKED` among those of the kernel of Greeks."""
    from dealer_assets.domain.kernels.greeks import ROWS

    return np.array([ROWS.index(name) for name in PICKED])
