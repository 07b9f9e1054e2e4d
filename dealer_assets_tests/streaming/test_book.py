"""Book: what each event changes, how trades are priced, what cancels take back."""

import numpy as np
import pytest

from dealer_assets.domain.conventions import PER_PCT, SECONDS_PER_YEAR
from dealer_assets.domain.pricing.black import black_greeks, black_price
from dealer_assets.domain.pricing.implied_vol import implied_vol
from dealer_assets.tables import live
from dealer_assets_tests.streaming.tape import (
    CALL,
    NOON_US,
    PUT,
    arrays_of,
    book_of,
    event,
    interest,
    mark,
    quote,
    same,
    spot,
    tape,
    trade,
)
from streaming.core.events import QUOTE, TRADE, no_events

SECOND = 1_000_000
SPOT = 6_010.0


def sources(trades):
    return [live.LIVE_VOL_SOURCES[code] for code in trades.vol_source]


def states(trades):
    return [live.QUOTE_STATES[code] for code in trades.quote_state]


def classes(trades):
    return [live.TRADE_CLASSES[code] for code in trades.trade_class]


# What events change


def test_book_before_the_first_event_knows_nothing():
    book = book_of()
    assert np.isnan([book.bid, book.ask, book.vol, book.last_price]).all()
    assert (book.quote_us == -1).all()
    assert (book.last_us == -1).all()
    assert not book.traded.any()
    assert not book.volume.any()
    assert not book.customer.any()
    assert len(book.apply(no_events())) == 0


def test_quote_is_kept_with_its_time_and_a_bad_side_is_missing():
    book = book_of()
    book.apply(tape(quote(0, NOON_US, 4.0, 6.0), quote(1, NOON_US, np.nan, np.inf)))
    assert (book.bid[0], book.ask[0], book.bid_size[0], book.ask_size[0]) == (4.0, 6.0, 10.0, 20.0)
    assert (book.bid[1], book.ask[1]) == (0.0, 0.0)
    assert book.quote_us.tolist() == [NOON_US, NOON_US, -1]


def test_spot_mark_and_open_interest_are_kept_and_nonsense_is_counted():
    book = book_of()
    book.apply(
        tape(
            spot(NOON_US, SPOT),
            spot(NOON_US + 1, 0.0),
            spot(NOON_US + 1, np.nan),
            spot(NOON_US + 1, np.inf),
            mark(0, NOON_US, 5.0, 0.2),
            mark(1, NOON_US, 5.0, 0.0),
            mark(1, NOON_US + 1, np.nan, np.nan),
            interest(0, NOON_US, 9.0),
            interest(0, NOON_US, -1.0),
        )
    )
    assert (book.spot[0], book.spot_us[0]) == (SPOT, NOON_US)
    assert np.isnan(book.spot[1])
    assert (book.mark_vol[0], book.mark_us[0]) == (0.2, NOON_US)
    assert np.isnan(book.mark_vol[1])
    assert book.mark_price[1] == 5.0
    assert book.open_interest[0] == 9.0
    assert book.counts["unusable"] == 5


@pytest.mark.parametrize(("kind", "contract"), [(QUOTE, 3), (TRADE, -1), (4, 99), (2, 2), (9, 0)])
def test_events_of_no_contract_lane_or_kind_are_counted_and_left_out(kind, contract):
    book = book_of()
    assert len(book.apply(event(kind, contract, NOON_US, 5.0, size_a=1.0))) == 0
    assert book.counts["unlisted"] == 1


@pytest.mark.parametrize(
    ("price", "size"), [(np.nan, 1.0), (np.inf, 1.0), (5.0, np.nan), (5.0, -1.0)]
)
def test_trade_without_numbers_is_no_trade_and_its_neighbours_are_priced(price, size):
    book = book_of()
    about = [spot(NOON_US, SPOT), quote(1, NOON_US, 20.0, 21.0)]
    whole = book_of().apply(tape(*about, trade(1, NOON_US, 21.0), trade(1, NOON_US, 20.0)))
    found = book.apply(
        tape(
            *about, trade(1, NOON_US, 21.0), trade(0, NOON_US, price, size), trade(1, NOON_US, 20.0)
        )
    )
    assert same(arrays_of(found), arrays_of(whole))
    assert book.counts["unusable"] == 1


