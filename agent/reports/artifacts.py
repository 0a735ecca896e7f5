"""Flame graphs and other files that a diagnosis left, as a report shows them."""

from __future__ import annotations

import os
from collections.abc import Callable

from agent.reports.document import Json, Picture

EMBED_MOST = 1 << 20
"""Bytes of a picture that goes into the page; a larger one is named."""
Keep = Callable[[str], bytes | None]
"""The bytes of an artefact, or None where it is not there, too large or no SVG."""


def picture(artifact: Json, keep: Keep) -> Picture:
    """One artefact: shown if it is an SVG that can be had, else named."""
    kind, path = artifact["kind"], artifact["path"]
    svg = keep(path) if path.endswith(".svg") else None
    title = {"flamegraph": "Flame graph"}.get(kind, kind.replace("-", " ").capitalize())
    return Picture(title, path, svg, "On the host, where figures show under the pointer:" if svg else "On the host:")


def within(folder: str) -> Keep:
    """Reads SVG files of at most :data:`EMBED_MOST` bytes from that folder, and nothing from anywhere else."""
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
        return held if len(held) <= EMBED_MOST and b"<svg" in held[:1024] else None

    return keep
