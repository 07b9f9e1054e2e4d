"""Hand-made exposures by contract and levels, for pins, changes and scores.

Belongs here: builders that several test modules share. Does not belong here: assertions.
"""

from datetime import date, datetime, timedelta

import pyarrow as pa

from dealer_assets import tables
from dealer_assets_tests.domain.synthetic import EVENT_AT, SESSION, table_of
from dealer_assets_tests.live_rows import row

SPOT = 5000.0
MOVE = 50.0


def held(strike, position, *, unit=1e6, days=0.0, right="call", at=EVENT_AT, model="naive", **more):
    """One row of `dealer_exposure`: a position, and the gamma one contract exerts."""
    name = more.pop("name", f"{right[0].upper()}{strike:g}@{days:g}")
    spot = more.pop("spot", SPOT)
    made = row(tables.DEALER_EXPOSURE, at=at, session_date=at.date(), model=model, spot=spot)
    made |= {
        "symbol": name,
        "strike": float(strike),
        "right": right,
        "expiry_date": (at + timedelta(days=days)).date(),
        "expires_at": at + timedelta(days=days),
        "position_contracts": float(position),
        "gamma_exposure_usd_per_pct": position * unit,
    }
    return made | more


def exposure(*rows):
    """A `dealer_exposure` table."""
    return table_of(list(rows), tables.DEALER_EXPOSURE)


def levels(*, at=EVENT_AT, day=SESSION, move=MOVE, spot=SPOT, model="naive", **more):
    """A row of `exposure_levels`."""
    known = {
        "expected_move_vol_252_usd": move,
        "expected_move_vol_365_usd": move,
        "flip_status": "ok",
        "flip_price": None,
        "call_wall": None,
        "put_wall": None,
        "absolute_gamma_strike": None,
        "max_pain": None,
        "is_publishable": True,
        "quality_reasons": [],
        "flip_prices": [],
        "flip_slopes": [],
    }
    made = row(
        tables.EXPOSURE_LEVELS, at=at, session_date=day, model=model, spot=spot, **(known | more)
    )
    return pa.Table.from_pylist([made], schema=tables.EXPOSURE_LEVELS.schema)


def no_rows(table):
    """Zero rows of a table."""
    return table.schema.empty_table()


def by_strike(rows, column):
    """Values of a column by strike."""
    return dict(zip(rows["strike"].to_pylist(), rows[column].to_pylist(), strict=True))


def session(index):
    """The index-th day of a run of UTC days, and an instant late in it."""
    day = date(2026, 1, 1) + timedelta(days=index)
    return day, datetime(day.year, day.month, day.day, 22, tzinfo=EVENT_AT.tzinfo)
