"""Runs jobs of the asset graph in this process, for commands that wait for the result.

Belongs here: picking partitions, running them one by one, keeping each run in the Dagster instance
so that the UI shows it. Does not belong here: what a job does (`defs`) or how progress is drawn.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dealer_assets.errors import BadInputError, LakeUnavailableError
from dealer_assets.settings import PROJECT, settings

if TYPE_CHECKING:
    import dagster as dg

    from dealer_assets.underlyings import Underlying


_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Keeps Dagster's own log out of the terminal; the instance keeps every event for the UI."""


_PROBLEM_CHARACTERS = 700
_FRESHNESS_CHECK = "freshness_check"


Kind = Literal["session", "tape", "morning"]


@dataclass(frozen=True)
class Run:
    """One finished run.

    Parameters
    ----------
    name : str
        Job, or lane and job.
    partition : str
        Partition key; empty for an unpartitioned job.
    is_success : bool
        Every asset was materialized and no blocking check failed.
    checks_passed, checks_failed, checks_warned : int
        Asset checks: held, failed blocking ones, failed ones that only warn.
    problems : tuple of str
        What failed, in words.
    seconds : float
        Wall time.
    """

    name: str
    partition: str
    is_success: bool
    checks_passed: int = 0
    checks_failed: int = 0
    checks_warned: int = 0
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


def dagster_home() -> Path:
    """Return the Dagster instance folder, made ready and exported for this process."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings().data / "dagster").absolute()
    try:
        (home / ".nux").mkdir(parents=True, exist_ok=True)
        # The UI greets with a sign-up dialog unless this file says it was seen
        _keep(home / ".nux" / "nux.yaml", "seen: 1\n")
        _keep(home / "dagster.yaml", (PROJECT / "dagster.yaml").read_text())
    except OSError as error:
        raise LakeUnavailableError(
            f"cannot write Dagster's instance folder {home}: {error.strerror or error}. Check its "
            "permissions, or set DEALER_DATA_DIR (or DAGSTER_HOME) to a writable folder"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def _keep(path: Path, text: str) -> None:
    """Write a small file whole, and only when it differs: another process may be reading it."""
    if path.exists() and path.read_text() == text:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def with_lanes(*symbols: str) -> None:
    """Make sure underlyings have lanes in this process, whatever the configuration lists."""
    wanted = dict.fromkeys((*settings().lanes, *symbols))
    os.environ["DEALER_UNDERLYINGS"] = ",".join(wanted)
    settings.cache_clear()


def sessions_to_run(
    lane: Underlying, first: date, *, last: date, collect: bool = False
) -> list[date]:
    """Return the sessions of a lane that have chains, or with `collect` all sessions, in a range.

    Raises
    ------
    BadInputError
        When there is none; the message says what to do.
    """
    from dealer_assets import tables
    from dealer_assets.domain.sessions import sessions_between
    from dealer_assets.lake.reader import sessions_held
    from dealer_assets.sources import lake_of

    held = sessions_held(lake_of(settings()), tables.CHAIN_SNAPSHOTS, lane.symbol)
    wanted = sessions_between(lane.calendar, first, last) if collect else held
    days = [day for day in wanted if first <= day <= last]
    if days and days[0] < settings().first_session:
        raise BadInputError(
            f"chains are held for {days[0]}, but the asset graph begins on "
            f"{settings().first_session}: set DEALER_FIRST_SESSION={days[0]} or an earlier day"
        )
    if not days:
        raise BadInputError(
            f"no chain of {lane.symbol} is held from {first} to {last}: import files first "
            "(dealer import FILE ...), or add --collect to ask the provider"
        )
    return days


def _instance() -> dg.DagsterInstance:
    """Open the Dagster instance; two first commands at once must not both create its tables."""
    import dagster as dg

    with (dagster_home() / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return dg.DagsterInstance.get()


def prepare_instance() -> None:
    """Create the instance's tables, once: processes that start together would race to do it."""
    if not (dagster_home() / "history").exists():
        with _instance():
            pass


