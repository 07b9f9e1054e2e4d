"""Every recorded Cboe CSV, with what each must turn into.

Each line was reviewed against the file's header and contents. Sessions equal the date in the name,
which `../shared/data/README.md` proves by closing prices, but for two files.

- ``SPY_2025-05-01_may_hdr0502``: its volumes are those of the Apr-30 file, its open interest that
  of May 1, its header May 1 08:28: made before the open, it shows Apr 30.
- ``SPY_2025-09-03_sep``: its Sep-2 series traded 4.6 million contracts, fourteen times its open
  interest, which only the day of expiry does; its quotes imply 641.5: SPY closed at 641.6 on
  Sep 2 and at 643.8 on Sep 3.
"""

from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import chain as chained
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dealer_assets import tables
from dealer_assets.domain.instruments import parse_osi
from dealer_assets.domain.sessions import NEW_YORK, quotes_end
from dealer_assets.providers.base import ChainSnapshot
from dealer_assets.providers.files import named_date, read_chain_file

NAMED_WRONGLY = {"SPY_2025-05-01_may_hdr0502.csv.gz", "SPY_2025-09-03_sep.csv.gz"}

# source, underlying, session, quotes' end or New York time, completeness, other findings
EXPECTED = """
AMD_2023-08-18_full.csv.gz AMD 2023-08-18 close whole
NDX_2022-02-04_full.csv.gz NDX 2022-02-04 close whole
NDX_2023-04-06_full.csv.gz NDX 2023-04-06 close whole
NDX_2023-04-11_full.csv.gz NDX 2023-04-11 close whole
NDX_2023-04-14_full.csv.gz NDX 2023-04-14 close whole
NDX_2023-04-17_full.csv.gz NDX 2023-04-17 close whole
NDX_2023-05-02_full.csv.gz NDX 2023-05-02 close whole
NDX_2023-05-10_full.csv.gz NDX 2023-05-10 close whole
NDX_2023-05-12_full.csv.gz NDX 2023-05-12 close whole
NDX_2023-05-15_full_hdr0516.csv.gz NDX 2023-05-15 close whole pre_open_download
NDX_2023-05-15_intraday1209.csv.gz NDX 2023-05-15 11:54 whole
NDX_2023-05-17_full_hdr0518.csv.gz NDX 2023-05-17 close whole pre_open_download
NDX_2023-05-23_full_wronghdr0513.csv.gz NDX 2023-05-23 close whole header_date_before_first_expiry
NVDA_2025-01-06_jan_named_spx.csv.gz NVDA 2025-01-06 close partial
QQQ_2023-04-14_full.csv.gz QQQ 2023-04-14 close whole
QQQ_2023-05-02_full.csv.gz QQQ 2023-05-02 close whole
QQQ_2023-05-10_full.csv.gz QQQ 2023-05-10 close whole
QQQ_2023-05-10_intraday1510.csv.gz QQQ 2023-05-10 14:55 whole
QQQ_2023-05-12_full.csv.gz QQQ 2023-05-12 close whole
QQQ_2023-05-15_full_hdr0516.csv.gz QQQ 2023-05-15 close whole pre_open_download
QQQ_2023-05-17_full_hdr0518.csv.gz QQQ 2023-05-17 close whole pre_open_download
QQQ_2023-05-26_full_hdr0529.csv.gz QQQ 2023-05-26 close whole
QQQ_2023-06-08_full.csv.gz QQQ 2023-06-08 close whole
QQQ_2023-06-09_full_hdr0611.csv.gz QQQ 2023-06-09 close whole
QQQ_2023-06-12_full.csv.gz QQQ 2023-06-12 close whole
QQQ_2023-09-22_full.csv.gz QQQ 2023-09-22 close whole
RUT_2022-12-12_full.csv.gz RUT 2022-12-12 close whole unexpected_header_line
SPX_2022-01-07_jan_only.csv.gz SPX 2022-01-07 close partial
SPX_2022-02-04_full.csv.gz SPX 2022-02-04 close whole
SPX_2022-02-18_full.csv.gz SPX 2022-02-18 close whole
SPX_2022-03-23_intraday1011.csv.gz SPX 2022-03-23 09:56 whole
SPX_2022-07-12_intraday1155.csv.gz SPX 2022-07-12 11:40 whole
SPX_2022-09-13_full_noheader.csv.gz SPX 2022-09-13 close whole date_from_file_name
    expiry_dates_rewritten spot_missing
SPX_2023-02-03_feb_only.csv.gz SPX 2023-02-03 close partial
SPX_2023-02-07_full.csv.gz SPX 2023-02-07 close whole
SPX_2023-04-05_full_bid0.csv.gz SPX 2023-04-05 close whole zero_bids
SPX_2023-04-06_full_bid0.csv.gz SPX 2023-04-06 close whole zero_bids
SPX_2023-04-10_full.csv.gz SPX 2023-04-10 close whole
SPX_2023-04-14_full.csv.gz SPX 2023-04-14 close whole
SPX_2023-04-14_full_redownload0416.csv.gz SPX 2023-04-14 close whole
SPX_2023-04-17_full.csv.gz SPX 2023-04-17 close whole
SPX_2023-05-05_full.csv.gz SPX 2023-05-05 close whole
SPX_2023-05-19_full.csv.gz SPX 2023-05-19 close whole
SPX_2023-05-23_full.csv.gz SPX 2023-05-23 close whole
SPX_2023-06-08_full.csv.gz SPX 2023-06-08 close whole
SPX_2023-06-09_close_90strikes.csv.gz SPX 2023-06-09 close partial
SPX_2023-06-09_intraday1340.csv.gz SPX 2023-06-09 13:25 whole
SPX_2023-09-01_full.csv.gz SPX 2023-09-01 close whole
SPX_2023-09-14_full.csv.gz SPX 2023-09-14 close whole
SPX_2024-02-12_full_nogreeks.csv.gz SPX 2024-02-12 close whole pre_open_download
SPX_2024-11-08_nov_atm.csv.gz SPX 2024-11-08 close partial pre_open_download
SPX_2025-01-06_feb_only.csv.gz SPX 2025-01-06 close partial
SPX_2025-01-06_jan_only.csv.gz SPX 2025-01-06 close partial
SPX_2025-01-22_full_longformat.csv.gz SPX 2025-01-22 close whole date_from_file_name root_inferred
SPX_2025-10-01_11files.tar.gz:spx_quotedata-10.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-2.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-3.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-4.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-5.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-6.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-7.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-8.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata-9.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata.csv SPX 2025-10-01 close partial
SPX_2025-10-01_11files.tar.gz:spx_quotedata_aug.csv SPX 2025-10-01 close partial
SPX_2026-03-13_atm.csv.gz SPX 2026-03-13 close partial
SPY_2023-04-11_full_named_spx.csv.gz SPY 2023-04-11 close whole
SPY_2023-04-14_full.csv.gz SPY 2023-04-14 close whole
SPY_2023-04-14_full_redownload0416.csv.gz SPY 2023-04-14 close whole
SPY_2023-04-26_full_bid0_hdr0427.csv.gz SPY 2023-04-26 close whole pre_open_download zero_bids
SPY_2023-05-19_full.csv.gz SPY 2023-05-19 close whole
SPY_2023-06-02_full_badhdr.csv.gz SPY 2023-06-02 close whole date_from_file_name
    header_date_unreadable
SPY_2023-09-14_full.csv.gz SPY 2023-09-14 close whole
SPY_2025-04-30_may.csv.gz SPY 2025-04-30 close partial
SPY_2025-05-01_may.csv.gz SPY 2025-05-01 close partial
SPY_2025-05-01_may_hdr0502.csv.gz SPY 2025-04-30 close partial file_name_date_mismatch
    pre_open_download spot_disagrees_with_chain
SPY_2025-05-02_may.csv.gz SPY 2025-05-02 close partial
SPY_2025-05-02_may_hdr0506.csv.gz SPY 2025-05-02 close partial header_date_after_expired_series
SPY_2025-05-06_may.csv.gz SPY 2025-05-06 close partial
SPY_2025-05-07_may_hdr0508.csv.gz SPY 2025-05-07 close partial pre_open_download
    spot_disagrees_with_chain
SPY_2025-05-07_may_hdr0508pm.csv.gz SPY 2025-05-07 close partial header_date_after_expired_series
    spot_disagrees_with_chain
SPY_2025-05-16_may.csv.gz SPY 2025-05-16 close partial spot_disagrees_with_chain
SPY_2025-06-09_jun.csv.gz SPY 2025-06-09 close partial
SPY_2025-08-29_sep.csv.gz SPY 2025-08-29 close partial
SPY_2025-09-03_sep.csv.gz SPY 2025-09-02 close partial file_name_date_mismatch
    header_date_after_expired_series
SPY_2025-09-25_oct.csv.gz SPY 2025-09-25 close partial
TSLA_2023-08-18_one_expiry.csv.gz TSLA 2023-08-18 close partial spot_disagrees_with_chain
VIX_2023-05-15_intraday1147.csv.gz VIX 2023-05-15 11:32 whole
XSP_2023-09-14_full.csv.gz XSP 2023-09-14 close whole
"""


