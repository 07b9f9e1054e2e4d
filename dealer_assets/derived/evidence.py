"""A session's signed flow from what the lake holds of it.

Belongs here: which source is read where several are held. Does not belong here: sides and sums
(`domain/flow`), when it is done (`defs/flow.py`).

The published tape comes before the live process' own trades: it is whole. Exchanges' own counts
stand beside either, as rows of their own source; nobody adds the two up. Simulated rows never meet
real ones, and are passed over where a session has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.flow import evidence
from dealer_assets.domain.flow.calibration import Calibration
from dealer_assets.domain.flow.classify import BatchOptions, classify
from dealer_assets.intake.records import once, preferred_provider
from dealer_assets.sources import SIMULATOR
from dealer_assets.underlyings import Underlying

SOURCES = (
    tables.OPTION_TRADES,
    tables.OPTION_QUOTES,
    tables.INDEX_VALUES,
    tables.LIVE_TRADES,
    tables.OPEN_CLOSE,
)
"""Tables that `session_flow` reads."""


def session_flow(
    rows: Mapping[str, pa.Table],
    asset: Underlying,
    day: date,
    *,
    calibration: Calibration | None = None,
    options: BatchOptions | None = None,
) -> pa.Table:
    """Add up a session's trades by contract: what customers bought net, and how sure that is.

    Parameters
    ----------
    rows : mapping of str to pyarrow.Table
        Rows of the session by table name, as the lake has them, doubles included; of `SOURCES`,
        those that are not held may be missing.
    asset : Underlying
        Registry entry.
    day : datetime.date
        Session.
    calibration : Calibration, optional
        What sides are worth, fitted on earlier sessions; the declared confidence without.
    options : BatchOptions, optional
        What is believed of the tape.

    Returns
    -------
    pyarrow.Table
        `tables.SIGNED_FLOW`, sorted by its key: of the source ``tape``, else ``live``, and of
        ``open_close`` where exchanges' counts are held; none when nothing is.
    """

    def of(table: tables.Table) -> pa.Table:
        return rows.get(table.name, table.schema.empty_table())

    closed_at = sessions.session_close(asset.calendar, day)
    session = evidence.Session(asset.symbol, day, closed_at)
    trades, live = of(tables.OPTION_TRADES), of(tables.LIVE_TRADES)
    parts = []
    simulated = trades.num_rows > 0 and preferred_provider(trades) == SIMULATOR
    real = _of_market(live, "feed", simulated=False)
    if real.num_rows:
        live, trades = real, trades.slice(0, 0) if simulated else trades
    if trades.num_rows:
        tape = {t.name: once(t, _of_market(of(t), simulated=simulated)) for t in SOURCES[:3]}
        classified = classify(*tape.values(), options=options)
        odds = None if calibration is None else calibration.probability(classified)
        parts.append(
            evidence.flow_of_prints(
                evidence.sided_of_tape(classified, odds),
                session,
                source="tape",
                known_at=_known_at(tape.values()),
            )
        )
    elif live.num_rows:
        parts.append(
            evidence.flow_of_prints(
                evidence.sided_of_live(live), session, source="live", known_at=_known_at([live])
            )
        )
    counts = of(tables.OPEN_CLOSE)
    if counts.num_rows:
        counted = once(tables.OPEN_CLOSE, counts)
        parts.append(evidence.flow_of_open_close(counted, session))
    return evidence.joined(parts)


def described(flow: pa.Table) -> dict[str, str | float | int]:
    """Sum up a session's signed flow for the asset's page: where from, how much, how sure."""
    if not flow.num_rows:
        return {"sources": "none: no print, live trade or exchange's count of the session is held"}
    main = _main(flow)
    volume, signed, apart, net = (
        pc.sum(main[f"{name}_contracts"]).as_py()
        for name in ("volume", "signed_volume", "apart_volume", "customer_net")
    )
    sure = pc.sum(pc.multiply(main["mean_confidence"], main["signed_volume_contracts"])).as_py()
    return {
        "sources": ", ".join(sorted(set(flow["source"].to_pylist()))),
        "contracts": main.num_rows,
        "volume_contracts": volume,
        "signed_share": signed / volume,
        "apart_share": apart / volume,
        "mean_confidence": (sure or 0.0) / signed if signed else 0.0,
        "customer_net_contracts": net,
    }


def _main(flow: pa.Table) -> pa.Table:
    """Rows of one source, as contracts of several are the same trades."""
    held = set(flow["source"].to_pylist())
    name = next(name for name in ("tape", "live", "open_close") if name in held)
    return flow.filter(pc.equal(flow["source"], name))


def _of_market(rows: pa.Table, told_by: str = "provider", *, simulated: bool) -> pa.Table:
    """Keep simulated rows or real ones: a print of the one never meets a quote of the other."""
    own = pc.equal(rows[told_by], SIMULATOR)
    return rows.filter(own if simulated else pc.invert(own))


def _known_at(inputs: Iterable[pa.Table]) -> datetime:
    """When the last of all rows that were read was known."""
    known = [pc.max(rows["known_at"]).as_py() for rows in inputs if rows.num_rows]
    latest: datetime = max(known)
    return latest
