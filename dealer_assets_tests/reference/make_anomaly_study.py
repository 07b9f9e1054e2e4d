"""Write `docs/recorded_anomalies.md`: what is wrong with the recorded data, and what catches it.

Belongs here: the recorded files' way through import, judgement, features and scores. Does not
belong here: any detector. Run as a module with the folder of the collection, a scratch folder and,
if there is one, a lake of recorded BTC chains (`make_regime_study` makes one); about two minutes.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.derived.anomalies import refresh_baseline, refresh_scores
from dealer_assets.derived.data_quality import judge_session
from dealer_assets.derived.featuring import refresh_features, session_polls
from dealer_assets.domain import history, sessions
from dealer_assets.domain.anomaly.universe import universe_of
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.surface.rows import surface_of
from dealer_assets.intake.imports import import_files
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.lake.reader import list_parts, read_partition, sessions_held
from dealer_assets.lake.refresh import PREVIOUS, Inputs, refresh_session, refresh_snapshots
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import Underlying, underlying
from dealer_assets_tests.recorded_failures import FAILURES, imported, judged
from dealer_assets_tests.recorded_files import YFINANCE, tsla_files, yfinance_files

LOG = logging.getLogger("study")
TARGET = Path(__file__).parents[2] / "docs/recorded_anomalies.md"
MONITOR = universe_of("any 0.50-1.50 0-400d")
T = tables

HEAD = """# Recorded data problems

