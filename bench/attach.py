"""The attach bars: starts, refusals, cancels and after-effects, on targets that have no memray of their own.

``python bench/attach.py --tries 50`` is the full batch: every CPython minor found; busy programs, wakers, lock hogs and loops of
many tasks mixed; all targets are watched together for a minute after the last attach. Prints Markdown, and a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import glob
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _attach_targets import ALONE, BLOCKED, FRAME, IN_D, TARGETS

from agent.errors import AgentError
from agent.host import attach_gate, bundles
from agent.host.attach import Stage, attach


def interpreters() -> dict[str, str]:
    """A CPython per minor: those of pyenv, else those on PATH."""
    found = {}
    for path in sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python"))):
        minor = ".".join(path.split("/")[-3].split(".")[:2])
        if minor in bundles.MINORS:
            found[minor] = path
    for minor in bundles.MINORS:
        if minor not in found and (path := shutil.which(f"python{minor}")):
            found[minor] = path
    return dict(sorted(found.items(), key=lambda row: int(row[0].split(".")[1])))


def state_of(pid: int) -> tuple[str, int]:
    """The kernel's state letter and the tracer; ("-", 0) if it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "-", 0
    return re.search(r"State:\s+(\S)", text)[1], int(re.search(r"TracerPid:\s+(\d+)", text)[1])  # type: ignore[index]


class Bench:
    """Targets, and what became of them."""

    def __init__(self, folder: str, state_dir: str) -> None:
        self.folder, self.state_dir = folder, state_dir
        self.started: list[subprocess.Popen[bytes]] = []
        for name, body in TARGETS.items():
            Path(folder, f"{name}.py").write_text(FRAME.format(body=body))

    def target(self, python: str, kind: str) -> subprocess.Popen[bytes]:
        script = os.path.join(self.folder, f"{kind}.py")
        count = os.path.join(self.folder, f"count-{len(self.started)}")
        return self.program([python, script, count], count)

    def program(self, argv: list[str], count: str = "") -> subprocess.Popen[bytes]:
        made = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        made.count = count  # type: ignore[attr-defined]
        self.started.append(made)
        return made

    def progress(self, target: subprocess.Popen[bytes]) -> tuple[int, float]:
        with contextlib.suppress(OSError, ValueError):
            n, cpu = Path(target.count).read_text().split()  # type: ignore[attr-defined]
            return int(n), float(cpu)
        return 0, 0.0

    def end(self) -> None:
        for each in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()

    async def start(self, minor: str, python: str, tries: int) -> dict[str, object]:
        """``tries`` attaches; how long each took until tracking began, and the longest pause."""
        times: dict[str, list[float]] = {kind: [] for kind in TARGETS}
        pauses, failures, targets = [], [], []
        for number in range(tries):
            kind = ("busy", "waker", "tasks", "waker", "hog")[number % 5]
            target = self.target(python, kind)
            await asyncio.sleep(0.4)
            try:
                async with attach(target.pid, Stage("default", 0.2), state_dir=self.state_dir, wait_s=0.0) as watched:
                    await watched.started()
                    await watched.finished()
                times[kind].append(watched.started_s)
                pauses.append(watched.pause_s)
            except AgentError as error:
                failures.append(f"{kind}: {error}")
            os.kill(target.pid, signal.SIGUSR1)
            targets.append(target)
        return {"minor": minor, "times": times, "pauses": pauses, "failures": failures, "targets": targets}

    def alive(self, targets: list[subprocess.Popen[bytes]]) -> list[bool]:
        """Which of the targets run, untraced, not stopped, and make progress."""
        before = [self.progress(each)[0] for each in targets]
        time.sleep(2.0)
        good = []
        for each, n in zip(targets, before, strict=True):
            state, tracer = state_of(each.pid)
            good.append(each.poll() is None and state in "RSD" and tracer == 0 and self.progress(each)[0] > n)
        return good

    async def refusals(self, python: str) -> list[tuple[str, float, str, bool]]:
        """Each refusal: what it was, seconds, the words, and whether the target's state is unchanged."""
        rows = []
        for name, argv, do in self._refusal_cases(python):
            target = self.program(argv)
            await asyncio.sleep(0.6)
            undo = do(target.pid)
            await asyncio.sleep(0.2)
            before, began = state_of(target.pid), time.monotonic()
            try:
                said = await self._refused(target.pid, name)
            except AgentError as error:
                said = str(error)
            rows.append((name, time.monotonic() - began, said, state_of(target.pid) == before))
            undo()
        return rows

    async def _refused(self, pid: int, name: str) -> str:
        if name == "not permitted":
            return await asyncio.to_thread(_as_nobody, pid)  # noqa: TID251
        async with attach(pid, Stage("default", 0.2), state_dir=self.state_dir) as watched:
            await watched.started()
        return "NOT REFUSED"

    def _refusal_cases(self, python: str):  # type: ignore[no-untyped-def]
        nothing = lambda pid: lambda: None  # noqa: E731
        waker = [python, os.path.join(self.folder, "waker.py"), os.path.join(self.folder, "unused")]
        yield "blocked", [python, "-c", BLOCKED], nothing
        yield "stopped", waker, lambda pid: os.kill(pid, signal.SIGSTOP) or (lambda: None)
        yield "traced", waker, _trace
        yield "D state", [python, "-c", IN_D], nothing
        yield "not Python", ["sleep", "60"], nothing
        yield "not permitted", waker, nothing

    async def cancels(self, python: str, sign: signal.Signals, tries: int) -> list[bool]:
        """Kill an attaching agent after a random time; which targets live on, untraced and not stopped, half a minute later."""
        targets = []
        for number in range(tries):
            target = self.target(python, ("busy", "waker")[number % 2])
            await asyncio.sleep(0.3)
            agent = self.program([sys.executable, "-c", ALONE, str(Path.cwd()), str(target.pid), self.state_dir])
            await asyncio.sleep(0.15 + random.random() * 1.6)
            agent.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.wait(10)
            await asyncio.sleep(0.5)
            os.kill(target.pid, signal.SIGUSR1)
            targets.append(target)
        await asyncio.sleep(8)
        return self.alive(targets)

    async def twin(self, python: str, rounds: int = 20) -> list[float]:
        """Work per CPU second of a probed process over that of its untouched twin, in interleaved windows."""
        pair = [self.target(python, "busy") for _ in range(2)]
        await asyncio.sleep(0.5)
        for stage in ("default", "pymalloc"):
            async with attach(pair[0].pid, Stage(stage, 1.0), state_dir=self.state_dir, wait_s=0.0) as watched:
                await watched.started()
                await watched.finished()
        ratios = []
        for _ in range(rounds):
            before = [self.progress(each) for each in pair]
            await asyncio.sleep(2.0)
            after = [self.progress(each) for each in pair]
            rates = [(a[0] - b[0]) / (a[1] - b[1]) for a, b in zip(after, before, strict=True)]
            ratios.append(rates[0] / rates[1])
        return ratios


