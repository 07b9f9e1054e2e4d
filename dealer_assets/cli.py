"""The `dealer` command: thin; every command orders calls of the layers below and prints.

Belongs here: arguments, progress bars, exit codes. Does not belong here: anything a notebook might
want to call. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 done but impossible rows
were quarantined.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape

from dealer_assets import cli_alerts, cli_store, cli_streaming, cli_vendors
from dealer_assets.console import (
    QUARANTINED,
    REFUSED,
    day_of,
    err,
    instant_of,
    out,
    progress_bar,
)
from dealer_assets.errors import BadInputError, DealerError

if TYPE_CHECKING:
    from dealer_assets.intake.outcome import Outcome
    from dealer_assets.pricing_file import PricedFile
    from dealer_assets.runner import Kind, Run

app = typer.Typer(
    name="dealer",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help=(
        "Open analytics of option dealer positioning.\n\n"
        "Start with [bold]dealer demo[/bold] (offline, a few minutes), or price a real chain with "
        "[bold]dealer levels FILE[/bold]. [bold]dealer import[/bold] puts files into the lake, "
        "[bold]dealer backfill[/bold] turns them into exposures, and [bold]make dev[/bold] shows "
        "everything in the Dagster UI."
    ),
)


@app.command()
def levels(
    file: Annotated[Path, typer.Argument(help="Chain file: Cboe CSV or JSON, Yahoo, L3, Deribit.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the stable JSON document (docs/levels_json.md).")
    ] = False,
    model: Annotated[
        str,
        typer.Option(help="Dealer position models, comma-separated, or all; the first has bands."),
    ] = "naive",
    as_of: Annotated[
        str | None,
        typer.Option(help="Value the quotes at this instant (ISO 8601 with offset)."),
    ] = None,
    rates: Annotated[
        Path | None,
        typer.Option(
            help="Treasury par-yield file: rates of short expiries; prices early exercise."
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(help="Also draw the gamma profile into this PNG (numbered for archives)."),
    ] = None,
) -> None:
    """Price one chain file and print its levels; needs no lake and no set-up.

    [bold]dealer levels spx_quotedata.csv[/bold] · [bold]dealer levels chain.json.gz --json[/bold]
    · [bold]dealer levels chain.csv --model all[/bold]
    """
    from dealer_assets.curves import read_curve_file
    from dealer_assets.pricing_file import price_file

    priced = price_file(
        file,
        model=model,
        as_of=instant_of(as_of) if as_of else None,
        curves=read_curve_file(rates) if rates else (),
    )
    if as_json:
        documents = [document for one in priced for document in one.documents]
        sys.stdout.write(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
        sys.stdout.write("\n")
    for number, one in enumerate(priced, start=1):
        if not as_json:
            _print_levels(one)
        if png and one.exposure.profile is not None:
            from dealer_assets.reports.pictures import profile_picture

            target = png if len(priced) == 1 else png.with_stem(f"{png.stem}_{number}")
            headline = one.exposure.book.model
            target.write_bytes(
                profile_picture(one.profile_table, one.levels_table, headline=headline, dpi=130)
            )
    _print_missing(priced[0])
    if any(one.quarantined for one in priced):
        err.print("[yellow]impossible rows were left out; see 'rejected'[/yellow]")
        raise typer.Exit(QUARANTINED)


def _print_levels(priced: PricedFile) -> None:
    """Print one chain's levels, models side by side where there are several, and its findings."""
    from dealer_assets.reports.terminal import levels_view, models_view

    one = len(priced.documents) == 1
    out.print(levels_view(priced.document) if one else models_view(priced.documents))
    for finding in priced.findings:
        out.print(f"  [yellow]{finding.code}[/yellow]: {finding.text}")


