"""Publishing the warehouse: dbt builds in its own file, readers see only complete ones.

Belongs here: where dbt builds and how the result replaces the published file. Does not belong here:
models (`dbt_project`), or when they run (`dbt`). A DuckDB file admits one writing process and locks
readers out while it does; a rename does neither.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dealer_assets.errors import LakeError
from dealer_assets.lake.locks import holding_tiers
from dealer_assets.lake.tiers import finish_moves
from dealer_assets.lake.writer import ensure_tables
from dealer_assets.settings import PROJECT, Settings
from dealer_assets.sources import lake_of
from dealer_assets.tables import TABLES

DBT_PROJECT = PROJECT / "dbt_project"


def build_path(settings: Settings) -> Path:
    """Return the file dbt builds in: on the published one's disk, so that a rename is atomic.

    Its name is the published one's: views keep the name of the catalog they were built in.
    """
    return settings.data / ".build" / settings.warehouse.name


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Return the variables the dbt project reads; see `dbt_project/profiles.yml`."""
    environment = {
        "DEALER_LAKE_URI": settings.lake_root,
        "DEALER_COLD_URI": settings.cold_root or "",
        "DEALER_WAREHOUSE_BUILD": str(build_path(settings)),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    if settings.s3_endpoint:
        environment["DEALER_S3_ENDPOINT"] = settings.s3_endpoint
    if settings.s3_region:
        environment["DEALER_S3_REGION"] = settings.s3_region
    return environment


def dbt_executable() -> str:
    """Return the dbt command of this Python environment."""
    beside = Path(sys.executable).with_name("dbt")
    return str(beside) if beside.exists() else (shutil.which("dbt") or "dbt")


@contextmanager
def building(settings: Settings) -> Iterator[None]:
    """Hold the build file alone, and parts in their tiers; a killed build lets go of both."""
    folder = build_path(settings).parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        lake = lake_of(settings)
        finish_moves(lake, TABLES)  # models read by glob: no row may lie in two files
        with holding_tiers(lake):
            yield


def start_build(settings: Settings, *, keep: bool = False) -> Mapping[str, str]:
    """Clear an earlier, unfinished build and return dbt's environment.

    Also makes sure that every lake table can be read, be it empty. With `keep` the build starts
    from the published warehouse: a run of some models must not publish a file without the others.
    """
    lake = lake_of(settings)
    ensure_tables(lake)
    if lake.cold:
        ensure_tables(lake.cold)
    target = build_path(settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (target, target.with_name(target.name + ".wal")):
        leftover.unlink(missing_ok=True)
    if keep and settings.warehouse.exists():
        shutil.copyfile(settings.warehouse, target)
    return dbt_environment(settings)


def publish(settings: Settings) -> Path:
    """Replace the published warehouse by the finished build, in one rename.

    Returns
    -------
    Path
        The published file.

    Raises
    ------
    LakeError
        When there is no finished build; the published file stays.
    """
    import duckdb

    source, target = build_path(settings), settings.warehouse
    if not source.is_file():
        raise LakeError(f"expected a finished build at {source}, found none: nothing was published")
    with duckdb.connect(str(source)) as connection:
        connection.execute("checkpoint")
    os.replace(source, target)  # noqa: PTH105  same call, and the atomicity is the point
    return target