@dataclass(frozen=True)
class Expected:
    source: str
    underlying: str
    session: date
    quoted: str
    is_partial: bool
    findings: frozenset[str]


def _expected() -> dict[str, Expected]:
    lines = EXPECTED.strip().replace("\n    ", " ").split("\n")
    found = {}
    for line in lines:
        source, underlying, session, quoted, completeness, *codes = line.split()
        is_partial = completeness == "partial"
        findings = frozenset([*codes, *(["partial_chain"] if is_partial else [])])
        found[source] = Expected(
            source, underlying, date.fromisoformat(session), quoted, is_partial, findings
        )
    return found


TABLE = _expected()
FILES = sorted({source.split(":")[0] for source in TABLE})


@cache
def _read(path: Path) -> tuple[ChainSnapshot, ...]:
    return tuple(read_chain_file(path))


@pytest.fixture
def snapshots(shared_data):
    """Read one recorded file, once for all tests."""
    return lambda name: _read(shared_data / "cboe_csv" / name)


def test_the_table_lists_every_recorded_file(shared_data):
    recorded = {path.name for path in (shared_data / "cboe_csv").iterdir()}

    assert recorded == set(FILES)
    assert len(TABLE) == 78 + 11


@pytest.mark.parametrize("name", sorted(set(FILES) - NAMED_WRONGLY))
def test_the_session_is_the_proven_date_in_the_name(snapshots, name):
    assert {snapshot.session_date for snapshot in snapshots(name)} == {named_date(name)}


