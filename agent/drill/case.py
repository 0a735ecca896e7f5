"""A fault case: a folder with ``case.yaml`` and a workload that breaks in one known way, or a control that only looks broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from agent.dataclass import dataclass

FILE = "case.yaml"


@dataclass(frozen=True)
class Wanted:
    """What the main culprit must look like; a key that is None is not asked for.

    ``file`` is a path suffix, ``name`` a part of the culprit's name, ``line`` may be off by ``within`` lines.
    ``printed`` asks for one of the pids that the workload printed as ``CULPRIT <pid>``. ``uuid`` and ``pci`` are a GPU's.
    """

    kind: str | None = None
    name: str | None = None
    file: str | None = None
    function: str | None = None
    line: int | None = None
    within: int = 0
    printed: bool = False
    uuid: str | None = None
    pci: str | None = None


@dataclass(frozen=True)
class Expect:
    """The right diagnosis. ``accept`` are other ids that count as right, ``also`` further root causes that must be named.

    A culprit that matches any one of ``culprits`` is right; an empty tuple asks for none.
    """

    cause: str
    accept: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    culprits: tuple[Wanted, ...] = ()


@dataclass(frozen=True)
class Vary:
    """What a generated variant may draw: environment values, interpreters, background load; and whether names change."""

    env: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    python: tuple[str, ...] = ()
    background: tuple[str, ...] = ("none",)
    names: bool = True


@dataclass(frozen=True)
class Case:
    """One drill as its ``case.yaml`` says (the keys are documented there and in the design of the drills).

    ``for_`` is handed to diagnose as it stands. ``target`` is ``child``, ``host`` or ``printed`` (a line ``TARGET <pid>``).
    """

    id: str
    tree: str
    title: str
    start: tuple[str, ...]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    target: str = "child"
    for_: str = "15s"
    sim: Mapping[str, Any] = field(default_factory=dict)
    kernel_log: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    expect: Expect | None = None
    control: bool = False
    vary: Vary = Vary()
