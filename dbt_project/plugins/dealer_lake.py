"""dbt-duckdb plugin: what a connection needs before the models can read the lake.

Belongs here: the folder of the build file, and S3 access when the lake is on S3. Does not belong
here: models, or where tables lie. A plugin and not an `on-run-start` hook, because dbt logs the SQL
of hooks and the secret would be in it. A local lake pays nothing: no extension, no AWS import.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

EXTENSION_VARIABLE = "DEALER_HTTPFS_EXTENSION"
_EXTENSION_PACKAGE = "duckdb_extension_httpfs"


class Plugin(BasePlugin):
    """Prepares the build file's folder, and S3 access for a lake at ``s3://``.

    S3 is configured as for the rest of the platform: `DEALER_S3_ENDPOINT`, `DEALER_S3_REGION`, and
    keys from the usual AWS chain.
    """

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Create the folder of the build file: DuckDB creates files, not folders."""
        if creds.path != ":memory:":
            Path(creds.path).parent.mkdir(parents=True, exist_ok=True)

    def configure_connection(self, conn: Any) -> None:
        """Load httpfs by path and give DuckDB the keys, for an S3 lake or cold storage only."""
        places = (os.environ.get(name, "") for name in ("DEALER_LAKE_URI", "DEALER_COLD_URI"))
        if not any(place.startswith("s3://") for place in places):
            return
        conn.load_extension(str(httpfs_extension()))
        options = ", ".join(f"{name} {_quoted(value)}" for name, value in s3_options().items())
        conn.execute(f"create or replace temporary secret dealer_lake (type s3, {options})")


def httpfs_extension() -> Path:
    """Return the httpfs extension's file: the variable's, else the installed wheel's.

    Raises
    ------
    FileNotFoundError
        When neither has it; DuckDB would otherwise try to download one.
    """
    named = os.environ.get(EXTENSION_VARIABLE)
    spec = find_spec(_EXTENSION_PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [Path(named)] if named else sorted(Path(folders[0]).rglob("*.duckdb_extension"))
    if not found or not found[0].is_file():
        raise FileNotFoundError(
            f"an S3 lake needs DuckDB's httpfs extension: expected a file at {EXTENSION_VARIABLE} "
            f"or the package {_EXTENSION_PACKAGE}, found {named or 'neither'}; run `make setup`"
        )
    return found[0]


def s3_options() -> dict[str, str]:
    """Return DuckDB's S3 secret options from the environment and the usual AWS chain."""
    import botocore.session  # type: ignore[import-untyped]

    session = botocore.session.get_session()
    region = os.environ.get("DEALER_S3_REGION") or session.get_config_variable("region")
    options = {"region": region or "us-east-1"}
    endpoint = os.environ.get("DEALER_S3_ENDPOINT")
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        is_plain = scheme == "http"
        options |= {"endpoint": host.rstrip("/"), "url_style": "path"}
        options |= {"use_ssl": "false" if is_plain else "true"}
    credentials = session.get_credentials()
    if credentials:
        keys = credentials.get_frozen_credentials()
        options |= {"key_id": keys.access_key, "secret": keys.secret_key}
        if keys.token:
            options["session_token"] = keys.token
    return options


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
