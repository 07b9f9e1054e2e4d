"""Sends one message to one service, in a process of its own (``python -m`` this module).

Belongs here: apprise, and what an answer of it means. Does not belong here: when and what to send
(`delivery`); who starts and ends the process (`channels`).

Why a process: the library's time limit is per read, so a service that answers a byte now and then
holds it for ever; a process can be killed. And what the library and those below it log, addresses
with tokens included, stays in here: only `Answer` comes out, with secrets struck out.

Requests and answers are JSON, one a line, on standard input and output. A URL with its secrets
travels through the pipe only, never as an argument or a variable, which other processes can see.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from dealer_assets.alerts.redaction import redacted, secrets_of

if TYPE_CHECKING:
    from apprise import NotifyBase

READY = "ready"
"""The process's first line: the time of an answer does not include its imports."""

_LOGGERS = ("apprise", "urllib3", "requests")
_KINDS = {"notice": "info", "warning": "warning", "severe": "failure"}
_STATUS = re.compile(r"error=(\d{3})\b")
_URLLIB3_ARGUMENTS, _URLLIB3_STATUS = 8, 6
"""``%s://%s:%s "%s %s %s" %s %s``: the seventh is the status."""
_NEVER_SENT = re.compile(
    r"refused|NameResolution|Name or service|getaddrinfo|ConnectTimeout|connect timeout|"
    r"NewConnectionError|No route|unreachable|SSLError|certificate",
    re.IGNORECASE,
)
_SERVICE_SAID = re.compile(r"^Response Details:\s*b?(['\"])(.*)\1\s*$", re.DOTALL)
_LONGEST_DETAIL = 200
_BUSY = (429, 503)
_RETRY_AFTER = re.compile(r'"retry_after"\s*:\s*([0-9.]+)')

_NO_LIMIT_KNOWN = 32_768
"""The library's default, of webhooks and mail: one alert stays one message there."""

_LONGEST_MESSAGE = 5000
"""Of services with limits beyond it: they count a letter as up to seven once it is escaped."""


@dataclass(frozen=True)
class Answer:
    """What a service said.

    Parameters
    ----------
    is_accepted : bool
        The service confirmed the message.
    is_doubtful : bool
        Not confirmed, but it may have arrived: the answer was cut off or never came.
    status : int or None
        HTTP status; None where none came or the service has none.
    detail : str
        In words, without secrets.
    seconds : float
        How long it took.
    retry_after_seconds : float
        How long the service asks to be left alone; 0: it does not.
    """

    is_accepted: bool
    is_doubtful: bool = False
    status: int | None = None
    detail: str = ""
    seconds: float = 0.0
    retry_after_seconds: float = 0.0


@dataclass(frozen=True)
class Description:
    """What a service takes.

    Parameters
    ----------
    service : str
        Its name, e.g. Pushover; empty where the URL is none that can be used.
    largest : int
        Most characters of title and body together.
    problem : str
        Why the URL cannot be used, without secrets.
    """

    service: str = ""
    largest: int = 0
    problem: str = ""


