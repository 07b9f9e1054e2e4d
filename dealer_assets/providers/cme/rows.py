"""Rows of CME's settlements: what its layouts share.

Belongs here: CME's clock, cells with marks, judging rows, building the table. Does not belong here:
a layout's field names (one module each).

A settlement stands for 15:00 Chicago, New York's close. What CME publishes free of charge can be
read from midnight Chicago on; a file that prints when it was made is known from then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.sessions import session_close, session_on_or_before
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.cme.products import Product
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.record_quarantine import quarantine, refuse_if_hopeless
from dealer_assets.providers.record_rows import Place, Source, build, by_day
from dealer_assets.providers.source_names import named_date

CHICAGO = ZoneInfo("America/Chicago")

Floats = NDArray[np.float64]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)$"
_NOTHING = pa.array(["", "-", "UNCH", "NEW"])


@dataclass(frozen=True)
class Cells:
    """Cells of one column, shape (n,).

    Parameters
    ----------
    values : float64 array
        NaN where the cell is empty, dashes, ``UNCH`` or ``NEW``; 0 for ``CAB``; infinity where it
        is no number.
    is_cabinet : bool array
        The cell says ``CAB``: the least price a worthless option can be closed at.
    """

    values: Floats
    is_cabinet: NDArray[np.bool_]


def read_cells(texts: Sequence[str] | pa.Array) -> Cells:
    """Read numbers with thousands separators and CME's marks; ``A`` and ``B`` (ask, bid) go."""
    found = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    bare = pc.replace_substring(pc.utf8_trim_whitespace(pc.fill_null(found, "")), ",", "")
    bare = pc.replace_substring_regex(bare, r"^-{2,}$", "")
    is_cabinet = pc.equal(bare, "CAB").to_numpy(zero_copy_only=False)
    bare = pc.replace_substring_regex(bare, r"^(.*\d\.?)[AB]$", r"\1")
    is_number = pc.match_substring_regex(bare, _NUMBER).to_numpy(zero_copy_only=False)
    is_nothing = pc.is_in(bare, value_set=_NOTHING).to_numpy(zero_copy_only=False)
    numbers = pc.if_else(pa.array(is_number), bare, "nan").cast(pa.float64()).to_numpy()
    values = np.where(is_cabinet, 0.0, np.where(is_number | is_nothing, numbers, np.inf))
    return Cells(values, is_cabinet)


@dataclass(frozen=True)
class Lines:
    """Parsed rows of one file, n of them; see `tables.FUTURES_OPTION_SETTLEMENTS`.

    Parameters
    ----------
    products : sequence of Product, length n
    months : sequence of str, length n
        Contract months.
    expiries : datetime64[D] array, shape (n,)
        NaT where not known.
    is_call : bool array, shape (n,)
    strikes, volume, open_interest, change : float64 array, shape (n,)
        NaN where not given, infinity where no number.
    settlement : Cells
    open_interest_of : str
        Which close the open interest is of.
    row_numbers : int64 array, shape (n,)
    raw_texts : sequence of str, length n
    reasons : object array of str, shape (n,)
        What the layout found wrong with a row; blank where nothing.
    """

    products: Sequence[Product]
    months: Sequence[str]
    expiries: NDArray[np.datetime64]
    is_call: NDArray[np.bool_]
    strikes: Floats
    settlement: Cells
    volume: Floats
    open_interest: Floats
    change: Floats
    open_interest_of: str
    row_numbers: NDArray[np.int64]
    raw_texts: Sequence[str]
    reasons: NDArray[np.object_]


def settled(day: date, name: str) -> date:
    """Return the session of a trade date; refuse one that cannot be."""
    if not 1990 <= day.year <= 2100:
        refuse(name, f"expected a trade date, found {day}")
    return session_on_or_before("XNYS", day)


def trade_date(printed: date | None, name: str) -> tuple[date, list[Finding]]:
    """Return the session by the payload's date, else by the file's name, and what contradicts.

    Raises
    ------
    BadInputError
        When neither has a date.
    """
    named = named_date(name)
    day = printed or named
    if day is None:
        refuse(
            name,
            "expected a trade date in the payload or the file's name, found neither",
            remedy="put the date into the name, as in E4AQ26_2026-08-21.json",
        )
    findings = []
    if printed is not None and named is not None and named != printed:
        text = f"the file's name says {named}, its contents {printed}: name ignored"
        findings.append(Finding("file_name_date_mismatch", text))
    session = settled(day, name)
    if session != day:
        text = f"{day} is no session: taken as the settlement of {session}"
        findings.append(Finding("trade_date_no_session", text))
    return session, findings


def preliminary(title: str) -> list[Finding]:
    """Return the finding that figures are not final, when their title says so."""
    if "PRELIM" not in title.upper():
        return []
    text = f"expected final figures, the file says {title.strip()[:60]!r}: kept, import it again"
    return [Finding("preliminary_settlements", text)]


