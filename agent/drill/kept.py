"""What a drill leaves on purpose: the private agent's recording, incidents and artefacts, to be replayed and reported later."""

from __future__ import annotations

import shutil
from pathlib import Path


def room(keep: Path, case: str, number: int) -> Path:
    """A new folder for one drill: named after its case and variant, and after how often it was held before.

    Of its owner only: a recording names programs and users.
    """
    name = case + (f"-v{number}" if number else "")
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    for again in range(1, 10_000):
        made = keep / (name if again == 1 else f"{name}-{again}")
        try:
            made.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return made
    raise FileExistsError(f"{keep} holds too many drills of {name}")


def furnish(room: Path, config: str) -> None:
    """Put the configuration beside the state that it names: ``anfl-agent --config ROOM/config.yaml replay``, ``… report``."""
    shutil.copyfile(config, room / "config.yaml")
