"""Keeps what a notification URL holds out of everything that is written.

Belongs here: which pieces of a URL are secret, and striking them out of a text. Does not belong
here: sending (`sender`), or names of channels (`channels`), which hold no secret to begin with.

A notification URL is a secret as a whole: for one service the token is the password, for another
the host, for a third a piece of the path. So every piece that is long enough to be told from a
word is struck out, in each spelling it may come back in, and whatever still looks like an address
with credentials after that.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "[hidden]"

_LEAST_LENGTH = 5
"""Shorter pieces are words, ports and paths like ``hook``; passwords count from one on."""

_SPLITTING = re.compile(r"[/?&=#,@:;\s]+")
_USER_PART = re.compile(r"^[a-z][a-z0-9+.-]*://([^/@]*)@", re.IGNORECASE)
_ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]*)://[^\s'\"<>]+", re.IGNORECASE)
_KNOWN_PATHS = re.compile(
    r"(/bot|/services/|/api/webhooks/|\bBasic |\bBearer )[A-Za-z0-9:_\-./+=]+", re.IGNORECASE
)


def secrets_of(url: str) -> tuple[str, ...]:
    """Return the pieces of a notification URL that no text may show, longest first."""
    body = url.partition("://")[2] or url
    pieces = {piece for piece in _SPLITTING.split(body) if len(piece) >= _LEAST_LENGTH}
    found = _USER_PART.match(url)
    if found:
        user, _, password = found[1].partition(":")
        pieces |= {piece for piece in (password,) if len(piece) >= 2}
        pieces.add(b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())
    pieces |= {url, body}
    spelled = {way for piece in pieces for way in _spellings(piece)}
    return tuple(sorted((s for s in spelled if len(s) >= 2), key=lambda s: (-len(s), s)))


def _spellings(piece: str) -> tuple[str, ...]:
    plain = unquote(piece)
    return piece, plain, quote(plain, safe=""), quote_plus(plain), escape(plain)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text with secrets, and anything that looks like an address of a service, hidden.

    Parameters
    ----------
    text : str
        Of a log, an exception, an answer.
    secrets : iterable of str
        From `secrets_of`.
    """
    for secret in secrets:
        text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
    text = _ADDRESS.sub(rf"\1://{HIDDEN}", text)
    return _KNOWN_PATHS.sub(rf"\1{HIDDEN}", text)
