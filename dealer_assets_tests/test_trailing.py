"""Traded volume and closings of earlier sessions: fetched once, read backwards, never forwards."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from dealer_assets import tables
from dealer_assets.derived.trailing import adv_known, closings, identity
from dealer_assets.domain.exposure.adv import ADV_LOOK_BACK
from dealer_assets.domain.sessions import previous_session, session_close
from dealer_assets.errors import NoDataError
from dealer_assets.intake.records import store_request
from dealer_assets.intake.traded import collect_bars
from dealer_assets.lake.layout import batch_part, part_name
from dealer_assets.lake.reader import fingerprint, list_parts, sessions_held
from dealer_assets.lake.storage import open_lake
from dealer_assets.lake.writer import delete_part, write_part
from dealer_assets.providers.base import Provider
from dealer_assets.providers.record_rows import Source
from dealer_assets.providers.simulator.bars import underlying_bars
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.providers.underlying_bar_rows import bar_rows
from dealer_assets.underlyings import underlying
from dealer_assets_tests.domain import metric_rows as made

SPX, BTC = underlying("SPX"), underlying("BTC")
FRIDAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path):
    return open_lake(str(tmp_path / "lake"))


class Counting(SimulatorProvider):
    """The simulator, counting what it is asked."""

    def __init__(self):
        super().__init__()
        self.spans = []

    def underlying_bars(self, asset, *, first, last):
        self.spans.append((first, last))
        return super().underlying_bars(asset, first=first, last=last)


class Silent(Provider):
    name = "silent"
    capabilities = frozenset({"underlying_bars"})

    def underlying_bars(self, asset, *, first, last):
        raise NoDataError(f"nothing of {asset.symbol}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A lake with the simulated bars until Friday, only to be read."""
    lake = open_lake(str(tmp_path_factory.mktemp("bars") / "lake"))
    collected(lake, SimulatorProvider())
    return lake


def collected(lake, *providers, now=NOW, asset=SPX, day=FRIDAY, rebuild=False):
    return collect_bars(lake, providers, asset, session_date=day, now=now, rebuild=rebuild)


def test_a_session_brings_the_sessions_that_scale_it_in_one_request(lake):
    provider = Counting()
    found = collected(lake, provider)
    assert found.sessions_written == ADV_LOOK_BACK + 1
    assert len(provider.spans) == 1
    again = collected(lake, provider)
    assert (again.sessions_written, again.sessions_held) == (0, ADV_LOOK_BACK + 1)
    assert len(provider.spans) == 1, "what is held is not asked for again"
    before = adv_known(lake, SPX, FRIDAY, simulated=True)
    collected(lake, provider, rebuild=True)
    assert len(provider.spans) == 2
    assert adv_known(lake, SPX, FRIDAY, simulated=True) == before


def test_a_bar_is_the_same_whatever_others_it_was_asked_for_with(lake):
    collected(lake, SimulatorProvider())
    where = (lake, tables.UNDERLYING_BARS, "SPX", FRIDAY)
    (part,) = list_parts(*where)
    among_others = fingerprint(lake, part)
    delete_part(lake, tables.UNDERLYING_BARS, underlying="SPX", session_date=FRIDAY, name=part.name)
    collected(lake, SimulatorProvider())  # alone now
    assert [fingerprint(lake, p) for p in list_parts(*where)] == [among_others]


def test_volume_rests_on_twenty_sessions(shared):
    lake = shared
    assert sessions_held(lake, tables.UNDERLYING_BARS, "SPX")[-1] == FRIDAY
    adv = adv_known(lake, SPX, FRIDAY, simulated=True)
    assert (adv.status, adv.sessions, adv.instrument) == ("ok", 20, "SPY")
    assert 2e10 < adv.usd < 1e11


