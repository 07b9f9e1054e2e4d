"""From priced contracts and positions to dollar exposures per contract.

Belongs here: the five exposures and the book they are summed over. Does not belong here: levels
read off the sums (`levels`), re-pricing at other spots (`profile`), positions (`side_by_side`).
Definitions: `docs/methods/exposure.md`. Greeks are derived from the stored vol by the same kernel
that priced the chain, in float64: the stored float32 Greeks are for reading, not for summing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.columns import equals, floats, nullable
from dealer_assets.domain.conventions import DTE_BUCKETS, PER_PCT
from dealer_assets.domain.exposure.side_by_side import Told, told_as, told_by
from dealer_assets.domain.pricing.black import Greeks
from dealer_assets.domain.pricing.terms import terms_of
from dealer_assets.errors import BadInputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Book:
    """The contracts of one snapshot that count, under one position model; arrays of shape (n,).

    A contract counts when its vol is determined and dealers' position is told and not zero.

    Parameters
    ----------
    snapshot : mapping
        The columns every row of the snapshot and model shares: underlying, instants, spot and its
        source.
    priced : pyarrow.Table
        The whole snapshot, `tables.CONTRACT_GREEKS` schema, m rows.
    counted : bool array, shape (m,)
        Which of them count.
    rows : pyarrow.Table
        Those, possibly none.
    told : Told
        Positions of the whole snapshot, arrays of shape (m,), and the model that told them.
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
    priced: pa.Table
    counted: Bools
    rows: pa.Table
    told: Told
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
    def model(self) -> str:
        """Position model."""
        return self.told.model

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

    @property
    def has_error(self) -> bool:
        """Whether the model tells an error of its positions."""
        return self.told.error.is_some

    def sd_of(self, exposure: str) -> float:
        """Return the standard deviation of a summed exposure by the positions' error, its unit.

        Parameters
        ----------
        exposure : str
            Name of one of the five, e.g. ``gamma_usd_per_pct``; NaN without an error.
        """
        if not self.has_error:
            return float("nan")
        # linear in position: what one contract more is worth
        worth: Floats = getattr(replace(self, position=np.ones(self.position.size)), exposure)
        return self.told.error.at(self.counted).sd_of_sum(worth)


def open_book(priced: pa.Table, model: str, settled: pa.Table | None = None) -> Book:
    """Take the contracts that count and give each its dealer position.

    Parameters
    ----------
    priced : pyarrow.Table
        One snapshot, `tables.CONTRACT_GREEKS` schema, not empty.
    model : str
        Name of a position model.
    settled : pyarrow.Table, optional
        Positions its session opened with, `tables.DEALER_POSITIONS` schema.

    Returns
    -------
    Book

    Raises
    ------
    BadInputError
        When the model is unknown, or reads settled positions and there are none of it.
    """
    told = told_by(model, priced, settled)
    if told is None:
        raise BadInputError(
            f"position model {model!r} reads settled positions, of which none are at hand: "
            "materialize dealer_positions of the session"
        )
    return book_as_told(priced, told)


def book_of(priced: pa.Table, position: Floats, *, model: str, sd: Floats | None = None) -> Book:
    """Take the contracts of which dealers hold some, by whatever told their positions.

    Parameters
    ----------
    priced : pyarrow.Table, shape (n,)
        One snapshot, `tables.CONTRACT_GREEKS` schema, not empty.
    position : float64 array, shape (n,)
        Signed dealer positions [contracts]; NaN where not known, which leaves the contract out.
    model : str
        What told them.
    sd : float64 array, shape (n,), optional
        Their standard deviations [contracts]; NaN where none is told, as without them.

    Returns
    -------
    Book
    """
    return book_as_told(priced, told_as(model, priced, position, sd))


def book_as_told(priced: pa.Table, told: Told) -> Book:
    """Take the contracts of which dealers hold some.

    Parameters
    ----------
    priced : pyarrow.Table, shape (n,)
        One snapshot, `tables.CONTRACT_GREEKS` schema, not empty.
    told : Told
        Their positions, arrays of shape (n,).
    """
    shared = ("underlying", "session_date", "event_at", "known_at", "spot", "spot_source")
    snapshot = priced.select(shared).slice(0, 1).to_pylist()[0]
    if told.known_at is not None:
        snapshot["known_at"] = max(snapshot["known_at"], told.known_at)
    counted = np.isfinite(floats(priced, "implied_vol"))
    counted &= np.isfinite(told.contracts) & (told.contracts != 0.0)
    rows = priced.filter(pa.array(counted))
    terms, vol = terms_of(rows), floats(rows, "implied_vol")
    greeks = terms.greeks(vol)
    return Book(
        snapshot=snapshot,
        priced=priced,
        counted=counted,
        rows=rows,
        told=told,
        spot=float(snapshot["spot"]),
        is_call=equals(rows, "right", "call"),
        strike=terms.strike,
        years=terms.variance_years,
        forward=terms.forward,
        discount=terms.discount,
        vol=vol,
        multiplier=floats(rows, "multiplier"),
        position=told.contracts[counted],
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
    n = book.strike.size
    computed = {
        "known_at": pa.repeat(pa.scalar(book.snapshot["known_at"], tables.INSTANT), n),
        "model": pa.repeat(pa.scalar(book.model), n),
        "dte_bucket": pa.array(dte_bucket(days_to_expiry(book.rows)), pa.string()),
        "position_contracts": pa.array(book.position),
        "position_sd_contracts": nullable(book.told.sd[book.counted]),
        "delta_exposure_usd": pa.array(book.delta_usd),
        "gamma_exposure_usd_per_pct": pa.array(book.gamma_usd_per_pct),
        "vanna_exposure_usd_per_vol_pt": pa.array(book.vanna_usd_per_vol_pt),
        "charm_exposure_usd_per_day": pa.array(book.charm_usd_per_day),
        "volga_exposure_usd_per_vol_pt2": pa.array(book.volga_usd_per_vol_pt2),
    }
    schema = tables.DEALER_EXPOSURE.schema
    columns = [computed[c] if c in computed else book.rows[c] for c in schema.names]
    return pa.table(columns, schema=schema)
