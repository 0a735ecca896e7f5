"""Writes the pages of docs/ that are made from the code: metrics, commands, configuration, causes, and what probes answer.

python tools/docs.py            writes them
python tools/docs.py --check    only says which are stale (exit 1 if any)
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from agent import alerting, data, permission, plugins  # noqa: E402
from agent.cli import cli  # noqa: E402
from agent.config import Config  # noqa: E402
from agent.engine.treefile import TreeFile  # noqa: E402
from agent.flight import Flight  # noqa: E402
from agent.incidents.desk import Desk  # noqa: E402
from agent.model import Metric  # noqa: E402
from agent.store.ring import Ring  # noqa: E402
from agent.store.state import State  # noqa: E402
from agent.watch import Watch  # noqa: E402
from agent.web.metrics import OwnCounters  # noqa: E402
from agent.web.page import PREFIX  # noqa: E402
from agent.yamlfile import fill, parse, shape  # noqa: E402
from tools.meanings import of_alerting, of_config, of_plugin  # noqa: E402
from tools.wording import default_of, default_word, docstring, page, table, type_word  # noqa: E402

WIDTH = 100
MADE = "<!-- Made by tools/docs.py from the code; edit there. -->"
BLOCK = re.compile(r"(<!-- made: probe (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Every page that is made from the code, whole or in part, by path."""
    made = {"metrics": metrics, "commands": commands, "configuration": configuration, "causes": causes}
    whole = {ROOT / "docs" / f"{name}.md": f"{MADE}\n\n{make()}" for name, make in made.items()}
    return whole | {path: with_blocks(path.read_text("utf-8")) for path in [ROOT / "docs" / "drilldown.md"] if path.exists()}


def with_blocks(text: str) -> str:
    """A page written by hand with its made parts put in anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{probe(found[2])}\n\n{found[3]}", text)


def stale() -> list[str]:
    """Names of pages that say something else than the code."""
    return [path.name for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]


# ---------------------------------------------------------------------------------------------- metrics


def metrics() -> str:
    """docs/metrics.md."""
    parts = [
        "# Metrics",
        f"`/metrics` serves these for Prometheus, with the prefix `{PREFIX}`. Rules use the names without it.",
        "Units are base units: seconds, bytes, shares from 0 to 1. A counter only grows and may restart from 0. "
        "An info metric is always 1; its labels are what it tells. Labels name the series: `pid` appears only for the "
        "processes the agent watches closely (see `subjects` in [configuration.md](configuration.md)).",
    ]
    for name, collector in _installed().collectors.items():
        parts += [f"## {name}", docstring(collector), _metric_table(collector.metrics)]  # type: ignore[attr-defined]
    parts += ["## The agent itself", "Its sampling:", _metric_table(Watch.metrics), "Its page and its memory:", _own_table()]
    parts += ["Its recording:", _metric_table(Flight.metrics), "Its state:", _metric_table(State.metrics)]
    parts += ["## Incidents", "See [incidents.md](incidents.md).", _metric_table(Desk.metrics)]
    return page(parts)


def _metric_table(declared: Iterable[Metric]) -> str:
    rows = [(f"`{PREFIX}{m.name}`", m.kind.value, m.unit or "–", ", ".join(m.labels) or "–", m.help) for m in declared]
    return table(("metric", "kind", "unit", "labels", "meaning"), rows)


def _own_table() -> str:
    rows = []
    for family in OwnCounters(Ring()).collect():
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        names = [f"{name}_count", f"{name}_sum"] if family.type == "summary" else [name]
        rows += [(f"`{each}`", family.type, family.documentation) for each in names]
    return table(("metric", "kind", "meaning"), rows)


# ---------------------------------------------------------------------------------------------- commands


def commands() -> str:
    """docs/commands.md."""
    parts = [
        "# Commands",
        "What each command prints for `--help`. JSON is described in [json.md](json.md).",
        _help(cli, "anfl-agent"),
    ]
    for path, command in walk():
        parts += [f"## {path}", _help(command, f"anfl-agent {path}")]
    return page(parts)


def walk(group: click.Group = cli, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it, sorted."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{above}{name}", command
        if isinstance(command, click.Group):
            yield from walk(command, f"{above}{name} ")


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=WIDTH, help_option_names=["-h", "--help"])
    return f"```text\n{command.get_help(context)}\n```"


# ---------------------------------------------------------------------------------------------- configuration


def configuration() -> str:
    """docs/configuration.md."""
    rows = []
    for key, kind, default in config_keys():
        rows.append((f"`{key}`", type_word(kind), default_word(kind, default), of_config(key)))
    parts = [
        "# Configuration",
        "One YAML file, looked for in this order: `--config FILE`, `$ANFL_CONFIG`, `$XDG_CONFIG_HOME/anfl-agent/config.yaml` "
        "(`~/.config` where that is not set), `/etc/anfl-agent/config.yaml`. The first one found is used; they are not merged. "
        "Every key is optional. `anfl-agent config init` writes a commented file, `anfl-agent config check` reads one as a start "
        "would, `anfl-agent config show` prints what is in force.",
        "A duration is written `30s`, `5m`, `1h30m` or in seconds; a size `512MiB`, `2GB` or in bytes; a share `2%` or `0.02`.",
        table(("key", "type", "default", "meaning"), rows),
        *_alerting(),
        "## Collectors",
        "`collectors.NAME.SETTING`. Every collector also takes `enabled: false`. Numbers may carry units (`30s`, `512MiB`, `5%`).",
    ]
    found = _installed()
    for name, make in found.collectors.items():
        parts += [f"### collectors.{name}", docstring(make), _settings_table(name, make)]
    parts += ["## Probes", "`probes.NAME.SETTING`. A rule's `with:` sets the same for one check and wins."]
    for name, looks in found.probes.items():
        parts += [f"### probes.{name}", docstring(looks), _settings_table(name, looks, plugins.DAEMON_SETTINGS.get(name, ()))]
    return page(parts)


def config_keys(cls: Any = Config, above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, type, default) of every key of config.yaml, sections opened."""
    defaults = cls()
    for field in dataclasses.fields(cls):
        key, kind = f"{above}{field.name.rstrip('_')}", shape(cls)[field.name.rstrip("_")]
        if key == "path" or key in plugins_sections():
            continue
        if dataclasses.is_dataclass(kind):
            yield from config_keys(kind, f"{key}.")
        else:
            yield key, kind, getattr(defaults, field.name)


