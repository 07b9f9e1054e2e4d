"""The simulated tape: prints that add up to the chain's volumes, quotes, bars, and the rest."""

import hashlib
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.providers.simulator.prints import CANCELS
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.underlyings import underlying

PROVIDER = SimulatorProvider(density=0.02)
DAY = date(2026, 11, 18)
# few trades a day: an index with both roots, a share, a coin, an index with two morning roots
RUT, CLX, BTC, VIX = (underlying(symbol) for symbol in ("RUT", "CLX", "BTC", "VIX"))
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def rut_trades():
    return PROVIDER.trades(RUT, session_date=DAY).rows


@pytest.fixture(scope="module")
def btc_trades():
    return PROVIDER.trades(BTC, session_date=DAY).rows


def assert_conforms(records, table):
    rows = records.rows
    assert records.table is table
    assert rows.schema == table.schema
    assert rows.num_rows > 0
    assert len(records.source_sha256) == 64
    for entry in table.columns:
        values = rows[entry.name]
        assert entry.nullable or values.null_count == 0, entry.name
        if entry.allowed:
            assert set(pc.unique(values.drop_null()).to_pylist()) <= set(entry.allowed)
        if pa.types.is_floating(entry.type):
            assert not pc.any(pc.is_nan(values)).as_py(), entry.name
        if entry.lower is not None and values.null_count < rows.num_rows:
            assert pc.min(values).as_py() >= entry.lower, entry.name
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in table.key])
    assert (order.to_numpy() == np.arange(rows.num_rows)).all()
    keys = rows.select(table.key).group_by(list(table.key)).aggregate([])
    assert keys.num_rows == rows.num_rows
    assert pc.all(pc.greater(rows["known_at"], rows["event_at"])).as_py()


def micros(rows, name="event_at"):
    return rows[name].cast(pa.int64()).to_numpy()


def net_of_cancels(rows):
    """Drop every cancel and the latest print before it that it repeats, as a reader would."""
    symbols, conditions = rows["symbol"].to_pylist(), rows["conditions"].to_pylist()
    price, size = rows["price"].to_pylist(), rows["size_contracts"].to_pylist()
    exchange = rows["exchange"].to_pylist()
    cancels = {str(code) for code in CANCELS}
    cancelled = {symbols[i] for i, c in enumerate(conditions) if c in cancels}
    kept = np.ones(rows.num_rows, bool)
    seen = {}
    for i, symbol in enumerate(symbols):
        if symbol not in cancelled:
            continue
        looks = (symbol, price[i], size[i], exchange[i])
        if conditions[i] in cancels:
            kept[i] = kept[seen[looks].pop()] = False
        else:
            seen.setdefault(looks, []).append(i)
    return rows.filter(pa.array(kept))


def volume_by(rows, instant):
    before = rows.filter(pc.less(rows["event_at"], pa.scalar(instant)))
    sums = before.group_by("symbol").aggregate([("size_contracts", "sum")])
    names, totals = sums["symbol"].to_pylist(), sums["size_contracts_sum"].to_pylist()
    return dict(zip(names, totals, strict=True))


# --- trades -------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", [RUT, CLX, BTC, VIX], ids=lambda asset: asset.symbol)
def test_trades_conform_and_lie_in_their_session(asset):
    records = PROVIDER.trades(asset, session_date=DAY)
    assert_conforms(records, tables.OPTION_TRADES)
    assert records.is_complete
    assert records.findings == ()
    opened = sessions.session_open(asset.calendar, DAY)
    assert pc.min(records.rows["event_at"]).as_py() >= opened
    assert pc.max(records.rows["event_at"]).as_py() < sessions.session_close(asset.calendar, DAY)


@pytest.mark.parametrize(
    ("asset", "hours"),
    [(RUT, (14, 15, 17, 20, 21)), (CLX, (16, 21)), (BTC, (0, 1, 7, 8, 9, 23))],
    ids=["RUT", "CLX", "BTC"],
)
def test_net_sizes_add_up_to_the_volume_of_every_snapshot(asset, hours):
    rows = net_of_cancels(PROVIDER.trades(asset, session_date=DAY).rows)
    for hour in hours:
        at = datetime(2026, 11, 18, hour, 37 if hour == 14 else 0, tzinfo=UTC)
        chain = PROVIDER.snapshot(asset, at=at).rows
        expected = dict(
            zip(chain["symbol"].to_pylist(), chain["volume_contracts"].to_pylist(), strict=True)
        )
        found = volume_by(rows, at)
        off = {s: (v, found.get(s, 0.0)) for s, v in expected.items() if v != found.get(s, 0.0)}
        assert not {s: pair for s, pair in off.items() if abs(pair[0] - pair[1]) > 1e-6}


