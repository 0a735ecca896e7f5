"""A dry run of every shipped playbook, watched by strace: it decides, and does nothing at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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

async def main(folder, pid):
    config = Config(state_dir=folder)
    causes = plugins.rules_or_raise(plugins.installed(), config).causes
    shelf = acting.read(config, causes)
    allowed = Targets(allow=(Who(comm="*"), Who(unit="*"), Who(gpu="*")), kinds=KINDS)
    books = {n: replace(p, mode="auto", next="", target=replace(allowed, who=p.target.who)) for n, p in shelf.playbooks.items()}
    victim = replace(targets.process(pid), unit="victim.service", uuid="GPU-0a1b2c3d-0000-0000-0000-000000000002")
    world = World(blamed=victim)
    world.culprits = [{"kind": "process", "name": "sleep", "pid": pid}]
    acting.View = lambda agent, desk: world
    state = State(folder + "/state.db", [tables.ROOM], SystemClock())
    await state.open()
    remedy = acting.build(config, replace(shelf, playbooks=books), SimpleNamespace(collectors={}, clock=SystemClock()), None, state)
    for number, cause in enumerate(sorted({c for p in books.values() for c in p.needs.causes})):
        await state.write(lambda to: to.execute("UPDATE runs SET created = 0"))
        found = {"id": cause, "confidence": {"lo": 1.0, "hi": 1.0}, "target": vars(victim), "culprits": world.culprits}
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
