"""Commands about vendors: fetching the past, the cache, the doctor, the test exchange.

Belongs here: arguments, progress, exit codes, as in `cli`. Does not belong here: anything a
notebook might want to call.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from typing import Annotated

import typer

from dealer_assets.console import QUARANTINED, REFUSED, day_of, err, out, progress_bar
from dealer_assets.errors import BadInputError


def register(app: typer.Typer) -> None:
    """Add this module's commands to the `dealer` command."""
    app.command()(history)
    app.command()(cache)
    app.command()(rates)
    app.command()(doctor)
    app.command()(upgrade)
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )(exchange)


def history(
    underlying: Annotated[str, typer.Option(help="Registry symbol, e.g. SPX.")],
    first: Annotated[str, typer.Option("--from", help="First session, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last session, YYYY-MM-DD.")],
    chains: Annotated[
        bool, typer.Option(help="Also put chains together from the tape and price them.")
    ] = True,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build rows anew from the cache, where it holds them.")
    ] = False,
) -> None:
    """Fetch listing, index values, bars, trades and quotes of past sessions.

    What is held is never fetched again: killed or cut off half-way, the same command continues.
    Needs a provider with a past: DEALER_PROVIDER=polygon (and flat files), Deribit, the simulator.
    """
    from dealer_assets.domain.sessions import session_of, sessions_between
    from dealer_assets.settings import settings
    from dealer_assets.underlyings import underlying as entry

    lane = entry(underlying)
    days = sessions_between(lane.calendar, day_of(first), day_of(last))
    today = session_of(lane.calendar, datetime.now(UTC))
    days = [day for day in days if settings().first_session <= day <= today]
    if not days:
        raise BadInputError(
            f"{lane.symbol} has no session from {first} to {last} between "
            f"{settings().first_session} (DEALER_FIRST_SESSION) and today"
        )
    failed = 0
    kinds = ("tape", "session") if chains else ("tape",)
    with progress_bar() as progress:
        task = progress.add_task(lane.symbol, total=len(days) * len(kinds))
        for day in days:
            for number, kind in enumerate(kinds):
                progress.update(task, description=f"{lane.symbol} {day} {kind}")
                if _run(lane.symbol, day, kind=kind, rebuild=rebuild):
                    failed += 1
                    progress.advance(task, len(kinds) - number)
                    break  # chains of half a tape would stay
                progress.advance(task)
    out.print(f"{len(days)} sessions of {lane.symbol}, {failed} runs stopped or failed")
    if failed:
        raise typer.Exit(REFUSED)


def _run(symbol: str, day: date, *, kind: str, rebuild: bool) -> int:
    """Run one partition; say why it failed; return how many did."""
    from dealer_assets.runner import run_partitions

    failed = 0
    for run in run_partitions([symbol], [day], rebuild=rebuild, kind=kind):  # type: ignore[arg-type]
        failed += not run.is_success
        for problem in run.problems:
            err.print(f"[red]stopped[/red] {run.partition} {kind}: {problem}", highlight=False)
    return failed


def rates(
    first: Annotated[str, typer.Option("--from", help="First date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last date, YYYY-MM-DD.")],
) -> None:
    """Fetch Treasury curves and the overnight fixings of a range of dates.

    A Treasury that does not answer is replaced by FRED's copy, which the result says.
    """
    from dealer_assets.intake.published import collect_curves, collect_fixings
    from dealer_assets.settings import settings
    from dealer_assets.sources import lake_of, rates_of

    lake = lake_of(settings())
    begin, end = day_of(first), day_of(last)
    with err.status("asking Treasury, New York Fed and FRED"), rates_of(settings()) as source:
        curves, findings = collect_curves(lake, source, begin, end)
        fixings = collect_fixings(lake, source, begin, end)
    out.print(f"{curves.written:,} curves stored, {curves.held:,} held")
    rows = sum(outcome.contracts for outcome in fixings)
    out.print(f"{rows:,} fixings in the lake")
    told = {f.code: f.text for f in (*findings, *(f for o in fixings for f in o.findings))}
    for code, text in told.items():
        out.print(f"  [yellow]{code}[/yellow]: {text}")


def cache(
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every payload and hold it to its checksum.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show which vendor payloads are held: they are never fetched again.

    A session is complete when everything asked for it was received after it had ended.
    """
    from dealer_assets.reports.vendors import cache_view
    from dealer_assets.settings import settings
    from dealer_assets.sources import cache_of

    held = cache_of(settings())
    holdings = held.holdings()
    if as_json:
        sys.stdout.write(json.dumps([vars(h) for h in holdings], indent=2, default=str) + "\n")
    elif not holdings:
        out.print("the cache is empty: `dealer history` fills it")
    else:
        out.print(cache_view(holdings))
    if not verify:
        return
    with err.status("reading every payload"):
        problems = held.verify()
    for problem in problems:
        err.print(f"[red]damaged[/red] {problem}", highlight=False)
    if problems:
        err.print("damaged payloads are fetched again by the next `dealer history`")
        raise typer.Exit(REFUSED)
    err.print("every payload is as it was received")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Read every part of the lake, not only the newest.")
    ] = False,
) -> None:
    """Say which sources are reachable, entitled and fresh, and whether clock, disk and lake are.

    Exit code 0: all is well; 3: something to look at; 1: something does not work.
    """
    from dealer_assets.doctor import examine
    from dealer_assets.reports.vendors import doctor_view
    from dealer_assets.settings import settings

    with err.status("asking every source once"):
        checks = examine(settings(), now=datetime.now(UTC), full=full)
    if as_json:
        sys.stdout.write(json.dumps([vars(check) for check in checks], indent=2) + "\n")
    else:
        out.print(doctor_view(checks))
    verdicts = {check.verdict for check in checks}
    if "fail" in verdicts:
        raise typer.Exit(REFUSED)
    if "warn" in verdicts:
        raise typer.Exit(QUARANTINED)


def upgrade() -> None:
    """Bring a lake of an earlier release up to date; its chains are kept.

    Parts derived from them are deleted and computed again by the next backfill.
    """
    from dealer_assets.lake.upgrade import upgrade as renew
    from dealer_assets.settings import settings
    from dealer_assets.sources import lake_of

    done: dict[str, int] = {}
    with err.status("reading every part's version"):
        for _, what in renew(lake_of(settings())):
            done[what] = done.get(what, 0) + 1
    counts = ", ".join(f"{count:,} parts {what}" for what, count in sorted(done.items()))
    out.print(counts or "every part is of this release")


def exchange(context: typer.Context) -> None:
    """Run the test exchange: every vendor on one loopback port, for development and demos.

    [bold]dealer exchange --help[/bold] lists its options; docs/test_exchange.md tells the rest.
    """
    try:
        from dealer_assets_tests.exchange.__main__ import main as run
    except ModuleNotFoundError as error:
        raise BadInputError(
            "the test exchange is part of the repository, not of the installed package: run "
            f"`dealer exchange` from a checkout (missing: {error.name})"
        ) from error
    raise typer.Exit(run(context.args))
