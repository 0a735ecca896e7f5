"""Flame graphs and other files that a diagnosis left, as a report shows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from agent.reports.document import Block, Item, Items, Json, Picture, Table

EMBED_MOST = 1 << 20
"""Bytes of a picture that goes into the page; a larger one is named."""
Keep = Callable[[str], bytes | None]
"""The bytes of an artefact, or None where it is not there or too large."""
TITLES = {"flamegraph": "Flame graph", "memray-report": "memray's own report (needs a browser with scripts)"}
NARROW = 0.02
"""Calls with a smaller share of all are left out of the table."""
ROWS_MOST = 6


def shown(artifacts: Sequence[Json], keep: Keep) -> list[Block]:
    """Flame graphs that can be had, with their widest boxes as a table, for whoever sees no picture; the other files by name."""
    blocks: list[Block] = []
    named: list[Item] = []
    for artifact in artifacts:
        kind, path = artifact["kind"], artifact["path"]
        title = TITLES.get(kind, kind.replace("-", " ").capitalize())
        held = keep(path)
        if kind == "flamegraph" and held is not None and b"<svg" in held[:1024]:
            blocks.append(Picture(title, path, held, "On the host, where figures show under the pointer:"))
            continue
        if kind == "collapsed-stacks" and held is not None:
            blocks += _widest(held.decode("utf-8", "replace"))
        named.append(Item(f"{title}, on the host", path))
    return blocks + ([Items(tuple(named))] if named else [])


def _widest(text: str) -> list[Block]:
    """Where the weight ends: innermost calls by their share of all, each with its caller."""
    ends: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        path, _, weight = line.rpartition(" ")
        if weight.isdigit():
            *_, caller, leaf = ("", *path.split(";"))
            ends[leaf, caller] = ends.get((leaf, caller), 0.0) + float(weight)
    whole = sum(ends.values())
    wide = sorted((end for end in ends if ends[end] >= NARROW * whole), key=lambda end: (-ends[end], end))[:ROWS_MOST]
    rows = tuple((leaf, caller or "–", f"{ends[leaf, caller] / whole:.0%}") for leaf, caller in wide)
    return [Table(("innermost call", "called by", "share"), rows, frozenset({2}))] if rows else []


def within(folder: str) -> Keep:
    """Reads SVG files and texts of at most :data:`EMBED_MOST` bytes from that folder, and nothing from anywhere else."""
    home = os.path.realpath(folder)

    def keep(path: str) -> bytes | None:
        there = os.path.realpath(path)
        try:
            if os.path.commonpath((home, there)) != home or not os.path.isfile(there):
                return None
            with open(there, "rb") as file:
                held = file.read(EMBED_MOST + 1)
        except (OSError, ValueError):
            return None
        return held if len(held) <= EMBED_MOST else None

    return keep
