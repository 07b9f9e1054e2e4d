"""The registry: one entry per underlying, and nothing else has to change to add one.

Belongs here: facts of an underlying and its listed roots (settlement, exercise, multiplier,
calendar, vendors' symbols). Does not belong here: code that acts on them.

Sources: the exchanges' contract specifications; settlement by root as in `docs/methods/clocks.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dealer_assets.errors import UnknownUnderlyingError

Settlement = Literal["am", "pm", "twap"]
Exercise = Literal["european", "american"]
Kind = Literal["index", "etf", "equity", "crypto"]
Calendar = Literal["XNYS", "24/7"]


@dataclass(frozen=True)
class Root:
    """One option root: contracts that share a settlement rule.

    Parameters
    ----------
    symbol : str
        Root as in the option symbol, e.g. ``SPXW``.
    settlement : {"am", "pm", "twap"}
        ``am``: opening print of the expiry date; ``pm``: session close; ``twap``: 08:00 UTC.
    exercise : {"european", "american"}
        Exercise style.
    multiplier : float
        Units of the underlying per contract.
    """

    symbol: str
    settlement: Settlement
    exercise: Exercise
    multiplier: float


@dataclass(frozen=True)
class Underlying:
    """One underlying.

    Parameters
    ----------
    symbol : str
        Our symbol; first part of every asset key.
    name : str
        Name for people.
    kind : {"index", "etf", "equity", "crypto"}
        Decides how complete a chain is expected to be.
    calendar : {"XNYS", "24/7"}
        Which sessions it has; ``24/7`` means UTC days.
    roots : tuple of Root
        Listed roots. Contracts of other roots (adjusted, FLEX) are quarantined.
    prices_early_exercise : bool
        American options are priced as such; otherwise as European, at the vol of the strike's
        out-of-the-money side (`docs/methods/american.md` says what each costs).
    has_daily_expiries : bool
        A series expires every session, so the nearest expiry dates a chain.
    vendor_symbols : mapping of str to str
        Provider name to the symbol it wants.
    header_names : tuple of str
        Lower-case fragments of the names vendors print in file headers.
    side_roots : tuple of Root
        Roots that a few sources list beside the others: believed like them, but a chain without
        them is whole, and the simulator lists none.
    traded_as : str
        Registry symbol of what is traded in its place, by whose volume its exposures are scaled:
        an index's ETF; blank where it is traded itself, or nothing stands for it.
    """

    symbol: str
    name: str
    kind: Kind
    calendar: Calendar
    roots: tuple[Root, ...]
    prices_early_exercise: bool = False
    has_daily_expiries: bool = False
    vendor_symbols: Mapping[str, str] = field(default_factory=dict)
    header_names: tuple[str, ...] = ()
    side_roots: tuple[Root, ...] = ()
    traded_as: str = ""

    def root(self, symbol: str) -> Root | None:
        """Return the root with this symbol, or None when it is not listed here."""
        return next((r for r in (*self.roots, *self.side_roots) if r.symbol == symbol), None)


def _index(
    symbol: str,
    name: str,
    *,
    am: str | None = None,
    pm: str | None = None,
    daily: bool = True,
    header_names: tuple[str, ...] = (),
    traded_as: str = "",
) -> Underlying:
    am_roots = (Root(am, "am", "european", 100.0),) if am else ()
    pm_roots = (Root(pm, "pm", "european", 100.0),) if pm else ()
    return Underlying(
        symbol=symbol,
        name=name,
        kind="index",
        calendar="XNYS",
        roots=am_roots + pm_roots,
        has_daily_expiries=daily,
        vendor_symbols={"cboe": f"_{symbol}", "polygon": f"I:{symbol}"},
        header_names=header_names,
        traded_as=traded_as,
    )


def _share(
    symbol: str,
    name: str,
    *,
    kind: Kind = "equity",
    daily: bool = False,
    header_names: tuple[str, ...] = (),
) -> Underlying:
    return Underlying(
        symbol=symbol,
        name=name,
        kind=kind,
        calendar="XNYS",
        roots=(Root(symbol, "pm", "american", 100.0),),
        prices_early_exercise=True,
        has_daily_expiries=daily,
        vendor_symbols={"cboe": symbol, "polygon": symbol},
        header_names=header_names,
    )


REGISTRY: tuple[Underlying, ...] = (
    _index(
        "SPX",
        "S&P 500 Index",
        am="SPX",
        pm="SPXW",
        header_names=("standard & poors 500 index", "s&p 500 index", "sp 500 index"),
        traded_as="SPY",
    ),
    _share(
        "SPY",
        "SPDR S&P 500 ETF Trust",
        kind="etf",
        daily=True,
        header_names=("spdr s&p 500 etf",),
    ),
    Underlying(
        symbol="BTC",
        name="Bitcoin (Deribit)",
        kind="crypto",
        calendar="24/7",
        roots=(Root("BTC", "twap", "european", 1.0),),  # margined and quoted in coin
        side_roots=(Root("BTC_USDC", "twap", "european", 1.0),),  # margined and quoted in USDC
        has_daily_expiries=True,
        vendor_symbols={"deribit": "BTC"},
    ),
    _index("XSP", "Mini-SPX Index", pm="XSP", header_names=("mini-spx",), traded_as="SPY"),
    _index(
        "NDX",
        "Nasdaq-100 Index",
        am="NDX",
        pm="NDXP",
        header_names=("nasdaq 100",),
        traded_as="QQQ",
    ),
    _index(
        "RUT",
        "Russell 2000 Index",
        am="RUT",
        pm="RUTW",
        header_names=("russell 2000",),
        traded_as="IWM",
    ),
    Underlying(
        symbol="VIX",
        name="Cboe Volatility Index",
        kind="index",
        calendar="XNYS",
        roots=(Root("VIX", "am", "european", 100.0), Root("VIXW", "am", "european", 100.0)),
        vendor_symbols={"cboe": "_VIX", "polygon": "I:VIX"},
        header_names=("cboe volatility index",),
    ),
    _share("QQQ", "Invesco QQQ Trust", kind="etf", daily=True, header_names=("qqq trust",)),
    _share("IWM", "iShares Russell 2000 ETF", kind="etf", daily=True, header_names=("ishares",)),
    _share("AAPL", "Apple Inc.", header_names=("apple",)),
    _share("AMD", "Advanced Micro Devices, Inc.", header_names=("advanced micro devices",)),
    _share("CLX", "The Clorox Company", header_names=("clorox",)),
    _share("NVDA", "NVIDIA Corporation", header_names=("nvidia",)),
    _share("TSLA", "Tesla, Inc.", header_names=("tesla",)),
)

_BY_SYMBOL = {u.symbol: u for u in REGISTRY}
_BY_ROOT = {r.symbol: u for u in REGISTRY for r in (*u.roots, *u.side_roots)}


def underlying(symbol: str) -> Underlying:
    """Return the registry entry of a symbol.

    Raises
    ------
    UnknownUnderlyingError
        When the registry has no such entry.
    """
    found = _BY_SYMBOL.get(symbol.upper())
    if found is None:
        raise UnknownUnderlyingError(
            f"unknown underlying {symbol!r}: the registry has {', '.join(sorted(_BY_SYMBOL))}. "
            "Add one entry to dealer_assets/underlyings.py to support another."
        )
    return found


def underlying_of_root(root: str) -> Underlying:
    """Return the underlying that lists an option root.

    Raises
    ------
    UnknownUnderlyingError
        When no entry lists the root.
    """
    found = _BY_ROOT.get(root.upper())
    if found is None:
        raise UnknownUnderlyingError(
            f"unknown option root {root!r}: the registry lists {', '.join(sorted(_BY_ROOT))}. "
            "Add it to an entry of dealer_assets/underlyings.py."
        )
    return found
