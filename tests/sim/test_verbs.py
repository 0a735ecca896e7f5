"""Every fault verb, as clients of nvidia-ml-py see it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from agent.errors import UsageError
from agent.sim.gpu import GpuSim
from agent.sim.verbs import NOT_AVAILABLE, VERBS, inject
from tests.fakes.nvmlclient import NvmlClient

Start = Callable[..., NvmlClient]
POWER = "N.nvmlDeviceGetPowerUsage(h({}))"
NOT_SUPPORTED, NOT_FOUND, NOT_LOADED, TIMEOUT, LOST, RESET, MISMATCH = 3, 6, 9, 10, 15, 16, 18


def test_the_next_call_hangs_for_so_long(sim: GpuSim, nvml: NvmlClient) -> None:
    """Only one; then all is as before."""
    (fault,) = sim.fault("hang", seconds="300ms", call="DeviceGetPowerUsage")
    began = time.monotonic()
    assert nvml(POWER.format(0)) == 76000
    assert time.monotonic() - began >= 0.3
    assert nvml(POWER.format(0)) == 76000
    assert sim.hits(fault) == 2


def test_a_hang_for_ever_ends_when_it_is_cleared(sim: GpuSim, nvml: NvmlClient) -> None:
    """On one GPU: the others answer meanwhile, also to the same process after it."""
    sim.fault("hang", gpu=1)
    nvml.ask(POWER.format(1))
    assert not nvml.answered(0.2)
    sim.clear()
    assert nvml.answered(5)
    assert nvml.answer() == 76000
    assert nvml(POWER.format(1)) == 76000


def test_a_hanging_client_can_be_killed_and_another_hangs_as_well(sim: GpuSim, another: Start) -> None:
    """A hung driver hangs whoever comes, from the first call on."""
    first = another()
    sim.fault("hang")
    first.ask(POWER.format(0))
    assert not first.answered(0.1)
    first.close()
    second = another(init=False)
    second.ask("N.nvmlInit()")
    assert not second.answered(0.3)
    sim.clear()
    assert second.answered(5)


def test_a_stalled_driver_goes_on_by_itself(sim: GpuSim, nvml: NvmlClient) -> None:
    """Whatever was called meanwhile returns then."""
    sim.fault("stall", seconds=0.4)
    assert nvml(POWER.format(0)) == 76000
    assert time.time() >= sim.read()["faults"][0]["until"]
    assert nvml(POWER.format(1)) == 76000


def test_slow_calls_take_longer_and_may_fail_then(sim: GpuSim, nvml: NvmlClient) -> None:
    """Here a tenth of a second; as long as a GSP timeout (6 s) by default."""
    sim.fault("slow", seconds=0.1, call="DeviceGet*Power*", error="TIMEOUT", gpu=2)
    began = time.monotonic()
    assert nvml.error(POWER.format(2)) == TIMEOUT
    assert time.monotonic() - began >= 0.1
    assert nvml.error(POWER.format(1)) == 0
    sim.clear()
    sim.fault("slow")
    assert sim.read()["faults"][0]["delay"] == 6


def test_a_lost_gpu_fails_every_call_and_the_others_none(sim: GpuSim, nvml: NvmlClient) -> None:
    """Its index stays; new handles are refused as well."""
    nvml("kept.update(held=h(2))")
    sim.fault("lost", gpu=2)
    calls = (POWER.format("2").replace("h(2)", "kept['held']"), "h(2)", "N.nvmlDeviceGetUUID(kept['held'])", "fields(2, 82)")
    assert [nvml.error(call) for call in calls] == [LOST] * 4
    assert nvml("N.nvmlDeviceGetCount()") == 8
    assert nvml(POWER.format(3)) == 76000


def test_a_gpu_that_needs_a_reset_says_so(sim: GpuSim, nvml: NvmlClient) -> None:
    """Its handle can still be had."""
    sim.fault("reset-required", gpu=0)
    assert nvml.error(POWER.format(0)) == RESET
    assert nvml.error("h(0)") == 0


def test_indexes_move_when_a_gpu_vanishes_and_handles_keep_their_gpu(sim: GpuSim, nvml: NvmlClient) -> None:
    """What was GPU 3 is GPU 2 then; its old handle still means it."""
    uuids = nvml("[N.nvmlDeviceGetUUID(h(i)) for i in range(8)]")
    nvml("kept.update(second=h(2), third=h(3))")
    sim.fault("vanish", gpu=2)
    assert nvml("N.nvmlDeviceGetCount()") == 7
    assert nvml("N.nvmlDeviceGetUUID(h(2))") == uuids[3]
    assert nvml("N.nvmlDeviceGetUUID(kept['third'])") == uuids[3]
    assert nvml("N.nvmlDeviceGetIndex(kept['third'])") == 2
    assert nvml.error("N.nvmlDeviceGetUUID(kept['second'])") == LOST
    assert nvml.error(f"by_uuid('{uuids[2]}')") == NOT_FOUND
    assert not (sim.proc / "driver/nvidia/gpus" / sim.read()["gpus"][2]["pci"]).exists()
    sim.clear()
    assert nvml("N.nvmlDeviceGetUUID(h(2))") == uuids[2]


def test_single_calls_and_fields_are_not_supported(sim: GpuSim, nvml: NvmlClient) -> None:
    """On one GPU or all; without its version a name stands for every version."""
    sim.fault("unsupported", call="GetMemoryInfo", gpu=0)
    sim.fault("unsupported", call="field:82")
    assert nvml.error("N.nvmlDeviceGetMemoryInfo(h(0))") == NOT_SUPPORTED
    assert nvml.error("N.nvmlDeviceGetMemoryInfo(h(0), version=N.nvmlMemory_v2)") == NOT_SUPPORTED
    assert nvml.error("N.nvmlDeviceGetMemoryInfo(h(1))") == 0
    assert nvml("fields(1, 82, 94)") == {"82": -NOT_SUPPORTED, "94": 0}


def test_utilisation_without_samples_is_not_found(sim: GpuSim, nvml: NvmlClient) -> None:
    """Not an error: there is nothing yet."""
    sim.set(0, {"processes.5.sm": 40})
    assert len(nvml("N.nvmlDeviceGetProcessUtilization(h(0), 0)")) == 1
    assert nvml.error("N.nvmlDeviceGetProcessUtilization(h(0), 2**63)") == NOT_FOUND
    sim.fault("no-samples", gpu=0)
    assert nvml.error("N.nvmlDeviceGetProcessUtilization(h(0), 0)") == NOT_FOUND
    assert nvml.error("N.nvmlDeviceGetSamples(h(0), 1, 0)") == NOT_FOUND
    assert nvml.error("N.nvmlDeviceGetUtilizationRates(h(0))") == 0


def test_errors_come_as_often_and_as_late_as_asked(sim: GpuSim, nvml: NvmlClient) -> None:
    """Two times, after one that is good."""
    sim.fault("error", error="UNKNOWN", call="DeviceGetPowerUsage", count=2, after=1)
    assert [nvml.error(POWER.format(0)) for _ in range(5)] == [0, 999, 999, 0, 0]


def test_garbage_is_what_broken_drivers_leave(sim: GpuSim, nvml: NvmlClient) -> None:
    """All ones by default; a name with escapes that is no UTF-8."""
    sim.fault("garbage")
    assert nvml(POWER.format(0)) == 2**32 - 1
    assert nvml("fields(0, 197)") == {"197": NOT_AVAILABLE}
    assert nvml("N.nvmlDeviceGetTotalEccErrors(h(0), 0, 0)") == NOT_AVAILABLE
    with pytest.raises(AssertionError, match="UnicodeDecodeError"):
        nvml("N.nvmlDeviceGetName(h(0))")
    sim.clear()
    sim.fault("garbage", value=9223372036854775794, call="DeviceGetTotalEnergyConsumption")
    assert nvml("N.nvmlDeviceGetTotalEnergyConsumption(h(0))") == pytest.approx(9.22e18, rel=0.01)
    assert nvml(POWER.format(0)) == 76000


def test_a_newer_library_than_the_driver_turns_new_clients_away(sim: GpuSim, nvml: NvmlClient, another: Start) -> None:
    """Those that run have the old one mapped and go on."""
    sim.fault("mismatch")
    assert another(init=False).error("N.nvmlInit()") == MISMATCH
    assert nvml(POWER.format(0)) == 76000
    assert "580.95.05" in (sim.proc / "driver/nvidia/version").read_text()
    assert os.readlink(sim.library / "libnvidia-ml.so.1") == "libnvidia-ml.so.590.44.01"
    sim.clear()
    assert another(init=False).error("N.nvmlInit()") == 0


def test_a_driver_replaced_under_a_client_needs_a_new_process(sim: GpuSim, another: Start) -> None:
    """What it has mapped no longer fits, whatever it tries; its maps name the old version."""
    old = another()
    sim.fault("upgrade", version="590.44.01")
    assert old.error(POWER.format(0)) == MISMATCH
    assert old.error("raw('nvmlShutdown')") == 0
    assert old.error("N.nvmlInit()") == MISMATCH
    with open(f"/proc/{old.pid}/maps") as maps:
        assert "libnvidia-ml.so.580.95.05" in maps.read()
    new = another()
    assert new("N.nvmlSystemGetDriverVersion()") == "590.44.01"
    assert new(POWER.format(0)) == 76000


def test_without_a_driver_there_is_nothing_to_start(sim: GpuSim, another: Start) -> None:
    """The proc folder is gone as well."""
    sim.fault("unload")
    assert another(init=False).error("N.nvmlInit()") == NOT_LOADED
    assert not (sim.proc / "driver/nvidia").exists()


def test_before_init_and_after_shutdown_nothing_works(another: Start) -> None:
    """UNINITIALIZED; each init needs a shutdown of its own."""
    client = another(init=False)
    client("N._LoadNvmlLibrary()")
    assert client.error("N.nvmlDeviceGetCount()") == 1
    client("N.nvmlInit(), N.nvmlInit(), N.nvmlShutdown()")
    assert client("N.nvmlDeviceGetCount()") == 8
    client("kept.update(device=h(0)), N.nvmlShutdown()")
    assert client.error("N.nvmlDeviceGetName(kept['device'])") == 1
    assert client.error("N.nvmlShutdown()") == 1


def test_single_faults_can_be_taken_back(sim: GpuSim, nvml: NvmlClient) -> None:
    """By their ids; the others stay. What was counted for them is forgotten."""
    (one,) = sim.fault("error", error="UNKNOWN", gpu=0)
    (two,) = sim.fault("error", error="TIMEOUT", gpu=1)
    assert (nvml.error(POWER.format(0)), nvml.error(POWER.format(1))) == (999, TIMEOUT)
    sim.clear(one)
    assert (nvml.error(POWER.format(0)), nvml.error(POWER.format(1))) == (0, TIMEOUT)
    assert sim.hits(one) == 0
    assert sim.hits(two) >= 2


@pytest.mark.parametrize(
    ("verb", "said", "says"),
    [
        ("lots", {}, "no fault 'lots'; did you mean 'lost'"),
        ("lost", {"call": "x"}, "'lost' takes no 'call'"),
        ("lost", {"gpu": 9}, "no GPU '9'"),
        ("error", {}, "which error"),
        ("unsupported", {}, "which call"),
        ("hang", {"seconds": "soon"}, "soon"),
        ("event", {"type": "party"}, "no event 'party'"),
    ],
)
def test_wrong_verbs_and_arguments_are_told(sim: GpuSim, verb: str, said: dict[str, object], says: str) -> None:
    """With what there is instead; the state stays as it was."""
    before = sim.read()
    with pytest.raises(UsageError, match=says):
        sim.fault(verb, **said)
    assert sim.read() == before


def test_every_verb_is_tried_here() -> None:
    """Or, those of events, beside."""
    with open(__file__) as file:
        text = file.read()
    assert [verb for verb in VERBS if f'"{verb}"' not in text and verb not in ("xid", "event")] == []


def test_the_main_argument_may_stand_alone(sim: GpuSim) -> None:
    """GPU 1 is not taken for a bare yes, which means GPU 0."""
    for said, lost in ((1, 1), ("2", 2), ({"gpu": 3}, 3), (None, 0), (True, 0)):
        sim.clear()
        with sim.change() as state:
            inject(state, "lost", said)
        assert [gpu["condition"] for gpu in sim.read()["gpus"]].index("lost") == lost
