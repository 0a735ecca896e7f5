"""Thread ids of CPythons that do not keep them (3.10 and older): from the C library's own record of each thread.

There a sampler that stops nobody only learns the address of a thread's ``struct pthread``. The kernel's thread id lies in it, at an
offset that depends on machine and C library; it is found once per process, where the main thread's record holds the process id, and
believed only if it gives a real thread id for every other thread.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Mapping

from agent.host.threads import task_ids

LEAST_ADDRESS = 1 << 32
"""Thread ids are smaller, addresses of thread records are not."""
_SPAN = 2048
_MOST_OFFSETS = 256
_offsets: dict[int, int] = {}  # pid → offset, as far as found; a wrong one for a pid taken again does not fit and is not used
_WORD = struct.Struct("=i")


def by_address(pid: int, addresses: Collection[int], *, proc: str = "/proc", inner_pid: int | None = None) -> Mapping[int, int]:
    """Address of a thread's record → its thread id (as the process's own pid namespace counts); empty if none can be told.

    ``inner_pid`` is the process id inside its own namespace where that differs.
    """
    wanted = [address for address in addresses if address >= LEAST_ADDRESS]
    if not wanted:
        return {}
    try:
        known = set(task_ids(pid, proc)) if inner_pid is None else None
        with open(f"{proc}/{pid}/mem", "rb", buffering=0) as memory:
            records = {address: _read(memory.fileno(), address) for address in wanted}
    except (OSError, ValueError):
        return {}
    offset = find(records, pid if inner_pid is None else inner_pid, known)
    if offset is not None:
        _offsets[pid] = offset
        if len(_offsets) > _MOST_OFFSETS:
            del _offsets[next(iter(_offsets))]
    elif _fits(records, _offsets.get(pid, -1), known):
        offset = _offsets[pid]  # the main thread is not among those asked for; an earlier look had it
    return {} if offset is None else _ids(records, offset)


def find(records: Mapping[int, bytes], pid: int, known: Collection[int] | None) -> int | None:
    """The first offset at which one record holds ``pid`` and all records hold different thread ids (of ``known``, if given)."""
    shortest = min(map(len, records.values()), default=0)
    for offset in range(0, shortest - _WORD.size + 1, _WORD.size):
        if _fits(records, offset, known) and pid in _ids(records, offset).values():
            return offset
    return None


def _fits(records: Mapping[int, bytes], offset: int, known: Collection[int] | None) -> bool:
    if offset < 0 or offset + _WORD.size > min(map(len, records.values()), default=0):
        return False
    ids = _ids(records, offset).values()
    real = set(ids) <= set(known) if known is not None else all(0 < tid < 1 << 22 for tid in ids)
    return real and len(set(ids)) == len(records)


def _ids(records: Mapping[int, bytes], offset: int) -> dict[int, int]:
    return {address: _WORD.unpack_from(record, offset)[0] for address, record in records.items()}


def _read(fd: int, address: int) -> bytes:
    """What is mapped there, up to the span: a record may end before it does."""
    for size in (_SPAN, _SPAN // 2, 768):
        try:
            return os.pread(fd, size, address)
        except OSError:
            continue
    return b""
