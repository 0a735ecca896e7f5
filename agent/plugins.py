"""The plug-ins of this installation with the settings of a configuration: collectors, probes, and the trees that use them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent import collectors as collectors_room
from agent import data, registry
from agent import probes as probes_room
from agent.config import Config, settings
from agent.dataclass import dataclass
from agent.engine.kernel import tables
from agent.engine.load import load_rules
from agent.engine.trees import Catalog, ProbeSpec, RuleSet
from agent.errors import ConfigError, Problem, Problems
from agent.model import Collector, Metric, Probe
from agent.store.state import State
from agent.watch import Watch
from agent.yamlcache import YamlCache
from agent.yamlfile import Node, did_you_mean

log = logging.getLogger("anfl.plugins")

PARSED = "rules.parsed"
"""File below ``state_dir`` with the rules as the daemon parsed them last; its start is quicker by that."""

DAEMON_SETTINGS = {"memray": ("mode",)}
"""Settings under ``probes.<name>`` that tell the daemon when it may use a probe; they are not the probe's own."""


@dataclass(frozen=True)
class Plugins:
    """What is installed and imports; ``broken`` is reported and never fatal."""

    collectors: Mapping[str, Callable[..., Collector]]
    probes: Mapping[str, Callable[..., Probe]]
    broken: tuple[registry.Broken, ...]

    def catalog(self) -> Catalog:
        """The names rules may use."""
        metrics: dict[str, Metric] = {m.name: m for m in (*Watch.metrics, *State.metrics)}
        for made in self.collectors.values():
            metrics |= {m.name: m for m in made.metrics}  # type: ignore[attr-defined]
        return Catalog(metrics, {name: ProbeSpec.of(made) for name, made in self.probes.items()})


def installed() -> Plugins:
    """Import every collector and probe."""
    collectors, broken = registry.load(collectors_room, "Collector")
    probes, also = registry.load(probes_room, "Probe")
    for plugin in (*broken, *also):
        log.error("plug-in %s cannot be imported: %s", plugin.name, plugin.why)
    return Plugins(collectors, probes, (*broken, *also))


def make_collectors(plugins: Plugins, config: Config) -> dict[str, Collector]:
    """Collectors with their settings. Problems (exit 2) with every wrong section; ``enabled: false`` leaves one out."""
    problems: list[Problem] = []
    _known("collectors", config.collectors, plugins.collectors, problems)
    made: dict[str, Collector] = {}
    for name, make in plugins.collectors.items():
        arguments, enabled = _arguments(make, config.collectors.get(name), (), problems)
        if name == "processes":
            arguments = {"top": config.subjects.top, "match": config.subjects.match} | arguments
        if name == "kernel_log":
            arguments = {"trust_user_records": config.kernel_log.trust_user_records} | arguments
        if name == "gpu_health":  # one NVML for both
            gpu: Any = made.get("gpu")
            same = {"library": gpu.library, "deadline": gpu.deadline, "proc": gpu.proc} if gpu is not None else {}
            arguments = {"state_dir": config.state_dir} | same | arguments
        if enabled and not problems:
            made[name] = make(**arguments)
    _refuse(problems)
    return made


def probe_settings(plugins: Plugins, config: Config) -> dict[str, dict[str, Any]]:
    """Settings of the probes that have some. Problems (exit 2) with every wrong section."""
    problems: list[Problem] = []
    _known("probes", config.probes, plugins.probes, problems)
    made = {
        name: _arguments(make, config.probes.get(name), DAEMON_SETTINGS.get(name, ()), problems)[0]
        for name, make in plugins.probes.items()
    }
    _refuse(problems)
    return made


def heavy_mode(config: Config) -> str:
    """Whether the daemon may attach memray by itself: ``ask`` (it proposes), ``auto`` or ``off``."""
    node = config.probes.get("memray")
    found = node.get("mode") if isinstance(node, Node) else None
    mode = found.raw if found is not None else "ask"
    if mode not in ("ask", "auto", "off"):
        place = f"{config.path}:{found.line}:{found.column}" if found is not None else None
        raise ConfigError(f"mode '{mode}' is not one of ask, auto, off", where=place)
    return mode


def parsed_before(config: Config) -> YamlCache:
    """Rules that the daemon parsed at an earlier start."""
    return YamlCache(os.path.join(config.state_dir, PARSED) if config.state_dir else "")


