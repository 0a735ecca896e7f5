"""What is not a finding: causes still possible, causes ruled out, checks that could not be made, each with why and what helps."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from agent.diagnosis import NotChecked, Possible, RuledOut
from agent.engine.confidence import possible
from agent.engine.findings import gives_culprit
from agent.engine.rounds import Round
from agent.engine.trees import Cause
from agent.engine.walk import Outcome, ProbeKey, Walk
from agent.model import Labels, Target

LONG_S = 60.0
"""Windows from here on need an agent that has been watching; that they are unknown in a burst says nothing about the host."""

ROOM = 1.25
"""A window needs a little more than its length of samples."""


def possibles(walks: Sequence[Walk], named: Collection[tuple[str, str]], round: Round, target: Target) -> tuple[Possible, ...]:
    """Causes that may hold, each once, the likeliest first; ``named`` are (cause, subject) already found."""
    best: dict[str, Possible] = {}
    for walk in walks:
        for cause in walk.tree.causes:
            confidence = walk.confidence(cause)
            if not possible(confidence) or (cause.id, walk.subject) in named:
                continue
            open_ = _unknown(cause, walk)
            if open_ and all(_too_young(o, walk, round) for o in open_):
                continue  # nothing speaks for it but the shortness of the history; not_checked lists it
            try_ = next((t for o in open_ if (t := _try(o, walk, round, target))), "")
            made = Possible(cause.id, confidence, tuple(o.check.id for o in open_), try_, walk.severity(cause))
            known = best.get(cause.id)
            if known is None or (confidence.hi, confidence.lo) > (known.confidence.hi, known.confidence.lo):
                best[cause.id] = made
    return tuple(sorted(best.values(), key=lambda p: (-p.severity, -p.confidence.lo, -p.confidence.hi, p.id)))


def ruled_out(walks: Sequence[Walk], alive: Collection[str]) -> tuple[RuledOut, ...]:
    """Causes that no instance leaves open, with the answer that speaks against the likeliest."""
    best: dict[str, tuple[float, RuledOut]] = {}
    for walk in walks:
        for cause in walk.tree.causes:
            hi = walk.confidence(cause).hi
            if cause.id not in alive and (cause.id not in best or hi > best[cause.id][0]):
                best[cause.id] = hi, RuledOut(cause.id, _against(cause, walk))
    return tuple(made for _, made in best.values())


def not_checked(walks: Sequence[Walk], skipped: dict[ProbeKey, str], round: Round, target: Target) -> tuple[NotChecked, ...]:
    """Checks that could not be made and matter: a look that failed, one left out (``skipped``, with why), and what leaves a
    cause possible."""
    found: dict[tuple[str, str], NotChecked] = {}
    for walk in walks:
        matter = {n for c in walk.tree.causes if possible(walk.confidence(c)) for n in walk.tree.bearing[c.id]}
        for outcome in walk.outcomes.values():
            failed = outcome.evidence is not None and bool(outcome.evidence.because)
            left_out = skipped.get(outcome.wanted) if outcome.wanted else None
            in_vain = (
                failed and target.pid is not None and walk.instance.labels.get("pid") == str(target.pid)
            )  # asked about by name: worth a word
            if (outcome.truth is None and (failed or left_out is not None or outcome.check.id in matter)) or in_vain:
                because = outcome.because + (f": {left_out}" if left_out else "")
                made = NotChecked(f"{walk.tree.name}.{outcome.check.id}", because, _try(outcome, walk, round, target))
                found.setdefault((made.id, made.because), made)
    return tuple(found.values())


def _unknown(cause: Cause, walk: Walk) -> list[Outcome]:
    """The checks that would tell, those that can be made right away first, then those that give the culprit."""
    open_ = [walk.outcomes[name] for name in cause.checks if walk.outcomes[name].truth is None]
    return sorted(open_, key=lambda o: (o.wanted is None, not gives_culprit(cause, o)))


def _against(cause: Cause, walk: Walk) -> str:
    for name in cause.require:
        if walk.outcomes[name].truth is False:
            return _because(walk.outcomes[name])
    for name in cause.refute:
        if walk.outcomes[name].truth is True:
            return _because(walk.outcomes[name])
    told = [_because(walk.outcomes[name]) for name in cause.support if walk.outcomes[name].truth is False]
    return told[0] if told else "too little speaks for it"


def _because(outcome: Outcome) -> str:
    """``anon_steep is false: grow(…) = 0 B/s > 3MiB / 1m``."""
    if outcome.answer == "skipped":
        return f"{outcome.check.id} was skipped: {outcome.because}"
    return f"{outcome.check.id} is {outcome.answer}: {outcome.says}"


def _try(outcome: Outcome, walk: Walk, round: Round, target: Target) -> str:
    """The exact next command that would answer a check."""
    if outcome.try_:
        return outcome.try_
    about = walk.instance.labels.get("pid") or target.pid
    who = f" --pid {about}" if about else f" --unit {target.unit}" if target.kind == "unit" and target.unit else ""
    command = f"anfl-agent diagnose {walk.tree.name}{who}"
    if outcome.wanted is not None:
        return command + (" --deep" if outcome.check.cost == "heavy" else "")
    asked = [walk.outcomes[name] for name in walk.tree.behind([outcome.check.id])]
    unknown = [o for o in asked if o.result is not None and o.truth is None]
    if any(n in o.check.expr.series and not round.live(n) for o in unknown for n in (o.result.missing if o.result else ())):
        return "anfl-agent doctor"
    windows = [c.longest_window for o in (outcome, *unknown) for c in (o.check.expr, o.check.gate) if c is not None]
    return f"{command} --for {_span(max(windows) * ROOM)}"


def _too_young(outcome: Outcome, walk: Walk, round: Round) -> bool:
    """Is the only reason not to know that the history is shorter than the condition's window? The series are there and flow."""
    if outcome.wanted is not None or outcome.evidence is not None:
        return False
    asked = [walk.outcomes[name] for name in walk.tree.behind([outcome.check.id])]
    unknown = [o for o in asked if o.truth is None and o.result is not None]
    missing = {lack for o in unknown if o.result is not None for lack in o.result.unknown}
    long = all(o.check.expr.longest_window >= LONG_S for o in unknown)
    looked = any(o.wanted is not None or o.evidence is not None for o in asked)
    return bool(missing) and long and not looked and all(_flows(name, fixed, walk, round) for name, fixed in missing)


def _flows(name: str, fixed: Labels, walk: Walk, round: Round) -> bool:
    """Do the series of that name that bear on the walk bring samples? One that stopped is no question of age."""
    known = {**walk.instance.labels, **dict(fixed)}
    mine = [labels for labels, named in round.live(name) if all(known.get(k, v) == v for k, v in named.items())]
    return bool(mine) and all(round.last(name, labels) is not None for labels in mine)


def _span(seconds: float) -> str:
    """A duration as the command line reads it, rounded up."""
    if seconds <= 120:
        return f"{max(15, math.ceil(seconds))}s"
    return f"{math.ceil(seconds / 60)}m" if seconds < 7200 else f"{math.ceil(seconds / 3600)}h"
