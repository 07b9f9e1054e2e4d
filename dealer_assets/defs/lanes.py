"""One lane per underlying: the factory that turns a table's function into its assets.

Belongs here: what all lane assets share (keys, partitions, groups, config, results). Does not
belong here: any table's logic; that is the decorated function of about ten lines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from dealer_assets.curves import curve_known
from dealer_assets.defs.checks import check_specs, evaluate
from dealer_assets.defs.partitions import partitions_of, session_of_key
from dealer_assets.defs.resources import Platform
from dealer_assets.domain.invariants import is_sound
from dealer_assets.domain.rates import CurveChoice
from dealer_assets.domain.sessions import session_open
from dealer_assets.lake.reader import list_parts, read_part
from dealer_assets.lake.refresh import Derive, Refreshed, refresh_session, refresh_snapshots
from dealer_assets.lake.storage import Lake
from dealer_assets.reports.pictures import markdown_image
from dealer_assets.settings import settings
from dealer_assets.sources import SIMULATOR
from dealer_assets.tables import CHAIN_SNAPSHOTS, Table
from dealer_assets.underlyings import Underlying, underlying

Metadata = Mapping[str, Any]


class LaneConfig(dg.Config):
    """Run configuration of every lane asset."""

    rebuild: bool = False
    """Compute every part of the partition anew instead of only what is missing or stale."""

    pictures: bool = True
    """Draw the asset pages' pictures; runs of many partitions draw those of the last one only."""


@dataclass(frozen=True)
class Lane:
    """One table of one underlying's partition, as an asset body sees it.

    Parameters
    ----------
    lake : Lake
        Storage.
    platform : Platform
        Settings, provider and clock.
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        Partition.
    table : Table
        Table to bring up to date.
    sources : tuple of Table
        Lake tables it is derived from.
    session_sources : tuple of Table
        Lake tables of which every snapshot reads the session's rows.
    rebuild : bool
        Compute everything anew.
    pictures : bool
        Draw the pictures of the asset's page.
    """

    lake: Lake
    platform: Platform
    underlying: Underlying
    session_date: date
    table: Table
    sources: tuple[Table, ...]
    session_sources: tuple[Table, ...]
    rebuild: bool
    pictures: bool

    def refresh(
        self,
        derive: Derive,
        options: Mapping[str, str] | None = None,
        *,
        with_previous: bool = False,
        previous_sources: Sequence[Table] = (),
        session_sources: Sequence[Table] | None = None,
    ) -> Refreshed:
        """Derive what is due, per snapshot or for the session, as the table is cut.

        A snapshot that a blocking check stops derives to a part without rows, whenever it is
        reached: a later, sound snapshot of the session does not let it through. A session source
        that one stops counts as not held. `session_sources` narrows the asset's own to those that
        the options make it read.
        """
        if self.table.part == "session":
            return refresh_session(
                self.lake,
                self.table,
                sources=self.sources,
                underlying=self.underlying.symbol,
                session_date=self.session_date,
                derive=derive,
                rebuild=self.rebuild,
            )
        return refresh_snapshots(
            self.lake,
            self.table,
            sources=self.sources,
            session_sources=self.session_sources if session_sources is None else session_sources,
            underlying=self.underlying.symbol,
            session_date=self.session_date,
            derive=self._stopping_unsound(derive),
            options=options,
            with_previous=with_previous,
            previous_sources=previous_sources,
            rebuild=self.rebuild,
        )

    def _stopping_unsound(self, derive: Derive) -> Derive:
        def gated(rows: Mapping[str, pa.Table]) -> pa.Table:
            for table in self.sources:
                if not is_sound(table.name, rows[table.name], self.underlying):
                    return self.table.schema.empty_table()
            held = {t.name: self._sound(t, rows) for t in self.session_sources if t.name in rows}
            return derive({**rows, **held})

        return gated

    def _sound(self, table: Table, rows: Mapping[str, pa.Table]) -> pa.Table:
        held = rows[table.name]
        return held if is_sound(table.name, held, self.underlying) else held.slice(0, 0)

    def rate_curve(self) -> CurveChoice:
        """Treasury curve known when the session opened: the same for all its snapshots."""
        opened = session_open(self.underlying.calendar, self.session_date)
        chain = self.newest(CHAIN_SNAPSHOTS)
        simulated = chain.num_rows > 0 and chain["provider"][0].as_py() == SIMULATOR
        return curve_known(self.lake, opened, simulated=simulated)

    def picture(self, draw: Callable[[], bytes]) -> dg.MarkdownMetadataValue | str:
        """Draw a picture for the asset's page: half of a run's time, where there is much to do."""
        if not self.pictures:
            return "not drawn in a run of many partitions; materialize this one to see it"
        return dg.MetadataValue.md(markdown_image(draw()))

    def newest(self, table: Table | None = None) -> pa.Table:
        """Rows of the partition's newest part; zero rows when it has none."""
        table = table or self.table
        parts = list_parts(self.lake, table, self.underlying.symbol, self.session_date)
        return read_part(self.lake, table, parts[-1]) if parts else table.schema.empty_table()

    def result(
        self, done: Refreshed, metadata: Metadata | None = None
    ) -> dg.MaterializeResult[Any]:
        """Report a refresh: counts, the table's own metadata, and its checks on the newest part."""
        parts = list_parts(self.lake, self.table, self.underlying.symbol, self.session_date)
        # the newest decides; older snapshots are stopped one by one (`parts_stopped`)
        judged = parts if self.table.part == "batch" else parts[-1:]
        rows = [read_part(self.lake, self.table, part) for part in judged]
        return dg.MaterializeResult(
            metadata={
                **(metadata or {}),
                "dagster/row_count": sum(part.num_rows for part in rows),
                "parts": len(parts),
                "parts_written": len(done.written),
                "parts_current": done.kept,
                "parts_removed": done.removed,
                "parts_stopped": done.stopped,
                "newest_part": parts[-1].name if parts else "none",
            },
            check_results=evaluate(
                self.table, rows, underlying=self.underlying, session_date=self.session_date
            ),
        )


