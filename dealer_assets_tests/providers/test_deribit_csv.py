"""Deribit option chains in their two recorded CSV layouts."""

import gzip
import math
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm

from dealer_assets.domain.instruments import parse_deribit
from dealer_assets.domain.sessions import expiry_instant, year_fraction
from dealer_assets.errors import BadInputError, UnknownUnderlyingError
from dealer_assets.providers import deribit_csv
from dealer_assets.providers.assembly import assemble

SNAPSHOT = (
    "timestamp,instrument_name,underlying,option_type,strike,expiry_datetime,bid_price,ask_price,"
    "implied_volatility,delta,vega,open_interest,volume,currency,index_price\n"
)
GREEKS = (
    "instrument_name,expiry_name,expiry_date,strike,type,volume,open_interest,rho,theta,vega,"
    "gamma,delta,bid_iv,ask_iv,mark_iv\n"
)


def polled(name="BTC-26MAR27-60000-C", **changes):
    cells = {
        "timestamp": "2026-04-13T05:31:32.918885+00:00",
        "instrument_name": name,
        "underlying": "72000",
        "option_type": "call",
        "strike": "60000",
        "expiry_datetime": "2027-03-26T08:00:00+00:00",
        "bid_price": "0.25",
        "ask_price": "0.26",
        "implied_volatility": "0.5",
        "delta": "0.74",
        "vega": "230",
        "open_interest": "2.1",
        "volume": "0.5",
        "currency": name[:3],
        "index_price": "70820",
    }
    return ",".join((cells | changes).values()) + "\n"


def greeks_row(at, *, days_of_march=13, strike=70_000, forward=71_000.0, vol=0.5):
    """One contract with Deribit's printed Greeks, computed here from Black-76 without rates."""
    expires_at = datetime(2026, 3, days_of_march, 8, tzinfo=UTC)
    years = (expires_at - at).total_seconds() / (365 * 86_400)
    spread = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / spread + spread / 2
    vega = forward * norm.pdf(d1) * math.sqrt(years) / 100
    theta = -forward * norm.pdf(d1) * vol / (2 * math.sqrt(years) * 365)
    name = f"{days_of_march}MAR26"
    return (
        f"BTC-{name}-{strike}-C,{name},2026-03-{days_of_march:02d},{strike}.0,call,1.5,20.5,1.0,"
        f"{theta:.5f},{vega:.5f},0.00003,0.55,{vol * 100 - 1},{vol * 100 + 1},{vol * 100}\n"
    )


def parse(text):
    return deribit_csv.parse(text.encode(), name="deribit.csv", sha256="0" * 64)


def codes(raw):
    return [code for code, _ in raw.notes]


# --- options snapshot -------------------------------------------------------------------------


def test_snapshot_converts_coin_prices_by_each_rows_own_forward():
    (raw,) = parse(SNAPSHOT + polled() + polled("BTC-17APR26-70000-C", underlying="70800"))
    np.testing.assert_allclose(raw.floats["bid"], [0.25 * 72_000, 0.25 * 70_800])
    np.testing.assert_allclose(raw.floats["ask"], [0.26 * 72_000, 0.26 * 70_800])
    np.testing.assert_array_equal(raw.floats["venue_forward"], [72_000.0, 70_800.0])
    assert codes(raw) == []


def test_snapshot_prices_obey_black_76_bounds_with_the_venue_forward():
    (raw,) = parse(SNAPSHOT + polled(bid_price="0.1667", ask_price="0.9"))
    intrinsic = raw.floats["venue_forward"][0] - 60_000.0
    assert intrinsic <= raw.floats["bid"][0] + 5.0
    assert raw.floats["ask"][0] < raw.floats["venue_forward"][0]


def test_snapshot_vols_are_decimal_already_and_open_interest_is_in_contracts():
    (raw,) = parse(SNAPSHOT + polled())
    assert raw.floats["vendor_implied_vol"][0] == 0.5
    assert raw.floats["open_interest_contracts"][0] == 2.1
    # the last 24 hours' volume is no session's
    assert "volume_contracts" not in raw.floats
    assert raw.claimed_underlying == "BTC"
    assert raw.spot == 70_820.0
    assert raw.quoted_at == datetime(2026, 4, 13, 5, 31, 32, 918885, tzinfo=UTC)
    assert raw.downloaded_at == raw.quoted_at


