"""The load of the benchmarks: N processes under one helper, 70 % ``sleep``, 30 % forked Python, a tenth of all awake once a second.

Not for people: ``background(count)`` starts it with the system's Python where there is one, so that the measured agent shares no
pages with it, and ends every process of it at the end, however the end comes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

SHARE_PYTHON, SHARE_AWAKE, AWAKE_S = 0.3, 0.1, 0.0003
_PR_SET_PDEATHSIG = 1


def _child(awake: bool, phase: float) -> None:
    """Sleep for good, or wake once a second for 0.3 ms of work."""
    time.sleep(phase)
    while True:
        if not awake:
            time.sleep(3600)
        end = time.process_time() + AWAKE_S
        while time.process_time() < end:
            pass
        time.sleep(1.0)


def main(count: int) -> None:
    """Start the load, say so, and end it when standard input closes."""
    die_with_parent = ctypes.CDLL(None).prctl
    draw = random.Random(1)
    pythons, awake = int(count * SHARE_PYTHON), int(count * SHARE_AWAKE)
    pids = []
    for number in range(count):
        if number < pythons:
            phase, pid = draw.random(), os.fork()
            if pid == 0:
                os.close(0)
                die_with_parent(_PR_SET_PDEATHSIG, signal.SIGKILL)
                _child(number < awake, phase)
        else:
            pid = os.posix_spawn(shutil.which("sleep") or "/bin/sleep", ["sleep", "86400"], os.environ)
        pids.append(pid)
    print("READY", flush=True)
    sys.stdin.read()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


@contextlib.contextmanager
def background(count: int) -> Iterator[None]:
    """That many processes while the block runs."""
    if not count:
        yield
        return
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    helper = subprocess.Popen([python, __file__, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert helper.stdout is not None
        if not helper.stdout.readline():
            raise RuntimeError("the load did not start")
        time.sleep(1.0)
        yield
    finally:
        assert helper.stdin is not None
        helper.stdin.close()
        helper.wait(60)


if __name__ == "__main__":
    main(int(sys.argv[1]))
