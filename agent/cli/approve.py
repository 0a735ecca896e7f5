"""``anfl-agent approve``: decide about what a playbook proposes."""

from __future__ import annotations

import click

from agent.cli._agent import post
from agent.cli._output import print_json


@click.command("approve")
@click.argument("number", type=click.IntRange(1), metavar="RUN")
@click.option("--totp", is_flag=True, help="Ask for a code of your authenticator; it is read from the terminal or standard input.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, number: int, totp: bool, as_json: bool) -> int:
    """Agree that RUN is carried out. The guard is asked once more before anything is touched."""
    told = post(ctx, "/v1/playbook", {"verb": "approve", "id": number, **({"code": code()} if totp else {})})
    if as_json:
        print_json(told)
    else:
        click.echo(f"run {number} is {told['run']['phase']}; agreed: {', '.join(told['run']['approvals'])}")
    return 0


def code() -> str:
    """A code somebody types or pipes in: never an argument, which every user of the host could read."""
    return str(click.prompt("code", hide_input=True, err=True)).strip()
