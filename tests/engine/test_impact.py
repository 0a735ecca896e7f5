"""Who suffers: process trees, GPUs and their users, gathered and bounded."""

from __future__ import annotations

from agent.engine.entities import Entities
from agent.engine.impact import MOST, of_causes, of_symptom, single_gpu, union
from agent.engine.incident import Affected, Impact
from agent.engine.rounds import Round
from agent.model import Labels, labels
from tests.fakes.view import FakeView


def info(pid: int, subject: int, user: str = "ada", unit: str = "") -> Labels:
    """Labels of a process."""
    return labels(pid=pid, subject=subject, comm="python3", user=user, unit=unit, cgroup="/x", container="", job="")


def host() -> Entities:
    """A trainer with one worker on one GPU, and somebody else's process on the other."""
    known = [("process_info", i) for i in (info(7, 7), info(8, 7, unit="train.service"), info(9, 9, user="bob"))]
    known += [("gpu_process_info", labels(pid=pid, uuid=uuid, gpu=0)) for pid, uuid in ((8, "GPU-a"), (9, "GPU-b"))]
    return Entities.of(Round(FakeView.of({key: [1.0] for key in known})))


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


def test_a_storm_is_counted_not_listed() -> None:
    """At most so many processes are named; each counts once."""
    many = Impact(tuple(Affected(pid) for pid in range(1, MOST + 1)))
    both = union(many, Impact((Affected(1), Affected(500)), users=("ada",)))
    assert len(both.processes) == MOST
    assert (both.more, both.users) == (1, ("ada",))
    assert union(both, both) == both
