"""What probes have in common once they have looked: answers with culprits and words, and the measured window of a profile. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from agent.dataclass import dataclass
from agent.host.pyspy import Recording
from agent.host.threads import Look
from agent.model import Culprit
from agent.stacks import Frame

WAKES_PER_S = 50
"""A thread that waits for the interpreter lock wakes every 5 ms; one that waits for a lock or a socket sleeps through."""


@dataclass(frozen=True)
class Window:
    """All that was measured on one process over ``seconds``. ``cpu`` and ``wakes`` are per thread over the window."""

    pid: int
    seconds: float
    cpu: Mapping[int, float]
    wakes: Mapping[int, float]
    names: Mapping[int, str]
    python_threads: int
    loops: tuple[int, ...] = ()
    looks: Mapping[int, Sequence[Look]] = field(default_factory=dict)
    wall: Recording | None = None
    gil: Recording | None = None
    idle: Recording | None = None
    collecting: float | None = None

    @property
    def cores(self) -> float:
        """CPU seconds per second, all threads."""
        return sum(self.cpu.values()) / self.seconds if self.seconds > 0 else 0.0


@dataclass
class Found:
    """Answers with their culprits and words, under the names the probe declares."""

    answers: dict[str, float | bool | str | None] = field(default_factory=dict)
    culprits: dict[str, tuple[Culprit, ...]] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: float | None, says: str = "", culprits: Sequence[Culprit] = ()) -> None:
        """Record one answer."""
        self.answers[name] = value
        if says:
            self.says[name] = says
        if culprits:
            self.culprits[name] = tuple(culprits)


def code(pid: int, frame: Frame, share: float | None = None, detail: str = "") -> Culprit:
    """A place in the code as a culprit."""
    return Culprit("code", frame.short, file=frame.file, line=frame.line, function=frame.short, pid=pid, share=share, detail=detail)
