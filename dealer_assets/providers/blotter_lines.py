"""Lines of a blotter to legs, gathering every complaint instead of stopping at the first.

Belongs here: reading cells. Does not belong here: which columns there are, and the table
(`blotter`), contracts (`blotter_contracts`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from dealer_assets.errors import BadInputError
from dealer_assets.providers.blotter_contracts import Named, contract_named
from dealer_assets.providers.csv_fields import CsvTable

_SIDES = {"buy": "buy", "sell": "sell", "bought": "buy", "sold": "sell", "b": "buy", "s": "sell"}
_OTHER = {"buy": "sell", "sell": "buy"}
_SIDES_OF = ("dealer", "customer", "taker")
_HIGHEST_VOL = 10.0
"""Implied vols are decimal: 0.65 for 65 %; more than this is a percentage."""


@dataclass(frozen=True)
class Leg:
    """One believed line; `docs/blotter.md` has the meaning of each cell."""

    trade_id: str
    contract: Named
    traded_at: datetime
    reported_at: datetime | None
    size: float
    price: float | None
    price_currency: str
    taker_side: str | None
    dealer_side: str | None
    underlying_price: float | None
    implied_vol: float | None
    venue: str
    rfq_id: str | None


class Lines:
    """Reads a blotter's lines.

    Parameters
    ----------
    table : CsvTable
        The file.

    Attributes
    ----------
    complaints : list of str
        What is wrong, each with line and column; grows while lines are read.
    """

    def __init__(self, table: CsvTable) -> None:
        self.table = table
        self.complaints: list[str] = []

    def _cell(self, row: int, column: str) -> str:
        cells = self.table.columns.get(column)
        return cells[row].strip() if cells else ""

    def _complain(self, row: int, column: str, text: str) -> None:
        found = self._cell(row, column)
        line = int(self.table.row_numbers[row])
        self.complaints.append(f"line {line}, {column!r}: expected {text}, found {found!r:.60}")

    def _number(
        self, row: int, column: str, *, above: float | None = None, most: float = np.inf
    ) -> float | None:
        text = self._cell(row, column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value) or (above is not None and value <= above) or value > most:
            limits = "" if above is None else f" above {above:g}"
            limits += "" if most == np.inf else f", at most {most:g}"
            self._complain(row, column, f"a plain number{limits}")
            return None
        return value

    def _instant(self, row: int, column: str) -> datetime | None:
        text = self._cell(row, column)
        if not text:
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self._complain(row, column, "an instant with its zone, as 2026-10-01T14:30:00-04:00")
            return None
        return found.astimezone(UTC)

    def legs(self) -> list[Leg]:
        """Read all lines; those with complaints are left out."""
        found = (self._read(row) for row in range(len(self.table.lines)))
        return [leg for leg in found if leg is not None]

    def _read(self, row: int) -> Leg | None:
        before = len(self.complaints)
        if not self._cell(row, "trade_id"):
            self._complain(row, "trade_id", "an id")
        traded_at = self._instant(row, "traded_at")
        if not self._cell(row, "traded_at"):
            self._complain(row, "traded_at", "an instant with its zone")
        reported_at = self._instant(row, "reported_at")
        if traded_at and reported_at and reported_at < traded_at:
            self._complain(row, "reported_at", "an instant not before 'traded_at'")
        contract = self._contract(row, traded_at)
        underlying_price = self._number(row, "underlying_price", above=0.0)
        size = self._size(row, contract, underlying_price)
        price, currency = self._price(row, contract)
        taker_side, dealer_side = self._sides(row)
        implied_vol = self._number(row, "implied_vol", above=0.0, most=_HIGHEST_VOL)
        if len(self.complaints) > before or contract is None or traded_at is None or size is None:
            return None
        return Leg(
            trade_id=self._cell(row, "trade_id"),
            contract=contract,
            traded_at=traded_at,
            reported_at=reported_at,
            size=size,
            price=price,
            price_currency=currency,
            taker_side=taker_side,
            dealer_side=dealer_side,
            underlying_price=underlying_price,
            implied_vol=implied_vol,
            venue=self._cell(row, "venue"),
            rfq_id=self._cell(row, "rfq_id") or None,
        )

    def _contract(self, row: int, traded_at: datetime | None) -> Named | None:
        strike = self._number(row, "strike", above=0.0)
        if self._cell(row, "strike") and strike is None:
            return None
        try:
            found = contract_named(
                symbol=self._cell(row, "symbol"),
                underlying=self._cell(row, "underlying"),
                root=self._cell(row, "root"),
                expiry=self._cell(row, "expiry"),
                strike=strike,
                right=self._cell(row, "right"),
            )
        except BadInputError as error:
            line = int(self.table.row_numbers[row])
            self.complaints.append(f"line {line}: {error}")
            return None
        if traded_at is not None and found.expires_at <= traded_at:
            column = "symbol" if self._cell(row, "symbol") else "expiry"
            self._complain(row, column, f"an option alive at 'traded_at' ({traded_at:%Y-%m-%d})")
        return found

    def _size(self, row: int, contract: Named | None, spot: float | None) -> float | None:
        size = self._number(row, "size_contracts", above=0.0)
        notional = self._number(row, "notional", above=0.0)
        has_size, has_notional = (self._cell(row, c) != "" for c in ("size_contracts", "notional"))
        if has_size == has_notional:
            self._complain(row, "size_contracts", "either it or 'notional'")
            return None
        if has_size or notional is None or contract is None:
            return size
        currency = self._cell(row, "notional_currency").upper()
        if currency == contract.coin and contract.coin:
            return notional / contract.root.multiplier
        if currency != "USD":
            coin = f" or {contract.coin}" if contract.coin else ""
            self._complain(row, "notional_currency", f"USD{coin} beside 'notional'")
            return None
        if spot is None:
            self._complain(row, "underlying_price", "the price that a notional in USD is at")
            return None
        return notional / (contract.root.multiplier * spot)

    def _price(self, row: int, contract: Named | None) -> tuple[float | None, str]:
        price = self._number(row, "price")
        currency = self._cell(row, "price_currency").upper()
        if contract is None:
            return price, currency
        legal = ("USD", "USDC", contract.coin) if contract.coin else ("USD",)
        if self._cell(row, "price") and currency not in legal:
            self._complain(row, "price_currency", f"{' or '.join(legal)} beside 'price'")
        elif currency and currency not in legal:
            self._complain(row, "price_currency", " or ".join(legal))
        return price, currency

    def _sides(self, row: int) -> tuple[str | None, str | None]:
        """Return the taker's side and the dealer's, each where the row tells it."""
        stated, whose = self._cell(row, "side").lower(), self._cell(row, "side_of").lower()
        if not stated and not whose:
            return None, None
        side = _SIDES.get(stated)
        if side is None:
            self._complain(row, "side", "buy or sell")
        if whose not in _SIDES_OF:
            self._complain(row, "side_of", f"{', '.join(_SIDES_OF)} beside 'side'")
        if side is None or whose == "taker":
            return side, None
        return None, side if whose == "dealer" else _OTHER[side]

    def leg_numbers(self) -> list[int]:
        """Return the number of each leg in its trade: as written, else by order of the lines."""
        given: Counter[str] = Counter()
        seen: set[tuple[str, int]] = set()
        numbers = []
        for row in range(len(self.table.lines)):
            trade = self._cell(row, "trade_id")
            written = self._cell(row, "leg")
            if written and not (written.isdecimal() and len(written) < 6):
                self._complain(row, "leg", "a whole number from 0")
                written = ""
            number = int(written) if written else given[trade]
            given[trade] += 1
            if (trade, number) in seen:
                self._complain(row, "leg", f"leg {number} of trade {trade!r:.40} once")
            seen.add((trade, number))
            numbers.append(number)
        return numbers
