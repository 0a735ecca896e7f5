"""What went wrong in an attach, in plain words with one mend."""

from __future__ import annotations

from typing import Any

from agent.errors import AgentError, Refused, Unavailable
from agent.host.text import clean


def failure(pid: int, event: dict[str, Any]) -> AgentError:
    """The error for the guard's ``failed`` event: ``why`` is its word or gdb's last phase, ``detail`` gdb's output."""
    why, detail = str(event.get("why")), str(event.get("detail"))
    if why == "no safe point":
        return Refused(
            f"process {pid} reached no safe point in time: it sits in one long C call, or nothing in it allocates",
            help="see where it stands with `py-spy dump --nonblocking`, and try again later",
        )
    if why == "slow debugger":
        return Unavailable(f"gdb took too long to look at process {pid}", help="the host may be overloaded; try again later")
    if why == "network":
        return Unavailable(f"process {pid}: {clean(detail, 200)}", help="run as root (CAP_SYS_ADMIN) to reach into its container")
    if why == "no connection":
        return Unavailable(
            f"process {pid} did not connect back over loopback", help="bring its loopback interface up: ip link set lo up"
        )
    if why == "overtime":
        return Unavailable(f"the capture of process {pid} did not end in time", help="see whether the process still makes progress")
    if why == "unreadable":
        return Unavailable(
            f"process {pid} may not read our memray library",
            help="put the agent's state_dir where every user may read, or run as root",
        )
    return _gdb(pid, detail)


def _gdb(pid: int, detail: str) -> AgentError:
    if "Operation not permitted" in detail:
        return Refused(
            f"process {pid} may not be traced by this user",
            help="run as root, or add CAP_SYS_PTRACE (containers: --cap-add SYS_PTRACE)",
        )
    if "No such process" in detail:
        return Refused(f"process {pid} has ended", help="name a process that runs")
    if 'No symbol "Py' in detail or "No symbol table" in detail:
        return Refused(
            f"gdb finds no Python in process {pid}: its interpreter has no symbols", help="use an interpreter that is not stripped"
        )
    line = next((row for row in reversed(detail.splitlines()) if row.strip() and "ANFL" not in row), "no output")
    return Unavailable(f"gdb could not load memray into process {pid}: {clean(line.strip(), 200)}", help="try again")


def payload_error(pid: int, text: str) -> AgentError:
    """The error for an exception inside the target, given as its ``repr``."""
    said = clean(text, 200)
    if "profiler of its own" in text:
        return Refused(f"process {pid} runs under a profiler of its own", help="end that profiler first")
    if "No more than one Tracker" in text:
        return Refused(f"memray tracks process {pid} already", help="end that tracking first, e.g. `memray detach`")
    if "No space left" in text:
        return Unavailable(f"process {pid}: no space for a capture", help="free 64 MiB in its /tmp")
    return Unavailable(f"tracking could not begin in process {pid}: {said}", help="try again; `anfl-agent doctor` checks memray")
