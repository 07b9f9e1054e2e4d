"""A hand-made lake, and dbt run over it.

Belongs here: the lake's rows and the call of dbt, in a process of its own because pytest turns
dbt's warnings into errors. Does not belong here: expectations.

The book: SPX has a call and a put of root SPXW at strike 5000 (December) and a call of root SPX at
5100 that expires on the last session; SPY has one call. Two snapshots a session. A gamma is a
weight times the snapshot's scale, the other exposures are multiples of gamma, so that every sum can
be done in the head. SPY's very last snapshot has no levels: it could not be derived.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from dealer_assets import tables
from dealer_assets.lake.layout import SESSION_PART, part_name, part_path, schema_path
from dealer_assets.tables import Table

PROJECT = Path(__file__).parents[2] / "dbt_project"

DAYS = (date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20))
EARLY, LATE = time(15, 0), time(20, 45)
SCALES = {EARLY: 1.0, LATE: 2.0}

DECEMBER, NOVEMBER = date(2026, 12, 18), date(2026, 11, 20)
CALL, PUT = "SPXW261218C05000000", "SPXW261218P05000000"
MORNING, SPY_CALL = "SPX261120C05100000", "SPY261218C00500000"

# symbol: root, expiry, strike, right, gamma per scale, exercise, settlement
CONTRACTS: dict[str, dict[str, tuple[str, date, float, str, float, str, str]]] = {
    "SPX": {
        CALL: ("SPXW", DECEMBER, 5000.0, "call", 100.0, "european", "pm"),
        PUT: ("SPXW", DECEMBER, 5000.0, "put", -60.0, "european", "pm"),
        MORNING: ("SPX", NOVEMBER, 5100.0, "call", 5.0, "european", "am"),
    },
    "SPY": {SPY_CALL: ("SPY", DECEMBER, 500.0, "call", 8.0, "american", "pm")},
}
SPOTS = {"SPX": 5000.0, "SPY": 500.0}

# open interest by session; a contract without an entry is not held that day
OPEN_INTEREST: dict[str, dict[date, float | None]] = {
    CALL: dict(zip(DAYS, (100.0, 130.0, 125.0), strict=True)),
    PUT: {DAYS[0]: 50.0, DAYS[2]: 45.0},
    MORNING: dict(zip(DAYS, (7.0, None, 9.0), strict=True)),
    SPY_CALL: dict(zip(DAYS, (1000.0, 1000.0, 1100.0), strict=True)),
}

Row = dict[str, Any]
Rows = dict[str, list[Row]]


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


def lake_rows() -> Rows:
    """Return the rows of every table that the marts read."""
    rows: Rows = {table.name: [] for table in tables.TABLES}
    for underlying in CONTRACTS:
        for day in DAYS:
            for clock in SCALES:
                _add_snapshot(rows, underlying, datetime.combine(day, clock, tzinfo=UTC))
            _add_history(rows, underlying, day)
    return rows


def _identity(underlying: str, at: datetime) -> Row:
    return {
        "underlying": underlying,
        "session_date": at.date(),
        "event_at": at,
        "known_at": at,
        "spot": SPOTS[underlying],
        "spot_source": "simulated",
        "model": "naive",
        "provider": "simulator",
    }


def _contract(underlying: str, symbol: str, at: datetime) -> Row:
    root, expiry, strike, right, gamma, exercise, settlement = CONTRACTS[underlying][symbol]
    return {
        "symbol": symbol,
        "root": root,
        "expiry_date": expiry,
        "expires_at": datetime.combine(expiry, time(21, 0), tzinfo=UTC),
        "strike": strike,
        "right": right,
        "exercise": exercise,
        "settlement": settlement,
        "multiplier": 100.0,
        "dte_bucket": "0dte" if expiry == at.date() else "1-7" if expiry == NOVEMBER else "8-45",
        "open_interest_contracts": OPEN_INTEREST[symbol].get(at.date()),
        "position_contracts": 10.0 if right == "call" else -10.0,
        "gamma": gamma,
    }


def _exposures(gamma: float, prefix: str = "") -> Row:
    return {
        f"{prefix}delta_exposure_usd": 2 * gamma,
        f"{prefix}gamma_exposure_usd_per_pct": gamma,
        f"{prefix}vanna_exposure_usd_per_vol_pt": 3 * gamma,
        f"{prefix}charm_exposure_usd_per_day": 4 * gamma,
        f"{prefix}volga_exposure_usd_per_vol_pt2": 5 * gamma,
    }


def _add_snapshot(rows: Rows, underlying: str, at: datetime) -> None:
    identity, scale = _identity(underlying, at), SCALES[at.time()]
    held = [s for s in CONTRACTS[underlying] if at.date() in OPEN_INTEREST[s]]
    for symbol in held:
        row = identity | _contract(underlying, symbol, at)
        rows["chain_snapshots"].append(row)
        rows["contract_greeks"].append(row | GREEKS)
    rows["chain_sources"].append(identity | _source("a", is_partial=underlying == "SPY"))
    if underlying == "SPX" and at.date() == DAYS[2]:
        rows["chain_sources"].append(identity | _source("b", is_partial=True, found=["thin"]))
    if underlying == "SPY" and at == datetime.combine(DAYS[2], LATE, tzinfo=UTC):
        return
    for symbol in held:
        contract = _contract(underlying, symbol, at)
        exposures = _exposures(contract["gamma"] * scale)
        rows["dealer_exposure"].append(identity | contract | exposures)
    gammas = [CONTRACTS[underlying][symbol][4] * scale for symbol in held]
    rows["exposure_levels"].append(identity | _levels(gammas, underlying))


GREEKS: Row = {
    "year_fraction": 0.1,
    "forward_method": "parity",
    "forward_pairs": 3,
    "iv_source": "own",
    "iv_reason": "ok",
    "delta": 0.5,
}


def _source(name: str, *, is_partial: bool, found: list[str] | None = None) -> Row:
    return {
        "source_name": f"{name}.csv",
        "source_sha256": name * 64,
        "provider": "simulator" if name == "a" else "import",
        "contracts": 1,
        "rejected": 0,
        "is_partial": is_partial,
        "findings": ["delayed", *(found or [])],
        "findings_text": "",
    }


def _levels(gammas: list[float], underlying: str) -> Row:
    crossings = [4900.0, 5010.0] if underlying == "SPX" else []
    return _exposures(sum(gammas), "net_") | {
        "call_gamma_exposure_usd_per_pct": sum(g for g in gammas if g > 0),
        "put_gamma_exposure_usd_per_pct": sum(g for g in gammas if g < 0),
        "gross_gamma_exposure_usd_per_pct": sum(map(abs, gammas)),
        "contracts": len(gammas),
        "contracts_used": len(gammas),
        "expiries": 1,
        "flip_price": crossings[-1] if crossings else None,
        "flip_status": "ok" if crossings else "none_in_range",
        "flip_pct": 0.002 if crossings else None,
        "flip_prices": crossings,
        "flip_slopes": [1.0 for _ in crossings],
        "is_partial": False,
        "two_sided_share": 1.0,
        "determined_oi_share": 1.0,
        "is_publishable": True,
        "quality_reasons": [],
    }


def _add_history(rows: Rows, underlying: str, day: date) -> None:
    at = datetime.combine(day, LATE, tzinfo=UTC)
    for symbol in CONTRACTS[underlying]:
        if day in OPEN_INTEREST[symbol]:
            row = _identity(underlying, at) | _contract(underlying, symbol, at)
            history = {"snapshots": 2, "volume_contracts": 3.0, "implied_vol": 0.2}
            rows["daily_history"].append(row | history)


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
    sha = row.get("source_sha256")
    name = (
        SESSION_PART
        if table.part == "session"
        else part_name(table, event_at=row["event_at"], sha256=sha)
    )
    return part_path(table, row["underlying"], session_date=row["session_date"], name=name)


DbtBuild = Callable[..., Built]

_RUN = (
    "import sys; from dbt.cli.main import dbtRunner; "
    "sys.exit(0 if dbtRunner().invoke(sys.argv[1:]).success else 1)"
)


@pytest.fixture(scope="session")
def dbt_build(tmp_path_factory: pytest.TempPathFactory) -> DbtBuild:
    """Run the whole project over a lake; all builds share one parse, each has its own file."""
    shared = tmp_path_factory.mktemp("dbt")

    def build(lake: str | Path, name: str, **environment: str) -> Built:
        # the same build file each time: dbt parses anew when the connection's path changes
        building, finished = shared / "warehouse.duckdb", shared / name / "warehouse.duckdb"
        results = shared / "target" / "run_results.json"
        results.unlink(missing_ok=True)
        project, profiles = ["--project-dir", str(PROJECT)], ["--profiles-dir", str(PROJECT)]
        paths = ["--target-path", str(shared / "target"), "--log-path", str(shared / "logs")]
        done = subprocess.run(
            [sys.executable, "-c", _RUN, "--no-use-colors", "build", *project, *profiles, *paths],
            env=os.environ
            | {"DEALER_LAKE_URI": str(lake), "DEALER_WAREHOUSE_BUILD": str(building)}
            | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        found = json.loads(results.read_text())["results"] if results.exists() else []
        finished.parent.mkdir()
        building.replace(finished)
        return Built(
            warehouse=finished,
            exit_code=done.returncode,
            output=done.stdout + done.stderr,
            log=(shared / "logs" / "dbt.log").read_text(),
            results={r["unique_id"]: r["status"] for r in found},
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
