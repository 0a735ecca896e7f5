"""The text of pressure files, the host's and a cgroup's alike."""

from __future__ import annotations


def parse_pressure(raw: bytes) -> dict[str, float]:
    """Seconds ``waiting`` (some tasks) and ``stalled`` (all tasks), as far as the file has them."""
    values: dict[str, float] = {}
    for line in raw.splitlines():
        total = int(line[line.rindex(b"=") + 1 :]) / 1e6
        values["waiting" if line.startswith(b"some") else "stalled"] = total
    return values
