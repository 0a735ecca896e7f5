"""What the watch keeps of each source, of a round, and of a reading that is out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from agent.dataclass import dataclass
from agent.host.lane import Runner
from agent.model import Collector, Event, Item, Series, labels

Batch = list[Item]


@dataclass
class Source:
    """One collector with its schedule and health."""

    name: str
    collector: Collector
    lane: Runner
    due: float = 0.0
    trouble: str = ""
    absent: str = ""
    samples: tuple[Series, Series] = field(init=False)

    def __post_init__(self) -> None:
        own = labels(collector=self.name)
        self.samples = (Series("agent_collector_up", own), Series("agent_collector_duration_seconds", own))


@dataclass
class Turn:
    """One round: when it was to begin (monotonic), and once it has begun the wall time, how late that was, and who was due."""

    planned: float
    begun: bool = False
    now: float = 0.0
    late: float = 0.0
    due: list[Source] = field(default_factory=list)

    def cheap(self, shared: Runner) -> list[Source]:
        """Who is due on the shared lane."""
        return [source for source in self.due if source.lane is shared]


class Reading:
    """One call on a lane. If it comes back when nobody waits any more, its samples are of no use, but a log is read only once."""

    def __init__(self, read: Callable[[], Batch]) -> None:
        self._read = read
        self._brought: Batch | None = None

    def __call__(self) -> Batch:
        """Read, on the lane."""
        self._brought = self._read()
        return self._brought

    @property
    def back(self) -> bool:
        """Whether it has come back."""
        return self._brought is not None

    def events(self) -> Batch:
        """What must not be lost of it."""
        return [item for item in self._brought or () if isinstance(item, Event)]
