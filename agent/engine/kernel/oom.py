"""OOM kills: a report of many lines is one kill, and who asked for memory is not who was killed. Forms of mm/oom_kill.c.

``X invoked oom-killer`` → (tables) → ``oom-kill:constraint=…,task=T,pid=P,uid=U`` → ``[Memory cgroup o|O]ut of memory: Killed
process P (T) total-vm:…``. Before Linux 4.19: ``Task in A killed as a result of limit of B`` → ``… Kill process P (T) score …`` →
``Killed process P (T) …``, which may be a child of the first.
"""

from __future__ import annotations

import re
from dataclasses import field

from agent.dataclass import dataclass
from agent.engine.kernel.log import Log
from agent.engine.kernel.record import Happening, Value
from agent.engine.kernel.words import COMM, name_before

_INVOKED = " invoked oom-killer:"
_SUMMARY = re.compile(r"oom-kill:constraint=(\w{1,40}),nodemask=")
_END = re.compile(r",pid=(\d{1,10}),uid=(\d{1,10})\s*\Z")
_LIMIT = re.compile(r"Task in (.{1,400}?) killed as a result of limit of (.{1,400}?)\s*\Z")
_KILL = re.compile(
    r"(Memory cgroup out of memory: |Out of memory(?: \(\w+\))?: )?(Kill|Killed) process (\d{1,10})(?:, UID \d+,)? \("
)
_ENDS = (") total-vm:", ") score ", "), ", ").", ") ")
_SIZES = {
    "anon_rss_kb": re.compile(r"anon-rss:(\d+)kB"),
    "file_rss_kb": re.compile(r"file-rss:(\d+)kB"),
    "total_vm_kb": re.compile(r"total-vm:(\d+)kB"),
    "oom_score_adj": re.compile(r"oom_score_adj:(-?\d+)"),
    "uid": re.compile(r"UID:(\d+)"),
}


@dataclass
class _Report:
    """What is known so far: of the report, and the kills it told of by pid."""

    fields: dict[str, Value] = field(default_factory=dict)
    kills: dict[int, Happening] = field(default_factory=dict)
    marked: Happening | None = None


class Oom:
    """Follows one report at a time; the kernel prints no two at once."""

    def __init__(self) -> None:
        self._report = _Report()

    def read(self, text: str, log: Log) -> bool:
        """One line; True if it belongs to a report."""
        at = text.find(_INVOKED)
        if 0 < at <= 4 * COMM:
            self._report = _Report({"invoker": text[:at]})
            return True
        return self._summary(text, log) or self._limit(text) or self._kill(text, log)

    def _summary(self, text: str, log: Log) -> bool:
        head = _SUMMARY.match(text)
        if head is None:
            return text.startswith("oom-kill:")
        end = _END.search(text)
        name = _task(text[: end.start()]) if end else None
        if end is None or name is None:
            return True
        if self._report.kills:
            self._report = _Report()
        limit = _between(text, ",oom_memcg=", ",task_memcg=")
        self._report.fields |= {
            "constraint": head[1],
            "memcg": limit,
            "task_memcg": _between(text[: end.start()], ",task_memcg=", ",task="),
            "scope": "memcg" if limit is not None else "system",
        }
        self._found(int(end[1]), name, log).fields["uid"] = int(end[2])
        return True

    def _limit(self, text: str) -> bool:
        found = _LIMIT.match(text)
        if found is not None:
            self._report.fields |= {"scope": "memcg", "memcg": found[2], "task_memcg": found[1]}
        return found is not None

    def _kill(self, text: str, log: Log) -> bool:
        found = _KILL.match(text)
        if found is None:
            return False
        rest = text[found.end() :]
        name = name_before(rest, _ENDS) or rest.rstrip().removesuffix(")")
        report, pid = self._report, int(found[3])
        if found[1]:
            scope = "memcg" if found[1].startswith("Memory") else "system"
            if found[2] == "Kill" and report.kills:  # the next report, its first line lost
                report = self._report = _Report()
            report.fields["scope"] = scope
        if report.marked is not None and found[2] == "Killed":  # marked to die, but its child was taken
            marked, report.marked = report.marked, None
            report.kills.pop(int(str(marked.get("pid"))), None)
            marked.fields |= {"pid": pid, "process": name}
            report.kills[pid] = marked
        event = self._found(pid, name, log)
        event.fields |= {k: int(m[1]) for k, pattern in _SIZES.items() if (m := pattern.search(rest)) is not None}
        if found[2] == "Kill":
            report.marked = event
        else:
            event.waits = False
        return True

    def _found(self, pid: int, name: str, log: Log) -> Happening:
        """The kill of this process, with all that the report says of it."""
        report = self._report
        event = report.kills.get(pid)
        if event is None:
            fresh: dict[str, Value] = dict.fromkeys(
                ("pid", "process", "scope", "constraint", "memcg", "task_memcg", "anon_rss_kb", "oom_score_adj", "invoker")
            )
            event = log.add("oom_kill", fresh, (pid, name, log.line), waits=True)
            report.kills[pid] = event
        event.fields |= {**report.fields, "pid": pid, "process": name}
        return event


def _task(text: str) -> str | None:
    """The name behind ``,task=``: the leftmost that is short enough, for it may hold the words itself."""
    at, best = text.find(",task="), -1
    while at >= 0:
        best = at
        if len(text) - at - 6 <= COMM:
            break
        at = text.find(",task=", at + 1)
    return text[best + 6 :] if best >= 0 else None


def _between(text: str, start: str, end: str) -> str | None:
    at = text.find(start)
    if at < 0:
        return None
    stop = text.find(end, at + len(start))
    return text[at + len(start) : stop if stop >= 0 else None][:400]
