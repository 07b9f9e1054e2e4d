"""Rows of published holdings and flows that are not believed, and sources that are not at all.

Belongs here: the quarantine of a source that spans sessions, and the share of damage above which
none of it is taken. Does not belong here: chains of quotes (`quarantine`), any vendor's field name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.errors import BadInputError
from dealer_assets.providers.base import ADJUSTED_ROOT, Finding
from dealer_assets.providers.quarantine import MAX_REJECTED_SHARE, RAW_TEXT_LENGTH
from dealer_assets.providers.record_rows import UNKNOWN_ROOT, Place, Roots, Source, build

NONSTANDARD_SERIES = "nonstandard_series"
EXPIRED_SERIES = "expired_series"

_NO_ERRORS = frozenset({"", ADJUSTED_ROOT, NONSTANDARD_SERIES, UNKNOWN_ROOT, EXPIRED_SERIES})
"""Good rows of contracts that are not ours, or no more: they never make a file unbelievable."""


def unlisted(roots: Roots) -> tuple[Finding, ...]:
    """Return the finding that rows of other underlyings were left out, when there were any."""
    left = int((roots.reasons == UNKNOWN_ROOT).sum())
    if not left:
        return ()
    text = f"{left:,} rows are of roots that the registry does not list: left out"
    return (Finding("unlisted_roots", text),)


def quarantine(
    source: Source,
    *,
    reasons: NDArray[np.object_],
    places: Place,
    underlyings: Sequence[str | None],
    row_numbers: NDArray[np.int64],
    raw_texts: Sequence[str],
    symbols: Sequence[str | None] | None = None,
) -> pa.Table:
    """Return rejected rows, all of the rows given.

    Parameters
    ----------
    source : Source
        Where they came from.
    reasons : object array of str, shape (n,)
        None blank.
    places : Place
        Where they would belong.
    underlyings : sequence of str or None, length n
        Registry symbol of each.
    row_numbers : int64 array, shape (n,)
        1-based row of the source.
    raw_texts : sequence of str, length n
        As received.
    symbols : sequence of str or None, length n, optional
        As far as readable.

    Returns
    -------
    pyarrow.Table
        Schema of `tables.REJECTED_ROWS`, sorted by its key.
    """
    columns = {
        "underlying": pa.array(underlyings, pa.string()),
        **places.columns(),
        "source_sha256": pa.repeat(pa.scalar(source.sha256), len(reasons)),
        "row_number": pa.array(row_numbers, pa.int64()),
        "symbol": pa.array(symbols or [None] * len(reasons), pa.string()),
        "reason": pa.array(reasons, pa.string()),
        "raw_text": pa.array([text[:RAW_TEXT_LENGTH] for text in raw_texts], pa.string()),
    }
    return build(tables.REJECTED_ROWS, columns, source)


def refuse_if_hopeless(
    source: Source,
    reasons: NDArray[np.object_],
    *,
    row_numbers: NDArray[np.int64],
    raw_texts: Sequence[str],
) -> None:
    """Refuse a source too much of which is damage.

    Raises
    ------
    BadInputError
        When more than `MAX_REJECTED_SHARE` of the rows have a reason that is an error, or none is
        left.
    """
    errors = np.flatnonzero(~np.isin(reasons, list(_NO_ERRORS)))
    if errors.size <= MAX_REJECTED_SHARE * reasons.size and (reasons == "").any():
        return
    counts = ", ".join(f"{k or 'believed'} {v}" for k, v in Counter(reasons).most_common())
    first = int(errors[0]) if errors.size else 0
    raise BadInputError(
        f"{source.name}: expected rows that can be believed but for {MAX_REJECTED_SHARE:.0%}, "
        f"found {counts} of {reasons.size}; first: row {int(row_numbers[first])}, "
        f"{raw_texts[first][:120]!r}. Nothing of it was taken: get it again"
    )
