"""Prints of a gap, from the embedded market.

Belongs here: what the simulated venue still tells. Does not belong here: the comparison with the
log (`streaming.feeds.backfill`).
"""

from __future__ import annotations

import numpy as np

from dealer_assets.errors import DealerError
from dealer_assets.providers.simulator.provider import SimulatorProvider
from streaming.core.book import Book
from streaming.core.events import Events, concatenated
from streaming.core.listing import Listing
from streaming.feeds.backfill import Filled, lacking, nothing_filled
from streaming.feeds.base import Gap
from streaming.feeds.simulator import prints_between


class SimulatorFiller:
    """Fetches the prints that a process missed before it started.

    Parameters
    ----------
    provider : SimulatorProvider
        The market.
    listing : Listing
        Of the desk.
    """

    def __init__(self, provider: SimulatorProvider, listing: Listing) -> None:
        self._provider = provider
        self._listing = listing

    def fill(self, gap: Gap, book: Book) -> Filled:
        """Fetch the prints of a gap and return those that the book's log lacks."""
        try:
            found = [self._prints(number, gap) for number in range(len(self._listing.lanes))]
        except DealerError as error:
            return nothing_filled(str(error))
        fetched = concatenated(found)
        fetched = fetched.take(np.argsort(fetched.event_us, kind="stable"))
        events = lacking(fetched, book.log)
        events.is_backfill[:] = True
        return Filled(events, known=len(fetched) - len(events), complete=True)

    def _prints(self, number: int, gap: Gap) -> Events:
        lane = self._listing.lanes[number]
        names, events = prints_between(
            self._provider,
            lane,
            self._listing.sessions[lane.symbol],
            from_us=gap.from_us,
            until_us=gap.until_us,
        )
        rows = np.array([self._listing.index_of(name) for name in names], np.int32)
        events.contract[:] = rows[events.contract]
        return events.take(events.contract >= 0)
