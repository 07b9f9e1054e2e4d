"""What is drawn of a reconciliation is what was compared."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.reports.live_pictures import reconciliation_picture
from dealer_assets_tests.live_rows import CALL, PUT, row

PNG = b"\x89PNG\r\n\x1a\n"


def rows(**values: Any) -> pa.Table:
    entries = [
        row(
            tables.LIVE_RECONCILIATION,
            symbol=symbol,
            live_prints=3,
            live_volume_contracts=float(30 * (i + 1)),
            **values,
        )
        for i, symbol in enumerate((CALL, PUT))
    ]
    return pa.Table.from_pylist(entries, schema=tables.LIVE_RECONCILIATION.schema)


def test_volumes_changes_of_open_interest_and_nothing_draw_different_pictures() -> None:
    compared = rows(published_prints=4, missing_prints=1, published_volume_contracts=40.0)
    counted = rows(open_interest_before_contracts=10.0, open_interest_after_contracts=50.0)
    pictures = [reconciliation_picture(entry) for entry in (compared, counted, rows())]
    assert all(picture.startswith(PNG) for picture in pictures)
    assert len(set(pictures)) == 3
    assert pictures[0] == reconciliation_picture(compared)
