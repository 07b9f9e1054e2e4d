"""Files that vendors sell or users save, written from the simulated market, for the inbox.

Belongs here: which files there are, their names, the block blotter and the tardis chain. Does not
belong here: the larger formats (`files_cme`, `files_dtcc`, `files_open_close`).

The same world and session give the same bytes.

=====================================================  ==========================================
``Cboe_OpenClose_C1_EOD_<date>.zip``                   market makers' and customers' trades, day
``Cboe_OpenClose_C1_10min_<date>_<HH-MM>.csv``         the same so far, at a New York time
``cme.settle.s.<yyyymmdd>.txt`` and ``.csv``           settlements of E-mini options
``CME_<series>_settlements_<date>.json``               the settlements page of a series, saved
``CME_<series>_volume_<date>.json``                    its volume report, open interest at close
``CFTC_CUMULATIVE_EQUITIES_<yyyy_mm_dd>.zip``          OTC reports of the session and the one before
``blotter_<date>.csv``                                 blocks of listed options, with sides
``deribit_options_chain_<date>_OPTIONS.csv.gz``        tardis' chain of Bitcoin options
=====================================================  ==========================================
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.domain.conventions import SECONDS_PER_YEAR
from dealer_assets.domain.pricing.black import black_greeks
from dealer_assets.providers.simulator.flow import session_flow
from dealer_assets.providers.simulator.noise import combine, counters, stream_key, uniform
from dealer_assets_tests.exchange import files_cme, files_dtcc
from dealer_assets_tests.exchange.cboe_rows import floats
from dealer_assets_tests.exchange.files_open_close import open_close_csv
from dealer_assets_tests.exchange.world import World

INDEX, COIN = "SPX", "BTC"
STAMPS = (time(10, 30), time(12, 0), time(15, 50))
"""New York times of the cumulative Open-Close files; those after an early close are left out."""

BLOTTER_COLUMNS = (
    "trade_id",
    "leg",
    "traded_at",
    "reported_at",
    "symbol",
    "size_contracts",
    "price",
    "price_currency",
    "side",
    "side_of",
    "underlying_price",
    "implied_vol",
    "venue",
    "rfq_id",
)
"""Of those that `docs/blotter.md` lists; the terms of a contract are in its symbol."""
TARDIS_COLUMNS = (
    "exchange,symbol,timestamp,local_timestamp,type,strike_price,expiration,open_interest,"
    "last_price,bid_price,bid_amount,bid_iv,ask_price,ask_amount,ask_iv,mark_price,mark_iv,"
    "underlying_index,underlying_price,delta,gamma,vega,theta,rho"
)
_BLOCKS = 8
_LATEST_BLOCK_MINUTES = 170
_SIDES_OF = ("dealer", "customer", "taker", "")
"""Whose sides two blocks each tell, the last none."""


def write_vendor_files(folder: Path, world: World, session_date: date) -> list[Path]:
    """Write every kind of file of a session.

    Parameters
    ----------
    folder : pathlib.Path
        Created when missing; files of the same names are replaced.
    world : World
        A simulated one: the session before and after are needed, and Bitcoin.
    session_date : datetime.date
        A New York session.

    Returns
    -------
    list of pathlib.Path
        In the order of this module's table.

    Raises
    ------
    BadInputError
        When the day is no New York session.
    NoDataError
        When the world's market lacks an underlying or a neighbouring session.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in _files(world, session_date):
        path = folder / name
        path.write_bytes(content)
        written.append(path)
    return written


def _files(world: World, day: date) -> Iterator[tuple[str, bytes]]:
    sessions.session_open("XNYS", day)  # refuses what is no session
    before, after = sessions.previous_session("XNYS", day), sessions.next_session("XNYS", day)
    today = _close(world, INDEX, day)
    yesterday = _close(world, INDEX, before)
    tomorrow = world.chain(INDEX, sessions.session_open("XNYS", after))
    yield from _open_close(world, day, today)
    yield from _cme(day, files_cme.settled_options(today, yesterday, tomorrow), today)
    yield from _dtcc(world, day, before, today=today, yesterday=yesterday)
    yield f"blotter_{day}.csv", blotter_csv(today, day, seed=world.seed)
    yield f"deribit_options_chain_{day}_OPTIONS.csv.gz", _tardis(world, day)


def _close(world: World, symbol: str, day: date) -> pa.Table:
    return world.chain(symbol, sessions.quotes_end("XNYS", day))


def _open_close(world: World, day: date, today: pa.Table) -> Iterator[tuple[str, bytes]]:
    name = f"Cboe_OpenClose_C1_EOD_{day}"
    flow = session_flow(world.seed, INDEX, day=day, density=world.density)
    content = open_close_csv(today, flow=flow, seed=world.seed, quote_date=day)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.csv", (2020, 1, 1, 0, 0, 0)), content)
    yield f"{name}.zip", packed.getvalue()
    for clock in STAMPS:
        at = datetime.combine(day, clock, sessions.NEW_YORK)
        if at <= sessions.session_close("XNYS", day):
            rows = world.chain(INDEX, at.astimezone(UTC))
            content = open_close_csv(rows, flow=flow, seed=world.seed, quote_date=None)
            yield f"Cboe_OpenClose_C1_10min_{day}_{clock:%H-%M}.csv", content


def _cme(
    day: date, options: list[files_cme.Settled], today: pa.Table
) -> Iterator[tuple[str, bytes]]:
    stem = f"cme.settle.s.{day:%Y%m%d}"
    future = round(today["spot"][0].as_py() * 4) / 4
    yield f"{stem}.txt", files_cme.settlement_text(options, day)
    yield f"{stem}.csv", files_cme.settlement_csv(options, day, future)
    for code in sorted({option.code for option in options}):
        series = [option for option in options if option.code == code]
        yield f"CME_{code}_settlements_{day}.json", files_cme.settlements_json(series, day)
        yield f"CME_{code}_volume_{day}.json", files_cme.volume_json(series, day)