def read_rules(plugins: Plugins, config: Config, cache: YamlCache | None = None) -> tuple[RuleSet, list[Problem]]:
    """The trees in force: shipped ones (or ``rules_dir``) with the site's ``rules.d`` laid over them."""
    base = Path(config.rules_dir) if config.rules_dir else data.folder("rules")
    if not base.is_dir():
        raise ConfigError(f"no rules folder '{base}'", help="mend rules_dir", where=config.path or None)
    overlay = {k: v for folder in config.overlay_dirs() if folder.is_dir() for k, v in read_folder(folder).items()}
    parse = (cache or parsed_before(config)).parse
    rules, problems = load_rules(read_folder(base), plugins.catalog(), overlay=overlay, memory=config.budget.history, parse=parse)
    return rules, problems + _wrong_tables(config)


def read_folder(folder: Path) -> dict[str, str]:
    """Path → text of every tree file of a folder (no sub-folders, no tables); ConfigError says what cannot be read."""
    texts = {}
    path = folder
    try:
        for name in sorted(os.listdir(folder)):
            path = folder / name
            if path.suffix == ".yaml" and name not in tables.FILES:
                texts[str(path)] = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError("cannot read this rule file: it is no UTF-8 text", where=str(path), help="save it as UTF-8") from None
    except OSError as error:
        why = error.strerror or str(error)
        what = "folder of rules" if path == folder else "rule file"
        raise ConfigError(f"cannot read this {what}: {why}", where=str(path), help="check its mode and owner") from None
    return texts


def kernel_tables(config: Config, keep: bool = False) -> tables.Tables:
    """What Xids and kernel events mean: shipped tables, those of ``rules_dir`` and of ``rules.d`` laid over them.

    Problems with every mistake. ``keep`` keeps what was parsed for the next start.
    """
    base = _read_tables(data.folder("rules"))
    site = [Path(config.rules_dir)] if config.rules_dir else []
    overlay = {path: text for folder in (*site, *config.overlay_dirs()) for path, text in _read_tables(folder).items()}
    cache = parsed_before(config)
    found = tables.load_tables(base, overlay, cache.parse)
    if keep:
        cache.keep()
    return found


def _wrong_tables(config: Config) -> list[Problem]:
    """Mistakes in a site's tables; the shipped ones alone are not read at a start."""
    try:
        if any(_read_tables(folder) for folder in config.overlay_dirs()):
            kernel_tables(config)
    except Problems as wrong:
        return list(wrong.problems)
    return []


def _read_tables(folder: Path) -> dict[str, str]:
    try:
        return {str(path): path.read_text(encoding="utf-8") for path in (folder / n for n in tables.FILES) if path.is_file()}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the kernel log's tables: {error}", where=str(folder), help="check mode and owner") from None


def rules_or_raise(plugins: Plugins, config: Config, cache: YamlCache | None = None) -> RuleSet:
    """The trees in force; Problems with every mistake."""
    rules, problems = read_rules(plugins, config, cache)
    if problems:
        raise Problems(problems)
    if not rules.trees:
        raise no_trees(config)
    return rules


def no_trees(config: Config) -> ConfigError:
    """That a folder holds no rules is no clean bill: it is most likely the wrong folder."""
    mend = "name a folder with tree files (*.yaml)" if config.rules_dir else "reinstall the agent"
    return ConfigError("no diagnosis trees found", where=config.rules_dir or None, help=mend)


def _arguments(make: Any, node: Any, also: tuple[str, ...], problems: list[Problem]) -> tuple[dict[str, Any], bool]:
    if not isinstance(node, Node):
        return {}, True
    switch = node.get("enabled") if node.kind == "map" else None
    if switch is not None and not isinstance(switch.value, bool):
        problems.append(switch.problem(f"enabled must be true or false, got '{switch.raw}'"))
    own = Node(node.kind, node.source, node.line, node.column)
    own.pairs = [(key, value) for key, value in node.pairs if key.raw not in ("enabled", *also)]
    return settings(make, own, problems), switch is None or switch.value is not False


def _known(section: str, given: Mapping[str, Any], known: Mapping[str, Any], problems: list[Problem]) -> None:
    for name, node in given.items():
        if name not in known:
            problems.append(
                node.problem(f"unknown name '{name}' under {section}", did_you_mean(name, known) or f"known: {', '.join(known)}")
            )


def _refuse(problems: list[Problem]) -> None:
    if problems:
        wrong = Problems(problems)
        wrong.exit_code = ConfigError.exit_code
        raise wrong


def check(config: Config) -> None:
    """Everything a start would refuse, without starting: plug-in settings and rules."""
    found = installed()
    make_collectors(found, config)
    probe_settings(found, config)
    heavy_mode(config)
    rules_or_raise(found, config)
