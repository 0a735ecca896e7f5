"""The root cause of an incident as blocks: what it is, who is to blame, the evidence, the flame graph; and what was ruled out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.reports.artifacts import Keep, shown
from agent.reports.document import Block, Heading, Json, Para, Table
from agent.reports.questions import families, family

NOTHING = 0.005
"""A share that is written as 0 %: nobody to blame."""
ORDER = ("true", "false", "unknown", "skipped")


def cause(r: Json, keep: Keep) -> list[Block]:
    """The section."""
    causes = r["incident"]["causes"]
    made: list[Block] = [Heading("Root cause")]
    if not causes:
        return [*made, Para("It is not known: see the open questions.")]
    seen: set[str] = set()
    for number, one in enumerate(causes):
        made += _one_cause(one, r["victims"], first=number == 0)
        made += shown([a for a in one["artifacts"] if a["path"] not in seen], keep)
        seen |= {a["path"] for a in one["artifacts"]}
    return made


def _one_cause(one: Json, victims: Collection[str], *, first: bool) -> list[Block]:
    sure = one["confidence"]
    rows = [("Cause", one["id"]), ("Suffers", target(one["target"]))]
    open_ = f" to {sure['hi']:.2f} (what is known to hold, and what may still hold)" if sure["hi"] > sure["lo"] + 0.005 else ""
    rows.append(("Confidence", f"{sure['lo']:.2f}{open_}"))
    before = ""
    for c in [c for n, c in enumerate(one["culprits"]) if n == 0 or c.get("share") is None or c["share"] >= NOTHING]:
        word = "Happened to" if c["kind"] == "process" and one["id"] in victims else "Culprit"
        share = f", {c['share']:.0%}" if c.get("share") is not None else ""
        detail = f", {c['detail']}" if c.get("detail") else ""
        rows.append((word if word != before else "", f"{place(c)}{share}{detail}"))
        before = word
    rows += [("Leads to", ", ".join(one["consequences"]))] if one["consequences"] else []
    made: list[Block] = [Para(one["title"])] if first else [Heading(f"And also: {one['title']}", 3)]
    made.append(Table(("", ""), tuple(rows)))
    lines = sorted(one["evidence"], key=lambda e: ORDER.index(e["answer"]))
    told = tuple((e["check"], e["answer"], sentences(e["says"]), e["source"] or "series") for e in lines)
    head = ("check", "holds", "what was seen", "seen by")
    return made + ([Heading("Evidence", 3 if first else 4), Table(head, told)] if told else [])


def sentences(says: str) -> str:
    """What was seen, in words first, each once; the condition that was checked stands behind it."""
    condition, *words = says.split("; ")
    told = "; ".join(dict.fromkeys(words))
    return f"{told} ({condition})" if told else condition


def ruled_out(i: Json) -> list[Block]:
    """What was ruled out and why: causes of the incident's own kind one by one, the others by name."""
    if not i["ruled_out"]:
        return [Heading("Ruled out"), Para("Nothing was ruled out.")]
    about = families(i)
    near = [x for x in i["ruled_out"] if family(x["id"]) in about]
    far = [x["id"] for x in i["ruled_out"] if x not in near]
    alike: dict[str, list[str]] = {}
    for x in near:
        alike.setdefault(x["because"], []).append(x["id"])
    told = tuple((ids[0], why) for why, ids in alike.items() if len(ids) == 1)
    made: list[Block] = [Heading("Ruled out"), *([Table(("cause", "because"), told)] if told else [])]
    made += [Para(f"{', '.join(ids)}: {why}.") for why, ids in alike.items() if len(ids) > 1]
    return made + ([Para(f"Of other kinds: {_grouped(far)}.", soft=True)] if far else [])


def _grouped(names: Sequence[str]) -> str:
    """``host: io-errors, lockup; latency: disk-io``."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, rest = name.partition(".")
        kinds.setdefault(kind, []).append(rest)
    return "; ".join(f"{kind}: {', '.join(rest)}" for kind, rest in kinds.items())


def target(of: Json) -> str:
    """Who suffers, with what is known of it."""
    name = of.get("name") or ("the host" if of["kind"] == "host" else of["kind"])
    facts = [f"pid {of['pid']}" if of.get("pid") else ""]
    facts += [f"{key} {of[key]}" for key in ("user", "unit", "container", "job") if of.get(key)]
    inside = ", ".join(f for f in facts if f)
    return f"{name} ({inside})" if inside else str(name)


def place(culprit: Json) -> str:
    """A line of code, or a thing by its kind and name."""
    if culprit.get("file"):
        line = f":{culprit['line']}" if culprit.get("line") else ""
        return f"{culprit['file']}{line}" + (f" in {culprit['function']}" if culprit.get("function") else "")
    kind = "" if culprit["name"].lower().startswith(culprit["kind"]) else f"{culprit['kind']} "
    return f"{kind}{culprit['name']}" + (f" (pid {culprit['pid']})" if culprit.get("pid") else "")
