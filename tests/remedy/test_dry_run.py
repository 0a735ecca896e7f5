"""A dry run of every shipped playbook, watched by strace: it decides, and does nothing at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import acting, plugins
from agent.config import Config
from agent.errors import AgentError
from agent.host.keyfile import Keyring
from agent.host.lane import aside
from agent.host.reach import Action, Reach
from agent.model import JsonObject, Target
from agent.remedy import tables
from agent.remedy.carry import Carrier
from agent.remedy.ledger import Ledger
from agent.remedy.model import OVER, House, Phase
from agent.remedy.people import People
from agent.remedy.playbook import EMPTY, Mode, Targets, Who
from agent.remedy.runner import Remedy
from agent.store.state import State
from agent.yamlfile import Text
from tests.fakes.clock import FakeClock
from tests.fakes.remedyworld import KEY, World

REPOSITORY = Path(__file__).resolve().parents[2]
INSIDE = """
import asyncio, json, sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from agent import acting, plugins
from agent.config import Config
from agent.host import targets
from agent.host.clock import SystemClock
from agent.model import Target
from agent.remedy import tables
from agent.remedy.playbook import Targets, Who
from agent.store.state import State
from tests.fakes.remedyworld import KEY, World

KINDS = ("process", "unit", "cgroup", "gpu", "host")
LONG_AGO = "UPDATE runs SET created = 0, updated = 0, body = json_remove(body, '$.verify_until')"

async def main(folder, pid):
    config = Config(state_dir=folder)
    causes = plugins.rules_or_raise(plugins.installed(), config).causes
    shelf = acting.read(config, causes)
    allowed = Targets(allow=(Who(comm="*"), Who(unit="*"), Who(gpu="*")), kinds=KINDS)
    books = {n: replace(p, mode="auto", next="", target=replace(allowed, who=p.target.who)) for n, p in shelf.playbooks.items()}
    victim = replace(targets.process(pid), unit="victim.service", uuid="GPU-0a1b2c3d-0000-0000-0000-000000000002")
    world = World(blamed=victim)
    culprits = [{"kind": "process", "name": "sleep", "pid": pid}]
    acting.View = lambda agent, desk: world
    tables._would_run = lambda at, now: []  # each is to be decided as if it were alone
    state = State(folder + "/state.db", [tables.ROOM], SystemClock())
    await state.open()
    remedy = acting.build(config, replace(shelf, playbooks=books), SimpleNamespace(collectors={}, clock=SystemClock()), None, state)
    for number, cause in enumerate(sorted({c for p in books.values() for c in p.needs.causes})):
        await state.write(lambda to: to.execute(LONG_AGO))
        found = {"id": cause, "confidence": {"lo": 1.0, "hi": 1.0}, "target": vars(victim), "culprits": culprits}
        await remedy.diagnosed({"causes": [found]}, number, KEY)
        await remedy.tick()
    ended = Counter(str(r.phase) for r in await state.read(tables.runs))
    done = {r.playbook for r in await state.read(tables.runs) if str(r.phase) == "would"}
    await state.close()
    print(json.dumps({"ended": ended, "playbooks": len(books), "would": len(done)}))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
WRITES = re.compile(r'(?:openat|open|creat)\((?:AT_FDCWD|\d+), "([^"]*)", [^)]*(?:O_WRONLY|O_RDWR|O_CREAT|O_TRUNC)')
CHANGES = re.compile(
    r'(?:unlink|unlinkat|rename|renameat2?|mkdir|mkdirat|rmdir|truncate|chmod|fchmodat|symlinkat?|linkat)\([^"]*"([^"]*)"'
)
TOUCHES = ("kill", "tkill", "tgkill", "pidfd_send_signal", "setpriority", "ioprio_set", "sched_setaffinity", "connect")
TRACED = "open,openat,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,truncate,chmod,fchmodat,symlinkat,linkat"


