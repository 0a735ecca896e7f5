"""Root or consequence, and which root comes first."""

from __future__ import annotations

from dataclasses import replace

from agent.diagnosis import Confidence, Finding
from agent.engine.graph import Active, Place, rooted
from agent.engine.trees import Cause
from agent.model import Severity, Target, labels


def found(
    id_: str,
    *leads_to: str,
    place: Place | None = None,
    severity: Severity = Severity.WARNING,
    lo: float = 0.7,
    since: float | None = None,
) -> Active:
    """An active cause."""
    cause = Cause(id_, "t", id_, severity, leads_to=leads_to)
    finding = Finding(id_, id_, severity, Confidence(lo, lo), Target(), since)
    return Active(cause, finding, place or Place(), "1", frozenset())


def on(pid: int, *pids: int, cgroup: str = "/a") -> Place:
    """A process with its tree."""
    return Place(labels(pid=pid), {"pid": str(pid), "cgroup": cgroup}, frozenset(map(str, (pid, *pids))))


def ids(actives: list[Active]) -> list[str]:
    """Names only."""
    return [a.finding.id for a in actives]


def test_a_cause_led_to_by_another_is_its_consequence() -> None:
    """Along the whole chain only its beginning is a root; it carries the rest, and is as severe as the worst of it."""
    c = found("t.c", severity=Severity.CRITICAL, since=50.0)
    roots, led = rooted([c, found("t.b", "t.c"), found("t.a", "t.b", since=80.0)])
    assert (ids(roots), ids(led)) == (["t.a"], ["t.c", "t.b"])
    finding = roots[0].finding
    assert (finding.consequences, finding.severity, finding.since) == (("t.b", "t.c"), Severity.CRITICAL, 50.0)


def test_two_independent_faults_are_two_roots() -> None:
    """Nothing joins them, so both are named."""
    roots, led = rooted([found("t.a"), found("t.b", lo=0.9)])
    assert (ids(roots), led) == (["t.b", "t.a"], [])


def test_entities_that_do_not_overlap_are_not_joined() -> None:
    """A neighbour's leak does not explain this process's trouble, its own worker's does, the host's does."""
    victim = found("t.v", place=on(2))
    assert len(rooted([found("t.a", "t.v", place=on(1)), victim])[0]) == 2
    assert len(rooted([found("t.a", "t.v", place=on(1, 2)), victim])[0]) == 1
    assert len(rooted([found("t.a", "t.v"), victim])[0]) == 1


def test_a_cgroup_holds_what_is_below_it() -> None:
    """A limit on a slice explains a process in a service of that slice, not one beside it."""
    slice_ = Place(labels(cgroup="/a"), {"cgroup": "/a"})
    assert slice_.overlaps(on(1, cgroup="/a/b"))
    assert slice_.overlaps(on(1, cgroup="/a"))
    assert not slice_.overlaps(on(1, cgroup="/ab"))


def test_parts_of_the_host_touch_every_process_but_not_each_other() -> None:
    """A full disk can hurt anyone; two mounts are two things."""
    data, logs = (Place(labels(mountpoint=m), {"mountpoint": m}) for m in ("/data", "/logs"))
    assert data.overlaps(on(1))
    assert not data.overlaps(logs)


def test_roots_sort_by_severity_then_lo_then_symptoms_then_onset() -> None:
    """Differences of rounding in ``lo`` do not decide."""
    worst = found("t.worst", severity=Severity.CRITICAL, lo=0.5)
    sure = found("t.sure", lo=0.9)
    telling = replace(found("t.telling", lo=0.7), fires=frozenset({("memory", ()), ("latency", ())}))
    early = found("t.early", lo=0.7 + 1e-13, since=10.0)
    late = found("t.late", lo=0.7, since=20.0)
    roots, _ = rooted([late, early, telling, sure, worst])
    assert ids(roots) == ["t.worst", "t.sure", "t.telling", "t.early", "t.late"]
