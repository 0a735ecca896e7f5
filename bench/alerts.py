"""Alerts under kills, in a storm, with bad receivers, and what alerting costs in memory.

python bench/alerts.py [--kills 1000]        all of it, as a table
python bench/alerts.py kill [--kills 1000]   SIGKILL at random points of the delivery loop, a receiver that fails a tenth
python bench/alerts.py storm                 1,000 alerts a second for ten seconds
python bench/alerts.py bad [--apprise]       one hanging, one dripping, one failing, one refusing, one healthy receiver
python bench/alerts.py memory                PSS before and after
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _alert_kills import forked, kills
from _alert_parts import EACH_ALONE, Server, alerting, incident, save, state_of, webhook

from agent.alerting import Alerts, Receiver
from agent.yamlfile import Text

GC_AFTER = 20_000  # as in agent/daemon.py
BY_CAUSE = Alerts(group_wait=1.0, settle=0.0)


# ---------------------------------------------------------------------------------------------- storm


async def storm(rate: int, seconds: int) -> dict[str, Any]:
    """Many alerts of a few causes, written by another process as the desk would."""
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        state = state_of(f"{folder}/state.db")
        await state.open()
        server = Server("ok")
        await server.start()
        async with alerting(state, folder, (webhook("r", server.port),), BY_CAUSE) as work:
            await asyncio.sleep(1.0)
            lag, idle = Lag(), time.process_time()
            for _ in range(30):
                await asyncio.sleep(0.1)
                work.hint()
            idle = (time.process_time() - idle) / 3.0
            writer = forked(lambda: _pour(f"{folder}/state.db", rate, seconds))
            cpu, rows, until = time.process_time(), 0, time.monotonic() + seconds + 3
            while time.monotonic() < until:
                await asyncio.sleep(0.1)
                work.hint()
                rows = max(rows, len(work.courier.outbox.ledger.rows))
            used = time.process_time() - cpu
            kept = len(work.courier.outbox.ledger.alerts)
            folded = work.courier.bound.total_folded
            late = await lag.end()
            os.waitpid(writer, 0)  # noqa: ASYNC222 - it has ended
        await server.stop()
        await state.close()
        data = [payload["data"] for _, payload in server.got]
        return {
            "alerts": rate * seconds,
            "cpu_share": round((used - idle * (seconds + 3)) / seconds, 4),
            "cpu_share_before_it": round(idle, 4),
            "most_rows": rows,
            "alerts_kept": kept,
            "alerts_counted_only": folded,
            "messages": len(data),
            "groups": len({d["group"] for d in data}),
            "named": [len(d["alerts"]) for d in data],
            "fires": [d["firing"] for d in data],
        } | late


def _pour(path: str, rate: int, seconds: int) -> None:
    at = sqlite3.connect(path, timeout=10, isolation_level=None)
    number = 0
    began = time.monotonic()
    for step in range(seconds * 10):
        now = time.time()
        changed = []
        for _ in range(rate // 10):
            number += 1
            changed.append(incident(number, 1, now, cause=f"memory.cause-{number % 5}"))
        at.execute("BEGIN IMMEDIATE")
        save(at, changed)
        at.execute("COMMIT")
        time.sleep(max(0.0, began + (step + 1) / 10 - time.monotonic()))
    os._exit(0)


class Lag:
    """How long the loop was kept from its work: by the wall clock, which other programs lengthen, and in CPU time of its thread."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            wall, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.02)
            self.wall = max(self.wall, time.perf_counter() - wall - 0.02)
            self.cpu = max(self.cpu, time.thread_time() - cpu)

    async def end(self) -> dict[str, float]:
        """The worst of both, in milliseconds."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return {"loop_late_ms": round(self.wall * 1000, 1), "loop_busy_at_a_stretch_ms": round(self.cpu * 1000, 1)}


# ---------------------------------------------------------------------------------------------- bad receivers


async def bad(count: int, apprise: bool) -> dict[str, Any]:
    """Four bad receivers and a healthy one get the same alerts."""
    kind = "apprise" if apprise else "webhook"
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        state = state_of(f"{folder}/state.db")
        await state.open()
        servers = {name: Server(name) for name in ("hang", "drip", "500", "ok")}
        for server in servers.values():
            await server.start()
        refusing = Server("ok")
        refusing.listening.close()
        receivers: tuple[Receiver, ...] = tuple(webhook(n, s.port, 3.0, kind) for n, s in servers.items())
        receivers = (*receivers, webhook("refuse", refusing.port, 3.0, kind))
        sent: dict[str, float] = {}
        async with alerting(state, folder, receivers, EACH_ALONE) as work:
            await asyncio.sleep(1.0)
            if apprise:  # the notifier is started by the first message; that is told apart
                await work.answers.test("ok")
            lag = Lag()
            for number in range(1, count + 1):
                now = time.time()
                sent[str(number)] = now
                await state.write(lambda to, n=number, t=now: save(to, [incident(n, 1, t)]))  # type: ignore[misc]
                work.hint()
                await asyncio.sleep(0.15)
            await asyncio.sleep(2.0)
            late = await lag.end()
            health = {name: (h.word, h.error) for name, h in work.courier.outbox.health.items()}
            starts, stop = work.senders.apprise.starts, time.monotonic()
        stopped = time.monotonic() - stop
        await state.close()
        for server in servers.values():
            await server.stop()
        return (
            {"kind": kind}
            | _latency(servers["ok"], sent, apprise)
            | {
                **late,
                "stop_s": round(stopped, 3),
                "notifier_starts": starts,
                "health": health,
            }
        )


def _latency(server: Server, sent: dict[str, float], apprise: bool) -> dict[str, Any]:
    took = []
    for at, payload in server.got:
        found = payload["message"] if apprise else payload["data"]["alerts"][0]["incident"]
        number = found.split("incidents show ")[-1].split()[0] if apprise and "incidents show " in found else found
        if number in sent:
            took.append(at - sent.pop(number))
    took.sort()
    return {
        "arrived_at_the_healthy_one": len(took),
        "missing": len(sent),
        "p50_s": round(statistics.median(took), 3),
        "p99_s": round(took[min(len(took) - 1, int(len(took) * 0.99))], 3),
    }


# ---------------------------------------------------------------------------------------------- memory


async def memory() -> dict[str, Any]:
    """PSS of a process with the state and the desk's tables, before and after alerting was imported, used and idle again."""
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        state = state_of(f"{folder}/state.db")
        await state.open()
        server = Server("ok")
        await server.start()
        receivers = (
            webhook("hook", server.port),
            webhook("app", server.port, 10.0, "apprise"),
            Receiver(Text("f"), "file", path=f"{folder}/a"),
        )
        for number in range(3):  # the desk's own share
            await state.write(lambda to, n=number: save(to, [incident(9000 + n, 1, time.time(), over=True)]))  # type: ignore[misc]
        before = _pss()
        async with alerting(state, folder, receivers, EACH_ALONE) as work:
            work.senders.apprise._idle_s = 1.0
            for number in range(1, 51):
                await state.write(lambda to, n=number: save(to, [incident(n, 1, time.time())]))  # type: ignore[misc]
                work.hint()
                await asyncio.sleep(0.1)
            await asyncio.sleep(3.0)
            busy = work.senders.apprise.running
            await asyncio.sleep(2.0)
            idle, starts, after = work.senders.apprise.running, work.senders.apprise.starts, _pss()
        await state.close()
        await server.stop()
        return {
            "pss_before_mib": round(before / 1024, 2),
            "pss_after_mib": round(after / 1024, 2),
            "grown_mib": round((after - before) / 1024, 2),
            "received": len(server.got),
            "notifiers_right_after": busy,
            "notifiers_when_idle": idle,
            "notifier_starts": starts,
        }


