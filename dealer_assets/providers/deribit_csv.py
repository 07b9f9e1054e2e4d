"""Deribit option chains in two recorded CSV layouts.

Belongs here: these files' column names, clocks and units, and the step from coin to dollars. Does
not belong here: Deribit's own API, tardis' files (`tardis`), deciding the session or judging rows
(`assembly`).

=================  ======================  =======================================================
layout             recognised by           clock of the data (all UTC)
=================  ======================  =======================================================
options snapshot   ``index_price``         ``timestamp``, when the poller asked: no delay
Greeks snapshot    ``expiry_name``         none, or an hour label ``date``: found from the Greeks
=================  ======================  =======================================================

Inverse options are quoted in coin. A price times the forward of its own expiry, at its own instant
(``underlying``), is an undiscounted dollar value under Black-76 with that forward, which is how
Deribit's own vols and Greeks treat it. Vols are decimal in the options snapshot and percent in the
Greeks snapshot. Open interest is in contracts of one coin. Volume is left out: Deribit gives that
of the last 24 hours, which is no session's. A side without price has no order: its price is 0, as
in every chain.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from dealer_assets.errors import UnknownUnderlyingError
from dealer_assets.providers.csv_fields import (
    CsvTable,
    local_instants,
    positive,
    read_table,
    refuse,
    typical,
)
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import REGISTRY

Note = tuple[str, str]

_SYMBOL = "instrument_name"


@dataclass(frozen=True)
class _Layout:
    floats: Mapping[str, str]
    vol: str
    vol_unit: float
    coin_prices: Mapping[str, str] = field(default_factory=dict)
    forward: str | None = None
    others: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        forward = (self.forward,) if self.forward else ()
        return (_SYMBOL, self.vol, *self.floats, *self.coin_prices, *forward, *self.others)


_SNAPSHOT = _Layout(
    floats={
        "open_interest": "open_interest_contracts",
        "delta": "vendor_delta",
    },
    vol="implied_volatility",
    vol_unit=1.0,
    coin_prices={"bid_price": "bid", "ask_price": "ask"},
    forward="underlying",
    others=("timestamp", "index_price"),
)
_GREEKS = _Layout(
    floats={
        "open_interest": "open_interest_contracts",
        "delta": "vendor_delta",
        "gamma": "vendor_gamma",
    },
    vol="mark_iv",
    vol_unit=0.01,
    others=("expiry_date", "vega", "theta"),
)

_COIN_SYMBOL = re.compile(r"([A-Z0-9]+)(_[A-Z]+)?-")
_EXPIRY_HOUR = np.timedelta64(8, "h")

# Rows from which the Greeks' instant is read: sharp (vega of 15 USD and more is printed to 7
# digits) and short (a vol rounded to 0.01 points shifts a 20-day instant by 6 minutes at most).
_LEAST_VEGA = 15.0
_FEWEST_DAYS, _MOST_DAYS = 1.2, 20.0
_FEWEST_ROWS = 10
_WIDEST_SPREAD = np.timedelta64(10, "m")


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts like one of the two layouts: a header of CSV, no JSON.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed for these formats.
    """
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return False  # the API's own answers have the same field names
    first = head.partition(b"\n")[0]
    return b"instrument_name" in first and (b"index_price" in first or b"mark_iv" in first)


def parse(payload: bytes, *, name: str, sha256: str) -> list[RawChain]:
    """Parse one file of either layout.

    Parameters
    ----------
    payload : bytes
        CSV text.
    name : str
        File name, for messages and provenance.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of RawChain
        One per coin-margined currency of the registry, prices in USD. Rows of other currencies and
        of linear (USDC) options are left out, with a note.

    Raises
    ------
    BadInputError
        Naming file and column, when the payload is none of these, or has no instant.
    UnknownUnderlyingError
        When it holds no coin-margined options of a registered currency.
    """
    layout = _layout(payload[:4096].partition(b"\n")[0])
    table = read_table(payload, name, required=layout.required)
    currencies, linear = _currencies(table.columns[_SYMBOL])
    registered = [u.symbol for u in REGISTRY if "deribit" in u.vendor_symbols]
    notes = _exclusions(currencies, linear, registered)
    chains = []
    for currency in registered:
        rows = np.flatnonzero((currencies == currency) & ~linear)
        if rows.size:
            part = table.take(rows)
            chains.append(_chain(part, layout, currency=currency, sha256=sha256, notes=notes))
    if not chains:
        found = ", ".join(f"{n} {c}" for c, n in Counter(currencies.tolist()).most_common(5))
        raise UnknownUnderlyingError(
            f"{name}: expected coin-margined Deribit options of {', '.join(registered)}, found "
            f"rows of {found or 'nothing'}{' (linear)' if linear.any() else ''}; add the currency "
            "to dealer_assets/underlyings.py, or import another file"
        )
    return chains


def _layout(header: bytes) -> _Layout:
    return _SNAPSHOT if b"index_price" in header else _GREEKS


def _currencies(symbols: Sequence[str]) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    matches = [_COIN_SYMBOL.match(symbol) for symbol in symbols]
    currencies = np.array([match.group(1) if match else "?" for match in matches])
    return currencies, np.array([bool(match and match.group(2)) for match in matches])


