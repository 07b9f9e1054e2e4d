"""Where alerts go: the configured services by name, and the process that sends to them.

Belongs here: reading DEALER_ALERT_URLS, starting, asking and ending the sender's process. Does not
belong here: what is sent when (`delivery`), the services themselves (`sender`).

A channel is known by a name that holds no secret: the one given before the URL
(``phone=pover://...``), else the URL's scheme, numbered where several have it.
"""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from pydantic import SecretStr

from dealer_assets.alerts.messages import Message
from dealer_assets.alerts.sender import READY, Answer, Description
from dealer_assets.errors import BadInputError, ProviderUnavailableError

LOG = "log"
"""The channel of log-only mode: `data_dir/alerts.log`."""

_ONE = re.compile(r"(?:([A-Za-z][A-Za-z0-9_-]*)=)?([A-Za-z][A-Za-z0-9+.-]*)://\S+")
_BETWEEN = re.compile(r"[\s,]+(?=(?:[A-Za-z][A-Za-z0-9_-]*=)?[A-Za-z][A-Za-z0-9+.-]*://)")
"""A comma inside a URL, before anything but another URL, belongs to it."""

_START_SECONDS = 60.0
_LARGEST_READ = 65_536


@dataclass(frozen=True)
class Channel:
    """One place that alerts go to.

    Parameters
    ----------
    name : str
        Without secrets; what the store, the log and the command show.
    url : pydantic.SecretStr
        Apprise URL.
    """

    name: str
    url: SecretStr


class Sends(Protocol):
    """What delivery needs of a sender."""

    def describe(self, channel: Channel) -> Description:
        """Return what a channel's service takes."""

    def send(self, channel: Channel, message: Message) -> Answer:
        """Send one message and tell what came of it."""


def channels_of(urls: SecretStr | None) -> tuple[Channel, ...]:
    """Read DEALER_ALERT_URLS.

    Parameters
    ----------
    urls : pydantic.SecretStr, optional
        ``[name=]scheme://...``, separated by spaces, line ends or commas.

    Raises
    ------
    BadInputError
        When a piece is no URL or two channels have one name; pieces are told by their place.
    """
    text = urls.get_secret_value().strip(" ,\t\r\n") if urls else ""
    channels: list[Channel] = []
    for place, piece in enumerate(_BETWEEN.split(text) if text else (), start=1):
        found = _ONE.fullmatch(piece)
        if found is None:
            raise BadInputError(
                f"DEALER_ALERT_URLS: expected [name=]scheme://..., found something else in place "
                f"{place} (not shown: it may hold a token); see docs/alerts.md"
            )
        given, scheme = found[1], found[2].lower()
        taken = {channel.name for channel in channels}
        name = given.lower() if given else _free(scheme, taken)
        if name in taken or name == LOG:
            raise BadInputError(
                f"DEALER_ALERT_URLS: expected another name for place {place}: {name!r} is taken"
            )
        url = piece.partition("=")[2] if given else piece
        channels.append(Channel(name, SecretStr(url)))
    return tuple(channels)


def _free(scheme: str, taken: set[str]) -> str:
    number, name = 1, scheme
    while name in taken:
        number += 1
        name = f"{scheme}-{number}"
    return name


@dataclass
class SenderProcess:
    """A process that sends, killed where it takes too long and started anew when next needed.

    Parameters
    ----------
    seconds : float
        Longest wait for one answer; what has not been answered by then counts as failed.
    """

    seconds: float = 20.0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _known: dict[str, Description] = field(default_factory=dict, init=False)

    def __enter__(self) -> SenderProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def describe(self, channel: Channel) -> Description:
        """Return what a channel's service takes; asked once."""
        if channel.name not in self._known:
            answer = self._ask({"describe": channel.url.get_secret_value()})
            if answer is None:
                return Description(problem="the sender's process did not answer")
            self._known[channel.name] = Description(**answer)
        return self._known[channel.name]

    def send(self, channel: Channel, message: Message) -> Answer:
        """Send one message and tell what came of it.

        Returns
        -------
        Answer
            Doubtful where the time ran out or the process died: it may have arrived.
        """
        request = {
            "url": channel.url.get_secret_value(),
            "title": message.title,
            "body": message.body,
            "severity": message.severity,
        }
        begun = time.monotonic()
        answer = self._ask(request)
        if answer is not None:
            return Answer(**answer)
        seconds = time.monotonic() - begun
        return Answer(
            False,
            is_doubtful=True,
            detail=f"no answer in {seconds:.0f} s: cut off",
            seconds=seconds,
        )

    def _ask(self, request: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the process's answer; None when it was late, and killed, or died."""
        process = self._started()
        try:
            assert process.stdin is not None  # a pipe, by construction
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.close()
            return None
        line = _line(process, self.seconds)
        if line is None:
            self.close()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dealer_assets.alerts.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries write addresses there
            bufsize=0,  # what a buffer holds, a selector does not see
        )
        if _line(self._process, _START_SECONDS) != READY.encode():
            self.close()
            raise ProviderUnavailableError(
                "the process that sends alerts did not start: expected "
                "`python -m dealer_assets.alerts.sender` to run; try it, and reinstall the "
                "project (`make setup`) where it does not"
            )
        return self._process


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """Return the next line of a process's output; None where none came in time."""
    assert process.stdout is not None  # a pipe, by construction
    until = time.monotonic() + seconds
    read = b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        while not read.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0.0 or not waiting.select(left):
                return None
            piece = process.stdout.read(_LARGEST_READ)
            if not piece:
                return None
            read += piece
    return read.rstrip(b"\n")
