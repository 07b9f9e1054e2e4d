"""Sides of trades by others: tclf's stack, and single rules written here.

Belongs here: what a tape looks like to them, and calling them. Does not belong here: which tapes,
judging.

Some of the rules look at the next trade, which nobody knows when a trade prints; they are measured
because the literature uses them, and ours may not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.flow.classify import Classified
from dealer_assets.domain.flow.prevailing import Prevailing, Tape, prevailing, tape_of

Floats = NDArray[np.float64]

GRAUER: list[tuple[str, str]] = [
    ("trade_size", "ex"),
    ("quote", "best"),
    ("quote", "ex"),
    ("depth", "best"),
    ("depth", "ex"),
    ("rev_tick", "all"),
]
"""Grauer, Schuster and Uhrig-Homburg's order, as tclf names rules and scopes. The tapes hold the
national best quote only: it stands for the exchange's own."""


@dataclass(frozen=True)
class Trades:
    """What rules read of each print; arrays of shape (n,), NaN where there is none.

    Parameters
    ----------
    price, size, bid, ask, bid_size, ask_size : float64 array
        USD, contracts.
    lag, lead : float64 array
        Last and next price of the contract that differs [USD].
    """

    price: Floats
    size: Floats
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats
    lag: Floats
    lead: Floats


def prepared(found: Classified) -> Trades:
    """Lay out a classified tape's prints; prices that differ are those of prints that stand."""
    return laid_out(found.tape, found.stood, found.stands)


def laid_out(tape: Tape, stood: Prevailing, stands: NDArray[np.bool_]) -> Trades:
    """Lay out prints of a tape in order, with the quotes that stood."""
    return Trades(
        price=tape.price,
        size=tape.size,
        bid=np.where(stood.bid > 0.0, stood.bid, np.nan),
        ask=np.where(stood.ask > 0.0, stood.ask, np.nan),
        bid_size=stood.bid_size,
        ask_size=stood.ask_size,
        lag=_last_differing(tape.contract, tape.price, stands),
        lead=_last_differing(tape.contract[::-1], tape.price[::-1], stands[::-1])[::-1],
    )


def _last_differing(
    contract: NDArray[np.int64], price: Floats, stands: NDArray[np.bool_]
) -> Floats:
    """Return the last other price of the same contract, NaN where there is none."""
    rows = np.flatnonzero(stands)
    order = rows[np.argsort(contract[rows], kind="stable")]
    same = np.concatenate([[False], np.diff(contract[order]) == 0])
    moved = same & np.concatenate([[False], np.diff(price[order]) != 0.0])
    before = np.where(moved, np.arange(order.size) - 1, -1)
    begins = np.where(~same, np.arange(order.size), 0)
    last = np.maximum.accumulate(before)
    known = last >= np.maximum.accumulate(begins)
    found = np.full(price.size, np.nan)
    found[order[known]] = price[order[last[known]]]
    return found


def tclf_stack(trades: Trades) -> Callable[[], Floats]:
    """Return tclf's classifier with Grauer's layers; 0 where none decides."""
    from tclf.classical_classifier import ClassicalClassifier

    quote = {"bid": trades.bid, "ask": trades.ask}
    quote |= {"bid_size": trades.bid_size, "ask_size": trades.ask_size}
    columns = {"trade_size": trades.size, "trade_price": trades.price}
    columns |= {f"{name}_{scope}": of for scope in ("best", "ex") for name, of in quote.items()}
    columns |= {"price_all_lag": trades.lag, "price_all_lead": trades.lead}
    matrix = np.stack(list(columns.values()), axis=1)
    classifier = ClassicalClassifier(layers=GRAUER, features=list(columns), strategy="const")
    classifier.fit(matrix)
    return lambda: np.asarray(classifier.predict(matrix), np.float64)


def tclf_from_tables(trades: pa.Table, quotes: pa.Table, values: pa.Table) -> Floats:
    """Put the tape in order with our own functions and give it to tclf; cancels stay in."""
    tape = tape_of(trades)
    fresh = np.zeros(tape.contracts.num_rows, np.int64)
    stood = prevailing(tape, quotes, values, quote_stands_us=1_800_000_000, spot_fresh_us=fresh)
    return tclf_stack(laid_out(tape, stood, np.ones(len(tape), np.bool_)))()


def _sign(difference: Floats) -> Floats:
    return np.nan_to_num(np.sign(difference))


def quote_rule(t: Trades) -> Floats:
    return _sign(np.where(t.ask >= t.bid, t.price - 0.5 * (t.bid + t.ask), np.nan))


def depth_everywhere(t: Trades) -> Floats:
    return _sign(t.ask_size - t.bid_size)


def size_rule(t: Trades) -> Floats:
    at_bid, at_ask = t.size == t.bid_size, t.size == t.ask_size
    return np.where(at_bid == at_ask, 0.0, np.where(at_bid, 1.0, -1.0))


def tick_rule(t: Trades) -> Floats:
    return _sign(t.price - t.lag)


def reverse_tick_rule(t: Trades) -> Floats:
    return _sign(t.price - t.lead)


ALONE: dict[str, Callable[[Trades], Floats]] = {
    "*quote*": quote_rule,
    "*trade size*": size_rule,
    "*depth, at any price*": depth_everywhere,
    "*tick, last other price*": tick_rule,
    "*reverse tick, next other price*": reverse_tick_rule,
}
"""Single rules, written here."""
