"""The real command in a process of its own, as this user or as one without rights."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
NOBODY = 65534
SLOWEST_S = 60.0

LOOK_AT_ONCE = """\
tree: looked
each: [pid]
symptom: {when: "process_resident_bytes > 1000GiB"}
checks: [{id: hot, cost: light, probe: pyspy, with: {seconds: 2}, expr: "hot_share > 50%"}]
causes:
  looked.hotspot: {title: It computes in one place, require: [hot], support: {hot: 0.8}, severity: warning}
"""
"""A tree that looks closer without waiting for any history: what happens then is under test, not the rules."""


@dataclass(frozen=True)
class Done:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of stdout as one document."""
        return json.loads(self.out)

    def plain(self) -> Done:
        """Itself; fails on a traceback, or on a message that does not fit on a screen."""
        assert "Traceback" not in self.err + self.out, self.err
        assert len(self.err.splitlines()) < 40, self.err
        return self


@dataclass(frozen=True)
class Command:
    """``anfl-agent`` with a configuration of its own; all it writes lies below ``home``."""

    home: Path
    python: str = sys.executable
    uid: int | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def config(self, text: str = "", name: str = "config.yaml") -> Path:
        """Write a configuration file."""
        path = self.home / name
        path.write_text(text)
        return path

    def rules(self, text: str = LOOK_AT_ONCE) -> Path:
        """Write a folder of rules with one tree."""
        folder = self.home / "rules"
        folder.mkdir(exist_ok=True)
        (folder / "looked.yaml").write_text(text)
        return folder

    def start(self, *args: str, config: Path | None = None) -> subprocess.Popen[str]:
        """Begin a call."""
        named = ["--config", str(config)] if config else []
        rights: dict[str, Any] = {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": []}
        return subprocess.Popen(
            [self.python, "-m", "agent", *named, *args],
            cwd=self.home,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **rights,
        )

    def __call__(self, *args: str, config: Path | None = None) -> Done:
        """One call from start to end."""
        return ended(self.start(*args, config=config))

    def env(self) -> dict[str, str]:
        """Nothing of the caller's surroundings but the way to programs."""
        home = str(self.home)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,
            "XDG_CONFIG_HOME": f"{home}/etc",
            "XDG_STATE_HOME": f"{home}/state",
            "XDG_RUNTIME_DIR": f"{home}/run",
            "PYTHONPATH": os.pathsep.join([str(REPO), *site.getsitepackages()]),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.more,
        }


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a call that was begun."""
    try:
        out, err = process.communicate(timeout=SLOWEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Done(process.returncode, out, err).plain()
