"""Recorded chains: quotes inside bid-ask, and no arbitrage, on real two-sided markets."""

import numpy as np

from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.surface.fit import fit_surface
from dealer_assets.domain.surface.quality import surface_quality
from dealer_assets.domain.surface.quotes import chain_quotes
from dealer_assets.providers.files import read_chain_file
from dealer_assets_tests.domain.surface_quotes import closest_look


def measured(shared_data, name):
    snapshot = read_chain_file(shared_data / "cboe_csv" / f"{name}.csv.gz")[0]
    quotes = chain_quotes(snapshot.rows, price_chain(snapshot.rows))
    surface = fit_surface(quotes)
    return quotes, surface, surface_quality(surface, quotes)


ONE_SIDED = ("SPX_2023-04-05_full_bid0", "SPX_2023-04-06_full_bid0", "SPY_2023-04-26_full_bid0")
"""Files whose bids are 0 but for a few."""


def test_every_two_sided_chain_is_fitted_inside_the_spread_without_arbitrage(shared_data):
    folder = shared_data / "cboe_csv"
    paths = sorted([*folder.glob("*_full*.csv.gz"), *folder.glob("*_intraday*.csv.gz")])
    names = [path.name.removesuffix(".csv.gz") for path in paths]
    names = [name for name in names if not name.startswith(ONE_SIDED)]
    assert len(names) >= 50
    wrong, inside = [], []
    for name in names:
        _, surface, quality = measured(shared_data, name)
        fit = surface.method == "fit"
        least_g, least_rise = closest_look(surface)
        inside.append(quality.in_spread)
        ok = (
            quality.is_sound
            and quality.in_spread >= 0.95
            and quality.chi < 1.0
            and fit.mean() >= 0.9
            and quality.butterfly_violations == quality.calendar_violations == 0
            and np.nanmin(least_g) >= 0.0
            and np.nanmin(least_rise) >= -1e-9
            and (surface.after.lee[fit] > 0.0).all()
        )
        if not ok:
            wrong.append((name, quality.reasons, quality.in_spread, quality.chi))
    assert wrong == []
    assert np.mean(inside) > 0.99


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
