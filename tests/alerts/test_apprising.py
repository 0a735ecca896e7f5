"""apprise in its process: real addresses, a real mail server, and receivers that hang."""

from __future__ import annotations

import asyncio
import email
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from agent.alerts import render
from agent.alerts.apprising import Apprising
from agent.alerts.model import Address
from agent.alerts.senders import Senders
from tests.alerts.servers import mail, web
from tests.alerts.test_senders import told
from tests.alerts.worlds import receiver

pytestmark = pytest.mark.real
ENV = {"PATH": "/usr/bin:/bin"}
TOKEN = "abcdefghijklmnopqrstuvwx"


def job(url: str) -> dict[str, Any]:
    """A job for the notifier."""
    one = told()
    bodies = {name: write(one) for name, write in render.FORMATS.items()}
    title = render.heading(one)
    return {"url": url, "title": title, "bodies": bodies, "format": "auto", "type": "warning", "attach": [], "event": one["id"]}


async def test_chat_json_and_mail_get_the_message_each_in_its_own_form(tmp_path: Path) -> None:
    """One process for all; the event's id is in a header, the drawing is attached, no address is in an answer."""
    flame = tmp_path / "flame.svg"
    flame.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    one = told("apprise")
    one["alerts"][0]["artifacts"] = [{"kind": "flamegraph", "path": str(flame)}]
    senders = Senders(env=ENV)
    async with web() as chat, web() as plain, mail() as (port, took):
        urls = {
            "chat": f"mmost://127.0.0.1:{chat.port}/{TOKEN}",
            "plain": f"json://127.0.0.1:{plain.port}/hook",
            "mail": f"mailto://127.0.0.1:{port}?from=agent@example.org&to=sre@example.org&mode=insecure",
            "bad": f"nonsense://{TOKEN}",
        }
        (tmp_path / "urls").write_text("\n".join(urls.values()))
        made = receiver("r", "apprise", url_file=str(tmp_path / "urls"))
        outcomes = await asyncio.gather(*(senders.send(Address(n, made, i), one) for i, n in enumerate(urls)))
        plain.status = "401 No"
        refused = await senders.send(Address("plain", made, 1), one)
        plain.status = "503 No"
        busy = await senders.send(Address("plain", made, 1), one)
    assert senders.apprise.starts == 1
    await senders.close()
    assert dict(zip(urls, [o.ending for o in outcomes], strict=True)) == {
        **dict.fromkeys(("chat", "plain", "mail"), "done"),
        "bad": "hopeless",
    }
    assert (refused.ending, busy.ending) == ("hopeless", "retry")
    assert not any(TOKEN in o.why for o in (*outcomes, refused, busy))
    said = chat.got[0].json["text"]
    assert "`/srv/app.py:42 in remember 93%`" in said
    assert "`anfl-agent incidents show 7`" in said
    assert plain.got[0].headers["x-anfl-event"] == "event-1"
    assert "anfl-agent incidents show 7" in plain.got[0].json["message"]
    _check_mail(email.message_from_bytes(took[0].content))


def _check_mail(got: Message) -> None:
    assert got["X-Anfl-Event"] == "event-1"
    parts = {part.get_content_type(): part for part in got.walk()}
    body = parts["text/html"].get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "anfl-agent incidents show 7" in body.decode()
    assert any(part.get_filename() == "flame.svg" for part in got.walk())


async def test_a_receiver_that_hangs_holds_up_no_other_and_its_process_is_killed() -> None:
    """Past the deadline the message may still have arrived; the next job goes to a new process."""
    apprise = Apprising(ENV)
    async with web(hang=True) as bad, web() as good:
        await apprise.send(job(f"json://127.0.0.1:{good.port}/"), 10)
        hung = asyncio.ensure_future(apprise.send(job(f"json://127.0.0.1:{bad.port}/?rto=30"), 0.5))
        while not bad.got:  # noqa: ASYNC110 - it is in the other one's hands now
            await asyncio.sleep(0.01)
        assert (await apprise.send(job(f"json://127.0.0.1:{good.port}/"), 10)).ending == "done"
        outcome = await hung
        assert (outcome.ending, outcome.unsure) == ("retry", True)
        assert (await apprise.send(job(f"json://127.0.0.1:{good.port}/"), 10)).ending == "done"
        assert (apprise.starts, apprise.kills) == (2, 1)
    await apprise.close()
    assert apprise.running == 0


async def test_the_process_goes_when_there_is_nothing_to_send_and_comes_when_there_is() -> None:
    """And one that is killed by somebody else is an attempt that may have arrived."""
    apprise = Apprising(ENV, idle_s=0.05)
    async with web() as server:
        assert (await apprise.send(job(f"json://127.0.0.1:{server.port}/"), 10)).ending == "done"
        while apprise.running:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        server.hang = True
        sending = asyncio.ensure_future(apprise.send(job(f"json://127.0.0.1:{server.port}/"), 10))
        while len(server.got) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert apprise._now is not None
        await apprise._now.kill()
        outcome = await sending
    assert (outcome.ending, outcome.unsure, apprise.starts) == ("retry", True, 2)
    await apprise.close()