@pytest.mark.real
def test_a_dry_run_of_every_playbook_writes_only_its_own_state_and_touches_nobody(tmp_path: Path) -> None:
    """No signal, no program, no connection, no file outside the agent's folder."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    own, log = tmp_path / "state", tmp_path / "strace"
    own.mkdir()
    victim = subprocess.Popen(["sleep", "60"])
    try:
        script = tmp_path / "inside.py"
        script.write_text(INSIDE)
        traced = ["-f", "-qq", "-o", str(log), "-e", f"trace={TRACED},execve,{','.join(TOUCHES)}"]
        given = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
        words = [strace, *traced, sys.executable, str(script), str(own), str(victim.pid)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=given)
        if "Operation not permitted" in done.stderr:
            pytest.skip("strace may not trace here")
        assert done.returncode == 0, done.stderr[-3000:]
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    told = json.loads(done.stdout)
    assert set(told["ended"]) <= {"would", "denied"}
    assert told["would"] >= told["playbooks"] - 2, told
    calls = [line.partition(" ")[2].strip() for line in log.read_text().splitlines()]
    assert [c for c in calls if c.startswith(TOUCHES)] == []
    assert len([c for c in calls if c.startswith("execve") and c.endswith("= 0")]) == 1
    good = [c for c in calls if "= -1" not in c]
    written = {m[1] for c in good for m in (WRITES.match(c), CHANGES.match(c)) if m}
    assert [path for path in written if not path.startswith((str(own), "/dev/null"))] == []
    assert any(path.endswith("state.db") for path in written)


# ---------------------------------------------------------------------------------------------- the same decisions

REASONS = (
    *("is below", "no longer found", "without data", "another has its number", "deny list", "is over", "paused", "is lost"),
    *("the cool-down is", "one at a time", "the breaker is open", "times within"),
)
VICTIM = Target("process", "sleep", 4242, 77.0, unit="victim.service", user="ml", uuid="GPU-0a1b2c3d-0000-0000-0000-000000000002")
OTHER = replace(VICTIM, pid=4343, unit="other.service")
OPEN = House()
KINDS: tuple[Any, ...] = ("process", "unit", "cgroup", "gpu", "host")


@dataclass
class Harmless:
    """An action of the agent whose words are its own and whose deeds are none."""

    real: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def check(self) -> None:
        """Always possible."""

    async def act(self) -> JsonObject:
        """Nothing."""
        return {}

    async def verify(self, done: JsonObject) -> bool | None:
        """There."""
        return True


@dataclass(frozen=True)
class Finding:
    """One line of the recording: after a while, this cause was found, and the host stood so."""

    cause: str
    incident: int
    after: float = 914.0
    target: Target = VICTIM
    facts: Mapping[str, Any] = dataclass_field(default_factory=dict)
    house: House = OPEN


def recording(causes: list[str]) -> list[Finding]:
    """Every cause that a playbook is for, and what the guard refuses for."""
    found, causes = [Finding(c, n, 25_000.0 if c.startswith("only.") else 914.0) for n, c in enumerate(causes, 1)], causes[-8:]
    last, n = causes[-1], 1000
    refused: tuple[Mapping[str, Any], ...] = (
        {"lo": 0.1}, {"lo": None}, {"complete": False}, {"target_there": False}, {"uid": 0}, {"incident_open": False},
        {"gpu_users": None}, {"gpu_users": {"job 1": frozenset({VICTIM.uuid})}},
    )  # fmt: skip
    found += [Finding(causes[i % len(causes)], n + i, 4000.0, facts=facts) for i, facts in enumerate(refused)]
    found += [
        Finding(
            "memory.python-leak",
            n + 20 + i,
        )
        for i in range(4)
    ]  # cool-down, and the count in a window
    found += [Finding("memory.python-leak", n + 30, target=OTHER), Finding("memory.python-leak", n + 30)]
    found += [Finding(last, n + 40, house=House(paused="maintenance")), Finding(last, n + 41, house=House(lost_state="gone"))]
    return found + [Finding(cause, n + 50 + i, 314.0) for i, cause in enumerate(causes[:7])]  # so much that the breaker opens


async def decided(folder: Path, shelf: acting.Shelf, ceiling: Mode) -> list[tuple[int, str, str, str, frozenset[str]]]:
    """Incident, playbook and target of each proposal, and what was decided: the plan, or why not (numbers left out)."""
    allow = (Who(unit="victim.*"), Who(unit="other.*"))
    books = {
        name: replace(
            p,
            mode="auto",
            next=EMPTY,
            needs=replace(p.needs, causes=(*p.needs.causes, Text(f"only.{name}"))),
            target=Targets(p.target.who, KINDS, allow, (Who(uid=0),)),
        )
        for name, p in shelf.playbooks.items()
    }
    clock, world = FakeClock(), World(good=True, blamed=VICTIM)
    state = State(str(folder / f"{ceiling}.db"), [tables.ROOM], clock)
    await state.open()
    ledger = Ledger(state, str(folder / ceiling), Keyring(str(folder / ceiling / "key")), clock)
    now = House()

    def make(name: str, target: Target, reach: Reach, settings: Mapping[str, Any]) -> Action:
        made: Any = Harmless(shelf.kinds[name](target=target, reach=reach, **acting._converted(shelf.kinds[name], settings)))
        return made  # type: ignore[no-any-return]

    def house(at: Any, at_: float) -> House:
        return replace(tables.house(at, at_, ()), paused=now.paused, lost_state=now.lost_state)

    reach = SimpleNamespace(told={}, clock=clock)
    carrier = Carrier(ledger, world, clock, make, lambda told: reach, house)  # type: ignore[arg-type,return-value]
    remedy, calm = Remedy(ledger, books, ceiling, world, clock, carrier), world.base
    await remedy.open()
    for line in recording(
        [*(f"only.{name}" for name in sorted(books)), *sorted({str(p.needs.causes[0]) for p in books.values()})[:8]]
    ):
        await clock.advance(line.after)
        world.base, world.blamed, now = replace(calm, **line.facts), line.target, line.house
        cause = {"id": line.cause, "confidence": {"lo": 0.9, "hi": 0.9}, "target": vars(line.target)}
        await remedy.diagnosed({"causes": [cause]}, line.incident, KEY)
        for pause in (0.0, 5.0, 1.0, 130.0):  # decided, done, seen to help, seen to have helped for long enough
            await clock.advance(pause)
            await remedy.tick()
            if pause == 5.0:
                world.base, now = calm, House()
        if line.after > 500.0:  # people close the breaker, but not at the end
            await People(remedy, clock).switch("breaker", None, "ada")
    told = []
    for run in await state.read(lambda at: tables.runs(at, most=10_000)):
        went = run.phase is Phase.WOULD or run.reserved_at is not None
        try:
            words = remedy.plan(run) if went else run.reason
        except AgentError as error:
            words = error.message
        plain = re.sub(r"-?\d+", "N", words)
        reasons = frozenset() if went else frozenset(plain.split("; "))
        told.append((run.incident, run.playbook, run.identity, f"go: {plain}" if went else "no", reasons))
    assert not [r for r in await state.read(tables.runs) if r.phase not in OVER]
    await state.close()
    return told


async def test_a_dry_run_and_auto_decide_the_same_on_the_same_recording(tmp_path: Path) -> None:
    """Over all shipped playbooks; what a dry run would have done counts for what it decides next."""
    shelf = await aside(lambda: acting.read(Config(), plugins.rules_or_raise(plugins.installed(), Config()).causes))
    dry, auto = await decided(tmp_path, shelf, "dry-run"), await decided(tmp_path, shelf, "auto")
    assert [line[:4] for line in dry] == [line[:4] for line in auto]
    assert [line for line, real in zip(dry, auto, strict=True) if not line[4] >= real[4]] == []  # it knows every reason at once
    every = {line[1] for line in dry}
    went = {line[1] for line in dry if line[3] != "no"}
    shipped = set(
        (await aside(lambda: acting.read(Config(), plugins.rules_or_raise(plugins.installed(), Config()).causes))).playbooks
    )
    assert every == shipped
    assert shipped - went == set()
    why = " ".join(reason for line in dry for reason in line[4])
    assert [reason for reason in REASONS if reason not in why] == []
