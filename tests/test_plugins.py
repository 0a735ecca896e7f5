"""Collectors, probes and rules of this installation under a configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent import plugins, registry
from agent.config import Config, parse_config
from agent.engine.trees import RuleSet
from agent.errors import AgentError, ConfigError, Problems
from agent.model import Cost, Evidence, Kind, Metric, Target, Tools
from agent.plugins import Plugins

TREE = """\
tree: {id}
symptom: {{when: "load > 4"}}
checks: [{{id: high, expr: "load > {over}"}}]
causes:
  {id}.load: {{title: Load, support: {{high: 0.8}}}}
"""


@dataclass
class Load:
    """A collector with settings of every kind."""

    interval: float = 1.0
    timeout: float = 1.0
    limit: int = 5
    names: tuple[str, ...] = ()

    metrics: ClassVar[tuple[Metric, ...]] = (Metric("load", Kind.GAUGE, "", "Load."),)
    may_block: ClassVar[bool] = False

    def collect(self) -> list[Any]:
        return []


@dataclass
class Look:
    """A probe."""

    seconds: float = 2.0
    cost: ClassVar[Cost] = "light"
    needs: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[Metric, ...]] = ()

    async def look(self, target: Target, tools: Tools) -> Evidence:
        return Evidence("look")


MADE_UP = Plugins({"load": Load}, {"look": Look, "memray": Look}, ())


def config(folder: Path, text: str, rules: dict[str, str] | None = None) -> Config:
    """A configuration file's meaning, with rules beside it."""
    base = folder / "rules"
    base.mkdir(exist_ok=True)
    for name, tree in (rules or {"a": TREE.format(id="a", over=4)}).items():
        (base / f"{name}.yaml").write_text(tree)
    return parse_config(f"rules_dir: {base}\n{text}", str(folder / "config.yaml"))


def test_everything_shipped_imports() -> None:
    """A release has no broken plug-in, and no two metrics of one name."""
    found = plugins.installed()
    assert not found.broken
    assert {"cpu", "disk", "memory", "processes", "cgroup"} <= set(found.collectors)
    assert {"pyspy", "stacks", "memray", "threads"} <= set(found.probes)
    declared = [metric.name for made in found.collectors.values() for metric in made.metrics]  # type: ignore[attr-defined]
    assert len(declared) == len(set(declared))
    assert set(declared) <= set(found.catalog().metrics)


def test_settings_reach_a_plug_in_with_their_units(tmp_path: Path) -> None:
    """As seconds, counts and lists."""
    made = plugins.make_collectors(MADE_UP, config(tmp_path, "collectors: {load: {interval: 2m, limit: 7, names: [a, b]}}"))
    assert made == {"load": Load(interval=120.0, limit=7, names=("a", "b"))}
    assert plugins.probe_settings(MADE_UP, config(tmp_path, "probes: {look: {seconds: 5s}}"))["look"] == {"seconds": 5.0}


def test_both_gpu_collectors_use_one_nvml(tmp_path: Path) -> None:
    """What is said of ``gpu`` holds for ``gpu_health``, which keeps what it has seen in the state folder."""
    found = plugins.installed()
    made = plugins.make_collectors(found, config(tmp_path, "state_dir: /s\ncollectors: {gpu: {library: /opt/lib, deadline: 3s}}"))
    health: Any = made["gpu_health"]
    assert (health.library, health.deadline, health.state_dir) == ("/opt/lib", 3.0, "/s")
    alone: Any = plugins.make_collectors(found, config(tmp_path, "collectors: {gpu: {enabled: false}}"))["gpu_health"]
    assert alone.library == ""


def test_a_plug_in_can_be_switched_off(tmp_path: Path) -> None:
    """With its settings left where they are."""
    assert plugins.make_collectors(MADE_UP, config(tmp_path, "collectors: {load: {enabled: false, limit: 7}}")) == {}
    assert plugins.make_collectors(MADE_UP, config(tmp_path, "collectors: {load: {enabled: true}}")) == {"load": Load()}


def test_all_wrong_sections_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    """Exit 2: it is the operator's file."""
    wrong = config(tmp_path, "collectors:\n  laod: {}\n  load: {intervall: 1s, limit: many, enabled: maybe}\n")
    with pytest.raises(Problems) as caught:
        plugins.make_collectors(MADE_UP, wrong)
    told = [str(problem).removeprefix(f"{tmp_path}/config.yaml:") for problem in caught.value.problems]
    assert caught.value.exit_code == 2
    assert [line.split(":")[0] for line in told] == ["3", "4", "4", "4"]
    assert "did you mean 'load'?" in told[0]
    assert "did you mean 'interval'?" in "\n".join(told)
    assert "enabled must be true or false" in "\n".join(told)


@pytest.mark.parametrize(
    ("text", "mode"), [("", "ask"), ("probes: {memray: {mode: auto}}", "auto"), ("probes: {memray: {}}", "ask")]
)
def test_memray_is_the_daemons_only_by_leave(tmp_path: Path, text: str, mode: str) -> None:
    """``mode`` is no setting of the probe itself."""
    made = config(tmp_path, text)
    assert plugins.heavy_mode(made) == mode
    assert plugins.probe_settings(MADE_UP, made)["memray"] == {}
    with pytest.raises(ConfigError) as caught:
        plugins.heavy_mode(config(tmp_path, "probes: {memray: {mode: often}}"))
    assert caught.value.where == f"{tmp_path}/config.yaml:2:25"


def trees(rules: RuleSet) -> set[str]:
    """Names of the trees in force."""
    return set(rules.trees)


def test_a_sites_rules_replace_shipped_ones_by_name_and_add_others(tmp_path: Path) -> None:
    """They lie in rules.d beside the configuration."""
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "rules.d" / "mine.yaml").write_text(TREE.format(id="a", over=9))
    (tmp_path / "rules.d" / "new.yaml").write_text(TREE.format(id="b", over=2))
    found = plugins.rules_or_raise(MADE_UP, config(tmp_path, ""))
    assert trees(found) == {"a", "b"}
    assert found.trees["a"].checks["high"].expr.text == "load > 9"


def test_rules_that_cannot_be_had_are_told(tmp_path: Path) -> None:
    """No folder, no trees, no text, mistakes."""
    with pytest.raises(ConfigError, match="no rules folder"):
        plugins.rules_or_raise(MADE_UP, parse_config("rules_dir: /nowhere\n", str(tmp_path / "config.yaml")))
    empty = config(tmp_path, "")
    (tmp_path / "rules" / "a.yaml").unlink()
    with pytest.raises(AgentError, match="no diagnosis trees found"):
        plugins.rules_or_raise(MADE_UP, empty)
    (tmp_path / "rules" / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read this rule file: it is no UTF-8 text; save it as UTF-8"):
        plugins.rules_or_raise(MADE_UP, empty)
    (tmp_path / "rules" / "binary.yaml").write_text("tree: a\n")
    with pytest.raises(Problems) as caught:
        plugins.rules_or_raise(MADE_UP, empty)
    assert caught.value.exit_code == 1


def test_a_broken_plug_in_is_logged_and_kept_for_the_status(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent runs without it."""
    broken = registry.Broken("gpu", "ImportError: no driver")
    monkeypatch.setattr(registry, "load", lambda room, attribute: ({}, [broken]))
    found = plugins.installed()
    assert found.broken == (broken, broken)
    assert "plug-in gpu cannot be imported: ImportError: no driver" in caplog.text
    assert json.dumps([vars(b) for b in found.broken])
