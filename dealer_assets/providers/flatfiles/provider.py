"""The flat files as a provider: trades, bars, quotes and index values of past sessions.

Belongs here: which file answers a question, and what is told about the answer. Does not belong
here: which rows are kept (`days`), requests (`bucket`), reading files (`sorting`, `rows`).

Of a day's file only the underlying's rows are kept, sorted, so that a replay neither fetches nor
sorts again; it only asks whether the vendor has published another version since.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.errors import (
    BadInputError,
    NotEntitledError,
    NotOfferedError,
    ProviderError,
    ProviderUnavailableError,
)
from dealer_assets.providers.base import Finding, Keep, KeepNothing, Probe, Provider, Records
from dealer_assets.providers.flatfiles import datasets
from dealer_assets.providers.flatfiles.datasets import Dataset, readable_at
from dealer_assets.providers.flatfiles.days import VENDOR_SYMBOLS, SortedDays, Wanted
from dealer_assets.providers.flatfiles.rows import (
    Day,
    Origin,
    bar_rows,
    index_day,
    option_day,
    quote_rows,
    trade_rows,
    value_rows,
)
from dealer_assets.providers.flatfiles.sorting import Limits
from dealer_assets.providers.flatfiles.store import FOLDER_BYTES, LARGEST_BYTES, FlatFiles
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import Underlying

_MOST_REJECTED = 0.01
"""Beyond this share of rejected rows a session does not count as whole."""


class FlatFilesProvider(Provider):
    """Polygon's (Massive's) flat files; to be closed.

    Parameters
    ----------
    client : botocore S3 client
        From `store.s3_client`, or any other.
    folder : pathlib.Path, optional
        Where fetched files stay for other underlyings; absent: a temporary one, gone when closed.
    largest_bytes, folder_bytes : int
        As `FlatFiles` takes them.
    limits : Limits, optional
        Memory and threads for sorting.
    index_dataset : {"minute_aggs", "values"}
        Where an index's values come from: minute bars (50 MB a day), or every value (2 GB).
    asks_for_newer : bool
        Ask whether the vendor has published another version of what is kept. Files that are fetched
        for one underlying and serve another are always asked about.
    patience : Patience, optional
        Attempts and pauses.
    """

    name = "flatfiles"
    capabilities = frozenset({"trades", "quotes", "bars", "index_values"})
    gives_whole_sessions = True

    def __init__(
        self,
        client: Any,
        folder: Path | None = None,
        *,
        largest_bytes: int = LARGEST_BYTES,
        folder_bytes: int = FOLDER_BYTES,
        limits: Limits | None = None,
        index_dataset: Literal["minute_aggs", "values"] = "minute_aggs",
        asks_for_newer: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self._temporary = None if folder else Path(tempfile.mkdtemp(prefix="flatfiles-"))
        self._files = FlatFiles(
            client,
            folder or self._temporary or Path(),
            largest_bytes=largest_bytes,
            folder_bytes=folder_bytes,
            patience=patience,
        )
        self._days = SortedDays(self._files, limits or Limits(), asks_for_newer=asks_for_newer)
        self._index_dataset = index_dataset

    def close(self) -> None:
        """Close the connections, and remove the folder if it was a temporary one."""
        self._files.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def serves(self, underlying: Underlying) -> bool:
        """Tell whether the vendor lists the underlying's options."""
        return VENDOR_SYMBOLS in underlying.vendor_symbols

    def trades(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        keep: Keep | None = None,
    ) -> Records:
        """Return the trades of a session; see `Provider.trades`.

        Raises
        ------
        ProviderError
            As `FlatFiles.fetched`.
        """
        wanted = self._wanted(datasets.OPTION_TRADES, underlying, session_date)
        return self._options(wanted, tables.OPTION_TRADES, trade_rows, keep=keep, symbols=symbols)

    def quotes(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str],
        keep: Keep | None = None,
    ) -> Records:
        """Return the quotes of chosen contracts; see `Provider.quotes`.

        A day's file of quotes has over 100 GB and cannot be read in part: unless larger files are
        allowed, `NotOfferedError` says so.
        """
        if not symbols:
            raise BadInputError("expected the symbols of the contracts whose quotes are wanted")
        wanted = self._wanted(datasets.OPTION_QUOTES, underlying, session_date, symbols)
        return self._options(wanted, tables.OPTION_QUOTES, quote_rows, keep=keep, symbols=symbols)

    def bars(
        self,
        underlying: Underlying,
        *,
        session_date: date,
        symbols: Sequence[str] | None = None,
        interval: Literal["minute", "day"] = "minute",
        keep: Keep | None = None,
    ) -> Records:
        """Return minute or day bars of a session; see `Provider.bars`."""
        dataset = datasets.OPTION_MINUTES if interval == "minute" else datasets.OPTION_DAYS
        wanted = self._wanted(dataset, underlying, session_date)

        def rows(day: Day, origin: Origin) -> pa.Table:
            return bar_rows(day, origin, interval=interval)

        return self._options(
            wanted, tables.OPTION_BARS, rows, keep=keep, symbols=symbols, unique=True
        )

    def index_values(
        self, underlying: Underlying, *, session_date: date, keep: Keep | None = None
    ) -> Records:
        """Return an index's or a share's values; see `Provider.index_values`.

        Shares come from the minute bars of the stock files, which want a plan of their own.
        """
        dataset = datasets.SHARE_MINUTES
        if underlying.kind == "index":
            is_bars = self._index_dataset == "minute_aggs"
            dataset = datasets.INDEX_MINUTES if is_bars else datasets.INDEX_VALUES
        wanted = self._wanted(dataset, underlying, session_date)
        sorted_day, findings = self._days.rows(wanted, KeepNothing() if keep is None else keep)
        origin = self._origin(wanted)
        day = index_day(sorted_day, origin)
        return _records(tables.INDEX_VALUES, value_rows(day, origin), day, origin, findings)

    def probe(self, underlying: Underlying, *, now: datetime) -> Sequence[Probe]:
        """Fetch one byte of the newest file of trades; see `Provider.probe`."""
        session = sessions.previous_session("XNYS", now.astimezone(sessions.NEW_YORK).date())
        while readable_at(session) > now:
            session = sessions.previous_session("XNYS", session)
        source = f"{self.name} trades {session}"
        try:
            remote = self._files.touch(datasets.OPTION_TRADES, session)
        except ProviderUnavailableError as error:
            return (Probe(source, is_reachable=False, detail=str(error)),)
        except ProviderError as error:
            is_entitled = not isinstance(error, NotEntitledError)
            return (Probe(source, is_reachable=True, is_entitled=is_entitled, detail=str(error)),)
        detail = f"{remote.bytes / 1e6:,.1f} MB can be read"
        closed = sessions.session_close("XNYS", session)
        return (Probe(source, True, True, closed, remote.server_time, detail),)

    def _wanted(
        self,
        dataset: Dataset,
        underlying: Underlying,
        session_date: date,
        symbols: Sequence[str] | None = None,
    ) -> Wanted:
        if not self.serves(underlying):
            raise NotOfferedError(
                f"the flat files hold no {underlying.symbol}: the registry has no symbol of the "
                f"vendor for it (vendor_symbols[{VENDOR_SYMBOLS!r}])"
            )
        if not sessions.is_session("XNYS", session_date):
            raise BadInputError(f"expected a trading day, found {session_date}")
        chosen = None if symbols is None else frozenset(symbols)
        return Wanted(dataset, underlying, session_date, chosen)

    def _origin(self, wanted: Wanted) -> Origin:
        # the request's identity and not the payload's: a republished file replaces its part
        name = wanted.dataset.source_name(wanted.session_date)
        identity = f"{self.name} {name} {wanted.underlying.symbol}{wanted.chosen}"
        return Origin(
            underlying=wanted.underlying,
            session_date=wanted.session_date,
            known_at=readable_at(wanted.session_date),
            provider=self.name,
            source_name=name,
            source_sha256=hashlib.sha256(identity.encode()).hexdigest(),
        )

    def _options(
        self,
        wanted: Wanted,
        table: tables.Table,
        rows: Callable[[Day, Origin], pa.Table],
        *,
        keep: Keep | None,
        symbols: Sequence[str] | None,
        unique: bool = False,
    ) -> Records:
        sorted_day, findings = self._days.rows(wanted, KeepNothing() if keep is None else keep)
        chosen = None if symbols is None else frozenset(symbols)
        origin = self._origin(
            Wanted(wanted.dataset, wanted.underlying, wanted.session_date, chosen)
        )
        day = option_day(sorted_day, origin, unique=unique, symbols=chosen)
        return _records(table, rows(day, origin), day, origin, findings)


def _records(
    table: tables.Table, rows: pa.Table, day: Day, origin: Origin, findings: list[Finding]
) -> Records:
    bad, good = day.rejected.num_rows, rows.num_rows
    is_complete = bad <= _MOST_REJECTED * (bad + good)
    if not good + bad:
        text = f"{origin.source_name} holds no row of {origin.underlying.symbol}"
        findings.append(Finding("no_rows", text))
    if not is_complete:
        text = (
            f"{bad:,} of {bad + good:,} rows of {origin.source_name} cannot be believed, at most "
            f"{_MOST_REJECTED:.0%} may be: the session does not count as whole"
        )
        findings.append(Finding("many_rows_rejected", text))
    return Records(
        table=table,
        rows=rows,
        provider=origin.provider,
        source_name=origin.source_name,
        source_sha256=origin.source_sha256,
        rejected=day.rejected,
        is_complete=is_complete,
        findings=tuple(findings),
    )
