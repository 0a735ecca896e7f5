"""A verdict as answers and as sentences. Pure."""

from __future__ import annotations

from agent.model import Culprit
from agent.probes._memray_sort import Growth
from agent.probes._memray_table import Facts
from agent.probes._memray_verdict import Verdict, mib

WORDS = {
    "leak": "what is allocated stays, as much in each quarter of the capture: a leak",
    "cache-filling": "a cache is filling up, slower and slower or with room to its bound",
    "in-flight": "what was alive at the end was in use or waiting to be collected: no leak",
    "retention": "resident memory grew but the heap did not: the allocator holds freed memory",
    "copy-on-write": "private pages grew as shared ones shrank: a forked process un-shares its parent's memory",
    "native": "the heap outside Python grew, Python's own did not",
    "none": "nothing grew that would be worth a name",
}


def answers_of(verdict: Verdict) -> dict[str, float | bool | str | None]:
    """The declared answers."""
    share = {kind: round(value, 4) for kind, value in verdict.shares.items()}
    return {
        "leak_share": round(verdict.leak_share, 4),
        "leak_rate": round(verdict.leak_rate, 1),
        "explained": None if verdict.explained is None else round(verdict.explained, 3),
        "cache_share": share.get(Growth.CACHE, 0.0),
        "in_flight_share": round(verdict.in_flight_share, 4),
        "native_share": share.get(Growth.NATIVE, 0.0),
        "task_share": share.get(Growth.TASK, 0.0),
        "task_growth": round(verdict.task_growth, 2),
        "thread_share": share.get(Growth.THREAD, 0.0),
        "open_share": share.get(Growth.OPEN, 0.0),
        "verdict": verdict.word,
    }


def says(verdict: Verdict, facts: Facts, *, pause_s: float) -> dict[str, str]:
    """One sentence for each answer that has something to say."""
    explained = "" if verdict.explained is None else f"; that explains {verdict.explained:.0%} of the growth of resident memory"
    cost = f" (tracked {facts.seconds:.1f} s in {facts.mode} mode, held still {pause_s:.2f} s)"
    found = {"verdict": WORDS[verdict.word] + explained + cost}
    for name, what in (
        ("leak_share", "of what lasts is kept by"),
        ("cache_share", "of what lasts is in the cache"),
        ("native_share", "of what lasts is outside Python's heap:"),
        ("task_share", "of what lasts belongs to tasks created by"),
        ("thread_share", "of what lasts belongs to threads started by"),
        ("open_share", "of what lasts belongs to what is opened by"),
    ):
        culprits = verdict.culprits.get(name, ())
        if culprits and culprits[0].share is not None:
            found[name] = f"{culprits[0].share:.0%} {what} {_where(culprits[0])}, {culprits[0].detail}"
        elif culprits:
            found[name] = f"growth outside Python's heap: {_where(culprits[0])}, {culprits[0].detail}"
    if verdict.task_growth >= 0.5:
        found["task_growth"] = f"{verdict.task_growth:.1f} unfinished tasks more each second"
    found["leak_rate"] = f"{mib(verdict.leak_rate)}/s kept by one place"
    return found


def _where(culprit: Culprit) -> str:
    return f"{culprit.name} ({culprit.file}:{culprit.line})" if culprit.file else culprit.name
