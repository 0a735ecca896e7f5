"""Files of rule tests → cases to run, with every mistake in them."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from dataclasses import field, fields, replace
from typing import Any

from agent.dataclass import dataclass
from agent.engine.notation import NotationError, column
from agent.engine.ruletestfile import CaseFile, ExpectFile, ProbeFile, ProcessFile, RuleTestFile
from agent.engine.tableview import TableView
from agent.engine.trees import Catalog, RuleSet
from agent.errors import Problem, Problems
from agent.model import Column, Culprit, Event, Evidence, Labels, labels
from agent.yamlfile import Node, Text, convert, did_you_mean, fill, parse


@dataclass(frozen=True)
class Case:
    """A case ready to run. ``probes`` are canned looks by (probe, pid or None for any), ``expect`` is in order of time."""

    file: str
    name: str
    trees: tuple[str, ...]
    target: int | None
    pids: tuple[int, ...]
    view: TableView
    probes: Mapping[tuple[str, int | None], Evidence]
    expect: tuple[ExpectFile, ...]


def load_cases(files: Mapping[str, str], rules: RuleSet, catalog: Catalog) -> tuple[list[Case], list[Problem]]:
    """Test files (name → text) → cases, and every mistake in them."""
    cases: list[Case] = []
    problems: list[Problem] = []
    for name, text in files.items():
        try:
            file = fill(RuleTestFile, parse(text, name), problems) or RuleTestFile(())
        except Problems as error:
            problems.extend(error.problems)
            continue
        maker = _Maker(rules, catalog, problems)
        cases += [maker.case(name, case, file) for case in file.cases]
    return cases, sorted(set(problems))  # what all cases of a file share is looked at for each


_KEY = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>[^{}]*)\})?\Z")


@dataclass(frozen=True)
class _Maker:
    rules: RuleSet
    catalog: Catalog
    problems: list[Problem]
    columns: dict[tuple[str, float], Column] = field(default_factory=dict)

    def case(self, file: str, case: CaseFile, whole: RuleTestFile) -> Case:
        columns: dict[str, dict[Labels, Column]] = {}
        interval = case.interval or whole.interval
        for key, text in (*whole.input.items(), *case.input.items()):
            name, found = self._series(key)
            columns.setdefault(name, {})[found] = self._column(text, interval)
        trees = case.trees or whole.trees
        self._known(trees, self.rules.trees, "tree")
        for one in case.expect:
            self._expected(one)
        pids = self._processes(case, columns)
        events = [Event(e.at, e.kind, labels(**e.labels), e.text, dict(e.fields), e.trusted) for e in case.events]
        probes = self._probes(whole.probes, case.probes)
        given = case.target if case.target is not None else whole.target
        target = given if given is not None else (pids[0] if pids else None)
        view, expect = TableView(columns, events), tuple(sorted(case.expect, key=lambda e: e.at))
        return Case(file, str(case.name), tuple(map(str, trees)), target, pids, view, probes, expect)

    def _series(self, key: Text) -> tuple[str, Labels]:
        """``name{pid=1}``, with exactly the labels the metric declares."""
        match = _KEY.match(key)
        if match is None:
            self._say(key, f"cannot read '{key}'", "write name{label=value}")
            return str(key), ()
        pairs = [part.partition("=") for part in (match["labels"] or "").split(",") if part.strip()]
        found = labels(**{name.strip(): value.strip() for name, _, value in pairs})
        metric = self.catalog.metrics.get(match["name"])
        if metric is None:
            self._known([key], self.catalog.metrics, "series", match["name"])
        elif {name for name, _ in found} != set(metric.labels):
            self._say(key, f"{metric.name} has the labels {{{','.join(metric.labels)}}}")
        return match["name"], found

    def _column(self, text: Text, interval: float) -> Column:
        """Equal notations are one column."""
        key = (str(text), interval)
        if key not in self.columns:
            try:
                self.columns[key] = column(text, interval)
            except NotationError as error:
                self.problems.append(text.node.problem(str(error), offset=error.offset))
                return Column(array("d"), array("d"))
        return self.columns[key]

    def _processes(self, case: CaseFile, columns: dict[str, dict[Labels, Column]]) -> tuple[int, ...]:
        """``process_info`` of every pid in sight, as long as the longest series; a lone cgroup is everybody's."""
        named = {name: value for series in columns.values() for found in series for name, value in found if name == "cgroup"}
        pids = {str(p) for p in case.processes} | {v for s in columns.values() for ls in s for n, v in ls if n == "pid"}
        times = max((c.times for s in columns.values() for c in s.values()), key=len, default=array("d"))
        for pid in pids:
            known = next((p for key, p in case.processes.items() if key == pid), ProcessFile())
            cgroup = known.cgroup if known.cgroup is not None else named.get("cgroup", "")
            info = labels(pid=pid, comm=known.comm, subject=known.subject or pid, cgroup=cgroup, unit=known.unit)
            rest = labels(container=known.container, job=known.job, user=known.user)
            columns.setdefault("process_info", {})[tuple(sorted(info + rest))] = Column(times, array("d", [1.0] * len(times)))
        return tuple(sorted(int(pid) for pid in pids if pid.isdecimal()))

    def _probe_key(self, key: Text) -> tuple[str, int | None]:
        match = _KEY.match(key)
        name, pid = (match["name"], (match["labels"] or "").removeprefix("pid=")) if match else (str(key), "")
        self._known([key], self.catalog.probes, "probe", name)
        return name, int(pid) if pid.isdecimal() else None

    def _probes(self, file: Mapping[Text, Node], case: Mapping[Text, Node]) -> dict[tuple[str, int | None], Evidence]:
        """The file's looks, and laid over them, answer by answer, the case's; ``null`` takes a look away."""
        looks: dict[tuple[str, int | None], Evidence] = {}
        for key, node in (*file.items(), *case.items()):
            if node.kind == "scalar" and node.value is None:
                looks.pop(self._probe_key(key), None)
                continue
            at, new = self._probe(key, node)
            old = looks.get(at) or looks.get((at[0], None))
            if old is not None and not new.because:
                new = replace(new, answers={**old.answers, **new.answers}, culprits={**old.culprits, **new.culprits})
            looks[at] = new
        return looks

    def _probe(self, key: Text, node: Node) -> tuple[tuple[str, int | None], Evidence]:
        """Either answers by name, or the long form with ``answers``, ``culprits``, ``because``, ``try``."""
        name, pid = self._probe_key(key)
        long = node.kind == "map" and any(k.raw in ("answers", "culprits", "because", "try") for k, _ in node.pairs)
        given = fill(ProbeFile, node, self.problems) if long else ProbeFile(convert(Mapping[Text, Any], node, self.problems) or {})
        spec = self.catalog.probes.get(name)
        if given is None or spec is None:
            return (name, pid), Evidence(name)
        self._known([*given.answers, *given.culprits], spec.answers, "answer")
        culprits = {str(k): many for k, many in given.culprits.items()}
        answers = {str(k): value for k, value in given.answers.items()}
        return (name, pid), Evidence(name, answers, culprits, because=given.because, try_=given.try_)

    def _expected(self, expect: ExpectFile) -> None:
        lists = (expect.roots, expect.elsewhere, expect.consequences, expect.possible, expect.ruled_out)
        ids = [x for many in lists for x in many or ()] + [*expect.causes]
        self._known([*ids, *([expect.root] if expect.root not in (None, "none") else [])], self.rules.causes, "cause")
        self._known(expect.wanted or (), self.catalog.probes, "probe")
        self._known(expect.culprit, {f.name for f in fields(Culprit)}, "key of a culprit")
        checks = {c for tree in self.rules.trees.values() for c in tree.checks}
        dotted = {f"{tree.name}.{c}" for tree in self.rules.trees.values() for c in tree.checks}
        self._known(expect.checks, checks | dotted, "check")
        self._known(expect.unknown, {*checks, *dotted, *self.catalog.metrics}, "check or series")
        for text in expect.causes.values():
            if not COMPARISON.match(text):
                self._say(text, f"cannot read '{text}'", "write '>= 0.7' or '< 0.5'")

    def _known(self, names: Any, known: Any, what: str, word: str = "") -> None:
        for name in names:
            if (word or name) not in known:
                self._say(name, f"unknown {what} '{word or name}'", did_you_mean(word or name, known))

    def _say(self, text: Text, message: str, help: str = "") -> None:
        self.problems.append(text.node.problem(message, help))


COMPARISON = re.compile(r"\s*(<=|>=|<|>|==)\s*([0-9.]+)\s*\Z")
