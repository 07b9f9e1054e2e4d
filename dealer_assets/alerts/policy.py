"""How alerts are delivered: where to, when not, how patiently; by the settings.

Belongs here: the declared figures of delivery and what reads the settings. Does not belong here:
delivery itself (`delivery`), where alerts are kept (`store`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from dealer_assets.alerts.channels import LOG, Channel, SenderProcess, Sends, channels_of
from dealer_assets.alerts.logfile import LogFile
from dealer_assets.alerts.quiet import QuietHours, quiet_hours
from dealer_assets.errors import BadInputError
from dealer_assets.settings import Settings

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)
"""Pauses between attempts double from the first to the longest, less a jitter of up to half."""

PASSES_QUIET = "severe"

_NO_URL = SecretStr("")
_UNBOUNDED = 1 << 30


@dataclass(frozen=True)
class Policy:
    """How alerts are delivered.

    Parameters
    ----------
    channels : tuple of Channel
        Where to; each alert goes to all of them.
    lock : pathlib.Path
        File that the one deliverer locks.
    quiet : QuietHours, optional
        When alerts below severe are held.
    digest_over : int
        More alerts than this that wait for a channel go out as one message.
    give_up_after : datetime.timedelta
        Age, since raised, at which an alert is no longer tried.
    """

    channels: tuple[Channel, ...]
    lock: Path
    quiet: QuietHours | None = None
    digest_over: int = 10
    give_up_after: timedelta = timedelta(days=3)


def policy_of(settings: Settings) -> Policy:
    """Return how alerts are delivered by the settings.

    Raises
    ------
    BadInputError
        When a setting cannot be read, or alerts are to be sent and nowhere is said where to.
    """
    lock = settings.alert_store.parent / "deliver.lock"
    age = timedelta(days=settings.alert_retry_days)
    if settings.alert_mode == "log":
        log = (Channel(LOG, url=_NO_URL),)
        return Policy(log, lock, digest_over=_UNBOUNDED, give_up_after=age)
    channels = channels_of(settings.alert_urls)
    if not channels:
        raise BadInputError(
            "DEALER_ALERT_MODE=send, but DEALER_ALERT_URLS is empty: expected at least one URL "
            "(docs/alerts.md has one for each service), or DEALER_ALERT_MODE=log"
        )
    quiet = quiet_hours(settings.alert_quiet)
    return Policy(channels, lock, quiet, settings.alert_digest_over, age)


@contextmanager
def sender_of(settings: Settings) -> Iterator[Sends]:
    """Yield what sends by the settings: the log file, or a process that ends with the block."""
    if settings.alert_mode == "log":
        yield LogFile(settings.alert_log)
        return
    with SenderProcess(settings.alert_send_seconds) as process:
        yield process


def pause_after(alert_id: str, attempt: int) -> timedelta:
    """Return the pause after a failed attempt; its jitter is a function of both."""
    doublings = min(max(attempt - 1, 0), 30)  # far beyond the longest pause
    longest = min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)
    digest = hashlib.sha256(f"{alert_id}:{attempt}".encode()).digest()
    return longest * (0.5 + 0.5 * int.from_bytes(digest[:4]) / 2**32)
