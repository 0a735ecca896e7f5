"""Call stacks as data: reading py-spy's text, telling a program's own code from its libraries, finding who owns the time.

Pure: no clock, file or process. Frames run outermost first everywhere.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from agent.dataclass import dataclass

OWNER_SHARE = 0.5
"""A function that holds half of the weight on its own path is the one to name; below it, the heaviest."""

_STDLIB = re.compile(r"(/lib(64|32)?/python\d(\.\d+)?t?/|\bpython\d+\.zip/|^<frozen |^<__array_function__)")
_PACKAGE = re.compile(r"/(site|dist)-packages/|\.egg/")
_FRAME = re.compile(r"^(?P<function>.*?) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")
_THREAD = re.compile(r"^thread \((?P<id>0x[0-9A-Fa-f]+|\d+)\)(?:: (?P<name>.*))?$")


class Frame(NamedTuple):
    """One call: ``file`` as the interpreter knows it, ``line`` 0 where it has none (native code)."""

    function: str
    file: str
    line: int

    @property
    def short(self) -> str:
        """The function without its class or enclosing function."""
        return self.function.rsplit(".", 1)[-1]

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})" if self.line else f"{self.function} ({self.file})"


class Stack(NamedTuple):
    """A stack seen ``weight`` times (or for ``weight`` CPU seconds) in one thread. ``tid`` 0 = not known."""

    tid: int
    thread: str
    frames: tuple[Frame, ...]
    weight: float


@dataclass(frozen=True)
class ThreadDump:
    """One thread at one moment. ``tid`` is the kernel's id as the target's own pid namespace counts it."""

    tid: int
    name: str
    active: bool
    owns_gil: bool
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Owner:
    """The function to name: its inclusive share 0..1, its hottest line with that line's share, and the threads it ran in."""

    frame: Frame
    share: float
    line_share: float
    threads: tuple[str, ...]


@lru_cache(1024)
def place(file: str) -> str:
    """``own`` for the program's code, ``package`` for what was installed, ``stdlib`` for the interpreter's."""
    if _PACKAGE.search(file):
        return "package"
    return "stdlib" if _STDLIB.search(file) or not file else "own"


def is_own(frame: Frame) -> bool:
    """True for the program's own Python code: not the standard library, not installed, not native."""
    return frame.line > 0 and place(frame.file) == "own"


def deepest_own(frames: Sequence[Frame]) -> Frame | None:
    """The innermost own frame; without one the innermost of an installed package; None if all is stdlib or native."""
    for wanted in ("own", "package"):
        for frame in reversed(frames):
            if frame.line > 0 and place(frame.file) == wanted:
                return frame
    return None


# ---------------------------------------------------------------------------------------------- reading


def parse_raw(text: str) -> list[Stack]:
    """py-spy's ``-f raw --threads`` text; lines that are not stacks (its own messages) are left out."""
    stacks, known = [], dict[str, Frame]()
    for row in text.splitlines():
        body, _, count = row.rpartition(" ")
        if not count.isdigit() or not body.startswith("thread ("):
            continue
        head, *rest = body.split(";")
        thread = _THREAD.match(head)
        if thread is None:
            continue
        frames = tuple(_frames(rest, known))
        stacks.append(Stack(_number(thread["id"]), thread["name"] or "", frames, float(count)))
    return stacks


def _number(text: str) -> int:
    """A thread id, or from older interpreters the address of the thread's record."""
    return int(text, 16) if text.startswith("0x") else int(text)


def _frames(parts: Iterable[str], known: dict[str, Frame]) -> Iterable[Frame]:
    """Frames outermost first. Stacks of one program are made of few: each is kept once, however often it stands there."""
    held = ""
    for part in parts:
        whole = f"{held};{part}" if held else part  # a path may hold a semicolon itself
        frame = known.get(whole)
        if frame is None:
            match = _FRAME.match(whole)
            if match is None:
                held = whole
                continue
            frame = known[whole] = Frame(match["function"], match["file"], int(match["line"] or 0))
        held = ""
        yield frame


def parse_dump(text: str) -> list[ThreadDump]:
    """``py-spy dump --json``; ValueError if it is not that."""
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise ValueError("not a list of threads")
    known: dict[Frame, Frame] = {}
    return [_thread(row, known) for row in rows if isinstance(row, dict)]


def _thread(row: Mapping[str, Any], known: dict[Frame, Frame]) -> ThreadDump:
    inner_first = row.get("frames") or []
    read = [Frame(str(f.get("name") or "?"), str(f.get("filename") or ""), int(f.get("line") or 0)) for f in reversed(inner_first)]
    frames = tuple(known.setdefault(frame, frame) for frame in read)
    return ThreadDump(
        tid=int(row.get("os_thread_id") or row.get("thread_id") or 0),
        name=str(row.get("thread_name") or ""),
        active=bool(row.get("active")),
        owns_gil=bool(row.get("owns_gil")),
        frames=frames,
    )


