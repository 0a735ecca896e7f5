"""Who suffers: process trees, GPUs and their users, gathered and bounded."""

from __future__ import annotations

from typing import Any

from agent.engine.entities import Entities
from agent.engine.graph import Place
from agent.engine.impact import MOST, neighbours, of_causes, of_symptom, single_gpu, union, without
from agent.engine.incident import Affected, Complaint, Impact
from agent.engine.rounds import Round
from agent.model import Labels, Severity, labels
from tests.fakes.view import FakeView


def info(pid: int, subject: int, user: str = "ada", unit: str = "") -> Labels:
    """Labels of a process."""
    return labels(pid=pid, subject=subject, comm="python3", user=user, unit=unit, cgroup="/x", container="", job="")


def host() -> Entities:
    """A trainer with one worker on one GPU, and somebody else's process on the other."""
    known = [("process_info", i) for i in (info(7, 7), info(8, 7, unit="train.service"), info(9, 9, user="bob"))]
    known += [("gpu_process_info", labels(pid=pid, uuid=uuid, gpu=0)) for pid, uuid in ((8, "GPU-a"), (9, "GPU-b"))]
    return Entities.of(Round(FakeView.of({key: [1.0] for key in known})))


def complaint(pid: int, *tree: int) -> Complaint:
    """A symptom on a process of that tree."""
    place = Place(labels(pid=pid), {"pid": str(pid)}, frozenset(map(str, tree)))
    return Complaint("latency", place.key, Severity.WARNING, 0.0, 0.0, "", place)


def test_a_process_suffers_with_its_whole_tree() -> None:
    """And with the GPUs they use."""
    found = of_symptom(host(), labels(pid=7))
    assert [p.pid for p in found.processes] == [7, 8]
    assert (found.gpus, found.users, found.units) == (("GPU-a",), ("ada",), ("train.service",))
    assert single_gpu(host(), frozenset({"7", "8"})) == "GPU-a"
    assert single_gpu(host(), frozenset({"7", "8", "9"})) is None


def test_with_a_gpu_its_users_suffer() -> None:
    """Of the host nobody in particular does."""
    assert [p.pid for p in of_symptom(host(), labels(uuid="GPU-b", gpu=1)).processes] == [9]
    assert of_symptom(host(), ()) == Impact()


def test_a_diagnosis_names_sufferers() -> None:
    """Processes, units and GPUs, those that are blamed among them."""
    process = {"kind": "process", "pid": 7, "name": "python3", "user": "ada", "unit": None, "uuid": None}
    unit = {"kind": "unit", "pid": None, "name": "a.service", "unit": "a.service", "uuid": "GPU-a"}
    host = {"kind": "host", "pid": None, "name": "n1", "unit": None, "uuid": None}
    blamed = [{"kind": "gpu", "uuid": "GPU-b"}, {"kind": "process", "uuid": "GPU-c"}]
    named = ((process, []), (unit, []), (host, blamed))
    found = of_causes([{"id": "a.b", "target": target, "culprits": culprits} for target, culprits in named])
    assert found.processes == (Affected(7, "python3", "ada"),)
    assert (found.users, found.units, found.gpus) == (("ada",), ("a.service",), ("GPU-a", "GPU-b"))


def test_whom_a_cause_happened_to_suffers() -> None:
    """A process that was killed, or one on a GPU that fails, where the rule says so; one that is to blame does not."""
    host = {"kind": "host", "pid": None, "name": "n1", "unit": None, "uuid": None}
    killed = {"kind": "process", "pid": 7, "name": "trainer"}
    cgroup = {"kind": "cgroup", "pid": None, "name": "/job"}
    causes = [
        {"id": "memory.oom-killed", "target": host, "culprits": [killed, cgroup]},
        {"id": "latency.cpu-saturated", "target": host, "culprits": [{"kind": "process", "pid": 9, "name": "batch"}]},
    ]
    assert of_causes(causes, frozenset({"memory.oom-killed"})).processes == (Affected(7, "trainer"),)
    assert of_causes(causes) == Impact()


def suffering(kind: str, pid: int | None, *culprits: int) -> dict[str, Any]:
    """A root cause that blames processes."""
    named = [{"kind": "process", "pid": pid, "name": "batch"} for pid in culprits]
    return {"id": "latency.cpu-saturated", "target": {"kind": kind, "pid": pid}, "culprits": named}


def test_a_neighbour_that_is_blamed_is_no_sufferer() -> None:
    """Nor is the rest of its tree, even where that waits for the CPU, too. One that a launcher started beside the sufferer is none
    either, but the launcher's other programs are not to blame for it."""
    own, batch = complaint(7, 7, 8), complaint(20, 20, 21)
    assert neighbours(suffering("process", 7, 20, 30), [own, batch]) == {20, 21, 30}
    assert neighbours(suffering("process", 7, 20), [complaint(1, 1, 7, 8, 20)]) == {20}
    assert neighbours(suffering("process", 7, 7), [own]) == frozenset()


def test_where_no_single_process_suffers_those_that_are_named_do_with_it() -> None:
    """On a host or a GPU in trouble the one that is to blame is in trouble, too; and so is one that something happened to."""
    assert neighbours(suffering("host", None, 20), [complaint(20, 20)]) == frozenset()
    assert neighbours(suffering("gpu", None, 20), []) == frozenset()
    assert neighbours(suffering("process", 7, 20), [], frozenset({"latency.cpu-saturated"})) == frozenset()


def test_whoever_is_no_sufferer_takes_their_user_and_unit_along() -> None:
    """But not those that others have too, nor those that are there for another reason."""
    mine, theirs = Affected(7, "serve", "ada", "web.service"), Affected(20, "batch", "bob", "batch.service", job="3")
    shared = Affected(21, "helper", "ada", "batch.service")
    units = ("batch.service", "other.service", "web.service")
    known = Impact((mine, theirs, shared), ("GPU-a",), ("ada", "bob"), units, jobs=("3",))
    left = Impact((mine, shared), ("GPU-a",), ("ada",), units)
    assert without(known, {20, 99}) == left
    assert without(left, {99}) is left


def test_a_storm_is_counted_not_listed() -> None:
    """At most so many processes are named; each counts once."""
    many = Impact(tuple(Affected(pid) for pid in range(1, MOST + 1)))
    both = union(many, Impact((Affected(1), Affected(500)), users=("ada",)))
    assert len(both.processes) == MOST
    assert (both.more, both.users) == (1, ("ada",))
    assert union(both, both) == both
