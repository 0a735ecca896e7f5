"""``anfl-agent run``: the daemon, in the foreground."""

from __future__ import annotations

import click

from agent.cli._running import Asked, run


@click.command("run")
@click.option("--listen", help="Address of /metrics (default: the configuration's, 127.0.0.1:9477).")
@click.option("--insecure", is_flag=True, help="Allow an address that is not loopback; /metrics has no password.")
@click.pass_context
def command(ctx: click.Context, listen: str | None, insecure: bool) -> int:
    """Watch this host until SIGTERM: sample, judge, look closer, serve /metrics and the socket.

    SIGHUP reads rules, receivers, routes and maintenance windows again. Under systemd use the shipped unit
    ('anfl-agent files systemd/anfl-agent.service').
    """
    return run(Asked(ctx.obj["config"], ctx.obj["verbose"], listen, insecure))
