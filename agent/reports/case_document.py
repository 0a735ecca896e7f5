"""``anfl.report-incident/1`` as a document, in the order the procedure asks for: impact, cause, actions, resolution, prevention."""

from __future__ import annotations

from collections.abc import Sequence

from agent.engine.says import figure
from agent.reports.artifacts import Keep, picture
from agent.reports.document import Block, Chart, Document, Heading, Item, Items, Json, Line, Mark, Para, Table, amount, clock
from agent.reports.incident import duration, moment

MESSAGE_STATES = {"done": "arrived", "pending": "waits", "parked": "parked"}


def document(r: Json, keep: Keep) -> Document:
    """The whole document."""
    i = r["incident"]
    over = i["closed"] is not None
    blocks = (
        *_summary(r), *_impact(r), *_cause(r, keep), *_charts(r), *_timeline(r), *_ruled_out(i), *_actions(r), *_told(r),
        *_points("Resolution", r["resolution"], "Nothing is known of it."),
        *_points("Prevention", r["prevention"], "The cause carries no advice."),
        *_questions(r), *_sources(r),
    )  # fmt: skip
    return Document(
        title=f"Incident {i['id']}: {i['title']}",
        badge=f"{i['worst']} · {i['ending'] if over else i['phase']}",
        tone="ok" if over else i["severity"],
        under=f"{r['host']} · report of {clock(r['made'])} · anfl-agent {r['agent_version']}",
        blocks=blocks,
    )


def _summary(r: Json) -> list[Block]:
    i, spans = r["incident"], r["intervals"]
    rows = [("Severity", i["worst"] + (f" (now {i['severity']})" if i["severity"] != i["worst"] else ""))]
    rows += [
        ("State", _state(i)),
        ("Onset", clock(i["since"])),
        ("Noticed", f"{clock(i['opened'])}, {duration(spans['noticed_s'])} later"),
    ]
    for key, word in (
        ("diagnosed_s", "Cause named"),
        ("told_s", "First message arrived"),
        ("acknowledged_s", "Acknowledged"),
        ("closed_s", "Closed"),
    ):
        said = ("never" if i["closed"] else "not yet") if spans[key] is None else f"{duration(spans[key])} after it was noticed"
        who = f" by {i['acknowledged']}" if key == "acknowledged_s" and i["acknowledged"] else ""
        rows.append((word, said + who))
    rows.append(("Lasted" if i["closed"] else "Lasts", duration(spans["lasted_s"])))
    rows += [("Owner", i["assigned"])] if i["assigned"] else []
    return [Heading("Summary"), Para(_sentence(r)), Table(("", ""), tuple(rows))]


def _sentence(r: Json) -> str:
    """The incident in two sentences."""
    i = r["incident"]
    root = next(iter(i["causes"]), None)
    whom = _whom(i["impact"])
    what = (
        f"{root['title']}: {_target(root['target'])}"
        if root
        else f"{', '.join(i['symptoms']) or 'Something'} was wrong; its cause is not known"
    )
    place = f", at {_place(root['culprits'][0])}" if root and root["culprits"] else ""
    state = f"It {ENDED.get(i['ending'], 'ended')} after" if i["closed"] else "It is open, for"
    return f"{what}{place}. {state} {duration(r['intervals']['lasted_s'])}{f' and concerned {whom}' if whom else ''}."


ENDED = {
    "resolved": "was resolved",
    "gone": "ended with what it was about",
    "merged": "became part of another",
    "closed": "was closed by a person",
}


def _state(i: Json) -> str:
    into = f" into incident {i['merged_into']}" if i["merged_into"] else ""
    again = f", for the {i['episode']}. time" if i["episode"] > 1 else ""
    return f"{i['ending']}{into}, {clock(i['closed'])}" if i["closed"] else f"{i['phase']}{again}"


def _whom(impact: Json) -> str:
    count = len(impact["processes"]) + impact["more"]
    parts = [_count(count, "process", "processes"), _count(len(impact["gpus"]), "GPU", "GPUs")]
    parts += [_count(len(impact["jobs"]), "job", "jobs"), _count(len(impact["users"]), "user", "users")]
    return ", ".join(p for p in parts if p)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""


