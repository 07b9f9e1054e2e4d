"""One snapshot through everything: the parts agree with each other and nothing is lost silently."""

from datetime import date

import numpy as np
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.snapshot import expose, exposures_of, levels_of, profile_of
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.errors import BadInputError
from dealer_assets_tests.domain.synthetic import chain, contract, quoted, whole_chain

SUM = 1e-12
"""Relative to gross: sums of the same rows in another order."""


@pytest.fixture(scope="module")
def snapshot():
    rows = chain(whole_chain())
    return rows, price_chain(rows)


def test_whole_chain_is_publishable_and_used_throughout(snapshot):
    rows, priced = snapshot
    (level,) = levels_of(rows, priced, model="naive").to_pylist()
    assert level["quality_reasons"] == []
    assert level["contracts"] == rows.num_rows
    assert level["contracts_used"] == priced.num_rows
    assert level["expiries"] == 14
    assert level["model"] == "naive"


def test_levels_are_the_sums_of_the_exposure_rows(snapshot):
    rows, priced = snapshot
    (level,) = levels_of(rows, priced, model="naive").to_pylist()
    exposure = exposures_of(priced, model="naive")
    gross = level["gross_gamma_exposure_usd_per_pct"]
    total = pc.sum(exposure["gamma_exposure_usd_per_pct"]).as_py()
    assert abs(level["net_gamma_exposure_usd_per_pct"] - total) <= SUM * gross
    for name in ("delta", "vanna", "charm", "volga"):
        (column,) = (c for c in exposure.column_names if c.startswith(f"{name}_exposure"))
        scale = pc.sum(pc.abs(exposure[column])).as_py()
        assert abs(level[f"net_{column}"] - pc.sum(exposure[column]).as_py()) <= SUM * scale


def test_expose_gives_what_the_single_steps_give(snapshot):
    rows, priced = snapshot
    whole = expose(rows, priced, model="naive")
    assert whole.exposure_table.equals(exposures_of(priced, model="naive"))
    assert whole.profile_table.equals(profile_of(priced, model="naive"))
    assert whole.levels.equals(levels_of(rows, priced, model="naive"))


def test_planted_gamma_comes_back(snapshot):
    """Quotes of a flat 18 % vol: the book's vols are 18 %, but for the rate the chain implies."""
    rows, priced = snapshot
    book = expose(rows, priced, model="naive").book
    quoted_vols = np.array(pc.is_in(priced["iv_source"], priced["iv_source"][:1]).to_pylist())
    assert quoted_vols.any()
    np.testing.assert_allclose(np.median(book.vol), 0.18, rtol=1e-4)


def test_expired_contracts_count_in_contracts_only(snapshot):
    _, priced = snapshot
    expired = [contract(6000, "call", expiry=date(2025, 6, 9), bid=1.0, ask=1.1)]
    rows = chain(whole_chain() + expired)
    (level,) = levels_of(rows, price_chain(rows), model="naive").to_pylist()
    assert level["contracts"] == priced.num_rows + 1
    assert level["contracts_used"] == priced.num_rows


def test_piece_of_a_chain_has_levels_but_is_not_publishable():
    rows = chain(quoted(range(5500, 6600, 100), vol=0.2))
    (level,) = levels_of(rows, price_chain(rows), model="naive").to_pylist()
    assert level["quality_reasons"] == ["partial_chain"]
    assert level["is_partial"]
    assert level["gross_gamma_exposure_usd_per_pct"] > 0.0


def test_chain_without_open_interest_has_no_profile_and_says_so():
    rows = chain([item | {"open_interest_contracts": None} for item in whole_chain()])
    whole = expose(rows, price_chain(rows), model="naive")
    assert whole.profile is None
    assert whole.profile_table.num_rows == 0
    assert whole.quality.reasons == ("no_open_interest",)


def test_nothing_priced_gives_empty_typed_tables(snapshot):
    rows, _ = snapshot
    nothing = tables.CONTRACT_GREEKS.schema.empty_table()
    assert levels_of(rows, nothing, model="naive").schema == tables.EXPOSURE_LEVELS.schema
    assert levels_of(rows, nothing, model="naive").num_rows == 0


def test_unknown_model_is_refused(snapshot):
    rows, priced = snapshot
    with pytest.raises(BadInputError, match="unknown position model"):
        expose(rows, priced, model="oracle")


def test_derived_rows_know_no_later_than_their_inputs(snapshot):
    rows, priced = snapshot
    for table in (priced, exposures_of(priced, model="naive")):
        assert set(table["known_at"].to_pylist()) == set(rows["known_at"].to_pylist())
        assert set(table["event_at"].to_pylist()) == set(rows["event_at"].to_pylist())


def test_same_snapshot_twice_gives_the_same_bytes(snapshot):
    rows, priced = snapshot
    assert levels_of(rows, priced, model="naive").equals(levels_of(rows, priced, model="naive"))
