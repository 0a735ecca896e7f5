"""The metrics page: rendered at most once a tick, from kept line beginnings; never collected on scrape.

A family whose values have not changed since the last rendering is not rendered again, which on most nodes is most of them.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterable
from math import inf, isfinite

from agent.model import Kind, Labels, Metric
from agent.store.ring import Ring
from agent.store.series import Kept

PREFIX = "anfl_"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
_GZIP_PIECE = 256 << 10  # about 3 ms of work at level 1 between two turns of the loop
REGULAR, ROW_TICKS = 3, 2
"""So many scrapes, no two further apart than so many ticks, and the next page is made before it is asked for."""
LOOK_EVERY_S = 5.0
"""How late a series that has grown stale may leave the page."""
LABEL = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})


def line_start(name: str, labels: Labels) -> str:
    """A sample line up to its value."""
    if not labels:
        return f"{PREFIX}{name} "
    pairs = ",".join([f'{key}="{value.translate(LABEL)}"' for key, value in labels])
    return f"{PREFIX}{name}{{{pairs}}} "


def number(value: float) -> str:
    """A value as both formats spell it."""
    if isfinite(value):
        return repr(value)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def head(metric: Metric, openmetrics: bool) -> bytes:
    """The HELP and TYPE lines of a family. OpenMetrics names a counter's family without ``_total``, an info's without ``_info``."""
    name, kind = PREFIX + metric.name, metric.kind.value
    if not openmetrics:
        kind = "gauge" if metric.kind is Kind.INFO else kind
        return f"# HELP {name} {metric.help.translate(HELP)}\n# TYPE {name} {kind}\n".encode()
    ending = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(metric.kind, "")
    if not name.endswith(ending):
        kind, ending = "unknown", ""
    name = name.removesuffix(ending)
    unit = f"# UNIT {name} {metric.unit}\n" if metric.unit and name.endswith("_" + metric.unit) else ""
    return f"# HELP {name} {metric.help.translate(LABEL)}\n# TYPE {name} {kind}\n{unit}".encode()


def _line(start: str, value: float) -> str:
    return f"{start}{value!r}\n" if isfinite(value) else f"{start}{number(value)}\n"


class _Family:
    """All series of one name, with how their lines begin, and the lines as last rendered."""

    __slots__ = ("_lines", "_name", "_starts", "body", "heads")

    def __init__(self, metric: Metric) -> None:
        self._name = metric.name
        self.heads = (head(metric, False), head(metric, True))
        self.body = b""
        self._starts: dict[Kept, str] = {}
        self._lines: dict[Kept, str] = {}

    def show(self, live: list[Kept]) -> None:
        """These are to be shown from now on; those shown before keep their lines."""
        if live != [*self._lines]:
            start, line = self._starts.get, self._lines.get
            self._starts = {kept: start(kept) or line_start(self._name, kept.labels) for kept in live}
            self._lines = {kept: line(kept) or _line(self._starts[kept], kept.values[-1]) for kept in live}
            self._join()

    def move(self, moved: list[Kept]) -> bool:
        """Write the lines of these anew. False if one of them is not shown."""
        starts, lines, all_shown = self._starts, self._lines, True
        for kept in moved:
            if kept in starts:
                lines[kept] = _line(starts[kept], kept.values[-1])
            else:
                all_shown = False
        self._join()
        return all_shown

    def _join(self) -> None:
        self.body = "".join(self._lines.values()).encode()


class Page:
    """Both formats of the page, plain and compressed.

    ``appendix(openmetrics)`` gives the lines at the foot, ``on_render(seconds)`` is told what each rendering took.
    """

    def __init__(
        self,
        ring: Ring,
        metrics: Iterable[Metric],
        appendix: Callable[[bool], bytes],
        on_render: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._ring = ring
        self._families = {metric.name: _Family(metric) for metric in sorted(metrics, key=lambda metric: metric.name)}
        self._appendix = appendix
        self._on_render = on_render
        self._tick = -1
        self._looked = -inf
        self._restarts = ring.restarts
        self._texts: dict[bool, bytes] = {}
        self._zipped: dict[bool, bytes] = {}
        self._zipping = asyncio.Lock()
        self._regular = (False, False, 0, 0)  # the form last asked for, packed?, at which tick, and the how-many-eth time in a row

    def prepare(self) -> None:
        """To be called when a tick is over. One who asks at every tick finds the page ready, made while its series were at hand."""
        openmetrics, packed, tick, in_a_row = self._regular
        if in_a_row < REGULAR or self._ring.ticks - tick > ROW_TICKS:
            return
        text = self.text(openmetrics)
        if packed and len(text) <= _GZIP_PIECE:
            packer = _packer()
            self._zipped[openmetrics] = packer.compress(text) + packer.flush()

    def text(self, openmetrics: bool = False) -> bytes:
        """The page as of the newest tick."""
        if self._tick != self._ring.ticks:
            self._render()
        text = self._texts.get(openmetrics)
        if text is None:
            parts = [part for f in self._families.values() if f.body for part in (f.heads[openmetrics], f.body)]
            text = self._texts[openmetrics] = b"".join([*parts, self._appendix(openmetrics)])
        return text

    def plain(self, openmetrics: bool = False) -> bytes:
        """The page for one who asked for it."""
        self._asked(openmetrics, False)
        return self.text(openmetrics)

    async def zipped(self, openmetrics: bool = False) -> bytes:
        """The same compressed (gzip, level 1), once a tick however many ask; large pages in pieces, so that the loop turns."""
        self._asked(openmetrics, True)
        async with self._zipping:
            text = self.text(openmetrics)
            found = self._zipped.get(openmetrics)
            if found is None:
                found = await _gzip(text)
                if self._texts.get(openmetrics) is text:
                    self._zipped[openmetrics] = found
            return found

    def _asked(self, openmetrics: bool, packed: bool) -> None:
        tick, in_a_row = self._regular[2:]
        if (now := self._ring.ticks) > tick:
            self._regular = (openmetrics, packed, now, in_a_row + 1 if now - tick <= ROW_TICKS else 0)

    def _render(self) -> None:
        began = time.perf_counter()
        self._tick = self._ring.ticks
        self._texts.clear()
        self._zipped.clear()
        moved, names = self._ring.news()
        self._look_over(names)
        by_name: dict[str, list[Kept]] = {}
        for kept in moved:
            by_name.setdefault(kept.handle.name, []).append(kept)
        for name in names:
            self._family(name).show(self._ring.live(name))
        for name, series in by_name.items():
            family = self._family(name)
            if not family.move(series) and name not in names:  # one that was stale is back
                family.show(self._ring.live(name))
        self._on_render(time.perf_counter() - began)

    def _look_over(self, names: set[str]) -> None:
        """Now and then every family is gone through: what grew stale came with no news."""
        ring = self._ring
        if not 0 <= ring.now - self._looked < LOOK_EVERY_S or ring.restarts != self._restarts:
            self._looked, self._restarts = ring.now, ring.restarts
            names.update(ring.names(), self._families)

    def _family(self, name: str) -> _Family:
        family = self._families.get(name)
        if family is None:  # nobody declared it: shown all the same
            family = self._families[name] = _Family(Metric(name, Kind.GAUGE, "", "Not declared by any collector."))
        return family


def _packer() -> zlib._Compress:
    return zlib.compressobj(1, zlib.DEFLATED, 31)


async def _gzip(text: bytes) -> bytes:
    packer = _packer()
    parts = []
    for start in range(0, len(text), _GZIP_PIECE):
        parts.append(packer.compress(text[start : start + _GZIP_PIECE]))
        if len(text) > _GZIP_PIECE:
            await asyncio.sleep(0)
    return b"".join([*parts, packer.flush()])
