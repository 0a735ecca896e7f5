"""Who a tree is walked for, and whom a cause is about."""

from __future__ import annotations

import gc
import weakref

from agent.engine.diagnose import Scope, assess
from agent.engine.entities import Entities
from agent.engine.rounds import Round
from agent.model import Culprit, Labels, Target, labels
from tests.fakes.rules import host_of, of, process, rule_set
from tests.fakes.view import FakeView

CGROUP = """
tree: memory
each: [cgroup]
symptom: {when: "cgroup_memory_bytes > 1GiB"}
checks: [{id: big, expr: "cgroup_memory_bytes > 1GiB"}]
causes: {memory.limit-too-low: {title: The limit is low, support: {big: 0.7}, culprit: [cgroup]}}
"""
PROCESS = """
tree: latency
each: [pid]
symptom: {when: "process_threads > 10"}
checks:
  - {id: many, expr: "process_threads > 10"}
  - {id: crowded, expr: "cgroup_memory_bytes > 1GiB"}
  - {id: neighbour, expr: "max_of_others(process_threads) > 10"}
causes:
  latency.queueing: {title: t, support: {many: 0.7}, target: unit, culprit: [unit]}
  latency.memory-stall: {title: t, support: {crowded: 0.7}, culprit: [cgroup]}
  latency.cpu-saturated: {title: t, support: {neighbour: 0.7}}
"""


def host() -> FakeView:
    """Two processes of one tree in /a/x, a stranger in /b."""
    return FakeView.of(
        {
            process(1, cgroup="/a/x", unit="web.service"): "1*61",
            process(2, 1, cgroup="/a/x", unit="web.service"): "1*61",
            process(3, comm="hog", cgroup="/b"): "1*61",
            of("process_threads", 1): "20*61",
            of("process_threads", 2): "2*61",
            of("process_threads", 3): "30*61",
            of("process_start_time_seconds", 1): "12.5*61",
            ("cgroup_memory_bytes", labels(cgroup="/a")): "2GiB*61",
            ("cgroup_memory_bytes", labels(cgroup="/a/x")): "2GiB*61",
            ("cgroup_memory_bytes", labels(cgroup="/b")): "2GiB*61",
        }
    )


def test_a_process_binds_its_chain_and_its_tree() -> None:
    """Pid, cgroup and unit are bound; the tree is all processes of its subject; strangers stand alone."""
    entities = Entities.of(Round(host()))
    instance = entities.instance(labels(pid=2))
    assert dict(instance.labels) == {"pid": "2", "cgroup": "/a/x", "unit": "web.service", "user": "u"}
    assert instance.own_pids == frozenset({"1", "2"})
    assert entities.own("9") == frozenset({"9"})
    assert entities.process("1") == Target("process", "python", pid=1, start_time=12.5, unit="web.service", cgroup="/a/x", user="u")


def test_a_cgroup_above_the_target_is_its_business() -> None:
    """Causes of the cgroups a process is in are its roots; those of others are not even looked at."""
    found = assess(rule_set(CGROUP), host(), Scope(Target("process", pid=1), (1, 2)), {})
    assert [(f.target.kind, f.target.name, f.culprits) for f in found.causes] == [
        ("cgroup", "/a", (Culprit("cgroup", "/a"),)),
        ("cgroup", "/a/x", (Culprit("cgroup", "/a/x"),)),
    ]
    assert found.elsewhere == ()


def test_a_unit_is_a_target_too() -> None:
    """What happens to any process of the unit counts; another unit's is elsewhere."""
    scope = Scope(Target("unit", "web.service", unit="web.service"), (1, 2, 3))
    found = assess(rule_set(PROCESS), host(), scope, {})
    assert {f.id for f in found.causes} == {"latency.queueing", "latency.memory-stall", "latency.cpu-saturated"}
    assert {f.target.pid or f.target.name for f in found.elsewhere} == {3}


def test_causes_name_their_part_of_the_chain() -> None:
    """``target: unit`` and ``culprit: [unit]`` speak of the process's unit; series are joined through its cgroup."""
    found = {f.id: f for f in assess(rule_set(PROCESS), host(), Scope(Target("process", pid=1), (1, 2)), {}).causes}
    queueing = found["latency.queueing"]
    assert (queueing.target.kind, queueing.target.name) == ("unit", "web.service")
    assert queueing.culprits == (Culprit("unit", "web.service"),)
    assert found["latency.memory-stall"].culprits == (Culprit("cgroup", "/a/x"),)


def test_the_one_that_stands_out_is_the_culprit_with_its_figure() -> None:
    """The arg-max of an aggregator over strangers is a process by name and pid."""
    found = {f.id: f for f in assess(rule_set(PROCESS), host(), Scope(Target("process", pid=1), (1, 2)), {}).causes}
    assert found["latency.cpu-saturated"].culprits[0] == Culprit("process", "hog", pid=3, detail="30")


