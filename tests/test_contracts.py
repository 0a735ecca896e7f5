"""House rules that a linter cannot say: plug-ins stand alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

AGENT = Path(__file__).resolve().parent.parent / "agent"
ROOMS = ("collectors", "probes")


def imported(path: Path) -> Iterator[str]:
    """Names of all modules a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", [p for room in ROOMS for p in sorted((AGENT / room).glob("*.py"))], ids=lambda p: p.stem)
def test_plug_ins_never_import_each_other(path: Path) -> None:
    """A plug-in imports of its own folder only helpers, whose names begin with an underscore: any one can be taken out."""
    room = f"agent.{path.parent.name}"
    plugins = {f"{room}.{p.stem}" for p in path.parent.glob("*.py") if not p.stem.startswith("_")}
    assert not {name for name in imported(path) if any(name == p or name.startswith(p + ".") for p in plugins)}


DEAR = (
    "rich",
    "memray",
    "apprise",
    "requests",
    "psutil",
    "pynvml",
    "numpy",
    "statistics",
    "prometheus_client",
    "importlib.metadata",
    "aiohttp.client",
    "ruamel.yaml",
    "agent.flamegraph",
    "agent.reports.doctor",
)
"""Packages and modules that cost memory and start-up time, and that are only for children, the command line or the first scrape."""


@pytest.mark.real
def test_the_daemon_starts_without_what_it_may_never_need() -> None:
    """All of its parts and plug-ins are imported, and none of these."""
    code = "import agent.cli.run, agent.daemon, sys; from agent import plugins; plugins.installed(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=AGENT.parent).stdout
    assert not set(DEAR) & set(loaded.split())


SPARED = (
    "_ssl",
    "_hashlib",
    "html.entities",
    "typing_extensions",
    "bz2",
    "urllib.request",
    "http.client",
    "argparse",
    "tarfile",
    "zipfile",
    "zoneinfo",
    "sysconfig",
)
"""Modules that asyncio, hashlib and aiohttp bring to whoever does not prevent it."""
RUN = """
import sys
import agent.cli.run
from agent.host import spare
spare.openssl()
spare.rare()
import agent.daemon
from agent import plugins
plugins.installed()
print(*sys.modules)
"""


@pytest.mark.real
def test_a_running_daemon_has_no_tls_and_no_client() -> None:
    """``run`` prevents what its libraries would load for clients and command lines that it is not."""
    loaded = subprocess.run([sys.executable, "-c", RUN], check=True, capture_output=True, text=True, cwd=AGENT.parent).stdout
    assert not set(SPARED) & set(loaded.split())
