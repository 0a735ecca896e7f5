"""Trees as the judge walks them: compiled, checked, frozen. :mod:`agent.engine.load` makes them from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.engine.expr import Compiled
from agent.errors import Problem
from agent.model import Cost, Metric, Severity
from agent.yamlfile import shape

Settings = tuple[tuple[str, Any], ...]
"""A probe's settings in a rule, sorted by name; values are hashable, so that equal looks are taken once."""

Per = Literal["process", "subject", "host"]


@dataclass(frozen=True)
class ProbeSpec:
    """What rules may know of a probe. ``settings`` maps a setting's name to its type.

    ``per`` says what one look is about: a process, a subject (a process with its tree: one look serves all its processes),
    or the host.
    """

    answers: Mapping[str, Metric]
    cost: Cost = "free"
    settings: Mapping[str, Any] = field(default_factory=dict)
    per: Per = "process"

    @staticmethod
    def of(probe: Any) -> ProbeSpec:
        """From a probe class: its ``answers``, ``cost``, dataclass fields, and ``per`` if it declares one."""
        return ProbeSpec({m.name: m for m in probe.answers}, probe.cost, shape(probe), getattr(probe, "per", "process"))


@dataclass(frozen=True)
class Catalog:
    """The names rules may use: metrics without the ``anfl_`` prefix, and probes by file name."""

    metrics: Mapping[str, Metric]
    probes: Mapping[str, ProbeSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class Symptom:
    """When a tree is worth walking. ``for_`` and ``keep_for`` are seconds.

    With ``suspicion`` it makes no incident by itself: the daemon looks closer, and it becomes one if that names such a cause.
    """

    when: Compiled
    clear: Compiled | None = None
    for_: float = 0.0
    keep_for: float = 0.0
    on_missing: Literal["hold", "alert"] = "hold"
    severity: Severity = Severity.WARNING
    suspicion: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One question. ``gate`` (``if`` in the file) opens it; ``probe`` is the closer look whose answers ``expr`` may use."""

    id: str
    expr: Compiled
    gate: Compiled | None = None
    probe: str | None = None
    settings: Settings = ()
    cost: Cost = "free"
    per: Per = "process"
    sop: str = ""


@dataclass(frozen=True)
class Cause:
    """One explanation. All names in ``require``, ``support``, ``refute`` and ``felt_by`` are checks of its tree."""

    id: str
    tree: str
    title: str
    severity: Severity
    require: tuple[str, ...] = ()
    support: Mapping[str, float] = field(default_factory=dict)
    refute: Mapping[str, float] = field(default_factory=dict)
    felt_by: tuple[str, ...] = ()
    leads_to: tuple[str, ...] = ()
    culprit: tuple[str, ...] = ()
    target: Literal["process", "unit", "cgroup", "host", "gpu", "endpoint", "run"] | None = None
    playbook: str | None = None
    sop: tuple[str, ...] = ()
    advice: str = ""
    prevent: str = ""
    victims: bool = False
    """Processes among the culprits are those it happened to."""

    @property
    def checks(self) -> tuple[str, ...]:
        """Names of all checks that bear on it, each once, the strongest kind of evidence first."""
        return tuple(dict.fromkeys((*self.require, *self.support, *self.refute, *self.felt_by)))


@dataclass(frozen=True)
class Tree:
    """One file: a symptom, the questions it raises and the causes they tell apart. ``each`` is () for the host."""

    name: str
    symptom: Symptom
    each: tuple[str, ...] = ()
    sop: tuple[str, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()
    applies: Compiled | None = None
    """A condition on the host: unless it is true the tree is neither judged nor walked."""
    concerns: str = ""
    """The info series of the processes that suffer from what a host-wide tree finds."""

    @cached_property
    def series(self) -> tuple[str, ...]:
        """The symptom's series, which decide what instances there are."""
        symptom = self.symptom
        return tuple(sorted(symptom.when.series | (symptom.clear.series if symptom.clear else frozenset())))

    @cached_property
    def bearing(self) -> Mapping[str, frozenset[str]]:
        """Cause → all checks whose answers reach it: its own and those behind their conditions and gates."""
        return {cause.id: self.behind(cause.checks) for cause in self.causes}

    def behind(self, names: Iterable[str]) -> frozenset[str]:
        """These checks and all that their conditions and gates ask for."""
        todo, seen = list(names), set(names)
        while todo:
            check = self.checks[todo.pop()]
            new = (check.expr.checks | (check.gate.checks if check.gate else frozenset())) - seen
            todo.extend(new)
            seen |= new
        return frozenset(seen)


@dataclass(frozen=True)
class RuleSet:
    """All trees and, by id, all causes. ``warnings`` are worth a look and stop nothing."""

    trees: Mapping[str, Tree] = field(default_factory=dict)
    causes: Mapping[str, Cause] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def victims(self) -> frozenset[str]:
        """Ids of causes whose culprits are those it happened to."""
        return frozenset(name for name, cause in self.causes.items() if cause.victims)

    def named(self, names: Iterable[str]) -> frozenset[str]:
        """Trees asked for by name; ``gpu`` also means its siblings ``gpu_node``, ``gpu_load`` …"""
        return frozenset(t for t in self.trees for name in names if t == name or t.startswith(f"{name}_"))
