"""Pictures of metrics, regimes and the index group: drawn from anything the tables may hold."""

import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.exposure.combined import combined_levels, combined_profile
from dealer_assets.domain.exposure.regimes import regimes_of
from dealer_assets.reports.regime_pictures import (
    combined_picture,
    metrics_picture,
    regime_picture,
)
from dealer_assets_tests.domain import metric_rows as made
from dealer_assets_tests.domain.test_combined import member

PNG = b"\x89PNG"


def regimes(count):
    history = made.closings([1e6 * (i - count / 2) for i in range(count)])
    none = made.nothing(tables.DEALER_REGIMES)
    return pa.concat_tables(
        [regimes_of(history.slice(i, 1), history.slice(0, i), none) for i in range(count)]
    )


def test_metrics_are_drawn_with_and_without_a_drift():
    for rows in made.session([5000.0, 5010.0]):
        assert metrics_picture(rows, headline="naive").startswith(PNG)


def test_regimes_are_drawn_over_sessions():
    assert regime_picture(regimes(12), headline="naive").startswith(PNG)


def test_the_group_is_drawn_with_its_members():
    members = {"SPX": member(5000.0, (("0dte", 1e6),)), "SPY": member(500.0, (("0dte", 1e6),))}
    rows = combined_profile(members, group="G"), combined_levels(members, group="G")
    assert combined_picture(*rows, headline="naive").startswith(PNG)


@pytest.mark.parametrize("headline", ["naive", "reconciled"])
def test_nothing_to_draw_is_said_in_a_picture(headline):
    empty = {t.name: t.schema.empty_table() for t in tables.TABLES}
    assert metrics_picture(empty["exposure_metrics"], headline=headline).startswith(PNG)
    assert regime_picture(empty["dealer_regimes"], headline=headline).startswith(PNG)
    pair = empty["combined_profile"], empty["combined_levels"]
    assert combined_picture(*pair, headline=headline).startswith(PNG)
