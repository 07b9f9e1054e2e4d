"""The daily score of a session's positions from what the lake holds a morning later.

Belongs here: which rows a session is scored by, and storing the score. Does not belong here: the
measures (`domain/positions`), settling (`settling`), when it is done (`defs/positions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.derived.settling import counts_of, session_flow
from dealer_assets.domain import sessions
from dealer_assets.domain.positions.gathered import Morning
from dealer_assets.domain.positions.score import HISTORY
from dealer_assets.domain.positions.scored import Evening, Labels, scored_session
from dealer_assets.intake.records import held
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part
from dealer_assets.sources import SIMULATOR
from dealer_assets.underlyings import Underlying

_SAME_MARKET = 0.5
"""Of counts of a simulated session, those that agree; of another seed hardly any does."""


@dataclass(frozen=True)
class Market:
    """The simulated market that a lake's chains may come from.

    Parameters
    ----------
    seed : int
        Its seed.
    density : float
        Strikes per chain.
    """

    seed: int
    density: float


@dataclass(frozen=True)
class Scored:
    """What became of a session's score.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.POSITION_SCORES`; none where it cannot be scored yet.
    status : str
        ``stored``, ``current``, or what is missing, in words.
    """

    rows: pa.Table
    status: str


def score_session(lake: Lake, asset: Underlying, day: date, *, market: Market) -> Scored:
    """Score a session by the next morning's counts, and store the rows; nothing is fetched.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    market : Market
        Where simulated chains come from: their true positions are known.
    """
    table = tables.POSITION_SCORES
    following = sessions.next_session(asset.calendar, day)
    positions = read_partition(lake, tables.DEALER_POSITIONS, asset.symbol, day)
    counts = counts_of(lake, asset, following)
    for rows, what in ((positions, f"positions of {day}"), (counts, f"counts of {following}")):
        if not rows.num_rows:
            return Scored(table.schema.empty_table(), f"not scored: no {what} are held")
    rows = scored_session(
        Evening(
            session_date=day,
            closed_at=sessions.session_close(asset.calendar, day),
            morning=Morning(
                underlying=asset.symbol,
                session_date=following,
                opened_at=sessions.session_open(asset.calendar, following),
                previous=positions,
                flow=session_flow(lake, asset, day),
                counts=counts,
            ),
            earlier=_earlier(lake, asset, day),
            labels=_labels(lake, asset, day),
            truth=_truth(asset, day, positions, counts, market),
        )
    )
    written = write_part(
        lake, table, rows, underlying=asset.symbol, session_date=day, name=SESSION_PART
    )
    return Scored(rows, "stored" if written.changed else "current")


def recent_scores(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    """Return the scores of a session and of those before it, in order of time."""
    own = read_partition(lake, tables.POSITION_SCORES, asset.symbol, day)
    return pa.concat_tables([_earlier(lake, asset, day), own])


def _earlier(lake: Lake, asset: Underlying, day: date) -> pa.Table:
    parts = []
    for _ in range(HISTORY):
        day = sessions.previous_session(asset.calendar, day)
        parts.append(read_partition(lake, tables.POSITION_SCORES, asset.symbol, day))
    return pa.concat_tables(parts[::-1])


def _labels(lake: Lake, asset: Underlying, day: date) -> Labels | None:
    """Sides that the rules tell of prints whose taker the venue names, with the name hidden."""
    trades = held(lake, tables.OPTION_TRADES, asset.symbol, day)
    if not trades.num_rows or trades["taker_side"].null_count == trades.num_rows:
        return None
    from dealer_assets.domain.flow.classify import BatchOptions, classify

    classified = classify(
        trades,
        held(lake, tables.OPTION_QUOTES, asset.symbol, day),
        held(lake, tables.INDEX_VALUES, asset.symbol, day),
        options=BatchOptions(uses_taker=False),
    )
    use = classified.stands & (classified.tape.taker != 0)
    odds = np.where(classified.sign != 0, classified.confidence, np.nan)
    return Labels(odds[use], (classified.sign == classified.tape.taker)[use])


def _truth(
    asset: Underlying, day: date, positions: pa.Table, counts: pa.Table, market: Market
) -> dict[str, float] | None:
    """Return true positions, where the counts are this simulated market's."""
    if not bool(pc.all(pc.equal(counts["provider"], SIMULATOR)).as_py()):
        return None
    from dealer_assets.providers.simulator.listing import session_listing
    from dealer_assets.providers.simulator.truth import session_truth

    seed, density = market.seed, market.density
    listing = session_listing(seed, asset.symbol, day=day, density=density)
    true = session_truth(seed, asset.symbol, day=day, density=density)
    symbols = listing.columns["symbol"].to_pylist()
    interest = dict(zip(symbols, true.open_interest.tolist(), strict=True))
    if not _is_of_market(positions, interest):
        return None
    return dict(zip(symbols, true.dealer_position.tolist(), strict=True))


def _is_of_market(positions: pa.Table, interest: dict[str, float]) -> bool:
    """Tell whether open interest is that of a simulated market, and not of another seed's."""
    told = zip(
        positions["symbol"].to_pylist(),
        positions["open_interest_contracts"].to_pylist(),
        strict=True,
    )
    same = [interest.get(symbol) == count for symbol, count in told if count]
    return bool(sum(same) > _SAME_MARKET * len(same))
