"""Documents that are derived from code, or list what the code reads, stay current."""

import re
import subprocess
from pathlib import Path

from dealer_assets.reports.dictionary import markdown_dictionary
from dealer_assets.settings import Settings
from dealer_assets.tables import TABLES

PROJECT = Path(__file__).parents[2]
READ_BY_OTHERS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "DAGSTER_HOME",
    "MASSIVE_API_KEY",
    "POLYGON_API_KEY",
    "DEALER_WAREHOUSE_BUILD",
    "DEALER_HTTPFS_EXTENSION",
}


def documented() -> set[str]:
    text = (PROJECT / ".env.example").read_text()
    return set(re.findall(r"^([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))


def test_env_example_lists_every_setting_and_nothing_else() -> None:
    settings = {f"DEALER_{name.upper()}" for name in Settings.model_fields}
    assert documented() == settings | READ_BY_OTHERS


def test_no_variable_is_read_that_env_example_does_not_list() -> None:
    sources = [*PROJECT.glob("dealer_assets/**/*.py"), *PROJECT.glob("dbt_project/**/*.yml")]
    sources += [*PROJECT.glob("dbt_project/**/*.sql"), *PROJECT.glob("dbt_project/**/*.py")]
    read = set()
    for path in sources:
        if "target" not in path.parts:
            read |= set(re.findall(r"[\"'](DEALER_[A-Z0-9_]+|DAGSTER_HOME)[\"']", path.read_text()))
    assert read - {"DEALER_"} <= documented()


def test_tables_md_is_what_the_dictionary_says() -> None:
    found = (PROJECT / "docs" / "tables.md").read_text()
    assert found == markdown_dictionary(TABLES), "run `make docs`"


def test_no_tracked_file_names_an_index_or_a_path_of_a_machine() -> None:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    index = "|".join(
        ("py" + "pi.org", "python" + "hosted", "registry." + "npmjs", "deb." + "debian")
    )
    machine = "|".join(("/wo" + "rk/", "/ro" + "ot/", re.escape(str(Path.home())) + "/"))
    bad = []
    for name in files:
        path = PROJECT / name
        if path.suffix in {".png", ".gz"} or not path.is_file():
            continue
        if re.search(f"{index}|{machine}", path.read_text(errors="replace")):
            bad.append(name)
    assert bad == []


def test_the_lock_pins_by_hash_and_names_no_address() -> None:
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if re.match(r"^[a-z0-9]", line)]
    hashes = [line for line in lines if "--hash=sha256:" in line]
    assert len(pins) > 100
    assert len(hashes) >= len(pins)
    assert not [line for line in lines if "://" in line or "--index" in line or "--find" in line]
