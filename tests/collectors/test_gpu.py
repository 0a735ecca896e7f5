"""GPUs as series, from simulated ones: identity, load, people, MIG, garbage, and what stays of a GPU that is lost."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.collectors import gpu, gpu_health
from agent.collectors._gpu_people import People, sees_all
from agent.errors import UsageError
from agent.model import ENTITY_ENDED, Event, Sample, labels
from tests.collectors.figures import flat
from tests.fakes.gpusim import Host

pytestmark = pytest.mark.real
DOC = Path(__file__).parents[2] / "docs" / "gpu.md"
IDENTITY = ("gpu", "uuid", "pci")
UNTIL_S = 30.0
Figures = dict[tuple[str, ...], float]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Two GPUs, which the loader would find."""
    made = Host(tmp_path)
    for name, value in made.sim.environment().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def cards(host: Host) -> Iterator[gpu.Collector]:
    """The collector, with its first reading taken."""
    made = gpu.Collector(library=host.library)
    until(made, lambda found: ("gpu_utilization_ratio", "1") in found)
    yield made
    made.close()


def told(collector: gpu.Collector) -> tuple[Figures, list[Event]]:
    """One reading: values by metric, GPU and other label values of note; and the events."""
    figures: Figures = {}
    events = []
    for item in flat(collector.collect()):
        if isinstance(item, Sample):
            known = dict(item.series.labels)
            more = [known[key] for key in ("gpu", "pid", "reason", "gpu_instance") if key in known]
            figures[item.series.name, *more] = item.value
        else:
            events.append(item)
    return figures, events


def until(collector: gpu.Collector, wanted: Callable[[Figures], bool]) -> Figures:
    """Read until it is so."""
    deadline = time.monotonic() + UNTIL_S
    while not wanted(figures := told(collector)[0]):
        assert time.monotonic() < deadline, figures
        time.sleep(0.05)
    return figures


def test_series_of_one_gpu_carry_index_uuid_and_address() -> None:
    """Indexes shift and names repeat: only the three together are of use to everybody."""
    declared = (*gpu.Collector.metrics, *gpu_health.Collector.metrics)
    of_one = [m for m in declared if "uuid" in m.labels]
    assert of_one
    assert all(m.labels[:3] == IDENTITY for m in of_one)


def test_every_series_has_a_line_in_the_table_of_names() -> None:
    """Whoever comes from DCGM, nvitop or OpenTelemetry finds what they know."""
    rows = [line for line in DOC.read_text("utf-8").splitlines() if line.startswith("| `")]
    known = {fnmatch.translate(name) for row in rows for name in re.findall(r"`([a-z0-9_*]+)", row.split(" | ")[0])}
    declared = [m.name for m in (*gpu.Collector.metrics, *gpu_health.Collector.metrics)]
    assert [name for name in declared if not any(re.fullmatch(pattern, name) for pattern in known)] == []


def test_everything_brought_was_declared(cards: gpu.Collector) -> None:
    """The declaration is what rules are checked against and the page is made from."""
    declared = {m.name: set(m.labels) for m in gpu.Collector.metrics}
    for item in flat(cards.collect()):
        if isinstance(item, Sample):
            assert {name for name, _ in item.series.labels} == declared[item.series.name], item


def test_nothing_is_known_while_the_first_answer_is_awaited(host: Host) -> None:
    """That no call is late yet is not that the driver answers: no series says so."""
    host.break_("hang")
    cards = gpu.Collector(library=host.library)
    found, _ = told(cards)
    cards.close()
    assert found["nvml_calls_total",] == 0
    assert not {("nvml_up",), ("nvml_hung",)} & found.keys()


def test_figures_follow_the_gpu(host: Host, cards: gpu.Collector) -> None:
    """In base units, the one GPU's and not the other's."""
    host.put(0, utilization__gpu=87, temperature__gpu=66, power__usage=512.5)
    found, _ = told(cards)
    assert found["gpu_utilization_ratio", "0"] == pytest.approx(0.87)
    assert found["gpu_temperature_celsius", "0"] == 66
    assert found["gpu_utilization_ratio", "1"] == 0
    assert (found["nvml_up",], found["nvml_hung",], found["nvml_library_mismatch",]) == (1, 0, 0)


