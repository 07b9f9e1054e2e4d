"""Commands about live data: stream, record, replay, look.

Belongs here: arguments, progress, exit codes, as in `cli`. Does not belong here: anything a
notebook might want to call. The package `streaming` is imported inside commands only.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dealer_assets.console import day_of, err, instant_of, out
from dealer_assets.errors import BadInputError

if TYPE_CHECKING:
    from rich.table import Table

    from dealer_assets.lake.storage import Lake
    from dealer_assets.underlyings import Underlying
    from streaming.desk.latest import Latest
    from streaming.process.desk_life import Choice
    from streaming.process.replaying import Replayed

_Underlyings = Annotated[
    str, typer.Option("--underlyings", "-u", help="Comma-separated; default DEALER_UNDERLYINGS.")
]
_Feed = Annotated[
    str, typer.Option(help="auto, simulator, polygon or deribit; auto follows the settings.")
]
_Session = Annotated[
    str | None,
    typer.Option("--session", help="Play this session of the simulator from its open."),
]
_Speed = Annotated[
    float, typer.Option(min=0.0, help="Of that session; 60: a minute a second; 0: no pause.")
]
_Seconds = Annotated[
    float | None, typer.Option(min=0.0, help="Stop after so many seconds of work; default: go on.")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands to the `dealer` command."""
    app.command()(live)
    app.command()(replay)
    app.command()(record)
    app.command()(gamma)


def live(
    underlyings: _Underlyings = "",
    feed: _Feed = "auto",
    keep: Annotated[
        bool, typer.Option("--record", help="Keep every frame, for `dealer replay`.")
    ] = False,
    api: Annotated[bool, typer.Option(help="Serve the live API.")] = True,
    session: _Session = None,
    speed: _Speed = 1.0,
    seconds: _Seconds = None,
) -> None:
    """Stream quotes and trades; write live gamma and flow into the lake, second by second.

    Offline, at any hour: [bold]dealer live --feed simulator --session 2025-12-18 --speed 60[/bold],
    and in another terminal [bold]dealer gamma --watch[/bold].

    Real: [bold]DEALER_POLYGON_API_KEY=... dealer live -u SPX,SPY --feed polygon[/bold], or
    [bold]dealer live -u BTC --feed deribit[/bold], which needs no key. Outside its session a desk
    sleeps, and goes on with the next. Ctrl-C drains and flushes; a second one ends at once.

    Exit codes: 0 ended or drained · 1 refused by a venue or the settings · 2 usage · 4 a part kept
    crashing · 5 disk full and memory's bound reached · 130 cut short by a second signal.
    """
    from dealer_assets.settings import settings
    from streaming.process.running import log_to_terminal, run_live

    log_to_terminal()
    choice = _choice(underlyings, feed, session, speed, seconds, records=keep)
    code = run_live(
        settings(),
        choice,
        serves=api,
        say=lambda text: err.print(text, highlight=False, soft_wrap=True),
    )
    raise typer.Exit(code)


def _choice(
    underlyings: str,
    feed: str,
    session: str | None,
    speed: float,
    seconds: float | None,
    *,
    records: bool,
) -> Choice:
    from dealer_assets.settings import settings
    from streaming.process.desk_life import Choice

    if session is None and speed != 1.0:
        raise BadInputError(
            f"expected --session with --speed {speed:g}: only a simulated session can go faster "
            "than time"
        )
    return Choice(
        lanes=_lanes(underlyings),
        feed=feed,
        records=records or settings().stream_record,
        session=_session(session),
        speed=speed,
        seconds=seconds,
    )


def _session(text: str | None) -> date | None:
    return day_of(text) if text else None


def _lanes(text: str) -> tuple[Underlying, ...]:
    """Read underlyings; those of the settings where none are named."""
    from dealer_assets.settings import settings
    from dealer_assets.underlyings import underlying as entry

    names = [name.strip() for name in text.split(",") if name.strip()] or list(settings().lanes)
    return tuple(entry(name) for name in dict.fromkeys(name.upper() for name in names))