def _dtcc(
    world: World, day: date, before: date, *, today: pa.Table, yesterday: pa.Table
) -> Iterator[tuple[str, bytes]]:
    old = files_dtcc.day_reports(yesterday, before, seed=world.seed)
    new = files_dtcc.terminations(old, day) + files_dtcc.day_reports(today, day, seed=world.seed)
    for date_of, reports, repeated in ((before, old, old[3:4]), (day, new, [*new[5:6], *old[:2]])):
        name = f"CFTC_CUMULATIVE_EQUITIES_{date_of:%Y_%m_%d}"
        yield f"{name}.zip", files_dtcc.repository_zip(reports, name, repeated=repeated)


def blotter_csv(rows: pa.Table, session_date: date, *, seed: int) -> bytes:
    """Return a blotter of block trades: one to three legs each, as `docs/blotter.md` has them.

    Parameters
    ----------
    rows : pyarrow.Table
        Chain whose contracts trade, at its prices.
    session_date : datetime.date
        Session.
    seed : int
        Of the choice.
    """
    close = sessions.session_close("XNYS", session_date)
    alive = rows.filter(
        pc.greater_equal(rows["expires_at"], pa.scalar(close, pa.timestamp("us", "UTC")))
    )
    quoted = alive.filter(pc.greater(pc.fill_null(alive["bid"], 0.0), 0.0))
    draws = uniform(
        stream_key(seed, "blotter", session_date.isoformat()), combine(counters(0, 10 * _BLOCKS), 0)
    ).reshape(_BLOCKS, 10)
    opened = sessions.session_open("XNYS", session_date)
    lines = [",".join(BLOTTER_COLUMNS)]
    for i in range(_BLOCKS):
        traded = opened + timedelta(minutes=int(_LATEST_BLOCK_MINUTES * draws[i, 0]))
        size = int(50 + 450 * draws[i, 1])
        side_of = _SIDES_OF[i // 2]
        for leg in range(1 + i % 3):
            row = quoted.slice(int(draws[i, 2 + leg] * quoted.num_rows), 1).to_pylist()[0]
            side = "buy" if draws[i, 6 + leg] < 0.5 else "sell"
            cells = (
                f"BLK-{session_date:%Y%m%d}-{i + 1:03d}",
                leg,
                f"{traded:%Y-%m-%dT%H:%M:%SZ}",
                f"{traded + timedelta(minutes=3):%Y-%m-%dT%H:%M:%SZ}",
                row["symbol"],
                size * (1 + leg),
                f"{0.5 * (row['bid'] + row['ask']):.2f}",
                "USD",
                side if side_of else "",
                side_of,
                row["spot"],
                row["vendor_implied_vol"] or "",
                "PHONE" if i % 2 else "RFQ",
                "" if i % 2 else f"RFQ-{i + 1}",
            )
            lines.append(",".join(map(str, cells)))
    return ("\n".join(lines) + "\n").encode()


def _tardis(world: World, day: date) -> bytes:
    """Tardis' chain of a UTC day, at three instants; prices in coin, vols in per cent."""
    opened = sessions.session_open("24/7", day)
    lines = [TARDIS_COLUMNS]
    for hours in (4, 12, 20):  # just before full hours: readers cut the day into them
        at = opened + timedelta(hours=hours) - timedelta(minutes=1)
        lines += _tardis_lines(world.chain(COIN, at))
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def _tardis_lines(rows: pa.Table) -> Iterator[str]:
    forward, spot = floats(rows, "venue_forward", np.nan), floats(rows, "spot")
    vol = floats(rows, "vendor_implied_vol", np.nan)
    now = rows["event_at"][0].value
    expires = rows["expires_at"].cast(pa.int64()).to_numpy()
    years = (expires - now) / 1e6 / SECONDS_PER_YEAR
    greeks = black_greeks(
        forward,
        floats(rows, "strike"),
        S=forward,
        T=years,
        sigma=vol,
        D=np.ones(vol.size),
        is_call=np.asarray(pc.equal(rows["right"], "call"), bool),
    )
    prices = {
        name: floats(rows, name, np.nan) / forward for name in ("last_price", "bid", "ask")
    } | {"mark": greeks.price / forward}
    numbers = zip(
        floats(rows, "strike").tolist(),
        expires.tolist(),
        floats(rows, "open_interest_contracts").tolist(),
        prices["last_price"].tolist(),
        prices["bid"].tolist(),
        floats(rows, "bid_size_contracts", np.nan).tolist(),
        (100.0 * vol - 0.5).tolist(),
        prices["ask"].tolist(),
        floats(rows, "ask_size_contracts", np.nan).tolist(),
        (100.0 * vol + 0.5).tolist(),
        prices["mark"].tolist(),
        (100.0 * vol).tolist(),
        np.where(np.isnan(forward), spot, forward).tolist(),
        greeks.delta.tolist(),
        greeks.gamma.tolist(),
        greeks.vega.tolist(),
        greeks.theta.tolist(),
        greeks.rho.tolist(),
        strict=True,
    )
    symbols, rights = rows["symbol"].to_pylist(), rows["right"].to_pylist()
    for symbol, right, row in zip(symbols, rights, numbers, strict=True):
        strike, expiry, *rest = row
        cells = [_number(value) for value in rest]
        cells.insert(10, f"SYN.{symbol.rsplit('-', 2)[0]}")
        first = ("deribit", symbol, now, now + 400_000, right, f"{strike:g}", expiry)
        yield ",".join([*map(str, first), *cells])


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.5f}".rstrip("0").rstrip(".")
