"""What cgroup files are called and how they read, in version 1 and version 2."""

from __future__ import annotations

from collections.abc import Callable

from agent.dataclass import dataclass
from agent.host.procfs import read_once

UNLIMITED = 1 << 60
"""Version 1 writes no limit as a number near 2^63."""


def parse_limit(raw: bytes) -> int | None:
    """A limit file; None for none (``max``, -1, or a number beyond all memory)."""
    text = raw.strip()
    if not text.isdigit():
        return None
    limit = int(text)
    return limit if limit < UNLIMITED else None


def parse_cpu_max(raw: bytes) -> float | None:
    """Cores allowed by ``cpu.max`` ("quota period" in µs); None for no quota."""
    quota, _, period = raw.partition(b" ")
    return int(quota) / int(period) if quota.isdigit() and int(period) > 0 else None


def quota_v2(folder: str) -> float | None:
    """Cores the cgroup may use; OSError as the kernel gives it."""
    return parse_cpu_max(read_once(f"{folder}/cpu.max"))


def quota_v1(folder: str) -> float | None:
    """Cores the cgroup may use; OSError as the kernel gives it."""
    quota = int(read_once(f"{folder}/cpu.cfs_quota_us"))
    period = int(read_once(f"{folder}/cpu.cfs_period_us"))
    return quota / period if quota > 0 and period > 0 else None


@dataclass(frozen=True)
class Dialect:
    """Names of files and of the lines in them (a line break first); times are multiplied by their unit to give seconds."""

    quota: Callable[[str], float | None]
    usage: tuple[str, bytes, float]
    throttled: tuple[bytes, float]
    memory: str
    memory_limit: str
    anonymous: bytes
    file: bytes
    inactive_file: bytes
    oom: str


V1 = Dialect(
    quota=quota_v1,
    usage=("cpuacct.usage", b"\n", 1e-9),
    throttled=(b"\nthrottled_time ", 1e-9),
    memory="memory.usage_in_bytes",
    memory_limit="memory.limit_in_bytes",
    anonymous=b"\ntotal_rss ",
    file=b"\ntotal_cache ",
    inactive_file=b"\ntotal_inactive_file ",
    oom="memory.oom_control",
)
V2 = Dialect(
    quota=quota_v2,
    usage=("cpu.stat", b"\nusage_usec ", 1e-6),
    throttled=(b"\nthrottled_usec ", 1e-6),
    memory="memory.current",
    memory_limit="memory.max",
    anonymous=b"\nanon ",
    file=b"\nfile ",
    inactive_file=b"\ninactive_file ",
    oom="memory.events",
)
