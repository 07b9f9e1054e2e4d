"""Shared fixtures: the recorded data's folder, and a lake in a temporary folder."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


def _recorded(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        reason = f"recorded data not found: expected the folder ../shared/{folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of recorded market data (never committed); skips when absent, fails in CI."""
    return _recorded("data")


@pytest.fixture(scope="session")
def shared_samples() -> Path:
    """Folder of recorded protocol samples; skips when absent, fails in CI."""
    return _recorded("samples")
