"""NVML through a process of its own, against simulated GPUs: hangs, losses, crashes, new libraries, and a quiet goodbye."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import Unavailable
from agent.host.nvml import Nvml
from agent.host.nvml_gpu import Reading
from tests.fakes.gpusim import Host

pytestmark = pytest.mark.real
CALL_S = 0.3
UNTIL_S = 30.0


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Two healthy GPUs."""
    return Host(tmp_path)


@pytest.fixture
def nvml(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nvml]:
    """The door to them, with short deadlines and pauses."""
    monkeypatch.setattr("agent.host.nvml_gpu.FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr("agent.host.nvml_driver.LOOK_EVERY_S", 0.0)
    made = Nvml(host.library, call_s=CALL_S, env=host.env).used()
    yield made
    host.mend()
    made.close()


def read_until(nvml: Nvml, wanted: Callable[[Reading], bool], tier: str = "fast") -> Reading:
    """Read again and again until a reading is as wanted."""
    deadline = time.monotonic() + UNTIL_S
    while not wanted(reading := nvml.read(tier)):
        assert time.monotonic() < deadline, reading
        time.sleep(0.05)
    return reading


def answering(reading: Reading) -> list[int]:
    """Which GPUs brought values."""
    return [gpu.index for gpu in reading.gpus if gpu.values is not None]


def both(reading: Reading) -> bool:
    """Both GPUs answer."""
    return answering(reading) == [0, 1]


def test_every_gpu_tells_who_it_is_and_how_it_does(host: Host, nvml: Nvml) -> None:
    """Facts are read once, values with every reading; the tiers bring different ones."""
    reading = read_until(nvml, both)
    assert (reading.up, reading.hung, reading.mismatch) == (True, False, False)
    assert [gpu.uuid for gpu in reading.gpus] == [host.uuid(0), host.uuid(1)]
    assert reading.gpus[0].facts["name"] == "NVIDIA H200"
    assert (reading.gpus[0].values or {})["total"] > 100 << 30
    assert (nvml.read("health").gpus[0].values or {})["ecc_mode"] == 1


def test_where_there_is_no_library_no_process_is_started(tmp_path: Path) -> None:
    """A host without GPUs pays nothing."""
    with pytest.raises(Unavailable, match="not installed"):
        Nvml(str(tmp_path)).read("fast")


def test_a_driver_that_is_not_loaded_is_no_fault_where_none_was_ever_seen(host: Host, nvml: Nvml) -> None:
    """A library without a driver is what container images have; once it is loaded it is noticed."""
    host.break_("unload")
    with pytest.raises(Unavailable, match="not loaded"):
        read_until(nvml, both)
    host.mend()
    assert read_until(nvml, both).up


def test_a_call_that_hangs_costs_its_gpu_and_not_the_other(host: Host, nvml: Nvml) -> None:
    """The GPU is named, the other goes on, and no reading takes much longer than the deadline."""
    read_until(nvml, both)
    host.break_("hang", {"gpu": 1})
    hung = read_until(nvml, lambda reading: reading.hung)
    assert [gpu.index for gpu in hung.gpus if gpu.hung] == [1]
    assert read_until(nvml, lambda reading: answering(reading) == [0]).hung
    assert nvml.counters.timeouts >= 1


def test_a_gpu_that_answers_again_is_taken_back(host: Host, nvml: Nvml) -> None:
    """A scout finds out; nobody else is put at risk."""
    read_until(nvml, both)
    host.break_("hang", {"gpu": 0})
    read_until(nvml, lambda reading: answering(reading) == [1])
    host.mend()
    assert not read_until(nvml, both).hung


def test_when_all_calls_hang_the_driver_is_said_to(host: Host, nvml: Nvml) -> None:
    """What was known stays, with its age; recovery is noticed."""
    read_until(nvml, both)
    host.break_("hang", {"call": "DeviceGetCount_v2"})
    hung = read_until(nvml, lambda reading: reading.status == "hung")
    assert (hung.up, hung.hung) == (False, True)
    assert all(gpu.answered and gpu.facts for gpu in hung.gpus)
    host.mend()
    assert read_until(nvml, both).up


def test_a_driver_that_hangs_from_the_start_is_noticed(host: Host) -> None:
    """nvmlInit has a deadline of its own; there is nothing known yet to tell."""
    host.break_("hang", {"call": "InitWithFlags"})
    nvml = Nvml(host.library, call_s=CALL_S, open_s=CALL_S, env=host.env).used()
    try:
        assert read_until(nvml, lambda reading: reading.hung).gpus == ()
    finally:
        host.mend()
        nvml.close()


def test_slow_calls_that_each_keep_their_deadline_do_not_add_up(host: Host, nvml: Nvml) -> None:
    """A reading as a whole is bounded too."""
    read_until(nvml, both)
    host.break_("slow", {"seconds": f"{CALL_S * 0.6:.2f}s", "gpu": 1})
    assert read_until(nvml, lambda reading: answering(reading) == [0]).hung


def test_a_lost_gpu_takes_no_other_with_it(host: Host, nvml: Nvml) -> None:
    """Its identity and last answer stay."""
    read_until(nvml, both)
    host.break_("lost", {"gpu": 0})
    reading = read_until(nvml, lambda reading: answering(reading) == [1])
    assert [(gpu.lost, gpu.uuid == host.uuid(n), bool(gpu.pci)) for n, gpu in enumerate(reading.gpus)] == [
        (True, True, True),
        (False, True, True),
    ]
    assert not reading.hung


def test_indexes_that_shift_take_no_identity_with_them(host: Host, nvml: Nvml) -> None:
    """What NVML now calls GPU 0 is the one that was GPU 1, and stays GPU 1 here."""
    host.put(1, temperature__gpu=77)
    read_until(nvml, both)
    host.break_("vanish", {"gpu": 0})
    reading = read_until(nvml, lambda reading: answering(reading) == [1])
    gone, there = reading.gpus
    assert (gone.lost, gone.listed, gone.uuid) == (True, False, host.uuid(0))
    assert (there.index, there.uuid, (there.values or {})["temp"]) == (1, host.uuid(1), 77)
    host.mend()
    assert [gpu.uuid for gpu in read_until(nvml, both).gpus] == [host.uuid(0), host.uuid(1)]


def test_a_gpu_lost_before_the_start_does_not_hide_the_others(host: Host, nvml: Nvml) -> None:
    """NVML does not tell its name; the driver's files do."""
    host.break_("lost", {"gpu": 0})
    reading = read_until(nvml, lambda reading: bool(answering(reading)))
    assert [gpu.uuid for gpu in reading.gpus if gpu.values is not None] == [host.uuid(1)]
    [lost] = [gpu for gpu in reading.gpus if gpu.lost]
    assert (lost.index, lost.uuid, lost.facts["name"]) == (0, host.uuid(0), "NVIDIA H200")
    host.mend()
    found = read_until(nvml, lambda reading: len(answering(reading)) == 2, "health").gpus
    assert sorted(gpu.uuid for gpu in found) == sorted([host.uuid(0), host.uuid(1)])


def test_a_process_that_is_killed_is_started_again(host: Host, nvml: Nvml) -> None:
    """Whoever kills it; the count of restarts tells."""
    read_until(nvml, both)
    child = nvml._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    read_until(nvml, lambda reading: both(reading) and nvml.counters.respawns > 0)


def test_a_library_that_does_not_fit_the_driver_is_reported_while_the_old_process_serves_on(host: Host, nvml: Nvml) -> None:
    """A package upgrade without a reload: programs started now fail, those that run do not."""
    read_until(nvml, both)
    host.break_("mismatch")
    reading = nvml.read("fast")
    assert (both(reading), reading.mismatch, nvml.version) == (True, True, "590.44.01")


def test_a_library_that_does_not_fit_at_the_start_is_reported(host: Host, nvml: Nvml) -> None:
    """nvmlInit answers 18."""
    host.break_("mismatch")
    reading = read_until(nvml, lambda reading: reading.up is False)
    assert reading.mismatch
    host.mend()
    assert not read_until(nvml, both).mismatch


def test_a_new_driver_is_taken_over_by_a_fresh_process(host: Host, nvml: Nvml) -> None:
    """The old one has a library mapped that fits no more."""
    read_until(nvml, both)
    host.break_("upgrade")
    reading = read_until(nvml, lambda reading: both(reading) and reading.driver == "590.44.01")
    assert not reading.mismatch


def test_nvml_is_let_go_for_a_reset_and_taken_up_again(host: Host, nvml: Nvml) -> None:
    """While it is released no process of ours has it open, and nothing is said about it."""
    read_until(nvml, both)
    assert nvml.release()
    assert (nvml.read("fast").up, nvml.read("fast").status, nvml._child) == (None, "released", None)
    nvml.resume()
    assert read_until(nvml, both).up


def test_what_a_gpu_does_not_support_is_asked_once(host: Host, nvml: Nvml) -> None:
    """Failed calls cost as much as others: an exporter burnt ten cores on them."""
    host.break_("unsupported", {"gpu": "all", "call": "DeviceGetUtilizationRates"})
    read_until(nvml, both)
    before = nvml.counters.calls
    nvml.read("fast")
    one = nvml.counters.calls - before
    host.mend()
    assert (nvml.read("fast").gpus[0].values or {})["util"] is None
    assert nvml.counters.calls - before == 2 * one


def test_a_reading_costs_few_calls_and_none_that_sleeps(host: Host, nvml: Nvml) -> None:
    """NVML is opened once and handles are kept; the call for PCIe throughput sleeps 20 ms a direction and is not made."""
    read_until(nvml, both)
    nvml.read("health")
    before = host.calls()
    for _ in range(5):
        nvml.read("fast")
    made = {name: n - before.get(name, 0) for name, n in host.calls().items() if n > before.get(name, 0)}
    assert sum(host.calls().get(name, 0) for name in ("nvmlInitWithFlags", "nvmlInit_v2")) == 1
    assert made["nvmlDeviceGetFieldValues"] == 5 * 2
    assert not {"nvmlDeviceGetPcieThroughput", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName"} & made.keys()
    assert sum(made.values()) <= 5 * 2 * 22


def test_mig_instances_have_memory_of_their_own_and_the_gpu_no_utilisation(host: Host, nvml: Nvml) -> None:
    """Instances that are made while the agent runs are found; what the mode forbids is not asked again and again."""
    read_until(nvml, both)
    host.cut(0, [3, 3])
    nvml.read("health")
    values = nvml.read("fast").gpus[0].values or {}
    assert values["util"] is None
    assert [(one["gi"] is not None, one["total"] > 0, bool(one["uuid"])) for one in values["mig"]] == [(True, True, True)] * 2
    before = host.calls()
    nvml.read("fast")
    again = {name: n - before.get(name, 0) for name, n in host.calls().items()}
    assert again["nvmlDeviceGetUtilizationRates"] == 1  # of the other GPU
    host.cut(0, [])
    nvml.read("health")
    values = nvml.read("fast").gpus[0].values or {}
    assert (values["util"], "mig" in values) == (0, False)


def test_the_fabric_is_asked_in_the_form_the_driver_knows(host: Host, nvml: Nvml) -> None:
    """The versioned struct came with driver 550; without it the plain one is tried, once."""
    read_until(nvml, both)
    assert (nvml.read("health").gpus[0].values or {})["fabric"] == [3, 0]
    host.break_("unsupported", {"gpu": "all", "call": "DeviceGetGpuFabricInfoV"})
    nvml.release()
    nvml.resume()
    assert (read_until(nvml, both, "health").gpus[0].values or {})["fabric"] == [3, 0]
    assert "fabric" in (nvml.read("health").gpus[0].values or {})


def test_no_samples_yet_is_no_error_and_is_asked_again(host: Host, nvml: Nvml) -> None:
    """NOT_FOUND is what the driver says before the first sample."""
    host.break_("no-samples")
    assert (read_until(nvml, both).gpus[0].values or {})["putil"] == []
    assert nvml.read("fast").up


def test_the_goodbye_does_not_wait_for_a_process_that_hangs(host: Host, nvml: Nvml) -> None:
    """It is killed, and no trace is left."""
    read_until(nvml, both)
    host.break_("hang")
    read_until(nvml, lambda reading: reading.hung)
    assert nvml.release()


def test_versions_that_the_driver_does_not_know_give_way_to_older_ones(host: Host, nvml: Nvml) -> None:
    """An old driver has no second version of the memory call; which one works is remembered."""
    for call in ("DeviceGetMemoryInfo_v2", "DeviceGetTemperatureV", "DeviceGetCurrentClocksEventReasons"):
        host.break_("unsupported", {"gpu": "all", "call": call})
    values = read_until(nvml, both).gpus[0].values or {}
    assert values["total"] > 0
    assert values["reserved"] is None
    assert values["temp"] > 0
    assert values["reasons"] is not None
