"""``anfl-agent alerts``: what was told to whom, what waits, and whether messages arrive."""

from __future__ import annotations

import time
from typing import Any

import click

from agent import config as configuration
from agent.cli._agent import get, post
from agent.cli._output import Progress, print_json
from agent.errors import Unavailable, UsageError
from agent.host.text import clean

TEST_S = 180.0
as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
one = click.option("--receiver", metavar="NAME", help="Only this receiver (default: all).")


@click.group("alerts")
def command() -> None:
    """See what was told to whom, try receivers, explain routes. Silences are made with 'anfl-agent silence'."""


@command.command("list")
@as_json
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> int:
    """Receivers and messages: what waits, what is parked, what arrived last.

    Exit codes: 0 everything arrives, 1 something waits or is parked, 3 no agent could be asked.
    """
    told = get(ctx, "/v1/alerts")
    if as_json:
        print_json(told)
    else:
        click.echo("\n".join(_overview(told)))
    trouble = [r for r in told["receivers"] if r["state"] != "ok"] or [m for m in told["messages"] if m["state"] != "done"]
    return 1 if trouble else 0


@command.command()
@one
@as_json
@click.pass_context
def retry(ctx: click.Context, receiver: str | None, as_json: bool) -> None:
    """Send what is parked or waits again, now."""
    told = post(ctx, "/v1/alerts", {"verb": "retry", "receiver": receiver})
    _say(told, as_json, f"{told['messages']} messages are tried again: {', '.join(told['receivers'])}")


@command.command()
@click.argument("receiver")
@click.option("-m", "--message", "why", default="", help="What others should know.")
@as_json
@click.pass_context
def park(ctx: click.Context, receiver: str, why: str, as_json: bool) -> None:
    """Send nothing to RECEIVER until it is retried."""
    told = post(ctx, "/v1/alerts", {"verb": "park", "receiver": receiver, "why": why})
    _say(told, as_json, f"{', '.join(told['receivers'])}: parked; {told['messages']} messages wait there")


@command.command()
@click.option("--labels", "-l", "labels", multiple=True, metavar="KEY=VALUE", help="Such as severity=critical; may be repeated.")
@click.option("--at", metavar="TIME", help="At another time, such as 2026-11-23T03:00 (from the configuration alone).")
@as_json
@click.pass_context
def route(ctx: click.Context, labels: tuple[str, ...], at: str | None, as_json: bool) -> int:
    """Explain where an alert with these labels would go, and why.

    The running agent knows the silences; without one the configuration alone is asked. Exit code 1: nobody would be told.
    """
    pairs = dict(_pair(text) for given in labels for text in given.split(","))
    told = _offline_route(ctx, pairs, _moment(at)) if at else _asked_route(ctx, pairs)
    if as_json:
        print_json(told)
    else:
        click.echo("\n".join(_explained(told)))
    return 0 if told["receivers"] else 1


@command.command("test")
@one
@as_json
@click.pass_context
def test_(ctx: click.Context, receiver: str | None, as_json: bool) -> int:
    """Send a marked message to every address, end to end, and report how each went.

    Exit codes: 0 all arrived, 1 some did not, 3 no agent could be asked.
    """
    progress = Progress(quiet=as_json)
    progress("sending")
    told = post(ctx, "/v1/alerts", {"verb": "test", "receiver": receiver}, TEST_S)
    progress.done()
    if as_json:
        print_json(told)
    else:
        for result in told["results"]:
            word = "arrived" if result["ok"] else f"failed: {clean(result['why'], 200)}"
            click.echo(f"{result['address']:<20} {result['type']:<13} {result['took_s']:6.2f} s  {word}")
    return 0 if all(r["ok"] for r in told["results"]) else 1


def _say(told: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print_json(told)
    else:
        click.echo(text)


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise UsageError(f"'{text}' is no label", help="such as --labels severity=critical,unit=vllm.service")
    return key.strip(), value.strip()


def _moment(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise UsageError(f"'{text}' is no time", help="such as 2026-11-23T03:00") from None


def _asked_route(ctx: click.Context, pairs: dict[str, str]) -> dict[str, Any]:
    from urllib.parse import urlencode

    query = urlencode([("label", f"{key}={value}") for key, value in pairs.items()])
    try:
        return get(ctx, f"/v1/alert-route?{query}")
    except Unavailable:
        return _offline_route(ctx, pairs, time.time())


def _offline_route(ctx: click.Context, pairs: dict[str, str], now: float) -> dict[str, Any]:
    import socket

    from agent.alerts.addresses import receivers_or_default
    from agent.alerts.answers import explain
    from agent.alerts.routing import Router
    from agent.alerts.silences import Maintenance, Mute

    config = configuration.load(ctx.obj["config"])
    host = pairs.get("host") or socket.gethostname()
    receivers = receivers_or_default(config.receivers, config.state_dir)
    mutes: list[Mute] = [Maintenance.of(window) for window in config.alerts.maintenance]
    return explain(Router(config.alerts, receivers, host), pairs, now, host, mutes)


def _explained(told: dict[str, Any]) -> list[str]:
    lines = []
    for step in told["routes"]:
        mark = "→" if step["fits"] else "·"
        lines.append(f"{mark} route {step['route']} to {', '.join(step['receivers'])}: {clean(step['because'], 200)}")
    if told["muted"]:
        lines.append(f"nobody is told now: {clean(told['muted'], 200)}")
    else:
        lines.append(f"told: {', '.join(told['receivers']) or 'nobody'}")
    if told["escalates_to"]:
        lines.append(f"if nobody acknowledges: {', '.join(told['escalates_to'])}")
    return lines


def _overview(told: dict[str, Any]) -> list[str]:
    lines = ["receivers"]
    for r in told["receivers"]:
        last = f"last {r['last_delivery']}" if r["last_delivery"] else "nothing yet"
        why = f" · {clean(r['why'], 200)}" if r["why"] else ""
        lines.append(f"  {r['name']:<20} {r['type']:<13} {r['state']:<8} {r['sent']} sent, {last}{why}")
    lines.append("messages")
    for m in told["messages"]:
        when = f" at {m['done']}" if m["done"] else f", next {m['next_attempt']}" if m["next_attempt"] else ""
        why = f" · {clean(m['error'], 200)}" if m["error"] else ""
        lines.append(f"  {m['state']:<8} {m['receiver']:<20} {clean(m['title'], 120)} (try {m['attempts']}{when}){why}")
    return lines if told["messages"] else [*lines, "  none"]
