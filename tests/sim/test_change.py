"""Changes to a state: GPUs by their names, figures by their paths."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.errors import UsageError
from agent.sim import boards
from agent.sim.change import busy, cut, gpus_of, idle, set_figure
from agent.sim.curves import sum_at
from agent.sim.schema import every_path, key_of
from agent.sim.statefile import State


@pytest.fixture
def state() -> State:
    """Four idle GPUs."""
    return {"since": 0.0, "gpus": [boards.gpu("h200", number) for number in range(4)], "faults": [], "events": []}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (2, [2]),
        ("0-2", [0, 1, 2]),
        ("0,3", [0, 3]),
        ([1, "3"], [1, 3]),
        ("all", [0, 1, 2, 3]),
        ("0000:20:00.0", [1]),
        ("1,1-2", [1, 2]),
    ],
)
def test_gpus_are_named_in_many_ways(state: State, said: object, expected: list[int]) -> None:
    """Each is meant once."""
    assert [state["gpus"].index(gpu) for gpu in gpus_of(state, said)] == expected
    assert gpus_of(state, state["gpus"][3]["uuid"].upper()) == [state["gpus"][3]]


@pytest.mark.parametrize("said", [4, "5-7", "GPU-x", "-1", "", "1,9"])
def test_a_gpu_that_is_not_there_is_told(state: State, said: object) -> None:
    """With how many there are."""
    with pytest.raises(UsageError, match="no GPU") as told:
        gpus_of(state, said)
    assert "there are 4" in told.value.help


def test_an_unknown_figure_is_told_with_the_nearest(state: State) -> None:
    """Also inside lists."""
    for path, near in (
        ("temprature.gpu", "temperature.gpu"),
        ("processes.7.memry", "processes.N.memory"),
        ("nvlink.links.x.state", ""),
    ):
        with pytest.raises(UsageError, match="no figure") as told:
            set_figure(state, state["gpus"][0], path, 1)
        assert near in told.value.help


def test_every_path_can_be_set(state: State) -> None:
    """To null at least; the list's entry is made when first spoken of."""
    gpu = state["gpus"][0]
    for path in every_path():
        assert key_of(path.replace(".N.", ".3.")) is not None
        set_figure(state, gpu, path.replace(".N.", ".3."), None)
    assert len(gpu["processes"]) == len(gpu["nvlink"]["links"]) == len(gpu["mig"]["instances"]) == 1
    json.dumps(state)


def test_a_plus_adds_to_what_is_there(state: State) -> None:
    """To a curve's value of this moment as well."""
    gpu = state["gpus"][0]
    set_figure(state, gpu, "pcie.replays", "+5", 10.0)
    set_figure(state, gpu, "pcie.replays", "+2", 10.0)
    assert gpu["pcie"]["replays"] == 7
    set_figure(state, gpu, "ecc.volatile.corrected.dram", "grow 0 +1/s", 10.0)
    set_figure(state, gpu, "ecc.volatile.corrected.dram", "+100", 30.0)
    assert gpu["ecc"]["volatile"]["corrected"]["dram"] == 120


def test_what_a_figure_has_added_up_to_is_kept(state: State) -> None:
    """76 W for 100 s, then 500 W for 10 s, then a curve."""
    gpu = state["gpus"][0]
    set_figure(state, gpu, "power.usage", 500, 100.0)
    assert sum_at(gpu["power"]["usage"], 100.0, 0) == 7600
    set_figure(state, gpu, "power.usage", "ramp 0..100 over 10s", 110.0)
    assert sum_at(gpu["power"]["usage"], 120.0, 0) == 7600 + 5000 + 500


def test_processes_come_and_go(state: State) -> None:
    """By their pid."""
    gpu = state["gpus"][0]
    set_figure(state, gpu, "processes.7.memory", "1GiB")
    set_figure(state, gpu, "processes.8.sm", 5)
    assert gpu["processes"] == [{"pid": 7, "type": "compute", "memory": 2**30}, {"pid": 8, "type": "compute", "sm": 5}]
    set_figure(state, gpu, "processes.7", None)
    assert [one["pid"] for one in gpu["processes"]] == [8]


def test_a_busy_gpu_is_hot_and_draws_power_and_an_idle_one_does_not(state: State) -> None:
    """On every board."""
    for model in boards.BOARDS:
        state["gpus"] = [boards.gpu(model, 0)]
        fresh: Any = json.loads(json.dumps(state["gpus"][0]))
        busy(state, state["gpus"], now=5.0)
        gpu = state["gpus"][0]
        assert gpu["power"]["usage"]["value"] > 0.9 * fresh["power"]["limit"]
        assert gpu["clocks"]["sm"] == fresh["clocks"]["max"]["sm"]
        idle(state, state["gpus"], now=6.0)
        assert gpu["clocks"] == fresh["clocks"]
        assert gpu["power"]["usage"]["value"] == fresh["power"]["usage"]


def test_instances_share_the_memory(state: State) -> None:
    """Sizes as their profiles say; none makes the GPU whole."""
    gpu = state["gpus"][0]
    cut(gpu, [3, 2, 1, 1])
    assert [one["name"].split()[-1] for one in gpu["mig"]["instances"]] == ["3g.70gb", "2g.35gb", "1g.18gb", "1g.18gb"]
    assert sum(one["total"] for one in gpu["mig"]["instances"]) < gpu["memory"]["total"]
    cut(gpu, [])
    assert (gpu["mig"]["mode"], gpu["mig"]["instances"]) == (False, [])


@pytest.mark.parametrize(
    ("model", "slices", "says"), [("h200", [7, 1], "do not fit"), ("h200", [0], "do not fit"), ("l4", [1], "has no MIG")]
)
def test_what_cannot_be_cut_is_told(model: str, slices: list[int], says: str) -> None:
    """With what there is."""
    with pytest.raises(UsageError, match=says):
        cut(boards.gpu(model, 0), slices)
