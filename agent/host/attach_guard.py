"""The process that owns gdb during an attach, and watches over the capture after it. Runs alone: ``python -I -S attach_guard.py``.

gdb leaves its breakpoints in malloc if it is killed, and the target then dies at its next allocation; SIGINT makes gdb take them
out. So gdb belongs to this guard, which lives in a session of its own, ignores SIGTERM, and outlives an agent that is killed:
when the agent's pipe closes, or the time is up, gdb gets SIGINT (never anything else), the target's state is checked and mended,
a running capture is told to stop, and its folder is removed.

Standard input: one line of JSON, the job; its end means the agent is gone or wants out. Standard output: one JSON event a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import Any

NOTHING_KILLS = {signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT}
AGAIN_S = 0.5
"""Between two SIGINTs to gdb."""
BUSY_S = 5.0
"""While gdb calls into the target it is left alone for so long: a dlopen cut in the middle would keep its lock."""
LINGER_S = 5.0
"""How long a capture may take to stop, once told."""


def status(pid: int) -> dict[str, str]:
    """``/proc/PID/status`` by field, empty once the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as lines:
            return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}
    except OSError:
        return {}


def start_ticks(pid: int) -> int:
    """When it started, in ticks since boot; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def enter_network(pid: int) -> None:
    """Move to the target's network namespace if it has one of its own: the side channel is a loopback connection."""
    if os.stat(f"/proc/{pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino:
        import ctypes

        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "its network namespace may not be entered")
        os.close(fd)


def listeners() -> list[socket.socket]:
    """Both loopback addresses on one port: the injected code tries ::1 first, and nobody else may answer there."""
    for _ in range(50):
        four = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        four.bind(("127.0.0.1", 0))
        found = [four]
        try:
            six = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            found.append(six)
            six.bind(("::1", four.getsockname()[1]))
        except OSError as error:
            if error.errno == 98:  # the port is in use on ::1 alone: take another
                for each in found:
                    each.close()
                continue
            found.pop().close() if len(found) > 1 else None
        for each in found:
            each.listen(4)
        return found
    raise OSError("no free loopback port")


def belongs(peer_port: int, our_port: int, pid: int) -> bool:
    """True if the connection's other end is a socket of the target."""
    inodes = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:
            for fields in (line.split() for line in lines):
                if fields[1].endswith(f":{peer_port:04X}") and fields[2].endswith(f":{our_port:04X}"):
                    inodes.add(f"socket:[{fields[9]}]")
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    return True
    return False


