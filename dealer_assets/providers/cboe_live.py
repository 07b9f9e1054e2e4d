"""Cboe's keyless delayed quotes as a provider.

Belongs here: the request, politeness, the order of judgement. Does not belong here: the payload
(`cboe_json`), stale and frozen quotes (`cboe_standstill`), volume and open interest of another
session (`cboe_counts`), judging rows (`assembly`). The feed is undocumented and without promise;
its terms forbid redistribution.

Indices have a leading underscore (``_SPX``), shares and funds none; the registry's vendor symbols
say which. A chain is up to 14 MB, and is made anew about once a minute, so that a question within
`LEAST_INTERVAL_SECONDS` of the last gets the same answer again, hash and all, without a request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from dealer_assets.domain.conventions import VENDOR_DELAY
from dealer_assets.errors import BadInputError, NoDataError, ProviderError
from dealer_assets.providers.asking import ONE_ATTEMPT, ask, failed_probe, require_address
from dealer_assets.providers.base import (
    Capability,
    ChainSnapshot,
    Probe,
    Provider,
    Records,
)
from dealer_assets.providers.cboe_counts import open_interest_records, volume_of_the_session
from dealer_assets.providers.cboe_json import parse
from dealer_assets.providers.cboe_standstill import (
    FROZEN_AFTER,
    STALE_AFTER,
    Standing,
    frozen_note,
    stale_note,
    standing,
)
from dealer_assets.providers.http import Http, HttpAnswer
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.underlyings import Underlying

if TYPE_CHECKING:
    import httpx

DEFAULT_BASE_URL = "https://cdn.cboe.com"
"""Cboe's public host; settings may name another, tests a local server."""

LEAST_INTERVAL_SECONDS = 60.0

_PATH = "/api/global/delayed_quotes/options/"
_OLDEST_QUESTION = timedelta(days=1)

_ADVICE = {
    403: (
        "Its bot rules block some networks. Ask less often (60 seconds or more apart), or from "
        "another network"
    ),
    404: (
        "Indices need a leading underscore (_SPX), shares and ETFs none (SPY); check "
        "vendor_symbols['cboe']"
    ),
}


@dataclass(frozen=True)
class _Look:
    """One answer, remembered until the next may be asked for."""

    snapshot: ChainSnapshot
    made_at: datetime
    server_time: datetime | None
    standing: Standing
    asked_at: float


