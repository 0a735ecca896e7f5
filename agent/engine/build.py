"""One tree file → one compiled tree: names, weights, probes, settings and conditions are checked against the catalog."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from agent.dataclass import dataclass
from agent.engine.expr import Compiled, ExprError, Scope, compile_expr
from agent.engine.treefile import CauseFile, CheckFile, SymptomFile, TreeFile
from agent.engine.trees import Catalog, Cause, Check, ProbeSpec, Settings, Symptom, Tree
from agent.errors import Problem
from agent.model import Kind, Severity
from agent.yamlfile import Text, convert, did_you_mean

_COSTS = ("free", "light", "heavy")

TOPICS = ("latency", "memory", "throughput", "accuracy", "stability", "gpu", "host", "agent")
"""First words of cause ids, as the catalogue of causes has them."""

OWN_LABELS = ("pid", "cgroup", "unit", "container", "job", "user")
"""Labels of a process's own chain: a cause may name one of them as its culprit."""


@dataclass(frozen=True)
class Notes:
    """Where mistakes and warnings are collected; texts know their place."""

    problems: list[Problem]
    warnings: list[Problem]

    def problem(self, text: Text, message: str, help: str = "") -> None:
        """A mistake at a text."""
        self.problems.append(text.node.problem(message, help))

    def known(self, names: Iterable[Text], known: Collection[str], what: str) -> None:
        """Each name must be one of the known ones."""
        for name in names:
            if name not in known:
                self.problem(name, f"unknown {what} '{name}'", did_you_mean(name, known))

    def word(self, text: Text, pattern: str, rule: str) -> None:
        """A name must look as the rule says."""
        if not re.fullmatch(pattern, text):
            self.problem(text, f"{rule}, got '{text}'")

    def topic(self, cause: Text, tree: str) -> None:
        """The word before the dot is the cause's own tree or a topic: one tree per kind of instance may share a topic."""
        word, known = cause.partition(".")[0], sorted({tree, *TOPICS})
        if word not in known:
            self.problem(cause, f"unknown topic '{word}'", did_you_mean(word, known) or f"known: {', '.join(known)}")


