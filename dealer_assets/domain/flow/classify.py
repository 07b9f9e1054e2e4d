"""Sides of a whole session's prints, by the rules of the live book.

Belongs here: a published tape as events for the book's kernel, and what it makes of each print.
Does not belong here: the rules (`sides`, `dealer_assets.domain.kernels.book`), what a side is worth
on this market (`calibration`), sums by contract (`evidence`).

The live process hears a standing quote again and again; a published tape tells it once. So each
print is preceded by the quote that stood, as if told again at that instant. Deltas, which carry an
earlier print's price to now's spot, come from the tape itself (`prevailing.deltas_of`) and are
taken over every `pricing_seconds`, as the live process takes over a full pricing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints, equals, floats, integers
from dealer_assets.domain.flow import conditions, records, sides
from dealer_assets.domain.flow.kernel_rules import kernel_rules
from dealer_assets.domain.flow.prevailing import (
    Prevailing,
    Tape,
    deltas_of,
    prevailing,
    spots_of,
    tape_of,
)
from dealer_assets.tables.base import RIGHTS
from dealer_assets.tables.live import SIGN_BASES, TRADE_CLASSES
from dealer_assets.underlyings import underlying

Codes = NDArray[np.int8]

_FOUND = ("sign", "basis", "trade_class", "quote_state", "confidence", "cancels")


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What is believed of a published tape; see ``docs/methods/trade_sides.md``.

    Parameters
    ----------
    quote_stands_seconds : float
        How long a quote stands that nothing follows.
    zero_dte_fresh_seconds, fresh_seconds : float
        Oldest spot that a print meets: of contracts that expire in the session, and of others.
    uses_taker : bool
        False: what the venue tells is hidden, so that the rules can be held against it.
    uses_side_rules : bool
        Infer sides where the venue does not tell the taker.
    tick_floor_usd, tick_fresh_seconds : float
        As in `sides.side_of`.
    pricing_seconds : float
        How often deltas are taken over; they are of prints before that instant.
    uses_deltas : bool
        False: ticks tell only while spot stands still.
    """

    quote_stands_seconds: float = 1800.0
    zero_dte_fresh_seconds: float = 15.0
    fresh_seconds: float = 60.0
    uses_taker: bool = True
    uses_side_rules: bool = True
    tick_floor_usd: float = sides.TICK_FLOOR_USD
    tick_fresh_seconds: float = sides.TICK_FRESH_SECONDS
    pricing_seconds: float = 10.0
    uses_deltas: bool = True


@dataclass(frozen=True)
class Classified:
    """Prints of a session in order, with their sides; arrays of shape (n,).

    Parameters
    ----------
    tape : Tape
        The prints.
    stood : Prevailing
        Quote and spot at each of them.
    sign : int8 array
        Customer's side: 1 bought, -1 sold, 0 unknown. Of a cancel: of the print it takes back.
    basis, trade_class, quote_state : int8 array
        Places in ``SIGN_BASES``, ``TRADE_CLASSES``, ``QUOTE_STATES``.
    confidence : float64 array
        Declared probability that the side is right; NaN where there is none.
    cancels : int64 array
        Print that a cancel takes back; -1 for none.
    delta : float64 array
        Of the contract at each print; NaN where none is known.
    """

    tape: Tape
    stood: Prevailing
    sign: Codes
    basis: Codes
    trade_class: Codes
    quote_state: Codes
    confidence: Floats
    cancels: Ints
    delta: Floats

    @property
    def stands(self) -> Bools:
        """Whether a print counts: it is no cancel, and none takes it back."""
        stands = self.trade_class != TRADE_CLASSES.index("cancel")
        stands[self.cancels[self.cancels >= 0]] = False
        return np.asarray(stands)


