"""What leaves the agent, by kind of receiver, against servers on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from agent.alerting import Alerts
from agent.alerts.letters import letter
from agent.alerts.message import notice
from agent.alerts.model import Address, Mark
from agent.alerts.plan import Draft, Reason
from agent.alerts.senders import Senders, alertmanager_url, append, attached, cloudevent, retry_after
from agent.alerts.stages import Item
from agent.model import JsonObject, Severity
from tests.alerts.servers import web
from tests.alerts.worlds import T0, alert, finding, receiver

NOW = T0 + 60


def told(kind: str = "webhook", reason: Reason = Reason.FIRST, settings: Alerts | None = None, **more: Any) -> JsonObject:
    """A message about one alert."""
    one = alert("7", body={"cause": finding(), "ruled_out": [{"id": "memory.page-cache"}], "impact": "job 8812"}, **more)
    mark = Mark(one.id, 1, 1, one.status, one.severity, one.cause, labels=one.labels, opened=one.opened, at=NOW)
    draft = Draft("event-1", Address("r", receiver("r", kind)), "g", reason, (mark,), (Item(one, severity=one.severity),))
    return letter(draft, settings or Alerts(), "gpu-node-07", NOW, 0, [])


async def test_a_webhook_gets_a_signed_cloudevent(tmp_path: Path) -> None:
    """Whoever holds the key can check body and time; the event's id is in header and body."""
    (tmp_path / "key").write_text("s3cret\n")
    async with web() as server:
        address = Address("r", receiver("r", url=f"{server.url}/hook", secret_file=str(tmp_path / "key")))
        outcome = await Senders(env={}, now=lambda: NOW).send(address, told())
    assert outcome.ending == "done"
    [got] = server.got
    assert (got.path, got.headers["content-type"]) == ("/hook", "application/cloudevents+json")
    stamp, _, digest = got.headers["x-anfl-signature"].removeprefix("t=").partition(",v1=")
    assert digest == hmac.new(b"s3cret", f"{stamp}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert (got.json["id"], got.json["type"], got.json["specversion"]) == ("event-1", "anfl.alert.firing", "1.0")
    assert got.json["data"]["alerts"][0]["culprit"] == "/srv/app.py:42 in remember 93%"
    assert got.headers["x-anfl-event"] == "event-1"


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        *[("200 OK", "done"), ("204 No", "done"), ("500 No", "retry"), ("503 No", "retry"), ("429 Slow", "retry")],
        *[
            ("401 No", "hopeless"),
            ("403 No", "hopeless"),
            ("404 No", "hopeless"),
            ("410 Gone", "hopeless"),
            ("302 There", "hopeless"),
        ],
    ],
)
async def test_a_status_says_whether_trying_again_helps(status: str, ending: str) -> None:
    """Redirects are not followed: an address that moved is a wrong address."""
    async with web(status=status) as server:
        outcome = await Senders(env={}).send(Address("r", receiver("r", url=server.url)), told())
    assert outcome.ending == ending
    assert not outcome.unsure


async def test_a_receiver_that_asks_for_patience_gets_it() -> None:
    """Retry-After in seconds or as a date."""
    async with web(status="503 No", headers="Retry-After: 120\r\n") as server:
        outcome = await Senders(env={}).send(Address("r", receiver("r", url=server.url)), told())
    assert (outcome.ending, outcome.after) == ("retry", 120.0)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") is None


async def test_silence_may_have_been_a_delivery_and_a_refusal_was_none() -> None:
    """The one must be repeated word for word, the other need not."""
    async with web(hang=True) as server:
        address = Address("r", receiver("r", url=server.url, deadline=0.2))
        hung = await Senders(env={}).send(address, told())
    refused = await Senders(env={}).send(address, told())
    assert (hung.ending, hung.unsure) == ("retry", True)
    assert (refused.ending, refused.unsure) == ("retry", False)


