"""Features of a poll: volume, reasons and vols, computed by hand."""

from datetime import UTC, date, datetime, timedelta

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from dealer_assets import tables
from dealer_assets.domain.anomaly.features import PollRows, contract_features
from dealer_assets.domain.anomaly.intervals import DELTA_COLUMNS, by_interval
from dealer_assets.domain.anomaly.polls import polls_of
from dealer_assets.domain.anomaly.reasons import SPOILT_BY, without_spoilt_interest
from dealer_assets.domain.anomaly.universe import universe_of
from dealer_assets.domain.history import volume_deltas
from dealer_assets.domain.invariants import INVARIANTS
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.pricing.slices import forwards_of
from dealer_assets.domain.surface.rows import surface_of
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain.synthetic import SESSION, chain, contract, quoted

OPEN = datetime(2025, 6, 10, 13, 30, tzinfo=UTC)
HALF = timedelta(minutes=30)
HOUR = timedelta(hours=1)
EVERYTHING = universe_of("any 0.1-3 0-4000d")
SPX = underlying("SPX")
CONTRACT = {"strike": 5400.0, "right": "put", "bid": 9.0, "ask": 11.0}


def instants(count):
    """09:30, then the full hours."""
    return [OPEN, *(OPEN + HALF + i * HOUR for i in range(count - 1))]


def snapshots(*volumes, at=None, **fields):
    """One put's snapshots with these counters; None: not told, "absent": not listed."""
    made = []
    for volume, instant in zip(volumes, at or instants(len(volumes)), strict=True):
        if volume != "absent":
            row = contract(**(CONTRACT | fields), volume_contracts=volume)
            made.append(chain([row], event_at=instant))
    return made


def features(chains, *, poll=-1, anomalies=(), usual=(), priced=True, universe=EVERYTHING, **more):
    """Features of one poll of a session of snapshots; the surface is left out."""
    of_session = pa.concat_tables(chains)
    found = polls_of("XNYS", SESSION, of_session["event_at"].to_pylist(), usual=usual)[poll]
    own = next(c for c in chains if c["event_at"][0].as_py() == found.at)
    greeks = price_chain(own, forwards_of(own, curve=None)) if priced else None
    rows = PollRows(
        chain=own,
        priced=tables.CONTRACT_GREEKS.schema.empty_table() if greeks is None else greeks,
        surface=tables.VOL_SURFACE.schema.empty_table(),
        anomalies=pa.Table.from_pylist(list(anomalies), schema=tables.DATA_ANOMALIES.schema),
        deltas=volume_deltas(of_session),
        **more,
    )
    return contract_features(rows, poll=found, universe=universe)


def row(*args, **more):
    return features(*args, **more).to_pylist()[0]


def anomaly(kind, *, action="flag", spoils=(), symbols=()):
    return {
        "underlying": "SPX", "session_date": SESSION, "event_at": OPEN, "known_at": OPEN,
        "kind": kind, "action": action, "scope": "contracts" if symbols else "snapshot",
        "contracts": 1, "share": 1.0, "symbols": list(symbols), "spoils": list(spoils),
        "source": "rows", "found": "x", "expected": "x", "words": "x",
    }  # fmt: skip


def volume(found):
    return found["volume_delta_contracts"], found["volume_contracts_netted"]


def test_volume_is_what_was_traded_since_the_poll_before():
    chains = snapshots(40.0, 100.0, 130.0)
    assert [volume(row(chains, poll=i)) for i in range(3)] == [
        (40.0, 40.0), (60.0, 60.0), (30.0, 30.0),
    ]  # fmt: skip
    assert row(chains)["session_volume_contracts"] == 130.0
    assert row(chains)["previous_at"] == OPEN + HALF


def test_snapshots_between_polls_count_into_the_next_one():
    at = [OPEN, OPEN + HALF, OPEN + HALF + timedelta(minutes=20), OPEN + HALF + HOUR]
    assert volume(row(snapshots(40.0, 100.0, 125.0, 160.0, at=at))) == (60.0, 60.0)


def test_correction_of_the_counter_trades_nothing_until_its_old_high():
    chains = snapshots(100.0, 90.0, 105.0)
    assert [volume(row(chains, poll=i))[0] for i in (1, 2)] == [0.0, 5.0]


def test_counter_that_begins_anew_is_shown_and_withheld():
    chains = snapshots(1000.0, 50.0, 80.0)
    began = row(chains, poll=1)
    assert volume(began) == (50.0, None)
    assert (began["withheld_reason"], began["unscored_reason"]) == ("reset", None)
    assert began["session_volume_contracts"] == 50.0
    after = row(chains, poll=2)
    assert volume(after) == (30.0, 30.0)
    assert after["withheld_reason"] is None
    assert after["session_volume_contracts"] == 80.0


