"""The domain's words: what is measured, judged and looked at, and the seams between them. Imports only the standard library.

Units are base units everywhere: seconds, bytes, ratios 0..1. Times are Unix seconds (wall clock) unless said otherwise.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from agent.dataclass import dataclass

Labels = tuple[tuple[str, str], ...]
"""Label names and values, sorted by name; text is already cleaned."""


def labels(**pairs: str | int) -> Labels:
    """Build a label set in its one canonical order."""
    return tuple(sorted((k, str(v)) for k, v in pairs.items()))


class Kind(StrEnum):
    """How a metric's values read: a level, or a sum that only grows (and may restart from 0)."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


@dataclass(frozen=True)
class Metric:
    """One declaration behind /metrics, the docs and the rule checks.

    ``name`` has no ``anfl_`` prefix; ``unit`` is a base unit (``seconds``, ``bytes``, ``ratio``, or "" for a plain count).
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()


class Series:
    """A handle for one series. Compared by identity: collectors keep and re-use it, so storing a sample costs one look-up.

    Two handles with equal name and labels mean the same series; the store finds that out once per handle.
    """

    __slots__ = ("labels", "name")

    def __init__(self, name: str, labels: Labels = ()) -> None:
        self.name = name
        self.labels = labels

    def __repr__(self) -> str:
        return f"{self.name}{{{','.join(f'{k}={v!r}' for k, v in self.labels)}}}"


class Sample(NamedTuple):
    """One raw reading; the store adds the time of the tick."""

    series: Series
    value: float


@dataclass(frozen=True)
class Event:
    """Something that happened at a moment.

    Kinds so far: ``entity_ended`` (labels name the entity, such as ``pid``; the store ends its series),
    ``process_started``. ``trusted`` is False where any user could have written it.
    """

    time: float
    kind: str
    labels: Labels = ()
    text: str = ""
    fields: Mapping[str, float | str] = field(default_factory=dict)
    trusted: bool = True


ENTITY_ENDED = "entity_ended"


class Figures(Protocol):
    """Samples that always come together, such as all of one process: the cheap way to bring many.

    ``values`` has one for each of ``series``. ``moved`` are the places whose value has changed; the store empties it, and does not
    look at the others. ``stored`` is the store's own; to be set to None whenever ``series`` changes.
    """

    series: list[Series]
    values: list[float]
    moved: set[int]
    stored: Any


Item = Sample | Event | Figures
"""What a source may bring."""


class Column(NamedTuple):
    """One series over a window, oldest first; two ``array('d')`` of equal length."""

    times: array[float]
    values: array[float]


class Still(NamedTuple):
    """A series of one finite value all over a window: how many samples, the times of the first and the last, and the value."""

    count: int  # type: ignore[assignment]  # nobody counts in it as in a tuple
    first: float
    last: float
    value: float


class View(Protocol):
    """What judgement sees: answered alike by the ring, the recorder and tests. Every window ends at ``now``."""

    now: float

    def series(self, name: str, window: float) -> Mapping[Labels, Column]:
        """All series of that name with at least one sample in ``(now - window, now]``."""
        ...

    def column(self, name: str, labels: Labels, window: float) -> Column | None:
        """One series, or None if it has no sample in the window."""
        ...

    def newest(self, name: str, labels: Labels, window: float) -> tuple[float, float] | None:
        """Time and value of the last sample of that column, or None if there is none."""
        ...

    def still(self, name: str, labels: Labels, window: float) -> Still | None:
        """The column in short where it is seen at a glance that all its values are one number; None says nothing."""
        ...

    def labels(self, name: str) -> Collection[Labels]:
        """Label sets of that name that are live (not ended, not stale) now."""
        ...

    def events(self, kind: str, window: float) -> Sequence[Event]:
        """Events of that kind in the window, oldest first."""
        ...


# ---------------------------------------------------------------------------------------------- judgement


class Severity(IntEnum):
    """How much a finding matters; a notice never alarms anyone."""

    NOTICE = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def word(self) -> str:
        """The lower-case name used in rules and JSON."""
        return self.name.lower()


Truth = bool | None
"""True, False, or None for unknown. Missing data is unknown, never healthy."""

TargetKind = Literal["process", "unit", "cgroup", "host", "gpu", "endpoint", "run"]


@dataclass(frozen=True)
class Target:
    """The sufferer of a diagnosis, or what a probe is pointed at. A process is pid *and* start time (Unix seconds)."""

    kind: TargetKind = "host"
    name: str = ""
    pid: int | None = None
    start_time: float | None = None
    unit: str | None = None
    cgroup: str | None = None
    container: str | None = None
    job: str | None = None
    user: str | None = None
    uuid: str | None = None


@dataclass(frozen=True)
class Culprit:
    """Who or what is to blame. ``share`` is 0..1 of the thing measured, ``rate`` per second in base units."""

    kind: str
    name: str
    file: str | None = None
    line: int | None = None
    function: str | None = None
    pid: int | None = None
    uuid: str | None = None
    pci: str | None = None
    address: str | None = None
    share: float | None = None
    rate: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Artifact:
    """A file kept for a person to open (flame graph, collapsed stacks, capture report)."""

    kind: str
    path: str


@dataclass(frozen=True)
class Evidence:
    """What a probe saw.

    ``answers`` holds values by declared name, None for unknown. ``culprits`` and ``says`` are keyed by the same names.
    A probe that could not look has ``because`` (why) and ``try_`` (the mend) and no answers; ``applies`` is False if what it
    searches for cannot be in this target at all, so that its checks are false, not unknown.
    """

    source: str
    answers: Mapping[str, float | bool | str | None] = field(default_factory=dict)
    culprits: Mapping[str, tuple[Culprit, ...]] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    took_s: float = 0.0
    target_pause_s: float = 0.0
    because: str = ""
    try_: str = ""
    applies: bool = True


# ---------------------------------------------------------------------------------------------- seams


class Collector(Protocol):
    """One source. A dataclass whose fields are its settings; ``collect`` is plain blocking code.

    ``collect`` may raise :class:`agent.errors.Unavailable` if the host has no such source.
    ``may_block`` gives it a lane of its own.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    may_block: ClassVar[bool]
    interval: float
    timeout: float

    def collect(self) -> Iterable[Item]:
        """Read the source once; counters and gauges as they are, no rates."""
        ...


Cost = Literal["free", "light", "heavy"]


class Tools(Protocol):
    """What a probe may use. ``gentle`` forbids attaching a debugger to the target; ``deep`` allows longer looks."""

    gentle: bool
    deep: bool
    artifacts_dir: str
    state_dir: str


class Probe(Protocol):
    """One closer look: bounded in time, memory and harm; it says what it cost.

    ``answers`` declares the names a rule's ``expr`` may use. Settings under ``with:`` in a rule and ``probes.<name>`` in the
    configuration are the dataclass fields. It never raises for a target that vanished or refuses: it returns Evidence with
    ``because`` and ``try_``.
    """

    cost: ClassVar[Cost]
    needs: ClassVar[tuple[str, ...]]
    answers: ClassVar[tuple[Metric, ...]]

    async def look(self, target: Target, tools: Tools) -> Evidence:
        """Take the look."""
        ...


JsonObject = dict[str, Any]
