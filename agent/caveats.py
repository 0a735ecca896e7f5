"""What must be said beside an answer, so that silence is not taken for health."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from agent.diagnosis import Diagnosis, NotChecked
from agent.model import Evidence, Target
from agent.watch import SourceState

MAKE_ROOM = "make room, or name another folder under artifacts.dir"


def ended(diagnosis: Diagnosis, target: Target) -> Diagnosis:
    """Say that the target went away meanwhile; no command that would look at it again is offered."""
    possible = tuple(replace(p, try_="") for p in diagnosis.possible)
    unchecked = tuple(replace(n, try_="") for n in diagnosis.not_checked)
    known = replace(diagnosis, possible=possible, not_checked=unchecked)
    return no_all_clear(known, f"process {target.pid} ended while it was looked at", "diagnose its successor")


def no_all_clear(diagnosis: Diagnosis, because: str, mend: str) -> Diagnosis:
    """The same with this said first; that nothing was found then means nothing."""
    verdict = "unknown" if diagnosis.verdict == "ok" else diagnosis.verdict
    return replace(with_notes(diagnosis, [NotChecked("target", because, mend)]), verdict=verdict)


def not_kept(looks: Iterable[Evidence]) -> Iterator[NotChecked]:
    """What closer looks could not put into the artefact folder."""
    for said in {e.says["artifacts"]: None for e in looks if e.says.get("artifacts")}:
        yield NotChecked("artifacts", said, MAKE_ROOM)


def unread(states: Iterable[SourceState]) -> Iterator[NotChecked]:
    """A kernel log that may not be read: trees that live on it say nothing then, and silence must not be taken for health."""
    for state in states:
        if state.name == "kernel_log" and state.state == "absent":
            yield NotChecked("kernel_log", state.why, "anfl-agent doctor")


def with_notes(diagnosis: Diagnosis, notes: Sequence[NotChecked]) -> Diagnosis:
    """The same with these first among what was not checked."""
    return replace(diagnosis, not_checked=(*notes, *diagnosis.not_checked))