class CboeProvider(Provider):
    """Cboe's public delayed quotes; no key needed.

    Parameters
    ----------
    base_url : str
        Scheme and host.
    timeout_seconds : float
        Longest silence, at connecting or between two bytes.
    total_seconds : float
        Longest duration of one attempt.
    patience : Patience, optional
        Attempts and pauses.
    least_interval_seconds : float
        A question sooner than this after the last gets the same answer.
    stale_after, frozen_after : datetime.timedelta
        Thresholds of the findings ``stale_quotes`` and ``quotes_frozen``. The latter compares with
        the answers that this object has seen, so it needs one that lives on between questions.
    transport : httpx.BaseTransport, optional
        Replaces the network in tests.
    monotonic : callable
        Seconds, for the interval.

    Raises
    ------
    BadInputError
        When the base URL has no scheme or host.
    """

    name = "cboe"
    capabilities: frozenset[Capability] = frozenset({"chain", "open_interest"})
    delay = VENDOR_DELAY

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        *,
        timeout_seconds: float = 20.0,
        total_seconds: float = 120.0,
        patience: Patience | None = None,
        least_interval_seconds: float = LEAST_INTERVAL_SECONDS,
        stale_after: timedelta = STALE_AFTER,
        frozen_after: timedelta = FROZEN_AFTER,
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        require_address("Cboe", base_url)
        self._new_http = partial(
            Http,
            "Cboe",
            base_url,
            headers={"Accept": "application/json"},
            timeout_seconds=timeout_seconds,
            total_seconds=total_seconds,
            patience=ONE_ATTEMPT,
            advice=_ADVICE,
            transport=transport,
        )
        self._patience = patience or Patience()
        self._least_interval_seconds = least_interval_seconds
        self._stale_after = stale_after
        self._frozen_after = frozen_after
        self._monotonic = monotonic
        self._looks: dict[str, _Look] = {}
        self._locks: dict[str, threading.Lock] = {}

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the current chain; see `Provider.snapshot`.

        Raises
        ------
        ProviderUnavailableError
            When the attempts are used up by time-outs, transport failures, 429, 5xx, web pages or
            bodies cut off (`RateLimitedError`, `GarbledAnswerError`).
        NotEntitledError
            When Cboe refuses this address (401, 403).
        NoDataError
            When Cboe has no file for the symbol (404), or the registry no Cboe symbol.
        ProviderError
            When `at` lies more than a day before the answer's clock, or on any other answer.
        BadInputError
            When the chain is of another underlying, or cannot be believed.
        """
        found = self._look(underlying, at=at, patience=self._patience)
        if found.made_at - at > _OLDEST_QUESTION:
            raise ProviderError(
                f"Cboe serves the current chain only (made {found.made_at:%Y-%m-%d %H:%M} UTC), "
                f"asked for {at:%Y-%m-%d %H:%M} UTC: import recorded files or use a provider that "
                "replays"
            )
        return found.snapshot

    def open_interest(self, underlying: Underlying, *, session_date: date) -> Records:
        """Return the open interest that the current chain shows; see `Provider.open_interest`.

        Not complete while the chain is partial, or so early in the session that Cboe may not have
        taken in its open interest yet (finding ``open_interest_early``).

        Raises
        ------
        NoDataError
            When the current chain is of another session.
        ProviderError, BadInputError
            As `snapshot`.
        """
        chain = self._look(underlying, at=None, patience=self._patience).snapshot
        if chain.session_date != session_date:
            raise NoDataError(
                f"Cboe shows the session {chain.session_date} of {underlying.symbol}, asked for "
                f"{session_date}: it has the current one only"
            )
        return open_interest_records(chain, underlying)

    def probe(self, underlying: Underlying, *, now: datetime) -> Sequence[Probe]:
        """Look at the underlying's chain once; an answer younger than the interval serves."""
        source = f"cboe chain {underlying.symbol}"
        try:
            found = self._look(underlying, at=now, patience=ONE_ATTEMPT)
        except ProviderError as error:
            return (failed_probe(source, error),)
        except BadInputError as error:
            return (Probe(source, is_reachable=True, is_entitled=True, detail=str(error)),)
        chain = found.snapshot
        codes = ", ".join(finding.code for finding in chain.findings) or "nothing odd"
        return (
            Probe(
                source=source,
                is_reachable=True,
                is_entitled=True,
                data_at=chain.event_at,
                server_time=found.server_time,
                detail=f"{chain.rows.num_rows:,} contracts; {codes}",
                is_live=True,
            ),
        )

    def _look(self, underlying: Underlying, *, at: datetime | None, patience: Patience) -> _Look:
        symbol = underlying.vendor_symbols.get(self.name)
        if symbol is None:
            raise NoDataError(
                f"{underlying.symbol} has no Cboe symbol: give its registry entry "
                "vendor_symbols['cboe'], or ask another provider"
            )
        with self._locks.setdefault(symbol, threading.Lock()):
            held = self._looks.get(symbol)
            asked_at = self._monotonic()
            if held is not None and asked_at - held.asked_at < self._least_interval_seconds:
                return held
            read = partial(_read, name=f"{symbol}.json")
            with self._new_http() as http:
                answer, raw = ask(http, f"{_PATH}{symbol}.json", None, read, patience=patience)
            found = self._judged(raw, answer, underlying, at=at, asked_at=asked_at)
            self._looks[symbol] = found
            return found

    def _judged(
        self,
        raw: RawChain,
        answer: HttpAnswer,
        underlying: Underlying,
        *,
        at: datetime | None,
        asked_at: float,
    ) -> _Look:
        from dealer_assets.providers.assembly import assemble

        if raw.downloaded_at is None:
            raise BadInputError(f"{raw.source_name}: expected a timestamp, found none")
        made_at, calendar = raw.downloaded_at, underlying.calendar
        before = self._looks.get(underlying.vendor_symbols[self.name])
        stands = standing(raw, made_at, before.standing if before else None)
        volume, carried = volume_of_the_session(raw, underlying)
        notes = (
            *raw.notes,
            *stale_note(raw, calendar, now=max(at or made_at, made_at), after=self._stale_after),
            *frozen_note(stands, calendar, after=self._frozen_after),
            *carried,
        )
        floats = {**raw.floats, "volume_contracts": volume}
        chain = assemble(replace(raw, provider=self.name, floats=floats, notes=notes))
        if chain.underlying != underlying.symbol:
            raise BadInputError(
                f"{raw.source_name}: expected options of {underlying.symbol}, found "
                f"{chain.underlying}; check vendor_symbols['cboe'] in the registry"
            )
        return _Look(chain, made_at, _server_time(answer.headers), stands, asked_at)


def _read(answer: HttpAnswer, *, name: str) -> tuple[HttpAnswer, RawChain]:
    digest = sha256(answer.body).hexdigest()
    return answer, parse(answer.body, name=name, sha256=digest)[0]


def _server_time(headers: Mapping[str, str]) -> datetime | None:
    """Return the host's clock; a copy from a cache is as old as it says."""
    try:
        told = parsedate_to_datetime(headers["date"]).astimezone(UTC)
        return told + timedelta(seconds=float(headers.get("age", 0)))
    except (KeyError, ValueError):
        return None
