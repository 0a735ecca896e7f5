"""config.yaml → one frozen Config. Read once and handed down; no part reads it, or the environment, by itself.

Precedence: ``--config`` > ``$ANFL_CONFIG`` > ``$XDG_CONFIG_HOME/anfl-agent/config.yaml`` > ``/etc/anfl-agent/config.yaml`` >
defaults. Sections under ``collectors`` and ``probes`` are kept as nodes and filled by the plug-in's own dataclass.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from agent import alerting, permission
from agent.dataclass import dataclass
from agent.errors import ConfigError, Problem, Problems
from agent.yamlfile import (
    Bytes,
    Node,
    Seconds,
    Share,
    did_you_mean,
    fill,
    key_of,
    parse,
    parse_bytes,
    parse_duration,
    parse_percent,
    shape,
    value_of,
)

APP = "anfl-agent"
PLUGIN_SECTIONS = ("collectors", "probes")


def state_home(env: Mapping[str, str], root: bool) -> str:
    """Where state is kept: ``/var/lib/anfl-agent`` for root, else below ``$XDG_STATE_HOME``."""
    if root:
        return f"/var/lib/{APP}"
    return str(Path(env.get("XDG_STATE_HOME") or Path(env.get("HOME") or "/") / ".local/state") / APP)


def runtime_home(env: Mapping[str, str], root: bool) -> str:
    """Where the socket lies: ``/run/anfl-agent`` for root, else below ``$XDG_RUNTIME_DIR`` (or the state folder)."""
    if root:
        return f"/run/{APP}"
    base = env.get("XDG_RUNTIME_DIR")
    return str(Path(base) / APP) if base else str(Path(state_home(env, root)) / "run")


@dataclass(frozen=True)
class Artifacts:
    """Flame graphs and stacks kept for people. Empty ``dir``: below ``state_dir``. ``quota`` in bytes, ``keep`` in seconds."""

    dir: str = ""
    quota: Bytes = 512 * 2.0**20
    keep: Seconds = 7 * 86400.0


@dataclass(frozen=True)
class RecorderSettings:
    """The flight recorder. Empty ``dir``: ``recording`` below ``state_dir``. ``keep`` in seconds, ``quota`` in bytes."""

    enabled: bool = True
    dir: str = ""
    keep: Seconds = 14 * 86400.0
    quota: Bytes = 1024 * 2.0**20


@dataclass(frozen=True)
class Subjects:
    """Which processes get series of their own: the ``top`` ones by CPU, RSS, growth and I/O each, and those that ``match``.

    A match is a text held in the command line, or ``unit:NAME`` or ``cgroup:PATH``.
    """

    top: int = 8
    match: tuple[str, ...] = ()


@dataclass(frozen=True)
class KernelLog:
    """Kernel log. Records that any user may write are shown but open no incident unless trusted here."""

    trust_user_records: bool = False


@dataclass(frozen=True)
class Budget:
    """What the agent may take: CPU as a share of one core, history in memory, seconds a drill-down may add."""

    cpu: Share = 0.02
    history: Seconds = 3600.0
    drill: Seconds = 15.0
    drill_deep: Seconds = 60.0
    judge_every: Seconds = 5.0


@dataclass(frozen=True)
class Config:
    """The whole configuration; every field is a top-level key, but ``path``: where it was read from."""

    listen: str = "127.0.0.1:9477"
    socket: str = ""
    state_dir: str = ""
    artifacts: Artifacts = Artifacts()
    recorder: RecorderSettings = RecorderSettings()
    rules_dir: str = ""
    subjects: Subjects = Subjects()
    collectors: Mapping[str, Any] = field(default_factory=dict)
    probes: Mapping[str, Any] = field(default_factory=dict)
    kernel_log: KernelLog = KernelLog()
    receivers: tuple[alerting.Receiver, ...] = ()
    alerts: alerting.Alerts = alerting.DEFAULT
    playbooks: permission.Playbooks = permission.DEFAULT
    budget: Budget = Budget()
    path: str = field(default="", metadata={"key": False})

    @property
    def artifacts_dir(self) -> str:
        """The artefact folder in force."""
        return self.artifacts.dir or str(Path(self.state_dir) / "artifacts")

    @property
    def recording_dir(self) -> str:
        """The flight recorder's folder in force."""
        return self.recorder.dir or str(Path(self.state_dir) / "recording")

    @property
    def state_path(self) -> str:
        """The state file."""
        return str(Path(self.state_dir) / "state.db")

    def overlay_dirs(self) -> list[Path]:
        """Folders with rules that replace or add to the shipped ones, by tree id: ``rules.d`` beside the configuration file."""
        return [Path(self.path).parent / "rules.d"] if self.path else []


def reachable_socket(config: Config) -> str:
    """Where to look for a running agent: the configured socket, or, where there is none, that of the host's own agent."""
    host = f"/run/{APP}/agent.sock"
    return host if not os.path.lexists(config.socket) and os.path.lexists(host) else config.socket


