"""The study of `docs/recorded_detection.md`: what anomaly scores find, miss and invent.

Belongs here: the way from simulated sessions, and from recorded BTC chains, through the lake's own
steps to figures. Does not belong here: any formula. Run as a module with a scratch folder for the
lakes and, for the recorded part, the folder of the chains; nothing of it enters the project but the
page and its pictures.

Simulated quotes are stale now and then, by the simulator's own design. Its days are therefore
evaluated twice: as they are, and with those quotes taken out as data checks by the minute would.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.baselines import LEAST_SESSIONS, fit
from dealer_assets.domain.anomaly.evaluation import EVALUATION_SEED, Evaluated, evaluate
from dealer_assets.domain.anomaly.features import PollRows, contract_features
from dealer_assets.domain.anomaly.methods import methods_of
from dealer_assets.domain.anomaly.observed import Features
from dealer_assets.domain.anomaly.plain_rule import fit_plain
from dealer_assets.domain.anomaly.polls import Poll, polls_of, usual_spans
from dealer_assets.domain.anomaly.universe import DEFAULT_MONITOR, Universe, universe_of
from dealer_assets.domain.history import volume_deltas
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.rates import RateCurve
from dealer_assets.domain.surface.rows import surface_of
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.lake.layout import event_at_of
from dealer_assets.lake.reader import list_parts, read_part, read_partition, sessions_held
from dealer_assets.lake.refresh import PREVIOUS, refresh_session, refresh_snapshots
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.providers.simulator import quotes
from dealer_assets.providers.simulator.market_day import market_day
from dealer_assets.providers.simulator.noise import combine, stream_key, uniform
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.reports.evaluation_pictures import METHOD_WORDS, evaluation_picture, totals
from dealer_assets.underlyings import Underlying, underlying
from dealer_assets_tests.reference.make_regime_study import import_chains

LOG = logging.getLogger("study")
T = tables
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/recorded_detection.md"
PICTURES = ROOT / "docs/pictures"

SEED, DENSITY = 7, 0.3
LAST = date(2026, 11, 21)
HISTORY = 60
BTC_MONITOR = "any 0.7-1.3 1-60d"
STALE = "frozen_contracts"
SPOILT = (
    "premium_usd",
    "vega_traded_usd_per_vol_point",
    "premium_over_vega",
    "iv_residual_half_spreads",
    "spread_relative",
)


def simulate(lake: Lake, asset: Underlying, *, count: int) -> None:
    """Store hourly polls of so many sessions, as a provider gives them, with all that follows."""
    provider = SimulatorProvider(seed=SEED, density=DENSITY)
    held = set(sessions_held(lake, T.VOLUME_DELTAS, asset.symbol))
    for day in reversed(list(sessions.sessions_before(asset.calendar, LAST, most=count))):
        if day in held:
            continue
        for at in _hours(asset, day):
            store_snapshot(lake, provider.snapshot(asset, at=at))
        before = sessions.previous_session(asset.calendar, day)
        derive(lake, asset, day, curve=provider.rate_curve(before))


def _hours(asset: Underlying, day: date) -> Iterator[datetime]:
    at = sessions.session_open(asset.calendar, day)
    last = sessions.quotes_end(asset.calendar, day)
    yield at
    at = at.replace(minute=0)
    while (at := at + timedelta(hours=1)) <= last:
        yield at.astimezone(UTC)


def derive(lake: Lake, asset: Underlying, day: date, *, curve: RateCurve | None) -> None:
    """Bring forwards, vols, surfaces and volume deltas of a session up to date."""
    steps: tuple[tuple[T.Table, tuple[T.Table, ...], Callable[..., pa.Table]], ...] = (
        (
            T.FORWARDS,
            (T.CHAIN_SNAPSHOTS,),
            lambda r: forwards_of(r["chain_snapshots"], curve=curve),
        ),
        (
            T.CONTRACT_GREEKS,
            (T.CHAIN_SNAPSHOTS, T.FORWARDS),
            lambda r: price_chain(r["chain_snapshots"], r["forwards"]),
        ),
        (
            T.VOL_SURFACE,
            (T.CHAIN_SNAPSHOTS, T.CONTRACT_GREEKS),
            lambda r: surface_of(r["chain_snapshots"], r["contract_greeks"], r[PREVIOUS]),
        ),
    )
    for table, of, made in steps:
        refresh_snapshots(
            lake,
            table,
            sources=of,
            underlying=asset.symbol,
            session_date=day,
            derive=made,
            with_previous=True,
        )
    refresh_session(
        lake,
        T.VOLUME_DELTAS,
        sources=[T.CHAIN_SNAPSHOTS],
        underlying=asset.symbol,
        session_date=day,
        derive=lambda r: volume_deltas(r["chain_snapshots"]),
    )


def features(lake: Lake, asset: Underlying, monitor: Universe, folder: Path) -> list[Path]:
    """Measure every session of a lake, each to a file; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    before: pa.Table | None = None
    seen: list[list[Poll]] = []
    made: list[Path] = []
    for day in sessions_held(lake, T.CHAIN_SNAPSHOTS, asset.symbol):
        parts = {
            t.name: {event_at_of(p.name, day): p for p in list_parts(lake, t, asset.symbol, day)}
            for t in (T.CHAIN_SNAPSHOTS, T.CONTRACT_GREEKS, T.VOL_SURFACE)
        }
        polls = polls_of(
            asset.calendar, day, parts["chain_snapshots"], usual=usual_spans(seen[-HISTORY:])
        )
        seen.append(polls)
        path = folder / f"{day}.parquet"
        if polls and not path.exists():
            deltas = read_partition(lake, T.VOLUME_DELTAS, asset.symbol, day)
            rows = [
                contract_features(
                    PollRows(
                        **{name: read_part(lake, t, parts[t.name][poll.at]) for name, t in _READ},
                        anomalies=T.DATA_ANOMALIES.schema.empty_table(),
                        deltas=deltas,
                        interest_before=before,
                        is_simulated=asset.kind != "crypto",
                    ),
                    poll=poll,
                    universe=monitor,
                )
                for poll in polls
            ]
            pq.write_table(pa.concat_tables(rows), path)
        made += [path] if path.exists() else []
        newest = list_parts(lake, T.CHAIN_SNAPSHOTS, asset.symbol, day)[-1]
        before = read_part(lake, T.CHAIN_SNAPSHOTS, newest, columns=list(_COUNTED))
    return made