def test_missing_poll_is_a_long_interval_whose_sums_are_withheld_where_hours_are_usual():
    at = [OPEN, OPEN + HALF, OPEN + HALF + 2 * HOUR]
    usual = tuple((slot, 1) for slot in range(9, 17))
    found = row(snapshots(10.0, 20.0, 50.0, at=at), usual=usual)
    assert found["interval_minutes"] == 120.0
    assert volume(found) == (30.0, None)
    assert found["withheld_reason"] == "long_interval"
    assert all(found[name] is None for name in tables.INTERVAL_FEATURES)
    assert found["spread_relative"] == pytest.approx(0.2)


def test_poll_told_twice_counts_once():
    chains = snapshots(40.0, 100.0)
    assert row([*chains, chains[1]]) == row(chains)


def test_volume_that_is_not_told_is_null_not_zero():
    found = row(snapshots(40.0, None))
    assert volume(found) == (None, None)
    assert found["premium_usd"] is None


def test_contract_listed_later_starts_with_its_whole_counter():
    other = contract(5500.0, "put", bid=9.0, ask=11.0, volume_contracts=0.0)
    first, second = instants(2)
    later = chain([contract(**CONTRACT, volume_contracts=7.0), other], event_at=second)
    found = features([chain([other], event_at=first), later]).to_pylist()
    assert [r["volume_delta_contracts"] for r in found] == [7.0, 0.0]


@pytest.mark.parametrize(
    ("day", "slots"),
    [(date(2026, 11, 27), (9, 13)), (date(2026, 10, 30), (9, 16)), (date(2026, 11, 2), (9, 16))],
)
def test_half_days_and_clock_changes_sum_up_the_whole_session(day, slots):
    hours = [datetime(day.year, day.month, day.day, h, 30, tzinfo=UTC) for h in range(13, 22)]
    expiry = date(2026, 12, 18)
    made = [
        chain([contract(**CONTRACT, expiry=expiry, volume_contracts=10.0 * i)], event_at=at)
        for i, at in enumerate(hours, 1)
    ]
    own = [c for c in made if c["session_date"][0].as_py() == day]
    whole = pa.concat_tables(own)
    polls = polls_of("XNYS", day, whole["event_at"].to_pylist())
    assert (polls[0].slot, polls[-1].slot) == slots
    total = 0.0
    for poll in polls:
        snapshot = next(c for c in own if c["event_at"][0].as_py() == poll.at)
        greeks = price_chain(snapshot, forwards_of(snapshot, curve=None))
        nothing = tables.VOL_SURFACE.schema.empty_table()
        wrong = tables.DATA_ANOMALIES.schema.empty_table()
        rows = PollRows(snapshot, greeks, nothing, wrong, volume_deltas(whole))
        found = contract_features(rows, poll=poll, universe=EVERYTHING).to_pylist()[0]
        total += found["volume_contracts_netted"]
    told = [c["volume_contracts"][0].as_py() for c in own]
    assert total == max(v for v, c in zip(told, own, strict=True) if _at(c) <= polls[-1].at)


def _at(snapshot):
    return snapshot["event_at"][0].as_py()


def test_premium_and_ratios_by_hand():
    found = row(snapshots(0.0, 50.0, open_interest_contracts=20.0))
    assert found["mid"] == 10.0
    assert found["spread_usd"] == 2.0
    assert found["premium_usd"] == 50.0 * 10.0 * 100.0
    assert found["volume_over_open_interest"] == 2.5
    assert found["open_probability"] == pytest.approx(1.0 - 20.0 / 50.0)
    assert found["moneyness"] == 0.9
    assert (found["moneyness_bucket"], found["dte_bucket"]) == ("0.900", "33-45")
    vega = found["vega_usd_per_vol_point"]
    assert found["vega_traded_usd_per_vol_point"] == pytest.approx(50.0 * vega * 100.0)
    assert found["premium_over_vega"] == pytest.approx(50.0 * 10.0 / vega)


def test_no_open_interest_counts_as_one_contract_and_unknown_stays_unknown():
    assert row(snapshots(0.0, 5.0, open_interest_contracts=0.0))["volume_over_open_interest"] == 5.0
    found = row(snapshots(0.0, 5.0, open_interest_contracts=None))
    assert found["volume_over_open_interest"] is None
    assert found["open_probability"] is None


def test_open_interest_change_needs_the_session_before_as_it_was_known():
    chains = snapshots(0.0, 5.0, open_interest_contracts=130.0)
    before = (
        chains[0]
        .select(["symbol", "known_at"])
        .append_column("open_interest_contracts", pa.array([100.0]))
    )
    assert row(chains)["open_interest_change_contracts"] is None
    assert row(chains, interest_before=before)["open_interest_change_contracts"] == 30.0
    late = pa.array([OPEN + 5 * HOUR], tables.INSTANT)
    later = before.set_column(1, "known_at", late)
    assert row(chains, interest_before=later)["open_interest_change_contracts"] is None


