"""What an incident leaves open, and which of what was looked at bears on it."""

from __future__ import annotations

from collections.abc import Sequence

from agent.model import JsonObject
from agent.reports.document import Json

REASONS = 2
COMMANDS_MOST = 8
"""Questions of one incident, by the command that answers them; more would be read by nobody."""


def family(name: str) -> str:
    """``memory`` of the cause ``memory.python-leak``, the check ``memory_fast.grows`` and the tree ``memory_slow``."""
    return name.split(".", 1)[0].split("_", 1)[0]


def families(i: Json) -> frozenset[str]:
    """What the incident is about: the families of its symptoms and of its causes."""
    return frozenset(family(name) for name in (*(c["tree"] for c in i["complaints"]), *(c["id"] for c in i["causes"])))


def open_questions(found: Json) -> list[JsonObject]:
    """What is not known, why not, and the command that would tell: ``text``, ``why``, ``command``."""
    i = found["incident"]
    about = families(i)
    asked = [] if i["causes"] else [question("What is the root cause?", "none was found", look(i))]
    near = [n for n in i["not_checked"] if not i["causes"] or family(n["id"]) in about]
    asked += _by_command(i["possible"], near)
    far = [n for n in i["not_checked"] if n not in near]
    if far:
        trees = ", ".join(sorted({n["id"].split(".", 1)[0] for n in far}))
        count = f"{len(far)} check{'s' if len(far) > 1 else ''}"
        asked.append(question(f"Is all well elsewhere? {count} of {trees} could not be made", _reasons(far), ""))
    asked += [
        question(f"Is {c['tree']} over?", "there has been no data of it", "anfl-agent doctor")
        for c in i["complaints"]
        if c["missing"]
    ]
    doubtful = [r for r in found["actions"] if r["phase"] == "ambiguous"]
    return asked + [question(f"Was {r['playbook']} done?", r["reason"], "anfl-agent audit") for r in doubtful]


def _by_command(possible: Sequence[Json], unchecked: Sequence[Json]) -> list[JsonObject]:
    """What one command would answer is one question."""
    alike: dict[str, tuple[list[Json], list[Json]]] = {}
    for number, group in enumerate((possible, unchecked)):
        for one in group:
            alike.setdefault(one["try"] or one["id"], ([], []))[number].append(one)
    asked = [_question(may, not_) for may, not_ in alike.values()]
    more = len(asked) - COMMANDS_MOST
    return asked[:COMMANDS_MOST] + ([question(f"{more} more of this kind stand in the JSON", "", "")] if more > 0 else [])


def _question(possible: Sequence[Json], unchecked: Sequence[Json]) -> JsonObject:
    command = (*possible, *unchecked)[0]["try"]
    if not possible:
        names = ", ".join(n["id"] for n in unchecked)
        return question(f"{names} {'was' if len(unchecked) == 1 else 'were'} not checked", _reasons(unchecked), command)
    names = ", ".join(f"{p['id']} (up to {p['confidence']['hi']:.2f})" for p in possible)
    missing = dict.fromkeys(name for p in possible for name in p["missing"])
    why = f"unknown: {', '.join(missing)}" if missing else ""
    told = "; ".join(filter(None, (why, _reasons(unchecked))))
    return question(f"Is it also {names}?" if len(possible) == 1 else f"Is it also one of {names}?", told, command)


def _reasons(unchecked: Sequence[Json]) -> str:
    reasons = list(dict.fromkeys(n["because"] for n in unchecked))
    more = len(reasons) - REASONS
    return "; ".join(reasons[:REASONS]) + (f"; and {more} more reason{'s' if more > 1 else ''}" if more > 0 else "")


def look(i: Json) -> str:
    """The command that looks closer at an incident: now, or, if it is over, as it was recorded."""
    trees = " ".join(sorted({c["tree"] for c in i["complaints"]}))
    if i["closed"]:
        return f"anfl-agent diagnose {trees} --at '{i['since']}'"
    pid = next((c["labels"]["pid"] for c in i["complaints"] if "pid" in c["labels"]), None)
    return f"anfl-agent diagnose {trees} --deep" + (f" --pid {pid}" if pid else "")


def question(text: str, why: str, command: str) -> JsonObject:
    """One question."""
    return {"text": text, "why": why, "command": command}
