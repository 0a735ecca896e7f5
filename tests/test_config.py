"""Configuration: places, precedence, mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent import config
from agent.errors import ConfigError, Problem, Problems
from agent.yamlfile import parse


def test_every_mistake_of_a_file_is_told_at_once_with_its_place() -> None:
    """Unknown keys, wrong units and wrong words come together, with line, column and a suggestion."""
    text = "listn: x\nartifacts: {keep: 3 apples}\nplaybooks: {ceiling: dryrun}\n"
    with pytest.raises(Problems) as caught:
        config.parse_config(text, "c.yaml")
    shown = str(caught.value)
    assert "c.yaml:1:1: unknown key 'listn'; did you mean 'listen'?" in shown
    assert "c.yaml:2:19: expected a duration" in shown
    assert "did you mean 'dry-run'?" in shown
    assert caught.value.exit_code == 2


def test_a_named_file_wins_over_the_environment_and_the_home(tmp_path: Path) -> None:
    """--config beats $ANFL_CONFIG beats $XDG_CONFIG_HOME."""
    for name in ("flag", "env"):
        (tmp_path / f"{name}.yaml").write_text("")
    (tmp_path / "anfl-agent").mkdir()
    (tmp_path / "anfl-agent/config.yaml").write_text("")
    env = {"ANFL_CONFIG": str(tmp_path / "env.yaml"), "XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}
    assert config.find(str(tmp_path / "flag.yaml"), env) == str(tmp_path / "flag.yaml")
    assert config.find(None, env) == str(tmp_path / "env.yaml")
    del env["ANFL_CONFIG"]
    assert config.find(None, env) == str(tmp_path / "anfl-agent/config.yaml")


def test_a_named_file_that_is_missing_is_an_error() -> None:
    """A typo in --config never falls back to the defaults."""
    with pytest.raises(ConfigError, match="no configuration file"):
        config.find("/nowhere/c.yaml", {})


def test_a_folder_that_may_not_be_looked_into_holds_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain user beside an agent of root's goes on with the defaults; a file that was named is told as out of reach."""

    def is_file(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", is_file)
    assert config.find(None, {"HOME": str(tmp_path)}) is None
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        config.load(str(tmp_path / "closed" / "c.yaml"), {})


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    """Nor is what is said of one that there is none."""
    with pytest.raises(ConfigError, match="is a folder"):
        config.load(str(tmp_path), {})


def test_where_it_was_read_from_is_no_key(tmp_path: Path) -> None:
    """And is not offered as one."""
    for text in ("path: /x", "- 1"):
        with pytest.raises(Problems) as told:
            config.parse_config(text, "c.yaml")
        assert "budget" in str(told.value)
        assert ", path" not in str(told.value)


def test_a_file_that_is_no_text_is_told_so(tmp_path: Path) -> None:
    """Its mode and owner would be the wrong place to look."""
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no UTF-8 text") as refused:
        config.load(str(tmp_path / "c.yaml"), {})
    assert "mode" not in refused.value.help


def test_plain_users_get_xdg_folders_and_root_the_system_ones() -> None:
    """Without root nothing is written outside the user's own folders."""
    env = {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r", "HOME": "/h"}
    assert config.state_home(env, root=False) == "/s/anfl-agent"
    assert config.runtime_home(env, root=False) == "/r/anfl-agent"
    assert config.runtime_home({"HOME": "/h"}, root=False) == "/h/.local/state/anfl-agent/run"
    assert config.state_home(env, root=True) == "/var/lib/anfl-agent"


@dataclass
class Sampler:
    """A plug-in with settings and private state."""

    interval: float = 1.0
    cap: int = 10
    deep: bool = False
    kept: dict[str, int] = field(default_factory=dict, init=False)


def test_plugin_settings_take_units_and_refuse_unknown_names() -> None:
    """Numbers may be written 30s or 2KiB; private state is no setting."""
    problems: list[Problem] = []
    assert config.settings(Sampler, parse("{interval: 30s, cap: 2KiB, deep: true}", "c"), problems) == {
        "interval": 30.0,
        "cap": 2048,
        "deep": True,
    }
    assert not problems
    config.settings(Sampler, parse("{intervall: 3, kept: {}, cap: many}", "c"), problems)
    shown = "\n".join(map(str, problems))
    assert "did you mean 'interval'?" in shown
    assert "unknown setting 'kept'" in shown
    assert "'many' is not a quantity" in shown
