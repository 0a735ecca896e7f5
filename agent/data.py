"""Finds rules/, dashboards/, systemd/, drills/, examples/: inside the wheel, or live in the checkout."""

from __future__ import annotations

from pathlib import Path

from agent.errors import UsageError

FOLDERS = ("rules", "dashboards", "systemd", "drills", "examples")
_HERE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder that holds the shipped folders."""
    inside = _HERE / "_data"
    return inside if inside.is_dir() else _HERE.parent


def folder(name: str) -> Path:
    """Path of one shipped folder; UsageError if there is none of that name."""
    path = root() / name
    if name not in FOLDERS or not path.is_dir():
        raise UsageError(f"no shipped folder '{name}'", help=f"there are: {', '.join(FOLDERS)}")
    return path


def files() -> list[str]:
    """Every shipped file as ``folder/sub/name``, sorted."""
    base = root()
    return sorted(
        str(path.relative_to(base))
        for name in FOLDERS
        for path in (base / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )
