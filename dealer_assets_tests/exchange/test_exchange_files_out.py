"""Vendor files written from the simulated market: columns, identities, the same bytes again."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from dealer_assets.domain import sessions
from dealer_assets.domain.instruments import parse_osi
from dealer_assets.errors import BadInputError
from dealer_assets.providers import blotter
from dealer_assets.providers.files import read_chain_file
from dealer_assets.providers.record_files import is_record_file, read_record_file
from dealer_assets.providers.simulator.truth import session_truth
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.files_dtcc import CAP, COLUMNS
from dealer_assets_tests.exchange.files_out import write_vendor_files
from dealer_assets_tests.exchange.world import World

DAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def world() -> World:
    return World(VirtualClock(datetime(2026, 11, 20, 21, 30, tzinfo=UTC)))


@pytest.fixture(scope="module")
def files(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    written = write_vendor_files(tmp_path_factory.mktemp("inbox"), world, DAY)
    return {path.name: path for path in written}


def unpacked(path: Path) -> str:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.read(archive.namelist()[0]).decode()
    return path.read_text()


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(unpacked(path))))


def volumes(row: dict[str, str], side: str) -> int:
    return sum(int(value) for name, value in row.items() if name.endswith(f"{side}_vol"))


def test_the_same_world_writes_the_same_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    again = write_vendor_files(tmp_path, World(VirtualClock(datetime(2026, 1, 5, tzinfo=UTC))), DAY)
    assert [path.name for path in again] == list(files)
    for path in again:
        assert path.read_bytes() == files[path.name].read_bytes()


def test_a_day_without_a_session_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no session"):
        write_vendor_files(tmp_path, world, date(2026, 11, 21))
    assert list(tmp_path.iterdir()) == []


def test_open_close_buys_equal_sells_equal_volume_per_series(
    files: dict[str, Path], world: World
) -> None:
    rows = records(files["Cboe_OpenClose_C1_EOD_2026-11-20.zip"])
    chain = world.chain("SPX", sessions.quotes_end("XNYS", DAY))
    standard = [row for row in rows if row["series_type"] == "S"]
    assert [volumes(row, "buy") for row in standard] == chain["volume_contracts"].to_pylist()
    assert all(volumes(row, "buy") == volumes(row, "sell") for row in rows)
    assert [int(row["open_interest"]) for row in standard] == chain[
        "open_interest_contracts"
    ].to_pylist()
    assert {row["quote_date"] for row in rows} == {"2026-11-20"}
    assert {row["option_symbol"] for row in standard} == {"SPX", "SPXW"}
    assert [row["series_type"] for row in rows].count("N") == 1
    assert {name for name in rows[0] if name.startswith("mm_")} == {"mm_buy_vol", "mm_sell_vol"}


def test_open_close_tells_what_dealers_and_customers_really_traded(
    files: dict[str, Path], world: World
) -> None:
    rows = records(files["Cboe_OpenClose_C1_EOD_2026-11-20.zip"])
    rows = [row for row in rows if row["series_type"] == "S"]
    truth = session_truth(world.seed, "SPX", day=DAY, density=world.density)

    def total(end: str) -> np.ndarray:
        return np.array([sum(int(row[name]) for name in row if name.endswith(end)) for row in rows])

    assert (total("mm_buy_vol") - total("mm_sell_vol") == -truth.customer_net).all()
    assert (total("_open_buy_vol") - total("_close_sell_vol") == truth.longs_change).all()
    assert (total("_open_sell_vol") - total("_close_buy_vol") == truth.shorts_change).all()


def test_open_close_intervals_only_grow_up_to_the_day(files: dict[str, Path]) -> None:
    names = sorted(name for name in files if "10min" in name)
    assert [name[-9:-4] for name in names] == ["10-30", "12-00", "15-50"]
    stamps = [records(files[name]) for name in names]
    stamps.append(records(files["Cboe_OpenClose_C1_EOD_2026-11-20.zip"]))
    columns = [name for name in stamps[0][0] if name.endswith("_vol")]
    assert len(columns) == 2 + 8 * 4
    for earlier, later in pairwise(stamps):
        for one, other in zip(earlier, later, strict=True):
            assert all(int(one[name]) <= int(other[name]) for name in columns)
    assert {row["open_interest"] for row in stamps[0]} == {""}
    assert "quote_date" not in stamps[0][0]


def test_cme_forms_agree_and_only_the_volume_report_has_the_close(
    files: dict[str, Path], world: World
) -> None:
    page = json.loads(files["CME_ESZ26_settlements_2026-11-20.json"].read_text())
    report = json.loads(files["CME_ESZ26_volume_2026-11-20.json"].read_text())
    *rows, total = page["settlements"]
    assert (page["tradeDate"], total["strike"]) == ("11/20/2026", "Total")
    closes = {
        (month["monthID"].split("-")[1][:-1], row["strike"]): row
        for month in report["monthData"]
        for row in month["strikeData"]
    }
    for row in rows:
        close = closes[row["type"], row["strike"]]
        numbers = [int(close[name].replace(",", "")) for name in ("atClose", "change")]
        assert int(row["openInterest"].replace(",", "")) == numbers[0] - numbers[1]
    assert any(row["openInterest"] != closes[row["type"], row["strike"]]["atClose"] for row in rows)

    table = [r for r in records(files["cme.settle.s.20261120.csv"]) if r["MMY"] == "202612"]
    options = [row for row in table if row["SecTyp"] == "OOF"]
    assert [row["PrevDayOI"] for row in options] == [
        row["openInterest"].replace(",", "") for row in rows
    ]
    strike = rows[0]["strike"].replace(",", "")
    chain = world.chain("SPX", sessions.quotes_end("XNYS", DAY))
    symbol = f"SPX261218C{int(strike) * 1000:08d}"
    held = chain.filter(pc.equal(chain["symbol"], symbol))["open_interest_contracts"][0].as_py()
    assert rows[0]["openInterest"] == f"{int(held * 0.1):,}"


def test_cme_text_has_eleven_fields_and_every_mark(files: dict[str, Path]) -> None:
    text = files["cme.settle.s.20261120.txt"].read_text()
    lines = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    assert {len(line) for line in lines} == {11}
    cells = {cell for line in lines for cell in line}
    assert {"CAB", "UNCH", "----"} <= cells
    assert {cell[-1] for cell in cells} >= {"A", "B"}
    sections = [line for line in text.splitlines() if "OPTIONS" in line]
    assert [line.split()[0] for line in sections] == ["ES", "ES", "ES", "ES", "E4A", "E4A"]
    assert text.count("\nTOTAL") == 6


def test_repository_files_hold_lifecycles_caps_and_repeats(
    files: dict[str, Path], shared_samples: Path
) -> None:
    sample = (shared_samples / "dtcc" / "cftc_forex_options_rows_2026-10-01.csv").read_text()
    assert set(next(csv.reader([sample.splitlines()[0]]))) <= set(COLUMNS)
    before = records(files["CFTC_CUMULATIVE_EQUITIES_2026_11_19.zip"])
    rows = records(files["CFTC_CUMULATIVE_EQUITIES_2026_11_20.zip"])
    assert {row["Action type"] for row in rows} == {"NEWT", "MODI", "CORR", "TERM", "EROR"}
    ids = {row["Dissemination Identifier"]: row for row in before + rows}
    for row in rows:
        original = row["Original Dissemination Identifier"]
        assert (row["Action type"] == "NEWT") == (original == "")
        if original:
            assert ids[original]["Execution Timestamp"] == row["Execution Timestamp"]
    capped = {row["Notional amount-Leg 1"] for row in rows if "+" in row["Notional amount-Leg 1"]}
    assert capped == {f"{CAP:,}+"}
    assert any("," in row["Notional amount-Leg 1"] for row in rows)
    repeated = [row for row in rows if rows.count(row) > 1]
    assert len(repeated) == 2
    assert [row for row in rows if row in before]
    kinds = {row["UPI FISN"].split()[2] for row in rows}
    assert kinds == {"Call", "Put"}
    assert {row["Option Type"] for row in rows} == {""}


def test_the_blotter_has_documented_columns_listed_contracts_and_every_kind_of_side(
    files: dict[str, Path], world: World
) -> None:
    rows = records(files["blotter_2026-11-20.csv"])
    assert set(rows[0]) <= {*blotter.REQUIRED, *blotter.OPTIONAL}
    listed = set(world.chain("SPX", sessions.quotes_end("XNYS", DAY))["symbol"].to_pylist())
    assert {row["symbol"] for row in rows} <= listed
    for row in rows:
        assert parse_osi(row["symbol"]).expiry_date >= DAY
        assert row["traded_at"] < row["reported_at"]
        assert (row["side"] == "") == (row["side_of"] == "")
    assert {row["side_of"] for row in rows} == {"dealer", "customer", "taker", ""}
    assert {row["side"] for row in rows} == {"buy", "sell", ""}
    assert {int(row["leg"]) for row in rows} == {0, 1, 2}


def test_tardis_chains_have_the_recorded_header_prices_in_coin_and_vols_in_per_cent(
    files: dict[str, Path], world: World, shared_samples: Path
) -> None:
    recorded = (shared_samples / "tardis" / "options_chain.csv").read_text().splitlines()[0]
    text = gzip.decompress(
        files["deribit_options_chain_2026-11-20_OPTIONS.csv.gz"].read_bytes()
    ).decode()
    assert text.splitlines()[0] == recorded
    rows = list(csv.DictReader(io.StringIO(text)))
    noon = datetime(2026, 11, 20, 11, 59, tzinfo=UTC)
    chain = {row["symbol"]: row for row in world.chain("BTC", noon).to_pylist()}
    at_noon = [r for r in rows if int(r["timestamp"]) == round(noon.timestamp()) * 1_000_000]
    assert {row["symbol"] for row in at_noon} == set(chain)
    quoted = next(row for row in at_noon if row["bid_price"] and row["mark_iv"])
    known = chain[quoted["symbol"]]
    assert float(quoted["bid_price"]) == pytest.approx(
        known["bid"] / known["venue_forward"], abs=1e-5
    )
    assert float(quoted["mark_iv"]) == pytest.approx(100.0 * known["vendor_implied_vol"])
    assert int(quoted["expiration"]) == round(known["expires_at"].timestamp()) * 1_000_000
    assert any(row["bid_price"] == "" for row in rows)
    assert [r["timestamp"] for r in rows] == sorted(r["timestamp"] for r in rows)


OPEN_CLOSE = ("cboe_open_close", "open_close", {"adjusted_root": 1}, set[str]())
INTENDED = {
    "Cboe_OpenClose_C1_EOD_2026-11-20.zip": OPEN_CLOSE,
    "Cboe_OpenClose_C1_10min_2026-11-20_10-30.csv": OPEN_CLOSE,
    "Cboe_OpenClose_C1_10min_2026-11-20_12-00.csv": OPEN_CLOSE,
    "Cboe_OpenClose_C1_10min_2026-11-20_15-50.csv": OPEN_CLOSE,
    **{
        f"cme.settle.s.20261120.{form}": (f"cme_{of}", "futures_option_settlements", {}, set[str]())
        for form, of in (("txt", "text"), ("csv", "csv"))
    },
    **{
        f"CME_{code}_{page}_2026-11-20.json": (
            f"cme_{page}", "futures_option_settlements", {}, set[str](),
        )
        for code in ("E4AX26", "ESF27", "ESZ26")
        for page in ("settlements", "volume")
    },
    "CFTC_CUMULATIVE_EQUITIES_2026_11_19.zip": (
        "dtcc", "swap_option_reports", {}, {"report_repeated"},
    ),
    "CFTC_CUMULATIVE_EQUITIES_2026_11_20.zip": (
        "dtcc", "swap_option_reports", {}, {"report_repeated", "original_not_in_file"},
    ),
    "blotter_2026-11-20.csv": ("blotter", "block_trades", {}, set[str]()),
}  # fmt: skip
"""File to provider and table of its records, rows rejected by reason, findings."""
TARDIS = "deribit_options_chain_2026-11-20_OPTIONS.csv.gz"


def test_every_file_is_told_by_its_content(files: dict[str, Path]) -> None:
    assert set(files) == {*INTENDED, TARDIS}
    assert {name for name, path in files.items() if is_record_file(path)} == set(INTENDED)


@pytest.mark.parametrize("name", INTENDED)
def test_every_file_of_records_is_accepted_with_the_intended_rejects_only(
    files: dict[str, Path], name: str
) -> None:
    provider, table, rejected, findings = INTENDED[name]
    (taken,) = read_record_file(files[name])
    assert (taken.provider, taken.table.name) == (provider, table)
    assert taken.rows.num_rows > 0
    assert taken.is_complete
    assert Counter(taken.rejected["reason"].to_pylist()) == rejected
    assert {finding.code for finding in taken.findings} == findings
    days = set(taken.rows["session_date"].to_pylist())
    assert days <= {DAY, date(2026, 11, 19)}


def test_the_tardis_file_is_accepted_as_chains_of_its_hours(files: dict[str, Path]) -> None:
    chains = read_chain_file(files[TARDIS])
    assert [(c.provider, c.event_at.replace(microsecond=0)) for c in chains] == [
        ("tardis", datetime(2026, 11, 20, 4, tzinfo=UTC)),
        ("tardis", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("tardis", datetime(2026, 11, 20, 19, 59, tzinfo=UTC)),
    ]
    for chain in chains:
        assert (chain.underlying, chain.rejected.num_rows) == ("BTC", 0)
        assert {finding.code for finding in chain.findings} == {"spot_from_forward"}


def test_the_blotters_sides_become_the_dealers_where_they_tell_them(
    files: dict[str, Path],
) -> None:
    path = files["blotter_2026-11-20.csv"]
    (taken,) = read_record_file(path)
    told = {(row["trade_id"], int(row["leg"])): row for row in records(path)}
    assert len(told) == taken.rows.num_rows
    opposite = {"buy": "sell", "sell": "buy"}
    for row in taken.rows.to_pylist():
        line = told[row["block_id"], row["leg"]]
        side, of = line["side"], line["side_of"]
        dealers = {"dealer": side, "customer": opposite.get(side)}.get(of)
        assert (row["dealer_side"], row["taker_side"]) == (dealers, side if of == "taker" else None)
        assert row["known_at"] == datetime.fromisoformat(line["reported_at"])
        assert row["size_contracts"] == float(line["size_contracts"])
