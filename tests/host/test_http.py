"""One request, against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from agent.host.http import NoAnswer, request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A server for one test; connections end with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(text: bytes) -> Handler:
    """Reads the whole request and answers."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(text)
        await writer.drain()

    return handle


async def test_an_answer_has_status_headers_and_body() -> None:
    """As the server said them."""
    async with server(says(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\nlater")) as url:
        answer = await request("POST", f"{url}/x?y=1", body=b"{}", timeout=5)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "7", b"later")


@pytest.mark.parametrize(
    ("chunks", "body"),
    [(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"), (b"5\r\nab", b"ab"), (b"zz\r\nab", b""), (b"", b"")],
)
async def test_chunks_are_put_together_as_far_as_they_came(chunks: bytes, body: bytes) -> None:
    """Servers may answer so."""
    async with server(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) as url:
        assert (await request("GET", url, timeout=5)).body == body


async def test_what_is_asked_arrives_as_it_was_given() -> None:
    """Path, query, headers, body; nothing can be smuggled in with a header."""
    got: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        got.append(await reader.readexactly(3))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    async with server(keep) as url:
        address = f"{url}/a?b=c".replace("http://", "http://ana:p%40ss@")
        await request("POST", address, headers={"X-A": "1\r\nX-B: 2"}, body=b"abc", timeout=5)
    head = got[0].decode()
    assert "Authorization: Basic YW5hOnBAc3M=\r\n" in head
    assert "ana" not in head
    assert head.startswith("POST /a?b=c HTTP/1.1\r\n")
    assert "X-A: 1  X-B: 2\r\n" in head
    assert got[1] == b"abc"


async def test_a_refused_connection_was_surely_not_sent() -> None:
    """The message may be changed and sent again."""
    async with server(says(b"")) as url:
        pass
    with pytest.raises(NoAnswer) as wrong:
        await request("POST", url, timeout=5)
    assert not wrong.value.sent


async def test_silence_and_a_slow_drip_end_at_the_deadline() -> None:
    """They may have taken it: whoever sends again must say the same."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for sign in b"HTTP/1.1 200 OK\r\n\r\n":
            writer.write(bytes([sign]))
            await asyncio.sleep(0.1)

    for handler in (silent, drip):
        async with server(handler) as url:
            with pytest.raises(NoAnswer) as wrong:
                await request("POST", url, timeout=0.3)
            assert wrong.value.sent


async def test_a_status_is_an_answer_even_if_the_body_never_ends() -> None:
    """What counts is that it was taken."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 Done\r\nContent-Length: 99\r\n\r\n")
        await asyncio.Event().wait()

    async with server(endless) as url:
        assert (await request("POST", url, timeout=5, body_s=0.05)).status == 204


@pytest.mark.parametrize("answer", [b"", b"220 smtp ready\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"x" * 70_000])
async def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    """Closed at once, another protocol, nonsense."""
    async with server(says(answer)) as url:
        with pytest.raises(NoAnswer):
            await request("POST", url, timeout=5)


async def test_an_unknown_name_is_told_as_one() -> None:
    """Not as a traceback of the resolver."""
    with pytest.raises(NoAnswer, match="name"):
        await request("GET", "http://host.invalid/", timeout=10)


@pytest.mark.parametrize("url", ["ftp://x/", "x", "http://"])
async def test_an_address_that_is_none_is_a_mistake(url: str) -> None:
    """Trying again would not help."""
    with pytest.raises(ValueError, match="address"):
        await request("GET", url, timeout=1)
