"""A drill's ``sim:``: what it may say, and what happens when."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent import data
from agent.drill.read import read_cases
from agent.drill.variant import make_variant
from agent.errors import UsageError
from agent.sim import script
from agent.sim.script import GpuSimulator, make, play, read

SAID: dict[str, Any] = {
    "gpus": 4,
    "board": "h100",
    "busy": "0-1",
    "mig": {"3": [3, 3]},
    "set": {"1": {"processes.target.memory": "8GiB", "processes.99.memory": "1GiB"}, "all": {"temperature.gpu": 50}},
    "fault": {"unsupported": {"call": "GetFanSpeed", "gpu": 0}},
    "then": [{"after": 0.02, "fault": {"lost": 2}}, {"after": "10ms", "set": {"0": {"temperature.gpu": 90}}}],
}


def test_a_script_begins_with_its_state(compiled: Path, tmp_path: Path) -> None:
    """What waits for a pid is left out; what comes later has not happened."""
    state = make(read(SAID), tmp_path / "gpu.json", compiled).read()
    assert [gpu["name"] for gpu in state["gpus"]] == ["NVIDIA H100 80GB HBM3"] * 4
    assert state["gpus"][1]["processes"] == [{"pid": 99, "type": "compute", "memory": 2**30}]
    assert len(state["gpus"][3]["mig"]["instances"]) == 2
    assert state["gpus"][0]["unsupported"] == ["GetFanSpeed"]
    assert [gpu["condition"] for gpu in state["gpus"]] == ["ok"] * 4


async def test_steps_happen_in_the_order_of_their_times(compiled: Path, tmp_path: Path) -> None:
    """And the target's process appears at once."""
    sim = await asyncio.get_running_loop().run_in_executor(None, lambda: make(read(SAID), tmp_path / "gpu.json", compiled))
    await play(read(SAID), sim, {"target": 4711})
    state = json.loads(sim.path.read_text())
    assert [one["pid"] for one in state["gpus"][1]["processes"]] == [99, 4711]
    assert state["gpus"][2]["condition"] == "lost"
    assert state["gpus"][0]["temperature"]["gpu"] == 90


async def test_a_drill_gets_the_environment_and_the_play(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As agent.drill asks for it."""

    async def at_hand() -> Path:
        return compiled

    monkeypatch.setattr(script, "library", at_hand)
    started = await GpuSimulator().start({"gpus": 1, "then": [{"after": 0, "fault": {"lost": 0}}]}, tmp_path)
    assert started.environment["ANFL_SIM_GPU"] == str(tmp_path / "gpu.json")
    await started.play({})
    assert json.loads(started.sim.path.read_text())["gpus"][0]["condition"] == "lost"


@pytest.mark.parametrize("example", sorted((data.folder("examples") / "gpus").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_can_be_played(compiled: Path, tmp_path: Path, example: Path) -> None:
    """Its later steps as well."""
    make(script.read_file(example), tmp_path / "gpu.json", compiled)


@pytest.mark.parametrize(
    "folder", [path.parent for path in sorted(data.folder("drills").glob("*/case.yaml"))], ids=lambda p: p.name
)
def test_every_shipped_drill_says_what_the_simulator_understands(compiled: Path, tmp_path: Path, folder: Path) -> None:
    """Variants too."""
    (case,) = read_cases(folder)
    for number in (0, 1, 2) if case.sim else ():
        varied = make_variant(case, number, tmp_path / str(number)).case
        make(read(varied.sim), tmp_path / f"{number}.json", compiled)


def test_a_script_that_is_no_mapping_is_told(tmp_path: Path) -> None:
    """With the file's name."""
    path = tmp_path / "list.yaml"
    path.write_text("[1, 2]\n")
    with pytest.raises(UsageError, match=r"list\.yaml: no mapping"):
        script.read_file(path)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"gpu": 8}, "unknown key 'gpu'; did you mean 'gpus'"),
        ({"board": "h300"}, "no board 'h300'"),
        ({"gpus": 17}, "17 GPUs"),
        ({"then": [{"fault": {"lost": 2}}]}, "no after"),
        ({"then": [{"after": "soon"}]}, "soon"),
        ({"then": [{"after": 1, "falt": {}}]}, "unknown key 'falt'"),
        ({"then": [{"after": 1, "fault": {"lots": 2}}]}, "did you mean 'lost'"),
        ({"gpus": 2, "then": [{"after": 1, "fault": {"lost": 2}}]}, "no GPU '2'"),
        ({"set": {"0": {"processes.target.memry": 1}}}, "no figure"),
        ({"busy": "9"}, "no GPU '9'"),
        ({"gpus": "many"}, "cannot be understood"),
        ({"set": 5}, "cannot be understood"),
        ({"set": {"0": 5}}, "cannot be understood"),
        ({"mig": {"0": "x"}}, "cannot be understood"),
        ({"fault": ["lost"]}, "cannot be understood"),
        ({"then": 3}, "cannot be understood"),
        ({"then": [3]}, "cannot be understood"),
    ],
)
def test_mistakes_show_before_the_drill_begins(compiled: Path, tmp_path: Path, said: dict[str, Any], says: str) -> None:
    """Also those in later steps."""
    with pytest.raises(UsageError, match=says):
        make(read(said), tmp_path / "gpu.json", compiled)
