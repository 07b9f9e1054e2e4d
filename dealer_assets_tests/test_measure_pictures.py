"""Pictures and words of an underlying's measures."""

from datetime import timedelta

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.reports.measure_pictures import calendar_picture, standing_picture
from dealer_assets.reports.measure_wording import measure_metadata
from dealer_assets_tests.domain import measure_rows as made
from dealer_assets_tests.domain.measure_rows import AT, HOUR
from dealer_assets_tests.live_rows import row

PNG = b"\x89PNG\r\n\x1a\n"
EMPTY = tables.UNDERLYING_SCORES.schema.empty_table()


def session(*, days=1):
    """Two polls a session: calm, then a vol far out, a flip without value."""
    rows = []
    for day in range(days):
        for i, at in enumerate((AT - HOUR, AT)):
            for j, name in enumerate(made.NAMES):
                told = {"measure": name, "z": 0.3 * (j - 9), "score": 5.0, "status": "ok"}
                told |= {"severity": "none", "is_anomaly": False, "words": name, "model": "naive"}
                if name == "atm_vol_30d" and i:
                    told |= {"z": 12.0, "severity": "severe", "is_anomaly": True, "score": 80.0}
                if name == "flip_jump":
                    told |= {"z": None, "score": None, "status": "not_determined"}
                when = at + timedelta(days=day)
                rows.append(
                    row(tables.UNDERLYING_SCORES, at=when, session_date=when.date(), **told)
                )
    return pa.Table.from_pylist(rows, schema=tables.UNDERLYING_SCORES.schema)


@pytest.mark.parametrize("draw", [standing_picture, calendar_picture])
def test_pictures_are_drawn_the_same_twice_and_of_nothing(draw):
    rows = session(days=3)
    first = draw(rows)
    assert first.startswith(PNG)
    assert draw(rows) == first
    assert draw(EMPTY).startswith(PNG)


def test_metadata_says_what_stands_out_now():
    told = measure_metadata(session())
    assert told == {
        "polls": 2,
        "anomalies_of_session": 1,
        "unusual_now": "severe: atm_vol_30d",
        "measures_now": f"1 not_determined, {len(made.NAMES) - 1} ok",
    }
    nothing = measure_metadata(EMPTY)
    assert nothing == {
        "polls": 0,
        "anomalies_of_session": 0,
        "unusual_now": "nothing",
        "measures_now": "none",
    }