def _alerting() -> Iterator[str]:
    """Receivers, routes, windows and approvers."""
    for title, name, shown in (
        ("Receivers", "receiver", alerting.Receiver),
        ("Routes", "route", alerting.Route),
        ("Maintenance windows", "window", alerting.Window),
        ("Approvers", "approver", permission.Approver),
    ):
        rows = []
        for field in dataclasses.fields(shown):
            key = field.name.rstrip("_")
            kind, needed = shape(shown)[key], field.default is dataclasses.MISSING
            default = "needed" if needed else default_word(kind, field.default)
            rows.append((f"`{key}`", type_word(kind), default, of_alerting(name, key)))
        yield f"## {title}"
        yield docstring(shown)
        yield table(("setting", "type", "default", "meaning"), rows)


def plugins_sections() -> tuple[str, ...]:
    """Sections whose keys the plug-ins declare."""
    from agent.config import PLUGIN_SECTIONS

    return PLUGIN_SECTIONS


def _settings_table(name: str, make: Any, also: Sequence[str] = ()) -> str:
    rows = []
    for field in [f for f in dataclasses.fields(make) if f.init]:
        kind = shape(make)[field.name]
        rows.append((f"`{field.name}`", type_word(kind), default_word(kind, default_of(field)), of_plugin(name, field.name)))
    rows += [(f"`{setting}`", "text", "`ask`", of_plugin(name, setting)) for setting in also]
    return table(("setting", "type", "default", "meaning"), rows)


# ---------------------------------------------------------------------------------------------- causes and probes


def causes() -> str:
    """docs/causes.md."""
    parts = [
        "# Causes",
        "Everything the shipped trees can name. Ids are stable. `anfl-agent rules explain ID` says what a cause asks and weighs; "
        "how trees are read and written is in [rules.md](rules.md).",
    ]
    for tree in trees():
        each = ", ".join(tree.each) if tree.each else "the host"
        parts += [f"## {tree.tree}", f"Judged for each: {each}. SOP: {', '.join(tree.sop) or '–'}."]
        if not tree.causes:
            parts.append(
                "Names no cause of its own: a suspicion, told only if the look it sets off proves a cause of another tree."
            )
            continue
        rows = []
        for key, cause in tree.causes.items():
            needs = ", ".join(cause.require) or "any of: " + ", ".join(cause.support)
            rows.append((f"`{key}`", cause.severity or tree.symptom.severity, cause.title, needs, cause.advice or "–"))
        parts.append(table(("id", "severity", "what it says", "checks it needs", "advice"), rows))
    return page(parts)


def trees() -> list[TreeFile]:
    """The shipped trees as written; conditions are not looked at."""
    found = []
    for path in sorted(data.folder("rules").glob("*.yaml")):
        tree = fill(TreeFile, parse(path.read_text("utf-8"), path.name), [])
        if tree is not None:
            found.append(tree)
    return found


def probe(name: str) -> str:
    """A probe's part of docs/drilldown.md: cost, needs and answers."""
    made: Any = _installed().probes.get(name)
    if made is None:
        return "Not installed."
    needs = ", ".join(made.needs) or "nothing beyond /proc"
    rows = [(f"`{m.name}`", m.unit or ("text" if m.kind.value == "info" else "–"), m.help) for m in made.answers]
    return f"Cost: {made.cost}. Needs: {needs}.\n\n{table(('answer', 'unit', 'meaning'), rows)}"


# ---------------------------------------------------------------------------------------------- shared


@cache
def _installed() -> plugins.Plugins:
    found = plugins.installed()
    if found.broken:
        raise SystemExit(f"docs: plug-ins cannot be imported: {', '.join(b.name for b in found.broken)}")
    return found


def main(arguments: Sequence[str] = ()) -> int:
    """Write the pages, or with ``--check`` name the stale ones."""
    if "--check" in arguments:
        found = stale()
        print("\n".join(f"{name} is stale: run .venv/bin/python tools/docs.py" for name in found) or "docs: all pages are fresh")
        return 1 if found else 0
    for path, text in pages().items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
