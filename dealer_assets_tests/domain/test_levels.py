"""Headline levels: the flip and its four statuses, walls, max pain, quality, the levels row."""

import numpy as np
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.levels import find_flip, find_walls, judge, level_row
from dealer_assets.domain.exposure.moves import expected_move
from dealer_assets.domain.exposure.profile import gamma_profile
from dealer_assets_tests.domain.synthetic import book_of, chain, contract, position, priced

MONTH = 30 / 365
NARROW = {"years": 5 / 365, "vol": 0.15}


def flip_of(contracts):
    book = book_of(contracts)
    return find_flip(gamma_profile(book), float(np.abs(book.gamma_usd_per_pct).sum()))


def test_flip_near_spot_with_a_steep_slope_is_ok():
    flip = flip_of([position(97, "put", 100, years=MONTH), position(103, "call", 100, years=MONTH)])
    assert flip.status == "ok"
    assert 98.0 < flip.price < 102.0
    assert flip.prices == (flip.price,)
    assert flip.slopes[0] > 0.0


def test_flip_more_than_a_tenth_away_is_far():
    flip = flip_of(
        [
            position(100, "call", 100, **NARROW),
            position(110, "call", 100, **NARROW),
            position(114, "put", 500, **NARROW),
        ]
    )
    assert flip.status == "far"
    assert flip.price > 110.0


def test_book_of_one_sign_has_no_flip_in_range():
    flip = flip_of([position(95, "call", 10), position(105, "call", 10)])
    assert (flip.status, flip.price, flip.prices, flip.slopes) == ("none_in_range", None, (), ())


def test_flip_of_a_flat_profile_is_ill_conditioned():
    # Two years at 60 %: calls and puts cancel almost everywhere, so 1 % of gross moves the zero far
    wide = {"years": 2.0, "vol": 0.6}
    flip = flip_of([position(95, "put", 105.1, **wide), position(105, "call", 100.0, **wide)])
    assert flip.status == "ill_conditioned"
    assert flip.price is not None


def test_ill_conditioned_outranks_far():
    wide = {"years": 2.0, "vol": 0.6}
    flip = flip_of([position(95, "put", 106.9, **wide), position(105, "call", 100.0, **wide)])
    assert abs(flip.price / 100 - 1) > 0.10
    assert flip.status == "ill_conditioned"


def test_headline_flip_is_the_crossing_nearest_to_spot():
    contracts = [
        position(89, "call", 100, **NARROW),
        position(96, "put", 100, **NARROW),
        position(103, "call", 100, **NARROW),
        position(110, "put", 100, **NARROW),
    ]
    flip = flip_of(contracts)
    assert len(flip.prices) == len(flip.slopes) == 3
    assert flip.price == min(flip.prices, key=lambda price: abs(price - 100.0))
    assert flip.price == flip.prices[1]


def test_walls_net_and_by_side():
    # Equal vol and time, so gamma at 95, 100 and 105 is of one size and open interest decides:
    # net 95: 10 - 90, 100: 100 - 95, 105: 60 - 5
    contracts = [
        position(95, "call", 10),
        position(95, "put", 90),
        position(100, "call", 100),
        position(100, "put", 95),
        position(105, "call", 60),
        position(105, "put", 5),
    ]
    walls = find_walls(book_of(contracts))
    assert (walls.call, walls.put) == (105.0, 95.0)
    assert (walls.call_side, walls.put_side) == (100.0, 100.0)
    assert walls.absolute_gamma == 100.0


def test_walls_add_up_over_expiries_and_roots():
    contracts = [
        position(95, "call", 60, days=40),
        position(105, "call", 40, days=40),
        position(105, "call", 40, days=41, root="SPX"),
    ]
    assert find_walls(book_of(contracts)).call == 105.0


def test_book_of_calls_has_no_put_wall():
    walls = find_walls(book_of([position(95, "call", 10), position(105, "call", 20)]))
    assert walls.call == 105.0
    assert walls.put is None
    assert walls.put_side is None


def test_max_pain_by_hand_on_the_nearest_expiry():
    # Payout to holders when the nearest expiry settles at
    #  90: puts 10 x 20 + 20 x 30                      = 800
    # 100: call 10 x 10, puts 10 x 10 + 20 x 20        = 600
    # 110: calls 10 x 20 + 5 x 10, put 20 x 10         = 450
    # 120: calls 10 x 30 + 5 x 20                      = 400, the least
    # The later expiry, which would pull it to 90, does not count
    near = {"years": 0.1}
    contracts = [
        position(90, "call", 10, **near),
        position(100, "call", 5, **near),
        position(110, "put", 10, **near),
        position(120, "put", 20, **near),
        position(90, "call", 10_000, years=0.5),
    ]
    assert find_walls(book_of(contracts)).max_pain == 120.0


def test_max_pain_tie_goes_to_the_lowest_strike():
    contracts = [position(90, "call", 10), position(110, "put", 10)]
    assert find_walls(book_of(contracts)).max_pain == 90.0


