"""Every setting, read from the environment (prefix ``DEALER_``) or a `.env` file.

Belongs here: names, defaults and meanings; `.env.example` lists them all and a test compares. Does
not belong here: objects built from settings. A fresh checkout needs no setting at all.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """The platform's configuration; relative paths start at the project's root."""

    model_config = SettingsConfigDict(
        env_prefix="DEALER_",
        env_file=PROJECT / ".env",
        env_ignore_empty=True,  # .env.example lists every variable, most of them empty
        extra="ignore",
        frozen=True,
    )

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of everything the platform writes: lake, warehouse, inbox, alerts.",
    )
    lake_uri: str | None = Field(
        default=None, description="Lake root: a folder or s3://bucket/prefix; empty: data_dir/lake."
    )
    s3_endpoint: str | None = Field(
        default=None, description="S3-compatible endpoint URL; empty for AWS."
    )
    s3_region: str | None = Field(default=None, description="S3 region.")
    provider: Literal["simulator", "cboe"] = Field(
        default="simulator",
        description="Where new snapshots come from: simulator (offline) or cboe.",
    )
    cboe_base_url: str = Field(
        default="https://cdn.cboe.com",
        description="Host of Cboe's delayed quotes, or a test exchange.",
    )
    simulator_seed: int = Field(default=7, description="Seed of the embedded market simulator.")
    simulator_density: float = Field(
        default=0.5, description="Strikes per simulated chain; 1.0 is as dense as SPX really is."
    )
    simulator_snapshots: int = Field(
        default=3, description="Snapshots a past simulated session gets when it is built whole."
    )
    underlyings: str = Field(
        default="SPX,SPY,BTC",
        description="Lanes of the asset graph, comma-separated registry symbols.",
    )
    model: str = Field(default="naive", description="Dealer position model of the exposure assets.")
    first_session: date = Field(
        default=date(2022, 1, 1), description="First partition of the asset graph (YYYY-MM-DD)."
    )

    @property
    def lanes(self) -> tuple[str, ...]:
        """Underlyings of the asset graph, in order."""
        return tuple(s.strip().upper() for s in self.underlyings.split(",") if s.strip())

    @property
    def first_curve(self) -> date:
        """First date whose Treasury curve a partition could use."""
        return self.first_session - timedelta(days=31)

    @property
    def delay(self) -> timedelta:
        """How far behind the market the configured provider is; schedules need it without one."""
        return timedelta(minutes=15) if self.provider == "cboe" else timedelta(0)

    @property
    def data(self) -> Path:
        """Folder of everything that is written, absolute."""
        return self.data_dir if self.data_dir.is_absolute() else PROJECT / self.data_dir

    @property
    def lake_root(self) -> str:
        """Lake root, with a relative folder made absolute."""
        if self.lake_uri is None:
            return str(self.data / "lake")
        return self.lake_uri if "://" in self.lake_uri else str(PROJECT / self.lake_uri)

    @property
    def warehouse(self) -> Path:
        """DuckDB file that dbt's marts are published as."""
        return self.data / "warehouse.duckdb"

    @property
    def inbox(self) -> Path:
        """Folder watched for chain files."""
        return self.data / "inbox"

    @property
    def alert_log(self) -> Path:
        """File that the run-failure sensor appends to."""
        return self.data / "alerts.log"


@cache
def settings() -> Settings:
    """Return the process's settings, read once."""
    return Settings()
