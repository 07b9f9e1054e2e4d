"""The embedded market: surface, quotes, paths and positions behave like those of a real one."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets.domain import sessions
from dealer_assets.domain.pricing.black import black_price
from dealer_assets.providers.simulator import market
from dealer_assets.providers.simulator.profiles import profile_of
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.simulator.surface import atm_variance, fair_vols, total_variance
from dealer_assets.underlyings import REGISTRY, underlying

SPX, SPY, BTC = underlying("SPX"), underlying("SPY"), underlying("BTC")
PROVIDER = SimulatorProvider()
MIDDAY = datetime(2026, 11, 18, 17, 0, tzinfo=UTC)
SYMBOLS = [u.symbol for u in REGISTRY]


def utc(day, hour, minute=0):
    return datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=UTC)


def rows_at(asset, at):
    return PROVIDER.snapshot(asset, at=at).rows


def column(rows, name):
    array = rows[name].combine_chunks()
    if pa.types.is_floating(array.type):
        return np.array(pc.fill_null(array, float("nan")).to_numpy(zero_copy_only=False))
    return np.array(array.to_numpy(zero_copy_only=False))


def by_symbol(rows, name):
    return dict(zip(rows["symbol"].to_pylist(), column(rows, name).tolist(), strict=True))


def call_put_pairs(rows):
    """Indices of calls and of the puts at the same strike; the two rights alternate."""
    call = np.flatnonzero(column(rows, "right") == "call")
    assert (column(rows, "strike")[call] == column(rows, "strike")[call + 1]).all()
    return call, call + 1


# --- prices -------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_vol", [-0.7, 0.0, 1.4])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_noiseless_surface_has_no_static_arbitrage(symbol, log_vol):
    smile = profile_of(underlying(symbol)).smile
    assert smile.eta * (1.0 + abs(smile.rho)) <= 2.0
    assert 0.0 < smile.gamma <= 0.5
    years = np.array([1 / 525_600, 0.5 / 365, 1 / 365, 7 / 365, 30 / 365, 0.25, 1.0, 3.0])
    k = np.linspace(-1.5, 1.5, 1201)
    slices = []
    for t in years:
        theta = atm_variance(np.full(1, t), np.full(1, log_vol), smile=smile)
        slices.append(total_variance(k, np.full(k.size, theta[0]), smile=smile))
        vols = fair_vols(k, np.full(k.size, t), log_vol=np.full(k.size, log_vol), smile=smile)
        np.testing.assert_allclose(vols**2 * t, slices[-1], rtol=1e-12)
        # butterflies: calls on an even grid of strikes fall, and are convex
        strike = np.linspace(np.exp(-6 * np.sqrt(theta[0])), np.exp(6 * np.sqrt(theta[0])), 801)
        one = np.ones(strike.size)
        sigma = fair_vols(np.log(strike), t * one, log_vol=log_vol * one, smile=smile)
        call = black_price(
            one, strike, T=t * one, sigma=sigma, D=one, is_call=np.ones(strike.size, bool)
        )
        assert (np.diff(call) <= 1e-13).all()
        assert (np.diff(call, 2) >= -1e-13).all()
    assert (np.diff(np.stack(slices), axis=0) > 0.0).all()  # calendars


def index_terms(rows):
    """Forward and discount of each row, from the rates the simulation is documented to use."""
    event = rows["event_at"][0].as_py()
    left = [sessions.year_fraction(event, e) for e in rows["expires_at"].to_pylist()]
    years = np.array(left)
    return column(rows, "spot") * np.exp(0.027 * years), np.exp(-0.04 * years)


def test_call_put_parity_holds_within_the_spreads():
    for asset in (SPX, SPY, BTC):
        rows = rows_at(asset, MIDDAY)
        live = column(rows, "expires_at") > column(rows, "event_at")
        rows = rows.filter(pa.array(live))
        forward, discount = index_terms(rows)
        if asset is BTC:
            forward, discount = column(rows, "venue_forward"), np.ones(rows.num_rows)
        call, put = call_put_pairs(rows)
        bid, ask, strike = column(rows, "bid"), column(rows, "ask"), column(rows, "strike")
        quoted = np.isfinite(bid[call]) & np.isfinite(bid[put])
        parity = (discount * (forward - strike))[call]
        # a synthetic forward cannot be sold below or bought above its worth; 0.01: printed forward
        holds = bid[call] - ask[put] <= parity + 0.01
        if (
            asset is not SPY
        ):  # American puts cost more than parity says, calls without income do not
            holds &= ask[call] - bid[put] >= parity - 0.01
        assert holds[quoted].mean() > 0.97, asset.symbol  # the rest: one side is stale
        assert quoted.mean() > 0.97


def test_quotes_lie_on_the_ticks():
    bid = column(rows_at(SPX, MIDDAY), "bid")
    bid = bid[np.isfinite(bid)]
    cents = np.round(bid * 100.0).astype(int)
    assert np.allclose(bid * 100.0, cents, atol=1e-6)
    assert (cents % 5 == 0).all()
    assert (cents[bid >= 3.0] % 10 == 0).all()
    assert (cents == 0).any()

    rows = rows_at(BTC, MIDDAY)
    live = column(rows, "expires_at") > column(rows, "event_at")
    ask = (column(rows, "ask") / column(rows, "venue_forward"))[live]
    ticks = ask[np.isfinite(ask)] / 0.0001
    on_grid = np.abs(ticks - np.round(ticks)) < 0.01
    assert on_grid.mean() > 0.97  # a stale quote is on the grid of its own forward


def test_some_quotes_are_missing_and_some_are_half_an_hour_old():
    now, then, between = (
        rows_at(SPX, MIDDAY - timedelta(minutes=minutes)) for minutes in (0, 30, 29)
    )
    missing = now["bid"].null_count / now.num_rows
    assert 0.002 < missing < 0.01
    for name in ("ask", "bid_size_contracts", "ask_size_contracts"):
        assert now[name].is_null().equals(now["bid"].is_null())

    far = column(now, "expiry_date") > np.datetime64("2027-11-01")  # wide ticks there move always

    def same_as(other):
        equal = (column(now, "bid") == column(other, "bid")) & (
            column(now, "ask") == column(other, "ask")
        )
        return equal[far & (column(now, "bid") > 5.0)].mean()

    assert 0.003 < same_as(then) < 0.03
    assert same_as(between) < 0.003


def test_bitcoin_forwards_are_the_venue_s_and_carry_a_basis():
    rows = rows_at(BTC, MIDDAY)
    assert rows["venue_forward"].null_count == 0
    live = column(rows, "expires_at") > column(rows, "event_at")
    expiry = column(rows, "expires_at")[live]
    basis = (column(rows, "venue_forward") / column(rows, "spot"))[live]
    assert basis[np.argmax(expiry)] > 1.02
    assert (np.diff(basis[np.argsort(expiry, kind="stable")]) >= 0.0).all()
    assert rows_at(SPX, MIDDAY)["venue_forward"].null_count == rows_at(SPX, MIDDAY).num_rows


def test_vendor_numbers_are_printed_like_cboe_s():
    rows = rows_at(SPX, MIDDAY)
    hidden = rows["vendor_implied_vol"].null_count / rows.num_rows
    assert 0.05 < hidden < 0.15
    vol, delta = column(rows, "vendor_implied_vol"), column(rows, "vendor_delta")
    known = np.isfinite(vol)
    np.testing.assert_allclose(vol[known], np.round(vol[known], 4), atol=1e-12)
    call = column(rows, "right") == "call"
    in_money = np.where(call, 1.0, -1.0) * (column(rows, "spot") - column(rows, "strike")) > 0.0
    assert in_money[~known].all()
    assert (delta[known & call] >= 0.0).all()
    assert (delta[known & ~call] <= 0.0).all()


# --- paths --------------------------------------------------------------------------------------


def test_levels_stay_plausible_for_twenty_years():
    first = market.day_number(date(2015, 1, 1))
    late = slice(market.day_number(date(2026, 10, 1)), market.day_number(date(2026, 12, 31)))
    for seed in (7, 8, 9):
        spx, btc = market.closes(seed, "SPX"), market.closes(seed, "BTC")
        assert 5_500.0 < spx[late].min() < spx[late].max() < 7_500.0
        assert 55_000.0 < btc[late].min() < btc[late].max() < 145_000.0
        assert 2_000.0 < spx[first:].min() < spx[first:].max() < 16_000.0
        daily = np.diff(np.log(spx[first:]))
        assert 0.09 < daily[daily != 0.0].std() * np.sqrt(252.0) < 0.2


def test_spy_is_a_tenth_of_spx():
    for day in sessions.sessions_between("XNYS", date(2026, 9, 1), date(2026, 9, 30)):
        spx, spy = (market.day_path(7, symbol, day).spot for symbol in ("SPX", "SPY"))
        np.testing.assert_allclose(10.0 * spy, spx, rtol=0.001)
        assert not np.allclose(10.0 * spy, spx, rtol=1e-6)


def test_minutes_start_where_sessions_join_and_end_at_the_day_s_close():
    day = date(2026, 11, 18)
    path = market.day_path(7, "SPX", day)
    assert path.minutes == 390
    assert path.spot[-1] == pytest.approx(market.closes(7, "SPX")[market.day_number(day)], abs=0.01)
    assert market.day_path(7, "SPX", date(2026, 11, 27)).minutes == 210
    today, tomorrow = (market.day_path(7, "BTC", date(2026, 11, d)) for d in (21, 22))
    assert today.spot[-1] == tomorrow.spot[0]


def test_vol_reverts_and_moves_against_spot():
    days = sessions.sessions_between("XNYS", date(2025, 1, 2), date(2026, 12, 30))
    ends = [market.day_path(7, "SPX", day) for day in days]
    returns = np.diff(np.log([path.spot[-1] for path in ends]))
    vol = np.array([path.log_vol[-1] for path in ends])
    assert np.corrcoef(returns, np.diff(vol))[0, 1] < -0.5
    assert abs(vol.mean()) < 0.3
    assert 0.05 < vol.std() < 0.5
    within = ends[0]
    minutes = np.corrcoef(np.diff(np.log(within.spot)), np.diff(within.log_vol))[0, 1]
    assert minutes < -0.5


# --- flow ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", [SPX, BTC], ids=["SPX", "BTC"])
def test_volume_grows_from_nothing_in_whole_contracts(asset):
    day = date(2026, 11, 18)
    opened = sessions.session_open(asset.calendar, day)
    times = [opened, *sessions.instants_of(asset.calendar, day, count=6)]
    volumes = [column(rows_at(asset, at), "volume_contracts") for at in times]
    assert volumes[0].sum() == 0.0
    for earlier, later in pairwise(volumes):
        assert (later >= earlier).all()
        assert later.sum() > earlier.sum()
    assert (volumes[-1] == np.floor(volumes[-1])).all()


def test_volume_is_u_shaped_over_the_day_and_heaviest_in_the_series_that_expires():
    opened = utc("2026-11-18", 14, 30)
    total = [
        column(rows_at(SPX, opened + timedelta(minutes=m)), "volume_contracts").sum()
        for m in (0, 60, 165, 225, 330, 390)
    ]
    first_hour, _, midday, _, last_hour = np.diff(total)
    assert first_hour > 1.2 * midday
    assert last_hour > 1.2 * midday
    rows = rows_at(SPX, utc("2026-11-18", 21))
    sums = rows.group_by("expiry_date").aggregate([("volume_contracts", "sum")]).to_pylist()
    heaviest = max(sums, key=lambda row: row["volume_contracts_sum"])
    assert heaviest["expiry_date"] == date(2026, 11, 18)


@pytest.mark.parametrize("asset", [SPX, SPY, BTC], ids=["SPX", "SPY", "BTC"])
def test_open_interest_changes_by_no_more_than_was_traded(asset):
    day, moved = date(2026, 11, 17), 0
    for _ in range(4):
        following = sessions.next_session(asset.calendar, day)
        today = rows_at(asset, sessions.instants_of(asset.calendar, day, count=1)[0])
        tomorrow = by_symbol(
            rows_at(asset, sessions.session_open(asset.calendar, following)),
            "open_interest_contracts",
        )
        held, traded = (
            by_symbol(today, "open_interest_contracts"),
            by_symbol(today, "volume_contracts"),
        )
        for symbol in held.keys() & tomorrow.keys():
            assert abs(tomorrow[symbol] - held[symbol]) <= traded[symbol]
            moved += tomorrow[symbol] != held[symbol]
        day = following
    assert moved > 100


def test_open_interest_gathers_in_monthlies_on_round_strikes_with_puts_below_spot():
    rows = rows_at(SPX, MIDDAY)
    held, strike = column(rows, "open_interest_contracts"), column(rows, "strike")
    expiry = column(rows, "expiry_date")
    december, weekly = (
        held[expiry == np.datetime64(day)].sum() for day in ("2026-12-18", "2026-12-11")
    )
    assert december > 3.0 * weekly
    near = np.abs(strike / column(rows, "spot") - 1.0) < 0.03
    assert held[near & (strike % 100 == 0)].mean() > 3.0 * held[near & (strike % 25 != 0)].mean()
    call = column(rows, "right") == "call"
    middle = {
        right: np.average(strike[side], weights=held[side])
        for right, side in (("call", call), ("put", ~call))
    }
    assert middle["put"] < column(rows, "spot")[0] < middle["call"]


def naive_gamma_profile(rows, levels):
    """Dealer gamma over spot levels, calls long and puts short, each strike at its own vol."""
    keep = np.isfinite(column(rows, "vendor_implied_vol"))
    rows = rows.filter(pa.array(keep))
    event = rows["event_at"][0].as_py()
    years = np.array([sessions.year_fraction(event, e) for e in rows["expires_at"].to_pylist()])
    total = column(rows, "vendor_implied_vol") * np.sqrt(years)
    side = np.where(column(rows, "right") == "call", 1.0, -1.0)
    weight = side * column(rows, "open_interest_contracts")
    strike = column(rows, "strike")
    d1 = np.log(levels[:, None] / strike) / total + 0.5 * total
    return (weight * np.exp(-0.5 * d1**2) / total).sum(axis=1) * levels


@pytest.mark.parametrize("asset", [SPX, SPY, BTC], ids=["SPX", "SPY", "BTC"])
def test_naive_gamma_changes_sign_within_the_profile_on_most_sessions(asset):
    day, crossed, positive = date(2026, 10, 20), 0, 0
    for _ in range(20):
        day = sessions.next_session(asset.calendar, day)
        rows = rows_at(asset, sessions.instants_of(asset.calendar, day, count=2)[0])
        spot = rows["spot"][0].as_py()
        profile = naive_gamma_profile(rows, spot * np.linspace(0.85, 1.15, 31))
        crossed += bool(profile.min() < 0.0 < profile.max())
        positive += bool(profile[15] > 0.0)
    assert crossed >= 16
    assert positive >= 5


def test_american_quotes_are_never_below_exercise_and_puts_carry_a_premium():
    rows = rows_at(SPY, MIDDAY)
    rows = rows.filter(pa.array(column(rows, "expires_at") > column(rows, "event_at")))
    forward, discount = index_terms(rows)
    call, put = call_put_pairs(rows)
    bid, ask, strike = column(rows, "bid"), column(rows, "ask"), column(rows, "strike")
    exercise = (strike - column(rows, "spot"))[put]
    quoted = np.isfinite(ask[put]) & np.isfinite(bid[call])
    assert (ask[put] >= exercise - 0.01)[quoted].mean() > 0.97
    over_parity = (
        0.5 * (bid + ask)[put]
        - 0.5 * (bid + ask)[call]
        + discount[call] * ((forward - strike)[call])
    )
    deep = quoted & (exercise > 0.1 * strike[put])
    assert np.median(over_parity[deep]) > 0.0
