"""From reports to records: what was reported later, applied to the report it is about.

Belongs here: the fold over identifiers, actions and times. Does not belong here: reading files or
cells.

=============  =====================================================================================
action         effect on the record
=============  =====================================================================================
NEWT           starts it under its own identifier
MODI, CORR     its terms from now on; a cell left empty keeps what was said before
TERM           terminated, also by exercise
EROR           cancelled: it should not have been reported
REVI           live again
=============  =====================================================================================

Every later report names the report it is about, in some files the first one, in others the one
before, so the names are followed to the first. Reports are applied in the order of their event
timestamps, those of one instant in the order of identifiers, which grow with time; a NEWT comes
first. A report that occurs twice counts once. Where the first report is not in the file, its
identifier still names the record: another day's file has it, under the same name.

Identifiers have 19 digits: they are compared as text, a float would merge a thousand of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.providers.base import Finding
from dealer_assets.providers.csv_fields import local_instants

Rows = NDArray[np.int64]

_STATUS = {"NEWT": 0, "REVI": 0, "TERM": 1, "EROR": 2}
STATUSES = ("live", "terminated", "cancelled")
_ACTIONS = frozenset({*_STATUS, "MODI", "CORR"})
_KEPT = frozenset({"id", "original", "action", "event", "event_at", "row_number"})


@dataclass(frozen=True)
class Folded:
    """Records after their lifecycle, n of them, in the order of their first report in the file.

    Parameters
    ----------
    original_ids, latest_ids : list of str, length n
        Identifier of the first report, and of the last one applied.
    terms : pyarrow.Table, n rows
        Columns of text: the last value that is not empty, per column.
    status : list of str, length n
        One of `STATUSES`.
    reports : int64 array, shape (n,)
        Reports applied.
    last_event_at : datetime64[us] array, shape (n,)
        Latest event timestamp; NaT where no report has one.
    is_timed : bool array, shape (n,)
        Every report but a first one says when its event was.
    row_numbers : int64 array, shape (n,)
        Line of the last report.
    findings : tuple of Finding
        What was odd.
    """

    original_ids: list[str]
    latest_ids: list[str]
    terms: pa.Table
    status: list[str]
    reports: Rows
    last_event_at: NDArray[np.datetime64]
    is_timed: NDArray[np.bool_]
    row_numbers: Rows
    findings: tuple[Finding, ...]


def fold(reports: pa.Table) -> Folded:
    """Apply reports to each other.

    Parameters
    ----------
    reports : pyarrow.Table
        At least one row, each with an identifier; columns of `reports.COLUMNS`.

    Returns
    -------
    Folded
    """
    reports, findings = _once(reports)
    ids, originals = _texts(reports, "id"), _texts(reports, "original")
    actions = np.char.upper(_texts(reports, "action").astype(str))
    roots, names, own, more = _roots(ids, originals, actions)
    findings += more + _unknown_actions(actions)
    event_at = instants_of(reports, "event_at")
    order = _order(roots, ids, actions, event_at)
    untimed = np.isnat(event_at) & (actions != "NEWT")
    starts = np.flatnonzero(np.r_[True, np.diff(roots[order]) != 0])
    ends = np.r_[starts[1:], order.size] - 1
    first_seen = np.minimum.reduceat(order, starts)
    place = np.argsort(first_seen, kind="stable")  # records as the file has them
    held = np.zeros(names.size, dtype=np.bool_)
    held[own] = True
    in_file = held[roots[order[starts]]]
    if not in_file.all():
        text = (
            f"{np.count_nonzero(~in_file)} records are known by later reports only: expected the "
            "first report in the same file; kept under its identifier, with the terms they repeat"
        )
        findings.append(Finding("original_not_in_file", text))
    last = order[ends][place]
    return Folded(
        original_ids=names[roots[order[starts]]][place].tolist(),
        latest_ids=ids[last].tolist(),
        terms=_terms(reports, order, starts, place),
        status=[STATUSES[code] for code in _status(actions[order], starts)[place].tolist()],
        reports=(ends - starts + 1)[place],
        last_event_at=_latest(event_at[order], starts)[place],
        is_timed=~np.logical_or.reduceat(untimed[order], starts)[place],
        row_numbers=reports["row_number"].to_numpy()[last],
        findings=tuple(findings),
    )


def instants_of(reports: pa.Table, column: str) -> NDArray[np.datetime64]:
    """Return UTC instants, datetime64[us], NaT where a cell is none."""
    found = reports[column].combine_chunks().dictionary_encode()
    texts = [text.removesuffix("Z").removesuffix("+00:00") for text in found.dictionary.to_pylist()]
    values = local_instants(texts)
    codes = found.indices.to_numpy()
    return values[codes] if values.size else np.full(codes.size, np.datetime64("NaT", "us"))


def _texts(reports: pa.Table, column: str) -> NDArray[np.object_]:
    found: NDArray[np.object_] = reports[column].to_numpy()
    return found


def _once(reports: pa.Table) -> tuple[pa.Table, list[Finding]]:
    """Each report once, its last version; the order of the file is kept."""
    ids = _texts(reports, "id").astype(str)
    _, from_end = np.unique(ids[::-1], return_index=True)
    kept = np.sort(ids.size - 1 - from_end)
    if kept.size == ids.size:
        return reports, []
    codes = np.unique(ids, return_inverse=True)[1]
    last_of = np.zeros(kept.size, np.int64)
    last_of[codes[kept]] = kept
    differs = np.zeros(ids.size, dtype=np.bool_)
    for name in reports.column_names:
        if name != "row_number":
            cells = reports[name].combine_chunks()
            version = cells.take(pa.array(last_of[codes]))
            differs |= pc.not_equal(cells, version).to_numpy(zero_copy_only=False)
    text = f"{ids.size - kept.size} reports occur again under their identifier: counted once"
    findings = [Finding("report_repeated", text)]
    if differs.any():
        text = f"{np.count_nonzero(differs)} of them with other contents: the last one counts"
        findings.append(Finding("repeated_report_differs", text))
    return reports.take(pa.array(kept)), findings


def _roots(
    ids: NDArray[np.object_], originals: NDArray[np.object_], actions: NDArray[np.str_]
) -> tuple[Rows, NDArray[np.object_], Rows, list[Finding]]:
    """Return each report's record, all names, and each report's own: indices into the names."""
    about = np.where((originals == "") | (actions == "NEWT"), ids, originals)
    names, codes = np.unique(np.r_[ids, about].astype(str), return_inverse=True)
    own, parent_of = codes[: ids.size], codes[ids.size :]
    parent = np.arange(names.size)
    parent[own] = parent_of
    is_first = parent == np.arange(names.size)
    for _ in range(int(np.ceil(np.log2(names.size + 1))) + 1):
        parent = parent[parent]  # doubles the steps taken
    circular = ~is_first[parent]
    findings = []
    if circular.any():
        parent = np.where(circular, np.arange(names.size), parent)
        text = f"{np.count_nonzero(circular[own])} reports are about each other in a circle: apart"
        findings.append(Finding("circular_reports", text))
    return parent[own], names.astype(object), own, findings


def _unknown_actions(actions: NDArray[np.str_]) -> list[Finding]:
    unknown = sorted(set(np.unique(actions).tolist()) - _ACTIONS)
    if not unknown:
        return []
    count = int(np.isin(actions, unknown).sum())
    words = ", ".join(name or "blank" for name in unknown)
    text = f"{count} reports with an unknown action ({words}): terms applied, status as before"
    return [Finding("unknown_action", text)]


def _order(
    roots: Rows,
    ids: NDArray[np.object_],
    actions: NDArray[np.str_],
    event_at: NDArray[np.datetime64],
) -> Rows:
    """Order of application: record, NEWT first, event timestamp, identifier."""
    texts = ids.astype(str)
    stamps = np.where(np.isnat(event_at), np.iinfo(np.int64).min, event_at.astype(np.int64))
    keys = (texts, np.char.str_len(texts), stamps, actions != "NEWT", roots)
    return np.lexsort(keys).astype(np.int64)


def _status(actions: NDArray[np.str_], starts: Rows) -> Rows:
    """Code of each record's status: that of the last action that sets one."""
    codes = np.array([_STATUS.get(action, -1) for action in np.unique(actions).tolist()])
    code = codes[np.unique(actions, return_inverse=True)[1]]
    where = np.where(code >= 0, np.arange(code.size), -1)
    last = np.maximum.reduceat(where, starts)
    return np.where(last >= starts, code[last], 0)


def _latest(event_at: NDArray[np.datetime64], starts: Rows) -> NDArray[np.datetime64]:
    floor = np.iinfo(np.int64).min
    stamps = np.where(np.isnat(event_at), floor, event_at.astype(np.int64))
    latest = np.maximum.reduceat(stamps, starts)
    known = np.where(latest == floor, 0, latest).astype("datetime64[us]")
    return np.where(latest == floor, np.datetime64("NaT", "us"), known)


def _terms(reports: pa.Table, order: Rows, starts: Rows, place: Rows) -> pa.Table:
    """Last value of each column that is not blank, per record; the last one where all are."""
    columns = {}
    for name in reports.column_names:
        if name in _KEPT:
            continue
        cells = reports[name].combine_chunks()
        is_filled = pc.not_equal(cells, "").to_numpy(zero_copy_only=False)[order]
        where = np.where(is_filled, np.arange(order.size), -1)
        last = np.maximum.reduceat(where, starts)
        chosen = np.where(last >= starts, last, starts)
        columns[name] = cells.take(pa.array(order[chosen][place]))
    return pa.table(columns)