async def test_addresses_are_read_from_files_and_credentials_when_they_are_needed(tmp_path: Path) -> None:
    """One that is missing is hopeless until somebody mends it; no answer holds an address."""
    async with web() as server:
        (tmp_path / "hook").write_text(f"# ours\n{server.url}/one\n{server.url}/two\n")
        senders = Senders(env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
        for made in (receiver("r", url_file=str(tmp_path / "hook")), receiver("r", credential="hook")):
            assert (await senders.send(Address("r/2", made, 1), told())).ending == "done"
    assert [got.path for got in server.got] == ["/two", "/two"]
    gone = await senders.send(Address("r", receiver("r", url_file=str(tmp_path / "none"))), told())
    assert (gone.ending, "cannot read" in gone.why) == ("hopeless", True)
    short = await senders.send(Address("r/9", made, 8), told())
    assert (short.ending, short.why) == ("hopeless", "its file has no line 9 any more")
    lacking = await Senders(env={}).send(Address("r", made), told())
    assert "LoadCredential" in lacking.why
    bad = await senders.send(Address("r", receiver("r", url="nonsense:/s3cret")), told())
    assert bad.ending == "hopeless"
    assert "s3cret" not in bad.why


async def test_an_alertmanager_gets_labels_annotations_and_times() -> None:
    """What fires has an end in the near future, so that it goes away with us; what ended has its own."""
    settings = Alerts(runbook="https://wiki/{cause}", link="https://agent/{incident}")
    async with web() as server:
        address = Address("r", receiver("r", "alertmanager", url=server.url, every=60.0))
        senders = Senders(env={}, now=lambda: NOW)
        await senders.send(address, told("alertmanager", settings=settings))
        await senders.send(address, told("alertmanager", Reason.ALL_ENDED, status="resolved", closed=NOW))
    assert {got.path for got in server.got} == {"/api/v2/alerts"}
    [firing], [ended] = (got.json for got in server.got)
    assert firing["labels"] == {
        **{"alertname": "memory.python-leak", "host": "gpu-node-07", "instance": "gpu-node-07"},
        **{"incident": "7", "tree": "memory", "severity": "warning", "pid": "7"},
    }
    assert firing["labels"] == ended["labels"]
    assert firing["annotations"]["runbook_url"] == "https://wiki/memory.python-leak"
    assert firing["generatorURL"] == "https://agent/7"
    assert firing["annotations"]["culprit"] == "/srv/app.py:42 in remember 93%"
    assert firing["startsAt"] < firing["endsAt"]
    assert ended["endsAt"] < firing["endsAt"]


def test_an_alert_whose_labels_change_ends_under_the_old_ones() -> None:
    """Else it would stay there twice until the first one runs out."""
    one = alert("7", severity=Severity.CRITICAL, body={"cause": finding()})
    before = Mark("7", 1, 1, "firing", Severity.WARNING, one.cause, labels=one.labels)
    now = Mark("7", 1, 2, "firing", Severity.CRITICAL, one.cause, labels=one.labels)
    address = Address("r", receiver("r", "alertmanager"))
    draft = Draft("e", address, "g", Reason.WORSE, (now,), (Item(one, severity=one.severity),), {"7": before})
    entries = letter(draft, Alerts(), "h", NOW, 0, [])["alertmanager"]
    assert [(e["labels"]["severity"], "endsAt" in e) for e in entries] == [("critical", False), ("warning", True)]


def test_the_address_of_an_alertmanager_may_be_short() -> None:
    """Its server, or the whole path."""
    assert alertmanager_url("http://am:9093/") == "http://am:9093/api/v2/alerts"
    assert alertmanager_url("http://am/x/api/v2/alerts") == "http://am/x/api/v2/alerts"


def test_a_file_gets_a_line_a_message_and_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may read it; two of a bounded size are kept."""
    path = tmp_path / "deep" / "alerts.jsonl"
    assert append(str(path), told()).ending == "done"
    assert append(str(path), told()).ending == "done"
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["event-1"] * 2
    assert oct(path.stat().st_mode)[-3:] == "600"
    monkeypatch.setattr("agent.alerts.senders.KEEP_FILE", 100)
    append(str(path), told())
    assert len(path.read_text().splitlines()) == 1
    assert len(path.with_name("alerts.jsonl.1").read_text().splitlines()) == 2
    assert append(str(tmp_path), told()).ending == "retry"


def test_a_disk_that_takes_half_a_line_has_not_taken_it(tmp_path: Path) -> None:
    """It is sent again then, and the file still holds whole lines only."""
    path = tmp_path / "alerts.jsonl"
    append(str(path), told())
    whole, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limits[1]))
    try:
        assert append(str(path), told()).ending == "retry"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole


def test_standard_output_is_a_file_too(capsys: pytest.CaptureFixture[str]) -> None:
    """For containers."""
    assert append("-", told()).ending == "done"
    assert json.loads(capsys.readouterr().out)["id"] == "event-1"


def test_drawings_ride_along_up_to_a_size(tmp_path: Path) -> None:
    """Larger ones, and ones that are gone, stay a path in the text."""
    flame = tmp_path / "flame.svg"
    one = told()
    one["alerts"][0]["artifacts"] = [{"kind": "flamegraph", "path": str(flame)}]
    assert attached(one) == []
    flame.write_bytes(b"x" * 1000)
    assert attached(one) == [str(flame)]
    os.truncate(flame, (1 << 20) + 1)
    assert attached(one) == []


def test_an_event_that_is_no_alert_is_a_cloudevent_too() -> None:
    """A test, a digest."""
    made = cloudevent(notice("e", "test", "a test message", ["line"], "h", NOW))
    assert (made["type"], made["source"], made["id"]) == ("anfl.alert.test", "/anfl-agent/h", "e")