Result = dg.MaterializeResult[Any]
"""What an asset body returns."""

Body = Callable[[Lane], Result]


def lane_assets(
    table: Table,
    *,
    sources: Sequence[Table] = (),
    session_sources: Sequence[Table] = (),
    also_after: Sequence[Table] = (),
    from_previous: Sequence[Table] = (),
    needs: Sequence[dg.AssetKey] = (),
    only: Callable[[Underlying], bool] | None = None,
    group: str,
    kinds: set[str] | None = None,
) -> Callable[[Body], list[dg.AssetsDefinition]]:
    """Make one asset per lane from a function of a `Lane`.

    Parameters
    ----------
    table : Table
        Dictionary entry; its name is the last part of the asset key.
    sources : sequence of Table
        Lake tables of the same lane it is derived from.
    session_sources : sequence of Table
        Of a snapshot table: lake tables of the lane whose rows of the whole session each snapshot
        reads, as far as they are held.
    also_after : sequence of Table
        Tables of the lane that come before it in the lineage, without being an input of each row.
    from_previous : sequence of Table
        Tables of the lane whose rows of the session before it reads, its own among them or not;
        sessions are then made in order.
    needs : sequence of AssetKey
        Assets outside the lane that it reads; crypto lanes have no use for rates.
    only : callable, optional
        Which lanes have the asset; all when absent.
    group : str
        Layer tag, the same word as the module.
    kinds : set of str, optional
        Icons in the lineage.

    Returns
    -------
    callable
        Decorator; the function's docstring becomes the catalogue description.
    """

    def decorate(body: Body) -> list[dg.AssetsDefinition]:
        return [
            _asset(
                body,
                lane,
                table,
                sources=tuple(sources),
                session_sources=tuple(session_sources),
                also_after=tuple(also_after),
                from_previous=tuple(from_previous),
                needs=tuple(needs),
                group=group,
                kinds=kinds,
            )
            for lane in map(underlying, settings().lanes)
            if only is None or only(lane)
        ]

    return decorate


def _asset(
    body: Body,
    lane: Underlying,
    table: Table,
    *,
    sources: tuple[Table, ...],
    session_sources: tuple[Table, ...],
    also_after: tuple[Table, ...],
    from_previous: tuple[Table, ...],
    needs: tuple[dg.AssetKey, ...],
    group: str,
    kinds: set[str] | None,
) -> dg.AssetsDefinition:
    key = dg.AssetKey([lane.symbol, table.name])
    before = (*sources, *session_sources, *also_after)

    @dg.asset(
        key=key,
        deps=[
            *(dg.AssetKey([lane.symbol, s.name]) for s in before if s not in from_previous),
            *(
                _of_previous(dg.AssetKey([lane.symbol, t.name]), and_own=t in before)
                for t in from_previous
            ),
            *(needs if lane.kind != "crypto" else ()),
        ],
        partitions_def=partitions_of(lane.calendar),
        group_name=lane.symbol.lower(),
        kinds=kinds or {"parquet"},
        tags={"layer": group, "underlying": lane.symbol},
        description=f"{body.__doc__}\n\n{table.doc} Grain: {table.grain}.",
        check_specs=check_specs(table, key),
        code_version=str(table.version),
    )
    def shell(
        context: dg.AssetExecutionContext, config: LaneConfig, platform: Platform
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare class
        return body(
            Lane(
                lake=platform.lake(),
                platform=platform,
                underlying=lane,
                session_date=session_of_key(context.partition_key),
                table=table,
                sources=sources,
                session_sources=session_sources,
                rebuild=config.rebuild,
                pictures=config.pictures,
            )
        )

    return shell


def _of_previous(key: dg.AssetKey, *, and_own: bool) -> dg.AssetDep:
    """Depend on an asset's partition of the session before, and on the session's own if told."""
    mapping = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=0 if and_own else -1)
    return dg.AssetDep(key, partition_mapping=mapping)
