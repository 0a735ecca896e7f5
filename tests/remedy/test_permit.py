"""Somebody outside is asked: only a clear yes is one."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from agent.host.run import run as programs
from agent.model import JsonObject
from agent.permission import Permit
from agent.remedy import tables
from agent.remedy.permit import Permits
from tests.alerts.servers import web
from tests.fakes.remedylife import Start
from tests.fakes.remedyworld import DIAGNOSIS, KEY, RECYCLE

RESTART = RECYCLE.replace("memory.oom-risk", "memory.python-leak")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"body": '{"permit": true}'}, ""),
        ({"body": '{"permit": "true"}'}, "refused"),
        ({"body": '{"permit": 1}'}, "refused"),
        ({"body": '{"permit": false, "reason": "rack 7 is busy"}'}, "refused: rack 7 is busy"),
        ({"body": "[true]"}, "refused"),
        ({"body": "yes"}, "the answer is not JSON"),
        ({"body": ""}, "the answer is not JSON"),
        ({"body": '{"permit": true}', "status": "201 Created"}, "it answered 201"),
        ({"body": '{"permit": true}', "status": "302 Found"}, "it answered 302"),
        ({"body": '{"permit": true}', "status": "500 Oops"}, "it answered 500"),
        ({"hang": True}, "no answer within 0.3 s"),
    ],
)
async def test_only_two_hundred_and_true_is_a_yes_of_an_address(given: dict[str, Any], why: str) -> None:
    """Redirects are not followed, and nothing is repeated."""
    async with web(**given) as server:
        asked = Permits(Permit(url=server.url, timeout=0.3), programs)
        assert (asked.wanted, await asked.ask({"run": 1}), len(server.got)) == (True, why, 1)


async def test_the_question_is_typed_and_signed(tmp_path: Path) -> None:
    """With the key of a file."""
    (tmp_path / "key").write_text("secret\n")
    async with web(body='{"permit": true}') as server:
        asked = Permits(Permit(url=server.url, secret_file=str(tmp_path / "key")), programs)
        assert await asked.ask({"run": 1, "playbook": "x"}) == ""
        got = server.got[0]
    assert got.json == {"schema": "anfl.permit/1", "run": 1, "playbook": "x"}
    assert got.headers["x-anfl-signature"] == "sha256=" + hmac.new(b"secret", got.body, hashlib.sha256).hexdigest()
    missing = Permits(Permit(url="http://127.0.0.1:9", secret_file=str(tmp_path / "none")), programs)
    assert "cannot read" in await missing.ask({})


async def test_nobody_there_is_a_no() -> None:
    """Neither at the address nor on the disk."""
    assert await Permits(Permit(url="http://127.0.0.1:9"), programs).ask({}) != ""
    assert await Permits(Permit(command=("/no/such/program",)), programs).ask({}) != ""
    assert not Permits(Permit(), programs).wanted


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cat >/dev/null; echo '{\"permit\": true}'", ""),
        ("grep -q anfl.permit/1 && echo '{\"permit\": true}'", ""),
        ("echo '{\"permit\": true}'; exit 1", "its program ended with 1"),
        ("echo true", "refused"),
        ("exit 0", "the answer is not JSON"),
        ("sleep 5", "no answer within 0.3 s"),
    ],
)
async def test_a_program_is_asked_the_same_way(script: str, why: str) -> None:
    """Exit code and answer must both say yes."""
    asked = Permits(Permit(command=("/bin/sh", "-c", script), timeout=0.3 if "sleep" in script else 5.0), programs)
    assert await asked.ask({"run": 1}) == why


class Says:
    """Answers one after the other."""

    wanted = True

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[JsonObject]()

    async def ask(self, question: JsonObject) -> str:
        """The next one."""
        self.asked.append(question)
        return self.answers.pop(0)


async def test_without_a_permit_nothing_is_reserved_and_the_audit_says_who_refused(start: Start) -> None:
    """Not one attempt is spent."""
    agent = await start("dry-run", RESTART)
    says = Says("refused: frozen", "")
    agent.world.permits = says
    agent = await start("auto", RESTART)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    (run,) = await agent.runs()
    assert (str(run.phase), run.reason, run.reserved_at, agent.world.done) == (
        "cancelled",
        "no permit from outside: refused: frozen",
        None,
        [],
    )
    record = next(r for r in await agent.state.read(tables.audit) if r["who"] == "permit")
    assert (record["what"], record["body"]) == ("run 1 asked outside", {"step": 0, "permit": False, "why": "refused: frozen"})
    assert {k: says.asked[0][k] for k in ("playbook", "class", "do", "incident")} == {
        "playbook": "recycle",
        "class": "disruptive",
        "do": ["restart"],
        "incident": 5,
    }
    await agent.clock.advance(700)
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    assert agent.world.done == ["capture_evidence", "restart"]


async def test_every_further_disruptive_step_is_asked_for_and_a_no_calls_people(start: Start) -> None:
    """What was done stays, and no next rung takes its place."""
    agent = await start()
    agent.world.permits = Says("", "refused")
    agent = await start("auto", RESTART.replace("{do: restart}", "{do: restart}, {do: restart}"))
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(15)
    (run,) = await agent.runs()
    assert (str(run.phase), agent.world.done.count("restart")) == ("escalated", 1)
    assert agent.world.called[-1][1] == "given_up"


async def test_what_can_be_taken_back_needs_no_permit_nor_does_a_dry_run(start: Start) -> None:
    """Nobody is asked."""
    agent = await start()
    agent.world.permits = says = Says()
    agent = await start()
    await agent.remedy.diagnosed(DIAGNOSIS, 5, KEY)
    await agent.live(10)
    agent = await start("dry-run", RESTART)
    await agent.remedy.diagnosed(DIAGNOSIS, 6, KEY)
    await agent.live(10)
    assert (agent.world.done, says.asked, (await agent.phases())[-1]) == (["renice"], [], "would")
