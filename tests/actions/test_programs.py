"""Actions that ask other programs and systems, over programs of the test's own."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import tarfile
from pathlib import Path

import pytest

from agent.actions import (
    capture_evidence,
    cordon_kubernetes,
    drain_slurm,
    drop_caches,
    gpu_clocks,
    gpu_persistence,
    gpu_power_limit,
    gpu_reset,
    isolate_service,
    kill_gpu_orphans,
    notify,
    reload_unit,
    restart_unit,
    run_command,
    scale,
    webhook,
)
from agent.errors import AgentError
from agent.host.lane import aside
from agent.host.reach import Reach, WillNot
from agent.model import Target
from tests.actions.conftest import Start

UNIT = Target("unit", "svc.service", unit="svc.service")
GPU = Target("gpu", "GPU 2", uuid="GPU-0a1b2c3d-0000-0000-0000-000000000002")
HOST = Target("host", "n1")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on the path; every program in it writes its arguments down."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, body: str) -> None:
    """One program; ``$*`` are its arguments."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$*" >> {folder}/{name}.log\n{body}\n')
    path.chmod(0o755)


def asked(folder: Path, name: str) -> list[str]:
    """What a program was asked."""
    return (folder / f"{name}.log").read_text().splitlines()


SYSTEMCTL = """case "$*" in
*LoadState*) echo loaded;; *ActiveState*) echo active;; *CanReload*) echo yes;; *CanFreeze*) echo yes;;
*FreezerState*) echo frozen;; *is-active*) echo active;; esac"""


async def test_a_unit_is_restarted_reloaded_frozen_and_thawed(programs: Path, reach: Reach) -> None:
    """By systemd, with its name after ``--``."""
    await aside(lambda: program(programs, "systemctl", SYSTEMCTL))
    restart, freeze = restart_unit.Action(UNIT, reach), isolate_service.Action(UNIT, reach, drain=("true",))
    await restart.check()
    assert await restart.verify(await restart.act()) is True
    await reload_unit.Action(UNIT, reach).check()
    await reload_unit.Action(UNIT, reach).act()
    await freeze.check()
    done = await freeze.act()
    assert await freeze.verify(done) is True
    await freeze.undo(done)
    said = await aside(lambda: [line for line in asked(programs, "systemctl") if not line.startswith(("show", "is-active"))])
    assert said == ["restart -- svc.service", "reload -- svc.service", "freeze -- svc.service", "thaw -- svc.service"]


@pytest.mark.parametrize(
    "unit", ["ssh.service", "systemd-journald.service", "anfl-agent.service", "-.slice", "a b.service", "x;y", ""]
)
async def test_units_a_host_needs_are_never_touched(unit: str, programs: Path, reach: Reach) -> None:
    """Nor is anything that is no unit's name."""
    await aside(lambda: program(programs, "systemctl", SYSTEMCTL))
    with pytest.raises(WillNot):
        await restart_unit.Action(Target("unit", unit, unit=unit or None), reach).check()


SMI = """case "$*" in *compute-apps*) cat $(dirname $0)/users 2>/dev/null;; *clocks.max.sm*) echo 1980;; *power.min*) echo 100;;
*power.max*) echo 700;; *power.default*) echo 650;; *query-gpu=power.limit*) echo 500;; *persistence_mode*) echo Disabled;;
*query-gpu=uuid*) echo GPU-0a1b2c3d-0000-0000-0000-000000000002;; esac"""


