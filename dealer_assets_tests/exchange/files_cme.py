"""CME settlement files of options on the E-mini future, as a user saves them.

Belongs here: the text, CSV and JSON forms. Does not belong here: where the files go (`files_out`).

The options are the simulated index's: two months and the weekly of the next session, a tenth of
their size. What CME prints under
open interest beside settlements is the close before the session; the session's own is ``atClose``
of the volume report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets_tests.exchange.cboe_rows import aligned, floats

SIZE_SHARE = 0.1
CABINET = 0.05
"""Settlements at or below it are printed as CAB."""

_REACH = 0.12
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JLY", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_CODES = "FGHJKMNQUVXZ"
_CSV_HEADER = (
    "BizDt,Sym,ID,StrkPx,SecTyp,MMY,MatDt,PutCall,Exch,Desc,LastTrdDt,BidPrice,OpeningPrice,"
    "SettlePrice,SettleDelta,HighLimit,LowLimit,DHighPrice,DLowPrice,HighBid,LowBid,PrevDayVol,"
    "PrevDayOI,FixingPrice,UndlyExch,UndlyID,UndlySecTyp,UndlyMMY,BankBusDay"
)


@dataclass(frozen=True)
class Settled:
    """One option's day.

    Parameters
    ----------
    product : str
        Option product: ``ES``, or of a weekly e.g. ``E4A`` (fourth Monday).
    expiry : datetime.date
        Expiry.
    strike : float
        Strike.
    right : str
        ``call`` or ``put``.
    settle, prior : float
        Settlements of the session and the one before; 0 is a cabinet price.
    last : float
        Last trade, 0 without one.
    volume, prior_volume : int
        Contracts.
    interest, prior_interest : int
        Open interest at the close of the session, and of the one before.
    """

    product: str
    expiry: date
    strike: float
    right: str
    settle: float
    prior: float
    last: float
    volume: int
    prior_volume: int
    interest: int
    prior_interest: int

    @property
    def code(self) -> str:
        """The series as CME names it, e.g. ``ESZ26``."""
        return f"{self.product}{_MONTH_CODES[self.expiry.month - 1]}{self.expiry:%y}"


def settled_options(today: pa.Table, before: pa.Table, after: pa.Table) -> list[Settled]:
    """Return the options near the money of the two nearest months and the next session.

    Parameters
    ----------
    today, before : pyarrow.Table
        The index's chain at the close of the session and of the one before.
    after : pyarrow.Table
        At the open of the next: its open interest is this session's close.
    """
    days = pc.less(pc.abs(pc.subtract(pc.divide(today["strike"], today["spot"]), 1.0)), _REACH)
    near = today.filter(days)
    monthly = near.filter(pc.equal(near["settlement"], "am"))
    weekly = near.filter(pc.equal(near["expiry_date"], after["session_date"][0]))
    weekly = weekly.filter(pc.equal(weekly["settlement"], "pm"))
    options: list[Settled] = []
    for expiry in sorted(set(monthly["expiry_date"].to_pylist()))[:2]:
        rows = monthly.filter(pc.equal(monthly["expiry_date"], pa.scalar(expiry, pa.date32())))
        options += _settled("ES", rows, before, after)
    if weekly.num_rows:
        product = _weekly_product(weekly["expiry_date"][0].as_py())
        options += _settled(product, weekly, before, after)
    return options


def _weekly_product(expiry: date) -> str:
    week = (expiry.day - 1) // 7 + 1
    return f"EW{week}" if expiry.weekday() == 4 else f"E{week}{'ABCD'[expiry.weekday()]}"


def _settled(product: str, rows: pa.Table, before: pa.Table, after: pa.Table) -> list[Settled]:
    mid = 0.5 * (floats(rows, "bid", np.nan) + floats(rows, "ask", np.nan))
    prior = 0.5 * (aligned(rows, before, "bid") + aligned(rows, before, "ask"))
    counts = [
        floats(rows, "volume_contracts"),
        aligned(rows, before, "volume_contracts"),
        aligned(rows, after, "open_interest_contracts"),
        floats(rows, "open_interest_contracts"),
    ]
    whole = [np.floor(SIZE_SHARE * np.nan_to_num(count)).astype(int).tolist() for count in counts]
    last = floats(rows, "last_price")
    # a contract without a quote settles at its last trade
    settle = _settlement(np.where(np.isnan(mid), last, mid))
    columns: list[Sequence[Any]] = [
        rows["expiry_date"].to_pylist(),
        rows["strike"].to_pylist(),
        rows["right"].to_pylist(),
        settle.tolist(),
        np.where(np.isnan(prior), settle, _settlement(prior)).tolist(),
        last.tolist(),
        *whole,
    ]
    return [Settled(product, *row) for row in zip(*columns, strict=True)]


def _settlement(price: np.ndarray) -> np.ndarray:
    tick = np.where(np.nan_to_num(price) < 10.0, 0.05, 0.25)
    rounded = np.round(np.round(np.nan_to_num(price) / tick) * tick, 2)
    return np.where(rounded <= CABINET, 0.0, rounded)


def settlement_text(options: Sequence[Settled], session_date: date) -> bytes:
    """Return the settlement text: fixed columns, a section per month and right.

    Fields: strike, open, high, low, last, settlement, change, estimated volume; of the day before
    settlement, volume, open interest. ``----`` is missing, ``B`` and ``A`` mark a bid or an ask,
    ``CAB`` the cabinet price, ``UNCH`` no change.
    """
    names = ("OPEN", "HIGH", "LOW", "LAST", "SETT", "PT.CHGE", "EST.VOL", "SETT", "VOL", "INT")
    lines = [
        f"FINAL PRICES AS OF {session_date:%m/%d/%y} 07:00 PM (CST)",
        "MTH/" + " " * 20 + "---- DAILY ----" + " " * 38 + "---- PRIOR DAY ----",
        "STRIKE  " + "".join(f"{name:>10}" for name in names),
    ]
    for code in dict.fromkeys(o.code for o in options):
        for right in ("call", "put"):
            section = [o for o in options if (o.code, o.right) == (code, right)]
            first = section[0]
            month = f"{_MONTHS[first.expiry.month - 1]}{first.expiry:%y}"
            kind = "OPTIONS" if first.product == "ES" else "WEEKLY OPTIONS"
            lines.append(f"{first.product} {month} E-MINI S&P 500 {kind} {right.upper()}")
            lines += [f"{o.strike:<8.0f}" + "".join(f"{c:>10}" for c in _cells(o)) for o in section]
            total, prior = sum(o.volume for o in section), sum(o.prior_volume for o in section)
            interest = sum(o.prior_interest for o in section)
            lines.append(f"{'TOTAL':<8}{'':60}{total:>10}{'':10}{prior:>10}{interest:>10}")
    return ("\n".join(lines) + "\n").encode()


def _cells(option: Settled) -> list[str]:
    change = option.settle - option.prior
    traded = f"{option.last:.2f}" if option.volume and option.last > 0 else "----"
    low = f"{max(option.settle - 0.25, 0.05):.2f}B" if traded == "----" else traded
    high = f"{option.settle + 0.25:.2f}A" if traded == "----" else traded
    return [
        traded,
        high,
        low,
        traded,
        _price(option.settle),
        "UNCH" if change == 0 else f"{change:+.2f}",
        str(option.volume) if option.volume else "----",
        _price(option.prior),
        str(option.prior_volume) if option.prior_volume else "----",
        str(option.prior_interest) if option.prior_interest else "----",
    ]


def _price(value: float) -> str:
    return f"{value:.2f}" if value > 0.0 else "CAB"


def settlement_csv(options: Sequence[Settled], session_date: date, future: float) -> bytes:
    """Return the DataMine settlement file; ``PutCall`` is 1 for calls, open interest the prior."""
    lines = [_CSV_HEADER]
    first, price = options[0].expiry, f"{future:.2f}"
    lines.append(_csv_row(session_date, first, Sym="ES", ID="ES", SecTyp="FUT", SettlePrice=price))
    for o in options:
        lines.append(
            _csv_row(
                session_date,
                o.expiry,
                Sym=o.product,
                ID=o.product,
                SecTyp="OOF",
                StrkPx=f"{o.strike:.1f}",
                PutCall="1" if o.right == "call" else "0",
                SettlePrice=f"{o.settle:.2f}",
                PrevDayVol=str(o.prior_volume),
                PrevDayOI=str(o.prior_interest),
                UndlyExch="CME",
                UndlyID="ES",
                UndlySecTyp="FUT",
                UndlyMMY=_future_month(o.expiry),
            )
        )
    return ("\n".join(lines) + "\n").encode()


def _csv_row(session_date: date, expiry: date, **cells: str) -> str:
    known = {
        "BizDt": session_date.isoformat(),
        "MMY": f"{expiry:%Y%m}",
        "MatDt": expiry.isoformat(),
        "LastTrdDt": expiry.isoformat(),
        "Exch": "CME",
    } | cells
    return ",".join(f'"{known.get(name, "")}"' for name in _CSV_HEADER.split(","))


def _future_month(expiry: date) -> str:
    """The quarterly future that an option of a month is on."""
    return f"{expiry.year}{-(-expiry.month // 3) * 3:02d}"


def settlements_json(options: Sequence[Settled], session_date: date) -> bytes:
    """Return the settlements page of one series as saved from a browser: texts, then a total."""
    rows = []
    for o in options:
        _, high, low, last, settle, change, volume, *_ = _cells(o)
        rows.append(
            {
                "strike": f"{o.strike:,.0f}",
                "type": o.right.capitalize(),
                "open": _dash(last),
                "high": _dash(high),
                "low": _dash(low),
                "last": _dash(last),
                "change": change,
                "settle": settle,
                "volume": f"{o.volume:,}" if volume != "----" else "0",
                "openInterest": f"{o.prior_interest:,}",
            }
        )
    total = dict.fromkeys(rows[0], "") | {
        "strike": "Total",
        "volume": f"{sum(o.volume for o in options):,}",
        "openInterest": f"{sum(o.prior_interest for o in options):,}",
    }
    day = f"{session_date:%m/%d/%Y}"
    top = {"reportType": "Final", "tradeDate": day, "updateTime": f"{day} 07:00:00 PM CT"}
    return json.dumps({"settlements": [*rows, total]} | top | {"empty": False}, indent=1).encode()


def _dash(cell: str) -> str:
    return "-" if cell == "----" else cell


def volume_json(options: Sequence[Settled], session_date: date) -> bytes:
    """Return the volume report of one series: open interest at the close of the session itself."""
    expiry = options[0].expiry
    month = f"{_MONTHS[expiry.month - 1]} {expiry:%Y}"
    data = []
    for right in ("call", "put"):
        strikes = [
            {
                "strike": f"{o.strike:,.0f}",
                "globex": f"{o.volume:,}",
                "totalVolume": f"{o.volume:,}",
                "blockVolume": "0",
                "atClose": f"{o.interest:,}",
                "change": f"{o.interest - o.prior_interest:,}",
            }
            for o in options
            if o.right == right
        ]
        name = f"{options[0].code}-{right.capitalize()}s"
        data.append({"month": month, "monthID": name, "strikeData": strikes})
    top = {"tradeDate": f"{session_date:%Y%m%d}", "reportType": "F"}
    return json.dumps(top | {"monthData": data}, indent=1).encode()
