"""What a look with memray found as a flame graph of ours: it needs no script, so reports can show and print it."""

from __future__ import annotations

from agent.model import Artifact
from agent.probes._files import keep_stacks
from agent.probes._memray_table import Facts, Row, Table
from agent.stacks import Frame, Stack

MIB = float(1 << 20)
ASKED = {"python": "Python objects", "malloc": "C library heap", "mapped": "mapped memory"}
"""A row's kind as the lowest box of its column says it."""


def stacks_of(found: Table) -> list[Stack]:
    """What lasted, by who allocated it; weights are MiB. What was born in the last tenth is left out, as it is from the verdict."""
    return [Stack(0, ASKED.get(row.kind, row.kind), _frames(row), row.bytes / MIB) for row in found.rows if row.bytes > 0.0]


def _frames(row: Row) -> tuple[Frame, ...]:
    """With the C function below Python, where it is known; one that no Python code called has no frames."""
    function, _, file = row.library.removesuffix(")").partition(" (")
    return (*row.frames, Frame(function, file, 0)) if row.library else row.frames


def draw(found: Table, seen: Facts, folder: str, pid: int) -> tuple[list[Artifact], str]:
    """The files kept, and why something was not ("" if all was)."""
    title = f"process {pid}: memory taken within {seen.seconds:.1f} s and kept, by who allocated it"
    return keep_stacks(folder, f"memory-{pid}", stacks_of(found), title=title, unit="MiB", scale=MIB)
