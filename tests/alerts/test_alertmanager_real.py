"""Debian's Alertmanager, where it is installed: it shows, silences and resolves what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.alerting import Alerts
from agent.host.http import NoAnswer, request
from tests.alerts.atwork import Host, going
from tests.alerts.worlds import receiver

SERVER, TOOL = (shutil.which(name) for name in ("prometheus-alertmanager", "amtool"))
pytestmark = [pytest.mark.real, pytest.mark.skipif(not (SERVER and TOOL), reason="there is no Alertmanager on this host")]


async def get(url: str) -> Any:
    """Its alerts."""
    answer = await request("GET", f"{url}/api/v2/alerts", timeout=5)
    return json.loads(answer.body)


@contextlib.asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[str]:
    """One for a block."""
    port = await _free_port()
    url = f"http://127.0.0.1:{port}"
    config = folder / "am.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    options = [f"--config.file={config}", f"--storage.path={folder / 'am'}", f"--web.listen-address=127.0.0.1:{port}"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(str(SERVER), *options, "--cluster.listen-address=", stdout=quiet, stderr=quiet)
    try:
        async with asyncio.timeout(20):
            while not await _answers(url):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _free_port() -> int:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def _answers(url: str) -> bool:
    with contextlib.suppress(NoAnswer):
        return (await request("GET", f"{url}/-/ready", timeout=1)).status == 200
    return False


async def test_it_shows_silences_and_resolves_our_alerts(tmp_path: Path) -> None:
    """With the labels people silence by; what is not told again would end by itself."""
    async with alertmanager(tmp_path) as url:
        host = Host(tmp_path, (receiver("am", "alertmanager", url=url, every=60.0),), Alerts(settle=0.0))
        host.alerting.courier.send = host.alerting.senders.send
        await host.state.open()
        async with going(host):
            await host.tell(1)
            await host.tell(2)
            await _until(url, lambda found: len(found) == 2)
            silence = await asyncio.create_subprocess_exec(
                *(str(TOOL), f"--alertmanager.url={url}", "silence", "add", "incident=1", "-c", "test", "-a", "me", "-d", "5m"),
                stdout=asyncio.subprocess.DEVNULL,
            )
            assert await silence.wait() == 0
            found = await _until(url, lambda found: any(a["status"]["state"] == "suppressed" for a in found))
            assert {a["labels"]["incident"]: a["status"]["state"] for a in found} == {"1": "suppressed", "2": "active"}
            assert found[0]["labels"]["alertname"] == "memory.python-leak"
            await host.end(2)
            await _until(url, lambda found: [a["labels"]["incident"] for a in found] == ["1"])
        await host.state.close()


async def _until(url: str, holds: Any) -> Any:
    async with asyncio.timeout(20):
        while not holds(found := await get(url)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return found