def _print_missing(priced: PricedFile) -> None:
    """Say which models were left out, those with one reason in one line."""
    for why in dict.fromkeys(priced.missing.values()):
        names = ", ".join(name for name, own in priced.missing.items() if own == why)
        err.print(f"[yellow]left out[/yellow]: {names}: {why}", soft_wrap=True, highlight=False)


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="Chain files or archives, or Treasury par-yield files.")
    ],
) -> None:
    """Store chain files in the lake; odd ones with their findings, unbelievable ones not at all.

    Treasury's daily par yields (CSV or XML) are stored as rate curves.

    Importing the same file twice changes nothing. Then: [bold]dealer backfill[/bold].
    """
    from dealer_assets.intake.imports import import_files
    from dealer_assets.reports.terminal import outcomes_view
    from dealer_assets.settings import settings
    from dealer_assets.sources import lake_of

    outcomes: list[Outcome] = []
    lake = lake_of(settings())
    with progress_bar() as progress:
        task = progress.add_task("importing", total=len(files))
        for path in files:
            progress.update(task, description=f"importing {path.name}")
            outcomes += import_files(lake, [path], curves_since=settings().first_curve)
            progress.advance(task)
    out.print(outcomes_view(outcomes))
    refused = [o for o in outcomes if o.status == "refused"]
    for outcome in refused:
        err.print(f"[red]refused[/red] {outcome.source}: {outcome.reason}", highlight=False)
    if refused:
        raise typer.Exit(REFUSED)
    if any(o.impossible for o in outcomes):
        err.print("[yellow]impossible rows are in the quarantine table rejected_rows[/yellow]")
        raise typer.Exit(QUARANTINED)


_LEFT_OUT = {
    "tape": ("option_bars",),  # trades tell all of it
    "morning": ("account_volume", "live_reconciliation", "level_scores", "signed_flow"),
}
"""Tables of a kind that a backfill and the demo do not make."""


@app.command()
def backfill(
    underlying: Annotated[str, typer.Option(help="Registry symbol, e.g. SPX.")],
    first: Annotated[str, typer.Option("--from", help="First session, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last session, YYYY-MM-DD.")],
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Compute every part anew.")] = False,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Also ask the provider for sessions the lake lacks."),
    ] = False,
    marts: Annotated[bool, typer.Option(help="Build the dbt marts afterwards.")] = True,
) -> None:
    """Materialize every partition for which chains exist, one Dagster run each.

    Positions are scored when the last session is done: a score needs the next morning's counts.
    Killed half-way, it continues where it was: what is current is not computed again.
    """
    from dealer_assets.runner import sessions_to_run
    from dealer_assets.settings import settings
    from dealer_assets.underlyings import underlying as entry

    lane = entry(underlying)
    days = sessions_to_run(lane, day_of(first), last=day_of(last), collect=collect)
    if lane.symbol not in settings().lanes:
        lanes = ",".join((*settings().lanes, lane.symbol))
        err.print(f"[yellow]to see {lane.symbol} in the UI, set DEALER_UNDERLYINGS={lanes}[/]")
    runs = _run_days([lane.symbol], days, rebuild=rebuild)
    runs += _run_days([lane.symbol], days, rebuild=rebuild, kind="morning")
    failed = sum(not run.is_success for run in runs)
    out.print(f"{len(days)} partitions of {lane.symbol}, {failed} stopped or failed")
    if marts:
        failed += not _build_marts().is_success
    if failed:
        raise typer.Exit(REFUSED)


def _run_days(
    symbols: list[str],
    days: list[date],
    *,
    rebuild: bool = False,
    kind: Kind = "session",
) -> list[Run]:
    """Run partitions with a progress bar; say which were blocked or failed, and why.

    Of the morning after only the score of positions: it needs the next session's counts, which a
    run in order comes to later. The rest is asked of publishers, or was run with the session.
    """
    from dealer_assets.runner import run_partitions

    runs = []
    unused = _LEFT_OUT.get(kind, ())
    with progress_bar() as progress:
        task = progress.add_task("+".join(symbols), total=len(days))
        for run in run_partitions(symbols, days, rebuild=rebuild, kind=kind, leave_out=unused):
            progress.update(task, advance=1, description=f"{run.name} {kind} {run.partition}")
            runs.append(run)
            for problem in run.problems:
                err.print(f"[red]stopped[/red] {run.partition}: {problem}", highlight=False)
    return runs


def _build_marts() -> Run:
    """Build the marts behind a spinner."""
    from dealer_assets.runner import run_marts

    with err.status("dbt: building and testing the marts"):
        run = run_marts()
    for problem in run.problems:
        err.print(f"[red]marts[/red]: {problem}", highlight=False)
    return run


