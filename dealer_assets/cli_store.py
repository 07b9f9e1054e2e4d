"""Commands about the store: what it holds, and moving old sessions to the next tier.

Belongs here: arguments, progress, exit codes, as in `cli`. Does not belong here: anything a
notebook might want to call.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from dealer_assets.console import REFUSED, err, out, progress_bar
from dealer_assets.errors import BadInputError

if TYPE_CHECKING:
    from dealer_assets.lake.retention import Windows
    from dealer_assets.lake.storage import Lake

_OPEN_STATES = ("new", "delivered", "acknowledged")

_WIDEST = 200


def register(app: typer.Typer) -> None:
    """Add this module's commands to the `dealer` command."""
    app.command()(status)
    app.command()(retain)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="Also count rows: opens every file's footer.")
    ] = False,
) -> None:
    """Say what the store holds: sessions, files, size and tier of every table; disk, alerts, marts.

    Nothing is read but listings and the newest parts' names, so a year of data takes seconds.
    [bold]dealer status --rows[/bold] counts rows too.
    """
    from dealer_assets.lake.statistics import held
    from dealer_assets.reports.store_views import held_document, held_view, size_words, totals
    from dealer_assets.settings import settings
    from dealer_assets.sources import lake_of

    lake = lake_of(settings())
    found = held(lake, count_rows=rows)
    summed = totals(found)
    disk = shutil.disk_usage(settings().data if settings().data.exists() else Path.cwd())
    alerts = _open_alerts(settings().data / "alerts" / "alerts.sqlite")
    warehouse = settings().warehouse
    built = datetime.fromtimestamp(warehouse.stat().st_mtime, UTC) if warehouse.exists() else None
    if as_json:
        document: dict[str, Any] = {
            "lake": lake.uri,
            "cold": lake.cold.uri if lake.cold else None,
            "totals": summed,
            "tables": held_document(found),
            "disk": {"free_bytes": disk.free, "total_bytes": disk.total},
            "open_alerts": alerts,
            "warehouse_published": built.isoformat() if built else None,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    if not found:
        out.print("the lake is empty: try `dealer demo`, or `dealer import FILE ...`")
        return
    _print_whole(held_view(found))
    cold = f", {size_words(summed['cold_bytes'])} of it cold" if summed["cold_bytes"] else ""
    out.print(
        f"{summed['tables']} tables, {summed['files']:,} files, {size_words(summed['bytes'])}{cold}"
    )
    if summed["cold_bytes"] and lake.cold is None:
        out.print("[yellow]cold storage is not configured[/yellow]: set DEALER_COLD_URI to read it")
    out.print(f"disk: {size_words(disk.free)} free of {size_words(disk.total)}")
    if alerts is not None:
        told = ", ".join(f"{count} {state}" for state, count in alerts.items() if count)
        out.print(f"open alerts: {told or 'none'}")
    if built:
        out.print(f"warehouse: published {built:%Y-%m-%d %H:%M} UTC")
    else:
        out.print("warehouse: not built yet; `dealer backfill` or the marts job builds it")


def _print_whole(table: Table) -> None:
    """Print a table at its own width: in a pipe, or a narrow window, a date cut short is none."""
    wanted = Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum
    Console(width=max(out.width, wanted)).print(table, crop=False)


def _open_alerts(path: Path) -> dict[str, int] | None:
    """Count open alerts by state, without touching the store; None when there is no store."""
    if not path.exists():
        return None
    query = "SELECT state, count(*) FROM alerts GROUP BY state"
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            counts = dict(connection.execute(query).fetchall())
    except sqlite3.Error as error:
        err.print(f"[yellow]the alert store at {path} cannot be read[/yellow]: {error}")
        return None
    return {state: int(counts.get(state, 0)) for state in _OPEN_STATES}


def retain(
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without this nothing is touched.")
    ] = False,
    hot: Annotated[
        int | None, typer.Option(help="Newest sessions whose parts stay single files.", min=1)
    ] = None,
    warm: Annotated[
        int | None, typer.Option(help="Sessions before those that stay here.", min=0)
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="On S3: nothing else writes to old sessions now.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Pack old sessions into one file a table, and send older ones to cold storage.

    Shows what is due, with files and bytes; [bold]dealer retain --apply[/bold] does it.

    Three tiers, counted in sessions of each underlying's calendar: [bold]hot[/bold], the newest
    DEALER_RETENTION_HOT_SESSIONS (3), parts as they were written; [bold]warm[/bold], the next
    DEALER_RETENTION_WARM_SESSIONS (60), one file a session; [bold]cold[/bold], all older ones, in
    DEALER_COLD_URI (a folder or s3://bucket/prefix). Without that address nothing gets cold.

    No row is ever deleted: a file goes when its copy has been read back equal. Every reader, run
    and mart finds the same rows in any tier; whoever writes to an old session brings it back.
    Killed at any moment, the same command ends what was begun. A lake on S3 cannot hold writers
    off: there [bold]--apply[/bold] asks for [bold]--alone[/bold], your word that no backfill,
    import of old sessions or build of the marts runs meanwhile.
    """
    from dealer_assets.lake.retention import Windows, plan
    from dealer_assets.reports.store_views import plan_view, plan_words
    from dealer_assets.settings import settings
    from dealer_assets.sources import lake_of

    lake, now = lake_of(settings()), datetime.now(UTC)
    windows = Windows(
        settings().retention_hot_sessions if hot is None else hot,
        settings().retention_warm_sessions if warm is None else warm,
    )
    if apply:
        _require_alone(lake, alone=alone)
    steps = plan(lake, now, windows)
    if as_json:
        sys.stdout.write(json.dumps([_document(step) for step in steps], indent=2) + "\n")
    elif steps:
        _print_whole(plan_view(steps))
    if apply:
        _carry_out(lake, now, windows, steps=len(steps))
    elif not as_json:
        out.print(plan_words(steps))
        out.print("nothing was touched; `dealer retain --apply` does it" if steps else "")


def _require_alone(lake: Lake, *, alone: bool) -> None:
    if not lake.is_local and not alone:
        raise BadInputError(
            f"the lake at {lake.uri} cannot hold writers off: expected --alone with --apply, when "
            "no backfill, import of old sessions or build of the marts runs meanwhile"
        )


def _carry_out(lake: Lake, now: datetime, windows: Windows, *, steps: int) -> None:
    from dealer_assets.lake.retention import retain as carry_out_all
    from dealer_assets.reports.store_views import size_words

    done, left, before, after = 0, 0, 0, 0
    with progress_bar() as progress:
        task = progress.add_task("retaining", total=steps)
        for one in carry_out_all(lake, now, windows):
            step = one.step
            where = f"{step.table.name} {step.underlying} {step.session_date}"
            progress.update(task, advance=1, description=f"{step.action} {where}")
            done, left = done + (not one.problem), left + bool(one.problem)
            if step.action == "pack" and not one.problem:
                before, after = before + step.bytes, after + one.bytes_after
            if one.problem:
                err.print(f"[red]left[/red] {where}: {one.problem}", highlight=False)
    packed = f"; packed {size_words(before)} into {size_words(after)}" if before else ""
    told = f"{done:,} moves of partitions done, {left:,} left as they were{packed}"
    err.print(told if done or left else "nothing is due")
    if left:
        raise typer.Exit(REFUSED)


def _document(step: Any) -> dict[str, Any]:
    return {
        "action": step.action,
        "table": step.table.name,
        "underlying": step.underlying,
        "session_date": step.session_date.isoformat(),
        "files": step.files,
        "bytes": step.bytes,
    }
