"""Cboe Open-Close files: who bought and who sold, by origin, as the exchange counts it.

Belongs here: the rows and what is believed of them. Does not belong here: column names
(`open_close_layout`), stamps and exchange (`open_close_stamps`), unpacking archives (`archives`),
positions summed up over days.

Each series of a file becomes one row per origin and size bucket: market makers (no split between
opening and closing), firms, broker-dealers, and customers and professionals in three sizes.
Market makers' rows are always there; of the others, those without any contract are left out.

=====================  ==================  ==================================================
origin                 ``sign_rule``       why
=====================  ==================  ==================================================
market_maker           market_maker_exact  the exchange counts the market makers' own sides
every other            reporter_side       exact as well, but not the dealers' side
=====================  ==================  ==================================================

Every contract bought was sold by somebody, so over all origins a series has as many buys as sells.
Where it has not, the file lacks something: the rows are kept, ``sides_do_not_balance`` says how
many, and the file is not complete. Non-standard series (``N``) are quarantined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets import tables
from dealer_assets.providers.base import Finding, Records
from dealer_assets.providers.open_close_layout import (
    GROUPS,
    Group,
    Layout,
    read_layout,
    sniff_header,
)
from dealer_assets.providers.record_quarantine import (
    NONSTANDARD_SERIES,
    quarantine,
    refuse_if_hopeless,
    unlisted,
)
from dealer_assets.providers.record_rows import (
    UNKNOWN_ROOT,
    Place,
    Roots,
    Source,
    build,
    contract_columns,
    read_roots,
)

FORMAT = "cboe_open_close"

_ISO = r"^(?P<y>\d{4})-?(?P<m>\d{2})-?(?P<d>\d{2})(?:[ T].*)?$"


@dataclass(frozen=True)
class _Series:
    """Series of a file as columns of n rows; NaN and NaT where unreadable."""

    roots: Roots
    expiries: NDArray[np.datetime64]
    strikes: NDArray[np.float64]
    flags: NDArray[np.object_]
    volumes: dict[str, NDArray[np.float64]]


def sniff(head: bytes, name: str) -> bool:
    """Tell whether a payload starts with the header of an Open-Close file.

    Parameters
    ----------
    head : bytes
        First 4096 bytes, decompressed.
    name : str
        File name; not needed.
    """
    return sniff_header(head)


def parse(payload: bytes, *, name: str, sha256: str) -> list[Records]:
    """Parse one CSV, of a whole day or of a ten-minute stamp.

    Parameters
    ----------
    payload : bytes
        CSV text.
    name : str
        File name; tells the exchange, and the stamp where no column does.
    sha256 : str
        Hash of the payload.

    Returns
    -------
    list of Records
        One, of `tables.OPEN_CLOSE`: all underlyings of the registry. Findings
        ``sides_do_not_balance``, ``exchange_unknown``, ``unlisted_roots``.

    Raises
    ------
    BadInputError
        When columns are missing (named), the file is cut off, has no stamp, or cannot be believed.
    """
    source = Source(FORMAT, name, sha256)
    layout = read_layout(payload, name)
    series = _read(layout, source)
    reasons = _reasons(layout, series)
    listed = np.flatnonzero(reasons != UNKNOWN_ROOT).astype(np.int64)
    refuse_if_hopeless(
        source,
        reasons[listed],
        row_numbers=layout.row_numbers[listed],
        raw_texts=layout.raw_texts(listed),
    )
    keep = np.flatnonzero(reasons == "").astype(np.int64)
    unbalanced = _unbalanced(series, keep)
    return [
        Records(
            table=tables.OPEN_CLOSE,
            rows=_rows(layout, series, keep, source=source),
            provider=source.provider,
            source_name=source.name,
            source_sha256=source.sha256,
            rejected=_rejected(layout, series, reasons, source=source),
            is_complete=not unbalanced,
            findings=(*unbalanced, *layout.findings, *unlisted(series.roots)),
        )
    ]


def _read(layout: Layout, source: Source) -> _Series:
    return _Series(
        roots=read_roots(layout.texts("option_symbol"), source),
        expiries=_dates(layout.texts("expiration_date")),
        strikes=layout.numbers("strike_price"),
        flags=np.array(pc.utf8_upper(layout.texts("call_put_flag")).to_pylist(), dtype=object),
        volumes={name: layout.numbers(name) for group in GROUPS for name in group.columns},
    )


def _dates(texts: pa.Array) -> NDArray[np.datetime64]:
    """Read ``YYYY-MM-DD`` and ``YYYYMMDD``, NaT where a text is neither."""
    encoded = texts.dictionary_encode()
    parts = pc.extract_regex(encoded.dictionary, pattern=_ISO).to_pylist()
    found = [_date(part["y"], part["m"], part["d"]) if part else None for part in parts]
    days: NDArray[np.datetime64] = np.array([*found, None], "datetime64[D]")
    spread: NDArray[np.datetime64] = days[encoded.indices.to_numpy(zero_copy_only=False)]
    return spread


def _date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _reasons(layout: Layout, series: _Series) -> NDArray[np.object_]:
    reasons = series.roots.reasons.copy()
    kind = pc.utf8_upper(layout.texts("series_type"))
    volumes = np.stack(list(series.volumes.values()))
    for where, reason in (
        (_is(kind, "N"), NONSTANDARD_SERIES),
        (~_is(kind, "S"), "bad_series_type"),
        (~np.isin(series.flags, ["C", "P"]), "bad_right"),
        (np.isnat(series.expiries), "bad_expiry"),
        (~(series.strikes > 0.0) | np.isinf(series.strikes), "bad_strike"),
        (np.isinf(volumes).any(axis=0), "not_a_number"),
        (np.isnan(volumes).any(axis=0), "missing_volume"),
        ((volumes < 0.0).any(axis=0), "negative_volume"),
        (_is_repeat(layout.place, series), "duplicate_contract"),
    ):
        reasons[where & (reasons == "")] = reason
    return reasons


def _is(texts: pa.Array, word: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.equal(texts, word).to_numpy(zero_copy_only=False)
    return found


def _is_repeat(place: Place, series: _Series) -> NDArray[np.bool_]:
    keys = np.stack(
        [
            place.event_at.astype(np.int64),
            series.roots.codes,
            series.expiries.astype(np.int64),
            np.nan_to_num(series.strikes * 1000.0, posinf=0.0).astype(np.int64),
            (series.flags == "C").astype(np.int64),
        ]
    )
    _, first = np.unique(keys, axis=1, return_index=True)
    repeats = np.ones(series.strikes.size, dtype=np.bool_)
    repeats[first] = False
    return repeats


def _sum(series: _Series, names: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(sum((series.volumes[name][rows] for name in names), np.zeros(rows.size)))


def _unbalanced(series: _Series, rows: NDArray[np.int64]) -> tuple[Finding, ...]:
    bought = _sum(series, [name for group in GROUPS for name in group.buys], rows)
    sold = _sum(series, [name for group in GROUPS for name in group.sells], rows)
    wrong = np.flatnonzero(bought != sold)
    if not wrong.size:
        return ()
    first = rows[wrong[0]]
    text = (
        f"{wrong.size:,} of {rows.size:,} series have other numbers bought than sold over all "
        f"origins, the first {series.roots.names[series.roots.codes[first]]} "
        f"{series.expiries[first]} {series.strikes[first]:g} {series.flags[first]}: bought "
        f"{bought[wrong[0]]:,.0f}, sold {sold[wrong[0]]:,.0f}; kept as they are"
    )
    return (Finding("sides_do_not_balance", text),)


def _rows(layout: Layout, series: _Series, keep: NDArray[np.int64], *, source: Source) -> pa.Table:
    parts = [_of_group(layout, series, group, keep, source=source) for group in GROUPS]
    key = [(name, "ascending") for name in (*tables.OPEN_CLOSE.key, "session_date")]
    return pa.concat_tables(parts).sort_by(key)


def _of_group(
    layout: Layout, series: _Series, group: Group, keep: NDArray[np.int64], *, source: Source
) -> pa.Table:
    traded = _sum(series, group.columns, keep) > 0.0
    rows = keep if group.origin == "market_maker" else keep[traded]

    def column(name: str | None) -> pa.Array:
        if name is None:
            return pa.nulls(rows.size, pa.float64())
        return pa.array(series.volumes[name][rows], pa.float64())

    def constant(value: str) -> pa.Array:
        return pa.repeat(pa.scalar(value), rows.size)

    is_maker = group.origin == "market_maker"
    columns = {
        **layout.place.take(rows).columns(),
        **contract_columns(
            series.roots.take(rows),
            expiries=series.expiries[rows],
            is_call=series.flags[rows] == "C",
            strikes=series.strikes[rows],
        ),
        "exchange": constant(layout.exchange),
        "interval": constant(layout.interval),
        "origin": constant(group.origin),
        "size_bucket": constant(group.size_bucket),
        "open_buy_contracts": column(group.open_buy),
        "close_buy_contracts": column(group.close_buy),
        "open_sell_contracts": column(group.open_sell),
        "close_sell_contracts": column(group.close_sell),
        "buy_contracts": pa.array(_sum(series, group.buys, rows), pa.float64()),
        "sell_contracts": pa.array(_sum(series, group.sells, rows), pa.float64()),
        "sign_rule": constant("market_maker_exact" if is_maker else "reporter_side"),
    }
    return build(tables.OPEN_CLOSE, columns, source)


def _rejected(
    layout: Layout, series: _Series, reasons: NDArray[np.object_], *, source: Source
) -> pa.Table:
    rows = np.flatnonzero((reasons != "") & (reasons != UNKNOWN_ROOT)).astype(np.int64)
    return quarantine(
        source,
        reasons=reasons[rows],
        places=layout.place.take(rows),
        underlyings=series.roots.symbols()[rows].tolist(),
        row_numbers=layout.row_numbers[rows],
        raw_texts=layout.raw_texts(rows),
        symbols=[series.roots.names[code] for code in series.roots.codes[rows].tolist()],
    )
