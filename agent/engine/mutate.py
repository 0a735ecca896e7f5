"""Do the rule tests notice a wrong rule? One comparison, joint or threshold is changed at a time; a test must then fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.engine.expr import Compiled
from agent.engine.ruletest import Seen, failures
from agent.engine.ruletestcases import Case
from agent.engine.trees import RuleSet, Tree


@dataclass(frozen=True)
class Mutant:
    """A rule set with one change; ``what`` says which. Only a changed symptom can change states."""

    what: str
    tree: str
    symptom: bool
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
    sound = [c for c in cases if not failures(rules, c, Seen())]
    total, survivors = 0, list[str]()
    for mutant in mutants(rules):
        if trees and mutant.tree not in trees:
            continue
        total += 1
        about = [c for c in sound if not c.trees or mutant.tree in c.trees]
        if not any(failures(mutant.rules, c, Seen(), states=mutant.symptom) for c in about):
            survivors.append(mutant.what)
    return Score(total, tuple(survivors))


def mutants(rules: RuleSet) -> Iterator[Mutant]:
    """Every single change of every condition."""
    for tree in rules.trees.values():
        for where, condition in _conditions(tree).items():
            for what, changed in condition.mutants():
                trees = {**rules.trees, tree.name: _with(tree, where, changed)}
                said = f"{tree.name} {where}: {what} in '{condition.text}'"
                yield Mutant(said, tree.name, where.startswith("symptom "), replace(rules, trees=trees))


def _conditions(tree: Tree) -> Mapping[str, Compiled]:
    found = {"symptom when": tree.symptom.when}
    if tree.symptom.clear is not None:
        found["symptom clear"] = tree.symptom.clear
    for check in tree.checks.values():
        if check.gate is not None:
            found[f"{check.id} if"] = check.gate
        found[f"{check.id} expr"] = check.expr
    return found


def _with(tree: Tree, where: str, changed: Compiled) -> Tree:
    """The tree with one condition replaced."""
    name, part = where.rsplit(" ", 1)
    if name == "symptom":
        symptom = tree.symptom
        return replace(tree, symptom=replace(symptom, when=changed) if part == "when" else replace(symptom, clear=changed))
    check = tree.checks[name]
    return replace(
        tree, checks={**tree.checks, name: replace(check, gate=changed) if part == "if" else replace(check, expr=changed)}
    )
