"""Events of the tape, one after the other, into quotes, positions and judged trades.

Belongs here: what one event changes, and the side of a trade. Does not belong here: the rules in
readable form (`domain/flow/sides.py`), layouts (`domain/flow/records.py`), vols and Greeks, which
are calculated of a batch's trades afterwards (`implied_vol`, `greeks`, `flows`).

Events are taken in order and nothing looks ahead, so that cutting the same events into other
batches changes no bit. Prints that look alike (contract, price, size, exchange) form a chain in the
log, whose newest is found through an open hash table: a cancel costs the same however long the
session is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.kernels.compilation import inlined, kernel
from dealer_assets.domain.kernels.elementary import bits_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
Codes = NDArray[np.int8]
Shorts = NDArray[np.int16]
Records = Any
"""Arrays of the layouts in `domain.flow.records`; numpy's types cannot name their fields."""

QUOTE, TRADE, SPOT, MARK, OPEN_INTEREST = range(5)
"""Kinds of event, of `streaming.core.events`. A test compares all codes here with their origin."""

BID, ASK, BID_SIZE, ASK_SIZE, MARK_PRICE, MARK_VOL, INTEREST, VOL = range(8)
LAST_PRICE, VOLUME, CUSTOMER, CUSTOMER_MEAN, CUSTOMER_VARIANCE = range(8, 13)
QUOTE_US, MARK_US, VOL_US, LAST_US, LAST_ROW, TICK_ROW, TRADED = range(7)
PRICE, FORWARD, STRIKE, YEARS, DISCOUNT = range(5)
RATIO, FACTOR = range(2)
"""Rows of the arrays of state, candidates and slices."""

TAKER_SIDE, TRADE_SIZE, BY_QUOTE, DEPTH, MIDPOINT_TICK, TICK = range(6)
CANCELLED_PRINT, NOTHING = 7, 8
AT_QUOTE, BLOCK_TAKER = 9, 10
"""What told the side, and the places in `Rules.confidence` after those."""

OK, LOCKED, CROSSED, ONE_SIDED, STALE, NO_QUOTE = range(6)
CANCEL = 3
"""States of a quote; the kind of print that is a cancel."""

SAME_PRICE = 1e-9
MOST_REFERENCES = 2
YEAR_US = 365.0 * 86_400.0 * 1e6

COUNTS: tuple[str, ...] = ("quotes", "trades", "spots", "marks", "open_interest")
COUNTS += ("unlisted", "unusable", "unmatched_cancels")
UNLISTED, UNUSABLE, UNMATCHED = 5, 6, 7
"""What `walk` counts: events by kind; of no contract or lane; whose value is none; cancels that
take back nothing."""


class Events(NamedTuple):
    """Arrays of `streaming.core.events.Events`, in its order; shape (e,)."""

    kind: Codes
    contract: Int32s
    event_us: Ints
    received_us: Ints
    a: Floats
    b: Floats
    size_a: Floats
    size_b: Floats
    sequence: Ints
    number: Ints
    exchange: Shorts
    conditions: Ints
    taker: Codes
    is_backfill: Codes


class State(NamedTuple):
    """What events change: of contracts, lanes and slices, and the session's prints.

    `delta`, by contract, is of the last full pricing and changed by no event; `log_spot` has the
    spot that each row of the log met, NaN where it was not known at that moment. `heads` has a
    power of two of slots, at least twice as many as the log gets rows, -1 where empty.
    """

    numbers: Floats
    instants: Ints
    lanes: Records
    slices: Floats
    delta: Floats
    log: Records
    log_spot: Floats
    heads: Int32s


class Rules(NamedTuple):
    """Kinds of print by bits, in order of precedence, and what each rule is worth by lane."""

    masks: Ints
    classes: Codes
    is_comparable: Codes
    confidence: Floats
    uses_rules: bool
    tick_floor: float
    tick_fresh_us: int


@inlined
def is_number(value: float) -> bool:
    """Whether it is neither NaN nor infinite."""
    return value - value == 0.0


