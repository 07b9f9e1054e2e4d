"""One chain file straight to levels, without a lake.

Belongs here: `dealer levels`. Does not belong here: parsing, pricing or printing, which it only
puts in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.columns import expired
from dealer_assets.domain.exposure.fitted import fitted_of
from dealer_assets.domain.exposure.snapshot import Exposure, expose
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.rates import RateCurve, curve_as_of
from dealer_assets.domain.surface.rows import quality_of, surface_of
from dealer_assets.errors import BadInputError
from dealer_assets.providers.base import ChainSnapshot, Finding
from dealer_assets.providers.files import read_chain_file
from dealer_assets.reports.wording import levels_document
from dealer_assets.underlyings import underlying

_EARLY_EXERCISE = Finding(
    "early_exercise_unpriced",
    "American options priced as European ones: no rate curve at hand. Give one to price early "
    "exercise: dealer levels --rates FILE, or dealer import FILE, with the Treasury's par yields",
)


@dataclass(frozen=True)
class PricedFile:
    """One chain of a file, priced.

    Parameters
    ----------
    document : dict
        The public levels document.
    exposure : Exposure
        Book, profile and levels behind it.
    findings : tuple of Finding
        What was odd about the file.
    quarantined : int
        Impossible rows that were left out.
    """

    document: dict[str, Any]
    exposure: Exposure
    findings: tuple[Finding, ...]
    quarantined: int


def price_file(
    path: Path, *, model: str, as_of: datetime | None = None, curves: Sequence[RateCurve] = ()
) -> list[PricedFile]:
    """Price every chain of a file.

    Parameters
    ----------
    path : Path
        File or archive in any known format.
    model : str
        Position model.
    as_of : datetime, optional
        UTC instant to value the quotes at, in place of the file's own.
    curves : sequence of RateCurve
        Rate curves, of which the latest that was known at the instant is used.

    Returns
    -------
    list of PricedFile

    Raises
    ------
    BadInputError
        When nothing in the file can be priced; the message says why.
    """
    return [
        price_snapshot(snapshot, model=model, as_of=as_of, curves=curves)
        for snapshot in read_chain_file(path)
    ]


def price_snapshot(
    snapshot: ChainSnapshot,
    *,
    model: str,
    as_of: datetime | None = None,
    curves: Sequence[RateCurve] = (),
) -> PricedFile:
    """Price one chain; parameters and errors as in `price_file`."""
    chain, findings = snapshot.rows, snapshot.findings
    if as_of is not None:
        chain, finding = _valued_at(snapshot, as_of)
        findings = (*findings, finding)
    curve = curve_as_of(curves, chain["event_at"][0].as_py()).curve
    forwards = forwards_of(chain, curve=curve)
    priced = price_chain(chain, forwards)
    if priced.num_rows == 0:
        instant = chain["event_at"][0].as_py()
        raise BadInputError(
            f"{snapshot.source_name}: nothing to price at {instant}: every contract has expired, "
            "or neither a spot nor a two-sided pair of quotes tells the underlying's price"
        )
    surface = surface_of(chain, priced, tables.VOL_SURFACE.schema.empty_table())
    fitted = fitted_of(forwards, surface, quality_of(chain, priced, surface))
    if priced["pricing_model"][0].as_py() == "black" and "american" in set(
        chain["exercise"].to_pylist()
    ):
        findings = (*findings, _EARLY_EXERCISE)
    exposure = expose(chain, priced, model=model, market=fitted)
    row = exposure.levels.to_pylist()[0]
    row["contracts"] += snapshot.rejected.num_rows
    document = levels_document(
        row,
        rejected=_left_out(snapshot.rejected, chain, priced),
        expiries=[
            day.isoformat() for day in sorted(set(exposure.book.rows["expiry_date"].to_pylist()))
        ],
    )
    document["quality"]["findings"] = [{"code": f.code, "text": f.text} for f in findings]
    return PricedFile(document, exposure, findings, snapshot.impossible)


def _valued_at(snapshot: ChainSnapshot, as_of: datetime) -> tuple[pa.Table, Finding]:
    """Move the quotes to another instant, and say so."""
    as_of = as_of.astimezone(UTC)
    calendar = underlying(snapshot.underlying).calendar
    rows = snapshot.rows
    replaced = {
        "event_at": as_of,
        "known_at": max(as_of, snapshot.known_at),
        "session_date": sessions.session_of(calendar, as_of),
    }
    for name, value in replaced.items():
        field = rows.schema.field(name)
        column = pa.array([value] * rows.num_rows, field.type)
        rows = rows.set_column(rows.schema.get_field_index(name), field, column)
    text = (
        f"valued at {as_of.isoformat()} on request; the file's own instant is {snapshot.event_at}"
    )
    return rows, Finding("as_of_overridden", text)


def _left_out(rejected: pa.Table, chain: pa.Table, priced: pa.Table) -> dict[str, int]:
    """Count the contracts that are not in the sums, each under its first reason."""
    counts = Counter(rejected["reason"].to_pylist())
    counts["expired"] = int(expired(chain).sum())
    unknown_vol = pc.is_null(priced["implied_vol"])
    for reason in pc.filter(priced["iv_reason"], unknown_vol).to_pylist():
        # a price of its own is no use where its slice has no out-of-the-money quote
        counts["no_vol_in_slice" if reason == "ok" else f"no_vol_{reason}"] += 1
    open_interest = pc.fill_null(priced["open_interest_contracts"], -1.0)
    known_vol = pc.invert(unknown_vol)
    counts["no_open_interest"] = (
        pc.sum(pc.and_(known_vol, pc.equal(open_interest, 0.0))).as_py() or 0
    )
    counts["unknown_open_interest"] = (
        pc.sum(pc.and_(known_vol, pc.less(open_interest, 0.0))).as_py() or 0
    )
    return {reason: n for reason, n in counts.items() if n}