@pytest.mark.parametrize("name", FILES)
def test_a_recorded_file_is_dated_judged_and_typed_as_the_table_says(snapshots, name):
    found = snapshots(name)

    assert {s.source_name for s in found} == {s for s in TABLE if s.split(":")[0] == name}
    for snapshot in found:
        expected = TABLE[snapshot.source_name]
        end = quotes_end("XNYS", snapshot.session_date)
        local = f"{snapshot.event_at.astimezone(NEW_YORK):%H:%M}"
        assert snapshot.underlying == expected.underlying
        assert snapshot.session_date == expected.session
        assert ("close" if snapshot.event_at == end else local) == expected.quoted
        assert snapshot.is_partial == expected.is_partial
        assert {finding.code for finding in snapshot.findings} == expected.findings
        assert snapshot.known_at >= snapshot.event_at
        _assert_sound(snapshot.rows)


def _assert_sound(rows: pa.Table) -> None:
    """Schema, order, uniqueness, and columns that agree with the symbol."""
    assert rows.schema.equals(tables.CHAIN_SNAPSHOTS.schema)
    for column in tables.CHAIN_SNAPSHOTS.columns:
        assert column.nullable or rows[column.name].null_count == 0, column.name
        if column.lower is not None:
            least = pc.min(rows[column.name]).as_py()
            assert least is None or least >= column.lower, column.name
    key = list(tables.CHAIN_SNAPSHOTS.key)
    ordered = rows.sort_by([(name, "ascending") for name in key])
    assert ordered.select(key).equals(rows.select(key))
    assert pc.count_distinct(rows["symbol"]).as_py() == rows.num_rows
    for row in (0, rows.num_rows // 2, rows.num_rows - 1):
        contract = parse_osi(rows["symbol"][row].as_py())
        said = [rows[name][row].as_py() for name in ("root", "expiry_date", "right", "strike")]
        assert said == [contract.root, contract.expiry_date, contract.right, contract.strike]


def test_no_row_of_a_recorded_file_is_lost(snapshots):
    lines = {"SPX_2023-04-14_full.csv.gz": 18096, "SPX_2025-01-22_full_longformat.csv.gz": 25048}

    for name, options in lines.items():
        (snapshot,) = snapshots(name)
        assert snapshot.rows.num_rows + snapshot.rejected.num_rows == options


def test_an_adjusted_root_is_quarantined_and_does_not_refuse_the_file(snapshots):
    (snapshot,) = snapshots("AMD_2023-08-18_full.csv.gz")

    assert set(snapshot.rejected["reason"].to_pylist()) == {"adjusted_root"}
    assert snapshot.rejected.num_rows == 80
    assert snapshot.rows["root"].unique().to_pylist() == ["AMD"]


def test_a_second_download_of_the_same_chain_gives_the_same_quotes(snapshots):
    (first,) = snapshots("SPX_2023-04-14_full.csv.gz")
    (second,) = snapshots("SPX_2023-04-14_full_redownload0416.csv.gz")

    assert first.event_at == second.event_at
    assert first.known_at < second.known_at
    assert first.rows.drop_columns("known_at").equals(second.rows.drop_columns("known_at"))


def test_removed_vendor_columns_are_null_and_not_zero(snapshots):
    (snapshot,) = snapshots("SPX_2024-02-12_full_nogreeks.csv.gz")

    for name in ("vendor_implied_vol", "vendor_delta", "vendor_gamma"):
        assert snapshot.rows[name].null_count == snapshot.rows.num_rows
    assert snapshot.rows["bid"].null_count == 0


def test_morning_and_afternoon_roots_of_one_day_expire_apart(snapshots):
    (snapshot,) = snapshots("SPX_2023-05-19_full.csv.gz")
    today = snapshot.rows.filter(pc.equal(snapshot.rows["expiry_date"], date(2023, 5, 19)))
    clocks = {
        root: {
            f"{instant.astimezone(NEW_YORK):%H:%M}"
            for instant in today.filter(pc.equal(today["root"], root))["expires_at"].to_pylist()
        }
        for root in ("SPX", "SPXW")
    }

    assert clocks == {"SPX": {"09:30"}, "SPXW": {"16:00"}}


def test_roots_inferred_without_symbols_price_like_roots_with_symbols(snapshots):
    """The afternoon root costs more at every doubled strike near the money."""
    (snapshot,) = snapshots("SPX_2025-01-22_full_longformat.csv.gz")
    rows = snapshot.rows.filter(pc.equal(snapshot.rows["expiry_date"], date(2025, 2, 21)))
    near = pc.less(
        pc.abs(pc.subtract(pc.divide(rows["strike"], snapshot.rows["spot"][0]), 1)), 0.02
    )
    rows = rows.filter(pc.and_(near, pc.equal(rows["right"], "put")))
    asks = {
        root: dict(
            zip(
                rows.filter(pc.equal(rows["root"], root))["strike"].to_pylist(),
                rows.filter(pc.equal(rows["root"], root))["ask"].to_pylist(),
                strict=True,
            )
        )
        for root in ("SPX", "SPXW")
    }
    both = sorted(set(asks["SPX"]) & set(asks["SPXW"]))

    assert len(both) > 40
    assert all(asks["SPXW"][strike] > asks["SPX"][strike] for strike in both)


def test_members_of_an_archive_are_pieces_of_one_chain(snapshots):
    pieces = snapshots("SPX_2025-10-01_11files.tar.gz")
    symbols = list(chained.from_iterable(piece.rows["symbol"].to_pylist() for piece in pieces))

    assert len({piece.event_at for piece in pieces}) == 1
    assert len(set(symbols)) == len(symbols) == 1976


def test_reading_a_recorded_file_twice_gives_equal_tables(shared_data):
    path = shared_data / "cboe_csv" / "AMD_2023-08-18_full.csv.gz"
    (first,), (second,) = read_chain_file(path), read_chain_file(path)

    assert first.rows.equals(second.rows)
    assert first.rejected.equals(second.rejected)
    assert first.findings == second.findings


def test_spots_of_the_same_minute_agree_across_underlyings(snapshots):
    spots = [
        snapshots(f"{symbol}_2023-09-14_full.csv.gz")[0].rows["spot"][0].as_py() * factor
        for symbol, factor in (("SPX", 1.0), ("XSP", 10.0), ("SPY", 10.0))
    ]

    assert np.ptp(spots) / spots[0] < 0.001
