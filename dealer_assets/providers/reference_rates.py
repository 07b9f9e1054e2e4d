"""Saved downloads of rates: which publisher's a payload is.

Belongs here: recognising it. Does not belong here: reading it (`nyfed`, `fred`), the Treasury's own
files (`treasury`), fetching (`rates_live`).
"""

from __future__ import annotations

import re

from dealer_assets.providers.base import Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.fred import (
    RATE_SERIES,
    is_graph,
    parse_graph,
    parse_observations,
)
from dealer_assets.providers.nyfed import parse_nyfed
from dealer_assets.providers.record_rows import Source


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload is a download of the New York Fed or FRED.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return _is_nyfed(start) or _is_observations(start) or is_graph(start)


def _is_nyfed(start: bytes) -> bool:
    return start.startswith(b"{") and b'"refRates"' in start[:4096]


def _is_observations(start: bytes) -> bool:
    return start.startswith(b"{") and all(
        word in start[:4096] for word in (b'"observations"', b'"realtime_start"')
    )


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse a saved download.

    Parameters
    ----------
    payload : bytes
        As saved.
    name : str
        File name; of FRED's JSON it must hold the series, as in ``DGS1MO_observations.json``.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        `tables.REFERENCE_RATES`; one, or of FRED's vintages one for each generation of values.
        Formats ``nyfed_json``, ``fred_csv`` and ``fred_json``.

    Raises
    ------
    BadInputError
        When it is none of them, or holds no rate.
    """
    start = payload.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _is_nyfed(start):
        return [parse_nyfed(payload, Source("nyfed_json", name, sha256))]
    if not _is_observations(start):
        return [parse_graph(payload, Source("fred_csv", name, sha256))]
    words = re.split(r"[^A-Z0-9]+", name.upper())
    series = next((word for word in words if RATE_SERIES.fullmatch(word)), None)
    if series is None:
        refuse(
            name,
            "expected the series in the file's name, found none: FRED's JSON does not say it",
            remedy="name it like DGS1MO_observations.json",
        )
    return parse_observations(payload, Source("fred_json", name, sha256), series=series)
