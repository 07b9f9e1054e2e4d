"""Parameters of Deribit's methods: text or JSON, checked as the server checks them.

Belongs here: reading one parameter. Does not belong here: what a method does with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dealer_assets_tests.exchange.deribit_rules import invalid

CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR", "any")
KINDS = ("option", "future", "spot", "future_combo", "option_combo", "combo", "any")
_INSTRUMENT = re.compile(r"[A-Z0-9]+(_[A-Z]+)?(-[A-Z0-9_d]+){1,3}")


@dataclass(frozen=True)
class Parameters:
    """Parameters of one call.

    Parameters
    ----------
    given : mapping
        As received: text (GET) or typed (JSON).
    is_history : bool
        Asked of the history host.
    """

    given: Mapping[str, Any]
    is_history: bool = False

    def required(self, name: str) -> int:
        """Return a whole number that must be there."""
        if name not in self.given:
            raise invalid(name, "value required")
        return self.number(name, 0)

    def number(
        self, name: str, default: int, *, least: int | None = None, most: int | None = None
    ) -> int:
        """Return a whole number, or its default."""
        value = self.given.get(name, default)
        try:
            number = int(value)
        except (TypeError, ValueError) as error:
            raise invalid(name, "must be integer") from error
        least = 1 if least is None and most is not None else least
        if (least is not None and number < least) or (most is not None and number > most):
            raise invalid(name, "value out of range")
        return number

    def flag(self, name: str) -> bool:
        """Return a truth value; absent is false."""
        return str(self.given.get(name, "false")).lower() == "true"

    def choice(self, name: str, allowed: Sequence[str], *, default: str | None = None) -> str:
        """Return one of some words."""
        value = self.given.get(name, default)
        if value is None:
            raise invalid(name, "value required")
        if str(value) not in allowed:
            raise invalid(name, "wrong value")
        return str(value)

    def currency(self) -> str:
        """Return the currency."""
        return self.choice("currency", CURRENCIES)

    def currencies(self) -> tuple[str, ...]:
        """Return the currencies that have a market here: others are empty, not wrong."""
        currency = self.currency()
        if currency == "any":
            return ("BTC", "USDC")
        return (currency,) if currency in ("BTC", "USDC") else ()

    def kind(self) -> str:
        """Return the kind of instrument; absent is any."""
        return self.choice("kind", KINDS, default="any")

    def instrument(self) -> str:
        """Return an instrument's name."""
        name = self.given.get("instrument_name")
        if name is None:
            raise invalid("instrument_name", "value required")
        if _INSTRUMENT.fullmatch(str(name)) is None:
            raise invalid("instrument_name", "wrong format")
        return str(name)

    @staticmethod
    def stamp_of(token: Any) -> int:
        """Return the milliseconds of a ``timestamp:id`` token."""
        stamp, _, number = str(token).partition(":")
        if not (stamp.isdecimal() and number.isdecimal()):
            raise invalid("continuation", "wrong format")
        return int(stamp)
