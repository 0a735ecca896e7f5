"""Suspicions: symptoms of trees with ``suspicion: [causes or topics]``, kept from everybody until a look has named one of them.

A fast path sees in a minute what can be proven only in an hour, or by a look: growth, connections that wait. Most of what it sees
is healthy (a start, a warm-up, a burst), so it opens no incident and tells nobody. The daemon looks closer, seldom enough that
this costs next to nothing, and where the look names a cause that was suspected the symptom is told like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import field

from agent.dataclass import dataclass
from agent.engine.evaluate import Key, Transition
from agent.engine.trees import RuleSet
from agent.model import JsonObject

PACE_S = 3600.0
LOOKS = 6
"""Looks for suspicions of one tree in ``PACE_S``, on the whole host: a rule that is too broad must neither make the agent the
problem nor keep others from being looked into."""
LOOK_AGAIN_S = 1800.0
"""A suspicion that stands is looked into again after that long: what it was is not what it must stay."""


@dataclass
class _Held:
    """One suspicion that stands; ``looked`` is when it was last looked into (monotonic seconds)."""

    change: Transition
    looked: float | None = None


@dataclass
class Suspicions:
    """Which suspicions stand and which are proven; see the module."""

    _held: dict[Key, _Held] = field(default_factory=dict)
    _proven: set[Key] = field(default_factory=set)
    _looks: dict[str, deque[float]] = field(default_factory=dict)

    def know(self, rules: RuleSet, keys: Iterable[Key]) -> None:
        """What people were told of before a restart stays told."""
        self._proven |= {key for key in keys if _is_suspicion(rules, key[0])}

    def sift(self, rules: RuleSet, transitions: Sequence[Transition]) -> list[Transition]:
        """A round's changes without those of suspicions that nothing has proven yet."""
        return [change for change in transitions if not _is_suspicion(rules, change.tree) or self._heard(change)]

    def reread(self, rules: RuleSet, told: Iterable[Key]) -> list[Transition]:
        """The rules are others now. Beginnings to tell: of what was suspected and is a plain symptom, which fires only once.

        What was ``told`` stays told, or its end would not be heard; what stands of a tree that is gone is ended by nobody.
        """
        self._proven.clear()
        self.know(rules, told)
        freed = [key for key in self._held if not _is_suspicion(rules, key[0])]
        changes = [self._held.pop(key).change for key in freed]
        return [change for change in changes if change.tree in rules.trees]

    def _heard(self, change: Transition) -> bool:
        key = change.tree, change.labels
        over = change.to in ("resolved", "gone")
        if key in self._proven:
            if over:
                self._proven.discard(key)
            return True
        if change.to == "firing":
            self._held[key] = _Held(change)
        elif over:
            self._held.pop(key, None)
        return False

    def due(self, now: float) -> Transition | None:
        """The suspicion to look into next, newest first, if any may be looked into now; it counts as looked into."""
        for (tree, _), held in reversed(self._held.items()):
            if (held.looked is None or now - held.looked >= LOOK_AGAIN_S) and self._may_look(tree, now):
                held.looked = now
                self._looks[tree].append(now)
                return held.change
        return None

    def _may_look(self, tree: str, now: float) -> bool:
        taken = self._looks.setdefault(tree, deque())
        while taken and now - taken[0] >= PACE_S:
            taken.popleft()
        return len(taken) < LOOKS

    def proven(self, rules: RuleSet, key: Key, diagnosis: JsonObject) -> Transition | None:
        """The beginning of a suspicion that still stands and that a diagnosis bears out; it is told from now on."""
        held = self._held.get(key)
        if held is None or not borne_out(rules, key[0], diagnosis):
            return None
        del self._held[key]
        self._proven.add(key)
        return held.change


def borne_out(rules: RuleSet, tree: str, diagnosis: JsonObject) -> bool:
    """Whether a look named what was suspected."""
    return any(bears_out(rules, tree, cause) for cause in diagnosis["causes"])


def bears_out(rules: RuleSet, tree: str, cause: JsonObject) -> bool:
    """Whether a cause is what was suspected: named by the tree, worth telling, and a process's or a device's, not the host's."""
    names = {str(cause["id"]), str(cause["id"]).partition(".")[0]}
    suspected = not names.isdisjoint(rules.trees[tree].symptom.suspicion) if tree in rules.trees else False
    return suspected and cause["severity"] != "notice" and cause["target"]["kind"] != "host"


def _is_suspicion(rules: RuleSet, tree: str) -> bool:
    known = rules.trees.get(tree)
    return known is not None and bool(known.symptom.suspicion)
