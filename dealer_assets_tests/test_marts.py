"""Publishing the warehouse: only finished builds, whole ones, one at a time."""

import threading
import time
from pathlib import Path

import duckdb
import pytest

from dealer_assets.errors import LakeError
from dealer_assets.marts.publish import build_path, building, publish, start_build
from dealer_assets.settings import settings


def build(tables: dict[str, int]) -> None:
    with duckdb.connect(str(build_path(settings()))) as connection:
        for name, value in tables.items():
            connection.execute(f"create or replace table {name} as select {value} as n")


def published() -> dict[str, int]:
    with duckdb.connect(str(settings().warehouse), read_only=True) as connection:
        names = [row[0] for row in connection.execute("show tables").fetchall()]
        return {n: connection.execute(f"select n from {n}").fetchone()[0] for n in names}


def test_a_finished_build_replaces_the_published_warehouse(data_dir: Path) -> None:
    for value in (1, 2):
        start_build(settings())
        build({"fct": value})
        publish(settings())
    assert published() == {"fct": 2}


def test_publishing_without_a_build_is_refused_and_the_old_one_stays(data_dir: Path) -> None:
    start_build(settings())
    build({"fct": 1})
    publish(settings())
    start_build(settings())
    with pytest.raises(LakeError, match="nothing was published"):
        publish(settings())
    assert published() == {"fct": 1}


def test_a_build_of_some_models_keeps_the_others(data_dir: Path) -> None:
    start_build(settings())
    build({"fct": 1, "dim": 1})
    publish(settings())
    start_build(settings(), keep=True)
    build({"fct": 2})
    publish(settings())
    assert published() == {"dim": 1, "fct": 2}


def test_readers_of_the_published_file_are_not_locked_out_by_a_build(data_dir: Path) -> None:
    start_build(settings())
    build({"fct": 1})
    publish(settings())
    with duckdb.connect(str(settings().warehouse), read_only=True) as reader:
        start_build(settings())
        build({"fct": 2})
        publish(settings())
        assert reader.execute("select n from fct").fetchone() == (1,)
    assert published() == {"fct": 2}


def test_a_second_build_waits_for_the_first(data_dir: Path) -> None:
    order = []

    def second() -> None:
        with building(settings()):
            order.append("second")

    with building(settings()):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(timeout=60)
    assert order == ["first", "second"]
