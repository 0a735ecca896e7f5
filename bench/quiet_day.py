"""Does a quiet machine stay quiet? A day of healthy hosts, compressed, through judge, suspicions, incidents and alerts.

    python bench/quiet_day.py [--hours 24] [--seed 1] [--hosts idle,training] [--recording FOLDER [--once]] [--json]

Every second of healthy_hosts.py goes into the agent's own memory and is judged as the daemon judges it, every 5 s, with the
shipped rules; incidents live and alerts are grouped and planned as in the daemon. Closer looks are answered as a healthy program
answers them. A folder of the flight recorder's (or a file of ``record export``) is judged in the same way, again and again until
the hours are full (--once: as long as it is). Bar: at most 0.1 pages (warnings or worse that are sent) and 1 notice a day. A host
with a leak comes last: of that there must be word, or the bench sees nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from _looped import looped, span
from healthy_hosts import BACKUP, HOSTS, Host, Script, sick

from agent import plugins
from agent.alerting import Alerts, Digest, Receiver
from agent.alerts.intake import alert_of
from agent.alerts.model import Address, Alert
from agent.alerts.plan import Ledger, plan
from agent.alerts.routing import Router
from agent.alerts.stages import Context, pipeline
from agent.config import Config
from agent.engine.attribution import diagnosed, led_to
from agent.engine.diagnose import Meta, Scope, assess, conclude
from agent.engine.evaluate import JudgeState, Transition, judge
from agent.engine.incidentbook import Book, Standing, Step
from agent.engine.incidents import judged
from agent.engine.report import to_json
from agent.engine.rounds import RoundCache
from agent.engine.trees import RuleSet
from agent.engine.walk import ProbeKey
from agent.incidents.sight import Sight
from agent.model import Evidence, Item, JsonObject, Labels, Severity, Target
from agent.store.recording import Recording
from agent.store.ring import Ring
from agent.suspicions import Suspicions
from agent.yamlfile import Text

ROUND_S = 5
BEGIN = 1_750_000_000.0
PAGES, NOTICES = 0.1, 1.0
HEALTHY: dict[str, dict[str, float | str | bool]] = {
    "memray": {"verdict": "none", "leak_share": 0.1, "native_share": 0.1, "task_share": 0.0, "task_growth": 0.0,
               "thread_share": 0.0, "open_share": 0.0},
    "open_files": {"fd_top_share": 0.8, "fd_same_file_share": 0.05},
    "stacks": {"threads_same_frame": 6.0, "lock_waiters": 0.0, "lock_moving": False, "hold_and_wait": 0.0},
    "pyspy": {"hot_share": 0.3, "hot_cores": 0.2, "gil_place_share": 0.3, "gil_share": 0.4, "gil_victims": 0.0, "gc_share": 0.02,
              "loop_busy_share": 0.4, "loop_blocked_share": 0.05, "loop_blocked_longest_s": 0.02},
    "threads": {"disk_wait_share": 0.02, "threads_contending": 0.0},
    "sockets": {"receive_waiting_bytes": 0.0, "backlog_waiting": 0.0, "backlog_limit_share": 0.0},
    "host_pressure": {"other_cpu_cores": 1.0},
    "file_reads": {"storage_bytes": 1e6, "through_share": 0.1, "new_files_share": 0.05},
}  # fmt: skip
"""What looks at a healthy program find. The leaking one is told from it by its pid."""
BACKING_UP: dict[str, dict[str, float | str | bool]] = {
    "threads": {"disk_wait_share": 0.85, "threads_contending": 0.0},
    "file_reads": {"storage_bytes": 150e6, "through_share": 0.95, "new_files_share": 0.3},
}
"""And at a backup, which waits for the disk all the while."""
LEAKING: dict[str, dict[str, float | str | bool]] = {"memray": {"verdict": "leak", "leak_share": 0.9}}
NAME = Text("chat")
SETTINGS = Alerts(digest=Digest(receivers=(NAME,)))
RECEIVER = Receiver(NAME, "webhook", url="http://127.0.0.1/")


@dataclass
class Figures:
    """What a host's day came to."""

    host: str
    hours: float
    symptoms: int = 0
    suspicions: int = 0
    looks: int = 0
    incidents: int = 0
    noticed: int = 0
    pages: int = 0
    digests: int = 0
    cpu_s: float = 0.0
    told: list[str] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        """Whether it stayed within the bar; digests are one message a day with all notices."""
        days = self.hours / 24
        return self.pages <= PAGES * days and self.digests <= max(1.0, NOTICES * days)