@pytest.mark.parametrize("asset", [RUT, BTC], ids=["RUT", "BTC"])
def test_last_print_is_the_last_trade_of_the_next_snapshot(asset, rut_trades, btc_trades):
    rows = net_of_cancels(rut_trades if asset is RUT else btc_trades)
    at = datetime(2026, 11, 18, 17, 3, tzinfo=UTC)
    chain = PROVIDER.snapshot(asset, at=at).rows
    before = rows.filter(pc.less(rows["event_at"], pa.scalar(at)))
    last = {}
    prices = before["price"].to_pylist()
    for i, symbol in enumerate(before["symbol"].to_pylist()):
        last[symbol] = (before["event_at"][i].as_py().replace(microsecond=0), prices[i])
    forward = chain["venue_forward"].to_pylist()
    compared = 0
    for i, symbol in enumerate(chain["symbol"].to_pylist()):
        if chain["expires_at"][i].as_py() < at or symbol not in last:
            continue
        instant, price = last[symbol]
        assert chain["last_trade_at"][i].as_py() == instant
        if asset is RUT:
            assert price == pytest.approx(chain["last_price"][i].as_py(), abs=1e-9)
        else:  # the forward has moved since: a coin price is of its own instant
            assert price * forward[i] == pytest.approx(chain["last_price"][i].as_py(), rel=0.05)
        compared += 1
    assert compared > 100


def test_cancels_repeat_exactly_one_earlier_print_and_say_which_kind(rut_trades):
    conditions = rut_trades["conditions"].to_pylist()
    cancels = [i for i, code in enumerate(conditions) if code in {"201", "203", "205", "207"}]
    assert 20 < len(cancels) < 0.01 * rut_trades.num_rows
    symbols = rut_trades["symbol"].to_numpy()
    for i in cancels:
        earlier = np.flatnonzero(symbols[:i] == symbols[i])
        same = [
            j
            for j in earlier
            if all(
                rut_trades[name][int(j)] == rut_trades[name][i]
                for name in ("price", "size_contracts", "exchange")
            )
        ]
        assert len(same) == 1
        is_first, is_latest = same[0] == earlier[0], same[0] == earlier[-1]
        wanted = {(True, True): "207", (True, False): "205", (False, True): "203"}
        if Counter(symbols[cancels])[symbols[i]] == 1:  # other cancels of it would be in between
            assert conditions[i] == wanted.get((is_first, is_latest), "201")


def test_us_prints_have_venue_codes_sweeps_late_ones_and_package_legs(rut_trades):
    counts = Counter(rut_trades["conditions"].to_pylist())
    assert {"209", "219", "227", "232"} <= {code for code, _ in counts.most_common(5)}
    assert counts["202"] > 0
    assert counts["204"] > 0
    assert 0.1 < sum(counts[str(code)] for code in range(232, 248)) / rut_trades.num_rows < 0.3
    assert all(300 <= int(code) <= 325 for code in pc.unique(rut_trades["exchange"]).to_pylist())
    columns = [c for c in rut_trades.column_names if c not in {"ordinal", "sequence"}]
    repeated = rut_trades.group_by(columns).aggregate([([], "count_all")])
    assert pc.sum(pc.greater(repeated["count_all"], 1)).as_py() > 100
    assert pc.max(rut_trades["ordinal"]).as_py() >= 1
    assert (micros(rut_trades) % 1000 != 0).mean() > 0.9
    for name in ("taker_side", "trade_id", "venue_implied_vol", "block_id", "combo_id"):
        assert rut_trades[name].null_count == rut_trades.num_rows
    assert set(rut_trades["sign_rule"].to_pylist()) == {"unsigned"}


def test_prices_stay_at_or_near_the_quote_of_their_minute(rut_trades):
    symbols = [s for s, _ in Counter(rut_trades["symbol"].to_pylist()).most_common(5)]
    at = datetime(2026, 11, 18, 18, 0, tzinfo=UTC)
    quotes = PROVIDER.quotes(RUT, session_date=DAY, symbols=symbols).rows
    compared = outside = at_quote = 0
    for symbol in symbols:
        of = quotes.filter(pc.equal(quotes["symbol"], symbol))
        bid, ask = of["bid"].to_numpy(), of["ask"].to_numpy()
        mine = rut_trades.filter(pc.equal(rut_trades["symbol"], symbol))
        rows = mine.filter(pc.greater(mine["event_at"], pa.scalar(at)))
        minute = micros(rows) // MINUTE_US * MINUTE_US
        place = np.searchsorted(micros(of), minute, side="right") - 1
        price = rows["price"].to_numpy()
        width = 0.05 + 1e-9
        assert (price >= bid[place] - width).all()
        assert (price <= ask[place] + width).all()
        compared += price.size
        outside += ((price < bid[place] - 1e-9) | (price > ask[place] + 1e-9)).sum()
        at_quote += (np.minimum(abs(price - bid[place]), abs(price - ask[place])) < 1e-9).sum()
    assert 0 < outside < 0.1 * compared
    assert at_quote > 0.7 * compared


