"""A recording lived again under the same or other rules: what would have fired, and what would have been named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent import __version__, past
from agent.casework import AGAIN_S, SAMPLE_S
from agent.engine import looks
from agent.engine.diagnose import Meta, Scope, conclude
from agent.engine.evaluate import JudgeState, Transition, judge
from agent.engine.report import to_json, when
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.model import Event, JsonObject, Labels, Severity
from agent.store.recording import Recording
from agent.store.ring import Ring

JUDGE_EVERY_S = 5.0
SETTLE_TICKS = 2
LOOKED_S = 75.0
"""A look that ended this long after the symptom fired still belongs to it: sampling, and the longest drill-down."""
NEAR_S = 60.0
"""Two rule sets that fire for the same thing within this time mean the same episode."""
Key = tuple[str, Labels]


@dataclass(frozen=True)
class Finding:
    """One symptom that fired, and what was named for it. ``live``: the answer given then, where one was."""

    time: float
    tree: str
    labels: Labels
    severity: Severity
    diagnosis: JsonObject
    live: JsonObject | None = None

    @property
    def root(self) -> str:
        """Id of the root cause; "" if none was named."""
        causes = self.diagnosis["causes"]
        return str(causes[0]["id"]) if causes else ""

    @property
    def agrees(self) -> bool | None:
        """Whether causes, confidences, culprits and answers are those given live; None if nothing was."""
        return None if self.live is None else essence(self.live) == essence(self.diagnosis)


@dataclass
class _Case:
    fired: Transition
    began: float
    judged_at: float
    since: float
    until: float
    pids: tuple[int, ...] | None
    live: JsonObject | None


@dataclass
class Told:
    """Looks and answers of the whole recording, in order; read before the replay, for both come later than what they belong to."""

    looks: list[Event] = field(default_factory=list)
    answers: list[Event] = field(default_factory=list)

    @classmethod
    def of(cls, recording: Recording, since: float, until: float) -> Told:
        """Read only the events."""
        events = [e for part in recording.parts(since, until + LOOKED_S) for e in part.events]
        return cls([e for e in events if e.kind == looks.LOOK], [e for e in events if e.kind == looks.TOLD])


class Player:
    """One rule set going through a recording; several can share one ring."""

    def __init__(self, rules: RuleSet, told: Told, again_s: float = AGAIN_S) -> None:
        self._rules = rules
        self._told = told
        self._again_s = again_s
        self._state = JudgeState()
        self._cache = RoundCache()
        self._seen: dict[Key, float] = {}
        self._open: list[_Case] = []
        self.rounds = 0
        self.findings: list[Finding] = []

    def round(self, ring: Ring) -> None:
        """Judge now; name what is due."""
        self._state, transitions = judge(self._rules, ring.at(ring.now), self._state, cache=self._cache, turn=self.rounds)
        self.rounds += 1
        for change in transitions:
            if change.to == "firing" and change.severity >= Severity.WARNING:
                self._fire(change)
        self.settle(ring)

    def settle(self, ring: Ring, *, last: bool = False) -> None:
        """Name the causes of the cases whose moment has come; at the ``last``, of all."""
        due = [c for c in self._open if last or ring.now >= c.judged_at]
        self._open = [c for c in self._open if c not in due]
        self.findings += [self._name(ring, case) for case in due]

    def _fire(self, change: Transition) -> None:
        key = (change.tree, change.labels)
        if change.time - self._seen.get(key, float("-inf")) < self._again_s:
            return
        self._seen[key] = change.time
        pid = dict(change.labels).get("pid")
        answer = next((a for a in self._told.answers if dict(a.labels).get("pid") == pid and self._is_for(a, change.time)), None)
        if answer is None:
            began = change.time
            self._open.append(_Case(change, began, began + SAMPLE_S, began - looks.FRESH_S, began + LOOKED_S, None, None))
        else:
            began, judged_at = float(answer.fields["began"]), float(answer.fields["judged_at"])
            pids = tuple(int(pid) for pid in str(answer.fields.get("pids", "")).split(",") if pid.isdecimal())
            self._open.append(_Case(change, began, judged_at, began, answer.time, pids, past.read(answer.text)))

    @staticmethod
    def _is_for(answer: Event, fired: float) -> bool:
        return fired - JUDGE_EVERY_S <= float(answer.fields.get("began", 0.0)) <= fired + 2 * LOOKED_S

    def _name(self, ring: Ring, case: _Case) -> Finding:
        view = ring.at(min(case.judged_at, ring.now))
        pid = dict(case.fired.labels).get("pid")
        target, pids = past.aim(view, int(pid) if pid else None, gone_is_host=True)
        onsets = {key: state.onset for key, state in self._state.symptoms.items()}
        pids = pids if case.pids is None else case.pids
        seen = looks.answers(e for e in self._told.looks if case.since <= e.time <= case.until)
        assessment = past.settle(self._rules, view, Scope(target, pids, frozenset(), onsets), seen)
        meta = Meta(__version__, target.name, view.now, 0.0, "recording")
        change = case.fired
        return Finding(
            change.time, change.tree, change.labels, change.severity, to_json(conclude(assessment, meta, past.GONE)), case.live
        )


def play(
    recording: Recording,
    rules: Mapping[str, RuleSet],
    since: float,
    until: float,
    *,
    history: float = 3600.0,
    speed: float = 0.0,
    progress: Callable[[str], None] = lambda said: None,
) -> dict[str, Player]:
    """Every rule set over the same recording, by name. ``speed`` 0: as fast as it goes; 1: real time."""
    told = Told.of(recording, since - history, until)
    players = {name: Player(one, told) for name, one in rules.items()}
    ring, due = Ring(keep=history), since
    for moment in _paced(past.feed(ring, recording, since - history, until), speed):
        if moment >= due and ring.ticks > SETTLE_TICKS:
            due = moment + JUDGE_EVERY_S
            for player in players.values():
                player.round(ring)
            progress(f"{when(moment)}: {', '.join(f'{len(p.findings)} named' for p in players.values())}")
    for player in players.values():
        player.settle(ring, last=True)
    return players


def _paced(moments: Iterator[float], speed: float) -> Iterator[float]:
    """No faster than ``speed`` seconds a second; 0: no pace."""
    began, first = time.monotonic(), None
    for moment in moments:
        first = moment if first is None else first
        if speed > 0 and (early := (moment - first) / speed - (time.monotonic() - began)) > 0:
            time.sleep(early)
        yield moment


# ---------------------------------------------------------------------------------------------- comparing


@dataclass(frozen=True)
class Change:
    """What a change of rules does to one episode. ``kind``: added, lost or renamed."""

    kind: str
    time: float
    tree: str
    labels: Labels
    before: str
    after: str


def compare(before: list[Finding], after: list[Finding]) -> list[Change]:
    """Episodes that only one side has, and those with another root cause, in order of time."""
    left, changes = list(after), []
    for old in before:
        same = next((n for n in left if (n.tree, n.labels) == (old.tree, old.labels) and abs(n.time - old.time) <= NEAR_S), None)
        if same is None:
            changes.append(Change("lost", old.time, old.tree, old.labels, old.root, ""))
            continue
        left.remove(same)
        if same.root != old.root:
            changes.append(Change("renamed", old.time, old.tree, old.labels, old.root, same.root))
    changes += [Change("added", new.time, new.tree, new.labels, "", new.root) for new in left]
    return sorted(changes, key=lambda c: c.time)


def essence(diagnosis: JsonObject) -> list[Any]:
    """What two readings of the same moment must agree on: causes with confidences, culprits, evidence answers and values."""
    return [
        (
            cause["id"],
            cause["confidence"],
            [{k: v for k, v in culprit.items() if k not in ("detail",)} for culprit in cause["culprits"]],
            [(line["check"], line["answer"], line["says"]) for line in cause["evidence"]],
        )
        for cause in diagnosis["causes"]
    ]
