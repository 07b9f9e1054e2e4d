"""The contract that every provider passes, each against the test exchange (the simulator: itself).

A new provider is one entry of `MAKERS`.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import SecretStr

from dealer_assets import tables
from dealer_assets.errors import NotOfferedError, ProviderUnavailableError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.base import Capability, Provider, Records
from dealer_assets.providers.patience import Patience
from dealer_assets.underlyings import underlying
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.deribit_rules import Limits
from dealer_assets_tests.exchange.flatfile_bodies import Published
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import KEY, World

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
TODAY, YESTERDAY, BEFORE = date(2026, 11, 20), date(2026, 11, 19), date(2026, 11, 18)
SECRET = SecretStr(KEY)
BRIEF = Patience(attempts=2, first_pause_seconds=0.0, sleep=lambda _: None)

METHODS = {
    capability: "snapshot" if capability == "chain" else capability
    for capability in get_args(Capability)
}


def simulator(_: str) -> Provider:
    from dealer_assets.providers.simulator.provider import SimulatorProvider

    return SimulatorProvider(density=0.05)


def cboe(url: str) -> Provider:
    from dealer_assets.providers.cboe_live import CboeProvider

    return CboeProvider(base_url=url, patience=BRIEF)


def polygon(url: str) -> Provider:
    from dealer_assets.providers.polygon.provider import PolygonProvider

    return PolygonProvider(SECRET, base_url=url, patience=BRIEF, clock=lambda: NOW)


def flatfiles(url: str) -> Provider:
    from dealer_assets.providers.flatfiles.provider import FlatFilesProvider
    from dealer_assets.providers.flatfiles.store import s3_client

    return FlatFilesProvider(s3_client(url, SECRET, SECRET))


def deribit(url: str) -> Provider:
    from dealer_assets.providers.deribit.provider import DeribitProvider

    return DeribitProvider(
        base_url=url,
        history_url=f"{url}/history",
        per_second=1000.0,
        history_per_second=1000.0,
        patience=BRIEF,
        clock=lambda: NOW,
    )


def occ(url: str) -> Provider:
    from dealer_assets.providers.occ_live import OccProvider

    return OccProvider(base_url=url, patience=BRIEF)


def rates(url: str) -> Provider:
    from dealer_assets.providers.rates_live import RatesProvider

    return RatesProvider(treasury_url=url, nyfed_url=url, fred_url=url, patience=BRIEF)


MAKERS: dict[str, Callable[[str], Provider]] = {
    "simulator": simulator,
    "cboe": cboe,
    "polygon": polygon,
    "flatfiles": flatfiles,
    "deribit": deribit,
    "occ": occ,
    "rates": rates,
}
# those that give whole sessions give a small one: XSP's tape is a sixteenth of SPX's
SERVED = dict.fromkeys(MAKERS, "SPX") | {"deribit": "BTC", "flatfiles": "XSP", "simulator": "XSP"}


@dataclass
class Memory:
    """A `Keep` in memory."""

    pieces: dict[str, bytes] = field(default_factory=dict)

    def get(self, piece: str) -> bytes | None:
        return self.pieces.get(piece)

    def put(self, piece: str, payload: bytes) -> None:
        self.pieces[piece] = payload


@pytest.fixture(scope="module")
def world() -> World:
    published = Published(symbols=("XSP",), quoted_contracts=200)  # files of SPX take seconds
    generous = Limits(instruments_burst=1e6, history_burst=1e6, credits=1e9)
    return World(VirtualClock(NOW), density=0.05, options=(generous, published))


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with running(world) as address:
        yield address


@pytest.fixture(params=sorted(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def provider(name: str, url: str) -> Iterator[Provider]:
    made = MAKERS[name](url)
    yield made
    made.close()


def asked(provider: Provider, capability: Capability, keep: Memory | None = None) -> Records:
    """Ask for a small answer of a capability: a session that ended two days ago where it can be."""
    asset = underlying(SERVED[provider.name])
    kept: dict[str, Any] = {} if keep is None else {"keep": keep}
    if capability == "rates":
        return provider.rates(date(2026, 11, 16), YESTERDAY)
    if capability == "underlying_bars":
        return provider.underlying_bars(asset, first=date(2026, 11, 16), last=YESTERDAY)
    if capability == "open_interest":
        return provider.open_interest(asset, session_date=TODAY)
    if capability == "listing":
        return provider.listing(asset, session_date=BEFORE, **kept)
    if capability in ("index_values", "blocks"):
        return getattr(provider, capability)(asset, session_date=BEFORE, **kept)  # type: ignore[no-any-return]
    symbols = (
        None if provider.gives_whole_sessions and capability != "quotes" else few(asset.symbol)
    )
    ask = getattr(provider, capability)
    return ask(asset, session_date=BEFORE, symbols=symbols, **kept)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str], Records]:
    """Answers to what was asked already, by provider and capability."""
    return {}


@pytest.fixture
def told(
    provider: Provider, capability: Capability, answers: dict[tuple[str, str], Records]
) -> Records:
    """The answer to a question, asked once for all tests."""
    key = (provider.name, capability)
    if key not in answers:
        answers[key] = asked(provider, capability)
    return answers[key]


@cache
def few(symbol: str) -> list[str]:
    """Three contracts that trade a lot."""
    from dealer_assets.providers.simulator.provider import SimulatorProvider

    at = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)
    rows = SimulatorProvider(density=0.05).snapshot(underlying(symbol), at=at).rows
    busy = rows.filter(pc.greater(rows["expires_at"], pa.scalar(NOW)))
    return busy.sort_by([("volume_contracts", "descending")])["symbol"].to_pylist()[:3]  # type: ignore[no-any-return]


@cache
def offered() -> list[tuple[str, str]]:
    """Return what each provider offers; once, because making one may read a second's worth."""
    pairs = []
    for name in sorted(MAKERS):
        made = MAKERS[name]("http://127.0.0.1:9")
        pairs += [(name, c) for c in sorted(made.capabilities)]
        made.close()
    return pairs


