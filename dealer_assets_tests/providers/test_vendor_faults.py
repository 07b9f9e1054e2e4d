"""Every fault that the exchange shows over HTTP and S3, and what the platform makes of it.

`REACTIONS` is the whole table, a row per fault: what is asked, what comes of it while the fault
lasts, and whether it is outlived when it passes. Details of single faults are tested where the
vendor is (`test_polygon_provider.py` and its siblings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.errors import (
    GarbledAnswerError,
    NoDataError,
    NotEntitledError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
)
from dealer_assets.intake.collection import collect
from dealer_assets.intake.history import archive_open_interest
from dealer_assets.intake.ingest import store_snapshot
from dealer_assets.intake.outcome import Outcome
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake, open_lake
from dealer_assets.pricing_file import price_snapshot
from dealer_assets.providers.base import ChainSnapshot, Provider, Records
from dealer_assets.providers.cboe_live import CboeProvider
from dealer_assets.providers.deribit.provider import DeribitProvider
from dealer_assets.providers.flatfiles.provider import FlatFilesProvider
from dealer_assets.providers.flatfiles.store import s3_client
from dealer_assets.providers.occ_live import OccProvider
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.providers.rates_live import RatesProvider
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.deribit_rules import Limits
from dealer_assets_tests.exchange.faults import KNOWN
from dealer_assets_tests.exchange.flatfile_bodies import Published
from dealer_assets_tests.exchange.server import VENDORS, running
from dealer_assets_tests.exchange.world import KEY, World

NOW = datetime(2026, 9, 16, 15, 0, 30, tzinfo=UTC)  # a Wednesday morning in New York
MINUTE = NOW.replace(second=0)
TODAY, YESTERDAY, PAST = date(2026, 9, 16), date(2026, 9, 15), date(2026, 9, 14)
AAPL, SPX, SPY, NVDA, VIX, BTC = map(underlying, ("AAPL", "SPX", "SPY", "NVDA", "VIX", "BTC"))
SECRET = SecretStr(KEY)

HASTY_SECONDS = 0.1
"""Longest silence that is borne where a fault is silence and lasts; where it passes, twice that:
a busy machine's sound answers take their time too."""

LONG: dict[str, Any] = {"seconds": 1.0}
"""Of a silence: far beyond what is borne."""

CHAIN = "/v3/snapshot/options/"
SUMMARY, SERIES, CSV = "get_book_summary_by_currency", "/series-search", "daily-treasury-rates.csv"

for _vendor in VENDORS:
    import_module(f"dealer_assets_tests.exchange.{_vendor}")  # they declare their faults

WITHOUT_CLIENT = {
    "deribit_abort",
    "deribit_close",
    "deribit_connection_too_slow",
    "deribit_freeze",
    "deribit_lost_trades",
    "deribit_no_heartbeat",
    "deribit_no_id",
    "deribit_not_json",
    "deribit_out_of_order",
    "deribit_refused_channel",
    "deribit_sequence_gap",
    "deribit_silent_channel",
} | {name for name in KNOWN if name.startswith(("polygon_ws_", "hook_"))}
"""Faults of WebSockets and of receivers of notifications: no provider meets them. That the exchange
shows them is tested in `test_exchange_polygon_ws.py`, `test_exchange_deribit_ws.py` and
`test_exchange_free_sources.py`, that the sender bears them in `alerts/test_services.py`."""


@dataclass(frozen=True)
class Answer:
    """What a question brought, whichever type the provider has for it."""

    rows: pa.Table
    findings: Mapping[str, str]
    is_partial: bool
    event_at: datetime | None = None


def answer_of(found: ChainSnapshot | Records) -> Answer:
    findings = {finding.code: finding.text for finding in found.findings}
    if isinstance(found, ChainSnapshot):
        return Answer(found.rows, findings, found.is_partial, found.event_at)
    return Answer(found.rows, findings, not found.is_complete)


