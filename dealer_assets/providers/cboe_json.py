"""Cboe's delayed-quotes JSON: the file format, and the keyless live feed that serves it.

Belongs here: Cboe's field names and clocks, and the HTTP request. Does not belong here: reading
columns out of JSON rows (`json_fields`), deciding the session or judging rows
(`assembly`). Source: docs/methods/files.md; the feed is undocumented by Cboe.

Two clocks, easily confused. The top-level ``timestamp`` is the UTC instant at which the file was
made, about 15 minutes after the data. ``last_trade_time``, in the header and in the rows, is New
York time without a zone; the header's is the clock of the data. Reading the first as New York time
moves a chain by four or five hours and often into another session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as sha256_of
from typing import TYPE_CHECKING, Any

import numpy as np

from dealer_assets.domain.conventions import VENDOR_DELAY
from dealer_assets.errors import (
    BadInputError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
)
from dealer_assets.providers.base import ChainProvider, ChainSnapshot
from dealer_assets.providers.csv_fields import (
    local_instants,
    new_york_to_utc,
    positive,
    refuse,
)
from dealer_assets.providers.json_fields import (
    RowTexts,
    number_column,
    positive_number,
    read_field,
    read_object,
    read_rows,
    text_column,
)
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import Underlying

if TYPE_CHECKING:  # 80 ms, and only a live request needs it
    import httpx

DEFAULT_BASE_URL = "https://cdn.cboe.com"
"""Cboe's public host; settings may name another, tests a local server."""