def capabilities(*, but: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(name, c) for name, c in offered() if c not in but]


def test_it_has_a_word_for_a_name_and_tells_what_it_offers(provider: Provider, name: str) -> None:
    assert provider.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", provider.name)
    assert provider.capabilities
    assert provider.capabilities <= set(get_args(Capability))
    assert provider.serves(underlying(SERVED[name]))


def test_it_overrides_what_it_offers_and_refuses_the_rest(provider: Provider) -> None:
    asset = underlying(SERVED[provider.name])
    calls: dict[str, Callable[[], object]] = {
        "chain": lambda: provider.snapshot(asset, at=NOW),
        "listing": lambda: provider.listing(asset, session_date=BEFORE),
        "trades": lambda: provider.trades(asset, session_date=BEFORE),
        "quotes": lambda: provider.quotes(asset, session_date=BEFORE, symbols=[]),
        "bars": lambda: provider.bars(asset, session_date=BEFORE),
        "open_interest": lambda: provider.open_interest(asset, session_date=BEFORE),
        "index_values": lambda: provider.index_values(asset, session_date=BEFORE),
        "underlying_bars": lambda: provider.underlying_bars(asset, first=BEFORE, last=BEFORE),
        "rates": lambda: provider.rates(BEFORE, BEFORE),
        "blocks": lambda: provider.blocks(asset, session_date=BEFORE),
    }
    for capability, method in METHODS.items():
        is_own = getattr(type(provider), method) is not getattr(Provider, method)
        assert is_own == (capability in provider.capabilities), capability
        if not is_own:
            with pytest.raises(NotOfferedError, match="offers") as refusal:
                calls[capability]()
            assert f"does not offer {capability}" in str(refusal.value)


@pytest.mark.parametrize("name", [n for n, c in capabilities() if c == "chain"])
def test_a_chain_has_the_rows_of_the_dictionary_and_honest_clocks(
    provider: Provider, name: str
) -> None:
    asset = underlying(SERVED[name])
    taken = provider.snapshot(asset, at=NOW)
    where = {"underlying": asset.symbol, "session_date": taken.session_date}
    ordered = conform(tables.CHAIN_SNAPSHOTS, taken.rows, **where)  # type: ignore[arg-type]
    assert ordered.equals(taken.rows.combine_chunks().cast(ordered.schema)), "sorted by its key"
    assert (taken.underlying, taken.session_date, taken.provider) == (asset.symbol, TODAY, name)
    assert taken.event_at <= taken.known_at
    assert abs((NOW - provider.delay - taken.event_at).total_seconds()) <= 16 * 60
    assert set(taken.rows["event_at"].to_pylist()) == {taken.event_at}
    assert not taken.is_partial
    assert pc.min(taken.rows["spot"]).as_py() > 0
    assert re.fullmatch(r"[0-9a-f]{64}", taken.source_sha256)
    assert KEY not in repr(taken.findings) + taken.source_name


