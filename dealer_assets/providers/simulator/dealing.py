"""Where between bid and ask trades happen, and how much that tells of who wanted them.

Belongs here: noise in prices of prints. Does not belong here: quotes (`quotes`), sizes and sides of
single prints (`tape`).

A customer who buys pays the ask or something better; the price then lies on his side of the
midpoint. It does not always: his own limit order rests in the quote and is hit, the quote moved
before the print was out, an auction improved the price. All of that is one number here, how often
the price lies on the customer's side (`_Noise`), by where it lies: at the quote, inside it, at the
midpoint (half), or where a size equal to the quoted one shows that a resting order was taken whole
(seldom). Magnitudes: docs/methods/trade_sides.md names the studies; on a coin's order book the
taker pays the quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dealer_assets.providers.simulator.listing import Bools, Floats, Ints
from dealer_assets.providers.simulator.noise import Words, combine, stream_key
from dealer_assets.providers.simulator.prints import bits
from dealer_assets.providers.simulator.quotes import Session, bid_ask, fair_values
from dealer_assets.underlyings import Kind, underlying

AT, INSIDE, MIDDLE, RESTING, LEG = range(5)
"""Where a price lies, or what else is known of the print."""


@dataclass(frozen=True)
class Noise:
    """How prints of one kind of market lie in the quote.

    Parameters
    ----------
    at_quote : float
        Share of prints at the quote whatever its width; others lie anywhere from it to the middle.
    agrees : tuple of float
        Probability that the price is on the customer's side, by `AT` to `LEG`.
    """

    at_quote: float
    agrees: tuple[float, float, float, float, float]


INDEX: Final = Noise(0.55, (0.74, 0.66, 0.5, 0.2, 0.55))
SHARE: Final = Noise(0.65, (0.80, 0.70, 0.5, 0.2, 0.60))
COIN: Final = Noise(0.92, (0.98, 0.90, 0.5, 0.98, 0.98))


def noise_of(kind: Kind) -> Noise:
    """Return the noise of an underlying's market."""
    return {"index": INDEX, "crypto": COIN}.get(kind, SHARE)


@dataclass(frozen=True)
class Deals:
    """Prices of prints; arrays of shape (k,).

    Parameters
    ----------
    price : float64 array
        USD, on the tick grid from bid to ask, or a tick outside for legs.
    where : int64 array
        `AT` to `LEG`.
    is_up : bool array
        On the buyers' side; of no meaning in the middle.
    """

    price: Floats
    where: Ints
    is_up: Bools


def deals(
    word: Words,
    *,
    bid: Floats,
    ask: Floats,
    tick: Floats | float,
    buy_share: Floats,
    noise: Noise,
    is_resting: Bools | None = None,
    is_leg: Bools | None = None,
) -> Deals:
    """Draw where prints lie, from bits 34 to 53 of a word each.

    Parameters
    ----------
    word : uint64 array, shape (k,)
        Random.
    bid, ask : float64 array, shape (k,)
        Quote; without a bid the price is the ask.
    tick : float64 array, shape (k,), or float
        Price step.
    buy_share : float64 array, shape (k,)
        Share of the contract's volume that customers buy: the more, the more prices lie above the
        midpoint.
    noise : Noise
        Of the market.
    is_resting : bool array, shape (k,), optional
        Took a quote of its own size whole.
    is_leg : bool array, shape (k,), optional
        Leg of a package: now and then a tick outside the quote.
    """
    steps = np.rint((ask - bid) / tick).astype(np.int64)
    least = int(1024 * noise.at_quote)
    draw = bits(word, 44, 10)
    away = np.where(draw < least, 0, (draw - least) * (steps // 2 + 1) // (1024 - least))
    where = np.where(away == 0, AT, np.where(2 * away == steps, MIDDLE, INSIDE))
    if is_resting is not None:
        away, where = np.where(is_resting, 0, away), np.where(is_resting, RESTING, where)
    if is_leg is not None:
        away = np.where(is_leg & (draw % 4 == 0), -1, away)
        where = np.where(is_leg, LEG, where)
    agrees = np.array(noise.agrees)[where]
    is_up = is_above(word, buy_share, agrees)
    price = np.where(is_up, ask - away * tick, bid + away * tick)
    price = np.where(price > 0.0, price, bid)
    return Deals(np.where(bid <= 0.0, ask, price), np.where(bid <= 0.0, MIDDLE, where), is_up)


def is_above(word: Words, buy_share: Floats, agrees: Floats | float) -> Bools:
    """Draw whether prices are on the buyers' side, from bits 34 to 43 of a word each.

    Parameters
    ----------
    word : uint64 array, shape (k,)
        Random.
    buy_share : float64 array, shape (k,)
        Share of the volume that customers buy.
    agrees : float64 array, shape (k,), or float
        Probability that a price is on its customer's side.
    """
    chance = buy_share * (2.0 * agrees - 1.0) + 1.0 - agrees
    return np.asarray(bits(word, 34, 10) < 1024.0 * chance)


def log_odds(made: Deals, noise: Noise) -> Floats:
    """Return log odds that the customer bought, by the price alone, shape (k,)."""
    agrees = np.array(noise.agrees)
    odds = np.log(agrees / (1.0 - agrees))[made.where]
    return np.where(made.is_up, odds, -odds)


def trade_prices(
    session: Session, index: Ints, *, minute: Ints, open_interest: Floats, buy_share: Floats
) -> Floats:
    """Return the price of the last trade of a minute, from its bid to its ask, shape (k,).

    A contract without a bid trades at its ask.
    """
    fair = fair_values(session, index, minute=minute)
    bid, ask = bid_ask(session, index, minute=minute, fair=fair, open_interest=open_interest)
    is_coin = session.profile.tick.of_forward
    made = deals(
        last_words(session, index, minute=minute),
        bid=bid,
        ask=ask,
        tick=session.profile.tick.small * (fair.forward if is_coin else 1.0),
        buy_share=buy_share,
        noise=noise_of(underlying(session.symbol).kind),
    )
    return made.price if is_coin else np.round(made.price, 2)


def last_words(session: Session, index: Ints, *, minute: Ints) -> Words:
    """Return the random words of the last trade of contracts' minutes, shape (k,)."""
    address = combine(session.listing.contract_id[index], minute + session.open_us // 60_000_000)
    return combine(address ^ np.uint64(stream_key(session.seed, "side", session.symbol)), 0)