class TreeBuilder:
    """Builds one tree; every mistake goes to ``notes`` and building goes on."""

    def __init__(self, file: TreeFile, catalog: Catalog, memory: float | None, notes: Notes) -> None:
        self.file = file
        self.catalog = catalog
        self.memory = memory
        self.notes = notes

    def build(self) -> Tree | None:
        """The tree, or None if it has a mistake."""
        file, before = self.file, len(self.notes.problems)
        self.notes.word(file.tree, r"[a-z][a-z0-9_]*", "a tree's name is one lower-case word")
        self.notes.known(file.each, {x for m in self.catalog.metrics.values() for x in m.labels}, "label")
        symptom = self._symptom(file.symptom)
        applies = self._compile(file.applies, each=()) if file.applies is not None else None
        if file.concerns is not None:
            lists = {m.name for m in self.catalog.metrics.values() if m.kind is Kind.INFO and "pid" in m.labels}
            self.notes.known([file.concerns], lists, "info series of processes")
        checks = self._checks()
        causes = tuple(self._cause(key, cause) for key, cause in file.causes.items())
        if len(self.notes.problems) > before or symptom is None:
            return None
        ready = {c.id: c for c in checks.values() if c is not None}
        self._unused(ready, causes)
        return Tree(str(file.tree), symptom, _plain(file.each), file.sop, ready, causes, applies, str(file.concerns or ""))

    def _symptom(self, file: SymptomFile) -> Symptom | None:
        when = self._compile(file.when)
        clear = self._compile(file.clear) if file.clear is not None else None
        severity = Severity[file.severity.upper()]
        return Symptom(when, clear, file.for_, file.keep_for, file.on_missing, severity, _plain(file.suspicion)) if when else None

    def _checks(self) -> dict[str, Check | None]:
        made: dict[str, Check | None] = {}
        for file in self.file.checks:
            self.notes.word(file.id, r"[a-z][a-z0-9_]*", "a check's id is lower-case words joined by '_'")
            if file.id in made:
                self.notes.problem(file.id, f"check '{file.id}' is declared twice")
            made[str(file.id)] = self._check(file, frozenset(made))
        return made

    def _check(self, file: CheckFile, above: frozenset[str]) -> Check | None:
        spec = self._probe(file)
        gate = self._compile(file.if_, checks=above) if file.if_ is not None else None
        expr = self._compile(file.expr, spec, above) if spec or file.probe is None else None
        settings = self._settings(file, spec)
        if expr is None:
            return None
        cost = file.cost or (spec.cost if spec else "free")
        probe = str(file.probe) if file.probe is not None else None
        return Check(str(file.id), expr, gate, probe, settings, cost, spec.per if spec else "process", file.sop)

    def _probe(self, file: CheckFile) -> ProbeSpec | None:
        if file.probe is None:
            for key in file.with_:
                self.notes.problem(key, "'with' needs a 'probe'")
            return None
        self.notes.known([file.probe], self.catalog.probes, "probe")
        spec = self.catalog.probes.get(file.probe)
        if spec and file.cost and _COSTS.index(file.cost) < _COSTS.index(spec.cost):
            self.notes.problem(file.probe, f"probe '{file.probe}' costs at least '{spec.cost}'")
        return spec

    def _settings(self, file: CheckFile, spec: ProbeSpec | None) -> Settings:
        if spec is None:
            return ()
        self.notes.known(file.with_, spec.settings, "setting")
        problems = self.notes.problems
        found = {str(k): convert(spec.settings[k], v, problems) for k, v in file.with_.items() if k in spec.settings}
        return tuple(sorted((name, _frozen(value)) for name, value in found.items()))

    def _cause(self, key: Text, file: CauseFile) -> Cause:
        tree, note = str(self.file.tree), self.notes
        note.word(key, r"[a-z][a-z0-9_]*\.[a-z0-9]+(-[a-z0-9]+)*", f"a cause is called '{tree}.some-name'")
        note.topic(key, tree)
        checks = {str(c.id) for c in self.file.checks}
        for names in (file.require, file.support, file.refute, file.felt_by):
            note.known(names, checks, "check")
        for name, weight in (*file.support.items(), *file.refute.items()):
            if not 0 < weight <= 1:
                note.problem(name, f"a weight is above 0 and at most 1, got {weight:g}")
        if not file.support:
            note.problem(key, f"cause '{key}' has no 'support': nothing can make it active")
        lists = {m.name for m in self.catalog.metrics.values() if m.kind is Kind.INFO}
        known = {*checks, *self._answers(), *OWN_LABELS, *self.file.each, *lists}
        note.known(file.culprit, known, "check, answer, label or info series")
        return Cause(
            id=str(key),
            tree=tree,
            title=file.title,
            severity=Severity[(file.severity or self.file.symptom.severity).upper()],
            require=_plain(file.require),
            support={str(k): w for k, w in file.support.items()},
            refute={str(k): w for k, w in file.refute.items()},
            felt_by=_plain(file.felt_by),
            leads_to=_plain(file.leads_to),
            culprit=_plain(file.culprit),
            target=file.target,
            playbook=str(file.playbook) if file.playbook else None,
            sop=(file.sop,) if isinstance(file.sop, str) else file.sop,
            advice=file.advice,
            prevent=file.prevent,
            victims=file.victims,
        )

    def _answers(self) -> set[str]:
        used = [self.catalog.probes.get(str(c.probe)) for c in self.file.checks if c.probe is not None]
        return {name for spec in used if spec for name in spec.answers}

    def _unused(self, checks: Mapping[str, Check], causes: Iterable[Cause]) -> None:
        used = {name for c in causes for name in (*c.checks, *c.culprit)}
        for check in checks.values():
            used |= check.expr.checks | (check.gate.checks if check.gate else frozenset())
        for file in self.file.checks:
            if file.id not in used:
                self.notes.warnings.append(file.id.node.problem(f"check '{file.id}' is used by no cause and no other check"))

    def _compile(
        self,
        text: Text,
        spec: ProbeSpec | None = None,
        checks: frozenset[str] = frozenset(),
        each: Iterable[str] | None = None,
    ) -> Compiled | None:
        bound = _plain(self.file.each if each is None else each)
        scope = Scope(self.catalog.metrics, bound, spec.answers if spec else {}, checks)
        try:
            made = compile_expr(str(text), scope)
        except ExprError as error:
            below = {str(c.id) for c in self.file.checks} - checks
            for p in error.problems:
                word = text[p.offset : p.offset + p.length]
                help = f"check '{word}' is declared below; move it up" if word in below else p.help
                self.notes.problems.append(text.node.problem(p.message, help, p.offset))
            return None
        if made.type != "bool":
            self.notes.problem(text, "a condition must be true or false", "compare it with something")
        if self.memory is not None and made.longest_window > self.memory:
            said = f"a window of {made.longest_window:g} s is longer than the {self.memory:g} s that are kept"
            self.notes.warnings.append(text.node.problem(said, "without a recording the answer is unknown"))
        return made


def _plain(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(str, texts))


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(sorted((str(k), _frozen(v)) for k, v in value.items()))
    if isinstance(value, Text):
        return str(value)
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
