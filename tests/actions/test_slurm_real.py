"""A node is drained and given back in a Slurm of its own, as Debian ships it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions import drain_slurm
from agent.host.lane import aside
from agent.host.reach import Reach, WillNot
from agent.model import Target

NEEDED = ("munged", "slurmctld", "slurmd", "scontrol", "sinfo", "srun")
CONF = """
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={first}
SlurmdPort={second}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def free() -> int:
    """A port nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Controller and node on this host; its name, once it is idle."""
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {', '.join(missing()) or 'Slurm'}")
    host = socket.gethostname().partition(".")[0]
    with tempfile.TemporaryDirectory(prefix="anfl-slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("state", "spool", "munge"):
            (folder / part).mkdir()
        key = folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        for path in (folder / "munge", key):
            shutil.chown(path, "munge")
        (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder, first=free(), second=free()))
        monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        own = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [shutil.which("munged") or "", "--foreground", *(f"--{k}={folder}/munge/{v}" for k, v in own.items())]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = [subprocess.Popen(munge, user="munge", group="munge", **quiet)]  # type: ignore[call-overload]
        try:
            until(lambda: (folder / "munge" / "sock").exists())
            started += [subprocess.Popen([part, "-D"], **quiet) for part in ("slurmctld", "slurmd")]  # type: ignore[call-overload]
            until(lambda: "idle" in state())
            yield host
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(20)


def missing() -> list[str]:
    """Programs that are not here."""
    return [name for name in NEEDED if shutil.which(name) is None]


def state() -> str:
    """As Slurm says it."""
    return subprocess.run(["sinfo", "--noheader", "--format", "%T"], capture_output=True, text=True, check=False).stdout


def until(true: object, seconds: float = 20.0) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        if time.monotonic() > end:
            pytest.skip("this Slurm does not come up here")
        time.sleep(0.1)


def job(*words: str) -> bool:
    """Whether a job runs at once."""
    return subprocess.run(["srun", *words, "true"], capture_output=True, timeout=30, check=False).returncode == 0


@pytest.mark.real
async def test_a_drained_node_takes_no_job_until_it_is_given_back(node: str, reach: Reach) -> None:
    """With the reason, and once."""
    action = drain_slurm.Action(Target("host", node), reach, reason="anfl-agent: test")
    await action.check()
    done = await action.act()
    assert (done, await action.verify(done)) == ({"node": node}, True)
    with pytest.raises(WillNot, match="already"):
        await action.check()
    assert not await aside(lambda: job("-I1"), 40.0)
    await action.undo(done)
    assert await action.verify(done) is False
    assert await aside(job, 40.0)
