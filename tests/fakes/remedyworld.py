"""A world that playbooks act on: what the agent knows of it, and actions that only count."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from agent.errors import AgentError
from agent.host.reach import Action, Class, Reach, WillNot
from agent.model import JsonObject, Labels, Target, labels
from agent.remedy.model import Facts, House, Run
from agent.remedy.playbook import ActionSpec, Playbook, load_playbooks

KEY: tuple[str, Labels] = ("memory", labels(pid=7))
TARGET = Target("process", "python", 7, 100.0, unit="svc@1.service", user="ml")
CAUSE: JsonObject = {"id": "memory.python-leak", "confidence": {"lo": 0.9, "hi": 0.9}, "target": vars(TARGET)}
DIAGNOSIS: JsonObject = {"causes": [CAUSE]}
CAUSES = ("memory.python-leak", "memory.oom-risk")
CALM = """
playbook: calm
title: Lower its priority
class: reversible
mode: auto
target: {allow: [{unit: "svc@*"}]}
needs: {causes: [memory.python-leak]}
steps: [{do: renice}]
verify: {settle: 10s, within: 60s}
next: recycle
"""
RECYCLE = """
playbook: recycle
title: Restart it
class: disruptive
mode: auto
target: {allow: [{unit: "svc@*"}], deny: [{uid: 0}]}
needs: {causes: [memory.oom-risk]}
limits: {cooldown: 30m, max: {count: 2, per: 6h}}
steps: [{do: restart}]
verify: {settle: 10s, within: 60s}
"""


@dataclass
class World:
    """Implements :class:`agent.remedy.carry.Sight`, and makes its actions. ``done`` counts what was really done."""

    good: bool | None = False
    base: Facts = field(default_factory=lambda: Facts(0.0, True, 0.9, 0.0, True, True, 1000))
    done: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    refuses: dict[str, Exception] = field(default_factory=dict)
    noted: list[tuple[int, bool]] = field(default_factory=list)
    called: list[tuple[int, str, str]] = field(default_factory=list)
    blamed: Target | None = None
    blamed_too: list[Target] = field(default_factory=list)
    permits: Any = None
    links: list[str] = field(default_factory=list)
    at_work: set[int] = field(default_factory=set)

    async def facts(self, run: Run, now: float, *, anew: bool = False) -> Facts:
        return replace(self.base, now=now, judged_at=now - 1)

    async def helped(self, run: Run) -> bool | None:
        return self.good

    async def note(self, run: Run, what: str, *, begins: bool) -> None:
        self.noted.append((run.incident, begins))

    async def rest(self, at_work: Set[int]) -> None:
        self.at_work = set(at_work)

    async def culprits(self, cause: JsonObject) -> list[Target]:
        return [*([self.blamed] if self.blamed is not None else []), *self.blamed_too]

    async def call(self, run: Run, kind: str, text: str, link: str = "") -> None:
        self.called.append((run.incident, kind, text))
        self.links.append(link)

    def told(self, run: Run) -> JsonObject:
        return {"causes": [CAUSE | {"id": run.cause}]}

    def house(self, at: Any, now: float) -> House:
        return House()

    def make(self, name: str, target: Target, reach: Reach, settings: Mapping[str, Any]) -> Action:
        return KINDS[name](self, name)


@dataclass
class Counted:
    """An action that only counts."""

    world: World
    name: str
    class_: ClassVar[Class] = "reversible"
    kinds: ClassVar[tuple[str, ...]] = ("process",)
    idempotent: ClassVar[bool] = True
    undoable: ClassVar[bool] = True

    def plan(self) -> str:
        return f"would {self.name}"

    async def check(self) -> None:
        if isinstance(refusal := self.world.refuses.get(self.name), WillNot):
            raise refusal

    async def act(self) -> JsonObject:
        if (refusal := self.world.refuses.get(self.name)) is not None:
            raise refusal
        self.world.done.append(self.name)
        return {"was": 0}

    async def verify(self, done: JsonObject) -> bool | None:
        return True

    async def undo(self, done: JsonObject) -> None:
        self.world.undone.append(self.name)


class Once(Counted):
    """Doing it twice does harm."""

    class_: ClassVar[Class] = "disruptive"
    idempotent: ClassVar[bool] = False
    undoable: ClassVar[bool] = False

    async def undo(self, done: JsonObject) -> None:
        raise AgentError("a restart cannot be taken back")


class Looks(Counted):
    """Only looks."""

    class_: ClassVar[Class] = "observe"


KINDS: dict[str, type[Counted]] = {"renice": Counted, "restart": Once, "capture_evidence": Looks}
SPECS = {name: ActionSpec(kind.class_, kind.undoable, kind.kinds, lambda node: []) for name, kind in KINDS.items()}


def playbooks(*texts: str) -> dict[str, Playbook]:
    """Playbooks from text; a mistake in them fails the test."""
    found, problems = load_playbooks({f"p{i}.yaml": text for i, text in enumerate(texts)}, SPECS, CAUSES)
    assert not problems, "\n".join(map(str, problems))
    return found
