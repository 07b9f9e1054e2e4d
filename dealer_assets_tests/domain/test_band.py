"""Bands: conventions against independent implementations, resamples against a known truth."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from dealer_assets.domain.columns import floats
from dealer_assets.domain.exposure.aggregate import open_book
from dealer_assets.domain.exposure.band import Interval, level_band, level_columns, variant_columns
from dealer_assets.domain.exposure.bootstrap import (
    ONE_DAY_OI_ERRORS,
    UNQUOTED_VOL_ERROR,
    VOL_ERROR_IN_HALF_SPREADS,
    Errors,
    Resampler,
    nearest_on_grid,
    one_day_old,
    price_keeping_slope,
    quote_errors,
)
from dealer_assets.domain.exposure.market import derive_total_vols, market_of
from dealer_assets.domain.exposure.profile import gamma_profile
from dealer_assets.domain.exposure.repricing import StickyStrike, Terms, fold, fold_starts
from dealer_assets.domain.exposure.variants import (
    BASE,
    CONVENTIONS,
    clock_years,
    outcome_under,
    terms_under,
)
from dealer_assets.domain.pricing.black import black_price
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.errors import BadInputError
from dealer_assets.providers.files import read_chain_file
from dealer_assets_tests.domain.synthetic import chain, contract, quoted

CONVENTION = {convention.name: convention for convention in CONVENTIONS}

EXPIRIES = (
    ("SPXW", date(2025, 6, 13)),
    ("SPXW", date(2025, 7, 15)),
    ("SPX", date(2025, 7, 18)),
    ("SPXW", date(2025, 12, 19)),
)


def skew(strike):
    """A vol that falls with strike."""
    return 0.17 - 0.25 * np.log(strike / 6000.0)


def listed(*, vendor=True, half_spread=0.02, expiries=EXPIRIES):
    """Quotes of a chain with a flip near 5900; open interest from a fixed draw."""
    rng = np.random.default_rng(3)
    made = []
    for root, expiry in expiries:
        for item in quoted(
            range(4800, 7001, 50), vol=skew, expiry=expiry, root=root, half_spread=half_spread
        ):
            call = item["right"] == "call"
            away = (item["strike"] - (6200.0 if call else 5600.0)) / 300.0
            size = 3000.0 * np.exp(-0.5 * away * away) * rng.uniform(0.5, 1.5) + 40.0
            made.append(item | {"open_interest_contracts": float(round(size))})
            made[-1]["volume_contracts"] = float(item["strike"] % 300)
            made[-1]["vendor_implied_vol"] = skew(item["strike"]) + 0.002 if vendor else None
    return made


def snapshot_of(contracts, **more):
    """Chain, priced rows and naive book."""
    rows = chain(contracts, **more)
    priced = price_chain(rows)
    return rows, priced, open_book(priced, "naive")


@pytest.fixture(scope="module")
def snapshot():
    return snapshot_of(listed())


@pytest.fixture(scope="module")
def market(snapshot):
    rows, priced, book = snapshot
    return market_of(book, rows, priced)


@pytest.fixture(scope="module")
def band(snapshot):
    rows, priced, book = snapshot
    return level_band(book, rows, priced, resamples=60)


def member(band, name):
    (found,) = [m for m in band.members if m.outcome.convention.name == name]
    return found


# --- conventions -----------------------------------------------------------------------------


def test_base_convention_is_the_book(snapshot, market):
    book = snapshot[2]
    outcome = outcome_under(market, BASE, None)
    profile = gamma_profile(book)
    nearest = profile.crossings[np.argmin(np.abs(profile.crossings - book.spot))]
    assert outcome.flip == pytest.approx(nearest, rel=1e-12)
    gross = np.abs(book.gamma_usd_per_pct).sum()
    assert outcome.net_gamma_usd_per_pct == pytest.approx(
        book.gamma_usd_per_pct.sum(), abs=1e-12 * gross
    )
    assert outcome.contracts == book.strike.size
    assert outcome.status == "ok"


def test_vols_derived_again_from_the_same_forwards_are_the_priced_ones(market):
    again = derive_total_vols(market, market.slice_forward, market.slice_discount)
    known = np.isfinite(market.total_vol)
    assert known.sum() > 300
    np.testing.assert_allclose(again[known], market.total_vol[known], rtol=1e-11)


@pytest.mark.parametrize(
    "name",
    ["clock_calendar_days", "clock_business_days", "clock_business_time", "settlement_close"],
)
def test_a_clock_moves_nothing_when_vols_come_from_prices(market, name):
    base, other = outcome_under(market, BASE, None), outcome_under(market, CONVENTION[name], None)
    assert other.flip == base.flip
    assert other.net_gamma_usd_per_pct == base.net_gamma_usd_per_pct


def test_a_clock_moves_the_flip_when_vols_are_the_vendor_s(market):
    own = outcome_under(market, CONVENTION["vol_vendor"], None).flip
    other = outcome_under(market, CONVENTION["vol_vendor_business_days"], None).flip
    assert abs(own - other) > 0.01


def test_clocks_by_hand(market):
    # Tuesday 2025-06-10, 11:00 New York. To Friday the 13th: three days, three business days, two
    # of them whole and what is left of today; to July 18 (AM): 38 days, Juneteenth and July 4 off.
    friday = market.slice_day == np.datetime64("2025-06-13")
    monthly = market.slice_is_am
    calendar = clock_years(market, CONVENTION["clock_calendar_days"])
    assert calendar[friday] == pytest.approx(3 / 365)
    assert calendar[monthly] == pytest.approx(38 / 365)
    business = clock_years(market, CONVENTION["clock_business_days"])
    assert business[friday] == pytest.approx(3 / 252)
    assert business[monthly] == pytest.approx(26 / 252)
    weekdays = clock_years(market, CONVENTION["published_zero_rate_262"])
    assert weekdays[monthly] == pytest.approx(28 / 262)
    year = 252 + 0.08 * 113
    weighted = clock_years(market, CONVENTION["clock_business_time"])
    assert weighted[friday] == pytest.approx((0.65 * (3 + 5 / 6.5) + 0.35 * 3) / year)
    opening = 0.65 * (25 + 5 / 6.5) + 0.35 * 26 + 0.08 * 12
    assert weighted[monthly] == pytest.approx(opening / year)
    later = clock_years(market, CONVENTION["settlement_close"]) - market.slice_years
    np.testing.assert_allclose(later * 365 * 24, np.where(monthly, 6.5, 0.0), atol=1e-9)


def test_today_s_expiry_has_time_left_under_every_clock():
    rows, priced, book = snapshot_of(listed(expiries=(("SPXW", date(2025, 6, 10)), *EXPIRIES)))
    market = market_of(book, rows, priced)
    for convention in CONVENTIONS:
        assert np.all(clock_years(market, convention) > 0.0), convention.name


def test_filters_keep_what_they_say(snapshot):
    contracts = [dict(item) for item in listed()]
    for number, item in enumerate(contracts):
        item["volume_contracts"] = float(number % 3)
        item["bid"] = 0.0 if number % 5 == 0 else item["bid"]
    rows, priced, book = snapshot_of(contracts)
    market = market_of(book, rows, priced)
    counted = (market.position != 0.0) & np.isfinite(market.total_vol)

    def contracts_under(name):
        return outcome_under(market, CONVENTION[name], None).contracts

    assert contracts_under("filter_volume") == (counted & (market.volume > 0)).sum()
    assert contracts_under("filter_two_sided") == (counted & market.is_two_sided).sum()
    assert contracts_under("filter_determined") == (counted & market.is_determined).sum()
    enough = market.open_interest >= 100
    assert contracts_under("filter_open_interest") == (counted & enough).sum()
    assert 0 < contracts_under("filter_volume") < counted.sum()


def test_surface_vols_are_the_smile_where_there_is_one(snapshot, market):
    rows, priced, book = snapshot
    flat = np.column_stack([0.03 * market.slice_years, *np.zeros((4, market.slice_years.size))])
    flat[:, 4] = 1.0
    band = level_band(book, rows, priced, surface=flat, resamples=2)
    terms, index = terms_under(market, CONVENTION["vol_surface"], None)
    np.testing.assert_array_equal(terms.total_vol, market.total_vol[index])
    moved = member(band, "vol_surface").outcome.flip
    assert abs(moved - member(band, "base").outcome.flip) > 1.0
    assert member(band, "vol_surface").in_inferred_band
    assert band.flip.lo <= moved <= band.flip.hi


# --- published tools, written anew from their descriptions ------------------------------------


def published_flip(rows, *, rate, dividend, years_of):
    """The flip of a tool that sums Black-Scholes gammas of the vendor's vols over spot levels.

    Every listed contract with a printed vol counts; calls add, puts subtract. The zero nearest to
    spot is read off by a straight line between levels, here 0.01 % apart.
    """
    spot = rows["spot"][0].as_py()
    vol = floats(rows, "vendor_implied_vol")
    sign = np.where(np.array(rows["right"].to_pylist()) == "call", 1.0, -1.0)
    size = np.nan_to_num(floats(rows, "open_interest_contracts")) * sign
    live = np.array(rows["expires_at"].to_pylist()) > rows["event_at"][0].as_py()
    used = (vol > 0) & (size != 0) & live
    years = years_of(rows)[used]
    strike, vol, size = floats(rows, "strike")[used], vol[used], size[used]
    levels = spot * np.linspace(0.86, 1.14, 2801)
    net = np.empty(levels.size)
    width = vol * np.sqrt(years)
    for i, level in enumerate(levels):
        d1 = (np.log(level / strike) + (rate - dividend + 0.5 * vol**2) * years) / width
        gamma = np.exp(-dividend * years - 0.5 * d1**2) / (np.sqrt(2 * np.pi) * level * width)
        net[i] = (size * gamma).sum() * level**2
    change = np.flatnonzero(net[:-1] * net[1:] < 0)
    zeros = levels[change] - net[change] * np.diff(levels)[change] / np.diff(net)[change]
    return float(zeros[np.argmin(np.abs(zeros - spot))])


def weekdays_over(days_a_year):
    def years(rows):
        session = np.datetime64(rows["session_date"][0].as_py())
        expiry = np.array(rows["expiry_date"].to_pylist(), dtype="datetime64[D]")
        return np.maximum(np.busday_count(session, expiry), 1) / days_a_year

    return years


def calendar_to_the_close(rows):
    event = rows["event_at"][0].as_py()
    left = [(at - event).total_seconds() for at in rows["expires_at"].to_pylist()]
    am = np.array(rows["settlement"].to_pylist()) == "am"
    return (np.array(left) + np.where(am, 6.5 * 3600, 0.0)) / (365 * 86400)


PUBLISHED = {
    "published_zero_rate_262": {"rate": 0.0, "dividend": 0.0, "years_of": weekdays_over(262)},
    "published_flat_rate_252": {"rate": 0.05, "dividend": 0.0, "years_of": weekdays_over(252)},
    "published_flat_dividend_252": {
        "rate": 0.05,
        "dividend": 0.013,
        "years_of": weekdays_over(252),
    },
    "published_flat_dividend_365": {
        "rate": 0.05,
        "dividend": 0.013,
        "years_of": calendar_to_the_close,
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_convention_gives_the_flip_of_its_tool_and_the_band_holds_it(
    snapshot, band, name
):
    theirs = published_flip(snapshot[0], **PUBLISHED[name])
    assert member(band, name).outcome.flip == pytest.approx(theirs, abs=0.01)
    assert band.flip_convention.lo - 0.01 <= theirs <= band.flip_convention.hi + 0.01


# --- bands -----------------------------------------------------------------------------------


def test_convention_band_spans_its_members(band):
    flips = [m.outcome.flip for m in band.members if m.in_convention_band]
    assert band.flip_convention.lo == min(flips)
    assert band.flip_convention.hi == max(flips)
    assert len(flips) == len(CONVENTIONS) - 1  # no surface was given


def test_axes_that_a_two_sided_chain_settles_are_not_in_the_inferred_band(band):
    inside = {m.outcome.convention.name for m in band.members if m.in_inferred_band}
    assert inside == {"base", "unquoted_at_ask", "unquoted_at_half_ask"}
    assert band.forwards_settled_share == 1.0
    assert band.vols_settled_share > 0.9
    assert band.flip.lo <= member(band, "base").outcome.flip <= band.flip.hi
    assert band.flip.width < 0.3 * band.flip_convention.width


def test_axes_of_a_chain_without_quotes_stay_open_and_the_flip_is_ill_conditioned():
    contracts = [dict(item) for item in listed()]
    for item in contracts:
        if item["expiry_date"] > date(2025, 6, 13):
            item |= {"bid": 0.0}
    rows, priced, book = snapshot_of(contracts)
    band = level_band(book, rows, priced, resamples=10)
    inside = {m.outcome.convention.axis for m in band.members if m.in_inferred_band}
    assert {"forward", "vol", "published"} <= inside
    assert band.flip.lo == min(m.outcome.flip for m in band.members if m.in_inferred_band)
    assert band.status("ok") == "ill_conditioned" or band.flip.width < 0.02 * band.spot
    assert band.flip.width > 10.0


def test_conventions_that_need_printed_vols_are_no_members_without_them():
    rows, priced, book = snapshot_of(listed(vendor=False))
    band = level_band(book, rows, priced, resamples=2)
    for item in band.members:
        needs = item.outcome.convention.vol in ("vendor", "vendor_only")
        assert item.in_convention_band == (
            not needs and item.outcome.convention.name != "vol_surface"
        )


def test_status_is_extended_only_where_the_curve_s_own_says_more(band):
    assert not band.is_ill_conditioned
    assert [band.status(s) for s in ("ok", "far")] == ["ok", "far"]
    wide = replace(band, flip_oi_age=Interval(5800.0, 5900.0, 5950.0))
    assert [wide.status(s) for s in ("ok", "far")] == ["ill_conditioned"] * 2
    assert wide.status("none_in_range") == "none_in_range"
    assert replace(band, without_flip_share=0.2).status("ok") == "ill_conditioned"


def test_a_book_of_nothing_has_no_levels_and_no_error():
    rows, priced, book = snapshot_of(
        [item | {"open_interest_contracts": 0.0} for item in listed(expiries=EXPIRIES[:1])]
    )
    band = level_band(book, rows, priced, resamples=2)
    columns = level_columns(band)
    assert columns["flip_lo"] is None
    assert columns["call_wall_stability"] is None
    assert band.status("none_in_range") == "none_in_range"
    assert set(variant_columns(band)["flip_status"]) == {"none_in_range"}


def test_columns_hold_the_band(band):
    columns = level_columns(band)
    assert columns["flip_lo"] == band.flip.lo
    assert columns["flip_band_pct"] == band.flip.width / band.spot
    assert columns["flip_sticky_moneyness"] is None
    assert columns["band_resamples"] == 60
    variants = variant_columns(band)
    assert variants["variant"] == [convention.name for convention in CONVENTIONS]
    assert variants["flip_price"][0] == member(band, "base").outcome.flip


def test_rows_of_other_contracts_are_refused(snapshot):
    rows, priced, book = snapshot
    with pytest.raises(BadInputError, match="expected the priced rows of the chain's"):
        level_band(book, rows, priced.slice(1))


# --- resamples -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resampler(market):
    terms, index = terms_under(market, BASE, None)
    return Resampler(market, terms, index, None)


def test_same_input_same_resamples_and_another_seed_others(market, resampler):
    errors = one_day_old(market)
    first, again = (resampler.draw(errors, count=5) for _ in range(2))
    other = resampler.draw(errors, count=5, seed=1)
    for name in ("flip", "net_gamma_usd_per_pct", "call_wall", "put_wall"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.any(first.flip == other.flip)
    assert np.array_equal(first.flip[:3], resampler.draw(errors, count=3).flip)


def test_without_errors_every_resample_is_the_book(market, resampler):
    n, m = market.strike.size, market.slice_years.size
    none = Errors(np.zeros(m), np.zeros(n), np.zeros(n), np.zeros(n))
    drawn = resampler.draw(none, count=3)
    base = outcome_under(market, BASE, None)
    np.testing.assert_allclose(drawn.flip, base.flip, rtol=1e-12)
    np.testing.assert_array_equal(drawn.call_wall, base.call_wall)
    np.testing.assert_array_equal(drawn.put_wall, base.put_wall)


def test_vol_errors_are_a_share_of_the_quote_s_half_spread(market):
    errors = quote_errors(market)
    near = np.flatnonzero(market.is_determined & (np.abs(market.strike / market.spot - 1) < 0.02))
    at = market.slice_id[near]
    forward, discount = market.slice_forward[at], market.slice_discount[at]
    out_of_money = np.where(
        market.is_call[near], market.strike[near] >= forward, market.strike[near] < forward
    )
    near, forward, discount = near[out_of_money], forward[out_of_money], discount[out_of_money]
    step = 1e-6

    def price(total):
        return black_price(
            forward,
            market.strike[near],
            T=np.ones(near.size),
            sigma=total,
            D=discount,
            is_call=market.is_call[near],
        )

    total = market.total_vol[near]
    vega = (price(total + step) - price(total - step)) / (2 * step)
    half = 0.5 * (market.ask - market.bid)[near]
    expected = VOL_ERROR_IN_HALF_SPREADS * half / vega
    np.testing.assert_allclose(errors.total_vol[near], expected, rtol=1e-4)
    unquoted = ~market.is_determined & np.isfinite(market.total_vol)
    np.testing.assert_allclose(
        errors.total_vol[unquoted], UNQUOTED_VOL_ERROR * market.total_vol[unquoted]
    )


def test_vols_move_with_the_forward_so_that_prices_stay(market):
    shift = 1e-5
    moved = derive_total_vols(market, market.slice_forward * np.exp(shift), market.slice_discount)
    k = np.log(market.strike / market.slice_forward[market.slice_id])
    own_quote = market.is_determined & (np.abs(k) > 2 * shift) & (np.abs(k) < 0.1)
    slope = (moved - market.total_vol)[own_quote] / shift
    expected = price_keeping_slope(k[own_quote], market.total_vol[own_quote])
    assert own_quote.sum() > 100
    np.testing.assert_allclose(slope, expected, rtol=5e-3)


def test_age_of_open_interest_is_by_days_to_expiry(market):
    errors = one_day_old(market)
    days = (market.slice_day - market.session_day).astype(int)[market.slice_id]
    for low, high, row in ((0, 7, 1), (8, 45, 2), (46, 999, 3)):
        at = (days >= low) & (days <= high)
        _, whole, shared = ONE_DAY_OI_ERRORS[row]
        np.testing.assert_allclose(errors.oi_shared[at], shared)
        np.testing.assert_allclose(np.hypot(errors.oi[at], errors.oi_shared[at]), whole)
        assert at.any()


def test_given_forward_errors_are_used_and_missing_ones_filled(market):
    given = np.full(market.slice_years.size, np.nan)
    given[0] = 3.0
    forward = quote_errors(market, given).forward
    assert forward[0] == 3.0
    np.testing.assert_array_equal(forward[1:], quote_errors(market).forward[1:])
    assert np.all((forward[1:] > 0.0) & (forward[1:] < 1.0))


def test_truth_lies_inside_the_band_about_nine_times_in_ten(market):
    """Observe a known book with errors, resample what was observed, look for the truth."""
    terms, index = terms_under(market, BASE, None)
    truth = nearest_on_grid(StickyStrike(fold(terms)))
    rng = np.random.default_rng(11)
    n, m, starts = market.strike.size, market.slice_years.size, fold_starts(terms)
    strike_of = np.searchsorted(starts, np.arange(index.size), side="right") - 1
    vol_error = 0.02
    errors = Errors(
        forward=np.zeros(m),
        total_vol=vol_error * np.nan_to_num(market.total_vol),
        oi=np.full(n, 0.2),
        oi_shared=np.full(n, 0.05),
    )
    inside = 0
    trials = 120
    for _ in range(trials):
        shared = rng.normal(size=m)[market.slice_id[index]]
        own = rng.normal(size=starts.size)[strike_of]
        noise = vol_error * np.sqrt(0.5) * (shared + own)
        blocks = rng.normal(size=2 * m)[2 * market.slice_id[index] + market.is_call[index]]
        size = np.exp(0.2 * rng.normal(size=index.size) + 0.05 * blocks)
        seen = Terms(terms.log_moneyness, terms.total_vol * (1 + noise), terms.amount * size)
        drawn = Resampler(market, seen, index, None).draw(errors, count=60)
        low, high = np.log(np.quantile(drawn.flip, [0.05, 0.95]) / market.spot)
        inside += bool(low <= truth <= high)
    assert 0.80 <= inside / trials <= 0.97


def test_a_wall_that_towers_over_the_rest_stays_in_every_resample():
    contracts = [dict(item) for item in listed()]
    for item in contracts:
        if item["strike"] == 6100.0 and item["right"] == "call":
            item["open_interest_contracts"] = 5e5
    rows, priced, book = snapshot_of(contracts)
    columns = level_columns(level_band(book, rows, priced, resamples=20))
    assert columns["call_wall_stability"] == 1.0
    assert 0.0 < columns["put_wall_stability"] <= 1.0


def test_one_quote_does_not_make_a_chain_an_error():
    lone = contract(6000, "call", bid=100.0, ask=101.0)
    rows, priced, book = snapshot_of([lone, contract(6000, "put", bid=99.0, ask=100.0)])
    band = level_band(book, rows, priced, resamples=2)
    assert band.forwards_settled_share == 0.0
    assert np.isfinite(band.members[0].outcome.gross_gamma_usd_per_pct)


def test_coins_have_bands_too():
    event = datetime(2025, 6, 10, 15, 0, tzinfo=UTC)
    made = []
    for strike in range(80_000, 130_001, 2_000):
        for right in ("call", "put"):
            fair = black_price(
                np.array([104_000.0]),
                np.array([float(strike)]),
                T=np.array([0.0527]),
                sigma=np.array([0.45]),
                D=np.ones(1),
                is_call=np.array([right == "call"]),
            )[0]
            quote = {"bid": max(fair - 20.0, 0.0), "ask": fair + 20.0}
            size = 50.0 + 30.0 * (strike > 108_000) * (right == "call")
            quote |= {"open_interest_contracts": size, "venue_forward": 104_000.0}
            made.append(contract(strike, right, root="BTC", expiry=date(2025, 6, 27), **quote))
    rows, priced, book = snapshot_of(made, symbol="BTC", event_at=event, spot=103_900.0)
    band = level_band(book, rows, priced, resamples=5)
    assert band.forwards_settled_share == 1.0
    assert band.members[0].outcome.contracts == book.strike.size


# --- recorded chains -------------------------------------------------------------------------

NEAR_FLIPS = (
    "SPX_2023-02-07_full",
    "SPX_2023-04-10_full",
    "SPX_2023-04-14_full",
    "SPX_2023-04-17_full",
    "SPX_2023-05-05_full",
    "SPX_2023-05-19_full",
    "SPX_2023-05-23_full",
    "SPX_2023-06-08_full",
    "SPX_2023-09-01_full",
    "SPX_2023-09-14_full",
    "SPX_2024-02-12_full_nogreeks",
    "SPX_2025-01-22_full_longformat",
    "SPX_2022-02-04_full",
)


def recorded(folder, name):
    (snapshot,) = read_chain_file(folder / "cboe_csv" / f"{name}.csv.gz")
    priced = price_chain(snapshot.rows)
    return snapshot.rows, priced, open_book(priced, "naive")


@pytest.mark.parametrize("name", NEAR_FLIPS)
def test_recorded_flip_near_spot_is_told_within_five_points(shared_data, name):
    rows, priced, book = recorded(shared_data, name)
    band = level_band(book, rows, priced, resamples=60)
    base = member(band, "base").outcome
    assert abs(base.flip / book.spot - 1.0) < 0.03
    assert band.flip.lo <= base.flip <= band.flip.hi
    assert band.flip.width < 5.0
    assert band.flip.width < band.flip_convention.width
    assert band.flip_convention.width < 70.0
    assert band.status("ok") == "ok"


@pytest.mark.parametrize("name", ["SPX_2022-09-13_full_noheader", "SPX_2023-04-05_full_bid0"])
def test_recorded_flip_that_is_far_or_without_quotes_is_called_ill_conditioned(shared_data, name):
    rows, priced, book = recorded(shared_data, name)
    band = level_band(book, rows, priced, resamples=20)
    assert band.status("ok") == "ill_conditioned"


@pytest.mark.parametrize("name", PUBLISHED)
def test_recorded_published_flips_lie_in_the_convention_band(shared_data, name):
    rows, priced, book = recorded(shared_data, "SPX_2023-05-05_full")
    band = level_band(book, rows, priced, resamples=2)
    theirs = published_flip(rows, **PUBLISHED[name])
    assert member(band, name).outcome.flip == pytest.approx(theirs, abs=0.5)
    assert band.flip_convention.lo - 0.01 <= theirs <= band.flip_convention.hi + 0.01
