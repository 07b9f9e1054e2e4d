"""Several sources of one underlying's value held against one another.

Belongs here: which source can be believed now, and which deviates. Does not belong here: where the
values come from (decoders; parity of the chain from the engine's pricing), or any clock: instants
are those of the observations.

Sources rank in the order of `SOURCES`: the best that is fresh and does not deviate is used. With
fewer than three fresh sources nobody can tell which one is wrong: none is put aside anew, and the
spread is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from streaming.core.events import SPOT, Decoded, Events, Frame
from streaming.feeds.base import Decoder

SOURCES = ("price_index", "ticker_index", "trade_index", "perpetual", "future", "parity")
"""The venue's index; the index as tickers and trades repeat it; marks of the perpetual and of the
nearest future; put-call parity of the chain. A place here is `Events.exchange` of a SPOT."""

_FEWEST = 3
"""Sources that it takes to tell which one is wrong."""


@dataclass(frozen=True)
class CheckOptions:
    """What is tolerated.

    Parameters
    ----------
    tolerance : mapping of str to float
        Share of the median that a source may be away from it; futures carry a basis.
    fresh_seconds : mapping of str to float
        Age up to which an observation counts; trades are rare, parity is priced once a minute.
    deviant_after_seconds : float
        How long a source must deviate before it is put aside: jumps reach sources one by one.
    """

    tolerance: Mapping[str, float] = field(
        default_factory=lambda: {
            "price_index": 0.002,
            "ticker_index": 0.002,
            "trade_index": 0.003,
            "perpetual": 0.005,
            "future": 0.02,
            "parity": 0.01,
        }
    )
    fresh_seconds: Mapping[str, float] = field(
        default_factory=lambda: {
            "price_index": 5.0,
            "ticker_index": 5.0,
            "trade_index": 5.0,
            "perpetual": 5.0,
            "future": 10.0,
            "parity": 120.0,
        }
    )
    deviant_after_seconds: float = 5.0


@dataclass(frozen=True)
class Verdict:
    """What the sources say together.

    Parameters
    ----------
    used : str
        The source to use; blank when none is fresh and sound.
    value : float
        Its value [USD]; NaN without one.
    median : float
        Median of the fresh sources [USD]; NaN without one.
    spread : float
        Largest less smallest of the fresh sources, as a share of the median; NaN without one.
    deviant, stale : tuple of str
        Sources put aside, in order of rank.
    """

    used: str
    value: float
    median: float
    spread: float
    deviant: tuple[str, ...]
    stale: tuple[str, ...]

    @property
    def remarks(self) -> list[str]:
        """What is wrong, in words."""
        found = [f"{name} is away from the other sources: not used" for name in self.deviant]
        if not self.used or self.used != SOURCES[0]:  # a lesser source may rest for a while
            found += [f"{name} is stale: not used" for name in self.stale]
        return found if self.used else [*found, "no source of spot can be believed"]


class IndexCheck:
    """Sources of one underlying.

    Parameters
    ----------
    options : CheckOptions
        What is tolerated.
    """

    def __init__(self, options: CheckOptions | None = None) -> None:
        self._options = options or CheckOptions()
        self._values: dict[str, tuple[float, int]] = {}
        self._off_since: dict[str, int] = {}

    def observe(self, source: str, value: float, at_us: int) -> None:
        """Take note of a value.

        Parameters
        ----------
        source : str
            One of `SOURCES`.
        value : float
            USD; what is not above zero is passed over.
        at_us : int
            When it was received, microseconds since 1970; never earlier than the last.
        """
        if value > 0.0:
            self._values[source] = (value, at_us)
            self._compare(at_us)

    def judge(self, now_us: int) -> Verdict:
        """Return what can be believed at an instant, not before the last observation."""
        self._compare(now_us)
        fresh = self._fresh(now_us)
        names = [name for name in SOURCES if name in self._values]
        stale = tuple(name for name in names if name not in fresh)
        deviant = tuple(name for name in names if self._is_deviant(name, now_us))
        used = next((name for name in names if name in fresh and name not in deviant), "")
        if not fresh:
            nan = float("nan")
            return Verdict("", nan, nan, nan, deviant, stale)
        middle = median(fresh.values())
        return Verdict(
            used=used,
            value=fresh[used] if used else float("nan"),
            median=middle,
            spread=(max(fresh.values()) - min(fresh.values())) / middle,
            deviant=deviant,
            stale=stale,
        )

    def _fresh(self, now_us: int) -> dict[str, float]:
        limits = self._options.fresh_seconds
        return {
            name: value
            for name, (value, at_us) in self._values.items()
            if now_us - at_us <= limits[name] * 1e6
        }

    def _compare(self, now_us: int) -> None:
        """Note since when each source is away from the median of the fresh ones."""
        fresh = self._fresh(now_us)
        for name in self._values:
            if name in fresh and len(fresh) >= _FEWEST:
                middle = median(fresh.values())
                if abs(fresh[name] / middle - 1.0) > self._options.tolerance[name]:
                    self._off_since.setdefault(name, now_us)
                else:
                    self._off_since.pop(name, None)
            elif not self._is_deviant(name, now_us):  # once put aside, only agreement takes it back
                self._off_since.pop(name, None)

    def _is_deviant(self, name: str, now_us: int) -> bool:
        since = self._off_since.get(name)
        return since is not None and now_us - since >= self._options.deviant_after_seconds * 1e6


class SpotSieve:
    """Lets only the SPOT events pass that the check of their lane uses.

    A stage between decoder and engine. It goes by the events alone, so the way they are batched
    changes nothing.

    Parameters
    ----------
    options : CheckOptions
        What is tolerated.
    """

    def __init__(self, options: CheckOptions | None = None) -> None:
        self._options = options
        self.checks: dict[int, IndexCheck] = {}
        """By lane."""

    def sift(self, events: Events) -> Events:
        """Return the events without the SPOT events of sources that are not to be used.

        Parameters
        ----------
        events : Events
            In order of arrival; a SPOT whose source is not told (-1) passes unseen.
        """
        places = np.flatnonzero((events.kind == SPOT) & (events.exchange >= 0))
        if not places.size:
            return events
        keeps = np.ones(len(events), np.bool_)
        for place in places.tolist():
            check = self.checks.setdefault(int(events.contract[place]), IndexCheck(self._options))
            source = SOURCES[events.exchange[place]]
            now_us = int(events.received_us[place])
            check.observe(source, float(events.a[place]), now_us)
            keeps[place] = check.judge(now_us).used == source
        return events.take(keeps)


class SievedDecoder:
    """A decoder whose sources of spot are checked against each other.

    Parameters
    ----------
    decoder : Decoder
        Tells the source of a SPOT in `Events.exchange`.
    options : CheckOptions, optional
        What is tolerated.
    """

    def __init__(self, decoder: Decoder, options: CheckOptions | None = None) -> None:
        self._decoder, self._sieve = decoder, SpotSieve(options)
        self._now_us = -1

    def decode(self, frames: Sequence[Frame]) -> Decoded:
        """Decode frames; spots of sources that deviate or went stale are passed over."""
        found = self._decoder.decode(frames)
        if found.unlisted:
            return found  # it is asked again when they are listed: each spot is checked once
        if frames:
            self._now_us = frames[-1].received_us
        events = self._sieve.sift(found.events)
        left_out = len(found.events) - len(events)
        return replace(found, events=events, passed_over=found.passed_over + left_out)

    @property
    def remarks(self) -> list[str]:
        """What is wrong with the sources of spot, in words."""
        checks = self._sieve.checks.values()
        return [text for check in checks for text in check.judge(self._now_us).remarks]
