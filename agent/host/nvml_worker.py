"""The process that calls NVML, and nothing else: it may hang in the driver, be killed, and be started anew.

One message in, one out (``nvml_wire``). It ends when its socket closes, when the agent dies, or when NVML is gone from under it; an
alarm ends it if a call keeps it while nobody is left. Its memory counts as the agent's: what it imports is chosen.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # signal itself brings enum
import ctypes
import gc
import os
import sys
from marshal import loads

from agent.host.nvml_wire import HEADER, LIBRARY_NOT_FOUND, Beacon, packed

TYPE_CHECKING = False  # typing brings a MiB of modules
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PR_SET_PDEATHSIG = 1
ALARM_S, GOODBYE_S = 30, 3
"""A request, or the shutdown, that takes so long is nobody's any more: the agent gave up long before. Python is not asked."""


def main(options: dict[str, Any]) -> None:
    """Serve the socket ``options["fd"]`` until it closes."""
    # With the signal's own effect, which needs no Python: the agent's death ends a call that hangs where the kernel lets it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != options["parent"]:
        return None
    signal.alarm(ALARM_S)
    if options["library"]:
        try:  # its soname is what pynvml asks for: the loader then hands out this one
            ctypes.CDLL(options["library"], mode=ctypes.RTLD_GLOBAL)
        except OSError:
            return _send(options["fd"], {"over": LIBRARY_NOT_FOUND})
    _spare_modules()
    from agent.host.nvml_desk import Desk  # pynvml comes with it

    desk, fd = Desk(Beacon(options["beacon"]), set(options["skip"]), options["only"]), options["fd"]
    gc.freeze()
    reply = desk.open()
    _send(fd, reply)
    if "over" in reply:
        return None
    try:
        for request in _requests(fd):
            reply = desk.answer(request)
            _send(fd, reply)
            if "over" in reply:
                return None
    finally:
        signal.alarm(GOODBYE_S)
        desk.close()
    return None


def _spare_modules() -> None:
    """Stand-ins for two modules that pynvml imports, one for a function it does not call here, one for a name it makes at import:
    the real ones bring 30 more, which is 2 MiB."""
    finder, words = type(sys)("ctypes.util"), type(sys)("string")
    finder.find_library = lambda name: None  # type: ignore[attr-defined]
    words.capwords = lambda text, sep: sep.join(part.capitalize() for part in text.split(sep))  # type: ignore[attr-defined]
    sys.modules |= {"ctypes.util": finder, "string": words}


def _requests(fd: int) -> Iterator[dict[str, Any]]:
    """Until the agent closes its end. An idle process heeds no SIGTERM: that end tells it to let the driver go in good order."""
    rest = b""
    while True:
        while len(rest) >= HEADER.size and len(rest) >= (end := HEADER.size + HEADER.unpack_from(rest)[0]):
            signal.alarm(ALARM_S)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            yield loads(rest[HEADER.size : end])
            rest = rest[end:]
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.alarm(0)
        part = os.read(fd, 65536)
        if not part:
            return
        rest += part


def _send(fd: int, reply: dict[str, Any]) -> None:
    data = packed(reply)
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:
        sys.exit(0)
