"""A small catalog and a short way to a rule set, for tests of the engine."""

from __future__ import annotations

from collections.abc import Mapping

from agent.engine.load import load_rules
from agent.engine.trees import Catalog, ProbeSpec, RuleSet
from agent.engine.walk import ProbeKey
from agent.model import Evidence, Kind, Labels, Metric, labels
from tests.fakes.view import FakeView

METRICS = (
    Metric("process_cpu_seconds_total", Kind.COUNTER, "seconds", "", ("pid",)),
    Metric("process_anonymous_bytes", Kind.GAUGE, "bytes", "", ("pid",)),
    Metric("process_threads", Kind.GAUGE, "", "", ("pid",)),
    Metric("process_start_time_seconds", Kind.GAUGE, "seconds", "", ("pid",)),
    Metric("process_info", Kind.INFO, "", "", ("pid", "comm", "subject", "cgroup", "unit", "container", "job", "user")),
    Metric("cgroup_memory_bytes", Kind.GAUGE, "bytes", "", ("cgroup",)),
    Metric("filesystem_free_bytes", Kind.GAUGE, "bytes", "", ("mountpoint",)),
    Metric("nvml_up", Kind.GAUGE, "", ""),
    Metric("errors", Kind.GAUGE, "", "", ("pid", "type")),
    Metric("gpu_hot", Kind.GAUGE, "", "", ("gpu", "uuid", "pci")),
    Metric("gpu_process_info", Kind.INFO, "", "", ("gpu", "uuid", "pci", "pid", "comm")),
    Metric("host_load1", Kind.GAUGE, "", ""),
    Metric("host_memory_available_bytes", Kind.GAUGE, "bytes", ""),
)
_ANSWERS = {
    "memray": (Metric("leak_share", Kind.GAUGE, "ratio", ""), Metric("kind", Kind.INFO, "str", "")),
    "pyspy": (Metric("hot_share", Kind.GAUGE, "ratio", ""), Metric("waits", Kind.GAUGE, "bool", "")),
    "neighbours": (Metric("other_cores", Kind.GAUGE, "cores", ""),),
}
CATALOG = Catalog(
    {m.name: m for m in METRICS},
    {
        "memray": ProbeSpec({m.name: m for m in _ANSWERS["memray"]}, "heavy", {"seconds": float, "mode": str}),
        "pyspy": ProbeSpec({m.name: m for m in _ANSWERS["pyspy"]}, "light", {"seconds": float}),
        "neighbours": ProbeSpec({m.name: m for m in _ANSWERS["neighbours"]}, "free", {}, "subject"),
    },
)


def rule_set(*texts: str) -> RuleSet:
    """Rules from tree texts; a mistake in them fails the test."""
    rules, problems = load_rules({f"t{i}.yaml": text for i, text in enumerate(texts)}, CATALOG)
    assert not problems, "\n".join(map(str, problems))
    return rules


def process(pid: int, subject: int | None = None, comm: str = "python", cgroup: str = "/a", unit: str = "") -> tuple[str, Labels]:
    """The key of a process's ``process_info`` series."""
    known = labels(pid=pid, comm=comm, subject=subject or pid, cgroup=cgroup, unit=unit, container="", job="", user="u")
    return "process_info", known


def of(name: str, pid: int) -> tuple[str, Labels]:
    """The key of a process's series."""
    return name, labels(pid=pid)


def host_of(series: Mapping[tuple[str, Labels] | str, str], **processes: tuple[str, Labels]) -> FakeView:
    """A view with these series and these processes known throughout."""
    longest = FakeView.of(series)
    known = {info: f"1*{int(longest.now) + 1}" for info in processes.values()}
    return FakeView.of({**series, **known})


def look(probe: str, pid: int | None, evidence: Evidence, **settings: object) -> dict[ProbeKey, Evidence]:
    """One answered look."""
    return {ProbeKey(probe, pid, tuple(sorted(settings.items()))): evidence}
