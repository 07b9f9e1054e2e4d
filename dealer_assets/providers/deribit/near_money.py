"""Sizes and Greeks of the contracts nearest to the money, from single tickers.

Belongs here: which contracts, the ticker's fields. Does not belong here: the summary, which has all
other columns (`chain`).

Deribit prints Greeks to five decimals, so a gamma of 2e-5 has one digit: it is stored as printed
and never computed with. Delta is the plain one by the expiry's future, and is decayed in the last
half hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dealer_assets.errors import ProviderError
from dealer_assets.providers.deribit.chain import Summary
from dealer_assets.providers.deribit.client import DeribitApi
from dealer_assets.providers.deribit.columns import Object, naive, number, read_contracts
from dealer_assets.providers.deribit.completeness import Note
from dealer_assets.providers.deribit.families import Family
from dealer_assets.underlyings import Underlying


def with_tickers(
    api: DeribitApi,
    summary: Summary,
    underlying: Underlying,
    families: Sequence[Family],
    *,
    count: int,
) -> Summary:
    """Ask for the tickers nearest to the money, one request each, and add what they tell.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    summary : Summary
        Of `chain.summarise`.
    underlying : Underlying
        Registry entry.
    families : sequence of Family
        Its families.
    count : int
        How many.

    Returns
    -------
    Summary
        With a note when a ticker could not be had.
    """
    found: dict[int, Object] = {}
    troubles = []
    for row in near_money(summary, underlying, count):
        try:
            result = api.call("ticker", {"instrument_name": summary.names[row]}).result
        except ProviderError as error:
            troubles.append(str(error))
            continue
        if isinstance(result, dict):
            found[row] = result
    notes: list[Note] = list(summary.notes)
    if troubles:
        text = f"{len(troubles)} of {count} tickers could not be had, the first: {troubles[0]}"
        notes.append(("tickers_missing", text))
    return add_tickers(replace(summary, notes=notes), found, families)


def near_money(summary: Summary, underlying: Underlying, count: int) -> list[int]:
    """Return the rows nearest to the money, nearest first.

    Parameters
    ----------
    summary : Summary
        Of `chain.summarise`.
    underlying : Underlying
        Registry entry.
    count : int
        How many at most.

    Returns
    -------
    list of int
        Ascending ``|ln(K / F)| / sqrt(T)``: as many standard deviations, whatever the expiry.
    """
    contracts = read_contracts(summary.names, underlying)
    left = (contracts.expires_at - naive(summary.made_at)) / np.timedelta64(365, "D")
    forward = summary.floats["venue_forward"]
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(np.log(contracts.columns.strikes / forward)) / np.sqrt(left)
    order = np.argsort(np.where(np.isfinite(distance), distance, np.inf), kind="stable")
    return [i for i in order[:count].tolist() if np.isfinite(distance[i])]


def add_tickers(
    summary: Summary, tickers: Mapping[int, Object], families: Sequence[Family]
) -> Summary:
    """Add sizes and Greeks from tickers, which are of a moment later than the summary.

    Parameters
    ----------
    summary : Summary
        Of `chain.summarise`.
    tickers : mapping of int to object
        Row to the result of ``ticker``.
    families : sequence of Family
        Of the underlying.

    Returns
    -------
    Summary
        A size is taken only where the ticker still shows the summary's price. Greeks that are all
        zero, as at an expiry, count as not given.
    """
    floats = {name: values.copy() for name, values in summary.floats.items()}
    for row, ticker in tickers.items():
        family = next(f for f in families if f.has(summary.names[row]))
        for side in ("bid", "ask"):
            if number(ticker.get(f"best_{side}_price")) == number(
                summary.rows[row].get(f"{side}_price")
            ):
                amount = number(ticker.get(f"best_{side}_amount"))
                floats[f"{side}_size_contracts"][row] = amount / family.root.multiplier
        greeks = _greeks(ticker)
        if any(greeks.values()):
            floats["vendor_delta"][row] = number(greeks.get("delta"))
            floats["vendor_gamma"][row] = number(greeks.get("gamma"))
    return replace(summary, floats=floats)


def _greeks(ticker: Object) -> dict[str, Any]:
    greeks = ticker.get("greeks")
    return greeks if isinstance(greeks, dict) else {}
