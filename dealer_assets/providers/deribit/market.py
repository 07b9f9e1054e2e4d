"""The market as it is now: instrument lists, book summaries, the index.

Belongs here: these requests, in an order that keeps them together in time, and which of them may
fail. Does not belong here: what the answers mean (`instruments`, `chain`).

Instrument lists come first, since Deribit allows one a second; then summaries and index without a
pause. Without the coin-settled summary there is no chain. Without the linear one, an instrument
list or the index there is one, with a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from dealer_assets.errors import NoDataError, ProviderError
from dealer_assets.providers.base import Keep, KeepNothing
from dealer_assets.providers.deribit.chain import Summary, summarise
from dealer_assets.providers.deribit.client import DeribitApi, Params
from dealer_assets.providers.deribit.columns import number, objects
from dealer_assets.providers.deribit.completeness import Note, Part
from dealer_assets.providers.deribit.families import Family
from dealer_assets.providers.deribit.instruments import Instruments, parse_instruments
from dealer_assets.providers.deribit.pages import kept_call
from dealer_assets.underlyings import Underlying

_SUMMARY, _LIST = "get_book_summary_by_currency", "get_instruments"
_TESTNET = "the data are of Deribit's test market, where prices are nobody's: check the base URL"


@dataclass(frozen=True)
class Market:
    """The summaries of an underlying.

    Parameters
    ----------
    summary : Summary
        Of all families that answered.
    sha256 : str
        Hash of the summaries as received.
    """

    summary: Summary
    sha256: str


def ask_market(api: DeribitApi, underlying: Underlying, families: Sequence[Family]) -> Market:
    """Ask for instrument lists and summaries of all families.

    Raises
    ------
    ProviderError
        When the first family's summary cannot be had.
    """
    lists = [_instruments_or_trouble(api, family) for family in families]
    digest = sha256()
    parts: list[Part] = []
    notes: list[Note] = []
    for family, (listed, trouble) in zip(families, lists, strict=True):
        try:
            reply = api.call(_SUMMARY, {"currency": family.currency, "kind": "option"})
            rows = objects(reply.result, _SUMMARY)
            if not rows:
                raise NoDataError(f"Deribit's summary of {family.currency} options is empty")
        except ProviderError as error:
            if family is families[0]:
                raise
            text = f"the summary of {family.root.symbol} options could not be had: {error}"
            notes.append(("linear_chain_missing", text))
            continue
        parts.append(Part(family, rows, listed, trouble))
        digest.update(reply.body)
        if reply.is_testnet and ("testnet", _TESTNET) not in notes:
            notes.append(("testnet", _TESTNET))
    found = summarise(parts, underlying)
    is_partial = found.is_partial or len(parts) < len(families)
    summary = replace(found, notes=[*notes, *found.notes], is_partial=is_partial)
    return Market(summary, digest.hexdigest())


def _instruments_or_trouble(api: DeribitApi, family: Family) -> tuple[Instruments | None, str]:
    try:
        return ask_instruments(api, family, expired=False), ""
    except ProviderError as error:
        return None, str(error)


def ask_instruments(
    api: DeribitApi, family: Family, *, expired: bool, keep: Keep | None = None, piece: str = ""
) -> Instruments:
    """Ask for the existing or for the lately expired contracts of a family.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    family : Family
        Whose contracts.
    expired : bool
        Which of the two lists.
    keep : Keep, optional
        Holds the list, for a session that is over.
    piece : str
        Name to keep it under.

    Raises
    ------
    ProviderError
        As `DeribitApi.call`.
    """
    params: Params = {"currency": family.currency, "kind": "option", "expired": expired}
    held = KeepNothing() if keep is None else keep
    reply = kept_call(api, held, piece, _LIST, params, may_keep=keep is not None)
    return parse_instruments(objects(reply.result, _LIST), family)


def ask_index(api: DeribitApi, family: Family) -> tuple[float | None, list[Note]]:
    """Return the price of a family's index; None, with a note, when it cannot be had."""
    try:
        result = api.call("get_index_price", {"index_name": family.index_name}).result
    except ProviderError as error:
        return None, [("index_missing", f"{family.index_name} could not be had: {error}")]
    value = number(result.get("index_price")) if isinstance(result, dict) else float("nan")
    if 0.0 < value < float("inf"):
        return value, []
    return None, [("index_missing", f"{family.index_name} has no price, found {str(result)[:80]}")]
