"""``anfl-agent audit``: who did what, and whether the record is whole."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from agent import config as configuration
from agent.cli._agent import get
from agent.cli._output import print_json
from agent.errors import Unavailable, UsageError
from agent.host.text import clean

as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group("audit")
def command() -> None:
    """What playbooks and people decided and did. Each record is bound to the one before and sealed with the agent's key."""


@command.command("tail")
@click.option("--last", "-n", "most", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many records.")
@as_json
@click.pass_context
def tail(ctx: click.Context, most: int, as_json: bool) -> int:
    """The newest records, oldest first, and the head: number and hash of the last one."""
    told = get(ctx, f"/v1/audit?most={most}")
    if as_json:
        print_json(told)
        return 0
    for record in told["records"]:
        said = ", ".join(f"{k}={v}" for k, v in record["body"].items() if v not in ("", None))
        click.echo(clean(f"{record['seq']:>6}  {record['time']}  {record['who']:<12} {record['what']}  {said}", 300))
    click.echo(f"head {told['head']['text']}")
    return 0


@command.command("verify")
@click.option("--head", default="", help="A head that was told before, such as 57:9f3a12bc3d4e: what was cut off since shows.")
@click.option("--file", "path", type=click.Path(dir_okay=False), help="A copy of the audit file, in place of the agent's own.")
@click.option("--key", "key_file", type=click.Path(dir_okay=False), help="The file with the key that sealed that copy.")
@as_json
@click.pass_context
def verify(ctx: click.Context, head: str, path: str | None, key_file: str | None, as_json: bool) -> int:
    """Look over the whole audit file for a record that was changed, moved, taken out or cut off. Exit 1 if there is one.

    Asks the agent; where none runs, and with --file, it reads the files itself.
    """
    told = _checked(ctx, head, path, key_file)
    if as_json:
        print_json(told)
    elif told["wrong"] is None:
        click.echo(f"{told['records']} records: whole; head {told['head']['text']}")
    else:
        click.echo(clean(f"BROKEN, {told['wrong']}; whole up to record {told['records']}", 300))
    return 0 if told["wrong"] is None else 1


def _checked(ctx: click.Context, head: str, path: str | None, key_file: str | None) -> dict[str, Any]:
    if path is not None:
        return _local(ctx, head, path, key_file)
    try:
        return get(ctx, f"/v1/audit/check?head={quote(head)}")
    except Unavailable as nobody:
        try:
            return _local(ctx, head, None, key_file)
        except Unavailable:
            raise nobody from None


def _local(ctx: click.Context, head: str, path: str | None, key_file: str | None) -> dict[str, Any]:
    import os

    from agent.host.keyfile import Keyring
    from agent.remedy.answers import checked
    from agent.remedy.ledger import AUDIT, looked_over

    config = configuration.load(ctx.obj["config"])
    where, given = path or os.path.join(config.state_dir, AUDIT), config.playbooks
    keys = Keyring(os.path.join(config.state_dir, "playbooks.key"), key_file or given.key_file, given.key_credential)
    if not os.path.exists(where):
        raise Unavailable("there is no audit file", where=where, help="the agent makes it when a playbook is first proposed")
    try:
        return checked(looked_over(where, keys, head), where)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise Unavailable(f"the audit file cannot be read: {error.strerror}", where=where, help="ask as root") from None
