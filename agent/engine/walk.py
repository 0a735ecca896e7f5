"""One tree walked for one instance: every check's outcome, and which closer looks are open and not yet taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple

from agent.dataclass import dataclass
from agent.diagnosis import Answer, Confidence, EvidenceLine
from agent.engine.confidence import confidence
from agent.engine.entities import Entities
from agent.engine.rounds import Instance, Result, Round
from agent.engine.says import names_in, number, said
from agent.engine.trees import Cause, Check, Settings, Tree
from agent.model import Cost, Evidence, Labels, Severity, Target, Truth


class ProbeKey(NamedTuple):
    """One closer look: equal keys are one look. ``pid`` is None for the host; ``entity`` names a target that is no process."""

    probe: str
    pid: int | None
    settings: Settings = ()
    entity: str = ""


@dataclass(frozen=True)
class ProbeRequest:
    """A look worth taking. ``causes`` are the undecided ones it bears on, ``weight`` is how steep or busy its target is."""

    key: ProbeKey
    cost: Cost
    target: Target
    checks: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    weight: float = 0.0

    @property
    def settings(self) -> dict[str, object]:
        """As keyword arguments for the probe."""
        return dict(self.key.settings)


@dataclass(frozen=True)
class Outcome:
    """A check as it stands. ``truth`` is what causes reckon with: a look that could have been taken is unknown, else false."""

    check: Check
    answer: Answer
    truth: Truth
    says: str = ""
    result: Result | None = None
    evidence: Evidence | None = None
    wanted: ProbeKey | None = None
    because: str = ""
    try_: str = ""
    weight: float = 0.0

    def line(self) -> EvidenceLine:
        """As it is shown."""
        took = self.evidence.took_s if self.evidence else 0.0
        return EvidenceLine(self.check.id, self.answer, self.says or self.because, self.check.probe or "metrics", took)


@dataclass(frozen=True)
class Walk:
    """A tree for one instance. ``fires`` is the symptom's truth now."""

    tree: Tree
    labels: Labels
    instance: Instance
    subject: str
    fires: Truth
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    @property
    def truths(self) -> dict[str, Truth]:
        """Check → truth."""
        return {name: o.truth for name, o in self.outcomes.items()}

    def confidence(self, cause: Cause) -> Confidence:
        """How sure this instance makes a cause."""
        return confidence(cause, self.truths)

    def severity(self, cause: Cause) -> Severity:
        """The cause's own, or notice where nobody is known to feel it."""
        if cause.felt_by and not any(self.outcomes[name].truth for name in cause.felt_by):
            return Severity.NOTICE
        return cause.severity


Answers = Mapping[ProbeKey, Evidence]


@dataclass(frozen=True)
class Walker:
    """Walks trees on one round. ``target`` is what host-wide looks are about, if a diagnosis has one."""

    round: Round
    entities: Entities
    answers: Answers
    target: Target
    own: frozenset[str]

    def walk(self, tree: Tree, labels: Labels) -> Walk:
        """All checks of a tree in their order, each seeing those above it."""
        instance = self.entities.instance(labels, self.entities.concerned(tree) or self.own)
        pid = instance.labels.get("pid")
        subject = self.entities.subject(pid) if pid else ",".join(f"{k}={v}" for k, v in labels)
        fires = _truth(tree.symptom.when.evaluate(self.round, instance))
        outcomes: dict[str, Outcome] = {}
        for check in tree.checks.values():
            truths = {name: o.truth for name, o in outcomes.items()}
            outcomes[check.id] = self._check(check, instance, self.round.with_checks(truths), outcomes)
        return Walk(tree, labels, instance, subject, fires, outcomes)

    def _check(self, check: Check, instance: Instance, round: Round, above: Mapping[str, Outcome]) -> Outcome:
        gate = check.gate.evaluate(round, instance) if check.gate else None
        opened: Truth = _truth(gate) if gate is not None else True
        if opened is False:
            return Outcome(check, "skipped", False, because=f"no need: not ({check.gate.text})" if check.gate else "")
        if opened is None:
            missing = ", ".join(gate.missing) if gate else ""
            return Outcome(check, "skipped", None, because=f"cannot tell whether it is needed: {missing} unknown")
        weight = self._weight(check, gate, instance, above)
        if check.probe is None:
            return _judged(check, check.expr.evaluate(round, instance), None, weight)
        key = self._key(check, check.probe, instance)
        evidence = self.answers.get(key)
        if evidence is None:
            return Outcome(check, "skipped", None, wanted=key, because=f"{check.probe} was not run", weight=weight)
        if evidence.because and not evidence.answers:
            truth = None if evidence.applies else False
            return Outcome(check, "skipped", truth, evidence=evidence, because=evidence.because, try_=evidence.try_)
        return _judged(check, check.expr.evaluate(round.with_answers(evidence.answers), instance), evidence, weight)

    def _key(self, check: Check, probe: str, instance: Instance) -> ProbeKey:
        """What the look is pointed at: the process, its subject's root, or for host trees the diagnosis' own target."""
        pid, entity = instance.labels.get("pid"), ""
        if pid is None:
            entity = ",".join(f"{k}={v}" for k, v in sorted(instance.labels.items()))
            pid = str(self.target.pid) if self.target.pid is not None and not entity else None
        if pid is None or not pid.isdecimal() or check.per == "host":
            return ProbeKey(probe, None, check.settings, entity)
        return ProbeKey(probe, int(self.entities.subject(pid) if check.per == "subject" else pid), check.settings)

    def _weight(self, check: Check, gate: Result | None, instance: Instance, above: Mapping[str, Outcome]) -> float:
        """How steep: the first figure behind the gate; without one, the CPU the process burns."""
        if gate is not None and check.gate is not None:
            opened = [above[n].result for n in names_in(check.gate, check.gate.checks) if above[n].truth]
            figures = [number(r.terms) for r in (*opened, gate) if r is not None]
            if found := [f for f in figures if f is not None]:
                return found[0]
        pid = instance.labels.get("pid")
        burnt = self.round.window("rate", "process_cpu_seconds_total", (("pid", pid),), 30.0) if pid else None
        return float(burnt) if isinstance(burnt, int | float) else 0.0


def _judged(check: Check, result: Result, evidence: Evidence | None, weight: float) -> Outcome:
    truth = _truth(result)
    says = said(check.expr, result)
    if evidence is not None:
        told = [evidence.says[name] for name in names_in(check.expr, check.expr.answers) if evidence.says.get(name)]
        says = "; ".join(dict.fromkeys((says, *told)))
    answer: Answer = "unknown" if truth is None else "true" if truth else "false"
    because = try_ = ""
    if truth is None:
        because = f"too little data for {', '.join(dict.fromkeys(result.missing)) or check.expr.text}"
        if evidence is not None:
            because, try_ = evidence.because or f"{check.probe} could not tell {', '.join(result.missing)}", evidence.try_
    return Outcome(check, answer, truth, says, result, evidence, because=because, try_=try_, weight=weight)


def _truth(result: Result) -> Truth:
    return result.value if isinstance(result.value, bool) else None
