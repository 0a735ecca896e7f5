"""Where one evaluation stands: the round, the labels bound so far, and what it leaves for the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from agent.engine.rounds import AnswerValue, Instance, Round, Term
from agent.model import Labels

BELOW = {"pid": ("cgroup", "uuid"), "cgroup": ("uuid",)}
"""The entity chain process → cgroup → GPU (by UUID) → host: what an ``each`` label also binds."""


GPU_LABELS = frozenset({"gpu", "uuid", "pci"})
"""A GPU's own labels: its index as first seen, its UUID, its PCI address."""


def slot(pci: str) -> str:
    """A PCI address without its function: the driver leaves it out, NVML does not."""
    return pci.lower().partition(".")[0]


def bound_by(each: tuple[str, ...]) -> frozenset[str]:
    """Labels an instance of ``each`` binds, itself or through the chain."""
    return frozenset(each).union(*(BELOW.get(label, ()) for label in each))


class Context:
    """State of one evaluation."""

    __slots__ = ("culprits", "instance", "known", "labels", "missing", "round", "terms", "unknown")

    def __init__(self, round_: Round, instance: Instance, labels: Mapping[str, str] | None = None) -> None:
        self.round = round_
        self.instance = instance
        self.labels, self.known = (instance.labels, instance.bound) if labels is None else (labels, {})
        self.terms: list[Term] = []
        self.missing: list[str] = []
        self.unknown: list[tuple[str, Labels]] = []
        self.culprits: list[Labels] = []

    def bind(self, names: tuple[str, ...], fixed: Labels = ()) -> Labels | None:
        """The label set of a series with these (sorted) label names, besides those that are ``fixed``; None if the instance
        lacks one of them."""
        known = self.known
        if names not in known:
            labels = self.labels
            known[names] = tuple([(n, labels[n]) for n in names]) if all(n in labels for n in names) else None
        bound = known[names]
        return tuple(sorted(bound + fixed)) if fixed and bound is not None else bound

    def note(self, text: str, value: AnswerValue, unit: str, name: str, fixed: Labels = ()) -> AnswerValue:
        """Leave a term, and the name as missing if nothing is known; hands the value on."""
        if value is None:
            self.missing.append(name)
            self.unknown.append((name, fixed))
        term = Term(text, value, unit)
        if term not in self.terms:
            self.terms.append(term)
        return value

    def blame(self, culprits: Iterable[Labels]) -> None:
        """Leave label sets, worst first."""
        self.culprits.extend(culprits)


class Quiet(Context):
    """For one who wants only the value: leaves nothing for the evidence."""

    __slots__ = ()

    def __init__(self, round_: Round, instance: Instance, labels: Mapping[str, str] | None = None) -> None:
        self.round = round_
        self.instance = instance
        self.labels, self.known = (instance.labels, instance.bound) if labels is None else (labels, {})

    def note(self, text: str, value: AnswerValue, unit: str, name: str, fixed: Labels = ()) -> AnswerValue:
        """Hands the value on."""
        return value

    def blame(self, culprits: Iterable[Labels]) -> None:
        """Nothing."""


Run = Callable[[Context], AnswerValue]
"""A compiled part of an expression."""
