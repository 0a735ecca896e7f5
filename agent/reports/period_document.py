"""``anfl.report-period/1`` as a document."""

from __future__ import annotations

from agent.engine.says import figure
from agent.reports.document import Block, Chart, Document, Heading, Json, Line, Para, Table, clock
from agent.reports.incident import duration, moment

TITLES = {"day": "One day", "week": "One week", "month": "One month"}
PER = {"day": 86400.0, "week": 86400.0, "month": 7 * 86400.0}
FULLY = 0.98


def document(r: Json) -> Document:
    """The whole document."""
    known = (r["incidents"] or {}).get("by_severity", {})
    worst = next((s for s in ("critical", "warning") if known.get(s)), "ok")
    blocks = (*_health(r), *_top(r), *_errors(r), *_use(r), *_charts(r), *_trends(r), *_own(r))
    return Document(
        title=f"{TITLES[r['period']]} on {r['host']}",
        badge={"ok": _calm(r)}.get(worst, worst),
        tone=worst if r["recorded"] else "notice",
        under=f"{clock(r['since'])} to {clock(r['until'])} · anfl-agent {r['agent_version']}",
        blocks=blocks,
    )


def _calm(r: Json) -> str:
    """What may be said where no incident is known: no more than was watched."""
    if not r["recorded"]:
        return "nothing recorded"
    if not r["incidents"]:
        return ""
    return "no trouble" if r["recorded"] >= FULLY else "no trouble seen"


def _health(r: Json) -> list[Block]:
    rows = [*(_well(r) if r["incidents"] else ()), ("Reboots", str(max(0, r["agent"]["boots_seen"] - 1)))]
    share = "less than 1" if 0.0 < r["recorded"] < 0.01 else f"{100 * r['recorded']:.0f}"
    rows += [("Recorded", f"{share} % of the time")]
    made: list[Block] = [Heading("Health"), Table(("", ""), tuple(rows))]
    if r["recorded"] < FULLY:
        made.append(Para("Where nothing was recorded nothing is known: figures and charts hold for the rest.", soft=True))
    return made


def _well(r: Json) -> list[tuple[str, str]]:
    """How the host did, by its incidents."""
    i = r["incidents"]
    whole = moment(r["until"]) - moment(r["since"])
    calm = 1.0 - i["suffered_s"] / whole
    severities = ", ".join(f"{n} {word}" for word, n in sorted(i["by_severity"].items())) or "none"
    return [
        ("Time without an open incident", _calm_share(r, calm)),
        ("Incidents opened", f"{i['opened']} (the {r['period']} before: {i['before']})"),
        ("Of all, by severity", severities),
        ("Closed, still open", f"{i['closed']}, {i['open']}"),
        ("Time to notice, median", _seconds(i["noticed_s"])),
        ("Time to end, median", _seconds(i["closed_s"])),
        ("Playbooks", ", ".join(f"{n} {phase}" for phase, n in sorted(r["actions"].items())) or "none ran or was refused"),
    ]


def _calm_share(r: Json, calm: float) -> str:
    if r["recorded"] >= FULLY:
        return f"{100 * calm:.1f} %"
    known = r["recorded"] or r["incidents"]["suffered_s"]
    return f"at most {100 * calm:.1f} %: not all of it was watched" if known else "unknown"


def _seconds(value: float | None) -> str:
    return "–" if value is None else duration(value)


def _top(r: Json) -> list[Block]:
    i = r["incidents"]
    if i is None:
        return [Heading("Incidents"), Para("They are not part of a recording, so nothing is known of them here.")]
    if not i["top"]:
        return [Heading("Incidents"), Para("There were none.")]
    rows = [
        (str(x["id"]), x["worst"], clock(x["opened"]), duration(x["lasted_s"]), x["ending"] or x["phase"], x["title"])
        for x in i["top"]
    ]
    causes = [(c["cause"], str(c["count"]), duration(c["lasted_s"])) for c in i["causes"]]
    head = ("", "severity", "opened", "lasted", "state", "what")
    return [
        Heading("Incidents"),
        Table(head, tuple(rows)),
        Heading("Causes", 3),
        Table(("cause", "incidents", "lasted in all"), tuple(causes), frozenset({1, 2})),
    ]


