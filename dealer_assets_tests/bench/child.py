"""A bench's process of its own: told its wishes as JSON, it answers in lines.

Belongs here: starting, reading and ending it. Does not belong here: what it does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any


class Child:
    """The process, seen from outside.

    Parameters
    ----------
    process : subprocess.Popen
        It.
    """

    who = "the process"
    """For the words when it ends without an answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> str:
        """Wait for its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.who} ended with code {self._process.wait()}")
        return line


@contextmanager
def running(module: str, wishes: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a module with a dataclass of wishes; it ends with the block."""
    command = [sys.executable, "-m", module, json.dumps(asdict(wishes))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
