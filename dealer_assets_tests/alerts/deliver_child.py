"""A deliverer in a process of its own, to be killed.

Belongs here: what runs in it. Does not belong here: who kills it.
"""

from __future__ import annotations

import os
from pathlib import Path

from dealer_assets.alerts.channels import Channel
from dealer_assets.alerts.delivery import Deliverer
from dealer_assets.alerts.messages import Message
from dealer_assets.alerts.policy import Policy
from dealer_assets.alerts.sender import Answer, Description
from dealer_assets.alerts.store import AlertStore
from dealer_assets_tests.alerts.test_delivery import ONE


class FileReceiver:
    """Confirms by a line in a file: what a receiver would have seen."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def describe(self, channel: Channel) -> Description:
        return Description("file", 32_768)

    def send(self, channel: Channel, message: Message) -> Answer:
        for one in message.alerts:
            mark = "repeat" if message.title.startswith("[") else "once"
            os.write(self._file, f"{mark} {one.alert_id}\n".encode())
        return Answer(True)


def deliver_all(folder: str) -> None:
    """Deliver a store's alerts one by one until none waits."""
    here = Path(folder)
    policy = Policy(ONE, here / "lock", digest_over=1 << 30)
    with AlertStore(here / "alerts.sqlite") as store:
        Deliverer(store, policy, FileReceiver(here / "received")).run(seconds=600)
