"""The architecture's rules that no single module can keep alone."""

import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

PROJECT = Path(__file__).parents[2]


@cache
def imported_by(statement: str) -> frozenset[str]:
    """Return the top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("heavy", ["dagster", "pandas", "matplotlib", "exchange_calendars"])
def test_pricing_a_file_does_not_load_what_it_does_not_need(heavy: str) -> None:
    assert heavy not in imported_by("import dealer_assets.cli, dealer_assets.pricing_file")


def test_streaming_does_not_load_dagster() -> None:
    assert "dagster" not in imported_by("import streaming")


@pytest.mark.parametrize("heavy", ["dagster_dbt", "pandas", "matplotlib", "exchange_calendars"])
def test_the_pipelines_code_location_stays_light(heavy: str) -> None:
    # every minute run pays for every import of this module
    assert heavy not in imported_by("import dealer_assets.definitions")


def test_the_package_itself_imports_nothing() -> None:
    assert "pyarrow" not in imported_by("import dealer_assets")


def test_no_test_reaches_beyond_loopback() -> None:
    documentation = ("192.0.2.1", 80)  # a block that nobody routes
    refused = pytest.raises(SocketConnectBlockedError)
    with socket.socket() as beyond, pytest.warns(UserWarning, match="socket.connect"), refused:
        beyond.connect(documentation)
