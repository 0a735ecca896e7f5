"""What a process may do: its capability bits."""

from __future__ import annotations

CAP_SYS_PTRACE = 19


def capabilities(status: str) -> int:
    """The effective capability bits from the text of /proc/PID/status; 0 if it names none."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def looks_at_all() -> bool:
    """Whether this is the host's agent: it may look into everybody's processes, so everybody may ask about their own."""
    with open("/proc/self/status") as status:
        return bool(capabilities(status.read()) >> CAP_SYS_PTRACE & 1)
