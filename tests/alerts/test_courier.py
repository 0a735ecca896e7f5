"""The organ at work: real state file, real incident events, a receiver that is a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agent.alerting import Alerts, Digest
from agent.alerts import tables as alert_tables
from agent.alerts.keepers import next_time
from agent.alerts.model import DONE, Outcome
from agent.errors import UsageError
from agent.matching import parse_zone
from agent.model import Severity
from agent.yamlfile import Text
from tests.alerts.atwork import QUICK, Host, going, running
from tests.alerts.worlds import receiver


async def test_an_incident_is_told_to_everybody_and_so_is_its_end(tmp_path: Path) -> None:
    """With cause, culprit, evidence and the command to type next."""
    async with running(tmp_path) as host:
        await host.tell(1)
        await host.until(lambda: len(host.got) == 2)
        await host.end(1)
        await host.until(lambda: len(host.got) == 4)
        assert host.told("a") == host.told("b") == ["firing", "resolved"]
        [first] = host.got[0][1]["alerts"]
        assert (first["cause"], first["culprit"]) == ("memory.python-leak", "/srv/app.py:42 in remember 93%")
        assert first["evidence"] == ["93 % of what survives comes from app.py:42", "anonymous memory grows 3.1 MiB/s"]
        assert first["command"] == "anfl-agent incidents show 1"
        await host.until(lambda: not host.alerting.courier.outbox.ledger.alerts)


async def test_a_message_that_arrived_is_still_known_to_be_of_its_incident(tmp_path: Path) -> None:
    """Its text is let go; a report of the incident says who was told and when."""
    async with running(tmp_path, (receiver("a"),)) as host:
        await host.tell(7)
        await host.until(lambda: len(host.got) == 1)
        async with asyncio.timeout(20):
            while not (done := await host.state.read(lambda at: list(alert_tables.last_done(at, 10)))):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        assert done[0].payload == {"title": host.got[0][1]["title"], "alerts": [{"incident": "7"}]}


async def test_an_event_that_comes_while_events_are_read_is_told_too(tmp_path: Path) -> None:
    """The hint that comes after the database was asked and before its answer was taken is not forgotten."""
    async with running(tmp_path) as host:
        read, late = host.state.read, [2]

        async def slow(work: Callable[..., Any]) -> Any:
            found = await read(work)
            if found and isinstance(found, tuple) and found[0] and late:  # the heads of events, and there are some
                await host.tell(late.pop())
            return found

        host.state.read = slow  # type: ignore[assignment, method-assign]
        await host.tell(1)
        await host.until(lambda: host.told("a").count("firing") == 2)


async def test_what_was_kept_is_told_by_the_next_agent(tmp_path: Path) -> None:
    """Stopped between incident and message; nothing is told twice."""
    async with running(tmp_path) as host:
        await host.tell(1)
        await host.until(lambda: len(host.got) == 2)
        await asyncio.sleep(0.05)
    again = Host(tmp_path, host.receivers, QUICK)
    again.batch, again.events = host.batch, host.events
    await again.state.open()
    await again.tell(2)
    await again.end(1)
    async with going(again):
        await again.until(lambda: sorted(again.told("a")) == ["firing", "resolved"] or len(again.told("a")) == 1)
        await asyncio.sleep(0.5)
    await again.state.close()
    told = [(a["incident"], a["status"]) for _, payload in again.got for a in payload["alerts"] if _ == "a"]
    assert sorted(told) == [("1", "resolved"), ("2", "firing")]


async def test_a_hopeless_receiver_is_parked_and_the_others_hear_of_it(tmp_path: Path) -> None:
    """Visible in the list; a retry sends what waited, and the trouble's end is told."""
    async with running(tmp_path) as host:
        host.answer = lambda address: Outcome("hopeless", "it answered 401") if address.name == "b" else DONE
        await host.tell(1)
        await host.until(lambda: any(a["cause"] == "agent.receiver-parked" for _, t in host.got for a in t["alerts"]))
        assert not host.told("b")
        overview = await host.alerting.answers.overview()
        assert [(r["name"], r["state"], r["why"]) for r in overview["receivers"]] == [
            ("a", "ok", ""),
            ("b", "parked", "it answered 401"),
        ]
        assert [m["state"] for m in overview["messages"] if m["receiver"] == "b"] == ["parked"]
        host.answer = lambda address: DONE
        assert (await host.alerting.answers.retry("b"))["messages"] == 1
        await host.until(lambda: host.told("b")[:1] == ["firing"] and "resolved" in host.told("a"))


