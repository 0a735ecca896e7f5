"""What works on this host: one line per check, with the mend under what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agent.alerting import Receiver
from agent.alerts.addresses import secret_of, urls_of
from agent.dataclass import dataclass
from agent.errors import AgentError, ConfigError, Unavailable
from agent.host import bundles as memray_bundles
from agent.host import procs, pyspy
from agent.host.rights import CAP_SYS_PTRACE, capabilities
from agent.host.run import run
from agent.store.state import looked
from agent.watch import Watch

State = Literal["ok", "warn", "missing", "absent"]

SOURCES_S = 15.0  # what has a lane of its own may take so long
MISMATCH = "; the library on disk is of another version: programs started now find no GPU"
MEND_NVML = "load the driver that fits the library (a reboot does), or see 'anfl-agent diagnose gpu_node'"
FREE_FOR_ARTIFACTS = 256 << 20  # a capture is capped at 64 MiB; its report and stacks come on top


@dataclass(frozen=True)
class Item:
    """One check. ``absent`` is something this host does not have and does not need."""

    group: str
    name: str
    state: State
    says: str
    fix: str = ""


def rights(proc: str = "/proc") -> Iterable[Item]:
    """Who we are and what we may look into."""
    caps = capabilities(Path(f"{proc}/self/status").read_text())
    root = os.geteuid() == 0
    if caps >> CAP_SYS_PTRACE & 1:
        yield Item("Rights", "other users", "ok", "may look into processes of every user (CAP_SYS_PTRACE)")
    else:
        yield Item(
            "Rights",
            "other users",
            "warn",
            f"only processes of user {procs.user_name(os.geteuid())} can be looked into",
            "run as root, or give the agent CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, as"
            " 'anfl-agent files systemd/anfl-agent.service' does",
        )
    yama = Path(f"{proc}/sys/kernel/yama/ptrace_scope")
    scope = yama.read_text().strip() if yama.exists() else None
    if scope in (None, "0"):
        yield Item("Rights", "ptrace", "ok", "not restricted" + ("" if scope is None else " (ptrace_scope 0)"))
    elif root or caps >> CAP_SYS_PTRACE & 1:
        yield Item("Rights", "ptrace", "ok" if scope != "3" else "missing", f"ptrace_scope {scope}")
    else:
        yield Item(
            "Rights", "ptrace", "missing", f"ptrace_scope {scope} forbids it", "sysctl kernel.yama.ptrace_scope=0, or run as root"
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    state: State = "ok" if hard >= 4096 else "warn"
    yield Item("Rights", "descriptors", state, f"{soft} now, up to {hard}", "raise LimitNOFILE to two per process and 1000")


def kernel(proc: str = "/proc", sys_path: str = "/sys") -> Iterable[Item]:
    """Sources the kernel gives, or not."""
    pressure = Path(f"{proc}/pressure/cpu").exists()
    yield Item("Kernel", "pressure (PSI)", "ok" if pressure else "missing", "on" if pressure else "off", "boot with psi=1")
    delay = Path(f"{proc}/self/schedstat").exists()
    yield Item("Kernel", "run-queue delay", "ok" if delay else "missing", "on" if delay else "no schedstat in this kernel")
    v2 = Path(f"{sys_path}/fs/cgroup/cgroup.controllers").exists()
    v1 = Path(f"{sys_path}/fs/cgroup/memory").is_dir()
    says = "version 2" if v2 else "version 1" if v1 else "none"
    yield Item(
        "Kernel", "cgroups", "ok" if v1 or v2 else "warn", says + (" (hybrid)" if v1 and not v2 and _unified(sys_path) else "")
    )
    yield Item("Kernel", "release", "ok", platform.release())


def _unified(sys_path: str) -> bool:
    return Path(f"{sys_path}/fs/cgroup/unified/cgroup.controllers").exists()


async def tools() -> Sequence[Item]:
    """Programs the closer looks need."""
    items = [Item("Tools", "python", "ok", f"{platform.python_version()} at {sys.prefix}")]
    try:
        done = await run([pyspy.find(), "--version"], timeout=10)
        items.append(Item("Tools", "py-spy", "ok", done.out.decode(errors="replace").strip()))
    except AgentError as error:
        items.append(Item("Tools", "py-spy", "missing", error.message, error.help))
    try:
        done = await run(["gdb", "--version"], timeout=20)
        items.append(Item("Tools", "gdb", "ok", done.out.decode(errors="replace").splitlines()[0]))
    except AgentError:
        fix = "apt-get install gdb" if shutil.which("apt-get") else "install gdb with the system's package manager"
        items.append(Item("Tools", "gdb", "missing", "needed to attach memray to a running process", fix))
    try:
        items.append(Item("Tools", "memray", "ok", importlib.metadata.version("memray")))
    except importlib.metadata.PackageNotFoundError:
        items.append(Item("Tools", "memray", "missing", "not in the agent's environment", "pip install memray"))
    return items


async def bundles(state_dir: str, fix: bool, wheelhouse: str | None, progress: Callable[[str], None]) -> Sequence[Item]:
    """memray for each Python a target may run; ``fix`` fetches what is missing, from ``wheelhouse`` if one is given."""
    items = []
    missing = memray_bundles.missing(state_dir)
    for minor in memray_bundles.MINORS:
        name, why = f"memray for {minor}", "not here yet: its processes can be looked at with py-spy only"
        if minor in missing and fix:
            progress(f"fetching memray for Python {minor}")
            try:
                await memray_bundles.build(state_dir, minor, wheelhouse)
            except (AgentError, OSError) as error:
                items.append(Item("Tools", name, "warn", str(error), "doctor --fix --wheelhouse FOLDER takes wheels from a folder"))
                continue
        elif minor in missing:
            items.append(Item("Tools", name, "warn", why, "anfl-agent doctor --fix"))
            continue
        own = " (the agent's own)" if minor == memray_bundles.own_minor() else ""
        items.append(Item("Tools", name, "ok", f"ready{own}"))
    return items


def receivers(known: Sequence[Receiver], env: Mapping[str, str]) -> Iterable[Item]:
    """Addresses and keys of receivers can be read here, and by nobody else; whether messages arrive is for ``alerts test``."""
    if not known:
        yield Item("Alerts", "receivers", "ok", "none: alerts go to a file below state_dir", "")
    for receiver in known:
        try:
            count = 0 if receiver.type == "file" else len(urls_of(receiver, env))
            secret_of(receiver, env)
        except ConfigError as error:
            yield Item(
                "Alerts", str(receiver.name), "missing", error.message, error.help or "write it, readable for the agent's user"
            )
            continue
        open_ = [p for p in (receiver.url_file, receiver.secret_file) if p and os.stat(p).st_mode & 0o077]
        if open_:
            yield Item("Alerts", str(receiver.name), "warn", f"others may read {open_[0]}", f"chmod 600 {open_[0]}")
        else:
            said = f"{receiver.type}, {count} addresses" if count > 1 else str(receiver.type)
            yield Item("Alerts", str(receiver.name), "ok", said)


def folders(state_dir: str, artifacts_dir: str, fix: bool) -> Iterable[Item]:
    """State and artefact folders: there, writable, private, and with room."""
    for name, text in (("state", state_dir), ("artefacts", artifacts_dir)):
        path = Path(text)
        if fix and not path.exists():
            try:
                path.mkdir(mode=0o700, parents=True)
            except OSError as error:
                yield Item("Folders", name, "missing", f"{path}: {error.strerror}", "name another folder in the configuration")
                continue
        if not path.is_dir():
            near = next(p for p in (path, *path.parents) if os.path.lexists(p))
            made = near.is_dir() and os.access(near, os.W_OK)
            yield Item(
                "Folders",
                name,
                "ok" if made else "missing",
                f"{path} (made when needed)" if made else f"{path} cannot be made",
                "anfl-agent doctor --fix, or name another folder",
            )
            continue
        free = shutil.disk_usage(path).free
        if not os.access(path, os.W_OK):
            yield Item("Folders", name, "missing", f"{path} is not writable", f"chown it to user {procs.user_name(os.geteuid())}")
        elif free < FREE_FOR_ARTIFACTS:
            yield Item("Folders", name, "warn", f"{path}: {free >> 20} MiB free", "make room: captures need 256 MiB")
        else:
            yield Item("Folders", name, "ok", f"{path} ({free >> 30} GiB free)")


def state(path: str) -> Iterable[Item]:
    """The state file: readable, whole, and whether something was lost."""
    try:
        bytes_, losses = looked(path, _state_facts)
    except Unavailable as none:
        if os.path.exists(path):
            yield Item("Folders", "state file", "missing", f"{path}: {none.message}", none.help)
        return
    except sqlite3.Error as error:
        yield Item("Folders", "state file", "missing", f"{path}: {error}", "start the agent: it sets a damaged file aside")
        return
    for why, kept in losses[-3:]:
        yield Item("Folders", "state file", "warn", why, f"what is left of it: {kept}" if kept else "restore it from a backup")
    if not losses:
        yield Item("Folders", "state file", "ok", f"{path} ({bytes_ >> 10} KiB)")


def _state_facts(at: sqlite3.Connection) -> tuple[int, list[tuple[str, str]]]:
    pages, page = (at.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    at.execute("PRAGMA quick_check(1)").fetchone()
    return pages * page, at.execute("SELECT why, kept FROM losses ORDER BY at").fetchall()


def nvml(report: Mapping[str, Any] | None) -> Iterable[Item]:
    """How NVML and the GPUs are, from what the ``gpu`` collector reports."""
    if report is None or report["status"] == "absent":
        yield Item("GPUs", "NVML", "absent", "GPUs are not watched" if report is None else str(report["why"]))
        return
    bad = [g for g in report["gpus"] if g["state"] != "ok"]
    if report["status"] != "up":
        yield Item("GPUs", "NVML", "missing", report["why"] or report["status"], MEND_NVML)
        return
    says = f"driver {report['driver']}, {len(report['gpus'])} GPUs"
    yield Item(
        "GPUs", "NVML", "missing" if report["mismatch"] else "ok", says + (MISMATCH if report["mismatch"] else ""), MEND_NVML
    )
    for gpu in bad:
        yield Item(
            "GPUs", f"GPU {gpu['gpu']}", "missing", f"{gpu['state']} ({gpu['uuid']}, {gpu['pci']})", "anfl-agent diagnose gpu"
        )


async def sources(watch: Watch) -> Sequence[Item]:
    """Take one reading from every collector and say how it went and what it cost."""
    await watch.round()
    await watch.settle(SOURCES_S)
    items = []
    for state in watch.states():
        if state.state == "absent":
            items.append(Item("Sources", state.name, "absent", f"not on this host: {state.why}"))
        elif state.state == "down":
            items.append(Item("Sources", state.name, "missing", state.why, "see the log with -v"))
        else:
            items.append(Item("Sources", state.name, "ok", f"{state.seconds * 1000:.1f} ms a reading"))
    return items
