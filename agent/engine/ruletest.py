"""Rule tests: each case is judged and diagnosed as live, its looks answered from the file, and compared with what it expects."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import field

from agent.dataclass import dataclass
from agent.diagnosis import Confidence, Finding
from agent.engine.diagnose import Assessment, Scope, assess
from agent.engine.evaluate import JudgeState, judge
from agent.engine.rounds import Answer, Round, RoundCache
from agent.engine.ruletestcases import COMPARISON, Case
from agent.engine.ruletestfile import ExpectFile
from agent.engine.trees import RuleSet
from agent.engine.walk import Outcome, ProbeKey, Walk
from agent.model import Evidence, Labels, Target

PERIOD = 5.0
"""Seconds between rounds of the judge, as live."""

MOST_LOOKS = 100

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


@dataclass
class Seen:
    """What the cases showed: answers of checks by (tree.check, answer), and causes that were a root."""

    answers: set[tuple[str, str]] = field(default_factory=set)
    roots: set[str] = field(default_factory=set)

    def note(self, assessment: Assessment) -> None:
        """Add what one diagnosis shows."""
        for walk in assessment.walks:
            self.answers |= {(f"{walk.tree.name}.{o.check.id}", o.answer) for o in walk.outcomes.values()}
        self.roots |= {f.id for f in (*assessment.causes, *assessment.elsewhere)}

    def unseen(self, rules: RuleSet) -> list[str]:
        """What no case shows: a check that was never true or never false, a cause that never was the root."""
        checks = [f"{t.name}.{c}" for t in rules.trees.values() for c in t.checks]
        gaps = [f"check {c} was never {a}" for c in checks for a in ("true", "false") if (c, a) not in self.answers]
        return gaps + [f"cause {c} was never a root" for c in rules.causes if c not in self.roots]


@dataclass(frozen=True)
class CaseResult:
    """One case; no failures means it passed."""

    file: str
    name: str
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(f"{self.file}: {self.name}: {f}" for f in self.failures) or f"{self.file}: {self.name}: ok"


def run(rules: RuleSet, cases: Iterable[Case], seen: Seen | None = None) -> list[CaseResult]:
    """All cases; ``seen`` gathers coverage."""
    return [CaseResult(c.file, c.name, tuple(failures(rules, c, seen if seen is not None else Seen()))) for c in cases]


def failures(rules: RuleSet, case: Case, seen: Seen) -> list[str]:
    """What a case expected and did not get."""
    found: list[str] = []
    states = _States(rules, case, Rounds(case))
    for expect in case.expect:
        found += states.differ(expect)
        steps = trace(rules, case, expect.at)
        seen.note(steps[-1])
        found += compare(steps[-1], expect)
    return found


def comes_otherwise(rules: RuleSet, case: Case, rounds: Rounds) -> bool:
    """Is there an expected state that does not come?"""
    states = _States(rules, case, rounds)
    return any(states.differ(expect) for expect in case.expect)


class _Exact(RoundCache):
    """Who is there is worked out again only when it changed; an answer over a long window is good for its own moment alone."""

    def answer(self, key: tuple[str, str, Labels, float]) -> Answer:
        """Nothing is known of any question."""
        return Answer(0.0, 1.0)


class Rounds:
    """The rounds of one case, by their moments. What they computed does not depend on the rules; ``keep`` it for other ones."""

    def __init__(self, case: Case, *, keep: bool = False) -> None:
        self._case, self._keep = case, keep
        self._cache = _Exact()
        self._kept: dict[float, Round] = {}

    def at(self, moment: float) -> Round:
        """The round of a moment."""
        round = self._kept.get(moment) or Round(self._case.view.at(moment), cache=self._cache)
        if self._keep:
            self._kept[moment] = round
        return round

    def forget(self) -> None:
        """Keep nothing computed so far."""
        self._kept.clear()


class _States:
    """The judge's rounds of one case, only over the case's trees."""

    def __init__(self, rules: RuleSet, case: Case, rounds: Rounds) -> None:
        self._rounds = rounds
        self._rules = RuleSet({n: t for n, t in rules.trees.items() if not case.trees or n in case.trees}, rules.causes)
        self._state = JudgeState()
        self._next = 0.0
        self._ended = "ok"

    def differ(self, expect: ExpectFile) -> list[str]:
        """All rounds up to a moment, if its state matters; expectations come in order of time."""
        if expect.state is None:
            return []
        while self._next <= expect.at + 1e-9:
            round = self._rounds.at(self._next)
            self._state, transitions = judge(self._rules, round.view, self._state, round=round)
            round.let_go()
            for transition in transitions:
                self._ended = transition.to if transition.to in ("resolved", "gone") else "ok"
            self._next += PERIOD
        return _differs(expect.at, "state", self._word(), expect.state)

    def _word(self) -> str:
        """The worst phase of any instance; how the last one ended if none is left."""
        phases = {s.phase for s in self._state.symptoms.values()}
        return "firing" if "firing" in phases else "pending" if phases else self._ended


def trace(rules: RuleSet, case: Case, at: float) -> list[Assessment]:
    """The walk at a moment, again after each closer look answered from the file, until no more is asked."""
    target = Target("process", pid=case.target) if case.target else Target()
    scope = Scope(target, case.pids, frozenset(case.trees))
    answers: dict[ProbeKey, Evidence] = {}
    steps = [assess(rules, case.view.at(at), scope, answers)]
    while len(steps) < MOST_LOOKS:
        asked = (*steps[-1].wanted, *steps[-1].further)
        new = {r.key: e for r in asked if (e := _canned(case, r.key)) is not None}
        if not new:
            break
        answers |= new
        steps.append(assess(rules, case.view.at(at), scope, answers))
    return steps


def _canned(case: Case, key: ProbeKey) -> Evidence | None:
    return case.probes.get((key.probe, key.pid)) or case.probes.get((key.probe, None))


def compare(got: Assessment, expect: ExpectFile) -> list[str]:
    """Where a diagnosis is not what was expected."""
    at, roots = expect.at, [f.id for f in got.causes]
    found: list[str] = []
    if expect.root is not None:
        found += _differs(at, "root", roots[0] if roots else "none", str(expect.root))
    lists = {
        "roots": (expect.roots, roots),
        "elsewhere": (expect.elsewhere, [f.id for f in got.elsewhere]),
        "consequences": (expect.consequences, list(got.causes[0].consequences) if got.causes else []),
        "wanted": (expect.wanted, list(dict.fromkeys(r.key.probe for r in got.wanted))),
    }
    for what, (wanted, have) in lists.items():
        if wanted is not None:
            found += _differs(at, what, have, [str(w) for w in wanted])
    found += _members(at, "possible", expect.possible, {p.id for p in got.possible})
    found += _members(at, "ruled_out", expect.ruled_out, {r.id for r in got.ruled_out})
    if expect.severity is not None:
        found += _differs(at, "severity", got.causes[0].severity.word if got.causes else "none", expect.severity)
    if expect.verdict is not None:
        found += _differs(at, "verdict", got.verdict, expect.verdict)
    return found + _compare_inside(got, expect)


def _compare_inside(got: Assessment, expect: ExpectFile) -> list[str]:
    at, found = expect.at, []
    for name, answer in expect.checks.items():
        have = {o.answer for _, o in _outcomes(got.walks, name)}
        if _word(answer) not in have:
            found += _differs(at, f"check {name}", " or ".join(sorted(have)) or "not walked", _word(answer))
    for name in expect.unknown:
        if not any(o.truth is None for _, o in _outcomes(got.walks, name)) and name not in _missing(got.walks):
            found.append(f"at {at:g} s: {name} is not unknown")
    for id_, text in expect.causes.items():
        lo = max((c.lo for c in _confidences(got.walks, id_)), default=0.0)
        match = COMPARISON.match(text)
        if match and not _COMPARE[match[1]](round(lo, 9), float(match[2])):
            found.append(f"at {at:g} s: lo of {id_} is {lo:.3g}, expected {text}")
    for key, value in expect.culprit.items():
        found += _differs(at, f"culprit's {key}", _culprit(got.causes, key), value)
    return found


def _members(at: float, what: str, wanted: Sequence[str] | None, have: set[str]) -> list[str]:
    """Each must be there; an empty list means that there is none."""
    if wanted is None:
        return []
    if not wanted:
        return _differs(at, what, sorted(have), [])
    return [f"at {at:g} s: {name} is not in {what}: {', '.join(sorted(have)) or 'nothing'}" for name in wanted if name not in have]


def _outcomes(walks: Sequence[Walk], name: str) -> list[tuple[Walk, Outcome]]:
    tree, _, check = name.rpartition(".")
    return [(w, w.outcomes[check]) for w in walks if check in w.outcomes and tree in ("", w.tree.name)]


def _missing(walks: Sequence[Walk]) -> set[str]:
    return {name for w in walks for o in w.outcomes.values() if o.result is not None for name in o.result.missing}


def _confidences(walks: Sequence[Walk], id_: str) -> list[Confidence]:
    return [w.confidence(c) for w in walks for c in w.tree.causes if c.id == id_]


def _culprit(causes: Sequence[Finding], key: str) -> object:
    return getattr(causes[0].culprits[0], key, None) if causes and causes[0].culprits else "none"


def _word(answer: object) -> str:
    return str(answer).lower() if isinstance(answer, bool) else str(answer)


def _differs(at: float, what: str, have: object, wanted: object) -> list[str]:
    return [] if have == wanted else [f"at {at:g} s: {what} is {_show(have)}, expected {_show(wanted)}"]


def _show(value: object) -> str:
    return (", ".join(map(str, value)) or "nothing") if isinstance(value, list) else str(value)
