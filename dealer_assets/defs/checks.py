"""Asset checks of the lake tables: one schema check each, and the domain's invariants.

Belongs here: turning verdicts into Dagster check results. Does not belong here: what must hold
(`domain/invariants.py`), or relational rules of the marts (dbt tests).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import dagster as dg
import pyarrow as pa

from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.errors import SchemaError
from dealer_assets.lake.conformity import conform
from dealer_assets.tables import Table
from dealer_assets.underlyings import Underlying

SCHEMA_CHECK = "schema"


def check_specs(table: Table, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the checks that every asset of a table carries."""
    schema = dg.AssetCheckSpec(
        SCHEMA_CHECK,
        asset=key,
        blocking=True,
        description=f"Columns, types, nulls, bounds and key as in tables/: {table.grain}.",
    )
    return [
        schema,
        *(
            dg.AssetCheckSpec(i.name, asset=key, blocking=i.blocking, description=i.doc)
            for i in INVARIANTS.get(table.name, ())
        ),
    ]


def evaluate(
    table: Table, parts: Sequence[pa.Table], *, underlying: Underlying, session_date: date
) -> list[dg.AssetCheckResult]:
    """Judge rows of a table, read back from the lake, by every check it carries."""
    rows = pa.concat_tables(parts) if parts else table.schema.empty_table()
    results = [schema_result(table, parts, symbol=underlying.symbol, session_date=session_date)]
    for invariant in INVARIANTS.get(table.name, ()):
        verdict = invariant.judge(rows, underlying)
        severity = dg.AssetCheckSeverity.ERROR if invariant.blocking else dg.AssetCheckSeverity.WARN
        results.append(
            dg.AssetCheckResult(
                passed=verdict.holds,
                check_name=invariant.name,
                severity=severity,
                description=verdict.text,
                metadata=verdict.numbers,
            )
        )
    return results


def schema_result(
    table: Table, parts: Sequence[pa.Table], *, symbol: str, session_date: date
) -> dg.AssetCheckResult:
    """Judge rows of a table's partition by the dictionary alone."""
    try:
        for part in parts:
            conform(table, part, underlying=symbol, session_date=session_date)
    except SchemaError as error:
        return dg.AssetCheckResult(
            passed=False, check_name=SCHEMA_CHECK, description=str(error), metadata={}
        )
    rows = sum(part.num_rows for part in parts)
    return dg.AssetCheckResult(
        passed=True,
        check_name=SCHEMA_CHECK,
        description=f"{rows} rows conform to tables.{table.name}",
        metadata={"rows": rows},
    )