def find(explicit: str | None, env: Mapping[str, str]) -> str | None:
    """Path of the configuration file in force, or None for the defaults; ConfigError if a named one is missing."""
    named = explicit or env.get("ANFL_CONFIG")
    if named:
        if os.path.isdir(named):
            raise ConfigError(f"'{named}' is a folder, no configuration file", help=f"such as {Path(named) / 'config.yaml'}")
        if not _is_file(named):
            raise ConfigError(f"no configuration file '{named}'", help="check --config and $ANFL_CONFIG")
        return named
    home = env.get("XDG_CONFIG_HOME") or (str(Path(env["HOME"]) / ".config") if env.get("HOME") else None)
    candidates = ([Path(home) / APP / "config.yaml"] if home else []) + [Path(f"/etc/{APP}/config.yaml")]
    return next((str(c) for c in candidates if _is_file(str(c), hidden=False)), None)


def _is_file(path: str, *, hidden: bool = True) -> bool:
    """Whether a file lies there; ``hidden`` where this user may not even look."""
    try:
        return Path(path).is_file()
    except PermissionError:  # before Python 3.14
        return hidden


def load(explicit: str | None = None, env: Mapping[str, str] | None = None) -> Config:
    """The configuration in force. Raises ConfigError, or Problems (exit 2) with every mistake of the file."""
    environment = os.environ if env is None else env
    path = find(explicit, environment)
    if path is None:
        return _defaults(Config(), environment)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"cannot read the configuration: {why}", where=path, help="check its mode and owner") from None
    except UnicodeDecodeError:
        raise ConfigError("cannot read the configuration: it is no UTF-8 text", where=path, help="save it as UTF-8") from None
    return _defaults(parse_config(text, path), environment)


def parse_config(text: str, path: str) -> Config:
    """Config from text; Problems (exit 2) with every mistake."""
    problems: list[Problem] = []
    try:
        node = parse(text, path)
    except Problems as wrong:
        raise _as_config(wrong) from None
    if node.kind == "scalar" and node.value is None:
        return Config(path=path)
    sections = {key.raw: value for key, value in node.pairs if key.raw in PLUGIN_SECTIONS}
    sections_ok = {name: _plugin_nodes(value, problems) for name, value in sections.items()}
    receivers = [r for key, value in node.pairs if key.raw == "receivers" for r in alerting.read_receivers(value, problems)]
    node.pairs = [(key, value) for key, value in node.pairs if key.raw not in (*PLUGIN_SECTIONS, "receivers")]
    config = fill(Config, node, problems)
    if config is not None:
        alerting.check(tuple(receivers), config.alerts, problems)
        permission.check(config.playbooks, path, problems)
    if problems or config is None:
        raise _as_config(Problems(problems))
    return dataclasses.replace(
        config,
        path=path,
        receivers=tuple(receivers),
        collectors=sections_ok.get("collectors", {}),
        probes=sections_ok.get("probes", {}),
    )


def _as_config(problems: Problems) -> Problems:
    problems.exit_code = ConfigError.exit_code
    return problems


def _plugin_nodes(node: Node, problems: list[Problem]) -> dict[str, Node]:
    if node.kind != "map":
        problems.append(node.problem("expected a mapping of names to settings"))
        return {}
    return {key.raw: value for key, value in node.pairs}


def _defaults(config: Config, env: Mapping[str, str]) -> Config:
    root = os.geteuid() == 0
    state = config.state_dir or state_home(env, root)
    socket = config.socket or str(Path(runtime_home(env, root)) / "agent.sock")
    return dataclasses.replace(config, state_dir=state, socket=socket)


def settings(cls: Any, node: Node, problems: list[Problem]) -> dict[str, Any]:
    """Keyword arguments for a plug-in's dataclass from its section; numbers may carry units (``30s``, ``512MiB``, ``5%``)."""
    fields = {key_of(f.name): f.name for f in dataclasses.fields(cls) if f.init}
    hints = shape(cls)
    if node.kind != "map":
        problems.append(node.problem("expected a mapping of settings"))
        return {}
    made: dict[str, Any] = {}
    for key, value in node.pairs:
        if key.raw not in fields:
            problems.append(
                key.problem(f"unknown setting '{key.raw}'", did_you_mean(key.raw, fields) or f"known: {', '.join(fields)}")
            )
            continue
        kind = hints[key.raw]
        if kind in (float, int) and value.kind == "scalar" and isinstance(value.value, str):
            made[fields[key.raw]] = _quantity(kind, value, problems)
        else:
            made[fields[key.raw]] = value_of(kind, value, problems)
    return made


def _quantity(kind: type[float] | type[int], node: Node, problems: list[Problem]) -> float:
    for convert in (parse_duration, parse_percent, parse_bytes):
        try:
            return kind(convert(node.raw))
        except ValueError:
            continue
    problems.append(node.problem(f"'{node.raw}' is not a quantity", "write a number, 30s, 5m, 512MiB or 5%"))
    return 0