def test_blocked_snapshot_gives_no_rows():
    blocked = anomaly("wiped_open_interest", action="block", spoils=["open_interest"])
    assert features(snapshots(1.0, 2.0), anomalies=[blocked]).num_rows == 0


@pytest.mark.parametrize("reading", sorted(SPOILT_BY))
def test_spoilt_reading_takes_the_features_that_rest_on_it_and_no_others(reading):
    chains = snapshots(0.0, 50.0)
    clean = row(chains)
    kind = {"volume": "volume_wiped", "quotes": "no_quotes"}.get(reading, "shifted_open_interest")
    spoilt = row(chains, anomalies=[anomaly(kind, spoils=[reading])])
    gone = {n for n in tables.FEATURE_KINDS if clean[n] is not None and spoilt[n] is None}
    assert gone == {n for n in SPOILT_BY[reading] if clean[n] is not None}
    assert (spoilt["withheld_reason"], spoilt["unscored_reason"]) == (kind, None)


def test_contract_anomaly_touches_the_contracts_it_lists_only():
    both = [contract(s, "put", bid=9.0, ask=11.0, volume_contracts=5.0) for s in (5400.0, 5500.0)]
    made = [chain(both, event_at=OPEN)]
    wrong = anomaly("frozen_contracts", spoils=["quotes"], symbols=["SPXW250715P05400000"])
    found = features(made, anomalies=[wrong]).to_pylist()
    assert [r["withheld_reason"] for r in found] == ["frozen_contracts", None]
    assert [r["premium_usd"] is None for r in found] == [True, False]


def test_wrong_spot_takes_the_whole_row():
    wrong = anomaly("spot_disagrees", spoils=["spot", "quotes"])
    assert row(snapshots(1.0), anomalies=[wrong])["unscored_reason"] == "spot_disagrees"


@pytest.mark.parametrize("quote", [{"ask": None}, {"ask": 0.0, "bid": 0.0}, {"ask": 8.0}])
def test_contract_that_nobody_offers_is_not_scored(quote):
    found = row(snapshots(5.0, **quote), priced=False)
    assert found["unscored_reason"] == "no_quote"
    assert found["mid"] is None


def test_expired_contract_is_not_scored():
    found = row(
        snapshots(5.0, root="SPX", expiry=SESSION), priced=False  # settled at the open
    )  # fmt: skip
    assert found["unscored_reason"] == "expired"


def test_only_monitored_contracts_have_rows():
    strikes = (4700.0, 4800.0, 5700.0, 5800.0)
    both = [contract(s, r, bid=9.0, ask=11.0) for s in strikes for r in ("put", "call")]
    found = features([chain(both, event_at=OPEN)], universe=universe_of("put 0.80-0.95 20-45d"))
    assert found["strike"].to_pylist() == [4800.0, 5700.0]
    nothing = features([chain(both, event_at=OPEN)], universe=universe_of("put 0.1-0.2 0-1d"))
    assert nothing.schema == tables.CONTRACT_FEATURES.schema
    assert nothing.num_rows == 0


def test_what_comes_later_changes_nothing():
    chains = snapshots(40.0, 100.0, 90.0, 20.0, 300.0)
    for poll in range(5):
        assert row(chains, poll=poll) == row(chains[: poll + 1], poll=poll)


@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.integers(0, 300)), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    )
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_deltas_by_interval_say_the_same_as_those_of_every_snapshot(hours):
    at, told = [], []
    for start, counters in zip(instants(len(hours)), hours, strict=True):
        at += [start + i * timedelta(minutes=7) for i in range(len(counters))]
        told += [None if counter is None else float(counter) for counter in counters]
    chains = snapshots(*told, at=at)
    deltas = volume_deltas(pa.concat_tables(chains))
    polls = polls_of("XNYS", SESSION, at)
    summed = by_interval(deltas.select(DELTA_COLUMNS), polls)
    for poll in polls:
        own = next(c for c in chains if _at(c) == poll.at)
        greeks, nothing = (
            t.schema.empty_table() for t in (tables.CONTRACT_GREEKS, tables.VOL_SURFACE)
        )
        wrong = tables.DATA_ANOMALIES.schema.empty_table()
        one, other = (
            contract_features(
                PollRows(own, greeks, nothing, wrong, rows), poll=poll, universe=EVERYTHING
            ).drop_columns(["known_at"])
            for rows in (deltas, summed)
        )
        assert one == other


