"""What the desk sees of the host in one round of the judge: who a symptom concerns, who has ended, what is known to be quiet."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from agent.engine.entities import Entities
from agent.engine.evaluate import LATE_EVENTS, Transition
from agent.engine.graph import Place
from agent.engine.impact import of_symptom, single_gpu
from agent.engine.incident import Complaint, Impact, Key
from agent.engine.incidentbook import Seen
from agent.engine.rounds import Round, RoundCache
from agent.engine.trees import RuleSet
from agent.model import ENTITY_ENDED, Labels, Severity, View


class Sight:
    """One round, looked at only where there is something to see."""

    def __init__(self, view: View, cache: RoundCache) -> None:
        self.now = view.now
        self._view = view
        self._cache = cache

    @cached_property
    def _round(self) -> Round:
        return Round(self._view, cache=self._cache)

    @cached_property
    def _entities(self) -> Entities:
        return Entities.of(self._round)

    def seen(self, transitions: Iterable[Transition]) -> list[Seen]:
        """What matters to incidents of a round's changes: what fires, with whom it concerns, and what is over."""
        found = []
        for change in transitions:
            if change.to == "firing":
                found.append(Seen(change, self._complaint(change), of_symptom(self._entities, change.labels)))
            elif change.to in ("resolved", "gone"):
                found.append(Seen(change, bare(change), Impact()))
        return found

    def ended(self, watched: frozenset[Key]) -> list[Seen]:
        """Of symptoms that are over, those whose entity was seen to end lately."""
        if not watched:
            return []
        events = self._view.events(ENTITY_ENDED, LATE_EVENTS)
        over = [(key, e.time) for key in sorted(watched) for e in events if e.labels and set(e.labels) <= set(key[1])]
        return [Seen(change, bare(change)) for change in (gone(*key, at) for key, at in over)]

    def quiet(self, rules: RuleSet, watched: frozenset[Key]) -> frozenset[Key]:
        """Of symptoms that are over, those known to be so now. One whose tree is gone is asked no more."""
        return frozenset(key for key in watched if self._is_quiet(rules, *key))

    def _is_quiet(self, rules: RuleSet, tree: str, labels: Labels) -> bool:
        known = rules.trees.get(tree)
        return known is None or known.symptom.when.value(self._round, self._entities.instance(labels)) is False

    def _complaint(self, change: Transition) -> Complaint:
        instance = self._entities.instance(change.labels)
        pid = instance.labels.get("pid")
        place = dict(instance.labels)
        start = None
        if pid is not None:
            start = self._round.last("process_start_time_seconds", (("pid", pid),))
            place["comm"] = self._entities.info.get(pid, {}).get("comm", "")
            gpu = single_gpu(self._entities, instance.own_pids)
            place |= {"uuid": gpu} if gpu else {}
        return Complaint(
            tree=change.tree,
            labels=change.labels,
            severity=change.severity,
            onset=change.onset,
            fired=change.time,
            text=change.text,
            place=Place(change.labels, place, instance.own_pids if pid is not None else frozenset()),
            start=start,
            missing=change.missing,
        )


def bare(change: Transition) -> Complaint:
    """Just which symptom it is."""
    return Complaint(change.tree, change.labels, change.severity, change.onset, change.time)


def gone(tree: str, labels: Labels, at: float) -> Transition:
    """The end of a symptom's entity, as the judge would have said."""
    return Transition(at, tree, labels, "gone", at, Severity.WARNING)
