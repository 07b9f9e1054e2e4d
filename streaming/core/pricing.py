"""The full pricing of one underlying, from the book through the functions of the batch side.

Belongs here: the book's chain as rows, which are priced by `forwards_of` and `price_chain` like any
other snapshot, and what the book takes over from it. Does not belong here: when it is done
(`lane`), the arithmetic (`dealer_assets.domain.pricing`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.columns import Ints, floats, nullable
from dealer_assets.domain.flow.totals import Revaluation
from dealer_assets.domain.rates import RateCurve
from streaming.core.book import Book
from streaming.core.listing import Listing
from streaming.core.view import Pricing

PARITY_SPOT = -2
"""Code in `Book.spot_source` of a spot that put-call parity told because no feed did."""

SIMULATOR = "simulator"
_SPOT_SOURCES = {"index": "index", "etf": "last_trade", "equity": "last_trade", "crypto": "index"}
_OWN, _OTHER = (tables.IV_SOURCES.index(name) for name in ("own", "other_side"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_of(us: int) -> datetime:
    """Return microseconds since 1970 as an instant."""
    return _EPOCH + timedelta(microseconds=us)


class LanePricer:
    """Prices one lane's whole chain.

    Parameters
    ----------
    listing : Listing
        Contracts of the desk.
    lane : int
        Which of its lanes.
    feed : str
        Where events come from; a simulated spot is named as such.
    curve : RateCurve or None
        Rate curve known when the session opened.
    """

    def __init__(self, listing: Listing, lane: int, *, feed: str, curve: RateCurve | None) -> None:
        self._listing = listing
        self._lane = lane
        self._feed = feed
        self._curve = curve
        self._version = -1
        self._order: Ints = np.empty(0, np.int64)

    def spot_source(self, book: Book) -> str:
        """Return the word for where the lane's spot comes from."""
        if int(book.spot_source[self._lane]) == PARITY_SPOT:
            return "parity"
        if not book.spot[self._lane] > 0.0:
            return "parity"
        kind = self._listing.lanes[self._lane].kind
        return "simulated" if self._feed == SIMULATOR else _SPOT_SOURCES[kind]

    def price(self, book: Book, now_us: int) -> Pricing | None:
        """Price the chain as the book shows it, and let the book know.

        Parameters
        ----------
        book : Book
            State of the market.
        now_us : int
            Instant, microseconds since 1970.

        Returns
        -------
        Pricing or None
            None when nothing can be priced: no contract alive, no spot to be told, no quotes.
        """
        from dealer_assets.domain.pricing.chain import price_chain
        from dealer_assets.domain.pricing.slices import forwards_of

        contract = self._alive(now_us)
        if not contract.size:
            return None
        chain = self._chain(book, contract, now_us)
        forwards = forwards_of(chain, curve=self._curve)
        priced = price_chain(chain, forwards)
        if not priced.num_rows:
            return None
        known = np.flatnonzero(np.isfinite(floats(priced, "implied_vol")))
        if not known.size:
            return None
        self._tell(book, contract, forwards, priced, now_us)
        return Pricing(
            at_us=now_us,
            chain=chain,
            forwards=forwards,
            priced=priced,
            contract=contract,
            revaluation=Revaluation.of(priced.take(pa.array(known)), contract[known]),
        )

    def _alive(self, now_us: int) -> Ints:
        """Contracts of the lane that have not expired, in the order of a snapshot's key."""
        if self._version != self._listing.version:
            own = np.flatnonzero(self._listing.lane == self._lane)
            columns = self._listing.columns.take(pa.array(own))
            key = [(name, "ascending") for name in tables.CHAIN_SNAPSHOTS.key if name != "event_at"]
            place = pa.compute.sort_indices(columns, sort_keys=key)
            self._order = own[np.array(place)]
            self._version = self._listing.version
        return self._order[self._listing.expires_us[self._order] > now_us]

    def _chain(self, book: Book, contract: Ints, now_us: int) -> pa.Table:
        asset = self._listing.lanes[self._lane]
        columns = self._listing.columns.take(pa.array(contract))
        last_us = book.last_us[contract]
        values: dict[str, pa.Array] = {name: columns[name] for name in columns.column_names}
        values |= {
            "bid": nullable(book.bid[contract]),
            "ask": nullable(book.ask[contract]),
            "bid_size_contracts": nullable(book.bid_size[contract]),
            "ask_size_contracts": nullable(book.ask_size[contract]),
            "last_price": nullable(book.last_price[contract]),
            "last_trade_at": pa.array(last_us, mask=last_us < 0).cast(tables.INSTANT),
            "volume_contracts": nullable(book.volume[contract]),
            "open_interest_contracts": nullable(book.open_interest[contract]),
        }
        source = self.spot_source(book)
        spot = float(book.spot[self._lane])
        constants = {
            "underlying": asset.symbol,
            "session_date": self._listing.sessions[asset.symbol],
            "event_at": instant_of(now_us),
            "known_at": instant_of(now_us),
            "provider": self._feed,
            "spot": None if source == "parity" else spot,
            "spot_source": source,
            "is_partial": False,
        }
        schema = tables.CHAIN_SNAPSHOTS.schema
        arrays = [
            values[field.name].cast(field.type)
            if field.name in values
            else pa.repeat(pa.scalar(constants.get(field.name), field.type), contract.size)
            for field in schema
        ]
        return pa.table(arrays, schema=schema)

    def _tell(
        self, book: Book, contract: Ints, forwards: pa.Table, priced: pa.Table, now_us: int
    ) -> None:
        """Hand forwards, discounts, vols and deltas to the book; other lanes keep theirs."""
        listing, spot = self._listing, float(forwards["spot"][0].as_py())
        ratio = np.full(len(listing.slices), np.nan)
        discount = ratio.copy()
        slice_id = listing.slice_id[contract]
        own = slice_id[np.flatnonzero(np.diff(slice_id, prepend=-1))]
        ratio[own] = floats(forwards, "forward") / spot
        discount[own] = floats(forwards, "discount")
        vol, delta = np.full(listing.size, np.nan), np.full(listing.size, np.nan)
        vol_us = np.full(listing.size, -1, np.int64)
        vol[: book.vol.size], vol_us[: book.vol.size] = book.vol, book.vol_us
        delta[: book.delta.size] = book.delta
        vol[self._order], vol_us[self._order], delta[self._order] = np.nan, -1, np.nan
        vol[contract] = floats(priced, "implied_vol")
        delta[contract] = floats(priced, "delta")
        is_known = np.isfinite(vol[contract])
        vol_us[contract] = np.where(is_known, self._vol_us(book, contract, priced, now_us), -1)
        book.price_with(
            forward_ratio=ratio,
            discount=discount,
            vol=vol,
            vol_us=vol_us,
            delta=delta,
            priced_us=now_us,
        )
        if forwards["spot_source"][0].as_py() == "parity":
            book.spot[self._lane] = spot
            book.spot_us[self._lane] = now_us
            book.spot_source[self._lane] = PARITY_SPOT

    def _vol_us(self, book: Book, contract: Ints, priced: pa.Table, now_us: int) -> Ints:
        """When the quote was received that each vol rests on; interpolated ones on all quotes."""
        source = pa.compute.index_in(priced["iv_source"], value_set=pa.array(tables.IV_SOURCES))
        code = np.array(source.combine_chunks())
        partner = self._listing.partner[contract]
        other = np.where(partner >= 0, book.quote_us[partner], -1)
        quoted = np.where(code == _OWN, book.quote_us[contract], other)
        return np.where((code == _OWN) | (code == _OTHER), quoted, now_us)