def test_trade_moves_volume_position_and_last_price():
    book = book_of()
    found = book.apply(
        tape(quote(0, NOON_US, 4.0, 6.0), trade(0, NOON_US, 6.0), trade(0, NOON_US + 5, 4.0, 2.0))
    )
    assert found.sign.tolist() == [1, -1]
    assert (book.volume[0], book.customer[0]) == (5.0, 1.0)
    assert (book.last_price[0], book.last_us[0]) == (4.0, NOON_US + 5)
    assert found.dealer_contracts.tolist() == [-3.0, 2.0]
    assert found.premium.tolist() == [1800.0, 800.0]
    assert found.sequence.tolist() == [0, 1]
    assert book.traded.tolist() == [True, False, False]


def test_zero_size_and_zero_price_are_trades_of_nothing():
    book = book_of()
    found = book.apply(
        tape(quote(0, NOON_US, 4.0, 6.0), trade(0, NOON_US, 6.0, 0.0), trade(0, NOON_US, 0.0, 1.0))
    )
    assert found.sign.tolist() == [1, -1]
    assert found.premium.tolist() == [0.0, 0.0]
    assert found.dealer_contracts.tolist() == [0.0, 1.0]


def test_negative_price_of_a_leg_is_no_last_price():
    book = book_of()
    found = book.apply(tape(trade(0, NOON_US, -1.0, codes=[233])))
    assert found.premium[0] == -300.0
    assert np.isnan(book.last_price[0])
    assert book.volume[0] == 3.0


def test_sequence_counts_by_lane():
    book = book_of(CALL, "SPY251219C00600000")
    found = book.apply(tape(*(trade(c, NOON_US, 5.0) for c in (0, 1, 1, 0))))
    assert found.sequence.tolist() == [0, 0, 1, 1]
    assert book.trades_seen.tolist() == [2, 2]


def test_late_and_multi_leg_prints_are_no_reference_for_ticks():
    book = book_of()
    found = book.apply(
        tape(
            spot(NOON_US, SPOT),
            trade(0, NOON_US, 5.0),
            trade(0, NOON_US, 9.0, codes=[204]),
            trade(0, NOON_US, 9.0, codes=[233]),
            trade(0, NOON_US, 5.1),
        )
    )
    assert classes(found) == ["regular", "late", "multi_leg", "regular"]
    assert found.sign.tolist() == [0, 0, 0, 1]


def test_reference_of_a_tick_moves_with_spot_and_goes_with_its_cancel():
    book = book_of()
    book.delta[0] = 0.5
    book.apply(tape(spot(NOON_US, SPOT), trade(0, NOON_US, 9.0), trade(0, NOON_US + 1, 5.0)))
    book.apply(spot(NOON_US + 2, SPOT + 4.0))
    found = book.apply(tape(*(trade(0, NOON_US + 3, p) for p in (6.9, 7.0, 7.1))))
    assert found.sign.tolist() == [-1, 1, 1]
    book.apply(tape(*(trade(0, NOON_US + 4, p, codes=[201]) for p in (6.9, 7.0, 7.1, 5.0))))
    assert book.apply(trade(0, NOON_US + 5, 7.1)).sign[0] == -1  # 9 is worth 11 by now


def test_spot_that_is_old_or_of_later_moves_no_tick():
    book = book_of()
    book.delta[:] = 0.5
    late = NOON_US + 16 * SECOND
    events = (spot(NOON_US, SPOT), trade(0, late, 5.0), trade(2, late, 5.0))
    found = book.apply(tape(*events, trade(0, late, 5.1), trade(2, late, 5.1)))
    assert found.sign.tolist() == [0, 0, 1, 0]  # the latter ends today: 15 s are too old
    missed = trade(0, NOON_US - 1, 5.0, is_backfill=True, received_us=late)
    book.apply(missed)
    np.testing.assert_array_equal(book.log_spot, [SPOT, np.nan, SPOT, np.nan, np.nan])


# Vols and Greeks


