"""``anfl-agent silence``: keep alerts from being told for a while, with a reason and an end."""

from __future__ import annotations

from typing import Any

import click

from agent.cli._agent import get, post
from agent.cli._output import print_json
from agent.cli.diagnose import Duration
from agent.host.text import clean

as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group("silence")
def command() -> None:
    """Silences: what fits all their matchers is not told until they end. Incidents are opened and shown all the same."""


@command.command()
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER...")
@click.option("--for", "seconds", type=Duration(), required=True, help="How long, such as 2h.")
@click.option("--reason", "-m", default="", help="Shown wherever something is hidden by it.")
@as_json
@click.pass_context
def add(ctx: click.Context, matchers: tuple[str, ...], seconds: float, reason: str, as_json: bool) -> None:
    """Hide what fits all MATCHERs, such as tree=memory or unit=~'vllm.*' (operators: = != =~ !~)."""
    body = {"verb": "add", "matchers": list(matchers), "seconds": seconds, "reason": reason}
    told = post(ctx, "/v1/silences", body)
    if as_json:
        print_json(told)
        return
    click.echo(f"silence {told['id']} until {told['ends']}: {', '.join(told['matchers'])}")
    for alert in told["hides"]:
        click.echo(f"  hides incident {alert['incident']}: {clean(alert['title'], 120)}")


@command.command("list")
@as_json
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Silences in force, and those that ended within a week."""
    told = get(ctx, "/v1/silences")
    if as_json:
        print_json(told)
    else:
        click.echo("\n".join(map(_line, told["silences"])) or "no silences")


@command.command()
@click.argument("id_", metavar="ID")
@as_json
@click.pass_context
def expire(ctx: click.Context, id_: str, as_json: bool) -> None:
    """End a silence now."""
    told = post(ctx, "/v1/silences", {"verb": "expire", "id": id_})
    if as_json:
        print_json(told)
    else:
        click.echo(f"silence {told['id']} ended")


def _line(silence: dict[str, Any]) -> str:
    matchers = ", ".join(clean(m, 80) for m in silence["matchers"])
    reason = f" · {clean(silence['reason'], 120)}" if silence["reason"] else ""
    return f"{silence['id']}  {silence['state']:<8} until {silence['ends']}  {matchers}  by {clean(silence['by'], 40)}{reason}"
