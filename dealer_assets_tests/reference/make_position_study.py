"""The study of `docs/recorded_positions.md`: settled positions against simulated truth.

Belongs here: the way from simulated tapes through sides, flow and counts to positions, and what
they are worth. Does not belong here: any formula of theirs. Run by hand when sides, flow or the
posterior change, with an empty folder for each session's flow (some five seconds of CPU each):
`python -m dealer_assets_tests.reference.make_position_study FOLDER`. When the posterior alone has
changed, the folder serves again. `--target` writes what other arguments give to another page. The
page holds simulated numbers only.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from dealer_assets import tables
from dealer_assets.derived import evidence
from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Bools, Floats, equals, floats, integers
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.positions.gathered import Morning
from dealer_assets.domain.positions.score import BASELINE
from dealer_assets.domain.positions.scored import Evening, scored_session
from dealer_assets.domain.positions.settled import settled_positions
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.domain.selection import nearest_the_money
from dealer_assets.providers.simulator.listing import Listing, session_listing
from dealer_assets.providers.simulator.market import closes, day_number
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.simulator.truth import dealer_positions
from dealer_assets.underlyings import underlying

LOG = logging.getLogger("study")
TARGET = Path(__file__).parents[2] / "docs" / "recorded_positions.md"
USUAL_VOL = 0.15
"""Of the gamma by which positions are weighed: the sign is asked for, not dollars."""

COMMON = 0.1
"""Part of each variance that contracts of a right have in common, as exposures take it."""

HEAD = """# Recorded positions

Settled positions against the truth of simulated markets: simulated tape → `signed_flow` →
`dealer_positions`. Written by `dealer_assets_tests/reference/make_position_study.py`; the terms,
what was looked at while constants were chosen, and what the figures do not say, are in
[methods/positions.md](methods/positions.md).

{what}

"""

COLUMNS = (
    "market, seed",
    "sessions",
    "contracts",
    "RMSE / naive",
    f"RMSE / ({BASELINE} × naive)",
    "90 % covers",
    "by OI",
    "net gamma: all",
    "beyond sd¹",
    "beyond sd²",
    "naive",
    "90 % of net gamma¹",
    "²",
    "ΔOI skill",
    "naive's",
)

FEET = f"""
*beyond sd*, *90 % of net gamma*: ¹ with the sd that the kinds' loadings give, ² with {COMMON} of
each variance common to all contracts of a right, as exposures take it. *net gamma*: sessions whose
sign is right, of all, and of those whose true net gamma is beyond its sd; *naive*: of all, by the
naive rule. *ΔOI skill*: 1 - rms error / that of {BASELINE} × volume, median of sessions; beside it
that of the naive rule's positions.
"""


@dataclass(frozen=True)
class Study:
    """What is simulated.

    Parameters
    ----------
    first : datetime.date
        First session.
    sessions : int
        How many.
    skip : int
        Sessions left out of the figures; the first knows nothing but the prior.
    density : float
        Strikes per chain.
    part : int
        Every how many-th contract is followed.
    quoted : int
        Contracts nearest the money whose quotes are read; 0: of every contract.
    folder : pathlib.Path
        Where the flow of sessions is kept; it has to be emptied when sides or flow change.
    """

    first: date
    sessions: int
    skip: int
    density: float
    part: int
    quoted: int
    folder: Path

    def days(self, symbol: str) -> list[date]:
        """Sessions in order of time."""
        days = [self.first]
        while len(days) < self.sessions:
            days.append(sessions.next_session(underlying(symbol).calendar, days[-1]))
        return days


@dataclass(frozen=True)
class Session:
    """A session of one market: what is known of it, and what is true; arrays of shape (n,)."""

    day: date
    counts: pa.Table
    flow: pa.Table
    truth: Floats
    gamma: Floats


@dataclass(frozen=True)
class Fared:
    """How a session's positions fared; sums over contracts that have open interest."""

    contracts: int
    squares: tuple[float, float, float]
    covered: float
    covered_by_interest: float
    gamma: tuple[float, float, float]
    gamma_sd: tuple[float, float]


def chosen(listing: Listing, part: int) -> Bools:
    """Tell which contracts are followed: the same in every session."""
    return np.asarray(listing.contract_id % np.uint64(part) == 0)


