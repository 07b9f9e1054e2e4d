"""One snapshot through the whole of the domain: chain rows in, every derived table's rows out.

Belongs here: the order of the steps, shared by the assets, the command line and replay, so that all
give the same numbers. Does not belong here: the steps themselves, storage, or presentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.columns import expired
from dealer_assets.domain.coverage import coverage_of
from dealer_assets.domain.exposure.aggregate import Book, exposure_rows, open_book
from dealer_assets.domain.exposure.band import Band, level_band, variant_columns
from dealer_assets.domain.exposure.bootstrap import RESAMPLES
from dealer_assets.domain.exposure.fitted import Fitted
from dealer_assets.domain.exposure.levels import (
    Quality,
    judge,
    level_row,
    profile_rows,
    snapshot_rows,
)
from dealer_assets.domain.exposure.moves import expected_move
from dealer_assets.domain.exposure.profile import (
    Profile,
    gamma_profile,
    sticky_moneyness_profile,
)
from dealer_assets.domain.exposure.repricing import smile_of
from dealer_assets.domain.exposure.scenario import scenario_grid
from dealer_assets.underlyings import underlying


@dataclass(frozen=True)
class Exposure:
    """Everything derived from one snapshot under one model.

    Parameters
    ----------
    book : Book
        Contracts that count.
    profile : Profile or None
        None when no contract counts.
    quality : Quality
        Whether the levels may be published.
    band : Band or None
        Uncertainty of the levels; None when it was not asked for.
    levels : pyarrow.Table
        One row, `tables.EXPOSURE_LEVELS` schema.
    """

    book: Book
    profile: Profile | None
    quality: Quality
    band: Band | None
    levels: pa.Table

    @property
    def exposure_table(self) -> pa.Table:
        """Rows of `tables.DEALER_EXPOSURE`."""
        return exposure_rows(self.book)

    @property
    def profile_table(self) -> pa.Table:
        """Rows of `tables.GAMMA_PROFILE`; empty when there is no profile."""
        if self.profile is None:
            return tables.GAMMA_PROFILE.schema.empty_table()
        return profile_rows(self.book, self.profile)


def expose(
    chain: pa.Table,
    priced: pa.Table,
    *,
    model: str,
    market: Fitted | None = None,
    resamples: int = RESAMPLES,
) -> Exposure:
    """Derive exposures and levels of one priced snapshot.

    Parameters
    ----------
    chain : pyarrow.Table
        The snapshot as quoted, `tables.CHAIN_SNAPSHOTS` schema, expired contracts included.
    priced : pyarrow.Table
        Its live contracts, `tables.CONTRACT_GREEKS` schema, not empty.
    model : str
        Position model.
    market : Fitted, optional
        Forwards and surface of the snapshot. Without it forwards count as exact, and there is no
        level under sticky moneyness.
    resamples : int
        Draws behind the bands; 0 leaves them out.

    Returns
    -------
    Exposure

    Raises
    ------
    BadInputError
        When the model is unknown.
    """
    book = open_book(priced, model)
    profile = gamma_profile(book) if book.strike.size else None
    band = _band(book, chain, priced, market, resamples) if resamples else None
    live = chain.filter(pa.array(~expired(chain)))
    coverage = coverage_of(underlying(book.snapshot["underlying"]), chain)
    quality = judge(
        live,
        priced,
        is_partial=coverage.is_partial,
        surface_reasons=market.reasons if market else (),
    )
    levels = level_row(
        book,
        profile,
        quality=quality,
        contracts=chain.num_rows,
        band=band,
        move=expected_move(priced),
    )
    return Exposure(book, profile, quality, band, levels)


def _band(
    book: Book, chain: pa.Table, priced: pa.Table, market: Fitted | None, resamples: int
) -> Band:
    return level_band(
        book,
        chain,
        priced,
        surface=market.smiles if market else None,
        forward_error=market.forward_error if market else None,
        resamples=resamples,
    )


def exposures_of(priced: pa.Table, *, model: str) -> pa.Table:
    """Rows of `tables.DEALER_EXPOSURE` of one priced snapshot; empty when nothing is priced."""
    if priced.num_rows == 0:
        return tables.DEALER_EXPOSURE.schema.empty_table()
    return exposure_rows(open_book(priced, model))


def profile_of(priced: pa.Table, *, model: str, market: Fitted | None = None) -> pa.Table:
    """Rows of `tables.GAMMA_PROFILE` of one priced snapshot; empty when no contract counts."""
    if priced.num_rows == 0:
        return tables.GAMMA_PROFILE.schema.empty_table()
    book = open_book(priced, model)
    if book.strike.size == 0:
        return tables.GAMMA_PROFILE.schema.empty_table()
    moving = None
    if market is not None:
        moving = sticky_moneyness_profile(book, smile_of(market.smiles, market.slice_id(book.rows)))
    return profile_rows(book, gamma_profile(book), moving)


def levels_of(
    chain: pa.Table, priced: pa.Table, *, model: str, market: Fitted | None = None
) -> pa.Table:
    """Row of `tables.EXPOSURE_LEVELS` of one priced snapshot; empty when nothing is priced."""
    if priced.num_rows == 0:
        return tables.EXPOSURE_LEVELS.schema.empty_table()
    return expose(chain, priced, model=model, market=market).levels


def band_of(
    chain: pa.Table, priced: pa.Table, *, model: str, market: Fitted | None = None
) -> pa.Table:
    """Rows of `tables.LEVEL_BAND` of one priced snapshot; empty when nothing is priced."""
    if priced.num_rows == 0:
        return tables.LEVEL_BAND.schema.empty_table()
    book = open_book(priced, model)
    band = _band(book, chain, priced, market, resamples=1)
    return snapshot_rows(tables.LEVEL_BAND, book, variant_columns(band))


def scenarios_of(priced: pa.Table, *, model: str) -> pa.Table:
    """Rows of `tables.SCENARIO_GRID` of one priced snapshot; empty when nothing is priced."""
    if priced.num_rows == 0:
        return tables.SCENARIO_GRID.schema.empty_table()
    book = open_book(priced, model)
    cells = scenario_grid(book)
    return snapshot_rows(tables.SCENARIO_GRID, book, vars(cells))
