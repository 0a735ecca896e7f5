"""A flame graph as one self-contained SVG: no script, no font, no address outside the file; every text is escaped.

Pure. Wide boxes carry their name, every box its figures as a hover title. Own code is warm, libraries are cool.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import field
from html import escape

from agent.dataclass import dataclass
from agent.stacks import Stack, place

WIDTH = 1000.0
"""With letters of 12 units these are of 6 points on A4, the smallest that read well."""
ROW = 18.0
SIDE = 10.0
NARROWEST = 0.4
"""Boxes narrower than this many pixels are not drawn: they cannot be seen or hit."""
_CHAR = 7.2
_BAD = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
DEEPEST = 200


@dataclass
class _Node:
    name: str
    kind: str
    weight: float = 0.0
    below: dict[str, _Node] = field(default_factory=dict)


def render(stacks: Iterable[Stack], *, title: str, unit: str = "samples") -> str:
    """The SVG text. ``unit`` says what the weights are (``samples``, ``CPU seconds``)."""
    root = _tree(stacks)
    boxes: list[str] = []
    depth = _draw(root, SIDE, 0, root.weight or 1.0, unit, boxes)
    height = 2 * SIDE + 40 + ROW * (depth + 1)
    placed = "".join(box.replace("@", f"{height - SIDE:.0f}", 1) for box in boxes)
    return "\n".join((*_head(title, height, root.weight, unit), placed, "</svg>", ""))


def _tree(stacks: Iterable[Stack]) -> _Node:
    root = _Node("all", "root")
    for stack in stacks:
        root.weight += stack.weight
        node = root
        steps = [(stack.thread or f"thread {stack.tid}", "thread")]
        steps += [(str(frame), place(frame.file) if frame.line else "native") for frame in stack.frames[:DEEPEST]]
        for name, kind in steps:
            node = node.below.setdefault(name, _Node(name, kind))
            node.weight += stack.weight
    return root


def _draw(node: _Node, x: float, depth: int, whole: float, unit: str, boxes: list[str]) -> int:
    """Append the box of ``node`` and of all below it; the deepest row used."""
    width = node.weight / whole * (WIDTH - 2 * SIDE)
    if width < NARROWEST:
        return depth
    boxes.append(_box(node, x, depth, width, whole, unit))
    deepest = depth
    for child in sorted(node.below.values(), key=lambda below: below.name):
        deepest = max(deepest, _draw(child, x, depth + 1, whole, unit, boxes))
        x += child.weight / whole * (WIDTH - 2 * SIDE)
    return deepest


def _box(node: _Node, x: float, depth: int, width: float, whole: float, unit: str) -> str:
    amount = f"{node.weight:.3g} {unit}, {node.weight / whole:.1%}"
    tip = f"<title>{_safe(node.name)}: {amount}</title>"
    y = f"-{(depth + 1) * ROW:.0f}"
    rect = f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.3, 0.3):.1f}" height="{ROW - 1:.0f}" rx="1" fill="{_colour(node)}"/>'
    room = int((width - 6) / _CHAR)
    words = ""
    if room >= 3:
        shown = node.name if len(node.name) <= room else node.name[: room - 1] + "…"
        words = f'<text x="{x + 3:.1f}" y="-{(depth + 1) * ROW - 13:.0f}">{_safe(shown)}</text>'
    return f'<g transform="translate(0,@)">{tip}{rect}{words}</g>\n'


def _colour(node: _Node) -> str:
    """A steady colour per name, so two graphs of one program look alike."""
    seed = zlib.crc32(node.name.encode("utf-8", "replace"))
    hue, light = {
        "own": (8 + seed % 38, 62 + seed // 64 % 10),
        "package": (196 + seed % 24, 70 + seed // 64 % 8),
        "stdlib": (150 + seed % 24, 74 + seed // 64 % 8),
        "native": (265 + seed % 20, 76),
    }.get(node.kind, (220, 86))
    return f"hsl({hue},{'12%' if node.kind in ('root', 'thread') else '68%'},{light}%)"


def _head(title: str, height: float, weight: float, unit: str) -> list[str]:
    legend = "orange: own code · blue: installed packages · green: standard library"
    return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" width="100%" role="img"'
        f' aria-label="{_safe(title)}" font-family="ui-monospace,Menlo,Consolas,monospace" font-size="12" fill="#111">',
        "<style>rect{stroke:#fff;stroke-width:.4}g:hover>rect{stroke:#111;stroke-width:1}text{pointer-events:none}</style>",
        f'<rect width="{WIDTH:.0f}" height="{height:.0f}" fill="#fbfaf8"/>',
        f'<text x="{SIDE:.0f}" y="22" font-size="14">{_safe(title)}</text>',
        f'<text x="{SIDE:.0f}" y="38" fill="#666">{weight:.4g} {_safe(unit)} · {legend}</text>',
    ]


def _safe(text: str) -> str:
    """Text that cannot end its element nor break XML, whatever a hostile program called itself."""
    return escape(_BAD.sub("\ufffd", text), quote=True)
