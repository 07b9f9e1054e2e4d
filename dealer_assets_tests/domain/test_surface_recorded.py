"""Recorded chains: quotes inside bid-ask, and no arbitrage, on real two-sided markets."""

import numpy as np
import pytest

from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.surface.fit import fit_surface
from dealer_assets.domain.surface.quality import surface_quality
from dealer_assets.domain.surface.quotes import chain_quotes
from dealer_assets.providers.files import read_chain_file


def measured(shared_data, name):
    snapshot = read_chain_file(shared_data / "cboe_csv" / f"{name}.csv.gz")[0]
    quotes = chain_quotes(snapshot.rows, price_chain(snapshot.rows))
    surface = fit_surface(quotes)
    return quotes, surface, surface_quality(surface, quotes)


@pytest.mark.parametrize(
    "name",
    [
        "SPX_2022-09-13_full_noheader",
        "SPX_2023-06-08_full",
        "SPX_2023-09-14_full",
        "SPX_2025-01-22_full_longformat",
        "SPY_2023-04-14_full",
        "NDX_2023-04-14_full",
        "NDX_2023-05-15_full_hdr0516",
        "QQQ_2023-06-12_full",
    ],
)
def test_two_sided_chains_are_fitted_inside_the_spread_without_arbitrage(shared_data, name):
    _, surface, quality = measured(shared_data, name)
    assert quality.in_spread >= 0.95
    assert quality.chi < 0.6
    assert quality.atm_error_bp < 10.0
    assert quality.fitted_share >= 0.95
    assert quality.butterfly_violations == 0
    assert quality.calendar_violations == 0
    assert quality.is_sound
    assert (surface.after.lee[surface.method == "fit"] > 0.0).all()


def test_slices_of_both_settlements_are_on_one_ordered_list(shared_data):
    quotes, surface, _ = measured(shared_data, "SPX_2023-09-14_full")
    assert set(surface.root) == {"SPX", "SPXW"}
    assert (np.diff(surface.years) > 0.0).all()
    assert (np.bincount(quotes.slice_id, minlength=surface.years.size) > 0).all()


def test_a_chain_without_bids_is_not_called_sound(shared_data):
    _, surface, quality = measured(shared_data, "SPX_2023-04-05_full_bid0")
    assert not quality.is_sound
    assert "few_fitted" in quality.reasons
    assert (surface.method != "fit").mean() > 0.2
