"""The state of a chain under ticks: the last row of every contract, and the chain it makes.

Belongs here: keeping the last rows, and turning them into a raw chain in our units. Does not belong
here: reading files (`tardis`).

Prices of coin-margined options are in coin and become dollars with the forward of their own expiry
(`deribit_csv` says why); those of stable-coin-margined ones (``BTC_USDC-``) are dollars, the stable
coin taken as one. A side without price has no order: its price is 0, as in every chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import overload

import numpy as np
from numpy.typing import NDArray

from dealer_assets.providers.csv_fields import positive
from dealer_assets.providers.raw_chain import RawChain
from dealer_assets.providers.source_names import named_date
from dealer_assets.underlyings import Root, Underlying

NUMBERS = (
    "open_interest",
    "last_price",
    "bid_price",
    "bid_amount",
    "ask_price",
    "ask_amount",
    "mark_iv",
    "underlying_price",
    "delta",
    "gamma",
)
"""Numeric columns of a tick, in the order of `Ticks.numbers`."""

OLDEST_ROW = np.timedelta64(15, "m")
"""A contract last seen longer ago is reported."""

PROVIDER = "tardis"

_PER_CENT = 0.01
_NONE = -1

Instants = NDArray[np.datetime64]
Floats = NDArray[np.float64]
Note = tuple[str, str]


@dataclass(frozen=True)
class Ticks:
    """Rows of a file, in its order.

    Parameters
    ----------
    names : list of str
        Distinct symbols.
    codes : int64 array, shape (n,)
        Index into `names` of each row.
    stamp, local, expires : datetime64[us] array, shape (n,)
        The venue's instant, when the recorder had it, the expiry.
    numbers : float64 array, shape (10, n)
        Columns `NUMBERS`; NaN where empty.
    row_numbers : int64 array, shape (n,)
        Lines of the file.
    """

    names: list[str]
    codes: NDArray[np.int64]
    stamp: Instants
    local: Instants
    expires: Instants
    numbers: Floats
    row_numbers: NDArray[np.int64]


class Book:
    """The last row of each contract of one underlying.

    Parameters
    ----------
    underlying : Underlying
        Whose roots are followed, in the symbols of Deribit.
    name : str
        File name, for provenance.
    """

    def __init__(self, underlying: Underlying, name: str) -> None:
        self.underlying = underlying
        self._name = name
        roots = (*underlying.roots, *underlying.side_roots)
        self._roots: dict[str, Root] = {root.symbol: root for root in roots}
        self._places: dict[str, int] = {}
        self._symbols: list[str] = []
        self._stamp = np.empty(0, "datetime64[us]")
        self._local = np.empty(0, "datetime64[us]")
        self._expires = np.empty(0, "datetime64[us]")
        self._numbers = np.empty((len(NUMBERS), 0))
        self._lines = np.empty(0, np.int64)
        self._is_new = False

    def take(self, ticks: Ticks, part: slice) -> None:
        """Apply a run of rows: of each contract the one with the latest venue instant stays."""
        lookup = np.array([self._place(name) for name in ticks.names], np.int64)
        places = lookup[ticks.codes[part]]
        rows = np.arange(ticks.codes.size)[part]
        rows, places = rows[places >= 0], places[places >= 0]
        if not rows.size:
            return
        self._grow()
        order = np.argsort(ticks.stamp[rows], kind="stable")
        last = np.full(len(self._symbols), _NONE)
        last[places[order]] = rows[order]  # of repeated places, numpy keeps the last assignment
        touched = np.flatnonzero(last != _NONE)
        newest = last[touched]
        fresh = ~(ticks.stamp[newest] < self._stamp[touched])  # NaT is never later
        touched, newest = touched[fresh], newest[fresh]
        self._stamp[touched] = ticks.stamp[newest]
        self._local[touched] = ticks.local[newest]
        self._expires[touched] = ticks.expires[newest]
        self._numbers[:, touched] = ticks.numbers[:, newest]
        self._lines[touched] = ticks.row_numbers[newest]
        self._is_new = True

    def _place(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            is_ours = name.partition("-")[0] in self._roots
            place = self._places[name] = len(self._symbols) if is_ours else _NONE
            if is_ours:
                self._symbols.append(name)
        return place

    def _grow(self) -> None:
        more = len(self._symbols) - self._stamp.size
        if not more:
            return
        unknown = np.full(more, np.datetime64("NaT"), "datetime64[us]")
        self._stamp = np.concatenate([self._stamp, unknown])
        self._local = np.concatenate([self._local, unknown])
        self._expires = np.concatenate([self._expires, unknown])
        self._lines = np.concatenate([self._lines, np.zeros(more, np.int64)])
        empty = np.full((len(NUMBERS), more), np.nan)
        self._numbers = np.concatenate([self._numbers, empty], axis=1)

    def chain(self, *, at: np.datetime64) -> Iterator[RawChain]:
        """Yield the chain at an instant; nothing when no row came since the last, or none lives.

        Parameters
        ----------
        at : datetime64[us]
            UTC instant; contracts that have expired by then are left out.
        """
        alive = np.flatnonzero(self._expires > at)
        if not (self._is_new and alive.size):
            return
        self._is_new = False
        alive = alive[np.argsort(self._lines[alive])]
        symbols = [self._symbols[place] for place in alive.tolist()]
        columns = dict(zip(NUMBERS, self._numbers[:, alive], strict=True))
        spot, notes = self._spot(alive)
        stamped: datetime = at.astype("datetime64[us]").item()
        instant = stamped.replace(tzinfo=UTC)
        floats, price_notes = self._floats(symbols, columns)
        yield RawChain(
            provider=PROVIDER,
            source_name=self._name,
            source_sha256="",
            symbols=symbols,
            floats=floats,
            row_numbers=self._lines[alive],
            raw_texts=_Texts(symbols, self._stamp[alive], columns),
            claimed_underlying=self.underlying.symbol,
            downloaded_at=instant,
            quoted_at=instant,
            named_date=named_date(self._name),
            spot=spot,
            notes=(*self._age_notes(alive, at), *notes, *price_notes),
        )

    def _floats(
        self, symbols: Sequence[str], columns: dict[str, Floats]
    ) -> tuple[dict[str, Floats], tuple[Note, ...]]:
        roots = [self._roots[symbol.partition("-")[0]] for symbol in symbols]
        contract = np.array([root.multiplier for root in roots])
        is_linear = np.array(["_" in root.symbol for root in roots])
        forward = positive(columns["underlying_price"])
        dollars = np.where(is_linear, 1.0, forward)
        bid, ask = columns["bid_price"] * dollars, columns["ask_price"] * dollars
        floats = {
            "bid": np.where(np.isnan(bid) & ~np.isnan(dollars), 0.0, bid),
            "ask": np.where(np.isnan(ask) & ~np.isnan(dollars), 0.0, ask),
            "bid_size_contracts": columns["bid_amount"] / contract,
            "ask_size_contracts": columns["ask_amount"] / contract,
            "last_price": positive(columns["last_price"]) * dollars,
            "open_interest_contracts": columns["open_interest"] / contract,
            "venue_forward": forward,
            "vendor_implied_vol": positive(columns["mark_iv"] * _PER_CENT),
            "vendor_delta": columns["delta"],
            "vendor_gamma": columns["gamma"],
        }
        lost = int(np.isnan(dollars).sum())
        if not lost:
            return floats, ()
        text = f"{lost} rows without 'underlying_price': coin prices cannot be put in USD, unknown"
        return floats, (("forward_missing", text),)

    def _spot(self, alive: NDArray[np.int64]) -> tuple[float | None, tuple[Note, ...]]:
        """Newest forward of the nearest expiry: the file has no index price."""
        forward = positive(self._numbers[NUMBERS.index("underlying_price"), alive])
        known = alive[~np.isnan(forward)]
        if not known.size:
            return None, ()
        nearest = known[self._expires[known] == self._expires[known].min()]
        newest = nearest[np.argmax(self._stamp[nearest])]
        spot = float(self._numbers[NUMBERS.index("underlying_price"), newest])
        text = f"no index price: the forward of the nearest expiry ({spot:.2f}) stands for spot"
        return spot, (("spot_from_forward", text),)

    def _age_notes(self, alive: NDArray[np.int64], at: np.datetime64) -> tuple[Note, ...]:
        stale = int(np.count_nonzero(self._local[alive] < at - OLDEST_ROW))
        if not stale:
            return ()
        text = (
            f"{stale} of {alive.size} contracts were last seen more than 15 minutes before "
            f"{np.datetime_as_string(at, 'm')} UTC: expected one instant; kept, with the forward "
            "of their own time"
        )
        return (("stale_rows", text),)


class _Texts(Sequence[str]):
    """Rows as text, written only when asked for: the quarantine wants few."""

    def __init__(self, symbols: list[str], stamps: Instants, columns: dict[str, Floats]) -> None:
        self._symbols, self._stamps, self._columns = symbols, stamps, columns

    def __len__(self) -> int:
        return len(self._symbols)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        cells = (f"{name}={values[index]:g}" for name, values in self._columns.items())
        return f"{self._symbols[index]},{self._stamps[index]},{','.join(cells)}"