class _Listener(logging.Handler):
    """Keeps what the library and those below it say during one request."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []
        self.warned: list[str] = []
        self.status: int | None = None
        self.retry_after_seconds = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.said.append(text)
        if record.levelno >= logging.WARNING:
            self.warned.append(text)
        told = _STATUS.search(text)
        if told:
            self.status = int(told[1])
        args = record.args
        if record.name == "urllib3.connectionpool" and isinstance(args, tuple):
            status = args[_URLLIB3_STATUS] if len(args) == _URLLIB3_ARGUMENTS else None
            self.status = status if isinstance(status, int) else self.status


@contextmanager
def _listening() -> Iterator[_Listener]:
    """Hear every word of the libraries, and let nobody else hear it."""
    listener = _Listener()
    before = []
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        before.append((logger, logger.level, logger.propagate, list(logger.handlers)))
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.handlers = [listener]
    try:
        yield listener
    finally:
        for logger, level, propagates, handlers in before:
            logger.setLevel(level)
            logger.propagate = propagates
            logger.handlers = handlers


@contextmanager
def _overhearing(listener: _Listener) -> Iterator[None]:
    """Read how long a service asks to be left alone: the library keeps it to itself."""
    from requests import Response, Session

    before = Session.send

    def send(self: Session, *args: Any, **options: Any) -> Response:
        response = before(self, *args, **options)
        listener.retry_after_seconds = retry_after_of(
            response.status_code, response.headers.get("Retry-After", ""), response.text
        )
        return response

    Session.send = send  # type: ignore[method-assign]  # of this process only, for one message
    try:
        yield
    finally:
        Session.send = before  # type: ignore[method-assign]


def retry_after_of(status: int, header: str, body: str) -> float:
    """Return how long a service asks to be left alone [s]; 0 where it does not.

    By the header ``Retry-After`` as seconds or as a date, else by ``retry_after`` in the body, as
    Telegram has it.
    """
    if status not in _BUSY:
        return 0.0
    found = _RETRY_AFTER.search(body)
    told = header.strip() or (found[1] if found else "")
    try:
        return max(float(told), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(told).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


class Services:
    """Services by URL, opened once: the library spaces its messages by the object's memory."""

    def __init__(self) -> None:
        self._open: dict[str, NotifyBase] = {}

    def describe(self, url: str) -> Description:
        """Return what the service of a URL takes, or why it cannot be used."""
        with _listening() as heard:
            try:
                service = self._service(url)
            except Exception as error:  # noqa: BLE001  the library's own faults end here, redacted
                return Description(problem=_words(url, [type(error).__name__]))
        if service is None:
            why = heard.warned or ["not a notification URL of apprise"]
            return Description(problem=_words(url, why))
        targets = len(service)
        if targets > 1:
            return Description(
                problem=f"has {targets} targets: expected one a URL, so that a repeat after a "
                "failure goes only where the message is missing; write the URL once a target"
            )
        most = int(service.body_maxlen)
        limit = most if most == _NO_LIMIT_KNOWN else min(most, _LONGEST_MESSAGE)
        return Description(str(service.service_name), limit)

    def send(self, url: str, *, title: str, body: str, severity: str) -> Answer:
        """Send one message and tell what came of it; never raises."""
        from apprise import Apprise, NotifyFormat, NotifyType

        begun = time.monotonic()
        with _listening() as heard, _overhearing(heard):
            try:
                service = self._service(url)
                desk = Apprise()
                is_accepted = service is not None and bool(
                    desk.add(service)
                    and desk.notify(
                        body=body,
                        title=title,
                        notify_type=NotifyType(_KINDS.get(severity, "info")),
                        body_format=NotifyFormat.TEXT,
                    )
                )
            except Exception as error:  # noqa: BLE001  the library's own faults end here, redacted
                is_accepted = False
                heard.warned.append(f"{type(error).__name__}: {error}")
        seconds = time.monotonic() - begun
        status = heard.status
        if is_accepted:
            code = "accepted" if status is None else f"HTTP {status}"
            return Answer(True, status=status, detail=code, seconds=seconds)
        is_doubtful = _may_have_arrived(heard)
        words = _words(url, [f"HTTP {status}"] if status else [], _told(heard))
        rest = heard.retry_after_seconds
        return Answer(False, is_doubtful, status, words or "refused", seconds, rest)

    def _service(self, url: str) -> NotifyBase | None:
        from apprise import Apprise

        if url not in self._open:
            made = Apprise.instantiate(url, suppress_exceptions=True)
            if made is None:
                return None
            made.retry = 0  # the queue is ours
            self._open[url] = made
        return self._open[url]


def _may_have_arrived(heard: _Listener) -> bool:
    """Tell whether a failure left it open: a good status cut off, or silence after connecting."""
    if heard.status is not None:
        return 200 <= heard.status < 300
    said = "\n".join(heard.said)
    return bool(said) and "Exception" in said and not _NEVER_SENT.search(said)


def _told(heard: _Listener) -> list[str]:
    """Return what the service said of a refusal; without that, the library's last warning."""
    found = (_SERVICE_SAID.match(text) for text in reversed(heard.said))
    told = next((match[2] for match in found if match and match[2].strip()), "")
    return [told] if told else heard.warned[-1:]


def _words(url: str, *parts: list[str]) -> str:
    text = "; ".join(" ".join(piece.split()) for part in parts for piece in part)
    return redacted(text, secrets_of(url))[:_LONGEST_DETAIL]


def answered(services: Services, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to one request: ``{"describe": url}`` or url, title, body, severity."""
    if "describe" in request:
        return asdict(services.describe(str(request["describe"])))
    return asdict(
        services.send(
            str(request["url"]),
            title=str(request["title"]),
            body=str(request["body"]),
            severity=str(request["severity"]),
        )
    )


def main() -> None:
    """Answer requests until standard input ends."""
    services = Services()
    services.describe(
        "json://localhost"
    )  # reads all plugins: a second of the start, not of a request
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answered(services, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