GPU = """
tree: gpu
each: [gpu, uuid, pci]
applies: "not absent(nvml_up, 10m)"
symptom: {when: "gpu_hot > 0"}
checks:
  - {id: hot, expr: "gpu_hot > 0"}
causes:
  gpu.thermal-throttle: {title: t, support: {hot: 0.7}, culprit: [uuid, gpu_process_info], leads_to: [latency.queueing]}
"""
SLOW = """
tree: latency
each: [pid]
symptom: {when: "process_threads > 10"}
checks: [{id: many, expr: "process_threads > 10"}]
causes: {latency.queueing: {title: t, support: {many: 0.7}}}
"""


def node(*, nvml: bool = True) -> FakeView:
    """Two GPUs; process 1 and its child are on both of them, the first is hot."""
    given: dict[tuple[str, Labels] | str, str] = {"nvml_up": "1*61"} if nvml else {}
    given |= {("gpu_hot", labels(gpu=n, uuid=f"GPU-{n}", pci=f"0000:0{n}:00.0")): f"{1 - n}*61" for n in (0, 1)}
    given |= {
        ("gpu_process_info", labels(gpu=n, uuid=f"GPU-{n}", pci=f"0000:0{n}:00.0", pid=1, comm="python")): "1*61" for n in (0, 1)
    }
    given |= {process(1): "1*61", process(2, 1): "1*61", process(3): "1*61", of("process_threads", 3): "20*61"}
    given[of("process_threads", 1)] = "20*61"
    return host_of(given)


def test_a_gpu_is_named_by_all_three_and_whoever_is_on_it_is_named_too() -> None:
    """Index, UUID and address; then the processes."""
    (cause,) = assess(rule_set(GPU, SLOW), node(), Scope(), {}).causes
    first, second = cause.culprits
    assert first == Culprit("gpu", "GPU 0 (GPU-0, 0000:00:00.0)", uuid="GPU-0", pci="0000:00:00.0")
    assert (second.kind, second.pid, second.uuid, second.detail) == ("process", 1, "GPU-0", "on GPU 0")
    assert (cause.target.kind, cause.target.name, cause.target.uuid) == ("gpu", "GPU 0", "GPU-0")


def test_a_tree_that_does_not_apply_says_nothing() -> None:
    """Not found, not ruled out, not even unknown."""
    told = assess(rule_set(GPU, SLOW), node(nvml=False), Scope(), {})
    assert (told.causes, told.possible, told.ruled_out, told.walks) == ((), (), (), ())


def test_what_ails_a_gpu_reaches_the_processes_on_it_and_no_others() -> None:
    """Its own programs' slowness is a consequence; a stranger's is not."""
    rules = rule_set(GPU, SLOW)
    mine = assess(rules, node(), Scope(Target("process", pid=1), (1, 2)), {})
    assert [(c.id, c.consequences) for c in mine.causes] == [("gpu.thermal-throttle", ("latency.queueing",))]
    other = assess(rules, node(), Scope(Target("process", pid=3), (3,)), {})
    assert [c.id for c in other.causes] == ["latency.queueing"]


def test_a_gpu_can_be_asked_about() -> None:
    """Only that one is looked at, though one program uses both."""
    told = assess(rule_set(GPU, SLOW), node(), Scope(Target("gpu", "GPU 1", uuid="GPU-1"), (1, 2, 3)), {})
    assert {dict(w.labels)["uuid"] for w in told.walks if w.tree.name == "gpu"} == {"GPU-1"}


def test_a_round_ends_with_its_last_user() -> None:
    """Nothing it made holds it: its columns are given back at once, not when the garbage collector comes by."""
    view = host()
    gone = weakref.ref(view)
    gc.disable()
    try:
        assess(rule_set(PROCESS), view, Scope(Target("host"), (1, 2, 3)), {})
        del view
        assert gone() is None
    finally:
        gc.enable()


def test_siblings_of_a_tree_are_asked_with_it() -> None:
    """Whoever asks for gpu wants all that is known of GPUs."""
    rules = rule_set(GPU, SLOW, SLOW.replace("tree: latency", "tree: gpu_load").replace("latency.queueing", "gpu.power-cap"))
    assert rules.named(["gpu"]) == {"gpu", "gpu_load"}
    assert rules.named(["gpu_load", "latency"]) == {"gpu_load", "latency"}
    assert rules.named([]) == frozenset()


NODE = """
tree: gpu_node
concerns: gpu_process_info
symptom: {when: "nvml_up > 0"}
checks: [{id: up, expr: "nvml_up > 0"}]
causes: {gpu.driver-hung: {title: t, support: {up: 0.7}}}
"""


def test_what_is_wrong_with_the_host_is_the_trouble_of_those_it_concerns() -> None:
    """A driver that hangs is no stranger's trouble, but that of whoever is on a GPU."""
    mine = assess(rule_set(NODE), node(), Scope(Target("process", pid=2), (1, 2)), {})
    other = assess(rule_set(NODE), node(), Scope(Target("process", pid=3), (3,)), {})
    assert [c.id for c in mine.causes] == ["gpu.driver-hung"]
    assert ([c.id for c in other.causes], [c.id for c in other.elsewhere]) == ([], ["gpu.driver-hung"])
