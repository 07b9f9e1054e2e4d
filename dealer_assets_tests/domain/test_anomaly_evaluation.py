"""Anomalies put in, the plain rule, confirmation by open interest, and the counting of all."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from dealer_assets import tables
from dealer_assets.domain.anomaly.confirmation import confirmed
from dealer_assets.domain.anomaly.evaluation import Evaluated, Judged, evaluate
from dealer_assets.domain.anomaly.injection import INJECTIONS, Injection, inject
from dealer_assets.domain.anomaly.plain_rule import fit_plain, plain_z
from dealer_assets.domain.columns import floats
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.errors import BadInputError
from dealer_assets.lake.conformity import conform
from dealer_assets.tables.features import feature_names
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.evaluation_rows import evaluation, told
from dealer_assets_tests.live_rows import DAY, clock, row

OPEN = clock("14:30:00")


def contract(number: int, poll: int = 0, **values):
    """One contract at one poll: everything that can be known of it is."""
    usual = {
        "at": OPEN + timedelta(hours=poll),
        "symbol": f"SPXW261218P{(4000 + 5 * number) * 1000:08d}",
        "is_simulated": True,
        "slot": 9 + poll,
        "moneyness_bucket": "0.850",
        "dte_bucket": "20-32",
        "multiplier": 100.0,
        "mid": 10.0,
        "spread_usd": 0.4,
        "implied_vol": 0.2,
        "surface_vol": 0.2,
        "vega_usd_per_vol_point": 5.0,
        "open_interest_contracts": 1000.0,
        "volume_delta_contracts": 100.0,
        "session_volume_contracts": 100.0,
        "package_contracts": 0.0,
        "volume_contracts_netted": 100.0,
        "premium_usd": 100_000.0,
        "vega_traded_usd_per_vol_point": 50_000.0,
        "premium_over_vega": 200.0,
        "volume_over_open_interest": 0.1,
        "open_interest_change_contracts": 20.0,
        "iv_residual_half_spreads": 0.5,
        "spread_relative": 0.04,
        "open_probability": 0.0,
        "flow_imbalance": 0.0,
        "sweep_share": 0.1,
        "burst_share": 0.1,
        "unscored_reason": None,
        "withheld_reason": None,
    }
    return row(tables.CONTRACT_FEATURES, **{**usual, **values})


def session(*rows) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=tables.CONTRACT_FEATURES.schema)


@pytest.fixture
def polls() -> pa.Table:
    """A hundred contracts at three polls, all alike."""
    return session(*(contract(i, p) for p in range(3) for i in range(100)))


def only(rows: pa.Table, chosen) -> dict:
    return rows.filter(pa.array(chosen)).to_pylist()[0]


def test_two_per_cent_of_every_poll_are_chosen_and_no_contract_twice(polls):
    put = inject(polls, Injection("volume", 10.0), seed=1)
    chosen = put.rows.filter(pa.array(put.chosen))
    assert np.bincount(np.flatnonzero(put.chosen) // 100).tolist() == [2, 2, 2]
    assert len(set(chosen["symbol"].to_pylist())) == 6


def test_the_same_seed_chooses_the_same_and_another_one_others(polls):
    one, same, other = (inject(polls, Injection("volume", 10.0), seed=s) for s in (1, 1, 2))
    assert (one.chosen == same.chosen).all()
    assert one.rows.equals(same.rows)
    assert (one.chosen != other.chosen).any()


def test_rows_that_are_not_chosen_stay_as_they_are_and_all_rows_conform(polls):
    for injection in INJECTIONS:
        put = inject(polls, injection, seed=3)
        rest = pa.array(~put.chosen)
        assert put.rows.filter(rest).equals(polls.filter(rest))
        conform(tables.CONTRACT_FEATURES, put.rows, underlying="SPX", session_date=DAY)


def test_ten_times_the_volume_is_ten_times_premium_vega_and_share_of_open_interest(polls):
    put = inject(polls, Injection("volume", 10.0), seed=1)
    found = only(put.rows, put.chosen)
    assert found["volume_contracts_netted"] == 1000.0
    assert found["volume_delta_contracts"] == 1000.0
    assert found["session_volume_contracts"] == 1000.0
    assert found["premium_usd"] == 1_000_000.0
    assert found["vega_traded_usd_per_vol_point"] == 500_000.0
    assert found["premium_over_vega"] == 2000.0
    assert found["volume_over_open_interest"] == 1.0
    assert found["open_probability"] == 0.0
    assert found["iv_residual_half_spreads"] == 0.5


def test_more_volume_than_open_interest_is_a_share_that_must_have_opened(polls):
    put = inject(polls, Injection("volume", 30.0), seed=1)
    assert only(put.rows, put.chosen)["open_probability"] == pytest.approx(1 - 1000 / 3000)


def test_a_vol_shock_moves_mid_premium_vol_and_residual_together_both_ways(polls):
    put = inject(polls, Injection("iv", 3.0), seed=1)
    up, down = put.rows.filter(pa.array(put.chosen)).to_pylist()[:2]
    assert up["mid"] == pytest.approx(10.6)
    assert up["iv_residual_half_spreads"] == pytest.approx(3.5)
    assert up["implied_vol"] == pytest.approx(0.2 + 0.01 * 0.6 / 5.0)
    assert up["premium_usd"] == pytest.approx(106_000.0)
    assert up["spread_relative"] == pytest.approx(0.4 / 10.6)
    assert down["mid"] == pytest.approx(9.4)
    assert down["iv_residual_half_spreads"] == pytest.approx(-2.5)


def test_a_vol_shock_never_takes_a_bid_below_zero():
    cheap = session(*(contract(i, mid=0.3, spread_usd=0.2) for i in range(100)))
    put = inject(cheap, Injection("iv", 5.0), seed=1)
    assert floats(put.rows, "mid")[put.chosen].tolist() == pytest.approx([0.8, 0.8])


def test_quotes_do_not_widen_beyond_a_bid_of_zero():
    wide = session(contract(0, spread_relative=0.5), contract(1))
    put = inject(wide, Injection("spread", 5.0), seed=1)
    assert put.chosen.tolist() == [False, True]
    found = only(put.rows, put.chosen)
    assert found["spread_relative"] == pytest.approx(0.2)
    assert found["iv_residual_half_spreads"] == pytest.approx(0.1)


def test_a_jump_of_open_interest_is_its_change_and_thins_volume_over_it(polls):
    put = inject(polls, Injection("open_interest", 0.5), seed=1)
    found = only(put.rows, put.chosen)
    assert found["open_interest_contracts"] == 1500.0
    assert found["open_interest_change_contracts"] == 520.0
    assert found["volume_over_open_interest"] == pytest.approx(100 / 1500)


def test_a_sweep_needs_a_tape():
    silent = session(*(contract(i, sweep_share=None) for i in range(100)))
    assert not inject(silent, Injection("sweep", 10.0), seed=1).chosen.any()


def test_a_sweep_is_volume_on_one_side_at_once(polls):
    put = inject(polls, Injection("sweep", 10.0), seed=1)
    found = only(put.rows, put.chosen)
    assert (found["sweep_share"], found["burst_share"], found["flow_imbalance"]) == (0.9, 0.9, 0.9)
    assert found["volume_contracts_netted"] == 1000.0


def test_volume_is_put_only_where_a_contract_trades_and_is_scored():
    rows = session(
        contract(0, volume_contracts_netted=9.0),
        contract(1, volume_contracts_netted=None),
        contract(2, unscored_reason="no_quote"),
        contract(3),
    )
    assert inject(rows, Injection("volume", 3.0), seed=1).chosen.tolist() == [False] * 3 + [True]


@pytest.mark.parametrize("wrong", [Injection("none", 1.0), Injection("volume", 0.0)])
def test_an_injection_of_nothing_known_is_refused(polls, wrong):
    with pytest.raises(BadInputError, match="expected an injection of volume"):
        inject(polls, wrong, seed=1)


def test_plain_z_is_the_largest_over_features_on_the_log_scale():
    quiet = [contract(i, volume_contracts_netted=np.expm1(v)) for i, v in enumerate((1.0, 3.0))]
    rule = fit_plain(session(*quiet))
    loud = session(
        contract(5, volume_contracts_netted=float(np.expm1(6.0))),
        contract(6, volume_contracts_netted=None),
        contract(7, unscored_reason="no_quote"),
    )
    # mean 2, deviation 1; every other feature stands still in the history and tells nothing
    assert plain_z(rule, loud)[0] == pytest.approx(4.0)
    assert np.isnan(plain_z(rule, loud)[1:]).all()


def test_plain_rule_counts_low_values_of_two_sided_features_only():
    history = session(
        *(
            contract(i, iv_residual_half_spreads=v, volume_contracts_netted=float(np.expm1(2 + v)))
            for i, v in enumerate((-1.0, 1.0))
        )
    )
    low = session(
        contract(3, iv_residual_half_spreads=-5.0, volume_contracts_netted=float(np.expm1(2.0))),
        contract(4, iv_residual_half_spreads=0.0, volume_contracts_netted=0.0),
    )
    assert plain_z(fit_plain(history), low) == pytest.approx([5.0, 0.0])


def test_plain_rule_without_history_says_nothing(polls):
    rule = fit_plain(polls.slice(0, 0))
    assert np.isnan(plain_z(rule, polls)).all()


def test_a_flagged_contract_is_confirmed_beside_its_like():
    rows = session(
        contract(0, volume_contracts_netted=400.0, open_interest_contracts=1000.0),
        contract(1, open_interest_contracts=1010.0),
        contract(2, open_interest_contracts=9000.0),
    )
    symbols = rows["symbol"].to_pylist()
    flagged = np.array([True, False, False])
    after = dict(zip(symbols, (1100.0, 1109.0, 9999.0), strict=True))
    rose = confirmed(rows, flagged, after)
    # a quarter of 400 is 100: it rose by 100; its like, the nearest in open interest, by 99
    assert (rose.pairs, rose.flagged, rose.matched) == (1, 1, 0)


def test_a_contract_counts_once_and_one_that_is_gone_not_at_all():
    rows = session(
        contract(0, 0), contract(0, 1, volume_contracts_netted=4000.0), contract(1, 0),
        contract(1, 1), contract(2, 0), contract(2, 1),
    )  # fmt: skip
    flagged = np.array([True, True, True, False, False, False])
    names = rows["symbol"].to_pylist()
    after = {names[0]: 1500.0, names[4]: 1000.0}
    rose = confirmed(rows, flagged, after)
    # of its two polls the larger counts, and 500 is less than a quarter of 4,000
    assert (rose.pairs, rose.flagged, rose.matched) == (1, 0, 0)


def volume_above(limit: float):
    def judge(rows: pa.Table) -> Judged:
        volume = floats(rows, "volume_contracts_netted")
        alert = volume > limit
        return Judged(alert, volume, tuple("severe" if a else "none" for a in alert))

    return judge


def evaluated(rows: pa.Table, *, limit: float, injections, after=None) -> dict:
    done = evaluate(
        Evaluated(rows, {"own": volume_above(limit)}, 60, 1, after or {}), injections=injections
    )
    conform(tables.ANOMALY_EVALUATION, done, underlying="SPX", session_date=DAY)
    key = ("measure", "injected_kind", "slot", "severity")
    return {
        tuple(r[k] for k in key): (r["hits"], r["trials"], r["value"]) for r in done.to_pylist()
    }


def test_recall_precision_and_false_discoveries_are_counted_by_hand(polls):
    # one contract is loud in the first poll as it stands: false wherever it is found
    loud = session(contract(0, volume_contracts_netted=5000.0), *polls.to_pylist()[1:])
    found = evaluated(loud, limit=900.0, injections=[Injection("volume", 10.0)])
    whole = (tables.ALL_SLOTS, "any")
    assert found[("recall", "volume", *whole)] == (6.0, 6.0, 1.0)
    precise = found[("precision", "volume", *whole)]
    assert precise[0] == 6.0
    assert precise[1] in (6.0, 7.0)  # the loud one may itself have been chosen
    assert found[("any_false_discovery", "none", *whole)] == (1.0, 3.0, pytest.approx(1 / 3))
    assert found[("alert_rate", "none", *whole)] == (1.0, 300.0, pytest.approx(1 / 300))
    assert found[("alert_rate", "none", 9, "any")] == (1.0, 100.0, 0.01)
    assert found[("alert_rate", "none", 10, "any")] == (0.0, 100.0, 0.0)
    assert found[("alert_rate", "none", tables.ALL_SLOTS, "severe")][0] == 1.0
    assert found[("alert_rate", "none", tables.ALL_SLOTS, "notice")][0] == 0.0


def test_the_false_share_is_a_mean_over_snapshots(polls):
    loud = [contract(i, volume_contracts_netted=5000.0) for i in (90, 91)]
    rows = session(*polls.to_pylist()[:90], *loud, *polls.to_pylist()[92:])
    found = evaluated(rows, limit=900.0, injections=[Injection("iv", 3.0)])
    # nothing of a vol shock is found by volume: two discoveries in one of three polls, all false
    # unless the shock happened to be put there
    assert found[("false_discovery", "iv", tables.ALL_SLOTS, "any")][1] == 3.0
    assert found[("false_discovery", "iv", tables.ALL_SLOTS, "any")][0] in (0.5, 1.0)


def test_recall_at_a_fixed_alert_rate_does_not_know_the_methods_own_threshold(polls):
    found = evaluated(polls, limit=1e9, injections=[Injection("volume", 3.0)])
    whole = (tables.ALL_SLOTS, "any")
    assert found[("recall", "volume", *whole)][2] == 0.0
    assert found[("recall_at_alert_rate", "volume", *whole)][2] == 1.0


def test_the_next_mornings_counts_date_the_rows(polls):
    later = clock("10:00:00", date(2026, 11, 23))
    what = Evaluated(polls, {"own": volume_above(50.0)}, 60, 1, {}, later)
    assert set(evaluate(what, injections=()).column("known_at").to_pylist()) == {later}
    without = Evaluated(polls, {"own": volume_above(50.0)}, 60, 1)
    assert evaluate(without, injections=())["known_at"][0].as_py() == OPEN + timedelta(hours=2)


def test_a_method_without_trials_has_no_value():
    silent = session(contract(0, volume_contracts_netted=None))
    found = evaluated(silent, limit=0.0, injections=())
    assert found[("alert_rate", "none", tables.ALL_SLOTS, "any")] == (0.0, 0.0, None)


def test_no_features_no_rows(polls):
    assert evaluate(Evaluated(polls.slice(0, 0), {}, 0, 1)).num_rows == 0


def test_evaluating_twice_gives_the_same_rows(polls):
    what = Evaluated(polls, {"own": volume_above(900.0)}, 60, 7)
    assert evaluate(what).equals(evaluate(what))


def check(name: str):
    found = {i.name: i for i in INVARIANTS[tables.ANOMALY_EVALUATION.name]}
    return lambda rows: found[name].judge(rows, underlying("SPX"))


def test_false_discoveries_within_chance_of_the_target_pass_and_more_warn():
    judge = check("false_discovery_within_target")
    assert judge(evaluation(told(hits=0.0, value=0.0))).holds
    assert judge(evaluation(told(hits=2.0, value=0.25))).holds  # 2 of 8 happen in one day of ten
    assert not judge(evaluation(told(hits=4.0, value=0.5))).holds
    assert judge(evaluation(told(hits=4.0, value=0.5, method="plain_z3"))).holds
    assert judge(evaluation(told(hits=4.0, value=0.5, is_null_known=False))).holds


def test_values_are_hits_over_trials():
    judge = check("shares_add_up")
    assert judge(evaluation(told(hits=2.0, value=0.25))).holds
    assert not judge(evaluation(told(hits=2.0, value=0.5))).holds
    assert not judge(evaluation(told(hits=9.0, value=9 / 8))).holds
    assert not judge(evaluation(told(hits=0.0, trials=0.0, value=0.0))).holds


@pytest.mark.parametrize("name", feature_names)
def test_every_feature_is_read_by_the_plain_rule(name):
    kept = dict.fromkeys(feature_names)
    history = session(*(contract(i, **{**kept, name: float(i)}) for i in range(3)))
    assert np.isfinite(plain_z(fit_plain(history), history)).all()
