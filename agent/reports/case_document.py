"""``anfl.report-incident/1`` as a document, in the order the procedure asks for: impact, cause, actions, resolution, prevention."""

from __future__ import annotations

from collections.abc import Sequence

from agent.engine.says import figure
from agent.reports.artifacts import Keep
from agent.reports.cause_document import cause, place, ruled_out, target
from agent.reports.document import Block, Chart, Document, Heading, Item, Items, Json, Line, Mark, Para, Table, clock
from agent.reports.incident import exact, moment

PHASES = {"proposed": "waits for a yes", "would": "would have acted"}
MESSAGE_STATES = {"done": "arrived", "pending": "waits", "parked": "parked"}


def document(r: Json, keep: Keep) -> Document:
    """The whole document."""
    i = r["incident"]
    over = i["closed"] is not None
    blocks = (
        *_summary(r), *_impact(r), *cause(r, keep), *_charts(r), *_timeline(r), *ruled_out(i), *_actions(r), *_told(r),
        *_points("Resolution", r["resolution"], "Nothing is known of it."),
        *_points("Prevention", r["prevention"], "The rules say nothing of it."),
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
        ("Noticed", f"{clock(i['opened'])}, {exact(spans['noticed_s'])} later"),
    ]
    for key, word in (
        ("diagnosed_s", "Cause named"),
        ("told_s", "First message arrived"),
        ("acknowledged_s", "Acknowledged"),
        ("closed_s", "Closed"),
    ):
        said = ("never" if i["closed"] else "not yet") if spans[key] is None else f"{exact(spans[key])} after it was noticed"
        who = f" by {i['acknowledged']}" if key == "acknowledged_s" and i["acknowledged"] else ""
        rows.append((word, said + who))
    rows.append((_lasts(r), exact(spans["lasted_s"])))
    rows += [("Owner", i["assigned"])] if i["assigned"] else []
    made: list[Block] = [Heading("Summary"), Para(_sentence(r)), Table(("", ""), tuple(rows))]
    if until := r["known_until"]:
        made.append(Para(f"Nothing was recorded after {clock(until)}: how it went on is not known.", soft=True))
    return made


def _lasts(r: Json) -> str:
    return "Lasted" if r["incident"]["closed"] else "Lasted so far" if r["known_until"] is None else "Lasted at least"


def _sentence(r: Json) -> str:
    """The incident in two sentences."""
    i = r["incident"]
    root = next(iter(i["causes"]), None)
    if root is None:
        what = f"{', '.join(i['symptoms']) or 'Something'} was wrong; its cause is not known"
    else:
        what = f"{root['title']}: {_where(root)}"
    lasted, whom = exact(r["intervals"]["lasted_s"]), _whom(i["impact"])
    if i["closed"]:
        return f"{what}. It {ENDED.get(i['ending'], 'ended')} after {lasted}{f' and concerned {whom}' if whom else ''}."
    state = f"It has been open for {lasted}" if r["known_until"] is None else f"It was open for at least {lasted}"
    tense = "concerns" if r["known_until"] is None else "concerned"
    return f"{what}. {state}{f' and {tense} {whom}' if whom else ''}."


def _where(root: Json) -> str:
    """Who suffers and what is to blame, once where they are the same."""
    first = next(iter(root["culprits"]), None)
    if first is None:
        return target(root["target"])
    same = first.get("uuid") and first["uuid"] == root["target"].get("uuid")
    if root["target"]["kind"] == "host" or (same and first["kind"] == "gpu"):
        return place(first)
    return f"{target(root['target'])}, at {place(first)}"


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


def _impact(r: Json) -> list[Block]:
    i, impact, lasted = r["incident"], r["incident"]["impact"], r["intervals"]["lasted_s"]
    rows = [("Duration", exact(lasted) + ("" if r["known_until"] is None else " at least")), ("Symptoms", _symptoms(i))]
    kinds = (("gpus", "GPUs"), ("users", "users"), ("jobs", "jobs"), ("units", "units"), ("containers", "containers"))
    rows += [(word[0].upper() + word[1:], ", ".join(impact[key])) for key, word in kinds if impact[key]]
    if impact["gpus"]:
        spent = len(impact["gpus"]) * lasted
        rows.append(("GPU time concerned", f"{spent / 3600:.1f} GPU-hours" if spent >= 3600 else exact(spent)))
    nobody = [word for key, word in kinds if not impact[key]] + ([] if impact["processes"] else ["processes"])
    rows += [("None known", ", ".join(nobody))] if nobody else []
    made: list[Block] = [Heading("Impact"), Table(("", ""), tuple(rows))]
    head = ("pid", "process", "user", "unit", "container", "job")
    known = [n for n in head if n in ("pid", "process") or any(p[n] for p in impact["processes"])]
    keys = [{"process": "name"}.get(n, n) for n in known]
    processes = tuple(tuple(str(p[k] or "–") for k in keys) for p in impact["processes"])
    made += [Table(tuple(known), processes)] if processes else []
    more = impact["more"]
    return made + ([Para(f"and {more} more process{'es' if more > 1 else ''}", soft=True)] if more else [])


