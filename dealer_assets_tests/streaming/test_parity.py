"""The stream's numbers are the batch side's: one tape through both."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets.domain.columns import floats
from dealer_assets.domain.exposure.aggregate import Book, open_book
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.reconstruct import reconstruct
from dealer_assets.tables.base import exposures as exposure_columns
from dealer_assets.underlyings import underlying
from dealer_assets_tests.streaming.engine_tape import (
    engine_of,
    events_of,
    listing_of,
    run,
    taken,
    tape,
    us,
    whole,
)
from streaming.core.view import LaneView

SYMBOLS = ("SPX", "SPY", "BTC")
MINUTES = (1, 4, 9)
EXPOSURES = (
    "delta_usd",
    "gamma_usd_per_pct",
    "vanna_usd_per_vol_pt",
    "charm_usd_per_day",
    "volga_usd_per_vol_pt2",
)
NET = [column.name for column in exposure_columns("net_")]
TOLERANCE = 1e-9


@cache
def streamed(symbol: str) -> tuple[dict[int, LaneView], dict[tuple[str, str], pa.Table]]:
    """Views at several minutes, and all rows."""
    one = tape(symbol)
    listing = listing_of(one)
    engine, events = engine_of(listing, one), events_of(listing, one)
    views, collected, begun = {}, {}, 0
    for minute in MINUTES:
        until = us(one.at(minute))
        received = events.received_us
        engine.apply(events.take((received >= begun) & (received < until)))
        engine.advance(until)
        taken(engine, collected)
        views[minute], begun = engine.view(symbol), until
    return views, whole(collected)


@cache
def batch(symbol: str, minute: int) -> tuple[pa.Table, pa.Table]:
    """Chain and priced rows from the tape before an instant."""
    one = tape(symbol)
    at = one.at(minute)
    ((chain, _),) = reconstruct(
        [at],
        underlying=underlying(symbol),
        listing=one.listed,
        open_interest=one.interest,
        **one.until(at),
    )
    return chain, price_chain(chain, forwards_of(chain, curve=one.curve))


def exposures(book: Book) -> np.ndarray:
    return np.stack([getattr(book, name) for name in EXPOSURES])


def gamma_row(symbol: str, minute: int, model: str) -> dict:
    rows = streamed(symbol)[1]["live_gamma", symbol]
    at = tape(symbol).at(minute)
    found = rows.filter(pc.and_(pc.equal(rows["event_at"], at), pc.equal(rows["model"], model)))
    assert found.num_rows == 1
    return found.to_pylist()[0]


@pytest.mark.parametrize("minute", MINUTES)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_books_chain_is_the_reconstructed_one(symbol, minute):
    chain, _ = batch(symbol, minute)
    ours = streamed(symbol)[0][minute].pricing.chain
    told = {"known_at", "provider", "is_partial"}
    for name in chain.column_names:
        if name == "volume_contracts":  # tenths of a contract, summed in another order
            np.testing.assert_allclose(floats(ours, name), floats(chain, name), rtol=1e-12)
        elif name not in told:
            assert ours[name].equals(chain[name]), name


@pytest.mark.parametrize("minute", MINUTES)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_exposures_by_contract_are_the_batch_sides(symbol, minute):
    view = streamed(symbol)[0][minute]
    book = open_book(batch(symbol, minute)[1], "naive")
    contracts = view.contracts
    place = {view.symbols[c]: i for i, c in enumerate(contracts.contract.tolist())}
    ours = contracts.exposures("naive")[:, [place[s] for s in book.rows["symbol"].to_pylist()]]
    theirs = exposures(book)
    gross = np.abs(theirs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours / gross, theirs / gross, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("minute", MINUTES)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_naive_totals_are_the_batch_sides(symbol, minute):
    row = gamma_row(symbol, minute, "naive")
    book = open_book(batch(symbol, minute)[1], "naive")
    theirs = exposures(book)
    ours = [value for name, value in row.items() if name in NET]
    gross = np.abs(theirs).sum(axis=1)
    assert np.abs((np.array(ours) - theirs.sum(axis=1)) / gross).max() < TOLERANCE
    gamma = book.gamma_usd_per_pct
    parts = {
        "call_gamma_exposure_usd_per_pct": gamma[book.is_call].sum(),
        "put_gamma_exposure_usd_per_pct": gamma[~book.is_call].sum(),
        "gross_gamma_exposure_usd_per_pct": np.abs(gamma).sum(),
        "spot": book.spot,
        "contracts_priced": book.rows.num_rows,
    }
    today = pc.equal(book.rows["expiry_date"], book.rows["session_date"]).to_numpy()
    parts["zero_dte_gamma_exposure_usd_per_pct"] = gamma[today].sum()
    for name, value in parts.items():
        assert row[name] == pytest.approx(value, rel=TOLERANCE), name
    assert row["priced_at"] == row["event_at"] == tape(symbol).at(minute)


@pytest.mark.parametrize("minute", MINUTES)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_flow_totals_are_positions_of_the_trades_times_the_batch_sides_greeks(symbol, minute):
    one = tape(symbol)
    row = gamma_row(symbol, minute, "session_flow")
    trades = streamed(symbol)[1]["live_trades", symbol]
    trades = trades.filter(pc.less(trades["known_at"], one.at(minute)))
    dealer: dict[str, float] = {}
    for name, change in zip(
        trades["symbol"].to_pylist(), trades["dealer_contracts"].to_pylist(), strict=True
    ):
        dealer[name] = dealer.get(name, 0.0) + change
    priced = batch(symbol, minute)[1]
    column = priced.schema.get_field_index("open_interest_contracts")
    one_each = pa.array(np.ones(priced.num_rows))  # a book holds only what has open interest
    book = open_book(priced.set_column(column, priced.schema.field(column), one_each), "naive")
    unit = exposures(book) / book.position
    flow = np.array([dealer.get(name, 0.0) for name in book.rows["symbol"].to_pylist()])
    ours = np.array([value for name, value in row.items() if name in NET])
    gross = np.abs(unit * flow).sum(axis=1)
    assert np.abs((ours - unit @ flow) / gross).max() < TOLERANCE
    assert row["contracts"] == sum(1 for change in dealer.values() if change)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_print_of_the_tape_becomes_one_row(symbol):
    one = tape(symbol)
    until = one.at(MINUTES[-1])
    before = one.trades.filter(pc.less(one.trades["event_at"], until))
    rows = streamed(symbol)[1]["live_trades", symbol]
    assert rows.num_rows == before.num_rows > 50
    key = [("event_at", "ascending"), ("symbol", "ascending"), ("size_contracts", "ascending")]
    for name in ("event_at", "symbol", "size_contracts"):
        assert rows.sort_by(key)[name].equals(before.sort_by(key)[name]), name


def test_levels_of_the_live_chain_are_those_of_the_batch_side():
    view = streamed("SPX")[0][9]
    from dealer_assets.domain.exposure.snapshot import expose

    chain, priced = batch("SPX", 9)
    ours, theirs = (
        view.pricing.exposure.levels,
        expose(chain, priced, model="naive", resamples=0).levels,
    )
    for name in ("spot", "flip", "call_wall", "put_wall", "net_gamma_exposure_usd_per_pct"):
        if name in ours.column_names:
            assert ours[name].to_pylist() == pytest.approx(theirs[name].to_pylist(), rel=1e-9), name


def test_between_pricings_totals_follow_spot_and_time():
    """Half a minute after a pricing, against the batch side at the vols of the pricing."""
    one = tape("SPX")
    listing = listing_of(one)
    engine, events = engine_of(listing, one), events_of(listing, one)
    at = one.at(4.5)
    rows = run(engine, events, at)["live_gamma", "SPX"]
    row = rows.filter(pc.equal(rows["model"], "naive")).slice(0).to_pylist()[-1]
    assert row["event_at"] == at
    assert row["priced_at"] == one.at(4)
    priced = engine.view("SPX").pricing.priced
    years = floats(priced, "year_fraction")
    left = years - timedelta(seconds=30).total_seconds() / (365 * 86_400)
    ratio = floats(priced, "forward") / floats(priced, "spot")
    moved = {
        "spot": np.full(left.size, row["spot"]),
        "year_fraction": left,
        "forward": row["spot"] * ratio ** (left / years),
        "discount": floats(priced, "discount") ** (left / years),
    }
    for name, values in moved.items():
        priced = priced.set_column(priced.schema.get_field_index(name), name, pa.array(values))
    theirs = exposures(open_book(priced, "naive"))
    ours = np.array([value for name, value in row.items() if name in NET])
    assert np.abs((ours - theirs.sum(axis=1)) / np.abs(theirs).sum(axis=1)).max() < TOLERANCE
