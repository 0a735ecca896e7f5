"""Puts playbooks together with the rest of the agent: which there are, what they may see, what they may use."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent import actions as actions_room
from agent import data, past, registry
from agent.actions._hook import Hook
from agent.app import Agent
from agent.config import Config, settings
from agent.engine import looks
from agent.engine.diagnose import Scope
from agent.engine.incident import Incident, plain
from agent.errors import AgentError, ConfigError, Problem, Problems, Unavailable
from agent.host import nvml, procs
from agent.host.lane import Stalled, aside
from agent.host.reach import Action, Reach, WillNot
from agent.host.run import run
from agent.incidents.desk import Desk
from agent.model import JsonObject, Metric, Sample, Target
from agent.remedy import tables
from agent.remedy.carry import Carrier
from agent.remedy.model import Facts, Run
from agent.remedy.playbook import ActionSpec, Playbook, load_playbooks
from agent.remedy.runner import Key, Remedy
from agent.store.state import State
from agent.yamlfile import Node, parse

log = logging.getLogger("anfl.remedy")

FOLDER = "playbooks"
SITE_FOLDER = "playbooks.d"
GIVEN = ("target", "reach")
"""Fields of an action that the agent fills in; no playbook may."""
SEEN_S = 60.0
READ_AFTER_S = 5.0
Kinds = Mapping[str, Callable[..., Action]]


@dataclass(frozen=True)
class Shelf:
    """Actions and playbooks of this installation."""

    kinds: Kinds
    playbooks: Mapping[str, Playbook]


def read(config: Config, causes: Iterable[str]) -> Shelf:
    """The shipped playbooks, and those of ``playbooks.d`` beside the configuration, which win by name. Problems for mistakes."""
    kinds, broken = registry.load(actions_room, "Action")
    for plugin in broken:
        log.error("action %s cannot be imported: %s", plugin.name, plugin.why)
    specs = {name: _spec(kind) for name, kind in kinds.items()}
    site = _texts(Path(config.path).parent / SITE_FOLDER) if config.path else {}
    found, problems = load_playbooks(
        _texts(data.folder("rules") / FOLDER), specs, causes, site, overlay_only=bool(config.rules_dir)
    )
    if problems:
        raise Problems(problems)
    return Shelf(kinds, found)


def _spec(kind: Any) -> ActionSpec:
    return ActionSpec(kind.class_, kind.undoable is not False, partial(_wrong, kind))


def _texts(folder: Path) -> dict[str, str]:
    try:
        return {str(path): path.read_text("utf-8") for path in sorted(folder.glob("*.yaml"))} if folder.is_dir() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read playbooks: {error}", where=str(folder), help="check mode and owner") from None


def _wrong(kind: Any, node: Node | None) -> list[Problem]:
    """Mistakes in a step's settings. What is filled in from the target is known only when it acts."""
    if node is None:
        return []
    problems: list[Problem] = []
    own = Node(node.kind, node.source, node.line, node.column)
    own.pairs = [(k, v) for k, v in node.pairs if v.kind != "scalar" or "${" not in v.raw]
    settings(kind, own, problems)
    return problems + [k.problem(f"'{k.raw}' is filled in by the agent") for k, _ in node.pairs if k.raw in GIVEN]


class View:
    """Implements :class:`agent.remedy.carry.Sight` over the running agent. Nothing here is remembered: it is asked each time."""

    def __init__(self, agent: Agent, desk: Desk) -> None:
        self._agent = agent
        self._desk = desk

    def _incident(self, run: Run) -> Incident | None:
        book = self._desk.book
        return book.incidents.get(self._desk.survivor(book, run.incident))

    async def facts(self, run: Run, now: float, *, anew: bool = False) -> Facts:
        """Incident, cause, symptom and target as they are now."""
        incident, symptom = self._incident(run), self._agent.judged.symptoms.get(run.key)
        there, uid = await aside(lambda: (_there(run.target), _uid(run.target)))
        stands = symptom is not None and now - self._agent.judged.at < SEEN_S
        looked = incident.looked if incident is not None and incident.looked is not None else 0.0
        return Facts(
            now=now,
            incident_open=incident is not None and incident.firing,
            lo=self._anew(run) if anew else self._known(run, incident),
            judged_at=now if anew else self._agent.judged.at if stands else looked,
            complete=stands and symptom is not None and not symptom.missing,
            target_there=there,
            uid=uid,
        )

    @staticmethod
    def _known(run: Run, incident: Incident | None) -> float | None:
        causes = incident.causes if incident is not None else ()
        return next((float(c["confidence"]["lo"]) for c in causes if c["id"] == run.cause), None)

    def _anew(self, run: Run) -> float | None:
        """The cause's ``lo`` by the samples of this moment; closer looks count for a quarter of an hour."""
        view = self._agent.ring.at(self._agent.ring.now)
        target, pids = past.aim(view, run.target.pid, gone_is_host=True)
        seen = looks.answers(view.events(looks.LOOK, looks.FRESH_S))
        assessment = past.settle(self._agent.rules, view, Scope(target, pids), seen)
        found = (*assessment.causes, *assessment.consequences, *assessment.elsewhere)
        same = [f for f in found if f.id == run.cause and (f.target.pid, f.target.uuid) == (run.target.pid, run.target.uuid)]
        return same[0].confidence.lo if same else None

    async def helped(self, run: Run) -> bool | None:
        """Over for it, and for its kin: a restarted worker that leaks again did not get well by having a new pid."""
        if self._agent.clock.now() - self._agent.judged.at > SEEN_S:
            return None
        symptom = self._agent.judged.symptoms.get(run.key)
        if symptom is not None:
            return None if symptom.missing else False
        suffering = [dict(labels).get("pid") for (tree, labels), _ in self._agent.judged.symptoms.items() if tree == run.key[0]]
        if any(pid is not None and self._kin(pid, run.target) for pid in suffering):
            return False
        if run.target.pid is None or await aside(lambda: _there(run.target)):
            return True
        return True if run.target.unit is None or self._successor(run.target) else None

    def _kin(self, pid: str, target: Target) -> bool:
        """Whether a watched process is of the same unit, or container."""
        for kept in self._agent.ring.live("process_info"):
            known = dict(kept.labels)
            if known.get("pid") == pid:
                return any(known.get(name) and known[name] == getattr(target, name) for name in ("unit", "container", "job"))
        return False

    def _successor(self, target: Target) -> bool:
        """Whether something of the same unit runs and is watched: without it nothing can be known of how it does."""
        return any(dict(kept.labels).get("unit") == target.unit for kept in self._agent.ring.live("process_info"))

    async def note(self, run: Run, what: str, *, begins: bool) -> None:
        """Into the incident's timeline."""
        await self._desk.remedy(self._desk.survivor(self._desk.book, run.incident), what, begins=begins)

    def told(self, run: Run) -> JsonObject:
        """The incident, for actions that tell somebody; ``operation`` is the same for every try of the same run."""
        incident = self._incident(run)
        body = {} if incident is None else plain(incident)
        return {**body, "operation": f"{socket.gethostname()}-{run.id}-{run.step}", "run": run.id, "playbook": run.playbook}