def classify(
    trades: pa.Table,
    quotes: pa.Table,
    values: pa.Table,
    *,
    options: BatchOptions | None = None,
) -> Classified:
    """Tell the customer's side of every print of a session.

    Parameters
    ----------
    trades : pyarrow.Table, shape (n,)
        `tables.OPTION_TRADES` of one underlying and session, each print once.
    quotes, values : pyarrow.Table
        `tables.OPTION_QUOTES` and `tables.INDEX_VALUES` of the session; may be empty.
    options : BatchOptions, optional
        What is believed.

    Returns
    -------
    Classified
        In order of the venue's time. Nothing later than a print enters its side; a cancel strikes
        out what it takes back, which is later than that print and is told apart (`stands`).
    """
    options = options or BatchOptions()
    tape = tape_of(trades)
    fresh_us = _fresh_us(trades, tape, options)
    stood = prevailing(
        tape,
        quotes,
        values,
        quote_stands_us=round(options.quote_stands_seconds * 1e6),
        spot_fresh_us=fresh_us,
    )
    delta = deltas_of(tape, stood) if options.uses_deltas else np.full(len(tape), np.nan)
    taker = tape.taker.astype(np.int8) if options.uses_taker else np.zeros(len(tape), np.int8)
    usable = np.isfinite(tape.price) & np.isfinite(tape.size)
    found = _without_rules(tape, taker)
    kind = underlying(trades["underlying"][0].as_py()).kind if trades.num_rows else "index"
    walked = _walk(tape, stood, values, taker, delta, usable, fresh_us, kind, options)
    for name, judged in walked.items():
        found[name][usable] = judged
    return Classified(tape=tape, stood=stood, delta=delta, **found)


def _without_rules(tape: Tape, taker: Codes) -> dict[str, Any]:
    """Sides of prints without a price in USD: what the venue tells, and nothing else."""
    kinds = conditions.classes_of(tape.bits)
    comparable = np.array([name in conditions.COMPARABLE for name in TRADE_CLASSES])[kinds]
    sure = np.where(comparable, sides.CONFIDENCE["taker_side"], sides.BLOCK_TAKER)
    told, none = SIGN_BASES.index("taker_side"), SIGN_BASES.index("none")
    return {
        "sign": taker.copy(),
        "basis": np.where(taker != 0, told, none).astype(np.int8),
        "trade_class": kinds.copy(),
        "quote_state": np.full(len(tape), 5, np.int8),
        "confidence": np.where(taker != 0, sure, np.nan),
        "cancels": np.full(len(tape), -1, np.int64),
    }


def _fresh_us(trades: pa.Table, tape: Tape, options: BatchOptions) -> Ints:
    """Oldest spot by contract."""
    if not len(tape):
        return np.empty(0, np.int64)
    ends_today = integers(tape.contracts, "expiry_date") == integers(trades, "session_date")[0]
    seconds = np.where(ends_today, options.zero_dte_fresh_seconds, options.fresh_seconds)
    return np.round(seconds * 1e6).astype(np.int64)


def _walk(
    tape: Tape,
    stood: Prevailing,
    values: pa.Table,
    taker: Codes,
    delta: Floats,
    usable: Bools,
    fresh_us: Ints,
    kind: str,
    options: BatchOptions,
) -> dict[str, Any]:
    """Run the book's kernel over the session, stretch by stretch; fields of usable prints."""
    from dealer_assets.domain.kernels import book as kernels  # lazily: numba is slow to load

    prints = np.flatnonzero(usable).astype(np.int64)
    n = prints.size
    events = _events(tape, stood, values, taker, prints)
    state, rules = _blank_state(tape, n), _rules(kind, options)
    contracts = _contracts(tape, fresh_us)
    found = {name: np.empty(n, records.JUDGED[name]) for name in _FOUND}
    counts = np.zeros(len(kernels.COUNTS), np.int64)
    step = round(options.pricing_seconds * 1e6)
    cuts = _cuts(events.event_us, step)
    is_trade = events.kind == kernels.TRADE
    done = 0
    for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        piece = kernels.Events(*(values[begin:end] for values in events))
        most = int(np.count_nonzero(is_trade[begin:end]))
        judged = np.empty(most, records.JUDGED)
        wanted = np.empty((len(records.CANDIDATES), 2 * most))
        kernels.walk(
            piece, contracts, state, rules, done, judged, wanted, np.empty(2 * most, np.int8),
            counts,
        )  # fmt: skip
        for name, column in found.items():
            column[done : done + most] = judged[name]
        _take_over(state.delta, tape, delta, prints[done : done + most])
        done += most
    found["cancels"] = np.where(found["cancels"] >= 0, prints[found["cancels"]], -1)
    return found


