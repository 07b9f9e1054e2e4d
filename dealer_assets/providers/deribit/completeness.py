"""The book summary held against the instrument list: what is over, missing, new, or not open.

Belongs here: findings about which rows a summary has. Does not belong here: what is in a row
(`chain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.providers.deribit.columns import Contracts, Object
from dealer_assets.providers.deribit.families import Family
from dealer_assets.providers.deribit.instruments import ABSENT_FROM_SUMMARY, OVER, Instruments

Note = tuple[str, str]


@dataclass(frozen=True)
class Part:
    """What was received for one family.

    Parameters
    ----------
    family : Family
        Which one.
    rows : sequence of object
        Result of ``get_book_summary_by_currency``, other roots included.
    instruments : Instruments or None
        Its contracts; None when the list could not be had.
    trouble : str
        Why there is no list; blank when there is.
    """

    family: Family
    rows: Sequence[Object]
    instruments: Instruments | None
    trouble: str = ""


def foreign_notes(part: Part, mine: Sequence[Object]) -> list[Note]:
    """Tell of rows that are no options of the family; a stable coin has several roots' options."""
    foreign = len(part.rows) - len(mine)
    if not foreign or not part.family.is_inverse:
        return []
    text = f"{foreign} rows of other instruments than {part.family.root.symbol} options: left out"
    return [("foreign_rows_left_out", text)]


def is_over(
    part: Part, rows: Sequence[Object], contracts: Contracts, now: np.datetime64
) -> NDArray[np.bool_]:
    """Tell which rows are of contracts that have expired or been delivered, shape (n,)."""
    over = contracts.expires_at <= now  # NaT, an unreadable name, is never over
    if part.instruments is not None:
        states = part.instruments.states
        gone = set(part.instruments.names[np.isin(states, list(OVER))].tolist())
        over |= np.array([row.get("instrument_name") in gone for row in rows], np.bool_)
    return np.asarray(over)


def listing_notes(part: Part, names: Sequence[str], now: np.datetime64) -> tuple[list[Note], bool]:
    """Compare a summary's names with the list; return findings, and whether any is missing."""
    root, listed = part.family.root.symbol, part.instruments
    if listed is None:
        text = f"whether all {root} contracts are there is not known, their list could not be had: "
        return [("instruments_missing", text + part.trouble)], True
    notes = []
    wanted = listed.alive(now) & ~np.isin(listed.states, list(ABSENT_FROM_SUMMARY))
    missing = sorted(set(listed.names[wanted].tolist()) - set(names))
    if missing:
        text = (
            f"{len(missing)} of {int(wanted.sum())} listed {root} contracts are not in the "
            f"summary, e.g. {missing[0]}: the chain is partial"
        )
        notes.append(("summary_lacks_contracts", text))
    unlisted = sorted(set(names) - set(listed.names.tolist()))
    if unlisted:
        text = (
            f"{len(unlisted)} {root} contracts of the summary are not listed, e.g. {unlisted[0]}: "
            "kept, as they may be new"
        )
        notes.append(("unlisted_contracts", text))
    return notes + _state_notes(part.family, listed, names), bool(missing)


def _state_notes(family: Family, listed: Instruments, names: Sequence[str]) -> list[Note]:
    notes = []
    closed = np.isin(listed.names, list(names)) & (listed.states != "open")
    if closed.any():
        states, counts = np.unique(listed.states[closed], return_counts=True)
        found = ", ".join(f"{n} {s}" for s, n in zip(states.tolist(), counts, strict=True))
        text = f"{family.root.symbol} contracts whose book is not open: {found}; kept as quoted"
        notes.append(("books_not_open", text))
    if listed.disagreeing:
        text = (
            f"{listed.disagreeing} {family.root.symbol} contracts have other terms than their "
            "names say; names are believed"
        )
        notes.append(("terms_disagree_with_name", text))
    return notes