@dataclass
class Desk:
    """Makes providers that ask the exchange and never wait."""

    world: World
    url: str
    attempts: int = 1
    limit_seconds: float = 20.0
    pauses: list[float] = field(default_factory=list)
    made: list[Provider] = field(default_factory=list)

    @property
    def patience(self) -> Patience:
        return Patience(attempts=self.attempts, sleep=self.pauses.append)

    def polygon(self) -> PolygonProvider:
        made = PolygonProvider(
            SECRET,
            base_url=self.url,
            per_second=1e4,
            timeout_seconds=self.limit_seconds,
            total_seconds=3 * self.limit_seconds,
            patience=self.patience,
            clock=self.world.clock.now,
        )
        self.made.append(made)
        return made

    def cboe(self) -> CboeProvider:
        return CboeProvider(
            self.url,
            timeout_seconds=self.limit_seconds,
            patience=self.patience,
            least_interval_seconds=0.0,
            transport=plain(),
        )

    def occ(self) -> OccProvider:
        return OccProvider(
            self.url,
            timeout_seconds=self.limit_seconds,
            patience=self.patience,
            transport=plain(),
        )

    def rates(self) -> RatesProvider:
        return RatesProvider(
            treasury_url=self.url,
            nyfed_url=self.url,
            fred_url=self.url,
            treasury_seconds=self.limit_seconds,
            patience=self.patience,
            transport=plain(),
        )

    def deribit(self) -> DeribitProvider:
        made = DeribitProvider(
            base_url=self.url,
            history_url=f"{self.url}/history",
            per_second=1e6,
            history_per_second=1e6,
            patience=self.patience,
            clock=self.world.clock.now,
            transport=Limited(self.limit_seconds),
        )
        self.made.append(made)
        return made

    def flatfiles(self) -> FlatFilesProvider:
        client = bucket_client(self.url, self.limit_seconds)
        made = FlatFilesProvider(client, patience=self.patience, asks_for_newer=True)
        self.made.append(made)
        return made

    def close(self) -> None:
        for provider in self.made:
            provider.close()


@cache
def bucket_client(url: str, limit_seconds: float) -> Any:
    """Return a client that several tests share: making one takes longer than a question."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dealer_assets.providers.flatfiles.store._SILENCE_SECONDS", limit_seconds)
        return s3_client(url, SECRET, SECRET)


def plain() -> httpx.HTTPTransport:
    """Return a transport that reads no certificates: they take longer than a question."""
    return httpx.HTTPTransport(verify=False)


class Limited(httpx.HTTPTransport):
    """Bears silence for a while only; Deribit's provider has no setting for it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(verify=False)
        self._seconds = seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
        request.extensions = {**request.extensions, "timeout": limits}
        return super().handle_request(request)


class Memory(dict[str, bytes]):
    """A `Keep` in memory."""

    def put(self, piece: str, payload: bytes) -> None:
        self[piece] = payload


@pytest.fixture(scope="module")
def exchange() -> Iterator[tuple[World, str]]:
    generous = Limits(instruments_burst=1e6, history_burst=1e6, credits=1e9)
    world = World(VirtualClock(NOW), density=0.02, options=(generous, Published(symbols=("VIX",))))
    with running(world) as url:
        yield world, url


