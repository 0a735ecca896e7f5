"""Diagnosis of a moment that is over: the recording fills a ring, and the same engine judges it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from agent import __version__
from agent.dataclass import dataclass
from agent.engine import looks
from agent.engine.diagnose import Assessment, Meta, Scope, assess, conclude
from agent.engine.evaluate import JudgeState, judge
from agent.engine.report import to_json
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.engine.walk import ProbeKey
from agent.errors import Unavailable, UsageError
from agent.model import Evidence, JsonObject, Target, View
from agent.store.recording import Recording
from agent.store.ring import Ring

ONSET_S = 900.0
"""How long before the moment the judge begins its rounds: the longest ``for`` of the shipped trees several times over."""
JUDGE_EVERY_S = 5.0
GONE = "the moment is over: nobody can look any more"
Progress = Callable[[str], None]


@dataclass
class Rewound:
    """A ring as it was at ``at``, and the judge's state then."""

    ring: Ring
    judged: JudgeState
    at: float


def rewind(recording: Recording, rules: RuleSet, at: float, history: float, progress: Progress) -> Rewound:
    """Live the time up to ``at`` again. Unavailable if nothing of it was recorded."""
    ring, judged, cache = Ring(keep=history), JudgeState(), RoundCache()
    due, began, said = at - ONSET_S, at - history, 0

    def judging(moment: float) -> bool:
        return moment >= due

    for time in feed(ring, recording, began, at, judging):
        if time >= due:
            judged, _ = judge(rules, ring.at(time), judged, cache=cache)
            due = time + JUDGE_EVERY_S
            progress(f"judging the recording, {at - time:.0f} s before the moment")
        elif ring.ticks >= said + 60:
            said = ring.ticks
            progress(f"reading the recording, {at - time:.0f} s before the moment")
    if not ring.ticks:
        raise Unavailable(
            f"nothing was recorded in the {history / 60:.0f} min before that moment",
            help="see what there is: anfl-agent record list",
        )
    return Rewound(ring, judged, ring.now)


def feed(
    ring: Ring, recording: Recording, since: float, until: float, halts: Callable[[float], bool] = lambda moment: True
) -> Iterator[float]:
    """Put ``(since, until]`` of a recording into a ring; the moments at which ``halts`` is true are among those it stops at."""
    for times, events, stretches in recording.lived(since, until, halts):
        ring.add(max(times[0], ring.now), events)
        ring.add_lot(times, stretches)
        yield times[-1]


def diagnose(
    rewound: Rewound, rules: RuleSet, *, pid: int | None = None, trees: Sequence[str] = (), took_s: float = 0.0
) -> JsonObject:
    """``anfl.diagnosis/1`` of that moment, with source ``recording``. UsageError if the process was not seen then.

    What only a look could tell is possible only where the tree's symptom held: of a healthy moment nobody took any.
    """
    view = rewound.ring.at(rewound.at)
    onsets = {key: state.onset for key, state in rewound.judged.symptoms.items()}
    target, pids = aim(view, pid)
    scope = Scope(target, pids, frozenset(trees), onsets)
    held = {tree for (tree, _), s in rewound.judged.symptoms.items() if s.phase in ("pending", "firing")}
    assessment = settle(rules, view, scope, looks.answers(view.events(looks.LOOK, looks.FRESH_S)))
    assessment = replace(assessment, possible=tuple(p for p in assessment.possible if p.id.partition(".")[0] in held))
    meta = Meta(__version__, socket.gethostname(), rewound.at, took_s, "recording")
    return to_json(conclude(assessment, meta, GONE))


def settle(rules: RuleSet, view: View, scope: Scope, seen: dict[ProbeKey, Evidence]) -> Assessment:
    """Judge with the looks that were recorded; those that were not taken are answered with the reason."""
    answers: dict[ProbeKey, Evidence] = {}
    cache = RoundCache()
    while True:
        assessment = assess(rules, view, scope, answers, cache=cache)
        open_ = [r.key for r in (*assessment.wanted, *assessment.further) if r.key not in answers]
        if not open_:
            return assessment
        answers |= {key: _recorded(key, seen) for key in open_}


def _recorded(key: ProbeKey, seen: dict[ProbeKey, Evidence]) -> Evidence:
    """The look itself, or the newest one of the same kind at the same target: rules may ask for other settings by now."""
    if key in seen:
        return seen[key]
    alike = [e for k, e in seen.items() if (k.probe, k.pid, k.entity) == (key.probe, key.pid, key.entity)]
    return alike[-1] if alike else Evidence(key.probe, because=GONE, try_="anfl-agent diagnose, while it lasts")


def aim(view: View, pid: int | None, *, gone_is_host: bool = False) -> tuple[Target, tuple[int, ...]]:
    """The target as it was then, and the pids to walk. UsageError for a process not seen then, unless the host may stand in."""
    infos = [dict(known) for known in view.labels("process_info")]
    if pid is None or (gone_is_host and all(i["pid"] != str(pid) for i in infos)):
        return Target("host", socket.gethostname()), tuple(int(i["pid"]) for i in infos)
    mine = [i for i in infos if i["pid"] == str(pid)]
    if not mine:
        raise UsageError(f"process {pid} was not among those recorded then", help="leave --pid out to see all that were")
    started = view.column("process_start_time_seconds", (("pid", str(pid)),), 3600.0)
    members = tuple(int(i["pid"]) for i in infos if i["pid"] == str(pid) or i.get("subject") == str(pid))
    known = mine[0]
    start = started.values[-1] if started else None
    target = Target(
        "process", known.get("comm", ""), pid, start, known.get("unit") or None, known.get("cgroup") or None, user=known.get("user")
    )
    return target, members