def test_coin_prints_are_in_coin_and_name_the_taker(btc_trades):
    assert set(btc_trades["price_currency"].to_pylist()) == {"BTC"}
    price = btc_trades["price"].to_numpy()
    assert np.allclose(price, np.round(price, 4), atol=1e-12)
    assert pc.max(btc_trades["price"]).as_py() < 3.0
    tenths = btc_trades["size_contracts"].to_numpy() * 10.0
    assert np.allclose(tenths, np.round(tenths), atol=1e-9)
    assert set(btc_trades["taker_side"].to_pylist()) == {"buy", "sell"}
    ids = [int(one) for one in btc_trades["trade_id"].to_pylist()]
    assert (np.diff(ids) == 1).all()
    assert (micros(btc_trades) % 1000 == 0).all()
    assert pc.min(btc_trades["underlying_price"]).as_py() > 10_000.0
    assert pc.min(btc_trades["venue_implied_vol"]).as_py() > 0.0
    assert 0 < pc.sum(btc_trades["is_liquidation"]).as_py() < 0.02 * btc_trades.num_rows


def test_trade_numbers_of_a_coin_contract_have_no_gap(btc_trades):
    symbol, count = Counter(btc_trades["symbol"].to_pylist()).most_common(1)[0]
    mine = btc_trades.filter(pc.equal(btc_trades["symbol"], symbol))
    assert mine["sequence"].to_pylist() == list(range(1, count + 1))


def test_blocks_have_two_legs_at_one_instant(btc_trades):
    legs = btc_trades.filter(pc.is_valid(btc_trades["block_id"]))
    grouped = legs.group_by("block_id").aggregate(
        [("symbol", "count_distinct"), ("event_at", "count_distinct"), ("combo_id", "max")]
    )
    assert grouped.num_rows > 20
    assert set(grouped["symbol_count_distinct"].to_pylist()) == {2}
    assert set(grouped["event_at_count_distinct"].to_pylist()) == {1}
    combos = [name for name in grouped["combo_id_max"].to_pylist() if name]
    assert combos
    assert {name.split("-")[1] for name in combos} <= {"CS", "PS", "STRD", "STRG"}


def test_some_contracts_are_answered_as_among_all(rut_trades, btc_trades):
    for asset, whole in ((RUT, rut_trades), (BTC, btc_trades)):
        chosen = [name for name, _ in Counter(whole["symbol"].to_pylist()).most_common(40)][::7]
        records = PROVIDER.trades(asset, session_date=DAY, symbols=chosen)
        expected = whole.filter(pc.is_in(whole["symbol"], pa.array(chosen)))
        columns = [name for name in whole.column_names if name != "source_name"]
        assert records.rows.select(columns).equals(expected.select(columns))
        assert records.source_name != whole["source_name"][0].as_py()


def test_a_contract_that_is_not_listed_is_a_finding():
    records = PROVIDER.trades(RUT, session_date=DAY, symbols=["RUTW200101C01000000"])
    assert records.rows.num_rows == 0
    assert [finding.code for finding in records.findings] == ["symbols_not_listed"]


def test_the_same_question_has_the_same_bytes_for_another_provider(rut_trades):
    from dealer_assets.providers.simulator.tape import session_prints

    session_prints.cache_clear()
    again = SimulatorProvider(density=0.02).trades(RUT, session_date=DAY).rows
    assert digest(again) == digest(rut_trades)


def digest(rows):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def test_days_without_a_market_are_refused():
    with pytest.raises(BadInputError, match="no session"):
        PROVIDER.trades(RUT, session_date=date(2026, 11, 21))
    with pytest.raises(NoDataError, match="exists from"):
        PROVIDER.index_values(RUT, session_date=date(2011, 11, 21))


# --- quotes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", [RUT, BTC], ids=["RUT", "BTC"])
def test_quotes_hold_what_the_snapshots_show(asset):
    at = datetime(2026, 11, 18, 17, 3, tzinfo=UTC)
    chain = PROVIDER.snapshot(asset, at=at).rows
    symbols = chain["symbol"].to_pylist()[::37]
    records = PROVIDER.quotes(asset, session_date=DAY, symbols=symbols)
    assert_conforms(records, tables.OPTION_QUOTES)
    shown = {
        row["symbol"]: (row["bid"], row["ask"], row["bid_size_contracts"])
        for row in chain.to_pylist()
    }
    state = {}
    for row in records.rows.filter(
        pc.less_equal(records.rows["event_at"], pa.scalar(at))
    ).to_pylist():
        state[row["symbol"]] = (row["bid"], row["ask"], row["bid_size_contracts"])
    equal = sum(state[symbol] == shown[symbol] for symbol in symbols)
    assert equal > 0.9 * len(symbols)  # some are held back or shown late


