"""A chain from the book summary: all contracts of both families in one instant, in USD.

Belongs here: the summary's fields, its clock and units, and what is missing from it. Does not
belong here: requests (`provider`), deciding the session or judging rows (`assembly`).

Inverse options are quoted in coin. A price times ``underlying_price`` of its own row, the future
or synthetic (``SYN.``) forward of its own expiry, is an undiscounted dollar value under Black-76
with that forward, which is how Deribit's vols treat it (`docs/methods/inverse.md`). The index would
be wrong by the carry. Linear options are quoted in USDC, which counts as USD. The last trade's
price is put in USD by the forward of now, not of its own time.

A side without price has no order: its price is 0, as in every chain. Sizes and Greeks are not in
the summary; `near_money` brings them for chosen contracts. Volume is that of the last 24 hours,
which is no session's, and is left out. The summary repeats the index as
``estimated_delivery_price``, except for a series in its last half hour; hence the median.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from dealer_assets.errors import GarbledAnswerError
from dealer_assets.providers.csv_fields import positive, typical
from dealer_assets.providers.deribit.columns import (
    PER_CENT,
    Floats,
    Object,
    aware,
    instants,
    numbers,
    read_contracts,
    texts,
)
from dealer_assets.providers.deribit.completeness import (
    Note,
    Part,
    foreign_notes,
    is_over,
    listing_notes,
)
from dealer_assets.providers.deribit.families import Family
from dealer_assets.providers.deribit.instruments import Instruments
from dealer_assets.providers.json_fields import RowTexts
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.underlyings import Underlying

WIDEST_SPREAD = np.timedelta64(10, "s")
"""Rows of one snapshot are made within this time."""

SPOT_TOLERANCE = 0.002
"""The index asked for and the one in the summary, a second apart, differ by no larger share."""


@dataclass(frozen=True)
class Summary:
    """Rows of all families as columns; n rows, contracts that are over left out.

    Parameters
    ----------
    rows : list of object
        As received.
    names : list of str
        Instrument names.
    floats : mapping of str to float64 array, shape (n,)
        Columns of a raw chain, in our units.
    index_estimates : float64 array, shape (n,)
        Index as the rows repeat it; NaN where they do not.
    declared_expiries : array of datetime64[D], shape (n,)
        Expiry by the instrument list; NaT where not told.
    made_at : datetime.datetime
        UTC instant of the newest row.
    is_partial : bool
        Contracts that are listed have no row, or the list could not be had.
    notes : list of (str, str)
        Findings.
    """

    rows: list[Object]
    names: list[str]
    floats: dict[str, Floats]
    index_estimates: Floats
    declared_expiries: NDArray[np.datetime64]
    made_at: datetime
    is_partial: bool
    notes: list[Note] = field(default_factory=list)


def summarise(parts: Sequence[Part], underlying: Underlying) -> Summary:
    """Put the families' rows together and hold them against the instrument lists.

    Parameters
    ----------
    parts : sequence of Part
        At least one.
    underlying : Underlying
        Registry entry.

    Raises
    ------
    GarbledAnswerError
        When no row tells when it was made.
    """
    mine = [[row for row in p.rows if p.family.has(row.get("instrument_name"))] for p in parts]
    stamps = np.concatenate([instants(numbers(rows, "creation_timestamp")) for rows in mine])
    stamps = stamps[~np.isnat(stamps)]
    if not stamps.size:
        raise GarbledAnswerError(
            "Deribit's book summary has no row with creation_timestamp: expected when it was made"
        )
    newest = stamps.max()
    notes = _spread_notes(newest - stamps.min())
    read = [
        _read_part(part, rows, underlying, newest) for part, rows in zip(parts, mine, strict=True)
    ]
    is_partial = any(one.is_partial for one in read)
    return Summary(
        rows=[row for one in read for row in one.rows],
        names=[name for one in read for name in one.names],
        floats={
            name: np.concatenate([one.floats[name] for one in read]) for name in read[0].floats
        },
        index_estimates=np.concatenate([one.index_estimates for one in read]),
        declared_expiries=np.concatenate([one.declared_expiries for one in read]),
        made_at=aware(newest),
        is_partial=is_partial,
        notes=notes + [note for one in read for note in one.notes],
    )


def _spread_notes(spread: np.timedelta64) -> list[Note]:
    if spread <= WIDEST_SPREAD:
        return []
    seconds = spread / np.timedelta64(1, "s")
    text = f"rows of one summary were made {seconds:.0f} seconds apart: the newest dates them all"
    return [("summary_spread", text)]


def _read_part(
    part: Part, mine: list[Object], underlying: Underlying, now: np.datetime64
) -> Summary:
    family = part.family
    contracts = read_contracts(texts(mine, "instrument_name"), underlying)
    notes = foreign_notes(part, mine)
    over = is_over(part, mine, contracts, now)
    if over.any():
        text = f"{int(over.sum())} {family.root.symbol} contracts have expired: left out"
        notes.append(("expired_left_out", text))
    kept = np.flatnonzero(~over)
    rows = [mine[i] for i in kept.tolist()]
    names = texts(rows, "instrument_name")
    missing_notes, is_partial = listing_notes(part, names, now)
    floats, price_notes = _floats(rows, family)
    return Summary(
        rows=rows,
        names=names,
        floats=floats,
        index_estimates=_sound(numbers(rows, "estimated_delivery_price")),  # "expired" at the end
        declared_expiries=_declared(names, part.instruments),
        made_at=aware(now),
        is_partial=is_partial,
        notes=notes + missing_notes + price_notes,
    )


def _floats(rows: Sequence[Object], family: Family) -> tuple[dict[str, Floats], list[Note]]:
    forward = _sound(numbers(rows, "underlying_price"))
    unit = forward if family.is_inverse else np.ones(len(rows))
    floats = {
        ours: numbers(rows, theirs) * unit
        for theirs, ours in (("bid_price", "bid"), ("ask_price", "ask"), ("last", "last_price"))
    }
    for side in ("bid", "ask"):
        floats[side] = np.where(np.isnan(floats[side]) & ~np.isnan(unit), 0.0, floats[side])
    floats["open_interest_contracts"] = numbers(rows, "open_interest") / family.root.multiplier
    floats["vendor_implied_vol"] = positive(numbers(rows, "mark_iv") / PER_CENT)
    floats["venue_forward"] = forward
    for name in ("bid_size_contracts", "ask_size_contracts", "vendor_delta", "vendor_gamma"):
        floats[name] = np.full(len(rows), np.nan)
    lost = int(np.isnan(unit).sum())
    if not lost:
        return floats, []
    text = f"{lost} rows without underlying_price: coin prices cannot be put in USD, left unknown"
    return floats, [("forward_missing", text)]


def _sound(values: Floats) -> Floats:
    """Prices above zero; NaN for the rest."""
    return np.where(np.isfinite(values), positive(values), np.nan)


def _declared(names: Sequence[str], listed: Instruments | None) -> NDArray[np.datetime64]:
    if listed is None:
        return np.full(len(names), np.datetime64("NaT"), "datetime64[D]")
    known = dict(zip(listed.names.tolist(), listed.expires_at.astype("datetime64[D]"), strict=True))
    nothing = np.datetime64("NaT", "D")
    return np.array([known.get(name, nothing) for name in names], "datetime64[D]")


def spot_of(summary: Summary, index: float | None) -> tuple[float | None, list[Note]]:
    """Return the underlying's price, held against the summary's own.

    Parameters
    ----------
    summary : Summary
        Of `summarise`.
    index : float or None
        Index price asked for; None when it could not be had.
    """
    told = typical(summary.index_estimates)
    if index is None:
        text = "the index price could not be had: the summary's own stands for spot"
        return told, [("index_from_summary", text)] if told else []
    if told is None:
        text = f"no row of the summary repeats the index: {index:g} is not held against another"
        return index, [("index_not_checked", text)]
    gap = told / index - 1.0
    if abs(gap) <= SPOT_TOLERANCE:
        return index, []
    text = (
        f"the index is {index:g}, the summary says {told:g} ({gap:+.2%}): they are of different "
        "instants, or one is wrong; the index is used"
    )
    return index, [("index_disagrees_with_summary", text)]


def raw_chain(
    summary: Summary,
    underlying: Underlying,
    *,
    spot: float | None,
    source_name: str,
    source_sha256: str,
    notes: Sequence[Note],
) -> RawChain:
    """Return the chain for the gate.

    Parameters
    ----------
    summary : Summary
        With at least one row.
    underlying : Underlying
        Registry entry.
    spot : float or None
        Underlying price [USD].
    source_name, source_sha256 : str
        Provenance.
    notes : sequence of (str, str)
        Findings beside the summary's own.
    """
    declared = [None if np.isnat(day) else day.item() for day in summary.declared_expiries]
    return RawChain(
        provider="deribit",
        source_name=source_name,
        source_sha256=source_sha256,
        symbols=summary.names,
        floats=summary.floats,
        row_numbers=np.arange(1, len(summary.rows) + 1, dtype=np.int64),
        raw_texts=RowTexts(summary.rows),
        claimed_underlying=underlying.symbol,
        downloaded_at=summary.made_at,
        quoted_at=summary.made_at.replace(second=0, microsecond=0),
        spot=spot,
        declared_expiries=declared,
        delay=timedelta(0),
        is_partial=summary.is_partial,
        notes=(*summary.notes, *notes),
    )
