"""What the import of a snapshot already found, under the names of `data_anomalies`.

Belongs here: which finding is which kind. Does not belong here: finding them (`providers`).

Findings that describe rows (bids, open interest, completeness) are not taken from here: two sources
of one instant may have been merged, and the rows that are held decide.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.domain.anomaly.data.scene import Found, Scene
from dealer_assets.domain.sessions import NEW_YORK

FINDING_KINDS: dict[str, str] = {
    "header_underlying_mismatch": "underlying_corrected",
    "file_name_underlying_mismatch": "underlying_corrected",
    "header_date_after_expired_series": "date_corrected",
    "header_date_before_first_expiry": "date_corrected",
    "header_date_unreadable": "date_corrected",
    "date_from_file_name": "date_corrected",
    "date_inferred_from_expiries": "date_corrected",
    "file_name_date_mismatch": "date_corrected",
    "snap_date_mismatch": "date_corrected",
    "expiry_dates_rewritten": "date_corrected",
    "pre_open_download": "shifted_open_interest",
    "open_interest_early": "shifted_open_interest",
    "spot_disagrees_with_chain": "spot_disagrees",
    "stale_quotes": "stale_quotes",
    "stale_rows": "stale_quotes",
    "quotes_frozen": "frozen_quotes",
}
"""Finding of an import to kind."""

_MARKS: dict[str, str] = {
    "underlying_corrected": "taken as",
    "shifted_open_interest": "open interest may already be",
    "spot_disagrees": "spot is printed",
    "stale_quotes": "minutes",
    "frozen_quotes": "stood still",
}
"""Words by which a kind's sentence is told from the others of its source, where they are needed."""

_EXPECTED: dict[str, str] = {
    "underlying_corrected": "a source named after the roots of its options",
    "date_corrected": "a date that the contents allow",
    "shifted_open_interest": "counts of the session itself, not of a download before it opened",
    "spot_disagrees": "quotes whose parity forward agrees with spot",
    "stale_quotes": "data as new as its clock",
    "frozen_quotes": "some change within minutes of a session",
}


def imported_found(scene: Scene) -> Iterator[Found]:
    """Yield what the import of a snapshot told, and whether it was fetched out of session."""
    codes = {code for many in scene.sources["findings"].to_pylist() for code in many}
    texts = [
        text for many in scene.sources["findings_text"].to_pylist() for text in many.split("; ")
    ]
    by_kind: dict[str, list[str]] = {}
    for code in sorted(codes & FINDING_KINDS.keys()):
        by_kind.setdefault(FINDING_KINDS[code], []).append(code)
    for kind, named in by_kind.items():
        told = [text for text in texts if _MARKS.get(kind, "") in text] or texts
        found = f"{', '.join(named)}: {'; '.join(told)}"
        yield Found(kind, found, _EXPECTED[kind], scene.contracts, source="import")
    yield from _weekend_run(scene)


def _weekend_run(scene: Scene) -> Iterator[Found]:
    known_at = pc.max(scene.now["known_at"]).as_py().astimezone(NEW_YORK)
    if scene.is_continuous or sessions.is_session(scene.underlying.calendar, known_at.date()):
        return
    session = scene.now["session_date"][0].as_py()
    yield Found(
        "weekend_run",
        f"the rows were fetched on {known_at:%A %Y-%m-%d}, no session: taken as of {session}",
        "a download within the session or before the next day",
        scene.contracts,
        source="import",
    )
