"""What the simulated market is like, per underlying: levels, smiles, listings, ticks, activity.

Belongs here: the numbers that shape the simulation, and the defaults for registry entries without
numbers of their own. Does not belong here: formulas. Magnitudes are rounded from public market
statistics; none is fitted to recorded data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from dealer_assets.providers.simulator.noise import stream_key
from dealer_assets.underlyings import Calendar, Root, Underlying

ANCHOR = date(2026, 11, 20)
"""On this date the trend of every factor stands at its anchor level."""


@dataclass(frozen=True)
class Factor:
    """A price path that one or more underlyings follow.

    Parameters
    ----------
    name : str
        Names the random stream.
    calendar : {"XNYS", "24/7"}
        Weekend days move for 24/7 only.
    level : float
        Trend level on `ANCHOR` [USD].
    growth : float
        Growth of the trend per year, continuously compounded.
    daily_vol : float
        Typical standard deviation of a day's log return.
    reversion : float
        Share of the log distance to the trend that a day takes back.
    vol_reversion, vol_of_vol : float
        The same for log vol, and its daily standard deviation.
    leverage : float
        Correlation of log vol with return.
    market_share : float
        Correlation of the return with the US market's.
    """

    name: str
    calendar: Calendar
    level: float
    growth: float
    daily_vol: float
    reversion: float
    vol_reversion: float
    vol_of_vol: float
    leverage: float
    market_share: float


@dataclass(frozen=True)
class Smile:
    """Parameters of an SSVI surface; see `surface` for the formulas.

    Parameters
    ----------
    rho : float
        Skew, in (-1, 1).
    eta, gamma : float
        Power law of phi; free of butterfly arbitrage while ``eta (1 + |rho|) <= 2`` and
        ``0 < gamma <= 0.5``.
    short_vol, long_vol : float
        At-the-money vols of zero and infinite maturity when log vol is 0, decimal.
    reversion : float
        Speed from one to the other [1/year].
    """

    rho: float
    eta: float
    gamma: float
    short_vol: float
    long_vol: float
    reversion: float


@dataclass(frozen=True)
class Band:
    """Strikes that are multiples of one step, as far out as this.

    Parameters
    ----------
    multiple : int
        Step in units of the underlying's smallest one.
    below, above : float
        Reach beyond the lowest and highest reference close, as shares of them.
    active_days : int
        Added once the expiry is this near; never removed again.
    """

    multiple: int
    below: float
    above: float
    active_days: int


@dataclass(frozen=True)
class Tick:
    """Minimum price steps: `small` below `threshold`, else `large`; USD or shares of forward."""

    small: float
    threshold: float
    large: float
    of_forward: bool = False


@dataclass(frozen=True)
class Profile:
    """One underlying.

    Parameters
    ----------
    factor : Factor
        Path it follows.
    ratio : float
        Its level over the factor's.
    tracking_noise : float
        Standard deviation of the log distance to the factor, per minute.
    smile : Smile
        Vol surface.
    rate : float
        Continuously compounded discount rate; 0 where premiums are quoted in the forward measure.
    carry_short, carry_long : float
        Growth rate of the forward over spot at zero and infinite maturity.
    strike_step : float
        Smallest distance of strikes [USD].
    bands : tuple of Band
        Fine to coarse.
    wing_scale : float
        Multiplies the reach of every band: a wilder underlying lists wider.
    round_strikes : tuple of float
        Multiples that attract open interest, most attractive first [USD].
    tick : Tick
        Price steps.
    spread_vol_points : float
        Half-spread of a liquid contract in vol points.
    open_interest, volume : float
        Scale of open interest and daily volume [contracts].
    horizons : mapping of str to int
        Days ahead at which each class of expiry is listed: ``daily``, ``weekly``, ``monthly``,
        ``quarter``, ``leaps``; an absent class is not listed.
    expiry_weekday : int
        Weekday of weeklies and monthlies, Monday = 0.
    """

    factor: Factor
    ratio: float
    tracking_noise: float
    smile: Smile
    rate: float
    carry_short: float
    carry_long: float
    strike_step: float
    bands: tuple[Band, ...]
    wing_scale: float
    round_strikes: tuple[float, ...]
    tick: Tick
    spread_vol_points: float
    open_interest: float
    volume: float
    horizons: Mapping[str, int] = field(hash=False)
    expiry_weekday: int = 4

    def classes(self, root: Root, underlying: Underlying) -> tuple[str, ...]:
        """Return the classes of expiry that a root lists."""
        am = [r for r in underlying.roots if r.settlement == "am"]
        if root.settlement != "am":
            return tuple(self.horizons)
        # VIX has two AM roots and no PM root: its second one lists the weeklies
        return ("monthly", "leaps") if root == am[0] else ("weekly",)


US_LARGE = Factor("us_large", "XNYS", 6_500.0, 0.07, 0.0075, 0.03, 0.04, 0.06, -0.75, 1.0)
_US_TECH = Factor("us_tech", "XNYS", 24_000.0, 0.09, 0.010, 0.03, 0.04, 0.06, -0.7, 0.92)
_US_SMALL = Factor("us_small", "XNYS", 2_400.0, 0.05, 0.011, 0.03, 0.04, 0.06, -0.6, 0.85)
_FEAR = Factor("fear", "XNYS", 17.0, 0.0, 0.055, 0.06, 0.05, 0.05, 0.6, -0.8)
_BITCOIN = Factor("bitcoin", "24/7", 90_000.0, 0.10, 0.021, 0.03, 0.03, 0.05, -0.2, 0.0)

_INDEX_SMILE = Smile(-0.68, 1.1, 0.4, short_vol=0.14, long_vol=0.19, reversion=2.0)
_SHARE_SMILE = Smile(-0.4, 1.2, 0.4, short_vol=0.34, long_vol=0.34, reversion=2.0)
_US_HORIZONS = {"daily": 35, "weekly": 70, "monthly": 370, "quarter": 370, "leaps": 1_000}
_WEEKLY_HORIZONS = {"weekly": 49, "monthly": 370, "leaps": 800}

_SPX_BANDS = (
    Band(1, 0.042, 0.026, 10),
    Band(2, 0.050, 0.030, 30),
    Band(5, 0.080, 0.042, 90),
    Band(10, 0.130, 0.065, 250),
    Band(20, 0.200, 0.110, 1_000),
    Band(40, 0.420, 0.220, 1_000),
)
_SHARE_BANDS = (
    Band(1, 0.030, 0.020, 10),
    Band(2, 0.035, 0.025, 30),
    Band(5, 0.080, 0.050, 180),
    Band(10, 0.160, 0.080, 600),
    Band(20, 0.420, 0.220, 1_000),
)
_BTC_BANDS = (
    Band(1, 0.090, 0.090, 14),
    Band(2, 0.200, 0.220, 60),
    Band(5, 0.350, 0.500, 370),
    Band(10, 0.550, 1.000, 370),
)

_SPX = Profile(
    factor=US_LARGE,
    ratio=1.0,
    tracking_noise=0.0,
    smile=_INDEX_SMILE,
    rate=0.04,
    carry_short=0.027,
    carry_long=0.027,
    strike_step=5.0,
    bands=_SPX_BANDS,
    wing_scale=1.0,
    round_strikes=(100.0, 50.0, 25.0),
    tick=Tick(0.05, 3.0, 0.10),
    spread_vol_points=0.05,
    open_interest=350_000.0,
    volume=500_000.0,
    horizons=_US_HORIZONS,
)
_SPY = replace(
    _SPX,
    ratio=0.1,
    tracking_noise=0.00005,
    strike_step=1.0,
    bands=_SHARE_BANDS,
    round_strikes=(10.0, 5.0),
    tick=Tick(0.01, 3.0, 0.01),
    spread_vol_points=0.04,
    open_interest=900_000.0,
    volume=1_200_000.0,
)
_BTC = Profile(
    factor=_BITCOIN,
    ratio=1.0,
    tracking_noise=0.0,
    smile=Smile(-0.12, 1.0, 0.4, short_vol=0.46, long_vol=0.52, reversion=2.0),
    rate=0.0,
    carry_short=0.05,
    carry_long=0.08,
    strike_step=1_000.0,
    bands=_BTC_BANDS,
    wing_scale=1.0,
    round_strikes=(10_000.0, 5_000.0),
    tick=Tick(0.0001, 0.005, 0.0005, of_forward=True),
    spread_vol_points=0.4,
    open_interest=60_000.0,
    volume=4_000.0,
    horizons={"daily": 4, "weekly": 28, "monthly": 98, "quarter": 370},
)

_PROFILES: dict[str, Profile] = {
    "SPX": _SPX,
    "SPY": _SPY,
    "BTC": _BTC,
    "XSP": replace(
        _SPX,
        ratio=0.1,
        strike_step=1.0,
        bands=_SHARE_BANDS,
        round_strikes=(10.0, 5.0),
        tick=Tick(0.01, 3.0, 0.01),
        open_interest=12_000.0,
        volume=12_000.0,
    ),
    "NDX": replace(
        _SPX,
        factor=_US_TECH,
        smile=replace(_INDEX_SMILE, short_vol=0.19, long_vol=0.23),
        strike_step=25.0,
        bands=_SHARE_BANDS,
        wing_scale=1.2,
        round_strikes=(500.0, 100.0),
        open_interest=15_000.0,
        volume=15_000.0,
    ),
    "QQQ": replace(
        _SPY,
        factor=_US_TECH,
        ratio=0.025,
        smile=replace(_INDEX_SMILE, short_vol=0.19, long_vol=0.23),
        wing_scale=1.2,
        open_interest=500_000.0,
        volume=600_000.0,
    ),
    "RUT": replace(
        _SPX,
        factor=_US_SMALL,
        smile=replace(_INDEX_SMILE, short_vol=0.21, long_vol=0.24),
        bands=_SHARE_BANDS,
        wing_scale=1.3,
        open_interest=25_000.0,
        volume=12_000.0,
    ),
    "IWM": replace(
        _SPY,
        factor=_US_SMALL,
        smile=replace(_INDEX_SMILE, short_vol=0.21, long_vol=0.24),
        wing_scale=1.3,
        open_interest=300_000.0,
        volume=200_000.0,
    ),
    "VIX": replace(
        _SPX,
        factor=_FEAR,
        smile=Smile(0.6, 1.2, 0.4, short_vol=1.0, long_vol=0.6, reversion=3.0),
        carry_short=0.15,
        carry_long=0.02,
        strike_step=0.5,
        bands=(Band(1, 0.25, 0.4, 100), Band(2, 0.4, 1.2, 400), Band(10, 0.4, 4.0, 400)),
        round_strikes=(5.0, 1.0),
        tick=Tick(0.01, 3.0, 0.01),
        spread_vol_points=0.6,
        horizons={"weekly": 35, "monthly": 270, "leaps": 270},
        expiry_weekday=2,
    ),
}


def profile_of(underlying: Underlying) -> Profile:
    """Return the numbers of an underlying; entries without their own get those of their kind.

    An unlisted share, index or coin gets a price between 40 and 400 (a coin: a hundred times that)
    drawn from its symbol, so that it stays the same in every run and under every seed.
    """
    known = _PROFILES.get(underlying.symbol)
    if known is not None:
        return known
    level = 40.0 * 10.0 ** (stream_key("level", underlying.symbol) / 2.0**64)
    if underlying.calendar == "24/7":
        level *= 100.0
        factor = replace(_BITCOIN, name=f"coin:{underlying.symbol}", level=level)
        step = _nice_step(level / 80.0)
        rounds = (10.0 * step, 5.0 * step)
        return replace(_BTC, factor=factor, strike_step=step, round_strikes=rounds)
    factor = replace(
        US_LARGE,
        name=f"share:{underlying.symbol}",
        level=level,
        daily_vol=0.019,
        leverage=-0.45,
        market_share=0.6,
    )
    step = _nice_step(level / 150.0)
    horizons = _US_HORIZONS if underlying.has_daily_expiries else _WEEKLY_HORIZONS
    return replace(
        _SPY,
        factor=factor,
        ratio=1.0,
        smile=_SHARE_SMILE,
        wing_scale=2.0,
        strike_step=step,
        round_strikes=(10.0 * step, 5.0 * step),
        spread_vol_points=0.15,
        open_interest=90_000.0,
        volume=50_000.0,
        horizons=horizons,
    )


def _nice_step(wanted: float) -> float:
    """Largest usual strike step up to the wanted one."""
    steps = (0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0)
    return max((step for step in steps if step <= wanted), default=0.5)
