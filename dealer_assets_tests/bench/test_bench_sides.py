"""The race for sides, on a tape written by hand; nothing here asserts a time."""

import numpy as np
import pytest

from dealer_assets.domain.flow.classify import classify
from dealer_assets_tests.bench.peers import sides as peers
from dealer_assets_tests.bench.works import sides
from dealer_assets_tests.domain.test_classify import NO_SPOTS, quotes, trades
from dealer_assets_tests.labelled_tapes import PUT, LabelledTape

QUOTED = quotes((0, 4.0, 6.0, 3, 20))


@pytest.fixture
def found():
    other = {"symbol": PUT}
    made = trades(
        (1, 5.5), (2, 5.5), (3, 9.0, other), (4, 4.5), (5, 4.5, {"codes": "201"}), (6, 6.0),
    )  # fmt: skip
    return made, classify(made, QUOTED, NO_SPOTS)


def test_prices_before_and_after_are_the_contracts_own_that_differ_and_stand(found):
    laid_out = peers.prepared(found[1])
    nothing = np.nan
    # 4.5 was taken back: it is nobody's last or next price
    assert laid_out.lag == pytest.approx(
        [nothing, nothing, nothing, nothing, nothing, 5.5], nan_ok=True
    )
    assert laid_out.lead == pytest.approx(
        [6.0, 6.0, nothing, nothing, nothing, nothing], nan_ok=True
    )


def test_single_rules_tell_what_the_literature_says(found):
    laid_out = peers.prepared(found[1])
    assert peers.quote_rule(laid_out).tolist() == [1, 1, 0, -1, -1, 1]
    assert peers.size_rule(laid_out)[:2].tolist() == [1, 1]
    assert peers.depth_everywhere(laid_out)[[0, 2]].tolist() == [1, 0]
    assert peers.tick_rule(laid_out)[-1] == 1
    assert peers.reverse_tick_rule(laid_out)[0] == -1


def test_print_without_a_side_is_half_right(found):
    made, classified = found
    truth = np.array([True, True, True, False, False, False])
    tape = LabelledTape(made, QUOTED, NO_SPOTS, truth)
    run = sides._Run("by hand", tape, sides.BatchOptions(), classified)
    judged = run.judge(np.array([1.0, -1.0, 0.0, 1.0, 1.0, 1.0]))
    assert judged.whole == judged.book == (1.0 + 0.0 + 0.5 + 0.0) / 4
    assert judged.of_signed == pytest.approx(1 / 3)
    assert judged.signed == 0.75
