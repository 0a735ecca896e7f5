"""A recording lived again under the same or other rules: what would have fired, and what would have been named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any

from agent import __version__, past
from agent.casework import AGAIN_S, SAMPLE_S
from agent.dataclass import dataclass
from agent.engine import looks
from agent.engine.diagnose import Meta, Scope, conclude
from agent.engine.evaluate import JudgeState, Transition, judge
from agent.engine.looks import Question
from agent.engine.report import to_json, when
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.model import Event, JsonObject, Labels, Severity, View, labels
from agent.store.recording import Recording
from agent.store.ring import Ring
from agent.suspicions import borne_out

JUDGE_EVERY_S = 5.0
SETTLE_TICKS = 2
LOOKED_S = 75.0
"""A look that ended this long after the symptom fired still belongs to it: sampling, and the longest drill-down."""
NEAR_S = 60.0
"""Two rule sets that fire for the same thing within this time mean the same episode; so do the live agent and its replay, whose
rounds read long windows anew at other moments."""
Key = tuple[str, Labels]


@dataclass(frozen=True)
class Finding:
    """One symptom that fired, and what was named for it. ``live``: the answer given then, where one was.

    One that somebody asked for has no tree; its severity is that of the answer.
    """

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


@dataclass(frozen=True)
class Answer:
    """What was answered live, at ``time``."""

    time: float
    asked: Question
    diagnosis: JsonObject


@dataclass(frozen=True)
class _Case:
    """To be named once ``judged_at`` has come, with the looks of ``since`` to ``until``. ``given``: the answer then."""

    time: float
    tree: str
    labels: Labels
    severity: Severity
    judged_at: float
    since: float
    until: float
    given: Answer | None = None


@dataclass
class Told:
    """Looks and answers of the whole recording, in order; read before the replay, for both come later than what they belong to."""

    looks: list[Event] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @classmethod
    def of(cls, recording: Recording, since: float, until: float) -> Told:
        """Read only the events."""
        events = [e for part in recording.parts(since, until + LOOKED_S) for e in part.events]
        read = ((e.time, looks.read(e)) for e in events if e.kind == looks.TOLD)
        return cls([e for e in events if e.kind == looks.LOOK], [Answer(time, *said) for time, said in read if said is not None])


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
        self._asked = [_asked_for(answer) for answer in told.answers if not answer.asked.symptom]
        self.rounds = 0
        self.findings: list[Finding] = []
        self.asked: list[Finding] = []
        """What somebody asked for then, judged again."""

    def round(self, ring: Ring) -> None:
        """Judge now; name what is due."""
        self.settle(ring)
        self._state, transitions = judge(self._rules, ring.at(ring.now), self._state, cache=self._cache, turn=self.rounds)
        self.rounds += 1
        for change in transitions:
            if change.to == "firing" and change.severity >= Severity.WARNING:
                self._fire(change)

    def settle(self, ring: Ring, *, last: bool = False) -> None:
        """Name the causes of the cases whose moment has come; at the ``last``, of all that was begun."""
        named = (self._name(ring, case) for case in self._open if last or case.judged_at <= ring.now)
        self.findings += [finding for finding in named if self._told_of(finding)]
        self._open = [case for case in self._open if not last and case.judged_at > ring.now]
        self.asked += [self._name(ring, case) for case in self._asked if case.judged_at <= ring.now]
        self._asked = [case for case in self._asked if case.judged_at > ring.now]

    def _told_of(self, finding: Finding) -> bool:
        """A suspicion is told only if it was borne out."""
        return not self._suspects(finding.tree) or borne_out(self._rules, finding.tree, finding.diagnosis)

    def _fire(self, change: Transition) -> None:
        key = (change.tree, change.labels)
        if change.time - self._seen.get(key, float("-inf")) < self._again_s:
            return
        self._seen[key] = change.time
        fired = (change.time, change.tree, change.labels, change.severity)
        given = [answer for answer in self._told.answers if _is_for(answer.asked, change, later=self._suspects(change.tree))]
        if not given:
            self._open.append(_Case(*fired, change.time + SAMPLE_S, change.time - looks.FRESH_S, change.time + LOOKED_S))
        elif not self._suspects(change.tree):
            del given[1:]
        self._open += [_Case(*fired, answer.asked.judged_at, answer.asked.began, answer.time, answer) for answer in given]

    def _suspects(self, tree: str) -> bool:
        """Whether a tree is a suspicion: it may wait for its look, and is looked into again as long as it stands."""
        return bool(self._rules.trees[tree].symptom.suspicion)

    def _name(self, ring: Ring, case: _Case) -> Finding:
        view = ring.at(min(case.judged_at, ring.now))
        scope = self._scope(view, case)
        by, live = (None, None) if case.given is None else (case.given.asked.by, case.given.diagnosis)
        taken = (e for e in self._told.looks if case.since <= e.time <= case.until and by in (None, e.fields.get("by")))
        assessment = past.settle(self._rules, view, scope, looks.answers(taken))
        meta = Meta(__version__, scope.target.name, view.now, 0.0, "recording")
        named = to_json(conclude(assessment, meta, past.GONE))
        return Finding(case.time, case.tree, case.labels, case.severity, named, live)

    def _scope(self, view: View, case: _Case) -> Scope:
        if case.given is not None:
            asked = case.given.asked
            return Scope(asked.target, asked.pids, frozenset(asked.trees) & frozenset(self._rules.trees), asked.onsets)
        onsets = {key: state.onset for key, state in self._state.symptoms.items()}
        pid = dict(case.labels).get("pid")
        target, pids = past.aim(view, int(pid) if pid else None, gone_is_host=True)
        return Scope(target, pids, frozenset(), onsets)


def _is_for(asked: Question, fired: Transition, *, later: bool) -> bool:
    """Whether an answer was given to that symptom, which under other rules may fire somewhat earlier or ``later``: at any time."""
    known, about = dict(fired.labels), asked.target
    if about.pid is not None:
        same = known.get("pid") == str(about.pid)
    else:  # a device; or the host: a process that was gone was looked for more widely
        same = about.uuid is None or known.get("uuid") == about.uuid
    same = same and asked.symptom == fired.tree
    return same and fired.time - NEAR_S <= asked.began and (later or asked.began <= fired.time + 2 * LOOKED_S)


def _asked_for(answer: Answer) -> _Case:
    """A question of somebody, to be judged again."""
    asked, verdict = answer.asked, answer.diagnosis["verdict"]
    about = labels() if asked.target.pid is None else labels(pid=asked.target.pid)
    severity = next((s for s in Severity if s.word == verdict), Severity.NOTICE)
    return _Case(asked.began, "", about, severity, asked.judged_at, asked.began, answer.time, answer)


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
    moments = past.feed(ring, recording, since - history, until, lambda moment: speed > 0 or moment >= due)
    for moment in _paced(moments, speed):
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
