"""What the dbt plugin tells DuckDB about S3, without starting dbt or a server."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

PLUGIN = Path(__file__).parents[2] / "dbt_project/plugins/dealer_lake.py"


@pytest.fixture(scope="module")
def plugin():
    spec = importlib.util.spec_from_file_location("dealer_lake_under_test", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def keys(monkeypatch, tmp_path):
    """Credentials from the environment only, whatever this machine has configured."""
    for name in ("DEALER_S3_ENDPOINT", "DEALER_S3_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    return monkeypatch


def test_extension_is_found_in_the_installed_wheel(plugin, monkeypatch):
    monkeypatch.delenv(plugin.EXTENSION_VARIABLE, raising=False)
    assert plugin.httpfs_extension().name == "httpfs.duckdb_extension"


def test_named_extension_that_is_not_there_is_refused_by_name(plugin, monkeypatch, tmp_path):
    monkeypatch.setenv(plugin.EXTENSION_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match=r"expected a file at .* found .*gone"):
        plugin.httpfs_extension()


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://localhost:9000/", {"endpoint": "localhost:9000", "use_ssl": "false"}),
        ("https://s3.example", {"endpoint": "s3.example", "use_ssl": "true"}),
        ("s3.example", {"endpoint": "s3.example", "use_ssl": "true"}),
    ],
)
def test_other_endpoint_is_addressed_by_path_and_scheme(plugin, keys, endpoint, expected):
    keys.setenv("DEALER_S3_ENDPOINT", endpoint)
    options = plugin.s3_options()
    assert {name: options[name] for name in expected} == expected
    assert options["url_style"] == "path"


def test_aws_needs_no_endpoint_and_temporary_keys_bring_their_token(plugin, keys):
    keys.setenv("DEALER_S3_REGION", "eu-central-1")
    keys.setenv("AWS_SESSION_TOKEN", "a-token")
    assert plugin.s3_options() == {
        "region": "eu-central-1",
        "key_id": "an-id",
        "secret": "a-secret",
        "session_token": "a-token",
    }


def test_local_lake_leaves_the_connection_alone(plugin, monkeypatch):
    monkeypatch.setenv("DEALER_LAKE_URI", "/some/folder")
    # a connection without any method: touching it would raise
    instance = plugin.Plugin("dealer_lake", {})
    assert instance.configure_connection(SimpleNamespace()) is None


def test_folder_of_the_build_file_is_made(plugin, tmp_path):
    target = tmp_path / "new" / "warehouse.duckdb"
    instance = plugin.Plugin("dealer_lake", {})
    instance.update_connection_config(SimpleNamespace(path=str(target)), {})
    assert target.parent.is_dir()
