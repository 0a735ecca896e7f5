"""The TCP door: what it answers, to whom, and what it withstands."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator

import pytest

from agent.errors import AgentError, ConfigError
from agent.model import Kind, Metric, Sample, Series
from agent.store.ring import Ring
from agent.web.metrics import OwnCounters
from agent.web.page import OPENMETRICS, PLAIN, Page
from agent.web.server import Hosts, MetricsServer, parse_listen

Answer = tuple[int, dict[str, str], bytes]


class Door:
    """A running server and a plain client for it."""

    def __init__(self) -> None:
        ring = Ring()
        ring.add(1_700_000_000.0, [Sample(Series("host_load1"), 0.5)])
        self.own = OwnCounters(ring)
        self.well = (True, "")
        page = Page(ring, (Metric("host_load1", Kind.GAUGE, "", "Load."),), self.own.render, self.own.rendered)
        self.near = False
        self.server = MetricsServer(page, self.own, lambda: self.well, near=lambda address: self.near)
        self.address = ("", 0)

    async def raw(self, data: bytes) -> bytes:
        """All bytes the server sends back until it closes."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(data)
        found = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return found

    async def ask(self, path: str, method: str = "GET", host: str = "localhost", **headers: str) -> Answer:
        """Status, headers and body."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
        head, _, body = (await self.raw("\r\n".join([*lines, "", ""]).encode())).partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        return int(status.split()[1]), {k.lower(): v for k, v in (f.split(": ", 1) for f in fields)}, body


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A server on a free port."""
    made = Door()
    made.address = await made.server.start("127.0.0.1:0")
    yield made
    await made.server.stop()


async def test_a_scraper_gets_the_page_in_the_format_it_asks_for(door: Door) -> None:
    """Plain by default, OpenMetrics and gzip on request."""
    status, headers, body = await door.ask("/metrics")
    assert (status, headers["content-type"]) == (200, PLAIN)
    assert b"anfl_host_load1 0.5\n" in body
    _, headers, body = await door.ask("/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert headers["content-type"] == OPENMETRICS
    assert body.endswith(b"# EOF\n")
    _, headers, body = await door.ask("/metrics", Accept_Encoding="br, gzip")
    assert headers["content-encoding"] == "gzip"
    assert b"anfl_host_load1 0.5\n" in gzip.decompress(body)
    _, headers, _ = await door.ask("/metrics", Accept_Encoding="gzip;q=0")
    assert "content-encoding" not in headers


async def test_on_this_machine_nothing_is_packed(door: Door) -> None:
    """It would take longer than all the rest of the scrape."""
    door.near = True
    _, headers, body = await door.ask("/metrics", Accept_Encoding="gzip")
    assert "content-encoding" not in headers
    assert b"anfl_host_load1 0.5\n" in body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/metrics", 200),
        ("POST", "/metrics", 405),
        ("GET", "/etc/passwd", 404),
        ("GET", "/healthz", 200),
    ],
)
async def test_only_the_known_paths_and_methods_are_answered(door: Door, method: str, path: str, status: int) -> None:
    """The rest is refused, and every answer is counted under a bounded set of names."""
    got, headers, body = await door.ask(path, method)
    assert got == status
    assert headers["server"] == "anfl-agent"
    assert body == b"" or method != "HEAD"
    assert headers.get("allow") == ("GET" if status == 405 else None)
    assert door.own.requests == {("other" if status == 404 else path, status): 1}


async def test_health_tells_why_not(door: Door) -> None:
    """A load balancer or a human sees the reason."""
    door.well = (False, "the recorder's disk is full")
    assert (await door.ask("/healthz"))[::2] == (503, b"the recorder's disk is full\n")


async def test_a_foreign_name_for_this_machine_is_not_answered(door: Door) -> None:
    """DNS rebinding from a web page in the operator's browser reads nothing."""
    assert (await door.ask("/metrics", host="evil.example"))[0] == 421
    assert (await door.ask("/metrics", host=f"127.0.0.1:{door.address[1]}"))[0] == 200


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (None, True),
        ("localhost:9477", True),
        ("LOCALHOST", True),
        ("[::1]:9477", True),
        ("10.0.0.7:9477", True),
        ("metrics.internal:9477", True),
        ("metrics.internal.evil.example", False),
        ("", False),
    ],
)
def test_hosts_are_address_literals_and_known_names(header: str | None, allowed: bool) -> None:
    """Rebinding needs a name, so literals are safe."""
    assert Hosts(["metrics.internal"]).allows(header) is allowed


async def test_an_error_inside_shows_nothing_of_the_inside(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback, the answer has not."""
    door.own.collect = lambda: 1 / 0  # type: ignore[assignment,return-value]
    status, _, body = await door.ask("/metrics")
    assert status == 500
    assert b"Traceback" not in body
    assert b"ZeroDivision" not in body
    assert "ZeroDivisionError" in caplog.text


async def test_garbage_gets_a_bad_request(door: Door) -> None:
    """Bytes that are not HTTP end in 400 and a closed connection."""
    assert (await door.raw(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")).startswith(b"HTTP/1.0 400")


async def test_a_connection_that_dribbles_is_closed(door: Door) -> None:
    """The first request has a deadline, however slowly its header goes on."""
    assert door.server.server is not None
    door.server.server.first_request_s = 0.05
    with contextlib.suppress(ConnectionResetError):
        assert await door.raw(b"GET /metrics HTTP/1.1\r\nHost: local") == b""


async def test_connections_over_the_cap_are_refused(door: Door) -> None:
    """And counted; the ones within it still work."""
    server = door.server.server
    assert server is not None
    server._max_connections = 2
    held = [await asyncio.open_connection(*door.address) for _ in range(2)]
    await asyncio.sleep(0)
    with contextlib.suppress(ConnectionResetError):
        assert await door.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
    assert server.refused == 1
    held[0][1].write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert await held[0][0].readline() == b"HTTP/1.1 200 OK\r\n"
    for _, writer in held:
        writer.close()


async def test_a_taken_port_is_a_clear_error(door: Door) -> None:
    """No traceback for the commonest mistake."""
    with pytest.raises(AgentError, match=r"cannot listen on .*in use"):
        await Door().server.start(":".join(map(str, door.address)))


@pytest.mark.parametrize("text", ["127.0.0.1:9477", "[::1]:0", "localhost:80"])
def test_loopback_addresses_are_fine(text: str) -> None:
    """In every spelling."""
    assert parse_listen(text)[1] == int(text.rpartition(":")[2])


@pytest.mark.parametrize("text", ["0.0.0.0:9477", ":9477", "[::]:9477", "10.0.0.7:9477", "node1:9477"])
def test_other_addresses_need_the_word_insecure(text: str) -> None:
    """The page has neither password nor encryption."""
    with pytest.raises(ConfigError, match="other machines"):
        parse_listen(text)
    assert parse_listen(text, insecure=True)[1] == 9477


@pytest.mark.parametrize("text", ["9477", "localhost", "localhost:x", "127.0.0.1:99999"])
def test_a_listen_without_host_or_port_is_refused(text: str) -> None:
    """With what it should look like."""
    with pytest.raises(ConfigError, match="is not host:port"):
        parse_listen(text)
