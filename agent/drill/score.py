"""Was the diagnosis right? Pure: a case and the diagnosis as JSON in, a score out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from agent.dataclass import dataclass
from agent.drill.case import Case, Expect, Wanted

Culpability = Literal["right", "wrong", "none"]
Json = Mapping[str, Any]
ALARMING = ("warning", "critical")


@dataclass(frozen=True)
class Score:
    """``rank`` is the place of the expected cause among the named ones from 1, None if it was not named (or for a control)."""

    passed: bool
    rank: int | None
    culprit: Culpability
    named: tuple[str, ...]
    why: str = ""


def ambient_causes(baseline: Json) -> frozenset[str]:
    """Ids of what was wrong on the host before the fault was started."""
    return frozenset(cause["id"] for group in ("causes", "elsewhere") for cause in baseline.get(group) or ())


def foreign_causes(diagnosis: Json, owns: Callable[[int], bool]) -> frozenset[str]:
    """Ids of causes that blame a process which is no part of the drill: something else happened on the host meanwhile."""
    blamed = [(cause["id"], (cause.get("culprits") or [{}])[0]) for cause in diagnosis.get("causes") or ()]
    return frozenset(
        name for name, first in blamed if first.get("kind") == "process" and first.get("pid") and not owns(first["pid"])
    )


def foreign_targets(diagnosis: Json, owns: Callable[[int], bool]) -> frozenset[str]:
    """Ids of causes that a process suffers from which is no part of the drill."""
    targets = [(cause["id"], cause.get("target") or {}) for cause in diagnosis.get("causes") or ()]
    return frozenset(name for name, target in targets if target.get("pid") and not owns(target["pid"]))


def score(case: Case, diagnosis: Json, ambient: Collection[str] = (), printed: Collection[int] = ()) -> Score:
    """Judge one diagnosis. Ambient causes that the case does not ask for are left out of the ranking.

    ``printed`` are the pids the workload named as guilty.
    """
    causes = list(diagnosis.get("causes") or ())
    named = tuple(str(cause["id"]) for cause in causes)
    if case.expect is None:
        return _control(causes, named, ambient)
    asked = {case.expect.cause, *case.expect.accept, *case.expect.also}
    ranked = [cause for cause in causes if cause["id"] in asked or cause["id"] not in ambient]
    return _fault(case.expect, ranked, named, diagnosis, printed)


def _control(causes: Sequence[Json], named: tuple[str, ...], ambient: Collection[str]) -> Score:
    alarms = [c["id"] for c in causes if c.get("severity") in ALARMING and c["id"] not in ambient]
    if alarms:
        return Score(False, None, "none", named, f"false alarm: {', '.join(alarms)}")
    return Score(True, None, "none", named)


def _fault(expect: Expect, ranked: Sequence[Json], named: tuple[str, ...], diagnosis: Json, printed: Collection[int]) -> Score:
    right = (expect.cause, *expect.accept)
    rank = next((place for place, cause in enumerate(ranked, 1) if cause["id"] in right), None)
    if rank is None:
        return Score(False, None, "none", named, _not_named(expect.cause, diagnosis))
    culprit = judge_culprit(ranked[rank - 1], expect.culprits, printed)
    missing = sorted(set(expect.also) - {cause["id"] for cause in ranked})
    whys = []
    if rank > 1 + len(expect.also):
        whys.append(f"{expect.cause} stands in place {rank}, after {ranked[0]['id']}")
    if expect.culprits and culprit != "right":
        whys.append(f"the culprit is {culprit}: {describe_culprit(ranked[rank - 1])}")
    if missing:
        whys.append(f"not named: {', '.join(missing)}")
    return Score(not whys, rank, culprit, named, "; ".join(whys))


def _not_named(cause: str, diagnosis: Json) -> str:
    for group, word in (
        ("possible", "only possible"),
        ("ruled_out", "ruled out"),
        ("not_checked", "not checked"),
        ("elsewhere", "elsewhere"),
    ):
        for item in diagnosis.get(group) or ():
            if item.get("id") == cause:
                reason = item.get("because") or ", ".join(item.get("missing") or ())
                return f"{cause} was {word}" + (f": {reason}" if reason else "")
    return f"{cause} was not named"


def judge_culprit(cause: Json, wanted: Sequence[Wanted], printed: Collection[int] = ()) -> Culpability:
    """Right if the first culprit matches any of ``wanted`` (or nothing is asked for), none if there is no culprit."""
    culprits = cause.get("culprits") or ()
    if not culprits:
        return "none"
    return "right" if not wanted or any(matches(culprits[0], one, printed) for one in wanted) else "wrong"


def matches(culprit: Json, wanted: Wanted, printed: Collection[int] = ()) -> bool:
    """True if every asked-for key of ``wanted`` fits."""
    checks = (
        wanted.kind is None or culprit.get("kind") == wanted.kind,
        wanted.name is None or wanted.name.lower() in str(culprit.get("name") or "").lower(),
        wanted.file is None or _same_file(culprit.get("file"), wanted.file),
        wanted.function is None or _last_part(culprit.get("function")) == _last_part(wanted.function),
        wanted.line is None or _near(culprit.get("line"), wanted.line, wanted.within),
        not wanted.printed or culprit.get("pid") in printed,
        wanted.uuid is None or culprit.get("uuid") == wanted.uuid,
        wanted.pci is None or str(culprit.get("pci") or "").startswith(wanted.pci),
    )
    return all(checks)


def _near(line: Any, wanted: int, within: int) -> bool:
    return isinstance(line, int) and abs(line - wanted) <= within


def _same_file(said: str | None, wanted: str) -> bool:
    """Path suffix by whole components; a tool that shortens paths may say fewer components than are wanted."""
    if not said:
        return False
    a, b = said.split("/"), wanted.split("/")
    shared = min(len(a), len(b))
    return a[-shared:] == b[-shared:]


def _last_part(name: str | None) -> str:
    """``Class.method`` and ``outer.<locals>.inner`` by their last part: interpreters before 3.11 know only that."""
    return (name or "").rsplit(".", 1)[-1]


def describe_culprit(cause: Json) -> str:
    """The first culprit in a few words."""
    culprits = cause.get("culprits") or ()
    if not culprits:
        return "nobody is named"
    first = culprits[0]
    place = f"{first['file']}:{first.get('line')}" if first.get("file") else ""
    pid = f"pid {first['pid']}" if first.get("pid") else ""
    parts = (str(first.get("kind") or ""), str(first.get("function") or first.get("name") or ""), place, pid)
    return " ".join(part for part in parts if part)
