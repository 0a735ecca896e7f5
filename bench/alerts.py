"""Alerts under kills, in a storm, and with bad receivers.

python bench/alerts.py kill [--kills 1000]   SIGKILL at random points of the delivery loop, a receiver that fails a tenth
python bench/alerts.py storm                 1,000 alerts a second for ten seconds
python bench/alerts.py bad [--apprise]       one hanging, one dripping, one failing, one refusing, one healthy receiver
python bench/alerts.py memory                what alerting adds to the agent's memory
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _alert_parts import Server, alerting, incident, save, state_of, webhook

from agent.alerting import Alerts, Receiver
from agent.alerts import courier
from agent.incidents import tables
from agent.yamlfile import Text

EACH_ALONE = Alerts(group_wait=0.01, group_interval=0.01, settle=0.0, group_by=("incident",))
MOST_OPEN = 60
GC_AFTER = 20_000  # as in agent/daemon.py
BY_CAUSE = Alerts(group_wait=1.0, settle=0.0)


def forked(work: Callable[[], None]) -> int:
    """Run ``work`` in a process of its own; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        logging.exception("a part of the bench failed")
        os._exit(1)
    os._exit(0)


# ---------------------------------------------------------------------------------------------- kills


def kills(count: int, seed: int) -> dict[str, Any]:
    """Nothing may be lost, and every copy must have the id of the first."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="anfl-bench-") as folder:
        server = Server("flaky")
        log = f"{folder}/received.jsonl"
        receiver = forked(lambda: asyncio.run(_receive(server, log)))
        server.listening.close()
        caught: Counter[str] = Counter()
        began = time.monotonic()
        try:
            for _ in range(count):
                worker = forked(lambda: asyncio.run(_work(folder, server.port)))
                time.sleep(chance.uniform(0.03, 0.3))
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
                caught.update(_rows(folder))
            last = forked(lambda: asyncio.run(_work(folder, server.port, finish=True)))
            _, status = os.waitpid(last, 0)
        finally:
            os.kill(receiver, signal.SIGTERM)
            os.waitpid(receiver, 0)
        told = [json.loads(line) for line in Path(log).read_text().splitlines()]
        return {"kills": count, "seconds": round(time.monotonic() - began, 1), "finished": status == 0} | _judge(
            folder, told, dict(caught)
        )


def _judge(folder: str, told: list[dict[str, Any]], caught: dict[str, int]) -> dict[str, Any]:
    """Compare what was committed with what arrived."""
    with sqlite3.connect(f"{folder}/state.db") as at:
        committed = [i for (i,) in at.execute("SELECT id FROM incidents")]
    events: dict[tuple[int, str], list[str]] = {}
    for one in told:
        if "failed" in one:
            continue
        for number, status, opened in one["alerts"]:
            kinds = ["firing", "resolved"] if status == "resolved" and one["kind"] == "over" else [status]
            for kind in kinds:
                events.setdefault((number, kind), []).append(one["id"])
            assert opened
    firing = sum((number, "firing") not in events for number in committed)
    resolved = sum((number, "resolved") not in events for number in committed)
    order = _order(told)
    copies = sum(len(ids) - len(set(ids)) for ids in events.values())
    doubled = sum(len(set(ids)) - 1 for ids in events.values())
    return {
        "incidents": len(committed),
        "received": sum("failed" not in one for one in told),
        "refused_with_500": sum("failed" in one for one in told),
        "killed_with_messages": caught,
        "lost_begins": firing,
        "lost_ends": resolved,
        "copies_with_the_same_id": copies,
        "copies_with_another_id": doubled,
        "ends_before_begins": order,
        "messages_that_only_count": sum(one.get("more", 0) > 0 for one in told),
    }


def _order(told: list[dict[str, Any]]) -> int:
    begun: set[int] = set()
    wrong = 0
    for one in told:
        for number, status, _ in one.get("alerts", ()):
            if status == "firing" or one["kind"] == "over":
                begun.add(number)
            elif number not in begun:
                wrong += 1
    return wrong


async def _receive(server: Server, path: str) -> None:
    """The receiver: one line for each request, written before it is answered."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    out = open(path, "a", buffering=1)  # noqa: ASYNC230, SIM115

    class Log(list[Any]):
        def append(self, item: Any) -> None:
            data = item[1]["data"]
            alerts = [(int(a["incident"]), a["status"], a["opened"]) for a in data["alerts"]]
            out.write(json.dumps({"id": data["id"], "kind": data["kind"], "more": data["more"], "alerts": alerts}) + "\n")

    server.got = Log()
    await server.start()
    await stop.wait()
    for _ in range(server.failed):
        out.write('{"failed": 1}\n')


async def _work(folder: str, port: int, finish: bool = False) -> None:
    """The agent: incidents begin and end all the time, and are told. With ``finish`` all end, and all is told."""
    logging.disable(logging.ERROR)
    courier.LOOK_LEAST_S = 0.01  # as many turns of the loop as a short life can hold
    state = state_of(f"{folder}/state.db")
    await state.open()
    async with alerting(state, folder, (webhook("r", port),), EACH_ALONE) as work:
        if finish:
            await _end_all(state, work)
            return
        number = await state.read(tables.last_id)
        while True:
            await asyncio.sleep(random.uniform(0.0, 0.03))
            if len(work.courier.outbox.ledger.alerts) > MOST_OPEN:  # past two hundred groups a storm would be told by number
                continue
            now = time.time()
            number += 1
            changed = [incident(number, 1, now)]
            if number > 3 and random.random() < 0.9:
                changed += [_over(i, now) for i in (await state.read(lambda at: tables.incidents(at, most=50)))[2:4]]
            await state.write(lambda to, c=changed: save(to, c))  # type: ignore[misc]
            work.hint()


def _over(known: Any, now: float) -> Any:
    return incident(known.id, known.version + 1, now, over=True)


async def _end_all(state: Any, work: Any) -> None:
    now = time.time()
    left = await state.read(lambda at: tables.incidents(at, most=100_000))
    await state.write(lambda to: save(to, [_over(i, now) for i in left]))
    work.hint()
    async with asyncio.timeout(600):
        while not work.courier.addresses or await _waits(state, work):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _waits(state: Any, work: Any) -> bool:
    newest = await state.read(tables.last_seq)
    return bool(work.courier.outbox.ledger.rows or work.courier.outbox.ledger.alerts or work.courier._cursor < newest)


def _rows(folder: str) -> Counter[str]:
    """In what states messages were when the agent was killed."""
    try:
        with sqlite3.connect(f"{folder}/state.db") as at:
            found = at.execute("SELECT state, count(*) FROM alert_outbox WHERE state != 'done' GROUP BY state")
            return Counter({state: 1 for state, count in found if count})
    except sqlite3.Error:  # killed before there were tables
        return Counter({"no tables yet": 1})


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


def main() -> None:
    """Run one bench and print its figures."""
    gc.collect()
    gc.freeze()  # as the daemon does
    gc.set_threshold(GC_AFTER)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", choices=["kill", "storm", "bad", "memory"])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--apprise", action="store_true")
    given = parser.parse_args()
    if given.bench == "kill":
        said = kills(given.kills, given.seed)
    else:
        work = {"storm": lambda: storm(given.rate, given.seconds), "bad": lambda: bad(given.count, given.apprise), "memory": memory}
        said = asyncio.run(work[given.bench]())
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
