"""Which contracts are monitored, and into which buckets of moneyness and expiry they fall.

Belongs here: the grammar of `DEALER_MONITOR`, declared edges. Does not belong here: when contracts
are looked at (`polls`), what is measured (`features`). Source: `docs/methods/features.md`.

Moneyness is strike / spot; days to expiry are calendar days from the session to the expiry date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dealer_assets.domain.columns import Bools, Floats, Ints
from dealer_assets.errors import BadInputError
from dealer_assets.tables import RIGHTS

DEFAULT_MONITOR = "put 0.80-0.95 20-45d"
"""What is monitored of every underlying unless configured otherwise."""

MONEYNESS_STEP, MONEYNESS_FROM, MONEYNESS_TO = 0.025, 0.5, 1.5
"""Width of the moneyness buckets, and where the first and the last open ones begin."""

DTE_BUCKETS: tuple[tuple[int, str], ...] = (
    (1, "0-1"),
    (7, "2-7"),
    (19, "8-19"),
    (32, "20-32"),
    (45, "33-45"),
    (90, "46-90"),
)
"""Last calendar day and name of each bucket; later expiries are `LATE_BUCKET`."""

LATE_BUCKET = "91+"

_CELLS = round((MONEYNESS_TO - MONEYNESS_FROM) / MONEYNESS_STEP)
_EDGES = MONEYNESS_FROM + MONEYNESS_STEP * np.arange(_CELLS + 1)
_TOLERANCE = 1e-9
"""Share by which a strike may miss an edge that it lies on but for rounding."""

MONEYNESS_NAMES: tuple[str, ...] = (
    f"below {MONEYNESS_FROM:.3f}",
    *(f"{edge:.3f}" for edge in _EDGES[:-1]),
    f"{MONEYNESS_TO:.3f} and above",
)
DTE_NAMES: tuple[str, ...] = (*(name for _, name in DTE_BUCKETS), LATE_BUCKET)

_NUMBER = r"(\d+(?:\.\d+)?)"
_SLICE = re.compile(
    rf"(?:(?P<symbol>[A-Za-z0-9._^]+):)?\s*(?P<right>[A-Za-z]+)\s+{_NUMBER}\s*-\s*{_NUMBER}\s+"
    r"(\d+)\s*-\s*(\d+)\s*d"
)


@dataclass(frozen=True)
class Slice:
    """Contracts of one right within closed ranges.

    Parameters
    ----------
    right : {"call", "put", "any"}
        Which right.
    low, high : float
        Least and greatest strike / spot, both included.
    first_day, last_day : int
        Least and greatest calendar days to expiry, both included.
    symbol : str or None
        Underlying it is for; None: of every one that has no slice of its own.
    """

    right: Literal["call", "put", "any"]
    low: float
    high: float
    first_day: int
    last_day: int
    symbol: str | None = None

    def holds(self, moneyness: Floats, days: Ints, is_put: Bools) -> Bools:
        """Tell which contracts belong to the slice, shape (n,)."""
        low, high = self.low * (1.0 - _TOLERANCE), self.high * (1.0 + _TOLERANCE)
        inside = (moneyness >= low) & (moneyness <= high)
        inside &= (days >= self.first_day) & (days <= self.last_day)
        if self.right == "any":
            return inside
        return inside & (is_put if self.right == "put" else ~is_put)

    def __str__(self) -> str:
        """Spell the slice as it is configured."""
        prefix = f"{self.symbol}:" if self.symbol else ""
        days = f"{self.first_day}-{self.last_day}d"
        return f"{prefix}{self.right} {self.low:g}-{self.high:g} {days}"


@dataclass(frozen=True)
class Universe:
    """Everything that is monitored.

    Parameters
    ----------
    slices : tuple of Slice
        As configured, in order.
    """

    slices: tuple[Slice, ...]

    def of(self, symbol: str) -> Universe:
        """Return what is monitored of one underlying: its own slices, or else the default ones."""
        own = tuple(s for s in self.slices if s.symbol == symbol)
        return Universe(own or tuple(s for s in self.slices if s.symbol is None))

    def holds(self, moneyness: Floats, days: Ints, is_put: Bools) -> Bools:
        """Tell which contracts are monitored.

        Parameters
        ----------
        moneyness : float64 array, shape (n,)
            Strike / spot.
        days : int64 array, shape (n,)
            Calendar days to expiry.
        is_put : bool array, shape (n,)
            Puts.
        """
        held = np.zeros(moneyness.shape, np.bool_)
        for part in self.slices:
            held |= part.holds(moneyness, days, is_put)
        return held

    def __str__(self) -> str:
        """Spell the universe as it is configured."""
        return ", ".join(map(str, self.slices))


@lru_cache(64)
def universe_of(text: str) -> Universe:
    """Read what to monitor.

    Parameters
    ----------
    text : str
        Comma-separated slices ``[SYMBOL:]right low-high first-last d``, as in
        ``put 0.80-0.95 20-45d, BTC:any 0.7-1.3 1-60d``: right ``put``, ``call`` or ``any``,
        strike / spot from low to high, calendar days to expiry. An underlying with slices of its
        own is monitored by these instead of those without a symbol.

    Raises
    ------
    BadInputError
        When a slice cannot be read or holds nothing; the message says which and what is expected.
    """
    parts = [part.strip() for part in text.split(",")]
    return Universe(tuple(map(_slice, parts)))


def _slice(text: str) -> Slice:
    match = _SLICE.fullmatch(text)
    if match is None:
        raise _refused(text, "cannot be read")
    symbol, right = match["symbol"], match["right"].lower()
    low, high, first, last = match.groups()[2:]
    if right not in (*RIGHTS, "any"):
        raise _refused(text, f"has the right {match['right']!r}")
    if float(low) > float(high) or int(first) > int(last):
        raise _refused(text, "has a range that ends before it begins")
    return Slice(
        right,  # type: ignore[arg-type]  # one of the three, as just tested
        float(low),
        float(high),
        int(first),
        int(last),
        symbol.upper() if symbol else None,
    )


def _refused(text: str, found: str) -> BadInputError:
    return BadInputError(
        f"DEALER_MONITOR: the slice {text!r} {found}: expected [SYMBOL:]right low-high "
        f"first-lastd with right put, call or any, for instance {DEFAULT_MONITOR!r}; moneyness is "
        "strike / spot, days are calendar days to expiry; separate slices by commas"
    )


def moneyness_codes(moneyness: Floats) -> Ints:
    """Return each contract's place in `MONEYNESS_NAMES`; a bucket holds its lower edge."""
    return np.searchsorted(_EDGES, moneyness * (1.0 + _TOLERANCE), side="right").astype(np.int64)


def dte_codes(days: Ints) -> NDArray[np.int64]:
    """Return each contract's place in `DTE_NAMES`."""
    return np.searchsorted([last for last, _ in DTE_BUCKETS], days, side="left").astype(np.int64)
