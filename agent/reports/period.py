"""A day, a week or a month as ``anfl.report-period/1``: health, incidents, errors, use, trends, and what the agent itself took."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from agent import __version__
from agent.alerts.redact import redact_all
from agent.engine.report import when
from agent.incidents import answers, tables
from agent.model import JsonObject
from agent.reports import kept, shown
from agent.reports.case import Sources
from agent.reports.document import Json
from agent.reports.forecast import trend
from agent.reports.history import Grid, Progress, figures, grid, growth, known_until, quiet, rates
from agent.reports.incident import moment
from agent.reports.surroundings import spoken

PERIODS = {"day": 86400.0, "week": 7 * 86400.0, "month": 30 * 86400.0}
TOP = 10
SUFFERED = ("warning", "critical")
LINES_MOST = 6
USE_MOST = 12
"""Rows of one kind of use: of many disks or filesystems the fullest are told."""


def of_state(at: sqlite3.Connection) -> JsonObject:
    """What the state file holds: incidents that are kept, and runs of playbooks."""
    known = tables.incidents(at, closed_after=0.0, most=tables.KEEP_CLOSED)
    return {"incidents": [answers.summary(i) for i in known], "runs": kept.runs(at)}


def report(found: JsonObject | None, sources: Sources, period: str, until: float, progress: Progress = quiet) -> JsonObject:
    """The whole report, secrets masked. ``found`` is None for a recording carried here from elsewhere: it holds no incidents."""
    since = until - PERIODS[period]
    seen = grid(sources.recording, since, until, shown.NAMES, progress)
    told: JsonObject = {
        "schema": "anfl.report-period/1",
        "agent_version": __version__,
        "host": sources.host,
        "made": when(time.time()),
        "period": period,
        "since": when(since),
        "until": when(until),
        "recorded": round(seen.recorded, 4),
        "incidents": None if found is None else incidents(found["incidents"], since, until, known_until(sources.recording, until)),
        "errors": errors(seen),
        "use": use(seen),
        "trends": trends(seen),
        "actions": {} if found is None else actions(found["runs"], since, until),
        "agent": own(seen, sources.recording.files()),
        "series": series(seen),
    }
    masked: JsonObject = redact_all(told)
    return masked


# ---------------------------------------------------------------------------------------------- incidents


def incidents(known: Sequence[Json], since: float, until: float, told: float) -> JsonObject:
    """Incidents of the period, and how many the period before had. Of those that are open nothing is known after ``told``."""
    alive = [i for i in known if moment(i["opened"]) <= until and (i["closed"] is None or moment(i["closed"]) > since)]
    opened = [i for i in alive if moment(i["opened"]) > since]
    closed = [i for i in alive if i["closed"] and moment(i["closed"]) <= until]
    before = [i for i in known if 2 * since - until < moment(i["opened"]) <= since]
    lasted = {i["id"]: _lasted(_known(i, told), since, until) for i in alive}
    order = ("critical", "warning", "notice")
    worst = sorted(alive, key=lambda i: (order.index(i["worst"]), -lasted[i["id"]], i["id"]))
    causes = Counter(i["cause"] or "unknown" for i in alive)
    spent = {name: sum(lasted[i["id"]] for i in alive if (i["cause"] or "unknown") == name) for name in causes}
    return {
        "opened": len(opened),
        "closed": len(closed),
        "open": len(alive) - len(closed),
        "before": len(before),
        "by_severity": dict(Counter(i["worst"] for i in alive)),
        "suffered_s": round(_covered((_known(i, told) for i in alive if i["worst"] in SUFFERED), since, until), 1),
        "noticed_s": _median(moment(i["opened"]) - moment(i["since"]) for i in opened),
        "closed_s": _median(moment(i["closed"]) - moment(i["opened"]) for i in closed),
        "causes": [{"cause": c, "count": n, "lasted_s": round(spent[c], 1)} for c, n in causes.most_common(TOP)],
        "top": [{**i, "lasted_s": round(lasted[i["id"]], 1)} for i in worst[:TOP]],
    }


def actions(runs: Iterable[Json], since: float, until: float) -> JsonObject:
    """How many runs of playbooks of the period stand how."""
    return dict(Counter(r["phase"] for r in runs if since < moment(r["created"]) <= until))


def _known(i: Json, told: float) -> Json:
    """One that nobody tends any more is taken to end with what was last known of it."""
    return i if i["closed"] else {**i, "closed": when(max(told, moment(i["updated"])))}


def _span(i: Json, since: float, until: float) -> tuple[float, float]:
    end = moment(i["closed"]) if i["closed"] else until
    return max(moment(i["since"]), since), min(end, until)


def _lasted(i: Json, since: float, until: float) -> float:
    first, last = _span(i, since, until)
    return max(0.0, last - first)


def _covered(found: Iterable[Json], since: float, until: float) -> float:
    """Seconds in which at least one of them was open."""
    total, reached = 0.0, since
    for first, last in sorted(_span(i, since, until) for i in found):
        total += max(0.0, last - max(first, reached))
        reached = max(reached, last)
    return total


def _median(values: Iterable[float]) -> float | None:
    told = [*values]
    return round(median(told), 1) if told else None


# ---------------------------------------------------------------------------------------------- the recording


def errors(seen: Grid) -> list[JsonObject]:
    """Counters of trouble that grew, by kind, those that grew most first."""
    made: list[JsonObject] = []
    for kind in shown.ERRORS:
        grown: list[JsonObject] = []
        for known, column in seen.named(kind.metric).items():
            count = growth(column)
            if count >= 1.0:
                days = (column.times[-1] - column.times[0]) / 86400.0
                row = {"what": kind.what, "metric": kind.metric, "labels": dict(known), "name": spoken(known, {})}
                grown.append({**row, "count": round(count), "per_day": float(f"{count / days:.4g}")})
        made += sorted(grown, key=lambda row: (-row["count"], row["name"]))[:TOP]
    return made


def use(seen: Grid) -> list[JsonObject]:
    """Mean, 95th percentile, highest and last of every use, the highest first within its kind."""
    made: list[JsonObject] = []
    for kind in shown.USES:
        rows: list[JsonObject] = []
        for known, column in shown.level(seen, kind).items():
            told = {k: float(f"{v:.6g}") for k, v in figures(column.values).items() if k != "min"}
            if told:
                rows.append({"what": kind.what, "name": spoken(known, {}), "unit": kind.unit, **told})
        made += sorted(rows, key=lambda row: (-row["mean"], row["name"]))[:USE_MOST]
    return made


def trends(seen: Grid) -> list[JsonObject]:
    """Where levels are heading; those that lead somewhere first, the nearest limit before all."""
    made: list[JsonObject] = []
    for kind in shown.OUTLOOKS:
        for known, column in seen.named(kind.metric).items():
            looked = rates(column) if kind.counter else column
            found = trend(looked.times, looked.values, kind.limit) if looked.times else None
            if found is not None and (any(looked.values) or kind.limit):
                row = {k: None if v is None else v if isinstance(v, bool) else float(f"{v:.6g}") for k, v in vars(found).items()}
                made.append({"what": kind.what, "name": spoken(known, {}), "unit": kind.unit, **row})
    return sorted(made, key=lambda row: (not row["steady"], row["meets_s"] is None, row["meets_s"] or 0.0))


def own(seen: Grid, files: Iterable[str]) -> JsonObject:
    """What the agent took, and what it could not see."""
    cpu = [v for column in seen.named("agent_cpu_seconds_total").values() for v in rates(column).values]
    held = figures(v for column in seen.named("agent_resident_bytes").values() for v in column.values)
    down = {}
    for known, column in seen.named("agent_collector_up").items():
        if share := sum(v < 1.0 for v in column.values) / len(column.values):
            down[spoken(known, {})] = round(share, 4)
    boots = {round(v) for column in seen.named("host_boot_time_seconds").values() for v in column.values}
    return {
        "cpu_cores": round(sum(cpu) / len(cpu), 5) if cpu else None,
        "resident_bytes": held.get("mean"),
        "resident_most_bytes": held.get("max"),
        "recording_bytes": sum(os.path.getsize(path) for path in files if os.path.exists(path)),
        "ticks_skipped": round(sum(growth(c) for c in seen.named("agent_ticks_skipped_total").values())),
        "collectors_down": down,
        "boots_seen": len(boots),
    }


def series(seen: Grid) -> list[JsonObject]:
    """The lines of the charts, of many alike those that are highest on the whole."""
    made: list[JsonObject] = []
    for kind in (u for u in shown.USES if u.chart):
        found = sorted(shown.level(seen, kind).items(), key=lambda item: -sum(item[1].values))
        for known, column in found[:LINES_MOST]:
            name = spoken(known, {}) if known else kind.what
            line = {"chart": kind.chart, "metric": kind.metric, "labels": dict(known), "name": name, "unit": kind.unit}
            points = {"times": [round(t, 3) for t in column.times], "values": [float(f"{v:.5g}") for v in column.values]}
            made.append({**line, **points})
    return [line for line in made if line["times"]]
