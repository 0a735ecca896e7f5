"""What was recorded around an incident's onset: the series that its symptoms and its root cause were judged by, and events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.engine.report import when
from agent.engine.trees import RuleSet
from agent.model import ENTITY_ENDED, Column, Event, JsonObject, Metric
from agent.reports.document import Json
from agent.reports.history import Key, Progress, as_level, events, quiet
from agent.reports.questions import families
from agent.store.recording import Recording

BEFORE_S = 900.0
AFTER_S = 5400.0
"""A chart begins a quarter of an hour before the onset and ends with the incident, an hour and a half after it at the latest."""
LATER_S = 300.0
CHANGES_S = 1800.0
"""Events that long before and after the onset may have to do with it."""
EARLIER_S = (120.0, 30.0, 10.0)
"""What changed shortly before the onset brought it about."""
DOUBTFUL_S = 300.0
ASKED_MOST = 12
SERIES_MOST = 6
LINES_MOST = 4
EVENTS_MOST = 40
BESIDE = {
    "gpu": ("gpu_temperature_celsius", "gpu_utilization_ratio"),
    "memory": ("host_memory_available_bytes",),
    "latency": ("host_cpu_busy_seconds_total",),
}
"""What a reader looks for in an incident of that kind, whatever it was judged by: a kill for want of memory is so by a report."""
STARTED = "process_started"
A_MOMENT = "_time_seconds"
"""Ends the name of a series that says when something began: that has no course."""


def series_of(incident: Json, rules: RuleSet) -> list[str]:
    """Names of the metrics that matter: of the symptoms, those that their texts name first, then of the root cause's evidence."""
    found: dict[str, None] = {}
    for complaint in incident["complaints"]:
        tree = rules.trees.get(complaint["tree"])
        named = sorted(tree.symptom.when.series) if tree else []
        said = [name for name in named if name in complaint["text"]]
        found |= dict.fromkeys(said or named)
    root = next(iter(incident["causes"]), None)
    cause = rules.causes.get(root["id"]) if root else None
    if root is not None and cause is not None:
        checks = rules.trees[cause.tree].checks
        held = [line["check"] for line in root["evidence"] if line["answer"] == "true"]
        found |= dict.fromkeys(name for check in held if check in checks for name in sorted(checks[check].expr.series))
    found |= dict.fromkeys(name for kind in sorted(families(incident)) for name in BESIDE.get(kind, ()))
    return [name for name in found if not name.endswith(A_MOMENT)][:ASKED_MOST]


def span(onset: float, end: float, now: float) -> tuple[float, float]:
    """The stretch of time that charts show: from before the onset to a little after the end, and never what is yet to come."""
    return onset - BEFORE_S, max(min(end + min(LATER_S, max(60.0, (end - onset) / 4)), onset + AFTER_S, now), onset + 1.0)


def charted(
    recording: Recording,
    incident: Json,
    names: Sequence[str],
    metrics: Mapping[str, Metric],
    window: tuple[float, float],
    onset: float,
    progress: Progress = quiet,
) -> list[JsonObject]:
    """The series as JSON, in the order of ``names``; those nothing was recorded of are left out."""
    seen = _seen(recording, window, onset)
    about, people = _entities(incident), {str(p["pid"]): p["name"] for p in incident["impact"]["processes"]}
    made: list[JsonObject] = []
    for number, name in enumerate(names):
        progress(f"reading the recording, series {number + 1} of {len(names)}")
        for key in _chosen(name, seen, about):
            level, unit = as_level(_whole(recording, key, window), metrics.get(name))
            if level.times:
                made.append(_plain(key, level, unit, people) | {"help": metrics[name].help if name in metrics else ""})
    return made


def telling(lines: Sequence[JsonObject]) -> list[JsonObject]:
    """Of these, what tells something: lines that move, the host's last, then levels that stand. All-zero ones only if there is
    nothing else."""
    moving = [s for s in lines if max(s["values"]) > min(s["values"])]
    standing = [s for s in lines if s not in moving and any(s["values"])]
    first = sorted(moving, key=lambda s: not s["labels"]) + standing or [*lines]
    names = [*dict.fromkeys(s["metric"] for s in first)][:SERIES_MOST]
    return [s for name in names for s in first if s["metric"] == name]