def rooted(stacks: Sequence[Stack]) -> list[Stack]:
    """Without torn stacks: a thread read while it ran may lose its outer frames, so each of its stacks must begin where most do.

    Measured on a program of nested generators: 1 to 12 % of the samples were torn, and all of them lacked the own caller.
    """
    roots: dict[int, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    for stack in stacks:
        if stack.frames:
            roots[stack.tid][stack.frames[0][:2]] += stack.weight
    usual = {tid: max(seen, key=lambda root: seen[root]) for tid, seen in roots.items()}
    return [stack for stack in stacks if stack.frames and stack.frames[0][:2] == usual[stack.tid]]


# ---------------------------------------------------------------------------------------------- weighing


def total(stacks: Iterable[Stack]) -> float:
    """All weight."""
    return sum(stack.weight for stack in stacks)


def by_thread(stacks: Iterable[Stack]) -> dict[int, float]:
    """Weight per thread id."""
    sums: dict[int, float] = defaultdict(float)
    for stack in stacks:
        sums[stack.tid] += stack.weight
    return dict(sums)


def reweigh(stacks: Sequence[Stack], per_thread: Mapping[int, float]) -> list[Stack]:
    """Share each thread's measured CPU seconds out over its samples, so an idle thread weighs nothing however often it was seen."""
    seen = by_thread(stacks)
    scaled = (stack._replace(weight=stack.weight / seen[stack.tid] * per_thread.get(stack.tid, 0.0)) for stack in stacks)
    return [stack for stack in scaled if stack.weight > 0]


def inclusive(stacks: Iterable[Stack], keep: Callable[[Frame], bool] = is_own) -> dict[tuple[str, str], float]:
    """Weight below each (function, file); recursion counts once per stack."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for stack in stacks:
        for key in {(f.function, f.file) for f in stack.frames if keep(f)}:
            sums[key] += stack.weight
    return dict(sums)


def owner(stacks: Sequence[Stack], whole: float | None = None, share: float = OWNER_SHARE) -> Owner | None:
    """Who owns the time: the deepest own function with at least ``share`` of ``whole``, else the heaviest that is no mere entry.

    A hotspot inside a library names the own caller. Without any own frame installed packages are ranked instead.
    """
    whole = total(stacks) if whole is None else whole
    if whole <= 0:
        return None
    keep = _kept(stacks)
    sums = inclusive(stacks, keep)
    if not sums:
        return None
    entries = {(f.function, f.file) for s in stacks for f in s.frames if keep(f) and f is _outermost(s.frames, keep)}
    own_weight = _deepest_weight(stacks, keep)
    heavy = [key for key, weight in sums.items() if weight >= share * whole and _works(key, sums, own_weight, entries)]
    depth = _depths(stacks, keep)
    if heavy:
        best = max(heavy, key=lambda key: (depth[key], sums[key]))
    else:
        best = max(sums, key=lambda key: (key not in entries, own_weight.get(key, 0.0), sums[key]))
    return _owner(stacks, best, sums[best] / whole, keep)


def _kept(stacks: Sequence[Stack]) -> Callable[[Frame], bool]:
    if any(is_own(frame) for stack in stacks for frame in stack.frames):
        return is_own
    return lambda frame: frame.line > 0 and place(frame.file) == "package"


def _outermost(frames: Sequence[Frame], keep: Callable[[Frame], bool]) -> Frame | None:
    return next((frame for frame in frames if keep(frame)), None)


def _deepest_weight(stacks: Iterable[Stack], keep: Callable[[Frame], bool]) -> dict[tuple[str, str], float]:
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for stack in stacks:
        last = _outermost(stack.frames[::-1], keep)
        if last is not None:
            sums[last.function, last.file] += stack.weight
    return dict(sums)


def _works(
    key: tuple[str, str], sums: Mapping[tuple[str, str], float], own: Mapping[tuple[str, str], float], entries: set[Any]
) -> bool:
    """An entry (a module's body, a thread's first own function) is to blame only for what it does itself."""
    return key not in entries or own.get(key, 0.0) >= 0.5 * sums[key]


def _depths(stacks: Iterable[Stack], keep: Callable[[Frame], bool]) -> dict[tuple[str, str], int]:
    depth: dict[tuple[str, str], int] = {}
    for stack in stacks:
        for at, frame in enumerate(stack.frames):
            if keep(frame):
                key = (frame.function, frame.file)
                depth[key] = max(depth.get(key, 0), at)
    return depth


def _owner(stacks: Iterable[Stack], key: tuple[str, str], share: float, keep: Callable[[Frame], bool]) -> Owner:
    lines: dict[int, float] = defaultdict(float)
    threads: dict[str, float] = defaultdict(float)
    for stack in stacks:
        frame = next((f for f in reversed(stack.frames) if (f.function, f.file) == key and keep(f)), None)
        if frame is not None:
            lines[frame.line] += stack.weight
            threads[stack.thread] += stack.weight
    line = max(lines, key=lambda at: lines[at])
    named = tuple(sorted((name for name in threads if name), key=lambda name: -threads[name])[:5])
    return Owner(Frame(key[0], key[1], line), share, share * lines[line] / (sum(lines.values()) or 1.0), named)


def collapsed(stacks: Iterable[Stack], scale: float = 1.0) -> str:
    """The ``a;b;c 42`` text that flame graph viewers open; weights are multiplied by ``scale`` and rounded."""
    sums: dict[str, float] = defaultdict(float)
    for stack in stacks:
        names = [stack.thread or f"thread {stack.tid}", *map(str, stack.frames)]
        sums[";".join(name.replace(";", ":").replace("\n", " ") for name in names)] += stack.weight * scale
    return "".join(f"{path} {round(weight)}\n" for path, weight in sorted(sums.items()) if round(weight) > 0)
