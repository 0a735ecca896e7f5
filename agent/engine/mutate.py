"""Do the rule tests notice a wrong rule? One comparison, joint or threshold is changed at a time; a test must then fail."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from agent.dataclass import dataclass
from agent.engine.diagnose import Assessment
from agent.engine.expr import Compiled
from agent.engine.ruletest import Rounds, comes_otherwise, compare, trace
from agent.engine.ruletestcases import Case
from agent.engine.trees import RuleSet, Tree
from agent.engine.walk import Walk


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
    """How many changes of one tree the tests noticed; ``survivors`` they did not."""

    tree: str
    total: int
    survivors: tuple[str, ...]

    @property
    def caught(self) -> int:
        """How many they noticed."""
        return self.total - len(self.survivors)

    @property
    def share(self) -> float:
        """Noticed share, 0..1; 1 if nothing can be changed."""
        return self.caught / self.total if self.total else 1.0


def scores(rules: RuleSet, cases: Sequence[Case], trees: Collection[str] = ()) -> list[Score]:
    """Tree by tree (only ``trees``, if given): try every mutant against the cases, all of which pass without a change, until
    one fails."""
    sound = [_Rehearsed(rules, c) for c in cases]
    return [_score(tree, rules, sound) for tree in rules.trees.values() if not trees or tree.name in trees]


def _score(tree: Tree, rules: RuleSet, sound: Sequence[_Rehearsed]) -> Score:
    near = [r for r in sound if r.concerns(tree)]
    total, survivors = 0, list[str]()
    for mutant in mutants(tree, rules):
        total += 1
        about = sorted(near, key=lambda r: not r.names(mutant))
        noticed = next((r for r in about if r.notices(mutant)), None)
        if noticed is None:
            survivors.append(mutant.what)
        else:  # the next mutant is mostly one of the same condition
            near.remove(noticed)
            near.insert(0, noticed)
    for rehearsed in near:
        rehearsed.rounds.forget()
    return Score(tree.name, total, tuple(survivors))


class _Rehearsed:
    """A case that passes, with how the rules came to every expectation: only where a change is felt is it played again."""

    def __init__(self, rules: RuleSet, case: Case) -> None:
        self.case = case
        self.rounds = Rounds(case, keep=True)
        self._steps = [trace(rules, case, expect.at) for expect in case.expect]

    def concerns(self, tree: Tree) -> bool:
        """Is the tree judged in it?"""
        return not self.case.trees or tree.name in self.case.trees

    def names(self, mutant: Mutant) -> bool:
        """Does it expect an answer of the very check that is changed?"""
        return any(mutant.place in e.checks or f"{mutant.tree}.{mutant.place}" in e.checks for e in self.case.expect)

    def notices(self, mutant: Mutant) -> bool:
        """Would the case fail?"""
        if mutant.part in ("when", "clear") and comes_otherwise(mutant.rules, self.case, self.rounds):
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


def mutants(tree: Tree, rules: RuleSet) -> Iterator[Mutant]:
    """Every single change of every condition of a tree."""
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
