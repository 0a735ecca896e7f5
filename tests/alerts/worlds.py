"""A small world for tests of this room: alerts, addresses, and a pipeline with its outbox that sends to lists."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from agent.alerting import Alerts, Receiver
from agent.alerts.message import message
from agent.alerts.model import DONE, Address, Alert, Outcome, Row
from agent.alerts.outbox import Outbox
from agent.alerts.plan import plan
from agent.alerts.routing import Router
from agent.alerts.silences import Mute
from agent.alerts.stages import Context, pipeline
from agent.alerts.tables import ROOM, Kept, Writes
from agent.model import Severity
from agent.yamlfile import Text

T0 = 1_700_000_000.0


def receiver(name: str, kind: str = "webhook", **more: Any) -> Receiver:
    """A receiver of that name."""
    return Receiver(Text(name), kind, **more)  # type: ignore[arg-type]


def alert(id_: str = "1", **more: Any) -> Alert:
    """A warning with a cause, first seen at the beginning."""
    known = {"title": "Memory grows", "severity": Severity.WARNING, "tree": "memory", "cause": "memory.python-leak"}
    return Alert(**{"id": id_, "labels": {"pid": id_}, "opened": T0, "seen": T0, **known, **more})


def finding(**more: Any) -> dict[str, Any]:
    """A cause as diagnoses have it."""
    return {
        "id": "memory.python-leak",
        "title": "Memory grows from one place in the Python code",
        "confidence": {"lo": 0.79, "hi": 0.87},
        "target": {"kind": "process", "name": "trainer", "pid": 4242, "user": "ml"},
        "culprits": [
            {"kind": "code", "name": "remember", "file": "/srv/app.py", "line": 42, "function": "remember", "share": 0.93}
        ],
        "consequences": ["memory.oom-risk"],
        "evidence": [
            {"check": "one_site", "answer": "true", "says": "93 % of what survives comes from app.py:42"},
            {"check": "page_cache_grows", "answer": "false", "says": "page cache does not grow"},
            {"check": "anon_grows", "answer": "true", "says": "anonymous memory grows 3.1 MiB/s"},
        ],
        "advice": "Look at the named line for an unbounded cache.",
        "playbook": "recycle-worker",
        "artifacts": [{"kind": "flamegraph", "path": "/var/lib/anfl-agent/artifacts/flame.svg"}],
        **more,
    }


@dataclass
class World:
    """A pipeline on a clock that is set by hand. ``answers`` decides how each attempt ends; ``got`` holds what arrived."""

    receivers: tuple[Receiver, ...] = (receiver("a"), receiver("b"))
    settings: Alerts = field(default_factory=Alerts)
    mutes: tuple[Mute, ...] = ()
    now: float = T0
    started: float = 0.0
    answers: Callable[[Row], Outcome] = lambda row: DONE
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.file = sqlite3.connect(":memory:", isolation_level=None)
        for statement in ROOM.steps[0]:
            self.file.execute(statement)
        self.begin()

    def begin(self) -> None:
        """The agent starts (again) from what is kept."""
        book = {r.name: (Address(r.name, r),) for r in self.receivers}
        self.book = book
        self.outbox = Outbox(
            Kept(self.file), {name: a for found in book.values() for name, a in ((f.name, f) for f in found)}, Random(1)
        )
        writes = Writes()
        self.outbox.recover(writes)
        writes(self.file)

    @property
    def alerts(self) -> dict[str, Alert]:
        """What is open."""
        return self.outbox.ledger.alerts

    def put(self, *alerts: Alert) -> None:
        """These stand so from now on."""
        writes = Writes()
        for one in alerts:
            self.alerts[one.id] = one
            writes.alert(one)
        writes(self.file)

    def fire(self, id_: str = "1", **more: Any) -> None:
        """An alert begins now."""
        self.put(alert(id_, **{"opened": self.now, "seen": self.now, **more}))

    def change(self, id_: str, **more: Any) -> None:
        """An alert changes now."""
        known = self.alerts[id_]
        self.put(replace(known, version=known.version + 1, **more))

    def end(self, id_: str, **more: Any) -> None:
        """An alert ends now."""
        self.change(id_, **{"status": "resolved", "closed": self.now, "ending": "resolved", **more})

    def look(self) -> float | None:
        """One look of the pipeline; when the next is due."""
        router = Router(self.settings, self.receivers, "h")
        at = Context(self.now, "h", self.settings, router, self.mutes, self.started)
        made = plan(pipeline(self.alerts.values(), at), self.outbox.ledger, self.book, at)
        writes = Writes()
        self.outbox.apply(made, writes)
        for draft in made.drafts:
            told = message(draft, self.settings, "h", self.now)
            row = Row(draft.event, draft.address.name, draft.group, "pending", self.now, self.now, told, draft.marks)
            self.outbox.post(row, writes, draft.merge)
        writes(self.file)
        return made.wake

    def send(self) -> int:
        """Everything that is due goes out; how many attempts there were."""
        tried = 0
        for name in self.outbox.health:
            while (row := self.outbox.next(name, self.now)[0]) is not None:
                tried += 1
                writes = Writes()
                leased = self.outbox.lease(row, writes)
                outcome = self.answers(leased)
                if outcome.ending == "done" or outcome.unsure:
                    self.got.append((name, leased.payload))
                self.outbox.settle(leased, outcome, self.now, writes)
                writes(self.file)
        return tried

    def live(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, looking and sending every step."""
        end = self.now + seconds
        while self.now < end:
            self.look()
            self.send()
            self.look()
            self.now += step

    def told(self, address: str = "a") -> list[tuple[str, str]]:
        """Kind and reason of what arrived at an address."""
        return [(payload["kind"], payload["reason"]) for name, payload in self.got if name == address]
