"""A whole session of the tape, and of index values.

Belongs here: putting a session together from pages, and judging whether it is whole. Does not
belong here: the pages (`tape`, `pages`), what rows mean (`trades`, `blocks`, `values`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from dealer_assets import tables
from dealer_assets.domain.sessions import session_close, session_open
from dealer_assets.errors import ProviderError
from dealer_assets.providers.base import Finding, Keep, KeepNothing, Records
from dealer_assets.providers.deribit import pages
from dealer_assets.providers.deribit.blocks import parse_combos
from dealer_assets.providers.deribit.client import DeribitApi
from dealer_assets.providers.deribit.columns import Object, aware, objects
from dealer_assets.providers.deribit.families import Family, families_of
from dealer_assets.providers.deribit.listing import Listed
from dealer_assets.providers.deribit.market import ask_instruments
from dealer_assets.providers.deribit.tape import SETTLED_AFTER, Taken, Tape
from dealer_assets.providers.deribit.values import (
    Values,
    delivery_price,
    parse_index_chart,
    range_for,
    step_of,
    value_rows,
)
from dealer_assets.underlyings import Underlying

COARSE = timedelta(minutes=15)
"""Index points further apart than this are told of."""

FIRST_VOL_INDEX = date(2021, 3, 24)
"""Deribit's volatility index begins here."""

_KINDS = 3
_INCOMPLETE = frozenset(
    {"values_missing", "index_history_short", "delivery_price_missing", "vol_index_missing"}
)


@dataclass(frozen=True)
class Asked:
    """One session of one underlying, as it is asked for.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Session.
    clock : callable
        UTC now.
    keep : Keep
        What is held of it.
    """

    api: DeribitApi
    underlying: Underlying
    session_date: date
    clock: Callable[[], datetime]
    keep: Keep = field(default_factory=KeepNothing)

    @property
    def families(self) -> tuple[Family, ...]:
        """Families of the underlying."""
        return families_of(self.underlying)

    @property
    def currencies(self) -> list[str]:
        """What to ask for, each once."""
        return list(dict.fromkeys(family.currency for family in self.families))

    @property
    def opens(self) -> datetime:
        """Beginning of the session."""
        return session_open(self.underlying.calendar, self.session_date)

    @property
    def closes(self) -> datetime:
        """End of the session."""
        return session_close(self.underlying.calendar, self.session_date)

    @property
    def is_over(self) -> bool:
        """Nothing can be added any more."""
        return self.clock() >= self.closes + SETTLED_AFTER


@dataclass
class Gathered:
    """Rows of a session.

    Parameters
    ----------
    trades, requests : list of object
        The tape, and requests for quotes.
    combos : dict of str to dict
        Of `blocks.parse_combos`.
    findings : list of Finding
        What was odd.
    is_complete : bool
        The session is over and nothing is missing.
    """

    trades: list[Object]
    findings: list[Finding]
    is_complete: bool
    requests: list[Object] = field(default_factory=list)
    combos: dict[str, dict[str, float]] = field(default_factory=dict)


def gather_tape(asked: Asked) -> Gathered:
    """Read the tape of all currencies of a session.

    Raises
    ------
    ProviderError
        When a page cannot be had; pages that are held are not asked for again.
    """
    taken = [
        Tape(asked.api, currency=currency, clock=asked.clock, keep=asked.keep).read(
            asked.opens, asked.closes
        )
        for currency in asked.currencies
    ]
    rows = [row for one in taken for row in one.trades.values()]
    rows += [row for one in taken for row in _unseen(one)]
    findings = [finding for one in taken for finding in one.findings]
    if not rows:
        text = (
            f"no trade of {asked.underlying.symbol} options on {asked.session_date}: expected some"
        )
        findings.append(Finding("no_trades", text))
    is_whole = bool(rows) and all(one.is_whole for one in taken)
    return Gathered(rows, findings, is_complete=is_whole and asked.is_over)


def _unseen(taken: Taken) -> list[Object]:
    """Return unusable rows that are not among the trades, each id once."""
    found: dict[object, Object] = {}
    for place, row in enumerate(taken.unusable):
        key = row.get("trade_id")
        if not isinstance(key, str | int):
            found[place] = row
        elif str(key) not in taken.trades:
            found.setdefault(str(key), row)
    return list(found.values())


