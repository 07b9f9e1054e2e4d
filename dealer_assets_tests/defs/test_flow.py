"""The signed flow asset: what it reads, that it says so, and that a rerun is free."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dealer_assets import tables
from dealer_assets.defs.flow import signed_flow
from dealer_assets.intake.records import store_request
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.providers.base import Records
from dealer_assets.settings import settings
from dealer_assets_tests.defs.test_live import platform
from dealer_assets_tests.labelled_tapes import made_up
from dealer_assets_tests.live_rows import CALL, DAY, clock, row, stream


@pytest.fixture
def lake(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("DEALER_UNDERLYINGS", "SPX")
    settings.cache_clear()
    yield platform("22:00:00").lake()
    settings.cache_clear()


def materialize() -> dict[str, object]:
    (asset,) = (a for a in signed_flow if a.key.path[0] == "SPX")
    result = dg.materialize(
        [asset], partition_key=DAY.isoformat(), resources={"platform": platform("22:00:00")}
    )
    assert all(check.passed for check in result.get_asset_check_evaluations())
    (event,) = result.get_asset_materialization_events()
    return {k: v.value for k, v in event.step_materialization_data.materialization.metadata.items()}


def test_session_of_which_nothing_is_held_says_so(lake: Lake) -> None:
    assert "none" in str(materialize()["sources"])
    assert read_partition(lake, tables.SIGNED_FLOW, "SPX", DAY).num_rows == 0


def test_live_trades_give_way_to_the_published_tape_and_a_rerun_is_free(lake: Lake) -> None:
    told = {"trade_class": "regular", "side": "buy", "side_confidence": 0.7, "size_contracts": 2.0}
    stream(lake, tables.LIVE_TRADES, [row(tables.LIVE_TRADES, symbol=CALL, **told)], first=0)
    found = materialize()
    assert (found["sources"], found["parts_written"]) == ("live", 1)
    assert materialize()["parts_written"] == 0
    at_us = round(clock("15:00:00").timestamp() * 1e6)
    published = made_up(
        tables.OPTION_TRADES,
        1,
        DAY,
        symbol=CALL,
        event_at=[at_us],
        provider="flatfiles",
        price=[5.0],
        size_contracts=[2.0],
        taker_side=["sell"],
    )
    records = Records(
        table=tables.OPTION_TRADES,
        rows=published,
        provider="flatfiles",
        source_name="a day",
        source_sha256="0" * 64,
        rejected=tables.REJECTED_ROWS.schema.empty_table(),
        is_complete=True,
        findings=(),
    )
    store_request(lake, records, underlying="SPX", session_date=DAY)
    found = materialize()
    assert (found["sources"], found["customer_net_contracts"]) == ("tape", -2.0)
    assert str(found["picture"]).startswith("![")
