"""From a parsed payload to a believed snapshot: the gate that every chain passes.

Belongs here: the order of judgement (identity, rows, coverage, date, doubts) and the building of
the rows of `tables.CHAIN_SNAPSHOTS`. Does not belong here: a vendor's field name (parsers), the
single judgements (`quarantine`, `coverage`, `dating`, `doubts`), storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.domain.coverage import Coverage, chain_coverage
from dealer_assets.domain.sessions import expiry_instant
from dealer_assets.errors import BadInputError, UndatedChainError
from dealer_assets.providers.base import ChainSnapshot, Finding
from dealer_assets.providers.dating import Dating, Evidence, date_chain
from dealer_assets.providers.doubts import Chain, find_doubts, first_expiry_looks_expired
from dealer_assets.providers.quarantine import (
    Judgement,
    judge,
    refuse_if_hopeless,
    rejected_rows,
    underlying_of_chain,
)
from dealer_assets.providers.raw_chain import FLOAT_COLUMNS, RawChain
from dealer_assets.providers.source_names import named_underlying
from dealer_assets.providers.symbol_columns import SymbolColumns, read_symbols
from dealer_assets.underlyings import REGISTRY, Root, Underlying

_VENDOR_COLUMNS = ("venue_forward", "vendor_implied_vol", "vendor_delta", "vendor_gamma")
_SPOT_SOURCE = {"index": "index", "etf": "last_trade", "equity": "last_trade", "crypto": "index"}


def assemble(raw: RawChain) -> ChainSnapshot:
    """Judge a parsed payload and build the snapshot from what can be believed.

    Parameters
    ----------
    raw : RawChain
        One chain as parsed.

    Returns
    -------
    ChainSnapshot
        Rows sorted by their key; rejected rows with their reasons; findings in order of discovery:
        the parser's, identity, contents of cells, date, coverage, contents of the chain.

    Raises
    ------
    UnknownUnderlyingError
        When the registry lists none of the chain's roots.
    UndatedChainError
        When header, name and contents leave the session open.
    BadInputError
        When there is no row, no readable symbol, more than one underlying, or more than 1 % of the
        rows cannot be believed.
    """
    if not len(raw.symbols):
        raise BadInputError(f"{raw.source_name}: expected option rows, found none")
    columns = read_symbols(raw.symbols)
    underlying = underlying_of_chain(columns, raw.source_name)
    judgement = judge(raw, columns, underlying=underlying)
    refuse_if_hopeless(raw, judgement)

    findings = [Finding(code, text) for code, text in raw.notes]
    findings += _identity_findings(raw, underlying)
    rows = judgement.accepted[_key_order(columns.take(judgement.accepted))]
    floats, cell_findings = _clean_floats(raw, rows)
    findings += cell_findings
    chain = Chain(underlying, columns.take(rows), floats, _usable_spot(raw.spot))
    coverage = chain_coverage(
        underlying,
        chain.columns.expiries,
        strikes=chain.columns.strikes,
        roots=[root.symbol for root in _roots(chain).values()],
        spot=chain.spot,
    )
    try:
        dating = date_chain(_evidence(raw, chain, coverage=coverage))
    except UndatedChainError as error:
        raise UndatedChainError(f"{raw.source_name}: {error}") from error
    findings += dating.findings
    if coverage.is_partial:
        findings.append(Finding("partial_chain", "; ".join(coverage.reasons)))
    expires_at = _expiry_instants(chain)
    findings += find_doubts(chain, expires_at, event_at=dating.event_at)
    return _snapshot(
        raw,
        chain,
        rows=rows,
        judgement=judgement,
        dating=dating,
        expires_at=expires_at,
        is_partial=coverage.is_partial or raw.is_partial,
        findings=findings,
    )


def _identity_findings(raw: RawChain, underlying: Underlying) -> list[Finding]:
    """Hold header and name against the roots, which win."""
    findings: list[Finding] = []
    header = (raw.header_name or "").lower()
    printed = [u.symbol for u in REGISTRY if any(word in header for word in u.header_names)]
    claims = [raw.claimed_underlying] if raw.claimed_underlying else []
    contradiction = [c for c in claims if c != underlying.symbol]
    if printed and underlying.symbol not in printed:
        contradiction += printed
    if contradiction:
        text = (
            f"the header says {contradiction[0]} ({raw.header_name or 'symbol field'}), the "
            f"option roots say {underlying.symbol}: taken as {underlying.symbol}"
        )
        findings.append(Finding("header_underlying_mismatch", text))
    named = named_underlying(raw.source_name)
    if named is not None and named != underlying.symbol:
        text = (
            f"the file's name starts with {named}, the option roots say {underlying.symbol}: "
            f"taken as {underlying.symbol}"
        )
        findings.append(Finding("file_name_underlying_mismatch", text))
    return findings


def _key_order(columns: SymbolColumns) -> NDArray[np.int64]:
    """Order of the table's key; event_at is constant, codes ascend with the root's name."""
    keys = (~columns.is_call, columns.strikes, columns.expiries, columns.root_codes)
    return np.lexsort(keys).astype(np.int64)


def _clean_floats(
    raw: RawChain, rows: NDArray[np.int64]
) -> tuple[dict[str, NDArray[np.float64]], list[Finding]]:
    """Take the believed rows, and blank vendor values that are no usable number."""
    floats: dict[str, NDArray[np.float64]] = {}
    findings: list[Finding] = []
    for name in FLOAT_COLUMNS:
        values = raw.floats[name][rows] if name in raw.floats else np.full(rows.size, np.nan)
        if name in _VENDOR_COLUMNS:
            unusable = np.isinf(values)
            if name == "venue_forward":
                unusable |= values <= 0
            if unusable.any():
                text = f"{int(unusable.sum())} values of {name} are no usable numbers: left out"
                findings.append(Finding("vendor_value_unusable", text))
                values = np.where(unusable, np.nan, values)
        floats[name] = values
    return floats, findings


def _usable_spot(spot: float | None) -> float | None:
    return spot if spot is not None and np.isfinite(spot) and spot > 0 else None


def _evidence(raw: RawChain, chain: Chain, *, coverage: Coverage) -> Evidence:
    return Evidence(
        calendar=chain.underlying.calendar,
        has_daily_expiries=chain.underlying.has_daily_expiries,
        is_complete=not coverage.is_partial,
        first_expiry=chain.columns.expiries.min().item(),
        first_expiry_looks_expired=first_expiry_looks_expired(chain),
        downloaded_at=raw.downloaded_at,
        quoted_at=raw.quoted_at,
        named_date=raw.named_date,
        delay=raw.delay,
    )


def _roots(chain: Chain) -> Mapping[int, Root]:
    """Root of each code that occurs; quarantine left listed roots only."""
    found: dict[int, Root] = {}
    for code in np.unique(chain.columns.root_codes).tolist():
        root = chain.underlying.root(chain.columns.root_names[code])
        if root is None:
            raise BadInputError(
                f"root {chain.columns.root_names[code]} is not listed for {chain.underlying.symbol}"
            )
        found[code] = root
    return found


def _expiry_instants(chain: Chain) -> NDArray[np.datetime64]:
    """Expiry instants, shape (n,), computed once per (root, expiry)."""
    instants = np.empty(len(chain.columns.strikes), "datetime64[us]")
    for code, root in _roots(chain).items():
        of_root = np.flatnonzero(chain.columns.root_codes == code)
        days, place = np.unique(chain.columns.expiries[of_root], return_inverse=True)
        calendar = chain.underlying.calendar
        ends = [expiry_instant(root.settlement, calendar, day) for day in days.tolist()]
        instants[of_root] = np.array([_naive(end) for end in ends], "datetime64[us]")[place]
    return instants


def _naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)  # numpy has no zones; every instant here is UTC


def _instants(values: NDArray[np.datetime64]) -> pa.Array:
    return pa.array(values.astype("datetime64[us]")).cast(tables.INSTANT)


def _nullable(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _of_roots(chain: Chain, attribute: str) -> pa.Array:
    """Spread an attribute of each root over the rows."""
    values: list[object] = [None] * len(chain.columns.root_names)
    for code, root in _roots(chain).items():
        values[code] = getattr(root, attribute)
    return pa.array(values).take(pa.array(chain.columns.root_codes))


def _snapshot(
    raw: RawChain,
    chain: Chain,
    *,
    rows: NDArray[np.int64],
    judgement: Judgement,
    dating: Dating,
    expires_at: NDArray[np.datetime64],
    is_partial: bool,
    findings: list[Finding],
) -> ChainSnapshot:
    identity = (
        pa.scalar(chain.underlying.symbol),
        pa.scalar(dating.session_date, pa.date32()),
        pa.scalar(dating.event_at, tables.INSTANT),
        pa.scalar(dating.known_at, tables.INSTANT),
        pa.scalar(raw.provider),
    )
    return ChainSnapshot(
        underlying=chain.underlying.symbol,
        session_date=dating.session_date,
        event_at=dating.event_at,
        known_at=dating.known_at,
        provider=raw.provider,
        source_name=raw.source_name,
        source_sha256=raw.source_sha256,
        rows=_rows(raw, chain, rows=rows, identity=identity, expires_at=expires_at),
        rejected=rejected_rows(raw, judgement, identity=identity),
        is_partial=is_partial,
        findings=tuple(findings),
    )


def _rows(
    raw: RawChain,
    chain: Chain,
    *,
    rows: NDArray[np.int64],
    identity: tuple[pa.Scalar, ...],
    expires_at: NDArray[np.datetime64],
) -> pa.Table:
    columns, count = chain.columns, rows.size
    has_spot = chain.spot is not None
    spot_source = raw.spot_source or _SPOT_SOURCE[chain.underlying.kind]
    last_trade_at = (
        pa.nulls(count, tables.INSTANT)
        if raw.last_trade_at is None
        else _instants(raw.last_trade_at[rows])
    )
    names = ("underlying", "session_date", "event_at", "known_at", "provider")
    built: dict[str, pa.Array] = {
        **{name: pa.repeat(value, count) for name, value in zip(names, identity, strict=True)},
        **{name: _nullable(values) for name, values in chain.floats.items()},
        "symbol": columns.canonical,
        "root": pa.array(columns.root_names).take(pa.array(columns.root_codes)),
        "expiry_date": pa.array(columns.expiries).cast(pa.date32()),
        "expires_at": _instants(expires_at),
        "strike": pa.array(columns.strikes),
        "right": pc.if_else(pa.array(columns.is_call), "call", "put"),
        "exercise": _of_roots(chain, "exercise"),
        "settlement": _of_roots(chain, "settlement"),
        "multiplier": _of_roots(chain, "multiplier"),
        "last_trade_at": last_trade_at,
        "is_partial": pa.repeat(raw.is_partial, count),
        "spot": pa.repeat(pa.scalar(chain.spot, pa.float64()), count),
        "spot_source": pa.repeat(pa.scalar(spot_source if has_spot else "parity"), count),
    }
    schema = tables.CHAIN_SNAPSHOTS.schema
    return pa.Table.from_arrays([built[name] for name in schema.names], schema=schema)