def test_a_lost_gpu_keeps_its_name_and_its_users_and_nothing_else(host: Host, cards: gpu.Collector) -> None:
    """Old figures must not read as healthy; who was on it is who suffers."""
    here = str(os.getpid())
    host.put(0, **{f"processes__{os.getpid()}__memory": 1 << 30})
    until(cards, lambda found: ("gpu_process_info", "0", here) in found)
    host.break_("lost", {"gpu": 0})
    found, events = told(cards)
    assert found["gpu_lost", "0"] == 1
    assert found["gpu_info", "0"] == 1
    assert found["gpu_process_info", "0", here] == 1
    assert not {("gpu_utilization_ratio", "0"), ("gpu_process_memory_bytes", "0", here)} & found.keys()
    assert found["gpu_utilization_ratio", "1"] == 0
    assert events == []


def test_a_process_on_a_gpu_is_joined_to_who_it_is(host: Host, cards: gpu.Collector) -> None:
    """Memory and program in one series set; it ends when the process leaves the GPU, although it lives on."""
    host.put(1, **{f"processes__{os.getpid()}__memory": 3 << 30})
    found = until(cards, lambda found: ("gpu_process_memory_bytes", "1", str(os.getpid())) in found)
    assert found["gpu_process_memory_bytes", "1", str(os.getpid())] == 3 << 30
    assert found["gpu_process_alive", "1", str(os.getpid())] == 1
    [info] = [i.series for i in cards.collect() if isinstance(i, Sample) and i.series.name == "gpu_process_info"]
    assert dict(info.labels)["comm"] == Path("/proc/self/comm").read_text().strip()
    host.put(1, **{f"processes__{os.getpid()}": None})
    _, events = told(cards)
    assert [(e.kind, dict(e.labels)["pid"], dict(e.labels)["gpu"]) for e in events] == [(ENTITY_ENDED, str(os.getpid()), "1")]


def test_memory_held_by_a_dead_process_shows(host: Host, cards: gpu.Collector) -> None:
    """A zombie that nobody waits for still holds what it had; so does a pid that is gone."""
    zombie = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        host.put(0, **{f"processes__{zombie.pid}__memory": 1 << 30})
        found = until(cards, lambda found: ("gpu_process_alive", "0", str(zombie.pid)) in found)
        assert found["gpu_process_alive", "0", str(zombie.pid)] == 0
    finally:
        zombie.wait()
    assert told(cards)[0]["gpu_process_alive", "0", str(zombie.pid)] == 0


def test_mig_instances_come_and_go(host: Host, cards: gpu.Collector) -> None:
    """Memory of each under its own name; one that was destroyed ends."""
    health = gpu_health.Collector(library=host.library)
    try:
        host.cut(0, [3, 4])
        list(health.collect())
        found = until(cards, lambda found: any(key[0] == "gpu_instance_memory_total_bytes" for key in found))
        sizes = [value for key, value in found.items() if key[0] == "gpu_instance_memory_total_bytes"]
        assert len(sizes) == 2
        assert found["gpu_memory_total_bytes", "0"] >= max(sizes)
        assert ("gpu_utilization_ratio", "0") not in found
        host.cut(0, [])
        list(health.collect())
        figures, events = told(cards)
        assert not [key for key in figures if key[0].startswith("gpu_instance")]
        assert [e.kind for e in events] == [ENTITY_ENDED] * 2
        assert all("gpu_instance" in dict(e.labels) for e in events)
    finally:
        health.close()


