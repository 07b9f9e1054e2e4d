"""The doctor: one look at every source, key, clock, disk and store.

Belongs here: what is looked at and when it is worth a warning. Does not belong here: how a source
is looked at (each provider's `probe`), or printing (`reports/vendors`). Keys are told to be set or
not, never shown.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from dealer_assets import sources
from dealer_assets.domain import sessions
from dealer_assets.errors import DealerError
from dealer_assets.lake.reader import (
    latest_part,
    list_parts,
    read_part,
    sessions_held,
    underlyings_held,
)
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import Probe, Provider
from dealer_assets.settings import Settings
from dealer_assets.tables import TABLES, Table
from dealer_assets.underlyings import Underlying, underlying

Verdict = Literal["ok", "warn", "fail"]

_LARGEST_SKEW = timedelta(seconds=2)
_FAILING_SKEW = timedelta(seconds=30)
_LEAST_FREE_GB, _FAILING_FREE_GB = 5.0, 0.5
_STALE_AFTER = timedelta(minutes=5)
"""Beyond a provider's own delay, while its market quotes."""


@dataclass(frozen=True)
class Check:
    """One look and its verdict.

    Parameters
    ----------
    subject : str
        What was looked at.
    verdict : {"ok", "warn", "fail"}
        Whether it works.
    detail : str
        What was found, and what to do.
    """

    subject: str
    verdict: Verdict
    detail: str


def examine(settings: Settings, *, now: datetime, full: bool = False) -> list[Check]:
    """Look at everything once; nothing found wrong raises.

    Parameters
    ----------
    settings : Settings
        Configuration.
    now : datetime.datetime
        UTC now.
    full : bool
        Read every part of the lake instead of the newest of each table.

    Returns
    -------
    list of Check
        Keys, sources, clock, disk, lake, cache, warehouse, alerts.
    """
    looks = list(_looks(settings, now))
    return [
        *_keys(settings),
        *(look if isinstance(look, Check) else _source(look, now) for look in looks),
        _clock([look.probe for look in looks if isinstance(look, _Look)], now),
        _disk(settings),
        *_guarded("lake", lambda: _lake(sources.lake_of(settings), full=full)),
        *_guarded("cache", lambda: _cache(settings, full=full)),
        _warehouse(settings),
        _alerts(settings, now),
    ]


def _keys(settings: Settings) -> Iterator[Check]:
    is_needed = settings.provider == "polygon"
    has_key = settings.polygon_api_key is not None
    yield Check(
        "key: polygon REST",
        "ok" if has_key or not is_needed else "fail",
        "set"
        if has_key
        else "not set: DEALER_POLYGON_API_KEY" + ("" if is_needed else " (unused)"),
    )
    pair = (settings.flatfiles_access_key is None, settings.flatfiles_secret_key is None)
    is_needed = settings.history_provider == "flatfiles"
    yield Check(
        "key: flat files",
        "fail" if pair[0] != pair[1] or (is_needed and pair[0]) else "ok",
        {
            (False, False): "set",
            (True, True): "not set: DEALER_FLATFILES_ACCESS_KEY"
            + ("" if is_needed else " (unused)"),
        }.get(pair, "half set: both DEALER_FLATFILES_ACCESS_KEY and _SECRET_KEY are needed"),
    )


@dataclass(frozen=True)
class _Look:
    """A probe, and which market's data it is about, how far behind."""

    probe: Probe
    lane: Underlying
    delay: timedelta

    def is_late(self, now: datetime) -> bool:
        """Tell whether newer data should be there: the market has been quoting all along."""
        if self.probe.data_at is None or not self.probe.is_live:
            return False
        due = now - self.delay - _STALE_AFTER
        calendar = self.lane.calendar
        is_quoting = sessions.is_open(calendar, due) and sessions.is_open(calendar, now)
        return is_quoting and self.probe.data_at < due


def _looks(settings: Settings, now: datetime) -> Iterator[_Look | Check]:
    """Probe the provider of each lane, and each publisher once."""
    lanes = [underlying(symbol) for symbol in settings.lanes]
    for lane in lanes:
        yield from _look_at(
            f"source: {lane.symbol}", partial(_providers, settings, lane), lane, now
        )
    shares = [lane for lane in lanes if lane.kind != "crypto"]
    if settings.provider != sources.SIMULATOR and shares:
        yield from _look_at("source: occ", lambda: [sources.occ_of(settings)], shares[0], now)
        yield from _look_at("source: rates", lambda: [sources.rates_of(settings)], shares[0], now)


def _providers(settings: Settings, lane: Underlying) -> list[Provider]:
    first = sources.provider_of(settings, lane)
    others = sources.history_providers(settings, lane)
    return [first, *(provider for provider in others if provider.name != first.name)]


