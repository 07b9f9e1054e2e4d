"""What an asset's page shows of several models: all of them in one picture, each told apart."""

import numpy as np
import pytest

from dealer_assets import tables
from dealer_assets.domain.columns import equals, floats
from dealer_assets.domain.exposure.side_by_side import side_by_side
from dealer_assets.domain.exposure.snapshot import (
    band_of,
    exposures_of,
    levels_of,
    profile_of,
    scenarios_of,
)
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.reports.pictures import profile_picture, strike_picture
from dealer_assets.reports.uncertainty_pictures import band_picture, scenario_picture
from dealer_assets.reports.wording import level_metadata, models_markdown, models_metadata
from dealer_assets_tests.domain.synthetic import chain, quoted, settled

MODELS = ("naive", "reconciled")
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def derived():
    """Rows of two models of one snapshot, by table."""
    made = [
        item | {"open_interest_contracts": 100.0 + item["strike"] % 300}
        for item in quoted(range(5400, 6601, 100), vol=0.18)
    ]
    rows = chain(made)
    priced = price_chain(rows)
    size = floats(priced, "open_interest_contracts")
    sign = np.where(equals(priced, "right", "call"), 0.5, -0.7)
    held = settled(priced, sign * size, sd=0.3 * size, common=0.2 * size)
    return {
        "exposure": side_by_side(
            MODELS, lambda model: exposures_of(priced, model=model, settled=held)
        ),
        "profile": side_by_side(MODELS, lambda m: profile_of(priced, model=m, settled=held)),
        "levels": side_by_side(
            MODELS,
            lambda m: levels_of(rows, priced, model=m, settled=held, conventions=m == "naive"),
        ),
        "band": band_of(rows, priced, model="naive"),
        "grid": side_by_side(MODELS, lambda m: scenarios_of(priced, model=m, settled=held)),
    }


def alone(rows, model):
    return rows.filter(equals(rows, "model", model).tolist())


def test_profile_picture_has_every_model_and_marks_the_headline(derived):
    both = profile_picture(derived["profile"], derived["levels"], headline="naive")
    other = profile_picture(derived["profile"], derived["levels"], headline="reconciled")
    one = profile_picture(alone(derived["profile"], "naive"), alone(derived["levels"], "naive"))
    assert both.startswith(PNG)
    assert len({both, other, one}) == 3


def test_strike_picture_has_a_panel_per_model(derived):
    from io import BytesIO

    import matplotlib.image

    both = matplotlib.image.imread(BytesIO(strike_picture(derived["exposure"], headline="naive")))
    one = strike_picture(alone(derived["exposure"], "naive"))
    assert both.shape[0] > matplotlib.image.imread(BytesIO(one)).shape[0]


def test_pictures_of_one_model_leave_the_others_out(derived):
    grid = derived["grid"]
    assert scenario_picture(grid, headline="naive") == scenario_picture(
        alone(grid, "naive"), headline="naive"
    )
    assert scenario_picture(grid, headline="naive") != scenario_picture(grid, headline="reconciled")
    assert band_picture(derived["band"], derived["levels"], headline="naive").startswith(PNG)


@pytest.mark.parametrize("draw", [strike_picture, lambda r: scenario_picture(r, headline="naive")])
def test_nothing_told_is_a_picture_that_says_so(draw):
    table = tables.DEALER_EXPOSURE if draw is strike_picture else tables.SCENARIO_GRID
    assert draw(table.schema.empty_table()).startswith(PNG)


def test_levels_by_model_are_a_table_with_one_line_each(derived):
    head, rule, *lines = models_markdown(derived["levels"]).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines] == list(MODELS)
    assert {line.count("|") for line in (head, rule, *lines)} == {head.count("|")}


def test_page_says_what_the_headline_tells_and_why_models_are_left_out(derived):
    shown = level_metadata(derived["levels"], headline="reconciled")
    own = alone(derived["levels"], "reconciled").to_pylist()[0]
    assert shown["net_gamma_usd_per_pct"] == own["net_gamma_exposure_usd_per_pct"]
    assert (
        "none by taker_flow" in level_metadata(derived["levels"], headline="taker_flow")["levels"]
    )
    said = models_metadata(
        ("naive", "taker_flow"), headline="naive", missing={"taker_flow": "no positions"}
    )
    assert said == {
        "model": "naive",
        "models": "naive",
        "models_left_out": "taker_flow: no positions",
    }
