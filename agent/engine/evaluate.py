"""The judge's step: symptoms go ok → pending → firing → resolved or gone. Missing data neither fires nor resolves.

Pure: (rules, view, earlier states) → (states, transitions). Only symptoms that are not ok have a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Literal

from agent.dataclass import dataclass
from agent.engine.entities import Entities
from agent.engine.rounds import Instance, Round, RoundCache
from agent.engine.says import holding
from agent.engine.trees import RuleSet, Symptom, Tree
from agent.model import ENTITY_ENDED, Event, Labels, Severity, Truth, View

Key = tuple[str, Labels]
"""Tree name and instance labels."""

LACKING_S = 3600.0
"""Seconds without a sample after which a series counts as one that is not there: the memory behind the rules."""

LATE_EVENTS = 30.0
"""Seconds an event may arrive after its own time and still close its instance."""


@dataclass(frozen=True)
class SymptomState:
    """A symptom that is not ok. ``onset`` is when it began; ``held`` and ``clear`` count seconds known true and known clear."""

    phase: Literal["pending", "firing"]
    onset: float
    at: float
    held: float = 0.0
    clear: float = 0.0
    clearing: bool = False
    missing: bool = False
    fired: float | None = None


@dataclass(frozen=True)
class JudgeState:
    """All symptoms that are not ok, after the round at ``at``."""

    at: float = 0.0
    symptoms: Mapping[Key, SymptomState] = field(default_factory=dict)


@dataclass(frozen=True)
class Transition:
    """One symptom changed. ``missing`` is true if it stands (or fired) without data; ``text`` is the condition with its values."""

    time: float
    tree: str
    labels: Labels
    to: Literal["pending", "firing", "resolved", "gone", "ok", "missing", "data_back"]
    onset: float
    severity: Severity
    missing: bool = False
    text: str = ""


def judge(
    rules: RuleSet,
    view: View,
    state: JudgeState,
    *,
    pids: frozenset[str] | None = None,
    cache: RoundCache | None = None,
    turn: int | None = None,
    round: Round | None = None,
) -> tuple[JudgeState, list[Transition]]:
    """One round over all trees; ``pids`` limits process trees to these processes (known symptoms are always judged on).

    With ``turn``, the number of the round, those that are ok are asked in turns: half of them in this round, the rest in the next.
    ``round`` is one of this very view, if there is one already.
    """
    round = round or Round(view, cache=cache)
    entities = Entities.of(round)
    open_, transitions = _close_ended(rules, view, state)
    after: dict[Key, SymptomState] = {}
    for tree in rules.trees.values():
        when, keys = tree.symptom.when, entities.keys(tree, pids) if turn is None else entities.half(tree, turn)
        if known := [labels for name, labels in open_ if name == tree.name]:
            keys = sorted({*keys, *known})
        for labels in keys:
            value = when.value(round, entities.instance(labels))
            before = open_.get((tree.name, labels)) if known else None
            if before is None and value is False:
                continue
            truth = value if isinstance(value, bool) else None
            clear = _clear(tree, truth, before, round, entities.instance(labels))
            now = _step(tree.symptom, before, truth, clear, view.now)
            if now is not None:
                after[tree.name, labels] = now
            for change in _changes(tree, labels, before, now, view.now):
                fires = now is not None and now.phase == "firing"
                text = holding(when, round, entities.instance(labels)) if fires else ""
                transitions.append(replace(change, text=text))
    return JudgeState(view.now, after), transitions


def _clear(tree: Tree, truth: Truth, before: SymptomState | None, round: Round, instance: Instance) -> Truth:
    """Is it over? Without ``clear``, when ``when`` is false; never while ``when`` is true."""
    symptom = tree.symptom
    if before is None or before.phase != "firing" or truth is True:
        return False
    if symptom.clear is None:
        return _nothing_left(tree, round, instance) if truth is None else True
    value = symptom.clear.value(round, instance)
    return value if isinstance(value, bool) else None


def _nothing_left(tree: Tree, round: Round, instance: Instance) -> Truth:
    """Is all that keeps ``when`` from being false a series that this instance does not have at all, as far as memory goes? Not
    every GPU has every counter. While nothing of the instance is heard, nothing is known."""
    unknown = tree.symptom.when.evaluate(round, instance).unknown
    known = [(labels, fixed) for name, fixed in unknown for labels in round.view.series(name, LACKING_S)]
    lacking = not any(set(fixed) <= set(labels) and _of(instance, dict(labels)) for labels, fixed in known)
    mine = ((name, labels) for name in tree.series for labels, named in round.live(name) if _of(instance, named))
    heard = any(round.last(name, labels) is not None for name, labels in mine)
    return True if lacking and heard else None


def _of(instance: Instance, labels: Mapping[str, str]) -> bool:
    return all(labels.get(name, value) == value for name, value in instance.labels.items())


def _step(symptom: Symptom, before: SymptomState | None, truth: Truth, clear: Truth, now: float) -> SymptomState | None:
    """The next state, or None for ok."""
    true = truth is True or (truth is None and symptom.on_missing == "alert")
    if before is None:
        if not true:
            return None
        fresh = SymptomState("pending", now, now, missing=truth is None)
        return _fire(fresh, symptom, now)
    passed = max(0.0, now - before.at)
    if before.phase == "pending":
        if not true:
            return None if truth is False else replace(before, at=now, missing=True)
        held = before.held if before.missing and truth is True and symptom.on_missing == "hold" else before.held + passed
        return _fire(replace(before, at=now, held=held, missing=truth is None), symptom, now)
    return _resolve(before, symptom, truth, clear, passed, now)


def _fire(state: SymptomState, symptom: Symptom, now: float) -> SymptomState:
    return replace(state, phase="firing", fired=now) if state.held >= symptom.for_ - 1e-9 else state


def _resolve(before: SymptomState, symptom: Symptom, truth: Truth, clear: Truth, passed: float, now: float) -> SymptomState | None:
    """Firing ends after ``keep_for`` seconds known to be clear; unknown stops that clock, anything else sets it back."""
    if clear is None:
        return replace(before, at=now, missing=True, clearing=False)
    if clear is False:
        return replace(before, at=now, missing=truth is None, clear=0.0, clearing=False)
    cleared = before.clear + (passed if before.clearing else 0.0)
    if cleared >= symptom.keep_for - 1e-9:
        return None
    return replace(before, at=now, missing=False, clear=cleared, clearing=True)


def _changes(tree: Tree, labels: Labels, before: SymptomState | None, now: SymptomState | None, at: float) -> list[Transition]:
    """What changed, if anything."""
    known = now or before
    if known is None:
        return []
    made = Transition(at, tree.name, labels, "ok", known.onset, tree.symptom.severity, known.missing)
    if now is None:
        return [replace(made, to="resolved" if known.phase == "firing" else "ok", missing=False)]
    if before is None or before.phase != now.phase:
        return [replace(made, to=now.phase)]
    if before.missing != now.missing:
        return [replace(made, to="missing" if now.missing else "data_back")]
    return []


def _close_ended(rules: RuleSet, view: View, state: JudgeState) -> tuple[dict[Key, SymptomState], list[Transition]]:
    """Instances whose entity was seen to end (or whose tree is gone) close as gone, before the same labels are judged anew."""
    events = view.events(ENTITY_ENDED, max(0.0, view.now - state.at) + LATE_EVENTS) if state.symptoms else ()
    open_: dict[Key, SymptomState] = {}
    transitions: list[Transition] = []
    for key, symptom in state.symptoms.items():
        tree = rules.trees.get(key[0])
        ended = view.now if tree is None else _ended(key, symptom, events)
        if ended is None:
            open_[key] = symptom
            continue
        to: Literal["gone", "ok"] = "gone" if symptom.phase == "firing" else "ok"
        severity = tree.symptom.severity if tree else Severity.WARNING
        transitions.append(Transition(ended, key[0], key[1], to, symptom.onset, severity))
    return open_, transitions


def _ended(key: Key, symptom: SymptomState, events: Sequence[Event]) -> float | None:
    """When this very instance ended: an event from before its onset ended an earlier entity of the same name."""
    mine = set(key[1])
    return next((e.time for e in events if e.labels and set(e.labels) <= mine and e.time >= symptom.onset), None)
