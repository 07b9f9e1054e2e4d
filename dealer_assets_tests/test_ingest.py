"""Where snapshots meet the lake: merging, precedence, and what is due."""

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from dealer_assets import tables
from dealer_assets.defs.sensors import partition_requests
from dealer_assets.domain.invariants import is_sound
from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.intake.collection import collect
from dealer_assets.intake.inbox import take
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.lake.reader import list_parts, read_partition, scan
from dealer_assets.providers.base import ChainSnapshot, Provider
from dealer_assets.providers.files import read_chain_file
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.runner import run_partitions, sessions_to_run
from dealer_assets.settings import settings
from dealer_assets.sources import lake_of, provider_of
from dealer_assets.underlyings import underlying

SESSION = date(2023, 5, 19)


@pytest.fixture
def real(chain_file: Path) -> ChainSnapshot:
    return read_chain_file(chain_file)[0]


@pytest.fixture
def simulated() -> ChainSnapshot:
    at = datetime(2023, 5, 19, 15, 0, tzinfo=UTC)
    return provider_of(settings(), underlying("SPX")).snapshot(underlying("SPX"), at=at)


def providers_held() -> set[str]:
    rows = scan(lake_of(settings()), tables.CHAIN_SNAPSHOTS, columns=["provider"])
    return set(rows["provider"].to_pylist())


def test_a_real_chain_clears_simulated_ones_of_its_session(
    data_dir: Path, real: ChainSnapshot, simulated: ChainSnapshot
) -> None:
    lake = lake_of(settings())
    assert store_snapshot(lake, simulated).status == "stored"
    assert store_snapshot(lake, real).status == "stored"
    assert providers_held() == {"cboe_csv"}
    sources = read_partition(lake, tables.CHAIN_SOURCES, "SPX", SESSION)
    assert sources["provider"].to_pylist() == ["cboe_csv"]


def test_a_simulated_chain_never_joins_real_ones(
    data_dir: Path, real: ChainSnapshot, simulated: ChainSnapshot
) -> None:
    lake = lake_of(settings())
    store_snapshot(lake, real)
    outcome = store_snapshot(lake, simulated)
    assert outcome.status == "superseded"
    assert "real" in outcome.reason
    assert providers_held() == {"cboe_csv"}


def test_of_two_real_sources_of_one_instant_the_first_known_stays(
    data_dir: Path, tmp_path: Path, made_up_chain
) -> None:
    later = replace(made_up_chain, downloaded="May 20, 2023 at 9:00 AM EDT", last="4001.5")
    (tmp_path / "later.csv").write_text(later.text())
    (tmp_path / "sooner.csv").write_text(made_up_chain.text())
    lake = lake_of(settings())
    assert store_snapshot(lake, read_chain_file(tmp_path / "later.csv")[0]).status == "stored"
    assert store_snapshot(lake, read_chain_file(tmp_path / "sooner.csv")[0]).status == "merged"
    again = store_snapshot(lake, read_chain_file(tmp_path / "later.csv")[0])
    assert again.status == "superseded"
    rows = read_partition(lake, tables.CHAIN_SNAPSHOTS, "SPX", SESSION)
    assert set(rows["spot"].to_pylist()) == {4000.0}


