"""What wears out or breaks on a GPU: memory errors, links, PCIe, fabric, and GPUs that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from itertools import islice
from typing import ClassVar

from agent.collectors._gpu_card import identity
from agent.collectors._gpu_fabric import Fabric
from agent.collectors._gpu_metrics import HEALTH_METRICS
from agent.collectors._gpu_seen import Known, Seen
from agent.collectors._gpu_values import health
from agent.dataclass import dataclass
from agent.errors import AgentError, Unavailable
from agent.host import nvml, procs
from agent.host.clock import Clock, SystemClock
from agent.host.nvml import Nvml
from agent.host.nvml_driver import Holder, holders
from agent.host.nvml_gpu import GpuState, Reading, address
from agent.host.nvml_wire import DRIVER_NOT_LOADED
from agent.host.text import clean
from agent.model import ENTITY_ENDED, Event, Labels, Metric, Sample, Series, labels

HURRIED_S = 5.0
MOST_HOLDERS = 50


@dataclass
class Collector:
    """Errors, links and modes of every GPU; how many there are and should be.

    ``expected`` is the number of GPUs this host should have; 0 means the most ever seen, which is kept in the state folder with
    their UUIDs and NVLinks. For ``boot_grace`` after boot a smaller number is not held against the host: drivers load late.
    """

    metrics: ClassVar[tuple[Metric, ...]] = HEALTH_METRICS
    may_block: ClassVar[bool] = True

    interval: float = 30.0
    timeout: float = 30.0
    expected: int = 0
    boot_grace: float = 300.0
    library: str = ""
    deadline: float = nvml.CALL_S
    state_dir: str = ""
    proc: str = "/proc"
    clock: Clock = field(default_factory=SystemClock, init=False, repr=False)
    _nvml: Nvml | None = field(default=None, init=False, repr=False)
    _seen: Seen | None = field(default=None, init=False, repr=False)
    _series: dict[tuple[str, Labels], Series] = field(default_factory=dict, init=False, repr=False)
    _hurried: frozenset[str] = field(default=frozenset(), init=False, repr=False)
    _holders: set[Labels] = field(default_factory=set, init=False, repr=False)
    _missing: set[Labels] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self._fabric = Fabric(self.proc)
        self._usual = self.interval

    def hurry(self, on: bool, by: str = "diagnosis") -> None:
        """Read more often as long as somebody (``by``) wants it so."""
        self._hurried = self._hurried | {by} if on else self._hurried - {by}
        self.interval = min(HURRIED_S, self._usual) if self._hurried else self._usual

    def collect(self) -> Iterable[Sample | Event]:
        """One reading. Unavailable where there is no NVML and never was."""
        if self._nvml is None:
            self._nvml = nvml.shared(self.library, self.deadline, self.proc).used()
        seen = self._seen = self._seen or Seen(self.state_dir)
        try:
            reading = self._nvml.read("health")
        except Unavailable:
            if not seen.most and not self.expected:
                raise
            reading = Reading("down", "no NVML")
        now = self.clock.now()
        items: list[Sample | Event] = []
        for state in reading.gpus:
            if state.values is not None:
                items += self._of(state, seen)
        if reading.up is not None:
            items += self._count(reading, seen, now)
        items += self._manager(reading)
        items += self._old_driver(reading, now)
        return items

    def close(self) -> None:
        """Let NVML go."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None

    def _sample(self, name: str, own: Labels, value: float) -> Sample:
        key = (name, own)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(name, own)
        return Sample(series, value)

    def _of(self, state: GpuState, seen: Seen) -> Iterator[Sample]:
        own, raw = identity(state), state.values or {}
        for name, more, value in health(raw, state.facts):
            if value is not None:
                yield self._sample(name, labels(**dict(own), **more) if more else own, value)
        links = {int(link): bool(up) for link, up in (raw.get("links") or {}).items()}
        known = seen.gpus.get(state.uuid)
        ever = {link for link, up in links.items() if up} | (known.links if known else set())
        for link in sorted(ever):
            yield self._sample("gpu_nvlink_up", labels(**dict(own), link=link), float(links.get(link, False)))
        if ever:
            yield self._sample("gpu_nvlink_links_active", own, float(sum(links.values())))
            yield self._sample("gpu_nvlink_links_expected", own, float(len(ever)))

    # ------------------------------------------------------------------------------------------ how many

    def _count(self, reading: Reading, seen: Seen, now: float) -> Iterator[Sample | Event]:
        """Those that answer or merely hang are there; those that are lost or not named are not, and none without a driver."""
        there = [g for g in reading.gpus if not g.lost and reading.code != DRIVER_NOT_LOADED]
        if reading.up:
            seen.note(_known(g) for g in there)
        expected = self.expected or max(seen.most, len(self._nvml.boards()) if self._nvml is not None else 0)
        missing = [] if len(there) >= expected else seen.missing(g.uuid for g in there)
        if len(there) < expected and self._booted_lately(now):
            return
        yield self._sample("gpus_present", (), float(len(there)))
        yield self._sample("gpus_expected", (), float(expected))
        named = {self._absent(known) for known in missing}
        for own in self._missing - named:
            yield Event(now, ENTITY_ENDED, own)
        self._missing = named
        for own in named:
            yield self._sample("gpu_missing_info", own, 1.0)

    @staticmethod
    def _absent(known: Known) -> Labels:
        return labels(gpu=known.gpu, uuid=clean(known.uuid, 96), pci=clean(known.pci, 24), name=clean(known.name, 64))

    def _booted_lately(self, now: float) -> bool:
        return now - procs.boot_time(self.proc) < self.boot_grace

    # ------------------------------------------------------------------------------------------ around NVML

    def _manager(self, reading: Reading) -> Iterator[Sample]:
        told = [(str(g.facts.get("name", "")), g.values) for g in reading.gpus if g.values is not None]
        if not told:
            return
        needed = self._fabric.needed(told)
        yield self._sample("gpu_fabric_manager_needed", (), float(needed))
        if needed:
            yield self._sample("gpu_fabric_manager_up", (), float(self._fabric.up()))

    def _old_driver(self, reading: Reading, now: float) -> Iterator[Sample | Event]:
        """While versions differ: who keeps the old driver in use."""
        found: set[Labels] = set()
        if reading.mismatch and self._nvml is not None:
            found = {self._holder(h) for h in islice(holders(self._nvml.version, self.proc), MOST_HOLDERS)}
        for own in self._holders - found:
            yield Event(now, ENTITY_ENDED, own)
        self._holders = found
        for own in found:
            yield self._sample("gpu_driver_holder_info", own, 1.0)

    def _holder(self, holder: Holder) -> Labels:
        try:
            who = procs.identity(holder.pid, self.proc)
        except (AgentError, OSError):
            who = None
        return labels(
            pid=holder.pid,
            comm=holder.comm,
            user=who.user if who else "",
            unit=(who.unit if who else None) or "",
            container=(who.container if who else None) or "",
            job=(who.job if who else None) or "",
            holds=holder.holds,
            version=holder.version,
        )


def _known(state: GpuState) -> Known:
    links = {int(link) for link, up in ((state.values or {}).get("links") or {}).items() if up}
    return Known(state.index, state.uuid, address(state.pci), clean(str(state.facts.get("name", "")), 64), links)
