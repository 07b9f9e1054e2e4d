"""The instrument list: which contracts exist, in which state.

Belongs here: the fields of ``get_instruments`` and the life of a contract. Does not belong here:
quotes, the table of listed contracts (`listing`).

A contract is ``open``, passes through ``settlement`` to ``delivered`` at its expiry, and ends
``archivized``. ``inactive``, ``locked`` and ``halted`` interrupt trading while its open interest
remains; ``settlement`` does so for all books each day at 08:00 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dealer_assets.providers.deribit.columns import (
    Floats,
    Instants,
    Object,
    instants,
    numbers,
    texts,
)
from dealer_assets.providers.deribit.families import Family
from dealer_assets.providers.symbol_columns import read_symbols

OVER = frozenset({"delivered", "archivized"})
"""States in which a contract has no open interest any more."""

ABSENT_FROM_SUMMARY = OVER | {"inactive"}
"""States whose contracts a book summary need not have."""

_EXPIRY_OF_DAY = np.timedelta64(8, "h")


@dataclass(frozen=True)
class Instruments:
    """The options of one family; n rows.

    Parameters
    ----------
    names : array of str, shape (n,)
        Instrument names.
    states : array of str, shape (n,)
        As printed; old lists only tell active from inactive.
    created_at, expires_at : datetime64[us] array, shape (n,)
        UTC instants; NaT where not told.
    contract_size : float64 array, shape (n,)
        Coin a contract, as Deribit counts contracts.
    disagreeing : int
        Contracts whose strike, right or expiry is not what their name says.
    """

    names: NDArray[np.str_]
    states: NDArray[np.str_]
    created_at: Instants
    expires_at: Instants
    contract_size: Floats
    disagreeing: int = 0

    def alive(self, at: np.datetime64) -> NDArray[np.bool_]:
        """Tell which contracts exist at an instant and have not expired, shape (n,)."""
        begun = np.isnat(self.created_at) | (self.created_at <= at)
        return begun & ~(self.expires_at <= at) & ~np.isin(self.states, list(OVER))


def parse_instruments(rows: Sequence[Object], family: Family) -> Instruments:
    """Read an instrument list; other families' rows and other kinds are left out.

    Parameters
    ----------
    rows : sequence of object
        Result of ``get_instruments``.
    family : Family
        Whose options are wanted.
    """
    mine = [r for r in rows if r.get("kind") == "option" and family.has(r.get("instrument_name"))]
    states = [
        state or ("inactive" if row.get("is_active") is False else "open")
        for state, row in zip(texts(mine, "state"), mine, strict=True)
    ]
    names = texts(mine, "instrument_name")
    expires_at = instants(numbers(mine, "expiration_timestamp"))
    return Instruments(
        names=np.array(names, np.str_),
        states=np.array(states, np.str_),
        created_at=instants(numbers(mine, "creation_timestamp")),
        expires_at=expires_at,
        contract_size=numbers(mine, "contract_size"),
        disagreeing=_disagreeing(mine, names, expires_at),
    )


def _disagreeing(rows: Sequence[Object], names: list[str], expires_at: Instants) -> int:
    said = read_symbols(names)
    rights = np.array(texts(rows, "option_type"), np.str_)
    ends = said.expiries.astype("datetime64[us]") + _EXPIRY_OF_DAY
    wrong = ~said.readable | (numbers(rows, "strike") != said.strikes)
    wrong |= (rights == "call") != said.is_call
    wrong |= expires_at != ends
    return int(np.count_nonzero(wrong))