def test_empty_book_has_no_walls():
    walls = find_walls(book_of([position(100, "call", None)]))
    assert set(vars(walls).values()) == {None}


QUOTED = {"bid": 1.0, "ask": 1.2}


def live_chain(two_sided=4, one_sided=0):
    contracts = [contract(5000 + i, "call", **QUOTED) for i in range(two_sided)]
    contracts += [contract(6000 + i, "call", bid=0.0, ask=0.1) for i in range(one_sided)]
    return chain(contracts)


def quoted_book(**change):
    return priced([position(100, "call", 10) | change, position(105, "put", 5)])


def test_clean_snapshot_is_publishable():
    quality = judge(live_chain(), quoted_book(), is_partial=False)
    assert quality.reasons == ()
    assert quality.is_publishable
    assert (quality.two_sided_share, quality.determined_oi_share) == (1.0, 1.0)


def test_snapshot_of_one_sided_quotes_is_not_publishable():
    quality = judge(live_chain(2, 3), quoted_book(), is_partial=False)
    assert quality.reasons == ("few_two_sided_quotes",)
    assert quality.two_sided_share == pytest.approx(0.4)
    assert not quality.is_publishable


def test_two_sided_quotes_at_the_threshold_are_enough():
    assert judge(live_chain(2, 2), quoted_book(), is_partial=False).is_publishable


@pytest.mark.parametrize("open_interest", [0.0, None])
def test_snapshot_without_open_interest_is_not_publishable(open_interest):
    table = priced([position(100, right, open_interest) for right in ("call", "put")])
    quality = judge(live_chain(), table, is_partial=False)
    assert quality.reasons == ("no_open_interest",)


@pytest.mark.parametrize("source", ["interpolated", "extrapolated", "none"])
def test_snapshot_on_filled_in_vols_is_not_publishable(source):
    quality = judge(live_chain(), quoted_book(iv_source=source), is_partial=False)
    assert quality.reasons == ("few_determined_vols",)
    assert quality.determined_oi_share == pytest.approx(1 / 3)


def test_vol_of_the_other_side_counts_as_determined():
    quality = judge(live_chain(), quoted_book(iv_source="other_side"), is_partial=False)
    assert quality.is_publishable


def test_partial_snapshot_is_not_publishable():
    quality = judge(live_chain(), quoted_book(), is_partial=True)
    assert quality.reasons == ("partial_chain",)
    assert quality.is_partial


def test_level_row_holds_the_sums_and_the_levels():
    contracts = [
        position(97, "put", 100, years=MONTH),
        position(103, "call", 80, years=MONTH),
        position(100, "call", 10, years=0.5 / 365, days=0),
    ]
    book = book_of(contracts)
    quality = judge(live_chain(), priced(contracts), is_partial=False)
    move = expected_move(priced(contracts))
    table = level_row(book, gamma_profile(book), quality=quality, contracts=7, band=None, move=move)
    assert table.schema == tables.EXPOSURE_LEVELS.schema
    (row,) = table.to_pylist()
    gamma = book.gamma_usd_per_pct
    assert row["net_gamma_exposure_usd_per_pct"] == pytest.approx(gamma.sum(), rel=1e-15)
    assert row["call_gamma_exposure_usd_per_pct"] == pytest.approx(gamma[gamma > 0].sum())
    assert row["put_gamma_exposure_usd_per_pct"] == pytest.approx(gamma[gamma < 0].sum())
    assert row["gross_gamma_exposure_usd_per_pct"] == pytest.approx(np.abs(gamma).sum())
    assert row["net_charm_exposure_usd_per_day"] == pytest.approx(book.charm_usd_per_day.sum())
    today = book.strike == 100.0
    share = np.abs(gamma[today]).sum() / np.abs(gamma).sum()
    assert row["zero_dte_share"] == pytest.approx(share)
    assert (row["contracts"], row["contracts_used"], row["expiries"]) == (7, 3, 2)
    assert row["flip_pct"] == pytest.approx(row["flip_price"] / 100.0 - 1.0)
    assert row["flip_price"] in row["flip_prices"]
    assert row["is_publishable"]


def test_level_row_of_an_empty_book_is_nulls_and_zeros_with_a_status():
    table = priced([position(100, "call", None)])
    book = book_of([position(100, "call", None)])
    quality = judge(live_chain(), table, is_partial=False)
    move = expected_move(table)
    (row,) = level_row(book, None, quality=quality, contracts=1, band=None, move=move).to_pylist()
    assert row["band_resamples"] == 0
    assert row["flip_status"] == "none_in_range"
    assert row["flip_price"] is None
    assert row["net_gamma_exposure_usd_per_pct"] == 0.0
    assert row["zero_dte_share"] is None
    assert row["max_pain"] is None
    assert (row["contracts"], row["contracts_used"], row["expiries"]) == (1, 0, 0)
    assert not row["is_publishable"]
