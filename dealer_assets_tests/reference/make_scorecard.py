"""Score the levels of every recorded SPX close and of the recorded BTC chains.

Run by hand when levels, pins or the scorecard change: `python -m
dealer_assets_tests.reference.make_scorecard`; it writes `docs/recorded_levels.md`. The page holds
numbers derived from recorded quotes and prices, never either.
"""

import csv
import gzip
import hashlib
import io
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.exposure.pins import pin_levels
from dealer_assets.domain.exposure.snapshot import expose
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.scorecard.chance import Rate, score_card
from dealer_assets.domain.scorecard.paths import SessionPath, path_of_bar, path_of_snapshots
from dealer_assets.domain.scorecard.scores import level_scores, scaled
from dealer_assets.errors import DealerError
from dealer_assets.providers import deribit_csv
from dealer_assets.providers.assembly import assemble
from dealer_assets.providers.files import read_chain_file
from dealer_assets.tables.pins import LEVEL_KINDS

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "recorded_levels.md"
MODEL, DRAWS, SEED = "naive", 10_000, 1

Settled = dict[date, tuple[pa.Table, pa.Table]]
"""Of each session its last snapshot's levels and pins."""

HEAD = """# Recorded levels

How the levels of every recorded SPX close and of the recorded BTC chains fared in the session that
followed, beside matched random levels. Written by
`dealer_assets_tests/reference/make_scorecard.py`;
the terms are those of [methods/scorecard.md](methods/scorecard.md), which also says what to make of
it. Position model: naive. Each triple is what was found / what matched random levels scored, with
its standard deviation / two-sided p-value.

"""


def settle(rows: pa.Table) -> tuple[pa.Table, pa.Table] | None:
    """Levels and pins of one chain under the naive model; None when nothing is priced."""
    priced = price_chain(rows)
    if priced.num_rows == 0:
        return None
    exposed = expose(rows, priced, model=MODEL, resamples=0)
    return exposed.levels, pin_levels(exposed.exposure_table, exposed.levels)


def spx_closes(folder: Path) -> Settled:
    """Levels of every full recorded closing chain, one a session."""
    settled: Settled = {}
    for path in sorted(folder.glob("SPX_*_full*.csv.gz")):
        if "redownload" in path.name:
            continue
        try:
            found = settle(read_chain_file(path)[0].rows)
        except DealerError:
            continue
        if found:
            settled[found[0]["session_date"][0].as_py()] = found
    return settled


def btc_snapshots(folder: Path) -> list[tuple[pa.Table, pa.Table]]:
    """Levels and pins of every recorded snapshot, in time order."""
    made = []
    for path in sorted(folder.glob("*.parquet")):
        month = pq.read_table(path)
        for at in sorted(pc.unique(month["timestamp"]).to_pylist()):
            rows = month.filter(
                pc.equal(month["timestamp"], pa.scalar(at, month["timestamp"].type))
            )
            text = io.BytesIO()
            pcsv.write_csv(rows, text)
            payload = text.getvalue()
            name = f"BTC_{at:%Y-%m-%dT%H%M%S}.csv"
            (raw,) = deribit_csv.parse(
                payload, name=name, sha256=hashlib.sha256(payload).hexdigest()
            )
            found = settle(assemble(raw).rows)
            if found:
                made.append(found)
    return made


def daily_bars(path: Path, root: str = "") -> dict[date, tuple[float, float, float, float]]:
    """Open, high, low and close by day, of either layout of the reference prices."""
    with gzip.open(path, "rt") as file:
        head, *rows = csv.reader(file)
    names = [name.lower() for name in head]
    places = [names.index(name) for name in ("open", "high", "low", "close")]
    bars = {}
    for row in rows:
        is_day = row[0][:2] in ("19", "20")  # one layout has two more lines of header
        if is_day and root in ("", row[-1]):
            bars[date.fromisoformat(row[0])] = tuple(float(row[place]) for place in places)
    return bars


def score(settled: Settled, calendar: str, paths: dict[date, SessionPath]) -> pa.Table:
    """Score each session's levels in the session after it, where its prices are held."""
    scored = [tables.LEVEL_SCORES.schema.empty_table()]
    for before, (levels, pins) in sorted(settled.items()):
        day = sessions.next_session(calendar, before)
        if day in paths:
            none = tables.LEVEL_SCORES.schema.empty_table()
            scored.append(level_scores(levels, pins, paths[day], earlier=none, day=day))
    return pa.concat_tables(scored)


def cell(rate: Rate, *, is_share: bool = True) -> str:
    """Found / by chance +- its standard deviation / p-value."""
    if not np.isfinite(rate.found):
        return ""
    unit, scale, digits = (" %", 100.0, 0) if is_share else ("", 1.0, 2)
    found = f"{scale * rate.found:.{digits}f}{unit}"
    if not np.isfinite(rate.base):
        return found
    chance = f"{scale * rate.base:.{digits}f} ± {scale * rate.base_sd:.{digits}f}{unit}"
    return f"{found} / {chance} / {rate.p_value:.3f}"


COLUMNS = (
    "level",
    "sessions",
    "distance",
    "touched",
    "times",
    "held, of touched",
    "closed beyond, of touched",
    "distance at close",
)


def section(title: str, scores: pa.Table) -> str:
    """One table: a line for each kind of level, over all sessions."""
    days = scores["session_date"].to_pylist()
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for kind in LEVEL_KINDS:
        own = scores.filter(pc.and_(pc.equal(scores["level_kind"], kind), scores["is_scored"]))
        level, paths = scaled(own)
        card = score_card(level, paths, seed=SEED, draws=DRAWS)
        rows.append(
            (
                kind.replace("_", " "),
                str(card.sessions),
                f"{np.median(np.abs(level)):.2f}" if card.sessions else "",
                cell(card.touched_share),
                str(card.touched),
                cell(card.held_share),
                cell(card.closed_beyond_share),
                cell(card.mean_distance, is_share=False),
            )
        )
    lines = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    return f"## {title}\n\n{len(set(days))} sessions, {min(days)} to {max(days)}.\n\n{lines}\n"


def main() -> None:
    """Write the page from the folder of recorded data."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    prices = data / "reference" / "prices"
    spx_bars = daily_bars(prices / "SPX_VIX_SPY_QQQ_daily_ohlc.csv.gz", "SPX")
    spx = {d: path_of_bar(*bar, calendar="XNYS", day=d) for d, bar in spx_bars.items()
           if sessions.is_session("XNYS", d)}  # fmt: skip
    closes = spx_closes(data / "cboe_csv")
    snapshots = btc_snapshots(data / "deribit" / "chain_BTC")
    last = {levels["session_date"][0].as_py(): (levels, pins) for levels, pins in snapshots}
    btc_bars = daily_bars(prices / "BTC-USD_daily_yf_to_2026-06-24.csv.gz")
    btc = {d: path_of_bar(*bar, calendar="24/7", day=d) for d, bar in btc_bars.items()}
    spots = pa.concat_tables([levels for levels, _ in snapshots])
    seen = {day: path_of_snapshots(spots, "24/7", day) for day in last}
    pages = (
        section("SPX, daily bars", score(closes, "XNYS", spx)),
        section("BTC, daily bars", score(last, "24/7", btc)),
        section("BTC, spots of the snapshots", score(last, "24/7", seen)),
    )
    TARGET.write_text((HEAD + "".join(pages)).rstrip() + "\n")


if __name__ == "__main__":
    main()