async def test_gpu_settings_are_made_within_what_the_card_allows(programs: Path, reach: Reach) -> None:
    """And given back."""
    await aside(lambda: program(programs, "nvidia-smi", SMI))
    power = gpu_power_limit.Action(GPU, reach)
    await power.check()
    await power.undo(await power.act())
    with pytest.raises(WillNot, match="not between 100 and 700"):
        await gpu_power_limit.Action(GPU, reach, watts=900.0).check()
    with pytest.raises(WillNot, match="within what the card can do"):
        await gpu_clocks.Action(GPU, reach, low=100, high=3000).check()
    clocks = gpu_clocks.Action(GPU, reach, low=1000, high=1500)
    await clocks.check()
    await clocks.undo(await clocks.act())
    persistence = gpu_persistence.Action(GPU, reach)
    await persistence.undo(await persistence.act())
    said = await aside(lambda: [line.split(" ", 2)[2] for line in asked(programs, "nvidia-smi") if "query" not in line])
    assert said == [
        "--power-limit=650", "--power-limit=500", "--lock-gpu-clocks=1000,1500", "--reset-gpu-clocks",
        "--persistence-mode=1", "--persistence-mode=0",
    ]  # fmt: skip


async def test_a_gpu_in_use_is_not_reset(programs: Path, reach: Reach) -> None:
    """The agent's own hold goes first."""
    released = []

    async def release() -> None:
        released.append(True)

    await aside(lambda: program(programs, "nvidia-smi", SMI))
    action = gpu_reset.Action(GPU, Reach(reach.clock, reach.run, "", {}, release))
    await aside(lambda: (programs / "users").write_text("4711\n"))
    with pytest.raises(WillNot, match="process 4711 holds the GPU"):
        await action.check()
    await aside(lambda: (programs / "users").write_text(""))
    await action.check()
    done = await action.act()
    assert (released, await action.verify(done)) == ([True], True)


async def test_only_gpus_are_treated_as_gpus(reach: Reach) -> None:
    """A target without a UUID is none."""
    with pytest.raises(WillNot, match="is no GPU"):
        await gpu_reset.Action(HOST, reach).check()


async def test_the_node_is_drained_in_slurm_and_resumed(programs: Path, reach: Reach) -> None:
    """Unless it is out already."""
    await aside(lambda: program(programs, "sinfo", "cat $(dirname $0)/state"))
    await aside(lambda: program(programs, "scontrol", ""))
    await aside(lambda: (programs / "state").write_text("idle\n"))
    action = drain_slurm.Action(HOST, reach, node="n1", reason="ECC")
    await action.check()
    done = await action.act()
    await aside(lambda: (programs / "state").write_text("drained*\n"))
    assert await action.verify(done) is True
    with pytest.raises(WillNot, match="drained already"):
        await action.check()
    await action.undo(done)
    assert await aside(lambda: asked(programs, "scontrol")) == [
        "update nodename=n1 state=drain reason=ECC",
        "update nodename=n1 state=resume",
    ]


async def test_the_node_is_cordoned_in_kubernetes_and_given_back(programs: Path, reach: Reach) -> None:
    """Through kubectl."""
    spec = programs / "spec"
    words = f'case "$*" in *jsonpath*) cat {spec};; *uncordon*) : > {spec};; *) echo true > {spec};; esac'
    await aside(lambda: program(programs, "kubectl", words))
    await aside(lambda: spec.write_text(""))
    action = cordon_kubernetes.Action(HOST, reach, node="n1")
    await action.check()
    done = await action.act()
    assert await action.verify(done) is True
    await action.undo(done)
    said = await aside(lambda: [line for line in asked(programs, "kubectl") if "jsonpath" not in line])
    assert said == ["--request-timeout=20s cordon n1", "--request-timeout=20s uncordon n1"]


async def test_what_a_program_says_when_it_fails_is_told(programs: Path, reach: Reach) -> None:
    """In one line."""
    await aside(lambda: program(programs, "sinfo", "echo 'slurm_load_partitions: Unable to contact' >&2; exit 1"))
    with pytest.raises(AgentError, match="Unable to contact"):
        await drain_slurm.Action(HOST, reach, node="n1").check()


async def test_a_command_is_run_as_it_is_written_and_taken_back(reach: Reach) -> None:
    """No shell: a dollar is a dollar."""
    action = run_command.Action(HOST, reach, argv=("/bin/echo", "$HOME;id"), undo_argv=("/bin/true",))
    await action.check()
    assert await action.act() == {"said": "$HOME;id\n"}
    await action.undo({})
    with pytest.raises(WillNot, match="names no undo_argv"):
        await run_command.Action(HOST, reach, argv=("/bin/true",)).undo({})


