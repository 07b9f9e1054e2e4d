"""`dealer alerts`, the doctor's line and the sensor, as a user meets them; and no secret in any."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from dealer_assets.alerts.store import AlertStore
from dealer_assets.alerts.trial import standing
from dealer_assets.cli import app, main
from dealer_assets.defs.alert_delivery import alert_delivery_sensor
from dealer_assets.defs.resources import Platform
from dealer_assets.derived.alerting import export_session
from dealer_assets.settings import Settings, settings
from dealer_assets.sources import lake_of
from dealer_assets_tests.alerts.alert_desk import alert
from dealer_assets_tests.exchange.clock import VirtualClock
from dealer_assets_tests.exchange.server import running
from dealer_assets_tests.exchange.world import World

NOW = datetime.now(UTC)
PLANTED = ("pl4ntedPath", "pl4ntedPassword", "pl4ntedHeader", "pl4ntedValue", "pl4ntedUser")
_PATH, _PASSWORD, _HEADER, _VALUE, _USER = PLANTED


def recent(number: int, **changes: object):
    at = NOW - timedelta(minutes=10) + timedelta(seconds=number)
    return alert(number, event_at=at, known_at=at, **changes)


@pytest.fixture
def store(data_dir: Path) -> Iterator[AlertStore]:
    with AlertStore(settings().alert_store) as made:
        made.raise_alerts([recent(n, facts={"score": 90.0 + n}) for n in range(3)], NOW)
        yield made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["alerts", *arguments])


def test_list_show_acknowledge_and_resolve(store):
    assert "Alert 2" in run("list").output
    first = recent(0).alert_id
    done = run("ack", first[:10], "--by", "ana", "--note", "seen at the desk")
    assert done.exit_code == 0, done.output
    assert run("resolve", recent(1).alert_id).exit_code == 0
    listed = json.loads(run("list", "--json").output)
    assert [(a["title"], a["state"]) for a in listed] == [
        ("Alert 2", "new"),
        ("Alert 0", "acknowledged"),
    ]
    assert len(json.loads(run("list", "--state", "all", "--json").output)) == 3
    shown = run("show", first[:10])
    assert "score: 90.0" in shown.output
    assert "ana" in shown.output
    told = json.loads(run("show", first, "--json").output)
    assert told["history"][-1]["detail"] == "seen at the desk"


def test_refusals_say_what_to_do(store):
    assert "no alert begins with" in str(run("show", "zzz").exception)
    assert "expected open, all" in str(run("list", "--state", "odd").exception)
    run("resolve", recent(0).alert_id)
    assert "cannot become acknowledged" in str(run("ack", recent(0).alert_id).exception)


def test_before_any_alert_lists_are_empty_and_nothing_is_made(data_dir):
    assert "no alert is open" in run("list").output
    assert run("list", "--json").output.strip() == "[]"
    assert run("deliver").output.strip() == "nothing to deliver"
    assert "no alert was raised yet" in str(run("show", "0").exception)
    assert not data_dir.exists()


def test_deliver_and_test_write_the_log_by_default(store, data_dir):
    assert run("test").exit_code == 0
    assert run("deliver").output.strip() == "3 confirmed by log"
    lines = [json.loads(line) for line in settings().alert_log.read_text().splitlines()]
    assert [line["rule"] for line in lines] == ["test", *["score_at_least"] * 3]
    assert store.waiting() == 0


def test_rules_are_told_with_their_figures_as_set(data_dir, monkeypatch):
    monkeypatch.setenv("DEALER_ALERT_RULES", "wall_shifted off; score_at_least at_least=91")
    settings.cache_clear()
    told = run("rules").output
    assert "wall_shifted off" in told
    assert "at least 91 score" in told
    rules = {rule["name"]: rule for rule in json.loads(run("rules", "--json").output)}
    assert rules["score_at_least"]["at_least"] == 91
    assert rules["wall_shifted"]["is_on"] is False


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MODE", "loud", "error: DEALER_ALERT_MODE: Input should be 'log' or 'send'"),
        ("DIGEST_OVER", _PATH, "error: DEALER_ALERT_DIGEST_OVER: Input should be a valid integer"),
        ("URLS", f"pover//{_PATH}", "expected [name=]scheme://..., found something else"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it_and_does_not_show_it(
    variable, value, said, data_dir, monkeypatch, capsys
):
    monkeypatch.setenv(f"DEALER_ALERT_{variable}", value)
    monkeypatch.setattr(sys, "argv", ["dealer", "alerts", "test"])
    settings.cache_clear()
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr().err
    assert (left.value.code, told.count("\n")) == (1, 1)
    assert said in told
    assert _PATH not in told


def test_help_teaches_the_first_steps():
    told = " ".join(run("--help").output.split())
    for word in ("DEALER_ALERT_URLS", "dealer alerts test", "DEALER_ALERT_MODE=send", "rules"):
        assert word in told


def test_a_test_message_tells_each_channels_answer_and_the_exit_code(data_dir, monkeypatch):
    world = World(VirtualClock(NOW), density=0.02)
    with running(world) as url:
        host = url.removeprefix("http://")
        good, bad = f"phone=json://{host}/hooks/a", f"json://{host}/hooks/b"
        monkeypatch.setenv("DEALER_ALERT_URLS", f"{good} {bad}")
        settings.cache_clear()
        assert run("test").exit_code == 0
        world.faults.arm("hook_500", where="/hooks/b")
        done = run("test")
    assert done.exit_code == 1
    assert ["sent" in line for line in done.output.splitlines() if "HTTP" in line] == [True, False]
    assert "DEALER_ALERT_MODE=send sends them" in done.output
    assert world.notifications[0]["fields"]["title"] == "Test of dealer alerts"
    assert not settings().alert_store.exists(), "a test is no alert"


def test_the_doctor_tells_how_delivery_stands(store, monkeypatch):
    def told() -> tuple[str, str]:
        found = standing(Settings(), NOW)
        return found.verdict, found.detail

    assert told() == ("ok", "log to log; 3 waiting")
    late = standing(Settings(), NOW + timedelta(hours=2))
    assert (late.verdict, "is the sensor" in late.detail) == ("warn", True)
    monkeypatch.setenv("DEALER_ALERT_MODE", "send")
    assert told()[0] == "fail"
    monkeypatch.setenv("DEALER_ALERT_URLS", f"phone=pover://{_PATH}")
    verdict, detail = told()
    assert (verdict, "invalid Pushover" in detail) == ("fail", True)
    assert _PATH not in detail
    monkeypatch.setenv("DEALER_ALERT_URLS", f"json://127.0.0.1:9/{_PATH}")
    settings.cache_clear()
    assert run("deliver").exit_code == 1
    verdict, detail = told()
    assert (verdict, "json failed 1 times" in detail) == ("warn", True)
    monkeypatch.setenv("DEALER_ALERT_MODE", "log")
    assert standing(Settings(), NOW + timedelta(hours=2)).verdict == "fail"
    monkeypatch.setenv("DEALER_ALERT_QUIET", "late")
    assert "expected hours like" in told()[1], "before it is asked"
    monkeypatch.delenv("DEALER_ALERT_QUIET")
    monkeypatch.setenv("DEALER_ALERT_RULES", "walls off")
    assert told()[0] == "fail"
    assert "'walls off' is none of the rules" in told()[1]


def test_the_sensor_delivers_and_says_so(store):
    skipped = alert_delivery_sensor(dg.build_sensor_context(), platform=Platform())
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "3 confirmed by log"
    assert store.waiting() == 0


class _Echo(BaseHTTPRequestHandler):
    """The worst a service can do: it repeats the whole request in its refusal."""

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = f"refused: {self.path} {dict(self.headers)} {text}".encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


_LOUD = (
    "import logging, sys; logging.basicConfig(level=logging.DEBUG); "
    "from dealer_assets.cli import app; "
    "[app(['alerts', one], standalone_mode=False) for one in ('test', 'deliver')]"
)
"""Every library's debug log, as a user in trouble would switch it on."""


