"""Lists that NVML fills, in the process that calls it: as many entries as there was room for, whatever count it tells.

nvidia-ml-py asks for the count first and makes as many entries; a driver that answers nonsense there would cost all memory. Giving
room at once also takes one call where that takes two. Only the process that calls NVML imports this module.
"""

from __future__ import annotations

from ctypes import byref, c_uint, c_ulonglong

import pynvml

from agent.host.nvml_wire import INSUFFICIENT_SIZE

TYPE_CHECKING = False  # typing brings a MiB of modules
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROOM = 64
MOST = 4096
"""A GPU with MPS serves 48 clients; thousands of processes on one are nonsense."""


def processes(name: str, entry: Any) -> Callable[[Any], list[Any]]:
    """``nvmlDeviceGetComputeRunningProcesses`` and its like: what is on a GPU or an instance."""

    def ask(handle: Any) -> list[Any]:
        function = pynvml._nvmlGetFunctionPointer(name)
        return _filled(entry, lambda count, found: function(handle, count, found))

    return ask


def loads(handle: Any, since: int) -> list[Any]:
    """``nvmlDeviceGetProcessUtilization``: samples of each process since a moment (µs)."""
    function, moment = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetProcessUtilization"), c_ulonglong(since)
    return _filled(pynvml.c_nvmlProcessUtilizationSample_t, lambda count, found: function(handle, found, count, moment))


def _filled(entry: Any, call: Callable[[Any, Any], int]) -> list[Any]:
    """What the call has written; entries without a pid were not."""
    room = ROOM
    while True:
        count, found = c_uint(room), (entry * room)()
        code = call(byref(count), found)
        if code != INSUFFICIENT_SIZE or room >= MOST:
            break
        room = min(8 * room, MOST)
    if code:
        raise pynvml.NVMLError(code)
    return [one for one in found[: min(count.value, room)] if one.pid]


LISTS: dict[str, Callable[..., list[Any]]] = {
    f"nvmlDeviceGet{kind}RunningProcesses_v{version}": processes(
        f"nvmlDeviceGet{kind}RunningProcesses_v{version}", getattr(pynvml, f"c_nvmlProcessInfo_v{version}_t")
    )
    for kind in ("Compute", "MPSCompute", "Graphics")
    for version in (2, 3)
} | {"nvmlDeviceGetProcessUtilization": loads}
"""Stand in for nvidia-ml-py's functions of the same name."""
