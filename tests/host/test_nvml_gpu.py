"""What is remembered of GPUs between readings: names that stay when indexes shift, and pauses that grow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.host import nvml_wire as wire
from agent.host.nvml_driver import Board
from agent.host.nvml_gpu import FIRST_PAUSE_S, MOST_PAUSE_S, Pause, Reading, Roster, Status


def entry(index: int, uuid: str) -> dict[str, Any]:
    """As NVML names a GPU that answers."""
    return {"index": index, "uuid": uuid, "pci": f"00000000:{index + 16:02x}:00.0", "name": "NVIDIA H200"}


def names(roster: Roster) -> dict[str, int]:
    """UUID → the index people know it by."""
    return {gpu.uuid: gpu.index for gpu in roster}


def test_an_index_stays_with_its_gpu() -> None:
    """NVML calls the last one 1 after the first is gone; people still say 2."""
    roster = Roster()
    roster.enlist([entry(0, "GPU-a"), entry(1, "GPU-b"), entry(2, "GPU-c")])
    roster.enlist([entry(0, "GPU-b"), entry(1, "GPU-c")])
    assert names(roster) == {"GPU-a": 0, "GPU-b": 1, "GPU-c": 2}
    found = roster.at(1)
    assert found is not None
    assert found.uuid == "GPU-c"
    assert [gpu.listed for gpu in roster] == [False, True, True]


def test_a_newcomer_takes_no_index_that_is_another_gpus() -> None:
    """It gets the next free one."""
    roster = Roster()
    roster.enlist([entry(0, "GPU-a"), entry(1, "GPU-b")])
    roster.enlist([entry(0, "GPU-new"), entry(1, "GPU-b")])
    assert names(roster) == {"GPU-a": 0, "GPU-b": 1, "GPU-new": 2}


def test_a_lost_gpu_that_does_not_tell_its_name_is_the_one_that_stood_there() -> None:
    """Its facts stay."""
    roster = Roster()
    roster.enlist([entry(0, "GPU-a"), entry(1, "GPU-b")])
    roster.enlist([entry(0, "GPU-a"), {"index": 1, "gone": wire.GPU_IS_LOST}])
    lost = [gpu.state() for gpu in roster if gpu.state().lost]
    assert [(gpu.uuid, gpu.listed, gpu.facts["name"]) for gpu in lost] == [("GPU-b", True, "NVIDIA H200")]


def test_one_that_nobody_ever_named_is_known_by_the_drivers_files() -> None:
    """By its UUID, or its address where the driver has none."""
    roster = Roster()
    boards = [Board("0000:10:00.0", "GPU-a", "H200"), Board("0000:11:00.0", "", "H200")]
    roster.enlist([entry(0, "GPU-a"), {"index": 1, "gone": wire.GPU_IS_LOST}], lambda: boards)
    assert names(roster) == {"GPU-a": 0, "0000:11:00.0": 1}


def test_a_gpu_left_alone_keeps_its_place_in_a_list_without_it() -> None:
    """It was not asked, so that it is not named says nothing."""
    roster = Roster()
    roster.enlist([entry(0, "GPU-a"), entry(1, "GPU-b")])
    for gpu in roster:
        if gpu.uuid == "GPU-b":
            gpu.leave_alone(10.0, "nvmlDeviceGetName")
    roster.enlist([entry(0, "GPU-a")])
    assert roster.skipped() == [1]
    assert not [gpu for gpu in roster if gpu.state().lost]


def test_a_call_that_timed_out_in_the_driver_leaves_its_gpu_alone() -> None:
    """Each further call would cost six seconds."""
    roster = Roster()
    roster.enlist([entry(0, "GPU-a")])
    [state] = roster.states({"GPU-a": {"gone": wire.TIMEOUT}}, 10.0)
    assert (state.hung, state.lost, roster.skipped()) == ("timeout", False, [0])


def test_an_answer_that_cannot_be_read_is_logged_once_and_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    """A new driver or board may say what nobody expected; the GPU is not lost for that, and works again when it can be read."""
    roster = Roster()
    roster.enlist([entry(0, "GPU-a")])
    for _ in range(2):
        [state] = roster.states({"GPU-a": {"gone": wire.UNKNOWN, "error": "AttributeError: \x1b[31mx"}}, 10.0)
    assert (state.lost, state.hung, state.gone, state.values) == (False, "", wire.UNKNOWN, None)
    assert len(caplog.records) == 1
    assert "\x1b" not in caplog.text
    [state] = roster.states({"GPU-a": {"util": 1}}, 15.0)
    assert (state.gone, state.answered) == (0, 15.0)


def test_pauses_grow_to_a_minute_and_begin_anew_after_success() -> None:
    """Nobody sweeps a GPU that takes seconds to say nothing."""
    pause, now, gaps = Pause(), 0.0, []
    for _ in range(6):
        pause.longer(now)
        gaps.append(pause.until - now)
        now = pause.until
    assert gaps == [FIRST_PAUSE_S, 10, 20, 40, MOST_PAUSE_S, MOST_PAUSE_S]
    pause.over()
    pause.longer(now)
    assert pause.until - now == FIRST_PAUSE_S


@pytest.mark.parametrize(("status", "up"), [("up", True), ("down", False), ("hung", False), ("starting", None), ("released", None)])
def test_what_is_not_known_is_neither_up_nor_down(status: Status, up: bool | None) -> None:
    """A process that is being started, or was released for a reset, is no fault."""
    assert Reading(status).up is up


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), max_size=6))
def test_whatever_order_gpus_come_and_go_in_no_two_share_an_index(lists: list[list[str]]) -> None:
    """And none changes its own."""
    roster, first = Roster(), dict[str, int]()
    for uuids in lists:
        roster.enlist([entry(index, uuid) for index, uuid in enumerate(uuids)])
        now = names(roster)
        assert len(set(now.values())) == len(now)
        assert first.items() <= now.items()
        assert {gpu.uuid for gpu in roster if gpu.listed} == set(uuids)
        first = now
