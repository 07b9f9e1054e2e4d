"""Quotes that are missing, reset, repeated or of other contracts than they should be.

Belongs here: verdicts on bids, asks and the contracts listed. Does not belong here: open interest
(`holdings`), volume (`volumes`), what an import found (`imported`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.data.neighbours import stands_while_market_moves
from dealer_assets.domain.anomaly.data.scene import Found, Pair, Scene, spot_of
from dealer_assets.domain.columns import expired, floats
from dealer_assets.domain.coverage import coverage_of
from dealer_assets.domain.standstill import FROZEN_AFTER, stands_still

ZERO_BID_SHARE = 0.5
"""As at import (`providers/doubts.py`): sound recorded chains have at most 25 % without a bid."""

UNKNOWN_SHARE = 0.5

LEAST_CONTRACTS = 100
"""Fewer tell nothing: of a small extract all quotes may rest."""

MISSING_SHARE = 0.2
"""Of the contracts of the close before that still live. Recorded whole chains miss up to 3 %."""

FOREIGN_SHARE = 0.02
FOREIGN_SPOT = 1.5
"""Another underlying's chain shares next to no contract with the close before, at another price."""

STILL_SPOT = 0.002
STILL_SHARE = 0.95
"""Vendor's vols and deltas must not all stand while spot moves by this share."""

_CONTENT = (
    "bid",
    "ask",
    "bid_size_contracts",
    "ask_size_contracts",
    "last_price",
    "volume_contracts",
    "open_interest_contracts",
    "spot",
)


def quotes_found(scene: Scene) -> Iterator[Found]:
    """Yield what is wrong with a snapshot's quotes."""
    unknown = _share_unknown(scene)
    if unknown >= UNKNOWN_SHARE:
        yield Found(
            "no_quotes",
            f"{unknown:.0%} of the contracts come without bid and ask",
            "a bid and an ask, 0 where nobody bids",
            scene.contracts,
        )
    else:
        yield from _zero_bids(scene)
    repeats = list(_repeats(scene, quoted=unknown < UNKNOWN_SHARE))
    yield from repeats
    if not repeats and unknown < UNKNOWN_SHARE:
        yield from _frozen_contracts(scene)
    yield from _partial(scene)
    yield from _foreign(scene)
    yield from _still_greeks(scene)


def _share_unknown(scene: Scene) -> float:
    return float(np.mean(np.isnan(floats(scene.now, "bid")) & np.isnan(floats(scene.now, "ask"))))


def _zero_bids(scene: Scene) -> Iterator[Found]:
    bid = floats(scene.live, "bid")
    if not bid.size:
        return
    none = int(np.sum(~(bid > 0.0)))
    if none >= ZERO_BID_SHARE * bid.size:
        yield Found(
            "zero_bids",
            f"{none / bid.size:.0%} of {bid.size:,} living contracts have no bid",
            f"under {ZERO_BID_SHARE:.0%}",
            none,
        )


def _repeats(scene: Scene, *, quoted: bool) -> Iterator[Found]:
    """Yield the strongest repetition alone: the day before, the snapshot before, quotes only."""
    if _same_content(scene.with_closing, scene.closing):
        yield _repeat("holiday_repeat", scene, "the last snapshot of the session before")
    elif _same_content(scene.with_before, scene.before):
        yield _repeat("duplicate_snapshot", scene, "the snapshot before")
    elif quoted:
        yield from _frozen(scene)


def _same_content(pair: Pair, then: pa.Table) -> bool:
    """Whether every reading of every contract is what it was, something known among them."""
    if not then.num_rows or pair.now.num_rows < max(LEAST_CONTRACTS, 0.9 * then.num_rows):
        return False
    known = [name for name in _CONTENT if pair.now[name].null_count < pair.now.num_rows]
    if "volume_contracts" not in known and "bid" not in known:
        return False
    left, right = (rows.select(known).combine_chunks() for rows in (pair.then, pair.now))
    return bool(left.equals(right))


def _repeat(kind: str, scene: Scene, of: str) -> Found:
    then = scene.closing if kind == "holiday_repeat" else scene.before
    return Found(
        kind,
        f"every quote, volume, count and spot is that of {of}, {_clock(then)}",
        "a market that was looked at again",
        scene.contracts,
    )


def _clock(rows: pa.Table) -> str:
    return f"{rows['event_at'][0].as_py():%Y-%m-%d %H:%M} UTC"


