"""The kernel log from the boot's start: Xids, OOM kills, hung tasks, disks, links, as events and as counters."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import ClassVar

from agent.collectors._flood import Flood
from agent.collectors._gpu_names import GpuNames
from agent.collectors._kernel_about import GPU_KINDS, TEXT, cleaned, device_of, told_apart, with_
from agent.collectors._kernel_metrics import KERNEL_METRICS
from agent.collectors._tally import Tally
from agent.data import folder
from agent.dataclass import dataclass
from agent.engine.kernel import kmsg, show
from agent.engine.kernel.reader import KINDS, Reader
from agent.engine.kernel.record import Happening, Record
from agent.engine.kernel.tables import FILES, Tables, load_tables
from agent.errors import AgentError
from agent.host.clock import Clock, SystemClock
from agent.host.kmsg import DEVICE, Device, File
from agent.host.mounts import LIMIT, parse_mountinfo
from agent.host.procfs import read_once
from agent.host.text import clean
from agent.model import Event, Labels, Metric, Sample, Series, labels

log = logging.getLogger("anfl.kernel-log")

BATCH = 500
LINE_BYTES = 200
"""A line of a private file is taken to be as long."""
MOST_WALL = 2.5
"""A tick may last so many times its budget of CPU time."""
PART_BYTES = 131_072
"""So much of it is read at once: more than the longest line."""
LOOK_EVERY_S = 60.0
MOST_DOUBTFUL = 20
"""So many doubtful events are shown a tick: a program that writes into the log must not push the kernel's out of the history."""
OPPOSITE = {"link_up": "link_down", "link_down": "link_up", "nfs_ok": "nfs_not_responding", "nfs_not_responding": "nfs_ok"}
OVER = frozenset(("link_up", "nfs_ok"))
"""Kinds that end something; they are events, but no errors of a device."""


def shipped_tables() -> Tables:
    """The tables as shipped."""
    return load_tables({str(path): path.read_text("utf-8") for path in (folder("rules") / name for name in FILES)})


