"""The rules behind regimes: what has to hold for a label, and by how much it does.

Belongs here: conditions, margins, hysteresis. Does not belong here: where inputs come from
(`regimes`), or thresholds (`thresholds`). Source: `docs/methods/regimes.md`.

Rules are asked in order. The label of the snapshot before is judged by its exit thresholds and
stays unless an earlier rule enters: it is not left and entered again with every tick.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dealer_assets.domain.exposure.thresholds import Thresholds

FLIP_CLEAR = 0.005
"""A pin needs the flip at least this share of spot away."""


@dataclass(frozen=True)
class Condition:
    """One comparison of a rule: ``sign * value >= sign * threshold``.

    Parameters
    ----------
    input : str
        Name of the input.
    threshold : str
        Name of a threshold, or blank where `level` is it.
    sign : int
        1: at or above; -1: at or below.
    side : int
        Sign of the threshold as compared: -1 turns that of a size into that of selling.
    is_absolute : bool
        Compares the input's size.
    level : float
        Fixed threshold.
    """

    input: str
    threshold: str = ""
    sign: int = 1
    side: int = 1
    is_absolute: bool = False
    level: float = 0.0


@dataclass(frozen=True)
class Rule:
    """A label and what has to hold for it: all of its conditions."""

    regime: str
    conditions: tuple[Condition, ...]


RULES: tuple[Rule, ...] = (
    Rule(
        "short_gamma_chase",
        (Condition("gamma", "gamma_low", sign=-1), Condition("move_pct", "move")),
    ),
    Rule("vanna_squeeze", (Condition("vanna_flow", "vanna_flow"), Condition("vanna_lead"))),
    Rule("dealer_buy_material", (Condition("hedge_flow", "hedge_flow"),)),
    Rule("dealer_sell_material", (Condition("hedge_flow", "hedge_flow", sign=-1, side=-1),)),
    Rule(
        "charm_drift",
        (Condition("charm_flow", "charm_flow", is_absolute=True), Condition("charm_lead")),
    ),
    Rule(
        "gamma_pin",
        (
            Condition("gamma", "gamma_high"),
            Condition("move_pct", "quiet", sign=-1),
            Condition("flip_distance", level=FLIP_CLEAR),
        ),
    ),
)

INPUTS = (
    "gamma",
    "vanna_flow",
    "charm_flow",
    "hedge_flow",
    "vanna_lead",
    "charm_lead",
    "flip_distance",
    "move_pct",
)


@dataclass(frozen=True)
class Judged:
    """What became of one rule.

    Parameters
    ----------
    rule : Rule
        Which.
    margin : float
        Least margin of its conditions; NaN where an input is not told; holds from 0 on.
    input : str
        Input of that condition.
    is_held : bool
        It holds by exit thresholds only.
    text : str
        The comparisons in words.
    """

    rule: Rule
    margin: float
    input: str
    is_held: bool
    text: str

    @property
    def holds(self) -> bool:
        """Whether all conditions hold."""
        return self.margin >= 0.0


def judge_rules(
    inputs: Mapping[str, float], thresholds: Thresholds, *, held: str = ""
) -> list[Judged]:
    """Judge every rule.

    Parameters
    ----------
    inputs : mapping of str to float
        By the names of `INPUTS`; NaN where not told.
    thresholds : Thresholds
        Of the session.
    held : str
        Label of the snapshot before; its rule is judged by exit thresholds.

    Returns
    -------
    list of Judged
        In the order of `RULES`.
    """
    return [_judge(rule, inputs, thresholds, rule.regime == held) for rule in RULES]


def _judge(
    rule: Rule, inputs: Mapping[str, float], thresholds: Thresholds, is_held: bool
) -> Judged:
    entered = _weakest(rule, inputs, thresholds.enter)
    if not is_held or entered[0] >= 0.0:
        return Judged(rule, entered[0], entered[1], False, _words(rule, inputs, thresholds.enter))
    stayed = _weakest(rule, inputs, thresholds.leave)
    words = _words(rule, inputs, thresholds.leave)
    return Judged(rule, stayed[0], stayed[1], stayed[0] >= 0.0, words)


def _weakest(
    rule: Rule, inputs: Mapping[str, float], levels: Mapping[str, float]
) -> tuple[float, str]:
    """Return the least margin of a rule's conditions and its input; NaN when one is not told."""
    margins = [(_margin(c, inputs[c.input], _level(c, levels)), c.input) for c in rule.conditions]
    missing = [pair for pair in margins if not np.isfinite(pair[0])]
    return missing[0] if missing else min(margins, key=operator.itemgetter(0))


def _level(condition: Condition, levels: Mapping[str, float]) -> float:
    return condition.side * levels[condition.threshold] if condition.threshold else condition.level


def _margin(condition: Condition, value: float, level: float) -> float:
    """Return how far a value lies beyond a level, over the larger of the two sizes."""
    value = abs(value) if condition.is_absolute else value
    size = max(abs(value), abs(level))
    beyond = condition.sign * (value - level)
    return beyond / size if size else beyond


def _words(rule: Rule, inputs: Mapping[str, float], levels: Mapping[str, float]) -> str:
    return " and ".join(
        f"{'|' * c.is_absolute}{c.input}{'|' * c.is_absolute} {inputs[c.input]:.4g} "
        f"{'>=' if c.sign > 0 else '<='} {_level(c, levels):.4g}"
        for c in rule.conditions
    )
