"""GPUs as NVML sees them: load, memory, power, clocks, throttling, and the processes on them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, ClassVar

from agent.collectors._gpu_card import Card, identity
from agent.collectors._gpu_metrics import GPU_METRICS
from agent.collectors._gpu_values import load, memory
from agent.dataclass import dataclass
from agent.errors import Unavailable, UsageError
from agent.host import nvml
from agent.host.clock import Clock, SystemClock
from agent.host.nvml import Nvml
from agent.host.nvml_gpu import Counters, GpuState, Reading, address
from agent.host.nvml_wire import RESET_REQUIRED
from agent.host.text import clean
from agent.model import ENTITY_ENDED, Event, Item, JsonObject, Metric, Sample, Series, Target, labels

HURRIED_S = 1.0
SHORTEST_UUID = 8


@dataclass
class Collector:
    """Load, memory, temperature, power, clocks and processes of every GPU.

    A GPU that is lost or hangs keeps ``gpu_info``, ``gpu_lost``, ``gpu_answer_age_seconds`` and who was on it; its other series
    pause. ``library`` is a folder or file to load NVML from instead of what the loader finds (a simulator). ``deadline`` is the
    most one call may take. Both hold for ``gpu_health`` too.
    """

    metrics: ClassVar[tuple[Metric, ...]] = GPU_METRICS
    may_block: ClassVar[bool] = True

    interval: float = 5.0
    timeout: float = 15.0
    library: str = ""
    deadline: float = nvml.CALL_S
    proc: str = "/proc"
    clock: Clock = field(default_factory=SystemClock, init=False, repr=False)
    _nvml: Nvml | None = field(default=None, init=False, repr=False)
    _cards: dict[str, Card] = field(default_factory=dict, init=False, repr=False)
    _hurried: frozenset[str] = field(default=frozenset(), init=False, repr=False)
    _last: Reading | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._usual = self.interval

    def hurry(self, on: bool, by: str = "diagnosis") -> None:
        """Read once a second as long as somebody (``by``) wants it so."""
        self._hurried = self._hurried | {by} if on else self._hurried - {by}
        self.interval = min(HURRIED_S, self._usual) if self._hurried else self._usual

    def collect(self) -> Iterable[Item]:
        """One reading. Unavailable where there is no NVML."""
        if self._nvml is None:
            self._nvml = nvml.shared(self.library, self.deadline, self.proc).used()
        reading = self._last = self._nvml.read("fast", procs=True)
        now = self.clock.now()
        items: list[Item] = list(self._standing(reading))
        for state in reading.gpus:
            card = self._cards.get(state.uuid)
            if card is None:
                card = self._cards[state.uuid] = Card(state, self.proc)
            items += self._of(card, state, reading, now)
        return items

    def close(self) -> None:
        """Let NVML go."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None

    def find(self, asked: str) -> Target:
        """The GPU of that index, UUID (or its beginning) or PCI address. UsageError if there is none, Unavailable without NVML."""
        states = self._states()
        wanted = asked.strip().lower()
        found = [g for g in states if wanted in (str(g.index), address(g.pci)) or address(wanted) == address(g.pci) != ""]
        found = found or [g for g in states if len(wanted) >= SHORTEST_UUID and g.uuid.lower().startswith(wanted)]
        if len(found) != 1:
            there = ", ".join(f"{g.index} ({clean(g.uuid, 96)}, {address(g.pci)})" for g in states)
            raise UsageError(f"{'several GPUs are' if found else 'no GPU is'} '{clean(asked, 96)}'", help=f"there are: {there}")
        return Target("gpu", f"GPU {found[0].index}", uuid=found[0].uuid)

    def _states(self) -> tuple[GpuState, ...]:
        """The GPUs as last read; read now where nothing was read yet."""
        why = ""
        if self._last is None or not self._last.gpus:
            try:
                list(self.collect())
            except Unavailable as none:
                why = none.message
        if self._last is None or not self._last.gpus:
            why = why or (self._last.why if self._last is not None else "") or "NVML lists none"
            raise Unavailable(f"no GPU can be seen: {why}", help="anfl-agent doctor")
        return self._last.gpus

    def users(self, uuid: str) -> tuple[int, ...]:
        """Pids on that GPU, as last read."""
        card = self._cards.get(uuid)
        return card.people.pids() if card is not None else ()

    def report(self) -> JsonObject:
        """How NVML is, for ``status``."""
        reading = self._last
        if reading is None:
            return {"status": "absent", "why": nvml.NO_LIBRARY, "mismatch": False, "driver": "", "gpus": []}
        now = time.monotonic()
        gpus = [
            {
                **dict(identity(g)),
                "name": clean(str(g.facts.get("name", "")), 64),
                "state": "lost" if g.lost else "hung" if g.hung else "ok" if not g.gone else f"error {g.gone}",
                "age_s": round(now - g.answered, 1) if g.answered else None,
            }
            for g in reading.gpus
        ]
        driver = clean(reading.driver, 32)
        return {"status": reading.status, "why": reading.why, "mismatch": reading.mismatch, "driver": driver, "gpus": gpus}

    def _standing(self, reading: Reading) -> Iterator[Sample]:
        counters = self._nvml.counters if self._nvml is not None else Counters()
        if reading.up is not None:
            yield Sample(_PLAIN["nvml_up"], float(reading.up))
        if reading.status != "starting" or reading.hung:  # nobody can tell yet
            yield Sample(_PLAIN["nvml_hung"], float(reading.hung))
        yield Sample(_PLAIN["nvml_library_mismatch"], float(reading.mismatch))
        yield Sample(_PLAIN["nvml_call_seconds_total"], counters.seconds)
        yield Sample(_PLAIN["nvml_calls_total"], float(counters.calls))
        yield Sample(_PLAIN["nvml_timeouts_total"], float(counters.timeouts))
        yield Sample(_PLAIN["nvml_respawns_total"], float(counters.respawns))

    def _of(self, card: Card, state: GpuState, reading: Reading, now: float) -> Iterator[Item]:
        mono, series = time.monotonic(), card.series
        yield Sample(self._info(card, state, reading.driver), 1.0)
        if reading.status != "released":
            yield Sample(series["gpu_lost"], float(state.lost))
            yield Sample(series["gpu_listed"], float(state.listed))
            yield Sample(series["gpu_reset_required"], float(state.gone == RESET_REQUIRED))
            yield Sample(series["gpu_answer_age_seconds"], mono - (state.answered or card.began))
        raw = state.values
        if raw is None:
            yield from card.people.last(now)
            return
        card.figures.replace({name: value for name, value in load(raw, state.facts).items() if value is not None})
        yield card.figures
        for reason, seconds in card.throttled.read(raw, mono, 3 * self._usual).items():
            handle = card.reasons.get(reason)
            if handle is None:
                own = labels(**dict(card.labels), reason=reason)
                handle = card.reasons[reason] = Series("gpu_throttled_seconds_total", own)
            yield Sample(handle, seconds)
        yield from self._instances(card, raw.get("mig") or (), now)
        if "procs" in raw:
            yield from card.people.read(raw, now)

    def _info(self, card: Card, state: GpuState, driver: str) -> Series:
        vbios, name = str(state.facts.get("vbios", "")), str(state.facts.get("name", ""))
        key = f"{name}\0{driver}\0{vbios}"
        if card.info is None or card.info[0] != key:
            own = labels(**dict(card.labels), name=clean(name, 64), driver=clean(driver, 32), vbios=clean(vbios, 32))
            card.info = key, Series("gpu_info", own)
        return card.info[1]

    def _instances(self, card: Card, listed: Iterable[dict[str, Any]], now: float) -> Iterator[Sample | Event]:
        """MIG instances: memory of each; one that was destroyed ends."""
        seen = set()
        for raw in listed:
            uuid = clean(str(raw.get("uuid", "")), 96)
            seen.add(uuid)
            own = card.instances.get(uuid)
            if own is None:
                place = {"gpu_instance": raw.get("gi"), "compute_instance": raw.get("ci")}
                own = labels(**dict(card.labels), **{k: "" if v is None else v for k, v in place.items()})
                card.instances[uuid] = own
            about = labels(**dict(own), instance_uuid=uuid, name=clean(str(raw.get("name", "")), 64))
            yield Sample(Series("gpu_instance_info", about), 1.0)
            for name, value in memory(raw, "gpu_instance_memory").items():
                if value is not None:
                    yield Sample(Series(name, own), value)
        for uuid in card.instances.keys() - seen:
            yield Event(now, ENTITY_ENDED, card.instances.pop(uuid))


_PLAIN = {m.name: Series(m.name) for m in GPU_METRICS if not m.labels}
