"""One HTTP request with a deadline: small on purpose. A full client costs a daemon 90 ms and 4 MiB that it needs for nothing else.

HTTP/1.1, one request a connection. No redirects, no cookies, no proxies. Names are resolved on a thread of their own: asyncio's
pool is never used, because a hung resolver in it hangs the exit.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.lane import Stalled, aside

if TYPE_CHECKING:
    import ssl

MOST_HEAD = 32 << 10
MOST_BODY = 64 << 10
RESOLVE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """A status with its headers (lower-case names) and the beginning of the body, if that came in time."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class NoAnswer(AgentError):
    """No status came. ``sent``: the request was out by then, so the other side may have acted on it."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


_tls: dict[str, ssl.SSLContext] = {}


async def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout: float,
    body_s: float = 2.0,
) -> Answer:
    """Send one request. NoAnswer past ``timeout`` seconds, or where none can be had; ValueError if the URL is none.

    A status that came is an answer, also where the body does not follow within ``body_s`` seconds.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http:// or https:// address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    sent = [False]
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _connect(parts.hostname, port, parts.scheme == "https")
            try:
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                host = parts.netloc.rpartition("@")[2]
                writer.write(_head(method, target, host, {**_login(parts), **(headers or {})}, len(body)) + body)
                sent[0] = True
                await writer.drain()
                return await _answer(reader, body_s)
            finally:
                writer.close()
    except TimeoutError:
        raise NoAnswer(f"no answer within {timeout:g} s", sent=sent[0]) from None
    except Stalled as stalled:
        raise NoAnswer(f"its name was not resolved: {stalled}", sent=False) from None
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        raise NoAnswer(_said(error), sent=sent[0]) from None


def _login(parts: SplitResult) -> dict[str, str]:
    """The name and password of an address as the header they mean."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _head(method: str, target: str, host: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", "User-Agent: anfl-agent", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {length}")
    text = "\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)
    return text.encode("latin-1", "replace") + b"\r\n\r\n"


async def _connect(host: str, port: int, secure: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    found = await aside(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), RESOLVE_S)
    context = await _context() if secure else None
    error: OSError = OSError("no address")
    for *_, address in found[:4]:
        try:
            return await asyncio.open_connection(
                str(address[0]), port, ssl=context, server_hostname=host if secure else None, limit=MOST_HEAD
            )
        except OSError as failed:
            error = failed
    raise error


async def _context() -> ssl.SSLContext:
    """Made once, aside: loading OpenSSL and reading the host's certificates takes a while."""
    if "default" not in _tls:
        _tls["default"] = await aside(_trusting)
    return _tls["default"]


def _trusting() -> ssl.SSLContext:
    import ssl  # 5 MiB, for those who speak TLS
    from asyncio.sslproto import SSLProtocol  # noqa: F401 — left for later by agent.host.spare; here, not on the loop

    return ssl.create_default_context()


async def _answer(reader: asyncio.StreamReader, body_s: float) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise OSError("the answer is not HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    body = b""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(body_s):
            while len(body) < MOST_BODY and (part := await reader.read(MOST_BODY - len(body))):
                body += part
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    return Answer(int(words[1]), headers, _unchunked(body) if chunked else body)


def _unchunked(body: bytes) -> bytes:
    """What the chunks hold, as far as they came."""
    whole, rest = b"", body
    while rest:
        size, found, rest = rest.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            break
        if not found or not length:
            break
        whole, rest = whole + rest[:length], rest[length + 2 :]
    return whole


def _said(error: Exception) -> str:
    if (why := getattr(error, "verify_message", None)) is not None:  # of ssl.SSLCertVerificationError
        return f"its certificate is not trusted: {why}"
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}"
    if isinstance(error, asyncio.IncompleteReadError):
        return "it closed the connection without an answer"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
