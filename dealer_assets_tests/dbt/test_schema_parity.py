"""The dbt sources and vocabularies equal the data dictionary, in both directions."""

import re
import runpy
from collections import defaultdict
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from dealer_assets import tables
from dealer_assets.domain.positions.models import OF_OPEN_INTEREST

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "dealer_assets_tests/reference/make_dbt_sources.py"
ADVICE = f"run `python {GENERATOR.relative_to(ROOT)}`, then the staging models may need the column"


@pytest.fixture(scope="module")
def generator():
    return runpy.run_path(str(GENERATOR))


@pytest.fixture(scope="module")
def sources(generator):
    parsed = yaml.safe_load(generator["TARGET"].read_text())
    return {entry["name"]: entry for entry in parsed["sources"][0]["tables"]}


def difference(name, *, dictionary, dbt):
    """List what only one side has, and what both have differently."""
    lines = [f"{name} {key}: in tables/, not in dbt" for key in dictionary.keys() - dbt.keys()]
    lines += [f"{name} {key}: in dbt, not in tables/" for key in dbt.keys() - dictionary.keys()]
    lines += [
        f"{name} {key}: tables/ says {dictionary[key]!r}, dbt says {dbt[key]!r}"
        for key in dictionary.keys() & dbt.keys()
        if dictionary[key] != dbt[key]
    ]
    return sorted(lines)


def test_sources_and_dictionary_have_the_same_tables_in_the_same_words(sources, generator):
    say = generator["table_description"]
    found = difference(
        "table",
        dictionary={table.name: say(table) for table in tables.TABLES},
        dbt={name: entry["description"] for name, entry in sources.items()},
    )
    assert not found, "\n".join([*found, ADVICE])


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.name)
def test_source_columns_types_and_words_equal_the_dictionary(table, sources, generator):
    say, types = generator["column_description"], generator["DUCKDB_TYPES"]
    entries = sources[table.name]["columns"]
    found = difference(
        table.name,
        dictionary={c.name: (types[c.type], say(c)) for c in table.columns},
        dbt={e["name"]: (e["data_type"], e["description"]) for e in entries},
    )
    assert not found, "\n".join([*found, ADVICE])
    assert [e["name"] for e in entries] == table.schema.names, f"column order differs; {ADVICE}"


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda table: table.name)
def test_duckdb_reads_the_declared_types(table, sources, tmp_path):
    path = tmp_path / "_schema.parquet"
    pq.write_table(table.schema.empty_table(), path)
    read = duckdb.execute(f"describe select * from read_parquet('{path}')").fetchall()
    declared = [(e["name"], e["data_type"].upper()) for e in sources[table.name]["columns"]]
    assert [(name, kind) for name, kind, *_ in read] == declared


def test_a_missing_column_is_reported_by_name_and_side():
    found = difference("t", dictionary={"a": 1, "b": 2}, dbt={"b": 3, "c": 4})
    assert found == [
        "t a: in tables/, not in dbt",
        "t b: tables/ says 2, dbt says 3",
        "t c: in dbt, not in tables/",
    ]


def accepted_values():
    """Yield (model, column, values) of every accepted_values test of the marts."""
    for path in sorted((ROOT / "dbt_project/models/marts").glob("*.yml")):
        for model in yaml.safe_load(path.read_text()).get("models", []):
            for column in model["columns"]:
                for test in column.get("data_tests", []):
                    if isinstance(test, dict) and "accepted_values" in test:
                        values = test["accepted_values"]["arguments"]["values"]
                        yield model["name"], column["name"], values


def test_vocabularies_of_the_marts_equal_the_dictionary():
    from dealer_assets.domain.conventions import DTE_BUCKETS

    # a column's name may have several: the `method` of a forward, a surface, an evaluation
    dictionary = defaultdict(set)
    for table in tables.TABLES:
        for column in table.columns:
            if column.allowed:
                dictionary[column.name].add(column.allowed)
                # a mart of two tables renames one's
                dictionary[f"{table.name.removesuffix('s')}_{column.name}"].add(column.allowed)
    dictionary["dte_bucket"].add((*(name for _, name in DTE_BUCKETS), "46+"))
    found = {(model, column): tuple(values) for model, column, values in accepted_values()}
    assert len(found) >= 14
    unknown = {key: v for key, v in found.items() if v not in dictionary[key[1]]}
    assert unknown == {}


def test_staging_selects_every_column_but_of_the_greeks():
    for path in sorted((ROOT / "dbt_project/models/staging").glob("stg_lake__*.sql")):
        name = path.stem.removeprefix("stg_lake__")
        words = set(path.read_text().replace(",", " ").replace('"', " ").split())
        missing = [c.name for c in tables.table(name).columns if c.name not in words]
        assert not missing or name == "contract_greeks", f"{path.name} lacks {missing}"


def test_the_dimension_of_models_is_the_dictionarys_list_in_its_order():
    text = (ROOT / "dbt_project/models/marts/dim_models.sql").read_text()
    listed = re.findall(r"^        \('(\w+)', '(\w+)',", text, re.MULTILINE)
    told_by = {True: "rule", False: "evidence"}
    assert listed == [(name, told_by[name in OF_OPEN_INTEREST]) for name in tables.MODELS]