def free_from(day: date) -> datetime:
    """Return the UTC instant from which a trade date's figures are free: midnight in Chicago."""
    return datetime.combine(day + timedelta(days=1), time(0), CHICAGO).astimezone(UTC)


def closed_at(day: date) -> datetime:
    """Return the UTC instant that the settlement of a session stands for."""
    return session_close("XNYS", day)


def place(days: NDArray[np.datetime64], known_at: datetime | None = None) -> Place:
    """Return where rows of these sessions belong; `known_at`: when the file says it was made."""
    event_at = by_day(days, closed_at)
    if known_at is None:
        return Place(days, event_at, by_day(days, free_from))
    stamp = np.datetime64(known_at.astimezone(UTC).replace(tzinfo=None), "us")
    return Place(days, event_at, np.maximum(event_at, stamp))


def to_records(
    lines: Lines, places: Place, source: Source, *, findings: Sequence[Finding] = ()
) -> Records:
    """Judge rows, and build the table from those that can be believed.

    Raises
    ------
    BadInputError
        When there are none, or more than 1 % cannot be believed.
    """
    reasons = _judge(lines, places)
    if not reasons.size:
        refuse(source.name, "expected option rows of a product in the registry, found none")
    refuse_if_hopeless(source, reasons, row_numbers=lines.row_numbers, raw_texts=lines.raw_texts)
    good, bad = np.flatnonzero(reasons == ""), np.flatnonzero(reasons != "")
    symbols = [product.underlying for product in lines.products]
    return Records(
        table=tables.FUTURES_OPTION_SETTLEMENTS,
        rows=_build(lines, places, good, source),
        provider=source.provider,
        source_name=source.name,
        source_sha256=source.sha256,
        rejected=quarantine(
            source,
            reasons=reasons[bad],
            places=places.take(bad),
            underlyings=[symbols[row] for row in bad.tolist()],
            row_numbers=lines.row_numbers[bad],
            raw_texts=[lines.raw_texts[row] for row in bad.tolist()],
        ),
        findings=tuple(findings),
    )


def _judge(lines: Lines, places: Place) -> NDArray[np.object_]:
    reasons = lines.reasons.copy()

    def reject(where: NDArray[np.bool_], reason: str) -> None:
        reasons[where & (reasons == "")] = reason

    price, volume, held = lines.settlement.values, lines.volume, lines.open_interest
    reject(~((lines.strikes > 0) & np.isfinite(lines.strikes)), "bad_strike")
    garbled = np.isinf(price) | np.isinf(volume) | np.isinf(held) | np.isinf(lines.change)
    reject(garbled, "not_a_number")
    reject(price < 0, "negative_price")
    reject(volume < 0, "negative_volume")
    reject(held < 0, "negative_open_interest")
    reject(_is_repeat(lines, places, reasons == ""), "duplicate_contract")
    return reasons


def _is_repeat(lines: Lines, places: Place, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    codes = np.array([product.code for product in lines.products])
    rows = np.flatnonzero(candidates)
    names = [codes[rows], np.array(lines.months)[rows], places.days[rows].astype(np.int64)]
    keys = [np.unique(values, return_inverse=True)[1] for values in names]
    keys += [lines.is_call[rows].astype(np.int64)]
    stacked = np.column_stack([*keys, lines.strikes[rows].view(np.int64)])
    _, first = np.unique(stacked, axis=0, return_index=True)
    repeats = candidates.copy()
    repeats[rows[first]] = False
    return repeats


def _build(lines: Lines, places: Place, good: NDArray[np.int64], source: Source) -> pa.Table:
    picked = [lines.products[row] for row in good.tolist()]

    def known(values: Floats) -> pa.Array:
        return pa.array(values[good], pa.float64(), mask=np.isnan(values[good]))

    def same(value: str) -> pa.Array:
        return pa.repeat(pa.scalar(value), good.size)

    columns = {
        "underlying": pa.array([product.underlying for product in picked], pa.string()),
        **places.take(good).columns(),
        "product": pa.array([product.code for product in picked], pa.string()),
        "contract_month": pa.array([lines.months[row] for row in good.tolist()], pa.string()),
        "expiry_date": pa.array(lines.expiries[good].astype("datetime64[D]")).cast(pa.date32()),
        "strike": pa.array(lines.strikes[good]),
        "right": pc.if_else(pa.array(lines.is_call[good]), "call", "put"),
        "multiplier": pa.array([product.multiplier for product in picked], pa.float64()),
        "settlement_price": known(lines.settlement.values),
        "is_cabinet": pa.array(lines.settlement.is_cabinet[good]),
        "volume_contracts": known(lines.volume),
        "open_interest_contracts": known(lines.open_interest),
        "open_interest_of": same(lines.open_interest_of),
        "open_interest_change_contracts": known(lines.change),
        "sign_rule": same("unsigned"),
    }
    return build(tables.FUTURES_OPTION_SETTLEMENTS, columns, source)
