"""Open analytics of option dealer positioning.

The layer map; imports point downwards only (import-linter contracts in `pyproject.toml`)::

    cli, definitions      commands and Dagster entry points
    defs                  Dagster assets, checks, schedules, sensors: thin shells
    reports               pictures and terminal reports of results
    ingest                the one place where a provider's snapshot meets the lake
    providers | lake      vendor payloads to rows | Parquet storage
    domain                pure numbers: arrays and tables in, arrays and tables out
    settings | tables | underlyings     configuration, data dictionary, registry
    errors                the tree of deliberate refusals

This module imports nothing, so importing any layer costs only that layer.
"""