def test_snapshot_side_without_order_has_price_zero():
    (raw,) = parse(SNAPSHOT + polled(bid_price=""))
    assert raw.floats["bid"][0] == 0.0
    assert raw.floats["ask"][0] > 0.0


def test_snapshot_row_without_forward_loses_its_prices_with_finding():
    (raw,) = parse(SNAPSHOT + polled(underlying="") + polled("BTC-17APR26-70000-C"))
    np.testing.assert_array_equal(np.isnan(raw.floats["bid"]), [True, False])
    assert codes(raw) == ["forward_missing"]


def test_other_currencies_are_left_out_with_finding():
    (raw,) = parse(SNAPSHOT + polled("ETH-26JUN26-4500-C") + polled())
    assert raw.symbols == ["BTC-26MAR27-60000-C"]
    assert raw.row_numbers.tolist() == [3]
    assert raw.notes == (
        (
            "other_currencies_excluded",
            "rows of currencies without registry entry left out: 1 of ETH",
        ),
    )


def test_linear_options_are_left_out_with_finding():
    (raw,) = parse(SNAPSHOT + polled("BTC_USDC-26MAR27-60000-C", bid_price="1300") + polled())
    assert raw.symbols == ["BTC-26MAR27-60000-C"]
    assert codes(raw) == ["linear_rows_excluded"]


# --- Greeks snapshot --------------------------------------------------------------------------

AT = datetime(2026, 3, 5, 19, 52, tzinfo=UTC)


def greeks_file(at=AT, header=GREEKS, prefix="", count=12):
    rows = (
        greeks_row(at, strike=65_000 + 1000 * i, days_of_march=13 + i % 2) for i in range(count)
    )
    return header + "".join(prefix + row for row in rows)


def test_greeks_snapshot_fills_vols_and_open_interest_but_no_prices():
    (raw,) = parse(greeks_file())
    assert "bid" not in raw.floats
    assert "ask" not in raw.floats
    np.testing.assert_allclose(raw.floats["vendor_implied_vol"], 0.5)
    np.testing.assert_array_equal(raw.floats["open_interest_contracts"], np.full(12, 20.5))
    assert raw.spot is None
    assert "no_prices" in codes(raw)


@pytest.mark.parametrize("at", [AT, AT + timedelta(hours=9, minutes=7)])
def test_greeks_snapshot_instant_is_recovered_to_the_minute(at):
    (raw,) = parse(greeks_file(at))
    assert raw.quoted_at == at
    assert codes(raw) == ["quoted_at_from_greeks", "no_prices"]


def test_greeks_snapshot_hour_label_yields_to_the_greeks():
    label = "2026-03-05T19:00:00.000000,"
    (raw,) = parse(greeks_file(header="date," + GREEKS, prefix=label))
    assert raw.quoted_at == AT
    assert "2026-03-05 19:00 UTC" in dict(raw.notes)["quoted_at_from_greeks"]


def test_greeks_snapshot_hour_label_serves_when_the_greeks_are_too_few():
    label = "2026-03-05T19:00:00.000000,"
    (raw,) = parse(greeks_file(header="date," + GREEKS, prefix=label, count=3))
    assert raw.quoted_at == datetime(2026, 3, 5, 19, tzinfo=UTC)


def test_greeks_snapshot_without_clock_or_enough_greeks_leaves_the_instant_unknown():
    (raw,) = parse(greeks_file(count=3))
    assert raw.quoted_at is None


def test_greeks_snapshot_of_disagreeing_instants_leaves_the_instant_unknown():
    mixed = greeks_file(count=8) + greeks_file(AT + timedelta(hours=5), header="", count=8)
    (raw,) = parse(mixed)
    assert raw.quoted_at is None


