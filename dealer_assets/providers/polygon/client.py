"""Asking the vendor: one question, as many attempts as patience allows, errors of our own.

Belongs here: the key, the host, time limits, pace, what a status and an error text mean. Does not
belong here: sockets (`transport`), paging (`pages`), what rows mean.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from dealer_assets.errors import (
    BadInputError,
    GarbledAnswerError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
)
from dealer_assets.providers.patience import Pace, Patience, raise_for_status

if TYPE_CHECKING:  # 0.3 s, and only a request needs it
    from polygon import RESTClient  # type: ignore[import-untyped]

    from dealer_assets.providers.polygon.transport import Answer, GuardedPool

T = TypeVar("T")

VENDOR = "Polygon"

GIVE_UP_AFTER = 8
"""Jobs of one errand in a row that get no answer: the rest of the errand is not begun."""

_HIDDEN = "[hidden]"
_NO_ANSWER = ("Connection aborted.",)
_ADVICE = {
    401: "The key is unknown to it: check DEALER_POLYGON_API_KEY",
    403: "The plan of this key does not cover it: see the vendor's dashboard, or ask for less",
    429: "Ask less often: lower DEALER_POLYGON_REQUESTS_PER_SECOND",
}


@dataclass(frozen=True)
class Ask:
    """One question: a method of the official client and its arguments.

    Parameters
    ----------
    what : str
        The question in words, for messages.
    method : str
        Method of `polygon.RESTClient` that takes ``raw=True``.
    args : tuple
        Positional arguments.
    kwargs : mapping
        Keyword arguments.
    """

    what: str
    method: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Follow:
    """The next page of an answer.

    Parameters
    ----------
    what : str
        The question in words, for messages.
    path : str
        Path and query; the host is ours, whatever the vendor wrote.
    """

    what: str
    path: str


class PolygonClient:
    """The vendor's REST host; safe to use from several threads.

    Parameters
    ----------
    api_key : SecretStr
        Sent in a header only, and struck out of every message.
    base_url : str
        Old host, new host or a test exchange.
    pace : Pace
        Limit of requests a second, over all threads.
    patience : Patience
        Attempts and pauses.
    threads : int
        Requests under way at once.
    timeout_seconds, total_seconds : float
        Longest silence, and longest duration of one attempt.

    Raises
    ------
    BadInputError
        When the base URL has no scheme or host, or the key holds anything but visible ASCII.
    """

    def __init__(
        self,
        api_key: SecretStr,
        *,
        base_url: str,
        pace: Pace,
        patience: Patience,
        threads: int = 16,
        timeout_seconds: float = 20.0,
        total_seconds: float = 60.0,
    ) -> None:
        if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
            raise BadInputError(
                f"expected the base URL of {VENDOR} like https://host, found {base_url!r}"
            )
        key = api_key.get_secret_value().strip()
        if not key or not all("!" <= letter <= "~" for letter in key):
            # the HTTP library would quote the header, and with it the key
            raise BadInputError(
                f"expected a key of {VENDOR} in visible ASCII, found "
                f"{'another' if key else 'none'}: check DEALER_POLYGON_API_KEY"
            )
        self.threads = threads
        self._key = SecretStr(key)
        self._base_url = base_url.rstrip("/")
        self._pace, self._patience = pace, patience
        self._limits = {"timeout_seconds": timeout_seconds, "total_seconds": total_seconds}
        self._lock = threading.Lock()
        self._pool: GuardedPool | None = None
        self._official: RESTClient | None = None

    def __repr__(self) -> str:
        """Name the host; never the key."""
        return f"PolygonClient({self._base_url})"

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._pool is not None:
            self._pool.clear()

    @property
    def official(self) -> RESTClient:
        """The official client, on our transport: time limits hold, retries are left to us."""
        with self._lock:
            if self._official is None:
                from dealer_assets.providers.polygon.transport import GuardedPool, official_client

                self._pool = GuardedPool(self._key, connections=self.threads, **self._limits)
                self._official = official_client(self._pool, base_url=self._base_url)
        return self._official

    def ask(
        self,
        question: Ask | Follow,
        read: Callable[[bytes], T],
        *,
        patience: Patience | None = None,
    ) -> T:
        """Return what `read` makes of the answer, after as many attempts as patience allows.

        Parameters
        ----------
        question : Ask or Follow
            What is asked.
        read : callable
            Reads the body; may raise `GarbledAnswerError`, which counts as a failed attempt.
        patience : Patience, optional
            Instead of the client's own.

        Raises
        ------
        ProviderError
            As `patience.raise_for_status`; `ProviderUnavailableError` also for transport failures
            and time limits, `GarbledAnswerError` for what cannot be read.
        """
        return (patience or self._patience).call(lambda: read(self._attempt(question)))

    def _attempt(self, question: Ask | Follow) -> bytes:
        import urllib3

        official = self.official
        self._pace.wait()
        try:
            answer = _send(official, question)
        except urllib3.exceptions.TimeoutError:
            silent, in_all = self._limits["timeout_seconds"], self._limits["total_seconds"]
            raise ProviderUnavailableError(
                f"{VENDOR} did not answer in time for {question.what}: silent for {silent:g} s, or "
                f"not done after {in_all:g} s; try again later"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            is_begun = isinstance(error, urllib3.exceptions.DecodeError) or (
                isinstance(error, urllib3.exceptions.ProtocolError) and error.args[:1] != _NO_ANSWER
            )
            kind = GarbledAnswerError if is_begun else ProviderUnavailableError
            problem = "broke off its answer" if is_begun else "did not answer"
            raise kind(
                f"{VENDOR} {problem} for {question.what}: {type(error).__name__}: "
                f"{self.without_key(str(error))}; try again later"
            ) from None  # the original may quote the request with its headers
        if answer.code != 200:
            raise_for_status(
                answer.code,
                vendor=VENDOR,
                asked=question.what,
                said=self.without_key(said(answer.data)),
                headers=answer.headers,
                advice=_ADVICE,
            )
        return answer.data

    def without_key(self, text: str) -> str:
        """Return a text with the key struck out."""
        return text.replace(self._key.get_secret_value(), _HIDDEN)

    def run(self, jobs: Sequence[Callable[[], T]]) -> list[T | ProviderError | None]:
        """Run jobs in threads; a failure is a result, in the place of the job's.

        Parameters
        ----------
        jobs : sequence of callable
            Begun in this order.

        Returns
        -------
        list
            One element per job: what it returned, the error it raised, or None for a job that was
            not begun, because `GIVE_UP_AFTER` in a row found that the vendor does not answer.

        Raises
        ------
        NotEntitledError
            The first one: no other job would fare better.
        """
        refusals: list[NotEntitledError] = []
        in_a_row: list[ProviderError] = []

        def one(job: Callable[[], T]) -> T | ProviderError | None:
            if refusals or len(in_a_row) >= GIVE_UP_AFTER:
                return None
            try:
                result = job()
            except NotEntitledError as error:
                refusals.append(error)
                return error
            except ProviderUnavailableError as error:
                in_a_row.append(error)
                return error
            except ProviderError as error:
                return error
            in_a_row.clear()
            return result

        with ThreadPoolExecutor(self.threads, thread_name_prefix="polygon") as pool:
            results = list(pool.map(one, jobs))
        if refusals:
            raise refusals[0]
        return results


def _send(official: RESTClient, question: Ask | Follow) -> Answer:
    if isinstance(question, Follow):
        answer: Answer = official.client.request(
            "GET", official.BASE + question.path, headers=official.headers
        )
        return answer
    kwargs = {k: dict(v) if isinstance(v, Mapping) else v for k, v in question.kwargs.items()}
    # a copy: the official client writes its defaults into what it is given
    sent: Answer = getattr(official, question.method)(*question.args, **kwargs, raw=True)
    return sent


def said(body: bytes) -> str:
    """Return the vendor's own words in an error's body, which come under two names."""
    try:
        found = json.loads(body)
    except ValueError:
        start = body[:400].decode("utf-8", "replace").strip()
        return "a web page" if start.startswith("<") else start
    if not isinstance(found, dict):
        return ""
    words = found.get("error") or found.get("message") or found.get("status") or ""
    return words if isinstance(words, str) else ""