What is wrong with the recorded collection, and what catches it. Written by
`dealer_assets_tests/reference/make_anomaly_study.py`; the kinds are those of
[methods/data_anomalies.md](methods/data_anomalies.md), findings and refusals those of
[methods/files.md](methods/files.md).
"""


def main() -> None:
    """Import, judge, score, write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("collection", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--btc", default="")
    asked = parser.parse_args()
    asked.scratch.mkdir(parents=True, exist_ok=True)
    sections = [HEAD, _failures(asked.collection, asked.scratch)]
    lake = _imported(asked.collection, asked.scratch)
    sections.append(_days(lake))
    sections.append(_end_to_end(lake))
    sections.append(_false_positives(asked.btc, asked.scratch))
    TARGET.write_text("\n".join(sections))


def _failures(collection: Path, scratch: Path) -> str:
    """Return the table of listed failures."""
    lines = ["## Listed failures\n", "| file | failure | caught by |", "| --- | --- | --- |"]
    for number, failure in enumerate(FAILURES):
        folder = scratch / f"failure{number}"
        folder.mkdir(exist_ok=True)
        lake = open_lake(str(folder / "lake"))
        outcomes = imported(failure, lake, collection, folder)
        rows = judged(failure, lake)
        told = [_told(row) for row in rows.to_pylist() if row["kind"] in failure.kinds]
        if failure.refusal:
            told.append(f"refused: {failure.refusal}")
        if failure.statuses:
            told.append(f"import: {outcomes[-1].status}")
        name = failure.files[-1].rpartition("/")[2]
        lines.append(f"| {name} | {failure.what} | {', '.join(dict.fromkeys(told))} |")
        LOG.info("%s: %s", name, told)
    return "\n".join(lines) + "\n"


def _told(row: Mapping[str, object]) -> str:
    return f"`{row['kind']}`" + (" (blocks)" if row["action"] == "block" else "")


def _imported(collection: Path, scratch: Path) -> Lake:
    """Import the long series into one lake, and derive all that features need."""
    files = scratch / "files"
    files.mkdir(exist_ok=True)
    paths = tsla_files(collection, files)
    for container in YFINANCE[:2]:
        paths += yfinance_files(collection / container, files)
    paths += sorted((collection / "occ_oi").iterdir())
    lake = open_lake(str(scratch / "lake"))
    outcomes = Counter(outcome.status for outcome in import_files(lake, paths))
    LOG.info("imported %s", dict(outcomes))
    for symbol in ("TSLA", "NVDA", "AAPL", "SPX", "SPY"):
        asset = underlying(symbol)
        for day in _sessions(lake, symbol):
            judge_session(lake, asset, day)
            if symbol in SCORED:
                _derive(lake, asset, day)
    return lake


SCORED = ("TSLA", "NVDA", "AAPL")


def _sessions(lake: Lake, symbol: str) -> list[date]:
    of_chains = sessions_held(lake, T.CHAIN_SNAPSHOTS, symbol)
    return sorted({*of_chains, *sessions_held(lake, T.OPEN_INTEREST, symbol)})


def _derive(lake: Lake, asset: Underlying, day: date) -> None:
    """Bring everything from forwards to scores up to date."""

    def surface(rows: Inputs) -> pa.Table:
        return surface_of(rows["chain_snapshots"], rows["contract_greeks"], rows[PREVIOUS])

    steps = (
        (T.FORWARDS, (T.CHAIN_SNAPSHOTS,), lambda r: forwards_of(r["chain_snapshots"], curve=None)),
        (
            T.CONTRACT_GREEKS,
            (T.CHAIN_SNAPSHOTS, T.FORWARDS),
            lambda r: price_chain(r["chain_snapshots"], r["forwards"]),
        ),
        (T.VOL_SURFACE, (T.CHAIN_SNAPSHOTS, T.CONTRACT_GREEKS), surface),
    )
    where = {"underlying": asset.symbol, "session_date": day}
    for table, sources, derive in steps:
        refresh_snapshots(
            lake,
            table,
            sources=sources,
            derive=derive,
            with_previous=True,
            **where,  # type: ignore[arg-type]
        )
    refresh_session(
        lake,
        T.VOLUME_DELTAS,
        sources=(T.CHAIN_SNAPSHOTS,),
        derive=lambda r: history.volume_deltas(r["chain_snapshots"]),
        **where,  # type: ignore[arg-type]
    )
    refresh_features(lake, asset, day, universe=MONITOR)
    refresh_baseline(lake, asset, day, simulated=False)
    refresh_scores(lake, asset, day)


def _days(lake: Lake) -> str:
    """Return what was caught on which days."""
    lines = [
        "## Series, day by day\n",
        "Each kind with its days; a kind of more than eight days by their number.\n",
        "| series | sessions | kind | action | days | for example |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for symbol in ("TSLA", "NVDA", "AAPL", "SPX", "SPY"):
        days = _sessions(lake, symbol)
        found: dict[str, list[Mapping[str, object]]] = defaultdict(list)
        for day in days:
            for row in read_partition(lake, T.DATA_ANOMALIES, symbol, day).to_pylist():
                found[row["kind"]].append(row)
        for kind, rows in sorted(found.items()):
            held = sorted({str(row["session_date"]) for row in rows})
            told = ", ".join(held) if len(held) <= 8 else f"{len(held)} days"
            action = f"{rows[-1]['action']}" + ("" if rows[-1]["spoils"] else ", spoils nothing")
            example = str(rows[-1]["found"]).replace("|", "/")[:150]
            lines.append(f"| {symbol} | {len(days)} | `{kind}` | {action} | {told} | {example} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Scored:
    """How far a series got."""

    polls: int
    rows: int
    scored: int
    sessions_scored: int
    anomalies: int


def _end_to_end(lake: Lake) -> str:
    lines = [
        "## To features and scores\n",
        f"Monitored: `{MONITOR}`. A snapshot that a blocking check stops has no features. TSLA's "
        "files hold no bid and ask: the chain's own check `quotes_two_sided` stops all of them. Of "
        "the others there are eight or nine sessions: scores are shown, nothing is marked before "
        "20.\n",
        "| series | polls | features | scored | sessions with full history | market anomalies |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for symbol in SCORED:
        lines.append(_line(symbol, _gated(lake, symbol)))
    blocked = _scored_though_blocked(lake)
    lines.append(f"\nScores of snapshots that a data problem blocks: {blocked}.\n")
    return "\n".join(lines)


def _line(symbol: str, s: _Scored) -> str:
    return (
        f"| {symbol} | {s.polls} | {s.rows:,} | {s.scored:,} | {s.sessions_scored} "
        f"| {s.anomalies:,} |"
    )


def _gated(lake: Lake, symbol: str) -> _Scored:
    days = sessions_held(lake, T.CHAIN_SNAPSHOTS, symbol)
    polls = sum(len(session_polls(lake, underlying(symbol), day)) for day in days)
    features = [read_partition(lake, T.CONTRACT_FEATURES, symbol, day) for day in days]
    scores = pa.concat_tables([read_partition(lake, T.ANOMALY_SCORES, symbol, d) for d in days])
    marked = scores.filter(pc.fill_null(scores["is_anomaly"], False))
    ok = scores.filter(pc.equal(scores["history_status"], "ok"))
    return _Scored(
        polls,
        sum(rows.num_rows for rows in features),
        scores.num_rows - scores["p_value"].null_count,
        len(ok["session_date"].unique()),
        marked.num_rows,
    )


def _scored_though_blocked(lake: Lake) -> int:
    count = 0
    for symbol in SCORED:
        for day in sessions_held(lake, T.CHAIN_SNAPSHOTS, symbol):
            wrong = read_partition(lake, T.DATA_ANOMALIES, symbol, day)
            blocked = wrong.filter(pc.equal(wrong["action"], "block"))["event_at"].unique()
            scores = read_partition(lake, T.ANOMALY_SCORES, symbol, day)
            count += scores.filter(pc.is_in(scores["event_at"], blocked)).num_rows
    return count


def _false_positives(btc: str, scratch: Path) -> str:
    lines = [
        "## Where nothing should be found\n",
        "| data | snapshots | found | CPU seconds |",
        "| --- | --- | --- | --- |",
    ]
    if btc:
        lines.append(_judged_line(open_lake(btc), ["BTC"], "recorded Deribit chains"))
    lake = open_lake(str(scratch / "simulated"))
    symbols = ["SPX", "SPY", "TSLA", "BTC"]
    for symbol in symbols:
        _simulate(lake, underlying(symbol))
    lines.append(_judged_line(lake, symbols, "simulated sessions of SPX, SPY, TSLA and BTC"))
    return "\n".join(lines) + "\n"


def _judged_line(lake: Lake, symbols: Iterable[str], name: str) -> str:
    found: Counter[str] = Counter()
    snapshots, begun = 0, time.process_time()
    for symbol in symbols:
        for day in sessions_held(lake, T.CHAIN_SNAPSHOTS, symbol):
            snapshots += len(list_parts(lake, T.CHAIN_SNAPSHOTS, symbol, day))
            judge_session(lake, underlying(symbol), day, rebuild=True)
            for row in read_partition(lake, T.DATA_ANOMALIES, symbol, day).to_pylist():
                found[row["kind"]] += 1
                found[f"{row['kind']} contracts"] += row["contracts"]
    told = [
        f"`{kind}` {count}"
        + (f" ({found[f'{kind} contracts']} contracts)" if kind == "frozen_contracts" else "")
        for kind, count in sorted(found.items())
        if not kind.endswith(" contracts")
    ]
    spent = time.process_time() - begun
    return f"| {name} | {snapshots} | {', '.join(told) or 'nothing'} | {spent:.1f} |"


def _simulate(lake: Lake, asset: Underlying) -> None:
    provider, day = SimulatorProvider(density=0.1), date(2026, 6, 1)
    for day in (day + timedelta(days=i) for i in range(15)):
        if sessions.is_session(asset.calendar, day):
            for instant in sessions.instants_of(asset.calendar, day, count=8):
                store_snapshot(lake, provider.snapshot(asset, at=instant))


if __name__ == "__main__":
    main()
