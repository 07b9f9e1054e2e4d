"""The BTC study of `docs/methods/regimes.md`: recorded chains to regimes, and what they are worth.

Belongs here: the way from parquet months of recorded Deribit chains through the lake's own steps to
figures. Does not belong here: any formula. Run as a module with the folder of the chains, a file of
daily prices and a scratch folder for the lake; nothing of it enters the project.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from dealer_assets import tables
from dealer_assets.derived import trailing
from dealer_assets.domain.columns import floats
from dealer_assets.domain.exposure.fitted import fitted_of
from dealer_assets.domain.exposure.metrics import metrics_of
from dealer_assets.domain.exposure.persistence import following, persistence_of
from dealer_assets.domain.exposure.regimes import regimes_of
from dealer_assets.domain.exposure.snapshot import exposures_of, levels_of
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.surface.rows import quality_of, surface_of
from dealer_assets.intake.imports import import_files
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.lake.reader import sessions_held
from dealer_assets.lake.refresh import PREVIOUS, refresh_snapshots
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.providers import deribit_csv
from dealer_assets.providers.assembly import assemble
from dealer_assets.tables import Table
from dealer_assets.underlyings import underlying

LOG = logging.getLogger("study")
ASSET = underlying("BTC")
MODEL = "naive"


def import_chains(lake: Lake, folder: Path) -> int:
    """Store every snapshot of the months, read as the CSV they were recorded as."""
    count = 0
    for path in sorted(folder.glob("*.parquet")):
        for name, payload in snapshots(pq.read_table(path)):
            digest = hashlib.sha256(payload).hexdigest()
            for raw in deribit_csv.parse(payload, name=name, sha256=digest):
                store_snapshot(lake, assemble(raw))
                count += 1
    return count


def snapshots(rows: pa.Table) -> Iterator[tuple[str, bytes]]:
    """Return each instant's rows as a CSV file of the recorder's layout."""
    for instant in sorted(set(rows["timestamp"].to_pylist())):
        same = pc.equal(rows["timestamp"], pa.scalar(instant, rows.schema.field("timestamp").type))
        chain = rows.filter(same)
        text = f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00"
        chain = chain.set_column(0, "timestamp", pa.array([text] * chain.num_rows))
        buffer = io.BytesIO()
        pacsv.write_csv(chain, buffer)
        yield f"deribit_options_snapshot_{instant:%Y%m%dT%H%M%SZ}.csv", buffer.getvalue()


Derive = Callable[[Mapping[str, pa.Table]], pa.Table]
T = tables
STEPS: tuple[tuple[Table, tuple[Table, ...], Derive], ...] = (
    (T.FORWARDS, (T.CHAIN_SNAPSHOTS,), lambda r: forwards_of(r["chain_snapshots"], curve=None)),
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
    (
        T.SURFACE_QUALITY,
        (T.CHAIN_SNAPSHOTS, T.CONTRACT_GREEKS, T.VOL_SURFACE),
        lambda r: quality_of(r["chain_snapshots"], r["contract_greeks"], r["vol_surface"]),
    ),
    (
        T.DEALER_EXPOSURE,
        (T.CONTRACT_GREEKS,),
        lambda r: exposures_of(r["contract_greeks"], model=MODEL),
    ),
    (
        T.EXPOSURE_LEVELS,
        (T.CHAIN_SNAPSHOTS, T.CONTRACT_GREEKS, T.FORWARDS, T.VOL_SURFACE, T.SURFACE_QUALITY),
        lambda r: levels_of(
            r["chain_snapshots"],
            r["contract_greeks"],
            model=MODEL,
            market=fitted_of(r["forwards"], r["vol_surface"], r["surface_quality"]),
        ),
    ),
)


def derive_session(lake: Lake, day: date, *, spent: dict[str, float]) -> None:
    """Bring every derived table of a session up to date."""
    adv = trailing.adv_known(lake, ASSET, day, simulated=False)
    sources = (T.DEALER_EXPOSURE, T.EXPOSURE_LEVELS, T.VOL_SURFACE)

    def metrics(rows: Mapping[str, pa.Table]) -> pa.Table:
        return metrics_of(*(rows[s.name] for s in sources), rows[PREVIOUS], adv=adv)

    steps = [*STEPS, (T.EXPOSURE_METRICS, sources, metrics)]
    for table, of, derive in steps:
        options = {"adv": adv.identity} if table is T.EXPOSURE_METRICS else {}
        _refresh(lake, table, of, day, derive, options=options, spent=spent)
    history = trailing.closings(lake, ASSET, day)
    _refresh(
        lake,
        T.DEALER_REGIMES,
        (T.EXPOSURE_METRICS,),
        day,
        lambda rows: regimes_of(rows["exposure_metrics"], history, rows[PREVIOUS]),
        options={"history": trailing.identity(history)},
        spent=spent,
    )


def _refresh(
    lake: Lake,
    table: Table,
    of: tuple[Table, ...],
    day: date,
    derive: Derive,
    *,
    options: Mapping[str, str],
    spent: dict[str, float],
) -> None:
    begun = time.process_time()
    refresh_snapshots(
        lake,
        table,
        sources=of,
        underlying=ASSET.symbol,
        session_date=day,
        derive=derive,
        options=options,
        with_previous=True,
    )
    spent[table.name] = spent.get(table.name, 0.0) + time.process_time() - begun


def report(lake: Lake) -> None:
    """Log how often labels stay and what followed them."""
    days = sessions_held(lake, T.DEALER_REGIMES, ASSET.symbol)
    rows = pa.concat_tables(
        [trailing.closing_of(lake, ASSET, day, table=T.DEALER_REGIMES) for day in days]
    )
    spot = floats(rows, "spot")
    date_of = np.array(days, "datetime64[D]")
    move = np.full(spot.size, np.nan)
    adjacent = np.diff(date_of).astype(int) == 1
    move[:-1] = np.where(adjacent, 100.0 * np.abs(np.diff(np.log(spot))), np.nan)
    labels = np.array([label or "undetermined" for label in rows["regime"].to_pylist()])
    gamma = floats(rows, "gamma")
    sources = np.array(rows["thresholds_from"].to_pylist())
    LOG.info("sessions %d, %s to %s", spot.size, days[0], days[-1])
    for word in ("static", "mixed", "history"):
        LOG.info("  thresholds %s: %d", word, int((sources == word).sum()))
    for name, chosen in (("all", sources != ""), ("history", sources == "history")):
        counts = Counter(labels[chosen].tolist())
        LOG.info("labels (%s): %s", name, dict(counts.most_common()))
        LOG.info("  label persistence %s", persistence_of(labels[chosen].tolist()))
        signs = np.where(gamma[chosen] > 0, "long", "short").tolist()
        LOG.info("  gamma sign persistence %s", persistence_of(signs))
        for found in following(labels[chosen].tolist(), move[chosen]):
            LOG.info("  next |move| %s", found)
        for found in following(signs, move[chosen]):
            LOG.info("  next |move| by sign %s", found)


def main() -> None:
    """Import, derive, report."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("chains", type=Path)
    parser.add_argument("prices", type=Path)
    parser.add_argument("lake")
    asked = parser.parse_args()
    lake = open_lake(asked.lake)
    begun, wall = time.process_time(), datetime.now(UTC)
    if not sessions_held(lake, T.UNDERLYING_BARS, ASSET.symbol):
        LOG.info("prices: %d parts", len(list(import_files(lake, [asked.prices]))))
    LOG.info("bars in %.0f s of CPU", time.process_time() - begun)
    if not sessions_held(lake, T.CHAIN_SNAPSHOTS, ASSET.symbol):
        LOG.info("snapshots: %d", import_chains(lake, asked.chains))
    LOG.info("imported in %.0f s of CPU", time.process_time() - begun)
    spent: dict[str, float] = {}
    for day in sessions_held(lake, T.CHAIN_SNAPSHOTS, ASSET.symbol):
        derive_session(lake, day, spent=spent)
    LOG.info("CPU by table: %s", {name: round(s, 1) for name, s in spent.items()})
    LOG.info("%.0f s of CPU, %s elapsed", time.process_time() - begun, datetime.now(UTC) - wall)
    report(lake)


if __name__ == "__main__":
    main()