def near(recording: Recording, incident: Json, onset: float) -> list[JsonObject]:
    """Kernel events around the onset, and processes of the incident that began or ended then, as lines of a timeline."""
    pids = {str(p["pid"]) for p in incident["impact"]["processes"]} | _entities(incident).get("pid", set())
    found = events(recording, onset - CHANGES_S, onset + CHANGES_S, ("kernel", STARTED, ENTITY_ENDED))
    told = [e for e in found if (_heard(e, onset) if e.kind == "kernel" else dict(e.labels).get("pid") in pids)]
    closest = sorted(told, key=lambda e: abs(e.time - onset))[:EVENTS_MOST]
    return [_event(e) for e in sorted(closest, key=lambda e: e.time)]


def _heard(event: Event, onset: float) -> bool:
    """What any user could have written counts close to the onset only."""
    return event.trusted or abs(event.time - onset) <= DOUBTFUL_S


def _event(event: Event) -> JsonObject:
    if event.kind == "kernel":
        doubt = "" if event.trusted else " (not written by the kernel)"
        return {
            "time": when(event.time),
            "source": "kernel log",
            "what": str(event.fields.get("kind", "")),
            "text": event.text + doubt,
        }
    what = "process began" if event.kind == STARTED else "process ended"
    return {
        "time": when(event.time),
        "source": "recording",
        "what": what,
        "text": f"{event.text} (pid {dict(event.labels)['pid']})",
    }


def _entities(incident: Json) -> dict[str, set[str]]:
    """Label → its values that the incident is about."""
    about: dict[str, set[str]] = {}
    for complaint in incident["complaints"]:
        for name, value in complaint["labels"].items():
            about.setdefault(name, set()).add(value)
    root = next(iter(incident["causes"]), None)
    for name in ("pid", "cgroup", "uuid"):
        if root is not None and (value := root["target"].get(name)):
            about.setdefault(name, set()).add(str(value))
    if incident["impact"]["gpus"]:
        about.setdefault("uuid", set()).update(incident["impact"]["gpus"])
    return about


def _seen(recording: Recording, window: tuple[float, float], onset: float) -> dict[Key, list[float]]:
    """Every series at some moments of the stretch, with the values seen."""
    since, until = window
    found: dict[Key, list[float]] = {}
    for moment in (since + 60.0, *(onset - early for early in EARLIER_S), onset, (onset + until) / 2, until):
        for key, (_, value) in recording.instant(moment).items():
            found.setdefault(key, []).append(value)
    return found


def _chosen(name: str, seen: Mapping[Key, Sequence[float]], about: Mapping[str, set[str]]) -> list[Key]:
    """The series of that name that are about the incident; of many those that changed most."""
    fits = [k for k in seen if k[0] == name and all(v in about[label] for label, v in k[1] if about.get(label))]
    return sorted(fits, key=lambda k: (-_change(seen[k]), k))[:LINES_MOST]


def _change(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _whole(recording: Recording, key: Key, window: tuple[float, float]) -> Column:
    return recording.one(key[0], key[1], *window)


def _plain(key: Key, level: Column, unit: str, people: Mapping[str, str]) -> JsonObject:
    name, known = key
    return {
        "metric": name,
        "labels": dict(known),
        "name": spoken(known, people),
        "unit": unit,
        "times": [round(t, 3) for t in level.times],
        "values": [float(f"{v:.6g}") for v in level.values],
    }


def spoken(known: Iterable[tuple[str, str]], people: Mapping[str, str]) -> str:
    """A label set as a line of a chart is called: a process by its name, a GPU by its index, anything else by its labels."""
    told = dict(known)
    parts = []
    if (pid := told.pop("pid", None)) is not None:
        parts.append(f"{people[pid]} ({pid})" if people.get(pid) else f"pid {pid}")
    if "gpu" in told:
        parts.append(f"GPU {told.pop('gpu')}")
        told = {k: v for k, v in told.items() if k not in ("uuid", "pci")}
    parts += [v if k in ("mountpoint", "device", "interface", "collector", "cgroup") else f"{k} {v}" for k, v in told.items()]
    return " ".join(parts) or "host"
