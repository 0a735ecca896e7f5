"""``anfl-agent run``: the daemon, in the foreground."""

from __future__ import annotations

import logging
import sys

import click

from agent import config as configuration
from agent.errors import AgentError
from agent.host.text import clean

log = logging.getLogger("anfl.run")
CRASHED = 3


PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""As sd-daemon(3) has them: ``journalctl -p warning`` shows what is one."""


class Lines(logging.Formatter):
    """One event, one line: whatever a message holds, it cannot forge another. Below it the traceback of an exception of ours."""

    def format(self, record: logging.LogRecord) -> str:
        """With time and level."""
        return f"{self.formatTime(record)} {record.levelname:<7} {self.said(record)}"

    def said(self, record: logging.LogRecord) -> str:
        """What happened."""
        return clean(record.getMessage(), 2000) if record.exc_info is None else super().format(record)


class Journal(Lines):
    """For journald, which adds time and unit itself, and takes the priority from the head of each line."""

    def format(self, record: logging.LogRecord) -> str:
        """With the priority."""
        head = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(head + line for line in self.said(record).split("\n"))


def set_up_logging(verbose: int, journal: bool) -> None:
    """To standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Journal() if journal else Lines())
    logging.basicConfig(level=logging.DEBUG if verbose > 1 else logging.INFO, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.INFO)


@click.command("run")
@click.option("--listen", help="Address of /metrics (default: the configuration's, 127.0.0.1:9477).")
@click.option("--insecure", is_flag=True, help="Allow an address that is not loopback; /metrics has no password.")
@click.pass_context
def command(ctx: click.Context, listen: str | None, insecure: bool) -> int:
    """Watch this host until SIGTERM: sample, judge, look closer, serve /metrics and the socket.

    SIGHUP reads rules, receivers, routes and maintenance windows again. Under systemd use the shipped unit
    ('anfl-agent files systemd/anfl-agent.service').
    """
    import gc
    import os

    from agent.host import heap, spare

    heap.frugal()
    spare.openssl()
    spare.rare()
    import asyncio

    gc.disable()  # a tenth of the start's time; the daemon switches it on when it has settled
    config = configuration.load(ctx.obj["config"])
    set_up_logging(ctx.obj["verbose"], "JOURNAL_STREAM" in os.environ)
    return asyncio.run(_run(config, listen, insecure))


async def _run(config: configuration.Config, listen: str | None, insecure: bool) -> int:
    from agent.daemon import Daemon

    try:
        await Daemon(config, listen=listen, insecure=insecure).run()
    except AgentError:
        raise
    except Exception:  # an organ may not fail: the service manager starts the agent anew
        log.critical("an organ of the agent failed; the agent ends", exc_info=True)
        return CRASHED
    return 0
