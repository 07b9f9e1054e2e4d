"""Asking a host and reading its answer as one attempt, so that a garbled answer is asked for again.

Belongs here: what all keyless sources share: fetch, read, try again, and how a probe words an
error. Does not belong here: carrying a request (`http`), pauses (`patience`), any vendor's format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    RateLimitedError,
)
from dealer_assets.providers.base import Probe
from dealer_assets.providers.http import Http, HttpAnswer
from dealer_assets.providers.patience import Patience

Answer = TypeVar("Answer")

ONE_ATTEMPT = Patience(attempts=1)
"""For an `Http` whose answers are asked for again out here, when they cannot be read."""


def ask(
    http: Http,
    path: str,
    params: Mapping[str, str | int] | None,
    read: Callable[[HttpAnswer], Answer],
    *,
    patience: Patience,
) -> Answer:
    """Return what `read` makes of an answer, after as many attempts as patience allows.

    Parameters
    ----------
    http : Http
        Host; with `ONE_ATTEMPT`, or attempts multiply.
    path : str
        Beginning with ``/``.
    params : mapping or None
        Query.
    read : callable
        Reads the answer; a `BadInputError` of it counts as a failure that may pass, because a body
        cut off in between looks like nothing else.
    patience : Patience
        Attempts and pauses.

    Raises
    ------
    GarbledAnswerError
        When the last answer was a web page or could not be read.
    ProviderError
        As `Http.get`, or `read`'s own.
    """

    def attempt() -> Answer:
        found = http.get_text(path, params)
        try:
            return read(found)
        except BadInputError as error:
            raise GarbledAnswerError(f"{http.vendor} gave no usable answer: {error}") from error

    return patience.call(attempt)


def require_address(vendor: str, base_url: str) -> None:
    """Refuse a wrong base URL when a provider is built, not at its first request.

    `Http` refuses it as well; building one only for that costs the certificates of the system.

    Raises
    ------
    BadInputError
        When it has no scheme or host.
    """
    if not base_url.startswith(("http://", "https://")) or len(base_url) < len("http://x"):
        raise BadInputError(
            f"expected the base URL of {vendor} like https://host, found {base_url!r}"
        )


def failed_probe(source: str, error: ProviderError) -> Probe:
    """Return what a probe tells when its source raised instead of answering."""
    is_refused = isinstance(error, NotEntitledError)
    answered = (NotEntitledError, NoDataError, RateLimitedError, GarbledAnswerError)
    return Probe(
        source=source,
        is_reachable=isinstance(error, answered),
        is_entitled=False if is_refused else None,
        detail=str(error),
    )
