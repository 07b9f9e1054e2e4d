"""All detectors asked about one snapshot, and their answers as rows.

Belongs here: the rows of `data_anomalies`. Does not belong here: any detector.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from itertools import chain as chained

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.anomaly.data.holdings import Counts, counts_found, holdings_found
from dealer_assets.domain.anomaly.data.imported import imported_found
from dealer_assets.domain.anomaly.data.quotes import quotes_found
from dealer_assets.domain.anomaly.data.scene import WORDS, Found, Scene
from dealer_assets.domain.anomaly.data.volumes import volumes_found


def anomalies_of(scene: Scene, counts: Counts | None = None) -> pa.Table:
    """Return what is wrong with a snapshot's data.

    Parameters
    ----------
    scene : Scene
        The snapshot and those before it; all known when it was.
    counts : Counts, optional
        The session's published open interest, known when the snapshot was.

    Returns
    -------
    pyarrow.Table
        `tables.DATA_ANOMALIES`, one row a kind; none when nothing is wrong. Known when the latest
        of its inputs was.
    """
    found = chained(
        quotes_found(scene),
        holdings_found(scene),
        volumes_found(scene),
        imported_found(scene),
        counts_found(counts) if counts is not None else (),
    )
    now = scene.now
    read = [now, scene.before, scene.earlier, scene.closing, scene.sources]
    read += [counts.rows, counts.before] if counts is not None else []
    return rows_of(
        found,
        underlying=scene.underlying.symbol,
        session_date=now["session_date"][0].as_py(),
        event_at=now["event_at"][0].as_py(),
        known_at=max(pc.max(rows["known_at"]).as_py() for rows in read if rows.num_rows),
        contracts=scene.contracts,
    )


def anomalies_of_counts(counts: Counts, *, underlying: str) -> pa.Table:
    """Return what is wrong with a session's open interest, of which no chain is held.

    Parameters
    ----------
    counts : Counts
        With rows.
    underlying : str
        Registry symbol.

    Returns
    -------
    pyarrow.Table
        `tables.DATA_ANOMALIES` of the instant from which the counts were known.
    """
    known_at = pc.max(counts.rows["known_at"]).as_py()
    return rows_of(
        counts_found(counts),
        underlying=underlying,
        session_date=counts.session_date,
        event_at=known_at,
        known_at=known_at,
        contracts=counts.rows.num_rows,
    )


def rows_of(
    found: Iterable[Found],
    *,
    underlying: str,
    session_date: date,
    event_at: datetime,
    known_at: datetime,
    contracts: int,
) -> pa.Table:
    """Return findings as rows of `tables.DATA_ANOMALIES`; of one kind the first stays."""
    kinds: dict[str, Found] = {}
    for one in found:
        kinds.setdefault(one.kind, one)
    rows = [
        {
            "underlying": underlying,
            "session_date": session_date,
            "event_at": event_at,
            "known_at": known_at,
            "kind": kind,
            "action": tables.ANOMALY_ACTIONS[kind],
            "scope": "snapshot" if one.symbols is None else "contracts",
            "contracts": one.contracts,
            "share": min(one.contracts / contracts, 1.0) if contracts else 1.0,
            "symbols": list(one.symbols or ()),
            "spoils": [] if one.is_mended else list(tables.ANOMALY_SPOILS[kind]),
            "source": one.source,
            "found": one.found,
            "expected": one.expected,
            "words": f"{WORDS[kind]}: {one.found}.",
        }
        for kind, one in sorted(kinds.items())
    ]
    return pa.Table.from_pylist(rows, schema=tables.DATA_ANOMALIES.schema)
