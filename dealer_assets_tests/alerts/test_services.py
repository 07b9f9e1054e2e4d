"""Real messages to the test exchange's receivers: what each takes, refuses, cuts off."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr

from dealer_assets.alerts.channels import Channel, SenderProcess, channels_of
from dealer_assets.alerts.delivery import Deliverer
from dealer_assets.alerts.messages import REPEAT, Message, message_of, parts_of
from dealer_assets.alerts.policy import Policy
from dealer_assets.alerts.sender import Services, retry_after_of
from dealer_assets.alerts.store import AlertStore
from dealer_assets.errors import BadInputError
from dealer_assets_tests.alerts.alert_desk import NOW, Clock, alert
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World

# apprise imports it for mail signed with PGP, whose library still wants it
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

KEY30 = "a1b2c3d4e5" * 3
URLS = {
    "pushover": f"pover://{KEY30}@{KEY30}",
    "telegram": "tgram://123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/987654321",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts",
    "discord": "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz",
}
BASES = {
    "pushover": ("NotifyPushover", "notify_url", "/1/messages.json"),
    "telegram": ("NotifyTelegram", "notify_url", "/bot"),
    "slack": ("NotifySlack", "webhook_url", "/services"),
    "discord": ("NotifyDiscord", "notify_url", "/api/webhooks"),
}
ODD = "SPX crossed 5,900 (flip 5,895.2) <b>&</b> *x* _y_ `z` < & > 漢 😀 "


@pytest.fixture(scope="module")
def world() -> World:
    return World(VirtualClock(NOW), density=0.02)


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with running(world) as address:
        yield address


@pytest.fixture(autouse=True)
def fresh(world: World) -> Iterator[None]:
    world.notifications.clear()
    world.faults.clear()
    yield
    world.faults.clear()


@pytest.fixture(scope="module")
def process() -> Iterator[SenderProcess]:
    with SenderProcess(2.0) as made:
        yield made


def hook(url: str, name: str, more: str = "") -> str:
    return f"json://{url.removeprefix('http://')}/hooks/{name}{more}"


def text(world: World) -> list[str]:
    fields = [one["fields"] for one in world.notifications]
    return [str(f.get("message") or f.get("text") or f.get("content") or f) for f in fields]


@pytest.mark.parametrize("service", URLS)
def test_a_long_alert_of_odd_letters_is_taken_in_parts(service, url, world, monkeypatch):
    """Each receiver refuses what is too long, and Telegram's what is not escaped."""
    name, attribute, path = BASES[service]
    plugin = getattr(importlib.import_module(f"apprise.plugins.{service}"), name)
    monkeypatch.setattr(plugin, attribute, url + path)
    monkeypatch.setattr(plugin, "request_rate_per_sec", 0)
    services = Services()
    described = services.describe(URLS[service])
    assert not described.problem
    long = alert(0, title="Flip < spot & more", body=ODD * 120)
    parts = parts_of(message_of(long), described.largest)
    assert len(parts) > 1
    for part in parts:
        answer = services.send(
            URLS[service], title=part.title, body=part.body, severity=part.severity
        )
        assert answer.is_accepted, answer
    assert [one["status"] // 100 for one in world.notifications] == [2] * len(parts)
    assert "(1/" in str(world.notifications[0]["fields"])
    if service in ("pushover", "discord"):
        assert "".join("".join(text(world)).split()).count("😀") == 120


CREDENTIALS = {"token", "user", "ts"}
"""Left out of the receiver's record; and the time of the capture."""


@pytest.mark.parametrize("service", [*URLS, "json", "form"])
def test_what_is_sent_is_what_was_captured(service, url, world, monkeypatch, shared_samples):
    host = url.removeprefix("http://")
    own = {"json": f"json://{host}/hooks/a", "form": f"form://{host}/hooks/f"}
    if service in BASES:
        name, attribute, path = BASES[service]
        plugin = getattr(importlib.import_module(f"apprise.plugins.{service}"), name)
        monkeypatch.setattr(plugin, attribute, url + path)
        monkeypatch.setattr(plugin, "request_rate_per_sec", 0)
    captured = json.loads((shared_samples / "apprise" / "captured_requests.json").read_text())
    given = captured[service][0]["body"]
    wanted = json.loads(given) if given.startswith("{") else dict(parse_qsl(given))
    body = "SPX crossed 5900 (flip 5895.2) <b>&</b> *x*"
    address = own.get(service) or URLS[service]
    answer = Services().send(address, title="Gamma flip", body=body, severity="warning")
    assert answer.is_accepted, answer
    sent = world.notifications[-1]["fields"]
    assert sent.keys() - CREDENTIALS == wanted.keys() - CREDENTIALS
    if service == "telegram":  # captured without a text format: sent unescaped, and refused
        assert sent["text"].endswith("(flip 5895.2) &lt;b&gt;&amp;&lt;/b&gt; *x*")
    elif service == "slack":
        text = sent["attachments"][0]["text"]
        assert text == wanted["attachments"][0]["text"]
    else:
        told = {"pushover": "message", "discord": "content"}.get(service, "message")
        assert sent[told] == wanted[told]


@pytest.mark.parametrize(
    ("fault", "is_doubtful", "told"),
    [
        ("hook_500", False, "HTTP 500"),
        ("hook_503", False, "HTTP 503"),
        ("hook_429", False, "HTTP 429"),
        ("hook_refused", True, "Connection error"),
        ("hook_silent", True, "no answer in 2 s: cut off"),
        ("hook_slow", True, "no answer in 2 s: cut off"),
        ("hook_stall", True, "no answer in 2 s: cut off"),
    ],
)
def test_each_fault_is_a_failure_in_words_and_the_next_message_arrives(
    fault, is_doubtful, told, url, world, process
):
    channel = Channel("desk", SecretStr(hook(url, "desk", "?rto=30")))
    world.faults.arm(fault, seconds=6)
    answer = process.send(channel, Message("T", "B", "warning"))
    assert (answer.is_accepted, answer.is_doubtful) == (False, is_doubtful)
    assert told in answer.detail
    assert process.send(channel, Message("T", "B", "warning")).is_accepted
    assert [one["status"] for one in world.notifications if one["status"] == 200] == [200]


def test_how_long_a_busy_service_asks_to_be_left_alone_is_heard(url, world, process):
    channel = Channel("desk", SecretStr(hook(url, "desk")))
    world.faults.arm("hook_429", retry_after=90)
    assert process.send(channel, Message("T", "B", "warning")).retry_after_seconds == 90.0
    world.faults.arm("hook_429")
    assert process.send(channel, Message("T", "B", "warning")).retry_after_seconds == 0.0


def test_a_rest_is_asked_for_by_seconds_date_or_body():
    at = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    assert 590 < retry_after_of(429, at, "") <= 600
    telegram = '{"ok":false,"error_code":429,"parameters":{"retry_after":35}}'
    assert retry_after_of(429, "", telegram) == 35.0
    assert retry_after_of(503, " 7 ", telegram) == 7.0
    for status, header in ((200, "7"), (500, "7"), (429, ""), (429, "soon"), (429, "-7")):
        assert retry_after_of(status, header, "") == 0.0


def test_nobody_listening_is_a_failure_without_doubt(process):
    nobody = Channel("desk", SecretStr("json://127.0.0.1:9/hooks/desk"))
    answer = process.send(nobody, Message("T", "B", "warning"))
    assert (answer.is_accepted, answer.is_doubtful) == (False, False)


def test_a_failing_receiver_gets_every_alert_once_in_order_afterwards(
    url, world, process, tmp_path
):
    """500, silence and a stall in turn, then an hour of refusal; waits are on a virtual clock."""
    channels = channels_of(SecretStr(f"a={hook(url, 'a')} b={hook(url, 'b', '?rto=30')}"))
    clock = Clock()
    for fault, times in (("hook_500", 3), ("hook_stall", 1), ("hook_503", 9)):
        world.faults.arm(fault, times=times, where="/hooks/b", seconds=6)
    ids = [alert(n).alert_id for n in range(8)]
    with AlertStore(tmp_path / "alerts.sqlite", deliver_within=timedelta(days=9)) as store:
        store.raise_alerts([alert(n) for n in range(8)], NOW)
        deliverer = Deliverer(store, Policy(channels, tmp_path / "lock"), process, clock=clock)
        while store.waiting():
            deliverer.run()
            clock.forward(minutes=5)
        assert {queued.state for queued in store.listing()} == {"delivered"}
    for name in "ab":
        got = [
            one["fields"]["message"].rsplit(" ", 1)[1]
            for one in world.notifications
            if one["service"] == f"webhook:{name}" and one["status"] == 200
        ]
        assert got == ids, "confirmed once each, in order"
    assert clock.at - NOW > timedelta(hours=1)
    titles = [one["fields"]["title"] for one in world.notifications if one["status"] == 200]
    assert [t for t in titles if t.startswith(REPEAT)] == [f"{REPEAT}Alert 0"], "it was cut off"


def test_urls_that_cannot_be_used_say_why_without_showing_themselves(process):
    secret = "pl4ntedt0ken"
    for bad, why in (
        (f"nosuch://{secret}/x", "Unparseable URL"),
        (f"pover://{secret}", "invalid Pushover User Key"),
        (f"tgram://123456789:{'A' * 35}/111/{secret}222", "targets"),
    ):
        told = process.describe(Channel(bad, SecretStr(bad))).problem
        assert why in told
        assert secret not in told


def test_urls_are_told_apart_by_names_without_secrets():
    urls = "json://u:p@h/a?to=x,y, phone=pover://K@T\n json://h/b,json://h/c"
    channels = channels_of(SecretStr(urls))
    assert [c.name for c in channels] == ["json", "phone", "json-2", "json-3"]
    assert channels[0].url.get_secret_value() == "json://u:p@h/a?to=x,y"
    assert channels[1].url.get_secret_value() == "pover://K@T"
    assert channels_of(None) == channels_of(SecretStr("  ")) == ()
    assert "K@T" not in repr(channels)
    for wrong in ("no-url-of-Pl4nted", "a=json://h a=json://h", "log=json://h", "json://h Pl4nted"):
        with pytest.raises(BadInputError) as refused:
            channels_of(SecretStr(wrong))
        assert "Pl4nted" not in str(refused.value)


def test_a_sender_that_dies_is_started_anew(url, world, process, tmp_path: Path):
    channel = Channel("desk", SecretStr(hook(url, "desk")))
    assert process.send(channel, Message("T", "B", "notice")).is_accepted
    assert process._process is not None
    process._process.kill()
    process._process.wait()
    assert process.send(channel, Message("T", "B", "notice")).is_accepted
    assert len(world.notifications) == 2
