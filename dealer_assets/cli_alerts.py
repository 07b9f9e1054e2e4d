"""Commands about alerts: look, acknowledge, resolve, deliver, test.

Belongs here: arguments and exit codes, as in `cli`. Does not belong here: anything a notebook might
want to call.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dealer_assets.console import REFUSED, err, out
from dealer_assets.errors import BadInputError

if TYPE_CHECKING:
    from dealer_assets.alerts.store import AlertStore

alerts = typer.Typer(
    name="alerts",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help=(
        "Alerts: what was raised, what became of it, and where it is sent.\n\n"
        "An alert is [bold]new[/bold] until a channel confirms it ([bold]delivered[/bold]), until "
        "somebody has seen it ([bold]acknowledged[/bold]) and until it is over "
        "([bold]resolved[/bold]).\n\n"
        "To begin: [bold]dealer alerts rules[/bold] says what is watched. By default alerts are "
        "only written to data/alerts.log. Set DEALER_ALERT_URLS, try it with [bold]dealer alerts "
        "test[/bold], then set DEALER_ALERT_MODE=send (docs/alerts.md)."
    ),
)

_Id = Annotated[str, typer.Argument(help="Alert id, or its beginning, as `list` shows it.")]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_By = Annotated[str, typer.Option(help="Who; default: the user's name.")]
_Note = Annotated[str, typer.Option(help="Words that stay in the alert's history.")]
_StateName = Literal["open", "all", "new", "delivered", "acknowledged", "resolved"]


def register(app: typer.Typer) -> None:
    """Add this module's commands to the `dealer` command."""
    app.add_typer(alerts)


@contextmanager
def _store() -> Iterator[AlertStore]:
    """Open the store; one that is not there has no alert."""
    from dealer_assets.alerts.store import AlertStore
    from dealer_assets.settings import settings

    path = settings().alert_store
    if not path.exists():
        raise BadInputError(
            f"no alert was raised yet: expected {path}; a run of the `alerts` assets, or a failed "
            "run, makes it (`dealer alerts rules` says what is watched)"
        )
    with AlertStore(path) as store:
        yield store


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "somebody"


@alerts.command("list")
def list_(
    state: Annotated[
        str, typer.Option(help="open (all but resolved), all, or one state's name.")
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: _Json = False,
) -> None:
    """List alerts, the newest first.

    [bold]dealer alerts list --state all --limit 200 --json[/bold]
    """
    from dealer_assets.alerts.documents import document_of
    from dealer_assets.alerts.model import STATES
    from dealer_assets.reports.alert_views import alerts_view
    from dealer_assets.settings import settings

    if state not in ("open", "all", *STATES):
        raise BadInputError(f"expected open, all, {', '.join(STATES)}, found --state {state}")
    wanted: _StateName = state  # type: ignore[assignment]  # checked in the line above
    found = []
    if settings().alert_store.exists():
        with _store() as store:
            found = store.listing(None if wanted == "all" else wanted, limit)
    if as_json:
        sys.stdout.write(json.dumps([document_of(queued) for queued in found], indent=2) + "\n")
    elif found:
        out.print(alerts_view(found))
    else:
        out.print("no alert" if wanted == "all" else f"no alert is {wanted}")


@alerts.command()
def show(alert_id: _Id, as_json: _Json = False) -> None:
    """Show one alert: its words, its facts, and everything that happened to it."""
    from rich.markup import escape

    from dealer_assets.alerts.documents import document_of
    from dealer_assets.reports.alert_views import alerts_view, history_view

    with _store() as store:
        whole = store.match(alert_id)
        queued, steps = store.get(whole), store.history(whole)
    if as_json:
        sys.stdout.write(json.dumps(document_of(queued, steps), indent=2) + "\n")
        return
    out.print(alerts_view([queued]))
    out.print(f"\n{escape(queued.alert.body)}\n", highlight=False)
    for name, value in queued.alert.facts.items():
        out.print(f"  {escape(name)}: {escape(str(value))}")
    out.print(history_view(steps))


@alerts.command()
def ack(
    ids: Annotated[list[str], typer.Argument(help="Ids, or their beginnings.")],
    by: _By = "",
    note: _Note = "",
) -> None:
    """Acknowledge alerts: you have seen them. What was not sent yet is then not sent."""
    with _store() as store:
        for whole in [store.match(one) for one in ids]:
            store.acknowledge(whole, by or _me(), datetime.now(UTC), note)
            out.print(f"{whole} acknowledged")


@alerts.command()
def resolve(
    ids: Annotated[list[str], typer.Argument(help="Ids, or their beginnings.")],
    by: _By = "",
    note: _Note = "",
) -> None:
    """Resolve alerts: they are over. Conditions that end by themselves resolve theirs."""
    with _store() as store:
        for whole in [store.match(one) for one in ids]:
            store.resolve(whole, by or _me(), datetime.now(UTC), note)
            out.print(f"{whole} resolved")


@alerts.command()
def deliver(
    seconds: Annotated[float, typer.Option(min=1.0, help="Stop after so many seconds.")] = 25.0,
) -> None:
    """Deliver what waits, once. The sensor `alert_delivery` does it every 30 seconds.

    Alerts go out in order on each channel; one that fails is tried again, after growing pauses,
    until it is confirmed. Exit code 1: a channel failed, or alerts were given up.
    """
    from dealer_assets.alerts.delivery import deliver_due
    from dealer_assets.settings import settings

    done = deliver_due(settings(), seconds=seconds)
    out.print(done.words, highlight=False, markup=False)
    if done.failures or done.given_up:
        raise typer.Exit(REFUSED)


@alerts.command()
def test() -> None:
    """Send one test message through every channel now, and say what each answered.

    It goes to every URL of DEALER_ALERT_URLS whatever DEALER_ALERT_MODE says; without URLs, into
    the log. Quiet hours do not hold it. Exit code 1: a channel did not take it.
    """
    from dealer_assets.alerts.trial import try_channels
    from dealer_assets.reports.alert_views import trials_view
    from dealer_assets.settings import settings

    with err.status("sending"):
        trials = try_channels(settings(), datetime.now(UTC))
    out.print(trials_view(trials))
    if settings().alert_urls and settings().alert_mode == "log":
        out.print("alerts themselves are only logged: DEALER_ALERT_MODE=send sends them")
    if not all(trial.answer.is_accepted for trial in trials):
        raise typer.Exit(REFUSED)


@alerts.command()
def rules(as_json: _Json = False) -> None:
    """Say what is watched: every rule, its threshold, severity and cool-down as set now.

    DEALER_ALERT_RULES changes them: `wall_shifted off; score_at_least at_least=90`.
    """
    from dataclasses import asdict

    from dealer_assets.domain.alerting.table import rules_of
    from dealer_assets.reports.alert_views import rules_view
    from dealer_assets.settings import settings

    found = list(rules_of(settings().alert_rules).values())
    if as_json:
        sys.stdout.write(json.dumps([asdict(rule) for rule in found], indent=2) + "\n")
        return
    out.print(rules_view(found))