def gather_blocks(asked: Asked) -> Gathered:
    """Read tape, requests for quotes and combinations of a session.

    Raises
    ------
    ProviderError
        As `gather_tape`.
    """
    found = gather_tape(asked)
    for currency in asked.currencies:
        walked = pages.requests_for_quotes(
            asked.api,
            currency,
            begin=asked.opens,
            end=asked.closes,
            keep=asked.keep,
            may_keep=asked.is_over,
        )
        found.requests += walked.rows
        found.findings += walked.findings
        found.is_complete = found.is_complete and walked.is_whole
        listed = pages.kept_call(
            asked.api,
            asked.keep,
            f"combos-{currency}-{asked.session_date}",
            "get_combos",
            {"currency": currency},
            may_keep=asked.is_over,
        )
        found.combos |= parse_combos(objects(listed.result, "get_combos"))
    return found


def gather_lists(asked: Asked) -> list[Listed]:
    """Read the instrument lists of all families.

    Raises
    ------
    ProviderError
        When one of them cannot be had.
    """
    keep = asked.keep if asked.is_over else None
    return [
        Listed(
            family,
            *(
                ask_instruments(
                    asked.api,
                    family,
                    expired=expired,
                    keep=keep,
                    piece=f"instruments-{family.currency}-{word}-{asked.session_date}",
                )
                for expired, word in ((False, "current"), (True, "expired"))
            ),
        )
        for family in asked.families
    ]


def value_records(asked: Asked, *, source_name: str, source_sha256: str) -> Records:
    """Return index, delivery price and volatility index of a session.

    Each comes from a method of its own: what cannot be had is a finding, and the rest is kept.

    Raises
    ------
    ProviderError
        When none of them can be asked for.
    """
    family, is_over, now = asked.families[0], asked.is_over, asked.clock()
    spot = Values.none("spot")
    found: list[Values] = []
    troubles: list[ProviderError] = []
    try:
        spot = _index_chart(asked, family, may_keep=is_over)
    except ProviderError as error:
        troubles.append(error)
    try:
        deliveries = pages.delivery_prices(
            asked.api,
            family.index_name,
            asked.session_date,
            now=now,
            keep=asked.keep,
            may_keep=is_over,
        )
        found.append(delivery_price(deliveries, asked.session_date))
    except ProviderError as error:
        troubles.append(error)
    try:
        found += pages.vol_index_candles(
            asked.api,
            family.currency,
            begin=asked.opens,
            end=asked.closes,
            now=now,
            keep=asked.keep,
            may_keep=is_over,
        )
    except ProviderError as error:
        troubles.append(error)
    if len(troubles) == _KINDS:
        raise troubles[0]
    rows = value_rows(
        [spot, *found], asked.underlying, session_date=asked.session_date, source_name=source_name
    )
    findings = [Finding("values_missing", str(error)) for error in troubles]
    findings += _value_findings(asked, rows.column("kind").to_pylist(), spot)
    return Records(
        table=tables.INDEX_VALUES,
        rows=rows,
        provider="deribit",
        source_name=source_name,
        source_sha256=source_sha256,
        is_complete=is_over and not any(f.code in _INCOMPLETE for f in findings),
        findings=tuple(findings),
    )


def _index_chart(asked: Asked, family: Family, *, may_keep: bool) -> Values:
    span = range_for(asked.opens, asked.clock())
    reply = pages.kept_call(
        asked.api,
        asked.keep,
        f"index-chart-{family.index_name}-{asked.session_date}",
        "get_index_chart_data",
        {"index_name": family.index_name, "range": span},
        may_keep=may_keep,
    )
    return parse_index_chart(reply.result)


def _value_findings(asked: Asked, kinds: Sequence[str], spot: Values) -> list[Finding]:
    findings = []
    opens, step = asked.opens, step_of(spot)
    covers = spot.event_at.size and aware(spot.event_at.min()) <= opens + 2 * step
    if "spot" not in kinds or not covers:
        text = f"the index chart does not reach back to {opens:%Y-%m-%d %H:%M} UTC"
        findings.append(Finding("index_history_short", text))
    if step > COARSE:
        text = f"index points are {step} apart: Deribit keeps older ones no finer"
        findings.append(Finding("index_history_coarse", text))
    if "settlement" not in kinds and asked.clock() >= opens + timedelta(hours=8):
        text = f"Deribit has no delivery price of {asked.session_date}"
        findings.append(Finding("delivery_price_missing", text))
    if "vol_index" not in kinds and asked.session_date >= FIRST_VOL_INDEX:
        text = f"no value of the volatility index on {asked.session_date}"
        findings.append(Finding("vol_index_missing", text))
    return findings
