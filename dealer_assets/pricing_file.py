"""One chain file straight to levels, without a lake.

Belongs here: `dealer levels`. Does not belong here: parsing, pricing or printing, which it only
puts in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.columns import expired, floats
from dealer_assets.domain.exposure.aggregate import Book
from dealer_assets.domain.exposure.fitted import fitted_of
from dealer_assets.domain.exposure.side_by_side import chosen_models, left_out, reads_settled
from dealer_assets.domain.exposure.snapshot import Exposure, expose
from dealer_assets.domain.positions.models import OF_OPEN_INTEREST
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
    documents : tuple of dict
        The public levels document of each model, the headline's first.
    exposures : tuple of Exposure
        Book, profile and levels behind each.
    missing : mapping of str to str
        Models that were asked for and tell nothing here, with the reason.
    findings : tuple of Finding
        What was odd about the file.
    quarantined : int
        Impossible rows that were left out.
    """

    documents: tuple[dict[str, Any], ...]
    exposures: tuple[Exposure, ...]
    missing: Mapping[str, str]
    findings: tuple[Finding, ...]
    quarantined: int

    @property
    def document(self) -> dict[str, Any]:
        """Levels document of the headline model."""
        return self.documents[0]

    @property
    def exposure(self) -> Exposure:
        """Book, profile and levels of the headline model."""
        return self.exposures[0]

    @property
    def levels_table(self) -> pa.Table:
        """Rows of `tables.EXPOSURE_LEVELS` of every model."""
        return pa.concat_tables([exposure.levels for exposure in self.exposures])

    @property
    def profile_table(self) -> pa.Table:
        """Rows of `tables.GAMMA_PROFILE` of every model."""
        return pa.concat_tables([exposure.profile_table for exposure in self.exposures])


def price_file(
    path: Path, *, model: str, as_of: datetime | None = None, curves: Sequence[RateCurve] = ()
) -> list[PricedFile]:
    """Price every chain of a file.

    Parameters
    ----------
    path : Path
        File or archive in any known format.
    model : str
        Position model; several separated by commas, or ``all``. The first is the headline: only its
        levels have bands over conventions.
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
        When nothing in the file can be priced, or no model tells anything; the message says why.
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
    settled: pa.Table | None = None,
) -> PricedFile:
    """Price one chain.

    Parameters and errors are those of `price_file`; `settled` are the positions its session opened
    with, `tables.DEALER_POSITIONS` schema, which a file by itself has none of.
    """
    models, missing = _told(model, settled)
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
    exposures = tuple(
        expose(
            chain,
            priced,
            model=one,
            settled=settled,
            market=fitted,
            conventions=one == models[0],
        )
        for one in models
    )
    rejected = _left_out(snapshot.rejected, chain, priced)
    documents = tuple(_document(e, snapshot, findings, rejected=rejected) for e in exposures)
    return PricedFile(documents, exposures, missing, findings, snapshot.impossible)


def _told(model: str, settled: pa.Table | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Choose the models that tell something, and say of the others why they do not."""
    wanted = chosen_models(model)
    missing = left_out(wanted, settled)
    told = tuple(one for one in wanted if one not in missing)
    if not told:
        raise BadInputError(
            f"expected a model that open interest alone tells, one of {list(OF_OPEN_INTEREST)}, "
            f"found {', '.join(wanted)}, which needs settled positions (dealer_positions): import "
            "the chain and materialize its session (dealer backfill), or choose another model"
        )
    return told, missing


def _document(
    exposure: Exposure,
    snapshot: ChainSnapshot,
    findings: Sequence[Finding],
    *,
    rejected: Mapping[str, int],
) -> dict[str, Any]:
    row = exposure.levels.to_pylist()[0]
    row["contracts"] += snapshot.rejected.num_rows
    document = levels_document(
        row,
        rejected={**rejected, **_without_position(exposure.book)},
        expiries=[
            day.isoformat() for day in sorted(set(exposure.book.rows["expiry_date"].to_pylist()))
        ],
    )
    document["quality"]["findings"] = [{"code": f.code, "text": f.text} for f in findings]
    return document


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
    return {reason: n for reason, n in counts.items() if n}


def _without_position(book: Book) -> dict[str, int]:
    """Count the contracts that have a vol and are not in the sums, by what the model lacks."""
    position = book.told.contracts[np.isfinite(floats(book.priced, "implied_vol"))]
    flat, unknown = int((position == 0.0).sum()), int(np.isnan(position).sum())
    if reads_settled([book.model]):
        counts = {"flat_position": flat, "unknown_position": unknown}
    else:
        counts = {"no_open_interest": flat, "unknown_open_interest": unknown}
    return {reason: n for reason, n in counts.items() if n}
