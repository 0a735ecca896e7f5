"""Puts playbooks together with the rest of the agent: which there are, what they may see, what they may use."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agent import actions as actions_room
from agent import data, registry
from agent.actions._hook import Hook
from agent.app import Agent
from agent.config import Config, settings
from agent.dataclass import dataclass
from agent.errors import AgentError, ConfigError, Problem, Problems, Unavailable
from agent.host import nvml
from agent.host.keyfile import Keyring
from agent.host.lane import Stalled, aside
from agent.host.reach import Action, Reach, WillNot
from agent.host.run import run
from agent.incidents.desk import Desk
from agent.model import JsonObject, Metric, Sample, Target
from agent.playbookview import View
from agent.remedy import tables
from agent.remedy.carry import Carrier
from agent.remedy.ledger import Ledger
from agent.remedy.links import Links
from agent.remedy.model import House
from agent.remedy.permit import Permits
from agent.remedy.playbook import ActionSpec, Playbook, load_playbooks
from agent.remedy.propose import Key
from agent.remedy.runner import Remedy
from agent.store.state import State
from agent.yamlfile import Node, node_of

log = logging.getLogger("anfl.remedy")

FOLDER = "playbooks"
SITE_FOLDER = "playbooks.d"
GIVEN = ("target", "reach")
"""Fields of an action that the agent fills in; no playbook may."""
READ_AFTER_S = 5.0
AGAIN_S = 5.0
WAITING_MOST = 64
"""Answers for which nothing has been proposed yet."""
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
    return ActionSpec(kind.class_, kind.undoable is not False, kind.kinds, partial(_wrong, kind))


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
        self._found: asyncio.Queue[tuple[JsonObject, int, Key]] = asyncio.Queue(WAITING_MOST)
        self._observing = False

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
            self._trouble, self._observing = str(error), True
            log.error("nothing will be proposed or done: %s", str(error).replace("\n", " · "))
            return
        self._remedy = build(self._config, shelf, self._agent, self._desk, self._state)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._remedy.run(), name="playbooks")
            group.create_task(self._propose(self._remedy), name="propose")

    async def end(self, reason: str) -> None:
        """Every edge is on disk already."""

    def diagnosed(self, diagnosis: JsonObject, incident: int | None, key: Key | None) -> None:
        """To be told of every answer; what may help is proposed, as soon as the playbooks are read."""
        if self._observing or incident is None or key is None:
            return
        known = self._desk.book.incidents.get(incident)
        own = {"causes": list(known.causes) if known is not None else []}  # not all that a diagnosis found
        try:
            self._found.put_nowait((own, incident, key))
        except asyncio.QueueFull:
            log.error("nothing is proposed for incident %d: %d others wait", incident, WAITING_MOST)

    async def _propose(self, remedy: Remedy) -> None:
        while True:
            diagnosis, incident, key = await self._found.get()
            while True:
                try:
                    await remedy.diagnosed(diagnosis, incident, key)
                except Stalled as stalled:  # what may have been kept all the same is not proposed twice
                    log.error("nothing is proposed yet for incident %d: %s", incident, stalled)
                    await self._agent.clock.sleep(AGAIN_S)
                    continue
                except Exception:  # one answer that nothing can be proposed for must not end the others' chance
                    log.exception("nothing is proposed for incident %d", incident)
                break

    def head(self) -> str:
        """Of the audit, for messages; "" while nothing was ever decided."""
        return self._remedy.ledger.head_text if self._remedy is not None and self._remedy.ledger.head[0] else ""

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
        return Reach(agent.clock, run, os.path.join(config.artifacts_dir, "evidence"), told, release, config.state_dir)

    def make(name: str, target: Target, reached: Reach, given: Mapping[str, Any]) -> Action:
        kind = shelf.kinds.get(name)
        if kind is None:
            raise WillNot(f"there is no action '{name}' any more")
        settings_ = _converted(kind, given)
        if isinstance(kind, type) and issubclass(kind, Hook) and not settings_.get("url"):
            settings_["url"] = config.playbooks.webhook
        return kind(target=target, reach=reached, **settings_)

    keys = keyring(config)
    ledger = Ledger(state, config.state_dir, keys, agent.clock)

    def house(at: sqlite3.Connection, now: float) -> House:
        return tables.house(at, now, ledger.losses, ledger.volatile)

    carrier = Carrier(ledger, view, agent.clock, make, reach, house, Permits(config.playbooks.permit, run))
    links = Links(config.playbooks.url, keys) if config.playbooks.url else None
    return Remedy(ledger, shelf.playbooks, config.playbooks.ceiling, view, agent.clock, carrier, links)


def keyring(config: Config) -> Keyring:
    """The key of this installation: it seals the audit and signs links."""
    given = config.playbooks
    return Keyring(os.path.join(config.state_dir, "playbooks.key"), given.key_file, given.key_credential)


def _converted(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the action's fields take them. WillNot if what was filled in does not fit."""
    problems: list[Problem] = []
    made = settings(kind, node_of(dict(given), "step"), problems)
    if problems:
        raise WillNot(problems[0].message)
    return made
