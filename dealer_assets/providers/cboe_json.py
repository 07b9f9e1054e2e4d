"""Cboe's delayed-quotes JSON: the file format, and the keyless live feed that serves it.

Belongs here: Cboe's field names and clocks, the HTTP request, and the reading of typed columns out
of JSON rows (which `yahoo` uses too). Does not belong here: deciding the session or judging rows
(`assembly`). Source: docs/methods/files.md; the feed is undocumented by Cboe.

Two clocks, easily confused. The top-level ``timestamp`` is the UTC instant at which the file was
made, about 15 minutes after the data. ``last_trade_time``, in the header and in the rows, is New
York time without a zone; the header's is the clock of the data. Reading the first as New York time
moves a chain by four or five hours and often into another session.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as sha256_of
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from dealer_assets.errors import (
    BadInputError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
)
from dealer_assets.providers.base import ChainProvider, ChainSnapshot
from dealer_assets.providers.eod_l3 import (
    LARGEST_NUMBER,
    RAW_TEXT_LENGTH,
    local_instants,
    new_york_to_utc,
    positive,
    refuse,
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
_NUMBER_TYPES = frozenset({float, int, type(None)})
_PATH = "/api/global/delayed_quotes/options/"
_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0"
_RETRIES = 3
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_OLDEST_QUESTION = timedelta(days=1)


class RowTexts(Sequence[str]):
    """JSON rows as text, written only when asked for: writing 30,000 rows costs more than parsing.

    Parameters
    ----------
    rows : sequence of mapping
        Decoded rows.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return RowTexts(self._rows[index])
        return json.dumps(self._rows[index])[:RAW_TEXT_LENGTH]


def read_object(payload: bytes, name: str) -> dict[str, Any]:
    """Decode a JSON object; NaN and Infinity, which are no JSON, count as null.

    Raises
    ------
    BadInputError
        When the payload is empty, HTML, cut off, or no object.
    """
    start = payload[:64].lstrip()
    if not start:
        refuse(name, "expected a JSON object, found an empty payload")
    if start.startswith(b"<"):
        refuse(name, "expected a JSON object, found HTML or XML (an error page?)")
    try:
        found = json.loads(payload, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        refuse(name, f"expected a JSON object, found broken or cut-off JSON ({error})")
    if not isinstance(found, dict):
        refuse(name, f"expected a JSON object, found {type(found).__name__}")
    return found


def read_field(holder: Mapping[str, Any], field: str, kind: type, *, name: str) -> Any:
    """Return a required field of the given JSON type.

    Raises
    ------
    BadInputError
        When the field is missing or of another type; the message names both.
    """
    if field not in holder:
        refuse(name, f"expected the field {field!r}, found only {', '.join(sorted(holder)[:12])}")
    value = holder[field]
    if not isinstance(value, kind):
        refuse(name, f"expected {kind.__name__} in field {field!r}, found {type(value).__name__}")
    return value


def read_rows(holder: Mapping[str, Any], field: str, *, name: str) -> list[dict[str, Any]]:
    """Return a required, non-empty list of objects.

    Raises
    ------
    BadInputError
        When it is missing, empty, no list, or holds anything but objects.
    """
    rows: list[dict[str, Any]] = read_field(holder, field, list, name=name)
    if not rows:
        refuse(name, f"expected option rows in field {field!r}, found none")
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            refuse(name, f"expected an object in {field}[{position}], found {type(row).__name__}")
    return rows


def number_column(
    rows: Sequence[Mapping[str, Any]], field: str, *, name: str, required: bool = False
) -> NDArray[np.float64]:
    """Return one numeric field of all rows.

    Returns
    -------
    float64 array, shape (n,)
        NaN where the field is null, or absent and not required.

    Raises
    ------
    BadInputError
        When a required field is absent in a row, or a value is no number.
    """
    values = _values(rows, field, name=name, required=required)
    if not set(map(type, values)) <= _NUMBER_TYPES:
        position, value = next((i, v) for i, v in enumerate(values) if type(v) not in _NUMBER_TYPES)
        refuse(name, f"expected a number in field {field!r} of row {position + 1}, found {value!r}")
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:  # an integer of hundreds of digits
        numbers = np.array([np.inf])
    if (np.abs(numbers) > LARGEST_NUMBER).any():
        refuse(
            name,
            f"expected numbers up to {LARGEST_NUMBER:g} in field {field!r}, found a larger one",
        )
    return numbers


def text_column(rows: Sequence[Mapping[str, Any]], field: str, *, name: str) -> list[str]:
    """Return one required text field of all rows, pure ASCII; null is blank.

    Raises
    ------
    BadInputError
        When the field is absent in a row, or a value is no text.
    """
    values = _values(rows, field, name=name, required=True)
    for position, value in enumerate(values):
        if value is not None and type(value) is not str:
            refuse(name, f"expected text in field {field!r} of row {position + 1}, found {value!r}")
    return [v if v.isascii() else ascii(v) for v in (v or "" for v in values)]


def _values(
    rows: Sequence[Mapping[str, Any]], field: str, *, name: str, required: bool
) -> list[Any]:
    if not required:
        return [row.get(field) for row in rows]
    try:
        return [row[field] for row in rows]
    except KeyError:
        position = next(i for i, row in enumerate(rows) if field not in row)
        refuse(name, f"expected the field {field!r} in every row, row {position + 1} has none")


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


def positive_number(holder: Mapping[str, Any], field: str, *, name: str) -> float | None:
    """Return one optional number; None when it is null, absent or not above zero.

    Raises
    ------
    BadInputError
        When the value is of another JSON type.
    """
    value = float(number_column([holder], field, name=name)[0])
    return value if value > 0.0 else None


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
