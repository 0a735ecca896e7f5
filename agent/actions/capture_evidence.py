"""Keep what a restart or reset would destroy: stacks, memory map, open files, the kernel's last words, the GPUs."""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import ClassVar

from agent.actions._action import Base
from agent.actions._process import held
from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host import procs
from agent.host.lane import aside
from agent.host.reach import Class
from agent.model import JsonObject

FILES = ("status", "stat", "smaps_rollup", "limits", "cgroup", "io", "wchan", "stack")
EACH_MOST = 1 << 20
MEMBERS_MOST = 64


@dataclass
class Action(Base):
    """One tar file among the artefacts, in a few seconds; what cannot be had is left out and said in it."""

    class_: ClassVar[Class] = "observe"
    kinds: ClassVar[tuple[str, ...]] = ("host", "process", "unit", "cgroup", "gpu")
    idempotent: ClassVar[bool] = True

    def plan(self) -> str:
        """In words."""
        return f"keep what can be known of {self.name}"

    async def act(self) -> JsonObject:
        """The file's path."""
        parts: dict[str, bytes] = {"incident.json": json.dumps(self.reach.told, indent=1).encode()}
        missing: list[str] = []
        if self.target.pid is not None:
            parts |= await aside(self._process, 10.0)
            await self._said(parts, missing, "stacks.txt", "py-spy", "dump", "--nonblocking", "--pid", str(self.target.pid))
        await self._said(parts, missing, "kernel.txt", "dmesg", "--time-format", "iso")
        if self.target.uuid or self.target.kind == "gpu":
            await self._said(parts, missing, "gpu.txt", "nvidia-smi", "-q")
        parts["missing.txt"] = "\n".join(missing).encode()
        return {"path": await aside(lambda: self._write(parts)), "missing": missing}

    async def _said(self, parts: dict[str, bytes], missing: list[str], name: str, *argv: str) -> None:
        try:
            done = await self.reach.run(argv, timeout=6.0, max_output=EACH_MOST)
        except AgentError as error:
            missing.append(f"{name}: {error.message}")
            return
        if done.rc or done.timed_out:
            missing.append(f"{name}: {argv[0]} ended with {done.rc}")
        parts[name] = done.out[-EACH_MOST:] + done.err[-4096:]

    def _process(self) -> dict[str, bytes]:
        found = {}
        with contextlib.suppress(AgentError), held(self.target):
            assert self.target.pid is not None
            for pid in procs.tree(self.target.pid)[:MEMBERS_MOST]:
                for name in FILES:
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
                        found[f"{pid}/{name}"] = file.read(EACH_MOST)
                with contextlib.suppress(OSError):
                    links = [f"{fd} {os.readlink(f'/proc/{pid}/fd/{fd}')}" for fd in os.listdir(f"/proc/{pid}/fd")[:5000]]
                    found[f"{pid}/fd"] = "\n".join(links).encode(errors="replace")
        return found

    def _write(self, parts: dict[str, bytes]) -> str:
        import tarfile  # 0.3 MiB for what most hosts never do

        now = self.reach.clock.now()
        path = os.path.join(self.reach.evidence_dir, f"evidence-{self.target.pid or self.target.kind}-{now:.0f}.tar.gz")
        try:
            os.makedirs(self.reach.evidence_dir, mode=0o700, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as tar:
                for name, body in parts.items():
                    info = tarfile.TarInfo(name)
                    info.size, info.mtime, info.mode = len(body), int(now), 0o600
                    tar.addfile(info, io.BytesIO(body))
        except OSError as error:
            raise AgentError(f"{path}: {error.strerror}", help="make room, or name another artifacts.dir") from None
        return path
