"""Waiting for events as the kernel's Xid messages come: through event sets."""

from __future__ import annotations

import time

from agent.sim.gpu import GpuSim
from tests.fakes.nvmlclient import NvmlClient

LOST, TIMEOUT = 15, 10
LISTEN = "kept.update(set=N.nvmlEventSetCreate()), [N.nvmlDeviceRegisterEvents(h(i), {types}, kept['set']) for i in {gpus}]"
WAIT = "(lambda e: (e.eventType, e.eventData, N.nvmlDeviceGetIndex(e.device)))(N.nvmlEventSetWait_v2(kept['set'], {}))"


def test_an_event_wakes_whoever_waits(sim: GpuSim, nvml: NvmlClient) -> None:
    """With its GPU, number and type; what happened before is not told."""
    sim.fault("xid", gpu=1, xid=31)
    nvml(LISTEN.format(types="N.nvmlEventTypeXidCriticalError", gpus="range(8)"))
    nvml.ask(WAIT.format(5000))
    assert not nvml.answered(0.1)
    sim.fault("xid", gpu=2, xid=79)
    assert nvml.answered(4)
    assert nvml.answer() == [8, 79, 2]


def test_events_come_in_order_and_each_once(sim: GpuSim, nvml: NvmlClient) -> None:
    """The older function delivers them as well."""
    nvml(LISTEN.format(types=0xFFFF, gpus="range(8)"))
    sim.fault("xid", gpu=0, xid=48)
    sim.fault("event", gpu=0, type="double-bit-ecc", data=5)
    sim.fault("xid", gpu=3, xid=94, gpu_instance=1, compute_instance=0)
    assert [nvml(WAIT.format(0)) for _ in range(2)] == [[8, 48, 0], [2, 5, 0]]
    old = "filled(lambda s, e: N.nvmlLib.nvmlEventSetWait(s, e, 0), N.c_nvmlEventData_t, kept['set'])"
    assert nvml(f"(lambda e: (e.eventData, e.gpuInstanceId, e.computeInstanceId))({old})") == [94, 1, 0]
    assert nvml.error(WAIT.format(0)) == TIMEOUT
    nvml("N.nvmlEventSetFree(kept.pop('set'))")


def test_only_what_was_registered_for_is_told(sim: GpuSim, nvml: NvmlClient) -> None:
    """Neither other GPUs nor other types."""
    nvml(LISTEN.format(types=2, gpus="[4]"))
    sim.fault("xid", gpu=4, xid=13)
    sim.fault("event", gpu=5, type="double-bit-ecc")
    began = time.monotonic()
    assert nvml.error(WAIT.format(150)) == TIMEOUT
    assert time.monotonic() - began >= 0.15


def test_waiting_on_a_lost_gpu_ends_after_its_last_event(sim: GpuSim, nvml: NvmlClient) -> None:
    """At once, not at the timeout."""
    nvml(LISTEN.format(types=8, gpus="[6]"))
    sim.fault("xid", gpu=6, xid=79)
    sim.fault("lost", gpu=6)
    assert nvml(WAIT.format(5000).replace("N.nvmlDeviceGetIndex(e.device)", "0")) == [8, 79, 0]
    began = time.monotonic()
    assert nvml.error(WAIT.format(5000)) == LOST
    assert time.monotonic() - began < 4


def test_other_threads_go_on_while_one_waits(nvml: NvmlClient) -> None:
    """The wait keeps nobody out."""
    nvml(LISTEN.format(types=8, gpus="[0]"))
    nvml("kept.update(t=__import__('threading').Thread(target=lambda: raw('nvmlEventSetWait_v2', kept['set'], "
         "ctypes.byref(N.c_nvmlEventData_t()), 8000), daemon=True)), kept['t'].start()")  # fmt: skip
    began = time.monotonic()
    for _ in range(20):
        nvml("N.nvmlDeviceGetPowerUsage(h(0))")
    assert time.monotonic() - began < 7