def test_in_a_container_a_pid_that_cannot_be_seen_is_not_called_dead(tmp_path: Path) -> None:
    """The real driver names pids of the host; a simulated one names ours."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to("pid:[4026532999]")
    assert sees_all(str(tmp_path))
    (tmp_path / "driver" / "nvidia").mkdir(parents=True)
    (tmp_path / "driver" / "nvidia" / "version").touch()
    assert not sees_all(str(tmp_path))
    own = labels(gpu="0", uuid="GPU-a", pci="0000:18:00.0")
    names = {i.series.name for i in People(own, str(tmp_path)).read({"procs": [[77, 5, 67]]}, 0.0) if isinstance(i, Sample)}
    assert "gpu_process_alive" not in names
    assert "gpu_process_memory_bytes" in names


def test_memory_of_one_process_in_several_instances_adds_up() -> None:
    """NVML lists it once for each; a size it cannot tell is unknown, not zero."""
    own = labels(gpu="0", uuid="GPU-a", pci="0000:18:00.0")
    read = People(own).read({"procs": [[os.getpid(), 5, 67], [os.getpid(), 7, 67], [1, None, 67], [0, 9, 67]]}, 0.0)
    found = {(i.series.name, dict(i.series.labels).get("pid")): i.value for i in read if isinstance(i, Sample)}
    assert found["gpu_process_memory_bytes", str(os.getpid())] == 12
    assert ("gpu_process_memory_bytes", "1") not in found
    assert found["gpu_processes", None] == 2


def test_no_utilisation_sample_is_none_until_there_was_one() -> None:
    """The driver lists only those that were busy; before the first sample it knows nothing."""
    people = People(labels(gpu="0", uuid="GPU-a", pci="0000:18:00.0"))

    def busy(putil: list[list[int]]) -> list[float]:
        read = people.read({"procs": [[os.getpid(), 5, 67]], "putil": putil}, 0.0)
        return [i.value for i in read if isinstance(i, Sample) and i.series.name == "gpu_process_utilization_ratio"]

    assert [busy([]), busy([[os.getpid(), 50]]), busy([])] == [[], [0.5], [0.0]]


def test_garbage_is_dropped(host: Host, cards: gpu.Collector) -> None:
    """All bits set is what a driver writes where it has nothing; names may hold anything."""
    host.break_("garbage", {"gpu": 0})
    for item in flat(cards.collect()):
        if isinstance(item, Sample):
            assert 0 <= item.value < 2**62, item
            assert all(value.isprintable() for _, value in item.series.labels)


def test_under_a_diagnosis_it_is_read_every_second(host: Host) -> None:
    """As long as anybody asks."""
    collector = gpu.Collector(interval=5.0, library=host.library)
    collector.hurry(True, "a")
    collector.hurry(True, "b")
    collector.hurry(False, "a")
    assert collector.interval == 1.0
    collector.hurry(False, "b")
    assert collector.interval == 5.0


def test_a_gpu_is_found_by_index_uuid_and_address(host: Host, cards: gpu.Collector) -> None:
    """In the ways people write them."""
    uuid, pci = host.uuid(1), host.sim.read()["gpus"][1]["pci"]
    for said in ("1", uuid, uuid.lower(), uuid[:12], pci, f"0000{pci.upper()}"):
        target = cards.find(said)
        assert (target.kind, target.name, target.uuid) == ("gpu", "GPU 1", uuid), said


@pytest.mark.parametrize("said", ["7", "GPU-", "nonsense", "", "0000:ff:00.0"])
def test_a_gpu_that_is_not_there_is_an_error_that_names_those_that_are(cards: gpu.Collector, said: str) -> None:
    """With their indexes and UUIDs."""
    with pytest.raises(UsageError, match="there are: 0 "):
        cards.find(said)


def test_status_tells_how_nvml_and_each_gpu_are(host: Host, cards: gpu.Collector) -> None:
    """One entry a GPU."""
    host.break_("lost", {"gpu": 1})
    told(cards)
    report = cards.report()
    assert (report["status"], report["driver"]) == ("up", host.sim.read()["driver"]["version"])
    assert [(g["gpu"], g["state"]) for g in report["gpus"]] == [("0", "ok"), ("1", "lost")]