def test_asking_a_live_provider_for_the_past_says_what_to_do(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALER_PROVIDER", "cboe")
    settings.cache_clear()
    now = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    with pytest.raises(NoDataError, match="dealer import"):
        collect(
            lake_of(settings()),
            provider_of(settings(), underlying("SPX")),
            symbol="SPX",
            session_date=SESSION,
            now=now,
            per_session=3,
        )


def test_the_last_tick_of_a_session_asks_for_the_last_quotes(data_dir: Path) -> None:
    lake, provider = lake_of(settings()), provider_of(settings(), underlying("SPX"))
    late = datetime(2026, 11, 20, 21, 16, 30, tzinfo=UTC)
    where = {"symbol": "SPY", "session_date": date(2026, 11, 20)}
    assert len(collect(lake, provider, now=late, per_session=3, **where)) == 1
    parts = list_parts(lake, tables.CHAIN_SNAPSHOTS, "SPY", date(2026, 11, 20))
    assert [part.name for part in parts] == ["211500.parquet"]


@pytest.mark.slow
def test_an_unsound_snapshot_derives_to_nothing_even_after_a_sound_one(
    data_dir: Path, tmp_path: Path, made_up_chain
) -> None:
    rows = made_up_chain.rows()
    for row in rows:
        row[4] = row[15] = "0"
    morning = replace(made_up_chain, downloaded="May 19, 2023 at 11:00 AM EDT")
    (tmp_path / "zero_bids.csv").write_text(morning.text(rows))
    (tmp_path / "sound.csv").write_text(made_up_chain.text())
    lake = lake_of(settings())

    unsound = read_chain_file(tmp_path / "zero_bids.csv")[0]
    assert not is_sound("chain_snapshots", unsound.rows, underlying("SPX"))
    store_snapshot(lake, unsound)
    stopped = next(run_partitions(["SPX"], [SESSION]))
    assert not stopped.is_success
    assert "quotes_two_sided" in stopped.problems[0]

    store_snapshot(lake, read_chain_file(tmp_path / "sound.csv")[0])
    assert next(run_partitions(["SPX"], [SESSION])).is_success
    levels = read_partition(lake, tables.EXPOSURE_LEVELS, "SPX", SESSION)
    assert {t.hour for t in levels["event_at"].to_pylist()} == {20}
    assert levels["model"].to_pylist() == ["naive", "reconciled"]


def test_an_extract_never_displaces_the_whole_chain(
    data_dir: Path, tmp_path: Path, made_up_chain
) -> None:
    extract = replace(
        made_up_chain,
        strikes=(3950, 4000, 4050),
        last="4000.75",
        downloaded="May 19, 2023 at 4:31 PM EDT",
    )
    (tmp_path / "extract.csv").write_text(extract.text())
    (tmp_path / "whole.csv").write_text(made_up_chain.text())
    whole, part = (read_chain_file(tmp_path / f"{n}.csv")[0] for n in ("whole", "extract"))
    assert part.known_at < whole.known_at
    for first, second in ((whole, part), (part, whole)):
        lake = lake_of(settings())
        store_snapshot(lake, first)
        store_snapshot(lake, second)
        rows = read_partition(lake, tables.CHAIN_SNAPSHOTS, "SPX", SESSION)
        assert rows.num_rows == whole.rows.num_rows
        assert set(rows["spot"].to_pylist()) == {4000.0}
        shutil.rmtree(data_dir)


def test_levels_of_a_merged_chain_are_known_when_its_last_part_was(
    data_dir: Path, tmp_path: Path, made_up_chain
) -> None:
    near = replace(made_up_chain, expiry_days=(3, 4), downloaded="May 19, 2023 at 6:00 PM EDT")
    far = replace(made_up_chain, expiry_days=(60, 91), downloaded="May 19, 2023 at 6:30 PM EDT")
    lake = lake_of(settings())
    for name, chain in (("near.csv", near), ("far.csv", far)):
        (tmp_path / name).write_text(chain.text())
        store_snapshot(lake, read_chain_file(tmp_path / name)[0])
    rows = read_partition(lake, tables.CHAIN_SNAPSHOTS, "SPX", SESSION)
    priced = price_chain(rows)
    assert len(set(rows["known_at"].to_pylist())) == 2
    assert set(priced["known_at"].to_pylist()) == {max(rows["known_at"].to_pylist())}


def test_a_chain_before_the_first_session_is_stored_and_asks_for_no_run(
    data_dir: Path, tmp_path: Path, made_up_chain
) -> None:
    old = replace(
        made_up_chain, session=date(2021, 5, 19), downloaded="May 19, 2021 at 5:00 PM EDT"
    )
    (tmp_path / "old.csv").write_text(old.text())
    (delivery,) = take(lake_of(settings()), [tmp_path / "old.csv"])
    assert delivery.outcomes[0].status == "stored"
    assert partition_requests([delivery]) == []
    with pytest.raises(BadInputError, match="DEALER_FIRST_SESSION"):
        sessions_to_run(underlying("SPX"), date(2020, 1, 1), last=date(2023, 1, 1))


def test_a_delayed_provider_is_asked_until_it_shows_the_last_quotes(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Delayed(Provider):
        name = "delayed"
        delay = timedelta(minutes=15)

        def snapshot(self, underlying, *, at):
            asked.append(at)
            seen = min(at - self.delay, datetime(2026, 11, 20, 21, 15, tzinfo=UTC))
            source = SimulatorProvider(density=0.2)
            return replace(source.snapshot(underlying, at=seen), provider="delayed")

    lake = lake_of(settings())
    where = {"symbol": "SPY", "session_date": date(2026, 11, 20), "per_session": 3}
    for clock in ((21, 10), (21, 35), (21, 36)):
        now = datetime(2026, 11, 20, *clock, tzinfo=UTC)
        collect(lake, Delayed(), now=now, **where)
    assert [at.minute for at in asked] == [10, 35]
