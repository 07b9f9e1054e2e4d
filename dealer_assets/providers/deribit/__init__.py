"""Deribit's public API over REST: chains, trades, blocks, index values, listings.

Belongs here: Deribit's methods, field names, units and error codes; one module per topic. Does not
belong here: its WebSocket (`streaming`), recorded CSV layouts (`deribit_csv`), storage.

Everything Deribit prints in percent leaves this package in decimals, and every amount in contracts.
What prices are in is said where they leave: chains are in USD, trades in the venue's currency.
"""

from __future__ import annotations

from dealer_assets.providers.deribit.provider import (
    DEFAULT_BASE_URL as DEFAULT_BASE_URL,
    DEFAULT_HISTORY_URL as DEFAULT_HISTORY_URL,
    DeribitProvider as DeribitProvider,
)