@pytest.fixture
def desk(exchange: tuple[World, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("dealer_assets.providers.polygon.provider.MOST_PER_SECOND", 1e4)
    monkeypatch.setattr("dealer_assets.providers.polygon.snapshots.PAGE_ROWS", 60)
    monkeypatch.setattr("dealer_assets.providers.polygon.reference._WINDOW_DAYS", (0, 30))
    world, url = exchange
    world.faults.clear()
    world.clock.set(NOW)
    desk = Desk(world, url)
    yield desk
    desk.close()
    world.faults.clear()


# --- questions -----------------------------------------------------------------------------------

Question = Callable[[Desk], Answer]


def polygon_chain(desk: Desk) -> Answer:
    """The chain with the fewest expiries, and so with the fewest requests."""
    return answer_of(desk.polygon().snapshot(VIX, at=NOW))


def polygon_share_chain(desk: Desk) -> Answer:
    return answer_of(desk.polygon().snapshot(AAPL, at=NOW))


def polygon_chain_twice(desk: Desk) -> Answer:
    """The second chain of two, with what it tells otherwise than the first."""
    provider = desk.polygon()
    first = provider.snapshot(VIX, at=NOW).rows
    desk.world.requests.append("")  # what wobbles does so from one number of requests to the next
    second = provider.snapshot(VIX, at=NOW).rows
    told = [rows["open_interest_contracts"] for rows in (first, second)]
    differs = pc.fill_null(pc.not_equal(*told), True)
    return Answer(second.append_column("differs", differs), {}, is_partial=False)


def polygon_open_interest(desk: Desk) -> Answer:
    return answer_of(desk.polygon().open_interest(VIX, session_date=TODAY))


def cboe_chain(desk: Desk) -> Answer:
    return answer_of(desk.cboe().snapshot(NVDA, at=NOW))


def cboe_index_chain(desk: Desk) -> Answer:
    return answer_of(desk.cboe().snapshot(SPX, at=NOW))


def cboe_chain_of_later(desk: Desk) -> Answer:
    """The chain of six minutes after another."""
    provider = desk.cboe()
    provider.snapshot(NVDA, at=NOW)
    later = NOW + timedelta(minutes=6)
    desk.world.clock.set(later)
    return answer_of(provider.snapshot(NVDA, at=later))


def occ_series(desk: Desk) -> Answer:
    return answer_of(desk.occ().open_interest(NVDA, session_date=TODAY))


def occ_series_with_daily_expiries(desk: Desk) -> Answer:
    return answer_of(desk.occ().open_interest(SPY, session_date=TODAY))


def occ_volume(desk: Desk) -> Answer:
    return answer_of(desk.occ().account_volume(NVDA, session_date=YESTERDAY))


def treasury(desk: Desk) -> Answer:
    curves, findings = desk.rates().treasury_curves(date(2026, 9, 8), date(2026, 9, 14))
    rows = [{"date": curve.date, "zero_rate": curve.zero_rate.tolist()} for curve in curves]
    return Answer(
        pa.Table.from_pylist(rows), {f.code: f.text for f in findings}, is_partial=len(rows) != 5
    )


def fixings(desk: Desk) -> Answer:
    """Fixings and FRED's series over a holiday, 7 September."""
    return answer_of(desk.rates().rates(date(2026, 9, 4), date(2026, 9, 11)))


def deribit_chain(desk: Desk) -> Answer:
    return answer_of(desk.deribit().snapshot(BTC, at=NOW))


def flat_file(desk: Desk) -> Answer:
    return answer_of(desk.flatfiles().index_values(VIX, session_date=PAST))


def flat_file_again(desk: Desk) -> Answer:
    """The file after it was kept as it was before."""
    keep, provider = Memory(), desk.flatfiles()
    armed = desk.world.faults.armed()
    desk.world.faults.clear()
    provider.index_values(VIX, session_date=PAST, keep=keep)
    for fault in armed:
        desk.world.faults.arm(fault.name, times=None)
    return answer_of(provider.index_values(VIX, session_date=PAST, keep=keep))


# --- expectations --------------------------------------------------------------------------------

Ask = Callable[[], Answer]


@dataclass(frozen=True)
class Refused:
    """Ends in exactly this error, in words that match."""

    error: type[ProviderError]
    words: str

    def hold(self, ask: Ask, _: Answer) -> None:
        with pytest.raises(ProviderError, match=self.words) as caught:
            ask()
        assert type(caught.value) is self.error
        assert KEY not in str(caught.value)


@dataclass(frozen=True)
class Found:
    """Brings rows, and a finding in words that match; `further` compares with the sound answer."""

    code: str
    words: str = ""
    is_partial: bool = False
    further: Callable[[Answer, Answer], None] = lambda found, sound: None

    def hold(self, ask: Ask, sound: Answer) -> None:
        found = ask()
        assert self.code in found.findings
        assert pc.match_substring_regex(found.findings[self.code], self.words).as_py()
        assert found.is_partial is self.is_partial
        self.further(found, sound)


@dataclass(frozen=True)
class Unharmed:
    """Brings the sound answer's rows, and no finding."""

    def hold(self, ask: Ask, sound: Answer) -> None:
        found = ask()
        assert found.findings == {}
        assert not found.is_partial
        assert found.rows.equals(sound.rows)


@dataclass(frozen=True)
class Differs:
    """Brings a whole answer without a finding that differs from the sound one in a told way."""

    further: Callable[[Answer, Answer], None]

    def hold(self, ask: Ask, sound: Answer) -> None:
        found = ask()
        assert found.findings == {}
        assert not found.is_partial
        self.further(found, sound)


Expectation = Refused | Found | Unharmed | Differs


def blank(*columns: str) -> Callable[[Answer, Answer], None]:
    """Expect nulls in all rows of these columns, and the sound answer's values in the others."""

    def further(found: Answer, sound: Answer) -> None:
        for name in columns:
            assert found.rows[name].null_count == found.rows.num_rows, name
        others = [name for name in found.rows.column_names if name not in columns]
        assert found.rows.select(others).equals(sound.rows.select(others))

    return further


def counted_as_missing(found: Answer, sound: Answer) -> None:
    missing = sound.rows.num_rows - found.rows.num_rows
    assert missing > 0
    words = found.findings["contracts_missing"]
    assert words.startswith(f"{missing:,} of {sound.rows.num_rows:,} contracts")
    assert set(found.rows["is_partial"].to_pylist()) == {True}


def without_volume(found: Answer, _: Answer) -> None:
    assert not pc.any(pc.greater(found.rows["volume_contracts"], 0.0)).as_py()


def older_by(minutes: int) -> Callable[[Answer, Answer], None]:
    def further(found: Answer, _: Answer) -> None:
        assert found.event_at == MINUTE - timedelta(minutes=minutes)

    return further


def priced_by_parity(found: Answer, sound: Answer) -> None:
    assert set(found.rows["spot_source"].to_pylist()) == {"parity"}
    assert found.rows["spot"][0].as_py() == pytest.approx(sound.rows["spot"][0].as_py(), rel=2e-3)


def told_as_it_is(found: Answer, sound: Answer) -> None:
    """One answer cannot tell that its open interest is of another session; `collect` can."""
    name = "open_interest_contracts"
    assert not found.rows[name].equals(sound.rows[name])
    assert found.rows.drop_columns([name]).equals(sound.rows.drop_columns([name]))


def kept_apart(found: Answer, _: Answer) -> None:
    """Each chain holds what its own answer said; few contracts differ."""
    assert 0.0 < pc.mean(pc.cast(found.rows["differs"], pa.float64())).as_py() < 0.15


def revised(found: Answer, sound: Answer) -> None:
    (new,) = found.rows.filter(found.rows["is_revised"]).to_pylist()
    before = {(r["series"], r["session_date"]): r for r in sound.rows.to_pylist()}
    old = before[new["series"], new["session_date"]]
    assert new["rate"] == pytest.approx(old["rate"] + 0.0002)
    assert new["known_at"] > old["known_at"]


def one_root_only(found: Answer, _: Answer) -> None:
    assert set(found.rows["root"].to_pylist()) == {"SPXW"}


def a_row_less(found: Answer, sound: Answer) -> None:
    assert found.rows.num_rows == sound.rows.num_rows - 1


@dataclass(frozen=True)
class Reaction:
    """What the platform does about a fault.

    Parameters
    ----------
    ask : callable
        The question that meets it.
    lasting : Expectation
        While it lasts.
    passes : bool
        When it happens once, it is outlived: the answer is the sound one.
    pause : float or None
        Seconds that are waited for it to pass.
    where : str
        Requests that meet it.
    options : mapping
        Of the fault.
    once : mapping
        Options where it happens once, if others.
    is_silence : bool
        Whether it is met with `HASTY_SECONDS`.
    """

    ask: Question
    lasting: Expectation
    passes: bool = False
    pause: float | None = None
    where: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    once: Mapping[str, Any] | None = None
    is_silence: bool = False


DOWN, GARBLED, LIMITED = ProviderUnavailableError, GarbledAnswerError, RateLimitedError


def _polygon(lasting: Expectation, *, ask: Question = polygon_chain, **more: Any) -> Reaction:
    return Reaction(ask, lasting, where=CHAIN, **more)


def _http(ask: Question, where: str, *kinds: str) -> dict[str, Reaction]:
    """Reactions to the bad answers that any source over `providers/http.py` can give."""
    again: dict[str, Any] = {"passes": True, "pause": 0.5, "where": where}
    silent: dict[str, Any] = {"passes": True, "where": where, "is_silence": True}
    rows = {
        "403": Reaction(ask, Refused(NotEntitledError, "HTTP 403"), where=where),
        "429": Reaction(
            ask,
            Refused(LIMITED, "HTTP 429"),
            passes=True,
            pause=7.0,
            where=where,
            options={"retry_after": 7},
        ),
        "500": Reaction(ask, Refused(DOWN, "HTTP 500.*try again later"), **again),
        "503": Reaction(ask, Refused(DOWN, "HTTP 503.*try again later"), **again),
        "html": Reaction(ask, Refused(GARBLED, "with a web page, expected data"), **again),
        "empty": Reaction(ask, Refused(GARBLED, "expected"), **again),
        "truncated": Reaction(ask, Refused(GARBLED, "expected|cut-off"), **again),
        "cut": Reaction(ask, Refused(DOWN, "RemoteProtocolError"), **again),
        "refused": Reaction(ask, Refused(DOWN, "did not answer"), **again),
        "silent": Reaction(ask, Refused(DOWN, "ReadTimeout"), options=LONG, **silent),
        "slow": Reaction(
            ask, Refused(DOWN, "ReadTimeout"), options=LONG, once={"seconds": 0.02}, **silent
        ),
        "stall": Reaction(ask, Refused(DOWN, "ReadTimeout"), options=LONG, **silent),
    }
    return {kind: rows[kind] for kind in kinds}


def _fallback(row: Reaction) -> Reaction:
    """Return the reaction where another publisher stands in, and it is said why."""
    assert isinstance(row.lasting, Refused)
    words = f"come from (the Treasury's XML feed|FRED's copy): .*({row.lasting.words})"
    return replace(row, lasting=Found("treasury_fallback", words))


AGAIN: dict[str, Any] = {"passes": True, "pause": 0.5}
SILENT: dict[str, Any] = {"passes": True, "is_silence": True}
TIMED_OUT = Refused(DOWN, "did not answer in time")

REACTIONS: dict[str, Reaction] = {
    # refusals: at once, in the vendor's words
    "polygon_401": _polygon(Refused(NotEntitledError, "Unknown API Key")),
    "polygon_403_message": _polygon(Refused(NotEntitledError, "not entitled to this data")),
    "polygon_403_error": _polygon(Refused(NotEntitledError, "not entitled to this data")),
    "polygon_404": _polygon(Refused(NoDataError, "contract not found")),
    # what passes is asked for again
    "polygon_429": _polygon(
        Refused(LIMITED, "exceeded the maximum requests"),
        passes=True,
        pause=7.0,
        options={"retry_after": 7},
    ),
    "polygon_429_empty": _polygon(Refused(LIMITED, "HTTP 429"), **AGAIN),
    "polygon_500": _polygon(Refused(DOWN, "HTTP 500.*Internal server error"), **AGAIN),
    "polygon_503": _polygon(Refused(DOWN, "HTTP 503.*a web page"), **AGAIN),
    "polygon_refused": _polygon(Refused(DOWN, "did not answer for"), **AGAIN),
    "polygon_cut": _polygon(Refused(GARBLED, "broke off its answer"), **AGAIN),
    "polygon_truncated": _polygon(Refused(GARBLED, "broken or cut-off JSON"), **AGAIN),
    "polygon_empty": _polygon(Refused(GARBLED, "an empty body"), **AGAIN),
    "polygon_no_results": _polygon(Refused(GARBLED, "an answer without results"), **AGAIN),
    "polygon_silent": _polygon(TIMED_OUT, options=LONG, **SILENT),
    "polygon_stall": _polygon(TIMED_OUT, options=LONG, **SILENT),
    "polygon_slow": _polygon(TIMED_OUT, options=LONG, once={"seconds": 0.02}, **SILENT),
    "polygon_drip": _polygon(TIMED_OUT, **SILENT),
    # listings
    "polygon_chain_ends": _polygon(
        Found("contracts_missing", is_partial=True, further=counted_as_missing)
    ),
    "polygon_next_host": _polygon(Unharmed(), options={"host": "https://elsewhere.invalid"}),
    # data that are wrong, or missing
    "polygon_carried_volume": _polygon(Found("volume_carried_over", further=without_volume)),
    "polygon_delayed": _polygon(Found("plan_downgraded", "DELAYED", further=older_by(15))),
    "polygon_frozen_quotes": _polygon(
        Found("frozen_quotes", "the feed stands still", further=older_by(30))
    ),
    "polygon_no_greeks": _polygon(
        Differs(blank("vendor_implied_vol", "vendor_delta", "vendor_gamma"))
    ),
    "polygon_no_quotes": _polygon(Found("quotes_missing", "no row has a quote")),
    "polygon_no_underlying_value": _polygon(Differs(priced_by_parity), ask=polygon_share_chain),
    "polygon_shifted_oi": _polygon(Differs(told_as_it_is)),
    "polygon_wiped_oi": _polygon(Found("wiped_open_interest", "it was not delivered")),
    "polygon_wobbling_oi": _polygon(Differs(kept_apart), ask=polygon_chain_twice),
    **{
        f"cboe_{kind}": row
        for kind, row in _http(
            cboe_chain,
            "",
            "403",
            "429",
            "503",
            "html",
            "cut",
            "truncated",
            "stall",
            "slow",
            "refused",
        ).items()
    },
    "cboe_frozen_quotes": Reaction(
        cboe_chain_of_later, Found("quotes_frozen", "while Greeks moved")
    ),
    "cboe_stale": Reaction(
        cboe_chain, Found("stale_quotes", "60 minutes behind"), options={"hours": 1}
    ),
    "cboe_missing_root": Reaction(
        cboe_index_chain,
        Found("partial_chain", "no contract of root SPX", is_partial=True, further=one_root_only),
        options={"root": "SPX"},
    ),
    "cboe_shifted_oi": Reaction(cboe_chain, Differs(told_as_it_is)),
    "cboe_wiped_oi": Reaction(cboe_chain, Found("wiped_open_interest", "it was not delivered")),
    **{
        f"occ_{kind}": row
        for kind, row in _http(
            occ_series,
            SERIES,
            "403",
            "429",
            "503",
            "html",
            "empty",
            "cut",
            "slow",
            "stall",
            "refused",
        ).items()
    },
    "occ_error_text": Reaction(occ_series, Refused(ProviderError, "Report Type is invalid")),
    "occ_shifted_day": Reaction(
        occ_volume, Refused(GARBLED, "expected volume of 2026-09-15, found that of")
    ),
    "occ_early_open_interest": Reaction(
        occ_series_with_daily_expiries, Refused(NoDataError, "a session after it")
    ),
    **{
        f"rates_{kind}": _fallback(row)
        for kind, row in _http(
            treasury,
            CSV,
            "slow",
            "silent",
            "html",
            "403",
            "429",
            "500",
            "503",
            "empty",
            "truncated",
            "cut",
        ).items()
    },
    "rates_revised": Reaction(
        fixings, Differs(revised), where="sofr", options={"date": "2026-09-10"}
    ),
    "rates_fred_ignores_range": Reaction(fixings, Unharmed()),
    "rates_fred_blanks": Reaction(fixings, Unharmed()),
    **{
        f"deribit_{kind}": row
        for kind, row in _http(
            deribit_chain,
            SUMMARY,
            "refused",
            "silent",
            "slow",
            "403",
            "429",
            "500",
            "503",
            "html",
            "empty",
            "truncated",
            "cut",
            "stall",
        ).items()
    },
    "deribit_error": Reaction(
        deribit_chain, Refused(DOWN, "10040 retry: this passes"), where=SUMMARY, **AGAIN
    ),
    "deribit_too_many_requests": Reaction(
        deribit_chain,
        Refused(LIMITED, "HTTP 429.*10028.*too_many_requests.*Ask less often"),
        where=SUMMARY,
        **AGAIN,
    ),
    "deribit_maintenance": Reaction(deribit_chain, Refused(DOWN, "under maintenance")),
    "flatfiles_403": Reaction(
        flat_file, Refused(NotEntitledError, "listing works for every folder, reading does not")
    ),
    "flatfiles_500": Reaction(flat_file, Refused(DOWN, "HTTP 500.*InternalError"), **AGAIN),
    "flatfiles_503": Reaction(flat_file, Refused(DOWN, "HTTP 503.*SlowDown"), **AGAIN),
    "flatfiles_abort": Reaction(flat_file, Refused(DOWN, "fetches the rest"), **AGAIN),
    "flatfiles_stall": Reaction(
        flat_file, Refused(DOWN, "broke off.*fetches the rest"), options=LONG, **SILENT
    ),
    "flatfiles_cut_gzip": Reaction(flat_file, Refused(GARBLED, "cut or damaged")),
    "flatfiles_damaged": Reaction(flat_file, Refused(GARBLED, "cut or damaged")),
    "flatfiles_republished": Reaction(
        flat_file_again, Found("republished_file", "was published anew", further=a_row_less)
    ),
}


# --- the table -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound() -> Callable[[Question, Desk], Answer]:
    """Answers without a fault, each asked for once."""
    answers: dict[Question, Answer] = {}

    def answer(question: Question, desk: Desk) -> Answer:
        if question not in answers:
            answers[question] = question(desk)
            desk.world.clock.set(NOW)
        return answers[question]

    return answer


def test_every_declared_fault_has_a_reaction_or_no_client_yet() -> None:
    assert set(REACTIONS) | WITHOUT_CLIENT == set(KNOWN)
    assert not set(REACTIONS) & WITHOUT_CLIENT


@pytest.mark.parametrize("fault", REACTIONS)
def test_a_fault_that_lasts(
    fault: str, desk: Desk, sound: Callable[[Question, Desk], Answer]
) -> None:
    row = REACTIONS[fault]
    undisturbed = sound(row.ask, desk)
    if row.is_silence:
        desk.limit_seconds = HASTY_SECONDS
    desk.world.faults.arm(fault, times=None, where=row.where, **row.options)
    row.lasting.hold(lambda: row.ask(desk), undisturbed)
    if isinstance(row.lasting, Unharmed):
        assert fault in dict(desk.world.faults.taken), "the fault has happened"


@pytest.mark.parametrize("fault", [name for name, row in REACTIONS.items() if row.passes])
def test_a_fault_that_passes(
    fault: str, desk: Desk, sound: Callable[[Question, Desk], Answer]
) -> None:
    row = REACTIONS[fault]
    undisturbed = sound(row.ask, desk)
    desk.attempts = 6
    if row.is_silence:
        desk.limit_seconds = 2 * HASTY_SECONDS
    options = row.options if row.once is None else row.once
    desk.world.faults.arm(fault, times=1, where=row.where, **options)
    Unharmed().hold(lambda: row.ask(desk), undisturbed)
    assert [name for name, _ in desk.world.faults.taken] == [fault]
    assert row.pause is None or row.pause in desk.pauses


# --- open interest that is not there -------------------------------------------------------------


@pytest.mark.parametrize("absent", [False, True])
def test_wiped_open_interest_is_not_kept_as_a_sessions_own(desk: Desk, absent: bool) -> None:
    assert not polygon_open_interest(desk).is_partial
    desk.world.faults.arm("polygon_wiped_oi", times=None, absent=absent)
    found = polygon_open_interest(desk)
    assert found.is_partial
    assert "wiped_open_interest" in found.findings


@pytest.mark.parametrize(
    ("make", "symbol", "fault"),
    [(Desk.polygon, "AAPL", "polygon_shifted_oi"), (Desk.cboe, "NVDA", "cboe_shifted_oi")],
    ids=["polygon", "cboe"],
)
def test_open_interest_that_is_still_that_of_the_session_before_is_found(
    desk: Desk, tmp_path: Path, make: Callable[[Desk], Provider], symbol: str, fault: str
) -> None:
    def collected(lake: Lake, now: datetime) -> Outcome:
        desk.world.clock.set(now)
        (outcome,) = collect(
            lake, make(desk), symbol=symbol, session_date=now.date(), now=now, per_session=1
        )
        return outcome

    found = []
    for is_shifted in (False, True):
        lake = open_lake(str(tmp_path / f"{is_shifted}"))
        collected(lake, NOW - timedelta(hours=19, minutes=30))  # before the close of yesterday
        if is_shifted:
            desk.world.faults.arm(fault, times=None)
        found.append([finding.code for finding in collected(lake, NOW).findings])
    assert found == [[], ["open_interest_repeated"]]


@pytest.mark.parametrize("fault", [None, "polygon_chain_ends", "polygon_wiped_oi"])
def test_open_interest_of_a_chain_that_is_not_whole_is_not_archived_as_whole(
    desk: Desk, tmp_path: Path, fault: str | None
) -> None:
    if fault is not None:
        desk.world.faults.arm(fault, times=None, where=CHAIN)
    lake = open_lake(str(tmp_path))
    store_snapshot(lake, desk.polygon().snapshot(VIX, at=NOW))
    archive_open_interest(lake, VIX, session_date=TODAY)
    (covered,) = read_partition(lake, tables.FEED_COVERAGE, "VIX", TODAY).to_pylist()
    assert covered["is_complete"] is (fault is None)


# --- from the vendor's fault to the levels -------------------------------------------------------


def through_the_lake(folder: Path, snapshot: ChainSnapshot) -> ChainSnapshot:
    """Store a snapshot and take its rows back."""
    lake = open_lake(str(folder))
    assert store_snapshot(lake, snapshot).is_partial is snapshot.is_partial
    rows = read_partition(lake, tables.CHAIN_SNAPSHOTS, snapshot.underlying, TODAY)
    (source,) = read_partition(lake, tables.CHAIN_SOURCES, snapshot.underlying, TODAY).to_pylist()
    assert source["is_partial"] is snapshot.is_partial
    assert source["findings"] == [finding.code for finding in snapshot.findings]
    return replace(snapshot, rows=rows)


def test_a_partial_chain_ends_as_levels_that_are_not_published(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dealer_assets.providers.polygon.snapshots.PAGE_ROWS", 24)
    whole = desk.polygon().snapshot(AAPL, at=NOW)
    desk.world.faults.arm("polygon_chain_ends", where=CHAIN)
    partial = desk.polygon().snapshot(AAPL, at=NOW)
    assert "contracts_missing" in answer_of(partial).findings
    for snapshot, is_partial in ((whole, False), (partial, True)):
        held = through_the_lake(tmp_path / f"{is_partial}", snapshot)
        assert set(held.rows["is_partial"].to_pylist()) == {is_partial}
        priced = price_snapshot(held, model="naive")
        (level,) = priced.exposure.levels.to_pylist()
        assert level["is_partial"] is is_partial
        assert level["is_publishable"] is not is_partial
        assert ("partial_chain" in level["quality_reasons"]) is is_partial
        assert priced.document["quality"]["is_partial"] is is_partial
        assert priced.document["quality"]["is_publishable"] is not is_partial


def test_levels_do_not_hang_on_the_vendors_greeks(desk: Desk) -> None:
    whole = desk.polygon().snapshot(AAPL, at=NOW)
    desk.world.faults.arm("polygon_no_greeks", times=None)
    bare = desk.polygon().snapshot(AAPL, at=NOW)
    levels = [price_snapshot(each, model="naive").exposure.levels for each in (whole, bare)]
    assert levels[0].equals(levels[1])


@pytest.mark.slow
def test_of_thirty_thousand_contracts_one_page_that_fails_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dealer_assets.providers.polygon.provider.MOST_PER_SECOND", 1e4)
    world = World(VirtualClock(NOW), density=1.8)
    with running(world) as url:
        desk = Desk(world, url)
        world.faults.arm("polygon_503", where=f"{CHAIN}I:SPX?cursor=")
        found = answer_of(desk.polygon().snapshot(SPX, at=NOW))
        desk.close()
    listed = Answer(world.chain("SPX", MINUTE), {}, is_partial=False)
    assert listed.rows.num_rows >= 30_000
    assert found.is_partial
    assert "pages_missing" in found.findings
    counted_as_missing(found, listed)


# --- receivers of notifications: the sender is tested in alerts/test_services.py ------------------


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("hook_429", 429),
        ("hook_500", 500),
        ("hook_503", 503),
        ("hook_refused", httpx.RemoteProtocolError),
        ("hook_silent", httpx.ReadTimeout),
        ("hook_slow", httpx.ReadTimeout),
        ("hook_stall", httpx.ReadTimeout),
    ],
)
def test_a_receiver_of_notifications_shows_its_fault_once(
    fault: str, seen: int | type[Exception], desk: Desk
) -> None:
    def send() -> int:
        url, body = f"{desk.url}/hooks/desk", {"title": "Gamma flip", "message": "5900"}
        with httpx.Client(transport=plain(), timeout=HASTY_SECONDS) as client:
            return client.post(url, json=body).status_code

    desk.world.faults.arm(fault, **LONG)
    if isinstance(seen, int):
        assert send() == seen
    else:
        with pytest.raises(seen):
            send()
    assert send() == 200