@pytest.mark.parametrize("name", [n for n, c in capabilities() if c == "chain"])
def test_a_chain_of_an_instant_asked_twice_is_the_same(provider: Provider, name: str) -> None:
    asset = underlying(SERVED[name])
    first, second = (provider.snapshot(asset, at=NOW) for _ in range(2))
    assert first.rows.equals(second.rows)


@pytest.mark.parametrize(("name", "capability"), capabilities(but=("chain",)))
def test_records_have_the_rows_of_their_table(
    told: Records, name: str, capability: Capability
) -> None:
    assert told.rows.num_rows, "an answer of the test exchange has rows"
    assert told.provider == name
    for symbol, day, rows in partitions(told):
        ordered = conform(told.table, rows, underlying=symbol, session_date=day)
        assert ordered.num_rows == rows.num_rows
    late = pc.less(told.rows["known_at"], told.rows["event_at"])
    assert not pc.any(late).as_py(), "nothing is known before it happens"
    assert re.fullmatch(r"[0-9a-f]{64}", told.source_sha256)
    assert KEY not in told.source_name + repr(told.findings)


def partitions(records: Records) -> Iterator[tuple[str, date, pa.Table]]:
    keys = records.rows.group_by(["underlying", "session_date"]).aggregate([]).to_pylist()
    for key in keys:
        same = pc.and_(
            pc.equal(records.rows["underlying"], key["underlying"]),
            pc.equal(records.rows["session_date"], pa.scalar(key["session_date"], pa.date32())),
        )
        yield key["underlying"], key["session_date"], records.rows.filter(same)


@pytest.mark.parametrize(("name", "capability"), capabilities(but=("chain", "open_interest")))
def test_the_same_question_gets_the_same_rows_and_identity(
    provider: Provider, told: Records, name: str, capability: Capability
) -> None:
    again = asked(provider, capability)
    assert again.rows.equals(told.rows)
    assert again.source_sha256 == told.source_sha256


KEPT = [
    (n, c)
    for n, c in capabilities(but=("chain", "open_interest", "rates", "underlying_bars"))
    if n != "simulator"  # it has no payload
]


@pytest.mark.parametrize(("name", "capability"), KEPT)
def test_what_is_kept_is_not_fetched_again(
    provider: Provider, world: World, url: str, name: str, capability: Capability
) -> None:
    keep = Memory()
    first = asked(provider, capability, keep)
    assert keep.pieces, "payloads of a past session are kept"
    before = len(world.requests)
    again = MAKERS[name](url)
    second = asked(again, capability, keep)
    again.close()
    assert world.requests[before:] == []
    assert first.rows.equals(second.rows)


@pytest.fixture
def closed_port() -> str:
    """Return the URL of a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("name", [n for n in sorted(MAKERS) if n != "simulator"])
def test_an_outage_is_one_readable_error_and_a_probe_that_says_so(
    name: str, closed_port: str
) -> None:
    made = MAKERS[name](closed_port)
    begun = time.monotonic()
    asset = underlying(SERVED[name])
    has_chain = "chain" in made.capabilities
    ask = partial(made.snapshot, asset, at=NOW)
    with pytest.raises(ProviderUnavailableError) as failure:
        ask() if has_chain else asked(made, min(made.capabilities))
    assert KEY not in str(failure.value)
    probes = made.probe(asset, now=NOW)
    made.close()
    assert probes
    assert not any(probe.is_reachable for probe in probes)
    assert all(probe.detail for probe in probes)
    assert time.monotonic() - begun < 60.0


@pytest.mark.parametrize("name", [n for n in sorted(MAKERS) if n != "simulator"])
def test_a_probe_finds_the_source_reachable_and_entitled(provider: Provider, name: str) -> None:
    probes = provider.probe(underlying(SERVED[name]), now=NOW)
    assert probes
    assert all(probe.is_reachable for probe in probes), probes
    assert all(probe.is_entitled is not False for probe in probes), probes
    assert KEY not in repr(probes) + repr(provider) + str(vars(provider))
