"""From priced contracts and positions to dollar exposures per contract.

Belongs here: the five exposures and the book they are summed over. Does not belong here: levels
read off the sums (`levels`), re-pricing at other spots (`profile`), position rules (`positioning`).
Definitions: `docs/methods/exposure.md`. Greeks are derived from the stored vol by the same kernel
that priced the chain, in float64: the stored float32 Greeks are for reading, not for summing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import floats
from dealer_assets.domain.conventions import DTE_BUCKETS, PER_PCT
from dealer_assets.domain.positions.models import Holdings, position_model
from dealer_assets.domain.pricing.black import Greeks
from dealer_assets.domain.pricing.terms import terms_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Book:
    """The contracts of one snapshot that count, under one position model; arrays of shape (n,).

    A contract counts when its vol is determined and its open interest is known and not zero.

    Parameters
    ----------
    snapshot : mapping
        The columns every row of the snapshot shares: underlying, instants, spot and its source.
    rows : pyarrow.Table
        Their rows, `tables.CONTRACT_GREEKS` schema; possibly empty.
    model : str
        Position model.
    spot : float
        Underlying price [USD].
    is_call : bool array
        True for calls.
    strike, years, forward, discount, vol, multiplier : float64 array
        As priced; `years` are those that carry variance.
    position : float64 array
        Signed dealer position [contracts].
    gamma_ratio : float64 array
        Gamma over Black's at the same vol: 1 but for early exercise and averaged settlement.
    greeks : Greeks
        Per unit of underlying.
    """

    snapshot: Mapping[str, Any]
    rows: pa.Table
    model: str
    spot: float
    is_call: Bools
    strike: Floats
    years: Floats
    forward: Floats
    discount: Floats
    vol: Floats
    multiplier: Floats
    position: Floats
    gamma_ratio: Floats
    greeks: Greeks

    @property
    def delta_usd(self) -> Floats:
        """Dealer delta [USD]."""
        return self.position * self.greeks.delta * self.multiplier * self.spot

    @property
    def gamma_usd_per_pct(self) -> Floats:
        """Change of dealer delta for +1 % spot [USD]."""
        return self.position * self.greeks.gamma * self.multiplier * self.spot**2 * PER_PCT

    @property
    def vanna_usd_per_vol_pt(self) -> Floats:
        """Change of dealer delta for +1 vol point [USD]."""
        return self.position * self.greeks.vanna * self.multiplier * self.spot

    @property
    def charm_usd_per_day(self) -> Floats:
        """Change of dealer delta over the next calendar day [USD]."""
        return self.position * self.greeks.charm * self.multiplier * self.spot

    @property
    def volga_usd_per_vol_pt2(self) -> Floats:
        """Change of dealer vega for +1 vol point [USD]."""
        return self.position * self.greeks.volga * self.multiplier


def open_book(priced: pa.Table, model: str) -> Book:
    """Take the contracts that count and give each its dealer position.

    Parameters
    ----------
    priced : pyarrow.Table
        One snapshot, `tables.CONTRACT_GREEKS` schema, not empty.
    model : str
        Name of a position model.

    Returns
    -------
    Book

    Raises
    ------
    BadInputError
        When the model is unknown.
    """
    is_call = np.array(pc.equal(priced["right"], "call").to_numpy())
    held = Holdings(is_call, floats(priced, "open_interest_contracts"))
    return book_of(priced, position_model(model)(held).contracts, model=model)


def book_of(priced: pa.Table, position: Floats, *, model: str) -> Book:
    """Take the contracts of which dealers hold some, by whatever told their positions.

    Parameters
    ----------
    priced : pyarrow.Table, shape (n,)
        One snapshot, `tables.CONTRACT_GREEKS` schema, not empty.
    position : float64 array, shape (n,)
        Signed dealer positions [contracts]; NaN where not known, which leaves the contract out.
    model : str
        What told them.

    Returns
    -------
    Book
    """
    shared = ("underlying", "session_date", "event_at", "known_at", "spot", "spot_source")
    snapshot = priced.select(shared).slice(0, 1).to_pylist()[0]
    spot = float(snapshot["spot"])
    counted = np.isfinite(floats(priced, "implied_vol"))
    counted &= np.isfinite(position) & (position != 0.0)
    rows = priced.filter(pa.array(counted))
    is_call = np.array(pc.equal(rows["right"], "call").to_numpy())
    terms, vol = terms_of(rows), floats(rows, "implied_vol")
    greeks = terms.greeks(vol)
    return Book(
        snapshot=snapshot,
        rows=rows,
        model=model,
        spot=spot,
        is_call=is_call,
        strike=terms.strike,
        years=terms.variance_years,
        forward=terms.forward,
        discount=terms.discount,
        vol=vol,
        multiplier=floats(rows, "multiplier"),
        position=position[counted],
        gamma_ratio=terms.gamma_ratio(vol, greeks.gamma),
        greeks=greeks,
    )


def days_to_expiry(rows: pa.Table) -> NDArray[np.int64]:
    """Calendar days from session to expiry date, shape (n,); 0 expires today."""
    expiry = rows["expiry_date"].combine_chunks().cast(pa.int32()).to_numpy().astype(np.int64)
    session = rows["session_date"].combine_chunks().cast(pa.int32()).to_numpy().astype(np.int64)
    return np.asarray(expiry - session)


def dte_bucket(days: NDArray[np.int64]) -> NDArray[np.str_]:
    """Name the calendar-day bucket of each contract: 0dte, 1-7, 8-45 or 46+."""
    bounds = [bound for bound, _ in DTE_BUCKETS]
    names = np.array([name for _, name in DTE_BUCKETS] + ["46+"])
    return np.asarray(names[np.searchsorted(bounds, days, side="left")])


def exposure_rows(book: Book) -> pa.Table:
    """Lay a book out as rows of `tables.DEALER_EXPOSURE`, one per contract that counts."""
    computed = {
        "model": pa.array([book.model] * book.strike.size, pa.string()),
        "dte_bucket": pa.array(dte_bucket(days_to_expiry(book.rows)), pa.string()),
        "position_contracts": pa.array(book.position),
        "delta_exposure_usd": pa.array(book.delta_usd),
        "gamma_exposure_usd_per_pct": pa.array(book.gamma_usd_per_pct),
        "vanna_exposure_usd_per_vol_pt": pa.array(book.vanna_usd_per_vol_pt),
        "charm_exposure_usd_per_day": pa.array(book.charm_usd_per_day),
        "volga_exposure_usd_per_vol_pt2": pa.array(book.volga_usd_per_vol_pt2),
    }
    schema = tables.DEALER_EXPOSURE.schema
    columns = [computed[c] if c in computed else book.rows[c] for c in schema.names]
    return pa.table(columns, schema=schema)
