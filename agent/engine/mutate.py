"""Do the rule tests notice a wrong rule? One comparison, joint or threshold is changed at a time; a test must then fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from agent.dataclass import dataclass
from agent.engine.diagnose import Assessment
from agent.engine.expr import Compiled
from agent.engine.rounds import RoundCache
from agent.engine.ruletest import Seen, compare, failures, state_failures, trace
from agent.engine.ruletestcases import Case
from agent.engine.trees import RuleSet, Tree
from agent.engine.walk import Walk
from agent.engine.windows import Value
from agent.model import Labels


@dataclass(frozen=True)
class Mutant:
    """A rule set with one changed condition: the symptom's ``when`` or ``clear``, or a check's ``if`` or ``expr``."""

    what: str
    tree: str
    place: str
    part: str
    changed: Compiled
    rules: RuleSet


@dataclass(frozen=True)
class Score:
    """How many changes the tests noticed; ``survivors`` they did not."""

    total: int
    survivors: tuple[str, ...]

    @property
    def share(self) -> float:
        """Noticed share, 0..1; 1 if nothing can be changed."""
        return 1.0 - len(self.survivors) / self.total if self.total else 1.0


def score(rules: RuleSet, cases: Sequence[Case], trees: frozenset[str] = frozenset()) -> Score:
    """Try every mutant (only of ``trees``, if given) against the cases until one fails. Cases that fail without a change do
    not count."""
    sound = [_Rehearsed(rules, c) for c in cases if not failures(rules, c, Seen())]
    total, survivors = 0, list[str]()
    for mutant in mutants(rules):
        if trees and mutant.tree not in trees:
            continue
        total += 1
        about = sorted(sound, key=lambda r: not r.names(mutant))
        noticed = next((r for r in about if r.notices(mutant)), None)
        if noticed is None:
            survivors.append(mutant.what)
        else:  # the next mutant is mostly one of the same condition
            sound.remove(noticed)
            sound.insert(0, noticed)
    return Score(total, tuple(survivors))


class _Remembered(RoundCache):
    """Answers over long windows at every moment a case asks about; they do not depend on the rules."""

    def bucket(self, key: tuple[str, str, Labels, float], now: float) -> int:
        """Each moment is its own."""
        return int(now * 1000.0)

    def get(self, key: tuple[str, str, Labels, float], bucket: int) -> tuple[bool, Value]:
        """(known, answer)."""
        return self.lasting.get((key, bucket), (False, None))

    def put(self, key: tuple[str, str, Labels, float], bucket: int, value: Value) -> None:
        """Remember for good."""
        self.lasting[key, bucket] = True, value


class _Rehearsed:
    """A case that passes, with how the rules came to every expectation: only where a change is felt is it played again."""

    def __init__(self, rules: RuleSet, case: Case) -> None:
        self.case = case
        self._steps = [trace(rules, case, expect.at) for expect in case.expect]
        self._cache = _Remembered()

    def names(self, mutant: Mutant) -> bool:
        """Does it expect an answer of the very check that is changed?"""
        return any(mutant.place in e.checks or f"{mutant.tree}.{mutant.place}" in e.checks for e in self.case.expect)

    def notices(self, mutant: Mutant) -> bool:
        """Would the case fail?"""
        if self.case.trees and mutant.tree not in self.case.trees:
            return False
        if mutant.part in ("when", "clear") and state_failures(mutant.rules, self.case, self._cache):
            return True
        return any(
            compare(trace(mutant.rules, self.case, expect.at)[-1], expect)
            for expect, steps in zip(self.case.expect, self._steps, strict=True)
            if any(self._feels(step, mutant) for step in steps)
        )

    def _feels(self, step: Assessment, mutant: Mutant) -> bool:
        """Does the change turn out differently at one step of the walk? Walks that are not about the target are not kept."""
        walks = [w for w in step.walks if w.tree.name == mutant.tree]
        everywhere = len(self.case.pids) if mutant.rules.trees[mutant.tree].each else 1
        return len(walks) < everywhere or any(_turns(step, walk, mutant) for walk in walks)


def _turns(step: Assessment, walk: Walk, mutant: Mutant) -> bool:
    assert step.round is not None
    if mutant.part == "clear":
        return False
    if mutant.part == "when":
        return mutant.changed.evaluate(step.round, walk.instance).value is not walk.fires
    outcome = walk.outcomes[mutant.place]
    above = takewhile(lambda name: name != mutant.place, walk.outcomes)
    round = step.round.with_checks({name: walk.outcomes[name].truth for name in above})
    gate = outcome.check.gate
    if mutant.part == "if":
        return gate is not None and mutant.changed.evaluate(round, walk.instance) != gate.evaluate(round, walk.instance)
    if outcome.result is None:
        return False
    round = round.with_answers(outcome.evidence.answers) if outcome.evidence else round
    return mutant.changed.evaluate(round, walk.instance) != outcome.result


def mutants(rules: RuleSet) -> Iterator[Mutant]:
    """Every single change of every condition."""
    for tree in rules.trees.values():
        for (place, part), condition in _conditions(tree).items():
            for what, changed in condition.mutants():
                trees = {**rules.trees, tree.name: _with(tree, place, part, changed)}
                said = f"{tree.name} {place} {part}: {what} in '{condition.text}'"
                yield Mutant(said, tree.name, place, part, changed, replace(rules, trees=trees))


def _conditions(tree: Tree) -> Mapping[tuple[str, str], Compiled]:
    found = {("symptom", "when"): tree.symptom.when}
    if tree.symptom.clear is not None:
        found["symptom", "clear"] = tree.symptom.clear
    for check in tree.checks.values():
        if check.gate is not None:
            found[check.id, "if"] = check.gate
        found[check.id, "expr"] = check.expr
    return found


def _with(tree: Tree, place: str, part: str, changed: Compiled) -> Tree:
    """The tree with one condition replaced."""
    if place == "symptom":
        symptom = tree.symptom
        return replace(tree, symptom=replace(symptom, when=changed) if part == "when" else replace(symptom, clear=changed))
    check = tree.checks[place]
    return replace(
        tree, checks={**tree.checks, place: replace(check, gate=changed) if part == "if" else replace(check, expr=changed)}
    )
