"""Option symbols: OSI (US listed options) and Deribit, parsed and written strictly.

Belongs here: the text forms of a contract. Does not belong here: when a contract expires
(`sessions`), or which roots an underlying lists (`underlyings`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from dealer_assets.errors import BadInputError

_OSI = re.compile(r"^(?:O:)?([A-Z0-9]{1,6}?) *(\d{6})([CP])(\d{8})$")
_DERIBIT = re.compile(r"^([A-Z0-9_]+)-(\d{1,2}[A-Z]{3}\d{2})-(\d+(?:d\d+)?)-([CP])$")
_RIGHT = {"C": "call", "P": "put"}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Contract:
    """What an option symbol says.

    Parameters
    ----------
    root : str
        Option root, e.g. ``SPXW``, or the Deribit currency.
    expiry_date : datetime.date
        Listed expiry date.
    right : {"call", "put"}
        Right of the holder.
    strike : float
        Strike price.
    """

    root: str
    expiry_date: date
    right: str
    strike: float

    @property
    def osi(self) -> str:
        """Canonical OSI symbol without padding, e.g. ``SPXW251219C05900000``."""
        letter = self.right[0].upper()
        return f"{self.root}{self.expiry_date:%y%m%d}{letter}{round(self.strike * 1000):08d}"

    @property
    def deribit(self) -> str:
        """Deribit instrument name, e.g. ``BTC-27DEC24-100000-C``."""
        day = f"{self.expiry_date.day}{_MONTHS[self.expiry_date.month - 1]}"
        strike = f"{self.strike:.9f}".rstrip("0").rstrip(".")
        return (
            f"{self.root}-{day}{self.expiry_date:%y}-"
            f"{strike.replace('.', 'd')}-{self.right[0].upper()}"
        )


def parse_osi(symbol: str) -> Contract:
    """Parse an OSI symbol, padded or not, with or without the ``O:`` prefix.

    Parameters
    ----------
    symbol : str
        For example ``SPXW251219C05900000``, ``O:SPY240621P00500000`` or ``SPY   240621P00500000``.

    Returns
    -------
    Contract

    Raises
    ------
    BadInputError
        When the text is no OSI symbol or its date does not exist.
    """
    match = _OSI.match(symbol.strip())
    if match is None:
        raise BadInputError(
            f"expected an OSI option symbol (root, YYMMDD, C or P, strike x 1000 in 8 digits), "
            f"found {symbol!r}"
        )
    root, day, letter, strike = match.groups()
    try:
        expiry = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError as error:
        raise BadInputError(f"expiry date of option symbol {symbol!r} does not exist") from error
    return Contract(root, expiry, _RIGHT[letter], int(strike) / 1000.0)


def parse_deribit(name: str) -> Contract:
    """Parse a Deribit option name; ``d`` stands for a decimal point in the strike.

    Parameters
    ----------
    name : str
        For example ``BTC-27DEC24-100000-C`` or ``XRP_USDC-30JUN23-0d5-P``.

    Returns
    -------
    Contract

    Raises
    ------
    BadInputError
        When the text is no Deribit option name or its date does not exist.
    """
    match = _DERIBIT.match(name.strip())
    if match is None:
        raise BadInputError(f"expected a Deribit option name, found {name!r}")
    root, day, strike, letter = match.groups()
    if day[-5:-2] not in _MONTHS:
        raise BadInputError(f"expiry month of Deribit option {name!r} does not exist")
    month = _MONTHS.index(day[-5:-2]) + 1
    try:
        expiry = date(2000 + int(day[-2:]), month, int(day[:-5]))
    except ValueError as error:
        raise BadInputError(f"expiry date of Deribit option {name!r} does not exist") from error
    return Contract(root, expiry, _RIGHT[letter], float(strike.replace("d", ".")))
