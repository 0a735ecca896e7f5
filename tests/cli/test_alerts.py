"""``anfl-agent alerts`` and ``silence``: against an agent, and explained from the configuration alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.alerts.model import DONE, Outcome
from agent.cli import silence
from tests.alerts.door import door
from tests.cli.conftest import Call

ROUTES = """
socket: {socket}
receivers:
  - {{name: chat, url: "json://x"}}
  - {{name: boss, url: "json://y"}}
alerts:
  routes:
    - {{receivers: [chat], severity: [critical], hours: "mon-fri 08:00-18:00", escalate: {{after: 5m, receivers: [boss]}}}}
    - {{receivers: [boss], match: ["unit=~vllm.*"]}}
  maintenance:
    - {{name: patch, hours: "sun 02:00-04:00", until: 2030-01-01}}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration whose socket is that of the agent behind the door."""
    path = tmp_path / "config.yaml"
    path.write_text(ROUTES.format(socket=tmp_path / "agent.sock"))
    return str(path)


def test_a_route_is_explained_without_an_agent(call: Call, config: str) -> None:
    """Step by step, at any time; nobody to tell is exit code 1."""
    monday = call("--config", config, "alerts", "route", "-l", "severity=critical", "--at", "2026-11-23T10:00+00:00")
    assert monday.code == 0
    assert monday.out.splitlines() == ["→ route 1 to chat: it fits", "told: chat", "if nobody acknowledges: boss"]
    night = call("--config", config, "alerts", "route", "-l", "severity=critical,unit=nginx", "--at", "2026-11-23T03:00+00:00")
    assert night.code == 1
    assert "not within mon-fri 08:00-18:00 (UTC)" in night.out
    assert "unit=~vllm.* does not hold: unit is 'nginx'" in night.out
    sunday = json.loads(
        call("--config", config, "alerts", "route", "-l", "unit=vllm", "--at", "2026-11-22T03:00+00:00", "--json").out
    )
    assert (sunday["muted"], sunday["receivers"]) == ("maintenance window patch", [])
    for wrong in (("-l", "severity"), ("-l", "severity=bad"), ("--at", "noon")):
        assert call("--config", config, "alerts", "route", *wrong).code == 2


async def test_receivers_and_messages_are_listed_parked_retried_and_tested(call: Call, config: str, tmp_path: Path) -> None:
    """In a few lines, with the reason where something does not arrive."""
    async with door(tmp_path) as one:

        async def run(*args: str) -> tuple[int, str]:
            done = await one.aside(lambda: call("--config", config, "alerts", *args))
            return done.code, done.out

        assert await run("list") == (0, await _lines(run, "list"))
        one.host.answer = lambda address: Outcome("hopeless", "it answered 401") if address.name == "b" else DONE
        code, said = await run("test")
        assert (code, "a                    webhook" in said, "failed: it answered 401" in said) == (1, True, True)
        await one.host.tell(1)
        await one.host.until(lambda: one.host.alerting.courier.outbox.health["b"].word == "parked")
        code, said = await run("list")
        assert code == 1
        assert "b                    webhook       parked" in said
        assert "memory.python-leak in trainer (pid 4242)" in said
        one.host.answer = lambda address: DONE
        assert (await run("retry", "--receiver", "b"))[0] == 0
        await one.host.until(lambda: "firing" in one.host.told("b"))
        assert (await run("park", "a", "-m", "quiet"))[1].startswith("a: parked")
        assert (await run("park", "nobody"))[0] == 2


async def _lines(run: object, *args: str) -> str:
    _, said = await run(*args)  # type: ignore[operator]
    assert "receivers" in said
    assert "nothing yet" in said
    return str(said)


async def test_a_silence_is_made_listed_and_ended(call: Call, config: str, tmp_path: Path) -> None:
    """It says what it hides; without an end there is none."""
    assert silence.command.name == "silence"
    async with door(tmp_path) as one:

        async def run(*args: str) -> tuple[int, str]:
            done = await one.aside(lambda: call("--config", config, "silence", *args))
            return done.code, done.out

        await one.host.tell(1)
        await one.host.until(lambda: len(one.host.got) == 2)
        assert await run("list") == (0, "no silences\n")
        code, said = await run("add", "tree=memory", "--for", "2h", "-m", "upgrade")
        assert code == 0
        assert "hides incident 1: Memory grows from one place" in said
        id_ = said.split()[1]
        code, said = await run("list")
        assert f"{id_}  active" in said
        assert "upgrade" in said
        assert await run("expire", id_) == (0, f"silence {id_} ended\n")
        assert (await run("expire", "x"))[0] == 2
        assert (await run("add", "tree=memory"))[0] == 2
        assert (await run("add", "tree", "--for", "1h"))[0] == 2


def test_without_an_agent_it_says_so(call: Call, config: str) -> None:
    """Exit code 3."""
    assert call("--config", config, "alerts", "list").code == 3
    assert call("--config", config, "silence", "list").code == 3
