"""Alerts on the socket: who may ask, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import AgentError, Refused
from agent.model import JsonObject
from agent.web import peer
from tests.alerts.door import door

STRANGER = peer.Peer(1, 54321, 54321)


async def test_those_in_charge_see_and_do_everything(tmp_path: Path) -> None:
    """Lists, parking under one's own name, retries, tests, routes, silences."""
    async with door(tmp_path) as one:
        assert [r["name"] for r in (await one.ask("GET", "/v1/alerts"))["receivers"]] == ["a", "b"]
        parked = await one.ask("POST", "/v1/alerts", {"verb": "park", "receiver": "b", "why": "moving"})
        assert parked["why"].endswith(": moving")
        assert (await one.ask("POST", "/v1/alerts", {"verb": "retry"}))["receivers"] == ["a", "b"]
        tested = await one.ask("POST", "/v1/alerts", {"verb": "test", "receiver": "a"})
        assert [(r["address"], r["ok"]) for r in tested["results"]] == [("a", True)]
        route = await one.ask("GET", "/v1/alert-route?label=severity=critical&label=unit=x%3Dy")
        assert (route["receivers"], route["labels"]["unit"]) == (["a", "b"], "x=y")
        made = await one.ask("POST", "/v1/silences", {"verb": "add", "matchers": ["a=b"], "seconds": 60, "reason": "r"})
        assert [s["id"] for s in (await one.ask("GET", "/v1/silences"))["silences"]] == [made["id"]]
        assert (await one.ask("POST", "/v1/silences", {"verb": "expire", "id": made["id"]}))["state"] == "expired"


async def test_others_are_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts name what goes on in everybody's processes, and a silence hides it from everybody."""
    async with door(tmp_path) as one:
        monkeypatch.setattr(peer, "of", lambda connection: STRANGER)
        for method, route in (("GET", "/v1/alerts"), ("POST", "/v1/alerts"), ("GET", "/v1/silences"), ("POST", "/v1/silences")):
            with pytest.raises(Refused, match="not allowed"):
                await one.ask(method, route, {} if method == "POST" else None)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/alerts", {}),
        ("/v1/alerts", {"verb": "park"}),
        ("/v1/alerts", {"verb": "retry", "receiver": 1}),
        ("/v1/alerts", {"verb": "retry", "reciever": "a"}),
        ("/v1/silences", {"verb": "add", "matchers": [1], "seconds": 60}),
        ("/v1/silences", {"verb": "add", "matchers": ["a=b"], "seconds": True}),
        ("/v1/silences", {"verb": "add", "matchers": ["a=b"]}),
        ("/v1/silences", {"verb": "hide"}),
    ],
)
async def test_nonsense_is_refused(tmp_path: Path, route: str, body: JsonObject) -> None:
    """With what is wrong, and nothing is done."""
    async with door(tmp_path) as one:
        with pytest.raises(AgentError) as wrong:
            await one.ask("POST", route, body)
        assert wrong.value.exit_code == 2