def _look_at(
    subject: str, providers: Callable[[], Sequence[Provider]], lane: Underlying, now: datetime
) -> Iterator[_Look | Check]:
    try:
        for provider in providers():
            with provider:
                for probe in provider.probe(lane, now=now) or [_silent(provider, lane)]:
                    yield _Look(probe, lane, provider.delay)
    except DealerError as error:
        yield Check(subject, "fail", str(error))


def _silent(provider: Provider, lane: Underlying) -> Probe:
    return Probe(f"{provider.name} {lane.symbol}", is_reachable=True, is_entitled=True)


def _source(look: _Look, now: datetime) -> Check:
    probe = look.probe
    subject = f"source: {probe.source}"
    if not probe.is_reachable:
        return Check(subject, "fail", f"not reachable: {probe.detail}")
    if probe.is_entitled is False:
        return Check(subject, "fail", f"not entitled: {probe.detail}")
    told = [probe.detail] if probe.detail else []
    verdict: Verdict = "ok"
    if probe.data_at is not None:
        age = now - probe.data_at
        told.insert(0, f"newest data {probe.data_at:%Y-%m-%d %H:%M:%S} UTC, {_words(age)} old")
        if look.is_late(now):
            verdict = "warn"
    return Check(subject, verdict, "; ".join(told) or "answers")


def _words(age: timedelta) -> str:
    seconds = age.total_seconds()
    if abs(seconds) < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if abs(seconds) < 7200 else f"{seconds / 3600:.1f} h"


def _clock(probes: Sequence[Probe], now: datetime) -> Check:
    skews = [probe.server_time - now for probe in probes if probe.server_time is not None]
    if not skews:
        return Check("clock", "ok", "no source told its time")
    worst = max(skews, key=abs)
    text = f"ours differs by {worst.total_seconds():+.1f} s from the sources'"
    if abs(worst) > _FAILING_SKEW:
        return Check("clock", "fail", f"{text}: synchronise it, or instants of rows are wrong")
    return Check("clock", "warn" if abs(worst) > _LARGEST_SKEW else "ok", text)


def _disk(settings: Settings) -> Check:
    folder = settings.data
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{free:,.1f} GB free for {settings.data}"
    if free < _FAILING_FREE_GB:
        return Check("disk", "fail", f"{text}: make room, or set DEALER_DATA_DIR")
    return Check("disk", "warn" if free < _LEAST_FREE_GB else "ok", text)


def _guarded(subject: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    try:
        return list(look())
    except DealerError as error:
        return [Check(subject, "fail", str(error))]


def _lake(lake: Lake, *, full: bool) -> Iterator[Check]:
    lake.require_writable()
    read, problems = 0, []
    for table in TABLES:
        for symbol in underlyings_held(lake, table):
            for part_count, problem in _parts_read(lake, table, symbol, full=full):
                read += part_count
                problems += [problem] if problem else []
    for problem in problems[:20]:
        yield Check("lake part", "fail", problem)
    if len(problems) > 20:
        yield Check("lake part", "fail", f"and {len(problems) - 20} more")
    which = "all" if full else "the newest of each table"
    yield Check("lake", "fail" if problems else "ok", f"{read:,} parts read ({which}): {lake.uri}")


def _parts_read(lake: Lake, table: Table, symbol: str, *, full: bool) -> Iterator[tuple[int, str]]:
    newest = latest_part(lake, table, symbol)
    parts = [newest] if newest else []
    if full:
        days = sessions_held(lake, table, symbol)
        parts = [part for day in days for part in list_parts(lake, table, symbol, day)]
    for part in parts:
        try:
            read_part(lake, table, part)
            yield 1, ""
        except DealerError as error:
            yield 1, str(error)


def _cache(settings: Settings, *, full: bool) -> Iterator[Check]:
    cache = sources.cache_of(settings)
    holdings = cache.holdings()
    sessions_whole = sum(holding.complete for holding in holdings)
    sessions_begun = sum(holding.partial for holding in holdings)
    problems = cache.verify() if full else []
    text = f"{sessions_whole:,} complete and {sessions_begun:,} partial sessions"
    if problems:
        yield Check("cache", "fail", f"{text}; {len(problems)} damaged, e.g. {problems[0]}")
    else:
        yield Check("cache", "ok", text + (", every payload verified" if full else ""))


def _warehouse(settings: Settings) -> Check:
    path: Path = settings.warehouse
    if not path.exists():
        return Check("warehouse", "ok", "not built yet: `dealer backfill` builds it")
    import duckdb

    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("select 1 from information_schema.tables limit 1")
    except duckdb.Error as error:
        return Check("warehouse", "fail", f"{path.name} cannot be read ({error}): build the marts")
    return Check("warehouse", "ok", f"{path.name} is readable")


def _alerts(settings: Settings, now: datetime) -> Check:
    from dealer_assets.alerts.trial import standing

    found = standing(settings, now)
    return Check("alerts", found.verdict, found.detail)
