"""The page behind the link: looking acts on nothing, a word with a code acts once."""

from __future__ import annotations

import http.client
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pyotp
import pytest

from agent.host.keyfile import Keyring
from agent.host.lane import Lane, aside
from agent.model import Target
from agent.permission import Approver
from agent.remedy import tables
from agent.remedy.approvers import Approvers
from agent.remedy.carry import Carrier
from agent.remedy.ledger import Ledger
from agent.remedy.links import Links
from agent.remedy.runner import Remedy
from agent.store.state import State
from agent.web.approve import ApprovalPage
from agent.web.server import MetricsServer
from agent.yamlfile import Text
from tests.fakes.clock import FakeClock
from tests.fakes.remedyworld import CALM, CAUSE, DIAGNOSIS, KEY, RECYCLE, World, playbooks

GRACE, LINUS = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "KRSXG5DTEBXW4ZLTKRSXG5DTEBXW4ZLT"
URL = "https://n1.example/anfl"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class House:
    """An agent whose page people can reach."""

    def __init__(self, folder: Path, state: State, clock: FakeClock, books: Any) -> None:
        self.state, self.clock, self.world = state, clock, World()
        keys = Keyring(str(folder / "playbooks.key"))
        ledger = Ledger(state, str(folder), keys, clock)
        carrier = Carrier(ledger, self.world, clock, self.world.make, lambda told: None, self.world.house)  # type: ignore[arg-type,return-value]
        self.links = Links(URL, keys)
        self.runner = Remedy(ledger, books, "propose", self.world, clock, carrier, self.links)
        people = (("grace", "admin", GRACE), ("linus", "operator", LINUS), ("ada", "approver", LINUS))
        for name, _, secret in people:
            (folder / name).write_text(f"# {name}\n{secret.lower()}\n")
        known = tuple(Approver(name=Text(n), role=role, totp_file=str(folder / n)) for n, role, _ in people)  # type: ignore[arg-type]
        page = ApprovalPage(self, state, clock, Approvers(known), URL)  # type: ignore[arg-type]
        own = SimpleNamespace(count=lambda path, status: None)
        self.server = MetricsServer(None, own, lambda: (True, ""), hosts=["n1.example"], more=page.routes())  # type: ignore[arg-type]
        self.lane, self.port = Lane("client"), 0

    def remedy(self) -> Remedy:
        """As the organ gives it."""
        return self.runner

    async def link(self, index: int = -1) -> str:
        """The newest link that people got, as the proxy hands it on."""
        parts = urlsplit(self.world.links[index])
        return f"{parts.path.removeprefix('/anfl')}?{parts.query}"

    async def ask(self, method: str, path: str, fields: Any = None, headers: Any = FORM, host: str = "n1.example") -> Any:
        """The answer: status, text, headers."""

        def once() -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            body = fields if isinstance(fields, str | None) else urlencode(fields)
            connection.request(method, path, body, {"Host": host, **(headers if body is not None else {})})
            answer = connection.getresponse()
            read = SimpleNamespace(status=answer.status, text=answer.read().decode(), headers=dict(answer.headers))
            connection.close()
            return read

        return await self.lane.run(once, 10)

    async def say(self, name: str, secret: str, word: str = "approve", path: str = "", **more: Any) -> Any:
        """A word on the page, with the code of this moment."""
        code = more.pop("code", pyotp.TOTP(secret).at(int(self.clock.now())))
        return await self.ask("POST", path or await self.link(), {"name": name, "code": code, "word": word, "reason": ""}, **more)

    async def phases(self) -> list[str]:
        """Of all runs."""
        return [str(r.phase) for r in await self.state.read(tables.runs)]


async def started(folder: Path, *texts: str) -> House:
    """One proposal waits, and its link was sent."""
    clock = FakeClock()
    state = State(str(folder / "state.db"), [tables.ROOM], clock)
    await state.open()
    made = await aside(lambda: House(folder, state, clock, playbooks(*(texts or (CALM, RECYCLE)))))
    _, made.port = await made.server.start("127.0.0.1:0")
    await made.runner.diagnosed(DIAGNOSIS, 5, KEY)
    await made.runner.tick()
    return made


