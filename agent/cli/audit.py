"""``anfl-agent audit``: who did what, and whether the record is whole."""

from __future__ import annotations

import click

from agent.cli._agent import get
from agent.cli._output import print_json
from agent.host.text import clean


@click.command("audit")
@click.option("--last", "most", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many records.")
@click.option("--verify", is_flag=True, help="Only check the chain.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout (anfl.audit/1).")
@click.pass_context
def command(ctx: click.Context, most: int, verify: bool, as_json: bool) -> int:
    """What playbooks and people decided and did; a record changed or taken out breaks the chain. Exit 1 if it is broken."""
    told = get(ctx, f"/v1/audit?most={0 if verify else most}")
    if as_json:
        print_json(told)
    else:
        for record in told["records"]:
            said = ", ".join(f"{k}={v}" for k, v in record["body"].items() if v not in ("", None))
            click.echo(clean(f"{record['seq']:>6}  {record['time']}  {record['who']:<12} {record['what']}  {said}", 300))
        broken = told["broken_at"]
        state = "whole" if broken is None else f"BROKEN at record {broken}"
        click.echo(f"chain of {told['head']['seq']} records is {state}; head {told['head']['hash'][:16] or '-'}")
    return 0 if told["broken_at"] is None else 1
