"""Every fault of the exchange's Polygon WebSocket, and what the feed makes of it.

`REACTIONS` is the whole table, a row per fault: what comes of it while it happens and afterwards.
Details are tested where the feed is (`test_polygon_feed.py`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dealer_assets_tests.exchange import polygon_ws_faults as bad
from dealer_assets_tests.exchange.faults import KNOWN
from dealer_assets_tests.streaming.polygon_market import (
    NOON,
    PREFIX,
    Exchange,
    Heard,
    assert_in_order,
    exchange,
    run,
)
from streaming.feeds.base import FeedRefusedError


@pytest.fixture(scope="module")
def shared() -> Iterator[Exchange]:
    with exchange() as found:
        yield found


@pytest.fixture
def market(shared: Exchange) -> Exchange:
    """An exchange at noon, two virtual minutes a second, without faults."""
    shared.world.clock.set(NOON, speed=120.0)
    shared.world.faults.clear()
    return shared


@dataclass(frozen=True)
class Reaction:
    """What the feed makes of a fault.

    Parameters
    ----------
    armed : dict
        Options of the fault.
    before : bool
        Armed before the feed connects; else while it is live.
    gap : str
        Reason of the gap that is told once it is live again; blank: none is.
    refuses : str
        What the refusal says that ends the feed; blank: it goes on.
    delivers : bytes
        What reaches the decoder because of the fault.
    says : str
        What problem or refusals say in words.
    line : dict
        Other options of the connections.
    """

    armed: dict[str, Any] = field(default_factory=dict)
    before: bool = False
    gap: str = ""
    refuses: str = ""
    delivers: bytes = b""
    says: str = ""
    line: dict[str, Any] = field(default_factory=dict)


HERE: dict[str, Any] = {"where": "/options"}
FAST_QUIET: dict[str, Any] = {"quiet_seconds": 0.5}
REACTIONS: dict[str, Reaction] = {
    "handshake_status": Reaction(HERE | {"status": 503}, before=True, says="HTTP 503"),
    "auth_failed": Reaction(HERE, before=True, refuses="auth_failed"),
    "auth_timeout": Reaction(HERE, before=True, says="auth_timeout"),
    "not_authorized": Reaction(
        {"where": "Q.", "times": None}, before=True, says="Q: 30 of 30 refused or unknown"
    ),
    "max_connections": Reaction(HERE, before=True, gap="max_connections", says="max_connections"),
    "newest_goes": Reaction({"times": 0}),  # needs a rival: see the tests below
    "close": Reaction(HERE, gap="closed", says="code 1000"),
    "abort": Reaction(HERE, gap="aborted", says="aborted"),
    "freeze": Reaction(HERE, gap="silent", says="not even pongs", line={"silent_seconds": 0.5}),
    "slow_consumer": Reaction(HERE, gap="slow_consumer", says="slow_consumer"),
    "big_frame": Reaction(HERE, delivers=b" " * 1_100_000),
    "sequence_gap": Reaction(HERE),  # seen by the decoder's users: numbers are missing
    "cancel": Reaction(delivers=b'"c":[201]'),
    "object_frame": Reaction(HERE, delivers=b'{"ev": '),
    "not_json": Reaction(HERE, delivers=b"upstream connect error"),
    "unknown_event": Reaction(HERE, delivers=b'"ev":"ZZ"'),
    "silent": Reaction(
        {"where": "O:", "times": None}, gap="silent", says="without data", line=FAST_QUIET
    ),
}


def test_the_table_has_every_websocket_fault_of_the_exchange() -> None:
    assert bad.CLOSE in KNOWN
    assert {PREFIX + name for name in REACTIONS} == {
        name for name in KNOWN if name.startswith(PREFIX)
    }


@pytest.mark.parametrize("name", REACTIONS)
def test_reaction_to(name: str, market: Exchange) -> None:
    reaction = REACTIONS[name]

    async def test() -> None:
        if reaction.before:
            market.arm(name, **reaction.armed)
        async with market.feed(**reaction.line) as heard:
            if reaction.refuses:
                with pytest.raises(FeedRefusedError, match=reaction.refuses):
                    await heard.until(lambda _: False)
                assert heard.feed.state.phase == "stopped"
                return
            if not reaction.before:
                await heard.until_live()
                await heard.until_data()
                market.arm(name, **reaction.armed)
            await shown(heard, reaction)
            market.world.faults.clear()
            await heard.until_live()
            await heard.until_data(2)
            assert [gap.reason for gap in heard.gaps] == ([reaction.gap] if reaction.gap else [])
            assert heard.feed.state.drops == len(heard.gaps)
            assert heard.feed.state.connects == 2 + len(heard.gaps)
            assert_in_order(heard)

    run(test)


async def shown(heard: Heard, reaction: Reaction) -> None:
    """Wait for what a fault is to show."""
    state = heard.feed.state
    if reaction.gap:
        await heard.until(lambda h: state.drops > 0)
        if reaction.armed.get("times", 1) is None:
            return
        await heard.until(lambda h: len(h.gaps) == 1)
    if reaction.delivers:
        await heard.until(lambda h: h.count(reaction.delivers) > 0)
    if reaction.says:
        await heard.until(lambda h: reaction.says in f"{state.problem} {state.refused}")


@pytest.mark.parametrize("seed", [1, 2])
def test_no_series_of_faults_ends_the_feed_and_every_loss_is_told(
    market: Exchange, seed: int
) -> None:
    passing = [name for name, one in REACTIONS.items() if not one.refuses and "silent" not in name]
    passing = [name for name in passing if name not in ("not_authorized", "newest_goes")]
    draw = random.Random(seed)

    async def test() -> None:
        async with market.feed(silent_seconds=0.5) as heard:
            state = heard.feed.state
            for _ in range(15):
                name = draw.choice(passing)
                armed = REACTIONS[name].armed | {"where": draw.choice(["", "/options", "/indices"])}
                market.arm(name, **armed)
                if draw.random() < 0.5:  # else the next one comes on top of it
                    await heard.until_live()
                    await heard.until_data()
            market.world.faults.clear()
            await heard.until(lambda h: len(h.gaps) == state.drops and state.phase == "live")
            await heard.until_data(3)
            assert state.connects == 2 + state.drops
            assert state.drops > 0
            assert_in_order(heard)

    run(test)
