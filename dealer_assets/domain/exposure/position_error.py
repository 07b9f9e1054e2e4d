"""What the error of dealers' positions does to sums over contracts.

Belongs here: which part of the error contracts have in common, the standard deviation of a sum,
draws. Does not belong here: where the error comes from (`domain.positions`), errors of quotes
(`bootstrap`). Source: `docs/methods/exposure.md`.

Were the errors of thousands of contracts independent, they would cancel to nothing in a sum. They
are not: what the posterior does not know of a whole kind of contract (right, distance, tenor) moves
all of that kind the same way. That part is told apart, and kinds are independent of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dealer_assets.domain.columns import Bools, Floats, Ints

NORMAL_95 = 1.6448536269514722
"""95 % quantile of the normal distribution: intervals run from 5 to 95 %."""


@dataclass(frozen=True)
class PositionError:
    """Errors of n contracts' positions, in contracts; all zero where a model declares its own.

    Parameters
    ----------
    own : float64 array, shape (n,)
        Standard deviation of the part that each contract has alone, >= 0.
    common : float64 array, shape (n,)
        Of the part in common with its group: what one standard deviation of the group moves it by,
        signed.
    group : int64 array, shape (n,)
        Whose common part it shares, 0..k-1.
    """

    own: Floats
    common: Floats
    group: Ints

    @classmethod
    def none(cls, count: int) -> PositionError:
        """Return no error at all, for `count` contracts."""
        zero = np.zeros(count)
        return cls(zero, zero, np.zeros(count, np.int64))

    @cached_property
    def is_some(self) -> bool:
        """Whether any contract has an error."""
        return bool(self.own.any() or self.common.any())

    def at(self, which: Bools | Ints) -> PositionError:
        """Return those of some contracts, by mask or by place."""
        return PositionError(self.own[which], self.common[which], self.group[which])

    def sd_of_sum(self, worth: Floats) -> float:
        """Return the standard deviation of a sum over contracts.

        Parameters
        ----------
        worth : float64 array, shape (n,)
            What one contract more of each position adds to the sum, signed.

        Returns
        -------
        float
            In the unit of the sum.
        """
        alone = self.own * worth
        together = np.bincount(self.group, weights=self.common * worth)
        return float(np.sqrt(alone @ alone + together @ together))

    def draw(self, rng: np.random.Generator) -> Floats:
        """Draw every position's error, shape (n,) [contracts]."""
        alone = rng.standard_normal(self.own.size)
        groups = rng.standard_normal(int(self.group.max(initial=0)) + 1)
        return np.asarray(self.own * alone + self.common * groups[self.group])