def run_partitions(
    symbols: Sequence[str],
    partitions: Sequence[date],
    *,
    rebuild: bool = False,
    kind: Kind = "session",
    leave_out: Sequence[str] = (),
) -> Iterator[Run]:
    """Materialize the session's tables of some lanes, or their tape, one run per partition.

    Parameters
    ----------
    symbols : sequence of str
        Registry symbols that share a calendar.
    partitions : sequence of datetime.date
        Sessions, in the order to run.
    rebuild : bool
        Compute every part anew.
    kind : {"session", "tape", "morning"}
        Chains and all that is derived from them, what chains are put together from, or what can be
        told the morning after only.
    leave_out : sequence of str
        Tables of that kind which are not to be made.

    Yields
    ------
    Run
        As each finishes. A partition that a blocking check stops is a failed `Run`, not an
        exception.
    """
    import dagster as dg

    with_lanes(*symbols)
    from dealer_assets.definitions import defs
    from dealer_assets.defs import combined
    from dealer_assets.defs.jobs import job_name, tables_of
    from dealer_assets.domain.exposure.combined import REFERENCE
    from dealer_assets.underlyings import underlying

    job = defs.resolve_job_def(job_name(kind, underlying(symbols[0]).calendar))
    keys = [
        dg.AssetKey([symbol, table.name])
        for symbol in symbols
        for table in tables_of(kind, underlying(symbol))
        if table.name not in leave_out
    ]
    if kind == "session" and REFERENCE in symbols:
        keys += combined.keys()
    with _instance() as instance:
        for day in partitions:
            asked = {"rebuild": rebuild, "pictures": day == partitions[-1]}
            ops = {key.to_python_identifier(): {"config": asked} for key in keys}
            begun = time.perf_counter()
            result = job.execute_in_process(
                partition_key=day.isoformat(),
                instance=instance,
                asset_selection=keys,
                run_config={**_QUIET, "ops": ops},
                raise_on_error=False,
            )
            yield _summary(result, "+".join(symbols), day.isoformat(), begun)


def run_marts() -> Run:
    """Build and publish the marts."""
    from dealer_assets.definitions_marts import defs

    begun = time.perf_counter()
    # dbt's own log would drown the report; it is in the run and in dbt_project/target
    with _instance() as instance, contextlib.redirect_stdout(io.StringIO()):
        result = defs.resolve_job_def("marts").execute_in_process(
            instance=instance, run_config=_QUIET, raise_on_error=False
        )
    return _summary(result, "marts", "", begun)


def _summary(result: dg.ExecuteInProcessResult, name: str, partition: str, begun: float) -> Run:
    import dagster as dg

    # Freshness asks whether *today's* partition is there, which says nothing about this run's
    evaluations = [
        e for e in result.get_asset_check_evaluations() if e.check_name != _FRESHNESS_CHECK
    ]
    blocked = [e for e in evaluations if not e.passed and e.severity.value == "ERROR"]
    warned = [e for e in evaluations if not e.passed and e.severity.value != "ERROR"]
    problems = [
        f"{'/'.join(e.asset_key.path)} {e.check_name}: {e.description or 'failed'}" for e in blocked
    ]
    if not result.success and not problems:
        problems = [
            _innermost(event.step_failure_data.error)
            for event in result.all_events
            if event.event_type == dg.DagsterEventType.STEP_FAILURE
        ]
    return Run(
        name=name,
        partition=partition,
        is_success=result.success,
        checks_passed=sum(e.passed for e in evaluations),
        checks_failed=len(blocked),
        checks_warned=len(warned),
        problems=tuple(problems),
        seconds=time.perf_counter() - begun,
    )


def _innermost(error: Any) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "unknown failure"
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error.message)).strip()
    return plain if len(plain) <= _PROBLEM_CHARACTERS else plain[:_PROBLEM_CHARACTERS] + " ..."


if __name__ == "__main__":
    # `make defs` calls this: the instance folder must exist before Dagster's own command starts
    sys.stdout.write(f"{dagster_home()}\n")
