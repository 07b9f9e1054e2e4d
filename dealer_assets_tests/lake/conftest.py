"""Fixtures of the lake's tests: a lake in a folder and on S3 (moto, loopback), made-up rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.tables import CHAIN_SNAPSHOTS

S3_KEYS = {"s3_access_key": "test-access", "s3_secret_key": "test-secret"}
BUCKET = "lake-of-the-tests"
SESSION = date(2026, 11, 20)
EVENT_AT = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)

Rows = Callable[..., pa.Table]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server on loopback that holds one empty bucket."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    S3FileSystem(
        access_key="test-access",
        secret_key="test-secret",
        region="us-east-1",
        scheme="http",
        endpoint_override=f"{host}:{port}",
        allow_bucket_creation=True,
    ).create_dir(BUCKET)
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def local_lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


@pytest.fixture
def s3_lake(s3_endpoint: str, tmp_path: Path) -> Lake:
    """A prefix of its own in the bucket."""
    uri = f"s3://{BUCKET}/{tmp_path.name}"
    return open_lake(uri, s3_endpoint=s3_endpoint, s3_region="us-east-1", **S3_KEYS)


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest) -> Lake:
    """The same test runs on a folder and on S3."""
    found = request.getfixturevalue(f"{request.param}_lake")
    assert isinstance(found, Lake)
    return found


@pytest.fixture
def chain_rows() -> Rows:
    """Builder of `chain_snapshots` rows: calls and puts at rising strikes, `changes` per column."""
    return _chain_rows


def _chain_rows(
    contracts: int = 6,
    *,
    event_at: datetime = EVENT_AT,
    known_at: datetime | None = None,
    **changes: Any,
) -> pa.Table:
    index = np.arange(contracts)
    filled: dict[str, Any] = {
        "underlying": ["SPX"] * contracts,
        "session_date": [SESSION] * contracts,
        "event_at": [event_at] * contracts,
        "known_at": [known_at or event_at] * contracts,
        "provider": ["simulator"] * contracts,
        "symbol": [f"SPXW261218X{i:08d}" for i in index],
        "root": ["SPXW"] * contracts,
        "expiry_date": [date(2026, 12, 18)] * contracts,
        "expires_at": [event_at + timedelta(days=28)] * contracts,
        "strike": 6000.0 + 5.0 * (index // 2),
        "right": np.where(index % 2 == 0, "call", "put"),
        "exercise": ["european"] * contracts,
        "settlement": ["pm"] * contracts,
        "multiplier": np.full(contracts, 100.0),
        "bid": 1.0 + 0.05 * index,
        "ask": 1.1 + 0.05 * index,
        "open_interest_contracts": index * 10.0,
        "spot": np.full(contracts, 6012.5),
        "spot_source": ["simulated"] * contracts,
        "is_partial": [False] * contracts,
    }
    filled |= changes
    arrays = [
        filled[c.name]
        if isinstance(filled.get(c.name), pa.Array | pa.ChunkedArray)
        else pa.array(filled.get(c.name, [None] * contracts), c.type, from_pandas=False)
        for c in CHAIN_SNAPSHOTS.columns
    ]
    return pa.table(arrays, names=CHAIN_SNAPSHOTS.schema.names)
