"""Receivers that come, go and move while messages are under way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from agent.alerting import Digest, Route
from agent.alerts.model import DONE, Address, Outcome
from agent.alerts.tables import read_rows
from agent.model import Severity
from agent.yamlfile import Text
from tests.alerts.atwork import QUICK, Host, running
from tests.alerts.worlds import receiver

A, B, C = receiver("a"), receiver("b"), receiver("c")


async def rows(host: Host) -> list[tuple[str, str]]:
    """Address and state of what waits, as it stands on the disk."""
    return await host.state.read(lambda at: [(row.address, row.state) for row in read_rows(at, "state != 'done'")])


@contextlib.asynccontextmanager
async def held_up(host: Host, name: str, ending: Outcome = DONE) -> AsyncIterator[asyncio.Event]:
    """Attempts at one address stay out until the block ends; set once one is."""
    out, on, send = asyncio.Event(), asyncio.Event(), host.send

    async def slow(address: Address, told: dict[str, object]) -> Outcome:
        if address.name != name or on.is_set():
            return await send(address, told)
        out.set()
        await on.wait()
        return ending

    host.alerting.courier.send = slow
    yield out
    on.set()


async def test_a_new_receiver_hears_of_what_still_fires_and_nobody_hears_twice(tmp_path: Path) -> None:
    """It is as if it had been there from the beginning."""
    async with running(tmp_path, (A,)) as host:
        await host.tell(1)
        await host.until(lambda: host.told("a") == ["firing"])
        await host.alerting.adopt(QUICK, (A, C))
        await host.until(lambda: host.told("c") == ["firing"])
        await host.end(1)
        await host.until(lambda: host.told("a") == host.told("c") == ["firing", "resolved"])


async def test_what_waits_for_a_receiver_that_stays_is_not_lost(tmp_path: Path) -> None:
    """A message that failed and is to be tried again outlives two changes of everything around it."""
    async with running(tmp_path) as host:
        host.answer = lambda address: Outcome("retry", "it answered 503") if address.name == "b" else DONE
        await host.tell(1)
        await host.until(lambda: host.alerting.courier.outbox.health["b"].failures > 0)
        await host.alerting.adopt(replace(QUICK, routes=(Route((Text("c"),)),)), (B, C))
        await host.alerting.adopt(QUICK, (C, B))
        assert ("b", "pending") in await rows(host)
        host.answer = lambda address: DONE
        await host.alerting.answers.retry("b")
        await host.until(lambda: host.told("b") == ["firing"])
        assert host.told("a") == ["firing"]


async def test_a_receiver_that_moved_is_tried_at_its_new_place_at_once(tmp_path: Path) -> None:
    """It was parked where it had been."""
    async with running(tmp_path) as host:
        host.answer = lambda address: Outcome("hopeless", "it answered 404") if address.receiver == B else DONE
        await host.tell(1)
        await host.until(lambda: any(a["cause"] == "agent.receiver-parked" for _, t in host.got for a in t["alerts"]))
        await host.alerting.adopt(QUICK, (A, replace(B, url="http://127.0.0.1/new")))
        await host.until(lambda: host.told("b")[:1] == ["firing"])
        await host.until(lambda: "resolved" in host.told("a"))  # the trouble with b


async def test_where_it_was_says_nothing_of_where_it_is(tmp_path: Path) -> None:
    """An attempt at the old place ends without hope after the move: it is made again at the new one."""
    async with running(tmp_path, (B,)) as host:
        async with held_up(host, "b", Outcome("hopeless", "it answered 404")) as out:
            await host.tell(1)
            await out.wait()
            await host.alerting.adopt(QUICK, (replace(B, url="http://127.0.0.1/new"),))
        await host.until(lambda: host.alerting.courier.outbox.health["b"].failures == 1)
        assert not host.alerting.courier.outbox.health["b"].parked
        assert [row.state for row in host.alerting.courier.outbox.ledger.rows.values()] == ["pending"]


async def test_what_a_receiver_that_went_was_to_hear_the_others_hear(tmp_path: Path) -> None:
    """Its message, which nobody else was to get, is dropped; the new routes send it elsewhere, though it is over by now."""
    only_b = replace(QUICK, routes=(Route((Text("b"),)),))
    async with running(tmp_path, settings=only_b) as host:
        host.answer = lambda address: Outcome("retry", "it answered 503") if address.name == "b" else DONE
        await host.tell(1)
        await host.until(lambda: host.alerting.courier.outbox.health["b"].failures > 0)
        await host.end(1)
        await host.alerting.adopt(QUICK, (A,))
        await host.until(lambda: len(host.told("a")) >= 1)
        assert not [row for row in await rows(host) if row[0] == "b"]
        assert "b" not in host.alerting.courier.outbox.health


async def test_a_receiver_may_go_while_an_attempt_is_out_and_come_back(tmp_path: Path) -> None:
    """The attempt's end changes nothing, and it is told of what still fires."""
    async with running(tmp_path, (A, B)) as host:
        async with held_up(host, "b") as out:
            await host.tell(1)
            await out.wait()
            await host.alerting.adopt(QUICK, (A,))
            await host.alerting.adopt(QUICK, (A, B))
        await host.until(lambda: host.told("b") == ["firing"])
        await host.end(1)
        await host.until(lambda: host.told("b") == ["firing", "resolved"])


async def test_who_got_the_beginning_and_comes_back_gets_the_end(tmp_path: Path) -> None:
    """What an address has been told stays known while it is away."""
    async with running(tmp_path) as host:
        await host.tell(1)
        await host.until(lambda: host.told("a") == host.told("b") == ["firing"])
        await host.alerting.adopt(QUICK, (A,))
        await host.alerting.adopt(QUICK, (A, B))
        await host.end(1)
        await host.until(lambda: host.told("a") == host.told("b") == ["firing", "resolved"])


async def test_what_a_person_parked_or_silenced_stays_so(tmp_path: Path) -> None:
    """Both were said by hand, not by the configuration."""
    async with running(tmp_path) as host:
        await host.alerting.answers.park("b", "moving house", "ana")
        await host.alerting.answers.silence(["tree=memory"], 3600, "upgrade", "ana")
        await host.alerting.adopt(QUICK, (A, replace(B, url="http://127.0.0.1/new")))
        assert host.alerting.courier.outbox.health["b"].parked == "parked by ana: moving house"
        await host.tell(1)
        await asyncio.sleep(0.4)
        assert not host.got


async def test_heartbeats_and_digests_follow(tmp_path: Path) -> None:
    """A heartbeat that is new beats, one that is gone does not; lines for a digest wait for whoever is to get it."""
    settings = replace(QUICK, digest=Digest(receivers=(Text("a"),)))
    async with running(tmp_path, (A, receiver("old", "heartbeat", every=0.05)), settings) as host:
        await host.tell(1, severity=Severity.NOTICE, worst=Severity.NOTICE)
        await host.until(lambda: len(host.alerting.courier.digest) == 1 and any(name == "old" for name, _ in host.got))
        to_c = replace(settings, digest=Digest(receivers=(Text("c"),)))
        await host.alerting.adopt(to_c, (A, C, receiver("new", "heartbeat", every=0.05)))
        await host.until(lambda: any(name == "new" for name, _ in host.got))
        beats = len([name for name, _ in host.got if name == "old"])
        await asyncio.sleep(0.2)
        assert len([name for name, _ in host.got if name == "old"]) <= beats + 1
        await host.alerting.keepers.send_digest(to_c.digest, 0.0)
        await host.until(lambda: host.told("c") == ["digest"])