def record(
    underlyings: _Underlyings = "",
    feed: _Feed = "auto",
    session: _Session = None,
    speed: _Speed = 1.0,
    seconds: _Seconds = None,
) -> None:
    """Record a feed and do nothing else: no engine, no lake.

    [bold]dealer record -u BTC --feed deribit --seconds 3600[/bold], then
    [bold]dealer replay data/stream/recordings/...[/bold]. Frames are kept as received; keys are
    sent, not received, so none is in a recording.
    """
    import asyncio

    from dealer_assets.settings import settings
    from streaming.process.record_only import record as run

    choice = _choice(underlyings, feed, session, speed, seconds, records=True)
    with err.status("connecting") as status:
        code, folder = asyncio.run(
            run(
                settings(),
                choice,
                on_progress=lambda name, frames, size: status.update(
                    f"{name.name}: {frames:,} frames, {size / 1e6:,.1f} MB"
                ),
            )
        )
    out.print(f"recorded: {folder}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def replay(
    recording: Annotated[
        Path | None, typer.Argument(help="Folder of a recording; left out: list them.")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.0, help="1: as it came; 200: faster; 0: no pause.")
    ] = 0.0,
    first: Annotated[
        str | None, typer.Option("--from", help="Instant of the first frame (ISO 8601).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Instant before which frames are played.")
    ] = None,
    lake: Annotated[
        str | None,
        typer.Option(help="Lake to write to; default data/replay/<recording>/lake, made anew."),
    ] = None,
) -> None:
    """Play a recording through the same code as live; the same frames give the same parts.

    [bold]dealer replay[/bold] lists recordings. [bold]dealer replay NAME[/bold] plays one as fast
    as it goes, [bold]--speed 1[/bold] as it came. The live lake is not touched.
    """
    import asyncio

    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from dealer_assets.settings import settings
    from streaming.process.replaying import own_folder, replay as run
    from streaming.recordings.recording import Recording, recordings_in

    root = settings().stream_root / "recordings"
    if recording is None:
        _list_recordings(recordings_in(root), root)
        return
    found = Recording(recording if recording.exists() else root / recording)
    if found.torn_bytes:
        err.print(
            f"[yellow]the last {found.torn_bytes:,} bytes are half a block that a killed process "
            "left; they are not played[/yellow]"
        )
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err) as progress:
        begin_us, end_us = found.span_us
        begin_us, end_us = max(begin_us, _us(first) or 0), min(end_us, _us(until) or end_us)
        task = progress.add_task(found.name, total=max(end_us - begin_us, 1))

        def show(frames: int, at_us: int) -> None:
            at = datetime.fromtimestamp(max(at_us, 0) / 1e6, UTC)
            progress.update(
                task, completed=at_us - begin_us, description=f"{found.name} {at:%H:%M:%S}"
            )

        done = asyncio.run(
            run(
                found,
                own_folder(settings().data, found),
                lake=_open(lake) if lake else None,
                speed=speed,
                from_us=_us(first),
                until_us=_us(until),
                on_progress=show,
            )
        )
    _print_summary(done)


def _open(uri: str) -> Lake:
    from dealer_assets.lake.storage import open_lake
    from dealer_assets.settings import settings

    return open_lake(uri, s3_endpoint=settings().s3_endpoint, s3_region=settings().s3_region)


def _us(text: str | None) -> int | None:
    return int(instant_of(text).timestamp() * 1e6) if text else None


def _list_recordings(folders: list[Path], root: Path) -> None:
    from streaming.recordings.recording import Recording

    if not folders:
        out.print(
            f"no recordings in {root}: `dealer live --record` or `dealer record` makes them",
            highlight=False,
            soft_wrap=True,
        )
    for folder in folders:
        try:
            found = Recording(folder)
            begin, end = (datetime.fromtimestamp(us / 1e6, UTC) for us in found.span_us)
            out.print(
                f"{folder.name}  {begin:%H:%M:%S} to {end:%H:%M:%S} UTC, {found.frames:,} frames",
                highlight=False,
                soft_wrap=True,
            )
        except BadInputError as error:
            err.print(f"[yellow]{folder.name}[/yellow]: {error}", highlight=False, soft_wrap=True)


