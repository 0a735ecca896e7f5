"""``anfl-agent incidents``: what is or was wrong on this host, and who looks after it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from agent import config as configuration
from agent.cli._output import colour, print_json
from agent.cli.diagnose import Duration
from agent.errors import Unavailable

if TYPE_CHECKING:
    import sqlite3

as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
number = click.argument("number", type=click.IntRange(1), metavar="NUMBER")
why = click.option("-m", "--message", "text", default="", help="What others should know.")


@click.group("incidents")
def command() -> None:
    """List, show and handle incidents: what belongs together is one, from the first symptom to its end.

    The running agent is asked. Where there is none, list and show read its state file.
    """


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too, as long as they are kept.")
@click.option("--since", type=Duration(), help="Those closed this long ago too, such as 24h.")
@as_json
@click.pass_context
def list_(ctx: click.Context, everything: bool, since: float | None, as_json: bool) -> int:
    """Open incidents, the worst first.

    Exit codes: 0 none is open, 1 some are, 3 neither the agent nor its state file could be read.
    """
    from agent.incidents import answers
    from agent.reports import incident as report

    after = 0.0 if everything else None if since is None else time.time() - since
    route = "/v1/incidents" + ("" if after is None else f"?closed_after={after:.0f}")
    told = _read(ctx, route, lambda at: answers.listing(at, closed_after=after))
    if as_json:
        print_json(told)
    else:
        click.echo(report.listing(told["incidents"], time.time(), colour=colour(), width=_width()))
    return 1 if any(i["closed"] is None for i in told["incidents"]) else 0


@command.command("show")
@number
@as_json
@click.pass_context
def show(ctx: click.Context, number: int, as_json: bool) -> int:
    """One incident: root cause, evidence, who suffers, and all that happened.

    Exit codes: 0 it is over, 1 it is open, 2 there is no such incident, 3 neither the agent nor its state file could be read.
    """
    from agent.incidents import answers
    from agent.reports import incident as report

    told = _read(ctx, f"/v1/incident?id={number}", lambda at: answers.one(at, number))
    if as_json:
        print_json(told)
    else:
        click.echo(report.page(told, time.time(), colour=colour(), width=_width()))
    return 1 if told["closed"] is None else 0


@command.command("ack")
@number
@why
@as_json
@click.pass_context
def ack(ctx: click.Context, number: int, text: str, as_json: bool) -> int:
    """Say that you look after it: nobody else is called."""
    return _say(ctx, number, "ack", text, as_json)


@command.command("comment")
@number
@click.argument("text")
@as_json
@click.pass_context
def comment(ctx: click.Context, number: int, text: str, as_json: bool) -> int:
    """Put a line into its timeline; also after its end."""
    return _say(ctx, number, "comment", text, as_json)


@command.command("assign")
@number
@click.argument("name", default="")
@as_json
@click.pass_context
def assign(ctx: click.Context, number: int, name: str, as_json: bool) -> int:
    """Say whose it is; without NAME nobody's."""
    return _say(ctx, number, "assign", name, as_json)


@command.command("close")
@number
@why
@as_json
@click.pass_context
def close(ctx: click.Context, number: int, text: str, as_json: bool) -> int:
    """End it by hand. What still fires stays quiet until it was over and begins anew."""
    return _say(ctx, number, "close", text, as_json)


def _say(ctx: click.Context, number: int, verb: str, text: str, as_json: bool) -> int:
    from agent.host import agentsock
    from agent.host.text import clean

    config = configuration.load(ctx.obj["config"])
    body = {"id": number, "verb": verb, "text": text}
    socket = configuration.reachable_socket(config)
    told = next(iter(agentsock.ask(socket, "POST", "/v1/incident", body, timeout=agentsock.GET_S)))
    if as_json:
        print_json(told)
    else:
        click.echo(f"#{told['id']} {told['ending'] or told['phase']}: {clean(told['title'], 200)}")
    return 0


def _read(ctx: click.Context, route: str, offline: Callable[[sqlite3.Connection], Any]) -> Any:
    """The agent's answer, or that of its state file where no agent runs."""
    from agent.host import agentsock

    config = configuration.load(ctx.obj["config"])
    try:
        return agentsock.get(configuration.reachable_socket(config), route)
    except Unavailable as none:
        from agent.store.state import looked

        try:
            told = looked(config.state_path, offline)
        except Unavailable:
            raise none from None
        click.echo(f"anfl-agent: {none.message}; read from {config.state_path}", err=True)
        return told


def _width() -> int:
    return min(shutil.get_terminal_size((100, 40)).columns, 160)
