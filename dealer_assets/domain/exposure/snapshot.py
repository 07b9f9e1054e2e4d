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
from dealer_assets.domain.exposure.aggregate import (
    Book,
    book_as_told,
    exposure_rows,
    open_book,
)
from dealer_assets.domain.exposure.band import Band, level_band, variant_columns
from dealer_assets.domain.exposure.bootstrap import RESAMPLES, RESAMPLES_BESIDE
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
from dealer_assets.domain.exposure.side_by_side import told_by
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
    settled: pa.Table | None = None,
    market: Fitted | None = None,
    resamples: int = RESAMPLES,
    conventions: bool = True,
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
    settled : pyarrow.Table, optional
        Positions the session opened with, `tables.DEALER_POSITIONS` schema.
    market : Fitted, optional
        Forwards and surface of the snapshot. Without it forwards count as exact, and there is no
        level under sticky moneyness.
    resamples : int
        Draws behind the bands; 0 leaves them out.
    conventions : bool
        Bands over conventions too; without them only a model that estimates its positions has any.

    Returns
    -------
    Exposure

    Raises
    ------
    BadInputError
        When the model is unknown, or needs settled positions and there are none of it.
    """
    book = open_book(priced, model, settled)
    profile = gamma_profile(book) if book.strike.size else None
    band = None
    if resamples and (conventions or book.has_error):
        count = resamples if conventions else min(resamples, RESAMPLES_BESIDE)
        band = _band(book, chain, priced, market, resamples=count, conventions=conventions)
    live = chain.filter(pa.array(~expired(chain)))
    coverage = coverage_of(underlying(book.snapshot["underlying"]), chain)
    quality = judge(
        live,
        priced,
        is_partial=coverage.is_partial,
        surface_reasons=market.reasons if market else (),
        unpositioned_share=book.told.unpositioned_share,
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
    book: Book,
    chain: pa.Table,
    priced: pa.Table,
    market: Fitted | None,
    *,
    resamples: int,
    conventions: bool = True,
) -> Band:
    return level_band(
        book,
        chain,
        priced,
        surface=market.smiles if market else None,
        forward_error=market.forward_error if market else None,
        resamples=resamples,
        conventions=conventions,
    )


def _book(priced: pa.Table, model: str, settled: pa.Table | None) -> Book | None:
    """Open one model's book of a priced snapshot; None where nothing is priced or told."""
    told = told_by(model, priced, settled) if priced.num_rows else None
    return None if told is None else book_as_told(priced, told)


def exposures_of(priced: pa.Table, *, model: str, settled: pa.Table | None = None) -> pa.Table:
    """Rows of `tables.DEALER_EXPOSURE` of one priced snapshot; empty when nothing is told."""
    book = _book(priced, model, settled)
    return tables.DEALER_EXPOSURE.schema.empty_table() if book is None else exposure_rows(book)


def profile_of(
    priced: pa.Table,
    *,
    model: str,
    settled: pa.Table | None = None,
    market: Fitted | None = None,
) -> pa.Table:
    """Rows of `tables.GAMMA_PROFILE` of one priced snapshot; empty when no contract counts."""
    book = _book(priced, model, settled)
    if book is None or book.strike.size == 0:
        return tables.GAMMA_PROFILE.schema.empty_table()
    moving = None
    if market is not None:
        moving = sticky_moneyness_profile(book, smile_of(market.smiles, market.slice_id(book.rows)))
    return profile_rows(book, gamma_profile(book), moving)


def levels_of(
    chain: pa.Table,
    priced: pa.Table,
    *,
    model: str,
    settled: pa.Table | None = None,
    market: Fitted | None = None,
    conventions: bool = True,
) -> pa.Table:
    """Row of `tables.EXPOSURE_LEVELS` of one priced snapshot; empty when nothing is told."""
    if priced.num_rows == 0 or told_by(model, priced, settled) is None:
        return tables.EXPOSURE_LEVELS.schema.empty_table()
    return expose(
        chain, priced, model=model, settled=settled, market=market, conventions=conventions
    ).levels


def band_of(
    chain: pa.Table,
    priced: pa.Table,
    *,
    model: str,
    settled: pa.Table | None = None,
    market: Fitted | None = None,
) -> pa.Table:
    """Rows of `tables.LEVEL_BAND` of one priced snapshot; empty when nothing is told."""
    book = _book(priced, model, settled)
    if book is None:
        return tables.LEVEL_BAND.schema.empty_table()
    band = _band(book, chain, priced, market, resamples=1)
    return snapshot_rows(tables.LEVEL_BAND, book, variant_columns(band))


def scenarios_of(priced: pa.Table, *, model: str, settled: pa.Table | None = None) -> pa.Table:
    """Rows of `tables.SCENARIO_GRID` of one priced snapshot; empty when nothing is told."""
    book = _book(priced, model, settled)
    if book is None:
        return tables.SCENARIO_GRID.schema.empty_table()
    return snapshot_rows(tables.SCENARIO_GRID, book, vars(scenario_grid(book)))
