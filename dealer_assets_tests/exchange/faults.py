"""Faults on demand: armed by name, taken by the handler that shows them.

Belongs here: the book-keeping, and the list of every fault with what it does. Does not belong here:
the misbehaviour itself; the vendor's module has it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KNOWN: dict[str, str] = {}
"""Every fault and what it does; vendors' modules add theirs with `declare`."""


def declare(name: str, doc: str) -> str:
    """Name a fault once, with what it does; returns the name."""
    if name in KNOWN and KNOWN[name] != doc:
        raise ValueError(f"the fault {name!r} is declared twice")
    KNOWN[name] = doc
    return name


@dataclass
class Armed:
    """One fault waiting to happen.

    Parameters
    ----------
    name : str
        Of `KNOWN`.
    times : int or None
        How often it still happens; None for ever.
    skip : int
        Matching requests that pass before it happens first.
    where : str
        It happens only where the request's path and query (or channel, or symbol) contain this.
    options : mapping
        What the fault's module reads, e.g. ``retry_after`` in seconds.
    """

    name: str
    times: int | None = 1
    skip: int = 0
    where: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


class Faults:
    """The faults armed at this moment; safe to steer from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []
        self.taken: list[tuple[str, str]] = []
        """(fault, where) of each that happened, in order."""

    def arm(
        self,
        name: str,
        *,
        times: int | None = 1,
        skip: int = 0,
        where: str = "",
        **options: Any,
    ) -> None:
        """Arm a fault; see `Armed`."""
        if name not in KNOWN:
            raise KeyError(f"no fault {name!r}; the exchange has {', '.join(sorted(KNOWN))}")
        with self._lock:
            self._armed.append(Armed(name, times, skip, where, options))

    def take(self, name: str, where: str = "") -> Mapping[str, Any] | None:
        """Return the options of a fault that is due here, counting it, or None."""
        with self._lock:
            for armed in self._armed:
                if armed.name != name or armed.where not in where:
                    continue
                if armed.skip:
                    armed.skip -= 1
                    continue
                if armed.times is not None:
                    armed.times -= 1
                    if armed.times <= 0:
                        self._armed.remove(armed)
                self.taken.append((name, where))
                return armed.options
        return None

    def active(self, name: str, where: str = "") -> Mapping[str, Any] | None:
        """Return the options of an armed fault without counting it: for lasting conditions."""
        with self._lock:
            for armed in self._armed:
                if armed.name == name and armed.where in where:
                    return armed.options
        return None

    def armed(self) -> list[Armed]:
        """Return what waits."""
        with self._lock:
            return list(self._armed)

    def clear(self) -> None:
        """Disarm everything and forget what happened."""
        with self._lock:
            self._armed.clear()
            self.taken.clear()
