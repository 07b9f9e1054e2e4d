"""The index group in the lake: which snapshots stand together, and what a rerun does."""

from datetime import UTC, date, datetime, timedelta

import pytest

from dealer_assets import tables
from dealer_assets.derived.combining import COMBINE, MEMBERS, OLDEST, US_INDEX, combine_session
from dealer_assets.lake.layout import part_name
from dealer_assets.lake.reader import list_parts, read_part
from dealer_assets.lake.storage import open_lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets_tests.domain.test_combined import member

DAY = date(2026, 11, 20)
CLOSE = datetime(2026, 11, 20, 21, 15, tzinfo=UTC)
LEVELS = tables.COMBINED_LEVELS


@pytest.fixture
def lake(tmp_path):
    return open_lake(str(tmp_path / "lake"))


def store(lake, symbol, at, *, gamma=1e6, spot=5000.0):
    held = member(spot, (("0dte", gamma),), at=at)
    for table, rows in (
        (tables.DEALER_EXPOSURE, held.exposures),
        (tables.EXPOSURE_LEVELS, held.levels),
        (tables.GAMMA_PROFILE, held.profile),
    ):
        place = rows.schema.get_field_index("underlying")
        own = rows.set_column(place, rows.schema.field(place), [[symbol] * rows.num_rows])
        name = part_name(table, event_at=at)
        write_part(lake, table, own, underlying=symbol, session_date=DAY, name=name)


def newest(lake, table=LEVELS):
    part = list_parts(lake, table, US_INDEX, DAY)[-1]
    return read_part(lake, table, part).to_pylist()


def total(lake):
    return next(row for row in newest(lake) if row["member"] == "total")


def test_members_of_one_instant_are_summed_in_every_table(lake):
    store(lake, "SPX", CLOSE, gamma=4e6)
    store(lake, "SPY", CLOSE, gamma=-1e6, spot=500.0)
    for name in COMBINE:
        done = combine_session(lake, tables.table(name), DAY)
        assert len(done.written) == 1
    assert total(lake)["net_gamma_exposure_usd_per_pct"] == 3e6
    assert total(lake)["members_missing"] == ["XSP"]
    strikes = newest(lake, tables.COMBINED_EXPOSURE)
    assert {row["member"] for row in strikes} == {"SPX", "SPY"}
    assert {r["member"] for r in newest(lake, tables.COMBINED_PROFILE)} == {"SPX", "SPY", "total"}


@pytest.mark.parametrize(
    ("minutes", "is_used"), [(0, True), (15, True), (20, True), (21, False), (-1, False)]
)
def test_a_member_may_be_older_than_spx_but_never_later(lake, minutes, is_used):
    store(lake, "SPX", CLOSE)
    store(lake, "SPY", CLOSE - timedelta(minutes=minutes))
    combine_session(lake, LEVELS, DAY)
    assert ("SPY" in total(lake)["members"]) == is_used
    assert timedelta(minutes=20) == OLDEST


def test_the_newest_of_the_members_snapshots_counts(lake):
    store(lake, "SPX", CLOSE, gamma=1e6)
    store(lake, "SPY", CLOSE - timedelta(minutes=15), gamma=1e6)
    store(lake, "SPY", CLOSE - timedelta(minutes=5), gamma=7e6)
    combine_session(lake, LEVELS, DAY)
    assert total(lake)["net_gamma_exposure_usd_per_pct"] == 8e6
    assert total(lake)["age_seconds"] == 300.0


def test_a_rerun_writes_nothing_and_a_later_member_renews_the_part(lake):
    store(lake, "SPX", CLOSE)
    first = combine_session(lake, LEVELS, DAY)
    again = combine_session(lake, LEVELS, DAY)
    assert (len(first.written), len(again.written), again.kept) == (1, 0, 1)
    store(lake, "SPY", CLOSE - timedelta(minutes=5))
    assert len(combine_session(lake, LEVELS, DAY).written) == 1
    assert total(lake)["members"] == ["SPX", "SPY"]
    assert len(combine_session(lake, LEVELS, DAY, rebuild=True).written) == 1


def test_a_member_that_a_blocking_check_stops_is_missing_and_stops_the_group_if_it_is_spx(lake):
    def broken(symbol):
        held = member(5000.0, (("0dte", 1e6),), at=CLOSE).levels
        rows = held.set_column(
            held.schema.get_field_index("call_gamma_exposure_usd_per_pct"),
            "call_gamma_exposure_usd_per_pct",
            [[9e9]],
        )
        name = part_name(tables.EXPOSURE_LEVELS, event_at=CLOSE)
        write_part(
            lake,
            tables.EXPOSURE_LEVELS,
            rows.set_column(0, "underlying", [[symbol]]).cast(held.schema),
            underlying=symbol,
            session_date=DAY,
            name=name,
        )

    store(lake, "SPX", CLOSE)
    store(lake, "SPY", CLOSE)
    broken("SPY")
    combine_session(lake, LEVELS, DAY)
    assert (total(lake)["members"], total(lake)["members_missing"]) == (["SPX"], ["SPY", "XSP"])
    broken("SPX")
    for name in COMBINE:
        combine_session(lake, tables.table(name), DAY)
        assert newest(lake, tables.table(name)) == []


def test_without_spx_there_is_no_group_and_what_was_is_removed(lake):
    store(lake, "SPX", CLOSE)
    combine_session(lake, LEVELS, DAY)
    for table in (tables.DEALER_EXPOSURE, tables.EXPOSURE_LEVELS, tables.GAMMA_PROFILE):
        name = part_name(table, event_at=CLOSE)
        delete_part(lake, table, underlying="SPX", session_date=DAY, name=name)
    store(lake, "SPY", CLOSE)
    done = combine_session(lake, LEVELS, DAY)
    assert (done.written, done.removed) == ((), 1)
    assert not list_parts(lake, LEVELS, US_INDEX, DAY)
    assert MEMBERS[0] == "SPX"