def test_the_next_session_asks_for_itself_alone(shared):
    provider = Counting()
    before = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)  # Monday, before its close
    found = collected(shared, provider, day=date(2026, 11, 23), now=before)
    assert (found.sessions_written, found.sessions_held, provider.spans) == (0, ADV_LOOK_BACK, [])
    span = (date(2026, 11, 23), date(2026, 11, 23))

    class Refusing(Counting):
        def underlying_bars(self, asset, *, first, last):
            self.spans.append((first, last))
            raise NoDataError("not now")

    refusing = Refusing()
    assert collected(shared, refusing, day=span[0], now=NOW + timedelta(days=3)).missing == span[:1]
    assert refusing.spans == [span]


def test_a_session_that_runs_is_not_asked_for(lake):
    asked = []

    class Noting(Silent):
        def underlying_bars(self, asset, *, first, last):
            asked.append((first, last))
            raise NoDataError("nothing")

    collected(lake, Noting(), now=session_close("XNYS", FRIDAY) - timedelta(minutes=1))
    assert asked[0][1] == previous_session("XNYS", FRIDAY)


def test_refusals_are_told_and_the_next_provider_is_asked(lake):
    early = datetime(2012, 1, 6, tzinfo=UTC)
    found = collected(lake, Silent(), Counting(), now=early, day=date(2012, 1, 5))
    assert found.sessions_written > 0
    assert found.refusals == "nothing of SPX"


def test_without_a_provider_volume_is_missing_and_says_why(lake):
    found = collected(lake)
    assert len(found.missing) == ADV_LOOK_BACK + 1
    assert "import a file of daily prices" in found.refusals
    assert adv_known(lake, SPX, FRIDAY, simulated=False).status == "none"


def test_volume_is_that_of_sessions_before_and_known_at_the_open(lake):
    collected(lake, Counting())
    on_friday = adv_known(lake, SPX, FRIDAY, simulated=True)
    # Friday's own bar and later ones change nothing
    later = Counting().underlying_bars(SPX, first=FRIDAY, last=date(2026, 11, 27))
    wild = later.rows.set_column(
        later.rows.schema.get_field_index("notional_usd"),
        "notional_usd",
        [[1e15] * later.rows.num_rows],
    ).cast(later.rows.schema)
    for day in (FRIDAY, date(2026, 11, 23)):
        rows = wild.filter([d == day for d in wild["session_date"].to_pylist()])
        store_request(lake, replace(later, rows=rows), underlying="SPX", session_date=day)
    assert adv_known(lake, SPX, FRIDAY, simulated=True) == on_friday
    assert adv_known(lake, SPX, date(2026, 11, 24), simulated=True).usd != on_friday.usd


def test_around_the_clock_yesterdays_bar_is_known_at_midnight(lake):
    day = date(2026, 11, 20)
    collected(lake, Counting(), asset=BTC, day=day)
    adv = adv_known(lake, BTC, date(2026, 11, 21), simulated=True)
    assert (adv.status, adv.instrument) == ("ok", "BTC")


def test_simulated_bars_never_scale_a_real_chain_nor_real_ones_a_simulated(lake):
    days = underlying_bars(7, underlying("SPY"), first=date(2026, 10, 15), last=FRIDAY)
    rows = bar_rows(days, SPX, Source("polygon", "made up", "0" * 64))
    records = Counting().underlying_bars(SPX, first=FRIDAY, last=FRIDAY)
    for i, day in enumerate(days.days):
        real = replace(records, rows=rows.slice(i, 1), provider="polygon")
        store_request(lake, real, underlying="SPX", session_date=day)
    adv = adv_known(lake, SPX, FRIDAY, simulated=False)
    assert (adv.status, adv.sessions) == ("ok", 20)
    assert adv_known(lake, SPX, FRIDAY, simulated=True).status == "none"