def _symptoms(i: Json) -> str:
    """Which symptoms, and how each stands."""
    told: dict[str, None] = {}
    for c in i["complaints"]:
        state = c["ended"] or ("no data now" if c["missing"] else "better now" if c["clearing"] else "")
        told[c["tree"] + (f" ({state})" if state else "")] = None
    return ", ".join(told) or "none"


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
        rate = ", rate" if name.endswith("_total") else ""
        title = f"{lines[0]['help'].rstrip('.')} ({name}{rate})" if lines[0].get("help") else f"{name}{rate}"
        made.append(Chart(title, lines[0]["unit"], drawn, since, until, tuple(m for m in marks if m.time <= until)))
    if still:
        rows = tuple((f"{s['metric']}, {s['name']}", figure(s["values"][0], s["unit"])) for s in still)
        made += [Heading("These did not move", 3), Table(("series", "value"), rows, frozenset({1}))]
    missing = r["sources"]["not_recorded"]
    if missing:
        made.append(Para(f"Nothing was recorded then of: {', '.join(missing)}.", soft=True))
    elif not r["series"]:
        made.append(Para("No series is known to matter here.", soft=True))
    return made


def _timeline(r: Json) -> list[Block]:
    """What follows at once and says the same is one line."""
    rows: list[tuple[str, str, str]] = []
    counts: list[int] = []
    for e in _decided(r["timeline"]):
        row = (clock(e["time"]), e["source"], _happened(e))
        if rows and row[1:] == rows[-1][1:]:
            counts[-1] += 1
        else:
            rows.append(row)
            counts.append(1)
    told = tuple(
        (at, source, what + (f" ({n} times)" if n > 1 else "")) for (at, source, what), n in zip(rows, counts, strict=True)
    )
    return [Heading("Timeline"), Table(("time", "source", "what happened"), told)]


def _decided(lines: Sequence[Json]) -> list[Json]:
    """Within one second playbooks come last and by name, and a proposal that was refused at once is its refusal."""
    refused = {(_second(e), e["what"].removesuffix(" denied")) for e in lines if e["what"].endswith(" denied")}
    soon = {(second + late, name) for second, name in refused for late in (0.0, -1.0)}
    told = [
        e for e in lines if (_second(e), e["what"].removesuffix(" proposed")) not in soon or not e["what"].endswith(" proposed")
    ]
    return sorted(told, key=lambda e: (_second(e), e["source"] == "playbook", e["what"] if e["source"] == "playbook" else ""))


def _second(e: Json) -> float:
    return moment(e["time"]) // 1.0


def _happened(e: Json) -> str:
    who = f" [{e['who']}]" if e.get("who") and e["who"] != "agent" else ""
    told = "" if e["source"] == "playbook" and e["what"].endswith(" denied") else e["text"]  # the table of actions says why
    return f"{e['what']}{who}" + (f": {told}" if told else "")


def _actions(r: Json) -> list[Block]:
    rows = tuple(
        (str(a["id"]), a["playbook"], target(a["target"]), a["mode"], PHASES.get(a["phase"], a["phase"]), a["reason"])
        for a in r["actions"]
    )
    if not rows:
        return [Heading("Actions taken and refused"), Para("No playbook was proposed, carried out or refused.")]
    head = ("run", "playbook", "on", "mode", "state", "why")
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
    items = tuple(Item(_asked(q["text"], q["why"]), q["command"]) for q in r["open_questions"])
    return [Heading("Open questions"), Items(items) if items else Para("None: all that bears on it was checked.")]


def _asked(text: str, why: str) -> str:
    if not why:
        return text
    return f"{text} {why[0].upper()}{why[1:]}" if text.endswith("?") else f"{text}: {why}"


def _sources(r: Json) -> list[Block]:
    alike = tuple((str(a["id"]), clock(a["opened"]), a["ending"] or "open", a["title"]) for a in r["alike"])
    made: list[Block] = [Heading("The same cause before"), Table(("incident", "opened", "ended", "title"), alike)] if alike else []
    paths = [("State", r["sources"]["state"]), ("Recording", r["sources"]["recording"])]
    looks = (r["incident"]["diagnosis"] or {}).get("cost", {}).get("probes", [])
    each: dict[str, list[float]] = {}
    for p in looks:
        each.setdefault(p["probe"], []).append(p["seconds"])
    took = "; ".join(f"{name}{f' {len(s)} times' if len(s) > 1 else ''} {figure(sum(s), 'seconds')}" for name, s in each.items())
    made += [Heading("Sources"), Table(("", ""), (*paths, ("Closer looks", took or "none")))]
    return made
