"""Who holds what in the simulated market, and that its prints are nothing but that."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dealer_assets.domain import sessions
from dealer_assets.providers.simulator import truth as simulated
from dealer_assets.providers.simulator.flow import session_flow
from dealer_assets.providers.simulator.habits import KINDS, customer_shares
from dealer_assets.providers.simulator.listing import session_listing
from dealer_assets.providers.simulator.market_day import market_day
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.simulator.quotes import bid_ask, fair_values, quote_sizes
from dealer_assets.providers.simulator.tape import contract_prints, session_prints
from dealer_assets.providers.simulator.tape_customers import customers_of, opened_contracts
from dealer_assets.underlyings import underlying

DAY = date(2026, 11, 18)
DENSITY = 0.02


def market_of(symbol, day=DAY, seed=7, density=DENSITY):
    return market_day(seed, symbol, day=day, density=density)


def prints_of(symbol):
    return session_prints(7, symbol, day=DAY, density=DENSITY)


def by_contract(market, prints, values):
    return np.bincount(prints.contract, values, minlength=market.flow.volume.size)


def joined_to(today, tomorrow):
    """Places of the contracts of both listings, and of those that are new."""
    _, before, after = np.intersect1d(
        today.contract_id, tomorrow.contract_id, assume_unique=True, return_indices=True
    )
    new = np.setdiff1d(np.arange(tomorrow.strike.size), after)
    return before, after, new


def assert_session_follows_the_next(seed, symbol, day, density):
    calendar = underlying(symbol).calendar
    following = sessions.next_session(calendar, day)
    market = {"day": day, "density": density}
    today = session_listing(seed, symbol, **market)
    tomorrow = session_listing(seed, symbol, day=following, density=density)
    flow = session_flow(seed, symbol, **market)
    then = simulated.session_truth(seed, symbol, day=following, density=density)
    held = simulated.dealer_positions(seed, symbol, **market)
    net = simulated.customer_net(seed, symbol, **market)
    assert (np.trunc(held) == held).all()
    assert (np.abs(held) <= flow.open_interest).all()
    assert (np.abs(net) <= flow.volume).all()
    assert ((flow.volume - net) % 2 == 0).all()
    assert (flow.volume >= flow.truth.least_volume).all()

    before, after, new = joined_to(today, tomorrow)
    assert (then.dealer_position[after] == held[before] - net[before]).all()
    assert (then.dealer_position[new] == 0.0).all()
    assert (then.open_interest[new] == 0.0).all()
    assert (tomorrow.listed_on[new] == following.toordinal()).all()
    assert (tomorrow.listed_on[after] == today.listed_on[before]).all()

    # customers' longs and shorts, dealers netted: the longer side is the open interest
    longs = flow.open_interest - np.maximum(held, 0.0)
    shorts = flow.open_interest - np.maximum(-held, 0.0)
    longs_then, shorts_then = longs + flow.truth.longs_change, shorts + flow.truth.shorts_change
    assert (np.minimum(longs_then, shorts_then) >= 0.0).all()
    longer = np.maximum(longs_then, shorts_then)
    assert (longer[before] == then.open_interest[after]).all()
    opened_and_closed = (
        flow.bought_to_open,
        flow.bought - flow.bought_to_open,
        flow.sold_to_open,
        flow.volume - flow.bought - flow.sold_to_open,
    )
    assert all((part >= 0.0).all() for part in opened_and_closed)
    assert (opened_and_closed[0] - opened_and_closed[3] == flow.truth.longs_change).all()
    assert (opened_and_closed[2] - opened_and_closed[1] == flow.truth.shorts_change).all()


@pytest.mark.parametrize(
    ("symbol", "first", "density"),
    [
        ("SPX", date(2026, 11, 17), 0.02),  # a third Friday, Thanksgiving and an early close
        ("SPY", date(2026, 11, 17), 0.1),
        ("BTC", date(2026, 11, 19), 0.5),
        ("VIX", date(2026, 12, 14), 0.02),
    ],
)
def test_positions_move_by_what_customers_trade_and_within_volume(symbol, first, density):
    day = first
    for _ in range(8):
        assert_session_follows_the_next(7, symbol, day, density)
        day = sessions.next_session(underlying(symbol).calendar, day)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    symbol=st.sampled_from(["RUT", "CLX", "BTC", "IWM"]),
    seed=st.integers(1, 3),
    day=st.dates(date(2015, 1, 5), date(2035, 12, 20)),
    density=st.sampled_from([0.02, 0.1, 0.6]),
)
def test_truth_holds_together_on_any_session(symbol, seed, day, density):
    day = sessions.session_on_or_before(underlying(symbol).calendar, day)
    assert_session_follows_the_next(seed, symbol, day, density)


def test_arrays_are_shared_and_cannot_be_written():
    held = simulated.dealer_positions(7, "RUT", day=DAY, density=DENSITY)
    assert held is simulated.dealer_positions(7, "RUT", day=DAY, density=DENSITY)
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 1.0


def naive_of(symbol, seed, day=DAY):
    """Share of open interest that dealers hold, its sign and its size against the naive rule."""
    market = market_of(symbol, day=day, seed=seed)
    held = market.flow.truth.dealer_position
    interest = market.flow.open_interest
    naive = np.where(market.session.listing.is_call, interest, -interest)
    wrong = interest[np.sign(held) != np.sign(naive)].sum() / interest.sum()
    return np.abs(held).sum() / interest.sum(), wrong, (held * naive).sum() / (naive @ naive)


def test_naive_rule_is_right_on_the_whole_and_wrong_for_a_good_part():
    for symbol in ("SPX", "SPY"):
        found = np.array([naive_of(symbol, seed) for seed in (7, 8, 9, 10)])
        share, wrong, slope = found.mean(axis=0)
        assert 0.15 < share < 0.35  # dealers hold a part
        assert 0.22 < wrong < 0.38
        assert (found[:, 1] < 0.45).all()
        assert 0.08 < slope < 0.3
        assert (found[:, 2] > 0.05).all()


def test_habits_are_those_of_their_kinds():
    listing = session_listing(7, "SPX", day=DAY, density=DENSITY)
    shares = customer_shares(7, "SPX", listing=listing, day=DAY)
    assert tuple(shares) == KINDS
    assert (shares["overwriter"] <= 0.0).all()
    assert (shares["writer"] <= 0.0).all()
    assert (shares["hedger"] >= 0.0).all()
    assert (shares["holder"] >= 0.0).all()
    assert (shares["overwriter"][~listing.is_call] == 0.0).all()
    assert (shares["hedger"][listing.is_call] == 0.0).all()
    for both_ways in ("spreader", "speculator"):
        assert 0.4 < (shares[both_ways] > 0.0).mean() < 0.6
    ages = DAY.toordinal() - listing.listed_on
    assert (shares["speculator"][ages == 0] == 0.0).all()


def test_positions_drift_slowly_and_faster_as_the_expiry_comes_near():
    market = market_of("SPX")
    truth, listing = market.flow.truth, market.session.listing
    left = np.array([(s.expiry_date - DAY).days for s in listing.series])[listing.slice_id]
    moved = [
        np.abs(truth.customer_net[days]).sum() / truth.open_interest[days].sum()
        for days in (left > 100, (left > 7) & (left < 30), left == 0)
    ]
    assert moved[0] < moved[1] < 0.06
    assert moved[2] > 0.5  # what expires is traded to and fro many times over


def test_positions_do_not_depend_on_how_many_strikes_there_are_but_for_the_age_of_some():
    few, many = (market_of("RUT", density=density) for density in (0.02, 0.5))
    listings = few.session.listing, many.session.listing
    before, after, _ = joined_to(*listings)
    old = listings[0].listed_on[before] == listings[1].listed_on[after]
    assert old.mean() > 0.5
    for name in ("dealer_position", "open_interest"):
        one, other = (getattr(market.flow.truth, name) for market in (few, many))
        assert (one[before][old] == other[after][old]).all()


# --- prints -------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["RUT", "CLX", "BTC"])  # as many as are cached
def test_sides_of_prints_add_up_to_customers_net_trades(symbol):
    market, prints = market_of(symbol), prints_of(symbol)
    signed = np.where(prints.is_buy, prints.size, -prints.size) * prints.counts
    net = by_contract(market, prints, signed)
    np.testing.assert_allclose(net, market.flow.truth.customer_net, atol=1e-6)
    volume = by_contract(market, prints, prints.size * prints.counts)
    np.testing.assert_allclose(volume, market.flow.volume, atol=1e-6)
    assert np.abs(net).sum() > 100.0


def test_sides_on_the_day_of_an_expiry_add_up_too():
    market = market_of("RUT", day=date(2026, 11, 27))
    prints = contract_prints(market, np.arange(market.flow.volume.size))
    signed = np.where(prints.is_buy, prints.size, -prints.size) * prints.counts
    assert (by_contract(market, prints, signed) == market.flow.truth.customer_net).all()


def test_some_contracts_have_the_sides_they_have_among_all():
    market, prints = market_of("RUT"), prints_of("RUT")
    chosen = np.arange(0, market.flow.volume.size, 17)
    some = contract_prints(market, chosen)
    expected = prints.take(np.isin(prints.contract, chosen))
    assert (some.is_buy == expected.is_buy).all()
    assert (some.size == expected.size).all()


def test_deribit_names_the_customer_s_side_as_taker():
    rows = SimulatorProvider(density=DENSITY).trades(underlying("BTC"), session_date=DAY).rows
    is_buy = (
        rows["taker_side"]
        .combine_chunks()
        .equals(pa.array(["sell", "buy"]).take(pa.array(prints_of("BTC").is_buy.astype(np.int64))))
    )
    assert is_buy


@pytest.mark.parametrize("symbol", ["RUT", "BTC"])
def test_what_prints_open_and_close_is_the_change_of_what_customers_hold(symbol):
    market, prints = market_of(symbol), prints_of(symbol)
    opened = opened_contracts(market, prints)
    assert (opened > -1e-6).all()
    assert (opened < prints.size + 1e-6).all()
    assert (opened[~prints.counts] == 0.0).all()
    for is_buy, wanted in (
        (True, market.flow.bought_to_open),
        (False, market.flow.sold_to_open),
    ):
        of_side = by_contract(market, prints, opened * (prints.is_buy == is_buy))
        np.testing.assert_allclose(of_side, wanted, atol=1e-6)
    shared = (opened > 1e-6) & (opened < prints.size - 1e-6)
    assert shared.sum() < 4 * np.unique(prints.contract).size


def test_every_print_has_a_kind_of_customer_who_would_do_that():
    market, prints = market_of("RUT"), prints_of("RUT")
    is_opening = opened_contracts(market, prints) > 0.5 * prints.size
    kind = customers_of(market, prints, is_opening=is_opening)
    assert set(np.unique(kind)) == set(range(len(KINDS)))
    is_call = market.session.listing.is_call[prints.contract]
    sells_calls = is_call & ~prints.is_buy & is_opening & prints.counts
    buys_calls = is_call & prints.is_buy & is_opening & prints.counts
    overwriters = kind == KINDS.index("overwriter")
    assert overwriters[sells_calls].mean() > 3.0 * overwriters[buys_calls].mean()


def quotes_at(market, prints):
    """Bid, ask and sizes of the minute of each print."""
    place = {"minute": prints.minute}
    interest = market.flow.open_interest[prints.contract]
    fair = fair_values(market.session, prints.contract, **place)
    quote = bid_ask(market.session, prints.contract, fair=fair, open_interest=interest, **place)
    return quote, quote_sizes(market.session, prints.contract, open_interest=interest, **place)


def comparable(market, prints):
    """Prints that a quote rule would judge, with what they met."""
    kept = prints.counts & (prints.condition < 232)
    kept &= ~np.isin(prints.condition, (202, 204))
    prints = prints.take(kept)
    (bid, ask), sizes = quotes_at(market, prints)
    two_sided = bid > 0.0
    prints, bid, ask = prints.take(two_sided), bid[two_sided], ask[two_sided]
    return prints, bid, ask, [size[two_sided] for size in sizes]


def judged(symbol):
    """Share of the volume that the quote's midpoint judges, and share of that judged rightly."""
    prints, bid, ask, _ = comparable(market_of(symbol), prints_of(symbol))
    middle = 0.5 * (bid + ask)
    told = np.abs(prints.price_usd - middle) > 1e-4 * middle
    right = (prints.price_usd > middle) == prints.is_buy
    return prints.size[told].sum() / prints.size.sum(), np.average(
        right[told], weights=prints.size[told]
    )