class Watched:
    """One host under the agent's eyes, on the clock of its samples."""

    def __init__(self, rules: RuleSet, figures: Figures, leaking: bool = False) -> None:
        self.rules, self.figures, self.leaking = rules, figures, leaking
        self.ring, self.cache, self.state = Ring(), RoundCache(), JudgeState()
        self.book, self.suspicions = Book(), Suspicions()
        self.alerts: dict[str, Alert] = {}
        self.ledger = Ledger()
        self.router = Router(SETTINGS, (RECEIVER,), "h")
        self.turn = 0
        self.begin = 0.0

    def tick(self, now: float, items: Iterable[Item]) -> None:
        """One second: samples, and every fifth second a round."""
        self.ring.add(now, items, 1.0)
        if int(now) % ROUND_S == 0:
            self.round(now)

    def round(self, now: float) -> None:
        """As casework, desk and courier do it, one after the other."""
        self.turn += 1
        self.begin = self.begin or now
        view = self.ring.at(now)
        self.state, changes = judge(self.rules, view, self.state, cache=self.cache, turn=self.turn)
        heard = self.suspicions.sift(self.rules, changes)
        self.figures.symptoms += sum(c.to == "firing" for c in heard)
        self.figures.suspicions += sum(c.to == "firing" for c in changes) - sum(c.to == "firing" for c in heard)
        self.file(now, heard)
        for change in heard:
            if change.to == "firing" and change.severity >= Severity.WARNING:
                self.explain(change)
        if (due := self.suspicions.due(now)) is not None:
            found = self.look(due.labels)
            if (begun := self.suspicions.proven(self.rules, (due.tree, due.labels), found)) is not None:
                self.file(now, [begun])
                self.explain(begun, found)
        self.tell(now)

    def file(self, now: float, changes: list[Transition]) -> None:
        """Incidents."""
        sight = Sight(self.ring.at(now), self.cache)
        watched = self.book.watched
        seen = [*sight.seen(changes), *sight.ended(watched)]
        standing = {k: Standing(s.missing, s.clearing) for k, s in self.state.symptoms.items() if s.phase == "firing"}
        if seen or self.book.incidents:
            self.take(judged(self.book, now, seen, standing, sight.quiet(self.rules, watched)))

    def take(self, step: Step) -> None:
        """Go on from a step, and give what changed to the alerts."""
        known = set(self.book.incidents)
        self.book = step.book
        for incident in step.changed:
            self.figures.incidents += incident.id not in known
            self.figures.noticed += incident.id not in known and incident.severity < Severity.WARNING
            self.alerts[str(incident.id)] = alert_of(incident, self.alerts.get(str(incident.id)), self.ring.now)

    def look(self, labels: Labels) -> JsonObject:
        """A diagnosis, every look answered as this host's programs would."""
        self.figures.looks += 1
        pid = int(dict(labels).get("pid", 0))
        target = Target("process", str(pid), pid=pid) if pid else Target("host", "h")
        view, answers = self.ring.at(self.ring.now), dict[ProbeKey, Evidence]()
        scope = Scope(target, (pid,) if pid else ())
        while True:
            assessment = assess(self.rules, view, scope, answers, cache=RoundCache())
            new = {r.key: self.answer(r.key) for r in (*assessment.wanted, *assessment.further) if r.key not in answers}
            if not new:
                break
            answers |= new
        return to_json(conclude(assessment, Meta("0", "h", self.ring.now, 10.0, "daemon")))

    def answer(self, key: ProbeKey) -> Evidence:
        """One look."""
        more = LEAKING.get(key.probe, {}) if self.leaking else {}
        whose = ("pid", str(key.pid))
        if any(whose in known and ("comm", BACKUP) in known for known in self.ring.labels("process_info")):
            more = BACKING_UP.get(key.probe, {})
        return Evidence(key.probe, {**HEALTHY.get(key.probe, {}), **more})

    def explain(self, change: Transition, found: JsonObject | None = None) -> None:
        """The diagnosis goes to its incident."""
        diagnosis = found or self.look(change.labels)
        key = change.tree, change.labels
        step, _ = diagnosed(self.book, self.ring.now, diagnosis, key, lambda cause: led_to(self.rules, cause))
        self.take(step)

    def tell(self, now: float) -> None:
        """What the courier would send now is taken as arrived."""
        if not self.alerts:
            return
        at = Context(now, "h", SETTINGS, self.router, started=self.begin)
        made = plan(pipeline(self.alerts.values(), at), self.ledger, {"chat": (Address("chat", RECEIVER),)}, at)
        for draft in made.drafts:
            self.figures.pages += 1
            self.figures.told += [f"{(now - self.begin) / 3600:.2f} h {draft.reason.word}: {i.alert.title}" for i in draft.items]
            known = self.ledger.told.setdefault(draft.group, {}).setdefault(draft.address.name, {})
            known |= {mark.alert: mark for mark in draft.marks}
            self.ledger.last[draft.group, draft.address.name] = now
        for alert in made.regrouped:
            self.alerts[alert.id] = alert
        for number in made.forgotten:
            self.alerts.pop(number, None)


