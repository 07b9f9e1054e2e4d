"""OCC as a provider: open interest by series, and cleared volume by type of account; no key.

Belongs here: OCC's requests. Does not belong here: reading the answers (`occ`, `occ_series`).

Of open interest OCC shows one day only, the latest it has counted, so a day that is not kept is
lost. Its daily report tells which day that is; where the report cannot be had, the figures are
taken for the session asked for, with the finding ``open_interest_day_assumed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from dealer_assets.domain.sessions import NEW_YORK, previous_session, session_close
from dealer_assets.errors import NoDataError, ProviderError
from dealer_assets.providers.asking import ONE_ATTEMPT, ask, failed_probe, require_address
from dealer_assets.providers.base import Capability, Finding, Probe, Provider, Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.http import Http, HttpAnswer
from dealer_assets.providers.occ import parse_volume, require_report
from dealer_assets.providers.occ_dating import OTHER_SESSION, days_counted
from dealer_assets.providers.occ_series import parse_series, require_series
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.record_rows import Source
from dealer_assets.underlyings import Underlying

if TYPE_CHECKING:
    import httpx

DEFAULT_BASE_URL = "https://marketdata.theocc.com"

_VOLUME, _SERIES, _DAILY = "/volume-query", "/series-search", "/daily-open-interest"
_ADVICE = {403: "It refuses agents and networks that look like robots: ask from another network"}


class OccProvider(Provider):
    """The Options Clearing Corporation's public figures.

    Parameters
    ----------
    base_url : str
        Scheme and host.
    timeout_seconds : float
        Longest silence.
    patience : Patience, optional
        Attempts and pauses.
    transport : httpx.BaseTransport, optional
        Replaces the network in tests.

    Raises
    ------
    BadInputError
        When the base URL has no scheme or host.
    """

    name = "occ"
    capabilities: frozenset[Capability] = frozenset({"open_interest"})

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        *,
        timeout_seconds: float = 60.0,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        require_address("OCC", base_url)
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._patience = patience or Patience()
        self._transport = transport

    def serves(self, underlying: Underlying) -> bool:
        """Tell whether OCC clears the underlying's options: all that are listed in New York."""
        return underlying.calendar == "XNYS"

    def open_interest(self, underlying: Underlying, *, session_date: date) -> Records:
        """Return the open interest a session opened with; see `Provider.open_interest`.

        Raises
        ------
        NoDataError
            When OCC shows another day's, or lists no series of the underlying.
        GarbledAnswerError
            When the answer is no whole series search.
        ProviderError
            When OCC cannot be asked, or refuses.
        """
        symbol = self._symbol(underlying)
        name = f"series-search {symbol} {session_date}"

        def read(answer: HttpAnswer) -> Records:
            require_series(answer.body, asked=name)
            source = Source(self.name, name, sha256(answer.body).hexdigest())
            return parse_series(answer.body, source, session_date=session_date)

        with self._http() as http:
            assumed = self._require_counted(http, session_date)
            params = {"symbolType": "U", "symbol": symbol}
            records = ask(http, _SERIES, params, read, patience=self._patience)
        for finding in records.findings:
            if finding.code == OTHER_SESSION:
                raise NoDataError(f"OCC has no open interest for {session_date}: {finding.text}")
        return replace(records, findings=(*assumed, *records.findings))

    def account_volume(self, underlying: Underlying, *, session_date: date) -> Records:
        """Return the volume of a session by type of account, all exchanges in one request.

        Parameters
        ----------
        underlying : Underlying
            Registry entry.
        session_date : datetime.date
            Session; OCC has it from the next morning on, for two years.

        Returns
        -------
        Records
            `tables.ACCOUNT_VOLUME`.

        Raises
        ------
        NoDataError
            When it is no session, not yet published, or too old.
        GarbledAnswerError
            When the answer cannot be read, or is of another day.
        ProviderError
            When OCC cannot be asked, or refuses.
        """
        symbol = self._symbol(underlying)
        name = f"volume-query {symbol} {session_date}"

        def read(answer: HttpAnswer) -> Records:
            require_report(answer.body, asked=name)
            source = Source(self.name, name, sha256(answer.body).hexdigest())
            found = parse_volume(answer.body, source)
            days = pc.unique(found.rows["session_date"]).to_pylist()
            if days != [session_date]:
                refuse(name, f"expected volume of {session_date}, found that of {days}")
            return found

        params = {
            "reportDate": f"{session_date:%Y%m%d}",
            "format": "csv",
            "volumeQueryType": "O",
            "symbolType": "U",
            "symbol": symbol,
            "reportType": "D",
            "accountType": "ALL",
            "productKind": "ALL",
            "porc": "BOTH",
        }
        with self._http() as http:
            return ask(http, _VOLUME, params, read, patience=self._patience)

    def probe(self, underlying: Underlying, *, now: datetime) -> Sequence[Probe]:
        """Look at the daily report: is OCC reachable, and which day has it counted last."""
        source, today = "occ daily open interest", now.astimezone(NEW_YORK).date()
        try:
            with self._http() as http:
                counted = _days(http, previous_session("XNYS", today), patience=ONE_ATTEMPT)
        except ProviderError as error:
            return (failed_probe(source, error),)
        latest = counted[-1] if counted else None
        return (
            Probe(
                source=source,
                is_reachable=True,
                is_entitled=True,
                data_at=session_close("XNYS", latest) if latest else None,
                detail=f"open interest counted up to {latest or 'no day of this month'}",
            ),
        )

    def _symbol(self, underlying: Underlying) -> str:
        if not self.serves(underlying):
            raise NoDataError(
                f"OCC does not clear options on {underlying.symbol}: it clears those listed in New "
                "York; ask the underlying's own venue"
            )
        return underlying.vendor_symbols.get(self.name, underlying.symbol)

    def _require_counted(self, http: Http, session_date: date) -> tuple[Finding, ...]:
        """Refuse when OCC shows another day than the close before the session."""
        close = previous_session("XNYS", session_date)
        months = [close] if close.month == session_date.month else [close, session_date]
        try:
            days = [day for month in months for day in _days(http, month, patience=self._patience)]
        except ProviderError as error:
            text = (
                f"OCC's daily report could not be had ({error}): the figures are taken for the "
                f"session {session_date}, as asked"
            )
            return (Finding("open_interest_day_assumed", text),)
        latest = max(days, default=None)
        if latest == close:
            return ()
        raise NoDataError(
            f"OCC shows the open interest of the latest day it has counted, {latest or 'unknown'}; "
            f"session {session_date} opened with that of {close}"
            + (": ask again later" if latest is None or latest < close else ", which is gone")
        )

    def _http(self) -> Http:
        return Http(
            "OCC",
            self._base_url,
            timeout_seconds=self._timeout_seconds,
            patience=ONE_ATTEMPT,
            advice=_ADVICE,
            transport=self._transport,
        )


def _days(http: Http, month: date, *, patience: Patience) -> tuple[date, ...]:
    params = {"reportDate": f"{month:%m/%d/%Y}", "action": "download", "format": "csv"}
    name = f"daily-open-interest {month:%Y-%m}"
    return ask(
        http,
        _DAILY,
        params,
        lambda answer: days_counted(answer.body, name=name),
        patience=patience,
    )