def flow_of(study: Study, symbol: str, seed: int, day: date) -> pa.Table:
    """Return a session's signed flow, from the folder where it was made before."""
    name = f"{symbol}_{seed}_{day}.arrow"
    kept = study.folder / f"{study.density}_{study.part}_{study.quoted}" / name
    if kept.exists():
        return feather.read_table(kept).cast(tables.SIGNED_FLOW.schema)
    market, asset = SimulatorProvider(seed=seed, density=study.density), underlying(symbol)
    listing = session_listing(seed, symbol, day=day, density=study.density)
    follow = chosen(listing, study.part)
    symbols = sorted(listing.columns["symbol"].filter(pa.array(follow)).to_pylist())
    values = market.index_values(asset, session_date=day).rows
    quoted = symbols
    if study.quoted:
        quoted = nearest_the_money(
            market.listing(asset, session_date=day).rows,
            spot=values["value"][0].as_py(),
            at=sessions.session_open(asset.calendar, day),
            count=study.quoted,
        )
    flow = evidence.session_flow(
        {
            "option_trades": market.trades(asset, session_date=day, symbols=symbols).rows,
            "option_quotes": market.quotes(asset, session_date=day, symbols=quoted).rows,
            "index_values": values,
        },
        asset,
        day,
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    half = kept.with_suffix(".half")
    feather.write_feather(flow, half)
    half.rename(kept)
    return flow


def sessions_of(study: Study, symbol: str, seed: int) -> Iterator[Session]:
    """Sessions of one market, in order of time."""
    asset = underlying(symbol)
    market = SimulatorProvider(seed=seed, density=study.density)
    for day in study.days(symbol):
        listing = session_listing(seed, symbol, day=day, density=study.density)
        follow = chosen(listing, study.part)
        symbols = listing.columns["symbol"].filter(pa.array(follow))
        counts = market.open_interest(asset, session_date=day).rows
        place = pc.index_in(symbols, value_set=counts["symbol"].combine_chunks())
        counts = counts.take(place)  # the order of the truth
        truth = dealer_positions(seed, symbol, day=day, density=study.density)[follow]
        spot = float(closes(seed, symbol)[day_number(day) - 1])
        opened_us = int(sessions.session_open(asset.calendar, day).timestamp() * 1e6)
        years = np.maximum(integers(counts, "expires_at") - opened_us, 0) / 1e6 / SECONDS_PER_YEAR
        one = np.ones(years.size)
        greeks = black_greeks(
            spot * one, floats(counts, "strike"), S=spot * one, T=years, sigma=USUAL_VOL * one,
            D=one, is_call=equals(counts, "right", "call"),
        )  # fmt: skip
        flow = flow_of(study, symbol, seed, day)
        LOG.info("%s %d %s: %d contracts with flow", symbol, seed, day, flow.num_rows)
        yield Session(day, counts, flow, truth, np.nan_to_num(greeks.gamma))


def fared(rows: pa.Table, session: Session) -> Fared:
    """Hold a session's positions against the truth."""
    own = rows.filter(pc.equal(rows["model"], "reconciled"))
    own = own.take(pc.index_in(session.counts["symbol"], value_set=own["symbol"].combine_chunks()))
    oi, true = floats(session.counts, "open_interest_contracts"), session.truth
    is_call = equals(session.counts, "right", "call")
    mean, lo, hi, sd = (
        np.nan_to_num(floats(own, f"position_{name}contracts"))
        for name in ("", "lo_", "hi_", "sd_")
    )
    naive, live = np.where(is_call, oi, -oi), oi > 0.0
    squares = [float(np.sum((told - true)[live] ** 2)) for told in (mean, naive, BASELINE * naive)]
    inside = ((true >= lo - 0.5) & (true <= hi + 0.5))[live]
    gamma = session.gamma
    common = np.nan_to_num(floats(own, "kind_loading_contracts") * floats(own, "kind_share_sd"))
    kinds = own["kind"].to_pylist()
    of_kinds = sum(float(np.sum((common * gamma)[np.array(kinds) == k])) ** 2 for k in set(kinds))
    alone = np.maximum(sd**2 - common**2, 0.0)
    weighed = sd * gamma
    rights = sum(float(np.sum(weighed[side])) ** 2 for side in (is_call, ~is_call))
    return Fared(
        contracts=int(live.sum()),
        squares=(squares[0], squares[1], squares[2]),
        covered=float(inside.mean()),
        covered_by_interest=float(np.sum(inside * oi[live]) / oi.sum()),
        gamma=(float(true @ gamma), float(mean @ gamma), float(naive @ gamma)),
        gamma_sd=(
            float(np.sqrt(of_kinds + alone @ gamma**2)),
            float(np.sqrt((1.0 - COMMON) * (weighed @ weighed) + COMMON * rights)),
        ),
    )


def run(study: Study, symbol: str, seed: int) -> tuple[list[Fared], pa.Table]:
    """Settle and score a market's sessions one after the other."""
    calendar = underlying(symbol).calendar
    previous = tables.DEALER_POSITIONS.schema.empty_table()
    flow = tables.SIGNED_FLOW.schema.empty_table()
    scores = tables.POSITION_SCORES.schema.empty_table()
    found: list[Fared] = []
    yesterday: date | None = None
    for session in sessions_of(study, symbol, seed):
        opened = sessions.session_open(calendar, session.day)
        morning = Morning(symbol, session.day, opened, previous, flow, session.counts)
        rows = settled_positions(morning)
        if yesterday is not None:
            closed = sessions.session_close(calendar, yesterday)
            evening = Evening(yesterday, closed, morning, scores)
            scores = pa.concat_tables([scores, scored_session(evening)])
        found.append(fared(rows, session))
        previous, flow, yesterday = rows, session.flow, session.day
    return found[study.skip :], scores


def line(study: Study, symbol: str, seed: int) -> tuple[str, ...]:
    """Cells of one market's row."""
    found, scores = run(study, symbol, seed)
    error, naive, shrunk = (
        np.sqrt(np.mean([f.squares[i] / f.contracts for f in found])) for i in range(3)
    )
    true, mine, ruled = np.array([f.gamma for f in found]).T
    right = np.sign(true) == np.sign(mine)
    sd = np.array([f.gamma_sd for f in found]).T
    far = [np.abs(true) > one for one in sd]
    within = [np.mean(np.abs(true - mine) < 1.645 * one) for one in sd]

    def skill(model: str) -> str:
        own = scores.filter(pc.equal(scores["model"], model))
        return f"{np.nanmedian(floats(own, 'change_skill')):.2f}"

    return (
        f"{symbol} {seed}",
        str(len(found)),
        f"{np.mean([f.contracts for f in found]):,.0f}",
        f"{error / naive:.2f}",
        f"{error / shrunk:.2f}",
        f"{np.mean([f.covered for f in found]):.0%}",
        f"{np.mean([f.covered_by_interest for f in found]):.0%}",
        f"{right.sum()} of {right.size}",
        *(f"{right[one].sum()} of {one.sum()}" for one in far),
        f"{np.mean(np.sign(true) == np.sign(ruled)):.0%}",
        *(f"{share:.0%}" for share in within),
        skill("reconciled"),
        skill("naive"),
    )


def main() -> None:
    """Write the page from the folder of flows, making those that are missing."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="settled positions against simulated truth")
    parser.add_argument("folder", type=Path, help="where the flow of sessions is kept")
    parser.add_argument("--markets", nargs="+", default=["SPX:11", "SPX:22", "SPY:12", "SPY:21"])
    parser.add_argument("--first", type=date.fromisoformat, default=date(2026, 5, 4))
    parser.add_argument("--sessions", type=int, default=27)
    parser.add_argument("--skip", type=int, default=1, help="sessions left out of the figures")
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--part", type=int, default=4, help="every how many-th contract")
    parser.add_argument("--quoted", type=int, default=0, help="contracts quoted; 0: every one")
    parser.add_argument("--target", type=Path, default=TARGET)
    told = parser.parse_args()
    study = Study(
        told.first, told.sessions, told.skip, told.density, told.part, told.quoted, told.folder
    )
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [
        line(study, symbol, int(seed)) for symbol, seed in (m.split(":") for m in told.markets)
    ]
    quoted = f"the {told.quoted} contracts nearest the money" if told.quoted else "every contract"
    what = (
        f"{told.sessions} sessions from {told.first}, the first {told.skip} left out; every "
        f"{told.part}th contract at density {told.density}; quotes of {quoted}."
    )
    body = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    told.target.write_text(HEAD.format(what=what) + body + FEET)


if __name__ == "__main__":
    main()
