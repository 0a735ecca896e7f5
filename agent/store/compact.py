"""Rewrites a closed file of the recording in longer records: the same values in two thirds of the space.

Works in a process of its own, ``python -m agent.store.compact PATH``: arithmetic for a second or so and some tens of MiB, nothing
that should happen beside the agent's loop. The new file takes the old one's place in one rename; a crash leaves the old one.
"""

from __future__ import annotations

import json
import os
import sys

from agent.store import recfile
from agent.store.part import parts
from agent.store.recfile import Record
from agent.store.rewrite import BLOCK_S, LEVEL, RECORD_S, Rewriting

MARK = b'"compacted": true'
"""Stands in the head of a file that was rewritten."""
TEMPORARY = ".compacting"


def compact(path: str, *, record_s: float = RECORD_S, block_s: float = BLOCK_S, level: int = LEVEL) -> tuple[int, int]:
    """Bytes before and after. ValueError if the file is damaged or still open (it stays as it is), OSError from the disk."""
    with open(path, "rb") as file:
        data = file.read()
    found = [r for r in recfile.records(data) if isinstance(r, Record)]
    ends = [r for r in found if r.kind == recfile.END]
    if sum(recfile.HEAD + r.length for r in found) != len(data) or not ends or found[0].kind != recfile.FILE:
        raise ValueError(f"{path} is damaged or was cut short")
    packer = recfile.Packer(level)
    head = json.dumps({**json.loads(found[0].payload), "format": recfile.FORMAT}).encode()[:-1] + b", " + MARK + b"}"
    new = [packer.record(recfile.FILE, head, found[0].first, found[0].last)]
    new += Rewriting(packer, record_s, block_s).records(parts(data))
    new += [packer.record(recfile.END, r.payload, r.first, r.last) for r in ends]
    _replace(path, b"".join(new))
    return len(data), sum(map(len, new))


def _replace(path: str, data: bytes) -> None:
    """Put new content in a file's place; whoever reads it sees the old or the new one, whole."""
    temporary = path + TEMPORARY
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fdatasync(fd)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


if __name__ == "__main__":
    os.nice(10)
    for argument in sys.argv[1:]:
        compact(argument)