def _target(target: Json) -> str:
    name = target.get("name") or target["kind"]
    facts = [f"pid {target['pid']}" if target.get("pid") else ""]
    facts += [f"{key} {target[key]}" for key in ("user", "unit", "container", "job") if target.get(key)]
    inside = ", ".join(f for f in facts if f)
    return f"{name} ({inside})" if inside else name


def _place(culprit: Json) -> str:
    if culprit.get("file"):
        line = f":{culprit['line']}" if culprit.get("line") else ""
        return f"{culprit['file']}{line}" + (f" in {culprit['function']}" if culprit.get("function") else "")
    kind = "" if culprit["name"].lower().startswith(culprit["kind"]) else f"{culprit['kind']} "
    return f"{kind}{culprit['name']}" + (f" (pid {culprit['pid']})" if culprit.get("pid") else "")


def _impact(r: Json) -> list[Block]:
    impact, lasted = r["incident"]["impact"], r["intervals"]["lasted_s"]
    rows = [("Duration", duration(lasted))]
    for key, word in (("gpus", "GPUs"), ("users", "Users"), ("jobs", "Jobs"), ("units", "Units"), ("containers", "Containers")):
        rows.append((word, ", ".join(impact[key]) or "none known"))
    if impact["gpus"]:
        rows.append(("GPU time concerned", f"{len(impact['gpus']) * lasted / 3600:.2f} GPU-hours"))
    made: list[Block] = [Heading("Impact"), Table(("", ""), tuple(rows))]
    processes = [tuple(str(p[k] or "–") for k in ("pid", "name", "user", "unit", "container", "job")) for p in impact["processes"]]
    made += [Table(("pid", "process", "user", "unit", "container", "job"), tuple(processes))] if processes else []
    made += [Para(f"and {impact['more']} more processes", soft=True)] if impact["more"] else []
    return made


def _cause(r: Json, keep: Keep) -> list[Block]:
    causes = r["incident"]["causes"]
    if not causes:
        return [Heading("Root cause"), Para("It is not known: see the open questions.")]
    made: list[Block] = [Heading("Root cause")]
    shown: set[str] = set()
    for number, cause in enumerate(causes):
        made += _one_cause(cause, first=number == 0)
        made += [picture(a, keep) for a in cause["artifacts"] if a["path"] not in shown]
        shown |= {a["path"] for a in cause["artifacts"]}
    return made


def _one_cause(cause: Json, *, first: bool) -> list[Block]:
    sure = cause["confidence"]
    rows = [("Cause", cause["id"]), ("Suffers", _target(cause["target"]))]
    open_ = f" to {sure['hi']:.2f} (what is known to hold, and what may still hold)" if sure["hi"] > sure["lo"] + 0.005 else ""
    rows.append(("Confidence", f"{sure['lo']:.2f}{open_}"))
    for number, c in enumerate(cause["culprits"]):
        share = f", {c['share']:.0%}" if c.get("share") is not None else ""
        detail = f", {c['detail']}" if c.get("detail") else ""
        rows.append(("Culprit" if number == 0 else "", f"{_place(c)}{share}{detail}"))
    rows += [("Leads to", ", ".join(cause["consequences"]))] if cause["consequences"] else []
    made: list[Block] = [] if first else [Heading("And also", 3)]
    made += [Para(cause["title"]), Table(("", ""), tuple(rows))]
    order = ("true", "false", "unknown", "skipped")
    lines = sorted(cause["evidence"], key=lambda e: order.index(e["answer"]))
    told = tuple((e["check"], e["answer"], e["says"], e["source"] or "series") for e in lines)
    return made + ([Heading("Evidence", 3), Table(("check", "holds", "what was seen", "seen by"), told)] if told else [])


