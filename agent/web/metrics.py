"""The agent's own counters at the foot of the page: the few that are not series of the ring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import NamedTuple

from agent import __version__
from agent.dataclass import dataclass
from agent.store.ring import Ring
from agent.web.page import HELP, LABEL, PREFIX, line_start, number

SIZE_EVERY_TICKS = 60
"""The ring's size is summed over all its series; once a minute is enough."""


RENDER_EVERY_TICKS = 10
"""Making families takes ten times as long a line as the page does; these few may be some seconds old."""


class Sample(NamedTuple):
    """A value, as prometheus_client has it."""

    name: str
    labels: dict[str, str]
    value: float
    timestamp: None = None
    exemplar: None = None
    native_histogram: None = None


@dataclass
class Family:
    """A metric family with what an exposition of prometheus_client asks of one. That package takes 1 MiB for these few."""

    name: str
    documentation: str
    type: str
    samples: list[Sample] = field(default_factory=list)
    unit: str = ""


def _one(name: str, help: str, kind: str, value: float, unit: str = "") -> Family:
    """A family of one value without labels."""
    return Family(name, help, kind, [Sample(name + ("_total" if kind == "counter" else ""), {}, value)], unit)


class OwnCounters:
    """What the page and the ring did so far.

    They are written here, as prometheus_client's ``generate_latest`` would: that one comes with a web server and its client and,
    like the package as a whole, with a look at /proc when it is imported, on the loop of whoever scrapes first.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._size = (-SIZE_EVERY_TICKS, 0)
        self.requests: dict[tuple[str, int], int] = {}  # (path, status) -> count
        self.refused_connections = 0
        self._texts: dict[bool, tuple[int, bytes]] = {}
        self._renders = 0
        self._render_seconds = 0.0

    def count(self, path: str, status: int) -> None:
        """One request answered."""
        self.requests[path, status] = self.requests.get((path, status), 0) + 1

    def rendered(self, seconds: float) -> None:
        """The page was rendered once."""
        self._renders += 1
        self._render_seconds += seconds

    def render(self, openmetrics: bool) -> bytes:
        """The lines of this collector in one of the two formats; OpenMetrics ends with its EOF mark."""
        tick, text = self._texts.get(openmetrics, (-RENDER_EVERY_TICKS, b""))
        if self._ring.ticks - tick >= RENDER_EVERY_TICKS:
            text = self._fresh(openmetrics)
            self._texts[openmetrics] = (self._ring.ticks, text)
        return text

    def _fresh(self, openmetrics: bool) -> bytes:
        text = "".join(_written(family, openmetrics) for family in self.collect())
        return (text + "# EOF\n" if openmetrics else text).encode()

    def collect(self) -> Iterator[Family]:
        """The families, as any registry of prometheus_client takes them."""
        ring, rendering = self._ring, "anfl_agent_page_render_seconds"
        requests = [
            Sample("anfl_agent_http_requests_total", {"path": path, "status": str(status)}, number)
            for (path, status), number in sorted(self.requests.items())
        ]
        renders = [Sample(f"{rendering}_count", {}, self._renders), Sample(f"{rendering}_sum", {}, self._render_seconds)]
        yield Family("anfl_agent", "The running agent.", "info", [Sample("anfl_agent_info", {"version": __version__}, 1.0)])
        yield Family("anfl_agent_http_requests", "Requests answered.", "counter", requests)
        yield _one("anfl_agent_http_refused_connections", "Connections over the limit.", "counter", self.refused_connections)
        yield Family(rendering, "Rendering the page.", "summary", renders)
        yield _one("anfl_agent_series", "Series in memory that have not ended.", "gauge", len(ring))
        yield _one("anfl_agent_history_bytes", "Memory the history takes.", "gauge", self._bytes(), "bytes")
        yield _one("anfl_agent_samples_dropped", "Samples refused: old, no number, too many series.", "counter", ring.dropped)
        yield _one("anfl_agent_events_dropped", "Events pushed out by newer ones.", "counter", ring.events_dropped)
        yield _one("anfl_agent_history_restarts", "Times a stepped clock made history start anew.", "counter", ring.restarts)

    def _bytes(self) -> int:
        tick, size = self._size
        if self._ring.ticks - tick >= SIZE_EVERY_TICKS:
            size = self._ring.bytes
            self._size = (self._ring.ticks, size)
        return size


def _written(family: Family, openmetrics: bool) -> str:
    """A family in one of the two formats: head and samples."""
    name, kind, help = family.name, family.type, family.documentation.translate(LABEL if openmetrics else HELP)
    if not openmetrics:
        name += {"counter": "_total", "info": "_info"}.get(kind, "")
        kind = "gauge" if kind == "info" else kind
    unit = f"# UNIT {name} {family.unit}\n" if openmetrics and family.unit else ""
    samples = ((line_start(s.name.removeprefix(PREFIX), tuple(sorted(s.labels.items()))), s.value) for s in family.samples)
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n{unit}" + "".join(
        f"{start}{number(float(value))}\n" for start, value in samples
    )
