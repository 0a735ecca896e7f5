"""A small case in a temporary folder, and a diagnosis as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = '''"""Keeps notes."""
import time
NOTES = []


def keep(note):
    NOTES.append(note * 3)  # <- culprit


class Desk:
    def __init__(self, size):
        self.size = size

    def take(self, note, times=1):
        keep(note * times)


def main():
    desk = Desk(size=2)
    desk.take("a", times=desk.size)  # <- also
    print("READY", flush=True)
    time.sleep(60)


main()
'''

YAML = """\
id: notes
tree: memory
title: keeps notes
start: ["{python}", "workload.py"]
for: 2s
expect: {cause: memory.python-leak, culprit: {file: workload.py, function: keep, line: 7, within: 1}}
vary:
  env: {RATE: [1, 2, 3]}
  python: [py3.9, py3.13]
"""


@pytest.fixture
def case_folder(tmp_path: Path) -> Path:
    """A folder with one case in it."""
    folder = tmp_path / "cases" / "notes"
    folder.mkdir(parents=True)
    (folder / "case.yaml").write_text(YAML)
    (folder / "workload.py").write_text(SOURCE)
    return folder


@pytest.fixture
def diagnosis() -> Callable[..., dict[str, Any]]:
    """Makes an ``anfl.diagnosis/1`` with the given causes, each ``(id, severity, culprit)``."""

    def make(*causes: tuple[str, str, dict[str, Any] | None], **more: Any) -> dict[str, Any]:
        listed = [{"id": i, "severity": s, "culprits": [c] if c else []} for i, s, c in causes]
        return {"schema": "anfl.diagnosis/1", "causes": listed, "elsewhere": [], **more}

    return make
