"""The TCP door: /metrics, /healthz and a small index, for scrapers and browsers on this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable
from functools import partial

from aiohttp import hdrs, web

from agent.errors import AgentError, ConfigError
from agent.web.again import answer, may_repeat
from agent.web.guard import Guarded, Handler, Routes, refusal
from agent.web.metrics import OwnCounters
from agent.web.page import OPENMETRICS, PLAIN, Page

DEFAULT_LISTEN = "127.0.0.1:9477"
Health = Callable[[], tuple[bool, str]]
_INDEX = """<!doctype html><title>anfl-agent</title><h1>anfl-agent</h1>
<p><a href="/metrics">/metrics</a> for Prometheus, <a href="/healthz">/healthz</a>. Ask with <code>anfl-agent diagnose</code>.</p>
"""


def parse_listen(text: str, insecure: bool = False) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; ConfigError if it is not loopback and ``insecure`` was not said."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"listen: '{text}' is not host:port", help=f"such as {DEFAULT_LISTEN}")
    if not insecure and not _loopback(host):
        raise ConfigError(
            f"listen: '{text}' can be reached from other machines, and the page has neither password nor encryption",
            help="listen on 127.0.0.1 and put a proxy before it, or allow it with 'insecure'",
        )
    return host, int(port)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Hosts:
    """Which Host headers are answered. A name that a foreign web page made point here must not read the page."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in extra)}

    def allows(self, header: str | None) -> bool:
        """Address literals and known names; no header at all comes from no browser."""
        if header is None:
            return True
        name = header.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class MetricsServer:
    """The door, open from ``start`` to ``stop``. Who is ``near`` by address gets the page unpacked: packing takes as long as all
    the rest of a scrape.
    """

    def __init__(
        self,
        page: Page,
        own: OwnCounters,
        health: Health,
        *,
        hosts: Iterable[str] = (),
        near: Callable[[str], bool] = _loopback,
        more: Routes | None = None,
    ) -> None:
        self._page = page
        self._own = own
        self._health = health
        self._hosts = Hosts(hosts)
        self._near = near
        self._more = more or {}
        self._runner: web.ServerRunner | None = None
        self.server: Guarded | None = None

    async def start(self, listen: str = DEFAULT_LISTEN, insecure: bool = False) -> tuple[str, int]:
        """Open the door; the address it has (port 0 picks one). AgentError if the address is taken or is not ours."""
        host, port = parse_listen(listen, insecure)
        routes: Routes = {
            ("GET", "/metrics"): self._metrics,
            ("GET", "/healthz"): self._healthz,
            ("GET", "/"): self._index,
        } | self._more
        self.server = Guarded({key: self._checked(handler) for key, handler in routes.items()}, self._own.count)
        self._runner = web.ServerRunner(self.server, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, host, port)
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            help = (
                "another agent runs, or choose another 'listen'" if error.errno == errno.EADDRINUSE else "choose another 'listen'"
            )
            raise AgentError(f"cannot listen on {listen}: {error.strerror}", help=help) from None
        bound = self._runner.addresses[0]
        return str(bound[0]), int(bound[1])

    async def stop(self) -> None:
        """Close the door; answers on their way get two seconds."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _checked(self, handler: Handler) -> Handler:
        async def check(request: web.BaseRequest) -> web.StreamResponse:
            if not self._hosts.allows(request.headers.get(hdrs.HOST)):
                return refusal(421, AgentError("this name is not answered", help="add it to the allowed hosts"))
            return await handler(request)

        return check

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        openmetrics = "application/openmetrics-text" in request.headers.get(hdrs.ACCEPT, "")
        headers: dict[str, str] = {
            hdrs.CONTENT_TYPE: OPENMETRICS if openmetrics else PLAIN,
            hdrs.VARY: "Accept, Accept-Encoding",
            hdrs.SERVER: "anfl-agent",
        }
        self._take_stock()
        if _takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")) and not self._near(request.remote or ""):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            return web.Response(body=await self._page.zipped(openmetrics), headers=headers)
        if (connection := may_repeat(request)) is not None:
            connection.again = partial(self._again, headers, openmetrics)
        return web.Response(body=self._page.plain(openmetrics), headers=headers)

    def _again(self, headers: dict[str, str], openmetrics: bool) -> bytes:
        """The page for one who has asked for just this before."""
        self._take_stock()
        self._own.count("/metrics", 200)
        return answer(headers, self._page.plain(openmetrics))

    def _take_stock(self) -> None:
        if self.server is not None:
            self._own.refused_connections = self.server.refused

    async def _healthz(self, request: web.BaseRequest) -> web.StreamResponse:
        well, why = self._health()
        return web.Response(text=f"{why or 'ok'}\n", status=200 if well else 503, headers={hdrs.SERVER: "anfl-agent"})

    async def _index(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=_INDEX, content_type="text/html", headers={hdrs.SERVER: "anfl-agent"})


def _takes_gzip(accept: str) -> bool:
    for part in accept.split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip().lower() == "gzip":
            return parameters.replace(" ", "").rstrip("0") not in ("q=", "q=0.")
    return False
