"""Which listed root and terms a line of a blotter means.

Belongs here: from a symbol, or from underlying, root, expiry, strike and right, to a contract of
the registry. Does not belong here: sizes, prices, sides (`blotter`).

An OTC option is written as the listed contract with its terms: the root says how it settles and is
exercised. Where an underlying has several roots the line has to say which.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import NoReturn

from dealer_assets.domain.instruments import Contract, parse_deribit, parse_osi
from dealer_assets.domain.sessions import expiry_instant
from dealer_assets.errors import BadInputError
from dealer_assets.underlyings import Root, Underlying, underlying, underlying_of_root

_RIGHTS = {"call": "call", "put": "put", "c": "call", "p": "put"}
_THOUSANDTHS = 1000
_HIGHEST_OSI_STRIKE = 100_000.0


@dataclass(frozen=True)
class Named:
    """A contract that a line names.

    Parameters
    ----------
    symbol : str
        Canonical: OSI unpadded, or the venue's own name.
    underlying : Underlying
        Registry entry.
    root : Root
        Its settlement, exercise and multiplier.
    expiry_date : datetime.date
        Listed expiry date.
    expires_at : datetime.datetime
        UTC instant of expiry.
    strike : float
        Strike price.
    right : str
        Call or put.
    """

    symbol: str
    underlying: Underlying
    root: Root
    expiry_date: date
    expires_at: datetime
    strike: float
    right: str

    @property
    def coin(self) -> str:
        """Coin that sizes and prices may be in; blank for what is no coin."""
        return self.underlying.symbol if self.underlying.kind == "crypto" else ""


def contract_named(
    *, symbol: str, underlying: str, root: str, expiry: str, strike: float | None, right: str
) -> Named:
    """Return the contract of a line.

    Parameters
    ----------
    symbol : str
        OSI or Deribit name; blank when the terms are given instead.
    underlying, root, expiry, right : str
        Terms; blank where not given. Beside a symbol they have to agree with it.
    strike : float or None
        Strike.

    Raises
    ------
    BadInputError
        Naming the column, what was expected and what was found.
    """
    if symbol:
        found = _named(_parsed(symbol))
        _require_agreement(found, underlying, root, expiry, strike, right)
        return found
    entry = _entry(underlying, root)
    side = _RIGHTS.get(right.lower())
    if side is None:
        _wrong("right", "call or put, or a 'symbol'", right)
    if strike is None:
        _wrong("strike", "a number above 0, or a 'symbol'", "")
    chosen = _root(entry, root)
    return _named(Contract(chosen.symbol, _day(expiry), side, strike))


def _parsed(symbol: str) -> Contract:
    parse = parse_deribit if "-" in symbol else parse_osi
    try:
        contract = parse(symbol)
        is_osi_of_coin = "-" not in symbol and underlying_of_root(contract.root).kind == "crypto"
    except BadInputError as error:
        raise BadInputError(f"'symbol': {error}") from error
    if is_osi_of_coin:  # BTC is the root of a fund's options as well
        _wrong("symbol", "the venue's name of an option on a coin, as BTC-27DEC24-100000-C", symbol)
    return contract


def _named(contract: Contract) -> Named:
    entry = underlying_of_root(contract.root)
    root = _root(entry, contract.root)
    is_venue_name = entry.kind == "crypto"
    if not is_venue_name:
        is_exact = (
            abs(contract.strike * _THOUSANDTHS - round(contract.strike * _THOUSANDTHS)) < 1e-6
        )
        if not is_exact or contract.strike >= _HIGHEST_OSI_STRIKE:
            _wrong("strike", "steps of 0.001 below 100000, as symbols have", f"{contract.strike:g}")
    return Named(
        symbol=contract.deribit if is_venue_name else contract.osi,
        underlying=entry,
        root=root,
        expiry_date=contract.expiry_date,
        expires_at=expiry_instant(root.settlement, entry.calendar, contract.expiry_date),
        strike=contract.strike,
        right=contract.right,
    )


def _entry(name: str, root: str) -> Underlying:
    if not name and not root:
        _wrong("symbol", "it, or 'underlying', 'expiry', 'strike' and 'right'", "")
    try:
        return underlying(name) if name else underlying_of_root(root)
    except BadInputError as error:
        raise BadInputError(f"{'underlying' if name else 'root'!r}: {error}") from error


def _root(entry: Underlying, name: str) -> Root:
    listed = [root.symbol for root in (*entry.roots, *entry.side_roots)]
    if not name and len(entry.roots) > 1:
        _wrong("root", f"one of {', '.join(listed)}: they settle differently", name)
    found = entry.root(name.upper() or entry.roots[0].symbol)
    if found is None:
        _wrong("root", f"one of {', '.join(listed)}", name)
    return found


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        _wrong("expiry", "a date as 2026-12-18", text)


def _require_agreement(
    found: Named, name: str, root: str, expiry: str, strike: float | None, right: str
) -> None:
    told = {
        "underlying": (name.upper(), found.underlying.symbol),
        "root": (root.upper(), found.root.symbol),
        "expiry": (expiry, found.expiry_date.isoformat()),
        "right": (_RIGHTS.get(right.lower(), right), found.right),
    }
    for column, (stated, meant) in told.items():
        if stated and stated != meant:
            _wrong(column, f"{meant} as in symbol {found.symbol}", stated)
    if strike is not None and strike != found.strike:
        _wrong("strike", f"{found.strike:g} as in symbol {found.symbol}", f"{strike:g}")


def _wrong(column: str, expected: str, found: str) -> NoReturn:
    raise BadInputError(f"{column!r}: expected {expected}, found {found!r:.60}")
