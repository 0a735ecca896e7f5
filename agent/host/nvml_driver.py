"""The NVIDIA driver as files tell it: where the NVML library is, which versions are installed and loaded, who holds an old one.

Nothing here loads the library or opens a device.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping

from agent.dataclass import dataclass
from agent.errors import AgentError
from agent.host.procfs import read_once
from agent.host.procstat import optional, stat, status_field
from agent.host.text import clean

SONAME = "libnvidia-ml.so.1"
SIMULATED_PROC = "ANFL_SIM_PROC"
"""Set beside a simulated library: the folder that stands for ``/proc`` as far as ``driver/nvidia`` goes."""
_CACHED = re.compile(rb"(/[^\0\n]{1,400}/" + SONAME.encode().replace(b".", rb"\.") + rb")\0")
_USUAL = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/run/nvidia/driver",
)
_LOADED = re.compile(rb"Kernel Module[^\n]*?\s(\d+\.\d+(?:\.\d+)?)\s")
_VERSION = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)?)$")
_MAPPED = re.compile(rb"(/[^\n]*/lib(?:nvidia-ml|cuda)\.so\.(\d+\.\d+(?:\.\d+)?))(?: \(deleted\))?\n")
_UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAPS_LIMIT = 8 << 20
LOOK_EVERY_S = 4.0
"""How often the library's file is looked at."""
_MOST_DESCRIPTORS = 4096


def locate(named: str = "", env: Mapping[str, str] | None = None) -> str | None:
    """Path of the NVML library the loader would take, None where there is none. ``named``: a file or folder to take instead."""
    if named:
        path = os.path.join(named, SONAME) if os.path.isdir(named) else named
        return path if os.path.exists(path) else None
    folders = (os.environ if env is None else env).get("LD_LIBRARY_PATH", "").split(":")
    for folder in (*filter(None, folders), *_cached(), *_USUAL):
        path = os.path.join(folder, SONAME)
        if os.path.exists(path):
            return path
    return None


def _cached(cache: str = "/etc/ld.so.cache") -> list[str]:
    """Folders the loader's cache names; its strings share their tails, so whole paths are looked for."""
    try:
        return [os.path.dirname(path.decode("utf-8", "replace")) for path in _CACHED.findall(read_once(cache, 4 << 20))]
    except OSError:
        return []


def loaded_version(proc: str = "/proc") -> str:
    """Version of the kernel driver, such as ``580.95.05``; "" where none is loaded."""
    try:
        found = _LOADED.search(read_once(f"{proc}/driver/nvidia/version"))
    except OSError:
        return ""
    return found[1].decode() if found else ""


@dataclass(frozen=True)
class LibraryFile:
    """The library on disk, such that a new one is told from the old."""

    path: str
    device: int
    inode: int
    mtime: int

    @property
    def version(self) -> str:
        """From the real file's name; "" where it does not say (a simulator)."""
        found = _VERSION.search(self.path)
        return found[1] if found else ""


def library_file(path: str) -> LibraryFile | None:
    """What the library's path leads to now; None if it is gone."""
    real = os.path.realpath(path)
    try:
        about = os.stat(real)
    except OSError:
        return None
    return LibraryFile(real, about.st_dev, about.st_ino, about.st_mtime_ns)


@dataclass(frozen=True)
class Board:
    """A GPU the loaded driver has taken on, as it tells in files; ``uuid`` is "" where it does not know it."""

    pci: str
    uuid: str
    name: str


def boards(proc: str = "/proc", env: Mapping[str, str] | None = None) -> list[Board]:
    """Every GPU the driver has taken on, by address: also those NVML cannot reach any more."""
    root = f"{(os.environ if env is None else env).get(SIMULATED_PROC, proc)}/driver/nvidia/gpus"
    found = []
    with contextlib.suppress(OSError):
        for pci in sorted(os.listdir(root)):
            text = optional(pci, "information", root)
            uuid, name = (_told(text, field) for field in (b"GPU UUID", b"Model"))
            found.append(Board(pci.lower(), uuid if _UUID.fullmatch(uuid) else "", name))
    return found


def _told(text: bytes, field: bytes) -> str:
    return clean((status_field(text, field) or b"").strip(), 96)


class Library:
    """The NVML library of this host, or the ``named`` one: where it is, its version, whether it changed since it was opened."""

    def __init__(self, named: str = "", env: Mapping[str, str] | None = None, proc: str = "/proc") -> None:
        self._named = named
        self._env = env
        self._proc = (os.environ if env is None else env).get(SIMULATED_PROC, proc)
        self._path = ""
        self._opened: LibraryFile | None = None
        self._looked: tuple[float, LibraryFile | None, bool] = (0.0, None, False)

    @property
    def there(self) -> bool:
        """Whether there is one; looked for anew where the last one went away."""
        if self._now() is None:
            self._path = locate(self._named, self._env) or ""
            self._look()
        return bool(self._path)

    @property
    def to_open(self) -> str:
        """What a process is to load by name; "" where the loader finds it by itself."""
        return self._path if self._named else ""

    @property
    def version(self) -> str:
        """Of the file on disk; "" where its name does not tell."""
        found = self._now()
        return found.version if found is not None else ""

    def opened(self) -> None:
        """A process opens it now."""
        self._look()
        self._opened = self._now()

    def renewed(self) -> bool:
        """Another file than the one that was opened, and it fits the driver; one that does not fit would only refuse."""
        found = self._now()
        return found is not None and found != self._opened and not self.differs()

    def differs(self) -> bool:
        """Whether its version and that of the loaded driver are known and not the same."""
        self._now()
        return self._looked[2]

    def _now(self) -> LibraryFile | None:
        if time.monotonic() - self._looked[0] > LOOK_EVERY_S:
            self._look()
        return self._looked[1]

    def _look(self) -> None:
        found = library_file(self._path) if self._path else None
        loaded = loaded_version(self._proc) if found is not None and found.version else ""
        differs = bool(found is not None and loaded and loaded != found.version)
        self._looked = (time.monotonic(), found, differs)


@dataclass(frozen=True)
class Holder:
    """A process that keeps the driver from being unloaded: it maps a library of ``version``, or has a device open."""

    pid: int
    comm: str
    holds: str
    version: str = ""


def holders(version: str, proc: str = "/proc") -> Iterator[Holder]:
    """Processes that map an NVML or CUDA library of another version than ``version``, or hold ``/dev/nvidia*`` open.

    Reads every process's maps, which takes their memory-map locks for a moment: for when versions differ, not for a timer.
    Processes in uninterruptible sleep are left out (reading could hang with them); what is closed to us is not seen.
    """
    for entry in os.listdir(proc):
        if entry.isdigit():
            with contextlib.suppress(AgentError, OSError):
                yield from _holder(int(entry), version, proc)


def _holder(pid: int, version: str, proc: str) -> Iterator[Holder]:
    about = stat(pid, proc)
    if about.state in "DZX":
        return
    comm = clean(about.comm, 64)
    for _, mapped in _MAPPED.findall(optional(pid, "maps", proc, _MAPS_LIMIT)):
        if mapped.decode() != version:
            yield Holder(pid, comm, "library", mapped.decode())
            return
    folder = f"{proc}/{pid}/fd"
    for number in os.listdir(folder)[:_MOST_DESCRIPTORS]:
        with contextlib.suppress(OSError):
            if os.readlink(f"{folder}/{number}").startswith("/dev/nvidia"):
                yield Holder(pid, comm, "device")
                return