async def test_a_receiver_parked_by_hand_stays_so_over_a_start(tmp_path: Path) -> None:
    """Somebody said so; nobody is alarmed about it."""
    async with running(tmp_path) as host:
        await host.alerting.answers.park("b", "moving house", "ana")
        await host.tell(1)
        await host.until(lambda: host.told("a") == ["firing"])
        with pytest.raises(UsageError, match="no receiver 'c'"):
            await host.alerting.answers.park("c", "", "ana")
    again = Host(tmp_path, host.receivers, QUICK)
    await again.state.open()
    async with going(again):
        assert again.alerting.courier.outbox.health["b"].parked == "parked by ana: moving house"
    await again.state.close()
    assert not again.told("b")


async def test_silences_are_kept_hide_and_can_be_ended(tmp_path: Path) -> None:
    """Made by hand, with an end; a mistake in a matcher is one."""
    async with running(tmp_path) as host:
        answers = host.alerting.answers
        made = await answers.silence(["tree=memory"], 3600, "upgrade", "ana")
        await host.tell(1)
        await asyncio.sleep(0.4)
        assert not host.got
        assert answers.route({"tree": "memory"})["muted"] == f"silence {made['id']} (upgrade)"
        await answers.expire(made["id"])
        await host.until(lambda: len(host.got) == 2)
        assert [s["state"] for s in answers.silences()["silences"]] == ["expired"]
        for matchers, seconds in (([], 60.0), (["tree"], 60.0), (["a=~["], 60.0), (["a=b"], 0.0)):
            with pytest.raises(UsageError):
                await answers.silence(matchers, seconds, "", "ana")
        with pytest.raises(UsageError, match="no silence"):
            await answers.expire("nope")


async def test_a_test_message_goes_past_everything_and_each_address_is_reported(tmp_path: Path) -> None:
    """It is marked, and it is no alert."""
    async with running(tmp_path) as host:
        host.answer = lambda address: Outcome("retry", "connection refused") if address.name == "b" else DONE
        said = await host.alerting.answers.test(None)
        assert [(r["address"], r["ok"], r["why"]) for r in said["results"]] == [("a", True, ""), ("b", False, "connection refused")]
        assert host.got[0][1]["title"].startswith("[TEST] h:")
        assert host.alerting.samples()


async def test_notices_make_one_digest_a_day(tmp_path: Path) -> None:
    """A line each; they never make a message of their own."""
    settings = Alerts(group_wait=0.05, settle=0.0, digest=Digest(receivers=(Text("a"),), zone=Text("Europe/Berlin")))
    async with running(tmp_path, settings=settings) as host:
        await host.tell(1, severity=Severity.NOTICE, worst=Severity.NOTICE)
        await host.tell(2, severity=Severity.NOTICE, worst=Severity.NOTICE)
        await host.until(lambda: len(host.alerting.courier.digest) == 2)
        await host.alerting.keepers.send_digest(settings.digest, 0.0)
        await host.until(lambda: host.told("a") == ["digest"])
        assert len(host.got[0][1]["notes"]) == 2
        await host.alerting.keepers.send_digest(settings.digest, 1.0)
        assert not host.alerting.courier.digest


def test_a_digest_is_due_at_its_own_time_of_day() -> None:
    """Also over the night in which the clocks change."""
    berlin = parse_zone("Europe/Berlin")
    now = 1_700_000_000.0  # 23:13:20 in Berlin
    assert next_time("08:00", berlin, now) - now == 8 * 3600 + 46 * 60 + 40
    evening = datetime(2026, 10, 24, 20, 0, tzinfo=berlin).timestamp()
    assert next_time("08:00", berlin, evening) - evening == 13 * 3600


async def test_a_heartbeat_comes_while_all_is_well(tmp_path: Path) -> None:
    """And an Alertmanager is told again what fires."""
    receivers = (receiver("am", "alertmanager", every=0.2), receiver("pulse", "heartbeat", every=0.05))
    async with running(tmp_path, receivers) as host:
        await host.until(lambda: _count(host, "pulse") > 2)
        await host.tell(1)
        await host.until(lambda: _count(host, "am") >= 3)
        again = next(told for name, told in reversed(host.got) if name == "am")
        assert again["alertmanager"][0]["labels"]["alertname"] == "memory.python-leak"
        assert "alerts_last_delivery_timestamp_seconds" in {s.series.name for s in host.alerting.samples()}


def _count(host: Host, name: str) -> int:
    return sum(n == name for n, _ in host.got)


async def test_without_receivers_alerts_go_to_a_file(tmp_path: Path) -> None:
    """Nothing is told to nobody."""
    alerting = Host(tmp_path, (), QUICK).alerting
    assert [(r.name, r.path) for r in alerting.courier.receivers] == [("local", str(tmp_path / "alerts.jsonl"))]
