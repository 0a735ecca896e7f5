"""What is said beside an answer."""

from __future__ import annotations

from agent.caveats import unread
from agent.watch import SourceState


def test_a_kernel_log_that_may_not_be_read_is_said() -> None:
    """Its trees are silent then; nobody must take that for health. A host without GPUs needs no word."""
    states = [
        SourceState("kernel_log", "absent", "/dev/kmsg cannot be read: Operation not permitted"),
        SourceState("gpu", "absent", "no NVML"),
        SourceState("cpu", "up"),
    ]
    (note,) = unread(states)
    assert (note.id, note.try_) == ("kernel_log", "anfl-agent doctor")
    assert "not permitted" in note.because
    assert not list(unread([SourceState("kernel_log", "up")]))
