"""Asking the running agent, as most commands do."""

from __future__ import annotations

from typing import Any

import click

from agent import config as configuration


def get(ctx: click.Context, path: str) -> dict[str, Any]:
    """The answer to a GET; Unavailable if no agent can be reached."""
    from agent.host import agentsock

    return agentsock.get(configuration.reachable_socket(configuration.load(ctx.obj["config"])), path)


def post(ctx: click.Context, path: str, body: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """The answer to a POST; Unavailable if no agent can be reached."""
    from agent.host import agentsock

    socket = configuration.reachable_socket(configuration.load(ctx.obj["config"]))
    return next(iter(agentsock.ask(socket, "POST", path, body, timeout=timeout or agentsock.GET_S)))