def real(lake, instrument, first, last, *, provider="polygon", times=1.0, digit="0"):
    """Store real bars of an instrument for every session of a span."""
    days = underlying_bars(7, underlying("SPY"), first=first, last=last)
    wide = replace(days, instrument=instrument, notional=days.notional * times)
    rows = bar_rows(wide, SPX, Source(provider, "made up", digit * 64))
    for i, day in enumerate(days.days):
        write_part(
            lake,
            tables.UNDERLYING_BARS,
            rows.slice(i, 1),
            underlying="SPX",
            session_date=day,
            name=batch_part(provider, digit * 64),
        )


def test_volume_is_of_the_instrument_that_still_has_bars_and_ages_with_its_own(lake):
    real(lake, "OLD", date(2026, 10, 8), date(2026, 11, 6))
    real(lake, "NEW", date(2026, 11, 9), date(2026, 11, 19), digit="1")
    adv = adv_known(lake, SPX, FRIDAY, simulated=False)
    assert (adv.instrument, adv.status, adv.sessions) == ("NEW", "short", 9)
    only_old = adv_known(lake, SPX, date(2026, 11, 16), simulated=False)
    assert (only_old.instrument, only_old.status) == ("NEW", "short")
    before = adv_known(lake, SPX, date(2026, 11, 13), simulated=False)
    assert (before.instrument, before.status, before.sessions) == ("OLD", "ok", 20)


def test_several_versions_of_a_bar_are_one_session(lake):
    for digit in "012":
        real(lake, "AGAIN", date(2026, 11, 10), date(2026, 11, 19), digit=digit)
    real(lake, "ONCE", date(2026, 10, 22), date(2026, 11, 19), digit="3")
    adv = adv_known(lake, SPX, FRIDAY, simulated=False)
    assert (adv.instrument, adv.status, adv.sessions) == ("ONCE", "ok", 20)


def test_an_old_newest_bar_makes_volume_stale(shared):
    adv = adv_known(shared, SPX, date(2026, 12, 14), simulated=True)
    assert (adv.status, adv.sessions) == ("stale", 16)


def store_metrics(lake, rows):
    event_at = rows["event_at"][0].as_py()
    name = part_name(tables.EXPOSURE_METRICS, event_at=event_at)
    write_part(
        lake,
        tables.EXPOSURE_METRICS,
        rows,
        underlying="SPX",
        session_date=event_at.date(),
        name=name,
    )


def test_closings_are_the_last_snapshots_of_earlier_sessions_oldest_first(lake):
    for days, gamma in ((2, 1e6), (1, 2e6), (0, 3e6)):
        at = datetime(2026, 11, 20 - days, 15, 0, tzinfo=UTC)
        for hour in (0, 1):
            book = (("0dte", gamma + hour),)
            store_metrics(lake, made.metrics(at=at + timedelta(hours=hour), book=book))
    found = closings(lake, SPX, FRIDAY)
    assert found["net_gamma_exposure_usd_per_pct"].to_pylist() == [1e6 + 1, 2e6 + 1]
    assert set(found["dte_bucket"].to_pylist()) == {"all"}
    assert closings(lake, SPX, FRIDAY, most=1).num_rows == 1
    assert closings(lake, SPX, FRIDAY, columns=["spot"]).to_pydict() == {"spot": [5000.0, 5000.0]}
    assert closings(lake, SPX, date(2026, 11, 18), columns=["spot"]).schema.names == ["spot"]


def test_a_stopped_last_snapshot_is_no_closing(lake):
    at = datetime(2026, 11, 19, 15, 0, tzinfo=UTC)
    store_metrics(lake, made.metrics(at=at))
    write_part(
        lake,
        tables.EXPOSURE_METRICS,
        tables.EXPOSURE_METRICS.schema.empty_table(),
        underlying="SPX",
        session_date=date(2026, 11, 19),
        name=part_name(tables.EXPOSURE_METRICS, event_at=at + timedelta(hours=1)),
    )
    assert closings(lake, SPX, FRIDAY)["event_at"].to_pylist() == [at]


def test_identity_tells_rows_apart():
    rows, other = made.closings([1e6]), made.closings([2e6])
    assert identity(rows) == identity(made.closings([1e6])) != identity(other)
