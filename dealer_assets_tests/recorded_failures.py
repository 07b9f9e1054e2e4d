"""Every real failure of data that the recorded collection lists, and what catches it.

Belongs here: the list, and the way of its files through import and judgement. Does not belong here:
assertions (`test_recorded_failures`), the report (`reference/make_anomaly_study`).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from dealer_assets import tables
from dealer_assets.derived.data_quality import judge_session
from dealer_assets.intake.imports import import_files
from dealer_assets.intake.outcome import Outcome
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.underlyings import underlying
from dealer_assets_tests.recorded_files import YFINANCE, tsla_files, yfinance_files


@dataclass(frozen=True)
class Failure:
    """A recorded failure, and what catches it.

    Parameters
    ----------
    what : str
        The failure in words.
    files : tuple of str
        Names within the collection, in the order of import; ``parquet@day`` is a day's file out of
        a container, ``file>name`` one under the name it was published with.
    where : tuple of str and str, optional
        Underlying and session that the rows end up in.
    kinds : tuple of str
        Kinds of `data_anomalies` there.
    statuses : tuple of str
        Status of the last file's outcome, where the import itself catches it.
    refusal : str
        Words of the refusal.
    """

    what: str
    files: tuple[str, ...]
    where: tuple[str, str] | None = None
    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    refusal: str = ""


_NVDA, _AAPL, _NFLX = YFINANCE
_OVERNIGHT = ("wiped_open_interest", "zero_bids")
_TSLA = "yfinance_daily/TSLA_2026-04-15_2026-08-21.parquet"

FAILURES: tuple[Failure, ...] = (
    Failure(
        "96-98 % zero bids",
        ("cboe_csv/SPX_2023-04-05_full_bid0.csv.gz",),
        ("SPX", "2023-04-05"),
        ("zero_bids",),
    ),
    Failure(
        "96-98 % zero bids",
        ("cboe_csv/SPX_2023-04-06_full_bid0.csv.gz",),
        ("SPX", "2023-04-06"),
        ("zero_bids",),
    ),
    Failure(
        "no bid at all, downloaded before the next open",
        ("cboe_csv/SPY_2023-04-26_full_bid0_hdr0427.csv.gz",),
        ("SPY", "2023-04-26"),
        ("shifted_open_interest", "zero_bids"),
    ),
    Failure(
        "the same chain downloaded again on Sunday",
        (
            "cboe_csv/SPX_2023-04-14_full.csv.gz",
            "cboe_csv/SPX_2023-04-14_full_redownload0416.csv.gz",
        ),
        statuses=("held",),
    ),
    Failure(
        "the same chain downloaded again on Sunday, expired series removed",
        (
            "cboe_csv/SPY_2023-04-14_full.csv.gz",
            "cboe_csv/SPY_2023-04-14_full_redownload0416.csv.gz",
        ),
        statuses=("superseded",),
    ),
    Failure(
        "the same chain downloaded again four days later, with a new header date",
        ("cboe_csv/SPY_2025-05-02_may.csv.gz", "cboe_csv/SPY_2025-05-02_may_hdr0506.csv.gz"),
        statuses=("held",),
    ),
    Failure(
        "the same chain downloaded twice the day after",
        (
            "cboe_csv/SPY_2025-05-07_may_hdr0508.csv.gz",
            "cboe_csv/SPY_2025-05-07_may_hdr0508pm.csv.gz",
        ),
        ("SPY", "2025-05-07"),
        ("shifted_open_interest", "spot_disagrees"),
        ("held",),
    ),
    Failure(
        "ten days too early a date in the header",
        ("cboe_csv/NDX_2023-05-23_full_wronghdr0513.csv.gz",),
        ("NDX", "2023-05-23"),
        ("date_corrected",),
    ),
    Failure(
        "no readable date in the header",
        ("cboe_csv/SPY_2023-06-02_full_badhdr.csv.gz",),
        ("SPY", "2023-06-02"),
        ("date_corrected",),
    ),
    Failure(
        "the day before under a later date, made before the open",
        ("cboe_csv/SPY_2025-05-01_may_hdr0502.csv.gz",),
        ("SPY", "2025-04-30"),
        ("date_corrected", "shifted_open_interest", "spot_disagrees"),
    ),
    Failure(
        "the day before under a later date",
        ("cboe_csv/SPY_2025-09-03_sep.csv.gz",),
        ("SPY", "2025-09-02"),
        ("date_corrected",),
    ),
    Failure(
        "SPY under the name of SPX",
        ("cboe_csv/SPY_2023-04-11_full_named_spx.csv.gz>spx_quotedata_2023-04-11.csv.gz",),
        ("SPY", "2023-04-11"),
        ("underlying_corrected",),
    ),
    Failure(
        "NVDA under the name of SPX",
        ("cboe_csv/NVDA_2025-01-06_jan_named_spx.csv.gz>spx_quotedata_2025-01-06.csv.gz",),
        ("NVDA", "2025-01-06"),
        ("underlying_corrected",),
    ),
    Failure(
        "saved again by a spreadsheet: dates rewritten, header lost",
        ("cboe_csv/SPX_2022-09-13_full_noheader.csv.gz",),
        ("SPX", "2022-09-13"),
        ("date_corrected",),
    ),
    Failure(
        "vols and Greeks removed, downloaded before the next open",
        ("cboe_csv/SPX_2024-02-12_full_nogreeks.csv.gz",),
        ("SPX", "2024-02-12"),
        ("shifted_open_interest",),
    ),
    Failure(
        "re-shaped, without symbols and date",
        ("cboe_csv/SPX_2025-01-22_full_longformat.csv.gz",),
        ("SPX", "2025-01-22"),
        ("date_corrected",),
    ),
    Failure(
        "eleven downloads of one or two expiries each",
        ("cboe_csv/SPX_2025-10-01_11files.tar.gz",),
        statuses=("merged",),
    ),
    Failure(
        "Yahoo's overnight failure: bids 0, open interest wiped, volume kept",
        ("yahoo_cboe_json/SPY_2026-07-08T045137.json.gz",),
        ("SPY", "2026-07-07"),
        _OVERNIGHT,
    ),
    Failure(
        "Yahoo's overnight failure",
        ("yahoo_cboe_json/SPY_2026-07-10T014755.json.gz",),
        ("SPY", "2026-07-09"),
        _OVERNIGHT,
    ),
    Failure(
        "Yahoo's overnight failure",
        ("yahoo_cboe_json/AAPL_2026-07-15T041301.json.gz",),
        ("AAPL", "2026-07-14"),
        _OVERNIGHT,
    ),
    Failure(
        "Yahoo's overnight failure",
        ("yahoo_cboe_json/NVDA_2026-07-15T041413.json.gz",),
        ("NVDA", "2026-07-14"),
        _OVERNIGHT,
    ),
    Failure(
        "the source begins to count both roots: 13.3 to 24.5 million",
        ("occ_oi/SPX_oi_2026-08-10_to_2026-08-24.json.gz",),
        ("SPX", "2026-08-17"),
        ("open_interest_unit_jump",),
    ),
    Failure(
        "expired puts keep their open interest, calls do not",
        ("occ_oi/SPX_oi_2026-08-10_to_2026-08-24.json.gz",),
        ("SPX", "2026-08-24"),
        ("open_interest_left_of_expired",),
    ),
    Failure(
        "open interest wiped, no bid and ask",
        (f"{_TSLA}@2026-04-15",),
        ("TSLA", "2026-04-15"),
        ("no_quotes", "wiped_open_interest"),
    ),
    Failure(
        "open interest wiped, no bid and ask",
        (f"{_TSLA}@2026-04-16",),
        ("TSLA", "2026-04-16"),
        ("no_quotes", "wiped_open_interest"),
    ),
    Failure(
        "a run on Saturday, and one on Sunday",
        (f"{_TSLA}@2026-04-18", f"{_TSLA}@2026-04-19"),
        ("TSLA", "2026-04-17"),
        ("no_quotes", "weekend_run"),
        ("merged",),
    ),
    Failure(
        "Thanksgiving, dated by its trades; volume of days ago",
        (f"{_NVDA}@2025-11-26", f"{_NVDA}@2025-11-27"),
        ("NVDA", "2025-11-26"),
        ("date_corrected", "volume_carry_over"),
    ),
    Failure(
        "Thanksgiving",
        (f"{_AAPL}@2025-11-26", f"{_AAPL}@2025-11-27"),
        ("AAPL", "2025-11-26"),
        ("date_corrected", "volume_carry_over"),
    ),
    Failure(
        "half day, a quarter of the contracts missing",
        (f"{_NVDA}@2025-11-26", f"{_NVDA}@2025-11-28"),
        ("NVDA", "2025-11-28"),
        ("partial_chain",),
    ),
    Failure(
        "half day, crossed quotes and 40 % of the contracts missing",
        (f"{_AAPL}@2025-11-28",),
        refusal="crossed_quote",
    ),
    Failure(
        "Thanksgiving of an underlying that is not registered",
        (f"{_NFLX}@2025-11-27",),
        refusal="unknown option root 'NFLX'",
    ),
    Failure(
        "header columns without values: two roots' files, each a part",
        ("eod_l3/L3_SPXW_20240423.csv.gz",),
        ("SPX", "2024-04-23"),
        ("partial_chain",),
    ),
    Failure(
        "Greeks without prices",
        ("deribit/r1quant_BTC_one_snapshot.csv.gz",),
        ("BTC", "2026-03-05"),
        ("no_quotes",),
    ),
    Failure(
        "several hours in a file that may have one",
        ("deribit/r1quant_BTC_hourly_sample.csv.gz",),
        refusal="expected one 'date' for all rows",
    ),
    Failure(
        "contracts kept at the money only, most priced in USDC",
        ("deribit/tardis_atm_quotes_2025-10.csv.gz",),
        ("BTC", "2025-10-01"),
        ("spot_disagrees", "stale_quotes"),
    ),
    Failure(
        "three rows, made by hand",
        ("deribit/fixtures_nautilus/options_chain.csv",),
        ("BTC", "2020-06-08"),
        ("partial_chain",),
    ),
    Failure(
        "other people's numbers",
        ("gex_reference/squeezemetrics_dix_gex_2011_2022.csv.gz",),
        refusal="expected a chain",
    ),
    Failure(
        "vendor's Greeks with iv_error = 100",
        ("thetadata/option_history_greeks_all.csv",),
        refusal="expected a chain",
    ),
)


def files_of(failure: Failure, shared: Path, folder: Path) -> list[Path]:
    """Return the files of a failure, taken out of their containers and renamed as told."""
    return [path for name in failure.files for path in _files(name, shared, folder)]


def _files(name: str, shared: Path, folder: Path) -> list[Path]:
    container, _, day = name.partition("@")
    if day:
        if container == _TSLA:
            return tsla_files(shared, folder, days=(day,))
        return yfinance_files(shared / container, folder, days=(day,))
    source, _, published = name.partition(">")
    if not published:
        return [shared / source]
    return [Path(shutil.copy(shared / source, folder / published))]


def imported(failure: Failure, lake: Lake, shared: Path, folder: Path) -> list[Outcome]:
    """Import the files of a failure."""
    return list(import_files(lake, files_of(failure, shared, folder)))


def judged(failure: Failure, lake: Lake) -> pa.Table:
    """Judge the session of a failure, and return its `tables.DATA_ANOMALIES`."""
    if failure.where is None:
        return tables.DATA_ANOMALIES.schema.empty_table()
    symbol, day = failure.where[0], date.fromisoformat(failure.where[1])
    judge_session(lake, underlying(symbol), day)
    return read_partition(lake, tables.DATA_ANOMALIES, symbol, day)
