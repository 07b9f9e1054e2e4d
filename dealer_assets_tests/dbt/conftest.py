"""A hand-made lake, and dbt run over it.

Belongs here: writing the lake and the call of dbt, in a process of its own because pytest turns
dbt's warnings into errors. Does not belong here: the lake's rows (`small_lake`), expectations.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from dealer_assets import tables
from dealer_assets.lake.layout import part_name, part_path, schema_path, stream_part
from dealer_assets.tables import Table
from dealer_assets_tests.dbt.small_lake import Row, Rows, lake_rows

PROJECT = Path(__file__).parents[2] / "dbt_project"


@dataclass(frozen=True)
class Built:
    """What a dbt build left behind."""

    warehouse: Path
    exit_code: int
    output: str
    log: str
    results: dict[str, str]

    @property
    def statuses(self) -> dict[str, str]:
        """Status of each model and data test by name."""
        return {n.split(".")[2]: s for n, s in self.results.items() if n[0] != "u"}

    @property
    def unit_tests(self) -> dict[str, str]:
        """Status of each unit test by name."""
        return {n.split(".")[-1]: s for n, s in self.results.items() if n.startswith("unit_test")}

    @property
    def failed(self) -> set[str]:
        """Names of the nodes that failed."""
        return {n for n, status in self.statuses.items() if status in {"fail", "error"}}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Query the warehouse, closed again at once."""
        import duckdb

        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(query).fetchall()


def write_lake(fs: pafs.FileSystem, root: str, rows: Rows) -> None:
    """Write rows as the lake does: one file per part, and a zero-row schema file per table."""
    for table in tables.TABLES:
        parts: dict[str, list[Row]] = {schema_path(table): []}
        for row in rows.get(table.name, []):
            parts.setdefault(_part(table, row), []).append(row)
        for path, held in parts.items():
            fs.create_dir(f"{root}/{path}".rpartition("/")[0], recursive=True)
            content = pa.Table.from_pylist(held, schema=table.schema)
            pq.write_table(content, f"{root}/{path}", filesystem=fs)


def _part(table: Table, row: Row) -> str:
    if table.part == "stream":
        # tests name parts by hand where a row lies in two of them
        name = row.get("part") or stream_part("us", row["stream_sequence"])
    else:
        sha = row.get("source_sha256")
        name = part_name(table, event_at=row["event_at"], sha256=sha)
    return part_path(table, row["underlying"], session_date=row["session_date"], name=name)


DbtBuild = Callable[..., Built]

# asks the run itself for its results: with them, dbt would write its whole manifest, twice
_RUN = """
import json, pathlib, sys
from dbt.cli.main import dbtRunner
done = dbtRunner().invoke(sys.argv[2:])
found = {r.node.unique_id: str(r.status) for r in done.result.results} if done.result else {}
pathlib.Path(sys.argv[1]).write_text(json.dumps(found))
sys.exit(0 if done.success else 1)
"""


@pytest.fixture(scope="session")
def dbt_build(tmp_path_factory: pytest.TempPathFactory) -> DbtBuild:
    """Run the project over a lake; all builds share one parse, each has its own file.

    `command` is dbt's: ``build`` runs models, data tests and unit tests.
    """
    shared = tmp_path_factory.mktemp("dbt")

    def build(
        lake: str | Path, name: str, command: Sequence[str] = ("build",), **environment: str
    ) -> Built:
        # the same build file each time: dbt parses anew when the connection's path changes
        building, finished = shared / "warehouse.duckdb", shared / name / "warehouse.duckdb"
        results = shared / "results.json"
        results.unlink(missing_ok=True)
        flags = ["--no-use-colors", "--no-write-json", "--target-path", str(shared / "target")]
        places = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        places += ["--log-path", str(shared / "logs")]
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(results), *command, *flags, *places],
            env=os.environ
            | {"DEALER_LAKE_URI": str(lake), "DEALER_WAREHOUSE_BUILD": str(building)}
            | environment,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        found = json.loads(results.read_text()) if results.exists() else {}
        finished.parent.mkdir()
        building.replace(finished)
        return Built(
            warehouse=finished,
            exit_code=done.returncode,
            output=done.stdout + done.stderr,
            log=(shared / "logs" / "dbt.log").read_text(),
            results=found,
        )

    return build


@pytest.fixture(scope="session")
def hand_made_rows() -> Callable[[], Rows]:
    """Builder of the hand-made rows, new at each call so that a test may spoil them."""
    return lake_rows


@pytest.fixture(scope="session")
def local_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Rows], Path]:
    """Write rows into a lake folder of their own."""

    def write(rows: Rows) -> Path:
        folder = tmp_path_factory.mktemp("it's a lake")
        write_lake(pafs.LocalFileSystem(), str(folder), rows)
        return folder

    return write


@pytest.fixture(scope="session")
def built(dbt_build: DbtBuild, local_lake: Callable[[Rows], Path]) -> Built:
    """The project, built once over the hand-made lake."""
    done = dbt_build(local_lake(lake_rows()), "hand_made")
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def s3_lake() -> Iterator[Callable[[Rows], tuple[str, dict[str, str]]]]:
    """Write rows into a bucket of a local S3 server; yields address and dbt's environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"access_key": "test-access", "secret_key": "test-secret-of-dbt"}

    def write(rows: Rows) -> tuple[str, dict[str, str]]:
        fs = pafs.S3FileSystem(
            **keys,
            region="us-east-1",
            scheme="http",
            endpoint_override=f"{host}:{port}",
            allow_bucket_creation=True,
        )
        fs.create_dir("marts")
        write_lake(fs, "marts/lake", rows)
        return "s3://marts/lake", {
            "DEALER_S3_ENDPOINT": f"http://{host}:{port}",
            "DEALER_S3_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": keys["access_key"],
            "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
        }

    yield write
    server.stop()
