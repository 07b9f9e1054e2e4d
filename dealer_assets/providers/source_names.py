"""What a file's name says: a date, and an underlying.

Belongs here: reading names. Does not belong here: believing them; a name is a witness that header
and contents may contradict (`dating`, `assembly`).
"""

from __future__ import annotations

import re
from datetime import date

from dealer_assets.errors import UnknownUnderlyingError
from dealer_assets.underlyings import underlying, underlying_of_root

_DATE = re.compile(r"(?<!\d)(20\d{2})([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_LEADING_TOKEN = re.compile(r"[A-Za-z0-9]+")


def named_date(name: str) -> date | None:
    """Return the first date in a name, or None when it has none.

    Parameters
    ----------
    name : str
        File name; ``2023-04-14``, ``2023_04_14`` and ``20230414`` are read, other orders are
        ambiguous and are not.

    Returns
    -------
    datetime.date or None
    """
    for match in _DATE.finditer(name):
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:  # the 31st of February: digits that only look like a date
            continue
    return None


def named_underlying(name: str) -> str | None:
    """Return the registry symbol that a name starts with, or None when it starts with none.

    Parameters
    ----------
    name : str
        File name, e.g. ``SPX_2023-04-14.csv`` or ``spxw_quotedata.csv``.

    Returns
    -------
    str or None
    """
    match = _LEADING_TOKEN.match(name)
    token = match[0].upper() if match else ""
    for find in (underlying, underlying_of_root):
        try:
            return find(token).symbol
        except UnknownUnderlyingError:
            continue
    return None