def _print_summary(done: Replayed) -> None:
    """Say what a replay came to."""
    out.print(
        f"{done.quotes + done.trades:,} events ({done.trades:,} trades) in {done.seconds:,.1f} s: "
        f"{done.events_per_second:,.0f} a second; {done.rejected:,} messages rejected"
    )
    rows = ", ".join(f"{name} {count:,}" for name, count in sorted(done.rows.items()) if count)
    out.print(f"{done.parts:,} parts in {done.lake}: {rows}", soft_wrap=True)
    for (symbol, model), gamma in sorted(done.gammas.items()):
        out.print(f"net gamma {symbol} {model}: {gamma / 1e9:+,.3f} bn USD per 1 %")
    if not done.is_whole:
        err.print("[red]the lake did not take every row: the journal keeps the rest[/red]")
        raise typer.Exit(1)


def gamma(
    underlyings: _Underlyings = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between refreshes.")] = 2.0,
) -> None:
    """Show the latest live gamma in the lake: spot, net gamma by model, hedge flow, age.

    Read from the lake, so it works beside `dealer live` and after it. Parts close every minute;
    the live API has every second.
    """
    from dealer_assets.settings import settings
    from dealer_assets.sources import lake_of

    lanes, lake = _lanes(underlyings), lake_of(settings())
    if not watch:
        out.print(_gamma_table(lake, lanes))
        return
    from rich.live import Live

    with Live(_gamma_table(lake, lanes), console=out, refresh_per_second=4) as shown:
        try:
            while True:
                time.sleep(every)
                shown.update(_gamma_table(lake, lanes))
        except KeyboardInterrupt:
            return


def _gamma_table(lake: Lake, lanes: tuple[Underlying, ...]) -> Table:
    """Lay out the newest second of every lane; fits 80 columns."""
    from rich.table import Table

    from dealer_assets.tables.live import LIVE_RECONCILED
    from streaming.desk.latest import latest

    now = datetime.now(UTC)
    found = {lane.symbol: latest(lake, lane, now=now) for lane in lanes}
    feeds = sorted({row.feed for row in found.values() if row})
    table = Table(
        title=f"live gamma at {now:%Y-%m-%d %H:%M:%S} UTC{', ' if feeds else ''}{', '.join(feeds)}",
        caption="gamma bn USD per +1 %, hedge mn USD so far",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    # of 80 columns the estimate takes those of the trades, where there is one
    is_told = any(row and LIVE_RECONCILED in row.gammas for row in found.values())
    fourth = ("reconciled", "hedge") if is_told else ("hedge", "trades")
    for name in ("spot", "naive", "flow", *fourth):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("age", no_wrap=True)
    for symbol, row in found.items():
        cells = _gamma_cells(row, now, is_told=is_told) if row else _NO_GAMMA
        table.add_row(symbol, *cells)
    return table


_NO_GAMMA = (*["-"] * 5, "[red]none: `dealer live`[/red]")


def _gamma_cells(found: Latest, now: datetime, *, is_told: bool) -> list[str]:
    from dealer_assets.tables.live import LIVE_RECONCILED, NAIVE, SESSION_FLOW

    def signed(value: float | None, unit: float, places: int, sd: float | None = None) -> str:
        if value is None:
            return "-"
        error = "" if sd is None else f"±{sd / unit:,.{places}f}"
        return f"[{'green' if value >= 0 else 'red'}]{value / unit:+,.{places}f}{error}[/]"

    age = found.age(now).total_seconds()
    words = f"{age:,.0f} s" if 0 <= age < 7200 else f"{found.at:%Y-%m-%d %H:%M}"
    colour = {"fresh": "green", "stale": "bold red", "closed": "yellow"}[found.state]
    places, gammas = (2 if is_told else 3), found.gammas
    moved = signed(gammas.get(LIVE_RECONCILED), 1e9, places, found.gamma_sds.get(LIVE_RECONCILED))
    hedge = signed(found.hedge_flow_usd, 1e6, 0)
    return [
        f"{found.spot:,.2f}",
        *(signed(gammas.get(model), 1e9, places) for model in (NAIVE, SESSION_FLOW)),
        *((moved, hedge) if is_told else (hedge, f"{found.trades:,}")),
        f"[{colour}]{found.state}, {words}[/]",
    ]
