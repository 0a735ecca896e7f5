"""Mounted filesystems: room, inodes, read-only state, and mounts that no longer answer."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import field
from functools import partial
from typing import ClassVar

from agent.collectors._declare import gauge, info
from agent.collectors._patience import Call, PatientThread
from agent.dataclass import dataclass
from agent.host.mounts import LIMIT, Mount, parse_mountinfo
from agent.host.procfs import read_once
from agent.host.text import clean
from agent.model import ENTITY_ENDED, Event, Labels, Metric, Sample, Series, labels

PSEUDO = (
    "autofs bdev binfmt_misc bpf cgroup cgroup2 configfs cpuset debugfs devpts devtmpfs efivarfs erofs fuse.gvfsd-fuse fuse.lxcfs "
    "fuse.portal fuse.snapfuse fusectl hugetlbfs iso9660 mqueue nsfs overlay pipefs proc pstore ramfs rootfs rpc_pipefs "
    "securityfs selinuxfs sockfs squashfs sysfs tracefs udf"
)
"""Not a place to keep files, an image that is full by nature, or (autofs) one that a look would mount."""
HIDDEN = ("/proc/", "/sys/", "/dev/")
SHARED_MEMORY = "/dev/shm"
READ_ONLY = frozenset(("ro", "emergency_ro", "shutdown"))
"""Options that say so: ext4 writes ``emergency_ro``, xfs ``shutdown`` after an error."""
DEAD = frozenset((errno.EIO, errno.ENOTCONN, errno.ESHUTDOWN, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN))
"""Answers of a filesystem whose server, process or disk is gone."""

Statvfs = Callable[[str], os.statvfs_result]


def is_real(mount: Mount, pseudo: frozenset[str]) -> bool:
    """True for a mount whose room is worth watching; an overlay only where it is the root of a container."""
    if mount.mountpoint == "/":
        return True
    below = mount.mountpoint.startswith(HIDDEN) and mount.mountpoint != SHARED_MEMORY
    return not below and mount.fstype not in pseudo


def choose(mounts: Iterable[Mount], pseudo: frozenset[str]) -> list[Mount]:
    """The mounts to watch: of several at one place the last, of several of one filesystem the whole one nearest to ``/``."""
    visible = {m.mountpoint: m for m in mounts}
    chosen: dict[str, Mount] = {}
    for mount in sorted((m for m in visible.values() if is_real(m, pseudo)), key=_rank):
        chosen.setdefault(mount.device, mount)
    return list(chosen.values())


def _rank(mount: Mount) -> tuple[bool, int, str]:
    return mount.mountpoint != "/" and mount.root != "/", len(mount.mountpoint), mount.mountpoint


def values_of(room: os.statvfs_result) -> tuple[float, ...]:
    """Size, free, available bytes, inodes, free inodes."""
    unit = room.f_frsize or room.f_bsize
    return (
        float(room.f_blocks * unit),
        float(room.f_bfree * unit),
        float(room.f_bavail * unit),
        float(room.f_files),
        float(room.f_ffree),
    )


class _Place:
    """One mount with its handles and, while it hangs, the call that has not come back."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.labels: Labels = labels(mountpoint=clean(mount.mountpoint))
        about = labels(mountpoint=clean(mount.mountpoint), device=clean(mount.source), fstype=clean(mount.fstype))
        self.room = tuple(Series(m.name, self.labels) for m in Collector.metrics[:5])
        self.readonly, self.stalled = (Series(m.name, self.labels) for m in Collector.metrics[5:7])
        self.info = Series(Collector.metrics[7].name, about)
        self.out: Call[os.statvfs_result] | None = None


@dataclass
class Collector:
    """Asks every real filesystem; one silent for ``patience`` seconds is reported and does not hide the others."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        gauge("filesystem_size_bytes", "bytes", "Size of the filesystem.", "mountpoint"),
        gauge("filesystem_free_bytes", "bytes", "Room left, the part reserved for root included.", "mountpoint"),
        gauge("filesystem_avail_bytes", "bytes", "Room left for ordinary users.", "mountpoint"),
        gauge("filesystem_files", "", "Inodes the filesystem has; 0 where it has no fixed number.", "mountpoint"),
        gauge("filesystem_files_free", "", "Inodes left.", "mountpoint"),
        gauge("filesystem_readonly", "", "1 if nothing can be written: mounted so, or the kernel turned it so.", "mountpoint"),
        gauge("filesystem_stalled", "", "1 if the filesystem does not answer (a dead server or disk), else 0.", "mountpoint"),
        info("filesystem_info", "What is mounted there.", "mountpoint", "device", "fstype"),
    )
    may_block: ClassVar[bool] = True

    interval: float = 15.0
    timeout: float = 10.0
    patience: float = 1.0
    skip: tuple[str, ...] = tuple(PSEUDO.split())
    proc: str = "/proc"
    statvfs: Statvfs = field(init=False, repr=False, default=os.statvfs)
    _raw: bytes = field(init=False, repr=False, default=b"")
    _places: dict[tuple[str, ...], _Place] = field(init=False, repr=False, default_factory=dict)
    _thread: PatientThread = field(init=False, repr=False, default_factory=partial(PatientThread, "statvfs"))

    def collect(self) -> Iterable[Sample | Event]:
        """Figures of every real mount, and an ``entity_ended`` for one that was unmounted."""
        items: list[Sample | Event] = []
        raw = self._mountinfo()
        if raw != self._raw:
            items += self._renew(choose(parse_mountinfo(raw), frozenset(self.skip)))
            self._raw = raw
        until = time.monotonic() + self.timeout * 0.8
        asked = [place for place in self._places.values() if place.out is None or place.out.done]
        calls = self._thread.calls([partial(self.statvfs, place.mount.mountpoint) for place in asked], self.patience, until)
        for place, call in zip(asked, calls, strict=True):
            place.out = call
        for place in self._places.values():
            items += self._look(place)
        return items

    def _mountinfo(self) -> bytes:
        """The host's mounts: pid 1 sees them as they are, a sandboxed service sees them read-only."""
        try:
            return read_once(f"{self.proc}/1/mountinfo", LIMIT)
        except OSError:
            return read_once(f"{self.proc}/self/mountinfo", LIMIT)

    def _renew(self, mounts: list[Mount]) -> list[Event]:
        """Take over the new mount table, keeping calls that hang; the events of places that are no more."""
        before, self._places = self._places, {}
        for mount in mounts:
            key = (mount.device, mount.mountpoint, mount.fstype, mount.source)
            place = self._places[key] = before.get(key) or _Place(mount)
            place.mount = mount
        shown = {place.labels for place in self._places.values()}
        return [Event(time.time(), ENTITY_ENDED, place.labels) for place in before.values() if place.labels not in shown]

    def _look(self, place: _Place) -> list[Sample]:
        options = place.mount.options | place.mount.super_options
        samples = [Sample(place.info, 1.0), Sample(place.readonly, 1.0 if options & READ_ONLY else 0.0)]
        if place.out is None or not place.out.done:
            return [*samples, Sample(place.stalled, 1.0)]
        call, place.out = place.out, None
        try:
            room = values_of(call.result())
        except OSError as error:  # else: not ours to see, or it went between the two looks
            return [*samples, Sample(place.stalled, 1.0)] if error.errno in DEAD else samples
        return [*samples, Sample(place.stalled, 0.0), *map(Sample, place.room, room)]