def test_a_planted_token_shows_in_no_log_table_answer_or_file(
    echo, store, data_dir, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    url = f"json://{_USER}:{_PASSWORD}@{echo}/hooks/{_PATH}?+X-Key={_HEADER}&:k={_VALUE}"
    telegram = f"tgram://123456789:{_PATH}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/{_VALUE}/x/y"
    monkeypatch.setenv("DEALER_ALERT_URLS", f"{url} bad={telegram} odd=nosuch://{_PATH}")
    monkeypatch.setenv("DEALER_ALERT_MODE", "send")
    settings.cache_clear()
    said = repr(settings()) + settings().model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", _LOUD],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    said += done.stdout + done.stderr
    assert "waiting" in done.stdout, "both commands ran"
    said += run("list", "--json").output + run("show", recent(0).alert_id, "--json").output
    skipped = alert_delivery_sensor(dg.build_sensor_context(), platform=Platform())
    said += str(skipped) + str(standing(settings(), NOW)) + caplog.text
    export_session(lake_of(settings()), store, "SPX", recent(0).session_date)
    for queued in store.listing():
        said += repr(queued) + repr(store.history(queued.alert.alert_id))
    assert "HTTP 400" in said, "the refusal is told"
    stored = [path for path in data_dir.rglob("*") if path.is_file()]
    assert {path.suffix for path in stored} >= {".sqlite", ".parquet"}
    for secret in PLANTED:
        assert secret not in said
        assert not [p.name for p in stored if secret.encode() in p.read_bytes()]