def test_some_quotes_are_one_sided_or_crossed_and_number_upwards(rut_trades):
    symbols = [s for s, _ in Counter(rut_trades["symbol"].to_pylist()).most_common(30)]
    rows = PROVIDER.quotes(RUT, session_date=DAY, symbols=symbols).rows
    bid, ask = rows["bid"].to_numpy(), rows["ask"].to_numpy()
    assert ((bid > ask) & (ask > 0.0)).any()
    no_ask = pc.equal(rows["ask"], 0.0)
    assert 0 < pc.sum(no_ask).as_py() < 0.1 * rows.num_rows
    missing = rows.filter(no_ask)
    assert set(missing["ask_exchange"].to_pylist()) == {""}
    assert set(missing["ask_size_contracts"].to_pylist()) == {0.0}
    mine = rows.filter(pc.equal(rows["symbol"], symbols[0]))
    assert (np.diff(mine["sequence"].to_numpy()) > 0).all()
    changes = [
        mine[name].to_numpy() for name in ("bid", "ask", "bid_size_contracts", "ask_size_contracts")
    ]
    assert (np.diff(np.stack(changes), axis=1) != 0.0).any(axis=0).all()


# --- the rest -----------------------------------------------------------------------------------


def test_minute_bars_are_the_prints_that_count(rut_trades):
    symbol = Counter(rut_trades["symbol"].to_pylist()).most_common(1)[0][0]
    records = PROVIDER.bars(RUT, session_date=DAY, symbols=[symbol])
    assert_conforms(records, tables.OPTION_BARS)
    net = net_of_cancels(rut_trades)
    mine = net.filter(pc.equal(net["symbol"], symbol))
    minute, price = micros(mine) // MINUTE_US, mine["price"].to_numpy()
    size = mine["size_contracts"].to_numpy()
    for bar in records.rows.to_pylist()[::20]:
        inside = minute == bar["event_at"].timestamp() // 60
        assert bar["open"] == price[inside][0]
        assert bar["close"] == price[inside][-1]
        assert (bar["low"], bar["high"]) == (price[inside].min(), price[inside].max())
        assert bar["volume_contracts"] == size[inside].sum()
        assert bar["trades"] == inside.sum()
        assert bar["known_at"] >= bar["event_at"] + timedelta(minutes=1)


def test_day_bars_add_up_to_the_closing_volume():
    records = PROVIDER.bars(CLX, session_date=DAY, interval="day")
    assert_conforms(records, tables.OPTION_BARS)
    close = PROVIDER.snapshot(CLX, at=datetime(2026, 11, 18, 21, 0, tzinfo=UTC)).rows
    traded = pc.sum(records.rows["volume_contracts"]).as_py()
    assert traded == pc.sum(close["volume_contracts"]).as_py()
    assert pc.max(records.rows["known_at"]).as_py() > datetime(2026, 11, 18, 21, 0, tzinfo=UTC)


@pytest.mark.parametrize("asset", [RUT, BTC], ids=["RUT", "BTC"])
def test_open_interest_and_listing_are_the_snapshots(asset):
    opened = sessions.session_open(asset.calendar, DAY)
    chain = PROVIDER.snapshot(asset, at=opened).rows
    held = PROVIDER.open_interest(asset, session_date=DAY)
    assert_conforms(held, tables.OPEN_INTEREST)
    assert held.rows["open_interest_contracts"].equals(chain["open_interest_contracts"])
    counted = pc.max(held.rows["event_at"]).as_py()
    assert counted == sessions.session_close(asset.calendar, date(2026, 11, 17))
    listed = PROVIDER.listing(asset, session_date=DAY)
    assert_conforms(listed, tables.LISTED_CONTRACTS)
    for name in ("symbol", "settlement", "exercise", "multiplier", "expires_at"):
        assert listed.rows[name].equals(chain[name])


def test_index_values_are_the_snapshots_spot():
    records = PROVIDER.index_values(RUT, session_date=DAY)
    assert_conforms(records, tables.INDEX_VALUES)
    assert records.rows.num_rows == 391
    row = records.rows.to_pylist()[150]
    assert row["value"] == PROVIDER.snapshot(RUT, at=row["event_at"]).rows["spot"][0].as_py()
    assert PROVIDER.index_values(BTC, session_date=DAY).rows.num_rows == 1440


def test_an_early_close_and_an_expiry_end_the_tape():
    short = date(2026, 11, 27)
    rows = PROVIDER.trades(RUT, session_date=short).rows
    assert pc.max(rows["event_at"]).as_py() < datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    btc = PROVIDER.trades(BTC, session_date=DAY).rows
    assert pc.all(pc.less_equal(btc["event_at"], btc["expires_at"])).as_py()
