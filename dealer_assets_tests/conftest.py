"""Shared fixtures: recorded data's folders, a made-up chain file, a data folder of one's own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from dealer_assets.domain.pricing.black import black_price
from dealer_assets.settings import settings

# CI checks the same examples every time; a run by hand explores new ones
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    hypothesis.settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the order below: xdist would begin with the files that hold the most tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests: begun last, one leaves the other worker idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name payloads by their kind: archives hold the time of packing, and workers must agree."""
    return f"{argname}-bytes" if isinstance(val, bytes) and len(val) > 30 else None


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


HEADER = (
    "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,"
    "Puts,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
)


@dataclass(frozen=True)
class MadeUpChain:
    """A made-up SPX chain as Cboe's quotedata CSV, whole enough to be believed.

    Prices are Black-76 at 20 % with half-spreads of 0.05, spot 4000, no carry.
    """

    downloaded: str = "May 19, 2023 at 5:00 PM EDT"
    session: date = date(2023, 5, 19)
    spot: float = 4000.0
    strikes: tuple[int, ...] = tuple(range(3000, 4501, 50))
    expiry_days: tuple[int, ...] = (3, 4, 5, 6, 7, 11, 14, 21, 28, 35, 60, 91, 182, 270)
    last: str = "4000.0"

    def rows(self) -> list[list[str]]:
        """Rows of cells, calls and puts side by side."""
        rows = []
        for days in self.expiry_days:
            expiry = self.session + timedelta(days=days)
            strike = np.array(self.strikes, np.float64)
            n = strike.size
            terms = {
                "T": np.full(n, days / 365.0),
                "sigma": np.full(n, 0.2),
                "D": np.ones(n),
            }
            forward = np.full(n, self.spot)
            call = black_price(forward, strike, is_call=np.ones(n, bool), **terms)
            put = black_price(forward, strike, is_call=np.zeros(n, bool), **terms)
            for k, c, p in zip(self.strikes, call, put, strict=True):
                name = f"SPXW{expiry:%y%m%d}{{}}{k * 1000:08d}"
                rows.append(
                    [
                        f"{expiry:%a %b %d %Y}",
                        name.format("C"),
                        *self._leg(c, open_interest=100 + k % 7),
                        f"{k}.00",
                        name.format("P"),
                        *self._leg(p, open_interest=150 + k % 5),
                    ]
                )
        return rows

    @staticmethod
    def _leg(fair: float, *, open_interest: int) -> list[str]:
        bid = max(fair - 0.05, 0.0)
        ask = fair + 0.05
        return [
            "0",
            "0",
            f"{bid:.4f}",
            f"{ask:.4f}",
            "10",
            "0.2",
            "0.5",
            "0.001",
            f"{open_interest}",
        ]

    def text(self, rows: list[list[str]] | None = None) -> str:
        """Whole file; `rows` replaces the chain's own."""
        lines = [
            "",
            f"Standard & Poors 500 Index,Last: {self.last},Change:  1.0",
            f'"Date: {self.downloaded}",Bid: 3999,Ask: 4001,Size: 1*1,Volume: 0',
            HEADER,
            *(",".join(row) for row in (self.rows() if rows is None else rows)),
        ]
        return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def made_up_chain() -> MadeUpChain:
    """A made-up chain in Cboe's format."""
    return MadeUpChain()


@pytest.fixture
def chain_file(tmp_path: Path, made_up_chain: MadeUpChain) -> Path:
    """The made-up chain as a file."""
    path = tmp_path / "spx_quotedata.csv"
    path.write_text(made_up_chain.text())
    return path


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder that the settings point at, for this test alone."""
    folder = tmp_path / "data"
    monkeypatch.setenv("DEALER_DATA_DIR", str(folder))
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "dagster"))
    monkeypatch.delenv("DEALER_PROVIDER", raising=False)
    settings.cache_clear()
    yield folder
    settings.cache_clear()
