"""CME's option products that hedge an underlying of the registry, and when their series expire.

Belongs here: the small table from product code to future, underlying and multiplier, and the rules
by which a product's name gives its expiry. Does not belong here: reading files.

Sources: CME's contract specifications. A product that is not here is left out of an import: its
multiplier and its price notation (eighths, sixty-fourths) would be guesses.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

from dealer_assets.domain.sessions import is_session, session_on_or_before

MONTHS = {
    name: number
    for number, names in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL JLY", "AUG", "SEP", "OCT", "NOV", "DEC"), 1
    )
    for name in names.split()
}
"""Month names as printed in settlement files; July has two."""

MONTH_LETTERS = {letter: number for number, letter in enumerate("FGHJKMNQUVXZ", 1)}
"""Month letters of futures' symbols."""

_FRIDAY = 4


@dataclass(frozen=True)
class Product:
    """One option product.

    Parameters
    ----------
    code : str
        As CME names it, e.g. ``ES`` or ``E4A``.
    future : str
        The future it is exercised into.
    underlying : str
        Registry symbol that the future follows.
    multiplier : float
        Units of the underlying per contract.
    """

    code: str
    future: str
    underlying: str
    multiplier: float


_FUTURES = {
    "ES": ("SPX", 50.0),
    "MES": ("SPX", 5.0),
    "BTC": ("BTC", 5.0),
    "MBT": ("BTC", 0.1),
}
# Quarterlies and serials, month-ends, Fridays, and Mondays (A) to Thursdays (D).
_OPTIONS = {
    "ES": re.compile(r"ES|EW[1-5]?|E[1-5][A-D]"),
    "MES": re.compile(r"MES|EX[1-5]?|X[1-5][A-D]"),
    "BTC": re.compile(r"BTC"),
    "MBT": re.compile(r"MBT"),
}
_EVENT_CONTRACT = re.compile(r"EC[A-Z]+")  # pays a fixed sum: no option of ours
_WEEKLY = re.compile(r"(?:EW|EX)([1-5])|[EX]([1-5])([A-D])")


def product_of(code: str, *, future: str = "") -> Product | None:
    """Return the product with a code, or None when it hedges nothing of the registry.

    Parameters
    ----------
    code : str
        Option product as printed.
    future : str
        The future it is exercised into, where the file says so: codes that are not in the table
        (weeklies are added every few years) are known by it.
    """
    found = next((name for name, codes in _OPTIONS.items() if codes.fullmatch(code)), None)
    if found is None and future in _FUTURES and not _EVENT_CONTRACT.fullmatch(code):
        found = future
    if found is None or (future and future != found):
        return None
    underlying, multiplier = _FUTURES[found]
    return Product(code, found, underlying, multiplier)


def expiry_of(product: Product, year: int, month: int) -> date | None:
    """Return the expiry that a product's name means, or None when it is not certain.

    The quarterlies and serials of the S&P 500 expire on the third Friday, month-ends with the
    month's last session, weeklies on the n-th of their weekday, Bitcoin's on the last Friday. Where
    that day is a holiday, the exchange's notice decides, which no file holds: None.
    """
    if product.code in ("EW", "EX"):
        return session_on_or_before("XNYS", date(year, month, monthrange(year, month)[1]))
    match = _WEEKLY.fullmatch(product.code)
    if match:
        weekday = _FRIDAY if match[1] else "ABCD".index(match[3])
        day = _nth_weekday(year, month, weekday, int(match[1] or match[2]))
    elif product.code in ("ES", "MES"):
        day = _nth_weekday(year, month, _FRIDAY, 3)
    elif product.code in ("BTC", "MBT"):
        day = _nth_weekday(year, month, _FRIDAY, 5) or _nth_weekday(year, month, _FRIDAY, 4)
    else:
        return None
    return day if day is not None and is_session("XNYS", day) else None


def _nth_weekday(year: int, month: int, weekday: int, count: int) -> date | None:
    first = date(year, month, 1)
    day = first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))
    return day if day.month == month else None