_REQUIRED = {
    "bid": "bid",
    "ask": "ask",
    "volume": "volume_contracts",
    "open_interest": "open_interest_contracts",
}
_OPTIONAL = {
    "bid_size": "bid_size_contracts",
    "ask_size": "ask_size_contracts",
    "last_trade_price": "last_price",
    "iv": "vendor_implied_vol",
    "delta": "vendor_delta",
    "gamma": "vendor_gamma",
}
_PATH = "/api/global/delayed_quotes/options/"
_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0"
_RETRIES = 3
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_OLDEST_QUESTION = timedelta(days=1)


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like Cboe's delayed-quotes JSON.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for this format.
    """
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (
        b'"data"' in head and b'"options"' in head
    )


def parse(payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
    """Parse one delayed-quotes payload.

    Parameters
    ----------
    payload : bytes
        JSON text.
    name : str
        File name or request, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of RawChain
        Exactly one. An implied vol of 0 means that Cboe found none, a last price of 0 that there
        was no trade: both become NaN.

    Raises
    ------
    BadInputError
        Naming file and field, when the payload is no such JSON.
    """
    top = read_object(payload, name)
    data = read_field(top, "data", dict, name=name)
    rows = read_rows(data, "options", name=name)
    floats = {
        ours: number_column(rows, f, name=name, required=True) for f, ours in _REQUIRED.items()
    }
    floats |= {ours: number_column(rows, f, name=name) for f, ours in _OPTIONAL.items()}
    for column in ("vendor_implied_vol", "last_price"):
        floats[column] = positive(floats[column])
    made_at = _made_at(top, name)
    quoted_at, notes = _quoted_at(data, made_at, name)
    return [
        RawChain(
            provider="cboe_json",
            source_name=name,
            source_sha256=sha256,
            symbols=text_column(rows, "option", name=name),
            floats=floats,
            last_trade_at=new_york_to_utc(local_instants([r.get("last_trade_time") for r in rows])),
            row_numbers=np.arange(1, len(rows) + 1, dtype=np.int64),
            raw_texts=RowTexts(rows),
            claimed_underlying=_claimed(top, data, name),
            downloaded_at=made_at,
            quoted_at=quoted_at,
            named_date=named_date(name),
            spot=positive_number(data, "current_price", name=name),
            notes=notes,
        )
    ]


def _claimed(top: Mapping[str, Any], data: Mapping[str, Any], name: str) -> str | None:
    symbol = top.get("symbol", data.get("symbol"))
    if symbol is None:
        return None
    if not isinstance(symbol, str):
        refuse(name, f"expected text in field 'symbol', found {symbol!r}")
    return symbol.lstrip("_^").upper() or None


def _made_at(top: Mapping[str, Any], name: str) -> datetime:
    text = read_field(top, "timestamp", str, name=name)
    instant = local_instants([text])[0]
    if np.isnat(instant):
        refuse(name, f"expected 'YYYY-MM-DD HH:MM:SS' (UTC) in field 'timestamp', found {text!r}")
    made: datetime = instant.item()
    return made.replace(tzinfo=UTC)


def _quoted_at(
    data: Mapping[str, Any], made_at: datetime, name: str
) -> tuple[datetime | None, tuple[tuple[str, str], ...]]:
    text = data.get("last_trade_time")
    if text is None:
        note = "header has no last_trade_time: expected the New York time of the data; left unknown"
        return None, (("header_clock_missing", note),)
    instant = new_york_to_utc(local_instants([text]))[0]
    if np.isnat(instant):
        refuse(name, f"expected New York time in field 'last_trade_time', found {text!r}")
    quoted: datetime = instant.item().replace(tzinfo=UTC)
    if quoted <= made_at:
        return quoted, ()
    note = (
        f"header last_trade_time {text} (New York) lies after the file's own timestamp "
        f"{made_at:%Y-%m-%d %H:%M:%S} UTC; the timestamp is used"
    )
    return made_at, (("quoted_after_download", note),)


class CboeProvider(ChainProvider):
    """Cboe's public delayed quotes, asked over HTTP; no key needed.

    Parameters
    ----------
    base_url : str
        Scheme and host, e.g. `DEFAULT_BASE_URL`.
    timeout_seconds : float
        Limit for connecting and for every read.
    transport : httpx.BaseTransport or None
        Replaces the network in tests.
    pause : callable
        Waits the given seconds between attempts.
    """

    name = "cboe"
    delay = VENDOR_DELAY

    def __init__(
        self,
        base_url: str,
        timeout_seconds: float = 20.0,
        *,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise BadInputError(
                f"expected a Cboe base URL that starts with http:// or https://, found {base_url!r}"
            )
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._transport = transport
        self._pause = pause

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the current chain; see `ChainProvider.snapshot`.

        Raises
        ------
        ProviderUnavailableError
            After three retries of a time-out, transport failure, 429 or 5xx.
        NotEntitledError
            When Cboe refuses this address (401, 403).
        NoDataError
            When Cboe has no file for the symbol (404), or the registry no Cboe symbol.
        ProviderError
            When `at` lies more than a day before the payload's clock, or on any other answer.
        BadInputError
            When the answer is no delayed-quotes JSON, or of another underlying.
        """
        symbol = underlying.vendor_symbols.get(self.name)
        if symbol is None:
            raise NoDataError(
                f"{underlying.symbol} has no Cboe symbol: give its registry entry "
                "vendor_symbols['cboe'], or ask another provider"
            )
        payload = self._fetch(symbol)
        digest = sha256_of(payload).hexdigest()
        raw = parse(payload, name=f"{symbol}.json", sha256=digest)[0]
        made_at = raw.downloaded_at
        if made_at is not None and made_at - at > _OLDEST_QUESTION:
            raise ProviderError(
                f"Cboe serves the current chain only (made {made_at:%Y-%m-%d %H:%M} UTC), asked "
                f"for {at:%Y-%m-%d %H:%M} UTC: import recorded files or use a provider that "
                "replays"
            )
        from dealer_assets.providers.assembly import assemble

        found = assemble(replace(raw, provider=self.name))
        if found.underlying != underlying.symbol:
            raise BadInputError(
                f"{symbol}.json: expected options of {underlying.symbol}, found "
                f"{found.underlying}; check vendor_symbols['cboe'] in the registry"
            )
        return found

    def _fetch(self, symbol: str) -> bytes:
        import httpx

        url = f"{self._base_url}{_PATH}{symbol}.json"
        problem, wait = "no attempt made", 0.0
        with httpx.Client(
            transport=self._transport,
            timeout=self._timeout_seconds,
            follow_redirects=True,
            headers={"User-Agent": _USER_AGENT, "Accept": "application/json"},
        ) as client:
            for attempt in range(_RETRIES + 1):
                if attempt:
                    self._pause(max(wait, _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)))
                try:
                    response = client.get(url)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    problem, wait = f"{type(error).__name__}: {error}", 0.0
                    continue
                if response.status_code == httpx.codes.OK:
                    return response.content
                problem, wait = _judge(response, symbol)
                if wait > _LONGEST_PAUSE_SECONDS:
                    break
        raise ProviderUnavailableError(
            f"Cboe did not answer for {symbol}: {problem} (after {attempt + 1} attempts); "
            "try again later"
        )


def _judge(response: httpx.Response, symbol: str) -> tuple[str, float]:
    """Return problem and least wait of an answer worth a retry; raise for any other."""
    status = response.status_code
    if status == 429 or status >= 500:
        after = response.headers.get("Retry-After", "")
        # the date form would need a clock to compare with; the back-off serves instead
        return f"HTTP {status}", float(after) if after.isdecimal() and after.isascii() else 0.0
    if status in (401, 403):
        raise NotEntitledError(
            f"Cboe refuses this address (HTTP {status} for {symbol}): its bot rules block some "
            "networks. Ask less often (60 seconds or more apart), or from another network"
        )
    if status == 404:
        raise NoDataError(
            f"Cboe has no delayed quotes for {symbol!r} (HTTP 404): indices need a leading "
            "underscore (_SPX), shares and ETFs none (SPY); check vendor_symbols['cboe']"
        )
    raise ProviderError(f"Cboe answered HTTP {status} for {symbol}; expected 200: check base_url")
