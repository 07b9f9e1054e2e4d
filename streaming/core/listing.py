"""The contracts of one desk and session, numbered; everything downstream speaks of them by number.

Belongs here: which contracts there are and what never changes about them in a session. Does not
belong here: what is quoted for them (`book`), or what a vendor calls them (`feeds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import Bools, Floats, Ints, equals, floats, integers
from dealer_assets.domain.flow.settled import Settled
from dealer_assets.domain.instruments import Contract, parse_deribit, parse_osi
from dealer_assets.domain.listed import listed_chain
from dealer_assets.errors import BadInputError
from dealer_assets.tables.base import CONTRACT, RIGHTS, SETTLEMENTS
from dealer_assets.underlyings import Root, Underlying
from streaming.core.opened import Opened

LONGEST_LIFE = timedelta(days=15 * 365)
"""An expiry further from the session than this is a garbled symbol, no contract."""

_STATIC: dict[str, type[np.generic]] = {
    "lane": np.int64,
    "slice_id": np.int64,
    "partner": np.int64,
    "expires_us": np.int64,
    "expiry_day": np.int32,
    "strike": np.float64,
    "multiplier": np.float64,
    "open_interest": np.float64,
    "is_call": np.bool_,
    "settles": np.int8,
    "settled_position": np.float64,
    "settled_variance": np.float64,
    "settled_common": np.float64,
    "settled_kind": np.int64,
}
"""Type of each array of a `Listing`."""

_COLUMNS = pa.schema(
    [
        *(pa.field(c.name, c.type, nullable=False) for c in CONTRACT),
        pa.field("multiplier", pa.float64(), nullable=False),
        pa.field("exercise", pa.string(), nullable=False),
        pa.field("settlement", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Slice:
    """One root and expiry date: contracts that share a forward and a discount factor."""

    lane: int
    root: str
    expiry_date: date
    expires_us: int


class Listing:
    """Numbered contracts of one desk and session; grows, never renumbers.

    Parameters
    ----------
    lanes : tuple of Underlying
        Underlyings that share the desk's feed; a lane's number is its place here.
    sessions_of : mapping of str to datetime.date
        Session of each lane, by symbol.

    Attributes
    ----------
    symbols : list of str
        Canonical symbols as in the lake, in order of number.
    lane, slice_id, partner : int64 array, shape (size,)
        Lane; place in `slices`; number of the same strike's other right, -1 where not listed.
    expires_us : int64 array
        Expiry instant, microseconds since 1970.
    expiry_day : int32 array
        Listed expiry date, days since 1970.
    strike, multiplier : float64 array
        USD; units of the underlying a contract.
    open_interest : float64 array
        Settled contracts as published before the session; NaN where not known.
    is_call : bool array
        True for calls.
    settles : int8 array
        Place of the settlement rule in ``tables.base.SETTLEMENTS``: am, pm, twap.
    settled_position, settled_variance, settled_common, settled_kind : array
        Dealers' positions that the session opened with; see `settled`.
    slices : list of Slice
        Roots with expiry dates, in order of appearance; grows like the contracts.
    version : int
        Grows with every addition; arrays must be fetched anew when it has.

    Notes
    -----
    Arrays are views of what the listing holds: read them, never write. After `add` they are longer,
    and `partner` of earlier contracts may have been completed.
    """

    lane: Ints
    slice_id: Ints
    partner: Ints
    expires_us: Ints
    expiry_day: NDArray[np.int32]
    strike: Floats
    multiplier: Floats
    open_interest: Floats
    is_call: Bools
    settles: NDArray[np.int8]
    settled_position: Floats
    settled_variance: Floats
    settled_common: Floats
    settled_kind: Ints

    def __init__(self, lanes: Sequence[Underlying], sessions_of: Mapping[str, date]) -> None:
        self.lanes = tuple(lanes)
        self.sessions = dict(sessions_of)
        self.symbols: list[str] = []
        self.slices: list[Slice] = []
        self.version = 0
        self._opened: Opened | None = None
        self._index: dict[str, int] = {}
        self._slice_of: dict[tuple[str, date], int] = {}
        self._other_right: dict[tuple[int, float, bool], int] = {}
        self._store = {name: np.empty(0, kind) for name, kind in _STATIC.items()}
        self._parts: list[pa.Table] = [_COLUMNS.empty_table()]
        self._roots: dict[str, tuple[int, Root]] = {
            root.symbol: (number, root)
            for number, lane in enumerate(self.lanes)
            for root in (*lane.roots, *lane.side_roots)
        }
        self._publish(0)

    @classmethod
    def of(
        cls,
        lanes: Sequence[Underlying],
        listed: pa.Table,
        open_interest: pa.Table | None = None,
        settled: pa.Table | None = None,
        *,
        sessions_of: Mapping[str, date] | None = None,
    ) -> Listing:
        """Enumerate what is listed in one session.

        Parameters
        ----------
        lanes : sequence of Underlying
            Underlyings of the desk.
        listed : pyarrow.Table
            `tables.LISTED_CONTRACTS` of all lanes, one session each. Roots that the registry does
            not have and adjusted contracts are left out.
        open_interest : pyarrow.Table, optional
            `tables.OPEN_INTEREST`; of several counts of a contract the latest is used.
        settled : pyarrow.Table, optional
            `tables.DEALER_POSITIONS` of these sessions; other models than `reconciled` are passed
            over.
        sessions_of : mapping of str to datetime.date, optional
            Session of lanes of which nothing is listed.

        Raises
        ------
        BadInputError
            When the session of a lane cannot be told, or its rows are of several; when settled
            positions are of another session.
        """
        found = dict(sessions_of or {})
        chains = []
        for lane in lanes:
            rows = listed.filter(pc.equal(listed["underlying"], lane.symbol))
            days = rows["session_date"].unique().to_pylist()
            if len(days) > 1 or (not days and lane.symbol not in found):
                raise BadInputError(
                    f"expected the listed contracts of {lane.symbol} of one session, found "
                    f"{len(days)} sessions; fetch listed_contracts of the session first, or name "
                    "the session"
                )
            if days:
                found[lane.symbol] = days[0]
                chains.append(listed_chain(lane, rows).columns)
        self = cls(lanes, {lane.symbol: found[lane.symbol] for lane in lanes})
        for columns in chains:
            self._append(columns.select(_COLUMNS.names).cast(_COLUMNS))
        if open_interest is not None:
            self._settle(open_interest)
        if settled is not None:
            self._opened = Opened.of(settled, listed, self.lanes, self.sessions)
            self._open(0, self._opened.listed_today(self.symbols))
        return self

    @property
    def size(self) -> int:
        """How many contracts there are."""
        return len(self.symbols)

    @property
    def settled(self) -> Settled:
        """Dealers' positions that the session opened with, of all contracts.

        One that nobody can have held before the session has a position of 0 without error: listed
        in the session, or without open interest where that of others is known.
        """
        return Settled(
            self.settled_position, self.settled_variance, self.settled_common, self.settled_kind
        )

    def has_settled(self, lane: int) -> bool:
        """Tell whether settled positions of a lane are known."""
        return self._opened is not None and self.lanes[lane].symbol in self._opened.followed

    @property
    def columns(self) -> pa.Table:
        """What output rows repeat of a contract, in order of number.

        Columns of ``tables.base.CONTRACT``, multiplier, exercise, settlement.
        """
        if len(self._parts) > 1:
            self._parts = [pa.concat_tables(self._parts).combine_chunks()]
        return self._parts[0]

    def index_of(self, symbol: str) -> int:
        """Return the number of a canonical symbol; -1 when it is not listed."""
        return self._index.get(symbol, -1)

    def add(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """Take in contracts that appear within the session.

        Parameters
        ----------
        symbols : iterable of str
            OSI symbols (padded or prefixed or not) or Deribit names, in any order; those that are
            listed already are passed over.

        Returns
        -------
        tuple of str
            Refused: no option symbol, a root that no lane lists, expired before the session, or
            not to expire within fifteen years of it. As given.
        """
        refused, rows = [], {}
        for symbol in symbols:
            contract = _parsed(symbol)
            if contract is None or (row := self._row_of(contract)) is None:
                refused.append(symbol)
            elif row["symbol"] not in self._index:
                rows[row["symbol"]] = row
        if rows:
            first = self.size
            self._append(pa.Table.from_pylist(list(rows.values()), _COLUMNS))
            if self._opened is not None:
                self._open(first, np.ones(self.size - first, np.bool_))
        return tuple(refused)

    def _row_of(self, contract: Contract) -> dict[str, object] | None:
        number, root = self._roots.get(contract.root, (-1, None))
        if root is None or contract.strike <= 0.0:
            return None
        lane = self.lanes[number]
        session = self.sessions[lane.symbol]
        if not session <= contract.expiry_date <= session + LONGEST_LIFE:
            return None
        expires_at = sessions.expiry_instant(root.settlement, lane.calendar, contract.expiry_date)
        return {
            "symbol": contract.deribit if root.settlement == "twap" else contract.osi,
            "root": root.symbol,
            "expiry_date": contract.expiry_date,
            "expires_at": expires_at,
            "strike": contract.strike,
            "right": contract.right,
            "multiplier": root.multiplier,
            "exercise": root.exercise,
            "settlement": root.settlement,
        }

    def _append(self, rows: pa.Table) -> None:
        """Enumerate rows of `_COLUMNS`, none of them listed yet."""
        first, count = self.size, rows.num_rows
        symbols = rows["symbol"].to_pylist()
        self.symbols.extend(symbols)
        self._index.update(zip(symbols, range(first, first + count), strict=True))
        self._parts.append(rows)
        self._reserve(first + count)
        settles = pc.index_in(rows["settlement"], value_set=pa.array(SETTLEMENTS))
        new = {
            "slice_id": self._slices_of(rows),
            "expires_us": integers(rows, "expires_at"),
            "expiry_day": integers(rows, "expiry_date"),
            "strike": floats(rows, "strike"),
            "multiplier": floats(rows, "multiplier"),
            "open_interest": np.full(count, np.nan),
            "is_call": equals(rows, "right", RIGHTS[0]),
            "settles": np.array(settles.to_numpy()),
            "partner": np.full(count, -1),
            "settled_position": np.full(count, np.nan),
            "settled_variance": np.zeros(count),
            "settled_common": np.zeros(count),
            "settled_kind": np.zeros(count, np.int64),
        }
        new["lane"] = np.array([self.slices[i].lane for i in new["slice_id"].tolist()], np.int64)
        for name, values in new.items():
            self._store[name][first : first + count] = values
        self._pair(first, count)
        self._publish(first + count)

    def _slices_of(self, rows: pa.Table) -> Ints:
        """Find the slice of each row; new ones in order of appearance."""
        keys = zip(
            rows["root"].to_pylist(),
            rows["expiry_date"].to_pylist(),
            integers(rows, "expires_at").tolist(),
            strict=True,
        )
        places = np.empty(rows.num_rows, np.int64)
        for i, (root, day, expires_us) in enumerate(keys):
            place = self._slice_of.setdefault((root, day), len(self.slices))
            if place == len(self.slices):
                self.slices.append(Slice(self._roots[root][0], root, day, expires_us))
            places[i] = place
        return places

    def _pair(self, first: int, count: int) -> None:
        """Link calls and puts of a strike, also with contracts listed before."""
        store, partner = self._store, self._store["partner"]
        new = slice(first, first + count)
        keys = zip(
            store["slice_id"][new].tolist(),
            store["strike"][new].tolist(),
            store["is_call"][new].tolist(),
            strict=True,
        )
        for number, (slice_id, strike, is_call) in enumerate(keys, first):
            self._other_right[slice_id, strike, is_call] = number
            other = self._other_right.get((slice_id, strike, not is_call), -1)
            if other >= 0:
                partner[number], partner[other] = other, number

    def _settle(self, rows: pa.Table) -> None:
        """Take over open interest; of several counts of a contract the latest."""
        rows = rows.sort_by([("event_at", "ascending"), ("known_at", "ascending")])
        place = pc.index_in(rows["symbol"], value_set=pa.array(self.symbols, pa.string()))
        numbers = np.array(place.fill_null(-1).to_numpy(), np.int64)
        known = numbers >= 0
        self.open_interest[numbers[known]] = floats(rows, "open_interest_contracts")[known]

    def _open(self, first: int, is_listed_today: Bools) -> None:
        """Give contracts from a number on the positions that the session opened with."""
        assert self._opened is not None
        found = self._opened.positions(self.symbols[first:])
        lane, interest = self.lane[first:], self.open_interest
        for number, underlying in enumerate(self.lanes):
            mine = lane == number
            has_counts = bool(np.isfinite(interest[self.lane == number]).any())
            nobody = is_listed_today | (has_counts & ~(interest[first:] > 0.0))
            if underlying.symbol in self._opened.whole:
                found = found.where(mine & nobody & np.isnan(found.position))
        for name, values in zip(Settled._fields, found, strict=True):
            self._store[f"settled_{name}"][first : self.size] = values

    def _reserve(self, count: int) -> None:
        if count <= self._store["lane"].size:
            return
        room = max(1024, count + count // 4)
        for name, old in self._store.items():
            grown = np.zeros(room, old.dtype)
            grown[: old.size] = old
            self._store[name] = grown

    def _publish(self, size: int) -> None:
        for name, values in self._store.items():
            setattr(self, name, values[:size])
        self.version += 1


def _parsed(symbol: str) -> Contract | None:
    try:
        return parse_deribit(symbol) if "-" in symbol else parse_osi(symbol)
    except BadInputError:
        return None