def _trace(pid: int):  # type: ignore[no-untyped-def]
    """Seize the process from a child of ours, without stopping it."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).ptrace(0x4206, pid, 0, 0)
        time.sleep(30)
        os._exit(0)
    return lambda: (os.kill(child, signal.SIGKILL), os.waitpid(child, 0))


def _as_nobody(pid: int) -> str:
    """Ask for admission as a user without rights; what is said."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            attach_gate.admit(pid)
            os.write(write, b"NOT REFUSED")
        except AgentError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    said = os.read(read, 4096).decode()
    os.waitpid(child, 0)
    return said


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10, help="attaches per version")
    parser.add_argument("--cancels", type=int, default=10, help="cancels per signal")
    parser.add_argument("--versions", default="", help="comma-separated minors")
    parser.add_argument("--parts", default="start,refuse,cancel,twin")
    parser.add_argument("--state-dir", default="", help="where the memray bundles are, or are to be fetched to")
    options = parser.parse_args()
    found = {m: p for m, p in interpreters().items() if not options.versions or m in options.versions.split(",")}
    folder = tempfile.mkdtemp(prefix="bench-attach-")
    state_dir = options.state_dir or folder
    bench, result = Bench(folder, state_dir), {}
    try:
        for minor in found:
            if minor != bundles.own_minor():
                await bundles.build(state_dir, minor)
        if "start" in options.parts:
            result["start"] = await starts(bench, found, options.tries)
        python = found.get(bundles.own_minor()) or next(iter(found.values()))
        if "refuse" in options.parts:
            result["refuse"] = await bench.refusals(python)
            print("\n| target | refused after s | state unchanged | words |\n| --- | --- | --- | --- |")
            for name, took, said, same in result["refuse"]:
                print(f"| {name} | {took:.2f} | {'yes' if same else 'NO'} | {said} |")
        if "cancel" in options.parts:
            result["cancel"] = {}
            print("\n| agent ended by | targets alive, untraced, running |\n| --- | --- |")
            for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                good = await bench.cancels(python, sign, options.cancels)
                result["cancel"][sign.name] = [sum(good), len(good)]
                print(f"| {sign.name} | {sum(good)} of {len(good)} |", flush=True)
        if "twin" in options.parts:
            ratios = await bench.twin(python)
            result["twin"] = ratios
            low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
            print(f"\nSpeed after probing over an untouched twin: median {middle:.3f}, {low:.3f} to {high:.3f}")
    finally:
        bench.end()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))


async def starts(bench: Bench, found: dict[str, str], tries: int) -> list[dict[str, object]]:
    """The table of starts, then a minute's watch over all targets."""
    rows = [await bench.start(minor, python, tries) for minor, python in found.items()]
    await asyncio.sleep(60)
    print(
        "\n| Python | started | p50 s | max s | max s, lock hog | max pause s | alive a minute later |\n| --- " + "| --- " * 6 + "|"
    )
    for row in rows:
        times, targets = row["times"], row.pop("targets")
        plain = times["busy"] + times["waker"] + times["tasks"]
        good = bench.alive(targets)
        row["alive"] = [sum(good), len(good)]
        done = len(plain) + len(times["hog"])
        hog = max(times["hog"], default=0.0)
        print(
            f"| {row['minor']} | {done} of {tries} | {statistics.median(plain):.2f} | {max(plain):.2f} | {hog:.2f} | "
            f"{max(row['pauses']):.2f} | {sum(good)} of {len(good)} |"
        )
        for each, well in zip(targets, good, strict=True):
            if not well:
                print(f"  not well: {each.args[1]}, exit {each.poll()}, {state_of(each.pid)}, {bench.progress(each)}")
                print(subprocess.run(["py-spy", "dump", "-p", str(each.pid)], capture_output=True, text=True).stdout)  # noqa: ASYNC221
        for words in row["failures"]:
            print(f"  failed: {words}")
    return rows


if __name__ == "__main__":
    asyncio.run(main())
