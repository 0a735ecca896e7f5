"""Keeping what a look brought: flame graph and collapsed stacks, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence

from agent.host.text import clean
from agent.model import Artifact
from agent.stacks import Stack, collapsed


def keep_stacks(
    folder: str, stem: str, stacks: Sequence[Stack], *, title: str, unit: str, scale: float = 1.0
) -> tuple[list[Artifact], str]:
    """Write the flame graph and the collapsed text; what was kept, and why something was not ("" if all was)."""
    if not stacks or not folder:
        return [], ""
    from agent import flamegraph  # drawn seldom: the daemon's start does not pay for it

    kept: list[Artifact] = []
    mark = secrets.token_hex(4)
    try:
        drawn = flamegraph.render(stacks, title=clean(title), unit=unit)
        kept.append(Artifact("flamegraph", write(folder, f"{stem}-{mark}.svg", drawn)))
        kept.append(Artifact("collapsed-stacks", write(folder, f"{stem}-{mark}.collapsed.txt", collapsed(stacks, scale))))
    except OSError as error:
        return kept, f"the files were not kept in {clean(folder)}: {error.strerror or error}"
    return kept, ""


def write(folder: str, name: str, text: str) -> str:
    """Write a private file in one step: readers see all of it or nothing, a full disk leaves nothing behind."""
    path = os.path.join(folder, name)
    part = f"{path}.part"
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
        os.rename(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    return path