def quoted_book(vol=0.18, ratio=1.002, discount=0.998):
    """Return a book with fair quotes around a priced forward, and what they are worth."""
    book = book_of()
    made = book.listing
    years = (made.expires_us - NOON_US) / 1e6 / SECONDS_PER_YEAR
    F, D = np.full(made.size, SPOT * ratio), np.full(made.size, discount)
    mid = black_price(
        F, made.strike, T=years, sigma=np.full(made.size, vol), D=D, is_call=made.is_call
    )
    slices = len(made.slices)
    unknown = np.full(made.size, np.nan)
    book.price_with(
        forward_ratio=np.full(slices, ratio),
        discount=np.full(slices, discount),
        vol=unknown,
        vol_us=np.full(made.size, -1),
        priced_us=NOON_US,
    )
    book.apply(
        tape(
            spot(NOON_US, SPOT),
            *(quote(c, NOON_US, mid[c] - 0.05, mid[c] + 0.05) for c in range(made.size)),
        )
    )
    return book, years, F, D, mid


def test_vol_and_greeks_of_a_trade_are_those_of_the_domain():
    book, years, F, D, _ = quoted_book()
    made = book.listing
    found = book.apply(tape(*(trade(c, NOON_US, 5.0, taker=1) for c in range(made.size))))
    assert sources(found) == ["other_side", "quote", "none"]
    assert found.vol_age_us.tolist()[:2] == [0.0, 0.0]
    mid = 0.5 * (book.bid + book.ask)
    own = implied_vol(mid[1:2], F[1:2], K=made.strike[1:2], T=years[1:2], D=D[1:2],
                      is_call=made.is_call[1:2])[0][0]  # fmt: skip
    assert found.vol[:2] == pytest.approx([own, own], rel=1e-15)
    expected = black_greeks(
        F, made.strike, S=np.full(made.size, SPOT), T=years, sigma=found.vol, D=D,
        is_call=made.is_call,
    )  # fmt: skip
    for name in ("delta", "gamma", "vanna", "charm"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-12, equal_nan=True
        )


def test_flows_are_the_hedge_of_the_position_dealers_are_left_with():
    book, *_ = quoted_book()
    found = book.apply(tape(trade(0, NOON_US, 5.0, taker=1), trade(1, NOON_US, 5.0, taker=1)))
    assert found.hedge_flow == pytest.approx(3.0 * 100.0 * found.delta * SPOT, rel=1e-14)
    assert found.hedge_flow[0] > 0.0 > found.hedge_flow[1]  # sold calls are hedged by buying
    expected = -3.0 * 100.0 * found.gamma * SPOT**2 * PER_PCT
    assert found.gamma_flow == pytest.approx(expected, rel=1e-14)


def test_stale_own_quote_gives_way_to_the_surface_then_the_venue():
    book, *_ = quoted_book()
    later = NOON_US + 61 * SECOND
    book.apply(tape(mark(1, later - SECOND, 5.0, 0.3)))
    assert sources(book.apply(trade(1, later, 5.0))) == ["venue"]
    vols, since = np.full(3, 0.25), np.full(3, NOON_US)
    slices = len(book.listing.slices)
    book.price_with(
        forward_ratio=np.full(slices, np.nan),
        discount=np.full(slices, np.nan),
        vol=vols,
        vol_us=since,
        priced_us=later,
    )
    found = book.apply(trade(1, later, 5.0))
    assert (sources(found), found.vol[0], found.vol_age_us[0]) == (["surface"], 0.25, 61e6)
    assert states(found) == ["stale"]
    assert book.forward_ratio.tolist() == [1.002] * slices  # what no pricing tells stays


def test_quotes_of_contracts_that_end_today_go_stale_sooner():
    book, *_ = quoted_book()
    late = NOON_US + 16 * SECOND
    assert states(book.apply(tape(trade(0, late, 5.0), trade(2, late, 5.0)))) == ["ok", "stale"]


@pytest.mark.parametrize(
    ("bid", "ask", "state"),
    [
        (6.0, 4.0, "crossed"),
        (0.0, 6.0, "one_sided"),
        (4.0, 0.0, "one_sided"),
        (0.0, 0.0, "none"),
    ],
)
def test_unusable_quote_is_flagged_and_prices_nothing(bid, ask, state):
    book = book_of(PUT)
    found = book.apply(
        tape(spot(NOON_US, SPOT), quote(0, NOON_US, bid, ask), trade(0, NOON_US, 5.0, taker=1))
    )
    assert (states(found), sources(found)) == ([state], ["none"])
    assert np.isnan([found.vol, found.delta, found.gamma, found.vanna, found.charm]).all()
    assert (found.hedge_flow[0], found.gamma_flow[0]) == (0.0, 0.0)
    assert found.dealer_contracts[0] == -3.0


