"""Units, signs and declared thresholds, once.

Belongs here: constants whose change would change published numbers. Does not belong here: formulas.
Source: `docs/methods/conventions.md`.
"""

from __future__ import annotations

from datetime import timedelta

DAYS_PER_YEAR = 365.0
"""Year fraction is ACT/365 to the expiry instant, without leap correction."""

SECONDS_PER_YEAR = DAYS_PER_YEAR * 86_400.0

VOL_POINT = 0.01
"""One vol point, in decimal vol. Vega, vanna, volga are per vol point."""

PER_PCT = 0.01
"""One per cent of spot. Gamma exposure is the dollar delta change for this move."""

QUOTES_AFTER_CLOSE = timedelta(minutes=15)
"""Index and ETF options quote until 15 minutes after the session close (16:15 ET)."""

VENDOR_DELAY = timedelta(minutes=15)
"""Cboe's free quotes describe the market this long before they are read."""

PROFILE_HALF_WIDTH = 0.15
"""The gamma profile spans spot +- 15 %; its last level is the first at or above +15 %."""

PROFILE_LEVELS = 241
"""Levels of the profile: equal ratios, log steps of 0.126 %, from -15 % to +15.009 %, spot among
them."""

FLIP_FAR_SHARE = 0.10
"""A flip further than this from spot is `far`: re-priced vols that far out are a guess."""

FLIP_ERROR_SHARE = 0.02
"""A flip that an error of `FLIP_OI_ERROR` could move by more than this share of spot, or any of
whose bands is wider, is `ill_conditioned`."""

FLIP_OI_ERROR = 0.01
"""Error of gross gamma assumed when judging a flip's conditioning; in the inferred band, of each
contract's open interest."""

SPOT_OFF_SHARE, SPOT_OFF_PER_YEAR = 0.005, 0.05
"""Spot further than this from the nearest parity forward is of another instant than the quotes."""

DTE_BUCKETS = ((0, "0dte"), (7, "1-7"), (45, "8-45"))
"""Upper calendar-day bound and name of each bucket; later expiries are `46+`."""

SUMMARY = (
    "dealer = -customer; naive: calls +OI, puts -OI; "
    "gamma in USD of delta per +1 % spot; vanna in USD of delta per +1 vol point; "
    "charm in USD of delta per calendar day passing; volga in USD of vega per +1 vol point; "
    "ACT/365 to the expiry instant; early exercise of shares is priced with a rate curve; "
    "profile and flip under sticky strike, under sticky moneyness as a level of its own; "
    "bands: inferred (5 to 95 %, and what the chain leaves open), every declared convention, "
    "open interest one session old"
)
"""The conventions in one line, printed with every set of levels."""
