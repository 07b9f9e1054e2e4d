"""Which decoder reads which feed's frames.

Belongs here: the choice; modules of venues that are not listened to are not imported. Does not
belong here: decoding.
"""

from __future__ import annotations

from streaming.core.listing import Listing
from streaming.feeds.base import Decoder


def decoders_of(feed: str, listing: Listing) -> dict[str, Decoder]:
    """Return the decoders of a feed's frames, by feed; frames of others are packed events."""
    if feed == "polygon":
        from streaming.feeds.polygon.decode import PolygonDecoder

        return {feed: PolygonDecoder(listing)}
    if feed == "deribit":
        from streaming.feeds.deribit.decode import DeribitDecoder
        from streaming.feeds.index_check import SievedDecoder

        return {feed: SievedDecoder(DeribitDecoder(listing, cross_check=True))}
    return {}