def _take_over(held: Floats, tape: Tape, delta: Floats, prints: Ints) -> None:
    """Let a stretch's deltas be those of the next; of several of a contract the last stays."""
    known = prints[np.isfinite(delta[prints])]
    held[tape.contract[known]] = delta[known]


def _cuts(event_us: Ints, step_us: int) -> Ints:
    """Places where a new stretch begins, and the end."""
    begins = np.flatnonzero(np.diff(event_us // step_us, prepend=-1))
    return np.concatenate([begins, [event_us.size]]).astype(np.int64)


def _events(tape: Tape, stood: Prevailing, values: pa.Table, taker: Codes, prints: Ints) -> Any:
    """Lay out spots, and each print with the quote that stood just before it."""
    from dealer_assets.domain.kernels import book as kernels

    spot_us, spot = spots_of(values)
    quoted = prints[stood.quote_us[prints] >= 0]
    sizes = (spot_us.size, quoted.size, prints.size)
    kind = np.repeat(np.array([kernels.SPOT, kernels.QUOTE, kernels.TRADE], np.int8), sizes)
    at_us = np.concatenate([spot_us, tape.event_us[quoted], tape.event_us[prints]])
    n = kind.size
    contract = np.concatenate(
        [np.zeros(sizes[0], np.int64), tape.contract[quoted], tape.contract[prints]]
    )
    none, last = np.full(sizes[0], np.nan), slice(n - sizes[2], n)

    def of_trades(of: Ints | Codes, blank: int, kind: type[np.generic]) -> Any:
        column = np.full(n, blank, kind)
        column[last] = of[prints]
        return column

    rank = np.repeat(np.array([0, 1, 2]), sizes)
    order = np.lexsort((rank, at_us))
    unknown = np.full(prints.size, np.nan)
    columns = (
        kind,
        contract.astype(np.int32),
        at_us,
        at_us,
        np.concatenate([spot, stood.bid[quoted], tape.price[prints]]),
        np.concatenate([none, stood.ask[quoted], unknown]),
        np.concatenate([none, stood.bid_size[quoted], tape.size[prints]]),
        np.concatenate([none, stood.ask_size[quoted], unknown]),
        np.full(n, -1, np.int64),
        of_trades(np.arange(len(tape)), -1, np.int64),
        of_trades(tape.exchange, -1, np.int16),
        of_trades(tape.bits, 0, np.int64),
        of_trades(taker, 0, np.int8),
        np.zeros(n, np.int8),
    )
    return kernels.Events(*(np.ascontiguousarray(column[order]) for column in columns))


def _rules(kind: str, options: BatchOptions) -> Any:
    return kernel_rules(
        [kind],
        uses_rules=options.uses_side_rules,
        tick_floor_usd=options.tick_floor_usd,
        tick_fresh_seconds=options.tick_fresh_seconds,
    )


def _blank_state(tape: Tape, prints: int) -> Any:
    from dealer_assets.domain.kernels import book as kernels

    m = tape.contracts.num_rows
    numbers = np.full((len(records.NUMBERS), m), np.nan)
    instants = np.full((len(records.INSTANTS), m), -1, np.int64)
    for name in ("volume", "customer"):
        numbers[records.NUMBERS.index(name)] = 0.0
    instants[records.INSTANTS.index("traded")] = 0
    lanes = np.zeros(1, records.LANES)
    lanes["spot"], lanes["spot_us"], lanes["spot_source"] = np.nan, -1, -1
    slots = 1 << max(prints, 1).bit_length() + 1
    return kernels.State(
        numbers, instants, lanes, np.ones((2, 1)), np.full(m, np.nan),
        np.empty(prints, records.LOG), np.empty(prints), np.full(slots, -1, np.int32),
    )  # fmt: skip


def _contracts(tape: Tape, fresh_us: Ints) -> NDArray[np.void]:
    found = np.zeros(tape.contracts.num_rows, records.CONTRACTS)
    found["expires_us"] = integers(tape.contracts, "expires_at")
    found["fresh_us"] = fresh_us
    found["strike"] = floats(tape.contracts, "strike")
    found["multiplier"] = 1.0  # no dollars are made here
    found["partner"] = -1
    found["is_call"] = equals(tape.contracts, "right", RIGHTS[0])
    return found