async def stopped(house: House) -> None:
    """Closed."""
    await house.server.stop()
    house.lane.close()
    await house.state.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With one proposal."""
    made = await started(tmp_path)
    yield made
    await stopped(made)


async def test_looking_at_the_page_acts_on_nothing(house: House) -> None:
    """Programs that fetch links for a preview do so again and again."""
    assert house.world.links[0].startswith(f"{URL}/approve?t=")
    for method in ("GET", "HEAD", "GET"):
        seen = await house.ask(method, await house.link())
        assert seen.status == 200
    assert await house.phases() == ["proposed"]
    assert re.search("would renice.*svc@1.service.*memory.python-leak", seen.text, re.DOTALL)
    assert "default-src 'none'" in seen.headers["Content-Security-Policy"]
    assert (seen.headers["Cache-Control"], seen.headers["X-Frame-Options"]) == ("no-store", "DENY")
    assert "http" not in seen.text


async def test_a_word_with_a_code_acts_once(house: House) -> None:
    """Neither link nor code works again, and the audit knows who it was."""
    said = await house.say("grace", GRACE)
    assert (said.status, await house.phases()) == (200, ["approved"])
    again = await house.say("grace", GRACE)
    assert (again.status, (await house.ask("GET", await house.link())).status) == (409, 410)
    assert [(r["who"], r["what"]) for r in await house.state.read(tables.audit)][-1] == ("grace", "run 1 approved")
    assert (await house.state.read(tables.runs))[0].approvals == ("grace",)


async def test_a_code_works_once_even_for_another_link(house: House) -> None:
    """Somebody looked over a shoulder."""
    await house.runner.diagnosed(DIAGNOSIS, 6, KEY)
    await house.runner.tick()
    assert (await house.say("grace", GRACE, path=await house.link(0))).status == 200
    assert (await house.say("grace", GRACE)).status == 403
    await house.clock.advance(30)
    assert (await house.say("grace", GRACE)).status == 200


async def test_a_refusal_needs_a_code_too_and_is_kept(house: House) -> None:
    """With its reason."""
    assert (await house.say("grace", GRACE, "refuse", code="000000")).status == 403
    said = await house.say("grace", GRACE, "refuse")
    run = (await house.state.read(tables.runs))[0]
    assert (said.status, str(run.phase), run.reason) == (200, "denied", "denied by grace")


async def test_after_five_wrong_codes_the_right_one_has_to_wait(house: House) -> None:
    """A quarter of an hour after the last; other people are not held up."""
    for _ in range(5):
        assert (await house.say("grace", GRACE, code="000000")).status == 403
    assert (await house.say("grace", GRACE)).status == 403
    records = await house.state.read(tables.audit)
    assert sum("wrong code" in r["what"] for r in records) == 5
    assert await house.phases() == ["proposed"]
    await house.clock.advance(400)
    assert (await house.say("grace", GRACE)).status == 403
    await house.clock.advance(510)
    await house.runner.tick()
    assert await house.phases() == ["expired"]
    await house.runner.diagnosed(DIAGNOSIS, 7, KEY)
    await house.runner.tick()
    assert (await house.say("grace", GRACE)).status == 200


async def test_a_stranger_and_a_small_role_cannot_agree(house: House) -> None:
    """The words for an unknown name and a wrong code are the same."""
    unknown, wrong = await house.say("nobody", GRACE), await house.say("grace", GRACE, code="123456")
    assert (unknown.status, unknown.text) == (403, wrong.text)
    low = await house.say("linus", LINUS)
    assert (low.status, "asks for approver" in low.text, await house.phases()) == (403, True, ["proposed"])


async def test_a_link_that_was_changed_or_is_for_something_else_is_none(house: House) -> None:
    """Signed; bound to the target, the playbook, the incident and the evidence; and it expires."""
    run = (await house.state.read(tables.runs))[0]
    others = [
        replace(run, target=replace(run.target, pid=8)),
        replace(run, digest="x"),
        replace(run, incident=6),
        replace(run, evidence="x"),
        replace(run, nonce="x"),
        replace(run, id=2),
        replace(run, expires=house.clock.now() - 1),
    ]
    for other in others:
        made = await aside(lambda other=other: house.links.link(other))  # type: ignore[misc]
        assert (await house.ask("GET", "/approve?" + urlsplit(made).query)).status == 410
    good = await house.link()
    for bad in (good[:-2] + ("AA" if good[-2:] != "AA" else "BB"), "/approve?t=" + quote("x" * 600), "/approve", "/approve?t=a.b"):
        assert (await house.say("grace", GRACE, path=bad)).status == 409
    assert await house.phases() == ["proposed"]


async def test_a_form_on_a_foreign_page_is_not_taken(house: House) -> None:
    """Nor one sent to a foreign name of this machine, nor what is no form."""
    foreign: tuple[dict[str, str], ...] = ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})
    for more in foreign:
        assert (await house.say("grace", GRACE, headers={**FORM, **more})).status == 403
    assert (await house.say("grace", GRACE, host="evil.example")).status == 421
    assert (await house.say("grace", GRACE, headers={"Content-Type": "application/json"})).status == 409
    assert (await house.ask("POST", await house.link(), "x" * 5000)).status == 409
    assert await house.phases() == ["proposed"]
    assert (await house.say("grace", GRACE, headers={**FORM, "Origin": "https://n1.example"})).status == 200


async def test_two_people_must_agree_each_with_a_link_of_their_own(tmp_path: Path) -> None:
    """The first one's word makes the first link void; the next link says who agreed."""
    house = await started(tmp_path, CALM + "approval: {count: 2}\n", RECYCLE)
    first = await house.link()
    assert "Another person" in (await house.say("grace", GRACE)).text
    assert (await house.ask("GET", first)).status == 410
    await house.runner.tick()
    assert "grace agreed, 2 must" in house.world.called[-1][2]
    await house.clock.advance(30)
    same = await house.say("grace", GRACE)
    assert (same.status, "grace has agreed to run 1 already" in same.text) == (409, True)
    assert (await house.say("ada", LINUS)).status == 200
    assert (await house.state.read(tables.runs))[0].approvals == ("grace", "ada")
    await stopped(house)


async def test_what_the_target_is_called_cannot_write_on_the_page(tmp_path: Path) -> None:
    """Names come from whoever starts a process."""
    house = await started(tmp_path)
    target = Target("process", "<script>alert(1)</script>", 9, 100.0, unit="svc@1.service")
    await house.runner.diagnosed({"causes": [{**CAUSE, "target": vars(target)}]}, 8, KEY)
    await house.runner.tick()
    seen = await house.ask("GET", await house.link())
    assert ("<script" in seen.text, "&lt;script&gt;" in seen.text) == (False, True)
    await stopped(house)
