"""What the Deribit feed wants to follow, and how closely.

Belongs here: channels by name, settings of a conversation. Does not belong here: the conversation
(`talk`), which tickers are chosen (`choice`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streaming.feeds.deribit.calls import SessionRules


@dataclass(frozen=True)
class TalkOptions:
    """What is followed, and how closely; tests shorten the times.

    Parameters
    ----------
    tickers : int
        Options whose ticker is followed, by open interest.
    interval : str
        Of tickers and trades: ``100ms``, or ``raw``, which needs credentials.
    choose_seconds : float
        How often the options are chosen anew.
    summary_seconds : float
        How often the book summary is asked for: it has the open interest, and the quotes of all
        contracts whose ticker is not followed.
    pulse_seconds : float
        Silence after which a channel that sends every second is subscribed again.
    gap_seconds : float
        Least time between two reports of trades left out.
    session : SessionRules
        Time-outs and limits.
    cross_check : bool
        Follow the perpetual too, for `IndexCheck`; the decoder needs the same setting.
    """

    tickers: int = 100
    interval: str = "100ms"
    choose_seconds: float = 60.0
    summary_seconds: float = 10.0
    pulse_seconds: float = 15.0
    gap_seconds: float = 5.0
    session: SessionRules = field(default_factory=SessionRules)
    cross_check: bool = False


@dataclass(frozen=True)
class Market:
    """What is traded.

    Parameters
    ----------
    roots : tuple of str
        Of options, e.g. BTC and BTC_USDC.
    currencies : tuple of str
        To ask for them by, e.g. BTC and USDC.
    coins : tuple of str
        Whose index is spot, e.g. BTC.
    """

    roots: tuple[str, ...]
    currencies: tuple[str, ...]
    coins: tuple[str, ...]

    def channels(self, options: TalkOptions) -> list[str]:
        """Return the channels that are always followed, the most important first."""
        found = [f"trades.option.{name}.{options.interval}" for name in self.currencies]
        indices = [f"{coin.lower()}_usd" for coin in self.coins]
        found += [f"deribit_price_index.{index}" for index in indices]
        found += [f"markprice.options.{index}" for index in indices]
        for kind in ("state", "creation"):
            found += [f"instrument.{kind}.option.{name}" for name in self.currencies]
        found += ["platform_state"]
        found += [f"deribit_volatility_index.{index}" for index in indices]
        found += [f"estimated_expiration_price.{index}" for index in indices]
        if options.cross_check:
            found += [f"ticker.{coin}-PERPETUAL.100ms" for coin in self.coins]
        return found

    @property
    def pulses(self) -> list[str]:
        """Channels that send something every second."""
        names = ("deribit_price_index", "markprice.options")
        return [f"{name}.{coin.lower()}_usd" for coin in self.coins for name in names]
