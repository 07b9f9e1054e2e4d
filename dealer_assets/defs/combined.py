"""Assets of the US index group: SPX, SPY and XSP in the same dollars.

Belongs here: asset shells. Does not belong here: sums (`domain/exposure/combined.py`), which
snapshots belong together (`combining`).
"""

from dataclasses import replace
from datetime import date

import dagster as dg

from dealer_assets import tables
from dealer_assets.defs.checks import check_specs, evaluate
from dealer_assets.defs.lanes import LaneConfig
from dealer_assets.defs.partitions import partitions_of, session_of_key
from dealer_assets.defs.resources import Platform
from dealer_assets.derived.combining import COMBINE, MEMBERS, US_INDEX, combine_session
from dealer_assets.domain.exposure.combined import REFERENCE
from dealer_assets.lake.reader import list_parts, read_part
from dealer_assets.lake.storage import Lake
from dealer_assets.reports.pictures import markdown_image
from dealer_assets.reports.regime_pictures import combined_picture
from dealer_assets.settings import settings
from dealer_assets.tables import Table
from dealer_assets.underlyings import underlying

TABLES = tuple(tables.table(name) for name in COMBINE)
GROUP = replace(underlying(REFERENCE), symbol=US_INDEX)
_READ = (tables.DEALER_EXPOSURE, tables.EXPOSURE_LEVELS, tables.GAMMA_PROFILE)


def members() -> tuple[str, ...]:
    """Return the members that are configured lanes; none where the reference is not."""
    lanes = settings().lanes
    return tuple(m for m in MEMBERS if m in lanes) if REFERENCE in lanes else ()


def keys() -> list[dg.AssetKey]:
    """Return the keys of the group's assets; none where the reference is no lane."""
    return [dg.AssetKey([US_INDEX, table.name]) for table in TABLES] if members() else []


def combined_asset(table: Table) -> dg.AssetsDefinition:
    """Return the asset of one of the group's tables."""
    key = dg.AssetKey([US_INDEX, table.name])
    levels = dg.AssetKey([US_INDEX, tables.COMBINED_LEVELS.name])

    @dg.asset(
        key=key,
        deps=[
            *(dg.AssetKey([member, read.name]) for member in members() for read in _READ),
            # the profile's page shows the flip of the levels
            *([levels] if table is tables.COMBINED_PROFILE else []),
        ],
        partitions_def=partitions_of(GROUP.calendar),
        group_name=US_INDEX.lower(),
        kinds={"numpy"},
        tags={"layer": "regimes", "underlying": US_INDEX},
        description=f"{table.doc} Grain: {table.grain}.",
        check_specs=check_specs(table, key),
        code_version=str(table.version),
    )
    def shell(
        context: dg.AssetExecutionContext, config: LaneConfig, platform: Platform
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare class
        lake, day = platform.lake(), session_of_key(context.partition_key)
        done = combine_session(lake, table, day, rebuild=config.rebuild)
        parts = list_parts(lake, table, US_INDEX, day)[-1:]
        rows = [read_part(lake, table, part) for part in parts]
        drawn = config.pictures and table is tables.COMBINED_PROFILE
        picture = {"profile": _picture(lake, day, platform.settings.model)} if drawn else {}
        return dg.MaterializeResult(
            metadata={
                **picture,
                "dagster/row_count": sum(part.num_rows for part in rows),
                "parts_written": len(done.written),
                "parts_current": done.kept,
                "parts_removed": done.removed,
            },
            check_results=evaluate(table, rows, underlying=GROUP, session_date=day),
        )

    return shell


def _picture(lake: Lake, day: date, model: str) -> dg.MarkdownMetadataValue:
    """Draw the newest profile, and the levels where they are derived already."""
    newest = {}
    for table in (tables.COMBINED_PROFILE, tables.COMBINED_LEVELS):
        parts = list_parts(lake, table, US_INDEX, day)
        newest[table.name] = (
            read_part(lake, table, parts[-1]) if parts else table.schema.empty_table()
        )
    png = combined_picture(newest["combined_profile"], newest["combined_levels"], headline=model)
    return dg.MetadataValue.md(markdown_image(png))


@dg.definitions
def defs() -> dg.Definitions:
    """Three assets, where SPX is a lane."""
    return dg.Definitions(assets=[combined_asset(table) for table in TABLES] if members() else [])