def test_greeks_file_of_several_hours_is_refused_with_a_remedy():
    first = greeks_file(header="date," + GREEKS, prefix="2026-03-05T19:00:00.000000,")
    text = first + greeks_file(header="", prefix="2026-03-05T20:00:00.000000,")
    with pytest.raises(BadInputError, match="split the file"):
        parse(text)


# --- refusals ---------------------------------------------------------------------------------

BROKEN = {
    "empty": ("", "column|empty"),
    "html": ("<html>", "HTML"),
    "no rows": (SNAPSHOT, "found none"),
    "snapshot column": (SNAPSHOT.replace("open_interest", "oi") + polled(), "'open_interest'"),
    "greeks column": (greeks_file().replace("theta", "decay"), "'theta'"),
    "text for a number": (SNAPSHOT + polled(bid_price="-"), "'bid_price' on line 2"),
    "number overflows": (SNAPSHOT + polled(underlying="1e300"), "'underlying'"),
    "no instant": (SNAPSHOT + polled(timestamp="now"), "'timestamp' on line 2"),
    "cut-off row": (SNAPSHOT + polled() + polled()[:60], "on line 3"),
}


@pytest.mark.parametrize(("text", "named"), BROKEN.values(), ids=BROKEN.keys())
def test_parse_refuses_a_broken_file_naming_file_and_column(text, named):
    with pytest.raises(BadInputError, match=named) as refusal:
        parse(text)
    assert "deribit.csv" in str(refusal.value)


@pytest.mark.parametrize("symbol", ["ETH-26MAR27-2500-P", "BTC_USDC-26MAR27-60000-P", "nonsense"])
def test_parse_refuses_a_file_without_a_registered_currency(symbol):
    with pytest.raises(UnknownUnderlyingError, match="coin-margined Deribit options of BTC"):
        parse(SNAPSHOT + polled(symbol))


@pytest.mark.parametrize("text", [SNAPSHOT, GREEKS, "date," + GREEKS, "\ufeff" + GREEKS])
def test_sniff_recognises_every_layout(text):
    assert deribit_csv.sniff(text.encode(), "x")


def test_sniff_leaves_other_formats_alone():
    assert not deribit_csv.sniff(b"contractSymbol,type,lastTradeDate\n", "x")
    assert not deribit_csv.sniff(b"underlying,underlying_last, exchange,optionroot\n", "x")
    tardis = b"exchange,symbol,timestamp,local_timestamp,mark_iv,underlying_price\n"
    assert not deribit_csv.sniff(tardis, "x")


@pytest.mark.parametrize("start", ["", " \n", "\ufeff", "[", "\ufeff[ "])
def test_sniff_leaves_the_apis_own_json_alone(start):
    answer = '{"instrument_name":"BTC-26MAR27-60000-C","index_price":1,"mark_iv":50}'
    assert not deribit_csv.sniff((start + answer).encode(), "x")


# --- recorded files ---------------------------------------------------------------------------


def recorded(path):
    payload = path.read_bytes()
    payload = gzip.decompress(payload) if path.suffix == ".gz" else payload
    assert deribit_csv.sniff(payload[:4096], path.name)
    (raw,) = deribit_csv.parse(payload, name=path.name, sha256="")
    return raw


@pytest.mark.parametrize(
    ("stem", "rows", "others", "spot", "quoted_at"),
    [
        ("20251230T173115Z", 630, 674, 88_524.21, "2025-12-30T17:31:15.944181"),
        ("20260413T053132Z", 880, 756, 70_806.90, "2026-04-13T05:31:32.918885"),
    ],
)
def test_recorded_snapshots_parse_to_dollar_chains(
    shared_data, stem, rows, others, spot, quoted_at
):
    raw = recorded(shared_data / "raw_formats" / f"deribit_options_snapshot_{stem}.csv.gz")
    assert len(raw.symbols) == rows
    assert f"{others} of ETH" in dict(raw.notes)["other_currencies_excluded"]
    assert raw.spot == pytest.approx(spot, abs=0.01)
    assert raw.quoted_at == datetime.fromisoformat(quoted_at).replace(tzinfo=UTC)
    assert (raw.floats["ask"] >= raw.floats["bid"])[raw.floats["ask"] > 0].all()