def _exclusions(
    currencies: NDArray[np.str_], linear: NDArray[np.bool_], registered: list[str]
) -> tuple[Note, ...]:
    notes = []
    if linear.any():
        text = f"{int(linear.sum())} rows of linear options left out: priced in stable coin"
        notes.append(("linear_rows_excluded", text))
    others = Counter(currencies[~linear & ~np.isin(currencies, registered)].tolist())
    if others:
        found = ", ".join(f"{count} of {currency}" for currency, count in sorted(others.items()))
        text = f"rows of currencies without registry entry left out: {found}"
        notes.append(("other_currencies_excluded", text))
    return tuple(notes)


def _chain(
    table: CsvTable, layout: _Layout, *, currency: str, sha256: str, notes: tuple[Note, ...]
) -> RawChain:
    quoted_at, clock_notes = _quoted_at(table, layout)
    floats, price_notes = _floats(table, layout)
    is_snapshot = layout is _SNAPSHOT
    return RawChain(
        provider="deribit_csv",
        source_name=table.name,
        source_sha256=sha256,
        symbols=table.columns[_SYMBOL],
        floats=floats,
        row_numbers=table.row_numbers,
        raw_texts=table.lines,
        claimed_underlying=currency,
        downloaded_at=quoted_at if is_snapshot else None,  # Deribit answers without delay
        quoted_at=quoted_at,
        named_date=named_date(table.name),
        spot=typical(positive(table.numbers("index_price"))) if is_snapshot else None,
        notes=notes + clock_notes + price_notes,
    )


def _floats(
    table: CsvTable, layout: _Layout
) -> tuple[dict[str, NDArray[np.float64]], tuple[Note, ...]]:
    floats = {ours: table.numbers(theirs) for theirs, ours in layout.floats.items()}
    floats["vendor_implied_vol"] = positive(table.numbers(layout.vol) * layout.vol_unit)
    if layout.forward is None:
        text = "the file holds vols and Greeks: expected bid and ask; left unknown"
        return floats, (("no_prices", text),)
    forward = positive(table.numbers(layout.forward))
    floats["venue_forward"] = forward
    for theirs, ours in layout.coin_prices.items():
        floats[ours] = table.numbers(theirs) * forward
    for side in ("bid", "ask"):
        floats[side] = np.where(np.isnan(floats[side]) & ~np.isnan(forward), 0.0, floats[side])
    lost = int(np.isnan(forward).sum())
    if not lost:
        return floats, ()
    text = f"{lost} rows without {layout.forward!r}: coin prices cannot be put in USD, left unknown"
    return floats, (("forward_missing", text),)


def _quoted_at(table: CsvTable, layout: _Layout) -> tuple[datetime | None, tuple[Note, ...]]:
    if layout is not _GREEKS:
        return _latest(_instants(table, "timestamp")), ()
    label = _latest(_instants(table, "date")) if "date" in table.columns else None
    if label is not None:
        table.only_value("date")
    found = _instant_of_greeks(table)
    if found is None:
        return label, ()
    stated = f"{label:%Y-%m-%d %H:%M} UTC" if label else "no instant"
    text = (
        f"the file states {stated}; vega and theta together tell the time to expiry, hence "
        f"{found:%Y-%m-%d %H:%M} UTC, which is used"
    )
    return found, (("quoted_at_from_greeks", text),)


def _instant_of_greeks(table: CsvTable) -> datetime | None:
    """Instant at which Deribit's Greeks were computed, to the minute; None when unclear.

    With no rates, theta per day is ``-F phi(d1) vol / (2 sqrt(T) 365)`` and vega per vol point
    ``F phi(d1) sqrt(T) / 100``, so that the days to expiry are ``50 vol vega / |theta|``.
    """
    vol, vega = table.numbers(_GREEKS.vol) * _GREEKS.vol_unit, table.numbers("vega")
    theta = np.abs(table.numbers("theta"))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        days = 50.0 * vol * vega / theta  # infinite or NaN for options without time value
    dates = [f"{text} 00:00:00" for text in table.columns["expiry_date"]]
    expires_at = local_instants(dates) + _EXPIRY_HOUR
    sharp = (vega >= _LEAST_VEGA) & (days >= _FEWEST_DAYS) & (days <= _MOST_DAYS)
    sharp &= ~np.isnat(expires_at)
    if np.count_nonzero(sharp) < _FEWEST_ROWS:
        return None
    instants = expires_at[sharp] - (days[sharp] * 86_400e6).astype("timedelta64[us]")
    ranked = np.sort(instants)
    if ranked[3 * ranked.size // 4] - ranked[ranked.size // 4] > _WIDEST_SPREAD:
        return None
    return _latest((ranked[[ranked.size // 2]] + np.timedelta64(30, "s")).astype("datetime64[m]"))


def _latest(instants: NDArray[np.datetime64]) -> datetime:
    latest: datetime = instants.max().astype("datetime64[us]").item()
    return latest.replace(tzinfo=UTC)


def _instants(table: CsvTable, column: str) -> NDArray[np.datetime64]:
    """Column of UTC instants, as text."""
    cells = table.columns[column]
    instants = local_instants([c.removesuffix("Z").removesuffix("+00:00") for c in cells])
    if np.isnat(instants).any():
        row = int(np.flatnonzero(np.isnat(instants))[0])
        where = f"{column!r} on line {table.row_numbers[row]}"
        refuse(table.name, f"expected a UTC instant in {where}, found {cells[row]!r:.80}")
    return instants
