"""What a drill leaves on purpose: the diagnosis, its artefacts and, of a running agent, recording and incidents, for later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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


def note(room: Path, diagnosis: Mapping[str, Any]) -> None:
    """Put the answer (anfl.diagnosis/1) there, as ``diagnosis.json``: why a cause was not proven is in it."""
    (room / "diagnosis.json").write_text(json.dumps(diagnosis, indent=1), encoding="utf-8")