def test_recorded_snapshot_prices_reproduce_the_vendors_vols_under_black_76(shared_data):
    path = shared_data / "raw_formats" / "deribit_options_snapshot_20260413T053132Z.csv.gz"
    raw = recorded(path)
    contracts = [parse_deribit(symbol) for symbol in raw.symbols]
    strikes = np.array([c.strike for c in contracts])
    sign = np.array([1.0 if c.right == "call" else -1.0 for c in contracts])
    expiries = [expiry_instant("twap", "24/7", c.expiry_date) for c in contracts]
    years = np.array([year_fraction(raw.quoted_at, instant) for instant in expiries])
    forward, vol = raw.floats["venue_forward"], raw.floats["vendor_implied_vol"]
    spread = vol * np.sqrt(years)
    d1 = np.log(forward / strikes) / spread + spread / 2
    value = sign * (forward * norm.cdf(sign * d1) - strikes * norm.cdf(sign * (d1 - spread)))
    quoted = (raw.floats["bid"] > 0) & (np.abs(np.log(strikes / forward)) < 0.15) & (years > 0.02)
    inside = (value >= raw.floats["bid"] - 1.0) & (value <= raw.floats["ask"] + 1.0)
    assert np.count_nonzero(quoted) > 200
    assert inside[quoted].mean() > 0.95


def test_recorded_greeks_snapshot_is_dated_before_its_first_expiry(shared_data):
    raw = recorded(shared_data / "deribit" / "r1quant_BTC_one_snapshot.csv.gz")
    assert len(raw.symbols) == 1016
    assert raw.quoted_at == datetime(2026, 3, 5, 19, 52, tzinfo=UTC)
    assert raw.floats["open_interest_contracts"].sum() == pytest.approx(475_142, abs=1.0)
    assert codes(raw) == ["quoted_at_from_greeks", "no_prices"]


ASSEMBLED = {
    "raw_formats/deribit_options_snapshot_20251230T173115Z.csv.gz": date(2025, 12, 30),
    "raw_formats/deribit_options_snapshot_20260413T053132Z.csv.gz": date(2026, 4, 13),
    "deribit/r1quant_BTC_one_snapshot.csv.gz": date(2026, 3, 5),
}


@pytest.mark.parametrize(("path", "session"), ASSEMBLED.items())
def test_recorded_chains_assemble_without_a_rejected_row(shared_data, path, session):
    raw = recorded(shared_data / path)
    snapshot = assemble(raw)
    assert (snapshot.underlying, snapshot.session_date) == ("BTC", session)
    assert snapshot.event_at == raw.quoted_at
    assert (snapshot.rows.num_rows, snapshot.rejected.num_rows) == (len(raw.symbols), 0)


# --- fuzz -------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_parse_of_random_bytes_raises_nothing_but_bad_input(payload):
    with pytest.raises(BadInputError):
        deribit_csv.parse(payload, name="deribit.csv", sha256="")


CELLS = st.text(max_size=12) | st.floats().map(str) | st.integers().map(str)
LAYOUTS = {
    "snapshot": (SNAPSHOT, [polled(), polled("BTC-17APR26-70000-C")]),
    "greeks": (GREEKS, greeks_file().splitlines(keepends=True)[1:]),
}


@pytest.mark.parametrize(("header", "rows"), LAYOUTS.values(), ids=LAYOUTS.keys())
@settings(max_examples=200, deadline=None)
@given(cell=CELLS, position=st.integers(0, 13))
def test_parse_of_a_mutated_cell_raises_nothing_but_bad_input(header, rows, cell, position):
    cells = rows[0].split(",")
    cells[position] = cell
    found = []
    with suppress(BadInputError):
        found = parse(header + ",".join(cells) + "".join(rows[1:]))
    assert all(len(raw.symbols) == raw.row_numbers.size for raw in found)