@inlined
def quote_state(bid: float, ask: float, age_us: int, fresh_us: int) -> int:
    """As `domain.flow.sides.quote_state`."""
    if not ((bid > 0.0) | (ask > 0.0)):
        return NO_QUOTE
    if (age_us < 0) | (age_us > fresh_us):
        return STALE
    if not ((bid > 0.0) & (ask > 0.0)):
        return ONE_SIDED
    if bid > ask:
        return CROSSED
    return LOCKED if bid == ask else OK


@inlined
def sign_by_tick(price: float, event_us: int, row: int, c: int, state: State, rules: Rules) -> int:
    """Sign of the difference to the last print moved to now's spot; as `sides.tick_of`."""
    log, spot, delta = state.log, state.log_spot[row], state.delta[c]
    before = int(state.instants[TICK_ROW, c])
    for _ in range(MOST_REFERENCES):
        while before >= 0 and log[before].is_taken_back != 0:
            before = int(log[before].tick_link)
        if before < 0:
            return 0
        age = event_us - log[before].event_us
        if (age < 0) | (age > rules.tick_fresh_us):
            return 0
        spot_before = state.log_spot[before]
        moved = 0.0 if spot == spot_before else delta * (spot - spot_before)
        difference = price - (log[before].price + moved)
        if difference > rules.tick_floor:
            return 1
        if difference < -rules.tick_floor:
            return -1
        if difference != difference:
            return 0
        before = int(log[before].tick_link)
    return 0


