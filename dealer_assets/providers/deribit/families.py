"""Which options of an underlying Deribit lists: settled in coin, and settled in a stable coin.

Belongs here: how to ask for each family, what its prices are in. Does not belong here: the roots
themselves (`underlyings`).

===========  =================  ==================  =======================  ====================
family       names              asked for by        prices are in            index
===========  =================  ==================  =======================  ====================
inverse      ``BTC-...``        currency ``BTC``    coin                     ``btc_usd``
linear       ``BTC_USDC-...``   currency ``USDC``   USDC, taken as USD       ``btc_usdc``
===========  =================  ==================  =======================  ====================

Amounts of both are in coin, so contracts are ``amount / multiplier`` of the registry's root, and
whatever Deribit calls a contract does not matter; `listing` tells when it differs. Amounts of
inverse futures and perpetuals are in USD: they never enter.
"""

from __future__ import annotations

from dataclasses import dataclass

from dealer_assets.errors import NoDataError
from dealer_assets.underlyings import Root, Underlying

_RIGHTS = ("-C", "-P")


@dataclass(frozen=True)
class Family:
    """One root as Deribit speaks of it.

    Parameters
    ----------
    root : Root
        Registry entry.
    currency : str
        What to ask for; other roots of a stable coin arrive with it.
    price_currency : str
        What its prices are in.
    index_name : str
        Its price index.
    """

    root: Root
    currency: str
    price_currency: str
    index_name: str

    @property
    def is_inverse(self) -> bool:
        """Prices are in coin."""
        return self.currency == self.root.symbol

    def has(self, name: object) -> bool:
        """Tell whether an instrument is an option of this root: no future, no combination."""
        return (
            isinstance(name, str)
            and name.startswith(f"{self.root.symbol}-")
            and name.endswith(_RIGHTS)
        )


def families_of(underlying: Underlying) -> tuple[Family, ...]:
    """Return the families of an underlying, the inverse one first.

    Raises
    ------
    NoDataError
        When the registry gives it no Deribit currency.
    """
    if "deribit" not in underlying.vendor_symbols:
        raise NoDataError(
            f"{underlying.symbol} has no Deribit currency: give its registry entry "
            "vendor_symbols['deribit'], or ask another provider"
        )
    return tuple(_family(root) for root in (*underlying.roots, *underlying.side_roots))


def _family(root: Root) -> Family:
    base, _, quote = root.symbol.partition("_")
    index_name = f"{base}_{quote or 'usd'}".lower()
    return Family(root, quote or base, quote or base, index_name)
