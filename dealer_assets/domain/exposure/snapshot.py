"""One snapshot through the whole of the domain: chain rows in, every derived table's rows out.

Belongs here: the order of the steps, shared by the assets, the command line and replay, so that all
give the same numbers. Does not belong here: the steps themselves, storage, or presentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.coverage import coverage_of
from dealer_assets.domain.exposure.aggregate import Book, exposure_rows, open_book
from dealer_assets.domain.exposure.levels import Quality, judge, level_row, profile_rows
from dealer_assets.domain.exposure.profile import Profile, gamma_profile
from dealer_assets.domain.pricing.chain import expired
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
    levels : pyarrow.Table
        One row, `tables.EXPOSURE_LEVELS` schema.
    """

    book: Book
    profile: Profile | None
    quality: Quality
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


def expose(chain: pa.Table, priced: pa.Table, *, model: str) -> Exposure:
    """Derive exposures and levels of one priced snapshot.

    Parameters
    ----------
    chain : pyarrow.Table
        The snapshot as quoted, `tables.CHAIN_SNAPSHOTS` schema, expired contracts included.
    priced : pyarrow.Table
        Its live contracts, `tables.CONTRACT_GREEKS` schema, not empty.
    model : str
        Position model.

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
    live = chain.filter(pa.array(~expired(chain)))
    coverage = coverage_of(underlying(book.snapshot["underlying"]), chain)
    quality = judge(live, priced, is_partial=coverage.is_partial)
    levels = level_row(book, profile, quality=quality, contracts=chain.num_rows)
    return Exposure(book, profile, quality, levels)


def exposures_of(priced: pa.Table, *, model: str) -> pa.Table:
    """Rows of `tables.DEALER_EXPOSURE` of one priced snapshot; empty when nothing is priced."""
    if priced.num_rows == 0:
        return tables.DEALER_EXPOSURE.schema.empty_table()
    return exposure_rows(open_book(priced, model))


def profile_of(priced: pa.Table, *, model: str) -> pa.Table:
    """Rows of `tables.GAMMA_PROFILE` of one priced snapshot; empty when no contract counts."""
    if priced.num_rows == 0:
        return tables.GAMMA_PROFILE.schema.empty_table()
    book = open_book(priced, model)
    if book.strike.size == 0:
        return tables.GAMMA_PROFILE.schema.empty_table()
    return profile_rows(book, gamma_profile(book))


def levels_of(chain: pa.Table, priced: pa.Table, *, model: str) -> pa.Table:
    """Row of `tables.EXPOSURE_LEVELS` of one priced snapshot; empty when nothing is priced."""
    if priced.num_rows == 0:
        return tables.EXPOSURE_LEVELS.schema.empty_table()
    return expose(chain, priced, model=model).levels
