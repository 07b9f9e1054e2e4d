"""Every setting, read from the environment (prefix ``DEALER_``) or a `.env` file.

Belongs here: names, defaults and meanings; `.env.example` lists them all and a test compares. Does
not belong here: objects built from settings. A fresh checkout needs no setting at all.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
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
    cold_uri: str | None = Field(
        default=None,
        description="Cold storage of old sessions: a folder or s3://bucket/prefix; empty: none.",
    )
    retention_hot_sessions: int = Field(
        default=3, ge=1, description="Newest sessions whose parts stay single files."
    )
    retention_warm_sessions: int = Field(
        default=60, ge=0, description="Sessions before those that stay out of cold storage."
    )
    s3_endpoint: str | None = Field(
        default=None, description="S3-compatible endpoint URL; empty for AWS."
    )
    s3_region: str | None = Field(default=None, description="S3 region.")
    provider: Literal["simulator", "cboe", "polygon"] = Field(
        default="simulator",
        description=(
            "Where new snapshots come from: simulator (offline), cboe (free, delayed, no key) or "
            "polygon; with the last two, crypto comes from Deribit."
        ),
    )
    cboe_base_url: str = Field(
        default="https://cdn.cboe.com",
        description="Host of Cboe's delayed quotes, or a test exchange.",
    )
    polygon_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "DEALER_POLYGON_API_KEY", "MASSIVE_API_KEY", "POLYGON_API_KEY"
        ),
        description="Key of Polygon (Massive); the vendor's own variables are read too.",
    )
    polygon_rest_url: str = Field(
        default="https://api.polygon.io",
        description="REST host: https://api.polygon.io or https://api.massive.com.",
    )
    polygon_delay_minutes: float = Field(
        default=15.0, ge=0.0, description="How far behind the market the plan is; 0: real time."
    )
    polygon_requests_per_second: float = Field(
        default=90.0, gt=0.0, le=100.0, description="The vendor asks to stay under 100."
    )
    flatfiles_url: str = Field(
        default="https://files.polygon.io", description="S3 endpoint of the flat files."
    )
    flatfiles_access_key: SecretStr | None = Field(
        default=None, description="Access key of the flat files; it is a pair of its own."
    )
    flatfiles_secret_key: SecretStr | None = Field(
        default=None, description="Secret key of the flat files."
    )
    deribit_rest_url: str = Field(
        default="https://www.deribit.com", description="Deribit's REST host, or a test exchange."
    )
    deribit_history_url: str = Field(
        default="https://history.deribit.com",
        description="Deribit's host for trades older than a day.",
    )
    occ_url: str = Field(
        default="https://marketdata.theocc.com", description="OCC's host, or a test exchange."
    )
    treasury_url: str = Field(
        default="https://home.treasury.gov", description="Treasury's host, or a test exchange."
    )
    nyfed_url: str = Field(
        default="https://markets.newyorkfed.org", description="New York Fed's host."
    )
    fred_url: str = Field(default="https://fred.stlouisfed.org", description="FRED's host.")
    fred_api_url: str = Field(
        default="https://api.stlouisfed.org", description="Host of FRED's API, asked with a key."
    )
    fred_api_key: SecretStr | None = Field(
        default=None, description="Key of FRED's API: fixings with their vintages; may be empty."
    )
    history_provider: Literal["auto", "simulator", "polygon", "flatfiles", "deribit"] = Field(
        default="auto",
        description=(
            "Where trades, quotes and bars of past sessions come from; auto: the provider of the "
            "snapshots, and flat files where their keys are set."
        ),
    )
    quoted_contracts: int = Field(
        default=400,
        ge=1,
        description="Contracts, nearest the money, whose quotes are fetched for a past session.",
    )
    cache_uri: str | None = Field(
        default=None,
        description="Cache of fetched history: folder or s3://...; empty: data_dir/cache.",
    )
    simulator_seed: int = Field(default=7, description="Seed of the embedded market simulator.")
    simulator_density: float = Field(
        default=0.5, description="Strikes per simulated chain; 1.0 is as dense as SPX really is."
    )
    simulator_snapshots: int = Field(
        default=3, description="Snapshots a past simulated session gets when it is built whole."
    )
    reconstructed_snapshots: int = Field(
        default=7, ge=1, description="Snapshots that a past session is put together to, from tape."
    )
    polygon_ws_url: str = Field(
        default="wss://socket.polygon.io",
        description="WebSocket host: wss://socket.polygon.io, wss://delayed.polygon.io, ...",
    )
    deribit_ws_url: str = Field(
        default="wss://www.deribit.com/ws/api/v2", description="Deribit's WebSocket."
    )
    deribit_client_id: SecretStr | None = Field(
        default=None, description="Deribit API key; without one everything needed still works."
    )
    deribit_client_secret: SecretStr | None = Field(
        default=None, description="Secret of the Deribit API key."
    )
    stream_feed: Literal["auto", "simulator", "polygon", "deribit"] = Field(
        default="auto",
        description=(
            "Where the streaming process listens: auto follows DEALER_PROVIDER (polygon or the "
            "simulator; crypto at Deribit)."
        ),
    )
    stream_quoted_contracts: int = Field(
        default=1000, ge=0, le=1000, description="Contracts whose quotes are subscribed at a time."
    )
    stream_deribit_tickers: int = Field(
        default=100,
        ge=0,
        description="Deribit options, by open interest, whose ticker is followed.",
    )
    stream_zero_dte_strikes: int = Field(
        default=3, ge=0, description="0DTE strikes watched on each side of the money."
    )
    stream_price_seconds: int = Field(
        default=60, ge=1, description="How often the whole chain is priced anew."
    )
    stream_strike_seconds: int = Field(
        default=300, ge=1, description="How often positions by contract are stored."
    )
    stream_rows_per_part: int = Field(
        default=5000, ge=1, description="Rows after which a part of a live table is closed."
    )
    stream_seconds_per_part: int = Field(
        default=60, ge=1, description="Seconds after which a part of a live table is closed."
    )
    stream_inbox_mb: int = Field(
        default=256, ge=1, description="Frames that may wait before quotes are conflated [MB]."
    )
    stream_record: bool = Field(
        default=False, description="Keep every frame of the live process, for replays."
    )
    stream_host: str = Field(
        default="127.0.0.1",
        description="Address of the live API; others than loopback need a token.",
    )
    stream_port: int = Field(default=8777, ge=0, le=65535, description="Port of the live API.")
    stream_token: SecretStr | None = Field(
        default=None, description="Token that clients of the live API must bring; see stream_host."
    )
    stream_origins: str = Field(
        default="", description="Web origins, comma-separated, that may read the live API."
    )
    stream_interval_ms: int = Field(
        default=250, ge=0, description="How often the live API's stream sends by default [ms]."
    )
    dagster_url: str | None = Field(
        default=None,
        description="Dagster's web server, for reports of live parts; empty: a sensor finds them.",
    )
    alert_rules: str = Field(
        default="",
        description="Changes to rules: `wall_shifted off; score_at_least at_least=90`.",
    )
    alert_max_age_hours: float = Field(
        default=6.0,
        gt=0.0,
        description="Alerts of something longer ago are stored, never sent [h].",
    )
    alert_mode: Literal["log", "send"] = Field(
        default="log",
        description="What becomes of alerts: log (data_dir/alerts.log only) or send (alert_urls).",
    )
    alert_urls: SecretStr | None = Field(
        default=None,
        description="Where alerts go: [name=]apprise URLs, by spaces or commas; secrets.",
    )
    alert_quiet: str = Field(
        default="",
        description="Hours that hold alerts below severe, e.g. 22:00-07:00 America/New_York.",
    )
    alert_digest_over: int = Field(
        default=10, ge=1, description="More waiting alerts than this go out as one message."
    )
    alert_send_seconds: float = Field(
        default=20.0, gt=0.0, le=30.0, description="Time a service has to answer one message [s]."
    )
    alert_retry_days: float = Field(
        default=3.0, gt=0.0, description="Age at which an undelivered alert is given up [d]."
    )
    underlyings: str = Field(
        default="SPX,SPY,BTC",
        description="Lanes of the asset graph, comma-separated registry symbols.",
    )
    model: str = Field(
        default="naive", description="Dealer position model of the headline: bands, conventions."
    )
    monitor: str = Field(
        default="put 0.80-0.95 20-45d",
        description=(
            "Contracts whose anomalies are looked for: comma-separated slices [SYMBOL:]right "
            "low-high first-lastd; right put, call or any, strike / spot, calendar days to expiry."
        ),
    )
    models: str = Field(
        default="naive,reconciled",
        description=(
            "Dealer position models side by side in exposures, profiles, levels and scenarios, "
            "comma-separated, or all; the headline is always among them."
        ),
    )
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
        delays = {"cboe": 15.0, "polygon": self.polygon_delay_minutes}
        return timedelta(minutes=delays.get(self.provider, 0.0))

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
    def cold_root(self) -> str | None:
        """Root of cold storage, with a relative folder made absolute; None when there is none."""
        if self.cold_uri is None or "://" in self.cold_uri:
            return self.cold_uri
        return str(PROJECT / self.cold_uri)

    @property
    def past_snapshots(self) -> int:
        """Snapshots of a past session: as simulated, or as put together from its tape."""
        is_simulated = self.provider == "simulator"
        return self.simulator_snapshots if is_simulated else self.reconstructed_snapshots

    @property
    def cache_root(self) -> str:
        """Root of the cache of fetched history, with a relative folder made absolute."""
        if self.cache_uri is None:
            return str(self.data / "cache")
        return self.cache_uri if "://" in self.cache_uri else str(PROJECT / self.cache_uri)

    @property
    def stream_root(self) -> Path:
        """Folder of the streaming process's journal and of recordings."""
        return self.data / "stream"

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
        """File that alerts are written to where they are not sent."""
        return self.data / "alerts.log"

    @property
    def alert_store(self) -> Path:
        """SQLite file of alerts and their history."""
        return self.data / "alerts" / "alerts.sqlite"


@cache
def settings() -> Settings:
    """Return the process's settings, read once."""
    return Settings()