_READ = (("chain", T.CHAIN_SNAPSHOTS), ("priced", T.CONTRACT_GREEKS), ("surface", T.VOL_SURFACE))
_COUNTED = ("symbol", "open_interest_contracts", "known_at")


def without_stale(rows: pa.Table) -> pa.Table:
    """Take out what rests on quotes that the simulator repeats from half an hour before."""
    pairs = set()
    for at in set(rows["event_at"].to_pylist()):
        pairs |= {(at, symbol) for symbol in _stale(rows["session_date"][0].as_py(), at)}
    told = zip(rows["event_at"].to_pylist(), rows["symbol"].to_pylist(), strict=True)
    is_stale = pa.array([pair in pairs for pair in told])
    for name in (*SPOILT, "withheld_reason"):
        field = rows.schema.field(name)
        instead = pa.scalar(STALE if name == "withheld_reason" else None, field.type)
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, field, pc.if_else(is_stale, instead, rows[name]))
    return rows


def _stale(day: date, at: datetime) -> list[str]:
    market = market_day(SEED, "SPX", day=day, density=DENSITY)
    session = market.session
    live = session.live_minute(int((at - market.opened) / timedelta(minutes=1)))
    address = combine(session.listing.contract_id, live + session.open_us // 60_000_000)
    fate = uniform(stream_key(SEED, "fate", "SPX"), address)
    bound = quotes.MISSING_SHARE + quotes.STALE_SHARE
    repeated = (fate >= quotes.MISSING_SHARE) & (fate < bound) & (live >= quotes.STALE_MINUTES)
    symbols = session.listing.columns["symbol"].to_pylist()
    return [symbols[i] for i in np.flatnonzero(repeated)]


def evaluated(
    files: Sequence[Path], read: Callable[[Path], pa.Table], *, first: int
) -> tuple[pa.Table, float]:
    """Evaluate every session from `first` on with its own baseline; also mean CPU of a session."""
    held: dict[Path, pa.Table] = {}
    done: list[pa.Table] = []
    begun = time.process_time()
    for i in range(first, len(files)):
        window = files[max(0, i - HISTORY) : i + 2]
        held = {path: held[path] if path in held else read(path) for path in window}
        earlier = [held[path] for path in files[max(0, i - HISTORY) : i]]
        history = pa.concat_tables(earlier)
        rows = held[files[i]]
        what = Evaluated(
            rows,
            methods_of(fit(Features.from_table(history)), fit_plain(history)),
            len(earlier),
            EVALUATION_SEED + rows["session_date"][0].as_py().toordinal(),
            _interest(held[files[i + 1]]) if i + 1 < len(files) else {},
        )
        done.append(evaluate(what))
        LOG.info("%s: %d rows", files[i].stem, rows.num_rows)
    return pa.concat_tables(done), (time.process_time() - begun) / max(len(done), 1)


def _interest(rows: pa.Table) -> Mapping[str, float]:
    first = pc.equal(rows["event_at"], pc.min(rows["event_at"]))
    told = rows.filter(first).select(["symbol", "open_interest_contracts"]).to_pydict()
    pairs = zip(told["symbol"], told["open_interest_contracts"], strict=True)
    return {symbol: count for symbol, count in pairs if count is not None}


def section(title: str, rows: pa.Table, picture: str, note: str) -> str:
    """Return a section of the page: false discoveries, recall, alerts by hour, confirmation."""
    days = sorted(set(rows["session_date"].to_pylist()))
    (PICTURES / picture).write_bytes(evaluation_picture(rows, dpi=100))
    lines = [f"## {title}", "", note, "", f"{len(days)} sessions, {days[0]} to {days[-1]}.", ""]
    lines += [*_standing(rows), "", *_recall(rows), "", *_by_hour(rows), ""]
    return "\n".join([*lines, f"![What was found, missed and false](pictures/{picture})", ""])


def _standing(rows: pa.Table) -> list[str]:
    any_false = totals(rows, "any_false_discovery")
    rate = totals(rows, "alert_rate", "slot", "severity")
    confirmed, base = totals(rows, "confirmation"), totals(rows, "confirmation_base")
    pairs = {m: _trials(rows, "confirmation", m) for m in METHOD_WORDS}
    out = [
        "| method | snapshots with any discovery | rows alerted on | severe | confirmed next "
        "morning / likes | pairs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for m, words in METHOD_WORDS.items():
        out.append(
            f"| {words} | {_pct(any_false.get((m,)))} | {_pct(rate.get((m, -1, 'any')), 2)} | "
            f"{_pct(rate.get((m, -1, 'severe')), 2)} | {_pct(confirmed.get((m,)), 0)} / "
            f"{_pct(base.get((m,)), 0)} | {pairs[m]:.0f} |"
        )
    return out


def _trials(rows: pa.Table, measure: str, method: str) -> float:
    kept = rows.filter(
        pc.and_(pc.equal(rows["measure"], measure), pc.equal(rows["method"], method))
    )
    return float(pc.sum(kept["trials"]).as_py() or 0.0)


def _recall(rows: pa.Table) -> list[str]:
    by = ("injected_kind", "injected_size")
    told = [totals(rows, m, *by) for m in _SHARES]
    out = [
        "Each cell: scores / plain z > 3 / p < 5 % alone.",
        "",
        "| put in | size | found | found, all alerting on 0.2 % of rows | put in, of the found | "
        "false share, mean over snapshots |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, size in sorted({key[1:] for key in told[0]}):
        cells = [" / ".join(_pct(t.get((m, kind, size)), 0) for m in METHOD_WORDS) for t in told]
        out.append(f"| {kind.replace('_', ' ')} | {size:g} | {' | '.join(cells)} |")
    return out


_SHARES = ("recall", "recall_at_alert_rate", "precision", "false_discovery")


def _by_hour(rows: pa.Table) -> list[str]:
    rate = totals(rows, "alert_rate", "slot", "severity")
    slots = sorted({key[1] for key in rate if key[1] >= 0})
    out = [
        f"| rows alerted on, by hour | {' | '.join(map(str, slots))} |",
        "| --- |" + " --- |" * len(slots),
    ]
    for m, words in METHOD_WORDS.items():
        out.append(f"| {words} | {' | '.join(_pct(rate.get((m, s, 'any')), 2) for s in slots)} |")
    return out


def _pct(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def main() -> None:
    """Simulate, measure, evaluate, write the page."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--chains", type=Path, help="folder of recorded BTC months")
    parser.add_argument("--sessions", type=int, default=140)
    asked = parser.parse_args()
    spx = underlying("SPX")
    lake = open_lake(str(asked.scratch / "simulated"))
    simulate(lake, spx, count=asked.sessions)
    files = features(lake, spx, universe_of(DEFAULT_MONITOR), asked.scratch / "features_spx")
    parts = [HEAD]
    for words, read, picture, note in (
        ("without stale quotes", lambda p: without_stale(pq.read_table(p)), "clean", CLEAN),
        ("as simulated", pq.read_table, "simulated", AS_SIMULATED),
    ):
        rows, cpu = evaluated(files, read, first=HISTORY)
        LOG.info("%s: %.2f s of CPU a session", words, cpu)
        name = f"detection_{picture}.png"
        parts.append(section(f"Simulated SPX, {words}", rows, name, note))
    if asked.chains:
        parts.append(recorded(asked.chains, asked.scratch))
    PAGE.write_text("\n".join(parts).rstrip() + "\n")


def recorded(chains: Path, scratch: Path) -> str:
    """Return the section of the recorded BTC chains."""
    btc = underlying("BTC")
    lake = open_lake(str(scratch / "btc"))
    if not sessions_held(lake, T.CHAIN_SNAPSHOTS, "BTC"):
        LOG.info("snapshots: %d", import_chains(lake, chains))
    for day in sessions_held(lake, T.CHAIN_SNAPSHOTS, "BTC"):
        derive(lake, btc, day, curve=None)
    files = features(lake, btc, universe_of(BTC_MONITOR), scratch / "features_btc")
    rows, _ = evaluated(files, pq.read_table, first=LEAST_SESSIONS)
    return section("Recorded BTC chains", rows, "detection_btc.png", RECORDED)


HEAD = """# Recorded detection

What anomaly scores find of anomalies put in by hand, what they miss, and what they find where
nothing is. Written by `dealer_assets_tests/reference/make_detection_study.py`; the terms are those
of [methods/evaluation.md](methods/evaluation.md), which also says what to make of it. Every session
is judged with a baseline of up to 60 before it: 60 of simulated ones, at least 20 of recorded ones.
"""
CLEAN = f"""The default monitor (`{DEFAULT_MONITOR}`), simulated through the provider, ingest,
pricing and surface. The simulator repeats a quote of half an hour ago in 1 % of rows; here what
rests on them is left out, as the check `frozen_contracts` does where it sees the minutes. Nothing
else is out of the ordinary: every discovery that was not put in is false."""
AS_SIMULATED = """The same days with their stale quotes: some stand many half-spreads off their
neighbours. They count as false here, though each is off indeed; and they stand in the history,
where they make a real shock of vol look less rare."""
RECORDED = f"""The recorded chains of Deribit (monitor `{BTC_MONITOR}`). What the days themselves
held is not known: discoveries nobody put in are not false for that. These chains count no volume of
their session: nothing that rests on it is put in."""


if __name__ == "__main__":
    main()
