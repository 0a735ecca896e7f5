"""A process that is sure to be the one that was meant: pid and start time, held by a pidfd while it is acted on."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator

from agent.errors import AgentError
from agent.host import procs
from agent.host.reach import WillNot
from agent.model import Target

SHOWS_S = 2.0


def pid_of(target: Target) -> int:
    """Its number. WillNot if it is no process, the first one, or the agent itself."""
    if target.pid is None:
        raise WillNot(f"{target.name or target.kind} is no process", help="a playbook for processes needs kinds: [process]")
    if target.pid <= 1 or target.pid == os.getpid():
        raise WillNot(f"process {target.pid} is never touched")
    if procs.kernel_thread(target.pid):
        raise WillNot(f"process {target.pid} is part of the kernel")
    return target.pid


@contextlib.contextmanager
def held(target: Target) -> Iterator[int]:
    """A pidfd of the very process. WillNot if it ended, or its number is another's: what came before cannot change under it."""
    pid = pid_of(target)
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise WillNot(f"process {pid} is gone") from None
    try:
        if target.start_time is None or not procs.still(pid, target.start_time) or ended(fd):
            raise WillNot(f"process {pid} is gone, or its number is another's")
        yield fd
    finally:
        os.close(fd)


def ended(fd: int) -> bool:
    """Whether the process behind a pidfd has ended."""
    return bool(select.select([fd], [], [], 0)[0])


def send(target: Target, number: signal.Signals) -> None:
    """A signal to the very process. WillNot if it is not there or may not be signalled."""
    with held(target) as fd:
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            raise WillNot(f"process {target.pid} is gone") from None
        except PermissionError:
            raise WillNot(
                f"process {target.pid} is not the agent's to signal", help="run the agent as root, or let it remediate"
            ) from None


def halt(target: Target, halted: bool) -> None:
    """SIGSTOP or SIGCONT, and wait until it shows: it is delivered when the process is next scheduled. Blocks for a moment."""
    send(target, signal.SIGSTOP if halted else signal.SIGCONT)
    until = time.monotonic() + SHOWS_S
    while there(target) and (procs.state(pid_of(target)) in ("T", "t")) != halted and time.monotonic() < until:
        time.sleep(0.01)


def there(target: Target) -> bool:
    """Whether it still runs: a zombie does not."""
    if target.pid is None or target.start_time is None or not procs.still(target.pid, target.start_time):
        return False
    try:
        return procs.state(target.pid) not in ("Z", "X")
    except AgentError:  # it ended in between
        return False
