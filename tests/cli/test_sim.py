"""``anfl-agent sim gpu``: what a person types, and what scripts read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.sim.schema import every_path
from agent.sim.verbs import VERBS

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


class Typed:
    """Runs a command in a folder of its own; its exit code and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.code = 0
        self.err = ""

    def __call__(self, *words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["sim", "gpu", *words])
        self.code = int(ended.value.code or 0)
        out, self.err = self._capsys.readouterr()
        return out

    def json(self, *words: str) -> dict[str, Any]:
        """With ``--json``."""
        said: dict[str, Any] = json.loads(self(*words, "--json"))
        return said


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """A shell whose folder has a state with two GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANFL_SIM_GPU", raising=False)
    typed = Typed(capsys)
    assert "gpu.json: 2 x NVIDIA H200" in typed("init", "--gpus", "2")
    return typed


def test_a_state_is_made_once(typed: Typed) -> None:
    """And replaced only with force."""
    typed("init")
    assert typed.code == 2
    assert "--force" in typed.err
    assert typed.json("init", "--force", "--gpus", "1", "--board", "l4")["gpus"] == 1
    typed("init", "--force", "--board", "h300")
    assert typed.code == 2
    assert "h100" in typed.err


def test_figures_are_set_and_shown(typed: Typed) -> None:
    """Curves, processes, whole workloads and instances."""
    typed("set", "0", "temperature.gpu=91", "power.usage=ramp 100..200 over 1h", "processes.7.memory=2GiB")
    typed("busy", "1", "--share", "0.5")
    typed("mig", "1", "3", "1")
    first, second = typed.json("show")["gpus"]
    assert (first["temperature"], first["processes"], first["memory_used"]) == (91, {"7": 2**31}, 2**31)
    assert 100 <= first["power"] < 101
    assert 300 < second["power"] < 500
    assert [name.split()[-1] for name in second["instances"]] == ["3g.70gb", "1g.18gb"]
    shown = typed("show")
    assert "91 °C" in shown
    assert "NVIDIA H200 MIG 3g.70gb" in shown
    typed("idle", "0-1")
    assert [(gpu["power"], gpu["processes"]) for gpu in typed.json("show")["gpus"]] == [(76, {}), (76, {})]


def test_faults_are_injected_listed_and_taken_back(typed: Typed) -> None:
    """By verb, with its main argument bare and the others by name."""
    made = typed.json("fault", "hang", "30s", "gpu=1", "call=DeviceGetPower*", "count=2")
    typed("fault", "lost", "0")
    report = typed.json("show")
    (fault,) = report["faults"]
    assert (fault["id"], fault["hang"], fault["count"], fault["hits"]) == (made["ids"][0], 30, 2, 0)
    assert report["gpus"][0]["condition"] == "lost"
    assert made["ids"][0] in typed("show")
    typed("clear", made["ids"][0])
    assert typed.json("show")["faults"] == []
    typed("clear")
    assert typed.json("show")["gpus"][0]["condition"] == "ok"


def test_a_script_is_played(typed: Typed, tmp_path: Path) -> None:
    """Step by step, in a state of its own."""
    (tmp_path / "s.yaml").write_text("gpus: 3\nset: {all: {processes.target.sm: 5}}\nthen: [{after: 10ms, fault: {lost: 1}}]\n")
    typed("play", "s.yaml")
    assert typed.code == 2
    typed("play", "s.yaml", "--force", "--pid", "4711")
    assert "after 0.01 s: fault" in typed.err
    gpus = typed.json("show")["gpus"]
    assert [gpu["condition"] for gpu in gpus] == ["ok", "lost", "ok"]
    assert list(gpus[2]["processes"]) == ["4711"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["set", "7", "fan=1"], "no GPU '7'"),
        (["set", "0", "fam=1"], "did you mean 'fan'"),
        (["set", "0", "fan"], "PATH=VALUE"),
        (["set", "0", "power.usage=much"], "watts"),
        (["fault", "hung"], "did you mean 'hang'"),
        (["fault", "lost", "gpu=1", "call=x"], "takes no 'call'"),
        (["clear", "none-such"], "no fault 'none-such'"),
        (["show", "--state", "none.json"], "sim gpu init"),
        (["run", "--state", "none.json", "--", "true"], "sim gpu init"),
        (["env", "--state", "none.json"], "sim gpu init"),
    ],
)
def test_mistakes_end_with_two_and_their_mend(typed: Typed, words: list[str], says: str) -> None:
    """With --json as a document."""
    typed(*words)
    assert typed.code == 2
    assert says in typed.err
    if words[0] != "run":
        assert typed.json(*words)["schema"] == "anfl.error/1"


def test_every_figure_and_every_verb_is_listed(typed: Typed) -> None:
    """For people and for scripts."""
    keys = typed("keys")
    assert all(path in keys for path in every_path())
    assert set(typed.json("keys")["keys"]) == set(every_path())
    verbs = typed("faults")
    assert all(f"\n{verb} " in f"\n{verbs}" for verb in VERBS)
    assert set(typed.json("faults")["faults"]) == set(VERBS)


@pytest.mark.real
def test_a_program_is_run_with_the_gpus(typed: Typed, tmp_path: Path) -> None:
    """Its exit code is ours; the environment for a shell says the same."""
    code = "import pynvml as N; N.nvmlInit(); print(N.nvmlDeviceGetCount()); raise SystemExit(7)"
    done = subprocess.run(
        [sys.executable, "-m", "agent", "sim", "gpu", "run", "--", sys.executable, "-c", code],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("2\n", 7)
    assert f"export LD_LIBRARY_PATH={tmp_path}/gpu.json.d/lib" in typed("env")
    assert set(typed.json("env")["environment"]) == {"LD_LIBRARY_PATH", "ANFL_SIM_GPU", "ANFL_SIM_PROC"}


def test_a_program_that_is_not_there_is_told(typed: Typed) -> None:
    """As one that this host lacks."""
    typed("run", "--", "no-such-program")
    assert typed.code == 3
    assert "no-such-program cannot be started" in typed.err
