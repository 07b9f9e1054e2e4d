"""Processes that start with the imports done: forked from one that has them.

Belongs here: starting a function in a process of its own, to be killed or to run beside another.
Does not belong here: what runs in it. Only other people's packages are imported ahead: the
project's own read the settings, which each process sets for itself.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_AHEAD = [
    "dagster",
    "httpx",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "numba",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "rich.progress",
    "scipy.optimize",
    "scipy.sparse.linalg",
    "typer",
]


def start(
    function: Callable[..., object],
    *arguments: object,
    environment: Mapping[str, str],
    output: Path,
) -> ForkServerProcess:
    """Start a function in a process of its own.

    Parameters
    ----------
    function : callable
        Of a module, because the process imports it by name.
    *arguments : object
        Its arguments.
    environment : mapping of str to str
        Variables on top of this process's.
    output : pathlib.Path
        File that standard output and errors are appended to.

    Returns
    -------
    multiprocessing.context.ForkServerProcess
        Running; `finish` awaits it, ``kill`` ends it without its noticing.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_AHEAD)
    variables = {**os.environ, **environment}
    process = context.Process(target=_run, args=(function, arguments, variables, str(output)))
    process.start()
    return process


def _run(
    function: Callable[..., object],
    arguments: tuple[object, ...],
    variables: dict[str, str],
    output: str,
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    with Path(output).open("ab") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    function(*arguments)


def finish(process: ForkServerProcess, output: Path, *, seconds: float = 900.0) -> None:
    """Await a process and assert that it ended well; `output` is shown where it did not."""
    process.join(seconds)
    assert process.exitcode == 0, f"{process.exitcode}: {output.read_text()}"
    process.close()


def kill(process: ForkServerProcess) -> None:
    """Kill a process without its noticing (SIGKILL)."""
    process.kill()
    process.join()
    process.close()
