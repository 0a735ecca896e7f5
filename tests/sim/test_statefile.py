"""The state file: changed by hand, by several writers, broken, gone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import AgentError, UsageError
from agent.sim import statefile
from agent.sim.board import SIZE, Board, key_of
from agent.sim.gpu import GpuSim
from tests.fakes.nvmlclient import NvmlClient

TEMPERATURE = "N.nvmlDeviceGetTemperature(h(0), 0)"


def soon(client: NvmlClient, expression: str, expected: object) -> bool:
    """Whether the answer becomes that one: an edit by hand is seen within some milliseconds."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if client(expression) == expected:
            return True
    return False


def test_an_edit_by_hand_is_seen_by_running_clients(sim: GpuSim, nvml: NvmlClient) -> None:
    """Also one that writes into the same file, as editors may."""
    text = sim.path.read_text()
    sim.path.write_text(text.replace('"gpu": 34', '"gpu": 57', 1))
    assert soon(nvml, TEMPERATURE, 57)


def test_a_broken_file_leaves_the_last_good_state(sim: GpuSim, nvml: NvmlClient) -> None:
    """Until it is mended."""
    text = sim.path.read_text()
    for broken in (
        "",
        "{",
        "[1, 2",
        '{"gpus": [',
        text[:-20],
        "null",
        '"x"',
        '{"a": 1e}',
        "\x00" * 50,
        '{"a": "\\u12"}',
        "[" * 100,
    ):
        sim.path.write_text(broken)
        with Board(sim.path) as board:
            board.ring()
        assert nvml("N.nvmlDeviceGetCount()") == 8
    sim.path.write_text(text.replace('"gpu": 34', '"gpu": 58', 1))
    assert soon(nvml, TEMPERATURE, 58)


def test_a_file_that_is_gone_leaves_the_last_good_state(sim: GpuSim, nvml: NvmlClient, another: Callable[..., NvmlClient]) -> None:
    """A new client finds no driver."""
    sim.path.unlink()
    assert nvml("N.nvmlDeviceGetCount()") == 8
    assert another(init=False).error("N.nvmlInit()") == 9


def test_what_a_file_leaves_out_is_not_supported(sim: GpuSim, nvml: NvmlClient) -> None:
    """A GPU with a name only, words of the wrong kind, curves without parameters."""
    odd = {"name": "odd", "uuid": "GPU-odd", "present": True, "power": {"usage": "much"}, "temperature": {"gpu": {"curve": "sine"}}}
    odd["utilization"] = {"gpu": {"curve": "steps", "steps": []}, "memory": {"curve": "no such"}}
    state = {**sim.read(), "gpus": [odd, {"present": True}, {}, 7, None], "faults": [{}], "events": [{}, 3]}
    sim.path.write_text(json.dumps(state))
    assert soon(nvml, "N.nvmlDeviceGetCount()", 2)
    assert nvml("N.nvmlDeviceGetName(h(0))") == "odd"
    assert nvml(TEMPERATURE) == 0
    for call in ("GetPowerUsage", "GetUtilizationRates", "GetMemoryInfo", "GetSerial", "GetEccMode", "GetRemappedRows"):
        assert nvml.error(f"N.nvmlDevice{call}(h(0))") == 3


def test_changes_by_several_at_once_are_all_kept(sim: GpuSim) -> None:
    """Nobody overwrites what another has just written."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: sim.fault("error", error="UNKNOWN", gpu=n % 8), range(12)))
    assert len(sim.read()["faults"]) == 12


def test_a_change_that_fails_changes_nothing(sim: GpuSim) -> None:
    """The state is written when the block is left without an error."""

    def spoil() -> None:
        with sim.change() as state:
            state["gpus"] = []
            raise RuntimeError

    with pytest.raises(RuntimeError):
        spoil()
    assert len(sim.read()["gpus"]) == 8


@pytest.mark.parametrize(
    ("text", "says"), [("{", "not JSON"), ("[]", "not a simulator state"), ('{"schema": "x/1"}', "not a simulator")]
)
def test_what_is_no_state_is_told_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    """The file is named."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(AgentError, match=says) as told:
        statefile.read(path)
    assert told.value.where == str(path)
    with pytest.raises(UsageError, match="no simulator state"):
        statefile.read(tmp_path / "none.json")


def test_the_board_counts_the_calls_of_all_clients(sim: GpuSim, nvml: NvmlClient, another: Callable[..., NvmlClient]) -> None:
    """By function."""
    second = another()
    for client in (nvml, second, second):
        client("N.nvmlDeviceGetCount()")
    assert sim.calls()["nvmlDeviceGetCount_v2"] == 3


def test_a_board_of_another_size_is_made_anew(tmp_path: Path) -> None:
    """One that a client left half made, or an older agent."""
    (tmp_path / "s.board").write_bytes(b"short")
    with Board(tmp_path / "s") as board:
        board.ring()
        assert board.calls() == {}
        assert board.hits("x") == 0
    assert (tmp_path / "s.board").stat().st_size == SIZE
    assert key_of("a") != key_of("b")


def test_a_client_that_may_not_write_the_board_still_works(sim: GpuSim, another: Callable[..., NvmlClient]) -> None:
    """It counts for itself."""
    board = Path(f"{sim.path}.board")
    board.unlink()
    board.mkdir()
    try:
        assert another()("N.nvmlDeviceGetCount()") == 8
    finally:
        board.rmdir()
