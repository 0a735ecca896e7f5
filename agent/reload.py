"""What SIGHUP changes while the agent works: rules, and of config.yaml receivers, routes and windows.

Rules or settings with a mistake stay as they were, each by itself.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from agent import config as configuration
from agent import plugins
from agent.alerts.organ import Alerting
from agent.app import Agent
from agent.config import Config
from agent.engine.evaluate import JudgeState
from agent.errors import AgentError
from agent.host.lane import aside
from agent.yamlfile import Node

log = logging.getLogger("anfl.daemon")

RELOAD_S = 30.0
TAKEN = ("receivers", "alerts", "path")
"""What of the configuration is taken over while the agent works; a change of anything else waits for a restart, and is said."""


class Reload:
    """``ok``: whether the last one took everything."""

    def __init__(self, config: Config, agent: Agent, alerting: Alerting) -> None:
        self.ok = True
        self._config, self._agent, self._alerting = config, agent, alerting

    async def now(self) -> None:
        """Read everything again. Read aside: compiling rules takes a while."""
        self.ok = all([await self._rules(), await self._settings()])

    async def _rules(self) -> bool:
        agent = self._agent
        try:
            rules = await aside(lambda: plugins.rules_or_raise(agent.plugins, self._config), RELOAD_S)
        except AgentError as error:
            log.error("the rules were not reloaded, the old ones stay: %s", _line(error))
            return False
        agent.rules = agent.investigator.rules = rules
        agent.use_tables()
        known = agent.judged
        agent.judged = JudgeState(known.at, {key: s for key, s in known.symptoms.items() if key[0] in rules.trees})
        log.info("rules reloaded: %d trees", len(rules.trees))
        return True

    async def _settings(self) -> bool:
        before = self._config
        try:
            read = await aside(lambda: configuration.load(before.path or None), RELOAD_S)
            # even if these did not change: their files of addresses may have
            await self._alerting.adopt(read.alerts, read.receivers)
        except AgentError as error:
            log.error("receivers and routes were not reloaded, the old ones stay: %s", _line(error))
            return False
        self._config = dataclasses.replace(before, receivers=read.receivers, alerts=read.alerts)
        if waiting := others(before, read):
            log.warning("changed in the configuration, but taken over by a restart only: %s", ", ".join(waiting))
        return True


def others(before: Config, after: Config) -> list[str]:
    """Keys whose values differ and that a reload leaves alone."""
    names = [f.name for f in dataclasses.fields(Config) if f.name not in TAKEN]
    return [name for name in names if _plain(getattr(before, name)) != _plain(getattr(after, name))]


def _plain(value: Any) -> Any:
    """A setting without its place in the file."""
    if isinstance(value, Mapping):
        return {key: _plain(node) for key, node in value.items()}
    if isinstance(value, Node):
        return value.kind, value.raw, [(k.raw, _plain(v)) for k, v in value.pairs], [_plain(item) for item in value.items]
    return value


def _line(error: AgentError) -> str:
    """An error on one line of the log."""
    return str(error).replace("\n", " · ")
