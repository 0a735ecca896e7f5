"""The unix socket: who may connect is the file's mode, who may ask what is the peer's identity."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat

from aiohttp import web

from agent.errors import AgentError
from agent.web import peer
from agent.web.api import Api, Backend
from agent.web.guard import MAX_CONNECTIONS, Guarded, Routes

PROBE_S = 1.0


class AgentSocket:
    """The agent's socket, there from ``claim`` to ``stop``; who connects before ``start`` waits until then.

    ``everyone`` lets every local user connect (they may ask about their own processes): for the agent of the whole host. Else
    only its own user and the group ``anfl-agent`` get in. ``more`` are routes of other parts than the agent itself.
    """

    def __init__(self, path: str, backend: Backend, *, everyone: bool = False, more: Routes | None = None) -> None:
        self.path = path
        self._everyone = everyone
        self._routes = Api(backend).routes() | (more or {})
        self._runner: web.ServerRunner | None = None
        self._listening: socket.socket | None = None
        self._inode: tuple[int, int] | None = None

    async def claim(self) -> None:
        """Open the socket. One that nobody answers on is replaced; AgentError if another agent does, or it cannot be made."""
        try:
            self._listening = await self._bind()
        except OSError as error:
            raise AgentError(f"cannot open the socket {self.path}: {error.strerror}", help="set 'socket' in config.yaml") from None

    async def start(self) -> None:
        """Answer: when the parts that are asked are at work, and no sooner. Claims the socket if that was not done."""
        if self._listening is None:
            await self.claim()
        assert self._listening is not None
        self._runner = web.ServerRunner(Guarded(self._routes, lambda path, status: None), shutdown_timeout=2.0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening).start()

    async def stop(self) -> None:
        """Close and remove the socket, unless somebody else's stands in its place by now."""
        if self._listening is None:
            return
        if self._runner is not None:
            await self._runner.cleanup()
        self._listening.close()
        with contextlib.suppress(OSError):
            if _inode(self.path) == self._inode:
                os.unlink(self.path)

    async def _bind(self) -> socket.socket:
        _make_folder(os.path.dirname(self.path), 0o755 if self._everyone else 0o750)
        if _is_socket(self.path):
            if await _answers(self.path):
                raise AgentError(f"another agent answers on {self.path}", help="stop it first, or give this one another 'socket'")
            os.unlink(self.path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            before = os.umask(0o177)  # nobody connects before mode and group are right
            try:
                listening.bind(self.path)
            finally:
                os.umask(before)
            self._open_to_group()
            os.chmod(self.path, 0o666 if self._everyone else 0o660)
            self._inode = _inode(self.path)
            listening.listen(MAX_CONNECTIONS)
        except OSError:
            listening.close()
            raise
        return listening

    def _open_to_group(self) -> None:
        group = peer.group_id()
        if group is not None:
            for path in (self.path, os.path.dirname(self.path)):
                with contextlib.suppress(PermissionError):  # not a member: only the own user gets in
                    os.chown(path, -1, group)


async def _answers(path: str) -> bool:
    """Whether somebody listens there."""
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_unix_connection(path)
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except TimeoutError:  # its queue is full: alive, though in trouble
        return True
    except OSError as error:
        return error.errno == errno.EAGAIN
    writer.close()
    return True


def _make_folder(folder: str, mode: int) -> None:
    if folder and not os.path.isdir(folder):
        os.makedirs(folder, mode=mode, exist_ok=True)
        os.chmod(folder, mode)


def _is_socket(path: str) -> bool:
    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(found):
        raise AgentError(f"{path} is there and is no socket", help="remove it, or set another 'socket' in config.yaml")
    return True


def _inode(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