def _errors(r: Json) -> list[Block]:
    if not r["errors"]:
        quiet = "None of the counters of trouble grew" + ("." if r["recorded"] >= FULLY else " in what was recorded.")
        known = quiet if r["recorded"] else "Nothing was recorded."
        return [Heading("Error rates"), Para(known)]
    rows = tuple((e["what"], e["name"], f"{e['count']:,}", figure(e["per_day"], "")) for e in r["errors"])
    return [Heading("Error rates"), Table(("what", "of", "count", "a day"), rows, frozenset({2, 3}))]


def _use(r: Json) -> list[Block]:
    if not r["use"]:
        return [Heading("Utilisation"), Para("Nothing was recorded.")]
    rows = tuple((u["what"], u["name"], *(figure(u[k], u["unit"]) for k in ("mean", "p95", "max", "last"))) for u in r["use"])
    head = ("what", "of", "mean", "95th pct.", "highest", "last")
    return [
        Heading("Utilisation"),
        Table(head, rows, frozenset({2, 3, 4, 5})),
        Para("Rates and shares of time are exact means between readings; levels are what was read at equal steps.", soft=True),
    ]


def _charts(r: Json) -> list[Block]:
    since, until = moment(r["since"]), moment(r["until"])
    made: list[Block] = [Heading("Courses", 2)] if r["series"] else []
    for title in dict.fromkeys(s["chart"] for s in r["series"]):
        lines = [s for s in r["series"] if s["chart"] == title]
        made.append(Chart(title, lines[0]["unit"], tuple(Line(s["name"], s["times"], s["values"]) for s in lines), since, until))
    return made


def _trends(r: Json) -> list[Block]:
    head = ("what", "of", "now", "trend", "90 % of it", "limit", "reached in")
    if not r["trends"]:
        return [Heading("Trends and forecast"), Para("Too little was recorded to tell a trend.")]
    steady = [t for t in r["trends"] if t["steady"]]
    rest = len(r["trends"]) - len(steady)
    made: list[Block] = [Heading("Trends and forecast")]
    if steady:
        made.append(Table(head, tuple(_trend(t, PER[r["period"]]) for t in steady), frozenset({2, 3})))
    quiet = f"{rest} other levels lead nowhere for sure." if steady else f"None of {rest} levels leads anywhere for sure."
    return [*made, Para(f"{quiet} A forecast reaches no further ahead than four times what was seen.", soft=True)]


def _trend(t: Json, per: float) -> tuple[str, ...]:
    unit, word = t["unit"], "day" if per == 86400.0 else "week"
    slope = _signed(t["slope"] * per, unit)
    bounds = f"{_signed(t['low'] * per, unit)} to {_signed(t['high'] * per, unit)}"
    limit = "–" if t["limit"] is None else figure(t["limit"], unit)
    return (t["what"], t["name"], figure(t["level"], unit), f"{slope} a {word}", bounds, limit, _reached(t))


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else ''}{figure(value, unit)}"


def _reached(t: Json) -> str:
    """When the limit is met: the best guess, and the interval."""
    if t["limit"] is None:
        return "–"
    if t["meets_s"] is None:
        soon = f", {duration(t['earliest_s'])} at the earliest" if t["earliest_s"] is not None else ""
        return f"not within {duration(4 * t['seen_s'])}{soon}"
    late = duration(t["latest_s"]) if t["latest_s"] is not None else "later"
    early = duration(t["earliest_s"]) if t["earliest_s"] is not None else "now"
    return f"{duration(t['meets_s'])} ({early} to {late})"


def _own(r: Json) -> list[Block]:
    own = r["agent"]
    cpu = "unknown" if own["cpu_cores"] is None else f"{100 * own['cpu_cores']:.2f} % of a core"
    memory = "unknown" if own["resident_bytes"] is None else figure(own["resident_bytes"], "bytes")
    most = "" if own["resident_most_bytes"] is None else f", at most {figure(own['resident_most_bytes'], 'bytes')}"
    down = ", ".join(f"{name} ({100 * share:.0f} % of the readings)" for name, share in sorted(own["collectors_down"].items()))
    rows = [("CPU", cpu), ("Memory", memory + most), ("Recording on disk", figure(float(own["recording_bytes"]), "bytes"))]
    rows += [("Sampling rounds left out", str(own["ticks_skipped"])), ("Sources that could not be read", down or "none")]
    return [Heading("What the agent itself took"), Table(("", ""), tuple(rows))]
