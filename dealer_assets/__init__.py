"""Open analytics of option dealer positioning.

The layer map; imports point downwards only (import-linter contracts in `pyproject.toml`)::

    cli                   the `dealer` command
    demo | dev_server     the demo's plan and report | processes behind `make dev`
    runner | pricing_file jobs run in this process | one file straight to levels
    definitions           Dagster entry points: pipeline, and marts apart
    defs | marts          Dagster assets, checks, schedules, sensors | dbt as assets: thin shells
    reports               pictures, tables and words
    inbox                 what becomes of dropped files
    ingest                the one place where a provider's snapshot meets the lake
    providers | lake      vendor payloads to rows | Parquet storage
    domain                pure numbers: arrays and tables in, arrays and tables out
    settings | tables | underlyings     configuration, data dictionary, registry
    errors | light_arrow  the tree of deliberate refusals | a start-up measure

This module imports nothing, so importing any layer costs only that layer.
"""
