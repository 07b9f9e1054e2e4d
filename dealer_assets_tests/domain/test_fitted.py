"""Surfaces as rows and back, and what the levels read from them."""

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.fitted import fitted_of
from dealer_assets.domain.exposure.snapshot import expose
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.surface.fit import fit_surface
from dealer_assets.domain.surface.quotes import chain_quotes
from dealer_assets.domain.surface.rows import (
    NO_VARIANCE,
    grid_of,
    quality_of,
    surface_from,
    surface_of,
)
from dealer_assets_tests.domain.synthetic import chain, whole_chain

EMPTY = tables.VOL_SURFACE.schema.empty_table()


@pytest.fixture(scope="module")
def snapshot():
    rows = chain(whole_chain())
    forwards = forwards_of(rows, curve=None)
    priced = price_chain(rows, forwards)
    return rows, forwards, priced, surface_of(rows, priced, EMPTY)


def test_a_surface_survives_storage(snapshot):
    rows, _, priced, stored = snapshot
    fitted, again = fit_surface(chain_quotes(rows, priced)), surface_from(stored)
    np.testing.assert_array_equal(again.params, fitted.params)
    assert again.method.tolist() == fitted.method.tolist()
    assert again.root.tolist() == fitted.root.tolist()
    np.testing.assert_array_equal(again.after.butterfly, fitted.after.butterfly)


def test_rows_are_sorted_and_of_the_tables_schema(snapshot):
    _, _, _, stored = snapshot
    assert stored.schema == tables.VOL_SURFACE.schema
    key = [(name, "ascending") for name in tables.VOL_SURFACE.key]
    assert stored.equals(stored.sort_by(key))
    assert stored.num_rows == 14


def test_grid_lies_on_the_surface(snapshot):
    _, _, _, stored = snapshot
    grid = grid_of(stored)
    assert grid.schema == tables.GREEK_SURFACE.schema
    np.testing.assert_allclose(grid["implied_vol"].to_numpy(), 0.18, atol=2e-3)
    assert set(grid["axis"].to_pylist()) == {"log_moneyness", "put_delta"}


def test_smiles_are_matched_by_root_and_expiry_not_by_place(snapshot):
    rows, forwards, priced, stored = snapshot
    quality = quality_of(rows, priced, stored)
    shuffled = stored.take(pa.array(np.arange(stored.num_rows)[::-1]))
    plain, other = (fitted_of(forwards, s, quality) for s in (stored, shuffled))
    np.testing.assert_array_equal(plain.smiles, other.smiles)
    own = plain.slice_id(priced)
    assert own.min() == 0
    assert own.max() == forwards.num_rows - 1
    lost = fitted_of(forwards, stored.slice(1), quality)
    assert np.isnan(lost.smiles).all(axis=1).sum() == 1


def test_contracts_of_an_unknown_slice_have_none(snapshot):
    rows, forwards, priced, stored = snapshot
    quality = quality_of(rows, priced, stored)
    fewer = fitted_of(forwards.slice(1), stored, quality)
    first = priced["expiry_date"][0].as_py(), priced["root"][0].as_py()
    own = fewer.slice_id(priced)
    assert own[0] == -1
    of_first = [
        (d, r) == first
        for d, r in zip(*(priced[n].to_pylist() for n in ("expiry_date", "root")), strict=True)
    ]
    assert (own[np.array(of_first)] == -1).all()


def test_nothing_priced_means_no_surface():
    nothing = tables.CONTRACT_GREEKS.schema.empty_table()
    assert surface_of(chain(whole_chain()), nothing, EMPTY).num_rows == 0
    assert quality_of(chain(whole_chain()), nothing, EMPTY).num_rows == 0
    assert grid_of(EMPTY).num_rows == 0


def test_a_slice_without_quotes_ages_and_dates_itself_by_what_it_stands_on(snapshot):
    rows, _, priced, stored = snapshot
    day = priced["expiry_date"][0]
    blind = pa.compute.equal(rows["expiry_date"], day)
    bids = pa.compute.if_else(blind, 0.0, rows["bid"])
    place = rows.schema.get_field_index("bid")
    later = rows.set_column(place, rows.schema.field(place), bids)
    known = pa.compute.add(stored["known_at"], pa.scalar(3_600_000_000, pa.duration("us")))
    place = stored.schema.get_field_index("known_at")
    before = stored.set_column(place, stored.schema.field(place), known)
    aged = surface_of(later, price_chain(later), before)
    methods = dict(zip(aged["expiry_date"].to_pylist(), aged["method"].to_pylist(), strict=True))
    assert methods[day.as_py()] == "aged"
    assert set(aged["known_at"].to_pylist()) == set(known.to_pylist())


def test_the_mark_of_no_variance_is_no_plausible_slack():
    assert NO_VARIANCE < -1e6


@pytest.mark.parametrize("seed", range(3))
def test_random_quotes_crash_nothing_and_are_not_published(seed):
    rows = chain(whole_chain())
    rng = np.random.default_rng(seed)
    bid = rng.lognormal(1.0, 2.0, rows.num_rows)
    quotes = {"bid": bid, "ask": bid * (1.0 + rng.uniform(0.0, 1.0, rows.num_rows))}
    for name, values in quotes.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values))
    forwards = forwards_of(rows, curve=None)
    priced = price_chain(rows, forwards)
    surface = surface_of(rows, priced, EMPTY)
    fitted = fitted_of(forwards, surface, quality_of(rows, priced, surface))
    (row,) = expose(rows, priced, model="naive", market=fitted).levels.to_pylist()
    assert fitted.reasons
    assert not row["is_publishable"]


def test_a_spot_of_another_instant_is_no_spot_to_publish_levels_at():
    rows = chain(whole_chain(), spot=6000.0 * 1.02)
    priced = price_chain(rows)
    (row,) = expose(rows, priced, model="naive", resamples=0).levels.to_pylist()
    assert "spot_disagrees_with_chain" in row["quality_reasons"]
    (right,) = expose(
        chain(whole_chain()), price_chain(chain(whole_chain())), model="naive", resamples=0
    ).levels.to_pylist()
    assert "spot_disagrees_with_chain" not in right["quality_reasons"]