def _frozen(scene: Scene) -> Iterator[Found]:
    if stands_still(scene.earlier, scene.now, scene.underlying):
        since, then = scene.with_earlier, scene.earlier
    elif _stands_since_yesterday(scene):
        since, then = scene.with_closing, scene.closing
    else:
        return
    age = (scene.now["event_at"][0].as_py() - then["event_at"][0].as_py()).total_seconds() / 60.0
    yield Found(
        "frozen_quotes",
        f"every bid and ask of {since.now.num_rows:,} contracts is that of {_clock(then)}, "
        f"{age:,.0f} minutes ago",
        f"some change within {FROZEN_AFTER.total_seconds() / 60:.0f} minutes of a session",
        since.now.num_rows,
    )


def _stands_since_yesterday(scene: Scene) -> bool:
    """Whether minutes into a session every quote is that of the close before."""
    calendar, at = scene.underlying.calendar, scene.now["event_at"][0].as_py()
    pair = scene.with_closing
    opened = sessions.session_open(calendar, scene.now["session_date"][0].as_py())
    if at - opened < FROZEN_AFTER or pair.now.num_rows < LEAST_CONTRACTS:
        return False
    quoted = [pair.unchanged("bid") & pair.unchanged("ask")]
    two_sided = floats(pair.now, "bid") > 0.0
    return bool(two_sided.sum() >= LEAST_CONTRACTS and quoted[0][two_sided].all())


def _frozen_contracts(scene: Scene) -> Iterator[Found]:
    pair = scene.with_earlier
    if pair.now.num_rows < LEAST_CONTRACTS:
        return
    frozen = stands_while_market_moves(pair) & ~expired(pair.now)
    if frozen.any() and not frozen.all():
        yield Found(
            "frozen_contracts",
            f"{int(frozen.sum()):,} quotes are those of {_clock(scene.earlier)} while the market "
            "beside them moved by more than twice their spread",
            "quotes that move with those of the strikes beside them",
            int(frozen.sum()),
            pair.symbols(frozen),
        )


def _partial(scene: Scene) -> Iterator[Found]:
    coverage = coverage_of(scene.underlying, scene.now)
    reasons = list(coverage.reasons)
    missing = _missing(scene)
    if missing is not None:
        reasons.append(missing)
    if reasons:
        yield Found("partial_chain", "; ".join(reasons), "the whole chain", scene.contracts)


def _missing(scene: Scene) -> str | None:
    if not scene.closing.num_rows:
        return None
    at = scene.now["event_at"][0]
    living = scene.closing.filter(pc.greater(scene.closing["expires_at"], at))
    if living.num_rows < LEAST_CONTRACTS:
        return None
    here = pc.is_in(living["symbol"], scene.now["symbol"].combine_chunks())
    share = 1.0 - float(pc.mean(here.cast(pa.float64())).as_py())
    if share <= MISSING_SHARE:
        return None
    return f"{share:.0%} of the {living.num_rows:,} contracts of the close before are not listed"


def _foreign(scene: Scene) -> Iterator[Found]:
    then, now = spot_of(scene.closing), spot_of(scene.now)
    if not scene.closing.num_rows or not then > 0.0 or not now > 0.0:
        return
    shared = scene.with_closing.now.num_rows / scene.contracts
    if shared <= FOREIGN_SHARE and max(now / then, then / now) >= FOREIGN_SPOT:
        yield Found(
            "wrong_underlying",
            f"{shared:.0%} of the contracts were listed at the close before, spot is {now:g}",
            f"the contracts of {scene.underlying.symbol}, near {then:g}",
            scene.contracts,
        )


def _still_greeks(scene: Scene) -> Iterator[Found]:
    pair = scene.with_earlier if scene.earlier.num_rows else scene.with_closing
    then = scene.earlier if scene.earlier.num_rows else scene.closing
    if pair.now.num_rows < LEAST_CONTRACTS:
        return
    move = spot_of(pair.now) / spot_of(pair.then) - 1.0
    delta = np.abs(floats(pair.now, "vendor_delta"))
    telling = (delta > 0.05) & (delta < 0.95)
    if not abs(move) >= STILL_SPOT or telling.sum() < LEAST_CONTRACTS:
        return
    still = pair.unchanged("vendor_delta") & pair.unchanged("vendor_implied_vol")
    share = float(still[telling].mean())
    if share >= STILL_SHARE:
        yield Found(
            "stale_greeks",
            f"spot moved by {move:+.2%} since {_clock(then)}, and {share:.0%} of vendor vols and "
            "deltas did not",
            f"under {STILL_SHARE:.0%} unchanged when spot moves by {STILL_SPOT:.1%}",
            scene.contracts,
        )
