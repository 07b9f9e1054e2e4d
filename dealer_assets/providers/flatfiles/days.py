"""A day's rows for one underlying: kept once sorted, fetched again when the vendor republishes.

Belongs here: what is kept of a file, and when it is no longer good. Does not belong here: requests
(`bucket`), files on this machine (`store`), reading them (`sorting`, `rows`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from dealer_assets.errors import GarbledAnswerError, ProviderError
from dealer_assets.providers.base import Finding, Keep
from dealer_assets.providers.flatfiles.datasets import Dataset
from dealer_assets.providers.flatfiles.sorting import Limits, day_to_parquet
from dealer_assets.providers.flatfiles.store import FlatFiles
from dealer_assets.underlyings import Underlying

VENDOR_SYMBOLS = "polygon"
"""Provider word under which the registry holds the vendor's symbols."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of a file.

    Parameters
    ----------
    dataset : Dataset
        Which kind.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Which day.
    symbols : frozenset of str or None
        Canonical symbols of quotes; None for all rows of the underlying.
    """

    dataset: Dataset
    underlying: Underlying
    session_date: date
    symbols: frozenset[str] | None = None

    @property
    def chosen(self) -> str:
        """Identity of the choice of symbols; blank for all."""
        if self.symbols is None:
            return ""
        return "-" + hashlib.sha256(",".join(sorted(self.symbols)).encode()).hexdigest()[:12]

    @property
    def piece(self) -> str:
        """Name under which the rows are kept."""
        return f"{self.dataset.word}{self.chosen}.parquet"


class SortedDays:
    """Rows of single underlyings out of the vendor's files.

    Parameters
    ----------
    files : FlatFiles
        Bucket and folder.
    limits : Limits
        Memory and threads for sorting.
    asks_for_newer : bool
        Ask whether the vendor has published another version of what is kept.
    """

    def __init__(self, files: FlatFiles, limits: Limits, *, asks_for_newer: bool) -> None:
        self._files = files
        self._limits = limits
        self._asks_for_newer = asks_for_newer

    def rows(self, wanted: Wanted, keep: Keep) -> tuple[pa.Table, list[Finding]]:
        """Return the rows: from what is kept, from this machine's file, or fetched.

        Parameters
        ----------
        wanted : Wanted
            Which rows of which file.
        keep : Keep
            Where they are kept.

        Returns
        -------
        pyarrow.Table
            Columns of `sorting.day_to_parquet`.
        list of Finding
            A file published anew, or that could not be asked about.

        Raises
        ------
        ProviderError
            As `FlatFiles.fetched` and `sorting.day_to_parquet`.
        """
        kept = _read_kept(keep.get(wanted.piece))
        if kept is None:
            return self._fetch(wanted, keep, former_etag=None)
        if not self._asks_for_newer:
            return kept, []
        former = kept.schema.metadata[b"etag"].decode()
        try:
            remote = self._files.head(wanted.dataset, wanted.session_date)
        except ProviderError as error:
            return kept, [_not_checked(wanted, str(error))]
        if remote.etag == former:
            return kept, []
        return self._fetch(wanted, keep, former_etag=former)

    def _fetch(
        self, wanted: Wanted, keep: Keep, *, former_etag: str | None
    ) -> tuple[pa.Table, list[Finding]]:
        findings = []
        with (
            self._files.fetched(wanted.dataset, wanted.session_date) as file,
            self._files.scratch() as scratch,
        ):
            target = scratch / "sorted.parquet"
            day_to_parquet(
                file.path,
                target,
                wanted.dataset,
                session_date=wanted.session_date,
                roots=_roots(wanted),
                tickers=_tickers(wanted),
                metadata={"etag": file.etag, "sha256": file.sha256},
                limits=self._limits,
            )
            former = former_etag or file.former_etag
            if former is not None and former != file.etag:
                text = (
                    f"{wanted.dataset.key(wanted.session_date)} was published anew (tag {former}, "
                    f"now {file.etag}): fetched again, its rows replace the former ones"
                )
                findings.append(Finding("republished_file", text))
            if not file.is_checked:
                findings.append(_not_checked(wanted, "the bucket did not answer"))
            payload = target.read_bytes()
        keep.put(wanted.piece, payload)
        found = _read_kept(payload)
        if found is None:
            raise GarbledAnswerError(f"{wanted.piece}: the sorted rows cannot be read back")
        return found, findings


def _read_kept(payload: bytes | None) -> pa.Table | None:
    """Return sorted rows that are kept, or None when there are none or they are no such Parquet."""
    if payload is None:
        return None
    try:
        table = pq.read_table(pa.BufferReader(payload))
    except pa.ArrowException:
        return None
    return table if b"etag" in (table.schema.metadata or {}) else None


def _roots(wanted: Wanted) -> list[str] | None:
    if not wanted.dataset.is_options or wanted.symbols is not None:
        return None
    return [root.symbol for root in wanted.underlying.roots]


def _tickers(wanted: Wanted) -> list[str] | None:
    if not wanted.dataset.is_options:
        return [wanted.underlying.vendor_symbols[VENDOR_SYMBOLS]]
    if wanted.symbols is None:
        return None
    return [f"O:{symbol}" for symbol in sorted(wanted.symbols)]


def _not_checked(wanted: Wanted, why: str) -> Finding:
    text = (
        f"whether {wanted.dataset.key(wanted.session_date)} was published anew could not be asked "
        f"({why}): the version that is held was used"
    )
    return Finding("republication_not_checked", text)
