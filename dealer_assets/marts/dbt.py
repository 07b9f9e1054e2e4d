"""dbt models as assets, their tests as asset checks, and the publication of the warehouse.

Belongs here: how dbt maps onto the asset graph. Does not belong here: SQL (`dbt_project`).
The manifest is prepared by ``make setup``; parsing here would cost ten seconds at every load.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from dealer_assets.errors import DealerError
from dealer_assets.marts.publish import (
    DBT_PROJECT,
    building,
    dbt_executable,
    publish,
    start_build,
)
from dealer_assets.settings import settings

MANIFEST = DBT_PROJECT / "target" / "manifest.json"
_AT_MOST = "*/15 * * * *"
_WRITTEN_WITH = {"chain_sources": "chain_snapshots", "rejected_rows": "chain_snapshots"}
"""Tables that have no asset of their own: the asset that writes them."""


class LaneTranslator(DagsterDbtTranslator):
    """Maps dbt nodes to assets: models to ``marts/<model>``, lake sources to the lanes' assets."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Key a model as ``marts/<model>``; a source stands for itself until its deps are set."""
        layer = "lake" if dbt_resource_props["resource_type"] == "source" else "marts"
        return dg.AssetKey([layer, dbt_resource_props["name"]])

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: Any
    ) -> dg.AssetSpec:
        """Replace a dependency on a lake source by one on every lane's asset of that table."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        keys = {key for dep in spec.deps for key in lane_keys(dep.asset_key)}
        return spec.replace_attributes(deps=[dg.AssetDep(key) for key in sorted(keys)])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Put every model into the group ``marts``."""
        return "marts"

    def get_automation_condition(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.AutomationCondition[dg.AssetKey]:
        """Rebuild when an input is newer, at most every quarter of an hour.

        A minute schedule updates the inputs 391 times a session; a build costs 10 s of a core.
        """
        handled = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
        due = dg.AutomationCondition.cron_tick_passed(_AT_MOST).since(handled)
        changed = dg.AutomationCondition.any_deps_updated().since(handled)
        return due & changed & ~dg.AutomationCondition.in_progress()


def _require_manifest() -> None:
    if not MANIFEST.is_file():
        raise DealerError(
            f"the dbt manifest is missing: expected {MANIFEST.relative_to(DBT_PROJECT.parent)}. "
            "Run `make setup`, which prepares it."
        )


def lane_keys(key: dg.AssetKey) -> list[dg.AssetKey]:
    """Return the lanes' assets behind a lake source's key; any other key stands for itself."""
    layer, name = key.path[0], key.path[-1]
    if layer != "lake":
        return [key]
    table = _WRITTEN_WITH.get(name, name)
    return [dg.AssetKey([lane, table]) for lane in settings().lanes]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for dbt's process, which takes this one's: and take them back after it."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dg.definitions
def defs() -> dg.Definitions:
    """Bundle the dbt project's assets, job and resource."""
    _require_manifest()

    @dbt_assets(
        manifest=MANIFEST,
        dagster_dbt_translator=LaneTranslator(),
        pool="warehouse",
        name="dbt_build",
    )
    def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        with building(settings()):
            with _environment(start_build(settings(), keep=context.is_subset)):
                yield from dbt.cli(["build"], context=context).stream()
            published = publish(settings())
        context.log.info(f"published {published}")

    job = dg.define_asset_job(
        "marts",
        selection=dg.AssetSelection.groups("marts"),
        description="dbt build into a fresh file, then publish it as the warehouse by rename.",
    )
    resource = DbtCliResource(
        project_dir=str(DBT_PROJECT),
        profiles_dir=str(DBT_PROJECT),
        dbt_executable=dbt_executable(),
    )
    return dg.Definitions(assets=[marts], jobs=[job], resources={"dbt": resource})