@app.command()
def snapshot(
    underlying: Annotated[str, typer.Option(help="Registry symbol, e.g. SPY.")],
    at: Annotated[
        str | None, typer.Option(help="Instant to ask for (ISO 8601 with offset); default now.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the levels as JSON.")] = False,
) -> None:
    """Ask the configured provider for one chain, store it, and print its levels.

    The provider is the simulator unless DEALER_PROVIDER says cboe (free, delayed, no key) or
    polygon; crypto then comes from Deribit, which needs no key either.
    """
    from dealer_assets.curves import curve_known
    from dealer_assets.intake.collection import store_own_curve
    from dealer_assets.intake.ingest import store_snapshot
    from dealer_assets.lake.reader import read_partition
    from dealer_assets.pricing_file import price_snapshot
    from dealer_assets.settings import settings
    from dealer_assets.sources import SIMULATOR, lake_of, provider_of
    from dealer_assets.tables import DEALER_POSITIONS
    from dealer_assets.underlyings import underlying as entry

    instant = instant_of(at) if at else datetime.now(UTC)
    asset = entry(underlying)
    lake = lake_of(settings())
    with provider_of(settings(), asset) as provider:
        taken = provider.snapshot(asset, at=instant)
        store_own_curve(lake, provider, asset, session_date=taken.session_date)
    outcome = store_snapshot(lake, taken)
    known = curve_known(lake, taken.event_at, simulated=taken.provider == SIMULATOR).curve
    priced = price_snapshot(
        taken,
        model=f"{settings().model},{settings().models}",
        curves=[known] if known else [],
        settled=read_partition(lake, DEALER_POSITIONS, asset.symbol, taken.session_date),
    )
    if as_json:
        document, *others = priced.documents
        sys.stdout.write(json.dumps([document, *others] if others else document, indent=2) + "\n")
        return
    _print_levels(priced)
    _print_missing(priced)
    out.print(f"{outcome.status} in the lake: {outcome.contracts:,} contracts, {taken.source_name}")


@app.command()
def tables(
    name: Annotated[str | None, typer.Argument(help="One table; all when left out.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the dictionary as docs/tables.md has it.")
    ] = False,
) -> None:
    """Explain every lake table: grain, key, columns, units."""
    from dealer_assets import tables as dictionary
    from dealer_assets.reports.dictionary import markdown_dictionary, table_view

    try:
        chosen = [dictionary.table(name)] if name else list(dictionary.TABLES)
    except KeyError as error:
        raise BadInputError(str(error.args[0])) from error
    if markdown:
        sys.stdout.write(markdown_dictionary(chosen))
        return
    for entry in chosen:
        out.print(table_view(entry))


@app.command()
def demo(
    sessions: Annotated[int, typer.Option(help="How many past sessions.", min=1, max=60)] = 10,
) -> None:
    """Run the whole platform offline on simulated SPX, SPY and BTC chains, then report."""
    from dealer_assets import demo as show

    started = time.perf_counter()
    plan = show.plan(datetime.now(UTC), sessions=sessions)
    runs: list[Run] = []
    for step in plan.steps:
        # flow first: a session's positions rest on the flow of those before it
        runs += _run_days(list(step.symbols), list(step.with_flow), kind="tape")
        runs += _run_days(list(step.symbols), list(step.sessions))
        runs += _run_days(list(step.symbols), list(step.with_flow), kind="morning")
    runs.append(_build_marts())
    out.print(show.report(plan, runs, seconds=time.perf_counter() - started))
    if not all(run.is_success for run in runs):
        raise typer.Exit(REFUSED)


cli_streaming.register(app)
cli_vendors.register(app)
cli_store.register(app)
cli_alerts.register(app)


def main() -> None:
    """Run the command; print a deliberate refusal as one line and leave with code 1."""
    try:
        app()
    except DealerError as error:
        _refuse(str(error))
    except ValueError as error:
        if getattr(error, "title", "") != "Settings":  # pydantic's, of a variable that is wrong
            raise
        _refuse(_of_settings(error))


def _refuse(words: str) -> NoReturn:
    err.print(f"[red]error[/red]: {escape(words)}", highlight=False, soft_wrap=True)
    sys.exit(REFUSED)


def _of_settings(error: Any) -> str:
    """Say which variables are wrong; what was found is not shown, it may be a secret."""
    told = error.errors(include_input=False, include_url=False)
    names = [f"DEALER_{'_'.join(map(str, one['loc'])).upper()}" for one in told]
    return "; ".join(f"{name}: {one['msg']}" for name, one in zip(names, told, strict=True))


if __name__ == "__main__":
    main()