@pytest.mark.parametrize("mode", [0o777, 0o757])
async def test_a_program_that_others_may_change_is_not_run(mode: int, tmp_path: Path, reach: Reach) -> None:
    """It would be theirs to say what the agent does."""
    path = tmp_path / "tool"
    await aside(lambda: path.write_text("#!/bin/sh\n"))
    await aside(lambda: path.chmod(mode))
    with pytest.raises(WillNot, match="can be changed by others"):
        await run_command.Action(HOST, reach, argv=(str(path),)).check()
    with pytest.raises(WillNot, match="absolute path"):
        await run_command.Action(HOST, reach, argv=("echo",)).check()


async def test_a_webhook_gets_a_signed_document_and_its_refusal_is_an_error(tmp_path: Path, reach: Reach) -> None:
    """With the operation's number, so that a repetition can be dropped."""
    got: list[bytes] = []
    status = b"204 No Content"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        got.extend((head, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    await aside(lambda: (tmp_path / "key").write_text("secret\n"))
    action = scale.Action(UNIT, reach, url=url, secret_file=str(tmp_path / "key"), by=2)
    await action.check()
    assert await action.act() == {"status": 204}
    body = json.loads(got[1])
    assert (body["what"], body["service"], body["by"], body["schema"]) == ("scale", "svc.service", 2, "anfl.action/1")
    assert f"sha256={hmac.new(b'secret', got[1], hashlib.sha256).hexdigest()}".encode() in got[0]
    assert b"op-1" in got[0]
    status = b"500 Oops"
    with pytest.raises(AgentError, match="answered 500"):
        await webhook.Action(UNIT, reach, url=url).act()
    server.close()
    with pytest.raises(WillNot, match="url must begin"):
        await webhook.Action(UNIT, reach).check()
    with pytest.raises(WillNot, match="say either"):
        await scale.Action(UNIT, reach, url=url).check()
    assert url not in action.plan() + repr(action)


@pytest.mark.real
async def test_evidence_is_one_file_with_what_could_be_had(start: Start, reach: Reach) -> None:
    """What could not is said in it."""
    target = await aside(start)
    done = await capture_evidence.Action(target, reach).act()
    with await aside(lambda: tarfile.open(done["path"])) as tar:
        names = set(await aside(tar.getnames))
    assert {"incident.json", f"{target.pid}/status", f"{target.pid}/fd", "missing.txt"} <= names
    assert (await aside(lambda: os.stat(done["path"]))).st_mode & 0o777 == 0o600


async def test_only_named_orphans_are_ended(reach: Reach) -> None:
    """Nobody is one by chance."""
    told = {"causes": [{"id": "gpu.orphan-memory", "culprits": [{"pid": os.getpid()}, {"pid": 1}, {"pid": 2**22 + 5}]}]}
    action = kill_gpu_orphans.Action(GPU, Reach(reach.clock, reach.run, "", told))
    with pytest.raises(WillNot, match="is an orphan"):
        await action.check()


async def test_caches_are_dropped_by_the_kernels_own_file(tmp_path: Path, reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a value it knows."""
    monkeypatch.setattr(drop_caches.Action, "file", str(tmp_path / "drop"))
    await drop_caches.Action(HOST, reach, what=3).act()
    assert await aside(lambda: (tmp_path / "drop").read_text()) == "3"
    with pytest.raises(WillNot, match="is not 1, 2 or 3"):
        await drop_caches.Action(HOST, reach, what=4).check()


async def test_people_are_told_what_the_playbook_says(reach: Reach) -> None:
    """It stands in the run's result."""
    action = notify.Action(HOST, reach, text="look at rack 4")
    assert ("rack 4" in action.plan(), await action.act()) == (True, {"said": "look at rack 4"})