def test_locked_quote_prices_like_any_other():
    book = book_of(PUT)
    found = book.apply(
        tape(spot(NOON_US, SPOT), quote(0, NOON_US, 20.0, 20.0), trade(0, NOON_US, 20.0))
    )
    assert (states(found), sources(found)) == (["locked"], ["quote"])


@pytest.mark.parametrize("contract", [CALL, PUT])
def test_at_the_money_both_rights_are_priced_by_their_own_quote(contract):
    book = book_of(contract)
    found = book.apply(
        tape(spot(NOON_US, 6_000.0), quote(0, NOON_US, 20.0, 21.0), trade(0, NOON_US, 21.0))
    )
    assert sources(found) == ["quote"]


def test_without_spot_there_are_no_greeks_but_the_trade_counts():
    book = book_of(PUT)
    found = book.apply(tape(quote(0, NOON_US, 20.0, 21.0), trade(0, NOON_US, 21.0)))
    assert np.isnan([found.spot, found.spot_age_us, found.delta]).all()
    assert (found.sign[0], found.hedge_flow[0], book.volume[0]) == (1, 0.0, 3.0)


@pytest.mark.parametrize("after_us", [0, 1, 3600 * SECOND])
def test_at_expiry_and_after_there_is_no_vol(after_us):
    book = book_of(PUT)
    at = int(book.listing.expires_us[0]) + after_us
    book.apply(tape(spot(at, SPOT), quote(0, at, 20.0, 21.0), mark(0, at, 20.0, 0.2)))
    found = book.apply(trade(0, at, 21.0))
    assert (sources(found), found.sign[0], found.hedge_flow[0]) == (["none"], 1, 0.0)
    assert np.isnan([found.vol, found.vol_age_us, found.gamma]).all()


def test_quote_below_intrinsic_value_has_no_vol_of_its_own():
    book, *_ = quoted_book()
    book.apply(tape(quote(1, NOON_US, 1e-9, 1e-9), mark(1, NOON_US, 1.0, 0.4)))
    found = book.apply(trade(1, NOON_US, 5.0))
    assert sources(found)[0] in ("quote", "other_side")
    book.apply(tape(quote(0, NOON_US, 1.0, 1.0), quote(1, NOON_US, 0.0, 0.0)))
    assert sources(book.apply(trade(1, NOON_US, 5.0))) == ["venue"]


def test_rules_can_be_switched_off():
    book = book_of(uses_side_rules=False)
    found = book.apply(
        tape(quote(0, NOON_US, 4.0, 6.0), trade(0, NOON_US, 6.0), trade(0, NOON_US, 6.0, taker=-1))
    )
    assert found.sign.tolist() == [0, -1]


# Backfilled trades


def test_backfilled_trade_is_never_compared_with_what_came_after_it():
    book = book_of(PUT)
    book.apply(
        tape(
            spot(NOON_US, SPOT),
            quote(0, NOON_US, 20.0, 21.0),
            trade(0, NOON_US, 20.5),
        )
    )
    missed = trade(0, NOON_US - SECOND, 21.0, is_backfill=True, received_us=NOON_US + SECOND)
    found = book.apply(missed)
    assert (states(found), found.sign[0]) == (["stale"], 0)
    assert found.quote_age_us[0] == found.spot_age_us[0] == -1e6
    assert (book.last_price[0], book.volume[0]) == (20.5, 6.0)


# Cancels


def test_cancel_in_the_same_batch_takes_its_print_back():
    book, *_ = quoted_book()
    before = [np.array(v) for v in (book.volume, book.customer, book.last_price)]
    found = book.apply(
        tape(
            trade(1, NOON_US, 5.0, taker=1),
            trade(1, NOON_US + 1, 5.0, codes=[201]),
        )
    )
    assert classes(found) == ["regular", "cancel"]
    assert live.SIGN_BASES[found.basis[1]] == "cancelled_print"
    for name in ("volume", "dealer_contracts", "premium", "hedge_flow", "gamma_flow"):
        values = getattr(found, name)
        assert values[0] != 0.0
        assert values[1] == -values[0]
    assert (found.sign[1], found.confidence[1]) == (1, 1.0)
    assert (found.cancels[1], found.cancels_sequence[1]) == (found.first_row, 0)
    assert same(before, [book.volume, book.customer, book.last_price])
    assert book.traded[1]


