"""The trade tape, page by page, from whichever host remembers the time asked for.

Belongs here: windows, pages, the proof that nothing is missing between them. Does not belong here:
what a trade means (`trades`).

The main host knows the last 24 hours; asked for an older start it answers with an empty list and no
error. So it is never asked for more, and its empty answer is believed only when the history host
gives the same. A page starts at the last trade of the page before, not one millisecond later: of
trades in one millisecond a page may end between two. That the page repeats this trade proves that
none is missing; repeats are told by ``trade_id``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dealer_assets.errors import GarbledAnswerError, ProviderError
from dealer_assets.providers.base import Finding, Keep, KeepNothing
from dealer_assets.providers.deribit.client import DeribitApi, Host, read_reply
from dealer_assets.providers.deribit.columns import Object, member, milliseconds_of, objects
from dealer_assets.providers.http import HttpAnswer

METHOD = "get_last_trades_by_currency_and_time"

PAGE = 1000
"""Trades a page, the most that Deribit gives."""

MAIN_REACH = timedelta(hours=23, minutes=50)
"""How far back the main host is asked: its 24 hours less what clocks may differ."""

WINDOW = timedelta(hours=4)
"""Trades are asked for in windows of this length, each from one host."""

SETTLED_AFTER = timedelta(minutes=1)
"""A window that ended this long ago gets no more trades: its pages may be kept."""


@dataclass
class Taken:
    """Trades of a currency, as they are gathered.

    Parameters
    ----------
    trades : dict of str to object
        By ``trade_id``, in the order received.
    unusable : list of object
        Without a readable id or time, or outside the window asked for.
    findings : list of Finding
        What was odd.
    is_whole : bool
        Pages chain without a gap and empty answers are proven.
    """

    trades: dict[str, Object] = field(default_factory=dict)
    unusable: list[Object] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_whole: bool = True

    def add(self, page: _Page, *, first: int, last: int) -> int:
        """Add the trades of a page of a window and return how many are new."""
        before = len(self.trades)
        self.unusable += page.unusable
        for row in page.rows:
            if first <= row["timestamp"] <= last:
                self.trades.setdefault(str(row["trade_id"]), row)
            else:
                self.unusable.append(row)
        return len(self.trades) - before

    def doubt(self, code: str, text: str) -> None:
        """Record that something is missing."""
        self.findings.append(Finding(code, text))
        self.is_whole = False


@dataclass(frozen=True)
class _Page:
    rows: list[Object]
    unusable: list[Object]
    has_more: bool

    @property
    def may_go_on(self) -> bool:
        """A full page may have successors whatever it says."""
        return self.has_more or len(self.rows) + len(self.unusable) >= PAGE

    @property
    def ends_at(self) -> int:
        stamp: int = self.rows[-1]["timestamp"]
        return stamp

    @property
    def is_ascending(self) -> bool:
        return bool(self.rows[0]["timestamp"] <= self.ends_at)


class Tape:
    """Reads windows of the tape of one currency's options.

    Parameters
    ----------
    api : DeribitApi
        Whom to ask.
    currency : str
        ``BTC`` or a stable coin. Packages have a kind of their own and are not asked for: their
        legs are on the tape of options already.
    clock : callable
        UTC now.
    keep : Keep or None
        Holds pages of windows that are over.
    """

    def __init__(
        self,
        api: DeribitApi,
        *,
        currency: str,
        clock: Callable[[], datetime],
        keep: Keep | None,
    ) -> None:
        self._api = api
        self._currency = currency
        self._clock = clock
        self._keep = KeepNothing() if keep is None else keep

    def read(self, first: datetime, end: datetime) -> Taken:
        """Return the trades from `first` until before `end`, or until now.

        Raises
        ------
        ProviderError
            When a page cannot be had; what was kept is not asked for again.
        """
        taken = Taken()
        begin = first
        while begin < min(end, self._clock()):
            until = min(begin + WINDOW, end)
            self._window(begin, until, taken)
            begin = until
        return taken

    def _window(self, begin: datetime, until: datetime, taken: Taken) -> None:
        now = self._clock()
        window = _Window(
            first=milliseconds_of(begin),
            last=milliseconds_of(until) - 1,
            host="main" if now - begin <= MAIN_REACH else "history",
            may_keep=until + SETTLED_AFTER <= now,
        )
        page: _Page | None
        page, is_held = self._page(window, window.first)
        if not page.rows and window.host == "main" and not is_held:
            page, window = self._second_look(window, taken)
        if page is not None:
            self._follow(page, window, taken)

    def _second_look(self, window: _Window, taken: Taken) -> tuple[_Page | None, _Window]:
        """Ask the history host about a window in which the main host shows no trade."""
        where = f"{self._currency} options from {window.first} to {window.last}"
        other = replace(window, host="history")
        try:
            page, _ = self._page(other, window.first)
        except ProviderError as error:
            text = f"the main host has no trade of {where}, and there was no second opinion: "
            taken.doubt("empty_answer_unproven", text + str(error))
            return None, window
        if page.rows:
            text = f"the main host showed no trade of {where}, the history host did: it was used"
            taken.findings.append(Finding("empty_answer_refuted", text))
        return page, other

    def _follow(self, page: _Page, window: _Window, taken: Taken) -> None:
        """Take a page and all that come after it."""
        start = window.first
        while True:
            taken.add(page, first=window.first, last=window.last)
            if not page.may_go_on:
                return
            if not page.rows:
                taken.doubt("page_gap", f"a page from {start} says more follows, and has no trade")
                return
            if not page.is_ascending:
                raise GarbledAnswerError(
                    f"Deribit answered {METHOD} from {start} newest first: expected ascending"
                )
            anchor: str | None = str(page.rows[-1]["trade_id"])
            if page.ends_at <= start:
                self._busy_millisecond(start, window, taken)
                start, anchor = start + 1, None
            else:
                start = page.ends_at
            if start > window.last:
                return
            page, _ = self._page(window, start)
            if anchor is not None and all(str(r["trade_id"]) != anchor for r in page.rows):
                text = f"the page from {start} does not repeat trade {anchor}, the last one before"
                taken.doubt("page_gap", text)

    def _busy_millisecond(self, stamp: int, window: _Window, taken: Taken) -> None:
        """Take the trades of a millisecond that fills a page, from its other end."""
        _, page = self._fetch(stamp, stamp, window.host, sorting="desc")
        new = taken.add(page, first=window.first, last=window.last)
        if new >= PAGE:
            text = f"{2 * PAGE} trades or more in the millisecond {stamp}: some may be missing"
            taken.doubt("millisecond_overflow", text)

    def _page(self, window: _Window, start: int) -> tuple[_Page, bool]:
        """Return a page, and whether it was held."""
        piece = f"trades-{self._currency}-{start}-{window.last}"
        held = self._keep.get(piece)
        if held is not None:
            try:
                reply = read_reply(HttpAnswer(held, {}), vendor="the cache", method=METHOD)
                return _page_of(reply.result), True
            except ProviderError:
                pass  # damaged: fetched again
        body, page = self._fetch(start, window.last, window.host)
        if window.may_keep and (page.rows or window.host == "history"):
            self._keep.put(piece, body)
        return page, False

    def _fetch(
        self, first: int, last: int, host: Host, *, sorting: str = "asc"
    ) -> tuple[bytes, _Page]:
        params: dict[str, str | int | bool] = {
            "currency": self._currency,
            "kind": "option",
            "start_timestamp": first,
            "end_timestamp": last,
            "count": PAGE,
            "sorting": sorting,
        }
        if host == "history":
            params["include_old"] = True
        reply = self._api.call(METHOD, params, host=host)
        return reply.body, _page_of(reply.result)


@dataclass(frozen=True)
class _Window:
    first: int
    last: int
    host: Host
    may_keep: bool


def _page_of(result: object) -> _Page:
    rows = objects(member(result, "trades", METHOD), METHOD)
    sound = [_is_sound(row) for row in rows]
    return _Page(
        rows=[row for row, good in zip(rows, sound, strict=True) if good],
        unusable=[row for row, good in zip(rows, sound, strict=True) if not good],
        has_more=isinstance(result, dict) and result.get("has_more") is True,
    )


def _is_sound(row: Object) -> bool:
    return isinstance(row.get("trade_id"), str | int) and isinstance(row.get("timestamp"), int)