def _there(target: Target) -> bool:
    if target.pid is None:
        return True
    return target.start_time is not None and procs.still(target.pid, target.start_time)


def _uid(target: Target) -> int | None:
    if target.pid is None:
        return None
    try:
        return procs.identity(target.pid).uid
    except AgentError:
        return None


class Acting:
    """The organ. Playbooks and actions are read once the agent is up: no start waits for them; until then nothing is proposed."""

    name = "remedy"
    metrics: tuple[Metric, ...] = Remedy.metrics

    def __init__(self, config: Config, agent: Agent, desk: Desk, state: State) -> None:
        self._config = config
        self._agent = agent
        self._desk = desk
        self._state = state
        self._remedy: Remedy | None = None
        self._trouble = "the agent is still starting"
        self._proposing: set[asyncio.Task[None]] = set()

    def remedy(self) -> Remedy:
        """The runner. Unavailable while there is none, with the reason."""
        if self._remedy is None:
            raise Unavailable(f"no playbooks: {self._trouble}", help="anfl-agent playbooks check")
        return self._remedy

    async def run(self) -> None:
        """Read the playbooks, settle what a crash left, act until cancelled. Wrong playbooks mean observing only, and are said."""
        await self._agent.clock.sleep(READ_AFTER_S)
        try:
            shelf = await aside(lambda: read(self._config, self._agent.rules.causes))
        except AgentError as error:
            self._trouble = str(error)
            log.error("nothing will be proposed or done: %s", str(error).replace("\n", " · "))
            return
        self._remedy = build(self._config, shelf, self._agent, self._desk, self._state)
        await self._remedy.open()
        await self._remedy.run()

    async def end(self, reason: str) -> None:
        """Every edge is on disk already."""

    def diagnosed(self, diagnosis: JsonObject, incident: int | None, key: Key | None) -> None:
        """To be told of every answer; what may help is proposed."""
        if self._remedy is not None and incident is not None and key is not None:
            known = self._desk.book.incidents.get(incident)
            own = {"causes": list(known.causes) if known is not None else []}  # not all that a diagnosis found
            task = asyncio.get_running_loop().create_task(self._propose(self._remedy, own, incident, key), name="propose")
            self._proposing.add(task)
            task.add_done_callback(self._proposing.discard)

    @staticmethod
    async def _propose(remedy: Remedy, diagnosis: JsonObject, incident: int, key: Key) -> None:
        try:
            await remedy.diagnosed(diagnosis, incident, key)
        except Stalled as stalled:
            log.error("nothing was proposed for incident %d: %s", incident, stalled)

    def samples(self) -> list[Sample]:
        """The runner's figures."""
        return self._remedy.samples() if self._remedy is not None else []


def build(config: Config, shelf: Shelf, agent: Agent, desk: Desk, state: State) -> Remedy:
    """The runner over the rest of the agent."""
    view = View(agent, desk)
    gpus: Any = agent.collectors.get("gpu")

    async def release() -> None:
        if gpus is not None and not await aside(lambda: nvml.shared(gpus.library, gpus.deadline, gpus.proc).release(), 20.0):
            raise WillNot("a process of the agent still holds the GPUs: their driver does not answer it")

    def reach(told: JsonObject) -> Reach:
        return Reach(agent.clock, run, os.path.join(config.artifacts_dir, "evidence"), told, release)

    def make(name: str, target: Target, reached: Reach, given: Mapping[str, Any]) -> Action:
        kind = shelf.kinds.get(name)
        if kind is None:
            raise WillNot(f"there is no action '{name}' any more")
        settings_ = _converted(kind, given)
        if issubclass(kind, Hook) and not settings_.get("url"):  # type: ignore[arg-type]
            settings_["url"] = config.playbooks.webhook
        return kind(target=target, reach=reached, **settings_)

    carrier = Carrier(state, view, agent.clock, make, reach, lambda at, now: tables.house(at, now, state.losses))
    return Remedy(state, shelf.playbooks, config.playbooks.ceiling, view, agent.clock, carrier)


def _converted(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the action's fields take them. WillNot if what was filled in does not fit."""
    problems: list[Problem] = []
    made = settings(kind, parse(json.dumps(dict(given)), "step"), problems)
    if problems:
        raise WillNot(problems[0].message)
    return made