def day(rules: RuleSet, host: str, script: Script, hours: float, seed: int) -> Figures:
    """One generated host."""
    figures, began = Figures(host, hours), time.process_time()
    made = Host(seed, BEGIN)
    watched = Watched(rules, figures, leaking=script is sick)
    for second in range(int(hours * 3600)):
        script(made, second)
        watched.tick(made.now + 1.0, made.second())
    return summed(figures, began)


def recorded(rules: RuleSet, folder: str, hours: float | None) -> Figures | None:
    """A host as the flight recorder kept it, played until the hours are full (None: once); looks are answered as if all were well,
    so a proven cause is none. None if nothing was recorded there."""
    figures, began = Figures(folder, 0.0), time.process_time()
    recording = Recording(folder)
    if (known := span(recording)) is None:
        return None
    watched, due = Watched(rules, figures), 0.0
    for moment, events, items in looped(recording, known, known.seconds / 3600 if hours is None else hours):
        watched.ring.add(max(moment, watched.ring.now), events)
        watched.ring.add(moment, items, 1.0)
        if moment >= due:
            due = moment + ROUND_S
            watched.round(moment)
    figures.hours = round((watched.ring.now - known.first) / 3600, 2)
    return summed(figures, began)


def summed(figures: Figures, began: float) -> Figures:
    """With its digests and what it took."""
    figures.digests = math.ceil(figures.hours / 24) if figures.noticed else 0
    figures.cpu_s = round(time.process_time() - began, 1)
    return figures


def main() -> int:
    """Exit 1 if a healthy host was not quiet, or a sick one was."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", default=",".join(HOSTS))
    parser.add_argument("--recording", action="append", default=[], help="a flight recorder's folder, or an exported file")
    parser.add_argument("--once", action="store_true", help="each recording as long as it is, not until the hours are full")
    parser.add_argument("--quick", action="store_true", help="six hours")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    hours = 6.0 if asked.quick else asked.hours
    rules = plugins.rules_or_raise(plugins.installed(), Config())
    found = [day(rules, name, HOSTS[name], hours, asked.seed) for name in asked.hosts.split(",") if name]
    for folder in asked.recording:
        if (figures := recorded(rules, folder, None if asked.once else hours)) is None:
            parser.error(f"nothing was recorded in {folder}: name the folder 'recording' below the agent's state_dir")
        found.append(figures)
    control = day(rules, "one with a leak", sick, max(0.4, min(hours, 2.0)), asked.seed)
    good = all(f.quiet for f in found) and control.pages >= 1
    print(json.dumps({"ok": good, "hosts": [asdict(f) for f in (*found, control)]}) if asked.json else table([*found, control]))
    return 0 if good else 1


def table(found: Iterable[Figures]) -> str:
    """For people."""
    lines = [
        "| host | hours | symptoms | suspicions | looks | incidents | pages | notices | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for f in found:
        over = "" if f.quiet or f.host.startswith("one with") else "**"
        shown = [
            f.host,
            f"{f.hours:g}",
            f.symptoms,
            f.suspicions,
            f.looks,
            f.incidents,
            f"{over}{f.pages}{over}",
            f.digests,
            f.cpu_s,
        ]
        lines.append(f"| {' | '.join(map(str, shown))} |")
        lines += [f"  {line}" for line in f.told[:5]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
