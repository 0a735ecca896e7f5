"""A scraper's connection: the same request again is answered alike; anything else goes the long way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from agent.model import Kind, Metric, Sample, Series
from agent.store.ring import Ring
from agent.web.again import Repeating
from agent.web.metrics import OwnCounters
from agent.web.page import Page
from agent.web.server import MetricsServer

LOAD = Series("host_load1")
START = 1_700_000_000.0
ASK = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
Answer = tuple[bytes, bytes]


class Line:
    """One connection to a running server."""

    def __init__(self) -> None:
        self.ring = Ring()
        self.ring.add(START, [Sample(LOAD, 0.5)])
        self.own = OwnCounters(self.ring)
        page = Page(self.ring, (Metric("host_load1", Kind.GAUGE, "", "Load."),), self.own.render, self.own.rendered)
        self.server = MetricsServer(page, self.own, lambda: (True, ""))

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(*self.address)

    async def start(self) -> None:
        """The server, then the connection."""
        self.address = await self.server.start("127.0.0.1:0")
        await self.open()

    async def ask(self, *parts: bytes) -> Answer:
        """Send these one by one, and read one answer: its head without the date, and the body."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0.02)
        return await self.read()

    async def read(self) -> Answer:
        """One answer."""
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            return re.sub(rb"Date: [^\r]+ GMT\r\n", b"Date\r\n", head), await self.reader.readexactly(int(length[1]))

    @property
    def connection(self) -> Repeating:
        """The server's side."""
        assert self.server.server is not None
        (only,) = self.server.server.connections
        assert isinstance(only, Repeating)
        return only

    @property
    def parsed(self) -> int:
        """Requests that went the long way."""
        assert self.server.server is not None
        return self.server.server.requests_count


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """A server and a connection."""
    made = Line()
    await made.start()
    yield made
    made.writer.close()
    await made.server.stop()


async def test_the_same_request_again_is_answered_alike_and_not_parsed(line: Line) -> None:
    """Head and body are the same to the byte, but for the date; the page is the newest, and every answer is counted."""
    first = await line.ask(ASK)
    assert await line.ask(ASK) == first
    line.ring.add(START + 1.0, [Sample(LOAD, 0.75)])
    head, body = await line.ask(ASK)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"anfl_host_load1 0.75\n" in body
    assert line.own.requests == {("/metrics", 200): 3}
    assert line.parsed == 1


async def test_each_format_is_repeated_as_it_was_asked_for(line: Line) -> None:
    """The first request of a connection says which."""
    ask = ASK[:-2] + b"Accept: application/openmetrics-text\r\n\r\n"
    assert await line.ask(ask) == await line.ask(ask)
    assert (await line.ask(ask))[1].endswith(b"# EOF\n")
    assert line.parsed == 1


@pytest.mark.parametrize(
    "other",
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",),
        (ASK[:30], ASK[30:]),
        (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(ASK), ASK),
    ],
)
async def test_after_anything_else_everything_is_parsed(line: Line, other: tuple[bytes, ...]) -> None:
    """Another request, one in pieces, or one whose body looks like the first: from then on nothing is taken for granted."""
    await line.ask(ASK)
    await line.ask(*other)
    assert b"anfl_host_load1" in (await line.ask(ASK))[1]
    assert line.parsed == 3


@pytest.mark.parametrize(
    "ask",
    [
        b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
)
async def test_only_a_plain_get_of_the_page_is_repeated(line: Line, ask: bytes) -> None:
    """Whatever has another kind of answer is answered the long way each time."""
    for number in (1, 2):
        line.writer.write(ask)
        async with asyncio.timeout(10):
            assert await line.reader.read(1 << 16)
        assert line.parsed == number


async def test_a_body_that_looks_like_the_request_is_a_body(line: Line) -> None:
    """Its length was announced; the second copy is not a request."""
    length = 0
    while len(ask := b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length) != length:
        length = len(ask)
    await line.ask(ask)
    line.writer.write(ask)
    await asyncio.sleep(0.05)
    assert line.parsed == 1
    assert line.own.requests == {("/metrics", 200): 1}


async def test_two_at_once_are_two_requests(line: Line) -> None:
    """What comes in one read together is parsed, and each gets its answer."""
    line.writer.write(ASK + ASK)
    first, second = await line.read(), await line.read()
    assert first == second
    assert line.parsed == 2
    assert not line.connection.repeats()


async def test_one_who_does_not_take_the_answers_does_not_fill_the_memory(line: Line) -> None:
    """Once the connection is full its requests wait in aiohttp's bounded queue."""
    line.ring.add(START + 1.0, [Sample(Series("many", (("n", f"{n:0200}"),)), 1.0) for n in range(2000)])
    await line.ask(ASK)
    transport = line.connection.transport
    assert isinstance(transport, asyncio.Transport)
    for _ in range(60):
        line.writer.write(ASK)
        await asyncio.sleep(0.002)
    page = len(line.server._page.text())
    assert transport.get_write_buffer_size() < 3 * page


async def test_a_connection_that_goes_on_asking_is_kept(line: Line) -> None:
    """Each request moves the time at which an idle one would be closed."""
    await line.ask(ASK)
    before = line.connection._next_keepalive_close_time
    await line.ask(ASK)
    assert line.parsed == 1
    assert line.connection._next_keepalive_close_time > before
