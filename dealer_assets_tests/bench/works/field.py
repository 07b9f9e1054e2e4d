"""The field of a race: which contenders can be had here.

Belongs here: making contenders from factories, and noting why one cannot take part. Does not belong
here: the factories (`peers`), the clock (`measure`).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dealer_assets_tests.bench.measure import Contender

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "cboe_csv" / "SPX_2023-09-14_full.csv.gz"
"""A recorded chain, never committed; what needs it is left out where it is not."""

OURS = "**"
"""How the names of our own contenders begin: bold on the page."""


@dataclass(frozen=True)
class Size:
    """How much work the bench does.

    Parameters
    ----------
    contracts, expiries : int
        Of the chain.
    rounds : int
        Of each race.
    tails : int
        Vols on the ladder of tails; half as many moneynesses.
    """

    contracts: int = 25_000
    expiries: int = 45
    rounds: int = 9
    tails: int = 100


@dataclass
class Field:
    """Contenders found, in order, and what could not take part."""

    contenders: list[Contender] = field(default_factory=list)
    absent: list[tuple[str, str]] = field(default_factory=list)

    def enter(self, name: str, make: Callable[[], Callable[[], Any]], **more: Any) -> bool:
        """Add a contender; a library that is missing, or fails, is noted. Ours may not fail."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                run = make()
                run()
        except Exception as reason:
            if name.startswith(OURS):
                raise
            self.absent.append((name, f"{type(reason).__name__}: {reason}"[:160]))
            return False
        self.contenders.append(Contender(name, run, **more))
        return True
