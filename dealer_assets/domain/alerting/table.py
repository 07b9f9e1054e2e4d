"""The rules, all of them in one table, and how a setting changes them.

Belongs here: each rule's name, threshold, severity and cool-down; the grammar of
``DEALER_ALERT_RULES``. Does not belong here: how a rule looks at rows (`snapshots`, `scored`,
`quality`, `feeds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import isfinite

from dealer_assets.domain.alerting.alert import SEVERITIES, Alert, Ending, Fact, identity
from dealer_assets.errors import BadInputError


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    name : str
        One of `tables.ALERT_RULES`.
    doc : str
        When it raises an alert.
    dedupe : str
        What its dedupe key is made of: alerts of another key have a cool-down of their own.
    cool_down_minutes : float
        Between alerts of the same key, by when things happened.
    severity : str
        Of its alerts; empty: that of the rows it looks at.
    at_least : float or None
        Its threshold; None: it has none.
    unit : str
        Unit of the threshold.
    ends : str
        When its alerts are resolved without anybody's doing; empty: never.
    is_on : bool
        Whether it is asked at all.
    """

    name: str
    doc: str
    dedupe: str
    cool_down_minutes: float
    severity: str = ""
    at_least: float | None = None
    unit: str = ""
    ends: str = ""
    is_on: bool = True

    @property
    def threshold(self) -> float:
        """The threshold of a rule that has one."""
        return float("-inf") if self.at_least is None else self.at_least

    def alert(
        self,
        underlying: str,
        session_date: date,
        *,
        event_at: datetime,
        known_at: datetime,
        dedupe_key: str,
        title: str,
        body: str,
        facts: Mapping[str, Fact],
        severity: str = "",
        last_seen_at: datetime | None = None,
    ) -> Alert:
        """Return an alert of this rule; its own severity goes before the one that is told."""
        what = dedupe_key if self.severity else f"{dedupe_key} {severity}"
        return Alert(
            alert_id=identity(self.name, underlying, what, event_at),
            rule=self.name,
            underlying=underlying,
            session_date=session_date,
            event_at=event_at,
            known_at=known_at,
            severity=self.severity or severity,
            title=f"{underlying} {title}",
            body=body,
            dedupe_key=dedupe_key,
            facts={name: _stored(value) for name, value in facts.items()},
            cool_down=timedelta(minutes=self.cool_down_minutes),
            last_seen_at=last_seen_at,
        )

    def ending(self, underlying: str, dedupe_key: str, at: datetime) -> Ending:
        """Return the end of a condition of this rule."""
        return Ending(self.name, underlying, dedupe_key, at)


def _stored(fact: Fact) -> Fact:
    """Return a fact as JSON takes it: one odd number must not keep an alert from being stored."""
    return None if isinstance(fact, float) and not isfinite(fact) else fact


RULES: tuple[Rule, ...] = (
    Rule(
        "score_at_least",
        "Contracts of a poll are anomalies at the false-discovery target and score this much.",
        "all contracts; a higher severity than was told passes the cool-down",
        55,  # polls are an hour apart: each of them may speak
        at_least=60,  # p <= 0.001; what stands out among hundreds, the false-discovery rate decides
        unit="score",
    ),
    Rule(
        "underlying_score_at_least",
        "Measures of an underlying's chain are anomalies of a poll and score this much.",
        "all measures; a higher severity than was told passes the cool-down",
        175,  # a measure that is unusual stays so for hours
        at_least=50,
        unit="score",
    ),
    Rule(
        "flip_crossed",
        "Spot went from one side of the flip to the other, past its band and at least so far.",
        "side it went to: above, below",
        60,
        severity="warning",
        at_least=0.15,  # a band is often narrower than what spot moves in a minute
        unit="% of spot",
        ends="spot is beyond the other end again",
    ),
    Rule(
        "wall_shifted",
        "A wall that most draws of its band agree on lies elsewhere than the last such wall.",
        "call, put",
        120,
        severity="notice",
        at_least=0.5,
        unit="% of spot",
    ),
    Rule(
        "regime_changed",
        "The regime's label is another, and has been for this long; neutral raises none.",
        "new label",
        120,
        severity="notice",
        at_least=30,  # labels come and go within minutes where an input is near its threshold
        unit="minutes",
        ends="the label is another one",
    ),
    Rule(
        "strike_changed",
        "Positions at a strike near spot changed by this many deviations of the snapshot's own.",
        "all strikes of a snapshot",
        120,
        severity="notice",
        at_least=10,  # twice where a change counts as one: hundreds of strikes are asked
        unit="robust deviations",
    ),
    Rule(
        "feed_gap",
        "The live feed is not live for this long, or trades of a gap could not be fetched.",
        "feed; for trades that are missing: feed and channel",
        15,
        severity="warning",
        at_least=60,
        unit="s",
        ends="the feed is live again; of missing trades: never",
    ),
    Rule(
        "stale_data",
        "Options quote, and the newest snapshot is older than this and than three usual gaps.",
        "snapshots",
        60,
        severity="severe",
        at_least=10,
        unit="minutes",
        ends="a newer snapshot is held",
    ),
    Rule(
        "failed_run",
        "A run failed.",
        "job and partition",
        30,
        severity="severe",
        ends="a run of the same job and partition succeeded",
    ),
    Rule(
        "data_problem",
        "Data is wrong in a way that stops scores, or spoils this share of the contracts.",
        "kinds of problem",
        240,
        severity="warning",
        at_least=0.5,
        unit="share of contracts",
        ends="a later snapshot has none of it",
    ),
)
"""Every rule, as it is without settings. `docs/methods/alerts.md` says why these figures."""

_KEYS = ("at_least", "cool_down_minutes", "severity")
_GRAMMAR = (
    "expected rules separated by ';', each `name off`, `name on`, or `name key=value ...` with the "
    f"keys {', '.join(_KEYS)}: `wall_shifted off; score_at_least at_least=90 cool_down_minutes=120`"
)


def rules_of(text: str, rules: tuple[Rule, ...] = RULES) -> dict[str, Rule]:
    """Return the rules by name, changed as ``DEALER_ALERT_RULES`` says.

    Parameters
    ----------
    text : str
        ``wall_shifted off; score_at_least at_least=90``; blank changes nothing.
    rules : tuple of Rule
        What is changed.

    Raises
    ------
    BadInputError
        For a rule, key or value that does not exist; the message tells the grammar.
    """
    found = {rule.name: rule for rule in rules}
    for entry in filter(str.strip, text.split(";")):
        name, *changes = entry.split()
        if name not in found or not changes:
            raise BadInputError(
                f"DEALER_ALERT_RULES: {entry.strip()!r} is none of the rules {list(found)} with a "
                f"change; {_GRAMMAR}"
            )
        for change in changes:
            found[name] = _changed(found[name], change)
    return found


def _changed(rule: Rule, change: str) -> Rule:
    if change in ("on", "off"):
        return replace(rule, is_on=change == "on")
    key, _, value = change.partition("=")
    if key == "severity" and value in SEVERITIES:
        return replace(rule, severity=value)
    number = _number(value)
    if key == "cool_down_minutes" and number is not None and number >= 0:
        return replace(rule, cool_down_minutes=number)
    if key == "at_least" and number is not None and rule.at_least is not None:
        return replace(rule, at_least=number)
    has = "" if rule.at_least is not None else f"; {rule.name} has no threshold"
    raise BadInputError(
        f"DEALER_ALERT_RULES: {rule.name} cannot be given {change!r}{has}; severities are "
        f"{', '.join(SEVERITIES)}; {_GRAMMAR}"
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