class Guard:
    """One attach from gdb's start until the target is alone again."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.pid: int = job["pid"]
        self.cancelled = ""
        self.agent_here = True
        self.phase = "attaching"
        self.times: dict[str, float] = {}
        self.output = ""
        self.gdb = self.gdb_out = 0
        self.interrupted_at = 0.0
        self.listeners: list[socket.socket] = []
        self.peer: socket.socket | None = None
        self.error = b""

    def say(self, event: str, **more: Any) -> None:
        """Tell the agent, if it is still there."""
        with contextlib.suppress(OSError):
            os.write(1, (json.dumps({"event": event, **more}) + "\n").encode())

    def run(self) -> None:
        """Attach, hand the payload over, wait until the capture ends, and leave the target as it was."""
        try:
            enter_network(self.pid)
            self.listeners = listeners()
        except OSError as error:
            self.say("failed", why="network", detail=str(error))
            return self.leave()
        if self.look_at_agent(0.0):
            self.start_gdb()
            self.inject()
            self.mend(0.0 if self.phase == "injected" else 0.4)
            if self.phase == "injected":
                self.talk()
            else:
                self.say("failed", why=self.cancelled or self.phase, detail=self.output[-1500:], times=self.times)
        return self.leave()

    def start_gdb(self) -> None:
        """gdb with SIGTERM and the like blocked, so that a sweep over our control group does not kill the target later."""
        port = self.listeners[0].getsockname()[1]
        script = os.memfd_create("attach", 0)
        os.write(script, self.job["script"].replace("@PORT@", str(port)).encode())
        os.set_inheritable(script, True)
        self.gdb_out, out = os.pipe()
        argv = [*self.job["argv"], "-p", str(self.pid), "-x", f"/proc/self/fd/{script}"]
        null = os.open(os.devnull, os.O_RDONLY)
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
        quiet = {signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
        env = {"LC_ALL": "C", "HOME": "/", "PATH": os.environ.get("PATH", os.defpath)}
        self.times["start"] = time.monotonic()
        self.gdb = os.posix_spawn(argv[0], argv, env, file_actions=actions, setsigmask=quiet, setsigdef={signal.SIGINT})
        for fd in (out, script, null):
            os.close(fd)

    def inject(self) -> None:
        """Follow gdb until it has gone; past the deadline, or without the agent, ask it to let go."""
        deadline = time.monotonic() + self.job["inject_s"]
        while True:
            self.look_at_agent(0.0)
            if time.monotonic() > deadline and not self.cancelled:
                self.cancelled = "no safe point" if self.phase == "ready" else "slow debugger"
            if self.cancelled:
                self.interrupt()
            if select.select([self.gdb_out], [], [], 0.05)[0] and not self.read_gdb():
                break
        os.waitpid(self.gdb, 0)
        self.times["gone"] = time.monotonic()

    def read_gdb(self) -> bool:
        """Take gdb's output in; False at its end."""
        part = os.read(self.gdb_out, 65536).decode("utf-8", "replace")
        self.output += part
        for mark in ("gdb", "attached", "unreadable", "ready", "hit", "injected"):
            if f"ANFL {mark}" in self.output and mark not in self.times:
                self.times[mark] = time.monotonic()
                self.phase = mark
        return bool(part)

    def interrupt(self) -> None:
        """SIGINT, and again if need be; not while gdb is calling into the target."""
        now = time.monotonic()
        if self.phase in ("hit", "injected") and now < self.times[self.phase] + BUSY_S:
            return
        if now - self.interrupted_at > AGAIN_S:
            self.interrupted_at = now
            os.kill(self.gdb, signal.SIGINT)

    def mend(self, seconds: float) -> None:
        """See that nobody traces the target and that it is not left stopped, also not by a stop signal still on its way."""
        continued = False
        until = time.monotonic() + seconds
        while True:
            now = status(self.pid)
            pending = int(now.get("SigPnd", "0"), 16) | int(now.get("ShdPnd", "0"), 16)
            stopped = now.get("State", "").startswith("T") or pending >> (signal.SIGSTOP - 1) & 1
            if stopped and now.get("TracerPid") == "0" and start_ticks(self.pid) == self.job["ticks"]:
                with contextlib.suppress(OSError):
                    os.kill(self.pid, signal.SIGCONT)
                continued = True
            if time.monotonic() >= until and not stopped:
                break
            if not now or time.monotonic() > until + 5.0:
                break
            time.sleep(0.02)
        self.say("detached", tracer=now.get("TracerPid"), state=now.get("State"), continued=continued, times=self.times)

    def look_at_agent(self, wait: float) -> bool:
        """False once the agent closed its end or died."""
        if self.agent_here and select.select([0], [], [], wait)[0] and not os.read(0, 4096):
            self.agent_here = False
            self.cancelled = self.cancelled or "cancelled"
        return self.agent_here

    def talk(self) -> None:
        """Accept the target (nobody else), send the payload, wait for its end."""
        until = time.monotonic() + 5.0
        while self.peer is None and time.monotonic() < until:
            self.accept()
            if not self.look_at_agent(0.0):
                until = min(until, time.monotonic() + 0.3)
        if self.peer is None:
            return self.say("failed", why="no connection", detail="")
        for each in self.listeners:
            each.close()
        if self.agent_here:
            self.peer.sendall(self.job["payload"].encode())
            self.say("sent")
        self.peer.shutdown(socket.SHUT_WR)
        return self.follow()

    def accept(self) -> None:
        """Take one connection, if it is the target's."""
        for each in select.select(self.listeners, [], [], 0.05)[0]:
            peer, address = each.accept()
            if belongs(address[1], each.getsockname()[1], self.pid):
                self.peer = peer
                return
            peer.close()

    def follow(self) -> None:
        """Wait until the payload has ended; without the agent, tell it to."""
        assert self.peer is not None
        until = time.monotonic() + self.job["total_s"]
        told = False
        while time.monotonic() < until:
            if not self.look_at_agent(0.0) and not told:
                told = True
                self.tell_to_stop()
                until = time.monotonic() + LINGER_S
            if select.select([self.peer], [], [], 0.05)[0]:
                part = self.peer.recv(4096)
                self.error += part
                if not part or len(self.error) > 4096:
                    return self.say("ended", error=self.error.decode("utf-8", "replace"))
        return self.say("failed", why="overtime", detail="")

    def tell_to_stop(self) -> None:
        """A file named ``stop`` in the capture's folder ends it within a tick."""
        with contextlib.suppress(OSError):
            os.close(os.open("stop", os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644, dir_fd=self.job["out_fd"]))

    def leave(self) -> None:
        """Wait for the agent's goodbye; if it died, remove the capture's folder in its stead."""
        self.say("bye")
        while self.look_at_agent(1.0):
            pass
        import shutil

        with contextlib.suppress(OSError):
            shutil.rmtree(self.job["name"], dir_fd=self.job["parent_fd"])


def main() -> None:
    """Read the job and do it."""
    for each in NOTHING_KILLS:
        signal.signal(each, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(-10)  # the target stands still while gdb works
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("-500")  # gdb must not be the one the kernel kills
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return
        line += part
    Guard(json.loads(line)).run()


if __name__ == "__main__":
    main()
