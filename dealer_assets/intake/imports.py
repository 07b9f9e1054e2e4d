"""Files into the lake: chains, rate curves, and every other kind of record.

Belongs here: which reader a file goes to, and one outcome for each thing in it. Does not belong
here: reading (`providers`), storing (`ingest`, `records`, `curves`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from dealer_assets import tables
from dealer_assets.curves import is_curve_file, read_curve_file, store_curves
from dealer_assets.errors import BadInputError
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.intake.outcome import Outcome
from dealer_assets.intake.records import store_file
from dealer_assets.lake.storage import Lake


def import_files(
    lake: Lake, paths: Iterable[Path], *, curves_since: date = date.min
) -> Iterator[Outcome]:
    """Read files of any known kind and store what can be believed.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    paths : iterable of Path
        Files or archives: chains, Treasury curves, and the formats of `record_files`.
    curves_since : datetime.date
        Earlier Treasury curves are left out, and counted in the outcome's reason.

    Yields
    ------
    Outcome
        One per chain, one per file of curves, one per table and partition of other records. A
        refused file has status ``refused`` and a reason; it does not stop the others.

    Raises
    ------
    LakeUnavailableError
        When the lake cannot be written; raised before anything is read.
    """
    lake.require_writable()
    for path in paths:
        if is_curve_file(path):
            yield _import_curves(lake, path, since=curves_since)
            continue
        try:
            yield from _import_rows(lake, path)
        except BadInputError as error:
            yield Outcome(source=path.name, status="refused", reason=str(error))


def _import_rows(lake: Lake, path: Path) -> Iterator[Outcome]:
    """Chains or records; the file is read whole before the first row is stored."""
    from dealer_assets.providers.files import read_chain_file
    from dealer_assets.providers.record_files import is_record_file, read_record_file

    if is_record_file(path):
        for records in read_record_file(path):
            yield from store_file(lake, records)
        return
    for snapshot in read_chain_file(path):  # a storage error is no verdict on the file
        yield store_snapshot(lake, snapshot)


def _import_curves(lake: Lake, path: Path, *, since: date) -> Outcome:
    table = tables.TREASURY_CURVE.name
    try:
        curves = read_curve_file(path)
    except BadInputError as error:
        return Outcome(source=path.name, status="refused", reason=str(error), table=table)
    done = store_curves(lake, curves, source=path.name, since=since)
    text = f"{done.written:,} curves stored, {done.held:,} held"
    if done.earlier:
        text += f", {done.earlier:,} before {since} left out"
    return Outcome(
        source=path.name, status="stored" if done.written else "held", reason=text, table=table
    )