def _charts(r: Json) -> list[Block]:
    onset = moment(r["incident"]["since"])
    first = min((s["times"][0] for s in r["series"]), default=onset)  # a process that began lately has no earlier past
    last = max((s["times"][-1] for s in r["series"]), default=onset)  # a recording may end before its incident is looked at
    until = max(min(moment(r["window"]["until"]), last), onset + 1.0)
    since = min(first, onset) - 0.02 * (until - min(first, onset))
    marks = [Mark(onset, "onset")]
    marks += [Mark(moment(r["incident"]["closed"]), "closed")] if r["incident"]["closed"] else []
    still = [s for s in r["series"] if min(s["values"]) == max(s["values"])]
    names = list(dict.fromkeys(s["metric"] for s in r["series"] if s not in still))
    made: list[Block] = [Heading("Around the onset")]
    for name in names:
        lines = [s for s in r["series"] if s["metric"] == name]
        still = [s for s in still if s["metric"] != name]
        drawn = tuple(Line(s["name"], s["times"], s["values"]) for s in lines)
        rate = ", rate" if lines[0]["unit"].endswith("/second") or lines[0]["unit"] == "cores" else ""
        made.append(Chart(f"{name}{rate}", lines[0]["unit"], drawn, since, until, tuple(m for m in marks if m.time <= until)))
    if still:
        rows = tuple((f"{s['metric']}, {s['name']}", amount(s["values"][0], s["unit"])) for s in still)
        made += [Para("These did not move:"), Table(("series", "value"), rows, frozenset({1}))]
    missing = r["sources"]["not_recorded"]
    if missing:
        made.append(Para(f"Nothing was recorded then of: {', '.join(missing)}.", soft=True))
    elif not r["series"]:
        made.append(Para("No series is known to matter here.", soft=True))
    return made


def _timeline(r: Json) -> list[Block]:
    rows = tuple((clock(e["time"]), e["source"], _happened(e)) for e in r["timeline"])
    return [Heading("Timeline"), Table(("time", "source", "what happened"), rows)]


def _happened(e: Json) -> str:
    who = f" [{e['who']}]" if e.get("who") and e["who"] != "agent" else ""
    return f"{e['what']}{who}" + (f": {e['text']}" if e["text"] else "")


def _ruled_out(i: Json) -> list[Block]:
    if not i["ruled_out"]:
        return [Heading("Ruled out"), Para("Nothing was ruled out.")]
    alike: dict[str, list[str]] = {}
    for x in i["ruled_out"]:
        alike.setdefault(x["because"], []).append(x["id"])
    told = tuple((ids[0], why) for why, ids in alike.items() if len(ids) == 1)
    lists = [Para(f"{why}: {', '.join(ids)}") for why, ids in alike.items() if len(ids) > 1]
    return [Heading("Ruled out"), *([Table(("cause", "because"), told)] if told else []), *lists]


def _actions(r: Json) -> list[Block]:
    rows = tuple((str(a["id"]), a["playbook"], _target(a["target"]), a["mode"], a["phase"], a["reason"]) for a in r["actions"])
    if not rows:
        return [Heading("Actions taken and refused"), Para("No playbook was proposed, carried out or refused.")]
    head = ("run", "playbook", "on", "mode", "ended as", "why")
    return [Heading("Actions taken and refused"), Table(head, rows)]


def _told(r: Json) -> list[Block]:
    rows = tuple(
        (m["to"], MESSAGE_STATES.get(m["state"], m["state"]), clock(m["arrived"] or m["made"]), m["error"] or m["title"])
        for m in r["messages"]
    )
    if not rows:
        return [Heading("Who was told"), Para("No message about it is known.")]
    return [Heading("Who was told"), Table(("receiver", "message", "when", "what"), rows)]


def _points(title: str, steps: Sequence[Json], none: str) -> list[Block]:
    items = tuple(Item(s["text"], s["command"]) for s in steps)
    return [Heading(title), Items(items) if items else Para(none)]


def _questions(r: Json) -> list[Block]:
    items = tuple(Item(q["text"] + (f": {q['why']}" if q["why"] else ""), q["command"]) for q in r["open_questions"])
    return [Heading("Open questions"), Items(items) if items else Para("None: all that bears on it was checked.")]


def _sources(r: Json) -> list[Block]:
    alike = tuple((str(a["id"]), clock(a["opened"]), a["ending"] or "open", a["title"]) for a in r["alike"])
    made: list[Block] = [Heading("The same cause before"), Table(("incident", "opened", "ended", "title"), alike)] if alike else []
    paths = [("State", r["sources"]["state"]), ("Recording", r["sources"]["recording"])]
    looks = (r["incident"]["diagnosis"] or {}).get("cost", {}).get("probes", [])
    each: dict[str, list[float]] = {}
    for p in looks:
        each.setdefault(p["probe"], []).append(p["seconds"])
    took = ", ".join(f"{len(s)} × {name}, {figure(sum(s), 'seconds')}" for name, s in each.items())
    made += [Heading("Sources"), Table(("", ""), (*paths, ("Closer looks", took or "none")))]
    return made