def _pss() -> int:
    import ctypes
    import gc

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0])


def everything(count: int, seed: int) -> int:
    """All figures as a table; exit code 1 if one missed its bar."""
    killed = _alone("kill", "--kills", str(count), "--seed", str(seed))
    stormed, memory_ = _alone("storm"), _alone("memory")
    hooks, services = _alone("bad"), _alone("bad", "--apprise")
    lost = killed["lost_begins"] + killed["lost_ends"]
    copies = f"{killed['copies_with_the_same_id']} with the same id"
    rows: list[tuple[str, float, str, float]] = [
        (f"messages lost in {count} kills ({killed['received']} arrived, {copies})", lost, "", 0),
        (
            "copies with another id, ends before their beginning",
            killed["copies_with_another_id"] + killed["ends_before_begins"],
            "",
            0,
        ),
        ("1,000 alerts/s for 10 s: CPU", stormed["cpu_share"] * 100, " %", 5),
        (f"its messages for {stormed['groups']} groups", stormed["messages"], "", stormed["groups"]),
        ("its rows at most", stormed["most_rows"], "", stormed["groups"]),
    ]
    for name, found in (("webhooks", hooks), ("apprise", services)):
        rows += [
            (f"four bad {name} beside: the healthy one's p99", found["p99_s"], " s", 2),
            (f"four bad {name} beside: loop busy at a stretch", found["loop_busy_at_a_stretch_ms"], " ms", 25),
            (f"four bad {name} beside: stop", found["stop_s"], " s", 5),
        ]
    rows.append(("PSS that alerting adds, after use", memory_["grown_mib"], " MiB", 3))
    print("| what | figure | bar |\n| --- | --- | --- |")
    for what, figure, unit, bar in rows:
        mark = "**" if figure > bar else ""
        print(f"| {what} | {mark}{figure:g}{unit}{mark} | {bar:g}{unit} |")
    return int(any(figure > bar for _, figure, _, bar in rows))


def _alone(*words: str) -> dict[str, Any]:
    """One of them in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def main() -> None:
    """Run one bench, or all, and print the figures."""
    gc.freeze()  # as the daemon does
    gc.set_threshold(GC_AFTER)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", nargs="?", default="all", choices=["all", "kill", "storm", "bad", "memory"])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--apprise", action="store_true")
    given = parser.parse_args()
    if given.bench == "all":
        sys.exit(everything(given.kills, given.seed))
    elif given.bench == "kill":
        said = kills(given.kills, given.seed)
    else:
        work = {"storm": lambda: storm(given.rate, given.seconds), "bad": lambda: bad(given.count, given.apprise), "memory": memory}
        said = asyncio.run(work[given.bench]())
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