@dataclass
class Collector:
    """Reads /dev/kmsg without waiting, at most ``budget`` seconds of CPU and ``most`` records a tick; the rest waits in the
    kernel's ring.

    ``path`` names a private file to read in its stead (drills do): it is taken as read now, from its beginning. Records that are
    not the kernel's are shown as events of doubtful origin and not counted, unless ``trust_user_records``; of a private file that
    does not say who wrote a record the same holds.
    """

    metrics: ClassVar[tuple[Metric, ...]] = KERNEL_METRICS
    may_block: ClassVar[bool] = False

    interval: float = 1.0
    timeout: float = 2.0
    path: str = DEVICE
    trust_user_records: bool = False
    most: int = 20_000
    budget: float = 0.4
    proc: str = "/proc"
    clock: Clock = field(default_factory=SystemClock, init=False, repr=False)
    gpus: GpuNames = field(init=False, repr=False)
    _tables: Tables | None = field(default=None, init=False, repr=False)
    _totals: list[float] = field(default_factory=lambda: [0.0, 0.0], init=False, repr=False)

    def __post_init__(self) -> None:
        self._door = Device() if self.path == DEVICE else File(self.path)
        self._reader, self._flood, self._tally = Reader(), Flood(), Tally()
        self._joiner = kmsg.Joiner(self._reader.feed)
        self._series = tuple(Series(m.name) for m in KERNEL_METRICS[:3])
        self.gpus = GpuNames(self.proc)
        self._read_tables: Callable[[], Tables] = shipped_tables
        self._looked = -LOOK_EVERY_S
        self._named = -1
        self._spent = 0.0, 0.0
        self._doubtful = 0
        self._at_end = False
        for kind in KINDS:
            self._tally.add("kernel_events_total", labels(kind=kind))

    def use(self, read: Callable[[], Tables]) -> None:
        """Where the tables come from, a site's changes included; else as shipped.

        ``read`` is called when they are first needed, and again after the next ``use``.
        """
        self._read_tables, self._tables = read, None

    def know_gpus(self, gpus: Mapping[str, tuple[str, str]]) -> None:
        """PCI address → index and UUID, from whoever asked the driver; before that they are read under /proc."""
        self.gpus.know(gpus)

    def close(self) -> None:
        """Give the log back."""
        self._door.close()

    def collect(self) -> Iterable[Sample | Event]:
        """What was logged since the last call; Unavailable where the log may not be read."""
        mono = self.clock.monotonic()
        out: list[Sample | Event] = []
        self._spent = time.thread_time(), mono
        self._read()
        self._begin_gpus(mono)
        now, boot = self.clock.now(), self.clock.now() - mono
        self._doubtful = 0
        for happening in self._reader.take(everything=False):
            out += self._tell(happening, now, boot, mono)
        out += self._flood.due(mono)
        out += map(Sample, self._series, (self._totals[0], float(self._door.lost), self._totals[1]))
        if self._at_end:  # a long log of the boot takes more than a tick; until then its counts are no growth
            out += self._tally.samples()
        return out

    # ------------------------------------------------------------------------------------------ reading

    def _read(self) -> None:
        if isinstance(self._door, File):
            self._read_file(self._door)
            return
        left = self.most
        while left > 0 and self._may_go_on():
            asked = min(BATCH, left)
            batch = [*self._door.records(asked)]
            parsed = (kmsg.parse(lines[0], lines[1:]) for lines in batch)
            self._take((record for record in parsed if record is not None), self._joiner.take)
            left -= asked
            if len(batch) < asked:
                self._at_end = True
                break
        self._joiner.rest()

    def _may_go_on(self) -> bool:
        """On a busy host the budget is CPU time, or a flood would be lost there; all the same others wait for the lane."""
        cpu, mono = self._spent
        return time.thread_time() - cpu < self.budget and self.clock.monotonic() - mono < MOST_WALL * self.budget

    def _read_file(self, file: File) -> None:
        """In parts: neither a tick nor its memory grows with what was written meanwhile."""
        from agent.engine.kernel.lines import records

        left = self.most * LINE_BYTES
        while left > 0 and self._may_go_on():
            lines = file.lines(min(left, PART_BYTES))
            if not lines:
                self._at_end = True
                break
            self._take(records(lines), self._reader.feed)
            left -= PART_BYTES

    def _take(self, found: Iterable[Record], feed: Callable[[Record], None]) -> None:
        for record in found:
            self._totals[0] += 1
            feed(record)

    def _begin_gpus(self, mono: float) -> None:
        """Every known GPU and class from 0 on."""
        if mono - self._looked >= LOOK_EVERY_S:
            self._looked = mono
            self.gpus.look()
        if self._named == self.gpus.version:
            return
        self._named = self.gpus.version
        for address in self.gpus.known():
            gpu = self.gpus.labels(address, {})
            for name in self.tables.classes:
                self._tally.add("gpu_xid_events_total", with_(gpu, "class", name))

    @property
    def tables(self) -> Tables:
        """The tables in force; read when first needed."""
        if self._tables is None:
            try:
                self._tables = self._read_tables()
            except AgentError as wrong:  # a site's file went wrong after it was checked: the log is read all the same
                log.error("the kernel log's tables cannot be read, the shipped ones are used: %s", str(wrong).replace("\n", " · "))
                self._tables = shipped_tables()
        return self._tables

    # ------------------------------------------------------------------------------------------ telling

    def _tell(self, happening: Happening, now: float, boot: float, mono: float) -> list[Event]:
        trusted = happening.record.trusted is True or self.trust_user_records
        if not trusted:
            self._totals[1] += happening.count
            self._doubtful += 1
            if self._doubtful > MOST_DOUBTFUL:
                return []
        said = show.meaning(happening, self.tables)
        gpu = self._gpu(happening)
        if trusted:
            self._count(happening, str(said["level"]), str(said.get("class")), gpu)
        stamp = happening.record.stamp
        when = now if isinstance(self._door, File) or stamp is None else min(now, boot + stamp)
        fields = {k: cleaned(v) for k, v in {**happening.fields, **said, **dict(gpu)}.items() if v is not None and v != ""}
        if happening.kind.startswith("fs_") and (mount := self._mount(str(happening.get("device")))):
            fields["mount"] = mount
        fields |= {"kind": happening.kind, "incident": happening.incident}
        event = Event(when, "kernel", gpu, clean(happening.record.text, TEXT), fields, trusted)
        kind, *about = told_apart(happening)
        ended = self._flood.forget((trusted, OPPOSITE.get(happening.kind), *about))
        return [*ended, *self._flood.take((trusted, kind, *about), event, happening.count, mono)]

    def _gpu(self, happening: Happening) -> Labels:
        address = happening.get("pci")
        if happening.kind not in GPU_KINDS or not isinstance(address, str):
            return ()
        return self.gpus.labels(address, self._reader.uuids)

    def _count(self, happening: Happening, level: str, class_: str, gpu: Labels) -> None:
        add, count = self._tally.add, float(happening.count)
        add("kernel_events_total", labels(kind=happening.kind), count)
        if happening.kind == "xid" and gpu:
            add("gpu_xid_total", with_(gpu, "xid", str(happening.get("xid"))), count)
            add("gpu_xid_events_total", with_(gpu, "class", class_), count)
        device = device_of(happening)
        if device is not None and happening.kind not in OVER:
            add("kernel_device_errors_total", labels(device=device, kind=happening.kind, level=level), count)

    def _mount(self, device: str) -> str | None:
        """Where a device is mounted, as far as its name in the table of mounts is the kernel's own."""
        try:
            mounts = parse_mountinfo(read_once(f"{self.proc}/self/mountinfo", LIMIT))
        except OSError:
            return None
        found = [m.mountpoint for m in mounts if m.source == f"/dev/{device}"]
        return clean(min(found, key=len)) if found else None
