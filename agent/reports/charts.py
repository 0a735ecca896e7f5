"""Charts as SVG by matplotlib, where it is installed (``pip install 'anfl-agent[report]'``), and as a row of blocks everywhere."""

from __future__ import annotations

import importlib.util
import io
import logging
import math
import re
import warnings
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from agent.engine.says import figure
from agent.host.text import clean
from agent.reports.document import Chart

MEND = "charts are drawn where matplotlib is installed: pip install 'anfl-agent[report]'"
BLOCKS = "▁▂▃▄▅▆▇█"
WIDE = 32
COLOURS = ("#1f5fa8", "#c45911", "#2e7d32", "#8e24aa", "#6d4c41", "#00838f")
MARKED = "#b3261e"
SIZE = (7.2, 2.1)
"""Inches: the width of A4 between its margins."""
_UNSAFE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the reader's own font
    "text.parse_math": False,  # a program may call itself $x$
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.edgecolor": "#999",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
}


def available() -> bool:
    """Whether charts can be drawn here."""
    return importlib.util.find_spec("matplotlib") is not None


def svg(chart: Chart) -> str:
    """The ``<svg>`` element, lines in the order of :data:`COLOURS`; no script, no address. Only where :func:`available`."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    made = io.StringIO()
    salt = f"{zlib.crc32(repr(chart).encode('utf-8', 'replace')):08x}"
    with warnings.catch_warnings(), matplotlib.rc_context({**_STYLE, "svg.hashsalt": salt}):
        warnings.simplefilter("ignore")  # of letters its own font lacks: the reader's has them
        drawn = Figure(figsize=SIZE, layout="constrained")
        FigureCanvasSVG(drawn)
        _draw(drawn.subplots(), chart)
        drawn.savefig(made, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = made.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'(?<= id=")(?=[a-z][\w.]*_\d+")', f"c{salt}-", body)  # groups of several charts on one page
    return body.replace("<svg ", '<svg role="img" class="chart" ', 1).strip()


def _draw(axes: Any, chart: Chart) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    scale = _scale(chart)
    for number, line in enumerate(chart.lines):
        at = [datetime.fromtimestamp(t, UTC) for t in line.times]
        alone = "." if len(at) == 1 else ""
        axes.plot(at, [v / scale for v in line.values], color=COLOURS[number % len(COLOURS)], marker=alone)
    for mark in chart.marks:
        at_mark = datetime.fromtimestamp(mark.time, UTC)
        axes.axvline(at_mark, color=MARKED, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.annotate(
            _text(mark.text), (at_mark, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -8),
            textcoords="offset points", color=MARKED, fontsize=7.5,
        )  # fmt: skip
    axes.set_xlim(datetime.fromtimestamp(chart.since, UTC), datetime.fromtimestamp(chart.until, UTC))
    locator = AutoDateLocator(minticks=4, maxticks=9, tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.yaxis.set_major_locator(MaxNLocator(5))

    class Ticks(FuncFormatter):
        def format_ticks(self, values: Any) -> list[str]:
            return _ticks([float(value) * scale for value in values], scale, chart.unit)

    ticks = Ticks(lambda value, _: _text(figure(float(value) * scale, chart.unit)))
    axes.yaxis.set_major_formatter(ticks)
    values = [v / scale for line in chart.lines for v in line.values]
    if values and min(values) >= 0.0 and (min(values) < 0.5 * max(values) or min(values) == max(values)):
        axes.set_ylim(0.0, max(values) * 1.1 or 1.0)


def _scale(chart: Chart) -> float:
    """Bytes are drawn in KiB, MiB, GiB …, clocks in MHz and GHz, so that the axis has round figures."""
    most = max((abs(v) for line in chart.lines for v in line.values), default=0.0)
    step = 1024.0 if chart.unit.startswith("bytes") else 1000.0 if chart.unit.startswith(("hertz", "joules")) else 0.0
    return step ** min(int(math.log(most, step)), 4) if step and most >= step else 1.0


def _ticks(values: Sequence[float], scale: float, unit: str) -> list[str]:
    """Labels of an axis: rounded as elsewhere, unless two of them would be alike."""
    labels = [_text(figure(value, unit)) for value in values]
    factor, sign = (100.0, " %") if unit == "ratio" else (1.0 / scale, figure(scale, unit).lstrip("0123456789."))
    for digits in range(4, 12):
        if len(set(labels)) == len(labels):
            break
        labels = [_text(f"{value * factor:.{digits}g}{sign}") for value in values]
    return labels


def _text(text: str) -> str:
    """Text that cannot break XML; matplotlib escapes the rest."""
    return _UNSAFE.sub("\ufffd", clean(text))


def spark(values: Sequence[float]) -> str:
    """The course of some values as a row of blocks, lowest to highest; empty for none."""
    if not values:
        return ""
    parts = min(WIDE, len(values))
    spans = [values[i * len(values) // parts : (i + 1) * len(values) // parts] for i in range(parts)]
    means = [sum(span) / len(span) for span in spans]
    low, high = min(means), max(means)
    if high <= low:
        return BLOCKS[0] * parts
    return "".join(BLOCKS[min(int((m - low) / (high - low) * len(BLOCKS)), len(BLOCKS) - 1)] for m in means)


def readings(chart: Chart) -> list[tuple[str, str, str, str, str, str]]:
    """A chart as rows of a table: name, course, first, lowest, highest, last. What a mail client that shows no SVG still tells."""
    rows = []
    for line in chart.lines:
        told = [figure(v, chart.unit) for v in (line.values[0], min(line.values), max(line.values), line.values[-1])]
        rows.append((line.name, spark(line.values), told[0], told[1], told[2], told[3]))
    return rows


READINGS_HEAD = ("series", "course", "first", "lowest", "highest", "last")
