"""The kill loop: an agent that is killed at random points of looking, leasing, sending and marking, and what arrived."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import select
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _alert_parts import EACH_ALONE, Server, alerting, incident, save, state_of, webhook
from _forked import forked

from agent.alerts import courier
from agent.incidents import tables

MOST_OPEN = 60


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
            for number in range(count):
                heard, says = os.pipe()
                worker = forked(lambda up=says: asyncio.run(_work(folder, server.port, up=up)))  # type: ignore[misc]
                if number % 3:  # the others are killed while they start, on a busy machine
                    up = select.poll()
                    up.register(heard, select.POLLIN)
                    up.poll(10_000)
                time.sleep(chance.uniform(0.03, 0.2))
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
                os.close(heard)
                os.close(says)
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
    with contextlib.closing(sqlite3.connect(f"{folder}/state.db")) as at:
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


async def _work(folder: str, port: int, finish: bool = False, up: int = -1) -> None:
    """The agent: incidents begin and end all the time, and are told. With ``finish`` all end, and all is told.

    Through the pipe ``up`` it says that it is at work.
    """
    logging.disable(logging.ERROR)
    courier.LOOK_LEAST_S = 0.01  # as many turns of the loop as a short life can hold
    state = state_of(f"{folder}/state.db")
    await state.open()
    async with alerting(state, folder, (webhook("r", port),), EACH_ALONE) as work:
        if finish:
            await _end_all(state, work)
            return
        number = await state.read(tables.last_id)
        os.write(up, b".")
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
        with contextlib.closing(sqlite3.connect(f"{folder}/state.db")) as at:
            found = at.execute("SELECT state, count(*) FROM alert_outbox WHERE state != 'done' GROUP BY state")
            return Counter({state: 1 for state, count in found if count})
    except sqlite3.Error:  # killed before there were tables
        return Counter({"no tables yet": 1})
