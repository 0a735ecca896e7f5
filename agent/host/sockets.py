"""TCP sockets of one network namespace: ``/proc/PID/net/tcp`` for the queues, sock_diag for the length a listen queue may reach."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

from agent.host.procfs import read_once
from agent.host.text import clean

LISTEN, ESTABLISHED, CLOSE_WAIT = 10, 1, 8
_SOCK_DIAG, _BOTH_FAMILIES, _DUMP, _DONE, _ERROR = 4, 18, 0x301, 3, 2
_ANSWER = 64 << 10
"""The kernel gives at most 32 KiB at once."""
_TABLE_LIMIT = 32 << 20


class Socket(NamedTuple):
    """One TCP socket. For a listener ``receive`` counts connections that wait to be accepted, else bytes that wait to be read."""

    inode: int
    state: int
    local: tuple[str, int]
    remote: tuple[str, int]
    send: int
    receive: int


def table(pid: int, wanted: Container[int], proc: str = "/proc") -> list[Socket]:
    """The TCP sockets in the process's network namespace with a ``wanted`` inode; OSError as the kernel gives it."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            raw = read_once(f"{proc}/{pid}/net/{name}", _TABLE_LIMIT)
        except FileNotFoundError:
            if name == "tcp":
                raise
            continue
        found += parse(raw, wanted)
    return found


def parse(raw: bytes, wanted: Container[int]) -> list[Socket]:
    """The text of ``net/tcp`` or ``net/tcp6``; a host's table is long, so only what is wanted is taken apart."""
    found = []
    for line in raw.splitlines()[1:]:
        words = line.split(None, 10)
        if len(words) < 10 or not words[9].isdigit() or int(words[9]) not in wanted:
            continue
        send, _, receive = words[4].partition(b":")
        with contextlib.suppress(ValueError):
            found.append(
                Socket(int(words[9]), int(words[3], 16), _address(words[1]), _address(words[2]), int(send, 16), int(receive, 16))
            )
    return found


def _address(raw: bytes) -> tuple[str, int]:
    digits, _, port = raw.partition(b":")
    packed = bytes.fromhex(digits.decode())
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    ordered = struct.pack(f">{len(words)}I", *words)
    if len(ordered) == 16 and ordered[:12] == bytes(10) + b"\xff\xff":
        ordered = ordered[12:]
    family = socket.AF_INET if len(ordered) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, ordered), int(port, 16)


def inodes(pid: int, proc: str = "/proc") -> dict[int, int]:
    """Socket inodes the process holds → descriptor; OSError as the kernel gives it."""
    found = {}
    for name in os.listdir(f"{proc}/{pid}/fd"):
        try:
            link = clean(os.readlink(f"{proc}/{pid}/fd/{name}"))
        except OSError:
            continue
        if link.startswith("socket:[") and link[8:-1].isdigit():
            found[int(link[8:-1])] = int(name)
    return found


def same_network(pid: int, proc: str = "/proc") -> bool:
    """True if the process shares our network namespace; False where it cannot be told."""
    try:
        return os.stat(f"{proc}/{pid}/ns/net").st_ino == os.stat(f"{proc}/self/ns/net").st_ino
    except OSError:
        return False


class Listener(NamedTuple):
    """A listening TCP socket: its port, connections that wait to be accepted, and how many may."""

    port: int
    waiting: int
    limit: int


def backlog_limits() -> dict[int, int]:
    """Inode of each listener in our own network namespace → how many connections may wait; empty where the kernel does not say."""
    return {inode: one.limit for inode, one in listeners().items()}


def listeners() -> dict[int, Listener]:
    """Listeners of our own network namespace by inode; cheap, the kernel keeps them apart. Empty where it does not say."""
    return {inode: Listener(port, receive, send) for port, receive, send, inode in _sockets(1 << LISTEN)}


def unread(ports: Container[int]) -> dict[int, int]:
    """Connections to these local ports whose bytes nobody has read, by port. Walks all connections of our own network namespace."""
    found: dict[int, int] = {}
    for port, receive, _, _ in _sockets(1 << ESTABLISHED):
        if receive and port in ports:
            found[port] = found.get(port, 0) + 1
    return found


def _sockets(states: int) -> Iterator[tuple[int, int, int, int]]:
    """Local port, receive queue, send queue and inode of every socket in these states, of IPv4 and IPv6."""
    with contextlib.suppress(OSError):
        for body in _dump(states):
            (port,) = _PORT.unpack_from(body, 4)
            receive, send, _uid, inode = _QUEUES.unpack_from(body, 56)
            yield port, receive, send, inode


_PORT, _QUEUES = struct.Struct("!H"), struct.Struct("=IIII")


def _dump(states: int) -> Iterator[bytes]:
    """In the older way of asking: it answers for both families at once, and the kernel's tables, which are long and mostly
    empty, are gone through once."""
    request = struct.pack("=IHHIIB51xII", 16 + 60, _BOTH_FAMILIES, _DUMP, 1, 0, socket.AF_INET, states, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as door:
        door.settimeout(1.0)
        door.send(request)
        while True:
            for kind, body in _messages(door.recv(_ANSWER)):
                if kind in (_DONE, _ERROR):
                    return
                yield body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if length < 16:
            return
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]
