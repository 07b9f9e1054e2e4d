"""Rows of the live tables: numbered, in their schemas, in the order in which they came about.

Belongs here: laying out arrays as Arrow tables. Does not belong here: what is in them (`book`,
`lane`), or writing them (`sink`).

Rows wait as arrays until they are taken: laying out a table costs more than what a second brings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain.columns import Floats, Ints, nullable, words
from dealer_assets.domain.flow.bars import MEASURES, names_of
from dealer_assets.domain.flow.totals import Sums
from dealer_assets.tables import Table
from dealer_assets.tables.base import CONTRACT, RIGHTS, SPOT_SOURCES, exposures
from dealer_assets.tables.live import FLOW_INTERVALS, LIVE_MODELS, SIZE_BUCKETS, TENORS
from streaming.core.ended import ContractBars, Ended, Strikes
from streaming.core.flow import LENGTHS, FlowBars
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences
from streaming.core.trade_rows import trade_columns
from streaming.core.trades import Trades
from streaming.core.view import SecondTotals

_NAMES = [column.name for column in CONTRACT]
_NET = [column.name for column in exposures("net_")]
_SUMS = [
    *_NET,
    *(f"{part}_gamma_exposure_usd_per_pct" for part in ("call", "put", "zero_dte", "gross")),
]
_EXPOSURES = [name.removeprefix("net_") for name in _NET]
_PER_TRADE = [name for name in Trades.__dataclass_fields__ if name != "first_row"]

Arrays = dict[str, Any]


class Ledger:
    """Collects what a desk brings about and lays it out as rows.

    Parameters
    ----------
    listing : Listing
        Contracts.
    feed : str
        Where events come from.
    sequences : Sequences
        Numbers of the rows.
    """

    def __init__(self, listing: Listing, *, feed: str, sequences: Sequences) -> None:
        self._listing, self._feed, self._sequences = listing, feed, sequences
        self._trades: list[Trades] = []
        self._totals: list[list[SecondTotals]] = [[] for _ in listing.lanes]
        self._strikes: list[list[Strikes]] = [[] for _ in listing.lanes]
        self._flow: list[list[FlowBars]] = [[] for _ in listing.lanes]
        self._contracts: list[list[ContractBars]] = [[] for _ in listing.lanes]

    def add_trades(self, trades: Trades) -> None:
        """Take in trades of any lanes."""
        self._trades.append(trades)

    def add(self, lane: int, ended: Ended) -> None:
        """Take in what the end of a second brought to a lane."""
        if ended.totals is not None:
            self._totals[lane].append(ended.totals)
        if ended.strikes is not None:
            self._strikes[lane].append(ended.strikes)
        self._flow[lane] += ended.flow
        self._contracts[lane] += ended.contract_flow

    def take(self) -> list[tuple[Table, str, pa.Table]]:
        """Return the rows since the last call."""
        taken = self._take_trades()
        kinds: tuple[tuple[Table, list[list[Any]], Callable[..., Arrays]], ...] = (
            (tables.LIVE_GAMMA, self._totals, _gamma_columns),
            (tables.LIVE_STRIKES, self._strikes, self._strike_columns),
            (tables.LIVE_FLOW, self._flow, _flow_columns),
            (tables.LIVE_CONTRACT_FLOW, self._contracts, self._contract_flow_columns),
        )
        for table, by_lane, columns_of in kinds:
            for lane, waiting in enumerate(by_lane):
                if waiting:
                    taken.append(self._laid_out(table, lane, columns_of(waiting)))
                    waiting.clear()
        return taken

    def _laid_out(self, table: Table, lane: int, columns: Arrays) -> tuple[Table, str, pa.Table]:
        """Give rows their numbers and put what they share beside what each has."""
        symbol = self._listing.lanes[lane].symbol
        count = len(columns["event_at"])
        first = self._sequences.take(table.name, symbol, count)
        constants: dict[str, str | date] = {
            "underlying": symbol,
            "session_date": self._listing.sessions[symbol],
            "feed": self._feed,
        }
        columns["stream_sequence"] = np.arange(first, first + count)
        schema = _SCHEMAS[table.name]
        arrays = [
            pa.repeat(pa.scalar(constants[field.name], field.type), count)
            if field.name in constants
            else _array(columns[field.name], field.type)
            for field in schema
        ]
        return table, symbol, pa.table(arrays, schema=schema)

    def _contract(self, contract: Ints) -> Arrays:
        taken = self._listing.columns.take(pa.array(contract))
        return {name: taken[name] for name in _NAMES}

    def _take_trades(self) -> list[tuple[Table, str, pa.Table]]:
        if not self._trades:
            return []
        joined = {
            name: np.concatenate([getattr(trades, name) for trades in self._trades])
            for name in _PER_TRADE
        }
        self._trades.clear()
        number = self._listing.lane[joined["contract"]]
        taken = []
        for lane in range(len(self._listing.lanes)):
            own = np.flatnonzero(number == lane)
            if own.size:
                mine = {name: values[own] for name, values in joined.items()}
                columns = self._contract(mine["contract"])
                columns |= trade_columns(mine, self._listing)
                taken.append(self._laid_out(tables.LIVE_TRADES, lane, columns))
        return taken

    def _strike_columns(self, blocks: Sequence[Strikes]) -> Arrays:
        at = _repeated([b.at_us for b in blocks], [b.contract.size for b in blocks])
        spot = _repeated([b.spot for b in blocks], [b.contract.size for b in blocks])
        exposures = np.concatenate([b.exposures for b in blocks], axis=1)
        columns = self._contract(np.concatenate([b.contract for b in blocks]))
        columns |= {
            "event_at": at,
            "known_at": at,
            "spot": spot,
            "volume_contracts": np.concatenate([b.volume for b in blocks]),
            "position_contracts": np.concatenate([b.position for b in blocks]),
            "open_interest_contracts": nullable(np.concatenate([b.open_interest for b in blocks])),
        }
        return columns | dict(zip(_EXPOSURES, exposures, strict=True))

    def _contract_flow_columns(self, blocks: Sequence[ContractBars]) -> Arrays:
        sizes = [b.bars.key.size for b in blocks]
        columns = self._contract(np.concatenate([b.bars.key for b in blocks]))
        columns |= _bar_columns([b.interval for b in blocks], [b.end_us for b in blocks], sizes)
        columns |= _measures(np.concatenate([b.bars.sums for b in blocks], axis=1))
        columns |= {
            "is_watched": np.concatenate([b.is_watched for b in blocks]),
            "last_price_usd": nullable(np.concatenate([b.last_price for b in blocks])),
            "spot": nullable(_repeated([b.spot for b in blocks], sizes)),
            "implied_vol": nullable(np.concatenate([b.vol for b in blocks])),
            "delta": nullable(np.concatenate([b.delta for b in blocks])),
            "gamma": nullable(np.concatenate([b.gamma for b in blocks])),
        }
        return columns


def _gamma_columns(seconds: Sequence[SecondTotals]) -> Arrays:
    rows = [
        (
            second.at_us,
            LIVE_MODELS.index(name),
            SPOT_SOURCES.index(second.spot_source),
            second.priced_us,
            second.trades,
            model.contracts,
            model.contracts_priced,
        )
        for second in seconds
        for name, model in second.models.items()
    ]
    at, model, source, priced, trades, contracts, contracts_priced = np.array(rows).T
    sums = np.array(
        [
            (
                second.spot,
                second.spot_age_us / 1e6,
                second.signed_share,
                second.quoted_share,
                model.net_gamma_sd,
                model.settled_share,
                *_values(model.sums),
            )
            for second in seconds
            for model in second.models.values()
        ]
    ).T
    columns: Arrays = {
        "event_at": at,
        "known_at": at,
        "model": words(LIVE_MODELS, model),
        "spot": sums[0],
        "spot_source": words(SPOT_SOURCES, source),
        "spot_age_seconds": sums[1],
        "contracts": contracts,
        "contracts_priced": contracts_priced,
        "priced_at": priced,
        "trades": trades,
        "signed_share": nullable(sums[2]),
        "quoted_share": sums[3],
        "net_gamma_sd_usd_per_pct": nullable(sums[4]),
        "settled_open_interest_share": nullable(sums[5]),
    }
    return columns | dict(zip(_SUMS, sums[6:], strict=True))


def _values(sums: Sums) -> tuple[float, ...]:
    """Return sums in the order of `_SUMS`."""
    parts = (sums.call_gamma, sums.put_gamma, sums.zero_dte_gamma, sums.gross_gamma)
    return (*sums.net, *parts)


def _flow_columns(blocks: Sequence[FlowBars]) -> Arrays:
    sizes = [b.bars.key.size for b in blocks]
    right, tenor, size = names_of(np.concatenate([b.bars.key for b in blocks]))
    cumulative = np.concatenate([b.cumulative for b in blocks], axis=1)
    columns = _bar_columns([b.interval for b in blocks], [b.end_us for b in blocks], sizes)
    columns |= _measures(np.concatenate([b.bars.sums for b in blocks], axis=1))
    return columns | {
        "right": words(RIGHTS, right),
        "tenor": words(TENORS, tenor),
        "size_bucket": words(SIZE_BUCKETS, size),
        "cumulative_hedge_flow_usd": cumulative[0],
        "cumulative_absolute_hedge_flow_usd": cumulative[1],
    }


def _bar_columns(interval: list[int], end_us: list[int], sizes: list[int]) -> Arrays:
    kinds, ends = _repeated(interval, sizes), _repeated(end_us, sizes)
    return {
        "event_at": ends - np.array(LENGTHS)[kinds],
        "known_at": ends,
        "interval": words(FLOW_INTERVALS, kinds),
    }


def _measures(sums: Floats) -> Arrays:
    columns: Arrays = dict(zip(MEASURES, sums, strict=True))
    columns["trades"] = sums[0].astype(np.int64)
    return columns


def _repeated(values: Sequence[float], sizes: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.repeat(np.array(values), np.array(sizes))


_SCHEMAS = {table.name: table.schema for table in tables.LIVE_TABLES}
"""Made once: every second lays out rows of each."""


def _array(values: Any, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Return a column as it is stored; instants come as microseconds since 1970."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values if values.type == kind else values.cast(kind)
    return pa.array(values, kind)
