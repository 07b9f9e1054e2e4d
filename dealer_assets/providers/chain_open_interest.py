"""Open interest as a chain shows it: the rows, and whether they may be kept as the session's own.

Belongs here: what every provider does whose open interest comes with its chains. Does not belong
here: which count a chain's open interest is (`domain/open_interest.py`), a vendor's hours.
"""

from __future__ import annotations

from dealer_assets import tables
from dealer_assets.domain.open_interest import open_interest_of
from dealer_assets.providers.base import ChainSnapshot, Finding, Records
from dealer_assets.underlyings import Underlying

_DOUBTS = frozenset({"wiped_open_interest", "pre_open_download"})


def open_interest_records(chain: ChainSnapshot, underlying: Underlying) -> Records:
    """Return the open interest of a chain for the session that the chain is of.

    Parameters
    ----------
    chain : ChainSnapshot
        As a provider delivered it.
    underlying : Underlying
        Registry entry.

    Returns
    -------
    Records
        `tables.OPEN_INTEREST`. Not complete while the chain is partial, or its open interest wiped
        or missing (``open_interest_missing``): nobody sells a session's count afterwards, so what
        is kept must not look whole.
    """
    findings = [*chain.findings]
    rows = open_interest_of(chain.rows, underlying)
    missing = chain.rows.num_rows - rows.num_rows
    if missing:
        text = f"{missing:,} contracts come without open interest: no rows"
        findings.append(Finding("open_interest_missing", text))
    doubted = any(finding.code in _DOUBTS for finding in findings)
    return Records(
        table=tables.OPEN_INTEREST,
        rows=rows,
        provider=chain.provider,
        source_name=chain.source_name,
        source_sha256=chain.source_sha256,
        is_complete=not (chain.is_partial or doubted or missing),
        findings=tuple(findings),
    )