@pytest.mark.parametrize(
    ("symbol", "low", "high"), [("RUT", 0.65, 0.74), ("CLX", 0.72, 0.80), ("BTC", 0.92, 0.99)]
)
def test_the_midpoint_tells_the_side_of_most_prints_and_not_of_all(symbol, low, high):
    share, right = judged(symbol)
    assert 0.85 < share < 1.0
    assert low < right < high


def test_most_prints_are_at_the_quote_others_inside_and_some_at_the_midpoint():
    prints, bid, ask, _ = comparable(market_of("RUT"), prints_of("RUT"))
    price = prints.price
    at_quote = (np.abs(price - bid) < 1e-9) | (np.abs(price - ask) < 1e-9)
    middle = np.abs(price - 0.5 * (bid + ask)) < 1e-9
    assert (price >= bid - 1e-9).all()
    assert (price <= ask + 1e-9).all()
    assert 0.5 < at_quote.mean() < 0.8
    assert 0.02 < middle.mean() < 0.15
    assert (~at_quote & ~middle).mean() > 0.15
    assert 0.45 < prints.is_buy[middle].mean() < 0.55  # depth and price say nothing there
    right = (price > 0.5 * (bid + ask)) == prints.is_buy
    assert right[at_quote].mean() > right[~at_quote & ~middle].mean() + 0.04


def test_size_of_a_whole_quote_points_to_the_other_side():
    market = market_of("SPX")
    busy = np.sort(np.argsort(-market.flow.volume)[:60])
    prints, _, _, (bid_size, ask_size) = comparable(market, contract_prints(market, busy))
    is_bid, is_ask = prints.size == bid_size, prints.size == ask_size
    told = (is_bid ^ is_ask) & (prints.size > 20)
    assert told.sum() > 30
    assert np.mean(prints.is_buy[told] == is_bid[told]) > 0.6


def test_cancelled_prints_and_their_cancels_have_one_side_and_count_for_nothing():
    prints = prints_of("RUT")
    cancels = np.isin(prints.condition, (201, 203, 205, 207))
    names = ("contract", "price", "size", "exchange", "is_buy")
    seen = {tuple(getattr(prints, name)[i] for name in names) for i in np.flatnonzero(cancels)}
    mistaken = np.flatnonzero(~prints.counts & ~cancels)
    assert mistaken.size == cancels.sum() > 10
    assert all(tuple(getattr(prints, name)[i] for name in names) in seen for i in mistaken)
