"""A report as Markdown (CommonMark with GitHub's tables). Whatever comes from outside is escaped; charts are rows of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.host.text import clean
from agent.reports import charts
from agent.reports.document import Block, Chart, Code, Document, Heading, Item, Items, Para, Picture, Table, clock

LONGEST = 2000
_SPECIAL = re.compile(r"([\\`*_\[\]<>~|#!$&])")
_BEGINS = re.compile(r"^(\d+)(?=[.)])|^(?=[-+=])")
_SCHEME = re.compile(r"(?i)\b(https?|ftp|mailto|www)([:.])")


def markdown(document: Document) -> str:
    """The text, with a line end behind it."""
    badge = f" · {prose(document.badge.upper())}" if document.badge else ""
    parts = [f"# {prose(document.title)}{badge}", prose(document.under), *(_block(b) for b in document.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def prose(text: str) -> str:
    """Words that stay words, at the beginning of a line too: no markup, no link, no mention comes of them."""
    said = inline(text)
    return _BEGINS.sub(r"\1\\", said)


def inline(text: str) -> str:
    """The same inside a line."""
    said = _SPECIAL.sub(r"\\\1", clean(" ".join(text.split()), LONGEST))
    return _SCHEME.sub(r"\1\\\2", said).replace("@", "@\u200b")


def code(text: str) -> str:
    """A command or a name as inline code, whatever quotes it holds."""
    said = clean(" ".join(text.split()), LONGEST)
    fence = "`" * (max((len(run) for run in re.findall(r"`+", said)), default=0) + 1)
    gap = " " if said[:1] == "`" or said[-1:] == "`" else ""
    return f"{fence}{gap}{said}{gap}{fence}"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {prose(block.text)}"
        case Para():
            return f"*{prose(block.text)}*" if block.soft else prose(block.text)
        case Items():
            marks = (f"{n}. " if block.numbered else "- " for n in range(1, len(block.items) + 1))
            return "\n".join(mark + _item(item) for mark, item in zip(marks, block.items, strict=True))
        case Table():
            return _table(block.head, block.rows, block.figures)
        case Code():
            return _fenced(block.text)
        case Chart():
            return _chart(block)
        case Picture():
            return f"{prose(block.title)}: {code(block.path)}"


def _item(item: Item) -> str:
    return prose(item.text) + (f" → {code(item.command)}" if item.command else "")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], figures: frozenset[int] = frozenset()) -> str:
    names = [*head]
    ruled = ["---:" if n in figures else "---" for n in range(len(names))]
    lines = [[inline(cell) for cell in row] for row in (names, *rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], ruled, *lines[1:]))


def _chart(chart: Chart) -> str:
    marks = "".join(f", {mark.text} {clock(mark.time)}" for mark in chart.marks)
    span = f"{clock(chart.since)} to {clock(chart.until)}{marks}"
    rows = _table(charts.READINGS_HEAD, charts.readings(chart), frozenset({2, 3, 4, 5}))
    return f"**{prose(chart.title)}** ({prose(span)})\n\n{rows}"


def _fenced(text: str) -> str:
    lines = [clean(line, 400) for line in text.splitlines()]
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return "\n".join((fence + "text", *lines, fence))
