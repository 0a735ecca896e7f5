"""cordon_kubernetes with the real kubectl against as much of an API server as a node needs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from agent.actions.cordon_kubernetes import Action
from agent.errors import AgentError
from agent.host.lane import aside
from agent.host.reach import Reach, WillNot
from agent.model import Target

pytestmark = [pytest.mark.real, pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")]
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: agent}}}}]
clusters: [{{name: here, cluster: {{server: "{url}"}}}}]
users: [{{name: agent, user: {{token: secret}}}}]
"""
NODES = {"name": "nodes", "singularName": "node", "namespaced": False, "kind": "Node", "verbs": ["get", "list", "patch"]}


class Cluster:
    """One node, and the patches that came for it. ``forbidden``: whoever asks lacks the right to patch."""

    def __init__(self) -> None:
        self.node: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-1"}, "spec": {}}
        self.patches: list[Any] = []
        self.forbidden = False

    def app(self) -> web.Application:
        """What kubectl asks for."""
        made = web.Application()
        made.router.add_get("/api", self._answer({"kind": "APIVersions", "versions": ["v1"]}))
        made.router.add_get("/apis", self._answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}))
        resources = {"kind": "APIResourceList", "groupVersion": "v1", "resources": [NODES]}
        made.router.add_get("/api/v1", self._answer(resources))
        made.router.add_get("/api/v1/nodes/gpu-1", self._answer(self.node))
        made.router.add_patch("/api/v1/nodes/gpu-1", self._patch)
        return made

    @staticmethod
    def _answer(body: dict[str, Any]) -> Any:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response(body)

        return answer

    async def _patch(self, request: web.Request) -> web.Response:
        if self.forbidden:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
            return web.json_response({**status, "message": 'nodes "gpu-1" is forbidden'}, status=403)
        self.patches.append(json.loads(await request.text()))
        self.node["spec"] |= {k: v for k, v in self.patches[-1]["spec"].items() if v is not None}
        if self.patches[-1]["spec"].get("unschedulable") is None:
            self.node["spec"].pop("unschedulable", None)
        return web.json_response(self.node)


async def action(server: BaseTestServer, folder: Path, reach: Reach, node: str = "gpu-1") -> Action:
    """For that node of that cluster."""
    config = folder / "kubeconfig"
    await aside(lambda: config.write_text(KUBECONFIG.format(url=server.make_url("/"))))
    return Action(Target("host", "gpu-1"), reach, node=node, kubeconfig=str(config))


async def test_a_node_is_cordoned_seen_so_and_let_back(reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second time there is nothing to do."""
    monkeypatch.setenv("HOME", str(tmp_path))
    cluster = Cluster()
    async with TestServer(cluster.app()) as server:
        cordon = await action(server, tmp_path, reach)
        await cordon.check()
        done = await cordon.act()
        assert cluster.node["spec"] == {"unschedulable": True}
        assert await cordon.verify(done) is True
        with pytest.raises(WillNot, match="cordoned already"):
            await cordon.check()
        await cordon.undo(done)
        assert cluster.node["spec"] == {}
        assert await cordon.verify(done) is False


async def test_what_the_cluster_refuses_is_said_in_its_words(reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing right, and a node that is not there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    cluster = Cluster()
    cluster.forbidden = True
    async with TestServer(cluster.app()) as server:
        with pytest.raises(AgentError, match="is forbidden"):
            await (await action(server, tmp_path, reach)).act()
        with pytest.raises(AgentError, match="kubectl"):
            await (await action(server, tmp_path, reach, node="none")).check()
    assert not cluster.patches
