"""Alerts in the terminal.

Belongs here: their tables. Does not belong here: the store, or what a rule means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from dealer_assets.alerts.model import Queued, Step
    from dealer_assets.alerts.trial import Trial
    from dealer_assets.domain.alerting.table import Rule

_COLOURS = {"severe": "red", "warning": "yellow", "notice": "cyan"}
_SHORT_ID = 8


def alerts_view(alerts: Sequence[Queued]) -> Table:
    """Show alerts, a line each."""
    view = _bare("id", "when (UTC)", "severity", "state")
    view.add_column("what", overflow="fold")
    for queued in alerts:
        alert = queued.alert
        colour = _COLOURS.get(alert.severity, "white")
        view.add_row(
            alert.alert_id[:_SHORT_ID],
            f"{alert.event_at:%d %b %H:%M}",
            f"[{colour}]{alert.severity}[/{colour}]",
            queued.state,
            escape(alert.title),
        )
    return view


def history_view(steps: Sequence[Step]) -> Table:
    """Show what happened to an alert."""
    view = _bare("", "at (UTC)", "what", "by")
    view.add_column("said", overflow="fold")
    for step in steps:
        view.add_row(
            str(step.step),
            f"{step.at:%Y-%m-%d %H:%M:%S}",
            step.happening,
            escape(step.channel or step.by),
            escape(step.detail),
        )
    return view


def rules_view(rules: Sequence[Rule]) -> Table:
    """Show every rule as it is now."""
    view = _bare("rule")
    view.add_column("raises an alert", overflow="fold")
    for rule in rules:
        least = "" if rule.at_least is None else f"at least {rule.at_least:g} {rule.unit}"
        figures = (least, rule.severity, f"cool-down {rule.cool_down_minutes:g} min")
        ends = f"\n[dim]ends when {escape(rule.ends)}[/dim]" if rule.ends else ""
        view.add_row(
            rule.name if rule.is_on else f"{rule.name} [red]off[/red]",
            f"{escape(rule.doc)}\n[dim]{escape('; '.join(filter(None, figures)))}[/dim]{ends}",
        )
    return view


def trials_view(trials: Sequence[Trial]) -> Table:
    """Show what each channel answered to a test message."""
    view = _bare("", "channel", "service", "seconds")
    view.add_column("answer", overflow="fold")
    for trial in trials:
        verdict = "[green]sent[/green]" if trial.answer.is_accepted else "[red]failed[/red]"
        view.add_row(
            verdict,
            escape(trial.channel),
            escape(trial.service) or "-",
            f"{trial.answer.seconds:.2f}",
            escape(trial.answer.detail),
        )
    return view


def _bare(*columns: str) -> Table:
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        view.add_column(name, no_wrap=True)
    return view