@pytest.mark.parametrize("code", [201, 203, 205, 207])
def test_cancel_takes_the_latest_standing_print_that_looks_the_same(code):
    book = book_of()
    book.apply(tape(*(trade(0, NOON_US + i, 5.0) for i in range(3)), trade(0, NOON_US + 3, 5.1)))
    cancels = [trade(0, NOON_US + 10 + i, 5.0, codes=[code]) for i in range(4)]
    found = book.apply(tape(*cancels))
    assert found.cancels.tolist() == [2, 1, 0, -1]
    assert book.counts["unmatched_cancels"] == 1
    assert (book.volume[0], book.last_price[0]) == (3.0, 5.1)


@pytest.mark.parametrize(
    "other",
    [{"price": 5.1}, {"size": 2.0}, {"exchange": 303}, {"contract": 1}, {"at_us": NOON_US - 1}],
)
def test_cancel_of_nothing_is_flagged_and_subtracts_nothing(other):
    book = book_of()
    book.apply(trade(0, NOON_US, 5.0, taker=1))
    of = {"contract": 0, "at_us": NOON_US + 1, "price": 5.0, "size": 3.0} | other
    found = book.apply(trade(codes=[201], **of))
    assert (classes(found), found.cancels[0], found.cancels_sequence[0]) == (["cancel"], -1, -1)
    assert found.volume[0] == found.premium[0] == found.dealer_contracts[0] == 0.0
    assert live.SIGN_BASES[found.basis[0]] == "none"
    assert book.volume.sum() == 3.0


def test_cancelled_last_print_gives_way_to_the_standing_one_before_it():
    book = book_of()
    book.apply(tape(spot(NOON_US, SPOT), *(trade(0, NOON_US + i, 5.0 + i) for i in range(4))))
    book.apply(
        tape(trade(0, NOON_US + 9, 7.0, codes=[201]), trade(0, NOON_US + 9, 8.0, codes=[201]))
    )
    assert (book.last_price[0], book.last_us[0]) == (6.0, NOON_US + 1)
    assert book.apply(trade(0, NOON_US + 10, 6.5)).sign[0] == 1  # against 6, not 8
    book.apply(tape(*(trade(0, NOON_US + 11, p, codes=[201]) for p in (6.5, 6.0, 5.0))))
    assert np.isnan(book.last_price[0])
    assert book.last_us[0] == -1
    assert book.apply(trade(0, NOON_US + 12, 4.0)).sign[0] == 0


def test_log_grows_and_still_finds_what_is_cancelled():
    book = book_of(log_room=4)
    prints = [trade(0, NOON_US + i, 5.0 + i % 7, 1.0 + i % 5) for i in range(70)]
    book.apply(tape(*prints))
    found = book.apply(
        tape(
            *(
                trade(0, NOON_US + 99, 5.0 + i, 1.0 + j, codes=[201])
                for i in range(7)
                for j in range(5)
            )
        )
    )
    assert sorted(found.cancels.tolist()) == list(range(35, 70))
    assert book.volume[0] == sum(1.0 + i % 5 for i in range(35))


# Growth


def test_contracts_that_appear_leave_the_others_as_they_are():
    book, *_ = quoted_book()
    book.apply(trade(0, NOON_US, 5.0, taker=1))
    before = [book.bid[:3].copy(), book.customer[:3].copy(), book.forward_ratio.copy()]
    book.listing.add([f"SPXW260116P0{strike}000" for strike in range(5000, 6500)])
    found = book.apply(tape(quote(3, NOON_US, 20.0, 21.0), trade(3, NOON_US, 21.0)))
    assert sources(found) == ["quote"]
    assert same(before, [book.bid[:3], book.customer[:3], book.forward_ratio[:-1]])
    assert book.bid.size == book.volume.size == book.listing.size
    assert (book.volume[3], book.volume[4], np.isnan(book.bid[4])) == (3.0, 0.0, True)


def test_partner_that_appears_later_prices_what_was_there():
    book = book_of(CALL)
    book.apply(spot(NOON_US, SPOT))
    assert sources(book.apply(trade(0, NOON_US, 30.0))) == ["none"]
    book.listing.add([PUT])
    assert sources(book.apply(tape(quote(1, NOON_US, 20.0, 21.0), trade(0, NOON_US, 30.0)))) == [
        "other_side"
    ]
