"""Telling systemd how we are (sd_notify), without a dependency. Silent where systemd did not start us."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Messages to the service manager; each is one datagram and never blocks or raises."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog(env)

    @property
    def active(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        """Start-up is finished."""
        self._send(*["READY=1", *([f"STATUS={status}"] if status else [])])

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Feed the watchdog; due at least every ``watchdog_s`` seconds, better twice as often."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> None:
        """The orderly goodbye begins."""
        self._send(*["STOPPING=1", *([f"STATUS={status}"] if status else [])])

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sender:
                sender.sendto(message, self._address)
        except OSError:  # nobody listens, or its queue is full: the next message tells
            return


def _watchdog(env: Mapping[str, str]) -> float | None:
    """Seconds within which systemd wants a sign of life; None where it wants none from this process."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(env["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None
