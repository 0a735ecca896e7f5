"""A report as a list of blocks, before it is Markdown or HTML. All text in it is plain; whoever writes it out escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from agent.dataclass import dataclass

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Para:
    """A paragraph; ``soft`` for remarks that may be overlooked."""

    text: str
    soft: bool = False


@dataclass(frozen=True)
class Item:
    """One point of a list, with the command that goes with it."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Items:
    """A list of points."""

    items: tuple[Item, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells. Columns named in ``figures`` hold numbers; without a head the first column names what the row is."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Code:
    """Lines of a program, as they are."""

    text: str


@dataclass(frozen=True)
class Line:
    """One line of a chart; times in Unix seconds."""

    name: str
    times: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """A moment to be seen in a chart."""

    time: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Lines over time. ``unit`` as metrics declare it, or with ``/second``; ``since`` and ``until`` bound the axis."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    since: float
    until: float
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A picture to show: an SVG of ours, or, without ``svg``, a file that is only named."""

    title: str
    path: str
    svg: bytes | None = None
    why: str = ""


Block = Heading | Para | Items | Table | Code | Chart | Picture


@dataclass(frozen=True)
class Document:
    """A whole report. ``badge`` is a word shown beside the title, ``tone`` its meaning: critical, warning, notice, ok."""

    title: str
    badge: str = ""
    tone: str = "ok"
    under: str = ""
    blocks: tuple[Block, ...] = field(default=())


def clock(text: str | float | None) -> str:
    """A moment as reports write it: ``2026-11-23 03:12:08 UTC``; "–" for none."""
    if text is None:
        return "–"
    moment = datetime.fromisoformat(text) if isinstance(text, str) else datetime.fromtimestamp(text, UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