def test_row_is_dated_by_the_latest_of_what_it_was_read_from():
    early, late = snapshots(40.0, 100.0)
    place = early.schema.get_field_index("known_at")
    delayed = early.set_column(
        place, early.schema.field(place), pa.array([OPEN + 4 * HOUR], tables.INSTANT)
    )
    assert row([early, late])["known_at"] == OPEN + HALF
    assert row([delayed, late])["known_at"] == OPEN + 4 * HOUR


def smile(strike):
    return 0.18 + 0.9 * max(6000.0 - strike, 0.0) / 6000.0


def priced_smile(half_spreads=0.0, strikes=(5400.0,)):
    """A chain with some puts' quotes moved by so many half-spreads, priced and fitted anew."""
    rows = []
    for days in (21, 35, 63):
        expiry = SESSION + timedelta(days=days)
        rows += quoted(range(4800, 6600, 25), vol=smile, expiry=expiry, half_spread=0.4)
    for item in rows:
        if (
            item["strike"] in strikes
            and item["right"] == "put"
            and item["expiry_date"] == (SESSION + timedelta(days=35))
        ):
            item |= {
                "bid": item["bid"] + 0.4 * half_spreads,
                "ask": item["ask"] + 0.4 * half_spreads,
            }
    made = chain(rows, event_at=OPEN)
    greeks = price_chain(made, forwards_of(made, curve=None))
    surface = surface_of(made, greeks, tables.VOL_SURFACE.schema.empty_table())
    rows = PollRows(
        made, greeks, surface, tables.DATA_ANOMALIES.schema.empty_table(), volume_deltas(made)
    )
    [poll] = polls_of("XNYS", SESSION, [OPEN])
    return contract_features(rows, poll=poll, universe=universe_of("put 0.85-0.95 20-45d"))


def residual_of(found, strike):
    rows = found.to_pylist()
    expiry = SESSION + timedelta(days=35)
    return next(
        r["iv_residual_half_spreads"] for r in rows
        if r["strike"] == strike and r["expiry_date"] == expiry
    )  # fmt: skip


def test_three_half_spread_shock_is_seen_though_the_surface_is_fitted_through_it():
    calm, shocked = priced_smile(), priced_smile(3.0)
    assert residual_of(shocked, 5400.0) - residual_of(calm, 5400.0) == pytest.approx(3.0, abs=0.6)
    others = np.array(
        [r["iv_residual_half_spreads"] for r in shocked.to_pylist()
         if not (r["strike"] == 5400.0 and r["expiry_date"] == SESSION + timedelta(days=35))]
    )  # fmt: skip
    assert np.abs(others).max() < 1.0


def test_two_neighbours_that_are_shocked_together_are_both_seen():
    shocked = priced_smile(3.0, (5400.0, 5425.0))
    assert [residual_of(shocked, strike) for strike in (5400.0, 5425.0)] == pytest.approx(
        [3.0, 3.0], abs=1.0
    )


def test_calm_smile_has_residuals_of_less_than_half_a_half_spread():
    residuals = np.array(priced_smile()["iv_residual_half_spreads"].to_pylist(), np.float64)
    assert np.isfinite(residuals).all()
    assert np.abs(residuals).max() < 0.5


def test_checks_hold_of_features_and_notice_seeded_faults():
    judged = {i.name: i for i in INVARIANTS["contract_features"]}
    found = priced_smile()
    assert all(i.judge(found, SPX).holds for i in judged.values())
    traded = features(snapshots(0.0, 50.0))
    assert judged["features_follow_volume"].judge(traded, SPX).holds
    for name in ("premium_usd", "vega_traded_usd_per_vol_point", "volume_contracts_netted"):
        assert not judged["features_follow_volume"].judge(spoilt(traded, name, 1.0), SPX).holds
    late = spoilt(traded, "previous_at", traded["event_at"][0].as_py())
    assert not judged["nothing_from_later"].judge(late, SPX).holds
    none = spoilt(traded, "unscored_reason", "no_quote")
    verdict = judged["enough_is_scored"].judge(none, SPX)
    assert not verdict.holds
    assert "1 no_quote" in verdict.text


def spoilt(rows, name, value):
    return pa.Table.from_pylist([r | {name: value} for r in rows.to_pylist()], schema=rows.schema)


def test_open_interest_of_the_session_before_is_not_used_where_it_is_spoilt():
    [made] = snapshots(1.0)

    def kept(**more):
        wrong = [anomaly("wiped_open_interest", **more)]
        table = pa.Table.from_pylist(wrong, schema=tables.DATA_ANOMALIES.schema)
        return without_spoilt_interest(made, table).num_rows

    assert kept(spoils=["open_interest"]) == 0
    assert kept(spoils=["volume"]) == 1
    assert kept(spoils=["open_interest"], symbols=["another"]) == 1


def test_simulated_rows_say_so():
    chains = snapshots(1.0)
    assert row(chains, is_simulated=True)["is_simulated"]
    assert not row(chains)["is_simulated"]
