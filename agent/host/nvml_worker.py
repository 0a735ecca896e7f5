"""The process that calls NVML, and nothing else: it may hang in the driver, be killed, and be started anew.

One JSON line in, one out. It ends when its socket closes, when the agent dies, or when NVML is gone from under it; an alarm ends it
if a call keeps it while nobody is left. It imports little: its memory counts as the agent's.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from types import ModuleType
from typing import Any

from agent.host.nvml_wire import Beacon

PR_SET_PDEATHSIG = 1
ALARM_S = 120
"""A request that takes so long is nobody's any more: the agent gave up long before. Ends the process also where Python cannot."""


def main(options: dict[str, Any]) -> None:
    """Serve the socket ``options["fd"]`` until it closes."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if os.getppid() != options["parent"]:
        return
    if options["library"]:
        # Its soname is what pynvml asks for: the loader then hands out this one.
        ctypes.CDLL(options["library"], mode=ctypes.RTLD_GLOBAL)
    # pynvml imports this for a function it does not use here; the real one brings 25 modules, 1.5 MiB.
    sys.modules["ctypes.util"] = _no_finder()
    from agent.host.nvml_desk import Desk  # after the library: pynvml comes with it

    desk = Desk(Beacon(options["beacon"]), set(options["skip"]), options["only"])
    gc.collect()
    gc.freeze()
    fd = options["fd"]
    signal.alarm(ALARM_S)
    reply = desk.open()
    _send(fd, reply)
    if "over" in reply:
        return
    try:
        for line in _lines(fd):
            signal.alarm(ALARM_S)
            reply = desk.answer(json.loads(line))
            _send(fd, reply)
            signal.alarm(0)
            if "over" in reply:
                return
    finally:
        signal.alarm(ALARM_S)
        desk.close()


def _no_finder() -> ModuleType:
    module = ModuleType("ctypes.util")
    module.find_library = lambda name: None  # type: ignore[attr-defined]
    return module


def _lines(fd: int) -> Any:
    rest = b""
    signal.alarm(0)
    while part := os.read(fd, 65536):
        rest += part
        while b"\n" in rest:
            line, _, rest = rest.partition(b"\n")
            yield line


def _send(fd: int, reply: dict[str, Any]) -> None:
    data = json.dumps(reply).encode() + b"\n"
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
