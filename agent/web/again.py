"""A connection that asks the same again and again, as a scraper does: what comes byte for byte as before is not parsed anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_protocol import RequestHandler

_END = b"\r\n\r\n"


class Repeating(RequestHandler):
    """One connection. As long as nothing but copies of its first request has come over it, ``again`` may answer them.

    A request here is what one read brought: a whole one without a body. Whatever else comes, in however many pieces, switches this
    off for good; so do requests that come before the last one is answered, or faster than the answers are taken, for themselves.
    """

    _first: bytes | None = None  # b"": there is no such request
    again: Callable[[], bytes] | None = None
    """Gives the whole answer, head and body. To be set by the handler of the first request: see :func:`may_repeat`."""

    def data_received(self, data: bytes) -> None:
        """Answer at once what is known, else let it be parsed."""
        if data != self._first:
            self._first = data if self._first is None and _whole(data) else b""
            self.again = None
        elif self.again is not None and self._idle() and self.transport is not None:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            self.transport.write(self.again())
            return
        super().data_received(data)

    def _idle(self) -> bool:
        """Whether the next request is waited for, and the answers so far have been taken."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._paused

    def repeats(self) -> bool:
        """Whether only copies of one whole request have come."""
        return bool(self._first)


def _whole(data: bytes) -> bool:
    return data.endswith(_END) and data.count(_END) == 1 and data.count(b"\n") == data.count(b"\r\n")


def may_repeat(request: web.BaseRequest) -> Repeating | None:
    """The connection of a request that may be answered like this when it comes again: a plain GET that keeps it open."""
    connection = request.protocol
    plain = request.method == "GET" and request.version == (1, 1) and request.keep_alive and not request.can_read_body
    return connection if plain and isinstance(connection, Repeating) and connection.repeats() else None


def answer(headers: Mapping[str, str], body: bytes) -> bytes:
    """A good answer as aiohttp writes it."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    date = rfc822_formatted_time()
    return f"HTTP/1.1 200 OK\r\n{''.join(lines)}Content-Length: {len(body)}\r\nDate: {date}\r\n\r\n".encode() + body
