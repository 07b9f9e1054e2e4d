"""What Deribit's messages are made of, typed; fields that nobody reads are not named.

Belongs here: shapes, and how a message that does not fit them is called. Does not belong here: what
the fields mean (`decode`).

Every number is a float: the venue writes 0, 0.0 and 2.0e-5 alike, and instants in milliseconds are
exact in it. What may be null or missing is optional; text where a number belongs is a mistake.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import msgspec

from dealer_assets.domain.instruments import parse_deribit
from dealer_assets.errors import BadInputError

T = TypeVar("T")


class Ticker(msgspec.Struct, gc=False):
    """State of an instrument; of a row of the book summary as well, see `Summary`."""

    instrument_name: str
    timestamp: float
    best_bid_price: float | None = None
    best_ask_price: float | None = None
    best_bid_amount: float | None = None
    best_ask_amount: float | None = None
    mark_price: float | None = None
    mark_iv: float | None = None
    open_interest: float | None = None
    index_price: float | None = None
    underlying_price: float | None = None


class Summary(msgspec.Struct, gc=False):
    """A row of `public/get_book_summary_by_currency`, which has no amounts and no index."""

    instrument_name: str
    creation_timestamp: float
    bid_price: float | None = None
    ask_price: float | None = None
    mark_price: float | None = None
    mark_iv: float | None = None
    open_interest: float | None = None
    underlying_price: float | None = None

    def ticker(self) -> Ticker:
        """Return it as a ticker without amounts."""
        return Ticker(
            self.instrument_name,
            self.creation_timestamp,
            best_bid_price=self.bid_price,
            best_ask_price=self.ask_price,
            mark_price=self.mark_price,
            mark_iv=self.mark_iv,
            open_interest=self.open_interest,
            underlying_price=self.underlying_price,
        )


class Trade(msgspec.Struct, gc=False):
    """A print, leg of a combination or not."""

    instrument_name: str
    timestamp: float
    price: float
    amount: float
    trade_id: str | int
    direction: str | None = None
    trade_seq: float | None = None
    index_price: float | None = None
    block_trade_id: str | int | None = None
    block_rfq_id: str | int | None = None
    combo_id: str | None = None
    liquidation: str | None = None


class Mark(msgspec.Struct, gc=False):
    """Mark of an option; ``iv`` is a decimal fraction here."""

    instrument_name: str
    timestamp: float
    mark_price: float | None = None
    iv: float | None = None


class IndexPrice(msgspec.Struct, gc=False):
    """Value of a price index."""

    index_name: str
    timestamp: float
    price: float


class Life(msgspec.Struct, gc=False):
    """An instrument that was listed, or whose state changed."""

    instrument_name: str
    state: str = "open"


class PlatformState(msgspec.Struct, gc=False):
    """State of the platform; most of its messages tell only which index is locked."""

    maintenance: bool | None = None


class Params(msgspec.Struct, Generic[T], gc=False):
    """Parameters of a notification."""

    channel: str
    data: T


class Notification(msgspec.Struct, Generic[T], gc=False):
    """A notification of a channel."""

    params: Params[T]


class RpcError(msgspec.Struct, gc=False):
    """An error of JSON-RPC."""

    code: int = 0
    message: str = ""


_ABSENT = msgspec.Raw(b"")


class Envelope(msgspec.Struct, gc=False):
    """Any message: reply, notification or heartbeat; contents not read yet, empty when absent."""

    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = _ABSENT
    result: msgspec.Raw = _ABSENT
    error: RpcError | None = None


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What reading a message may raise."""

_SECRETS = re.compile(r'"(access_token|refresh_token|client_secret|signature)" *: *"[^"]*"?')


def reason_of(error: Exception) -> str:
    """Return the code of a message that could not be read."""
    if not isinstance(error, msgspec.ValidationError):
        return "not_json"
    text = str(error)
    if "missing required field" in text:
        return "missing_field"
    return "bad_number" if "`float" in text or "out of range" in text else "bad_field"


def sample_of(payload: bytes) -> str:
    """Return the beginning of a message, at most 200 characters, credentials struck out."""
    text = payload[:2000].decode("utf-8", "replace")
    return _SECRETS.sub(r'"\1":"***"', text)[:200]


def number_of(trade_id: str | int) -> int:
    """Return the venue's number of a trade, the digits of ``439435597`` or ``ETH-284830839``.

    -1 where there are none, or more than 18.
    """
    text = str(trade_id)
    if "-" in text:
        text = text.rpartition("-")[2]
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 18 else -1


def is_option(name: str) -> bool:
    """Tell whether a name is that of an option, of any root."""
    try:
        parse_deribit(name)
    except BadInputError:
        return False
    return True