@inlined
def side_by_rules(
    price: float, size: float, bid: float, ask: float, bid_size: float, ask_size: float,
    state: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Sign, basis and place of its confidence; a sign of 0 where the tick is left to tell.

    As `domain.flow.sides.side_of`.
    """
    at_bid, at_ask = AT_QUOTE if price == bid else BY_QUOTE, AT_QUOTE if price == ask else BY_QUOTE
    if (state == OK) | (state == LOCKED):
        is_bid, is_ask = size == bid_size, size == ask_size
        if (size > 0.0) & (is_bid != is_ask):
            return (1 if is_bid else -1), TRADE_SIZE, TRADE_SIZE
        mid = 0.5 * (bid + ask)
        if abs(price - mid) > SAME_PRICE * mid:
            return (1, BY_QUOTE, at_ask) if price > mid else (-1, BY_QUOTE, at_bid)
        if ask_size > bid_size:
            return 1, DEPTH, DEPTH
        if ask_size < bid_size:
            return -1, DEPTH, DEPTH
        return 0, MIDPOINT_TICK, MIDPOINT_TICK
    if state == ONE_SIDED:
        if (ask > 0.0) & (price >= ask):
            return 1, BY_QUOTE, at_ask
        if (bid > 0.0) & (price <= bid):
            return -1, BY_QUOTE, at_bid
    return 0, TICK, TICK


@inlined
def class_of(conditions: int, rules: Rules) -> int:
    """Kind of print; 0 is a regular one."""
    for k in range(rules.masks.size):
        if conditions & rules.masks[k] != 0:
            return int(rules.classes[k])
    return 0


@inlined
def slot_of(index: Int32s, log: Records, row: int) -> int:
    """Find the slot of the prints that look like a row, or the empty one where they belong."""
    mine = log[row]
    contract, exchange = int(mine.contract), int(mine.exchange)
    price, size = mine.price + 0.0, mine.size_contracts + 0.0  # minus zero looks like zero
    mixed: int = bits_of(price) * 0x2545F4914F6CDD1D + bits_of(size)
    mixed = (mixed ^ (mixed >> 31)) * 0x369DEA0F31A53F85 + contract * 0x1000193 + exchange
    mixed = (mixed ^ (mixed >> 29)) * 0x1B873593CC9E2D51
    mask = index.size - 1
    slot = (mixed ^ (mixed >> 32)) & mask
    while index[slot] >= 0:
        held = log[index[slot]]
        same = (held.contract == contract) & (held.price == price)
        if same & (held.size_contracts == size) & (held.exchange == exchange):
            break
        slot = (slot + 1) & mask
    return slot


@inlined
def push(index: Int32s, log: Records, row: int) -> None:
    """Make a row the newest of those that look like it."""
    slot = slot_of(index, log, row)
    log[row].alike = index[slot]
    index[slot] = row


@inlined
def pull(index: Int32s, log: Records, row: int) -> int:
    """Find the newest standing print that a cancel in this row takes back; -1 for none."""
    slot = slot_of(index, log, row)
    found = int(index[slot])
    while found >= 0 and log[found].is_taken_back != 0 and log[found].alike >= 0:
        found = int(log[found].alike)
        index[slot] = found  # those before are gone for good
    event_us = log[row].event_us
    while found >= 0 and (log[found].is_taken_back != 0 or log[found].event_us > event_us):
        found = int(log[found].alike)
    return found


@inlined
def note_print(state: State, row: int, c: int, is_comparable: bool) -> None:
    """Enter a print that is no cancel: how to find it, and whether it is the last one."""
    numbers, instants, log = state.numbers, state.instants, state.log
    price, event_us = log[row].price, log[row].event_us
    push(state.heads, log, row)
    if not price >= 0.0:
        return  # the leg of a package
    if event_us >= instants[LAST_US, c]:
        log[row].last_link = instants[LAST_ROW, c]
        instants[LAST_ROW, c], instants[LAST_US, c] = row, event_us
        numbers[LAST_PRICE, c] = price
    tick = instants[TICK_ROW, c]
    if is_comparable and (tick < 0 or event_us >= log[tick].event_us):
        log[row].tick_link = tick
        instants[TICK_ROW, c] = row


@inlined
def take_back(state: State, c: int, taken: int) -> None:
    """Strike a print out; where it was the last one, the one before is again."""
    numbers, instants, log = state.numbers, state.instants, state.log
    log[taken].is_taken_back = 1
    row = instants[LAST_ROW, c]
    if row == taken:
        while row >= 0 and log[row].is_taken_back != 0:
            row = int(log[row].last_link)
        instants[LAST_ROW, c] = row
        numbers[LAST_PRICE, c] = log[row].price if row >= 0 else np.nan
        instants[LAST_US, c] = log[row].event_us if row >= 0 else -1
    row = instants[TICK_ROW, c]
    if row == taken:
        while row >= 0 and log[row].is_taken_back != 0:
            row = int(log[row].tick_link)
        instants[TICK_ROW, c] = row


@inlined
def blank_row(log: Records, row: int) -> None:
    """Reset what `note_print` and cancels write."""
    log[row].alike, log[row].last_link, log[row].tick_link = -1, -1, -1
    log[row].is_taken_back = 0


@inlined
def two_sided_mid(state: State, c: int, now: int, fresh_us: int) -> float:
    """Midpoint of a fresh quote with two sides, not crossed; NaN where there is none."""
    bid, ask = state.numbers[BID, c], state.numbers[ASK, c]
    worth = quote_state(bid, ask, now - state.instants[QUOTE_US, c], fresh_us)
    return 0.5 * (bid + ask) if (worth == OK) | (worth == LOCKED) else np.nan


@inlined
def note_candidates(
    j: int, c: int, now: int, contracts: Records, state: State, judged: Records, wanted: Floats,
    calls: Codes,
) -> None:  # fmt: skip
    """Write down what the trade's vol may come from, as it is at this moment."""
    numbers, instants = state.numbers, state.instants
    contract = contracts[c]
    s, p, k = contract.slice_id, contract.partner, calls.size // 2 + j
    F = judged[j].spot * state.slices[RATIO, s]
    K, D = contract.strike, state.slices[FACTOR, s]
    years = (contract.expires_us - now) / YEAR_US
    is_call = contract.is_call
    wanted[PRICE, j], wanted[PRICE, k], judged[j].other_age_us = np.nan, np.nan, np.nan
    if (F <= K) if is_call != 0 else (F >= K):  # at the money both are
        wanted[PRICE, j] = two_sided_mid(state, c, now, contract.fresh_us)
    if p >= 0:
        wanted[PRICE, k] = two_sided_mid(state, p, now, contracts[p].fresh_us)
        judged[j].other_age_us = float(now - instants[QUOTE_US, p])
    wanted[FORWARD, j], wanted[FORWARD, k] = F, F
    wanted[STRIKE, j], wanted[STRIKE, k] = K, K
    wanted[YEARS, j], wanted[YEARS, k] = years, years
    wanted[DISCOUNT, j], wanted[DISCOUNT, k] = D, D
    calls[j], calls[k] = is_call, 1 - is_call
    judged[j].years = years
    judged[j].surface_vol = numbers[VOL, c]
    judged[j].surface_age_us = float(now - instants[VOL_US, c])
    judged[j].venue_vol = numbers[MARK_VOL, c]
    judged[j].venue_age_us = float(now - instants[MARK_US, c])


@inlined
def note_facts(events: Events, i: int, j: int, row: int, judged: Records, log: Records) -> None:
    """Copy what the print itself says, to the results and to the log."""
    judged[j].contract, log[row].contract = events.contract[i], events.contract[i]
    judged[j].event_us, log[row].event_us = events.event_us[i], events.event_us[i]
    judged[j].price, log[row].price = events.a[i], events.a[i]
    judged[j].size, log[row].size_contracts = events.size_a[i], events.size_a[i]
    judged[j].exchange, log[row].exchange = events.exchange[i], events.exchange[i]
    judged[j].conditions, log[row].conditions = events.conditions[i], events.conditions[i]
    judged[j].number, log[row].number = events.number[i], events.number[i]
    judged[j].received_us = events.received_us[i]
    judged[j].venue_sequence = events.sequence[i]
    judged[j].taker = events.taker[i]
    judged[j].is_backfill = events.is_backfill[i]
    blank_row(log, row)


@inlined
def note_market(
    j: int, c: int, row: int, now: int, contracts: Records, state: State, judged: Records
) -> int:
    """Write down spot and the quote that the trade meets; return what the quote is worth."""
    lane = state.lanes[contracts[c].lane]
    judged[j].spot = lane.spot
    judged[j].spot_age_us = float(now - lane.spot_us) if is_number(lane.spot) else np.nan
    spot_age = judged[j].spot_age_us
    is_met = (spot_age >= 0.0) & (spot_age <= contracts[c].fresh_us)
    state.log_spot[row] = lane.spot if is_met else np.nan
    bid, ask = state.numbers[BID, c], state.numbers[ASK, c]
    age = now - state.instants[QUOTE_US, c]
    worth = quote_state(bid, ask, age, contracts[c].fresh_us)
    judged[j].bid = bid if bid > 0.0 else np.nan
    judged[j].ask = ask if ask > 0.0 else np.nan
    judged[j].quote_age_us = np.nan if worth == NO_QUOTE else float(age)
    judged[j].quote_state = worth
    return worth


@inlined
def side_of(
    j: int, c: int, row: int, worth: int, kind: int, state: State, judged: Records, rules: Rules
) -> tuple[int, int, int]:
    """Sign, basis and place of the confidence of a print that is no cancel."""
    is_comparable = rules.is_comparable[kind] != 0
    taker = judged[j].taker
    if taker != 0:
        return (1 if taker > 0 else -1), TAKER_SIDE, (TAKER_SIDE if is_comparable else BLOCK_TAKER)
    if not (is_comparable and rules.uses_rules):
        return 0, NOTHING, NOTHING
    numbers = state.numbers
    sign, basis, grade = side_by_rules(
        judged[j].price, judged[j].size, numbers[BID, c], numbers[ASK, c], numbers[BID_SIZE, c],
        numbers[ASK_SIZE, c], worth,
    )  # fmt: skip
    if sign == 0:
        sign = sign_by_tick(judged[j].price, judged[j].event_us, row, c, state, rules)
        if sign == 0:
            return 0, NOTHING, NOTHING
    return sign, basis, grade


@inlined
def judge(
    events: Events, i: int, j: int, row: int, contracts: Records, state: State, rules: Rules,
    judged: Records, wanted: Floats, calls: Codes,
) -> int:  # fmt: skip
    """Judge one trade; return 1 for a cancel that takes back nothing."""
    log = state.log
    note_facts(events, i, j, row, judged, log)
    c = int(judged[j].contract)
    now = judged[j].event_us if judged[j].is_backfill != 0 else judged[j].received_us
    worth = note_market(j, c, row, now, contracts, state, judged)
    note_candidates(j, c, now, contracts, state, judged, wanted, calls)
    lane = contracts[c].lane
    sequence = state.lanes[lane].trades_seen
    state.lanes[lane].trades_seen = sequence + 1
    judged[j].sequence, log[row].sequence = sequence, sequence
    kind = class_of(judged[j].conditions, rules)
    sign, basis, confidence = 0, NOTHING, np.nan
    taken, volume = -1, judged[j].size
    if kind == CANCEL:
        taken = pull(state.heads, log, row)
        volume = -volume if taken >= 0 else 0.0
        if taken >= 0:
            take_back(state, c, taken)
            sign, basis, confidence = int(log[taken].sign), CANCELLED_PRINT, log[taken].confidence
    else:
        sign, basis, grade = side_of(j, c, row, worth, kind, state, judged, rules)
        confidence = rules.confidence[lane, grade]
        note_print(state, row, c, rules.is_comparable[kind] != 0)
    note_position(state, c, sign, volume, confidence)
    log[row].sign, log[row].confidence = sign, confidence
    judged[j].sign, judged[j].basis, judged[j].confidence = sign, basis, confidence
    judged[j].trade_class, judged[j].volume = kind, volume
    judged[j].dealer_contracts = 0.0 - sign * volume
    judged[j].cancels = taken
    judged[j].cancels_sequence = log[taken].sequence if taken >= 0 else -1
    judged[j].multiplier = contracts[c].multiplier
    judged[j].premium = judged[j].price * volume * contracts[c].multiplier
    return 1 if kind == CANCEL and taken < 0 else 0


@inlined
def note_position(state: State, c: int, sign: int, volume: float, confidence: float) -> None:
    """Add a print to what the session did in its contract; a cancel takes off what its print added.

    A side that is right with probability p is expected to be worth 2 p - 1 of itself, with variance
    4 p (1 - p) of the size squared; none at all is worth nothing, with the size squared.
    """
    worth = 2.0 * confidence - 1.0 if (sign != 0) & is_number(confidence) else 0.0
    state.numbers[CUSTOMER_MEAN, c] += sign * volume * worth
    state.numbers[CUSTOMER_VARIANCE, c] += volume * abs(volume) * (1.0 - worth * worth)
    state.instants[TRADED, c] = 1
    state.numbers[VOLUME, c] += volume
    state.numbers[CUSTOMER, c] += sign * volume


@inlined
def take_quote(events: Events, i: int, c: int, state: State) -> None:
    """Keep a quote; a side that is no positive number is missing."""
    numbers, bid, ask = state.numbers, events.a[i], events.b[i]
    numbers[BID, c] = bid if (bid > 0.0) & is_number(bid) else 0.0
    numbers[ASK, c] = ask if (ask > 0.0) & is_number(ask) else 0.0
    numbers[BID_SIZE, c], numbers[ASK_SIZE, c] = events.size_a[i], events.size_b[i]
    state.instants[QUOTE_US, c] = events.received_us[i]


@inlined
def take_value(events: Events, i: int, c: int, kind: int, state: State) -> bool:
    """Keep a spot, a mark or open interest; False where the value is none."""
    a, b = events.a[i], events.b[i]
    has_a, has_b = (a >= 0.0) & is_number(a), (b > 0.0) & is_number(b)
    if kind == SPOT and has_a and a > 0.0:
        state.lanes[c].spot, state.lanes[c].spot_us = a, events.received_us[i]
        state.lanes[c].spot_source = events.exchange[i]
        return True
    if kind == MARK and (has_a or has_b):
        if has_a:  # one channel tells both, another the vol alone
            state.numbers[MARK_PRICE, c] = a
        if has_b:
            state.numbers[MARK_VOL, c] = b
        state.instants[MARK_US, c] = events.received_us[i]
        return True
    if kind == OPEN_INTEREST and has_a:
        state.numbers[INTEREST, c] = a
        return True
    return False


@inlined
def is_print(events: Events, i: int) -> bool:
    """Whether price and size are numbers, the size not negative."""
    size = events.size_a[i]
    usable: bool = is_number(events.a[i]) & is_number(size) & (size >= 0.0)
    return usable


@kernel
def walk(
    events: Events, contracts: Records, state: State, rules: Rules, first_row: int,
    judged: Records, wanted: Floats, calls: Codes, counts: Ints,
) -> int:  # fmt: skip
    """Take in events in order and return how many trades there were.

    `judged` has room for all events of kind `TRADE`, `wanted` and `calls` for twice as many, the
    log for as many rows from `first_row`.
    """
    n, lanes = contracts.size, state.lanes.size
    j = 0
    for i in range(events.kind.size):
        kind, c = int(events.kind[i]), int(events.contract[i])
        if (c < 0) | (c >= (lanes if kind == SPOT else n)) | (kind < 0) | (kind > OPEN_INTEREST):
            counts[UNLISTED] += 1
        elif kind == QUOTE:
            take_quote(events, i, c, state)
            counts[QUOTE] += 1
        elif kind != TRADE:
            counts[kind if take_value(events, i, c, kind, state) else UNUSABLE] += 1
        elif is_print(events, i):
            counts[UNMATCHED] += judge(
                events, i, j, first_row + j, contracts, state, rules, judged, wanted, calls
            )
            counts[TRADE] += 1
            j += 1
        else:
            counts[UNUSABLE] += 1
    return j


@kernel
def restore(
    state: State, first_row: int, trade_class: Codes, cancels: Ints, is_comparable: Codes
) -> None:
    """Enter rows of the log, filled from what was stored, as `walk` had entered them.

    `cancels` has the rows of the log that cancels take back, -1 for none; shape (k,) like
    `trade_class`.
    """
    log = state.log
    for j in range(trade_class.size):
        row = first_row + j
        c = int(log[row].contract)
        blank_row(log, row)
        volume = log[row].size_contracts
        if trade_class[j] == CANCEL:
            volume = -volume if cancels[j] >= 0 else 0.0
            if cancels[j] >= 0:
                take_back(state, c, cancels[j])
        else:
            note_print(state, row, c, is_comparable[trade_class[j]] != 0)
        note_position(state, c, int(log[row].sign), volume, log[row].confidence)


@kernel
def move_index(smaller: Int32s, index: Int32s, log: Records) -> None:
    """Fill an empty index with what a smaller one holds; the chains in the log stay as they are."""
    for slot in range(smaller.size):
        row = smaller[slot]
        if row >= 0:
            index[slot_of(index, log, row)] = row


def warm() -> None:
    """Compile the kernels, or load their machine code."""
    from dealer_assets.domain.flow import records

    none, ints, codes = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int8)
    events = Events(
        codes, np.empty(0, np.int32), ints, ints, none, none, none, none, ints, ints,
        np.empty(0, np.int16), ints, codes, codes,
    )  # fmt: skip
    state = State(
        np.empty((len(records.NUMBERS), 1)), np.empty((len(records.INSTANTS), 1), np.int64),
        np.empty(1, records.LANES), np.empty((2, 1)), np.empty(1),
        np.empty(1, records.LOG), np.empty(1), np.full(2, -1, np.int32),
    )  # fmt: skip
    rules = Rules(ints, codes, codes, np.empty((0, 0)), True, 0.0, 0)
    contracts, judged = np.empty(0, records.CONTRACTS), np.empty(0, records.JUDGED)
    wanted, counts = np.empty((len(records.CANDIDATES), 0)), np.zeros(len(COUNTS), np.int64)
    walk(events, contracts, state, rules, 0, judged, wanted, codes, counts)
    restore(state, 0, codes, ints, codes)
    move_index(np.empty(0, np.int32), state.heads, state.log)
